//! ListTransactions (key 66), versions 0-2.
//!
//! There is none, since transactions are not served. Names of states that do not exist are told apart, as in Kafka. 1 filters by age (KIP-994), 2 by
//! a pattern of ids (KIP-1152), which must be one.

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

/// Whether a text is a regular expression. Unicode classes are beyond the library, and taken for granted.
fn is_pattern(text: &str) -> bool {
    text.contains("\\p") || text.contains("\\P") || regex_lite::Regex::new(text).is_ok()
}
