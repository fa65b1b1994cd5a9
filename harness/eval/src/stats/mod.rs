//! Statistics: the one interval, comparisons, aggregates over repeats, percentiles. Pure functions.
//!
//! | what | where |
//! |---|---|
//! | a mean, or a mean difference, and how sure it is | [`Sample`], [`Estimate`] |
//! | two runs beside each other: verdict, power, categories under Holm | [`compare`] |
//! | pass@k, majority@k, agreement, changed answers | [`repeats`] |
//! | Clopper-Pearson, `McNemar` | [`exact`] |
//! | distribution functions | [`special`] |
//!
//! docs/statistics.md has every formula with its source, and what simulations say of it.

mod cluster;
pub mod compare;
pub mod exact;
pub mod repeats;
mod sample;
pub mod special;

pub mod agreement;

use serde::Serialize;

pub use sample::{Estimate, Method, Observation, Range, Sample};

/// How sure an interval is unless something else is said: 95 %, two-sided.
pub const CONFIDENCE: f64 = 0.95;

/// A range that covers the true value in 95 % of runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Wilson's score interval of a proportion, two-sided, with the given confidence (Wilson 1927, JASA 22, p. 209).
///
/// `mean` is the mean of n scores of 0 or 1 that are independent of each other.
pub fn wilson(mean: f64, n: usize, confidence: f64) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let n = n as f64;
    let z = special::normal_quantile(f64::midpoint(1.0, confidence));
    let z2 = z * z;
    let centre = (mean + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = z / (1.0 + z2 / n) * (mean * (1.0 - mean) / n + z2 / (4.0 * n * n)).max(0.0).sqrt();
    Some(Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) })
}

/// A percentile by linear interpolation between closest ranks, numpy's default; `sorted` ascends, `p` is from 0 to 100.
///
/// `None` of nothing, and for the 99th percentile of fewer than 100 values, which would be their maximum.
pub fn percentile(sorted: &[f64], p: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    if p >= 99.0 && sorted.len() < 100 {
        return None;
    }
    let rank = p / 100.0 * last as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rank lies in 0..=last")]
    let below = rank.floor() as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (rank - below as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values: statsmodels 0.15.0 `proportion_confint(count, n, method="wilson")`.
    #[test]
    fn wilson_equals_statsmodels() {
        for (count, n, low, high) in [
            (0.0, 10, 0.0, 0.277_532_799_862_889),
            (5.0, 10, 0.236_593_090_512_564, 0.763_406_909_487_436),
            (60.0, 60, 0.939_828_147_857_91, 1.0),
            (7.0, 60, 0.057_677_206_400_560_3, 0.221_787_880_241_708_6),
        ] {
            let interval = wilson(count / n as f64, n, CONFIDENCE).unwrap();
            assert!((interval.low - low).abs() < 1e-12, "{count}/{n}: {interval:?}");
            assert!((interval.high - high).abs() < 1e-12, "{count}/{n}: {interval:?}");
        }
        assert_eq!(wilson(0.0, 0, CONFIDENCE), None);
    }

    /// Reference values: numpy 2.4 `percentile`.
    #[test]
    fn percentile_equals_numpy() {
        let four = [1.0, 2.0, 3.0, 10.0];
        assert_eq!(percentile(&four, 50.0), Some(2.5));
        assert!((percentile(&four, 90.0).unwrap() - 7.9).abs() < 1e-12);
        assert_eq!(percentile(&four, 99.0), None);
        assert_eq!(percentile(&[7.0], 90.0), Some(7.0));
        assert_eq!(percentile(&[], 50.0), None);
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert!((percentile(&hundred, 99.0).unwrap() - 99.01).abs() < 1e-9);
    }
}
