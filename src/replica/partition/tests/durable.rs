//! Partitions whose batches count once they are flushed. The disk holds syncs until the test
//! releases them, and records the threads of all syncs.

use super::*;
use futures_util::FutureExt as _;
use parking_lot::{Condvar, Mutex};
use std::io::{self, IoSlice};
use std::thread::{self, ThreadId};
use storage::disk::{Crash, DirEntry, DiskFile, DiskLock, Fault, Metadata, OpenMode, Operation, Space};

/// Holds the syncs of records.
#[derive(Debug, Default)]
struct Gate {
    state: Mutex<GateState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct GateState {
    is_closed: bool,
    /// The number of syncs that have reached the closed gate.
    come: usize,
    /// The number of syncs that may pass it.
    passes: usize,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock();
        if !state.is_closed {
            return;
        }
        state.come += 1;
        self.changed.notify_all();
        self.changed.wait_while(&mut state, |state| state.is_closed && state.passes == 0);
        state.passes = state.passes.saturating_sub(1);
    }

    fn close(&self) {
        self.state.lock().is_closed = true;
    }

    /// Waits until `count` syncs have begun since the gate was closed.
    fn until_come(&self, count: usize) {
        self.changed.wait_while(&mut self.state.lock(), |state| state.come < count);
    }

    fn let_one_go(&self) {
        self.state.lock().passes += 1;
        self.changed.notify_all();
    }
}

#[derive(Clone, Debug, Default)]
struct HeldDisk {
    inner: SimDisk,
    gate: Arc<Gate>,
    /// The threads of all syncs, of files and of folders.
    syncs: Arc<Mutex<Vec<ThreadId>>>,
}

#[derive(Debug)]
struct HeldFile {
    inner: Arc<dyn DiskFile>,
    /// The syncs of files with records.
    gate: Option<Arc<Gate>>,
    syncs: Arc<Mutex<Vec<ThreadId>>>,
}

impl HeldDisk {
    /// With a synced folder for the partition.
    fn new() -> Self {
        let disk = Self::default();
        disk.inner.create_dir(Path::new("/logs/t-0")).unwrap();
        ["/", "/logs"].iter().for_each(|dir| disk.inner.sync_dir(Path::new(dir)).unwrap());
        disk
    }
}

impl Disk for HeldDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let inner = self.inner.open(path, mode)?;
        let has_records = path.extension().is_some_and(|it| it == "log");
        let (gate, syncs) = (has_records.then(|| self.gate.clone()), self.syncs.clone());
        Ok(Arc::new(HeldFile { inner, gate, syncs }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }
    fn remove_file(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_file(path)
    }
    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }
    fn create_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.inner.list(path)
    }
    fn metadata(&self, path: &Path) -> io::Result<Metadata> {
        self.inner.metadata(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.syncs.lock().push(thread::current().id());
        self.inner.sync_dir(path)
    }
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DiskLock>>> {
        self.inner.lock(path)
    }
    fn space(&self, path: &Path) -> io::Result<Space> {
        self.inner.space(path)
    }
}

impl DiskFile for HeldFile {
    fn write_at(&self, position: u64, slices: &[IoSlice<'_>]) -> io::Result<()> {
        self.inner.write_at(position, slices)
    }
    fn read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(position, buffer)
    }
    fn try_read_at(&self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.try_read_at(position, buffer)
    }
    fn sync(&self) -> io::Result<()> {
        self.syncs.lock().push(thread::current().id());
        // A sync covers what was written before it began.
        let synced = self.inner.sync();
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        synced
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.inner.truncate(length)
    }
    fn length(&self) -> io::Result<u64> {
        self.inner.length()
    }
    fn set_modified(&self, modified: Timestamp) -> io::Result<()> {
        self.inner.set_modified(modified)
    }
}

fn config(flush_messages: i64) -> LogConfig {
    LogConfig { flush_messages: Some(flush_messages), ..LogConfig::default() }
}

/// Returns a partition that only this broker leads, with one flushed record.
async fn durable(disk: &HeldDisk) -> Arc<Partition> {
    let partition = opened(Arc::new(disk.clone()), config(1), 1);
    partition.lead(&state(5, 0, &[1]), UPTIME).unwrap();
    let first = append(&partition, false).unwrap();
    assert_eq!(partition.until_flushed(&first).await, Ok(()));
    partition
}

fn visible(partition: &Partition) -> i64 {
    partition.high_watermark().0
}

#[tokio::test]
async fn nothing_is_answered_or_seen_before_its_sync_and_a_batch_that_comes_during_one_waits_for_the_next() {
    let disk = HeldDisk::new();
    let partition = durable(&disk).await;
    assert_eq!(visible(&partition), 1);
    disk.gate.close();
    let before = append(&partition, false).unwrap();
    disk.gate.until_come(1);
    let during = append(&partition, true).unwrap();
    for appended in [&before, &during] {
        assert!(appended.awaits_flush && !partition.is_flushed(appended) && !partition.is_replicated(appended));
        assert_eq!(partition.until_flushed(appended).now_or_never(), None);
        assert_eq!(partition.until_replicated(appended).now_or_never(), None);
    }
    assert_eq!((visible(&partition), partition.log_end_offset()), (1, Offset(3)));
    disk.gate.let_one_go();
    assert_eq!(partition.until_flushed(&before).await, Ok(()));
    assert_eq!(partition.until_replicated(&before).await, Ok(()));
    disk.gate.until_come(2);
    assert_eq!(partition.until_flushed(&during).now_or_never(), None);
    assert_eq!(visible(&partition), 2);
    disk.gate.let_one_go();
    assert_eq!(partition.until_flushed(&during).await, Ok(()));
    assert_eq!((partition.until_replicated(&during).await, visible(&partition)), (Ok(()), 3));
}

#[tokio::test]
async fn many_batches_wait_for_one_sync() {
    let disk = HeldDisk::new();
    let partition = durable(&disk).await;
    disk.gate.close();
    append(&partition, false).unwrap();
    disk.gate.until_come(1);
    let syncs = disk.inner.count(Operation::Sync);
    let waiting: Vec<AppendInfo> = (0..50).map(|_| append(&partition, false).unwrap()).collect();
    disk.gate.let_one_go();
    disk.gate.let_one_go();
    for appended in &waiting {
        assert_eq!(partition.until_flushed(appended).await, Ok(()));
    }
    assert_eq!((disk.inner.count(Operation::Sync), visible(&partition)), (syncs + 1, 52));
}

#[tokio::test]
async fn a_failed_sync_refuses_what_waited_and_shows_it_to_nobody() {
    let disk = HeldDisk::new();
    let partition = durable(&disk).await;
    disk.gate.close();
    disk.inner.inject(Fault {
        operation: Operation::Sync,
        path_contains: ".log".into(),
        after: 0,
        times: 1,
        error: io::ErrorKind::Other,
        written_bytes: 0,
    });
    let before = append(&partition, true).unwrap();
    disk.gate.until_come(1);
    // The disk would accept this sync.
    let during = append(&partition, false).unwrap();
    disk.gate.let_one_go();
    for appended in [&before, &during] {
        assert_eq!(partition.until_flushed(appended).await, Err(ErrorCode::KafkaStorageError));
    }
    assert_eq!(visible(&partition), 1);
    assert_eq!(refusal(append(&partition, false)), ErrorCode::KafkaStorageError);
    assert_eq!(partition.check_leader(None), Err(ErrorCode::KafkaStorageError));
    assert!(partition.lead(&state(6, 1, &[1]), UPTIME).is_err());
    assert_eq!(visible(&partition), 1);
}

#[tokio::test]
async fn a_leadership_that_ends_ends_the_wait_for_a_flush() {
    let disk = HeldDisk::new();
    let partition = durable(&disk).await;
    disk.gate.close();
    let appended = append(&partition, false).unwrap();
    disk.gate.until_come(1);
    partition.resign();
    assert_eq!(partition.until_flushed(&appended).await, Err(ErrorCode::NotLeaderOrFollower));
    disk.gate.let_one_go();
}

#[tokio::test]
async fn by_count_the_append_that_reaches_it_waits_and_the_others_do_not() {
    let disk = HeldDisk::new();
    let partition = opened(Arc::new(disk.clone()), config(3), 1);
    partition.lead(&state(5, 0, &[1]), UPTIME).unwrap();
    disk.gate.close();
    for _ in 0..2 {
        assert!(!append(&partition, false).unwrap().awaits_flush);
    }
    assert_eq!(visible(&partition), 2);
    let third = append(&partition, false).unwrap();
    assert_eq!(partition.until_flushed(&third).now_or_never(), None);
    disk.gate.until_come(1);
    disk.gate.let_one_go();
    assert_eq!((partition.until_flushed(&third).await, partition.log().recovery_point()), (Ok(()), Offset(3)));
}

#[tokio::test]
async fn the_setting_counts_from_the_next_append_on() {
    let disk = HeldDisk::new();
    let partition = opened(Arc::new(disk.clone()), LogConfig::default(), 1);
    partition.lead(&state(5, 0, &[1]), UPTIME).unwrap();
    assert!(!append(&partition, false).unwrap().awaits_flush);
    partition.set_config(config(1), rules(1));
    disk.gate.close();
    let durable = append(&partition, false).unwrap();
    assert_eq!((durable.awaits_flush, visible(&partition)), (true, 1));
    partition.set_config(LogConfig::default(), rules(1));
    // A later record that does not wait makes those before it visible.
    assert!(!append(&partition, false).unwrap().awaits_flush);
    assert_eq!((partition.is_flushed(&durable), visible(&partition)), (false, 3));
    disk.gate.until_come(1);
    disk.gate.let_one_go();
    assert_eq!(partition.until_flushed(&durable).await, Ok(()));
}

#[tokio::test]
async fn what_a_killed_process_left_unflushed_is_flushed_before_it_is_seen() {
    let disk = HeldDisk::new();
    let partition = opened(Arc::new(disk.clone()), LogConfig::default(), 1);
    partition.lead(&state(5, 0, &[1]), UPTIME).unwrap();
    append(&partition, false).unwrap();
    drop(partition);
    disk.inner.crash(Crash::Process);
    disk.gate.close();
    let partition = opened(Arc::new(disk.clone()), config(1), 1);
    partition.lead(&state(6, 0, &[1]), UPTIME).unwrap();
    assert_eq!((partition.log_end_offset(), visible(&partition)), (Offset(1), 0));
    let wake = Wake::new();
    let _watch = partition.watch(&wake);
    disk.gate.until_come(1);
    disk.gate.let_one_go();
    wake.woken().await;
    assert_eq!(visible(&partition), 1);
}

#[tokio::test]
async fn what_was_answered_outlives_a_power_cut() {
    for seed in 0..20 {
        let disk = HeldDisk::new();
        let partition = durable(&disk).await;
        let mut appended = Vec::new();
        for _ in 0..10 {
            appended.push(append(&partition, false).unwrap());
        }
        assert_eq!(partition.until_flushed(&appended[7]).await, Ok(()));
        disk.inner.crash(Crash::Power { seed });
        let partition = opened(Arc::new(disk.clone()), config(1), 1);
        assert!(partition.log_end_offset() >= Offset(9), "seed {seed}: ends at {}", partition.log_end_offset());
    }
}

/// Appends a record that waits for its sync. The next append closes its segment, and is refused by
/// a disk that is full for some operations.
async fn answered_beside_a_refused_roll(operation: Operation, path_contains: &str) {
    let disk = HeldDisk::new();
    let config = LogConfig { segment_bytes: 160, ..config(1) };
    let partition = opened(Arc::new(disk.clone()), config, 1);
    partition.lead(&state(5, 0, &[1]), UPTIME).unwrap();
    let first = append(&partition, false).unwrap();
    assert_eq!(partition.until_flushed(&first).await, Ok(()));
    disk.gate.close();
    let last = append(&partition, false).unwrap();
    disk.gate.until_come(1);
    let error = io::ErrorKind::StorageFull;
    let (after, times, written_bytes) = (0, 1, 0);
    disk.inner.inject(Fault { operation, path_contains: path_contains.to_owned(), after, times, error, written_bytes });
    assert!(matches!(append(&partition, false), Err(AppendError::Storage(_))));
    assert_eq!(disk.inner.refusals(), 1);
    disk.gate.let_one_go();
    assert_eq!((partition.until_committed(&last).await, visible(&partition)), (Ok(()), 2));
}

#[tokio::test]
async fn what_is_flushed_is_answered_though_the_next_append_could_not_begin_a_segment() {
    answered_beside_a_refused_roll(Operation::Open, "00000000000000000002.log").await;
}

#[tokio::test]
async fn what_is_flushed_is_answered_though_the_next_append_began_a_segment_and_was_refused() {
    answered_beside_a_refused_roll(Operation::Write, "00000000000000000002.log").await;
}

#[tokio::test]
async fn no_sync_is_made_on_a_worker_when_segments_are_rolled_and_records_deleted() {
    let disk = HeldDisk::new();
    let config = LogConfig { segment_bytes: 300, ..config(1) };
    let partition = opened(Arc::new(disk.clone()), config, 1);
    partition.lead(&state(5, 0, &[1]), UPTIME).unwrap();
    disk.syncs.lock().clear();
    for number in 0..20 {
        let mut batch = BatchBuilder::new(Offset(0));
        batch.append(NOW, None, Some(b"value"));
        let records = batch.finish().unwrap();
        let appended = if number % 2 == 0 {
            let append =
                AppendRequest { records, all_replicas: false, may_write_internal: false, guard: None, now: NOW };
            partition.append(append).await.unwrap()
        } else {
            let offset = partition.append_state(records, LeaderEpoch(5), StateAppend::default()).await.unwrap();
            AppendInfo { base_offset: offset, last_offset: offset, ..flushed_append() }
        };
        assert_eq!((appended.base_offset, partition.until_flushed(&appended).await), (Offset(number), Ok(())));
    }
    assert!(partition.log().segments().len() > 3);
    partition.on_log(|log| log.delete_records(Offset(12))).unwrap();
    assert!(partition.log().delete_old_segments(NOW).is_ok_and(|expired| expired.segments > 0));
    let worker = thread::current().id();
    // The last sync is the retention's. This test calls retention itself, so the disk records the
    // test's thread.
    let syncs = disk.syncs.lock().clone();
    let (last, others) = syncs.split_last().unwrap();
    assert!(*last == worker && others.len() > 20 && !others.contains(&worker), "{syncs:?}, worker {worker:?}");
}

/// Returns an append that waits for its flush.
fn flushed_append() -> AppendInfo {
    AppendInfo {
        base_offset: Offset(0),
        last_offset: Offset(0),
        epoch: LeaderEpoch(5),
        log_append_time: None,
        record_count: 1,
        size_bytes: 1,
        awaits_flush: true,
    }
}
