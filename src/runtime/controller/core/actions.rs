//! The raft machine's events and actions: what the controller's thread does for the replica of the
//! metadata log on this node, whether it leads or follows.
//!
//! A list of actions is carried out before the machine gets its next event. What follows from an
//! action, such as the end of a flush, waits in [`Due`] until the list is done.

use super::{Core, Message, QuorumFacts};
use crate::runtime::metadata_log::{LogFault, MetadataLog};
use bytes::Bytes;
use metadata::Loader;
use model::{BrokerId, ErrorCode, LeaderEpoch, Offset};
use raft::{
    Action, BytesToRead, ControlRecord, EndOffset, Event, FetchContent, FetchReply, FetchSnapshotReply, QuorumReply,
    QuorumRequest, ReceivedReply, SentReply, SnapshotId, SnapshotPiece,
};
use std::sync::Arc;
use tokio::sync::oneshot;
use tracing::{error, warn};

/// What is to be done once a list of actions is carried out.
#[derive(Default)]
pub(super) struct Due {
    /// The epoch in which the controller becomes active.
    activate: Option<LeaderEpoch>,
    /// The log end that is to be flushed.
    flush: Option<EndOffset>,
    /// The snapshots that were made.
    snapshots_made: Vec<SnapshotId>,
    /// The downloaded snapshot that is to be checked.
    check: Option<SnapshotId>,
    /// The snapshot that was checked, with its image.
    checked: Option<(SnapshotId, Loader)>,
}

impl Core {
    /// Gives the raft machine a request of another replica.
    pub(in super::super) fn take_request(
        &mut self,
        request: QuorumRequest,
        answer: oneshot::Sender<ReceivedReply>,
    ) -> Result<(), LogFault> {
        let id = self.next_request;
        self.next_request += 1;
        self.asked.insert(id, answer);
        self.step(Event::Request { id, request })
    }

    /// Gives the raft machine the result of a request that it sent.
    pub(in super::super) fn take_response(
        &mut self,
        id: u64,
        result: Result<ReceivedReply, ErrorCode>,
    ) -> Result<(), LogFault> {
        if let Ok(QuorumReply::Fetch(reply)) = &result
            && reply.high_watermark.is_some()
        {
            // The leader knows what is committed only in its own epoch, and then all of it.
            self.leader_high_watermark = reply.high_watermark;
        }
        self.step(Event::Response { id, result })
    }

    /// Tells the raft machine to stop. A leader of several voters needs time to hand over.
    pub(in super::super) fn begin_stop(&mut self) -> Result<(), LogFault> {
        self.step(Event::Stop)
    }

    /// Whether the raft machine has stopped.
    pub(in super::super) fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Gives the raft machine an event and carries out its actions.
    pub(super) fn step(&mut self, event: Event) -> Result<(), LogFault> {
        let actions = self.parts.raft.step(event, self.now)?;
        self.act(actions)
    }

    /// Carries out actions where a fault cannot be returned: [`Self::check`] returns it.
    pub(super) fn carry_out(&mut self, actions: Vec<Action>) {
        if let Err(fault) = self.act(actions) {
            self.fault = Some(fault);
        }
    }

    /// Carries out actions in their order.
    pub(in super::super) fn act(&mut self, actions: Vec<Action>) -> Result<(), LogFault> {
        for action in actions {
            match action {
                Action::PersistElection { content, .. } => self.with_room(|log, _| log.write_quorum_state(&content))?,
                Action::Append(batch) => self.with_room(|log, now| log.append(&batch.bytes, now))?,
                Action::Truncate { end } => self.with_room(|log, now| log.truncate(end, now))?,
                Action::Flush { end } => self.due.flush = Some(end),
                Action::WriteSnapshot { id, position, bytes } => {
                    self.with_room(|log, _| log.write_snapshot_piece(id, position, &bytes))?;
                }
                Action::CheckSnapshot { id } => self.due.check = Some(id),
                Action::InstallSnapshot { id } => self.install(id)?,
                Action::Commit { high_watermark } => self.committed(high_watermark)?,
                Action::LeaderChanged { leader, epoch } => self.leader_changed(leader, epoch),
                Action::Activate { epoch, .. } => self.due.activate = Some(epoch),
                Action::Stopped => self.is_stopped = true,
                Action::Send { id, to, request } => {
                    let inbox = self.inbox.clone();
                    // The send fails only after the thread has ended.
                    let answer = move |result| drop(inbox.send(Message::Response(id, result)));
                    (self.parts.send)(to, request, Box::new(answer));
                }
                Action::Reply { id, reply } => {
                    let reply = self.with_bytes(reply);
                    if let Some(answer) = self.asked.remove(&id) {
                        // The other replica may have gone.
                        let _ = answer.send(reply);
                    }
                }
            }
        }
        Ok(())
    }

    /// Does what became due: activates the controller, and fsyncs all appended records once for all
    /// decisions of the round. Repeats this while more becomes due. Then it publishes.
    pub(in super::super) fn settle(&mut self) -> Result<(), LogFault> {
        loop {
            if std::mem::take(&mut self.gave_up_room) {
                self.resign_for_room()?;
            } else if let Some(epoch) = self.due.activate.take() {
                if self.parts.raft.is_leader() && self.parts.raft.epoch() == epoch {
                    self.activate(epoch)?;
                }
            } else if let Some(end) = self.due.flush.take() {
                self.with_room(MetadataLog::flush)?;
                self.step(Event::Flushed { end })?;
            } else if let Some(snapshot) = self.due.snapshots_made.pop() {
                self.step(Event::SnapshotMade(snapshot))?;
            } else if let Some(id) = self.due.check.take() {
                let control_records = self.check_snapshot(id)?;
                self.step(Event::SnapshotChecked { id, control_records })?;
            } else {
                break;
            }
        }
        let kraft_version = self.parts.raft.kraft_version().level();
        if self.facts.borrow().kraft_version != kraft_version {
            self.facts.send_modify(|facts| Arc::make_mut(facts).kraft_version = kraft_version);
        }
        // Some replies had no records to append, and all records before them are already committed.
        self.publish();
        Ok(())
    }

    /// Lets another voter lead, where there is one: this node's disk is full, and it soon could not
    /// write any more.
    fn resign_for_room(&mut self) -> Result<(), LogFault> {
        let raft = &self.parts.raft;
        if raft.is_leader() && raft.voters().ids().count() > 1 {
            warn!("the controller resigns: the disk of its metadata log is full");
            let epoch = raft.epoch();
            self.step(Event::Resign { epoch })?;
        }
        Ok(())
    }

    /// Applies the log up to the high watermark, and publishes it with the replies that waited for
    /// it.
    fn committed(&mut self, high_watermark: Offset) -> Result<(), LogFault> {
        let from = self.parts.applied;
        let batches = self.parts.log.read(from, high_watermark)?;
        for batch in &batches {
            self.parts.loader.apply(&batch.loaded()).map_err(LogFault::Apply)?;
            let made = self.parts.log.snapshot_if_due(&self.parts.loader, batch, &self.parts.raft, self.now)?;
            self.due.snapshots_made.extend(made);
        }
        self.parts.applied = self.parts.applied.max(high_watermark);
        self.parts.log.committed(high_watermark);
        if self.active.is_none() {
            self.ahead = self.parts.loader.clone();
        }
        self.is_image_new = true;
        self.publish();
        Ok(())
    }

    /// Notes who leads. A controller that does not lead its epoch any more resigns.
    fn leader_changed(&mut self, leader: Option<BrokerId>, epoch: LeaderEpoch) {
        let raft = &self.parts.raft;
        let leader_endpoints = if leader.is_some() { raft.leader_endpoints().to_vec() } else { Vec::new() };
        let kraft_version = raft.kraft_version().level();
        let is_leader = leader == Some(self.parts.settings.node_id);
        if self.active.is_some_and(|active| active != epoch || !is_leader) {
            self.resign();
        }
        let is_active = self.active.is_some();
        let waits_for_room = false;
        let facts = QuorumFacts { leader, epoch, leader_endpoints, is_active, kraft_version, waits_for_room };
        self.facts.send_replace(Arc::new(facts));
    }

    /// Reads a downloaded snapshot. Returns its control records, or `None` if it is not usable.
    fn check_snapshot(&mut self, id: SnapshotId) -> Result<Option<Vec<ControlRecord>>, LogFault> {
        let checked = self.parts.log.check_snapshot(id, &self.published_image)?;
        Ok(checked.map(|(loader, control_records)| {
            self.due.checked = Some((id, loader));
            control_records
        }))
    }

    /// Puts a checked snapshot in the place of the log, and its image in the place of this node's.
    fn install(&mut self, id: SnapshotId) -> Result<(), LogFault> {
        let loader = match self.due.checked.take() {
            Some((checked, loader)) if checked == id => loader,
            _ => return Err(LogFault::unexpected("a snapshot was to be installed that was not checked")),
        };
        self.with_room(|log, now| log.install_snapshot(id, now))?;
        self.parts.loader = loader;
        self.parts.applied = id.end;
        self.ahead = self.parts.loader.clone();
        self.is_image_new = true;
        Ok(())
    }

    /// Reads the bytes that a reply names.
    fn with_bytes(&self, reply: SentReply) -> ReceivedReply {
        match reply {
            QuorumReply::Vote { view, granted } => QuorumReply::Vote { view, granted },
            QuorumReply::BeginQuorumEpoch(view) => QuorumReply::BeginQuorumEpoch(view),
            QuorumReply::EndQuorumEpoch(view) => QuorumReply::EndQuorumEpoch(view),
            QuorumReply::ChangeVoters(reply) => QuorumReply::ChangeVoters(reply),
            QuorumReply::Fetch(reply) => QuorumReply::Fetch(self.with_records(reply)),
            QuorumReply::FetchSnapshot(reply) => QuorumReply::FetchSnapshot(self.with_piece(reply)),
        }
    }

    fn with_records(&self, reply: FetchReply<BytesToRead>) -> FetchReply<Bytes> {
        let FetchReply { mut view, high_watermark, log_start, content } = reply;
        let content = match content {
            FetchContent::Nothing => FetchContent::Nothing,
            FetchContent::Diverging(end) => FetchContent::Diverging(end),
            FetchContent::Snapshot(id) => FetchContent::Snapshot(id),
            FetchContent::Records(place) => match self.read_log(place) {
                Ok(bytes) => FetchContent::Records(bytes),
                Err(code) => {
                    view.error = code;
                    FetchContent::Nothing
                }
            },
        };
        FetchReply { view, high_watermark, log_start, content }
    }

    fn read_log(&self, place: BytesToRead) -> Result<Bytes, ErrorCode> {
        let BytesToRead::Log { from, end, max_bytes } = place else { return Err(ErrorCode::UnknownServerError) };
        self.parts.log.read_bytes(from, end, max_bytes).map_err(|fault| {
            error!(error = %fault, "the metadata log could not be read for another node");
            ErrorCode::UnknownServerError
        })
    }

    fn with_piece(&self, reply: FetchSnapshotReply<BytesToRead>) -> FetchSnapshotReply<Bytes> {
        let FetchSnapshotReply { mut view, piece } = reply;
        let piece = piece.and_then(|SnapshotPiece { id, bytes, .. }| {
            let read = match bytes {
                BytesToRead::Snapshot { id, position, max_bytes } => {
                    let read = self.parts.log.read_snapshot_piece(id, position, max_bytes);
                    read.map(|(size, bytes)| (size, position, bytes))
                }
                BytesToRead::Log { .. } => Err(ErrorCode::UnknownServerError),
            };
            match read {
                Ok((size, position, bytes)) => Some(SnapshotPiece { id, size, position, bytes }),
                Err(code) => {
                    view.error = code;
                    None
                }
            }
        });
        FetchSnapshotReply { view, piece }
    }
}
