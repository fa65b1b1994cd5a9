//! The system calls that a program may make. Every other gets "no such system call"; another architecture's, death.
#![cfg_attr(not(test), expect(clippy::wildcard_imports, reason = "hundreds of numbers of calls"))]

use std::collections::BTreeMap;

use libc::*;
use seccompiler::{
    BackendError, BpfProgram, Error, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is,
    SeccompCondition, SeccompFilter, SeccompRule, apply_filter, sock_filter,
};

/// Allowed whatever their arguments: none reaches beyond descriptors, files and memory that a program has anyway.
#[rustfmt::skip]
const ALWAYS: &[c_long] = &[
    // Descriptors
    SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64, SYS_preadv, SYS_pwritev, SYS_preadv2,
    SYS_pwritev2, SYS_lseek, SYS_close, SYS_close_range, SYS_dup, SYS_dup3, SYS_pipe2, SYS_fsync, SYS_fdatasync,
    SYS_sync_file_range, SYS_ftruncate, SYS_fallocate, SYS_fadvise64, SYS_readahead, SYS_sendfile,
    SYS_copy_file_range, SYS_splice, SYS_tee, SYS_ppoll, SYS_pselect6, SYS_epoll_create1, SYS_epoll_ctl,
    SYS_epoll_pwait, SYS_epoll_pwait2, SYS_eventfd2, SYS_timerfd_create, SYS_timerfd_settime, SYS_timerfd_gettime,
    SYS_signalfd4,
    // Files; a path leads nowhere but into what is shown
    SYS_openat, SYS_newfstatat, SYS_fstat, SYS_statx, SYS_statfs, SYS_fstatfs, SYS_faccessat, SYS_faccessat2,
    SYS_readlinkat, SYS_getdents64, SYS_getcwd, SYS_chdir, SYS_fchdir, SYS_umask, SYS_mkdirat, SYS_unlinkat,
    SYS_renameat, SYS_renameat2, SYS_linkat, SYS_symlinkat,
    // Memory
    SYS_brk, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_msync, SYS_mincore, SYS_mlock, SYS_munlock,
    SYS_membarrier, SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect,
    // Itself and its children
    SYS_execve, SYS_exit, SYS_exit_group, SYS_wait4, SYS_waitid, SYS_getpid, SYS_getppid, SYS_gettid, SYS_getpgid,
    SYS_setpgid, SYS_getsid, SYS_setsid, SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getresuid,
    SYS_getresgid, SYS_getgroups, SYS_capget, SYS_getrlimit, SYS_getrusage, SYS_times, SYS_getpriority,
    SYS_set_tid_address, SYS_set_robust_list, SYS_get_robust_list, SYS_rseq, SYS_futex, SYS_futex_waitv,
    SYS_sched_yield, SYS_sched_getaffinity, SYS_sched_getparam, SYS_sched_getscheduler, SYS_sched_get_priority_max,
    SYS_sched_get_priority_min, SYS_sched_rr_get_interval, SYS_getcpu, SYS_uname, SYS_sysinfo, SYS_getrandom,
    SYS_restart_syscall,
    // Signals, which cannot leave the namespace (without one: below)
    SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_rt_sigpending, SYS_rt_sigsuspend,
    SYS_rt_sigtimedwait, SYS_sigaltstack,
    // Time
    SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep, SYS_nanosleep, SYS_gettimeofday, SYS_getitimer,
    SYS_setitimer, SYS_timer_create, SYS_timer_settime, SYS_timer_gettime, SYS_timer_getoverrun, SYS_timer_delete,
    // Pairs of connected sockets; others cannot be made
    SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_sendmmsg, SYS_recvmmsg, SYS_shutdown, SYS_getsockname,
    SYS_getpeername,
];

/// The older calls that only this architecture has.
#[cfg(target_arch = "x86_64")]
#[rustfmt::skip]
const OLDER: &[c_long] = &[
    SYS_open, SYS_creat, SYS_stat, SYS_lstat, SYS_access, SYS_readlink, SYS_getdents, SYS_mkdir, SYS_rmdir,
    SYS_unlink, SYS_rename, SYS_link, SYS_symlink, SYS_dup2, SYS_pipe, SYS_poll, SYS_select, SYS_epoll_create,
    SYS_epoll_wait, SYS_eventfd, SYS_signalfd, SYS_time, SYS_alarm, SYS_pause, SYS_getpgrp, SYS_arch_prctl,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// Where there is a root folder of its own: what Landlock, or an older one, does not know how to guard.
#[rustfmt::skip]
const WITH_OWN_ROOT: &[c_long] = &[
    SYS_openat2, SYS_truncate, SYS_flock, SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr, SYS_listxattr,
    SYS_llistxattr, SYS_flistxattr, SYS_fchmod, SYS_fchmodat, SYS_fchmodat2, SYS_fchown, SYS_fchownat,
    SYS_utimensat, SYS_kill, SYS_tkill, SYS_tgkill, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_setpriority,
];

/// As [`WITH_OWN_ROOT`], the older calls.
#[cfg(target_arch = "x86_64")]
const OLDER_WITH_OWN_ROOT: &[c_long] =
    &[SYS_chmod, SYS_chown, SYS_lchown, SYS_utime, SYS_utimes, SYS_futimesat];
#[cfg(not(target_arch = "x86_64"))]
const OLDER_WITH_OWN_ROOT: &[c_long] = &[];

/// What may be done to a descriptor. Not: to have signals sent, to whomever, when something comes; to watch folders;
/// leases; the size of pipes.
#[rustfmt::skip]
const FCNTL: [c_int; 12] = [
    F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_GETLK, F_SETLK, F_SETLKW, F_GETPIPE_SZ, F_GET_SEALS,
    F_OFD_SETLK,
];

/// What may be asked of a socket.
const SOCKET_OPTIONS: [c_int; 6] = [SO_TYPE, SO_ERROR, SO_DOMAIN, SO_PROTOCOL, SO_SNDBUF, SO_RCVBUF];

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// Installs the filter for good. Without namespaces, signals reach only the process itself, whose id is given.
pub(super) fn install(processes: bool, alone: Option<u32>) -> Result<(), Error> {
    let filter = SeccompFilter::new(
        rules(processes, alone)?,
        SeccompAction::Errno(ENOSYS.unsigned_abs()),
        SeccompAction::Allow,
        std::env::consts::ARCH.try_into()?,
    )?;
    let filter: BpfProgram = filter.try_into()?;
    #[cfg(target_arch = "x86_64")]
    apply_filter(&without_x32())?;
    if alone.is_some() {
        apply_filter(&without_truncation()?)?;
    }
    apply_filter(&filter)
}

/// A number from a header, as it stands in an argument.
fn constant(value: c_int) -> u64 {
    u64::from(value.unsigned_abs())
}

/// One condition on an argument.
fn argument(index: u8, length: Length, is: Is, value: u64) -> Result<SeccompCondition, BackendError> {
    SeccompCondition::new(index, length, is, value)
}

fn rules(processes: bool, alone: Option<u32>) -> Result<Rules, BackendError> {
    let mut rules = Rules::new();
    let always = ALWAYS.iter().chain(OLDER);
    let own = WITH_OWN_ROOT.iter().chain(OLDER_WITH_OWN_ROOT).filter(|_| alone.is_none());
    rules.extend(always.chain(own).map(|call| (*call, Vec::new())));

    // Memory that the limit of private memory does not count: shared and without a file, stacks that grow, and pages
    // from the machine's store of huge ones.
    let mapping = |without: c_int| {
        let none = constant(without | MAP_GROWSDOWN | MAP_HUGETLB);
        SeccompRule::new(vec![argument(3, Length::Dword, Is::MaskedEq(none), 0)?])
    };
    rules.insert(SYS_mmap, vec![mapping(MAP_SHARED)?, mapping(MAP_ANONYMOUS)?]);
    // New threads; new processes only where they are wanted; new namespaces never. `clone3` hides its flags.
    let namespaces = CLONE_NEWNS
        | CLONE_NEWCGROUP
        | CLONE_NEWUTS
        | CLONE_NEWIPC
        | CLONE_NEWUSER
        | CLONE_NEWPID
        | CLONE_NEWNET
        | 0x80;
    let mut clone = vec![argument(0, Length::Qword, Is::MaskedEq(constant(namespaces)), 0)?];
    if !processes {
        let thread = constant(CLONE_THREAD);
        clone.push(argument(0, Length::Qword, Is::MaskedEq(thread), thread)?);
    }
    rules.insert(SYS_clone, vec![SeccompRule::new(clone)?]);
    #[cfg(target_arch = "x86_64")]
    if processes {
        rules.extend([(SYS_fork, Vec::new()), (SYS_vfork, Vec::new())]);
    }
    // Connections between two of its own descriptors: datagrams could be sent to any address.
    let pair = |kind: c_int| {
        SeccompRule::new(vec![
            argument(0, Length::Dword, Is::Eq, constant(AF_UNIX))?,
            argument(1, Length::Dword, Is::MaskedEq(0xf), constant(kind))?,
        ])
    };
    rules.insert(SYS_socketpair, vec![pair(SOCK_STREAM)?, pair(SOCK_SEQPACKET)?]);
    let one_of = |index: u8, values: &[u64]| {
        let rule = |it: &u64| SeccompRule::new(vec![argument(index, Length::Dword, Is::Eq, *it)?]);
        values.iter().map(rule).collect::<Result<Vec<_>, BackendError>>()
    };
    rules.insert(SYS_ioctl, one_of(1, &[TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIOCLEX, FIONCLEX])?);
    rules.insert(SYS_fcntl, one_of(1, &FCNTL.map(constant))?);
    // What a socket is; not who has its other end, which one kind of question answers with a way to reach it.
    let options = SOCKET_OPTIONS.iter().map(|option| {
        SeccompRule::new(vec![
            argument(1, Length::Dword, Is::Eq, constant(SOL_SOCKET))?,
            argument(2, Length::Dword, Is::Eq, constant(*option))?,
        ])
    });
    rules.insert(SYS_getsockopt, options.collect::<Result<_, _>>()?);
    let names = [PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE, PR_CAPBSET_READ].map(constant);
    rules.insert(SYS_prctl, one_of(0, &names)?);
    // Its own limits, which can only go down.
    rules.insert(SYS_prlimit64, one_of(0, &[0])?);
    if let Some(own) = alone {
        let own = u64::from(own);
        rules.insert(SYS_kill, one_of(0, &[own])?);
        rules.insert(SYS_tgkill, one_of(0, &[own])?);
    }
    Ok(rules)
}

/// Refuses to empty a file by opening it without a right to write: the first kinds of Landlock allow that.
fn without_truncation() -> Result<BpfProgram, Error> {
    let rule = |index: u8, access: c_int| {
        let flags = constant(O_TRUNC | O_ACCMODE);
        SeccompRule::new(vec![argument(
            index,
            Length::Dword,
            Is::MaskedEq(flags),
            constant(O_TRUNC | access),
        )?])
    };
    // The third kind of access is neither to read nor to write.
    let opening = |index: u8| Ok::<_, BackendError>(vec![rule(index, O_RDONLY)?, rule(index, O_ACCMODE)?]);
    let mut rules = Rules::from([(SYS_openat, opening(2)?)]);
    #[cfg(target_arch = "x86_64")]
    rules.insert(SYS_open, opening(1)?);
    let refused = SeccompAction::Errno(EACCES.unsigned_abs());
    Ok(SeccompFilter::new(rules, SeccompAction::Allow, refused, std::env::consts::ARCH.try_into()?)?
        .try_into()?)
}

/// Kills a process that makes a call of the x32 kind: those have numbers of their own on the same architecture.
#[cfg(target_arch = "x86_64")]
fn without_x32() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    // Where `seccomp_data` has the number.
    const NUMBER: u32 = 0;
    let step =
        |code: u32, jt: u8, jf: u8, k: u32| sock_filter { code: code.try_into().unwrap_or(0), jt, jf, k };
    vec![
        step(BPF_LD | BPF_W | BPF_ABS, 0, 0, NUMBER),
        step(BPF_JMP | BPF_JGE | BPF_K, 0, 1, X32),
        step(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS),
        step(BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW),
    ]
}
