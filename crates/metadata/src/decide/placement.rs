//! Where new replicas go: striped over racks and brokers, fenced brokers last.
//!
//! Kafka's rule: take the racks in order, each with a shuffled list of its unfenced and one of its
//! fenced brokers. The leader of the first partition is a random broker, and each following
//! partition starts one broker further. The replicas of a partition take one broker of each rack
//! after another, so that racks and brokers get equal shares. Once every broker was the first of a
//! partition, the lists are shuffled again. A fenced broker is used only after every unfenced one
//! of its rack, and never as the first replica. A broker in controlled shutdown counts as fenced.
//! Kafka leaves it out, so there a creation fails in that moment which succeeds when the broker is
//! gone.

use super::ControllerContext;
use crate::image::{Broker, Image, MIGRATING};
use model::{BrokerId, DirectoryId};
use protocol::Str;
use std::collections::BTreeMap;

/// The replicas of a new partition and their directories.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placement {
    pub(super) replicas: Vec<BrokerId>,
    pub(super) directories: Vec<DirectoryId>,
}

impl Placement {
    /// Replicas that a request names, with each broker's default directory.
    pub(super) fn on(image: &Image, replicas: Vec<BrokerId>) -> Self {
        let directories = replicas.iter().map(|id| default_dir(image, *id)).collect();
        Self { replicas, directories }
    }
}

/// The directory of a new replica: the broker's only one, else left to the broker.
pub(super) fn default_dir(image: &Image, broker: BrokerId) -> DirectoryId {
    if !image.features.version().has_directories() {
        return MIGRATING;
    }
    image.cluster.brokers.get(&broker).map_or(MIGRATING, |broker| broker.default_dir())
}

/// A list of brokers that is walked in stripes: position `epoch + offset`. The second walk begins
/// at another broker.
struct Stripe {
    brokers: Vec<BrokerId>,
    epoch: usize,
    index: usize,
    offset: usize,
}

impl Stripe {
    fn new(mut brokers: Vec<BrokerId>, context: &mut ControllerContext<'_>) -> Self {
        shuffle(&mut brokers, context);
        let offset = context.below(brokers.len());
        Self { brokers, epoch: 0, index: 0, offset }
    }

    /// The next broker of this epoch; `None` when all were taken.
    fn next(&mut self, epoch: usize) -> Option<BrokerId> {
        if self.brokers.is_empty() {
            return None;
        }
        if self.epoch != epoch {
            self.epoch = epoch;
            self.index = 0;
            self.offset = (self.offset + 1) % self.brokers.len();
        }
        if self.index >= self.brokers.len() {
            return None;
        }
        let broker = self.brokers[(self.index + self.offset) % self.brokers.len()];
        self.index += 1;
        Some(broker)
    }
}

struct Rack {
    unfenced: Stripe,
    fenced: Stripe,
}

struct Racks {
    racks: Vec<Rack>,
    epoch: usize,
    offset: usize,
    brokers: usize,
    unfenced: usize,
    /// Partitions placed since the brokers were shuffled.
    placed: usize,
}

/// Places partitions. Errors: a message for the client.
pub(super) fn place(
    image: &Image,
    context: &mut ControllerContext<'_>,
    partitions: usize,
    replication_factor: i16,
) -> Result<Vec<Placement>, String> {
    let mut racks = Racks::of(image, context);
    let wanted = usize::try_from(replication_factor).unwrap_or(0);
    if wanted == 0 {
        return Err(format!(
            "Invalid replication factor {replication_factor}: the replication factor must be positive."
        ));
    }
    if racks.unfenced == 0 {
        return Err("All brokers are currently fenced, or have all their log directories cordoned.".to_owned());
    }
    if wanted > racks.brokers {
        return Err(format!(
            "The target replication factor of {replication_factor} cannot be reached because only {} broker(s) are registered or some brokers have all \
             their log directories cordoned.",
            racks.brokers
        ));
    }
    Ok((0..partitions).map(|_| Placement::on(image, racks.place(wanted, context))).collect())
}

impl Racks {
    fn of(image: &Image, context: &mut ControllerContext<'_>) -> Self {
        let mut by_rack: BTreeMap<Option<Str>, (Vec<BrokerId>, Vec<BrokerId>)> = BTreeMap::new();
        let usable = image.cluster.brokers.values().filter(|broker| !broker.is_fully_cordoned());
        for broker in usable {
            let (unfenced, fenced) = by_rack.entry(broker.rack.clone()).or_default();
            if is_usable(broker) { unfenced.push(broker.id) } else { fenced.push(broker.id) }
        }
        let brokers = by_rack.values().map(|(unfenced, fenced)| unfenced.len() + fenced.len()).sum();
        let unfenced = by_rack.values().map(|(unfenced, _)| unfenced.len()).sum();
        let mut racks = Vec::new();
        for (unfenced, fenced) in by_rack.into_values() {
            let (unfenced, fenced) = (Stripe::new(unfenced, context), Stripe::new(fenced, context));
            racks.push(Rack { unfenced, fenced });
        }
        let offset = context.below(racks.len());
        Self { racks, epoch: 0, offset, brokers, unfenced, placed: 0 }
    }

    fn place(&mut self, replicas: usize, context: &mut ControllerContext<'_>) -> Vec<BrokerId> {
        // Every broker has been the first once: other neighbours from here on. Else one broker
        // would get all leaderships of a broker that is gone.
        if self.placed == self.unfenced && self.unfenced > 1 {
            self.placed = 0;
            shuffle(&mut self.racks, context);
            for rack in &mut self.racks {
                shuffle(&mut rack.unfenced.brokers, context);
                shuffle(&mut rack.fenced.brokers, context);
            }
        }
        self.placed += 1;
        self.epoch += 1;
        self.offset = (self.offset + 1) % self.racks.len();
        let (epoch, count, offset) = (self.epoch, self.racks.len(), self.offset);
        let mut placed = Vec::with_capacity(replicas);
        // The first replica leads, so it comes from the first rack that has an unfenced broker.
        let mut position = 0;
        while placed.is_empty() && position < count {
            placed.extend(self.racks[(offset + position) % count].unfenced.next(epoch));
            position += 1;
        }
        while placed.len() < replicas {
            let before = placed.len();
            for _ in 0..count {
                if placed.len() == replicas {
                    break;
                }
                let rack = &mut self.racks[(offset + position) % count];
                placed.extend(rack.unfenced.next(epoch).or_else(|| rack.fenced.next(epoch)));
                position += 1;
            }
            if placed.len() == before {
                break;
            }
        }
        placed
    }
}

fn is_usable(broker: &Broker) -> bool {
    broker.is_active()
}

fn shuffle<T>(list: &mut [T], context: &mut ControllerContext<'_>) {
    for last in (1..list.len()).rev() {
        let other = context.below(last + 1);
        list.swap(last, other);
    }
}
