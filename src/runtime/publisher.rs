//! The publisher: one thread that puts each new image into service on this broker.
//!
//! It first swaps the image, which holds the ACLs and configs. Then the services act on the
//! changes: they create, lead and delete logs, change settings, start and stop coordinators. Last,
//! it sends the replies that waited for the change.
//!
//! The controller never waits for this thread. While [`PUBLICATIONS_MAX`] publications are pending,
//! the controller gathers what it commits, and hands it over as one publication when the publisher
//! has finished another.

use crate::env::watch;
use arc_swap::ArcSwap;
use metadata::Changes;
use metadata::image::Image;
use model::{ApiError, Offset};
use std::sync::Arc;
use tokio::sync::mpsc::UnboundedReceiver;

/// The most publications that are handed over and not finished: one in progress, and the next.
pub const PUBLICATIONS_MAX: usize = 2;

/// Sends a decision's reply, or the error in its place.
pub type Completion = Box<dyn FnOnce(Result<(), ApiError>) + Send>;

/// A new image, and the replies that wait for it.
pub struct Publication {
    /// The image and its changes; `None` where only replies are to be sent.
    pub news: Option<(Arc<Image>, Changes)>,
    /// Replies that wait for this publication.
    pub completions: Vec<Completion>,
}

/// Something that acts on a new image.
pub type ImageListener = Box<dyn FnMut(&Arc<Image>, &Changes) + Send>;

/// Publishes until the controller closes the channel. Calls `done` after each publication.
pub async fn run(
    mut publications: UnboundedReceiver<Publication>,
    image: Arc<ArcSwap<Image>>,
    published: watch::Sender<Option<Offset>>,
    done: impl Fn(),
    mut listener: ImageListener,
) {
    while let Some(publication) = publications.recv().await {
        if let Some((new, changes)) = publication.news {
            let last = new.provenance.last_offset;
            image.store(new.clone());
            listener(&new, &changes);
            published.send_replace(last);
        }
        for completion in publication.completions {
            completion(Ok(()));
        }
        done();
    }
}
