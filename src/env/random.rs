//! The only module that generates random bytes.

use model::Uuid;

/// Returns random bytes from the operating system.
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        // The kernel's generator fails only before it is seeded at boot. The call is then repeated.
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    }
    bytes
}

/// Returns a random 64-bit number.
pub fn number() -> u64 {
    u64::from_ne_bytes(bytes())
}

/// Returns a random version 4 UUID that does not begin with '-'. Kafka generates them so, because
/// tools would take it for an option.
pub fn uuid() -> Uuid {
    loop {
        let id = Uuid::from_random(bytes());
        if !id.is_zero() && id != Uuid::ONE && !id.to_string().starts_with('-') {
            return id;
        }
    }
}
