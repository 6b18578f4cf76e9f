//! The names of files and folders in a log dir, which are Kafka's.
//!
//! | name | what |
//! | --- | --- |
//! | `topic-0` | a partition's folder |
//! | `topic-0.<uuid>-delete`, `-future`, `-stray` | a folder that waits for its removal, a copy in progress, a folder of no partition |
//! | `00000000000000000042.log` and other suffixes | a segment's files, by its base offset |
//! | `….deleted`, `….cleaned`, `….swap` | a file that waits for its removal; the output of the cleaner, before and after it is valid |

use model::{Offset, TopicPartition, Uuid};

/// Records.
pub const LOG: &str = ".log";
/// Offset index.
pub const INDEX: &str = ".index";
/// Time index.
pub const TIME_INDEX: &str = ".timeindex";
/// Aborted transactions.
pub const TXN_INDEX: &str = ".txnindex";
/// Producer state at the offset of the name.
pub const SNAPSHOT: &str = ".snapshot";
/// Appended to the name of a segment's file that no longer belongs to its log.
pub const DELETED: &str = ".deleted";
/// Appended to the name of a file that the cleaner is writing.
pub const CLEANED: &str = ".cleaned";
/// Appended to the name of a file that the cleaner has finished and that replaces others.
pub const SWAP: &str = ".swap";
/// The file of leader epochs and their start offsets.
pub const LEADER_EPOCH_CHECKPOINT: &str = "leader-epoch-checkpoint";
/// The file of the topic id.
pub const PARTITION_METADATA: &str = "partition.metadata";

/// The longest name of a folder (a limit of file systems).
const FOLDER_NAME_MAX: usize = 255;

/// Returns the name of a segment's file: the offset in twenty digits, and the suffix.
pub fn segment_file(base_offset: Offset, suffix: &str) -> String {
    format!("{:020}{suffix}", base_offset.0)
}

/// Returns the offset and the suffix (from the first dot on) of a segment's file; `None` for any
/// other name.
pub fn parse_segment_file(name: &str) -> Option<(Offset, &str)> {
    let (digits, suffix) = name.split_at(name.find('.')?);
    // Kafka writes twenty digits and reads any number of them.
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((Offset(digits.parse().ok()?), suffix))
}

/// The meaning of a folder in a log dir.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Folder {
    /// A partition's own folder.
    Partition(TopicPartition),
    /// A folder that waits for its removal.
    Deleted(TopicPartition),
    /// A copy that is moving here from another log dir.
    Future(TopicPartition),
    /// A folder that no longer belongs to a partition of this broker.
    Stray(TopicPartition),
}

impl Folder {
    /// Reads a folder's name; `None` if it is not a partition's.
    pub fn parse(name: &str) -> Option<Folder> {
        for (suffix, kind) in [
            ("-delete", Folder::Deleted as fn(TopicPartition) -> Folder),
            ("-future", Folder::Future),
            ("-stray", Folder::Stray),
        ] {
            // `topic-0.<32 hex digits>-delete`: the topic may contain dots.
            if let Some((name, unique)) = name.strip_suffix(suffix).and_then(|rest| rest.rsplit_once('.'))
                && !unique.is_empty()
                && !unique.contains('-')
            {
                return parse_partition(name).map(kind);
            }
        }
        parse_partition(name).map(Folder::Partition)
    }
}

fn parse_partition(name: &str) -> Option<TopicPartition> {
    let (topic, partition) = name.rsplit_once('-')?;
    if topic.is_empty() || partition.is_empty() || !partition.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(TopicPartition::new(topic, partition.parse().ok()?))
}

/// Returns the name of a deleted partition's folder. A long topic name is cut so that it fits.
pub fn deleted_folder(partition: &TopicPartition, unique: Uuid) -> String {
    folder_with_suffix(partition, unique, "-delete")
}

/// Returns the name of a folder that belongs to no partition.
pub fn stray_folder(partition: &TopicPartition, unique: Uuid) -> String {
    folder_with_suffix(partition, unique, "-stray")
}

/// Returns the name of a copy of a partition that moves from another log dir. It is never cut,
/// since it becomes the partition's name.
pub fn future_folder(partition: &TopicPartition, unique: Uuid) -> String {
    format!("{}-{}.{}-future", partition.topic, partition.partition, hex(unique))
}

fn hex(unique: Uuid) -> String {
    unique.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn folder_with_suffix(partition: &TopicPartition, unique: Uuid, suffix: &str) -> String {
    let end = format!("-{}.{}{suffix}", partition.partition, hex(unique));
    let mut topic: &str = &partition.topic;
    while topic.len() + end.len() > FOLDER_NAME_MAX {
        let mut chars = topic.chars();
        chars.next_back();
        topic = chars.as_str();
    }
    format!("{topic}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_as_in_kafka() {
        for topic in ["t", "plain.topic_x-y", "a-1", "__consumer_offsets", "x.y-delete", "-"] {
            let partition = TopicPartition::new(topic, 12);
            assert_eq!(Folder::parse(&partition.to_string()), Some(Folder::Partition(partition.clone())));
            let id = Uuid::from_random([7; 16]);
            assert_eq!(Folder::parse(&deleted_folder(&partition, id)), Some(Folder::Deleted(partition.clone())));
            assert_eq!(Folder::parse(&stray_folder(&partition, id)), Some(Folder::Stray(partition.clone())));
            assert_eq!(Folder::parse(&future_folder(&partition, id)), Some(Folder::Future(partition)));
        }
        for name in ["", "t", "t-", "-1", "t-x", "t--", "lost+found", "t-1a", "t-99999999999"] {
            assert_eq!(Folder::parse(name), None, "{name}");
        }
        let long = TopicPartition::new("x".repeat(249).as_str(), 0);
        assert!(deleted_folder(&long, Uuid::ONE).len() <= FOLDER_NAME_MAX);
    }

    #[test]
    fn long_names_are_cut_where_kafka_cuts_them() {
        // Lengths of the whole name and of the rest of the topic, as the classes of Apache Kafka
        // 4.3.1 compute them for partition 12345.
        for (topic, deleted, stray, future) in [
            (3, (49, 3), (48, 3), 49),
            (206, (252, 206), (251, 206), 252),
            (211, (255, 209), (255, 210), 257),
            (249, (255, 209), (255, 210), 295),
        ] {
            let partition = TopicPartition::new("x".repeat(topic).as_str(), 12345);
            let lengths = |name: String| (name.len(), name.rfind('x').map_or(0, |at| at + 1));
            let unique = Uuid::from_random([0xab; 16]);
            assert_eq!(lengths(deleted_folder(&partition, unique)), deleted);
            assert_eq!(lengths(stray_folder(&partition, unique)), stray);
            assert_eq!(future_folder(&partition, unique).len(), future);
        }
        // Names from a real log dir.
        for (name, folder) in [
            ("txn-0.507ff42e4dda4ecbb96c000960fa8c57-future", Folder::Future as fn(TopicPartition) -> Folder),
            ("txn-0.b31205b7a16c4c50a61189a9390420c2-stray", Folder::Stray),
            ("txn-0.138c8a6af6bc4c5d9bb4e1faf2abd6fe-delete", Folder::Deleted),
            ("txn-0", Folder::Partition),
        ] {
            assert_eq!(Folder::parse(name), Some(folder(TopicPartition::new("txn", 0))));
        }
    }

    #[test]
    fn segment_files_are_named_as_in_kafka() {
        assert_eq!(segment_file(Offset(1068), LOG), "00000000000000001068.log");
        assert_eq!(parse_segment_file("00000000000000001068.log"), Some((Offset(1068), ".log")));
        assert_eq!(parse_segment_file("00000000000000001068.index.swap"), Some((Offset(1068), ".index.swap")));
        for name in ["x.log", ".log", "12", "99999999999999999999.log", "leader-epoch-checkpoint", "-1.log"] {
            assert_eq!(parse_segment_file(name), None, "{name}");
        }
    }
}
