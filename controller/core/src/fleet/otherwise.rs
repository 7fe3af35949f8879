//! A server that is not what its plan took it to be, before anything of that plan has begun on it: what differs, and whether the
//! plan may be carried out all the same.

use protocol::facts::Facts;
use protocol::signed::Ending;
use protocol::step::{Product, Step};
use protocol::{Digest, RolloutId, TargetId};

use crate::fleet::hold::{Cause, Hold, because};
use crate::fleet::state::{Fleet, Open, Rollout, TargetState, VersionsLeft, Work};
use crate::plan::TargetPlan;

/// How a server differs from what its plan read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Otherwise {
    /// What the plan read, where it was told here.
    planned: Option<Box<Facts>>,
    /// What differs, in words; empty where the plan's reading is not known here.
    what: String,
    /// A product has upgraded itself to what is wanted or beyond it, and nothing else differs: what is left of the plan finds that
    /// done, and verifies it.
    suits: bool,
}

impl Otherwise {
    fn of(part: &TargetPlan, planned: Option<Box<Facts>>, is: &Facts) -> Self {
        let what = planned.as_ref().map(|was| differences(was, is).join(", "));
        let suits = planned.as_ref().is_some_and(|was| outgrown(part, was, is));
        Self {
            what: what.unwrap_or_default(),
            suits,
            planned,
        }
    }
}

impl Work {
    /// The server differs from what the plan read, and nothing has begun on it that could have made it so.
    fn differs(&self) -> Option<&Otherwise> {
        let otherwise = self.otherwise.as_ref();
        otherwise.filter(|_| !self.has_begun() && !self.tried)
    }

    /// Nothing more is offered to it by this plan: nobody waits for it.
    #[must_use]
    pub(crate) fn wants_a_new_plan(&self) -> bool {
        let differs = self.differs().is_some_and(|one| !one.suits);
        differs && self.state == TargetState::Pending
    }
}

/// Nothing but versions differs, each has risen, and each is as new as the plan's own proof wants it.
fn outgrown(part: &TargetPlan, was: &Facts, is: &Facts) -> bool {
    let mut alike = was.clone();
    if let (Some(was), Some(is)) = (&mut alike.provisioning_agent, &is.provisioning_agent) {
        was.version = is.version;
    }
    if let (Some(was), Some(is)) = (&mut alike.connect, &is.connect) {
        was.version = is.version;
    }
    if alike.essence() != is.essence() {
        return false;
    }
    let (was, is) = (VersionsLeft::of(was), VersionsLeft::of(is));
    let rises = |product| {
        let (was, is) = (was.of_product(product), is.of_product(product));
        was == is || was.is_some() && is > was
    };
    let proves = |step: &Step| {
        if let Step::VerifyProvisioningAgent(verify) = step {
            is.provisioning_agent >= Some(verify.at_least)
        } else if let Step::VerifyConnect(verify) = step {
            is.connect >= Some(verify.at_least)
        } else {
            true
        }
    };
    let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
    [Product::ProvisioningAgent, Product::Connect]
        .into_iter()
        .all(rises)
        && steps.all(proves)
}

/// What of the lasting part of two facts differs, each a fragment of a sentence.
fn differences(was: &Facts, is: &Facts) -> Vec<String> {
    fn shown<T: std::fmt::Display>(value: Option<T>) -> String {
        value.map_or_else(|| "not told".to_owned(), |value| value.to_string())
    }
    let there = |there: bool| if there { "there" } else { "absent" }.to_owned();
    let mode = |staging: bool| if staging { "staging" } else { "active" };
    let build = |facts: &Facts| facts.host.build.to_string();
    let mut pairs = vec![
        ("the build of Windows", build(was), build(is)),
        (
            "its domain",
            shown(was.host.domain.as_ref()),
            shown(is.host.domain.as_ref()),
        ),
    ];
    let mut found = Vec::new();
    match (&was.provisioning_agent, &is.provisioning_agent) {
        (Some(was), Some(is)) => {
            let version = "the version of its provisioning agent";
            pairs.push((version, shown(was.version), shown(is.version)));
            let (old, new) = (was.tenant.as_ref(), is.tenant.as_ref());
            pairs.push(("the tenant of that agent", shown(old), shown(new)));
            let (old, new) = (was.account.as_ref(), is.account.as_ref());
            pairs.push(("the account of that agent", shown(old), shown(new)));
            if was.options != is.options {
                found.push("options of that agent's service differ".to_owned());
            }
        }
        (was, is) => pairs.push((
            "its provisioning agent",
            there(was.is_some()),
            there(is.is_some()),
        )),
    }
    match (&was.connect, &is.connect) {
        (Some(was), Some(is)) => {
            let version = "the version of its Connect";
            pairs.push((version, shown(was.version), shown(is.version)));
            let (old, new) = (was.staging.map(mode), is.staging.map(mode));
            pairs.push(("the mode of its Connect", shown(old), shown(new)));
        }
        (was, is) => pairs.push(("its Connect", there(was.is_some()), there(is.is_some()))),
    }
    if was.unread.len() != is.unread.len() {
        let first = is.unread.first().map(|why| format!(": {why}"));
        let first = first.unwrap_or_default();
        found.push(format!("what could not be read of it differs{first}"));
    }
    let pairs = pairs.into_iter().filter(|(_, was, is)| was != is);
    let mut all: Vec<String> = pairs
        .map(|(what, was, is)| format!("{what} is {is} and was {was}"))
        .collect();
    all.extend(found);
    all
}

impl Fleet {
    /// The essence of the facts that a target's next bundle must find, for that phase of its part; `None` where it rests on nothing.
    ///
    /// What begins must find what the plan read; what goes on, or is tried again, finds what it has made itself. A product that has
    /// upgraded itself since to what was wanted is found as it is.
    pub(super) fn assumes(&self, id: RolloutId, target: &TargetId, phase: usize) -> Option<Digest> {
        let rollout = self.rollouts.get(&id)?;
        let part = rollout.plan.targets.get(target)?;
        let planned = part.essence?;
        if part.phases.get(phase)?.is_read_only() {
            return None;
        }
        let work = rollout.work.get(target);
        let begun = work.is_some_and(|work| work.has_begun() || work.tried);
        let suits = work.and_then(Work::differs).is_some_and(|one| one.suits);
        if !begun && !suits {
            return Some(planned);
        }
        self.essence_of(target)
    }

    fn essence_of(&self, target: &TargetId) -> Option<Digest> {
        let known = self.known.get(target)?;
        known.facts.as_ref().map(|(_, facts)| facts.essence())
    }

    /// Holds what a server tells of itself against what the plans that have not begun on it took it to be. To be called with what it
    /// told before.
    pub(super) fn taken_otherwise(
        &mut self,
        target: &TargetId,
        before: Option<&Facts>,
        is: &Facts,
    ) {
        for id in self.active.clone() {
            self.compare(id, target, before, is);
        }
    }

    /// The same for one that is tried again: whatever it told meanwhile.
    pub(super) fn compare_again(&mut self, id: RolloutId, target: &TargetId) {
        let known = self.known.get(target).and_then(|known| known.facts.clone());
        if let Some((_, is)) = known {
            self.compare(id, target, None, &is);
        }
    }

    fn compare(&mut self, id: RolloutId, target: &TargetId, before: Option<&Facts>, is: &Facts) {
        let Some(rollout) = self.rollouts.get_mut(&id) else {
            return;
        };
        let part = rollout.plan.targets.get(target);
        let Some((part, planned)) = part.and_then(|part| Some((part, part.essence?))) else {
            return;
        };
        let Some(work) = rollout.work.get(target) else {
            return;
        };
        if work.has_begun() || work.tried {
            return;
        }
        let otherwise = (is.essence() != planned).then(|| {
            let known = work.otherwise.as_ref();
            let known = known.and_then(|otherwise| otherwise.planned.clone());
            let read = || before.filter(|before| before.essence() == planned);
            let planned = known.or_else(|| read().map(|facts| Box::new(facts.clone())));
            Otherwise::of(part, planned, is)
        });
        if otherwise != work.otherwise {
            rollout
                .work
                .change(target, |work| work.otherwise = otherwise);
        }
    }

    /// Its server is not what the plan took it to be: the plan is for another state, and nothing of it is begun there.
    pub(super) fn planned_otherwise(
        &self,
        (id, rollout): (RolloutId, &Rollout),
        target: &TargetId,
        (part, work): (&TargetPlan, &Work),
    ) -> Option<Hold> {
        let differs = work.differs().filter(|one| !one.suits)?;
        if part.phases.get(work.phase)?.is_read_only() {
            return None;
        }
        let what = if differs.what.is_empty() {
            String::new()
        } else {
            format!(": {}", differs.what)
        };
        let mut waits = rollout.plan.waits.iter();
        let together = waits.any(|wait| wait.target == *target || wait.other == *target);
        let order = if together {
            format!(
                "entrain abort {id}, since others of it wait for this one, and a new plan by the same verb lift it"
            )
        } else {
            format!(
                "entrain skip {id} {target} --reason WHY leaves it out here, and a new plan with its apply takes it up as it is now"
            )
        };
        because(
            Cause::PlannedOtherwise,
            format!("it is no longer what the plan took it to be{what}; {order}"),
        )
    }

    /// A run has ended before its first step since it found something else than its bundle assumes, which its server has told by
    /// now: no failure. Whoever told nothing new has failed.
    pub(super) fn found_otherwise(&self, target: &TargetId, open: &Open, ending: &Ending) -> bool {
        let rollout = self.rollouts.get(&open.rollout);
        let work = rollout.and_then(|rollout| rollout.work.get(target));
        let before = work.is_some_and(|work| work.state == TargetState::Offered);
        let differs = work.and_then(Work::differs);
        let since = differs.is_some_and(|one| one.planned.is_some());
        let new = || since && open.assumed.is_some() && self.essence_of(target) != open.assumed;
        before && open.accepted && matches!(ending, Ending::Failed(_)) && new()
    }

    /// A bundle that was never taken up is made anew where it would carry something else by now: its agent would find that otherwise.
    pub(super) fn is_stale(&self, target: &TargetId, open: &Open) -> bool {
        let rollout = self.rollouts.get(&open.rollout);
        let work = rollout.and_then(|rollout| rollout.work.get(target));
        work.is_some_and(|work| {
            let held = work.differs().is_some_and(|one| !one.suits);
            open.assumed.is_some() && held
                || self.assumes(open.rollout, target, work.phase) != open.assumed
        })
    }
}
