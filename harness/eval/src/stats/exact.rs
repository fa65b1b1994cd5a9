//! Bounds that hold however few values differ from the rest.
//!
//! Where few clusters are discordant, their standard error is itself a guess: a sample with one discordance of a
//! hundred has a t interval that is half as wide as it should be, and one with none has none at all. The bounds of
//! this module hold there. They are the quantiles of a weighted mean with random weights, of the clusters *and one
//! more cluster that has the worst value possible*:
//!
//! ```text
//! lower bound: the q with P(Σ Eᵢ (xᵢ − q mᵢ) < 0) = α/2     over the clusters i and one of value `low`
//! upper bound: the q with P(Σ Eᵢ (xᵢ − q mᵢ) > 0) = α/2     over the clusters i and one of value `high`
//! ```
//!
//! with xᵢ the total and mᵢ the size of a cluster, and Eᵢ independent and exponential. This is Learned-Miller and
//! Thomas' bound for the mean of a bounded variable (arXiv 1905.06208; Phan, Thomas and Learned-Miller 2021, ICML,
//! arXiv 2106.03163) as a Bayesian bootstrap (Rubin 1981, Annals of Statistics 9, p. 130). For clusters of one trial it
//! is what is used anyway: Clopper and Pearson's interval for scores of 0 and 1, and for differences of −1, 0 and 1 the
//! test that it stands for, of no difference, is `McNemar`'s exact one. It extends both to clusters of any size.

use std::f64::consts::PI;

use super::special::{beta_quantile, binomial_cdf, root};
use super::{Interval, Range};

/// Clopper and Pearson's interval of a proportion, with the given confidence (Clopper and Pearson 1934, Biometrika
/// 26, p. 404).
pub fn clopper_pearson(count: usize, n: usize, confidence: f64) -> Option<Interval> {
    if n == 0 || count > n {
        return None;
    }
    let tail = (1.0 - confidence) / 2.0;
    let (hits, misses) = (count as f64, (n - count) as f64);
    let low = if count == 0 { 0.0 } else { beta_quantile(hits, misses + 1.0, tail) };
    let high = if count == n { 1.0 } else { beta_quantile(hits + 1.0, misses, 1.0 - tail) };
    Some(Interval { low, high })
}

/// `McNemar`'s exact p, two-sided: how likely at least so uneven a split of the discordant pairs is without a difference
/// (`McNemar` 1947, Psychometrika 12, p. 153; the binomial instead of its χ²).
///
/// Only for pairs that are independent of each other: one trial a cluster.
pub fn mcnemar(better: usize, worse: usize) -> f64 {
    (2.0 * binomial_cdf(better.min(worse), better + worse, 0.5)).min(1.0)
}

/// How far a mean of `clusters` values that are all the same may be from the truth, as a part of the way to the end
/// of the range: Clopper and Pearson's bound for no success in so many tries.
pub(super) fn unseen(clusters: usize, tail: f64) -> f64 {
    1.0 - tail.powf(1.0 / clusters as f64)
}

/// A cluster: its size, and the total of its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Total {
    pub(super) size: f64,
    pub(super) sum: f64,
}

/// Clusters with how often each occurs, sorted: equal ones are one term.
#[derive(Clone, Debug)]
pub(super) struct Totals {
    terms: Vec<(Total, f64)>,
    unseen: Unseen,
}

/// How large the cluster is that was not seen.
///
/// If values in a cluster are independent of each other, it is a trial. If they are all alike, it is Σ m³ / Σ m²: the
/// second moment of a mean then grows as Σ m², the third as Σ m³, and what this cluster makes up for is skewness, their
/// ratio. A cluster that a trial drawn by chance is in, Σ m² / Σ m, is too small for that, the largest one too large.
///
/// How alike they are, the clusters say themselves, by their design effect: the squares of their sums of deviations
/// against the squares of the deviations. It is 1 + (m* − 1) ρ with m* = Σ m² / Σ m and ρ the intra-cluster correlation
/// (Kish 1965, Survey Sampling, 5.4 and 8.2). The unseen cluster counts among them, as one whose values are alike: so it
/// is large as long as little is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unseen {
    /// Σ m³ / Σ m².
    pub(super) whole: f64,
    /// m*: the size of the cluster in which a trial drawn by chance is, on average.
    pub(super) average: f64,
    /// Σ over clusters of (the sum of deviations from the mean)².
    pub(super) between: f64,
    /// Σ over values of (the deviation from the mean)².
    pub(super) within: f64,
}

impl Unseen {
    /// Its size, if its values are so far from the mean.
    fn size(self, distance: f64) -> f64 {
        let Self { whole, average, between, within } = self;
        if average <= 1.0 {
            return 1.0;
        }
        let square = distance * distance;
        let effect = (average * average * square + between) / (average * square + within);
        1.0 + (whole - 1.0) * ((effect - 1.0) / (average - 1.0)).clamp(0.0, 1.0)
    }
}

impl Totals {
    pub(super) fn new(mut totals: Vec<Total>, unseen: Unseen) -> Self {
        totals.sort_by(|one, other| one.size.total_cmp(&other.size).then(one.sum.total_cmp(&other.sum)));
        let mut terms: Vec<(Total, f64)> = Vec::new();
        for total in totals {
            match terms.last_mut() {
                Some((last, count)) if *last == total => *count += 1.0,
                _ => terms.push((total, 1.0)),
            }
        }
        Self { terms, unseen }
    }

    fn mean(&self) -> f64 {
        let total = |of: fn(&Total) -> f64| self.terms.iter().map(|(it, count)| count * of(it)).sum::<f64>();
        total(|it| it.sum) / total(|it| it.size)
    }

    /// How likely the mean with random weights is below `q`, with a cluster of the value `worst` among them.
    pub(super) fn below(&self, q: f64, worst: f64) -> f64 {
        let mut terms: Vec<(f64, f64)> =
            self.terms.iter().map(|(it, count)| (q * it.size - it.sum, *count)).collect();
        terms.push(((q - worst) * self.unseen.size(self.mean() - worst), 1.0));
        positive(&terms)
    }

    /// How likely the mean with random weights is above `q`, with a cluster of the value `best` among them.
    pub(super) fn above(&self, q: f64, best: f64) -> f64 {
        let mut terms: Vec<(f64, f64)> =
            self.terms.iter().map(|(it, count)| (it.sum - q * it.size, *count)).collect();
        terms.push(((best - q) * self.unseen.size(best - self.mean()), 1.0));
        positive(&terms)
    }

    /// The bounds of this module where they are wider than `within`; its ends where not.
    pub(super) fn widened(&self, within: Interval, range: Range, tail: f64) -> Interval {
        let low = if self.below(within.low, range.low) <= tail {
            within.low
        } else {
            root(range.low, within.low, 1e-11, |q| self.below(q, range.low) - tail)
        };
        let high = if self.above(within.high, range.high) <= tail {
            within.high
        } else {
            root(within.high, range.high, 1e-11, |q| self.above(q, range.high) - tail)
        };
        Interval { low, high }
    }
}

/// The probability that Σ aᵢ Gᵢ is above 0, of (aᵢ, kᵢ) with independent Gᵢ of the gamma distribution with shape kᵢ.
///
/// It is 1/2πi ∫ exp(K(s)) / s ds with K(s) = −Σ kᵢ ln(1 − aᵢ s), along a line that crosses the real axis between 0 and
/// the least 1 / aᵢ (Daniels 1987, International Statistical Review 55, p. 37, takes the same integral for his
/// approximation). Through its saddle point nothing swings, and with s = c + i w sinh t the trapezoidal rule gives about
/// twelve digits with a score of points.
fn positive(terms: &[(f64, f64)]) -> f64 {
    if terms.iter().all(|(a, _)| *a <= 0.0) {
        return 0.0;
    }
    if terms.iter().all(|(a, _)| *a >= 0.0) {
        return 1.0;
    }
    let scale = terms.iter().map(|(a, k)| k * a * a).sum::<f64>().sqrt();
    // Of the two sides, the one that is less likely.
    let mean: f64 = terms.iter().map(|(a, k)| k * a).sum();
    let flip = if mean > 0.0 { -1.0 } else { 1.0 };
    let terms: Vec<(f64, f64)> = terms.iter().map(|(a, k)| (flip * a / scale, *k)).collect();
    let most = terms.iter().map(|(a, _)| *a).fold(0.0, f64::max);
    let slope = |s: f64| terms.iter().map(|(a, k)| k * a / (1.0 - a * s)).sum::<f64>() - 1.0 / s;
    let saddle = root(1e-9 / most, (1.0 - 1e-12) / most, 1e-6 / most, slope);
    let curvature = terms.iter().map(|(a, k)| k * (a / (1.0 - a * saddle)).powi(2)).sum::<f64>();
    let width = (curvature + 1.0 / (saddle * saddle)).sqrt().recip();
    let at = |t: f64| {
        let y = width * t.sinh();
        let (mut log, mut angle) = (0.0, -y.atan2(saddle));
        for (a, k) in &terms {
            let (real, imaginary) = (1.0 - a * saddle, a * y);
            log -= k * (real * real + imaginary * imaginary).ln();
            angle += k * imaginary.atan2(real);
        }
        let modulus = log / 2.0 - (saddle * saddle + y * y).ln() / 2.0;
        modulus.exp() * angle.cos() * width * t.cosh()
    };
    let first = at(0.0);
    let mut sum = first / 2.0;
    let mut small = 0;
    for point in 1..400 {
        let value = at(f64::from(point) * STEP);
        sum += value;
        small = if value.abs() < 1e-14 * first { small + 1 } else { 0 };
        if small == 2 {
            break;
        }
    }
    let tail = (sum * STEP / PI).clamp(0.0, 1.0);
    if flip < 0.0 { 1.0 - tail } else { tail }
}

/// The step of the trapezoidal rule.
const STEP: f64 = 0.125;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn near(found: f64, wanted: f64, within: f64) {
        assert!((found - wanted).abs() <= within, "{found} is not {wanted}");
    }

    /// Reference values: scipy 1.17.1 `stats.binomtest(k, n).proportion_ci(0.95, method="exact")`.
    #[test]
    fn clopper_pearson_equals_scipy() {
        for (count, n, low, high) in [
            (0, 5, 0.0, 0.521_823_750_104_981_4),
            (1, 100, 0.000_253_146_032_681_892_83, 0.054_459_385_392_080_666),
            (7, 60, 0.048_214_841_871_314_335, 0.225_716_153_145_692_5),
            (60, 60, 0.940_370_507_713_665_3, 1.0),
        ] {
            let found = clopper_pearson(count, n, 0.95).unwrap();
            near(found.low, low, 1e-12);
            near(found.high, high, 1e-12);
        }
        assert_eq!(clopper_pearson(0, 0, 0.95), None);
        assert_eq!(clopper_pearson(3, 2, 0.95), None);
    }

    /// Reference values: scipy 1.17.1 `stats.binomtest(b, b + c, 0.5).pvalue`.
    #[test]
    fn mcnemar_equals_scipy() {
        for (better, worse, p) in
            [(0, 0, 1.0), (0, 6, 0.031_25), (3, 9, 0.145_996_093_75), (10, 25, 0.016_673_847_800_120_715)]
        {
            near(mcnemar(better, worse), p, 1e-12);
            near(mcnemar(worse, better), p, 1e-12);
        }
    }

    /// Reference values: the quantiles of 4 000 000 weighted means drawn with numpy 2.4.6,
    /// `E = default_rng(1).exponential(size=(4_000_000, 6))`, which are right to about three digits.
    #[test]
    fn bounds_equal_drawn_ones() {
        let clusters = [(1.0, 0.0), (2.0, -1.0), (4.0, 0.0), (1.0, 1.0), (8.0, -2.0)];
        let unseen = Unseen { whole: 3.2, average: 3.2, between: 0.0, within: 0.0 };
        let totals = Totals::new(clusters.map(|(size, sum)| Total { size, sum }).to_vec(), unseen);
        let inside = Interval { low: -0.125, high: -0.125 };
        let found = totals.widened(inside, Range::DIFFERENCE, 0.025);
        near(found.low, -0.611_449, 1e-3);
        near(found.high, 0.574_075, 1e-3);
    }

    const SINGLE: Unseen = Unseen { whole: 1.0, average: 1.0, between: 0.0, within: 0.0 };

    proptest! {
        /// With one trial a cluster, the bounds of scores of 0 and 1 are Clopper and Pearson's.
        #[test]
        fn bounds_of_scores_are_clopper_pearson(n in 2usize..120, share in 0.0f64..1.0) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
            let count = 1 + ((n - 1) as f64 * share) as usize % (n - 1);
            let totals = (0..n).map(|it| Total { size: 1.0, sum: f64::from(u8::from(it < count)) });
            let mean = count as f64 / n as f64;
            let inside = Interval { low: mean, high: mean };
            let found = Totals::new(totals.collect(), SINGLE).widened(inside, Range::SCORE, 0.025);
            let wanted = clopper_pearson(count, n, 0.95).unwrap();
            prop_assert!((found.low - wanted.low).abs() < 1e-8, "{found:?} is not {wanted:?}");
            prop_assert!((found.high - wanted.high).abs() < 1e-8, "{found:?} is not {wanted:?}");
        }

        /// With one trial a cluster, the test that the bounds of differences stand for is McNemar's exact one.
        #[test]
        fn bounds_of_differences_are_mcnemar(better in 0usize..30, worse in 0usize..30, same in 1usize..50) {
            let sums = std::iter::repeat_n(1.0, better)
                .chain(std::iter::repeat_n(-1.0, worse))
                .chain(std::iter::repeat_n(0.0, same));
            let totals = Totals::new(sums.map(|sum| Total { size: 1.0, sum }).collect(), SINGLE);
            let p = binomial_cdf(better, better + worse, 0.5);
            prop_assert!((totals.above(0.0, 1.0) - p).abs() < 1e-8);
        }
    }
}
