//! FindCoordinator (key 10), versions 0-6.
//!
//! 1 finds transaction coordinators too; 3 is flexible; 4 asks for several keys at once (KIP-699); 6 finds share coordinators (KIP-932).

use super::Context;
use crate::runtime::group::OFFSETS_TOPIC;
use model::{BrokerId, ErrorCode, TopicIdPartition};
use protocol::Str;
use protocol::messages::find_coordinator_request::FindCoordinatorRequest;
use protocol::messages::find_coordinator_response::{Coordinator, FindCoordinatorResponse};

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;

/// What transactions are answered until they are served: a code that no client retries.
const NO_TRANSACTIONS: &str = "Transactions are not served by this broker";

/// Names the broker that coordinates each key; the offsets topic is created when it is first asked for.
pub(super) async fn handle(context: Context, request: FindCoordinatorRequest) -> FindCoordinatorResponse {
    let asks_for_several = context.version >= 4;
    if asks_for_several {
        let keys = request.coordinator_keys.into_iter();
        let coordinators = keys.map(|key| find(&context, request.key_type, key)).collect();
        return FindCoordinatorResponse { coordinators, ..Default::default() };
    }
    let found = find(&context, request.key_type, request.key);
    // Kafka gives the error's text here, and for the lack of one its name; the newer form names only what was refused as a whole.
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
    match key_type {
        GROUP => {}
        TRANSACTION => return failed(key, ErrorCode::TransactionalIdAuthorizationFailed, Some(NO_TRANSACTIONS)),
        // A share's coordinator is not here, and its key not looked at: this is Kafka's answer to a wrong one.
        SHARE => return failed(key, ErrorCode::InvalidRequest, None),
        _ => return failed(key, ErrorCode::InvalidRequest, Some(ErrorCode::InvalidRequest.message())),
    }
    let image = context.broker.image();
    let Some(topic) = image.topics.by_name(OFFSETS_TOPIC) else {
        context.broker.create_topic_later(OFFSETS_TOPIC);
        return failed(key, ErrorCode::CoordinatorNotAvailable, None);
    };
    let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    let index = coordinator::partition_for(&key, partitions);
    let id = TopicIdPartition { topic_id: topic.id, partition: index };
    // Nobody is sent to a broker that would refuse.
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
