//! Which faults of clients are worth a line in the log: one for each software and reason, however often the client tries
//! again.
//!
//! An old client that meets a version which is not served connects again at once, for hours. Its first fault is told; the
//! next line about it comes when a period is over, and says how many were left out.

use model::Monotonic;
use parking_lot::Mutex;
use std::collections::HashMap;

/// How long a fault that was told is not told again.
const PERIOD_MS: u64 = 10 * 60 * 1000;
/// Faults that are told apart within a period; what comes beyond them is not told.
const COMPLAINTS_MAX: usize = 64;

/// Who did what.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Complaint {
    /// The client's software, or its client id where it does not name one; empty where neither is known.
    pub client: String,
    /// What is wrong.
    pub reason: String,
}

/// The faults that were told, and how often each came again since.
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
    /// Whether to tell of this fault: how often it was left out since it was last told; `None` where it is left out.
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
    fn a_client_that_tries_again_is_told_of_once_in_a_period() {
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
    fn no_more_than_so_many_are_told_in_a_period() {
        let complaints = Complaints::default();
        let told = (0..1000).filter_map(|client| admit(&complaints, &client.to_string(), "", 0)).count();
        assert_eq!(told, COMPLAINTS_MAX);
        assert_eq!(admit(&complaints, "1000", "", PERIOD_MS - 1), None);
        assert_eq!(admit(&complaints, "1000", "", PERIOD_MS), Some(0));
        assert_eq!(complaints.told.lock().len(), 1);
    }
}
