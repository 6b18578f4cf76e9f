//! DescribeAcls (key 29), versions 1-3.
//!
//! No authorizer is configured, and without one Kafka refuses what is about ACLs. Before that it closes a connection on which a request names something
//! as unknown: the code 0 of a kind of resource or pattern, an operation or a permission. Codes that nobody knows pass.

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
