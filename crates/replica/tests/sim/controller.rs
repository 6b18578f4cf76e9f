//! The controller as brokers see it: registrations, sessions, elections from the ISR, and
//! AlterPartition. It never fails.

use crate::random::Random;
use model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, PartitionEpoch};
use replica::{BrokerStanding, CommittedIsr, IsrProposal, PartitionState};
use std::collections::BTreeMap;

/// A broker is fenced after this time without a heartbeat.
const SESSION_MS: u64 = 300;

/// The published metadata.
#[derive(Clone, Debug)]
pub struct Image {
    pub version: u64,
    pub leader: Option<BrokerId>,
    pub leader_epoch: LeaderEpoch,
    pub partition_epoch: PartitionEpoch,
    pub replicas: Vec<BrokerId>,
    pub isr: Vec<BrokerId>,
    pub brokers: BTreeMap<BrokerId, BrokerStanding>,
}

impl Image {
    pub fn state(&self) -> PartitionState<'_> {
        PartitionState {
            leader: self.leader,
            leader_epoch: self.leader_epoch,
            partition_epoch: self.partition_epoch,
            replicas: &self.replicas,
            isr: &self.isr,
        }
    }

    pub fn standing(&self, id: BrokerId) -> Option<BrokerStanding> {
        self.brokers.get(&id).copied()
    }

    fn may_lead(&self, id: BrokerId) -> bool {
        self.standing(id).is_some_and(|it| !it.is_fenced && !it.is_shutting_down)
    }
}

#[derive(Clone, Copy, Debug)]
struct Session {
    incarnation: u32,
    heard: u64,
    is_gone: bool,
    /// The number of the last AlterPartition.
    altered: u64,
}

/// The controller.
#[derive(Debug)]
pub struct Controller {
    image: Image,
    sessions: BTreeMap<BrokerId, Session>,
    is_unclean: bool,
}

impl Controller {
    pub fn new(replicas: Vec<BrokerId>, is_unclean: bool) -> Controller {
        let image = Image {
            version: 0,
            leader: None,
            leader_epoch: LeaderEpoch(0),
            partition_epoch: PartitionEpoch(0),
            isr: replicas.clone(),
            replicas,
            brokers: BTreeMap::new(),
        };
        Controller { image, sessions: BTreeMap::new(), is_unclean }
    }

    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Registers an incarnation of a broker, which is fenced until its first heartbeat. One that
    /// lost records leaves the ISR.
    pub fn register(&mut self, id: BrokerId, incarnation: u32, has_lost: bool, now: u64) -> Option<BrokerEpoch> {
        let known = self.sessions.get(&id).map(|session| session.incarnation);
        if known > Some(incarnation) {
            return None;
        }
        if known < Some(incarnation) {
            self.sessions.insert(id, Session { incarnation, heard: now, is_gone: false, altered: 0 });
            self.image.version += 1;
            let epoch = BrokerEpoch(self.image.version as i64);
            let standing = BrokerStanding { epoch, is_fenced: true, is_shutting_down: false };
            self.image.brokers.insert(id, standing);
            self.leave(id, has_lost);
        }
        self.image.standing(id).map(|it| it.epoch)
    }

    /// Takes a broker out of the ISR and out of the leadership. The last member stays in the ISR,
    /// unless it lost records and another one may lead.
    fn leave(&mut self, id: BrokerId, has_lost: bool) {
        let mut isr = self.image.isr.clone();
        if isr.len() > 1 {
            isr.retain(|member| *member != id);
        }
        assert!(!has_lost || !isr.contains(&id) || self.is_unclean, "the course lets the last member of the ISR lose");
        let leader = self.image.leader.filter(|leader| *leader != id);
        self.change(leader, isr);
        self.elect();
    }

    fn change(&mut self, leader: Option<BrokerId>, isr: Vec<BrokerId>) {
        let is_new_leader = leader != self.image.leader;
        if !is_new_leader && isr == self.image.isr {
            return;
        }
        self.image.version += 1;
        self.image.leader = leader;
        self.image.leader_epoch.0 += i32::from(is_new_leader);
        self.image.partition_epoch.0 += 1;
        self.image.isr = isr;
    }

    fn elect(&mut self) {
        if self.image.leader.is_some() {
            return;
        }
        let first = |of: &[BrokerId]| of.iter().copied().find(|id| self.image.may_lead(*id));
        if let Some(leader) = first(&self.image.isr) {
            return self.change(Some(leader), self.image.isr.clone());
        }
        if let Some(leader) = first(&self.image.replicas).filter(|_| self.is_unclean) {
            self.change(Some(leader), vec![leader]);
        }
    }

    /// Returns whether the broker may shut down now. `None` if the heartbeat is of an older
    /// registration.
    pub fn heartbeat(&mut self, id: BrokerId, epoch: BrokerEpoch, is_leaving: bool, now: u64) -> Option<bool> {
        self.sessions.get(&id).filter(|session| !session.is_gone)?;
        let standing = self.image.brokers.get_mut(&id).filter(|it| it.epoch == epoch)?;
        if standing.is_fenced || standing.is_shutting_down != is_leaving {
            standing.is_fenced = false;
            standing.is_shutting_down = is_leaving;
            self.image.version += 1;
        }
        if let Some(session) = self.sessions.get_mut(&id) {
            session.heard = now;
        }
        if is_leaving {
            let others: Vec<BrokerId> = self.image.isr.iter().copied().filter(|member| *member != id).collect();
            if others.iter().any(|member| self.image.may_lead(*member)) {
                self.leave(id, false);
            }
        }
        self.elect();
        Some(self.image.leader != Some(id))
    }

    /// Notices at once that a broker is gone: its connection has ended, and brings no heartbeat any
    /// more.
    pub fn gone(&mut self, id: BrokerId) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.is_gone = true;
        }
        self.fence(id);
    }

    fn fence(&mut self, id: BrokerId) {
        let Some(standing) = self.image.brokers.get_mut(&id).filter(|it| !it.is_fenced) else { return };
        standing.is_fenced = true;
        self.image.version += 1;
        self.leave(id, false);
    }

    /// Fences brokers whose sessions are over.
    pub fn expire(&mut self, now: u64) {
        let is_over = |session: &Session| session.heard + SESSION_MS < now;
        let over: Vec<BrokerId> =
            self.sessions.iter().filter(|(_, session)| is_over(session)).map(|(id, _)| *id).collect();
        over.into_iter().for_each(|id| self.fence(id));
    }

    /// Gives the leadership to another member of the ISR, as the balance of leaders does.
    pub fn balance(&mut self, random: &mut Random) {
        let Some(leader) = self.image.leader else { return };
        let others: Vec<BrokerId> =
            self.image.isr.iter().copied().filter(|id| *id != leader && self.image.may_lead(*id)).collect();
        if !others.is_empty() {
            self.change(Some(random.pick(&others)), self.image.isr.clone());
        }
    }

    /// Whether an AlterPartition comes in its turn. A broker sends them over one connection, one at
    /// a time. If an older copy of a proposal could arrive after a newer one was refused, the
    /// refusal would say nothing.
    pub fn is_in_turn(&mut self, id: BrokerId, incarnation: u32, request: u64) -> bool {
        let session = self.sessions.get_mut(&id).filter(|session| session.incarnation == incarnation);
        session.is_some_and(|session| {
            let is_newer = request > session.altered;
            session.altered = session.altered.max(request);
            is_newer
        })
    }

    /// Changes the ISR as a leader asks (AlterPartition).
    pub fn alter(
        &mut self,
        id: BrokerId,
        epoch: BrokerEpoch,
        proposal: &IsrProposal,
    ) -> Result<CommittedIsr, ErrorCode> {
        let image = &self.image;
        if image.standing(id).is_none_or(|it| it.epoch != epoch) {
            return Err(ErrorCode::StaleBrokerEpoch);
        }
        if proposal.leader_epoch > image.leader_epoch || proposal.partition_epoch > image.partition_epoch {
            return Err(ErrorCode::NotController);
        }
        if proposal.leader_epoch < image.leader_epoch {
            return Err(ErrorCode::FencedLeaderEpoch);
        }
        if image.leader != Some(id) {
            return Err(ErrorCode::InvalidRequest);
        }
        if proposal.partition_epoch < image.partition_epoch {
            return Err(ErrorCode::InvalidUpdateVersion);
        }
        let isr: Vec<BrokerId> = proposal.isr.iter().map(|(id, _)| *id).collect();
        if !isr.contains(&id) || isr.iter().any(|member| !image.replicas.contains(member)) {
            return Err(ErrorCode::InvalidRequest);
        }
        let is_eligible = |(id, epoch): &(BrokerId, Option<BrokerEpoch>)| {
            image.may_lead(*id) && epoch.is_none_or(|epoch| image.standing(*id).is_some_and(|it| it.epoch == epoch))
        };
        if !proposal.isr.iter().all(is_eligible) {
            return Err(ErrorCode::IneligibleReplica);
        }
        self.change(Some(id), isr.clone());
        Ok(CommittedIsr { isr, leader_epoch: self.image.leader_epoch, partition_epoch: self.image.partition_epoch })
    }
}
