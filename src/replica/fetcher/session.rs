//! A follower's side of a fetch session (KIP-227): what the leader knows of the wanted partitions,
//! so that a request names only those that changed.

use ::replica::FetchPosition;
use model::{ErrorCode, LeaderEpoch, Offset, TopicIdPartition};
use std::collections::{BTreeMap, BTreeSet};

/// The epoch of the first request of a session.
const FIRST_EPOCH: i32 = 0;

/// What a fetch of one partition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) position: FetchPosition,
    pub(super) log_start_offset: Offset,
}

/// The wishes of one request, and the partitions that the leader forgets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SessionRequest {
    pub(super) id: i32,
    pub(super) epoch: i32,
    pub(super) wishes: Vec<(TopicIdPartition, Wish)>,
    pub(super) forgotten: Vec<TopicIdPartition>,
}

/// A session with one leader, and what is wanted of it. One request is in flight at a time, and
/// while it is, no wish changes.
#[derive(Debug, Default)]
pub(super) struct FollowerSession {
    id: i32,
    epoch: i32,
    wishes: BTreeMap<TopicIdPartition, Wish>,
    /// The wishes that the leader does not know.
    unsent: BTreeSet<TopicIdPartition>,
    /// The partitions that the leader knows and that are not wanted any more.
    forgotten: BTreeSet<TopicIdPartition>,
}

impl FollowerSession {
    /// Wants a partition.
    pub(super) fn wish(&mut self, id: TopicIdPartition, wish: Wish) {
        if self.wishes.insert(id, wish) != Some(wish) {
            self.unsent.insert(id);
            self.forgotten.remove(&id);
        }
    }

    /// Does not want a partition.
    pub(super) fn unwish(&mut self, id: TopicIdPartition) {
        if self.wishes.remove(&id).is_some() {
            self.unsent.remove(&id);
            self.forgotten.insert(id);
        }
    }

    /// Whether nothing is wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.wishes.is_empty()
    }

    /// Returns the number of partitions that are wanted.
    pub(super) fn len(&self) -> usize {
        self.wishes.len()
    }

    /// Returns the partitions that are wanted.
    pub(super) fn ids(&self) -> impl Iterator<Item = TopicIdPartition> + '_ {
        self.wishes.keys().copied()
    }

    /// Returns the partitions that are wanted, with the leader epochs.
    pub(super) fn epochs(&self) -> impl Iterator<Item = (TopicIdPartition, LeaderEpoch)> + '_ {
        self.wishes.iter().map(|(id, wish)| (*id, wish.position.leader_epoch))
    }

    /// Returns the next request.
    pub(super) fn request(&mut self) -> SessionRequest {
        let (unsent, forgotten) = (std::mem::take(&mut self.unsent), std::mem::take(&mut self.forgotten));
        let (id, epoch) = (self.id, self.epoch);
        if epoch == FIRST_EPOCH {
            let wishes = self.wishes.iter().map(|(id, wish)| (*id, *wish)).collect();
            return SessionRequest { id, epoch, wishes, forgotten: Vec::new() };
        }
        let wishes = unsent.iter().filter_map(|id| Some((*id, *self.wishes.get(id)?))).collect();
        SessionRequest { id, epoch, wishes, forgotten: forgotten.into_iter().collect() }
    }

    /// Returns the position for which a partition is answered.
    pub(super) fn asked(&self, id: &TopicIdPartition) -> Option<FetchPosition> {
        self.wishes.get(id).map(|wish| wish.position)
    }

    /// Takes the id of the answer. 0 means that the leader has no room for a session.
    pub(super) fn answered(&mut self, id: i32) {
        let next = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
        (self.id, self.epoch) = if id == 0 { (0, FIRST_EPOCH) } else { (id, next) };
    }

    /// Starts another session with the next request, which names all partitions and closes the
    /// session before: its request in flight is given up.
    pub(super) fn start_over(&mut self) {
        self.epoch = FIRST_EPOCH;
    }

    /// Forgets the session, since the leader may know something else: the next request names all
    /// partitions.
    pub(super) fn reset(&mut self) {
        (self.id, self.epoch) = (0, FIRST_EPOCH);
    }

    /// Whether an error is only about the session, so that a full request may follow at once.
    pub(super) fn is_lost(code: ErrorCode) -> bool {
        matches!(
            code,
            ErrorCode::FetchSessionIdNotFound
                | ErrorCode::InvalidFetchSessionEpoch
                | ErrorCode::FetchSessionTopicIdError
        )
    }
}
