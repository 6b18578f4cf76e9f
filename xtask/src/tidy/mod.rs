//! `cargo xtask tidy`: what Cargo cannot say about the code, said with its replacement.

mod circles;
mod rules;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Checks every handwritten Rust file and document. Errors: each finding is printed, and there was
/// at least one.
pub fn run(root: &Path) -> Result<()> {
    let files = handwritten(root, "*.rs")?;
    let mut findings: Vec<String> = files.iter().flat_map(|(path, text)| rules::file(path, text)).collect();
    findings.extend(handwritten(root, "*.md")?.iter().flat_map(|(path, text)| rules::document(path, text)));
    findings.extend(circles::find(&files));
    findings.extend(machines_without_tokio(root)?);
    findings.extend(one_file_per_api(root)?);
    if findings.is_empty() {
        return Ok(());
    }
    for finding in &findings {
        eprintln!("{finding}");
    }
    bail!("{} findings", findings.len());
}

/// The handwritten files of a kind that git knows or would add, by path from the root.
fn handwritten(root: &Path, pattern: &str) -> Result<Vec<(String, String)>> {
    let output = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard", "--", pattern])
        .current_dir(root)
        .output()
        .context("git")?;
    let paths = String::from_utf8(output.stdout)?;
    let paths = paths.lines().filter(|path| !path.contains("/generated/") && root.join(path).exists());
    let read =
        |path: &str| Ok((path.to_string(), fs::read_to_string(root.join(path)).with_context(|| path.to_string())?));
    paths.map(read).collect()
}

/// The machines see no runtime, not even through a dependency.
fn machines_without_tokio(root: &Path) -> Result<Vec<String>> {
    let mut findings = Vec::new();
    for machine in ["storage", "replica", "raft", "metadata", "coordinator", "sasl"] {
        let output = Command::new(env!("CARGO"))
            .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--package", machine])
            .current_dir(root)
            .output()
            .context("cargo tree")?;
        if !output.status.success() {
            bail!("cargo tree of {machine}: {}", String::from_utf8_lossy(&output.stderr));
        }
        if String::from_utf8(output.stdout)?.lines().any(|line| line.starts_with("tokio ")) {
            findings.push(format!("crates/{machine}: depends on tokio; a machine takes time as an argument, its driver in src/runtime owns the loop"));
        }
    }
    Ok(findings)
}

/// `src/api` has one file per row of its table, and the files that several of them share.
fn one_file_per_api(root: &Path) -> Result<Vec<String>> {
    let folder = root.join("src/api");
    let table = fs::read_to_string(folder.join("mod.rs")).unwrap_or_default();
    let mut findings = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let Some(module) = name.strip_suffix(".rs") else { continue };
        if !["mod", "authentication", "authorization", "context", "error", "tests", "verification"].contains(&module)
            && !table.contains(&format!("{module}::handle"))
        {
            findings.push(format!("src/api/{name}: no row of the table in src/api/mod.rs is served by it"));
        }
    }
    Ok(findings)
}
