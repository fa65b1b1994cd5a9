//! Answers do not depend on what else is asked: random arrivals, lengths, cancellations, caches and threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use eval::backend::{
    Backend as _, Generate, Likelihood, Message, Request, Role, Sampling, Score, TokenLogprobs,
};
use proptest::prelude::*;

use super::fixture::{model, write};
use crate::{Engine, Options, open};

/// One client's wish.
#[derive(Clone, Debug)]
struct Wish {
    /// Words of the prompt; many prompts begin alike.
    words: usize,
    /// Makes prompts differ from here on.
    differs: usize,
    sampling: Sampling,
    max_tokens: u32,
    /// Continuations are scored instead.
    scored: bool,
    /// The client leaves after so many chunks.
    leaves: Option<usize>,
    /// Milliseconds after the first client.
    delay: u64,
    /// Asks how likely the tokens were.
    logprobs: Option<u32>,
}

/// All that comes back.
#[derive(Clone, Debug, PartialEq)]
struct Answer {
    text: String,
    likelihoods: Vec<Likelihood>,
    logprobs: Vec<TokenLogprobs>,
}

fn request(wish: &Wish) -> Request {
    let words = ["hello", "the", "hell", "1", "he", "two"];
    let word =
        |index: usize| words[if index < wish.differs { index } else { index * 5 + wish.words } % words.len()];
    let text: Vec<&str> = (0..wish.words).map(word).collect();
    let messages = vec![Message { role: Role::User, content: text.join(" ") }];
    if wish.scored {
        let continuations = vec![" the hello".to_owned(), " 12".to_owned(), " hello".to_owned()];
        return Request::Score(Score { messages, continuations });
    }
    Request::Generate(Generate {
        messages,
        sampling: wish.sampling.clone(),
        max_tokens: wish.max_tokens,
        stop: Vec::new(),
        ignore_eos: true,
        logprobs: wish.logprobs,
    })
}

/// `None` where the client leaves before the end.
fn ask(engine: &Engine, wish: &Wish) -> Option<Answer> {
    let (mut text, mut logprobs) = (String::new(), Vec::new());
    let chunks = AtomicUsize::new(0);
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        engine.answer(&request(wish), &mut |chunk| {
            if wish.leaves == Some(chunks.fetch_add(1, Ordering::Relaxed)) {
                std::panic::resume_unwind(Box::new("the client leaves"));
            }
            text.push_str(chunk.text);
            logprobs.extend_from_slice(chunk.logprobs);
        })
    }));
    let finish = asked.ok()?.unwrap();
    Some(Answer { text, likelihoods: finish.likelihoods, logprobs })
}

fn wish() -> impl Strategy<Value = Wish> {
    let sampling = prop_oneof![
        Just(Sampling::GREEDY),
        any::<u64>().prop_map(|seed| Sampling {
            temperature: 1.0,
            top_p: Some(0.9),
            seed,
            ..Sampling::GREEDY
        }),
    ];
    let leaves = prop_oneof![4 => Just(None), 1 => (0_usize..6).prop_map(Some)];
    let logprobs = prop_oneof![2 => Just(None), 1 => (0_u32..5).prop_map(Some)];
    (1_usize..60, 0_usize..60, sampling, 1_u32..40, any::<bool>(), leaves, 0_u64..20, logprobs).prop_map(
        |(words, differs, sampling, max_tokens, scored, leaves, delay, logprobs)| Wish {
            words,
            differs,
            sampling,
            max_tokens,
            scored,
            leaves,
            delay,
            logprobs,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn answers_do_not_depend_on_their_neighbours(
        name in prop_oneof![Just("llama-3"), Just("gemma-3")],
        threads in 1_usize..5,
        // One context is always there: with nothing beyond it, sequences give way to each other.
        cache in prop_oneof![Just(Some(0)), Just(Some(200_000)), Just(None)],
        cold in any::<bool>(),
        wishes in proptest::collection::vec(wish(), 1..14),
    ) {
        let file = write(&model(name).bytes());
        let alone = open(file.path(), Options { threads: Some(1), cold: true, ..Options::default() }).unwrap();
        let together =
            open(file.path(), Options { threads: Some(threads), cache, cold, ..Options::default() }).unwrap();
        let answers: Vec<Option<Answer>> = std::thread::scope(|scope| {
            let clients: Vec<_> = wishes
                .iter()
                .map(|wish| {
                    let together = &together;
                    scope.spawn(move || {
                        std::thread::sleep(Duration::from_millis(wish.delay));
                        ask(together, wish)
                    })
                })
                .collect();
            clients.into_iter().map(|it| it.join().unwrap()).collect()
        });
        for (wish, answer) in wishes.iter().zip(answers) {
            prop_assert_eq!(answer, ask(&alone, wish), "{:?}", wish);
        }
    }
}
