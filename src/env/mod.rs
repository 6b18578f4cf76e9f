//! What the process has of its surroundings: clocks, randomness, and threads that may block. Everything
//! that needs one of them is given it, or asks here.

pub mod blocking;
pub mod clock;
pub mod random;
pub mod usage;
