//! A decision in the making: what it reads, and what it has gathered so far.

use crate::command::{Context, Decision, GroupConfig, NewRecord, OnFailure, Reply, ReplyId, Request, SoftChange};
use crate::group::classic::ClassicGroup;
use crate::group::kind::{CarriedGroup, StoredGroup};
use crate::shard::GroupShard;
use crate::soft::TimerKey;
use model::{ErrorCode, Monotonic, Timestamp};
use protocol::EncodeError;

/// What a group is, as a request finds it.
pub(crate) enum Found<'a> {
    Missing,
    /// A copy to work on, which shares what it does not change.
    Classic(Box<ClassicGroup>),
    Carried(&'a CarriedGroup),
}

/// One decision.
pub(crate) struct Turn<'a> {
    pub(crate) shard: &'a GroupShard,
    context: &'a Context<'a>,
    decision: Decision,
    /// A record that has no bytes: a name that is too long for its field.
    broken: bool,
    /// The log will say how a group stands.
    wrote_group: bool,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(shard: &'a GroupShard, context: &'a Context<'a>) -> Self {
        Self {
            shard,
            context,
            decision: Decision { atomic: true, ..Default::default() },
            broken: false,
            wrote_group: false,
        }
    }

    /// The wall clock: for timestamps that are written, and for comparing with such.
    pub(crate) fn wall(&self) -> Timestamp {
        self.context.now.wall
    }

    /// The monotonic clock: for deadlines.
    pub(crate) fn monotonic(&self) -> Monotonic {
        self.context.now.monotonic
    }

    pub(crate) fn config(&self) -> &'a GroupConfig {
        self.context.config
    }

    /// A version 4 UUID of the context's random bytes, as Java prints it: 36 characters.
    pub(crate) fn random_uuid(&self) -> String {
        let bytes = model::Uuid::from_random(self.context.random).0;
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

    /// The group of this name.
    pub(crate) fn find(&self, group: &str) -> Found<'a> {
        if let Some(live) = self.shard.soft.groups.get(group) {
            return Found::Classic(Box::new(live.clone()));
        }
        match self.shard.state.groups.get(group) {
            None => Found::Missing,
            Some(StoredGroup::Classic(value)) => {
                Found::Classic(Box::new(ClassicGroup::from_stored(group.into(), value.as_deref())))
            }
            Some(StoredGroup::Carried(group)) => Found::Carried(group),
        }
    }

    pub(crate) fn append(&mut self, record: Result<NewRecord, EncodeError>) {
        match record {
            Ok(record) => self.decision.records.push(record),
            Err(_) => self.broken = true,
        }
    }

    /// Appends the record of a classic group.
    pub(crate) fn append_group(&mut self, record: Result<NewRecord, EncodeError>) {
        self.wrote_group = true;
        self.append(record);
    }

    pub(crate) fn has_records(&self) -> bool {
        !self.decision.records.is_empty()
    }

    /// The records may be cut into several batches.
    pub(crate) fn not_atomic(&mut self) {
        self.decision.atomic = false;
    }

    pub(crate) fn on_failure(&mut self, on_failure: OnFailure) {
        self.decision.on_failure = on_failure;
    }

    pub(crate) fn reply(&mut self, id: ReplyId, reply: Reply) {
        self.decision.replies.push((id, reply));
    }

    /// Starts a timer, or starts it anew.
    pub(crate) fn schedule(&mut self, key: TimerKey, after_ms: i64) {
        self.change(SoftChange::SetTimer(key, self.monotonic().plus_ms(after_ms)));
    }

    pub(crate) fn cancel(&mut self, key: TimerKey) {
        self.change(SoftChange::CancelTimer(key));
    }

    pub(crate) fn change(&mut self, change: SoftChange) {
        self.decision.soft.push(change);
    }

    /// Takes what another decision had gathered.
    pub(crate) fn take_over(&mut self, soft: Vec<SoftChange>, replies: Vec<(ReplyId, Reply)>) {
        self.decision.soft.extend(soft);
        self.decision.replies.extend(replies);
    }

    /// Keeps a group's new state: softly, or not at all where the log says everything.
    pub(crate) fn keep(&mut self, group: Box<ClassicGroup>) {
        if group.is_at_rest() && (self.wrote_group || self.is_in_log(&group)) {
            self.change(SoftChange::Forget(group.id.clone()));
        } else {
            self.change(SoftChange::Group(group));
        }
    }

    fn is_in_log(&self, group: &ClassicGroup) -> bool {
        match self.shard.state.groups.get(&group.id) {
            Some(StoredGroup::Classic(value)) => {
                group.says_the_same(&ClassicGroup::from_stored(group.id.clone(), value.as_deref()))
            }
            Some(StoredGroup::Carried(_)) | None => false,
        }
    }

    pub(crate) fn finish(self, asked: Option<(ReplyId, &Request)>) -> Decision {
        if !self.broken {
            return self.decision;
        }
        let replies = asked.map(|(id, request)| (id, request.refused(ErrorCode::UnknownServerError)));
        Decision { replies: replies.into_iter().collect(), ..Default::default() }
    }
}
