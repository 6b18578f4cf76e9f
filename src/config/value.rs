//! Values of properties: their types, and the conversion from and to text.
//!
//! Parsing and printing follow Kafka's `ConfigDef`: text is trimmed, a list is separated by commas,
//! and errors have the text that clients see.

use super::java;
use model::java_number;

/// The type of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean,
    /// Any text.
    Text,
    /// 32 bits.
    Int,
    /// 16 bits.
    Short,
    /// 64 bits.
    Long,
    /// A floating-point number.
    Double,
    /// Texts separated by commas.
    List,
    /// The name of a Java class.
    Class,
    /// Text that is a secret.
    Password,
}

impl Kind {
    /// Returns Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Boolean => "BOOLEAN",
            Kind::Text => "STRING",
            Kind::Int => "INT",
            Kind::Short => "SHORT",
            Kind::Long => "LONG",
            Kind::Double => "DOUBLE",
            Kind::List => "LIST",
            Kind::Class => "CLASS",
            Kind::Password => "PASSWORD",
        }
    }

    /// Returns its number in DescribeConfigs.
    pub fn to_wire(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::Text => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }
}

/// A property's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Null: not set, and without a default.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An int, short or long.
    Integer(i64),
    /// A double.
    Double(f64),
    /// A text, class or password.
    Text(String),
    /// A list.
    List(Vec<String>),
}

impl Value {
    /// Parses a value. Errors: what is wrong, without the property's name.
    pub(super) fn parse(text: &str, kind: Kind) -> Result<Value, String> {
        let text = java::trim(text);
        let not_a_number = || format!("Not a number of type {}", kind.name());
        Ok(match kind {
            Kind::Boolean => {
                let value = java_number::parse_boolean(text);
                Value::Boolean(value.ok_or("Expected value to be either true or false")?)
            }
            Kind::Int => Value::Integer(java_number::parse_int(text).ok_or_else(not_a_number)?.into()),
            Kind::Short => Value::Integer(java_number::parse_short(text).ok_or_else(not_a_number)?.into()),
            Kind::Long => Value::Integer(java_number::parse_long(text).ok_or_else(not_a_number)?),
            Kind::Double => Value::Double(java_number::parse_double(text).ok_or_else(not_a_number)?),
            Kind::List => Value::List(java_number::list(text).into_iter().map(str::to_owned).collect()),
            Kind::Text | Kind::Class | Kind::Password => Value::Text(text.to_string()),
        })
    }

    /// Returns the value as Kafka prints it; `None` for [`Value::Null`].
    pub fn to_text(&self) -> Option<String> {
        Some(match self {
            Value::Null => return None,
            Value::Boolean(value) => value.to_string(),
            Value::Integer(value) => value.to_string(),
            Value::Double(value) => java::double(*value),
            Value::Text(value) => value.clone(),
            Value::List(items) => items.join(","),
        })
    }
}

/// A Rust type for a type of value.
pub trait FromValue: Sized {
    /// Converts the value; `None` if it has another type, which tests of the tables rule out.
    fn from_value(value: &Value) -> Option<Self>;
}

impl FromValue for bool {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Boolean(value) = value { Some(*value) } else { None }
    }
}

impl FromValue for i16 {
    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value)?.try_into().ok()
    }
}

impl FromValue for i32 {
    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value)?.try_into().ok()
    }
}

impl FromValue for i64 {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Integer(value) = value { Some(*value) } else { None }
    }
}

impl FromValue for f64 {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Double(value) = value { Some(*value) } else { None }
    }
}

impl FromValue for String {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::Text(value) = value { Some(value.clone()) } else { None }
    }
}

impl FromValue for Vec<String> {
    fn from_value(value: &Value) -> Option<Self> {
        if let Value::List(items) = value { Some(items.clone()) } else { None }
    }
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &Value) -> Option<Self> {
        if *value == Value::Null { Some(None) } else { T::from_value(value).map(Some) }
    }
}
