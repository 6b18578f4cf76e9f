//! Values as JSON, in the form of Kafka's own converters: bytes and records as base64, UUIDs in
//! their text form.

use super::{Records, Str};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use model::Uuid;
use serde_json::Value;

/// A value that can be converted to JSON.
pub trait ToJsonValue {
    /// Returns the JSON value.
    fn to_json_value(&self) -> Value;
}

macro_rules! plain {
    ($($type:ty),*) => {$(
        impl ToJsonValue for $type {
            fn to_json_value(&self) -> Value {
                Value::from(*self)
            }
        }
    )*};
}

plain!(bool, i8, i16, u16, i32, u32, i64, f64);

impl ToJsonValue for Str {
    fn to_json_value(&self) -> Value {
        Value::from(self.as_str())
    }
}

impl ToJsonValue for Uuid {
    fn to_json_value(&self) -> Value {
        Value::from(self.to_string())
    }
}

impl ToJsonValue for Bytes {
    fn to_json_value(&self) -> Value {
        Value::from(STANDARD.encode(self))
    }
}

impl ToJsonValue for Records {
    fn to_json_value(&self) -> Value {
        match self {
            Records::Bytes(bytes) => bytes.to_json_value(),
            Records::Elsewhere { len } => Value::from(format!("{len} bytes elsewhere")),
        }
    }
}
