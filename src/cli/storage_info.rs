//! `gregor storage info`: prints what log dirs are formatted for, in the words of `kafka-storage
//! info`.

use super::{Storage, output};
use crate::config::NodeConfig;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use storage::disk::{Disk, RealDisk};
use storage::{META_PROPERTIES, MetaProperties};

impl Storage {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Storage::Info { config } = self;
        let config = NodeConfig::read(&config, &[])?;
        let dirs: BTreeSet<PathBuf> = config.log_dirs.iter().chain([&config.metadata_log_dir]).cloned().collect();
        let (text, problems) = info(&RealDisk, &dirs)?;
        output::result(text)?;
        Ok(if problems == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

/// Returns the text to print and the number of problems.
fn info(disk: &dyn Disk, dirs: &BTreeSet<PathBuf>) -> anyhow::Result<(String, usize)> {
    let (mut there, mut problems) = (Vec::new(), Vec::new());
    let mut first: Option<MetaProperties> = None;
    for dir in dirs {
        let shown = dir.display();
        match disk.metadata(dir) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                problems.push(format!("{shown} does not exist"));
                continue;
            }
            Err(error) => return Err(anyhow::Error::from(error).context(dir.display().to_string())),
            Ok(found) if !found.is_dir => {
                problems.push(format!("{shown} is not a directory"));
                continue;
            }
            Ok(_) => there.push(shown.to_string()),
        }
        let file = dir.join(META_PROPERTIES);
        match MetaProperties::read(disk, &file) {
            Ok(None) => problems.push(format!("{shown} is not formatted.")),
            Ok(Some(meta)) if meta.version > 0 && meta.cluster_id.is_none() => {
                problems.push(format!("Error loading {}: cluster.id was not found.", file.display()));
            }
            Ok(Some(meta)) if meta.version > 0 && meta.node_id.is_none() => {
                problems.push(format!("Error loading {}: node.id was not found.", file.display()));
            }
            Ok(Some(meta)) => match &first {
                None => first = Some(meta),
                Some(known) if known.cluster_id != meta.cluster_id => {
                    problems.push("Mismatched cluster IDs between storage directories.".into());
                }
                Some(known) if known.node_id != meta.node_id => {
                    problems.push("Mismatched node IDs between storage directories.".into());
                }
                Some(_) => {}
            },
            Err(storage::Error::Corrupt { reason, .. }) => {
                problems.push(format!("Error loading {}: {reason}", file.display()));
            }
            Err(error) => problems.push(format!("Error loading {}: {error}", file.display())),
        }
    }
    if first.as_ref().is_some_and(|meta| meta.version == 0) {
        problems.push("The kafka configuration file appears to be for a cluster in KRaft mode, but the directories are formatted for legacy mode.".into());
    }
    let mut text = String::new();
    list(&mut text, "Found log directory:", "Found log directories:", &there);
    if let Some(meta) = first {
        let _ = writeln!(text, "Found metadata: {{{}}}\n", properties(&meta));
    }
    list(&mut text, "Found problem:", "Found problems:", &problems);
    Ok((text, problems.len()))
}

fn list(text: &mut String, one: &str, several: &str, lines: &[String]) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "{}", if lines.len() == 1 { one } else { several });
    for line in lines {
        let _ = writeln!(text, "  {line}");
    }
    text.push('\n');
}

/// Formats the properties, sorted by name.
fn properties(meta: &MetaProperties) -> String {
    let node_key = if meta.version == 0 { "broker.id" } else { "node.id" };
    let mut all = vec![("version", meta.version.to_string())];
    all.extend(meta.cluster_id.iter().map(|id| ("cluster.id", id.clone())));
    all.extend(meta.node_id.iter().map(|id| (node_key, id.to_string())));
    all.extend(meta.directory_id.iter().map(|id| ("directory.id", id.to_string())));
    all.sort_unstable();
    all.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As `kafka-storage info` of Kafka 4.3.1 prints it for the same folders.
    #[test]
    fn dirs_are_described_in_kafkas_words() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let write = |name: &str, text: &str| {
            std::fs::create_dir_all(at(name)).unwrap();
            std::fs::write(at(name).join(META_PROPERTIES), text).unwrap();
        };
        let told = |names: &[&str]| {
            let (text, problems) = info(&RealDisk, &names.iter().map(|name| at(name)).collect()).unwrap();
            (text.replace(&*dir.path().to_string_lossy(), ""), problems)
        };
        assert_eq!(told(&["a"]), ("Found problem:\n  /a does not exist\n\n".into(), 1));
        write("a", "#\nnode.id=1\ndirectory.id=Je9Dlcd-W0jpi6AEEmntaA\nversion=1\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ\n");
        let sound = "Found log directory:\n  /a\n\nFound metadata: {cluster.id=AAAAAAAAAAAAAAAAAAAAAQ, directory.id=Je9Dlcd-W0jpi6AEEmntaA, node.id=1, version=1}\n\n";
        assert_eq!(told(&["a"]), (sound.into(), 0));
        write("old", "");
        let legacy = "Found log directory:\n  /old\n\nFound metadata: {version=0}\n\nFound problem:\n  The kafka configuration file appears to be for a cluster in KRaft mode, but the directories are formatted for legacy mode.\n\n";
        assert_eq!(told(&["old"]), (legacy.into(), 1));
        std::fs::create_dir(at("b")).unwrap();
        std::fs::write(at("c"), "").unwrap();
        let (text, problems) = told(&["a", "b", "c"]);
        assert!(text.ends_with("Found problems:\n  /b is not formatted.\n  /c is not a directory\n\n"), "{text}");
        assert!(text.starts_with("Found log directories:\n  /a\n  /b\n\n"), "{text}");
        assert_eq!(problems, 2);
        for (meta, problem) in [
            (
                "version=1\nnode.id=1\ncluster.id=BBBBBBBBBBBBBBBBBBBBBQ",
                "Mismatched cluster IDs between storage directories.",
            ),
            (
                "version=1\nnode.id=2\ncluster.id=AAAAAAAAAAAAAAAAAAAAAQ",
                "Mismatched node IDs between storage directories.",
            ),
            ("version=1\nnode.id=2", "Error loading /b/meta.properties: cluster.id was not found."),
            ("version=9\nnode.id=2", "Error loading /b/meta.properties: Unknown meta.properties version number 9"),
        ] {
            write("b", meta);
            let (text, problems) = told(&["a", "b"]);
            assert!(text.ends_with(&format!("Found problem:\n  {problem}\n\n")), "{text}");
            assert_eq!(problems, 1);
        }
    }
}
