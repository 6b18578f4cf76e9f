//! Record batches for the rows, valid and invalid. They are built from the format alone, with a
//! field for each possible fault.

use bytes::Bytes;
use std::io::Write as _;

/// The codecs and their numbers in a batch's attributes.
pub const CODECS: [(i16, &str); 5] = [(0, "uncompressed"), (1, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd")];

/// One record.
#[derive(Clone, Debug)]
pub struct Rec {
    /// Relative to the batch's base offset. `None` means the position of the record.
    pub offset_delta: Option<i64>,
    /// Relative to the batch's base timestamp.
    pub timestamp_delta: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Headers.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

/// A record of a key and a value.
pub fn rec(key: &str, value: &str) -> Rec {
    Rec { key: Some(key.into()), ..keyless(value) }
}

/// A record without a key.
pub fn keyless(value: &str) -> Rec {
    Rec { offset_delta: None, timestamp_delta: 0, key: None, value: Some(value.into()), headers: Vec::new() }
}

/// A batch of format 2, with its possible faults.
#[derive(Clone, Debug)]
pub struct Batch {
    /// Codec, timestamp type, transactional, control, delete horizon.
    pub attributes: i16,
    /// As the producer sends it; the broker assigns its own.
    pub base_offset: i64,
    /// As the producer sends it.
    pub leader_epoch: i32,
    /// The format.
    pub magic: i8,
    /// Milliseconds.
    pub base_timestamp: i64,
    /// Replaces the correct value.
    pub max_timestamp: Option<i64>,
    /// Idempotence.
    pub producer_id: i64,
    /// Idempotence.
    pub producer_epoch: i16,
    /// Idempotence.
    pub base_sequence: i32,
    /// The records.
    pub records: Vec<Rec>,
    /// Replaces the correct count.
    pub count: Option<i32>,
    /// Replaces the correct last offset delta.
    pub last_offset_delta: Option<i32>,
    /// Added to the correct length.
    pub length_off: i32,
    /// Changed bits of the checksum.
    pub crc_off: u32,
    /// Replaces the (compressed) records.
    pub body: Option<Vec<u8>>,
    /// Changes the encoded records before they are compressed.
    pub garble: Option<fn(&mut Vec<u8>)>,
}

impl Batch {
    /// Returns a valid batch.
    pub fn new(timestamp: i64, records: Vec<Rec>) -> Self {
        Self {
            attributes: 0,
            base_offset: 0,
            leader_epoch: -1,
            magic: 2,
            base_timestamp: timestamp,
            max_timestamp: None,
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records,
            count: None,
            last_offset_delta: None,
            length_off: 0,
            crc_off: 0,
            body: None,
            garble: None,
        }
    }

    /// Returns a valid batch of an idempotent producer.
    pub fn idempotent(timestamp: i64, id: i64, epoch: i16, sequence: i32, records: Vec<Rec>) -> Self {
        Self { producer_id: id, producer_epoch: epoch, base_sequence: sequence, ..Self::new(timestamp, records) }
    }

    /// Returns the bytes of the batch.
    pub fn bytes(&self) -> Bytes {
        let mut records = Vec::new();
        for (index, record) in self.records.iter().enumerate() {
            write_record(&mut records, index, record);
        }
        if let Some(garble) = self.garble {
            garble(&mut records);
        }
        let body = self.body.clone().unwrap_or_else(|| compress(self.attributes & 7, &records));
        let longest = self.records.iter().map(|record| record.timestamp_delta).max().unwrap_or(0);
        let count = i32::try_from(self.records.len()).unwrap_or(0);
        let mut summed = Vec::new();
        summed.extend(self.attributes.to_be_bytes());
        summed.extend(self.last_offset_delta.unwrap_or(count - 1).to_be_bytes());
        summed.extend(self.base_timestamp.to_be_bytes());
        summed.extend(self.max_timestamp.unwrap_or(self.base_timestamp + longest).to_be_bytes());
        summed.extend(self.producer_id.to_be_bytes());
        summed.extend(self.producer_epoch.to_be_bytes());
        summed.extend(self.base_sequence.to_be_bytes());
        summed.extend(self.count.unwrap_or(count).to_be_bytes());
        summed.extend(body);
        let mut batch = Vec::new();
        batch.extend(self.base_offset.to_be_bytes());
        batch.extend((i32::try_from(summed.len()).unwrap_or(0) + 9 + self.length_off).to_be_bytes());
        batch.extend(self.leader_epoch.to_be_bytes());
        batch.extend(self.magic.to_be_bytes());
        batch.extend((crc32c::crc32c(&summed) ^ self.crc_off).to_be_bytes());
        batch.extend(summed);
        batch.into()
    }
}

fn write_record(out: &mut Vec<u8>, index: usize, record: &Rec) {
    let mut body = vec![0];
    varint(&mut body, record.timestamp_delta);
    varint(&mut body, record.offset_delta.unwrap_or(index as i64));
    blob(&mut body, record.key.as_deref());
    blob(&mut body, record.value.as_deref());
    varint(&mut body, record.headers.len() as i64);
    for (name, value) in &record.headers {
        blob(&mut body, Some(name.as_bytes()));
        blob(&mut body, value.as_deref());
    }
    varint(out, body.len() as i64);
    out.extend(body);
}

fn blob(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => {
            varint(out, bytes.len() as i64);
            out.extend(bytes);
        }
        None => varint(out, -1),
    }
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// Compresses bytes with one of Kafka's codecs. With an unknown codec, returns them unchanged.
pub fn compress(codec: i16, bytes: &[u8]) -> Vec<u8> {
    let packed: std::io::Result<Vec<u8>> = match codec {
        1 => {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
            gzip.write_all(bytes).and_then(|()| gzip.finish())
        }
        2 => snap::raw::Encoder::new().compress_vec(bytes).map_err(std::io::Error::other).map(|block| {
            let mut framed = vec![0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
            framed.extend(u32::try_from(block.len()).unwrap_or(0).to_be_bytes());
            framed.extend(block);
            framed
        }),
        3 => {
            let frame = lz4_flex::frame::FrameInfo::new().block_mode(lz4_flex::frame::BlockMode::Independent);
            let mut lz4 = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
            lz4.write_all(bytes).and_then(|()| lz4.finish().map_err(std::io::Error::other))
        }
        4 => zstd::encode_all(bytes, 3),
        _ => Ok(bytes.to_vec()),
    };
    packed.unwrap_or_default()
}

/// Returns a message set of format 0 or 1 with one message, as old producers send it.
pub fn old_message(magic: i8, timestamp: i64, key: Option<&[u8]>, value: Option<&[u8]>) -> Bytes {
    let mut summed = vec![magic.cast_unsigned(), 0];
    if magic == 1 {
        summed.extend(timestamp.to_be_bytes());
    }
    for part in [key, value] {
        match part {
            Some(bytes) => {
                summed.extend(i32::try_from(bytes.len()).unwrap_or(0).to_be_bytes());
                summed.extend(bytes);
            }
            None => summed.extend((-1i32).to_be_bytes()),
        }
    }
    let mut crc = flate2::Crc::new();
    crc.update(&summed);
    let mut message = Vec::new();
    message.extend(0i64.to_be_bytes());
    message.extend((i32::try_from(summed.len()).unwrap_or(0) + 4).to_be_bytes());
    message.extend(crc.sum().to_be_bytes());
    message.extend(summed);
    message.into()
}
