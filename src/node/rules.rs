//! The reasons to refuse a start, checked before anything is changed. Each is one line that says
//! what was found, where, and what to do.
//!
//! `gregor start` and `gregor check` both use these rules, so that they agree. Nothing is written.

use super::StartError;
use crate::config::{Address, NodeConfig};
use crate::env::Env;
use crate::runtime::format::controller_endpoints;
use crate::runtime::metadata_log::{FolderContents, LogFault, METADATA_TOPIC, MetadataFolder};
use anyhow::{Context as _, bail};
use metadata::image::Image;
use metadata::version::{FEATURES, Feature, METADATA_VERSION, later_release};
use metadata::{ApplyError, MetadataVersion};
use model::{BrokerId, DirectoryId, TopicPartition};
use raft::{Endpoint, FetchLimits, Raft, ReplicaKey, Timeouts, VoterSet};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use storage::disk::Disk;
use storage::names::Folder;
use storage::{META_PROPERTIES, MetaProperties, find_partitions};

/// Kafka reserves the ids up to this number. No log dir may have one of them.
const RESERVED_IDS: u128 = 100;

/// Folders that are known to belong to this node.
#[derive(Debug)]
pub struct Known {
    /// The id of their cluster.
    pub cluster_id: String,
    /// Each readable folder with its identity. `None` is a folder that was never formatted; a start
    /// gives it an identity.
    pub identities: Vec<(PathBuf, Option<MetaProperties>)>,
    /// The metadata at the end of the log.
    pub image: Image,
}

/// Returns the log dirs and the dir of the metadata log. As in Kafka, a controller alone uses only
/// the dir of the metadata log.
pub fn folders_of(config: &NodeConfig) -> Vec<PathBuf> {
    let mut paths = config.partition_dirs().to_vec();
    if !paths.contains(&config.metadata_log_dir) {
        paths.push(config.metadata_log_dir.clone());
    }
    paths
}

/// Returns the folders that a running process has locked, each with the id of that process.
pub fn locked(config: &NodeConfig, disk: &dyn Disk) -> Result<Vec<(PathBuf, u32)>, StartError> {
    let mut locked = Vec::new();
    for path in folders_of(config) {
        let file = path.join(".lock");
        match disk.lock_holder(&file) {
            Ok(Some(process)) => locked.push((path, process)),
            Ok(None) => {}
            // The code that locks the folder reports this error.
            Err(_) if path != config.metadata_log_dir => {}
            Err(error) => return Err(anyhow::Error::from(error).context(file.display().to_string())),
        }
    }
    Ok(locked)
}

/// Refuses folders that a running process has locked.
pub fn refuse_locked(config: &NodeConfig, disk: &dyn Disk) -> Result<(), StartError> {
    if let Some((path, process)) = locked(config, disk)?.first() {
        let path = path.display();
        bail!(
            "Failed to acquire lock on file .lock in {path}. A Kafka instance in another process or thread is using this directory. It is process {process}: stop it first, or name another folder."
        );
    }
    Ok(())
}

/// Examines all folders. Errors: why a node with this configuration cannot start on them.
pub fn examine(config: &NodeConfig, disk: &dyn Disk) -> Result<Known, StartError> {
    let identities = identities(config, disk)?;
    let cluster_id = refuse_mixed(config, &identities)?;
    refuse_ids(&identities)?;
    refuse_doubled(config, disk)?;
    let image = examine_metadata(config, disk)?;
    Ok(Known { cluster_id, identities, image })
}

/// Reads the identity of each folder.
fn identities(config: &NodeConfig, disk: &dyn Disk) -> Result<Vec<(PathBuf, Option<MetaProperties>)>, StartError> {
    let mut identities = Vec::new();
    for path in folders_of(config) {
        let meta = match MetaProperties::read(disk, &path.join(META_PROPERTIES)) {
            // A log dir with a failed disk is lost. The node starts with the others.
            Err(storage::Error::Io { .. }) if path != config.metadata_log_dir => continue,
            read => read.with_context(|| {
                let shown = path.display();
                format!("{shown} is not a valid log dir; bring back its {META_PROPERTIES}, or take it out of log.dirs")
            })?,
        };
        if meta.as_ref().is_some_and(|meta| meta.version == 0) {
            let path = path.display();
            bail!(
                "{path} is formatted for ZooKeeper (its {META_PROPERTIES} has version=0); migrate its cluster to KRaft with Apache Kafka 3.9 first, or take {path} out of log.dirs"
            );
        }
        identities.push((path, meta));
    }
    // A start can format additional disks, but only if the dir with the metadata log names the
    // cluster.
    let is_formatted = |path: &Path| identities.iter().any(|(at, meta)| at == path && meta.is_some());
    if !is_formatted(&config.metadata_log_dir) {
        let missing = config.metadata_log_dir.display();
        let Some((other, _)) = identities.iter().find(|(_, meta)| meta.is_some()) else {
            bail!("No `meta.properties` found in {missing} (have you run `gregor format` to format the directory?)");
        };
        let other = other.display();
        bail!(
            "No `meta.properties` found in {missing}, where the metadata log is expected, while {other} is formatted: a part of the node is missing; name the folder with {METADATA_TOPIC}-0 as metadata.log.dir, or bring back what {missing} held"
        );
    }
    Ok(identities)
}

/// Refuses folders of several clusters or nodes, and a metadata log in an unexpected dir. Returns
/// the cluster's id.
fn refuse_mixed(config: &NodeConfig, identities: &[(PathBuf, Option<MetaProperties>)]) -> Result<String, StartError> {
    let mut known: Option<(&str, &Path)> = None;
    let mut nodes: BTreeMap<BrokerId, &Path> = BTreeMap::new();
    for (path, meta) in identities {
        let Some(meta) = meta else { continue };
        let shown = path.display();
        let Some(cluster_id) = meta.cluster_id.as_deref() else {
            bail!("the meta.properties of {shown} names no cluster.id; it is not a folder of a KRaft cluster");
        };
        let Some(node_id) = meta.node_id else { bail!("the meta.properties of {shown} names no node.id") };
        nodes.entry(node_id).or_insert(path);
        match known {
            Some((other, at)) if other != cluster_id => bail!(
                "{shown} belongs to cluster {cluster_id}, but {} to cluster {other}; take out of log.dirs what is not this cluster's",
                at.display()
            ),
            Some(_) => {}
            None => known = Some((cluster_id, path)),
        }
    }
    let own = config.node_id;
    if nodes.len() > 1 {
        let all: Vec<String> = nodes.iter().map(|(id, path)| format!("{} to node {id}", path.display())).collect();
        bail!(
            "the log dirs belong to several nodes: {}; node.id is {own}: take out of log.dirs what is not this node's",
            all.join(", ")
        );
    }
    if let Some((id, path)) = nodes.first_key_value().filter(|(id, _)| **id != own) {
        bail!(
            "{} belongs to node {id}, but node.id is {own}; set node.id={id} or use this node's own folder",
            path.display()
        );
    }
    known.map(|(id, _)| id.to_owned()).context("no log dir is formatted")
}

/// Refuses a directory id that two folders share, and an id that Kafka reserves.
fn refuse_ids(identities: &[(PathBuf, Option<MetaProperties>)]) -> Result<(), StartError> {
    let mut seen: BTreeMap<DirectoryId, &Path> = BTreeMap::new();
    for (path, meta) in identities {
        let Some(id) = meta.as_ref().and_then(|meta| meta.directory_id) else { continue };
        let shown = path.display();
        if u128::from_be_bytes(id.0) < RESERVED_IDS {
            bail!(
                "Invalid reserved directory ID {id} found in {shown}; take its line out of {META_PROPERTIES}, and a new one is given"
            );
        }
        if let Some(other) = seen.insert(id, path) {
            bail!(
                "Duplicate directory ID {id} found. It was the ID of {}, but also of {shown}: one is a copy of the other; take the copy out of log.dirs",
                other.display()
            );
        }
    }
    Ok(())
}

/// Refuses a partition that is in two log dirs, and a second metadata log outside the configured
/// dir.
fn refuse_doubled(config: &NodeConfig, disk: &dyn Disk) -> Result<(), StartError> {
    let mut seen: BTreeMap<(bool, TopicPartition), PathBuf> = BTreeMap::new();
    for path in folders_of(config) {
        let found = match find_partitions(disk, &path) {
            Err(error) if error.is_not_found() => continue,
            Err(storage::Error::Io { .. }) if path != config.metadata_log_dir => continue,
            found => found?,
        };
        for found in found {
            let (is_copy, partition) = match found.folder {
                Folder::Partition(partition) => (false, partition),
                Folder::Future(partition) => (true, partition),
                Folder::Deleted(_) | Folder::Stray(_) => continue,
            };
            if &*partition.topic == METADATA_TOPIC && path != config.metadata_log_dir {
                bail!(
                    "Found unexpected metadata location in data directory `{}` (the configured metadata directory is {}).",
                    found.path.display(),
                    config.metadata_log_dir.display()
                );
            }
            if let Some(other) = seen.insert((is_copy, partition.clone()), found.path.clone()) {
                bail!(
                    "Duplicate log directories for {partition} are found in both {} and {}: a move between disks, or a copy by hand, did not end; keep the one with the later records, and move the other out of the log dirs",
                    other.display(),
                    found.path.display()
                );
            }
        }
    }
    Ok(())
}

/// Reads the metadata log's folder. Errors: it cannot be read, is of a later release, or has other
/// voters than the configuration.
fn examine_metadata(config: &NodeConfig, disk: &dyn Disk) -> Result<Image, StartError> {
    let folder = MetadataFolder::new(disk, &config.metadata_log_dir);
    // A broker alone votes nowhere: it copies again what it lost.
    if config.roles.is_controller() {
        folder.check_synced()?;
    }
    let contents = folder.contents().map_err(|fault| match fault {
        LogFault::Apply(ApplyError::MetadataVersion(level)) => feature_error(folder.path(), METADATA_VERSION, level),
        fault => anyhow::Error::from(fault)
            .context(format!("the metadata log in {} cannot be read", folder.path().display())),
    })?;
    refuse_features(folder.path(), &contents.image)?;
    if let Some(reason) = other_voters(&contents, config) {
        bail!("{} cannot be served: {reason}", config.metadata_log_dir.display());
    }
    Ok(contents.image)
}

/// Says in one line how the voters of a folder differ from those of the configuration, where the
/// configuration decides. `None` where they do not.
fn other_voters(contents: &FolderContents, config: &NodeConfig) -> Option<String> {
    let configured: BTreeSet<BrokerId> = config.voters.iter().map(|voter| voter.id).collect();
    if contents.voters_are_in_the_log || configured.is_empty() || contents.voters.is_empty() {
        return None;
    }
    (contents.voters != configured).then(|| {
        format!(
            "it is of a cluster with the controllers {}, but controller.quorum.voters names {}; a minority could decide without the others: give it the voters that the cluster has",
            list(&contents.voters),
            list(&configured)
        )
    })
}

fn list(ids: &BTreeSet<BrokerId>) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn refuse_features(folder: &Path, image: &Image) -> Result<(), StartError> {
    for (name, level) in image.features.finalized() {
        if !Feature::named(name).is_some_and(|feature| (feature.min..=feature.max).contains(&level)) {
            return Err(feature_error(folder, name, level));
        }
    }
    Ok(())
}

fn feature_error(folder: &Path, name: &str, level: i16) -> StartError {
    let folder = folder.display();
    let known = match FEATURES.iter().find(|feature| feature.name == name) {
        None => "which is not known here".to_owned(),
        Some(feature) if name == METADATA_VERSION => {
            format!("where {} to {} ({}) are known", feature.min, feature.max, MetadataVersion::LATEST)
        }
        Some(feature) => format!("where {} to {} are known", feature.min, feature.max),
    };
    let needed = match later_release(name, level) {
        Some((called, release)) => format!("{called}, which needs release {release} or later"),
        None => String::new(),
    };
    let remedy = match Feature::named(name) {
        Some(feature) if level < feature.min => "start it with the release that it is from, and upgrade it there first",
        _ => "start it with the release that it is from, and downgrade the feature there (kafka-features downgrade)",
    };
    anyhow::anyhow!("{folder} has {name} at level {level}{needed}, {known}; {remedy}")
}

/// Starts the raft machine from the files on disk.
pub(super) fn start_raft(
    config: &NodeConfig,
    directory_id: DirectoryId,
    stored: raft::Stored,
    env: Env,
) -> Result<(Raft, Vec<raft::Action>), StartError> {
    let settings = &config.settings;
    let millis = |ms: i32| u64::try_from(ms).unwrap_or(0);
    let listener = config.listeners.controller_names.first().map_or("CONTROLLER", String::as_str);
    let voters: Vec<String> = config.voters.iter().map(|it| format!("{}@{}:{}", it.id, it.host, it.port)).collect();
    let raft_config = raft::Config {
        local: ReplicaKey { id: config.node_id, directory_id: Some(directory_id) },
        endpoints: controller_endpoints(config),
        configured_voters: VoterSet::from_config(&voters.join(","), listener)?,
        bootstrap_servers: bootstrap_servers(config),
        auto_join: settings.controller_quorum_auto_join_enable,
        fetch_limits: FetchLimits {
            log_bytes: u32::try_from(settings.controller_quorum_fetch_max_bytes).unwrap_or(0),
            snapshot_bytes: u32::try_from(settings.controller_quorum_fetch_snapshot_max_bytes).unwrap_or(0),
        },
        timeouts: Timeouts {
            election_ms: millis(settings.controller_quorum_election_timeout_ms),
            election_backoff_max_ms: millis(settings.controller_quorum_election_backoff_max_ms),
            fetch_ms: config.quorum_fetch_timeout_ms(),
            request_ms: millis(settings.controller_quorum_request_timeout_ms),
            retry_backoff_ms: millis(settings.controller_quorum_retry_backoff_ms),
        },
    };
    Ok(Raft::start(raft_config, stored, env.random_number(), env.clock().both())?)
}

/// Refuses a quorum that this node has no way into: it is no voter, and nobody else is known to
/// ask.
pub(super) fn refuse_unreachable_quorum(raft: &Raft, config: &NodeConfig) -> Result<(), StartError> {
    if raft.voters().is_empty() && bootstrap_servers(config).is_empty() {
        bail!(
            "{} was formatted to join a quorum (--no-initial-controllers), but controller.quorum.bootstrap.servers names no other controller",
            config.metadata_log_dir.display()
        );
    }
    Ok(())
}

/// Returns the controllers of `controller.quorum.bootstrap.servers` without this node itself.
fn bootstrap_servers(config: &NodeConfig) -> Vec<Endpoint> {
    let listener = config.listeners.controller_names.first().map_or("CONTROLLER", String::as_str);
    let own = controller_endpoints(config);
    let addresses = config.bootstrap_servers.iter().filter_map(|server| server.parse::<Address>().ok());
    let servers = addresses.map(|Address { host, port }| Endpoint {
        listener: listener.into(),
        host: host.as_str().into(),
        port,
    });
    servers.filter(|server| !own.iter().any(|it| it.host == server.host && it.port == server.port)).collect()
}

#[cfg(test)]
mod tests;
