//! The schema notation: parses a message file into data.
//!
//! A message begins with `kind | Name | key N | versions A-B | flexible F+`. Its fields follow,
//! nested by indentation, as `Name: type, versions, nullable V, tag N V, default D, ignorable, key,
//! flexible none`. `struct Name, versions` begins a structure that several fields share.

use anyhow::{Context, Result, bail, ensure};

/// A range of versions, both ends inclusive. If `lo > hi`, the range is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    pub lo: i16,
    pub hi: i16,
}

impl Versions {
    pub const NONE: Versions = Versions { lo: 1, hi: 0 };

    fn parse(text: &str) -> Result<Self> {
        if text == "none" {
            return Ok(Self::NONE);
        }
        if let Some(lo) = text.strip_suffix('+') {
            return Ok(Self { lo: lo.parse()?, hi: i16::MAX });
        }
        let (lo, hi) = text.split_once('-').unwrap_or((text, text));
        Ok(Self { lo: lo.parse()?, hi: hi.parse()? })
    }

    pub fn intersect(self, other: Versions) -> Versions {
        let both = Versions { lo: self.lo.max(other.lo), hi: self.hi.min(other.hi) };
        if both.is_none() { Self::NONE } else { both }
    }

    pub fn is_none(self) -> bool {
        self.lo > self.hi
    }

    /// Returns the Rust condition under which `version`, known to be in `outer`, is in this range.
    pub fn condition(self, outer: Versions) -> Condition {
        let inner = self.intersect(outer);
        if inner.is_none() {
            return Condition::Never;
        }
        match (inner.lo > outer.lo, inner.hi < outer.hi) {
            (false, false) => Condition::Always,
            (true, false) => Condition::When(format!("version >= {}", inner.lo)),
            (false, true) => Condition::When(format!("version <= {}", inner.hi)),
            (true, true) => Condition::When(format!("({}..={}).contains(&version)", inner.lo, inner.hi)),
        }
    }
}

/// Whether the version matters, and the condition on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    Always,
    Never,
    When(String),
}

impl Condition {
    /// Returns a Rust expression of type `bool`.
    pub fn expression(&self) -> String {
        match self {
            Condition::Always => "true".into(),
            Condition::Never => "false".into(),
            Condition::When(text) => text.clone(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    Bool,
    Int(&'static str),
    Float64,
    String,
    Uuid,
    Bytes,
    Records,
    Struct(String),
    Array(Box<Type>),
}

impl Type {
    fn parse(text: &str) -> Self {
        if let Some(element) = text.strip_prefix("[]") {
            return Type::Array(Box::new(Type::parse(element)));
        }
        match text {
            "bool" => Type::Bool,
            "int8" => Type::Int("i8"),
            "int16" => Type::Int("i16"),
            "uint16" => Type::Int("u16"),
            "int32" => Type::Int("i32"),
            "uint32" => Type::Int("u32"),
            "int64" => Type::Int("i64"),
            "float64" => Type::Float64,
            "string" => Type::String,
            "uuid" => Type::Uuid,
            "bytes" => Type::Bytes,
            "records" => Type::Records,
            name => Type::Struct(name.into()),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Field {
    pub name: String,
    pub kind: Type,
    pub versions: Versions,
    pub nullable: Versions,
    pub tag: Option<u32>,
    pub default: Option<String>,
    pub ignorable: bool,
    pub never_flexible: bool,
}

impl Field {
    /// Returns whether a version may hold a null, which makes the Rust type an `Option`.
    pub fn is_optional(&self) -> bool {
        !self.nullable.is_none()
    }

    pub fn defaults_to_null(&self) -> bool {
        matches!(self.default.as_deref(), Some("null")) || self.is_optional() && self.kind == Type::Records
    }
}

#[derive(Clone, Debug)]
pub struct Struct {
    pub name: String,
    pub versions: Versions,
    pub fields: Vec<Field>,
}

#[derive(Clone, Debug)]
pub struct Message {
    pub kind: String,
    pub key: Option<i16>,
    pub versions: Versions,
    pub flexible: Versions,
    pub listeners: Vec<String>,
    /// The message's own structure is the first, then the nested and shared ones.
    pub structs: Vec<Struct>,
}

impl Message {
    pub fn name(&self) -> &str {
        &self.structs[0].name
    }
}

/// Reads every message of one schema file.
pub fn parse(text: &str) -> Result<Vec<Message>> {
    let mut messages: Vec<Message> = Vec::new();
    // The structures to which the next line may belong: (indentation of its fields, index in
    // `structs`).
    let mut open: Vec<(usize, usize)> = Vec::new();
    for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let at = || format!("line {}: {line}", number + 1);
        let indentation = line.len() - line.trim_start().len();
        if indentation == 0 {
            messages.push(parse_head(line).with_context(at)?);
            open = vec![(2, 0)];
            continue;
        }
        let message = messages.last_mut().with_context(at)?;
        let line = line.trim();
        if let Some(rest) = line.strip_prefix("struct ") {
            let (name, versions) = rest.split_once(", ").with_context(at)?;
            message.structs.push(Struct {
                name: name.into(),
                versions: Versions::parse(versions)?,
                fields: Vec::new(),
            });
            open = vec![(2, 0), (indentation + 2, message.structs.len() - 1)];
            continue;
        }
        while open.last().is_some_and(|(depth, _)| *depth > indentation) {
            open.pop();
        }
        let &(depth, owner) = open.last().with_context(at)?;
        ensure!(depth == indentation, "indentation of {}", at());
        let field = parse_field(line).with_context(at)?;
        let mut element = &field.kind;
        while let Type::Array(inner) = element {
            element = inner;
        }
        if let Type::Struct(name) = element {
            // The fields follow with more indentation. If there are none, the line names a shared
            // structure that the message defines elsewhere.
            message.structs.push(Struct { name: name.clone(), versions: field.versions, fields: Vec::new() });
            open.push((indentation + 2, message.structs.len() - 1));
        }
        message.structs[owner].fields.push(field);
    }
    for message in &mut messages {
        message.structs.retain({
            let mut first = true;
            move |s| std::mem::take(&mut first) || !s.fields.is_empty()
        });
        for (index, one) in message.structs.iter().enumerate() {
            ensure!(
                message.structs[..index].iter().all(|s| s.name != one.name),
                "{}: {} twice",
                message.name(),
                one.name
            );
        }
    }
    Ok(messages)
}

fn parse_head(line: &str) -> Result<Message> {
    let mut parts = line.split(" | ");
    let kind = parts.next().context("kind")?.to_string();
    let name = parts.next().context("name")?.to_string();
    let mut message = Message {
        kind,
        key: None,
        versions: Versions::NONE,
        flexible: Versions::NONE,
        listeners: Vec::new(),
        structs: vec![Struct { name, versions: Versions { lo: 0, hi: i16::MAX }, fields: Vec::new() }],
    };
    for part in parts {
        match part.split_once(' ') {
            Some(("key", key)) => message.key = Some(key.parse()?),
            Some(("versions", versions)) => message.versions = Versions::parse(versions)?,
            Some(("flexible", versions)) => message.flexible = Versions::parse(versions)?,
            Some(("listeners", names)) => message.listeners = names.split('+').map(str::to_string).collect(),
            None if part == "latest-unstable" => {}
            _ => bail!("unknown part {part:?}"),
        }
    }
    Ok(message)
}

fn parse_field(line: &str) -> Result<Field> {
    let (name, rest) = line.split_once(": ").context("a field")?;
    let mut parts = rest.split(", ");
    let kind = Type::parse(parts.next().context("type")?);
    let mut field = Field {
        name: name.into(),
        kind,
        versions: Versions::parse(parts.next().context("versions")?)?,
        nullable: Versions::NONE,
        tag: None,
        default: None,
        ignorable: false,
        never_flexible: false,
    };
    for part in parts {
        let words: Vec<&str> = part.split(' ').collect();
        match words[..] {
            ["nullable", versions] => field.nullable = Versions::parse(versions)?,
            ["tag", tag, versions] => {
                // A tagged field does not exist in the versions before its tag.
                field.versions = field.versions.intersect(Versions::parse(versions)?);
                field.tag = Some(tag.parse()?);
            }
            ["default", value] => field.default = Some(value.into()),
            ["ignorable"] => field.ignorable = true,
            ["flexible", "none"] => field.never_flexible = true,
            ["key" | "zerocopy"] => {}
            _ => bail!("unknown attribute {part:?}"),
        }
    }
    Ok(field)
}
