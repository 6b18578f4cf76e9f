//! The votes of one election.

use crate::voters::VoterSet;
use model::BrokerId;
use std::collections::BTreeMap;

/// Who answered what, of those who may vote. The voters are those of the election's start.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    votes: BTreeMap<BrokerId, Option<bool>>,
}

impl Tally {
    /// An election among these voters in which `local` has voted for itself.
    pub(crate) fn new(voters: &VoterSet, local: BrokerId) -> Self {
        let mut tally = Self { votes: voters.ids().map(|id| (id, None)).collect() };
        tally.record(local, true);
        tally
    }

    /// Takes a vote. One from a replica that does not vote is nothing; a granted vote is not taken back.
    pub(crate) fn record(&mut self, voter: BrokerId, granted: bool) {
        if let Some(vote) = self.votes.get_mut(&voter) {
            *vote = Some(granted || *vote == Some(true));
        }
    }

    /// Whether a majority voted for us.
    pub(crate) fn is_won(&self) -> bool {
        self.granting().count() > self.votes.len() / 2
    }

    /// Whether no majority can come about any more.
    pub(crate) fn is_lost(&self) -> bool {
        let rejecting = self.votes.values().filter(|vote| **vote == Some(false)).count();
        self.votes.len() - rejecting <= self.votes.len() / 2
    }

    /// Who voted for us, ascending.
    pub(crate) fn granting(&self) -> impl Iterator<Item = BrokerId> {
        self.votes.iter().filter(|(_, vote)| **vote == Some(true)).map(|(id, _)| *id)
    }

    /// Who has not answered.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = BrokerId> {
        self.votes.iter().filter(|(_, vote)| vote.is_none()).map(|(id, _)| *id)
    }
}
