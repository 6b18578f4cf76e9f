//! What all coordinators have in common: the shape of a shard, its commands and its decisions.

use crate::entry::{BatchContext, Entry, NewRecord};
use metadata::image::Image;
use model::{ErrorCode, LeaderEpoch, Monotonic, Now, ProducerEpoch, ProducerId, VerificationGuard};
use protocol::DecodeError;
use records::EndTransactionMarker;
use std::fmt::Debug;

/// The types of one kind of coordinator.
pub trait ShardTypes: Clone + Debug + Send + Sync + 'static {
    /// The settings.
    type Config: Debug + Send + Sync + 'static;
    /// A request of a client or of another broker.
    type Request: Clone + Debug + Send + Sync + 'static;
    /// The reply to a request.
    type Reply: Clone + Debug + Send + Sync + 'static;
    /// Something that happened elsewhere: a change of the metadata, or the outcome of an effect.
    type Event: Clone + Debug + Send + Sync + 'static;
    /// A change of soft state.
    type SoftChange: Clone + Debug + Send + Sync + 'static;
    /// What a decision wants done outside of the shard. The driver carries it out once the records
    /// of the decision are committed. An outcome comes back as an event.
    type Effect: Clone + Debug + Send + Sync + 'static;
    /// What a shard notes with a decision for the case that its records cannot be appended.
    type OnFailure: Clone + Debug + Default + Send + Sync + 'static;
}

/// The coordinator of one partition of a state topic, as a pure machine. The crate's documentation
/// says how it is driven.
pub trait CoordinatorShard: Clone + Debug + Default + Send + Sync + 'static {
    /// Its types.
    type Types: ShardTypes;
    /// The base sequence that Kafka writes into the batches of its coordinator that have no
    /// producer.
    const BASE_SEQUENCE: Option<i32>;

    /// Applies one entry of the log. This is the only place where replicated state changes, both in
    /// a load and in operation. Errors: the bytes are not a record of Kafka.
    fn apply(&mut self, at: &BatchContext, entry: Entry) -> Result<(), DecodeError>;

    /// Makes the soft changes of a decision whose records have been applied.
    fn apply_soft(&mut self, changes: Vec<<Self::Types as ShardTypes>::SoftChange>);

    /// Returns when `Command::TimerDue` is due next, on the monotonic clock.
    fn next_deadline(&self) -> Option<Monotonic>;

    /// Decides what a command leads to. Nothing changes.
    fn decide(
        &self,
        context: &DecisionContext<'_, <Self::Types as ShardTypes>::Config>,
        command: &Command<Self::Types>,
    ) -> Decision<Self::Types>;

    /// Ends the leadership: every parked request is answered NOT_COORDINATOR, and the shard is
    /// dropped. The driver converts the replies that it holds back with `into_error`.
    fn resign(self) -> Vec<(ReplyId, <Self::Types as ShardTypes>::Reply)>;

    /// Returns the reply to a request that no shard can serve.
    fn refused(request: &<Self::Types as ShardTypes>::Request, code: ErrorCode) -> <Self::Types as ShardTypes>::Reply;

    /// Whether a reply must not come from a coordinator that was replaced by another one: its
    /// sender would give up, or would take for done what is not.
    fn needs_session(reply: &<Self::Types as ShardTypes>::Reply) -> bool;

    /// Converts a reply whose records may not be committed to an error.
    fn into_error(reply: <Self::Types as ShardTypes>::Reply, code: ErrorCode) -> <Self::Types as ShardTypes>::Reply;
}

/// The id of one reply. The driver chooses it and never uses it twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReplyId(pub u64);

/// An input that a shard decides about.
#[derive(Clone, Debug)]
pub enum Command<T: ShardTypes> {
    /// A request. Its reply, now or later, has this id.
    Request(ReplyId, T::Request),
    /// The log has been replayed to its end, and this broker leads the partition.
    PartitionLoaded,
    /// A deadline has passed; the earliest one is handled. The driver repeats this while
    /// `next_deadline` is not after the current time.
    TimerDue,
    /// Something happened elsewhere.
    Event(T::Event),
    /// The records of a decision could not be appended.
    AppendFailed(Box<Unappended<T>>, ErrorCode),
}

/// How the records of a decision are appended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BatchForm {
    /// As one batch without a producer.
    #[default]
    Atomic,
    /// As one or several batches without a producer.
    Split,
    /// As one batch of a producer's open transaction. Its base sequence is always 0, as in Kafka:
    /// the log does not check the sequences of a coordinator's batches.
    Transactional {
        /// The producer.
        producer_id: ProducerId,
        /// Its epoch.
        producer_epoch: ProducerEpoch,
        /// The guard of its verification, if it opens the transaction in this partition.
        guard: Option<VerificationGuard>,
    },
    /// As the marker that ends a producer's transaction. There are no other records.
    Marker {
        /// The producer.
        producer_id: ProducerId,
        /// Its epoch.
        producer_epoch: ProducerEpoch,
        /// How the transaction ends.
        end: EndTransactionMarker,
        /// The `transaction.version` under which it is written.
        transaction_version: i16,
    },
}

/// The result of a command.
#[derive(Clone, Debug)]
pub struct Decision<T: ShardTypes> {
    /// The records to append, in this order.
    pub records: Vec<NewRecord>,
    /// How they are appended.
    pub form: BatchForm,
    /// The changes for `apply_soft`, after the records are applied.
    pub soft: Vec<T::SoftChange>,
    /// Replies to this command and to parked requests.
    pub replies: Vec<(ReplyId, T::Reply)>,
    /// What to do elsewhere once the records are committed.
    pub effects: Vec<T::Effect>,
    /// What to do if the append fails.
    pub on_failure: T::OnFailure,
}

impl<T: ShardTypes> Default for Decision<T> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            form: BatchForm::default(),
            soft: Vec::new(),
            replies: Vec::new(),
            effects: Vec::new(),
            on_failure: T::OnFailure::default(),
        }
    }
}

impl<T: ShardTypes> Decision<T> {
    /// Whether something must be appended.
    pub fn has_batch(&self) -> bool {
        !self.records.is_empty() || matches!(self.form, BatchForm::Marker { .. })
    }

    /// Converts a decision that could not be appended, with its command, into the argument of
    /// `Command::AppendFailed`.
    pub fn into_unappended(self, command: Command<T>) -> Box<Unappended<T>> {
        Box::new(Unappended { decision: self, command })
    }
}

/// A decision whose records could not be appended.
#[derive(Clone, Debug)]
pub struct Unappended<T: ShardTypes> {
    pub(crate) decision: Decision<T>,
    pub(crate) command: Command<T>,
}

impl<T: ShardTypes> Unappended<T> {
    /// Returns the request that led to the decision.
    pub(crate) fn request(&self) -> Option<(ReplyId, &T::Request)> {
        match &self.command {
            Command::Request(id, request) => Some((*id, request)),
            Command::PartitionLoaded | Command::TimerDue | Command::Event(_) | Command::AppendFailed(..) => None,
        }
    }
}

/// The inputs of a decision besides the state.
pub struct DecisionContext<'a, C> {
    /// The time. Deadlines are on the monotonic clock; timestamps in records are from the wall
    /// clock.
    pub now: Now,
    /// Returns fresh random bytes, as often as it is called.
    pub random: &'a dyn Fn() -> [u8; 16],
    /// The leader epoch of the state partition: the epoch of this coordinator.
    pub leader_epoch: LeaderEpoch,
    /// The newest published metadata.
    pub image: &'a Image,
    /// The settings in force.
    pub config: &'a C,
}

impl<C: Debug> Debug for DecisionContext<'_, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecisionContext").field("now", &self.now).field("config", self.config).finish_non_exhaustive()
    }
}
