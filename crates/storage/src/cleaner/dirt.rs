//! What part of a log may be cleaned, and whether it should be.

use crate::config::LogConfig;
use crate::error::Result;
use crate::segment::Segment;
use model::{Offset, Timestamp};
use std::sync::Arc;

/// The dirty part of a log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dirt {
    /// The first offset that no cleaning has read.
    pub from: Offset,
    /// Where a cleaning must end, exclusive: a segment's base offset.
    pub end: Offset,
    /// Bytes of the segments below `from`.
    pub clean_bytes: u64,
    /// Bytes of the segments from there to `end`.
    pub dirty_bytes: u64,
    /// How long the oldest dirty record has exceeded `max.compaction.lag.ms`.
    pub overdue_ms: i64,
    /// The checkpoint's offset, if it is impossible.
    pub disbelieved: Option<Offset>,
    /// The log's number of truncations: after another one this is no longer valid.
    pub(crate) truncations: u64,
}

impl Dirt {
    /// Returns the dirty part of the bytes.
    pub fn ratio(&self) -> f64 {
        match self.clean_bytes + self.dirty_bytes {
            0 => 0.0,
            total => self.dirty_bytes as f64 / total as f64,
        }
    }

    /// Whether the log should be cleaned now: it is dirty enough, or has waited too long.
    pub fn is_due(&self, config: &LogConfig) -> bool {
        let (dirty, total) = (u128::from(self.dirty_bytes), u128::from(self.clean_bytes + self.dirty_bytes));
        let is_dirty_enough = dirty * 1_000_000 > total * u128::from(config.min_cleanable_dirty_ppm);
        dirty > 0 && (is_dirty_enough || self.overdue_ms > 0)
    }
}

/// The offsets of a log that limit its dirty part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogBounds {
    pub(crate) log_start: Offset,
    pub(crate) log_end: Offset,
    pub(crate) last_stable: Offset,
    pub(crate) cleaned_up_to: Option<Offset>,
    pub(crate) truncations: u64,
}

/// Finds the dirty part in a log's segments, oldest first. The last one is active.
pub(crate) fn look(segments: &[Arc<Segment>], bounds: LogBounds, config: &LogConfig, now: Timestamp) -> Result<Dirt> {
    let LogBounds { log_start, log_end, last_stable, cleaned_up_to, truncations } = bounds;
    let said = cleaned_up_to.unwrap_or(log_start);
    let is_possible = said >= log_start && said <= log_end;
    let from = if is_possible { said } else { log_start };
    let active = segments.last().map_or(log_end, |active| active.base_offset());
    let mut bound = last_stable.min(active);
    if config.min_compaction_lag_ms > 0
        && let Some(young) = first_young(inactive_from(segments, from), config.min_compaction_lag_ms, now)?
    {
        bound = bound.min(young);
    }
    let bound = bound.max(from);
    // Segments are cleaned whole, so the one that holds the bound is not cleaned.
    let end = inactive_from(segments, bound).first().map_or(active, |segment| segment.base_offset());
    let bytes = |segments: &[Arc<Segment>]| segments.iter().map(|segment| u64::from(segment.size())).sum::<u64>();
    Ok(Dirt {
        from,
        end,
        clean_bytes: bytes(&segments[..segments.partition_point(|segment| segment.base_offset() < from)]),
        dirty_bytes: bytes(between(segments, from.min(end), end)),
        overdue_ms: overdue_ms(inactive_from(segments, from), config.max_compaction_lag_ms, now)?,
        disbelieved: cleaned_up_to.filter(|_| !is_possible),
        truncations,
    })
}

/// Returns the segments that hold offsets from one to another, exclusive.
pub(crate) fn between(segments: &[Arc<Segment>], from: Offset, to: Offset) -> &[Arc<Segment>] {
    let first = segments.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
    let end = segments.partition_point(|segment| segment.base_offset() < to);
    segments.get(first..end).unwrap_or_default()
}

/// Returns the segments from the one that holds an offset on, without the active one.
fn inactive_from(segments: &[Arc<Segment>], from: Offset) -> &[Arc<Segment>] {
    let active = segments.len().saturating_sub(1);
    let first = segments.partition_point(|segment| segment.base_offset() <= from).saturating_sub(1);
    segments.get(first..active).unwrap_or_default()
}

/// Returns the base offset of the first segment with a record younger than `min.compaction.lag.ms`.
fn first_young(segments: &[Arc<Segment>], lag_ms: i64, now: Timestamp) -> Result<Option<Offset>> {
    for segment in segments {
        if segment.largest_timestamp()?.0 > now.0.saturating_sub(lag_ms) {
            return Ok(Some(segment.base_offset()));
        }
    }
    Ok(None)
}

/// Returns how long ago the oldest first batch of these segments should have been compacted.
fn overdue_ms(segments: &[Arc<Segment>], lag_ms: Option<i64>, now: Timestamp) -> Result<i64> {
    let Some(lag_ms) = lag_ms else { return Ok(0) };
    let mut oldest = i64::MAX;
    for segment in segments {
        oldest = segment.first_timestamp()?.filter(|first| *first > 0).map_or(oldest, |first| oldest.min(first));
    }
    Ok(now.0.saturating_sub(lag_ms).saturating_sub(oldest).max(0))
}

/// Groups segments that are cleaned together. Each group becomes one segment, which is within the
/// segment's size limit and whose offsets its index can hold.
pub(super) fn groups(segments: &[Arc<Segment>], config: &LogConfig, end: Offset) -> Result<Vec<Vec<Arc<Segment>>>> {
    let mut groups: Vec<Vec<Arc<Segment>>> = Vec::new();
    let mut room = SegmentBytes::default();
    for (number, segment) in segments.iter().enumerate() {
        let taken = SegmentBytes::of(segment)?;
        // The largest possible end of its records. A segment without records needs no space for
        // offsets.
        let last = segments.get(number + 1).map_or(end, |next| next.base_offset()).0 - 1;
        let joins = groups.last().and_then(|group| group.first()).is_some_and(|first| {
            room.holds(taken, config) && (segment.size() == 0 || last - first.base_offset().0 <= i64::from(i32::MAX))
        });
        match groups.last_mut() {
            Some(group) if joins => {
                group.push(segment.clone());
                room = room.with(taken);
            }
            _ => {
                groups.push(vec![segment.clone()]);
                room = taken;
            }
        }
    }
    Ok(groups)
}

/// Bytes of records and of both indexes.
#[derive(Clone, Copy, Debug, Default)]
struct SegmentBytes {
    records: u64,
    offsets: u64,
    times: u64,
}

impl SegmentBytes {
    fn of(segment: &Segment) -> Result<SegmentBytes> {
        let (offsets, times) = segment.index_bytes()?;
        Ok(SegmentBytes { records: u64::from(segment.size()), offsets, times })
    }

    fn with(self, other: SegmentBytes) -> SegmentBytes {
        SegmentBytes {
            records: self.records + other.records,
            offsets: self.offsets + other.offsets,
            times: self.times + other.times,
        }
    }

    fn holds(self, more: SegmentBytes, config: &LogConfig) -> bool {
        let all = self.with(more);
        let index_max = u64::from(config.segment_index_bytes);
        all.records <= u64::from(config.segment_bytes) && all.offsets <= index_max && all.times <= index_max
    }
}
