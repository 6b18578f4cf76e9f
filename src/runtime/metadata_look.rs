//! Looks at the metadata log in a folder without changing anything: whose cluster it is, before a node makes the folder its own.
//!
//! What follows the first batch that is not whole is not looked at; recovery will cut it. A folder without a log has nothing to say.

use super::metadata_log::{LogFault, METADATA_TOPIC, load_snapshot, read_batch};
use bytes::Bytes;
use metadata::Loader;
use metadata::image::Image;
use metadata::version::FEATURES;
use model::{BrokerId, Offset, TopicPartition};
use raft::snapshot::batch_len;
use raft::{ControlRecord, QUORUM_STATE_FILE, SnapshotId, configured_voters};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::Path;
use storage::disk::{Disk, OpenMode, read_all};
use storage::names;

/// Bytes read at a time; a larger batch is read whole.
const CHUNK_BYTES: usize = 1 << 20;

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// All that the log says, committed or not.
    pub image: Image,
    /// Who votes: from the log where it says so, else those that `quorum-state` and the last leader name. Empty in a folder that never had a leader.
    pub voters: BTreeSet<BrokerId>,
}

impl Look {
    /// Looks at a log dir. Errors: what cannot be read.
    pub fn at(disk: &dyn Disk, log_dir: &Path) -> Result<Look, LogFault> {
        let folder = log_dir.join(TopicPartition::new(METADATA_TOPIC, 0).to_string());
        let at = |error| LogFault::File { path: folder.clone(), error };
        let entries = match disk.list(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Look::default()),
            entries => entries.map_err(at)?,
        };
        let mut control = Vec::new();
        let newest = entries.iter().filter_map(|it| SnapshotId::from_file_name(&it.name)).max();
        let (mut loader, applied) = match newest {
            Some(id) => (load_snapshot(disk, &folder, id, &mut control)?, id.end),
            None => (Loader::new(&Image::default()), Offset(0)),
        };
        let mut control: Vec<ControlRecord> = control.into_iter().map(|(_, record)| record).collect();
        let mut bases: Vec<Offset> = entries.iter().filter_map(|entry| segment(&entry.name)).collect();
        bases.sort_unstable();
        let first = bases.partition_point(|base| *base <= applied).saturating_sub(1);
        for base in &bases[first..] {
            let path = folder.join(names::segment_file(*base, names::LOG));
            read_segment(disk, &path, applied, &mut loader, &mut control)?;
        }
        let voters = voters(&control, &configured(disk, &folder)?);
        Ok(Look { image: loader.uncommitted_image().clone(), voters })
    }

    /// Why a node cannot be started alone on this folder, if it cannot: one line.
    pub fn refusal(&self, node_id: BrokerId) -> Option<String> {
        let list = |ids: &BTreeSet<BrokerId>| ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let finalized = self.image.features.finalized();
        for (name, level) in finalized {
            let Some(known) = FEATURES.iter().find(|feature| feature.name == name) else {
                return Some(format!("it needs the feature {name}, which this release does not know"));
            };
            if !(known.min..=known.max).contains(&level) {
                return Some(format!(
                    "it is at level {level} of {name}, and this release knows {} to {}",
                    known.min, known.max
                ));
            }
        }
        if !self.voters.is_empty() && !self.voters.iter().eq([&node_id]) {
            return Some(format!(
                "it is of a cluster with the controllers {}; folders of clusters with several nodes are not supported yet",
                list(&self.voters)
            ));
        }
        let partitions = self.image.topics.iter().flat_map(|topic| topic.partitions.values());
        let others: BTreeSet<BrokerId> =
            partitions.flat_map(|it| &it.replicas).copied().filter(|id| *id != node_id).collect();
        (!others.is_empty()).then(|| {
            format!(
                "it is of a cluster in which the brokers {} hold partitions too; folders of clusters with several nodes are not supported yet",
                list(&others)
            )
        })
    }
}

/// The base offset of a segment, by its file's name.
fn segment(name: &str) -> Option<Offset> {
    names::parse_segment_file(name).filter(|(_, suffix)| *suffix == names::LOG).map(|(base, _)| base)
}

/// The voters that `quorum-state` names, which it does under `kraft.version` 0.
fn configured(disk: &dyn Disk, folder: &Path) -> Result<Vec<BrokerId>, LogFault> {
    let path = folder.join(QUORUM_STATE_FILE);
    match read_all(disk, &path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(LogFault::File { path, error }),
        Ok(bytes) => configured_voters(&bytes).map_err(|error| LogFault::Corrupt { path, reason: error.to_string() }),
    }
}

fn voters(control: &[ControlRecord], configured: &[BrokerId]) -> BTreeSet<BrokerId> {
    let in_log = control.iter().rev().find_map(|record| match record {
        ControlRecord::Voters(voters) => Some(voters.ids().collect()),
        _ => None,
    });
    let of_leader = control.iter().rev().find_map(|record| match record {
        ControlRecord::LeaderChange(change) => Some(change.voters.as_slice()),
        _ => None,
    });
    in_log.unwrap_or_else(|| configured.iter().chain(of_leader.unwrap_or_default()).copied().collect())
}

/// Applies what a segment holds from an offset on.
fn read_segment(
    disk: &dyn Disk,
    path: &Path,
    from: Offset,
    loader: &mut Loader,
    control: &mut Vec<ControlRecord>,
) -> Result<(), LogFault> {
    let at = |error| LogFault::File { path: path.to_path_buf(), error };
    let file = disk.open(path, OpenMode::Read).map_err(at)?;
    let length = file.length().map_err(at)?;
    let (mut position, mut wanted) = (0, CHUNK_BYTES);
    while position < length {
        let left = usize::try_from(length - position).unwrap_or(usize::MAX);
        let mut chunk = vec![0; wanted.min(left)];
        let read = file.read_at(position, &mut chunk).map_err(at)?;
        chunk.truncate(read);
        let mut chunk = Bytes::from(chunk);
        let mut used = 0;
        while let Some(size) = batch_len(&chunk).filter(|size| *size <= chunk.len()) {
            let batch = match read_batch(chunk.split_to(size)) {
                Err(LogFault::Raft(raft::Fault::Batch(_))) => return Ok(()),
                batch => batch?,
            };
            if batch.last() >= from {
                control.extend(batch.control().cloned());
                loader.apply(&batch.loaded())?;
            }
            used += size as u64;
        }
        match batch_len(&chunk) {
            Some(size) if used == 0 && size > read && size <= left => wanted = size,
            _ if used == 0 => return Ok(()),
            _ => wanted = CHUNK_BYTES,
        }
        position += used;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
