//! Connections to other nodes. Gregor sends them no requests yet. It only checks whether a node can
//! be reached.

use std::time::Duration;
use tokio::net::TcpStream;

/// Whether the address accepts a connection within `timeout`. The connection is closed at once.
pub async fn accepts_connections(host: &str, port: u16, timeout: Duration) -> bool {
    matches!(tokio::time::timeout(timeout, TcpStream::connect((host, port))).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_is_reached_until_it_is_closed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let timeout = Duration::from_secs(10);
        assert!(accepts_connections("127.0.0.1", port, timeout).await);
        drop(listener);
        assert!(!accepts_connections("127.0.0.1", port, timeout).await);
    }
}
