//! Which transactions are being verified with their coordinator (KIP-890).
//!
//! A batch that opens a transaction in this log must belong to a transaction that its coordinator
//! knows; else no marker would ever end it, and the last stable offset would stay there. The leader
//! takes a guard, asks the coordinator, and appends with the guard. A marker that is written
//! meanwhile removes the guard, so a batch that comes too late cannot open the transaction again.
//! After a failed verification the state remains: it holds back batches with higher sequences until
//! the lowest one was written.
//!
//! The state is soft: it is in no snapshot, and no follower has it.

use model::{ProducerEpoch, ProducerId, Timestamp, VerificationGuard};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

/// The most transactions of one log that are verified at once. Beyond it the oldest verification is
/// forgotten, so the append that waits for it is refused.
pub const VERIFICATIONS_MAX: usize = 65_536;

/// A transactional batch that waits for its verification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerificationStart {
    /// The producer.
    pub producer_id: ProducerId,
    /// The producer's epoch.
    pub epoch: ProducerEpoch,
    /// The sequence of the batch's first record; -1 for a batch of a coordinator, which has none.
    pub base_sequence: i32,
    /// Whether the client bumps its epoch with every transaction (`transaction.version` 2).
    pub supports_epoch_bump: bool,
    /// The time.
    pub now: Timestamp,
}

/// The verification of a producer's next transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verification {
    pub(crate) guard: VerificationGuard,
    pub(crate) supports_epoch_bump: bool,
    /// The lowest sequence that was to be verified in `epoch`.
    pub(crate) lowest_sequence: i32,
    pub(crate) epoch: ProducerEpoch,
    began: Timestamp,
}

/// The verifications of one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Verifications {
    states: HashMap<ProducerId, Verification>,
    /// Their producers, oldest verification first.
    by_age: BTreeMap<VerificationGuard, ProducerId>,
}

impl Verifications {
    pub(crate) fn get(&self, id: ProducerId) -> Option<&Verification> {
        self.states.get(&id)
    }

    /// Returns the guard of the producer's verification, which begins now unless it has begun.
    pub(crate) fn begin(&mut self, start: &VerificationStart) -> VerificationGuard {
        if let Some(known) = self.states.get_mut(&start.producer_id) {
            if start.epoch > known.epoch {
                (known.epoch, known.lowest_sequence) = (start.epoch, start.base_sequence);
            } else if start.epoch == known.epoch {
                known.lowest_sequence = known.lowest_sequence.min(start.base_sequence);
            }
            return known.guard;
        }
        if self.states.len() >= VERIFICATIONS_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.states.remove(&oldest);
        }
        let verification = Verification {
            guard: next_guard(),
            supports_epoch_bump: start.supports_epoch_bump,
            lowest_sequence: start.base_sequence,
            epoch: start.epoch,
            began: start.now,
        };
        self.states.insert(start.producer_id, verification);
        self.by_age.insert(verification.guard, start.producer_id);
        verification.guard
    }

    /// Ends the producer's verification: it wrote, or its transaction ended.
    pub(crate) fn end(&mut self, id: ProducerId) {
        if let Some(ended) = self.states.remove(&id) {
            self.by_age.remove(&ended.guard);
        }
    }

    /// Removes verifications that began `producer.id.expiration.ms` ago and no append ended.
    pub(crate) fn expire(&mut self, now: Timestamp, expiration_ms: i64) {
        let (states, by_age) = (&mut self.states, &mut self.by_age);
        states.retain(|_, known| {
            let is_kept = now.0.saturating_sub(known.began.0) < expiration_ms;
            if !is_kept {
                by_age.remove(&known.guard);
            }
            is_kept
        });
    }
}

/// Returns a guard that no log of this process has returned before: the same log may be closed and
/// opened again while a request holds one.
fn next_guard() -> VerificationGuard {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    VerificationGuard(NEXT.fetch_add(1, Ordering::Relaxed))
}
