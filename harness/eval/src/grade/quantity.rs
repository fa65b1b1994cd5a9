//! Quantities: arithmetic without rounding, as far as 128 bits go.

/// A finite number: a fraction of two 128-bit integers where it is one, and the nearest `f64` otherwise.
///
/// Two quantities are compared as fractions if both are, so that 0.4 is within 0.1 of 0.3; else as `f64`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantity {
    fraction: Option<Fraction>,
    approximate: f64,
}

impl Quantity {
    /// The value of plain decimal notation, such as `12.50`, times a power of ten; `None` beyond the range of `f64`.
    pub(super) fn decimal(digits: &str, exponent: i32) -> Option<Self> {
        match Fraction::decimal(digits, exponent) {
            Some(fraction) => Some(fraction.into()),
            None => Self::inexact(format!("{digits}e{exponent}").parse().ok()?),
        }
    }

    fn inexact(approximate: f64) -> Option<Self> {
        approximate.is_finite().then_some(Self { fraction: None, approximate })
    }

    /// This one or, if both are fractions, its exact counterpart.
    fn combine(
        self,
        other: Self,
        exact: impl Fn(Fraction, Fraction) -> Option<Fraction>,
        approximate: impl Fn(f64, f64) -> f64,
    ) -> Option<Self> {
        match self.fraction.zip(other.fraction).and_then(|(a, b)| exact(a, b)) {
            Some(fraction) => Some(fraction.into()),
            None => Self::inexact(approximate(self.approximate, other.approximate)),
        }
    }

    pub(super) fn plus(self, other: Self) -> Option<Self> {
        self.combine(other, Fraction::plus, |a, b| a + b)
    }

    pub(super) fn minus(self, other: Self) -> Option<Self> {
        self.plus(other.negated())
    }

    pub(super) fn times(self, other: Self) -> Option<Self> {
        self.combine(
            other,
            |a, b| Fraction::of(a.top.checked_mul(b.top)?, a.bottom.checked_mul(b.bottom)?),
            |a, b| a * b,
        )
    }

    /// `None` where `other` is zero.
    pub(super) fn over(self, other: Self) -> Option<Self> {
        self.combine(
            other,
            |a, b| Fraction::of(a.top.checked_mul(b.bottom)?, a.bottom.checked_mul(b.top)?),
            |a, b| a / b,
        )
    }

    pub(super) fn negated(self) -> Self {
        Self {
            // The top is never the least integer: digits are read without their sign.
            fraction: self.fraction.map(|it| Fraction { top: -it.top, ..it }),
            approximate: -self.approximate,
        }
    }

    pub(super) fn magnitude(self) -> Self {
        if self.is_negative() { self.negated() } else { self }
    }

    pub(super) fn is_negative(self) -> bool {
        self.fraction.map_or(self.approximate < 0.0, |it| it.top < 0)
    }

    pub(super) fn is_zero(self) -> bool {
        self.fraction.map_or(self.approximate == 0.0, |it| it.top == 0)
    }

    /// The nearest `f64`.
    pub(super) fn approximate(self) -> f64 {
        self.approximate
    }

    #[expect(clippy::float_cmp, reason = "without a tolerance, equal means equal")]
    pub(super) fn equals(self, other: Self) -> bool {
        match (self.fraction, other.fraction) {
            (Some(a), Some(b)) => a == b,
            _ => self.approximate == other.approximate,
        }
    }

    pub(super) fn at_most(self, other: Self) -> bool {
        let exact = self
            .fraction
            .zip(other.fraction)
            .and_then(|(a, b)| Some(a.top.checked_mul(b.bottom)? <= b.top.checked_mul(a.bottom)?));
        exact.unwrap_or(self.approximate <= other.approximate)
    }

    /// Equal quantities give equal text.
    pub(super) fn canonical(self) -> String {
        match self.fraction {
            Some(Fraction { top, bottom }) => format!("{top}/{bottom}"),
            None => format!("{:e}", self.approximate),
        }
    }
}

impl From<Fraction> for Quantity {
    fn from(fraction: Fraction) -> Self {
        Self { fraction: Some(fraction), approximate: fraction.top as f64 / fraction.bottom as f64 }
    }
}

/// A fraction in lowest terms, its bottom above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fraction {
    top: i128,
    bottom: i128,
}

impl Fraction {
    /// `None` where the bottom is zero or 128 bits do not suffice.
    fn of(top: i128, bottom: i128) -> Option<Self> {
        let divisor = i128::try_from(common_divisor(top.unsigned_abs(), bottom.unsigned_abs())).ok()?;
        if bottom == 0 || top == i128::MIN || bottom == i128::MIN {
            return None;
        }
        let divisor = divisor * bottom.signum();
        Some(Self { top: top / divisor, bottom: bottom / divisor })
    }

    fn decimal(digits: &str, exponent: i32) -> Option<Self> {
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        let part = part.trim_end_matches('0');
        let mut top: i128 = 0;
        for digit in whole.bytes().chain(part.bytes()) {
            top = top.checked_mul(10)?.checked_add(i128::from(digit - b'0'))?;
        }
        if top == 0 {
            return Self::of(0, 1);
        }
        let power = i64::from(exponent).checked_sub(i64::try_from(part.len()).ok()?)?;
        let scale = 10_i128.checked_pow(u32::try_from(power.unsigned_abs()).ok()?)?;
        if power < 0 { Self::of(top, scale) } else { Self::of(top.checked_mul(scale)?, 1) }
    }

    fn plus(self, other: Self) -> Option<Self> {
        let left = self.top.checked_mul(other.bottom)?;
        let right = other.top.checked_mul(self.bottom)?;
        Self::of(left.checked_add(right)?, self.bottom.checked_mul(other.bottom)?)
    }
}

fn common_divisor(mut a: u128, mut b: u128) -> u128 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}
