//! Elections at intervals.

use super::*;
use protocol::messages::partition_record::PartitionRecord;
use protocol::messages::topic_record::TopicRecord;

const TOPIC: TopicId = Uuid([5; 16]);

impl Controller {
    /// Creates a topic with one partition on the brokers 1 and 2, in this state.
    fn create(&mut self, leader: i32, isr: &[i32], configs: &[(&'static str, &'static str)]) {
        let ids = |ids: &[i32]| ids.iter().copied().map(BrokerId).collect::<Vec<_>>();
        let mut records = vec![
            VersionedRecord::v0(MetadataRecord::Topic(TopicRecord {
                name: "t".into(),
                topic_id: TOPIC,
                ..Default::default()
            })),
            VersionedRecord {
                record: MetadataRecord::Partition(PartitionRecord {
                    partition_id: 0,
                    topic_id: TOPIC,
                    replicas: ids(&[1, 2]).into_iter().map(|id| id.0).collect(),
                    isr: isr.to_vec(),
                    leader,
                    leader_epoch: 3,
                    partition_epoch: 3,
                    directories: vec![Uuid([7; 16]), Uuid([8; 16])],
                    ..Default::default()
                }),
                version: 1,
            },
        ];
        records.extend(configs.iter().map(|(name, value)| {
            VersionedRecord::v0(MetadataRecord::Config(ConfigRecord {
                resource_type: 2,
                resource_name: "t".into(),
                name: (*name).into(),
                value: Some((*value).into()),
                ..Default::default()
            }))
        }));
        self.decide(|_, _| Ok(Decision::atomic(records, ()))).unwrap();
    }

    /// The broker 1 serves at this time.
    fn serving_at(&mut self, monotonic: u64) {
        self.at(monotonic, 1_800_000_000_000);
        let mut answered = self.heartbeat();
        self.end_turn();
        assert!(!answered.try_recv().unwrap().unwrap());
    }

    fn leader(&mut self) -> Option<i32> {
        let image = self.image();
        let topic = image.topics.by_id(TOPIC).unwrap();
        topic.partition(PartitionIndex(0)).unwrap().leader.map(|it| it.0)
    }
}

#[test]
fn leaderships_go_back_to_preferred_leaders_at_their_interval() {
    let mut controller = Controller::new();
    controller.register();
    controller.create(2, &[2, 1], &[]);
    controller.serving_at(300_000);
    assert_eq!(controller.leader(), Some(2));
    assert_eq!(controller.core.until_deadline(), Duration::from_millis(1));
    controller.at(300_001, 0);
    controller.end_turn();
    assert_eq!(controller.leader(), Some(1));
    assert!(controller.core.until_deadline() > Duration::from_millis(1), "it is not due again");
}

#[test]
fn partitions_without_a_leader_get_one_at_their_interval_if_their_topic_allows_it() {
    for (configs, expected) in [(&[][..], None), (&[("unclean.leader.election.enable", "true")][..], Some(1))] {
        let mut controller = Controller::new();
        controller.register();
        controller.serving_at(399_999);
        controller.create(-1, &[2], configs);
        assert_eq!(controller.leader(), None);
        controller.at(400_001, 0);
        controller.end_turn();
        assert_eq!(controller.leader(), expected, "{configs:?}");
    }
}
