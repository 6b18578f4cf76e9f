//! `cargo xtask dist` makes the release: one static binary, and the folders of its image.

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The target of the release. Its C library is glibc, see docs/decisions.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// The largest binary that is released.
const BYTES_MAX: u64 = 20 * 1000 * 1000;
/// The folders of the image, those of `apache/kafka`.
const FOLDERS: [&str; 6] =
    ["tmp", "opt/kafka/config", "etc/kafka/secrets", "mnt/shared/config", "var/lib/kafka/data", "usr/bin"];

/// Builds the static binary and the folders of the image in `target/dist`. Returns the binary's
/// path. Errors: the binary is not static, or is too large.
pub fn run(root: &Path) -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let status = Command::new(env!("CARGO"))
        .args(["build", "--profile", "dist", "--locked", "--package", "gregor", "--target", TARGET])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .current_dir(root)
        .status()?;
    if !status.success() {
        bail!("the build failed: {status}");
    }
    let dist = target.join("dist");
    for folder in FOLDERS {
        fs::create_dir_all(dist.join("root").join(folder))?;
    }
    // The image has one user, with a name for tools that want one.
    fs::write(dist.join("root/etc/passwd"), "appuser:x:1000:1000::/:/usr/bin/gregor\n")?;
    let binary = dist.join("gregor");
    let built = target.join(TARGET).join("dist/gregor");
    fs::copy(&built, &binary).with_context(|| built.display().to_string())?;
    let bytes = fs::read(&binary)?;
    if has_interpreter(&bytes).context("the binary is not an ELF file of 64 bits")? {
        bail!("{}: the binary needs a dynamic loader", binary.display());
    }
    let size = bytes.len() as u64;
    println!("{}: one static file of {:.1} MB", binary.display(), size as f64 / 1e6);
    if size > BYTES_MAX {
        bail!("the binary is larger than {} MB", BYTES_MAX / 1_000_000);
    }
    Ok(binary)
}

/// Whether an ELF file names a dynamic loader. `None` if it is not one of 64 bits, little endian.
fn has_interpreter(elf: &[u8]) -> Option<bool> {
    const INTERPRETER: u32 = 3;
    if elf.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let number = |at: usize, size: usize| {
        let bytes = elf.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0usize, |value, byte| value << 8 | usize::from(*byte)))
    };
    let (table, entry, count) = (number(0x20, 8)?, number(0x36, 2)?, number(0x38, 2)?);
    for index in 0..count {
        if number(table.checked_add(index * entry)?, 4)? == INTERPRETER as usize {
            return Some(true);
        }
    }
    Some(false)
}
