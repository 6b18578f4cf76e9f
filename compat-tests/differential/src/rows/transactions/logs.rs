//! What the scenarios left in the logs of the coordinators, batch for batch and record for record.

use crate::run::Run;
use protocol::messages::fetch_request::{FetchPartition, FetchRequest, FetchTopic};

/// The partitions of each topic.
const PARTITIONS: i32 = 50;

pub fn rows(run: &mut Run) {
    for topic in ["__transaction_state", "__consumer_offsets"] {
        for partition in 0..PARTITIONS {
            run.row(&format!("{topic}-{partition}"), [12], |_, _| FetchRequest {
                max_wait_ms: 0,
                max_bytes: 100_000_000,
                isolation_level: 1,
                topics: vec![FetchTopic {
                    topic: topic.into(),
                    partitions: vec![FetchPartition {
                        partition,
                        partition_max_bytes: 100_000_000,
                        ..Default::default()
                    }],
                    ..Default::default()
                }],
                ..Default::default()
            });
        }
    }
}
