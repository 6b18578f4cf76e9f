//! `cargo xtask codegen` generates the code of the protocol crate from its schemas.

mod emit;
mod names;
mod schema;
mod tables;

use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Writes the generated files. With `check`, fails if they differ from what the schemas give.
pub fn run(root: &Path, check: bool) -> Result<()> {
    let files = generate(&root.join("crates/protocol/schemas"))?;
    let target = root.join("crates/protocol/src/generated");
    if check {
        for (name, text) in &files {
            let there = fs::read_to_string(target.join(name)).unwrap_or_default();
            if there != *text {
                bail!("crates/protocol/src/generated/{name} is stale; run `cargo xtask codegen`");
            }
        }
    } else {
        fs::create_dir_all(&target)?;
    }
    for entry in fs::read_dir(&target)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !files.contains_key(name) {
            match check {
                true => bail!("{} has no schema; run `cargo xtask codegen`", path.display()),
                false => fs::remove_file(path)?,
            }
        }
    }
    if !check {
        for (name, text) in &files {
            fs::write(target.join(name), text)?;
        }
    }
    Ok(())
}

fn generate(schemas: &Path) -> Result<BTreeMap<String, String>> {
    let mut all = Vec::new();
    let mut by_file = BTreeMap::new();
    for path in schema_files(schemas)? {
        let text = fs::read_to_string(&path)?;
        let messages = schema::parse(&text).with_context(|| path.display().to_string())?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_string();
        all.extend(messages.iter().cloned());
        by_file.insert(name, messages);
    }
    let of = |file: &str| by_file.get(file).map(Vec::as_slice).with_context(|| format!("no schema file {file}"));
    let mut files = BTreeMap::new();
    files.insert("mod.rs".to_string(), tables::modules(&all));
    for message in &all {
        files.insert(format!("{}.rs", names::snake(message.name())), emit::message(message));
    }
    let mut enums = vec![
        ("api_key", tables::api_keys(&all)),
        (
            "metadata_log_record",
            tables::framed("MetadataRecord", "A record of the metadata log", of("metadata_records.txt")?),
        ),
    ];
    for (module, name, topic, file) in [
        ("group_log_record", "GroupRecord", "__consumer_offsets", "group_coordinator_records.txt"),
        ("transaction_log_record", "TransactionRecord", "__transaction_state", "transaction_coordinator_records.txt"),
        ("share_log_record", "ShareRecord", "__share_group_state", "share_coordinator_records.txt"),
    ] {
        enums.push((module, tables::keyed(name, &format!("A record of `{topic}`"), of(file)?)));
    }
    for (module, text) in enums {
        if let Some(list) = files.get_mut("mod.rs") {
            list.push_str(&format!("pub mod {module};\n"));
        }
        files.insert(format!("{module}.rs"), text);
    }
    files.into_iter().map(|(name, text)| Ok((name, rustfmt(&text)?))).collect()
}

fn schema_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

fn rustfmt(text: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config", "max_width=140,use_small_heuristics=Max"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("rustfmt, which comes with the toolchain")?;
    child.stdin.take().context("stdin")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refused generated code");
    }
    Ok(String::from_utf8(output.stdout)?)
}
