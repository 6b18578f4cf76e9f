//! DescribeTransactions and ListTransactions.

use crate::shard::ReplyId;
use crate::transaction::builder::DecisionBuilder;
use crate::transaction::pattern;
use crate::transaction::reply::{TransactionReply, undescribed};
use crate::transaction::state::{Transaction, TransactionState};
use crate::transaction::topics;
use model::{ErrorCode, ProducerId, Timestamp};
use protocol::Str;
use protocol::messages::describe_transactions_response::{TopicData, TransactionState as DescribedTransaction};
use protocol::messages::list_transactions_response::{ListTransactionsResponse, TransactionState as ListedTransaction};
use std::collections::HashSet;

/// Describes transactional ids, in the order of the request.
pub(crate) fn describe(builder: &mut DecisionBuilder<'_>, id: ReplyId, transactional_ids: &[Str]) {
    let states = transactional_ids.iter().map(|it| describe_one(builder, it)).collect();
    builder.reply(id, TransactionReply::Describe(states));
}

fn describe_one(builder: &DecisionBuilder<'_>, transactional_id: &Str) -> DescribedTransaction {
    if transactional_id.is_empty() {
        return undescribed(transactional_id, ErrorCode::InvalidRequest);
    }
    let found = builder.transaction(transactional_id).filter(|it| it.state != TransactionState::Dead);
    let Some(transaction) = found else {
        return undescribed(transactional_id, ErrorCode::TransactionalIdNotFound);
    };
    // Of an ending transaction Kafka shows the partitions that have no marker yet.
    let remaining = builder.soft.markers.get(transactional_id).map(|it| it.remaining.as_slice());
    let partitions = remaining.filter(|_| transaction.state.is_prepared()).unwrap_or(&transaction.partitions);
    let topics = topics::in_set_order(partitions).into_iter().map(|(topic, partitions)| TopicData {
        topic,
        partitions,
        ..Default::default()
    });
    DescribedTransaction {
        transactional_id: transactional_id.clone(),
        transaction_state: transaction.state.name().into(),
        transaction_timeout_ms: transaction.timeout_ms,
        transaction_start_time_ms: Timestamp::to_wire(transaction.start),
        producer_id: transaction.producer.id.0,
        producer_epoch: transaction.producer.epoch.0,
        topics: topics.collect(),
        ..Default::default()
    }
}

/// The filters of a ListTransactions.
pub(crate) struct Filters<'a> {
    pub(crate) states: &'a [Str],
    pub(crate) producer_ids: &'a [ProducerId],
    pub(crate) duration_ms: i64,
    pub(crate) pattern: Option<&'a str>,
}

/// Lists the transactional ids of this partition that pass all filters, in their order.
pub(crate) fn list(builder: &mut DecisionBuilder<'_>, id: ReplyId, filters: &Filters<'_>) {
    let response = listed(builder, filters)
        .unwrap_or_else(|code| ListTransactionsResponse { error_code: code.code(), ..Default::default() });
    builder.reply(id, TransactionReply::List(response));
}

fn listed(builder: &DecisionBuilder<'_>, filters: &Filters<'_>) -> Result<ListTransactionsResponse, ErrorCode> {
    let mut states = HashSet::new();
    let mut unknown = Vec::new();
    for name in filters.states {
        match TransactionState::from_name(name) {
            Some(state) => drop(states.insert(state)),
            None if unknown.contains(name) => {}
            None => unknown.push(name.clone()),
        }
    }
    let pattern = filters.pattern.filter(|it| !it.is_empty()).map(pattern::whole_text).transpose()?;
    let producer_ids: HashSet<&ProducerId> = filters.producer_ids.iter().collect();
    let now = builder.wall().0;
    let passes = |(name, it): &(&Str, &Transaction)| {
        let start = Timestamp::to_wire(it.start);
        it.state != TransactionState::Dead
            && (producer_ids.is_empty() || producer_ids.contains(&it.producer.id))
            && (filters.states.is_empty() || states.contains(&it.state))
            && (filters.duration_ms < 0 || now.saturating_sub(start) > filters.duration_ms)
            && pattern.as_ref().is_none_or(|pattern| pattern.is_match(name.as_bytes()))
    };
    let mut found: Vec<(&Str, &Transaction)> = builder.transactions().filter(passes).collect();
    found.sort_by_key(|(name, _)| *name);
    let listed = |(name, it): (&Str, &Transaction)| ListedTransaction {
        transactional_id: name.clone(),
        producer_id: it.producer.id.0,
        transaction_state: it.state.name().into(),
        ..Default::default()
    };
    Ok(ListTransactionsResponse {
        unknown_state_filters: unknown,
        transaction_states: found.into_iter().map(listed).collect(),
        ..Default::default()
    })
}
