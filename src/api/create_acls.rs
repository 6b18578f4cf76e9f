//! CreateAcls (key 30), versions 1-3: adds ACLs (KIP-140).
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
use model::{ApiError, ErrorCode};
use protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use protocol::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};

/// Adds ACLs, each separately. The controller decides.
pub(super) async fn handle(context: Context, request: CreateAclsRequest) -> Result<CreateAclsResponse, Refused> {
    let names_unknown =
        |it: &AclCreation| [it.resource_type, it.resource_pattern_type, it.operation, it.permission_type].contains(&0);
    if request.creations.iter().any(names_unknown) {
        return Err(Refused::Meaningless("an ACL of something unknown"));
    }
    let count = request.creations.len();
    let created = create(&context, request).await.unwrap_or_else(|error| {
        let failed = AclCreationResult {
            error_code: error.code.code(),
            // Kafka sends no message with UNKNOWN_SERVER_ERROR.
            error_message: error.message.as_deref().map(Into::into),
            ..Default::default()
        };
        CreateAclsResponse { results: vec![failed; count], ..Default::default() }
    });
    Ok(created)
}

async fn create(context: &Context, request: CreateAclsRequest) -> Result<CreateAclsResponse, ApiError> {
    context.need_or_say(Operation::Alter)?;
    if context.broker.authorizer.is_none() {
        return Err(ApiError::new(ErrorCode::SecurityDisabled, "No Authorizer is configured."));
    }
    context.broker.controller.decide(move |view, cx| decide::create_acls(view.image, cx, &request)).await
}
