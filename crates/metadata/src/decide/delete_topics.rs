//! DeleteTopics, by name and by id (KIP-516).

use super::{ControllerContext, Decided, Decision, bounded, code_and_message};
use crate::VersionedRecord;
use crate::image::Image;
use model::{ApiError, ErrorCode, TopicId, Uuid};
use protocol::messages::delete_topics_request::DeleteTopicsRequest;
use protocol::messages::delete_topics_response::{DeletableTopicResult, DeleteTopicsResponse};
use protocol::messages::remove_topic_record::RemoveTopicRecord;
use protocol::{MetadataRecord, Str};
use std::collections::{BTreeMap, BTreeSet};

/// The authorizer's answers about a topic to be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicToDelete {
    /// Whether the client may see it.
    pub describable: bool,
    /// Whether the client may delete it.
    pub deletable: bool,
}

/// Each name and id of a request once, and the errors of the others.
#[derive(Default)]
struct Asked {
    names: BTreeSet<Str>,
    names_twice: BTreeSet<Str>,
    ids: BTreeSet<Uuid>,
    ids_twice: BTreeSet<Uuid>,
    results: Vec<DeletableTopicResult>,
}

/// Deletes topics. Each topic succeeds or fails alone. The order of the answers has no meaning:
/// Kafka shuffles them. Errors: TOPIC_DELETION_DISABLED, which versions before 3 must see as
/// INVALID_REQUEST; REQUEST_TIMED_OUT.
pub fn delete_topics(
    image: &Image,
    context: &mut ControllerContext<'_>,
    request: &DeleteTopicsRequest,
    authorize: &dyn Fn(&str) -> TopicToDelete,
) -> Decided<DeleteTopicsResponse> {
    if !context.settings.delete_topic_enable {
        return Err(ErrorCode::TopicDeletionDisabled.into());
    }
    let mut asked = Asked::of(request);
    if !asked.ids.is_empty() || !asked.names.is_empty() {
        context.in_time()?;
    }
    let mut doomed: BTreeMap<TopicId, Str> = BTreeMap::new();
    for id in std::mem::take(&mut asked.ids) {
        asked.resolve_id(image, id, authorize, &mut doomed);
    }
    for name in std::mem::take(&mut asked.names) {
        asked.resolve_name(image, name, authorize, &mut doomed);
    }
    let mut records = Vec::new();
    for (id, name) in doomed {
        let record = RemoveTopicRecord { topic_id: id, ..Default::default() };
        records.push(VersionedRecord::v0(MetadataRecord::RemoveTopic(record)));
        asked.answer(Some(name), id, None);
    }
    bounded(&records)?;
    Ok(Decision::atomic(records, DeleteTopicsResponse { responses: asked.results, ..Default::default() }))
}

fn invalid(message: &str) -> Option<ApiError> {
    Some(ApiError::new(ErrorCode::InvalidRequest, message))
}

impl Asked {
    fn of(request: &DeleteTopicsRequest) -> Self {
        let mut asked = Self::default();
        for name in &request.topic_names {
            asked.add_name(name);
        }
        for topic in &request.topics {
            match (&topic.name, topic.topic_id.non_zero()) {
                (None, None) => {
                    asked.answer(None, Uuid::ZERO, invalid("Neither topic name nor id were specified."));
                }
                (Some(name), None) => asked.add_name(name),
                (Some(name), Some(id)) => {
                    let error = invalid("You may not specify both topic name and topic id.");
                    asked.answer(Some(name.clone()), id, error);
                }
                (None, Some(id)) => {
                    if asked.ids_twice.contains(&id) || !asked.ids.insert(id) {
                        asked.ids.remove(&id);
                        asked.ids_twice.insert(id);
                    }
                }
            }
        }
        for name in asked.names_twice.clone() {
            asked.answer(Some(name), Uuid::ZERO, invalid("Duplicate topic name."));
        }
        for id in asked.ids_twice.clone() {
            asked.answer(None, id, invalid("Duplicate topic id."));
        }
        asked
    }

    fn add_name(&mut self, name: &Str) {
        if self.names_twice.contains(name) || !self.names.insert(name.clone()) {
            self.names.remove(name);
            self.names_twice.insert(name.clone());
        }
    }

    fn resolve_id(
        &mut self,
        image: &Image,
        id: Uuid,
        authorize: &dyn Fn(&str) -> TopicToDelete,
        doomed: &mut BTreeMap<TopicId, Str>,
    ) {
        let Some(topic) = image.topics.by_id(id) else {
            return self.answer(None, id, Some(ApiError::new(ErrorCode::UnknownTopicId, UNKNOWN_TOPIC_ID)));
        };
        let allowed = authorize(&topic.name);
        if !allowed.describable {
            // A client that may not see the topic must not learn its name.
            self.answer(None, id, Some(ApiError::new(ErrorCode::TopicAuthorizationFailed, UNAUTHORIZED)));
        } else if allowed.deletable {
            doomed.insert(id, topic.name.clone());
        } else {
            let error = ApiError::new(ErrorCode::TopicAuthorizationFailed, UNAUTHORIZED);
            self.answer(Some(topic.name.clone()), id, Some(error));
        }
    }

    fn resolve_name(
        &mut self,
        image: &Image,
        name: Str,
        authorize: &dyn Fn(&str) -> TopicToDelete,
        doomed: &mut BTreeMap<TopicId, Str>,
    ) {
        let allowed = authorize(&name);
        let unauthorized = || Some(ApiError::new(ErrorCode::TopicAuthorizationFailed, UNAUTHORIZED));
        if !allowed.describable {
            return self.answer(Some(name), Uuid::ZERO, unauthorized());
        }
        let Some(topic) = image.topics.by_name(&name) else {
            let error = ApiError::new(ErrorCode::UnknownTopicOrPartition, UNKNOWN_TOPIC);
            return self.answer(Some(name), Uuid::ZERO, Some(error));
        };
        if !allowed.deletable {
            return self.answer(Some(name), Uuid::ZERO, unauthorized());
        }
        if self.ids_twice.contains(&topic.id) || doomed.insert(topic.id, name.clone()).is_some() {
            doomed.remove(&topic.id);
            self.ids_twice.insert(topic.id);
            let error = invalid("The provided topic name maps to an ID that was already supplied.");
            self.answer(Some(name), topic.id, error);
        }
    }

    fn answer(&mut self, name: Option<Str>, topic_id: Uuid, error: Option<ApiError>) {
        let (error_code, error_message) = error.as_ref().map_or((0, None), code_and_message);
        let result = DeletableTopicResult { name, topic_id, error_code, error_message, ..Default::default() };
        self.results.push(result);
    }
}

const UNKNOWN_TOPIC_ID: &str = "This server does not host this topic ID.";
const UNKNOWN_TOPIC: &str = "This server does not host this topic-partition.";
const UNAUTHORIZED: &str = "Topic authorization failed.";
