//! What a leader does for those who fetch: it answers, holds what has nothing new, and counts what
//! they acknowledge.

use crate::action::Action;
use crate::log_facts::LogEndCheck;
use crate::machine::Raft;
use crate::message::{
    BytesToRead, FetchContent, FetchReply, FetchRequest, FetchSnapshotReply, FetchSnapshotRequest, KnownHighWatermark,
    QuorumReply, SentReply, SnapshotPiece,
};
use crate::planted::{self, Bug};
use crate::snapshot_id::SnapshotId;
use crate::state::{HELD_FETCHES_MAX, HeldFetch, Leader, Role};
use crate::timing::Now;
use crate::voters::ReplicaKey;
use model::{ErrorCode, LeaderEpoch, Offset};

impl Raft {
    /// Answers a fetch, or holds it if it has nothing new for its replica.
    pub(crate) fn answer_fetch(&mut self, id: u64, fetch: FetchRequest, now: Now) {
        if fetch.log_end.epoch > fetch.epoch {
            return self.refuse_fetch(id, ErrorCode::InvalidRequest);
        }
        if let Some(error) = self.refuse_follower(fetch.epoch, fetch.replica) {
            return self.refuse_fetch(id, error);
        }
        if let Some(replica) = fetch.replica.filter(|_| self.log.check(fetch.log_end) == LogEndCheck::Fits) {
            self.count_fetch(replica, fetch.log_end.offset, now);
        }
        if self.has_news_for(&fetch) || fetch.max_wait_ms == 0 || !self.hold(id, fetch, now) {
            self.reply_fetch(id, &fetch);
        }
    }

    /// Notes what a fetch acknowledges.
    fn count_fetch(&mut self, replica: ReplicaKey, end: Offset, now: Now) {
        let leader_end = self.log.end;
        let is_voter = match &mut self.role {
            Role::Leader(leader) => leader.fetched(replica, end, leader_end, now),
            _ => return,
        };
        self.count_follower(replica, now);
        if is_voter || planted::is_planted(Bug::ObserverCounted) {
            self.commit();
        }
    }

    /// Notes that a replica follows this leader.
    fn count_follower(&mut self, replica: ReplicaKey, now: Now) {
        let check_quorum_at = self.check_quorum_at(now);
        let begin_at = self.begin_again_at(now);
        if let Role::Leader(leader) = &mut self.role {
            leader.heard_from(replica, now, check_quorum_at, begin_at);
        }
    }

    /// Returns why this replica does not serve a follower.
    pub(crate) fn refuse_follower(&self, epoch: LeaderEpoch, replica: Option<ReplicaKey>) -> Option<ErrorCode> {
        if epoch < self.epoch {
            Some(ErrorCode::FencedLeaderEpoch)
        } else if epoch > self.epoch {
            Some(ErrorCode::UnknownLeaderEpoch)
        } else if !self.is_leader() {
            Some(ErrorCode::NotLeaderOrFollower)
        } else if replica.is_some_and(|replica| replica.id == self.config.local.id) {
            // Two nodes have one id, or this node reached itself. Kafka answers the same.
            Some(ErrorCode::UnknownServerError)
        } else {
            None
        }
    }

    pub(crate) fn refuse_fetch(&mut self, id: u64, error: ErrorCode) {
        let reply = FetchReply {
            view: self.view(error),
            high_watermark: None,
            log_start: self.log.start,
            content: FetchContent::Nothing,
        };
        self.out.push(Action::Reply { id, reply: QuorumReply::Fetch(reply) });
    }

    /// Returns the high watermark that this leader tells, once it is known in its epoch.
    fn told_high_watermark(&self) -> Option<Offset> {
        match &self.role {
            Role::Leader(leader) if leader.is_active => self.high_watermark,
            _ => None,
        }
    }

    /// Whether the answer to this fetch tells its replica something.
    fn has_news_for(&self, fetch: &FetchRequest) -> bool {
        let is_higher = match fetch.high_watermark {
            KnownHighWatermark::NotTold => false,
            KnownHighWatermark::Unknown => self.told_high_watermark().is_some(),
            KnownHighWatermark::At(known) => self.told_high_watermark() > Some(known),
        };
        is_higher || fetch.log_end.offset != self.log.end || self.log.check(fetch.log_end) != LogEndCheck::Fits
    }

    fn reply_fetch(&mut self, id: u64, fetch: &FetchRequest) {
        let content = match self.log.check(fetch.log_end) {
            LogEndCheck::Fits => FetchContent::Records(BytesToRead::Log {
                from: fetch.log_end.offset,
                end: self.log.end,
                max_bytes: fetch.max_bytes,
            }),
            LogEndCheck::Diverges(end) => FetchContent::Diverging(end),
            LogEndCheck::NeedsSnapshot(snapshot) => FetchContent::Snapshot(snapshot),
        };
        let reply = FetchReply {
            view: self.view(ErrorCode::None),
            high_watermark: self.told_high_watermark(),
            log_start: self.log.start,
            content,
        };
        self.out.push(Action::Reply { id, reply: QuorumReply::Fetch(reply) });
    }

    /// Holds a fetch. An earlier one of the same replica is answered, since the replica has given
    /// it up. Returns whether there was room.
    fn hold(&mut self, id: u64, fetch: FetchRequest, now: Now) -> bool {
        let deadline = now.monotonic.0.saturating_add(fetch.max_wait_ms);
        let Role::Leader(leader) = &mut self.role else { return false };
        let position = leader.held.iter().position(|held| held.fetch.replica == fetch.replica);
        let earlier = position.filter(|_| fetch.replica.is_some()).map(|position| leader.held.swap_remove(position));
        let has_room = leader.held.len() < HELD_FETCHES_MAX;
        if has_room {
            leader.held.push(HeldFetch { id, fetch, deadline });
        }
        if let Some(earlier) = earlier {
            self.reply_fetch(earlier.id, &earlier.fetch);
        }
        has_room
    }

    /// Answers the held fetches that have news or have waited long enough.
    pub(crate) fn release_held(&mut self, now: Now) {
        let Role::Leader(leader) = &mut self.role else { return };
        if leader.held.is_empty() {
            return;
        }
        let held = std::mem::take(&mut leader.held);
        let is_forgotten = |held: &HeldFetch| {
            planted::is_planted(Bug::HeldFetchForgotten) && held.fetch.log_end.offset == self.log.end
        };
        let is_due = |held: &HeldFetch| {
            !is_forgotten(held) && (held.deadline <= now.monotonic.0 || self.has_news_for(&held.fetch))
        };
        let (due, waiting): (Vec<_>, Vec<_>) = held.into_iter().partition(is_due);
        for held in due {
            self.reply_fetch(held.id, &held.fetch);
        }
        if let Role::Leader(leader) = &mut self.role {
            leader.held = waiting;
        }
    }

    /// Answers all that waits for a leader that leads no more.
    pub(crate) fn refuse_held(&mut self, leader: Leader) {
        for held in leader.held {
            self.refuse_fetch(held.id, ErrorCode::NotLeaderOrFollower);
        }
        self.refuse_change(leader.change);
    }

    pub(crate) fn answer_fetch_snapshot(&mut self, fetch: &FetchSnapshotRequest, now: Now) -> SentReply {
        let FetchSnapshotRequest { replica, epoch, id, position, max_bytes } = *fetch;
        let refusal = self.refuse_follower(epoch, replica).or_else(|| self.refuse_snapshot(id));
        if let Some(error) = refusal {
            let reply = FetchSnapshotReply { view: self.view(error), piece: None };
            return QuorumReply::FetchSnapshot(reply);
        }
        if let Some(replica) = replica {
            self.count_follower(replica, now);
        }
        let bytes = BytesToRead::Snapshot { id, position, max_bytes };
        let piece = Some(SnapshotPiece { id, size: 0, position, bytes });
        QuorumReply::FetchSnapshot(FetchSnapshotReply { view: self.view(ErrorCode::None), piece })
    }

    /// The bootstrap snapshot is not replicated: the first leader copies its content to the log.
    fn refuse_snapshot(&self, id: SnapshotId) -> Option<ErrorCode> {
        let is_known = id != SnapshotId::BOOTSTRAP && self.log.snapshots.contains(&id);
        (!is_known).then_some(ErrorCode::SnapshotNotFound)
    }
}
