//! The steps of a course that append.

use super::Course;
use crate::batch::{Batch, Draft, Marker, Replay, Source};
use crate::check::{Check, ensure};
use crate::partition::Pending;
use crate::random::Random;
use bytes::Bytes;
use model::{LeaderEpoch, ProducerEpoch, ProducerId, VerificationGuard};
use records::Validated;
use std::sync::Arc;
use storage::{AppendOutcome, Error, FollowerAppend, LeaderAppend, Origin, ProducerError, VerificationStart, Wait};

/// The producers of a partition: the first two are idempotent, the others transactional.
const PRODUCERS: [i64; 4] = [1, 2, 11, 12];

impl Course {
    /// Returns a random batch. If only a marker is left of a producer, the producer continues with
    /// the next epoch, as Kafka's clients do after UNKNOWN_PRODUCER_ID.
    fn draft(&mut self, index: usize, replay: &Replay) -> Draft {
        self.serial += 1;
        let (verified, forgotten_below) = (&self.partitions[index].verified, self.partitions[index].start_high);
        let random = &mut self.random;
        let count = random.pick(&[1, 1, 2, 3, 5]);
        let newest = self.now;
        let timestamps = (0..count).map(|_| newest - random.pick(&[0, 0, 10, 700])).collect();
        let value_bytes = random.pick(&[5, 5, 40, 80]);
        let from_a_producer = |random: &mut Random| {
            let id = random.pick(&PRODUCERS);
            let is_transactional = id > 10;
            let known = replay.producers.get(&id);
            let (mut epoch, mut base_sequence) = known
                .map_or((0, 0), |known| (known.epoch, known.batches.last().map_or(0, |(sequence, _, _)| sequence + 1)));
            let is_free = known.is_none_or(|known| known.txn_first.is_none());
            if let Some(verified) = verified.get(&id).filter(|verified| **verified > epoch) {
                if !is_free {
                    // Its transaction was cut, and a coordinator would have to end it first.
                    return None;
                }
                (epoch, base_sequence) = (*verified, 0);
            }
            let is_forgotten =
                known.is_some_and(|known| known.batches.last().is_some_and(|(_, last, _)| *last < forgotten_below));
            if is_forgotten && !is_free {
                // Its last batch is below the log start. It is not visible whether the store still
                // knows that batch, so the next sequence is not known.
                return None;
            }
            if known.is_some() && is_free && (is_forgotten || random.chance(8)) {
                (epoch, base_sequence) = (epoch + 1, 0);
            }
            Some(Source { id, epoch, base_sequence, is_transactional, marker: None })
        };
        let source = if random.chance(65) { from_a_producer(random) } else { None };
        Draft { serial: self.serial, timestamps, value_bytes, source }
    }

    fn how(&self, index: usize, origin: Origin, transaction_version: i16) -> LeaderAppend {
        let leader_epoch = LeaderEpoch(self.partitions[index].leader_epoch);
        LeaderAppend { leader_epoch, origin, now: self.now(), transaction_version, guard: None }
    }

    /// Begins the verification of a transactional batch, as before every append of one. Returns the
    /// guard if the log needs one.
    fn verify(&mut self, index: usize, source: Source) -> Check<Option<VerificationGuard>> {
        let supports_epoch_bump = source.base_sequence == 0 && self.random.chance(50);
        let start = VerificationStart {
            producer_id: ProducerId(source.id),
            epoch: ProducerEpoch(source.epoch),
            base_sequence: source.base_sequence,
            supports_epoch_bump,
            now: self.now(),
        };
        let newest = self.partitions[index].verified.entry(source.id).or_default();
        *newest = source.epoch.max(*newest);
        let Some(log) = self.log(index) else { return Ok(None) };
        Ok(self.judge("verify", log.begin_verification(&start, Wait::Block))?.flatten())
    }

    /// Verifies the transactions of the batches of one append, which carries one guard. A later
    /// batch that needs a guard is removed, as clients send one batch.
    fn verify_all(&mut self, index: usize, batches: &mut Vec<Batch>) -> Check<Option<VerificationGuard>> {
        let mut guard = None;
        for position in 0..batches.len() {
            let Some(source) = batches[position].source.filter(|source| source.is_transactional) else { continue };
            let needed = self.verify(index, source)?;
            if position > 0 && needed.is_some() {
                batches.truncate(position);
                break;
            }
            guard = guard.or(needed);
        }
        Ok(guard)
    }

    /// Appends one or two batches of producers.
    pub(super) fn append(&mut self, index: usize) -> Check {
        let mut replay = self.partitions[index].replay();
        let mut batches = Vec::new();
        let mut next = self.partitions[index].end;
        for _ in 0..self.random.pick(&[1, 1, 1, 2]) {
            let batch = self.draft(index, &replay).at(next, self.partitions[index].leader_epoch);
            next = batch.next();
            replay.add(&batch);
            batches.push(batch);
        }
        self.fit(index, &mut batches);
        let guard = self.verify_all(index, &mut batches)?;
        let how = LeaderAppend { guard, ..self.how(index, Origin::Client, 0) };
        self.append_as_leader(index, batches, how)
    }

    /// Removes batches until they fit into one segment. A larger append would be refused.
    fn fit(&self, index: usize, batches: &mut Vec<Batch>) {
        let limit = self.partitions[index].config.segment_bytes as usize;
        while batches.iter().map(|batch| batch.bytes.len()).sum::<usize>() > limit {
            batches.pop();
        }
    }

    /// Appends the marker of a coordinator that ends a transaction.
    pub(super) fn append_marker(&mut self, index: usize) -> Check {
        let replay = self.partitions[index].replay();
        let open: Vec<i64> =
            replay.producers.iter().filter(|(_, known)| known.txn_first.is_some()).map(|(id, _)| *id).collect();
        let Some(id) = (!open.is_empty()).then(|| self.random.pick(&open)) else { return self.append(index) };
        let known = &replay.producers[&id];
        self.serial += 1;
        let transaction_version = self.random.pick(&[0, 2]);
        let epoch = if transaction_version == 2 { known.epoch + 1 } else { known.epoch };
        let coordinator_epoch = known.coordinator_epoch.unwrap_or(0) + self.random.pick(&[0, 0, 1]);
        let marker = Some(Marker { aborted: self.random.chance(60), coordinator_epoch });
        let source = Some(Source { id, epoch, base_sequence: -1, is_transactional: true, marker });
        let draft = Draft { serial: self.serial, timestamps: vec![self.now], value_bytes: 0, source };
        let batch = draft.at(self.partitions[index].end, self.partitions[index].leader_epoch);
        let how = self.how(index, Origin::Coordinator, transaction_version);
        self.append_as_leader(index, vec![batch], how)
    }

    fn append_as_leader(&mut self, index: usize, batches: Vec<Batch>, how: LeaderAppend) -> Check {
        let valid: Vec<Validated> =
            batches.iter().map(|batch| Validated::trusted(&batch.bytes).expect("built here")).collect();
        let Some(log) = self.log(index) else { return Ok(()) };
        let appended = log.append_as_leader(&valid, how);
        self.acknowledge(index, batches, appended.map(Some))
    }

    /// Appends what a leader sends, sometimes cut off at the end, sometimes with holes from
    /// compaction.
    pub(super) fn append_as_follower(&mut self, index: usize) -> Check {
        let partition = &self.partitions[index];
        let mut replay = partition.replay();
        let written = partition.history.last().map_or(0, |batch| batch.epoch);
        let mut epoch = partition.assigned.unwrap_or(0).max(written);
        let (mut next, newest) = (partition.end, partition.leader_epoch);
        let mut batches = Vec::new();
        for _ in 0..self.random.within(1, 3) {
            next += if self.random.chance(10) { self.random.within(1, 5) } else { 0 };
            epoch = self.random.within(i64::from(epoch), i64::from(newest)) as i32;
            let batch = self.draft(index, &replay).at(next, epoch);
            next = batch.next();
            replay.add(&batch);
            batches.push(batch);
        }
        self.fit(index, &mut batches);
        let mut bytes: Vec<u8> = batches.iter().flat_map(|batch| batch.bytes.iter().copied()).collect();
        if self.random.chance(30) {
            let next = batches.last().map_or(next, Batch::next);
            let cut_off = self.draft(index, &replay).at(next, epoch).bytes;
            bytes.extend(&cut_off[..self.random.below(cut_off.len())]);
        }
        let how = FollowerAppend { now: self.now() };
        let Some(log) = self.log(index) else { return Ok(()) };
        let appended = log.append_as_follower(&Bytes::from(bytes), how);
        self.acknowledge(index, batches, appended)
    }

    /// Notes the result of an append. If a flush is due, it comes before the acknowledgement. If
    /// the flush fails, there is no acknowledgement.
    fn acknowledge(
        &mut self,
        index: usize,
        batches: Vec<Batch>,
        appended: storage::Result<Option<AppendOutcome>>,
    ) -> Check {
        let (base, last) = (batches[0].base, batches[batches.len() - 1].last);
        let appended = self.judge("append", appended)?.flatten();
        self.note(|_| format!("{index}: append {base}..={last}: {appended:?}"));
        let Some(appended) = appended else {
            self.partitions[index].ghosts.extend(batches);
            return Ok(());
        };
        let found = (appended.base_offset.0, appended.last_offset.0, appended.is_duplicate);
        ensure!(found == (base, last, false), "appended {base}..={last} as {found:?}");
        let partition = &mut self.partitions[index];
        batches.into_iter().for_each(|batch| partition.appended(batch));
        let end = partition.end;
        let is_durable = self.partitions[index].is_durable();
        match (appended.is_flush_due, is_durable) {
            (true, true) => self.wait(index)?,
            (true, false) => {
                let Some(log) = self.log(index) else { return Ok(()) };
                let flushed = self.judge("flush", log.flush(log.log_end_offset(), self.now()))?;
                if flushed.is_none() {
                    return Ok(());
                }
                self.partitions[index].flushed_to(end);
            }
            // The batch is acknowledged, so it must be on disk.
            (false, true) => self.partitions[index].flushed_to(end),
            (false, false) => {}
        }
        if self.random.chance(75) {
            self.advance(index);
        }
        Ok(())
    }

    /// Adds a batch to the group commit, which may begin at once.
    fn wait(&mut self, index: usize) -> Check {
        if let Some(node) = &self.node
            && let Some(member) = &node.logs[index]
        {
            node.commits.add(member);
        }
        if !self.is_committing && self.random.chance(60) { self.commit() } else { Ok(()) }
    }

    /// Runs one round of the group commit. Appends go on during each of its steps and wait for
    /// another round.
    pub(super) fn commit(&mut self) -> Check {
        let waiting = self.node.as_ref().filter(|_| !self.is_committing);
        let Some(round) = waiting.and_then(|node| node.commits.begin(Arc::clone)) else { return Ok(()) };
        self.is_committing = true;
        for _ in 0..self.random.pick(&[0, 0, 1, 2]) {
            self.step(0)?;
        }
        let round = round.sync();
        for _ in 0..self.random.pick(&[0, 0, 1, 2]) {
            self.step(0)?;
        }
        self.is_committing = false;
        let Some(node) = &self.node else { return Ok(()) };
        let committed = node.commits.finish(round, self.now());
        let index = committed.member.partition().partition.0 as usize;
        let is_same = node.logs[index].as_ref().is_some_and(|member| Arc::ptr_eq(member, &committed.member));
        // The log may have gone offline while its batches waited.
        let was_offline = committed.flushed.is_err() && committed.member.fault().is_some();
        if !is_same || was_offline || self.partitions[index].pending != Pending::Nothing {
            // The waiters learn that the partition was deleted or is offline.
            return Ok(());
        }
        let (batches, end) = (committed.batches, committed.end);
        let flushed = self.judge("commit", committed.flushed)?;
        self.note(|_| format!("{index}: {batches} batches up to {end} committed: {flushed:?}"));
        if let Some(flushed) = flushed {
            // The waiters whose batches are below learn that they are on disk.
            self.partitions[index].flushed_to(flushed.0);
        }
        Ok(())
    }

    /// Sends the last batch of a producer again, and checks that it counts as a duplicate.
    pub(super) fn append_again(&mut self, index: usize) -> Check {
        let partition = &self.partitions[index];
        let replay = partition.replay();
        let start = partition.start_high;
        let is_last = |batch: &&Batch| {
            let known = batch
                .source
                .filter(|source| source.marker.is_none())
                .and_then(|source| replay.producers.get(&source.id));
            batch.last >= start
                && known.is_some_and(|known| known.batches.last().is_some_and(|(_, last, _)| *last == batch.last))
        };
        let last: Vec<&Batch> = partition.history.iter().filter(is_last).collect();
        let Some(batch) = (!last.is_empty()).then(|| self.random.pick(&last)) else { return Ok(()) };
        let (base, last) = (batch.base, batch.last);
        let valid = Validated::trusted(&batch.bytes).expect("built here");
        let how = self.how(index, Origin::Client, 0);
        let Some(log) = self.log(index) else { return Ok(()) };
        let appended = log.append_as_leader(&[valid], how);
        let Some(appended) = self.judge("append again", appended)? else { return Ok(()) };
        let found = (appended.base_offset.0, appended.last_offset.0, appended.is_duplicate);
        ensure!(found == (base, last, true), "{base}..={last} was appended again as {found:?}");
        Ok(())
    }

    /// Checks that a batch with a gap in its sequence is refused.
    pub(super) fn append_out_of_order(&mut self, index: usize) -> Check {
        let replay = self.partitions[index].replay();
        let mut draft = self.draft(index, &replay);
        let partition = &self.partitions[index];
        let Some(source) = &mut draft.source else { return Ok(()) };
        let known = replay.producers.get(&source.id);
        let is_known = known.is_some_and(|known| {
            known.epoch == source.epoch
                && known.batches.last().is_some_and(|(_, last, _)| *last >= partition.start_high)
        });
        if !is_known {
            return Ok(());
        }
        source.base_sequence += 3;
        let batch = draft.at(partition.end, partition.leader_epoch);
        let guard = self.verify_all(index, &mut vec![batch.clone()])?;
        let how = LeaderAppend { guard, ..self.how(index, Origin::Client, 0) };
        let Some(log) = self.log(index) else { return Ok(()) };
        let appended = log.append_as_leader(&[Validated::trusted(&batch.bytes).expect("built here")], how);
        let is_refused =
            matches!(appended, Err(Error::Producer(ProducerError::OutOfOrderSequence(_)) | Error::Full { .. }));
        ensure!(is_refused, "a batch out of order was appended: {appended:?}");
        Ok(())
    }

    /// Checks that a batch that opens a transaction is refused without the guard of its
    /// verification.
    pub(super) fn append_unverified(&mut self, index: usize) -> Check {
        let replay = self.partitions[index].replay();
        let draft = self.draft(index, &replay);
        let Some(source) = draft.source.filter(|source| source.is_transactional) else { return Ok(()) };
        if replay.producers.get(&source.id).is_some_and(|known| known.txn_first.is_some()) {
            return Ok(());
        }
        let partition = &self.partitions[index];
        let batch = draft.at(partition.end, partition.leader_epoch);
        if self.random.chance(50) {
            self.verify_all(index, &mut vec![batch.clone()])?;
        }
        let guard = self.random.pick(&[None, Some(VerificationGuard(0))]);
        let how = LeaderAppend { guard, ..self.how(index, Origin::Client, 0) };
        let Some(log) = self.log(index) else { return Ok(()) };
        let appended = log.append_as_leader(&[Validated::trusted(&batch.bytes).expect("built here")], how);
        let is_refused =
            matches!(appended, Err(Error::Producer(ProducerError::InvalidTxnState(_)) | Error::Full { .. }));
        ensure!(is_refused, "a batch opened a transaction without its guard: {appended:?}");
        Ok(())
    }
}
