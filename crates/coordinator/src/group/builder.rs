//! A decision under construction: the state it reads, and its result so far.

use crate::entry::NewRecord;
use crate::group::config::GroupConfig;
use crate::group::decision::{GroupTypes, OnFailure};
use crate::group::reply::GroupReply;
use crate::group::request::GroupRequest;
use crate::group::state::{CarriedGroup, ClassicGroup, ReplicatedState, SoftChange, SoftState, StoredGroup, TimerKey};
use crate::shard::{BatchForm, Decision, DecisionContext, ReplyId};
use model::{ErrorCode, Monotonic, Timestamp};
use protocol::EncodeError;

/// The state of a group that a request names.
pub(crate) enum StoredOrLiveGroup<'a> {
    Missing,
    /// A working copy, which shares unchanged parts with the original.
    Classic(Box<ClassicGroup>),
    Carried(&'a CarriedGroup),
}

/// One decision under construction.
pub(crate) struct DecisionBuilder<'a> {
    pub(crate) state: &'a ReplicatedState,
    pub(crate) soft: &'a SoftState,
    context: &'a DecisionContext<'a, GroupConfig>,
    decision: Decision<GroupTypes>,
    /// Whether a record could not be encoded, because a name is too long for its field.
    broken: bool,
    /// Whether the records contain the group's new state.
    wrote_group: bool,
}

impl<'a> DecisionBuilder<'a> {
    pub(crate) fn new(
        state: &'a ReplicatedState,
        soft: &'a SoftState,
        context: &'a DecisionContext<'a, GroupConfig>,
    ) -> Self {
        Self { state, soft, context, decision: Decision::default(), broken: false, wrote_group: false }
    }

    /// Returns the wall clock. It is for timestamps in records, and for comparisons with them.
    pub(crate) fn wall(&self) -> Timestamp {
        self.context.now.wall
    }

    /// Returns the monotonic clock. It is for deadlines.
    pub(crate) fn monotonic(&self) -> Monotonic {
        self.context.now.monotonic
    }

    pub(crate) fn config(&self) -> &'a GroupConfig {
        self.context.config
    }

    /// Returns a version 4 UUID from the context's random bytes, as Java prints it: 36 characters.
    pub(crate) fn random_uuid(&self) -> String {
        let bytes = model::Uuid::from_random((self.context.random)()).0;
        let mut text = String::with_capacity(36);
        for (index, byte) in bytes.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                text.push('-');
            }
            for nibble in [byte >> 4, byte & 15] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        text
    }

    /// Returns the group with this name.
    pub(crate) fn find_group(&self, group: &str) -> StoredOrLiveGroup<'a> {
        if let Some(live) = self.soft.groups.get(group) {
            return StoredOrLiveGroup::Classic(Box::new(live.clone()));
        }
        match self.state.groups.get(group) {
            None => StoredOrLiveGroup::Missing,
            Some(StoredGroup::Classic(value)) => {
                StoredOrLiveGroup::Classic(Box::new(ClassicGroup::from_stored(group.into(), value.as_deref())))
            }
            Some(StoredGroup::Carried(group)) => StoredOrLiveGroup::Carried(group),
        }
    }

    pub(crate) fn append(&mut self, record: Result<NewRecord, EncodeError>) {
        match record {
            Ok(record) => self.decision.records.push(record),
            Err(_) => self.broken = true,
        }
    }

    /// Adds the record of a classic group.
    pub(crate) fn append_group(&mut self, record: Result<NewRecord, EncodeError>) {
        self.wrote_group = true;
        self.append(record);
    }

    pub(crate) fn has_records(&self) -> bool {
        !self.decision.records.is_empty()
    }

    /// Sets how the records are appended, if not as one batch without a producer.
    pub(crate) fn append_as(&mut self, form: BatchForm) {
        self.decision.form = form;
    }

    pub(crate) fn on_failure(&mut self, on_failure: OnFailure) {
        self.decision.on_failure = on_failure;
    }

    pub(crate) fn reply(&mut self, id: ReplyId, reply: GroupReply) {
        self.decision.replies.push((id, reply));
    }

    /// Starts or restarts a timer.
    pub(crate) fn schedule(&mut self, key: TimerKey, after_ms: i64) {
        self.change(SoftChange::SetTimer(key, self.monotonic().plus_ms(after_ms)));
    }

    pub(crate) fn cancel(&mut self, key: TimerKey) {
        self.change(SoftChange::CancelTimer(key));
    }

    pub(crate) fn change(&mut self, change: SoftChange) {
        self.decision.soft.push(change);
    }

    /// Takes over the soft changes and replies of another decision.
    pub(crate) fn take_over(&mut self, soft: Vec<SoftChange>, replies: Vec<(ReplyId, GroupReply)>) {
        self.decision.soft.extend(soft);
        self.decision.replies.extend(replies);
    }

    /// Keeps a group's new state as a soft change. If the log contains all of it, nothing is kept.
    pub(crate) fn keep_group(&mut self, group: Box<ClassicGroup>) {
        if group.is_at_rest() && (self.wrote_group || self.is_in_log(&group)) {
            self.change(SoftChange::Forget(group.id.clone()));
        } else {
            self.change(SoftChange::Group(group));
        }
    }

    fn is_in_log(&self, group: &ClassicGroup) -> bool {
        match self.state.groups.get(&group.id) {
            Some(StoredGroup::Classic(value)) => {
                group.has_same_record_as(&ClassicGroup::from_stored(group.id.clone(), value.as_deref()))
            }
            Some(StoredGroup::Carried(_)) | None => false,
        }
    }

    pub(crate) fn finish(self, asked: Option<(ReplyId, &GroupRequest)>) -> Decision<GroupTypes> {
        if !self.broken {
            return self.decision;
        }
        let replies = asked.map(|(id, request)| (id, request.refused(ErrorCode::UnknownServerError)));
        Decision { replies: replies.into_iter().collect(), ..Default::default() }
    }
}
