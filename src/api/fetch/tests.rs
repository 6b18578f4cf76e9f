//! What a wake reads again of a fetch that waits.

use super::*;
use std::cell::RefCell;

const MAX_BYTES: i32 = 1000;

fn targets(count: i32) -> Vec<(TargetKey, Target)> {
    let target = Target {
        fetch_offset: 0,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        log_start_offset: -1,
        max_bytes: i32::MAX,
    };
    (0..count).map(|partition| ((TopicKey::Name("t".into()), partition), target.clone())).collect()
}

fn answer(key: &TargetKey, len: u32) -> Answer {
    let data = PartitionData { records: Some(Records::Elsewhere { len }), ..Default::default() };
    Answer { key: key.clone(), data, region: None, must_answer: false }
}

/// A pass that found these bytes in its partitions.
fn pass_of(sizes: &[u32]) -> Pass {
    let keys = targets(i32::try_from(sizes.len()).unwrap()).into_iter();
    let answers = keys.zip(sizes).map(|((key, _), size)| answer(&key, *size)).collect();
    Pass { answers, bytes: sizes.iter().map(|size| u64::from(*size)).sum(), must_answer: false }
}

/// Reads again what moved, where each partition has 70 bytes by now. Returns each read: its
/// partition, its limit, and whether it returns the first batch whole.
fn read_moved(pass: &mut Pass, moved: &[usize]) -> Vec<(i32, i32, bool)> {
    let reads = RefCell::new(Vec::new());
    let targets = targets(i32::try_from(pass.answers.len()).unwrap());
    let result = pass.read_moved(&targets, moved, MAX_BYTES, |read| {
        assert_eq!(read.wait, Wait::Try, "a wake reads in place");
        reads.borrow_mut().push((read.key.1, read.left_bytes, read.at_least_one_batch));
        Ok(answer(read.key, 70))
    });
    assert!(result.is_ok());
    reads.into_inner()
}

fn sizes(pass: &Pass) -> Vec<u64> {
    assert_eq!(pass.answers.iter().map(Answer::size_bytes).sum::<u64>(), pass.bytes);
    let keys = targets(i32::try_from(pass.answers.len()).unwrap()).into_iter().map(|(key, _)| key);
    assert!(keys.eq(pass.answers.iter().map(|answer| answer.key.clone())), "the answers keep their order");
    pass.answers.iter().map(Answer::size_bytes).collect()
}

#[test]
fn a_wake_reads_only_the_partitions_that_moved() {
    let mut pass = pass_of(&[0, 0, 0, 0]);
    assert_eq!(read_moved(&mut pass, &[2]), [(2, MAX_BYTES, true)]);
    assert_eq!(sizes(&pass), [0, 0, 70, 0]);
    // The other partitions leave less of the limit, and have the batch that is sent whole.
    assert_eq!(read_moved(&mut pass, &[0, 3]), [(0, MAX_BYTES - 70, false), (3, MAX_BYTES - 140, false)]);
    assert_eq!(sizes(&pass), [70, 0, 70, 70]);
    assert_eq!(read_moved(&mut pass, &[]), []);
    assert_eq!(sizes(&pass), [70, 0, 70, 70]);
}

#[test]
fn what_is_read_again_does_not_count_against_its_own_limit() {
    let mut pass = pass_of(&[0, 400, 0]);
    assert_eq!(read_moved(&mut pass, &[1]), [(1, MAX_BYTES, true)]);
    assert_eq!(sizes(&pass), [0, 70, 0]);
    // Nothing is left of the limit: the partition is read with a limit of 0.
    let mut pass = pass_of(&[900, 500]);
    assert_eq!(read_moved(&mut pass, &[0]), [(0, MAX_BYTES - 500, false)]);
    let mut pass = pass_of(&[0, 1200]);
    assert_eq!(read_moved(&mut pass, &[0]), [(0, 0, false)]);
}

#[test]
fn a_partition_that_requires_an_answer_ends_the_wait() {
    let mut pass = pass_of(&[0, 0]);
    let failed = |read: &PartitionRead| Ok(Answer { must_answer: true, ..answer(read.key, 0) });
    assert!(pass.read_moved(&targets(2), &[1], MAX_BYTES, failed).is_ok());
    assert!(pass.must_answer);
    // A later read of another partition does not take that back.
    read_moved(&mut pass, &[0]);
    assert!(pass.must_answer);
}

#[test]
fn bytes_that_are_not_in_memory_end_the_pass() {
    let mut pass = pass_of(&[0, 0]);
    assert!(pass.read_moved(&targets(2), &[1, 0], MAX_BYTES, |_| Err(WouldBlock)).is_err());
    assert_eq!(sizes(&pass), [0, 0]);
}
