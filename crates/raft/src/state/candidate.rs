//! Candidate: the replica has started an epoch, persisted a vote for itself, and asks the others
//! for votes.

use super::Tally;

/// The state of a candidate.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The votes so far.
    pub(crate) tally: Tally,
    /// When the election times out.
    pub(crate) deadline: u64,
    /// When it began.
    pub(crate) since: u64,
    /// Whether a voter has refused its vote.
    pub(crate) is_refused: bool,
}
