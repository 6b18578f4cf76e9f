//! Files that Apache Kafka 4.3.1 wrote (testdata/README.md says how): the store does not change
//! them, writes the same ones, and rebuilds them.

use super::*;
use crate::disk::{OpenMode, read_all};
use crate::frames::Frame;
use std::collections::BTreeMap;
use std::io::IoSlice;

const PARTITIONS: [(&str, u32, u32); 2] = [("plain.topic_x-y-0", 30_000, 1000), ("txn-0", 20_000, 4096)];

type Files = BTreeMap<String, Vec<u8>>;

fn golden(partition: &str) -> Files {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kafka-4.3.1").join(partition);
    let disk = crate::disk::RealDisk;
    let names = disk.list(&folder).unwrap().into_iter().map(|entry| entry.name);
    names.map(|name| (name.clone(), read_all(&disk, &folder.join(name)).unwrap())).collect()
}

fn put(files: &Files) -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/logs/t-0")).unwrap();
    for (name, bytes) in files {
        let file = disk.open(&Path::new("/logs/t-0").join(name), OpenMode::Create).unwrap();
        file.write_at(0, &[IoSlice::new(bytes)]).unwrap();
    }
    disk
}

fn files(disk: &SimDisk) -> Files {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    disk.files().iter().map(|path| (name(path), read_all(disk, path).unwrap())).collect()
}

fn assert_same(ours: &Files, kafkas: &Files) {
    assert_eq!(ours.keys().collect::<Vec<_>>(), kafkas.keys().collect::<Vec<_>>());
    for (name, bytes) in kafkas {
        assert_eq!(&ours[name], bytes, "{name}");
    }
}

fn config_of(segment_bytes: u32, index_interval_bytes: u32) -> LogConfig {
    LogConfig { segment_bytes, index_interval_bytes, ..LogConfig::default() }
}

fn end_of(files: &Files) -> i64 {
    let snapshots = files.keys().filter_map(|name| name.strip_suffix(".snapshot"));
    snapshots.map(|offset| offset.parse().unwrap()).max().unwrap()
}

#[test]
fn kafkas_logs_are_read_and_left_as_they_are() {
    for (partition, segment_bytes, interval) in PARTITIONS {
        let kafkas = golden(partition);
        let disk = put(&kafkas);
        let config = config_of(segment_bytes, interval);
        let (log, recovery) = open(&disk, config.clone(), true, 0).unwrap();
        let end = end_of(&kafkas);
        assert_eq!((log.log_end_offset(), recovery), (Offset(end), Recovery::default()));
        log.set_high_watermark(Offset(end));
        let bench = Bench { disk: disk.clone(), log, config };
        let mut next = 0;
        while next < end {
            next = bench.read(next, u32::MAX).last().unwrap().1 + 1;
        }
        bench.log.close(Timestamp(0)).unwrap();
        assert_same(&files(&disk), &kafkas);
    }
}

#[test]
fn the_same_batches_make_the_same_files() {
    for (partition, segment_bytes, interval) in PARTITIONS {
        let kafkas = golden(partition);
        let bench = Bench::new(config_of(segment_bytes, interval));
        for bytes in
            kafkas.iter().filter(|(name, _)| name.ends_with(".log")).map(|(_, bytes)| Bytes::from(bytes.clone()))
        {
            let mut position = 0;
            while position < bytes.len() {
                let size = Frame::parse(&bytes[position..], 0).unwrap().size as usize;
                let one = bytes.slice(position..position + size);
                bench.log.append_as_follower(&one, FollowerAppend { now: Timestamp(0) }).unwrap();
                bench.log.advance_high_watermark(bench.log.log_end_offset());
                position += size;
            }
        }
        bench.log.close(Timestamp(0)).unwrap();
        let mut ours = files(&bench.disk);
        ours.insert(names::PARTITION_METADATA.into(), kafkas[names::PARTITION_METADATA].clone());
        assert_same(&ours, &kafkas);
    }
}

#[test]
fn what_a_killed_kafka_leaves_is_rebuilt() {
    for (partition, segment_bytes, interval) in PARTITIONS {
        let kafkas = golden(partition);
        let mut killed = kafkas.clone();
        let end = end_of(&kafkas);
        killed.remove(&names::segment_file(Offset(end), names::SNAPSHOT));
        // The active segment's indexes are preallocated, and lack the entry that only a close adds.
        let active = killed.keys().rfind(|name| name.ends_with(".log")).unwrap().replace(".log", "");
        killed.get_mut(&format!("{active}.index")).unwrap().resize(10 << 20, 0);
        killed.get_mut(&format!("{active}.timeindex")).unwrap().resize((10 << 20) - 4, 0);
        for keeps_indexes in [true, false] {
            if !keeps_indexes {
                killed.retain(|name, _| !name.ends_with("index") && !name.ends_with(".snapshot"));
            }
            let disk = put(&killed);
            let (log, _) = open(&disk, config_of(segment_bytes, interval), false, 0).unwrap();
            assert_eq!(log.log_end_offset(), Offset(end));
            log.close(Timestamp(0)).unwrap();
            let mut ours = files(&disk);
            // Recovery writes a snapshot at the first segment too.
            ours.remove(&names::segment_file(Offset(0), names::SNAPSHOT));
            assert_same(&ours, &kafkas);
        }
    }
}

#[test]
fn kafkas_transactions_are_known() {
    let kafkas = golden("txn-0");
    let (log, _) = open(&put(&kafkas), config_of(20_000, 4096), true, 0).unwrap();
    log.set_high_watermark(log.log_end_offset());
    let bench = Bench { disk: SimDisk::new(), log, config: config() };
    let opened = bench.log.producers().into_iter().find_map(|(_, entry)| entry.txn_first_offset).unwrap();
    assert_eq!(bench.log.last_stable_offset(), opened);
    let plan = bench.plan(0, u32::MAX, true, Isolation::Committed).unwrap();
    assert_eq!(plan.aborted, Some(Vec::new()), "the first segment's transactions were committed");
    let plan = bench.plan(40, u32::MAX, true, Isolation::Committed).unwrap();
    let first: Vec<i64> = plan.aborted.unwrap().iter().map(|txn| txn.first_offset.0).collect();
    // The third begins after the last stable offset. As in Kafka, the index is searched up to what
    // the region's bytes may reach.
    assert_eq!(first, [41, 164, 288]);
}

#[test]
fn kafkas_timestamps_are_found() {
    let kafkas = golden("plain.topic_x-y-0");
    let (log, _) = open(&put(&kafkas), config_of(30_000, 1000), true, 0).unwrap();
    let timestamp = |number: i64| 1_700_000_000_000 + number * 7919 % 100_000;
    for target in [0, 7919, 50_000, 99_000, 99_999, 100_001] {
        let target = 1_700_000_000_000 + target;
        let expected = (0..1500).find(|number| timestamp(*number) >= target);
        let found = log.offset_for_timestamp(Timestamp(target)).unwrap();
        assert_eq!(found.map(|found| found.offset.0), expected);
    }
    let newest = (0..1500).map(timestamp).max().unwrap();
    let max = log.offset_of_max_timestamp().unwrap().unwrap();
    assert_eq!((max.timestamp.0, timestamp(max.offset.0)), (newest, newest));
}
