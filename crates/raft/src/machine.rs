//! `Raft`: one replica of the metadata log.

use crate::action::Action;
use crate::control::ControlRecord;
use crate::event::{Event, Fault};
use crate::history::{QuorumHistory, Since};
use crate::log_facts::LogFacts;
use crate::quorum_state::ElectionState;
use crate::state::{Role, RoleName, Unattached};
use crate::timing::{Now, Random, Timeouts};
use crate::voters::{Endpoint, KRaftVersion, ReplicaKey, Voter, VoterSet};
use model::{BrokerId, LeaderEpoch, Monotonic, Offset};
use std::collections::BTreeMap;

/// The configuration, which does not change while the node runs.
#[derive(Clone, Debug)]
pub struct Config {
    /// This replica: `node.id`, and the `directory.id` in `meta.properties` of the metadata log
    /// dir.
    pub local: ReplicaKey,
    /// The controller listeners that this node advertises, the preferred one first. Empty on a node
    /// that is only a broker.
    pub endpoints: Vec<Endpoint>,
    /// `controller.quorum.voters`, empty if it is not set.
    pub configured_voters: VoterSet,
    /// `controller.quorum.bootstrap.servers`, without this node's own endpoints. While no leader is
    /// known, they are asked for it in turn. If there are none, the configured voters are asked.
    pub bootstrap_servers: Vec<Endpoint>,
    /// `controller.quorum.auto.join.enable`: whether a controller that is no voter becomes one.
    pub auto_join: bool,
    /// The limits of what a follower fetches at once.
    pub fetch_limits: FetchLimits,
    /// The timeouts of `controller.quorum.*`.
    pub timeouts: Timeouts,
}

/// The limits of what a follower asks for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// `controller.quorum.fetch.max.bytes`
    pub log_bytes: u32,
    /// `controller.quorum.fetch.snapshot.max.bytes`
    pub snapshot_bytes: u32,
}

impl Default for FetchLimits {
    /// Returns Kafka's defaults.
    fn default() -> Self {
        Self { log_bytes: 1024 * 1024, snapshot_bytes: 1024 * 1024 }
    }
}

/// What the driver read from disk.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    /// The content of `quorum-state`, `None` if the file does not exist.
    pub election: Option<ElectionState>,
    /// The facts about the log, after recovery.
    pub log: LogFacts,
    /// The control records of the newest snapshot, with the offset before its end (`None` for the
    /// bootstrap snapshot), then those of the log from there on, ascending.
    pub control_records: Vec<(Since, ControlRecord)>,
}

/// A replica of the metadata log, as a machine: it takes events and returns actions.
#[derive(Clone, Debug)]
pub struct Raft {
    pub(crate) config: Config,
    pub(crate) random: Random,
    pub(crate) quorum: QuorumHistory,
    pub(crate) log: LogFacts,
    /// The offset up to which the log is known to be fsynced.
    pub(crate) flushed: Offset,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) role: Role,
    pub(crate) high_watermark: Option<Offset>,
    /// The content of `quorum-state`.
    pub(crate) persisted: Option<ElectionState>,
    /// The leader and epoch of the last `LeaderChanged`, and whether the leader's address was
    /// known.
    pub(crate) announced: Option<(Option<BrokerId>, LeaderEpoch, bool)>,
    /// Requests that were sent and are not answered.
    pub(crate) in_flight: BTreeMap<u64, InFlight>,
    /// For each replica, the time when the next request may be sent to it.
    pub(crate) retry_at: BTreeMap<Peer, u64>,
    pub(crate) next_request: u64,
    /// The bootstrap server, or the voter, that is asked next for the leader.
    pub(crate) next_bootstrap: usize,
    /// The endpoints of the leader of an epoch, as another replica told them.
    pub(crate) heard_endpoints: (LeaderEpoch, Vec<Endpoint>),
    /// The leader that this replica followed last, and when it last answered.
    pub(crate) last_answer: Option<(BrokerId, Monotonic)>,
    /// The voters' record by which this replica acts, and whether it may stand for election by it.
    pub(crate) adopted_voters: (Option<Since>, bool),
    pub(crate) stopping: bool,
    pub(crate) stopped: bool,
    pub(crate) out: Vec<Action>,
}

/// A request that is not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct InFlight {
    pub(crate) to: Peer,
    pub(crate) epoch: LeaderEpoch,
    pub(crate) kind: RequestKind,
}

/// Another replica, as this one knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Peer {
    /// By its id.
    Replica(BrokerId),
    /// By its number in `bootstrap_servers`.
    Bootstrap(usize),
}

/// The kind of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    PreVote,
    Vote,
    BeginQuorumEpoch,
    EndQuorumEpoch,
    Fetch,
    FetchSnapshot,
    ChangeVoters,
}

impl RequestKind {
    pub(crate) fn is_fetch(self) -> bool {
        matches!(self, Self::Fetch | Self::FetchSnapshot)
    }
}

impl Raft {
    /// Starts a replica from what is on disk. The only voter of a quorum leads at once, by the
    /// returned actions.
    pub fn start(config: Config, mut stored: Stored, seed: u64, now: Now) -> Result<(Self, Vec<Action>), Fault> {
        let mut quorum = QuorumHistory::new(config.configured_voters.clone());
        for (since, record) in &stored.control_records {
            quorum.apply(*since, record);
        }
        let role = Role::Unattached(Unattached { leader: None, voted: None, deadline: 0 });
        // A kill may have left snapshots that end before the log begins.
        let start = stored.log.start;
        stored.log.snapshots.retain(|snapshot| snapshot.end >= start);
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
            next_bootstrap: usize::try_from(seed % 1024).unwrap_or(0),
            heard_endpoints: (LeaderEpoch(0), Vec::new()),
            last_answer: None,
            adopted_voters: (None, false),
            stopping: false,
            stopped: false,
            out: Vec::new(),
            log: stored.log,
            config,
        };
        raft.adopted_voters = (raft.quorum.voters_since(), raft.may_stand());
        raft.enter_first_role(stored.election.unwrap_or_default(), now);
        raft.proceed(now)?;
        if !raft.is_leader() && raft.flushed < raft.log.end {
            // What was found in the log may never have been fsynced.
            raft.out.push(Action::Flush { end: raft.log.end_offset() });
        }
        let actions = raft.take_actions();
        Ok((raft, actions))
    }

    /// Handles an event. Returns the actions, in order.
    pub fn step(&mut self, event: Event, now: Now) -> Result<Vec<Action>, Fault> {
        if self.stopped {
            return Ok(Vec::new());
        }
        match event {
            Event::Tick => {}
            Event::Flushed { end } => self.log_flushed(end),
            Event::Request { id, request } => self.answer(id, request, now)?,
            Event::Response { id, result } => self.take_response(id, result, now)?,
            Event::SnapshotMade(snapshot) => self.log.has_snapshot(snapshot),
            Event::SnapshotChecked { id, control_records } => {
                self.snapshot_checked(id, control_records.as_deref(), now);
            }
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

    /// Returns the time, in monotonic milliseconds, at which the driver gives `Event::Tick`.
    /// Returns `None` if nothing depends on time alone.
    pub fn next_deadline(&self) -> Option<u64> {
        if self.stopped {
            return None;
        }
        let to_ask: Vec<Peer> = if self.wants_to_fetch() { self.fetch_peers() } else { Vec::new() };
        let peers = self.receivers().into_iter().map(Peer::Replica).chain(to_ask);
        let is_waiting = |peer: &Peer| !self.in_flight.values().any(|sent| sent.to == *peer);
        let retries = peers.filter(is_waiting).filter_map(|peer| self.retry_at.get(&peer).copied());
        let of_role = match &self.role {
            Role::Leader(leader) => leader.next_deadline(),
            role => role.deadline(),
        };
        let membership = self.membership_due().map(|(due, _)| due);
        retries.chain(membership).chain([of_role]).min().filter(|deadline| *deadline != crate::state::NEVER)
    }

    /// Returns the current epoch.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Returns the state of this replica.
    pub fn role(&self) -> RoleName {
        self.role.name()
    }

    /// Returns the epoch's leader, if known. As in `quorum-state`, a leader that has resigned still
    /// counts; see `role`.
    pub fn leader(&self) -> Option<BrokerId> {
        self.role.leader(self.config.local.id)
    }

    /// Returns the leader that this replica followed last, and when it last answered a fetch.
    pub fn last_answer(&self) -> Option<(BrokerId, Monotonic)> {
        self.last_answer
    }

    /// Returns the endpoints of the epoch's leader, empty if they are not known.
    pub fn leader_endpoints(&self) -> &[Endpoint] {
        let leader = self.leader();
        match &self.role {
            _ if leader == Some(self.config.local.id) => &self.config.endpoints,
            _ if leader.is_some() && self.heard_endpoints.0 == self.epoch && !self.heard_endpoints.1.is_empty() => {
                &self.heard_endpoints.1
            }
            _ => leader.and_then(|leader| self.known_voter(leader)).map_or(&[], |voter| &voter.endpoints),
        }
    }

    /// Returns a voter of the log or, if that has none with this id, of the configuration. The last
    /// voters of the log may not be committed, so the leader may be one that they lack.
    pub(crate) fn known_voter(&self, id: BrokerId) -> Option<&Voter> {
        self.voters().get(id).or_else(|| self.config.configured_voters.get(id))
    }

    /// Whether this replica leads its epoch.
    pub fn is_leader(&self) -> bool {
        matches!(self.role, Role::Leader(_))
    }

    /// Returns the high watermark, once it is known.
    pub fn high_watermark(&self) -> Option<Offset> {
        self.high_watermark
    }

    /// Returns the facts about the log after all actions are carried out.
    pub fn log(&self) -> &LogFacts {
        &self.log
    }

    /// Returns the voters, including those of records that are not committed yet.
    pub fn voters(&self) -> &VoterSet {
        self.quorum.voters()
    }

    /// Returns `kraft.version`.
    pub fn kraft_version(&self) -> KRaftVersion {
        self.quorum.kraft_version()
    }

    /// Returns `kraft.version` and the voters for a snapshot that ends at `end`.
    pub fn quorum_at(&self, end: Offset) -> (KRaftVersion, &VoterSet) {
        self.quorum.at_end(end)
    }

    /// Whether this replica is a voter.
    pub fn is_voter(&self) -> bool {
        self.voters().contains(&self.config.local)
    }

    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.out)
    }

    /// Makes all transitions that need no other event: expired deadlines, decided elections, due
    /// requests.
    fn proceed(&mut self, now: Now) -> Result<(), Fault> {
        self.adopt_voters(now);
        // Each round makes one transition. A lone voter needs three to become the leader.
        for _ in 0..8 {
            if !self.move_on(now)? {
                break;
            }
        }
        self.settle_change(now);
        self.release_held(now);
        if !self.stopped {
            self.send_due(now);
            self.send_fetch(now);
            self.send_membership(now);
        }
        Ok(())
    }
}
