//! Files of the configuration: the one place of this layer that reads them.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The largest file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 16 << 20;

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).is_ok_and(|len| len > FILE_BYTES_MAX) {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

/// A file in ISO-8859-1, the encoding of Java's property files.
pub(super) fn latin1(path: &Path) -> io::Result<String> {
    Ok(bytes(path)?.into_iter().map(char::from).collect())
}

/// A file in UTF-8; what is not, becomes the replacement character.
pub(super) fn utf8(path: &Path) -> io::Result<String> {
    Ok(String::from_utf8_lossy(&bytes(path)?).into_owned())
}

/// Whether it is a file, and not a folder.
pub(super) fn is_file(path: &Path) -> bool {
    path.is_file()
}

/// Whether there is something at the path.
pub(super) fn exists(path: &Path) -> bool {
    path.exists()
}
