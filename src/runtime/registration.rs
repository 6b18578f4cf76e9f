//! Registers this node with the active controller in its roles, and keeps a broker's session alive
//! by heartbeats.

use super::controller::ActiveController;
use super::session::OwnSession;
use crate::config::Roles;
use crate::env::watch;
use crate::replica::DirStates;
use arc_swap::ArcSwap;
use metadata::image::Image;
use metadata::version::FEATURES;
use model::{ApiError, BrokerEpoch, BrokerId, DirectoryId, ErrorCode, Offset, Uuid};
use protocol::Str;
use protocol::messages::broker_heartbeat_request::BrokerHeartbeatRequest;
use protocol::messages::broker_heartbeat_response::BrokerHeartbeatResponse;
use protocol::messages::broker_registration_request::{self as broker, BrokerRegistrationRequest};
use protocol::messages::controller_registration_request::{self as controller, ControllerRegistrationRequest};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long to wait after a rejected registration before the next attempt.
const RETRY: Duration = Duration::from_millis(100);
/// How long a node waits for the quorum before it says so.
const QUIET_WAIT: Duration = Duration::from_secs(1);
/// The wait between two heartbeats of a controlled shutdown.
const SIGN_OFF_INTERVAL: Duration = Duration::from_millis(50);
/// After this many heartbeats of a controlled shutdown without a controller, the broker stops: the
/// whole cluster may be stopping.
const SIGN_OFF_UNANSWERED_MAX: usize = 20;
/// The maximum time of a controlled shutdown.
const SHUTDOWN: Duration = Duration::from_secs(5);

/// The address of a listener.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The listener's name.
    pub name: Str,
    /// The advertised host.
    pub host: Str,
    /// The port.
    pub port: u16,
    /// Kafka's number of the security protocol.
    pub security_protocol: i16,
}

/// The registration of this node.
#[derive(Clone, Debug)]
pub struct Registration {
    /// `process.roles`.
    pub roles: Roles,
    /// `node.id`.
    pub node_id: i32,
    /// The cluster's id.
    pub cluster_id: Str,
    /// The id of this run of the process.
    pub incarnation_id: Uuid,
    /// The listeners advertised to clients and brokers.
    pub endpoints: Vec<Endpoint>,
    /// The controllers' listeners.
    pub controller_endpoints: Vec<Endpoint>,
    /// `broker.rack`.
    pub rack: Option<Str>,
    /// The log dirs that are online.
    pub log_dirs: Vec<DirectoryId>,
    /// The broker's epoch at its last stop, if that was clean. Only then does the broker stay
    /// eligible to lead (KIP-966).
    pub previous_epoch: Option<BrokerEpoch>,
    /// What the heartbeats renew.
    pub session: Arc<OwnSession>,
    /// `broker.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `initial.broker.registration.timeout.ms`.
    pub timeout: Duration,
}

/// The two ends of a controlled shutdown.
#[derive(Clone, Debug, Default)]
pub struct StopSignals {
    /// Cancelled when the node begins to stop: its broker signs off. It serves on meanwhile, so
    /// that clients learn from it who leads next.
    pub leaving: CancellationToken,
    /// Cancelled when the broker has signed off, or will not.
    pub signed_off: CancellationToken,
}

/// No controller registered this broker in time: there is none, or each refused it.
#[derive(Debug, thiserror::Error)]
#[error(
    "Shutting down because we were unable to register with the controller quorum within \
     initial.broker.registration.timeout.ms={timeout_ms}; {reason}"
)]
pub struct NotRegistered {
    timeout_ms: u128,
    /// The error of the last attempt.
    reason: String,
}

/// Registers, sends heartbeats until the broker leaves, and then requests a controlled shutdown. On
/// a controller alone it ends when the controller is registered. Errors: the broker could not be
/// registered.
pub async fn run(
    this: Registration,
    controller: ActiveController,
    image: Arc<ArcSwap<Image>>,
    published: watch::Receiver<Option<Offset>>,
    unfenced: watch::Sender<bool>,
    dirs: watch::Receiver<DirStates>,
    stop: StopSignals,
) -> Result<(), NotRegistered> {
    let StopSignals { leaving: stopping, signed_off } = stop;
    let _signed_off = signed_off.drop_guard();
    let as_controller = run_controller(&this, &controller, &image, published.clone(), &stopping);
    let as_broker = run_broker(&this, &controller, &image, published, unfenced, dirs, &stopping);
    let as_controller = async {
        as_controller.await;
        Ok(())
    };
    tokio::try_join!(as_controller, as_broker).map(|_| ())
}

/// Registers a node that is a controller. Errors do not end the node: a cluster works without its
/// controllers' registrations.
async fn run_controller(
    this: &Registration,
    controller: &ActiveController,
    image: &ArcSwap<Image>,
    mut published: watch::Receiver<Option<Offset>>,
    stopping: &CancellationToken,
) {
    if !this.roles.is_controller() || !this.roles.is_broker() && !catch_up(&mut published, stopping).await {
        return;
    }
    // As in Kafka, a controller registers once the finalized metadata.version knows controllers:
    // that version may rise while the controller runs.
    let knows_controllers =
        |at: &Option<Offset>| at.is_some() && image.load().features.version().has_controller_registration();
    let registering = async {
        if published.wait_for(knows_controllers).await.is_ok() {
            register_controller(this, controller).await;
        }
    };
    tokio::select! {
        biased;
        () = stopping.cancelled() => {}
        () = registering => {}
    }
}

/// Registers a node that is a broker, and sends its heartbeats.
async fn run_broker(
    this: &Registration,
    controller: &ActiveController,
    image: &Arc<ArcSwap<Image>>,
    mut published: watch::Receiver<Option<Offset>>,
    unfenced: watch::Sender<bool>,
    mut dirs: watch::Receiver<DirStates>,
    stopping: &CancellationToken,
) -> Result<(), NotRegistered> {
    if !this.roles.is_broker() {
        return Ok(());
    }
    let Some(epoch) = register(this, controller, &mut published, stopping).await? else { return Ok(()) };
    // The first heartbeat is sent when this node has seen its own registration. The controller then
    // unfences it at once.
    let seen = published.wait_for(|at| at.is_some_and(|at| at.0 >= epoch.0));
    tokio::select! {
        biased;
        _ = seen => {}
        () = stopping.cancelled() => return Ok(()),
    }
    let mut refusals = Refusals::default();
    let (mut is_fenced, mut announcing) = (true, tokio::spawn(async {}));
    loop {
        let offset = Offset::to_wire(*published.borrow());
        let states = dirs.borrow_and_update().clone();
        let mut pause = this.heartbeat_interval;
        let sent_at = this.session.sends();
        match heartbeat(this, controller, epoch, offset, &states, false).await {
            Ok(response) => {
                let fenced = response.is_fenced;
                if !fenced {
                    this.session.renew(sent_at);
                }
                refusals = Refusals::default();
                if is_fenced != fenced {
                    info!(fenced, broker_epoch = %epoch, "the controller answered this broker's heartbeat");
                    is_fenced = fenced;
                    announcing.abort();
                    let (image, published) = (image.clone(), published.clone());
                    let node_id = BrokerId(this.node_id);
                    announcing = tokio::spawn(announce(node_id, image, published, unfenced.clone(), fenced));
                }
            }
            Err(error) => {
                if is_retried(error.code) {
                    pause = pause.min(RETRY);
                }
                if error.code == ErrorCode::StaleBrokerEpoch {
                    announcing.abort();
                    is_fenced = true;
                    unfenced.send_replace(false);
                }
                if let Some(line) = refusals.line(&error) {
                    warn!(%error, broker_id = this.node_id, "{line}");
                }
            }
        }
        tokio::select! {
            biased;
            () = tokio::time::sleep(pause) => {}
            // A change of the log dirs is sent at once.
            Ok(()) = dirs.changed() => {}
            () = stopping.cancelled() => break,
        }
    }
    let signed_off = sign_off(this, controller, epoch, image, &published, &dirs);
    if tokio::time::timeout(SHUTDOWN, signed_off).await.is_err() {
        warn!("the controlled shutdown was not finished in time");
    }
    Ok(())
}

/// Waits until this node has read the metadata log up to where the leader was, and returns whether
/// it did so before the stop. A node whose folder is not of this quorum is never registered.
async fn catch_up(published: &mut watch::Receiver<Option<Offset>>, stopping: &CancellationToken) -> bool {
    let patient = async {
        tokio::time::sleep(QUIET_WAIT).await;
        info!(
            "waiting for the quorum: this node registers when it has read the metadata log from an active controller"
        );
        std::future::pending().await
    };
    tokio::select! {
        biased;
        () = stopping.cancelled() => false,
        caught_up = published.wait_for(Option::is_some) => caught_up.is_ok(),
        () = patient => false,
    }
}

/// Registers a node that is a broker. Returns the broker's epoch, or `None` if the node stops
/// before. Errors: it takes longer than the timeout.
async fn register(
    this: &Registration,
    controller: &ActiveController,
    published: &mut watch::Receiver<Option<Offset>>,
    stopping: &CancellationToken,
) -> Result<Option<BrokerEpoch>, NotRegistered> {
    let mut refusals = Refusals::default();
    let registering = async {
        if !catch_up(published, stopping).await {
            return None;
        }
        register_broker(this, controller, stopping, &mut refusals).await
    };
    let registered = tokio::time::timeout(this.timeout, registering).await;
    registered.map_err(|_| {
        let reason = match (refusals.last, controller.local().leader()) {
            (Some(error), _) => error.to_string(),
            (None, Some(leader)) => format!("the metadata log could not be read from the leader, controller {leader}"),
            (None, None) => "no controller is known to be active".into(),
        };
        NotRegistered { timeout_ms: this.timeout.as_millis(), reason }
    })
}

/// Asks for a controlled shutdown until the controller lets this broker go: the others lead what it
/// led. A broker without others has no one to hand its partitions to, and asks once.
async fn sign_off(
    this: &Registration,
    controller: &ActiveController,
    epoch: BrokerEpoch,
    image: &ArcSwap<Image>,
    published: &watch::Receiver<Option<Offset>>,
    dirs: &watch::Receiver<DirStates>,
) {
    let is_alone = image.load().cluster.brokers.len() == 1;
    let mut unanswered_count = 0;
    while unanswered_count < SIGN_OFF_UNANSWERED_MAX {
        let offset = Offset::to_wire(*published.borrow());
        let states = dirs.borrow().clone();
        match heartbeat(this, controller, epoch, offset, &states, true).await {
            Ok(response) if is_alone || response.should_shut_down => return,
            Ok(_) => unanswered_count = 0,
            Err(error) if is_alone || !is_retried(error.code) => return,
            Err(_) => unanswered_count += 1,
        }
        tokio::time::sleep(SIGN_OFF_INTERVAL).await;
    }
    warn!("no controller is active to sign off with");
}

/// Logs once why heartbeats are rejected, and not for each of them.
#[derive(Debug, Default)]
struct Refusals {
    last: Option<ApiError>,
}

impl Refusals {
    /// Whether the reason differs from the last one. It is then taken as logged.
    fn is_new(&mut self, error: &ApiError) -> bool {
        self.last.replace(error.clone()).is_none_or(|last| last.code != error.code)
    }

    /// Returns the line to log, if it has not been logged yet.
    fn line(&mut self, error: &ApiError) -> Option<&'static str> {
        if !self.is_new(error) {
            return None;
        }
        Some(match error.code {
            ErrorCode::StaleBrokerEpoch => {
                "the controller does not know this broker's registration any more: it was unregistered, or another process \
                 has registered with its node.id. It stays out of the cluster until this node is restarted, which registers \
                 it again"
            }
            _ => "a heartbeat was rejected; the next ones are sent as usual",
        })
    }
}

/// Announces whether this broker is fenced. It announces "unfenced" once the image that says so is
/// published, because with that image the broker leads. The answer to a heartbeat does not wait for
/// this.
async fn announce(
    node_id: BrokerId,
    image: Arc<ArcSwap<Image>>,
    mut published: watch::Receiver<Option<Offset>>,
    unfenced: watch::Sender<bool>,
    fenced: bool,
) {
    let is_unfenced = |_: &Option<Offset>| {
        let image = image.load();
        image.cluster.brokers.get(&node_id).is_some_and(|broker| !broker.fenced)
    };
    if fenced || published.wait_for(is_unfenced).await.is_ok() {
        unfenced.send_replace(!fenced);
    }
}

async fn register_controller(this: &Registration, controller: &ActiveController) {
    let request = ControllerRegistrationRequest {
        controller_id: this.node_id,
        incarnation_id: this.incarnation_id,
        listeners: this
            .controller_endpoints
            .iter()
            .map(|it| controller::Listener {
                name: it.name.clone(),
                host: it.host.clone(),
                port: it.port,
                security_protocol: it.security_protocol,
                ..Default::default()
            })
            .collect(),
        features: FEATURES
            .iter()
            .map(|feature| controller::Feature {
                name: Str::const_new(feature.name),
                min_supported_version: feature.min,
                max_supported_version: feature.max,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    };
    loop {
        let request = request.clone();
        match controller.request(request).await {
            Ok(_) => return,
            Err(error) if is_retried(error.code) => tokio::time::sleep(RETRY).await,
            Err(error) => {
                warn!(%error, "this controller could not be registered");
                return;
            }
        }
    }
}

async fn register_broker(
    this: &Registration,
    controller: &ActiveController,
    stopping: &CancellationToken,
    refusals: &mut Refusals,
) -> Option<BrokerEpoch> {
    let request = BrokerRegistrationRequest {
        broker_id: this.node_id,
        cluster_id: this.cluster_id.clone(),
        incarnation_id: this.incarnation_id,
        listeners: this
            .endpoints
            .iter()
            .map(|it| broker::Listener {
                name: it.name.clone(),
                host: it.host.clone(),
                port: it.port,
                security_protocol: it.security_protocol,
                ..Default::default()
            })
            .collect(),
        features: FEATURES
            .iter()
            .map(|feature| broker::Feature {
                name: Str::const_new(feature.name),
                min_supported_version: feature.min,
                max_supported_version: feature.max,
                ..Default::default()
            })
            .collect(),
        rack: this.rack.clone(),
        log_dirs: this.log_dirs.clone(),
        previous_broker_epoch: BrokerEpoch::to_wire(this.previous_epoch),
        ..Default::default()
    };
    while !stopping.is_cancelled() {
        let request = request.clone();
        match controller.request(request).await {
            Ok(response) => return Some(BrokerEpoch(response.broker_epoch)),
            Err(error) => {
                if refusals.is_new(&error) {
                    warn!(%error, "this broker is not registered yet; it is tried again");
                }
                tokio::select! {
                    biased;
                    () = tokio::time::sleep(RETRY) => {}
                    () = stopping.cancelled() => {}
                }
            }
        }
    }
    None
}

/// Sends one heartbeat.
async fn heartbeat(
    this: &Registration,
    controller: &ActiveController,
    epoch: BrokerEpoch,
    current_metadata_offset: i64,
    dirs: &DirStates,
    want_shut_down: bool,
) -> Result<BrokerHeartbeatResponse, ApiError> {
    let request = BrokerHeartbeatRequest {
        broker_id: this.node_id,
        broker_epoch: epoch.0,
        current_metadata_offset,
        want_fence: false,
        offline_log_dirs: dirs.offline.clone(),
        want_shut_down,
        cordoned_log_dirs: Some(dirs.cordoned.clone()),
        ..Default::default()
    };
    controller.request(request).await
}

/// Whether the controller may give another answer soon: it changes, or it cannot be reached.
fn is_retried(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotController | ErrorCode::NetworkException | ErrorCode::RequestTimedOut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unregistered_broker_logs_once_that_a_restart_registers_it() {
        let mut refusals = Refusals::default();
        let stale = ApiError::from(ErrorCode::StaleBrokerEpoch);
        let line = refusals.line(&stale).unwrap();
        assert!(line.contains("unregistered") && line.contains("restarted"), "{line}");
        assert_eq!((0..100).find_map(|_| refusals.line(&stale)), None);
        assert!(refusals.line(&ErrorCode::NotController.into()).is_some(), "another reason is said");
    }
}
