//! The wait for room on the disk of the metadata log.
//!
//! The raft machine has gone on as if its write had happened, so the thread cannot do anything
//! else: it tries the write again. It keeps nobody waiting meanwhile. Other voters get an error at
//! once, and elect without this node. Services of this node see no leader: its broker sends no
//! heartbeats, so the active controller on another node fences it, and others lead its partitions.
//! With room the node goes on by itself.

use super::{Core, Message, QuorumFacts};
use crate::runtime::metadata_log::{LogFault, MetadataLog};
use model::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tracing::{error, info, warn};

/// The time after which a write is tried again.
const ROOM_INTERVAL: Duration = Duration::from_millis(200);
/// How often the thread looks into its inbox in that time.
const LOOKS: u32 = 10;

impl Core {
    /// Writes to the metadata log at the current time of the wall clock. While its disk is full, it
    /// tries again.
    pub(super) fn with_room(
        &mut self,
        write: impl Fn(&MetadataLog, Timestamp) -> Result<(), LogFault>,
    ) -> Result<(), LogFault> {
        let mut facts_before = None;
        let written = loop {
            match write(&self.parts.log, self.now.wall) {
                Err(fault) if fault.is_refusal() && self.parts.log.spare_room().give_up() => {
                    self.gave_up_room = true;
                    warn!(error = %fault, "the disk of the metadata log is full: what is written now is the room that was kept for it");
                }
                Err(fault) if fault.is_refusal() && self.may_wait() => {
                    if facts_before.is_none() {
                        error!(error = %fault, "the disk of the metadata log is full: nothing of the metadata changes until there is room, and this node takes no part in the cluster");
                        facts_before = Some(self.leave_quorum());
                    }
                    self.wait_for_room();
                }
                written => break written,
            }
        };
        if let Some(facts) = facts_before {
            self.facts.send_replace(facts);
            // One that leads still lets another voter lead.
            self.gave_up_room = true;
            if written.is_ok() {
                info!("the disk of the metadata log has room again");
            }
        }
        written
    }

    fn may_wait(&self) -> bool {
        !self.parts.stopping.is_cancelled() && self.parts.env.threads_may_wait()
    }

    /// Shows that this node takes no part in the quorum, and refuses what others have asked.
    /// Returns what was shown before.
    fn leave_quorum(&mut self) -> Arc<QuorumFacts> {
        let before = self.facts.borrow().clone();
        let (epoch, kraft_version) = (before.epoch, before.kraft_version);
        let alone = QuorumFacts { epoch, kraft_version, waits_for_room: true, ..QuorumFacts::default() };
        self.facts.send_replace(Arc::new(alone));
        self.asked.clear();
        before
    }

    fn wait_for_room(&mut self) {
        for _ in 0..LOOKS {
            while let Ok(message) = self.messages.try_recv() {
                match message {
                    // Each is answered with an error when it is dropped.
                    Message::Decide(_) | Message::Describe(_) | Message::Quorum(..) => {}
                    Message::Response(..) | Message::Published | Message::Stop => self.kept.push_back(message),
                }
            }
            if !self.may_wait() {
                return;
            }
            std::thread::park_timeout(ROOM_INTERVAL / LOOKS);
        }
    }
}
