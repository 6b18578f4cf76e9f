//! AlterReplicaLogDirs (key 34), versions 1-2: moves replicas between the log dirs of this broker
//! (KIP-113).
//!
//! - 2: is flexible.
//!
//! The answer says whether a move has started. DescribeLogDirs shows the progress. If the request
//! names a partition several times, the last log dir counts, and the partition is answered once.

use super::Context;
use super::authorization::Operation;
use model::{ErrorCode, TopicPartition};
use protocol::Str;
use protocol::messages::alter_replica_log_dirs_request::AlterReplicaLogDirsRequest;
use protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsResponse,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Starts the moves and answers each partition.
pub(super) async fn handle(context: Context, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let permitted = context.need_of_cluster(Operation::Alter);
    let (image, replicas) = (context.broker.image(), context.broker.replicas.clone());
    let targets = targets(request);
    let altered = context.broker.env.run(move || {
        let of_topic = |(topic_name, partitions): (Str, BTreeMap<i32, Str>)| {
            let topic = image.topics.by_name(&topic_name);
            let answers = partitions.into_iter().map(|(partition_index, dir)| {
                let name = TopicPartition::new(topic_name.as_str(), partition_index);
                let altered = permitted.and_then(|()| replicas.alter_log_dir(topic, &name, Path::new(dir.as_str())));
                let error_code = altered.err().unwrap_or(ErrorCode::None).code();
                AlterReplicaLogDirPartitionResult { partition_index, error_code, ..Default::default() }
            });
            AlterReplicaLogDirTopicResult { partitions: answers.collect(), topic_name, ..Default::default() }
        };
        targets.into_iter().map(of_topic).collect()
    });
    AlterReplicaLogDirsResponse { results: altered.await.unwrap_or_default(), ..Default::default() }
}

/// Returns the log dir that each partition moves to.
fn targets(request: AlterReplicaLogDirsRequest) -> BTreeMap<Str, BTreeMap<i32, Str>> {
    let mut targets: BTreeMap<Str, BTreeMap<i32, Str>> = BTreeMap::new();
    for dir in request.dirs {
        for topic in dir.topics.into_iter().filter(|topic| !topic.partitions.is_empty()) {
            let partitions = topic.partitions.into_iter().map(|index| (index, dir.path.clone()));
            targets.entry(topic.name).or_default().extend(partitions);
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::messages::alter_replica_log_dirs_request::{AlterReplicaLogDir, AlterReplicaLogDirTopic};

    #[test]
    fn the_last_log_dir_counts_and_a_topic_without_partitions_moves_nothing() {
        let dir = |path: &str, name: &str, partitions: &[i32]| AlterReplicaLogDir {
            path: path.into(),
            topics: vec![AlterReplicaLogDirTopic {
                name: name.into(),
                partitions: partitions.to_vec(),
                ..Default::default()
            }],
            ..Default::default()
        };
        let dirs = vec![dir("/a", "t", &[0, 1]), dir("/b", "t", &[1]), dir("/b", "none", &[])];
        let found = targets(AlterReplicaLogDirsRequest { dirs, ..Default::default() });
        let expected = BTreeMap::from([(0, "/a".into()), (1, "/b".into())]);
        assert_eq!(found, BTreeMap::from([("t".into(), expected)]));
    }
}
