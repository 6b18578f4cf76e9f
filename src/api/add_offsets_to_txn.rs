//! AddOffsetsToTxn (key 25), versions 0-4: adds a consumer group's offsets to a transaction
//! (KIP-98).
//!
//! - 2: may answer PRODUCER_FENCED (KIP-588).
//! - 3: is flexible.
//! - 4: may answer TRANSACTION_ABORTABLE (KIP-890).

use super::Context;
use super::authorization::{Operation, Resource};
use super::error::fenced_for;
use crate::runtime::transaction::PartitionsOfTransaction;
use coordinator::StateTopic;
use coordinator::transaction::ProducerIdAndEpoch;
use model::{ErrorCode, ProducerEpoch, ProducerId};
use protocol::Str;
use protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use protocol::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;

/// Adds the group's partition of `__consumer_offsets` to the transaction.
pub(super) async fn handle(context: Context, request: AddOffsetsToTxnRequest) -> AddOffsetsToTxnResponse {
    let answer = |code: i16| AddOffsetsToTxnResponse { error_code: code, ..Default::default() };
    let may_write = context.need(Operation::Write, Resource::TransactionalId(&request.transactional_id));
    let may = may_write.and_then(|()| context.need(Operation::Read, Resource::Group(&request.group_id)));
    if let Err(code) = may {
        return answer(code.code());
    }
    if request.transactional_id.is_empty() {
        return answer(ErrorCode::InvalidRequest.code());
    }
    let image = context.broker.image();
    let Some(offsets) = image.topics.by_name(StateTopic::ConsumerOffsets.name()) else {
        context.broker.create_topics_later(vec![StateTopic::ConsumerOffsets.name().into()]);
        return answer(ErrorCode::CoordinatorNotAvailable.code());
    };
    let count = i32::try_from(offsets.partitions.len()).unwrap_or(i32::MAX);
    let partition = coordinator::partition_for(&request.group_id, count);
    let topic = AddPartitionsToTxnTopic {
        name: Str::const_new(StateTopic::ConsumerOffsets.name()),
        partitions: vec![partition.0],
        ..Default::default()
    };
    let results = context.broker.transactions.partitions(PartitionsOfTransaction {
        transactional_id: request.transactional_id,
        producer: ProducerIdAndEpoch {
            id: ProducerId(request.producer_id),
            epoch: ProducerEpoch(request.producer_epoch),
        },
        topics: vec![topic],
        verify_only: false,
        transaction_version: 0,
    });
    let results = results.await;
    let code = results.iter().flat_map(|topic| &topic.results_by_partition).map(|it| it.partition_error_code).next();
    let code = code.unwrap_or(ErrorCode::UnknownServerError.code());
    answer(fenced_for(code, context.version >= 2))
}
