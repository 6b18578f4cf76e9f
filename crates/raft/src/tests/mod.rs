//! Transcripts of the machine, golden files of Apache Kafka 4.3.1, and invariants under random
//! events.

mod files;
mod invariants;
mod quorum;
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
        configured_voters: VoterSet::from_config(configured, "CONTROLLER").unwrap(),
        timeouts: Timeouts::default(),
    }
}

/// What `format --standalone` writes, with these voters.
pub(crate) fn formatted(ids: &[i32]) -> Stored {
    let voters = VoterSet::new(ids.iter().map(|id| voter(*id)));
    Stored {
        election: None,
        log: LogFacts { latest_snapshot: Some(SnapshotId::BOOTSTRAP), ..LogFacts::default() },
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
        Action::Flush { end } => format!("flush {end}"),
        Action::Commit { high_watermark } => format!("commit {high_watermark}"),
        Action::LeaderChanged { leader, epoch } => format!("leader {leader:?} epoch {epoch}"),
        Action::Activate { epoch, epoch_start } => format!("activate epoch {epoch} from {epoch_start}"),
        Action::Send { id, to, request } => format!("send {id} to {}: {}", to.key.id, request_line(request)),
        Action::Reply { id, reply } => match reply {
            QuorumReply::Vote { view, granted } => {
                format!("reply {id} {} granted {granted} epoch {}", view.error, view.epoch)
            }
            QuorumReply::BeginQuorumEpoch(view) | QuorumReply::EndQuorumEpoch(view) => {
                format!("reply {id} {} leader {:?} epoch {}", view.error, view.leader, view.epoch)
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
