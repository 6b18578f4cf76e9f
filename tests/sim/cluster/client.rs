//! A client's connections: requests in fixed versions, each with a timeout.

use crate::net::{Host, Net};
use crate::time::HostClock;
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
            None => (self.net.dial(self.host, self.clock))(&format!("n{to}"), 9092).await?,
        };
        self.correlation_id += 1;
        let header = RequestHeader {
            request_api_key: A::KEY,
            request_api_version: version,
            correlation_id: self.correlation_id,
            client_id: Some(self.name.clone()),
            ..Default::default()
        };
        let frame = write_request(&header, request).unwrap().into_bytes().unwrap();
        stream.write_all(&frame).await?;
        let mut frame = vec![0; stream.read_u32().await? as usize];
        stream.read_exact(&mut frame).await?;
        let mut reader = Reader::new(frame.into());
        let key = ApiKey::from_code(B::KEY).unwrap();
        assert_eq!(reader.i32().unwrap(), self.correlation_id, "an answer to another request");
        if key.response_header_version(version) == 1 {
            assert_eq!(reader.unsigned_varint().unwrap(), 0);
        }
        let rest = reader.raw(reader.remaining()).unwrap();
        let response = decode_from(rest, version).unwrap();
        self.connections.insert(to, stream);
        Ok(response)
    }
}
