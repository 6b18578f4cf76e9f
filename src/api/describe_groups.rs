//! DescribeGroups (key 15), versions 0-6: describes classic groups.
//!
//! - 1: adds the throttle time.
//! - 3: may answer the authorized operations (KIP-430).
//! - 4: knows static members (KIP-345).
//! - 5: is flexible.
//! - 6: answers GROUP_ID_NOT_FOUND and a message where older versions answer a dead group
//!   (KIP-1043).

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::{GroupReply, GroupRequest};
use futures_util::future::join_all;
use model::ErrorCode;
use protocol::messages::describe_groups_request::DescribeGroupsRequest;
use protocol::messages::describe_groups_response::{DescribeGroupsResponse, DescribedGroup};

/// Describes classic groups. Each group's coordinator answers for it.
pub(super) async fn handle(context: Context, request: DescribeGroupsRequest) -> DescribeGroupsResponse {
    let report_missing = context.version >= 6;
    let (permitted, refused): (Vec<_>, Vec<_>) =
        request.groups.into_iter().partition(|group| context.may(Operation::Describe, Resource::Group(group)));
    let asked = permitted.into_iter().map(|group| {
        let groups = context.broker.groups.clone();
        async move {
            groups
                .request_for(&group, GroupRequest::DescribeGroups { groups: vec![group.clone()], report_missing })
                .await
        }
    });
    let refused = refused.into_iter().map(|group_id| DescribedGroup {
        error_code: ErrorCode::GroupAuthorizationFailed.code(),
        group_id,
        ..Default::default()
    });
    let mut groups: Vec<DescribedGroup> = refused.collect();
    for reply in join_all(asked).await {
        if let GroupReply::DescribeGroups(described) = reply {
            groups.extend(described);
        }
    }
    if request.include_authorized_operations {
        for group in groups.iter_mut().filter(|group| group.error_code == ErrorCode::None.code()) {
            group.authorized_operations = context.operations(Resource::Group(&group.group_id));
        }
    }
    DescribeGroupsResponse { groups, ..Default::default() }
}
