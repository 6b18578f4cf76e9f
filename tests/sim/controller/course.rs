//! A course: a cluster of a few brokers, and a sequence of random events from a seed.

use crate::broker::{Broker, Phase};
use crate::controller::Controller;
use crate::data::{Key, Records};
use crate::random::Random;
use crate::{check, requests};
use metadata::decide::{self, Decision, Settings};
use metadata::image::{ConfigResource, Image, Partition};
use metadata::{MetadataVersion, version};
use model::{ApiError, BrokerId, ErrorCode, ProducerId};
use protocol::MetadataRecord;

const EVENTS: usize = 160;
const SESSION_MS: u64 = 9_000;
/// The most rounds that a cluster without faults needs until all is well.
const ROUNDS_MAX: usize = 60;

pub struct Course {
    pub random: Random,
    pub controller: Controller,
    pub brokers: Vec<Broker>,
    pub records: Records,
    pub elr: bool,
    pub next_topic: usize,
    next_producer_id: i64,
    is_printed: bool,
    digest: u64,
}

/// Runs the course of a seed. Returns a number that depends on all its records.
pub fn run(seed: u64, is_printed: bool) -> Result<u64, String> {
    let mut course = Course::new(seed, is_printed);
    course.begin()?;
    for _ in 0..EVENTS {
        course.event()?;
    }
    course.end()?;
    Ok(course.digest)
}

impl Course {
    fn new(seed: u64, is_printed: bool) -> Self {
        let mut random = Random::new(seed);
        let count = random.within(3, 7) as i32;
        let level = random.pick(&[30, 30, 30, 30, 26, 23, 17, 15, 12, 7]);
        let version = MetadataVersion::from_level(level).expect("a level that Kafka has");
        let elr = version.has_elr() && random.chance(75);
        let settings = Settings {
            node_id: BrokerId(100),
            cluster_id: "sim".into(),
            default_partitions: 2,
            default_replication_factor: 2,
            min_insync_replicas: random.within(1, 3) as i32,
            unclean_leader_election: random.chance(10),
            delete_topic_enable: true,
            broker_session_timeout_ms: SESSION_MS as i64,
        };
        let racks = random.chance(50);
        let brokers = (1..=count).map(|id| {
            let dirs = random.within(1, 3) as usize;
            Broker::new(id, dirs, racks.then(|| format!("rack{}", id % 3)))
        });
        let brokers = brokers.collect();
        let controller = Controller::new(version, elr, settings, Random::new(seed ^ 0x5eed));
        Self {
            random,
            controller,
            brokers,
            records: Records::default(),
            elr,
            next_topic: 0,
            next_producer_id: 0,
            is_printed,
            digest: seed,
        }
    }

    pub fn image(&self) -> &Image {
        self.controller.image()
    }

    pub fn say(&self, what: impl FnOnce() -> String) {
        if self.is_printed {
            println!("{:>6} ms, offset {:>5}: {}", self.controller.now, self.controller.end, what());
        }
    }

    /// Takes over what was decided.
    fn follow(&mut self) -> Result<(), String> {
        let image = self.controller.image().clone();
        let is_alive = |id: BrokerId| {
            let broker = &self.brokers[id.0 as usize - 1];
            let registered = image.cluster.brokers.get(&id);
            broker.is_registered() && registered.is_some_and(|it| it.incarnation_id == broker.incarnation_id())
        };
        self.records.follow(&image, &is_alive)?;
        self.check_replicas()?;
        let end = self.controller.end as u64;
        self.digest = (self.digest ^ end ^ self.records.unclean_elections).wrapping_mul(0x0100_0000_01b3);
        Ok(())
    }

    /// Whoever may be elected cleanly holds what was acknowledged. A process that died or that
    /// the controller does not know yet may hold less.
    fn check_replicas(&self) -> Result<(), String> {
        for topic in self.image().topics.iter() {
            for (index, partition) in &topic.partitions {
                let Some(data) = self.records.partitions.get(&(topic.id, *index)) else { continue };
                for id in partition.isr.iter().chain(&partition.elr) {
                    let broker = &self.brokers[id.0 as usize - 1];
                    let registered = self.image().cluster.brokers.get(id);
                    let is_known = registered.is_some_and(|it| it.incarnation_id == broker.incarnation_id());
                    if broker.is_registered() && is_known && !data.has_committed(*id) {
                        let (log, committed) = (data.log(*id), &data.committed);
                        return Err(format!(
                            "{id} may be elected in {}-{index} and has {log:?} of {committed:?}: {partition:?}",
                            topic.name
                        ));
                    }
                }
            }
        }
        Ok(())
    }

    /// Most brokers come up, and there are topics.
    fn begin(&mut self) -> Result<(), String> {
        for at in 0..self.brokers.len() {
            self.brokers[at].start();
            self.register(at)?;
            self.brokers[at].read = self.controller.end - 1;
            if self.random.chance(90) {
                self.heartbeat(at, false)?;
            }
        }
        self.create_topic()?;
        self.create_topic()?;
        self.follow()
    }

    fn event(&mut self) -> Result<(), String> {
        match self.random.below(100) {
            0..=7 => self.start()?,
            8..=27 => self.heartbeat_of_any(25)?,
            28..=41 => self.alter_partition()?,
            42..=43 => self.kill(),
            44..=45 => self.stop(),
            46..=49 => self.pass_time()?,
            50 => self.lose()?,
            51 => {
                self.say(|| "another controller".to_owned());
                self.controller.fail_over();
            }
            52..=54 => self.create_topic()?,
            55 => self.delete_topic()?,
            56 => self.add_partitions()?,
            57..=77 => self.replicate()?,
            78..=82 => self.reassign()?,
            83..=86 => self.elect()?,
            87..=88 => self.fail_dir(),
            89..=91 => self.assign_dirs()?,
            92..=94 => self.set_config()?,
            95 => self.unregister()?,
            96 => self.allocate()?,
            97 => self.upgrade()?,
            _ => self.balance()?,
        }
        self.follow()
    }

    fn any_broker(&mut self, phase: &[Phase]) -> Option<usize> {
        let fitting: Vec<usize> =
            (0..self.brokers.len()).filter(|at| phase.contains(&self.brokers[*at].phase)).collect();
        (!fitting.is_empty()).then(|| self.random.pick(&fitting))
    }

    fn start(&mut self) -> Result<(), String> {
        if let Some(at) = self.any_broker(&[Phase::Down]) {
            self.brokers[at].start();
        }
        match self.any_broker(&[Phase::Starting]) {
            Some(at) => self.register(at),
            None => Ok(()),
        }
    }

    fn register(&mut self, at: usize) -> Result<(), String> {
        let broker = self.brokers[at].clone();
        let request = requests::registration(&broker, &self.controller.settings.cluster_id);
        let decided = self
            .controller
            .decide(|image, soft, context, next| decide::register_broker(image, soft, context, &request, next))?;
        self.say(|| format!("{} registers, clean epoch {:?}: {:?}", broker.id, broker.clean_epoch, said(&decided)));
        if let Ok(decision) = decided {
            let broker = &mut self.brokers[at];
            broker.phase = Phase::Running;
            broker.epoch = decision.reply.broker_epoch;
            broker.registered_at = self.controller.end - 1;
            broker.clean_epoch = None;
            if self.random.chance(50) {
                self.follow()?;
                self.brokers[at].read = self.controller.end - 1;
                return self.heartbeat(at, false);
            }
        }
        Ok(())
    }

    fn heartbeat_of_any(&mut self, lag_percent: usize) -> Result<(), String> {
        let Some(at) = self.any_broker(&[Phase::Running, Phase::Running, Phase::Stopping]) else { return Ok(()) };
        let end = self.controller.end - 1;
        let broker = &mut self.brokers[at];
        broker.read = if self.random.chance(lag_percent) { self.random.within(broker.read, end) } else { end };
        let want_fence = self.random.chance(5);
        self.heartbeat(at, want_fence)
    }

    fn heartbeat(&mut self, at: usize, want_fence: bool) -> Result<(), String> {
        let broker = self.brokers[at].clone();
        let request = requests::heartbeat(&broker, want_fence);
        let was_fenced = self.is_fenced(broker.id);
        let led = self.image().topics.leaderships(broker.id);
        let decided =
            self.controller.decide(|image, soft, context, _| decide::heartbeat(image, soft, context, &request))?;
        self.say(|| format!("{} at {} beats, fence {want_fence}: {:?}", broker.id, broker.read, said(&decided)));
        match decided {
            Ok(decision) => {
                if was_fenced && !self.is_fenced(broker.id) && broker.read < broker.registered_at {
                    return Err(format!("{} was unfenced before it had read its registration", broker.id));
                }
                if decision.reply.should_shut_down {
                    // The others must know who leads now before it is gone.
                    if led > 0 && !want_fence {
                        return Err(format!("{} may stop and leads partitions", broker.id));
                    }
                    self.brokers[at].phase = Phase::Down;
                    self.brokers[at].clean_epoch = Some(broker.epoch);
                }
            }
            // It has registered anew or was unregistered: the process ends, as Kafka's does.
            Err(_) => self.end_process(at),
        }
        Ok(())
    }

    fn is_fenced(&self, id: BrokerId) -> bool {
        self.image().cluster.brokers.get(&id).is_none_or(|it| it.fenced)
    }

    /// Ends a process without a clean stop. With eligible leaders the controller finds it out, so
    /// records that were not flushed may be lost.
    fn end_process(&mut self, at: usize) {
        let id = self.brokers[at].id;
        self.brokers[at].phase = Phase::Down;
        self.brokers[at].clean_epoch = None;
        if !self.elr {
            return;
        }
        for data in self.records.partitions.values_mut() {
            if let Some(log) = data.logs.get_mut(&id) {
                log.truncate(self.random.below(log.len() + 1));
            }
        }
    }

    fn kill(&mut self) {
        if let Some(at) = self.any_broker(&[Phase::Starting, Phase::Running, Phase::Stopping]) {
            self.say(|| format!("{} is killed", self.brokers[at].id));
            self.end_process(at);
        }
    }

    fn stop(&mut self) {
        if let Some(at) = self.any_broker(&[Phase::Running]) {
            self.brokers[at].phase = Phase::Stopping;
        }
    }

    fn pass_time(&mut self) -> Result<(), String> {
        // Most brokers are heard from meanwhile.
        for at in 0..self.brokers.len() {
            if self.brokers[at].is_registered() && self.random.chance(85) {
                self.heartbeat(at, false)?;
                self.follow()?;
            }
        }
        self.controller.now += self.random.pick(&[1_000, 5_000, SESSION_MS + 1]);
        self.fence_stale()
    }

    /// The controller takes a broker for lost, which it may not be.
    fn lose(&mut self) -> Result<(), String> {
        let at = self.random.below(self.brokers.len());
        let (id, epoch) = (self.brokers[at].id, model::BrokerEpoch(self.brokers[at].epoch));
        let lost = decide::LostBroker { id, epoch, since: model::Monotonic(self.controller.now) };
        let decided = self
            .controller
            .decide(|image, soft, context, _| Ok(decide::fence_lost_broker(image, soft, context, lost)))?;
        self.say(|| format!("takes {id} for lost: {:?}", said(&decided)));
        Ok(())
    }

    fn fence_stale(&mut self) -> Result<(), String> {
        while let Some(fenced) = self.controller.fence_one()? {
            self.say(|| format!("fences {fenced:?}"));
            self.follow()?;
        }
        Ok(())
    }

    pub fn any_topic(&mut self) -> Option<(model::TopicId, String, usize)> {
        let count = self.image().topics.len();
        let at = self.random.below(count);
        self.image().topics.iter().nth(at).map(|it| (it.id, it.name.to_string(), it.partitions.len()))
    }

    /// A random partition and its state.
    pub fn any_partition(&mut self) -> Option<(Key, String, Partition)> {
        let (id, name, count) = self.any_topic()?;
        let index = model::PartitionIndex(self.random.below(count) as i32);
        let partition = Partition::clone(self.image().topics.by_id(id)?.partition(index)?);
        Some(((id, index), name, partition))
    }

    /// Whether the leader's process is alive, knows that it leads, and has its log.
    pub fn leads(&self, partition: &Partition) -> Option<BrokerId> {
        let leader = partition.leader?;
        let broker = &self.brokers[leader.0 as usize - 1];
        let registered = self.image().cluster.brokers.get(&leader)?;
        let serves = broker.is_registered() && broker.epoch == registered.epoch.0 && self.has_log(leader, partition);
        serves.then_some(leader)
    }

    fn has_log(&self, id: BrokerId, partition: &Partition) -> bool {
        let broker = &self.brokers[id.0 as usize - 1];
        partition.directory(id).is_some_and(|dir| !broker.failed.contains(&dir))
    }

    fn min_isr(&self, topic: &str, partition: &Partition) -> usize {
        let configs = &self.image().configs;
        let set = configs
            .value(&ConfigResource::topic(topic), "min.insync.replicas")
            .or_else(|| configs.value(&ConfigResource::all_brokers(), "min.insync.replicas"));
        let min = set.and_then(|it| it.parse().ok()).unwrap_or(self.controller.settings.min_insync_replicas);
        (min as usize).min(partition.replicas.len())
    }

    /// The leader of a partition takes records, followers fetch, and what is replicated counts as
    /// acknowledged.
    fn replicate(&mut self) -> Result<(), String> {
        let Some((key, name, partition)) = self.any_partition() else { return Ok(()) };
        self.replicate_in(key, &name, &partition, 70);
        Ok(())
    }

    fn replicate_in(&mut self, key: Key, name: &str, partition: &Partition, percent: usize) {
        let Some(leader) = self.leads(partition) else { return };
        let min_isr = self.min_isr(name, partition);
        let followers: Vec<BrokerId> = partition.replicas.iter().copied().filter(|id| *id != leader).collect();
        let record = self.records.next();
        let mut fetching = Vec::new();
        for id in followers {
            let broker = &self.brokers[id.0 as usize - 1];
            let epoch = broker.epoch;
            if broker.is_registered() && self.has_log(id, partition) && self.random.chance(percent) {
                fetching.push((id, epoch));
            }
        }
        let Some(data) = self.records.partitions.get_mut(&key) else { return };
        data.logs.entry(leader).or_default().push(record);
        for (id, epoch) in fetching {
            data.fetch(leader, id, epoch);
        }
        data.commit(partition, leader, min_isr);
    }

    fn alter_partition(&mut self) -> Result<(), String> {
        let Some((key, name, partition)) = self.any_partition() else { return Ok(()) };
        let Some(leader) = self.leads(&partition) else { return Ok(()) };
        let Some(data) = self.records.partitions.get(&key) else { return Ok(()) };
        // The leader goes by what it knows of its followers, which may have died since.
        let mut members: Vec<(BrokerId, i64)> = vec![(leader, self.brokers[leader.0 as usize - 1].epoch)];
        for id in partition.replicas.iter().filter(|id| **id != leader) {
            match data.is_caught_up(*id) {
                Some(epoch) if self.random.chance(80) => members.push((*id, epoch)),
                _ => {}
            }
        }
        let is_stale = self.random.chance(15);
        let epoch_before = partition.partition_epoch.0 - i32::from(is_stale);
        let request = requests::isr(&self.brokers[leader.0 as usize - 1], key, &partition, &members, epoch_before);
        let decided =
            self.controller.decide(|image, _, context, _| decide::alter_partition(image, context, &request))?;
        let shown = said(&decided);
        let decision = decided.map_err(|error| error.to_string())?;
        let code = ErrorCode::from_code(decision.reply.topics[0].partitions[0].error_code);
        self.say(|| format!("{leader} wants the ISR {members:?} of {name}-{}: {code:?} {shown:?}", key.1));
        let is_refused = !matches!(code, Some(ErrorCode::None | ErrorCode::NewLeaderElected));
        if is_refused && !decision.records.is_empty() {
            return Err(format!("an ISR that was refused with {code:?} was written"));
        }
        if is_stale && !is_refused {
            return Err("an ISR of a stale partition epoch was accepted".to_owned());
        }
        Ok(())
    }

    fn fail_dir(&mut self) {
        if let Some(at) = self.any_broker(&[Phase::Running]) {
            let broker = &mut self.brokers[at];
            let dir = self.random.pick(&broker.dirs);
            // A broker whose last dir fails ends.
            if broker.failed.len() + 1 < broker.dirs.len() {
                broker.failed.insert(dir);
            }
        }
    }

    fn assign_dirs(&mut self) -> Result<(), String> {
        let Some(at) = self.any_broker(&[Phase::Running]) else { return Ok(()) };
        let Some((key, _, partition)) = self.any_partition() else { return Ok(()) };
        let broker = self.brokers[at].clone();
        if !self.has_log(broker.id, &partition) {
            return Ok(());
        }
        let online: Vec<_> = broker.dirs.iter().copied().filter(|dir| !broker.failed.contains(dir)).collect();
        let request = requests::assignment(&broker, key, self.random.pick(&online));
        let decided =
            self.controller.decide(|image, _, context, _| decide::assign_replicas_to_dirs(image, context, &request))?;
        self.say(|| format!("{} assigns a replica: {:?}", broker.id, said(&decided)));
        Ok(())
    }

    fn allocate(&mut self) -> Result<(), String> {
        let Some(at) = self.any_broker(&[Phase::Running]) else { return Ok(()) };
        let request = requests::producer_ids(&self.brokers[at]);
        let decided = self.controller.decide(|image, _, _, _| decide::allocate_producer_ids(image, &request))?;
        if let Ok(decision) = decided {
            let start = decision.reply.producer_id_start;
            if start != self.next_producer_id {
                return Err(format!("a block of producer ids begins at {start}, not {}", self.next_producer_id));
            }
            self.next_producer_id += i64::from(decision.reply.producer_id_len);
            if self.image().next_producer_id != Some(ProducerId(self.next_producer_id)) {
                return Err("a block of producer ids was not written".to_owned());
            }
        }
        Ok(())
    }

    /// Faults stop. Every broker comes back, and every partition that can have a leader gets one,
    /// with all its replicas in sync.
    fn end(&mut self) -> Result<(), String> {
        for _ in 0..ROUNDS_MAX {
            self.controller.now += 3_000;
            for at in 0..self.brokers.len() {
                if !self.brokers[at].failed.is_empty() {
                    self.end_process(at);
                }
                match self.brokers[at].phase {
                    Phase::Down => self.brokers[at].start(),
                    Phase::Starting => self.register(at)?,
                    Phase::Running | Phase::Stopping => {
                        self.brokers[at].read = self.controller.end - 1;
                        self.heartbeat(at, false)?;
                    }
                }
                self.follow()?;
            }
            self.fence_stale()?;
            self.catch_up()?;
            if self.reason_not_well().is_none() {
                return self.finish();
            }
        }
        Err(format!("faults stopped, and yet {}", self.reason_not_well().unwrap_or_default()))
    }

    /// Every follower fetches, and every leader takes it into the ISR.
    fn catch_up(&mut self) -> Result<(), String> {
        let all: Vec<(Key, String)> = self
            .image()
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.keys().map(|index| ((topic.id, *index), topic.name.to_string())))
            .collect();
        for (key, name) in all {
            let Some(partition) = self.image().topics.partition(&name, key.1).map(|it| Partition::clone(it)) else {
                continue;
            };
            self.replicate_in(key, &name, &partition, 100);
            let Some(leader) = self.leads(&partition) else { continue };
            let data = &self.records.partitions[&key];
            let own = (leader, self.brokers[leader.0 as usize - 1].epoch);
            let followers = partition.replicas.iter().filter(|id| **id != leader);
            let caught_up = followers.filter_map(|id| Some((*id, data.is_caught_up(*id)?)));
            let is_active = |id: &BrokerId| self.image().cluster.brokers.get(id).is_some_and(|it| it.is_active());
            let members: Vec<_> = std::iter::once(own).chain(caught_up).filter(|(id, _)| is_active(id)).collect();
            if !is_active(&leader) {
                continue;
            }
            let epoch = partition.partition_epoch.0;
            let request = requests::isr(&self.brokers[leader.0 as usize - 1], key, &partition, &members, epoch);
            self.controller
                .decide(|image, _, context, _| decide::alter_partition(image, context, &request))?
                .map_err(|error| error.to_string())?;
            self.follow()?;
        }
        Ok(())
    }

    fn reason_not_well(&self) -> Option<String> {
        for broker in &self.brokers {
            let registered = self.image().cluster.brokers.get(&broker.id);
            let is_current = |it: &metadata::image::Broker| it.is_active() && it.epoch.0 == broker.epoch;
            if broker.phase != Phase::Running || !registered.is_some_and(|it| is_current(it)) {
                return Some(format!("{} is not active: {broker:?}", broker.id));
            }
        }
        for topic in self.image().topics.iter() {
            for (index, it) in &topic.partitions {
                // Without any replica that has every record, an administrator has to choose.
                let is_lost = it.isr.is_empty() && it.elr.is_empty() && it.leader.is_none();
                let is_well = it.leader.is_some() && it.isr.len() == it.replicas.len() && !it.is_reassigning();
                if !is_lost && !is_well {
                    return Some(format!("{}-{index} is not well: {it:?}", topic.name));
                }
            }
        }
        None
    }

    fn finish(&mut self) -> Result<(), String> {
        let before = self.records.unclean_elections;
        let request = requests::election(true, None);
        self.controller
            .decide(|image, _, context, _| decide::elect_leaders(image, context, &request))?
            .map_err(|error| error.to_string())?;
        self.follow()?;
        let leaderless = self.image().topics.leaderless().next();
        if let Some(topic) = leaderless {
            return Err(format!("{} has no leader after an unclean election: {topic:?}", topic.name));
        }
        self.say(|| format!("{before} unclean elections, {} in all", self.records.unclean_elections));
        check::snapshot(self.image())?;
        let elr = self.image().features.level(version::ELR_VERSION) > 0;
        if elr != self.elr {
            return Err("eligible leaders were switched".to_owned());
        }
        Ok(())
    }
}

/// What was decided, for a course that is printed.
pub fn said<R>(decided: &Result<Decision<R>, ApiError>) -> Result<Vec<String>, String> {
    let text = |record: &MetadataRecord| match record {
        MetadataRecord::PartitionChange(it) => format!(
            "{}: leader {} isr {:?} elr {:?} replicas {:?}",
            it.partition_id, it.leader, it.isr, it.eligible_leader_replicas, it.replicas
        ),
        other => other.name().to_owned(),
    };
    match decided {
        Ok(decision) => Ok(decision.records.iter().map(|it| text(&it.record)).collect()),
        Err(error) => Err(error.to_string()),
    }
}
