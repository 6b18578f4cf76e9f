//! Every message of the protocol in every version. If a message decodes, it can be encoded, and the
//! bytes stay the same when they are decoded and encoded again.
//!
//! Used by the fuzz target, which only cargo-fuzz builds, and by the tests of `protocol`, which
//! pass damaged golden messages.

use bytes::Bytes;
use protocol::{EncodeError, Message, decode_from, encode_to_bytes};

/// A message of any version.
pub struct Kind {
    /// The name in the schemas.
    pub name: &'static str,
    /// The oldest and the latest version.
    pub versions: (i16, i16),
    decode: fn(Bytes, i16) -> Result<(), String>,
}

fn decode<M: Message>(bytes: Bytes, version: i16) -> Result<(), String> {
    decode_from::<M>(bytes, version).map_or(Ok(()), |message| stable(&message, version))
}

/// Checks that a decoded message can be encoded and that the bytes are stable. Fails with what
/// changed.
pub fn stable<M: Message>(message: &M, version: i16) -> Result<(), String> {
    let first = match encode_to_bytes(message, version) {
        Ok(bytes) => bytes,
        // Replacing invalid UTF-8 may make a text too long.
        Err(EncodeError::TooLong(_)) => return Ok(()),
        Err(error) => return Err(format!("decoded, but: {error}")),
    };
    let again = decode_from::<M>(first.clone(), version).map_err(|error| format!("its own bytes: {error}"))?;
    match encode_to_bytes(&again, version) {
        Ok(second) if second == first => Ok(()),
        other => Err(format!("{first:02x?} became {other:02x?}")),
    }
}

macro_rules! kinds {
    ($($module:ident :: $name:ident,)*) => {
        &[$({
            type M = protocol::messages::$module::$name;
            Kind { name: M::NAME, versions: (M::MIN_VERSION, M::MAX_VERSION), decode: decode::<M> }
        },)*]
    };
}

/// Every message.
pub const KINDS: &[Kind] = protocol::every_message!(kinds);

/// Returns an input with which `run` decodes this message.
#[allow(dead_code, reason = "the fuzzer chooses its inputs itself")]
pub fn input(kind: usize, version: i16, message: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(kind).expect("there are not so many").to_be_bytes();
    let version = u8::try_from(version - KINDS[kind].versions.0).expect("there are not so many");
    [&[high, low, version], message].concat()
}

/// Two bytes choose the message and one its version. The rest is the message.
pub fn run(input: &[u8]) {
    let Some(([high, low, version], input)) = input.split_first_chunk() else { return };
    let kind = &KINDS[usize::from(u16::from_be_bytes([*high, *low])) % KINDS.len()];
    let (min, max) = kind.versions;
    let version = min + i16::from(*version) % (max - min + 1);
    if let Err(fault) = (kind.decode)(Bytes::copy_from_slice(input), version) {
        panic!("{} v{version}: {fault}", kind.name);
    }
}
