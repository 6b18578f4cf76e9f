//! The state of a shard. Replicated state changes only in [`ReplicatedState::apply`], and soft
//! state only in [`SoftState::apply`].

mod carried;
mod classic;
mod member;
mod offsets;
mod pending;
mod replicated;
mod soft;
mod timers;

pub(crate) use carried::{CarriedGroup, StoredGroup};
pub(crate) use classic::JoinTimer;
pub use classic::{ClassicGroup, GroupState};
pub use member::Member;
pub(crate) use member::own_protocols;
pub(crate) use offsets::{ByTopic, CommittedOffset, committed_epoch};
pub(crate) use replicated::ReplicatedState;
pub use soft::SoftChange;
pub(crate) use soft::SoftState;
pub use timers::TimerKey;
