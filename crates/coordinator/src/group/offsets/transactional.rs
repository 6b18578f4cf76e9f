//! Offsets in transactions: TxnOffsetCommit, and the markers that end a transaction (KIP-98).
//!
//! An offset that is committed in a transaction is pending until the marker of its producer is in
//! the log. It has no expire timestamp and no topic id, as in Kafka. Producer epochs and the state
//! of a transaction are checked by the log, when the batch is appended.

use super::commit::is_too_large;
use crate::group::builder::{DecisionBuilder, StoredOrLiveGroup};
use crate::group::record;
use crate::group::reply::{GroupReply, refused_transactional_commit};
use crate::group::state::{CommittedOffset, GroupState, committed_epoch};
use crate::planted::{Bug, is_planted};
use crate::shard::{BatchForm, ReplyId};
use model::{ErrorCode, Offset, ProducerEpoch, ProducerId, TopicId, VerificationGuard};
use protocol::messages::txn_offset_commit_request::{TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition};
use protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponse, TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};

pub(crate) fn commit_offsets(
    builder: &mut DecisionBuilder<'_>,
    id: ReplyId,
    request: &TxnOffsetCommitRequest,
    guard: Option<VerificationGuard>,
) {
    if let Err(code) = validate(builder, request) {
        return builder.reply(id, refused_transactional_commit(request, code));
    }
    let mut topics = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        let mut partitions = Vec::with_capacity(topic.partitions.len());
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let code = if is_too_large(partition.committed_metadata.as_deref(), builder) {
                ErrorCode::OffsetMetadataTooLarge
            } else {
                let offset = pending(builder, partition);
                let flexible = builder.config().flexible_records;
                builder.append(record::offset(&request.group_id, &topic.name, index, &offset, flexible));
                ErrorCode::None
            };
            partitions.push(TxnOffsetCommitResponsePartition {
                partition_index: index,
                error_code: code.code(),
                ..Default::default()
            });
        }
        topics.push(TxnOffsetCommitResponseTopic { name: topic.name.clone(), partitions, ..Default::default() });
    }
    if builder.has_records() && !is_planted(Bug::OffsetsNotPending) {
        builder.append_as(BatchForm::Transactional {
            producer_id: ProducerId(request.producer_id),
            producer_epoch: ProducerEpoch(request.producer_epoch),
            guard,
        });
    }
    builder.reply(id, GroupReply::TxnOffsetCommit(TxnOffsetCommitResponse { topics, ..Default::default() }));
}

/// Writes the marker, also if the producer has no pending offsets here.
pub(crate) fn end_transaction(builder: &mut DecisionBuilder<'_>, id: ReplyId, marker: BatchForm) {
    builder.append_as(marker);
    builder.reply(id, GroupReply::EndTransaction(ErrorCode::None));
}

fn pending(builder: &DecisionBuilder<'_>, partition: &TxnOffsetCommitRequestPartition) -> CommittedOffset {
    CommittedOffset {
        record_offset: Offset(0),
        offset: partition.committed_offset,
        leader_epoch: committed_epoch(partition.committed_leader_epoch),
        metadata: partition.committed_metadata.clone().unwrap_or_default(),
        commit_timestamp: builder.wall(),
        expire_timestamp: None,
        topic_id: TopicId::ZERO,
    }
}

/// Checks the member and its generation if the request has them (KIP-447). Unlike other commits,
/// one in a transaction may come in the middle of a rebalance, and is no heartbeat.
fn validate(builder: &DecisionBuilder<'_>, request: &TxnOffsetCommitRequest) -> Result<(), ErrorCode> {
    let (generation, member) = (request.generation_id, &request.member_id);
    let instance = request.group_instance_id.as_deref();
    if request.group_id.is_empty() {
        return Err(ErrorCode::InvalidGroupId);
    }
    match builder.find_group(&request.group_id) {
        // A commit without a group creates a group that has only offsets.
        StoredOrLiveGroup::Missing if generation < 0 => Ok(()),
        StoredOrLiveGroup::Missing => Err(ErrorCode::IllegalGeneration),
        StoredOrLiveGroup::Carried(group) => group.may_commit_in_transaction(member, instance, generation),
        StoredOrLiveGroup::Classic(group) => {
            let names_no_member = member.is_empty() && instance.is_none();
            if generation < 0 && (names_no_member || group.state == GroupState::Empty) {
                return Ok(());
            }
            group.validate_member(member, instance)?;
            if generation == group.generation { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
        }
    }
}
