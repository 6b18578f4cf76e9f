//! The filters of DescribeAcls and DeleteAcls, as Kafka's `AclBindingFilter` (KIP-290).

use super::{AccessControlEntry, AclOperation, AclResourceType, PatternType, PermissionType, WILDCARD};
use protocol::Str;
use protocol::messages::delete_acls_request::DeleteAclsFilter;
use protocol::messages::describe_acls_request::DescribeAclsRequest;

/// Which ACLs are meant. A code that Kafka does not know fits nothing.
#[derive(Clone, Debug)]
pub struct AclFilter {
    resource_type: Option<AclResourceType>,
    resource_name: Option<Str>,
    pattern_type: Option<PatternType>,
    principal: Option<Str>,
    host: Option<Str>,
    operation: Option<AclOperation>,
    permission_type: Option<PermissionType>,
}

impl From<&DescribeAclsRequest> for AclFilter {
    fn from(it: &DescribeAclsRequest) -> Self {
        Self {
            resource_type: AclResourceType::from_code(it.resource_type_filter),
            resource_name: it.resource_name_filter.clone(),
            pattern_type: PatternType::from_code(it.pattern_type_filter),
            principal: it.principal_filter.clone(),
            host: it.host_filter.clone(),
            operation: AclOperation::from_code(it.operation),
            permission_type: PermissionType::from_code(it.permission_type),
        }
    }
}

impl From<&DeleteAclsFilter> for AclFilter {
    fn from(it: &DeleteAclsFilter) -> Self {
        Self {
            resource_type: AclResourceType::from_code(it.resource_type_filter),
            resource_name: it.resource_name_filter.clone(),
            pattern_type: PatternType::from_code(it.pattern_type_filter),
            principal: it.principal_filter.clone(),
            host: it.host_filter.clone(),
            operation: AclOperation::from_code(it.operation),
            permission_type: PermissionType::from_code(it.permission_type),
        }
    }
}

impl AclFilter {
    /// Whether its pattern has an unknown code.
    pub fn has_unknown_pattern(&self) -> bool {
        self.resource_type.is_none() || self.pattern_type.is_none()
    }

    /// Whether its entry has an unknown code.
    pub fn has_unknown_entry(&self) -> bool {
        self.operation.is_none() || self.permission_type.is_none()
    }

    /// Whether an ACL is meant.
    pub fn fits(&self, acl: &AccessControlEntry) -> bool {
        let is = |code: Option<i8>, any: i8, its: i8| code.is_some_and(|code| code == any || code == its);
        let named = |name: &Option<Str>, its: &Str| name.as_ref().is_none_or(|name| name == its);
        let any = AclResourceType::Any.code();
        is(self.resource_type.map(AclResourceType::code), any, acl.resource_type)
            && is(self.operation.map(AclOperation::code), any, acl.operation)
            && is(self.permission_type.map(PermissionType::code), any, acl.permission_type)
            && named(&self.principal, &acl.principal)
            && named(&self.host, &acl.host)
            && self.fits_pattern(acl)
    }

    fn fits_pattern(&self, acl: &AccessControlEntry) -> bool {
        let Some(pattern_type) = self.pattern_type else { return false };
        let is_its = pattern_type.code() == acl.pattern_type;
        match (pattern_type, &self.resource_name) {
            (PatternType::Any | PatternType::Match, None) => true,
            (_, None) => is_its,
            (PatternType::Match, Some(name)) => match PatternType::from_code(acl.pattern_type) {
                Some(PatternType::Literal) => *name == acl.resource_name || acl.resource_name == WILDCARD,
                Some(PatternType::Prefixed) => name.starts_with(acl.resource_name.as_str()),
                _ => false,
            },
            (PatternType::Any, Some(name)) => *name == acl.resource_name,
            (_, Some(name)) => is_its && *name == acl.resource_name,
        }
    }
}
