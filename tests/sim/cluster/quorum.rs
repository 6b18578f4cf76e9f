//! What holds for the leader of the quorum.

use crate::Check;
use crate::net::{Host, Net};
use crate::node::Node;
use std::collections::BTreeMap;

/// How long a leader may lead without a majority that it can hear: one and a half fetch timeouts,
/// and what was on its way.
const UNHEARD_MAX_MS: u64 = 1_500 + 1_000;

/// Who was active, and since when it hears no majority.
#[derive(Debug, Default)]
pub struct QuorumWatch {
    unheard_since: BTreeMap<Host, u64>,
}

impl QuorumWatch {
    /// Fails if a controller stays active although it hears no majority of the voters, if they are
    /// known.
    pub fn check(&mut self, nodes: &[Node], voters: Option<Vec<Host>>, net: &Net, now_ms: u64) -> Check {
        let Some(controllers) = voters else {
            self.unheard_since.clear();
            return Ok(());
        };
        for host in &controllers {
            let node = &nodes[host - 1];
            let is_active = node.broker().is_some_and(|broker| broker.controller.quorum_facts().is_active);
            let can_hear = |other: &&Host| {
                let from = &nodes[**other - 1];
                let is_up = from.is_running() && !from.is_paused(now_ms) && !from.disk.has_stopped();
                *other == host || is_up && !net.is_cut(**other, *host)
            };
            let hears = controllers.iter().filter(can_hear).count() > controllers.len() / 2;
            if !is_active || hears || node.is_paused(now_ms) || node.disk.has_stopped() {
                self.unheard_since.remove(host);
                continue;
            }
            let since = *self.unheard_since.entry(*host).or_insert(now_ms);
            if now_ms - since > UNHEARD_MAX_MS {
                return Err(format!("node {host} has led without a majority since {since} ms"));
            }
        }
        Ok(())
    }
}
