//! The limits on pace and failure as a log tells them: each bundle and each leave is held against what stood at that instant, and
//! whatever was aborted must come to its end. Guard rails are asked beside it ([`crate::Rails`]).

use controller_core::fleet::{Fleet, Rollout, RolloutState, Work};
use controller_core::overrides::Rule;
use controller_core::plan::{Plan, TargetPlan};
use controller_core::record::Record;
use protocol::event::Event;
use protocol::step::Step;
use protocol::{Generation, RolloutId, StepIndex, TargetId, Timestamp};
use std::collections::BTreeSet;

use crate::aside::Aside;

/// How often each limit was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Paced {
    /// Servers under way at once, as one more begins.
    pub in_flight: u64,
    /// The same of a site that has a limit, in whatever rollout.
    pub at_site: u64,
    /// Failures, with those under way, as one more begins.
    pub failures: u64,
    /// The hours of a site, at each bundle that changes something and at each leave.
    pub windows: u64,
    /// Freezes of a server and of the fleet, at each bundle and each leave.
    pub freezes: u64,
    /// Pauses and aborts, at each bundle and each leave.
    pub orders: u64,
    /// Aborts, as all is over.
    pub aborts: u64,
    /// The preflight that opens a bundle, at each step behind it (G8).
    pub g8: u64,
}

impl Paced {
    /// Adds what another log was asked.
    pub const fn add(&mut self, other: Self) {
        self.in_flight += other.in_flight;
        self.at_site += other.at_site;
        self.failures += other.failures;
        self.windows += other.windows;
        self.freezes += other.freezes;
        self.orders += other.orders;
        self.aborts += other.aborts;
        self.g8 += other.g8;
    }

    /// Each limit by its name.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 8] {
        [
            ("in_flight", self.in_flight),
            ("in_flight of a site", self.at_site),
            ("failures", self.failures),
            ("windows", self.windows),
            ("freezes", self.freezes),
            ("pause and abort", self.orders),
            ("an abort ends", self.aborts),
            ("G8", self.g8),
        ]
    }
}

/// What a log has told so far.
#[derive(Debug, Clone, Default)]
pub struct Pace {
    /// How often each limit was asked.
    pub asked: Paced,
    aside: Aside,
    completed: BTreeSet<(TargetId, Generation, StepIndex)>,
}

/// It counts in limits: whoever only reads is bound by none.
fn bound(plan: &Plan, target: &TargetId) -> bool {
    let part = plan.targets.get(target);
    part.is_some_and(|part| !part.is_read_only())
}

/// Who of a rollout is under way and counts.
fn under_way(rollout: &Rollout) -> impl Iterator<Item = &TargetId> {
    let begun = rollout.work.iter();
    let begun = begun.filter(|(_, work)| work.is_in_flight());
    begun
        .map(|(target, _)| target)
        .filter(|target| bound(&rollout.plan, target))
}

impl Pace {
    /// Takes up the next entry. `fleet` is the fold of those before it.
    ///
    /// # Errors
    /// With the limit that it breaks.
    pub fn stored(&mut self, fleet: &Fleet, record: &Record, at: Timestamp) -> Result<(), String> {
        if let Record::BundleIssued {
            rollout, target, ..
        } = record
        {
            self.goes_on(fleet, (*rollout, target), at)?;
            return self.issues(fleet, (*rollout, target), at);
        } else if let Record::PermitGiven {
            target, generation, ..
        } = record
        {
            let open = fleet.open(target);
            let open = open.filter(|open| open.generation == *generation);
            let Some(open) = open else {
                return Err(format!(
                    "{target} has leave for {generation}, which is not open"
                ));
            };
            return self.goes_on(fleet, (open.rollout, target), at);
        } else if let Record::OverrideSaid {
            rule,
            target,
            by,
            asked,
            ..
        } = record
        {
            self.aside.said((target, *rule), (by, *asked), at);
        } else if let Record::OverrideWithdrawn { rule, target, .. } = record {
            self.aside.withdrawn(target, *rule);
        } else if let Record::AgentRevoked { target, .. } | Record::AgentReplaced { target, .. } =
            record
        {
            self.aside.forget(target);
        } else if let Record::Restored { .. } = record {
            self.aside.clear();
        } else if let Record::TargetEvent { target, body, .. } = record
            && let Some(event) = Event::from_body(body.as_bytes())
        {
            return self.told(fleet, target, &event);
        }
        Ok(())
    }

    /// Nothing that may be ordered or set keeps it where it is.
    fn goes_on(
        &mut self,
        fleet: &Fleet,
        (id, target): (RolloutId, &TargetId),
        at: Timestamp,
    ) -> Result<(), String> {
        let state = fleet.rollouts().get(&id).map(|rollout| rollout.state);
        self.asked.orders += 1;
        if state != Some(RolloutState::Running) {
            return Err(format!("{target} goes on in {id}, which is {state:?}"));
        }
        self.asked.freezes += 1;
        if fleet.stopped().is_some() {
            return Err(format!(
                "{target} goes on in {id} while the fleet is frozen"
            ));
        }
        let freeze = fleet.freeze_of(target).filter(|freeze| at < freeze.until);
        if let Some(freeze) = freeze {
            return Err(format!(
                "{target} goes on in {id} and is frozen until {}",
                freeze.until
            ));
        }
        Ok(())
    }

    /// A bundle that changes something goes out: its site is open, and if it begins there is a place for it.
    fn issues(
        &mut self,
        fleet: &Fleet,
        (id, target): (RolloutId, &TargetId),
        at: Timestamp,
    ) -> Result<(), String> {
        let rollout = fleet.rollouts().get(&id);
        let Some((rollout, work)) = rollout.and_then(|one| Some((one, one.work.get(target)?)))
        else {
            return Err(format!(
                "{target} is given a bundle of {id}, and is not in it"
            ));
        };
        let plan = &rollout.plan;
        if !bound(plan, target) {
            return Ok(());
        }
        let site = plan.site_of(target);
        let open = plan.needs_open_site(target, work.phase);
        if let Some((site, rule)) =
            site.filter(|_| open && !self.aside.holds(target, Rule::Window, at))
        {
            self.asked.windows += 1;
            if let Some(closed) = rule.closed(at) {
                return Err(format!("{target} is given work at {site}: {}", closed.why));
            }
        }
        if work.holds_a_place() {
            return Ok(());
        }
        let limits = &plan.limits;
        let begun = under_way(rollout).filter(|other| *other != target).count() + 1;
        self.asked.in_flight += 1;
        if begun > limits.in_flight as usize {
            return Err(format!(
                "in_flight: {begun} of {} are under way in {id} with {target}",
                limits.in_flight
            ));
        }
        let bad = |work: &Work| work.state.is_bad() || work.is_passed_over();
        let others = rollout.work.iter();
        let others = others.filter(|(other, _)| *other != target && bound(plan, other));
        let failed = others.filter(|(_, work)| bad(work)).count();
        self.asked.failures += 1;
        if begun + failed > limits.failures as usize {
            return Err(format!(
                "failures: {begun} under way in {id} with {target} and {failed} failed, of {}",
                limits.failures
            ));
        }
        let most = site.and_then(|(site, rule)| Some((site, rule.max_in_flight?)));
        if let Some((site, most)) = most {
            let at_site = |one: &Rollout| {
                let there = |other: &&TargetId| {
                    let is = one.plan.site_of(other);
                    is.is_some_and(|(name, _)| name == site) && *other != target
                };
                under_way(one).filter(there).count()
            };
            let active = fleet.active().filter(|(_, one)| one.plan.kind.changes());
            let there: usize = active.map(|(_, one)| at_site(one)).sum();
            self.asked.at_site += 1;
            if there + 1 > most as usize {
                return Err(format!(
                    "in_flight of site {site}: {} of {most} with {target}",
                    there + 1
                ));
            }
        }
        Ok(())
    }

    /// A step that changes something is begun behind the preflight that opens its bundle, where one does (G8).
    fn told(&mut self, fleet: &Fleet, target: &TargetId, event: &Event) -> Result<(), String> {
        if let Event::StepCompleted {
            generation, step, ..
        } = event
        {
            let key = (target.clone(), *generation, *step);
            self.completed.insert(key);
            return Ok(());
        }
        let Event::StepBegun {
            generation, step, ..
        } = event
        else {
            return Ok(());
        };
        let open = fleet.open(target);
        let open = open.filter(|open| open.generation == *generation);
        let phase = open.and_then(|open| {
            let rollout = fleet.rollouts().get(&open.rollout)?;
            let part: &TargetPlan = rollout.plan.targets.get(target)?;
            part.phases.get(rollout.work.get(target)?.phase)
        });
        let opens = phase.and_then(|phase| phase.steps.first());
        if *step == StepIndex(0) || !matches!(opens, Some(Step::Preflight(_))) {
            return Ok(());
        }
        self.asked.g8 += 1;
        let key = (target.clone(), *generation, StepIndex(0));
        if self.completed.contains(&key) {
            return Ok(());
        }
        Err(format!(
            "G8: {target} begins step {step} of run {generation}, and its preflight has not passed"
        ))
    }

    /// Where all is over: whatever was aborted is at its end.
    ///
    /// # Errors
    /// With a rollout that was aborted and is not over.
    pub fn ends(&mut self, fleet: &Fleet) -> Result<(), String> {
        for (id, rollout) in fleet.rollouts() {
            if rollout.state == RolloutState::Aborted {
                self.asked.aborts += 1;
                if !rollout.is_over() {
                    return Err(format!("{id} was aborted and does not end"));
                }
            }
        }
        Ok(())
    }
}
