//! One connection: requests in, replies out, in order.
//!
//! A request is begun only when the one before it has been answered, as in Kafka, with one exception: a produce that has been appended and waits for
//! its replicas. What follows it is begun meanwhile, and its reply takes its place in the order.
//!
//! Invariant: what has been begun is answered before the connection ends, whatever ends it, unless the peer can no longer be written to.

use super::frame::{FrameError, FrameReader};
use super::send;
use crate::api::{self, Outcome, Reply, Served};
use crate::runtime::limits::MemoryLimit;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

#[cfg(test)]
mod tests;

/// Replies of one connection that may wait for replicas before the next request is read.
const REPLIES_WAITING_MAX: usize = 64;
/// How long a peer may take over a reply once the broker ends.
const LAST_REPLY_MAX: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// Its bytes are no frames.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A frame is no request that can be answered.
    #[error("{0}")]
    Request(#[from] api::Refused),
    /// A reply could not be sent.
    #[error("sending a reply failed: {0}")]
    Send(io::Error),
    /// It was idle for `connections.max.idle.ms`.
    #[error("idle")]
    Idle,
}

impl Ended {
    /// Whether it is worth a line in the log: peers that leave are not.
    pub fn is_the_peers_fault(&self) -> bool {
        match self {
            Ended::Frame(FrameError::Length(..) | FrameError::Foreign(_)) | Ended::Request(_) => true,
            Ended::Frame(_) | Ended::Send(_) | Ended::Idle => false,
        }
    }

    /// Whether the socket carries nothing more in either direction. A peer that has only closed its own side still reads.
    fn is_final(&self) -> bool {
        matches!(self, Ended::Frame(FrameError::Io(_)) | Ended::Send(_))
    }
}

/// What a connection may take, and when it ends.
#[derive(Clone, Copy, Debug)]
pub struct Terms<'a> {
    /// `connections.max.idle.ms`
    pub idle: Duration,
    /// `socket.request.max.bytes`
    pub request_bytes_max: usize,
    /// `queued.max.request.bytes`
    pub request_memory: &'a MemoryLimit,
    /// The broker's end.
    pub stopping: &'a CancellationToken,
}

/// How the serving of a connection came to its end.
#[derive(Debug)]
pub enum Finished<T> {
    /// The connection is at its end.
    Ended,
    /// The connection goes on elsewhere: all that was begun is answered, and nothing is lost.
    Left {
        /// What `leaves` gave.
        to: T,
        /// The socket.
        stream: TcpStream,
        /// What was read from the socket and not begun.
        reader: FrameReader,
    },
}

/// Serves requests until the peer leaves, breaks the protocol, is idle too long, or the broker stops. `begin` begins what a frame asks for.
/// `leaves` is asked after each answer whether the connection is to go on elsewhere.
pub async fn serve<T>(
    terms: Terms<'_>,
    (stream, reader): (TcpStream, FrameReader),
    begin: impl Fn(Bytes) -> Served,
    mut leaves: impl FnMut() -> Option<T>,
) -> Result<Finished<T>, Ended> {
    let (reading, mut writing) = stream.into_split();
    let mut incoming = Incoming { terms, reader, memory: None };
    let mut waiting: FuturesOrdered<BoxFuture<'static, Reply>> = FuturesOrdered::new();
    let mut serving: Option<Serving<'_>> = None;
    // Why nothing more is begun.
    let mut ending: Option<Result<(), Ended>> = None;
    let mut has_answered = false;
    loop {
        if serving.is_none() && waiting.is_empty() {
            if let Some(end) = ending {
                return end.map(|()| Finished::Ended);
            }
            // A frame that has its memory already is read to its end here.
            if std::mem::take(&mut has_answered)
                && incoming.memory.is_none()
                && let Some(to) = leaves()
            {
                let stream = reading.reunite(writing).map_err(|error| Ended::Send(io::Error::other(error)))?;
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
                    // Replies that wait come first: the order is that of the requests.
                    Ok(Outcome::Reply(reply)) => waiting.push_back(Box::pin(std::future::ready(reply))),
                    Ok(Outcome::Later(reply)) => waiting.push_back(reply),
                    Ok(Outcome::Silence) => {}
                    Err(refused) => ending = Some(Err(refused.into())),
                }
            }
            () = terms.stopping.cancelled(), if ending.is_none() => ending = Some(Ok(())),
            frame = incoming.frame(&reading), if ending.is_none() && serving.is_none() && waiting.len() < REPLIES_WAITING_MAX => {
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

/// Sends a reply. From the broker's end on, a peer that is slow to take it is not waited for.
async fn send(socket: &mut OwnedWriteHalf, reply: Reply, terms: &Terms<'_>) -> Result<(), Ended> {
    let patience = async {
        terms.stopping.cancelled().await;
        tokio::time::sleep(LAST_REPLY_MAX).await;
    };
    tokio::select! {
        biased;
        sent = send::reply(socket, reply, terms.idle) => sent.map_err(Ended::Send),
        () = patience => Err(Ended::Send(io::ErrorKind::TimedOut.into())),
    }
}

/// The request that is being served. Its memory is given back when it has been answered.
struct Serving<'a> {
    outcome: Served,
    _memory: Option<SemaphorePermit<'a>>,
}

/// What becomes of the request that is being served; never, where none is.
async fn outcome(serving: &mut Option<Serving<'_>>) -> Result<Outcome, api::Refused> {
    match serving {
        Some(serving) => (&mut serving.outcome).await,
        None => std::future::pending().await,
    }
}

/// The stream of requests, with the memory that the one being read may take.
struct Incoming<'a> {
    terms: Terms<'a>,
    reader: FrameReader,
    memory: Option<SemaphorePermit<'a>>,
}

impl Incoming<'_> {
    /// The next whole frame. May be dropped at any await without losing a byte.
    async fn frame(&mut self, socket: &OwnedReadHalf) -> Result<Bytes, Ended> {
        let Terms { idle, request_bytes_max, request_memory, .. } = self.terms;
        loop {
            let length = self.reader.length(request_bytes_max)?;
            if let (Some(length), None) = (length, &self.memory) {
                self.memory = request_memory.take(length).await;
            }
            if let Some(frame) = length.and_then(|length| self.reader.take(length)) {
                return Ok(frame);
            }
            timeout(idle, self.reader.read(socket, length)).await.map_err(|_| Ended::Idle)??;
        }
    }
}
