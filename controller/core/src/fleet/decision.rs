//! What the fleet machine wants done.

use std::collections::BTreeSet;

use protocol::event::GmsaChange;
use protocol::{Generation, RolloutId, TargetId, Timestamp};

use crate::fleet::state::Gate;
use crate::overrides::Rule;

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
