//! What may be done now, and what holds the rest. A hold is found by the same question that lets a target go, so that
//! what an operator reads is what the machine decided by.

mod active;
mod leave;
mod serving;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serving::Meanwhile;

use protocol::event::{Freeze, Section};
use protocol::signed::Phase;
use protocol::{Attempt, Generation, RolloutId, StepIndex, TargetId, Timestamp, limits};

use crate::fleet::decision::Decision;
use crate::fleet::hold::{Cause, Hold, because, held};
use crate::fleet::live::{Live, UNREACHABLE_AFTER};
use crate::fleet::overriding::Passed;
use crate::fleet::site::{self, Elsewhere};
use crate::fleet::state::{Fleet, Gate, Open, Rollout, RolloutState, Stopped, TargetState, Work};
use crate::fleet::table::{Group, Yard};
use crate::fleet::turn::{Budget, Turn, Walk};
use crate::fleet::watch;
use crate::overrides::Rule;
use crate::plan::{Kind, TargetPlan};

/// How long leave is good for if the section is not entered.
pub const PERMIT_LIFE: Duration = Duration::from_secs(120);

/// How long a bundle may be accepted and its steps begun, without and with a person.
pub(super) const BUNDLE_LIFE: (Duration, Duration) = (
    Duration::from_secs(24 * 3600),
    Duration::from_secs(14 * 24 * 3600),
);

/// When the product of a target has been watched for long enough, where that is what its next phase waits for.
pub(crate) fn soaks_until(part: &TargetPlan, work: &Work) -> Option<Timestamp> {
    let next = part.phases.get(work.phase)?;
    let soak = Duration::from_secs(u64::from(part.soak_seconds));
    (next.phase == Phase::Soak).then(|| work.since.plus(soak))
}

/// When nothing more is to be expected of a bundle, however a clock may differ.
pub(super) fn ended(open: &Open) -> Timestamp {
    open.expires.plus(limits::CLOCK_TOLERANCE)
}

/// The order by which everything stands still, in a sentence.
pub(crate) fn still(order: &Stopped) -> String {
    format!(
        "{} has frozen the whole fleet ({}); `entrain thaw --all` lifts it",
        order.by, order.why
    )
}

/// A freeze in a sentence, with what lifts it.
pub(crate) fn frozen(freeze: &Freeze) -> String {
    format!(
        "{} has frozen it until {} ({}); its end lifts it, or `entrain-agent thaw` on that server",
        freeze.by, freeze.until, freeze.why
    )
}

/// Whose session ended in this life of the controller, of those whom a rollout waits for in the middle of their work, and since
/// when: looked for among the fewer, those who are at work or those who left.
fn left<'a>(
    rollout: &'a Rollout,
    live: &'a Live,
) -> impl Iterator<Item = (&'a TargetId, Timestamp)> {
    let few = rollout.work.begun_count() < live.away.len();
    let at_work = rollout.work.begun().filter(move |_| few);
    let at_work = at_work.filter_map(|target| Some((target, *live.away.get(target)?)));
    let away = live.away.iter().filter(move |_| !few);
    let all = at_work.chain(away.map(|(target, since)| (target, *since)));
    all.filter(move |(target, _)| waits_for(rollout, target))
}

/// A rollout waits for somebody in the middle of its work.
fn waits_for(rollout: &Rollout, target: &TargetId) -> bool {
    let work = rollout.work.get(target);
    work.is_some_and(|work| work.waits_for_its_agent() && !work.is_passed_over())
}

impl Fleet {
    /// Notes that an agent asks for leave. It is of this moment: an agent asks again after each welcome.
    pub fn asks_permit(
        &mut self,
        target: &TargetId,
        generation: Generation,
        step: StepIndex,
        attempt: Attempt,
        section: Section,
    ) {
        // Whether that bundle is open shows when the events before the ask are here: it may come before them.
        let gate = Gate {
            generation,
            step,
            attempt,
            section,
            lapses: None,
            earlier: None,
        };
        self.asked.insert(target.clone(), gate);
    }

    /// What is asked for just now, to be given to [`Self::still_asked`] when this state is made anew from the log.
    #[must_use]
    pub fn asked_now(&self) -> BTreeMap<TargetId, Gate> {
        self.asked.clone()
    }

    /// Somebody asks for leave.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Takes up what agents with a session have asked for and do not ask again.
    pub fn still_asked(&mut self, asked: BTreeMap<TargetId, Gate>) {
        self.asked = asked;
    }

    /// Forgets what an agent asked for: it asks again when it is back.
    pub fn forget_asked(&mut self, target: &TargetId) {
        self.asked.remove(target);
    }

    /// Tells everything that may be done now. Each decision is made on the state as it will be after those before it.
    #[must_use]
    pub fn decide(&self, live: &Live, now: Timestamp) -> Vec<Decision> {
        self.decide_by(Walk::Shorter, live, now)
    }

    /// The same, found among all who wait. For tests.
    #[must_use]
    pub fn decide_among_all(&self, live: &Live, now: Timestamp) -> Vec<Decision> {
        self.decide_by(Walk::All, live, now)
    }

    fn decide_by(&self, walk: Walk, live: &Live, now: Timestamp) -> Vec<Decision> {
        let mut decisions = self.silent(live, now);
        let mut before = self.degraded(live, now);
        before.extend(self.away(live, now));
        before.extend(self.passed_over(live, now));
        if !before.is_empty() {
            // Who waits for them is asked when they have failed, or are waited for no more.
            decisions.extend(before);
            return decisions;
        }
        let mut started: BTreeSet<TargetId> = BTreeSet::new();
        // Places at sites that earlier rollouts have given in the same breath.
        let mut began = Elsewhere::new();
        for (id, rollout) in self.active() {
            if rollout.state != RolloutState::Running || !rollout.has_pending() {
                continue;
            }
            // What holds all of it holds each of its targets.
            if self.stopped.is_some() || rollout.not_before.is_some_and(|begins| now < begins) {
                continue;
            }
            let mut elsewhere = self.elsewhere(id);
            for (site, others) in &began {
                site::add(&mut elsewhere, site, others.count, others.first);
            }
            let mut budget = Budget::of(rollout, elsewhere);
            let turn = Turn::by(walk, self, rollout, (live, now));
            let here = turn.waiting_here();
            let waiting = here.as_ref().unwrap_or_else(|| rollout.work.waiting());
            let mut queue = rollout.work.queue(waiting);
            loop {
                let open = |yard: &Yard| {
                    let site = yard.site.as_deref();
                    let closed = yard.needs_open && turn.closed(site).is_some();
                    !closed && budget.at(site).is_none()
                };
                let who = |group: &Group| turn.entry(group.wave, &group.peers);
                let Some((place, target)) = queue.next(budget.is_full(), open, who) else {
                    break;
                };
                let order = (&turn, place.wave, &mut budget, &mut started);
                decisions.extend(self.offer(id, rollout, target, (live, now), order));
            }
            // Whoever may begin at a closed site is in none of the yards that are open.
            for target in self.overrides.targets(Rule::Window, now) {
                if let Some(wave) = rollout.work.wave_of(target) {
                    let order = (&turn, wave, &mut budget, &mut started);
                    decisions.extend(self.offer(id, rollout, target, (live, now), order));
                }
            }
            if rollout.plan.kind.changes() {
                budget.leave_to(id, &mut began);
            }
        }
        if self.asked.is_empty() {
            return decisions;
        }
        let mut gates = self.gates.clone();
        for (target, gate) in &self.asked {
            let Ok(mut overridden) = self.leave(target, gate, &gates, live, now) else {
                continue;
            };
            let rests_on = if self.is_in(target, gate) {
                vec!["it is in that section since before its agent began anew".to_owned()]
            } else if gate.section.outage {
                let meanwhile = self.meanwhile(target, &gates, live, now);
                meanwhile.iter().map(Meanwhile::sentence).collect()
            } else {
                Vec::new()
            };
            // To whoever asks behind it in the same breath, leave that is given and a section that was entered are alike.
            if !self.is_in(target, gate) {
                gates.insert(target.clone(), gate.clone());
            }
            let object = gate.section.gmsa.as_ref();
            let change = object.and_then(|object| self.last_change(object));
            let mut after = change.filter(|change| change.by != *target).cloned();
            // Serial or not, what another one changed need not be readable first.
            if after.is_some() && self.overrides.is_in_force(target, Rule::G3, now) {
                after = None;
                overridden.insert(Rule::G3);
            }
            decisions.push(Decision::Permit {
                target: target.clone(),
                gate: gate.clone(),
                after,
                overridden,
                rests_on,
            });
        }
        decisions
    }

    /// The offer of a target's next phase, where nothing holds it.
    fn offer<'a>(
        &self,
        id: RolloutId,
        rollout: &'a Rollout,
        target: &TargetId,
        (live, now): (&Live, Timestamp),
        (turn, wave, budget, started): (&Turn<'_>, usize, &mut Budget<'a>, &mut BTreeSet<TargetId>),
    ) -> Option<Decision> {
        let work = rollout.work.get(target)?;
        if work.state != TargetState::Pending || started.contains(target) {
            return None;
        }
        let order = (turn, wave, &*budget, &*started);
        let passed = self.hold_of(id, rollout, target, (live, now), order);
        let mut overridden = passed.ok()?;
        let part = rollout.plan.targets.get(target);
        if let Some(phase) = part.and_then(|part| part.phases.get(work.phase)) {
            overridden.extend(self.carries(target, phase, now));
        }
        started.insert(target.clone());
        let site = part.and_then(|part| part.site.as_deref());
        budget.take(work, site);
        Some(Decision::Issue {
            rollout: id,
            target: target.clone(),
            phase: work.phase,
            overridden,
        })
    }

    /// When [`Self::decide`] must be asked again though nothing has happened.
    #[must_use]
    pub fn poll_timeout(&self, live: &Live, now: Timestamp) -> Option<Timestamp> {
        let running: Vec<&Rollout> = self
            .active()
            .map(|(_, rollout)| rollout)
            .filter(|rollout| rollout.state == RolloutState::Running)
            .collect();
        let opens = running
            .iter()
            .flat_map(|rollout| rollout.plan.sites.values())
            .filter_map(|rule| rule.closed(now)?.opens);
        let waits = |target: &&TargetId| {
            let pending = |rollout: &&Rollout| {
                let work = rollout.work.get(*target);
                work.is_some_and(|work| work.state == TargetState::Pending)
            };
            running.iter().any(pending)
        };
        // Of thousands who are away for long nobody asks what they wait for.
        let left = live.away.within(UNREACHABLE_AFTER, now).filter(waits);
        // Those that were never here count as away since anybody could come: who they are is not asked.
        let never = running.iter().any(|rollout| rollout.has_pending());
        let never = never.then(|| live.began.plus(UNREACHABLE_AFTER));
        let away = left
            .filter_map(|target| live.unreachable_from(target))
            .chain(never)
            .filter(|at| *at > now);
        let begins = running.iter().filter_map(|rollout| rollout.not_before);
        let begins = begins.filter(|at| *at > now);
        let soaks = running
            .iter()
            .filter_map(|rollout| rollout.work.soaks_until(now));
        let fails = self.active().flat_map(|(_, rollout)| {
            rollout.work.failing().filter_map(|(_, target, grace)| {
                let watched = &rollout.work.get(target)?.watched;
                watched.fails_behind(grace, live.back.get(target).copied())
            })
        });
        let fails = fails.filter(|at| *at > now);
        // Who is here is looked up when a bundle has ended: this is asked with each turn, for a whole fleet.
        let over = self.open.by_end();
        let over = over.take_while(|(_, open)| ended(open) <= now);
        let silent = over.filter_map(|(target, open)| self.silent_from(target, open, live));
        let mut next = self.open.by_end().map(|(_, open)| ended(open));
        let ends = silent.chain(next.find(|end| *end > now));
        let lapses = self
            .gates
            .values()
            .filter_map(|gate| gate.lapses)
            .filter(|lapses| *lapses > now);
        let given_up = self.abandoned_at(now);
        let given_up = given_up.map(|(_, abandoned)| abandoned.until);
        let alone = self.aborted_open();
        let alone = alone.filter_map(|(target, _)| live.silent_at_once(target));
        let alone = alone.filter(|at| *at > now);
        // Whoever left may be in the middle of its work: to look once too often costs less than to ask of each.
        let late = running.iter().flat_map(|rollout| {
            let deadline = rollout.plan.limits.deadline().into_iter();
            let since = |deadline: Duration| {
                let times = [UNREACHABLE_AFTER, deadline].into_iter();
                let left = times.flat_map(move |time| live.away.next_for(time, now));
                let began = [UNREACHABLE_AFTER, deadline].map(|time| live.began.plus(time));
                let noted = rollout.work.away();
                let noted = noted.map(move |(_, since)| since.plus(deadline));
                left.chain(began).chain(noted)
            };
            deadline.flat_map(since)
        });
        let late = late.filter(|at| *at > now);
        ends.chain(lapses)
            .chain(given_up)
            .chain(alone)
            .chain(late)
            .chain(self.overrides.next_end(now))
            .chain(away)
            .chain(opens)
            .chain(soaks)
            .chain(fails)
            .chain(begins)
            .min()
    }

    /// When a target counts as silent beyond the end of its bundle. Whoever is here says itself what became of it, and
    /// whoever could not connect yet, or was not met since a restore, has had no time to.
    fn silent_from(&self, target: &TargetId, open: &Open, live: &Live) -> Option<Timestamp> {
        let away = live.unreachable_from(target)?;
        (!self.unmet.contains(target)).then(|| ended(open).max(away))
    }

    /// Whose product is worse while it is watched, for as long as that counts. Whoever is away, or was until just now, may have
    /// been restarted with its server: what has become of it shows when it is back.
    fn degraded(&self, live: &Live, now: Timestamp) -> Vec<Decision> {
        let mut degraded = Vec::new();
        for (id, rollout) in self.active() {
            let due = rollout.work.failing().take_while(|(at, ..)| *at <= now);
            for (_, target, grace) in due {
                let Some(watched) = rollout.work.get(target).map(|work| &work.watched) else {
                    continue;
                };
                let back = live.back.get(target).copied();
                let due = watched
                    .fails_behind(grace, back)
                    .is_some_and(|at| at <= now);
                let here = live.connected.contains(target) || watched.is_plain();
                // Whoever fails by it is who is watched: while a bundle changes it, that is our own doing.
                let soaks = || self.soaking(target).contains(&id);
                if let Some(why) = watched.why().filter(|_| due && here && soaks()) {
                    degraded.push(Decision::Degraded {
                        rollout: id,
                        target: target.clone(),
                        why: format!("while it was watched: {why}"),
                    });
                }
            }
        }
        degraded
    }

    /// Open bundles of rollouts that were aborted, of which nobody has said yet that they are unknown.
    fn aborted_open(&self) -> impl Iterator<Item = (&TargetId, &Open)> {
        let aborted = |rollout: &Rollout| rollout.state == RolloutState::Aborted;
        let any = self.active().any(|(_, rollout)| aborted(rollout));
        let open = self.open.iter().filter(move |_| any);
        open.filter(move |(target, open)| {
            let rollout = self.rollouts.get(&open.rollout);
            let rollout = rollout.filter(|rollout| aborted(rollout));
            let work = rollout.and_then(|rollout| rollout.work.get(*target));
            work.is_some_and(|work| !work.state.is_terminal())
        })
    }

    /// Who is away in the middle of its work where a deadline counts, as the log does not tell yet, and who of those that it
    /// tells of is back. Whoever comes back at once is not told of: a restart of the controller gives it as much time anew.
    fn away(&self, live: &Live, now: Timestamp) -> Vec<Decision> {
        let mut found = Vec::new();
        for (id, rollout) in self.active() {
            let mut say = |target: &TargetId, since| {
                found.push(Decision::Away {
                    rollout: id,
                    target: target.clone(),
                    since,
                });
            };
            let noted = rollout.work.away().map(|(target, _)| target);
            let back = noted.filter(|target| live.connected.contains(*target));
            back.for_each(|target| say(target, None));
            if rollout.plan.limits.deadline().is_none() {
                continue;
            }
            for (target, since) in left(rollout, live) {
                let known = rollout.work.get(target).and_then(|work| work.away);
                if now >= since.plus(UNREACHABLE_AFTER) && known != Some(since) {
                    say(target, Some(since));
                }
            }
        }
        found
    }

    /// Who is away for as long as its rollout waits for anybody, and who of those that nobody waits for is back.
    fn passed_over(&self, live: &Live, now: Timestamp) -> Vec<Decision> {
        let mut found = Vec::new();
        for (id, rollout) in self.active() {
            let mut say = |target: &TargetId, away| {
                found.push(Decision::PassedOver {
                    rollout: id,
                    target: target.clone(),
                    away,
                });
            };
            let passed = rollout.work.passed_over();
            let back = passed.filter(|target| live.connected.contains(*target));
            back.for_each(|target| say(target, None));
            let deadline = rollout.plan.limits.deadline();
            let deadline = deadline.filter(|_| rollout.state == RolloutState::Running);
            let late = deadline.into_iter();
            let late = late.flat_map(|deadline| self.overdue(rollout, live, deadline, now));
            late.for_each(|(target, since)| say(target, Some(since)));
        }
        found
    }

    /// Who of a rollout is away in the middle of its work for that long, and since when.
    fn overdue<'a>(
        &'a self,
        rollout: &'a Rollout,
        live: &'a Live,
        deadline: Duration,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a TargetId, Timestamp)> {
        let is_late = move |since: &Timestamp| now >= since.plus(deadline);
        let left = left(rollout, live).filter(move |(_, since)| is_late(since));
        // Whoever was away already when the controller started has time to come all the same.
        let had_time = now >= live.began.plus(UNREACHABLE_AFTER);
        let gone =
            |target: &TargetId| !live.connected.contains(target) && !live.away.contains_key(target);
        let noted = rollout.work.away();
        let noted = noted.filter(move |(target, since)| had_time && is_late(since) && gone(target));
        // Who never came since anybody could is looked for where somebody did not: with each turn, for a whole fleet.
        let late_since_start = is_late(&live.began);
        let all = || {
            let came = live.away.keys();
            let came = came.filter(|target| self.known.contains_key(*target));
            live.connected.len() + came.count() >= self.known.len()
        };
        let few = rollout.work.begun_count() <= live.away.len();
        let any = late_since_start && (few || !all());
        let never = rollout.work.begun().filter(move |_| any);
        let told = |target: &TargetId| {
            let work = rollout.work.get(target);
            work.is_some_and(|work| work.away.is_some())
        };
        let never = never.filter(move |target| gone(target) && !told(target));
        let never = never.map(|target| (target, live.began));
        let others = noted.chain(never);
        left.chain(others.filter(move |(target, _)| waits_for(rollout, target)))
    }

    fn silent(&self, live: &Live, now: Timestamp) -> Vec<Decision> {
        let over = self.open.by_end();
        let over = over.take_while(|(_, open)| now > ended(open));
        let late = over.filter(|(target, open)| {
            let from = self.silent_from(target, open, live);
            from.is_some_and(|from| now > from)
        });
        // Where everything was aborted nothing is waited for: what becomes of whoever is away shows when it is back.
        // Whoever is late as well is told twice: the first word ends its rollout, the second frees what its bundle claims.
        let gone = |target: &TargetId| live.silent_at_once(target).is_some_and(|from| now >= from);
        let alone = self.aborted_open();
        let alone = alone.filter(|(target, _)| gone(target));
        late.chain(alone)
            .map(|(target, open)| Decision::Unknown {
                target: target.clone(),
                generation: open.generation,
            })
            .collect()
    }

    /// Why a pending target is not offered its bundle; `None` when it may be.
    #[must_use]
    pub fn hold(
        &self,
        id: RolloutId,
        target: &TargetId,
        live: &Live,
        now: Timestamp,
    ) -> Option<Hold> {
        let rollout = self.rollouts.get(&id)?;
        let turn = Turn::of(self, rollout, (live, now));
        let wave = rollout.work.wave_of(target)?;
        self.hold_in(
            id,
            rollout,
            target,
            (live, now),
            (&turn, wave, &Budget::of(rollout, self.elsewhere(id))),
        )
    }

    /// The same for whoever asks about many.
    pub(crate) fn hold_in(
        &self,
        id: RolloutId,
        rollout: &Rollout,
        target: &TargetId,
        at: (&Live, Timestamp),
        (turn, wave, budget): (&Turn<'_>, usize, &Budget<'_>),
    ) -> Option<Hold> {
        let nobody = BTreeSet::new();
        let order = (turn, wave, budget, &nobody);
        let hold = self.hold_of(id, rollout, target, at, order).err()?;
        let order = (turn, budget);
        Some(self.behind_places(hold, (id, rollout), target, at, order))
    }

    /// The hold of a pending target, or else the rules that would have held it if they were not overridden.
    fn hold_of(
        &self,
        id: RolloutId,
        rollout: &Rollout,
        target: &TargetId,
        (live, now): (&Live, Timestamp),
        (turn, wave, budget, started): (&Turn<'_>, usize, &Budget<'_>, &BTreeSet<TargetId>),
    ) -> Result<Passed, Hold> {
        let mut passed = Passed::new();
        let (Some(work), Some(part)) = (rollout.work.get(target), rollout.plan.targets.get(target))
        else {
            return Ok(passed);
        };
        if work.state != TargetState::Pending {
            return Ok(passed);
        }
        if let Some(order) = &self.stopped {
            return held(Cause::FleetFrozen, still(order));
        }
        match rollout.state {
            RolloutState::Paused => {
                return held(Cause::Paused, rollout.paused(id));
            }
            RolloutState::Aborted => return held(Cause::Aborted, "the rollout was aborted"),
            RolloutState::Running => {}
        }
        if let Some(begins) = rollout.not_before.filter(|begins| now < *begins) {
            return held(Cause::NotBegun, format!("it begins at {begins}"));
        }
        if let Some(open) = self.open.get(target) {
            let why = format!(
                "rollout {} has a bundle open on it; its end lifts it (G5)",
                open.rollout
            );
            return held(Cause::BundleOpen, why);
        }
        if !self.known.contains_key(target) {
            return held(
                Cause::NotEnrolled,
                "it is not enrolled; enrolling it lifts it",
            );
        }
        if let Some(doubted) = self.doubted.get(target) {
            return held(Cause::Doubted, doubted.sentence(target));
        }
        if let Some(freeze) = self.freeze_in_force(target, live, now) {
            return held(Cause::ServerFrozen, frozen(freeze));
        }
        if self.unmet.contains(target) {
            return held(
                Cause::Unmet,
                "it was not heard of since the controller was restored: what it did since the backup is unknown; its agent's return lifts it",
            );
        }
        if let Some(from) = live.unreachable_from(target) {
            let why = "it is not connected; it is offered its work when it comes";
            let cause = if now < from {
                Cause::LeftJustNow
            } else {
                Cause::Away
            };
            return held(cause, why);
        }
        if let Some(at) = self.at_it.get(target) {
            let why = format!(
                "its agent is at a run of bundle {at}, of which nobody waits for the end here any more; that end lifts it (G5)"
            );
            return held(Cause::AtAnotherRun, why);
        }
        if part.is_read_only() {
            return Ok(passed);
        }
        if let Some(ends) = soaks_until(part, work).filter(|ends| now < *ends) {
            let worse = work.watched.why().map(|why| {
                let back = live.back.get(target).copied();
                let fails = work.watched.fails_behind(watch::grace(part), back);
                let fails = fails.map_or_else(String::new, |at| at.to_string());
                format!("; {why}: it has failed if that is so until {fails}")
            });
            let why = format!(
                "its product is watched until {ends}, then verified once more{}{}",
                worse.unwrap_or_default(),
                self.asks_to_be_read(rollout, (target, part), (work.since, now))
            );
            return held(Cause::Watched, why);
        }
        passed.extend(self.lawful((id, rollout), target, started, (live, now))?);
        if let Some(hold) = self.planned_otherwise((id, rollout), target, (part, work)) {
            return Err(hold);
        }
        let mut let_pass = |rule, hold| self.let_pass(rule, hold, target, now, &mut passed);
        if rollout.plan.needs_open_site(target, work.phase) {
            let_pass(Rule::Window, turn.closed(part.site.as_deref()))?;
        }
        // What has begun goes on to its next phase; waves, canaries and limits are for what begins. What is tried again needs a
        // place once more.
        let place = || {
            let full = budget.hold(work, true);
            full.or_else(|| budget.at(part.site.as_deref()))
        };
        let limits = if work.holds_a_place() {
            budget.hold(work, false)
        } else if work.has_begun() {
            place()
        } else {
            let stuck = |other| self.stuck((id, rollout), other, (live, now), (turn, budget));
            turn.hold(target, wave, part, stuck).or_else(place)
        };
        if let Some(hold) = limits {
            return Err(hold);
        }
        if !work.has_begun() {
            let_pass(
                Rule::G2,
                self.first_others((id, rollout), target, (turn, budget), (live, now)),
            )?;
        }
        Ok(passed)
    }

    /// What the guard rails say of the phase that a target is at, whether it is to be offered, was and is not accepted yet, or asks for
    /// leave: nothing of turns, limits and windows. Gives the rules that would hold it if they were not overridden.
    pub(crate) fn lawful(
        &self,
        (id, rollout): (RolloutId, &Rollout),
        target: &TargetId,
        started: &BTreeSet<TargetId>,
        (live, now): (&Live, Timestamp),
    ) -> Result<Passed, Hold> {
        let mut passed = Passed::new();
        let (Some(work), Some(part)) = (rollout.work.get(target), rollout.plan.targets.get(target))
        else {
            return Ok(passed);
        };
        // What was recalled since is not begun, and what was brought already is not put to work; it is still looked at. Who asks for
        // leave is about to change something, whatever its phase was to be.
        let open = self.open(target).map(|open| open.generation);
        let asks = (self.asked.get(target)).is_some_and(|gate| Some(gate.generation) == open);
        let changes = |phase: &&crate::recipe::PhaseWork| asks || !phase.is_read_only();
        let phase = part.phases.get(work.phase);
        if let Some(phase) = phase.filter(changes) {
            if let Some(why) = live.refuses(part, now) {
                return held(Cause::VersionRefused, why);
            }
            let at = (target, work.phase);
            if let Some(why) = live.unfit(&rollout.plan, at, &self.known, now) {
                return held(Cause::VersionRefused, why);
            }
            if let Some(why) = rollout.unaccepted() {
                return held(Cause::Unaccepted, why);
            }
            if let Some(hold) = self.unforeseen(rollout, part, work, now) {
                return Err(hold);
            }
            if let Some(hold) = self.still_configured(rollout, target) {
                return Err(hold);
            }
            if let Some(hold) = self.registered_elsewhere(target, part, phase) {
                return Err(hold);
            }
        }
        let mut let_pass = |rule, hold| self.let_pass(rule, hold, target, now, &mut passed);
        let_pass(Rule::G8, self.tenant_blocks(rollout, part, work, now))?;
        let_pass(Rule::G7, self.in_both(rollout, part, work, now))?;
        let_pass(Rule::G1, self.active_claim(id, target, part, started))?;
        if let Some(hold) = awaits(rollout, target, (part, work), (live, now)) {
            return Err(hold);
        }
        if let Some(hold) = self.differs(id, target, part, work) {
            return Err(hold);
        }
        self.unverified(target, part, work).map_or(Ok(passed), Err)
    }
}

/// Why a target waits for a phase of another one of its rollout.
fn awaits(
    rollout: &Rollout,
    target: &TargetId,
    (part, work): (&TargetPlan, &Work),
    (live, now): (&Live, Timestamp),
) -> Option<Hold> {
    let mut waits = rollout.plan.waits.iter();
    waits.find_map(|wait| {
        if wait.target != *target || part.place_of(wait.phase, wait.place) != Some(work.phase) {
            return None;
        }
        let theirs = rollout.work.get(&wait.other)?;
        let other = rollout.plan.targets.get(&wait.other)?;
        let until = other.place_of(wait.done, wait.until)?;
        // What a person says became of it counts as done where the machine still asks what is so (G1).
        let said = matches!(theirs.state, TargetState::Resolved(_)) && wait.done == Phase::Register;
        if theirs.phase > until || said {
            return None;
        }
        let then = match rollout.plan.kind {
            Kind::Swing => "`entrain swing`, `swap` or `plan` go on from what is so then",
            Kind::Install
            | Kind::Verify
            | Kind::Preflight
            | Kind::Discover
            | Kind::Support
            | Kind::Switch
            | Kind::Agents
            | Kind::Eligibility
            | Kind::Undo
            | Kind::Transition => "swap again",
        };
        let (why, other, word) = (&wait.why, &wait.other, theirs.state.word());
        if theirs.state.is_settled() {
            return because(
                Cause::OtherStopped,
                format!("{why}: {other} is {word}; abort this rollout, and {then}"),
            );
        }
        if theirs.state.is_terminal() {
            return because(
                Cause::OtherStopped,
                format!("{why}: {other} is {word}; its retry lifts it"),
            );
        }
        // Whoever left just now may be restarting; whoever nobody waits for any more goes on by nothing of its own.
        let away = live
            .away_since(other)
            .filter(|since| now >= since.plus(UNREACHABLE_AFTER) || theirs.is_passed_over());
        let Some(away) = away.and_then(|_| theirs.away_in_words(other, live)) else {
            return because(
                Cause::OtherGoesOn,
                format!("{why}: {other} is {word}; its end lifts it"),
            );
        };
        let order = if wait.done == Phase::Register {
            "or a resolve of it by whoever knows what became of it".to_owned()
        } else {
            format!("or abort this rollout, and {then}")
        };
        because(
            Cause::OtherAway,
            format!("{why}: {other} is {word}, and {away}; its return lifts it, {order}"),
        )
    })
}
