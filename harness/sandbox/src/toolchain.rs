//! Toolchains: which languages this machine has, and where.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::helper::SYSTEM;
use crate::program::Language;

/// What runs a language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// The interpreter or compiler.
    pub program: PathBuf,
    /// Files and folders that it needs beside the system's.
    pub readable: Vec<PathBuf>,
    /// Arguments that its version needs.
    pub arguments: Vec<String>,
}

/// The toolchain of a language, looked for once; the error says what is missing.
pub fn find(language: Language) -> Result<&'static Toolchain, &'static str> {
    static FOUND: [OnceLock<Result<Toolchain, String>>; Language::ALL.len()] =
        [const { OnceLock::new() }; Language::ALL.len()];
    let place = Language::ALL.iter().position(|it| *it == language).expect("it is one of all");
    FOUND[place].get_or_init(|| look(language)).as_ref().map_err(String::as_str)
}

fn look(language: Language) -> Result<Toolchain, String> {
    let found = match language {
        Language::Python => python(),
        Language::Rust => rust(),
        Language::JavaScript => plain("node"),
        Language::Sql => plain("sqlite3"),
        Language::Shell => plain("sh"),
    };
    let (program, package) = match language {
        Language::Python => ("`python3`, 3.8 or newer,", "python3"),
        Language::Rust => ("`rustc` with the linker `cc`", "rustc"),
        Language::JavaScript => ("`node`", "nodejs"),
        Language::Sql => ("`sqlite3`", "sqlite3"),
        Language::Shell => ("`sh`", "dash"),
    };
    found.ok_or_else(|| {
        format!("{language} programs need {program}, which is not on this machine: install {package}")
    })
}

/// Where programs are: system folders first, as a shim in someone's home is of no use in a sandbox.
fn candidates(name: &str) -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let system = ["/usr/bin", "/usr/local/bin", "/bin"].map(PathBuf::from);
    let folders = system.into_iter().chain(std::env::split_paths(&path)).filter(|it| it.is_absolute());
    let programs = folders.map(|it| it.join(name));
    programs
        .filter(|it| it.metadata().is_ok_and(|it| it.is_file() && it.permissions().mode() & 0o111 != 0))
        .collect()
}

fn plain(name: &str) -> Option<Toolchain> {
    let program = candidates(name).into_iter().find_map(|it| it.canonicalize().ok())?;
    let readable = beyond_system(&program, program.parent().and_then(Path::parent)?);
    Some(Toolchain { program, readable, arguments: Vec::new() })
}

fn python() -> Option<Toolchain> {
    const ASK: &str = "import sys; print(sys.executable, sys.base_prefix, *sys.version_info[:2], sep='\\n')";
    candidates("python3").into_iter().find_map(|program| {
        let told = ask(&program, &["-c", ASK])?;
        let [program, prefix, major, minor] = told.lines().collect::<Vec<_>>()[..] else { return None };
        let version: (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
        // The folder of the program is not looked in for modules; no site, no compiled files.
        let safe_path = (version >= (3, 11)).then_some("-P");
        let arguments = safe_path.into_iter().chain(["-s", "-S", "-B"]).map(str::to_owned).collect();
        let program = Path::new(program).canonicalize().ok()?;
        let readable = beyond_system(&program, Path::new(prefix));
        (version >= (3, 8)).then_some(Toolchain { program, readable, arguments })
    })
}

fn rust() -> Option<Toolchain> {
    if candidates("cc").is_empty() {
        return None;
    }
    candidates("rustc").into_iter().find_map(|program| {
        let sysroot = PathBuf::from(ask(&program, &["--print", "sysroot"])?.trim());
        let program = sysroot.join("bin/rustc").canonicalize().ok()?;
        let arguments = vec!["--sysroot".to_owned(), sysroot.to_str()?.to_owned()];
        Some(Toolchain { readable: beyond_system(&program, &sysroot), program, arguments })
    })
}

/// What a toolchain says of itself.
fn ask(program: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new(program);
    let output = command.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok().filter(|_| output.status.success())
}

/// The program and the libraries of where it was installed, as far as they are not the system's. No more of the place:
/// it may be someone's home.
fn beyond_system(program: &Path, installed: &Path) -> Vec<PathBuf> {
    let places = [program.to_owned(), installed.join("lib"), installed.join("lib64")];
    let is_system = |it: &Path| SYSTEM.iter().any(|folder| it.starts_with(folder));
    places.into_iter().filter(|it| it.exists() && !is_system(it)).collect()
}

/// Whether any user may read a folder and go through those above it.
pub(crate) fn is_public(folder: &Path) -> bool {
    folder.ancestors().all(|it| it.metadata().is_ok_and(|it| it.permissions().mode() & 0o001 != 0))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::beyond_system;

    #[test]
    fn shows_no_more_of_a_place_than_it_needs() {
        let home = tempfile::tempdir().unwrap();
        let [program, lib] = ["bin/node", "lib"].map(|it| home.path().join(it));
        for folder in ["bin", "lib", "Documents"] {
            std::fs::create_dir(home.path().join(folder)).unwrap();
        }
        std::fs::write(&program, "").unwrap();
        assert_eq!(beyond_system(&program, home.path()), [program, lib]);
        assert!(beyond_system(Path::new("/usr/bin/env"), Path::new("/usr")).is_empty());
        assert!(beyond_system(Path::new("/bin/sh"), Path::new("/")).is_empty());
    }
}
