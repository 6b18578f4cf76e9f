//! Records that Apache Kafka 4.3.1 wrote to `__transaction_state` and `__consumer_offsets`. Each is
//! decoded and encoded to the same bytes. The coordinator's golden test covers those of classic
//! groups. `docs/internals/formats.md` draws them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use bytes::Bytes;
use protocol::{GroupRecord, TransactionRecord};

/// The values of one transactional id, in the order of their states: one aborted and one committed
/// transaction, transaction version 2.
const TRANSACTION_KEY: &str = "0000 0003742d31";
const TRANSACTION: [(&str, i8); 7] = [
    ("0001 0000000000000001 0000 0000ea60 00 00 000001a1fe9b4b32 ffffffffffffffff 01 00080000000000000001", 0),
    (
        "0001 0000000000000001 0000 0000ea60 01 020474786e020000000000 000001a1fe9b4b81 000001a1fe9b4b81 02 00080000000000000001 02020002",
        1,
    ),
    (
        "0001 0000000000000001 0001 0000ea60 03 020474786e020000000000 000001a1fe9b4ba9 000001a1fe9b4b81 02 00080000000000000001 02020002",
        3,
    ),
    ("0001 0000000000000001 0001 0000ea60 05 01 000001a1fe9b4bb2 000001a1fe9b4b81 02 00080000000000000001 02020002", 5),
    (
        "0001 0000000000000001 0001 0000ea60 01 020474786e020000000000 000001a1fe9b4c2c 000001a1fe9b4c2c 02 00080000000000000001 02020002",
        1,
    ),
    (
        "0001 0000000000000001 0002 0000ea60 02 020474786e020000000000 000001a1fe9b4c38 000001a1fe9b4c2c 02 00080000000000000001 02020002",
        2,
    ),
    ("0001 0000000000000001 0002 0000ea60 04 01 000001a1fe9b4c39 000001a1fe9b4c2c 02 00080000000000000001 02020002", 4),
];

/// The records of a group of the consumer protocol whose one member joined, committed and left:
/// type, key, value (`-`: a tombstone).
const GROUP: [(i16, &str, &str); 9] = [
    (
        5,
        "0005 000a672d636f6e73756d6572 0016792d4e624447306b524c327851486b345a474d4e5667",
        "0000 00 00 16636f6e73756d65722d672d636f6e73756d65722d32 0b2f3132372e302e302e31 0206706c61696e 01 000493e0 00 01 000100",
    ),
    (3, "0003 000a672d636f6e73756d6572", "0000 00000002 01 00080145a6ac9a761333"),
    (
        7,
        "0007 000a672d636f6e73756d6572 0016792d4e624447306b524c327851486b345a474d4e5667",
        "0000 02 720fb8cd30f54d28aa90687a03c1abe0 0200000000 00 00",
    ),
    (6, "0006 000a672d636f6e73756d6572", "0000 00000002 01 0008000001a1fe9b5250"),
    (
        8,
        "0008 000a672d636f6e73756d6572 0016792d4e624447306b524c327851486b345a474d4e5667",
        "0000 00000002 00000000 00 02 720fb8cd30f54d28aa90687a03c1abe0 0200000000 01 0005 020000000201 00",
    ),
    (
        1,
        "0001 000a672d636f6e73756d6572 0005706c61696e 00000000",
        "0004 0000000000000003 00000000 0100 0001a1fe9b5345 01 0010720fb8cd30f54d28aa90687a03c1abe0",
    ),
    (8, "0008 000a672d636f6e73756d6572 0016792d4e624447306b524c327851486b345a474d4e5667", "-"),
    (5, "0005 000a672d636f6e73756d6572 0016792d4e624447306b524c327851486b345a474d4e5667", "-"),
    (3, "0003 000a672d636f6e73756d6572", "0000 00000003 00"),
];

fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> =
        text.chars().filter(|char| *char != ' ').map(|char| char.to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

fn version(value: &Bytes) -> i16 {
    i16::from_be_bytes([value[0], value[1]])
}

#[test]
fn transaction_state_is_kafkas_to_the_byte() {
    for (value, state) in TRANSACTION {
        let (key, value) = (hex(TRANSACTION_KEY), hex(value));
        let record = TransactionRecord::decode(key.clone(), Some(value.clone())).unwrap();
        let TransactionRecord::TransactionLog(_, Some(log)) = &record else { panic!("{record:?}") };
        assert_eq!(
            (log.transaction_status, log.transaction_timeout_ms, log.client_transaction_version),
            (state, 60_000, 2 * i16::from(state > 0))
        );
        assert_eq!(record.encode_key().unwrap(), key);
        assert_eq!(record.encode_value(version(&value)).unwrap(), Some(value));
    }
}

#[test]
fn consumer_groups_are_kafkas_to_the_byte() {
    for (kind, key, value) in GROUP {
        let (key, value) = (hex(key), (value != "-").then(|| hex(value)));
        let record = GroupRecord::decode(key.clone(), value.clone()).unwrap();
        assert_eq!((record.kind(), record.encode_key().unwrap()), (kind, key));
        assert_eq!(record.encode_value(value.as_ref().map_or(0, version)).unwrap(), value);
    }
}
