//! DeleteGroups (key 42), versions 0-2: deletes consumer groups (KIP-229).
//!
//! - 2: is flexible.

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::{GroupReply, GroupRequest};
use futures_util::future::join_all;
use model::ErrorCode;
use protocol::messages::delete_groups_request::DeleteGroupsRequest;
use protocol::messages::delete_groups_response::{DeletableGroupResult, DeleteGroupsResponse};

/// Deletes groups without members, each at its coordinator.
pub(super) async fn handle(context: Context, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let mut names = request.groups_names;
    names.sort();
    names.dedup();
    let (names, refused): (Vec<_>, Vec<_>) =
        names.into_iter().partition(|group| context.may(Operation::Delete, Resource::Group(group)));
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
    let refused = refused.into_iter().map(|group_id| DeletableGroupResult {
        group_id,
        error_code: ErrorCode::GroupAuthorizationFailed.code(),
        ..Default::default()
    });
    results.extend(refused);
    DeleteGroupsResponse { results, ..Default::default() }
}
