//! AlterUserScramCredentials and DescribeUserScramCredentials (KIP-554).

use super::{ControllerContext, Decided, Decision, bounded, code_and_message};
use crate::VersionedRecord;
use crate::image::{Image, ScramMechanism};
use bytes::Bytes;
use model::{ApiError, ErrorCode, java};
use protocol::messages::alter_user_scram_credentials_request::{
    AlterUserScramCredentialsRequest, ScramCredentialDeletion, ScramCredentialUpsertion,
};
use protocol::messages::alter_user_scram_credentials_response::{
    AlterUserScramCredentialsResponse, AlterUserScramCredentialsResult,
};
use protocol::messages::describe_user_scram_credentials_request::DescribeUserScramCredentialsRequest;
use protocol::messages::describe_user_scram_credentials_response::{
    CredentialInfo, DescribeUserScramCredentialsResponse, DescribeUserScramCredentialsResult,
};
use protocol::messages::remove_user_scram_credential_record::RemoveUserScramCredentialRecord;
use protocol::messages::user_scram_credential_record::UserScramCredentialRecord;
use protocol::{MetadataRecord, Str};
use std::collections::BTreeMap;

/// Derives the stored key and the server key from a salted password (RFC 5802, section 3). The
/// caller hashes.
pub type ScramKeys<'a> = dyn Fn(ScramMechanism, &[u8]) -> (Bytes, Bytes) + 'a;

/// Sets and removes credentials. Each user succeeds or fails alone. A user who is named again is a
/// duplicate, unless the first entry was itself wrong: then its error is the answer.
pub fn alter_user_scram_credentials(
    image: &Image,
    _context: &mut ControllerContext<'_>,
    request: &AlterUserScramCredentialsRequest,
    keys: &ScramKeys<'_>,
) -> Decided<AlterUserScramCredentialsResponse> {
    let mut alterations = Alterations::default();
    for it in &request.deletions {
        alterations.add(image, &it.name, deletion(image, it));
    }
    for it in &request.upsertions {
        alterations.add(image, &it.name, upsertion(it));
    }
    let records: Vec<_> = alterations.in_order().filter_map(|it| Some(record(it.as_ref().ok()?, keys))).collect();
    bounded(&records)?;
    let results = alterations.results();
    Ok(Decision::atomic(records, AlterUserScramCredentialsResponse { results, ..Default::default() }))
}

#[derive(Clone, Copy)]
enum Change<'a> {
    Deletion(&'a ScramCredentialDeletion),
    Upsertion(&'a ScramCredentialUpsertion, ScramMechanism),
}

/// The outcome for each user, in the order in which users were named.
#[derive(Default)]
struct Alterations<'a> {
    users: Vec<(&'a Str, Result<Change<'a>, ApiError>)>,
    places: BTreeMap<&'a Str, usize>,
}

impl<'a> Alterations<'a> {
    fn add(&mut self, image: &Image, user: &'a Str, checked: Result<Change<'a>, ApiError>) {
        let first = self.places.get(user).and_then(|place| self.users.get_mut(*place));
        if let Some((_, first)) = first {
            if first.is_ok() {
                let message = "A user credential cannot be altered twice in the same request";
                *first = Err(ApiError::new(ErrorCode::DuplicateResource, message));
            }
            return;
        }
        let change = if image.features.version().has_scram() {
            checked
        } else {
            let message = "The current metadata.version does not support SCRAM";
            Err(ApiError::new(ErrorCode::UnsupportedVersion, message))
        };
        self.places.insert(user, self.users.len());
        self.users.push((user, change));
    }

    fn in_order(&self) -> impl Iterator<Item = &Result<Change<'a>, ApiError>> {
        self.users.iter().map(|(_, change)| change)
    }

    /// Kafka answers out of three maps: what was deleted, what was set, what failed.
    fn results(self) -> Vec<AlterUserScramCredentialsResult> {
        let mut maps: [Vec<AlterUserScramCredentialsResult>; 3] = Default::default();
        for (user, change) in self.users {
            let (map, (error_code, error_message)) = match &change {
                Ok(Change::Deletion(_)) => (0, (0, None)),
                Ok(Change::Upsertion(..)) => (1, (0, None)),
                Err(error) => (2, code_and_message(error)),
            };
            let user = user.clone();
            maps[map].push(AlterUserScramCredentialsResult { user, error_code, error_message, ..Default::default() });
        }
        for map in &mut maps {
            let buckets = java::bucket_count(16, map.len());
            java::hash_order(map, buckets, |result| java::string_hash(&result.user));
        }
        maps.into_iter().flatten().collect()
    }
}

fn deletion<'a>(image: &Image, it: &'a ScramCredentialDeletion) -> Result<Change<'a>, ApiError> {
    let mechanism = check(&it.name, it.mechanism)?;
    if !image.security.scram.contains_key(&(mechanism, it.name.clone())) {
        let message = "Attempt to delete a user credential that does not exist";
        return Err(ApiError::new(ErrorCode::ResourceNotFound, message));
    }
    Ok(Change::Deletion(it))
}

fn upsertion(it: &ScramCredentialUpsertion) -> Result<Change<'_>, ApiError> {
    let mechanism = check(&it.name, it.mechanism)?;
    let unacceptable = |message| Err(ApiError::new(ErrorCode::UnacceptableCredential, message));
    if it.iterations < mechanism.min_iterations() {
        return unacceptable("Too few iterations");
    }
    if it.iterations > mechanism.max_iterations() {
        return unacceptable("Too many iterations");
    }
    Ok(Change::Upsertion(it, mechanism))
}

fn record(change: &Change<'_>, keys: &ScramKeys<'_>) -> VersionedRecord {
    VersionedRecord::v0(match change {
        Change::Deletion(it) => MetadataRecord::RemoveUserScramCredential(RemoveUserScramCredentialRecord {
            name: it.name.clone(),
            mechanism: it.mechanism,
            ..Default::default()
        }),
        Change::Upsertion(it, mechanism) => {
            let (stored_key, server_key) = keys(*mechanism, &it.salted_password);
            MetadataRecord::UserScramCredential(UserScramCredentialRecord {
                name: it.name.clone(),
                mechanism: it.mechanism,
                salt: it.salt.clone(),
                stored_key,
                server_key,
                iterations: it.iterations,
                ..Default::default()
            })
        }
    })
}

fn check(name: &str, mechanism: i8) -> Result<ScramMechanism, ApiError> {
    if name.is_empty() {
        return Err(ApiError::new(ErrorCode::UnacceptableCredential, "Username must not be empty"));
    }
    ScramMechanism::from_code(mechanism)
        .ok_or_else(|| ApiError::new(ErrorCode::UnsupportedSaslMechanism, "Unknown SCRAM mechanism"))
}

/// Shows which credentials users have, and never the credentials.
pub fn describe_user_scram_credentials(
    image: &Image,
    request: &DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let mut by_user: BTreeMap<&Str, Vec<CredentialInfo>> = BTreeMap::new();
    for ((mechanism, user), credential) in &image.security.scram {
        let (mechanism, iterations) = (mechanism.code(), credential.iterations);
        by_user.entry(user).or_default().push(CredentialInfo { mechanism, iterations, ..Default::default() });
    }
    let counts: BTreeMap<&Str, usize> = match &request.users {
        Some(users) if !users.is_empty() => users.iter().fold(BTreeMap::new(), |mut counts, user| {
            *counts.entry(&user.name).or_default() += 1;
            counts
        }),
        _ => by_user.keys().map(|user| (*user, 1)).collect(),
    };
    let mut asked: Vec<(&Str, usize)> = counts.into_iter().collect();
    let buckets = java::bucket_count(16, asked.len());
    java::hash_order(&mut asked, buckets, |(user, _)| java::string_hash(user));
    let describe = |(user, count): (&Str, usize)| {
        let error = |code: ErrorCode, message: &str| DescribeUserScramCredentialsResult {
            user: user.clone(),
            error_code: code.code(),
            error_message: Some(format!("{message}: {user}").into()),
            ..Default::default()
        };
        if count > 1 {
            let message = "Cannot describe SCRAM credentials for the same user twice in a single request";
            return error(ErrorCode::DuplicateResource, message);
        }
        match by_user.get(user) {
            Some(infos) => DescribeUserScramCredentialsResult {
                user: user.clone(),
                credential_infos: infos.clone(),
                ..Default::default()
            },
            None => {
                let message = "Attempt to describe a user credential that does not exist";
                error(ErrorCode::ResourceNotFound, message)
            }
        }
    };
    let results = asked.into_iter().map(describe).collect();
    DescribeUserScramCredentialsResponse { results, ..Default::default() }
}
