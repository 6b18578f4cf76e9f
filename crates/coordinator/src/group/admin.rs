//! DescribeGroups, ListGroups and DeleteGroups.

use super::kind::StoredGroup;
use crate::command::{Reply, ReplyId};
use crate::group::classic::{ClassicGroup, GroupState};
use crate::offsets::expire;
use crate::record;
use crate::turn::{Found, Turn};
use model::ErrorCode;
use protocol::Str;
use protocol::messages::delete_groups_response::DeletableGroupResult;
use protocol::messages::describe_groups_response::DescribedGroup;
use protocol::messages::list_groups_response::ListedGroup;
use std::collections::{BTreeMap, BTreeSet};

/// The state of a group that does not exist.
const DEAD: &str = "Dead";
/// The type of classic groups.
const CLASSIC: &str = "classic";

pub(crate) fn describe_groups(turn: &mut Turn<'_>, id: ReplyId, groups: &[Str], report_missing: bool) {
    let described = groups.iter().map(|group| match turn.find(group) {
        Found::Classic(found) => describe(&found),
        Found::Missing => missing(group, format!("Group {group} not found."), report_missing),
        Found::Carried(_) => missing(group, format!("Group {group} is not a classic group."), report_missing),
    });
    let described = described.collect();
    turn.reply(id, Reply::DescribeGroups(described));
}

fn missing(group: &Str, message: String, report: bool) -> DescribedGroup {
    DescribedGroup {
        group_id: group.clone(),
        group_state: DEAD.into(),
        error_code: if report { ErrorCode::GroupIdNotFound.code() } else { 0 },
        error_message: report.then(|| message.into()),
        ..Default::default()
    }
}

fn describe(group: &ClassicGroup) -> DescribedGroup {
    let protocol = group.protocol_name.as_deref().filter(|_| group.state == GroupState::Stable);
    DescribedGroup {
        group_id: group.id.clone(),
        group_state: group.state.name().into(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        protocol_data: protocol.unwrap_or_default().into(),
        members: group.members_in_order().into_iter().map(|member| member.describe(protocol)).collect(),
        ..Default::default()
    }
}

pub(crate) fn list_groups(turn: &mut Turn<'_>, id: ReplyId, states: &[Str], types: &[Str]) {
    let lower = |names: &[Str]| names.iter().map(|it| it.to_lowercase().trim().into()).collect::<BTreeSet<Str>>();
    let (states, types) = (lower(states), lower(types));
    let is_wanted = |group: &ListedGroup| {
        (states.is_empty() || states.contains(&Str::from(group.group_state.to_lowercase())))
            && (types.is_empty() || types.contains(&group.group_type))
    };
    let mut groups: BTreeMap<&Str, ListedGroup> = BTreeMap::new();
    for (id, stored) in &turn.shard.state.groups {
        let (protocol_type, state, group_type) = match stored {
            StoredGroup::Carried(group) => (group.kind.name().into(), group.state_name(), group.kind.name()),
            StoredGroup::Classic(value) => {
                let value = value.as_deref();
                let is_empty = value.is_none_or(|value| value.members.is_empty());
                let state = if is_empty { GroupState::Empty } else { GroupState::Stable };
                (value.map(|value| value.protocol_type.clone()).unwrap_or_default(), state.name(), CLASSIC)
            }
        };
        groups.insert(id, listed(id, protocol_type, state, group_type));
    }
    for (id, group) in &turn.shard.soft.groups {
        let protocol_type = group.protocol_type.clone().unwrap_or_default();
        groups.insert(id, listed(id, protocol_type, group.state.name(), CLASSIC));
    }
    let groups = groups.into_values().filter(is_wanted).collect();
    turn.reply(id, Reply::ListGroups(Ok(groups)));
}

fn listed(group: &Str, protocol_type: Str, state: &'static str, group_type: &'static str) -> ListedGroup {
    ListedGroup {
        group_id: group.clone(),
        protocol_type,
        group_state: state.into(),
        group_type: group_type.into(),
        ..Default::default()
    }
}

pub(crate) fn delete_groups(turn: &mut Turn<'_>, id: ReplyId, groups: &[Str]) {
    let mut results = Vec::with_capacity(groups.len());
    let mut seen = BTreeSet::new();
    for group in groups {
        if !seen.insert(group) {
            continue;
        }
        let code = delete_group(turn, group).err().unwrap_or_default();
        results.push(DeletableGroupResult { group_id: group.clone(), error_code: code.code(), ..Default::default() });
    }
    turn.reply(id, Reply::DeleteGroups(results));
}

fn delete_group(turn: &mut Turn<'_>, id: &Str) -> Result<(), ErrorCode> {
    let group = match turn.find(id) {
        Found::Missing => return Err(ErrorCode::GroupIdNotFound),
        Found::Classic(group) if group.state == GroupState::Empty => group,
        // What belongs to a group of another kind is not known here, so that nothing of it can be deleted.
        Found::Classic(_) | Found::Carried(_) => return Err(ErrorCode::NonEmptyGroup),
    };
    let state = &turn.shard.state;
    for (topic, partitions) in state.offsets.group(id).into_iter().flatten() {
        for partition in partitions.keys() {
            turn.append(record::offset_tombstone(id, topic, *partition));
        }
    }
    for (topic, partition) in state.pending.partitions(id) {
        if state.offsets.get(id, topic, *partition).is_none() {
            turn.append(record::offset_tombstone(id, topic, *partition));
        }
    }
    expire::delete_group(turn, &group);
    Ok(())
}
