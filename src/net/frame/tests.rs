//! Tests of frames over a loopback socket: frames that are split anywhere, several at once, invalid
//! lengths, and the memory they use.

use super::*;
use futures_util::FutureExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};

/// The maximum frame length in these tests.
const MAX: usize = 1024;

/// Returns both ends of a connection: the peer's and ours.
pub(in crate::net) async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (ours, _) = listener.accept().await.unwrap();
    peer.set_nodelay(true).unwrap();
    (peer, ours)
}

/// Returns a frame as it is sent.
pub(in crate::net) fn framed(body: &[u8]) -> Vec<u8> {
    let mut frame = i32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(body);
    frame
}

struct Reading {
    peer: TcpStream,
    socket: OwnedReadHalf,
    reader: FrameReader,
}

impl Reading {
    async fn new() -> Self {
        let (peer, ours) = pair().await;
        Self { peer, socket: ours.into_split().0, reader: FrameReader::default() }
    }

    /// Sends bytes and reads exactly those bytes.
    async fn feed(&mut self, bytes: &[u8]) {
        self.peer.write_all(bytes).await.unwrap();
        let all = self.reader.buffer.len() + bytes.len();
        while self.reader.buffer.len() < all {
            let length = self.reader.length(usize::MAX).unwrap();
            self.reader.read(&mut self.socket, length).await.unwrap();
        }
    }

    /// Returns the frame at the front if it has been read.
    fn here(&mut self) -> Option<Bytes> {
        let length = self.reader.length(MAX).unwrap()?;
        self.reader.take(length)
    }

    /// Reads until a frame is whole.
    async fn next(&mut self, max: usize) -> Result<Bytes, FrameError> {
        loop {
            let length = self.reader.length(max)?;
            if let Some(frame) = length.and_then(|length| self.reader.take(length)) {
                return Ok(frame);
            }
            self.reader.read(&mut self.socket, length).await?;
        }
    }
}

#[tokio::test]
async fn frames_may_be_cut_at_every_byte() {
    let frames: [&[u8]; 3] = [b"first", b"", b"the third"];
    let bytes: Vec<u8> = frames.iter().flat_map(|body| framed(body)).collect();
    for cut in 0..=bytes.len() {
        let mut reading = Reading::new().await;
        let mut got = Vec::new();
        for part in [&bytes[..cut], &bytes[cut..]] {
            reading.feed(part).await;
            got.extend(std::iter::from_fn(|| reading.here()));
        }
        assert_eq!(got, frames, "cut at {cut}");
        assert_eq!(reading.reader.buffer.capacity(), 0, "cut at {cut}");
    }
}

#[tokio::test]
async fn a_frame_may_come_byte_by_byte() {
    let mut reading = Reading::new().await;
    let bytes = framed(b"one by one");
    for (at, byte) in bytes.iter().enumerate() {
        assert_eq!(reading.here(), None, "after {at} bytes");
        reading.feed(&[*byte]).await;
    }
    assert_eq!(reading.here().unwrap(), b"one by one".as_slice());
}

#[tokio::test]
async fn one_read_may_bring_several_frames_and_the_beginning_of_another() {
    let mut reading = Reading::new().await;
    let mut bytes: Vec<u8> = (0..100u8).flat_map(|number| framed(&[number; 7])).collect();
    bytes.extend_from_slice(&framed(b"last")[..6]);
    reading.feed(&bytes).await;
    for number in 0..100u8 {
        assert_eq!(reading.here().unwrap(), [number; 7].as_slice());
    }
    assert_eq!(reading.here(), None);
    reading.feed(b"st").await;
    assert_eq!(reading.here().unwrap(), b"last".as_slice());
}

#[tokio::test]
async fn a_frame_that_is_kept_does_not_change() {
    let mut reading = Reading::new().await;
    reading.feed(&[framed(b"kept"), framed(b"taken")[..5].to_vec()].concat()).await;
    let kept = reading.here().unwrap();
    reading.feed(b"aken").await;
    reading.here().unwrap();
    for _ in 0..10 {
        reading.feed(&framed(&[b'x'; MAX])).await;
        reading.here().unwrap();
    }
    assert_eq!(kept, b"kept".as_slice());
}

#[tokio::test]
async fn other_protocols_are_named() {
    for (bytes, named) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00"[..], "a TLS handshake"),
        (b"\x16\x03\x03\x00\x50", "a TLS handshake"),
        (b"GET / HTTP/1.1\r\n", "an HTTP request"),
        (b"POST /x", "an HTTP request"),
        (b"PRI * HTTP/2.0", "an HTTP/2 connection"),
        (b"SSH-2.0-OpenSSH", "an SSH connection"),
        (b"PROXY TCP4", "a PROXY header"),
        (b"\r\n\r\n\0\r\nQUIT\n", "a PROXY header"),
    ] {
        let mut reading = Reading::new().await;
        reading.feed(bytes).await;
        let error = reading.next(MAX).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("no request of Kafka's protocol but {named}")), "{error}");
    }
}

#[tokio::test]
async fn lengths_that_no_request_has_are_refused() {
    let above = i32::try_from(MAX).unwrap() + 1;
    for length in [-1, i32::MIN, above, i32::MAX] {
        let mut reading = Reading::new().await;
        reading.feed(&length.to_be_bytes()).await;
        let error = reading.next(MAX).await.unwrap_err();
        assert!(matches!(error, FrameError::Length(told, MAX) if told == length), "{length}: {error}");
    }
    // An empty frame and one of the maximum length are both valid. The contents are not checked
    // here.
    let mut reading = Reading::new().await;
    reading.feed(&framed(b"")).await;
    assert_eq!(reading.next(MAX).await.unwrap(), b"".as_slice());
    reading.feed(&framed(&[7; MAX])).await;
    assert_eq!(reading.next(MAX).await.unwrap(), [7; MAX].as_slice());
}

#[tokio::test]
async fn a_peer_may_leave_between_frames_but_not_within_one() {
    let bytes = framed(b"cut");
    for cut in 0..=bytes.len() {
        let mut reading = Reading::new().await;
        reading.feed(&bytes[..cut]).await;
        reading.peer.shutdown().await.unwrap();
        if cut == bytes.len() {
            assert_eq!(reading.next(MAX).await.unwrap(), b"cut".as_slice());
        }
        let error = reading.next(MAX).await.unwrap_err();
        match cut {
            0 | 7 => assert!(matches!(error, FrameError::Closed), "cut at {cut}: {error}"),
            _ => assert!(matches!(error, FrameError::Cut), "cut at {cut}: {error}"),
        }
    }
}

#[tokio::test]
async fn a_cancelled_read_loses_no_byte() {
    let mut reading = Reading::new().await;
    let bytes = framed(b"patience");
    for byte in bytes {
        let length = reading.reader.length(MAX).unwrap();
        assert!(reading.reader.read(&mut reading.socket, length).now_or_never().is_none());
        reading.feed(&[byte]).await;
    }
    assert_eq!(reading.here().unwrap(), b"patience".as_slice());
}

#[tokio::test]
async fn a_frame_may_be_larger_than_any_buffer() {
    let body: Vec<u8> = (0..3 * AHEAD_BYTES + 17).map(|at| (at % 251) as u8).collect();
    let mut reading = Reading::new().await;
    let mut bytes = framed(&body);
    bytes.extend_from_slice(&framed(b"after it"));
    let mut peer = std::mem::replace(&mut reading.peer, pair().await.0);
    let sending = tokio::spawn(async move { peer.write_all(&bytes).await.unwrap() });
    let frame = loop {
        let length = reading.reader.length(usize::MAX).unwrap();
        if let Some(frame) = length.and_then(|length| reading.reader.take(length)) {
            break frame;
        }
        reading.reader.read(&mut reading.socket, length).await.unwrap();
        let (come, capacity) = (reading.reader.buffer.len(), reading.reader.buffer.capacity());
        assert!(
            capacity <= (2 * come).max(come + AHEAD_BYTES) + 2 * READ_BYTES,
            "{capacity} bytes for {come} that have come"
        );
    };
    assert!(frame == body);
    sending.await.unwrap();
    assert_eq!(reading.next(MAX).await.unwrap(), b"after it".as_slice());
    assert_eq!(reading.reader.buffer.capacity(), 0);
}

#[tokio::test]
async fn a_length_alone_takes_little_memory() {
    let mut reading = Reading::new().await;
    reading.feed(&i32::MAX.to_be_bytes()).await;
    reading.feed(&[0; READ_BYTES]).await;
    reading.feed(&[0; READ_BYTES]).await;
    assert!(reading.reader.buffer.capacity() <= AHEAD_BYTES + 3 * READ_BYTES);
}

#[tokio::test]
async fn an_idle_connection_holds_no_buffer() {
    let mut reading = Reading::new().await;
    assert!(reading.reader.read(&mut reading.socket, None).now_or_never().is_none());
    assert_eq!(reading.reader.buffer.capacity(), 0);
    reading.feed(&framed(b"busy")).await;
    let frame = reading.here();
    assert!(reading.reader.read(&mut reading.socket, None).now_or_never().is_none());
    assert_eq!(reading.reader.buffer.capacity(), 0);
    drop(frame);
}
