//! Converts frames to JSON: the response to a request of a key and version, with its records
//! decoded.

use crate::contents;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use protocol::{ApiKey, Message, Reader};
use serde_json::{Value, json};

/// Reads a response body and shows it.
type Show = fn(&mut Reader, i16) -> Result<Value, String>;

struct Response {
    name: &'static str,
    key: i16,
    show: Show,
}

fn show<M: Message>(r: &mut Reader, version: i16) -> Result<Value, String> {
    let message = M::decode(r, version).map_err(|error| error.to_string())?;
    Ok(message.to_json(version))
}

macro_rules! responses {
    ($($module:ident :: $name:ident,)*) => {
        [$({
            type M = protocol::messages::$module::$name;
            Response { name: M::NAME, key: M::KEY, show: show::<M> }
        },)*]
    };
}

fn response(key: i16) -> Option<Response> {
    let all = protocol::every_message!(responses);
    all.into_iter().find(|response| response.key == key && response.name.ends_with("Response"))
}

/// Returns a response frame as JSON. A frame that cannot be decoded is shown as bytes, so that both
/// sides can still be compared.
pub fn decode(key: i16, version: i16, correlation_id: i32, frame: Bytes) -> Value {
    let mut r = Reader::new(frame);
    let Ok(correlation) = r.i32() else { return json!({"undecodable": "no correlation id"}) };
    if correlation != correlation_id {
        return json!({"undecodable": format!("the correlation id {correlation} of another request")});
    }
    let rest = r.clone();
    body(key, version, &mut r).unwrap_or_else(|fault| undecodable(rest, &fault))
}

fn body(key: i16, version: i16, r: &mut Reader) -> Result<Value, String> {
    let api = ApiKey::from_code(key).ok_or("no such key")?;
    if api.response_header_version(version) == 1 && r.unsigned_varint().map_err(|error| error.to_string())? != 0 {
        return Err("tagged fields in the header".into());
    }
    let response = response(key).ok_or("no such response")?;
    let start = r.clone();
    let mut value = match (response.show)(r, version) {
        Ok(value) => value,
        // KIP-511: an ApiVersions request of an unknown version gets an answer in version 0.
        Err(_) if api == ApiKey::ApiVersions => {
            *r = start;
            let mut value = (response.show)(r, 0)?;
            value["answeredInVersion"] = json!(0);
            value
        }
        Err(fault) => return Err(fault),
    };
    if r.remaining() > 0 {
        return Err(format!("{} bytes after the response", r.remaining()));
    }
    if matches!(api, ApiKey::Fetch) {
        take_records_apart(&mut value, contents::show);
    }
    Ok(value)
}

fn undecodable(mut rest: Reader, fault: &str) -> Value {
    let bytes = rest.raw(rest.remaining()).unwrap_or_default();
    json!({"undecodable": fault, "bytes": STANDARD.encode(bytes)})
}

fn take_records_apart(value: &mut Value, show: fn(&[u8]) -> Value) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|element| take_records_apart(element, show)),
        Value::Object(fields) => {
            let is_of_transactions = fields.get("topic").is_some_and(|topic| topic == "__transaction_state");
            let show = if is_of_transactions { contents::show_each } else { show };
            for (name, field) in fields {
                match field {
                    Value::String(text) if name == "records" => {
                        if let Ok(bytes) = STANDARD.decode(text.as_str()) {
                            *field = show(&bytes);
                        }
                    }
                    other => take_records_apart(other, show),
                }
            }
        }
        _ => {}
    }
}
