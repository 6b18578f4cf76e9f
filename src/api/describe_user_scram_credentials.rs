//! DescribeUserScramCredentials (key 50), version 0: lists users' SCRAM mechanisms and iterations
//! (KIP-554).
//!
//! The answer never contains salts or keys.

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use model::ErrorCode;
use protocol::messages::describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
use protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResponse;

/// Answers the mechanisms and iterations of users.
pub(super) async fn handle(
    context: Context,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    if let Err(code) = context.need_of_cluster(Operation::Describe) {
        return DescribeUserScramCredentialsResponse {
            error_code: code.code(),
            error_message: None,
            ..Default::default()
        };
    }
    if context.connection.listener.is_controller {
        // Kafka's controllers advertise this request but do not serve it.
        return DescribeUserScramCredentialsResponse {
            error_code: ErrorCode::UnknownServerError.code(),
            error_message: None,
            ..Default::default()
        };
    }
    decide::describe_user_scram_credentials(&context.broker.image(), &request)
}
