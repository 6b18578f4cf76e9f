//! Requests for committed offsets, and the deletion of offsets that expire or whose topics are
//! deleted.

pub(crate) mod commit;
pub(crate) mod delete;
pub(crate) mod expire;
pub(crate) mod fetch;
pub(crate) mod transactional;
