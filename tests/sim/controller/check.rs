//! What must hold after every record and every decision.

use metadata::image::{Image, LeaderRecovery, Partition};
use metadata::{Loader, version};
use model::BrokerId;
use protocol::MetadataRecord;

/// Checks a partition's change by one record.
pub fn record(before: &Image, after: &Image, record: &MetadataRecord) -> Result<(), String> {
    let MetadataRecord::PartitionChange(change) = record else { return Ok(()) };
    let find = |image: &Image| -> Option<Partition> {
        let topic = image.topics.by_id(change.topic_id)?;
        Some(Partition::clone(topic.partition(model::PartitionIndex(change.partition_id))?))
    };
    let (Some(old), Some(new)) = (find(before), find(after)) else {
        return Err("a change of no partition".to_owned());
    };
    let shown = || format!("{old:?}\n  became {new:?}\n  by {change:?}");
    if new.partition_epoch.0 != old.partition_epoch.0 + 1 {
        return Err(format!("the partition epoch did not rise by one: {}", shown()));
    }
    let raised = new.leader_epoch.0 - old.leader_epoch.0;
    if !(0..=1).contains(&raised) || (new.leader != old.leader && raised == 0) {
        return Err(format!("the leader epoch did not rise with the leader: {}", shown()));
    }
    if old.replicas.iter().any(|id| !new.replicas.contains(id)) && raised == 0 {
        return Err(format!("a replica left, and the leader epoch did not rise: {}", shown()));
    }
    let has_ended = old.is_reassigning() && !new.is_reassigning();
    let mut added = old.adding_replicas.iter().filter(|id| new.replicas.contains(id));
    // The record that ends it may also elect a leader that lacks records, which is alone in the
    // ISR.
    if has_ended && added.any(|id| !new.isr.contains(id) && !old.isr.contains(id)) {
        return Err(format!("a reassignment ended before its new replicas were in sync: {}", shown()));
    }
    Ok(())
}

/// The replica that an unclean election chose: it may lack records, and the partition says so.
pub fn unclean_choice(before: &Partition, after: &Partition) -> Option<BrokerId> {
    let [chosen] = after.isr.as_slice() else { return None };
    let is_known = before.isr.contains(chosen) || before.elr.contains(chosen);
    (!is_known && after.leader_recovery == LeaderRecovery::Recovering).then_some(*chosen)
}

/// Checks every partition. `was_switched` says whether eligible leaders were turned on meanwhile.
pub fn image(image: &Image, was_switched: bool) -> Result<(), String> {
    let elr = image.features.level(version::ELR_VERSION) > 0;
    for topic in image.topics.iter() {
        for (index, it) in &topic.partitions {
            partition(image, elr, was_switched, it)
                .map_err(|reason| format!("{reason}: {}-{index} {it:?}", topic.name))?;
        }
    }
    Ok(())
}

fn partition(image: &Image, elr: bool, was_switched: bool, it: &Partition) -> Result<(), &'static str> {
    let fenced = |id: &BrokerId| image.cluster.brokers.get(id).is_none_or(|broker| broker.fenced);
    if let Some(leader) = it.leader {
        if !it.isr.contains(&leader) {
            return Err("the leader is not in the ISR");
        }
        if fenced(&leader) {
            return Err("the leader is fenced");
        }
        let broker = image.cluster.brokers.get(&leader);
        let online = |dir| broker.is_some_and(|broker| broker.has_online_dir(dir));
        if !it.directory(leader).is_some_and(online) {
            return Err("the leader is in a log dir that failed");
        }
    }
    let twice = |ids: &[BrokerId]| ids.iter().enumerate().any(|(at, id)| ids[..at].contains(id));
    if twice(&it.isr) || twice(&it.replicas) || twice(&it.elr) {
        return Err("a replica is named twice");
    }
    if it.isr.iter().any(|id| !it.replicas.contains(id)) {
        return Err("the ISR has a member that is no replica");
    }
    if it.elr.iter().any(|id| !it.replicas.contains(id)) {
        return Err("the ELR has a member that is no replica");
    }
    if it.isr.iter().any(|id| it.elr.contains(id)) {
        return Err("the ISR and the ELR have a common member");
    }
    if !elr && !it.elr.is_empty() {
        return Err("an ELR, although they are off");
    }
    // Without an ELR, the last member stays, so that its return is no unclean election.
    let is_last = (!elr || was_switched) && it.isr.len() == 1 && it.leader.is_none();
    if it.isr.iter().any(fenced) && !is_last {
        return Err("a fenced broker is in the ISR");
    }
    if it.isr.is_empty() && !elr {
        return Err("an empty ISR, although eligible leaders are off");
    }
    if it.adding_replicas.iter().chain(&it.removing_replicas).any(|id| !it.replicas.contains(id)) {
        return Err("a reassignment of what is no replica");
    }
    Ok(())
}

/// The image from a snapshot must be the image from the log.
pub fn snapshot(image: &Image) -> Result<(), String> {
    let records: Vec<_> = image.snapshot_records().map(|it| it.record).collect();
    let loaded = Loader::from_snapshot(&Image::default(), image.provenance, &records);
    let loaded = loaded.map_err(|error| format!("a snapshot does not load: {error}"))?;
    if loaded.image() != image {
        return Err("the image from a snapshot differs from the image from the log".to_owned());
    }
    Ok(())
}
