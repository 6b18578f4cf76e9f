//! The background task flushes everything that is due, although it looks only at noted partitions.

use super::*;
use std::io::ErrorKind;
use storage::disk::Crash;

const FLUSH_MS: i64 = 50;

/// A partition on a disk, the time, and the seed of everything random.
struct Bench {
    disk: SimDisk,
    partition: Arc<Partition>,
    config: LogConfig,
    now: Timestamp,
    seed: u64,
}

impl Bench {
    fn new(seed: u64) -> Self {
        let disk = SimDisk::new();
        disk.create_dir(Path::new("/logs/t-0")).unwrap();
        let config = LogConfig { segment_bytes: 400, retention_ms: Some(1_000), ..LogConfig::default() };
        let partition = opened(Arc::new(disk.clone()), config.clone(), 1);
        // The committer is stopped, so that an append that needs a flush flushes on this thread, by
        // the real clock, which is behind.
        partition.committer.load().stop();
        let now = Timestamp(Clock::default().now().0 + 3_600_000);
        let mut bench = Self { disk, partition, config, now, seed };
        bench.lead();
        bench
    }

    /// Returns a random number less than `below`.
    fn random(&mut self, below: u64) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 33) % below
    }

    fn lead(&mut self) {
        self.partition.lead(&state(5, 0, &[1]), UPTIME).unwrap();
        self.partition.note_unflushed();
    }

    fn append(&mut self) {
        let value = vec![b'v'; self.random(200) as usize];
        let mut batch = BatchBuilder::new(Offset(0));
        batch.append(self.now, None, Some(&value));
        let records = batch.finish().unwrap();
        // A full disk may refuse it.
        let append =
            AppendRequest { records, all_replicas: false, may_write_internal: false, guard: None, now: self.now };
        drop(self.partition.append_or(Wait::Block, &append));
    }

    fn step(&mut self) {
        match self.random(100) {
            0..60 => self.append(),
            60..80 => self.now.0 += self.random(40) as i64,
            80..84 => {
                let now = self.now;
                if self.partition.log().delete_old_segments(now).is_ok_and(|expired| expired.segments > 0) {
                    self.partition.note_unflushed();
                }
            }
            84..87 => self.now.0 += 2_000,
            87..91 => {
                self.config.flush_ms = (self.random(2) == 0).then_some(FLUSH_MS);
                self.partition.set_config(self.config.clone(), rules(1));
            }
            91..93 => {
                self.disk.crash(Crash::Process);
                self.partition = opened(Arc::new(self.disk.clone()), self.config.clone(), 1);
                self.partition.committer.load().stop();
                self.lead();
            }
            93..97 => {
                let (after, times) = (self.random(8), self.random(6));
                self.disk.refuse(after, times, ErrorKind::StorageFull, 0);
            }
            _ => self.partition.committer.load().flush_noted(self.now),
        }
    }

    /// Whether everything that is due is flushed, once the disk has space and the task has run.
    fn is_flushed(&mut self) -> bool {
        self.disk.heal();
        let committer = self.partition.committer.load();
        committer.flush_noted(self.now);
        let log = self.partition.log();
        let are_closed_flushed = log.recovery_point() >= LogEnds::of(&log).closed_end;
        self.now.0 += FLUSH_MS;
        committer.flush_noted(self.now);
        let is_all_flushed = self.config.flush_ms.is_none() || log.recovery_point() == log.log_end_offset();
        are_closed_flushed && is_all_flushed
    }
}

#[test]
fn whatever_happened_to_a_partition_what_is_due_is_flushed() {
    let (mut seen, mut offline) = (0, 0);
    for seed in 0..300 {
        let mut bench = Bench::new(seed);
        for step in 0..80 {
            bench.step();
            if bench.partition.log().fault().is_some() {
                offline += 1;
                break;
            }
            if bench.random(8) == 0 {
                seen += 1;
                assert!(bench.is_flushed(), "seed {seed}, step {step}");
            }
        }
    }
    assert!(seen > 1_000 && offline < 150, "{seen} looks, {offline} logs ended by a fault");
}

#[test]
fn a_partition_in_which_nothing_is_to_come_is_not_looked_at() {
    let mut bench = Bench::new(1);
    (0..20).for_each(|_| bench.append());
    let committer = bench.partition.committer.load_full();
    committer.flush_noted(bench.now);
    assert!(bench.partition.log().recovery_point() > Offset(0) && committer.has_noted_none());
    bench.config.flush_ms = Some(FLUSH_MS);
    bench.partition.set_config(bench.config.clone(), rules(1));
    committer.flush_noted(bench.now);
    assert!(!committer.has_noted_none());
    bench.now.0 += FLUSH_MS;
    committer.flush_noted(bench.now);
    assert!(committer.has_noted_none());
}
