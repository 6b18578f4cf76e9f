//! The requests: one table, and one file for each API key.
//!
//! Dispatch, the ApiVersions answer, metric labels and the documentation come from the table. A
//! handler takes the decoded request and returns a response. The handler's file turns the version
//! into named facts. No other code sees the version.

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod add_raft_voter;
mod allocate_producer_ids;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition;
mod alter_partition_reassignments;
mod alter_replica_log_dirs;
mod alter_share_group_offsets;
mod alter_user_scram_credentials;
mod api_versions;
mod assign_replicas_to_dirs;
mod authentication;
mod authorization;
mod begin_quorum_epoch;
mod broker_heartbeat;
mod broker_registration;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod context;
mod controller_registration;
mod create_acls;
mod create_delegation_token;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_share_group_offsets;
mod delete_share_group_state;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_delegation_token;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_quorum;
mod describe_share_group_offsets;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod end_quorum_epoch;
mod end_txn;
mod envelope;
mod error;
mod expire_delegation_token;
mod fetch;
mod fetch_snapshot;
mod find_coordinator;
mod get_telemetry_subscriptions;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod initialize_share_group_state;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod push_telemetry;
mod read_share_group_state;
mod read_share_group_state_summary;
mod remove_raft_voter;
mod renew_delegation_token;
mod sasl_authenticate;
mod sasl_handshake;
mod share_acknowledge;
mod share_fetch;
mod share_group_describe;
mod share_group_heartbeat;
mod streams_group_describe;
mod streams_group_heartbeat;
mod sync_group;
mod txn_offset_commit;
mod unregister_broker;
mod update_features;
mod update_raft_voter;
mod verification;
mod vote;
mod write_share_group_state;
mod write_txn_markers;

pub use context::{Connection, Context, Outcome, Refused, Reply};
pub(crate) use table::{ON_BROKER, ON_CONTROLLER, TABLE};

use crate::broker::Broker;
use crate::runtime::loggers::REQUEST_TARGET;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use protocol::{ApiKey, Message, Reader, RequestPrefix};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

#[cfg(test)]
mod tests;

/// The future outcome of a request.
pub type Served = BoxFuture<'static, Result<Outcome, Refused>>;

/// Serves one request frame.
pub fn serve(broker: Arc<Broker>, connection: Arc<Connection>, frame: Bytes) -> Served {
    let received = broker.clock.instant();
    if let Some(served) = authentication::serve(&broker, &connection, &frame) {
        return served;
    }
    let line = RequestLine::of(&connection, &frame);
    match begin(broker.clone(), connection, frame) {
        Ok((key, served)) => Box::pin(async move {
            let outcome = served.await;
            let took = received.elapsed();
            broker.metrics.requests.served(key, took);
            if let Some(line) = line {
                line.log(key, took);
            }
            outcome
        }),
        Err(refused) => Box::pin(std::future::ready(Err(refused))),
    }
}

/// The log line of a request, as of Kafka's `kafka.request.logger`. It is created only if that log
/// is enabled.
struct RequestLine {
    connection: Arc<Connection>,
    prefix: RequestPrefix,
    client_id: Option<protocol::Str>,
}

impl RequestLine {
    fn of(connection: &Arc<Connection>, frame: &Bytes) -> Option<Box<Self>> {
        if !tracing::enabled!(target: REQUEST_TARGET, tracing::Level::DEBUG) {
            return None;
        }
        let prefix = RequestPrefix::peek(frame).ok()?;
        let client_id = protocol::peek_client_id(frame).unwrap_or_default();
        Some(Box::new(Self { connection: connection.clone(), prefix, client_id }))
    }

    fn log(&self, key: ApiKey, took: Duration) {
        tracing::debug!(
            target: REQUEST_TARGET,
            request = key.name(),
            version = self.prefix.api_version,
            correlation_id = self.prefix.correlation_id,
            client_id = self.client_id.as_deref(),
            peer = %self.connection.peer,
            listener = %self.connection.listener.name,
            micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            "answered a request"
        );
    }
}

fn begin(broker: Arc<Broker>, connection: Arc<Connection>, frame: Bytes) -> Result<(ApiKey, Served), Refused> {
    let prefix = RequestPrefix::peek(&frame)?;
    let refused = |why| {
        *connection.refused_client_id.lock() = protocol::peek_client_id(&frame).unwrap_or_default();
        why
    };
    let key = ApiKey::from_code(prefix.api_key);
    let row = key.and_then(table::row).filter(|row| row.is_on(&connection.listener));
    let (key, row) = key.zip(row).ok_or_else(|| refused(Refused::Key(prefix.api_key)))?;
    let mut version = prefix.api_version;
    if !row.serves(version) && key != ApiKey::ApiVersions {
        return Err(refused(Refused::Version { key, version, served: row.versions }));
    }
    let mut body = Reader::new(frame.clone());
    let client_id = protocol::read_request_header(&mut body, key, version)?.client_id;
    if !row.serves(version) {
        // The client asks in a newer version. The answer in the oldest version tells it the served
        // versions (KIP-511).
        version = api_versions::UNSUPPORTED;
    }
    let version_is_unknown = version != prefix.api_version;
    let correlation_id = prefix.correlation_id;
    let context = Context { broker, connection, key, version, correlation_id, version_is_unknown, client_id };
    context.wait_for_acls()?;
    let is_of_a_client = !context.connection.listener.is_controller;
    let served = match row.is_forwarded && is_of_a_client {
        true => envelope::serve(row, context, frame, body),
        false => {
            // The handler releases the frame as soon as it has read it.
            drop(frame);
            (row.serve)(context, body)
        }
    };
    Ok((key, served))
}

/// Decodes a request, calls the handler, and writes the response.
async fn answer<Q, P, F>(
    context: Context,
    body: Reader,
    handle: impl FnOnce(Context, Q) -> F,
) -> Result<Outcome, Refused>
where
    Q: Message,
    P: Message,
    F: Future<Output = P> + Send,
{
    answer_or_refuse(context, body, |context, request| {
        let handled = handle(context, request);
        async { Ok(handled.await) }
    })
    .await
}

/// Does the same for a handler that may refuse the request.
async fn answer_or_refuse<Q, P, F>(
    context: Context,
    mut body: Reader,
    handle: impl FnOnce(Context, Q) -> F,
) -> Result<Outcome, Refused>
where
    Q: Message,
    P: Message,
    F: Future<Output = Result<P, Refused>> + Send,
{
    let decoded = Q::decode(&mut body, context.version).map_err(Refused::from);
    let request =
        decoded.inspect_err(|_| context.connection.refused_client_id.lock().clone_from(&context.client_id))?;
    // The frame is not held while the handler waits.
    drop(body);
    let head = context.reply_head();
    let response = handle(context, request).await?;
    Ok(Outcome::Reply(head.write(&response)?))
}

/// The table.
mod table {
    use super::*;
    use crate::config::Listener;

    /// Served to clients and brokers.
    pub(crate) const ON_BROKER: u8 = 1;
    /// Served on the controllers' listeners.
    pub(crate) const ON_CONTROLLER: u8 = 2;
    const BOTH: u8 = ON_BROKER | ON_CONTROLLER;

    /// One API key.
    pub(crate) struct Row {
        pub(crate) key: ApiKey,
        /// The advertised versions.
        pub(crate) versions: (i16, i16),
        /// The listeners that serve it, as bits.
        pub(crate) on: u8,
        /// The listeners on which the feature works, as bits. The other listeners answer that the
        /// feature is off.
        #[cfg_attr(not(test), expect(dead_code, reason = "the README's table is written from it"))]
        pub(crate) works: u8,
        /// Whether a broker forwards it to the active controller.
        pub(crate) is_forwarded: bool,
        /// Decodes the request, calls the handler and writes the response.
        pub(crate) serve: fn(Context, Reader) -> Served,
    }

    impl Row {
        /// Whether the listener of this connection serves it.
        pub(super) fn is_on(&self, listener: &Listener) -> bool {
            self.on & (if listener.is_controller { ON_CONTROLLER } else { ON_BROKER }) != 0
        }

        /// Whether a version is served. Produce is advertised from 0 for old versions of
        /// librdkafka, but served from 3 (KAFKA-18659).
        pub(super) fn serves(&self, version: i16) -> bool {
            let oldest = if self.key == ApiKey::Produce { 3 } else { self.versions.0 };
            (oldest..=self.versions.1).contains(&version)
        }
    }

    /// Returns the row of a key.
    pub(super) fn row(key: ApiKey) -> Option<&'static Row> {
        TABLE.binary_search_by_key(&key, |row| row.key).ok().and_then(|index| TABLE.get(index))
    }

    macro_rules! rows {
        ($($key:ident $oldest:literal-$latest:literal $on:ident $place:ident $handler:path $(, off $off:ident)?;)*) => {
            &[$(Row {
                key: ApiKey::$key,
                versions: ($oldest, $latest),
                on: $on,
                works: rows!(@works $place $on) $(& !$off)?,
                is_forwarded: rows!(@forwarded $place),
                serve: rows!(@serve $place $handler),
            },)*]
        };
        (@works Off $on:ident) => { 0 };
        (@works $place:ident $on:ident) => { $on };
        (@forwarded Forwarded) => { true };
        (@forwarded ForwardedStrict) => { true };
        (@forwarded $place:ident) => { false };
        // A handler that makes its own frame, with file regions or after later requests.
        (@serve Framed $handler:path) => { |context, body| Box::pin($handler(context, body)) };
        // A handler that refuses requests without a meaning.
        (@serve Strict $handler:path) => { |context, body| Box::pin(answer_or_refuse(context, body, $handler)) };
        (@serve ForwardedStrict $handler:path) => { rows!(@serve Strict $handler) };
        (@serve $place:ident $handler:path) => { |context, body| Box::pin(answer(context, body, $handler)) };
    }

    /// Every API key that is served. A row has the versions as Apache Kafka 4.3.1 advertises them,
    /// the listeners, the way of serving, and the handler. The way `Off` says that the feature is
    /// off on all listeners. `off` names listeners on which alone it is off.
    #[rustfmt::skip]
    pub(crate) static TABLE: &[Row] = rows! {
        Produce                      0-13 ON_BROKER     Framed    produce::handle;
        Fetch                        4-18 BOTH          Framed    fetch::handle;
        ListOffsets                  1-11 ON_BROKER     Local     list_offsets::handle;
        Metadata                     0-13 ON_BROKER     Local     super::metadata::handle;
        OffsetCommit                 2-10 ON_BROKER     Local     offset_commit::handle;
        OffsetFetch                  1-10 ON_BROKER     Local     offset_fetch::handle;
        FindCoordinator              0-6  ON_BROKER     Local     find_coordinator::handle;
        JoinGroup                    0-9  ON_BROKER     Local     join_group::handle;
        Heartbeat                    0-4  ON_BROKER     Local     heartbeat::handle;
        LeaveGroup                   0-5  ON_BROKER     Local     leave_group::handle;
        SyncGroup                    0-5  ON_BROKER     Local     sync_group::handle;
        DescribeGroups               0-6  ON_BROKER     Local     describe_groups::handle;
        ListGroups                   0-5  ON_BROKER     Local     list_groups::handle;
        SaslHandshake                0-1  BOTH          Local     sasl_handshake::handle;
        ApiVersions                  0-4  BOTH          Local     api_versions::handle;
        CreateTopics                 2-7  BOTH          Forwarded create_topics::handle;
        DeleteTopics                 1-6  BOTH          Forwarded delete_topics::handle;
        DeleteRecords                0-2  ON_BROKER     Local     delete_records::handle;
        InitProducerId               0-5  ON_BROKER     Local     init_producer_id::handle;
        OffsetForLeaderEpoch         2-4  ON_BROKER     Local     offset_for_leader_epoch::handle;
        AddPartitionsToTxn           0-5  ON_BROKER     Local     add_partitions_to_txn::handle;
        AddOffsetsToTxn              0-4  ON_BROKER     Local     add_offsets_to_txn::handle;
        EndTxn                       0-5  ON_BROKER     Local     end_txn::handle;
        WriteTxnMarkers              1-2  ON_BROKER     Local     write_txn_markers::handle;
        TxnOffsetCommit              0-5  ON_BROKER     Local     txn_offset_commit::handle;
        DescribeAcls                 1-3  BOTH          Strict    describe_acls::handle;
        CreateAcls                   1-3  BOTH          ForwardedStrict create_acls::handle;
        DeleteAcls                   1-3  BOTH          ForwardedStrict delete_acls::handle;
        DescribeConfigs              1-4  BOTH          Local     describe_configs::handle;
        AlterConfigs                 0-2  BOTH          Forwarded alter_configs::handle;
        AlterReplicaLogDirs          1-2  ON_BROKER     Local     alter_replica_log_dirs::handle;
        DescribeLogDirs              1-5  ON_BROKER     Local     describe_log_dirs::handle;
        SaslAuthenticate             0-2  BOTH          Local     sasl_authenticate::handle;
        CreatePartitions             0-3  BOTH          Forwarded create_partitions::handle;
        CreateDelegationToken        1-3  BOTH          Off       create_delegation_token::handle;
        RenewDelegationToken         1-2  BOTH          Off       renew_delegation_token::handle;
        ExpireDelegationToken        1-2  BOTH          Off       expire_delegation_token::handle;
        DescribeDelegationToken      1-3  BOTH          Off       describe_delegation_token::handle;
        DeleteGroups                 0-2  ON_BROKER     Local     delete_groups::handle;
        ElectLeaders                 0-2  BOTH          Forwarded elect_leaders::handle;
        IncrementalAlterConfigs      0-1  BOTH          Forwarded incremental_alter_configs::handle;
        AlterPartitionReassignments  0-1  BOTH          Forwarded alter_partition_reassignments::handle;
        ListPartitionReassignments   0-0  BOTH          Forwarded list_partition_reassignments::handle;
        OffsetDelete                 0-0  ON_BROKER     Local     offset_delete::handle;
        DescribeClientQuotas         0-1  ON_BROKER     Local     describe_client_quotas::handle;
        AlterClientQuotas            0-1  BOTH          Forwarded alter_client_quotas::handle;
        DescribeUserScramCredentials 0-0  BOTH          Local     describe_user_scram_credentials::handle, off ON_CONTROLLER;
        AlterUserScramCredentials    0-0  BOTH          Forwarded alter_user_scram_credentials::handle;
        Vote                         0-2  ON_CONTROLLER Local     vote::handle;
        BeginQuorumEpoch             0-1  ON_CONTROLLER Local     begin_quorum_epoch::handle;
        EndQuorumEpoch               0-1  ON_CONTROLLER Local     end_quorum_epoch::handle;
        DescribeQuorum               0-2  BOTH          Forwarded describe_quorum::handle;
        AlterPartition               2-3  ON_CONTROLLER Local     alter_partition::handle;
        UpdateFeatures               0-2  BOTH          Forwarded update_features::handle;
        Envelope                     0-0  ON_CONTROLLER Local     envelope::handle;
        FetchSnapshot                0-1  ON_CONTROLLER Local     fetch_snapshot::handle;
        DescribeCluster              0-2  BOTH          Local     describe_cluster::handle;
        DescribeProducers            0-0  ON_BROKER     Local     describe_producers::handle;
        BrokerRegistration           0-4  ON_CONTROLLER Local     broker_registration::handle;
        BrokerHeartbeat              0-2  ON_CONTROLLER Local     broker_heartbeat::handle;
        UnregisterBroker             0-0  BOTH          Forwarded unregister_broker::handle;
        DescribeTransactions         0-0  ON_BROKER     Local     describe_transactions::handle;
        ListTransactions             0-2  ON_BROKER     Local     list_transactions::handle;
        AllocateProducerIds          0-0  ON_CONTROLLER Local     allocate_producer_ids::handle;
        ConsumerGroupHeartbeat       0-1  ON_BROKER     Off       consumer_group_heartbeat::handle;
        ConsumerGroupDescribe        0-1  ON_BROKER     Off       consumer_group_describe::handle;
        ControllerRegistration       0-0  ON_CONTROLLER Local     controller_registration::handle;
        GetTelemetrySubscriptions    0-0  ON_BROKER     Off       get_telemetry_subscriptions::handle;
        PushTelemetry                0-0  ON_BROKER     Off       push_telemetry::handle;
        AssignReplicasToDirs         0-0  ON_CONTROLLER Local     assign_replicas_to_dirs::handle;
        ListConfigResources          0-1  ON_BROKER     Local     list_config_resources::handle;
        DescribeTopicPartitions      0-0  ON_BROKER     Local     describe_topic_partitions::handle;
        ShareGroupHeartbeat          1-1  ON_BROKER     Off       share_group_heartbeat::handle;
        ShareGroupDescribe           1-1  ON_BROKER     Off       share_group_describe::handle;
        ShareFetch                   1-2  ON_BROKER     Off       share_fetch::handle;
        ShareAcknowledge             1-2  ON_BROKER     Off       share_acknowledge::handle;
        AddRaftVoter                 0-1  BOTH          Forwarded add_raft_voter::handle;
        RemoveRaftVoter              0-0  BOTH          Forwarded remove_raft_voter::handle;
        UpdateRaftVoter              0-0  ON_CONTROLLER Local     update_raft_voter::handle;
        InitializeShareGroupState    0-0  ON_BROKER     Off       initialize_share_group_state::handle;
        ReadShareGroupState          0-0  ON_BROKER     Off       read_share_group_state::handle;
        WriteShareGroupState         0-1  ON_BROKER     Off       write_share_group_state::handle;
        DeleteShareGroupState        0-0  ON_BROKER     Off       delete_share_group_state::handle;
        ReadShareGroupStateSummary   0-1  ON_BROKER     Off       read_share_group_state_summary::handle;
        StreamsGroupHeartbeat        0-0  ON_BROKER     Off       streams_group_heartbeat::handle;
        StreamsGroupDescribe         0-0  ON_BROKER     Off       streams_group_describe::handle;
        DescribeShareGroupOffsets    0-1  ON_BROKER     Off       describe_share_group_offsets::handle;
        AlterShareGroupOffsets       0-0  ON_BROKER     Off       alter_share_group_offsets::handle;
        DeleteShareGroupOffsets      0-0  ON_BROKER     Off       delete_share_group_offsets::handle;
    };
}
