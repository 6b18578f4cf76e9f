//! DescribeCluster (key 60), versions 0-2: lists the nodes of the cluster (KIP-700).
//!
//! - 1: chooses between brokers and controllers (KIP-919).
//! - 2: may include fenced brokers, and says which brokers are fenced (KIP-1073).

use super::Context;
use super::authorization::Operation;
use metadata::image::Broker;
use model::ErrorCode;
use protocol::Str;
use protocol::messages::describe_cluster_request::DescribeClusterRequest;
use protocol::messages::describe_cluster_response::{DescribeClusterBroker, DescribeClusterResponse};
use std::sync::Arc;

const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

/// Answers the brokers or the controllers, whichever this listener belongs to.
pub(super) async fn handle(context: Context, request: DescribeClusterRequest) -> DescribeClusterResponse {
    // As in Kafka, only administrators see the controllers.
    if context.connection.listener.is_controller
        && let Err(error) = context.need_or_say(Operation::Alter)
    {
        return DescribeClusterResponse {
            error_code: error.code.code(),
            error_message: error.message.map(Into::into),
            ..Default::default()
        };
    }
    let own = if context.connection.listener.is_controller { CONTROLLERS } else { BROKERS };
    if request.endpoint_type != own {
        return mismatch(own, request.endpoint_type, context.version >= 1);
    }
    let image = context.broker.image();
    let listener = &context.connection.listener.name;
    let brokers = if own == CONTROLLERS {
        let nodes = image.cluster.controllers.values().map(|node| (node.id, &node.listeners));
        nodes
            .filter_map(|(id, listeners)| {
                listeners.iter().find(|one| one.name == *listener).map(|one| entry(id.0, one, None, false))
            })
            .collect()
    } else {
        let shown = |broker: &&Arc<Broker>| request.include_fenced_brokers || !broker.fenced;
        let nodes = image.cluster.brokers.values().filter(shown);
        nodes
            .filter_map(|node| node.listener(listener).map(|one| entry(node.id.0, one, node.rack.clone(), node.fenced)))
            .collect()
    };
    let operations =
        if request.include_cluster_authorized_operations { context.operations_on_cluster() } else { i32::MIN };
    DescribeClusterResponse {
        endpoint_type: own,
        cluster_id: context.broker.node.cluster_id.clone(),
        controller_id: if own == CONTROLLERS {
            context.broker.controller.leader().map_or(-1, |id| id.0)
        } else {
            context.any_broker()
        },
        brokers,
        cluster_authorized_operations: operations,
        ..Default::default()
    }
}

fn entry(
    broker_id: i32,
    at: &metadata::image::BrokerListener,
    rack: Option<Str>,
    is_fenced: bool,
) -> DescribeClusterBroker {
    DescribeClusterBroker {
        broker_id,
        host: at.host.clone(),
        port: i32::from(at.port),
        rack,
        is_fenced,
        ..Default::default()
    }
}

/// Returns the error for a request that asks for the other kind of nodes. A version without
/// endpoint types has no error code for it.
fn mismatch(own: i8, asked: i8, knows_endpoints: bool) -> DescribeClusterResponse {
    let name = |kind: i8| if kind == BROKERS { "BROKER" } else { "CONTROLLER" };
    let (code, message) = if asked == BROKERS || asked == CONTROLLERS {
        let text = format!(
            "The request was sent to an endpoint of type {}, but we wanted an endpoint of type {}",
            name(own),
            name(asked)
        );
        (ErrorCode::MismatchedEndpointType, text)
    } else {
        (ErrorCode::UnsupportedEndpointType, format!("Unsupported endpoint type {asked}"))
    };
    let code = if knows_endpoints { code } else { ErrorCode::InvalidRequest };
    DescribeClusterResponse { error_code: code.code(), error_message: Some(message.into()), ..Default::default() }
}
