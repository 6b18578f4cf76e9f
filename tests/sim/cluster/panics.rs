//! Panics: tokio catches those of tasks, and a course must fail with them.

use crate::Check;
use std::cell::{Cell, RefCell};
use std::sync::Once;

thread_local! {
    static IS_IN_COURSE: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Begins to note the panics of this thread.
pub fn forget() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !IS_IN_COURSE.get() {
                return print(info);
            }
            let told = info.to_string();
            PANIC.with_borrow_mut(|panic| *panic = panic.take().or(Some(told)));
        }));
    });
    PANIC.set(None);
    IS_IN_COURSE.set(true);
}

/// Returns the first panic, and notes no more.
pub fn taken() -> Option<String> {
    IS_IN_COURSE.set(false);
    PANIC.take()
}

/// Fails if there was a panic.
pub fn check() -> Check {
    PANIC.with_borrow(|panic| panic.as_ref().map_or(Ok(()), |panic| Err(format!("a panic: {panic}"))))
}
