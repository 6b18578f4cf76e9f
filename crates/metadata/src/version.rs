//! Metadata versions and features: their names, what each level allows, and which records it
//! writes.
//!
//! The finalized `metadata.version` decides which records may be written and in which version of
//! their kind. It comes from the image alone. So an older Kafka can still read a folder that it
//! once wrote, until someone upgrades the feature. Levels above [`MetadataVersion::LATEST`] are
//! unstable in Kafka 4.3.1 and refused, as are those below [`MetadataVersion::OLDEST`].

/// The feature whose level is a [`MetadataVersion`].
pub const METADATA_VERSION: &str = "metadata.version";
/// The feature of the quorum, finalized by a control record of the log and not by a feature record.
pub const KRAFT_VERSION: &str = "kraft.version";
/// KIP-966: eligible leader replicas.
pub const ELR_VERSION: &str = "eligible.leader.replicas.version";
/// KIP-848: consumer groups.
pub const GROUP_VERSION: &str = "group.version";
/// KIP-890: transactions.
pub const TRANSACTION_VERSION: &str = "transaction.version";
/// KIP-932: share groups.
pub const SHARE_VERSION: &str = "share.version";
/// KIP-1071: streams groups.
pub const STREAMS_VERSION: &str = "streams.version";

/// A level of `metadata.version`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MetadataVersion(i16);

/// Level, name, and whether it changed what is stored in the metadata log.
const VERSIONS: &[(i16, &str, bool)] = &[
    (7, "3.3-IV3", true),
    (8, "3.4-IV0", true),
    (9, "3.5-IV0", false),
    (10, "3.5-IV1", false),
    (11, "3.5-IV2", true),
    (12, "3.6-IV0", false),
    (13, "3.6-IV1", true),
    (14, "3.6-IV2", true),
    (15, "3.7-IV0", true),
    (16, "3.7-IV1", false),
    (17, "3.7-IV2", true),
    (18, "3.7-IV3", false),
    (19, "3.7-IV4", false),
    (20, "3.8-IV0", false),
    (21, "3.9-IV0", false),
    (22, "4.0-IV0", false),
    (23, "4.0-IV1", true),
    (24, "4.0-IV2", false),
    (25, "4.0-IV3", false),
    (26, "4.1-IV0", false),
    (27, "4.1-IV1", false),
    (28, "4.2-IV0", false),
    (29, "4.2-IV1", false),
    (30, "4.3-IV0", true),
];

impl MetadataVersion {
    /// 3.3-IV3, the oldest that Kafka 4.3.1 starts with.
    pub const OLDEST: Self = Self(7);
    /// 4.3-IV0, the newest that is stable in Kafka 4.3.1.
    pub const LATEST: Self = Self(30);

    /// The version of a level, `None` for a level that is not supported.
    pub fn from_level(level: i16) -> Option<Self> {
        (Self::OLDEST.0..=Self::LATEST.0).contains(&level).then_some(Self(level))
    }

    /// The version that a release or version name stands for, as `--release-version` takes it:
    /// `4.3-IV0`, or `4.3` and `4.3.1` for the newest of that release.
    pub fn from_name(name: &str) -> Option<Self> {
        if let Some((level, ..)) = VERSIONS.iter().find(|(_, known, _)| *known == name) {
            return Some(Self(*level));
        }
        let mut parts = name.split('.');
        let release = format!("{}.{}", parts.next()?, parts.next()?);
        if release.contains('-') {
            return None;
        }
        let of_release = |known: &str| known.split_once('-').is_some_and(|(of, _)| of == release);
        VERSIONS.iter().rev().find(|(_, known, _)| of_release(known)).map(|(level, ..)| Self(*level))
    }

    /// The feature level.
    pub fn level(self) -> i16 {
        self.0
    }

    /// For example `4.3-IV0`.
    pub fn name(self) -> &'static str {
        VERSIONS.iter().find(|(level, ..)| *level == self.0).map_or("", |(_, name, _)| name)
    }

    /// Every version, oldest first.
    pub fn all() -> impl Iterator<Item = Self> {
        VERSIONS.iter().map(|(level, ..)| Self(*level))
    }

    /// Whether a version after the older of the two, up to the newer, changed what the metadata log
    /// holds.
    pub fn metadata_changed_between(self, other: Self) -> bool {
        let (low, high) = (self.min(other).0, self.max(other).0);
        VERSIONS.iter().any(|(level, _, changed)| *changed && *level > low && *level <= high)
    }

    /// Whether SCRAM credentials may be stored (3.5-IV2).
    pub fn has_scram(self) -> bool {
        self.0 >= 11
    }

    /// Whether a shrinking ISR needs a new leader epoch (below 3.6-IV0, KAFKA-15021).
    pub fn bumps_leader_epoch_on_isr_shrink(self) -> bool {
        self.0 < 12
    }

    /// Whether every release that may run reads the coordinators' records in flexible versions
    /// (3.5-IV0, KIP-915). The oldest release of a version is the one that brought it: 3.4.0 stops
    /// loading a partition at such a record, 3.4.1 and 3.5.0 read it.
    pub fn has_flexible_coordinator_records(self) -> bool {
        self.0 >= 9
    }

    /// Whether metadata transactions may be written (3.6-IV1, KIP-868).
    pub fn has_transactions(self) -> bool {
        self.0 >= 13
    }

    /// Whether delegation tokens may be stored (3.6-IV2).
    pub fn has_delegation_tokens(self) -> bool {
        self.0 >= 14
    }

    /// Whether controllers register (3.7-IV0, KIP-919).
    pub fn has_controller_registration(self) -> bool {
        self.0 >= 15
    }

    /// Whether replicas know their log dir (3.7-IV2, KIP-858).
    pub fn has_directories(self) -> bool {
        self.0 >= 17
    }

    /// Whether partitions hold eligible leader replicas (4.0-IV1, KIP-966).
    pub fn has_elr(self) -> bool {
        self.0 >= 23
    }

    /// Whether log dirs can be cordoned (4.3-IV0, KIP-1066).
    pub fn has_cordoned_log_dirs(self) -> bool {
        self.0 >= 30
    }

    /// Whether brokers of a ZooKeeper migration may be stored (3.4-IV0).
    pub fn has_zk_migration(self) -> bool {
        self.0 >= 8
    }

    /// The version of `RegisterBrokerRecord`.
    pub fn register_broker_record(self) -> i16 {
        match self.0 {
            30.. => 4,
            17.. => 3,
            8.. => 2,
            _ => 1,
        }
    }

    /// The version of `PartitionRecord`.
    pub fn partition_record(self) -> i16 {
        match self.0 {
            23.. => 2,
            17.. => 1,
            _ => 0,
        }
    }

    /// The version of `PartitionChangeRecord`.
    pub fn partition_change_record(self) -> i16 {
        self.partition_record()
    }
}

impl std::fmt::Display for MetadataVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// One feature that a node supports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Its name.
    pub name: &'static str,
    /// The lowest supported level; 0 where the feature may be off.
    pub min: i16,
    /// The highest supported level.
    pub max: i16,
    /// Level and the oldest `metadata.version` whose defaults include it.
    defaults: &'static [(i16, i16)],
}

/// The features of Kafka 4.3.1 in stable levels, in the order in which Kafka's tools print them.
pub const FEATURES: &[Feature] = &[
    Feature { name: ELR_VERSION, min: 0, max: 1, defaults: &[(1, 26)] },
    Feature { name: GROUP_VERSION, min: 0, max: 1, defaults: &[(1, 22)] },
    Feature { name: KRAFT_VERSION, min: 0, max: 1, defaults: &[(1, 21)] },
    Feature { name: METADATA_VERSION, min: 7, max: 30, defaults: &[] },
    Feature { name: SHARE_VERSION, min: 0, max: 1, defaults: &[(1, 28)] },
    Feature { name: STREAMS_VERSION, min: 0, max: 1, defaults: &[(1, 29)] },
    Feature { name: TRANSACTION_VERSION, min: 0, max: 2, defaults: &[(2, 24)] },
];

impl Feature {
    /// The feature with this name.
    pub fn named(name: &str) -> Option<&'static Feature> {
        FEATURES.iter().find(|feature| feature.name == name)
    }

    /// The level that `format` gives the feature at a metadata version; 0 where the feature stays
    /// off.
    pub fn default_level(&self, version: MetadataVersion) -> i16 {
        if self.name == METADATA_VERSION {
            return version.level();
        }
        self.defaults.iter().rev().find(|(_, from)| *from <= version.level()).map_or(0, |(level, _)| *level)
    }

    /// The features that this level depends on, each with its lowest level.
    pub fn dependency(&self, level: i16) -> Option<(&'static str, i16)> {
        (self.name == ELR_VERSION && level == 1).then_some((METADATA_VERSION, 23))
    }
}

/// Levels of later releases: feature, level, its name where it has one, release.
const LATER: &[(&str, i16, &str, &str)] = &[
    (METADATA_VERSION, 31, " (4.4-IV0)", "4.4"),
    (METADATA_VERSION, 32, " (4.4-IV1)", "4.4"),
    (METADATA_VERSION, 33, " (4.4-IV2)", "4.4"),
    (SHARE_VERSION, 2, "", "4.4"),
];

/// The name of a feature's level in brackets, and the release that brought it, where that release
/// is later than 4.3 and known here.
pub fn later_release(feature: &str, level: i16) -> Option<(&'static str, &'static str)> {
    let found = LATER.iter().find(|(name, at, ..)| *name == feature && *at == level)?;
    Some((found.2, found.3))
}

/// The levels of a transaction manager that the code before it cannot know: a reminder for readers
/// that level 0 stands for "not finalized".
pub(crate) const NOT_FINALIZED: i16 = 0;
