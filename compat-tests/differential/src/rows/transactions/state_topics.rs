//! The topics of the coordinators, created by FindCoordinator and by Metadata: their partitions and
//! configs. Gregor serves no share coordinators, so FindCoordinator does not create their topic.

use crate::rows::{code, configs, metadata_of, settled};
use crate::run::Run;
use crate::side::Side;
use protocol::messages::delete_topics_request::DeleteTopicsRequest;
use protocol::messages::describe_configs_request::DescribeConfigsRequest;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::metadata_request::MetadataRequest;

const TOPICS: [&str; 3] = ["__transaction_state", "__consumer_offsets", "__share_group_state"];

/// FindCoordinator creates two of them, and Metadata the third.
pub fn rows(run: &mut Run) {
    let find =
        |key_type: i8| FindCoordinatorRequest { key_type, coordinator_keys: vec!["a".into()], ..Default::default() };
    for (topic, key_type) in TOPICS.into_iter().zip([1, 0]) {
        let found = |_: &Side| find(key_type);
        run.until(topic, 6, found, |answer| code(answer, "/coordinators/0/errorCode") == 0);
        settled(run, topic, 50);
    }
    create(run, TOPICS[2]);
    described(run);
}

/// Metadata creates all of them.
pub fn rows_of_metadata(run: &mut Run) {
    for topic in TOPICS {
        let deletion = |_: &Side| DeleteTopicsRequest {
            topic_names: vec![topic.into()],
            timeout_ms: 10_000,
            ..Default::default()
        };
        run.until("a deletion", 3, deletion, |answer| code(answer, "/responses/0/errorCode") == 3);
        create(run, topic);
    }
    described(run);
}

/// Creates a topic as a client does that asks for its metadata.
fn create(run: &mut Run, topic: &str) {
    let asked = |_: &Side| MetadataRequest { allow_auto_topic_creation: true, ..metadata_of(&[topic]) };
    run.until(topic, 12, asked, |answer| code(answer, "/topics/0/errorCode") == 0);
    settled(run, topic, 50);
}

fn described(run: &mut Run) {
    for topic in TOPICS {
        run.row(topic, [8, 13], |_, _| metadata_of(&[topic]));
        run.row(topic, [4], |_, _| DescribeConfigsRequest {
            include_synonyms: true,
            ..configs::described(configs::TOPIC, topic, None)
        });
    }
}
