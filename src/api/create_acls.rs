//! CreateAcls (key 30), versions 1-3.
//!
//! No authorizer is configured, and without one Kafka refuses what is about ACLs. Before that it closes a connection on which a request names something
//! as unknown: the code 0 of a kind of resource or pattern, an operation or a permission. Codes that nobody knows pass.

use super::{Context, Refused};
use model::ErrorCode;
use protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use protocol::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};

/// Answers SECURITY_DISABLED to each.
pub(super) async fn handle(_: Context, request: CreateAclsRequest) -> Result<CreateAclsResponse, Refused> {
    let names_unknown =
        |it: &AclCreation| [it.resource_type, it.resource_pattern_type, it.operation, it.permission_type].contains(&0);
    if request.creations.iter().any(names_unknown) {
        return Err(Refused::Meaningless("an ACL of something unknown"));
    }
    let refused = AclCreationResult {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some("No Authorizer is configured.".into()),
        ..Default::default()
    };
    Ok(CreateAclsResponse { results: vec![refused; request.creations.len()], ..Default::default() })
}
