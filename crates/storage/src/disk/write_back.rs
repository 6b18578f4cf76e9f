//! Early write-back, with a system call that no safe library offers.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;

/// Asks the system to begin writing back a range of a file, without waiting for the end. It may
/// wait for space in the device's queue.
#[cfg(target_os = "linux")]
pub(super) fn begin(file: &File, position: u64, length: u64) -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let range = |number: u64| i64::try_from(number).map_err(io::Error::other);
    let (position, length) = (range(position)?, range(length)?);
    // SAFETY: the call takes only numbers and touches no memory of this process. The descriptor is
    // open while `file` is borrowed.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), position, length, libc::SYNC_FILE_RANGE_WRITE) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            // A file system without this call writes back at a time of its choice.
            error if error.kind() == io::ErrorKind::Unsupported || error.raw_os_error() == Some(libc::ESPIPE) => Ok(()),
            error => Err(error),
        },
    }
}

/// Other systems write back at a time of their choice.
#[cfg(not(target_os = "linux"))]
pub(super) fn begin(_: &File, _: u64, _: u64) -> io::Result<()> {
    Ok(())
}
