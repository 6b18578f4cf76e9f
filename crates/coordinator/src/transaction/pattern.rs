//! Patterns of transactional ids, in the syntax of RE2, which Kafka uses.
//!
//! The crate that matches them has a syntax of its own. Where the same text means something else
//! there, it is rewritten. Classes of Unicode properties (`\p{L}`) are not supported.

use model::ErrorCode;
use regex_lite::Regex;
use std::iter::Peekable;
use std::str::Chars;

/// The largest count of a repetition in RE2.
const REPEAT_MAX: u32 = 1000;

/// Compiles a pattern that the whole text must match. It is compiled alone first: a parenthesis too
/// many must not close the group around it.
pub(crate) fn whole_text(pattern: &str) -> Result<Regex, ErrorCode> {
    let pattern = rewritten(pattern).ok_or(ErrorCode::InvalidRegularExpression)?;
    Regex::new(&pattern)
        .and_then(|_| Regex::new(&format!(r"\A(?:{pattern})\z")))
        .map_err(|_| ErrorCode::InvalidRegularExpression)
}

/// Rewrites a pattern. Returns `None` if RE2 refuses it and the other syntax would not.
fn rewritten(pattern: &str) -> Option<String> {
    let mut out = String::with_capacity(pattern.len());
    let mut rest = pattern.chars().peekable();
    let mut is_repeated = false;
    while let Some(letter) = rest.next() {
        let is_repetition = match letter {
            '\\' => escape(&mut rest, &mut out),
            '[' => class(&mut rest, &mut out),
            // The question mark of a group is no repetition.
            '(' => {
                out.push('(');
                out.extend(rest.next_if_eq(&'?'));
                false
            }
            '*' | '+' | '?' => {
                out.push(letter);
                true
            }
            '{' => counted(&mut rest, &mut out)?,
            '}' => {
                out.push_str(r"\}");
                false
            }
            other => {
                out.push(other);
                false
            }
        };
        if is_repetition {
            // RE2 refuses a repetition of a repetition.
            if is_repeated {
                return None;
            }
            out.extend(rest.next_if_eq(&'?'));
        }
        is_repeated = is_repetition;
    }
    Some(out)
}

/// Copies what follows a backslash. `\Q` begins a text that is meant literally, up to `\E`.
fn escape(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> bool {
    if rest.next_if_eq(&'Q').is_none() {
        out.push('\\');
        out.extend(rest.next());
        return false;
    }
    let mut literal = String::new();
    while let Some(letter) = rest.next() {
        if letter == '\\' && rest.next_if_eq(&'E').is_some() {
            break;
        }
        literal.push(letter);
    }
    out.push_str(&regex_lite::escape(&literal));
    false
}

/// Copies a class. In RE2 it has no classes inside but those of POSIX, and no set operators.
fn class(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> bool {
    out.push('[');
    out.extend(rest.next_if_eq(&'^'));
    if rest.next_if_eq(&']').is_some() {
        out.push_str(r"\]");
    }
    while let Some(letter) = rest.next() {
        match letter {
            ']' => {
                out.push(']');
                break;
            }
            '\\' => {
                out.push('\\');
                out.extend(rest.next());
            }
            '[' if rest.peek() == Some(&':') => posix_class(rest, out),
            '[' | '&' | '~' => out.extend(['\\', letter]),
            other => out.push(other),
        }
    }
    false
}

fn posix_class(rest: &mut Peekable<Chars<'_>>, out: &mut String) {
    out.push('[');
    while let Some(letter) = rest.next() {
        out.push(letter);
        if letter == ':' && rest.peek() == Some(&']') {
            out.extend(rest.next());
            return;
        }
    }
}

/// Copies a counted repetition. A brace that is none is meant literally. Returns `None` if a count
/// is too large.
fn counted(rest: &mut Peekable<Chars<'_>>, out: &mut String) -> Option<bool> {
    let text: String = rest.clone().take_while(|letter| *letter != '}').collect();
    let is_closed = rest.clone().nth(text.chars().count()) == Some('}');
    let (first, last) = text.split_once(',').unwrap_or((&text, ""));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_closed || !is_number(first) || !(last.is_empty() || is_number(last)) {
        out.push_str(r"\{");
        return Some(false);
    }
    for count in [first, last].into_iter().filter(|count| !count.is_empty()) {
        count.parse::<u32>().ok().filter(|count| *count <= REPEAT_MAX)?;
    }
    out.push('{');
    out.push_str(&text);
    out.push('}');
    rest.nth(text.chars().count());
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::whole_text;

    #[test]
    fn patterns_mean_what_they_mean_in_re2() {
        let rows = [
            (".*", "any", true),
            ("a", "ab", false),
            ("tx-[0-9]", "tx-7", true),
            ("(?i)TX", "tx", true),
            ("a{2}", "aa", true),
            ("a{2,}?", "aaa", true),
            ("a{1000}", "a", false),
            ("a{", "a{", true),
            ("a{x}", "a{x}", true),
            ("a{,2}", "a{,2}", true),
            ("a}", "a}", true),
            ("(a*)*", "aa", true),
            ("a*?b??", "aab", true),
            (r"\Qa.b*\Ec", "a.b*c", true),
            (r"\Qa.b", "axb", false),
            ("[a-z&&[^t]]x", "t]x", true),
            ("[a-z&&[^t]]x", "ax", false),
            ("[]a]", "]", true),
            ("[^]a]", "]", false),
            ("[[:alpha:]&]", "&", true),
            (r"[\]]", "]", true),
        ];
        for (pattern, text, matches) in rows {
            let compiled = whole_text(pattern).unwrap_or_else(|_| panic!("{pattern} is refused"));
            assert_eq!(compiled.is_match(text), matches, "{pattern} of {text}");
        }
    }

    #[test]
    fn patterns_that_re2_refuses_are_refused() {
        let rows =
            ["[", "(", "*", "\\", "a{2,1}", "a++", "a**", "a*??", "a{2}{3}", "x{1001}", "x{1,1001}", "(?=a)", "a)"];
        for pattern in rows {
            assert!(whole_text(pattern).is_err(), "{pattern}");
        }
    }
}
