//! The metadata machine: the image of a cluster, the records that change it, and the controller's
//! decisions about it.
//!
//! Everything here is pure: it reads no clock, socket or file and makes no random numbers. Records
//! are `protocol::MetadataRecord`s. The log frames them in batches, replicates and stores them.
//!
//! - [`Image`] is the whole metadata at an offset, cheap to clone. [`Delta`] applies records to a
//!   copy of an image and notes the [`Changes`].
//! - [`Loader`] takes committed batches of `__cluster_metadata`, holds back metadata transactions
//!   (KIP-868), and gives images to publish.
//! - [`Image::snapshot_records`] turns an image into the records of a snapshot, in Kafka's order
//!   and in the versions of the finalized `metadata.version` ([`MetadataVersion`]).
//!   [`Loader::from_snapshot`] reads them back.
//! - [`decide`] holds the controller's decisions, one file for each kind.
//!
//! # Driving it
//! A broker that is no controller feeds its loader committed batches and publishes `(Image,
//! Changes)`. A record that cannot be decoded or applied ends the node.
//!
//! The active controller works on its own image, which includes every record it has appended,
//! committed or not:
//! 1. When it becomes active, take the loader's [`Loader::uncommitted_image`], append
//!    [`decide::activate`]'s records, and begin with [`decide::Soft::activated`].
//! 2. For each request build a [`decide::ControllerContext`] (the time, random bits,
//!    [`decide::Settings`], [`decide::ConfigRules`]) and call its function. An `Err` answers the
//!    whole request.
//! 3. Encode [`decide::Decision::records`] with [`VersionedRecord::encode`] and apply them with
//!    [`Loader::after`] to a copy of the image. Only then append them (as one batch where `atomic`)
//!    and go on with the copy: a record that cannot be applied never reaches the log. Make the soft
//!    changes with [`decide::Soft::apply`]. Answer once the records are committed. A decision
//!    without records is answered once all records appended before it are committed.
//! 4. When [`decide::Soft::next_expiry`] has passed, call [`decide::fence_stale_brokers`] until it
//!    returns `None`. Call [`decide::fence_lost_broker`] for a broker that is gone before that. At
//!    their intervals, call [`decide::balance_leaders`] and [`decide::elect_unclean_leaders`],
//!    again while they say that there may be more. After `metadata.max.idle.interval.ms` without a
//!    record, append a `NoOpRecord`.
//! 5. A controller that resigns drops its image and its soft state. The next controller decides
//!    again what was not committed.

pub mod acl;
pub mod decide;
pub mod delta;
pub mod image;
mod loader;
pub mod planted;
mod snapshot;
pub mod version;

pub use delta::{ApplyError, Changes, Delta};
pub use image::Image;
pub use loader::{LoadedBatch, Loader};
pub use snapshot::VersionedRecord;
pub use version::MetadataVersion;
