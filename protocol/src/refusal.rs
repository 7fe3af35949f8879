//! Why something was refused. A refusal is a "no" with a reason; nothing was begun.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::id::{Fingerprint, Generation, TargetId, TenantId};
use crate::time::Timestamp;

/// Why an agent refuses a bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    /// Signature, threshold or form.
    Signature(String),
    /// It is for another server.
    OtherTarget {
        /// For whom it is.
        meant: TargetId,
    },
    /// It is for another key of this server.
    OtherKey {
        /// For which key it is.
        meant: Fingerprint,
    },
    /// Older than what this agent has seen.
    OlderGeneration {
        /// Generation offered.
        offered: Generation,
        /// Newest seen.
        newest: Generation,
    },
    /// The same generation with other content: an alarm.
    OtherContent {
        /// The generation.
        generation: Generation,
    },
    /// Out of date, or not valid yet.
    OutOfDate {
        /// Start of its validity.
        not_before: Timestamp,
        /// End of its validity.
        expires: Timestamp,
        /// The agent's clock.
        now: Timestamp,
    },
    /// A kind of step that this agent does not know.
    UnknownStep(String),
    /// Over a limit.
    OverLimit(String),
    /// A step names an artifact that the bundle does not carry, or one of another product.
    OtherArtifact {
        /// Kind of the step.
        step: String,
        /// The artifact's digest.
        artifact: Digest,
    },
    /// A step is of another tenant than its bundle (guard rail G9).
    OtherTenant {
        /// Kind of the step.
        step: String,
        /// Tenant of the step.
        tenant: TenantId,
    },
    /// The agent's own release is not its publisher's, or not the one that the step names.
    Release(String),
    /// The approval that the trust root asks for is missing or does not cover this work.
    NotApproved(String),
    /// Another bundle is open on this target.
    Busy {
        /// Generation of the open bundle.
        open: Generation,
    },
    /// The server's administrator has frozen it.
    Frozen {
        /// Until then.
        until: Timestamp,
    },
    /// The agent cannot store it.
    CannotStore(String),
    /// The trust root has expired.
    RootExpired(Timestamp),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature(why) => write!(f, "signature not accepted: {why}"),
            Self::OtherTarget { meant } => write!(f, "the bundle is for another target, {meant}"),
            Self::OtherKey { meant } => {
                write!(f, "the bundle is for another key of this target, {meant}")
            }
            Self::OlderGeneration { offered, newest } => {
                write!(
                    f,
                    "generation {offered} is older than {newest}, which this target has seen (a replay?)"
                )
            }
            Self::OtherContent { generation } => {
                write!(
                    f,
                    "generation {generation} came with other content than before (ALARM)"
                )
            }
            Self::OutOfDate {
                not_before,
                expires,
                now,
            } => {
                write!(
                    f,
                    "out of date: valid from {not_before} until {expires}, this target's clock says {now}"
                )
            }
            Self::UnknownStep(kind) => write!(f, "unknown kind of step \"{kind}\""),
            Self::OverLimit(what) => write!(f, "over a limit: {what}"),
            Self::OtherArtifact { step, artifact } => write!(
                f,
                "step {step} names artifact {}, which the bundle does not carry for that product",
                artifact.short()
            ),
            Self::OtherTenant { step, tenant } => write!(
                f,
                "step {step} is of tenant {tenant}, and the bundle of another (G9)"
            ),
            Self::Release(why) => write!(f, "release of the agent not accepted: {why}"),
            Self::NotApproved(what) => write!(f, "not approved: {what}"),
            Self::Frozen { until } => {
                write!(
                    f,
                    "this server was frozen by its administrator until {until}"
                )
            }
            Self::Busy { open } => write!(f, "the bundle of generation {open} is still open"),
            Self::CannotStore(why) => write!(f, "the agent cannot store it: {why}"),
            Self::RootExpired(at) => write!(f, "the pinned trust root expired at {at}"),
        }
    }
}
