//! Which disk errors of one partition are logged.

use storage::Error;
use tracing::error;

/// Logs a partition's error. An error of the whole log dir is not logged here, since it is logged
/// once for the dir. Nor is an error after another log replaced the partition's log, since it means
/// nothing.
pub(super) fn log_partition_error(fault: &Error, partition: String, what: &str) {
    if !fault.is_disk_full() && !matches!(fault, Error::Offline { .. } | Error::Moved { .. }) {
        error!(%partition, error = %fault, "{what}");
    }
}
