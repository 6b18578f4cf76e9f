//! Transcripts of the machine and golden files of Apache Kafka 4.3.1. `tests/sim` checks the
//! invariants of whole quorums under random events.

mod files;
mod hostile;
mod membership;
mod quorum;
mod replication;
mod single;

use crate::*;
use model::{BrokerId, LeaderEpoch, Monotonic, Offset, Timestamp, Uuid};

pub(crate) const DIRECTORY: &str = "mzH_hQWsRh-_CdVhJcqhYw";

pub(crate) fn at(ms: u64) -> Now {
    Now { monotonic: Monotonic(ms), wall: Timestamp(1_795_249_232_732 + i64::try_from(ms).unwrap()) }
}

pub(crate) fn key(id: i32) -> ReplicaKey {
    ReplicaKey { id: BrokerId(id), directory_id: Some(DIRECTORY.parse::<Uuid>().unwrap()) }
}

pub(crate) fn voter(id: i32) -> Voter {
    let endpoint = Endpoint { listener: "CONTROLLER".into(), host: "127.0.0.1".into(), port: 29493 };
    Voter { key: key(id), endpoints: vec![endpoint], kraft_versions: (0, 1) }
}

pub(crate) fn config(configured: &str) -> Config {
    Config {
        local: key(1),
        endpoints: voter(1).endpoints,
        configured_voters: VoterSet::from_config(configured, "CONTROLLER").unwrap(),
        bootstrap_servers: Vec::new(),
        auto_join: false,
        fetch_limits: FetchLimits::default(),
        timeouts: Timeouts::default(),
    }
}

/// What `format --standalone` writes, with these voters.
pub(crate) fn formatted(ids: &[i32]) -> Stored {
    let voters = VoterSet::new(ids.iter().map(|id| voter(*id)));
    Stored {
        election: None,
        log: LogFacts { snapshots: vec![SnapshotId::BOOTSTRAP], ..LogFacts::default() },
        control_records: vec![
            (None, ControlRecord::KRaftVersion(KRaftVersion::V1)),
            (None, ControlRecord::Voters(voters)),
        ],
    }
}

pub(crate) fn election(epoch: i32, leader: Option<i32>, voted: Option<ReplicaKey>) -> ElectionState {
    ElectionState { epoch: LeaderEpoch(epoch), leader: leader.map(BrokerId), voted }
}

/// Formats actions as lines. A batch is shown by its records.
pub(crate) fn transcript(actions: &[Action]) -> Vec<String> {
    actions.iter().map(line).collect()
}

fn line(action: &Action) -> String {
    match action {
        Action::PersistElection { content, .. } => format!("persist {}", std::str::from_utf8(content).unwrap()),
        Action::Append(AppendedBatch { base, last, epoch, bytes }) => {
            let batch = batch::parse_batch(bytes.clone()).unwrap();
            assert_eq!((batch.base, batch.last, batch.epoch), (*base, *last, *epoch));
            let kinds: Vec<&str> = batch.control_records().unwrap().iter().map(|(_, record)| kind(record)).collect();
            format!(
                "append {base}..={last} epoch {epoch} {}",
                if batch.is_control { kinds.join(" ") } else { "data".into() }
            )
        }
        Action::Truncate { end } => format!("truncate {end}"),
        Action::Flush { end } => format!("flush {}@{}", end.offset, end.epoch),
        Action::WriteSnapshot { id, position, bytes } => format!("write {id:?} at {position} len {}", bytes.len()),
        Action::CheckSnapshot { id } => format!("check {id:?}"),
        Action::InstallSnapshot { id } => format!("install {id:?}"),
        Action::Commit { high_watermark } => format!("commit {high_watermark}"),
        Action::LeaderChanged { leader, epoch } => format!("leader {leader:?} epoch {epoch}"),
        Action::Activate { epoch, epoch_start } => format!("activate epoch {epoch} from {epoch_start}"),
        Action::Send { id, to, request } => {
            let to = to.replica.map_or_else(|| format!("port {}", to.endpoints[0].port), |key| key.id.to_string());
            format!("send {id} to {to}: {}", request_line(request))
        }
        Action::Reply { id, reply } => match reply {
            QuorumReply::Vote { view, granted } => {
                format!("reply {id} {} granted {granted} epoch {}", view.error, view.epoch)
            }
            QuorumReply::BeginQuorumEpoch(view) | QuorumReply::EndQuorumEpoch(view) => {
                format!("reply {id} {} leader {:?} epoch {}", view.error, view.leader, view.epoch)
            }
            QuorumReply::Fetch(FetchReply { view, high_watermark, content, .. }) => {
                let high_watermark = high_watermark.map_or(-1, |offset| offset.0);
                format!("reply {id} {} epoch {} {content:?} hw {high_watermark}", view.error, view.epoch)
            }
            QuorumReply::ChangeVoters(VoterChangeReply { view, message }) => {
                format!("reply {id} {} epoch {} {}", view.error, view.epoch, message.as_deref().unwrap_or_default())
            }
            QuorumReply::FetchSnapshot(FetchSnapshotReply { view, piece }) => {
                format!("reply {id} {} epoch {} {piece:?}", view.error, view.epoch)
            }
        },
        Action::Stopped => "stopped".into(),
    }
}

fn request_line(request: &QuorumRequest) -> String {
    match request {
        QuorumRequest::Vote(vote) => {
            let kind = if vote.pre_vote { "pre-vote" } else { "vote" };
            format!("{kind} epoch {} end {}@{}", vote.epoch, vote.log_end.offset, vote.log_end.epoch)
        }
        QuorumRequest::BeginQuorumEpoch(begin) => format!("begin epoch {}", begin.epoch),
        QuorumRequest::EndQuorumEpoch(end) => format!("end epoch {}, next {:?}", end.epoch, end.preferred_candidates),
        QuorumRequest::Fetch(fetch) => {
            let FetchRequest { epoch, log_end, high_watermark, max_wait_ms, .. } = fetch;
            format!(
                "fetch epoch {epoch} from {}@{} hw {high_watermark:?} wait {max_wait_ms}",
                log_end.offset, log_end.epoch
            )
        }
        QuorumRequest::ChangeVoters(VoterChangeRequest { change, .. }) => format!("{change:?}"),
        QuorumRequest::FetchSnapshot(fetch) => {
            format!("fetch-snapshot epoch {} {:?} from {}", fetch.epoch, fetch.id, fetch.position)
        }
    }
}

fn kind(record: &ControlRecord) -> &'static str {
    match record {
        ControlRecord::LeaderChange(_) => "LeaderChange",
        ControlRecord::SnapshotHeader { .. } => "SnapshotHeader",
        ControlRecord::SnapshotFooter => "SnapshotFooter",
        ControlRecord::KRaftVersion(_) => "KRaftVersion",
        ControlRecord::Voters(_) => "Voters",
        ControlRecord::Other(_) => "other",
    }
}

pub(crate) fn offset(offset: i64) -> Offset {
    Offset(offset)
}

/// The log was fsynced when it ended here.
pub(crate) fn flushed(epoch: i32, end: i64) -> Event {
    Event::Flushed { end: EndOffset { epoch: LeaderEpoch(epoch), offset: offset(end) } }
}

/// What a replica says that knows a leader of the quorum, or none.
pub(crate) fn view(leader: Option<i32>, epoch: i32) -> QuorumView {
    QuorumView {
        error: model::ErrorCode::None,
        leader: leader.map(BrokerId),
        epoch: LeaderEpoch(epoch),
        leader_endpoints: Vec::new(),
    }
}
