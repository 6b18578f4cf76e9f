//! Transactional ids that nobody has used for long are deleted.

use crate::planted::{Bug, is_planted};
use crate::transaction::builder::DecisionBuilder;
use crate::transaction::soft::TimerKey;
use crate::transaction::state::Transaction;
use protocol::Str;

/// The most transactional ids that one decision deletes. The rest follow at once.
const EXPIRED_MAX: usize = 1_000;

/// Schedules the next search for expired transactional ids.
pub(crate) fn schedule(builder: &mut DecisionBuilder<'_>) {
    builder.schedule(TimerKey::Expire, builder.config().remove_expired_interval_ms);
}

/// Deletes transactional ids that have expired. One with an open or ending transaction does not
/// expire.
pub(crate) fn expire(builder: &mut DecisionBuilder<'_>) {
    let limit = builder.wall().0.saturating_sub(builder.config().transactional_id_expiration_ms);
    let is_expired = |(_, it): &(&Str, &Transaction)| {
        (it.state.is_at_rest() || is_planted(Bug::OpenIdExpired)) && it.last_update.0 <= limit
    };
    let mut expired: Vec<(&Str, &Transaction)> = builder.transactions().filter(is_expired).collect();
    expired.sort_by_key(|(id, _)| *id);
    expired.truncate(EXPIRED_MAX);
    let interval_ms = builder.config().remove_expired_interval_ms;
    if expired.is_empty() {
        return schedule(builder);
    }
    builder.reschedule_on_failure(TimerKey::Expire, interval_ms);
    match expired.len() < EXPIRED_MAX {
        true => schedule(builder),
        false => builder.schedule(TimerKey::Expire, 0),
    }
    builder.delete(expired.into_iter());
}
