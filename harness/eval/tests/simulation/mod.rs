//! Runs of known truth, drawn from a fixed seed: what intervals and verdicts are held to.

use eval::stats::compare::{Verdict, compare};
use eval::stats::special::t_quantile;
use eval::stats::{CONFIDENCE, Observation, Range, Sample};

/// What may be lost: the default of `models.yaml`.
pub(crate) const MARGIN: f64 = 0.05;

/// Sizes of clusters, over and over: most small, some that weigh as much as ten of them.
const SIZES: [usize; 10] = [1, 2, 4, 1, 8, 3, 1, 5, 2, 13];

/// How values in a cluster hang together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// They do not.
    None,
    /// Two of them are drawn as one in half of all cases: an intra-cluster correlation of 0.5.
    Half,
    /// They are all the same.
    Whole,
}

/// What a trial comes to, and how likely.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth {
    /// A value, and how likely it is.
    pub(crate) values: &'static [(f64, f64)],
    /// How much likelier the last value is in every other topic, and the first in the rest: topics differ.
    pub(crate) apart: f64,
}

impl Truth {
    /// The mean of the values in a stratum.
    fn mean(&self, shift: f64) -> f64 {
        let all: f64 = self.values.iter().map(|(value, part)| value * part).sum();
        match self.values {
            [(first, _), .., (last, _)] => all + shift * (last - first),
            _ => all,
        }
    }
}

/// What is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Design {
    /// The number of clusters.
    pub(crate) clusters: usize,
    /// The number of topics that they are spread over.
    pub(crate) strata: usize,
    /// How values in a cluster hang together.
    pub(crate) effect: Effect,
    /// Scores, or differences of scores.
    pub(crate) range: Range,
    /// What is true.
    pub(crate) truth: Truth,
}

/// How often, of all runs.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Found {
    /// The interval covered the truth.
    pub(crate) covered: f64,
    /// The verdict was *regressed*.
    pub(crate) regressed: f64,
    /// The verdict was *not worse*.
    pub(crate) not_worse: f64,
    /// The same of an interval of CR2 and Student's t alone.
    pub(crate) plain: [f64; 3],
    /// How wide the interval was on average, and the plain one.
    pub(crate) width: [f64; 2],
}

/// Numbers that look drawn by chance: `SplitMix64` (Steele, Lea and Flood 2014, OOPSLA, p. 453).
pub(crate) struct Draws(pub(crate) u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        it ^ (it >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn below(&mut self, count: usize) -> usize {
        usize::try_from(self.next() % count as u64).unwrap_or_default()
    }
}

impl Design {
    /// One run.
    pub(crate) fn draw(&self, draws: &mut Draws) -> Sample {
        let names: Vec<String> = (0..self.clusters).map(|it| it.to_string()).collect();
        let mut values = Vec::new();
        let mut own: Vec<f64> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let stratum = self.stratum(index);
            own.clear();
            for place in 0..SIZES[index % SIZES.len()] {
                // Pólya's urn: what was drawn is put back with another of its kind.
                let again = match self.effect {
                    Effect::None => false,
                    Effect::Half => draws.unit() < place as f64 / (1.0 + place as f64),
                    Effect::Whole => place > 0,
                };
                own.push(if again { own[draws.below(place)] } else { self.value(stratum, draws) });
            }
            values.extend(own.iter().map(|value| Observation {
                stratum: &names[stratum],
                cluster: name,
                value: *value,
            }));
        }
        Sample::new(self.range, values)
    }

    fn stratum(&self, cluster: usize) -> usize {
        cluster * self.strata / self.clusters
    }

    fn shift(&self, stratum: usize) -> f64 {
        match () {
            () if self.strata < 2 => 0.0,
            () if stratum.is_multiple_of(2) => self.truth.apart,
            () => -self.truth.apart,
        }
    }

    /// The mean that an interval is to cover: of all trials, each topic's own.
    pub(crate) fn truth(&self) -> f64 {
        let size = |cluster: usize| SIZES[cluster % SIZES.len()] as f64;
        let all: f64 = (0..self.clusters).map(size).sum();
        let mean = |it| self.truth.mean(self.shift(self.stratum(it)));
        (0..self.clusters).map(|it| size(it) * mean(it)).sum::<f64>() / all
    }

    fn value(&self, stratum: usize, draws: &mut Draws) -> f64 {
        let mut left = draws.unit();
        let values = self.truth.values;
        let shift = self.shift(stratum);
        let last = values.len() - 1;
        for (place, (value, part)) in values.iter().enumerate() {
            left -= part
                + if place == 0 {
                    -shift
                } else if place == last {
                    shift
                } else {
                    0.0
                };
            if left < 0.0 {
                return *value;
            }
        }
        values[last].0
    }

    /// What so many runs come to.
    pub(crate) fn simulate(&self, runs: usize, seed: u64) -> Found {
        let mut draws = Draws(seed);
        let mut found = Found::default();
        let truth = self.truth();
        let count = |place: &mut f64, it: bool| *place += f64::from(u8::from(it)) / runs as f64;
        for _ in 0..runs {
            let sample = self.draw(&mut draws);
            let comparison = compare(&sample, MARGIN, CONFIDENCE).expect("there are values");
            let it = comparison.difference;
            let half = it.degrees_of_freedom.map_or(2.0, |df| t_quantile(0.975, df))
                * it.standard_error.unwrap_or(1.0);
            let (low, high) = (it.mean - half, it.mean + half);
            count(&mut found.covered, it.interval.low <= truth && truth <= it.interval.high);
            count(&mut found.regressed, comparison.verdict == Verdict::Regressed);
            count(&mut found.not_worse, comparison.verdict == Verdict::NotWorse);
            count(&mut found.plain[0], low <= truth + 1e-12 && truth - 1e-12 <= high);
            count(&mut found.plain[1], high < 0.0 && low <= -MARGIN);
            count(&mut found.plain[2], low > -MARGIN);
            found.width[0] += (it.interval.high - it.interval.low) / runs as f64;
            found.width[1] += (high - low) / runs as f64;
        }
        found
    }
}

/// What is simulated: clusters, the topics that they are spread over, and how their values hang together.
pub(crate) fn designs(range: Range, truth: Truth) -> Vec<Design> {
    let mut designs = Vec::new();
    for effect in [Effect::None, Effect::Half, Effect::Whole] {
        for (clusters, strata) in [(5, 1), (20, 4), (100, 1), (100, 20)] {
            designs.push(Design { clusters, strata, effect, range, truth });
        }
    }
    designs
}

/// Truths with their names.
pub(crate) type Truths = [(&'static str, Truth)];

const fn truth(values: &'static [(f64, f64)], apart: f64) -> Truth {
    Truth { values, apart }
}

/// Differences that are 0 on average: of all trials, so many are discordant.
pub(crate) const EQUAL: &Truths = &[
    ("0, 2 % discordant", truth(&[(-1.0, 0.01), (0.0, 0.98), (1.0, 0.01)], 0.0)),
    ("0, 10 % discordant", truth(&[(-1.0, 0.05), (0.0, 0.9), (1.0, 0.05)], 0.0)),
    ("0, 30 % discordant", truth(&[(-1.0, 0.15), (0.0, 0.7), (1.0, 0.15)], 0.0)),
    ("0, small losses, rare gains", truth(&[(-0.25, 0.2), (0.0, 0.75), (1.0, 0.05)], 0.0)),
];

/// Differences that are as low as the margin, on average.
pub(crate) const WORSE: &Truths = &[
    ("−5, only losses", truth(&[(-1.0, 0.05), (0.0, 0.95)], 0.0)),
    ("−5, 10 % discordant", truth(&[(-1.0, 0.075), (0.0, 0.9), (1.0, 0.025)], 0.0)),
    ("−5, 30 % discordant", truth(&[(-1.0, 0.175), (0.0, 0.7), (1.0, 0.125)], 0.0)),
    ("−5, rare losses, small gains", truth(&[(-1.0, 0.1), (0.0, 0.7), (0.25, 0.2)], 0.0)),
    ("−5, graded", truth(&[(-0.5, 0.2), (-0.25, 0.2), (0.0, 0.2), (0.25, 0.4)], 0.0)),
];

/// Differences that matter.
pub(crate) const BAD: &Truths =
    &[("−20, 30 % discordant", truth(&[(-1.0, 0.25), (0.0, 0.7), (1.0, 0.05)], 0.0))];

/// Differences of topics that are not alike.
pub(crate) const APART: &Truths =
    &[("topics ±8 apart, 30 % discordant", truth(&[(-1.0, 0.15), (0.0, 0.7), (1.0, 0.15)], 0.04))];

/// Scores.
pub(crate) const SCORES: &Truths = &[
    ("score 0.5, topics 0.2 and 0.8", truth(&[(0.0, 0.5), (1.0, 0.5)], 0.3)),
    ("score 0.8", truth(&[(0.0, 0.2), (1.0, 0.8)], 0.0)),
    ("score 0.95", truth(&[(0.0, 0.05), (1.0, 0.95)], 0.0)),
];
