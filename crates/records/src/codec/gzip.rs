//! Gzip as Java reads it: members may follow one another, and bytes after the last member are
//! ignored.

use flate2::bufread::GzDecoder;
use std::io::{self, Read};

/// Fewer bytes than this after a member are not another member.
const MEMBER_BYTES_MIN: usize = 19;
/// The magic and the only compression method.
const MEMBER_START: [u8; 3] = [0x1f, 0x8b, 8];

/// Reads the content of a gzip body.
pub(crate) struct GzipReader<'a> {
    member: GzDecoder<&'a [u8]>,
    first: bool,
}

impl<'a> GzipReader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { member: GzDecoder::new(body), first: true }
    }
}

impl Read for GzipReader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.member.read(out) {
                Ok(0) if !out.is_empty() => {
                    let rest = *self.member.get_ref();
                    if rest.len() < MEMBER_BYTES_MIN || !rest.starts_with(&MEMBER_START) {
                        return Ok(0);
                    }
                    *self = Self { member: GzDecoder::new(rest), first: false };
                }
                Ok(read) => return Ok(read),
                Err(_) if self.member.header().is_none() && !self.first => return Ok(0),
                Err(error) => return Err(error),
            }
        }
    }
}
