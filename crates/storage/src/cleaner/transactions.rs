//! Tracks, in the order of the log, of which transactions a cleaning has seen records.
//!
//! Records of an aborted transaction are removed at once. Its marker is kept while there were
//! records, since a reader needs the marker and the entry in the index of aborted transactions to
//! skip them. A commit marker is kept while its transaction has records. The first cleaning that
//! sees no records of the transaction gives the marker a delete horizon, and a cleaning after the
//! horizon removes it ([`super::filter`]).

use crate::txn_index::AbortedTxn;
use model::{Offset, ProducerId};
use records::{BatchHeader, ControlType};
use std::collections::{BTreeMap, HashMap, HashSet};

#[derive(Debug)]
struct Aborted {
    txn: AbortedTxn,
    has_records: bool,
}

/// The state of a pass over a log from its start.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    /// Aborted transactions that the pass has not reached, by first offset.
    ahead: BTreeMap<Offset, AbortedTxn>,
    aborting: HashMap<ProducerId, Aborted>,
    committing: HashSet<ProducerId>,
    /// Aborted transactions whose markers are kept: the entries of the cleaned segment's index.
    kept: Vec<AbortedTxn>,
}

impl Transactions {
    /// Adds aborted transactions that touch the next segments. Adding one again, before its marker,
    /// has no effect.
    pub(super) fn announce(&mut self, aborted: impl IntoIterator<Item = AbortedTxn>) {
        self.ahead.extend(aborted.into_iter().map(|txn| (txn.first_offset, txn)));
    }

    /// Handles a data batch. Returns whether its transaction was aborted.
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

    /// Handles a control batch with the type of its record. Returns whether it is no longer needed:
    /// no records of its transaction were seen.
    pub(super) fn control(&mut self, header: &BatchHeader, kind: Option<ControlType>) -> bool {
        self.reach(header.last_offset());
        // A control batch that was emptied before is not needed.
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

    /// Returns the aborted transactions whose markers were kept since the last call, in the order
    /// of their markers.
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
