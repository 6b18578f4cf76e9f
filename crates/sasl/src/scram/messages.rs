//! The messages of SCRAM (RFC 5802, section 7), with the syntax that Kafka accepts.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// The client's first message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFirst<'a> {
    /// Whom the client asks to act as; empty for itself.
    pub(super) authorization_id: &'a str,
    pub(super) user: String,
    pub(super) nonce: &'a str,
    /// Whether the user is the id of a delegation token (`tokenauth=true`).
    pub(super) is_token: bool,
    /// The message without the header of channel binding.
    pub(super) bare: &'a str,
}

/// The client's final message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ClientFinal<'a> {
    pub(super) nonce: &'a str,
    pub(super) proof: Vec<u8>,
    /// The message up to the nonce, as Kafka signs it.
    pub(super) without_proof: String,
}

/// The server's first message.
pub(crate) struct ServerFirst<'a> {
    pub(crate) nonce: &'a str,
    pub(crate) salt: Vec<u8>,
    pub(crate) iterations: i32,
}

/// Reads a message of ASCII letters without NUL.
fn text(message: &[u8]) -> Option<&str> {
    std::str::from_utf8(message).ok().filter(|text| text.bytes().all(|byte| (0x01..=0x7f).contains(&byte)))
}

fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| (0x21..=0x7e).contains(&byte) && byte != b',')
}

/// Whether an attribute is an extension: letters, an equals sign, and a value.
fn extension(attribute: &str) -> Option<(&str, &str)> {
    let (name, value) = attribute.split_once('=')?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic());
    (is_name && !value.is_empty()).then_some((name, value))
}

/// Replaces `=2C` and `=3D`. `None` for a name that is empty or has other equals signs.
fn unescape(name: &str) -> Option<String> {
    if name.is_empty() {
        return None;
    }
    let mut pieces = name.split('=');
    let mut plain = pieces.next().unwrap_or_default().to_string();
    for piece in pieces {
        let (code, rest) = piece.split_at_checked(2)?;
        plain.push(match code {
            "2C" => ',',
            "3D" => '=',
            _ => return None,
        });
        plain.push_str(rest);
    }
    Some(plain)
}

/// Writes a name as messages have it.
pub(crate) fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

impl<'a> ClientFirst<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let (authorization, bare) = text(message)?.strip_prefix("n,")?.split_once(',')?;
        let authorization_id = match authorization {
            "" => "",
            named => named.strip_prefix("a=").filter(|name| unescape(name).is_some())?,
        };
        let mut attributes = bare.split(',');
        let user = unescape(attributes.next()?.strip_prefix("n=")?)?;
        let nonce = attributes.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
        let mut is_token = false;
        for attribute in attributes {
            let (name, value) = extension(attribute)?;
            is_token |= name == "tokenauth" && value.eq_ignore_ascii_case("true");
        }
        Some(Self { authorization_id, user, nonce, is_token, bare })
    }
}

impl<'a> ClientFinal<'a> {
    pub(super) fn parse(message: &'a [u8]) -> Option<Self> {
        let mut attributes = text(message)?.split(',');
        let binding = attributes.next()?.strip_prefix("c=")?;
        BASE64_STANDARD.decode(binding).ok()?;
        let nonce = attributes.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
        let mut proof = None;
        for attribute in attributes {
            if proof.is_some() {
                return None;
            }
            match attribute.strip_prefix("p=").and_then(|proof| BASE64_STANDARD.decode(proof).ok()) {
                Some(bytes) => proof = Some(bytes),
                None => _ = extension(attribute)?,
            }
        }
        Some(Self { nonce, proof: proof?, without_proof: format!("c={binding},r={nonce}") })
    }
}

impl<'a> ServerFirst<'a> {
    pub(crate) fn parse(message: &'a [u8]) -> Option<Self> {
        let mut attributes = text(message)?.split(',');
        let nonce = attributes.next()?.strip_prefix("r=").filter(|nonce| is_nonce(nonce))?;
        let salt = BASE64_STANDARD.decode(attributes.next()?.strip_prefix("s=")?).ok()?;
        let iterations = attributes.next()?.strip_prefix("i=")?.parse().ok()?;
        Some(Self { nonce, salt, iterations })
    }

    pub(super) fn text(&self) -> String {
        format!("r={},s={},i={}", self.nonce, BASE64_STANDARD.encode(&self.salt), self.iterations)
    }
}

/// Returns the server's signature in its final message. Errors: what the server says instead.
pub(crate) fn server_final(message: &[u8]) -> Result<Vec<u8>, String> {
    let text = text(message).unwrap_or_default();
    if let Some(error) = text.strip_prefix("e=") {
        return Err(error.to_string());
    }
    let signature = text.strip_prefix("v=").and_then(|text| BASE64_STANDARD.decode(text.split(',').next()?).ok());
    signature.ok_or_else(|| "its final message is no message of SCRAM".into())
}
