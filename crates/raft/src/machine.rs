//! `Raft`: one replica of the metadata log.

use crate::action::Action;
use crate::control::ControlRecord;
use crate::event::{Event, Fault};
use crate::history::{QuorumHistory, Since};
use crate::log_facts::LogFacts;
use crate::quorum_state::ElectionState;
use crate::state::{Role, RoleName, Unattached};
use crate::timing::{Now, Random, Timeouts};
use crate::voters::{KRaftVersion, ReplicaKey, VoterSet};
use model::{BrokerId, LeaderEpoch, Offset};
use std::collections::BTreeMap;

/// What does not change while the node runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// This replica: `node.id`, and the `directory.id` of the metadata log dir's `meta.properties`.
    pub local: ReplicaKey,
    /// `controller.quorum.voters`, empty where it is not set.
    pub configured_voters: VoterSet,
    /// The times of `controller.quorum.*`.
    pub timeouts: Timeouts,
}

/// What the driver found on disk.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The content of `quorum-state`, `None` where there is no such file.
    pub election: Option<ElectionState>,
    /// The log's facts, after recovery.
    pub log: LogFacts,
    /// The control records of the newest snapshot, as of the offset before its end (`None` for the bootstrap snapshot), then those of the log
    /// from there on, ascending.
    pub control_records: Vec<(Since, ControlRecord)>,
}

/// A replica of the metadata log, as a machine: events in, actions out.
#[derive(Clone, Debug)]
pub struct Raft {
    pub(crate) config: Config,
    pub(crate) random: Random,
    pub(crate) quorum: QuorumHistory,
    pub(crate) log: LogFacts,
    /// How far the log is known to be on disk.
    pub(crate) flushed: Offset,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) role: Role,
    pub(crate) high_watermark: Option<Offset>,
    /// What `quorum-state` holds.
    pub(crate) persisted: Option<ElectionState>,
    /// The leader and epoch of the last `LeaderChanged`.
    pub(crate) announced: Option<(Option<BrokerId>, LeaderEpoch)>,
    /// Requests that were sent and not answered.
    pub(crate) in_flight: BTreeMap<u64, InFlight>,
    /// Per replica, when it may be sent the next request.
    pub(crate) retry_at: BTreeMap<BrokerId, u64>,
    pub(crate) next_request: u64,
    pub(crate) stopping: bool,
    pub(crate) out: Vec<Action>,
}

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) to: BrokerId,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) kind: RequestKind,
}

/// Which request it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    PreVote,
    Vote,
    BeginQuorumEpoch,
    EndQuorumEpoch,
}

impl Raft {
    /// Starts a replica from what is on disk. The only voter of a quorum leads at once, with the actions that this answers.
    pub fn start(config: Config, stored: Stored, seed: u64, now: Now) -> Result<(Self, Vec<Action>), Fault> {
        let mut quorum = QuorumHistory::new(config.configured_voters.clone());
        for (since, record) in &stored.control_records {
            quorum.apply(*since, record);
        }
        let role = Role::Unattached(Unattached { leader: None, voted: None, deadline: 0 });
        let mut raft = Self {
            random: Random(seed),
            quorum,
            flushed: stored.log.start,
            epoch: LeaderEpoch(0),
            role,
            high_watermark: None,
            persisted: stored.election,
            announced: None,
            in_flight: BTreeMap::new(),
            retry_at: BTreeMap::new(),
            next_request: 0,
            stopping: false,
            out: Vec::new(),
            log: stored.log,
            config,
        };
        raft.enter_first_role(stored.election.unwrap_or_default(), now);
        raft.proceed(now)?;
        let actions = raft.take_actions();
        Ok((raft, actions))
    }

    /// Takes an event and answers what is to be done, in order.
    pub fn step(&mut self, event: Event, now: Now) -> Result<Vec<Action>, Fault> {
        match event {
            Event::Tick => {}
            Event::Flushed { end } => self.log_flushed(end),
            Event::Request { id, request } => self.answer(id, request, now),
            Event::Response { id, result } => self.take_response(id, result, now),
            Event::SnapshotMade(snapshot) => self.log.latest_snapshot = self.log.latest_snapshot.max(Some(snapshot)),
            Event::LogStartMoved { start } => {
                self.log.starts_at(start);
                self.quorum.forget_before(start);
            }
            Event::Resign { epoch } => self.resign(epoch, now),
            Event::Stop => self.begin_stop(now),
        }
        self.proceed(now)?;
        Ok(self.take_actions())
    }

    /// The moment, in monotonic milliseconds, at which the driver gives `Event::Tick`; `None` when nothing is due by time alone.
    pub fn next_deadline(&self) -> Option<u64> {
        let retries = self.retry_at.values().copied().filter(|_| self.has_requests_to_send());
        let deadline = retries.chain([self.role.deadline()]).min();
        deadline.filter(|deadline| *deadline != crate::state::NEVER)
    }

    /// The epoch this replica is in.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// The state this replica is in.
    pub fn role(&self) -> RoleName {
        self.role.name()
    }

    /// The epoch's leader, if it is known. A leader that has resigned still counts, as in `quorum-state`; see `role`.
    pub fn leader(&self) -> Option<BrokerId> {
        self.role.leader(self.config.local.id)
    }

    /// Whether this replica leads its epoch.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// The exclusive end of what is committed, once it is known.
    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    /// The facts of the log, as they are once all actions are done.
    pub fn log(&self) -> &LogFacts {
        &self.log
    }

    /// The voters, those of records that are not yet committed included.
    pub fn voters(&self) -> &VoterSet {
        self.quorum.voters()
    }

    /// `kraft.version`.
    pub fn kraft_version(&self) -> KRaftVersion {
        self.quorum.kraft_version()
    }

    /// What a snapshot that ends at `end` must say of `kraft.version` and the voters.
    pub fn quorum_at(&self, end: Offset) -> (KRaftVersion, &VoterSet) {
        self.quorum.at_end(end)
    }

    /// Whether this replica votes.
    pub fn is_voter(&self) -> bool {
        self.voters().contains(&self.config.local)
    }

    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.out)
    }

    /// Moves on as far as it goes without another event: deadlines that have passed, elections that are decided, requests that are due.
    fn proceed(&mut self, now: Now) -> Result<(), Fault> {
        // Each round changes the state once; a lone voter needs three from unattached to leader.
        for _ in 0..8 {
            if !self.move_on(now)? {
                break;
            }
        }
        self.send_due(now);
        Ok(())
    }
}
