//! DeleteAcls (key 31), versions 1-3: deletes ACLs (KIP-140).
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
use protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsResponse};

/// Answers SECURITY_DISABLED for each filter.
pub(super) async fn handle(_: Context, request: DeleteAclsRequest) -> Result<DeleteAclsResponse, Refused> {
    let names_unknown = |it: &DeleteAclsFilter| {
        [it.resource_type_filter, it.pattern_type_filter, it.operation, it.permission_type].contains(&0)
    };
    if request.filters.iter().any(names_unknown) {
        return Err(Refused::Meaningless("a filter of ACLs by something unknown"));
    }
    let refused = DeleteAclsFilterResult {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some("No Authorizer is configured.".into()),
        ..Default::default()
    };
    Ok(DeleteAclsResponse { filter_results: vec![refused; request.filters.len()], ..Default::default() })
}
