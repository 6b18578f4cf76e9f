//! What only the active controller remembers: when it last heard from which broker. It is not replicated; a new controller begins anew.

use crate::image::Image;
use model::{BrokerEpoch, BrokerId, Monotonic, Offset};
use std::collections::BTreeMap;

/// The controller's memory of brokers.
#[derive(Clone, Debug, Default)]
pub struct Soft {
    sessions: BTreeMap<BrokerId, BrokerSession>,
}

/// What the controller remembers of one broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerSession {
    /// The registration that it belongs to.
    pub epoch: BrokerEpoch,
    /// When it was last heard from.
    pub last_contact: Monotonic,
    /// Up to where it has applied the metadata log; `None` before it said so.
    pub metadata_offset: Option<Offset>,
    /// Once it is shutting down, the offset that every active broker must reach before it may go.
    pub controlled_shutdown_offset: Option<Offset>,
}

impl BrokerSession {
    /// Whether the broker was silent for longer than it may be.
    pub fn has_ended(&self, now: Monotonic, timeout_ms: i64) -> bool {
        now.ms_since(self.last_contact) > u64::try_from(timeout_ms).unwrap_or(0)
    }
}

/// A change of what is remembered. The driver makes it with [`Soft::apply`] when the decision's records are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftChange {
    /// A broker registered anew; its session starts with its first heartbeat.
    Registered(BrokerId),
    /// A heartbeat.
    Heard {
        /// Of whom.
        broker: BrokerId,
        /// Under which registration.
        epoch: BrokerEpoch,
        /// When.
        at: Monotonic,
        /// How far it has come.
        metadata_offset: Option<Offset>,
        /// Whether it is fenced now, which ends a controlled shutdown.
        fenced: bool,
    },
    /// A broker is in controlled shutdown: it may go when all active brokers have seen the end of this decision's records.
    ShuttingDown(BrokerId),
    /// A broker was fenced for its silence, or unregistered.
    Forgotten(BrokerId),
}

impl Soft {
    /// The memory of a controller that has just become active: every broker has a session from now on. `own` is the broker in this very process: an
    /// earlier incarnation of it cannot be alive, since this process holds the lock of its log dirs, so it may register at once. Kafka does not know
    /// that, and a node that crashed waits there until its old session ends.
    pub fn activated(image: &Image, now: Monotonic, own: Option<BrokerId>) -> Self {
        let session =
            |epoch| BrokerSession { epoch, last_contact: now, metadata_offset: None, controlled_shutdown_offset: None };
        let brokers = image.cluster.brokers.values().filter(|broker| !broker.fenced && Some(broker.id) != own);
        Self { sessions: brokers.map(|broker| (broker.id, session(broker.epoch))).collect() }
    }

    /// Makes a change; `end` is the last offset that is appended.
    pub fn apply(&mut self, change: SoftChange, end: Offset) {
        match change {
            SoftChange::Registered(broker) | SoftChange::Forgotten(broker) => {
                self.sessions.remove(&broker);
            }
            SoftChange::Heard { broker, epoch, at, metadata_offset, fenced } => {
                let before = self.sessions.get(&broker).filter(|session| session.epoch == epoch);
                let shutdown = before.and_then(|session| session.controlled_shutdown_offset).filter(|_| !fenced);
                let session =
                    BrokerSession { epoch, last_contact: at, metadata_offset, controlled_shutdown_offset: shutdown };
                self.sessions.insert(broker, session);
            }
            SoftChange::ShuttingDown(broker) => {
                if let Some(session) = self.sessions.get_mut(&broker) {
                    session.controlled_shutdown_offset = Some(end);
                }
            }
        }
    }

    /// The controller itself did not listen for so long, since its disk was slow or full: no broker could be heard,
    /// and that time counts against none.
    pub fn extend_sessions(&mut self, ms: u64) {
        for session in self.sessions.values_mut() {
            session.last_contact = session.last_contact.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX));
        }
    }

    /// What is remembered of a broker.
    pub fn session(&self, broker: BrokerId) -> Option<&BrokerSession> {
        self.sessions.get(&broker)
    }

    /// Every session.
    pub fn sessions(&self) -> impl Iterator<Item = (BrokerId, &BrokerSession)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// Whether a registration of this broker was heard from lately.
    pub fn has_valid_session(&self, broker: BrokerId, epoch: BrokerEpoch, now: Monotonic, timeout_ms: i64) -> bool {
        self.session(broker).is_some_and(|it| it.epoch == epoch && !it.has_ended(now, timeout_ms))
    }

    /// When the next session ends unless it is renewed: a driver calls [`super::fence_stale_brokers`] then.
    pub fn next_expiry(&self, timeout_ms: i64) -> Option<Monotonic> {
        self.sessions.values().map(|session| session.last_contact.plus_ms(timeout_ms)).min()
    }
}
