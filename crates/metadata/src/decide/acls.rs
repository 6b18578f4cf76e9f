//! CreateAcls, DeleteAcls and DescribeAcls (KIP-140, KIP-290).

use super::{ControllerContext, Decided, Decision, RECORDS_PER_REQUEST_MAX, bounded, code_and_message};
use crate::VersionedRecord;
use crate::acl::{
    AccessControlEntry, AclFilter, AclOperation, AclResourceType, CLUSTER_NAME, PatternType, PermissionType,
};
use crate::image::Image;
use model::{ApiError, ErrorCode, Uuid};
use protocol::messages::create_acls_request::{AclCreation, CreateAclsRequest};
use protocol::messages::create_acls_response::{AclCreationResult, CreateAclsResponse};
use protocol::messages::delete_acls_request::DeleteAclsRequest;
use protocol::messages::delete_acls_response::{DeleteAclsFilterResult, DeleteAclsMatchingAcl, DeleteAclsResponse};
use protocol::messages::describe_acls_request::DescribeAclsRequest;
use protocol::messages::describe_acls_response::{AclDescription, DescribeAclsResource, DescribeAclsResponse};
use protocol::messages::remove_access_control_entry_record::RemoveAccessControlEntryRecord;
use protocol::{MetadataRecord, Str};
use std::collections::{BTreeMap, BTreeSet};

/// Adds ACLs. Each succeeds or fails alone. One that there is already is a success, without a
/// record. Errors of the whole request: an ACL of ANY or MATCH, which only filters may have; more
/// ACLs than one request may write.
pub fn create_acls(
    image: &Image,
    context: &mut ControllerContext<'_>,
    request: &CreateAclsRequest,
) -> Decided<CreateAclsResponse> {
    if request.creations.iter().any(is_of_filters) {
        return Err(ErrorCode::UnknownServerError.into());
    }
    let acls = &image.security.acls;
    let mut records = Vec::new();
    let mut fresh: BTreeSet<AccessControlEntry> = BTreeSet::new();
    let mut results = Vec::with_capacity(request.creations.len());
    for creation in &request.creations {
        let (error_code, error_message) = match check(creation) {
            // Kafka's default of this field.
            Ok(()) => (0, Some(Str::default())),
            Err(error) => code_and_message(&error),
        };
        results.push(AclCreationResult { error_code, error_message, ..Default::default() });
        if error_code != 0 {
            continue;
        }
        let acl = entry(creation);
        if !acls.contains(&acl) && fresh.insert(acl.clone()) {
            let id = fresh_id(image, context);
            records.push(VersionedRecord::v0(acl.record(id)));
        }
    }
    bounded(&records)?;
    Ok(Decision::atomic(records, CreateAclsResponse { results, ..Default::default() }))
}

fn fresh_id(image: &Image, context: &mut ControllerContext<'_>) -> Uuid {
    loop {
        let id = context.uuid();
        if !image.security.acls.contains_id(id) {
            return id;
        }
    }
}

fn entry(it: &AclCreation) -> AccessControlEntry {
    AccessControlEntry {
        resource_type: it.resource_type,
        resource_name: it.resource_name.clone(),
        pattern_type: it.resource_pattern_type,
        principal: it.principal.clone(),
        host: it.host.clone(),
        operation: it.operation,
        permission_type: it.permission_type,
    }
}

/// Whether it has a code that Kafka's class of an ACL refuses.
fn is_of_filters(it: &AclCreation) -> bool {
    it.resource_type == AclResourceType::Any.code()
        || it.resource_pattern_type == PatternType::Any.code()
        || it.resource_pattern_type == PatternType::Match.code()
        || it.operation == AclOperation::Any.code()
        || it.permission_type == PermissionType::Any.code()
}

fn check(it: &AclCreation) -> Result<(), ApiError> {
    let invalid = |message: String| Err(ApiError::new(ErrorCode::InvalidRequest, message));
    if it.resource_type == AclResourceType::Cluster.code() && it.resource_name != CLUSTER_NAME {
        return invalid(format!("The only valid name for the CLUSTER resource is {CLUSTER_NAME}"));
    }
    if it.resource_name.is_empty() {
        return invalid("Invalid empty resource name".into());
    }
    if AclResourceType::from_code(it.resource_type).is_none() {
        return invalid("Invalid resourceType UNKNOWN".into());
    }
    if PatternType::from_code(it.resource_pattern_type).is_none() {
        return invalid("Invalid patternType UNKNOWN".into());
    }
    if AclOperation::from_code(it.operation).is_none() {
        return invalid("Invalid operation UNKNOWN".into());
    }
    if PermissionType::from_code(it.permission_type).is_none() {
        return invalid("Invalid permissionType UNKNOWN".into());
    }
    if !it.principal.contains(':') {
        return invalid(format!(
            "Could not parse principal from `{}` (no colon is present separating the principal type from the \
             principal name)",
            it.principal
        ));
    }
    Ok(())
}

/// Removes the ACLs that filters mean. Each filter succeeds or fails alone. An ACL that two filters
/// mean is in both answers and is removed once. Errors of the whole request: more ACLs than one
/// request may remove.
pub fn delete_acls(image: &Image, request: &DeleteAclsRequest) -> Decided<DeleteAclsResponse> {
    let mut removed: BTreeSet<Uuid> = BTreeSet::new();
    let mut filter_results = Vec::with_capacity(request.filters.len());
    for filter in &request.filters {
        let filter = AclFilter::from(filter);
        if let Some(message) = unknown(&filter) {
            let (error_code, error_message) = code_and_message(&ApiError::new(ErrorCode::InvalidRequest, message));
            filter_results.push(DeleteAclsFilterResult { error_code, error_message, ..Default::default() });
            continue;
        }
        let mut matching_acls = Vec::new();
        for (id, acl) in image.security.acls.iter().filter(|(_, acl)| filter.fits(acl)) {
            removed.insert(*id);
            matching_acls.push(matching(acl));
        }
        filter_results.push(DeleteAclsFilterResult { error_message: None, matching_acls, ..Default::default() });
    }
    let record = |id| {
        let record = RemoveAccessControlEntryRecord { id, ..Default::default() };
        VersionedRecord::v0(MetadataRecord::RemoveAccessControlEntry(record))
    };
    if removed.len() > RECORDS_PER_REQUEST_MAX {
        let message = format!("Cannot remove more than {RECORDS_PER_REQUEST_MAX} acls in a single delete operation.");
        return Err(ApiError::new(ErrorCode::InvalidRequest, message));
    }
    let records: Vec<_> = removed.into_iter().map(record).collect();
    Ok(Decision::atomic(records, DeleteAclsResponse { filter_results, ..Default::default() }))
}

fn unknown(filter: &AclFilter) -> Option<&'static str> {
    if filter.has_unknown_pattern() {
        return Some("Unknown patternFilter.");
    }
    filter.has_unknown_entry().then_some("Unknown entryFilter.")
}

fn matching(acl: &AccessControlEntry) -> DeleteAclsMatchingAcl {
    DeleteAclsMatchingAcl {
        error_message: None,
        resource_type: acl.resource_type,
        resource_name: acl.resource_name.clone(),
        pattern_type: acl.pattern_type,
        principal: acl.principal.clone(),
        host: acl.host.clone(),
        operation: acl.operation,
        permission_type: acl.permission_type,
        ..Default::default()
    }
}

/// Lists the ACLs that a filter means, by resource.
pub fn describe_acls(image: &Image, request: &DescribeAclsRequest) -> DescribeAclsResponse {
    let filter = AclFilter::from(request);
    let mut resources: BTreeMap<(i8, &Str, i8), Vec<AclDescription>> = BTreeMap::new();
    for (_, acl) in image.security.acls.iter().filter(|(_, acl)| filter.fits(acl)) {
        let key = (acl.resource_type, &acl.resource_name, acl.pattern_type);
        resources.entry(key).or_default().push(AclDescription {
            principal: acl.principal.clone(),
            host: acl.host.clone(),
            operation: acl.operation,
            permission_type: acl.permission_type,
            ..Default::default()
        });
    }
    let resources = resources.into_iter().map(|((resource_type, name, pattern_type), acls)| DescribeAclsResource {
        resource_type,
        resource_name: name.clone(),
        pattern_type,
        acls,
        ..Default::default()
    });
    DescribeAclsResponse { resources: resources.collect(), ..Default::default() }
}
