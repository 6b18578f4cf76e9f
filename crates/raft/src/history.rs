//! Values with the offset from which they are valid. Voters and `kraft.version` take effect when
//! their record is appended, not when it is committed, and lose it when the log is truncated below
//! it (KIP-853).

use crate::control::ControlRecord;
use crate::voters::{KRaftVersion, VoterSet};
use model::Offset;

/// The offset of a value. `None` is before the log: the value is from the bootstrap snapshot `0-0`.
pub type Since = Option<Offset>;

/// The values of one thing, by ascending offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History<T> {
    entries: Vec<(Since, T)>,
}

impl<T> Default for History<T> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

impl<T> History<T> {
    /// Adds a value. If its offset is not above the last one, it replaces the values from there on,
    /// since the log was written again from there.
    pub fn add(&mut self, since: Since, value: T) {
        self.entries.retain(|(at, _)| *at < since);
        self.entries.push((since, value));
    }

    /// Returns the newest value and its offset.
    pub fn last(&self) -> Option<(Since, &T)> {
        self.entries.last().map(|(since, value)| (*since, value))
    }

    /// Returns the value before the newest one.
    pub fn before_last(&self) -> Option<&T> {
        let position = self.entries.len().checked_sub(2)?;
        self.entries.get(position).map(|(_, value)| value)
    }

    /// Returns the value that is valid for a log with this exclusive end.
    pub fn at_end(&self, end: Offset) -> Option<&T> {
        self.entries.iter().rev().find(|(since, _)| since.is_none_or(|since| since < end)).map(|(_, value)| value)
    }

    /// Forgets values whose records were truncated.
    pub fn truncate(&mut self, end: Offset) {
        self.entries.retain(|(since, _)| since.is_none_or(|since| since < end));
    }

    /// Forgets values that no log from `start` on can need: all below it except the newest.
    pub fn forget_before(&mut self, start: Offset) {
        let needed = self.entries.iter().rposition(|(since, _)| since.is_none_or(|since| since <= start)).unwrap_or(0);
        self.entries.drain(..needed);
    }
}

/// What control records and the configuration say about voters and `kraft.version`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct QuorumHistory {
    configured: VoterSet,
    voters: History<VoterSet>,
    kraft_version: History<KRaftVersion>,
}

impl QuorumHistory {
    /// Creates a history that knows only the voters of `controller.quorum.voters`, empty if that is
    /// not set.
    pub fn new(configured: VoterSet) -> Self {
        Self { configured, ..Self::default() }
    }

    /// Notes a control record of the log, or of a snapshot with the offset before its end.
    pub fn apply(&mut self, since: Since, record: &ControlRecord) {
        match record {
            ControlRecord::Voters(voters) => self.voters.add(since, voters.clone()),
            ControlRecord::KRaftVersion(version) => self.kraft_version.add(since, *version),
            ControlRecord::LeaderChange(_)
            | ControlRecord::SnapshotHeader { .. }
            | ControlRecord::SnapshotFooter
            | ControlRecord::Other(_) => {}
        }
    }

    /// Returns the current voters: those of the log, or those of the configuration.
    pub fn voters(&self) -> &VoterSet {
        self.voters.last().map_or(&self.configured, |(_, voters)| voters)
    }

    /// Returns the voters before the last change, if the log still has them.
    pub fn voters_before(&self) -> Option<&VoterSet> {
        self.voters.before_last()
    }

    /// Returns the offset of the current voters, `None` if they are those of the configuration.
    pub fn voters_since(&self) -> Option<Since> {
        self.voters.last().map(|(since, _)| since)
    }

    /// Returns the current `kraft.version`.
    pub fn kraft_version(&self) -> KRaftVersion {
        self.kraft_version.last().map_or(KRaftVersion::V0, |(_, version)| *version)
    }

    /// Whether the voters are known only from the bootstrap snapshot. Then the first leader must
    /// copy them to the log.
    pub fn voters_are_only_bootstrapped(&self) -> bool {
        matches!(self.voters.last(), Some((None, _)))
    }

    /// Returns the voters and `kraft.version` for a snapshot that ends at `end`.
    pub fn at_end(&self, end: Offset) -> (KRaftVersion, &VoterSet) {
        let version = self.kraft_version.at_end(end).copied().unwrap_or_default();
        (version, self.voters.at_end(end).unwrap_or(&self.configured))
    }

    /// Forgets what the truncated part of a log said.
    pub fn truncate(&mut self, end: Offset) {
        self.voters.truncate(end);
        self.kraft_version.truncate(end);
    }

    /// Replaces everything by the control records of a snapshot that took the place of the log.
    pub fn replace(&mut self, since: Since, records: &[ControlRecord]) {
        self.voters = History::default();
        self.kraft_version = History::default();
        for record in records {
            self.apply(since, record);
        }
    }

    /// Forgets what a log that starts at `start` does not need.
    pub fn forget_before(&mut self, start: Offset) {
        self.voters.forget_before(start);
        self.kraft_version.forget_before(start);
    }
}
