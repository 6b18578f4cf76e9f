//! Splits a connection's bytes into frames.
//!
//! A frame is an int32 length followed by that number of bytes. Small frames share one read. A
//! large frame gets its own memory once its length is known, so that its bytes are never moved. An
//! idle connection holds no buffer.
//!
//! Invariant: a buffer exceeds the bytes received by at most `AHEAD_BYTES`, or is at most twice as
//! large as them. A length field alone is not trusted.

use super::socket::Reading;
use bytes::{Buf, Bytes, BytesMut};
use std::io;

#[cfg(test)]
pub(super) mod tests;

/// The minimum size of one read in bytes. Most requests fit.
const READ_BYTES: usize = 4 * 1024;
/// Memory that a frame gets before its bytes arrive. A request of a client with Kafka's defaults (1
/// MiB) is read into one block that never moves.
const AHEAD_BYTES: usize = 2 * 1024 * 1024;
/// The size of the length field before a frame.
const LENGTH_BYTES: usize = 4;

/// Why a stream has no further frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The peer closed between two frames.
    #[error("closed by the peer")]
    Closed,
    /// The peer closed within a frame.
    #[error("closed by the peer within a request")]
    Cut,
    /// A length that no request can have.
    #[error("a request of {0} bytes exceeds the maximum of {1} (socket.request.max.bytes)")]
    Length(i32, usize),
    /// The first bytes belong to another protocol.
    #[error("no request of Kafka's protocol but {0}")]
    Foreign(&'static str),
    /// The socket failed.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Recognizes another protocol by its first bytes.
fn foreign(start: &[u8; LENGTH_BYTES]) -> Option<&'static str> {
    const TLS: &str = "a TLS handshake: the client has security.protocol=SSL or SASL_SSL, this listener is plain text";
    const HTTP: &str = "an HTTP request: health and metrics have a port of their own (--http, gregor.http.listener)";
    Some(match start {
        [0x16, 0x03, ..] => TLS,
        // The hello message of SSL 2, with which old TLS clients start.
        [0x80..=0xff, _, 0x01, 0x00 | 0x03] => TLS,
        b"GET " | b"POST" | b"PUT " | b"HEAD" | b"OPTI" | b"DELE" | b"PATC" | b"CONN" | b"TRAC" => HTTP,
        b"PRI " => "an HTTP/2 connection: health and metrics have a port of their own, which takes HTTP/1.1",
        b"HTTP" => "an HTTP response",
        b"SSH-" => "an SSH connection",
        b"PROX" | b"\r\n\r\n" => "a PROXY header of a load balancer, which must not send one",
        b"EHLO" | b"HELO" => "an SMTP client",
        b"AMQP" => "an AMQP client",
        b"JRMI" => "a Java RMI client, such as a JMX one",
        _ => return None,
    })
}

/// The unread bytes of a connection.
#[derive(Debug, Default)]
pub struct FrameReader {
    buffer: BytesMut,
}

impl FrameReader {
    /// Returns the length of the frame at the front once its length field has been read. Errors: a
    /// length below zero or above `max`.
    pub fn length(&self, max: usize) -> Result<Option<usize>, FrameError> {
        let Some(field) = self.buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
        let length = i32::from_be_bytes(*field);
        match usize::try_from(length) {
            Ok(length) if length <= max => Ok(Some(length)),
            _ => Err(foreign(field).map_or(FrameError::Length(length, max), FrameError::Foreign)),
        }
    }

    /// Takes the frame at the front, if it is whole.
    pub fn take(&mut self, length: usize) -> Option<Bytes> {
        if self.buffer.len() < LENGTH_BYTES + length {
            return None;
        }
        self.buffer.advance(LENGTH_BYTES);
        let frame = self.buffer.split_to(length).freeze();
        if self.buffer.is_empty() {
            // The rest of the buffer is freed: an idle connection holds no memory.
            self.buffer = BytesMut::new();
        }
        Some(frame)
    }

    /// Reads the bytes that the socket has. Cancel safe: no byte is lost. `wanted` is the length of
    /// the frame at the front, if known.
    pub async fn read(&mut self, socket: &mut impl Reading, wanted: Option<usize>) -> Result<(), FrameError> {
        loop {
            socket.readable().await?;
            self.make_room(wanted);
            match socket.try_read_buf(&mut self.buffer) {
                Ok(0) if self.buffer.is_empty() => return Err(FrameError::Closed),
                Ok(0) => return Err(FrameError::Cut),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.buffer.is_empty() {
                        self.buffer = BytesMut::new();
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Reserves memory for at least one read. If the length of the frame at the front is known, it
    /// reserves as much for that frame as the bytes received so far justify.
    fn make_room(&mut self, wanted: Option<usize>) {
        let owed = match wanted {
            Some(length) => (LENGTH_BYTES + length).saturating_sub(self.buffer.len()).max(1),
            None => READ_BYTES,
        };
        if self.buffer.capacity() - self.buffer.len() < owed.min(READ_BYTES) {
            self.buffer.reserve(owed.min(AHEAD_BYTES.max(self.buffer.len())));
        }
    }
}
