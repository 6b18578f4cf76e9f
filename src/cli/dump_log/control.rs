//! The contents of control records: transaction markers, and raft's own records.

use super::json;
use anyhow::Context as _;
use bytes::Bytes;
use protocol::messages::kraft_version_record::KRaftVersionRecord;
use protocol::messages::leader_change_message::LeaderChangeMessage;
use protocol::messages::snapshot_footer_record::SnapshotFooterRecord;
use protocol::messages::snapshot_header_record::SnapshotHeaderRecord;
use protocol::messages::voters_record::VotersRecord;
use protocol::{Message, decode_from};
use records::{ControlType, EndTransactionMarker, RecordView};
use std::io::Write;

/// Writes what Kafka's tool prints after the metadata of a control record. Errors: the record is
/// not a control record.
pub(super) fn write(out: &mut impl Write, record: &RecordView<'_>) -> anyhow::Result<()> {
    match ControlType::from_key(record.key)? {
        ControlType::Abort | ControlType::Commit => {
            let marker = EndTransactionMarker::parse(record.key, record.value)?;
            let kind = if marker.committed { "COMMIT" } else { "ABORT" };
            write!(out, " endTxnMarker: {kind} coordinatorEpoch: {}", marker.coordinator_epoch)?;
        }
        ControlType::LeaderChange => write!(out, " LeaderChange: {}", value::<LeaderChangeMessage>(record)?)?,
        ControlType::SnapshotHeader => write!(out, " SnapshotHeader {}", value::<SnapshotHeaderRecord>(record)?)?,
        ControlType::SnapshotFooter => write!(out, " SnapshotFooter {}", value::<SnapshotFooterRecord>(record)?)?,
        ControlType::KraftVersion => write!(out, " KRaftVersion {}", value::<KRaftVersionRecord>(record)?)?,
        ControlType::KraftVoters => write!(out, " KRaftVoters {}", value::<VotersRecord>(record)?)?,
        ControlType::Unknown(kind) => write!(out, " controlType: UNKNOWN({kind})")?,
    }
    Ok(())
}

/// Returns the value as JSON. As in Kafka, it is read as version 0 and shown with the version that
/// it contains.
fn value<M: Message + Versioned>(record: &RecordView<'_>) -> anyhow::Result<String> {
    let bytes = record.value.context("a control record has no value")?;
    let message: M = decode_from(Bytes::copy_from_slice(bytes), 0)?;
    json::text(&message.to_json(message.version()))
}

/// A message that contains its own version.
trait Versioned {
    fn version(&self) -> i16;
}

macro_rules! versioned {
    ($($message:ty: $field:ident),*) => {$(
        impl Versioned for $message {
            fn version(&self) -> i16 {
                self.$field
            }
        }
    )*};
}

versioned!(
    LeaderChangeMessage: version,
    SnapshotHeaderRecord: version,
    SnapshotFooterRecord: version,
    KRaftVersionRecord: version,
    VotersRecord: version
);
