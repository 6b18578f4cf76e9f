//! The metadata machine: the image of a cluster, the records that change it, and the controller's decisions about it.
//!
//! Everything here is pure: no clock, no socket, no file, no randomness of its own. Records are `protocol::MetadataRecord`s; how they are framed in
//! batches, replicated and stored is the log's.
//!
//! - [`Image`] is the whole metadata at an offset, cheap to clone. [`Delta`] applies records to a copy of one and notes the [`Changes`].
//! - [`Loader`] takes committed batches of `__cluster_metadata`, holds back metadata transactions (KIP-868), and gives out images to publish.
//! - [`Image::snapshot_records`] turns an image into the records of a snapshot, in Kafka's order and in the versions of the finalized
//!   `metadata.version` ([`MetadataVersion`]); [`Loader::from_snapshot`] is the way back.
//! - [`decide`] holds what a controller does, one file per kind of decision.
//!
//! # Driving it
//! A broker that is no controller feeds its loader committed batches and publishes `(Image, Changes)`. Any record that cannot be decoded or
//! applied ends the node.
//!
//! The active controller works on an image of its own that includes every record it has appended, committed or not:
//! 1. When it becomes active, take the loader's [`Loader::uncommitted_image`], append [`decide::activate`]'s records, and begin with
//!    [`decide::Soft::activated`].
//! 2. For each request build a [`decide::ControllerContext`] (the time, random bits, [`decide::Settings`], [`decide::ConfigRules`]) and call its function. An `Err` is the
//!    answer to the whole request.
//! 3. Encode [`decide::Decision::records`] with [`VersionedRecord::encode`], apply them with [`Loader::after`] to a copy of
//!    the image, and only then append them (as one batch where `atomic`) and go on with the copy: what cannot be
//!    applied is never in the log. Make the soft changes with [`decide::Soft::apply`], and answer once the records, or
//!    with none of them everything decided so far, are committed.
//! 4. When [`decide::Soft::next_expiry`] has passed call [`decide::fence_stale_brokers`] until it gives nothing. After
//!    `metadata.max.idle.interval.ms` without a record append a `NoOpRecord`.
//! 5. A controller that resigns drops its image and its soft state; what was not committed is decided again by another.

pub mod decide;
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
