//! The follower's side of a partition in one leader epoch: what it asks its leader, and what it
//! does with the answers.
//!
//! The machine holds no records and no offsets. Before each step it gets what the follower knows of
//! its own log, so that the log alone says where the next fetch begins. The driver carries out a
//! step before it asks for the next one.
//!
//! - A fetch names the epoch of the last record that the follower has. If the leader's log has no
//!   such record, the answer says where the logs diverge, and the follower truncates there
//!   (KIP-101, KIP-279, KIP-320; by the Fetch answer since KIP-595).
//! - OFFSET_OUT_OF_RANGE: the follower asks for the leader's log end, then for its log start. It
//!   truncates to the leader's end if its own is higher, which only an unclean election causes. It
//!   starts anew at the leader's start if its own end is lower.
//! - FENCED_LEADER_EPOCH: the leader knows a newer epoch. The follower waits for that epoch.
//! - NOT_LEADER_OR_FOLLOWER and the like: the leader has not read the newest image yet, which it
//!   does within moments. The follower asks again soon, at first after `EARLY_RETRY_MS`, and each
//!   time after twice as long, up to `replica.fetch.backoff.ms`.
//! - Every other error is retried after `replica.fetch.backoff.ms`.
//!
//! An answer counts only for the very position that was asked for, in the same leader epoch.

use crate::planted::{Bug, is_planted};
use model::{BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset};

/// The first wait for a leader that has not read the image of its election yet.
const EARLY_RETRY_MS: i64 = 10;
/// The most times that such a wait is doubled.
const EARLY_RETRIES_MAX: u32 = 16;

/// What a follower knows of its own log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FollowerLog {
    /// The log start offset.
    pub log_start_offset: Offset,
    /// The log end offset.
    pub log_end_offset: Offset,
    /// The high watermark.
    pub high_watermark: Offset,
    /// The newest epoch of its leader epoch cache.
    pub latest_epoch: Option<LeaderEpoch>,
}

/// Returns the largest epoch in the follower's log that is not above an epoch, and where it ended.
pub type EndOfEpoch<'a> = &'a dyn Fn(LeaderEpoch) -> Option<(LeaderEpoch, Offset)>;

/// From where a follower fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPosition {
    /// The leader epoch in which it follows.
    pub leader_epoch: LeaderEpoch,
    /// The next offset that it needs.
    pub offset: Offset,
    /// The epoch of the last record that it has.
    pub last_fetched_epoch: Option<LeaderEpoch>,
}

/// A leader's answer to a fetch of one partition, without the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchAnswer {
    /// The error, if there is one. Then nothing else counts.
    pub error: Option<ErrorCode>,
    /// The epoch and offset where the follower's log diverges, if it does.
    pub diverging: Option<(LeaderEpoch, Offset)>,
    /// The leader's high watermark.
    pub high_watermark: Offset,
    /// The leader's log start offset.
    pub log_start_offset: Offset,
}

/// An end of the leader's log (ListOffsets).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaderLogBound {
    /// Its log end offset.
    End,
    /// Its log start offset.
    Start,
}

/// A question for an end of the leader's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BoundQuestion {
    /// Which end.
    pub bound: LeaderLogBound,
    /// The leader epoch in which it follows.
    pub leader_epoch: LeaderEpoch,
    /// Its own log end offset, with which the answer is compared.
    pub log_end_offset: Offset,
}

/// What a follower does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowerNext {
    /// It removes the records at and above an offset, and asks again.
    TruncateTo(Offset),
    /// It fetches.
    Fetch(FetchPosition),
    /// It asks for an end of the leader's log.
    Ask(BoundQuestion),
    /// It waits until this time.
    WaitUntil(Monotonic),
    /// It waits for another leader epoch.
    AwaitImage,
}

/// What a follower does with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FollowerStep {
    /// Nothing: the answer is late, or says only when to ask again.
    Nothing,
    /// It appends the records up to the first batch of a later leader epoch than its own
    /// (KAFKA-18723), and then takes over the leader's offsets (`Follower::bounds`).
    Append,
    /// It removes the records at and above an offset.
    TruncateTo(Offset),
    /// It removes all records and continues at an offset.
    StartAt(Offset),
}

/// The offsets that a follower takes over after an append. `None` where nothing moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FollowerBounds {
    /// The high watermark.
    pub high_watermark: Option<Offset>,
    /// The log start offset.
    pub log_start_offset: Option<Offset>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Fetching,
    Asking(LeaderLogBound),
    /// It cannot go on in this epoch.
    Stopped,
}

/// A partition that this broker follows.
#[derive(Clone, Debug)]
pub struct Follower {
    leader: BrokerId,
    leader_epoch: LeaderEpoch,
    backoff_ms: i64,
    stage: Stage,
    retry_at: Option<Monotonic>,
    /// How many answers in a row said that the leader does not lead yet.
    early_answers: u32,
    /// Only the planted bug `TruncatedToHighWatermark` asks.
    is_new: bool,
}

impl Follower {
    /// Starts to follow a leader. `backoff_ms` is `replica.fetch.backoff.ms`.
    pub fn new(leader: BrokerId, leader_epoch: LeaderEpoch, backoff_ms: i64) -> Follower {
        Follower {
            leader,
            leader_epoch,
            backoff_ms,
            stage: Stage::Fetching,
            retry_at: None,
            early_answers: 0,
            is_new: true,
        }
    }

    /// Returns the leader.
    pub fn leader(&self) -> BrokerId {
        self.leader
    }

    /// Returns the leader epoch.
    pub fn leader_epoch(&self) -> LeaderEpoch {
        self.leader_epoch
    }

    /// Whether it can do nothing more in this epoch: its leader has fenced it, or its log failed.
    pub fn is_stopped(&self) -> bool {
        self.stage == Stage::Stopped
    }

    /// Returns what it does next.
    pub fn next(&mut self, log: &FollowerLog, now: Monotonic) -> FollowerNext {
        if is_planted(Bug::TruncatedToHighWatermark) && std::mem::take(&mut self.is_new) {
            return FollowerNext::TruncateTo(log.high_watermark);
        }
        match (self.stage, self.retry_at) {
            (Stage::Stopped, _) => FollowerNext::AwaitImage,
            (_, Some(at)) if at > now => FollowerNext::WaitUntil(at),
            (Stage::Asking(bound), _) => FollowerNext::Ask(self.question(bound, log)),
            // Records without epochs are of a format before KIP-101. What the leader has of them
            // is known only up to the high watermark.
            (Stage::Fetching, _) if log.latest_epoch.is_none() && log.log_end_offset > log.high_watermark => {
                FollowerNext::TruncateTo(log.high_watermark)
            }
            (Stage::Fetching, _) => FollowerNext::Fetch(self.position(log)),
        }
    }

    fn position(&self, log: &FollowerLog) -> FetchPosition {
        let last_fetched_epoch = log.latest_epoch.filter(|_| !is_planted(Bug::TruncatedToHighWatermark));
        FetchPosition { leader_epoch: self.leader_epoch, offset: log.log_end_offset, last_fetched_epoch }
    }

    fn question(&self, bound: LeaderLogBound, log: &FollowerLog) -> BoundQuestion {
        BoundQuestion { bound, leader_epoch: self.leader_epoch, log_end_offset: log.log_end_offset }
    }

    fn is_late(&self, asked: &FetchPosition, log: &FollowerLog) -> bool {
        if is_planted(Bug::EpochNotCheckedAtAppend) {
            return asked.offset != log.log_end_offset;
        }
        self.stage != Stage::Fetching || *asked != self.position(log)
    }

    /// Takes the answer to a fetch.
    pub fn fetched(
        &mut self,
        asked: &FetchPosition,
        answer: &FetchAnswer,
        log: &FollowerLog,
        end_of_epoch: EndOfEpoch,
        now: Monotonic,
    ) -> FollowerStep {
        if self.is_late(asked, log) {
            return FollowerStep::Nothing;
        }
        self.retry_at = None;
        if answer.error.is_none() {
            self.early_answers = 0;
        }
        match (answer.error, answer.diverging) {
            (None, Some(diverging)) if !is_planted(Bug::DivergenceIgnored) => {
                let end = truncation(diverging, log.log_end_offset, end_of_epoch);
                match end <= answer.log_start_offset && !is_planted(Bug::ForgottenEpochsTrusted) {
                    // What would be left lies below the leader's log start. There the leader has
                    // forgotten its epochs, and cannot say which of it is right.
                    true => FollowerStep::StartAt(answer.log_start_offset),
                    false => FollowerStep::TruncateTo(end),
                }
            }
            (None, _) => FollowerStep::Append,
            (Some(ErrorCode::OffsetOutOfRange), _) => {
                self.stage = Stage::Asking(LeaderLogBound::End);
                FollowerStep::Nothing
            }
            (Some(code), _) => self.refused(code, now),
        }
    }

    fn refused(&mut self, code: ErrorCode, now: Monotonic) -> FollowerStep {
        match code {
            ErrorCode::FencedLeaderEpoch => self.stage = Stage::Stopped,
            ErrorCode::NotLeaderOrFollower
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::UnknownTopicId
            | ErrorCode::UnknownTopicOrPartition => self.delay_shortly(now),
            _ => self.delay(now),
        }
        FollowerStep::Nothing
    }

    /// Takes the answer to a question for an end of the leader's log.
    pub fn bound_answered(
        &mut self,
        asked: &BoundQuestion,
        answer: Result<Offset, ErrorCode>,
        log: &FollowerLog,
        now: Monotonic,
    ) -> FollowerStep {
        if self.stage != Stage::Asking(asked.bound) || *asked != self.question(asked.bound, log) {
            return FollowerStep::Nothing;
        }
        self.retry_at = None;
        self.stage = Stage::Fetching;
        match (asked.bound, answer) {
            (_, Err(code)) => self.refused(code, now),
            (LeaderLogBound::End, Ok(end)) if end < log.log_end_offset => FollowerStep::TruncateTo(end),
            (LeaderLogBound::End, Ok(_)) => {
                self.stage = Stage::Asking(LeaderLogBound::Start);
                FollowerStep::Nothing
            }
            (LeaderLogBound::Start, Ok(start)) if start > log.log_end_offset => {
                FollowerStep::StartAt(if is_planted(Bug::StartedAtZero) { Offset(0) } else { start })
            }
            (LeaderLogBound::Start, Ok(_)) => {
                // By now the leader has what it lacked. It is asked again, but not at once.
                self.delay(now);
                FollowerStep::Nothing
            }
        }
    }

    /// Notes that a request got no answer, or that what it got could not be appended because it is
    /// damaged: it is asked again after the backoff.
    pub fn delay(&mut self, now: Monotonic) {
        self.retry_at = Some(now.plus_ms(self.backoff_ms));
    }

    fn delay_shortly(&mut self, now: Monotonic) {
        let wait_ms = (EARLY_RETRY_MS << self.early_answers).min(self.backoff_ms);
        self.early_answers = (self.early_answers + 1).min(EARLY_RETRIES_MAX);
        self.retry_at = Some(now.plus_ms(wait_ms));
    }

    /// Notes that the log cannot be written. Only another leader epoch begins again.
    pub fn stop(&mut self) {
        self.stage = Stage::Stopped;
    }

    /// Returns the offsets to take over from an answer, after its records are appended. The high
    /// watermark never moves back and never above the follower's own log end.
    pub fn bounds(answer: &FetchAnswer, log: &FollowerLog) -> FollowerBounds {
        let high_watermark = answer.high_watermark.min(log.log_end_offset).max(log.high_watermark);
        let log_start_offset = answer.log_start_offset.min(high_watermark);
        FollowerBounds {
            high_watermark: (high_watermark > log.high_watermark).then_some(high_watermark),
            log_start_offset: (log_start_offset > log.log_start_offset).then_some(log_start_offset),
        }
    }
}

/// Returns where a follower truncates whose log diverges from the leader's: `diverging` is the
/// largest epoch in the leader's log that is not above the follower's last one, and its end there.
fn truncation(diverging: (LeaderEpoch, Offset), log_end_offset: Offset, end_of_epoch: EndOfEpoch) -> Offset {
    let (epoch, leader_end) = diverging;
    let end = match end_of_epoch(epoch) {
        // The leader's epoch is unknown here, so nothing above the last epoch before it can be the
        // leader's. The next fetch asks with that epoch (KIP-279).
        Some((own_epoch, own_end)) if own_epoch != epoch && !is_planted(Bug::UnknownEpochTrusted) => own_end,
        Some((_, own_end)) if !is_planted(Bug::UnknownEpochTrusted) => own_end.min(leader_end),
        _ => leader_end,
    };
    end.min(log_end_offset)
}
