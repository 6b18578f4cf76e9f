//! DescribeUserScramCredentials (key 50), version 0 (KIP-554). Salts and keys are never told.

use super::Context;
use metadata::decide;
use model::ErrorCode;
use protocol::messages::describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
use protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResponse;

/// Answers which mechanisms and iterations users have.
pub(super) async fn handle(
    context: Context,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    if context.connection.listener.is_controller {
        // Kafka's controllers advertise it and do not serve it.
        return DescribeUserScramCredentialsResponse {
            error_code: ErrorCode::UnknownServerError.code(),
            error_message: None,
            ..Default::default()
        };
    }
    decide::describe_user_scram_credentials(&context.broker.image(), &request)
}
