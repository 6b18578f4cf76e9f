//! Consumers of both isolations. They read whatever is new, as Java's consumer does.

use super::Check;
use super::cluster::Cluster;
use crate::replica::{Partition, ReadRequest};
use model::{Offset, ProducerId};
use records::{BatchView, Batches, ControlType, RecordReader};
use std::collections::HashSet;
use std::sync::Arc;
use storage::{AbortedTxn, Isolation, Wait};

/// A record as a consumer gets it: the transaction, and its number there.
type Seen = (i64, u32, u32);

/// A consumer of one partition.
#[derive(Debug)]
pub(super) struct Reader {
    slot: usize,
    isolation: Isolation,
    position: Offset,
    seen: Vec<Seen>,
}

impl Reader {
    pub(super) fn new(slot: usize, isolation: Isolation) -> Self {
        Self { slot, isolation, position: Offset(0), seen: Vec::new() }
    }

    /// Reads what is new and enters it into the ledger.
    pub(super) fn read_on(&mut self, cluster: &Cluster) -> Check {
        let Some(partition) = cluster.led(self.slot) else { return Ok(()) };
        let known = self.seen.len();
        self.read(&partition)?;
        for (_, transaction, number) in &self.seen[known..] {
            if self.isolation == Isolation::Committed {
                cluster.ledger.lock().read_committed(self.slot, *transaction, *number)?;
            }
        }
        Ok(())
    }

    fn read(&mut self, partition: &Arc<Partition>) -> Check {
        loop {
            let request = ReadRequest {
                offset: self.position,
                current_leader_epoch: None,
                last_fetched_epoch: None,
                max_bytes: 1 << 20,
                at_least_one_batch: true,
                isolation: self.isolation,
                wait: Wait::Block,
                leader_only: true,
                follower: None,
            };
            let read = partition.read(&request).map_err(|error| format!("read at {}: {error}", self.position))?;
            let Some(region) = read.region else { return Ok(()) };
            let bytes = region.read().map_err(|error| error.to_string())?;
            let mut aborted = Aborted { left: read.aborted.unwrap_or_default(), producers: HashSet::new() };
            aborted.left.sort_by_key(|it| std::cmp::Reverse(it.first_offset));
            let before = self.position;
            for batch in Batches::new(&bytes) {
                let batch = match batch {
                    Ok(batch) => batch,
                    Err(error) if error.is_incomplete() => break,
                    Err(error) => return Err(error.to_string()),
                };
                self.take(&batch, &mut aborted)?;
                self.position = batch.header().next_offset();
            }
            if self.position == before {
                return Ok(());
            }
        }
    }

    fn take(&mut self, batch: &BatchView<'_>, aborted: &mut Aborted) -> Check {
        let header = batch.header();
        let is_aborted = aborted.reach(header.last_offset(), header.producer_id);
        let mut records = RecordReader::new(batch).map_err(|error| error.to_string())?;
        while let Some(record) = records.next_record() {
            let record = record.map_err(|error| error.to_string())?;
            if header.is_control() {
                if ControlType::from_key(record.key) == Ok(ControlType::Abort)
                    && let Some(producer) = header.producer_id
                {
                    aborted.producers.remove(&producer);
                }
            } else if !(self.isolation == Isolation::Committed && header.is_transactional() && is_aborted) {
                let value = record.value.unwrap_or_default();
                let (transaction, number) = value.split_at_checked(4).ok_or("a strange record")?;
                let number_of = |bytes: &[u8]| bytes.try_into().map(u32::from_be_bytes).map_err(|_| "a strange record");
                self.seen.push((record.offset.0, number_of(transaction)?, number_of(number)?));
            }
        }
        Ok(())
    }

    /// Checks that a consumer that starts now reads the same, and no record twice.
    pub(super) fn check(&self, cluster: &Cluster) -> Check {
        let Some(partition) = cluster.led(self.slot) else { return Err(format!("{} has no leader", self.slot)) };
        let mut anew = Reader::new(self.slot, self.isolation);
        anew.read(&partition)?;
        if anew.seen != self.seen {
            return Err(format!("{} {:?}: read {:?}, then {:?}", self.slot, self.isolation, self.seen, anew.seen));
        }
        let mut once = HashSet::new();
        match self.seen.iter().find(|(_, transaction, number)| !once.insert((*transaction, *number))) {
            Some(twice) => Err(format!("{} {:?}: {twice:?} is in the log twice", self.slot, self.isolation)),
            None => Ok(()),
        }
    }
}

/// The aborted transactions of a fetch.
struct Aborted {
    /// Those that begin later, the next one last.
    left: Vec<AbortedTxn>,
    /// The producers of those that have begun.
    producers: HashSet<ProducerId>,
}

impl Aborted {
    /// Goes on to an offset. Returns whether the producer's transaction there is aborted.
    fn reach(&mut self, offset: Offset, producer: Option<ProducerId>) -> bool {
        while let Some(begun) = self.left.pop_if(|it| it.first_offset <= offset) {
            self.producers.insert(begun.producer_id);
        }
        producer.is_some_and(|producer| self.producers.contains(&producer))
    }
}
