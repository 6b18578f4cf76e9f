//! `gregor format`: formats the log dirs of a configuration.

use super::{Format, add_scram, initial_controllers, output};
use crate::config::NodeConfig;
use crate::env::Env;
use crate::runtime::format::{FirstVoters, Format as Formatting, controller_endpoints};
use anyhow::{Context, bail};
use metadata::MetadataVersion;
use metadata::version::{KRAFT_VERSION, METADATA_VERSION};
use model::Uuid;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use storage::disk::{Disk, RealDisk};

fn unknown_release(release: &str) -> String {
    let known: Vec<&str> = MetadataVersion::all().map(MetadataVersion::name).collect();
    format!("Unknown metadata.version '{release}'. Supported metadata.version are: {}", known.join(", "))
}

fn unknown_level(level: i16) -> String {
    let (min, max) = (MetadataVersion::OLDEST.level(), MetadataVersion::LATEST.level());
    format!("No MetadataVersion with feature level {level}. Valid feature levels are from {min} to {max}.")
}

impl Format {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        for line in self.lines()? {
            output::done(line);
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Formats the dirs, and returns what was done in one line for each.
    pub(super) fn lines(self) -> anyhow::Result<Vec<String>> {
        let config = NodeConfig::read(&self.config, &[])?;
        let id: Uuid = self
            .cluster_id
            .parse()
            .with_context(|| format!("Cluster ID string {} does not appear to be a valid UUID", self.cluster_id))?;
        let _ = id;
        let voters = self.voters(&config)?;
        let mut features = BTreeMap::new();
        let mut version = MetadataVersion::LATEST;
        if let Some(release) = &self.release_version {
            version = MetadataVersion::from_name(release).with_context(|| unknown_release(release))?;
        }
        for feature in &self.feature {
            let (name, level) =
                feature.split_once('=').with_context(|| format!("--feature {feature}: it takes NAME=LEVEL"))?;
            let level: i16 =
                level.trim().parse().with_context(|| format!("--feature {feature}: the level is a number"))?;
            match name.trim() {
                METADATA_VERSION if self.release_version.is_some() => {
                    bail!("Use --release-version instead of --feature metadata.version=X to avoid ambiguity.")
                }
                METADATA_VERSION => {
                    version = MetadataVersion::from_level(level).with_context(|| unknown_level(level))?;
                }
                KRAFT_VERSION => self.check_kraft_version(&config, level)?,
                name => {
                    features.insert(name.to_string(), level);
                }
            }
        }
        let mut log_dirs = config.log_dirs.clone();
        if !log_dirs.contains(&config.metadata_log_dir) {
            log_dirs.push(config.metadata_log_dir.clone());
        }
        let formatting = Formatting {
            log_dirs,
            metadata_log_dir: config.metadata_log_dir.clone(),
            node_id: config.node_id,
            cluster_id: self.cluster_id,
            voters,
            version,
            features,
            ignore_formatted: self.ignore_formatted,
        };
        let (disk, env): (Arc<dyn Disk>, Env) = (Arc::new(RealDisk), Env::default());
        let arguments = self.add_scram.iter();
        let credentials = arguments.map(|argument| add_scram::record(argument, version, &env.random_bytes()));
        Ok(formatting.run_with(&disk, env, credentials.collect::<anyhow::Result<_>>()?)?)
    }

    /// Returns the first voters. Errors: Kafka's messages about the flags that a node of these
    /// roles needs or must not have.
    fn voters(&self, config: &NodeConfig) -> anyhow::Result<FirstVoters> {
        let is_dynamic = self.standalone || self.initial_controllers.is_some();
        if !config.voters.is_empty() && is_dynamic {
            bail!(
                "You cannot specify controller.quorum.voters and format the node with --initial-controllers or --standalone. If you want \
                 to use dynamic quorum, please remove controller.quorum.voters and specify controller.quorum.bootstrap.servers instead."
            );
        }
        if self.standalone && !config.roles.is_controller() {
            bail!("You can only use --standalone on a controller.");
        }
        if let Some(text) = &self.initial_controllers {
            let listener = config.listeners.controller_names.first().map_or("CONTROLLER", String::as_str);
            let voters = initial_controllers::parse(text, listener);
            return Ok(FirstVoters::Initial(voters.with_context(|| format!("--initial-controllers {text}"))?));
        }
        if self.standalone {
            return Ok(FirstVoters::Standalone(controller_endpoints(config)));
        }
        let needs_a_flag = config.roles.is_controller() && config.voters.is_empty();
        if needs_a_flag && !self.no_initial_controllers {
            bail!(
                "Because controller.quorum.voters is not set on this controller, you must specify one of the following: --standalone, \
                 --initial-controllers, or --no-initial-controllers."
            );
        }
        Ok(if config.voters.is_empty() { FirstVoters::None } else { FirstVoters::Configured })
    }

    /// Checks a requested level of `kraft.version`: the other flags decide what it is. Errors:
    /// Kafka's messages.
    fn check_kraft_version(&self, config: &NodeConfig, level: i16) -> anyhow::Result<()> {
        let is_dynamic = config.voters.is_empty()
            && (self.standalone || self.no_initial_controllers || self.initial_controllers.is_some());
        match (level, is_dynamic) {
            (0, true) => bail!(
                "Cannot set kraft.version to 0 if controller.quorum.voters is empty and one of the flags --standalone, \
                 --initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, try removing the --feature \
                 flag for kraft.version."
            ),
            (1, false) if config.roles.is_controller() => bail!(
                "Cannot set kraft.version to 1 unless controller.quorum.voters is empty and one of the flags --standalone, \
                 --initial-controllers, or --no-initial-controllers is used. For dynamic controllers support, try using one of \
                 --standalone, --initial-controllers, or --no-initial-controllers and removing controller.quorum.voters."
            ),
            (0 | 1, _) => Ok(()),
            _ => bail!("No feature:{KRAFT_VERSION} with feature level {level}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::{Arguments, Command};
    use clap::Parser as _;
    use std::fs;
    use std::path::Path;

    /// Formats a new dir. Returns the lines or the error, and the files.
    fn formatted(properties: &str, flags: &str) -> (String, String) {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().to_str().unwrap();
        let file = home.path().join("p.properties");
        fs::write(&file, format!("{}\nlog.dirs={dir}/data\n", properties.replace(" ; ", "\n"))).unwrap();
        let words = ["gregor", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", file.to_str().unwrap()];
        let words = words.into_iter().chain(flags.split_whitespace());
        let Ok(Some(Command::Format(format))) = Arguments::try_parse_from(words).map(|it| it.command) else {
            panic!("{flags}");
        };
        let said = format.lines().map(|lines| lines.join("\n")).unwrap_or_else(|error| error.root_cause().to_string());
        let mut files = Vec::new();
        list(&home.path().join("data"), "data", &mut files);
        files.sort_unstable();
        (said.replace(dir, "DIR"), files.join(" "))
    }

    fn list(dir: &Path, name: &str, files: &mut Vec<String>) {
        for entry in fs::read_dir(dir).into_iter().flatten() {
            let path = entry.unwrap().path();
            let name = format!("{name}/{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() { list(&path, &name, files) } else { files.push(name) }
        }
    }

    /// Apache Kafka's answers and files, for each role and each set of flags. Its highest
    /// `metadata.version` is 31, which is not released.
    #[test]
    fn each_role_is_formatted_as_kafka_formats_it() {
        let mut wrong = Vec::new();
        for line in include_str!("testdata/format.tsv").lines() {
            let columns: Vec<&str> = line.split('\t').collect();
            let (said, files) = formatted(columns[0], columns[1]);
            if (said.as_str(), files.as_str()) != (columns[2], columns.get(3).copied().unwrap_or_default()) {
                wrong.push(format!("{line}\n    ours: {said} {files}"));
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    #[test]
    fn a_voter_of_the_first_quorum_has_the_directory_id_that_was_given() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().to_str().unwrap();
        let file = home.path().join("p.properties");
        let properties = "process.roles=controller\nnode.id=102\ncontroller.quorum.bootstrap.servers=h:9\n\
            listeners=CONTROLLER://h:9\ncontroller.listener.names=CONTROLLER\n";
        fs::write(&file, format!("{properties}log.dirs={dir}/a,{dir}/b\nmetadata.log.dir={dir}/m\n")).unwrap();
        let voters = "101@h1:9:AAAAAAAAAAAAAAAAAAAA3w,102@h2:9:AAAAAAAAAAAAAAAAAAAA4w";
        let words = ["gregor", "format", "-t", "AAAAAAAAAAAAAAAAAAAAAQ", "-c", file.to_str().unwrap(), "-I", voters];
        let Ok(Some(Command::Format(format))) = Arguments::try_parse_from(words).map(|it| it.command) else {
            panic!("{voters}");
        };
        format.lines().unwrap();
        let of = |dir: &str| fs::read_to_string(home.path().join(dir).join("meta.properties")).unwrap();
        assert!(of("m").contains("directory.id=AAAAAAAAAAAAAAAAAAAA4w"));
        assert!(of("a").contains("directory.id=") && !of("a").contains("AAAAAAAAAAAAAAAAAAAA4w"));
    }

    #[test]
    fn a_credential_that_is_wrong_is_refused_before_any_change() {
        let properties = "process.roles=controller ; node.id=1 ; controller.quorum.bootstrap.servers=h:9 ; \
            listeners=CONTROLLER://h:9 ; controller.listener.names=CONTROLLER";
        let (said, files) = formatted(properties, "-s -S SCRAM-SHA-1=[name=alice,password=secret]");
        assert_eq!(said, "The add-scram mechanism SCRAM-SHA-1 is not supported.");
        assert_eq!(files, "");
    }
}
