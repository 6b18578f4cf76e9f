//! Consumers whose heartbeat interval is longer than their rebalance timeout
//! (`max.poll.interval.ms`). A member learns of a rebalance only from its heartbeat, so it is
//! removed before it knows. As in Apache Kafka, it depends on their start times whether three of
//! them ever share a generation. The transcript of those that do not is the log of Apache Kafka
//! 4.3.1 for the same start times, except for the round-trip times.

use super::{Harness, ask_to_join, code, join_request, sync};
use crate::{GroupReply, GroupRequest, ReplyId};
use model::ErrorCode;
use protocol::messages::heartbeat_request::HeartbeatRequest;
use protocol::messages::join_group_request::JoinGroupRequest;
use std::fmt::Write;

const HEARTBEAT_INTERVAL_MS: i64 = 3000;
const REBALANCE_TIMEOUT_MS: i32 = 1000;
const INITIAL_DELAY_MS: i32 = 10;

/// What a consumer waits for.
enum Waiting {
    Start(i64),
    Join(ReplyId),
    Sync(ReplyId),
    Heartbeat(i64),
}

/// A classic consumer that reacts to every answer at once.
struct Consumer {
    member: String,
    generation: i32,
    waiting: Waiting,
}

impl Consumer {
    fn join(&mut self, h: &mut Harness) {
        let request = |member: &str| {
            let rebalance_timeout_ms = REBALANCE_TIMEOUT_MS;
            ask_to_join(JoinGroupRequest { rebalance_timeout_ms, ..join_request("g", member) })
        };
        if self.member.is_empty() {
            let ticket = h.send(request(""));
            self.member = h.joined(ticket).member_id.to_string();
        }
        self.waiting = Waiting::Join(h.send(request(&self.member)));
    }

    /// Does everything that it can at this moment. Returns the generation that it joins.
    fn act(&mut self, h: &mut Harness) -> Option<i32> {
        match self.waiting {
            Waiting::Start(at) if at <= h.now => self.join(h),
            Waiting::Join(ticket) => {
                let GroupReply::JoinGroup(joined) = h.replies.remove(&ticket)? else { panic!() };
                assert_eq!(code(joined.error_code), ErrorCode::None);
                self.generation = joined.generation_id;
                let own = joined.members.iter().map(|it| (it.member_id.as_str(), "A")).collect::<Vec<_>>();
                self.waiting = Waiting::Sync(h.send(sync("g", &self.member, self.generation, &own)));
                return Some(self.generation);
            }
            Waiting::Sync(ticket) => {
                let GroupReply::SyncGroup(synced) = h.replies.remove(&ticket)? else { panic!() };
                assert_eq!(code(synced.error_code), ErrorCode::None);
                self.waiting = Waiting::Heartbeat(h.now + HEARTBEAT_INTERVAL_MS);
            }
            Waiting::Heartbeat(at) if at <= h.now => {
                let request = HeartbeatRequest {
                    group_id: "g".into(),
                    member_id: self.member.as_str().into(),
                    generation_id: self.generation,
                    ..Default::default()
                };
                let GroupReply::Heartbeat(response) = h.ask(GroupRequest::Heartbeat(request)) else { panic!() };
                match code(response.error_code) {
                    ErrorCode::None => self.waiting = Waiting::Heartbeat(h.now + HEARTBEAT_INTERVAL_MS),
                    ErrorCode::RebalanceInProgress => self.join(h),
                    ErrorCode::UnknownMemberId => {
                        self.member.clear();
                        self.join(h);
                    }
                    other => panic!("{other:?}"),
                }
            }
            Waiting::Start(_) | Waiting::Heartbeat(_) => {}
        }
        None
    }
}

/// Returns the generations of consumers that start at these times, each with its members.
fn transcript(starts_ms: &[i64], end_ms: i64) -> String {
    let mut h = Harness::new();
    h.config.initial_rebalance_delay_ms = INITIAL_DELAY_MS;
    let begin = h.now;
    let consumer =
        |start: &i64| Consumer { member: String::new(), generation: 0, waiting: Waiting::Start(begin + start) };
    let mut consumers: Vec<Consumer> = starts_ms.iter().map(consumer).collect();
    let mut text = String::new();
    for now in 0..end_ms {
        let mut joined: Vec<(i32, usize)> = Vec::new();
        // Each consumer may wait for another one's action at the same moment.
        for _ in 0..4 {
            for (who, consumer) in consumers.iter_mut().enumerate() {
                joined.extend(consumer.act(&mut h).map(|generation| (generation, who)));
            }
        }
        joined.sort_unstable();
        if let Some((generation, _)) = joined.first() {
            write!(text, "{now} ms, generation {generation}:").unwrap();
            joined.iter().for_each(|(_, who)| write!(text, " c{who}").unwrap());
            text.push('\n');
        }
        h.advance(1);
    }
    text
}

#[test]
fn consumers_that_join_within_the_initial_delay_share_a_generation() {
    assert_eq!(transcript(&[0, 5, 9], 10_000), "20 ms, generation 1: c0 c1 c2\n");
}

#[test]
fn consumers_that_miss_the_initial_delay_evict_each_other() {
    assert_eq!(
        transcript(&[0, 20, 27], 13_500),
        "\
10 ms, generation 1: c0
1020 ms, generation 2: c1 c2
4010 ms, generation 3: c0
5020 ms, generation 4: c1 c2
8010 ms, generation 5: c0
9020 ms, generation 6: c1 c2
12010 ms, generation 7: c0
13020 ms, generation 8: c1 c2
"
    );
}

#[test]
fn consumers_whose_heartbeat_falls_into_the_join_phase_share_a_generation() {
    // The second consumer starts a join phase, which lasts until the first one's heartbeat.
    assert_eq!(transcript(&[0, 2500], 10_000), "10 ms, generation 1: c0\n3010 ms, generation 2: c0 c1\n");
}
