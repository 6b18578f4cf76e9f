//! `HOST:PORT`, the format of the addresses of Kafka's listeners.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address to listen on. The host is a name, an IP address (IPv6 in brackets), or empty for
/// every interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The host, without brackets; empty for every interface.
    pub host: String,
    /// The port; 0 for any free port.
    pub port: u16,
}

/// The error for a text that is not `HOST:PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it takes HOST:PORT, such as 127.0.0.1:{example_port} or :{example_port}")]
pub struct NotAnAddress {
    /// The port in the message's example: the text itself if it is a port, else a valid one.
    pub example_port: u16,
}

/// The default HTTP port in examples.
const HTTP_PORT: u16 = 9644;

impl Address {
    /// Parses an address. Errors: the text is not an address. The example in the message has the
    /// text as port if it is one, else `example_port`.
    pub fn parse_or(text: &str, example_port: u16) -> Result<Self, NotAnAddress> {
        let text = text.trim();
        let as_port = |text: &str| {
            // Rust accepts a sign in a number, but a port has none.
            let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
            digits.and_then(|text| text.parse().ok())
        };
        let address = split(text).and_then(|(host, port)| Some(Self { host: host.to_string(), port: as_port(port)? }));
        address.ok_or_else(|| NotAnAddress { example_port: as_port(text).unwrap_or(example_port) })
    }

    /// Whether clients cannot connect to the address itself, because it means every interface.
    pub fn is_every_interface(&self) -> bool {
        matches!(self.host.as_str(), "" | "0.0.0.0" | "::")
    }

    /// Whether the address leads every machine to itself.
    pub fn is_loopback(&self) -> bool {
        let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
        self.host.eq_ignore_ascii_case("localhost") || self.host.parse().is_ok_and(is_loopback)
    }
}

impl FromStr for Address {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        Self::parse_or(text, HTTP_PORT)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Splits into host and port. The host has no brackets and only characters that Kafka allows.
pub(super) fn split(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    let host = host.strip_prefix('[').unwrap_or(host);
    let host = host.strip_suffix(']').unwrap_or(host);
    let is_of_a_host = |character: char| character.is_ascii_alphanumeric() || "-%._:".contains(character);
    host.chars().all(is_of_a_host).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_may_be_names_numbers_or_nothing() {
        for (text, host, port, again) in [
            ("127.0.0.1:9644", "127.0.0.1", 9644, "127.0.0.1:9644"),
            ("localhost:0", "localhost", 0, "localhost:0"),
            (" box-1.example.org:80 ", "box-1.example.org", 80, "box-1.example.org:80"),
            (":9090", "", 9090, ":9090"),
            ("[::1]:9090", "::1", 9090, "[::1]:9090"),
            // Kafka accepts this too.
            ("::1:9090", "::1", 9090, "[::1]:9090"),
            ("[fe80::1%eth0]:1", "fe80::1%eth0", 1, "[fe80::1%eth0]:1"),
        ] {
            let address: Address = text.parse().expect(text);
            assert_eq!((address.host.as_str(), address.port), (host, port), "{text}");
            assert_eq!(address.to_string(), again);
        }
    }

    #[test]
    fn an_invalid_address_is_refused() {
        let fault = |text: &str| text.parse::<Address>().unwrap_err().to_string();
        assert_eq!(fault("19092"), "it takes HOST:PORT, such as 127.0.0.1:19092 or :19092");
        for text in ["", "localhost", "localhost:", "a b:1", "http://x:1", "x:65536", "x:-1", "x:+1", "x:1/"] {
            assert_eq!(fault(text), "it takes HOST:PORT, such as 127.0.0.1:9644 or :9644", "{text}");
        }
    }
}
