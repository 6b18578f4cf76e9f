//! The messages to a shard.

use coordinator::ShardTypes;
use tokio::sync::oneshot;

/// A message to a shard.
#[derive(Debug)]
pub(super) enum Message<T: ShardTypes> {
    /// A request, and the channel of its reply.
    Request(Box<T::Request>, oneshot::Sender<T::Reply>),
    /// Something happened elsewhere.
    Event(T::Event),
}
