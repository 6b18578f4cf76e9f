//! Writes the code that spans messages: the module list, the API keys, and the enums over the kinds
//! of stored records.

use super::emit::HEAD;
use super::names::snake;
use super::schema::Message;
use std::fmt::Write as _;

macro_rules! line {
    ($out:expr, $($arg:tt)*) => { let _ = writeln!($out, $($arg)*); };
}

/// Returns `mod.rs`: one module for each message, and a macro that lists them.
pub fn modules(messages: &[Message]) -> String {
    let mut names: Vec<(String, &str)> =
        messages.iter().map(|message| (snake(message.name()), message.name())).collect();
    names.sort();
    let mut out = format!("{HEAD}\n");
    line!(
        out,
        "/// Calls a macro with every message as `module::Structure`: for tests and tools that go through all of them."
    );
    line!(out, "#[macro_export]\nmacro_rules! every_message {{\n    ($callback:ident) => {{\n        $callback! {{");
    for (module, name) in &names {
        line!(out, "            {module}::{name},");
    }
    line!(out, "        }}\n    }};\n}}\n");
    for (module, _) in names {
        line!(out, "pub mod {module};");
    }
    out
}

/// Returns the API keys: number, name, and the first version with a flexible header.
pub fn api_keys(messages: &[Message]) -> String {
    let mut requests: Vec<&Message> = messages.iter().filter(|message| message.kind == "request").collect();
    requests.sort_by_key(|message| message.key);
    let rows: Vec<(String, i16, String, String)> = requests
        .iter()
        .map(|request| {
            let name = request.name().trim_end_matches("Request").to_string();
            let response = messages.iter().find(|m| m.kind == "response" && m.key == request.key);
            let first = |m: Option<&&Message>| match m {
                Some(m) if !m.flexible.is_none() => m.flexible.lo.to_string(),
                _ => "i16::MAX".into(),
            };
            (name, request.key.unwrap_or(-1), first(Some(request)), first(response.as_ref()))
        })
        .collect();
    let mut out = format!("{HEAD}\n/// A request's kind, by Kafka's number.\n");
    line!(out, "#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]\n#[repr(i16)]\npub enum ApiKey {{");
    for (name, key, ..) in &rows {
        line!(out, "    /// `{name}`.\n    {name} = {key},");
    }
    line!(out, "}}\n\nimpl ApiKey {{");
    line!(out, "    /// Every key, in numeric order.\n    pub const ALL: &'static [ApiKey] = &[");
    for (name, ..) in &rows {
        line!(out, "        ApiKey::{name},");
    }
    line!(out, "    ];\n");
    line!(out, "    /// The key of this number; `None` where Kafka 4.3.1 has no live one.");
    line!(out, "    pub fn from_code(code: i16) -> Option<Self> {{\n        match code {{");
    for (name, key, ..) in &rows {
        line!(out, "            {key} => Some(ApiKey::{name}),");
    }
    line!(out, "            _ => None,\n        }}\n    }}\n");
    line!(out, "    /// Kafka's name for it.\n    pub fn name(self) -> &'static str {{\n        match self {{");
    for (name, ..) in &rows {
        line!(out, "            ApiKey::{name} => {name:?},");
    }
    line!(out, "        }}\n    }}\n");
    for (what, index) in [("request", 2), ("response", 3)] {
        line!(out, "    /// The first version whose {what} is flexible.");
        line!(out, "    pub(crate) fn first_flexible_{what}(self) -> i16 {{\n        match self {{");
        for row in &rows {
            line!(out, "            ApiKey::{} => {},", row.0, if index == 2 { &row.2 } else { &row.3 });
        }
        line!(out, "        }}\n    }}\n");
    }
    line!(out, "}}");
    out
}

/// Returns an enum over records with a frame of kind and version, as in the metadata log.
pub fn framed(name: &str, what: &str, messages: &[Message]) -> String {
    let messages: Vec<&Message> = messages.iter().filter(|message| message.kind == "metadata").collect();
    let mut out =
        format!("{HEAD}\nuse crate::codec::prelude::*;\nuse crate::messages::*;\n\n/// {what}, of any kind.\n");
    line!(out, "#[derive(Clone, Debug, PartialEq)]\npub enum {name} {{");
    for message in &messages {
        let (record, kind) = (message.name(), message.name().trim_end_matches("Record"));
        line!(out, "    /// Kind {}.\n    {kind}({}::{record}),", message.key.unwrap_or(-1), snake(record));
    }
    line!(out, "}}\n\nimpl {name} {{");
    line!(out, "    /// The kind's number.\n    pub fn key(&self) -> i16 {{\n        match self {{");
    for message in &messages {
        line!(
            out,
            "            {name}::{}(_) => {},",
            message.name().trim_end_matches("Record"),
            message.key.unwrap_or(-1)
        );
    }
    line!(
        out,
        "        }}\n    }}\n\n    /// The kind's name in the schemas.\n    pub fn name(&self) -> &'static str {{\n        match self {{"
    );
    for message in &messages {
        line!(out, "            {name}::{}(_) => {:?},", message.name().trim_end_matches("Record"), message.name());
    }
    line!(
        out,
        "        }}\n    }}\n\n    /// The newest version of the kind.\n    pub fn max_version(&self) -> i16 {{\n        match self {{"
    );
    for message in &messages {
        line!(out, "            {name}::{}(_) => {},", message.name().trim_end_matches("Record"), message.versions.hi);
    }
    line!(out, "        }}\n    }}\n");
    line!(
        out,
        "    pub(crate) fn read(r: &mut Reader, key: i16, version: i16) -> Result<Self, DecodeError> {{\n        Ok(match key {{"
    );
    for message in &messages {
        let (record, kind) = (message.name(), message.name().trim_end_matches("Record"));
        line!(
            out,
            "            {} => {name}::{kind}({}::{record}::decode(r, version)?),",
            message.key.unwrap_or(-1),
            snake(record)
        );
    }
    line!(out, "            _ => return Err(DecodeError::UnknownKind(key)),\n        }})\n    }}\n");
    line!(
        out,
        "    pub(crate) fn write(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {{\n        match self {{"
    );
    for message in &messages {
        line!(out, "            {name}::{}(it) => it.encode(w, version),", message.name().trim_end_matches("Record"));
    }
    line!(out, "        }}\n    }}\n\n    /// The record as JSON, in the shape of Kafka's own tools.");
    line!(
        out,
        "    #[cfg(feature = \"json\")]\n    pub fn to_json(&self, version: i16) -> serde_json::Value {{\n        match self {{"
    );
    for message in &messages {
        line!(out, "            {name}::{}(it) => it.to_json(version),", message.name().trim_end_matches("Record"));
    }
    line!(out, "        }}\n    }}\n}}\n");
    conversions(&mut out, name, &messages);
    out
}

fn conversions(out: &mut String, name: &str, messages: &[&Message]) {
    for message in messages {
        let (record, kind) = (message.name(), message.name().trim_end_matches("Record"));
        line!(
            out,
            "impl From<{m}::{record}> for {name} {{\n    fn from(it: {m}::{record}) -> Self {{",
            m = snake(record)
        );
        line!(out, "        {name}::{kind}(it)\n    }}\n}}\n");
    }
}

/// Returns an enum over the records of a state topic: a key of each kind, and its value or a
/// tombstone.
pub fn keyed(name: &str, what: &str, messages: &[Message]) -> String {
    let pairs: Vec<(&Message, &Message)> = messages
        .iter()
        .filter(|message| message.kind == "coordinator-key")
        .filter_map(|key| messages.iter().find(|v| v.kind == "coordinator-value" && v.key == key.key).map(|v| (key, v)))
        .collect();
    let mut out = format!(
        "{HEAD}\nuse crate::codec::prelude::*;\nuse crate::messages::*;\n\n/// {what}, of any kind: its key, and its value or a tombstone.\n"
    );
    line!(out, "#[derive(Clone, Debug, PartialEq)]\npub enum {name} {{");
    for (key, value) in &pairs {
        line!(out, "    /// Kind {}.", key.key.unwrap_or(-1));
        line!(
            out,
            "    {}({}::{}, Option<{}::{}>),",
            kind(key),
            snake(key.name()),
            key.name(),
            snake(value.name()),
            value.name()
        );
    }
    line!(out, "}}\n\nimpl {name} {{");
    line!(
        out,
        "    /// The kind's number, with which the key opens.\n    pub fn kind(&self) -> i16 {{\n        match self {{"
    );
    for (key, _) in &pairs {
        line!(out, "            {name}::{}(..) => {},", kind(key), key.key.unwrap_or(-1));
    }
    line!(out, "        }}\n    }}\n");
    line!(
        out,
        "    /// The newest version of the kind's value.\n    pub fn max_version(&self) -> i16 {{\n        match self {{"
    );
    for (key, value) in &pairs {
        line!(out, "            {name}::{}(..) => {},", kind(key), value.versions.hi);
    }
    line!(out, "        }}\n    }}\n");
    keyed_codec(&mut out, name, &pairs);
    out
}

fn keyed_codec(out: &mut String, name: &str, pairs: &[(&Message, &Message)]) {
    line!(out, "    /// Reads a record of the topic. Errors: a kind that is not known, and bytes that do not fit it.");
    line!(out, "    pub fn decode(key: Bytes, value: Option<Bytes>) -> Result<Self, DecodeError> {{");
    line!(out, "        let mut r = Reader::new(key);\n        let kind = r.i16()?;\n        Ok(match kind {{");
    for (key, value) in pairs {
        line!(
            out,
            "            {} => {name}::{}({}::{}::decode(&mut r, {})?, decode_value::<{}::{}>(value)?),",
            key.key.unwrap_or(-1),
            kind(key),
            snake(key.name()),
            key.name(),
            key.versions.lo,
            snake(value.name()),
            value.name()
        );
    }
    line!(out, "            _ => return Err(DecodeError::UnknownKind(kind)),\n        }})\n    }}\n");
    line!(
        out,
        "    /// The key's bytes.\n    pub fn encode_key(&self) -> Result<Bytes, EncodeError> {{\n        match self {{"
    );
    for (key, _) in pairs {
        line!(
            out,
            "            {name}::{}(key, _) => encode_versioned({}, {}, key),",
            kind(key),
            key.key.unwrap_or(-1),
            key.versions.lo
        );
    }
    line!(out, "        }}\n    }}\n");
    line!(out, "    /// The value's bytes in a version of it; `None` for a tombstone.");
    line!(
        out,
        "    pub fn encode_value(&self, version: i16) -> Result<Option<Bytes>, EncodeError> {{\n        match self {{"
    );
    for (key, _) in pairs {
        line!(
            out,
            "            {name}::{}(_, value) => value.as_ref().map(|value| encode_versioned(version, version, value)).transpose(),",
            kind(key)
        );
    }
    line!(out, "        }}\n    }}\n");
    keyed_json(out, name, pairs);
    line!(out, "}}");
}

fn keyed_json(out: &mut String, name: &str, pairs: &[(&Message, &Message)]) {
    line!(out, "    /// The key as JSON, in the shape of Kafka's own tools.\n    #[cfg(feature = \"json\")]");
    line!(out, "    pub fn key_to_json(&self) -> serde_json::Value {{\n        match self {{");
    for (key, _) in pairs {
        line!(out, "            {name}::{}(key, _) => key.to_json({}),", kind(key), key.versions.lo);
    }
    line!(out, "        }}\n    }}\n");
    line!(
        out,
        "    /// The value as JSON, in the shape of Kafka's own tools for that version; `None` for a tombstone."
    );
    line!(out, "    #[cfg(feature = \"json\")]");
    line!(out, "    pub fn value_to_json(&self, version: i16) -> Option<serde_json::Value> {{\n        match self {{");
    for (key, _) in pairs {
        line!(
            out,
            "            {name}::{}(_, value) => value.as_ref().map(|value| value.to_json(version)),",
            kind(key)
        );
    }
    line!(out, "        }}\n    }}");
}

fn kind(key: &Message) -> &str {
    key.name().trim_end_matches("Key")
}
