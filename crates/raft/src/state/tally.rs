//! The votes of one election.

use crate::planted::{self, Bug};
use crate::voters::VoterSet;
use model::BrokerId;
use std::collections::BTreeMap;

/// The answers of those who may vote. The voters are those at the election's start.
#[derive(Clone, Debug)]
pub(crate) struct Tally {
    votes: BTreeMap<BrokerId, Option<bool>>,
}

impl Tally {
    /// Starts an election among these voters in which `local` has voted for itself.
    pub(crate) fn new(voters: &VoterSet, local: BrokerId) -> Self {
        let mut tally = Self { votes: voters.ids().map(|id| (id, None)).collect() };
        tally.record(local, true);
        tally
    }

    /// Records a vote. A vote of a replica that is no voter is ignored. A granted vote cannot be
    /// withdrawn.
    pub(crate) fn record(&mut self, voter: BrokerId, granted: bool) {
        if let Some(vote) = self.votes.get_mut(&voter) {
            *vote = Some(granted || *vote == Some(true));
        }
    }

    /// Forgets that a voter refused, so that it is asked again.
    pub(crate) fn ask_again(&mut self, voter: BrokerId) {
        if let Some(vote) = self.votes.get_mut(&voter).filter(|vote| **vote == Some(false)) {
            *vote = None;
        }
    }

    /// Whether a majority voted for this replica.
    pub(crate) fn is_won(&self) -> bool {
        let needed =
            if planted::is_planted(Bug::HalfIsMajority) { self.votes.len() / 2 } else { self.votes.len() / 2 + 1 };
        self.granting().count() >= needed
    }

    /// Whether no majority is possible any more.
    pub(crate) fn is_lost(&self) -> bool {
        let rejecting = self.votes.values().filter(|vote| **vote == Some(false)).count();
        self.votes.len() - rejecting <= self.votes.len() / 2
    }

    /// Returns the voters that voted for this replica, ascending.
    pub(crate) fn granting(&self) -> impl Iterator<Item = BrokerId> {
        self.votes.iter().filter(|(_, vote)| **vote == Some(true)).map(|(id, _)| *id)
    }

    /// Returns the voters that have not answered.
    pub(crate) fn unanswered(&self) -> impl Iterator<Item = BrokerId> {
        self.votes.iter().filter(|(_, vote)| vote.is_none()).map(|(id, _)| *id)
    }
}
