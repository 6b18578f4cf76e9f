//! Pending replies: each waits for a commit, and most then wait for this node's publisher.
//!
//! Invariant: the controller's thread never waits for the publisher. At most [`PUBLICATIONS_MAX`]
//! publications are pending; the next one gathers what is committed meanwhile.

use crate::runtime::publisher::{Completion, PUBLICATIONS_MAX, Publication};
use metadata::Changes;
use metadata::image::Image;
use model::{ErrorCode, LeaderEpoch, Offset};
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedSender;

/// When a reply is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyAt {
    /// Once the records are committed: to brokers and controllers, which read the metadata log
    /// themselves.
    Commit,
    /// Once this node's services also act on the image: to clients, which use at once what they
    /// asked for.
    Publish,
}

/// A reply that waits until the log is committed up to `end`.
pub(super) struct PendingReply {
    pub(super) end: Offset,
    pub(super) epoch: LeaderEpoch,
    pub(super) at: ReplyAt,
    pub(super) completion: Completion,
}

/// All pending replies.
pub(super) struct Replies {
    /// In the order of their ends.
    uncommitted: VecDeque<PendingReply>,
    /// Replies that the next publication takes along.
    unpublished: Vec<Completion>,
    /// Publications that the publisher has and has not finished.
    publishing_count: usize,
    publisher: UnboundedSender<Publication>,
}

impl Replies {
    pub(super) fn new(publisher: UnboundedSender<Publication>) -> Self {
        Self { uncommitted: VecDeque::new(), unpublished: Vec::new(), publishing_count: 0, publisher }
    }

    pub(super) fn add(&mut self, reply: PendingReply) {
        self.uncommitted.push_back(reply);
    }

    /// Sends or hands on the replies whose records are committed and applied, in the epoch in which
    /// the controller is active.
    pub(super) fn committed(&mut self, applied: Offset, active: Option<LeaderEpoch>) {
        while let Some(reply) = self.uncommitted.pop_front_if(|reply| reply.end <= applied) {
            debug_assert_eq!(Some(reply.epoch), active, "a resignation answers what waits");
            match reply.at {
                ReplyAt::Commit => (reply.completion)(Ok(())),
                ReplyAt::Publish => self.unpublished.push(reply.completion),
            }
        }
    }

    /// Notes that the publisher has finished a publication.
    pub(super) fn published(&mut self) {
        self.publishing_count = self.publishing_count.saturating_sub(1);
    }

    /// Hands the publisher a new image, if there is one, and the replies that wait for it. Does
    /// nothing while the publisher has enough, or while there is nothing to publish. Returns
    /// whether it handed something over.
    pub(super) fn publish(&mut self, news: Option<impl FnOnce() -> (Arc<Image>, Changes)>) -> bool {
        let is_due = news.is_some() || !self.unpublished.is_empty();
        if !is_due || self.publishing_count == PUBLICATIONS_MAX {
            return false;
        }
        self.publishing_count += 1;
        let completions = std::mem::take(&mut self.unpublished);
        // The publisher thread ends after this thread.
        let _ = self.publisher.send(Publication { news: news.map(|news| news()), completions });
        true
    }

    /// Answers NOT_CONTROLLER to every reply that waits for a commit: whether it commits is not
    /// known.
    pub(super) fn resign(&mut self) {
        for reply in self.uncommitted.drain(..) {
            (reply.completion)(Err(ErrorCode::NotController.into()));
        }
    }

    /// Answers what is committed, and NOT_CONTROLLER to the rest: the thread ends.
    pub(super) fn stop(&mut self) {
        self.resign();
        for completion in self.unpublished.drain(..) {
            completion(Ok(()));
        }
    }
}
