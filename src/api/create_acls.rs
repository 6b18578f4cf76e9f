//! CreateAcls (key 30), versions 1-3.
//!
//! No authorizer is configured, and without one Kafka refuses what is about ACLs.

use super::Context;
use model::ErrorCode;
use protocol::messages::create_acls_request::CreateAclsRequest;
use protocol::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};

/// Refuses each.
pub(super) async fn handle(_: Context, request: CreateAclsRequest) -> CreateAclsResponse {
    let refused = AclCreationResult {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some("No Authorizer is configured.".into()),
        ..Default::default()
    };
    CreateAclsResponse { results: vec![refused; request.creations.len()], ..Default::default() }
}
