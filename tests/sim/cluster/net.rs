//! The network: streams that keep the order of their bytes, as TCP does, with a latency for every
//! piece. Streams overtake each other. A link may be cut in one direction: what was sent waits
//! until it is mended. A node that is killed breaks its streams; one that loses its power falls
//! silent.

use crate::random::Random;
use crate::time::HostClock;
use futures_util::future::BoxFuture;
use gregor::config::Listener;
use gregor::net::{Accept, Bind, Listening};
use gregor::peer::{Dial, Io};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use storage::disk::SimDisk;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// A machine: a node, or that of the clients.
pub type Host = usize;

/// The least latency. A host runs this long without the others: what they send meanwhile arrives
/// later.
pub const LATENCY_MIN_MS: u64 = 5;
/// How long an attempt to connect may take where nothing answers.
const CONNECT_MAX: Duration = Duration::from_secs(8);
/// The most bytes that a read returns.
const READ_BYTES: usize = 16 * 1024;

/// One direction of a stream.
#[derive(Debug, Default)]
struct Pipe {
    /// When each piece arrives.
    pieces: VecDeque<(u64, Vec<u8>)>,
    last_at: u64,
    /// When the end arrives.
    closed_at: Option<u64>,
    /// When the reader finds the stream broken.
    broken_at: Option<u64>,
    reader: Option<Waker>,
}

/// A stream. The host of end 0 has opened it.
#[derive(Debug)]
struct Conn {
    hosts: [Host; 2],
    /// Each is named by the end that writes it.
    pipes: [Pipe; 2],
    /// Whether an end has lost its host without a word.
    is_gone: [bool; 2],
    /// Whether an end was dropped.
    is_dropped: [bool; 2],
}

#[derive(Debug, Default)]
struct Waiting {
    /// The streams that arrive at a listener, and when.
    arriving: VecDeque<(u64, u64)>,
    acceptor: Option<Waker>,
}

#[derive(Debug)]
struct State {
    random: Random,
    conns: BTreeMap<u64, Conn>,
    next: u64,
    listeners: BTreeMap<(Host, u16), Waiting>,
    cut: BTreeSet<(Host, Host)>,
    /// The hosts that answer nothing, because they have no power.
    silent: BTreeSet<Host>,
    /// The disks: nothing of a host whose disk has stopped reaches the network any more.
    disks: BTreeMap<Host, SimDisk>,
    /// A percentage of pieces that are late.
    late_percent: usize,
    digest: u64,
    pieces: u64,
}

/// The network of a course.
#[derive(Clone, Debug)]
pub struct Net(Arc<Mutex<State>>);

impl Net {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            random: Random::new(seed),
            conns: BTreeMap::new(),
            next: 1,
            listeners: BTreeMap::new(),
            cut: BTreeSet::new(),
            silent: BTreeSet::new(),
            disks: BTreeMap::new(),
            late_percent: 3,
            digest: 0,
            pieces: 0,
        })))
    }

    /// Adds an event to the digest.
    pub fn note(&self, parts: &[u64]) {
        self.0.lock().note(parts);
    }

    /// Returns the digest of all events, and the number of pieces that were sent.
    pub fn digest(&self) -> (u64, u64) {
        let state = self.0.lock();
        (state.digest, state.pieces)
    }

    /// Cuts a link in one direction.
    pub fn cut(&self, from: Host, to: Host) {
        self.0.lock().cut.insert((from, to));
    }

    /// Cuts all links between hosts.
    pub fn cut_between(&self, some: &[Host], others: &[Host]) {
        for (one, other) in some.iter().flat_map(|one| others.iter().map(|other| (*one, *other))) {
            self.cut(one, other);
            self.cut(other, one);
        }
    }

    /// Whether a link is cut in one direction.
    pub fn is_cut(&self, from: Host, to: Host) -> bool {
        self.0.lock().cut.contains(&(from, to))
    }

    /// Whether a host answers nothing from now on, not even that nobody listens.
    pub fn set_silent(&self, host: Host, is_silent: bool) {
        let state = &mut *self.0.lock();
        match is_silent {
            true => state.silent.insert(host),
            false => state.silent.remove(&host),
        };
    }

    /// Mends all links.
    pub fn mend(&self) {
        let state = &mut *self.0.lock();
        state.cut.clear();
        state.wake_all();
    }

    /// Sets how many pieces of a hundred are late.
    pub fn set_late_percent(&self, percent: usize) {
        self.0.lock().late_percent = percent;
    }

    /// Silences a host as soon as its disk stops.
    pub fn silence_with(&self, host: Host, disk: &SimDisk) {
        self.0.lock().disks.insert(host, disk.clone());
    }

    /// Ends all streams of a host. Others learn it at once (`is_told`: its system closes them), or
    /// when they write to it after its restart.
    pub fn lose(&self, host: Host, now: u64, is_told: bool) {
        let state = &mut *self.0.lock();
        state.listeners.retain(|(of, _), _| *of != host);
        let ids: Vec<u64> = state.conns.keys().copied().collect();
        for id in ids {
            let at = now + state.latency();
            let Some(conn) = state.conns.get_mut(&id) else { continue };
            for end in 0..2 {
                if conn.hosts[end] != host || conn.is_dropped[end] && !conn.is_gone[end] {
                    continue;
                }
                conn.is_gone[end] = !is_told;
                if is_told {
                    conn.break_for(1 - end, at);
                }
            }
        }
    }

    /// Breaks one stream of two hosts, if there is one.
    pub fn break_one(&self, hosts: (Host, Host), now: u64) {
        let state = &mut *self.0.lock();
        let of = |conn: &Conn| conn.hosts == [hosts.0, hosts.1] || conn.hosts == [hosts.1, hosts.0];
        let ids: Vec<u64> = state.conns.iter().filter(|(_, conn)| of(conn)).map(|(id, _)| *id).collect();
        if ids.is_empty() {
            return;
        }
        let id = ids[state.random.below(ids.len())];
        let at = now + state.latency();
        if let Some(conn) = state.conns.get_mut(&id) {
            conn.break_for(0, at);
            conn.break_for(1, at);
        }
    }

    /// Returns what opens connections from a host.
    pub fn dial(&self, from: Host, clock: HostClock) -> Dial {
        let net = self.clone();
        Arc::new(move |name, port| {
            let (net, to) = (net.clone(), host(name));
            Box::pin(async move {
                let to = to?;
                let (there, back) = {
                    let state = &mut *net.0.lock();
                    (state.latency(), state.latency())
                };
                tokio::time::sleep(Duration::from_millis(there)).await;
                let connected = net.connect(from, (to, port), clock.now_ms(), back);
                let Some(connected) = connected else {
                    tokio::time::sleep(CONNECT_MAX).await;
                    return Err(io::ErrorKind::TimedOut.into());
                };
                tokio::time::sleep(Duration::from_millis(back)).await;
                let conn = connected?;
                Ok(Box::new(Stream { net, conn, end: 0, clock, sleep: None }) as Box<dyn Io>)
            })
        })
    }

    /// Opens a stream. `None` if nothing answers.
    fn connect(&self, from: Host, to: (Host, u16), now: u64, back: u64) -> Option<io::Result<u64>> {
        let state = &mut *self.0.lock();
        if state.cut.contains(&(from, to.0)) || state.cut.contains(&(to.0, from)) || state.is_mute(to.0) {
            return None;
        }
        let id = state.next;
        let Some(waiting) = state.listeners.get_mut(&to) else {
            return Some(Err(io::ErrorKind::ConnectionRefused.into()));
        };
        state.next += 1;
        let at = now + back;
        waiting.arriving.push_back((at, id));
        if let Some(acceptor) = waiting.acceptor.take() {
            acceptor.wake();
        }
        let conn = Conn { hosts: [from, to.0], pipes: Default::default(), is_gone: [false; 2], is_dropped: [false; 2] };
        state.conns.insert(id, conn);
        state.note(&[1, at, id, from as u64, to.0 as u64]);
        Some(Ok(id))
    }

    /// Returns what binds the listeners of a host.
    pub fn bind(&self, of: Host, clock: HostClock) -> Bind {
        let net = self.clone();
        Arc::new(move |listener: Listener, _| {
            let net = net.clone();
            Box::pin(async move {
                let at = (of, listener.port);
                let acceptor = Acceptor { net, at, clock };
                Ok(Listening::other(listener, address(of, at.1), Box::new(acceptor)))
            })
        })
    }
}

fn address(host: Host, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host as u8], port))
}

/// Returns the host of a name: `n1`.
fn host(name: &str) -> io::Result<Host> {
    let number = name.strip_prefix('n').and_then(|number| number.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("no such host: {name}")))
}

impl Conn {
    fn break_for(&mut self, end: usize, at: u64) {
        let incoming = &mut self.pipes[1 - end];
        incoming.broken_at = Some(incoming.broken_at.map_or(at, |before| before.min(at)));
        if let Some(reader) = incoming.reader.take() {
            reader.wake();
        }
    }
}

impl State {
    fn note(&mut self, parts: &[u64]) {
        for part in parts {
            self.digest = (self.digest ^ part).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(29);
        }
    }

    fn latency(&mut self) -> u64 {
        let extra = match self.random.chance(self.late_percent) {
            true => self.random.below(300),
            false => self.random.below(8),
        };
        LATENCY_MIN_MS + extra as u64
    }

    fn is_mute(&self, host: Host) -> bool {
        self.silent.contains(&host) || self.disks.get(&host).is_some_and(SimDisk::has_stopped)
    }

    fn wake_all(&mut self) {
        for conn in self.conns.values_mut() {
            for pipe in &mut conn.pipes {
                if let Some(reader) = pipe.reader.take() {
                    reader.wake();
                }
            }
        }
    }
}

#[derive(Debug)]
struct Acceptor {
    net: Net,
    at: (Host, u16),
    clock: HostClock,
}

impl Accept for Acceptor {
    fn accept(&self) -> BoxFuture<'_, io::Result<(Box<dyn Io>, SocketAddr)>> {
        Box::pin(async move {
            // As in a node: clients are refused until they are accepted.
            self.net.0.lock().listeners.entry(self.at).or_default();
            let mut sleep: Option<Pin<Box<Sleep>>> = None;
            let id = poll_fn(|cx| self.poll_accept(cx, &mut sleep)).await;
            let from = self.net.0.lock().conns.get(&id).map_or(0, |conn| conn.hosts[0]);
            let stream = Stream { net: self.net.clone(), conn: id, end: 1, clock: self.clock, sleep: None };
            Ok((Box::new(stream) as Box<dyn Io>, address(from, 40_000)))
        })
    }
}

impl Acceptor {
    fn poll_accept(&self, cx: &mut Context<'_>, sleep: &mut Option<Pin<Box<Sleep>>>) -> Poll<u64> {
        loop {
            let now = self.clock.now_ms();
            let at = {
                let state = &mut *self.net.0.lock();
                let Some(waiting) = state.listeners.get_mut(&self.at) else { return Poll::Pending };
                match waiting.arriving.front() {
                    Some((at, id)) if *at <= now => {
                        let id = *id;
                        waiting.arriving.pop_front();
                        return Poll::Ready(id);
                    }
                    front => {
                        let at = front.map(|(at, _)| *at);
                        waiting.acceptor = Some(cx.waker().clone());
                        at
                    }
                }
            };
            let Some(at) = at else { return Poll::Pending };
            ready!(sleep_until(sleep, at - now, cx));
        }
    }
}

/// Polls a timer, which is new unless one runs.
fn sleep_until(sleep: &mut Option<Pin<Box<Sleep>>>, wait_ms: u64, cx: &mut Context<'_>) -> Poll<()> {
    let mut timer = Box::pin(tokio::time::sleep(Duration::from_millis(wait_ms)));
    match timer.as_mut().poll(cx) {
        Poll::Ready(()) => Poll::Ready(()),
        Poll::Pending => {
            *sleep = Some(timer);
            Poll::Pending
        }
    }
}

/// One end of a stream.
#[derive(Debug)]
struct Stream {
    net: Net,
    conn: u64,
    end: usize,
    clock: HostClock,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What a reader finds.
enum Found {
    Piece(Vec<u8>),
    End,
    Broken,
    Wait(Option<u64>),
}

impl Stream {
    fn look(&self, now: u64, waker: &Waker) -> Found {
        let state = &mut *self.net.0.lock();
        let Some(conn) = state.conns.get_mut(&self.conn) else { return Found::Broken };
        let (from, to) = (conn.hosts[1 - self.end], conn.hosts[self.end]);
        let is_cut = state.cut.contains(&(from, to));
        let pipe = &mut conn.pipes[1 - self.end];
        if pipe.broken_at.is_some_and(|at| at <= now) {
            return Found::Broken;
        }
        let next = pipe.pieces.front().map(|(at, _)| *at).or(pipe.closed_at);
        pipe.reader = Some(waker.clone());
        match next {
            _ if is_cut => Found::Wait(pipe.broken_at),
            Some(at) if at <= now => match pipe.pieces.pop_front() {
                None => Found::End,
                Some((_, mut piece)) => {
                    if piece.len() > READ_BYTES {
                        let rest = piece.split_off(READ_BYTES);
                        pipe.pieces.push_front((at, rest));
                    }
                    let sum = u64::from(crc(&piece));
                    state.note(&[2, now, self.conn, self.end as u64, piece.len() as u64, sum]);
                    Found::Piece(piece)
                }
            },
            next => Found::Wait([next, pipe.broken_at].into_iter().flatten().min()),
        }
    }
}

/// Returns a sum of bytes.
fn crc(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        loop {
            let now = self.clock.now_ms();
            match self.look(now, cx.waker()) {
                Found::Piece(piece) => {
                    let taken = piece.len().min(buffer.remaining());
                    buffer.put_slice(&piece[..taken]);
                    if taken < piece.len() {
                        let state = &mut *self.net.0.lock();
                        if let Some(conn) = state.conns.get_mut(&self.conn) {
                            conn.pipes[1 - self.end].pieces.push_front((now, piece[taken..].to_vec()));
                        }
                    }
                    return Poll::Ready(Ok(()));
                }
                Found::End => return Poll::Ready(Ok(())),
                Found::Broken => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Found::Wait(None) => return Poll::Pending,
                Found::Wait(Some(at)) => {
                    let this = &mut *self;
                    ready!(sleep_until(&mut this.sleep, at.saturating_sub(now), cx));
                }
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let now = self.clock.now_ms();
        let state = &mut *self.net.0.lock();
        let latency = state.latency();
        let Some(hosts) = state.conns.get(&self.conn).map(|conn| conn.hosts) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let (own, other) = (hosts[self.end], hosts[1 - self.end]);
        if state.is_mute(own) {
            return Poll::Ready(Ok(bytes.len()));
        }
        let Some(conn) = state.conns.get_mut(&self.conn) else { return Poll::Pending };
        if conn.pipes[1 - self.end].broken_at.is_some_and(|at| at <= now) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if conn.is_gone[1 - self.end] {
            // The system of a host that has started again knows nothing of the stream.
            if state.listeners.keys().any(|(host, _)| *host == other) && !state.cut.contains(&(own, other)) {
                conn.break_for(self.end, now + latency);
            }
            return Poll::Ready(Ok(bytes.len()));
        }
        let pipe = &mut conn.pipes[self.end];
        let at = (now + latency).max(pipe.last_at);
        pipe.last_at = at;
        pipe.pieces.push_back((at, bytes.to_vec()));
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
        state.pieces += 1;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close();
        Poll::Ready(Ok(()))
    }
}

impl Stream {
    fn close(&self) {
        let now = self.clock.now_ms();
        let state = &mut *self.net.0.lock();
        let at = now + state.latency();
        let host = state.conns.get(&self.conn).map(|conn| conn.hosts[self.end]);
        let is_mute = host.is_some_and(|host| state.is_mute(host));
        let Some(conn) = state.conns.get_mut(&self.conn) else { return };
        let pipe = &mut conn.pipes[self.end];
        if is_mute || pipe.closed_at.is_some() {
            return;
        }
        pipe.closed_at = Some(at.max(pipe.last_at));
        if let Some(reader) = pipe.reader.take() {
            reader.wake();
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.clock.is_dead() {
            self.close();
        }
        let state = &mut *self.net.0.lock();
        if let Some(conn) = state.conns.get_mut(&self.conn) {
            conn.is_dropped[self.end] = true;
            if conn.is_dropped == [true; 2] {
                state.conns.remove(&self.conn);
            }
        }
    }
}
