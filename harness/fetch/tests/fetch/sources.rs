//! Sources in order, what is there already, and what may not be fetched.

use fetch::{FetchError, Fetched, SourceError};
use rstest::rstest;

use crate::world::{Answer, Server, World, sha256, weights};

#[test]
fn the_next_source_is_tried() {
    let (world, bytes) = (World::new(), weights(100));
    let (bad, good) = (Server::new(|_, _| Answer::status(404)), Server::of(bytes.clone()));
    let sources = format!(
        "sources:\n  - {{ url: \"{}/a.gguf\" }}\n  - {{ url: \"{}/b.gguf\" }}\nsha256: \"{}\"",
        bad.endpoint(),
        good.endpoint(),
        sha256(&bytes)
    );
    let Fetched::Fetched { source, .. } = world.fetch(&sources).unwrap() else { panic!() };
    assert!(source.ends_with("b.gguf"), "{source}");
    assert_eq!(world.lock().models["m"].source, source);
    // It is found again though the first source would give it another name.
    assert!(matches!(world.fetch(&sources).unwrap(), Fetched::Already { .. }));
}

#[test]
fn each_source_has_its_own_reason() {
    let (world, bytes) = (World::new(), weights(100));
    let (missing, wrong) = (Server::new(|_, _| Answer::status(404)), Server::of(weights(99)));
    let error = world
        .fetch(&format!(
            "sources:\n  - {{ url: \"{}/a\" }}\n  - {{ url: \"{}/b\" }}\n  - {{ file: c }}\nsha256: \"{}\"",
            missing.endpoint(),
            wrong.endpoint(),
            sha256(&bytes)
        ))
        .unwrap_err();
    let text = error.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "`m` cannot be had from any source");
    assert!(lines[1].ends_with("the server answered 404 (not there)"), "{text}");
    assert!(lines[2].contains("its sha256 is"), "{text}");
    assert!(lines[3].contains("there is no file"), "{text}");
}

#[test]
fn one_that_fails_does_not_keep_the_others() {
    let (world, bytes) = (World::new(), weights(100));
    let server = Server::of(bytes.clone());
    let entry = |name: &str, sha256: &str| {
        format!(
            "{name}: {{ sources: [{{ url: \"{}/m.gguf\" }}], sha256: \"{sha256}\" }}\n",
            server.endpoint()
        )
    };
    let right = sha256(&bytes);
    let entries =
        [entry("a", &"0".repeat(64)), entry("b", &right), entry("c", &right), entry("d", &"1".repeat(64))]
            .concat();
    let results = world.fetch_all(&entries);
    let names: Vec<_> = results.iter().map(|(name, it)| (name.as_str(), it.is_ok())).collect();
    assert_eq!(names, [("a", false), ("b", true), ("c", true), ("d", false)]);
    // Two entries of the same bytes: they came once.
    assert_eq!(server.asked().len(), 3);
    assert_eq!(world.lock().models.keys().collect::<Vec<_>>(), ["b", "c"]);
}

#[rstest]
#[case::another_hash(|it: &mut Vec<u8>| it[50] ^= 1)]
#[case::too_short(|it: &mut Vec<u8>| it.truncate(50))]
fn a_wrong_file_in_the_cache_is_replaced(#[case] spoil: fn(&mut Vec<u8>)) {
    let (world, bytes) = (World::new(), weights(100));
    let server = Server::of(bytes.clone());
    let entry = format!(
        "sources: [{{ url: \"{}/m.gguf\" }}]\nsha256: \"{}\"\nsize: 100",
        server.endpoint(),
        sha256(&bytes)
    );
    world.fetch(&entry).unwrap();
    let path = world.place_of(&bytes, "m.gguf");
    let mut spoiled = bytes.clone();
    spoil(&mut spoiled);
    std::fs::write(&path, spoiled).unwrap();
    assert!(matches!(world.fetch(&entry).unwrap(), Fetched::Fetched { .. }));
    assert_eq!(std::fs::read(path).unwrap(), bytes);
}

#[test]
fn force_fetches_what_is_there() {
    let (mut world, bytes) = (World::new(), weights(100));
    let server = Server::of(bytes.clone());
    let entry =
        format!("sources: [{{ url: \"{}/m.gguf\" }}]\nsha256: \"{}\"", server.endpoint(), sha256(&bytes));
    world.fetch(&entry).unwrap();
    world.options.force = true;
    assert!(matches!(world.fetch(&entry).unwrap(), Fetched::Fetched { .. }));
}

#[test]
fn nothing_is_downloaded_offline() {
    let (mut world, bytes) = (World::new(), weights(100));
    let server = Server::of(bytes.clone());
    let entry =
        format!("sources: [{{ url: \"{}/m.gguf\" }}]\nsha256: \"{}\"", server.endpoint(), sha256(&bytes));
    world.options.offline = true;
    assert!(matches!(world.reason(&entry), SourceError::Offline(_)));
    assert!(server.asked().is_empty());
    world.options.offline = false;
    world.fetch(&entry).unwrap();
    world.options.offline = true;
    assert!(matches!(world.fetch(&entry).unwrap(), Fetched::Already { .. }));
}

#[test]
fn terms_come_first() {
    let (mut world, bytes) = (World::new(), weights(100));
    let server = Server::of(bytes.clone());
    let entry = format!(
        "sources: [{{ url: \"{}/m.gguf\" }}]\nsha256: \"{}\"\nterms: {{ name: gemma, url: \"https://example.org/terms\" }}",
        server.endpoint(),
        sha256(&bytes)
    );
    let error = world.fetch(&entry).unwrap_err().to_string();
    for part in ["https://example.org/terms", "--accept-license gemma", "PROOFMARK_ACCEPT_LICENSE=gemma"] {
        assert!(error.contains(part), "{error}");
    }
    assert!(server.asked().is_empty());
    world.options.accepted = vec!["llama".to_owned(), "Gemma".to_owned()];
    world.fetch(&entry).unwrap();
}

#[test]
fn a_file_of_this_machine_is_checked_and_not_recorded() {
    let (world, bytes) = (World::new(), weights(100));
    let path = world.folder.path().join("m.gguf");
    let entry = format!("sources: [{{ file: m.gguf }}]\nsha256: \"{}\"\nsize: 100", sha256(&bytes));
    assert!(matches!(world.reason(&entry), SourceError::Missing(_)));
    std::fs::write(&path, &bytes[1..]).unwrap();
    assert!(matches!(world.reason(&entry), SourceError::WrongSize { wanted: 100, found: 99 }));
    std::fs::write(&path, vec![1; 100]).unwrap();
    assert!(matches!(world.reason(&entry), SourceError::WrongHash { .. }));
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(world.fetch(&entry).unwrap(), Fetched::Already { files: vec![path] });
    assert!(!world.lock_path().exists());
}

#[test]
fn what_was_never_published_cannot_be_fetched() {
    let error = World::new().fetch("sources: []\nnote: it was never published").unwrap_err();
    assert!(matches!(error, FetchError::NoSource { .. }));
    assert_eq!(error.to_string(), "`m` has no weights: it was never published");
}

#[test]
fn a_lock_that_cannot_be_read_stops_everything() {
    let world = World::new();
    std::fs::write(world.lock_path(), "version: 1\nmodels: 3\n").unwrap();
    assert!(matches!(world.fetch("sources: []").unwrap_err(), FetchError::LockFile(_)));
}
