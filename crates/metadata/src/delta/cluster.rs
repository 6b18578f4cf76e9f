//! Records of brokers and controllers.

use super::{ApplyError, Delta};
use crate::image::{Broker, BrokerListener, Controller, SupportedVersions};
use model::{BrokerEpoch, BrokerId};
use protocol::messages::broker_registration_change_record::BrokerRegistrationChangeRecord;
use protocol::messages::register_broker_record::RegisterBrokerRecord;
use protocol::messages::register_controller_record::RegisterControllerRecord;
use protocol::messages::unregister_broker_record::UnregisterBrokerRecord;
use std::sync::Arc;

impl Delta {
    pub(super) fn register_broker(&mut self, record: &RegisterBrokerRecord) {
        let mut log_dirs = record.log_dirs.clone();
        log_dirs.sort();
        let broker = Broker {
            id: BrokerId(record.broker_id),
            epoch: BrokerEpoch(record.broker_epoch),
            incarnation_id: record.incarnation_id,
            is_migrating_zk_broker: record.is_migrating_zk_broker,
            listeners: record
                .end_points
                .iter()
                .map(|listener| BrokerListener {
                    name: listener.name.clone(),
                    host: listener.host.clone(),
                    port: listener.port,
                    security_protocol: listener.security_protocol,
                })
                .collect(),
            features: record
                .features
                .iter()
                .map(|it| {
                    let range = SupportedVersions { min: it.min_supported_version, max: it.max_supported_version };
                    (it.name.clone(), range)
                })
                .collect(),
            rack: record.rack.clone(),
            fenced: record.fenced,
            in_controlled_shutdown: record.in_controlled_shutdown,
            log_dirs,
            cordoned_log_dirs: record.cordoned_log_dirs.clone(),
        };
        self.changes.brokers.insert(broker.id);
        self.image.cluster.brokers.insert(broker.id, Arc::new(broker));
    }

    pub(super) fn unregister_broker(&mut self, record: &UnregisterBrokerRecord) -> Result<(), ApplyError> {
        let broker = self.broker("UnregisterBrokerRecord", record.broker_id, record.broker_epoch)?;
        let id = broker.id;
        self.image.cluster.brokers.remove(&id);
        self.changes.brokers.insert(id);
        Ok(())
    }

    pub(super) fn fence_broker(&mut self, id: i32, epoch: i64, fenced: bool) -> Result<(), ApplyError> {
        let kind = if fenced { "FenceBrokerRecord" } else { "UnfenceBrokerRecord" };
        self.broker(kind, id, epoch)?.fenced = fenced;
        self.changes.brokers.insert(BrokerId(id));
        Ok(())
    }

    pub(super) fn change_broker(&mut self, record: &BrokerRegistrationChangeRecord) -> Result<(), ApplyError> {
        const NAME: &str = "BrokerRegistrationChangeRecord";
        let unknown = |field, value: i8| ApplyError::UnknownValue { record: NAME, field, value: value.into() };
        let fenced = match record.fenced {
            0 => None,
            1 => Some(true),
            -1 => Some(false),
            other => return Err(unknown("fenced", other)),
        };
        let shutting_down = match record.in_controlled_shutdown {
            0 => false,
            1 => true,
            other => return Err(unknown("inControlledShutdown", other)),
        };
        let broker = self.broker(NAME, record.broker_id, record.broker_epoch)?;
        broker.fenced = fenced.unwrap_or(broker.fenced);
        broker.in_controlled_shutdown |= shutting_down;
        if !record.log_dirs.is_empty() {
            broker.log_dirs.clone_from(&record.log_dirs);
            broker.log_dirs.sort();
        }
        if record.cordoned_log_dirs.is_some() {
            broker.cordoned_log_dirs.clone_from(&record.cordoned_log_dirs);
        }
        self.changes.brokers.insert(BrokerId(record.broker_id));
        Ok(())
    }

    pub(super) fn register_controller(&mut self, record: &RegisterControllerRecord) {
        let controller = Controller {
            id: BrokerId(record.controller_id),
            incarnation_id: record.incarnation_id,
            zk_migration_ready: record.zk_migration_ready,
            listeners: record
                .end_points
                .iter()
                .map(|listener| BrokerListener {
                    name: listener.name.clone(),
                    host: listener.host.clone(),
                    port: listener.port,
                    security_protocol: listener.security_protocol,
                })
                .collect(),
            features: record
                .features
                .iter()
                .map(|it| {
                    let range = SupportedVersions { min: it.min_supported_version, max: it.max_supported_version };
                    (it.name.clone(), range)
                })
                .collect(),
        };
        self.changes.controllers.insert(controller.id);
        self.image.cluster.controllers.insert(controller.id, Arc::new(controller));
    }

    fn broker(&mut self, record: &'static str, id: i32, epoch: i64) -> Result<&mut Broker, ApplyError> {
        self.image
            .cluster
            .brokers
            .get_mut(&BrokerId(id))
            .filter(|broker| broker.epoch == BrokerEpoch(epoch))
            .map(Arc::make_mut)
            .ok_or(ApplyError::UnknownBroker { record, id, epoch })
    }
}
