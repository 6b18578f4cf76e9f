//! Decides which client faults are logged: one per client software and reason, no matter how often
//! the client retries.
//!
//! An old client that meets an unsupported version reconnects at once, for hours. Its first fault
//! is logged. The next line about it follows after a period and gives the number of faults that
//! were suppressed.

use model::Monotonic;
use parking_lot::Mutex;
use std::collections::HashMap;

/// How long a logged fault is suppressed.
const PERIOD_MS: u64 = 10 * 60 * 1000;
/// The maximum number of distinct faults in a period. Faults beyond it are not logged.
const COMPLAINTS_MAX: usize = 64;

/// A fault, and the client that caused it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Complaint {
    /// The client's software name, or its client id if it sends no name; empty if neither is known.
    pub client: String,
    /// What is wrong.
    pub reason: String,
}

/// The logged faults, and how often each occurred again.
#[derive(Debug, Default)]
pub struct Complaints {
    told: Mutex<HashMap<Complaint, Told>>,
}

#[derive(Debug)]
struct Told {
    at: Monotonic,
    left_out: u64,
}

impl Complaints {
    /// Decides whether this fault is logged. If so, returns how many were suppressed since the last
    /// line; otherwise `None`.
    pub fn admit(&self, complaint: Complaint, now: Monotonic) -> Option<u64> {
        let mut told = self.told.lock();
        if let Some(known) = told.get_mut(&complaint) {
            if now.ms_since(known.at) < PERIOD_MS {
                known.left_out += 1;
                return None;
            }
            known.at = now;
            return Some(std::mem::take(&mut known.left_out));
        }
        if told.len() >= COMPLAINTS_MAX {
            told.retain(|_, known| now.ms_since(known.at) < PERIOD_MS);
        }
        if told.len() >= COMPLAINTS_MAX {
            return None;
        }
        told.insert(complaint, Told { at: now, left_out: 0 });
        Some(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admit(complaints: &Complaints, client: &str, reason: &str, now: u64) -> Option<u64> {
        complaints.admit(Complaint { client: client.into(), reason: reason.into() }, Monotonic(now))
    }

    #[test]
    fn a_client_that_retries_is_logged_once_per_period() {
        let complaints = Complaints::default();
        assert_eq!(admit(&complaints, "old 1", "version 0", 5), Some(0));
        assert_eq!(admit(&complaints, "old 1", "version 0", 6), None);
        assert_eq!(admit(&complaints, "old 1", "version 0", PERIOD_MS + 4), None);
        assert_eq!(admit(&complaints, "old 2", "version 0", 7), Some(0));
        assert_eq!(admit(&complaints, "old 1", "version 1", 7), Some(0));
        assert_eq!(admit(&complaints, "old 1", "version 0", PERIOD_MS + 5), Some(2));
        assert_eq!(admit(&complaints, "old 1", "version 0", PERIOD_MS + 6), None);
    }

    #[test]
    fn the_faults_logged_in_a_period_are_limited() {
        let complaints = Complaints::default();
        let told = (0..1000).filter_map(|client| admit(&complaints, &client.to_string(), "", 0)).count();
        assert_eq!(told, COMPLAINTS_MAX);
        assert_eq!(admit(&complaints, "1000", "", PERIOD_MS - 1), None);
        assert_eq!(admit(&complaints, "1000", "", PERIOD_MS), Some(0));
        assert_eq!(complaints.told.lock().len(), 1);
    }
}
