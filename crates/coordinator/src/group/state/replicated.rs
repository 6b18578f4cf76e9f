//! The replicated state, and `apply`, the only function that changes it.

use super::carried::{self, StoredGroup};
use super::offsets::{CommittedOffset, Offsets};
use super::pending::Pending;
use crate::entry::{BatchContext, Entry};
use bytes::Bytes;
use protocol::messages::offset_commit_key::OffsetCommitKey;
use protocol::messages::offset_commit_value::OffsetCommitValue;
use protocol::{DecodeError, GroupRecord, Str};
use std::collections::HashMap;
use std::sync::Arc;

/// All groups and offsets of one partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ReplicatedState {
    pub(crate) groups: HashMap<Str, StoredGroup>,
    pub(crate) offsets: Offsets,
    pub(crate) pending: Pending,
}

impl ReplicatedState {
    /// Applies one entry. Errors: the bytes are not a record of Kafka. As in Kafka, an unknown kind
    /// is skipped: a newer broker wrote it and can read it again.
    pub(crate) fn apply(&mut self, at: &BatchContext, entry: Entry) -> Result<(), DecodeError> {
        match entry {
            Entry::Record { key, value } => self.apply_record(at, key, value),
            Entry::Marker { committed } => {
                if let Some(producer) = at.producer {
                    self.pending.end(producer, committed, &mut self.offsets);
                }
                Ok(())
            }
        }
    }

    fn apply_record(&mut self, at: &BatchContext, key: Bytes, value: Option<Bytes>) -> Result<(), DecodeError> {
        match GroupRecord::decode(key, value) {
            Err(DecodeError::UnknownKind(_)) => {}
            Err(error) => return Err(error),
            Ok(GroupRecord::LegacyOffsetCommit(key, value)) => {
                let key = OffsetCommitKey {
                    group: key.group,
                    topic: key.topic,
                    partition: key.partition,
                    ..Default::default()
                };
                let value = value.map(|value| OffsetCommitValue {
                    offset: value.offset,
                    metadata: value.metadata,
                    commit_timestamp: value.commit_timestamp,
                    ..Default::default()
                });
                self.apply_offset(at, key, value);
            }
            Ok(GroupRecord::OffsetCommit(key, value)) => self.apply_offset(at, key, value),
            Ok(GroupRecord::GroupMetadata(key, Some(value))) => {
                self.groups.insert(key.group, StoredGroup::Classic(Some(Arc::new(value))));
            }
            Ok(GroupRecord::GroupMetadata(key, None)) => {
                // The tombstone of a classic group is also written when it becomes a group of
                // another type, whose records must stay.
                if let Some(StoredGroup::Classic(_)) = self.groups.get(&key.group) {
                    self.groups.remove(&key.group);
                }
            }
            Ok(record) => carried::apply(&mut self.groups, record),
        }
        Ok(())
    }

    fn apply_offset(&mut self, at: &BatchContext, key: OffsetCommitKey, value: Option<OffsetCommitValue>) {
        let Some(value) = value else {
            self.offsets.remove(&key.group, &key.topic, key.partition);
            self.pending.remove(&key.group, &key.topic, key.partition);
            return;
        };
        self.groups.entry(key.group.clone()).or_insert(StoredGroup::Classic(None));
        let offset = CommittedOffset::from_value(at.offset, value);
        match at.producer {
            None => self.offsets.put(key.group, key.topic, key.partition, offset),
            Some(producer) => self.pending.add(producer, key.group, key.topic, key.partition, offset),
        }
    }
}
