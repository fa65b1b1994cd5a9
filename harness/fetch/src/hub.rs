//! The hub: its own crate and cache layout, one commit for all files of a model.

use std::path::{Path, PathBuf};
use std::sync::mpsc;

use eval::lock::{Locked, LockedFile};
use eval::model::{Model, Source};
use eval::weights::BESIDE_WEIGHTS;
use hf_hub::api::sync::{Api, ApiBuilder, ApiError};
use hf_hub::{Cache as HubCache, Repo, RepoType};

use crate::error::{SourceError, is_plain};
use crate::failure::{Failure, again, within};
use crate::place::{self, Wanted};
use crate::space::Claim;
use crate::turns::at_once;
use crate::url::TRIES;
use crate::{Got, Run};

/// What a source asks of the hub.
pub(crate) struct Asked<'a> {
    pub(crate) repo: &'a str,
    pub(crate) revision: &'a str,
    pub(crate) patterns: &'a [String],
}

/// A file of a commit, as the hub tells of it.
struct Remote {
    name: String,
    /// SHA-256 of its bytes, where that is the hub's own name for them.
    sha256: Option<String>,
    size: u64,
    /// What its bytes grow in.
    part: PathBuf,
}

/// Fetches a model's files into the hub's cache.
///
/// Its own crate writes there, so a file is hashed when it is whole; it counts only once `models.lock` names it.
pub(crate) fn fetch(
    run: &Run<'_>,
    model: &Model,
    source: &Source,
    asked: &Asked<'_>,
) -> Result<Got, SourceError> {
    // Whoever has the same models.lock gets the same commit, wherever the branch has gone.
    let recorded = run
        .lock
        .models
        .get(&model.name)
        .filter(|it| it.source == source.to_string() && !run.options.force && it.revision.is_some());
    let (commit, files) = if run.options.offline {
        cached(run, model, asked, recorded).ok_or(SourceError::Offline("with --offline"))?
    } else if run.options.hub.offline {
        cached(run, model, asked, recorded)
            .ok_or(SourceError::Offline("from the hub while HF_HUB_OFFLINE is set"))?
    } else {
        download(run, model, asked, recorded)?
    };
    for file in &files {
        if let Some(before) = recorded_file(recorded, &file.name)
            && before.sha256 != file.sha256
        {
            remove(&run.cache.hub_file(asked.repo, &commit, &file.name));
            return Err(SourceError::Changed {
                name: file.name.clone(),
                recorded: before.sha256.clone(),
                found: file.sha256.clone(),
            });
        }
    }
    if let [only] = files.as_slice() {
        Wanted::of(model).check(&only.sha256, only.size)?;
    }
    let paths: Vec<PathBuf> =
        files.iter().map(|it| run.cache.hub_file(asked.repo, &commit, &it.name)).collect();
    let format = place::format_of(&paths);
    let locked = Locked { source: source.to_string(), revision: Some(commit), format, files };
    Ok(Got { files: paths, locked })
}

fn recorded_file<'a>(recorded: Option<&'a Locked>, name: &str) -> Option<&'a LockedFile> {
    recorded?.files.iter().find(|it| it.name == name)
}

fn repo(asked: &Asked<'_>, revision: &str) -> Repo {
    Repo::with_revision(asked.repo.to_owned(), RepoType::Model, revision.to_owned())
}

fn is_commit(text: &str) -> bool {
    is_plain(text) && !text.contains('/')
}

/// What the hub's cache has of the commit, if that answers every pattern.
fn cached(
    run: &Run<'_>,
    model: &Model,
    asked: &Asked<'_>,
    recorded: Option<&Locked>,
) -> Option<(String, Vec<LockedFile>)> {
    let folder = run.cache.hub().join(repo(asked, asked.revision).folder_name());
    let commit = recorded.and_then(|it| it.revision.clone()).unwrap_or_else(|| {
        // A revision without a name in the cache is a commit itself.
        std::fs::read_to_string(folder.join("refs").join(asked.revision))
            .map_or_else(|_| asked.revision.to_owned(), |it| it.trim().to_owned())
    });
    if !is_commit(&commit) {
        return None;
    }
    let mut there = Vec::new();
    names_below(&folder.join("snapshots").join(&commit), "", &mut there);
    // A file that was recorded and is gone must be missed.
    there.extend(recorded.iter().flat_map(|it| &it.files).map(|it| it.name.clone()));
    there.sort();
    there.dedup();
    let files = expand(asked, &there).ok()?.into_iter().map(|name| {
        let path = run.cache.hub_file(asked.repo, &commit, &name);
        let wanted = recorded_file(recorded, &name).map(|it| it.sha256.as_str());
        let wanted = Wanted { sha256: wanted, size: None };
        let transfer = run.progress.begin(&format!("{}: checking {name}", model.name));
        let (sha256, size) = place::check(&path, wanted, transfer.as_ref()).ok()?;
        Some(LockedFile { name, sha256, size })
    });
    let files = files.collect::<Option<Vec<_>>>()?;
    Some((commit, files))
}

fn names_below(folder: &Path, prefix: &str, names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        if path.is_dir() {
            names_below(&path, &format!("{name}/"), names);
        } else if path.is_file() {
            names.push(name);
        }
    }
}

/// The files that the patterns mean, in the patterns' order; and all that safetensors need beside them.
fn expand(asked: &Asked<'_>, there: &[String]) -> Result<Vec<String>, SourceError> {
    let mut names: Vec<String> = Vec::new();
    for pattern in asked.patterns {
        let fitting: Vec<&String> = there.iter().filter(|it| is_plain(it) && fits(pattern, it)).collect();
        if fitting.is_empty() {
            return Err(SourceError::NoMatch {
                pattern: pattern.clone(),
                count: there.len(),
                repo: asked.repo.to_owned(),
            });
        }
        for name in fitting {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    // With what lies beside them, which many repositories have only a part of.
    let weights = names.iter().find(|it| it.ends_with(".safetensors")).cloned();
    if let Some(weights) = weights {
        let folder = weights.rfind('/').map_or("", |it| &weights[..=it]);
        let beside = BESIDE_WEIGHTS.iter().map(|it| format!("{folder}{it}"));
        names.extend(beside.filter(|it| there.contains(it) && !names.contains(it)).collect::<Vec<_>>());
    }
    Ok(names)
}

/// Whether a name fits a pattern, whose `*` stands for any letters within one folder.
pub(crate) fn fits(pattern: &str, name: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return pattern == name };
    name.strip_prefix(start).is_some_and(|name| {
        let end = name.find('/').unwrap_or(name.len());
        (0..=end).any(|it| name.is_char_boundary(it) && fits(rest, &name[it..]))
    })
}

/// Brings the files of one commit into the hub's cache.
fn download(
    run: &Run<'_>,
    model: &Model,
    asked: &Asked<'_>,
    recorded: Option<&Locked>,
) -> Result<(String, Vec<LockedFile>), SourceError> {
    let api = ApiBuilder::from_cache(HubCache::new(run.cache.hub().to_owned()))
        .with_endpoint(run.options.hub.endpoint.clone())
        .with_token(run.options.hub.token.as_ref().map(|it| it.0.clone()))
        .with_progress(false)
        .build()
        .map_err(|error| SourceError::Hub(error.to_string()))?;
    let revision = recorded.and_then(|it| it.revision.as_deref()).unwrap_or(asked.revision);
    let info = {
        let _slot = run.slots.take();
        again(run, || {
            let (api, repo) = (api.clone(), repo(asked, revision));
            within(run.options.stall, move || api.repo(repo).info())
        })
        .map_err(|it| it.in_words(run, asked, &format!("{}@{revision}", asked.repo)))?
    };
    let commit = info.sha;
    if !is_commit(&commit) {
        return Err(SourceError::Hub(format!("the hub calls a commit `{commit}`")));
    }
    let mut there: Vec<String> = info.siblings.into_iter().map(|it| it.rfilename).collect();
    there.sort();
    let names = expand(asked, &there)?;
    let remotes = at_once(run.options.at_once, &names, |name| {
        let _slot = run.slots.take();
        remote(run, &api, asked, &commit, name)
    });
    let remotes = remotes.into_iter().collect::<Result<Vec<_>, _>>()?;
    let needed = remotes
        .iter()
        .filter(|it| !run.cache.hub_file(asked.repo, &commit, &it.name).exists())
        .map(|it| it.size.saturating_sub(length_of(&it.part)))
        .sum();
    let claim = run.hub_room.claim(needed)?;
    let files = at_once(run.options.at_once, &remotes, |remote| {
        let _slot = run.slots.take();
        let file = File { run, api: &api, asked, commit: &commit, remote, claim: &claim };
        file.bring(model, recorded_file(recorded, &remote.name))
    });
    let files = files.into_iter().collect::<Result<Vec<_>, _>>()?;
    // Other clients of the cache look the revision up by its name. They do without, if it cannot be written.
    let _ = HubCache::new(run.cache.hub().to_owned()).repo(repo(asked, asked.revision)).create_ref(&commit);
    Ok((commit, files))
}

/// Asks the hub about a file.
fn remote(
    run: &Run<'_>,
    api: &Api,
    asked: &Asked<'_>,
    commit: &str,
    name: &str,
) -> Result<Remote, SourceError> {
    let metadata = again(run, || {
        let (api, url) = (api.clone(), api.repo(repo(asked, commit)).url(name));
        within(run.options.stall, move || api.metadata(&url))
    })
    .map_err(|it| it.in_words(run, asked, &format!("{name} in {}@{commit}", asked.repo)))?;
    let etag = metadata.etag();
    if !is_plain(etag) || metadata.commit_hash() != commit {
        let found = metadata.commit_hash();
        return Err(SourceError::Hub(format!("the hub gives `{name}` as `{etag}` of commit `{found}`")));
    }
    let blob = HubCache::new(run.cache.hub().to_owned()).repo(repo(asked, commit)).blob_path(etag);
    let is_sha256 = etag.len() == 64 && etag.bytes().all(|it| it.is_ascii_hexdigit());
    Ok(Remote {
        name: name.to_owned(),
        sha256: is_sha256.then(|| etag.to_ascii_lowercase()),
        size: metadata.size() as u64,
        part: blob.with_extension("part"),
    })
}

fn length_of(path: &Path) -> u64 {
    path.metadata().map_or(0, |it| it.len())
}

/// A file on its way from the hub.
struct File<'a> {
    run: &'a Run<'a>,
    api: &'a Api,
    asked: &'a Asked<'a>,
    commit: &'a str,
    remote: &'a Remote,
    claim: &'a Claim<'a>,
}

impl File<'_> {
    /// Brings the file, unless it is there and right.
    fn bring(&self, model: &Model, recorded: Option<&LockedFile>) -> Result<LockedFile, SourceError> {
        let Remote { name, sha256, size, part } = self.remote;
        let path = self.run.cache.hub_file(self.asked.repo, self.commit, name);
        let check = |sha256: Option<&str>| {
            let transfer = self.run.progress.begin(&format!("{}: checking {name}", model.name));
            let (sha256, size) =
                place::check(&path, Wanted { sha256, size: Some(*size) }, transfer.as_ref())?;
            Ok(LockedFile { name: name.clone(), sha256, size })
        };
        if path.exists() && !self.run.options.force {
            let known = sha256.as_deref().or(recorded.map(|it| it.sha256.as_str()));
            if let Ok(file) = check(known) {
                return Ok(file);
            }
        }
        // The hub's crate neither replaces a file nor repairs a link that leads nowhere.
        remove(&path);
        let mut most = length_of(part);
        let mut tries = 0;
        loop {
            let left = length_of(part);
            if left >= *size {
                // Nothing more can be asked for.
                let _ = std::fs::remove_file(part);
            }
            let resumed = left > 0 && left < *size;
            let reason = match self.get(model) {
                Ok(()) => match check(sha256.as_deref()) {
                    Ok(file) => return Ok(file),
                    Err(wrong) => {
                        remove(&path);
                        // What was left may have been of another file.
                        if !resumed {
                            return Err(wrong);
                        }
                        wrong
                    }
                },
                Err(failure) => {
                    let may_pass = failure.may_pass();
                    let reason = failure.in_words(self.run, self.asked, name);
                    if !may_pass {
                        return Err(reason);
                    }
                    reason
                }
            };
            tries = if length_of(part) > most { 0 } else { tries + 1 };
            most = most.max(length_of(part));
            if tries >= TRIES {
                return Err(reason);
            }
            std::thread::sleep(self.run.options.pause * 2_u32.pow(tries.saturating_sub(1)));
        }
    }

    /// Lets the hub's crate download the file, and watches.
    fn get(&self, model: &Model) -> Result<(), Failure> {
        let name = self.remote.name.clone();
        let transfer = self.run.progress.begin(&format!("{}: {name}", model.name));
        let (sender, receiver) = mpsc::channel();
        let (api, repo) = (self.api.clone(), repo(self.asked, self.commit));
        // The crate knows no limit of time: a thread that hears nothing is left behind.
        std::thread::spawn(move || {
            let told = Told { done: 0, sender: sender.clone() };
            let ended = api.repo(repo).download_with_progress(&name, told);
            // Nobody may be listening any more.
            let _ = sender.send(Event::Ended(ended.map(|_| ())));
        });
        let mut last = None;
        loop {
            match receiver.recv_timeout(self.run.options.stall) {
                Ok(Event::At(done)) => {
                    // The first number is what an earlier fetch left.
                    self.claim.wrote(done.saturating_sub(last.unwrap_or(done)));
                    last = Some(done);
                    transfer.at(done, Some(self.remote.size));
                }
                Ok(Event::Ended(ended)) => return ended.map_err(Failure::Api),
                Err(mpsc::RecvTimeoutError::Timeout) => return Err(Failure::Stalled(self.run.options.stall)),
                Err(mpsc::RecvTimeoutError::Disconnected) => return Err(Failure::Vanished),
            }
        }
    }
}

/// Removes a file of the hub's cache: its name, and its bytes if they are the cache's own.
fn remove(path: &Path) {
    let is_blob = |it: &PathBuf| it.parent().and_then(Path::file_name).is_some_and(|it| it == "blobs");
    if let Some(blob) = path.canonicalize().ok().filter(is_blob) {
        // What stays is found wrong by the next fetch.
        let _ = std::fs::remove_file(blob);
    }
    let _ = std::fs::remove_file(path);
}

/// What the thread of a download tells.
enum Event {
    At(u64),
    Ended(Result<(), ApiError>),
}

/// Counts for the hub's crate.
struct Told {
    done: u64,
    sender: mpsc::Sender<Event>,
}

impl hf_hub::api::Progress for Told {
    fn init(&mut self, _: usize, _: &str) {
        self.done = 0;
    }

    fn update(&mut self, size: usize) {
        self.done += size as u64;
        // Nobody may be listening any more.
        let _ = self.sender.send(Event::At(self.done));
    }

    fn finish(&mut self) {}
}
