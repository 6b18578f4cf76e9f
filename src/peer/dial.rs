//! How a connection is opened. What lies between the socket and the requests (TLS, SASL) belongs
//! here: a [`Dial`] returns a stream on which requests may be sent.

use futures_util::future::BoxFuture;
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A stream of bytes in both directions.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// Opens a connection to a host and a port.
pub type Dial = Arc<dyn Fn(&str, u16) -> BoxFuture<'static, io::Result<Box<dyn Io>>> + Send + Sync>;

/// Opens plain TCP connections.
pub fn tcp() -> Dial {
    Arc::new(|host, port| {
        let host = host.to_owned();
        Box::pin(async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            socket2::SockRef::from(&stream).set_keepalive(true)?;
            Ok(Box::new(stream) as Box<dyn Io>)
        })
    })
}
