//! Tests that no text makes the configuration panic.

use super::{node, properties, recorded_node};
use crate::config::{
    BROKER, GROUP, NodeConfig, Properties, ResourceKind, TOPIC, describe_client_metrics, parse_duration_millis,
    parse_properties, write_properties,
};
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn files_of_garbage(text in "[ -~\\\\\\n\\r\\t=:#!uàé😀]{0,200}") {
        let _ = parse_properties(&text);
    }

    #[test]
    fn written_properties_are_read_back(pairs in prop::collection::btree_map(".{0,20}", ".{0,40}", 0..8)) {
        let text = write_properties(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        // A line without key and value is not written.
        let kept: Properties = pairs.into_iter().filter(|(name, value)| !name.is_empty() || !value.is_empty()).collect();
        let mut read = parse_properties(&text).expect("what is written is valid");
        read.retain(|name, value| !name.is_empty() || !value.is_empty());
        prop_assert_eq!(read, kept);
    }

    #[test]
    fn values_of_garbage(index in 0_usize..360, value in "[ -~é😀]{0,40}") {
        let key = BROKER.keys[index % BROKER.keys.len()];
        let mut file = recorded_node();
        file.insert(key.name.into(), value.clone());
        if let Err(error) = NodeConfig::from_properties(&file, &|_| None) {
            prop_assert!(!error.to_string().contains('\n'));
        }
        let node = node(&recorded_node());
        let now = node.effective(&properties([(key.name, value.as_str())]), &properties([(key.name, value.as_str())]));
        let configs = [key.name, TOPIC.keys[index % TOPIC.keys.len()].name, GROUP.keys[index % GROUP.keys.len()].name, "match", &value];
        for name in configs {
            let configs = properties([(name, value.as_str())]);
            for kind in [ResourceKind::Topic, ResourceKind::Broker, ResourceKind::Group, ResourceKind::ClientMetrics] {
                let _ = node.validate(&now, kind, "", &configs);
            }
            let _ = node.describe_topic(&now, &configs);
            let _ = node.describe_new_topic(&now, &configs);
            let _ = node.describe_group(&now, &configs);
            let _ = describe_client_metrics(&configs);
        }
        let _ = node.describe_broker(&now);
        let _ = node.describe_all_brokers(&now);
        let _ = parse_duration_millis(&value);
    }
}
