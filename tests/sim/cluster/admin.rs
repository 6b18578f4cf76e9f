//! An administrator who changes metadata all the time: quotas of users, each in a request of its
//! own. What was acknowledged must be in the metadata of every node in the end.

use crate::Check;
use crate::clients::{Participant, wait};
use metadata::image::Image;
use parking_lot::Mutex;
use protocol::messages::alter_client_quotas_request::{AlterClientQuotasRequest, EntityData, EntryData, OpData};
use protocol::messages::alter_client_quotas_response::AlterClientQuotasResponse;
use std::collections::BTreeSet;
use std::sync::Arc;

const USER: &str = "user";
const QUOTA: &str = "consumer_byte_rate";

/// The changes that were acknowledged.
#[derive(Debug, Default)]
pub struct Changes(Mutex<BTreeSet<usize>>);

impl Changes {
    /// Checks that the metadata of a node has every change.
    pub fn check(&self, host: usize, image: &Image) -> Check {
        for number in &*self.0.lock() {
            let entity = vec![(USER.into(), Some(name(*number).as_str().into()))];
            let found = image.quotas.of(&entity).and_then(|quotas| quotas.get(QUOTA)).copied();
            if found != Some(value(*number)) {
                return Err(format!(
                    "lost metadata: node {host} lacks the quota of {}, it has {found:?}",
                    name(*number)
                ));
            }
        }
        Ok(())
    }

    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.0.lock().len()
    }
}

fn name(number: usize) -> String {
    format!("u{number}")
}

fn value(number: usize) -> f64 {
    number as f64 + 1.0
}

impl Participant {
    /// Changes metadata until the faults are over and `enough` more changes are acknowledged.
    pub async fn administer(mut self, changes: Arc<Changes>, enough: usize) {
        let (mut after_healing, mut number) = (0, 0);
        while after_healing < enough {
            let to = self.any_node();
            let entity = EntityData {
                entity_type: USER.into(),
                entity_name: Some(name(number).as_str().into()),
                ..Default::default()
            };
            let op = OpData { key: QUOTA.into(), value: value(number), ..Default::default() };
            let entry = EntryData { entity: vec![entity], ops: vec![op], ..Default::default() };
            let request = AlterClientQuotasRequest { entries: vec![entry], ..Default::default() };
            let answer = self.client.call::<_, AlterClientQuotasResponse>(to, &request, 1).await;
            if answer.is_ok_and(|answer| answer.entries.iter().all(|entry| entry.error_code == 0)) {
                changes.0.lock().insert(number);
                after_healing += usize::from(*self.shared.is_healed.lock());
            }
            number += 1;
            wait(self.random.below(100) as u64).await;
        }
        self.finish();
    }
}
