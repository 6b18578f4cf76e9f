//! What the events of a broker mean for partitions: it is fenced or unfenced, it shuts down or
//! restarts, or one of its log dirs fails.

use super::Settings;
use super::change::{Election, PartitionChange};
use super::context::ElectionRules;
use crate::VersionedRecord;
use crate::image::{Broker, Image, Partition, Topic};
use crate::planted::{Bug, is_planted};
use model::{BrokerId, DirectoryId};
use protocol::MetadataRecord;
use protocol::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use std::sync::Arc;

/// The event of a broker after which leaders and ISRs are decided again.
#[derive(Clone, Copy, Default)]
pub(super) struct BrokerEvent {
    /// It leaves every ISR.
    pub(super) gone: Option<BrokerId>,
    /// It can lead again.
    pub(super) back: Option<BrokerId>,
    /// It stopped uncleanly: it leaves every ISR and is no eligible leader.
    pub(super) unclean: Option<BrokerId>,
}

impl BrokerEvent {
    pub(super) fn gone(broker: BrokerId) -> Self {
        Self { gone: Some(broker), ..Self::default() }
    }

    /// The changes of those partitions of some topics that `concerns` names.
    fn changes<'a>(
        self,
        image: &'a Image,
        settings: &Settings,
        topics: impl Iterator<Item = &'a Arc<Topic>>,
        concerns: &dyn Fn(&Partition) -> bool,
    ) -> Vec<VersionedRecord> {
        let mut records = Vec::new();
        for topic in topics {
            let rules = ElectionRules::of(image, settings, topic);
            for (index, partition) in topic.partitions.iter().filter(|(_, partition)| concerns(partition)) {
                let mut change = PartitionChange::of(image, rules, topic, *index, partition);
                change.election = Election::automatic(rules);
                change.gone = self.gone;
                change.back = self.back;
                change.unclean_shutdown = self.unclean;
                change.isr.retain(|id| self.gone != Some(*id) && self.unclean != Some(*id));
                records.extend(change.build());
            }
        }
        records
    }
}

/// A broker goes away: it leaves every ISR, and other replicas lead.
pub(super) fn broker_leaves(image: &Image, settings: &Settings, id: BrokerId) -> Vec<VersionedRecord> {
    BrokerEvent::gone(id).changes(image, settings, image.topics.of_broker(id), &|it| it.isr.contains(&id))
}

/// A broker goes for good: what [`broker_leaves`] does, and leaders are decided again where it is
/// an eligible leader.
pub(super) fn broker_is_removed(image: &Image, settings: &Settings, id: BrokerId) -> Vec<VersionedRecord> {
    let topics = image.topics.of_broker(id);
    BrokerEvent::gone(id).changes(image, settings, topics, &|it| it.isr.contains(&id) || it.elr.contains(&id))
}

/// A broker stopped uncleanly: it leaves every ISR, and every list of eligible leaders.
pub(super) fn broker_lost_records(image: &Image, settings: &Settings, id: BrokerId) -> Vec<VersionedRecord> {
    let event = BrokerEvent { unclean: Some(id), ..BrokerEvent::default() };
    let concerns = |it: &Partition| it.isr.contains(&id) || it.elr.contains(&id);
    event.changes(image, settings, image.topics.of_broker(id), &concerns)
}

/// A broker can lead again: partitions without a leader get one.
pub(super) fn broker_returns(image: &Image, settings: &Settings, id: BrokerId) -> Vec<VersionedRecord> {
    let event = BrokerEvent { back: Some(id), ..BrokerEvent::default() };
    event.changes(image, settings, image.topics.leaderless(), &|it| it.leader.is_none())
}

/// Log dirs of a broker failed: its replicas there leave every ISR.
pub(super) fn log_dirs_fail(
    image: &Image,
    settings: &Settings,
    id: BrokerId,
    is_lost: &dyn Fn(DirectoryId) -> bool,
) -> Vec<VersionedRecord> {
    if is_planted(Bug::FailedLogDirIgnored) {
        return Vec::new();
    }
    let concerns = |it: &Partition| it.directory(id).is_some_and(is_lost);
    BrokerEvent::gone(id).changes(image, settings, image.topics.of_broker(id), &concerns)
}

/// The records that fence a broker: it leaves every ISR, other replicas lead, and its registration
/// is marked.
pub fn fence_broker(image: &Image, settings: &Settings, id: BrokerId) -> Vec<VersionedRecord> {
    let Some(broker) = image.cluster.brokers.get(&id) else { return Vec::new() };
    let mut records =
        if is_planted(Bug::FencedBrokerStaysInIsr) { Vec::new() } else { broker_leaves(image, settings, id) };
    records.push(fencing_change(broker, 1));
    records
}

/// A broker becomes fenced (1) or unfenced (-1).
pub(super) fn fencing_change(broker: &Broker, fenced: i8) -> VersionedRecord {
    VersionedRecord::v0(MetadataRecord::BrokerRegistrationChange(BrokerRegistrationChangeRecord {
        broker_id: broker.id.0,
        broker_epoch: broker.epoch.0,
        fenced,
        ..Default::default()
    }))
}
