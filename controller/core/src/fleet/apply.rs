//! Whether a plan may be applied just now, by what its operator says of it, and what is recorded when it may. What stands against it is a
//! [`Refusal`]; nothing is refused anywhere else.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::{PlanId, RolloutId, TargetId, Timestamp};

use crate::facts;
use crate::fleet::live::Live;
use crate::fleet::state::Fleet;
use crate::plan::{Kind, Plan, refuses};
use crate::record::Record;
use crate::roster::Roster;
use crate::words::few;

/// How far ahead a rollout may be applied.
const AHEAD: Duration = Duration::from_secs(30 * 24 * 3600);

/// So many servers are named in a refusal.
const NAMED: usize = 5;

/// What an operator says when a plan is applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consent {
    /// Change number.
    pub change: Option<String>,
    /// How many acts that cannot be undone are accepted.
    pub irreversible: u32,
    /// The active Connect server that is off, as they know.
    pub off: Option<TargetId>,
    /// When it begins; at once where it is absent.
    pub not_before: Option<Timestamp>,
}

impl Consent {
    /// What is recorded of a plan that may be applied, in this order: the rollout, and before it the server that is off.
    #[must_use]
    pub fn records(self, rollout: RolloutId, plan: PlanId, by: &str) -> Vec<Record> {
        let by = || by.to_owned();
        let said_off = |target| Record::SaidOff { target, by: by() };
        let mut records: Vec<Record> = self.off.map(said_off).into_iter().collect();
        records.push(Record::Applied {
            rollout,
            plan,
            by: by(),
            change: self.change,
            irreversible: self.irreversible,
            not_before: self.not_before,
        });
        records
    }
}

/// What is known of the moment at which a plan is applied.
#[derive(Clone, Copy)]
pub struct Moment<'a> {
    /// Who is here, and what is known of versions.
    pub live: &'a Live,
    /// Whether a server has a session, also one whose journal is not all here yet.
    pub has_session: &'a dyn Fn(&TargetId) -> bool,
    /// Releases of Entrain's own agent; `None` where nobody withdraws any.
    pub roster: Option<&'a Roster>,
    /// Now.
    pub now: Timestamp,
}

impl std::fmt::Debug for Moment<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Moment")
            .field("now", &self.now)
            .finish_non_exhaustive()
    }
}

/// Why a plan is not applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It was never made here.
    #[error("there is no such plan; `entrain plan` makes one")]
    NoSuchPlan,
    /// Something stands against it as a whole.
    #[error("{}", .0.join("; "))]
    Alarms(Vec<String>),
    /// Nobody has work in it.
    #[error("there is nothing to apply: no server has work in plan {}; `entrain plan` says why of each", .0.0.short())]
    Nothing(PlanId),
    /// The release that it brings agents to is not there, or was withdrawn.
    #[error("{0}")]
    Release(String),
    /// A version that it brings or puts to work is known to be unfit by now (G4, G6), a sentence each.
    #[error("{}", .0.iter().cloned().collect::<Vec<_>>().join("; "))]
    Versions(BTreeSet<String>),
    /// A directory or the tenant names a Connect server that nobody here knows (G1).
    #[error("{0}")]
    Stranger(String),
    /// A tenant asks for a change number.
    #[error("a tenant of this plan asks for a change number: give --change NUMBER")]
    NoChangeNumber,
    /// More is accepted than there is.
    #[error("everything in this plan can be undone: leave --irreversible out")]
    NothingIrreversible,
    /// These cannot be undone, and another number of them is accepted (G10).
    #[error("{} of its acts cannot be undone (G10): {}; whoever wants them gives --irreversible {}", .0.len(), .0.join("; "), .0.len())]
    Irreversible(Vec<String>),
    /// It is to begin at no moment that can be waited for.
    #[error(
        "{0} is in the past, or more than 30 days away: leave --at out, or name a moment within the next 30 days"
    )]
    BeginsNever(Timestamp),
    /// Another server takes the place of one that is off, and that is to wait.
    #[error("an emergency waits for nothing: leave --at out")]
    EmergencyWaits,
    /// It was applied before, and is not over.
    #[error(
        "that plan is {rollout} already, and {rollout} is not over on {target}: entrain watch {rollout}"
    )]
    AppliedBefore {
        /// As which rollout.
        rollout: RolloutId,
        /// The first server on which it is not over.
        target: TargetId,
    },
    /// Another rollout changes one of its servers.
    #[error(
        "{rollout} is not over on {target}, and two works on one server do not go together: wait for its end, skip or resolve {target} there, or abort it"
    )]
    AtWork {
        /// Which.
        rollout: RolloutId,
        /// The first such server.
        target: TargetId,
    },
    /// The server whose place is taken has a session.
    #[error(
        "{0} is connected just now, so it is not off; entrain swap puts it into staging mode first"
    )]
    OffIsHere(TargetId),
    /// Nobody says that the server whose place is taken is off, or somebody says it of another one.
    #[error(
        "by this plan another server becomes active in place of {0}; whoever knows that it is off gives --off {0}"
    )]
    NotSaidOff(TargetId),
    /// It takes nobody's place.
    #[error("this plan takes no server to be off: leave --off out")]
    NobodyIsOff,
    /// It was made of other facts.
    #[error("{} have changed since plan {} was made; plan again", whose(.changed), .plan.0.short())]
    FactsChanged {
        /// Which.
        plan: PlanId,
        /// Whose lasting facts or keys are other ones; empty where they are not, and a server serves other domains.
        changed: Vec<TargetId>,
    },
}

fn whose(changed: &[TargetId]) -> String {
    match changed {
        [] => "the domains that a server serves".to_owned(),
        changed => format!("the facts of {}", few(changed, NAMED)),
    }
}

impl Fleet {
    /// Tells whether a plan may be applied with what its operator says.
    ///
    /// # Errors
    /// With the first reason why not.
    pub fn may_apply(
        &self,
        (id, plan): (PlanId, &Plan),
        consent: &Consent,
        moment: Moment<'_>,
    ) -> Result<(), Refusal> {
        if !plan.alarms.is_empty() {
            return Err(Refusal::Alarms(plan.alarms.clone()));
        }
        if plan.is_empty() && (plan.kind.changes() || plan.kind == Kind::Verify) {
            return Err(Refusal::Nothing(id));
        }
        self.is_fit_by_now(plan, moment)?;
        // So may a Connect server that nobody here knows.
        if let Some(stranger) = self.strangers(plan).into_iter().next() {
            return Err(Refusal::Stranger(stranger));
        }
        agrees(plan, consent, moment.now)?;
        if plan.kind.changes()
            && let Some((rollout, target)) = self.works_on(plan)
        {
            let applied = self.rollouts.get(&rollout);
            return Err(if applied.is_some_and(|rollout| rollout.plan_id == id) {
                Refusal::AppliedBefore { rollout, target }
            } else {
                Refusal::AtWork { rollout, target }
            });
        }
        match (&plan.off, &consent.off) {
            (Some(off), Some(said)) if off == said => {
                if (moment.has_session)(off) {
                    return Err(Refusal::OffIsHere(off.clone()));
                }
            }
            (Some(off), _) => return Err(Refusal::NotSaidOff(off.clone())),
            (None, Some(_)) => return Err(Refusal::NobodyIsOff),
            (None, None) => {}
        }
        self.is_as_it_was_read(id, plan)
    }

    /// What is known of a version may have come after the plan.
    fn is_fit_by_now(&self, plan: &Plan, moment: Moment<'_>) -> Result<(), Refusal> {
        let Moment {
            live, roster, now, ..
        } = moment;
        if let (Some(version), Some(roster)) = (plan.release(), roster) {
            roster.release(Some(version)).map_err(Refusal::Release)?;
        }
        let parts = plan.targets.values();
        let mut refused: BTreeSet<String> =
            parts.filter_map(|part| live.refuses(part, now)).collect();
        if let Some(versions) = &live.versions {
            refused.extend(refuses(plan, &self.known, versions, now));
        }
        if refused.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Versions(refused))
        }
    }

    /// The servers are those that the plan read.
    fn is_as_it_was_read(&self, id: PlanId, plan: &Plan) -> Result<(), Refusal> {
        if facts::digest(&self.known, plan.targets.keys().cloned()) == plan.facts {
            return Ok(());
        }
        let differs = |target: &&TargetId| {
            let part = plan.targets.get(*target);
            let known = self.known.get(*target);
            let essence = known
                .and_then(|known| known.facts.as_ref())
                .map(|(_, facts)| facts.essence());
            part.is_some_and(|part| {
                part.essence != essence || part.key != known.map(|known| known.key)
            })
        };
        let changed = plan.targets.keys().filter(differs).cloned().collect();
        Err(Refusal::FactsChanged { plan: id, changed })
    }
}

/// Its operator gives what the plan asks for, and nothing that it does not.
fn agrees(plan: &Plan, consent: &Consent, now: Timestamp) -> Result<(), Refusal> {
    if plan.change_required && consent.change.is_none() {
        return Err(Refusal::NoChangeNumber);
    }
    let acts = u32::try_from(plan.irreversible.len()).unwrap_or(u32::MAX);
    if acts != consent.irreversible {
        return Err(match acts {
            0 => Refusal::NothingIrreversible,
            _ => Refusal::Irreversible(plan.irreversible.clone()),
        });
    }
    if let Some(at) = consent.not_before {
        if at <= now || at > now.plus(AHEAD) {
            return Err(Refusal::BeginsNever(at));
        }
        if plan.off.is_some() {
            return Err(Refusal::EmergencyWaits);
        }
    }
    Ok(())
}
