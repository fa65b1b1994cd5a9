//! Addresses.

use std::time::Duration;

use fetch::{Fetched, SourceError};
use rstest::rstest;

use crate::world::{Answer, Server, World, sha256, weights};

fn entry(server: &Server, bytes: &[u8]) -> String {
    format!(
        "sources: [{{ url: \"{}/m.gguf\" }}]\nsha256: \"{}\"\nsize: {}",
        server.endpoint(),
        sha256(bytes),
        bytes.len()
    )
}

#[test]
fn a_file_comes_once() {
    let (world, bytes) = (World::new(), weights(700_000));
    let server = Server::of(bytes.clone());
    let path = world.place_of(&bytes, "m.gguf");

    let fetched = world.fetch(&entry(&server, &bytes)).unwrap();
    let files = vec![path.clone()];
    let source = format!("url {}/m.gguf", server.endpoint());
    assert_eq!(fetched, Fetched::Fetched { source: source.clone(), files: files.clone(), bytes: 700_000 });
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(world.files(), [format!("files/{}/m.gguf", sha256(&bytes))]);
    let locked = world.lock().models["m"].clone();
    assert_eq!((locked.source, locked.revision, locked.format.as_str()), (source, None, "gguf"));
    assert_eq!((locked.files[0].sha256.as_str(), locked.files[0].size), (sha256(&bytes).as_str(), 700_000));

    assert_eq!(world.fetch(&entry(&server, &bytes)).unwrap(), Fetched::Already { files: files.clone() });
    std::fs::remove_file(world.lock_path()).unwrap();
    assert_eq!(world.fetch(&entry(&server, &bytes)).unwrap(), Fetched::Already { files });
    assert_eq!(world.lock().models.len(), 1, "the record is repaired");
    assert_eq!(server.asked().len(), 1);
}

#[cfg(unix)]
#[test]
fn everybody_may_read_it() {
    use std::os::unix::fs::PermissionsExt as _;

    let (world, bytes) = (World::new(), weights(10));
    world.fetch(&entry(&Server::of(bytes.clone()), &bytes)).unwrap();
    let mode = world.place_of(&bytes, "m.gguf").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}

#[rstest]
#[case::right_half(400, true, &["bytes=400-"])]
#[case::all_of_it(1000, true, &[])]
#[case::of_another_file(400, false, &["bytes=400-", ""])]
#[case::longer_than_the_file(1200, false, &[""])]
fn goes_on_with_what_is_left(#[case] left: usize, #[case] right: bool, #[case] ranges: &[&str]) {
    let (world, bytes) = (World::new(), weights(1000));
    let server = Server::of(bytes.clone());
    let partial = world.partial(&bytes, "url");
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::fs::write(&partial, if right { bytes[..left].to_vec() } else { vec![7; left] }).unwrap();

    world.fetch(&entry(&server, &bytes)).unwrap();
    assert_eq!(std::fs::read(world.place_of(&bytes, "m.gguf")).unwrap(), bytes);
    let asked: Vec<String> = server.ranges().into_iter().map(Option::unwrap_or_default).collect();
    assert_eq!(asked, ranges);
}

#[test]
fn goes_on_without_knowing_the_size() {
    let (world, bytes) = (World::new(), weights(1000));
    let server = Server::of(bytes.clone());
    let partial = world.partial(&bytes, "url");
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::fs::write(&partial, &bytes).unwrap();
    let entry = entry(&server, &bytes).replace("\nsize: 1000", "");
    world.fetch(&entry).unwrap();
    // The server has no more, and says so by 416.
    assert_eq!(server.ranges(), [Some("bytes=1000-".to_owned())]);
}

#[test]
fn a_server_without_ranges_starts_over() {
    let (world, bytes) = (World::new(), weights(1000));
    let content = bytes.clone();
    let server = Server::new(move |_, earlier| {
        let whole = Answer::whole(&content);
        if earlier == 0 { whole.cut(300) } else { whole }
    });
    world.fetch(&entry(&server, &bytes)).unwrap();
    assert_eq!(server.ranges(), [None, Some("bytes=300-".to_owned())]);
}

#[test]
fn a_connection_that_breaks_is_taken_up_as_long_as_bytes_come() {
    let (world, bytes) = (World::new(), weights(1000));
    let content = bytes.clone();
    let server = Server::new(move |asked, _| Answer::ranged(&content, asked).cut(100));
    world.fetch(&entry(&server, &bytes)).unwrap();
    assert_eq!(server.asked().len(), 10);
}

#[test]
fn a_server_that_always_stops_at_the_same_place_is_given_up() {
    let (world, bytes) = (World::new(), weights(1000));
    let content = bytes.clone();
    let server = Server::new(move |_, _| Answer::whole(&content).cut(100));
    let reason = world.reason(&entry(&server, &bytes));
    assert!(matches!(reason, SourceError::Network(_)), "{reason:?}");
    assert_eq!(server.asked().len(), 4);
    assert_eq!(world.files(), [format!("partial/{}.url", sha256(&bytes))]);
}

#[rstest]
#[case::another_file(|it: &[u8]| { let mut it = it.to_vec(); it[500] ^= 1; Answer::whole(&it) }, "its sha256 is")]
#[case::a_longer_file(|it: &[u8]| Answer::whole(&[it, b"more"].concat()), "1004 bytes, not 1000")]
#[case::a_shorter_file(|it: &[u8]| Answer::whole(&it[1..]), "999 bytes, not 1000")]
#[case::an_endless_file(
    |it: &[u8]| Answer { unsized_body: true, ..Answer::whole(&it.repeat(2)) },
    "2000 bytes, not 1000"
)]
#[case::not_there(|_: &[u8]| Answer::status(404), "404 (not there)")]
#[case::not_allowed(|_: &[u8]| Answer::status(403), "403 (not allowed)")]
fn a_wrong_answer_leaves_nothing_in_place(#[case] answer: fn(&[u8]) -> Answer, #[case] message: &str) {
    let (world, bytes) = (World::new(), weights(1000));
    let content = bytes.clone();
    let server = Server::new(move |_, _| answer(&content));
    let reason = world.reason(&entry(&server, &bytes)).to_string();
    assert!(reason.contains(message), "{reason}");
    let placed = world.files().into_iter().filter(|it| it.starts_with("files/")).count();
    assert_eq!((placed, world.lock().models.len()), (0, 0));
}

#[test]
fn trouble_passes() {
    let (world, bytes) = (World::new(), weights(1000));
    let content = bytes.clone();
    let server = Server::new(
        move |_, earlier| if earlier < 2 { Answer::status(503) } else { Answer::whole(&content) },
    );
    world.fetch(&entry(&server, &bytes)).unwrap();

    let world = World::new();
    let server = Server::new(|_, _| Answer::status(503));
    let reason = world.reason(&entry(&server, &bytes));
    assert!(matches!(reason, SourceError::Status { status: 503 }), "{reason:?}");
    assert_eq!(server.asked().len(), 3);
}

#[test]
fn a_silent_server_is_given_up() {
    let (mut world, bytes) = (World::new(), weights(1000));
    world.options.stall = Duration::from_millis(100);
    // The same bytes come each time, and then nothing.
    let content = bytes.clone();
    let silent = Server::new(move |_, _| Answer { hangs: true, ..Answer::whole(&content).cut(100) });
    let reason = world.reason(&entry(&silent, &bytes));
    assert!(reason.to_string().contains("timeout"), "{reason}");
    // One that falls silent, but gives more each time, gets there. On a busy machine it may need longer to begin.
    world.options.stall = Duration::from_secs(2);
    let content = bytes.clone();
    let server = Server::new(move |asked, _| {
        let answer = Answer::ranged(&content, asked).cut(400);
        Answer { hangs: asked.range().is_some(), ..answer }
    });
    world.fetch(&entry(&server, &bytes)).unwrap();
}

#[test]
fn nobody_listens() {
    let (world, bytes) = (World::new(), weights(10));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let entry = format!("sources: [{{ url: \"http://{closed}/m\" }}]\nsha256: \"{}\"", sha256(&bytes));
    let reason = world.reason(&entry);
    assert!(matches!(reason, SourceError::Network(_)), "{reason:?}");
    assert!(reason.to_string().contains("HTTPS_PROXY"), "{reason}");
}

#[test]
fn redirects_are_followed() {
    let (world, bytes) = (World::new(), weights(1000));
    let content = bytes.clone();
    let server = Server::new(move |asked, _| match asked.path.as_str() {
        "/m.gguf" => Answer::status(302).with("location", "/elsewhere"),
        _ => Answer::ranged(&content, asked),
    });
    world.fetch(&entry(&server, &bytes)).unwrap();
    assert_eq!(server.asked()[1].path, "/elsewhere");
}

#[test]
fn a_name_that_would_leave_the_cache_is_refused() {
    let (world, bytes) = (World::new(), weights(10));
    let server = Server::of(bytes.clone());
    let entry = entry(&server, &bytes).replace("/m.gguf", "/a/..");
    assert!(matches!(world.reason(&entry), SourceError::Name(_)));
}
