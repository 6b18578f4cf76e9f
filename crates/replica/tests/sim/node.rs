//! What a broker does with the machine of its replica: it answers fetches as the leader, fetches as
//! a follower, and talks to the controller.

use crate::Check;
use crate::controller::Image;
use crate::exchange::{CONTROLLER, Envelope, Message, Sender};
use crate::ledger::Ledger;
use crate::log::{Record, SimLog};
use crate::random::Random;
use model::{BrokerEpoch, BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset};
use replica::{
    BoundQuestion, CommittedIsr, FetchAnswer, FetchPosition, Follower, FollowerFetch, FollowerNext, FollowerStep,
    IsrProposal, LeaderLogBound, LeaderStart, ProposalOutcome, Replica, RoleChange,
};
use std::collections::BTreeMap;

/// `replica.lag.time.max.ms`
pub const LAG_MAX_MS: u64 = 200;
/// `replica.fetch.backoff.ms`
const BACKOFF_MS: i64 = 30;
/// A request without an answer fails after this time.
const REQUEST_TIMEOUT_MS: u64 = 150;

/// A write with `acks=all` that waits.
#[derive(Clone, Copy, Debug)]
struct Write {
    offset: i64,
    record: Record,
}

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug)]
struct Asked {
    request: u64,
    deadline: u64,
}

/// What a step of a broker needs from the course.
pub struct Course<'a> {
    pub now: u64,
    pub random: &'a mut Random,
    pub ledger: &'a mut Ledger,
    pub outbox: &'a mut Vec<Envelope>,
}

/// A broker with its replica.
#[derive(Debug)]
pub struct Node {
    pub id: BrokerId,
    pub incarnation: u32,
    pub is_alive: bool,
    /// It handles nothing before this time.
    pub paused_until: u64,
    /// It fetches one record at a time.
    pub is_slow: bool,
    /// It is in controlled shutdown.
    pub is_leaving: bool,
    /// The controller lets it shut down.
    pub may_shut_down: bool,
    pub log: SimLog,
    pub replica: Replica,
    min_isr: usize,
    has_lost: bool,
    broker_epoch: Option<BrokerEpoch>,
    image: Option<Image>,
    fetch: Option<Asked>,
    /// The proposal that waits for its answer, and until when.
    altering: Option<(u64, IsrProposal)>,
    requests: u64,
    writes: Vec<Write>,
    /// When this leader appended each record of its epoch, from the start of the epoch on.
    appended_at: Vec<u64>,
    led_since: u64,
    /// The highest offset from which each follower has fetched in this epoch.
    reached: BTreeMap<BrokerId, i64>,
}

impl Node {
    pub fn new(id: BrokerId, min_isr: usize) -> Node {
        Node {
            id,
            incarnation: 1,
            is_alive: true,
            paused_until: 0,
            is_slow: false,
            is_leaving: false,
            may_shut_down: false,
            log: SimLog::default(),
            replica: Replica::new(id),
            min_isr,
            has_lost: false,
            broker_epoch: None,
            image: None,
            fetch: None,
            altering: None,
            requests: 0,
            writes: Vec::new(),
            appended_at: Vec::new(),
            led_since: 0,
            reached: BTreeMap::new(),
        }
    }

    /// The process ends. A power cut loses what was not flushed.
    pub fn kill(&mut self, is_power_cut: bool, random: &mut Random) {
        self.is_alive = false;
        self.has_lost |= is_power_cut;
        self.log.crash(is_power_cut, random);
    }

    /// The process starts again.
    pub fn restart(&mut self) {
        let old = std::mem::replace(self, Node::new(self.id, self.min_isr));
        *self = Node {
            incarnation: old.incarnation + 1,
            log: old.log,
            has_lost: old.has_lost,
            is_slow: old.is_slow,
            ..Node::new(self.id, self.min_isr)
        };
    }

    fn sender(&mut self) -> Sender {
        self.requests += 1;
        Sender { id: self.id, incarnation: self.incarnation, broker_epoch: self.broker_epoch, request: self.requests }
    }

    fn send(&self, course: &mut Course, to: BrokerId, message: Message) {
        course.outbox.push(Envelope { from: self.id, to, incarnation: None, message });
    }

    fn reply(&self, course: &mut Course, to: &Sender, message: Message) {
        course.outbox.push(Envelope { from: self.id, to: to.id, incarnation: Some(to.incarnation), message });
    }

    /// What a broker does again and again.
    pub fn tick(&mut self, course: &mut Course) -> Check {
        self.log.maintain(course.random);
        let from = self.sender();
        let message = match self.broker_epoch {
            None => Message::Register { from, has_lost: self.has_lost },
            Some(_) => Message::Heartbeat { from, is_leaving: self.is_leaving },
        };
        self.send(course, CONTROLLER, message);
        if self.fetch.is_some_and(|asked| asked.deadline < course.now) {
            self.fetch = None;
            if let Some(follower) = self.replica.follower_mut() {
                follower.delay(Monotonic(course.now));
            }
        }
        if self.altering.as_ref().is_some_and(|(deadline, _)| *deadline < course.now)
            && let Some((_, proposal)) = self.altering.take()
        {
            self.altered(course, &proposal, Err(ErrorCode::RequestTimedOut))?;
        }
        self.check_lag(course)?;
        self.follow_up(course)
    }

    /// Handles a message.
    pub fn receive(&mut self, course: &mut Course, message: Message) -> Check {
        match message {
            Message::Registered { epoch } => (self.broker_epoch, self.has_lost) = (Some(epoch), false),
            Message::MayShutDown => self.may_shut_down = self.is_leaving,
            Message::Image(image) => self.publish(course, *image)?,
            Message::Altered { proposal, answer } => self.altered(course, &proposal, answer)?,
            Message::Fetch { from, position, log_start, count } => {
                self.answer_fetch(course, from, position, log_start, count)?
            }
            Message::Ask { from, question } => {
                let answer = self.leads_in(question.leader_epoch).map(|()| match question.bound {
                    LeaderLogBound::End => Offset(self.log.end()),
                    LeaderLogBound::Start => Offset(self.log.start()),
                });
                let told = Message::Told { request: from.request, asked: question, answer };
                self.reply(course, &from, told);
            }
            Message::Fetched { request, position, answer, records } => {
                self.take_fetch(course, request, position, answer, &records)?
            }
            Message::Told { request, asked, answer } => self.take_bound(course, request, asked, answer)?,
            Message::Register { .. } | Message::Heartbeat { .. } | Message::Alter { .. } => {}
        }
        Ok(())
    }

    fn standing_of(image: Option<&Image>) -> impl Fn(BrokerId) -> Option<replica::BrokerStanding> + '_ {
        move |id| image.and_then(|image| image.standing(id))
    }

    fn publish(&mut self, course: &mut Course, image: Image) -> Check {
        // A broker publishes nothing before it has read the metadata up to its registration.
        let is_old = |registered: BrokerEpoch| (image.version as i64) < registered.0;
        let is_known = self.image.as_ref().is_some_and(|known| known.version >= image.version);
        if is_known || self.broker_epoch.is_none_or(is_old) {
            return Ok(());
        }
        let change = self.replica.change(&image.state());
        let epoch = image.leader_epoch;
        match change {
            RoleChange::Nothing => {}
            RoleChange::Lead => {
                self.log.assign_epoch(epoch);
                let before = self.log.high_watermark();
                let leader = self.replica.lead(LeaderStart {
                    broker_id: self.id,
                    leader_epoch: epoch,
                    partition_epoch: image.partition_epoch,
                    replicas: image.replicas.clone(),
                    isr: image.isr.clone(),
                    min_insync_replicas: self.min_isr,
                    lag_max_ms: LAG_MAX_MS,
                    log_end_offset: Offset(self.log.end()),
                    own_end_offset: Offset(self.log.end()),
                    high_watermark: Offset(before),
                    now: Monotonic(course.now),
                });
                let reached = leader.high_watermark().0;
                (self.appended_at, self.led_since) = (Vec::new(), course.now);
                self.reached.clear();
                (self.writes, self.fetch, self.altering) = (Vec::new(), None, None);
                course.ledger.holds_all(self.id, &self.log, epoch)?;
                self.move_to(course, reached)?;
            }
            RoleChange::Update => {
                let now = Monotonic(course.now);
                let brokers = Self::standing_of(Some(&image));
                let leader = self.replica.leader_mut().ok_or("it leads")?;
                let moved = leader.committed(image.partition_epoch, &image.replicas, image.isr.clone(), now, &brokers);
                self.move_to_some(course, moved)?;
            }
            RoleChange::Follow(leader) => {
                self.replica.follow(leader, epoch, BACKOFF_MS);
                (self.writes, self.fetch, self.altering) = (Vec::new(), None, None);
            }
            RoleChange::Resign => {
                self.replica.resign(epoch);
                (self.writes, self.fetch, self.altering) = (Vec::new(), None, None);
            }
        }
        self.image = Some(image);
        self.follow_up(course)
    }

    fn move_to_some(&mut self, course: &mut Course, moved: Option<Offset>) -> Check {
        moved.map_or(Ok(()), |to| self.move_to(course, to.0))
    }

    fn move_to(&mut self, course: &mut Course, to: i64) -> Check {
        course.ledger.moved(self.id, &self.log, self.log.high_watermark(), to)?;
        self.log.set_high_watermark(to);
        Ok(())
    }

    /// A producer writes with `acks=all`. Returns whether it was accepted.
    pub fn write(&mut self, course: &mut Course, value: u64) -> Check<bool> {
        let brokers = Self::standing_of(self.image.as_ref());
        let Some(leader) = self.replica.leader_mut().filter(|leader| !leader.is_under_min_isr()) else {
            return Ok(false);
        };
        let record = Record { epoch: leader.leader_epoch(), value };
        let offset = self.log.end();
        self.log.append(record);
        self.appended_at.push(course.now);
        let end = Offset(self.log.end());
        let moved = leader.appended(end, end, &brokers);
        drop(brokers);
        self.writes.push(Write { offset, record });
        self.move_to_some(course, moved)?;
        Ok(true)
    }

    /// Tells a client the high watermark, if this broker leads and may.
    pub fn tell(&self, course: &mut Course) -> Check {
        match self.replica.leader().filter(|leader| leader.has_caught_up()) {
            Some(leader) => course.ledger.tell(leader.leader_epoch(), self.log.high_watermark()),
            None => Ok(()),
        }
    }

    /// Deletes the oldest records, as retention and DeleteRecords do.
    pub fn delete_records(&mut self, deletes_all: bool, random: &mut Random) {
        if self.replica.leader().is_some() {
            let high_watermark = self.log.high_watermark();
            let least = if deletes_all { high_watermark } else { self.log.start() };
            self.log.raise_start(random.within(least, high_watermark));
        }
    }

    fn leads_in(&self, epoch: LeaderEpoch) -> Result<(), ErrorCode> {
        let own = self.replica.leader().ok_or(ErrorCode::NotLeaderOrFollower)?.leader_epoch();
        match epoch.cmp(&own) {
            std::cmp::Ordering::Less => Err(ErrorCode::FencedLeaderEpoch),
            std::cmp::Ordering::Greater => Err(ErrorCode::UnknownLeaderEpoch),
            std::cmp::Ordering::Equal => Ok(()),
        }
    }

    /// Returns where the follower's log diverges, if it does. Errors: the fetch is refused.
    fn diverging(&self, position: &FetchPosition) -> Result<Option<(LeaderEpoch, Offset)>, ErrorCode> {
        self.leads_in(position.leader_epoch)?;
        if position.offset.0 < self.log.start() {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        if let Some(last) = position.last_fetched_epoch {
            let (epoch, end) = self.log.end_of_epoch(last).ok_or(ErrorCode::OffsetOutOfRange)?;
            if epoch < last || end < position.offset {
                return Ok(Some((epoch, end)));
            }
        }
        match position.offset.0 > self.log.end() {
            true => Err(ErrorCode::OffsetOutOfRange),
            false => Ok(None),
        }
    }

    fn answer_fetch(
        &mut self,
        course: &mut Course,
        from: Sender,
        position: FetchPosition,
        log_start: i64,
        count: usize,
    ) -> Check {
        let diverging = self.diverging(&position);
        let mut error = diverging.err();
        if diverging == Ok(None) {
            let fetch = FollowerFetch {
                broker_id: from.id,
                broker_epoch: from.broker_epoch,
                log_end_offset: position.offset,
                log_start_offset: Offset(log_start),
                leader_log_start_offset: Offset(self.log.start()),
                leader_log_end_offset: Offset(self.log.end()),
                now: Monotonic(course.now),
            };
            let brokers = Self::standing_of(self.image.as_ref());
            let fetched = self.replica.leader_mut().map(|leader| leader.fetched(&fetch, &brokers));
            drop(brokers);
            match fetched {
                Some(Ok(update)) => {
                    let reached = self.reached.entry(from.id).or_default();
                    *reached = position.offset.0.max(*reached);
                    self.move_to_some(course, update.high_watermark)?;
                    self.propose(course, update.proposal);
                }
                Some(Err(refused)) => error = Some(refused.code()),
                None => {}
            }
        }
        let records = match (error, diverging) {
            (None, Ok(None)) => self.log.read(position.offset.0, count),
            _ => Vec::new(),
        };
        let answer = FetchAnswer {
            error,
            diverging: diverging.ok().flatten(),
            high_watermark: Offset(self.log.high_watermark()),
            log_start_offset: Offset(self.log.start()),
        };
        self.reply(course, &from, Message::Fetched { request: from.request, position, answer, records });
        Ok(())
    }

    fn propose(&mut self, course: &mut Course, proposal: Option<IsrProposal>) {
        let Some(proposal) = proposal else { return };
        let from = self.sender();
        self.altering = Some((course.now + REQUEST_TIMEOUT_MS, proposal.clone()));
        self.send(course, CONTROLLER, Message::Alter { from, proposal });
    }

    fn altered(
        &mut self,
        course: &mut Course,
        proposal: &IsrProposal,
        answer: Result<CommittedIsr, ErrorCode>,
    ) -> Check {
        let brokers = Self::standing_of(self.image.as_ref());
        let Some(leader) = self.replica.leader_mut() else { return Ok(()) };
        let outcome = leader.answered(proposal, answer, &brokers);
        drop(brokers);
        match outcome {
            ProposalOutcome::Committed(moved) => self.move_to_some(course, moved),
            ProposalOutcome::SendAgain(proposal) => {
                self.propose(course, Some(proposal));
                Ok(())
            }
            ProposalOutcome::Stale | ProposalOutcome::Withdrawn | ProposalOutcome::AwaitsImage => Ok(()),
        }
    }

    /// Checks the rule of `replica.lag.time.max.ms` by another way than the leader's: no member
    /// stays that lacks a record for longer.
    fn check_lag(&mut self, course: &mut Course) -> Check {
        let Some(leader) = self.replica.leader_mut().filter(|leader| !leader.isr().is_pending()) else {
            return Ok(());
        };
        let proposal = leader.check_lag(Monotonic(course.now));
        let start = leader.start_offset().0;
        for id in leader.isr().maximal().filter(|id| *id != self.id) {
            let stays = proposal.as_ref().is_none_or(|it| it.isr.iter().any(|(member, _)| *member == id));
            // A fetch that was overtaken may have brought a lower offset since.
            let reached = self.reached.get(&id).copied().unwrap_or(0);
            let lacks_since = match usize::try_from(reached - start) {
                Ok(index) => self.appended_at.get(index).copied(),
                Err(_) => Some(self.led_since),
            };
            if stays && lacks_since.is_some_and(|since| course.now - since > LAG_MAX_MS) {
                return Err(format!("{id} stays in the ISR at {reached}, which it has reached since {lacks_since:?}"));
            }
        }
        if !leader.isr().maximal().any(|id| id == self.id) {
            return Err(format!("the leader {} is not in its ISR {:?}", self.id, leader.isr()));
        }
        self.propose(course, proposal);
        Ok(())
    }

    /// Does what the follower's machine wants next.
    fn follow_up(&mut self, course: &mut Course) -> Check {
        loop {
            if self.fetch.is_some() || self.broker_epoch.is_none() {
                return Ok(());
            }
            let facts = self.log.facts();
            let Some(follower) = self.replica.follower_mut() else { return Ok(()) };
            let leader = follower.leader();
            let next = follower.next(&facts, Monotonic(course.now));
            let from = self.sender();
            let message = match next {
                FollowerNext::TruncateTo(end) => {
                    self.truncate(course, end.0)?;
                    continue;
                }
                FollowerNext::Fetch(position) => {
                    let count = if self.is_slow { 1 } else { 1 + course.random.below(20) };
                    Message::Fetch { from, position, log_start: self.log.start(), count }
                }
                FollowerNext::Ask(question) => Message::Ask { from, question },
                FollowerNext::WaitUntil(_) | FollowerNext::AwaitImage => return Ok(()),
            };
            self.fetch = Some(Asked { request: from.request, deadline: course.now + REQUEST_TIMEOUT_MS });
            self.send(course, leader, message);
        }
    }

    fn truncate(&mut self, course: &mut Course, end: i64) -> Check {
        course.ledger.truncates(self.id, &self.log, end)?;
        self.log.truncate_to(end);
        Ok(())
    }

    /// Whether an answer is to the request that waits. If not, the machine still sees it: it may be
    /// late, and must not count.
    fn ends_fetch(&mut self, request: u64) {
        if self.fetch.is_some_and(|asked| asked.request == request) {
            self.fetch = None;
        }
    }

    fn take_fetch(
        &mut self,
        course: &mut Course,
        request: u64,
        position: FetchPosition,
        answer: FetchAnswer,
        records: &[Record],
    ) -> Check {
        self.ends_fetch(request);
        let facts = self.log.facts();
        let log = &self.log;
        let end_of_epoch = |epoch| log.end_of_epoch(epoch);
        let step = self.replica.fetched(&position, &answer, &facts, &end_of_epoch, Monotonic(course.now));
        match step {
            FollowerStep::Append => self.append(course, &position, &answer, records)?,
            step => self.carry_out(course, step)?,
        }
        // With nothing new, the leader is asked again by the next tick. A slow follower always
        // waits.
        match records.is_empty() || self.is_slow {
            true => Ok(()),
            false => self.follow_up(course),
        }
    }

    fn append(
        &mut self,
        course: &mut Course,
        position: &FetchPosition,
        answer: &FetchAnswer,
        records: &[Record],
    ) -> Check {
        let own = records.iter().take_while(|record| record.epoch <= position.leader_epoch);
        for record in own {
            if let Some(leader) = self.replica.leader() {
                let epoch = leader.leader_epoch();
                return Err(format!("{} leads in {epoch} and appends {record:?} of another leader", self.id));
            }
            let last = self.log.end().checked_sub(1).and_then(|last| self.log.get(last));
            if last.is_some_and(|last| last.epoch > record.epoch) {
                return Err(format!("{} appends {record:?} after {last:?}", self.id));
            }
            self.log.append(*record);
        }
        let bounds = Follower::bounds(answer, &self.log.facts());
        let before = self.log.high_watermark();
        let to = bounds.high_watermark.map_or(before, |to| to.0);
        self.log.set_high_watermark(to);
        // Before anything is read: below the leader's log start, records may differ.
        if let Some(start) = bounds.log_start_offset {
            self.log.raise_start(start.0);
        }
        course.ledger.moved(self.id, &self.log, before, to)
    }

    fn carry_out(&mut self, course: &mut Course, step: FollowerStep) -> Check {
        match step {
            FollowerStep::Nothing | FollowerStep::Append => Ok(()),
            FollowerStep::TruncateTo(end) => self.truncate(course, end.0),
            FollowerStep::StartAt(start) => {
                if start.0 < self.log.high_watermark() && !course.ledger.is_unclean {
                    return Err(format!("{} starts anew at {start}, below its high watermark", self.id));
                }
                self.log.start_at(start.0);
                Ok(())
            }
        }
    }

    fn take_bound(
        &mut self,
        course: &mut Course,
        request: u64,
        asked: BoundQuestion,
        answer: Result<Offset, ErrorCode>,
    ) -> Check {
        self.ends_fetch(request);
        let facts = self.log.facts();
        let Some(follower) = self.replica.follower_mut() else { return Ok(()) };
        let step = follower.bound_answered(&asked, answer, &facts, Monotonic(course.now));
        self.carry_out(course, step)?;
        self.follow_up(course)
    }

    /// Returns the writes that are acknowledged now, and forgets those that fail.
    pub fn acknowledged(&mut self) -> Vec<(i64, Record)> {
        let Some(leader) = self.replica.leader() else { return Vec::new() };
        let mut done = Vec::new();
        self.writes.retain(|write| match leader.acknowledged(Offset(write.offset + 1)) {
            None => true,
            Some(Err(_)) => false,
            Some(Ok(())) => {
                done.push((write.offset, write.record));
                false
            }
        });
        done
    }
}
