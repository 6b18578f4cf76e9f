//! One connection: it reads requests and sends the replies in the same order.
//!
//! A request starts when the one before it has been answered, as in Kafka. The exception is a
//! produce request that is appended and waits for its replicas: later requests start while it
//! waits, and its reply keeps its place in the order.
//!
//! Invariant: every request that has started is answered before the connection ends, unless nothing
//! more can be written to the peer.

use super::frame::{FrameError, FrameReader};
use super::send;
use super::socket::{Reading, Socket};
use crate::api::{self, Outcome, Reply, Served};
use crate::env::Env;
use crate::env::clock::deadline_in;
use crate::runtime::limits::MemoryLimit;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests;

/// The maximum number of replies of one connection that wait for replicas. At the maximum, no
/// further request is read.
const REPLIES_WAITING_MAX: usize = 64;
/// How long a peer may take to receive a reply once the broker stops.
const LAST_REPLY_MAX: Duration = Duration::from_secs(1);

/// How long a peer may take to close its side once the broker stops.
const HANG_UP_MAX: Duration = Duration::from_millis(250);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// Its bytes are not frames.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A frame is not a request that can be answered.
    #[error("{0}")]
    Request(#[from] api::Refused),
    /// A reply could not be sent.
    #[error("sending a reply failed: {0}")]
    Send(io::Error),
    /// It was idle for `connections.max.idle.ms`.
    #[error("idle")]
    Idle,
    /// A request before the login is too large.
    #[error("a request of {0} bytes before the login exceeds the maximum of {1} (sasl.server.max.receive.size)")]
    LoginLength(i32, usize),
    /// Its client did not log in.
    #[error("the client did not log in within {} s", .0.as_secs())]
    LoginTime(Duration),
}

impl Ended {
    /// Whether the end is logged. A peer that only closed its connection is not.
    pub fn is_the_peers_fault(&self) -> bool {
        match self {
            Ended::Frame(FrameError::Length(..) | FrameError::Foreign(_)) | Ended::Request(_) => true,
            Ended::LoginLength(..) | Ended::LoginTime(_) => true,
            Ended::Frame(_) | Ended::Send(_) | Ended::Idle => false,
        }
    }

    /// Whether the socket can carry nothing more in either direction. A peer that has closed only
    /// its own side still reads.
    fn is_final(&self) -> bool {
        matches!(self, Ended::Frame(FrameError::Io(_)) | Ended::Send(_))
    }
}

/// The limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// `connections.max.idle.ms`
    pub idle: Duration,
    /// `socket.request.max.bytes`
    pub request_bytes_max: usize,
    /// What holds until the client has logged in; `None` on a listener without SASL.
    pub login: Option<LoginTerms<'a>>,
    /// `queued.max.request.bytes`
    pub request_memory: &'a MemoryLimit,
    /// Cancelled when the broker stops.
    pub stopping: &'a CancellationToken,
    /// The environment.
    pub env: Env,
}

/// The limits of a connection until its client has logged in.
#[derive(Clone, Copy, Debug)]
pub struct LoginTerms<'a> {
    /// The connection.
    pub connection: &'a api::Connection,
    /// `sasl.server.max.receive.size`
    pub request_bytes_max: usize,
    /// How long the login may take.
    pub time: Duration,
}

/// How [`serve`] ended.
#[derive(Debug)]
pub enum Finished<T, S> {
    /// The connection ended.
    Ended,
    /// The connection continues on another thread. Every request that started is answered, and no
    /// byte is lost.
    Left {
        /// The value that `leaves` returned.
        to: T,
        /// The socket.
        stream: S,
        /// The bytes that were read from the socket and not yet served.
        reader: FrameReader,
    },
}

/// Serves requests until the peer leaves, breaks the protocol or is idle too long, or the broker
/// stops. `begin` starts the request in a frame. `leaves` is called after each answer and says
/// whether the connection moves to another thread.
pub async fn serve<T, S: Socket>(
    terms: Terms<'_>,
    (stream, reader): (S, FrameReader),
    begin: impl Fn(Bytes) -> Served,
    mut leaves: impl FnMut() -> Option<T>,
) -> Result<Finished<T, S>, Ended> {
    let (mut reading, mut writing) = stream.split();
    let login_by = terms.login.map(|login| deadline_in(login.time));
    let mut incoming = Incoming { terms, reader, memory: None, login_by };
    let mut waiting: FuturesOrdered<BoxFuture<'static, Reply>> = FuturesOrdered::new();
    let mut serving: Option<Serving<'_>> = None;
    // Why no further request starts.
    let mut ending: Option<Result<(), Ended>> = None;
    let mut has_answered = false;
    loop {
        if serving.is_none() && waiting.is_empty() {
            if let Some(end) = ending {
                if end.is_ok() {
                    hang_up(&mut reading, &mut writing).await;
                }
                return end.map(|()| Finished::Ended);
            }
            // A frame that already has its memory is read to its end on this thread.
            if std::mem::take(&mut has_answered)
                && incoming.memory.is_none()
                && let Some(to) = leaves()
            {
                let stream = S::join(reading, writing).map_err(Ended::Send)?;
                return Ok(Finished::Left { to, stream, reader: incoming.reader });
            }
        }
        tokio::select! {
            biased;
            Some(reply) = waiting.next(), if !waiting.is_empty() => {
                send(&mut writing, reply, &terms).await?;
                has_answered = true;
            }
            outcome = outcome(&mut serving), if serving.is_some() => {
                serving = None;
                match outcome {
                    Ok(Outcome::Reply(reply)) if waiting.is_empty() => {
                        send(&mut writing, reply, &terms).await?;
                        has_answered = true;
                    }
                    // The reply queues behind the waiting replies, so that replies keep the order
                    // of the requests.
                    Ok(Outcome::Reply(reply)) => waiting.push_back(Box::pin(std::future::ready(reply))),
                    Ok(Outcome::Later(reply)) => waiting.push_back(reply),
                    Ok(Outcome::Silence) => {}
                    Err(refused) => ending = Some(Err(refused.into())),
                }
            }
            () = terms.stopping.cancelled(), if ending.is_none() => ending = Some(Ok(())),
            frame = incoming.frame(&mut reading), if ending.is_none() && serving.is_none() && waiting.len() < REPLIES_WAITING_MAX => {
                let memory = incoming.memory.take();
                match frame {
                    Ok(frame) => serving = Some(Serving { outcome: begin(frame), _memory: memory }),
                    Err(end) if end.is_final() => return Err(end),
                    Err(end) => ending = Some(Err(end)),
                }
            }
        }
    }
}

/// Closes a connection because the broker stops: first its own side, then, once the peer has closed
/// the other, all of it. The peer reads every answer before the end. If unread requests were left
/// behind, the system would break the connection, and a Java client then drops answers that it has
/// not read. It sends their batches again, and the broker that starts next refuses them as out of
/// order, because it knows only the last batch of each producer.
async fn hang_up(reading: &mut impl Reading, writing: &mut (impl AsyncWrite + Unpin)) {
    let closed = async {
        if writing.shutdown().await.is_err() {
            return;
        }
        let mut unread = BytesMut::with_capacity(4096);
        while reading.readable().await.is_ok() {
            match reading.try_read_buf(&mut unread) {
                Ok(0) => return,
                Ok(_) => unread.clear(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    };
    // A peer that does not close its side loses nothing that it wants to read.
    let _ = timeout(HANG_UP_MAX, closed).await;
}

/// Sends a reply. Once the broker stops, a slow peer has only [`LAST_REPLY_MAX`].
async fn send(socket: &mut (impl AsyncWrite + Unpin), reply: Reply, terms: &Terms<'_>) -> Result<(), Ended> {
    let patience = async {
        terms.stopping.cancelled().await;
        tokio::time::sleep(LAST_REPLY_MAX).await;
    };
    tokio::select! {
        biased;
        sent = send::reply(socket, reply, terms.idle, terms.env) => sent.map_err(Ended::Send),
        () = patience => Err(Ended::Send(io::ErrorKind::TimedOut.into())),
    }
}

/// The request that is being served. Its memory is released when it has been answered.
struct Serving<'a> {
    outcome: Served,
    _memory: Option<SemaphorePermit<'a>>,
}

/// Waits for the outcome of the request that is being served. Without a request, it never
/// completes.
async fn outcome(serving: &mut Option<Serving<'_>>) -> Result<Outcome, api::Refused> {
    match serving {
        Some(serving) => (&mut serving.outcome).await,
        None => std::future::pending().await,
    }
}

/// The stream of requests, with the memory reserved for the request that is being read.
struct Incoming<'a> {
    terms: Terms<'a>,
    reader: FrameReader,
    memory: Option<SemaphorePermit<'a>>,
    /// When the client must have logged in.
    login_by: Option<Instant>,
}

impl Incoming<'_> {
    /// Reads the next whole frame. Cancel safe: no byte is lost.
    async fn frame(&mut self, socket: &mut impl Reading) -> Result<Bytes, Ended> {
        let Terms { idle, request_bytes_max, request_memory, .. } = self.terms;
        let login = self.terms.login.filter(|login| login.connection.must_log_in());
        loop {
            let length = match login {
                None => self.reader.length(request_bytes_max)?,
                Some(login) => self.reader.length(login.request_bytes_max).map_err(of_login)?,
            };
            if let (Some(length), None) = (length, &self.memory) {
                self.memory = request_memory.take(length).await;
            }
            if let Some(frame) = length.and_then(|length| self.reader.take(length)) {
                return Ok(frame);
            }
            let read = timeout(idle, self.reader.read(socket, length));
            match login.zip(self.login_by) {
                None => read.await,
                Some((login, by)) => timeout_at(by, read).await.map_err(|_| Ended::LoginTime(login.time))?,
            }
            .map_err(|_| Ended::Idle)??;
        }
    }
}

/// Names the limit that holds before the login.
fn of_login(error: FrameError) -> Ended {
    match error {
        FrameError::Length(length, max) => Ended::LoginLength(length, max),
        other => other.into(),
    }
}
