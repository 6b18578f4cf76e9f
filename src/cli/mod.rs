//! The command line: one file per subcommand.

mod add_scram;
mod check;
mod container;
mod dev;
mod dump_log;
mod first_start;
mod format;
mod health;
mod initial_controllers;
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
    /// Run a broker and controller; without a configuration, in its own new folder
    Start(Start),
    /// Run a cluster of several nodes on this machine, in its own new folder, until Ctrl-C
    Dev(Dev),
    /// Run a node configured by KAFKA_* variables and mounted files, as the image apache/kafka is
    Container(Container),
    /// Exit with 0 if the node of a configuration serves its listeners
    Health(Health),
    /// Format the log dirs of a configuration, as `kafka-storage format` does
    Format(Format),
    /// Report whether a node can start on its folders and what would be lost; nothing is written
    Check(Check),
    /// Inspect log dirs, as `kafka-storage` does
    #[command(subcommand)]
    Storage(Storage),
    /// Print the contents of a log's files, as `kafka-dump-log` does
    DumpLog(DumpLog),
    /// Print a new cluster id
    RandomUuid,
}

/// The arguments of `gregor start`.
#[derive(Debug, Default, clap::Args)]
pub struct Start {
    /// A server.properties file of Apache Kafka
    #[arg(conflicts_with_all = ["data_dir", "listen"])]
    properties: Option<PathBuf>,
    /// A property that overrides the file's; may be repeated
    #[arg(long = "override", value_name = "NAME=VALUE")]
    overrides: Vec<String>,
    /// The folder for data if there is no server.properties
    #[arg(long, value_name = "DIR", default_value = "./gregor-data")]
    data_dir: PathBuf,
    /// The address for clients if there is no server.properties; a new folder's default is
    /// 127.0.0.1:9092
    #[arg(long, value_name = "HOST:PORT", value_parser = start::listen_address)]
    listen: Option<Address>,
    /// Serve /livez, /readyz and /metrics on this address
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<Address>,
    /// Stop when this process, which started the node, ends
    #[arg(long, value_name = "PID", hide = true)]
    stop_with: Option<i32>,
    /// The filter of the log, instead of `RUST_LOG`.
    #[arg(skip)]
    log: Option<String>,
}

/// The arguments of `gregor container`.
#[derive(Debug, clap::Args)]
pub struct Container {
    /// The folder with the user's server.properties
    #[arg(long, value_name = "DIR", default_value = "/mnt/shared/config")]
    mounted_configs_dir: PathBuf,
    /// The folder that gets the server.properties of the node
    #[arg(long, value_name = "DIR", default_value = "/opt/kafka/config")]
    final_configs_dir: PathBuf,
    /// The folder with key stores and the files of their passwords
    #[arg(long, value_name = "DIR", default_value = "/etc/kafka/secrets")]
    secrets_dir: PathBuf,
    /// Serve /livez, /readyz and /metrics on this address
    #[arg(long, value_name = "HOST:PORT")]
    http: Option<Address>,
    /// A variable that overrides the environment's; may be repeated
    #[arg(value_name = "NAME=VALUE")]
    variables: Vec<String>,
}

/// The arguments of `gregor health`.
#[derive(Debug, clap::Args)]
pub struct Health {
    /// The server.properties of the node
    #[arg(default_value = "/opt/kafka/config/server.properties")]
    properties: PathBuf,
}

/// The arguments of `gregor dev`.
#[derive(Debug, clap::Args)]
pub struct Dev {
    /// The number of nodes, each broker and controller; a new folder's default is 3
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=i64::from(dev::NODES_MAX)))]
    nodes: Option<u16>,
    /// The port of the first node's clients; the other ports follow. A new folder's default is 9092
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// The folder for data, with a folder for each node
    #[arg(long, value_name = "DIR", default_value = "./gregor-cluster")]
    data_dir: PathBuf,
}

/// The arguments of `gregor format`.
#[derive(Debug, Default, clap::Args)]
pub struct Format {
    /// The server.properties of the node
    #[arg(long, short, value_name = "FILE")]
    config: PathBuf,
    /// The cluster's id: 22 characters, as `kafka-storage random-uuid` prints it
    #[arg(long, short = 't', value_name = "ID")]
    cluster_id: String,
    /// Skip log dirs that are already formatted
    #[arg(long, short = 'g')]
    ignore_formatted: bool,
    /// Start a quorum with this node as the only voter
    #[arg(long, short)]
    standalone: bool,
    /// Join an existing quorum
    #[arg(long, short = 'N', conflicts_with = "standalone")]
    no_initial_controllers: bool,
    /// The first voters, the same on each node, each as ID@HOST:PORT:DIRECTORY
    #[arg(long, short = 'I', value_name = "VOTER,...", conflicts_with_all = ["standalone", "no_initial_controllers"])]
    initial_controllers: Option<String>,
    /// Not supported yet
    #[arg(long, short = 'S', value_name = "CREDENTIAL")]
    add_scram: Vec<String>,
    /// The release whose features the new cluster has, such as 4.3 or 3.9-IV0
    #[arg(long, short, value_name = "RELEASE")]
    release_version: Option<String>,
    /// A feature's level; may be repeated
    #[arg(long, short, value_name = "NAME=LEVEL")]
    feature: Vec<String>,
}

/// The arguments of `gregor check`. The exit status is 0 if the node starts, 1 if it starts with
/// warnings, 2 if it does not start.
#[derive(Debug, clap::Args)]
pub struct Check {
    /// A server.properties file of Apache Kafka
    properties: PathBuf,
    /// A property that overrides the file's; may be repeated
    #[arg(long = "override", value_name = "NAME=VALUE")]
    overrides: Vec<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    json: bool,
}

/// The subcommands of `gregor storage`.
#[derive(Debug, Subcommand)]
pub enum Storage {
    /// Print what log dirs are formatted for, as `kafka-storage info` does
    Info {
        /// The server.properties of the node
        #[arg(long, short, value_name = "FILE")]
        config: PathBuf,
    },
}

/// The arguments of `gregor dump-log`.
#[derive(Debug, clap::Args)]
#[command(infer_long_args = true)]
pub struct DumpLog {
    /// The files: .log, .index, .timeindex, .txnindex, .snapshot, .checkpoint
    #[arg(long, value_name = "FILE,...")]
    files: String,
    /// Print the contents of records; implied by every decoder
    #[arg(long)]
    print_data_log: bool,
    /// Print records, not only batches; implied by --print-data-log
    #[arg(long)]
    deep_iteration: bool,
    /// Check indexes against their logs and do not print them
    #[arg(long)]
    verify_index_only: bool,
    /// Check indexes as a start does and do not print them
    #[arg(long)]
    index_sanity_check: bool,
    /// The largest batch to which an offset index may point
    #[arg(long, value_name = "BYTES", default_value_t = 5 * 1024 * 1024, allow_negative_numbers = true)]
    max_message_size: i32,
    /// The maximum bytes of a log to read
    #[arg(long, value_name = "BYTES", default_value_t = i32::MAX, allow_negative_numbers = true)]
    max_bytes: i32,
    /// Decode records of __consumer_offsets
    #[arg(long)]
    offsets_decoder: bool,
    /// Decode records of __transaction_state
    #[arg(long)]
    transaction_log_decoder: bool,
    /// Decode records of __share_group_state
    #[arg(long)]
    share_group_state_decoder: bool,
    /// Decode records of __cluster_metadata
    #[arg(long)]
    cluster_metadata_decoder: bool,
    /// Not supported
    #[arg(long)]
    remote_log_metadata_decoder: bool,
    /// Print only keys and values
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
    /// Runs the subcommand. Errors: one line that says what is wrong and what to do.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Some(Command::Start(start)) => start.run(),
            Some(Command::Dev(dev)) => dev.run(),
            Some(Command::Container(container)) => container.run(),
            Some(Command::Health(health)) => health.run(),
            Some(Command::Format(format)) => format.run(),
            Some(Command::Check(check)) => check.run(),
            Some(Command::Storage(storage)) => storage.run(),
            Some(Command::DumpLog(dump)) => dump.run(),
            Some(Command::RandomUuid) => {
                output::result(format_args!("{}\n", crate::env::Env::default().uuid()))?;
                Ok(ExitCode::SUCCESS)
            }
            // Without a subcommand, a broker starts with the defaults of `start`.
            None => match Arguments::parse_from(["gregor", "start"]).command {
                Some(Command::Start(start)) => start.run(),
                _ => Ok(ExitCode::FAILURE),
            },
        }
    }
}
