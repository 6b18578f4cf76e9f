//! DescribeAcls (key 29), versions 1-3: lists ACLs (KIP-140).
//!
//! - 1: adds the type of a resource's pattern (KIP-290).
//! - 2: is flexible.
//! - 3: knows the resource type USER (KIP-373).
//!
//! Without an authorizer Kafka answers SECURITY_DISABLED. Before that, it closes the connection if
//! the request has the code 0 ("unknown") for a resource type, a pattern type, an operation or a
//! permission. It accepts codes that it does not know.

use super::authorization::Operation;
use super::{Context, Refused};
use metadata::decide;
use model::ErrorCode;
use protocol::messages::describe_acls_request::DescribeAclsRequest;
use protocol::messages::describe_acls_response::DescribeAclsResponse;

/// Lists the ACLs of this node's image.
pub(super) async fn handle(context: Context, request: DescribeAclsRequest) -> Result<DescribeAclsResponse, Refused> {
    let it = &request;
    if [it.resource_type_filter, it.pattern_type_filter, it.operation, it.permission_type].contains(&0) {
        return Err(Refused::Meaningless("a filter of ACLs by something unknown"));
    }
    let failed = |code: ErrorCode, message: &'static str| DescribeAclsResponse {
        error_code: code.code(),
        error_message: Some(message.into()),
        ..Default::default()
    };
    if let Err(code) = context.need_of_cluster(Operation::Describe) {
        return Ok(failed(code, code.message()));
    }
    if context.broker.authorizer.is_none() {
        return Ok(failed(ErrorCode::SecurityDisabled, "No Authorizer is configured on the broker"));
    }
    Ok(decide::describe_acls(&context.broker.image(), &request))
}
