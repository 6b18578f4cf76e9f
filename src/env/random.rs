//! The one place that draws random bytes.

use model::Uuid;

/// Random bytes from the system.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        // The kernel's generator fails only before it is seeded at boot; then it is asked again.
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    }
    bytes
}

/// A random 64-bit number.
pub fn number() -> u64 {
    u64::from_ne_bytes(bytes())
}

/// A random version 4 UUID that does not begin with '-', as Kafka draws them, so that tools do not take it for an option.
pub fn uuid() -> Uuid {
    loop {
        let id = Uuid::from_random(bytes());
        if !id.is_zero() && id != Uuid::ONE && !id.to_string().starts_with('-') {
            return id;
        }
    }
}
