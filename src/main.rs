//! `gregor`: arguments, and the subcommand that they name.

use clap::Parser as _;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match gregor::cli::Arguments::parse().run() {
        Ok(code) => code,
        Err(error) => {
            // One line, whatever the cause: it says what was found and what to do.
            eprintln!("gregor: {error:#}");
            ExitCode::FAILURE
        }
    }
}
