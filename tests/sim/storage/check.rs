//! The checks of a running log, and of a log that a start has opened.

use crate::batch::{Batch, Replay};
use crate::partition::{Partition, Pending};
use crate::random::Random;
use model::{Offset, ProducerId, Timestamp};
use records::Batches;
use std::collections::BTreeSet;
use storage::{Isolation, Log, LogRead, ProducerEntry, ReadPlan, Wait};

/// The result of a check. The error says why a course failed.
pub type Check<T = ()> = Result<T, String>;

macro_rules! ensure {
    ($holds:expr, $($text:tt)*) => {
        if !$holds {
            return Err(format!($($text)*));
        }
    };
}
pub(crate) use ensure;

fn plan(log: &Log, offset: i64, max_bytes: u32, isolation: Isolation) -> Check<ReadPlan> {
    let read = LogRead { offset: Offset(offset), max_bytes, at_least_one_batch: true, isolation, wait: Wait::Block };
    log.read(read).map_err(|error| format!("cannot read {offset}: {error}"))
}

fn parsed(plan: &ReadPlan) -> Check<Vec<(i64, i64, Vec<u8>)>> {
    let Some(region) = &plan.region else { return Ok(Vec::new()) };
    let bytes = region.read().map_err(|error| error.to_string())?;
    ensure!(region.is_intact(), "a plan is stale at once");
    let mut batches = Vec::new();
    for batch in Batches::new(&bytes) {
        let batch = batch.map_err(|error| format!("torn: {error}"))?;
        batch.verify_crc().map_err(|error| format!("torn at {}: {error}", batch.header().base_offset))?;
        let header = batch.header();
        batches.push((header.base_offset.0, header.last_offset().0, batch.bytes().to_vec()));
    }
    Ok(batches)
}

/// Reads everything from the log start to the log end: base offset, last offset, bytes.
pub fn read_all(log: &Log) -> Check<Vec<(i64, i64, Vec<u8>)>> {
    let (mut next, end) = (log.log_start_offset().0, log.log_end_offset().0);
    let mut all: Vec<(i64, i64, Vec<u8>)> = Vec::new();
    while next < end {
        let found = parsed(&plan(log, next, u32::MAX, Isolation::LogEnd)?)?;
        // A power cut may remove records that were not flushed, and leave the empty segment after
        // them.
        let is_before_active = log.segments().last().is_some_and(|it| it.size() == 0 && it.base_offset().0 == end);
        let Some((_, last, _)) = found.last() else {
            ensure!(is_before_active, "nothing at {next} of {end}");
            break;
        };
        ensure!(*last >= next, "read at {next} and got up to {last}");
        next = last + 1;
        all.extend(found);
    }
    let rises = all.windows(2).all(|pair| pair[0].1 < pair[1].0);
    ensure!(rises, "offsets repeat: {:?}", all.iter().map(|(base, last, _)| (*base, *last)).collect::<Vec<_>>());
    Ok(all)
}

fn offsets_of<'a>(batches: impl IntoIterator<Item = &'a Batch>) -> Vec<(i64, i64)> {
    batches.into_iter().map(|batch| (batch.base, batch.last)).collect()
}

/// Checks that a running log holds exactly the acknowledged batches.
pub fn running(partition: &Partition, log: &Log, random: &mut Random) -> Check {
    let offsets = log.offsets();
    let now = (offsets.log_start_offset.0, offsets.log_end_offset.0, offsets.high_watermark.0);
    let expected = (partition.start, partition.end, partition.high_watermark);
    ensure!(now == expected, "start, end and high watermark are {now:?} and not {expected:?}");
    let found = read_all(log)?;
    let expected = partition.from(partition.start);
    let is_same = found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| a.2 == b.bytes);
    let offsets = || found.iter().map(|(base, last, _)| (*base, *last)).collect::<Vec<_>>();
    ensure!(is_same, "holds {:?} and not {:?}", offsets(), offsets_of(expected));
    let replay = partition.replay();
    // An offline log can be read, but its derived state may be ahead of its records.
    if log.fault().is_none() {
        epochs(partition, log)?;
        producers(partition, log, &replay)?;
        stable_offset(partition, log, &replay)?;
        aborted(partition, log, &replay)?;
    }
    by_offset(partition, log, random)?;
    by_timestamp(partition, log, random)
}

fn epochs(partition: &Partition, log: &Log) -> Check {
    let epochs = log.leader_epochs();
    let entries = epochs.entries();
    let rises = entries.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
    ensure!(rises, "leader epochs do not rise: {entries:?}");
    for batch in partition.from(partition.start) {
        let known = epochs.epoch_of(Offset(batch.base)).map(|epoch| epoch.0);
        // A crash may undo a log start. The epochs may lack entries below that log start.
        let is_forgotten = known.is_none() && batch.base < partition.start_high;
        ensure!(
            known == Some(batch.epoch) || is_forgotten,
            "{} is of leader epoch {} and the epochs say {known:?}: {entries:?}",
            batch.base,
            batch.epoch
        );
    }
    for (epoch, start) in entries {
        // If the log start equals the log end, its epoch begins there, whichever epoch it is.
        let is_last = partition.assigned == Some(epoch.0) || partition.start == partition.end;
        let is_assigned = start.0 == partition.end && is_last;
        // An append adds its epoch first. If the append then fails, the epoch stays.
        let is_assigned =
            is_assigned || partition.ghosts.iter().any(|ghost| (ghost.base, ghost.epoch) == (start.0, epoch.0));
        ensure!(start.0 < partition.end || is_assigned, "epoch {epoch} begins at {start}, beyond {}", partition.end);
    }
    if let Some(epoch) = partition.assigned {
        ensure!(log.latest_epoch().map(|epoch| epoch.0) == Some(epoch), "epoch {epoch} was assigned: {entries:?}");
    }
    Ok(())
}

fn producers(partition: &Partition, log: &Log, replay: &Replay) -> Check {
    let mut found: Vec<(ProducerId, ProducerEntry)> = log.producers();
    found.sort_by_key(|(id, _)| *id);
    for (id, known) in &replay.producers {
        let entry = found.iter().find(|(found, _)| found.0 == *id).map(|(_, entry)| entry);
        // State from below the log start may be known or not.
        let forgotten_below = partition.start_high;
        if known.last_offset < forgotten_below {
            continue;
        }
        let Some(entry) = entry else { return Err(format!("producer {id} is forgotten")) };
        ensure!(entry.epoch.map(|epoch| epoch.0) == Some(known.epoch), "producer {id}: {entry:?} and not {known:?}");
        let batches: Vec<_> =
            entry.batches().iter().map(|it| (it.last_sequence, it.last_offset.0, it.offset_delta)).collect();
        let newest = known.batches.last();
        let may_lack_all = newest.is_none_or(|(_, last, _)| *last < forgotten_below);
        let is_sure =
            |batch: &&(i32, i64, i32)| !partition.is_vague || batch.1 >= forgotten_below || batches.contains(batch);
        let expected: Vec<_> = known.batches.iter().filter(is_sure).copied().collect();
        ensure!(
            expected.ends_with(&batches) && (!batches.is_empty() || may_lack_all),
            "producer {id}: batches {batches:?} and not {:?}",
            known.batches
        );
        ensure!(entry.last_timestamp.0 == known.last_timestamp, "producer {id}: {entry:?} and not {known:?}");
        let coordinator = entry.coordinator_epoch;
        let is_coordinator_forgotten = coordinator.is_none() && known.coordinator_at < forgotten_below;
        ensure!(
            coordinator == known.coordinator_epoch || is_coordinator_forgotten,
            "producer {id}: {entry:?}, {known:?}"
        );
        let (first, open) = (entry.txn_first_offset.map(|offset| offset.0), known.txn_first);
        let is_later = open.is_some_and(|open| open < forgotten_below && first.is_none_or(|first| first > open));
        let is_later = is_later || (partition.is_vague && first.is_some_and(|first| first < forgotten_below));
        ensure!(first == open || is_later, "producer {id}: its transaction began at {first:?} and not {open:?}");
    }
    let stranger = found.iter().find(|(id, _)| !replay.producers.contains_key(&id.0));
    ensure!(stranger.is_none(), "a producer of no record: {stranger:?}");
    Ok(())
}

fn stable_offset(partition: &Partition, log: &Log, replay: &Replay) -> Check {
    let found = log.last_stable_offset().0;
    ensure!(found <= partition.high_watermark, "last stable offset {found} is above the high watermark");
    // No producer snapshot, also not in Kafka, says that a marker waits for the high watermark. So
    // a start may forget it.
    let [low, high] = [partition.high_watermark, i64::MAX].map(|decided_below| replay.first_unstable(decided_below));
    if [low, high].iter().flatten().all(|first| *first >= partition.start_high) {
        let [mut low, high] = [low, high].map(|first| first.unwrap_or(i64::MAX).min(partition.high_watermark));
        // The marker is lost and its transaction is not, as in Kafka.
        let is_open_again = |ended: &crate::batch::Ended| ended.first < partition.start_high;
        if partition.is_vague && replay.ended.iter().any(is_open_again) {
            low = low.min(partition.start);
        }
        ensure!((low..=high).contains(&found), "last stable offset {found} and not {low} to {high}");
    }
    Ok(())
}

fn aborted(partition: &Partition, log: &Log, replay: &Replay) -> Check {
    let stable = log.last_stable_offset().0;
    let bases: Vec<i64> = log.segments().iter().map(|segment| segment.base_offset().0.max(partition.start)).collect();
    for offset in bases.into_iter().filter(|base| *base < stable) {
        let plan = plan(log, offset, u32::MAX, Isolation::Committed)?;
        let read = parsed(&plan)?;
        let Some((_, last, _)) = read.last() else {
            let is_there = |batch: &Batch| batch.last < stable && batch.last >= offset;
            ensure!(!partition.history.iter().any(is_there), "nothing stable at {offset} of {stable}");
            continue;
        };
        let listed = plan.aborted.unwrap_or_default();
        for txn in replay.ended.iter().filter(|txn| txn.aborted && txn.marker >= offset && txn.first <= *last) {
            let is_it = |it: &&storage::AbortedTxn| it.producer_id.0 == txn.id && it.last_offset.0 == txn.marker;
            let found = listed.iter().find(is_it);
            let is_below = txn.first < partition.start_high;
            ensure!(
                found.map_or(is_below, |it| it.first_offset.0 == txn.first || is_below),
                "read at {offset} up to {last}: {txn:?} was aborted, {listed:?}"
            );
        }
        for it in &listed {
            let is_it = |txn: &&crate::batch::Ended| {
                txn.aborted
                    && txn.id == it.producer_id.0
                    && txn.marker == it.last_offset.0
                    && txn.first <= it.first_offset.0
            };
            ensure!(replay.ended.iter().find(is_it).is_some(), "{it:?} was not aborted: {:?}", replay.ended);
        }
    }
    Ok(())
}

fn by_offset(partition: &Partition, log: &Log, random: &mut Random) -> Check {
    let batches = partition.from(partition.start);
    for batch in batches {
        let offset = random.within(batch.base, batch.last).max(partition.start);
        let found = parsed(&plan(log, offset, 1, Isolation::LogEnd)?)?;
        let found: Vec<_> = found.iter().map(|(base, last, _)| (*base, *last)).collect();
        ensure!(
            found == [(batch.base, batch.last)],
            "offset {offset} is in {:?}; found {found:?}",
            (batch.base, batch.last)
        );
    }
    Ok(())
}

fn by_timestamp(partition: &Partition, log: &Log, random: &mut Random) -> Check {
    let batches = partition.from(partition.start);
    let records = || batches.iter().flat_map(|batch| (batch.base..).zip(&batch.timestamps));
    let Some(some) = (!batches.is_empty()).then(|| random.pick(&batches.iter().collect::<Vec<_>>())) else {
        return Ok(());
    };
    for target in [some.timestamps[0], some.max_timestamp() + random.within(-1, 1), random.within(0, 20_000)] {
        let expected = records().find(|(offset, timestamp)| *offset >= partition.start && **timestamp >= target);
        let expected = expected.map(|(offset, timestamp)| (offset, *timestamp));
        let found =
            log.offset_for_timestamp(Timestamp(target)).map_err(|error| format!("timestamp {target}: {error}"))?;
        let found = found.map(|found| (found.offset.0, found.timestamp.0));
        ensure!(found == expected, "timestamp {target} is at {expected:?}; found {found:?}");
    }
    let newest = log.offset_of_max_timestamp().map_err(|error| format!("largest timestamp: {error}"))?;
    let largest = records().map(|(_, timestamp)| *timestamp).max();
    let is_whole = log.segments().first().is_some_and(|first| first.base_offset().0 >= partition.start);
    ensure!(
        !is_whole || newest.map(|found| found.timestamp.0) == largest,
        "the largest timestamp is {largest:?}; found {newest:?}"
    );
    Ok(())
}

/// How the last run of the node ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Data that was not synced may be lost.
    pub was_power: bool,
    pub is_clean: bool,
}

/// Checks that a log that a start has opened holds what had to survive the end of the last run, and
/// nothing that was never written. Its content becomes the known state from then on.
pub fn reopened(partition: &mut Partition, log: &Log, ending: Ending) -> Check {
    let (start, end) = (log.log_start_offset().0, log.log_end_offset().0);
    let found = read_all(log)?;
    let listed: Vec<_> = found.iter().map(|(base, last, _)| (*base, *last)).collect();
    if let Pending::Recreate { .. } = partition.pending {
        ensure!((start, end) == (0, 0), "the next topic's log holds {listed:?}");
    }
    let expected: Vec<Batch> = partition.from(start).to_vec();
    let case = format!("holds {start}..{end} {listed:?}, had {:?}, {:?}", offsets_of(&expected), partition.pending);
    let is_emptied = found.is_empty() && partition.pending == Pending::StartAnew;
    // If the old segments are removed and the new one does not exist yet, a log begins at the
    // offset in the checkpoint. The checkpoint may have no entry, as in Kafka.
    ensure!(is_emptied || start >= partition.start_durable, "starts below {}: {case}", partition.start_durable);
    let may_start_later = matches!(partition.pending, Pending::LaterStart | Pending::StartAnew);
    ensure!(start <= partition.start || may_start_later, "starts beyond {}: {case}", partition.start);
    let mut observed = Vec::new();
    for (base, _, bytes) in &found {
        let is_it = |batch: &&Batch| batch.bytes == *bytes;
        let known = expected.iter().find(is_it).or_else(|| partition.ghosts.iter().find(is_it));
        let Some(batch) = known else { return Err(format!("{base} was never appended so: {case}")) };
        observed.push(batch.clone());
    }
    let lost: BTreeSet<i64> =
        expected.iter().filter(|batch| !observed.contains(batch)).map(|batch| batch.base).collect();
    let kept_below = match (partition.pending, ending.was_power) {
        (Pending::Truncate(to), false) => to,
        (Pending::Truncate(to), true) => to.min(partition.flushed),
        (_, false) => partition.end,
        (_, true) => partition.flushed,
    };
    let first_lost = lost.first().copied().unwrap_or(i64::MAX);
    ensure!(is_emptied || first_lost >= kept_below, "lost {first_lost}, kept is all below {kept_below}: {case}");
    if !is_emptied {
        // A refused batch in place of one that was not synced is not a hole.
        let is_covered = |base: &i64| observed.iter().any(|batch| (batch.base..=batch.last).contains(base));
        let lost = lost.iter().copied().filter(|base| !is_covered(base)).collect();
        no_hole(&lost, &observed, &partition.ghosts, log, ending, &case)?;
    }
    ensure!(!ending.is_clean || lost.is_empty(), "a clean stop lost {lost:?}: {case}");
    let last = observed.last().map_or(start, Batch::next);
    let active = log.segments().last().map_or(0, |active| active.base_offset().0);
    let is_half_done = partition.ghosts.iter().any(|ghost| ghost.base == end);
    // A stopped truncation may have reached a segment whose records an earlier power cut removed.
    let is_half_done = is_half_done || matches!(partition.pending, Pending::Truncate(_));
    let may_lie_ahead = ending.was_power || end == partition.end || is_half_done;
    let is_end = end == last.max(start) || (may_lie_ahead && end == active && active > last);
    ensure!(is_end, "ends at {end} behind {last}: {case}");
    partition.is_vague |= ending.was_power && partition.flushed < start;
    adopt(partition, log, observed);
    Ok(())
}

/// Checks that each segment keeps a prefix of what was written. Between segments that were never
/// synced, a power cut may leave a hole, as in Kafka.
fn no_hole(lost: &BTreeSet<i64>, observed: &[Batch], ghosts: &[Batch], log: &Log, ending: Ending, case: &str) -> Check {
    let bases: BTreeSet<i64> = log.segments().iter().map(|segment| segment.base_offset().0).collect();
    let mut previous = i64::MIN;
    for batch in observed {
        let hole = lost.range(previous..batch.base).next();
        let is_between =
            ending.was_power && hole.is_some_and(|hole| bases.range(hole + 1..=batch.base).next().is_some());
        // A refused batch that was written first may appear again in place of the batch that
        // overwrote it.
        let is_ghost = ending.was_power && ghosts.contains(batch);
        ensure!(
            hole.is_none() || is_between || is_ghost,
            "a hole at {} before {}: {case}",
            hole.unwrap_or(&0),
            batch.base
        );
        previous = batch.base;
    }
    Ok(())
}

fn adopt(partition: &mut Partition, log: &Log, observed: Vec<Batch>) {
    let (start, end) = (log.log_start_offset().0, log.log_end_offset().0);
    let is_cut_off = log.segments().first().is_some_and(|first| first.base_offset().0 >= start);
    let is_anew = partition.pending == Pending::StartAnew && observed.is_empty() && is_cut_off;
    if let Pending::Truncate(_) = partition.pending {
        // A power cut may undo a truncation that did not finish.
        let (history, ghosts) = (&partition.history, &mut partition.ghosts);
        ghosts.extend(history.iter().filter(|batch| batch.last >= start && !observed.contains(batch)).cloned());
    }
    partition.history.retain(|batch| batch.last < start && !is_anew);
    partition.history.extend(observed);
    partition.start = start;
    partition.start_high = partition.start_high.max(start);
    partition.start_durable = partition.start_durable.min(start);
    partition.end = end;
    partition.high_watermark = log.high_watermark().0;
    // Records that were flushed in an earlier run are still flushed.
    partition.flushed = partition.flushed.min(end).max(log.recovery_point().0);
    partition.is_settled |= log.recovery_point().0 > 0;
    let flushed = partition.flushed;
    partition.ghosts.retain(|batch| batch.base >= flushed);
    partition.assigned = None;
    partition.pending = Pending::Nothing;
}
