//! The command line: one file per subcommand.

mod format;
mod start;

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
    #[arg(long, value_name = "HOST:PORT")]
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
    /// The release whose features the cluster begins with, such as 4.3 or 3.9-IV0
    #[arg(long, short, value_name = "RELEASE")]
    release_version: Option<String>,
    /// A feature's level; may be repeated
    #[arg(long, short, value_name = "NAME=LEVEL")]
    feature: Vec<String>,
}

impl Arguments {
    /// Runs what the arguments ask for. Errors: one line that says what is wrong and what to do.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Some(Command::Start(start)) => start.run(),
            Some(Command::Format(format)) => format.run(),
            Some(Command::RandomUuid) => {
                println!("{}", crate::runtime::random::uuid());
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
