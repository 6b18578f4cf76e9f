//! The HTTP listener for operators: `/livez`, `/readyz` and `/metrics`. It is off by default.

mod collector;

use crate::broker::Broker;
use crate::config::Address;
use crate::telemetry::Exposition;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use collector::StateCollector;
use std::future::IntoFuture as _;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, lookup_host};

/// The socket of the HTTP endpoint, and its address.
pub type Bound = (TcpListener, SocketAddr);

/// Binds the address and returns the socket and its bound address. Errors: the host is unknown, or
/// the address is in use.
pub async fn bind(address: &Address) -> io::Result<Bound> {
    let Address { host, port } = address;
    let mut wanted: Vec<SocketAddr> = match host.as_str() {
        // The first address serves IPv4 and IPv6. The second is for a machine without IPv6.
        "" => vec![(Ipv6Addr::UNSPECIFIED, *port).into(), (Ipv4Addr::UNSPECIFIED, *port).into()],
        host => lookup_host((host, *port)).await?.collect(),
    };
    // As for Kafka's listeners, `localhost` is 127.0.0.1 if it resolves to both 127.0.0.1 and ::1.
    if !host.is_empty() {
        wanted.sort_by_key(SocketAddr::is_ipv6);
    }
    let socket = TcpListener::bind(wanted.as_slice()).await?;
    let address = socket.local_addr()?;
    Ok((socket, address))
}

/// How long requests may take to finish when the broker stops.
const REQUESTS_END: Duration = Duration::from_secs(1);

/// The answer to `/` and to any unknown path.
const PATHS: &str = "This is the HTTP port of Gregor, a Kafka broker and controller. There are:
/livez    200 while the process runs
/readyz   200 once every partition is served and the broker is not fenced; else 503 with what is missing
/metrics  metrics in the text format of Prometheus, or in OpenMetrics if Accept requests it
Kafka clients connect to another port, which the log names at the start.
";

/// Serves requests until the broker stops.
pub async fn serve(broker: Arc<Broker>, socket: TcpListener) {
    broker.metrics.register_collector(Box::new(StateCollector::new(&broker)));
    let routes = Router::new()
        .route("/", get(|| async { PATHS }))
        .fallback(|| async { (StatusCode::NOT_FOUND, PATHS) })
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(broker.clone());
    let (stopping, ended) = (broker.stopping.clone(), broker.stopping.clone());
    let served = axum::serve(socket, routes).with_graceful_shutdown(async move { stopping.cancelled().await });
    tokio::select! {
        biased;
        served = served.into_future() => {
            if let Err(error) = served {
                tracing::warn!(%error, "the HTTP listener failed");
            }
        }
        // A peer that sends half a request must not delay the stop.
        () = async { ended.cancelled().await; tokio::time::sleep(REQUESTS_END).await } => {}
    }
}

/// Answers 200 once every partition is served and the broker is unfenced; before that, 503 with
/// what is missing.
async fn ready(State(broker): State<Arc<Broker>>) -> Response {
    match broker.not_ready_because() {
        None => "ready\n".into_response(),
        Some(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("{reason}\n")).into_response(),
    }
}

async fn metrics(State(broker): State<Arc<Broker>>, headers: HeaderMap) -> Response {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let format = Exposition::accepted(&accepted.collect::<Vec<_>>().join(","));
    let kind = [(header::CONTENT_TYPE, format.content_type())];
    // On the pool: the state of thousands of partitions takes long to write, and this thread serves
    // connections.
    match broker.env.run(move || broker.metrics.text(format)).await {
        Ok(Ok(text)) => (kind, text).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
