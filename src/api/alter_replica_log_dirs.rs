//! AlterReplicaLogDirs (key 34), versions 1-2: moves replicas between this broker's log dirs (KIP-113). 2 is flexible.
//!
//! There is one log dir: a replica is where it is asked to be, or the log dir is not found. A partition that is named several times goes to the last of
//! its log dirs, and is answered once.

use super::Context;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::alter_replica_log_dirs_request::AlterReplicaLogDirsRequest;
use protocol::messages::alter_replica_log_dirs_response::{
    AlterReplicaLogDirPartitionResult, AlterReplicaLogDirTopicResult, AlterReplicaLogDirsResponse,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Answers each partition.
pub(super) async fn handle(context: Context, request: AlterReplicaLogDirsRequest) -> AlterReplicaLogDirsResponse {
    let image = context.broker.image();
    let dirs = context.broker.replicas.dirs();
    let results = targets(request).into_iter().map(|(topic_name, partitions)| {
        let known = image.topics.by_name(&topic_name);
        let answers = partitions.into_iter().map(|(partition_index, dir)| {
            let error = match known.map(|known| context.broker.replicas.of(known, partition_index)) {
                _ if dirs.iter().all(|own| own.path() != Path::new(dir.as_str())) => ErrorCode::LogDirNotFound,
                None => ErrorCode::UnknownTopicOrPartition,
                Some(Err(code)) => code,
                Some(Ok(_)) => ErrorCode::None,
            };
            AlterReplicaLogDirPartitionResult { partition_index, error_code: error.code(), ..Default::default() }
        });
        AlterReplicaLogDirTopicResult { partitions: answers.collect(), topic_name, ..Default::default() }
    });
    AlterReplicaLogDirsResponse { results: results.collect(), ..Default::default() }
}

/// Where each partition is to go.
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
    fn a_partition_goes_to_the_last_log_dir_and_a_topic_without_partitions_nowhere() {
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
