//! What a follower does: it fetches from the leader, appends, truncates where its log differs, and
//! installs snapshots. A replica that knows no leader asks others for it, by the same request.
//!
//! Invariants: one fetch is sent at a time; its offset is the end of what is fsynced; nothing below
//! the high watermark is truncated.

use crate::action::{Action, AppendedBatch, Destination};
use crate::batch::{FetchedBatch, batch_len, read_fetched};
use crate::control::ControlRecord;
use crate::end_offset::EndOffset;
use crate::event::Fault;
use crate::history::Since;
use crate::machine::{InFlight, Peer, Raft, RequestKind};
use crate::message::{
    FetchContent, FetchReply, FetchRequest, FetchSnapshotReply, FetchSnapshotRequest, KnownHighWatermark,
    QuorumRequest, SnapshotPiece,
};
use crate::planted::{self, Bug};
use crate::snapshot_id::SnapshotId;
use crate::state::{Download, Follower, NEVER, Role};
use crate::timing::Now;
use crate::voters::ReplicaKey;
use bytes::Bytes;
use model::{ErrorCode, Offset};

/// How long a leader may hold a fetch, as in Kafka, where the fetch timeout leaves room for it.
const FETCH_MAX_WAIT_MS: u64 = 500;
/// A leader holds a fetch for at most this part of the fetch timeout. So a voter that has no news
/// hears from it twice in that time, and fetches again before it counts as silent.
const FETCH_WAITS_PER_TIMEOUT: u64 = 3;

/// After so many lost connections in a row the leader counts as dead.
const LOST_CONNECTIONS: u32 = 2;
/// The voters that lost their leader stand for election at times that are spread over this part of
/// `controller.quorum.election.timeout.ms`, so that one of them is first.
const LOST_LEADER_SPREAD: u64 = 5;

/// The result of an answer to a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FetchOutcome {
    /// It was of use.
    Taken,
    /// It was of no use. The next fetch waits.
    Useless,
}

impl Raft {
    /// Sends a fetch if one is due.
    pub(crate) fn send_fetch(&mut self, now: Now) {
        if !self.wants_to_fetch() {
            return;
        }
        let is_ready = |peer: &Peer| self.retry_at.get(peer).is_none_or(|at| *at <= now.monotonic.0);
        let Some(peer) = self.fetch_peers().into_iter().find(is_ready) else { return };
        if let Peer::Bootstrap(index) = peer {
            self.next_bootstrap = index + 1;
        }
        self.retry_at.remove(&peer);
        let download = match &self.role {
            Role::Follower(follower) if !follower.asks_others => follower.download,
            _ => None,
        };
        let (kind, request) = match download {
            Some(download) => (RequestKind::FetchSnapshot, self.snapshot_request(download)),
            None => (RequestKind::Fetch, self.fetch_request()),
        };
        let id = self.next_request;
        self.next_request += 1;
        self.in_flight.insert(id, InFlight { to: peer, epoch: self.epoch, kind });
        let to = self.destination(peer);
        self.out.push(Action::Send { id, to, request });
    }

    /// Whether this replica sends a fetch as soon as somebody may be asked again.
    pub(crate) fn wants_to_fetch(&self) -> bool {
        let follows = match &self.role {
            Role::Unattached(_) => true,
            Role::Follower(follower) => !follower.is_checking(),
            _ => false,
        };
        let is_on_disk = self.flushed >= self.log.end || planted::is_planted(Bug::AcknowledgedBeforeFsync);
        follows
            && is_on_disk
            && !self.stopping
            && !self.in_flight.values().any(|sent| sent.kind.is_fetch() && sent.epoch == self.epoch)
    }

    /// Returns whom the next fetch may go to, the preferred one first: the leader, or while it is
    /// not known or does not answer, the others in turn.
    pub(crate) fn fetch_peers(&self) -> Vec<Peer> {
        let leader = match &self.role {
            Role::Follower(follower) => Some(follower),
            _ => None,
        };
        if let Some(follower) = leader.filter(|follower| !follower.asks_others) {
            return vec![Peer::Replica(follower.leader)];
        }
        let count = self.config.bootstrap_servers.len();
        if count > 0 {
            return (0..count).map(|step| Peer::Bootstrap((self.next_bootstrap + step) % count)).collect();
        }
        let local = self.config.local.id;
        let is_asked = |id: &model::BrokerId| *id != local && leader.is_none_or(|follower| *id != follower.leader);
        let others: Vec<_> = self.config.configured_voters.ids().filter(is_asked).collect();
        let count = others.len().max(1);
        let in_turn = (0..others.len()).map(|step| Peer::Replica(others[(self.next_bootstrap + step) % count]));
        match leader {
            Some(follower) if others.is_empty() => vec![Peer::Replica(follower.leader)],
            _ => in_turn.collect(),
        }
    }

    pub(crate) fn destination(&self, peer: Peer) -> Destination {
        match peer {
            Peer::Bootstrap(index) => {
                Destination { replica: None, endpoints: vec![self.config.bootstrap_servers[index].clone()] }
            }
            Peer::Replica(id) => {
                let voter = self.known_voter(id);
                let key = voter.map_or(ReplicaKey { id, directory_id: None }, |voter| voter.key);
                let is_leader = self.leader() == Some(id);
                let endpoints = voter.map(|voter| voter.endpoints.clone()).filter(|_| !is_leader);
                Destination {
                    replica: Some(key),
                    endpoints: endpoints.unwrap_or_else(|| self.leader_endpoints().to_vec()),
                }
            }
        }
    }

    fn fetch_request(&self) -> QuorumRequest {
        QuorumRequest::Fetch(FetchRequest {
            replica: Some(self.config.local),
            epoch: self.epoch,
            log_end: self.log.end_offset(),
            high_watermark: self.high_watermark.map_or(KnownHighWatermark::Unknown, KnownHighWatermark::At),
            max_wait_ms: FETCH_MAX_WAIT_MS.min(self.config.timeouts.fetch_ms / FETCH_WAITS_PER_TIMEOUT),
            max_bytes: self.config.fetch_limits.log_bytes,
        })
    }

    fn snapshot_request(&self, download: Download) -> QuorumRequest {
        QuorumRequest::FetchSnapshot(FetchSnapshotRequest {
            replica: Some(self.config.local),
            epoch: self.epoch,
            id: download.id,
            position: download.position,
            max_bytes: self.config.fetch_limits.snapshot_bytes,
        })
    }

    /// Notes that a fetch failed: the next one waits, and asks others for the leader.
    pub(crate) fn fetch_failed(&mut self, to: Peer, now: Now) {
        let retry_at = now.monotonic.0.saturating_add(self.config.timeouts.retry_backoff_ms);
        self.retry_at.insert(to, retry_at);
        if self.config.bootstrap_servers.is_empty() {
            self.next_bootstrap = self.next_bootstrap.wrapping_add(1);
        }
        if let Role::Follower(follower) = &mut self.role {
            follower.asks_others = !follower.asks_others;
        }
    }

    /// Notes that the connection to the leader was refused or lost. A process that was killed
    /// closes its connections at once, long before the fetch timeout ends. So the second time in a
    /// row, this voter stands for election soon: if the others still hear from the leader, they
    /// grant no pre-vote, and nothing has happened.
    pub(crate) fn leader_lost(&mut self, to: Peer, now: Now) {
        let wait_ms = self.lost_leader_wait_ms();
        let Role::Follower(follower) = &mut self.role else { return };
        if to != Peer::Replica(follower.leader) {
            return;
        }
        follower.alive_until = follower.alive_until.min(now.monotonic.0);
        follower.lost_connections = follower.lost_connections.saturating_add(1);
        if follower.lost_connections == LOST_CONNECTIONS && follower.deadline != NEVER {
            follower.deadline = follower.deadline.min(now.monotonic.0.saturating_add(wait_ms));
        }
    }

    /// Notes that the leader of the epoch says itself that it leads no more. Its EndQuorumEpoch may
    /// be late, or lost.
    pub(crate) fn leader_resigned(&mut self, now: Now) {
        let wait_ms = self.lost_leader_wait_ms();
        let Role::Follower(follower) = &mut self.role else { return };
        follower.alive_until = follower.alive_until.min(now.monotonic.0);
        if !follower.has_resigned && follower.deadline != NEVER {
            follower.deadline = follower.deadline.min(now.monotonic.0.saturating_add(wait_ms));
        }
        follower.has_resigned = true;
    }

    /// Returns how long a voter waits that knows that its leader is gone, or that its election is
    /// lost: not as long as another one.
    pub(crate) fn lost_leader_wait_ms(&mut self) -> u64 {
        let spread_ms = self.config.timeouts.election_ms / LOST_LEADER_SPREAD;
        self.config.timeouts.retry_backoff_ms.saturating_add(self.random.below(spread_ms))
    }

    /// Takes the leader's answer to a fetch in this epoch.
    pub(crate) fn take_fetch(&mut self, reply: FetchReply<Bytes>, now: Now) -> Result<FetchOutcome, Fault> {
        if self.follower_of(reply.view.leader).is_none() {
            return Ok(FetchOutcome::Useless);
        }
        let outcome = match reply.content {
            FetchContent::Nothing => FetchOutcome::Useless,
            FetchContent::Records(bytes) => self.take_records(bytes, reply.high_watermark)?,
            FetchContent::Diverging(end) => self.truncate_to(end)?,
            FetchContent::Snapshot(id) => self.begin_download(id),
        };
        if outcome == FetchOutcome::Taken {
            self.heard_from_leader(now);
        }
        Ok(outcome)
    }

    fn follower_of(&mut self, leader: Option<model::BrokerId>) -> Option<&mut Follower> {
        match &mut self.role {
            Role::Follower(follower)
                if leader == Some(follower.leader) || planted::is_planted(Bug::StaleFetchResponseTaken) =>
            {
                Some(follower)
            }
            _ => None,
        }
    }

    fn heard_from_leader(&mut self, now: Now) {
        let deadline = self.fetch_deadline(now);
        let alive_until = now.monotonic.0.saturating_add(self.config.timeouts.fetch_ms);
        if let Role::Follower(follower) = &mut self.role {
            self.last_answer = Some((follower.leader, now.monotonic));
            follower.asks_others = false;
            follower.lost_connections = 0;
            if follower.has_resigned {
                return;
            }
            follower.deadline = deadline;
            follower.alive_until = alive_until;
        }
    }

    /// Appends what was fetched, batch by batch as it came. What is damaged or does not follow the
    /// log's end is left out, and fetched again.
    fn take_records(&mut self, mut bytes: Bytes, high_watermark: Option<Offset>) -> Result<FetchOutcome, Fault> {
        let end_before = self.log.end;
        let is_empty = bytes.is_empty();
        while let Some(len) = batch_len(&bytes).filter(|len| *len <= bytes.len()) {
            let Ok(batch) = read_fetched(bytes.split_to(len)) else { break };
            let last_epoch = self.log.end_offset().epoch;
            let fits = batch.base == self.log.end && (last_epoch..=self.epoch).contains(&batch.epoch);
            if !fits {
                break;
            }
            self.append_fetched(batch)?;
        }
        let has_appended = self.log.end > end_before;
        if has_appended {
            self.out.push(Action::Flush { end: self.log.end_offset() });
        }
        let is_taken = is_empty || has_appended || planted::is_planted(Bug::StaleFetchResponseTaken);
        let told = high_watermark.filter(|_| is_taken);
        self.follow_high_watermark(told);
        Ok(if is_empty || has_appended { FetchOutcome::Taken } else { FetchOutcome::Useless })
    }

    fn append_fetched(&mut self, batch: FetchedBatch) -> Result<(), Fault> {
        let FetchedBatch { base, last, epoch, control, bytes } = batch;
        for (offset, record) in control.map_err(Fault::Control)? {
            self.quorum.apply(Some(offset), &record);
        }
        self.log.appended(epoch, base, last.plus(1));
        self.out.push(Action::Append(AppendedBatch { base, last, epoch, bytes }));
        Ok(())
    }

    /// Commits what the leader says is committed, as far as it is in this log.
    fn follow_high_watermark(&mut self, told: Option<Offset>) {
        let is_beyond = planted::is_planted(Bug::HighWatermarkBeyondLog);
        let Some(known) = told.map(|told| if is_beyond { told } else { told.min(self.log.end) }) else { return };
        if Some(known) > self.high_watermark && known > Offset(0) {
            self.high_watermark = Some(known);
            self.out.push(Action::Commit { high_watermark: known });
        }
    }

    /// Truncates a log that differs from the leader's. Errors: that would remove what is committed.
    fn truncate_to(&mut self, leaders: EndOffset) -> Result<FetchOutcome, Fault> {
        let end = self.log.common_end(leaders);
        if end >= self.log.end || leaders.offset < Offset(0) {
            return Ok(FetchOutcome::Useless);
        }
        let committed = self.high_watermark.max(Some(self.log.start)).unwrap_or_default();
        if end < committed {
            return Err(Fault::TruncationOfCommitted { end, committed });
        }
        self.log.truncate(end);
        if !planted::is_planted(Bug::TruncatedVotersKept) {
            self.quorum.truncate(end);
        }
        self.flushed = self.flushed.min(end);
        self.out.push(Action::Truncate { end });
        self.out.push(Action::Flush { end: self.log.end_offset() });
        Ok(FetchOutcome::Taken)
    }

    /// Begins to download a snapshot, if it has what this log lacks.
    fn begin_download(&mut self, id: SnapshotId) -> FetchOutcome {
        let own = self.log.end_offset();
        let is_newer =
            (id.epoch, id.end) > (own.epoch, own.offset) && id.end > Offset(0) && Some(id.end) >= self.high_watermark;
        match &mut self.role {
            // It goes on where it was, if another replica was asked meanwhile.
            Role::Follower(follower) if follower.download.is_some_and(|download| download.id == id) => {
                FetchOutcome::Taken
            }
            Role::Follower(follower) if is_newer => {
                follower.download = Some(Download { id, position: 0, is_complete: false });
                FetchOutcome::Taken
            }
            _ => FetchOutcome::Useless,
        }
    }

    /// Takes a piece of the snapshot that is downloaded.
    pub(crate) fn take_snapshot_piece(&mut self, reply: FetchSnapshotReply<Bytes>, now: Now) -> FetchOutcome {
        let Some(follower) = self.follower_of(reply.view.leader) else { return FetchOutcome::Useless };
        let Some((download, piece)) = follower.download.as_mut().zip(reply.piece) else { return FetchOutcome::Useless };
        let SnapshotPiece { id, size, position, bytes } = piece;
        let end = position.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        let fits = id == download.id && position == download.position && end <= size && !bytes.is_empty();
        if !fits {
            follower.download = None;
            return FetchOutcome::Useless;
        }
        download.position = end;
        download.is_complete = end == size;
        self.out.push(Action::WriteSnapshot { id, position, bytes });
        if end == size {
            self.out.push(Action::CheckSnapshot { id });
        }
        self.heard_from_leader(now);
        FetchOutcome::Taken
    }

    /// Gives up a download that the leader no longer serves. The next fetch names another snapshot.
    pub(crate) fn snapshot_refused(&mut self, error: ErrorCode) {
        if let Role::Follower(follower) = &mut self.role
            && matches!(error, ErrorCode::SnapshotNotFound | ErrorCode::PositionOutOfRange)
        {
            follower.download = None;
        }
    }

    /// Installs a downloaded snapshot that was found to be whole.
    pub(crate) fn snapshot_checked(&mut self, id: SnapshotId, control_records: Option<&[ControlRecord]>, now: Now) {
        let deadline = self.fetch_deadline(now);
        let Role::Follower(follower) = &mut self.role else { return };
        if follower.download.is_none_or(|download| download.id != id || !download.is_complete) {
            return;
        }
        follower.download = None;
        follower.deadline = deadline;
        let leader = follower.leader;
        let nothing: Option<&[ControlRecord]> =
            if planted::is_planted(Bug::DamagedSnapshotInstalled) { Some(&[]) } else { None };
        let Some(records) = control_records.or(nothing) else { return self.fetch_failed(Peer::Replica(leader), now) };
        self.log.install(id);
        self.flushed = id.end;
        let since: Since = Offset::from_wire(id.end.0 - 1);
        if !planted::is_planted(Bug::SnapshotVotersIgnored) {
            self.quorum.replace(since, records);
        }
        self.out.push(Action::InstallSnapshot { id });
        self.follow_high_watermark(Some(id.end));
    }
}
