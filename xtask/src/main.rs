//! The project's automation: `cargo xtask codegen`, `cargo xtask tidy`, `cargo xtask ci`.

mod codegen;

use anyhow::{Context, Result, bail};
use std::path::Path;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the workspace's folder")?;
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["codegen"] => codegen::run(root, false),
        ["codegen", "--check"] => codegen::run(root, true),
        _ => bail!("usage: cargo xtask codegen [--check]"),
    }
}
