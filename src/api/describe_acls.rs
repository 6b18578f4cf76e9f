//! DescribeAcls (key 29), versions 1-3: lists ACLs (KIP-140).
//!
//! - 1: adds the type of a resource's pattern (KIP-290).
//! - 2: is flexible.
//! - 3: knows the resource type USER (KIP-373).
//!
//! No authorizer is configured. Without one, Kafka answers ACL requests with SECURITY_DISABLED.
//! Before that, Kafka closes the connection if the request has the code 0 ("unknown") for a
//! resource type, a pattern type, an operation or a permission. It accepts codes that it does not
//! know.

use super::{Context, Refused};
use model::ErrorCode;
use protocol::messages::describe_acls_request::DescribeAclsRequest;
use protocol::messages::describe_acls_response::DescribeAclsResponse;

/// Answers SECURITY_DISABLED.
pub(super) async fn handle(_: Context, request: DescribeAclsRequest) -> Result<DescribeAclsResponse, Refused> {
    let it = &request;
    if [it.resource_type_filter, it.pattern_type_filter, it.operation, it.permission_type].contains(&0) {
        return Err(Refused::Meaningless("a filter of ACLs by something unknown"));
    }
    Ok(DescribeAclsResponse {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some("No Authorizer is configured on the broker".into()),
        ..Default::default()
    })
}
