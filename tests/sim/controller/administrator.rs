//! What administrators ask, and what the controller does on its own from time to time.

use crate::course::{Course, said};
use crate::requests;
use metadata::{MetadataVersion, decide, version};
use std::collections::BTreeSet;

/// Few topics, so that many events meet in each.
const TOPICS_MAX: usize = 3;

impl Course {
    pub fn create_topic(&mut self) -> Result<(), String> {
        if self.image().topics.len() >= TOPICS_MAX {
            return Ok(());
        }
        self.next_topic += 1;
        let name = format!("t{}", self.next_topic);
        let request = requests::creation(&mut self.random, &name, self.brokers.len());
        let decided = self
            .controller
            .decide(|image, _, context, _| decide::create_topics(image, context, &request, &|_| false))?;
        self.say(|| format!("creates {name}: {:?}", said(&decided)));
        let decision = decided.map_err(|error| error.to_string())?;
        if decision.reply.topics[0].error_code != 0 && !decision.records.is_empty() {
            return Err("a topic that was refused was written".to_owned());
        }
        Ok(())
    }

    pub fn delete_topic(&mut self) -> Result<(), String> {
        let Some((id, ..)) = self.any_topic() else { return Ok(()) };
        let request = requests::deletion(id);
        let allowed = |_: &str| decide::TopicToDelete { describable: true, deletable: true };
        self.controller
            .decide(|image, _, context, _| decide::delete_topics(image, context, &request, &allowed))?
            .map_err(|error| error.to_string())?;
        Ok(())
    }

    pub fn add_partitions(&mut self) -> Result<(), String> {
        let Some((_, name, count)) = self.any_topic() else { return Ok(()) };
        let request = requests::more_partitions(&name, count as i32 + self.random.within(-1, 2) as i32);
        let decided =
            self.controller.decide(|image, _, context, _| decide::create_partitions(image, context, &request))?;
        let decision = decided.map_err(|error| error.to_string())?;
        if decision.reply.results[0].error_code != 0 && !decision.records.is_empty() {
            return Err("partitions that were refused were written".to_owned());
        }
        Ok(())
    }

    pub fn reassign(&mut self) -> Result<(), String> {
        let Some((key, name, _)) = self.any_partition() else { return Ok(()) };
        let target = self.random.chance(70).then(|| requests::some_brokers(&mut self.random, self.brokers.len()));
        let may_change = self.random.chance(70);
        let request = requests::reassignment(&name, key.1, target, may_change, self.random.chance(10));
        let decided = self
            .controller
            .decide(|image, _, context, _| decide::alter_partition_reassignments(image, context, &request))?;
        self.say(|| format!("reassigns {name}-{}: {:?}", key.1, said(&decided)));
        let decision = decided.map_err(|error| error.to_string())?;
        let partitions = &decision.reply.responses[0].partitions;
        // The request may name the partition twice.
        let accepted = partitions.iter().filter(|partition| partition.error_code == 0).count();
        if decision.records.len() > accepted.min(1) {
            return Err("a reassignment that was refused was written, or one partition twice".to_owned());
        }
        let listed = decide::list_partition_reassignments(self.image(), &Default::default());
        let is_listed: BTreeSet<_> = listed.topics.iter().map(|it| it.name.to_string()).collect();
        let all = self.image().topics.iter().filter(|it| it.partitions.values().any(|it| it.is_reassigning()));
        if is_listed != all.map(|it| it.name.to_string()).collect() {
            return Err(format!("reassignments that are listed: {is_listed:?}"));
        }
        Ok(())
    }

    pub fn elect(&mut self) -> Result<(), String> {
        let unclean = self.random.chance(20);
        let named =
            if self.random.chance(50) { None } else { self.any_partition().map(|(key, name, _)| (name, key.1)) };
        let request = requests::election(unclean, named);
        let decided = self.controller.decide(|image, _, context, _| decide::elect_leaders(image, context, &request))?;
        self.say(|| format!("elects, unclean {unclean}: {:?}", said(&decided)));
        let decision = decided.map_err(|error| error.to_string())?;
        let elected = decision.reply.replica_election_results.iter().flat_map(|it| &it.partition_result);
        if elected.filter(|it| it.error_code == 0).count() != decision.records.len() {
            return Err("elections and records differ in number".to_owned());
        }
        Ok(())
    }

    pub fn set_config(&mut self) -> Result<(), String> {
        let Some((_, name, _)) = self.any_topic() else { return Ok(()) };
        let (key, value) = if self.random.chance(50) {
            ("min.insync.replicas", self.random.pick(&["1", "2", "3"]))
        } else {
            ("unclean.leader.election.enable", self.random.pick(&["true", "false", "false"]))
        };
        let value = self.random.chance(80).then_some(value);
        let request = requests::config(&name, key, value);
        let origin = decide::Origin::Controller;
        let decided = self
            .controller
            .decide(|image, _, context, _| decide::incremental_alter_configs(image, context, origin, &request))?;
        self.say(|| format!("sets {key}={value:?} of {name}: {:?}", said(&decided)));
        Ok(())
    }

    pub fn unregister(&mut self) -> Result<(), String> {
        let at = self.random.below(self.brokers.len());
        let id = self.brokers[at].id;
        let decided = self.controller.decide(|image, _, context, _| decide::unregister_broker(image, context, id))?;
        self.say(|| format!("unregisters {id}: {:?}", said(&decided)));
        Ok(())
    }

    /// Raises `metadata.version` to the newest, and then turns eligible leaders on.
    pub fn upgrade(&mut self) -> Result<(), String> {
        if self.elr || self.random.chance(60) {
            return Ok(());
        }
        let latest = MetadataVersion::LATEST;
        let (feature, level) = if self.image().features.version() < latest {
            (version::METADATA_VERSION, latest.level())
        } else {
            (version::ELR_VERSION, 1)
        };
        let request = requests::feature(feature, level);
        self.controller.was_switched = true;
        let quorum = decide::QuorumMembers::default();
        let decided = self
            .controller
            .decide(|image, _, context, _| decide::update_features(image, context, &request, &quorum))?;
        self.say(|| format!("sets {feature} to {level}: {:?}", said(&decided)));
        let decision = decided.map_err(|error| error.to_string())?;
        if decision.reply.error_code != 0 {
            return Err(format!("an upgrade was refused: {:?}", decision.reply));
        }
        self.elr = feature == version::ELR_VERSION;
        Ok(())
    }

    pub fn balance(&mut self) -> Result<(), String> {
        if self.random.chance(50) {
            self.controller
                .decide(|image, _, context, _| Ok(decide::elect_unclean_leaders(image, context)))?
                .map_err(|error| error.to_string())?;
            return Ok(());
        }
        self.controller
            .decide(|image, _, context, _| Ok(decide::balance_leaders(image, context)))?
            .map_err(|error| error.to_string())?;
        for topic in self.image().topics.imbalanced() {
            for it in topic.partitions.values().filter(|it| it.leader != it.preferred_leader()) {
                let first = it.replicas[0];
                let broker = self.image().cluster.brokers.get(&first).filter(|it| it.is_active());
                let online =
                    |broker: &metadata::image::Broker| it.directory(first).is_none_or(|dir| broker.has_online_dir(dir));
                if it.isr.contains(&first) && broker.is_some_and(|it| online(it)) {
                    return Err(format!("a preferred leader that can lead does not lead: {it:?}"));
                }
            }
        }
        Ok(())
    }
}
