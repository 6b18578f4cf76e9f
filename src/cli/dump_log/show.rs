//! How much of a log is shown, and how Kafka's tool prints what all formats have.

use records::TimestampType;

/// What is shown of a log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Show {
    /// Records, not only batches.
    pub(super) records: bool,
    /// Keys and values of records.
    pub(super) contents: bool,
    /// Offset, timestamp and the like of records.
    pub(super) metadata: bool,
}

impl Show {
    /// What stands before a record's key or value when it is the first on the line.
    pub(super) fn margin(self) -> &'static str {
        if self.metadata { " " } else { "| " }
    }
}

/// How Java prints an optional number.
pub(super) fn optional_long(value: Option<i64>) -> String {
    value.map_or_else(|| "OptionalLong.empty".into(), |value| format!("OptionalLong[{value}]"))
}

/// Kafka's name of a timestamp's kind.
pub(super) fn timestamp_name(kind: TimestampType) -> &'static str {
    match kind {
        TimestampType::CreateTime => "CreateTime",
        TimestampType::LogAppendTime => "LogAppendTime",
    }
}
