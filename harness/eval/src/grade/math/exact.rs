//! Exact values: fractions of whole numbers of any size, within bounds.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::tree::{Expr, Function};

/// The most bits that a value may have on either side of its fraction.
const BITS: u64 = 40_000;

/// Why there is no exact value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inexact {
    /// It is not rational, or too large to be written down.
    Irrational,
    /// It is a division by zero, or the like.
    Undefined,
}

/// The value of an expression at a point.
pub(super) fn exact(expr: &Expr, point: &[(String, BigRational)]) -> Result<BigRational, Inexact> {
    let at = |expr: &Expr| exact(expr, point);
    let value = match expr {
        Expr::Number(value) => value.clone(),
        Expr::Pi | Expr::Euler | Expr::Imaginary | Expr::Infinity => return Err(Inexact::Irrational),
        Expr::Variable(name) => {
            let found = point.iter().find(|it| it.0 == *name);
            found.map(|it| it.1.clone()).ok_or(Inexact::Irrational)?
        }
        Expr::Negative(inner) => -at(inner)?,
        Expr::Sum(terms) => {
            let mut sum = BigRational::zero();
            for term in terms {
                sum = bounded(sum + at(term)?)?;
            }
            sum
        }
        Expr::Product(factors) => {
            let mut product = BigRational::one();
            for factor in factors {
                product = bounded(product * at(factor)?)?;
            }
            product
        }
        Expr::Quotient(top, bottom) => {
            let (top, bottom) = (at(top), at(bottom)?);
            if bottom.is_zero() {
                return Err(Inexact::Undefined);
            }
            top? / bottom
        }
        Expr::Power(base, exponent) => power(&at(base)?, &at(exponent)?)?,
        Expr::Root(index, inner) => {
            let index = at(index)?;
            if index.is_zero() {
                return Err(Inexact::Undefined);
            }
            power(&at(inner)?, &index.recip())?
        }
        Expr::Call(function, arguments) => call(*function, arguments, point)?,
    };
    bounded(value)
}

fn bounded(value: BigRational) -> Result<BigRational, Inexact> {
    if value.numer().bits() > BITS || value.denom().bits() > BITS {
        Err(Inexact::Irrational)
    } else {
        Ok(value)
    }
}

/// A power; of a negative number also to a fraction with an odd bottom, where the real root is meant.
fn power(base: &BigRational, exponent: &BigRational) -> Result<BigRational, Inexact> {
    let index = exponent.denom().to_u32().filter(|it| *it <= 64).ok_or(Inexact::Irrational)?;
    if base.is_zero() {
        return if exponent.is_positive() { Ok(BigRational::zero()) } else { Err(Inexact::Undefined) };
    }
    if base.is_one() {
        return Ok(BigRational::one());
    }
    let times = exponent.numer().abs().to_u32().ok_or(Inexact::Irrational)?;
    let bits = base.numer().bits().max(base.denom().bits());
    if bits.saturating_mul(u64::from(times)) > BITS {
        // Of ±1 only the parity counts.
        if !(-base).is_one() {
            return Err(Inexact::Irrational);
        }
    }
    if index > 1 && base.is_negative() && index % 2 == 0 {
        return Err(Inexact::Irrational);
    }
    let root = |value: &BigInt| {
        let root = value.nth_root(index);
        (root.pow(index) == *value).then_some(root).ok_or(Inexact::Irrational)
    };
    let root = BigRational::new(root(base.numer())?, root(base.denom())?);
    let times = if (-&root).is_one() { times % 2 } else { times };
    let value = BigRational::new(root.numer().pow(times), root.denom().pow(times));
    Ok(if exponent.is_negative() { value.recip() } else { value })
}

fn call(
    function: Function,
    arguments: &[Expr],
    point: &[(String, BigRational)],
) -> Result<BigRational, Inexact> {
    let values = arguments.iter().map(|it| exact(it, point)).collect::<Result<Vec<_>, _>>()?;
    let [first, rest @ ..] = &values[..] else { return Err(Inexact::Undefined) };
    let small = |value: &BigRational| value.to_u32().filter(|it| value.is_integer() && *it <= 2000);
    match function {
        Function::Abs => Ok(first.abs()),
        Function::Floor => Ok(first.floor()),
        Function::Ceil => Ok(first.ceil()),
        Function::Factorial => {
            let number = small(first).ok_or(Inexact::Irrational)?;
            Ok(BigRational::from_integer((1..=number).map(BigInt::from).product()))
        }
        Function::Binomial => {
            let (top, bottom) = small(first).zip(rest.first().and_then(small)).ok_or(Inexact::Irrational)?;
            if bottom > top {
                return Ok(BigRational::zero());
            }
            let steps = bottom.min(top - bottom);
            let value = (0..steps).fold(BigInt::one(), |value, it| value * (top - it) / (it + 1));
            Ok(BigRational::from_integer(value))
        }
        Function::Log if first.is_one() => Ok(BigRational::zero()),
        // The whole power that it is, if it is one.
        Function::Log => {
            let base = rest.first().filter(|it| it.is_integer() && it.is_positive() && !it.is_one());
            let base = base.ok_or(Inexact::Irrational)?.numer();
            let is_below = *first < BigRational::one();
            let value = if is_below && first.is_positive() { first.recip() } else { first.clone() };
            if !value.is_integer() || !value.is_positive() {
                return Err(Inexact::Irrational);
            }
            let (mut left, mut count) = (value.to_integer(), 0_i32);
            while !left.is_one() {
                if !(&left % base).is_zero() {
                    return Err(Inexact::Irrational);
                }
                left /= base;
                count += 1;
            }
            Ok(BigRational::from_integer(BigInt::from(if is_below { -count } else { count })))
        }
        Function::Sin
        | Function::Tan
        | Function::Arcsin
        | Function::Arctan
        | Function::Sinh
        | Function::Tanh
            if first.is_zero() =>
        {
            Ok(BigRational::zero())
        }
        Function::Cos | Function::Cosh | Function::Exp if first.is_zero() => Ok(BigRational::one()),
        _ => Err(Inexact::Irrational),
    }
}
