//! The faults of a course.

use crate::Check;
use crate::clients::{CLIENTS, TOPIC};
use crate::course::Course;
use crate::layout::{Roles, Stress};
use crate::quorum_faults::Elections;
use crate::rot::Rot;
use metadata::image::Image;
use model::PartitionIndex;
use storage::disk::Crash;

/// What is broken now, and what comes next.
pub struct Faults {
    pub next_ms: u64,
    /// When each node that does not run is started again.
    restarts: Vec<(u64, usize)>,
    /// How a node whose disk will stop is to crash then.
    planned: Vec<(usize, Crash)>,
    mended_at: Option<u64>,
    /// When each full disk gets room again.
    full_until: Vec<(u64, usize)>,
    /// The node that loses or has lost its power, until all replicas are in sync again.
    pub without_power: Option<usize>,
    /// Whose logs rot before the next start.
    pub rots: Vec<Rot>,
    pub elections: Elections,
}

impl Faults {
    pub fn new(first_ms: u64) -> Self {
        Self {
            next_ms: first_ms,
            restarts: Vec::new(),
            planned: Vec::new(),
            mended_at: None,
            full_until: Vec::new(),
            without_power: None,
            rots: Vec::new(),
            elections: Elections::default(),
        }
    }

    /// Does what is due.
    pub fn act(&mut self, course: &mut Course) -> Check {
        self.end_stopped(course);
        let now = course.now_ms;
        let due: Vec<usize> = self.restarts.iter().filter(|(at, _)| *at <= now).map(|(_, index)| *index).collect();
        self.restarts.retain(|(at, _)| *at > now);
        for index in due {
            self.rot(course, index);
            start(course, index);
        }
        for (_, index) in self.full_until.extract_if(.., |(at, _)| *at <= now) {
            course.note(|| format!("the disk of node {} has room again", index + 1));
            course.nodes[index].disk.set_capacity(None);
        }
        if self.mended_at.is_some_and(|at| at <= now) {
            self.mended_at = None;
            course.note(|| "links are mended".into());
            course.net.mend();
        }
        if self.without_power.is_some() && self.planned.is_empty() && are_in_sync(course) {
            self.without_power = None;
        }
        self.strike(course);
        if self.next_ms <= now {
            self.next_ms = now + 50 + course.random.below(1_200) as u64;
            match course.layout.stress {
                Stress::Quorum if course.random.chance(85) => self.disturb_quorum(course),
                Stress::Quorum | Stress::Cluster => self.fault(course),
            }
        }
        Ok(())
    }

    /// Ends nodes whose disks have stopped, or that have stopped cleanly.
    fn end_stopped(&mut self, course: &mut Course) {
        for index in 0..course.nodes.len() {
            let node = &mut course.nodes[index];
            let crash = match () {
                () if node.has_stopped_disk() => {
                    let planned = self.planned.iter().position(|(of, _)| *of == index);
                    planned.map_or(Crash::Process, |at| self.planned.remove(at).1)
                }
                () if node.is_stopped() || node.has_no_room() || node.is_rotten() => Crash::Process,
                () => continue,
            };
            let is_rotten = node.is_rotten();
            course.note(|| format!("node {} is down: {crash:?}", index + 1));
            self.down(course, index, crash);
            if is_rotten {
                course.note(|| format!("node {} gets its metadata log from the others", index + 1));
                course.nodes[index].remove_metadata_log();
            }
        }
    }

    /// Starts nodes again that have stopped cleanly.
    pub fn restart_stopped(&mut self, course: &mut Course) {
        self.end_stopped(course);
        for (_, index) in std::mem::take(&mut self.restarts) {
            start(course, index);
        }
    }

    fn down(&mut self, course: &mut Course, index: usize, crash: Crash) {
        let pause_ms = match self.is_controller_alone(course, index) {
            true => 400,
            false => 3_000,
        };
        let ms = 20 + course.random.below(pause_ms) as u64;
        self.down_for(course, index, crash, ms);
    }

    /// Ends a node, and starts it again after a while.
    pub fn down_for(&mut self, course: &mut Course, index: usize, crash: Crash, ms: u64) {
        self.planned.retain(|(of, _)| *of != index);
        course.nodes[index].end(&course.net, course.now_ms, crash);
        if crash != Crash::Process && course.layout.is_silent_without_power {
            course.net.set_silent(index + 1, true);
        }
        self.restarts.push((course.now_ms + ms, index));
    }

    /// Lets the disk of a node stop after some calls.
    pub fn stop_disk(&mut self, course: &mut Course, index: usize, calls: u64, crash: Crash) {
        course.note(|| format!("the disk of node {} stops after {calls} calls: {crash:?}", index + 1));
        course.nodes[index].disk.crash_after(calls);
        self.planned.retain(|(of, _)| *of != index);
        self.planned.push((index, crash));
    }

    fn fault(&mut self, course: &mut Course) {
        let among = match course.layout.stress {
            Stress::Cluster => course.nodes.len(),
            Stress::Quorum => course.layout.brokers(),
        };
        let index = course.random.below(among);
        let host = index + 1;
        course.net.note(&[3, course.now_ms, host as u64]);
        if course.layout.is_dynamic() && course.random.chance(10) {
            return self.change_voters(course);
        }
        match course.random.below(16) {
            14 if self.rots.is_empty() && self.may_kill(course, index) => self.begin_rot(course, index),
            13 if self.may_kill(course, index) => {
                let ms = 200 + course.random.below(4_000) as u64;
                let free_bytes = course.random.pick(&[0, 500, 5_000, 50_000]);
                course.note(|| format!("the disk of node {host} has {free_bytes} bytes free for {ms} ms"));
                let disk = &course.nodes[index].disk;
                disk.set_capacity(Some(disk.used_bytes() + free_bytes));
                self.full_until.push((course.now_ms + ms, index));
            }
            0 | 1 if self.may_kill(course, index) => {
                course.note(|| format!("node {host} is killed"));
                self.down(course, index, Crash::Process);
            }
            2 | 3 if self.may_lose_power(course, index) => {
                self.without_power = Some(index);
                let seed = course.random.next();
                course.note(|| format!("node {host} loses its power"));
                self.down(course, index, Crash::Power { seed });
            }
            4 | 5 if self.may_kill(course, index) => {
                let crash = match self.may_lose_power(course, index) {
                    true => Crash::Power { seed: course.random.next() },
                    false => Crash::Process,
                };
                if crash != Crash::Process {
                    self.without_power = Some(index);
                }
                let calls = course.random.below(150) as u64;
                self.stop_disk(course, index, calls, crash);
            }
            6 | 7 => {
                let ms = 50 + course.random.below(4_000) as u64;
                course.note(|| format!("node {host} is paused for {ms} ms"));
                course.nodes[index].pause(course.now_ms + ms);
            }
            // A stop that does not come to its end is a kill.
            8 if self.may_kill(course, index) => {
                course.note(|| format!("node {host} is stopped"));
                course.nodes[index].begin_stop();
            }
            9 | 10 => self.cut(course, host),
            11 => {
                let other = 1 + course.random.below(course.nodes.len());
                let other = if other == host { CLIENTS } else { other };
                course.note(|| format!("a stream of {host} and {other} breaks"));
                course.net.break_one((host, other), course.now_ms);
            }
            12 => {
                let percent = course.random.pick(&[0, 3, 10, 40]);
                course.note(|| format!("{percent} of 100 pieces are late"));
                course.net.set_late_percent(percent);
            }
            _ => {
                let skew_ms = course.random.within(-3_600_000, 3_600_000);
                course.note(|| format!("the wall clock of node {host} jumps to {skew_ms} ms"));
                course.nodes[index].set_skew(skew_ms);
            }
        }
    }

    pub fn cut(&mut self, course: &mut Course, host: usize) {
        let others: Vec<usize> = (1..=course.nodes.len()).filter(|other| *other != host).collect();
        let hosts = match course.random.below(3) {
            0 => vec![course.random.pick(&others)],
            1 => others,
            _ => others.into_iter().chain([CLIENTS]).collect(),
        };
        let (is_in, is_out) = course.random.pick(&[(true, true), (true, true), (true, false), (false, true)]);
        course.note(|| format!("links of node {host} with {hosts:?} are cut, in {is_in}, out {is_out}"));
        for other in hosts {
            if is_in {
                course.net.cut(other, host);
            }
            if is_out {
                course.net.cut(host, other);
            }
        }
        let ms = 100 + course.random.below(4_000) as u64;
        self.mend_in(course, ms);
    }

    /// Mends all links after a while, if not before.
    pub fn mend_in(&mut self, course: &Course, ms: u64) {
        let at = course.now_ms + ms;
        self.mended_at = Some(self.mended_at.map_or(at, |before| before.min(at)));
    }

    pub fn is_controller_alone(&self, course: &Course, index: usize) -> bool {
        course.layout.roles[index] == Roles::Controller
    }

    /// Changes which controllers should vote: one loses its metadata log, one is taken out, or all
    /// are to vote again. This is no fault as long as no other change is under way.
    pub fn change_voters(&mut self, course: &mut Course) {
        let Some(mut voters) = course.wanted.settled() else { return };
        let host = course.random.pick(&course.layout.controllers());
        let index = host - 1;
        let is_voter = voters.contains_key(&host);
        if !is_voter {
            voters = course.all_voters();
            course.note(|| format!("voters are to be {:?}", voters.keys()));
        } else if voters.len() < 3 {
            return;
        } else if course.random.chance(60) && self.may_kill(course, index) {
            let seed = course.random.next();
            course.nodes[index].end(&course.net, course.now_ms, Crash::Process);
            course.nodes[index].swap_metadata_disk(seed);
            let id = course.nodes[index].directory_id();
            voters.insert(host, id);
            course.note(|| format!("node {host} gets an empty metadata log, directory {id}"));
            let ms = 20 + course.random.below(2_000) as u64;
            self.restarts.push((course.now_ms + ms, index));
        } else if !course.layout.joins {
            voters.remove(&host);
            course.note(|| format!("voters are to be {:?}", voters.keys()));
        }
        course.wanted.set(voters);
    }

    /// Whether a node may be killed. A broker that comes back without the marker of a clean stop
    /// leaves every ISR, because nobody knows what it has lost. So a kill is no fault that may
    /// happen while another node has lost records: no replica that has them would be left.
    fn may_kill(&self, course: &Course, index: usize) -> bool {
        let is_alone = self.is_controller_alone(course, index);
        course.nodes[index].is_running() && (is_alone || self.without_power.is_none_or(|of| of == index))
    }

    /// Whether a node may lose what it has not synced. `acks=all` promises a record as long as one
    /// replica that was in sync keeps it. So one node loses its power at a time, when all replicas
    /// are in sync.
    pub fn may_lose_power(&self, course: &Course, index: usize) -> bool {
        let is_again = self.without_power == Some(index) && course.nodes[index].is_running();
        let may_others_end = !self.planned.is_empty() || !self.full_until.is_empty();
        is_again || self.without_power.is_none() && !may_others_end && are_in_sync(course)
    }

    /// Ends all faults: every node runs, and every link works.
    pub fn end(&mut self, course: &mut Course) {
        course.net.mend();
        course.net.set_late_percent(1);
        for index in 0..course.nodes.len() {
            let node = &mut course.nodes[index];
            node.disk.never_crash();
            node.disk.set_capacity(None);
            node.pause(0);
        }
        self.end_stopped(course);
        for index in 0..course.nodes.len() {
            if !course.nodes[index].is_running() {
                start(course, index);
            }
        }
        self.restarts.clear();
        self.full_until.clear();
        self.rots.clear();
        course.wanted.set(course.all_voters());
    }
}

fn start(course: &mut Course, index: usize) {
    course.net.set_silent(index + 1, false);
    course.note(|| format!("node {} starts", index + 1));
    let now = course.now_ms;
    course.nodes[index].start(&course.net, now, &mut course.random);
}

/// Whether every node runs, is registered since its start, and knows that all replicas are in sync.
fn are_in_sync(course: &Course) -> bool {
    course.nodes.iter().all(|node| {
        let Some(broker) = node.broker().filter(|broker| broker.not_ready_because().is_none()) else { return false };
        out_of_sync(&broker.image()).is_none()
    })
}

/// Whether all other nodes run, and all of these that are controllers know the same metadata.
pub fn are_others_in_sync(course: &Course, index: usize) -> bool {
    let mut others = (0..course.nodes.len()).filter(|other| *other != index);
    let mut last = None;
    others.all(|other| {
        let node = &course.nodes[other];
        let broker = node.broker().filter(|_| !node.is_paused(course.now_ms) && !node.has_stopped_disk());
        let Some(broker) = broker else { return false };
        let offset = broker.image().provenance.last_offset;
        let is_same = course.layout.roles[other] == Roles::Broker || *last.get_or_insert(offset) == offset;
        is_same && offset.is_some()
    })
}

/// Returns a partition with a replica that is not in sync, or the topic of the course if it does
/// not exist.
pub fn out_of_sync(image: &Image) -> Option<String> {
    if image.topics.by_name(TOPIC).is_none() {
        return Some(TOPIC.into());
    }
    image.topics.iter().find_map(|topic| {
        (0..topic.partitions.len() as i32).find_map(|index| {
            let state = topic.partition(PartitionIndex(index))?;
            let is_in_sync = state.isr.len() == state.replicas.len();
            (!is_in_sync).then(|| format!("{}-{index} with ISR {:?}", topic.name, state.isr))
        })
    })
}
