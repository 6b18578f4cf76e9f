//! SCRAM-SHA-256 and SCRAM-SHA-512 (RFC 5802, RFC 7677), as Kafka reads their messages: names are
//! ASCII, no channel binding, and the extension `tokenauth=true` for delegation tokens (KIP-48).

mod messages;
pub mod server;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256, Sha512};

/// The fewest iterations of a credential. Kafka stores none with fewer.
pub const ITERATIONS_MIN: i32 = 4096;
/// The most iterations that a client does for a server.
pub const ITERATIONS_MAX: i32 = 1_000_000;

/// The hash of a SCRAM mechanism.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
}

/// What a server stores for a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The salt.
    pub salt: Vec<u8>,
    /// The hash of the client's key.
    pub stored_key: Vec<u8>,
    /// The server's key.
    pub server_key: Vec<u8>,
    /// How often the password was hashed.
    pub iterations: i32,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("iterations", &self.iterations).finish_non_exhaustive()
    }
}

impl Credential {
    /// Makes the credential of a password.
    pub fn of_password(hash: Hash, password: &str, salt: &[u8], iterations: i32) -> Self {
        Self::of_salted(hash, &salted_password(hash, password.as_bytes(), salt, iterations), salt, iterations)
    }

    /// Makes the credential of a salted password.
    pub fn of_salted(hash: Hash, salted: &[u8], salt: &[u8], iterations: i32) -> Self {
        let stored_key = digest(hash, &hmac(hash, salted, b"Client Key"));
        let server_key = hmac(hash, salted, b"Server Key");
        Self { salt: salt.to_vec(), stored_key, server_key, iterations }
    }
}

/// Returns the HMAC of a text.
pub(crate) fn hmac(hash: Hash, key: &[u8], text: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha256 => {
            let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap_or_else(|_| unreachable!("any length"));
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        }
        Hash::Sha512 => {
            let mut mac = Hmac::<Sha512>::new_from_slice(key).unwrap_or_else(|_| unreachable!("any length"));
            mac.update(text);
            mac.finalize().into_bytes().to_vec()
        }
    }
}

fn digest(hash: Hash, text: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha256 => Sha256::digest(text).to_vec(),
        Hash::Sha512 => Sha512::digest(text).to_vec(),
    }
}

/// Returns the salted password: PBKDF2 with one block.
pub fn salted_password(hash: Hash, password: &[u8], salt: &[u8], iterations: i32) -> Vec<u8> {
    let first = [salt, &1u32.to_be_bytes()].concat();
    match hash {
        Hash::Sha256 => {
            let keyed = Hmac::<Sha256>::new_from_slice(password).unwrap_or_else(|_| unreachable!("any length"));
            repeated(&first, iterations, |text| {
                let mut mac = keyed.clone();
                mac.update(text);
                mac.finalize().into_bytes().to_vec()
            })
        }
        Hash::Sha512 => {
            let keyed = Hmac::<Sha512>::new_from_slice(password).unwrap_or_else(|_| unreachable!("any length"));
            repeated(&first, iterations, |text| {
                let mut mac = keyed.clone();
                mac.update(text);
                mac.finalize().into_bytes().to_vec()
            })
        }
    }
}

fn repeated(first: &[u8], iterations: i32, mac: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let mut last = mac(first);
    let mut sum = last.clone();
    for _ in 1..iterations {
        last = mac(&last);
        xor(&mut sum, &last);
    }
    sum
}

pub(crate) fn xor(one: &mut [u8], other: &[u8]) {
    one.iter_mut().zip(other).for_each(|(one, other)| *one ^= other);
}

/// What the client's side computes from a server's challenge.
pub(crate) struct Proof {
    /// Shows the server that the client knows the password.
    pub(crate) client_proof: Vec<u8>,
    /// Shows the client that the server knows the credential.
    pub(crate) server_signature: Vec<u8>,
}

impl Proof {
    pub(crate) fn new(hash: Hash, salted: &[u8], auth_message: &str) -> Self {
        let mut client_proof = hmac(hash, salted, b"Client Key");
        let stored_key = digest(hash, &client_proof);
        xor(&mut client_proof, &hmac(hash, &stored_key, auth_message.as_bytes()));
        let server_key = hmac(hash, salted, b"Server Key");
        Self { client_proof, server_signature: hmac(hash, &server_key, auth_message.as_bytes()) }
    }
}

pub(crate) use messages::{ServerFirst, escape, server_final};
