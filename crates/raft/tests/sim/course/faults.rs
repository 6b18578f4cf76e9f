//! The faults, and how the quorum comes to rest after them.

use super::{ADMIN, FORGOTTEN_MS, REST_MS, World, endpoint, key};
use crate::Check;
use crate::disk::Disk;
use crate::node::{Asker, Effect};
use model::{LeaderEpoch, Offset};
use raft::{Event, QuorumRequest, Voter, VoterChange, VoterChangeRequest, VoterSet};

/// A fault.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// A node is killed. Its page cache stays.
    Kill,
    /// A node loses its power.
    PowerCut,
    /// All nodes lose their power at once.
    Blackout,
    /// The node that leads is killed.
    KillLeader,
    Pause,
    PauseLeader,
    Stop,
    Resign,
    CutOneWay,
    CutOff,
    CutInTwo,
    Heal,
    Snapshot,
    DeleteOld,
    SwapDisk,
    AddVoter,
    RemoveVoter,
    Upgrade,
}

const FAULTS: [Fault; 34] = [
    Fault::Kill,
    Fault::Kill,
    Fault::PowerCut,
    Fault::PowerCut,
    Fault::Blackout,
    Fault::KillLeader,
    Fault::KillLeader,
    Fault::Pause,
    Fault::PauseLeader,
    Fault::PauseLeader,
    Fault::Stop,
    Fault::Resign,
    Fault::CutOneWay,
    Fault::CutOneWay,
    Fault::CutOff,
    Fault::CutOff,
    Fault::CutInTwo,
    Fault::Heal,
    Fault::Heal,
    Fault::Heal,
    Fault::Snapshot,
    Fault::Snapshot,
    Fault::Snapshot,
    Fault::DeleteOld,
    Fault::DeleteOld,
    Fault::SwapDisk,
    Fault::AddVoter,
    Fault::AddVoter,
    Fault::AddVoter,
    Fault::RemoveVoter,
    Fault::RemoveVoter,
    Fault::Upgrade,
    Fault::Upgrade,
    Fault::Upgrade,
];

impl World {
    pub(super) fn fault(&mut self) -> Check {
        if self.is_at_rest {
            return Ok(());
        }
        let wait = self.random.within(1, 2 * self.temper.fault_every_ms);
        self.happens_in(u64::try_from(wait).unwrap(), super::Happening::Fault);
        let fault = self.random.pick(&FAULTS);
        let node = self.random.below(self.nodes.len());
        if self.is_printed {
            println!("{:>6} {fault:?} {}", self.time, node + 1);
        }
        match fault {
            Fault::Kill => self.kill_soon(node),
            Fault::PowerCut => self.lose_power(node),
            Fault::Blackout => (0..self.nodes.len()).for_each(|node| self.lose_power(node)),
            Fault::KillLeader => {
                if let Some(leader) = self.leading() {
                    self.lose_power(leader);
                }
            }
            Fault::Pause => self.pause(node),
            Fault::PauseLeader => {
                if let Some(leader) = self.leading() {
                    self.pause(leader);
                }
            }
            Fault::Stop => return self.on(node, |_, _| Event::Stop),
            Fault::Resign => return self.on(node, |world, node| world.resign(node)),
            Fault::CutOneWay => {
                let other = self.random.below(self.nodes.len());
                self.cut.insert((node, other));
            }
            Fault::CutOff => self.part(|other| other == node),
            Fault::CutInTwo => {
                let middle = self.random.next();
                self.part(|other| (middle >> other) & 1 == 0);
            }
            Fault::Heal => self.cut.clear(),
            Fault::Snapshot => return self.snapshot(node),
            Fault::DeleteOld => return self.delete_old(node),
            Fault::SwapDisk => self.swap_disk(node),
            Fault::AddVoter => return self.change_voters(|world, voters| world.addition(voters, node)),
            Fault::RemoveVoter => return self.change_voters(|world, voters| world.removal(voters, node)),
            Fault::Upgrade => {
                return self
                    .change_voters(|world, _| (!world.temper.is_dynamic).then_some(VoterChange::UpgradeKRaftVersion));
            }
        }
        Ok(())
    }

    /// Asks the leader to change the voters.
    fn change_voters(&mut self, change: impl Fn(&Self, &VoterSet) -> Option<VoterChange>) -> Check {
        let leader = self.leading().filter(|leader| self.paused_until[*leader] <= self.time);
        let Some(leader) = leader.filter(|_| self.temper.changes) else { return Ok(()) };
        let Some(running) = &self.nodes[leader].running else { return Ok(()) };
        let Some(change) = change(self, running.raft.voters()) else { return Ok(()) };
        let waits_for_commit = self.random.chance(70);
        let request = QuorumRequest::ChangeVoters(VoterChangeRequest { epoch: None, change, waits_for_commit });
        let asker = Asker { node: ADMIN, run: 0, id: 0 };
        let now = self.nodes[leader].clock.now(self.time);
        let mut effects = Vec::new();
        self.nodes[leader].ask(asker, request, now, &mut self.ledger, &mut effects)?;
        self.after(leader, effects)
    }

    fn addition(&self, voters: &VoterSet, node: usize) -> Option<VoterChange> {
        let key = self.nodes[node].key();
        let is_new = voters.get(key.id).is_none();
        let voter = Voter { key, endpoints: vec![endpoint(node)], kraft_versions: (0, 1) };
        is_new.then_some(VoterChange::Add(voter))
    }

    /// Once a disk is lost, only its voter is removed: the others are needed.
    fn removal(&self, voters: &VoterSet, node: usize) -> Option<VoterChange> {
        let key = self.retired.as_ref().map_or(self.nodes[node].key(), |(key, _)| *key);
        voters.contains(&key).then_some(VoterChange::Remove(key))
    }

    /// Gives a node that runs an event.
    fn on(&mut self, node: usize, event: impl Fn(&Self, usize) -> Event) -> Check {
        if self.nodes[node].running.is_none() || self.paused_until[node] > self.time {
            return Ok(());
        }
        let event = event(self, node);
        let mut effects = Vec::new();
        self.step(node, event, &mut effects)?;
        self.after(node, effects)
    }

    fn resign(&self, node: usize) -> Event {
        let epoch = self.nodes[node].running.as_ref().map(|running| running.raft.epoch());
        Event::Resign { epoch: epoch.unwrap_or_default() }
    }

    /// The node that leads the highest epoch.
    pub(super) fn leading(&self) -> Option<usize> {
        let epoch = |node: usize| self.nodes[node].running.as_ref().filter(|running| running.raft.is_leader());
        (0..self.nodes.len())
            .filter_map(|node| Some((epoch(node)?.raft.epoch(), node)))
            .max_by_key(|(epoch, _)| *epoch)
            .map(|(_, node)| node)
    }

    /// A node is killed between two of its next actions. Its page cache stays.
    fn kill_soon(&mut self, node: usize) {
        self.nodes[node].fuse = Some(u64::try_from(self.random.below(12)).unwrap());
    }

    fn lose_power(&mut self, node: usize) {
        let lost = self.nodes[node].disk.unsynced_count();
        let kept = if self.random.chance(50) { 0 } else { self.random.below(lost + 1) };
        self.nodes[node].disk.lose_power(kept);
        self.nodes[node].fuse = None;
        if self.nodes[node].running.is_some() {
            self.nodes[node].end();
            self.fell(node);
        }
    }

    fn pause(&mut self, node: usize) {
        let ms = self.random.within(1, 8_000);
        self.paused_until[node] = self.time + u64::try_from(ms).unwrap();
    }

    /// Cuts the links between the nodes of one side and the others.
    fn part(&mut self, is_one_side: impl Fn(usize) -> bool) {
        for from in 0..self.nodes.len() {
            for to in 0..self.nodes.len() {
                if is_one_side(from) != is_one_side(to) {
                    self.cut.insert((from, to));
                }
            }
        }
    }

    fn snapshot(&mut self, node: usize) -> Check {
        let now = self.nodes[node].clock.now(self.time);
        let mut effects = Vec::new();
        self.nodes[node].snapshot(now, &mut self.ledger, &mut effects)?;
        self.after(node, effects)
    }

    fn delete_old(&mut self, node: usize) -> Check {
        let now = self.nodes[node].clock.now(self.time);
        let kept = self.random.below(2);
        let mut effects: Vec<Effect> = Vec::new();
        self.nodes[node].delete_old(kept, now, &mut self.ledger, &mut effects)?;
        self.after(node, effects)
    }

    /// The disk of one voter of a dynamic quorum is replaced by an empty one. Its node is an
    /// observer from then on.
    fn swap_disk(&mut self, node: usize) {
        let is_spare = |running: &crate::node::Running| running.raft.voters().len() >= 3;
        // In a small set of voters, its loss would be the loss of the majority.
        let has_spare = self.nodes.iter().all(|node| node.running.as_ref().is_some_and(is_spare));
        let can_lose = self.temper.is_dynamic && self.temper.voters >= 3 && has_spare;
        let leader = self.leading().and_then(|leader| self.nodes[leader].running.as_ref());
        let is_voter = leader.is_some_and(|running| running.raft.voters().contains(&self.nodes[node].key()));
        if self.retired.is_some() || !can_lose || !is_voter {
            return;
        }
        self.lose_power(node);
        let disk = std::mem::replace(&mut self.nodes[node].disk, Disk::format(None));
        self.retired = Some((self.nodes[node].key(), disk));
        self.nodes[node].config.local = key(node, 1);
    }

    /// Ends all faults. Then one leader commits, and all logs are equal.
    pub(super) fn come_to_rest(&mut self) -> Check {
        self.is_at_rest = true;
        self.cut.clear();
        self.paused_until.iter_mut().for_each(|until| *until = 0);
        let temper = &mut self.temper;
        (temper.drop_percent, temper.damage_percent, temper.late_percent) = (0, 0, 0);
        (temper.delay_ms, temper.fsync_ms, temper.propose_every_ms) = (10, 5, 500);
        for node in 0..self.nodes.len() {
            self.nodes[node].fuse = None;
            self.happens_in(1, super::Happening::Start { node });
        }
        let by = self.time + REST_MS;
        let mut last = None;
        while self.time < by {
            self.go_on()?;
            let epoch = self.leading_epoch();
            // What a leader appended and did not commit is gone with it.
            last = last.filter(|(led, _)| Some(*led) == epoch);
            if last.is_none() && self.time > by - REST_MS + 4_000 {
                last = self.propose_last()?;
            }
            if last.is_some_and(|(_, end)| self.has_everywhere(end)) {
                return self.check_rest();
            }
        }
        Err(format!("the quorum comes back once faults stop: {}", self.shown()))
    }

    fn leading_epoch(&self) -> Option<LeaderEpoch> {
        let running = self.nodes[self.leading()?].running.as_ref()?;
        Some(running.raft.epoch())
    }

    /// A leader appends one more record. Returns its epoch, and the log end that all shall reach.
    fn propose_last(&mut self) -> Check<Option<(LeaderEpoch, Offset)>> {
        let Some(leader) = self.leading() else { return Ok(None) };
        if !self.propose_at(leader)? {
            return Ok(None);
        }
        Ok(self.nodes[leader].running.as_ref().map(|running| (running.raft.epoch(), running.raft.log().end)))
    }

    /// Whether all nodes have committed this and agree on the voters.
    fn has_everywhere(&self, end: Offset) -> bool {
        let voters = self.nodes[0].running.as_ref().map(|running| running.raft.voters());
        let is_there = |running: &crate::node::Running| {
            running.applied >= end && Some(running.raft.voters()) == voters && !running.raft.voters().is_empty()
        };
        self.nodes.iter().all(|node| node.running.as_ref().is_some_and(is_there))
    }

    /// All nodes follow one leader, and no fetch was forgotten.
    fn check_rest(&self) -> Check {
        for (number, node) in self.nodes.iter().enumerate() {
            let Some(running) = &node.running else { continue };
            let now = node.clock.now(self.time).monotonic.0;
            let oldest = running.answering.values().map(|(_, since)| *since).min();
            if oldest.is_some_and(|since| now.saturating_sub(since) > FORGOTTEN_MS) {
                return Err(format!("every request is answered: one waits at node {}", number + 1));
            }
            if self.ledger.digest(running.applied) != Some(running.image) {
                return Err(format!("images are equal at equal offsets: node {}", number + 1));
            }
        }
        Ok(())
    }

    fn shown(&self) -> String {
        let node = |(number, node): (usize, &crate::node::Node)| match &node.running {
            None => format!("{} is down", number + 1),
            Some(running) => {
                let raft = &running.raft;
                let (role, epoch, end) = (raft.role(), raft.epoch(), raft.log().end);
                let voters: Vec<_> = raft.voters().ids().collect();
                format!("{} {role:?} in {epoch} to {end} hw {:?} {voters:?}", number + 1, raft.high_watermark())
            }
        };
        self.nodes.iter().enumerate().map(node).collect::<Vec<_>>().join(", ")
    }
}
