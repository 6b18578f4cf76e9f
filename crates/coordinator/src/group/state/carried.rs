//! The kind of a group's records defines its type. Types that are not served yet are carried: their
//! members and epochs are tracked, so that a request for them gets Kafka's answer, and their
//! offsets never expire.

use model::ErrorCode;
use protocol::messages::group_metadata_value::GroupMetadataValue;
use protocol::{GroupRecord, Str};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// A carried group type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CarriedKind {
    Consumer,
    Share,
    Streams,
}

impl CarriedKind {
    /// Returns the name of the type, which is the protocol type too.
    pub(crate) fn name(self) -> &'static str {
        match self {
            CarriedKind::Consumer => "consumer",
            CarriedKind::Share => "share",
            CarriedKind::Streams => "streams",
        }
    }
}

/// A member of a carried group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct CarriedMember {
    epoch: i32,
    /// Whether it has revoked and received all the partitions that it should.
    settled: bool,
}

/// A group of a type that is not served yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CarriedGroup {
    pub(crate) kind: CarriedKind,
    group_epoch: i32,
    assignment_epoch: i32,
    members: BTreeMap<Str, CarriedMember>,
}

/// The replicated state of a group, without its offsets.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum StoredGroup {
    /// A classic group. Without its own record it has only offsets and is a simple group.
    Classic(Option<Arc<GroupMetadataValue>>),
    /// A group of another type.
    Carried(CarriedGroup),
}

impl CarriedGroup {
    fn new(kind: CarriedKind) -> Self {
        Self { kind, group_epoch: 0, assignment_epoch: 0, members: BTreeMap::new() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether a classic group may replace it.
    pub(crate) fn may_become_classic(&self) -> bool {
        self.kind != CarriedKind::Share && self.is_empty()
    }

    /// Whether it has no offsets here: share groups store theirs elsewhere.
    pub(crate) fn has_no_offsets(&self) -> bool {
        self.kind == CarriedKind::Share
    }

    /// Returns the state that lists show.
    pub(crate) fn state_name(&self) -> &'static str {
        let settled = |member: &CarriedMember| member.settled && member.epoch == self.assignment_epoch;
        match self.kind {
            _ if self.is_empty() => "Empty",
            CarriedKind::Share => "Stable",
            _ if self.group_epoch > self.assignment_epoch => "Assigning",
            _ if !self.members.values().all(settled) => "Reconciling",
            _ => "Stable",
        }
    }

    /// Whether offsets may be committed with this member and epoch. A member with the group's
    /// current epoch may, and so may an administrator while the group has no members.
    pub(crate) fn may_commit(&self, member: &str, epoch: i32, knows_epochs: bool) -> Result<(), ErrorCode> {
        if self.kind == CarriedKind::Share {
            return Err(ErrorCode::GroupIdNotFound);
        }
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let Some(known) = self.members.get(member) else { return Err(ErrorCode::UnknownMemberId) };
        match known.epoch {
            _ if !knows_epochs => Err(ErrorCode::UnsupportedVersion),
            current if current == epoch => Ok(()),
            _ => Err(ErrorCode::StaleMemberEpoch),
        }
    }

    /// Whether offsets may be committed in a transaction. The members' epochs are generations for
    /// a producer (KIP-447). One that names no member, as before KIP-447, may always commit. Kafka
    /// also accepts an earlier epoch for partitions that the member has had since that epoch
    /// (KIP-1251). Here that is refused, because assignments of these groups are not kept.
    pub(crate) fn may_commit_in_transaction(
        &self,
        member: &str,
        instance: Option<&str>,
        epoch: i32,
    ) -> Result<(), ErrorCode> {
        if self.kind == CarriedKind::Share {
            return Err(ErrorCode::GroupIdNotFound);
        }
        let names_no_member = epoch == -1 && member.is_empty() && instance.is_none();
        if names_no_member || (epoch < 0 && self.members.is_empty()) {
            return Ok(());
        }
        let Some(known) = self.members.get(member) else { return Err(ErrorCode::UnknownMemberId) };
        if known.epoch == epoch { Ok(()) } else { Err(ErrorCode::IllegalGeneration) }
    }

    /// Whether offsets may be read with this member and epoch.
    pub(crate) fn may_fetch(&self, member: Option<&str>, epoch: i32) -> Result<(), ErrorCode> {
        if self.kind == CarriedKind::Share {
            return Err(ErrorCode::GroupIdNotFound);
        }
        if member.is_none() && epoch < 0 {
            return Ok(());
        }
        let Some(known) = self.members.get(member.unwrap_or_default()) else { return Err(ErrorCode::UnknownMemberId) };
        if known.epoch == epoch { Ok(()) } else { Err(ErrorCode::StaleMemberEpoch) }
    }
}

/// Applies a record that is neither an offset nor of a classic group.
pub(crate) fn apply(groups: &mut HashMap<Str, StoredGroup>, record: GroupRecord) {
    use CarriedKind::{Consumer, Share, Streams};
    match record {
        GroupRecord::LegacyOffsetCommit(..) | GroupRecord::OffsetCommit(..) | GroupRecord::GroupMetadata(..) => {}
        GroupRecord::ConsumerGroupMetadata(key, value) => {
            epoch(groups, key.group_id, Consumer, value.map(|it| it.epoch))
        }
        GroupRecord::ShareGroupMetadata(key, value) => epoch(groups, key.group_id, Share, value.map(|it| it.epoch)),
        GroupRecord::StreamsGroupMetadata(key, value) => epoch(groups, key.group_id, Streams, value.map(|it| it.epoch)),
        GroupRecord::ConsumerGroupMemberMetadata(key, value) => {
            member(groups, key.group_id, Consumer, key.member_id, value.is_some());
        }
        GroupRecord::ShareGroupMemberMetadata(key, value) => {
            member(groups, key.group_id, Share, key.member_id, value.is_some());
        }
        GroupRecord::StreamsGroupMemberMetadata(key, value) => {
            member(groups, key.group_id, Streams, key.member_id, value.is_some());
        }
        GroupRecord::ConsumerGroupTargetAssignmentMetadata(key, value) => {
            target(groups, key.group_id, Consumer, value.map(|it| it.assignment_epoch));
        }
        GroupRecord::ShareGroupTargetAssignmentMetadata(key, value) => {
            target(groups, key.group_id, Share, value.map(|it| it.assignment_epoch));
        }
        GroupRecord::StreamsGroupTargetAssignmentMetadata(key, value) => {
            target(groups, key.group_id, Streams, value.map(|it| it.assignment_epoch));
        }
        GroupRecord::ConsumerGroupCurrentMemberAssignment(key, value) => {
            let now = value.map(|it| CarriedMember { epoch: it.member_epoch, settled: it.state == 0 });
            current(groups, key.group_id, Consumer, key.member_id, now);
        }
        GroupRecord::ShareGroupCurrentMemberAssignment(key, value) => {
            let now = value.map(|it| CarriedMember { epoch: it.member_epoch, settled: it.state == 0 });
            current(groups, key.group_id, Share, key.member_id, now);
        }
        GroupRecord::StreamsGroupCurrentMemberAssignment(key, value) => {
            let now = value.map(|it| CarriedMember { epoch: it.member_epoch, settled: it.state == 0 });
            current(groups, key.group_id, Streams, key.member_id, now);
        }
        GroupRecord::ConsumerGroupPartitionMetadata(key, value) => {
            exists(groups, key.group_id, Consumer, value.is_some())
        }
        GroupRecord::ConsumerGroupTargetAssignmentMember(key, value) => {
            exists(groups, key.group_id, Consumer, value.is_some());
        }
        GroupRecord::ConsumerGroupRegularExpression(key, value) => {
            exists(groups, key.group_id, Consumer, value.is_some())
        }
        GroupRecord::ShareGroupTargetAssignmentMember(key, value) => {
            exists(groups, key.group_id, Share, value.is_some())
        }
        GroupRecord::ShareGroupStatePartitionMetadata(key, value) => {
            exists(groups, key.group_id, Share, value.is_some())
        }
        GroupRecord::StreamsGroupTargetAssignmentMember(key, value) => {
            exists(groups, key.group_id, Streams, value.is_some());
        }
        GroupRecord::StreamsGroupTopology(key, value) => exists(groups, key.group_id, Streams, value.is_some()),
    }
}

/// Returns the group, created with this type if it does not exist. The record implies that a
/// classic group with that name was replaced.
fn ensure(groups: &mut HashMap<Str, StoredGroup>, id: Str, kind: CarriedKind) -> &mut CarriedGroup {
    let slot = groups.entry(id).or_insert_with(|| StoredGroup::Carried(CarriedGroup::new(kind)));
    if !matches!(slot, StoredGroup::Carried(group) if group.kind == kind) {
        *slot = StoredGroup::Carried(CarriedGroup::new(kind));
    }
    let StoredGroup::Carried(group) = slot else { unreachable!("the slot was made a carried group above") };
    group
}

/// Returns the group if it has this type.
fn find<'a>(groups: &'a mut HashMap<Str, StoredGroup>, id: &str, kind: CarriedKind) -> Option<&'a mut CarriedGroup> {
    match groups.get_mut(id) {
        Some(StoredGroup::Carried(group)) if group.kind == kind => Some(group),
        _ => None,
    }
}

fn exists(groups: &mut HashMap<Str, StoredGroup>, id: Str, kind: CarriedKind, value: bool) {
    if value {
        ensure(groups, id, kind);
    }
}

fn epoch(groups: &mut HashMap<Str, StoredGroup>, id: Str, kind: CarriedKind, epoch: Option<i32>) {
    match epoch {
        Some(epoch) => ensure(groups, id, kind).group_epoch = epoch,
        None if find(groups, &id, kind).is_some() => {
            groups.remove(&id);
        }
        None => {}
    }
}

fn target(groups: &mut HashMap<Str, StoredGroup>, id: Str, kind: CarriedKind, epoch: Option<i32>) {
    match epoch {
        Some(epoch) => ensure(groups, id, kind).assignment_epoch = epoch,
        None => {
            if let Some(group) = find(groups, &id, kind) {
                group.assignment_epoch = -1;
            }
        }
    }
}

fn member(groups: &mut HashMap<Str, StoredGroup>, id: Str, kind: CarriedKind, member: Str, value: bool) {
    if value {
        ensure(groups, id, kind).members.entry(member).or_default();
    } else if let Some(group) = find(groups, &id, kind) {
        group.members.remove(&member);
    }
}

fn current(
    groups: &mut HashMap<Str, StoredGroup>,
    id: Str,
    kind: CarriedKind,
    member: Str,
    now: Option<CarriedMember>,
) {
    match now {
        Some(now) => {
            ensure(groups, id, kind).members.insert(member, now);
        }
        None => {
            let known = find(groups, &id, kind).and_then(|group| group.members.get_mut(&member));
            if let Some(known) = known {
                *known = CarriedMember::default();
            }
        }
    }
}
