//! Each codec reads what it writes, and what other writers wrote.

use super::*;
use std::io::{Read, Write};

fn compress(codec: Codec, content: &[u8]) -> Vec<u8> {
    let mut writer = Compressor::new(codec.into(), Vec::new()).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

fn decompress(codec: Codec, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut content = Vec::new();
    Decompressor::new(codec, bytes, false)?.read_to_end(&mut content)?;
    Ok(content)
}

#[test]
fn every_codec_reads_what_it_writes() {
    let long: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 7).to_be_bytes()).collect();
    for codec in Codec::ALL {
        for content in [&b""[..], b"a", &long] {
            assert_eq!(decompress(codec, &compress(codec, content)).unwrap(), content, "{codec:?} {}", content.len());
        }
    }
}

#[test]
fn codec_ids_are_kafkas() {
    for (number, codec) in Codec::ALL.into_iter().enumerate() {
        assert_eq!(usize::from(codec.id()), number);
        assert_eq!(Codec::from_id(codec.id()), Ok(codec));
        assert_eq!(codec.name().parse(), Ok(codec));
    }
    assert_eq!(Codec::from_id(5), Err(UnknownCodec::Id(5)));
    assert_eq!(Codec::from_id(7), Err(UnknownCodec::Id(7)));
}

#[test]
fn a_raw_snappy_block_is_read_without_a_frame() {
    let content = b"some content that repeats, repeats, repeats".repeat(20);
    let raw = snap::raw::Encoder::new().compress_vec(&content).unwrap();
    assert_eq!(decompress(Codec::Snappy, &raw).unwrap(), content);
}

#[test]
fn snappy_streams_may_be_concatenated() {
    let mut bytes = compress(Codec::Snappy, b"one,");
    bytes.extend(compress(Codec::Snappy, b"two"));
    assert_eq!(decompress(Codec::Snappy, &bytes).unwrap(), b"one,two");
}

#[test]
fn a_snappy_block_cannot_claim_gigabytes() {
    // A varint of 0xffff_ffff as the content's length, and no content.
    assert!(decompress(Codec::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f]).is_err());
}

#[test]
fn lz4_head_of_message_format_0_may_have_a_wrong_checksum() {
    let mut bytes = compress(Codec::Lz4, b"content");
    bytes[6] ^= 0xff;
    assert!(decompress(Codec::Lz4, &bytes).is_err());
    let mut content = Vec::new();
    Decompressor::new(Codec::Lz4, &bytes, true).unwrap().read_to_end(&mut content).unwrap();
    assert_eq!(content, b"content");
}

#[test]
fn lz4_blocks_that_depend_on_each_other_are_refused_as_in_kafka() {
    use lz4_flex::frame::{BlockMode, FrameEncoder, FrameInfo};
    let mut writer = FrameEncoder::with_frame_info(FrameInfo::new().block_mode(BlockMode::Linked), Vec::new());
    writer.write_all(b"content").unwrap();
    assert!(decompress(Codec::Lz4, &writer.finish().unwrap()).is_err());
}

#[test]
fn lz4_frames_need_their_end_and_no_frame_after_it() {
    let bytes = compress(Codec::Lz4, b"content");
    assert!(decompress(Codec::Lz4, &bytes[..bytes.len() - 1]).is_err());
    assert_eq!(decompress(Codec::Lz4, &[&bytes[..], b"more"].concat()).unwrap(), b"content");
}

#[test]
fn gzip_members_follow_one_another_and_garbage_after_them_is_ignored() {
    let bytes = [compress(Codec::Gzip, b"one,"), compress(Codec::Gzip, b"two"), vec![0; 30]].concat();
    assert_eq!(decompress(Codec::Gzip, &bytes).unwrap(), b"one,two");
}
