//! Compares two answers field by field.

use crate::allowed::{self, Allowed};
use serde_json::Value;
use std::collections::BTreeSet;

/// Returns where two answers of an API differ without being allowed to.
pub fn differences(api: &str, kafka: &Value, other: &Value) -> Vec<String> {
    let (mut a, mut b) = (kafka.clone(), other.clone());
    sort(api, "", &mut a);
    sort(api, "", &mut b);
    let mut found = Vec::new();
    walk(api, "", "", &a, &b, &mut found);
    found
}

/// Sorts the lists whose order has no meaning.
fn sort(api: &str, path: &str, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                sort(api, &path, field);
            }
        }
        Value::Array(list) => {
            let path = format!("{path}[]");
            list.iter_mut().for_each(|element| sort(api, &path, element));
            if let Some(key) = allowed::order(api, &path) {
                list.sort_by_key(|element| key.iter().map(|name| shown(&element[name])).collect::<Vec<_>>());
            }
        }
        _ => {}
    }
}

fn shown(value: &Value) -> String {
    value.as_i64().map_or_else(|| value.to_string(), |number| format!("{:020}", number.wrapping_add(1 << 40)))
}

/// `path` is the field of the schema, `at` the position in this answer.
fn walk(api: &str, path: &str, at: &str, a: &Value, b: &Value, found: &mut Vec<String>) {
    let rule = allowed::rule(api, path);
    if rule == Some(Allowed::Anything) {
        return;
    }
    match (a, b) {
        (Value::Object(x), Value::Object(y)) => {
            for name in x.keys().chain(y.keys()).collect::<BTreeSet<_>>() {
                let join = |base: &str| if base.is_empty() { name.clone() } else { format!("{base}.{name}") };
                match (x.get(name), y.get(name)) {
                    (Some(x), Some(y)) => walk(api, &join(path), &join(at), x, y, found),
                    _ if allowed::rule(api, &join(path)) == Some(Allowed::Anything) => {}
                    (x, y) => {
                        let shown = |one: Option<&Value>| one.map_or("absent".into(), brief);
                        found.push(format!("{}: {} / {}", join(at), shown(x), shown(y)));
                    }
                }
            }
        }
        (Value::Array(x), Value::Array(y)) if x.len() == y.len() => {
            for (i, (x, y)) in x.iter().zip(y).enumerate() {
                walk(api, &format!("{path}[]"), &format!("{at}[{i}]"), x, y, found);
            }
        }
        _ if a == b => {}
        (Value::Array(x), Value::Array(y)) => {
            let first = x.iter().zip(y).take_while(|(x, y)| x == y).count();
            let shown = |list: &[Value]| list.get(first).map_or("nothing".into(), brief);
            let (lengths, first_x, first_y) = (format!("{} / {} elements", x.len(), y.len()), shown(x), shown(y));
            found.push(format!("{at}: {lengths}, [{first}]: {first_x} / {first_y}"));
        }
        _ if rule == Some(Allowed::Another) && is_none(a) == is_none(b) => {}
        _ => found.push(format!("{at}: {} / {}", brief(a), brief(b))),
    }
}

/// Returns whether a value stands for an absent one.
fn is_none(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Number(number) => number.as_i64() == Some(-1),
        Value::String(text) => text.is_empty() || text == "AAAAAAAAAAAAAAAAAAAAAA",
        _ => false,
    }
}

fn brief(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() > 700 { text.chars().take(700).chain("...".chars()).collect() } else { text }
}
