//! Coordinators as pure machines. Today: the group coordinator, one [`GroupShard`] for each partition of `__consumer_offsets`.

mod command;
mod group;
mod offsets;
mod partition;
mod record;
mod reply;
mod shard;
mod soft;
mod state;
mod turn;

pub use command::{
    BatchContext, Client, Command, Context, Decision, Entry, GroupConfig, NewRecord, Reply, ReplyId, Request,
    SoftChange, Unappended,
};
pub use group::classic::{ClassicGroup, GroupState, Member};
pub use partition::partition_for;
pub use shard::{Census, GroupShard};
pub use soft::TimerKey;
