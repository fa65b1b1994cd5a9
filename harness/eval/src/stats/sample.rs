//! The one interval: a mean over clusters in strata, and how sure it is.

use std::collections::BTreeMap;

use serde::Serialize;

use super::cluster::{Cluster, Spread, Strata};
use super::exact::{Total, Totals, Unseen, unseen};
use super::{Interval, wilson};

/// What a value can be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Range {
    /// The least.
    pub low: f64,
    /// The most.
    pub high: f64,
}

impl Range {
    /// Scores of trials.
    pub const SCORE: Self = Self { low: 0.0, high: 1.0 };
    /// Differences of two scores of the same trial.
    pub const DIFFERENCE: Self = Self { low: -1.0, high: 1.0 };
}

/// A value of a trial, and what it stands or falls with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation<'a> {
    /// The fixed group that it belongs to, whatever is asked: its topic.
    pub stratum: &'a str,
    /// Within its stratum, what is drawn together: a case with all its variants and repeats, a generated family.
    pub cluster: &'a str,
    /// A score, or the difference of two.
    pub value: f64,
}

/// Values in their clusters.
#[derive(Clone, Debug)]
pub struct Sample {
    range: Range,
    n: usize,
    /// In the order of their strata's names, then of their own.
    clusters: Vec<Cluster>,
    /// Values above and below 0; whether all are the least or the most that they can be, and whether all are one of these
    /// or 0.
    above: usize,
    below: usize,
    binary: bool,
    whole: bool,
}

/// How an interval came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// Student's t with CR2's error, widened by the bounds for few discordances where these are wider.
    Clustered,
    /// Binomial bounds, n the number of clusters: all clusters are the same.
    Exact,
    /// Wilson's, for scores of 0 or 1 with one trial a cluster.
    Wilson,
}

/// A mean, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Values.
    pub n: usize,
    /// Clusters, the unit of the interval.
    pub clusters: usize,
    /// The mean of the values.
    pub mean: f64,
    /// CR2; `None` of one cluster.
    pub standard_error: Option<f64>,
    /// Of Student's t; `None` of one cluster.
    pub degrees_of_freedom: Option<f64>,
    /// What covers the true mean with the confidence that was asked for.
    pub interval: Interval,
    /// How the interval came about.
    pub method: Method,
}

impl Sample {
    /// Puts values into their clusters.
    pub fn new<'a>(range: Range, values: impl IntoIterator<Item = Observation<'a>>) -> Self {
        let mut strata: BTreeMap<&str, BTreeMap<&str, (f64, f64, f64)>> = BTreeMap::new();
        let mut sample =
            Self { range, n: 0, clusters: Vec::new(), above: 0, below: 0, binary: true, whole: true };
        for Observation { stratum, cluster, value } in values {
            let (size, sum, squares) = strata.entry(stratum).or_default().entry(cluster).or_default();
            *size += 1.0;
            *sum += value;
            *squares += value * value;
            sample.n += 1;
            sample.above += usize::from(value > 0.0);
            sample.below += usize::from(value < 0.0);
            let extreme = value <= range.low || value >= range.high;
            sample.binary &= extreme;
            sample.whole &= extreme || value == 0.0;
        }
        for (stratum, clusters) in strata.into_values().enumerate() {
            let clusters = clusters.into_values();
            let clusters = clusters.map(|(size, sum, squares)| Cluster { stratum, size, sum, squares });
            sample.clusters.extend(clusters);
        }
        sample
    }

    /// Number of values.
    pub fn n(&self) -> usize {
        self.n
    }

    /// Number of clusters.
    pub fn clusters(&self) -> usize {
        self.clusters.len()
    }

    /// Values above and below 0.
    pub fn signs(&self) -> (usize, usize) {
        (self.above, self.below)
    }

    /// Whether all values are differences of scores of 0 and 1.
    pub fn is_of_binary(&self) -> bool {
        self.whole
    }

    /// Whether every cluster has a single value.
    pub fn is_one_a_cluster(&self) -> bool {
        self.n == self.clusters.len()
    }

    /// The mean of the values; `None` of nothing.
    pub fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.clusters.iter().map(|it| it.sum).sum::<f64>() / self.n as f64)
    }

    /// The mean with an interval of the given confidence, such as 0.95, two-sided; `None` of nothing.
    pub fn estimate(&self, confidence: f64) -> Option<Estimate> {
        let mean = self.mean()?;
        let tail = (1.0 - confidence) / 2.0;
        let spread = Spread::of(&self.clusters);
        let (interval, method) = match &spread {
            _ if self.range == Range::SCORE && self.binary && self.is_one_a_cluster() => {
                (wilson(mean, self.n, confidence)?, Method::Wilson)
            }
            Some(spread) if spread.error > f64::EPSILON => {
                let half = spread.half(tail);
                let within = Interval {
                    low: (mean - half).max(self.range.low),
                    high: (mean + half).min(self.range.high),
                };
                (self.totals(mean).widened(within, self.range, tail), Method::Clustered)
            }
            _ => {
                let part = unseen(self.clusters.len(), tail);
                let Range { low, high } = self.range;
                let interval =
                    Interval { low: mean - (mean - low) * part, high: mean + (high - mean) * part };
                (interval, Method::Exact)
            }
        };
        Some(Estimate {
            n: self.n,
            clusters: self.clusters.len(),
            mean,
            standard_error: spread.as_ref().map(|it| it.error),
            degrees_of_freedom: spread.as_ref().map(|it| it.df(tail)),
            interval,
            method,
        })
    }

    /// The p, one-sided, of the claim that the true mean is `value` or more: small where the values speak for less.
    ///
    /// It is below (1 − c) / 2 exactly where the interval of confidence c lies below the value.
    pub fn p_at_least(&self, value: f64) -> Option<f64> {
        let mean = self.mean()?;
        if mean >= value {
            return Some(1.0);
        }
        if let Some(spread) = Spread::of(&self.clusters).filter(|it| it.error > f64::EPSILON) {
            Some(spread.tail(value - mean).max(self.totals(mean).above(value, self.range.high)))
        } else {
            let missing = (value - mean) / (self.range.high - mean);
            Some((1.0 - missing).max(0.0).powi(i32::try_from(self.clusters.len()).unwrap_or(i32::MAX)))
        }
    }

    /// The clusters as the bounds for few discordances take them.
    ///
    /// Scores differ from topic to topic, and that is no error: they are taken as the mean and what CR2 makes of a
    /// cluster's residuals in its stratum. Differences are taken as they are: where few are not 0, a stratum has at most
    /// one of them, and says nothing of how far it is from the others.
    fn totals(&self, mean: f64) -> Totals {
        let strata = Strata::of(&self.clusters);
        let stratified = self.range != Range::DIFFERENCE;
        let (mut totals, mut size, mut squares, mut cubes) = (Vec::new(), 0.0, 0.0, 0.0);
        let (mut between, mut within) = (0.0, 0.0);
        let clusters =
            self.clusters.iter().zip(strata.adjusted(&self.clusters)).zip(strata.means(&self.clusters));
        for ((it, residual), own) in clusters {
            let centre = if stratified { own } else { mean };
            let sum = if stratified { it.size * mean + residual } else { it.sum };
            totals.push(Total { size: it.size, sum });
            size += it.size;
            squares += it.size * it.size;
            cubes += it.size.powi(3);
            between += (sum - it.size * mean).powi(2);
            within += it.squares - 2.0 * centre * it.sum + it.size * centre * centre;
        }
        Totals::new(totals, Unseen { whole: cubes / squares, average: squares / size, between, within })
    }
}
