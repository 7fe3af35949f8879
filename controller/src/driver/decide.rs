//! What the core decides is carried out: recorded, signed where it is an offer, and said once it is stored.

use std::sync::Arc;
use std::time::Duration;

use controller_core::fleet::{Decision, PERMIT_LIFE};
use protocol::signed::Manifest;
use protocol::wire::latest::ControlDown;
use protocol::{BundleId, Digest, TargetId, Timestamp};
use tokio::time::Instant;

use crate::driver::{Batch, Core};

impl Core {
    /// Asks the machine what may be done, until it wants nothing more.
    pub(super) fn decide(&mut self, batch: &mut Batch) {
        loop {
            let decisions = self.fleet.decide(&self.live, batch.now);
            let before = batch.entries.len();
            for decision in decisions {
                self.carries_out(batch, decision);
            }
            // A decision that comes to nothing would come again for ever.
            if batch.entries.len() == before {
                return;
            }
        }
    }

    /// Records a decision, and says what it has to say once that is stored.
    fn carries_out(&mut self, batch: &mut Batch, decision: Decision) {
        let signed = self.signs(&decision, batch.now);
        let bundle = signed.as_ref().map(|(manifest, bytes)| {
            let bundle = BundleId(Digest::of(bytes));
            (manifest, bundle)
        });
        for record in decision.records(bundle, batch.now) {
            self.record(batch, record);
        }
        if let Some((manifest, bytes)) = signed {
            batch.keep(bytes.clone());
            let sessions = Arc::clone(&self.sessions);
            batch.then(move |stored| {
                if stored.is_ok() {
                    sessions.offer(&manifest.target, bytes);
                }
            });
        }
        if let Decision::Permit {
            target,
            gate,
            after,
            ..
        } = decision
        {
            self.gives_leave(&target, batch.begun);
            let given = ControlDown::PermitGiven {
                generation: gate.generation,
                step: gate.step,
                attempt: gate.attempt,
                lapses_millis: u64::try_from(PERMIT_LIFE.as_millis()).unwrap_or(u64::MAX),
                after,
            };
            self.say(batch, target, given);
        }
    }

    /// The bundle of an offer and its bytes, signed; `None` of what is no offer, and where nobody is enrolled to whom it could go.
    fn signs(&self, decision: &Decision, now: Timestamp) -> Option<(Manifest, Vec<u8>)> {
        let Decision::Issue {
            rollout,
            target,
            phase,
            ..
        } = decision
        else {
            return None;
        };
        let key = self.roster.agents().get(target)?.key.fingerprint();
        let manifest = self.fleet.manifest(*rollout, target, *phase, key, now)?;
        let bytes = self.authority.sign(&manifest);
        Some((manifest, bytes))
    }

    /// Leave lapses by both clocks: where the wall clock was set ahead, or has gone on while this process stood, its agent may make use of
    /// it all the same.
    pub(super) fn gives_leave(&mut self, target: &TargetId, at: Instant) {
        self.leaves.came(target, at);
        self.live.under_leave.insert(target.clone());
    }

    /// When the next leave lapses by the clock that nobody sets, where somebody may wait for that.
    pub(super) fn leave_lapses(&self) -> Option<Instant> {
        let first = self.leaves.first().filter(|_| self.fleet.is_asked())?;
        Some(first + PERMIT_LIFE + Duration::from_millis(1))
    }
}
