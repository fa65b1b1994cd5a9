//! The hub, as far as its own crate asks it.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fetch::{Fetched, SourceError, Token};
use rstest::rstest;

use crate::world::{Answer, Asked, Server, World, sha256, weights};

/// A repository `org/model`: what its branch `main` is, and the files of each commit.
#[derive(Clone, Default)]
struct Repo {
    head: String,
    commits: BTreeMap<String, BTreeMap<String, Vec<u8>>>,
}

type Shared = Arc<Mutex<Repo>>;

impl Repo {
    fn answer(&self, asked: &Asked, endpoint: &str) -> Answer {
        if let Some(revision) = asked.path.strip_prefix("/api/models/org/model/revision/") {
            let commit = if revision == "main" { &self.head } else { revision };
            let Some(files) = self.commits.get(commit) else { return Answer::status(404) };
            let mut siblings = String::new();
            for name in files.keys() {
                write!(
                    siblings,
                    "{}{{\"rfilename\": \"{name}\"}}",
                    if siblings.is_empty() { "" } else { ", " }
                )
                .unwrap();
            }
            return Answer::whole(
                format!("{{\"sha\": \"{commit}\", \"siblings\": [{siblings}]}}").as_bytes(),
            );
        }
        if let Some(hash) = asked.path.strip_prefix("/elsewhere/") {
            let bytes = self.commits.values().flat_map(BTreeMap::values).find(|it| sha256(it) == hash);
            return bytes.map_or(Answer::status(404), |it| Answer::ranged(it, asked));
        }
        let found = asked
            .path
            .strip_prefix("/org/model/resolve/")
            .and_then(|it| it.split_once('/'))
            .and_then(|(commit, name)| Some((commit, self.commits.get(commit)?.get(name)?)));
        match found {
            None => Answer::status(404),
            // Large files lie elsewhere, under their hash; small ones are answered as they are.
            Some((commit, bytes)) if bytes.starts_with(b"GGUF") => Answer::status(302)
                .with("location", format!("{endpoint}/elsewhere/{}", sha256(bytes)))
                .with("x-linked-etag", format!("\"{}\"", sha256(bytes)))
                .with("x-repo-commit", commit),
            Some((commit, bytes)) => Answer::ranged(bytes, asked)
                .with("etag", format!("\"{}\"", &sha256(bytes)[..40]))
                .with("x-repo-commit", commit),
        }
    }
}

/// The hub with one commit of four files.
fn hub() -> (World, Server, Shared) {
    let shared = Shared::default();
    {
        let mut repo = shared.lock().unwrap();
        "c1".clone_into(&mut repo.head);
        let files = [
            ("config.json", b"{}".to_vec()),
            ("m-1.gguf", weights(5000)),
            ("m-2.gguf", weights(6000)),
            ("sub/m-3.gguf", weights(7000)),
        ];
        let files = files.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect();
        repo.commits.insert("c1".to_owned(), files);
    }
    let (world, server) = world_of(&shared, Repo::answer);
    (world, server, shared)
}

fn world_of(
    shared: &Shared,
    answer: impl Fn(&Repo, &Asked, &str) -> Answer + Send + Sync + 'static,
) -> (World, Server) {
    let shared = Arc::clone(shared);
    let server = Server::new(move |asked, _| {
        let endpoint = format!("http://{}", asked.headers["host"]);
        let repo = shared.lock().unwrap().clone();
        answer(&repo, asked, &endpoint)
    });
    let mut world = World::new();
    world.options.hub.endpoint = server.endpoint();
    (world, server)
}

const ENTRY: &str = "sources: [{ hf: org/model@main, files: [\"*.gguf\", config.json] }]";

#[test]
fn files_come_into_the_hubs_own_layout() {
    let (mut world, server, _) = hub();
    let fetched = world.fetch(ENTRY).unwrap();
    let snapshot = world.cache().hub().join("models--org--model/snapshots/c1");
    let files = ["m-1.gguf", "m-2.gguf", "config.json"].map(|it| snapshot.join(it)).to_vec();
    let source = "hf org/model@main".to_owned();
    assert_eq!(fetched, Fetched::Fetched { source, files: files.clone(), bytes: 11_002 });
    assert_eq!(std::fs::read(&files[1]).unwrap(), weights(6000));
    let refs = world.cache().hub().join("models--org--model/refs/main");
    assert_eq!(std::fs::read_to_string(refs).unwrap(), "c1");
    let locked = world.lock().models["m"].clone();
    assert_eq!((locked.revision.as_deref(), locked.format.as_str()), (Some("c1"), "gguf"));
    assert_eq!(locked.files[0].sha256, sha256(&weights(5000)));

    let asked = server.asked().len();
    assert_eq!(world.fetch(ENTRY).unwrap(), Fetched::Already { files: files.clone() });
    world.options.offline = true;
    // Without a record, the cache says which commit the branch is.
    std::fs::remove_file(world.lock_path()).unwrap();
    assert!(matches!(world.fetch(ENTRY).unwrap(), Fetched::Fetched { .. }));
    assert_eq!(world.lock().models["m"], locked);
    assert_eq!(server.asked().len(), asked);
}

#[test]
fn the_recorded_commit_is_kept_until_forced() {
    let (mut world, _, shared) = hub();
    world.fetch(ENTRY).unwrap();
    {
        let mut repo = shared.lock().unwrap();
        let mut files = repo.commits["c1"].clone();
        files.insert("m-1.gguf".to_owned(), weights(5500));
        repo.commits.insert("c2".to_owned(), files);
        "c2".clone_into(&mut repo.head);
    }
    std::fs::remove_dir_all(world.cache().hub()).unwrap();
    world.fetch(ENTRY).unwrap();
    assert_eq!(world.lock().models["m"].revision.as_deref(), Some("c1"));
    world.options.force = true;
    world.fetch(ENTRY).unwrap();
    assert_eq!(world.lock().models["m"].revision.as_deref(), Some("c2"));
    assert_eq!(world.lock().models["m"].files[0].size, 5500);
}

#[rstest]
#[case::a_large_file("m-1.gguf", b"GGUF other")]
#[case::a_small_file("config.json", b"other")]
fn a_commit_that_changed_is_refused(#[case] name: &str, #[case] other: &[u8]) {
    let (mut world, _, shared) = hub();
    world.fetch(ENTRY).unwrap();
    let before = world.lock();
    shared.lock().unwrap().commits.get_mut("c1").unwrap().insert(name.to_owned(), other.to_vec());
    std::fs::remove_dir_all(world.cache().hub()).unwrap();
    let reason = world.reason(ENTRY);
    assert!(matches!(&reason, SourceError::Changed { name: it, .. } if it == name), "{reason:?}");
    assert_eq!(world.lock(), before);
    let file = world.cache().hub_file("org/model", "c1", name);
    assert!(file.symlink_metadata().is_err(), "it does not stay");
    world.options.force = true;
    world.fetch(ENTRY).unwrap();
}

#[rstest]
#[case::spoiled(|it: &std::path::Path| std::fs::write(it, vec![9; 5000]).unwrap())]
#[case::cut(|it: &std::path::Path| std::fs::write(it, b"x").unwrap())]
#[case::a_link_to_nowhere(|it: &std::path::Path| std::fs::remove_file(it.canonicalize().unwrap()).unwrap())]
fn a_wrong_file_in_the_cache_is_replaced(#[case] spoil: fn(&std::path::Path)) {
    let (world, _, _) = hub();
    world.fetch(ENTRY).unwrap();
    let file = world.cache().hub_file("org/model", "c1", "m-1.gguf");
    spoil(&file);
    assert!(matches!(world.fetch(ENTRY).unwrap(), Fetched::Fetched { .. }));
    assert_eq!(std::fs::read(file).unwrap(), weights(5000));
}

#[rstest]
#[case::its_beginning(weights(5000)[..2000].to_vec(), "bytes=2000-")]
#[case::of_another_file(vec![1; 2000], "bytes=0-")]
#[case::too_long(vec![1; 9000], "bytes=0-")]
fn goes_on_with_what_is_left(#[case] left: Vec<u8>, #[case] range: &str) {
    let (world, server, _) = hub();
    let blobs = world.cache().hub().join("models--org--model/blobs");
    std::fs::create_dir_all(&blobs).unwrap();
    std::fs::write(blobs.join(format!("{}.part", sha256(&weights(5000)))), left).unwrap();
    world.fetch("sources: [{ hf: org/model@main, files: [m-1.gguf] }]").unwrap();
    let last = server.asked().into_iter().rfind(|it| it.path.starts_with("/elsewhere")).unwrap();
    assert_eq!(last.range(), Some(range));
}

#[test]
fn the_pinned_hash_counts() {
    let (world, _, _) = hub();
    let entry = "sources: [{ hf: org/model@main, files: [m-1.gguf] }]\nsha256: ";
    let reason = world.reason(&format!("{entry}\"{}\"", "0".repeat(64)));
    assert!(matches!(reason, SourceError::WrongHash { .. }), "{reason:?}");
    world.fetch(&format!("{entry}\"{}\"", sha256(&weights(5000)))).unwrap();
}

#[rstest]
#[case::no_such_file("[\"*.safetensors\"]", "`*.safetensors` fits none of the 4 files of org/model")]
#[case::a_star_stays_in_its_folder("[\"*3.gguf\"]", "`*3.gguf` fits none")]
fn patterns_that_fit_nothing(#[case] files: &str, #[case] message: &str) {
    let (world, _, _) = hub();
    let reason = world.reason(&format!("sources: [{{ hf: org/model@main, files: {files} }}]")).to_string();
    assert!(reason.contains(message), "{reason}");
}

#[test]
fn files_of_a_folder() {
    let (world, _, _) = hub();
    world.fetch("sources: [{ hf: org/model@c1, files: [\"s*/*-3.*\"] }]").unwrap();
    assert_eq!(world.lock().models["m"].files[0].name, "sub/m-3.gguf");
}

/// Safetensors come with all that is beside them, whichever of it the repository has.
#[rstest]
#[case::at_the_top("", "[\"model-*.safetensors\"]")]
#[case::below("sub/", "[\"sub/*.safetensors\"]")]
fn safetensors_come_with_what_they_need(#[case] folder: &str, #[case] patterns: &str) {
    let (mut world, server, shared) = hub();
    let needed = [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "config.json",
        "quantize_config.json",
        "generation_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
        "model.safetensors.index.json",
    ];
    let needed = needed.map(|it| format!("{folder}{it}"));
    {
        let mut repo = shared.lock().unwrap();
        let files = repo.commits.get_mut("c1").unwrap();
        for (index, name) in needed.iter().enumerate() {
            files.insert(name.clone(), vec![7; 100 + index]);
        }
        for name in ["README.md", "vocab.json", "pytorch_model.bin", "other/tokenizer.json"] {
            files.insert(name.to_owned(), vec![1; 50]);
        }
    }
    let entry = format!("sources: [{{ hf: org/model@main, files: {patterns} }}]");
    world.fetch(&entry).unwrap();
    let locked = world.lock().models["m"].clone();
    assert_eq!(locked.files.iter().map(|it| it.name.clone()).collect::<Vec<_>>(), needed);
    assert_eq!(locked.format, "safetensors");
    assert!(matches!(world.fetch(&entry).unwrap(), Fetched::Already { .. }));
    // Without a network, none of them is forgotten.
    world.options.offline = true;
    let missing = world.cache().hub_file("org/model", "c1", &needed[5]);
    let bytes = std::fs::read(&missing).unwrap();
    std::fs::remove_file(&missing).unwrap();
    let asked = server.asked().len();
    assert!(matches!(world.reason(&entry), SourceError::Offline(_)));
    std::fs::write(missing, bytes).unwrap();
    assert!(matches!(world.fetch(&entry).unwrap(), Fetched::Already { .. }));
    assert_eq!((world.lock().models["m"].clone(), server.asked().len()), (locked, asked));
}

#[test]
fn a_gated_repository() {
    let shared = Shared::default();
    let (mut world, server) = world_of(&shared, |_, _, _| Answer::status(401));
    world.options.hub.token = Token::new("hf_secret");
    let error = world.fetch(ENTRY).unwrap_err();
    let text = format!("{error} {error:?} {:?}", world.options);
    assert!(text.contains(&format!("accept the terms at {}/org/model", server.endpoint())), "{text}");
    assert!(text.contains("HF_TOKEN") && !text.contains("hf_secret"), "{text}");
    assert_eq!(server.asked()[0].headers["authorization"], "Bearer hf_secret");
}

#[test]
fn a_repository_or_revision_that_is_not_there() {
    let (world, _, _) = hub();
    let reason = world.reason("sources: [{ hf: org/model@v9, files: [config.json] }]").to_string();
    assert_eq!(reason, "the hub has no org/model@v9");
}

#[test]
fn the_hub_is_not_asked_offline() {
    let (mut world, server, _) = hub();
    world.options.hub.offline = true;
    let reason = world.reason(ENTRY).to_string();
    assert!(reason.contains("HF_HUB_OFFLINE"), "{reason}");
    assert!(server.asked().is_empty());
}

#[test]
fn a_name_that_would_leave_the_cache_is_refused() {
    let (world, _, shared) = hub();
    let evil = [("../../evil.gguf".to_owned(), weights(10))].into_iter().collect();
    shared.lock().unwrap().commits.insert("c1".to_owned(), evil);
    let reason = world.reason("sources: [{ hf: org/model@main, files: [\"*/*/evil.gguf\"] }]");
    assert!(matches!(reason, SourceError::NoMatch { .. }), "{reason:?}");
}

#[test]
fn trouble_passes() {
    let shared = hub().2;
    let seen = Mutex::new(HashSet::new());
    let (world, _) = world_of(&shared, move |repo, asked, endpoint| {
        let answer = repo.answer(asked, endpoint);
        let is_new = seen.lock().unwrap().insert((asked.path.clone(), asked.range().map(str::to_owned)));
        match asked.range() {
            _ if is_new => Answer::status(503),
            Some(range) if range.ends_with('-') => answer.cut(2000),
            _ => answer,
        }
    });
    world.fetch("sources: [{ hf: org/model@main, files: [m-1.gguf] }]").unwrap();
}

#[test]
fn a_silent_hub_is_given_up() {
    let shared = hub().2;
    let (mut world, _) = world_of(&shared, |repo, asked, endpoint| {
        let answer = repo.answer(asked, endpoint);
        let is_download = asked.range().is_some_and(|it| it.ends_with('-'));
        if is_download { Answer { hangs: true, ..answer.cut(1) } } else { answer }
    });
    world.options.stall = Duration::from_millis(500);
    let reason = world.reason("sources: [{ hf: org/model@main, files: [config.json] }]");
    assert!(reason.to_string().contains("the hub said nothing"), "{reason}");
}
