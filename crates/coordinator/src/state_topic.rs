//! The topics in which coordinators keep their state.

/// A state topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StateTopic {
    /// Groups and their offsets.
    ConsumerOffsets,
    /// Transactional ids and their transactions.
    TransactionState,
    /// The state of share groups.
    ShareGroupState,
}

impl StateTopic {
    /// All state topics.
    pub const ALL: [StateTopic; 3] =
        [StateTopic::ConsumerOffsets, StateTopic::TransactionState, StateTopic::ShareGroupState];

    /// Returns the topic's name.
    pub const fn name(self) -> &'static str {
        match self {
            StateTopic::ConsumerOffsets => "__consumer_offsets",
            StateTopic::TransactionState => "__transaction_state",
            StateTopic::ShareGroupState => "__share_group_state",
        }
    }

    /// Returns the state topic of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.name() == name)
    }
}
