//! Requests for committed offsets, and the offsets that expire or whose topics are gone.

pub(crate) mod commit;
pub(crate) mod delete;
pub(crate) mod expire;
pub(crate) mod fetch;
