//! Early write-back: the one system call that no safe library has.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

/// Has the system begin to write a range of a file back, and does not wait for it. It may wait for room in the device's queue.
#[cfg(target_os = "linux")]
pub(super) fn begin(file: &File, position: u64, length: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let range = |number: u64| i64::try_from(number).map_err(io::Error::other);
    let (position, length) = (range(position)?, range(length)?);
    // SAFETY: it takes numbers alone and touches no memory of this process; the descriptor is open for as long as `file` is borrowed.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), position, length, libc::SYNC_FILE_RANGE_WRITE) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            // A file system that cannot do it writes back in its own time.
            error if error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(libc::ESPIPE) => Ok(()),
            error => Err(error),
        },
    }
}

/// Elsewhere the system writes back in its own time.
#[cfg(not(target_os = "linux"))]
pub(super) fn begin(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}
