//! `cargo xtask ci`: everything that CI checks, in one place.

use std::process::{Command, ExitCode};

use anyhow::Context as _;

/// A cargo command, what it is for, and the variables that it runs with.
struct Check {
    name: &'static str,
    arguments: &'static [&'static str],
    variables: &'static [(&'static str, &'static str)],
}

const CHECKS: [Check; 5] = [
    Check { name: "formatting", arguments: &["fmt", "--all", "--check"], variables: &[] },
    Check {
        name: "lints",
        arguments: &["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"],
        variables: &[],
    },
    Check {
        name: "docs",
        arguments: &["doc", "--workspace", "--no-deps", "--document-private-items", "--quiet"],
        variables: &[("RUSTDOCFLAGS", "-D warnings")],
    },
    Check { name: "schemas", arguments: &["xtask", "schema", "--check"], variables: &[] },
    Check { name: "tests", arguments: &["test"], variables: &[] },
];

pub(crate) fn run() -> anyhow::Result<ExitCode> {
    for Check { name, arguments, variables } in CHECKS {
        eprintln!("== {name}: cargo {}", arguments.join(" "));
        let status = Command::new(env!("CARGO"))
            .args(arguments)
            .envs(variables.iter().copied())
            .status()
            .with_context(|| format!("`cargo {}` cannot be run", arguments.join(" ")))?;
        if !status.success() {
            eprintln!("{name}: failed");
            return Ok(ExitCode::FAILURE);
        }
    }
    Ok(ExitCode::SUCCESS)
}
