//! The engine beside llama.cpp: the same files, the same work, in turns on the same machine.
//!
//! Each measurement is a process of its own, for both. Work is equal: a prompt of 512 tokens; and so many prompts of
//! 128 tokens, each computed for itself, then 64 tokens of each in one batch, timed from the end of the last prompt.
//! Prompts and tokens differ, and ours are sampled and made text on the way; time does not depend on which they are.
//! llama.cpp has its defaults, keys and values in `f16` among them.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::Command;

use engine::Ceilings;
use eval::backend::{Backend, Request};
use eval::machine::{self, Machine};
use eval::response::{ask, timed};
use serde_json::Value;

use crate::{generate, refuse};

/// What is compared, and the least that is accepted of it, as multiples of llama.cpp's speed in the same run. The
/// floors stand nowhere else.
pub(crate) const ROWS: [Row; 3] = [
    Row {
        model: "smollm2-135m",
        format: None,
        head: 49_152 * 576,
        load: Some(0.5),
        prefill: 4.0,
        alone: 1.5,
        batch: 4.0,
    },
    // The format that llama.cpp is tuned best for.
    Row {
        model: "smollm2-135m",
        format: Some("Q4_0"),
        head: 49_152 * 576,
        load: Some(0.5),
        prefill: 2.0,
        alone: 1.4,
        batch: 2.0,
    },
    Row {
        model: "gemma-3-270m",
        format: None,
        head: 262_144 * 640,
        load: None,
        prefill: 2.5,
        alone: 1.3,
        batch: 1.9,
    },
];

/// The most memory while loading, as a multiple of what is resident afterwards.
const MEMORY: f64 = 1.2;

/// Threads that compute, of both.
const THREADS: usize = 2;

/// Tokens of the prompt whose reading is timed.
const PROMPT: u32 = 512;

/// Sequences that are decoded together.
const BATCHES: [u32; 4] = [1, 4, 16, 64];

/// Tokens of the prompt of each of them.
const BEFORE: u32 = 128;

/// Tokens of each that are timed.
const DECODED: u32 = 64;

/// A file, and what is wanted of it.
pub(crate) struct Row {
    /// In `models.yaml`.
    pub(crate) model: &'static str,
    /// What llama.cpp makes of the model's file first.
    format: Option<&'static str>,
    /// Weights of the output matrix, which a prompt needs for its last token only.
    head: u64,
    /// Seconds of loading at most, the file in the page cache.
    load: Option<f64>,
    /// Reading a prompt.
    prefill: f64,
    /// Decoding one sequence.
    alone: f64,
    /// Decoding [`BATCHES`]' largest.
    batch: f64,
}

/// How often each is measured unless more is asked for.
const ROUNDS: NonZero<usize> = NonZero::new(3).expect("not 0");

/// How the comparison is made.
pub(crate) struct Options {
    /// Of llama.cpp's tools.
    tools: PathBuf,
    /// Of each measurement, ours and theirs in turns; medians count.
    rounds: NonZero<usize>,
    /// Whether it fails below a floor.
    check: bool,
}

impl Options {
    /// From what `cargo bench --bench generate --` was given.
    pub(crate) fn read(tools: PathBuf, arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self { tools, rounds: ROUNDS, check: false };
        let mut arguments = arguments.filter(|it| it != "--bench");
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--check" => options.check = true,
                "--rounds" => {
                    let rounds = arguments.next().and_then(|it| it.parse().ok());
                    options.rounds = rounds.ok_or("--rounds wants a number from 1 on")?;
                }
                other => return Err(format!("unknown argument `{other}`: known are --check, --rounds N")),
            }
        }
        Ok(options)
    }
}

/// A file that is measured.
pub(crate) struct File {
    pub(crate) row: &'static Row,
    pub(crate) path: PathBuf,
    /// All weights of the model.
    pub(crate) parameters: u64,
}

impl File {
    /// The model's own file, or what llama.cpp makes of it.
    pub(crate) fn of(row: &'static Row, own: &Path, parameters: u64, options: &Options) -> Self {
        let Some(format) = row.format else { return Self { row, path: own.to_owned(), parameters } };
        let path = options.tools.join(format!("{}.{format}.gguf", row.model));
        if !path.exists() {
            let unfinished = path.with_extension("unfinished");
            output(
                Command::new(options.tools.join("llama-quantize"))
                    .arg("--allow-requantize")
                    .args([own, unfinished.as_path()])
                    .args([format, &THREADS.to_string()]),
            );
            std::fs::rename(&unfinished, &path)
                .unwrap_or_else(|err| refuse(&format!("{}: {err}", path.display())));
        }
        Self { row, path, parameters }
    }

    fn name(&self) -> String {
        self.row.format.map_or_else(|| self.row.model.to_owned(), |it| format!("{} {it}", self.row.model))
    }
}

/// Tokens a second.
#[derive(Clone, Copy)]
struct Speeds {
    prefill: f64,
    /// Of each of [`BATCHES`], all sequences together.
    decode: [f64; BATCHES.len()],
}

/// What a process of ours finds.
#[derive(Clone, Copy)]
struct Ours {
    /// Seconds.
    load: f64,
    /// The most while loading, by what is resident afterwards.
    memory: f64,
    speeds: Speeds,
    ceilings: Ceilings,
}

/// Measures in turns, and prints the table. `false` if it was to be checked and something is below its floor.
#[expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what is asked for")]
pub(crate) fn compare(files: &[File], options: &Options) -> bool {
    let measured: Vec<Vec<(Ours, Speeds)>> = files
        .iter()
        .map(|file| {
            (1..=options.rounds.get())
                .map(|round| {
                    eprintln!("{}: round {round} of {}", file.name(), options.rounds);
                    (ours(&file.path), theirs(&file.path, &options.tools))
                })
                .collect()
        })
        .collect();
    let all = || measured.iter().flatten().map(|(ours, _)| ours.ceilings);
    let (dots, bytes) = (median(all().map(|it| it.operations)), median(all().map(|it| it.bytes)));
    println!("{}, {THREADS} threads, medians of {} rounds", Machine::look().cpu, options.rounds);
    println!(
        "the machine: {:.0} G operations/s on small whole numbers, {:.1} GB/s of weights\n",
        dots / 1e9,
        bytes / 1e9
    );
    println!("{HEADING}");
    let mut well = true;
    for (file, rounds) in files.iter().zip(&measured) {
        for line in lines(file, rounds) {
            println!("{}", line.shown(&file.name()));
            well &= line.is_well();
        }
    }
    well || !options.check
}

const HEADING: &str = "\
| model             | tokens/s         | llama.cpp |    ours |  ratio | of each round | wanted | ceiling | reached |
|-------------------|------------------|----------:|--------:|-------:|--------------:|-------:|--------:|--------:|";

/// One line of the table.
struct Line {
    what: String,
    theirs: Option<f64>,
    ours: f64,
    /// The medians' ratio, and the least and largest of a round.
    ratio: Option<[f64; 3]>,
    wanted: Wanted,
    /// Tokens a second that the machine allows.
    ceiling: Option<f64>,
}

#[derive(Clone, Copy)]
enum Wanted {
    Nothing,
    /// Of ours.
    Below(f64),
    /// Of the ratio.
    Ratio(f64),
}

impl Line {
    fn is_well(&self) -> bool {
        match self.wanted {
            Wanted::Nothing => true,
            Wanted::Below(most) => self.ours < most,
            Wanted::Ratio(least) => self.ratio.is_some_and(|[ratio, ..]| ratio >= least),
        }
    }

    fn shown(&self, model: &str) -> String {
        let digits = if self.ours < 10.0 { 2 } else { 0 };
        let number = |it: Option<f64>| it.map_or_else(|| "–".to_owned(), |it| format!("{it:.digits$}"));
        let wanted = match self.wanted {
            Wanted::Nothing => "–".to_owned(),
            Wanted::Below(most) => format!("< {most}"),
            Wanted::Ratio(least) => format!("{least:.1}"),
        };
        let (ratio, range) = self.ratio.map_or_else(
            || ("–".to_owned(), "–".to_owned()),
            |[ratio, least, most]| (format!("{ratio:.2}"), format!("{least:.2} – {most:.2}")),
        );
        let reached =
            self.ceiling.map_or_else(|| "–".to_owned(), |it| format!("{:.0} %", 100.0 * self.ours / it));
        let mark = if self.is_well() { "" } else { " below" };
        format!(
            "| {model:17} | {:16} | {:>9} | {:>7} | {ratio:>6} | {range:>13} | {wanted:>6} | {:>7} | {reached:>7} |{mark}",
            self.what,
            number(self.theirs),
            number(Some(self.ours)),
            number(self.ceiling),
        )
    }
}

fn lines(file: &File, rounds: &[(Ours, Speeds)]) -> Vec<Line> {
    let plain = |what: &str, of: fn(&Ours) -> f64, wanted| Line {
        what: what.to_owned(),
        theirs: None,
        ours: median(rounds.iter().map(|(ours, _)| of(ours))),
        ratio: None,
        wanted,
        ceiling: None,
    };
    let compared = |what: String, of: &dyn Fn(&Speeds) -> f64, wanted, ceiling| {
        let ours = median(rounds.iter().map(|(ours, _)| of(&ours.speeds)));
        let theirs = median(rounds.iter().map(|(_, theirs)| of(theirs)));
        let ratios = || rounds.iter().map(|(ours, theirs)| of(&ours.speeds) / of(theirs));
        let range = [ratios().fold(f64::INFINITY, f64::min), ratios().fold(0.0, f64::max)];
        let ratio = Some([ours / theirs, range[0], range[1]]);
        Line { what, theirs: Some(theirs), ours, ratio, wanted, ceiling: Some(ceiling) }
    };
    let row = file.row;
    let stored = engine::open(&file.path, engine::Options::default())
        .unwrap_or_else(|error| refuse(&error.to_string()))
        .weights_bytes() as f64;
    let operations = median(rounds.iter().map(|(ours, _)| ours.ceilings.operations));
    let bytes = median(rounds.iter().map(|(ours, _)| ours.ceilings.bytes));
    // A weight is multiplied and added for each token; attention, small here, is left out.
    let prefill = operations / (2 * (file.parameters - row.head)) as f64;
    let multiplied = operations / (2 * file.parameters) as f64;
    let load = row.load.map_or(Wanted::Nothing, Wanted::Below);
    let mut lines = vec![
        plain("load, s", |it| it.load, load),
        plain("memory, peak/end", |it| it.memory, Wanted::Below(MEMORY)),
        compared(format!("prefill {PROMPT}"), &|it| it.prefill, Wanted::Ratio(row.prefill), prefill),
    ];
    for (index, batch) in BATCHES.into_iter().enumerate() {
        let wanted = match index {
            0 => Wanted::Ratio(row.alone),
            _ if index + 1 == BATCHES.len() => Wanted::Ratio(row.batch),
            _ => Wanted::Nothing,
        };
        let ceiling = (f64::from(batch) * bytes / stored).min(multiplied);
        lines.push(compared(format!("decode, batch {batch}"), &|it| it.decode[index], wanted, ceiling));
    }
    lines
}

fn median(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let middle = numbers.len() / 2;
    if numbers.len() % 2 == 1 { numbers[middle] } else { f64::midpoint(numbers[middle - 1], numbers[middle]) }
}

/// What a command prints, errors too; a failure ends all.
fn output(command: &mut Command) -> String {
    let output =
        command.output().unwrap_or_else(|err| refuse(&format!("{}: {err}", command.get_program().display())));
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if !output.status.success() {
        refuse(&format!("{}: {}\n{printed}", command.get_program().display(), output.status));
    }
    printed
}

fn theirs(path: &Path, tools: &Path) -> Speeds {
    let threads = THREADS.to_string();
    let prompt = PROMPT.to_string();
    let bench = output(
        Command::new(tools.join("llama-bench"))
            .arg("-m")
            .arg(path)
            .args(["-p", &prompt, "-n", "0", "-t", &threads, "-r", "3", "-o", "jsonl"]),
    );
    let batches = BATCHES.map(|it| it.to_string()).join(",");
    let decoded = output(
        Command::new(tools.join("llama-batched-bench"))
            .arg("-m")
            .arg(path)
            // Room for all sequences: llama.cpp divides it among the most that there are, in steps of 256 tokens.
            .args(["-c", &(BATCHES[BATCHES.len() - 1] * 256).to_string(), "-b", "2048", "-ub", "512"])
            .args(["-npp", &BEFORE.to_string(), "-ntg", &DECODED.to_string(), "-npl", &batches])
            .args(["-t", &threads, "-tb", &threads, "--output-format", "jsonl"]),
    );
    let found = |printed: &str, name: &str, is: &dyn Fn(&Value) -> bool| {
        let lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line.trim()).ok());
        let value = lines.filter(is).find_map(|it| it[name].as_f64());
        value.unwrap_or_else(|| refuse(&format!("llama.cpp's output has no `{name}`:\n{printed}")))
    };
    Speeds {
        prefill: found(&bench, "avg_ts", &|it| it["n_prompt"] == PROMPT),
        decode: BATCHES.map(|batch| found(&decoded, "speed_tg", &|it| it["pl"] == batch)),
    }
}

fn ours(path: &Path) -> Ours {
    // Into the page cache.
    let read = std::fs::File::open(path).and_then(|mut it| std::io::copy(&mut it, &mut std::io::sink()));
    read.unwrap_or_else(|err| refuse(&format!("{}: {err}", path.display())));
    let own = std::env::current_exe().unwrap_or_else(|err| refuse(&err.to_string()));
    let printed = output(Command::new(own).arg("--measure").arg(path));
    let numbers: Vec<f64> =
        printed.lines().last().and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
    let [load, memory, prefill, b1, b4, b16, b64, operations, bytes] = numbers[..] else {
        refuse(&format!("no measurement:\n{printed}"))
    };
    let speeds = Speeds { prefill, decode: [b1, b4, b16, b64] };
    Ours { load, memory, speeds, ceilings: Ceilings { operations, bytes } }
}

/// What [`ours`] reads: this process measures one file.
#[expect(clippy::print_stdout, reason = "the process that started this one reads it")]
pub(crate) fn measure(path: &Path) {
    let resident = || machine::resident_memory().unwrap_or_else(|| refuse("memory cannot be measured here"));
    machine::reset_peak_memory();
    let before = resident();
    let options = engine::Options { cold: true, threads: Some(THREADS), ..engine::Options::default() };
    let (loaded, load) = timed(|| {
        let engine = engine::open(path, options)?;
        engine.load()?;
        Ok::<_, eval::backend::BackendError>(engine)
    });
    let engine = loaded.unwrap_or_else(|error| refuse(&error.to_string()));
    let (after, peak) = (resident(), machine::peak_memory().unwrap_or_default());
    let memory = peak.saturating_sub(before) as f64 / after.saturating_sub(before) as f64;
    let request = generate(&engine, PROMPT, 1, 0);
    let prefill: Vec<f64> = (0..4).map(|_| prefill(&engine, &request)).collect();
    // The first warms up, as llama-bench does.
    let prefill = prefill[1..].iter().sum::<f64>() / 3.0;
    let [b1, b4, b16, b64] = BATCHES.map(|batch| decode(&engine, batch));
    drop(engine);
    let ceilings = engine::ceilings(Some(THREADS)).unwrap_or_else(|reason| refuse(&reason));
    let numbers =
        [load.as_secs_f64(), memory, prefill, b1, b4, b16, b64, ceilings.operations, ceilings.bytes];
    println!("{}", serde_json::json!(numbers));
}

fn prefill(backend: &dyn Backend, request: &Request) -> f64 {
    let response = ask(backend, request).unwrap_or_else(|error| refuse(&error.to_string()));
    response.prefill_speed().unwrap_or_else(|| refuse("a prompt was read in no time"))
}

/// Tokens a second of so many sequences while all of them decode: from the last one's first token on, the same
/// number of each, as llama-batched-bench counts.
fn decode(backend: &dyn Backend, batch: u32) -> f64 {
    // The first to have read its prompt decodes while others still read, two of them or more in a step.
    let tokens = DECODED + batch / 2 + 4;
    let requests: Vec<Request> =
        (0..batch).map(|it| generate(backend, BEFORE, tokens, it as usize)).collect();
    let arrivals = std::thread::scope(|scope| {
        let ask = move |request: &Request| {
            let mut arrivals = Vec::new();
            let answer = backend.answer(request, &mut |chunk| arrivals.push(chunk.at));
            answer.map(|_| arrivals)
        };
        let clients: Vec<_> = requests.iter().map(|it| scope.spawn(move || ask(it))).collect();
        let joined = clients.into_iter().map(|it| it.join().expect("a client does not panic"));
        joined.collect::<Result<Vec<_>, _>>().unwrap_or_else(|error| refuse(&error.to_string()))
    });
    let begin = arrivals.iter().map(|it| it[0]).max().expect("a batch has sequences");
    let end = arrivals.iter().map(|it| {
        let mut later = it.iter().filter(|at| **at > begin);
        later.nth(DECODED as usize - 1).unwrap_or_else(|| refuse("a sequence ended before all had begun"))
    });
    let time = *end.max().expect("a batch has sequences") - begin;
    f64::from(batch * DECODED) / time.as_secs_f64()
}
