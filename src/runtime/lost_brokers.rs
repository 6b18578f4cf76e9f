//! Finds brokers whose process is gone, long before their session ends, and has the controller
//! fence them.
//!
//! A process that is killed closes its connections. A broker is suspected when the connection of
//! its heartbeats ends, when another process asks to be registered with its id, and, where a
//! controller becomes active, when a controller has the same node id: the leader before may have
//! been killed with its broker. A suspect is fenced if all of its listeners for clients refuse
//! connections [`REFUSALS`] times in a row, and the controller has not heard from it meanwhile. A
//! process that has started again at the same addresses refuses clients until it is registered.
//! Whatever else happens is left to the session timeout: a listener that accepts, one that does not
//! answer, a name that is not known. So a broker that is slow, paused or cut off is never fenced
//! here.

use super::controller::ControllerHandle;
use crate::env::clock::Clock;
use crate::peer::Dial;
use arc_swap::ArcSwap;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use metadata::decide::{self, LostBroker};
use metadata::image::Image;
use model::{BrokerEpoch, BrokerId};
use protocol::Str;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::warn;

#[cfg(test)]
mod tests;

/// The wait between two attempts to connect to a suspect.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);
/// How long one listener may take to accept or refuse.
const PROBE_MAX: Duration = Duration::from_millis(500);
/// The most attempts. The listeners of a process that is being killed may accept a little longer
/// than its connections live.
const PROBES_MAX: usize = 15;
/// After this many refusals in a row, the process is gone.
const REFUSALS: usize = 3;
/// The most suspicions that wait to be taken. One that finds no place is left to the session.
const SUSPICIONS_MAX: usize = 1024;

/// Where the ends of connections are reported.
#[derive(Clone, Debug)]
pub struct LostBrokers {
    suspects: mpsc::Sender<LostBroker>,
    clock: Clock,
}

/// The other end of [`LostBrokers`].
#[derive(Debug)]
pub struct Suspects(mpsc::Receiver<LostBroker>);

/// The connection on which a broker's heartbeats come. Its drop, when the connection ends, makes
/// the broker a suspect.
#[derive(Debug)]
pub struct HeartbeatConnection {
    broker: BrokerId,
    epoch: BrokerEpoch,
    lost: LostBrokers,
}

impl LostBrokers {
    /// Creates it.
    pub fn new(clock: Clock) -> (Self, Suspects) {
        let (suspects, received) = mpsc::channel(SUSPICIONS_MAX);
        (Self { suspects, clock }, Suspects(received))
    }

    /// Makes a broker a suspect.
    pub fn suspect(&self, id: BrokerId, epoch: BrokerEpoch) {
        let since = self.clock.monotonic();
        // Without a place among the suspects, the broker's session decides.
        let _ = self.suspects.try_send(LostBroker { id, epoch, since });
    }

    /// Returns what a connection keeps after the controller has taken a heartbeat from it.
    pub fn heartbeats_of(&self, broker: BrokerId, epoch: BrokerEpoch) -> HeartbeatConnection {
        HeartbeatConnection { broker, epoch, lost: self.clone() }
    }
}

impl HeartbeatConnection {
    /// Whether it is of this registration.
    pub fn is_of(&self, broker: BrokerId, epoch: BrokerEpoch) -> bool {
        (self.broker, self.epoch) == (broker, epoch)
    }
}

impl Drop for HeartbeatConnection {
    fn drop(&mut self) {
        self.lost.suspect(self.broker, self.epoch);
    }
}

/// What the search for lost brokers needs.
pub struct SearchParts {
    /// `node.id`.
    pub node_id: BrokerId,
    /// This node's controller.
    pub controller: ControllerHandle,
    /// The metadata.
    pub image: Arc<ArcSwap<Image>>,
    /// Opens connections.
    pub dial: Dial,
    /// The clock.
    pub clock: Clock,
    /// Cancelled when the node stops.
    pub stopping: CancellationToken,
}

impl SearchParts {
    /// Probes suspects, and has the controller fence those that are gone, until the node stops.
    pub async fn run(self, Suspects(mut suspects): Suspects) {
        let mut quorum = self.controller.watch_quorum();
        let mut is_active = quorum.borrow_and_update().is_active;
        let mut found = if is_active { self.brokers_of_controllers() } else { Vec::new() };
        // The suspects that are probed. One that is suspected again meanwhile is probed again.
        let mut probed: BTreeMap<(BrokerId, BrokerEpoch), Option<LostBroker>> = BTreeMap::new();
        let mut probes = FuturesUnordered::new();
        loop {
            for suspect in std::mem::take(&mut found) {
                match probed.entry((suspect.id, suspect.epoch)) {
                    Entry::Vacant(place) => {
                        place.insert(None);
                        probes.push(self.probe(suspect));
                    }
                    Entry::Occupied(mut again) => drop(again.insert(Some(suspect))),
                }
            }
            tokio::select! {
                biased;
                () = self.stopping.cancelled() => return,
                Some(suspect) = suspects.recv() => found.push(suspect),
                Ok(()) = quorum.changed() => {
                    let was_active = std::mem::replace(&mut is_active, quorum.borrow_and_update().is_active);
                    if is_active && !was_active {
                        found = self.brokers_of_controllers();
                    }
                }
                Some(done) = probes.next(), if !probes.is_empty() => found.extend(probed.remove(&done).flatten()),
                else => return,
            }
        }
    }

    /// Returns the brokers that run in one process with another controller.
    fn brokers_of_controllers(&self) -> Vec<LostBroker> {
        let (image, since) = (self.image.load(), self.clock.monotonic());
        let brokers = image.cluster.brokers.values().filter(|it| !it.fenced && it.id != self.node_id);
        let combined = brokers.filter(|it| image.cluster.controllers.contains_key(&it.id));
        combined.map(|it| LostBroker { id: it.id, epoch: it.epoch, since }).collect()
    }

    /// Has the controller fence a suspect if it is gone. Returns which suspect it was.
    async fn probe(&self, lost: LostBroker) -> (BrokerId, BrokerEpoch) {
        let addresses = self.addresses(lost.id, lost.epoch);
        if self.controller.quorum_facts().is_active && is_gone(&self.dial, &addresses).await {
            let fenced = self
                .controller
                .decide_at_commit(move |state, cx| Ok(decide::fence_lost_broker(state.image, state.soft, cx, lost)));
            // An error means that another controller is active, which looks for itself.
            if fenced.await == Ok(true) {
                warn!(broker = %lost.id, "fenced a broker whose process is gone: its listeners refuse connections");
            }
        }
        (lost.id, lost.epoch)
    }

    /// Returns the addresses of a broker's listeners; none if it has another registration.
    fn addresses(&self, id: BrokerId, epoch: BrokerEpoch) -> Vec<(Str, u16)> {
        let image = self.image.load();
        let Some(broker) = image.cluster.brokers.get(&id).filter(|it| it.epoch == epoch) else { return Vec::new() };
        broker.listeners.iter().map(|it| (it.host.clone(), it.port)).collect()
    }
}

/// What the listeners of a suspect did.
#[derive(Debug, PartialEq, Eq)]
enum Probe {
    /// All refused a connection: no process listens there.
    Refused,
    /// One accepted a connection.
    Accepted,
    /// One gave another answer, or none.
    Unknown,
}

/// Whether the process that listened at these addresses is gone.
async fn is_gone(dial: &Dial, addresses: &[(Str, u16)]) -> bool {
    let mut refusals = 0;
    for _ in 0..PROBES_MAX {
        match probe(dial, addresses).await {
            Probe::Refused => refusals += 1,
            Probe::Accepted => refusals = 0,
            Probe::Unknown => return false,
        }
        if refusals == REFUSALS {
            return true;
        }
        tokio::time::sleep(PROBE_INTERVAL).await;
    }
    false
}

async fn probe(dial: &Dial, addresses: &[(Str, u16)]) -> Probe {
    if addresses.is_empty() {
        return Probe::Unknown;
    }
    for (host, port) in addresses {
        match tokio::time::timeout(PROBE_MAX, dial(host, *port)).await {
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            Ok(Ok(_)) => return Probe::Accepted,
            Ok(Err(_)) | Err(_) => return Probe::Unknown,
        }
    }
    Probe::Refused
}
