//! What clients are told while the leader of their partition changes.

use super::*;
use crate::replica::{AppendRequest, MarkerAppend};
use model::{ProducerEpoch, ProducerId, Timestamp};
use records::{BatchBuilder, Batches, EndTransactionMarker};
use storage::VerificationStart;

const NOW: Timestamp = Timestamp(1_000);

/// Opens a transaction of a producer with one record.
async fn begin(partition: &Arc<Partition>, producer_id: i64) {
    let (producer_id, epoch) = (ProducerId(producer_id), ProducerEpoch(0));
    let start = VerificationStart { producer_id, epoch, base_sequence: 0, supports_epoch_bump: true, now: NOW };
    let guard = partition.begin_verification(start).await.unwrap();
    let mut batch = BatchBuilder::new(Offset(0)).producer(producer_id, epoch, Some(0)).transactional();
    batch.append(NOW, None, Some(b"value"));
    let records = batch.finish().unwrap();
    let request = AppendRequest { records, all_replicas: true, may_write_internal: false, guard, now: NOW };
    partition.append(request).await.unwrap();
}

async fn end(partition: &Arc<Partition>, producer_id: i64, committed: bool) {
    let marker = MarkerAppend {
        producer_id: ProducerId(producer_id),
        epoch: ProducerEpoch(1),
        end: EndTransactionMarker { committed, coordinator_epoch: 0 },
        transaction_version: 2,
        leader_epoch: None,
        now: NOW,
    };
    partition.append_marker(marker).await.unwrap();
}

/// What a reader of committed records gets from an offset on.
#[derive(Debug, PartialEq, Eq)]
struct CommittedRead {
    /// The base offsets of the batches.
    batches: Vec<i64>,
    /// The producer id and first offset of each aborted transaction.
    aborted: Vec<(i64, i64)>,
    high_watermark: i64,
    last_stable_offset: i64,
}

fn read_committed(partition: &Arc<Partition>, offset: i64) -> CommittedRead {
    let read = partition.read(&ReadRequest {
        offset: Offset(offset),
        current_leader_epoch: None,
        last_fetched_epoch: None,
        max_bytes: 1 << 20,
        at_least_one_batch: true,
        isolation: Isolation::Committed,
        wait: Wait::Block,
        leader_only: true,
        follower: None,
    });
    let read = read.unwrap();
    let bytes: Bytes = read.region.map(|region| region.read().unwrap()).unwrap_or_default().into();
    CommittedRead {
        batches: Batches::new(&bytes).map(|batch| batch.unwrap().header().base_offset.0).collect(),
        aborted: read.aborted.unwrap().iter().map(|it| (it.producer_id.0, it.first_offset.0)).collect(),
        high_watermark: read.offsets.high_watermark.0,
        last_stable_offset: read.offsets.last_stable_offset.0,
    }
}

/// The last stable offset and the high watermark never move back: a new leader tells none before it
/// has caught up. What a reader of committed records has read stays as it was.
#[tokio::test]
async fn a_reader_of_committed_records_goes_on_at_the_next_leader() {
    let (leader, follower) = (leading(&[1, 2]), following(5));
    let running = start(&follower, &link(&leader));
    begin(&leader, 7).await;
    begin(&leader, 8).await;
    end(&leader, 7, false).await;
    append(&leader, true).unwrap();
    until(&leader, |leader| leader.high_watermark() == Offset(4)).await;
    let told = read_committed(&leader, 0);
    // Producer 8 has a transaction open since offset 1.
    let expected = CommittedRead { batches: vec![0], aborted: vec![(7, 0)], high_watermark: 4, last_stable_offset: 1 };
    assert_eq!(told, expected);

    // The follower has the records. The leader ends before it can tell that they are committed.
    assert!(follower.log_end_offset() == Offset(4) && follower.high_watermark() < Offset(4));
    drop(running);
    leader.resign();
    let led = metadata::image::Partition { leader: Some(FOLLOWER), ..state(6, 1, &[1, 2]) };
    follower.lead(&led, Monotonic(0)).unwrap();
    assert!(!follower.may_tell_high_watermark(), "ListOffsets answers OFFSET_NOT_AVAILABLE");
    assert_eq!(read_committed(&follower, 1).batches, [] as [i64; 0]);

    // Broker 1 leaves the ISR: all that the new leader has is committed.
    let alone = metadata::image::Partition { leader: Some(FOLLOWER), ..state(6, 2, &[2]) };
    follower.lead(&alone, Monotonic(0)).unwrap();
    assert!(follower.may_tell_high_watermark());
    assert_eq!(read_committed(&follower, 0), expected);
    end(&follower, 8, true).await;
    let rest =
        CommittedRead { batches: vec![1, 2, 3, 4], aborted: vec![(7, 0)], high_watermark: 5, last_stable_offset: 5 };
    assert_eq!(read_committed(&follower, 1), rest);
}
