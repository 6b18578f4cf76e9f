//! The small text files: checkpoints by partition, `partition.metadata`, `meta.properties` and the
//! clean-shutdown marker.
//!
//! Each file is replaced as a whole (`.tmp`, fsync, rename, fsync of the folder), so a reader finds
//! the old or the new content. The two files in a partition's folder are written without the fsyncs
//! until the log's first flush (`log::settle`).
//!
//! A checkpoint file has these lines: `0` (the version), the number of entries, and one line for
//! each entry: `topic partition offset`.

use crate::disk::{self, Disk};
use crate::error::{Error, Result};
use model::{BrokerEpoch, BrokerId, DirectoryId, Offset, TopicId, TopicPartition};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

/// Recovery points: all below is flushed.
pub const RECOVERY_POINT: &str = "recovery-point-offset-checkpoint";
/// High watermarks.
pub const REPLICATION: &str = "replication-offset-checkpoint";
/// Log start offsets that are above their first segment's base offset.
pub const LOG_START: &str = "log-start-offset-checkpoint";
/// How far each log is cleaned.
pub const CLEANER: &str = "cleaner-offset-checkpoint";
/// Identity of a log dir.
pub const META_PROPERTIES: &str = "meta.properties";
/// Exists only after a clean stop.
pub const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// Offsets by partition, as a checkpoint file holds them.
pub type OffsetCheckpoint = BTreeMap<TopicPartition, Offset>;

pub(crate) fn read_text(disk: &dyn Disk, path: &Path) -> Result<Option<String>> {
    match disk::read_all(disk, path) {
        Ok(bytes) => String::from_utf8(bytes)
            .map(Some)
            .map_err(|error| Error::corrupt(path, error.utf8_error().valid_up_to() as u64, "not UTF-8")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

pub(crate) fn write_text(disk: &dyn Disk, path: &Path, text: &str, sync: bool) -> Result<()> {
    let write = if sync { disk::write_atomically } else { disk::replace };
    write(disk, path, text.as_bytes()).map_err(Error::io("write", path))
}

/// Reads a file of a version, a count and lines. An empty or missing file has no lines, as in
/// Kafka.
pub(crate) fn read_lines<T>(disk: &dyn Disk, path: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>> {
    let Some(text) = read_text(disk, path)? else { return Ok(Vec::new()) };
    let bad = |line: usize, reason: &str| Error::corrupt(path, 0, format!("line {}: {reason}", line + 1));
    let mut lines = text.lines();
    let Some(version) = lines.next() else { return Ok(Vec::new()) };
    if version.trim() != "0" {
        return Err(bad(0, &format!("unrecognized version {version:?}")));
    }
    let count = lines.next().and_then(|count| count.trim().parse::<usize>().ok()).ok_or_else(|| bad(1, "no count"))?;
    let mut entries = Vec::new();
    for (index, line) in lines.enumerate() {
        entries.push(parse(line).ok_or_else(|| bad(index + 2, "malformed"))?);
    }
    match entries.len() == count {
        true => Ok(entries),
        false => Err(bad(1, &format!("{count} entries announced and {} found", entries.len()))),
    }
}

pub(crate) fn format_lines(lines: impl ExactSizeIterator<Item = String>) -> String {
    let mut text = format!("0\n{}\n", lines.len());
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    text
}

/// Reads one of the four checkpoint files.
pub fn read_offsets(disk: &dyn Disk, path: &Path) -> Result<OffsetCheckpoint> {
    let parse = |line: &str| {
        let mut words = line.split_whitespace();
        let partition = TopicPartition::new(words.next()?, words.next()?.parse().ok()?);
        let offset = Offset(words.next()?.parse().ok()?);
        words.next().is_none().then_some((partition, offset))
    };
    Ok(read_lines(disk, path, parse)?.into_iter().collect())
}

/// Replaces one of the four checkpoint files.
pub fn write_offsets(disk: &dyn Disk, path: &Path, offsets: &OffsetCheckpoint) -> Result<()> {
    let lines = offsets.iter().map(|(name, offset)| format!("{} {} {offset}", name.topic, name.partition));
    write_text(disk, path, &format_lines(lines), true)
}

/// Reads the topic id in a partition's folder; `None` if there is no such file.
pub fn read_partition_metadata(disk: &dyn Disk, path: &Path) -> Result<Option<TopicId>> {
    let Some(text) = read_text(disk, path)? else { return Ok(None) };
    let bad = |reason: &str| Error::corrupt(path, 0, reason);
    let mut lines = text.lines();
    if lines.next().and_then(|line| line.strip_prefix("version: ")).map(str::trim) != Some("0") {
        return Err(bad("unrecognized version"));
    }
    let id = lines.next().and_then(|line| line.strip_prefix("topic_id: ")).ok_or_else(|| bad("no topic id"))?;
    let id: TopicId = id.trim().parse().map_err(|error: model::ParseUuidError| bad(&error.to_string()))?;
    id.non_zero().map(Some).ok_or_else(|| bad("the topic id is zero"))
}

/// Writes the topic id into a partition's folder.
pub fn write_partition_metadata(disk: &dyn Disk, path: &Path, topic_id: TopicId, sync: bool) -> Result<()> {
    write_text(disk, path, &format!("version: 0\ntopic_id: {topic_id}"), sync)
}

/// The content of the clean-shutdown marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanShutdown {
    /// The broker epoch that ended. Older releases did not write it.
    pub broker_epoch: Option<BrokerEpoch>,
}

/// Reads the marker; `None` after an unclean stop. An unreadable marker counts as one without an
/// epoch, as in Kafka.
pub fn read_clean_shutdown(disk: &dyn Disk, path: &Path) -> Result<Option<CleanShutdown>> {
    let text = match read_text(disk, path) {
        Ok(Some(text)) => text,
        Ok(None) => return Ok(None),
        Err(Error::Corrupt { .. }) => String::new(),
        Err(error) => return Err(error),
    };
    let epoch = text.split_once("\"brokerEpoch\"").and_then(|(_, rest)| rest.trim_start().strip_prefix(':'));
    let epoch =
        epoch.and_then(|rest| rest.trim_start().split(|c: char| c != '-' && !c.is_ascii_digit()).next()?.parse().ok());
    Ok(Some(CleanShutdown { broker_epoch: epoch.and_then(BrokerEpoch::from_wire) }))
}

/// Writes the marker.
pub fn write_clean_shutdown(disk: &dyn Disk, path: &Path, broker_epoch: Option<BrokerEpoch>) -> Result<()> {
    write_text(disk, path, &format!("{{\"version\":0,\"brokerEpoch\":{}}}", BrokerEpoch::to_wire(broker_epoch)), true)
}

/// `meta.properties`: which cluster, node and directory a log dir belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaProperties {
    /// 0 in folders from ZooKeeper mode, otherwise 1.
    pub version: i32,
    /// The cluster.
    pub cluster_id: Option<String>,
    /// The node (`broker.id` in version 0).
    pub node_id: Option<BrokerId>,
    /// The directory id (KIP-858); missing in folders from before 3.7.
    pub directory_id: Option<DirectoryId>,
    /// All other keys, kept unchanged.
    pub other: BTreeMap<String, String>,
}

impl MetaProperties {
    /// Reads the file; `None` if the dir was never formatted.
    pub fn read(disk: &dyn Disk, path: &Path) -> Result<Option<MetaProperties>> {
        read_text(disk, path)?
            .map(|text| Self::parse(&text).map_err(|reason| Error::corrupt(path, 0, reason)))
            .transpose()
    }

    fn parse(text: &str) -> std::result::Result<MetaProperties, String> {
        let mut other = parse_properties(text);
        let mut take = |key: &str| other.remove(key).map(|value| value.trim().to_owned());
        let number = |key: &str, value: String| {
            value.parse::<i32>().map_err(|_| format!("{key} is {value:?}, which is no number"))
        };
        // A file from ZooKeeper mode need not have a version.
        let version = take("version").map_or(Ok(0), |value| number("version", value))?;
        let node_key = if version == 0 { "broker.id" } else { "node.id" };
        let node_id = take(node_key).map(|value| number(node_key, value)).transpose()?.and_then(BrokerId::from_wire);
        let cluster_id = take("cluster.id");
        let directory_id = take("directory.id")
            .map(|value| value.parse::<DirectoryId>().map_err(|error| error.to_string()))
            .transpose()?;
        if version > 1 {
            return Err(format!("Unknown meta.properties version number {version}"));
        }
        Ok(MetaProperties { version, cluster_id, node_id, directory_id, other })
    }

    /// Writes the file, without the comment that Java's `Properties` writes first: nothing reads
    /// it.
    pub fn write(&self, disk: &dyn Disk, path: &Path) -> Result<()> {
        let mut text = String::from("#\n");
        let mut line = |key: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(text, "{}={}", escape(key, true), escape(&value.to_string(), false));
        };
        if let Some(node_id) = self.node_id {
            line(if self.version == 0 { "broker.id" } else { "node.id" }, &node_id);
        }
        if let Some(directory_id) = self.directory_id {
            line("directory.id", &directory_id);
        }
        line("version", &self.version);
        if let Some(cluster_id) = &self.cluster_id {
            line("cluster.id", cluster_id);
        }
        self.other.iter().for_each(|(key, value)| line(key, value));
        write_text(disk, path, &text, true)
    }
}

/// Escapes a key or value of a Java properties file.
fn escape(text: &str, is_key: bool) -> String {
    let mut escaped = String::new();
    for (index, character) in text.chars().enumerate() {
        match character {
            ' ' if is_key || index == 0 => escaped.push_str("\\ "),
            '\\' | '=' | ':' | '#' | '!' => escaped.extend(['\\', character]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Reads a Java properties file: `key=value`, `key: value` or `key value` per line, `#` and `!`
/// comments, backslash escapes and continuations.
pub fn parse_properties(text: &str) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let mut line = line.trim_start().to_owned();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        while line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1 {
            line.pop();
            line.push_str(lines.next().unwrap_or_default().trim_start());
        }
        let mut escaped = false;
        let end = line.find(|c: char| {
            let ends = !escaped && (c == '=' || c == ':' || c.is_whitespace());
            escaped = !escaped && c == '\\';
            ends
        });
        let (key, rest) = line.split_at(end.unwrap_or(line.len()));
        let rest = rest.trim_start();
        let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start();
        properties.insert(unescape(key), unescape(value));
    }
    properties
}

fn unescape(text: &str) -> String {
    let mut plain = String::new();
    let mut chars = text.chars();
    while let Some(character) = chars.next() {
        if character != '\\' {
            plain.push(character);
            continue;
        }
        match chars.next() {
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('t') => plain.push('\t'),
            Some('f') => plain.push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                plain.extend(u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32));
            }
            Some(other) => plain.push(other),
            None => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{OpenMode, SimDisk};

    fn disk_with(text: &str) -> SimDisk {
        let disk = SimDisk::new();
        let file = disk.open(Path::new("/f"), OpenMode::Create).unwrap();
        file.write_at(0, &[std::io::IoSlice::new(text.as_bytes())]).unwrap();
        disk
    }

    fn text(disk: &SimDisk) -> String {
        read_text(disk, Path::new("/f")).unwrap().unwrap()
    }

    #[test]
    fn offsets_are_kafkas_lines() {
        let golden = "0\n2\n__transaction_state 42 0\nplain.topic_x-y 0 1500\n";
        let disk = disk_with(golden);
        let offsets = read_offsets(&disk, Path::new("/f")).unwrap();
        assert_eq!(offsets[&TopicPartition::new("plain.topic_x-y", 0)], Offset(1500));
        write_offsets(&disk, Path::new("/f"), &offsets).unwrap();
        assert_eq!(text(&disk), golden);
        assert!(read_offsets(&disk_with(""), Path::new("/f")).unwrap().is_empty());
        assert!(read_offsets(&SimDisk::new(), Path::new("/f")).unwrap().is_empty());
        for bad in ["1\n0\n", "0\n2\na 0 1\n", "0\n", "0\n1\na 0\n", "0\n1\na 0 1 2\n", "0\nx\n"] {
            assert!(matches!(read_offsets(&disk_with(bad), Path::new("/f")), Err(Error::Corrupt { .. })), "{bad:?}");
        }
    }

    #[test]
    fn partition_metadata_is_kafkas() {
        let golden = "version: 0\ntopic_id: T2CLxzK9TnyjICaYIvCwgg";
        let disk = disk_with(golden);
        let id = read_partition_metadata(&disk, Path::new("/f")).unwrap().unwrap();
        write_partition_metadata(&disk, Path::new("/f"), id, true).unwrap();
        assert_eq!(text(&disk), golden);
        for bad in ["", "version: 1\ntopic_id: x", "version: 0\ntopic_id: AAAAAAAAAAAAAAAAAAAAAA", "version: 0\n"] {
            assert!(read_partition_metadata(&disk_with(bad), Path::new("/f")).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn clean_shutdown_is_kafkas() {
        let golden = "{\"version\":0,\"brokerEpoch\":11}";
        let disk = disk_with(golden);
        let marker = read_clean_shutdown(&disk, Path::new("/f")).unwrap().unwrap();
        assert_eq!(marker.broker_epoch, Some(BrokerEpoch(11)));
        write_clean_shutdown(&disk, Path::new("/f"), marker.broker_epoch).unwrap();
        assert_eq!(text(&disk), golden);
        let empty = read_clean_shutdown(&disk_with(""), Path::new("/f")).unwrap();
        assert_eq!(empty, Some(CleanShutdown { broker_epoch: None }));
        assert_eq!(read_clean_shutdown(&SimDisk::new(), Path::new("/f")).unwrap(), None);
    }

    #[test]
    fn meta_properties_are_kafkas() {
        let golden = "#\n#Sat Nov 21 08:27:44 UTC 2026\nnode.id=1\ndirectory.id=dqtTFWz6tvhVH_nkFziACQ\nversion=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\n";
        let disk = disk_with(golden);
        let meta = MetaProperties::read(&disk, Path::new("/f")).unwrap().unwrap();
        assert_eq!((meta.version, meta.node_id), (1, Some(BrokerId(1))));
        assert_eq!(meta.directory_id.unwrap().to_string(), "dqtTFWz6tvhVH_nkFziACQ");
        meta.write(&disk, Path::new("/f")).unwrap();
        assert_eq!(text(&disk), golden.replace("#Sat Nov 21 08:27:44 UTC 2026\n", ""));
        let zookeeper = MetaProperties::read(&disk_with("version=0\nbroker.id=3\nx\\ y=a\\=b\n"), Path::new("/f"))
            .unwrap()
            .unwrap();
        assert_eq!((zookeeper.node_id, zookeeper.other["x y"].as_str()), (Some(BrokerId(3)), "a=b"));
        let of_nobody = MetaProperties::read(&disk_with(""), Path::new("/f")).unwrap().unwrap();
        assert_eq!((of_nobody.version, of_nobody.node_id), (0, None));
        for bad in ["version=2\n", "version=x\n", "version=1\ndirectory.id=?\n"] {
            assert!(MetaProperties::read(&disk_with(bad), Path::new("/f")).is_err(), "{bad:?}");
        }
    }
}
