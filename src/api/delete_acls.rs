//! DeleteAcls (key 31), versions 1-3: deletes ACLs (KIP-140).
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
use protocol::messages::delete_acls_request::{DeleteAclsFilter, DeleteAclsRequest};
use protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsResponse};

/// Removes the ACLs that filters mean, each filter separately. The controller decides.
pub(super) async fn handle(context: Context, request: DeleteAclsRequest) -> Result<DeleteAclsResponse, Refused> {
    let names_unknown = |it: &DeleteAclsFilter| {
        [it.resource_type_filter, it.pattern_type_filter, it.operation, it.permission_type].contains(&0)
    };
    if request.filters.iter().any(names_unknown) {
        return Err(Refused::Meaningless("a filter of ACLs by something unknown"));
    }
    let count = request.filters.len();
    let deleted = delete(&context, request).await.unwrap_or_else(|error| {
        let failed = DeleteAclsFilterResult {
            error_code: error.code.code(),
            error_message: Some(error.message.as_deref().unwrap_or(error.code.message()).into()),
            ..Default::default()
        };
        DeleteAclsResponse { filter_results: vec![failed; count], ..Default::default() }
    });
    Ok(deleted)
}

async fn delete(context: &Context, request: DeleteAclsRequest) -> Result<DeleteAclsResponse, ApiError> {
    context.need_or_say(Operation::Alter)?;
    if context.broker.authorizer.is_none() {
        return Err(ApiError::new(ErrorCode::SecurityDisabled, "No Authorizer is configured."));
    }
    context.broker.controller.decide(move |view, _| decide::delete_acls(view.image, &request)).await
}
