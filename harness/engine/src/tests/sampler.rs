//! The sampler: against values computed by hand and by another implementation, and its properties.

use std::collections::BTreeSet;

use eval::backend::{BackendError, Sampling};
use proptest::prelude::*;
use rstest::rstest;

use crate::kernels::Path;
use crate::sampler::{Logprobs, Sampler, philox, uniform};

#[expect(clippy::needless_pass_by_value, reason = "made in place")]
fn sampler(sampling: Sampling) -> Sampler {
    Sampler::new(&sampling).unwrap()
}

/// At temperature 1, with nothing cut.
fn drawn(seed: u64) -> Sampling {
    Sampling { temperature: 1.0, seed, ..Sampling::GREEDY }
}

/// Tokens that can come next, found by many draws.
fn support(sampling: &Sampling, logits: &[f32]) -> BTreeSet<u32> {
    let draw = |seed| sampler(Sampling { seed, ..sampling.clone() }).sample(logits, &[], &[]).unwrap();
    (0..500).map(draw).collect()
}

/// Known answers of Random123, `kat_vectors`.
#[rstest]
#[case([0; 4], [0; 2], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8])]
#[case([u32::MAX; 4], [u32::MAX; 2], [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd])]
#[case(
    [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
    [0xa409_3822, 0x299f_31d0],
    [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
)]
fn philox_gives_known_answers(#[case] counter: [u32; 4], #[case] key: [u32; 2], #[case] block: [u32; 4]) {
    assert_eq!(philox(counter, key), block);
}

#[rstest]
#[case(0, 0, 0.880_520_197_888_614_2)]
#[case(42, 0, 0.468_586_518_339_104_9)]
#[case(42, 1, 0.327_063_381_203_384_74)]
#[case(u64::MAX, 1 << 32, 0.941_073_082_043_371_4)]
fn random_numbers_are_a_function_of_seed_and_place(#[case] seed: u64, #[case] n: u64, #[case] number: f64) {
    assert_eq!(uniform(seed, n).to_bits(), number.to_bits());
}

/// Sixteen tokens each, as an implementation in Python gives them that sorts all of the vocabulary.
#[rstest]
#[case::all(drawn(7), [76, 79, 2, 27, 98, 32, 49, 49, 95, 4, 98, 90, 54, 98, 30, 8])]
#[case::top_k(
    Sampling { temperature: 0.8, top_k: Some(5), ..drawn(7) },
    [60, 60, 19, 30, 90, 30, 49, 49, 90, 19, 90, 90, 49, 90, 30, 19]
)]
#[case::top_p(
    Sampling { top_p: Some(0.7), ..drawn(8) },
    [68, 38, 19, 90, 79, 19, 57, 16, 38, 90, 79, 30, 16, 79, 27, 16]
)]
#[case::min_p(
    Sampling { temperature: 1.5, min_p: Some(0.2), ..drawn(9) },
    [54, 49, 51, 76, 5, 19, 49, 16, 35, 16, 13, 46, 46, 79, 98, 2]
)]
#[case::penalties_alone(
    Sampling {
        repetition_penalty: Some(1.3),
        frequency_penalty: Some(0.1),
        presence_penalty: Some(0.2),
        ..Sampling::GREEDY
    },
    [30, 60, 19, 49, 79, 8, 38, 68, 98, 27, 87, 16, 90, 46, 76, 5]
)]
#[case::everything(
    Sampling {
        temperature: 1.2,
        top_k: Some(40),
        top_p: Some(0.9),
        min_p: Some(0.05),
        repetition_penalty: Some(1.1),
        frequency_penalty: Some(0.3),
        presence_penalty: Some(-0.2),
        seed: (1 << 40) + 1,
    },
    [38, 16, 43, 76, 24, 79, 87, 90, 60, 79, 38, 46, 30, 2, 32, 27]
)]
fn texts_are_those_of_another_implementation(#[case] sampling: Sampling, #[case] tokens: [u32; 16]) {
    let logits: Vec<f32> = (0_u8..100).map(|it| f32::from(u16::from(it) * 37 % 101) / 16.0 - 3.0).collect();
    let sampler = sampler(sampling);
    let mut output = Vec::new();
    while output.len() < tokens.len() {
        output.push(sampler.sample(&logits, &[3, 90, 57], &output).unwrap());
    }
    assert_eq!(output, tokens);
    // A sequence that is read again goes on as it did, whoever was served meanwhile.
    for resumed in (0..tokens.len()).rev() {
        assert_eq!(sampler.sample(&logits, &[3, 90, 57], &tokens[..resumed]).unwrap(), tokens[resumed]);
    }
}

#[rstest]
#[case::first_of_the_largest(&[1.0, 3.0, 3.0], Sampling::GREEDY, &[1])]
#[case::zero_has_no_sign(&[-0.0, 0.0], Sampling::GREEDY, &[0])]
#[case::greedy_cuts_nothing_else(&[1.0, 3.0, 2.0], Sampling { top_k: Some(2), ..Sampling::GREEDY }, &[1])]
#[case::of_equals_the_lower_id(&[0.0, 1.0, 1.0, 1.0], Sampling { top_k: Some(2), ..drawn(0) }, &[1, 2])]
#[case::more_than_there_are(&[0.0, 1.0], Sampling { top_k: Some(u32::MAX), ..drawn(0) }, &[0, 1])]
// Halves, quarters and eighths: the first two are 3/4.
#[case::mass_is_reached(&[0.0, -0.6932, -1.3863, -1.3863], Sampling { top_p: Some(0.74), ..drawn(0) }, &[0, 1])]
#[case::who_crosses_stays(&[0.0, -0.6932, -1.3863, -1.3863], Sampling { top_p: Some(0.76), ..drawn(0) }, &[0, 1, 2])]
#[case::at_least_one(&[0.0, 0.0, 0.0], Sampling { top_p: Some(1e-9), ..drawn(0) }, &[0])]
#[case::part_of_the_most(&[0.0, -0.6932, -1.3863, -1.3863], Sampling { min_p: Some(0.3), ..drawn(0) }, &[0, 1])]
#[case::equals_of_the_most(&[2.0, 1.0, 2.0], Sampling { min_p: Some(1.0), ..drawn(0) }, &[0, 2])]
#[case::no_part(&[2.0, 1.0, 2.0], Sampling { min_p: Some(0.0), ..drawn(0) }, &[0, 1, 2])]
// Of 1/2, 1/4, 1/8, 1/8, min-p leaves 2/3 and 1/3, so that 0.6 is reached by the first alone.
#[case::min_p_before_top_p(
    &[0.0, -0.6932, -1.3863, -1.3863],
    Sampling { min_p: Some(0.3), top_p: Some(0.6), ..drawn(0) },
    &[0]
)]
#[case::top_k_before_top_p(
    &[0.0, -0.6932, -1.3863, -1.3863],
    Sampling { top_k: Some(2), top_p: Some(0.6), ..drawn(0) },
    &[0]
)]
#[case::temperature_before_min_p(
    &[0.0, -0.6932, -1.3863, -1.3863],
    Sampling { temperature: 2.0, min_p: Some(0.3), ..drawn(0) },
    &[0, 1, 2, 3]
)]
#[case::almost_greedy(&[1.0, 3.0, 2.0], Sampling { temperature: f64::MIN_POSITIVE, ..drawn(0) }, &[1])]
#[case::never_without_weight(&[0.0, -1e30, 3.4e38, -3.4e38], drawn(0), &[2])]
fn what_can_come_next(#[case] logits: &[f32], #[case] sampling: Sampling, #[case] tokens: &[u32]) {
    assert_eq!(support(&sampling, logits).into_iter().collect::<Vec<_>>(), tokens);
}

/// What is left of the logits, seen by which of two tokens is taken: token 0 is in the sequence, token 1 is as likely
/// as `left` says, and a hair more or less.
#[rstest]
#[case::divided_above_0(3.0, Sampling { repetition_penalty: Some(1.5), ..Sampling::GREEDY }, &[0], &[], 2.0)]
#[case::multiplied_below_0(-2.0, Sampling { repetition_penalty: Some(1.5), ..Sampling::GREEDY }, &[0], &[], -3.0)]
#[case::once_however_often(3.0, Sampling { repetition_penalty: Some(1.5), ..Sampling::GREEDY }, &[0, 0], &[0], 2.0)]
#[case::a_reward(3.0, Sampling { repetition_penalty: Some(0.5), ..Sampling::GREEDY }, &[], &[0], 6.0)]
#[case::as_often_as_it_came(3.0, Sampling { frequency_penalty: Some(0.5), ..Sampling::GREEDY }, &[], &[0, 2, 0], 2.0)]
#[case::not_in_the_prompt(3.0, Sampling { frequency_penalty: Some(0.5), ..Sampling::GREEDY }, &[0], &[2], 3.0)]
#[case::for_being_there(3.0, Sampling { presence_penalty: Some(0.5), ..Sampling::GREEDY }, &[], &[0, 2, 0], 2.5)]
#[case::nor_in_the_prompt(3.0, Sampling { presence_penalty: Some(0.5), ..Sampling::GREEDY }, &[0], &[2], 3.0)]
#[case::repetition_first(
    3.0,
    Sampling {
        repetition_penalty: Some(2.0),
        frequency_penalty: Some(0.25),
        presence_penalty: Some(1.0),
        ..Sampling::GREEDY
    },
    &[0],
    &[0, 0],
    0.0
)]
#[case::unknown_tokens(3.0, Sampling { presence_penalty: Some(0.5), ..Sampling::GREEDY }, &[9], &[u32::MAX, 9], 3.0)]
fn penalties(
    #[case] logit: f32,
    #[case] sampling: Sampling,
    #[case] prompt: &[u32],
    #[case] output: &[u32],
    #[case] left: f32,
) {
    let sampler = sampler(sampling);
    for (other, token) in [(left - 0.001, 0), (left, 0), (left + 0.001, 1)] {
        assert_eq!(sampler.sample(&[logit, other, -100.0], prompt, output).unwrap(), token);
    }
}

#[rstest]
fn logits_that_are_no_numbers_are_an_error(
    #[values(f32::NAN, f32::INFINITY, f32::NEG_INFINITY)] logit: f32,
    #[values(0, 1, 2)] place: usize,
    #[values(Sampling::GREEDY, drawn(0), Sampling { repetition_penalty: Some(2.0), ..drawn(0) })]
    sampling: Sampling,
) {
    let mut logits = [1.0, 2.0, 3.0];
    logits[place] = logit;
    let error = sampler(sampling).sample(&logits, &[0, 1], &[1]).unwrap_err();
    assert!(matches!(&error, BackendError::Failed(it) if it.contains(&format!("token {place} "))), "{error}");
    assert!(Logprobs::of(Path::Portable, &logits).is_err());
}

#[test]
fn no_logits_are_an_error() {
    assert!(sampler(Sampling::GREEDY).sample(&[], &[], &[]).is_err());
    assert!(sampler(Sampling { top_k: Some(1), ..drawn(0) }).sample(&[], &[], &[]).is_err());
    assert!(Logprobs::of(Path::Portable, &[]).is_err());
}

#[rstest]
#[case(Sampling { min_p: Some(1.5), ..Sampling::GREEDY }, "a min-p of 1.5, which is not between 0 and 1")]
#[case(Sampling { min_p: Some(f64::NAN), ..Sampling::GREEDY }, "a min-p of NaN, which is not between 0 and 1")]
#[case(
    Sampling { repetition_penalty: Some(0.0), ..Sampling::GREEDY },
    "a repetition penalty of 0, which is not above 0"
)]
#[case(
    Sampling { repetition_penalty: Some(f64::INFINITY), ..Sampling::GREEDY },
    "a repetition penalty of inf, which is not above 0"
)]
#[case(Sampling { frequency_penalty: Some(f64::NAN), ..Sampling::GREEDY }, "a frequency penalty of NaN")]
#[case(Sampling { presence_penalty: Some(f64::INFINITY), ..Sampling::GREEDY }, "a presence penalty of inf")]
fn what_means_nothing_is_refused(#[case] sampling: Sampling, #[case] why: &str) {
    assert_eq!(Sampler::new(&sampling).err().unwrap().to_string(), why);
}

/// Pearson's statistic for eight tokens has 7 degrees of freedom, and is above 24.32 once in a thousand times.
#[rstest]
fn draws_follow_the_distribution(#[values(1, 2, 3)] stream: u64, #[values(0.5, 1.0, 2.0)] temperature: f64) {
    const DRAWS: usize = 20_000;
    let logits = [0.3_f32, -1.2, 2.0, 0.0, 1.1, -0.4, 1.9, 0.7];
    let weights = logits.map(|it| (f64::from(it) / temperature).exp());
    let total: f64 = weights.iter().sum();
    let statistic = |tokens: &mut dyn Iterator<Item = u32>| {
        let mut counts = [0_u32; 8];
        tokens.for_each(|it| counts[it as usize] += 1);
        assert_eq!(counts.iter().sum::<u32>() as usize, DRAWS);
        let terms = counts.iter().zip(weights).map(|(count, weight)| {
            let expected = weight / total * DRAWS as f64;
            (f64::from(*count) - expected).powi(2) / expected
        });
        terms.sum::<f64>()
    };
    // Along one output, and over first tokens of many.
    let output = vec![0; DRAWS];
    let along = sampler(Sampling { temperature, ..drawn(stream) });
    let along = statistic(&mut (0..DRAWS).map(|n| along.sample(&logits, &[], &output[..n]).unwrap()));
    assert!(along < 24.32, "{along}");
    let seeds = (stream * 1_000_000..).take(DRAWS);
    let over = statistic(
        &mut seeds
            .map(|seed| sampler(Sampling { temperature, ..drawn(seed) }).sample(&logits, &[], &[]).unwrap()),
    );
    assert!(over < 24.32, "{over}");
}

#[test]
fn logprobs_are_those_of_the_softmax() {
    let logits = [0.0, 1.0, 2.0, 1.0];
    let logprobs = Logprobs::of(Path::Portable, &logits).unwrap();
    // ln(1 + 2e + e²)
    let normalizer = 2.626_523_375_036_445_6_f64;
    let close = |ours: f64, theirs: f64| assert!((ours - theirs).abs() < 1e-15, "{ours} is not {theirs}");
    for (token, logit) in (0..).zip(logits) {
        close(logprobs.of_token(token).unwrap(), f64::from(logit) - normalizer);
    }
    assert_eq!((logprobs.likeliest, logprobs.of_token(4)), (2, None));
    let top = logprobs.top(3);
    assert_eq!(top.iter().map(|it| it.0).collect::<Vec<_>>(), [2, 1, 3]);
    assert!(top.iter().all(|(token, it)| Some(*it) == logprobs.of_token(*token)));
    assert_eq!((logprobs.top(0).len(), logprobs.top(usize::MAX).len()), (0, 4));
    // No exponential overflows, and nothing is lost far down.
    let logprobs = Logprobs::of(Path::Portable, &[1000.0, -3e38]).unwrap();
    assert_eq!(logprobs.of_token(0), Some(0.0));
    assert!(logprobs.of_token(1).unwrap() < -2.9e38);
}

/// Rows of few different values have many ties, which are what cuts could get wrong.
fn rows() -> impl Strategy<Value = Vec<f32>> {
    let tied = prop::collection::vec((-4_i8..4).prop_map(|it| f32::from(it) / 2.0), 1..3000);
    prop_oneof![tied, prop::collection::vec(-30.0_f32..30.0, 1..300)]
}

/// The tokens by rank, with a full sort.
fn ranked(logits: &[f32]) -> Vec<u32> {
    let mut tokens: Vec<u32> = (0..u32::try_from(logits.len()).unwrap()).collect();
    tokens.sort_by(|one, other| logits[*other as usize].total_cmp(&logits[*one as usize]));
    tokens
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_kept_is_greedy(logits in rows(), seed: u64, temperature in 0.01..10.0) {
        let greedy = sampler(Sampling::GREEDY).sample(&logits, &[], &[]).unwrap();
        prop_assert_eq!(greedy, ranked(&logits)[0]);
        for sampling in [
            Sampling { top_k: Some(1), temperature, ..drawn(seed) },
            Sampling { top_p: Some(f64::MIN_POSITIVE), temperature, ..drawn(seed) },
        ] {
            prop_assert_eq!(sampler(sampling).sample(&logits, &[], &[]).unwrap(), greedy);
        }
    }

    #[test]
    fn all_kept_is_no_cut(logits in rows(), seed: u64, temperature in 0.01..10.0) {
        let all = Sampling { temperature, ..drawn(seed) };
        let token = sampler(all.clone()).sample(&logits, &[], &[]).unwrap();
        for sampling in [
            Sampling { top_k: Some(u32::try_from(logits.len()).unwrap()), ..all.clone() },
            Sampling { top_p: Some(1.0), ..all.clone() },
            Sampling { min_p: Some(0.0), ..all.clone() },
            Sampling { repetition_penalty: Some(1.0), frequency_penalty: Some(0.0), ..all.clone() },
        ] {
            prop_assert_eq!(sampler(sampling).sample(&logits, &[0, 7], &[]).unwrap(), token);
        }
    }

    /// Only tokens within the k likeliest come, and those that do not count can have any logits below.
    #[test]
    fn what_is_cut_does_not_matter(
        logits in rows(), seed: u64, k in 1_usize..2000, shift in 0_usize..2000, lower in 0.0_f32..5.0,
    ) {
        let ranked = ranked(&logits);
        let (kept, cut) = ranked.split_at(k.min(ranked.len()));
        let sampler = sampler(Sampling { top_k: Some(u32::try_from(k).unwrap()), ..drawn(seed) });
        let token = sampler.sample(&logits, &[], &[]).unwrap();
        prop_assert!(kept.contains(&token));
        let mut others = logits.clone();
        for (index, it) in cut.iter().enumerate() {
            others[*it as usize] = logits[cut[(index + shift) % cut.len()] as usize] - lower;
        }
        // A tie at the border goes by id, so what moves there has to be below it.
        let border = logits[kept[kept.len() - 1] as usize];
        for it in cut {
            others[*it as usize] = others[*it as usize].min(border - 0.25);
        }
        prop_assert_eq!(sampler.sample(&others, &[], &[]).unwrap(), token);
    }

    /// The tokens that top-p keeps, by a full sort: each of them can be drawn, and no other.
    #[test]
    fn mass_is_that_of_a_full_sort(logits in rows(), seed: u64, p in 0.01..1.0) {
        let ranked = ranked(&logits);
        let weight = |token: u32| (f64::from(logits[token as usize]) - f64::from(logits[ranked[0] as usize])).exp();
        let total: f64 = ranked.iter().map(|it| weight(*it)).sum();
        let token = sampler(Sampling { top_p: Some(p), ..drawn(seed) }).sample(&logits, &[], &[]).unwrap();
        let before: f64 = ranked.iter().take_while(|it| **it != token).map(|it| weight(*it)).sum();
        prop_assert!(before < p * total + 1e-9, "{token} comes after a mass of {}", before / total);
    }

    #[test]
    fn logprobs_sum_to_one(logits in rows(), count in 0_usize..4000) {
        let logprobs = Logprobs::of(Path::Portable, &logits).unwrap();
        let sum: f64 = ranked(&logits).iter().map(|it| logprobs.of_token(*it).unwrap().exp()).sum();
        // The sum of exponentials is that close.
        prop_assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        let top: Vec<u32> = logprobs.top(count).into_iter().map(|it| it.0).collect();
        prop_assert_eq!(&top[..], &ranked(&logits)[..count.min(logits.len())]);
        prop_assert_eq!(logprobs.likeliest, ranked(&logits)[0]);
    }

    #[test]
    fn random_numbers_are_below_one(seed: u64, n: u64) {
        prop_assert!((0.0..1.0).contains(&uniform(seed, n)));
    }
}
