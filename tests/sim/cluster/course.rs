//! A course: three to five nodes and their clients, with faults for a while. Then everything is
//! mended, and the cluster must come to rest with all that it has promised.

use crate::Check;
use crate::admin::Changes;
use crate::clients::{CLIENTS, ENOUGH, PARTITIONS, Participant, Shared, TOPIC, start_clients};
use crate::faults::{Faults, out_of_sync};
use crate::invariants::Invariants;
use crate::layout::{Layout, Stress};
use crate::ledger::records_of;
use crate::net::{Host, LATENCY_MIN_MS, Net};
use crate::node::{Node, paused_runtime};
use crate::panics;
use crate::quorum::QuorumWatch;
use crate::random::Random;
use crate::reassignments::Places;
use crate::time::{HostClock, HostTime};
use crate::voters::{Voters, Wanted};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// When the faults begin and end.
const FAULTS_FROM_MS: u64 = 2_000;
const FAULTS_MS: u64 = 8_000;
/// How long the cluster may need until it has done what it owes.
const REST_MAX_MS: u64 = 40_000;

/// The state of a course.
pub struct Course {
    pub now_ms: u64,
    pub random: Random,
    pub net: Net,
    pub layout: Layout,
    pub nodes: Vec<Node>,
    pub shared: Arc<Shared>,
    pub is_printed: bool,
    clients: (Runtime, HostClock),
    invariants: Invariants,
    quorum: QuorumWatch,
    /// The voters that there should be, if the quorum is dynamic.
    pub wanted: Arc<Wanted>,
    changes: Arc<Changes>,
    places: Arc<Places>,
}

/// Runs the course of a seed.
pub fn run(seed: u64, is_printed: bool) -> Result<u64, String> {
    panics::forget();
    let ran = catch_unwind(AssertUnwindSafe(|| {
        let mut course = Course::new(seed, is_printed);
        let ran = course.run();
        if ran.is_err() {
            course.tell_logs();
        }
        (course, ran)
    }));
    let panic = panics::taken();
    let (course, ran) = ran.map_err(|_| panic.clone().unwrap_or_default())?;
    let ended = panic.map_or(ran, |panic| Err(format!("a panic: {panic}")));
    let digest = course.net.digest();
    let now_ms = course.now_ms;
    ended.map_err(|reason| format!("after {now_ms} ms: {reason}"))?;
    course.note(|| format!("done after {} pieces, digest {:016x}", digest.1, digest.0));
    Ok(digest.0)
}

impl Course {
    fn new(seed: u64, is_printed: bool) -> Self {
        let mut random = Random::new(seed);
        let layout = Layout::new(Stress::of(seed), &mut random);
        let net = Net::new(random.next());
        let hosts = 1..=layout.roles.len();
        let nodes: Vec<Node> = hosts.map(|host| Node::new(host, &layout, random.next())).collect();
        nodes.iter().for_each(|node| net.silence_with(node.host, &node.disk));
        let runtime = paused_runtime();
        let seed_of_clients = random.next();
        let clock = runtime.block_on(async { HostTime::start(0, seed_of_clients, 0, 0) });
        let shared = Arc::new(Shared {
            ledger: Default::default(),
            is_created: Default::default(),
            is_healed: Default::default(),
            is_in_sync: Default::default(),
            done: Default::default(),
            nodes: layout.brokers(),
            is_printed,
        });
        let invariants = Invariants::default();
        let quorum = QuorumWatch::default();
        let clients = (runtime, clock);
        let (changes, wanted, places) = (Arc::default(), Arc::default(), Arc::default());
        Self {
            now_ms: 0,
            random,
            net,
            layout,
            nodes,
            shared,
            is_printed,
            clients,
            invariants,
            quorum,
            wanted,
            changes,
            places,
        }
    }

    /// Prints a line, if this course is printed.
    pub fn note(&self, line: impl FnOnce() -> String) {
        if self.is_printed {
            eprintln!("{:6} {}", self.now_ms, line());
        }
    }

    /// Returns all controllers, with the directory ids of their metadata logs.
    pub fn all_voters(&self) -> Voters {
        self.layout.controllers().into_iter().map(|host| (host, self.nodes[host - 1].directory_id())).collect()
    }

    fn begin(&mut self) {
        self.wanted.set(self.all_voters());
        for node in &mut self.nodes {
            node.start(&self.net, 0, &mut self.random);
        }
        let (runtime, clock) = &self.clients;
        start_clients(runtime, (&self.shared, &self.net, clock), &mut self.random);
        let mut number = self.shared.done.lock().len();
        let mut participant = || {
            number += 1;
            self.shared.done.lock().push(false);
            Participant::new(&self.shared, &self.net, clock, self.random.next(), number - 1)
        };
        runtime.spawn(participant().administer(self.changes.clone(), ENOUGH));
        if self.layout.is_dynamic() {
            runtime.spawn(participant().keep_voters(self.wanted.clone()));
        }
        if self.layout.moves {
            runtime.spawn(participant().reassign(self.places.clone()));
        }
    }

    fn run(&mut self) -> Check {
        self.begin();
        while !*self.shared.is_created.lock() {
            self.step()?;
            if self.now_ms > REST_MAX_MS {
                return Err("no progress: the topic could not be created".into());
            }
        }
        self.note(|| "the topic exists".into());
        let mut faults = Faults::new(self.now_ms + FAULTS_FROM_MS);
        let until = self.now_ms + FAULTS_FROM_MS + FAULTS_MS;
        while self.now_ms < until {
            faults.act(self)?;
            self.step()?;
        }
        faults.end(self);
        *self.shared.is_healed.lock() = true;
        self.note(|| "everything is mended".into());
        let deadline = self.now_ms + REST_MAX_MS;
        while !self.is_at_rest() {
            faults.restart_stopped(self);
            self.step()?;
            if self.now_ms > deadline {
                return Err(format!("no progress after the faults: {}", self.unrest()));
            }
        }
        self.note(|| format!("{} changes of metadata were acknowledged", self.changes.count()));
        self.check_logs()
    }

    /// Lets every host run for a moment, in an order that the seed decides.
    fn step(&mut self) -> Check {
        let at = self.now_ms + LATENCY_MIN_MS;
        let first = self.random.below(self.nodes.len() + 1);
        for turn in 0..=self.nodes.len() {
            let host = (first + turn) % (self.nodes.len() + 1);
            match self.nodes.get_mut(host) {
                None => {
                    let (runtime, clock) = &self.clients;
                    let at = clock.instant(at);
                    runtime.block_on(async { tokio::time::sleep_until(at).await });
                }
                Some(node) => {
                    if let Some(end) = node.run_until(at, self.now_ms) {
                        self.ended(host, &end)?;
                    }
                }
            }
        }
        self.now_ms = at;
        panics::check()?;
        self.shared.ledger.lock().check()?;
        let checked = self.invariants.check(&self.nodes);
        for line in std::mem::take(&mut self.invariants.news) {
            self.note(|| line);
        }
        checked?;
        self.quorum.check(&self.nodes, self.voters(), &self.net, self.now_ms)
    }

    /// Returns the voters, unless they change.
    fn voters(&self) -> Option<Vec<Host>> {
        match self.layout.is_dynamic() {
            false => Some(self.layout.controllers()),
            true => self.wanted.settled().map(|voters| voters.into_keys().collect()),
        }
    }

    /// A node has ended by itself.
    fn ended(&mut self, index: usize, end: &str) -> Check {
        let node = &mut self.nodes[index];
        if node.has_stopped_disk() || node.has_no_room() || node.is_rotten() || end == "stopped" {
            return Ok(());
        }
        node.unexpected(end)
    }

    fn is_at_rest(&self) -> bool {
        let is_in_sync = self.lagging().is_none();
        *self.shared.is_in_sync.lock() = is_in_sync;
        is_in_sync && self.shared.done.lock().iter().all(|done| *done)
    }

    /// Returns what is not as it must be once the faults are over: every replica in sync, and every
    /// change of metadata known.
    fn lagging(&self) -> Option<String> {
        for node in &self.nodes {
            let Some(broker) = node.broker() else { return Some(format!("node {} does not run", node.host)) };
            if let Some(reason) = broker.not_ready_because() {
                return Some(format!("node {} is not ready: {reason}", node.host));
            }
            if let Some(partition) = out_of_sync(&broker.image()) {
                return Some(format!("node {} knows {partition}", node.host));
            }
            let image = broker.image();
            let checked = self.changes.check(node.host, &image).and(self.places.check(node.host, &image));
            if let Err(reason) = checked {
                return Some(reason);
            }
        }
        None
    }

    fn unrest(&self) -> String {
        let done = self.shared.done.lock().clone();
        format!("clients done: {done:?}, {}", self.lagging().unwrap_or_default())
    }

    /// Compares all logs with the ledger and with each other.
    fn check_logs(&mut self) -> Check {
        for index in 0..PARTITIONS {
            let mut longest = Default::default();
            for node in &self.nodes {
                let Some(broker) = node.broker() else { continue };
                let image = broker.image();
                let topic = image.topics.by_name(TOPIC).ok_or("the topic is gone")?;
                let Some(state) = topic.partition(model::PartitionIndex(index)) else { continue };
                if !state.replicas.contains(&model::BrokerId(node.host as i32)) {
                    continue;
                }
                let log = records_of(&broker, TOPIC, index)?;
                if state.leader == Some(model::BrokerId(node.host as i32)) {
                    let ledger = self.shared.ledger.lock();
                    ledger.check_log(&format!("the leader, node {},", node.host), index, &log)?;
                }
                compare(&longest, &log, node.host, index)?;
                if log.len() > longest.len() {
                    longest = log;
                }
            }
        }
        let ledger = self.shared.ledger.lock();
        let (begun, committed) = ledger.transactions.counts();
        let count = ledger.acknowledged_count();
        self.note(|| format!("{count} records were acknowledged, {committed} of {begun} transactions committed"));
        ledger.transactions.check()
    }
}

impl Drop for Course {
    fn drop(&mut self) {
        self.clients.1.die();
        for node in &mut self.nodes {
            node.end(&self.net, self.now_ms, storage::disk::Crash::Process);
        }
    }
}

impl Course {
    /// Prints every log below its high watermark.
    fn tell_logs(&self) {
        for node in self.nodes.iter().filter(|_| self.is_printed) {
            let Some(broker) = node.broker() else { continue };
            for index in 0..PARTITIONS {
                self.note(|| format!("node {} has {index}: {:?}", node.host, records_of(&broker, TOPIC, index)));
            }
        }
    }
}

fn compare(
    one: &std::collections::BTreeMap<i64, String>,
    other: &std::collections::BTreeMap<i64, String>,
    host: usize,
    index: i32,
) -> Check {
    for (offset, value) in other {
        if let Some(there) = one.get(offset).filter(|there| *there != value) {
            return Err(format!("logs differ: node {host} has {value} at {index}@{offset}, another one {there}"));
        }
    }
    let _ = CLIENTS;
    Ok(())
}
