//! Every message of the protocol in every version: what decodes has bytes, and these decode to the same bytes again.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use protocol::{Message, decode_from, encode_to_bytes};

struct Kind {
    versions: (i16, i16),
    decode: fn(Bytes, i16),
}

fn decode<M: Message>(bytes: Bytes, version: i16) {
    let Ok(message) = decode_from::<M>(bytes, version) else { return };
    // A text that grew when what was not UTF-8 in it was replaced may be too long to encode.
    let Ok(first) = encode_to_bytes(&message, version) else { return };
    let again = decode_from::<M>(first.clone(), version).ok().and_then(|again| encode_to_bytes(&again, version).ok());
    assert_eq!(again, Some(first), "{} v{version}", M::NAME);
}

macro_rules! kinds {
    ($($module:ident :: $name:ident,)*) => {
        &[$({
            type M = protocol::messages::$module::$name;
            Kind { versions: (M::MIN_VERSION, M::MAX_VERSION), decode: decode::<M> }
        },)*]
    };
}

const KINDS: &[Kind] = protocol::every_message!(kinds);

// Two bytes choose the message, one its version; the rest is the message.
fuzz_target!(|input: &[u8]| {
    let Some(([high, low, version], input)) = input.split_first_chunk() else { return };
    let kind = &KINDS[usize::from(u16::from_be_bytes([*high, *low])) % KINDS.len()];
    let (min, max) = kind.versions;
    let version = min + i16::from(*version) % (max - min + 1);
    (kind.decode)(Bytes::copy_from_slice(input), version);
});
