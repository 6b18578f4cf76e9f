//! Transcripts: records in, the image and the changes out.

use super::*;
use crate::image::{Partition, UNASSIGNED};
use crate::loader::{LoadedBatch, Loader};
use model::{BrokerId, LeaderEpoch, Offset, PartitionEpoch, PartitionIndex, Uuid};
use protocol::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use protocol::messages::clear_elr_record::ClearElrRecord;
use protocol::messages::partition_change_record::PartitionChangeRecord;
use protocol::messages::partition_record::PartitionRecord;
use protocol::messages::register_broker_record::RegisterBrokerRecord;
use protocol::messages::remove_topic_record::RemoveTopicRecord;
use protocol::messages::topic_record::TopicRecord;

fn id(n: u8) -> Uuid {
    Uuid([n; 16])
}

fn topic(n: u8, name: &str) -> MetadataRecord {
    MetadataRecord::Topic(TopicRecord { name: name.into(), topic_id: id(n), ..Default::default() })
}

fn partition(n: u8, partition_id: i32) -> MetadataRecord {
    MetadataRecord::Partition(PartitionRecord {
        topic_id: id(n),
        partition_id,
        replicas: vec![1],
        isr: vec![1],
        leader: 1,
        leader_epoch: 0,
        partition_epoch: 0,
        eligible_leader_replicas: Some(vec![2]),
        ..Default::default()
    })
}

fn config(name: &str, key: &str, value: Option<&str>) -> MetadataRecord {
    let value = value.map(Into::into);
    let (resource_name, name) = (name.into(), key.into());
    MetadataRecord::Config(ConfigRecord { resource_type: 2, resource_name, name, value, ..Default::default() })
}

fn remove(n: u8) -> MetadataRecord {
    MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id: id(n), ..Default::default() })
}

fn applied(image: &Image, records: &[MetadataRecord]) -> (Image, Changes) {
    let mut delta = Delta::new(image);
    for record in records {
        delta.apply(record).unwrap();
    }
    delta.finish()
}

fn the_partition(image: &Image) -> &Partition {
    image.topics.partition("a", PartitionIndex(0)).unwrap()
}

#[test]
fn a_topic_comes_changes_and_goes_with_its_configs() {
    let create = [topic(1, "a"), config("a", "retention.ms", Some("1")), partition(1, 0), partition(1, 1)];
    let (image, changes) = applied(&Image::default(), &create);
    assert_eq!(changes.topics_created.iter().copied().collect::<Vec<_>>(), [id(1)]);
    assert_eq!(changes.partitions[&id(1)].len(), 2);
    assert_eq!(the_partition(&image).directories, [crate::image::MIGRATING]);

    let change = MetadataRecord::PartitionChange(PartitionChangeRecord {
        topic_id: id(1),
        partition_id: 0,
        directories: Some(vec![UNASSIGNED]),
        leader: -1,
        isr: Some(vec![]),
        ..Default::default()
    });
    let (changed, changes) = applied(&image, &[change]);
    let after = the_partition(&changed);
    assert_eq!((after.leader, after.leader_epoch, after.partition_epoch), (None, LeaderEpoch(1), PartitionEpoch(1)));
    assert_eq!(the_partition(&image).leader, Some(BrokerId(1)), "the image before is as it was");
    assert!(changes.topics_created.is_empty());
    assert_eq!(changes.partitions[&id(1)].len(), 1);

    let (gone, changes) = applied(&changed, &[remove(1)]);
    assert!(gone.topics.is_empty() && gone.configs.iter().next().is_none());
    assert_eq!(changes.topics_deleted[&id(1)].name, "a");
    assert!(changes.partitions.is_empty());
}

#[test]
fn a_topic_that_came_and_went_was_never_there() {
    let (image, changes) = applied(&Image::default(), &[topic(1, "a"), partition(1, 0), remove(1), topic(2, "a")]);
    assert_eq!(image.topics.by_name("a").unwrap().id, id(2));
    assert_eq!(changes.topics_created.iter().copied().collect::<Vec<_>>(), [id(2)]);
    assert!(changes.topics_deleted.is_empty());
}

#[test]
fn clearing_eligible_leaders_counts_the_partition_epoch_where_there_were_some() {
    let (image, _) = applied(&Image::default(), &[topic(1, "a"), partition(1, 0), topic(2, "b")]);
    for name in ["a", ""] {
        let clear = MetadataRecord::ClearElr(ClearElrRecord { topic_name: name.into(), ..Default::default() });
        let (after, changes) = applied(&image, &[clear.clone(), clear]);
        assert!(the_partition(&after).elr.is_empty());
        assert_eq!(the_partition(&after).partition_epoch, PartitionEpoch(1));
        assert_eq!(changes.partitions.len(), 1);
    }
}

#[test]
fn records_that_contradict_the_image_are_errors() {
    let mut delta = Delta::new(&Image::default());
    delta.apply(&topic(1, "a")).unwrap();
    for record in [
        topic(2, "a"),
        topic(1, "b"),
        partition(3, 0),
        remove(9),
        MetadataRecord::FenceBroker(Default::default()),
        MetadataRecord::PartitionChange(PartitionChangeRecord { topic_id: id(1), ..Default::default() }),
        MetadataRecord::FeatureLevel(FeatureLevelRecord {
            name: "metadata.version".into(),
            feature_level: 31,
            ..Default::default()
        }),
        MetadataRecord::Config(ConfigRecord { resource_type: 3, ..Default::default() }),
        MetadataRecord::EndTransaction(Default::default()),
        MetadataRecord::RemoveAccessControlEntry(Default::default()),
    ] {
        assert!(delta.apply(&record).is_err(), "{record:?}");
    }
}

#[test]
fn a_broker_is_unfenced_and_shut_down_by_changes() {
    let register = MetadataRecord::RegisterBroker(RegisterBrokerRecord { broker_epoch: 5, ..Default::default() });
    let change = |fenced, in_controlled_shutdown| {
        MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
            broker_epoch: 5,
            fenced,
            in_controlled_shutdown,
            ..Default::default()
        })
    };
    let (image, _) = applied(&Image::default(), &[register, change(-1, 0)]);
    assert!(image.cluster.brokers[&BrokerId(0)].is_active());
    let (image, changes) = applied(&image, &[change(0, 1)]);
    let broker = &image.cluster.brokers[&BrokerId(0)];
    assert!(!broker.fenced && broker.in_controlled_shutdown && changes.brokers.contains(&BrokerId(0)));
}

fn load(loader: &mut Loader, base: i64, records: &[MetadataRecord]) -> Result<(), ApplyError> {
    loader.apply(&LoadedBatch {
        base_offset: Offset(base),
        epoch: LeaderEpoch(1),
        timestamp: Timestamp(base),
        records,
        last_offset: Offset(base + records.len() as i64 - 1),
    })
}

#[test]
fn a_metadata_transaction_is_seen_when_it_ends_and_never_when_it_is_aborted() {
    let begin = || MetadataRecord::BeginTransaction(Default::default());
    let end = || MetadataRecord::EndTransaction(Default::default());
    let abort = || MetadataRecord::AbortTransaction(Default::default());
    let mut loader = Loader::new(&Image::default());
    load(&mut loader, 0, &[topic(1, "a"), begin(), topic(2, "b")]).unwrap();
    assert_eq!(loader.open_transaction(), Some(Offset(1)));
    assert_eq!(loader.image().topics.len(), 1);
    assert_eq!(loader.image().provenance.last_offset, Some(Offset(0)));
    assert_eq!(loader.uncommitted_image().topics.len(), 2);
    let (seen, changes) = loader.publish();
    assert_eq!((seen.topics.len(), changes.topics_created.len()), (1, 1));
    assert!(load(&mut loader.clone(), 3, &[begin()]).is_err());

    let mut aborted = loader.clone();
    load(&mut aborted, 3, &[abort()]).unwrap();
    assert_eq!(aborted.publish().0.topics.len(), 1);
    assert!(load(&mut aborted, 4, &[end()]).is_err());

    load(&mut loader, 3, &[topic(3, "c"), end(), topic(4, "d")]).unwrap();
    let (seen, changes) = loader.publish();
    assert_eq!(seen.topics.len(), 4);
    assert!([id(2), id(3), id(4)].iter().all(|id| changes.topics_created.contains(id)));
    assert_eq!(seen.provenance.last_offset, Some(Offset(5)));
}
