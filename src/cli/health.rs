//! `gregor health`: asks the listeners of a running node whether they serve. It is the health check
//! of a container.

use super::Health;
use crate::config::{Listener, NodeConfig, SecurityProtocol};
use crate::peer::{self, PeerParts};
use anyhow::Context as _;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::timeout;

/// How long a listener may take to connect, and to answer.
const ANSWER_MAX: Duration = Duration::from_secs(3);

impl Health {
    /// Asks each listener. A broker listens only once the controller has unfenced it. A listener
    /// without TLS must answer ApiVersions. Errors: the first listener that does not serve.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = NodeConfig::read(&self.properties, &[])?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        for listener in &config.listeners.all {
            let asked = runtime.block_on(ask(listener));
            asked.with_context(|| format!("listener {} does not serve", listener.name))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn ask(listener: &Listener) -> anyhow::Result<()> {
    // A listener on every interface is asked without a look-up of a name.
    let host = match listener.host.as_str() {
        "" | "0.0.0.0" | "::" => "127.0.0.1",
        host => host,
    };
    if matches!(listener.protocol, SecurityProtocol::Ssl | SecurityProtocol::SaslSsl) {
        timeout(ANSWER_MAX, peer::tcp()(host, listener.port))
            .await
            .context("it does not accept connections in time")??;
        return Ok(());
    }
    let parts = PeerParts {
        name: listener.name.as_str().into(),
        host: host.into(),
        port: listener.port,
        client_id: "gregor-health".into(),
        backoff: ANSWER_MAX,
        backoff_max: ANSWER_MAX,
    };
    peer::ask_features(parts, peer::tcp(), ANSWER_MAX).await?;
    Ok(())
}
