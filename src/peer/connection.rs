//! The task of one connection: it connects, asks which versions the peer serves, sends requests in
//! their order, and matches the answers to them.
//!
//! A request waits in `waiting` until it is written, and then in `in_flight` until its answer. The
//! answers come in the order of the requests, as Kafka's protocol says. A request whose time is
//! over while it waits fails alone. One that is over in flight ends the connection, as in Kafka: a
//! peer that does not answer it answers nothing behind it either.

use super::requests::{self, PeerRequest};
use super::{Dial, IN_FLIGHT_MAX, Io, PeerFailure, PeerParts, RESPONSE_BYTES_MAX, unwritable};
use crate::env::clock::deadline_in;
use bytes::{Buf, Bytes, BytesMut};
use protocol::messages::api_versions_request::ApiVersionsRequest;
use protocol::messages::request_header::RequestHeader;
use protocol::{ApiKey, EncodeError, Reader};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

/// How long connecting may take, with the answer about the versions.
/// `socket.connection.setup.timeout.ms`
const SETUP_MAX: Duration = Duration::from_secs(10);
/// The name under which this node's software is known to the peer (KIP-511).
const SOFTWARE: &str = "gregor";
/// The size of the length field before a frame.
const LENGTH_BYTES: usize = 4;
/// The minimum size of one read in bytes.
const READ_BYTES: usize = 4 * 1024;
/// Memory that a response gets before its bytes arrive.
const AHEAD_BYTES: usize = 1024 * 1024;

/// Writes a request's frame with this header.
type Write = Box<dyn FnOnce(&RequestHeader) -> Result<Bytes, EncodeError> + Send>;
/// Takes the body of the response and its version, or the failure. Returns whether the body was a
/// response.
type Complete = Box<dyn FnOnce(Result<(Bytes, i16), PeerFailure>) -> bool + Send>;

/// A request that is not sent yet.
pub(super) struct Outgoing {
    pub(super) key: ApiKey,
    pub(super) versions: (i16, i16),
    pub(super) response_bytes_max: usize,
    pub(super) deadline: Instant,
    pub(super) write: Write,
    pub(super) complete: Complete,
}

impl Outgoing {
    /// Answers it with a failure.
    pub(super) fn fail(self, reason: PeerFailure) {
        (self.complete)(Err(reason));
    }
}

/// A request that was sent.
struct InFlight {
    correlation_id: i32,
    key: ApiKey,
    version: i16,
    response_bytes_max: usize,
    deadline: Instant,
    complete: Complete,
}

/// The versions that the peer serves.
#[derive(Default)]
struct Served(Vec<(i16, i16, i16)>);

impl Served {
    /// Returns the newest version that both sides know.
    fn newest(&self, key: ApiKey, (oldest, newest): (i16, i16)) -> Option<i16> {
        let (_, min, max) = self.0.iter().find(|(served, ..)| *served == key as i16)?;
        let version = newest.min(*max);
        (version >= oldest.max(*min)).then_some(version)
    }
}

/// The state of one connection's task.
pub(super) struct Connection {
    parts: PeerParts,
    dial: Dial,
    requests: Receiver<Outgoing>,
    /// Requests that are not written yet, the oldest first.
    waiting: VecDeque<Outgoing>,
    in_flight: VecDeque<InFlight>,
    next_correlation_id: i32,
}

/// The handle of this connection was dropped: nobody sends any more.
struct Abandoned;

impl Connection {
    pub(super) fn new(parts: PeerParts, dial: Dial, requests: Receiver<Outgoing>) -> Self {
        Self { parts, dial, requests, waiting: VecDeque::new(), in_flight: VecDeque::new(), next_correlation_id: 0 }
    }

    /// Runs until the last handle is dropped.
    pub(super) async fn run(mut self) {
        let mut attempts = 0;
        let mut not_before = deadline_in(Duration::ZERO);
        loop {
            if self.waiting.is_empty() {
                let Some(first) = self.requests.recv().await else { break };
                self.waiting.push_back(first);
            }
            if self.attend(sleep_until(not_before)).await.is_err() {
                break;
            }
            if self.waiting.is_empty() {
                continue;
            }
            let failure = match self.set_up().await {
                Err(Abandoned) => break,
                Ok(Err(failure)) => {
                    attempts += 1;
                    self.fail_waiting(&failure);
                    failure
                }
                Ok(Ok((wire, served))) => {
                    attempts = 0;
                    match self.exchange(wire, &served).await {
                        Err(Abandoned) => break,
                        Ok(failure) => failure,
                    }
                }
            };
            debug!(peer = %self.parts.name, host = %self.parts.host, port = self.parts.port, %failure, "a connection to another node ended");
            self.fail_in_flight(&failure);
            not_before = deadline_in(self.backoff(attempts));
        }
        self.fail_waiting(&PeerFailure::Stopped);
        self.fail_in_flight(&PeerFailure::Stopped);
    }

    fn backoff(&self, attempts: u32) -> Duration {
        let doubled = 2u32.saturating_pow(attempts.saturating_sub(1).min(16));
        self.parts.backoff.saturating_mul(doubled).min(self.parts.backoff_max)
    }

    fn fail_waiting(&mut self, reason: &PeerFailure) {
        while let Ok(request) = self.requests.try_recv() {
            self.waiting.push_back(request);
        }
        self.waiting.drain(..).for_each(|request| request.fail(reason.clone()));
    }

    fn fail_in_flight(&mut self, reason: &PeerFailure) {
        for request in self.in_flight.drain(..) {
            (request.complete)(Err(reason.clone()));
        }
    }

    /// Does `work` while requests gather, and fails those whose time is over.
    async fn attend<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Abandoned> {
        tokio::pin!(work);
        loop {
            let expiry = self.waiting.iter().map(|request| request.deadline).min();
            tokio::select! {
                biased;
                done = &mut work => return Ok(done),
                () = at(expiry) => self.expire_waiting(),
                request = self.requests.recv(), if self.waiting.len() < IN_FLIGHT_MAX => {
                    self.waiting.push_back(request.ok_or(Abandoned)?);
                }
            }
        }
    }

    fn expire_waiting(&mut self) {
        let now = deadline_in(Duration::ZERO);
        for _ in 0..self.waiting.len() {
            let Some(request) = self.waiting.pop_front() else { break };
            if request.deadline <= now {
                let key = request.key.name();
                request.fail(PeerFailure::TimedOut(key));
            } else {
                self.waiting.push_back(request);
            }
        }
    }

    /// Connects, and asks for the versions that the peer serves.
    async fn set_up(&mut self) -> Result<Result<(Wire, Served), PeerFailure>, Abandoned> {
        let dialled = (self.dial)(&self.parts.host, self.parts.port);
        // Every release that this node speaks to knows the oldest version that it sends.
        let header = self.header(ApiKey::ApiVersions, ApiVersionsRequest::VERSIONS.0);
        let work = async {
            let stream = dialled.await.map_err(|error| PeerFailure::Unreachable(error.to_string()))?;
            let mut wire = Wire::new(stream);
            let served = negotiate(&mut wire, &header).await?;
            Ok((wire, served))
        };
        let timed = tokio::time::timeout(SETUP_MAX, work);
        let over = |_| Err(PeerFailure::Unreachable("the connection was not ready in time".into()));
        Ok(self.attend(timed).await?.unwrap_or_else(over))
    }

    fn header(&mut self, key: ApiKey, version: i16) -> RequestHeader {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1) & i32::MAX;
        RequestHeader {
            request_api_key: key as i16,
            request_api_version: version,
            correlation_id,
            client_id: Some(self.parts.client_id.clone()),
            ..Default::default()
        }
    }

    /// Sends requests and takes answers until the connection ends. Returns why it ended.
    async fn exchange(&mut self, mut wire: Wire, served: &Served) -> Result<PeerFailure, Abandoned> {
        loop {
            while let Some(request) = self.waiting.pop_front() {
                self.write(request, served, &mut wire);
            }
            let expiry = self.in_flight.iter().map(|request| request.deadline).min();
            wire.reader.response_bytes_max = self.response_bytes_max();
            tokio::select! {
                biased;
                read = wire.reader.read() => {
                    if let Err(failure) = read.and_then(|()| self.take_answers(&mut wire.reader)) {
                        return Ok(failure);
                    }
                }
                written = wire.writer.send() => if let Err(error) = written {
                    return Ok(PeerFailure::Lost(error.to_string()));
                },
                () = at(expiry) => return Ok(self.timed_out()),
                request = self.requests.recv(), if self.in_flight.len() < IN_FLIGHT_MAX => {
                    self.waiting.push_back(request.ok_or(Abandoned)?);
                }
            }
        }
    }

    /// Fails the request in flight whose time is over. Returns the failure of the others.
    fn timed_out(&mut self) -> PeerFailure {
        let now = deadline_in(Duration::ZERO);
        let mut late = "a request";
        for at in (0..self.in_flight.len()).rev() {
            if self.in_flight[at].deadline <= now
                && let Some(request) = self.in_flight.remove(at)
            {
                late = request.key.name();
                (request.complete)(Err(PeerFailure::TimedOut(late)));
            }
        }
        PeerFailure::Lost(format!("it did not answer {late} in time"))
    }

    fn write(&mut self, request: Outgoing, served: &Served, wire: &mut Wire) {
        let key = request.key;
        let Some(version) = served.newest(key, request.versions) else {
            return request.fail(PeerFailure::Unsupported(key.name()));
        };
        let header = self.header(key, version);
        match (request.write)(&header) {
            Ok(frame) => {
                wire.writer.pending.push_back(frame);
                let Outgoing { response_bytes_max, deadline, complete, .. } = request;
                let correlation_id = header.correlation_id;
                let in_flight = InFlight { correlation_id, key, version, response_bytes_max, deadline, complete };
                self.in_flight.push_back(in_flight);
            }
            Err(error) => {
                (request.complete)(Err(unwritable(key, &error)));
            }
        }
    }

    /// Returns the size of the largest answer that may come next.
    fn response_bytes_max(&self) -> usize {
        self.in_flight.front().map_or(RESPONSE_BYTES_MAX, |oldest| oldest.response_bytes_max)
    }

    /// Gives each whole frame to the request that it answers. Errors: bytes that are no answer.
    fn take_answers(&mut self, reader: &mut FrameReader) -> Result<(), PeerFailure> {
        while let Some(frame) = reader.take()? {
            let Some(request) = self.in_flight.pop_front() else {
                return Err(PeerFailure::Malformed("an answer to no request".into()));
            };
            let InFlight { correlation_id, key, version, complete, .. } = request;
            let body = match body_of(frame, correlation_id, key, version) {
                Ok(body) => body,
                Err(failure) => {
                    complete(Err(failure.clone()));
                    return Err(failure);
                }
            };
            if !complete(Ok((body, version))) {
                return Err(PeerFailure::Malformed(format!("an answer to {} that cannot be read", key.name())));
            }
            reader.response_bytes_max = self.response_bytes_max();
        }
        Ok(())
    }
}

/// Sleeps until a deadline, or for ever.
async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// The question for what the peer serves and supports.
pub(super) fn question() -> ApiVersionsRequest {
    ApiVersionsRequest {
        client_software_name: SOFTWARE.into(),
        client_software_version: env!("CARGO_PKG_VERSION").into(),
        ..Default::default()
    }
}

/// Asks for the versions that the peer serves.
async fn negotiate(wire: &mut Wire, header: &RequestHeader) -> Result<Served, PeerFailure> {
    let request = question();
    let unreachable = |error: &dyn std::fmt::Display| PeerFailure::Unreachable(error.to_string());
    let written = protocol::write_request(header, &request).and_then(protocol::Writer::into_bytes);
    wire.writer.pending.push_back(written.map_err(|error| unreachable(&error))?);
    while !wire.writer.pending.is_empty() {
        wire.writer.send().await.map_err(|error| unreachable(&error))?;
    }
    let frame = loop {
        match wire.reader.take()? {
            Some(frame) => break frame,
            None => wire.reader.read().await.map_err(|failure| unreachable(&failure))?,
        }
    };
    let version = header.request_api_version;
    let body = body_of(frame, header.correlation_id, ApiKey::ApiVersions, version)?;
    let response = requests::read::<ApiVersionsRequest>(body, version)
        .map_err(|error| PeerFailure::Malformed(format!("its versions cannot be read: {error}")))?;
    if response.error_code != 0 {
        return Err(PeerFailure::Unreachable(format!("it answered ApiVersions with error {}", response.error_code)));
    }
    let ranges = response.api_keys.iter().map(|it| (it.api_key, it.min_version, it.max_version));
    Ok(Served(ranges.collect()))
}

/// Removes the header of a response. Errors: it is not the answer to this request.
fn body_of(frame: Bytes, correlation_id: i32, key: ApiKey, version: i16) -> Result<Bytes, PeerFailure> {
    let malformed = |error: protocol::DecodeError| PeerFailure::Malformed(error.to_string());
    let mut r = Reader::new(frame.clone());
    let id = r.i32().map_err(malformed)?;
    if id != correlation_id {
        let shown = format!("the answer has correlation id {id}, and the oldest request {correlation_id}");
        return Err(PeerFailure::Malformed(shown));
    }
    if key.response_header_version(version) == 1 {
        let tags = r.unsigned_varint().map_err(malformed)?;
        for _ in 0..tags {
            r.unsigned_varint().map_err(malformed)?;
            let size = r.unsigned_varint().map_err(malformed)?;
            r.raw(size as usize).map_err(malformed)?;
        }
    }
    Ok(frame.slice(r.position()..))
}

/// An open connection.
struct Wire {
    reader: FrameReader,
    writer: FrameWriter,
}

impl Wire {
    fn new(stream: Box<dyn Io>) -> Self {
        let (reading, writing) = tokio::io::split(stream);
        Self {
            reader: FrameReader { reading, buffer: BytesMut::new(), response_bytes_max: RESPONSE_BYTES_MAX },
            writer: FrameWriter { writing, pending: VecDeque::new() },
        }
    }
}

/// Splits what the peer sends into frames.
struct FrameReader {
    reading: ReadHalf<Box<dyn Io>>,
    buffer: BytesMut,
    /// The largest frame that may come next.
    response_bytes_max: usize,
}

impl FrameReader {
    /// Takes the frame at the front, if it is whole. Errors: its length is not one of a response.
    fn take(&mut self) -> Result<Option<Bytes>, PeerFailure> {
        let Some(length) = self.length()? else { return Ok(None) };
        if self.buffer.len() < LENGTH_BYTES + length {
            return Ok(None);
        }
        self.buffer.advance(LENGTH_BYTES);
        let frame = self.buffer.split_to(length).freeze();
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        Ok(Some(frame))
    }

    fn length(&self) -> Result<Option<usize>, PeerFailure> {
        let Some(field) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = i32::from_be_bytes(*field);
        match usize::try_from(length) {
            Ok(size) if size <= self.response_bytes_max => Ok(Some(size)),
            _ => Err(PeerFailure::Malformed(format!(
                "a response of {length} bytes, where {} are allowed",
                self.response_bytes_max
            ))),
        }
    }

    /// Reads what the peer has sent. Cancel safe: no byte is lost. Errors: the connection ended.
    async fn read(&mut self) -> Result<(), PeerFailure> {
        let owed = match self.length()? {
            Some(length) => (LENGTH_BYTES + length).saturating_sub(self.buffer.len()).max(1),
            None => READ_BYTES,
        };
        if self.buffer.capacity() - self.buffer.len() < owed.min(READ_BYTES) {
            self.buffer.reserve(owed.min(AHEAD_BYTES.max(self.buffer.len())));
        }
        match self.reading.read_buf(&mut self.buffer).await {
            Ok(0) => Err(PeerFailure::Lost("closed by the peer".into())),
            Ok(_) => Ok(()),
            Err(error) => Err(PeerFailure::Lost(error.to_string())),
        }
    }
}

/// Sends frames in their order.
struct FrameWriter {
    writing: WriteHalf<Box<dyn Io>>,
    pending: VecDeque<Bytes>,
}

impl FrameWriter {
    /// Sends one piece of what is pending; without any, it never completes. Cancel safe.
    async fn send(&mut self) -> io::Result<()> {
        let is_last = self.pending.len() == 1;
        let Some(front) = self.pending.front_mut() else { return std::future::pending().await };
        if !front.is_empty() && self.writing.write_buf(front).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if front.is_empty() {
            if is_last {
                self.writing.flush().await?;
            }
            self.pending.pop_front();
        }
        Ok(())
    }
}
