//! What opens a request, and records as logs keep them: a request's prefix and header, and the records of the metadata log and of coordinators, whose
//! kinds and versions come out of the bytes.
//!
//! Shared by the fuzz target, which cargo-fuzz alone builds, and by the tests of `protocol`, which give it damaged records.

use bytes::Bytes;
use protocol::{
    ApiKey, GroupRecord, MetadataRecord, Reader, RequestPrefix, ShareRecord, TransactionRecord, read_request_header,
};

/// A whole frame as a connection hands it over.
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

/// A record of the metadata log: what decodes has bytes, and these stay the same.
pub fn metadata_record(value: Bytes) {
    let Ok((record, version)) = MetadataRecord::decode(value) else { return };
    // A text that grew when what was not UTF-8 in it was replaced may be too long to encode.
    let Ok(first) = record.encode(version) else { return };
    let again = MetadataRecord::decode(first.clone()).ok().and_then(|(record, version)| record.encode(version).ok());
    assert_eq!(again, Some(first));
}

/// A record of a coordinator's log, as each of them would read it; without a value it is a tombstone.
pub fn coordinator_record(key: &Bytes, value: Option<&Bytes>) {
    let _ = GroupRecord::decode(key.clone(), value.cloned()).map(|record| record.kind());
    let _ = TransactionRecord::decode(key.clone(), value.cloned());
    let _ = ShareRecord::decode(key.clone(), value.cloned());
}

/// The first byte says what the input is; of a coordinator's record the next one is the key's length.
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
