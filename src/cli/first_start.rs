//! The first start without a configuration: creates the folder of a new node.
//!
//! Invariant: a kill or a power cut after any write leaves a folder that the next start completes.
//! The writes, in their order:
//!
//! 1. The folder, and in it the marker `.gregor-first-start`. The process holds a lock on it.
//! 2. The log dir, formatted. `meta.properties` is its last file.
//! 3. `server.properties`, renamed into place. From here on the folder is complete.
//! 4. The marker is removed.
//!
//! If the next start finds the marker and no `server.properties`, it removes the files of step 2
//! and begins again. A folder with any other file, or with files and no marker, is not Gregor's to
//! change: it is refused.

use crate::env::Env;
use crate::runtime::format::{BOOTSTRAP, Format};
use crate::runtime::metadata_log::METADATA_TOPIC;
use anyhow::{Context as _, bail};
use model::TopicPartition;
use raft::SnapshotId;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::META_PROPERTIES;
use storage::disk::{Disk, DiskLock, write_atomically};

/// The name of the configuration file in a new node's folder.
pub(super) const PROPERTIES: &str = "server.properties";
/// The file that says that a first start is making the folder.
const MARKER: &str = ".gregor-first-start";
/// The name of the log dir in a new node's folder.
const LOGS: &str = "logs";

/// The folder of a new node. It is empty, does not exist yet, or was left by a first start that did
/// not end.
pub(super) struct NewFolder {
    /// The path without symbolic links.
    path: PathBuf,
    /// The folder and its parents that do not exist, the outermost first.
    missing: Vec<PathBuf>,
    disk: Arc<dyn Disk>,
    /// The lock on the marker of a first start that did not end.
    lock: Option<Box<dyn DiskLock>>,
}

/// The files and folders that a first start leaves if it is killed.
struct Leftovers {
    files: Vec<PathBuf>,
    /// The innermost first.
    folders: Vec<PathBuf>,
}

impl NewFolder {
    /// Resolves the path. Returns `None` if the folder is complete. Changes nothing but a marker
    /// that a complete folder does not need. Errors: the folder has other files, another process is
    /// making it, or the path is not a folder.
    pub(super) fn find(data_dir: &Path, disk: &Arc<dyn Disk>) -> anyhow::Result<Option<Self>> {
        let marker = data_dir.join(MARKER);
        if !marker.exists() {
            return match data_dir.join(PROPERTIES).exists() {
                true => Ok(None),
                false => Self::new(data_dir, disk).map(Some),
            };
        }
        let lock = lock(&**disk, data_dir)?;
        if data_dir.join(PROPERTIES).exists() {
            // If it cannot be removed, the next start tries again.
            let _ = disk.remove_file(&marker);
            return Ok(None);
        }
        let path = std::fs::canonicalize(data_dir).with_context(|| format!("--data-dir {}", data_dir.display()))?;
        leftovers(&**disk, &path)?;
        Ok(Some(Self { path, missing: Vec::new(), disk: disk.clone(), lock: Some(lock) }))
    }

    fn new(data_dir: &Path, disk: &Arc<dyn Disk>) -> anyhow::Result<Self> {
        let shown = data_dir.display();
        let wanted = std::path::absolute(data_dir).with_context(|| format!("--data-dir {shown}"))?;
        let there = wanted.ancestors().find(|it| it.symlink_metadata().is_ok()).unwrap_or(Path::new("/"));
        let known = std::fs::canonicalize(there).with_context(|| format!("{} cannot be used", there.display()))?;
        let rest = wanted.strip_prefix(there).unwrap_or(Path::new(""));
        if rest.components().any(|it| it == std::path::Component::ParentDir) {
            bail!("--data-dir {shown}: {} has a `..` after a folder that does not exist", there.join(rest).display());
        }
        if rest.as_os_str().is_empty()
            && std::fs::read_dir(&known).with_context(|| format!("{shown} cannot be read"))?.next().is_some()
        {
            return Err(not_empty(data_dir));
        }
        let path = known.join(rest);
        let mut missing: Vec<PathBuf> =
            path.ancestors().take(rest.components().count()).map(Path::to_path_buf).collect();
        missing.reverse();
        Ok(Self { path, missing, disk: disk.clone(), lock: None })
    }

    /// Returns the log dir in the folder.
    pub(super) fn log_dir(&self) -> PathBuf {
        self.path.join(LOGS)
    }

    /// Creates everything in the folder. If that fails, nothing is left.
    pub(super) fn create(mut self, format: &Format, properties: &str) -> anyhow::Result<()> {
        let made = self.make(format, properties);
        made.inspect_err(|_| self.remove())
    }

    fn make(&mut self, format: &Format, properties: &str) -> anyhow::Result<()> {
        let disk = &self.disk;
        let shown = self.path.display();
        disk.create_dir(&self.path).with_context(|| format!("{shown} cannot be created"))?;
        if self.lock.is_none() {
            self.lock = Some(lock(&**disk, &self.path)?);
            let entries = disk.list(&self.path).with_context(|| format!("{shown} cannot be read"))?;
            if entries.iter().any(|entry| entry.name != MARKER) {
                // Another process was faster.
                return Err(not_empty(&self.path));
            }
        }
        disk.sync_dir(&self.path).with_context(|| format!("{shown} cannot be written"))?;
        leftovers(&**disk, &self.path)?.remove(&**disk)?;
        format.run(disk, Env::default())?;
        let file = self.path.join(PROPERTIES);
        write_atomically(&**disk, &file, properties.as_bytes())
            .with_context(|| format!("{} cannot be written", file.display()))?;
        // The folder is complete, so this may fail.
        let _ = disk.remove_file(&self.path.join(MARKER));
        Ok(())
    }

    /// Removes what was created. Errors are ignored, because the first error is the one that is
    /// reported.
    fn remove(&self) {
        if self.lock.is_none() {
            // Nothing in the folder is this process's.
        } else if let Ok(leftovers) = leftovers(&*self.disk, &self.path) {
            let _ = leftovers.remove(&*self.disk);
            let _ = self.disk.remove_file(&self.path.join(MARKER));
        }
        for folder in self.missing.iter().rev() {
            let _ = self.disk.remove_dir(folder);
        }
    }
}

/// Locks the marker of a first start, and creates it if it is missing.
fn lock(disk: &dyn Disk, folder: &Path) -> anyhow::Result<Box<dyn DiskLock>> {
    let (marker, shown) = (folder.join(MARKER), folder.display());
    let locked = disk.lock(&marker).with_context(|| format!("{} cannot be written", marker.display()))?;
    locked.with_context(|| {
        format!(
            "another process is creating {shown}: start again when it is done, or name another folder with --data-dir"
        )
    })
}

fn not_empty(folder: &Path) -> anyhow::Error {
    let shown = folder.display();
    anyhow::anyhow!(
        "{shown} is not empty and has no {PROPERTIES}; name an empty folder with --data-dir, or a configuration: gregor start server.properties"
    )
}

/// Lists what a first start left. Errors: there is a file that no first start makes.
fn leftovers(disk: &dyn Disk, folder: &Path) -> anyhow::Result<Leftovers> {
    let logs = folder.join(LOGS);
    let metadata = logs.join(TopicPartition::new(METADATA_TOPIC, 0).to_string());
    let snapshot = metadata.join(SnapshotId::BOOTSTRAP.file_name());
    let files = [folder.join(PROPERTIES), logs.join(BOOTSTRAP), snapshot, logs.join(META_PROPERTIES)];
    let mut found = Leftovers { files: Vec::new(), folders: Vec::new() };
    let mut next = vec![folder.to_path_buf()];
    while let Some(within) = next.pop() {
        let entries = disk.list(&within).with_context(|| format!("{} cannot be read", within.display()))?;
        for entry in entries {
            let path = within.join(&entry.name);
            let is_made = |file: &PathBuf| path == *file || path.as_os_str() == temporary(file).as_os_str();
            if entry.is_dir && (path == logs || path == metadata) {
                found.folders.insert(0, path.clone());
                next.push(path);
            } else if !entry.is_dir && files.iter().any(is_made) {
                found.files.push(path);
            } else if path != folder.join(MARKER) {
                bail!(
                    "a first start in {} did not end, and {} is not of it; remove what you do not need there, or name another folder with --data-dir",
                    folder.display(),
                    path.display()
                );
            }
        }
    }
    Ok(found)
}

/// Returns the name under which `write_atomically` writes a file.
fn temporary(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".tmp");
    name.into()
}

impl Leftovers {
    fn remove(&self, disk: &dyn Disk) -> anyhow::Result<()> {
        let removed = |path: &Path, removed: std::io::Result<()>| {
            removed.with_context(|| format!("{} cannot be removed", path.display()))
        };
        self.files.iter().try_for_each(|file| removed(file, disk.remove_file(file)))?;
        self.folders.iter().try_for_each(|folder| removed(folder, disk.remove_dir(folder)))
    }
}

#[cfg(test)]
mod tests;
