//! A follower's side of a fetch session (KIP-227): what the leader knows of the wanted partitions,
//! so that a request names only those that changed.

use ::replica::FetchPosition;
use model::{ErrorCode, Offset, TopicIdPartition};
use std::collections::BTreeMap;

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

/// A session with one leader. One request is in flight at a time.
#[derive(Debug, Default)]
pub(super) struct FollowerSession {
    id: i32,
    epoch: i32,
    /// What the leader knows once it has read the last request.
    known: BTreeMap<TopicIdPartition, Wish>,
}

impl FollowerSession {
    /// Returns the next request for these partitions.
    pub(super) fn request(&mut self, wishes: &BTreeMap<TopicIdPartition, Wish>) -> SessionRequest {
        let is_full = self.epoch == FIRST_EPOCH;
        let is_new = |id: &TopicIdPartition, wish: &Wish| is_full || self.known.get(id) != Some(wish);
        let named = wishes.iter().filter(|(id, wish)| is_new(id, wish)).map(|(id, wish)| (*id, *wish)).collect();
        let forgotten = self.known.keys().filter(|id| !is_full && !wishes.contains_key(id)).copied().collect();
        self.known = wishes.clone();
        SessionRequest { id: self.id, epoch: self.epoch, wishes: named, forgotten }
    }

    /// Returns the position for which a partition is answered.
    pub(super) fn asked(&self, id: &TopicIdPartition) -> Option<FetchPosition> {
        self.known.get(id).map(|wish| wish.position)
    }

    /// Takes the id of the answer. 0 means that the leader has no room for a session.
    pub(super) fn answered(&mut self, id: i32) {
        let next = if self.epoch == i32::MAX { 1 } else { self.epoch + 1 };
        (self.id, self.epoch) = if id == 0 { (0, FIRST_EPOCH) } else { (id, next) };
    }

    /// Forgets the session, since the leader may know something else: the next request names all
    /// partitions.
    pub(super) fn reset(&mut self) {
        *self = FollowerSession::default();
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
