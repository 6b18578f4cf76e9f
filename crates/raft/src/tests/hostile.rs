//! Whatever other replicas send, and whatever the driver answers late, nothing panics.

use super::*;
use crate::timing::Random;
use bytes::Bytes;
use model::ErrorCode;

/// Events from random numbers, with the extremes among them.
struct Source {
    random: Random,
    /// The epoch and the log end of the replica, which most messages fit.
    epoch: LeaderEpoch,
    end: EndOffset,
}

impl Source {
    fn pick<T: Clone>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.random.below(of.len() as u64)).unwrap()].clone()
    }

    fn epoch(&mut self) -> LeaderEpoch {
        match self.random.below(60) {
            0 => LeaderEpoch(self.pick(&[i32::MIN, -1, i32::MAX - 1, i32::MAX])),
            1 | 2 => LeaderEpoch(self.epoch.0.saturating_add(1)),
            3 | 4 => LeaderEpoch(0),
            _ => self.epoch,
        }
    }

    fn offset(&mut self) -> Offset {
        Offset(self.pick(&[i64::MIN, -1, 0, 0, 1, 3, 4, 7, i64::MAX - 1, i64::MAX]))
    }

    fn end(&mut self) -> EndOffset {
        let other = EndOffset { epoch: self.epoch(), offset: self.offset() };
        self.pick(&[other, self.end])
    }

    fn key(&mut self) -> ReplicaKey {
        let keys = [key(1), key(2), key(3), ReplicaKey::new(2, Uuid([9; 16])), ReplicaKey::new(-7, Uuid::ZERO)];
        self.pick(&keys)
    }

    fn view(&mut self) -> QuorumView {
        let errors = [ErrorCode::None, ErrorCode::None, ErrorCode::NotLeaderOrFollower, ErrorCode::SnapshotNotFound];
        QuorumView {
            error: self.pick(&errors),
            leader: self.pick(&[None, Some(BrokerId(1)), Some(BrokerId(2)), Some(BrokerId(2)), Some(BrokerId(-9))]),
            epoch: self.epoch(),
            leader_endpoints: self.pick(&[Vec::new(), voter(2).endpoints]),
        }
    }

    fn snapshot(&mut self) -> SnapshotId {
        SnapshotId { end: self.offset(), epoch: self.epoch() }
    }

    fn number(&mut self) -> u64 {
        self.pick(&[0, 1, 5, u64::MAX])
    }

    fn bytes(&mut self) -> Bytes {
        let next = self.end.offset;
        let batch = batch::data_batch(next, self.epoch, Timestamp(1), &[Bytes::from_static(b"x")]).unwrap();
        let first = batch::data_batch(offset(0), LeaderEpoch(1), Timestamp(1), &[Bytes::from_static(b"x")]).unwrap();
        let mut damaged = batch.to_vec();
        let at = usize::try_from(self.random.below(damaged.len() as u64)).unwrap();
        damaged[at] ^= 0xff;
        self.pick(&[Bytes::new(), batch.clone(), batch.slice(..20), first, damaged.into(), vec![0xff; 100].into()])
    }

    fn change(&mut self) -> VoterChangeRequest {
        let voter = Voter { key: self.key(), ..voter(2) };
        let changes = [
            VoterChange::Add(voter.clone()),
            VoterChange::Remove(voter.key),
            VoterChange::Update(voter),
            VoterChange::UpgradeKRaftVersion,
        ];
        let epoch = self.epoch();
        VoterChangeRequest {
            epoch: self.pick(&[None, Some(epoch)]),
            change: self.pick(&changes),
            waits_for_commit: self.pick(&[true, false]),
        }
    }

    fn request(&mut self) -> QuorumRequest {
        let (replica, epoch) = (Some(self.key()), self.epoch());
        let known = KnownHighWatermark::At(self.offset());
        match self.random.below(6) {
            0 => QuorumRequest::Vote(VoteRequest {
                epoch,
                candidate: self.key(),
                voter: replica,
                log_end: self.end(),
                pre_vote: self.pick(&[true, false]),
            }),
            1 => QuorumRequest::BeginQuorumEpoch(BeginQuorumEpochRequest {
                leader: self.key().id,
                epoch,
                voter: None,
                leader_endpoints: Vec::new(),
            }),
            2 => QuorumRequest::EndQuorumEpoch(EndQuorumEpochRequest {
                leader: self.key().id,
                epoch,
                preferred_candidates: vec![self.key(); usize::try_from(self.random.below(80)).unwrap()],
                leader_endpoints: Vec::new(),
            }),
            3 => QuorumRequest::Fetch(FetchRequest {
                replica,
                epoch,
                log_end: self.end(),
                high_watermark: self.pick(&[KnownHighWatermark::NotTold, KnownHighWatermark::Unknown, known]),
                max_wait_ms: self.number(),
                max_bytes: 1,
            }),
            4 => QuorumRequest::FetchSnapshot(FetchSnapshotRequest {
                replica,
                epoch,
                id: self.snapshot(),
                position: self.number(),
                max_bytes: 1,
            }),
            _ => QuorumRequest::ChangeVoters(self.change()),
        }
    }

    fn reply(&mut self) -> ReceivedReply {
        let view = self.view();
        match self.random.below(6) {
            0 => QuorumReply::Vote { view, granted: self.pick(&[true, true, false]) },
            1 => QuorumReply::BeginQuorumEpoch(view),
            2 => QuorumReply::EndQuorumEpoch(view),
            3 => {
                let contents = [
                    FetchContent::Nothing,
                    FetchContent::Records(self.bytes()),
                    FetchContent::Diverging(self.end()),
                    FetchContent::Snapshot(self.snapshot()),
                ];
                let high_watermark = Some(self.offset());
                let (log_start, content) = (self.offset(), self.pick(&contents));
                QuorumReply::Fetch(FetchReply { view, high_watermark, log_start, content })
            }
            4 => {
                let (id, size, position, bytes) = (self.snapshot(), self.number(), self.number(), self.bytes());
                let piece = Some(SnapshotPiece { id, size, position, bytes });
                QuorumReply::FetchSnapshot(FetchSnapshotReply { view, piece })
            }
            _ => QuorumReply::ChangeVoters(VoterChangeReply { view, message: None }),
        }
    }

    /// An answer that fits a request, as far as that goes.
    fn answer(&mut self, request: &QuorumRequest) -> ReceivedReply {
        let view = QuorumView { error: ErrorCode::None, ..view(Some(2), self.epoch.0) };
        match request {
            QuorumRequest::Vote(vote) => {
                QuorumReply::Vote { view: QuorumView { leader: None, epoch: vote.epoch, ..view }, granted: true }
            }
            QuorumRequest::FetchSnapshot(fetch) => {
                let bytes = self.bytes();
                let size = fetch.position + bytes.len() as u64 + self.pick(&[0, 0, 9]);
                let piece = Some(SnapshotPiece { id: fetch.id, size, position: fetch.position, bytes });
                QuorumReply::FetchSnapshot(FetchSnapshotReply { view, piece })
            }
            _ => match self.reply() {
                QuorumReply::Fetch(reply) => QuorumReply::Fetch(FetchReply { view, ..reply }),
                other => other,
            },
        }
    }

    fn event(&mut self, sent: &[(u64, QuorumRequest)]) -> Event {
        if let Some((id, request)) = sent.last()
            && self.random.below(2) == 0
        {
            return match request {
                QuorumRequest::FetchSnapshot(fetch) if self.random.below(3) == 0 => {
                    Event::SnapshotChecked { id: fetch.id, control_records: Some(Vec::new()) }
                }
                _ if self.random.below(3) == 0 => Event::Flushed { end: self.end },
                _ => Event::Response { id: *id, result: Ok(self.answer(request)) },
            };
        }
        let sent = sent.len() as u64;
        match self.random.below(12) {
            0..=3 => Event::Request { id: 7, request: self.request() },
            4..=7 => Event::Response { id: self.random.below(sent + 2), result: Ok(self.reply()) },
            8 => Event::Response { id: self.random.below(sent + 2), result: Err(ErrorCode::NetworkException) },
            9 => Event::Flushed { end: self.end() },
            10 => Event::SnapshotChecked { id: self.snapshot(), control_records: self.pick(&[None, Some(Vec::new())]) },
            _ => Event::Tick,
        }
    }
}

#[test]
fn nothing_that_another_replica_sends_panics() {
    let mut ended = 0;
    for seed in 0..2_000 {
        let mut source = Source { random: Random(seed), epoch: LeaderEpoch(0), end: EndOffset::default() };
        let count = source.pick(&[1, 3, 3]);
        let stored = formatted(&(1..=count).collect::<Vec<_>>());
        let config = Config { bootstrap_servers: voter(2).endpoints, auto_join: true, ..config("") };
        let (mut raft, _) = Raft::start(config, stored, seed, at(0)).unwrap();
        let (mut now, mut sent) = (0, Vec::new());
        for _ in 0..60 {
            (source.epoch, source.end) = (raft.epoch(), raft.log().end_offset());
            now += source.pick(&[0, 1, 30, 700, 3_000]);
            let Ok(actions) = raft.step(source.event(&sent), at(now)) else {
                // A leader that contradicts what is committed here ends the node, with its reason.
                ended += 1;
                break;
            };
            sent.extend(actions.into_iter().filter_map(|action| match action {
                Action::Send { id, request, .. } => Some((id, request)),
                _ => None,
            }));
            raft.next_deadline();
            raft.describe(at(now));
        }
    }
    assert!(ended < 1_000, "{ended} of 2,000 replicas were ended");
}
