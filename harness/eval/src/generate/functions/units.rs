//! Units: exact factors.

use num_bigint::BigInt;
use num_rational::BigRational;

use super::{Call, Function};

/// A unit's name, what it measures, and how many of the base unit it is, as a fraction.
const UNITS: [(&str, &str, i64, i64); 29] = [
    ("bit", "data", 1, 1),
    ("kbit", "data", 1_000, 1),
    ("Mbit", "data", 1_000_000, 1),
    ("Gbit", "data", 1_000_000_000, 1),
    ("B", "data", 8, 1),
    ("kB", "data", 8_000, 1),
    ("MB", "data", 8_000_000, 1),
    ("GB", "data", 8_000_000_000, 1),
    ("TB", "data", 8_000_000_000_000, 1),
    ("PB", "data", 8_000_000_000_000_000, 1),
    ("KiB", "data", 8 << 10, 1),
    ("MiB", "data", 8 << 20, 1),
    ("GiB", "data", 8 << 30, 1),
    ("TiB", "data", 8 << 40, 1),
    ("ns", "time", 1, 1_000_000_000),
    ("us", "time", 1, 1_000_000),
    ("ms", "time", 1, 1_000),
    ("s", "time", 1, 1),
    ("min", "time", 60, 1),
    ("h", "time", 3_600, 1),
    ("day", "time", 86_400, 1),
    ("week", "time", 604_800, 1),
    ("mm", "length", 1, 1_000),
    ("cm", "length", 1, 100),
    ("m", "length", 1, 1),
    ("km", "length", 1_000, 1),
    ("g", "mass", 1, 1_000),
    ("kg", "mass", 1, 1),
    ("t", "mass", 1_000, 1),
];

pub(super) const FUNCTIONS: &[Function] = &[Function {
    form: "convert(x, from, to)",
    what: "x of one unit in another. Data: bit, kbit, Mbit, Gbit, B, kB, MB, GB, TB, PB (thousands), KiB, MiB, GiB, TiB (1 024). Time: ns, us, \
           ms, s, min, h, day, week. Length: mm, cm, m, km. Mass: g, kg, t",
    run: |call| {
        let (of, from) = unit(call, 1)?;
        let (other, to) = unit(call, 2)?;
        if of != other {
            return Err(call.fails(format!(
                "`{}` measures {of}, `{}` {other}",
                call.text(1)?,
                call.text(2)?
            )));
        }
        let x = call.number(0)?;
        call.new_number(x * from / to)
    },
}];

fn unit(call: &Call<'_, '_>, at: usize) -> Result<(&'static str, BigRational), crate::generate::Wrong> {
    let name = call.text(at)?;
    let found = UNITS.iter().find(|it| it.0 == name);
    let Some((_, of, top, bottom)) = found else {
        let names = UNITS.iter().map(|it| it.0).collect::<Vec<_>>().join(", ");
        return Err(call.wrong(at, format!("there is no unit `{name}`")).help(format!("known are {names}")));
    };
    Ok((of, BigRational::new(BigInt::from(*top), BigInt::from(*bottom))))
}
