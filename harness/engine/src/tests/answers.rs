//! Requests through the trait, on a tiny random model.

use std::sync::{Arc, Mutex};

use eval::backend::{
    Backend as _, BackendError, Finish, Generate, Likelihood, Message, Request, Role, Sampling, Score,
    StopReason,
};

use super::fixture::model;
use crate::{Engine, Options, open};

fn user(content: &str) -> Vec<Message> {
    vec![Message { role: Role::User, content: content.to_owned() }]
}

fn generate(engine: &Engine, sampling: Sampling, max_tokens: u32, stop: &[&str]) -> (String, u32, Finish) {
    let stop = stop.iter().map(|it| (*it).to_owned()).collect();
    let request = Request::Generate(Generate {
        messages: user("hello the"),
        sampling,
        max_tokens,
        stop,
        ignore_eos: false,
        logprobs: None,
    });
    let (mut text, mut tokens) = (String::new(), 0);
    let finish = engine.answer(&request, &mut |chunk| {
        text.push_str(chunk.text);
        tokens += chunk.tokens;
    });
    let finish = finish.unwrap();
    assert_eq!(tokens, finish.output_tokens);
    (text, tokens, finish)
}

fn score(engine: &Engine, prompt: &str, continuations: &[&str]) -> Result<Finish, BackendError> {
    let continuations = continuations.iter().map(|it| (*it).to_owned()).collect();
    engine.answer(&Request::Score(Score { messages: user(prompt), continuations }), &mut |_| {})
}

#[test]
fn weights_are_loaded_by_the_first_request() {
    let engine = model("llama-3").open();
    assert_eq!((engine.architecture(), engine.context_length()), ("llama", 256));
    engine.prompt(&user("hello")).unwrap();
    assert_eq!(engine.load_time(), None);
    generate(&engine, Sampling::GREEDY, 1, &[]);
    assert!(engine.load_time().is_some());
    assert!(engine.estimate().weights >= engine.weights_bytes());
}

#[test]
fn a_stop_string_cuts_the_same_answer() {
    let engine = model("gemma-3").open();
    let (whole, tokens, finish) = generate(&engine, Sampling::GREEDY, 24, &[]);
    assert!(tokens == 24 && finish.reason == StopReason::Length || finish.reason == StopReason::Stop);
    let characters: Vec<char> = whole.chars().collect();
    let middle: String = characters[characters.len() / 2..][..3].iter().collect();
    let (cut, _, finish) = generate(&engine, Sampling::GREEDY, 24, &[&middle]);
    assert_eq!(finish.reason, StopReason::StopString);
    assert_eq!(cut, whole.split(&middle).next().unwrap());
}

#[test]
fn equal_seeds_draw_equal_answers() {
    let engine = model("llama-3").open();
    let sampling =
        |seed| Sampling { temperature: 1.0, top_k: Some(50), top_p: Some(0.9), seed, ..Sampling::GREEDY };
    let draw = |seed| generate(&engine, sampling(seed), 16, &[]).0;
    assert_eq!(draw(7), draw(7));
    assert_ne!(draw(7), draw(8));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let engine = model("llama-3").open();
    let messages = user("hello the");
    let (sampling, stop) = (Sampling::GREEDY, Vec::new());
    let request = |max_tokens| {
        let (messages, sampling, stop) = (messages.clone(), sampling.clone(), stop.clone());
        Request::Generate(Generate {
            messages,
            sampling,
            max_tokens,
            stop,
            ignore_eos: false,
            logprobs: None,
        })
    };
    assert!(engine.answer(&request(254), &mut |_| {}).is_ok());
    let Err(BackendError::TooLong { prompt_tokens: 2, max_tokens: 255, context: 256 }) =
        engine.answer(&request(255), &mut |_| {})
    else {
        panic!("it fitted");
    };
    assert!(matches!(score(&engine, "hello", &[&"x".repeat(256)]), Err(BackendError::TooLong { .. })));
    let file = super::fixture::write(&model("llama-3").bytes());
    let short = open(file.path(), Options { context: Some(10), ..Options::default() }).unwrap();
    assert!(matches!(short.answer(&request(9), &mut |_| {}), Err(BackendError::TooLong { context: 10, .. })));
}

fn read(engine: &Engine, text: &str) -> Result<Likelihood, BackendError> {
    let finish = engine.answer(&Request::Read(text.to_owned()), &mut |_| {})?;
    let [likelihood] = finish.likelihoods[..] else { panic!("one text was read") };
    Ok(likelihood)
}

/// The first token follows the one that begins a text, the others all that was before them.
#[test]
fn a_text_is_read_from_its_beginning() {
    for name in ["llama-3", "gemma-3"] {
        let engine = model(name).open();
        let (one, two) = (read(&engine, "hello").unwrap(), read(&engine, "hello the1").unwrap());
        let rest = score(&engine, "hello", &[" the1"]).unwrap().likelihoods[0];
        assert_eq!((one.tokens + rest.tokens, two.tokens), (two.tokens, 3), "{name}");
        assert!(one.logprob < 0.0 && two.logprob < one.logprob, "{name}");
        assert!(matches!(read(&engine, ""), Err(BackendError::Unsupported(_))), "{name}");
    }
}

/// A text that is longer than the context is read in windows, every token once.
#[test]
fn a_long_text_is_read_in_windows() {
    let file = super::fixture::write(&model("llama-3").bytes());
    let short = open(file.path(), Options { context: Some(10), ..Options::default() }).unwrap();
    let whole = model("llama-3").open();
    let text = |count: usize| "12".repeat(count);
    for count in [1, 4, 5] {
        assert_eq!(read(&short, &text(count)).unwrap(), read(&whole, &text(count)).unwrap(), "{count}");
    }
    for count in [6, 10, 11, 40] {
        let (parts, at_once) = (read(&short, &text(count)).unwrap(), read(&whole, &text(count)).unwrap());
        assert_eq!(parts.tokens, at_once.tokens, "{count}");
        assert!(parts.logprob.is_finite() && parts.logprob.to_bits() != at_once.logprob.to_bits(), "{count}");
    }
}

#[test]
fn a_score_is_the_sum_over_steps_and_knows_the_greedy_answer() {
    for name in ["llama-3", "gemma-3"] {
        let engine = model(name).open();
        let (answer, tokens, _) = generate(&engine, Sampling::GREEDY, 1, &[]);
        let finish = score(&engine, "hello the", &["hello", " the1", "2", "21", " the1"]).unwrap();
        assert_eq!(finish.prompt_tokens, 2);
        let [_, two, one, both, again] = finish.likelihoods[..] else { panic!("five were asked") };
        assert_eq!((two.tokens, one.tokens, both.tokens), (2, 1, 2));
        assert_eq!(two, again);
        // P(21) = P(2) P(1 | 2)
        let after = score(&engine, "hello the2", &["1"]).unwrap().likelihoods[0];
        assert!((both.logprob - one.logprob - after.logprob).abs() < 1e-4);
        // All single bytes and merges together are a distribution, of which one is greedy.
        if !answer.contains('\u{fffd}') && !answer.is_empty() && tokens == 1 {
            assert!(score(&engine, "hello the", &[&answer]).unwrap().likelihoods[0].greedy);
        }
    }
}

#[test]
fn spaces_at_the_end_of_a_plain_prompt_count_to_the_continuation() {
    let engine = model("llama-3").open();
    let finish = score(&engine, "hello ", &["the"]).unwrap();
    assert_eq!((finish.prompt_tokens, finish.likelihoods[0].tokens), (1, 1));
    assert_eq!(finish.likelihoods, score(&engine, "hello", &[" the"]).unwrap().likelihoods);
    // The border lies within a token: `he` and `llo` are one.
    let finish = score(&engine, "the he", &["llo"]);
    assert!(matches!(finish, Err(BackendError::Unsupported(_))));
    assert!(matches!(score(&engine, "hello", &[""]), Err(BackendError::Unsupported(_))));
}

#[test]
fn many_clients_get_what_one_gets() {
    let engine = Arc::new(model("gemma-3").open());
    let alone = generate(&engine, Sampling::GREEDY, 12, &[]).0;
    let answers = Arc::new(Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| answers.lock().unwrap().push(generate(&engine, Sampling::GREEDY, 12, &[]).0));
        }
    });
    assert_eq!(*answers.lock().unwrap(), vec![alone; 16]);
}

#[test]
fn a_client_that_panics_ends_its_turn() {
    let engine = model("llama-3").open();
    let request = Request::Generate(Generate {
        messages: user("hello"),
        sampling: Sampling::GREEDY,
        max_tokens: 4,
        stop: Vec::new(),
        ignore_eos: false,
        logprobs: None,
    });
    let failed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        engine.answer(&request, &mut |_| panic!("the client fails"))
    }));
    assert!(failed.is_err());
    assert!(engine.answer(&request, &mut |_| {}).is_ok());
}

#[test]
fn meaningless_sampling_is_refused() {
    let engine = model("llama-3").open();
    for sampling in [
        Sampling { temperature: -1.0, ..Sampling::GREEDY },
        Sampling { temperature: f64::NAN, ..Sampling::GREEDY },
        Sampling { top_k: Some(0), ..Sampling::GREEDY },
        Sampling { top_p: Some(0.0), ..Sampling::GREEDY },
    ] {
        let (messages, stop) = (user("hello"), Vec::new());
        let request = Request::Generate(Generate {
            messages,
            sampling,
            max_tokens: 1,
            stop,
            ignore_eos: false,
            logprobs: None,
        });
        assert!(matches!(engine.answer(&request, &mut |_| {}), Err(BackendError::Unsupported(_))));
    }
}
