//! The loggers whose levels can be changed while the broker runs, as Kafka's BROKER_LOGGER resource names them.
//!
//! Gregor has one logger, `root`: what it logs is chosen by level, and by target in `RUST_LOG` at the start.

use model::{ApiError, BrokerId, ErrorCode};
use parking_lot::Mutex;
use protocol::messages::incremental_alter_configs_request::AlterConfigsResource;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{EnvFilter, Registry, reload};

/// The logger's name.
pub const ROOT: &str = "root";
/// Kafka's levels, the quietest last.
const LEVELS: [&str; 6] = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"];

/// How the filter of a running process is changed.
pub type FilterHandle = reload::Handle<EnvFilter, Registry>;

/// The level in force.
#[derive(Debug)]
pub struct Loggers {
    handle: Option<FilterHandle>,
    level: Mutex<&'static str>,
}

impl Loggers {
    /// Changes the filter behind this handle; without one, only what is answered changes.
    pub fn new(handle: Option<FilterHandle>) -> Self {
        Self { handle, level: Mutex::new("INFO") }
    }

    /// Every logger with its level.
    pub fn all(&self) -> Vec<(&'static str, &'static str)> {
        vec![(ROOT, *self.level.lock())]
    }

    /// Changes levels of this `node`, all or none. Errors: INVALID_CONFIG for an unknown logger or level, INVALID_REQUEST for another node and for an
    /// operation that levels do not have.
    pub fn alter(&self, node: BrokerId, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), ApiError> {
        const SET: i8 = 0;
        const DELETE: i8 = 1;
        check_node(node, &resource.resource_name)?;
        let mut level = None;
        for config in &resource.configs {
            let is_known = config.name == ROOT;
            level = Some(match config.config_operation {
                SET | DELETE if !is_known => {
                    let message = format!("Logger {} does not exist!", config.name);
                    return Err(ApiError::new(ErrorCode::InvalidConfig, message));
                }
                SET => {
                    let wanted = config.value.as_deref().unwrap_or_default();
                    LEVELS.iter().copied().find(|known| *known == wanted).ok_or_else(|| {
                        let message = format!(
                            "Cannot set the log level of {} to {wanted} as it is not a supported log level. Valid log levels are {}",
                            config.name,
                            LEVELS.join(", ")
                        );
                        ApiError::new(ErrorCode::InvalidConfig, message)
                    })?
                }
                DELETE => {
                    let message = format!("Removing the log level of the {ROOT} logger is not allowed");
                    return Err(ApiError::new(ErrorCode::InvalidRequest, message));
                }
                other => {
                    let operation = if other == 2 { "APPEND" } else { "SUBTRACT" };
                    let message = format!("{operation} operation is not allowed for the BROKER_LOGGER resource");
                    return Err(ApiError::new(ErrorCode::InvalidRequest, message));
                }
            });
        }
        if let Some(level) = level.filter(|_| !validate_only) {
            self.set(level);
        }
        Ok(())
    }

    fn set(&self, level: &'static str) {
        let filter = match level {
            "TRACE" => LevelFilter::TRACE,
            "DEBUG" => LevelFilter::DEBUG,
            "INFO" => LevelFilter::INFO,
            "WARN" => LevelFilter::WARN,
            _ => LevelFilter::ERROR,
        };
        if let Some(handle) = &self.handle {
            // The subscriber lives as long as the process.
            let _ = handle.reload(EnvFilter::default().add_directive(filter.into()));
        }
        *self.level.lock() = level;
    }
}

fn check_node(node: BrokerId, name: &str) -> Result<(), ApiError> {
    let message = match model::java_number::parse_int(name) {
        Some(id) if BrokerId(id) == node => return Ok(()),
        Some(_) => format!("Unexpected node id. Expected {node}, but received {name}"),
        None => format!("Node id must be an integer, but it is: {name}"),
    };
    Err(ApiError::new(ErrorCode::InvalidRequest, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::messages::incremental_alter_configs_request::AlterableConfig;

    fn alter(name: &str, logger: &str, operation: i8, level: &str) -> Result<(), String> {
        let config = AlterableConfig {
            name: logger.into(),
            config_operation: operation,
            value: Some(level.into()),
            ..Default::default()
        };
        let resource = AlterConfigsResource { resource_name: name.into(), configs: vec![config], ..Default::default() };
        let altered = Loggers::new(None).alter(BrokerId(1), &resource, false);
        altered.map_err(|error| format!("{:?}: {}", error.code, error.message.unwrap_or_default()))
    }

    #[test]
    fn another_node_comes_before_an_operation_before_a_name_before_a_level() {
        let refused = |name, logger, operation, level| alter(name, logger, operation, level).unwrap_err();
        assert_eq!(refused("7", "x", 2, "LOUD"), "INVALID_REQUEST: Unexpected node id. Expected 1, but received 7");
        assert_eq!(refused("one", "x", 2, "LOUD"), "INVALID_REQUEST: Node id must be an integer, but it is: one");
        let append = "INVALID_REQUEST: APPEND operation is not allowed for the BROKER_LOGGER resource";
        assert_eq!(refused("1", "x", 2, "LOUD"), append);
        assert_eq!(refused("1", "x", 0, "LOUD"), "INVALID_CONFIG: Logger x does not exist!");
        assert!(refused("1", ROOT, 0, "LOUD").starts_with("INVALID_CONFIG: Cannot set the log level of root to LOUD"));
        assert_eq!(alter("1", ROOT, 0, "DEBUG"), Ok(()));
    }
}
