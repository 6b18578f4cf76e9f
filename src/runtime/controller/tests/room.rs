//! A controller whose disk is full, with no kept room left.

use super::*;
use std::io::ErrorKind;

#[tokio::test]
async fn a_controller_that_waits_for_room_keeps_nobody_waiting() {
    let mut controller = Controller::new();
    let (handle, disk) = (controller.handle.clone(), controller.disk.clone());
    let mut facts = handle.watch_quorum();
    disk.refuse(0, u64::MAX, ErrorKind::StorageFull, 0);
    let thread = std::thread::spawn(move || {
        let decided = controller.decide(|_, _| Ok(Decision::atomic(vec![config_record("num.partitions")], ())));
        (controller, decided)
    });
    facts.wait_for(|facts| facts.waits_for_room).await.unwrap();
    assert_eq!((handle.leader(), handle.quorum_facts().is_active), (None, false));
    // Others get an error and not a timeout.
    let vote = QuorumRequest::Vote(raft::VoteRequest {
        epoch: LeaderEpoch(9),
        candidate: ReplicaKey { id: BrokerId(2), directory_id: None },
        voter: None,
        log_end: raft::EndOffset { offset: Offset(1_000), epoch: LeaderEpoch(8) },
        pre_vote: false,
    });
    assert!(handle.quorum(vote).await.is_none());
    assert!(handle.describe().await.is_none());
    assert_eq!(handle.decide_at_commit(nothing).await.unwrap_err().code, ErrorCode::NotController);
    // What the raft machine has asked for is kept.
    handle.published();
    disk.heal();
    facts.wait_for(|facts| !facts.waits_for_room).await.unwrap();
    let (mut controller, decided) = thread.join().unwrap();
    decided.unwrap();
    assert!(handle.quorum_facts().is_active && handle.leader() == Some(BrokerId(1)));
    controller.decide(nothing).unwrap();
}
