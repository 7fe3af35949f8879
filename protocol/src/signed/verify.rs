//! Proof by type: verifying an envelope is the only way to a [`Verified`] document, and taking up one that was verified before.

use std::collections::BTreeSet;
use std::ops::Deref;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::digest::Digest;
use crate::key::SigningKey;
use crate::signed::envelope::{BadEnvelope, Envelope, pre_authentication_encoding};
use crate::signed::root::{RoleKeys, TrustRoot};

/// A kind of signed document.
pub trait Document: Serialize + DeserializeOwned {
    /// The media type in the envelope.
    const PAYLOAD_TYPE: &'static str;
    /// The newest format number that this code reads; a document names its own.
    const FORMAT: u32;
    /// The format that this document says it has.
    fn format(&self) -> u32;

    /// A better reason than the parser's for a signed payload that did not parse.
    #[must_use]
    fn explain(_payload: &[u8]) -> Option<Refused> {
        None
    }
}

/// A document whose signatures were checked, now or when it was accepted. It cannot be made or decoded in any other way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified<T> {
    document: T,
    digest: Digest,
}

impl<T> Verified<T> {
    /// The digest of the envelope's bytes as they were carried.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// Gives up the proof and keeps the document.
    pub fn into_inner(self) -> T {
        self.document
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.document
    }
}

/// Says why a document was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The envelope is not sound.
    #[error("the envelope is not sound")]
    Envelope(#[from] BadEnvelope),
    /// The envelope holds another kind of document.
    #[error("it is a {found}, not a {wanted}")]
    Type {
        /// What the envelope says.
        found: String,
        /// What was expected.
        wanted: &'static str,
    },
    /// Too few of the role's keys have signed.
    #[error("{valid} valid signatures of {threshold} needed, by keys of that role")]
    Threshold {
        /// Distinct keys of the role with a valid signature.
        valid: usize,
        /// How many the role asks for.
        threshold: u32,
    },
    /// No key may sign this at all.
    #[error("the trust root gives that role to nobody")]
    NobodyMay,
    /// The payload is signed, but not understood.
    #[error("the signed payload is not understood")]
    Malformed(#[source] serde_json::Error),
    /// They are other bytes than those that were verified.
    #[error("it is {found}, not {wanted} that was verified")]
    OtherBytes {
        /// Digest of the bytes that are there.
        found: Digest,
        /// Digest of those that were verified.
        wanted: Digest,
    },
    /// Written by a newer program.
    #[error("it has format {found}; this program reads up to {known}")]
    Format {
        /// The document's format.
        found: u32,
        /// The newest known here.
        known: u32,
    },
    /// It names a kind of step that this program does not know.
    #[error("it has the unknown kind of step \"{0}\"")]
    UnknownStep(String),
    /// A newer root that does not follow the pinned one.
    #[error("trust root version {found} does not follow version {pinned}")]
    Version {
        /// Version offered.
        found: u32,
        /// Version pinned.
        pinned: u32,
    },
}

/// Signs `document` with each of `keys`.
///
/// # Panics
/// Never: the documents of this crate have only string keys, so they serialize.
#[must_use]
pub fn sign<T: Document>(document: &T, keys: &[&SigningKey]) -> Envelope {
    let payload = serde_json::to_vec(document).expect("a document with string keys serializes");
    let mut envelope = Envelope::new(T::PAYLOAD_TYPE, &payload);
    for key in keys {
        envelope
            .sign(key)
            .expect("an envelope made here has a base64 payload");
    }
    envelope
}

/// Checks that enough keys of `role` have signed the envelope in `bytes`, then parses it.
///
/// # Errors
/// When the envelope, its type, its signatures or its format are not acceptable.
pub fn verify<T: Document>(bytes: &[u8], role: &RoleKeys) -> Result<Verified<T>, Refused> {
    let envelope = envelope_of::<T>(bytes)?;
    let payload = envelope.payload_bytes()?;
    count_signatures(&envelope, &payload, role)?;
    parse(&payload).map(|document| Verified {
        document,
        digest: Digest::of(bytes),
    })
}

/// Takes up a document that was verified before, by the digest that was kept of its envelope then. Its keys may be in no role any
/// more: what was accepted stays accepted. Only for a digest that stands where nobody else writes, such as a journal.
///
/// # Errors
/// When they are other bytes, or the envelope, its type or its format are not acceptable.
pub fn take_up<T: Document>(bytes: &[u8], verified: &Digest) -> Result<Verified<T>, Refused> {
    let digest = Digest::of(bytes);
    if digest != *verified {
        return Err(Refused::OtherBytes {
            found: digest,
            wanted: *verified,
        });
    }
    let document = parse(&envelope_of::<T>(bytes)?.payload_bytes()?)?;
    Ok(Verified { document, digest })
}

/// The envelope, where it says that it holds such a document.
fn envelope_of<T: Document>(bytes: &[u8]) -> Result<Envelope, Refused> {
    let envelope = Envelope::from_json(bytes)?;
    if envelope.payload_type != T::PAYLOAD_TYPE {
        let found = envelope.payload_type.chars().take(80).collect();
        return Err(Refused::Type {
            found,
            wanted: T::PAYLOAD_TYPE,
        });
    }
    Ok(envelope)
}

/// Checks a newer trust root: it must follow `pinned` directly and be signed under the old and the new threshold.
///
/// # Errors
/// As [`verify`], and when the version does not follow.
pub fn verify_root_update(
    bytes: &[u8],
    pinned: &TrustRoot,
) -> Result<Verified<TrustRoot>, Refused> {
    let root: Verified<TrustRoot> = verify(bytes, &pinned.roles.root)?;
    let envelope = Envelope::from_json(bytes)?;
    count_signatures(&envelope, &envelope.payload_bytes()?, &root.roles.root)?;
    if root.version != pinned.version + 1 {
        return Err(Refused::Version {
            found: root.version,
            pinned: pinned.version,
        });
    }
    Ok(root)
}

fn count_signatures(envelope: &Envelope, payload: &[u8], role: &RoleKeys) -> Result<(), Refused> {
    if role.threshold == 0 || role.keys.is_empty() {
        return Err(Refused::NobodyMay);
    }
    let message = pre_authentication_encoding(&envelope.payload_type, payload);
    let mut valid = BTreeSet::new();
    for signature in &envelope.signatures {
        let Some(key) = role
            .keys
            .iter()
            .find(|key| key.fingerprint() == signature.keyid)
        else {
            continue;
        };
        let Ok(bytes) = BASE64_STANDARD.decode(&signature.sig) else {
            continue;
        };
        if key.verifies(&message, &bytes) {
            valid.insert(signature.keyid);
        }
    }
    if valid.len() < role.threshold as usize {
        return Err(Refused::Threshold {
            valid: valid.len(),
            threshold: role.threshold,
        });
    }
    Ok(())
}

fn parse<T: Document>(payload: &[u8]) -> Result<T, Refused> {
    let document: T = serde_json::from_slice(payload)
        .map_err(|error| T::explain(payload).unwrap_or(Refused::Malformed(error)))?;
    if document.format() > T::FORMAT {
        return Err(Refused::Format {
            found: document.format(),
            known: T::FORMAT,
        });
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Epoch;
    use crate::signed::{Checkpoint, ControllerKind, Role};
    use crate::{Digest, Timestamp};

    fn checkpoint() -> Checkpoint {
        Checkpoint {
            format: 1,
            epoch: Epoch(1),
            index: 9,
            chain: Digest::of(b"x"),
            at: Timestamp::from_millis(0),
        }
    }

    fn role(keys: &[&SigningKey], threshold: u32) -> RoleKeys {
        RoleKeys {
            keys: keys.iter().map(|key| key.public()).collect(),
            threshold,
        }
    }

    #[test]
    fn a_threshold_counts_distinct_keys_of_the_role() {
        let (a, b, stranger) = (
            SigningKey::generate(),
            SigningKey::generate(),
            SigningKey::generate(),
        );
        let role = role(&[&a, &b], 2);
        let doubled = sign(&checkpoint(), &[&a, &a, &stranger]).to_json();
        assert!(matches!(
            verify::<Checkpoint>(&doubled, &role),
            Err(Refused::Threshold { valid: 1, .. })
        ));
        let enough = sign(&checkpoint(), &[&a, &b]).to_json();
        assert_eq!(verify::<Checkpoint>(&enough, &role).unwrap().index, 9);
    }

    fn root(version: u32, keys: &[&SigningKey], threshold: u32) -> TrustRoot {
        let nobody = RoleKeys {
            keys: Vec::new(),
            threshold: 0,
        };
        TrustRoot {
            format: 1,
            version,
            kind: ControllerKind::Simulated,
            issued: Timestamp::from_millis(0),
            expires: Timestamp::from_millis(1),
            roles: Role {
                root: role(keys, threshold),
                bundle: nobody.clone(),
                approver: nobody.clone(),
                publisher: nobody,
            },
            authority: Vec::new(),
            override_operators: 1,
        }
    }

    #[test]
    fn a_newer_root_is_signed_under_the_old_and_under_its_own_threshold_and_skips_none() {
        let (a, b, c) = (
            SigningKey::generate(),
            SigningKey::generate(),
            SigningKey::generate(),
        );
        let pinned = root(3, &[&a, &b], 2);
        let newer = |version| root(version, &[&b, &c], 2);
        let update = |root: &TrustRoot, keys: &[&SigningKey]| {
            verify_root_update(&sign(root, keys).to_json(), &pinned)
        };
        assert_eq!(update(&newer(4), &[&a, &b, &c]).unwrap().version, 4);
        assert!(
            matches!(
                update(&newer(4), &[&b, &c]),
                Err(Refused::Threshold { valid: 1, .. })
            ),
            "the old"
        );
        assert!(
            matches!(
                update(&newer(4), &[&a, &b]),
                Err(Refused::Threshold { valid: 1, .. })
            ),
            "its own"
        );
        for version in [3, 5] {
            let refused = update(&newer(version), &[&a, &b, &c]);
            assert!(matches!(refused, Err(Refused::Version { .. })), "{version}");
        }
    }

    #[test]
    fn a_changed_payload_is_not_parsed() {
        let key = SigningKey::generate();
        let mut envelope = sign(&checkpoint(), &[&key]);
        envelope.payload = BASE64_STANDARD.encode(b"{\"format\":1}");
        let refused = verify::<Checkpoint>(&envelope.to_json(), &role(&[&key], 1));
        assert!(matches!(refused, Err(Refused::Threshold { .. })));
    }

    #[test]
    fn what_was_verified_is_taken_up_by_its_digest_and_nothing_else_is() {
        let key = SigningKey::generate();
        let bytes = sign(&checkpoint(), &[&key]).to_json();
        let before = verify::<Checkpoint>(&bytes, &role(&[&key], 1)).unwrap();
        let again = take_up::<Checkpoint>(&bytes, &before.digest()).unwrap();
        assert_eq!(again, before);
        let other = Checkpoint {
            index: 10,
            ..checkpoint()
        };
        let other = sign(&other, &[&key]).to_json();
        assert!(matches!(
            take_up::<Checkpoint>(&other, &before.digest()),
            Err(Refused::OtherBytes { .. })
        ));
        // Nor is it taken for a document of another kind.
        assert!(matches!(
            take_up::<TrustRoot>(&bytes, &before.digest()),
            Err(Refused::Type { .. })
        ));
    }

    #[test]
    fn a_role_without_keys_accepts_nothing() {
        let key = SigningKey::generate();
        let bytes = sign(&checkpoint(), &[&key]).to_json();
        assert!(matches!(
            verify::<Checkpoint>(&bytes, &role(&[], 0)),
            Err(Refused::NobodyMay)
        ));
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let key = SigningKey::generate();
        let mut envelope = Envelope::new(
            Checkpoint::PAYLOAD_TYPE,
            br#"{"format":1,"epoch":1,"index":9,"chain":"0000000000000000000000000000000000000000000000000000000000000000","at":"2026-01-01T00:00:00Z","more":1}"#,
        );
        envelope.sign(&key).unwrap();
        let refused = verify::<Checkpoint>(&envelope.to_json(), &role(&[&key], 1));
        assert!(matches!(refused, Err(Refused::Malformed(_))));
    }
}
