//! Failures of the hub's crate: which may pass, and what they mean.

use std::sync::mpsc;
use std::time::Duration;

use hf_hub::api::sync::ApiError;

use crate::Run;
use crate::error::SourceError;
use crate::hub::Asked;
use crate::url::TRIES;

/// Why the hub's crate gave nothing.
pub(crate) enum Failure {
    Api(ApiError),
    /// Nothing was heard for so long.
    Stalled(Duration),
    /// Its thread panicked.
    Vanished,
}

/// Waits for an answer, but not for ever: the crate knows no limit of time.
pub(crate) fn within<T: Send + 'static>(
    limit: Duration,
    ask: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, Failure> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        // Nobody may be listening any more.
        let _ = sender.send(ask());
    });
    match receiver.recv_timeout(limit) {
        Ok(answer) => answer.map_err(Failure::Api),
        Err(mpsc::RecvTimeoutError::Timeout) => Err(Failure::Stalled(limit)),
        Err(mpsc::RecvTimeoutError::Disconnected) => Err(Failure::Vanished),
    }
}

/// Asks again while that may help.
pub(crate) fn again<T>(run: &Run<'_>, ask: impl Fn() -> Result<T, Failure>) -> Result<T, Failure> {
    let mut tries = 1;
    loop {
        match ask() {
            Err(failure) if failure.may_pass() && tries < TRIES => {
                std::thread::sleep(run.options.pause * 2_u32.pow(tries - 1));
                tries += 1;
            }
            answer => return answer,
        }
    }
}

impl Failure {
    /// Whether the same request may work a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Api(ApiError::RequestError(error)) => match **error {
                ureq::Error::StatusCode(status) => matches!(status, 408 | 425 | 429 | 500..=599),
                ureq::Error::Io(_)
                | ureq::Error::Timeout(_)
                | ureq::Error::HostNotFound
                | ureq::Error::ConnectionFailed
                | ureq::Error::ConnectProxyFailed(_)
                | ureq::Error::Protocol(_) => true,
                _ => false,
            },
            Self::Api(ApiError::IoError(error)) => !is_of_disk(error),
            Self::Api(ApiError::InvalidResume) => true,
            Self::Api(_) | Self::Stalled(_) | Self::Vanished => false,
        }
    }

    pub(crate) fn in_words(self, run: &Run<'_>, asked: &Asked<'_>, what: &str) -> SourceError {
        match self {
            Self::Api(ApiError::RequestError(error)) => match *error {
                ureq::Error::StatusCode(status @ (401 | 403)) => SourceError::Gated {
                    status,
                    endpoint: run.options.hub.endpoint.clone(),
                    repo: asked.repo.to_owned(),
                },
                ureq::Error::StatusCode(404) => SourceError::NotOnHub { what: what.to_owned() },
                ureq::Error::StatusCode(status) => SourceError::Status { status },
                other => SourceError::Network(other.to_string()),
            },
            Self::Api(ApiError::IoError(error)) if is_of_disk(&error) => {
                SourceError::io(run.cache.hub(), error)
            }
            Self::Api(ApiError::IoError(error)) => {
                SourceError::Network(format!("the connection to the hub broke ({error})"))
            }
            Self::Api(ApiError::LockAcquisition(path)) => SourceError::Hub(format!(
                "another program downloads {what} into the hub's cache ({}): run it again later",
                path.display()
            )),
            Self::Api(other) => SourceError::Hub(format!("the hub's answer for {what} is odd: {other}")),
            Self::Stalled(limit) => {
                SourceError::Network(format!("the hub said nothing for {} s", limit.as_secs_f64()))
            }
            Self::Vanished => SourceError::Hub(format!("the hub's crate gave up on {what}")),
        }
    }
}

/// Whether an error is the file system's: the hub's crate does not tell it from the network's.
fn is_of_disk(error: &std::io::Error) -> bool {
    use std::io::ErrorKind;

    matches!(
        error.kind(),
        ErrorKind::StorageFull
            | ErrorKind::QuotaExceeded
            | ErrorKind::ReadOnlyFilesystem
            | ErrorKind::PermissionDenied
            | ErrorKind::NotFound
            | ErrorKind::AlreadyExists
            | ErrorKind::NotADirectory
            | ErrorKind::IsADirectory
    )
}
