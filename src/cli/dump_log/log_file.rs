//! A `.log` or `.checkpoint` file as a sequence of batches, read through a sliding window.

use anyhow::{Context as _, bail};
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// Bytes of one read. A larger batch is read at once.
const WINDOW_BYTES: usize = 1 << 20;
/// Bytes up to and including the magic: the part of a batch that is read first.
const PREFIX_BYTES: u64 = 17;
/// The size of the offset field and the size field.
const LOG_OVERHEAD: u64 = 12;
/// The smallest size that a message of any format has.
const SIZE_MIN: i32 = 14;

/// A log file that is being read.
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    length: u64,
    window: Vec<u8>,
    window_at: u64,
}

/// The first fields of every batch, the same in every format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) position: u64,
    /// The first offset in format v2; the last offset in older formats.
    pub(super) offset: i64,
    /// The size of the whole batch.
    pub(super) size_bytes: u64,
    pub(super) magic: i8,
}

impl LogFile {
    /// Opens a log, which may be damaged. Errors: it is missing, or larger than a segment can be.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
        let length = file.metadata()?.len();
        if length > i32::MAX as u64 {
            bail!(
                "The size of segment {} ({length}) is larger than the maximum allowed segment size of {}",
                path.display(),
                i32::MAX
            );
        }
        Ok(Self { path: path.to_path_buf(), file, length, window: Vec::new(), window_at: 0 })
    }

    /// Returns the end of a slice of `size` bytes that starts at `position`. Errors: the slice
    /// begins outside the file.
    pub(super) fn slice_end(&self, position: i32, size: i32) -> anyhow::Result<u64> {
        let path = self.path.display();
        let Ok(start) = u64::try_from(position) else { bail!("Invalid position: {position} in read from {path}") };
        if start > self.length {
            bail!("Slice from position {position} exceeds end position of {path} with {} bytes", self.length);
        }
        let Ok(size) = u64::try_from(size) else { bail!("Invalid size: {size} in read from {path}") };
        Ok(self.length.min(start + size))
    }

    /// Returns the batch at a position, which must end at or before `end`; `None` if no whole batch
    /// is left. Errors: an invalid size.
    pub(super) fn prefix(&mut self, position: u64, end: u64) -> anyhow::Result<Option<Prefix>> {
        if position + PREFIX_BYTES > end {
            return Ok(None);
        }
        let bytes = self.bytes(position, PREFIX_BYTES)?;
        let offset = i64::from_be_bytes(std::array::from_fn(|index| bytes[index]));
        let size = i32::from_be_bytes(std::array::from_fn(|index| bytes[8 + index]));
        let magic = bytes[16].cast_signed();
        if size < SIZE_MIN {
            bail!(
                "Found record size {size} smaller than minimum record overhead ({SIZE_MIN}) in file {}.",
                self.path.display()
            );
        }
        let size_bytes = LOG_OVERHEAD + u64::from(size.cast_unsigned());
        Ok((position + size_bytes <= end).then_some(Prefix { position, offset, size_bytes, magic }))
    }

    /// Returns `count` bytes at a position. Errors: the file ends before that.
    pub(super) fn bytes(&mut self, position: u64, count: u64) -> anyhow::Result<&[u8]> {
        if position + count > self.length {
            bail!("Failed to load record batch at position {position} from {}: it ends before", self.path.display());
        }
        let count = usize::try_from(count)?;
        if position < self.window_at || position + count as u64 > self.window_at + self.window.len() as u64 {
            let wanted = count.max(WINDOW_BYTES.min(usize::try_from(self.length - position)?));
            // The window shrinks again after a large batch.
            if self.window.capacity() > 2 * WINDOW_BYTES.max(wanted) {
                self.window = Vec::new();
            }
            self.window.resize(wanted, 0);
            self.file
                .read_exact_at(&mut self.window, position)
                .with_context(|| format!("{} cannot be read", self.path.display()))?;
            self.window_at = position;
        }
        let start = usize::try_from(position - self.window_at)?;
        Ok(&self.window[start..start + count])
    }
}
