//! CreateAcls (key 30), versions 1-3: adds ACLs (KIP-140).
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
use protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use protocol::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};

/// Answers SECURITY_DISABLED for each ACL.
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
