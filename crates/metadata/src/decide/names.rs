//! Names of topics: which are allowed, and which two cannot exist together.

use model::{ApiError, ErrorCode};

/// The longest name a topic may have: its partition's folder must fit a file name.
pub const INVALID_TOPIC_NAME_MAX: usize = 249;

/// The metadata log's topic, which no request may create.
pub(crate) const METADATA_TOPIC: &str = "__cluster_metadata";

/// INVALID_TOPIC_EXCEPTION with Kafka's message, for a name that no topic may have.
pub fn validate_topic_name(name: &str) -> Result<(), ApiError> {
    let reason = if name.is_empty() {
        "the empty string is not allowed".to_owned()
    } else if name == "." {
        "'.' is not allowed".to_owned()
    } else if name == ".." {
        "'..' is not allowed".to_owned()
    } else if name.encode_utf16().count() > INVALID_TOPIC_NAME_MAX {
        format!("the length of '{name}' is longer than the max allowed length {INVALID_TOPIC_NAME_MAX}")
    } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')) {
        format!("'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
    } else {
        return Ok(());
    };
    Err(ApiError::new(ErrorCode::InvalidTopicException, format!("Topic name is invalid: {reason}")))
}
