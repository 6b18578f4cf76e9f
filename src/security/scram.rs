//! The keys that Gregor stores for a SCRAM password (RFC 5802, section 3). It never stores the
//! password or its salted form.

use bytes::Bytes;
use hmac::{Hmac, KeyInit, Mac};
use metadata::image::ScramMechanism;
use sha2::{Digest, Sha256, Sha512};

/// Returns the stored key and the server key of a salted password.
pub fn keys(mechanism: ScramMechanism, salted_password: &[u8]) -> (Bytes, Bytes) {
    match mechanism {
        ScramMechanism::Sha256 => {
            let mac = |text: &[u8]| {
                // HMAC takes a key of any length.
                let mut mac =
                    Hmac::<Sha256>::new_from_slice(salted_password).unwrap_or_else(|_| unreachable!("any length"));
                mac.update(text);
                mac.finalize().into_bytes()
            };
            (Bytes::copy_from_slice(&Sha256::digest(mac(b"Client Key"))), Bytes::copy_from_slice(&mac(b"Server Key")))
        }
        ScramMechanism::Sha512 => {
            let mac = |text: &[u8]| {
                let mut mac =
                    Hmac::<Sha512>::new_from_slice(salted_password).unwrap_or_else(|_| unreachable!("any length"));
                mac.update(text);
                mac.finalize().into_bytes()
            };
            (Bytes::copy_from_slice(&Sha512::digest(mac(b"Client Key"))), Bytes::copy_from_slice(&mac(b"Server Key")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of RFC 7677: user "user", password "pencil", 4096 iterations. Python's hashlib
    /// computed the salted password and the keys.
    #[test]
    fn keys_are_those_of_the_rfc() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
        };
        let salted = hex("c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d");
        let (stored, server) = keys(ScramMechanism::Sha256, &salted);
        assert_eq!(stored[..], hex("586e5df283e6dceb5c3e791d8b8528ec191e664045ce971792e2e6b5bb13e2a6")[..]);
        assert_eq!(server[..], hex("c1f3cbc1c13a9d35a14c0990eed97629ea225863e566a4314ab99f3f00e5d9d5")[..]);
    }
}
