//! The server side of sockets: listeners, connections, their limits, and how they end.
//!
//! Nothing here knows what a request means. A connection cuts the stream into frames, hands each to `api`, and sends the replies in the order
//! of the requests.

mod connection;
mod frame;
mod listener;
mod send;
mod threads;

pub use listener::{Listening, Open, bind, connection_threads, free_loopback_port};
pub use threads::{ConnectionThreads, ThreadLoad, measured};
