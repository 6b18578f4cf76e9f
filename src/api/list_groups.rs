//! ListGroups (key 16), versions 0-5: lists the groups that this broker coordinates.
//!
//! - 1: adds the throttle time.
//! - 3: is flexible.
//! - 4: filters by state, and answers the state of each group (KIP-518).
//! - 5: filters by type, and answers the type of each group (KIP-848).

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::{GroupReply, GroupRequest};
use model::ErrorCode;
use protocol::messages::list_groups_request::ListGroupsRequest;
use protocol::messages::list_groups_response::ListGroupsResponse;

/// Lists the groups of all partitions that this broker coordinates.
pub(super) async fn handle(context: Context, request: ListGroupsRequest) -> ListGroupsResponse {
    let mut response = ListGroupsResponse::default();
    let (states, types) = (request.states_filter, request.types_filter);
    let replies = context
        .broker
        .groups
        .ask_all(|| GroupRequest::ListGroups { states: states.clone(), types: types.clone() })
        .await;
    for reply in replies {
        match reply {
            GroupReply::ListGroups(Ok(groups)) => response.groups.extend(groups),
            GroupReply::ListGroups(Err(code)) => response.error_code = code.code(),
            _ => response.error_code = ErrorCode::UnknownServerError.code(),
        }
    }
    if response.error_code != ErrorCode::None.code() {
        response.groups.clear();
    }
    if !context.may_also(Operation::Describe, Resource::Cluster) {
        response.groups.retain(|group| context.may_also(Operation::Describe, Resource::Group(&group.group_id)));
    }
    response
}
