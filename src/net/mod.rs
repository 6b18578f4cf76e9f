//! The server side of sockets: listeners, connections, their limits, and how they end.
//!
//! This module does not know what a request means. A connection splits the stream into frames,
//! passes each frame to `api`, and sends the replies in the order of the requests.

mod connection;
mod frame;
mod listener;
mod send;
mod socket;
mod threads;

pub use listener::{Bind, Listening, Open, bind, connection_threads, free_loopback_port, tcp};
pub use socket::Accept;
pub use threads::{ConnectionThreads, ThreadLoad, measured};
