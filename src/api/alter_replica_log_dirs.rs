//! AlterReplicaLogDirs (key 34), versions 1-2: moves replicas between this broker's log dirs (KIP-113). 2 is flexible.
//!
//! There is one log dir: a replica is where it is asked to be, or the log dir is not found.

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
    let mut results: BTreeMap<Str, Vec<AlterReplicaLogDirPartitionResult>> = BTreeMap::new();
    for dir in request.dirs {
        let is_ours = Path::new(dir.path.as_str()) == context.broker.replicas.log_dir_path();
        for topic in dir.topics {
            let known = image.topics.by_name(&topic.name);
            let answers = topic.partitions.into_iter().map(|partition_index| {
                let error = match known.map(|known| context.broker.replicas.of(known, partition_index)) {
                    _ if !dir.path.starts_with('/') => ErrorCode::UnknownServerError,
                    _ if !is_ours => ErrorCode::LogDirNotFound,
                    None => ErrorCode::UnknownTopicOrPartition,
                    Some(Err(code)) => code,
                    Some(Ok(_)) => ErrorCode::None,
                };
                AlterReplicaLogDirPartitionResult { partition_index, error_code: error.code(), ..Default::default() }
            });
            results.entry(topic.name).or_default().extend(answers);
        }
    }
    let results = results.into_iter().map(|(topic_name, partitions)| AlterReplicaLogDirTopicResult {
        topic_name,
        partitions,
        ..Default::default()
    });
    AlterReplicaLogDirsResponse { results: results.collect(), ..Default::default() }
}
