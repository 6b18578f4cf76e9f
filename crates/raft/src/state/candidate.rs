//! Candidate: the replica has begun an epoch, voted for itself, persistently, and asks the others.

use super::Tally;

/// The state.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// Who voted for us.
    pub(crate) tally: Tally,
    /// When the election is given up.
    pub(crate) deadline: u64,
}
