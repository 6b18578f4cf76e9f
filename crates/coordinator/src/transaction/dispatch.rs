//! The dispatch of each request to its file.

use crate::shard::ReplyId;
use crate::transaction::admin::{self, Filters};
use crate::transaction::builder::DecisionBuilder;
use crate::transaction::end::{self, EndRequest};
use crate::transaction::init::{self, Initialization};
use crate::transaction::partitions::{self, Addition};
use crate::transaction::request::TransactionRequest;

/// Decides about a request, for the first time or after a producer id was allocated for it.
pub(crate) fn decide_request(builder: &mut DecisionBuilder<'_>, id: ReplyId, request: &TransactionRequest) {
    match request {
        TransactionRequest::InitProducerId { transactional_id, timeout_ms, expected, enable_2pc, keep_prepared } => {
            let asked = Initialization {
                id,
                request,
                transactional_id,
                timeout_ms: *timeout_ms,
                expected: *expected,
                enable_2pc: *enable_2pc,
                keep_prepared: *keep_prepared,
            };
            init::initialize(builder, &asked);
        }
        TransactionRequest::AddPartitions { transactional_id, producer, topics, verify_only, transaction_version } => {
            let asked = Addition {
                id,
                transactional_id,
                producer: *producer,
                topics,
                transaction_version: *transaction_version,
            };
            match verify_only {
                true => partitions::verify(builder, &asked, request),
                false => partitions::add(builder, &asked),
            }
        }
        TransactionRequest::EndTxn { transactional_id, producer, committed, transaction_version } => {
            let asked = EndRequest {
                id,
                request,
                transactional_id,
                producer: *producer,
                committed: *committed,
                transaction_version: *transaction_version,
            };
            end::end_transaction(builder, &asked);
        }
        TransactionRequest::Describe(transactional_ids) => admin::describe(builder, id, transactional_ids),
        TransactionRequest::List { states, producer_ids, duration_ms, pattern } => {
            let filters = Filters { states, producer_ids, duration_ms: *duration_ms, pattern: pattern.as_deref() };
            admin::list(builder, id, &filters);
        }
    }
}
