//! AlterUserScramCredentials and DescribeUserScramCredentials (KIP-554).

use super::{Context, Decided, Decision, bounded, code_and_message};
use crate::VersionedRecord;
use crate::image::{Image, ScramMechanism};
use bytes::Bytes;
use model::{ApiError, ErrorCode};
use protocol::messages::alter_user_scram_credentials_request::AlterUserScramCredentialsRequest;
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

/// Makes of a salted password the stored key and the server key (RFC 5802, section 3): hashing is the caller's.
pub type ScramKeys<'a> = dyn Fn(ScramMechanism, &[u8]) -> (Bytes, Bytes) + 'a;

/// Sets and removes credentials; each user succeeds or fails alone.
pub fn alter_user_scram_credentials(
    image: &Image,
    _context: &mut Context<'_>,
    request: &AlterUserScramCredentialsRequest,
    keys: &ScramKeys<'_>,
) -> Decided<AlterUserScramCredentialsResponse> {
    let mut counts: BTreeMap<&Str, usize> = BTreeMap::new();
    let names = request.deletions.iter().map(|it| &it.name).chain(request.upsertions.iter().map(|it| &it.name));
    for name in names {
        *counts.entry(name).or_default() += 1;
    }
    let may_alter = |name: &Str| {
        if counts.get(name).is_some_and(|count| *count > 1) {
            let message = "A user credential cannot be altered twice in the same request";
            return Err(ApiError::new(ErrorCode::DuplicateResource, message));
        }
        if !image.features.version().has_scram() {
            let message = "The current metadata.version does not support SCRAM";
            return Err(ApiError::new(ErrorCode::UnsupportedVersion, message));
        }
        Ok(())
    };
    let mut results: BTreeMap<&Str, Result<VersionedRecord, ApiError>> = BTreeMap::new();
    for it in &request.deletions {
        let removed = may_alter(&it.name).and_then(|()| {
            let mechanism = check(&it.name, it.mechanism)?;
            if !image.security.scram.contains_key(&(mechanism, it.name.clone())) {
                let message = "Attempt to delete a user credential that does not exist";
                return Err(ApiError::new(ErrorCode::ResourceNotFound, message));
            }
            let (name, mechanism) = (it.name.clone(), it.mechanism);
            let record = RemoveUserScramCredentialRecord { name, mechanism, ..Default::default() };
            Ok(VersionedRecord::v0(MetadataRecord::RemoveUserScramCredential(record)))
        });
        results.insert(&it.name, removed);
    }
    for it in &request.upsertions {
        let set = may_alter(&it.name).and_then(|()| {
            let mechanism = check(&it.name, it.mechanism)?;
            let unacceptable = |message| Err(ApiError::new(ErrorCode::UnacceptableCredential, message));
            if it.iterations < mechanism.min_iterations() {
                return unacceptable("Too few iterations");
            }
            if it.iterations > mechanism.max_iterations() {
                return unacceptable("Too many iterations");
            }
            let (stored_key, server_key) = keys(mechanism, &it.salted_password);
            Ok(VersionedRecord::v0(MetadataRecord::UserScramCredential(UserScramCredentialRecord {
                name: it.name.clone(),
                mechanism: it.mechanism,
                salt: it.salt.clone(),
                stored_key,
                server_key,
                iterations: it.iterations,
                ..Default::default()
            })))
        });
        results.insert(&it.name, set);
    }
    let mut records = Vec::new();
    let mut answers = Vec::new();
    for (user, result) in results {
        let (error_code, error_message) = result.as_ref().err().map_or((0, None), code_and_message);
        records.extend(result.ok());
        let user = user.clone();
        answers.push(AlterUserScramCredentialsResult { user, error_code, error_message, ..Default::default() });
    }
    bounded(&records)?;
    Ok(Decision::atomic(records, AlterUserScramCredentialsResponse { results: answers, ..Default::default() }))
}

fn check(name: &str, mechanism: i8) -> Result<ScramMechanism, ApiError> {
    if name.is_empty() {
        return Err(ApiError::new(ErrorCode::UnacceptableCredential, "Username must not be empty"));
    }
    ScramMechanism::from_code(mechanism)
        .ok_or_else(|| ApiError::new(ErrorCode::UnsupportedSaslMechanism, "Unknown SCRAM mechanism"))
}

/// Shows which credentials users have, never the credentials.
pub fn describe_user_scram_credentials(
    image: &Image,
    request: &DescribeUserScramCredentialsRequest,
) -> DescribeUserScramCredentialsResponse {
    let mut by_user: BTreeMap<&Str, Vec<CredentialInfo>> = BTreeMap::new();
    for ((mechanism, user), credential) in &image.security.scram {
        let (mechanism, iterations) = (mechanism.code(), credential.iterations);
        by_user.entry(user).or_default().push(CredentialInfo { mechanism, iterations, ..Default::default() });
    }
    let asked: BTreeMap<&Str, usize> = match &request.users {
        Some(users) if !users.is_empty() => users.iter().fold(BTreeMap::new(), |mut counts, user| {
            *counts.entry(&user.name).or_default() += 1;
            counts
        }),
        _ => by_user.keys().map(|user| (*user, 1)).collect(),
    };
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
