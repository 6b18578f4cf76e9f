//! The command line: one file per subcommand.

mod check;
mod dump_log;
mod format;
mod output;
mod signals;
mod start;
mod storage_info;

pub use output::failed;

use crate::config::Address;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// A Kafka broker and controller in one native binary.
#[derive(Debug, Parser)]
#[command(name = "gregor", version, about, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker and controller; without a configuration, on a folder of its own
    Start(Start),
    /// Format the log dirs of a configuration, as `kafka-storage format` does
    Format(Format),
    /// Say whether a node starts on its folders, and what is lost; nothing is written
    Check(Check),
    /// What `kafka-storage` says of log dirs
    #[command(subcommand)]
    Storage(Storage),
    /// Print what is in the files of a log, as `kafka-dump-log` does
    DumpLog(DumpLog),
    /// Print a new cluster id
    RandomUuid,
}

/// What `gregor start` takes.
#[derive(Debug, Default, clap::Args)]
pub struct Start {
    /// A server.properties as Apache Kafka reads it
    #[arg(conflicts_with_all = ["data_dir", "listen"])]
    properties: Option<PathBuf>,
    /// A property that counts instead of the file's; may be repeated
    #[arg(long = "override", value_name = "NAME=VALUE")]
    overrides: Vec<String>,
    /// Where data is kept when there is no server.properties
    #[arg(long, value_name = "DIR", default_value = "./gregor-data")]
    data_dir: PathBuf,
    /// Where clients connect when there is no server.properties; for a new folder 127.0.0.1:9092 unless told otherwise
    #[arg(long, value_name = "HOST:PORT", value_parser = start::listen_address)]
    listen: Option<Address>,
    /// Serve /livez, /readyz and /metrics on this address
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<Address>,
}

/// What `gregor format` takes.
#[derive(Debug, clap::Args)]
pub struct Format {
    /// The server.properties of the node
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// The cluster's id: 22 characters, as `kafka-storage random-uuid` prints
    #[arg(long, short = 't', value_name = "ID")]
    cluster_id: String,
    /// Do nothing, successfully, for log dirs that are formatted already
    #[arg(long, short = 'g')]
    ignore_formatted: bool,
    /// The node begins a quorum of which it is the only voter
    #[arg(long, short)]
    standalone: bool,
    /// The node joins a quorum that exists
    #[arg(long, short = 'N', conflicts_with = "standalone")]
    no_initial_controllers: bool,
    /// The first voters: this node alone, as ID@HOST:PORT:DIRECTORY
    #[arg(long, short = 'I', value_name = "VOTER,...", conflicts_with_all = ["standalone", "no_initial_controllers"])]
    initial_controllers: Option<String>,
    /// A SCRAM credential that the cluster begins with, as SCRAM-SHA-256=[name=alice,password=secret]; may be repeated
    #[arg(long, short = 'S', value_name = "CREDENTIAL")]
    add_scram: Vec<String>,
    /// The release whose features the cluster begins with, such as 4.3 or 3.9-IV0
    #[arg(long, short, value_name = "RELEASE")]
    release_version: Option<String>,
    /// A feature's level; may be repeated
    #[arg(long, short, value_name = "NAME=LEVEL")]
    feature: Vec<String>,
}

/// What `gregor check` takes. It ends with 0 when the node starts and all is well, 1 when it starts with warnings, 2 when it does not start.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// A server.properties as Apache Kafka reads it
    properties: PathBuf,
    /// A property that counts instead of the file's; may be repeated
    #[arg(long = "override", value_name = "NAME=VALUE")]
    overrides: Vec<String>,
    /// Print JSON in place of a table
    #[arg(long)]
    json: bool,
}

/// What `gregor storage` does.
#[derive(Debug, Subcommand)]
pub enum Storage {
    /// Print what log dirs are formatted for, as `kafka-storage info` does
    Info {
        /// The server.properties of the node
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
    },
}

/// What `gregor dump-log` takes.
#[derive(Debug, clap::Args)]
#[command(infer_long_args = true)]
pub struct DumpLog {
    /// The files: .log, .index, .timeindex, .txnindex, .snapshot, .checkpoint
    #[arg(long, value_name = "FILE,...")]
    files: String,
    /// Print what records say; implied by every decoder
    #[arg(long)]
    print_data_log: bool,
    /// Print records, not only batches; implied by --print-data-log
    #[arg(long)]
    deep_iteration: bool,
    /// Check indexes against their logs without printing them
    #[arg(long)]
    verify_index_only: bool,
    /// Check indexes as a start does, without printing them
    #[arg(long)]
    index_sanity_check: bool,
    /// The largest batch that an offset index may point to
    #[arg(long, value_name = "BYTES", default_value_t = 5 * 1024 * 1024, allow_negative_numbers = true)]
    max_message_size: i32,
    /// How much of a log is read
    #[arg(long, value_name = "BYTES", default_value_t = i32::MAX, allow_negative_numbers = true)]
    max_bytes: i32,
    /// Records are those of __consumer_offsets
    #[arg(long)]
    offsets_decoder: bool,
    /// Records are those of __transaction_state
    #[arg(long)]
    transaction_log_decoder: bool,
    /// Records are those of __share_group_state
    #[arg(long)]
    share_group_state_decoder: bool,
    /// Records are those of __cluster_metadata
    #[arg(long)]
    cluster_metadata_decoder: bool,
    /// Not supported
    #[arg(long)]
    remote_log_metadata_decoder: bool,
    /// Print keys and values alone
    #[arg(long)]
    skip_record_metadata: bool,
    /// Not supported
    #[arg(long, value_name = "CLASS", num_args = 0..=1, default_missing_value = "")]
    value_decoder_class: Option<String>,
    /// Not supported
    #[arg(long, value_name = "CLASS", num_args = 0..=1, default_missing_value = "")]
    key_decoder_class: Option<String>,
}

impl Arguments {
    /// Runs what the arguments ask for. Errors: one line that says what is wrong and what to do.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Some(Command::Start(start)) => start.run(),
            Some(Command::Format(format)) => format.run(),
            Some(Command::Check(check)) => check.run(),
            Some(Command::Storage(storage)) => storage.run(),
            Some(Command::DumpLog(dump)) => dump.run(),
            Some(Command::RandomUuid) => {
                output::result(format_args!("{}\n", crate::env::random::uuid()))?;
                Ok(ExitCode::SUCCESS)
            }
            // Without a word, a broker starts, with what `start` has as defaults.
            None => match Arguments::parse_from(["gregor", "start"]).command {
                Some(Command::Start(start)) => start.run(),
                _ => Ok(ExitCode::FAILURE),
            },
        }
    }
}
