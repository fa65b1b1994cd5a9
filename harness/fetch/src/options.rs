//! Options: what a fetch may do, and what it knows of the user.

use std::path::PathBuf;
use std::time::Duration;

/// How to fetch.
#[derive(Clone, Debug)]
pub struct Options {
    /// Downloads nothing.
    pub offline: bool,
    /// The names of the terms that were accepted.
    pub accepted: Vec<String>,
    /// Fetches even what is there, and records a changed hub file anew.
    pub force: bool,
    /// How to reach the hub.
    pub hub: Hub,
    /// The Python whose pip downloads packages.
    pub python: PathBuf,
    /// The most transfers at once.
    pub at_once: usize,
    /// How long a server may say nothing.
    pub stall: Duration,
    /// How long to wait before the second try; the third waits twice as long.
    pub pause: Duration,
}

/// How to reach the hub.
#[derive(Clone, Debug)]
pub struct Hub {
    /// Its address.
    pub endpoint: String,
    /// Who asks.
    pub token: Option<Token>,
    /// Whether it is not to be asked.
    pub offline: bool,
}

/// A secret of the hub: it is never shown.
#[derive(Clone)]
pub struct Token(pub(crate) String);

impl Token {
    /// A token; `None` for a text without one.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Default for Options {
    /// Reads nothing from the environment.
    fn default() -> Self {
        Self {
            offline: false,
            accepted: Vec::new(),
            force: false,
            hub: Hub { endpoint: "https://huggingface.co".to_owned(), token: None, offline: false },
            python: PathBuf::from("python3"),
            at_once: 4,
            stall: Duration::from_mins(1),
            pause: Duration::from_secs(1),
        }
    }
}

impl Options {
    /// As the environment has it: `PROOFMARK_ACCEPT_LICENSE` (names between commas), `HF_TOKEN` or the token that the
    /// hub's own tools stored, `HF_ENDPOINT`, `HF_HUB_OFFLINE`.
    pub fn from_env() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|it| !it.trim().is_empty());
        let mut options = Self::default();
        if let Some(names) = text("PROOFMARK_ACCEPT_LICENSE") {
            options.accepted = names.split(',').map(|it| it.trim().to_owned()).collect();
        }
        if let Some(endpoint) = text("HF_ENDPOINT") {
            endpoint.trim_end_matches('/').clone_into(&mut options.hub.endpoint);
        }
        // The words that the hub's own tools take for yes.
        options.hub.offline = text("HF_HUB_OFFLINE")
            .is_some_and(|it| ["1", "on", "yes", "true"].contains(&it.trim().to_ascii_lowercase().as_str()));
        let stored = || {
            let path = text("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| {
                let home = text("HF_HOME")
                    .map(PathBuf::from)
                    .or_else(|| Some(PathBuf::from(text("HOME")?).join(".cache/huggingface")));
                Some(home?.join("token"))
            })?;
            std::fs::read_to_string(path).ok()
        };
        options.hub.token = text("HF_TOKEN").or_else(stored).as_deref().and_then(Token::new);
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::new(" hf_secret\n");
        assert_eq!(format!("{token:?}"), "Some(Token(…))");
        assert!(Token::new(" \n").is_none());
    }
}
