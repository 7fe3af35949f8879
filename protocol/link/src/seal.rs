//! Sealing a secret to the fresh key of an agent's ask: HPKE (RFC 9180) with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256,
//! AES-256-GCM. The ask's digest is bound in, so that what was sealed for one step opens for no other.

use std::fmt;

use protocol::Digest;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey};

/// Says that something could not be sealed or opened. It says no more, since a secret is at stake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// No key pair could be made.
    #[error("could not make a key to seal to")]
    Key,
    /// The public key is none.
    #[error("could not seal to that key")]
    Seal,
    /// It was sealed for another ask, or altered.
    #[error("could not open what was sealed: it is for another ask, or was altered")]
    Open,
}

/// A fresh key pair that lives as long as one ask.
pub struct SealingKey {
    public: HpkePublicKey,
    private: HpkePrivateKey,
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingKey(…)")
    }
}

/// What is sent: the encapsulated key and the ciphertext.
pub type SealedParts = (Vec<u8>, Vec<u8>);

impl SealingKey {
    /// Makes a fresh pair.
    ///
    /// # Errors
    /// When the provider cannot.
    pub fn generate() -> Result<Self, SealError> {
        let (public, private) = SUITE.generate_key_pair().map_err(|_| SealError::Key)?;
        Ok(Self { public, private })
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &[u8] {
        &self.public.0
    }

    /// Opens what was sealed to this key for the ask with that digest.
    ///
    /// # Errors
    /// When it was sealed for another key or ask, or was altered.
    pub fn open(
        &self,
        ask: &Digest,
        encapsulated: Vec<u8>,
        ciphertext: &[u8],
    ) -> Result<Vec<u8>, SealError> {
        let encapsulated = EncapsulatedSecret(encapsulated);
        SUITE
            .open(
                &encapsulated,
                ask.as_bytes(),
                b"",
                ciphertext,
                &self.private,
            )
            .map_err(|_| SealError::Open)
    }
}

/// Seals `plaintext` to `public` for the ask with that digest.
///
/// # Errors
/// When the key is none of the suite.
pub fn seal(public: &[u8], ask: &Digest, plaintext: &[u8]) -> Result<SealedParts, SealError> {
    let key = HpkePublicKey(public.to_vec());
    let (encapsulated, ciphertext) = SUITE
        .seal(ask.as_bytes(), b"", plaintext, &key)
        .map_err(|_| SealError::Seal)?;
    Ok((encapsulated.0, ciphertext))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sealed_opens_for_its_own_ask_alone() {
        let key = SealingKey::generate().unwrap();
        let ask = Digest::of(b"ask");
        let (encapsulated, mut ciphertext) = seal(key.public(), &ask, b"token").unwrap();
        assert_eq!(
            key.open(&ask, encapsulated.clone(), &ciphertext).unwrap(),
            b"token"
        );
        let other = Digest::of(b"another ask");
        assert_eq!(
            key.open(&other, encapsulated.clone(), &ciphertext),
            Err(SealError::Open)
        );
        ciphertext[0] ^= 1;
        assert_eq!(
            key.open(&ask, encapsulated, &ciphertext),
            Err(SealError::Open)
        );
        assert_eq!(seal(b"short", &ask, b"token"), Err(SealError::Seal));
    }
}
