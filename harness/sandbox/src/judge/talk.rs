//! Talking to a candidate, and between a candidate and its tests. Every line from either is hostile until checked.
#![expect(clippy::disallowed_methods, reason = "who waits for an answer needs the clock")]

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::plain::Plain;
use super::{Call, TestCode, cut};
use crate::program::{Ended, Language, Limits, NotRun};
use crate::sandbox::{Prepared, Sandbox, Session};

/// Bytes of a line at most.
const LINE: usize = 4 << 20;

/// What the watch over a program needs beyond its time.
const MARGIN: Duration = Duration::from_secs(3);

/// Beside the candidate, in its process.
const SUBJECT: &str = include_str!("subject.py");

/// Beside the tests, in theirs.
const TESTS: &str = include_str!("tests.py");

/// What tests came to.
pub(super) enum Told {
    Passed(String),
    Failed(String),
    /// The tests themselves cannot be run.
    Broken(String),
}

/// What a candidate raised, in its own words.
pub(super) struct Raised {
    kinds: Vec<String>,
    message: String,
}

impl Raised {
    fn read(message: &Map<String, Value>) -> Option<Self> {
        let kinds = message.get("x")?.as_array()?;
        let kinds = kinds.iter().take(8).map(|it| Some(cut(it.as_str()?, 60))).collect::<Option<Vec<_>>>()?;
        let message = cut(message.get("m")?.as_str()?, 200);
        (!kinds.is_empty()).then_some(Self { kinds, message })
    }

    /// Whether it is of a class.
    pub(super) fn is(&self, class: &str) -> bool {
        self.kinds.iter().any(|it| it == class)
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kinds[0])?;
        if self.message.is_empty() { Ok(()) } else { write!(f, ": {}", cut(&self.message, 80)) }
    }
}

/// Why there is no answer.
pub(super) enum Silence {
    /// The other side is gone, or too late.
    Over,
    /// What it said is no answer.
    Nonsense(String),
}

fn nonsense<T>(what: &str) -> Result<T, Silence> {
    Err(Silence::Nonsense(what.to_owned()))
}

/// Lines to and from a program.
struct Line {
    session: Session,
    channel: UnixStream,
    read: Vec<u8>,
    deadline: Instant,
}

impl Line {
    fn start(sandbox: &Sandbox, prepared: &Prepared) -> Result<Self, NotRun> {
        let mut session = sandbox.start(prepared, &[], true, None)?;
        let channel = session.channel.take().expect("it was asked for");
        let deadline = Instant::now() + prepared.limits.wall + MARGIN;
        Ok(Self { session, channel, read: Vec::new(), deadline })
    }

    fn say(&mut self, message: &Value) -> Result<(), Silence> {
        if !self.read.is_empty() {
            return nonsense("answered before it was asked");
        }
        let mut line = message.to_string().into_bytes();
        line.push(b'\n');
        let left = self.deadline.saturating_duration_since(Instant::now());
        // One that does not read is late.
        self.channel
            .set_write_timeout(Some(left.max(Duration::from_millis(1))))
            .map_err(|_| Silence::Over)?;
        self.channel.write_all(&line).map_err(|_| Silence::Over)
    }

    fn hear(&mut self) -> Result<Map<String, Value>, Silence> {
        let mut buffer = vec![0; 1 << 16];
        let mut looked = 0;
        let end = loop {
            if let Some(end) = self.read[looked..].iter().position(|it| *it == b'\n') {
                break looked + end;
            }
            looked = self.read.len();
            if looked > LINE {
                return nonsense("answered too much");
            }
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Silence::Over);
            }
            self.channel.set_read_timeout(Some(left)).map_err(|_| Silence::Over)?;
            match self.channel.read(&mut buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return Err(Silence::Over),
                Ok(count) => self.read.extend_from_slice(&buffer[..count]),
            }
        };
        let line: Vec<u8> = self.read.drain(..=end).collect();
        match serde_json::from_slice(&line) {
            Ok(Value::Object(message)) => Ok(message),
            _ => nonsense("answered what is no answer"),
        }
    }

    /// Ends the program; why there was no answer, for people.
    fn why(self, silence: Silence) -> Result<String, NotRun> {
        let run = self.session.stop()?;
        Ok(match silence {
            Silence::Nonsense(what) => what,
            Silence::Over => match run.ended {
                // One that ends by itself may be stopped before that is seen: the same words for both.
                Ended::Stopped | Ended::Exited(_) => "did not answer".to_owned(),
                ended => ended.to_string(),
            },
        })
    }
}

/// A candidate that can be called.
pub(super) struct Subject {
    line: Line,
    random: RandomState,
    calls: u64,
    source: String,
    limits: Limits,
}

/// What a call came to: a value, or what was raised.
type Answer = Result<Plain, Raised>;

impl Subject {
    /// Starts a candidate; the inner error says why it cannot be called.
    pub(super) fn start(
        sandbox: &Sandbox,
        source: &str,
        limits: &Limits,
    ) -> Result<Result<Self, String>, NotRun> {
        let prepared = python(sandbox, limits, [("subject.py", SUBJECT), ("candidate.py", source)])?;
        let mut line = Line::start(sandbox, &prepared)?;
        match line.hear() {
            Ok(message) if message.get("load").and_then(Value::as_str) == Some("ok") => {
                let (source, limits) = (source.to_owned(), limits.clone());
                Ok(Ok(Self { line, random: RandomState::new(), calls: 0, source, limits }))
            }
            Ok(message) => {
                let raised = message.get("load").and_then(Value::as_object).and_then(Raised::read);
                line.session.stop()?;
                Ok(Err(match raised {
                    Some(raised) => format!("the code does not load: {raised}"),
                    None => "the code does not load".to_owned(),
                }))
            }
            Err(silence) => Ok(Err(format!("the code does not load: it {}", line.why(silence)?))),
        }
    }

    /// Ends this process and starts the candidate in a new one, which knows of no call.
    fn start_anew(&mut self, sandbox: &Sandbox) -> Result<Result<(), String>, NotRun> {
        Ok(Self::start(sandbox, &self.source, &self.limits)?.map(|new| *self = new))
    }

    /// Calls a function with plain data.
    pub(super) fn call(&mut self, call: &Call) -> Result<Answer, Silence> {
        let arguments: Vec<Value> = call.arguments.iter().map(Plain::encode).collect();
        let named: Map<String, Value> =
            call.named.iter().map(|(name, it)| (name.clone(), it.encode())).collect();
        let nonce = self.ask(&call.function, &json!(arguments), &json!(named))?;
        let message = self.answer(&nonce)?;
        read_answer(&message)
    }

    /// Sends a call under a nonce that is given back.
    fn ask(&mut self, function: &str, arguments: &Value, named: &Value) -> Result<String, Silence> {
        self.calls += 1;
        let nonce = format!("{:016x}", self.random.hash_one(self.calls));
        let message = json!({ "n": nonce, "f": function, "a": arguments, "k": named });
        self.line.say(&message)?;
        Ok(nonce)
    }

    /// The next message under this nonce.
    fn answer(&mut self, nonce: &str) -> Result<Map<String, Value>, Silence> {
        let message = self.line.hear()?;
        if message.get("n").and_then(Value::as_str) == Some(nonce) {
            Ok(message)
        } else {
            nonsense("answered something else than it was asked")
        }
    }

    /// Ends the candidate; why there was no answer.
    pub(super) fn why(self, silence: Silence) -> Result<String, NotRun> {
        self.line.why(silence)
    }

    /// Ends the candidate.
    pub(super) fn stop(self) -> Result<(), NotRun> {
        self.line.session.stop().map(drop)
    }
}

fn read_answer(message: &Map<String, Value>) -> Result<Answer, Silence> {
    if let Some(kind) = message.get("u").and_then(Value::as_str) {
        return nonsense(&format!("returned what is not plain data: {}", cut(kind, 60)));
    }
    if let Some(name) = message.get("none").and_then(Value::as_str) {
        return nonsense(&format!("defines no `{}`", cut(name, 60)));
    }
    if let Some(value) = message.get("r") {
        let Some(value) = Plain::decode(value) else { return nonsense("returned what is not plain data") };
        return Ok(Ok(value));
    }
    match Raised::read(message) {
        Some(raised) => Ok(Err(raised)),
        None => nonsense("answered what is no answer"),
    }
}

/// Python with these files, of which the first is executed.
fn python<const N: usize>(
    sandbox: &Sandbox,
    limits: &Limits,
    files: [(&str, &str); N],
) -> Result<Prepared, NotRun> {
    let toolchain = sandbox.toolchain(Language::Python)?;
    let program = toolchain.program.to_string_lossy().into_owned();
    let mut command = vec![program];
    command.extend(toolchain.arguments.iter().cloned());
    command.push(files[0].0.to_owned());
    Ok(Prepared {
        command,
        files: files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec(), false)).into(),
        readable: toolchain.readable.clone(),
        limits: limits.clone(),
        processes: false,
        stdin: None,
    })
}

/// Tests as code, and whom they test.
pub(super) struct Tests<'a> {
    pub(super) sandbox: &'a Sandbox,
    pub(super) limits: &'a Limits,
    pub(super) code: &'a TestCode,
    pub(super) subject: Subject,
}

/// Whose silence ended the tests.
enum Side {
    Tests(Silence),
    Candidate(Silence),
    Reference(Silence),
    /// Nobody's: the sandbox could not start one anew.
    Sandbox(NotRun),
}

impl Tests<'_> {
    /// Runs the tests to their verdict.
    pub(super) fn run(mut self) -> Result<Told, NotRun> {
        if self.code.entries.is_empty() {
            return Ok(Told::Broken("there is no function to test".to_owned()));
        }
        let names = json!({ "entries": self.code.entries }).to_string();
        // What waits for a candidate waits as long as that may take.
        let limits = Limits { wall: self.limits.wall * 2, cpu: self.limits.cpu * 2, ..self.limits.clone() };
        let files = [
            ("runner.py", TESTS),
            ("wire.py", SUBJECT),
            ("names.json", names.as_str()),
            ("given.py", self.code.given.as_str()),
            ("written.py", self.code.tests.as_str()),
        ];
        let mut tests = Line::start(self.sandbox, &python(self.sandbox, &limits, files)?)?;
        // The reference waits for both. That it ran out of time would say nothing of the candidate.
        let limits = Limits { wall: self.limits.wall * 3, cpu: self.limits.cpu * 2, ..self.limits.clone() };
        let mut reference = match &self.code.reference {
            None => None,
            Some(source) => match Subject::start(self.sandbox, source, &limits)? {
                Ok(subject) => Some(subject),
                Err(reason) => return Ok(Told::Broken(format!("the reference: {reason}"))),
            },
        };
        let told = self.relay(&mut tests, reference.as_mut());
        Ok(match told {
            Ok(told) => told,
            Err(Side::Candidate(silence)) => Told::Failed(format!("a call {}", self.subject.why(silence)?)),
            Err(Side::Tests(silence)) => Told::Failed(format!("the tests {}", tests.why(silence)?)),
            Err(Side::Sandbox(refusal)) => return Err(refusal),
            Err(Side::Reference(silence)) => match reference {
                Some(reference) => Told::Broken(format!("the reference {}", reference.why(silence)?)),
                None => Told::Broken("there is no reference".to_owned()),
            },
        })
    }

    /// Carries calls to the candidate and answers back, until the tests say how they ended.
    fn relay(&mut self, tests: &mut Line, mut reference: Option<&mut Subject>) -> Result<Told, Side> {
        loop {
            let message = tests.hear().map_err(Side::Tests)?;
            let text = |name: &str| message.get(name).and_then(Value::as_str).unwrap_or_default();
            let why = cut(text("why"), 300);
            match text("end") {
                "passed" => return Ok(Told::Passed(why)),
                "failed" => return Ok(Told::Failed(why)),
                "broken" => return Ok(Told::Broken(why)),
                _ => {}
            }
            let is_reference = text("to") == "reference";
            let subject = match &mut reference {
                Some(reference) if is_reference => &mut **reference,
                None if is_reference => return Err(Side::Reference(Silence::Over)),
                _ => &mut self.subject,
            };
            let side = if is_reference { Side::Reference } else { Side::Candidate };
            if message.get("fresh").and_then(Value::as_bool) == Some(true)
                && let Err(reason) = subject.start_anew(self.sandbox).map_err(Side::Sandbox)?
            {
                return Ok(if is_reference {
                    Told::Broken(format!("the reference: {reason}"))
                } else {
                    Told::Failed(reason)
                });
            }
            // Tests that a model wrote may ask for anything; what is beside the tested functions tells
            // implementations apart that do the same.
            let function = text("call");
            if !self.code.entries.iter().any(|it| it == function) {
                let what = format!("called `{}`, which is not tested", cut(function, 60));
                return Err(Side::Tests(Silence::Nonsense(what)));
            }
            let (Some(arguments), Some(named)) =
                (message.get("a").filter(|it| it.is_array()), message.get("k").filter(|it| it.is_object()))
            else {
                return Err(Side::Tests(Silence::Nonsense("call in a way that is none".to_owned())));
            };
            let before = subject.line.session.cpu_time();
            let nonce = subject.ask(function, arguments, named).map_err(side)?;
            let answer = loop {
                let message = subject.answer(&nonce).map_err(side)?;
                let Some(function) = message.get("ask") else { break message };
                let asked = (function.as_u64(), message.get("a").and_then(plain_list));
                let (Some(function), Some(arguments)) = asked else {
                    return Err(side(Silence::Nonsense("called in a way that is none".to_owned())));
                };
                tests.say(&json!({ "ask": function, "a": arguments })).map_err(Side::Tests)?;
                let result = tests.hear().map_err(Side::Tests)?;
                if result.contains_key("end") {
                    let why = result.get("why").and_then(Value::as_str).unwrap_or_default();
                    return Ok(Told::Failed(cut(why, 300)));
                }
                subject.line.say(&Value::Object(result)).map_err(side)?;
            };
            let cpu = before
                .zip(subject.line.session.cpu_time())
                .map(|(before, after)| after.saturating_sub(before).as_secs_f64());
            let mut told = match read_answer(&answer).map_err(side)? {
                Ok(value) => json!({ "r": value.encode() }),
                Err(raised) => json!({ "x": raised.kinds, "m": raised.message }),
            };
            told["cpu"] = json!(cpu);
            tests.say(&told).map_err(Side::Tests)?;
        }
    }
}

/// A list of plain data, each checked.
fn plain_list(value: &Value) -> Option<Vec<Value>> {
    value.as_array()?.iter().map(|it| Plain::decode(it).map(|it| it.encode())).collect()
}
