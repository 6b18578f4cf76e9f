//! The loggers whose levels can be changed while the broker runs, as Kafka's BROKER_LOGGER resource names them.
//!
//! Gregor has one logger, `root`: what it logs is chosen by level, and by target in `RUST_LOG` at the start.

use model::{ApiError, ErrorCode};
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

    /// Changes levels, all or none. Errors: INVALID_CONFIG for an unknown logger or level, INVALID_REQUEST for an operation that levels do not have.
    pub fn alter(&self, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), ApiError> {
        const SET: i8 = 0;
        const DELETE: i8 = 1;
        let mut level = None;
        for config in &resource.configs {
            if config.name != ROOT {
                let message = format!("Logger {} does not exist!", config.name);
                return Err(ApiError::new(ErrorCode::InvalidConfig, message));
            }
            level = Some(match config.config_operation {
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
