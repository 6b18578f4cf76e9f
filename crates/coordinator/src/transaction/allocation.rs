//! Producer ids that were allocated, and what waits for them.

use crate::transaction::builder::DecisionBuilder;
use crate::transaction::soft::{AllocationToken, AwaitsProducerId, SoftChange};
use crate::transaction::{dispatch, timeout};
use model::{ErrorCode, ProducerId};

/// Goes on with what waits for a producer id. An id that is not needed any more is never used.
pub(crate) fn allocated(
    builder: &mut DecisionBuilder<'_>,
    token: AllocationToken,
    result: Result<ProducerId, ErrorCode>,
) {
    let Some(awaits) = builder.soft.allocations.get(&token) else { return };
    builder.change(SoftChange::EndAllocation(token));
    builder.on_failure().soft.push(SoftChange::EndAllocation(token));
    match (awaits, result) {
        (AwaitsProducerId::Request(id, request), Ok(producer)) => {
            builder.set_allocated(producer);
            builder.on_failure().refused = Some((*id, request.clone()));
            dispatch::decide_request(builder, *id, request);
        }
        (AwaitsProducerId::Request(id, request), Err(code)) => builder.reply(*id, request.refused(code)),
        (AwaitsProducerId::Timeout { transactional_id, producer, start }, result) => {
            timeout::allocated(builder, transactional_id, *producer, *start, result);
        }
    }
}
