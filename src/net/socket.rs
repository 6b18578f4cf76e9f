//! What a connection needs of its socket. A TCP socket is read without a buffer while it has
//! nothing to read. Any other stream (of a simulation, and later of TLS) is an [`IoSocket`].

use crate::peer::Io;
use bytes::BytesMut;
use futures_util::future::BoxFuture;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt as _, AsyncWrite, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// The bytes that are read ahead of an [`IoSocket`].
const AHEAD_BYTES: usize = 4 * 1024;

/// A socket, which can be split into its two directions.
pub trait Socket: Send + Sized {
    /// The incoming direction.
    type Reading: Reading;
    /// The outgoing direction.
    type Writing: AsyncWrite + Send + Unpin;
    /// Splits it.
    fn split(self) -> (Self::Reading, Self::Writing);
    /// Puts it together again. Errors: the two are not of one socket.
    fn join(reading: Self::Reading, writing: Self::Writing) -> io::Result<Self>;
}

/// The incoming direction of a socket.
pub trait Reading: Send {
    /// Waits until there are bytes, or the peer has closed. Cancel safe.
    fn readable(&mut self) -> impl Future<Output = io::Result<()>> + Send;
    /// Reads what there is into the free space of a buffer. Returns 0 if the peer has closed, and
    /// `WouldBlock` if there is nothing.
    fn try_read_buf(&mut self, buffer: &mut BytesMut) -> io::Result<usize>;
}

/// Accepts streams that are not TCP sockets.
pub trait Accept: std::fmt::Debug + Send + Sync {
    /// Waits for the next stream, and the address of its peer.
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Io>, SocketAddr)>>;
}

impl Socket for TcpStream {
    type Reading = OwnedReadHalf;
    type Writing = OwnedWriteHalf;

    fn split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        self.into_split()
    }

    fn join(reading: OwnedReadHalf, writing: OwnedWriteHalf) -> io::Result<Self> {
        reading.reunite(writing).map_err(io::Error::other)
    }
}

impl Reading for OwnedReadHalf {
    fn readable(&mut self) -> impl Future<Output = io::Result<()>> + Send {
        OwnedReadHalf::readable(self)
    }

    fn try_read_buf(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        OwnedReadHalf::try_read_buf(self, buffer)
    }
}

/// A socket over any stream.
pub struct IoSocket {
    reading: IoReading,
    writing: WriteHalf<Box<dyn Io>>,
}

/// The incoming direction of an [`IoSocket`].
pub struct IoReading {
    half: ReadHalf<Box<dyn Io>>,
    ahead: BytesMut,
    is_closed: bool,
}

impl IoSocket {
    /// Takes a stream.
    pub fn new(stream: Box<dyn Io>) -> Self {
        let (half, writing) = tokio::io::split(stream);
        Self { reading: IoReading { half, ahead: BytesMut::new(), is_closed: false }, writing }
    }
}

impl Socket for IoSocket {
    type Reading = IoReading;
    type Writing = WriteHalf<Box<dyn Io>>;

    fn split(self) -> (IoReading, WriteHalf<Box<dyn Io>>) {
        (self.reading, self.writing)
    }

    fn join(reading: IoReading, writing: WriteHalf<Box<dyn Io>>) -> io::Result<Self> {
        Ok(Self { reading, writing })
    }
}

impl Reading for IoReading {
    async fn readable(&mut self) -> io::Result<()> {
        if self.ahead.is_empty() && !self.is_closed {
            self.ahead.reserve(AHEAD_BYTES);
            self.is_closed = self.half.read_buf(&mut self.ahead).await? == 0;
        }
        Ok(())
    }

    fn try_read_buf(&mut self, buffer: &mut BytesMut) -> io::Result<usize> {
        if self.ahead.is_empty() {
            return if self.is_closed { Ok(0) } else { Err(io::ErrorKind::WouldBlock.into()) };
        }
        let ahead = std::mem::take(&mut self.ahead);
        buffer.extend_from_slice(&ahead);
        Ok(ahead.len())
    }
}
