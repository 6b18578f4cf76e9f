//! Segments of formats v0 and v1 (testdata/README.md says how they were made) are opened,
//! recovered, read from every offset, and appended to.

use super::*;
use crate::disk::{OpenMode, read_all};
use records::{BATCH_OVERHEAD, LegacyMessage};
use std::collections::BTreeMap;
use std::io::IoSlice;

/// The offset after the last record.
const END: i64 = 128;
/// The time of the record at offset 0. Each later record is a millisecond newer.
const TIME: i64 = 1_400_000_000_000;

fn segments() -> BTreeMap<String, Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/before-0.11");
    let disk = crate::disk::RealDisk;
    let names = disk.list(&folder).unwrap().into_iter().map(|entry| entry.name);
    names.map(|name| (name.clone(), read_all(&disk, &folder.join(name)).unwrap())).collect()
}

fn put(files: &BTreeMap<String, Vec<u8>>) -> SimDisk {
    let disk = SimDisk::new();
    disk.create_dir(Path::new("/logs/t-0")).unwrap();
    for (name, bytes) in files {
        let file = disk.open(&Path::new("/logs/t-0").join(name), OpenMode::Create).unwrap();
        file.write_at(0, &[IoSlice::new(bytes)]).unwrap();
    }
    disk
}

/// Returns the offsets of the records in the first message that a read from an offset returns.
fn first_message(log: &Log, from: i64) -> Vec<i64> {
    let read = LogRead {
        offset: Offset(from),
        max_bytes: 1,
        at_least_one_batch: true,
        isolation: Isolation::LogEnd,
        wait: Wait::Block,
    };
    let bytes = log.read(read).unwrap().region.unwrap().read().unwrap();
    let message = LegacyMessage::parse(&bytes).unwrap();
    let mut offsets = Vec::new();
    message.records(|record| offsets.push(record.offset.0)).unwrap();
    offsets
}

#[test]
fn messages_from_before_0_11_are_recovered_and_read() {
    let files = segments();
    for (is_clean, recovery_point) in [(true, END), (false, END), (false, 0)] {
        let disk = put(&files);
        let (log, recovery) = open(&disk, LogConfig::default(), is_clean, recovery_point).unwrap();
        assert_eq!((log.log_start_offset(), log.log_end_offset()), (Offset(0), Offset(END)));
        assert_eq!((recovery.bytes_cut, recovery.segments_dropped), (0, 0));
        for offset in 0..END {
            let found = first_message(&log, offset);
            assert!(found.contains(&offset), "offset {offset}: {found:?}");
        }
        log.close(Timestamp(0)).unwrap();
        for (name, bytes) in &files {
            assert_eq!(&read_all(&disk, &Path::new("/logs/t-0").join(name)).unwrap(), bytes, "{name}");
        }
    }
}

#[test]
fn a_torn_message_from_before_0_11_is_cut() {
    let mut files = segments();
    let last = files.values_mut().last().unwrap();
    let whole = last.len();
    last.truncate(whole - 1);
    let (log, recovery) = open(&put(&files), LogConfig::default(), false, 0).unwrap();
    assert_eq!(log.log_end_offset(), Offset(END - 20));
    assert!(recovery.bytes_cut > 0);
    let newest = files.values_mut().last().unwrap();
    newest.extend([0xff; BATCH_OVERHEAD]);
    let (log, _) = open(&put(&files), LogConfig::default(), false, 0).unwrap();
    assert_eq!(log.log_end_offset(), Offset(END - 20));
}

#[test]
fn records_from_before_0_11_are_found_by_their_time() {
    let (log, _) = open(&put(&segments()), LogConfig::default(), false, 0).unwrap();
    // Every second group of five has no time; of the others, those from 17 on are compressed.
    for offset in (5..12).chain(17..24).chain(29..36).chain(41..48) {
        let found = log.offset_for_timestamp(Timestamp(TIME + offset)).unwrap().unwrap();
        assert_eq!((found.offset, found.timestamp), (Offset(offset), Timestamp(TIME + offset)));
    }
    assert_eq!(log.offset_for_timestamp(Timestamp(TIME + 10_000)).unwrap(), None);
}
