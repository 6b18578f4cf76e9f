//! The ISR, and a change of it that the controller has not answered yet.

use model::{BrokerEpoch, BrokerId, LeaderEpoch, PartitionEpoch};

/// A change of the ISR that a leader asks the controller for (AlterPartition).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrProposal {
    /// The proposed ISR, with the broker epoch under which each follower fetched.
    pub isr: Vec<(BrokerId, Option<BrokerEpoch>)>,
    /// The leader epoch of the leader that proposes.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch that the change is based on.
    pub partition_epoch: PartitionEpoch,
}

/// The ISR that the leader acts on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Isr {
    /// The ISR at the controller. No change is in flight.
    Committed(Vec<BrokerId>),
    /// A change is in flight.
    Pending {
        /// The ISR at the controller before the change.
        committed: Vec<BrokerId>,
        /// The ISR after the change, if the controller agrees.
        proposed: Vec<BrokerId>,
    },
}

impl Isr {
    /// Returns the ISR at the controller.
    pub fn committed(&self) -> &[BrokerId] {
        match self {
            Isr::Committed(committed) | Isr::Pending { committed, .. } => committed,
        }
    }

    /// Returns every replica that may be in the ISR by now, each once. The high watermark waits for
    /// all of them.
    pub fn maximal(&self) -> impl Iterator<Item = BrokerId> + '_ {
        let (committed, proposed) = match self {
            Isr::Committed(committed) => (committed, &[][..]),
            Isr::Pending { committed, proposed } => (committed, proposed.as_slice()),
        };
        let joining = proposed.iter().filter(|id| !committed.contains(id));
        committed.iter().chain(joining).copied()
    }

    /// Whether a change is in flight. Then the leader proposes no other change.
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
