//! The `gregor` binary: parses the arguments and runs the subcommand that they name.

use clap::Parser as _;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match gregor::cli::Arguments::parse().run() {
        Ok(code) => code,
        Err(error) => {
            gregor::cli::failed(&error);
            ExitCode::FAILURE
        }
    }
}
