//! The connection of a fetcher to the leader of its partitions.

use super::brokers::{BrokerConnection, OtherBrokers};
use crate::peer::Peer;
use crate::replica::fetcher::LeaderLink;
use model::BrokerId;
use parking_lot::Mutex;
use protocol::messages::fetch_request::FetchRequest;
use protocol::messages::fetch_response::FetchResponse;
use protocol::messages::list_offsets_request::ListOffsetsRequest;
use protocol::messages::list_offsets_response::ListOffsetsResponse;
use std::sync::Arc;
use std::time::Duration;

/// A connection to a leader, which nothing else uses: a fetch waits there for records.
#[derive(Debug)]
pub struct BrokerLink {
    brokers: Arc<OtherBrokers>,
    leader: BrokerId,
    connection: Mutex<BrokerConnection>,
    /// `replica.socket.timeout.ms`
    timeout: Duration,
}

impl BrokerLink {
    /// Creates it. Nothing is connected before the first request.
    pub fn new(brokers: Arc<OtherBrokers>, leader: BrokerId, timeout: Duration) -> Self {
        Self { brokers, leader, connection: Mutex::default(), timeout }
    }

    fn peer(&self) -> Result<Peer, String> {
        let peer = self.brokers.own_peer(&mut self.connection.lock(), self.leader);
        peer.ok_or_else(|| format!("broker {} is not registered, or is fenced", self.leader))
    }
}

impl LeaderLink for BrokerLink {
    async fn fetch(&self, request: FetchRequest, response_bytes_max: usize) -> Result<FetchResponse, String> {
        let fetched = self.peer()?.ask_up_to(response_bytes_max, request, self.timeout).await;
        fetched.map_err(|error| error.to_string())
    }

    async fn list_offsets(&self, request: ListOffsetsRequest) -> Result<ListOffsetsResponse, String> {
        self.peer()?.ask(request, self.timeout).await.map_err(|error| error.to_string())
    }

    fn close(&self) {
        *self.connection.lock() = BrokerConnection::default();
    }
}
