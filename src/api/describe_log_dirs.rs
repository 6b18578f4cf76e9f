//! DescribeLogDirs (key 35), versions 1-5: lists the log dirs of this broker and their partitions
//! (KIP-113).
//!
//! - 2: is flexible.
//! - 3: has an error of the whole request (KIP-784).
//! - 4: answers the total and the free size of each disk (KIP-827).
//! - 5: says whether a log dir is cordoned, so that it gets no new replicas (KIP-1066).

use super::Context;
use super::authorization::Operation;
use crate::replica::{Dir, Replicas};
use model::ErrorCode;
use protocol::Str;
use protocol::messages::describe_log_dirs_request::DescribeLogDirsRequest;
use protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResponse, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

/// The lag of a replica that is offline, as in Kafka.
const UNKNOWN_OFFSET_LAG: i64 = -1;

/// Lists the log dirs with their partitions: all partitions, or those that the request names.
pub(super) async fn handle(context: Context, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    if let Err(code) = context.need_of_cluster(Operation::Describe) {
        return DescribeLogDirsResponse { error_code: code.code(), ..Default::default() };
    }
    let wanted: Option<HashSet<(Str, i32)>> = request.topics.map(|topics| {
        let partitions = topics.into_iter().flat_map(|topic| {
            let name = topic.topic;
            topic.partitions.into_iter().map(move |index| (name.clone(), index))
        });
        partitions.collect()
    });
    let replicas = context.broker.replicas.clone();
    let knows_cordoned = context.broker.image().features.version().has_cordoned_log_dirs();
    let all = move || {
        let describe = |dir: &Arc<Dir>| {
            if dir.fault().is_some() {
                return offline(dir.path());
            }
            let described = result(&replicas, dir, wanted.as_ref());
            DescribeLogDirsResult { is_cordoned: knows_cordoned && described.is_cordoned, ..described }
        };
        let lost = replicas.lost_dirs().iter().map(|path| offline(path));
        replicas.dirs().iter().map(describe).chain(lost).collect()
    };
    let Ok(results) = context.broker.env.run(all).await else {
        return DescribeLogDirsResponse { error_code: ErrorCode::UnknownServerError.code(), ..Default::default() };
    };
    DescribeLogDirsResponse { results, ..Default::default() }
}

/// Returns the answer for a log dir that is offline. Nothing else is known of it.
fn offline(path: &Path) -> DescribeLogDirsResult {
    DescribeLogDirsResult {
        error_code: ErrorCode::KafkaStorageError.code(),
        log_dir: path.display().to_string().into(),
        ..Default::default()
    }
}

fn result(replicas: &Replicas, dir: &Dir, wanted: Option<&HashSet<(Str, i32)>>) -> DescribeLogDirsResult {
    let mut topics: BTreeMap<Str, Vec<DescribeLogDirsPartition>> = BTreeMap::new();
    for partition in replicas.all_in(dir) {
        let (name, index) = (Str::from(partition.topic()), partition.id().partition.0);
        if wanted.is_some_and(|wanted| !wanted.contains(&(name.clone(), index))) {
            continue;
        }
        topics.entry(name).or_default().push(DescribeLogDirsPartition {
            partition_index: index,
            partition_size: i64::try_from(partition.size_bytes()).unwrap_or(i64::MAX),
            offset_lag: match partition.has_failed() {
                true => UNKNOWN_OFFSET_LAG,
                false => (partition.high_watermark().0 - partition.log_end_offset().0).max(0),
            },
            ..Default::default()
        });
    }
    for (partition, copy) in replicas.copies_in(dir) {
        let (name, index) = (Str::from(partition.topic()), partition.id().partition.0);
        if wanted.is_some_and(|wanted| !wanted.contains(&(name.clone(), index))) {
            continue;
        }
        topics.entry(name).or_default().push(DescribeLogDirsPartition {
            partition_index: index,
            partition_size: i64::try_from(copy.size_bytes()).unwrap_or(i64::MAX),
            // The number of offsets that the copy is behind the log.
            offset_lag: partition.log_end_offset().0 - copy.log_end_offset().0,
            is_future_key: true,
            ..Default::default()
        });
    }
    let Ok(space) = dir.space() else { return offline(dir.path()) };
    let bytes = |bytes: u64| i64::try_from(bytes).unwrap_or(i64::MAX);
    let topics =
        topics.into_iter().map(|(name, partitions)| DescribeLogDirsTopic { name, partitions, ..Default::default() });
    DescribeLogDirsResult {
        error_code: ErrorCode::None.code(),
        log_dir: dir.path().display().to_string().into(),
        topics: topics.collect(),
        total_bytes: bytes(space.total_bytes),
        usable_bytes: bytes(space.usable_bytes),
        is_cordoned: dir.is_cordoned(),
        ..Default::default()
    }
}
