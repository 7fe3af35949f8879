//! Overrides in the fleet: whether one may be said, what it lets through, and what of it a bundle carries. A rule that is
//! overridden is asked all the same, so that what was let through is known.

use std::collections::BTreeSet;

use protocol::step::Step;
use protocol::{TargetId, Timestamp, limits};

use crate::fleet::hold::Hold;
use crate::fleet::state::{Fleet, Rollout, RolloutState, Work};
use crate::overrides::{OverrideView, Rule, Standing};
use crate::plan::TargetPlan;
use crate::recipe::PhaseWork;

/// What an operator's word on an override comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Saying {
    /// It is new, and is to be recorded.
    New,
    /// It stands already, as this sentence says: nothing is recorded.
    Before(String),
}

/// An override as it is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Asking<'a> {
    /// Which rule.
    pub rule: Rule,
    /// On which target.
    pub target: &'a TargetId,
    /// Who asks.
    pub by: &'a str,
    /// Why.
    pub reason: &'a str,
    /// Change number.
    pub change: &'a str,
}

/// The rules that were overridden on the way to a decision.
pub(crate) type Passed = BTreeSet<Rule>;

/// The rule that a step asks at the agent, where it may be overridden.
const fn rule_of(step: &Step) -> Option<Rule> {
    if let Step::Preflight(_) = step {
        Some(Rule::G8)
    } else if let Step::ReviewConnectExports(_) = step {
        Some(Rule::G4)
    } else {
        None
    }
}

/// The rules that the steps of a phase ask at the agent. A phase that only asks whether a server is ready is answered as it
/// is: nothing would be let through by it.
fn asked_by(work: &PhaseWork) -> Passed {
    let rules = work.steps.iter().filter_map(rule_of);
    rules
        .filter(|rule| *rule != Rule::G8 || !work.is_read_only())
        .collect()
}

impl Fleet {
    /// Lets what a rule holds pass where it is overridden on that target, and notes that it did. What is only half said holds,
    /// and says so.
    pub(crate) fn let_pass(
        &self,
        rule: Rule,
        hold: Option<Hold>,
        target: &TargetId,
        now: Timestamp,
        passed: &mut Passed,
    ) -> Result<(), Hold> {
        let Some(mut hold) = hold else {
            return Ok(());
        };
        if self.overrides.is_in_force(target, rule, now) {
            passed.insert(rule);
            return Ok(());
        }
        let view = self.overrides.view_of(target, rule, now);
        if let Some(view) = view.filter(|view| view.standing == Standing::HalfSaid) {
            hold.why.push_str("; ");
            hold.why.push_str(&view.sentence());
        }
        Err(hold)
    }

    /// The rules of a phase that its bundle carries as overridden, if it is made now.
    pub(crate) fn carries(&self, target: &TargetId, work: &PhaseWork, now: Timestamp) -> Passed {
        let in_force = |rule: &Rule| self.overrides.is_in_force(target, *rule, now);
        asked_by(work).into_iter().filter(in_force).collect()
    }

    /// The steps of a phase, with what is overridden of them.
    pub(crate) fn steps(&self, target: &TargetId, work: &PhaseWork, now: Timestamp) -> Vec<Step> {
        let carries = self.carries(target, work, now);
        let mut steps = work.steps.clone();
        for step in &mut steps {
            let rule = rule_of(step).filter(|rule| carries.contains(rule));
            if let (Some(rule), Some(slot)) = (rule, step.overridden_mut()) {
                *slot = self.overrides.carried(target, rule, now);
            }
        }
        steps
    }

    /// Tells whether an override may be said.
    ///
    /// # Errors
    /// With the reason, when it may not.
    pub fn may_override(&self, asking: Asking<'_>, now: Timestamp) -> Result<Saying, String> {
        let Asking {
            rule,
            target,
            by,
            reason,
            change,
        } = asking;
        for (word, what) in [(reason, "--reason WHY"), (change, "--change CHANGE")] {
            if word.trim().is_empty() {
                return Err(format!("an override is recorded with {what}: give it"));
            }
            if word.chars().any(char::is_control) {
                return Err(format!("{what} is one line of plain text"));
            }
            if word.chars().count() > limits::MAX_OVERRIDE_CHARS {
                return Err(format!(
                    "{what} is shown in every view: at most {} characters",
                    limits::MAX_OVERRIDE_CHARS
                ));
            }
        }
        if !self.known.contains_key(target) {
            return Err(format!(
                "{target} is not enrolled: there is nothing to override on it"
            ));
        }
        self.holds_something(rule, target)?;
        let view = self.override_of(rule, target, now);
        let Some(view) = view else {
            return Ok(Saying::New);
        };
        match view.standing {
            Standing::InForce => Ok(Saying::Before(format!(
                "{}; another word makes it no longer",
                view.sentence()
            ))),
            Standing::HalfSaid if view.by.iter().any(|said| said == by) => {
                Ok(Saying::Before(view.sentence()))
            }
            // Two who say it for different changes do not say the same.
            Standing::HalfSaid if view.change != change => Err(format!(
                "{} have said so for {}: say it for the same change, or withdraw theirs first",
                view.by.join(" and "),
                view.change
            )),
            Standing::HalfSaid | Standing::Over | Standing::Withdrawn => Ok(Saying::New),
        }
    }

    /// Tells whether there is anything to withdraw.
    ///
    /// # Errors
    /// With the reason, when there is not.
    pub fn may_withdraw_override(
        &self,
        rule: Rule,
        target: &TargetId,
        now: Timestamp,
    ) -> Result<(), String> {
        let view = self.override_of(rule, target, now);
        let stands = view
            .is_some_and(|view| matches!(view.standing, Standing::HalfSaid | Standing::InForce));
        if stands {
            return Ok(());
        }
        Err(format!(
            "{rule} on {target} is not overridden: there is nothing to withdraw"
        ))
    }

    /// The newest override of a rule on a target.
    #[must_use]
    pub fn override_of(
        &self,
        rule: Rule,
        target: &TargetId,
        now: Timestamp,
    ) -> Option<OverrideView> {
        self.overrides.view_of(target, rule, now)
    }

    /// Overrides that are in force or half said.
    #[must_use]
    pub fn overrides(&self, now: Timestamp) -> Vec<OverrideView> {
        let stands =
            |view: &OverrideView| matches!(view.standing, Standing::HalfSaid | Standing::InForce);
        self.overrides.views(now).filter(stands).collect()
    }

    /// Overrides of a target: those that stand, and those that let something through.
    pub(crate) fn overrides_of(&self, target: &TargetId, now: Timestamp) -> Vec<OverrideView> {
        let shown = |view: &OverrideView| {
            let stands = matches!(view.standing, Standing::HalfSaid | Standing::InForce);
            stands || !view.used.is_empty()
        };
        self.overrides.views_of(target, now).filter(shown).collect()
    }

    /// Some rollout has work left on the target that the rule may hold.
    fn holds_something(&self, rule: Rule, target: &TargetId) -> Result<(), String> {
        let mut left = None;
        for (id, rollout) in &self.rollouts {
            let Some((part, work)) = work_left(rollout, target) else {
                continue;
            };
            left = Some(id);
            let mut phases = part.phases.iter().skip(work.phase);
            let holds = match rule {
                Rule::G1 => (work.phase..part.phases.len()).any(|at| part.claims_active(at)),
                Rule::G2 => !self.domains_of(target).is_empty(),
                // Which steps change a gMSA object is the agent's to know.
                Rule::G3 => true,
                Rule::G7 => phases.any(|phase| {
                    let read = &self.beyond.suffixes;
                    rollout.plan.shares(read, &part.tenant, phase)
                }),
                Rule::G4 | Rule::G8 => phases.any(|phase| asked_by(phase).contains(&rule)),
                Rule::Window => rollout.plan.site_of(target).is_some(),
            };
            if holds {
                return Ok(());
            }
        }
        Err(match left {
            Some(id) => format!("nothing that {id} has left to do on {target} is held by {rule}"),
            None => format!(
                "no rollout has work left on {target}: what an override lets through is applied first, and waits for it"
            ),
        })
    }
}

/// What a rollout still has to do on a target, also after a failure.
fn work_left<'a>(rollout: &'a Rollout, target: &TargetId) -> Option<(&'a TargetPlan, &'a Work)> {
    let part = rollout.plan.targets.get(target)?;
    let work = rollout.work.get(target)?;
    let goes_on = rollout.state != RolloutState::Aborted && !work.state.is_settled();
    goes_on.then_some((part, work))
}
