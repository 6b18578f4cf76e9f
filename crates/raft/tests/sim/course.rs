//! A course: the nodes, the network, and the faults that a seed decides.

use crate::Check;
use crate::check::{Ledger, fold};
use crate::disk::Disk;
use crate::node::{Asker, Clock, Effect, Node};
use crate::random::Random;
use bytes::Bytes;
use model::{BrokerId, ErrorCode, Uuid};
use raft::{
    Config, Destination, Endpoint, Event, FetchContent, FetchLimits, FetchReply, FetchSnapshotReply,
    KnownHighWatermark, QuorumReply, QuorumRequest, ReceivedReply, ReplicaKey, Timeouts, Voter, VoterSet,
};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

/// The port of the first node.
const PORT: u16 = 9000;
/// How long nodes may take to agree after the last fault.
const REST_MS: u64 = 60_000;
/// The most ticks of one node at one time.
const TICKS_MAX: u32 = 20;
/// A fetch that waits longer than this beyond its limit was forgotten.
const FORGOTTEN_MS: u64 = 700;

/// Stands for a client that changes the voters. It does not look at answers.
const ADMIN: usize = usize::MAX;

/// Something that happens at a time.
#[derive(Debug)]
enum Happening {
    Tick { node: usize, planned: u64 },
    Request { to: usize, asker: Asker, request: QuorumRequest },
    Reply { asker: Asker, result: Result<ReceivedReply, ErrorCode> },
    Synced { node: usize, run: u64, point: u64, event: Event },
    Checked { node: usize, run: u64, event: Event },
    Start { node: usize },
    Propose,
    Fault,
}

/// How wild a course is.
#[derive(Debug)]
struct Temper {
    voters: usize,
    observers: usize,
    /// Whether the voters are in the log (`kraft.version` 1).
    is_dynamic: bool,
    /// Whether messages lack what later versions added.
    is_old: bool,
    /// Whether controllers that are no voters join them.
    joins: bool,
    /// Whether voters are added and removed.
    changes: bool,
    /// How often a connection to a node that is down is closed or refused.
    refusal_percent: usize,
    drop_percent: usize,
    repeat_percent: usize,
    damage_percent: usize,
    delay_ms: i64,
    late_percent: usize,
    fsync_ms: i64,
    fault_every_ms: i64,
    propose_every_ms: i64,
    length_ms: u64,
}

impl Temper {
    /// No faults, and connections to a node that is down are refused.
    fn calm(random: &mut Random) -> Self {
        Self {
            is_dynamic: true,
            is_old: false,
            joins: false,
            changes: false,
            refusal_percent: 100,
            drop_percent: 0,
            repeat_percent: 0,
            damage_percent: 0,
            delay_ms: 2,
            late_percent: 0,
            fsync_ms: 3,
            ..Self::new(random)
        }
    }

    fn new(random: &mut Random) -> Self {
        let is_dynamic = random.chance(70);
        let is_old = !is_dynamic && random.chance(50);
        let calm = random.chance(30);
        let percent = |random: &mut Random, most: i64| {
            if calm { 0 } else { usize::try_from(random.within(0, most)).unwrap() }
        };
        Self {
            voters: random.pick(&[1, 2, 3, 3, 3, 3, 4, 5]),
            observers: random.pick(&[0, 1, 2]),
            is_dynamic,
            joins: is_dynamic && random.chance(30),
            // A replica of an early version cannot be in a quorum whose voters change.
            changes: !is_old && random.chance(50),
            is_old,
            refusal_percent: random.pick(&[0, 50, 100]),
            drop_percent: percent(random, 10),
            repeat_percent: percent(random, 10),
            damage_percent: percent(random, 3),
            delay_ms: random.pick(&[2, 20, 200]),
            late_percent: if calm { 0 } else { random.pick(&[0, 2, 5, 30]) },
            fsync_ms: random.pick(&[1, 10, 100, 800]),
            fault_every_ms: random.pick(&[150, 600, 2000]),
            propose_every_ms: random.pick(&[20, 100, 400]),
            length_ms: u64::try_from(random.within(5_000, 30_000)).unwrap(),
        }
    }
}

pub struct World {
    random: Random,
    temper: Temper,
    nodes: Vec<Node>,
    ledger: Ledger,
    time: u64,
    next: u64,
    queue: BinaryHeap<Reverse<(u64, u64)>>,
    happenings: BTreeMap<u64, Happening>,
    /// The next tick of each node, and how many it had at the current time.
    ticks: Vec<(Option<u64>, u32)>,
    paused_until: Vec<u64>,
    /// Links that are cut, from and to.
    cut: BTreeSet<(usize, usize)>,
    proposed: u64,
    /// The disk that was replaced, if one was.
    retired: Option<(ReplicaKey, Disk)>,
    is_at_rest: bool,
    is_printed: bool,
    digest: u64,
}

/// How the leader goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Departure {
    /// Its process is killed.
    Killed,
    /// It stops cleanly.
    Stopped,
    /// It is paused.
    Paused,
}

/// Takes the leader of three voters with this fetch timeout away, on a quiet network. Returns the
/// time until another one leads.
pub fn replace_leader(seed: u64, departure: Departure, fetch_ms: u64) -> Check<u64> {
    let mut random = Random::new(seed);
    let temper = Temper { voters: 3, observers: 0, length_ms: 30_000, ..Temper::calm(&mut random) };
    let mut world = World::new(random, temper, false);
    world.nodes.iter_mut().for_each(|node| node.config.timeouts.fetch_ms = fetch_ms);
    for node in 0..world.nodes.len() {
        world.happens_in(0, Happening::Start { node });
    }
    world.happens_in(10, Happening::Propose);
    while world.time < 10_000 {
        world.go_on()?;
    }
    let leader = world.leading().ok_or("three voters have a leader")?;
    let at = world.time;
    match departure {
        Departure::Killed => {
            world.nodes[leader].end();
            let hung_up = std::mem::take(&mut world.nodes[leader].hung_up);
            hung_up.into_iter().for_each(|asker| world.refuse_connection(asker));
        }
        Departure::Stopped => {
            let mut effects = Vec::new();
            world.step(leader, Event::Stop, &mut effects)?;
            world.after(leader, effects)?;
        }
        Departure::Paused => world.paused_until[leader] = u64::MAX,
    }
    while world.active(leader).is_none() && world.time < world.temper.length_ms {
        world.go_on()?;
    }
    Ok(world.time - at)
}

/// Runs the course of a seed.
pub fn run(seed: u64, is_printed: bool) -> Check<u64> {
    let mut random = Random::new(seed);
    let temper = Temper::new(&mut random);
    if is_printed {
        println!("{temper:?}");
    }
    let mut world = World::new(random, temper, is_printed);
    for node in 0..world.nodes.len() {
        world.happens_in(0, Happening::Start { node });
    }
    world.happens_in(10, Happening::Propose);
    world.happens_in(500, Happening::Fault);
    while world.time < world.temper.length_ms {
        world.go_on()?;
    }
    world.come_to_rest()?;
    Ok(world.digest)
}

fn key(node: usize, generation: u8) -> ReplicaKey {
    let mut directory = [generation + 1; 16];
    directory[0] = u8::try_from(node + 1).unwrap();
    ReplicaKey { id: BrokerId(i32::try_from(node + 1).unwrap()), directory_id: Some(Uuid(directory)) }
}

fn endpoint(node: usize) -> Endpoint {
    let port = PORT + u16::try_from(node).unwrap();
    Endpoint { listener: "CONTROLLER".into(), host: "sim".into(), port }
}

impl World {
    fn new(mut random: Random, temper: Temper, is_printed: bool) -> Self {
        let voter = |node: usize| Voter { key: key(node, 0), endpoints: vec![endpoint(node)], kraft_versions: (0, 1) };
        let voters = VoterSet::new((0..temper.voters).map(voter));
        let configured = (0..temper.voters).map(|node| format!("{}@sim:{}", node + 1, endpoint(node).port));
        let configured = VoterSet::from_config(&configured.collect::<Vec<_>>().join(","), "CONTROLLER").unwrap();
        let count = temper.voters + temper.observers;
        let padding = random.below(60);
        let nodes = (0..count).map(|node| {
            let is_voter = node < temper.voters;
            let local = key(node, 0);
            let others = (0..count).filter(|other| *other != node).map(endpoint);
            let config = Config {
                local,
                endpoints: vec![endpoint(node)],
                configured_voters: if temper.is_dynamic { VoterSet::default() } else { configured.clone() },
                bootstrap_servers: if temper.is_dynamic { others.collect() } else { Vec::new() },
                auto_join: temper.joins,
                fetch_limits: FetchLimits {
                    log_bytes: random.pick(&[1, 300, 2000]),
                    snapshot_bytes: random.pick(&[20, 90, 5000]),
                },
                timeouts: Timeouts::default(),
            };
            let disk = Disk::format(Some(&voters).filter(|_| is_voter && temper.is_dynamic));
            let clock = Clock { base: random.next() % 100_000, rate: random.pick(&[900, 1000, 1000, 1100]) };
            Node { config, disk, clock, running: None, run: 0, fuse: None, padding, hung_up: Vec::new() }
        });
        let nodes: Vec<Node> = nodes.collect();
        Self {
            ticks: vec![(None, 0); count],
            paused_until: vec![0; count],
            nodes,
            random,
            temper,
            ledger: Ledger::default(),
            time: 0,
            next: 0,
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            cut: BTreeSet::new(),
            proposed: 0,
            retired: None,
            is_at_rest: false,
            is_printed,
            digest: 0,
        }
    }

    fn happens_in(&mut self, ms: u64, happening: Happening) {
        self.happens_at(self.time + ms, happening);
    }

    fn happens_at(&mut self, time: u64, happening: Happening) {
        self.next += 1;
        self.queue.push(Reverse((time, self.next)));
        self.happenings.insert(self.next, happening);
    }

    /// Lets the next thing happen.
    fn go_on(&mut self) -> Check {
        let Some(Reverse((time, number))) = self.queue.pop() else { return Err("nothing happens any more".into()) };
        let Some(happening) = self.happenings.remove(&number) else { return Ok(()) };
        if time > self.time {
            self.ticks.iter_mut().for_each(|(_, count)| *count = 0);
        }
        self.time = time;
        if let Some(node) = concerned(&happening)
            && self.paused_until[node] > time
        {
            self.happens_at(self.paused_until[node], happening);
            return Ok(());
        }
        self.digest = fold(fold(self.digest, time), number);
        let concerned = concerned(&happening);
        if self.is_printed && !matches!(happening, Happening::Tick { .. } | Happening::Propose | Happening::Fault) {
            println!("{time:>6} {happening:?}");
        }
        let mut effects = Vec::new();
        let outcome = self.happen(happening, &mut effects);
        if let Some(node) = concerned {
            outcome.map_err(|reason| format!("{reason} (node {} at {time})", node + 1))?;
            self.after(node, effects)?;
        } else {
            outcome?;
        }
        Ok(())
    }

    fn happen(&mut self, happening: Happening, effects: &mut Vec<Effect>) -> Check {
        match happening {
            Happening::Tick { node, planned } => self.tick(node, planned, effects),
            Happening::Request { to, asker, request } => {
                let now = self.nodes[to].clock.now(self.time);
                if self.nodes[to].running.is_none() {
                    self.refuse_connection(asker);
                }
                let vote = match &request {
                    QuorumRequest::Vote(vote) if !vote.pre_vote => Some((vote.epoch, vote.candidate)),
                    _ => None,
                };
                self.nodes[to].ask(asker, request, now, &mut self.ledger, effects)?;
                for effect in &*effects {
                    if let (Effect::Reply { reply: QuorumReply::Vote { granted: true, .. }, .. }, Some(vote)) =
                        (effect, vote)
                    {
                        self.nodes[to].check_vote(vote.0, vote.1, &mut self.ledger)?;
                    }
                }
                Ok(())
            }
            Happening::Reply { asker, result } => {
                if self.nodes[asker.node].run == asker.run {
                    return self.step(asker.node, Event::Response { id: asker.id, result }, effects);
                }
                Ok(())
            }
            Happening::Synced { node, run, point, event } => {
                if self.nodes[node].run != run || self.nodes[node].running.is_none() {
                    return Ok(());
                }
                self.nodes[node].disk.synced_up_to(point);
                self.step(node, event, effects)
            }
            Happening::Checked { node, run, event } if self.nodes[node].run == run => self.step(node, event, effects),
            Happening::Checked { .. } => Ok(()),
            Happening::Start { node } => self.start(node, effects),
            Happening::Propose => self.propose(),
            Happening::Fault => self.fault(),
        }
    }

    fn step(&mut self, node: usize, event: Event, effects: &mut Vec<Effect>) -> Check {
        let now = self.nodes[node].clock.now(self.time);
        self.nodes[node].step(event, now, &mut self.ledger, effects)
    }

    /// What follows from an event at a node: its messages leave, its clock is set, and what it has
    /// committed is on the disks of a majority.
    fn after(&mut self, node: usize, effects: Vec<Effect>) -> Check {
        for effect in effects {
            self.carry(node, effect);
        }
        let Some(running) = &self.nodes[node].running else {
            if self.nodes[node].fuse.take().is_some() {
                self.fell(node);
            }
            return Ok(());
        };
        if self.is_printed {
            let raft = &running.raft;
            println!(
                "         {} {:?} epoch {} log {}..{} hw {:?} next {:?}",
                node + 1,
                raft.role(),
                raft.epoch(),
                raft.log().start,
                raft.log().end,
                raft.high_watermark(),
                raft.next_deadline().map(|at| self.nodes[node].clock.when(at))
            );
        }
        let facts = [running.raft.epoch().0.into(), running.raft.log().end.0, running.applied.0];
        self.digest = facts.iter().fold(self.digest, |digest, fact| fold(digest, fact.unsigned_abs()));
        if let Some(deadline) = running.raft.next_deadline() {
            let at = self.nodes[node].clock.when(deadline).max(self.time);
            if self.ticks[node].0.is_none_or(|planned| at < planned) {
                self.ticks[node].0 = Some(at);
                self.happens_at(at, Happening::Tick { node, planned: at });
            }
        }
        self.check_majority(node)
    }

    /// What a leader commits is on the disks of a majority of the voters.
    fn check_majority(&mut self, leader: usize) -> Check {
        let Some(running) = self.nodes[leader].running.as_mut().filter(|running| running.raft.is_leader()) else {
            return Ok(());
        };
        if running.active.is_none() || running.applied <= running.on_majority {
            return Ok(());
        }
        running.on_majority = running.applied;
        let offset = running.applied.plus(-1);
        let Some(running) = &self.nodes[leader].running else { return Ok(()) };
        let Some(entry) = self.nodes[leader].disk.log.at(offset) else { return Ok(()) };
        let voters = running.raft.voters();
        let has =
            |node: &&Node| voters.contains(&node.key()) && node.disk.synced.covers(offset, entry.epoch, entry.crc);
        let retired = self
            .retired
            .iter()
            .filter(|(key, disk)| voters.contains(key) && disk.synced.covers(offset, entry.epoch, entry.crc));
        let count = self.nodes.iter().filter(has).count() + retired.count();
        if count > voters.len() / 2 {
            return Ok(());
        }
        Err(format!(
            "what is committed is on the disks of a majority: offset {offset} is on {count} of {} voters",
            voters.len()
        ))
    }

    fn tick(&mut self, node: usize, planned: u64, effects: &mut Vec<Effect>) -> Check {
        if self.ticks[node].0 != Some(planned) {
            // An earlier tick took its place.
            return Ok(());
        }
        self.ticks[node].0 = None;
        self.ticks[node].1 += 1;
        if self.ticks[node].1 > TICKS_MAX {
            return Err("a deadline that has passed is not named again".into());
        }
        self.step(node, Event::Tick, effects)
    }

    fn start(&mut self, node: usize, effects: &mut Vec<Effect>) -> Check {
        if self.nodes[node].running.is_some() {
            return Ok(());
        }
        self.ticks[node].0 = None;
        let seed = self.random.next();
        let now = self.nodes[node].clock.now(self.time);
        self.nodes[node].fuse = None;
        self.nodes[node].start(seed, now, &mut self.ledger, effects)
    }

    /// A node whose controller is active, other than this one.
    fn active(&self, other_than: usize) -> Option<usize> {
        let is_active = |node: &Node| node.running.as_ref().is_some_and(|running| running.active.is_some());
        (0..self.nodes.len()).find(|node| *node != other_than && is_active(&self.nodes[*node]))
    }

    fn propose(&mut self) -> Check {
        let wait = self.random.within(1, self.temper.propose_every_ms);
        self.happens_in(u64::try_from(wait).unwrap(), Happening::Propose);
        for node in 0..self.nodes.len() {
            if self.paused_until[node] <= self.time {
                self.propose_at(node)?;
            }
        }
        Ok(())
    }

    fn propose_at(&mut self, node: usize) -> Check<bool> {
        let now = self.nodes[node].clock.now(self.time);
        let mut effects = Vec::new();
        self.proposed += 1;
        // A driver ticks in each round.
        self.step(node, Event::Tick, &mut effects)?;
        let has_proposed = self.nodes[node].propose(self.proposed, now, &mut self.ledger, &mut effects)?;
        self.after(node, effects)?;
        Ok(has_proposed)
    }

    fn carry(&mut self, node: usize, effect: Effect) {
        let run = self.nodes[node].run;
        match effect {
            Effect::Send { id, to, request } => self.send(Asker { node, run, id }, &to, request),
            Effect::Reply { asker, reply } => self.reply(node, asker, reply),
            Effect::Fsync { point, end } => {
                let ms = self.random.within(0, self.temper.fsync_ms);
                let event = Event::Flushed { end };
                self.happens_in(u64::try_from(ms).unwrap(), Happening::Synced { node, run, point, event });
            }
            Effect::Check { id, control_records } => {
                let ms = self.random.within(0, 50);
                let event = Event::SnapshotChecked { id, control_records };
                self.happens_in(u64::try_from(ms).unwrap(), Happening::Checked { node, run, event });
            }
            Effect::Stopped => self.fell(node),
        }
    }

    /// A node is down, and starts again at some time. Its connections may be closed.
    fn fell(&mut self, node: usize) {
        let hung_up = std::mem::take(&mut self.nodes[node].hung_up);
        for asker in hung_up.into_iter().filter(|asker| asker.node != ADMIN) {
            self.refuse_connection(asker);
        }
        let ms = if self.is_at_rest { 0 } else { self.random.within(0, 4_000) };
        self.happens_in(u64::try_from(ms).unwrap(), Happening::Start { node });
    }

    fn delay(&mut self) -> u64 {
        let is_late = self.random.chance(self.temper.late_percent);
        let most = if is_late { 3_000 } else { self.temper.delay_ms };
        u64::try_from(self.random.within(0, most)).unwrap()
    }

    fn send(&mut self, asker: Asker, to: &Destination, request: QuorumRequest) {
        let timeout = self.nodes[asker.node].config.timeouts.request_ms;
        let result = Err(ErrorCode::RequestTimedOut);
        self.happens_in(timeout, Happening::Reply { asker, result });
        let port = to.endpoints.first().map_or(0, |endpoint| endpoint.port);
        let to = usize::from(port.wrapping_sub(PORT));
        if to >= self.nodes.len() || self.cut.contains(&(asker.node, to)) {
            return;
        }
        let request = if self.temper.is_old { old_request(request) } else { request };
        if self.random.chance(self.temper.repeat_percent) {
            let delay = self.delay();
            self.happens_in(delay, Happening::Request { to, asker, request: request.clone() });
        }
        if !self.random.chance(self.temper.drop_percent) {
            let delay = self.delay();
            self.happens_in(delay, Happening::Request { to, asker, request });
        }
    }

    fn refuse_connection(&mut self, asker: Asker) {
        if self.random.chance(self.temper.refusal_percent) {
            self.happens_in(1, Happening::Reply { asker, result: Err(ErrorCode::NetworkException) });
        }
    }

    fn reply(&mut self, from: usize, asker: Asker, reply: ReceivedReply) {
        if asker.node == ADMIN || self.cut.contains(&(from, asker.node)) || self.random.chance(self.temper.drop_percent)
        {
            return;
        }
        let reply = if self.random.chance(self.temper.damage_percent) { self.damaged(reply) } else { reply };
        let mut replies = vec![reply];
        if self.random.chance(self.temper.repeat_percent) {
            replies.push(replies[0].clone());
        }
        for mut reply in replies {
            if self.temper.is_old {
                view_of(&mut reply).leader_endpoints.clear();
            }
            let delay = self.delay();
            self.happens_in(delay, Happening::Reply { asker, result: Ok(reply) });
        }
    }

    /// Changes or cuts the bytes of an answer.
    fn damaged(&mut self, mut reply: ReceivedReply) -> ReceivedReply {
        let bytes = match &mut reply {
            QuorumReply::Fetch(FetchReply { content: FetchContent::Records(bytes), .. }) => bytes,
            QuorumReply::FetchSnapshot(FetchSnapshotReply { piece: Some(piece), .. }) => &mut piece.bytes,
            _ => return reply,
        };
        let mut changed = bytes.to_vec();
        if !changed.is_empty() {
            let at = self.random.below(changed.len());
            if self.random.chance(50) {
                changed[at] ^= 0x10;
            } else {
                changed.truncate(at);
            }
        }
        *bytes = Bytes::from(changed);
        reply
    }
}

/// The node that a happening concerns.
fn concerned(happening: &Happening) -> Option<usize> {
    match happening {
        Happening::Tick { node, .. }
        | Happening::Request { to: node, .. }
        | Happening::Reply { asker: Asker { node, .. }, .. }
        | Happening::Synced { node, .. }
        | Happening::Checked { node, .. }
        | Happening::Start { node } => Some(*node),
        Happening::Propose | Happening::Fault => None,
    }
}

/// A request without what later versions added.
fn old_request(mut request: QuorumRequest) -> QuorumRequest {
    match &mut request {
        QuorumRequest::Fetch(fetch) => fetch.high_watermark = KnownHighWatermark::NotTold,
        QuorumRequest::BeginQuorumEpoch(begin) => begin.leader_endpoints.clear(),
        QuorumRequest::EndQuorumEpoch(end) => end.leader_endpoints.clear(),
        QuorumRequest::Vote(_) | QuorumRequest::FetchSnapshot(_) | QuorumRequest::ChangeVoters(_) => {}
    }
    request
}

fn view_of(reply: &mut ReceivedReply) -> &mut raft::QuorumView {
    match reply {
        QuorumReply::Vote { view, .. } | QuorumReply::BeginQuorumEpoch(view) | QuorumReply::EndQuorumEpoch(view) => {
            view
        }
        QuorumReply::Fetch(reply) => &mut reply.view,
        QuorumReply::FetchSnapshot(reply) => &mut reply.view,
        QuorumReply::ChangeVoters(reply) => &mut reply.view,
    }
}

mod faults;
