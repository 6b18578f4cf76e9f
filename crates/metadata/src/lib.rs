//! The metadata machine: the image of a cluster, the records that change it, and the controller's decisions about it.
//!
//! Everything here is pure: no clock, no socket, no file, no randomness of its own.
//!
//! - [`Image`] is the whole metadata at an offset, cheap to clone. [`Delta`] applies records to a copy of one and notes the [`Changes`].
//! - [`Loader`] takes committed batches of `__cluster_metadata`, holds back metadata transactions, and gives out images to publish.
//! - [`Image::snapshot_records`] turns an image into the records of a snapshot, in Kafka's order and in the versions of the finalized
//!   `metadata.version` ([`MetadataVersion`]).

pub mod delta;
pub mod image;
mod loader;
mod snapshot;
pub mod version;

pub use delta::{ApplyError, Changes, Delta};
pub use image::Image;
pub use loader::{LoadedBatch, Loader};
pub use snapshot::VersionedRecord;
pub use version::MetadataVersion;
