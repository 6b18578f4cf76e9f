//! DescribeClientQuotas (key 48), versions 0-1: lists client quotas (KIP-546).
//!
//! - 1: is flexible.

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use protocol::messages::describe_client_quotas_request::DescribeClientQuotasRequest;
use protocol::messages::describe_client_quotas_response::DescribeClientQuotasResponse;

/// Answers the quotas of the entities that match.
pub(super) async fn handle(context: Context, request: DescribeClientQuotasRequest) -> DescribeClientQuotasResponse {
    if let Err(code) = context.need_of_cluster(Operation::DescribeConfigs) {
        return DescribeClientQuotasResponse {
            error_code: code.code(),
            error_message: None,
            entries: None,
            ..Default::default()
        };
    }
    decide::describe_client_quotas(&context.broker.image(), &request).unwrap_or_else(|error| {
        DescribeClientQuotasResponse {
            error_code: error.code.code(),
            error_message: error.message.map(Into::into),
            entries: None,
            ..Default::default()
        }
    })
}
