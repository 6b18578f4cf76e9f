//! Who may do what: Kafka's `StandardAuthorizer`.
//!
//! The ACLs are part of the image, and [`metadata::acl`] decides by them. This file has what
//! belongs to a node: super users, the answer where a resource has no ACL, and the authorizer's
//! log. Each decision takes the image that is published at the time.

use crate::config::AuthorizerConfig;
use metadata::Image;
use metadata::acl::{AclOperation, AclResourceType, AclRule, AclVerdict, Subject};
use protocol::Str;
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

/// The module that logs decisions: denials at INFO, and what is allowed at DEBUG.
pub const AUTHORIZER_TARGET: &str = "gregor::authorizer";

/// Decides by the ACLs of an image.
#[derive(Debug)]
pub struct Authorizer {
    super_users: BTreeSet<Str>,
    allows_without_acls: bool,
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Action<'a> {
    /// What the client wants to do.
    pub operation: AclOperation,
    /// The type of the resource.
    pub resource_type: AclResourceType,
    /// The resource's name.
    pub name: &'a str,
    /// The request, for the log.
    pub request: &'static str,
    /// Whether the client asked for this resource. Else the question only decides what it is told,
    /// and is logged at TRACE.
    pub is_asked_for: bool,
}

/// The rule that decided, for the log.
enum Rule<'a> {
    SuperUser,
    Acl(AclRule<'a>, AclResourceType, bool),
    DefaultAllow,
    DefaultDeny,
}

impl Authorizer {
    /// Creates the authorizer of a node. Its broker and controller act as super users on this node
    /// only if `super.users` names them, as in Kafka.
    pub fn new(config: &AuthorizerConfig) -> Self {
        let super_users = config.super_users.iter().map(|it| Str::from(it.as_str())).collect();
        Self { super_users, allows_without_acls: config.allows_without_acls }
    }

    /// Whether a client may do everything.
    pub fn is_super_user(&self, subject: &Subject) -> bool {
        self.super_users.contains(&subject.principal)
    }

    /// Whether a client may do an operation on a resource.
    pub fn may(&self, image: &Image, subject: &Subject, action: &Action<'_>) -> bool {
        let (is_allowed, rule) = self.decide(image, subject, action);
        log(subject, action, is_allowed, &rule);
        is_allowed
    }

    fn decide<'a>(&self, image: &'a Image, subject: &Subject, action: &Action<'_>) -> (bool, Rule<'a>) {
        if self.is_super_user(subject) {
            return (true, Rule::SuperUser);
        }
        let kind = action.resource_type;
        match image.security.acls.decide(subject, action.operation, kind, action.name) {
            AclVerdict::Allowed(rule) => (true, Rule::Acl(rule, kind, true)),
            AclVerdict::Denied(rule) => (false, Rule::Acl(rule, kind, false)),
            AclVerdict::Silent { has_resource_acls: false } if self.allows_without_acls => (true, Rule::DefaultAllow),
            AclVerdict::Silent { .. } => (false, Rule::DefaultDeny),
        }
    }

    /// Whether a client may do an operation on at least one resource of a type.
    pub fn may_on_any(
        &self,
        image: &Image,
        subject: &Subject,
        operation: AclOperation,
        resource_type: AclResourceType,
        request: &'static str,
    ) -> bool {
        // Kafka asks for this name, so that a super user is let in whatever the ACLs deny.
        let action = Action { operation, resource_type, name: "hardcode", request, is_asked_for: false };
        self.may(image, subject, &action) || image.security.acls.allows_any(subject, operation, resource_type)
    }
}

/// Writes Kafka's line about a decision.
fn log(subject: &Subject, action: &Action<'_>, is_allowed: bool, rule: &Rule<'_>) {
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(target: AUTHORIZER_TARGET, "{}", Line { subject, action, is_allowed, rule })
        };
    }
    match (is_allowed, action.is_asked_for) {
        (true, true) => line!(debug),
        (false, true) => line!(info),
        (_, false) => line!(trace),
    }
}

struct Line<'a> {
    subject: &'a Subject,
    action: &'a Action<'a>,
    is_allowed: bool,
    rule: &'a Rule<'a>,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subject, action, is_allowed, rule } = self;
        let decision = if *is_allowed { "Allowed" } else { "Denied" };
        write!(
            f,
            "Principal = {} is {decision} operation = {} from host = {} on resource = {}:LITERAL:{} for request = {} \
             with resourceRefCount = 1 based on rule {rule}",
            subject.principal.escape_debug(),
            action.operation.name(),
            subject.host,
            action.resource_type.log_name(),
            action.name.escape_debug(),
            action.request,
        )
    }
}

impl fmt::Display for Rule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::SuperUser => f.write_str("SuperUser"),
            Rule::DefaultAllow => f.write_str("DefaultAllow"),
            Rule::DefaultDeny => f.write_str("DefaultDeny"),
            Rule::Acl(rule, resource_type, is_allowed) => write!(
                f,
                "MatchingAcl(acl=StandardAcl(resourceType={}, resourceName={}, patternType={}, principal={}, host={}, \
                 operation={}, permissionType={}))",
                resource_type.name(),
                rule.resource_name.escape_debug(),
                rule.pattern_type.name(),
                rule.principal.escape_debug(),
                rule.host.escape_debug(),
                rule.operation.name(),
                if *is_allowed { "ALLOW" } else { "DENY" },
            ),
        }
    }
}

/// Returns an address as Java writes it, and as ACLs name it.
pub fn java_address(address: IpAddr) -> Str {
    match address.to_canonical() {
        IpAddr::V4(address) => Str::from(address.to_string()),
        IpAddr::V6(address) => {
            let groups: Vec<String> = address.segments().iter().map(|group| format!("{group:x}")).collect();
            Str::from(groups.join(":"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metadata::acl::AccessControlEntry;
    use model::Uuid;

    fn image(lines: &[(&str, i8, &str)]) -> Image {
        let mut image = Image::default();
        for (number, (principal, operation, name)) in lines.iter().enumerate() {
            let acl = AccessControlEntry {
                resource_type: AclResourceType::Topic.code(),
                resource_name: (*name).into(),
                pattern_type: 3,
                principal: (*principal).into(),
                host: "*".into(),
                operation: *operation,
                permission_type: 3,
            };
            image.security.acls.insert(Uuid([u8::try_from(number).unwrap(); 16]), acl);
        }
        image
    }

    fn authorizer(super_users: &[&str], allows_without_acls: bool) -> Authorizer {
        let super_users = super_users.iter().map(ToString::to_string).collect();
        Authorizer::new(&AuthorizerConfig { super_users, allows_without_acls })
    }

    fn subject(principal: &str) -> Subject {
        Subject { principal: principal.into(), host: "10.0.0.1".into() }
    }

    fn read(name: &str) -> Action<'_> {
        let (operation, resource_type) = (AclOperation::Read, AclResourceType::Topic);
        Action { operation, resource_type, name, request: "Fetch", is_asked_for: true }
    }

    #[test]
    fn a_super_user_may_do_everything_and_others_what_acls_allow() {
        let image = image(&[("User:alice", 3, "foo")]);
        let strict = authorizer(&["User:admin"], false);
        let may = |authorizer: &Authorizer, who, name| authorizer.may(&image, &subject(who), &read(name));
        assert!(may(&strict, "User:admin", "bar"));
        assert!(may(&strict, "User:alice", "foo"));
        assert!(!may(&strict, "User:alice", "bar"));
        assert!(!may(&strict, "User:bob", "foo"));
        let open = authorizer(&[], true);
        assert!(may(&open, "User:bob", "bar"), "no ACL is about it");
        assert!(!may(&open, "User:bob", "foo"), "an ACL of another is about it");
    }

    #[test]
    fn the_log_line_is_kafkas() {
        let image = image(&[("User:alice", 3, "foo")]);
        let authorizer = authorizer(&["User:admin"], false);
        let line = |who: &str, name: &str| {
            let (subject, action) = (subject(who), read(name));
            let (is_allowed, rule) = authorizer.decide(&image, &subject, &action);
            Line { subject: &subject, action: &action, is_allowed, rule: &rule }.to_string()
        };
        assert_eq!(
            line("User:bob", "foo"),
            "Principal = User:bob is Denied operation = READ from host = 10.0.0.1 on resource = Topic:LITERAL:foo for \
             request = Fetch with resourceRefCount = 1 based on rule DefaultDeny"
        );
        assert_eq!(
            line("User:alice", "foo"),
            "Principal = User:alice is Allowed operation = READ from host = 10.0.0.1 on resource = Topic:LITERAL:foo \
             for request = Fetch with resourceRefCount = 1 based on rule MatchingAcl(acl=StandardAcl(resourceType=TOPIC, \
             resourceName=foo, patternType=LITERAL, principal=User:alice, host=*, operation=READ, \
             permissionType=ALLOW))"
        );
        assert!(line("User:admin", "foo").ends_with("based on rule SuperUser"));
        assert!(!line("User:bob\nUser:admin", "x").contains('\n'), "one decision is one line");
    }

    #[test]
    fn addresses_are_javas() {
        let text = |address: &str| java_address(address.parse().unwrap());
        assert_eq!(text("10.0.0.1"), "10.0.0.1");
        assert_eq!(text("::1"), "0:0:0:0:0:0:0:1");
        assert_eq!(text("2001:db8::ff"), "2001:db8:0:0:0:0:0:ff");
        assert_eq!(text("::ffff:10.0.0.1"), "10.0.0.1");
    }
}
