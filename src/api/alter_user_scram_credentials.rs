//! AlterUserScramCredentials (key 51), version 0: sets or removes SCRAM credentials (KIP-554).

use super::Context;
use super::authorization::Operation;
use crate::security::keys;
use metadata::decide;
use protocol::messages::alter_user_scram_credentials_request::AlterUserScramCredentialsRequest;
use protocol::messages::alter_user_scram_credentials_response::{
    AlterUserScramCredentialsResponse, AlterUserScramCredentialsResult,
};

/// Sets or removes credentials, each user separately. The controller decides.
pub(super) async fn handle(
    context: Context,
    request: AlterUserScramCredentialsRequest,
) -> AlterUserScramCredentialsResponse {
    let users: std::collections::BTreeSet<_> = request
        .deletions
        .iter()
        .map(|one| one.name.clone())
        .chain(request.upsertions.iter().map(|one| one.name.clone()))
        .collect();
    let decided = context
        .broker
        .controller
        .decide(move |view, cx| decide::alter_user_scram_credentials(view.image, cx, &request, &keys));
    context.if_permitted(Operation::Alter, decided).await.unwrap_or_else(|error| {
        let failed = users.into_iter().map(|user| AlterUserScramCredentialsResult {
            user,
            error_code: error.code.code(),
            error_message: error.message.as_deref().map(Into::into),
            ..Default::default()
        });
        AlterUserScramCredentialsResponse { results: failed.collect(), ..Default::default() }
    })
}
