//! ListTransactions (key 66), versions 0-2: lists transactions (KIP-664).
//!
//! - 1: filters by age (KIP-994).
//! - 2: filters by a pattern of transactional ids (KIP-1152).
//!
//! Transactions are not served, so the list is empty. As in Kafka, the answer lists the names of
//! unknown states in the filter, and a pattern that is not a regular expression is an error.

use super::Context;
use model::ErrorCode;
use protocol::messages::list_transactions_request::ListTransactionsRequest;
use protocol::messages::list_transactions_response::ListTransactionsResponse;

/// Answers an empty list.
pub(super) async fn handle(_: Context, request: ListTransactionsRequest) -> ListTransactionsResponse {
    const STATES: [&str; 8] = [
        "Empty",
        "Ongoing",
        "PrepareCommit",
        "PrepareAbort",
        "CompleteCommit",
        "CompleteAbort",
        "Dead",
        "PrepareEpochFence",
    ];
    if request.transactional_id_pattern.is_some_and(|pattern| !is_pattern(&pattern)) {
        let error_code = ErrorCode::InvalidRegularExpression.code();
        return ListTransactionsResponse { error_code, ..Default::default() };
    }
    let unknown = request.state_filters.into_iter().filter(|state| !STATES.contains(&state.as_str()));
    ListTransactionsResponse { unknown_state_filters: unknown.collect(), ..Default::default() }
}

/// Whether a text is a regular expression. The regex library does not know Unicode classes, so they
/// count as valid.
fn is_pattern(text: &str) -> bool {
    text.contains("\\p") || text.contains("\\P") || regex_lite::Regex::new(text).is_ok()
}
