//! Handles the failure of a log dir. The dir's partitions go offline and the controller is told, as
//! in Kafka. The node stops if the dir holds the metadata log, or if it was the last one online.

use crate::broker::Broker;
use crate::replica::Dir;
use crate::runtime::metadata_log::LogFault;
use crate::runtime::registration::NotRegistered;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use storage::LogDir;
use tokio::sync::mpsc;
use tracing::error;

/// Why a node must stop.
#[derive(Debug, thiserror::Error)]
pub enum NodeFault {
    /// The metadata log failed.
    #[error("the metadata log failed, and with it this node: {0}")]
    MetadataLog(#[from] LogFault),
    /// The log dir with the metadata log failed.
    #[error("the log dir {} with the metadata log failed, and with it this node: {reason}", path.display())]
    MetadataLogDir {
        /// The log dir.
        path: PathBuf,
        /// The disk error.
        reason: String,
    },
    /// No controller registered this broker.
    #[error(transparent)]
    NotRegistered(#[from] NotRegistered),
    /// Another process has begun to listen at the address of a listener meanwhile.
    #[error("{address} cannot be listened at, and so this node ends: {error}")]
    Listener {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
    /// A thread without which the node does not work has panicked.
    #[error("the {thread} panicked, and with it this node ends; this is a bug, please report it")]
    Panicked {
        /// The name of the thread.
        thread: &'static str,
    },
    /// Every log dir has failed.
    #[error("every log dir has failed, and with them this node; the last is {}: {reason}", path.display())]
    EveryLogDir {
        /// The log dir that failed last.
        path: PathBuf,
        /// The disk error.
        reason: String,
    },
}

/// A log dir that failed, and why.
#[derive(Debug)]
pub(super) struct DirFault {
    path: PathBuf,
    reason: String,
}

/// Returns a channel that receives the faults of all log dirs, and of a separate metadata log dir.
pub(super) fn faults_of(broker: &Broker, metadata_log_dir: Option<&LogDir>) -> mpsc::UnboundedReceiver<DirFault> {
    let (tell, told) = mpsc::unbounded_channel();
    for dir in broker.replicas.dirs().iter().map(|dir| &dir.log_dir).chain(metadata_log_dir) {
        let (tell, path) = (tell.clone(), dir.path().to_path_buf());
        // The send fails only after the node has stopped.
        dir.on_fault(Box::new(move |reason| drop(tell.send(DirFault { path, reason: reason.to_owned() }))));
    }
    told
}

/// Handles faults of log dirs until the node stops.
pub(super) async fn watch(
    broker: Arc<Broker>,
    mut faults: mpsc::UnboundedReceiver<DirFault>,
    end: mpsc::UnboundedSender<NodeFault>,
) {
    loop {
        let DirFault { path, reason } = tokio::select! {
            biased;
            fault = faults.recv() => match fault {
                Some(fault) => fault,
                None => return,
            },
            () = broker.stopping.cancelled() => return,
        };
        if path == broker.config.metadata_log_dir {
            // The send fails if another fault has already ended the node.
            let _ = end.send(NodeFault::MetadataLogDir { path, reason });
            continue;
        }
        let Some(dir) = broker.replicas.dirs().iter().find(|dir| dir.path() == path).cloned() else { continue };
        error!(log_dir = %path.display(), %reason, "a log dir failed: its partitions are offline until it is repaired and the node restarted");
        take_offline(&broker, dir).await;
        broker.replicas.publish_dir_states();
        if broker.replicas.online_dirs().next().is_none() {
            let _ = end.send(NodeFault::EveryLogDir { path, reason });
        }
    }
}

async fn take_offline(broker: &Arc<Broker>, dir: Arc<Dir>) {
    let replicas = broker.replicas.clone();
    if let Err(error) = broker.env.run(move || replicas.take_offline(&dir)).await {
        error!(%error, "the partitions of a log dir could not be taken offline");
    }
}
