//! Which transactions a cleaning has seen records of, in the order of the log.
//!
//! Records of an aborted transaction go at once; its marker stays as long as there were records, since a reader needs it and the entry in the index of
//! aborted transactions to skip them. One cleaning later it has nothing left to say. A commit's marker stays as long as there are records for it.

use crate::txn_index::AbortedTxn;
use model::{Offset, ProducerId};
use records::{BatchHeader, ControlType};
use std::collections::{BTreeMap, HashMap, HashSet};

#[derive(Debug)]
struct Aborted {
    txn: AbortedTxn,
    has_records: bool,
}

/// The state of a walk over a log from its start.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Aborted ones that the walk has not reached, by first offset.
    ahead: BTreeMap<Offset, AbortedTxn>,
    aborting: HashMap<ProducerId, Aborted>,
    committing: HashSet<ProducerId>,
    /// Aborted ones whose markers stay: the entries of the cleaned segment's index.
    kept: Vec<AbortedTxn>,
}

impl Transactions {
    /// Tells of aborted transactions that touch what comes next. Telling of one again, before its marker, does nothing.
    pub(super) fn announce(&mut self, aborted: impl IntoIterator<Item = AbortedTxn>) {
        self.ahead.extend(aborted.into_iter().map(|txn| (txn.first_offset, txn)));
    }

    /// A data batch. Whether its transaction was aborted.
    pub(super) fn data(&mut self, header: &BatchHeader) -> bool {
        self.reach(header.last_offset());
        let Some(producer_id) = header.producer_id.filter(|_| header.is_transactional()) else { return false };
        match self.aborting.get_mut(&producer_id) {
            Some(aborted) => {
                aborted.has_records = true;
                true
            }
            None => {
                self.committing.insert(producer_id);
                false
            }
        }
    }

    /// A control batch, with the kind of its record. Whether it has nothing left to say: no records of its transaction were seen.
    pub(super) fn control(&mut self, header: &BatchHeader, kind: Option<ControlType>) -> bool {
        self.reach(header.last_offset());
        // A control batch that was emptied before says nothing.
        let Some(kind) = kind else { return true };
        let producer_id = header.producer_id.unwrap_or(ProducerId(-1));
        match kind {
            ControlType::Abort => match self.aborting.remove(&producer_id) {
                Some(Aborted { txn, has_records: true }) => {
                    self.kept.push(txn);
                    false
                }
                _ => true,
            },
            ControlType::Commit => !self.committing.remove(&producer_id),
            _ => false,
        }
    }

    /// The aborted transactions whose markers stayed since the last call, in the order of their markers.
    pub(super) fn take_kept(&mut self) -> Vec<AbortedTxn> {
        std::mem::take(&mut self.kept)
    }

    fn reach(&mut self, offset: Offset) {
        while let Some(first) = self.ahead.first_entry().filter(|first| *first.key() <= offset) {
            let txn = first.remove();
            self.aborting.entry(txn.producer_id).or_insert(Aborted { txn, has_records: false });
        }
    }
}
