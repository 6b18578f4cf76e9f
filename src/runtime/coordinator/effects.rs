//! How the effects of decisions are carried out, and how their outcomes come back.

use super::message::Message;
use coordinator::ShardTypes;
use std::convert::Infallible;
use std::fmt::Debug;
use std::pin::Pin;
use tokio::sync::mpsc;

/// An effect that is under way. Its result is the event for the shard, if there is one.
pub(crate) type EffectFuture<T> = Pin<Box<dyn Future<Output = Option<<T as ShardTypes>::Event>> + Send>>;

/// Carries out the effects of one kind of coordinator.
pub(crate) trait EffectHandler<T: ShardTypes>: Debug + Send + Sync {
    /// Begins an effect. The driver polls the future once in place. If the future is not ready, a
    /// task of its own runs it.
    fn carry_out(&self, effect: T::Effect) -> EffectFuture<T>;
}

/// The handler of a coordinator without effects.
#[derive(Debug)]
pub(crate) struct NoEffects;

impl<T: ShardTypes<Effect = Infallible>> EffectHandler<T> for NoEffects {
    fn carry_out(&self, effect: Infallible) -> EffectFuture<T> {
        match effect {}
    }
}

/// Runs an effect that has to wait, and sends its event to the shard. It does not keep the inbox
/// open: the shard's task ends when the inbox closes.
pub(super) fn run_later<T: ShardTypes>(effect: EffectFuture<T>, inbox: mpsc::WeakSender<Message<T>>) {
    tokio::spawn(async move {
        let Some(event) = effect.await else { return };
        if let Some(inbox) = inbox.upgrade() {
            // The send fails if the leadership has ended. The next leader begins the effect again.
            let _ = inbox.send(Message::Event(event)).await;
        }
    });
}
