//! The only module that generates random bytes.

use super::Env;
use model::Uuid;

impl Env {
    /// Returns random bytes.
    pub fn random_bytes<const N: usize>(self) -> [u8; N] {
        let mut bytes = [0; N];
        match self.0 {
            Some(simulator) => simulator.fill(&mut bytes),
            None => fill(&mut bytes),
        }
        bytes
    }

    /// Returns a random 64-bit number.
    pub fn random_number(self) -> u64 {
        u64::from_ne_bytes(self.random_bytes())
    }

    /// Returns a random version 4 UUID that does not begin with '-'. Kafka generates them so,
    /// because tools would take it for an option.
    pub fn uuid(self) -> Uuid {
        loop {
            let id = Uuid::from_random(self.random_bytes());
            if !id.is_zero() && id != Uuid::ONE && !id.to_string().starts_with('-') {
                return id;
            }
        }
    }
}

fn fill(bytes: &mut [u8]) {
    let mut filled = 0;
    while filled < bytes.len() {
        // The kernel's generator fails only before it is seeded at boot. The call is then repeated.
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()).unwrap_or(0);
    }
}
