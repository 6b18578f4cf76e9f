//! One of the two brokers: its connections, and the values that rows keep of its answers.

use bytes::Bytes;
use model::Uuid;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer takes that a row waits for.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);

/// What came back.
#[derive(Debug)]
pub enum Answer {
    /// A frame, without its length.
    Frame(Bytes),
    /// The connection was closed.
    Closed,
    /// Nothing in the time that an answer may take.
    Silence,
}

/// Where a broker listens.
#[derive(Clone, Copy, Debug)]
pub struct Listeners {
    /// To clients.
    pub broker: SocketAddr,
    /// To brokers, controllers and administrators.
    pub controller: SocketAddr,
}

/// One broker.
pub struct Side {
    /// As it is called in differences.
    pub name: &'static str,
    /// When the run began, the same for both sides, in milliseconds.
    pub now: i64,
    listeners: Listeners,
    on_controller: bool,
    connections: BTreeMap<u32, TcpStream>,
    values: BTreeMap<String, Value>,
}

impl Side {
    /// A side without connections.
    pub fn new(name: &'static str, listeners: Listeners, now: i64) -> Self {
        Self { name, now, listeners, on_controller: false, connections: BTreeMap::new(), values: BTreeMap::new() }
    }

    /// Closes all connections and opens the next ones to the controller's listener, or again to the broker's.
    pub fn turn(&mut self, to_controller: bool) {
        self.connections.clear();
        self.on_controller = to_controller;
    }

    /// Sends bytes on a connection, which is opened where it is not.
    pub fn send(&mut self, connection: u32, bytes: &[u8]) -> std::io::Result<()> {
        if !self.connections.contains_key(&connection) {
            let Listeners { broker, controller } = self.listeners;
            let stream = TcpStream::connect(if self.on_controller { controller } else { broker })?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            self.connections.insert(connection, stream);
        }
        let Some(stream) = self.connections.get_mut(&connection) else { return Ok(()) };
        match stream.write_all(bytes) {
            // A broker that has closed is seen when the answer is read.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
            other => other,
        }
    }

    /// The next answer on a connection.
    pub fn receive(&mut self, connection: u32) -> Answer {
        let Some(stream) = self.connections.get_mut(&connection) else { return Answer::Closed };
        let mut length = [0; 4];
        let answer = match stream.read_exact(&mut length) {
            Ok(()) => {
                let mut frame = vec![0; u32::from_be_bytes(length) as usize];
                match stream.read_exact(&mut frame) {
                    Ok(()) => return Answer::Frame(frame.into()),
                    Err(_) => Answer::Closed,
                }
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Answer::Silence,
            Err(_) => Answer::Closed,
        };
        self.connections.remove(&connection);
        answer
    }

    /// Closes a connection.
    pub fn close(&mut self, connection: u32) {
        self.connections.remove(&connection);
    }

    /// Keeps a value for later rows.
    pub fn keep(&mut self, name: &str, value: Value) {
        self.values.insert(name.into(), value);
    }

    /// A kept text; empty where there is none.
    pub fn text(&self, name: &str) -> &str {
        self.values.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// A kept number; -1 where there is none.
    pub fn int(&self, name: &str) -> i64 {
        self.values.get(name).and_then(Value::as_i64).unwrap_or(-1)
    }

    /// A kept id; zero where there is none.
    pub fn uuid(&self, name: &str) -> Uuid {
        self.text(name).parse().unwrap_or(Uuid::ZERO)
    }

    /// The id of a topic that `Run::topic` made.
    pub fn id(&self, topic: &str) -> Uuid {
        self.uuid(&format!("id of {topic}"))
    }

    /// Puts the name of a kept id in place of the id, so that what must be the same thing on both sides reads the same.
    pub fn named(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                for (name, kept) in &self.values {
                    if let Value::String(id) = kept
                        && id.len() >= 20
                        && text.contains(id.as_str())
                    {
                        *text = text.replace(id.as_str(), &format!("<{name}>"));
                    }
                }
                if text.contains(' ') {
                    *text = without_times(text);
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|element| self.named(element)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.named(field)),
            _ => {}
        }
    }
}

/// A message with `<time>` in place of each number that is one: of thirteen digits, for milliseconds of this age.
fn without_times(text: &str) -> String {
    let mut out = String::new();
    let mut digits = String::new();
    for letter in text.chars().chain(['\0']) {
        if letter.is_ascii_digit() {
            digits.push(letter);
            continue;
        }
        out.push_str(if digits.len() == 13 { "<time>" } else { &digits });
        digits.clear();
        if letter != '\0' {
            out.push(letter);
        }
    }
    out
}
