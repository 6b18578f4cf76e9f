//! Patterns of transactional ids, in the syntax of RE2, which Kafka uses.
//!
//! The crate that matches them has a syntax of its own. Where the same text means something else
//! there, it is rewritten.

use model::ErrorCode;
use regex::bytes::Regex;
use std::iter::Peekable;
use std::str::Chars;

/// The largest count of a repetition in RE2.
const REPEAT_MAX: u32 = 1000;

/// The general categories that RE2 knows.
const CATEGORIES: [&str; 36] = [
    "C", "Cc", "Cf", "Co", "Cs", "L", "Ll", "Lm", "Lo", "Lt", "Lu", "M", "Mc", "Me", "Mn", "N", "Nd", "Nl", "No", "P",
    "Pc", "Pd", "Pe", "Pf", "Pi", "Po", "Ps", "S", "Sc", "Sk", "Sm", "So", "Z", "Zl", "Zp", "Zs",
];
/// The scripts whose names have four letters. Other names of four letters are abbreviations, which
/// RE2 does not know.
const SCRIPTS_OF_FOUR_LETTERS: [&str; 6] = ["Ahom", "Cham", "Lisu", "Modi", "Newa", "Thai"];

/// The classes of POSIX that RE2 knows.
const POSIX_CLASSES: [&str; 14] = [
    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space", "upper", "word",
    "xdigit",
];

type Rest<'a> = Peekable<Chars<'a>>;

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
            '\\' => escape(&mut rest, &mut out)?,
            '[' => class(&mut rest, &mut out)?,
            '(' => group(&mut rest, &mut out)?,
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

/// Copies the beginning of a group. Its question mark is no repetition.
fn group(rest: &mut Rest<'_>, out: &mut String) -> Option<bool> {
    out.push('(');
    if rest.next_if_eq(&'?').is_none() {
        return Some(false);
    }
    out.push('?');
    for letter in rest.by_ref() {
        out.push(letter);
        match letter {
            ':' | ')' | '<' | 'P' => break,
            'i' | 'm' | 's' | 'U' | '-' => {}
            _ => return None,
        }
    }
    Some(false)
}

/// Copies what follows a backslash. `\Q` begins a text that is meant literally, up to `\E`.
fn escape(rest: &mut Rest<'_>, out: &mut String) -> Option<bool> {
    match rest.peek()? {
        'Q' => {
            rest.next();
            let mut literal = String::new();
            while let Some(letter) = rest.next() {
                if letter == '\\' && rest.next_if_eq(&'E').is_some() {
                    break;
                }
                literal.push(letter);
            }
            out.push_str(&regex::escape(&literal));
        }
        'A' | 'z' => {
            out.push('\\');
            out.extend(rest.next());
        }
        // Words of RE2 have letters of ASCII alone.
        'b' | 'B' => {
            out.push_str(r"(?-u:\");
            out.extend(rest.next());
            out.push(')');
        }
        _ => escaped_letters(rest, out)?,
    }
    Some(false)
}

/// Copies an escape that stands for a letter or a class of letters.
fn escaped_letters(rest: &mut Rest<'_>, out: &mut String) -> Option<()> {
    match rest.next()? {
        'd' => out.push_str("[0-9]"),
        'D' => out.push_str("[^0-9]"),
        's' => out.push_str(r"[\t\n\f\r ]"),
        'S' => out.push_str(r"[^\t\n\f\r ]"),
        'w' => out.push_str("[0-9A-Za-z_]"),
        'W' => out.push_str("[^0-9A-Za-z_]"),
        'p' => property(rest, out, false)?,
        'P' => property(rest, out, true)?,
        letter @ ('a' | 'f' | 'n' | 'r' | 't' | 'v' | 'x') => out.extend(['\\', letter]),
        digit @ '0'..='7' => octal(digit, rest, out)?,
        letter if !letter.is_ascii_alphanumeric() => {
            out.push_str(&format!(r"\x{{{:x}}}", u32::from(letter)));
        }
        _ => return None,
    }
    Some(())
}

/// Rewrites a letter given by up to three octal digits. A single digit other than zero would refer
/// to a group, which RE2 does not do.
fn octal(first: char, rest: &mut Rest<'_>, out: &mut String) -> Option<()> {
    let mut value = first.to_digit(8)?;
    if first != '0' && !rest.peek().is_some_and(|next| next.is_digit(8)) {
        return None;
    }
    for _ in 0..2 {
        let Some(digit) = rest.next_if(|next| next.is_digit(8)) else { break };
        value = value * 8 + digit.to_digit(8)?;
    }
    out.push_str(&format!(r"\x{{{value:x}}}"));
    Some(())
}

/// Rewrites a class of a Unicode property: a general category or a script.
fn property(rest: &mut Rest<'_>, out: &mut String, is_negated: bool) -> Option<()> {
    let mut name = String::new();
    if rest.next_if_eq(&'{').is_some() {
        loop {
            match rest.next()? {
                '}' => break,
                letter => name.push(letter),
            }
        }
    } else {
        name.push(rest.next()?);
    }
    let (name, is_negated) = match name.strip_prefix('^') {
        Some(name) => (name, !is_negated),
        None => (name.as_str(), is_negated),
    };
    let is_capitalized = name.starts_with(|it: char| it.is_ascii_uppercase())
        && name[1..].starts_with(|it: char| it.is_ascii_lowercase())
        && name.bytes().all(|it| it.is_ascii_alphabetic() || it == b'_');
    let is_script = is_capitalized && (name.len() != 4 || SCRIPTS_OF_FOUR_LETTERS.contains(&name));
    let class = match name {
        "Any" => r"\x{0}-\x{10ffff}".to_owned(),
        // A text has no surrogates, and RE2 counts no unassigned letter among the others.
        "Cs" => String::new(),
        "C" => r"\p{Cc}\p{Cf}\p{Co}".to_owned(),
        name if CATEGORIES.contains(&name) => format!(r"\p{{gc={name}}}"),
        name if is_script => format!(r"\p{{sc={name}}}"),
        _ => return None,
    };
    let is_everything = class.is_empty() == is_negated;
    match (class.is_empty(), is_negated) {
        (true, _) if is_everything => out.push_str(r"[\x{0}-\x{10ffff}]"),
        (true, _) => out.push_str(r"[^\x{0}-\x{10ffff}]"),
        (false, false) => out.push_str(&format!("[{class}]")),
        (false, true) => out.push_str(&format!("[^{class}]")),
    }
    Some(())
}

/// Copies a class. In RE2 it has no classes inside but those of POSIX, and no set operators.
fn class(rest: &mut Rest<'_>, out: &mut String) -> Option<bool> {
    out.push('[');
    out.extend(rest.next_if_eq(&'^'));
    if rest.next_if_eq(&']').is_some() {
        out.push_str(r"\]");
    }
    while let Some(letter) = rest.next() {
        match letter {
            ']' => {
                out.push(']');
                return Some(false);
            }
            '\\' => escaped_letters(rest, out)?,
            '[' if rest.peek() == Some(&':') => posix_class(rest, out)?,
            '[' | '&' | '~' => out.extend(['\\', letter]),
            other => out.push(other),
        }
    }
    None
}

/// Copies a class of POSIX. Without its end, the bracket is meant literally. Returns `None` if RE2
/// knows no class of that name.
fn posix_class(rest: &mut Rest<'_>, out: &mut String) -> Option<()> {
    // From its first colon on.
    let text: String = rest.clone().collect();
    let Some((name, _)) = text.split_once(":]") else {
        out.push_str(r"\[");
        return Some(());
    };
    let name = name.strip_prefix(':')?;
    POSIX_CLASSES.contains(&name.strip_prefix('^').unwrap_or(name)).then_some(())?;
    out.push_str(&format!("[:{name}:]"));
    rest.nth(name.chars().count() + 2);
    Some(())
}

/// Copies a counted repetition. A brace that is none is meant literally. Returns `None` if a count
/// is too large.
fn counted(rest: &mut Rest<'_>, out: &mut String) -> Option<bool> {
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
            ("[[:^alpha:]]", "1", true),
            ("[[:alpha]", "[", true),
            ("[[:alpha:]1]+", "a1", true),
            ("\\\u{e4}", "\u{e4}", true),
            (r"\d+\D", "12x", true),
            (r"\d", "\u{663}", false),
            (r"[\d-]+", "1-2", true),
            (r"[^\W]+", "a_1", true),
            (r"\w", "\u{e4}", false),
            (r"a\sb", "a b", true),
            (r"a\bb", "ab", false),
            (r"a\B\.?b", "ab", true),
            (r"\<a\>", "<a>", true),
            (r"\101\x42\x{43}\0", "ABC\0", true),
            (r"\p{L}+", "\u{e4}b", true),
            (r"\pL\PL", "a1", true),
            (r"\p{Greek}", "\u{3b1}", true),
            (r"[\p{Greek}x]+", "\u{3b1}x", true),
            (r"\p{^Greek}", "a", true),
            (r"\P{^Lu}", "A", true),
            (r"\p{Any}", "a", true),
            (r"\P{Any}", "a", false),
            (r"\p{Cs}", "a", false),
            (r"\P{Cs}", "a", true),
            (r"[\p{Cs}b]", "b", true),
            (r"\p{C}", "\t", true),
            ("(?i)\u{c4}", "\u{e4}", true),
            ("(?i:A)(?s-i:.)", "a\n", true),
            ("t.", "t\u{e4}", true),
        ];
        for (pattern, text, matches) in rows {
            let compiled = whole_text(pattern).unwrap_or_else(|_| panic!("{pattern} is refused"));
            assert_eq!(compiled.is_match(text.as_bytes()), matches, "{pattern} of {text}");
        }
    }

    #[test]
    fn patterns_that_re2_refuses_are_refused() {
        let rows = [
            "[",
            "(",
            "*",
            "\\",
            "a{2,1}",
            "a++",
            "a**",
            "a*??",
            "a{2}{3}",
            "x{1001}",
            "x{1,1001}",
            "(?=a)",
            "a)",
            "(?x)a",
            "(?u)a",
            r"\Z",
            r"\u0041",
            r"\h",
            r"\1",
            r"\p{Letter}",
            r"\p{Grek}",
            r"\p{greek}",
            r"\p{Alpha}",
            r"\p{L",
            r"\p",
            "[[:letter:]]",
            "[[:^:]]",
            r"[\b]",
            r"[\A]",
            "[a",
        ];
        for pattern in rows {
            assert!(whole_text(pattern).is_err(), "{pattern}");
        }
    }
}
