//! The properties of the authorizer. Those of `StandardAuthorizer` itself are none of the broker's
//! own: as in Kafka, no request shows them.

use super::{ConfigError, Properties};

const CLASS: &str = "authorizer.class.name";
const SUPER_USERS: &str = "super.users";
const ALLOW_WITHOUT_ACLS: &str = "allow.everyone.if.no.acl.found";
const STANDARD: &str = "org.apache.kafka.metadata.authorizer.StandardAuthorizer";

/// How the authorizer of a node decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthorizerConfig {
    /// `super.users`, as `User:alice`.
    pub super_users: Vec<String>,
    /// `allow.everyone.if.no.acl.found`.
    pub allows_without_acls: bool,
}

/// Returns the configuration of the authorizer; `None` if the node has none. Errors: one line,
/// about another class, or a super user that is not a principal.
pub(super) fn authorizer(properties: &Properties) -> Result<Option<AuthorizerConfig>, ConfigError> {
    let text = |name: &str| properties.get(name).map(|text| text.trim()).unwrap_or_default();
    match text(CLASS) {
        "" => return Ok(None),
        STANDARD => {}
        other => {
            return Err(ConfigError(format!("{CLASS}={other} is not supported; use {STANDARD}, or leave it out")));
        }
    }
    let mut super_users = Vec::new();
    for user in text(SUPER_USERS).split(';').map(str::trim).filter(|user| !user.is_empty()) {
        if user.split_once(':').is_none_or(|(kind, _)| kind.is_empty()) {
            return Err(ConfigError(format!(
                "{SUPER_USERS}: expected a string in format principalType:principalName but got {user}"
            )));
        }
        super_users.push(user.to_string());
    }
    // Kafka reads it as `Boolean.valueOf` does: whatever is not true is false.
    let allows_without_acls = text(ALLOW_WITHOUT_ACLS).eq_ignore_ascii_case("true");
    Ok(Some(AuthorizerConfig { super_users, allows_without_acls }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[(&str, &str)]) -> Result<Option<AuthorizerConfig>, String> {
        let properties = lines.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        authorizer(&properties).map_err(|error| error.0)
    }

    #[test]
    fn kafkas_own_class_is_honoured_and_others_stop_the_start() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[(CLASS, " ")]), Ok(None));
        assert_eq!(read(&[(CLASS, STANDARD)]), Ok(Some(AuthorizerConfig::default())));
        for class in ["kafka.security.authorizer.AclAuthorizer", "io.example.OwnAuthorizer"] {
            let error = read(&[(CLASS, class)]).unwrap_err();
            assert!(error.contains(class) && error.contains(STANDARD), "{error}");
        }
    }

    #[test]
    fn super_users_are_separated_by_semicolons() {
        let read = |users: &str| read(&[(CLASS, STANDARD), (SUPER_USERS, users), (ALLOW_WITHOUT_ACLS, "TRUE")]);
        let config = read(" User:CN=a,O=b ; ; User:c:d;").unwrap().unwrap();
        assert_eq!(config.super_users, ["User:CN=a,O=b", "User:c:d"]);
        assert!(config.allows_without_acls);
        assert!(read("alice").unwrap_err().contains("but got alice"));
    }
}
