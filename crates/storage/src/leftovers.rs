//! Cleans up what an interrupted broker left in a partition's folder beside its segments.
//!
//! `.deleted` and `.cleaned` files and partial checkpoints (`.tmp`) are removed. A `.swap` file is
//! a segment that the cleaner finished: it replaces the segments whose offsets it covers. One that
//! may belong to a set whose other files are still `.cleaned` is removed too (KAFKA-6264).

use crate::disk::OpenMode;
use crate::error::{Error, Result};
use crate::files::Folder;
use crate::frames::Scan;
use crate::index::Wait;
use crate::names::{self, parse_segment_file};
use model::Offset;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Cleans up a folder and returns the names of the files that remain.
pub(crate) fn settle(folder: &Arc<Folder>) -> Result<BTreeSet<String>> {
    let path = folder.path();
    let mut is_changed = false;
    let entries = folder.disk.list(&path).map_err(Error::io("list", &path))?;
    let mut files: BTreeSet<String> =
        entries.into_iter().filter(|entry| !entry.is_dir).map(|entry| entry.name).collect();
    let cleaned_from = files.iter().filter(|name| name.ends_with(names::CLEANED)).filter_map(|name| offset(name)).min();
    let is_void = |name: &String| {
        let is_swap_of_cleaned =
            name.ends_with(names::SWAP) && cleaned_from.is_some_and(|from| offset(name) >= Some(from));
        let is_small = name.starts_with("leader-epoch") || name.starts_with("partition.m");
        let is_half = name.ends_with(".timeindex.tmp") || (name.ends_with(".tmp") && is_small);
        name.ends_with(names::DELETED) || name.ends_with(names::CLEANED) || is_swap_of_cleaned || is_half
    };
    for name in files.iter().filter(|name| is_void(name)) {
        folder.remove_file(name)?;
        is_changed = true;
    }
    files.retain(|name| !is_void(name));
    let swaps: Vec<String> = files.iter().filter(|name| name.ends_with(names::SWAP)).cloned().collect();
    for name in swaps.iter().filter(|name| name.ends_with(".log.swap")) {
        if let Some((base, end)) = covered(folder, name)? {
            let is_replaced = |file: &String| {
                !file.ends_with(names::SWAP) && segment_offset(file).is_some_and(|at| base <= at && at < end)
            };
            for file in files.iter().filter(|file| is_replaced(file)) {
                folder.remove_file(file)?;
            }
            files.retain(|file| !is_replaced(file));
        }
    }
    for name in swaps {
        let plain = name.trim_end_matches(names::SWAP).to_owned();
        folder.rename_file(&name, &plain)?;
        files.remove(&name);
        files.insert(plain);
        is_changed = true;
    }
    if is_changed {
        folder.sync()?;
    }
    Ok(files)
}

fn offset(name: &str) -> Option<Offset> {
    parse_segment_file(name).map(|(offset, _)| offset)
}

/// Returns the offset of a file that is removed with its segment. Snapshots stay, since they are
/// still correct.
fn segment_offset(name: &str) -> Option<Offset> {
    parse_segment_file(name).filter(|(_, suffix)| *suffix != names::SNAPSHOT).map(|(offset, _)| offset)
}

/// Returns the offsets that a `.swap` segment covers.
fn covered(folder: &Arc<Folder>, name: &str) -> Result<Option<(Offset, Offset)>> {
    let Some(base) = offset(name) else { return Ok(None) };
    let file = folder.open(name, OpenMode::Read)?;
    let length = file.length().map_err(Error::io("measure", folder.file(name)))?;
    let mut end = base.plus(1);
    let mut scan = Scan::new(&*file, 0, length.min(u64::from(u32::MAX)) as u32, Wait::Block);
    while let Ok(Some(frame)) = scan.next() {
        end = end.max(frame.last_offset.plus(1));
    }
    Ok(Some((base, end)))
}
