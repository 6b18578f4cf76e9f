//! Writing a body with each codec, in the framing that Kafka's clients read.
//!
//! Snappy: xerial's header, then blocks of up to 32 KB, each with its compressed length before it. LZ4: frames with independent blocks of 64 KB
//! and without checksums of their contents, the only kind that Kafka's own reader takes. Gzip and Zstandard: one member, one frame.

use crate::{Codec, Compression};
use std::io::{self, Write};

/// What opens a body in xerial's framing: magic, version 1, compatible from version 1.
pub(crate) const XERIAL_HEADER: [u8; 16] = *b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01";
const XERIAL_BLOCK_BYTES: usize = 32 * 1024;

/// Zstandard's default level as in `compression.zstd.level`.
const ZSTD_LEVEL: i32 = 3;

/// Appends `records`, compressed, to `out`.
pub(crate) fn compress(with: Compression, records: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    match with.codec {
        Codec::None => out.extend_from_slice(records),
        Codec::Gzip => gzip(with.level, records, out)?,
        Codec::Snappy => snappy(records, out)?,
        Codec::Lz4 => lz4(records, out)?,
        Codec::Zstd => {
            let mut encoder = zstd::stream::write::Encoder::new(out, with.level.unwrap_or(ZSTD_LEVEL))?;
            encoder.write_all(records)?;
            encoder.finish()?;
        }
    }
    Ok(())
}

fn gzip(level: Option<i32>, records: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    let level = level.and_then(|level| u32::try_from(level).ok()).filter(|level| *level <= 9);
    let level = level.map_or(flate2::Compression::default(), flate2::Compression::new);
    let mut encoder = flate2::write::GzEncoder::new(out, level);
    encoder.write_all(records)?;
    encoder.finish()?;
    Ok(())
}

fn snappy(records: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    out.extend_from_slice(&XERIAL_HEADER);
    let mut encoder = snap::raw::Encoder::new();
    let mut block = vec![0; snap::raw::max_compress_len(XERIAL_BLOCK_BYTES.min(records.len()))];
    for chunk in records.chunks(XERIAL_BLOCK_BYTES) {
        let length = encoder.compress(chunk, &mut block)?;
        out.extend_from_slice(&(length as u32).to_be_bytes());
        out.extend_from_slice(&block[..length]);
    }
    Ok(())
}

fn lz4(records: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameEncoder, FrameInfo};
    let frame = FrameInfo::new().block_size(BlockSize::Max64KB).block_mode(BlockMode::Independent);
    let mut encoder = FrameEncoder::with_frame_info(frame, out);
    encoder.write_all(records)?;
    encoder.finish()?;
    Ok(())
}
