//! A consumer of a group that fetches its committed offset again and again.

use super::broker::{INPUT, OffsetPlace, group_id, station_of};
use super::cluster::Cluster;
use coordinator::{GroupReply, GroupRequest};
use model::ErrorCode;
use protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use std::sync::Arc;

/// Fetches the committed offset once. Errors: the code of the answer.
async fn fetch(cluster: &Cluster, place: OffsetPlace, require_stable: bool) -> Result<i64, ErrorCode> {
    let topic =
        OffsetFetchRequestTopics { name: INPUT.into(), partition_indexes: vec![place.partition], ..Default::default() };
    let group = OffsetFetchRequestGroup {
        group_id: group_id(place.group),
        topics: Some(vec![topic]),
        member_epoch: -1,
        ..Default::default()
    };
    let request = GroupRequest::OffsetFetch { group, require_stable };
    let GroupReply::OffsetFetch(response) = cluster.groups[station_of(place.group)].ask(request).await else {
        panic!("the reply of another request");
    };
    let code = ErrorCode::from_code(response.error_code).unwrap_or(ErrorCode::UnknownServerError);
    if code != ErrorCode::None {
        return Err(code);
    }
    let partition = &response.topics[0].partitions[0];
    match ErrorCode::from_code(partition.error_code) {
        Some(ErrorCode::None) => Ok(partition.committed_offset),
        code => Err(code.unwrap_or(ErrorCode::UnknownServerError)),
    }
}

/// Fetches the committed offset until the faults have stopped.
pub(super) async fn watch(cluster: Arc<Cluster>, place: OffsetPlace) {
    while !cluster.is_calm() {
        let require_stable = cluster.chance(50);
        if let Ok(offset) = fetch(&cluster, place, require_stable).await {
            let checked = cluster.ledger.lock().fetched(place, offset);
            cluster.expect(checked);
        }
        let ms = cluster.random(|random| random.within(5, 200));
        cluster.sleep(ms).await;
    }
}

/// Fetches the committed offset when everything must be at rest.
pub(super) async fn fetch_at_rest(cluster: Arc<Cluster>, place: OffsetPlace) {
    let checked = match fetch(&cluster, place, true).await {
        Ok(offset) => cluster.ledger.lock().fetched(place, offset),
        Err(code) => Err(format!("the offset of {place:?} is not stable at rest: {code:?}")),
    };
    cluster.expect(checked);
}
