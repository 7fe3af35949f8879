//! The fold of what a target says: each event, and what the end of its phase changes.

use protocol::event::{Completion, Event, Failure, Verdict};
use protocol::facts::{Facts, ProvisioningAgentFacts};
use protocol::refusal::Refusal;
use protocol::signed::{Ending, Phase};
use protocol::step::{Product, Served, Step};
use protocol::{Attempt, Generation, RolloutId, TargetId, TenantId, Timestamp};

use crate::beyond::{DirectorySeen, KeySeen, Moved, NetbiosSeen, SuffixesSeen, account_of};
use crate::fleet::decide::soaks_until;
use crate::fleet::graded::{is_graded, lacks};
use crate::fleet::state::{
    Fleet, Gate, Open, Rollout, RolloutState, TargetState, VersionsLeft, Work,
};
use crate::fleet::watch::{self, Watched};
use crate::plan::Kind;
use crate::recipe::PhaseWork;
use crate::settings::SettingsSeen;
use crate::versions::IDENTITY;
use crate::{exported, readiness};

impl Fleet {
    /// Takes up an event of a target, journaled at `at` by its own clock: what [`Self::apply`] does with the record of one whose
    /// body was read before.
    pub fn heard(&mut self, target: &TargetId, event: &Event, at: Timestamp, now: Timestamp) {
        self.takes(target, event, at);
        if let Some(generation) = event.generation() {
            self.found_again(target, generation, now);
        }
        match event {
            Event::FactsReported(facts) => {
                self.beyond.said_off.remove(target);
                let connect = (facts.connect.as_ref(), facts.console_open);
                self.schedulers.told(target, connect, now);
                self.looked_at(target, facts, now);
                let before = self.known.get(target);
                let before = before.and_then(|known| known.facts.as_ref());
                let before = before.map(|(_, facts)| facts.clone());
                self.taken_otherwise(target, before.as_ref(), facts);
                match &facts.connect {
                    Some(connect) => drop(self.modes.insert(target.clone(), connect.mode())),
                    None => drop(self.modes.remove(target)),
                }
                let registers = self.registers(target);
                if let Some(known) = self.known.get_mut(target) {
                    let agent = facts.provisioning_agent.as_ref();
                    let before = known.facts.as_ref().map(|(_, facts)| facts);
                    let before = before.and_then(|facts| facts.provisioning_agent.as_ref());
                    let tenant = |agent: &ProvisioningAgentFacts| agent.tenant.clone();
                    let (was, is) = (before.and_then(tenant), agent.and_then(tenant));
                    let elsewhere = was.is_some() && is.is_some() && was != is;
                    let gone = !agent.is_some_and(ProvisioningAgentFacts::is_configured);
                    // What could not be read is not gone.
                    if facts.unread.is_empty() && (gone || elsewhere) {
                        known.domains = None;
                        known.owes = false;
                        known.untold = false;
                        self.beyond.given.remove(target);
                    }
                    // What Entrain's own cmdlets have begun, or a person at the wizard that it has opened, is nobody else's.
                    let half = agent.is_some_and(|agent| agent.owes_registration.is_some());
                    let own = registers || half || known.owes || known.domains.is_some();
                    known.untold |= facts.unread.is_empty() && !gone && !own;
                    // Of the account that the product chose by itself the service tells the name.
                    let account = agent.filter(|_| !gone).and_then(account_of);
                    if let Some((account, given)) = account.zip(self.beyond.given.get_mut(target)) {
                        for is in given.values_mut().filter(|is| is.account.is_none()) {
                            is.account = Some(account.to_owned());
                        }
                    }
                    known.without.told(facts, now);
                    known.facts = Some((now, (**facts).clone()));
                }
            }
            Event::BundleAccepted {
                generation,
                bundle,
                rollout,
                phase,
                ..
            } => {
                self.adopt(target, (*generation, *bundle), (*rollout, *phase), now);
                self.open.note(target, *generation, |open| {
                    open.accepted |= open.bundle == *bundle;
                });
                let at = self.at_it.get(target);
                if at.is_some_and(|at| at < generation) {
                    self.at_it.remove(target);
                }
                // Whoever takes up another bundle has come to the end of the one before.
                if self
                    .lost
                    .get(target)
                    .is_some_and(|lost| lost.generation < *generation)
                {
                    self.heard_out(target);
                }
                self.change(target, *generation, |work| {
                    work.findings.clear();
                    work.found_at.clear();
                    work.said.clear();
                });
            }
            Event::Frozen(freeze) => {
                self.frozen.insert(target.clone(), freeze.clone());
            }
            Event::Thawed => {
                self.frozen.remove(target);
            }
            Event::ServiceRestarted { product } => {
                for id in self.soaking(target) {
                    self.watch(id, target, |steps, work| {
                        if watch::product(steps) == Some(*product) {
                            work.watched.restarted(now);
                        }
                    });
                }
            }
            Event::BundleRefused { bundle, refusal }
                if self.is_still_at_it(target, *bundle, refusal) =>
            {
                let refused = self.open.get(target).map(|open| open.generation);
                if let Some(one) = refused {
                    self.never_came(target, one);
                }
                self.open.remove(target);
                self.take_up(target, now);
            }
            Event::BundleRefused { bundle, refusal } => {
                // A refusal of anything but the open bundle (a replay, say) changes nothing here; it stays in the log.
                if let Some(open) = self
                    .open
                    .get(target)
                    .filter(|open| open.bundle == *bundle && !open.accepted)
                {
                    let (rollout, generation) = (open.rollout, open.generation);
                    let was = self.never_came(target, generation);
                    self.open.remove(target);
                    let of = self.rollouts.get(&rollout);
                    let aborted = of.is_some_and(|one| one.state == RolloutState::Aborted);
                    if let Refusal::Busy { open } = refusal {
                        self.at_it.insert(target.clone(), *open);
                    }
                    // A frozen server is no failure: its turn comes when the freeze is over. Nor is one that is still at a run of
                    // which nobody here waits for the end any more.
                    let waits = matches!(refusal, Refusal::Frozen { .. } | Refusal::Busy { .. });
                    let state = match (waits, aborted) {
                        (true, true) => TargetState::Aborted,
                        (true, false) => TargetState::Pending,
                        (false, _) => TargetState::Refused(refusal.clone()),
                    };
                    self.set(rollout, target, state, now);
                    self.lets_go(rollout, target, matches!(refusal, Refusal::Busy { .. }));
                    self.is_watched_on(target, was);
                }
            }
            Event::StepBegun {
                generation,
                step,
                kind,
                ..
            } => {
                let state = TargetState::Running {
                    step: *step,
                    kind: kind.clone(),
                };
                let begun = self.open_step(target, *generation, *step);
                let reads = begun.is_some_and(Step::is_read_only);
                self.moved(target, *generation, state, now);
                if !reads {
                    self.change(target, *generation, |work| work.tried = true);
                }
            }
            Event::SectionEntered {
                generation,
                step,
                section,
            } => {
                // Which try it is nobody asks once it was entered.
                let entered = Gate {
                    generation: *generation,
                    step: *step,
                    attempt: Attempt(0),
                    section: section.clone(),
                    lapses: None,
                    earlier: None,
                };
                self.asked.remove(target);
                if !self.enters_all_the_same(target, (*generation, *step), section) {
                    self.gates.insert(target.clone(), entered);
                }
            }
            Event::SectionLeft {
                generation,
                step,
                gmsa,
            } => {
                self.told_its_end(target, (*generation, Some(*step)), gmsa.as_ref());
                self.leaves_section(target, (*generation, *step), gmsa.clone());
                // A person works in the section: outside of it nobody is asked to, and it may be left since its leave had lapsed.
                let work = self
                    .open
                    .get(target)
                    .and_then(|open| self.rollouts.get(&open.rollout)?.work.get(target));
                let asks = work.is_some_and(|work| {
                    matches!(&work.state, TargetState::AwaitingPerson { step: of, .. } if of == step)
                });
                let kind = self.open_step(target, *generation, *step).map(Step::kind);
                if let (true, Some(kind)) = (asks, kind) {
                    let state = TargetState::Running {
                        step: *step,
                        kind: kind.to_owned(),
                    };
                    self.moved(target, *generation, state, now);
                }
            }
            Event::SecretAsked {
                generation,
                step,
                wanted,
                ..
            } => {
                let state = TargetState::AwaitingSecret {
                    step: *step,
                    wanted: wanted.clone(),
                };
                self.moved(target, *generation, state, now);
            }
            Event::SecretReceived {
                generation, step, ..
            } => {
                let asked = self.open_step(target, *generation, *step);
                let state = TargetState::Running {
                    step: *step,
                    kind: asked.map_or("", Step::kind).to_owned(),
                };
                self.moved(target, *generation, state, now);
            }
            Event::TaskOpened {
                generation,
                step,
                text,
            } => {
                // A word ends one wait, and this is another.
                self.open
                    .note(target, *generation, |open| open.attested = None);
                let state = TargetState::AwaitingPerson {
                    step: *step,
                    text: text.clone(),
                };
                self.moved(target, *generation, state, now);
            }
            Event::Probed {
                generation,
                step,
                findings,
            } => {
                let told = findings.iter().rev().find(|finding| {
                    finding.id == IDENTITY && finding.verdict != Verdict::CannotTell
                });
                if let Some(told) = told {
                    let application = told.verdict == Verdict::Pass;
                    self.beyond.applications.insert(target.clone(), application);
                }
                self.change(target, *generation, |work| {
                    work.findings.extend(findings.iter().cloned());
                    work.found_at.resize(work.findings.len(), *step);
                    work.found = now;
                });
            }
            Event::Discovered {
                domain,
                servers,
                unread,
                ..
            } => {
                let seen = DirectorySeen {
                    at: now,
                    by: target.clone(),
                    servers: servers.clone(),
                    unread: unread.clone(),
                    earlier: Vec::new(),
                };
                let directories = &mut self.beyond.directories;
                let seen = match directories.get(domain) {
                    Some(before) => before.then(seen),
                    None => seen,
                };
                directories.insert(domain.clone(), seen);
            }
            Event::ForestRead {
                domain,
                suffixes,
                more,
                kds_usable_from,
                netbios,
                ..
            } => {
                if let Some(name) = netbios {
                    let seen = NetbiosSeen {
                        at: now,
                        by: target.clone(),
                        name: name.clone(),
                    };
                    self.beyond.netbios.insert(domain.clone(), seen);
                }
                if let Some(names) = suffixes {
                    let seen = SuffixesSeen {
                        at: now,
                        by: target.clone(),
                        names: names.clone(),
                        more: *more,
                    };
                    self.beyond.suffixes.insert(domain.clone(), seen);
                }
                if let Some(usable_from) = kds_usable_from {
                    let seen = KeySeen {
                        at: now,
                        by: target.clone(),
                        usable_from: *usable_from,
                    };
                    self.beyond.keys.insert(domain.clone(), seen);
                }
            }
            Event::ConnectSettingsRead {
                generation,
                settings,
                ..
            } => {
                let open = self.open.get(target);
                let open = open.filter(|open| open.generation == *generation);
                if let Some(rollout) = open.and_then(|open| self.rollouts.get_mut(&open.rollout)) {
                    rollout.read.insert(target.clone(), (**settings).clone());
                }
                let known = self.known.get(target);
                let facts = known.and_then(|known| known.facts.as_ref());
                let connect = facts.and_then(|(_, facts)| facts.connect.as_ref());
                let seen = SettingsSeen {
                    at: now,
                    generation: *generation,
                    version: connect.and_then(|connect| connect.version),
                    settings: (**settings).clone(),
                };
                self.beyond.settings.insert(target.clone(), seen);
            }
            Event::ConnectExportRead { export, .. } => {
                exported::tell(&mut self.beyond.exports, target, now, export);
            }
            Event::StepCompleted {
                generation,
                step,
                summary,
                grade,
                completion,
                ..
            } => {
                self.gave(target, *generation, *step, completion);
                self.serves(target, *generation, *step, Some(completion));
                self.change(target, *generation, |work| {
                    work.grade = work.grade.max(*grade);
                    work.said.push(summary.clone());
                    work.state = TargetState::Running {
                        step: step_after(*step),
                        kind: String::new(),
                    };
                });
            }
            Event::StepFailed {
                generation,
                step,
                failure,
            } => {
                self.serves(target, *generation, *step, None);
                let state = TargetState::Failed {
                    step: *step,
                    failure: failure.clone(),
                };
                self.moved(target, *generation, state, now);
            }
            Event::StepInconclusive {
                generation,
                step,
                question,
            } => {
                // What was done before its question nobody has told.
                self.serves(target, *generation, *step, None);
                self.moved(
                    target,
                    *generation,
                    TargetState::Inconclusive(question.clone()),
                    now,
                );
            }
            Event::RunFinished {
                generation,
                ending,
                receipt,
            } => {
                self.asked_readiness(target, *generation, (receipt, ending), now);
                self.finished(target, *generation, ending, now);
            }
            // A note of the agent's for its next life.
            Event::CycleBeforeWizard { .. } => {}
        }
    }

    /// Keeps what a preflight came to, where the run that ends is one.
    fn asked_readiness(
        &mut self,
        target: &TargetId,
        generation: Generation,
        said: (&str, &Ending),
        now: Timestamp,
    ) {
        let open = self.open.get(target);
        let Some(open) = open.filter(|open| open.generation == generation) else {
            return;
        };
        let rollout = self.rollouts.get(&open.rollout);
        let rollout = rollout.filter(|rollout| rollout.plan.kind == Kind::Preflight);
        let work = rollout.and_then(|rollout| rollout.work.get(target));
        let Some((work, key)) = work.zip(self.keys.get(target)) else {
            return;
        };
        let known = self.known.get(target);
        let facts = known.and_then(|known| known.facts.as_ref());
        let seen = facts.map(|(_, facts)| facts.essence());
        let whose = (target, *key, open.bundle);
        let steps_of = work.found_at.iter().copied();
        let findings: Vec<readiness::Told> = steps_of.zip(work.findings.iter().cloned()).collect();
        let findings = findings.as_slice();
        let gmsa = self.gmsa_of(open.rollout, target).cloned();
        let part = rollout.and_then(|rollout| rollout.plan.targets.get(target));
        let phase = part.and_then(|part| part.phases.get(work.phase));
        let steps = phase.map_or(&[][..], |phase| phase.steps.as_slice());
        if let Some(receipt) = readiness::of(whose, said, (findings, gmsa, steps), seen, now) {
            self.receipts.insert(target.clone(), receipt);
        }
    }

    /// An open bundle of a target is of a phase that only reads, as far as that is known.
    fn only_reads(&self, target: &TargetId, open: &Open) -> bool {
        let rollout = self.rollouts.get(&open.rollout);
        let phase = rollout.and_then(|rollout| {
            let work = rollout.work.get(target)?;
            rollout.plan.targets.get(target)?.phases.get(work.phase)
        });
        phase.is_some_and(PhaseWork::is_read_only)
    }

    /// Rollouts that watch a target's product just now. While a bundle that changes anything is open on it, what changes there
    /// is our own doing.
    pub(in crate::fleet) fn soaking(&self, target: &TargetId) -> Vec<RolloutId> {
        let open = self.open.get(target);
        if open.is_some_and(|open| !self.only_reads(target, open)) {
            return Vec::new();
        }
        let soaks = |(_, rollout): &(RolloutId, &Rollout)| {
            let part = rollout.plan.targets.get(target);
            let work = rollout.work.get(target);
            part.zip(work).is_some_and(|(part, work)| {
                work.state == TargetState::Pending && soaks_until(part, work).is_some()
            })
        };
        let soaking = self.active().filter(soaks);
        soaking.map(|(id, _)| id).collect()
    }

    /// The rollout whose look at the end of a watch is under way at a target.
    pub(super) fn verified_behind_a_watch(&self, target: &TargetId) -> Option<RolloutId> {
        let id = self.open.get(target)?.rollout;
        let rollout = self.rollouts.get(&id)?;
        let part = rollout.plan.targets.get(target)?;
        soaks_until(part, rollout.work.get(target)?).map(|_| id)
    }

    /// Changes the work of a target whose product a rollout watches, beside the steps that prove it.
    fn watch(&mut self, id: RolloutId, target: &TargetId, act: impl FnOnce(&[Step], &mut Work)) {
        let Some(rollout) = self.rollouts.get_mut(&id) else {
            return;
        };
        let part = rollout.plan.targets.get(target);
        let last = part.and_then(|part| part.phases.last());
        let steps = last.map_or(&[][..], |last| &last.steps);
        rollout.work.change(target, |work| act(steps, work));
    }

    /// Facts of a target whose product is watched are held against those before.
    fn looked_at(&mut self, target: &TargetId, facts: &Facts, now: Timestamp) {
        let known = self.known.get(target);
        let before = known.and_then(|known| known.facts.as_ref());
        let before = before.map(|(_, facts)| facts.clone());
        for id in self.soaking(target) {
            self.watch(id, target, |steps, work| {
                if work.watched.told(steps, before.as_ref(), facts, now) {
                    work.since = now;
                    work.watched.anew(now);
                }
            });
        }
        // The look at the end of a watch tells what nobody has told before: it is judged when that look is over.
        if let Some(id) = self.verified_behind_a_watch(target) {
            self.watch(id, target, |steps, work| {
                work.watched.told(steps, before.as_ref(), facts, now);
            });
        }
    }

    /// How long steps take, as the agent's own clock has it.
    fn takes(&mut self, target: &TargetId, event: &Event, at: Timestamp) {
        let step = match event {
            Event::StepCompleted {
                generation, step, ..
            } => self.open_step(target, *generation, *step),
            Event::FactsReported(_)
            | Event::BundleAccepted { .. }
            | Event::BundleRefused { .. }
            | Event::StepBegun { .. }
            | Event::SectionEntered { .. }
            | Event::SectionLeft { .. }
            | Event::SecretAsked { .. }
            | Event::SecretReceived { .. }
            | Event::TaskOpened { .. }
            | Event::Probed { .. }
            | Event::Discovered { .. }
            | Event::ForestRead { .. }
            | Event::ConnectSettingsRead { .. }
            | Event::ConnectExportRead { .. }
            | Event::CycleBeforeWizard { .. }
            | Event::StepFailed { .. }
            | Event::StepInconclusive { .. }
            | Event::RunFinished { .. }
            | Event::Frozen(_)
            | Event::Thawed
            | Event::ServiceRestarted { .. } => None,
        };
        let step = step.cloned();
        self.taken.heard(target, event, step.as_ref(), at);
    }

    /// The step of the bundle that is open at a target, where it has that generation.
    pub(in crate::fleet) fn open_step(
        &self,
        target: &TargetId,
        generation: Generation,
        step: protocol::StepIndex,
    ) -> Option<&Step> {
        let open = self.open.get(target);
        let open = open.filter(|open| open.generation == generation)?;
        let rollout = self.rollouts.get(&open.rollout)?;
        let phase = rollout.work.get(target)?.phase;
        let work = rollout.plan.targets.get(target)?.phases.get(phase)?;
        work.steps.get(usize::from(step.0))
    }

    /// A step of the phase that is under way at a target registers its agent.
    fn registers(&self, target: &TargetId) -> bool {
        let phase = self.open.get(target).and_then(|open| {
            let rollout = self.rollouts.get(&open.rollout)?;
            let phase = rollout.work.get(target)?.phase;
            rollout.plan.targets.get(target)?.phases.get(phase)
        });
        let mut steps = phase.into_iter().flat_map(|phase| &phase.steps);
        // The wizard of a move registers the agent that it brings.
        steps.any(|step| {
            matches!(step.serves(), Some(Served::Registers(_)))
                || matches!(step, Step::GuideTransition(_))
        })
    }

    /// What a step's cmdlets gave the agent of its domains. A wizard gives no rights, and what an earlier try gave unheard is not
    /// known.
    fn gave(
        &mut self,
        target: &TargetId,
        generation: Generation,
        step: protocol::StepIndex,
        completion: &Completion,
    ) {
        let known = self.known.get(target);
        let (domains, account, anew) = match self.open_step(target, generation, step) {
            Some(Step::RegisterProvisioningAgent(register)) => {
                let named = register.gmsa.as_ref().map(ToString::to_string);
                (register.domains.clone(), named, true)
            }
            Some(Step::AddDomains(add)) => {
                let facts = known.and_then(|known| known.facts.as_ref());
                let agent = facts.and_then(|(_, facts)| facts.provisioning_agent.as_ref());
                let account = agent.and_then(account_of).map(ToOwned::to_owned);
                (add.domains.clone(), account, false)
            }
            // Whoever was at the wizard may have chosen another account there, and other domain controllers.
            Some(Step::GuideProvisioningAgent(_)) => {
                if *completion != Completion::AlreadySo {
                    self.beyond.given.remove(target);
                }
                return;
            }
            Some(_) | None => return,
        };
        let open = self
            .open
            .get(target)
            .and_then(|open| self.rollouts.get(&open.rollout));
        let state = open.and_then(|rollout| Some(&rollout.work.get(target)?.state));
        let by_hand = matches!(state, Some(TargetState::AwaitingPerson { .. }));
        if by_hand || *completion != Completion::Applied {
            if anew {
                self.beyond.given.remove(target);
            }
            return;
        }
        let given = self.beyond.given.entry(target.clone()).or_default();
        for domain in domains {
            let had = known.and_then(|known| known.had(&domain.name));
            let is = given.entry(domain.name).or_default();
            // A domain that is there is not added again, which is when controllers are named.
            if had == Some(false) {
                is.preferred_dcs = Some(domain.preferred_dcs);
            }
            // What is not surely this account's is not known to be given.
            if !is.is_surely_of(account.as_deref()) {
                is.permissions.clear();
            }
            is.account.clone_from(&account);
            is.permissions.extend(domain.permissions);
        }
    }

    /// What a step made the agent serve; without a completion it failed, or could not tell.
    fn serves(
        &mut self,
        target: &TargetId,
        generation: Generation,
        step: protocol::StepIndex,
        completion: Option<&Completion>,
    ) {
        let step = self.open_step(target, generation, step);
        let moved = matches!(step, Some(Step::GuideTransition(_)));
        let served = step.and_then(Step::serves);
        let Some(known) = self.known.get_mut(target) else {
            return;
        };
        // The wizard of a move registers the agent that it brings, and nobody has told which domains it gave it.
        if moved && completion.is_some() {
            known.domains.get_or_insert_default();
            known.owes = false;
        }
        let Some(served) = served else {
            return;
        };
        match (&served, completion) {
            (Served::Registers(_) | Served::Adds(_), Some(_)) => known.owes = false,
            (Served::Registers(_), None) => known.owes = true,
            // Its account was there before.
            (Served::Adds(_), None) => {}
        }
        match served {
            // It failed on its way, an earlier try came to its end unheard, or a person did it at the wizard, where a probe sees that it
            // is registered and nothing of its domains: what it was given is not known, and a later step looks there before it adds.
            Served::Registers(_)
                if completion.is_none_or(|how| {
                    matches!(how, Completion::AlreadySo | Completion::SeenDone)
                }) =>
            {
                known.domains.get_or_insert_default();
            }
            Served::Adds(_) if completion.is_none() => {}
            // The cmdlets and the wizard add, and leave what is there, also where its account is set anew. Of one that somebody else registered
            // these are known from now on; which others it was given nobody has told.
            Served::Registers(domains) | Served::Adds(domains) => {
                known.domains.get_or_insert_default().extend(domains);
            }
        }
    }

    fn finished(
        &mut self,
        target: &TargetId,
        generation: Generation,
        ending: &Ending,
        now: Timestamp,
    ) {
        // Also where nobody knows of the bundle any more: a run that is over is in no section.
        self.told_its_end(target, (generation, None), None);
        let gate = self.gates.get(target);
        if gate.is_some_and(|gate| gate.generation == generation) {
            self.close_gate(target, None);
        }
        if self.at_it.get(target).is_some_and(|at| *at <= generation) {
            self.at_it.remove(target);
        }
        let Some(open) = self
            .open
            .get(target)
            .filter(|open| open.generation == generation)
            .cloned()
        else {
            return;
        };
        if matches!(ending, Ending::Failed(_)) {
            self.compare_again(open.rollout, target);
        }
        if self.found_otherwise(target, &open, ending) {
            self.never_came(target, generation);
            self.close_gate(target, None);
            self.asked.remove(target);
            self.open.remove(target);
            let of = self.rollouts.get(&open.rollout);
            let aborted = of.is_some_and(|one| one.state == RolloutState::Aborted);
            let state = if aborted {
                TargetState::Aborted
            } else {
                TargetState::Pending
            };
            self.set(open.rollout, target, state, now);
            self.lets_go(open.rollout, target, true);
            return;
        }
        self.open.remove(target);
        self.close_gate(target, None);
        self.asked.remove(target);
        let cycles = self.cycles_of(open.rollout, target, now);
        let known = self.known.get(target);
        let facts = known.and_then(|known| known.facts.as_ref());
        let left = facts.map_or_else(VersionsLeft::default, |(_, facts)| VersionsLeft::of(facts));
        let Some(rollout) = self.rollouts.get_mut(&open.rollout) else {
            return;
        };
        let phases = rollout
            .plan
            .targets
            .get(target)
            .map_or(0, |part| part.phases.len());
        let ours = rollout.plan.targets.get(target);
        let ours = ours.zip(rollout.work.get(target));
        let ours = ours.and_then(|(part, work)| part.phases.get(work.phase));
        let changed = ours.is_some_and(|phase| !phase.is_read_only());
        let aborted = rollout.state == RolloutState::Aborted;
        let (plan, need) = (&rollout.plan, rollout.plan.need);
        let watched = ours.is_some_and(|phase| phase.phase == Phase::Soak);
        let part = rollout.plan.targets.get(target);
        let claims = part.zip(rollout.work.get(target));
        let claims = claims.is_some_and(|(part, work)| part.claims_active(work.phase));
        let graded = part.is_some_and(|part| is_graded(plan, part));
        let ends = |work: &mut Work| {
            let enough = !graded || work.grade >= Some(need);
            work.receipts += 1;
            work.since = now;
            let seen = std::mem::take(&mut work.watched);
            let worse = seen.why().filter(|_| watched && seen.is_plain());
            match (ending, worse) {
                (Ending::Completed, Some(why)) => {
                    let failure = Failure::plain(format!("while it was watched: {why}"));
                    work.state = TargetState::Failed {
                        step: protocol::StepIndex(0),
                        failure: Box::new(failure),
                    };
                }
                (Ending::Completed, None) => {
                    let last = work.phase + 1 >= phases;
                    work.short = last && !enough;
                    work.cycles = cycles;
                    let lacks = lacks(plan, target, work).filter(|_| last);
                    // What was to show the grade and did not is what a retry does again.
                    if lacks.is_none() {
                        work.phase += 1;
                        work.switching &= !claims;
                    }
                    work.state = if let Some(question) = lacks {
                        TargetState::Inconclusive(question)
                    } else if last {
                        work.left = left;
                        TargetState::Done(work.grade)
                    } else if aborted {
                        TargetState::Aborted
                    } else {
                        TargetState::Pending
                    };
                }
                // A failed step has said more than the ending does.
                (Ending::Failed(why), _) => {
                    if !matches!(work.state, TargetState::Failed { .. }) {
                        let failure = Box::new(protocol::event::Failure::plain(why.clone()));
                        work.state = TargetState::Failed {
                            step: protocol::StepIndex(0),
                            failure,
                        };
                    }
                }
                (Ending::Inconclusive(question), _) => {
                    work.state = TargetState::Inconclusive(question.clone())
                }
                (Ending::Aborted, _) => {
                    // What was ended in the middle, and what is not known of it, stays to be read.
                    if let TargetState::Inconclusive(question) = &work.state {
                        work.said.push(question.clone());
                    }
                    work.state = TargetState::Aborted;
                }
                (Ending::Expired, _) => work.state = TargetState::Expired,
            }
        };
        let moved = moves(rollout, target, ending);
        if rollout.work.change(target, ends).is_none() {
            return;
        }
        // This log has no abort of it: a life of it that is lost had.
        if *ending == Ending::Aborted && self.unmet.contains(target) && !aborted {
            rollout.was_aborted_before(target);
        }
        let active = self.modes.get(target) == Some(&Some(false));
        match moved {
            Some((tenant, Moves::ToCloudSync)) => {
                let moved = Moved {
                    rollout: open.rollout,
                    target: target.clone(),
                    at: now,
                };
                self.beyond.moved.insert(tenant, moved);
            }
            Some((tenant, Moves::MayBeBack)) if active => {
                self.beyond.moved.remove(&tenant);
            }
            Some((_, Moves::MayBeBack)) | None => {}
        }
        self.tried_again_at_its_end(&open, target, now);
        self.active.insert(open.rollout);
        self.retire(open.rollout);
        // What Entrain itself did to it in another rollout was no failure of the product, and is watched from here on.
        for id in self.soaking(target) {
            if changed && id != open.rollout {
                self.watch(id, target, |_, work| {
                    work.since = now;
                    work.watched = Watched::default();
                });
            }
        }
    }
}

/// What the end of a phase says of the tool that its tenant is with.
enum Moves {
    /// It was moved to cloud sync.
    ToCloudSync,
    /// A Connect server of it was made active, or verified: where it is active, the tenant is with Connect.
    MayBeBack,
}

fn moves(rollout: &Rollout, target: &TargetId, ending: &Ending) -> Option<(TenantId, Moves)> {
    let part = rollout.plan.targets.get(target)?;
    let phase = rollout.work.get(target)?.phase;
    if *ending != Ending::Completed || !part.is_of(Product::Connect) {
        return None;
    }
    let verified = || {
        let steps = part.phases.get(phase)?.steps.iter();
        let mut kinds = steps.filter(|step| matches!(step, Step::VerifyConnect(_)));
        kinds.next()
    };
    let what = if part.moves_in(phase) {
        Moves::ToCloudSync
    } else if !part.moves() && verified().is_some() {
        Moves::MayBeBack
    } else {
        return None;
    };
    Some((part.tenant.clone(), what))
}

const fn step_after(step: protocol::StepIndex) -> protocol::StepIndex {
    step.next()
}
