//! The names in the simulated file system, and their changes that are not on disk yet.

use super::is_root;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

#[derive(Clone, Debug)]
pub(super) enum NameChange {
    Add(PathBuf, u64),
    Remove(PathBuf),
    Rename(PathBuf, PathBuf),
    AddDir(PathBuf),
    RemoveDir(PathBuf),
}

impl NameChange {
    /// Whether a sync of the folder that now has this name writes the change to disk. As in a
    /// journal, that includes the rename of an earlier folder from this name to another.
    pub(super) fn touches(&self, dir: &Path) -> bool {
        match self {
            NameChange::Rename(from, _) if from == dir => true,
            NameChange::Add(path, _) | NameChange::Remove(path) => path.parent() == Some(dir),
            NameChange::AddDir(path) | NameChange::RemoveDir(path) => path.parent() == Some(dir),
            NameChange::Rename(from, to) => from.parent() == Some(dir) || to.parent() == Some(dir),
        }
    }

    /// Returns this change after a later one reached the disk first, which may have renamed or
    /// removed its folder.
    pub(super) fn after(self, later: &NameChange) -> Option<NameChange> {
        match later {
            NameChange::RemoveDir(dir) => {
                let (NameChange::Add(path, _)
                | NameChange::Remove(path)
                | NameChange::AddDir(path)
                | NameChange::RemoveDir(path)
                | NameChange::Rename(path, _)) = &self;
                (!path.starts_with(dir)).then_some(self)
            }
            NameChange::Rename(from, to) => {
                let is_in = |path: &Path| path.parent().is_some_and(|parent| parent.starts_with(from));
                let moved = |path: PathBuf| match path.strip_prefix(from) {
                    Ok(rest) if is_in(&path) => to.join(rest),
                    _ => path,
                };
                Some(match self {
                    NameChange::Add(path, inode) => NameChange::Add(moved(path), inode),
                    NameChange::Remove(path) => NameChange::Remove(moved(path)),
                    NameChange::Rename(from, to) => NameChange::Rename(moved(from), moved(to)),
                    NameChange::AddDir(path) => NameChange::AddDir(moved(path)),
                    NameChange::RemoveDir(path) => NameChange::RemoveDir(moved(path)),
                })
            }
            _ => Some(self),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) files: BTreeMap<PathBuf, u64>,
    pub(super) dirs: BTreeSet<PathBuf>,
}

impl Names {
    pub(super) fn apply(&mut self, change: &NameChange) {
        match change {
            NameChange::Add(path, inode) => drop(self.files.insert(path.clone(), *inode)),
            NameChange::Remove(path) => drop(self.files.remove(path)),
            NameChange::AddDir(path) => drop(self.dirs.insert(path.clone())),
            NameChange::RemoveDir(path) => drop(self.dirs.remove(path)),
            NameChange::Rename(from, to) => self.rename(from, to),
        }
    }

    /// Removes what is in folders that no longer exist.
    pub(super) fn drop_unreachable(&mut self) {
        // In ascending order, a folder comes after its parent.
        let mut dirs: BTreeSet<PathBuf> = BTreeSet::new();
        for dir in std::mem::take(&mut self.dirs) {
            let above = dir.parent().unwrap_or(Path::new(""));
            if is_root(above) || dirs.contains(above) {
                dirs.insert(dir);
            }
        }
        self.files.retain(|file, _| file.parent().is_some_and(|above| is_root(above) || dirs.contains(above)));
        self.dirs = dirs;
    }

    fn rename(&mut self, from: &Path, to: &Path) {
        if let Some(inode) = self.files.remove(from) {
            self.files.insert(to.to_path_buf(), inode);
            return;
        }
        let moved = |path: &Path| {
            path.strip_prefix(from)
                .map(|rest| if rest.as_os_str().is_empty() { to.to_path_buf() } else { to.join(rest) })
        };
        self.files = std::mem::take(&mut self.files)
            .into_iter()
            .map(|(path, inode)| (moved(&path).unwrap_or(path), inode))
            .collect();
        self.dirs = std::mem::take(&mut self.dirs).into_iter().map(|path| moved(&path).unwrap_or(path)).collect();
    }
}
