//! What reading may cost: no more memory than is allowed, and an end.

use std::io::Write as _;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Bytes by which the process may grow while it reads what it refuses.
const MOST: u64 = 100 << 20;
/// Reading that takes so many hundredths of a second of the processor is taken to hang. The clock on the wall says
/// nothing on a machine that does other things, too.
const LONG: u64 = 60 * 100;

/// Does the work, one at a time, with a bound on its memory, as far as the system tells it.
#[track_caller]
pub(super) fn watched<T>(work: impl FnOnce() -> T) -> T {
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (done, waiting) = mpsc::channel::<()>();
    let begin = ticks();
    let watchdog = std::thread::spawn(move || {
        while waiting.recv_timeout(Duration::from_secs(1)) == Err(RecvTimeoutError::Timeout) {
            if ticks().zip(begin).is_some_and(|(now, begin)| now - begin > LONG) {
                let _ = writeln!(std::io::stderr(), "reading a file does not end");
                std::process::abort();
            }
        }
    });
    // Takes the peak back to what the process has now.
    let reset = std::fs::write("/proc/self/clear_refs", "5").is_ok();
    let before = bytes("VmRSS:");
    let value = work();
    let peak = bytes("VmHWM:");
    drop(done);
    watchdog.join().unwrap();
    if let (true, Some(before), Some(peak)) = (reset, before, peak) {
        let grown = peak.saturating_sub(before);
        assert!(grown < MOST, "the process grew by {} MB", grown >> 20);
    }
    value
}

/// A value of this process's status, in bytes.
fn bytes(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|it| it.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// Time of the processor that this process took, in hundredths of a second.
fn ticks() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The name, which may hold anything, ends in a bracket; user and system time are the 12th and 13th after it.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
}

#[test]
fn memory_is_counted() {
    if std::fs::write("/proc/self/clear_refs", "5").is_err() {
        return;
    }
    let grown = std::panic::catch_unwind(|| watched(|| std::hint::black_box(vec![1_u8; 150 << 20]).len()));
    assert!(grown.is_err(), "150 MB went unseen");
}
