//! DescribeGroups, ListGroups and DeleteGroups.

use crate::group::builder::{DecisionBuilder, StoredOrLiveGroup};
use crate::group::offsets::expire;
use crate::group::record;
use crate::group::reply::GroupReply;
use crate::group::state::{ClassicGroup, GroupState, StoredGroup};
use crate::shard::ReplyId;
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

pub(crate) fn describe_groups(builder: &mut DecisionBuilder<'_>, id: ReplyId, groups: &[Str], report_missing: bool) {
    let described = groups.iter().map(|group| match builder.find_group(group) {
        StoredOrLiveGroup::Classic(found) => describe(&found),
        StoredOrLiveGroup::Missing => missing(group, format!("Group {group} not found."), report_missing),
        StoredOrLiveGroup::Carried(_) => {
            missing(group, format!("Group {group} is not a classic group."), report_missing)
        }
    });
    let described = described.collect();
    builder.reply(id, GroupReply::DescribeGroups(described));
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

pub(crate) fn list_groups(builder: &mut DecisionBuilder<'_>, id: ReplyId, states: &[Str], types: &[Str]) {
    let lower = |names: &[Str]| names.iter().map(|it| it.to_lowercase().trim().into()).collect::<BTreeSet<Str>>();
    let (states, types) = (lower(states), lower(types));
    let is_wanted = |group: &ListedGroup| {
        (states.is_empty() || states.contains(&Str::from(group.group_state.to_lowercase())))
            && (types.is_empty() || types.contains(&group.group_type))
    };
    let mut groups: BTreeMap<&Str, ListedGroup> = BTreeMap::new();
    for (id, stored) in &builder.state.groups {
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
    for (id, group) in &builder.soft.groups {
        let protocol_type = group.protocol_type.clone().unwrap_or_default();
        groups.insert(id, listed(id, protocol_type, group.state.name(), CLASSIC));
    }
    let groups = groups.into_values().filter(is_wanted).collect();
    builder.reply(id, GroupReply::ListGroups(Ok(groups)));
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

pub(crate) fn delete_groups(builder: &mut DecisionBuilder<'_>, id: ReplyId, groups: &[Str]) {
    let mut results = Vec::with_capacity(groups.len());
    let mut seen = BTreeSet::new();
    for group in groups {
        if !seen.insert(group) {
            continue;
        }
        let code = delete_group(builder, group).err().unwrap_or_default();
        results.push(DeletableGroupResult { group_id: group.clone(), error_code: code.code(), ..Default::default() });
    }
    builder.reply(id, GroupReply::DeleteGroups(results));
}

fn delete_group(builder: &mut DecisionBuilder<'_>, id: &Str) -> Result<(), ErrorCode> {
    let group = match builder.find_group(id) {
        StoredOrLiveGroup::Missing => return Err(ErrorCode::GroupIdNotFound),
        StoredOrLiveGroup::Classic(group) if group.state == GroupState::Empty => group,
        // The records of a group of another type are not known here, so none of them may be
        // deleted.
        StoredOrLiveGroup::Classic(_) | StoredOrLiveGroup::Carried(_) => return Err(ErrorCode::NonEmptyGroup),
    };
    let state = builder.state;
    for (topic, partitions) in state.offsets.group(id).into_iter().flatten() {
        for partition in partitions.keys() {
            builder.append(record::offset_tombstone(id, topic, *partition));
        }
    }
    for (topic, partition) in state.pending.partitions(id) {
        if state.offsets.get(id, topic, *partition).is_none() {
            builder.append(record::offset_tombstone(id, topic, *partition));
        }
    }
    expire::delete_group(builder, &group);
    Ok(())
}
