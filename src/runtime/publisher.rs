//! The publisher: one thread that makes each new image this broker's.
//!
//! The image is swapped first, ACLs and configs in it; then the services act on what changed: logs are created, led and deleted, settings
//! change, coordinators begin and end. Last, the replies that waited for the change are given.
//!
//! The controller never waits for this thread: while [`PUBLICATIONS_MAX`] publications are on their way it gathers what
//! it commits, and hands it over as one when the publisher says that it is done with another.

use arc_swap::ArcSwap;
use metadata::Changes;
use metadata::image::Image;
use model::{ApiError, Offset};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tokio::sync::watch;

/// Publications that are handed over and not done: one that is being published, one that is next.
pub const PUBLICATIONS_MAX: usize = 2;

/// Gives a decision's reply, or the error that took its place.
pub type Completion = Box<dyn FnOnce(Result<(), ApiError>) + Send>;

/// A new image, and the replies that wait for it.
pub struct Publication {
    /// The image and what changed; `None` where only replies are to be given.
    pub news: Option<(Arc<Image>, Changes)>,
    /// Replies to what is now published.
    pub completions: Vec<Completion>,
}

/// Something that acts on a new image.
pub type ImageListener = Box<dyn FnMut(&Arc<Image>, &Changes) + Send>;

/// Publishes until the controller closes the channel. Calls `done` after each publication.
pub fn run(
    publications: Receiver<Publication>,
    image: Arc<ArcSwap<Image>>,
    published: watch::Sender<Option<Offset>>,
    done: impl Fn(),
    mut listener: ImageListener,
) {
    for publication in publications {
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
