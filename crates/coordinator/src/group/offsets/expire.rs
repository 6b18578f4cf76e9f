//! The search for expired state: offsets that were not committed for `offsets.retention.minutes`
//! (KIP-211), and groups without members and offsets.

use crate::group::builder::{DecisionBuilder, StoredOrLiveGroup};
use crate::group::record;
use crate::group::state::{ClassicGroup, CommittedOffset, GroupState, SoftChange, StoredGroup, TimerKey};
use crate::shard::BatchForm;
use model::Timestamp;
use protocol::Str;

/// Schedules the next search.
pub(crate) fn schedule(builder: &mut DecisionBuilder<'_>) {
    let interval_ms = builder.config().offsets_retention_check_interval_ms;
    builder.schedule(TimerKey::Expire, interval_ms);
}

/// Searches all classic groups. Groups of other types are skipped, because the topics that they
/// read are not known.
pub(crate) fn expire(builder: &mut DecisionBuilder<'_>) {
    builder.append_as(BatchForm::Split);
    let groups = &builder.state.groups;
    let mut ids: Vec<&Str> = groups
        .iter()
        .filter_map(|(id, stored)| matches!(stored, StoredGroup::Classic(_)).then_some(id))
        .chain(builder.soft.groups.keys().filter(|id| !groups.contains_key(*id)))
        .collect();
    ids.sort_unstable();
    for id in ids {
        let StoredOrLiveGroup::Classic(group) = builder.find_group(id) else { continue };
        if expire_offsets(builder, &group) && group.state == GroupState::Empty {
            delete_group(builder, &group);
        }
    }
    schedule(builder);
}

/// Writes the tombstone of a group, and cancels its timers.
pub(crate) fn delete_group(builder: &mut DecisionBuilder<'_>, group: &ClassicGroup) {
    builder.append(record::group_tombstone(&group.id));
    for member in group.pending_join.iter() {
        builder.cancel(TimerKey::Session(group.id.clone(), member.clone()));
    }
    builder.cancel(TimerKey::Join(group.id.clone()));
    builder.cancel(TimerKey::Sync(group.id.clone()));
    builder.change(SoftChange::Forget(group.id.clone()));
}

/// The time from which the retention of an offset counts.
enum Since {
    /// Never expires: the group is between two generations, or its members may read any topic.
    Never,
    /// From when the group became empty.
    Empty(Timestamp),
    /// From its commit.
    Commit,
}

fn since(group: &ClassicGroup) -> Since {
    match (&group.protocol_type, group.state) {
        (None, _) => Since::Commit,
        (Some(_), GroupState::Empty) => group.state_timestamp.map_or(Since::Commit, Since::Empty),
        (Some(_), GroupState::Stable) if group.is_consumer_group() && group.knows_subscriptions() => Since::Commit,
        (Some(_), _) => Since::Never,
    }
}

/// Writes tombstones for a group's expired offsets. Returns whether none is left, those of open
/// transactions included.
fn expire_offsets(builder: &mut DecisionBuilder<'_>, group: &ClassicGroup) -> bool {
    let state = builder.state;
    let is_open = state.pending.contains_group(&group.id);
    let Some(topics) = state.offsets.group(&group.id) else { return !is_open };
    let since = since(group);
    let (now, retention_ms) = (builder.wall().0, builder.config().offsets_retention_ms);
    let is_old = |offset: &CommittedOffset| match (&since, offset.expire_timestamp) {
        (Since::Never, _) => false,
        (_, Some(expire)) => now >= expire.0,
        (Since::Empty(since), None) => now.saturating_sub(since.0) >= retention_ms,
        (Since::Commit, None) => now.saturating_sub(offset.commit_timestamp.0) >= retention_ms,
    };
    let mut all = true;
    for (topic, partitions) in topics {
        let is_read = group.is_subscribed_to(topic);
        for (partition, offset) in partitions {
            if !is_read && is_old(offset) && !state.pending.contains(&group.id, topic, *partition) {
                builder.append(record::offset_tombstone(&group.id, topic, *partition));
            } else {
                all = false;
            }
        }
    }
    all && !is_open
}
