//! The faults of a course that stresses the quorum. Controllers sync what they answer, so they may
//! lose their power at any time, also all at once and in the moment of a vote.

use crate::course::Course;
use crate::faults::Faults;
use crate::net::Host;
use model::LeaderEpoch;
use storage::disk::Crash;

/// What the faults have seen of elections, and what they will do at the next ones.
#[derive(Debug, Default)]
pub struct Elections {
    /// The newest epoch that each node was seen in.
    epochs: Vec<LeaderEpoch>,
    /// How many controllers are hit as soon as they enter an epoch.
    strikes: usize,
    /// The only one that is hit, if there is one.
    target: Option<Host>,
}

impl Faults {
    /// Hits controllers in the moment in which they vote or learn of a new leader.
    pub fn strike(&mut self, course: &mut Course) {
        self.elections.epochs.resize(course.nodes.len(), LeaderEpoch(0));
        for host in course.layout.controllers() {
            let index = host - 1;
            let Some(broker) = course.nodes[index].broker() else { continue };
            let epoch = broker.controller.quorum_facts().epoch;
            if epoch <= self.elections.epochs[index] {
                continue;
            }
            self.elections.epochs[index] = epoch;
            let is_target = self.elections.target.map_or(course.random.chance(60), |target| target == host);
            if self.elections.strikes > 0 && is_target {
                self.elections.strikes -= 1;
                course.note(|| format!("node {host} is hit as it enters epoch {epoch}"));
                let ms = course.random.below(30) as u64;
                match course.random.chance(70) {
                    true => self.down_for(course, index, Crash::Process, ms),
                    false => self.cut_power(course, index, ms),
                }
            }
        }
    }

    /// Hits the quorum: its leader more often than others.
    pub fn disturb_quorum(&mut self, course: &mut Course) {
        self.next_ms = course.now_ms + 20 + course.random.below(600) as u64;
        let controllers = course.layout.controllers();
        let leader = controllers.iter().copied().find(|host| {
            let broker = course.nodes[host - 1].broker();
            broker.is_some_and(|broker| broker.controller.quorum_facts().is_active)
        });
        let host = match leader {
            Some(leader) if course.random.chance(60) => leader,
            _ => course.random.pick(&controllers),
        };
        let index = host - 1;
        course.net.note(&[4, course.now_ms, host as u64]);
        if course.layout.is_dynamic() && course.random.chance(15) {
            return self.change_voters(course);
        }
        match course.random.below(16) {
            15 if self.rots.is_empty() && course.nodes[index].is_running() => self.begin_rot(course, index),
            12 | 13 => self.split(course, host),
            14 => {
                let others: Vec<Host> = controllers.into_iter().filter(|other| *other != host).collect();
                let ms = 1_000 + course.random.below(4_000) as u64;
                course.note(|| format!("node {host} is cut off from the controllers {others:?} for {ms} ms"));
                course.net.cut_between(&[host], &others);
                self.mend_in(course, ms);
            }
            0 | 1 => {
                let ms = course.random.below(200) as u64;
                course.note(|| format!("node {host} loses its power for {ms} ms"));
                self.cut_power(course, index, ms);
            }
            2 if course.nodes[index].is_running() => {
                let ms = course.random.below(200) as u64;
                course.note(|| format!("node {host} is killed for {ms} ms"));
                self.down_for(course, index, Crash::Process, ms);
            }
            3 | 4 => {
                self.elections.strikes = 1 + course.random.below(3);
                self.elections.target = None;
                course.note(|| format!("node {host} is killed, and {} in the election", self.elections.strikes));
                let ms = course.random.below(60) as u64;
                if course.nodes[index].is_running() {
                    self.down_for(course, index, Crash::Process, ms);
                }
            }
            5 => {
                course.note(|| "all controllers lose their power".into());
                for host in controllers {
                    let ms = match course.random.chance(60) {
                        true => course.random.below(100),
                        false => 400 + course.random.below(1_500),
                    };
                    self.cut_power(course, host - 1, ms as u64);
                }
            }
            6 => {
                let ms = 100 + course.random.below(3_000) as u64;
                course.note(|| format!("node {host} is paused for {ms} ms"));
                course.nodes[index].pause(course.now_ms + ms);
            }
            7 | 8 => self.cut(course, host),
            9 | 10 if course.nodes[index].is_running() => {
                let (calls, seed) = (course.random.below(40) as u64, course.random.next());
                self.stop_disk(course, index, calls, Crash::Power { seed });
            }
            _ => {
                let percent = course.random.pick(&[0, 3, 10, 40]);
                course.note(|| format!("{percent} of 100 pieces are late"));
                course.net.set_late_percent(percent);
            }
        }
    }

    /// Cuts the other controllers into two halves that have only one controller in common, which is
    /// killed, and again as soon as it votes.
    fn split(&mut self, course: &mut Course, common: Host) {
        let (mut one, mut other) = (Vec::new(), Vec::new());
        for host in course.layout.controllers().into_iter().filter(|host| *host != common) {
            let (few, many) = if one.len() < other.len() { (&mut one, &mut other) } else { (&mut other, &mut one) };
            let half = if few.len() == many.len() && course.random.chance(50) { many } else { few };
            half.push(host);
        }
        course.note(|| format!("the controllers {one:?} and {other:?} have only {common} in common, which is killed"));
        course.net.cut_between(&one, &other);
        let ms = 300 + course.random.below(2_000) as u64;
        self.mend_in(course, ms);
        self.elections.strikes = 1;
        self.elections.target = Some(common);
        if course.nodes[common - 1].is_running() {
            let ms = course.random.below(30) as u64;
            self.down_for(course, common - 1, Crash::Process, ms);
        }
    }

    fn cut_power(&mut self, course: &mut Course, index: usize, ms: u64) {
        if course.nodes[index].is_running() {
            let seed = course.random.next();
            self.down_for(course, index, Crash::Power { seed }, ms);
        }
    }
}
