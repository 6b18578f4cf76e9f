//! A client's connections: requests in fixed versions, each with a timeout. A pipeline has several
//! requests in flight.

use crate::net::{Host, Net};
use crate::time::HostClock;
use futures_util::future::BoxFuture;
use gregor::peer::Io;
use protocol::messages::request_header::RequestHeader;
use protocol::{ApiKey, Message, Reader, Str, decode_from, write_request};
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// How long a client waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// A client with a connection to each node that it needs.
pub struct Client {
    net: Net,
    host: Host,
    clock: HostClock,
    name: Str,
    connections: BTreeMap<Host, Box<dyn Io>>,
    correlation_id: i32,
}

impl Client {
    pub fn new(net: &Net, host: Host, clock: HostClock, name: &str) -> Self {
        Self { net: net.clone(), host, clock, name: name.into(), connections: BTreeMap::new(), correlation_id: 0 }
    }

    /// Sends a request to a node, and returns its answer. After an error it is not known whether
    /// the request was carried out.
    pub async fn call<A: Message, B: Message>(&mut self, to: Host, request: &A, version: i16) -> io::Result<B> {
        let answered = tokio::time::timeout(TIMEOUT, self.try_call(to, request, version)).await;
        let answered = answered.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        if answered.is_err() {
            self.connections.remove(&to);
        }
        answered
    }

    async fn try_call<A: Message, B: Message>(&mut self, to: Host, request: &A, version: i16) -> io::Result<B> {
        let mut stream = match self.connections.remove(&to) {
            Some(stream) => stream,
            None => self.dial(to).await?,
        };
        self.correlation_id += 1;
        send(&mut stream, (&self.name, self.correlation_id), request, version).await?;
        let response = receive(&mut stream, self.correlation_id, version).await?;
        self.connections.insert(to, stream);
        Ok(response)
    }

    fn dial(&self, to: Host) -> BoxFuture<'static, io::Result<Box<dyn Io>>> {
        (self.net.dial(self.host, self.clock))(&format!("n{to}"), 9092)
    }

    /// Opens a connection for several requests at once.
    pub async fn pipeline(&mut self, to: Host) -> io::Result<Pipeline> {
        let dialed = tokio::time::timeout(TIMEOUT, self.dial(to)).await;
        let stream = dialed.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(Pipeline { stream, name: self.name.clone(), sent: 0, received: 0 })
    }
}

/// A connection with requests in flight. After an error it is not known which of them were carried
/// out.
pub struct Pipeline {
    stream: Box<dyn Io>,
    name: Str,
    sent: i32,
    received: i32,
}

impl Pipeline {
    /// Sends a request.
    pub async fn send<A: Message>(&mut self, request: &A, version: i16) -> io::Result<()> {
        self.sent += 1;
        send(&mut self.stream, (&self.name, self.sent), request, version).await
    }

    /// Returns the answer to the oldest request in flight.
    pub async fn receive<B: Message>(&mut self, version: i16) -> io::Result<B> {
        self.received += 1;
        let received = tokio::time::timeout(TIMEOUT, receive(&mut self.stream, self.received, version)).await;
        received.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }
}

async fn send<A: Message>(
    stream: &mut Box<dyn Io>,
    (name, correlation_id): (&Str, i32),
    request: &A,
    version: i16,
) -> io::Result<()> {
    let header = RequestHeader {
        request_api_key: A::KEY,
        request_api_version: version,
        correlation_id,
        client_id: Some(name.clone()),
        ..Default::default()
    };
    let frame = write_request(&header, request).unwrap().into_bytes().unwrap();
    stream.write_all(&frame).await
}

async fn receive<B: Message>(stream: &mut Box<dyn Io>, correlation_id: i32, version: i16) -> io::Result<B> {
    let mut frame = vec![0; stream.read_u32().await? as usize];
    stream.read_exact(&mut frame).await?;
    let mut reader = Reader::new(frame.into());
    let key = ApiKey::from_code(B::KEY).unwrap();
    assert_eq!(reader.i32().unwrap(), correlation_id, "an answer to another request");
    if key.response_header_version(version) == 1 {
        assert_eq!(reader.unsigned_varint().unwrap(), 0);
    }
    let rest = reader.raw(reader.remaining()).unwrap();
    Ok(decode_from(rest, version).unwrap())
}
