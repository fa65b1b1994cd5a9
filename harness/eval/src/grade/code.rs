//! Code: a program that does what it should, found out in the sandbox.

use std::time::Duration;

use sandbox::judge::{Call, Candidate, Judged, Printed, Task, TestCode, Verdict};
use sandbox::{Language, Limits, NotRun, Sandbox};
use serde_json::json;

use super::inquiry::{Examiner, Found, Inquiry, Question, Unanswered};
use super::{Evidence, Figure, Finding, Given, Grader, Text, cut, extract, mistake, written};
use crate::count::counted;
use crate::yaml::{Malformed, Span, Spanned};

/// The answer's code does what it should. The whole rule, and what is believed of a program, is in `docs/sandbox.md`.
///
/// The program is `before`, the code of the answer, and `after`. The code is that of the last fenced block of the
/// language that defines what is called, else the last block of the language, else the last without a language, else
/// the last of any, else the whole answer; with `extract: completion` the text up to the first line that leaves the
/// function with which `before` ends.
///
/// It is right if each of `calls` returns or raises what is written, of the same types; or `tests` pass; or each of
/// `prints` is printed, white space at the ends of lines and empty lines at the end not counted, by a program that ends
/// with code 0. With `mutants` the answer is tests: the score is 0 unless the right implementation passes, else the
/// share of wrong ones that fail.
///
/// Where a language is not installed the trial is skipped; where nothing contains a program it is errored; where the
/// tests themselves cannot be run, unscored.
#[derive(Clone, Debug)]
pub(super) struct Code {
    language: Language,
    task: Task,
    before: String,
    after: String,
    completes: bool,
    limits: Limits,
}

/// The most that a case may allow: seconds of CPU time, seconds on the clock, MiB.
const MOST: (f64, f64, f64) = (120.0, 600.0, 8192.0);

impl Code {
    pub(super) fn check(written: &written::Code, span: Span, mistakes: &mut Vec<Malformed>) -> Option<Self> {
        let known = mistakes.len();
        let language = match written.language.value {
            written::Language::Python => Language::Python,
            written::Language::Rust => Language::Rust,
            written::Language::JavaScript => Language::JavaScript,
            written::Language::Sql => Language::Sql,
            written::Language::Shell => Language::Shell,
        };
        let text = |it: &Given<Text>| it.value().map(|it| it.0.clone()).unwrap_or_default();
        let entries = entries(&written.entry, mistakes);
        let mut tasks = Vec::new();
        if let Some(calls) = &written.calls.0 {
            tasks.push(("calls", calls.span, self::calls(calls, &written.tolerance, mistakes)));
        }
        if let Some(tests) = &written.tests.0 {
            needs_entry(&entries, "tests", tests.span, mistakes);
            let task = Task::Tests(TestCode {
                entries: entries.clone(),
                given: text(&written.given),
                tests: tests.value.0.clone(),
                reference: written.reference.value().map(|it| it.0.clone()),
            });
            tasks.push(("tests", tests.span, Some(task)));
        }
        if let Some(prints) = &written.prints.0 {
            tasks.push(("prints", prints.span, printed(prints, mistakes)));
        }
        if let Some(mutants) = &written.mutants.0 {
            needs_entry(&entries, "mutants", mutants.span, mistakes);
            let wrong: Vec<String> = super::texts("wrong", &mutants.value.wrong, mistakes);
            let right = mutants.value.right.value.0.clone();
            if wrong.contains(&right) {
                mistakes.push(mistake(mutants.value.wrong.span, "one of `wrong` is `right`"));
            }
            tasks.push((
                "mutants",
                mutants.span,
                Some(Task::Mutants { entries: entries.clone(), right, wrong }),
            ));
        }
        for (name, span, _) in &tasks {
            if language != Language::Python && *name != "prints" {
                mistakes.push(mistake(
                    *span,
                    format!("`{name}` is for Python: {language} is judged by `prints`"),
                ));
            }
        }
        let is_used = |name: &str, by: &[&str]| {
            tasks.is_empty() || by.iter().any(|it| tasks.iter().any(|task| task.0 == *it)) || name.is_empty()
        };
        for (name, span, by) in [
            ("tolerance", written.tolerance.0.as_ref().map(|it| it.span), &["calls"][..]),
            ("entry", written.entry.0.as_ref().map(|it| it.span), &["tests", "mutants"]),
            ("given", written.given.0.as_ref().map(|it| it.span), &["tests"]),
            ("reference", written.reference.0.as_ref().map(|it| it.span), &["tests"]),
        ] {
            if let Some(span) = span.filter(|_| !is_used(name, by)) {
                mistakes.push(mistake(span, format!("`{name}` is only for `{}`", by.join("` and `"))));
            }
        }
        let task = match tasks.len() {
            0 => {
                let help = "give `calls`, `tests`, `prints` or `mutants`".to_owned();
                mistakes
                    .push(Malformed { help: Some(help), ..mistake(span, "nothing is demanded of the code") });
                None
            }
            1 => tasks.remove(0).2,
            _ => {
                let message = format!("`{}` beside `{}`: give one of them", tasks[1].0, tasks[0].0);
                mistakes.push(mistake(tasks[1].1, message));
                None
            }
        };
        let limits = limits(&written.limits, mistakes);
        let completes = written.extract.value() == Some(&written::Extract::Completion);
        if let Some(extract) = written.extract.0.as_ref().filter(|_| completes && written.before.0.is_none())
        {
            mistakes.push(mistake(extract.span, "a completion completes `before`, which is not given"));
        }
        let (before, after) = (text(&written.before), text(&written.after));
        let task = task.filter(|_| mistakes.len() == known)?;
        Some(Self { language, task, before, after, completes, limits })
    }

    /// The code of an answer, without what is put around it.
    fn extracted(&self, text: &str) -> String {
        if self.completes {
            return extract::completion(text, !self.before.ends_with('\n'));
        }
        let defined: Vec<String> = match &self.task {
            Task::Calls { calls, .. } => calls.iter().map(|it| it.function.clone()).collect(),
            Task::Tests(tests) => tests.entries.clone(),
            Task::Prints(_) | Task::Mutants { .. } => Vec::new(),
        };
        extract::block(text, self.language, &defined)
    }

    /// The whole program.
    fn program(&self, text: &str) -> Option<String> {
        let code = self.extracted(text);
        if code.trim().is_empty() {
            return None;
        }
        let ended = |text: &str| if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        let joint = if self.completes { "" } else { ended(&self.before) };
        Some(format!("{}{joint}{code}{}{}", self.before, ended(&code), self.after))
    }
}

fn entries(written: &Given<Text>, mistakes: &mut Vec<Malformed>) -> Vec<String> {
    let Some(written) = &written.0 else { return Vec::new() };
    let names = written.value.0.split(',').map(|it| it.trim().to_owned());
    names
        .filter(|name| {
            let is_name = !name.is_empty()
                && !name.starts_with(|it: char| it.is_numeric())
                && name.chars().all(|it| it.is_alphanumeric() || it == '_');
            if !is_name {
                mistakes.push(mistake(written.span, format!("`{}` is no name of a function", cut(name, 40))));
            }
            is_name
        })
        .collect()
}

fn needs_entry(entries: &[String], name: &str, span: Span, mistakes: &mut Vec<Malformed>) {
    if entries.is_empty() {
        mistakes.push(mistake(span, format!("`{name}` needs `entry`: the function that is tested")));
    }
}

fn calls(
    written: &Spanned<Vec<Spanned<Text>>>,
    tolerance: &Given<Figure>,
    mistakes: &mut Vec<Malformed>,
) -> Option<Task> {
    if written.value.is_empty() {
        mistakes.push(mistake(written.span, "`calls` is empty"));
    }
    let known = mistakes.len();
    let mut calls = Vec::new();
    for call in &written.value {
        match Call::read(&call.value.0) {
            Ok(read) => calls.push(read),
            Err(wrong) => {
                let place = call.value.0.get(wrong.at..).filter(|it| !it.is_empty());
                let place = place.map(|it| format!(", at `{}`", cut(it, 20))).unwrap_or_default();
                let help = "write it as `add(2, 3) == 5` or `parse(\"x\") raises ValueError`".to_owned();
                let message = format!("no call: {}{place}", wrong.message);
                mistakes.push(Malformed { help: Some(help), ..mistake(call.span, message) });
            }
        }
    }
    let tolerance = tolerance.0.as_ref().map_or(0.0, |it| {
        let value = it.value.numeral.quantity.approximate();
        if value < 0.0 {
            mistakes.push(mistake(it.span, "`tolerance` is below 0"));
        }
        value
    });
    (mistakes.len() == known).then_some(Task::Calls { calls, tolerance })
}

fn printed(written: &Spanned<Vec<written::Printed>>, mistakes: &mut Vec<Malformed>) -> Option<Task> {
    if written.value.is_empty() {
        mistakes.push(mistake(written.span, "`prints` is empty"));
        return None;
    }
    let printed = written.value.iter().map(|it| Printed {
        stdin: it.stdin.value().map(|it| it.0.clone()).unwrap_or_default(),
        stdout: it.stdout.value.0.clone(),
    });
    let printed: Vec<Printed> = printed.collect();
    if printed.iter().all(|it| it.stdout.trim().is_empty()) {
        mistakes.push(mistake(written.span, "a program that prints nothing passes"));
    }
    Some(Task::Prints(printed))
}

fn limits(written: &Given<written::CodeLimits>, mistakes: &mut Vec<Malformed>) -> Limits {
    let mut limits = Limits::default();
    let Some(written) = written.value() else { return limits };
    let mut number = |name: &str, given: &Given<Figure>, most: f64| {
        let given = given.0.as_ref()?;
        let value = given.value.numeral.quantity.approximate();
        if value > 0.0 && value <= most {
            return Some(value);
        }
        let message = format!("`{name}` is {}: it must be above 0 and at most {most}", given.value.written);
        mistakes.push(mistake(given.span, message));
        None
    };
    if let Some(cpu) = number("cpu", &written.cpu, MOST.0) {
        limits.cpu = Duration::from_secs_f64(cpu);
        limits.wall = limits.wall.max(limits.cpu * 4);
    }
    if let Some(wall) = number("wall", &written.wall, MOST.1) {
        limits.wall = Duration::from_secs_f64(wall);
    }
    if let Some(memory) = number("memory", &written.memory, MOST.2) {
        limits.memory_bytes = Duration::from_secs_f64(memory).as_secs() << 20;
    }
    limits
}

impl Grader for Code {
    fn grade(&self, evidence: &Evidence<'_>) -> Result<Finding, String> {
        let code = self.extracted(evidence.text);
        if code.trim().is_empty() {
            return Ok(Finding::wrong("there is no code"));
        }
        let answer = Some(cut(&code, 200).into_owned());
        let [Found::Run(verdict)] = evidence.found else {
            return Err("what came of running it is not there".to_owned());
        };
        let score = match verdict.result {
            Judged::Right => 1.0,
            Judged::Wrong => 0.0,
            Judged::Caught { caught, of } => caught as f64 / of.max(1) as f64,
            Judged::Broken => return Err(verdict.reason.clone()),
        };
        Ok(Finding { score, reason: cut(&verdict.reason, 300).into_owned(), answer, metrics: Vec::new() })
    }

    fn wanted(&self) -> String {
        let language = self.language;
        match &self.task {
            Task::Calls { calls, .. } => {
                format!("{language} code that returns what is wanted of {}", counted(calls.len(), "call"))
            }
            Task::Tests(tests) => {
                format!("{language} code of `{}` that passes the tests", tests.entries.join("`, `"))
            }
            Task::Prints(runs) => {
                format!("a {language} program that prints what is wanted of {}", counted(runs.len(), "run"))
            }
            Task::Mutants { wrong, .. } => {
                format!("tests that pass, and catch {}", counted(wrong.len(), "wrong implementation"))
            }
        }
    }

    fn canonical(&self) -> serde_json::Value {
        json!({
            "language": self.language,
            "task": self.task,
            "before": self.before,
            "after": self.after,
            "completes": self.completes,
            "limits": self.limits,
        })
    }

    fn reference(&self) -> Option<String> {
        match &self.task {
            Task::Tests(tests) => tests.reference.clone().filter(|_| !self.completes),
            Task::Calls { .. } | Task::Prints(_) | Task::Mutants { .. } => None,
        }
    }

    fn runs_answer(&self) -> bool {
        true
    }

    fn inquiries(&self, text: &str) -> Vec<Inquiry> {
        let candidate = self.program(text).map(|source| Candidate {
            language: self.language,
            source,
            limits: self.limits.clone(),
        });
        let task = || self.task.clone();
        candidate
            .map(|candidate| Inquiry::Run(Box::new(Question { candidate, task: task() })))
            .into_iter()
            .collect()
    }
}

/// Finds out what a program does: opens the sandbox when it is first needed. `main` must begin with
/// [`sandbox::child`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Contained;

impl Contained {
    /// Has a candidate judged.
    pub fn run(question: &Question) -> Result<Verdict, Unanswered> {
        let verdict = Sandbox::open().and_then(|it| it.judge(&question.candidate, &question.task));
        verdict.map_err(|error| match error {
            NotRun::Missing(_) => Unanswered::Skipped(error.to_string()),
            NotRun::Refused(_) => Unanswered::Errored(error.to_string()),
        })
    }
}

impl Examiner for Contained {
    fn examine(&self, inquiry: &Inquiry) -> Result<Found, Unanswered> {
        match inquiry {
            Inquiry::Run(question) => Self::run(question).map(Found::Run),
            Inquiry::Ask { .. } | Inquiry::Weigh { .. } | Inquiry::Read { .. } => {
                super::Nowhere.examine(inquiry)
            }
        }
    }
}
