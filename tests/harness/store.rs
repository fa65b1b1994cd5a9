//! Stores that cannot be used, and disks that end.

use std::process::Command;

use crate::place::{Place, xtask};

#[test]
fn a_store_where_no_folder_can_be_is_refused() {
    let place = Place::with_two_cases().set("PROOFMARK_STORE", "tiny.yaml/below/runs.db");
    place.run(&[]).failed().shown("no-folder-for-the-store");
}

#[test]
fn a_store_that_is_a_folder_is_refused() {
    let ran = Place::with_two_cases().set("PROOFMARK_STORE", "cases").run(&[]).failed();
    ran.says("the store cases cannot be opened").says("set PROOFMARK_STORE to a file that can be written");
}

#[test]
fn a_file_that_is_no_store_is_refused_and_kept() {
    let text = "my diary, which is longer than a page of a database is\n".repeat(200);
    let place = Place::with_two_cases().write("runs.db", &text);
    place.run(&[]).failed().shown("no-store");
    assert_eq!(place.text("runs.db"), text);
}

#[test]
fn a_store_of_another_version_is_refused_and_kept() {
    let place = Place::with_two_cases();
    place.run(&[]).passed();
    place.store().execute_batch("PRAGMA user_version = 999").unwrap();
    place.run(&[]).failed().shown("other-version");
    assert_eq!(place.count("SELECT count(*) FROM trial"), 2);
}

/// A database of another program has version 0, as an empty file has.
#[test]
fn a_database_of_another_program_is_refused_and_kept() {
    let place = Place::with_two_cases();
    let other = rusqlite::Connection::open(place.path("runs.db")).unwrap();
    other.execute_batch("CREATE TABLE diary (day TEXT); CREATE TABLE run (shoes TEXT)").unwrap();
    drop(other);
    place.run(&[]).failed().says("error: the store runs.db");
    let other = rusqlite::Connection::open(place.path("runs.db")).unwrap();
    let tables: i64 = other.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).unwrap();
    assert_eq!(tables, 2);
}

#[test]
fn listing_needs_no_store() {
    let place = Place::with_two_cases().set("PROOFMARK_STORE", "/proc/no/such/folder/runs.db");
    place.run(&["--list"]).passed().says("sums/small/a::tiny: test");
    place.run(&[]).failed().says("set PROOFMARK_STORE to a file that can be written");
}

/// Runs a script in a name space of its own, in which it may mount file systems; `None` where that is not allowed.
#[expect(clippy::print_stderr, reason = "a test that cannot be made says so")]
fn with_mounts(place: &Place, script: &str) -> Option<String> {
    let allowed = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", "mount -t tmpfs none /mnt"])
        .output()
        .is_ok_and(|it| it.status.success());
    if !allowed {
        eprintln!("not tested: this user may not mount a file system in a name space");
        return None;
    }
    let quality = place.command(&[]);
    let mut unshare = Command::new("unshare");
    unshare
        .args(["--mount", "--map-root-user", "sh", "-ec", script, "sh"])
        .arg(quality.get_program())
        .current_dir(place.path(""))
        .env_clear()
        .envs(quality.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = unshare.output().expect("it was there a moment ago");
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{told}");
    Some(told)
}

#[test]
fn a_folder_that_is_read_only_is_refused() {
    let place = Place::with_two_cases();
    let script = "
        mkdir disk && mount -t tmpfs none disk && mount -o remount,ro disk
        export PROOFMARK_STORE=disk/runs.db
        \"$1\" --test-threads 1 || echo exit code $?
    ";
    let Some(told) = with_mounts(&place, script) else { return };
    assert!(told.contains("the store disk/runs.db cannot be opened"), "{told}");
    assert!(told.contains("set PROOFMARK_STORE to a file that can be written"), "{told}");
    assert!(told.contains("exit code 101"), "{told}");
}

#[test]
fn a_store_that_is_read_only_is_refused() {
    let place = Place::with_two_cases();
    let script = "
        mkdir disk && mount -t tmpfs none disk
        export PROOFMARK_STORE=disk/runs.db
        \"$1\" --test-threads 1 >first 2>&1
        mount -o remount,ro disk
        \"$1\" --test-threads 1 || echo exit code $?
    ";
    let Some(told) = with_mounts(&place, script) else { return };
    assert!(told.contains("error: the store disk/runs.db cannot be"), "{told}");
    assert!(told.contains("set PROOFMARK_STORE to a file that can be written"), "{told}");
    assert!(told.contains("exit code 101"), "{told}");
}

/// Who only reads a store need not be able to write it.
#[test]
fn a_store_that_is_read_only_is_reported() {
    let place = Place::with_two_cases();
    let script = format!(
        "
        mkdir disk && mount -t tmpfs none disk
        export PROOFMARK_STORE=disk/runs.db
        \"$1\" --test-threads 1 >first 2>&1
        mount -o remount,ro disk
        '{}' report || echo exit code $?
    ",
        xtask().display()
    );
    let Some(told) = with_mounts(&place, &script) else { return };
    assert!(told.contains("Proofmark report: run 1") && !told.contains("exit code"), "{told}");
}

#[test]
fn a_full_disk_is_told_once_and_the_run_can_go_on() {
    let place = Place::many(400);
    let script = "
        mkdir disk && mount -t tmpfs -o size=600k none disk
        export PROOFMARK_STORE=disk/runs.db
        \"$1\" --test-threads 1 >full.out 2>full.err && exit 7
        mount -o remount,size=64m disk
        PROOFMARK_RESUME=1 \"$1\" --test-threads 1 >resumed.out 2>resumed.err || exit 8
        cp disk/runs.db* .
    ";
    if with_mounts(&place, script).is_none() {
        return;
    }
    let [out, err] = [place.text("full.out"), place.text("full.err")];
    assert!(err.contains("the disk is full: make room, then resume with PROOFMARK_RESUME=1"), "{err}");
    let whole = out.matches("answered, but not stored").count();
    let short = out.matches("not asked: the store cannot be written, see slow/sums/c").count();
    let failed = out.matches(" ... FAILED").count();
    assert_eq!((whole, whole + short), (1, failed), "{out}");
    assert!(failed < 400, "{out}");

    let err = place.text("resumed.err");
    assert!(
        err.contains(&format!("{} answers came from the run that was taken up again", 400 - failed)),
        "{err}"
    );
    assert_eq!(place.totals(), [400, 0, 0, 0]);
    assert_eq!(place.count("SELECT count(*) FROM run WHERE ended_at IS NOT NULL"), 1);
}

/// The goldens' disk is another than the store's.
#[test]
fn goldens_that_cannot_be_written_are_a_failure() {
    let place = Place::with_two_cases().write("golden/sums", "a file where a folder should be");
    place.run(&[]).failed().says("error: golden/sums/small@tiny.snap.new cannot be written");
    assert_eq!(place.totals(), [2, 0, 0, 0]);
}
