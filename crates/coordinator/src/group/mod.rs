//! Groups: the classic kind in full, the others as far as they must be known so that nothing of theirs is touched.

pub(crate) mod admin;
pub mod classic;
pub(crate) mod kind;
