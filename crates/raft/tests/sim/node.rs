//! One node: the machine, its disk, and the driver that carries out the machine's actions.

use crate::Check;
use crate::check::{Ledger, fold};
use crate::disk::{self, Disk, Entry};
use bytes::Bytes;
use model::{BrokerId, ErrorCode, LeaderEpoch, Monotonic, Offset, Timestamp};
use raft::{
    Action, AppendedBatch, BytesToRead, Config, ControlRecord, Destination, ElectionState, EndOffset, Event,
    FetchContent, FetchReply, FetchSnapshotReply, Now, QuorumReply, QuorumRequest, Raft, ReceivedReply, ReplicaKey,
    SentReply, SnapshotId, SnapshotPiece, VoteRequest, VoterSet,
};
use std::collections::BTreeMap;

/// What a node wants of the world.
#[derive(Debug)]
pub enum Effect {
    Send { id: u64, to: Destination, request: QuorumRequest },
    Reply { asker: Asker, reply: ReceivedReply },
    Fsync { point: u64, end: EndOffset },
    Check { id: SnapshotId, control_records: Option<Vec<ControlRecord>> },
    Stopped,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    pub node: usize,
    pub run: u64,
    pub id: u64,
}

/// A clock that runs apart from the others.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    pub base: u64,
    /// Its speed in thousandths.
    pub rate: u64,
}

impl Clock {
    pub fn now(&self, time: u64) -> Now {
        let local = self.base + time * self.rate / 1000;
        Now {
            monotonic: Monotonic(local),
            wall: Timestamp(1_800_000_000_000 + i64::try_from(local * 7 % 100_000 + time).unwrap()),
        }
    }

    /// The time at which this clock shows at least `local`.
    pub fn when(&self, local: u64) -> u64 {
        (local.saturating_sub(self.base) * 1000).div_ceil(self.rate)
    }
}

/// A machine that runs.
pub struct Running {
    pub raft: Raft,
    /// The epoch that its controller is active in.
    pub active: Option<LeaderEpoch>,
    /// The end of what its image has, and the image.
    pub applied: Offset,
    pub image: u64,
    /// The end of what was checked to be on a majority's disks.
    pub on_majority: Offset,
    committed: Option<Offset>,
    epoch: LeaderEpoch,
    /// When, on its clock, it began to lead, and when each voter last fetched.
    leads_since: u64,
    led: VoterSet,
    heard: BTreeMap<BrokerId, u64>,
    pub answering: BTreeMap<u64, (Asker, u64)>,
    next_request: u64,
}

/// A node.
pub struct Node {
    pub config: Config,
    pub disk: Disk,
    pub clock: Clock,
    pub running: Option<Running>,
    /// Counts its starts.
    pub run: u64,
    /// After this number of actions it is killed.
    pub fuse: Option<u64>,
    pub padding: usize,
    /// Who waited for an answer when it went down.
    pub hung_up: Vec<Asker>,
}

impl Node {
    /// The machine ends. Its connections are closed.
    pub fn end(&mut self) {
        if let Some(running) = self.running.take() {
            self.hung_up.extend(running.answering.values().map(|(asker, _)| *asker));
        }
    }

    pub fn key(&self) -> ReplicaKey {
        self.config.local
    }

    /// Starts the machine from the disk.
    pub fn start(&mut self, seed: u64, now: Now, ledger: &mut Ledger, effects: &mut Vec<Effect>) -> Check {
        self.run += 1;
        let (stored, image) = self.disk.open();
        let applied = self.disk.snapshots.keys().last().map_or(Offset(0), |id| id.end).max(self.disk.log.start);
        let (raft, actions) = Raft::start(self.config.clone(), stored, seed, now).map_err(|fault| fault.to_string())?;
        let epoch = self.disk.election.unwrap_or_default().epoch;
        let expected = ledger.digest(applied);
        let image = image.unwrap_or(0);
        if expected != Some(image) {
            return Err(format!("an image is what was committed: {image} at {applied}, not {expected:?}"));
        }
        self.running = Some(Running {
            raft,
            active: None,
            applied,
            image,
            on_majority: Offset(0),
            committed: None,
            epoch,
            leads_since: 0,
            led: VoterSet::default(),
            heard: BTreeMap::new(),
            answering: BTreeMap::new(),
            next_request: 0,
        });
        self.carry_out(actions, now, ledger, effects)
    }

    /// Gives the machine an event.
    pub fn step(&mut self, event: Event, now: Now, ledger: &mut Ledger, effects: &mut Vec<Effect>) -> Check {
        let Some(running) = &mut self.running else { return Ok(()) };
        let actions = running.raft.step(event, now).map_err(|fault| fault.to_string())?;
        self.carry_out(actions, now, ledger, effects)
    }

    /// A request arrives.
    pub fn ask(
        &mut self,
        asker: Asker,
        request: QuorumRequest,
        now: Now,
        ledger: &mut Ledger,
        effects: &mut Vec<Effect>,
    ) -> Check {
        let Some(running) = &mut self.running else { return Ok(()) };
        running.next_request += 1;
        let id = running.next_request;
        running.answering.insert(id, (asker, now.monotonic.0));
        let voters = running.raft.voters();
        let replica = match &request {
            QuorumRequest::Fetch(fetch) if fetch.epoch == running.raft.epoch() => fetch.replica,
            QuorumRequest::FetchSnapshot(fetch) if fetch.epoch == running.raft.epoch() => fetch.replica,
            _ => None,
        };
        if let Some(replica) = replica.filter(|replica| voters.contains(replica)) {
            running.heard.insert(replica.id, now.monotonic.0);
        }
        self.step(Event::Request { id, request }, now, ledger, effects)
    }

    /// Proposes a record, if its controller is active.
    pub fn propose(&mut self, value: u64, now: Now, ledger: &mut Ledger, effects: &mut Vec<Effect>) -> Check<bool> {
        let Some(running) = &mut self.running else { return Ok(false) };
        let Some(epoch) = running.active else { return Ok(false) };
        let mut bytes = value.to_be_bytes().to_vec();
        bytes.resize(8 + self.padding, 0);
        let values = vec![Bytes::from(bytes); 1 + usize::try_from(value % 3).unwrap()];
        let Ok(proposed) = running.raft.propose(epoch, &values, now) else {
            return Err("an active controller may propose".into());
        };
        self.carry_out(proposed.actions, now, ledger, effects)?;
        Ok(true)
    }

    fn carry_out(&mut self, actions: Vec<Action>, now: Now, ledger: &mut Ledger, effects: &mut Vec<Effect>) -> Check {
        for action in actions {
            if self.burns() {
                return Ok(());
            }
            self.do_one(action, now, ledger, effects)?;
            if self.running.is_none() {
                return Ok(());
            }
        }
        self.check_leadership(now)
    }

    /// Whether the node is killed before the next action.
    fn burns(&mut self) -> bool {
        match self.fuse {
            Some(0) => {
                self.end();
                true
            }
            Some(left) => {
                self.fuse = Some(left - 1);
                false
            }
            None => false,
        }
    }

    fn do_one(&mut self, action: Action, now: Now, ledger: &mut Ledger, effects: &mut Vec<Effect>) -> Check {
        let key = self.key();
        let Some(running) = &mut self.running else { return Ok(()) };
        match action {
            Action::PersistElection { election, content } => self.persist(election, &content)?,
            Action::Append(AppendedBatch { base, last, epoch, bytes }) => {
                if base != self.disk.log.end {
                    return Err(format!("a log has no gaps: {base} is appended at {}", self.disk.log.end));
                }
                let entry = Entry::new(base, last, epoch, bytes);
                ledger.appended(&entry)?;
                self.disk.append(entry);
            }
            Action::Truncate { end } => {
                if Some(end) < running.committed {
                    return Err(format!("nothing below the high watermark is truncated: {end}"));
                }
                for entry in &self.disk.log.entries[self.disk.log.position(end)..] {
                    ledger.truncated(entry, running.epoch)?;
                }
                self.disk.truncate(end);
            }
            Action::Flush { end } => effects.push(Effect::Fsync { point: self.disk.sync_point(), end }),
            Action::WriteSnapshot { id, position, bytes } => self.write_snapshot(id, position, &bytes)?,
            Action::CheckSnapshot { id } => {
                let file = self.disk.partial.as_ref().filter(|(partial, _)| *partial == id);
                let (_, file) = file.ok_or("a downloaded snapshot is there")?;
                let read = disk::read(Bytes::from(file.clone()));
                effects.push(Effect::Check { id, control_records: read.map(|(records, _)| records) });
            }
            Action::InstallSnapshot { id } => self.install(id, ledger)?,
            Action::Commit { high_watermark } => self.commit(high_watermark, ledger)?,
            Action::LeaderChanged { leader, epoch } => {
                if epoch < running.epoch {
                    return Err("the machine's epoch never goes back".into());
                }
                running.epoch = epoch;
                running.active = running.active.filter(|active| *active == epoch && leader == Some(key.id));
                if leader == Some(key.id) {
                    ledger.leads(key, epoch, &self.disk.log)?;
                    running.leads_since = now.monotonic.0;
                    running.heard.clear();
                }
            }
            Action::Activate { epoch, epoch_start } => {
                if running.applied <= epoch_start || ledger.leader(epoch) != Some(key.id) {
                    return Err("a controller is active once its epoch's first record is committed".into());
                }
                running.active = Some(epoch);
            }
            Action::Send { id, to, request } => {
                if let QuorumRequest::Vote(VoteRequest { epoch, candidate, pre_vote: false, .. }) = &request {
                    self.check_vote(*epoch, *candidate, ledger)?;
                }
                effects.push(Effect::Send { id, to, request });
            }
            Action::Reply { id, reply } => {
                let Some((asker, _)) = running.answering.remove(&id) else {
                    return Err("a request is answered once".into());
                };
                let reply = self.read(reply)?;
                effects.push(Effect::Reply { asker, reply });
            }
            Action::Stopped => {
                self.end();
                effects.push(Effect::Stopped);
            }
        }
        Ok(())
    }

    fn persist(&mut self, election: ElectionState, content: &[u8]) -> Check {
        if self.disk.election.unwrap_or_default().epoch > election.epoch {
            return Err("an epoch never goes back".into());
        }
        let read = ElectionState::decode(content).map_err(|error| error.to_string())?;
        if (read.epoch, read.leader) != (election.epoch, election.leader) {
            return Err("quorum-state says what the machine says".into());
        }
        self.disk.election = Some(election);
        Ok(())
    }

    /// A vote is on disk before anybody is told, and stays.
    pub fn check_vote(&self, epoch: LeaderEpoch, candidate: ReplicaKey, ledger: &mut Ledger) -> Check {
        ledger.voted(self.key(), epoch, candidate)?;
        let election = self.disk.election.unwrap_or_default();
        if election.epoch != epoch || election.voted.is_none_or(|voted| voted.id != candidate.id) {
            return Err(format!("a vote is on disk before it is given: {candidate:?} in {epoch}, disk {election:?}"));
        }
        Ok(())
    }

    fn write_snapshot(&mut self, id: SnapshotId, position: u64, bytes: &[u8]) -> Check {
        if position == 0 {
            self.disk.partial = Some((id, Vec::new()));
        }
        match &mut self.disk.partial {
            Some((partial, file)) if *partial == id && u64::try_from(file.len()) == Ok(position) => {
                file.extend(bytes);
                Ok(())
            }
            _ => Err(format!("a snapshot is written without gaps: {id:?} at {position}")),
        }
    }

    /// Installs a snapshot. A kill may come between the rename and the removal of the log.
    fn install(&mut self, id: SnapshotId, ledger: &Ledger) -> Check {
        let (partial, file) = self.disk.partial.take().ok_or("a snapshot to install is there")?;
        let (_, digest) = disk::read(Bytes::from(file.clone())).ok_or("an installed snapshot is whole")?;
        if partial != id || digest.is_none() || ledger.digest(id.end) != digest {
            return Err(format!("an installed snapshot is what was committed: {id:?}"));
        }
        self.disk.snapshots.insert(id, file.into());
        if self.burns() {
            return Ok(());
        }
        self.disk.reset(id.end);
        self.disk.snapshots.retain(|kept, _| *kept >= id);
        if let Some(running) = &mut self.running {
            running.applied = id.end;
            running.image = digest.unwrap_or(0);
        }
        Ok(())
    }

    /// Applies the log up to the high watermark.
    fn commit(&mut self, high_watermark: Offset, ledger: &mut Ledger) -> Check {
        let Some(running) = &mut self.running else { return Ok(()) };
        if running.committed >= Some(high_watermark) {
            return Err(format!("a high watermark only rises: {:?} to {high_watermark}", running.committed));
        }
        if high_watermark > self.disk.log.end {
            return Err(format!("a high watermark {high_watermark} is beyond the log end {}", self.disk.log.end));
        }
        running.committed = Some(high_watermark);
        let from = self.disk.log.position(running.applied);
        for entry in self.disk.log.entries[from..].iter().take_while(|entry| entry.last < high_watermark) {
            let digest = ledger.committed(entry, running.epoch)?;
            running.image = fold(fold(running.image, u64::from(entry.crc)), entry.epoch.0.unsigned_abs().into());
            running.applied = entry.last.plus(1);
            if digest != running.image {
                return Err(format!("images are equal at equal offsets: offset {}", running.applied));
            }
        }
        if running.applied < high_watermark {
            return Err(format!("a high watermark is the end of a batch: {high_watermark}"));
        }
        Ok(())
    }

    /// A leader has heard from a majority within two of the intervals in which it must.
    fn check_leadership(&mut self, now: Now) -> Check {
        let local = self.key().id;
        let Some(running) = self.running.as_mut().filter(|running| running.raft.is_leader()) else { return Ok(()) };
        let voters = running.raft.voters();
        if running.led != *voters {
            running.led = voters.clone();
            running.leads_since = now.monotonic.0;
        }
        let heard = |id: BrokerId| {
            if id == local { now.monotonic.0 } else { running.heard.get(&id).copied().unwrap_or(0) }
        };
        let mut times: Vec<u64> = voters.ids().map(|id| heard(id).max(running.leads_since)).collect();
        times.sort_unstable_by(|a, b| b.cmp(a));
        let agreed = times.get(times.len() / 2).copied().unwrap_or(now.monotonic.0);
        let limit = self.config.timeouts.fetch_ms * 3 + 1;
        if now.monotonic.0.saturating_sub(agreed) > limit {
            return Err(format!("a leader without a majority resigns: nothing heard since {agreed}, now {now:?}"));
        }
        Ok(())
    }

    /// Reads the bytes into an answer.
    fn read(&self, reply: SentReply) -> Check<ReceivedReply> {
        Ok(match reply {
            QuorumReply::Vote { view, granted } => QuorumReply::Vote { view, granted },
            QuorumReply::BeginQuorumEpoch(view) => QuorumReply::BeginQuorumEpoch(view),
            QuorumReply::EndQuorumEpoch(view) => QuorumReply::EndQuorumEpoch(view),
            QuorumReply::ChangeVoters(reply) => QuorumReply::ChangeVoters(reply),
            QuorumReply::Fetch(FetchReply { view, high_watermark, log_start, content }) => {
                let content = match content {
                    FetchContent::Nothing => FetchContent::Nothing,
                    FetchContent::Records(bytes) => FetchContent::Records(self.read_log(bytes)?),
                    FetchContent::Diverging(end) => FetchContent::Diverging(end),
                    FetchContent::Snapshot(id) => FetchContent::Snapshot(id),
                };
                QuorumReply::Fetch(FetchReply { view, high_watermark, log_start, content })
            }
            QuorumReply::FetchSnapshot(FetchSnapshotReply { mut view, piece }) => {
                let piece = piece.and_then(|piece| match self.read_snapshot(&piece) {
                    Ok(piece) => Some(piece),
                    Err(error) => {
                        view.error = error;
                        None
                    }
                });
                QuorumReply::FetchSnapshot(FetchSnapshotReply { view, piece })
            }
        })
    }

    fn read_log(&self, bytes: BytesToRead) -> Check<Bytes> {
        let BytesToRead::Log { from, end, max_bytes } = bytes else { return Err("a fetch reads the log".into()) };
        let log = &self.disk.log;
        if from < log.start || end > log.end || (from < end && log.at(from).is_none_or(|entry| entry.base != from)) {
            return Err(format!("a leader answers from its log: {from} to {end} of {} to {}", log.start, log.end));
        }
        let mut read = Vec::new();
        for entry in log.entries[log.position(from)..].iter().take_while(|entry| entry.last < end) {
            if !read.is_empty() && read.len() + entry.bytes.len() > usize::try_from(max_bytes).unwrap() {
                break;
            }
            read.extend_from_slice(&entry.bytes);
        }
        Ok(read.into())
    }

    fn read_snapshot(&self, piece: &SnapshotPiece<BytesToRead>) -> Result<SnapshotPiece<Bytes>, ErrorCode> {
        let BytesToRead::Snapshot { id, position, max_bytes } = piece.bytes else {
            return Err(ErrorCode::UnknownServerError);
        };
        let file = self.disk.snapshots.get(&id).ok_or(ErrorCode::SnapshotNotFound)?;
        let from = usize::try_from(position).unwrap();
        if from >= file.len() {
            return Err(ErrorCode::PositionOutOfRange);
        }
        let to = file.len().min(from + usize::try_from(max_bytes).unwrap());
        let size = u64::try_from(file.len()).unwrap();
        Ok(SnapshotPiece { id, size, position, bytes: file.slice(from..to) })
    }

    /// Makes a snapshot of the image.
    pub fn snapshot(&mut self, now: Now, ledger: &mut Ledger, effects: &mut Vec<Effect>) -> Check {
        let Some(running) = &self.running else { return Ok(()) };
        let end = running.applied;
        let Some(last) = self.disk.log.at(end.plus(-1)) else { return Ok(()) };
        let id = SnapshotId { end, epoch: last.epoch };
        let mut value = running.image.to_be_bytes().to_vec();
        value.resize(8 + 2 * self.padding, 1);
        let file = disk::snapshot(id, running.raft.quorum_at(end), &value);
        self.disk.snapshots.insert(id, file);
        self.step(Event::SnapshotMade(id), now, ledger, effects)
    }

    /// Deletes all snapshots but the newest ones, and the log before them.
    pub fn delete_old(&mut self, kept: usize, now: Now, ledger: &mut Ledger, effects: &mut Vec<Effect>) -> Check {
        let Some((oldest_kept, _)) = self.disk.snapshots.iter().nth_back(kept) else { return Ok(()) };
        let oldest_kept = *oldest_kept;
        if self.running.is_none() || oldest_kept.end <= self.disk.log.start {
            return Ok(());
        }
        self.disk.start_at(oldest_kept);
        self.step(Event::LogStartMoved { start: oldest_kept.end }, now, ledger, effects)
    }
}
