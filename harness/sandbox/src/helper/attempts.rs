//! The self-test: eight attempts to break out, made where a program would be.

use std::path::Path;

use super::sys::{self, attempts};
use crate::job::Targets;

/// What is tried; a name is printed only if it worked.
pub(crate) const NAMES: [&str; 8] = [
    "read a file",
    "write a file",
    "use the network",
    "reach a process",
    "trace a process",
    "make a namespace",
    "start a process",
    "take memory",
];

/// Tries everything and prints the names of what worked, one a line, after a line that says how many were tried.
pub(super) fn report(targets: &Targets) {
    let secret = targets.secret.as_path();
    let pid = targets.process;
    let inherited = sys::inherited_descriptors().iter().any(|fd| *fd > 2);
    let worked = [
        std::fs::read(secret).is_ok() || std::fs::read("/etc/shadow").is_ok() || inherited,
        written(secret),
        [libc::AF_INET, libc::AF_INET6, libc::AF_UNIX, libc::AF_NETLINK]
            .iter()
            .any(|family| attempts::socket(*family, libc::SOCK_STREAM).is_ok()),
        attempts::signal(pid).is_ok(),
        attempts::trace(pid).is_ok() || attempts::peek(pid, 0x1000).is_ok(),
        sys::unshare(libc::CLONE_NEWUSER).is_ok()
            || sys::unshare(libc::CLONE_NEWNS).is_ok()
            || sys::mount(Path::new("none"), Path::new("/"), "tmpfs", 0, "").is_ok(),
        attempts::start_process().is_ok(),
        attempts::take_memory(MEMORY + (32 << 20)).is_ok(),
    ];
    let mut told = format!("tried {}\n", worked.len());
    for (name, _) in NAMES.iter().zip(worked).filter(|it| it.1) {
        told += name;
        told.push('\n');
    }
    drop(sys::write_all(1, told.as_bytes()));
}

/// Bytes that the self-test may have.
pub(crate) const MEMORY: usize = 64 << 20;

/// Whether anything beside the secret could be changed.
fn written(secret: &Path) -> bool {
    let beside = secret.with_file_name("written");
    std::fs::write(&beside, "x").is_ok()
        || std::fs::remove_file(secret).is_ok()
        || std::fs::set_permissions(secret, std::os::unix::fs::PermissionsExt::from_mode(0o777)).is_ok()
        || std::fs::write("/usr/proofmark-sandbox", "x").is_ok()
}
