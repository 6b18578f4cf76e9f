//! FindCoordinator (key 10), versions 0-6: finds the coordinator of a group or of a transactional
//! id.
//!
//! - 1: also finds transaction coordinators (KIP-98); adds the throttle time and error messages.
//! - 3: is flexible.
//! - 4: names several keys at once (KIP-699).
//! - 5: may answer TRANSACTION_ABORTABLE (KIP-890).
//! - 6: also finds share coordinators (KIP-932).

use super::Context;
use super::authorization::{Operation, Resource};
use coordinator::StateTopic;
use model::{BrokerId, ErrorCode, TopicIdPartition};
use protocol::Str;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// Names the broker that coordinates each key. The first request creates the state topic.
pub(super) async fn handle(context: Context, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let asks_for_several = context.version >= 4;
    if asks_for_several {
        let keys = request.coordinator_keys.into_iter();
        let coordinators = keys.map(|key| find(&context, request.key_type, key)).collect();
        return FindCoordinatorResponse { coordinators, ..Default::default() };
    }
    let found = find(&context, request.key_type, request.key);
    // Before version 4, Kafka sends the error's default message here, or the name `NONE` if there
    // is no error. From version 4 on, an error without a message has an empty one.
    let message = match ErrorCode::from_code(found.error_code) {
        Some(ErrorCode::None) => Some(Str::const_new(ErrorCode::None.name())),
        Some(code) if found.error_message.as_deref().is_none_or(str::is_empty) => Some(code.message().into()),
        _ => found.error_message,
    };
    FindCoordinatorResponse {
        error_code: found.error_code,
        error_message: message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..Default::default()
    }
}

fn find(context: &Context, key_type: i8, key: Str) -> Coordinator {
    let state_topic = match key_type {
        GROUP => StateTopic::ConsumerOffsets,
        TRANSACTION => StateTopic::TransactionState,
        // Share coordinators are not served. Without a look at the key, this is Kafka's answer to
        // an invalid one.
        SHARE => {
            let permitted = context.need_or_say(Operation::ClusterAction);
            let error = permitted.err();
            let message = error.is_some().then_some(ErrorCode::ClusterAuthorizationFailed.message());
            return failed(key, error.map_or(ErrorCode::InvalidRequest, |error| error.code), message);
        }
        _ => return failed(key, ErrorCode::InvalidRequest, Some(ErrorCode::InvalidRequest.message())),
    };
    let (operation, resource) = match key_type {
        GROUP => (Operation::Describe, Resource::Group(&key)),
        TRANSACTION => (Operation::Describe, Resource::TransactionalId(&key)),
        _ => (Operation::ClusterAction, Resource::Cluster),
    };
    if let Err(code) = context.need(operation, resource) {
        return failed(key, code, None);
    }
    let image = context.broker.image();
    let Some(topic) = image.topics.by_name(state_topic.name()) else {
        context.broker.create_topics_later(vec![state_topic.name().into()]);
        return failed(key, ErrorCode::CoordinatorNotAvailable, None);
    };
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let index = coordinator::partition_for(&key, partitions);
    let id = TopicIdPartition { topic_id: topic.id, partition: index };
    // A broker that would refuse the key's requests is not returned.
    let is_ready = |leader: &BrokerId| context.broker.is_ready(*leader, id);
    let leader = topic.partition(index).and_then(|partition| partition.leader).filter(is_ready);
    match leader.and_then(|leader| context.node(leader.0)) {
        Some(node) => Coordinator { key, node_id: node.id, host: node.host, port: node.port, ..Default::default() },
        None => failed(key, ErrorCode::CoordinatorNotAvailable, None),
    }
}

fn failed(key: Str, code: ErrorCode, message: Option<&'static str>) -> Coordinator {
    Coordinator {
        key,
        node_id: -1,
        port: -1,
        error_code: code.code(),
        error_message: Some(Str::const_new(message.unwrap_or_default())),
        ..Default::default()
    }
}
