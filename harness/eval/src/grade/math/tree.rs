//! Trees: expressions and what is made of them, as they are written.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Signed, ToPrimitive, Zero};

use super::unit::Unit;

/// An expression, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    Number(BigRational),
    Pi,
    Euler,
    Imaginary,
    Infinity,
    Variable(String),
    Negative(Box<Expr>),
    Sum(Vec<Expr>),
    Product(Vec<Expr>),
    Quotient(Box<Expr>, Box<Expr>),
    Power(Box<Expr>, Box<Expr>),
    /// The index and what is under the sign.
    Root(Box<Expr>, Box<Expr>),
    Call(Function, Vec<Expr>),
}

/// A function that has a name or a notation of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arcsin,
    Arccos,
    Arctan,
    Sinh,
    Cosh,
    Tanh,
    /// Natural; with a second argument, to that base.
    Log,
    Exp,
    Abs,
    Floor,
    Ceil,
    Factorial,
    Binomial,
}

impl Function {
    /// The function that a word names; `log` is natural.
    pub(super) fn named(word: &str) -> Option<Self> {
        Some(match word {
            "sin" => Self::Sin,
            "cos" => Self::Cos,
            "tan" | "tg" => Self::Tan,
            "cot" | "ctg" => Self::Cot,
            "sec" => Self::Sec,
            "csc" | "cosec" => Self::Csc,
            "arcsin" | "asin" => Self::Arcsin,
            "arccos" | "acos" => Self::Arccos,
            "arctan" | "atan" => Self::Arctan,
            "sinh" => Self::Sinh,
            "cosh" => Self::Cosh,
            "tanh" => Self::Tanh,
            "log" | "ln" => Self::Log,
            "exp" => Self::Exp,
            "abs" => Self::Abs,
            "floor" => Self::Floor,
            "ceil" | "ceiling" => Self::Ceil,
            _ => return None,
        })
    }
}

/// What an answer is as a whole.
#[derive(Clone, Debug)]
pub(super) enum Thing {
    Value(Value),
    Words(String),
    /// What stands left and right of `=`.
    Equation(Box<Thing>, Box<Thing>),
    /// What stands left and right of the last `≈` of an answer.
    Rounded(Box<Thing>, Box<Thing>),
    /// Pieces of the real line, of any number.
    Line(Vec<Piece>),
    /// What stands in round, square or angle brackets; these as they are written.
    Tuple(char, Vec<Thing>, char),
    Set(Vec<Thing>),
    /// Several things without brackets.
    List(Vec<Thing>),
    Matrix(Vec<Vec<Expr>>),
}

/// An expression with its unit.
#[derive(Clone, Debug)]
pub(super) struct Value {
    pub(super) expr: Expr,
    pub(super) unit: Option<Unit>,
    pub(super) percent: bool,
}

/// An interval.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) low: Expr,
    pub(super) high: Expr,
    /// Whether the ends belong to it.
    pub(super) closed: (bool, bool),
}

impl Expr {
    pub(super) fn whole(value: i64) -> Self {
        Self::Number(BigRational::from_integer(BigInt::from(value)))
    }

    /// What it is made of.
    fn parts(&self) -> Vec<&Expr> {
        match self {
            Self::Number(_)
            | Self::Pi
            | Self::Euler
            | Self::Imaginary
            | Self::Infinity
            | Self::Variable(_) => Vec::new(),
            Self::Negative(inner) => vec![inner],
            Self::Sum(parts) | Self::Product(parts) | Self::Call(_, parts) => parts.iter().collect(),
            Self::Quotient(a, b) | Self::Power(a, b) | Self::Root(a, b) => vec![a, b],
        }
    }

    /// Adds the names of its variables.
    pub(super) fn variables(&self, names: &mut Vec<String>) {
        if let Self::Variable(name) = self
            && !names.contains(name)
        {
            names.push(name.clone());
        }
        self.parts().into_iter().for_each(|it| it.variables(names));
    }

    /// Whether nothing is left to be done that one would do:
    ///
    /// - no sum with two numbers, or with two terms that are equal but for a rational factor; no product with two
    ///   numbers, no factor 0 or 1, no doubled sign, no sum or product within another that parentheses do not need;
    /// - a fraction of whole numbers in lowest terms, its bottom above 1; no fraction within a fraction;
    /// - no power of two numbers below a million, no power 0 or 1;
    /// - no root of a whole number with a factor that could stand before it, none of a fraction.
    ///
    /// Roots below a fraction's line, and products that could be multiplied out, are let be.
    pub(super) fn is_simplified(&self) -> bool {
        let itself = match self {
            Self::Sum(terms) => {
                let kernels: Vec<(Option<BigRational>, Vec<&Expr>)> =
                    terms.iter().map(Expr::kernel).collect();
                let like = |at: usize| kernels[..at].iter().any(|it| it.1 == kernels[at].1);
                (0..kernels.len()).all(|at| !like(at))
                    && !terms.iter().any(|it| it.is_number(0) || matches!(it, Self::Sum(_)))
            }
            Self::Product(factors) => {
                let numbers = factors.iter().filter(|it| it.rational().is_some()).count();
                let idle = |it: &Expr| {
                    it.is_number(0) || it.is_number(1) || matches!(it, Self::Product(_) | Self::Negative(_))
                };
                numbers < 2 && !factors.iter().any(idle)
            }
            Self::Negative(inner) => !matches!(**inner, Self::Negative(_)) && !inner.is_number(0),
            Self::Quotient(top, bottom) => {
                let (a, b) = (top.factor(), bottom.factor());
                let lowest = a.is_integer() && b.is_integer() && gcd(a.numer(), b.numer()).is_one();
                let nested = [top, bottom].iter().any(|it| matches!(***it, Self::Quotient(..)));
                lowest
                    && !nested
                    && !bottom.is_number(1)
                    && !matches!(**bottom, Self::Negative(_))
                    && !top.is_number(0)
            }
            Self::Power(base, exponent) => {
                let small = base.rational().zip(exponent.rational()).is_some_and(|(base, exponent)| {
                    let size = base.numer().bits().max(base.denom().bits()) as f64;
                    exponent.is_integer() && exponent.to_f64().is_some_and(|it| it.abs() * size < 20.0)
                });
                !small && !exponent.is_number(0) && !exponent.is_number(1)
            }
            Self::Root(index, inner) => match (index.rational(), inner.rational()) {
                (Some(index), Some(inner)) => {
                    let index = index.to_u32().unwrap_or(2).max(1);
                    inner.is_integer() && !has_power(inner.numer(), index) && !inner.is_negative()
                }
                _ => true,
            },
            _ => true,
        };
        itself && self.parts().into_iter().all(Expr::is_simplified)
    }

    /// The number that it is written as, sign and fraction included.
    fn rational(&self) -> Option<BigRational> {
        match self {
            Self::Number(value) => Some(value.clone()),
            Self::Negative(inner) => inner.rational().map(|it| -it),
            Self::Quotient(top, bottom) => {
                let bottom = bottom.rational().filter(|it| !it.is_zero())?;
                Some(top.rational()? / bottom)
            }
            _ => None,
        }
    }

    fn is_number(&self, value: i64) -> bool {
        self.rational().is_some_and(|it| it == BigRational::from_integer(value.into()))
    }

    /// The rational factor, and the factors beside it in a fixed order.
    fn kernel(&self) -> (Option<BigRational>, Vec<&Expr>) {
        match self {
            it if it.rational().is_some() => (it.rational(), Vec::new()),
            Self::Negative(inner) => {
                let (factor, kernel) = inner.kernel();
                (factor.map(|it| -it), kernel)
            }
            Self::Product(factors) => {
                let mut kernel: Vec<&Expr> = factors.iter().filter(|it| it.rational().is_none()).collect();
                kernel.sort_by_cached_key(|it| format!("{it:?}"));
                (factors.iter().find_map(Expr::rational), kernel)
            }
            Self::Quotient(top, bottom) if bottom.rational().is_some() => {
                let (factor, kernel) = top.kernel();
                (factor.zip(bottom.rational()).filter(|it| !it.1.is_zero()).map(|(a, b)| a / b), kernel)
            }
            other => (Some(BigRational::one()), vec![other]),
        }
    }

    /// The rational factor of a top or bottom; of a sum, what all its terms share.
    fn factor(&self) -> BigRational {
        if let Self::Sum(terms) = self {
            let factors: Vec<BigRational> = terms.iter().map(Expr::factor).collect();
            if factors.iter().all(BigRational::is_integer) {
                let shared = factors.iter().fold(BigInt::zero(), |shared, it| gcd(&shared, it.numer()));
                return BigRational::from_integer(shared);
            }
        }
        self.kernel().0.unwrap_or_else(BigRational::one)
    }
}

fn gcd(a: &BigInt, b: &BigInt) -> BigInt {
    let (mut a, mut b) = (a.abs(), b.abs());
    while !b.is_zero() {
        (a, b) = (b.clone(), a % b);
    }
    a
}

/// Whether a number has a factor that is a power; looked for among small primes, and the number itself.
fn has_power(number: &BigInt, index: u32) -> bool {
    let number = number.abs();
    let found = (2_u32..1000).any(|prime| {
        let power = BigInt::from(prime).pow(index.min(64));
        power <= number && (&number % power).is_zero()
    });
    found || number.is_one() || number.is_zero() || number.nth_root(index).pow(index) == number
}
