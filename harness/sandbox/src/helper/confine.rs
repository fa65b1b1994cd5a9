//! The last steps before a program: it gives up what it could do harm with, for good.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible as _, PathBeneath, PathFd,
    Ruleset, RulesetAttr as _, RulesetCreatedAttr as _, RulesetStatus, Scope,
};

use super::root::{DEVICES, SETTINGS, SYSTEM, beside};
use super::{Step, filter, said, sys};
use crate::job::{Job, Level};

/// The newest Landlock that is used where it is there.
const NEWEST: ABI = ABI::V6;

/// Bytes of addresses. Node reserves much and uses little; a 512th of it can go into tables.
const ADDRESSES: u64 = 64 << 30;

/// Resource limits, another user, no capabilities, Landlock, seccomp; in this order.
pub(super) fn program(job: &Job, user: Option<u32>, folder: &Path) -> Step<()> {
    sys::reset_signals().map_err(said("signals"))?;
    // Addresses show in what a program prints and in the order of its sets.
    sys::fix_addresses().map_err(said("personality"))?;
    let is_reduced = job.level == Level::Landlock;
    // Counted for each user: ours is nobody else's, but as an ordinary user it is the harness's too.
    let others = if is_reduced && user.is_none() { tasks_of_user() } else { 0 };
    if user.is_some() || !is_reduced {
        sys::drop_bounding_set().map_err(said("capabilities"))?;
    }
    if let Some(user) = user {
        sys::become_user(user).map_err(said("becoming another user"))?;
        sys::die_with_parent().map_err(said("prctl"))?;
    }
    sys::drop_capabilities().map_err(said("capset"))?;
    sys::no_new_privileges().map_err(said("no_new_privs"))?;
    limits(job, others).map_err(said("setrlimit"))?;
    landlock(job, folder)?;
    let own = std::process::id();
    // Without a namespace of its own, what it starts would outlive it.
    filter::install(job.processes && !is_reduced, is_reduced.then_some(own))
        .map_err(|error| format!("seccomp: {error}"))
}

fn limits(job: &Job, others: u64) -> std::io::Result<()> {
    let limits = &job.limits;
    let cpu = limits.cpu.as_secs() + u64::from(limits.cpu.subsec_nanos() > 0);
    let files = if job.level == Level::Landlock { 0 } else { limits.scratch_bytes };
    for (resource, soft, hard) in [
        // Each page of address space that is read costs some memory for tables.
        (libc::RLIMIT_AS, ADDRESSES, ADDRESSES),
        // Private memory that can be written to: not address space, of which Node takes much and uses little.
        (libc::RLIMIT_DATA, limits.memory_bytes, limits.memory_bytes),
        (libc::RLIMIT_FSIZE, files, files),
        // Not 0, with which the kernel would still start the machine's program for cores.
        (libc::RLIMIT_CORE, 1, 1),
        (libc::RLIMIT_NOFILE, 256, 256),
        (libc::RLIMIT_CPU, cpu, cpu + 1),
        (libc::RLIMIT_NPROC, limits.tasks + others, limits.tasks + others),
        (libc::RLIMIT_MEMLOCK, 0, 0),
        (libc::RLIMIT_MSGQUEUE, 0, 0),
        (libc::RLIMIT_SIGPENDING, 256, 256),
        (libc::RLIMIT_STACK, 16 << 20, 64 << 20),
    ] {
        sys::set_limit(resource, soft, hard)?;
    }
    Ok(())
}

/// Threads of this process's user, as its limit counts them.
fn tasks_of_user() -> u64 {
    let own = fs::metadata("/proc/self").ok();
    let user = |it: &fs::Metadata| std::os::unix::fs::MetadataExt::uid(it);
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mine = processes.filter(|it| it.metadata().ok().as_ref().map(user) == own.as_ref().map(user));
    mine.filter_map(|it| fs::read_dir(it.path().join("task")).ok()).map(|it| it.count() as u64).sum()
}

/// Files may be read where programs need them, and written in the folder alone; no TCP, no signals out of it.
fn landlock(job: &Job, folder: &Path) -> Step<()> {
    // Without namespaces nothing else keeps files apart.
    let is_reduced = job.level == Level::Landlock;
    let needed = if is_reduced { CompatLevel::HardRequirement } else { CompatLevel::BestEffort };
    let (read, all) = (AccessFs::from_read(NEWEST), AccessFs::from_all(NEWEST));
    let own = if is_reduced { read } else { all & !(AccessFs::MakeBlock | AccessFs::MakeChar) };
    let device: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::WriteFile;
    let mut rules: Vec<(PathBuf, BitFlags<AccessFs>)> = vec![(folder.to_owned(), own)];
    // In a root of its own the hidden is not there.
    let hidden = if is_reduced { &job.hidden[..] } else { &[] };
    for path in SYSTEM.iter().chain(&SETTINGS).map(Path::new).chain(job.readable.iter().map(PathBuf::as_path))
    {
        let is_within = hidden.iter().any(|it| path.starts_with(it));
        let shown = if is_within { vec![path.to_owned()] } else { beside(path, hidden) };
        rules.extend(shown.into_iter().map(|it| (it, read)));
    }
    rules.extend(DEVICES.map(|it| (PathBuf::from(it), device)));
    if !is_reduced {
        rules.push((PathBuf::from("/proc"), read | AccessFs::WriteFile));
    }
    let enforced = (|| {
        let mut ruleset = Ruleset::default()
            .set_compatibility(needed)
            .handle_access(AccessFs::from_all(ABI::V1))?
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(all)?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::from_all(NEWEST))?
            .create()?;
        for (path, access) in rules {
            if let Ok(fd) = PathFd::new(&path) {
                let access = if path.is_dir() { access } else { access & AccessFs::from_file(NEWEST) };
                ruleset = ruleset.add_rule(PathBeneath::new(fd, access))?;
            }
        }
        ruleset.restrict_self()
    })();
    let status = enforced.map_err(|error: landlock::RulesetError| format!("Landlock: {error}"))?;
    if is_reduced && status.ruleset == RulesetStatus::NotEnforced {
        return Err("Landlock: this kernel does not have it".to_owned());
    }
    Ok(())
}
