//! The differences between two images, for a snapshot that replaces an image.

use super::Changes;
use crate::image::Image;
use imbl::OrdMap;
use model::PartitionIndex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything of `after` that is not as in `before`.
pub(super) fn between(before: &Image, after: &Image) -> Changes {
    let mut changes = Changes {
        configs: keys_that_differ(before.configs.iter(), after.configs.iter()),
        brokers: differing(&before.cluster.brokers, &after.cluster.brokers),
        controllers: differing(&before.cluster.controllers, &after.cluster.controllers),
        features: differing(&before.features.others, &after.features.others),
        quotas: keys_that_differ(before.quotas.iter(), after.quotas.iter()),
        producer_ids: before.next_producer_id != after.next_producer_id,
        acls: keys_that_differ(before.security.acls.iter(), after.security.acls.iter()),
        scram: differing(&before.security.scram, &after.security.scram),
        tokens: differing(&before.security.tokens, &after.security.tokens),
        ..Changes::default()
    };
    if before.features.metadata_version != after.features.metadata_version {
        changes.features.insert(crate::version::METADATA_VERSION.into());
    }
    topics(before, after, &mut changes);
    changes
}

fn topics(before: &Image, after: &Image, changes: &mut Changes) {
    for topic in before.topics.iter().filter(|topic| after.topics.by_id(topic.id).is_none()) {
        changes.topics_deleted.insert(topic.id, Arc::clone(topic));
    }
    for topic in after.topics.iter() {
        let old = before.topics.by_id(topic.id);
        let partitions: BTreeSet<PartitionIndex> = match old {
            Some(old) => differing(&old.partitions, &topic.partitions),
            None => {
                changes.topics_created.insert(topic.id);
                topic.partitions.keys().copied().collect()
            }
        };
        if !partitions.is_empty() {
            changes.partitions.insert(topic.id, partitions);
        }
    }
}

fn differing<K: Ord + Clone, V: Clone + PartialEq>(before: &OrdMap<K, V>, after: &OrdMap<K, V>) -> BTreeSet<K> {
    keys_that_differ(before.iter(), after.iter())
}

/// The keys that only one side has, or whose values differ.
fn keys_that_differ<'a, K: Ord + Clone + 'a, V: PartialEq + 'a>(
    before: impl Iterator<Item = (&'a K, &'a V)>,
    after: impl Iterator<Item = (&'a K, &'a V)>,
) -> BTreeSet<K> {
    let mut old: BTreeMap<&K, &V> = before.collect();
    let mut differing: BTreeSet<K> =
        after.filter(|(key, value)| old.remove(key) != Some(*value)).map(|(key, _)| key.clone()).collect();
    differing.extend(old.into_keys().cloned());
    differing
}
