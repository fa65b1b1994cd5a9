//! Statistics: means, intervals, percentiles.

pub mod agreement;

use serde::Serialize;

/// The quantile of the normal distribution that a two-sided 95 % interval uses.
const Z95: f64 = 1.959_963_984_540_054;

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

/// Wilson's score interval of a proportion, 95 %, two-sided (Wilson 1927, JASA 22, p. 209).
///
/// `mean` is the mean of n scores between 0 and 1. For scores that are not 0 or 1 it is wider than needed: no
/// distribution on that range with that mean varies more than one of zeros and ones.
pub fn wilson(mean: f64, n: usize) -> Option<Interval> {
    if n == 0 {
        return None;
    }
    let n = n as f64;
    let z2 = Z95 * Z95;
    let centre = (mean + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z95 / (1.0 + z2 / n) * (mean * (1.0 - mean) / n + z2 / (4.0 * n * n)).max(0.0).sqrt();
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
            let interval = wilson(count / n as f64, n).unwrap();
            assert!((interval.low - low).abs() < 1e-12, "{count}/{n}: {interval:?}");
            assert!((interval.high - high).abs() < 1e-12, "{count}/{n}: {interval:?}");
        }
        assert_eq!(wilson(0.0, 0), None);
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
