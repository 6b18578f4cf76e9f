//! One connection: requests in, replies out, in order.
//!
//! A request is begun only when the one before it has been answered, as in Kafka, with one exception: a produce that has been appended and waits for
//! its replicas. What follows it is begun meanwhile, and its reply takes its place in the order.

use super::frame::{FrameError, FrameReader};
use super::send;
use crate::api::{self, Connection, Outcome, Reply};
use crate::broker::Broker;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesOrdered;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

/// Replies of one connection that may wait for replicas before the next request is read.
const REPLIES_WAITING_MAX: usize = 64;

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
            Ended::Frame(FrameError::Length(..)) | Ended::Request(_) => true,
            Ended::Frame(_) | Ended::Send(_) | Ended::Idle => false,
        }
    }
}

/// Serves requests until the peer leaves, breaks the protocol, is idle too long, or the broker stops.
pub async fn serve(broker: &Arc<Broker>, connection: &Arc<Connection>, stream: TcpStream) -> Result<(), Ended> {
    let (reading, mut writing) = stream.into_split();
    let mut incoming = Incoming { reader: FrameReader::default(), memory: None };
    let mut waiting: FuturesOrdered<BoxFuture<'static, Reply>> = FuturesOrdered::new();
    let mut serving: Option<Serving<'_>> = None;
    loop {
        tokio::select! {
            biased;
            Some(reply) = waiting.next(), if !waiting.is_empty() => {
                send::reply(&mut writing, reply).await.map_err(Ended::Send)?;
            }
            outcome = outcome(&mut serving), if serving.is_some() => {
                serving = None;
                match outcome? {
                    Outcome::Later(reply) => waiting.push_back(reply),
                    // Replies that wait come first: the order is that of the requests.
                    Outcome::Reply(reply) if waiting.is_empty() => send::reply(&mut writing, reply).await.map_err(Ended::Send)?,
                    Outcome::Reply(reply) => waiting.push_back(Box::pin(std::future::ready(reply))),
                    Outcome::Silence => {}
                }
            }
            () = broker.stopping.cancelled(), if serving.is_none() && waiting.is_empty() => return Ok(()),
            frame = incoming.frame(broker, &reading), if serving.is_none() && waiting.len() < REPLIES_WAITING_MAX => {
                let outcome = api::serve(broker.clone(), connection.clone(), frame?);
                serving = Some(Serving { outcome, _memory: incoming.memory.take() });
            }
        }
    }
}

/// The request that is being served. Its memory is given back when it has been answered.
struct Serving<'a> {
    outcome: BoxFuture<'static, Result<Outcome, api::Refused>>,
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
    reader: FrameReader,
    memory: Option<SemaphorePermit<'a>>,
}

impl<'a> Incoming<'a> {
    /// The next whole frame. May be dropped at any await without losing a byte.
    async fn frame(&mut self, broker: &'a Broker, socket: &OwnedReadHalf) -> Result<Bytes, Ended> {
        let (idle, max) = {
            let settings = broker.settings();
            let idle = u64::try_from(settings.connections_max_idle_ms).map_or(Duration::MAX, Duration::from_millis);
            (idle, usize::try_from(settings.socket_request_max_bytes).unwrap_or(usize::MAX))
        };
        loop {
            let length = self.reader.length(max)?;
            if let (Some(length), None) = (length, &self.memory) {
                self.memory = broker.request_memory.take(length).await;
            }
            if let Some(frame) = length.and_then(|length| self.reader.take(length)) {
                return Ok(frame);
            }
            timeout(idle, self.reader.read(socket, length)).await.map_err(|_| Ended::Idle)??;
        }
    }
}
