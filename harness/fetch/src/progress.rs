//! Progress: what people see while files come.

use std::io::{IsTerminal as _, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use eval::weights::bytes;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shows how far a fetch is. Many threads tell it.
pub trait Progress: Send + Sync {
    /// Begins to show a transfer, which ends when what is returned is dropped.
    fn begin(&self, what: &str) -> Box<dyn Transfer>;

    /// Shows a line.
    fn say(&self, line: &str);
}

/// Something whose bytes are counted.
pub trait Transfer: Send + Sync {
    /// So many bytes are done, of so many where that is known.
    fn at(&self, done: u64, total: Option<u64>);
}

/// Bars on a terminal; elsewhere, as in CI, a line now and then.
pub fn bars() -> Box<dyn Progress> {
    if std::io::stderr().is_terminal() && std::env::var_os("CI").is_none() {
        Box::new(Bars(MultiProgress::new()))
    } else {
        Box::new(Lines)
    }
}

/// Nothing at all.
pub fn silent() -> Box<dyn Progress> {
    Box::new(Silent)
}

struct Silent;

impl Progress for Silent {
    fn begin(&self, _: &str) -> Box<dyn Transfer> {
        Box::new(Silent)
    }

    fn say(&self, _: &str) {}
}

impl Transfer for Silent {
    fn at(&self, _: u64, _: Option<u64>) {}
}

struct Bars(MultiProgress);

struct Bar {
    bar: ProgressBar,
    begun: AtomicBool,
}

impl Progress for Bars {
    fn begin(&self, what: &str) -> Box<dyn Transfer> {
        let bar = self.0.add(ProgressBar::no_length().with_message(what.to_owned()));
        bar.set_style(style("{spinner} {msg}  {bytes}  {bytes_per_sec}  {elapsed}"));
        bar.enable_steady_tick(Duration::from_millis(120));
        Box::new(Bar { bar, begun: AtomicBool::new(false) })
    }

    fn say(&self, line: &str) {
        // A terminal that went away is no reason to stop.
        let _ = self.0.println(line);
    }
}

impl Transfer for Bar {
    fn at(&self, done: u64, total: Option<u64>) {
        if let Some(total) = total
            && self.bar.length() != Some(total)
        {
            self.bar.set_length(total);
            self.bar.set_style(style(
                "{spinner} {msg}  {bar:24}  {bytes} of {total_bytes}  {bytes_per_sec}  {eta} left",
            ));
        }
        self.bar.set_position(done);
        // What an earlier fetch left does not count towards the rate.
        if !self.begun.swap(true, Ordering::Relaxed) {
            self.bar.reset_eta();
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the templates above are well formed")
}

struct Lines;

struct Line {
    what: String,
    /// Draws nothing: it keeps the rate and the time.
    bar: ProgressBar,
    said: Mutex<Option<Said>>,
}

/// What the last line told, and when.
#[derive(Clone, Copy)]
struct Said {
    tenths: u64,
    at: Duration,
}

impl Progress for Lines {
    fn begin(&self, what: &str) -> Box<dyn Transfer> {
        self.say(what);
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        Box::new(Line { what: what.to_owned(), bar, said: Mutex::new(None) })
    }

    fn say(&self, line: &str) {
        // A log that went away is no reason to stop.
        let _ = writeln!(std::io::stderr().lock(), "{line}");
    }
}

impl Transfer for Line {
    fn at(&self, done: u64, total: Option<u64>) {
        self.bar.set_position(done);
        if let Some(total) = total {
            self.bar.set_length(total);
        }
        let now = self.bar.elapsed();
        let tenths = total.filter(|it| *it > 0).map_or(0, |it| done.saturating_mul(10) / it);
        let mut said = self.said.lock().expect("no thread panics while it tells");
        let Some(last) = *said else {
            self.bar.reset_eta();
            *said = Some(Said { tenths, at: now });
            return;
        };
        if !is_due(last, Said { tenths, at: now }) {
            return;
        }
        *said = Some(Said { tenths, at: now });
        // Cut to whole bytes and seconds: these are for people.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate is small and positive"
        )]
        let rate = self.bar.per_sec() as u64;
        let of = total.map(|it| format!(" of {}", bytes(it))).unwrap_or_default();
        let left = total.map(|_| format!(", {} s left", self.bar.eta().as_secs())).unwrap_or_default();
        Lines.say(&format!("{}: {}{of}, {}/s{left}", self.what, bytes(done), bytes(rate)));
    }
}

/// A line for each tenth, none sooner than two seconds after another; a slow one shows every half minute that it
/// lives.
fn is_due(last: Said, now: Said) -> bool {
    let since = now.at.saturating_sub(last.at);
    since >= Duration::from_secs(30) || (since >= Duration::from_secs(2) && now.tenths > last.tenths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_few() {
        let check = |since: u64, tenths: u64, due: bool| {
            let last = Said { tenths: 3, at: Duration::from_secs(5) };
            let now = Said { tenths, at: Duration::from_secs(5 + since) };
            assert_eq!(is_due(last, now), due, "{since} s, {tenths} tenths");
        };
        check(1, 9, false);
        check(2, 3, false);
        check(2, 4, true);
        check(29, 3, false);
        check(30, 3, true);
    }

    #[test]
    fn each_kind_takes_what_it_is_told() {
        let hidden = MultiProgress::with_draw_target(ProgressDrawTarget::hidden());
        for progress in [silent(), Box::new(Bars(hidden)) as Box<dyn Progress>] {
            let transfer = progress.begin("a file");
            transfer.at(10, None);
            transfer.at(50, Some(100));
            transfer.at(100, Some(100));
        }
    }
}
