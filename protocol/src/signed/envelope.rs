//! DSSE envelopes: several signatures around one payload. What is signed is the payload as carried, never a
//! re-encoding of it (<https://github.com/secure-systems-lab/dsse>, protocol v1).

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::Fingerprint;
use crate::key::SigningKey;
use crate::limits;

/// One signature of an envelope.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// Which key made it.
    pub keyid: Fingerprint,
    /// The Ed25519 signature, base64.
    pub sig: String,
}

/// A payload with its signatures, not yet verified: nothing in it may be acted upon.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Envelope {
    /// What the payload is: one of the media types of the signed documents.
    pub payload_type: String,
    /// The payload, base64.
    pub payload: String,
    /// Who signed it.
    pub signatures: Vec<Signature>,
}

/// Says why bytes are no envelope.
#[derive(Debug, thiserror::Error)]
pub enum BadEnvelope {
    /// Over the limit, so it was not parsed.
    #[error("{0} bytes are over the limit for a signed document")]
    TooLarge(usize),
    /// Not an envelope.
    #[error("not a signature envelope")]
    Malformed(#[source] serde_json::Error),
    /// More signatures than any threshold asks for.
    #[error("{0} signatures are over the limit")]
    TooManySignatures(usize),
    /// The payload is not base64.
    #[error("the payload is not base64")]
    Payload,
}

/// The bytes that a DSSE signature covers.
#[must_use]
pub fn pre_authentication_encoding(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!(
        "DSSEv1 {} {payload_type} {} ",
        payload_type.len(),
        payload.len()
    )
    .into_bytes();
    bytes.extend_from_slice(payload);
    bytes
}

impl Envelope {
    /// Wraps `payload` without a signature.
    #[must_use]
    pub fn new(payload_type: &str, payload: &[u8]) -> Self {
        Self {
            payload_type: payload_type.to_owned(),
            payload: BASE64_STANDARD.encode(payload),
            signatures: Vec::new(),
        }
    }

    /// Adds the signature of `key`.
    ///
    /// # Errors
    /// When the payload is not base64.
    pub fn sign(&mut self, key: &SigningKey) -> Result<(), BadEnvelope> {
        let message = pre_authentication_encoding(&self.payload_type, &self.payload_bytes()?);
        let signature = Signature {
            keyid: key.public().fingerprint(),
            sig: BASE64_STANDARD.encode(key.sign(&message)),
        };
        self.signatures.push(signature);
        Ok(())
    }

    /// Reads an envelope from its JSON, checking its size first.
    ///
    /// # Errors
    /// When it is too large or malformed.
    pub fn from_json(bytes: &[u8]) -> Result<Self, BadEnvelope> {
        // Base64 and the signatures add less than twice the payload and 4 KiB.
        if bytes.len() > limits::MAX_DOCUMENT_BYTES * 2 + 4096 {
            return Err(BadEnvelope::TooLarge(bytes.len()));
        }
        let envelope: Self = serde_json::from_slice(bytes).map_err(BadEnvelope::Malformed)?;
        if envelope.signatures.len() > limits::MAX_SIGNATURES {
            return Err(BadEnvelope::TooManySignatures(envelope.signatures.len()));
        }
        Ok(envelope)
    }

    /// The envelope as JSON: these bytes are stored, sent and digested.
    ///
    /// # Panics
    /// Never: strings alone cannot fail to serialize.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an envelope of strings serializes")
    }

    /// The digest of the envelope's JSON.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::of(&self.to_json())
    }

    /// The payload as it was signed.
    ///
    /// # Errors
    /// When it is not base64 or too large.
    pub fn payload_bytes(&self) -> Result<Vec<u8>, BadEnvelope> {
        let bytes = BASE64_STANDARD
            .decode(&self.payload)
            .map_err(|_| BadEnvelope::Payload)?;
        if bytes.len() > limits::MAX_DOCUMENT_BYTES {
            return Err(BadEnvelope::TooLarge(bytes.len()));
        }
        Ok(bytes)
    }
}
