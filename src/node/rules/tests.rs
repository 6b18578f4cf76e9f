//! Tests of every kind of folder that a node cannot start on: one line says why, and nothing is
//! changed.

use super::*;
use crate::config::combined_node;
use crate::node::folders::Folders;
use crate::runtime::format::{FirstVoters, Format};
use metadata::VersionedRecord;
use protocol::MetadataRecord;
use protocol::messages::feature_level_record::FeatureLevelRecord;
use std::io::IoSlice;
use std::sync::Arc;
use storage::disk::{OpenMode, RealDisk, read_all};
use tempfile::TempDir;

const CLUSTER: &str = "AAAAAAAAAAAAAAAAAAAAAQ";
const OTHER_CLUSTER: &str = "BBBBBBBBBBBBBBBBBBBBBQ";

/// Two log dirs, `a` with the metadata log, `b` without.
struct Node {
    dir: TempDir,
    disk: Arc<dyn Disk>,
}

impl Node {
    fn new() -> Self {
        let node = Self { dir: tempfile::tempdir().unwrap(), disk: Arc::new(RealDisk) };
        node.format(&["a", "b"], CLUSTER, 1);
        node
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn format(&self, dirs: &[&str], cluster_id: &str, node_id: i32) {
        let log_dirs: Vec<PathBuf> = dirs.iter().map(|name| self.at(name)).collect();
        let format = Format {
            metadata_log_dir: self.at("a"),
            log_dirs,
            node_id: BrokerId(node_id),
            cluster_id: cluster_id.to_owned(),
            voters: FirstVoters::Configured,
            version: MetadataVersion::LATEST,
            features: BTreeMap::new(),
            ignore_formatted: true,
        };
        format.run(&self.disk, Env::default()).unwrap();
    }

    fn config(&self) -> NodeConfig {
        let dirs = format!("{},{}", self.at("a").display(), self.at("b").display());
        combined_node(&dirs)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.at(name);
        self.disk.create_dir(path.parent().unwrap()).unwrap();
        self.disk.open(&path, OpenMode::Truncate).unwrap().write_at(0, &[IoSlice::new(bytes)]).unwrap();
    }

    fn replace(&self, name: &str, from: &str, to: &str) {
        let text = String::from_utf8(read_all(&*self.disk, &self.at(name)).unwrap()).unwrap();
        assert!(text.contains(from), "{text}");
        self.write(name, text.replace(from, to).as_bytes());
    }

    /// Returns every file and folder with its contents and modification time.
    fn tree(&self) -> Vec<(PathBuf, Vec<u8>, i64)> {
        let mut tree = Vec::new();
        let mut folders = vec![self.dir.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in self.disk.list(&folder).unwrap() {
                let path = folder.join(&entry.name);
                let modified = self.disk.metadata(&path).unwrap().modified.0;
                let bytes = if entry.is_dir { Vec::new() } else { read_all(&*self.disk, &path).unwrap() };
                if entry.is_dir {
                    folders.push(path.clone());
                }
                tree.push((path, bytes, modified));
            }
        }
        tree.sort();
        tree
    }

    /// Starts the node. The start must fail with one line that contains all `words`, and change
    /// nothing.
    fn refused(&self, words: &[&str]) {
        let before = self.tree();
        let error = match Folders::open(&self.config(), self.disk.clone(), Env::default()) {
            Ok(_) => panic!("a folder is accepted that should say {words:?}"),
            Err(error) => format!("{error:#}"),
        };
        assert!(!error.contains('\n'), "{error}");
        for word in words {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
        assert!(error.contains(&*self.dir.path().to_string_lossy()), "says not where: {error}");
        assert_eq!(self.tree(), before, "something was touched");
    }

    /// Appends records to the metadata log, as a running node would.
    fn append(&self, records: &[VersionedRecord]) {
        let values: Vec<bytes::Bytes> = records.iter().map(|it| it.encode().unwrap()).collect();
        let batch =
            raft::batch::data_batch(model::Offset(0), model::LeaderEpoch(1), Env::default().clock().now(), &values);
        self.write(&format!("a/{METADATA_TOPIC}-0/00000000000000000000.log"), &batch.unwrap());
    }
}

fn feature(name: &str, level: i16) -> VersionedRecord {
    let record = FeatureLevelRecord { name: name.into(), feature_level: level, ..Default::default() };
    VersionedRecord { record: MetadataRecord::FeatureLevel(record), version: 0 }
}

#[test]
fn a_folder_of_release_4_4_is_refused_with_the_release_that_it_needs() {
    for (name, level, words) in [
        (METADATA_VERSION, 31, "metadata.version at level 31 (4.4-IV0), which needs release 4.4 or later"),
        (METADATA_VERSION, 32, "metadata.version at level 32 (4.4-IV1), which needs release 4.4 or later"),
        (METADATA_VERSION, 33, "metadata.version at level 33 (4.4-IV2), which needs release 4.4 or later"),
        ("share.version", 2, "share.version at level 2, which needs release 4.4 or later"),
    ] {
        let node = Node::new();
        let version = if name == METADATA_VERSION { level } else { 30 };
        node.append(&[feature(METADATA_VERSION, version), feature(name, level)]);
        node.refused(&[words, "are known"]);
    }
}

#[test]
fn a_formatted_node_is_accepted_and_a_new_disk_is_formatted() {
    let node = Node::new();
    node.disk.remove_file(&node.at(&format!("b/{META_PROPERTIES}"))).unwrap();
    let before = node.tree();
    let known = examine(&node.config(), &*node.disk).unwrap();
    assert_eq!(known.cluster_id, CLUSTER);
    assert_eq!(known.identities.iter().filter(|(_, meta)| meta.is_none()).count(), 1);
    assert_eq!(node.tree(), before);
    let folders = Folders::open(&node.config(), node.disk.clone(), Env::default()).unwrap();
    assert_eq!(folders.log_dirs.len(), 2);
    assert!(MetaProperties::read(&*node.disk, &node.at(&format!("b/{META_PROPERTIES}"))).unwrap().is_some());
}

#[test]
fn a_folder_of_another_cluster_is_refused() {
    let node = Node::new();
    node.replace("b/meta.properties", CLUSTER, OTHER_CLUSTER);
    node.refused(&[OTHER_CLUSTER, CLUSTER, "/a", "/b", "take out of log.dirs"]);
}

#[test]
fn a_folder_of_a_newer_feature_level_is_refused() {
    let node = Node::new();
    node.append(&[feature(METADATA_VERSION, 31)]);
    node.refused(&["metadata.version at level 31", "7 to 30 (4.3-IV0)", "downgrade"]);
    let node = Node::new();
    node.append(&[feature(METADATA_VERSION, 30), feature("group.version", 9)]);
    node.refused(&["group.version at level 9", "0 to 1", "downgrade"]);
    let node = Node::new();
    node.append(&[feature(METADATA_VERSION, 30), feature("quantum.version", 1)]);
    node.refused(&["quantum.version at level 1", "not known here"]);
    let node = Node::new();
    node.append(&[feature(METADATA_VERSION, 6)]);
    node.refused(&["metadata.version at level 6", "upgrade it there first"]);
}

#[test]
fn a_folder_of_other_voters_is_refused() {
    let node = Node::new();
    node.write(
        &format!("a/{METADATA_TOPIC}-0/{}", raft::QUORUM_STATE_FILE),
        br#"{"clusterId":"","leaderId":1,"leaderEpoch":1,"votedId":-1,"appliedOffset":0,"currentVoters":[{"voterId":1},{"voterId":4}],"data_version":0}"#,
    );
    node.refused(&["it is of a cluster with the controllers 1, 4, but controller.quorum.voters names 1;"]);
}

#[test]
fn a_folder_formatted_for_zookeeper_is_refused() {
    let node = Node::new();
    node.write("b/meta.properties", b"#\nversion=0\nbroker.id=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\n");
    node.refused(&["ZooKeeper", "version=0", "migrate", "/b"]);
    // Old releases did not write the version.
    node.write("a/meta.properties", b"broker.id=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\n");
    node.refused(&["ZooKeeper", "/a"]);
}

#[test]
fn half_a_node_is_refused() {
    let node = Node::new();
    node.disk.remove_file(&node.at("a/meta.properties")).unwrap();
    node.refused(&["No `meta.properties` found in", "/a", "/b is formatted", "bring back"]);
    node.disk.remove_file(&node.at("b/meta.properties")).unwrap();
    node.refused(&["No `meta.properties` found in", "/a", "gregor format"]);
}

#[test]
fn folders_of_two_nodes_are_refused() {
    let node = Node::new();
    node.replace("b/meta.properties", "node.id=1", "node.id=2");
    node.refused(&["several nodes", "/a to node 1", "/b to node 2", "node.id is 1"]);
    node.replace("a/meta.properties", "node.id=1", "node.id=2");
    node.refused(&["belongs to node 2, but node.id is 1", "set node.id=2"]);
}

#[test]
fn a_copied_folder_is_refused() {
    let node = Node::new();
    let meta = read_all(&*node.disk, &node.at("a/meta.properties")).unwrap();
    node.write("b/meta.properties", &meta);
    node.refused(&["Duplicate directory ID", "/a", "/b", "copy"]);
    let reserved = Node::new();
    let id = MetaProperties::read(&*reserved.disk, &reserved.at("b/meta.properties")).unwrap().unwrap();
    let id = id.directory_id.unwrap().to_string();
    reserved.replace("b/meta.properties", &id, "AAAAAAAAAAAAAAAAAAAAAg");
    reserved.refused(&["Invalid reserved directory ID", "/b"]);
}

#[test]
fn a_folder_that_a_process_has_locked_is_refused() {
    let node = Node::new();
    let lock = node.disk.lock(&node.at("b/.lock")).unwrap().unwrap();
    node.refused(&[
        "Failed to acquire lock on file .lock in",
        "/b",
        &format!("process {}", std::process::id()),
        "stop it",
    ]);
    drop(lock);
    assert!(Folders::open(&node.config(), node.disk.clone(), Env::default()).is_ok());
}

#[test]
fn a_partition_in_two_dirs_is_refused() {
    let node = Node::new();
    node.write("a/topic-0/00000000000000000000.log", b"");
    node.write("b/topic-0/00000000000000000000.log", b"");
    node.refused(&["topic-0", "/a/topic-0", "/b/topic-0", "move the other"]);
    // A copy that is being moved is not a duplicate.
    let node = Node::new();
    node.write("a/topic-0/00000000000000000000.log", b"");
    node.write("b/topic-0.0123456789abcdef0123456789abcdef-future/00000000000000000000.log", b"");
    assert!(examine(&node.config(), &*node.disk).is_ok());
}

#[test]
fn a_metadata_log_in_the_wrong_dir_is_refused() {
    let node = Node::new();
    node.write("b/__cluster_metadata-0/00000000000000000000.log", b"");
    node.refused(&["unexpected metadata location", "/b/__cluster_metadata-0"]);
}

#[test]
fn meta_properties_without_ids_or_with_an_unknown_version_are_refused() {
    for (from, to, word) in [
        ("cluster.id=", "cluster.it=", "names no cluster.id"),
        ("node.id=1", "node.it=1", "names no node.id"),
        ("version=1", "version=7", "Unknown meta.properties version number 7"),
    ] {
        let node = Node::new();
        node.replace("b/meta.properties", from, to);
        node.refused(&[word, "/b"]);
    }
}
