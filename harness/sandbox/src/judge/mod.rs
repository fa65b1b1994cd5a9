//! Judging: whether a candidate does what it should, found out without believing it.
//!
//! A candidate is asked for values and never for a verdict. Its process holds neither tests nor expected values: it is
//! sent one call at a time, and what it answers is read as plain data of exact types, here, outside. Tests that are
//! code run in a sandbox of their own, where the candidate is a proxy. So there is nothing in its reach that could be
//! made to say *pass*; whatever it patches, prints, raises or ends, only right answers are right.
//!
//! | what | module |
//! |---|---|
//! | a candidate, tasks and verdicts | this one |
//! | a candidate that is called | `talk.rs`, `subject.py` |
//! | tests that are code | `talk.rs`, `tests.py` |
//! | values | [`plain`] |
//! | calls as they are written | `literal.rs` |

mod literal;
pub mod plain;
mod talk;

use std::hash::{BuildHasher as _, RandomState};

use serde::{Deserialize, Serialize};

pub use self::literal::Mistake;
use self::plain::Plain;
use self::talk::{Subject, Tests, Told};
use crate::program::{Containment, Ended, Language, Limits, NotRun, Program, Run};
use crate::sandbox::{Sandbox, Turn};

/// A program that is to be judged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// What it is written in.
    pub language: Language,
    /// All of its text.
    pub source: String,
    /// What it may use: in every run of it, or for all calls together.
    pub limits: Limits,
}

/// What a candidate has to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Task {
    /// Its functions return what they should. Python.
    Calls {
        /// One after the other, in one process.
        calls: Vec<Call>,
        /// How far a float may be off, absolute or relative to the wanted one.
        tolerance: f64,
    },
    /// It passes tests. Python.
    Tests(TestCode),
    /// It prints what it should.
    Prints(Vec<Printed>),
    /// It is itself tests: the right implementation passes, and each wrong one fails. Python.
    Mutants {
        /// What is tested.
        entries: Vec<String>,
        /// The right implementation.
        right: String,
        /// Wrong ones.
        wrong: Vec<String>,
    },
}

/// A call of a function and what is wanted of it; [`Call::read`] reads it from text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// The function.
    pub function: String,
    /// Its arguments in order.
    pub arguments: Vec<Plain>,
    /// Its arguments by name.
    pub named: Vec<(String, Plain)>,
    /// What should come of it.
    pub wanted: Wanted,
}

/// What should come of a call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Wanted {
    /// This value.
    Returns(Plain),
    /// An exception of this class or one derived from it.
    Raises(String),
}

/// Tests as code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TestCode {
    /// The functions that are tested; the first is also called `candidate`.
    pub entries: Vec<String>,
    /// Definitions that tests may use, such as those of the prompt.
    pub given: String,
    /// Statements; a function `check(candidate)` is called, and so is every `test…()`.
    pub tests: String,
    /// A solution that the candidate's CPU time is compared with.
    pub reference: Option<String>,
}

/// A run and what it should print.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Printed {
    /// Standard input.
    pub stdin: String,
    /// Standard output; white space at the ends of lines, and empty lines at the end, mean nothing.
    pub stdout: String,
}

/// What judging came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The result.
    pub result: Judged,
    /// Why.
    pub reason: String,
    /// What contained the candidate.
    pub containment: Containment,
}

/// The result of judging.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Judged {
    /// All is as it should be.
    Right,
    /// Something is not.
    Wrong,
    /// So many of the wrong implementations are caught, though not all.
    Caught {
        /// By a failing test.
        caught: usize,
        /// All there are.
        of: usize,
    },
    /// The task itself is broken: nothing is said of the candidate.
    Broken,
}

/// How often tests meet the right implementation. Those that do not test but guess when to fail have to guess all of
/// these; of two wrong ones that is one guess of ten.
const RIGHT: usize = 3;

impl Sandbox {
    /// Judges a candidate.
    pub fn judge(&self, candidate: &Candidate, task: &Task) -> Result<Verdict, NotRun> {
        let _turn = Turn::wait();
        let (result, reason) = match task {
            Task::Prints(printed) => self.printed(candidate, printed)?,
            _ if candidate.language != Language::Python => {
                (Judged::Broken, format!("only Python can be called, and this is {}", candidate.language))
            }
            Task::Calls { calls, tolerance } => self.called(candidate, calls, *tolerance)?,
            Task::Tests(tests) => match self.by_tests(candidate, tests)? {
                Told::Passed(reason) => (Judged::Right, reason),
                Told::Failed(reason) => (Judged::Wrong, reason),
                Told::Broken(reason) => (Judged::Broken, reason),
            },
            Task::Mutants { entries, right, wrong } => self.mutated(candidate, entries, right, wrong)?,
        };
        Ok(Verdict { result, reason, containment: self.containment() })
    }

    fn called(
        &self,
        candidate: &Candidate,
        calls: &[Call],
        tolerance: f64,
    ) -> Result<(Judged, String), NotRun> {
        if calls.is_empty() {
            return Ok((Judged::Broken, "there is nothing to call".to_owned()));
        }
        let mut subject = match Subject::start(self, &candidate.source, &candidate.limits)? {
            Ok(subject) => subject,
            Err(reason) => return Ok((Judged::Wrong, reason)),
        };
        for call in calls {
            let shown = cut(&call.shown(), 80);
            let answer = match subject.call(call) {
                Ok(answer) => answer,
                Err(reason) => return Ok((Judged::Wrong, format!("{shown} {}", subject.why(reason)?))),
            };
            let wrong = match (&call.wanted, answer) {
                (Wanted::Returns(wanted), Ok(found)) if found.is(wanted, tolerance) => None,
                (Wanted::Raises(wanted), Err(raised)) if raised.is(wanted) => None,
                (Wanted::Returns(wanted), Ok(found)) => Some(told_apart(&found, wanted)),
                (Wanted::Raises(wanted), Ok(found)) => {
                    Some(format!("returned {}, wanted {wanted} to be raised", cut(&found.to_string(), 60)))
                }
                (Wanted::Returns(wanted), Err(raised)) => {
                    Some(format!("raised {raised}, wanted {}", cut(&wanted.to_string(), 60)))
                }
                (Wanted::Raises(wanted), Err(raised)) => Some(format!("raised {raised}, wanted {wanted}")),
            };
            if let Some(wrong) = wrong {
                return Ok((Judged::Wrong, format!("{shown} {wrong}")));
            }
        }
        subject.stop()?;
        let count = calls.len();
        Ok((Judged::Right, format!("{count} {} as wanted", if count == 1 { "call" } else { "calls" })))
    }

    fn by_tests(&self, candidate: &Candidate, code: &TestCode) -> Result<Told, NotRun> {
        let subject = match Subject::start(self, &candidate.source, &candidate.limits)? {
            Ok(subject) => subject,
            Err(reason) => return Ok(Told::Failed(reason)),
        };
        Tests { sandbox: self, limits: &candidate.limits, code, subject }.run()
    }

    fn printed(&self, candidate: &Candidate, printed: &[Printed]) -> Result<(Judged, String), NotRun> {
        if printed.is_empty() {
            return Ok((Judged::Broken, "there is nothing to run".to_owned()));
        }
        let limits = candidate.limits.clone();
        let program = Program { limits, ..Program::new(candidate.language, candidate.source.clone()) };
        let prepared = match self.prepare(&program)? {
            Ok(prepared) => prepared,
            Err(run) => return Ok((Judged::Wrong, format!("the program {}{}", run.ended, words_of(&run)))),
        };
        for case in printed {
            let run = self.finish(&prepared, case.stdin.as_bytes())?;
            let given = match cut(case.stdin.trim_end(), 60).as_str() {
                "" => "the program".to_owned(),
                input => format!("given {input:?} the program"),
            };
            if run.ended != Ended::Exited(0) {
                return Ok((Judged::Wrong, format!("{given} {}{}", run.ended, words_of(&run))));
            }
            let found = lines_of(&String::from_utf8_lossy(&run.stdout));
            let wanted = lines_of(&case.stdout);
            if found != wanted {
                let (found, wanted) = (cut(&found.join("\n"), 80), cut(&wanted.join("\n"), 80));
                return Ok((Judged::Wrong, format!("{given} printed {found:?}, wanted {wanted:?}")));
            }
        }
        let count = printed.len();
        Ok((Judged::Right, format!("{count} {} as wanted", if count == 1 { "run" } else { "runs" })))
    }

    /// The candidate is tests: which implementation they meet is not for them to know, so the order is random and
    /// each meets its own in sandboxes of their own.
    fn mutated(
        &self,
        candidate: &Candidate,
        entries: &[String],
        right: &str,
        wrong: &[String],
    ) -> Result<(Judged, String), NotRun> {
        if entries.is_empty() || wrong.is_empty() {
            return Ok((Judged::Broken, "there is nothing to tell apart".to_owned()));
        }
        let code = TestCode {
            entries: entries.to_vec(),
            given: String::new(),
            tests: candidate.source.clone(),
            reference: None,
        };
        let random = RandomState::new();
        let mut order: Vec<usize> = (0..wrong.len() + RIGHT).collect();
        order.sort_by_key(|it| random.hash_one(it));
        let mut survived = Vec::new();
        for place in order {
            let place = (place + 1).saturating_sub(RIGHT);
            let (name, source) = match place.checked_sub(1).and_then(|it| wrong.get(it)) {
                None => ("the right implementation".to_owned(), right),
                Some(source) => (format!("wrong implementation {place}"), source.as_str()),
            };
            let implementation = Candidate {
                source: source.to_owned(),
                language: Language::Python,
                limits: candidate.limits.clone(),
            };
            let subject = match Subject::start(self, &implementation.source, &implementation.limits)? {
                Ok(subject) => subject,
                Err(reason) => return Ok((Judged::Broken, format!("{name} does not load: {reason}"))),
            };
            let tests = Tests { sandbox: self, limits: &candidate.limits, code: &code, subject };
            match (tests.run()?, place) {
                (Told::Passed(_), 0) | (Told::Failed(_), 1..) => {}
                (Told::Failed(reason), 0) => {
                    return Ok((
                        Judged::Wrong,
                        format!("the tests fail on the right implementation: {reason}"),
                    ));
                }
                (Told::Passed(_), place) => survived.push(place),
                (Told::Broken(reason), _) => {
                    return Ok((Judged::Wrong, format!("the tests test nothing: {reason}")));
                }
            }
        }
        survived.sort_unstable();
        let of = wrong.len();
        if survived.is_empty() {
            return Ok((Judged::Right, format!("{of} of {of} wrong implementations are caught")));
        }
        let caught = of - survived.len();
        let places = survived.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        let reason = format!("{caught} of {of} wrong implementations are caught: not {places}");
        Ok((Judged::Caught { caught, of }, reason))
    }
}

impl Call {
    /// As it is written, without what is wanted.
    fn shown(&self) -> String {
        let named = self.named.iter().map(|(name, value)| format!("{name}={value}"));
        let all: Vec<String> = self.arguments.iter().map(Plain::to_string).chain(named).collect();
        format!("{}({})", self.function, all.join(", "))
    }
}

/// How a value differs from what is wanted, with types where only they differ.
fn told_apart(found: &Plain, wanted: &Plain) -> String {
    let (shown, asked) = (cut(&found.to_string(), 60), cut(&wanted.to_string(), 60));
    if found.kind() == wanted.kind() {
        format!("returned {shown}, wanted {asked}")
    } else {
        format!("returned {shown} ({}), wanted {asked} ({})", found.kind(), wanted.kind())
    }
}

/// The last line that a program printed to standard error, or the first a compiler did.
fn words_of(run: &Run) -> String {
    let text = String::from_utf8_lossy(&run.stderr);
    let mut lines = text.lines().map(str::trim).filter(|it| !it.is_empty());
    let line = if run.ended == Ended::NotCompiled { lines.next() } else { lines.next_back() };
    line.map(|it| format!(": {}", cut(it, 120))).unwrap_or_default()
}

fn lines_of(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(|it| it.trim_end().to_owned()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// A text of at most so many characters.
fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
