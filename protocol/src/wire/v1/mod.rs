//! Wire version 1: ALPN `entrain/1` and `entrain-enroll/1`. Frozen once released: nothing here changes shape or order;
//! a change makes a new module.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::event::{GmsaChange, Section};
use crate::id::{Attempt, Epoch, EventIndex, Generation, RolloutId, StepIndex, TargetId};

/// ALPN of sessions.
pub const ALPN: &[u8] = b"entrain/1";

/// ALPN of enrollment.
pub const ENROLL_ALPN: &[u8] = b"entrain-enroll/1";

/// First frame on a stream that the agent opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Opening {
    /// The first stream of a session.
    Control(Hello),
    /// Carries [`EventsUp`] and [`EventsDown`].
    Events,
    /// Carries one [`ArtifactAsk`] and its answer.
    Artifact(ArtifactAsk),
    /// Carries one signed ask for a secret and its sealed answer.
    Secret {
        /// The ask's envelope.
        ask: Vec<u8>,
    },
}

/// Where a journal stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Life of the journal.
    pub epoch: Epoch,
    /// Last event.
    pub index: EventIndex,
    /// Chain head after it.
    pub chain: Digest,
}

/// The agent's first word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Who.
    pub target: TargetId,
    /// Version of the agent.
    pub agent_version: String,
    /// True for a model of a server.
    pub simulated: bool,
    /// Head of its journal.
    pub head: Head,
    /// Newest generation that it has accepted.
    pub generation: Generation,
    /// Version of the trust root that it has pinned.
    pub root_version: u32,
}

/// The controller's answer to [`Hello`]: only now is the agent connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// Life of the controller's log.
    pub controller_epoch: Epoch,
    /// What the controller has stored of this target's journal; the agent sends what comes after.
    pub stored: Head,
    /// The controller's clock, in milliseconds since 1970, to name a difference.
    pub now_millis: i64,
}

/// Controller to agent, on the control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlDown {
    /// The answer to hello.
    Welcome(Welcome),
    /// Leave for a section.
    PermitGiven {
        /// The run.
        generation: Generation,
        /// The step.
        step: StepIndex,
        /// Which try.
        attempt: Attempt,
        /// How long the leave is good for if the section is not entered, in milliseconds.
        lapses_millis: u64,
        /// The last change of the same gMSA object: to be readable before the section acts.
        after: Option<GmsaChange>,
    },
    /// Begin no further step of this rollout until told so.
    Pause {
        /// The rollout.
        rollout: RolloutId,
    },
    /// Go on.
    Resume {
        /// The rollout.
        rollout: RolloutId,
    },
    /// End the run at its next gate.
    Abort {
        /// The run.
        generation: Generation,
    },
    /// A named person says that the step is done.
    Attested {
        /// The run.
        generation: Generation,
        /// The step.
        step: StepIndex,
        /// Who says so.
        by: String,
    },
    /// A certificate was renewed.
    Certificate(Issued),
    /// A newer trust root: its envelope.
    Root {
        /// The envelope.
        envelope: Vec<u8>,
    },
}

/// Agent to controller, on the control stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ControlUp {
    /// Asks leave for a section.
    PermitAsked {
        /// The run.
        generation: Generation,
        /// The step.
        step: StepIndex,
        /// Which try.
        attempt: Attempt,
        /// What the section covers.
        section: Section,
    },
    /// Asks for a new certificate for the same key.
    RenewalAsked {
        /// Certificate request, DER.
        request: Vec<u8>,
    },
}

/// Controller to agent, on a stream of its own: one signed bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BundleOffer {
    /// The manifest's envelope, as stored.
    // The same bytes as a sequence of numbers, written in one go.
    #[serde(with = "serde_bytes")]
    pub envelope: Vec<u8>,
}

/// The agent's answer on the same stream. The event that says the same is what counts; this is for speed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum BundleAnswer {
    /// Verified, stored, accepted, or accepted before.
    Accepted,
    /// Refused, for people.
    Refused(String),
}

/// One numbered entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Kind of event; unknown kinds are counted and kept.
    pub kind: u16,
    /// When the agent journaled it, milliseconds since 1970 by its clock.
    pub at_millis: i64,
    /// Body.
    #[serde(with = "serde_bytes")]
    pub body: Vec<u8>,
}

/// Agent to controller, on the events stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventsUp {
    /// Facts, in order and without gaps.
    Entries {
        /// Life of the journal.
        epoch: Epoch,
        /// Index of the first.
        first: EventIndex,
        /// The entries.
        entries: Vec<Entry>,
    },
    /// What the target's provisioning agent does just now: not numbered, not stored. Outages are allowed on fresh ones
    /// alone.
    Pulse {
        /// Registered with a tenant, its service running.
        serving: bool,
    },
    /// Progress: not numbered, not stored, the latest wins.
    Progress {
        /// The run.
        generation: Generation,
        /// The step.
        step: StepIndex,
        /// Share done in percent, where known.
        percent: Option<u8>,
        /// What is going on, in a few words.
        text: String,
    },
}

/// Controller to agent, on the events stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventsDown {
    /// Stored up to here.
    Acknowledged {
        /// Last index stored.
        index: EventIndex,
    },
}

/// What is asked of an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArtifactPart {
    /// The list of chunk digests.
    Chunks,
    /// The bytes from this chunk on.
    From(u32),
}

/// Asks for an artifact that an offered bundle names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactAsk {
    /// SHA-256 of the whole file.
    pub sha256: Digest,
    /// Which part.
    pub part: ArtifactPart,
}

/// The answer's first frame; raw bytes follow until the stream ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ArtifactAnswer {
    /// This many bytes follow.
    Follows(u64),
    /// Not to be had, for people.
    Refused(String),
}

/// The answer to an ask for a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SecretAnswer {
    /// Sealed for the asked key.
    Sealed {
        /// Encapsulated key.
        encapsulated: Vec<u8>,
        /// Ciphertext.
        ciphertext: Vec<u8>,
    },
    /// Nobody will give it, for people.
    Refused(String),
}

impl std::fmt::Debug for SecretAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sealed { .. } => f.write_str("Sealed(…)"),
            Self::Refused(why) => write!(f, "Refused({why})"),
        }
    }
}

/// Controller to agent, first on the enrollment stream: the agent checks the digest before it says more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnrollGreeting {
    /// The trust root's envelope.
    pub root: Vec<u8>,
}

/// What an unknown or expired agent asks for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrollAsk {
    /// To become known.
    Join {
        /// The join token's text.
        token: String,
        /// The server's own name.
        target: TargetId,
        /// Certificate request, DER; only its public key is taken.
        request: Vec<u8>,
        /// True for a model of a server.
        simulated: bool,
        /// Epoch of the agent's journal.
        epoch: Epoch,
        /// What the machine says of itself, for whoever approves.
        machine: String,
    },
    /// A new certificate for a known key, also when the old one has expired.
    Renew {
        /// Certificate request, DER; its signature proves possession of the key.
        request: Vec<u8>,
    },
}

impl std::fmt::Debug for EnrollAsk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Join { target, .. } => write!(f, "Join({target}, …)"),
            Self::Renew { .. } => f.write_str("Renew(…)"),
        }
    }
}

/// A certificate for the asked key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// The chain, DER, end entity first.
    pub chain: Vec<Vec<u8>>,
    /// From when on to renew it, milliseconds since 1970.
    pub renew_after_millis: i64,
    /// When it ends, milliseconds since 1970.
    pub expires_millis: i64,
}

/// The answer to [`EnrollAsk`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EnrollAnswer {
    /// Enrolled.
    Issued(Issued),
    /// Waits for an operator's approval; ask again.
    Pending {
        /// The key's fingerprint, to be compared.
        fingerprint: String,
    },
    /// Refused, for people.
    Refused(String),
}
