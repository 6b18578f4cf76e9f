//! DeleteGroups (key 42), versions 0-2: deletes consumer groups (KIP-229).
//!
//! - 2: is flexible.

use super::Context;
use coordinator::{GroupReply, GroupRequest};
use futures_util::future::join_all;
use protocol::messages::delete_groups_request::DeleteGroupsRequest;
use protocol::messages::delete_groups_response::DeleteGroupsResponse;

/// Deletes groups without members, each at its coordinator.
pub(super) async fn handle(context: Context, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut names = request.groups_names;
    names.sort();
    names.dedup();
    let asked = names.into_iter().map(|group| {
        let groups = context.broker.groups.clone();
        async move { groups.request_for(&group, GroupRequest::DeleteGroups(vec![group.clone()])).await }
    });
    let mut results = Vec::new();
    for reply in join_all(asked).await {
        if let GroupReply::DeleteGroups(deleted) = reply {
            results.extend(deleted);
        }
    }
    DeleteGroupsResponse { results, ..Default::default() }
}
