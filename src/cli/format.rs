//! `gregor format`: formats the log dirs of a configuration.

use super::{Format, output};
use crate::config::NodeConfig;
use crate::env::Env;
use crate::runtime::format::{FirstVoters, Format as Formatting, controller_endpoints};
use anyhow::{Context, bail};
use metadata::MetadataVersion;
use model::Uuid;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use storage::disk::{Disk, RealDisk};

impl Format {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.config, &[])?;
        let id: Uuid = self
            .cluster_id
            .parse()
            .with_context(|| format!("Cluster ID string {} does not appear to be a valid UUID", self.cluster_id))?;
        let _ = id;
        let mut features = BTreeMap::new();
        let mut version = MetadataVersion::LATEST;
        if let Some(release) = &self.release_version {
            version = MetadataVersion::from_name(release).with_context(|| format!("Unknown release '{release}'."))?;
        }
        for feature in &self.feature {
            let (name, level) =
                feature.split_once('=').with_context(|| format!("--feature {feature}: it takes NAME=LEVEL"))?;
            let level: i16 =
                level.trim().parse().with_context(|| format!("--feature {feature}: the level is a number"))?;
            match name.trim() {
                metadata::version::METADATA_VERSION => {
                    version = MetadataVersion::from_level(level)
                        .with_context(|| format!("metadata.version {level} is not supported"))?;
                }
                name => {
                    features.insert(name.to_string(), level);
                }
            }
        }
        let voters = self.voters(&config)?;
        let formatting = Formatting {
            log_dirs: config.log_dirs.clone(),
            metadata_log_dir: config.metadata_log_dir.clone(),
            node_id: config.node_id,
            cluster_id: self.cluster_id,
            voters,
            version,
            features,
            ignore_formatted: self.ignore_formatted,
        };
        let disk: Arc<dyn Disk> = Arc::new(RealDisk);
        for line in formatting.run(&disk, Env::default())? {
            output::done(line);
        }
        Ok(ExitCode::SUCCESS)
    }

    fn voters(&self, config: &NodeConfig) -> anyhow::Result<FirstVoters> {
        match (config.voters.is_empty(), self.standalone, self.no_initial_controllers) {
            (false, true, _) | (false, _, true) => bail!(
                "You cannot specify --standalone or --no-initial-controllers when controller.quorum.voters is set; remove one of them."
            ),
            (false, false, false) => Ok(FirstVoters::Configured),
            (true, true, _) => Ok(FirstVoters::Standalone(controller_endpoints(config))),
            (true, false, true) => Ok(FirstVoters::None),
            (true, false, false) => bail!(
                "Because controller.quorum.voters is not set on this controller, you must specify one of the following: --standalone or --no-initial-controllers."
            ),
        }
    }
}
