//! Messages between replicas and the controller, and the network that carries them.

use crate::controller::Image;
use crate::log::Record;
use crate::random::Random;
use model::{BrokerEpoch, BrokerId, ErrorCode, Offset};
use replica::{BoundQuestion, CommittedIsr, FetchAnswer, FetchPosition, IsrProposal};
use std::collections::BTreeSet;

/// The controller's address.
pub const CONTROLLER: BrokerId = BrokerId(0);

/// The sender of a request.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    pub id: BrokerId,
    pub incarnation: u32,
    pub broker_epoch: Option<BrokerEpoch>,
    /// Numbers the requests of one broker. The answer repeats it.
    pub request: u64,
}

/// A message.
#[derive(Clone, Debug)]
pub enum Message {
    Register { from: Sender, has_lost: bool },
    Heartbeat { from: Sender, is_leaving: bool },
    Alter { from: Sender, proposal: IsrProposal },
    Fetch { from: Sender, position: FetchPosition, log_start: i64, count: usize },
    Ask { from: Sender, question: BoundQuestion },
    Registered { epoch: BrokerEpoch },
    MayShutDown,
    Image(Box<Image>),
    Altered { proposal: IsrProposal, answer: Result<CommittedIsr, ErrorCode> },
    Fetched { request: u64, position: FetchPosition, answer: FetchAnswer, records: Vec<Record> },
    Told { request: u64, asked: BoundQuestion, answer: Result<Offset, ErrorCode> },
}

/// A message on its way.
#[derive(Clone, Debug)]
pub struct Envelope {
    pub from: BrokerId,
    pub to: BrokerId,
    /// The incarnation that a message is for. It goes down with its connection.
    pub incarnation: Option<u32>,
    pub message: Message,
}

/// The state of the network.
#[derive(Debug, Default)]
pub struct Network {
    /// Links that carry nothing, as sender and receiver.
    pub cut: BTreeSet<(BrokerId, BrokerId)>,
    /// Whether messages are dropped, repeated and much delayed.
    pub is_faulty: bool,
    /// The longest delay.
    pub delay_max_ms: usize,
}

impl Network {
    /// Returns the delays after which a message arrives: none if it is dropped, two if it is
    /// repeated.
    pub fn delays(&self, envelope: &Envelope, random: &mut Random) -> Vec<u64> {
        if self.cut.contains(&(envelope.from, envelope.to)) {
            return Vec::new();
        }
        let short = 1 + random.below(6) as u64;
        if !self.is_faulty {
            return vec![short];
        }
        match random.below(100) {
            0..4 => Vec::new(),
            4..8 => vec![short, 1 + random.below(self.delay_max_ms) as u64],
            8..16 => vec![1 + random.below(self.delay_max_ms * 2 / 3) as u64],
            _ => vec![short],
        }
    }
}
