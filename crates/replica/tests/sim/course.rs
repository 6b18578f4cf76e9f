//! The events of a course: what the replicas do, what clients want, and what goes wrong.

use crate::Check;
use crate::controller::Controller;
use crate::exchange::{CONTROLLER, Envelope, Message, Network, Sender};
use crate::ledger::Ledger;
use crate::node::{Course, Node};
use crate::random::Random;
use model::BrokerId;
use std::collections::BTreeMap;

/// Faults happen until this time.
const FAULTS_MS: u64 = 3_000;
/// Producers write until this time.
const WRITES_MS: u64 = 3_600;
/// All replicas are in sync and equal at this time.
const REST_MS: u64 = 6_000;

/// An event of a course.
#[derive(Debug)]
enum Event {
    Tick(usize, u32),
    Deliver(Box<Envelope>),
    Expire,
    Client,
    Fault,
    PowerCut(usize),
    Restart(usize),
    Heal,
}

/// A course.
struct World {
    now: u64,
    random: Random,
    queue: BTreeMap<(u64, u64), Event>,
    events: u64,
    nodes: Vec<Node>,
    controller: Controller,
    network: Network,
    ledger: Ledger,
    outbox: Vec<Envelope>,
    /// The last fetch of each replica. A copy may arrive after a power cut.
    fetches: BTreeMap<BrokerId, Envelope>,
    published: u64,
    values: u64,
    min_isr: usize,
    is_lossy: bool,
    /// How many of a hundred client requests delete records.
    deletes_percent: usize,
    hash: u64,
    is_printed: bool,
}

/// Runs a course and returns the hash of its events.
pub fn run(seed: u64, is_printed: bool) -> Check<u64> {
    let mut world = World::new(seed, is_printed);
    let ran = world.run();
    ran.map_err(|reason| format!("seed {seed}, {} ms: {reason}", world.now))?;
    Ok(world.hash)
}

impl World {
    fn new(seed: u64, is_printed: bool) -> World {
        let mut random = Random::new(seed);
        let count = 3 + random.below(3) as i32;
        let min_isr = 1 + random.below(2);
        let (is_unclean, is_lossy) = (seed % 8 == 7, seed % 4 == 2);
        let ids: Vec<BrokerId> = (1..=count).map(BrokerId).collect();
        World {
            now: 0,
            queue: BTreeMap::new(),
            events: 0,
            nodes: ids.iter().map(|id| Node::new(*id, min_isr)).collect(),
            controller: Controller::new(ids, is_unclean),
            network: Network { is_faulty: true, delay_max_ms: if is_lossy { 800 } else { 400 }, ..Network::default() },
            ledger: Ledger::new(is_unclean),
            outbox: Vec::new(),
            fetches: BTreeMap::new(),
            published: 0,
            values: 0,
            min_isr,
            is_lossy,
            deletes_percent: if seed % 5 > 2 { 15 } else { 3 },
            hash: seed,
            is_printed,
            random,
        }
    }

    fn at(&mut self, after: u64, event: Event) {
        self.events += 1;
        self.queue.insert((self.now + after, self.events), event);
    }

    fn note(&mut self, numbers: &[u64], text: impl FnOnce() -> String) {
        for number in numbers {
            self.hash = (self.hash ^ number).wrapping_mul(0x0100_0000_01b3).rotate_left(23);
        }
        if self.is_printed {
            println!("{:>5} {}", self.now, text());
        }
    }

    fn run(&mut self) -> Check {
        for index in 0..self.nodes.len() {
            let after = self.random.below(30) as u64;
            self.at(after, Event::Tick(index, 1));
        }
        for event in [Event::Expire, Event::Client, Event::Fault] {
            self.at(100, event);
        }
        self.at(FAULTS_MS, Event::Heal);
        while let Some(((at, _), event)) = self.queue.pop_first() {
            if at > REST_MS {
                break;
            }
            self.now = at;
            self.step(event)?;
        }
        self.rest()
    }

    fn step(&mut self, event: Event) -> Check {
        match event {
            Event::Tick(index, incarnation) => self.tick(index, incarnation)?,
            Event::Deliver(envelope) => self.deliver(*envelope)?,
            Event::Expire => {
                self.controller.expire(self.now);
                self.at(20, Event::Expire);
            }
            Event::Client => self.client()?,
            Event::Fault => self.fault(),
            Event::PowerCut(index) => self.kill(index, true),
            Event::Restart(index) => self.restart(index),
            Event::Heal => self.heal(),
        }
        self.publish()?;
        self.flush();
        Ok(())
    }

    /// Sends what the event left to send.
    fn flush(&mut self) {
        for envelope in std::mem::take(&mut self.outbox) {
            let late = self.loses_the_joining(&envelope);
            if matches!(envelope.message, Message::Fetch { .. }) {
                self.fetches.insert(envelope.from, envelope.clone());
            }
            for delay in self.network.delays(&envelope, &mut self.random) {
                self.at(delay + late, Event::Deliver(Box::new(envelope.clone())));
            }
        }
    }

    /// Lets a replica lose power while a leader proposes to add it, now and then. It is back before
    /// the controller gets the proposal. Returns how late that is.
    fn loses_the_joining(&mut self, envelope: &Envelope) -> u64 {
        let Message::Alter { proposal, .. } = &envelope.message else { return 0 };
        let isr = &self.controller.image().isr;
        let joining = proposal.isr.iter().find(|(id, _)| !isr.contains(id));
        let Some((id, _)) = joining.filter(|_| self.is_lossy && self.network.is_faulty) else { return 0 };
        if !self.random.chance(25) {
            return 0;
        }
        self.at(1, Event::PowerCut(id.0 as usize - 1));
        40 + self.random.below(60) as u64
    }

    /// Sends a new image to all brokers. Every member of the ISR holds what was acknowledged.
    fn publish(&mut self) -> Check {
        let image = self.controller.image();
        if image.version == self.published {
            return Ok(());
        }
        for id in &image.isr {
            let node = &self.nodes[id.0 as usize - 1];
            let lacks = |reason| format!("in the ISR {:?}, {reason}", image.isr);
            self.ledger.holds_all(*id, &node.log, image.leader_epoch).map_err(lacks)?;
        }
        self.published = image.version;
        let (image, ids) = (image.clone(), image.replicas.clone());
        let numbers = [image.version, image.leader_epoch.0 as u64, image.isr.len() as u64];
        self.note(&numbers, || format!("image {}: {:?} {:?}", numbers[0], image.state(), image.brokers));
        ids.into_iter().for_each(|id| self.send_image(id));
        Ok(())
    }

    fn send_image(&mut self, to: BrokerId) {
        let message = Message::Image(Box::new(self.controller.image().clone()));
        self.outbox.push(Envelope { from: CONTROLLER, to, incarnation: None, message });
    }

    /// Lets a broker do something, and looks what it acknowledges.
    fn with_node<T>(&mut self, index: usize, act: impl FnOnce(&mut Node, &mut Course) -> Check<T>) -> Check<T> {
        let mut course =
            Course { now: self.now, random: &mut self.random, ledger: &mut self.ledger, outbox: &mut self.outbox };
        let result = act(&mut self.nodes[index], &mut course)?;
        for (offset, record) in self.nodes[index].acknowledged() {
            let has = |node: &&Node| node.log.get(offset) == Some(record) || node.log.start() > offset;
            let copies = self.nodes.iter().filter(has).count();
            let least = if self.is_lossy || self.ledger.is_unclean { 1 } else { self.min_isr };
            self.ledger.acknowledge(offset, record, copies, least)?;
            let isr = self.controller.image().isr.iter();
            if let Some(id) = isr.copied().find(|id| !has(&&self.nodes[id.0 as usize - 1]) && !self.ledger.is_unclean) {
                return Err(format!("{record:?} at {offset} is acknowledged, but {id} in the ISR lacks it"));
            }
            self.note(&[offset as u64, record.value], || format!("acknowledged {record:?} at {offset}"));
        }
        Ok(result)
    }

    fn is_up(&self, index: usize) -> bool {
        self.nodes[index].is_alive && self.nodes[index].paused_until <= self.now
    }

    fn tick(&mut self, index: usize, incarnation: u32) -> Check {
        let node = &self.nodes[index];
        if !node.is_alive || node.incarnation != incarnation {
            return Ok(());
        }
        let after = 10 + self.random.below(25) as u64;
        self.at(after, Event::Tick(index, incarnation));
        if !self.is_up(index) {
            return Ok(());
        }
        self.with_node(index, |node, course| node.tick(course))?;
        if std::mem::take(&mut self.nodes[index].may_shut_down) {
            self.note(&[index as u64], || format!("node {} has shut down", index + 1));
            self.nodes[index].kill(false, &mut self.random);
            let after = 20 + self.random.below(300) as u64;
            self.at(after, Event::Restart(index));
        }
        Ok(())
    }

    fn deliver(&mut self, envelope: Envelope) -> Check {
        if envelope.to == CONTROLLER {
            return self.ask_controller(envelope);
        }
        let index = envelope.to.0 as usize - 1;
        let node = &self.nodes[index];
        if !node.is_alive || envelope.incarnation.is_some_and(|incarnation| incarnation != node.incarnation) {
            return Ok(());
        }
        if !self.is_up(index) {
            let after = self.nodes[index].paused_until - self.now;
            self.at(after, Event::Deliver(Box::new(envelope)));
            return Ok(());
        }
        if self.is_printed && !matches!(envelope.message, Message::Image(_) | Message::Registered { .. }) {
            println!("{:>5} {} to {}: {:?}", self.now, envelope.from, envelope.to, envelope.message);
        }
        self.with_node(index, |node, course| node.receive(course, envelope.message))?;
        let log = &self.nodes[index].log;
        let numbers = [index as u64, log.end() as u64, log.high_watermark() as u64];
        self.note(&numbers, || format!("node {} is at {} of {}", numbers[0] + 1, numbers[2], numbers[1]));
        Ok(())
    }

    fn ask_controller(&mut self, envelope: Envelope) -> Check {
        let reply =
            |to: &Sender, message| Envelope { from: CONTROLLER, to: to.id, incarnation: Some(to.incarnation), message };
        match envelope.message {
            Message::Register { from, has_lost } => {
                if let Some(epoch) = self.controller.register(from.id, from.incarnation, has_lost, self.now) {
                    self.outbox.push(reply(&from, Message::Registered { epoch }));
                }
            }
            Message::Heartbeat { from, is_leaving } => {
                let Some(epoch) = from.broker_epoch else { return Ok(()) };
                let may_shut_down = self.controller.heartbeat(from.id, epoch, is_leaving, self.now);
                if may_shut_down == Some(true) && is_leaving {
                    self.outbox.push(reply(&from, Message::MayShutDown));
                }
                // A broker that missed an image gets it now.
                self.send_image(from.id);
            }
            Message::Alter { from, proposal } => {
                let Some(epoch) = from.broker_epoch else { return Ok(()) };
                if !self.controller.is_in_turn(from.id, from.incarnation, from.request) {
                    return Ok(());
                }
                let answer = self.controller.alter(from.id, epoch, &proposal);
                self.note(&[from.id.0 as u64, u64::from(answer.is_ok())], || format!("{proposal:?}: {answer:?}"));
                let leader = self.controller.image().leader;
                if leader.is_some_and(|id| !self.controller.image().isr.contains(&id)) {
                    return Err(format!("the leader {leader:?} is not in the ISR"));
                }
                self.outbox.push(reply(&from, Message::Altered { proposal, answer }));
            }
            _ => {}
        }
        Ok(())
    }

    fn client(&mut self) -> Check {
        if self.now < WRITES_MS {
            let after = 2 + self.random.below(25) as u64;
            self.at(after, Event::Client);
        }
        let leader = self.controller.image().leader.map(|id| id.0 as usize - 1);
        let anyone = self.random.below(self.nodes.len());
        let index = leader.filter(|_| self.random.chance(90)).unwrap_or(anyone);
        if !self.is_up(index) {
            return Ok(());
        }
        match self.random.below(100) {
            kind if kind < self.deletes_percent => {
                let deletes_all = self.deletes_percent > 3 && self.random.chance(60);
                self.nodes[index].delete_records(deletes_all, &mut self.random);
            }
            kind if kind < 25 => self.with_node(index, |node, course| node.tell(course))?,
            _ => {
                for _ in 0..=self.random.below(3) {
                    self.values += 1;
                    let value = self.values;
                    let written = self.with_node(index, |node, course| node.write(course, value))?;
                    self.note(&[value, u64::from(written)], || format!("{value} to node {}: {written}", index + 1));
                }
            }
        }
        Ok(())
    }

    fn fault(&mut self) {
        if self.now >= FAULTS_MS {
            return;
        }
        let after = 20 + self.random.below(250) as u64;
        self.at(after, Event::Fault);
        let index = self.random.below(self.nodes.len());
        let id = self.nodes[index].id;
        let kind = self.random.below(8);
        self.note(&[kind as u64, index as u64], || format!("fault {kind} of node {id}"));
        match kind {
            0 | 1 => {
                let is_power_cut = self.random.chance(60);
                self.kill(index, is_power_cut);
            }
            2 => self.nodes[index].paused_until = self.now + 20 + self.random.below(500) as u64,
            3 => {
                let other = BrokerId(self.random.below(self.nodes.len() + 1) as i32);
                self.network.cut.insert((id, other));
                if self.random.chance(50) {
                    self.network.cut.insert((other, id));
                }
            }
            4 => self.network.cut.clear(),
            5 => self.nodes[index].is_slow = !self.nodes[index].is_slow,
            6 => self.nodes[index].is_leaving = true,
            _ => self.controller.balance(&mut self.random),
        }
    }

    /// A power cut needs another member of the ISR that keeps everything.
    fn kill(&mut self, index: usize, is_power_cut: bool) {
        let id = self.nodes[index].id;
        if !self.nodes[index].is_alive {
            return;
        }
        let image = self.controller.image();
        let holds = |member: &BrokerId| *member != id && self.nodes[member.0 as usize - 1].is_alive;
        let may_lose = self.is_lossy && is_power_cut && image.isr.iter().any(holds);
        if may_lose {
            self.controller.gone(id);
        }
        self.note(&[u64::from(may_lose)], || format!("kills node {id}, power cut: {may_lose}"));
        self.nodes[index].kill(may_lose, &mut self.random);
        if may_lose && let Some(late) = self.fetches.get(&id).cloned() {
            let after = 60 + self.random.below(120) as u64;
            self.at(after, Event::Deliver(Box::new(late)));
            self.nodes[index].is_slow = self.random.chance(60);
            // Another replica holds back the high watermark meanwhile.
            let other = self.random.below(self.nodes.len());
            if self.controller.image().leader != Some(self.nodes[other].id) {
                self.nodes[other].paused_until = self.now + 190;
            }
        }
        let after = if may_lose { 5 + self.random.below(30) } else { 5 + self.random.below(400) };
        self.at(after as u64, Event::Restart(index));
    }

    fn restart(&mut self, index: usize) {
        if !self.nodes[index].is_alive {
            self.note(&[index as u64], || format!("node {} starts again", index + 1));
            self.nodes[index].restart();
            self.at(1, Event::Tick(index, self.nodes[index].incarnation));
        }
    }

    /// No fault happens from here on.
    fn heal(&mut self) {
        self.note(&[], || "no more faults".to_owned());
        self.network = Network::default();
        for index in 0..self.nodes.len() {
            self.restart(index);
            let node = &mut self.nodes[index];
            (node.is_slow, node.paused_until, node.is_leaving) = (false, 0, false);
        }
    }

    /// Faults have stopped for long: everything is replicated everywhere.
    fn rest(&self) -> Check {
        let image = self.controller.image();
        if image.isr.len() != image.replicas.len() {
            return Err(format!("not all replicas are in the ISR in the end: {:?}", image.state()));
        }
        let leader = image.leader.ok_or("there is no leader in the end")?;
        let led = &self.nodes[leader.0 as usize - 1].log;
        for node in &self.nodes {
            self.ledger.holds_all(node.id, &node.log, image.leader_epoch)?;
            let log = &node.log;
            if (log.end(), log.high_watermark()) != (led.end(), led.end()) {
                let ends = (log.high_watermark(), log.end());
                return Err(format!("{} ends at {ends:?} and its leader {leader} at {}", node.id, led.end()));
            }
            let start = led.start().max(log.start());
            if let Some(offset) = (start..led.end()).find(|offset| log.get(*offset) != led.get(*offset)) {
                return Err(format!("{} and its leader {leader} differ at {offset}", node.id));
            }
        }
        match self.ledger.acknowledged_count() {
            0 => Err("nothing was acknowledged".to_owned()),
            _ => Ok(()),
        }
    }
}
