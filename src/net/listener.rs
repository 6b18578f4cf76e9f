//! Binds the listeners and accepts connections.

use super::connection::{self, Ended, Finished, LoginTerms, Terms};
use super::frame::FrameReader;
use super::socket::{Accept, IoSocket};
use super::threads::{ConnectionThreads, Moving, Seat, ThreadLoad};
use crate::api::{self, Connection};
use crate::broker::Broker;
use crate::config::Listener;
use crate::env::clock::Clock;
use crate::peer::Io;
use crate::runtime::limits::{Place, Side};
use crate::security::AUTHENTICATION_MAX;
use crate::telemetry::Complaint;
use futures_util::future::BoxFuture;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::{info, warn};

/// How long accepting pauses after the process ran out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket and its listener.
#[derive(Debug)]
pub struct Listening {
    /// The listener as configured.
    pub listener: Arc<Listener>,
    /// The bound address. Its port differs from the configured port if that is 0.
    pub address: SocketAddr,
    socket: ListenSocket,
}

/// A bound socket.
#[derive(Debug)]
enum ListenSocket {
    /// The system refuses connections, and has this limit for those that will wait to be accepted.
    Bound(socket2::Socket, i32),
    Tcp(TcpListener),
    Other(Box<dyn Accept>),
}

/// A connection that was accepted.
enum Accepted {
    Tcp(TcpStream),
    Other(Box<dyn Io>),
}

impl ListenSocket {
    async fn accept(&self) -> io::Result<(Accepted, SocketAddr)> {
        Ok(match self {
            ListenSocket::Bound(..) => return Err(io::ErrorKind::NotConnected.into()),
            ListenSocket::Tcp(socket) => {
                let (stream, peer) = socket.accept().await?;
                (Accepted::Tcp(stream), peer)
            }
            ListenSocket::Other(socket) => {
                let (stream, peer) = socket.accept().await?;
                (Accepted::Other(stream), peer)
            }
        })
    }
}

/// Binds a listener, with a limit for connections that wait to be accepted.
pub type Bind = Arc<dyn Fn(Listener, u32) -> BoxFuture<'static, io::Result<Listening>> + Send + Sync>;

/// Binds TCP sockets.
pub fn tcp() -> Bind {
    Arc::new(|listener, backlog| Box::pin(bind(listener, backlog)))
}

/// The ports that nodes are given. Linux takes the ports of outgoing connections from 32768 up, so
/// that none of them takes such a port while its node is down.
const GIVEN_PORTS: Range<u16> = 10_000..20_000;

/// Returns a port on 127.0.0.1 that is free now, each time another one. Errors: none is free.
pub fn free_loopback_port() -> io::Result<u16> {
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    let (first, count) = (GIVEN_PORTS.start, u64::from(GIVEN_PORTS.end - GIVEN_PORTS.start));
    // Processes that run at the same time begin far apart.
    let begin = u64::from(std::process::id()) * 997;
    let mut last = io::ErrorKind::AddrInUse.into();
    for _ in 0..count {
        let offset = (begin + GIVEN.fetch_add(1, Ordering::Relaxed)) % count;
        let port = first + u16::try_from(offset).map_err(io::Error::other)?;
        match std::net::TcpListener::bind(("127.0.0.1", port)) {
            Ok(_) => return Ok(port),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Binds one listener. Connections are refused until it listens. An empty host means every
/// interface. Errors: the address is in use, or is not an address of this machine.
pub async fn bind(listener: Listener, backlog: u32) -> io::Result<Listening> {
    let host = if listener.host.is_empty() { "::" } else { listener.host.as_str() };
    let mut last = io::Error::new(io::ErrorKind::AddrNotAvailable, "the host has no address");
    let mut addresses: Vec<SocketAddr> = match tokio::net::lookup_host((host, listener.port)).await {
        Ok(addresses) => addresses.collect(),
        Err(error) => return Err(error),
    };
    // As in Java, `localhost` is 127.0.0.1 if it resolves to both 127.0.0.1 and ::1.
    addresses.sort_by_key(SocketAddr::is_ipv6);
    let every = [SocketAddr::from(([0, 0, 0, 0], listener.port))];
    for address in addresses.iter().chain(every.iter().filter(|_| listener.host.is_empty())) {
        match bind_address(*address) {
            Ok(socket) => {
                let address = socket.local_addr()?.as_socket().ok_or(io::ErrorKind::Unsupported)?;
                let socket = ListenSocket::Bound(socket, i32::try_from(backlog).unwrap_or(i32::MAX));
                return Ok(Listening { listener: Arc::new(listener), address, socket });
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn bind_address(address: SocketAddr) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(address), socket2::Type::STREAM, None)?;
    if address.is_ipv6() {
        // For all interfaces, one socket serves IPv4 and IPv6.
        socket.set_only_v6(false)?;
    }
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

impl Listening {
    /// A listener whose connections are other streams than TCP sockets. The thread that accepts
    /// them serves them.
    pub fn other(listener: Listener, address: SocketAddr, socket: Box<dyn Accept>) -> Self {
        Self { listener: Arc::new(listener), address, socket: ListenSocket::Other(socket) }
    }

    /// Lets clients connect: the operating system queues their connections until they are accepted.
    /// Errors: another process listens at the address.
    pub fn listen(&mut self) -> io::Result<()> {
        if let ListenSocket::Bound(socket, backlog) = &self.socket {
            socket.listen(*backlog)?;
            self.socket = ListenSocket::Tcp(TcpListener::from_std(socket.try_clone()?.into())?);
        }
        Ok(())
    }

    /// Accepts connections until the broker stops; `connections` tracks them. Clients are accepted
    /// once the controller has unfenced this broker for the first time. Before that, Metadata would
    /// list no broker, and a client would wait long before it asks again. Until then, they are
    /// refused as by Kafka, and ask another broker, or they are queued if the listener listens
    /// already. Errors: another process listens at the address.
    pub async fn accept(
        mut self,
        broker: Arc<Broker>,
        threads: Arc<ConnectionThreads<Open>>,
        connections: TaskTracker,
    ) -> io::Result<()> {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let stopping = broker.stopping_of(&self.listener).clone();
        let side = if self.listener.is_controller { Side::Controller } else { Side::Broker };
        if side == Side::Broker {
            let mut unfenced = broker.unfenced.clone();
            tokio::select! {
                biased;
                () = stopping.cancelled() => return Ok(()),
                _ = unfenced.wait_for(|unfenced| *unfenced) => {}
            }
        }
        self.listen()?;
        loop {
            let accepted = tokio::select! {
                biased;
                () = stopping.cancelled() => return Ok(()),
                accepted = self.socket.accept() => accepted,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    warn!(listener = %self.listener.name, %error, "accepting a connection failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let place = tokio::select! {
                biased;
                () = stopping.cancelled() => return Ok(()),
                place = broker.limits.enter(side, peer.ip().to_canonical()) => place,
            };
            let Some(place) = place else {
                info!(listener = %self.listener.name, peer = %peer.ip(), "refused a connection: max.connections.per.ip");
                continue;
            };
            let connection = Connection::new(NEXT_ID.fetch_add(1, Ordering::Relaxed), self.listener.clone(), peer);
            let open = Open {
                connection: Arc::new(connection),
                metered: Metered::new(broker.clone()),
                _place: place,
                _counted: connections.token(),
            };
            let stream = match stream {
                Accepted::Tcp(stream) => stream,
                Accepted::Other(stream) => {
                    tokio::spawn(serve_other(open, stream));
                    continue;
                }
            };
            match prepare(&broker, &stream).and_then(|()| stream.into_std()) {
                Ok(stream) => threads.add(Moving { connection: open, stream, reader: FrameReader::default() }),
                Err(error) => warn!(peer = %peer, %error, "preparing a connection failed"),
            }
        }
    }
}

/// An open connection, on the thread that currently serves it.
pub struct Open {
    connection: Arc<Connection>,
    metered: Metered,
    _place: Place,
    _counted: TaskTrackerToken,
}

/// A connection that is counted in the metrics while it is open.
struct Metered(Arc<Broker>);

impl Metered {
    fn new(broker: Arc<Broker>) -> Self {
        broker.metrics.connections_total.inc();
        broker.metrics.connections.inc();
        Self(broker)
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.0.metrics.connections.dec();
    }
}

/// Creates the threads that serve the connections of a broker. `main` is the load of the thread
/// that will run the first of them.
pub fn connection_threads(count: usize, main: Arc<ThreadLoad>, clock: Clock) -> Arc<ConnectionThreads<Open>> {
    let serve = |seat, moving: Moving<Open>| drop(tokio::spawn(serve(seat, moving)));
    ConnectionThreads::new(count, main, clock, Box::new(serve))
}

/// Serves a connection until it ends or moves to another thread. If the peer caused the end, the
/// reason is logged once.
async fn serve(mut seat: Seat<Open>, moving: Moving<Open>) {
    let Moving { connection: open, stream, reader } = moving;
    let broker = open.metered.0.clone();
    let (connection, peer) = (open.connection.clone(), open.connection.peer);
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return warn!(%peer, %error, "a connection could not be served"),
    };
    let begin = |frame| api::serve(broker.clone(), connection.clone(), frame);
    match connection::serve(terms(&broker, &connection), (stream, reader), begin, || seat.served()).await {
        Ok(Finished::Ended) => {}
        Ok(Finished::Left { to, stream, reader }) => match stream.into_std() {
            Ok(stream) => seat.move_to(to, Moving { connection: open, stream, reader }),
            Err(error) => warn!(%peer, %error, "a connection could not be moved to another thread"),
        },
        Err(error) if error.is_the_peers_fault() => tell(&broker, &connection, &error),
        Err(_) => {}
    }
}

/// Serves a connection that stays on its thread.
async fn serve_other(open: Open, stream: Box<dyn Io>) {
    let (broker, connection) = (&open.metered.0, &open.connection);
    let begin = |frame| api::serve(broker.clone(), connection.clone(), frame);
    let socket = (IoSocket::new(stream), FrameReader::default());
    let served = connection::serve(terms(broker, connection), socket, begin, || None::<()>).await;
    if let Err(error) = served
        && error.is_the_peers_fault()
    {
        tell(broker, connection, &error);
    }
}

/// Logs why a connection was closed, once for each client software and reason in a period.
fn tell(broker: &Broker, connection: &Connection, error: &Ended) {
    let (software, client_id) = connection.client();
    let client = software.clone().or_else(|| client_id.as_deref().map(str::to_owned)).unwrap_or_default();
    let complaint = Complaint { client, reason: error.to_string() };
    if let Some(left_out) = broker.complaints.admit(complaint, broker.clock.monotonic()) {
        warn!(
            peer = %connection.peer,
            listener = %connection.listener.name,
            software,
            client_id = client_id.as_deref(),
            left_out = (left_out > 0).then_some(left_out),
            %error,
            "closed a connection"
        );
    }
}

/// The settings do not change while the connection is open: Kafka changes them only with a restart.
fn terms<'a>(broker: &'a Broker, connection: &'a Connection) -> Terms<'a> {
    let settings = broker.settings();
    let login = connection.authentication.as_ref().map(|_| LoginTerms {
        connection,
        request_bytes_max: usize::try_from(settings.sasl_server_max_receive_size).unwrap_or(0),
        time: AUTHENTICATION_MAX,
    });
    Terms {
        idle: u64::try_from(settings.connections_max_idle_ms).map_or(Duration::MAX, Duration::from_millis),
        request_bytes_max: usize::try_from(settings.socket_request_max_bytes).unwrap_or(usize::MAX),
        login,
        request_memory: &broker.request_memory,
        stopping: broker.stopping_of(&connection.listener),
        env: broker.env,
    }
}

fn prepare(broker: &Broker, stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = socket2::SockRef::from(stream);
    socket.set_keepalive(true)?;
    // -1 keeps the default of the operating system, as in Kafka.
    if let Ok(bytes) = usize::try_from(broker.settings().socket_send_buffer_bytes) {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Ok(bytes) = usize::try_from(broker.settings().socket_receive_buffer_bytes) {
        socket.set_recv_buffer_size(bytes)?;
    }
    Ok(())
}
