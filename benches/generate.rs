//! `cargo bench --bench generate`: prefill, decode and load of each fetched default model.
//!
//! Speed is of one request at a time. Beside it: peak resident memory, and energy where it can be measured.
//! `PROOFMARK_BENCH=short` measures less. With `PROOFMARK_PEERS` it is compared with llama.cpp instead, which
//! `benches/peers/speed.py` builds; then `-- --rounds 5` measures more, and `-- --check` fails below the floors.
#![expect(clippy::print_stderr, reason = "a bench speaks to its user")]

mod llama_cpp;

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode, Throughput};
use eval::availability;
use eval::backend::{Backend, Generate, Message, Request, Role, Sampling};
use eval::lock::Lock;
use eval::machine::{self, Meter};
use eval::model::{Model, Models};
use eval::response::{Response, ask};
use eval::session::Availability;
use eval::settings::Settings;
use eval::weights::{Cache, Weights, bytes};

/// Tokens of the prompts whose prefill is measured.
const PROMPTS: [u32; 2] = [128, 512];

/// Tokens that are decoded after a prompt of 128.
const DECODED: u32 = 64;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if let Some(file) = arguments.find(|it| it == "--measure").and_then(|_| arguments.next()) {
        return llama_cpp::measure(file.as_ref());
    }
    let settings = Settings::from_env().unwrap_or_else(|message| refuse(&message));
    let models = Models::load(&settings.models).unwrap_or_else(|mistakes| refuse(&mistakes[0].to_string()));
    let lock = Lock::load(&Lock::path_of(&settings.models)).unwrap_or_else(|it| refuse(&it.to_string()));
    let supports = |_: &Model, weights: &Weights| engine::supports(&weights.path);
    let available = availability::look(&models, &lock, &Cache::from_env(), &supports);
    if let Some(tools) = std::env::var_os("PROOFMARK_PEERS").filter(|it| !it.is_empty()) {
        return compare(tools.into(), &models, &available);
    }
    let short = std::env::var("PROOFMARK_BENCH").is_ok_and(|it| it == "short");
    let mut criterion = Criterion::default().configure_from_args().sample_size(10);
    if short {
        criterion =
            criterion.warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    }
    for (model, available) in models.models.iter().zip(available) {
        if !model.tags.iter().any(|it| it == "default") {
            continue;
        }
        match available {
            Availability::Ready(weights) => measure(&mut criterion, model, &weights, short),
            Availability::Skipped(reason) | Availability::Wrong(reason) => {
                eprintln!("{}: not measured: {reason}", model.name);
            }
        }
    }
    criterion.final_summary();
}

/// Ends the process with 1 where something is below its floor and `--check` was given.
fn compare(tools: PathBuf, models: &Models, available: &[Availability]) {
    let options = llama_cpp::Options::read(tools, std::env::args().skip(1)).unwrap_or_else(|it| refuse(&it));
    let files = llama_cpp::ROWS.iter().map(|row| {
        let found = models.models.iter().zip(available).find(|(model, _)| model.name == row.model);
        let (model, available) = found.unwrap_or_else(|| refuse(&format!("no model `{}`", row.model)));
        match (available, model.parameters) {
            (Availability::Ready(weights), Some(parameters)) => {
                llama_cpp::File::of(row, &weights.files[0], parameters, &options)
            }
            (Availability::Ready(_), None) => refuse(&format!("{}: no count of parameters", row.model)),
            (Availability::Skipped(reason) | Availability::Wrong(reason), _) => {
                refuse(&format!("{}: {reason}", row.model))
            }
        }
    });
    if !llama_cpp::compare(&files.collect::<Vec<_>>(), &options) {
        std::process::exit(1);
    }
}

fn measure(criterion: &mut Criterion, model: &Model, weights: &Weights, short: bool) {
    let resting = machine::resident_memory();
    machine::reset_peak_memory();
    let meter = Meter::open();
    let before = meter.read();
    let mut group = criterion.benchmark_group(&model.name);
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function("load", |bencher| bencher.iter_with_large_drop(|| open(model, weights)));
    let loaded = machine::peak_memory();
    let backend = open(model, weights);
    let mut tokens = 0;
    for count in PROMPTS.into_iter().take(if short { 1 } else { 2 }) {
        let request = generate(&*backend, count, 1, 0);
        group.throughput(Throughput::Elements(count.into()));
        group.bench_function(BenchmarkId::new("prefill", count), |bencher| {
            bencher.iter(|| {
                tokens += u64::from(count);
                black_box(answer(&*backend, &request))
            });
        });
    }
    let request = generate(&*backend, PROMPTS[0], DECODED, 0);
    group.throughput(Throughput::Elements((DECODED - 1).into()));
    group.bench_function(BenchmarkId::new("decode", DECODED), |bencher| {
        bencher.iter_custom(|iterations| {
            // The first token's time is prefill's: only what follows it is decoding.
            (0..iterations)
                .map(|_| {
                    let response = answer(&*backend, &request);
                    tokens += u64::from(PROMPTS[0] + DECODED);
                    response.tpot().expect("64 tokens were decoded") * (DECODED - 1)
                })
                .sum()
        });
    });
    group.finish();
    let memory = |it: Option<u64>| it.map_or_else(|| "not measured".to_owned(), bytes);
    eprintln!(
        "{}: {} of weights; peak resident memory {} while loading, {} in all",
        model.name,
        bytes(weights.size),
        memory(loaded),
        memory(machine::peak_memory()),
    );
    let working = machine::resident_memory();
    drop(backend);
    eprintln!(
        "{}: resident memory {} before it was loaded, {} with it, {} after it went",
        model.name,
        memory(resting),
        memory(working),
        memory(machine::resident_memory()),
    );
    match before.zip(meter.read()) {
        Some((before, now)) => {
            let (joules, meter) = now.since(&before);
            eprintln!(
                "{}: {joules:.1} J for {tokens} tokens of prompt and output, one request at a time, idle power \
                 included ({meter})",
                model.name
            );
        }
        None => eprintln!("{}: energy not measured: no counter can be read here", model.name),
    }
}

fn open(model: &Model, weights: &Weights) -> Arc<dyn Backend> {
    // A prompt that was read before must be read again: what is found in a cache is no speed.
    let options = engine::Options { cold: true, ..engine::Options::of(model) };
    let opened = engine::open(&weights.path, options).and_then(|engine| engine.load().map(|()| engine));
    Arc::new(opened.unwrap_or_else(|error| refuse(&error.to_string())))
}

/// A request whose prompt has exactly so many tokens, or as near above as words allow; `from` begins the count.
fn generate(backend: &dyn Backend, tokens: u32, max_tokens: u32, from: usize) -> Request {
    let words = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"];
    let mut text = String::from("Count on:");
    let mut next = from;
    let messages = |text: &str| vec![Message { role: Role::User, content: text.to_owned() }];
    loop {
        let prompt = backend.prompt(&messages(&text)).unwrap_or_else(|error| refuse(&error.to_string()));
        if prompt.tokens.len() >= tokens as usize {
            break;
        }
        text.push(' ');
        text.push_str(words[next % words.len()]);
        next += 1;
    }
    Request::Generate(Generate {
        messages: messages(&text),
        sampling: Sampling::GREEDY,
        max_tokens,
        stop: Vec::new(),
        ignore_eos: true,
        logprobs: None,
    })
}

fn answer(backend: &dyn Backend, request: &Request) -> Response {
    ask(backend, request).unwrap_or_else(|error| refuse(&error.to_string()))
}

fn refuse(message: &str) -> ! {
    eprintln!("error: {message}");
    std::process::exit(1)
}
