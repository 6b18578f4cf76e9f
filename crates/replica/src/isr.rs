//! The ISR, and a change of it that the controller has not answered yet.

use crate::planted::{Bug, is_planted};
use model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Offset, PartitionEpoch};

/// A change of the ISR that a leader asks the controller for (AlterPartition).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IsrProposal {
    /// The proposed ISR, with the broker epoch under which each follower fetched. The leader's own
    /// entry has none: who sends the proposal fills in the epoch of this broker's registration.
    pub isr: Vec<(BrokerId, Option<BrokerEpoch>)>,
    /// The leader epoch of the leader that proposes.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch that the change is based on.
    pub partition_epoch: PartitionEpoch,
}

/// What the controller committed for a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommittedIsr {
    /// The ISR.
    pub isr: Vec<BrokerId>,
    /// The leader epoch.
    pub leader_epoch: LeaderEpoch,
    /// The partition epoch after the change.
    pub partition_epoch: PartitionEpoch,
}

/// What follows from the controller's answer to a proposal, or from the lack of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProposalOutcome {
    /// The leader has gone on meanwhile. Nothing changes.
    Stale,
    /// The change is committed. The high watermark may have moved.
    Committed(Option<Offset>),
    /// The controller says that the change was not applied. The leader is free to propose another.
    Withdrawn,
    /// The controller may have applied the change or not. The same proposal is sent again.
    SendAgain(IsrProposal),
    /// The leader acts on an old state of the partition. It waits for both ISRs until it has read
    /// the newer state.
    AwaitsImage,
}

/// What a refused proposal tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NotApplied,
    OldState,
    Unknown,
}

/// How the errors of AlterPartition are classified, as in Kafka. Only two codes say that the
/// partition epoch is current and that nothing was applied.
pub(crate) fn classify_refusal(code: ErrorCode) -> Refusal {
    match code {
        ErrorCode::OperationNotAttempted | ErrorCode::IneligibleReplica => Refusal::NotApplied,
        ErrorCode::UnknownTopicOrPartition
        | ErrorCode::UnknownTopicId
        | ErrorCode::FencedLeaderEpoch
        | ErrorCode::InvalidUpdateVersion
        | ErrorCode::InvalidRequest
        | ErrorCode::NewLeaderElected => Refusal::OldState,
        _ if is_planted(Bug::UnansweredProposalDropped) => Refusal::NotApplied,
        _ => Refusal::Unknown,
    }
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
        /// The change.
        proposal: IsrProposal,
    },
}

impl Isr {
    /// Returns the ISR at the controller.
    pub fn committed(&self) -> &[BrokerId] {
        match self {
            Isr::Committed(committed) | Isr::Pending { committed, .. } => committed,
        }
    }

    /// Returns the change that is in flight.
    pub fn proposal(&self) -> Option<&IsrProposal> {
        match self {
            Isr::Committed(_) => None,
            Isr::Pending { proposal, .. } => Some(proposal),
        }
    }

    /// Returns every replica that may be in the ISR by now, each once (KIP-497). The high watermark
    /// waits for all of them: it is not known which of the two ISRs the controller elects from.
    pub fn maximal(&self) -> impl Iterator<Item = BrokerId> + '_ {
        let proposed = self.proposal().map_or(&[][..], |proposal| &proposal.isr);
        let is_only_proposed = is_planted(Bug::MaximalIsrIgnored) && self.is_pending();
        let committed = if is_only_proposed { &[][..] } else { self.committed() };
        let joining = proposed.iter().map(|(id, _)| *id).filter(|id| !committed.contains(id));
        committed.iter().copied().chain(joining)
    }

    /// Whether a change is in flight. Then the leader proposes no other change.
    pub fn is_pending(&self) -> bool {
        self.proposal().is_some()
    }

    pub(crate) fn propose(&mut self, proposal: IsrProposal) {
        *self = Isr::Pending { committed: self.committed().to_vec(), proposal };
    }

    pub(crate) fn withdraw(&mut self) {
        *self = Isr::Committed(self.committed().to_vec());
    }
}
