//! The sandbox: opening it, and running programs in it.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use crate::helper::{self, CALLED, HELPER};
use crate::job::{self, Job, Level, Report, Targets};
use crate::program::{Containment, Ended, Language, Limits, NotRun, Program, Run};
use crate::toolchain::{self, Toolchain};

/// A place where programs run contained. Cheap to clone, and shared by many threads.
#[derive(Clone, Debug)]
pub struct Sandbox {
    helper: PathBuf,
    level: Level,
}

/// What to change where nothing contains a program.
const REMEDY: &str = "allow user namespaces (sysctl user.max_user_namespaces above 0 and, where it is there, \
    kernel.apparmor_restrict_unprivileged_userns=0), or use a kernel with Landlock (5.13 or newer) and a container \
    whose seccomp profile lets it through";

/// Limits of a compiler.
const COMPILING: Limits = Limits {
    wall: Duration::from_mins(1),
    cpu: Duration::from_secs(30),
    memory_bytes: 2 << 30,
    output_bytes: 64 << 10,
    scratch_bytes: 256 << 20,
    tasks: 64,
};

impl Sandbox {
    /// Opens a sandbox, once the self-test has shown that it contains what it should.
    ///
    /// The test runs once in a process. `main` must have called [`crate::child`] first.
    pub fn open() -> Result<Self, NotRun> {
        if !CALLED.load(Ordering::Relaxed) {
            let reason = "`main` does not begin with `sandbox::child()`, so nothing can be started contained";
            return Err(NotRun::Refused(reason.to_owned()));
        }
        Self::tested(Path::new("/proc/self/exe"), None)
    }

    /// As [`Self::open`], with another executable as the helper, one whose `main` begins with [`crate::child`].
    pub fn with_helper(helper: &Path) -> Result<Self, NotRun> {
        Self::tested(helper, None)
    }

    /// As [`Self::with_helper`], contained in this way or not at all.
    pub fn with_containment(helper: &Path, containment: Containment) -> Result<Self, NotRun> {
        Self::tested(helper, Some(containment))
    }

    fn tested(helper: &Path, only: Option<Containment>) -> Result<Self, NotRun> {
        static FOUND: [OnceLock<Result<Level, NotRun>>; 3] = [const { OnceLock::new() }; 3];
        let place = only.map_or(0, |it| 1 + usize::from(it == Containment::Reduced));
        let level = FOUND[place].get_or_init(|| {
            helper::sweep();
            choose(helper, only)
        });
        Ok(Self { helper: helper.to_owned(), level: level.clone()? })
    }

    /// What contains programs here.
    pub fn containment(&self) -> Containment {
        containment(self.level)
    }

    /// Runs a program to its end; a compiled language is compiled first, in a sandbox of its own.
    pub fn run(&self, program: &Program) -> Result<Run, NotRun> {
        let _turn = Turn::wait();
        match self.prepare(program)? {
            Ok(prepared) => self.finish(&prepared, &program.stdin),
            Err(run) => Ok(run),
        }
    }

    /// Makes a program ready to run, many times if need be; `Err` has the compiler's words if it does not compile.
    pub(crate) fn prepare(&self, program: &Program) -> Result<Result<Prepared, Run>, NotRun> {
        let toolchain = self.toolchain(program.language)?;
        let (name, processes) = match program.language {
            Language::Python => ("program.py", program.processes),
            Language::Rust => ("program.rs", program.processes),
            Language::JavaScript => ("program.js", program.processes),
            Language::Sql => ("program.sql", program.processes),
            Language::Shell => ("program.sh", true),
        };
        let source = (name.to_owned(), program.source.clone().into_bytes(), false);
        let mut command = vec![shown(&toolchain.program)?];
        command.extend(toolchain.arguments.iter().cloned());
        let files = program.files.iter().map(|it| (it.name.clone(), it.bytes.clone(), false));
        let mut prepared = Prepared {
            command,
            files: files.chain([source]).collect(),
            readable: toolchain.readable.clone(),
            limits: program.limits.clone(),
            processes,
            stdin: None,
        };
        if let Some(wrong) = prepared.files.iter().find(|it| !is_plain(&it.0)) {
            return Err(NotRun::Refused(format!("`{}` is no plain file name", wrong.0)));
        }
        match program.language {
            Language::Python | Language::JavaScript | Language::Shell => {
                prepared.command.push(name.to_owned());
            }
            Language::Sql => {
                prepared.command.extend(["-batch", "-bail", "-safe", ":memory:"].map(str::to_owned));
                prepared.stdin = Some(program.source.clone().into_bytes());
            }
            Language::Rust => return self.compile(prepared, name),
        }
        Ok(Ok(prepared))
    }

    fn compile(&self, mut prepared: Prepared, name: &str) -> Result<Result<Prepared, Run>, NotRun> {
        let mut compiler = prepared.clone();
        // An attribute of the source could ask for a library, which cannot be executed.
        let kind = ["--crate-type=bin", "--edition=2024", "-oprogram"];
        let arguments = kind.into_iter().chain(["-Copt-level=1", "-Cdebuginfo=0", "-Cstrip=symbols", name]);
        compiler.command.extend(arguments.map(str::to_owned));
        (compiler.limits, compiler.processes) = (COMPILING, true);
        let (mut run, brought) = self.start(&compiler, &[], false, Some("program"))?.end()?;
        match brought {
            // It has to fit where it will run.
            Some(bytes)
                if run.ended == Ended::Exited(0)
                    && bytes.len() as u64 > prepared.limits.scratch_bytes / 2 =>
            {
                run.ended = Ended::NotCompiled;
                run.stderr = b"the compiled program is too large".to_vec();
                Ok(Err(run))
            }
            Some(bytes) if run.ended == Ended::Exited(0) => {
                prepared.command = vec!["./program".to_owned()];
                prepared.files.retain(|it| it.0 != name);
                prepared.files.push(("program".to_owned(), bytes, true));
                Ok(Ok(prepared))
            }
            _ => {
                if matches!(run.ended, Ended::Exited(_)) {
                    run.ended = Ended::NotCompiled;
                }
                Ok(Err(run))
            }
        }
    }

    /// Runs what was prepared, with this standard input.
    pub(crate) fn finish(&self, prepared: &Prepared, stdin: &[u8]) -> Result<Run, NotRun> {
        let stdin = prepared.stdin.as_deref().unwrap_or(stdin);
        Ok(self.start(prepared, stdin, false, None)?.end()?.0)
    }

    /// The toolchain of a language, if it can be used in here.
    pub(crate) fn toolchain(&self, language: Language) -> Result<&'static Toolchain, NotRun> {
        let found = toolchain::find(language).map_err(|reason| NotRun::Missing(reason.to_owned()))?;
        if self.level == Level::Landlock && matches!(language, Language::Rust | Language::Shell) {
            return Err(NotRun::Missing(format!(
                "{language} programs start processes, which only namespaces contain, and here are none: {REMEDY}"
            )));
        }
        let changes_user = self.level != Level::Root && helper::sys::user().0 == 0;
        match found.readable.iter().find(|it| changes_user && !toolchain::is_public(it)) {
            Some(place) => Err(NotRun::Missing(format!(
                "{language} needs {}, which only its owner may read: install it for all users",
                place.display()
            ))),
            None => Ok(found),
        }
    }

    /// Starts what was prepared, with a channel to it or without.
    pub(crate) fn start(
        &self,
        prepared: &Prepared,
        stdin: &[u8],
        channel: bool,
        bring: Option<&str>,
    ) -> Result<Session, NotRun> {
        let job = Job {
            level: self.level,
            command: prepared.command.clone(),
            environment: Vec::new(),
            files: prepared
                .files
                .iter()
                .map(|(name, bytes, run)| (name.clone(), bytes.len(), *run))
                .collect(),
            stdin: stdin.len(),
            readable: prepared.readable.clone(),
            hidden: hidden(),
            limits: prepared.limits.clone(),
            processes: prepared.processes,
            channel,
            bring: bring.map(str::to_owned),
            attempt: None,
        };
        Session::start(&self.helper, &job, &prepared.files, stdin)
    }
}

/// The right to be at work: as many at once as there are CPUs, so that limits on the clock mean something.
pub(crate) struct Turn;

static AT_WORK: (Mutex<usize>, Condvar) = (Mutex::new(0), Condvar::new());

impl Turn {
    /// Waits for it.
    pub(crate) fn wait() -> Self {
        let most = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let (count, changed) = &AT_WORK;
        let at_work = count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = changed.wait_while(at_work, |it| *it >= most);
        *waited.unwrap_or_else(PoisonError::into_inner) += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *AT_WORK.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        AT_WORK.1.notify_one();
    }
}

/// The first level that can be set up and contains everything it should.
fn choose(helper: &Path, only: Option<Containment>) -> Result<Level, NotRun> {
    let is_root = helper::sys::user().0 == 0;
    let levels = [Level::Root, Level::User, Level::Landlock].into_iter().filter(|level| {
        only.is_none_or(|it| it == containment(*level)) && (is_root || *level != Level::Root)
    });
    let mut reasons = Vec::new();
    for level in levels {
        match self_test(helper, level) {
            Ok(worked) if worked.is_empty() => return Ok(level),
            Ok(worked) => {
                let worked = worked.join(", ");
                return Err(NotRun::Refused(format!("a program in it could {worked}; {REMEDY}")));
            }
            Err(NotRun::Refused(reason) | NotRun::Missing(reason)) => reasons.push(reason),
        }
    }
    Err(NotRun::Refused(format!("{}; {REMEDY}", reasons.join("; "))))
}

/// The names of the attempts to break out that worked.
fn self_test(helper: &Path, level: Level) -> Result<Vec<String>, NotRun> {
    let broken = |error: io::Error| NotRun::Refused(format!("the self-test cannot be made: {error}"));
    let folder = Targeted::new().map_err(broken)?;
    let limits = Limits { memory_bytes: helper::SELF_TEST_MEMORY, ..Limits::default() };
    let targets = Targets {
        secret: folder.0.join("secret"),
        process: i32::try_from(std::process::id()).unwrap_or(i32::MAX),
    };
    let job = Job {
        level,
        command: vec!["self-test".to_owned()],
        environment: Vec::new(),
        files: Vec::new(),
        stdin: 0,
        readable: Vec::new(),
        hidden: hidden(),
        limits,
        processes: false,
        channel: false,
        bring: None,
        attempt: Some(targets),
    };
    let (run, _) = Session::start(helper, &job, &[], &[])?.end()?;
    let told = String::from_utf8_lossy(&run.stdout).into_owned();
    let mut lines = told.lines();
    let tried = format!("tried {}", helper::ATTEMPTS);
    if run.ended != Ended::Exited(0) || lines.next() != Some(&tried) {
        return Err(NotRun::Refused(format!("the self-test {}", run.ended)));
    }
    Ok(lines.map(str::to_owned).collect())
}

/// Where the harness works: what is expected of programs is likely there, and may be within the system's folders, as
/// `/usr/src/app` is.
fn hidden() -> Vec<PathBuf> {
    let folder = std::env::current_dir().ok();
    // Without `/usr` itself, or `/usr/lib`, nothing would run.
    folder.into_iter().filter(|it| it.components().count() > 3).collect()
}

/// A folder with a secret that everybody may read and write: only the sandbox keeps a program from it.
struct Targeted(PathBuf);

impl Targeted {
    fn new() -> io::Result<Self> {
        let name = format!("{}{}", helper::NAME, std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        drop(fs::remove_dir_all(&folder.0));
        fs::create_dir(&folder.0)?;
        fs::write(folder.0.join("secret"), "secret")?;
        fs::set_permissions(folder.0.join("secret"), Permissions::from_mode(0o666))?;
        // Last: others of this machine could put a link in the place of the secret.
        fs::set_permissions(&folder.0, Permissions::from_mode(0o777))?;
        Ok(folder)
    }
}

impl Drop for Targeted {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

fn containment(level: Level) -> Containment {
    match level {
        Level::Root | Level::User => Containment::Namespaces,
        Level::Landlock => Containment::Reduced,
    }
}

fn shown(path: &Path) -> Result<String, NotRun> {
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| NotRun::Missing(format!("{} is no path of plain text", path.display())))
}

/// Whether a name stays in its folder.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && name != "tmp" && !name.contains(['/', '\0'])
}

/// A program that only needs to be started.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) command: Vec<String>,
    pub(crate) files: Vec<(String, Vec<u8>, bool)>,
    pub(crate) readable: Vec<PathBuf>,
    pub(crate) limits: Limits,
    pub(crate) processes: bool,
    /// What standard input is, whatever else is wanted.
    pub(crate) stdin: Option<Vec<u8>>,
}

/// A running program. When dropped it is ended, and nothing is left.
pub(crate) struct Session {
    helper: Child,
    control: UnixStream,
    /// The other end of the program's descriptor 3.
    pub(crate) channel: Option<UnixStream>,
    level: Level,
    /// The program's process, once it has been looked for.
    process: Option<helper::sys::pid_t>,
}

impl Session {
    fn start(
        helper: &Path,
        job: &Job,
        files: &[(String, Vec<u8>, bool)],
        stdin: &[u8],
    ) -> Result<Self, NotRun> {
        let failed = |error: io::Error| NotRun::Refused(format!("the helper cannot be started: {error}"));
        let (control, theirs) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new(helper);
        command.arg(HELPER).env_clear().current_dir("/").stderr(Stdio::null());
        if let Some(folder) = std::env::var_os("TMPDIR") {
            command.env("TMPDIR", folder);
        }
        command.stdin(OwnedFd::from(theirs)).stdout(Stdio::null());
        let mut channel = None;
        if job.channel {
            let (ours, theirs) = UnixStream::pair().map_err(failed)?;
            command.stdout(OwnedFd::from(theirs));
            channel = Some(ours);
        }
        let helper = command.spawn().map_err(failed)?;
        drop(command);
        let mut session = Self { helper, control, channel, level: job.level, process: None };
        let told = job::put(job, &mut session.control)
            .and_then(|()| files.iter().try_for_each(|it| session.control.write_all(&it.1)))
            .and_then(|()| session.control.write_all(stdin));
        // If the helper has gone, its end says more than this.
        if told.is_err() {
            session.end().and_then(|_| Err(failed(io::ErrorKind::BrokenPipe.into())))
        } else {
            Ok(session)
        }
    }

    /// Waits until the program is over; its run, and the file that was to be brought back.
    pub(crate) fn end(mut self) -> Result<(Run, Option<Vec<u8>>), NotRun> {
        let read = (|| {
            let report: Report = job::take(&mut self.control)?;
            let stdout = job::take_bytes(report.stdout, &mut self.control)?;
            let stderr = job::take_bytes(report.stderr, &mut self.control)?;
            let brought = report.brought.map(|it| job::take_bytes(it, &mut self.control)).transpose()?;
            io::Result::Ok((report, stdout, stderr, brought))
        })();
        let (report, stdout, stderr, brought) =
            read.map_err(|error| NotRun::Refused(format!("the helper ended without a report: {error}")))?;
        let ended = report.outcome.map_err(NotRun::Refused)?;
        let (cpu, wall, peak_bytes) = (report.cpu, report.wall, report.peak_bytes);
        let containment = containment(self.level);
        Ok((Run { ended, stdout, stderr, cpu, wall, peak_bytes, containment }, brought))
    }

    /// CPU time that the program has used so far, for one that has answered already and has no processes of its own;
    /// `None` where that cannot be read.
    pub(crate) fn cpu_time(&mut self) -> Option<Duration> {
        let helper = i32::try_from(self.helper.id()).ok()?;
        let mut process = self.process;
        if process.is_none() {
            // The helper's child is the program, or the first process of its namespace.
            let child = *helper::children(helper).first()?;
            process = match self.level {
                Level::Landlock => Some(child),
                _ => helper::children(child).first().copied(),
            };
        }
        self.process = process;
        helper::sys::cpu_time(process?).ok()
    }

    /// Ends the program.
    pub(crate) fn stop(self) -> Result<Run, NotRun> {
        drop(self.control.shutdown(Shutdown::Write));
        Ok(self.end()?.0)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // The helper ends what it started when this closes; it has time limits of its own.
        drop(self.control.shutdown(Shutdown::Both));
        drop(self.helper.wait());
    }
}
