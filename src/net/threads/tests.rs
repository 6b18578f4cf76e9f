//! Tests of when connections move, and that a move loses nothing.

use super::load::{balance, place};
use super::*;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_new_connection_goes_to_the_first_thread_that_has_time() {
    assert_eq!(place(&[0, 0]), 0);
    assert_eq!(place(&[599, 0]), 0);
    assert_eq!(place(&[600, 0, 0]), 1);
    assert_eq!(place(&[900, 700, 800]), 1, "all are busy");
}

#[test]
fn a_busy_thread_moves_connections_until_both_loads_are_equal() {
    assert_eq!(balance(&[1000, 0], 0, 2), Some((1, 1)));
    assert_eq!(balance(&[1000, 0], 0, 100), Some((50, 1)));
    assert_eq!(balance(&[1000, 600, 500], 0, 100), Some((25, 2)));
    assert_eq!(balance(&[1000, 0], 0, 1), None, "one connection alone is as fast where it is");
    assert_eq!(balance(&[1000, 701], 0, 100), None, "the other one is about as busy");
    assert_eq!(balance(&[800, 0], 0, 100), None, "the thread is not busy");
}

#[test]
fn a_thread_with_a_low_load_returns_all_connections() {
    assert_eq!(balance(&[100, 299], 1, 7), Some((7, 0)));
    assert_eq!(balance(&[100, 300], 1, 7), None);
    assert_eq!(balance(&[700, 100, 100], 2, 0), Some((1, 1)));
    assert_eq!(balance(&[0, 0], 0, 7), None, "the first thread has nobody to hand them to");
}

/// A thread with one connection.
#[derive(Default)]
struct OneConnection {
    load: ThreadLoad,
    counted: u32,
}

impl OneConnection {
    /// Records an answered request. `delay` is the total time that the thread has waited for a
    /// core.
    fn served(&mut self, at: Duration, delay: Duration) -> Option<u32> {
        self.load.served(&mut self.counted, at, || delay)
    }
}

#[test]
fn the_time_that_a_thread_waits_for_a_core_does_not_count() {
    let mut thread = OneConnection::default();
    thread.load.wakes(ms(0));
    assert_eq!(thread.served(ms(100), ms(0)), None, "it is measured once in a while");
    assert_eq!(thread.served(ms(1000), ms(400)), Some(1));
    assert_eq!(thread.load.busy(ms(1000)), 600);
    thread.load.sleeps(ms(1100));
    thread.load.wakes(ms(1900));
    assert_eq!(thread.served(ms(2000), ms(400)), Some(1));
    assert_eq!(thread.load.busy(ms(2000)), 200);
    thread.load.sleeps(ms(2000));
    assert_eq!(thread.load.busy(ms(2501)), 0, "nobody was served for long");
}

#[test]
fn a_thread_that_is_in_one_piece_of_work_for_long_is_busy() {
    let load = ThreadLoad::default();
    load.wakes(ms(1000));
    assert_eq!(load.busy(ms(1250)), 0);
    assert_eq!(load.busy(ms(1251)), 1000);
}

#[test]
fn exactly_the_requested_number_of_connections_leaves() {
    let load = ThreadLoad::default();
    assert_eq!(load.leave(), None);
    load.set_leaving(Some((2, 3)));
    assert_eq!([load.leave(), load.leave(), load.leave()], [Some(3), Some(3), None]);
    load.set_leaving(Some((2, 3)));
    load.set_leaving(None);
    assert_eq!(load.leave(), None);
}

/// Answers each byte with the name of the thread that serves it, and then moves to the next thread.
async fn answer_and_move(mut seat: Seat<()>, moving: Moving<()>) {
    let stream = tokio::net::TcpStream::from_std(moving.stream).unwrap();
    let (mut reader, (mut reading, mut writing)) = (moving.reader, stream.into_split());
    while reader.take(0).is_none() {
        if reader.read(&mut reading, None).await.is_err() {
            return;
        }
    }
    let thread = std::thread::current().name().unwrap_or("main").to_owned();
    let _ = seat.served();
    tokio::io::AsyncWriteExt::write_all(&mut writing, format!("{thread}\n").as_bytes()).await.unwrap();
    let next = (seat.index + 1) % 3;
    let stream = reading.reunite(writing).unwrap().into_std().unwrap();
    seat.move_to(next, Moving { connection: (), stream, reader });
}

#[test]
fn a_connection_moves_between_threads_and_keeps_the_bytes_read() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (stream, _) = listener.accept().unwrap();
    stream.set_nonblocking(true).unwrap();
    // Four empty frames in one write. The first read receives all of them.
    peer.write_all(&[0; 16]).unwrap();
    let serve = Box::new(|seat, moving| drop(tokio::spawn(answer_and_move(seat, moving))));
    let threads = ConnectionThreads::new(3, Arc::default(), Clock::default(), serve);
    threads.add(Moving { connection: (), stream, reader: FrameReader::default() });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let main = std::thread::scope(|scope| {
        let served = threads.clone();
        scope.spawn(move || runtime.block_on(served.serve_first()));
        let mut answers = String::new();
        while answers.lines().count() < 4 || !answers.ends_with('\n') {
            let mut piece = [0; 64];
            let count = peer.read(&mut piece).unwrap();
            answers.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        threads.end();
        answers
    });
    threads.join();
    assert_eq!(main, "main\nconnections-1\nconnections-2\nmain\n");
}
