//! AlterPartition: a leader changes its partition's ISR (KIP-497, KIP-903).

use super::change::{Election, PartitionChange};
use super::context::ElectionRules;
use super::{ControllerContext, Decided, Decision, check_broker_epoch};
use crate::VersionedRecord;
use crate::delta::merge;
use crate::image::{Image, LeaderRecovery, Partition, Topic};
use crate::planted::{Bug, is_planted};
use crate::snapshot::numbers;
use model::{BrokerEpoch, BrokerId, ErrorCode, PartitionIndex};
use protocol::MetadataRecord;
use protocol::messages::alter_partition_request::{AlterPartitionRequest, PartitionData as Asked};
use protocol::messages::alter_partition_response::{AlterPartitionResponse, PartitionData, TopicData};
use std::collections::BTreeSet;

/// Changes ISRs. Errors: STALE_BROKER_EPOCH.
pub fn alter_partition(
    image: &Image,
    context: &mut ControllerContext<'_>,
    request: &AlterPartitionRequest,
) -> Decided<AlterPartitionResponse> {
    let broker = BrokerId(request.broker_id);
    check_broker_epoch(image, broker, request.broker_epoch)?;
    let mut records = Vec::new();
    let mut topics = Vec::new();
    let mut altered_before = BTreeSet::new();
    for asked in &request.topics {
        let topic = image.topics.by_id(asked.topic_id);
        let mut partitions = Vec::new();
        for partition in &asked.partitions {
            let altered = match topic {
                // Whoever names a partition again does not know the epoch that the first change
                // gave it.
                Some(topic) if altered_before.contains(&(topic.id, partition.partition_index)) => {
                    Err(ErrorCode::InvalidUpdateVersion)
                }
                Some(topic) => {
                    let count = records.len();
                    let altered = alter(image, context, broker, topic, partition, &mut records);
                    if records.len() > count {
                        altered_before.insert((topic.id, partition.partition_index));
                    }
                    altered
                }
                None => Err(ErrorCode::UnknownTopicId),
            };
            partitions.push(altered.unwrap_or_else(|code| PartitionData {
                partition_index: partition.partition_index,
                error_code: code.code(),
                ..Default::default()
            }));
        }
        topics.push(TopicData { topic_id: asked.topic_id, partitions, ..Default::default() });
    }
    Ok(Decision::of(records, AlterPartitionResponse { topics, ..Default::default() }))
}

/// The ISR that a request proposes, and each member's epoch where it is known.
fn proposed(asked: &Asked) -> Vec<(BrokerId, Option<BrokerEpoch>)> {
    if asked.new_isr_with_epochs.is_empty() {
        return asked.new_isr.iter().map(|id| (BrokerId(*id), None)).collect();
    }
    let member = |it: &protocol::messages::alter_partition_request::BrokerState| {
        (BrokerId(it.broker_id), BrokerEpoch::from_wire(it.broker_epoch))
    };
    asked.new_isr_with_epochs.iter().map(member).collect()
}

fn alter(
    image: &Image,
    context: &ControllerContext<'_>,
    broker: BrokerId,
    topic: &Topic,
    asked: &Asked,
    records: &mut Vec<VersionedRecord>,
) -> Result<PartitionData, ErrorCode> {
    let index = PartitionIndex(asked.partition_index);
    let partition = topic.partition(index).ok_or(ErrorCode::UnknownTopicOrPartition)?;
    let isr = proposed(asked);
    let rules = ElectionRules::of(image, context.settings, topic);
    let mut change = PartitionChange::of(image, rules, topic, index, partition);
    let checked = check(image, broker, partition, asked, &isr);
    if checked.is_err() && is_planted(Bug::RefusalWritten) {
        change.isr = vec![broker];
        records.extend(change.build());
        return checked.map(|_| PartitionData::default());
    }
    let recovery = checked?;
    change.election = Election::automatic(rules);
    change.isr = isr.into_iter().map(|(id, _)| id).collect();
    change.recovery = recovery;
    let mut after = Partition::clone(partition);
    let mut led_by_other = false;
    if let Some(record) = change.build() {
        if let MetadataRecord::PartitionChange(change) = &record.record {
            after = merge(partition, change).map_err(|_| ErrorCode::UnknownServerError)?;
            led_by_other = change.leader != -2 && after.leader != Some(broker);
        }
        records.push(record);
    }
    if led_by_other {
        // The reassignment that this change completed also moved the leadership away.
        return Err(ErrorCode::NewLeaderElected);
    }
    Ok(PartitionData {
        partition_index: index.0,
        error_code: 0,
        leader_id: BrokerId::to_wire(after.leader),
        leader_epoch: after.leader_epoch.0,
        isr: numbers(&after.isr),
        leader_recovery_state: after.leader_recovery.code(),
        partition_epoch: after.partition_epoch.0,
        ..Default::default()
    })
}

fn check(
    image: &Image,
    broker: BrokerId,
    partition: &Partition,
    asked: &Asked,
    isr: &[(BrokerId, Option<BrokerEpoch>)],
) -> Result<LeaderRecovery, ErrorCode> {
    // A leader whose epoch is ahead of this controller talks to an old controller.
    if asked.leader_epoch > partition.leader_epoch.0 || asked.partition_epoch > partition.partition_epoch.0 {
        return Err(ErrorCode::NotController);
    }
    if asked.leader_epoch < partition.leader_epoch.0 {
        return Err(ErrorCode::FencedLeaderEpoch);
    }
    if partition.leader != Some(broker) {
        return Err(ErrorCode::InvalidRequest);
    }
    if asked.partition_epoch < partition.partition_epoch.0 && !is_planted(Bug::StalePartitionEpochAccepted) {
        return Err(ErrorCode::InvalidUpdateVersion);
    }
    let mut ids: Vec<BrokerId> = isr.iter().map(|(id, _)| *id).collect();
    ids.sort_unstable();
    let twice = ids.windows(2).any(|pair| pair[0] == pair[1]);
    if ids.is_empty() || twice || ids.iter().any(|id| !partition.replicas.contains(id)) || !ids.contains(&broker) {
        return Err(ErrorCode::InvalidRequest);
    }
    let recovery = LeaderRecovery::from_code(asked.leader_recovery_state).ok_or(ErrorCode::InvalidRequest)?;
    let recovering = recovery == LeaderRecovery::Recovering;
    if recovering && (ids.len() > 1 || partition.leader_recovery == LeaderRecovery::Recovered) {
        return Err(ErrorCode::InvalidRequest);
    }
    let eligible = |(id, epoch): &(BrokerId, Option<BrokerEpoch>)| {
        let registered = image.cluster.brokers.get(id);
        registered.is_some_and(|it| {
            let is_current = epoch.is_none_or(|epoch| epoch == it.epoch) || is_planted(Bug::StaleMemberEpochAccepted);
            is_current && (it.is_active() || is_planted(Bug::FencedReplicaCounted))
        })
    };
    if !isr.iter().all(eligible) {
        return Err(ErrorCode::IneligibleReplica);
    }
    Ok(recovery)
}
