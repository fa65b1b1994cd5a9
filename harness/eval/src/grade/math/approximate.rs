//! Approximate values: complex floats, each with a bound of its error.

use num_complex::Complex64;
use num_rational::BigRational;
use num_traits::{ToPrimitive, Zero};

use super::exact::exact;
use super::tree::{Expr, Function};

/// A value, and how far it may be off.
#[derive(Clone, Copy, Debug)]
pub(super) struct Approximate {
    pub(super) value: Complex64,
    pub(super) error: f64,
}

/// What one operation may round by, relative to its result; a library's functions take a few of the last place.
const ROUNDING: f64 = 8.0 * f64::EPSILON;

/// Below it, every whole number is a float.
const LARGEST_WHOLE: f64 = 9_007_199_254_740_992.0;

impl Approximate {
    /// A value with the error that it comes with, and that of rounding it.
    fn new(value: Complex64, error: f64) -> Option<Self> {
        // Of a real number the other part has no sign: it would choose a side of a cut.
        let value = Complex64::new(value.re, if value.im == 0.0 { 0.0 } else { value.im });
        // Whole numbers of whole numbers are not rounded.
        let is_whole = value.im == 0.0 && value.re.fract() == 0.0 && value.re.abs() < LARGEST_WHOLE;
        let error = if error == 0.0 && is_whole { 0.0 } else { error + ROUNDING * value.norm() };
        (value.re.is_finite() && value.im.is_finite() && error.is_finite()).then_some(Self { value, error })
    }

    fn real(value: f64) -> Option<Self> {
        Self::new(Complex64::new(value, 0.0), 0.0)
    }

    fn is_real(&self) -> bool {
        self.value.im == 0.0
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        let value = self.value * other.value;
        let error =
            self.value.norm() * other.error + other.value.norm() * self.error + self.error * other.error;
        Self::new(value, error)
    }

    fn plus(self, other: Self) -> Option<Self> {
        Self::new(self.value + other.value, self.error + other.error)
    }

    fn over(self, other: Self) -> Option<Self> {
        let size = other.value.norm();
        // Not told from zero.
        if size <= other.error {
            return None;
        }
        let value = self.value / other.value;
        Self::new(value, (self.error + value.norm() * other.error) / (size - other.error))
    }

    /// A function, and a bound of how steep it is there.
    fn map(self, value: Complex64, slope: f64) -> Option<Self> {
        Self::new(value, slope * self.error)
    }
}

/// The value of an expression at a point; `None` where it has none, is infinite or beyond floats.
pub(super) fn approximate(expr: &Expr, point: &[(String, f64)]) -> Option<Approximate> {
    let at = |expr: &Expr| approximate(expr, point);
    match expr {
        Expr::Number(value) => Approximate::real(to_float(value)?),
        Expr::Pi => Approximate::real(std::f64::consts::PI),
        Expr::Euler => Approximate::real(std::f64::consts::E),
        Expr::Imaginary => Approximate::new(Complex64::new(0.0, 1.0), 0.0),
        Expr::Infinity => None,
        Expr::Variable(name) => Approximate::real(point.iter().find(|it| it.0 == *name)?.1),
        Expr::Negative(inner) => at(inner).and_then(|it| Approximate::new(-it.value, it.error)),
        Expr::Sum(terms) => {
            let mut sum = Approximate::real(0.0)?;
            for term in terms {
                sum = sum.plus(at(term)?)?;
            }
            Some(sum)
        }
        Expr::Product(factors) => {
            let mut product = Approximate::real(1.0)?;
            for factor in factors {
                product = product.times(at(factor)?)?;
            }
            Some(product)
        }
        Expr::Quotient(top, bottom) => at(top)?.over(at(bottom)?),
        Expr::Power(base, exponent) => power(at(base)?, at(exponent)?, exact(exponent, &[]).ok()),
        Expr::Root(index, inner) => {
            let index = exact(index, &[]).ok().filter(|it| !it.is_zero())?;
            let exponent = index.recip();
            power(at(inner)?, Approximate::real(to_float(&exponent)?)?, Some(exponent))
        }
        Expr::Call(function, arguments) => {
            let values = arguments.iter().map(at).collect::<Option<Vec<_>>>()?;
            call(*function, &values)
        }
    }
}

fn to_float(value: &BigRational) -> Option<f64> {
    value.to_f64().filter(|it| it.is_finite())
}

/// A power; with an exponent that is known to be a fraction with an odd bottom, a negative number has a real one.
fn power(base: Approximate, exponent: Approximate, known: Option<BigRational>) -> Option<Approximate> {
    let (size, angle) = base.value.to_polar();
    if size <= base.error {
        // Zero, or not told from it.
        let is_zero = size == 0.0 && base.error == 0.0 && exponent.is_real() && exponent.value.re > 0.0;
        return if is_zero { Approximate::real(0.0) } else { None };
    }
    let whole = known.as_ref().filter(|it| it.is_integer()).and_then(|it| it.to_integer().to_i32());
    let value = if let Some(times) = whole.filter(|it| it.abs() <= 1000) {
        base.value.powi(times)
    } else if base.is_real() && exponent.is_real() && base.value.re > 0.0 {
        Complex64::new(base.value.re.powf(exponent.value.re), 0.0)
    } else if base.is_real()
        && let Some(known) = known
        && known.denom().bit(0)
    {
        let sign = if known.numer().bit(0) { -1.0 } else { 1.0 };
        Complex64::new(sign * size.powf(exponent.value.re), 0.0)
    } else {
        (exponent.value * Complex64::new(size.ln(), angle)).exp()
    };
    // d(z^w) = z^w (w dz / z + ln z dw)
    let steps = 1.0 + exponent.value.norm();
    let relative = exponent.value.norm() * base.error / (size - base.error)
        + (size.ln().abs() + angle.abs()) * exponent.error
        + ROUNDING * steps;
    Approximate::new(value, value.norm() * relative)
}

fn call(function: Function, values: &[Approximate]) -> Option<Approximate> {
    let [it, rest @ ..] = values else { return None };
    let z = it.value;
    let one = Complex64::new(1.0, 0.0);
    let is_real = it.is_real();
    // A real function of a real number stays on the real line.
    let real = |value: f64| Complex64::new(value, 0.0);
    let inverse = |value: Approximate| Approximate::real(1.0)?.over(value);
    match function {
        Function::Sin => it.map(if is_real { real(z.re.sin()) } else { z.sin() }, z.cos().norm() + it.error),
        Function::Cos => it.map(if is_real { real(z.re.cos()) } else { z.cos() }, z.sin().norm() + it.error),
        Function::Tan => call(Function::Sin, values)?.over(call(Function::Cos, values)?),
        Function::Cot => call(Function::Cos, values)?.over(call(Function::Sin, values)?),
        Function::Sec => inverse(call(Function::Cos, values)?),
        Function::Csc => inverse(call(Function::Sin, values)?),
        Function::Arcsin | Function::Arccos => {
            let within = is_real && z.re.abs() <= 1.0;
            let value = match (function, within) {
                (Function::Arcsin, true) => real(z.re.asin()),
                (Function::Arcsin, false) => z.asin(),
                (_, true) => real(z.re.acos()),
                (_, false) => z.acos(),
            };
            // Steep at the ends.
            let slope = 1.0 / (one - z * z).norm().sqrt().max(it.error.sqrt()).max(1e-12);
            it.map(value, slope)
        }
        Function::Arctan => {
            let slope = 1.0 / (one + z * z).norm().max(1e-12);
            it.map(if is_real { real(z.re.atan()) } else { z.atan() }, slope)
        }
        Function::Sinh => it.map(z.sinh(), z.cosh().norm() + it.error),
        Function::Cosh => it.map(z.cosh(), z.sinh().norm() + it.error),
        Function::Tanh => call(Function::Sinh, values)?.over(call(Function::Cosh, values)?),
        Function::Exp => it.map(if is_real { real(z.re.exp()) } else { z.exp() }, z.exp().norm()),
        Function::Log => {
            if z.norm() <= it.error {
                return None;
            }
            let value = if is_real && z.re > 0.0 { real(z.re.ln()) } else { z.ln() };
            let log = it.map(value, 1.0 / (z.norm() - it.error))?;
            match rest.first() {
                Some(base) => log.over(call(Function::Log, &[*base])?),
                None => Some(log),
            }
        }
        Function::Abs => Approximate::new(real(z.norm()), it.error),
        Function::Floor | Function::Ceil => {
            let steady = is_real && it.error < 0.5 && (z.re - z.re.round()).abs() > it.error;
            let rounded = if function == Function::Floor { z.re.floor() } else { z.re.ceil() };
            if steady || is_real && it.error == 0.0 { Approximate::real(rounded) } else { None }
        }
        Function::Factorial => {
            let number = whole(it)?;
            Approximate::real((1..=number).map(f64::from).product())
        }
        Function::Binomial => {
            let (top, bottom) = (whole(it)?, whole(rest.first()?)?);
            if bottom > top {
                return Approximate::real(0.0);
            }
            Approximate::real((0..bottom).map(|at| f64::from(top - at) / f64::from(bottom - at)).product())
        }
    }
}

/// A whole number from 0 to 170.
fn whole(it: &Approximate) -> Option<u32> {
    let rounded = it.value.re.round();
    let is_whole =
        it.is_real() && (it.value.re - rounded).abs() <= it.error && (0.0..=170.0).contains(&rounded);
    is_whole.then(|| rounded.to_u32()).flatten()
}
