//! What the fleet machine wants done, and what is recorded of it.

use std::collections::BTreeSet;

use protocol::event::GmsaChange;
use protocol::signed::Manifest;
use protocol::{BundleId, Generation, RolloutId, TargetId, Timestamp};

use crate::fleet::decide::PERMIT_LIFE;
use crate::fleet::state::Gate;
use crate::overrides::{Rule, Used};
use crate::record::Record;

/// Something to be done; it takes effect when its record comes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Issue the bundle of a target's next phase.
    Issue {
        /// Which rollout.
        rollout: RolloutId,
        /// For whom.
        target: TargetId,
        /// Which phase of its part.
        phase: usize,
        /// Rules that would have held it, or that its bundle carries as overridden.
        overridden: BTreeSet<Rule>,
    },
    /// Give leave.
    Permit {
        /// To whom.
        target: TargetId,
        /// For what.
        gate: Gate,
        /// The last change of the same gMSA object, by another target: to be readable before the section acts (G3).
        after: Option<GmsaChange>,
        /// Rules that would have held it, or had it wait at the server.
        overridden: BTreeSet<Rule>,
        /// On what it rests that enough others serve meanwhile (G2), a sentence for each domain; empty where nothing goes out
        /// of service.
        rests_on: Vec<String>,
    },
    /// The product of a target is worse while it is watched, and stays so.
    Degraded {
        /// Its rollout.
        rollout: RolloutId,
        /// Which.
        target: TargetId,
        /// What is worse, in words.
        why: String,
    },
    /// A target is silent beyond the end of its bundle, or away when its rollout was aborted.
    Unknown {
        /// Which.
        target: TargetId,
        /// Its bundle.
        generation: Generation,
    },
    /// A target is away in the middle of its work, in a rollout that waits for nobody for ever, or is back.
    Away {
        /// Its rollout.
        rollout: RolloutId,
        /// Which.
        target: TargetId,
        /// Since when it is away; absent once it is back.
        since: Option<Timestamp>,
    },
    /// A target is away for as long as its rollout waits for anybody, or is back.
    PassedOver {
        /// Its rollout.
        rollout: RolloutId,
        /// Which.
        target: TargetId,
        /// Since when it is away; absent once it is back.
        away: Option<Timestamp>,
    },
}

impl Decision {
    /// What is recorded of it once it is carried out, in this order: itself, and what overrides let through. An offer is recorded with the
    /// bundle that was signed for it, and where there is none it comes to nothing.
    #[must_use]
    pub fn records(&self, signed: Option<(&Manifest, BundleId)>, now: Timestamp) -> Vec<Record> {
        match self.clone() {
            Self::Issue {
                rollout,
                target,
                phase: _,
                overridden,
            } => {
                let Some((manifest, bundle)) = signed else {
                    return Vec::new();
                };
                let used = used(&target, &overridden, (manifest.generation, Used::Offer));
                let issued = Record::BundleIssued {
                    rollout,
                    target,
                    generation: manifest.generation,
                    phase: manifest.phase,
                    bundle,
                    expires: manifest.expires,
                };
                std::iter::once(issued).chain(used).collect()
            }
            Self::Permit {
                target,
                gate,
                after: _,
                overridden,
                rests_on,
            } => {
                let used = used(&target, &overridden, (gate.generation, Used::Leave));
                let given = Record::PermitGiven {
                    target,
                    generation: gate.generation,
                    step: gate.step,
                    attempt: gate.attempt,
                    section: gate.section,
                    lapses: now.plus(PERMIT_LIFE),
                    rests_on,
                };
                std::iter::once(given).chain(used).collect()
            }
            Self::Degraded {
                rollout,
                target,
                why,
            } => vec![Record::Degraded {
                rollout,
                target,
                why,
            }],
            Self::Unknown { target, generation } => {
                vec![Record::WentUnknown { target, generation }]
            }
            Self::Away {
                rollout,
                target,
                since,
            } => vec![Record::Away {
                rollout,
                target,
                since,
            }],
            Self::PassedOver {
                rollout,
                target,
                away,
            } => vec![Record::PassedOver {
                rollout,
                target,
                away,
            }],
        }
    }
}

/// What overrides let through.
fn used(
    target: &TargetId,
    rules: &BTreeSet<Rule>,
    (generation, used): (Generation, Used),
) -> Vec<Record> {
    let of = |rule: &Rule| Record::OverrideUsed {
        rule: *rule,
        target: target.clone(),
        generation,
        used,
    };
    rules.iter().map(of).collect()
}
