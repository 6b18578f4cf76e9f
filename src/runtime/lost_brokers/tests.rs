//! Which suspects are gone, by what their listeners do.

use super::*;
use crate::peer::Io;
use parking_lot::Mutex;
use std::collections::VecDeque;

/// What a listener does with one attempt.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Accept,
    Refuse,
    Fail,
    Wait,
}
use Answer::{Accept, Fail, Refuse, Wait};

/// Answers each attempt with the next of these, and then for ever with the last.
fn answering(answers: &[Answer]) -> Dial {
    let answers = Mutex::new(answers.iter().copied().collect::<VecDeque<_>>());
    Arc::new(move |_, _| {
        let mut answers = answers.lock();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
        Box::pin(async move {
            match answer.unwrap() {
                Accept => Ok(Box::new(tokio::io::duplex(1).0) as Box<dyn Io>),
                Refuse => Err(io::ErrorKind::ConnectionRefused.into()),
                Fail => Err(io::ErrorKind::HostUnreachable.into()),
                Wait => std::future::pending().await,
            }
        })
    })
}

#[tokio::test(start_paused = true)]
async fn only_a_node_whose_listeners_refuse_again_and_again_is_gone() {
    let cases: [(&[Answer], bool); 8] = [
        (&[Refuse], true),
        // The listener of a process that is being killed lives a little longer.
        (&[Accept, Accept, Refuse], true),
        (&[Refuse, Refuse, Accept, Refuse], true),
        (&[Accept], false),
        (&[Fail], false),
        (&[Wait], false),
        (&[Refuse, Refuse, Fail, Refuse], false),
        (&[Refuse, Refuse, Wait, Refuse], false),
    ];
    for (answers, expected) in cases {
        let address = [("a".into(), 1)];
        assert_eq!(is_gone(&answering(answers), &address).await, expected, "{answers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_is_gone_only_if_all_of_its_listeners_refuse() {
    let addresses = [("a".into(), 1), ("a".into(), 2)];
    assert!(is_gone(&answering(&[Refuse]), &addresses).await);
    let second_accepts: Dial = Arc::new(|_, port| match port {
        1 => Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) }),
        _ => Box::pin(async { Ok(Box::new(tokio::io::duplex(1).0) as Box<dyn Io>) }),
    });
    assert!(!is_gone(&second_accepts, &addresses).await);
    assert!(!is_gone(&answering(&[Refuse]), &[]).await, "a node without a known address");
}

#[tokio::test]
async fn the_end_of_a_connection_of_heartbeats_makes_a_suspect() {
    let (lost, Suspects(mut suspects)) = LostBrokers::new(Clock::default());
    let connection = lost.heartbeats_of(BrokerId(2), BrokerEpoch(7));
    assert!(connection.is_of(BrokerId(2), BrokerEpoch(7)) && !connection.is_of(BrokerId(2), BrokerEpoch(8)));
    assert!(suspects.try_recv().is_err());
    drop(connection);
    let suspect = suspects.try_recv().unwrap();
    assert_eq!((suspect.id, suspect.epoch), (BrokerId(2), BrokerEpoch(7)));
}
