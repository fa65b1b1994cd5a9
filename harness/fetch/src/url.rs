//! Addresses: one file over HTTP, which goes on where an interruption left it.

use std::io::Read as _;
use std::path::Path;
use std::time::Duration;

use eval::model::Model;
use ureq::Agent;
use ureq::http::Response;

use crate::Run;
use crate::error::SourceError;
use crate::place::{CHUNK, Partial, Wanted};
use crate::space::Claim;

/// Tries without a new byte before giving up.
pub(crate) const TRIES: u32 = 3;

/// Fetches a model's file to its place.
pub(crate) fn fetch(
    run: &Run<'_>,
    model: &Model,
    url: &str,
    to: &Path,
    wanted: Wanted<'_>,
) -> Result<(), SourceError> {
    let _slot = run.slots.take();
    let mut partial = Partial::open(run.partial(model, "url"))?;
    let resumed = partial.length() > 0;
    let mut download = Download { run, model, agent: agent(run.options.stall), url, wanted, claim: None };
    download.complete(&mut partial)?;
    if resumed && wanted.check(&partial.sha256(), partial.length()).is_err() {
        // What was left may have been of another file: only bytes that all came now speak against the source.
        partial.restart()?;
        download.complete(&mut partial)?;
    }
    partial.place(wanted, to)
}

fn agent(stall: Duration) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        // A compressed answer has another length than the file, and no ranges.
        .accept_encoding("identity")
        .timeout_resolve(Some(stall))
        .timeout_connect(Some(stall))
        .timeout_recv_response(Some(stall))
        .timeout_per_read(Some(stall))
        .build()
        .into()
}

struct Download<'a> {
    run: &'a Run<'a>,
    model: &'a Model,
    agent: Agent,
    url: &'a str,
    wanted: Wanted<'a>,
    claim: Option<Claim<'a>>,
}

/// How one request ended.
enum Outcome {
    Complete,
    /// Asking again may help.
    Broken(SourceError),
}

impl Download<'_> {
    /// Asks until all bytes are there, or until asking again brings none.
    fn complete(&mut self, partial: &mut Partial) -> Result<(), SourceError> {
        let transfer = self.run.progress.begin(&format!("{}: {}", self.model.name, self.url));
        let mut most = partial.length();
        let mut tries = 0;
        loop {
            let broken = match self.ask(partial, transfer.as_ref())? {
                Outcome::Complete => return Ok(()),
                Outcome::Broken(reason) => reason,
            };
            tries = if partial.length() > most { 0 } else { tries + 1 };
            most = most.max(partial.length());
            if tries >= TRIES {
                return Err(broken);
            }
            std::thread::sleep(self.run.options.pause * 2_u32.pow(tries.saturating_sub(1)));
        }
    }

    /// Asks once for the bytes that are not there.
    fn ask(&mut self, partial: &mut Partial, transfer: &dyn crate::Transfer) -> Result<Outcome, SourceError> {
        match self.wanted.size {
            Some(size) if partial.length() == size => return Ok(Outcome::Complete),
            Some(size) if partial.length() > size => partial.restart()?,
            _ => {}
        }
        let mut request = self.agent.get(self.url);
        if partial.length() > 0 {
            request = request.header("Range", format!("bytes={}-", partial.length()));
        }
        let response = match request.call() {
            Ok(response) => response,
            Err(error) => return broken_or_hopeless(&error),
        };
        let status = response.status().as_u16();
        match status {
            206 if first_of(&response) == Some(partial.length()) => {}
            // Other bytes than those asked for: the next request asks for all.
            206 if partial.length() > 0 => {
                partial.restart()?;
                return Ok(Outcome::Broken(SourceError::Network(
                    "the server sent another range than the one asked for".to_owned(),
                )));
            }
            // The server has no ranges: it sends all.
            200 => partial.restart()?,
            416 if partial.length() > 0 => {
                if self.wanted.check(&partial.sha256(), partial.length()).is_ok() {
                    return Ok(Outcome::Complete);
                }
                partial.restart()?;
                return Ok(Outcome::Broken(SourceError::Status { status }));
            }
            408 | 425 | 429 | 500..=599 => return Ok(Outcome::Broken(SourceError::Status { status })),
            _ => return Err(SourceError::Status { status }),
        }
        let rest = response.body().content_length();
        let total = rest.map(|it| partial.length() + it);
        if let (Some(wanted), Some(found)) = (self.wanted.size, total)
            && wanted != found
        {
            return Err(SourceError::WrongSize { wanted, found });
        }
        let total = total.or(self.wanted.size);
        if self.claim.is_none()
            && let Some(total) = total
        {
            self.claim = Some(self.run.room.claim(total - partial.length())?);
        }
        transfer.at(partial.length(), total);
        self.copy(response, partial, total, transfer)
    }

    fn copy(
        &self,
        response: Response<ureq::Body>,
        partial: &mut Partial,
        total: Option<u64>,
        transfer: &dyn crate::Transfer,
    ) -> Result<Outcome, SourceError> {
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) => {
                    let done = partial.length();
                    let reason = format!("the connection broke after {done} bytes ({error})");
                    return Ok(Outcome::Broken(SourceError::Network(reason)));
                }
            };
            let found = partial.length() + count as u64;
            if let Some(wanted) = total
                && found > wanted
            {
                partial.restart()?;
                return Err(SourceError::WrongSize { wanted, found });
            }
            partial.write(&buffer[..count])?;
            if let Some(claim) = &self.claim {
                claim.wrote(count as u64);
            }
            transfer.at(partial.length(), total);
        }
        match total {
            Some(total) if partial.length() < total => {
                let reason = format!("the server stopped after {} of {total} bytes", partial.length());
                Ok(Outcome::Broken(SourceError::Network(reason)))
            }
            _ => Ok(Outcome::Complete),
        }
    }
}

/// Whether the same request may work a moment later.
fn broken_or_hopeless(error: &ureq::Error) -> Result<Outcome, SourceError> {
    let reason = SourceError::Network(error.to_string());
    match error {
        ureq::Error::Io(_)
        | ureq::Error::Timeout(_)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::ConnectProxyFailed(_)
        | ureq::Error::Protocol(_) => Ok(Outcome::Broken(reason)),
        _ => Err(reason),
    }
}

/// The first byte of the range that came: `bytes 5-9/10`.
fn first_of(response: &Response<ureq::Body>) -> Option<u64> {
    let range = response.headers().get("content-range")?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}
