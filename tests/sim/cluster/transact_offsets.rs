//! The offsets that a transactional producer commits. They count once the transaction is committed,
//! and never if it is aborted.

use crate::clients::{Participant, TOPIC, wait};
use crate::net::Host;
use crate::transact::{GROUP_KEY, TransactionalProducer, Trouble, is_retriable};
use model::ErrorCode;
use protocol::messages::add_offsets_to_txn_request::AddOffsetsToTxnRequest;
use protocol::messages::add_offsets_to_txn_response::AddOffsetsToTxnResponse;
use protocol::messages::offset_fetch_request::{OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use protocol::messages::offset_fetch_response::OffsetFetchResponse;
use protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use protocol::messages::txn_offset_commit_response::TxnOffsetCommitResponse;
use std::collections::BTreeSet;

/// How often a stable offset is asked for.
const ATTEMPTS: usize = 5;

/// The offset of one partition in one group. It is the number of the transaction that commits it.
#[derive(Debug, Default)]
pub struct GroupOffset {
    group: String,
    last: Option<i64>,
    /// Commits since then of which nobody knows the end.
    unknown: BTreeSet<i64>,
}

impl GroupOffset {
    pub fn new(group: String) -> Self {
        Self { group, ..Self::default() }
    }

    /// Returns the last offset that is known to be committed.
    pub fn last_committed(&self) -> Option<i64> {
        self.last
    }

    /// Adds an offset to the transaction. Returns the coordinator that took it.
    pub async fn add(&self, of: &mut TransactionalProducer, offset: i64) -> Result<Option<Host>, Trouble> {
        if of.version < 2 {
            let request = AddOffsetsToTxnRequest {
                transactional_id: of.id.as_str().into(),
                producer_id: of.identity.0,
                producer_epoch: of.identity.1,
                group_id: self.group.as_str().into(),
                ..Default::default()
            };
            of.ask_coordinator(&request, 3, |answer: &AddOffsetsToTxnResponse| answer.error_code).await?;
        }
        let request = self.request(of, offset);
        let version = if of.version < 2 { 3 } else { 5 };
        loop {
            if let Some(to) = of.participant.find_coordinator(&self.group, GROUP_KEY).await {
                let answer = of.participant.client.call::<_, TxnOffsetCommitResponse>(to, &request, version).await;
                of.has_unanswered |= answer.is_err();
                let code = answer.ok().and_then(|it| Some(it.topics.first()?.partitions.first()?.error_code));
                of.participant.note(|| format!("{} commits {offset} at node {to}: {code:?}", of.id));
                match code.and_then(ErrorCode::from_code) {
                    Some(ErrorCode::None) => {
                        let (found, _) = self.fetch(&mut of.participant, to, false).await;
                        if found == Some(offset) {
                            let fault = format!("node {to} answers {offset} of {}, which is pending", self.group);
                            of.participant.fail(fault);
                        }
                        return Ok(Some(to));
                    }
                    Some(code) if !is_retriable(code) => return Err(Trouble),
                    _ => {}
                }
            }
            wait(30 + of.participant.random.below(80) as u64).await;
        }
    }

    fn request(&self, of: &TransactionalProducer, offset: i64) -> TxnOffsetCommitRequest {
        let partition = TxnOffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: offset,
            committed_leader_epoch: -1,
            ..Default::default()
        };
        let topic =
            TxnOffsetCommitRequestTopic { name: TOPIC.into(), partitions: vec![partition], ..Default::default() };
        TxnOffsetCommitRequest {
            transactional_id: of.id.as_str().into(),
            group_id: self.group.as_str().into(),
            producer_id: of.identity.0,
            producer_epoch: of.identity.1,
            generation_id: -1,
            topics: vec![topic],
            ..Default::default()
        }
    }

    /// Checks the offset once the transaction has ended: `committed` says whether the commit that
    /// was asked for is known to have happened, `None` that it was aborted. The coordinator that
    /// took the offset knows of the transaction: it answers no other offset before it has ended.
    pub async fn ended(&mut self, of: &mut TransactionalProducer, to: Host, offset: i64, committed: Option<bool>) {
        match committed {
            Some(true) => {
                self.last = Some(offset);
                self.unknown.clear();
            }
            Some(false) => {
                self.unknown.insert(offset);
                return;
            }
            None => {}
        }
        for _ in 0..ATTEMPTS {
            let (found, code) = self.fetch(&mut of.participant, to, true).await;
            if let Some(found) = found {
                let found = (found >= 0).then_some(found);
                let is_right = found == self.last || found.is_some_and(|it| self.unknown.contains(&it));
                if !is_right {
                    let Self { group, last, unknown } = &*self;
                    of.participant.fail(format!(
                        "node {to} answers the offset {found:?} of {group} after transaction {offset} ended \
                         ({committed:?}): {last:?} was committed, perhaps {unknown:?}"
                    ));
                }
                return;
            }
            if code != ErrorCode::UnstableOffsetCommit.code() {
                return;
            }
            wait(100).await;
        }
    }

    /// Returns the committed offset, -1 if there is none, and the error code.
    async fn fetch(&self, by: &mut Participant, to: Host, require_stable: bool) -> (Option<i64>, i16) {
        let topic = OffsetFetchRequestTopics { name: TOPIC.into(), partition_indexes: vec![0], ..Default::default() };
        let group = OffsetFetchRequestGroup {
            group_id: self.group.as_str().into(),
            topics: Some(vec![topic]),
            ..Default::default()
        };
        let request = OffsetFetchRequest { groups: vec![group], require_stable, ..Default::default() };
        let answer = by.client.call::<_, OffsetFetchResponse>(to, &request, 8).await;
        let Some(group) = answer.ok().and_then(|it| it.groups.into_iter().next()) else { return (None, -1) };
        if group.error_code != 0 {
            return (None, group.error_code);
        }
        let Some(it) = group.topics.first().and_then(|topic| topic.partitions.first()) else { return (None, -1) };
        by.note(|| format!("node {to} answers {} of {}: {}", it.committed_offset, self.group, it.error_code));
        if it.error_code != 0 { (None, it.error_code) } else { (Some(it.committed_offset), 0) }
    }
}
