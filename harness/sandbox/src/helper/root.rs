//! A root folder of its own: system folders read-only, a `/proc` of its own processes, and `/box` to work in.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};

use super::{BOX, Files, Step, said, sys};
use crate::job::Job;

/// What programs need of the system.
pub(crate) const SYSTEM: [&str; 5] = ["/usr", "/bin", "/sbin", "/lib", "/lib64"];

/// What they need of `/etc`.
pub(super) const SETTINGS: [&str; 2] = ["/etc/alternatives", "/etc/ld.so.cache"];

/// Devices without a state. (Not `/dev/zero`: mapped as shared it is memory that no limit of a process counts.)
pub(super) const DEVICES: [&str; 4] = ["/dev/null", "/dev/full", "/dev/random", "/dev/urandom"];

/// Files and folders at most in `/box`.
const NODES: usize = 4096;

/// Leaves the mount namespace for a new one with a new root, and goes to its `/box`.
pub(super) fn build(job: &Job, files: &Files, user: Option<u32>) -> Step<()> {
    sys::unshare(libc::CLONE_NEWNS).map_err(said("unshare of mounts"))?;
    mount("none", Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE, "")?;
    let root = Path::new("/tmp");
    let plain = libc::MS_NOSUID | libc::MS_NODEV;
    mount("tmpfs", root, "tmpfs", plain, "size=4m,mode=755,nr_inodes=512")?;
    for folder in SYSTEM.map(Path::new) {
        if let Ok(target) = fs::read_link(folder) {
            symlink(target, inside(root, folder)).map_err(said("symlink"))?;
        } else if folder.is_dir() {
            show(root, folder)?;
        }
    }
    let (within, beside): (Vec<&Path>, Vec<&Path>) =
        job.readable.iter().map(PathBuf::as_path).partition(|it| is_below(it, &job.hidden));
    for path in SETTINGS.map(Path::new).into_iter().chain(beside) {
        if path.exists() && !is_below(path, &SYSTEM.map(PathBuf::from)) {
            show(root, path)?;
        }
    }
    let hidden: Vec<PathBuf> =
        job.hidden.iter().map(|it| inside(root, it)).filter(|it| it.is_dir()).collect();
    for there in &hidden {
        mount("tmpfs", there, "tmpfs", plain, "size=64k,mode=755,nr_inodes=64")?;
    }
    for path in within {
        show(root, path)?;
    }
    for there in &hidden {
        seal(there, false)?;
    }
    write(&root.join("etc/passwd"), b"user:x:1000:1000::/box:/bin/sh\n")?;
    for device in DEVICES.map(Path::new) {
        let there = inside(root, device);
        write(&there, b"")?;
        bind(device, &there)?;
        // What is written to a device is no change of the file system.
        seal(&there, true)?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        symlink(target, root.join("dev").join(name)).map_err(said("symlink"))?;
    }
    let proc = root.join("proc");
    make(&proc)?;
    mount("proc", &proc, "proc", plain | libc::MS_NOEXEC, "subset=pid")?;
    let work = inside(root, Path::new(BOX));
    make(&work)?;
    let owner = user.map_or_else(String::new, |it| format!(",uid={it},gid={it}"));
    let options = format!("size={},nr_inodes={NODES},mode=700{owner}", job.limits.scratch_bytes);
    mount("tmpfs", &work, "tmpfs", plain, &options)?;
    make(&work.join("tmp"))?;
    if let Some(user) = user {
        chown(work.join("tmp"), Some(user), Some(user)).map_err(said("chown"))?;
    }
    symlink("box/tmp", root.join("tmp")).map_err(said("symlink"))?;
    put(files, &work)?;
    std::env::set_current_dir(root).map_err(said("chdir"))?;
    sys::pivot_here().map_err(said("pivot_root"))?;
    let sealed = libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY | plain;
    std::env::set_current_dir("/").map_err(said("chdir"))?;
    mount("none", Path::new("/"), "", sealed, "")?;
    std::env::set_current_dir(BOX).map_err(said("chdir"))
}

/// Writes the files that a program is given.
pub(super) fn put(files: &Files, folder: &Path) -> Step<()> {
    for (name, bytes, executable) in files {
        let path = folder.join(name);
        write(&path, bytes)?;
        let mode = if *executable { 0o755 } else { 0o644 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).map_err(said("chmod"))?;
    }
    Ok(())
}

/// The bytes of a file that a program has left in its folder: a plain file, not too large.
pub(super) fn bring(name: &str, most: u64) -> Option<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = fs::OpenOptions::new().read(true).custom_flags(flags).open(Path::new(BOX).join(name)).ok()?;
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    file.take(most).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// A path of the machine as it is in the new root, before that is the root.
fn inside(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// Shows a file or folder of the machine read-only.
fn show(root: &Path, path: &Path) -> Step<()> {
    let there = inside(root, path);
    if path.is_dir() {
        make(&there)?;
    } else {
        write(&there, b"")?;
    }
    bind(path, &there)?;
    seal(&there, false)
}

fn seal(there: &Path, is_device: bool) -> Step<()> {
    sys::seal_mount(there, is_device).map_err(|error| format!("mount_setattr {}: {error}", there.display()))
}

/// Whether a path is one of some folders, or in one.
fn is_below(path: &Path, folders: &[PathBuf]) -> bool {
    folders.iter().any(|it| path.starts_with(it))
}

/// What of a folder may be shown if some folders in it are hidden: itself, or what is beside those.
pub(super) fn beside(folder: &Path, hidden: &[PathBuf]) -> Vec<PathBuf> {
    if is_below(folder, hidden) {
        return Vec::new();
    }
    if !hidden.iter().any(|it| it.starts_with(folder)) {
        return vec![folder.to_owned()];
    }
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    // A link is shown with what it leads to, if that is.
    let own = entries.filter(|it| it.file_type().is_ok_and(|kind| !kind.is_symlink()));
    own.flat_map(|it| beside(&it.path(), hidden)).collect()
}

fn bind(from: &Path, to: &Path) -> Step<()> {
    sys::mount(from, to, "", libc::MS_BIND | libc::MS_REC, "")
        .map_err(|error| format!("binding {}: {error}", from.display()))
}

fn mount(source: &str, target: &Path, kind: &str, flags: u64, options: &str) -> Step<()> {
    sys::mount(Path::new(source), target, kind, flags, options)
        .map_err(|error| format!("mounting {kind} {}: {error}", target.display()))
}

fn make(folder: &Path) -> Step<()> {
    fs::create_dir_all(folder).map_err(|error| format!("mkdir {}: {error}", folder.display()))
}

fn write(file: &Path, bytes: &[u8]) -> Step<()> {
    if let Some(folder) = file.parent() {
        make(folder)?;
    }
    fs::write(file, bytes).map_err(|error| format!("writing {}: {error}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::beside;

    #[test]
    fn shows_what_is_beside_the_hidden() {
        let root = tempfile::tempdir().unwrap();
        let path = |name: &str| root.path().join(name);
        for name in ["lib", "src/app/cases", "src/other"] {
            std::fs::create_dir_all(path(name)).unwrap();
        }
        std::fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink(path("src/app"), path("link")).unwrap();
        let shown = |hidden: &[PathBuf]| {
            let mut shown = beside(root.path(), hidden);
            shown.sort();
            shown
        };
        assert_eq!(shown(&[]), [root.path()]);
        assert_eq!(shown(&[PathBuf::from("/elsewhere")]), [root.path()]);
        assert_eq!(shown(&[path("src/app")]), [path("file"), path("lib"), path("src/other")]);
        assert!(shown(&[root.path().to_owned()]).is_empty());
    }
}
