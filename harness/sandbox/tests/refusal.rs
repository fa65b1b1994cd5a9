//! Refusals: without a helper that contains what it should, nothing runs, and the reason says what to change.

use std::path::Path;

use rstest::rstest;
use sandbox::{Containment, NotRun, Sandbox};

#[track_caller]
fn check(opened: Result<Sandbox, NotRun>, wanted: &str) {
    match opened {
        Err(NotRun::Refused(reason)) => assert!(reason.contains(wanted), "{reason}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_main_that_does_not_begin_with_it() {
    check(Sandbox::open(), "`main` does not begin with `sandbox::child()`");
}

#[rstest]
#[case("/nowhere/at-all", "the helper cannot be started")]
#[case("/bin/true", "user namespaces")]
fn a_helper_that_is_none(#[case] helper: &str, #[case] wanted: &str) {
    // What is found out holds for the process, so each is asked of another kind.
    let containment = if helper == "/bin/true" { Containment::Namespaces } else { Containment::Reduced };
    check(Sandbox::with_containment(Path::new(helper), containment), wanted);
}
