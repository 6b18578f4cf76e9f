//! The cost of a transaction in its coordinator, and of a load of 100,000 transactional ids.

use bytes::Bytes;
use coordinator::transaction::{MarkerOutcome, ProducerIdAndEpoch};
use coordinator::{
    BatchContext, Command, CoordinatorShard, DecisionContext, Entry, ReplyId, TransactionConfig, TransactionEffect,
    TransactionEvent, TransactionReply, TransactionRequest, TransactionShard, TransactionTypes,
};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use metadata::image::Image;
use model::{LeaderEpoch, Monotonic, Now, Offset, ProducerEpoch, ProducerId, Timestamp};
use protocol::Str;
use protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use std::hint::black_box;

const IDS: usize = 100_000;
const AT: BatchContext =
    BatchContext { offset: Offset(0), leader_epoch: LeaderEpoch(0), timestamp: Timestamp(0), producer: None };

/// A shard whose driver does nothing but apply, and its log.
struct Driven {
    shard: TransactionShard,
    image: Image,
    config: TransactionConfig,
    replies: u64,
    log: Vec<(Bytes, Option<Bytes>)>,
    keeps_log: bool,
}

impl Driven {
    fn new(keeps_log: bool) -> Self {
        let mut image = Image::default();
        image.features.others.insert(Str::const_new("transaction.version"), 2);
        let config = TransactionConfig::default();
        Self { shard: TransactionShard::new(), image, config, replies: 0, log: Vec::new(), keeps_log }
    }

    /// Carries out a command and what follows from it, and returns the last reply.
    fn command(&mut self, command: Command<TransactionTypes>) -> Option<TransactionReply> {
        let mut commands = vec![command];
        let mut last = None;
        while let Some(command) = commands.pop() {
            let context = DecisionContext {
                now: Now { monotonic: Monotonic(1), wall: Timestamp(1_700_000_000_000) },
                random: &|| [0; 16],
                leader_epoch: LeaderEpoch(0),
                image: &self.image,
                config: &self.config,
            };
            let decision = self.shard.decide(&context, &command);
            for record in decision.records {
                if self.keeps_log {
                    self.log.push((record.key.clone(), record.value.clone()));
                }
                let entry = Entry::Record { key: record.key, value: record.value };
                self.shard.apply(&AT, entry).expect("an own record");
            }
            self.shard.apply_soft(decision.soft);
            last = decision.replies.into_iter().next_back().map(|(_, reply)| reply).or(last);
            for effect in decision.effects {
                commands.push(Command::Event(outcome(effect, self.replies)));
            }
        }
        last
    }

    fn ask(&mut self, request: TransactionRequest) -> Option<TransactionReply> {
        self.replies += 1;
        self.command(Command::Request(ReplyId(self.replies), request))
    }

    fn init(&mut self, transactional_id: &Str) -> ProducerIdAndEpoch {
        let request = TransactionRequest::InitProducerId {
            transactional_id: transactional_id.clone(),
            timeout_ms: 60_000,
            expected: None,
            enable_2pc: false,
            keep_prepared: false,
        };
        match self.ask(request) {
            Some(TransactionReply::InitProducerId(it)) => {
                ProducerIdAndEpoch { id: ProducerId(it.producer_id), epoch: ProducerEpoch(it.producer_epoch) }
            }
            other => unreachable!("{other:?}"),
        }
    }

    /// Writes one partition and commits, and returns what the next transaction has.
    fn transaction(&mut self, transactional_id: &Str, producer: ProducerIdAndEpoch) -> ProducerIdAndEpoch {
        let topic =
            AddPartitionsToTxnTopic { name: Str::const_new("topic"), partitions: vec![0], ..Default::default() };
        self.ask(TransactionRequest::AddPartitions {
            transactional_id: transactional_id.clone(),
            producer,
            topics: vec![topic],
            verify_only: false,
            transaction_version: 2,
        });
        let end = TransactionRequest::EndTxn {
            transactional_id: transactional_id.clone(),
            producer,
            committed: true,
            transaction_version: 2,
        };
        match self.ask(end) {
            Some(TransactionReply::EndTxn(it)) if it.error_code == 0 => {
                ProducerIdAndEpoch { id: ProducerId(it.producer_id), epoch: ProducerEpoch(it.producer_epoch) }
            }
            other => unreachable!("{other:?}"),
        }
    }
}

/// Gives the next producer id, or writes all markers.
fn outcome(effect: TransactionEffect, next_id: u64) -> TransactionEvent {
    match effect {
        TransactionEffect::AllocateProducerId { token } => {
            TransactionEvent::ProducerIdAllocated { token, result: Ok(ProducerId(next_id.cast_signed())) }
        }
        TransactionEffect::WriteMarkers(markers) => TransactionEvent::MarkersWritten {
            transactional_id: markers.transactional_id,
            producer: markers.producer,
            coordinator_epoch: markers.coordinator_epoch,
            outcomes: markers.partitions.into_iter().map(|it| (it, MarkerOutcome::Written)).collect(),
        },
    }
}

fn transactions(criterion: &mut Criterion) {
    let mut filled = Driven::new(true);
    for index in 0..IDS {
        let transactional_id: Str = format!("an-application-with-a-name-{index:07}").into();
        let producer = filled.init(&transactional_id);
        filled.transaction(&transactional_id, producer);
    }
    let last_records = std::mem::take(&mut filled.log);
    filled.keeps_log = false;

    let transactional_id = Str::const_new("measured");
    let mut producer = filled.init(&transactional_id);
    criterion.bench_function("a transaction of one partition", |bencher| {
        bencher.iter(|| producer = filled.transaction(&transactional_id, black_box(producer)));
    });

    let load = |records: &Vec<(Bytes, Option<Bytes>)>| {
        let mut loaded = Driven::new(false);
        for (key, value) in records {
            let entry = Entry::Record { key: key.clone(), value: value.clone() };
            loaded.shard.apply(&AT, entry).expect("an own record");
        }
        loaded.command(Command::PartitionLoaded);
        loaded
    };
    let mut group = criterion.benchmark_group("load");
    group.sample_size(10);
    // Compaction leaves one record of each id; without it there are four.
    let compacted: Vec<(Bytes, Option<Bytes>)> = last_records.iter().skip(3).step_by(4).cloned().collect();
    group.bench_function("100,000 transactional ids", |bencher| {
        bencher.iter_batched(|| (), |()| load(&compacted), BatchSize::PerIteration);
    });
    group.bench_function("400,000 records of 100,000 transactional ids", |bencher| {
        bencher.iter_batched(|| (), |()| load(&last_records), BatchSize::PerIteration);
    });
}

criterion_group!(benches, transactions);
criterion_main!(benches);
