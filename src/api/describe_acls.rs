//! DescribeAcls (key 29), versions 1-3.
//!
//! No authorizer is configured, and without one Kafka refuses what is about ACLs.

use super::Context;
use model::ErrorCode;
use protocol::messages::describe_acls_request::DescribeAclsRequest;
use protocol::messages::describe_acls_response::DescribeAclsResponse;

/// Refuses.
pub(super) async fn handle(_: Context, _: DescribeAclsRequest) -> DescribeAclsResponse {
    DescribeAclsResponse {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some("No Authorizer is configured on the broker".into()),
        ..Default::default()
    }
}
