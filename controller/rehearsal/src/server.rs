//! One modelled server with the agent's own core on it: guard, run and twin.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent_core::guard::{Answer, Standing, consider};
use agent_core::held::Held;
use agent_core::op::{Op, Outcome};
use agent_core::procedure::{Complete, Host, Next, Procedure, Want};
use agent_core::run::{Action, Leave, Run};
use agent_core::step::{WATCH, facts};
use agent_core::stood::Stood;
use agent_twin::{Fault, Installed, Profile, Twin};
use controller_core::fleet::PERMIT_LIFE;
use controller_core::plan::TargetPlan;
use protocol::event::{Completion, Event, GmsaChange, Section};
use protocol::facts::{Facts, ServiceState};
use protocol::key::SigningKey;
use protocol::refusal::Refusal;
use protocol::secret::{Secret, SecretKind};
use protocol::signed::{Manifest, TrustRoot, Verified};
use protocol::step::Product;
use protocol::wire::latest::ControlDown;
use protocol::{Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp};

/// How fast an artifact comes over a site's line, in bytes a second.
pub(crate) const LINE: u64 = 8 << 20;

/// What a server wants of the world around it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wish {
    /// It has journaled this.
    Told(Event),
    /// An operation is under way and ends after this time.
    Busy {
        number: u64,
        outcome: Outcome,
        time: Duration,
    },
    /// What it has journaled is on its disk after this time, and the operation is begun then.
    Stalled { number: u64, op: Op, time: Duration },
    /// It asks for leave.
    Leave {
        generation: Generation,
        step: StepIndex,
        attempt: Attempt,
        section: Section,
    },
    /// It asks a person for a secret.
    Secret { number: u64, wanted: SecretKind },
}

/// A fence that waits for the end of the run that is open.
#[derive(Debug)]
struct Superseding {
    envelope: Vec<u8>,
    /// The root that it is judged by.
    root: TrustRoot,
    rollout: RolloutId,
    generation: Generation,
    /// The open run.
    open: Generation,
}

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) target: TargetId,
    pub(crate) key: SigningKey,
    pub(crate) twin: Twin,
    /// The run that is open, its bundle, and what its journal holds.
    run: Option<Run>,
    bundle: Option<(Verified<Manifest>, Vec<Event>)>,
    newest: Option<(Generation, BundleId)>,
    /// Since when its products stand as they were proven.
    stood: Stood,
    held: Held,
    secrets: BTreeMap<SecretKind, Secret>,
    /// The section that it is in, as it is and not as anybody was told.
    pub(crate) inside: Option<Section>,
    /// How long its disk takes for what is journaled before the first operation of its next section.
    pub(crate) stalls: Option<Duration>,
    /// The section that it has journaled meanwhile.
    entering: Option<Section>,
    /// What its agent told last of it.
    told: Option<Facts>,
    /// Its administrator wants nothing done to it until then.
    pub(crate) frozen: Option<Timestamp>,
    /// What its run makes way for.
    superseding: Option<Superseding>,
    /// Counts its lives: an outcome of an earlier one is nobody's.
    pub(crate) life: u32,
}

/// What is wrong with a server by its own facts, and stays so. A wizard that was left open and a cycle that is off are ended by the
/// person whose work that is.
fn told(facts: &Facts) -> impl Iterator<Item = Fault> {
    let host = &facts.host;
    [
        (host.reboot_pending, Fault::RebootPending),
        (host.domain_controller, Fault::DomainController),
    ]
    .into_iter()
    .filter_map(|(wrong, fault)| wrong.then_some(fault))
}

impl Server {
    /// A server as its facts say, with the person at it who does what the plan tells.
    pub(crate) fn new(
        target: &TargetId,
        part: &TargetPlan,
        facts: Option<&Facts>,
        faults: &BTreeSet<Fault>,
        person: Option<Duration>,
    ) -> Self {
        let mut faults = faults.clone();
        let agent = facts.and_then(|facts| facts.provisioning_agent.as_ref());
        let agent = agent.filter(|agent| !agent.is_removed());
        let connect = facts.and_then(|facts| facts.connect.as_ref());
        let of_connect = part.is_of(Product::Connect);
        let installed = match (agent, connect) {
            (_, Some(connect)) if of_connect => match connect.version {
                Some(version) => Installed::Connect {
                    version,
                    staging: connect.staging.unwrap_or(true),
                },
                None => Installed::Nothing,
            },
            (Some(agent), _) => match (agent.version, &agent.tenant) {
                (Some(version), Some(tenant)) => Installed::ProvisioningAgent {
                    version,
                    tenant: tenant.clone(),
                },
                (Some(version), None) => Installed::Unregistered { version },
                (None, _) => Installed::Nothing,
            },
            (None, _) => Installed::Nothing,
        };
        if agent.is_some_and(|agent| {
            agent.tenant.is_some() && agent.service != Some(ServiceState::Running)
        }) {
            faults.insert(Fault::ServiceStopped);
        }
        faults.extend(facts.into_iter().flat_map(told));
        let mut twin = Twin::new(Profile {
            target: target.clone(),
            installed,
            person: person.map(|_| part.tenant.clone()),
            faults,
        });
        let rounds = person.unwrap_or_default().as_secs() / WATCH.as_secs();
        twin.take_rounds(u32::try_from(rounds).unwrap_or(u32::MAX));
        if let Some(account) = agent.and_then(|agent| agent.account.as_deref()) {
            twin.set_account(account);
        }
        if let Some(options) = agent.and_then(|agent| agent.options.as_ref()) {
            twin.set_options(options);
        }
        if let Some(owed) = agent.and_then(|agent| agent.owes_registration) {
            twin.break_registration_off(owed);
        }
        Self {
            target: target.clone(),
            key: SigningKey::generate(),
            twin,
            run: None,
            bundle: None,
            newest: None,
            stood: Stood::default(),
            held: Held::default(),
            secrets: BTreeMap::new(),
            inside: None,
            stalls: None,
            entering: None,
            told: None,
            frozen: None,
            superseding: None,
            life: 0,
        }
    }

    fn host() -> Host {
        Host::model(env!("CARGO_PKG_VERSION"))
    }

    /// Whether its product serves just now: it runs, and nothing is done to it.
    pub(crate) fn serves(&self) -> bool {
        let out = self.inside.as_ref().is_some_and(|section| section.outage);
        !out && self.twin.serves() && !self.twin.is_half_registered()
    }

    /// What it is, where that is not what its agent told last; a run reports for itself.
    pub(crate) fn look_around(&mut self, now: Timestamp) -> Option<Facts> {
        if self.run.is_some() {
            return None;
        }
        let host = Self::host();
        let mut procedure = Procedure::new(false);
        let mut found = None;
        loop {
            let next = procedure.drive(&[], &host, |cx| {
                found = Some(facts::probe(cx)?);
                Ok(Complete::new(Completion::AlreadySo, ""))
            });
            let Next::Want(Want::Op(op)) = next else {
                break;
            };
            procedure.add(self.twin.perform(&op, &self.secrets).0);
        }
        let facts = found.filter(|facts| self.told.as_ref() != Some(facts))?;
        self.told = Some(facts.clone());
        let event = Event::FactsReported(Box::new(facts.clone()));
        self.stood.hear(&event, now);
        Some(facts)
    }

    /// The generation of the newest bundle that it took.
    pub(crate) fn generation(&self) -> Generation {
        self.newest.map_or(Generation(0), |(newest, _)| newest)
    }

    /// A bundle is offered: the agent's own guard decides.
    pub(crate) fn offered(
        &mut self,
        envelope: &[u8],
        root: &TrustRoot,
        now: Timestamp,
    ) -> Vec<Wish> {
        let standing = Standing {
            target: &self.target,
            key: &self.key.public(),
            root,
            newest: self.newest,
            open: self.run.as_ref().map(Run::generation),
            frozen: self.frozen.filter(|until| now < *until),
            now,
        };
        let bundle = BundleId(Digest::of(envelope));
        match consider(envelope, &standing) {
            Answer::Accept(manifest) => {
                let accepted = Event::BundleAccepted {
                    bundle,
                    generation: manifest.generation,
                    rollout: manifest.rollout,
                    phase: manifest.phase,
                    change: manifest.change.clone(),
                };
                self.newest = Some((manifest.generation, bundle));
                self.bundle = Some((Verified::clone(&manifest), vec![accepted.clone()]));
                self.stood.hear(&accepted, now);
                self.held.hear(&accepted);
                let run = Run::new(*manifest, Self::host(), &[], now);
                let run = run.standing_since(self.stood.since());
                self.run = Some(run.behind_a_held_cycle(self.held.before_the_wizard()));
                let mut wishes = vec![Wish::Told(accepted)];
                wishes.extend(self.go_on(now));
                wishes
            }
            Answer::AcceptedBefore => Vec::new(),
            Answer::Supersede { open, fence } => {
                if let Some(run) = &mut self.run {
                    run.abort(now);
                }
                self.superseding = Some(Superseding {
                    envelope: envelope.to_vec(),
                    root: root.clone(),
                    rollout: fence.rollout,
                    generation: fence.generation,
                    open,
                });
                self.go_on(now)
            }
            Answer::Refuse(refusal) => vec![Wish::Told(Event::BundleRefused { bundle, refusal })],
        }
    }

    /// Carries out what its run wants until it waits.
    pub(crate) fn go_on(&mut self, now: Timestamp) -> Vec<Wish> {
        let mut wishes = Vec::new();
        while let Some(run) = &mut self.run {
            let Some(action) = run.poll_action() else {
                break;
            };
            match action {
                Action::Journal(event) => self.journal(event, &mut wishes, now),
                Action::Perform { number, op } => match self
                    .stalls
                    .take_if(|_| !op.is_glance() && self.entering.is_some())
                {
                    Some(time) => wishes.push(Wish::Stalled { number, op, time }),
                    None => wishes.extend(self.performs(number, &op, now)),
                },
                Action::AskPermit {
                    step,
                    attempt,
                    section,
                } => wishes.push(Wish::Leave {
                    generation: run.generation(),
                    step,
                    attempt,
                    section,
                }),
                Action::AskSecret { number, wanted, .. } => {
                    wishes.push(Wish::Secret { number, wanted });
                }
                Action::Finish(conclusion) => {
                    let finished = Event::RunFinished {
                        generation: run.generation(),
                        ending: conclusion.ending,
                        receipt: String::new(),
                    };
                    self.journal(finished, &mut wishes, now);
                    self.run = None;
                    self.bundle = None;
                    self.secrets.clear();
                    self.inside = None;
                }
            }
        }
        if self.run.is_none()
            && let Some(fence) = self.superseding.take()
        {
            wishes.extend(self.offered(&fence.envelope, &fence.root, now));
        }
        wishes
    }

    /// Performs an operation, where its leave has not lapsed by now.
    fn performs(&mut self, number: u64, op: &Op, now: Timestamp) -> Option<Wish> {
        let run = self.run.as_mut()?;
        // A glance waits for no disk, and does nothing.
        let glances = op.is_glance();
        let may = glances || run.may_perform(number, now);
        let entering = self.entering.take_if(|_| !glances);
        if let Some(section) = entering.filter(|_| may) {
            self.inside = Some(section);
        }
        if !may {
            return None;
        }
        self.twin.set_clock(now);
        let (outcome, time) = self.twin.perform(op, &self.secrets);
        let time = if let Op::Fetch { artifact } = op {
            Duration::from_secs(artifact.size / LINE)
        } else {
            time
        };
        if time.is_zero() {
            run.handle_outcome(number, outcome, now);
            return None;
        }
        Some(Wish::Busy {
            number,
            outcome,
            time,
        })
    }

    /// What it has journaled is on its disk.
    pub(crate) fn flushed(&mut self, number: u64, op: &Op, now: Timestamp) -> Vec<Wish> {
        let mut wishes: Vec<Wish> = self.performs(number, op, now).into_iter().collect();
        wishes.extend(self.go_on(now));
        wishes
    }

    fn journal(&mut self, event: Event, wishes: &mut Vec<Wish>, now: Timestamp) {
        self.stood.hear(&event, now);
        self.held.hear(&event);
        if let Event::SectionEntered { section, .. } = &event {
            // Nothing is done in it before that is on the disk.
            let into = if self.stalls.is_some() {
                &mut self.entering
            } else {
                &mut self.inside
            };
            *into = Some(section.clone());
        } else if let Event::SectionLeft { .. } = &event {
            self.inside = None;
            self.entering = None;
        } else if let Event::StepBegun { step, .. } = &event
            && let Some((manifest, _)) = &self.bundle
            && let Some(step) = manifest.steps.get(usize::from(step.0))
        {
            self.twin.asked(step);
        }
        if let Event::FactsReported(facts) = &event {
            self.told = Some((**facts).clone());
        }
        if let Some((_, history)) = &mut self.bundle {
            history.push(event.clone());
        }
        wishes.push(Wish::Told(event));
    }

    /// What was under way has ended.
    pub(crate) fn ended(&mut self, number: u64, outcome: Outcome, now: Timestamp) -> Vec<Wish> {
        if let Some(run) = &mut self.run {
            run.handle_outcome(number, outcome, now);
        }
        self.go_on(now)
    }

    /// Leave has come.
    pub(crate) fn permitted(
        &mut self,
        generation: Generation,
        step: StepIndex,
        attempt: Attempt,
        after: Option<GmsaChange>,
        now: Timestamp,
    ) -> Vec<Wish> {
        if let Some(run) = &mut self.run
            && run.generation() == generation
        {
            let leave = Leave {
                after,
                lasts: PERMIT_LIFE,
                came: Duration::ZERO,
            };
            run.handle_permit(step, attempt, leave, now);
        }
        self.go_on(now)
    }

    /// A person has given a secret.
    pub(crate) fn given(&mut self, number: u64, wanted: &SecretKind, now: Timestamp) -> Vec<Wish> {
        if let Some(run) = &mut self.run
            && run.awaits_secret(number)
        {
            let secret = Secret {
                user: "a person".to_owned(),
                value: "a secret of a rehearsal".to_owned(),
            };
            self.secrets.insert(wanted.clone(), secret);
            run.handle_secret(number, wanted, Ok(()), now);
        }
        self.go_on(now)
    }

    /// Its time limits.
    pub(crate) fn timed_out(&mut self, now: Timestamp) -> Vec<Wish> {
        if let Some(run) = &mut self.run {
            run.handle_timeout(now);
        }
        self.go_on(now)
    }

    /// When [`Self::timed_out`] is due.
    pub(crate) fn timeout(&self) -> Option<Timestamp> {
        self.run.as_ref().and_then(Run::poll_timeout)
    }

    /// The agent ends and comes back with nothing but its journal; it is held until its controller speaks, but for the section
    /// that it is in.
    pub(crate) fn killed(&mut self, now: Timestamp) -> Vec<Wish> {
        self.life += 1;
        self.superseding = None;
        self.secrets.clear();
        let lost = self.entering.take().is_some();
        if let Some((manifest, history)) = &mut self.bundle {
            // What was not on the disk yet is gone.
            let entered = |event: &Event| matches!(event, Event::SectionEntered { .. });
            if let Some(at) = history.iter().rposition(entered).filter(|_| lost) {
                history.truncate(at);
            }
            let manifest = Verified::clone(manifest);
            let run = Run::held(manifest, Self::host(), history, now);
            let run = run.standing_since(self.stood.since());
            self.run = Some(run.behind_a_held_cycle(self.held.before_the_wizard()));
        }
        self.go_on(now)
    }

    /// The power is cut, or its agent begins anew with another key and another journal: nothing of its run goes on. What its products
    /// are stays as it is.
    pub(crate) fn begins_anew(&mut self) {
        self.life += 1;
        self.key = SigningKey::generate();
        self.run = None;
        self.bundle = None;
        self.newest = None;
        self.stood = Stood::default();
        self.held = Held::default();
        self.secrets.clear();
        self.inside = None;
        self.stalls = None;
        self.entering = None;
        self.told = None;
        self.frozen = None;
        self.superseding = None;
    }

    /// Its session ended: what was offered in it and not taken yet is offered again.
    pub(crate) fn lost(&mut self) {
        self.superseding = None;
        if let Some(run) = &mut self.run {
            run.out_of_reach();
        }
    }

    /// Its controller welcomes it, and says what stands for its run.
    pub(crate) fn welcomed(&mut self, words: &[ControlDown], now: Timestamp) -> Vec<Wish> {
        if let Some(run) = self.run.as_mut() {
            run.ask_again(now);
        }
        let mut wishes = Vec::new();
        for word in words {
            wishes.extend(self.takes(word, now));
        }
        wishes.extend(self.go_on(now));
        wishes
    }

    /// Its controller says a word to its run.
    pub(crate) fn hears(&mut self, word: &ControlDown, now: Timestamp) -> Vec<Wish> {
        let mut wishes: Vec<Wish> = self.takes(word, now).into_iter().collect();
        wishes.extend(self.go_on(now));
        wishes
    }

    /// As an agent does, which lets words pass that are for another run. Gives what it tells of a fence that waits for the end of its run,
    /// where that is not to begin.
    fn takes(&mut self, word: &ControlDown, now: Timestamp) -> Option<Wish> {
        let ends = |fence: &mut Superseding| {
            matches!(word, ControlDown::Pause { rollout } if fence.rollout == *rollout)
                || matches!(word, ControlDown::Abort { generation } if fence.generation == *generation)
        };
        let refused = self.superseding.take_if(ends).map(|fence| {
            let bundle = BundleId(Digest::of(&fence.envelope));
            let refusal = Refusal::Busy { open: fence.open };
            Wish::Told(Event::BundleRefused { bundle, refusal })
        });
        if let Some(run) = self.run.as_mut() {
            let (own, in_it) = (run.generation(), run.manifest().rollout);
            if matches!(word, ControlDown::Pause { rollout } if *rollout == in_it) {
                run.pause();
            } else if matches!(word, ControlDown::Resume { rollout } if *rollout == in_it) {
                run.resume(now);
            } else if matches!(word, ControlDown::Abort { generation } if *generation == own) {
                run.abort(now);
            } else if let ControlDown::Attested {
                generation,
                step,
                by,
            } = word
                && *generation == own
            {
                // Whoever says that it is done has done it.
                self.twin.add_domains_by_hand();
                run.handle_attested(*step, by.clone());
            }
        }
        refused
    }
}
