//! The environment of the process: clocks, randomness, and threads that may block. Other code
//! receives these as arguments or gets them here.

pub mod blocking;
pub mod clock;
pub mod random;
pub mod usage;
