//! Reports what a start would find in a node's folders and what it would do to each partition.
//! Nothing is written.
//!
//! Each log is opened as a start opens it, but on an [`Overlay`]. Recovery truncates or drops data
//! only in that overlay.

use super::rules::{self, Known};
use crate::config::NodeConfig;
use crate::env::Env;
use crate::runtime::metadata_log::METADATA_TOPIC;
use metadata::image::{Image, Topic};
use model::{BrokerId, TopicPartition};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use storage::disk::{Disk, Overlay};
use storage::names::{self, Folder};
use storage::{CheckpointedOffsets, LogConfig, LogDir, MetaProperties, OpenFiles, PartitionFolder, Recovery};

/// The maximum number of files of one log that are open at once while it is examined.
const OPEN_FILES: usize = 16;

/// Whether a node starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It starts, and nothing is lost or left out.
    Starts,
    /// It starts, and something is lost, left out or not honoured.
    StartsWithWarnings,
    /// It does not start.
    DoesNotStart,
}

/// The result of [`examine`].
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Whether the node starts.
    pub verdict: Verdict,
    /// Why the node does not start: the line with which `gregor start` would end.
    pub refusal: Option<String>,
    /// What is lost, left out or not honoured.
    pub warnings: Vec<String>,
    /// `node.id`.
    pub node_id: Option<i32>,
    /// The cluster that the folders belong to.
    pub cluster_id: Option<String>,
    /// Finalized features.
    pub features: BTreeMap<String, i16>,
    /// One report for each folder.
    pub log_dirs: Vec<DirReport>,
}

/// The report on a log dir.
#[derive(Clone, Debug, Serialize)]
pub struct DirReport {
    /// The path of the dir.
    pub path: PathBuf,
    /// Its directory id; `None` if a start would generate one.
    pub directory_id: Option<String>,
    /// Whether it was formatted. A start formats a dir that was not.
    pub is_formatted: bool,
    /// Whether the last process that used it stopped cleanly.
    pub stopped_cleanly: bool,
    /// The id of the process that holds its lock now.
    pub locked_by: Option<u32>,
    /// The folders of partitions in it.
    pub partitions: Vec<PartitionReport>,
}

/// How a start classifies a folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A partition that this node serves.
    Partition,
    /// The metadata log.
    Metadata,
    /// A partition whose deletion did not finish. A start deletes it.
    Deleted,
    /// A copy that is being moved from another log dir. A start does not change it.
    Future,
    /// A partition that an earlier start set aside. A start does not change it.
    Stray,
    /// A partition of no topic of this cluster. A start sets it aside.
    Unowned,
    /// A partition without a folder. A start creates it empty.
    Missing,
}

/// The report on one partition's folder.
#[derive(Clone, Debug, Serialize)]
pub struct PartitionReport {
    /// The folder's name.
    pub name: String,
    /// What the folder is.
    pub kind: Kind,
    /// The topic id from `partition.metadata`.
    pub topic_id: Option<String>,
    /// The number of segments.
    pub segments: usize,
    /// The size of the segments in bytes.
    pub bytes: u64,
    /// The first offset and the offset after the last, as a start finds them.
    pub offsets: Option<(i64, i64)>,
    /// Bytes of records that a start reads and checks before it serves the partition.
    pub bytes_to_check: u64,
    /// The number of segments that those bytes are in.
    pub segments_to_check: usize,
    /// Bytes at the end that are not whole batches. A start truncates them.
    pub bytes_cut: u64,
    /// Segments after a corrupt batch. A start drops them.
    pub segments_dropped: usize,
    /// A description of what a start does with the folder.
    pub action: String,
}

/// Examines a node's folders.
pub fn examine(config: &NodeConfig, disk: &Arc<dyn Disk>, env: Env) -> Report {
    let mut report = Report {
        verdict: Verdict::Starts,
        refusal: None,
        warnings: config.warnings.clone(),
        node_id: Some(config.node_id.0),
        cluster_id: None,
        features: BTreeMap::new(),
        log_dirs: Vec::new(),
    };
    if let Err(error) = fill(&mut report, config, disk, env) {
        report.refusal = Some(format!("{error:#}"));
    }
    report.verdict = match (&report.refusal, report.warnings.is_empty()) {
        (Some(_), _) => Verdict::DoesNotStart,
        (None, true) => Verdict::Starts,
        (None, false) => Verdict::StartsWithWarnings,
    };
    report
}

/// Returns the report on a configuration that cannot be used at all.
pub fn refused(why: String) -> Report {
    Report {
        verdict: Verdict::DoesNotStart,
        refusal: Some(why),
        warnings: Vec::new(),
        node_id: None,
        cluster_id: None,
        features: BTreeMap::new(),
        log_dirs: Vec::new(),
    }
}

fn fill(report: &mut Report, config: &NodeConfig, disk: &Arc<dyn Disk>, env: Env) -> anyhow::Result<()> {
    let locked = rules::locked(config, &**disk)?;
    for (path, process) in &locked {
        report.warnings.push(format!(
            "{} is in use by process {process}, which must stop before Gregor starts; this report shows the current state",
            path.display()
        ));
    }
    let Known { cluster_id, identities, image } = rules::examine(config, &**disk)?;
    report.cluster_id = Some(cluster_id);
    report.features = image.features.finalized().map(|(name, level)| (name.to_owned(), level)).collect();
    let mut found = BTreeSet::new();
    for (path, meta) in identities {
        let holder = locked.iter().find(|(at, _)| *at == path).map(|(_, process)| *process);
        let is_log_dir = config.partition_dirs().contains(&path);
        let dir = examine_dir(path, meta, holder, is_log_dir, disk, (&image, config.node_id), env)?;
        for it in &dir.partitions {
            if it.kind == Kind::Partition {
                found.insert(it.name.clone());
            }
            warn_of(&mut report.warnings, &dir.path, it);
        }
        report.log_dirs.push(dir);
    }
    let own = if config.roles.is_broker() { own_partitions(&image, config.node_id) } else { Vec::new() };
    for (name, topic) in own {
        if !found.contains(&name.to_string()) {
            report.warnings.push(format!("{name} has no folder in any log dir; a start creates it empty"));
            let missing = PartitionReport { topic_id: Some(topic), ..blank(name.to_string(), Kind::Missing) };
            if let Some(dir) = report.log_dirs.first_mut() {
                dir.partitions.push(missing);
            }
        }
    }
    Ok(())
}

/// Returns the partitions of which a broker has a replica.
fn own_partitions(image: &Image, broker: BrokerId) -> Vec<(TopicPartition, String)> {
    let of = |topic: &Arc<Topic>| {
        let (name, id) = (topic.name.clone(), topic.id.to_string());
        let own = topic.partitions.iter().filter(|(_, partition)| partition.replicas.contains(&broker));
        own.map(|(index, _)| (TopicPartition::new(name.as_str(), index.0), id.clone())).collect::<Vec<_>>()
    };
    image.topics.iter().flat_map(of).collect()
}

fn warn_of(warnings: &mut Vec<String>, dir: &Path, it: &PartitionReport) {
    let path = dir.join(&it.name);
    let path = path.display();
    if it.bytes_cut > 0 || it.segments_dropped > 0 || it.action.starts_with("cannot") || it.kind == Kind::Unowned {
        warnings.push(format!("{path}: {}", it.action));
    } else if it.kind == Kind::Future {
        warnings.push(format!("{path}: a move between log dirs did not finish, and is not continued"));
    }
}

fn examine_dir(
    path: PathBuf,
    meta: Option<MetaProperties>,
    locked_by: Option<u32>,
    is_log_dir: bool,
    disk: &Arc<dyn Disk>,
    cluster: (&Image, BrokerId),
    env: Env,
) -> anyhow::Result<DirReport> {
    let open = || {
        let overlay: Arc<dyn Disk> = Arc::new(Overlay::new(disk.clone()));
        LogDir::open(overlay, OpenFiles::new(OPEN_FILES), path.clone(), 0)
    };
    let dir = open()?;
    let is_clean = dir.clean_shutdown()?.is_some();
    let offsets = dir.read_offsets()?;
    let mut partitions = Vec::new();
    for found in dir.partitions()? {
        let is_metadata = matches!(&found.folder, Folder::Partition(of) if &*of.topic == METADATA_TOPIC);
        if is_log_dir || is_metadata {
            // Each folder gets its own overlay, so that the memory of one recovery is freed before
            // the next.
            partitions.push(examine_folder(&open()?, found, &offsets, is_clean, cluster, env)?);
        }
    }
    Ok(DirReport {
        directory_id: meta.as_ref().and_then(|meta| meta.directory_id).map(|id| id.to_string()),
        is_formatted: meta.is_some(),
        stopped_cleanly: is_clean,
        locked_by,
        partitions,
        path,
    })
}

fn blank(name: String, kind: Kind) -> PartitionReport {
    let action = match kind {
        Kind::Partition | Kind::Metadata => "opened",
        Kind::Deleted => "removed: its topic was deleted",
        Kind::Future | Kind::Stray => "not changed",
        Kind::Unowned => "set aside as -stray: it belongs to no topic of this cluster",
        Kind::Missing => "created empty",
    };
    PartitionReport {
        name,
        kind,
        topic_id: None,
        segments: 0,
        bytes: 0,
        offsets: None,
        bytes_to_check: 0,
        segments_to_check: 0,
        bytes_cut: 0,
        segments_dropped: 0,
        action: action.to_owned(),
    }
}

fn examine_folder(
    dir: &LogDir,
    found: PartitionFolder,
    offsets: &CheckpointedOffsets,
    is_clean: bool,
    (image, broker): (&Image, BrokerId),
    env: Env,
) -> anyhow::Result<PartitionReport> {
    let name = found.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (kind, partition) = match found.folder {
        Folder::Deleted(of) => (Kind::Deleted, of),
        Folder::Future(of) => (Kind::Future, of),
        Folder::Stray(of) => (Kind::Stray, of),
        Folder::Partition(of) if &*of.topic == METADATA_TOPIC => (Kind::Metadata, of),
        Folder::Partition(of) => {
            let topic = image.topics.iter().find(|topic| topic.name.as_str() == &*of.topic);
            let is_own = topic.is_some_and(|topic| {
                found.topic_id.is_none_or(|id| id == topic.id)
                    && topic.partitions.get(&of.partition).is_some_and(|it| it.replicas.contains(&broker))
            });
            (if is_own { Kind::Partition } else { Kind::Unowned }, of)
        }
    };
    let mut report = PartitionReport { topic_id: found.topic_id.map(|id| id.to_string()), ..blank(name, kind) };
    for entry in dir.disk().list(&found.path)? {
        if let Some((_, names::LOG)) = names::parse_segment_file(&entry.name) {
            report.segments += 1;
            report.bytes += dir.disk().metadata(&found.path.join(&entry.name))?.length;
        }
    }
    if kind != Kind::Partition && kind != Kind::Metadata {
        return Ok(report);
    }
    // A start always checks the end of the metadata log.
    let is_clean = is_clean && kind == Kind::Partition;
    if !is_clean {
        let point = offsets.recovery_points.get(&partition).copied().unwrap_or_default();
        report.bytes_to_check = dir.bytes_to_check(&found.path, point)?;
    }
    match dir.open_log(&partition, found.path, LogConfig::default(), offsets, is_clean, env.clock().now()) {
        Ok((log, recovery)) => {
            report.offsets = Some((log.log_start_offset().0, log.log_end_offset().0));
            report.segments_to_check = recovery.segments_checked;
            report.bytes_cut = recovery.bytes_cut;
            report.segments_dropped = recovery.segments_dropped;
            report.action = action(&recovery, found.topic_id.is_none() && kind == Kind::Partition);
        }
        Err(error) => report.action = format!("cannot be opened, and is offline: {error}"),
    }
    Ok(report)
}

fn action(recovery: &Recovery, lacks_id: bool) -> String {
    let Recovery { segments_checked, bytes_cut, segments_dropped } = *recovery;
    let mut action = match (segments_checked, bytes_cut, segments_dropped) {
        (0, 0, 0) => "opened".to_owned(),
        (_, 0, 0) => format!("opened, {segments_checked} segments checked"),
        (_, _, 0) => format!("opened, {bytes_cut} bytes truncated that are not whole batches"),
        _ => {
            format!("opened, {bytes_cut} bytes truncated after a corrupt batch and {segments_dropped} segments dropped")
        }
    };
    if lacks_id {
        action.push_str("; its partition.metadata is written again");
    }
    action
}
