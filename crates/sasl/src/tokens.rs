//! Splits JAAS text as Java's `StreamTokenizer` does with the settings that Kafka and the JDK give
//! it.

use std::iter::Peekable;
use std::str::Chars;

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A word, or a text in quotes.
    Text(String),
    /// A number. Java gives no text for it.
    Number,
    /// Any other character.
    Other(char),
}

/// Reads tokens from a text.
pub(crate) struct Tokens<'a> {
    rest: Peekable<Chars<'a>>,
    line: usize,
}

impl<'a> Tokens<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { rest: text.chars().peekable(), line: 1 }
    }

    /// The line that the next character is on.
    pub(crate) fn line(&self) -> usize {
        self.line
    }

    fn take(&mut self) -> Option<char> {
        let next = self.rest.next();
        self.line += usize::from(next == Some('\n'));
        next
    }

    /// Takes the next token; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Token> {
        loop {
            let first = self.take()?;
            match first {
                '\0'..=' ' => {}
                '/' => self.skip_comment(),
                '"' | '\'' => return Some(Token::Text(self.quoted(first))),
                '0'..='9' | '.' => return Some(self.number(first)),
                '-' => {
                    // Java reads a dash as the sign of a number, and gives it back alone otherwise.
                    let is_number = self.rest.peek().is_some_and(|next| next.is_ascii_digit() || *next == '.');
                    return Some(if is_number { self.number('0') } else { Token::Other('-') });
                }
                first if is_alphabetic(first) => return Some(Token::Text(self.word(first))),
                other => return Some(Token::Other(other)),
            }
        }
    }

    /// Skips `/* ... */`, or the rest of a line: a single slash begins a comment too.
    fn skip_comment(&mut self) {
        if self.rest.next_if_eq(&'*').is_none() {
            while self.rest.next_if(|c| *c != '\n' && *c != '\r').is_some() {}
            return;
        }
        let mut last = ' ';
        while let Some(c) = self.take() {
            if last == '*' && c == '/' {
                return;
            }
            last = c;
        }
    }

    fn number(&mut self, first: char) -> Token {
        let mut has_dot = first == '.';
        while self
            .rest
            .next_if(|c| c.is_ascii_digit() || (*c == '.' && !std::mem::replace(&mut has_dot, true)))
            .is_some()
        {}
        Token::Number
    }

    fn word(&mut self, first: char) -> String {
        let mut word = String::from(first);
        while let Some(c) = self.rest.next_if(|c| is_alphabetic(*c) || c.is_ascii_digit() || *c == '.') {
            word.push(c);
        }
        word
    }

    /// Reads to the closing quote, or to the end of the line.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        while let Some(c) = self.rest.next_if(|c| *c != '\n' && *c != '\r') {
            if c == quote {
                break;
            }
            text.push(if c == '\\' { self.escaped() } else { c });
        }
        text
    }

    fn escaped(&mut self) -> char {
        match self.take() {
            Some('a') => '\u{7}',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('v') => '\u{b}',
            Some(digit @ '0'..='7') => {
                let mut code = digit as u32 - '0' as u32;
                let most = if digit <= '3' { 2 } else { 1 };
                for _ in 0..most {
                    match self.rest.next_if(|c| ('0'..='7').contains(c)) {
                        Some(digit) => code = code * 8 + (digit as u32 - '0' as u32),
                        None => break,
                    }
                }
                char::from_u32(code).unwrap_or('\u{fffd}')
            }
            Some(other) => other,
            // Java appends the end of the text as this character.
            None => '\u{ffff}',
        }
    }
}

fn is_alphabetic(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '-' | '_' | '$') || c >= '\u{a0}'
}
