//! Reads configuration files. No other module of this layer reads files.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The maximum size of a file, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > FILE_BYTES_MAX) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// Reads a file in ISO-8859-1, the encoding of Java's property files.
pub(super) fn latin1(path: &Path) -> io::Result<String> {
    Ok(bytes(path)?.into_iter().map(char::from).collect())
}

/// Reads a file in UTF-8. Invalid bytes become the replacement character.
pub(super) fn utf8(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&bytes(path)?).into_owned())
}

/// Whether the path is a file, and not a folder.
pub(super) fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Whether the path exists.
pub(super) fn exists(path: &Path) -> bool {
    path.exists()
}
