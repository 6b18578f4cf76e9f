//! The project's automation: `cargo xtask codegen`, `cargo xtask tidy`, `cargo xtask ci`,
//! `cargo xtask dist`.

mod ci;
mod codegen;
mod dist;
mod tidy;

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's folder")?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["ci"] => ci::run(root),
        ["dist"] => dist::run(root).map(drop),
        ["tidy"] => tidy::run(root),
        ["codegen"] => codegen::run(root, false),
        ["codegen", "--check"] => codegen::run(root, true),
        _ => bail!("usage: cargo xtask ci | dist | tidy | codegen [--check]"),
    }
}
