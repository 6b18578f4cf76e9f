//! DeleteAcls (key 31), versions 1-3.
//!
//! No authorizer is configured, and without one Kafka refuses what is about ACLs. Before that it closes a connection on which a request names something
//! as unknown: the code 0 of a kind of resource or pattern, an operation or a permission. Codes that nobody knows pass.

use super::{Context, Refused};
use model::ErrorCode;
use protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsResponse};

/// Answers SECURITY_DISABLED to each.
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
