//! Replies that wait: for the commit of what they rest on, and most of them then for this node's publisher.
//!
//! Invariant: the controller's thread never waits for the publisher. At most [`PUBLICATIONS_MAX`] publications are on
//! their way; what is committed meanwhile is gathered into the next.

use crate::runtime::publisher::{Completion, PUBLICATIONS_MAX, Publication};
use metadata::Changes;
use metadata::image::Image;
use model::{ErrorCode, LeaderEpoch, Offset};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;

/// When a reply is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyAt {
    /// Once the records are committed: to brokers and controllers, which hear of the image by themselves.
    Commit,
    /// Once this node's services act on the image as well: to clients, which use at once what they asked for.
    Publish,
}

/// A reply that waits for the log to be committed up to an end.
pub(super) struct PendingReply {
    pub(super) end: Offset,
    pub(super) epoch: LeaderEpoch,
    pub(super) at: ReplyAt,
    pub(super) completion: Completion,
}

/// All that wait.
pub(super) struct Replies {
    /// In the order of their ends.
    uncommitted: VecDeque<PendingReply>,
    /// Those that a publication takes along.
    unpublished: Vec<Completion>,
    /// Publications that the publisher has and is not done with.
    publishing_count: usize,
    publisher: Sender<Publication>,
}

impl Replies {
    pub(super) fn new(publisher: Sender<Publication>) -> Self {
        Self { uncommitted: VecDeque::new(), unpublished: Vec::new(), publishing_count: 0, publisher }
    }

    pub(super) fn add(&mut self, reply: PendingReply) {
        self.uncommitted.push_back(reply);
    }

    /// The log is committed and applied up to here, in the epoch in which the controller is active.
    pub(super) fn committed(&mut self, applied: Offset, active: Option<LeaderEpoch>) {
        while let Some(reply) = self.uncommitted.pop_front_if(|reply| reply.end <= applied) {
            debug_assert_eq!(Some(reply.epoch), active, "a resignation answers what waits");
            match reply.at {
                ReplyAt::Commit => (reply.completion)(Ok(())),
                ReplyAt::Publish => self.unpublished.push(reply.completion),
            }
        }
    }

    /// The publisher is done with a publication.
    pub(super) fn published(&mut self) {
        self.publishing_count = self.publishing_count.saturating_sub(1);
    }

    /// Hands the publisher what there is, unless it has enough: a new image, if there is one, and the replies that
    /// wait for it. Says whether it did.
    pub(super) fn publish(&mut self, news: Option<impl FnOnce() -> (Arc<Image>, Changes)>) -> bool {
        let is_due = news.is_some() || !self.unpublished.is_empty();
        if !is_due || self.publishing_count == PUBLICATIONS_MAX {
            return false;
        }
        self.publishing_count += 1;
        let completions = std::mem::take(&mut self.unpublished);
        // The publisher ends after this thread.
        let _ = self.publisher.send(Publication { news: news.map(|news| news()), completions });
        true
    }

    /// The epoch is over: nothing that waits is known to commit.
    pub(super) fn resign(&mut self) {
        for reply in self.uncommitted.drain(..) {
            (reply.completion)(Err(ErrorCode::NotController.into()));
        }
    }

    /// The thread ends: what is committed is answered, the rest is not known to be.
    pub(super) fn stop(&mut self) {
        self.resign();
        for completion in self.unpublished.drain(..) {
            completion(Ok(()));
        }
    }
}
