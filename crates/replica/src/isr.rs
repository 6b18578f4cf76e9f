//! The set of replicas in sync, and a change of it that the controller has not answered yet.

use model::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch};

/// A change of the ISR that a leader asks the controller for (AlterPartition).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrProposal {
    /// The ISR that it wants, with the registration under which each follower fetched.
    pub isr: Vec<(BrokerId, Option<BrokerEpoch>)>,
    /// The epoch that it leads in.
    pub leader_epoch: LeaderEpoch,
    /// The state of the partition that the change is to.
    pub partition_epoch: PartitionEpoch,
}

/// The ISR as the leader has to act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Isr {
    /// As the controller has it.
    Committed(Vec<BrokerId>),
    /// A change is on its way.
    Pending {
        /// As the controller had it.
        committed: Vec<BrokerId>,
        /// As it will be, if the controller agrees.
        proposed: Vec<BrokerId>,
    },
}

impl Isr {
    /// As the controller has it.
    pub fn committed(&self) -> &[BrokerId] {
        match self {
            Isr::Committed(committed) | Isr::Pending { committed, .. } => committed,
        }
    }

    /// Everybody who may be in it by now, each once: the high watermark waits for all of them.
    pub fn maximal(&self) -> impl Iterator<Item = BrokerId> + '_ {
        let (committed, proposed) = match self {
            Isr::Committed(committed) => (committed, &[][..]),
            Isr::Pending { committed, proposed } => (committed, proposed.as_slice()),
        };
        let joining = proposed.iter().filter(|id| !committed.contains(id));
        committed.iter().chain(joining).copied()
    }

    /// Whether a change is on its way: then no other is proposed.
    pub fn is_pending(&self) -> bool {
        matches!(self, Isr::Pending { .. })
    }

    pub(crate) fn propose(&mut self, proposed: Vec<BrokerId>) {
        *self = Isr::Pending { committed: self.committed().to_vec(), proposed };
    }

    pub(crate) fn withdraw(&mut self) {
        *self = Isr::Committed(self.committed().to_vec());
    }
}
