//! The memory of the active controller: when it last heard from which broker. It is not replicated;
//! a new controller starts without it.

use crate::image::{Broker, Image};
use model::{BrokerEpoch, BrokerId, Monotonic, Offset};
use std::collections::BTreeMap;

/// The controller's memory of brokers.
#[derive(Clone, Debug, Default)]
pub struct Soft {
    sessions: BTreeMap<BrokerId, BrokerSession>,
    /// Where the registration of each broker stands in the log. Before it has read that record, it
    /// may not be unfenced.
    registered_at: BTreeMap<BrokerId, Offset>,
}

/// What the controller remembers of one broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BrokerSession {
    /// The registration that it belongs to.
    pub epoch: BrokerEpoch,
    /// When the controller last heard from it.
    pub last_contact: Monotonic,
    /// The offset up to which it has applied the metadata log; `None` before its first heartbeat
    /// says so.
    pub metadata_offset: Option<Offset>,
    /// Set in a controlled shutdown: the offset that every active broker must reach before it may
    /// stop.
    pub controlled_shutdown_offset: Option<Offset>,
}

impl BrokerSession {
    /// Whether the broker was silent for longer than its session lasts.
    pub fn has_ended(&self, now: Monotonic, timeout_ms: i64) -> bool {
        now.ms_since(self.last_contact) > u64::try_from(timeout_ms).unwrap_or(0)
    }
}

/// A change of this memory. The driver makes it with [`Soft::apply`] when the decision's records
/// are appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SoftChange {
    /// A broker registered anew; its session starts with its first heartbeat.
    Registered(BrokerId),
    /// A broker amended its registration; its session goes on.
    Amended(BrokerId),
    /// A heartbeat.
    Heard {
        /// Of whom.
        broker: BrokerId,
        /// Under which registration.
        epoch: BrokerEpoch,
        /// When.
        at: Monotonic,
        /// The offset up to which it has applied the metadata log.
        metadata_offset: Option<Offset>,
        /// Whether it is fenced now, which ends a controlled shutdown.
        fenced: bool,
    },
    /// A broker is in controlled shutdown. It may stop when all active brokers have applied the end
    /// of this decision's records.
    ShuttingDown(BrokerId),
    /// A broker was fenced because it was silent or lost.
    Forgotten(BrokerId),
    /// A broker was unregistered.
    Unregistered(BrokerId),
}

impl Soft {
    /// Creates the memory of a controller that has just become active: every broker has a session
    /// from now on, and was registered at the latest at the end of the image. `own` is the broker
    /// in this process. Its earlier incarnation cannot be alive, since this process holds the lock
    /// of its log dirs. So it may register at once. Kafka does not know that: a node that crashed
    /// waits there until its old session ends.
    pub fn activated(image: &Image, now: Monotonic, own: Option<BrokerId>) -> Self {
        let session =
            |epoch| BrokerSession { epoch, last_contact: now, metadata_offset: None, controlled_shutdown_offset: None };
        let brokers = image.cluster.brokers.values().filter(|broker| !broker.fenced && Some(broker.id) != own);
        let sessions = brokers.map(|broker| (broker.id, session(broker.epoch))).collect();
        let end = image.provenance.last_offset;
        let registered_at = image.cluster.brokers.values().map(|it| (it.id, end.unwrap_or(Offset(it.epoch.0))));
        Self { sessions, registered_at: registered_at.collect() }
    }

    /// Lets the session of the broker that runs in the process of the former active controller
    /// begin when that controller last answered. At least half of the session is left: the broker
    /// may run, and its next heartbeat may be under way. Kafka does not count that time: a process
    /// that hangs loses its broker's leaderships later by as long as the election took.
    pub fn begin_earlier(&mut self, broker: BrokerId, answered: Monotonic, timeout_ms: i64) {
        if let Some(session) = self.sessions.get_mut(&broker) {
            let half_ms = u64::try_from(timeout_ms / 2).unwrap_or(0);
            let earliest = Monotonic(session.last_contact.0.saturating_sub(half_ms));
            session.last_contact = answered.clamp(earliest, session.last_contact);
        }
    }

    /// Makes a change; `end` is the last offset that is appended.
    pub fn apply(&mut self, change: SoftChange, end: Offset) {
        match change {
            SoftChange::Registered(broker) => {
                self.sessions.remove(&broker);
                self.registered_at.insert(broker, end);
            }
            SoftChange::Amended(broker) => {
                self.registered_at.insert(broker, end);
            }
            SoftChange::Forgotten(broker) => {
                self.sessions.remove(&broker);
            }
            SoftChange::Unregistered(broker) => {
                self.sessions.remove(&broker);
                self.registered_at.remove(&broker);
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

    /// Extends all sessions by the time in which the controller did not listen, since its disk was
    /// slow or full. No broker could be heard, and that time counts against none.
    pub fn extend_sessions(&mut self, ms: u64) {
        for session in self.sessions.values_mut() {
            session.last_contact = session.last_contact.plus_ms(i64::try_from(ms).unwrap_or(i64::MAX));
        }
    }

    /// The session of a broker.
    pub fn session(&self, broker: BrokerId) -> Option<&BrokerSession> {
        self.sessions.get(&broker)
    }

    /// The offset that a broker must have read before it may be unfenced.
    pub fn registered_at(&self, broker: &Broker) -> Offset {
        self.registered_at.get(&broker.id).copied().unwrap_or(Offset(broker.epoch.0))
    }

    /// The broker that was silent for the longest time, where that is longer than its session.
    pub(super) fn most_stale(&self, now: Monotonic, timeout_ms: i64) -> Option<(BrokerId, &BrokerSession)> {
        self.sessions()
            .filter(|(_, session)| session.has_ended(now, timeout_ms))
            .min_by_key(|(id, session)| (session.last_contact, *id))
    }

    /// Every session.
    pub fn sessions(&self) -> impl Iterator<Item = (BrokerId, &BrokerSession)> {
        self.sessions.iter().map(|(id, session)| (*id, session))
    }

    /// Whether the controller heard from this registration of a broker within the session timeout.
    pub fn has_valid_session(&self, broker: BrokerId, epoch: BrokerEpoch, now: Monotonic, timeout_ms: i64) -> bool {
        self.session(broker).is_some_and(|it| it.epoch == epoch && !it.has_ended(now, timeout_ms))
    }

    /// When the next session ends unless it is renewed. The driver then calls
    /// [`super::fence_stale_brokers`].
    pub fn next_expiry(&self, timeout_ms: i64) -> Option<Monotonic> {
        self.sessions.values().map(|session| session.last_contact.plus_ms(timeout_ms)).min()
    }
}
