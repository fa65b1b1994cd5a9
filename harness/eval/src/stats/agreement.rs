//! Agreement of raters: Cohen's κ and Krippendorff's α.

use std::collections::BTreeMap;

/// What the values of a rating mean, which decides how far apart two of them are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Names: equal or not.
    Nominal,
    /// Ranks: apart by the ratings between them.
    Ordinal,
    /// Measures: apart by their difference squared.
    Interval,
}

/// Cohen's κ of two raters, unweighted: (p − e) / (1 − e), p being the share of pairs that are equal and e the share that
/// would be if both rated by chance with the frequencies that they have. (J. Cohen, A Coefficient of Agreement for Nominal
/// Scales, 1960.)
///
/// `None` of nothing, and where both always give one rating: chance explains all then.
pub fn kappa<T: Ord>(pairs: &[(T, T)]) -> Option<f64> {
    let count = pairs.len() as f64;
    let equal = pairs.iter().filter(|it| it.0 == it.1).count() as f64 / count;
    let mut frequencies: BTreeMap<&T, (f64, f64)> = BTreeMap::new();
    for (a, b) in pairs {
        frequencies.entry(a).or_default().0 += 1.0;
        frequencies.entry(b).or_default().1 += 1.0;
    }
    let chance = frequencies.values().map(|it| it.0 * it.1).sum::<f64>() / (count * count);
    (!pairs.is_empty() && chance < 1.0).then(|| (equal - chance) / (1.0 - chance))
}

/// Krippendorff's α: 1 − observed / expected disagreement, over units with two ratings or more, each by any raters.
///
/// By coincidences: a pair of ratings within a unit of m counts 1 / (m − 1), and
/// α = 1 − (n − 1) Σ o(c, k) δ²(c, k) / Σ n(c) n(k) δ²(c, k). (K. Krippendorff, Computing Krippendorff's
/// Alpha-Reliability, 2011.)
///
/// `None` where there are no two ratings of one unit, or where all ratings are equal.
pub fn krippendorff(units: &[Vec<f64>], scale: Scale) -> Option<f64> {
    let units: Vec<&Vec<f64>> = units.iter().filter(|it| it.len() > 1).collect();
    let mut values: Vec<f64> = units.iter().flat_map(|it| it.iter().copied()).collect();
    let count = values.len() as f64;
    values.sort_by(f64::total_cmp);
    values.dedup();
    let place = |value: f64| values.partition_point(|it| it.total_cmp(&value).is_lt());
    let mut frequencies = vec![0.0; values.len()];
    let mut coincidences = vec![vec![0.0; values.len()]; values.len()];
    for unit in units {
        for (at, a) in unit.iter().enumerate() {
            frequencies[place(*a)] += 1.0;
            for (_, b) in unit.iter().enumerate().filter(|it| it.0 != at) {
                coincidences[place(*a)][place(*b)] += 1.0 / (unit.len() - 1) as f64;
            }
        }
    }
    let apart = |a: usize, b: usize| match scale {
        Scale::Nominal => f64::from(u8::from(a != b)),
        Scale::Interval => (values[a] - values[b]).powi(2),
        Scale::Ordinal => {
            let between: f64 = frequencies[a.min(b)..=a.max(b)].iter().sum();
            (between - f64::midpoint(frequencies[a], frequencies[b])).powi(2)
        }
    };
    let (mut observed, mut expected) = (0.0, 0.0);
    for a in 0..values.len() {
        for b in 0..values.len() {
            observed += coincidences[a][b] * apart(a, b);
            expected += frequencies[a] * frequencies[b] * apart(a, b);
        }
    }
    (expected > 0.0).then(|| 1.0 - (count - 1.0) * observed / expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ratings of four observers in Krippendorff (2011), with the values given there.
    #[test]
    fn alpha_as_published() {
        let rows: [[u8; 12]; 4] = [
            [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
            [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
            [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
            [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
        ];
        let unit = |at: usize| rows.iter().map(|it| it[at]).filter(|it| *it > 0).map(f64::from).collect();
        let units: Vec<Vec<f64>> = (0..12).map(unit).collect();
        let rounded = |scale| (krippendorff(&units, scale).unwrap() * 1000.0).round() / 1000.0;
        assert!((rounded(Scale::Nominal) - 0.743).abs() < 1e-9);
        assert!((rounded(Scale::Ordinal) - 0.815).abs() < 1e-9);
        assert!((rounded(Scale::Interval) - 0.849).abs() < 1e-9);
    }

    /// Two observers and two values, the same source: α = 0.095.
    #[test]
    fn alpha_of_two() {
        let a = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0];
        let b = [1, 1, 1, 0, 0, 1, 0, 0, 0, 0];
        let units: Vec<Vec<f64>> = a.iter().zip(b).map(|(a, b)| vec![f64::from(*a), f64::from(b)]).collect();
        assert!((krippendorff(&units, Scale::Nominal).unwrap() - 0.095).abs() < 5e-4);
        assert_eq!(krippendorff(&[vec![1.0, 1.0]], Scale::Nominal), None);
        assert_eq!(krippendorff(&[vec![1.0], vec![2.0]], Scale::Nominal), None);
    }

    #[test]
    fn kappa_as_published() {
        let table = |cells: [usize; 4]| {
            let values = [(1, 1), (1, 0), (0, 1), (0, 0)];
            let pairs = values.iter().zip(cells).flat_map(|(pair, count)| vec![*pair; count]);
            kappa(&pairs.collect::<Vec<_>>()).unwrap()
        };
        // The example of scikit-learn's cohen_kappa_score, and the usual tables of two raters.
        let names = [("n", "n"), ("p", "p"), ("n", "n"), ("0", "0"), ("p", "n")];
        assert!((kappa(&names).unwrap() - 0.6875).abs() < 1e-12);
        assert!((table([20, 5, 10, 15]) - 0.4).abs() < 1e-12);
        assert!((table([45, 15, 25, 15]) - 0.1304).abs() < 5e-5);
        assert!((table([25, 35, 5, 35]) - 0.2593).abs() < 5e-5);
        assert_eq!(kappa::<u8>(&[]), None);
        assert_eq!(kappa(&[(1, 1), (1, 1)]), None);
    }
}
