//! The guard rails as a log tells them: entry by entry, what was ordered, allowed and done is held against what was known of
//! everybody at that instant. Whoever has a log can ask it: simulations at each entry, stories with real processes when they
//! are over. What only servers know (who truly serves) is asked where servers are models.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::beyond::SuffixesSeen;
use controller_core::fleet::Fleet;
use controller_core::overrides::Rule;
use controller_core::plan::{Plan, TargetPlan};
use controller_core::record::{Order, Record};
use protocol::event::{Completion, Event, Grade, Section};
use protocol::facts::{Facts, ProvisioningAgentFacts};
use protocol::step::{Product, Step};
use protocol::{
    BundleId, Generation, RolloutId, StepIndex, TargetId, TenantId, Timestamp, Version, limits,
};

use crate::aside::Aside;
use crate::since::{Change, Since};

/// Holds G2 against a count: enough others serve each domain of `target` while it is out of service.
///
/// # Errors
/// With the domain that is served by too few.
pub fn enough_serve(
    plan: &Plan,
    target: &TargetId,
    serving: impl Fn(&[TargetId]) -> usize,
) -> Result<(), String> {
    for (domain, part) in &plan.domains {
        let stays = part.servers.contains(target);
        if !stays && !part.leaving.contains(target) {
            continue;
        }
        let mut counted = part.servers.clone();
        // Who goes later still serves while somebody who stays is out.
        if stays {
            counted.extend(part.leaving.iter().cloned());
        }
        let serving = serving(&counted);
        let least = u32::from(!stays && !part.servers.is_empty());
        let minimum = part.min_serving.max(least);
        if serving < minimum as usize {
            return Err(format!(
                "G2: {serving} serve {domain} once {target} is out, {minimum} must"
            ));
        }
    }
    Ok(())
}

/// A stretch that a target has leave for, or is in.
#[derive(Debug, Clone)]
struct Stretch {
    generation: Generation,
    section: Section,
    /// When the leave ends; absent from when it was entered.
    lapses: Option<Timestamp>,
    /// How long its step may take.
    limit: Duration,
    /// A person had said that the server is off before it told of this, or operators let it go by an override: it may be beside
    /// whoever had leave already.
    excused: bool,
}

/// A step of a target's open bundle; none where that is not known.
fn step_of<'a>(
    fleet: &'a Fleet,
    target: &TargetId,
    generation: Generation,
    step: StepIndex,
) -> Option<&'a Step> {
    let open = fleet.open(target);
    let open = open.filter(|open| open.generation == generation)?;
    let rollout = fleet.rollouts().get(&open.rollout)?;
    let phase = rollout.work.get(target)?.phase;
    let phase = rollout.plan.targets.get(target)?.phases.get(phase)?;
    phase.steps.get(usize::from(step.0))
}

/// How long it may take; no time where that is not known.
fn limit_of(fleet: &Fleet, target: &TargetId, generation: Generation, step: StepIndex) -> Duration {
    let step = step_of(fleet, target, generation, step);
    step.map(Step::time_limit).unwrap_or_default()
}

impl Leave {
    /// It was given though others were out, or at the same gMSA.
    fn is_by_override(&self) -> bool {
        self.aside.contains(&Rule::G2) || self.aside.contains(&Rule::G3)
    }
}

impl Stretch {
    /// Leave for what it is in already, in the same run.
    fn covers(&self, generation: Generation, section: &Section) -> bool {
        let gmsa = section.gmsa.is_none() || section.gmsa == self.section.gmsa;
        let same = generation == self.generation && self.lapses.is_none();
        same && gmsa && (self.section.outage || !section.outage)
    }
}

/// A stretch for which nobody waits any more.
#[derive(Debug, Clone)]
struct Unawaited {
    stretch: Stretch,
    /// It lasts until then at most: the end of its bundle, and of the time of its step behind that.
    until: Timestamp,
    /// Its target went unknown, and is heard when it speaks of it.
    unknown: bool,
}

/// Leave, as it was given.
#[derive(Debug, Clone)]
struct Leave {
    lapses: Timestamp,
    /// How long its step may take.
    limit: Duration,
    /// Rules that were set aside at that moment.
    aside: BTreeSet<Rule>,
    /// Who might serve at that moment.
    served: BTreeSet<TargetId>,
}

/// How often each rule was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked {
    /// One active Connect server, at each order that makes one active.
    pub g1: u64,
    /// Enough serve, at each leave for an outage, and as it is entered.
    pub g2: u64,
    /// One change of a gMSA at a time, at each leave, and as the section is entered.
    pub g3: u64,
    /// One run at a time and generations that rise, at each bundle.
    pub g5: u64,
    /// Nothing that was taken back, and no older version than is there, at each bundle and leave of who brings one.
    pub g6: u64,
    /// A domain in both tools whose scopes were read disjoint, at each bundle and leave of who configures one.
    pub g7: u64,
    /// One tenant, at each section that was entered.
    pub g9: u64,
    /// What cannot be undone was accepted, at each bundle and leave of a plan that has such acts, or would have.
    pub g10: u64,
    /// No configuration is at work for a domain whose last agent goes, at each bundle and leave of who goes, where one was read.
    pub g10_at_work: u64,
    /// Synchronization is not switched on unsaid, at each bundle and leave that makes a server active, where its tenant was read.
    pub g10_switched_on: u64,
}

impl Asked {
    /// Adds what another log was asked.
    pub const fn add(&mut self, other: Self) {
        self.g1 += other.g1;
        self.g2 += other.g2;
        self.g3 += other.g3;
        self.g5 += other.g5;
        self.g6 += other.g6;
        self.g7 += other.g7;
        self.g9 += other.g9;
        self.g10 += other.g10;
        self.g10_at_work += other.g10_at_work;
        self.g10_switched_on += other.g10_switched_on;
    }

    /// Each rule by its name.
    #[must_use]
    pub const fn named(&self) -> [(&'static str, u64); 10] {
        [
            ("G1", self.g1),
            ("G2", self.g2),
            ("G3", self.g3),
            ("G5", self.g5),
            ("G6", self.g6),
            ("G7", self.g7),
            ("G9", self.g9),
            ("G10", self.g10),
            ("G10 of a configuration", self.g10_at_work),
            ("G10 of a tenant's switch", self.g10_switched_on),
        ]
    }
}

/// What a log has told so far.
#[derive(Debug, Clone, Default)]
pub struct Rails {
    /// How often each rule was asked.
    pub asked: Asked,
    stretches: BTreeMap<TargetId, Stretch>,
    /// Stretches of runs that were given up, or went unknown: nobody but its agent knows whether it is in it.
    abandoned: BTreeMap<(TargetId, Generation), Unawaited>,
    /// When the newest bundle of each target ends.
    ends: BTreeMap<TargetId, (Generation, Timestamp)>,
    /// Who has told that it entered a section when its leave had lapsed here, and what that breaks where anything was done there: whoever
    /// leaves it with its next word has done nothing.
    late: BTreeMap<TargetId, (Generation, String)>,
    facts: BTreeMap<TargetId, Facts>,
    /// Registered by a step since their facts were told.
    registered: BTreeSet<TargetId>,
    leaves: BTreeMap<(TargetId, Generation, StepIndex), Leave>,
    issued: BTreeMap<TargetId, Generation>,
    accepted: BTreeMap<TargetId, (Generation, BundleId)>,
    completed: BTreeSet<(TargetId, Generation, StepIndex)>,
    /// What operators set aside, whether or not it was made use of.
    aside: Aside,
    /// The newest run of whoever was said to be off, or spoke once all that it had time for was over.
    said_off: BTreeMap<TargetId, Generation>,
    off: BTreeSet<TargetId>,
    /// Runs that this life of a restored log has issued; any other may have got its leave from a former life. Absent where there was
    /// none.
    own: Option<BTreeSet<(TargetId, Generation)>>,
    /// What came to be known since plans were made.
    since: Since,
}

impl Rails {
    /// These versions are taken back from now on, and no others: what is known of versions stands in no log.
    pub fn recalls(&mut self, recalled: BTreeSet<(Product, Version)>) {
        self.since.recalled = recalled;
    }

    /// The same versions as others know of.
    pub fn recalls_as(&mut self, other: &Self) {
        self.since.recalled.clone_from(&other.since.recalled);
    }

    /// Takes up the next entry. `fleet` is the fold of those before it.
    ///
    /// # Errors
    /// With the rule that it breaks.
    pub fn stored(&mut self, fleet: &Fleet, record: &Record, at: Timestamp) -> Result<(), String> {
        for (id, rollout) in fleet.rollouts() {
            if !rollout.work.is_counted_right() {
                return Err(format!("the counts of rollout {id} are wrong"));
            }
        }
        if let Record::BundleIssued {
            rollout,
            target,
            generation,
            expires,
            ..
        } = record
        {
            self.ends.insert(target.clone(), (*generation, *expires));
            if let Some(own) = &mut self.own {
                own.insert((target.clone(), *generation));
            }
            return self.issues(fleet, (*rollout, target, *generation), at);
        }
        if let Record::PermitGiven {
            target,
            generation,
            step,
            section,
            lapses,
            ..
        } = record
        {
            let rules = Rule::ALL.into_iter();
            let plans = fleet.rollouts().values().map(|rollout| &rollout.plan);
            let parts = plans.flat_map(|plan| plan.domains.values());
            let servers = parts.flat_map(|part| part.servers.iter().chain(&part.leaving));
            let limit = limit_of(fleet, target, *generation, *step);
            let leave = Leave {
                lapses: *lapses,
                limit,
                aside: rules
                    .filter(|rule| self.aside.holds(target, *rule, at))
                    .collect(),
                served: servers
                    .filter(|server| self.may_serve(fleet, server))
                    .cloned()
                    .collect(),
            };
            let key = (target.clone(), *generation, *step);
            self.leaves.insert(key, leave.clone());
            let is = self.stretches.get(target);
            if is.is_some_and(|is| is.covers(*generation, section)) {
                return Ok(());
            }
            let stretch = Stretch {
                generation: *generation,
                section: section.clone(),
                lapses: Some(*lapses),
                limit,
                excused: leave.is_by_override(),
            };
            self.stretches.insert(target.clone(), stretch);
            if let Some(open) = fleet.open(target) {
                self.changes(fleet, (open.rollout, target), true, at)?;
            }
            return self.alone(fleet, target, &leave, at);
        }
        if let Record::TargetEvent {
            target,
            body,
            at: told_at,
            ..
        } = record
        {
            let event = Event::from_body(body.as_bytes());
            return event.map_or(Ok(()), |event| {
                self.told(fleet, target, event, (*told_at, at))
            });
        }
        if let Record::OverrideSaid {
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
        } else if let Record::TenantSeen { observation, .. } = record {
            self.since.read(observation);
        } else if let Record::SaidOff { target, .. } = record {
            self.off.insert(target.clone());
            self.abandoned.retain(|(of, _), _| of != target);
        } else if let Record::Restored { .. } = record {
            self.own = Some(BTreeSet::new());
            self.aside.clear();
        } else if let Record::AgentRevoked { target, .. } | Record::AgentReplaced { target, .. } =
            record
        {
            self.forget(target, at);
        } else if let Record::WentUnknown { target, .. } = record {
            self.abandon(target, true, at);
        } else if let Record::Ordered {
            order: Order::Skip { target, .. },
            ..
        } = record
        {
            self.is_heard_no_more(target);
        } else if let Record::Ordered {
            order: Order::Resolve { target, off, .. },
            ..
        } = record
        {
            if !off {
                self.abandon(target, false, at);
                return Ok(());
            }
            self.stretches.remove(target);
            self.abandoned.retain(|(of, _), _| of != target);
            let newest = self.issued.get(target).copied();
            let heard = self.accepted.get(target).map(|(accepted, _)| *accepted);
            if let Some(newest) = newest.max(heard) {
                self.said_off.insert(target.clone(), newest);
            }
        }
        Ok(())
    }

    /// Nobody waits for its run any more, which may go on: a section is brought to its end behind that of its bundle as well, and
    /// leave that was not taken up may be until it lapses.
    fn abandon(&mut self, target: &TargetId, unknown: bool, at: Timestamp) {
        if !unknown {
            self.is_heard_no_more(target);
        }
        let Some(stretch) = self.stretches.remove(target) else {
            return;
        };
        let ends = self.ends.get(target);
        let ends = ends.filter(|(generation, _)| *generation == stretch.generation);
        let begins = stretch.lapses.unwrap_or(at).max(at);
        let until = begins.plus(stretch.limit);
        let until = ends.map_or(until, |(_, expires)| until.max(*expires));
        let key = (target.clone(), stretch.generation);
        let one = Unawaited {
            stretch,
            until,
            unknown,
        };
        self.abandoned.insert(key, one);
    }

    /// Somebody has said what became of the run that it went unknown with.
    fn is_heard_no_more(&mut self, target: &TargetId) {
        let mut all = self.abandoned.iter_mut();
        all.by_ref()
            .filter(|((of, _), _)| of == target)
            .for_each(|(_, one)| one.unknown = false);
    }

    /// It speaks of the run that it went unknown with, and is in its stretch as before. Whoever got leave once all that it had time for
    /// was over could not know of it.
    fn speaks_again(&mut self, target: &TargetId, generation: Generation, at: Timestamp) {
        let key = (target.clone(), generation);
        if !self.abandoned.get(&key).is_some_and(|one| one.unknown) {
            return;
        }
        let Some(one) = self.abandoned.remove(&key) else {
            return;
        };
        let over = at >= one.until;
        if over {
            let newest = self.said_off.entry(target.clone()).or_insert(generation);
            *newest = (*newest).max(generation);
        }
        let excused = one.stretch.excused || over;
        let stretch = Stretch {
            excused,
            ..one.stretch
        };
        self.stretches.insert(target.clone(), stretch);
    }

    /// Whoever comes under this name next is another one.
    fn forget(&mut self, target: &TargetId, at: Timestamp) {
        self.abandon(target, false, at);
        self.facts.remove(target);
        self.since.forget(target);
        self.registered.remove(target);
        self.accepted.remove(target);
        self.aside.forget(target);
        self.completed.retain(|(of, ..)| of != target);
    }

    /// G5 and G1: a bundle goes out.
    fn issues(
        &mut self,
        fleet: &Fleet,
        (rollout, target, generation): (RolloutId, &TargetId, Generation),
        at: Timestamp,
    ) -> Result<(), String> {
        self.changes(fleet, (rollout, target), false, at)?;
        self.asked.g5 += 1;
        if let Some(open) = fleet.open(target) {
            return Err(format!(
                "G5: {target} is given {generation} of rollout {rollout}, and {} of rollout {} is open",
                open.generation, open.rollout
            ));
        }
        let before = self.issued.insert(target.clone(), generation);
        if before.is_some_and(|before| generation <= before) {
            return Err(format!(
                "G5: {target} is given {generation} after {before:?}"
            ));
        }
        let claims = |id: RolloutId, of: &TargetId| -> Option<TenantId> {
            let rollout = fleet.rollouts().get(&id)?;
            let part = rollout.plan.targets.get(of)?;
            let phase = rollout.work.get(of)?.phase;
            // A move to cloud sync leaves whoever is active as it is.
            let makes = part.makes_active() && part.claims_active(phase) && !part.moves();
            makes.then(|| part.tenant.clone())
        };
        let Some(tenant) = claims(rollout, target) else {
            return Ok(());
        };
        if self.aside.holds(target, Rule::G1, at) {
            return Ok(());
        }
        self.asked.g1 += 1;
        for other in self.facts.keys().filter(|other| *other != target) {
            let of = fleet.rollouts().values().rev();
            let part = of.filter_map(|one| one.plan.targets.get(other)).next();
            if part.is_none_or(|part: &TargetPlan| part.tenant != tenant)
                || self.off.contains(other)
            {
                continue;
            }
            let connect = self.facts[other].connect.as_ref();
            if connect.and_then(protocol::facts::ConnectFacts::mode) == Some(false) {
                return Err(format!(
                    "G1: {target} is to become active, and {other} was seen active"
                ));
            }
            let open = fleet.open(other);
            if open.and_then(|open| claims(open.rollout, other)) == Some(tenant.clone()) {
                return Err(format!("G1: {target} and {other} are to become active"));
            }
        }
        Ok(())
    }

    /// G6, G7 and G10, by what is known at this moment: as a bundle goes out that changes something, and as leave is given.
    fn changes(
        &mut self,
        fleet: &Fleet,
        (rollout, target): (RolloutId, &TargetId),
        leave: bool,
        at: Timestamp,
    ) -> Result<(), String> {
        let rollout = fleet.rollouts().get(&rollout);
        let found = rollout.and_then(|rollout| {
            let part = rollout.plan.targets.get(target)?;
            let phase = part.phases.get(rollout.work.get(target)?.phase)?;
            Some((rollout, part, phase))
        });
        let found = found.filter(|(_, _, phase)| leave || !phase.is_read_only());
        let Some((rollout, part, phase)) = found else {
            return Ok(());
        };
        let change = Change {
            rollout,
            target,
            part,
            phase,
            facts: &self.facts,
        };
        self.asked.g6 += self.since.is_fit(change)?;
        self.asked.g10 += self.since.is_accepted(change)?;
        self.asked.g10_at_work += self.since.is_at_rest(change)?;
        self.asked.g10_switched_on += self.since.is_on(change)?;
        if !self.aside.holds(target, Rule::G7, at) {
            self.asked.g7 += self.since.is_in_one_tool(change, at)?;
        }
        Ok(())
    }

    /// Everybody else's stretches, as far as they last. As a section is `entered`, nobody could have known at that moment what was told
    /// since of whoever was said to be off, or was let go by an override.
    fn beside<'a>(
        &'a self,
        target: &'a TargetId,
        at: Timestamp,
        entered: bool,
    ) -> impl Iterator<Item = (&'a TargetId, &'a Section)> {
        let others = self.stretches.iter();
        let last = others.filter(move |(_, one)| {
            let lasts = one.lapses.is_none_or(|lapses| lapses > at);
            lasts && !(entered && one.excused)
        });
        let last = last.map(|(other, one)| (other, &one.section));
        let given_up = self.abandoned.iter();
        let given_up = given_up.filter(move |(_, one)| one.until > at);
        let given_up = given_up.map(|((other, _), one)| (other, &one.stretch.section));
        last.chain(given_up)
            .filter(move |(other, _)| *other != target)
    }

    /// Whether a server may serve, for all that was told of it.
    fn may_serve(&self, fleet: &Fleet, server: &TargetId) -> bool {
        let facts = self.facts.get(server);
        let agent = facts.and_then(|facts| facts.provisioning_agent.as_ref());
        let seen = agent.is_some_and(ProvisioningAgentFacts::serves);
        // In the middle of its run a server may serve by its pulse before any event says so.
        let runs = fleet.open(server).is_some_and(|open| open.accepted);
        seen || runs || self.registered.contains(server)
    }

    /// Nobody else is out where too few would serve, or changes the same gMSA (G2, G3): asked as leave is given, and once more as
    /// the section is entered, when whoever served as it was given counts still unless it went out since.
    fn alone(
        &mut self,
        fleet: &Fleet,
        target: &TargetId,
        leave: &Leave,
        at: Timestamp,
    ) -> Result<(), String> {
        let Some(stretch) = self.stretches.get(target) else {
            return Ok(());
        };
        let (section, entered) = (stretch.section.clone(), stretch.lapses.is_none());
        let object = section.gmsa.as_ref();
        if let Some(object) = object.filter(|_| !leave.aside.contains(&Rule::G3)) {
            self.asked.g3 += 1;
            let mut others = self.beside(target, at, entered);
            let other = others.find(|(_, theirs)| theirs.gmsa.as_ref() == Some(object));
            let other = other.map(|(other, _)| other.clone());
            drop(others);
            if let Some(other) = other {
                return Err(format!("G3: {target} and {other} change one gMSA"));
            }
        }
        if !section.outage || leave.aside.contains(&Rule::G2) {
            return Ok(());
        }
        self.asked.g2 += 1;
        let others = self.beside(target, at, entered);
        let out = others.filter(|(_, theirs)| theirs.outage);
        let out: BTreeSet<&TargetId> = out.map(|(other, _)| other).collect();
        let serves = |server: &&TargetId| {
            let may = leave.served.contains(*server) || self.may_serve(fleet, server);
            may && *server != target && !out.contains(*server)
        };
        // The newest plan that names a domain of it says how many must serve there.
        let plans = fleet.rollouts().values().rev().map(|rollout| &rollout.plan);
        let named = |plan: &&Plan| {
            let mut parts = plan.domains.values();
            parts.any(|part| part.servers.contains(target) || part.leaving.contains(target))
        };
        match plans.filter(|plan| plan.kind.changes()).find(named) {
            Some(plan) => enough_serve(plan, target, |servers| {
                servers.iter().filter(serves).count()
            }),
            None => Ok(()),
        }
    }

    fn told(
        &mut self,
        fleet: &Fleet,
        target: &TargetId,
        event: Event,
        (told_at, at): (Timestamp, Timestamp),
    ) -> Result<(), String> {
        if let Some((entered, why)) = self.late.remove(target) {
            let leaves =
                matches!(event, Event::SectionLeft { generation, .. } if generation == entered);
            if !leaves {
                return Err(why);
            }
        }
        if let Some(generation) = event.generation() {
            self.speaks_again(target, generation, at);
        }
        if let Event::FactsReported(facts) = event {
            self.registered.remove(target);
            // It is there again, and what it tells is what it is.
            self.off.remove(target);
            self.since.reports(target, self.facts.get(target), &facts);
            self.facts.insert(target.clone(), *facts);
        } else if let Event::ConnectSettingsRead { settings, .. } = event {
            self.since.synchronizes(target, *settings, at);
        } else if let Event::ForestRead {
            domain,
            suffixes: Some(names),
            more,
            ..
        } = event
        {
            let by = target.clone();
            self.since.lists(
                domain,
                SuffixesSeen {
                    at,
                    by,
                    names,
                    more,
                },
            );
        } else if let Event::BundleAccepted {
            generation, bundle, ..
        } = event
        {
            let before = self.accepted.insert(target.clone(), (generation, bundle));
            if before.is_some_and(|(before, _)| generation <= before) {
                return Err(format!(
                    "G5: {target} accepted {generation} after {before:?}"
                ));
            }
        } else if let Event::SectionEntered {
            generation,
            step,
            section,
        } = event
        {
            let leave = self.leaves.get(&(target.clone(), generation, step));
            let leave = leave.cloned();
            let own = self.own.as_ref();
            let adopted = own.is_some_and(|own| !own.contains(&(target.clone(), generation)));
            let given_up = self.abandoned.get_mut(&(target.clone(), generation));
            let abandoned = given_up.is_some();
            let said_off = self.said_off.get(target);
            let said_off = said_off.is_some_and(|newest| generation <= *newest);
            let stretch = Stretch {
                generation,
                section,
                lapses: None,
                limit: leave.as_ref().map_or_else(
                    || limit_of(fleet, target, generation, step),
                    |leave| leave.limit,
                ),
                excused: said_off || leave.as_ref().is_some_and(Leave::is_by_override),
            };
            // One whose run was given up counts as before.
            match given_up {
                Some(of) => of.stretch = stretch,
                None => drop(self.stretches.insert(target.clone(), stretch)),
            }
            if let Some(leave) = leave {
                // A server whose clock is ahead of the controller's tells nothing of when its leave lapsed there.
                let one_clock = told_at <= at.plus(limits::CLOCK_TOLERANCE);
                if told_at > leave.lapses && one_clock {
                    return Err(format!(
                        "{target} entered a section of run {generation} at {told_at}, and its leave lapsed at {}",
                        leave.lapses
                    ));
                }
                if !said_off && !abandoned {
                    let alone = self.alone(fleet, target, &leave, at);
                    if let (Err(why), true) = (&alone, at > leave.lapses) {
                        self.late.insert(target.clone(), (generation, why.clone()));
                    } else {
                        alone?;
                    }
                }
            } else if !adopted {
                return Err(format!(
                    "{target} entered a section of run {generation} without leave"
                ));
            }
            if abandoned {
                return Ok(());
            }
            return self.of_its_tenant(fleet, target);
        } else if let Event::SectionLeft { generation, .. }
        | Event::RunFinished { generation, .. } = event
        {
            self.stretches.remove(target);
            self.abandoned.remove(&(target.clone(), generation));
        } else if let Event::StepCompleted {
            generation,
            step,
            grade,
            completion,
            ..
        } = event
        {
            let applied = completion == Completion::Applied;
            self.step_ends(fleet, target, (generation, step), applied);
            if grade >= Some(Grade::Registered) {
                self.registered.insert(target.clone());
            }
            if !self.completed.insert((target.clone(), generation, step)) {
                return Err(format!(
                    "{target} completed step {step:?} of run {generation} twice, at {at}"
                ));
            }
        } else if let Event::StepFailed {
            generation, step, ..
        }
        | Event::StepInconclusive {
            generation, step, ..
        } = event
        {
            self.step_ends(fleet, target, (generation, step), false);
        }
        Ok(())
    }

    /// What an agent serves is told by the steps that gave it that.
    fn step_ends(
        &mut self,
        fleet: &Fleet,
        target: &TargetId,
        (generation, step): (Generation, StepIndex),
        applied: bool,
    ) {
        if let Some(step) = step_of(fleet, target, generation, step) {
            let facts = self.facts.get(target);
            self.since.ends((target, facts), step, applied);
        }
    }

    /// G9: what is about to be done is done for the tenant that the server is registered with, where it is with one.
    fn of_its_tenant(&mut self, fleet: &Fleet, target: &TargetId) -> Result<(), String> {
        let Some(open) = fleet.open(target) else {
            return Ok(());
        };
        let rollout = fleet.rollouts().get(&open.rollout);
        let part = rollout.and_then(|rollout| {
            let phase = rollout.work.get(target)?.phase;
            let part = rollout.plan.targets.get(target)?;
            Some((part, part.phases.get(phase)?))
        });
        let Some((part, phase)) = part else {
            return Ok(());
        };
        let facts = self.facts.get(target);
        let agent = facts.and_then(|facts| facts.provisioning_agent.as_ref());
        let agent = agent.filter(|agent| agent.is_configured());
        let with = agent.and_then(|agent| agent.tenant.as_ref());
        for step in &phase.steps {
            let Some(tenant) = step.tenant() else {
                continue;
            };
            self.asked.g9 += 1;
            if *tenant != part.tenant {
                return Err(format!("G9: {target} is given a step of tenant {tenant}"));
            }
            if let Some(with) = with.filter(|with| *with != tenant) {
                return Err(format!(
                    "G9: {target} is registered with {with} and is worked on for {tenant}"
                ));
            }
        }
        Ok(())
    }
}
