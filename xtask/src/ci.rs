//! `cargo xtask ci` runs everything that continuous integration runs. The checks that find a
//! mistake soonest run first.

use crate::{codegen, tidy};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Runs every check. Fails with the first one that fails.
pub fn run(root: &Path) -> Result<()> {
    let cargo = |words: &[&str]| command(root, env!("CARGO"), words);
    step("format", || cargo(&["fmt", "--all", "--check"]))?;
    step("generated code", || codegen::run(root, true))?;
    step("tidy", || tidy::run(root))?;
    step("dependencies", || dependencies(root))?;
    step("clippy", || cargo(&["clippy", "--workspace", "--all-targets", "--locked", "--", "--deny", "warnings"]))?;
    step("clippy of the clusters", || {
        let target = ["--package", "gregor", "--all-features", "--test", "cluster", "--locked"];
        cargo(&[&["clippy"][..], &target, &["--", "--deny", "warnings"]].concat())
    })?;
    step("tests", || tests(root))?;
    step("clusters", || clusters(root))?;
    step("release build", || cargo(&["build", "--release", "--locked", "--package", "gregor"]))?;
    step("clients", || command(root, "compat-tests/run", &[]))?;
    step("differential", || command(root, "compat-tests/differential/run", &[]))
}

/// Runs the tests of Rust. The random tests draw the same cases in every run, so that a change is
/// judged by what it changes. `cargo test` alone draws new ones.
fn tests(root: &Path) -> Result<()> {
    let mut tests = Command::new(env!("CARGO"));
    tests.args(["test", "--workspace", "--all-features", "--locked"]).env("PROPTEST_RNG_SEED", "1");
    run_in(root, &mut tests)
}

/// The number of clusters that are simulated.
const CLUSTERS: &str = "2000";

/// Simulates whole clusters, in an optimized build.
fn clusters(root: &Path) -> Result<()> {
    let mut simulated = Command::new(env!("CARGO"));
    let arguments = ["test", "--profile", "sim", "--package", "gregor", "--all-features", "--locked"];
    simulated.args(arguments).args(["--test", "cluster"]).env("CLUSTER_SIM_SEEDS", CLUSTERS);
    run_in(root, &mut simulated)
}

/// Checks licenses, advisories, banned crates and sources as `deny.toml` says. If cargo-deny is not
/// installed, it checks nothing, because nothing else needs cargo-deny.
fn dependencies(root: &Path) -> Result<()> {
    let version = Command::new("cargo-deny").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        eprintln!("cargo-deny is not installed: deny.toml is not checked (cargo install cargo-deny --locked)");
        return Ok(());
    }
    command(root, "cargo-deny", &["--locked", "check", "--hide-inclusion-graph"])
}

fn step(name: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
    eprintln!("==> {name}");
    let from = Instant::now();
    check().with_context(|| format!("{name} failed"))?;
    eprintln!("==> {name} took {} s", from.elapsed().as_secs());
    Ok(())
}

fn command(root: &Path, program: &str, words: &[&str]) -> Result<()> {
    let program = if program.contains('/') && !program.starts_with('/') { root.join(program) } else { program.into() };
    run_in(root, Command::new(program).args(words))
}

fn run_in(root: &Path, command: &mut Command) -> Result<()> {
    let status = command.current_dir(root).status().with_context(|| format!("{command:?}"))?;
    if !status.success() {
        bail!("{command:?}: {status}");
    }
    Ok(())
}
