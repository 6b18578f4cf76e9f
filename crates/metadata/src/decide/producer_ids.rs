//! AllocateProducerIds: blocks of producer ids for brokers (KIP-730).

use super::{Decided, Decision, check_broker_epoch};
use crate::VersionedRecord;
use crate::image::Image;
use model::{ApiError, BrokerId, ErrorCode, ProducerId};
use protocol::MetadataRecord;
use protocol::messages::allocate_producer_ids_request::AllocateProducerIdsRequest;
use protocol::messages::allocate_producer_ids_response::AllocateProducerIdsResponse;
use protocol::messages::producer_ids_record::ProducerIdsRecord;

/// Ids in a block.
const BLOCK_LEN: i32 = 1000;

/// Gives a broker the next block. Errors: STALE_BROKER_EPOCH, UNKNOWN_SERVER_ERROR when the ids are
/// used up.
pub fn allocate_producer_ids(
    image: &Image,
    request: &AllocateProducerIdsRequest,
) -> Decided<AllocateProducerIdsResponse> {
    check_broker_epoch(image, BrokerId(request.broker_id), request.broker_epoch)?;
    let start = image.next_producer_id.unwrap_or(ProducerId(0));
    let Some(next) = start.0.checked_add(i64::from(BLOCK_LEN)) else {
        let message = "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit";
        return Err(ApiError::new(ErrorCode::UnknownServerError, message));
    };
    let record = ProducerIdsRecord {
        broker_id: request.broker_id,
        broker_epoch: request.broker_epoch,
        next_producer_id: next,
        ..Default::default()
    };
    let reply =
        AllocateProducerIdsResponse { producer_id_start: start.0, producer_id_len: BLOCK_LEN, ..Default::default() };
    Ok(Decision::atomic(vec![VersionedRecord::v0(MetadataRecord::ProducerIds(record))], reply))
}
