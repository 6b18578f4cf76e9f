//! Elections at intervals: leaderships go back to preferred leaders, and partitions without a
//! leader get one that may lack records where their topic allows it.

use super::Core;
use super::guarded;
use crate::runtime::metadata_log::LogFault;
use metadata::decide::{self, ControllerContext, Decision};
use metadata::image::Image;
use model::Monotonic;

/// How often leaders are elected.
#[derive(Clone, Copy, Debug, Default)]
pub struct ElectionIntervals {
    /// `leader.imbalance.check.interval.seconds` in milliseconds; `None` without
    /// `auto.leader.rebalance.enable`.
    pub balance_ms: Option<i64>,
    /// `unclean.leader.election.interval.ms`
    pub unclean_ms: Option<i64>,
}

/// When leaders are elected next. `None` where that is not asked for.
#[derive(Debug, Default)]
pub(super) struct ElectionsDue {
    balance: Option<Monotonic>,
    unclean: Option<Monotonic>,
}

impl ElectionsDue {
    /// One interval from now.
    pub(super) fn after(now: Monotonic, intervals: ElectionIntervals) -> Self {
        let after = |interval_ms: Option<i64>| interval_ms.map(|ms| now.plus_ms(ms));
        Self { balance: after(intervals.balance_ms), unclean: after(intervals.unclean_ms) }
    }

    /// Returns when the next one is due.
    pub(super) fn next(&self) -> Option<Monotonic> {
        self.balance.into_iter().chain(self.unclean).min()
    }
}

/// A decision that elects leaders. Its reply says whether there may be more to elect.
type Elect = fn(&Image, &mut ControllerContext<'_>) -> Decision<bool>;

impl Core {
    /// Elects the leaders whose time has come.
    pub(super) fn elect_at_intervals(&mut self) -> Result<(), LogFault> {
        let (now, intervals) = (self.now.monotonic, self.parts.elections);
        let is_due = |at: Option<Monotonic>| at.is_some_and(|at| now >= at);
        if is_due(self.elections_due.balance) {
            let is_done = self.elect(decide::balance_leaders);
            self.elections_due.balance = next(now, intervals.balance_ms, is_done);
            self.check()?;
        }
        if is_due(self.elections_due.unclean) {
            let is_done = self.elect(decide::elect_unclean_leaders);
            self.elections_due.unclean = next(now, intervals.unclean_ms, is_done);
        }
        self.check()
    }

    /// Elects leaders. Returns whether there is nothing more to elect now.
    fn elect(&mut self, elect: Elect) -> bool {
        let decision = guarded(|| Ok(self.with_context(|state, context| elect(state.image, context))));
        // What cannot be decided or appended is logged, and tried again after the interval.
        decision.and_then(|decision| self.append(&decision).map(|_| !decision.reply)).unwrap_or(true)
    }
}

/// Returns when the next election is due: in an interval, or at once where more is to be elected.
fn next(now: Monotonic, interval_ms: Option<i64>, is_done: bool) -> Option<Monotonic> {
    interval_ms.map(|ms| if is_done { now.plus_ms(ms) } else { now })
}
