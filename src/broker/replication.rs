//! Replication between brokers: a partition that another broker leads follows it, and a leader here
//! asks the controller for changes of its ISR.

use super::Broker;
use crate::config::BrokerSettings;
use crate::replica::fetcher::FetcherSettings;
use crate::replica::fetchers::{Fetchers, FetchersParts};
use crate::replica::{Following, QuotaWindows};
use crate::runtime::isr_sender::{ClusterPeers, IsrSender};
use crate::runtime::leader_link::BrokerLink;
use model::BrokerId;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Lets the partitions of a broker follow their leaders. Called once, before the first image.
/// Returns what sends the changes of ISRs.
pub(crate) fn start(broker: &Arc<Broker>) -> IsrSender {
    let of = broker.settings();
    let settings = FetcherSettings {
        max_wait_ms: of.replica_fetch_wait_max_ms,
        min_bytes: of.replica_fetch_min_bytes,
        max_bytes: of.replica_fetch_response_max_bytes,
        partition_max_bytes: of.replica_fetch_max_bytes,
        backoff_ms: i64::from(of.replica_fetch_backoff_ms),
        produced_bytes_max: usize::try_from(of.socket_request_max_bytes).unwrap_or(0),
    };
    let windows = QuotaWindows {
        count: usize::try_from(of.replication_quota_window_num).unwrap_or(1),
        size_ms: u64::try_from(of.replication_quota_window_size_seconds).unwrap_or(1).saturating_mul(1_000),
    };
    let quotas = &broker.replicas.quotas;
    [&quotas.leader, &quotas.follower].into_iter().for_each(|quota| quota.set_windows(windows));
    let timeout = Duration::from_millis(u64::try_from(of.replica_socket_timeout_ms).unwrap_or(0));
    let (brokers, own) = (broker.other_brokers.clone(), broker.other_brokers.clone());
    let runtime = Handle::current();
    let fetchers = Arc::new(Fetchers::new(FetchersParts {
        broker_id: broker.node.id,
        per_leader: fetchers_per_leader(&of),
        settings,
        quotas: quotas.clone(),
        bytes_in: broker.metrics.replication.bytes_in.clone(),
        own_epoch: Arc::new(move || own.own_epoch()),
        link: Box::new(move |leader: BrokerId| BrokerLink::new(brokers.clone(), leader, timeout)),
        env: broker.env,
        runtime: runtime.clone(),
    }));
    let peers = Arc::new(ClusterPeers::new(broker.node.id, broker.image.clone()));
    let of_partitions = peers.clone();
    let counted = fetchers.clone();
    broker.replicas.set_following(Following {
        backoff_ms: settings.backoff_ms,
        listener: Box::new(move |partition| {
            let _entered = runtime.enter();
            partition.set_peers(of_partitions.clone());
            fetchers.update(partition);
        }),
        set_fetcher_count: Box::new(move |count| counted.set_per_leader(count)),
    });
    let controller = broker.active_controller.with_own_connection();
    let metrics = broker.metrics.replication.clone();
    IsrSender { peers, controller, metrics, stopping: broker.stopping.clone() }
}

/// Returns `num.replica.fetchers`.
pub(super) fn fetchers_per_leader(settings: &BrokerSettings) -> usize {
    usize::try_from(settings.num_replica_fetchers).unwrap_or(1)
}
