//! A folder with models, cases and scripts, and the quality harness run in it as a user would.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use rusqlite::{Connection, OpenFlags};
use tempfile::TempDir;

/// Models that no test needs to change.
const MODELS: &str = "
version: 1
defaults: { backend: scripted, family: none, class: small }
models:
  tiny: { sources: [{ file: tiny.yaml }] }
";

/// A folder in which the harness runs.
pub(crate) struct Place {
    folder: TempDir,
    variables: BTreeMap<&'static str, String>,
}

/// What a run of the harness said.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Place {
    /// One model, `tiny`, that says 42 to everything; no case.
    pub(crate) fn new() -> Self {
        let place = Self {
            folder: tempfile::tempdir().expect("there is a folder for temporary files"),
            variables: BTreeMap::from([
                ("PROOFMARK_MODELS", "models.yaml".to_owned()),
                ("PROOFMARK_CASES", "cases".to_owned()),
                ("PROOFMARK_GOLDEN", "golden".to_owned()),
                ("PROOFMARK_STORE", "runs.db".to_owned()),
                ("PROOFMARK_CACHE", "cache".to_owned()),
            ]),
        };
        std::fs::create_dir(place.path("cases")).expect("the folder is new");
        place.write("models.yaml", MODELS).write("tiny.yaml", "version: 1\notherwise: '42'\n")
    }

    /// The same with cases `a` and `b` of `sums/small`, both about 42.
    pub(crate) fn with_two_cases() -> Self {
        Self::new().write(
            "cases/sums/small.yaml",
            "
version: 1
cases:
  - id: a
    prompt: What is 17 + 25?
    grade: { number: 42 }
  - id: b
    prompt: What is 6 * 7?
    grade: { number: 42 }
",
        )
    }

    /// As [`Place::many`], and the run stands still after each of these numbers of trials: two threads wait for an
    /// answer until the file `hold-N` is gone. Nothing depends on how fast anything is.
    pub(crate) fn held(cases: usize, after: &[usize]) -> Self {
        let mut script = "version: 1\notherwise: '42'\nanswers:\n".to_owned();
        let place = Self::many(cases);
        for number in after {
            for case in [*number, number + 1] {
                let _ = writeln!(script, "  - {{ when: is {case} + 0, say: '42', hold: hold-{number} }}");
            }
            place.put(&format!("hold-{number}"), "");
        }
        place.write("tiny.yaml", &script)
    }

    /// Lets the run go on that stands still after this number of trials.
    #[track_caller]
    pub(crate) fn release(&self, after: usize) {
        std::fs::remove_file(self.path(&format!("hold-{after}"))).expect("nobody else removes it");
    }

    /// No case but those of `slow/sums`, this many.
    pub(crate) fn many(cases: usize) -> Self {
        let mut text = "version: 1\ncases:\n".to_owned();
        for case in 0..cases {
            let _ =
                writeln!(text, "  - {{ id: c{case}, prompt: What is {case} + 0?, grade: {{ number: 42 }} }}");
        }
        Self::new().write("cases/slow/sums.yaml", &text)
    }

    /// Sets a variable of the environment for every run that follows.
    pub(crate) fn set(mut self, name: &'static str, value: &str) -> Self {
        self.variables.insert(name, value.to_owned());
        self
    }

    /// Where a file of the folder is.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Writes a file of the folder.
    pub(crate) fn write(self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.put(path, text);
        self
    }

    /// Writes a file of the folder.
    #[track_caller]
    pub(crate) fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().expect("it lies in the folder")).expect("folders can be made");
        std::fs::write(path, text).expect("the folder can be written");
    }

    /// The text of a file of the folder.
    #[track_caller]
    pub(crate) fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).expect("the file is there")
    }

    /// Puts another text in the place of one that stands in a file.
    #[track_caller]
    pub(crate) fn edit(&self, path: &str, from: &str, to: &str) {
        let text = self.text(path);
        assert!(text.contains(from), "{path} has no {from:?}:\n{text}");
        self.put(path, text.replacen(from, to, 1));
    }

    /// The harness with these arguments, ready to be run in the folder.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        self.command_of(executable(), arguments)
    }

    /// Runs `cargo xtask` with these arguments.
    pub(crate) fn xtask(&self, arguments: &[&str]) -> Ran {
        let output = self.command_of(xtask(), arguments).output();
        Ran::from(output.expect("the command can be started"))
    }

    fn command_of(&self, executable: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(executable);
        // What the person who runs these tests has set is theirs.
        command.env_clear().envs(self.variables.iter()).args(arguments).current_dir(self.folder.path());
        for name in ["PATH", "LD_LIBRARY_PATH", "TMPDIR"] {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.env("HOME", self.folder.path()).stdin(Stdio::null());
        command
    }

    /// Runs the harness, one trial after the other.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        let arguments: Vec<&str> = ["--test-threads", "1"].iter().chain(arguments).copied().collect();
        Ran::from(self.command(&arguments).output().expect("the harness can be started"))
    }

    /// Runs the harness with one more variable set.
    pub(crate) fn run_with(&self, name: &str, value: &str, arguments: &[&str]) -> Ran {
        let arguments: Vec<&str> = ["--test-threads", "1"].iter().chain(arguments).copied().collect();
        let output = self.command(&arguments).env(name, value).output();
        Ran::from(output.expect("the harness can be started"))
    }

    /// Accepts every proposed golden as `cargo insta accept` does; gives how many there were.
    pub(crate) fn accept(&self) -> usize {
        let proposed = self.files(".snap.new");
        for new in &proposed {
            let snapshot = insta::Snapshot::from_file(new).expect("insta can read what is proposed");
            snapshot.save(&new.with_extension("")).expect("the folder can be written");
            std::fs::remove_file(new).expect("the folder can be written");
        }
        proposed.len()
    }

    /// The files below the folder of goldens whose names end so, in order.
    pub(crate) fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut folders = vec![self.path("golden")];
        let mut files = Vec::new();
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten() {
                let path = entry.expect("the folder can be read").path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.to_string_lossy().ends_with(ending) {
                    files.push(path);
                }
            }
        }
        files.sort();
        files
    }

    /// The store, opened by somebody else than the harness.
    pub(crate) fn store(&self) -> Connection {
        open_store(&self.path("runs.db")).expect("the store is there")
    }

    /// A number that the store answers with.
    #[track_caller]
    pub(crate) fn count(&self, query: &str) -> i64 {
        self.store().query_row(query, [], |row| row.get(0)).expect("the query fits the tables")
    }

    /// Checks that every trial of the newest run is accounted for, in the store by itself; gives the four numbers.
    #[track_caller]
    pub(crate) fn totals(&self) -> [i64; 4] {
        let run = self.count("SELECT max(id) FROM run");
        let outcome = |word: &str| {
            self.count(&format!("SELECT count(*) FROM trial WHERE run = {run} AND outcome = '{word}'"))
        };
        let skipped = self.count(&format!(
            "SELECT coalesce(sum(planned), 0) FROM model WHERE run = {run} AND skipped IS NOT NULL"
        ));
        let totals =
            [outcome("scored"), outcome("unscored"), outcome("errored"), outcome("skipped") + skipped];
        let planned = self.count(&format!("SELECT planned FROM run WHERE id = {run}"));
        assert_eq!(planned, totals.iter().sum::<i64>(), "{totals:?}");
        let by_model = self.count(&format!("SELECT coalesce(sum(planned), 0) FROM model WHERE run = {run}"));
        assert_eq!(planned, by_model);
        totals
    }
}

/// Opens a store to read it; `None` as long as it has no tables.
pub(crate) fn open_store(path: &Path) -> Option<Connection> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).ok()?;
    connection.busy_timeout(std::time::Duration::from_secs(10)).ok()?;
    connection.query_row("SELECT count(*) FROM trial", [], |_| Ok(())).ok()?;
    Some(connection)
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("the harness writes UTF-8"),
            stderr: String::from_utf8(output.stderr).expect("the harness writes UTF-8"),
        }
    }
}

impl Ran {
    /// Both outputs as a user sees them, without what differs from run to run.
    pub(crate) fn told(&self) -> String {
        let code = self.code.map_or_else(|| "none".to_owned(), |it| it.to_string());
        format!("{}\n{}exit code {code}", self.stdout.trim(), self.stderr_block())
    }

    fn stderr_block(&self) -> String {
        if self.stderr.is_empty() { String::new() } else { format!("\n{}\n", self.stderr.trim()) }
    }

    /// Checks that the run passed.
    #[track_caller]
    pub(crate) fn passed(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.told());
        self
    }

    /// Checks that the run failed as a test run does, not by a crash.
    #[track_caller]
    pub(crate) fn failed(self) -> Self {
        assert_eq!(self.code, Some(101), "{}", self.told());
        assert!(!self.stderr.contains("panicked"), "{}", self.told());
        self
    }

    /// Checks that a command refused, with a message.
    #[track_caller]
    pub(crate) fn refused(self) -> Self {
        assert_eq!(self.code, Some(1), "{}", self.told());
        assert!(!self.stderr.contains("panicked"), "{}", self.told());
        self
    }

    /// Checks that something was said.
    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stdout.contains(text) || self.stderr.contains(text), "no {text:?} in\n{}", self.told());
        self
    }

    /// Checks that something was not said.
    #[track_caller]
    pub(crate) fn never_says(self, text: &str) -> Self {
        assert!(!self.stdout.contains(text) && !self.stderr.contains(text), "{text:?} in\n{}", self.told());
        self
    }

    /// Checks what was said against a snapshot in `golden/shown/`.
    #[track_caller]
    pub(crate) fn shown(self, name: &str) -> Self {
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path("../../golden/shown");
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.add_filter(r"finished in \d+\.\d+s", "finished in TIME");
        settings.add_filter(r"process \d+", "process PID");
        settings.bind(|| insta::assert_snapshot!(name, self.told()));
        self
    }

    /// The tests that were run, with what came of each.
    pub(crate) fn outcomes(&self) -> BTreeMap<String, String> {
        let line = |line: &str| {
            let (name, outcome) = line.strip_prefix("test ")?.split_once(" ... ")?;
            Some((name.trim_end().to_owned(), outcome.to_owned()))
        };
        self.stdout.lines().filter_map(line).collect()
    }
}

/// The test binary of `tests/quality.rs`.
pub(crate) fn executable() -> &'static Path {
    static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();
    EXECUTABLE.get_or_init(|| built(&["test", "--no-run", "--test", "quality"], "quality"))
}

/// The binary of `xtask/`.
pub(crate) fn xtask() -> &'static Path {
    static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();
    EXECUTABLE.get_or_init(|| built(&["build", "--bin", "xtask"], "xtask"))
}

/// The executable of a target, which Cargo names only to those who ask.
fn built(command: &[&str], target: &str) -> PathBuf {
    let own = std::env::current_exe().expect("this test has a path");
    let profile = own.parent().and_then(Path::parent).and_then(Path::file_name);
    let profile = profile.and_then(|it| it.to_str()).filter(|it| *it != "debug");
    let mut cargo = Command::new(env!("CARGO"));
    // What Cargo tells of this very package, build scripts take for their own, and build anew.
    for (name, _) in std::env::vars_os() {
        if ["CARGO_MANIFEST_", "CARGO_PKG_"].iter().any(|it| name.to_string_lossy().starts_with(it)) {
            cargo.env_remove(name);
        }
    }
    // No `-p`: other packages would give dependencies other features, and build them anew.
    let output = cargo
        .args(command)
        .args(["--message-format", "json"])
        .args(profile.into_iter().flat_map(|it| ["--profile", it]))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    let messages = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let found = messages.lines().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        (message["target"]["name"] == target).then(|| message["executable"].as_str().map(PathBuf::from))?
    });
    found.expect("cargo names the executable that it built")
}
