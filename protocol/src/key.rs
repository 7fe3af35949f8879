//! Ed25519 keys: who signs. A key that can sign will not print itself.

use std::fmt;

use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::Fingerprint;

/// An Ed25519 public key: 32 bytes, base64 in JSON.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PublicKey([u8; 32]);

/// Says why something is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Neither 32 raw bytes nor a subject public key info of that kind.
    #[error("not an Ed25519 public key")]
    Public,
    /// No PKCS#8 private key of that kind.
    #[error("not an Ed25519 private key in PKCS#8 form")]
    Private,
}

/// What precedes the 32 key bytes in an X.509 subject public key info (RFC 8410).
const SPKI_PREFIX: [u8; 12] = [
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];

impl PublicKey {
    /// Takes the raw 32 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Takes an X.509 subject public key info in DER.
    ///
    /// # Errors
    /// When it holds another kind of key.
    pub fn from_spki(der: &[u8]) -> Result<Self, BadKey> {
        let raw = der.strip_prefix(&SPKI_PREFIX).ok_or(BadKey::Public)?;
        raw.try_into().map(Self).map_err(|_| BadKey::Public)
    }

    /// The key as an X.509 subject public key info in DER.
    #[must_use]
    pub fn to_spki(&self) -> Vec<u8> {
        [SPKI_PREFIX.as_slice(), &self.0].concat()
    }

    /// The digest by which this key is known.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(Digest::of(&self.to_spki()))
    }

    /// Tells whether `signature` over `message` was made by this key.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0)
            .verify(message, signature)
            .is_ok()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

impl TryFrom<String> for PublicKey {
    type Error = BadKey;

    fn try_from(text: String) -> Result<Self, BadKey> {
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| BadKey::Public)?;
        bytes.try_into().map(Self).map_err(|_| BadKey::Public)
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        BASE64_STANDARD.encode(key.0)
    }
}

/// An Ed25519 key pair.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public().fingerprint())
    }
}

impl SigningKey {
    /// Makes a new key from the operating system's randomness.
    ///
    /// # Panics
    /// When the operating system has no randomness to give, since nothing secure can be done then.
    #[must_use]
    pub fn generate() -> Self {
        Self(Ed25519KeyPair::generate().expect("the operating system gives randomness"))
    }

    /// Reads a key from PKCS#8 DER.
    ///
    /// # Errors
    /// When the bytes hold no such key.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, BadKey> {
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(der)
            .map(Self)
            .map_err(|_| BadKey::Private)
    }

    /// The key as PKCS#8 DER, to be kept where only its owner can read it.
    ///
    /// # Panics
    /// Never for a key that this type holds.
    #[must_use]
    pub fn to_pkcs8(&self) -> Vec<u8> {
        let der: Result<aws_lc_rs::encoding::Pkcs8V1Der<'_>, _> = self.0.as_der();
        der.expect("a key pair that was parsed or generated can be encoded")
            .as_ref()
            .to_vec()
    }

    /// The public half.
    ///
    /// # Panics
    /// Never: an Ed25519 public key is 32 bytes.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(
            self.0
                .public_key()
                .as_ref()
                .try_into()
                .expect("an Ed25519 public key is 32 bytes"),
        )
    }

    /// Signs `message`.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_encoding_and_signs_as_before() {
        let key = SigningKey::generate();
        let again = SigningKey::from_pkcs8(&key.to_pkcs8()).unwrap();
        assert!(key.public().verifies(b"message", &again.sign(b"message")));
        assert!(!key.public().verifies(b"massage", &again.sign(b"message")));
        assert!(!format!("{key:?}").contains(&BASE64_STANDARD.encode(key.to_pkcs8())));
    }
}
