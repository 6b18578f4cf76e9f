//! Decodes keys and values: as text, or as the records of Kafka's own topics.

use super::{json, text};
use anyhow::bail;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use protocol::messages::consumer_protocol_assignment::ConsumerProtocolAssignment;
use protocol::messages::consumer_protocol_subscription::ConsumerProtocolSubscription;
use protocol::{DecodeError, GroupRecord, Message, MetadataRecord, ShareRecord, TransactionRecord, decode_from};
use serde_json::{Value, json};
use std::io::Write;

/// An upper bound for the versions of a metadata record. It fits in one byte of a varint.
const VERSIONS_MAX: i16 = 100;
/// The kinds of metadata records that contain structures: of brokers, client quotas and
/// controllers.
const WITH_STRUCTURES: [i32; 3] = [0, 14, 27];

/// How records are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decoder {
    /// UTF-8.
    Text,
    /// Records of `__consumer_offsets`.
    Offsets,
    /// Records of `__transaction_state`.
    Transactions,
    /// Records of `__cluster_metadata`.
    Metadata,
    /// Records of `__share_group_state`.
    Shares,
}

impl Decoder {
    /// Writes a record's key and value after `margin`. A record that cannot be decoded is written
    /// as text. Errors: a record without a key, in a topic where every record has one.
    pub(super) fn write(
        self,
        out: &mut impl Write,
        margin: &str,
        offset: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> anyhow::Result<()> {
        let (key, payload) = match self {
            Decoder::Text => return write_text(out, margin, key, value),
            Decoder::Metadata => (None, Some(metadata(offset, value)?)),
            Decoder::Offsets => state::<GroupRecord>(offset, key, value)?,
            Decoder::Transactions => state::<TransactionRecord>(offset, key, value)?,
            Decoder::Shares => state::<ShareRecord>(offset, key, value)?,
        };
        write_text(out, margin, key.as_deref().map(str::as_bytes), payload.as_deref().map(str::as_bytes))
    }
}

fn write_text(out: &mut impl Write, margin: &str, key: Option<&[u8]>, payload: Option<&[u8]>) -> anyhow::Result<()> {
    let mut margin = margin;
    for (name, bytes) in [("key", key), ("payload", payload)] {
        let Some(bytes) = bytes else { continue };
        write!(out, "{margin}{name}: {}", text::decode(bytes))?;
        margin = " ";
    }
    Ok(())
}

fn metadata(offset: i64, value: Option<&[u8]>) -> anyhow::Result<String> {
    let value = value.unwrap_or_default();
    let decoded = match MetadataRecord::decode(Bytes::copy_from_slice(value)) {
        Err(DecodeError::Version(name, version)) => {
            of_later_version(value).unwrap_or(Err(DecodeError::Version(name, version)))
        }
        decoded => decoded.map(|(record, version)| (record, version, version)),
    };
    match decoded {
        Ok((record, read_as, version)) => {
            let data = record.to_json(read_as);
            json::text(&json!({"type": metadata_kind(record.name()), "version": version, "data": data}))
        }
        Err(error) => Ok(format!("Error at {offset}, skipping. {}", metadata_error(value, &error))),
    }
}

/// Decodes a record of an unknown later version as the last known version, as Kafka does. Returns
/// the record, that version and its own. Returns `None` if Kafka rejects it too, because it
/// contains structures.
fn of_later_version(value: &[u8]) -> Option<Result<(MetadataRecord, i16, i16), DecodeError>> {
    let mut rest = value;
    take_unsigned_varint(&mut rest)?;
    let kind = take_unsigned_varint(&mut rest)?;
    let head = &value[..value.len() - rest.len()];
    let version = i16::try_from(take_unsigned_varint(&mut rest)?).ok()?;
    if WITH_STRUCTURES.contains(&kind) {
        return None;
    }
    (0..version.min(VERSIONS_MAX)).rev().find_map(|known| {
        let value = [head, &[known as u8], rest].concat();
        match MetadataRecord::decode(value.into()) {
            Err(DecodeError::Version(..)) => None,
            decoded => Some(decoded.map(|(record, _)| (record, known, version))),
        }
    })
}

/// Converts `FooBarRecord` to the name in Kafka's enum: `FOO_BAR_RECORD`.
fn metadata_kind(name: &str) -> String {
    let mut kind = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !kind.is_empty() {
            kind.push('_');
        }
        kind.push(character.to_ascii_uppercase());
    }
    kind
}

/// Returns Kafka's message for a metadata record that cannot be decoded.
fn metadata_error(value: &[u8], error: &DecodeError) -> String {
    let mut rest = value;
    let mut number = |what: &str| match take_unsigned_varint(&mut rest) {
        None => Err(format!("Error while reading {what}")),
        Some(number) if number > i32::from(i16::MAX) => Err(format!("Value for {what} was too large.")),
        // A negative number keeps its lower 16 bits, as in Kafka.
        Some(number) => Ok(number as i16),
    };
    let mut numbers = || {
        match number("frame version")? {
        1 => Ok((number("type")?, number("version")?)),
        0 => Err("Could not deserialize metadata record with frame version 0. Note that upgrades from the preview release of KRaft in 2.8 to newer versions are not supported.".into()),
        frame => Err(format!(
            "Could not deserialize metadata record due to unknown frame version {frame}(only frame version 1 is supported)"
        )),
    }
    };
    match (numbers(), error) {
        (Err(why), _) => why,
        (Ok((kind, _)), DecodeError::UnknownKind(_)) => {
            format!("org.apache.kafka.common.errors.UnsupportedVersionException: Unknown metadata id {kind}")
        }
        (Ok((_, version)), DecodeError::Trailing(left)) => format!("Found {left} byte(s) of garbage after {version}"),
        (Ok((kind, _)), _) => format!("Failed to deserialize record with type {kind}"),
    }
}

fn take_unsigned_varint(bytes: &mut &[u8]) -> Option<i32> {
    let mut value = 0u32;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        value |= u32::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            *bytes = &bytes[index + 1..];
            return Some(value.cast_signed());
        }
    }
    None
}

/// A record of a topic in which a coordinator stores its state.
trait StateRecord: Sized {
    fn decode(key: Bytes, value: Option<Bytes>) -> Result<Self, DecodeError>;
    fn max_version(&self) -> i16;
    fn kind(&self) -> i16;
    fn key_json(&self) -> Value;
    fn value_json(&self, version: i16) -> Option<Value>;
}

macro_rules! state_record {
    ($($record:ty),*) => {$(
        impl StateRecord for $record {
            fn decode(key: Bytes, value: Option<Bytes>) -> Result<Self, DecodeError> {
                Self::decode(key, value)
            }
            fn max_version(&self) -> i16 {
                self.max_version()
            }
            fn kind(&self) -> i16 {
                self.kind()
            }
            fn key_json(&self) -> Value {
                self.key_to_json()
            }
            fn value_json(&self, version: i16) -> Option<Value> {
                let mut value = self.value_to_json(version);
                show_members(self.kind(), stringify!($record), value.as_mut());
                value
            }
        }
    )*};
}

state_record!(GroupRecord, TransactionRecord, ShareRecord);

/// Returns the key and value as shown.
fn state<R: StateRecord>(
    offset: i64,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> anyhow::Result<(Option<String>, Option<String>)> {
    let Some(key) = key else {
        bail!("Failed to decode message at offset {offset} using the specified decoder (message had a missing key)");
    };
    let (key, value) = (Bytes::copy_from_slice(key), value.map(Bytes::copy_from_slice));
    match read_state::<R>(key, value.as_ref()) {
        Ok((record, version)) => {
            let key = json::text(&json!({"type": record.kind().to_string(), "data": record.key_json()}))?;
            let value = match record.value_json(version) {
                Some(data) => json::text(&json!({"version": version.to_string(), "data": data}))?,
                None => "<DELETE>".into(),
            };
            Ok((Some(key), Some(value)))
        }
        Err(Unreadable::Kind(kind)) => {
            Ok((Some(format!("Unknown record type {kind} at offset {offset}, skipping.")), None))
        }
        Err(Unreadable::Because(why)) => Ok((Some(format!("Error at offset {offset}, skipping. {why}")), None)),
    }
}

enum Unreadable {
    Kind(i16),
    Because(String),
}

fn read_state<R: StateRecord>(key: Bytes, value: Option<&Bytes>) -> Result<(R, i16), Unreadable> {
    let because = |buffer: &str, version: i16, error: &DecodeError| {
        let why = match error {
            // Java's exception has no message.
            DecodeError::Short(_) => "null".into(),
            error => error.to_string(),
        };
        Unreadable::Because(format!(
            "Could not read record with version {version} from {buffer}'s buffer due to: {why}."
        ))
    };
    let no_version = |buffer: &str| Unreadable::Because(format!("Could not read version from {buffer}'s buffer."));
    let kind = leading_number(&key).ok_or_else(|| no_version("key"))?;
    let record = R::decode(key.clone(), None).map_err(|error| match error {
        DecodeError::UnknownKind(kind) => Unreadable::Kind(kind),
        error => because("key", kind, &error),
    })?;
    let Some(value) = value else { return Ok((record, 0)) };
    let version = leading_number(value).ok_or_else(|| no_version("value"))?;
    if !(0..=record.max_version()).contains(&version) {
        return Err(Unreadable::Because(format!("Found an unknown record version {version} for {kind} type")));
    }
    let record = R::decode(key, Some(value.clone())).map_err(|error| because("value", version, &error))?;
    Ok((record, version))
}

fn leading_number(bytes: &[u8]) -> Option<i16> {
    bytes.first_chunk().copied().map(i16::from_be_bytes)
}

/// The kind of a classic group's record.
const GROUP_METADATA: i16 = 2;

/// Shows the data that members of a classic consumer group sent, if it can be decoded.
fn show_members(kind: i16, record: &str, value: Option<&mut Value>) {
    let Some(value) = value.filter(|_| kind == GROUP_METADATA && record == "GroupRecord") else { return };
    if value.get("protocolType").and_then(Value::as_str) != Some("consumer") {
        return;
    }
    for member in value.get_mut("members").and_then(Value::as_array_mut).into_iter().flatten() {
        replace::<ConsumerProtocolSubscription>(member, "subscription");
        replace::<ConsumerProtocolAssignment>(member, "assignment");
    }
}

fn replace<M: Message>(member: &mut Value, field: &str) {
    let Some(shown) = member.get_mut(field) else { return };
    let Some(bytes) = shown.as_str().and_then(|text| STANDARD.decode(text).ok()) else { return };
    let Some(version) = leading_number(&bytes) else { return };
    if let Ok(message) = decode_from::<M>(Bytes::from(bytes).slice(2..), version) {
        *shown = message.to_json(version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::messages::config_record::ConfigRecord;

    /// As `kafka-dump-log` of Kafka 4.3.1 prints a record whose version lost a bit.
    #[test]
    fn a_metadata_record_of_a_later_version_is_read_as_the_last_one() {
        let record =
            ConfigRecord { resource_type: 2, resource_name: "t".into(), name: "a".into(), ..Default::default() };
        let mut value = MetadataRecord::from(record).encode(0).unwrap().to_vec();
        value[2] = 64;
        let text = metadata(7, Some(&value)).unwrap();
        assert!(
            text.starts_with(r#"{"type":"CONFIG_RECORD","version":64,"data":{"resourceType":2,"resourceName":"t""#),
            "{text}"
        );
        value.push(0);
        assert_eq!(metadata(7, Some(&value)).unwrap(), "Error at 7, skipping. Found 1 byte(s) of garbage after 64");
        // The registration of a controller contains structures.
        value[1] = 27;
        assert_eq!(
            metadata(7, Some(&value)).unwrap(),
            "Error at 7, skipping. Failed to deserialize record with type 27"
        );
    }
}
