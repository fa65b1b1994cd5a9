//! Two runs beside each other, on the same trials: not worse, regressed, or nothing that can be told.

use serde::Serialize;

use super::special::{binomial_cdf, normal_quantile, root, t_quantile};
use super::{CONFIDENCE, Estimate, Interval, Method, Sample, exact};

/// The power that the smallest detectable effect and the number of cases are for.
pub const POWER: f64 = 0.8;

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The interval of the difference lies above minus the margin: what may be lost is less than that.
    NotWorse,
    /// It lies below 0, and reaches below minus the margin.
    Regressed,
    /// Neither: too few cases, or too small a difference.
    CannotTell,
}

impl Verdict {
    /// The verdict of an interval of a difference: new minus old.
    ///
    /// A loss that is sure but smaller than the margin is not worse: that is what a margin means.
    pub fn of(interval: Interval, margin: f64) -> Self {
        if interval.low > -margin {
            Self::NotWorse
        } else if interval.high < 0.0 {
            Self::Regressed
        } else {
            Self::CannotTell
        }
    }

    /// The words for it.
    pub fn words(self) -> &'static str {
        match self {
            Self::NotWorse => "not worse",
            Self::Regressed => "regressed",
            Self::CannotTell => "cannot tell",
        }
    }
}

/// A mean paired difference, new minus old, and what it comes to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The mean difference over the same trials.
    pub difference: Estimate,
    /// How sure the interval is; more than 95 % where several are shown at once.
    pub confidence: f64,
    /// What may be lost.
    pub margin: f64,
    /// What it comes to.
    pub verdict: Verdict,
    /// Trials that scored higher.
    pub better: usize,
    /// Trials that scored lower.
    pub worse: usize,
    /// The p of no loss, two-sided: below 0.05 where the 95 % interval lies below 0.
    pub p: f64,
    /// `McNemar`'s exact p; only of scores of 0 and 1 with one trial a cluster.
    pub mcnemar: Option<f64>,
    /// The smallest loss that as many cases would find in 80 of 100 runs; `None` where they are too few for any.
    pub detectable: Option<f64>,
    /// The number of clusters at which 80 of 100 runs would be told, if the true difference is the one found; `None`
    /// where this one is.
    pub settled_by: Option<usize>,
}

/// Compares the differences of the same trials; `None` of nothing.
pub fn compare(differences: &Sample, margin: f64, confidence: f64) -> Option<Comparison> {
    let difference = differences.estimate(confidence)?;
    let verdict = Verdict::of(difference.interval, margin);
    let (better, worse) = differences.signs();
    let pairs = differences.is_one_a_cluster() && differences.is_of_binary();
    Some(Comparison {
        confidence,
        margin,
        verdict,
        better,
        worse,
        p: (2.0 * differences.p_at_least(0.0)?).min(1.0),
        mcnemar: pairs.then(|| exact::mcnemar(better, worse)),
        detectable: detectable(&difference, confidence),
        settled_by: (verdict == Verdict::CannotTell).then(|| settled_by(&difference, margin, confidence)),
        difference,
    })
}

/// The smallest loss that would be found with 80 % power.
///
/// A loss δ is found if the estimate is so far below 0 that the upper end of its interval is, too: the distance of the
/// ends is that of the interval at hand, and the estimate falls short of δ by more than t(0.8) standard errors in 20 of
/// 100 runs. Without any discordance the error is not known: then δ is the share of clusters that have to lose all for
/// as many of them to be seen, with 80 % power, as the bounds for few discordances need.
fn detectable(difference: &Estimate, confidence: f64) -> Option<f64> {
    let Estimate { mean, interval, clusters, .. } = *difference;
    if let (Method::Clustered, Some(error), Some(df)) =
        (difference.method, difference.standard_error, difference.degrees_of_freedom)
    {
        let found = interval.high - mean + t_quantile(POWER, df) * error;
        return (found <= 1.0).then_some(found);
    }
    let needed = (1..=clusters)
        .find(|it| 0.5f64.powi(i32::try_from(*it).unwrap_or(i32::MAX)) <= (1.0 - confidence) / 2.0)?;
    Some(root(0.0, 1.0, 1e-12, |share| binomial_cdf(needed - 1, clusters, share) - (1.0 - POWER)))
}

/// The number of clusters like these at which the comparison would be told with 80 % power.
///
/// The nearer of the two answers counts, the difference found being the true one: its distance Δ from the margin, or
/// from 0 if it is a loss. With σ² the variance of one cluster's part, n is to satisfy Δ ≥ (z(0.975) + z(0.8)) σ / √n +
/// 1 / n; the last term is the cluster that was not seen. It is at least what a binomial bound needs that saw nothing.
fn settled_by(difference: &Estimate, margin: f64, confidence: f64) -> usize {
    let distance = (margin + difference.mean).max(-difference.mean).min(1.0);
    let tail = (1.0 - confidence) / 2.0;
    let clusters = difference.clusters as f64;
    let deviation = difference.standard_error.unwrap_or(0.0) * clusters.sqrt();
    let reach = (normal_quantile(1.0 - tail) + normal_quantile(POWER)) * deviation;
    let side = (reach + (reach * reach + 4.0 * distance).sqrt()) / (2.0 * distance);
    let unseen = if distance < 1.0 { tail.ln() / (-distance).ln_1p() } else { 1.0 };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of cases")]
    let needed = (side * side).max(unseen).ceil() as usize;
    needed.max(difference.clusters + 1)
}

/// p values as Holm corrects them, in their order: below 0.05 where the family as a whole errs in at most 5 of 100 runs
/// (Holm 1979, Scandinavian Journal of Statistics 6, p. 65).
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|one, other| p[*one].total_cmp(&p[*other]));
    let mut corrected = vec![0.0; p.len()];
    let mut so_far: f64 = 0.0;
    for (rank, place) in order.into_iter().enumerate() {
        so_far = so_far.max((p[place] * (p.len() - rank) as f64).min(1.0));
        corrected[place] = so_far;
    }
    corrected
}

/// The confidence of one of `count` intervals that hold together with the given one (Bonferroni).
pub fn bonferroni(confidence: f64, count: usize) -> f64 {
    1.0 - (1.0 - confidence) / count.max(1) as f64
}

/// One of several groups that are compared at once.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// The group: a category, a topic.
    pub name: String,
    /// Its comparison. The interval is widened by Bonferroni; *regressed* is by Holm, which finds more.
    pub comparison: Comparison,
    /// The p of no loss as Holm corrects it.
    pub holm: f64,
}

/// Compares several groups at once; those without values are left out.
pub fn groups(samples: Vec<(String, Sample)>, margin: f64) -> Vec<Group> {
    let confidence = bonferroni(CONFIDENCE, samples.iter().filter(|(_, it)| it.n() > 0).count());
    let mut groups: Vec<Group> = samples
        .into_iter()
        .filter_map(|(name, sample)| {
            let comparison = compare(&sample, margin, confidence)?;
            Some(Group { name, holm: comparison.p, comparison })
        })
        .collect();
    let corrected = holm(&groups.iter().map(|it| it.holm).collect::<Vec<_>>());
    for (group, p) in groups.iter_mut().zip(corrected) {
        group.holm = p;
        let comparison = &mut group.comparison;
        if comparison.verdict != Verdict::NotWorse && p < 1.0 - CONFIDENCE {
            comparison.verdict = Verdict::Regressed;
            comparison.settled_by = None;
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::stats::{Observation, Range};

    /// One trial a cluster: so many better, worse and the same.
    fn singles(better: usize, worse: usize, same: usize) -> Sample {
        let values = std::iter::repeat_n(1.0, better)
            .chain(std::iter::repeat_n(-1.0, worse))
            .chain(std::iter::repeat_n(0.0, same));
        let names: Vec<String> = (0..better + worse + same).map(|it| it.to_string()).collect();
        let values = names.iter().zip(values);
        Sample::new(
            Range::DIFFERENCE,
            values.map(|(cluster, value)| Observation { stratum: "a topic", cluster, value }),
        )
    }

    #[track_caller]
    fn check(better: usize, worse: usize, same: usize, verdict: Verdict) -> Comparison {
        let found = compare(&singles(better, worse, same), 0.05, CONFIDENCE).unwrap();
        assert_eq!(found.verdict, verdict, "{found:?}");
        found
    }

    #[test]
    fn verdicts() {
        check(0, 0, 71, Verdict::CannotTell);
        check(0, 0, 72, Verdict::NotWorse);
        check(0, 1, 99, Verdict::CannotTell);
        check(0, 5, 15, Verdict::CannotTell);
        check(0, 6, 14, Verdict::Regressed);
        check(9, 3, 300, Verdict::NotWorse);
        check(30, 80, 300, Verdict::Regressed);
        // A loss that is sure, and below the margin.
        let small = check(0, 8, 2_000, Verdict::NotWorse);
        assert!(small.difference.interval.high < 0.0, "{small:?}");
    }

    /// Without any discordance the bounds are binomial: 1 − 0.025^(1/n), never [0, 0].
    #[test]
    fn no_discordance_is_no_certainty() {
        let Comparison { difference, p, detectable, .. } = check(0, 0, 20, Verdict::CannotTell);
        assert_eq!(difference.method, Method::Exact);
        // scipy 1.17.1: 1 - 0.025 ** (1 / 20)
        assert!((difference.interval.high - 0.168_433_470_983_085_36).abs() < 1e-12, "{difference:?}");
        assert!((difference.interval.low + 0.168_433_470_983_085_36).abs() < 1e-12, "{difference:?}");
        assert!((p - 1.0).abs() < 1e-12);
        // Six of 20 clusters have to be seen: scipy 1.17.1, brentq(lambda q: binom.cdf(5, 20, q) - 0.2, 0, 1).
        assert!((detectable.unwrap() - 0.366_459_351_255_051_5).abs() < 1e-9, "{detectable:?}");
        assert_eq!(check(0, 0, 5, Verdict::CannotTell).detectable, None);
    }

    /// At 10 % discordance 5 points need some 314 cases by the normal formula, 2 points some 2 000; the cluster that was
    /// not seen adds to them.
    #[rstest::rstest]
    #[case(0.05, 330..=360)]
    #[case(0.02, 2_000..=2_100)]
    fn how_many_cases_would_settle_it(#[case] margin: f64, #[case] wanted: std::ops::RangeInclusive<usize>) {
        let found = compare(&singles(5, 5, 90), margin, CONFIDENCE).unwrap();
        assert!(wanted.contains(&found.settled_by.unwrap()), "{found:?}");
    }

    #[test]
    fn mcnemar_is_only_for_one_trial_a_cluster() {
        let found = check(3, 9, 18, Verdict::CannotTell);
        assert_eq!(found.mcnemar, Some(exact::mcnemar(3, 9)));
        let together = ["a", "a", "b"].map(|cluster| Observation { stratum: "s", cluster, value: -1.0 });
        let found = compare(&Sample::new(Range::DIFFERENCE, together), 0.05, CONFIDENCE).unwrap();
        assert_eq!(found.mcnemar, None);
        let graded = [0.5, 0.0].map(|value| Observation {
            stratum: if value > 0.0 { "s" } else { "t" },
            cluster: "a",
            value,
        });
        let found = compare(&Sample::new(Range::DIFFERENCE, graded), 0.05, CONFIDENCE).unwrap();
        assert_eq!(found.mcnemar, None);
    }

    /// Reference values: statsmodels 0.15.0 `multipletests([0.01, 0.04, 0.03, 0.005, 0.5], method="holm")`.
    #[test]
    fn holm_equals_statsmodels() {
        let found = holm(&[0.01, 0.04, 0.03, 0.005, 0.5]);
        for (found, wanted) in found.iter().zip([0.04, 0.09, 0.09, 0.025, 0.5]) {
            assert!((found - wanted).abs() < 1e-12, "{found} is not {wanted}");
        }
        assert!(holm(&[]).is_empty());
    }

    /// Holm finds what Bonferroni's wider interval leaves open, and the others stay as they are.
    #[test]
    fn categories_are_regressed_by_holm() {
        let found = groups(
            vec![
                ("clear".to_owned(), singles(0, 40, 60)),
                ("narrow".to_owned(), singles(0, 6, 60)),
                ("none".to_owned(), singles(0, 0, 0)),
            ],
            0.05,
        );
        let [clear, narrow] = &found[..] else { panic!("{found:?}") };
        assert_eq!(clear.comparison.verdict, Verdict::Regressed);
        assert_eq!(narrow.comparison.verdict, Verdict::Regressed, "{narrow:?}");
        assert!(narrow.comparison.difference.interval.high > 0.0, "{narrow:?}");
        assert!((narrow.comparison.confidence - 0.975).abs() < 1e-12);
    }

    proptest! {
        /// The p is below 0.05 where the interval lies below 0.
        #[test]
        fn interval_and_p_say_the_same(
            values in proptest::collection::vec((0usize..3, 0usize..12, -4i8..=3), 1..80),
        ) {
            let names: Vec<String> = (0..12).map(|it| it.to_string()).collect();
            let values = values.iter().map(|(stratum, cluster, value)| Observation {
                stratum: &names[*stratum],
                cluster: &names[*cluster],
                value: f64::from(*value) / 4.0,
            });
            let found = compare(&Sample::new(Range::DIFFERENCE, values), 0.05, CONFIDENCE).unwrap();
            let Interval { low, high } = found.difference.interval;
            prop_assert!((-1.0..=1.0).contains(&low) && (-1.0..=1.0).contains(&high));
            prop_assert!(low <= found.difference.mean + 1e-12 && found.difference.mean <= high + 1e-12);
            prop_assert!(low < high);
            if high.abs() > 1e-7 {
                prop_assert_eq!(high < 0.0, found.p < 0.05, "{:?}", found);
            }
        }

        /// What is not better is not told to be: turning all values round turns the interval round.
        #[test]
        fn the_interval_has_no_side(
            values in proptest::collection::vec((0usize..3, 0usize..6, -4i8..=4), 1..60),
        ) {
            let names: Vec<String> = (0..6).map(|it| it.to_string()).collect();
            let sample = |sign: f64| {
                let values = values.iter().map(|(stratum, cluster, value)| Observation {
                    stratum: &names[*stratum],
                    cluster: &names[*cluster],
                    value: sign * f64::from(*value) / 4.0,
                });
                Sample::new(Range::DIFFERENCE, values).estimate(CONFIDENCE).unwrap().interval
            };
            let (one, other) = (sample(1.0), sample(-1.0));
            prop_assert!((one.low + other.high).abs() < 1e-8, "{one:?} {other:?}");
            prop_assert!((one.high + other.low).abs() < 1e-8, "{one:?} {other:?}");
        }
    }
}
