//! Opens the node's folders. It locks them and checks that they belong to this node before it
//! changes anything.
//!
//! As in Kafka, a log dir that was never formatted gets this cluster's identity if the dir with the
//! metadata log has one. A missing directory id is added.

use super::{StartError, rules};
use crate::config::NodeConfig;
use crate::env::Env;
use crate::runtime::format::BOOTSTRAP;
use crate::runtime::limits::{file_descriptors_max, segment_files_max};
use crate::runtime::metadata_log::{LogFault, MetadataLog, Opened, SnapshotLimits};
use anyhow::{Context as _, bail};
use bytes::Bytes;
use metadata::decide::bootstrap_features;
use metadata::{MetadataVersion, VersionedRecord};
use model::DirectoryId;
use protocol::MetadataRecord;
use raft::snapshot::{SnapshotPart, read_snapshot};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::{Disk, read_all};
use storage::{LogConfig, LogDir, MetaProperties, OpenFiles};
use tracing::error;

/// The folders of this node.
pub(super) struct Folders {
    /// The log dirs with their ids, in the order of `log.dirs`. None on a controller alone.
    pub(super) log_dirs: Vec<(LogDir, DirectoryId)>,
    /// Log dirs whose disks cannot be read or written. The node starts without them, as in Kafka.
    pub(super) lost: Vec<PathBuf>,
    /// The id of the dir with the metadata log.
    pub(super) metadata_directory_id: DirectoryId,
    /// The dir of the metadata log if it is not a log dir. It stays locked while the node runs.
    pub(super) metadata_log_dir: Option<LogDir>,
    pub(super) cluster_id: String,
    pub(super) metadata: Opened,
    pub(super) bootstrap: Vec<VersionedRecord>,
}

impl Folders {
    /// Checks all folders without a change to any, locks them, and opens the metadata log.
    pub(super) fn open(config: &NodeConfig, disk: Arc<dyn Disk>, env: Env) -> Result<Self, StartError> {
        rules::refuse_locked(config, &*disk)?;
        let cluster_id = rules::examine(config, &*disk)?.cluster_id;
        let open_files = OpenFiles::new(segment_files_max(file_descriptors_max()));
        let seed = env.random_number();
        let mut locked = Vec::new();
        let mut lost = Vec::new();
        for path in rules::folders_of(config) {
            match LogDir::open(disk.clone(), open_files.clone(), path.clone(), seed) {
                Err(error) if path != config.metadata_log_dir && is_of_the_disk(&error) => {
                    lose(&mut lost, path, &error)
                }
                opened => locked.push(opened?),
            }
        }
        let identities = identities(&locked, config, &mut lost)?;
        let mut log_dirs = Vec::new();
        for (dir, meta) in locked.into_iter().zip(identities) {
            let Some(meta) = meta else { continue };
            match directory_id(&dir, meta, &cluster_id, config, env) {
                Ok(id) => log_dirs.push((dir, id)),
                Err(error) if can_lose(&dir, config) => lose(&mut lost, dir.path().to_path_buf(), &error),
                Err(error) => return Err(error.into()),
            }
        }
        let is_metadata = |(dir, _): &(LogDir, DirectoryId)| dir.path() == config.metadata_log_dir;
        let metadata_directory_id = match log_dirs.iter().find(|it| is_metadata(it)) {
            Some((_, id)) => *id,
            None => bail!("metadata.log.dir={} was not opened", config.metadata_log_dir.display()),
        };
        let metadata_log_dir = match config.partition_dirs().contains(&config.metadata_log_dir) {
            true => None,
            false => log_dirs.pop().map(|(dir, _)| dir),
        };
        if log_dirs.is_empty() && config.roles.is_broker() {
            bail!(
                "none of the log dirs can be used: {}",
                lost.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
            );
        }
        // The metadata log uses the log dir's own disk, so that the dir learns of its disk errors.
        let disk = match log_dirs.iter().find(|it| is_metadata(it)).map(|(dir, _)| dir).or(metadata_log_dir.as_ref()) {
            Some(dir) => dir.disk().clone(),
            None => disk,
        };
        let metadata = open_metadata_log(config, disk.clone(), open_files, env)?;
        let bootstrap = bootstrap_records(&*disk, &config.metadata_log_dir)?;
        Ok(Self { log_dirs, lost, metadata_directory_id, metadata_log_dir, cluster_id, metadata, bootstrap })
    }
}

/// Whether the error comes from the disk and not from the files on it.
fn is_of_the_disk(error: &storage::Error) -> bool {
    matches!(error, storage::Error::Io { .. })
}

/// Whether the node can run without this log dir.
fn can_lose(dir: &LogDir, config: &NodeConfig) -> bool {
    dir.fault().is_some() && dir.path() != config.metadata_log_dir
}

fn lose(lost: &mut Vec<PathBuf>, path: PathBuf, error: &storage::Error) {
    error!(log_dir = %path.display(), %error, "a log dir cannot be used: its partitions are offline until it is repaired and the node restarted");
    lost.push(path);
}

fn open_metadata_log(
    config: &NodeConfig,
    disk: Arc<dyn Disk>,
    open_files: Arc<OpenFiles>,
    env: Env,
) -> Result<Opened, LogFault> {
    let settings = &config.settings;
    let limits = SnapshotLimits {
        max_bytes: u64::try_from(settings.metadata_log_max_record_bytes_between_snapshots).unwrap_or(u64::MAX),
        max_interval_ms: u64::try_from(settings.metadata_log_max_snapshot_interval_ms).unwrap_or(0),
    };
    let log_config = LogConfig {
        segment_bytes: u32::try_from(settings.metadata_log_segment_bytes).unwrap_or(u32::MAX),
        segment_ms: settings.metadata_log_segment_ms,
        max_message_bytes: u32::MAX,
        retention_bytes: None,
        retention_ms: None,
        ..LogConfig::default()
    };
    MetadataLog::open(disk, open_files, &config.metadata_log_dir, log_config, limits, env)
}

/// The identity of a log dir. The outer `None` is a lost dir, the inner `None` a dir that was never
/// formatted.
type Identity = Option<Option<MetaProperties>>;

/// Reads the identity of each folder.
fn identities(dirs: &[LogDir], config: &NodeConfig, lost: &mut Vec<PathBuf>) -> Result<Vec<Identity>, StartError> {
    let mut identities = Vec::new();
    for dir in dirs {
        identities.push(match dir.meta_properties() {
            Err(error) if can_lose(dir, config) => {
                lose(lost, dir.path().to_path_buf(), &error);
                None
            }
            read => Some(read?),
        });
    }
    Ok(identities)
}

/// Returns the directory id of a log dir.
fn directory_id(
    dir: &LogDir,
    meta: Option<MetaProperties>,
    cluster_id: &str,
    config: &NodeConfig,
    env: Env,
) -> Result<DirectoryId, storage::Error> {
    let mut meta = match meta {
        Some(meta) => meta,
        None => MetaProperties {
            version: 1,
            cluster_id: Some(cluster_id.to_owned()),
            node_id: Some(config.node_id),
            directory_id: None,
            other: BTreeMap::new(),
        },
    };
    if let Some(id) = meta.directory_id {
        return Ok(id);
    }
    let id = env.uuid();
    meta.directory_id = Some(id);
    dir.write_meta_properties(&meta)?;
    Ok(id)
}

/// Reads the features from `bootstrap.checkpoint`. Without that file they are the newest, as in
/// Kafka.
fn bootstrap_records(disk: &dyn Disk, path: &Path) -> Result<Vec<VersionedRecord>, StartError> {
    let file = path.join(BOOTSTRAP);
    let bytes = match read_all(disk, &file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return bootstrap_features(MetadataVersion::LATEST, &BTreeMap::new()).map_err(anyhow::Error::msg);
        }
        bytes => bytes.with_context(|| file.display().to_string())?,
    };
    let mut records = Vec::new();
    for part in read_snapshot(Bytes::from(bytes)).with_context(|| file.display().to_string())? {
        let SnapshotPart::Data(values) = part else { continue };
        for value in values {
            let (record, version) = MetadataRecord::decode(value).with_context(|| file.display().to_string())?;
            records.push(VersionedRecord { record, version });
        }
    }
    Ok(records)
}
