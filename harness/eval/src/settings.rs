//! Settings: what the environment says. One table for the code, the README and the messages.

use std::path::PathBuf;

use crate::gate::Gate;
use crate::yaml::nearest;

/// The variables that are read, with what they mean.
pub const VARIABLES: [(&str, &str); 17] = [
    ("PROOFMARK_MODELS", "the file of models; `models.yaml` unless set"),
    ("PROOFMARK_CASES", "the folder of cases; `cases` unless set"),
    ("PROOFMARK_GOLDEN", "the folder of goldens; `golden` beside the cases unless set"),
    ("PROOFMARK_STORE", "the file that runs are stored in; `.proofmark/runs.db` unless set"),
    ("PROOFMARK_CACHE", "the folder of fetched files; `$XDG_CACHE_HOME/proofmark` unless set"),
    (
        "PROOFMARK_GATE",
        "`golden`: not below what was accepted (the default); `absolute`: every threshold; `strict`: also the same text, and no verdict that cannot tell",
    ),
    ("PROOFMARK_RESUME", "1: go on with the newest run that did not end"),
    (
        "PROOFMARK_SEED",
        "a whole number from 0: the seed of generated cases in place of each suite's own, for fresh ones",
    ),
    ("PROOFMARK_TAGS", "only cases with one of these tags, separated by commas"),
    (
        "PROOFMARK_SUITES",
        "only these suites, or folders of them, separated by commas; also such as are left out unless named: `published/gsm8k`",
    ),
    ("PROOFMARK_LIMIT", "only the first so many documents of each data set"),
    ("PROOFMARK_ACCEPT_LICENSE", "terms that are accepted for fetching, separated by commas: `gemma`"),
    ("PROOFMARK_OFFLINE", "1: `cargo xtask fetch` uses no network"),
    (
        "PROOFMARK_CPU",
        "`portable`, `avx2` or `avx512`: the instructions that models are computed with; the widest there are unless set",
    ),
    (
        "PROOFMARK_DEVICE",
        "`cpu` or `cuda`: what models are computed on; the CPU unless set. `cuda` needs a build with `--features cuda`",
    ),
    ("PROOFMARK_BENCH", "`short`: `cargo bench` measures less, for a first look"),
    ("PROOFMARK_PEERS", "a folder of llama.cpp's tools, which `cargo bench --bench generate` compares with"),
];

/// Words of `PROOFMARK_CPU`.
const CPUS: [&str; 3] = ["portable", "avx2", "avx512"];

/// Words of `PROOFMARK_DEVICE`.
const DEVICES: [&str; 2] = ["cpu", "cuda"];

/// What the environment says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file of models.
    pub models: PathBuf,
    /// The folder of cases.
    pub cases: PathBuf,
    /// The folder of goldens.
    pub golden: PathBuf,
    /// The file that runs are stored in.
    pub store: PathBuf,
    /// What has to hold for a trial to pass.
    pub gate: Gate,
    /// Whether to go on with the newest run that did not end.
    pub resume: bool,
    /// The seed of generated cases in place of each suite's own.
    pub seed: Option<u64>,
    /// Only cases with one of these tags; all if empty.
    pub tags: Vec<String>,
    /// Only these suites, or folders of them; all that are asked by default if empty.
    pub suites: Vec<String>,
    /// Only the first so many documents of each data set.
    pub limit: Option<usize>,
    /// Whether fetching may use the network.
    pub offline: bool,
    /// Terms that are accepted for fetching.
    pub accepted: Vec<String>,
}

impl Settings {
    /// Reads the environment; what is wrong is a message for the user.
    pub fn from_env() -> Result<Self, String> {
        let mut variables = Vec::new();
        for (name, value) in std::env::vars_os() {
            // Of names that are no text, none is ours.
            let Ok(name) = name.into_string() else { continue };
            match value.into_string() {
                Ok(value) => variables.push((name, value)),
                Err(_) if name.starts_with("PROOFMARK_") => return Err(format!("{name} is not UTF-8")),
                Err(_) => {}
            }
        }
        Self::read(variables)
    }

    /// Reads variables.
    pub fn read(variables: impl IntoIterator<Item = (String, String)>) -> Result<Self, String> {
        let names = || VARIABLES.iter().map(|(name, _)| *name);
        let mut found = std::collections::HashMap::new();
        for (name, value) in variables {
            if !name.starts_with("PROOFMARK_") || value.is_empty() {
                continue;
            }
            if !names().any(|it| it == name) {
                return Err(match nearest(&name, names()) {
                    Some(meant) => format!("unknown variable {name}: did you mean {meant}?"),
                    None => format!(
                        "unknown variable {name}: known are {}",
                        names().collect::<Vec<_>>().join(", ")
                    ),
                });
            }
            found.insert(name, value);
        }
        let path = |name: &str, default: &str| PathBuf::from(found.get(name).map_or(default, String::as_str));
        let flag = |name: &str| match found.get(name).map(String::as_str) {
            None | Some("0") => Ok(false),
            Some("1") => Ok(true),
            Some(other) => Err(format!("{name} is 0 or 1, not `{other}`")),
        };
        let words = |name: &str| {
            let list = found.get(name).map(String::as_str).unwrap_or_default();
            list.split(',').map(|it| it.trim().to_owned()).filter(|it| !it.is_empty()).collect()
        };
        let cases = path("PROOFMARK_CASES", "cases");
        let beside = cases.parent().map_or_else(|| PathBuf::from("golden"), |it| it.join("golden"));
        if let Some(word) = found.get("PROOFMARK_CPU").filter(|it| !CPUS.contains(&it.as_str())) {
            return Err(format!("PROOFMARK_CPU is one of {}, not `{word}`", CPUS.join(", ")));
        }
        if let Some(word) = found.get("PROOFMARK_DEVICE").filter(|it| !DEVICES.contains(&it.as_str())) {
            return Err(format!("PROOFMARK_DEVICE is one of {}, not `{word}`", DEVICES.join(", ")));
        }
        let limit = match found.get("PROOFMARK_LIMIT").map(|it| (it, it.parse::<usize>())) {
            None => None,
            Some((_, Ok(limit))) if limit > 0 => Some(limit),
            Some((word, _)) => {
                return Err(format!("PROOFMARK_LIMIT is a whole number above 0, not `{word}`"));
            }
        };
        let gate = match found.get("PROOFMARK_GATE") {
            None => Gate::default(),
            Some(word) => Gate::named(word).ok_or_else(|| {
                format!("PROOFMARK_GATE is one of {}, not `{word}`", Gate::WORDS.join(", "))
            })?,
        };
        let seed = match found.get("PROOFMARK_SEED").map(|it| (it, it.parse())) {
            None => None,
            Some((_, Ok(seed))) => Some(seed),
            Some((word, Err(_))) => {
                return Err(format!("PROOFMARK_SEED is a whole number from 0 to 2^64 - 1, not `{word}`"));
            }
        };
        Ok(Self {
            seed,
            models: path("PROOFMARK_MODELS", "models.yaml"),
            golden: found.get("PROOFMARK_GOLDEN").map_or(beside, PathBuf::from),
            cases,
            store: path("PROOFMARK_STORE", ".proofmark/runs.db"),
            gate,
            resume: flag("PROOFMARK_RESUME")?,
            tags: words("PROOFMARK_TAGS"),
            suites: words("PROOFMARK_SUITES"),
            limit,
            offline: flag("PROOFMARK_OFFLINE")?,
            accepted: words("PROOFMARK_ACCEPT_LICENSE"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(variables: &[(&str, &str)], message: Option<&str>) {
        let read = Settings::read(variables.iter().map(|(name, value)| ((*name).into(), (*value).into())));
        assert_eq!(read.err().as_deref(), message);
    }

    #[test]
    fn mistakes_in_the_environment() {
        check(&[], None);
        check(&[("HOME", "/root"), ("PROOFMARK_RESUME", "1"), ("PROOFMARK_GATE", "strict")], None);
        check(
            &[("PROOFMARK_GATES", "strict")],
            Some("unknown variable PROOFMARK_GATES: did you mean PROOFMARK_GATE?"),
        );
        check(
            &[("PROOFMARK_GATE", "soft")],
            Some("PROOFMARK_GATE is one of golden, absolute, strict, not `soft`"),
        );
        check(&[("PROOFMARK_DEVICE", "gpu")], Some("PROOFMARK_DEVICE is one of cpu, cuda, not `gpu`"));
        check(&[("PROOFMARK_SEED", "7")], None);
        check(
            &[("PROOFMARK_SEED", "-7")],
            Some("PROOFMARK_SEED is a whole number from 0 to 2^64 - 1, not `-7`"),
        );
        check(&[("PROOFMARK_RESUME", "yes")], Some("PROOFMARK_RESUME is 0 or 1, not `yes`"));
    }

    #[test]
    fn goldens_lie_beside_the_cases() {
        let read = |it: &str| Settings::read([("PROOFMARK_CASES".to_owned(), it.to_owned())]).unwrap().golden;
        assert_eq!(read("/elsewhere/cases"), PathBuf::from("/elsewhere/golden"));
        assert_eq!(Settings::read([]).unwrap().golden, PathBuf::from("golden"));
    }
}
