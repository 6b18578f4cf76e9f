//! Reads a whole partition record by record. A coordinator does so when its leadership begins.

use super::Partition;
use records::{BatchHeader, BatchView, RecordReader};
use storage::{Isolation, Wait};

impl Partition {
    /// Calls `each` with every record and its batch's header, from the log start to the log end.
    /// Blocks. Errors: an unreadable batch, and the errors of `each`.
    pub fn replay(
        &self,
        mut each: impl FnMut(&BatchHeader, &records::RecordView<'_>) -> Result<(), String>,
    ) -> Result<(), String> {
        const READ_BYTES: u32 = 1 << 20;
        let (mut offset, end) = (self.log_start_offset(), self.log_end_offset());
        while offset < end {
            let read = storage::LogRead {
                offset,
                max_bytes: READ_BYTES,
                at_least_one_batch: true,
                isolation: Isolation::LogEnd,
                wait: Wait::Block,
            };
            let plan = self.log.load().read(read).map_err(|error| error.to_string())?;
            let Some(region) = plan.region else { break };
            let bytes = region.read().map_err(|error| error.to_string())?;
            let before = offset;
            for batch in records::Batches::new(&bytes) {
                let batch: BatchView<'_> = match batch {
                    Ok(batch) => batch,
                    Err(error) if error.is_incomplete() => break,
                    Err(error) => return Err(error.to_string()),
                };
                replay_batch(&batch, &mut each)?;
                offset = batch.header().next_offset();
            }
            if offset == before {
                return Err(format!("no whole batch at offset {offset}"));
            }
        }
        Ok(())
    }
}

fn replay_batch(
    batch: &BatchView<'_>,
    each: &mut impl FnMut(&BatchHeader, &records::RecordView<'_>) -> Result<(), String>,
) -> Result<(), String> {
    let mut reader = RecordReader::new(batch).map_err(|error| error.to_string())?;
    while let Some(record) = reader.next_record() {
        each(batch.header(), &record.map_err(|error| error.to_string())?)?;
    }
    Ok(())
}
