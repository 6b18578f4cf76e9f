//! DescribeUserScramCredentials (key 50), version 0 (KIP-554). Salts and keys are never told.

use super::Context;
use metadata::decide;
use protocol::messages::describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
use protocol::messages::describe_user_scram_credentials_response::DescribeUserScramCredentialsResponse;

/// Answers which mechanisms and iterations users have.
pub(super) async fn handle(
    context: Context,
    request: DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    decide::describe_user_scram_credentials(&context.broker.image(), &request)
}
