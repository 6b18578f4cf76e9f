//! The effect of each signal on a running node; see
//! `docs/decisions/2026-11-30-printing-and-signals.md`.
//!
//! [`SIGNALS`] has every signal whose default ends the process, except those that cannot be caught
//! and those that report a fault of the process itself (SIGSEGV, SIGABRT, ...). SIGPIPE is not
//! included: Rust ignores it at the start of every process.

use std::fs;
use std::io;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{info, warn};

/// The effect of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    /// Stops the node cleanly, unless the signal was already ignored when the process started, as
    /// SIGHUP is with `nohup`.
    Stop,
    /// Logs the state of the node.
    Report,
    /// Does nothing: the failed system call reports an error itself.
    Nothing,
    /// Only logs a line.
    Ignored,
}

/// The numbers are those of Linux on x86-64 and ARM, as everywhere in this file.
const SIGNALS: &[(i32, &str, Effect)] = &[
    (1, "SIGHUP", Effect::Stop),
    (2, "SIGINT", Effect::Stop),
    (15, "SIGTERM", Effect::Stop),
    // SIGXCPU: the soft limit of CPU time (`ulimit -t`); SIGKILL follows at the hard limit. SIGPWR:
    // a power failure.
    (24, "SIGXCPU", Effect::Stop),
    (30, "SIGPWR", Effect::Stop),
    // The JVM prints its threads.
    (3, "SIGQUIT", Effect::Report),
    // The limit of a file's size (`ulimit -f`): the write fails with EFBIG.
    (25, "SIGXFSZ", Effect::Nothing),
    (10, "SIGUSR1", Effect::Ignored),
    (12, "SIGUSR2", Effect::Ignored),
    (14, "SIGALRM", Effect::Ignored),
    (16, "SIGSTKFLT", Effect::Ignored),
    (26, "SIGVTALRM", Effect::Ignored),
    (27, "SIGPROF", Effect::Ignored),
    (29, "SIGIO", Effect::Ignored),
];
/// The real-time signals that programs may use. The C library reserves the first two.
const REAL_TIME: std::ops::RangeInclusive<i32> = 34..=64;

/// The maximum number of pending signals. Further ones are dropped, as the system does.
const WAITING_MAX: usize = 16;

/// The signals of this process. Must be created and used on a tokio runtime.
pub(super) struct Signals {
    came: mpsc::Receiver<(&'static str, Effect)>,
}

impl Signals {
    /// Starts to catch the signals. Errors: the system refuses.
    pub(super) fn catch() -> io::Result<Self> {
        let (tell, came) = mpsc::channel(WAITING_MAX);
        let ignored = ignored_at_start();
        let real_time = REAL_TIME.map(|number| (number, "a real-time signal", Effect::Ignored));
        for (number, name, effect) in SIGNALS.iter().copied().chain(real_time) {
            if ignored & mask(number) != 0 {
                continue;
            }
            let mut signals = signal(SignalKind::from_raw(number))?;
            let tell = tell.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    // The send fails once the node stops, because signals are then no longer
                    // received.
                    let _ = tell.try_send((name, effect));
                }
            });
        }
        Ok(Self { came })
    }

    /// Waits until a signal requests a stop, and returns its name. Other signals are handled
    /// meanwhile; `report` logs the state of the node.
    pub(super) async fn stop(&mut self, report: impl Fn()) -> &'static str {
        loop {
            match self.came.recv().await {
                Some((name, Effect::Stop)) => return name,
                Some((_, Effect::Report)) => report(),
                Some((_, Effect::Nothing)) => {
                    warn!("a write failed: the file is at the size limit of this process (ulimit -f)")
                }
                Some((name, Effect::Ignored)) => info!("{name} is ignored; SIGTERM stops this node"),
                // The tasks live as long as the runtime.
                None => std::future::pending().await,
            }
        }
    }
}

fn mask(number: i32) -> u64 {
    u32::try_from(number - 1).ok().and_then(|shift| 1_u64.checked_shl(shift)).unwrap_or(0)
}

/// Returns the signals that were ignored when this process started, one bit each; 0 if the system
/// does not say.
fn ignored_at_start() -> u64 {
    fs::read_to_string("/proc/self/status").map_or(0, |status| ignored_in(&status))
}

fn ignored_in(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_signal_that_ends_a_process_by_default_has_its_effect() {
        // Signals that a process cannot survive, or that report a broken process: KILL; ILL, TRAP,
        // ABRT, BUS, FPE, SEGV, SYS.
        let fatal = [9, 4, 5, 6, 7, 8, 11, 31];
        // Ignored by Rust: PIPE. Ignored by default: CHLD, CONT, URG, WINCH. Stopped until SIGCONT:
        // STOP, TSTP, TTIN, TTOU.
        let others = [13, 17, 18, 23, 28, 19, 20, 21, 22];
        let listed: BTreeSet<i32> = SIGNALS.iter().map(|(number, ..)| *number).collect();
        assert_eq!(listed.len(), SIGNALS.len());
        let all: BTreeSet<i32> = listed.iter().copied().chain(fatal).chain(others).collect();
        assert_eq!(all, (1..=31).collect());
    }

    #[test]
    fn the_signals_ignored_at_the_start_are_read() {
        let status = "Name:\tgregor\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001003\nSigCgt:\t0000000000000000\n";
        let ignored = ignored_in(status);
        assert_eq!([1, 2, 3, 13].map(|number| ignored & mask(number) != 0), [true, true, false, true]);
        assert_eq!(ignored_in("Name: x"), 0);
        assert_eq!(mask(64), 1 << 63);
    }
}
