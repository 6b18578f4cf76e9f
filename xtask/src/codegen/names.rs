//! Converts the names of the schemas to Rust names.

/// Converts `LogAppendTimeMs` to `log_append_time_ms`.
pub fn snake(name: &str) -> String {
    let name = name.replace("KRaft", "Kraft").replace("IDs", "Ids");
    let letters: Vec<char> = name.chars().collect();
    let mut out = String::new();
    for (i, c) in letters.iter().enumerate() {
        if c.is_uppercase() && i > 0 {
            let after_lower = letters[i - 1].is_lowercase() || letters[i - 1].is_ascii_digit();
            let before_lower = letters.get(i + 1).is_some_and(|next| next.is_lowercase());
            if after_lower || before_lower {
                out.push('_');
            }
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// Returns the identifier of a field. Rust's keywords are escaped.
pub fn field(name: &str) -> String {
    let name = snake(name);
    match name.as_str() {
        "type" | "match" | "ref" | "use" | "static" | "loop" => format!("r#{name}"),
        _ => name,
    }
}

/// Returns the JSON name: the first letter is lower case.
pub fn json(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}
