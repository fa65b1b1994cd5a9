//! Aggregates over repeats: what several answers to one question come to.

/// pass@k: the chance that at least one of k tries is right, unbiased from n tries with c right: 1 − C(n−c, k) / C(n, k).
///
/// As `HumanEval`'s estimator computes it (Chen et al. 2021, arXiv 2107.03374). `None` with fewer than k tries.
pub fn pass_at_k(n: usize, c: usize, k: usize) -> Option<f64> {
    let wrong = n.checked_sub(c)?;
    if k == 0 || k > n {
        return None;
    }
    Some(1.0 - all_of(n, wrong, k))
}

/// pass^k: the chance that all of k tries are right: C(c, k) / C(n, k) (Yao et al. 2024, τ-bench, arXiv 2406.12045).
pub fn pass_hat_k(n: usize, c: usize, k: usize) -> Option<f64> {
    (c <= n && k > 0 && k <= n).then(|| all_of(n, c, k))
}

/// The chance that k of n things, drawn without putting back, are all among these c.
fn all_of(n: usize, c: usize, k: usize) -> f64 {
    if k > c {
        return 0.0;
    }
    (0..k).map(|it| (c - it) as f64 / (n - it) as f64).product()
}

/// majority@k: the score of the most common of k answers (self-consistency: Wang et al. 2022, arXiv 2203.11171).
///
/// Tries without an answer do not vote; if there is none that does, the score is their mean. Of answers that are
/// equally common, the mean of the scores counts: a draw between them. Tries with one answer have one score; should
/// a grader see more than the answer, it is their mean.
pub fn majority(tries: &[(Option<&str>, f64)]) -> Option<f64> {
    let mut votes: Vec<(&str, usize, f64)> = Vec::new();
    for (answer, score) in tries {
        let Some(answer) = answer else { continue };
        match votes.iter_mut().find(|(known, ..)| known == answer) {
            Some((_, count, sum)) => {
                *count += 1;
                *sum += score;
            }
            None => votes.push((answer, 1, *score)),
        }
    }
    let Some(most) = votes.iter().map(|(_, count, _)| *count).max() else {
        return super::mean(&tries.iter().map(|(_, score)| *score).collect::<Vec<_>>());
    };
    let winners: Vec<f64> = votes
        .iter()
        .filter(|(_, count, _)| *count == most)
        .map(|(_, count, sum)| sum / *count as f64)
        .collect();
    super::mean(&winners)
}

/// The share of pairs among these that are the same: how far answers to one question agree. `None` of fewer than two.
pub fn agreement<T: PartialEq>(answers: &[T]) -> Option<f64> {
    let pairs = answers.len() * answers.len().saturating_sub(1) / 2;
    let same = answers
        .iter()
        .enumerate()
        .map(|(index, one)| answers[..index].iter().filter(|it| *it == one).count());
    (pairs > 0).then(|| same.sum::<usize>() as f64 / pairs as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reference values: Python 3.11, `1 - math.comb(n - c, k) / math.comb(n, k)`.
    #[test]
    fn pass_at_k_is_unbiased() {
        for (n, c, k, wanted) in [
            (10, 3, 1, 0.3),
            (10, 3, 5, 0.916_666_666_666_666_6),
            (5, 0, 2, 0.0),
            (5, 5, 3, 1.0),
            (200, 13, 100, 0.999_919_497_198_805_5),
        ] {
            assert!((pass_at_k(n, c, k).unwrap() - wanted).abs() < 1e-12, "{n} {c} {k}");
        }
        assert_eq!(pass_at_k(4, 2, 5), None);
        assert_eq!(pass_at_k(4, 5, 2), None);
        assert_eq!(pass_at_k(4, 2, 0), None);
        assert_eq!(pass_hat_k(4, 2, 2), Some(1.0 / 6.0));
        assert_eq!(pass_hat_k(4, 1, 2), Some(0.0));
    }

    #[test]
    fn the_most_common_answer_counts() {
        let (right, wrong) = ((Some("4"), 1.0), (Some("5"), 0.0));
        assert_eq!(majority(&[right, wrong, right]), Some(1.0));
        assert_eq!(majority(&[right, wrong, wrong]), Some(0.0));
        assert_eq!(majority(&[right, wrong]), Some(0.5));
        assert_eq!(majority(&[(None, 0.0), (None, 0.0), right]), Some(1.0));
        assert_eq!(majority(&[(None, 1.0), (None, 0.0)]), Some(0.5));
        assert_eq!(majority(&[]), None);
    }

    #[test]
    fn agreement_is_over_pairs() {
        assert_eq!(agreement(&["a", "a", "b"]), Some(1.0 / 3.0));
        assert_eq!(agreement(&["a", "a"]), Some(1.0));
        assert_eq!(agreement(&["a"]), None);
    }

    proptest! {
        #[test]
        fn one_try_passes_as_often_as_it_is_right(n in 1usize..300, c in 0usize..300) {
            prop_assume!(c <= n);
            let share = c as f64 / n as f64;
            prop_assert!((pass_at_k(n, c, 1).unwrap() - share).abs() < 1e-12);
            prop_assert!((pass_hat_k(n, c, 1).unwrap() - share).abs() < 1e-12);
        }

        #[test]
        fn more_tries_pass_more_and_hold_less(n in 2usize..100, c in 0usize..100, k in 1usize..99) {
            prop_assume!(c <= n && k < n);
            prop_assert!(pass_at_k(n, c, k) <= pass_at_k(n, c, k + 1));
            prop_assert!(pass_hat_k(n, c, k) >= pass_hat_k(n, c, k + 1));
        }
    }
}
