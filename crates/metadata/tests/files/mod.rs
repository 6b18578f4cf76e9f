//! Reads the records of a log or a snapshot.

#![allow(dead_code, reason = "each test uses what it needs")]

use bytes::Bytes;
use metadata::VersionedRecord;
use protocol::{MetadataRecord, Reader};

/// The records of a file of uncompressed batches, control batches left out.
pub fn records(file: &[u8]) -> Vec<VersionedRecord> {
    records_at(file).into_iter().map(|(_, record)| record).collect()
}

/// The same with the offset of each record.
pub fn records_at(file: &[u8]) -> Vec<(i64, VersionedRecord)> {
    let mut found = Vec::new();
    let mut file = Reader::new(Bytes::copy_from_slice(file));
    while file.remaining() > 0 {
        let base_offset = file.i64().unwrap();
        let len = file.i32().unwrap();
        let mut batch = Reader::new(file.raw(len as usize).unwrap());
        batch.raw(9).unwrap();
        let is_control = batch.i16().unwrap() & 0x20 != 0;
        batch.raw(34).unwrap();
        for offset in (base_offset..).take(batch.i32().unwrap() as usize) {
            let len = zigzag(&mut batch);
            let mut record = Reader::new(batch.raw(len as usize).unwrap());
            record.raw(1).unwrap();
            for _ in 0..2 {
                zigzag(&mut record);
            }
            let key = zigzag(&mut record);
            record.raw(key.max(0) as usize).unwrap();
            let value = zigzag(&mut record);
            let value = record.raw(value as usize).unwrap();
            if !is_control {
                let (record, version) = MetadataRecord::decode(value).unwrap();
                found.push((offset, VersionedRecord { record, version }));
            }
        }
    }
    found
}

fn zigzag(r: &mut Reader) -> i64 {
    let (mut bits, mut shift) = (0u64, 0);
    loop {
        let byte = r.raw(1).unwrap()[0];
        bits |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            return (bits >> 1) as i64 ^ -((bits & 1) as i64);
        }
    }
}
