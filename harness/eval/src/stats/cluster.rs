//! The standard error of a mean over clusters in strata, and its degrees of freedom.
//!
//! Values yᵢ are regressed on one indicator for each stratum; the mean is the sum of the strata's means, each by its
//! share of the values. CR2 is Bell and `McCaffrey`'s cluster-robust variance (2002, Survey Methodology 28, p. 169),
//! as the R package clubSandwich computes it (Pustejovsky and Tipton 2018, JBES 36, p. 672). In this design its
//! matrices have closed forms. With N the values of a cluster's stratum, m its size, h = m / N its leverage and e the
//! sum of its residuals:
//!
//! ```text
//! V  = 1/n² Σ e² / (1 − h)
//! df = (Σ pᵢᵢ)² / Σ pᵢⱼ²,   pᵢⱼ = Cov(eᵢ, eⱼ) / √((1 − hᵢ) (1 − hⱼ))
//! ```
//!
//! The covariances of residuals are those of a working model. clubSandwich's is independence: pᵢᵢ = m and
//! pᵢⱼ = −mᵢ mⱼ / N / √… within a stratum. With clusters of unequal size whose values stand and fall together it is too
//! hopeful: V is then too small on average, and the degrees of freedom are too many. So the other extreme is looked at
//! too, values that are all alike within a cluster, where E V is known as well; the wider of the two intervals is taken.
//! With clusters of equal size they are the same.

use std::collections::BTreeMap;

use super::special::{t_cdf, t_quantile};

/// A cluster: its stratum, its size, the sum of its values and that of their squares.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cluster {
    pub(super) stratum: usize,
    pub(super) size: f64,
    pub(super) sum: f64,
    pub(super) squares: f64,
}

/// What a working model makes of the standard error.
#[derive(Clone, Copy, Debug)]
struct Model {
    /// What the standard error is multiplied with, as CR2 is too small on average under this model; at least 1.
    factor: f64,
    df: f64,
}

/// The error of a stratified mean.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// CR2.
    pub(super) error: f64,
    /// Of independence, and of clusters whose values are all alike.
    models: [Model; 2],
}

impl Spread {
    /// `None` where a single cluster says nothing of the spread.
    pub(super) fn of(clusters: &[Cluster]) -> Option<Self> {
        let strata = Strata::of(clusters);
        if clusters.len() < 2 {
            return None;
        }
        let n: f64 = clusters.iter().map(|it| it.size).sum();
        let variance: f64 = strata.adjusted(clusters).map(|it| it * it).sum::<f64>() / (n * n);
        Some(Self { error: variance.sqrt(), models: [strata.independent(), strata.alike()] })
    }

    /// Half the width of the interval that leaves `tail` on either side.
    pub(super) fn half(&self, tail: f64) -> f64 {
        let half = |it: &Model| -t_quantile(tail, it.df) * it.factor * self.error;
        half(&self.models[0]).max(half(&self.models[1]))
    }

    /// The probability of a mean that is so far from the truth on this side: one-sided.
    pub(super) fn tail(&self, distance: f64) -> f64 {
        let tail = |it: &Model| t_cdf(-distance / (it.factor * self.error), it.df);
        tail(&self.models[0]).max(tail(&self.models[1]))
    }

    /// The degrees of freedom of the wider interval.
    pub(super) fn df(&self, tail: f64) -> f64 {
        let [one, other] = self.models;
        let wide = |it: Model| -t_quantile(tail, it.df) * it.factor;
        if wide(other) > wide(one) { other.df } else { one.df }
    }
}

/// A stratum's number of values, its mean, and its clusters' sizes, each with how often it occurs.
#[derive(Clone, Debug, Default)]
struct Stratum {
    size: f64,
    sum: f64,
    sizes: Vec<(f64, f64)>,
}

/// The strata, by number, after those of one cluster were put together.
#[derive(Clone, Debug)]
pub(super) struct Strata {
    by_number: BTreeMap<usize, Stratum>,
    /// The stratum that stands for each stratum as it was given.
    collapsed: BTreeMap<usize, usize>,
}

impl Strata {
    /// Strata of a single cluster say nothing of its spread: they are taken as one stratum, which errs to the wide
    /// side by what their means differ (collapsed strata: Cochran 1977, Sampling Techniques, 5A.12). If there is but one
    /// of them, it joins the stratum with the fewest clusters.
    pub(super) fn of(clusters: &[Cluster]) -> Self {
        let mut counts: BTreeMap<usize, usize> = BTreeMap::new();
        for it in clusters {
            *counts.entry(it.stratum).or_default() += 1;
        }
        let single: Vec<usize> =
            counts.iter().filter(|(_, count)| **count == 1).map(|(number, _)| *number).collect();
        let home = match single[..] {
            [only] => {
                let others = counts.iter().filter(|(number, _)| **number != only);
                others.min_by_key(|(_, count)| **count).map(|(number, _)| *number)
            }
            _ => single.first().copied(),
        };
        let mut strata = Self { by_number: BTreeMap::new(), collapsed: BTreeMap::new() };
        for number in counts.keys() {
            let alone = single.binary_search(number).is_ok();
            strata.collapsed.insert(*number, home.filter(|_| alone).unwrap_or(*number));
        }
        let mut sizes: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
        for it in clusters {
            let number = strata.collapsed[&it.stratum];
            let stratum = strata.by_number.entry(number).or_default();
            stratum.size += it.size;
            stratum.sum += it.sum;
            sizes.entry(number).or_default().push(it.size);
        }
        for (number, mut sizes) in sizes {
            sizes.sort_by(f64::total_cmp);
            let groups = sizes
                .chunk_by(|one, other| one.total_cmp(other).is_eq())
                .map(|it| (it[0], it.len() as f64))
                .collect();
            strata.by_number.entry(number).or_default().sizes = groups;
        }
        strata
    }

    fn stratum(&self, cluster: &Cluster) -> &Stratum {
        &self.by_number[&self.collapsed[&cluster.stratum]]
    }

    /// The mean of each cluster's stratum.
    pub(super) fn means<'a>(&'a self, clusters: &'a [Cluster]) -> impl Iterator<Item = f64> + 'a {
        clusters.iter().map(|it| self.stratum(it)).map(|it| it.sum / it.size)
    }

    /// Each cluster's sum of residuals, e / √(1 − h).
    pub(super) fn adjusted<'a>(&'a self, clusters: &'a [Cluster]) -> impl Iterator<Item = f64> + 'a {
        clusters.iter().map(|it| {
            let Stratum { size, sum, .. } = self.stratum(it);
            let rest = 1.0 - it.size / size;
            if rest > 0.0 { (it.sum - it.size * sum / size) / rest.sqrt() } else { 0.0 }
        })
    }

    /// Values are independent: E V is right.
    fn independent(&self) -> Model {
        self.model(|m| m, |size, _, one, other| -one * other / size)
    }

    /// Values are alike within a cluster.
    fn alike(&self) -> Model {
        self.model(|m| m * m, |size, squares, one, other| one * other * (squares / size - one - other) / size)
    }

    /// With the variance of the sum of a cluster of such a size, and what centring adds to the covariance of the sums of
    /// two clusters (or of one with itself) in a stratum with so many values and such a sum of squared sizes.
    fn model(&self, variance: impl Fn(f64) -> f64, centring: impl Fn(f64, f64, f64, f64) -> f64) -> Model {
        let (mut trace, mut squared, mut truth) = (0.0, 0.0, 0.0);
        for Stratum { size, sizes, .. } in self.by_number.values() {
            let of_sizes: f64 = sizes.iter().map(|(m, count)| count * m * m).sum();
            let scale = |m: f64| 1.0 / (1.0 - m / size).sqrt();
            for (one, count) in sizes {
                let own =
                    (variance(*one) + centring(*size, of_sizes, *one, *one)) * scale(*one) * scale(*one);
                trace += count * own;
                truth += count * variance(*one);
                squared += count * own * own;
                for (other, others) in sizes {
                    let pairs = count * if one.total_cmp(other).is_eq() { count - 1.0 } else { *others };
                    let shared = centring(*size, of_sizes, *one, *other) * scale(*one) * scale(*other);
                    squared += pairs * shared * shared;
                }
            }
        }
        Model { factor: (truth / trace).max(1.0).sqrt(), df: trace * trace / squared }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() <= 1e-9 * wanted.abs().max(1.0), "{found} is not {wanted}");
    }

    /// Reference values: the matrices of Pustejovsky and Tipton's equations, with numpy 2.4.6 and
    /// `scipy.linalg.fractional_matrix_power(I - H, -0.5)` of scipy 1.17.1: error, degrees of freedom with independent
    /// values, and, with values that are alike in a cluster, degrees of freedom and Var / E V.
    #[track_caller]
    fn check(clusters: &[(usize, f64, f64)], error: f64, independent: f64, alike: f64, ratio: f64) {
        let clusters = clusters.iter().map(|(stratum, size, sum)| Cluster {
            stratum: *stratum,
            size: *size,
            sum: *sum,
            squares: 0.0,
        });
        let spread = Spread::of(&clusters.collect::<Vec<_>>()).unwrap();
        near(spread.error, error);
        near(spread.models[0].df, independent);
        near(spread.models[0].factor, 1.0);
        near(spread.models[1].df, alike);
        near(spread.models[1].factor.powi(2), ratio);
    }

    #[test]
    fn cr2_equals_its_matrices() {
        let sizes = [(1.0, 1.0), (2.0, 1.0), (4.0, 3.0), (1.0, 0.0), (8.0, 2.0)];
        check(
            &sizes.map(|(size, sum)| (0, size, sum)),
            0.167_038_276_195_265_2,
            2.221_438_645_980_253_3,
            1.435_204_920_460_776_6,
            1.257_660_167_130_918_7,
        );
        let stratum = [0, 0, 0, 1, 1];
        check(
            &std::array::from_fn::<_, 5, _>(|it| (stratum[it], sizes[it].0, sizes[it].1)),
            0.059_292_706_128_157_11,
            2.273_983_418_870_903,
            2.248_328_131_966_117,
            2.621_951_219_512_194_3,
        );
        check(
            &[(0, 2.0, 0.0), (0, 1.0, 0.0), (0, 1.0, 0.0), (1, 2.0, -0.75), (1, 2.0, 0.0), (1, 2.0, 1.0)],
            0.152_069_063_257_455_48,
            3.719_008_264_462_809_5,
            3.346_534_653_465_346,
            1.038_461_538_461_539,
        );
    }

    /// Reference value: statsmodels 0.15.0 `OLS(y, ones).fit(cov_type="HC2").bse`: one value a cluster.
    #[test]
    fn single_values_give_hc2() {
        let values = [1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0];
        let clusters: Vec<Cluster> =
            values.iter().map(|it| Cluster { stratum: 0, size: 1.0, sum: *it, squares: 0.0 }).collect();
        let spread = Spread::of(&clusters).unwrap();
        assert!((spread.error - 0.163_663_42).abs() < 1e-8);
        near(spread.models[0].df, 7.0);
    }

    /// What a stratum of one cluster says of its spread is nothing, and nothing would be too little.
    #[test]
    fn strata_of_one_cluster_are_put_together() {
        let apart = [(0, 1.0, 0.0), (1, 1.0, 1.0), (2, 1.0, 0.0), (2, 1.0, 1.0)];
        let one = |clusters: &[(usize, f64, f64)]| {
            let clusters = clusters.iter().map(|(stratum, size, sum)| Cluster {
                stratum: *stratum,
                size: *size,
                sum: *sum,
                squares: 0.0,
            });
            Spread::of(&clusters.collect::<Vec<_>>()).unwrap().error
        };
        near(one(&apart), one(&[(0, 1.0, 0.0), (0, 1.0, 1.0), (2, 1.0, 0.0), (2, 1.0, 1.0)]));
        let lone = [(0, 1.0, 0.0), (1, 1.0, 1.0), (1, 1.0, 0.0), (2, 1.0, 0.0), (2, 1.0, 1.0), (2, 1.0, 1.0)];
        near(one(&lone), one(&lone.map(|(stratum, size, sum)| (stratum.max(1), size, sum))));
    }
}
