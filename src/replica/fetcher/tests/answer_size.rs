//! How large an answer a leader may send.

use super::*;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// A leader that does not answer. It tells how large an answer may be.
#[derive(Debug)]
struct Allowing(UnboundedSender<usize>);

impl LeaderLink for Allowing {
    async fn fetch(&self, _: FetchRequest, response_bytes_max: usize) -> Result<FetchResponse, String> {
        self.0.send(response_bytes_max).unwrap();
        std::future::pending().await
    }

    async fn list_offsets(&self, _: ListOffsetsRequest) -> Result<ListOffsetsResponse, String> {
        std::future::pending().await
    }

    fn close(&self) {}
}

/// A hostile leader gets no memory for more.
#[tokio::test(start_paused = true)]
async fn a_leader_may_answer_what_is_asked_for_or_one_batch_above_it() {
    let small = LogConfig { max_message_bytes: 1_000, ..LogConfig::default() };
    let large = LogConfig { max_message_bytes: 5 << 20, ..LogConfig::default() };
    let around = |partitions: usize| AROUND_BYTES + partitions * AROUND_PARTITION_BYTES;
    let (sender, mut allowed) = unbounded_channel();
    let (stopping, fetcher) = (CancellationToken::new(), Fetcher::new(parts()));
    for (number, config, batch) in [(0, small, SETTINGS.produced_bytes_max), (1, large, 5 << 20)] {
        let follower = numbered_on_node(2, number, config);
        follower.follow(BrokerId(1), LeaderEpoch(5), SETTINGS.backoff_ms).unwrap();
        fetcher.add(follower);
        if number == 0 {
            tokio::spawn(fetcher.clone().run(Allowing(sender.clone()), || Some(BROKER_EPOCH), stopping.clone()));
        }
        let expected = SETTINGS.max_bytes as usize + batch + around(number as usize + 1);
        assert_eq!(allowed.recv().await, Some(expected), "with {} partitions", number + 1);
    }
    stopping.cancel();
}
