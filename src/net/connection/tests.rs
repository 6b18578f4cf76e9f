//! Tests of a connection over a loopback socket. The test decides when each request ends. The body
//! of a request is its kind, its name and padding, separated by spaces. Its reply is its name.

use super::*;
use crate::net::frame::tests::{framed, pair};
use futures_util::FutureExt as _;
use parking_lot::Mutex;
use protocol::FramePart;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

const IDLE: Duration = Duration::from_secs(600);
const REQUEST_BYTES_MAX: usize = 4096;

fn reply(body: &[u8]) -> Reply {
    Reply { parts: vec![FramePart::Bytes(framed(body).into())], ..Reply::default() }
}

/// What the requests of a test do.
#[derive(Default)]
struct Requests {
    events: Mutex<Vec<String>>,
    happened: Notify,
    gates: Mutex<HashMap<String, Arc<Semaphore>>>,
}

impl Requests {
    fn log(&self, event: String) {
        self.events.lock().push(event);
        self.happened.notify_waiters();
    }

    fn events(&self) -> Vec<String> {
        self.events.lock().clone()
    }

    /// Waits for an event.
    async fn event(&self, event: &str) {
        loop {
            let happened = self.happened.notified();
            if self.events.lock().iter().any(|it| it == event) {
                return;
            }
            happened.await;
        }
    }

    fn gate(&self, name: &str) -> Arc<Semaphore> {
        self.gates.lock().entry(name.into()).or_insert_with(|| Arc::new(Semaphore::new(0))).clone()
    }

    /// Ends a request.
    fn end(&self, name: &str) {
        self.gate(name).add_permits(1);
    }

    async fn until_ended(self: Arc<Self>, name: String) -> Reply {
        self.gate(&name).acquire().await.unwrap().forget();
        self.log(format!("end {name}"));
        reply(name.as_bytes())
    }

    fn begin(self: &Arc<Self>, frame: &Bytes) -> Served {
        let text = std::str::from_utf8(frame).unwrap();
        let mut words = text.split(' ');
        let (kind, name) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
        self.log(format!("begin {name}"));
        let requests = self.clone();
        Box::pin(async move {
            match kind.as_str() {
                "now" => Ok(Outcome::Reply(reply(name.as_bytes()))),
                "slow" => Ok(Outcome::Reply(requests.until_ended(name).await)),
                "later" => Ok(Outcome::Later(Box::pin(requests.until_ended(name)))),
                "silent" => Ok(Outcome::Silence),
                "large" => Ok(Outcome::Reply(reply(&vec![b'x'; name.parse().unwrap()]))),
                "last" => Ok(Outcome::Reply(Reply { close: true, ..reply(name.as_bytes()) })),
                "gap" => Ok(Outcome::Reply(Reply { parts: vec![FramePart::Elsewhere { len: 1 }], ..Reply::default() })),
                _ => Err(api::Refused::Key(-1)),
            }
        })
    }
}

/// The parts that all connections of a test share.
struct Side {
    requests: Arc<Requests>,
    memory: Arc<MemoryLimit>,
    stopping: CancellationToken,
}

impl Side {
    fn new(memory_bytes: i64) -> Self {
        let memory = Arc::new(MemoryLimit::new(memory_bytes));
        Self { requests: Arc::default(), memory, stopping: CancellationToken::new() }
    }

    async fn connect(&self) -> Peer {
        let (stream, ours) = pair().await;
        let (requests, memory, stopping) = (self.requests.clone(), self.memory.clone(), self.stopping.clone());
        let ended = tokio::spawn(async move {
            let terms = Terms {
                idle: IDLE,
                request_bytes_max: REQUEST_BYTES_MAX,
                login: None,
                request_memory: &memory,
                env: Env::default(),
                stopping: &stopping,
            };
            serve(terms, (ours, FrameReader::default()), |frame| requests.begin(&frame), || None::<()>).await.map(drop)
        });
        Peer { stream, requests: self.requests.clone(), ended }
    }
}

/// The client's end of a connection.
struct Peer {
    stream: TcpStream,
    requests: Arc<Requests>,
    ended: JoinHandle<Result<(), Ended>>,
}

impl Peer {
    async fn new() -> Self {
        Side::new(0).connect().await
    }

    async fn send(&mut self, request: &str) {
        self.stream.write_all(&framed(request.as_bytes())).await.unwrap();
    }

    /// Sends a request and waits until it has started.
    async fn begin(&mut self, request: &str) {
        self.send(request).await;
        self.requests.event(&format!("begin {}", request.split(' ').nth(1).unwrap())).await;
    }

    /// Receives the next reply.
    async fn receive(&mut self) -> String {
        let length = self.stream.read_i32().await.unwrap();
        let mut body = vec![0; usize::try_from(length).unwrap()];
        self.stream.read_exact(&mut body).await.unwrap();
        String::from_utf8(body).unwrap()
    }

    /// Receives the next reply, of `bytes` bytes, without a change of the paused time. Paused time
    /// advances only when every task is idle.
    async fn receive_in_no_time(&mut self, bytes: usize) -> String {
        let mut frame = vec![0; 4 + bytes];
        let mut come = 0;
        while come < frame.len() {
            match self.stream.try_read(&mut frame[come..]) {
                Ok(0) => panic!("closed"),
                Ok(read) => come += read,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        }
        String::from_utf8(frame.split_off(4)).unwrap()
    }

    /// Checks that nothing more arrives, and returns how the connection ended.
    async fn end(mut self) -> Result<(), Ended> {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
        self.stream.shutdown().await.unwrap();
        self.ended.await.unwrap()
    }
}

/// Runs every task until all of them wait.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn replies_keep_the_order_of_requests_when_later_ones_end_first() {
    let mut peer = Peer::new().await;
    for request in ["later first", "later second", "now third"] {
        peer.begin(request).await;
    }
    peer.requests.end("second");
    peer.requests.event("end second").await;
    peer.requests.end("first");
    for name in ["first", "second", "third"] {
        assert_eq!(peer.receive().await, name);
    }
}

#[tokio::test]
async fn requests_of_one_read_are_all_answered() {
    let mut peer = Peer::new().await;
    let requests: Vec<u8> = (0..1000).flat_map(|number| framed(format!("now {number}").as_bytes())).collect();
    peer.stream.write_all(&requests).await.unwrap();
    for number in 0..1000 {
        assert_eq!(peer.receive().await, number.to_string());
    }
}

#[tokio::test]
async fn a_request_starts_after_the_one_before_it_has_ended() {
    let mut peer = Peer::new().await;
    peer.begin("slow first").await;
    peer.send("now second").await;
    settle().await;
    peer.requests.end("first");
    assert_eq!(peer.receive().await, "first");
    assert_eq!(peer.receive().await, "second");
    assert_eq!(peer.requests.events(), ["begin first", "end first", "begin second"]);
}

#[tokio::test]
async fn a_request_may_have_no_reply() {
    let mut peer = Peer::new().await;
    peer.send("silent first").await;
    peer.send("now second").await;
    assert_eq!(peer.receive().await, "second");
}

#[tokio::test]
async fn a_connection_with_many_waiting_replies_is_not_read() {
    let mut peer = Peer::new().await;
    for number in 0..REPLIES_WAITING_MAX {
        peer.begin(&format!("later {number}")).await;
    }
    peer.send("later above").await;
    settle().await;
    peer.requests.end("0");
    peer.requests.event("begin above").await;
    let events = peer.requests.events();
    assert_eq!(events[REPLIES_WAITING_MAX..], ["end 0", "begin above"]);
    assert_eq!(peer.receive().await, "0");
}

#[tokio::test]
async fn requests_beyond_the_memory_wait_until_others_have_been_answered() {
    let side = Side::new(2048);
    let (mut one, mut other) = (side.connect().await, side.connect().await);
    one.begin(&format!("slow first {}", "x".repeat(1500))).await;
    other.send("now second").await;
    settle().await;
    side.requests.end("first");
    assert_eq!(one.receive().await, "first");
    assert_eq!(other.receive().await, "second");
    assert_eq!(side.requests.events(), ["begin first", "end first", "begin second"]);
    // All the memory has been released.
    assert!(side.memory.take(2048).now_or_never().flatten().is_some());
}

#[tokio::test]
async fn a_request_above_the_whole_memory_has_it_alone() {
    let side = Side::new(1024);
    let mut peer = side.connect().await;
    peer.begin(&format!("slow first {}", "x".repeat(3000))).await;
    assert!(side.memory.take(1).now_or_never().is_none());
    side.requests.end("first");
    assert_eq!(peer.receive().await, "first");
}

#[tokio::test]
async fn a_reply_that_waits_for_replicas_holds_no_memory() {
    let side = Side::new(1024);
    let mut peer = side.connect().await;
    peer.begin("later first").await;
    peer.send("now second").await;
    side.requests.event("begin second").await;
    side.requests.end("first");
    assert_eq!(peer.receive().await, "first");
}

#[tokio::test]
async fn a_connection_that_ends_within_a_request_releases_its_memory() {
    let side = Side::new(1024);
    let mut peer = side.connect().await;
    peer.stream.write_all(&framed(b"now cut")[..8]).await.unwrap();
    settle().await;
    peer.stream.shutdown().await.unwrap();
    assert!(matches!(peer.end().await, Err(Ended::Frame(FrameError::Cut))));
    assert!(side.memory.take(1024).now_or_never().flatten().is_some());
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let mut peer = Peer::new().await;
    peer.send("now first").await;
    assert_eq!(peer.receive().await, "first");
    tokio::time::pause();
    assert!(matches!(peer.end().await, Err(Ended::Idle)));
}

#[tokio::test]
async fn a_connection_is_not_idle_while_requests_come() {
    let mut peer = Peer::new().await;
    peer.send("now first").await;
    assert_eq!(peer.receive().await, "first");
    tokio::time::pause();
    for number in 0..3 {
        tokio::time::advance(IDLE * 2 / 3).await;
        peer.send(&format!("now {number}")).await;
        assert_eq!(peer.receive_in_no_time(1).await, number.to_string());
    }
    assert!(matches!(peer.end().await, Err(Ended::Idle)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_within_a_request_is_idle() {
    let mut peer = Peer::new().await;
    peer.stream.write_all(&framed(b"now first")[..8]).await.unwrap();
    assert!(matches!(peer.end().await, Err(Ended::Idle)));
}

#[tokio::test]
async fn a_request_that_takes_long_is_not_idle() {
    let mut peer = Peer::new().await;
    peer.begin("slow first").await;
    tokio::time::pause();
    tokio::time::advance(2 * IDLE).await;
    peer.requests.end("first");
    assert_eq!(peer.receive().await, "first");
}

#[tokio::test]
async fn an_oversize_request_closes_only_its_own_connection() {
    let side = Side::new(0);
    let (mut one, mut other) = (side.connect().await, side.connect().await);
    one.begin("later first").await;
    let length = i32::try_from(REQUEST_BYTES_MAX).unwrap() + 1;
    one.stream.write_all(&length.to_be_bytes()).await.unwrap();
    settle().await;
    side.requests.end("first");
    assert_eq!(one.receive().await, "first");
    let end = one.end().await.unwrap_err();
    assert!(matches!(end, Ended::Frame(FrameError::Length(told, REQUEST_BYTES_MAX)) if told == length), "{end}");
    assert!(end.is_the_peers_fault());
    other.send("now second").await;
    assert_eq!(other.receive().await, "second");
}

#[tokio::test]
async fn a_refused_request_closes_its_connection_after_the_replies_before_it() {
    let mut peer = Peer::new().await;
    peer.begin("later first").await;
    peer.begin("refused second").await;
    peer.send("now third").await;
    settle().await;
    peer.requests.end("first");
    assert_eq!(peer.receive().await, "first");
    // The third is never read, so the peer may see a reset instead of an end.
    let end = peer.ended.await.unwrap().unwrap_err();
    assert!(matches!(end, Ended::Request(_)) && end.is_the_peers_fault(), "{end}");
    assert_eq!(peer.requests.events(), ["begin first", "begin second", "end first"]);
}

#[tokio::test]
async fn a_peer_that_has_closed_its_side_gets_the_replies_that_wait() {
    let mut peer = Peer::new().await;
    peer.begin("later first").await;
    peer.begin("later second").await;
    peer.stream.shutdown().await.unwrap();
    settle().await;
    peer.requests.end("first");
    peer.requests.end("second");
    assert_eq!(peer.receive().await, "first");
    assert_eq!(peer.receive().await, "second");
    assert!(matches!(peer.end().await, Err(Ended::Frame(FrameError::Closed))));
}

#[tokio::test]
async fn a_closed_peer_is_not_waited_for() {
    let mut peer = Peer::new().await;
    peer.begin("later first").await;
    // A close with a reset.
    socket2::SockRef::from(&peer.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(peer.stream);
    assert!(matches!(peer.ended.await.unwrap(), Err(Ended::Frame(FrameError::Io(_)))));
}

#[tokio::test]
async fn a_stopping_broker_answers_started_requests_and_starts_no_others() {
    let side = Side::new(0);
    let (mut peer, idle) = (side.connect().await, side.connect().await);
    peer.begin("later first").await;
    peer.begin("slow second").await;
    side.stopping.cancel();
    assert!(idle.end().await.is_ok());
    peer.send("now third").await;
    settle().await;
    side.requests.end("second");
    side.requests.event("end second").await;
    settle().await;
    side.requests.end("first");
    assert_eq!(peer.receive().await, "first");
    assert_eq!(peer.receive().await, "second");
    assert!(peer.end().await.is_ok());
    assert_eq!(side.requests.events(), ["begin first", "begin second", "end second", "end first"]);
}

/// A Java client that cannot send drops the answers that it has not read.
#[tokio::test]
async fn a_peer_of_a_stopping_broker_can_send_until_it_has_read_every_answer() {
    let side = Side::new(0);
    let mut peer = side.connect().await;
    peer.begin("slow first").await;
    side.stopping.cancel();
    peer.send("now second").await;
    side.requests.end("first");
    side.requests.event("end first").await;
    settle().await;
    // It does not know yet that the broker stops.
    peer.send("now third").await;
    settle().await;
    peer.send("now fourth").await;
    assert_eq!(peer.receive().await, "first");
    assert!(peer.end().await.is_ok());
    assert_eq!(side.requests.events(), ["begin first", "end first"]);
}

#[tokio::test(start_paused = true)]
async fn a_stopping_broker_does_not_wait_for_a_peer_that_reads_no_reply() {
    let side = Side::new(0);
    let mut peer = side.connect().await;
    peer.begin("large 64000000").await;
    side.stopping.cancel();
    let begun = tokio::time::Instant::now();
    let end = (&mut peer.ended).await.unwrap();
    assert!(matches!(&end, Err(Ended::Send(error)) if error.kind() == io::ErrorKind::TimedOut), "{end:?}");
    assert!(begun.elapsed() < IDLE);
}

#[tokio::test]
async fn a_slow_reader_gets_the_whole_reply() {
    let mut peer = Peer::new().await;
    peer.begin("large 16000000").await;
    peer.send("now next").await;
    settle().await;
    let mut left = peer.stream.read_i32().await.unwrap();
    assert_eq!(left, 16_000_000);
    while left > 0 {
        let mut piece = vec![0; usize::try_from(left).unwrap().min(100_000)];
        let read = peer.stream.read(&mut piece).await.unwrap();
        assert!(read > 0 && piece[..read].iter().all(|byte| *byte == b'x'));
        left -= i32::try_from(read).unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(peer.receive().await, "next");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_no_reply_is_disconnected() {
    let mut peer = Peer::new().await;
    peer.send("large 64000000").await;
    let end = (&mut peer.ended).await.unwrap();
    assert!(matches!(&end, Err(Ended::Send(error)) if error.kind() == io::ErrorKind::TimedOut), "{end:?}");
}

#[tokio::test]
async fn a_reply_that_cannot_be_complete_ends_the_connection() {
    let mut peer = Peer::new().await;
    peer.send("last first").await;
    assert_eq!(peer.receive().await, "first");
    assert!(matches!(peer.end().await, Err(Ended::Send(_))));

    let mut peer = Peer::new().await;
    peer.send("gap first").await;
    assert!(matches!(peer.end().await, Err(Ended::Send(_))));
}

#[tokio::test]
async fn a_connection_moves_between_two_requests_with_its_unread_bytes() {
    let (mut peer, ours) = pair().await;
    let requests: Arc<Requests> = Arc::default();
    let (memory, stopping) = (MemoryLimit::new(-1), CancellationToken::new());
    let terms = Terms {
        idle: IDLE,
        request_bytes_max: REQUEST_BYTES_MAX,
        login: None,
        request_memory: &memory,
        stopping: &stopping,
        env: Env::default(),
    };
    peer.write_all(&[framed(b"later a"), framed(b"now b"), framed(b"now c")].concat()).await.unwrap();
    // A move while `a` waits would leave `a` unanswered. `leaves` is called only when both are
    // answered.
    let (begin, gate) = (|frame: Bytes| requests.begin(&frame), requests.gate("a"));
    let asked = Mutex::new(0);
    let leaves = || {
        *asked.lock() += 1;
        Some("there")
    };
    gate.add_permits(1);
    let finished = serve(terms, (ours, FrameReader::default()), begin, leaves).await.unwrap();
    let Finished::Left { to, stream, reader } = finished else { panic!("it has not left") };
    assert_eq!((to, *asked.lock()), ("there", 1));
    // The connection continues on the other thread where it stopped.
    drop(peer.write_all(&framed(b"last d")).await);
    let left = serve(terms, (stream, reader), begin, || None::<()>);
    let mut answers = vec![0; 4 * 5];
    let (_, read) = tokio::join!(left, peer.read_exact(&mut answers));
    read.unwrap();
    assert_eq!(answers, [framed(b"a"), framed(b"b"), framed(b"c"), framed(b"d")].concat());
}
