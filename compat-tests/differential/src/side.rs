//! One of the two brokers: its connections, and the values that rows keep from its answers.

use bytes::Bytes;
use model::Uuid;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Longer than any answer for which a row waits.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(6);

/// What the names of kept producer ids begin with.
pub const PRODUCER: &str = "producer of ";

/// Connections from this number on are not those of rows.
pub const FIRST_OWN_CONNECTION: u32 = 97;

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// The result of waiting for an answer.
#[derive(Debug)]
pub enum Answer {
    /// A frame, without its length.
    Frame(Bytes),
    /// The connection was closed.
    Closed,
    /// No answer within the timeout.
    Silence,
}

/// The addresses of a broker.
#[derive(Clone, Copy, Debug)]
pub struct Listeners {
    /// For clients.
    pub broker: SocketAddr,
    /// For brokers, controllers and administrators.
    pub controller: SocketAddr,
}

/// Connects, from an address of this machine if one is given.
fn connect(source: Option<IpAddr>, to: SocketAddr) -> std::io::Result<TcpStream> {
    let Some(source) = source else { return TcpStream::connect(to) };
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    socket.connect(&to.into())?;
    Ok(socket.into())
}

/// One broker.
pub struct Side {
    /// The name in printed differences.
    pub name: &'static str,
    /// The start of the run, the same for both sides, in milliseconds.
    pub now: i64,
    listeners: Listeners,
    source: Option<IpAddr>,
    on_controller: bool,
    connections: BTreeMap<u32, TcpStream>,
    values: BTreeMap<String, Value>,
}

impl Side {
    /// Creates a side without connections.
    pub fn new(name: &'static str, listeners: Listeners, source: Option<IpAddr>, now: i64) -> Self {
        let (connections, values) = Default::default();
        Self { name, now, listeners, source, on_controller: false, connections, values }
    }

    /// Whether rows are sent by a client that may not do everything.
    pub fn is_restricted(&self) -> bool {
        self.source.is_some_and(|source| source != IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    /// Closes all connections. Opens the next ones to the controller's listener, or to the broker's
    /// again.
    pub fn turn(&mut self, to_controller: bool) {
        self.connections.clear();
        self.on_controller = to_controller;
    }

    /// Sends bytes on a connection. Opens the connection if necessary.
    pub fn send(&mut self, connection: u32, bytes: &[u8]) -> std::io::Result<()> {
        if !self.connections.contains_key(&connection) {
            let Listeners { broker, controller } = self.listeners;
            // What is prepared for rows is prepared by a client that may do it.
            let source = self.source.filter(|_| connection < FIRST_OWN_CONNECTION);
            let stream = connect(source, if self.on_controller { controller } else { broker })?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            self.connections.insert(connection, stream);
        }
        let Some(stream) = self.connections.get_mut(&connection) else { return Ok(()) };
        match stream.write_all(bytes) {
            // If the broker closed the connection, `receive` will see it.
            Err(error) if matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => Ok(()),
            other => other,
        }
    }

    /// Returns the next answer on a connection.
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

    /// Returns a kept text, or an empty one if there is none.
    pub fn text(&self, name: &str) -> &str {
        self.values.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    /// Returns a kept number, or -1 if there is none.
    pub fn int(&self, name: &str) -> i64 {
        self.values.get(name).and_then(Value::as_i64).unwrap_or(-1)
    }

    /// Returns a kept id, or zero if there is none.
    pub fn uuid(&self, name: &str) -> Uuid {
        self.text(name).parse().unwrap_or(Uuid::ZERO)
    }

    /// Returns the id of a topic that `Run::topic` created.
    pub fn id(&self, topic: &str) -> Uuid {
        self.uuid(&format!("id of {topic}"))
    }

    /// Replaces the kept id of a producer by its name, and a time after the start of the run by
    /// `<time>`, because the rows themselves send no such time.
    fn named_number(&self, field: &str, number: i64) -> Value {
        let is_kept = |value: &Value| number >= 0 && value.as_i64() == Some(number);
        let mut producers = self.values.iter().filter(|(name, _)| name.starts_with(PRODUCER));
        match producers.find(|(_, value)| field == "producerId" && is_kept(value)) {
            Some((name, _)) => format!("<{name}>").into(),
            None if is_time(field) && (self.now + 1..self.now + DAY_MS).contains(&number) => "<time>".into(),
            None => number.into(),
        }
    }

    /// Replaces a kept id by its name, so that the same thing looks the same on both sides.
    pub fn named(&self, value: &mut Value) {
        match value {
            // Kafka names the Java object of the request, which has no meaning.
            Value::String(text) if text.starts_with("Request Request(") => {
                *text = "Cluster authorization failed.".into();
            }
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
            Value::Object(fields) => {
                for (name, field) in fields {
                    match field.as_i64() {
                        Some(number) => *field = self.named_number(name, number),
                        None => self.named(field),
                    }
                }
            }
            _ => {}
        }
    }
}

/// Returns whether a field of this name holds a time.
fn is_time(field: &str) -> bool {
    field.ends_with("imestamp") || field.ends_with("TimeMs")
}

/// Replaces each timestamp in a message by `<time>`: each number of thirteen digits, which is
/// milliseconds of this era.
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
