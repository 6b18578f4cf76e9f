//! Formats log dirs as `kafka-storage format` does: the identity, the cluster's first features, and
//! the first voters.

use crate::config::NodeConfig;
use crate::env::Env;
use crate::env::clock::Clock;
use metadata::decide::bootstrap_features;
use metadata::{MetadataVersion, VersionedRecord};
use model::{BrokerId, DirectoryId, TopicPartition};
use raft::snapshot::SnapshotWriter;
use raft::{KRaftVersion, ReplicaKey, SnapshotId, Voter, VoterSet};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::{Disk, write_atomically};
use storage::{META_PROPERTIES, MetaProperties};

/// The file with the cluster's first features, beside `meta.properties`.
pub const BOOTSTRAP: &str = "bootstrap.checkpoint";
/// The lowest and the highest level of `kraft.version` that this node supports.
const KRAFT_VERSIONS: (i16, i16) = (0, 1);

/// The first voters of the quorum.
#[derive(Clone, Debug)]
pub enum FirstVoters {
    /// The voters in `controller.quorum.voters`.
    Configured,
    /// Only this node, with these endpoints (`--standalone`).
    Standalone(Vec<raft::Endpoint>),
    /// These voters (`--initial-controllers`). If this node is one of them, the dir of its metadata
    /// log gets the directory id that they give it.
    Initial(Vec<Voter>),
    /// No voters are written: the node joins an existing quorum (`--no-initial-controllers`).
    None,
}

/// Returns the controller listeners that a node advertises to the quorum, none on a broker.
pub fn controller_endpoints(config: &NodeConfig) -> Vec<raft::Endpoint> {
    let endpoints = config.listeners.advertised_controller.iter().map(|it| raft::Endpoint {
        listener: it.name.as_str().into(),
        host: if it.host.is_empty() { "localhost".into() } else { it.host.as_str().into() },
        port: it.port,
    });
    endpoints.collect()
}

/// What to format, and how.
#[derive(Clone, Debug)]
pub struct Format {
    /// `log.dirs`.
    pub log_dirs: Vec<PathBuf>,
    /// `metadata.log.dir`, one of them.
    pub metadata_log_dir: PathBuf,
    /// `node.id`.
    pub node_id: BrokerId,
    /// The cluster's id.
    pub cluster_id: String,
    /// The first voters.
    pub voters: FirstVoters,
    /// `metadata.version`.
    pub version: MetadataVersion,
    /// The requested levels of other features.
    pub features: BTreeMap<String, i16>,
    /// Skip dirs that are already formatted.
    pub ignore_formatted: bool,
}

/// Why nothing was formatted.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// The disk failed.
    #[error(transparent)]
    Storage(#[from] storage::Error),
    /// A file could not be read or written.
    #[error("{path}: {error}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        error: std::io::Error,
    },
    /// A dir is already formatted.
    #[error("Log directory {path} is already formatted. Use --ignore-formatted to ignore this directory and format the others.", path = path.display())]
    Formatted {
        /// The dir.
        path: PathBuf,
    },
    /// A dir belongs to another node or cluster.
    #[error("{path}: {reason}", path = path.display())]
    Foreign {
        /// The dir.
        path: PathBuf,
        /// The node or cluster that it belongs to.
        reason: String,
    },
    /// A feature or level that is not available.
    #[error("{0}")]
    Feature(String),
    /// A record could not be written.
    #[error(transparent)]
    Raft(#[from] raft::Fault),
}

impl Format {
    /// Formats the dirs, and returns one line per dir that says what was done.
    pub fn run(&self, disk: &Arc<dyn Disk>, env: Env) -> Result<Vec<String>, FormatError> {
        self.run_with(disk, env, Vec::new())
    }

    /// Does the same, with more of the first records: those of SCRAM credentials.
    pub fn run_with(
        &self,
        disk: &Arc<dyn Disk>,
        env: Env,
        more: Vec<VersionedRecord>,
    ) -> Result<Vec<String>, FormatError> {
        let mut records = bootstrap_features(self.version, &self.features).map_err(FormatError::Feature)?;
        records.extend(more);
        let mut fresh = Vec::new();
        for path in &self.log_dirs {
            match MetaProperties::read(&**disk, &path.join(META_PROPERTIES))? {
                None => fresh.push(path),
                Some(meta) => self.check(path, &meta)?,
            }
        }
        let mut lines = Vec::new();
        if fresh.is_empty() {
            lines.push("All of the log directories are already formatted.".to_owned());
        }
        for path in fresh {
            lines.push(self.format_dir(&**disk, path, &records, env)?);
        }
        Ok(lines)
    }

    /// Checks a dir that is already formatted. It must belong to this node, and `ignore_formatted`
    /// must be set.
    fn check(&self, path: &Path, meta: &MetaProperties) -> Result<(), FormatError> {
        let foreign = |reason| Err(FormatError::Foreign { path: path.to_path_buf(), reason });
        if !self.ignore_formatted {
            return Err(FormatError::Formatted { path: path.to_path_buf() });
        }
        match (&meta.cluster_id, meta.node_id) {
            (Some(id), _) if *id != self.cluster_id => {
                foreign(format!("it belongs to cluster {id}, not to {}", self.cluster_id))
            }
            (_, Some(id)) if id != self.node_id => foreign(format!("it belongs to node {id}, not to {}", self.node_id)),
            _ => Ok(()),
        }
    }

    fn format_dir(
        &self,
        disk: &dyn Disk,
        path: &Path,
        records: &[VersionedRecord],
        env: Env,
    ) -> Result<String, FormatError> {
        let at = |path: &Path| {
            let path = path.to_path_buf();
            move |error| FormatError::File { path, error }
        };
        let is_new = |dir: &&Path| !dir.as_os_str().is_empty() && disk.metadata(dir).is_err();
        let new: Vec<&Path> = path.ancestors().take_while(is_new).collect();
        disk.create_dir(path).map_err(at(path))?;
        // A loss of power takes no formatted dir. The parents of a dir that was there are not ours.
        for dir in new {
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            disk.sync_dir(parent).map_err(at(parent))?;
        }
        let is_metadata = path == self.metadata_log_dir;
        let bootstrap = path.join(BOOTSTRAP);
        let bytes = bootstrap_checkpoint(records, env.clock())?;
        // As in Kafka, every dir has this file, and only that of the metadata dir is read.
        write_atomically(disk, &bootstrap, &bytes).map_err(at(&bootstrap))?;
        let (directory_id, voters) = match is_metadata {
            true => self.first_voters(env),
            false => (env.uuid(), None),
        };
        let kind = match &voters {
            _ if !is_metadata => "data directory",
            None => "metadata directory",
            Some(voters) if voters.get(self.node_id).is_some() => "dynamic metadata voter directory",
            Some(_) => "dynamic metadata directory",
        };
        let line = format!("Formatting {kind} {} with metadata.version {}.", path.display(), self.version.name());
        if let Some(voters) = voters {
            let folder = path.join(TopicPartition::new(super::metadata_log::METADATA_TOPIC, 0).to_string());
            disk.create_dir(&folder).map_err(at(&folder))?;
            let file = folder.join(SnapshotId::BOOTSTRAP.file_name());
            let bytes = snapshot(&[], (KRaftVersion::V1, &voters), env.clock())?;
            write_atomically(disk, &file, &bytes).map_err(at(&file))?;
        }
        // Written last, because a dir with this file counts as formatted.
        let meta = MetaProperties {
            version: 1,
            cluster_id: Some(self.cluster_id.clone()),
            node_id: Some(self.node_id),
            directory_id: Some(directory_id),
            other: BTreeMap::new(),
        };
        meta.write(disk, &path.join(META_PROPERTIES))?;
        Ok(line)
    }

    /// Returns the directory id of the metadata dir, and the voters of the snapshot `0-0` if there
    /// is one.
    fn first_voters(&self, env: Env) -> (DirectoryId, Option<VoterSet>) {
        match &self.voters {
            FirstVoters::Configured | FirstVoters::None => (env.uuid(), None),
            FirstVoters::Standalone(endpoints) => {
                let directory_id = env.uuid();
                let key = ReplicaKey { id: self.node_id, directory_id: Some(directory_id) };
                let voter = Voter { key, endpoints: endpoints.clone(), kraft_versions: KRAFT_VERSIONS };
                (directory_id, Some(VoterSet::new([voter])))
            }
            FirstVoters::Initial(voters) => {
                let own = voters.iter().find(|voter| voter.key.id == self.node_id);
                let given = own.and_then(|voter| voter.key.directory_id);
                (given.unwrap_or_else(|| env.uuid()), Some(VoterSet::new(voters.iter().cloned())))
            }
        }
    }
}

/// Builds the bootstrap checkpoint: a snapshot with the records of the first features.
pub fn bootstrap_checkpoint(records: &[VersionedRecord], clock: Clock) -> Result<Vec<u8>, FormatError> {
    snapshot(records, (KRaftVersion::V0, &VoterSet::default()), clock)
}

fn snapshot(
    records: &[VersionedRecord],
    quorum: (KRaftVersion, &VoterSet),
    clock: Clock,
) -> Result<Vec<u8>, FormatError> {
    let now = clock.now();
    let (mut writer, mut bytes) =
        SnapshotWriter::begin(SnapshotId::BOOTSTRAP, now, quorum, now).map(|(w, b)| (w, b.to_vec()))?;
    for record in records {
        let value = record.encode().map_err(raft::Fault::Encode)?;
        bytes.extend(writer.record(value, now)?.unwrap_or_default());
    }
    for piece in writer.finish(now)? {
        bytes.extend(piece);
    }
    Ok(bytes)
}
