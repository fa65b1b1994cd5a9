//! Equality of expressions: exact where it can be, else at random points.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::Zero;

use super::super::written::Domain;
use super::approximate::{Approximate, approximate};
use super::exact::{Inexact, exact};
use super::tree::Expr;

/// What the variables stand for; a real number unless named.
pub(super) type Domains = [(String, Domain)];

/// Points at which two expressions with variables are compared.
const POINTS: usize = 6;
/// Points that are tried, as some expression may have no value at some of them.
const TRIED: u64 = 24;
/// How far apart two approximate values may be, relative to the larger.
const APART: f64 = 1e-10;
/// The largest error of what is taken for zero.
const ZERO: f64 = 1e-9;

/// Whether two expressions have the same value at every point of their domain:
///
/// - without variables, and with a rational value on both sides: exactly;
/// - rational functions of variables: exactly, at six random points whose coordinates are fractions n/997 with n below
///   2³¹ (of whole numbers, from 1 to 60). Two different ones with polynomials of degree d in their cross-multiplied
///   difference agree at all six with a probability of at most (d/2³²)⁶ (Schwartz, Zippel); two equal ones never differ;
/// - else in complex floats, at up to six of 24 random points where both have a value, each with a bound of its rounding
///   error. They are equal if, at each, they are within 1e-10 of the larger, or neither is told from zero and both
///   bounds are below 1e-9. A point at which rounding leaves more than 1e-10 open decides only if they differ by more.
///   So two different constants are taken for equal if they are within 1e-10 of each other; two equal expressions are
///   never taken for different by rounding, but if no point decides, they are not taken for equal.
///
/// The points are fixed: equal expressions give equal verdicts on every machine.
pub(super) fn equal(a: &Expr, b: &Expr, domains: &Domains) -> bool {
    if a == b {
        return true;
    }
    if let (Some(a), Some(b)) = (infinite(a), infinite(b)) {
        return a == b;
    }
    compare(&[a, b], domains, |values| same(&values[0], &values[1]), |values| near(values[0], values[1]))
}

/// Whether an expression has a value that can be found: one without is equal to nothing.
pub(super) fn has_value(expr: &Expr, domains: &Domains) -> bool {
    infinite(expr).is_some() || equal(expr, &Expr::Sum(vec![expr.clone(), Expr::whole(0)]), domains)
}

/// Whether two equations say the same: whether left − right of one is that of the other times a constant that is not 0.
pub(super) fn proportional(a: (&Expr, &Expr), b: (&Expr, &Expr), domains: &Domains) -> bool {
    let difference = |(left, right): (&Expr, &Expr)| {
        Expr::Sum(vec![left.clone(), Expr::Negative(Box::new(right.clone()))])
    };
    let (a, b) = (difference(a), difference(b));
    // a(p) b(q) = a(q) b(p), q being the first point at which neither is 0.
    let mut first: Option<(BigRational, BigRational)> = None;
    let mut start: Option<(Approximate, Approximate)> = None;
    let exactly = |values: &[BigRational]| {
        let (a, b) = (&values[0], &values[1]);
        if a.is_zero() || b.is_zero() {
            return a.is_zero() && b.is_zero();
        }
        let (c, d) = first.get_or_insert_with(|| (a.clone(), b.clone()));
        same(&(a * &*d), &(&*c * b))
    };
    let nearly = |values: &[Approximate]| {
        let (c, d) = *start.get_or_insert((values[0], values[1]));
        let (left, right) = (values[0].times(d)?, c.times(values[1])?);
        let zero = |it: &Approximate| it.value.norm() <= it.error;
        if zero(&values[0]) != zero(&values[1]) {
            return Some(false);
        }
        near(left, right)
    };
    let mut names = Vec::new();
    a.variables(&mut names);
    !names.is_empty() && compare(&[&a, &b], domains, exactly, nearly)
}

/// Whether two fractions in lowest terms are one. (`BigRational`'s own comparison goes down a level for each term of their
/// continued fractions, and the stack ends.)
fn same(a: &BigRational, b: &BigRational) -> bool {
    a.numer() == b.numer() && a.denom() == b.denom()
}

/// +1 or −1 for an infinity.
fn infinite(expr: &Expr) -> Option<i8> {
    match expr {
        Expr::Infinity => Some(1),
        Expr::Negative(inner) => infinite(inner).map(|it| -it),
        _ => None,
    }
}

/// Whether a relation holds at random points, by exact values if there are any.
fn compare(
    exprs: &[&Expr],
    domains: &Domains,
    mut exactly: impl FnMut(&[BigRational]) -> bool,
    mut nearly: impl FnMut(&[Approximate]) -> Option<bool>,
) -> bool {
    let mut names = Vec::new();
    for expr in exprs {
        expr.variables(&mut names);
    }
    names.sort();
    let needed = if names.is_empty() { 1 } else { POINTS };
    let domain = |name: &str| domains.iter().find(|it| it.0 == name).map_or(Domain::Real, |it| it.1);
    let mut held = 0;
    for seed in 0..TRIED {
        let mut random = Random::new(seed);
        let point: Vec<_> = names.iter().map(|it| (it.clone(), random.fraction(domain(it)))).collect();
        let values = exprs.iter().map(|it| exact(it, &point)).collect::<Result<Vec<_>, _>>();
        match values {
            Ok(values) if !exactly(&values) => return false,
            Ok(_) => held += 1,
            // Neither has a value there, or one: at a random point, that is chance.
            Err(Inexact::Undefined) => {}
            Err(Inexact::Irrational) => break,
        }
        if held == needed {
            return true;
        }
    }
    let mut held = 0;
    for seed in 0..TRIED {
        let mut random = Random::new(seed);
        let point: Vec<_> = names.iter().map(|it| (it.clone(), random.float(domain(it)))).collect();
        let Some(values) = exprs.iter().map(|it| approximate(it, &point)).collect::<Option<Vec<_>>>() else {
            if names.is_empty() {
                return false;
            }
            continue;
        };
        match nearly(&values) {
            Some(false) => return false,
            Some(true) => held += 1,
            None => {}
        }
        if held == needed {
            return true;
        }
        if names.is_empty() {
            return false;
        }
    }
    // Where half the points have no value, those that have one decide.
    held >= 3
}

/// Whether two values are equal as far as they are known; `None` where rounding leaves it open.
fn near(a: Approximate, b: Approximate) -> Option<bool> {
    let size = a.value.norm().max(b.value.norm());
    let apart = (a.value - b.value).norm();
    let error = a.error + b.error;
    if error <= APART * size {
        return Some(apart <= APART * size);
    }
    if apart > error {
        return Some(false);
    }
    let is_zero = |it: Approximate| it.value.norm() <= it.error;
    (is_zero(a) && is_zero(b) && error <= ZERO).then_some(true)
}

/// Steele, Lea and Flood's `SplitMix64`: the same points on every machine.
struct Random(u64);

impl Random {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95).wrapping_add(0x5851_f42d_4c95_7f2d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn fraction(&mut self, domain: Domain) -> BigRational {
        let bits = self.next();
        if domain == Domain::Whole {
            return BigRational::from_integer(BigInt::from(1 + bits % 60));
        }
        let size = BigInt::from((bits >> 33) + 1);
        let is_negative = domain == Domain::Real && bits & 1 == 1;
        BigRational::new(if is_negative { -size } else { size }, BigInt::from(997))
    }

    /// Near 1, where few functions leave the range of floats.
    fn float(&mut self, domain: Domain) -> f64 {
        let bits = self.next();
        if domain == Domain::Whole {
            return (1 + bits % 12) as f64;
        }
        let size = 0.25 + 3.0 * ((bits >> 11) as f64 / (1_u64 << 53) as f64);
        if domain == Domain::Real && bits & 1 == 1 { -size } else { size }
    }
}
