//! What the log has of one change number, found as the log is read from its first entry.

use std::collections::BTreeSet;

use protocol::event::Event;
use protocol::{Generation, RolloutId, TargetId};

use crate::record::Record;

/// The trail of one change number.
#[derive(Debug)]
pub struct Trail {
    change: String,
    rollouts: BTreeSet<RolloutId>,
    runs: BTreeSet<(TargetId, Generation)>,
}

impl Trail {
    /// Of that number.
    #[must_use]
    pub const fn of(change: String) -> Self {
        Self {
            change,
            rollouts: BTreeSet::new(),
            runs: BTreeSet::new(),
        }
    }

    /// Tells whether the next entry of the log belongs to it: its rollouts, what was ordered of them, their bundles, what was let
    /// go and told in the runs of those, and rules that were set aside under that number.
    pub fn has(&mut self, record: &Record) -> bool {
        match record {
            Record::Applied {
                rollout, change, ..
            } => {
                let own = change.as_ref() == Some(&self.change);
                if own {
                    self.rollouts.insert(*rollout);
                }
                own
            }
            Record::BundleIssued {
                rollout,
                target,
                generation,
                ..
            } => {
                let own = self.rollouts.contains(rollout);
                if own {
                    self.runs.insert((target.clone(), *generation));
                }
                own
            }
            Record::Ordered { rollout, .. }
            | Record::Away { rollout, .. }
            | Record::PassedOver { rollout, .. }
            | Record::Degraded { rollout, .. } => self.rollouts.contains(rollout),
            Record::PermitGiven {
                target, generation, ..
            }
            | Record::WentUnknown { target, generation }
            | Record::Withdrawn { target, generation }
            | Record::Attested {
                target, generation, ..
            }
            | Record::OverrideUsed {
                target, generation, ..
            } => self.runs.contains(&(target.clone(), *generation)),
            Record::OverrideSaid { change, .. } => *change == self.change,
            Record::TargetEvent { target, body, .. } => {
                let event = Event::from_body(body.as_bytes());
                let generation = event.and_then(|event| event.generation());
                generation.is_some_and(|of| self.runs.contains(&(target.clone(), of)))
            }
            Record::Begun { .. }
            | Record::Restored { .. }
            | Record::Met { .. }
            | Record::FleetFrozen { .. }
            | Record::FleetThawed { .. }
            | Record::OverrideWithdrawn { .. }
            | Record::TenantSeen { .. }
            | Record::DirectoryAnswered { .. }
            | Record::TokenCreated { .. }
            | Record::JoinAsked { .. }
            | Record::JoinApproved { .. }
            | Record::AgentEnrolled { .. }
            | Record::CertificateIssued { .. }
            | Record::AgentRevoked { .. }
            | Record::AgentReplaced { .. }
            | Record::SaidOff { .. }
            | Record::ArtifactAdded { .. }
            | Record::ReleaseAdded { .. }
            | Record::ReleaseWithdrawn { .. }
            | Record::AgentSeen { .. }
            | Record::AgentDoubted { .. }
            | Record::PlanStored { .. } => false,
        }
    }
}
