//! The active controller: the image, its memory, and a log that is committed at once.

use crate::check;
use crate::random::Random;
use metadata::decide::{
    self, ConfigRules, ControllerContext, Decided, Decision, Settings, Soft, activate, bootstrap_features,
};
use metadata::{Image, LoadedBatch, Loader, MetadataVersion};
use model::{ApiError, BrokerId, LeaderEpoch, Monotonic, Now, Offset, Timestamp};
use protocol::MetadataRecord;
use std::collections::BTreeMap;

/// Every how many records the image is compared with its own snapshot.
const SNAPSHOT_EVERY: i64 = 40;

pub struct Controller {
    pub loader: Loader,
    pub soft: Soft,
    pub settings: Settings,
    /// The monotonic clock.
    pub now: u64,
    /// The offset of the next record.
    pub end: i64,
    random: Random,
    next_snapshot: i64,
    epoch: i32,
    /// Whether eligible leaders were turned on after a time without.
    pub was_switched: bool,
}

impl Controller {
    /// A new log, activated. `elr` says whether eligible leader replicas are on.
    pub fn new(version: MetadataVersion, elr: bool, settings: Settings, random: Random) -> Self {
        let mut it = Self {
            loader: Loader::new(&Image::default()),
            soft: Soft::default(),
            settings,
            now: 0,
            end: 0,
            random,
            next_snapshot: SNAPSHOT_EVERY,
            epoch: 1,
            was_switched: false,
        };
        let levels = if version.has_elr() {
            BTreeMap::from([("eligible.leader.replicas.version".to_owned(), i16::from(elr))])
        } else {
            BTreeMap::new()
        };
        let records = bootstrap_features(version, &levels).expect("known levels");
        let records = activate(it.image(), &it.settings, &records, false);
        it.append(&Decision::atomic(records, ())).expect("bootstrap records apply");
        it
    }

    pub fn image(&self) -> &Image {
        self.loader.uncommitted_image()
    }

    /// Another controller becomes active: it knows the log and no sessions.
    pub fn fail_over(&mut self) {
        self.epoch += 1;
        self.soft = Soft::activated(self.image(), Monotonic(self.now), None);
    }

    /// Decides and appends. The outer error is a violated invariant, the inner one an answer.
    pub fn decide<R>(
        &mut self,
        decide: impl FnOnce(&Image, &Soft, &mut ControllerContext<'_>, Offset) -> Decided<R>,
    ) -> Result<Result<Decision<R>, ApiError>, String> {
        let rules = ConfigRules {
            validate: &|_, _, _| Ok(()),
            is_list: &|_, _| false,
            default: &|_, _| None,
            topic_configs: &|_, _| Vec::new(),
        };
        let mut random = self.random.clone();
        let mut source = || random.next();
        let now = Now { monotonic: Monotonic(self.now), wall: Timestamp(0) };
        let settings = self.settings.clone();
        let mut context =
            ControllerContext { now, random: &mut source, settings: &settings, rules: &rules, is_late: false };
        let decided = decide(self.image(), &self.soft, &mut context, Offset(self.end));
        self.random = random;
        match decided {
            Ok(decision) => {
                self.append(&decision)?;
                Ok(Ok(decision))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    /// Applies records as every node reads them from the log, and checks what they made.
    fn append<R>(&mut self, decision: &Decision<R>) -> Result<(), String> {
        for it in &decision.records {
            let value = it.encode().map_err(|error| format!("{} cannot be written: {error}", it.record.name()))?;
            let (record, version) = MetadataRecord::decode(value).map_err(|error| error.to_string())?;
            if (&record, version) != (&it.record, it.version) {
                return Err(format!("{} is read differently", it.record.name()));
            }
            let before = self.image().clone();
            let batch = LoadedBatch {
                base_offset: Offset(self.end),
                epoch: LeaderEpoch(self.epoch),
                timestamp: Timestamp(0),
                records: std::slice::from_ref(&record),
                last_offset: Offset(self.end),
            };
            self.loader = self.loader.after(&batch).map_err(|error| format!("a record does not apply: {error}"))?;
            self.end += 1;
            check::record(&before, self.image(), &record)?;
        }
        for change in &decision.soft {
            self.soft.apply(*change, Offset(self.end - 1));
        }
        check::image(self.image(), self.was_switched)?;
        if self.end >= self.next_snapshot {
            self.next_snapshot = self.end + SNAPSHOT_EVERY;
            check::snapshot(self.image())?;
        }
        Ok(())
    }

    /// Ends the session of one broker that was silent for too long. `None` where there is none;
    /// else whether the broker was fenced.
    pub fn fence_one(&mut self) -> Result<Option<Option<BrokerId>>, String> {
        let mut is_any = true;
        let decided = self.decide(|image, soft, context, _| {
            let decision = decide::fence_stale_brokers(image, soft, context);
            is_any = decision.is_some();
            Ok(decision.unwrap_or(Decision::reply(None)))
        })?;
        Ok(is_any.then(|| decided.ok().and_then(|it| it.reply)))
    }
}
