//! DeleteAcls (key 31), versions 1-3.
//!
//! No authorizer is configured, and without one Kafka refuses what is about ACLs.

use super::Context;
use model::ErrorCode;
use protocol::messages::delete_acls_request::DeleteAclsRequest;
use protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsResponse};

/// Refuses each.
pub(super) async fn handle(_: Context, request: DeleteAclsRequest) -> DeleteAclsResponse {
    let refused = DeleteAclsFilterResult {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some("No Authorizer is configured.".into()),
        ..Default::default()
    };
    DeleteAclsResponse { filter_results: vec![refused; request.filters.len()], ..Default::default() }
}
