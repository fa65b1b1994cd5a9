//! System calls, each behind a safe function.
//!
//! # Safety
//! The only `unsafe` code of the crate. Three invariants carry all of it: pointers given to the kernel come from
//! references that outlive the call; descriptors that are wrapped into owners were returned by the kernel in the
//! same function; [`fork`] is called in a process that has one thread, which it checks.
#![expect(unsafe_code, reason = "system calls that neither std nor the crates here have; invariants above")]

use std::ffi::{CString, c_int, c_long, c_ulong};
use std::io::{Error, Result};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

pub(crate) use libc::{pid_t, pollfd};

/// The result of a call that says -1 for an error.
fn checked(result: impl Into<i64>) -> Result<i64> {
    match result.into() {
        -1 => Err(Error::last_os_error()),
        result => Ok(result),
    }
}

fn text(text: &str) -> Result<CString> {
    Ok(CString::new(text)?)
}

fn path(path: &Path) -> Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}

fn narrow(value: i64) -> c_int {
    c_int::try_from(value).expect("descriptors and process ids fit")
}

/// The number of threads of this process.
pub(crate) fn threads() -> Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

/// Splits the process in two; the child sees `None`.
pub(crate) fn fork() -> Result<Option<pid_t>> {
    // Without a /proc nobody can tell; the helper starts no thread.
    if threads().is_ok_and(|it| it != 1) {
        return Err(Error::other("a fork needs a process with one thread"));
    }
    fork_once()
}

/// As [`fork`], for a self-test that wants to know only whether the kernel would.
fn fork_once() -> Result<Option<pid_t>> {
    // SAFETY: one thread, so no lock is held by another in the child.
    match checked(unsafe { libc::fork() })? {
        0 => Ok(None),
        pid => Ok(Some(narrow(pid))),
    }
}

/// Ends the process at once, without running anything else.
pub(crate) fn exit(code: c_int) -> ! {
    // SAFETY: no destructor is owed anything.
    unsafe { libc::_exit(code) }
}

pub(crate) fn unshare(namespaces: c_int) -> Result<()> {
    // SAFETY: takes no pointer; descriptors and memory stay shared with nobody.
    checked(unsafe { libc::unshare(namespaces) }).map(drop)
}

pub(crate) fn mount(source: &Path, target: &Path, kind: &str, flags: c_ulong, options: &str) -> Result<()> {
    let (source, target, kind, options) = (path(source)?, path(target)?, text(kind)?, text(options)?);
    // SAFETY: four strings that live to the end of the call.
    checked(unsafe {
        libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, options.as_ptr().cast())
    })
    .map(drop)
}

/// Makes a mount, and all below it, read-only and without set-user-id programs, and without devices unless it is one.
pub(crate) fn seal_mount(target: &Path, is_device: bool) -> Result<()> {
    const AT_RECURSIVE: c_int = 0x8000;
    let devices = if is_device { 0 } else { libc::MOUNT_ATTR_NODEV };
    let attributes = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | devices,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    let target = path(target)?;
    // SAFETY: a string and a structure that live to the end of the call, with the structure's size.
    checked(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            libc::AT_FDCWD,
            target.as_ptr(),
            AT_RECURSIVE,
            &raw const attributes,
            size_of::<libc::mount_attr>(),
        )
    })
    .map(drop)
}

/// Makes the working folder the root, and lets go of the old one.
pub(crate) fn pivot_here() -> Result<()> {
    let here = c".".as_ptr();
    // SAFETY: a static string.
    checked(unsafe { libc::syscall(libc::SYS_pivot_root, here, here) })?;
    // SAFETY: as above.
    checked(unsafe { libc::umount2(here, libc::MNT_DETACH) }).map(drop)
}

pub(crate) fn set_host_name(name: &str) -> Result<()> {
    // SAFETY: a string with its length.
    checked(unsafe { libc::sethostname(name.as_ptr().cast(), name.len()) }).map(drop)
}

fn prctl(option: c_int, value: c_ulong) -> Result<i64> {
    // SAFETY: only options whose arguments are numbers are asked for in this file.
    checked(unsafe { libc::prctl(option, value, 0, 0, 0) })
}

/// The process is killed when the thread that started it ends.
pub(crate) fn die_with_parent() -> Result<()> {
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as c_ulong).map(drop)
}

/// Nothing that is executed from here on gains a privilege.
pub(crate) fn no_new_privileges() -> Result<()> {
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop)
}

/// Whether others of the same user may look into the process.
pub(crate) fn set_dumpable(dumpable: bool) -> Result<()> {
    prctl(libc::PR_SET_DUMPABLE, dumpable.into()).map(drop)
}

/// Takes every capability out of the bounding set.
pub(crate) fn drop_bounding_set() -> Result<()> {
    for capability in 0..64 {
        match prctl(libc::PR_CAPBSET_DROP, capability) {
            // Beyond the last one the kernel knows.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && capability > 0 => break,
            dropped => dropped.map(drop)?,
        }
    }
    Ok(())
}

/// Gives up every capability.
pub(crate) fn drop_capabilities() -> Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: c_int,
    }
    #[repr(C)]
    struct Sets {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    let header = Header { version: VERSION_3, pid: 0 };
    let none = [const { Sets { effective: 0, permitted: 0, inheritable: 0 } }; 2];
    // SAFETY: version 3 takes a header and two sets, which live to the end of the call.
    checked(unsafe { libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()) }).map(drop)
}

pub(crate) fn user() -> (u32, u32) {
    // SAFETY: these cannot fail.
    unsafe { (libc::geteuid(), libc::getegid()) }
}

/// Becomes another user and group for good, with no other groups. Needs to be root.
///
/// The process is not dumpable then, so not even this user may look into it, or it into its own `/proc/self`.
pub(crate) fn become_user(id: u32) -> Result<()> {
    // SAFETY: an empty list needs no pointer.
    checked(unsafe { libc::setgroups(0, std::ptr::null()) })?;
    // SAFETY: numbers only.
    checked(unsafe { libc::setresgid(id, id, id) })?;
    // SAFETY: numbers only.
    checked(unsafe { libc::setresuid(id, id, id) })?;
    // SAFETY: numbers only.
    if unsafe { libc::setuid(0) } == 0 {
        return Err(Error::other("root can be had back"));
    }
    // Whatever the machine is set to do after a change of user.
    set_dumpable(false)
}

/// A session of its own: no terminal, no group shared with the harness.
pub(crate) fn new_session() -> Result<()> {
    // SAFETY: no arguments.
    checked(unsafe { libc::setsid() }).map(drop)
}

/// Sets a resource limit, or leaves one that is lower already: only root could raise it.
pub(crate) fn set_limit(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: a structure to be filled in.
    checked(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    limit.rlim_max = limit.rlim_max.min(hard);
    limit.rlim_cur = limit.rlim_max.min(soft);
    // SAFETY: a structure that lives to the end of the call.
    checked(unsafe { libc::setrlimit(resource, &raw const limit) }).map(drop)
}

/// Addresses are the same in every run of a program.
pub(crate) fn fix_addresses() -> Result<()> {
    // SAFETY: a number only.
    checked(unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as c_ulong) }).map(drop)
}

/// Every signal does what it does by default, and none is held back.
pub(crate) fn reset_signals() -> Result<()> {
    for signal in 1..65 {
        // SAFETY: the default action is no function of ours. Those that have no other action refuse.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an empty set is a valid value for the call to fill, and lives to the end of both calls.
    checked(unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut())
    })
    .map(drop)
}

/// Duplicates a descriptor to one that is at least `least` and ends with the next program.
pub(crate) fn duplicate_above(fd: BorrowedFd<'_>, least: RawFd) -> Result<OwnedFd> {
    // SAFETY: a borrowed descriptor is open.
    let copy = checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) })?;
    // SAFETY: the kernel has just returned it.
    Ok(unsafe { OwnedFd::from_raw_fd(narrow(copy)) })
}

/// Puts a descriptor in a given place, whatever was there, for the next program too if it is to be inherited.
pub(crate) fn place(fd: BorrowedFd<'_>, at: RawFd, inherited: bool) -> Result<()> {
    let flags = if inherited { 0 } else { libc::O_CLOEXEC };
    // SAFETY: numbers only; nothing in this process owns the low places by now.
    checked(unsafe { libc::dup3(fd.as_raw_fd(), at, flags) }).map(drop)
}

/// Closes every descriptor from a place on.
pub(crate) fn close_from(first: RawFd) -> Result<()> {
    // SAFETY: numbers only; whoever owns one of them is never dropped, as the process ends by `exec` or `_exit`.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, c_int::MAX, 0) }).map(drop)
}

/// Closes the descriptors of a range.
pub(crate) fn close_between(first: RawFd, last: RawFd) -> Result<()> {
    // SAFETY: as in `close_from`.
    checked(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// The descriptors that the next program would inherit.
pub(crate) fn inherited_descriptors() -> Vec<RawFd> {
    // SAFETY: asks about numbers; those that are no descriptors are errors.
    (0..1024).filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } == 0).collect()
}

/// A file in memory with these bytes that nobody can change any more, read from the beginning.
pub(crate) fn sealed_file(bytes: &[u8]) -> Result<OwnedFd> {
    use std::io::{Seek as _, Write as _};
    // SAFETY: a static string.
    let fd = checked(unsafe {
        libc::memfd_create(c"stdin".as_ptr(), libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING)
    })?;
    // SAFETY: the kernel has just returned it.
    let mut file = unsafe { std::fs::File::from_raw_fd(narrow(fd)) };
    file.write_all(bytes)?;
    file.rewind()?;
    let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE | libc::F_SEAL_SEAL;
    // SAFETY: numbers only.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_ADD_SEALS, seals) })?;
    Ok(file.into())
}

/// What is waited for at a descriptor: that it can be read.
pub(crate) fn readable(fd: Option<BorrowedFd<'_>>) -> pollfd {
    // The kernel passes over what is negative.
    pollfd { fd: fd.map_or(-1, |it| it.as_raw_fd()), events: libc::POLLIN, revents: 0 }
}

/// Waits until something is there at one of the descriptors, or for so long.
pub(crate) fn poll(descriptors: &mut [pollfd], most: Duration) -> Result<()> {
    let milliseconds = c_int::try_from(most.as_millis()).unwrap_or(c_int::MAX).max(1);
    let count = descriptors.len() as libc::nfds_t;
    // SAFETY: a slice with its length.
    match checked(unsafe { libc::poll(descriptors.as_mut_ptr(), count, milliseconds) }) {
        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => Ok(()),
        other => other.map(drop),
    }
}

/// Writes to a descriptor by its number.
pub(crate) fn write_all(fd: RawFd, mut bytes: &[u8]) -> Result<()> {
    while !bytes.is_empty() {
        // SAFETY: a slice with its length.
        let written = checked(unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) } as i64)?;
        bytes = &bytes[usize::try_from(written).unwrap_or(0)..];
    }
    Ok(())
}

/// Whether the other end of a pipe or socket is gone.
pub(crate) fn is_abandoned(fd: RawFd) -> bool {
    let mut asked = [pollfd { fd, events: 0, revents: 0 }];
    // SAFETY: one element, as is said.
    let count = unsafe { libc::poll(asked.as_mut_ptr(), 1, 0) };
    count > 0 && asked[0].revents & (libc::POLLERR | libc::POLLHUP) != 0
}

pub(crate) fn set_nonblocking(fd: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: numbers only.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) }).map(drop)
}

/// A descriptor that can be read once the process has ended.
pub(crate) fn watch(pid: pid_t) -> Result<OwnedFd> {
    // SAFETY: numbers only.
    let fd = checked(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    // SAFETY: the kernel has just returned it.
    Ok(unsafe { OwnedFd::from_raw_fd(narrow(fd)) })
}

/// A descriptor with this number that is open and belongs to nobody else here.
pub(crate) fn adopt(fd: RawFd) -> Result<OwnedFd> {
    // SAFETY: asks about a number.
    checked(unsafe { libc::fcntl(fd, libc::F_GETFD) })?;
    // SAFETY: it is open, as has been asked; the callers take 0 and 1 of a process that uses neither otherwise.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Kills a process that is watched: never another that has its number by now.
pub(crate) fn kill_watched(watch: BorrowedFd<'_>) -> Result<()> {
    // SAFETY: a null pointer stands for a plain signal.
    checked(unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            watch.as_raw_fd(),
            libc::SIGKILL,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    })
    .map(drop)
}

pub(crate) fn kill(pid: pid_t, signal: c_int) -> Result<()> {
    // SAFETY: numbers only.
    checked(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// How a child ended and what it used.
pub(crate) struct Reaped {
    pub(crate) pid: pid_t,
    pub(crate) status: c_int,
    pub(crate) cpu: Duration,
    /// The largest that one process was.
    pub(crate) peak_bytes: u64,
}

/// Waits for a child to end, any for -1.
pub(crate) fn wait(pid: pid_t) -> Result<Reaped> {
    loop {
        let mut status = 0;
        // SAFETY: all zeros is a valid `rusage`, and both live to the end of the call.
        let (ended, usage) = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            (libc::wait4(pid, &raw mut status, 0, &raw mut usage), usage)
        };
        match checked(ended) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
            Ok(pid) => {
                let time = |it: libc::timeval| {
                    let seconds = u64::try_from(it.tv_sec).unwrap_or(0);
                    let micros = u64::try_from(it.tv_usec).unwrap_or(0);
                    Duration::from_secs(seconds) + Duration::from_micros(micros)
                };
                let peak_bytes = u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024;
                let cpu = time(usage.ru_utime) + time(usage.ru_stime);
                return Ok(Reaped { pid: narrow(pid), status, cpu, peak_bytes });
            }
        }
    }
}

/// The CPU time that a process has used so far, its threads together.
pub(crate) fn cpu_time(pid: pid_t) -> Result<Duration> {
    let mut clock = 0;
    // SAFETY: a number to be filled in.
    let code = unsafe { libc::clock_getcpuclockid(pid, &raw mut clock) };
    if code != 0 {
        return Err(Error::from_raw_os_error(code));
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a structure to be filled in.
    checked(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Ok(Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0)))
}

/// Becomes another program; returns only if that fails.
pub(crate) fn exec(command: &[String], environment: &[(String, String)]) -> Error {
    let command: Result<Vec<CString>> = command.iter().map(|it| text(it)).collect();
    let environment: Result<Vec<CString>> =
        environment.iter().map(|(name, value)| text(&format!("{name}={value}"))).collect();
    let (command, environment) = match (command, environment) {
        (Ok(command), Ok(environment)) if !command.is_empty() => (command, environment),
        (Err(error), _) | (_, Err(error)) => return error,
        _ => return Error::other("no program to execute"),
    };
    let ended = |list: &[CString]| {
        list.iter().map(|it| it.as_ptr()).chain([std::ptr::null()]).collect::<Vec<*const libc::c_char>>()
    };
    let (arguments, variables) = (ended(&command), ended(&environment));
    // SAFETY: lists that end with null, of strings that live as long as this process does.
    unsafe { libc::execve(arguments[0], arguments.as_ptr(), variables.as_ptr()) };
    Error::last_os_error()
}

/// What a hostile program would try; each returns what the kernel said.
pub(crate) mod attempts {
    use super::{Error, Result, c_int, c_long, checked, pid_t};

    pub(crate) fn socket(family: c_int, kind: c_int) -> Result<()> {
        // SAFETY: numbers only.
        checked(unsafe { libc::socket(family, kind, 0) }).map(drop)
    }

    pub(crate) fn signal(pid: pid_t) -> Result<()> {
        super::kill(pid, 0)
    }

    /// Attaches to a process without stopping it.
    pub(crate) fn trace(pid: pid_t) -> Result<()> {
        // SAFETY: this request takes no pointer.
        checked(unsafe { libc::ptrace(libc::PTRACE_SEIZE, pid, 0 as c_long, 0 as c_long) }).map(drop)
    }

    /// Reads eight bytes of another process.
    pub(crate) fn peek(pid: pid_t, address: usize) -> Result<()> {
        let mut bytes = [0_u8; 8];
        let here = libc::iovec { iov_base: bytes.as_mut_ptr().cast(), iov_len: 8 };
        let there = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: 8 };
        // SAFETY: eight bytes of our own; the kernel checks the address in the other process.
        let read = unsafe { libc::process_vm_readv(pid, &raw const here, 1, &raw const there, 1, 0) };
        match checked(i64::try_from(read).unwrap_or(-1)) {
            // It was allowed, and nothing is there.
            Err(error) if error.raw_os_error() == Some(libc::EFAULT) => Ok(()),
            read => read.map(drop),
        }
    }

    /// Takes memory and writes to each of its pages.
    pub(crate) fn take_memory(bytes: usize) -> Result<()> {
        let (access, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
        );
        // SAFETY: a new mapping at no given address.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(Error::last_os_error());
        }
        for offset in (0..bytes).step_by(4096) {
            // SAFETY: within the mapping.
            unsafe { start.cast::<u8>().add(offset).write_volatile(1) };
        }
        Ok(())
    }

    /// Starts a process that ends at once.
    pub(crate) fn start_process() -> Result<()> {
        match super::fork_once()? {
            None => super::exit(0),
            Some(pid) => super::wait(pid).map(drop),
        }
    }
}
