//! The prefix and header of a request, and records as logs keep them: the records of the metadata
//! log and of coordinators, whose kinds and versions come from the bytes.
//!
//! Used by the fuzz target, which only cargo-fuzz builds, and by the tests of `protocol`, which
//! pass damaged records.

use bytes::Bytes;
use protocol::{
    ApiKey, GroupRecord, MetadataRecord, Reader, RequestPrefix, ShareRecord, TransactionRecord, read_request_header,
};

/// Decodes a whole frame as a connection passes it on.
pub fn request(frame: &Bytes) {
    let Ok(prefix) = RequestPrefix::peek(frame) else { return };
    let Some(key) = ApiKey::from_code(prefix.api_key) else { return };
    let mut body = Reader::new(frame.clone());
    if let Ok(header) = read_request_header(&mut body, key, prefix.api_version) {
        assert_eq!(header.request_api_key, prefix.api_key);
        assert_eq!(header.request_api_version, prefix.api_version);
        assert_eq!(header.correlation_id, prefix.correlation_id);
    }
}

/// Decodes a record of the metadata log. If it decodes, it can be encoded, and the bytes are
/// stable.
pub fn metadata_record(value: Bytes) {
    let Ok((record, version)) = MetadataRecord::decode(value) else { return };
    // Replacing invalid UTF-8 may make a text too long to encode.
    let Ok(first) = record.encode(version) else { return };
    let again = MetadataRecord::decode(first.clone()).ok().and_then(|(record, version)| record.encode(version).ok());
    assert_eq!(again, Some(first));
}

/// Decodes a record of a coordinator's log, as each coordinator would read it. A record without a
/// value is a tombstone.
pub fn coordinator_record(key: &Bytes, value: Option<&Bytes>) {
    let _ = GroupRecord::decode(key.clone(), value.cloned()).map(|record| record.kind());
    let _ = TransactionRecord::decode(key.clone(), value.cloned());
    let _ = ShareRecord::decode(key.clone(), value.cloned());
}

/// The first byte chooses the kind of the input. For a coordinator's record, the next byte is the
/// length of the key.
pub fn run(input: &[u8]) {
    let Some((choice, input)) = input.split_first() else { return };
    let bytes = Bytes::copy_from_slice(input);
    match choice % 4 {
        0 => request(&bytes),
        1 => metadata_record(bytes),
        choice => {
            let Some((length, _)) = input.split_first() else { return };
            let end = bytes.len().min(1 + usize::from(*length));
            let (key, value) = (bytes.slice(1..end), bytes.slice(end..));
            coordinator_record(&key, (choice == 2).then_some(&value));
        }
    }
}
