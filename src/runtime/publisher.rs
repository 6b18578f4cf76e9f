//! The publisher: one thread that makes each new image this broker's.
//!
//! The image is swapped first, ACLs and configs in it; then the services act on what changed: logs are created, led and deleted, settings
//! change, coordinators begin and end. Last, the replies that waited for the change are given.

use arc_swap::ArcSwap;
use metadata::Changes;
use metadata::image::Image;
use model::{ApiError, Offset};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use tokio::sync::watch;

/// Gives a decision's reply, or the error that took its place.
pub type Reply = Box<dyn FnOnce(Result<(), ApiError>) + Send>;

/// A new image, and what waited for it.
pub struct Publication {
    /// The image and what changed; `None` where only replies are to be given.
    pub news: Option<(Arc<Image>, Changes)>,
    /// Replies to what is now published.
    pub replies: Vec<Reply>,
}

/// Something that acts on a new image.
pub type Act = Box<dyn FnMut(&Arc<Image>, &Changes) + Send>;

/// Publishes until the controller's end of the channel is gone.
pub fn run(
    publications: Receiver<Publication>,
    image: Arc<ArcSwap<Image>>,
    published: watch::Sender<Option<Offset>>,
    mut act: Act,
) {
    for publication in publications {
        if let Some((new, changes)) = publication.news {
            let last = new.provenance.last_offset;
            image.store(new.clone());
            act(&new, &changes);
            published.send_replace(last);
        }
        for reply in publication.replies {
            reply(Ok(()));
        }
    }
}
