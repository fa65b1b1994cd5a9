//! Units: what stands behind a number.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One, Zero};

/// A product of base units with a factor.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unit {
    /// What one of it is in the base units.
    pub(super) factor: BigRational,
    /// Base units and their powers, sorted; one that no table knows is its own.
    pub(super) bases: Vec<(String, i32)>,
    /// Whether a table knows all of them.
    pub(super) known: bool,
}

/// Names, what one is in base units as a fraction, and the base units.
type Row = (&'static [&'static str], i64, i64, &'static [(&'static str, i32)]);

const TABLE: &[Row] = &[
    (&["m", "meter", "metre"], 1, 1, &[("m", 1)]),
    (&["km", "kilometer", "kilometre"], 1000, 1, &[("m", 1)]),
    (&["dm", "decimeter", "decimetre"], 1, 10, &[("m", 1)]),
    (&["cm", "centimeter", "centimetre"], 1, 100, &[("m", 1)]),
    (&["mm", "millimeter", "millimetre"], 1, 1000, &[("m", 1)]),
    (&["µm", "μm", "um", "micrometer", "micrometre", "micron"], 1, 1_000_000, &[("m", 1)]),
    (&["nm", "nanometer", "nanometre"], 1, 1_000_000_000, &[("m", 1)]),
    (&["in", "inch", "inche"], 127, 5000, &[("m", 1)]),
    (&["ft", "foot", "feet"], 381, 1250, &[("m", 1)]),
    (&["yd", "yard"], 1143, 1250, &[("m", 1)]),
    (&["mi", "mile"], 201_168, 125, &[("m", 1)]),
    (&["g", "gram", "gramme"], 1, 1000, &[("kg", 1)]),
    (&["kg", "kilogram", "kilo"], 1, 1, &[("kg", 1)]),
    (&["mg", "milligram"], 1, 1_000_000, &[("kg", 1)]),
    (&["t", "tonne"], 1000, 1, &[("kg", 1)]),
    (&["lb", "lbs", "pound"], 45_359_237, 100_000_000, &[("kg", 1)]),
    (&["oz", "ounce"], 45_359_237, 1_600_000_000, &[("kg", 1)]),
    (&["s", "sec", "second"], 1, 1, &[("s", 1)]),
    (&["ms", "millisecond"], 1, 1000, &[("s", 1)]),
    (&["µs", "μs", "us", "microsecond"], 1, 1_000_000, &[("s", 1)]),
    (&["ns", "nanosecond"], 1, 1_000_000_000, &[("s", 1)]),
    (&["min", "minute"], 60, 1, &[("s", 1)]),
    (&["h", "hr", "hour"], 3600, 1, &[("s", 1)]),
    (&["d", "day"], 86400, 1, &[("s", 1)]),
    (&["week", "wk"], 604_800, 1, &[("s", 1)]),
    (&["L", "l", "liter", "litre"], 1, 1000, &[("m", 3)]),
    (&["mL", "ml", "milliliter", "millilitre"], 1, 1_000_000, &[("m", 3)]),
    (&["Hz", "hertz"], 1, 1, &[("s", -1)]),
    (&["kHz"], 1000, 1, &[("s", -1)]),
    (&["MHz"], 1_000_000, 1, &[("s", -1)]),
    (&["N", "newton"], 1, 1, &[("kg", 1), ("m", 1), ("s", -2)]),
    (&["kN"], 1000, 1, &[("kg", 1), ("m", 1), ("s", -2)]),
    (&["J", "joule"], 1, 1, &[("kg", 1), ("m", 2), ("s", -2)]),
    (&["kJ", "kilojoule"], 1000, 1, &[("kg", 1), ("m", 2), ("s", -2)]),
    (&["kWh"], 3_600_000, 1, &[("kg", 1), ("m", 2), ("s", -2)]),
    (&["W", "watt"], 1, 1, &[("kg", 1), ("m", 2), ("s", -3)]),
    (&["kW", "kilowatt"], 1000, 1, &[("kg", 1), ("m", 2), ("s", -3)]),
    (&["Pa", "pascal"], 1, 1, &[("kg", 1), ("m", -1), ("s", -2)]),
    (&["kPa"], 1000, 1, &[("kg", 1), ("m", -1), ("s", -2)]),
    (&["A", "amp", "ampere"], 1, 1, &[("A", 1)]),
    (&["V", "volt"], 1, 1, &[("A", -1), ("kg", 1), ("m", 2), ("s", -3)]),
    (&["K", "kelvin"], 1, 1, &[("K", 1)]),
    (&["mol", "mole"], 1, 1, &[("mol", 1)]),
    (&["°", "degree", "deg"], 1, 1, &[("degree", 1)]),
    (&["$", "dollar", "USD", "buck"], 1, 1, &[("dollar", 1)]),
    (&["¢", "cent"], 1, 100, &[("dollar", 1)]),
    (&["€", "euro", "EUR"], 1, 1, &[("euro", 1)]),
    (&["£", "GBP"], 1, 1, &[("GBP", 1)]),
    (&["bit"], 1, 1, &[("bit", 1)]),
    (&["byte", "B"], 8, 1, &[("bit", 1)]),
    (&["kB", "KB", "kilobyte"], 8000, 1, &[("bit", 1)]),
    (&["MB", "megabyte"], 8_000_000, 1, &[("bit", 1)]),
    (&["GB", "gigabyte"], 8_000_000_000, 1, &[("bit", 1)]),
    (&["MiB"], 8 << 20, 1, &[("bit", 1)]),
];

impl Unit {
    fn none() -> Self {
        Self { factor: BigRational::one(), bases: Vec::new(), known: true }
    }

    /// The unit that a word names, in the singular or plural.
    fn named(word: &str) -> Self {
        let find = |word: &str| TABLE.iter().find(|it| it.0.contains(&word));
        let lower = word.to_lowercase();
        let singular = lower.strip_suffix('s').filter(|it| it.len() > 2).unwrap_or(&lower);
        let row = find(word)
            .or_else(|| find(singular))
            .or_else(|| Some(&lower).filter(|it| it.len() > 2).and_then(|it| find(it)));
        match row {
            Some((_, top, bottom, bases)) => Self {
                factor: BigRational::new(BigInt::from(*top), BigInt::from(*bottom)),
                bases: bases.iter().map(|(name, power)| ((*name).to_owned(), *power)).collect(),
                known: true,
            },
            None => Self { factor: BigRational::one(), bases: vec![(singular.to_owned(), 1)], known: false },
        }
    }

    /// Whether a table has the word.
    pub(super) fn is_known(word: &str) -> bool {
        Self::named(word).known
    }

    fn times(&mut self, other: &Self, power: i32) {
        let factor = num_traits::pow(other.factor.clone(), power.unsigned_abs() as usize);
        self.factor = if power < 0 { &self.factor / factor } else { &self.factor * factor };
        for (name, own) in &other.bases {
            match self.bases.iter_mut().find(|it| it.0 == *name) {
                Some(known) => known.1 = known.1.saturating_add(own.saturating_mul(power)),
                None => self.bases.push((name.clone(), own.saturating_mul(power))),
            }
        }
        self.bases.retain(|it| !it.1.is_zero());
        self.bases.sort();
        self.known &= other.known;
    }

    /// The unit that words, each with its power, make.
    pub(super) fn of(words: &[(String, i32)]) -> Option<Self> {
        let mut unit = Self::none();
        let (mut sign, mut raise) = (1, 1);
        for (word, power) in words {
            match word.to_lowercase().as_str() {
                "per" => sign = -1,
                "square" | "sq" | "squared" => raise = 2,
                "cubic" | "cu" => raise = 3,
                "of" | "the" | "a" | "an" | "in" if words.len() > 1 => {}
                _ => {
                    // Nobody writes more.
                    let power = ((*power).clamp(-12, 12) * sign * raise).clamp(-12, 12);
                    unit.times(&Self::named(word), power);
                    raise = 1;
                }
            }
        }
        (!unit.bases.is_empty()).then_some(unit)
    }
}
