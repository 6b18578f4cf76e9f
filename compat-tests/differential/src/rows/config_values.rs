//! Every topic config with valid, invalid and limit values: the answer to each, and the value
//! afterwards.

use super::configs::{Change, SET, TOPIC, described, incremental};
use super::{published, topic};
use crate::run::Run;

/// Values that are tried with every number.
const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "-2",
    "-3",
    "1000",
    "2147483648",
    "9223372036854775808",
    "1.5",
    " 7 ",
    "",
    "x",
    "+5",
    "1_000",
    "0x10",
];
/// Values that are tried with every boolean.
const SWITCHES: &[&str] = &["true", "false", "TRUE", "yes", "1", "", " true "];

/// A config and its own values.
const CONFIGS: &[(&str, &[&str])] = &[
    (
        "cleanup.policy",
        &[
            "delete",
            "compact",
            "delete,compact",
            "compact,delete",
            "",
            "delete,delete",
            "shred",
            "delete,",
            " delete ",
            "Delete",
            "none",
        ],
    ),
    ("compression.type", &["producer", "none", "uncompressed", "gzip", "snappy", "lz4", "zstd", "rar", "", "GZIP"]),
    ("compression.gzip.level", &["-1", "0", "1", "9", "10", "x"]),
    ("compression.lz4.level", &["0", "1", "17", "18", "-1"]),
    ("compression.zstd.level", &["-131072", "-131073", "0", "22", "23"]),
    ("delete.retention.ms", NUMBERS),
    ("file.delete.delay.ms", NUMBERS),
    ("flush.messages", NUMBERS),
    ("flush.ms", NUMBERS),
    ("follower.replication.throttled.replicas", &["*", "0:1", "0:1,1:1", "", "x", "0", "0:1:2", "none", "*,0:1"]),
    ("leader.replication.throttled.replicas", &["*", "0:1", "0:1,1:1", "", "x", "0:", ":1", " 0:1 "]),
    ("index.interval.bytes", NUMBERS),
    ("local.retention.bytes", &["-2", "-3", "0", "1", "100", "x"]),
    ("local.retention.ms", &["-2", "-3", "0", "1", "100", "99999999999999", "x"]),
    ("max.compaction.lag.ms", NUMBERS),
    ("max.message.bytes", NUMBERS),
    ("message.timestamp.after.max.ms", NUMBERS),
    ("message.timestamp.before.max.ms", NUMBERS),
    ("message.timestamp.type", &["CreateTime", "LogAppendTime", "createtime", "", "NoTimestampType"]),
    ("min.cleanable.dirty.ratio", &["0", "1", "0.5", "1.1", "-0.1", "x", "", "NaN"]),
    ("min.compaction.lag.ms", NUMBERS),
    ("min.insync.replicas", NUMBERS),
    ("preallocate", SWITCHES),
    ("remote.log.copy.disable", SWITCHES),
    ("remote.log.delete.on.disable", SWITCHES),
    ("remote.storage.enable", SWITCHES),
    ("retention.bytes", NUMBERS),
    ("retention.ms", NUMBERS),
    ("segment.bytes", &["1048576", "1048575", "14", "2147483647", "2147483648", "0", "x"]),
    ("segment.index.bytes", NUMBERS),
    ("segment.jitter.ms", NUMBERS),
    ("segment.ms", NUMBERS),
    ("unclean.leader.election.enable", SWITCHES),
    ("message.format.version", &["3.0", "0.10.0", "x"]),
    ("message.timestamp.difference.max.ms", &["1", "x"]),
    ("message.downconversion.enable", &["true", "x"]),
    ("internal.segment.bytes", &["1000", "x"]),
];

pub fn rows(run: &mut Run) {
    topic(run, "values", 1, &[]);
    for (config, values) in CONFIGS {
        for value in *values {
            run.row(&format!("{config}={value:?}"), [1], |_, _| {
                incremental(TOPIC, "values", &[(config, SET, Some(value))])
            });
        }
        published(run);
        run.row(&format!("{config} after all of them"), [4], |_, _| described(TOPIC, "values", Some(&[config])));
        run.row(&format!("{config} reset"), [1], |_, _| incremental(TOPIC, "values", &[(config, 1, None)]));
    }
    pairs(run);
}

/// Values that conflict with each other.
fn pairs(run: &mut Run) {
    let cases: &[&[Change]] = &[
        &[("min.compaction.lag.ms", SET, Some("1000")), ("max.compaction.lag.ms", SET, Some("10"))],
        &[("retention.ms", SET, Some("10")), ("local.retention.ms", SET, Some("100"))],
        &[("retention.bytes", SET, Some("10")), ("local.retention.bytes", SET, Some("100"))],
        &[("remote.storage.enable", SET, Some("true")), ("cleanup.policy", SET, Some("compact"))],
        &[("segment.ms", SET, Some("10")), ("segment.jitter.ms", SET, Some("100"))],
        &[("retention.ms", SET, Some("x")), ("retention.bytes", SET, Some("y"))],
    ];
    for changes in cases {
        let case: Vec<String> =
            changes.iter().map(|(name, _, value)| format!("{name}={}", value.unwrap_or(""))).collect();
        run.row(&case.join(" "), 0..=1, |_, _| incremental(TOPIC, "values", changes));
    }
}
