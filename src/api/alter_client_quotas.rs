//! AlterClientQuotas (key 49), versions 0-1: sets or removes client quotas (KIP-546).
//!
//! - 1: is flexible.

use super::Context;
use super::authorization::Operation;
use metadata::decide;
use protocol::messages::alter_client_quotas_request::AlterClientQuotasRequest;
use protocol::messages::alter_client_quotas_response::{AlterClientQuotasResponse, EntityData, EntryData};

/// Sets or removes quotas, each entity separately. The controller decides.
pub(super) async fn handle(context: Context, request: AlterClientQuotasRequest) -> AlterClientQuotasResponse {
    let asked = request.entries.clone();
    let decided = context.broker.controller.decide(move |view, _| decide::alter_client_quotas(view.image, &request));
    context.if_permitted(Operation::AlterConfigs, decided).await.unwrap_or_else(|error| {
        let failed = asked.into_iter().map(|entry| EntryData {
            error_code: error.code.code(),
            error_message: error.message.as_deref().map(Into::into),
            entity: entry
                .entity
                .into_iter()
                .map(|one| EntityData {
                    entity_type: one.entity_type,
                    entity_name: one.entity_name,
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
        AlterClientQuotasResponse { entries: failed.collect(), ..Default::default() }
    })
}
