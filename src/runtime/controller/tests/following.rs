//! A node that follows: what it fetches is appended, applied and published. The leader is another
//! controller, whose log is read.

use super::*;
use crate::runtime::quorum::Answer;
use bytes::Bytes;
use metadata::decide::Decision;
use parking_lot::Mutex;
use raft::snapshot::batch_len;
use raft::{
    BeginQuorumEpochRequest, FetchContent, FetchReply, FetchRequest, QuorumReply, QuorumRequest, QuorumView,
    ReceivedReply,
};

/// The requests that the follower has sent and that are not answered.
type Sent = Arc<Mutex<Vec<(QuorumRequest, Answer)>>>;

/// A node that follows controller 1, and its leader.
struct Following {
    leader: Controller,
    follower: Controller,
    sent: Sent,
}

impl Following {
    fn new() -> Self {
        let leader = Controller::new();
        let disk = SimDisk::new();
        disk.create_dir(Path::new(DIR)).unwrap();
        let sent = Sent::default();
        let noted = sent.clone();
        let send: SendRequest = Box::new(move |_, request, answer| noted.lock().push((request, answer)));
        let voters = (2, "1@127.0.0.1:9093,2@127.0.0.1:9094");
        let mut follower = Controller::start_as(disk, Vec::new(), voters, send).unwrap();
        let begin = BeginQuorumEpochRequest {
            leader: BrokerId(1),
            epoch: leader.core.parts.raft.epoch(),
            voter: None,
            leader_endpoints: Vec::new(),
        };
        let (answer, mut answered) = oneshot::channel();
        follower.core.take_request(QuorumRequest::BeginQuorumEpoch(begin), answer).unwrap();
        assert!(
            matches!(answered.try_recv().unwrap(), QuorumReply::BeginQuorumEpoch(view) if view.error == ErrorCode::None)
        );
        Self { leader, follower, sent }
    }

    /// Takes the last fetch that the follower has sent. Other requests go unanswered.
    fn fetch(&mut self) -> (FetchRequest, Answer) {
        self.follower.end_turn();
        let sent = std::mem::take(&mut *self.sent.lock());
        sent.into_iter()
            .rev()
            .find_map(|(request, answer)| match request {
                QuorumRequest::Fetch(fetch) => Some((fetch, answer)),
                _ => None,
            })
            .expect("a follower fetches")
    }

    /// Answers a fetch with the leader's high watermark.
    fn answer(&mut self, answer: Answer, content: FetchContent<Bytes>) {
        let high_watermark = self.leader.core.parts.raft.high_watermark();
        self.answer_with(answer, content, high_watermark).unwrap();
    }

    /// Answers a fetch, and lets the follower take the answer.
    fn answer_with(
        &mut self,
        answer: Answer,
        content: FetchContent<Bytes>,
        high_watermark: Option<Offset>,
    ) -> Result<(), LogFault> {
        let raft = &self.leader.core.parts.raft;
        let view = QuorumView {
            error: ErrorCode::None,
            leader: Some(BrokerId(1)),
            epoch: raft.epoch(),
            leader_endpoints: Vec::new(),
        };
        let reply = FetchReply { view, high_watermark, log_start: Offset(0), content };
        answer(Ok(ReceivedReply::Fetch(reply)));
        while let Some(message) = self.follower.core.try_receive() {
            let Message::Response(id, result) = message else { continue };
            self.follower.core.take_response(id, result)?;
        }
        self.follower.end_turn();
        Ok(())
    }

    /// The leader's log from an offset on, or only its first batch.
    fn log(&self, from: Offset, only_first: bool) -> FetchContent<Bytes> {
        let end = self.leader.core.parts.raft.log().end;
        let bytes = self.leader.core.parts.log.read_bytes(from, end, u32::MAX).unwrap();
        let len = if only_first { batch_len(&bytes).unwrap() } else { bytes.len() };
        FetchContent::Records(bytes.slice(..len))
    }

    fn published(&mut self) -> Vec<Arc<Image>> {
        let mut images = Vec::new();
        while let Ok(publication) = self.follower.publications.try_recv() {
            images.extend(publication.news.map(|(image, _)| image));
            self.follower.core.published();
            self.follower.core.publish();
        }
        images
    }
}

#[test]
fn a_follower_publishes_nothing_before_it_has_all_that_is_committed() {
    let mut nodes = Following::new();
    nodes.leader.register();
    let (fetch, answer) = nodes.fetch();
    assert_eq!(fetch.log_end.offset, Offset(0));
    let first = nodes.log(Offset(0), true);
    nodes.answer(answer, first);
    // All that it has is committed. An image of that would not have the broker.
    let (fetch, answer) = nodes.fetch();
    assert!(fetch.log_end.offset > Offset(0));
    assert_eq!(nodes.follower.core.parts.applied, fetch.log_end.offset);
    assert!(nodes.published().is_empty());
    let rest = nodes.log(fetch.log_end.offset, false);
    nodes.answer(answer, rest);
    let images = nodes.published();
    assert_eq!(images.len(), 1);
    assert!(images[0].cluster.brokers.contains_key(&BrokerId(1)));
    assert_eq!(nodes.follower.core.parts.raft.log().end, nodes.leader.core.parts.raft.log().end);
    let facts = nodes.follower.handle.quorum_facts();
    assert_eq!((facts.leader, facts.is_active), (Some(BrokerId(1)), false));
    let endpoints: Vec<u16> = facts.leader_endpoints.iter().map(|endpoint| endpoint.port).collect();
    assert_eq!(endpoints, [9093]);
}

#[test]
fn a_follower_decides_nothing() {
    let mut nodes = Following::new();
    let refused = nodes.follower.decide(|_, _| Ok(Decision::reply(())));
    assert_eq!(refused.unwrap_err().code, ErrorCode::NotController);
}

#[test]
fn a_leader_with_a_full_disk_lets_another_voter_lead() {
    let disk = SimDisk::new();
    disk.create_dir(Path::new(DIR)).unwrap();
    let sent = Sent::default();
    let noted = sent.clone();
    let send: SendRequest = Box::new(move |_, request, answer| noted.lock().push((request, answer)));
    let voters = (1, "1@127.0.0.1:9093,2@127.0.0.1:9094");
    let bootstrap = decide::bootstrap_features(MetadataVersion::LATEST, &BTreeMap::new()).unwrap();
    let mut node = Controller::start_as(disk, bootstrap, voters, send).unwrap();
    // The other voter grants what it is asked for.
    for at in [10_000, 10_001, 10_002] {
        node.at(at, 1_800_000_000_000);
        node.end_turn();
        for (request, answer) in std::mem::take(&mut *sent.lock()) {
            let QuorumRequest::Vote(_) = request else { continue };
            let epoch = node.core.parts.raft.epoch();
            let view = QuorumView { error: ErrorCode::None, leader: None, epoch, leader_endpoints: Vec::new() };
            answer(Ok(ReceivedReply::Vote { view, granted: true }));
        }
        while let Some(Message::Response(id, result)) = node.core.try_receive() {
            node.core.take_response(id, result).unwrap();
        }
        node.end_turn();
    }
    // It has fetched all of the leader's log.
    let log = node.core.parts.raft.log();
    let fetch = FetchRequest {
        replica: Some(ReplicaKey { id: BrokerId(2), directory_id: None }),
        epoch: node.core.parts.raft.epoch(),
        log_end: raft::EndOffset { offset: log.end, epoch: node.core.parts.raft.epoch() },
        high_watermark: raft::KnownHighWatermark::NotTold,
        max_wait_ms: 0,
        max_bytes: 1 << 20,
    };
    node.core.take_request(QuorumRequest::Fetch(fetch), oneshot::channel().0).unwrap();
    node.end_turn();
    assert!(node.handle.quorum_facts().is_active);
    sent.lock().clear();

    node.disk.refuse(0, 1, std::io::ErrorKind::StorageFull, 0);
    let waiting = node.take(ReplyAt::Commit, |_, _| Ok(Decision::atomic(vec![config_record("num.partitions")], ())));
    node.end_turn();
    assert_eq!(node.disk.refusals(), 1);
    assert!(!node.handle.quorum_facts().is_active && !node.core.parts.raft.is_leader());
    assert!(sent.lock().iter().any(|(request, _)| matches!(request, QuorumRequest::EndQuorumEpoch(_))));
    drop(waiting);
}

#[test]
fn a_follower_truncates_what_its_leader_does_not_have_and_nothing_that_is_committed() {
    let mut nodes = Following::new();
    let (_, answer) = nodes.fetch();
    let first = nodes.log(Offset(0), true);
    // A new leader does not know yet what is committed.
    nodes.answer_with(answer, first, None).unwrap();
    let (fetch, answer) = nodes.fetch();
    assert!(fetch.log_end.offset > Offset(0));
    nodes.answer_with(answer, FetchContent::Diverging(raft::EndOffset::default()), None).unwrap();
    let (fetch, answer) = nodes.fetch();
    assert_eq!(fetch.log_end, raft::EndOffset::default());
    let first = nodes.log(Offset(0), true);
    nodes.answer(answer, first);
    let (fetch, answer) = nodes.fetch();
    let committed = nodes.follower.core.parts.applied;
    assert_eq!(committed, fetch.log_end.offset);
    let high_watermark = nodes.leader.core.parts.raft.high_watermark();
    let diverging = FetchContent::Diverging(raft::EndOffset::default());
    let fault = nodes.answer_with(answer, diverging, high_watermark).unwrap_err();
    assert!(matches!(fault, LogFault::Raft(raft::Fault::TruncationOfCommitted { .. })), "{fault}");
    assert_eq!(nodes.follower.core.parts.log.read(Offset(0), committed).unwrap().len(), 1);
}
