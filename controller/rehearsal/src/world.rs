//! A fleet in virtual time: the controller's own machine on one side, agents' own cores on models of servers on the other,
//! and nothing between them but time. Time goes from one happening to the next.

mod agents;
mod copies;
mod said;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use agent_core::op::{Op, Outcome};
use agent_twin::{Fault, Shared};
use controller_core::facts::{self, Fleetwide};
use controller_core::fleet::{
    Asking, Cause, Consent, Decision, Fleet, Live, Moment, Refusal, RolloutState, Unaccepted,
};
use controller_core::overrides::Rule;
use controller_core::plan::Plan;
use controller_core::record::{Order, Record};
use protocol::event::{Event, Freeze, GmsaChange};
use protocol::key::SigningKey;
use protocol::secret::SecretKind;
use protocol::signed::{ControllerKind, Ending, Manifest, Phase, Role, RoleKeys, TrustRoot, sign};
use protocol::step::Product;
use protocol::wire::latest::ControlDown;
use protocol::{
    Attempt, BundleId, Digest, DomainName, Epoch, EventIndex, Generation, PlanId, RolloutId,
    StepIndex, TargetId, Timestamp,
};

use crate::chance::Chance;
use crate::pulses::{Pulses, ends_section};
use crate::server::{Server, Wish};
use crate::stands::{Other, Stands};

/// The first rollout; those that are applied beside it are counted on.
pub const ROLLOUT: RolloutId = RolloutId(1);

/// Who applies plans.
const BY: &str = "a rehearsal";

/// How long a word takes from one side to the other.
const WAY: Duration = Duration::from_millis(40);

/// What is asked of a rehearsal.
#[derive(Debug, Clone)]
pub struct Ask {
    /// When it begins.
    pub begin: Timestamp,
    /// How long a person takes for an ask for a secret, or for a wizard; absent when nobody comes.
    pub person: Option<Duration>,
    /// What is wrong with which server.
    pub faults: BTreeMap<TargetId, BTreeSet<Fault>>,
    /// The seed of chance.
    pub seed: u64,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
struct When(Timestamp, u64);

enum Happening {
    Ended {
        target: TargetId,
        life: u32,
        number: u64,
        outcome: Outcome,
    },
    Flushed {
        target: TargetId,
        life: u32,
        number: u64,
        op: Op,
    },
    Offer {
        target: TargetId,
        envelope: Vec<u8>,
    },
    Permitted {
        target: TargetId,
        life: u32,
        generation: Generation,
        step: StepIndex,
        attempt: Attempt,
        after: Option<GmsaChange>,
    },
    Given {
        target: TargetId,
        life: u32,
        number: u64,
        wanted: SecretKind,
    },
    /// A person has looked at what no probe could see.
    Looked {
        target: TargetId,
        life: u32,
        generation: Generation,
        step: StepIndex,
    },
    Welcome {
        target: TargetId,
    },
    /// A word of the controller's to whoever is at work.
    Said {
        target: TargetId,
        word: ControlDown,
    },
    Timeout {
        target: TargetId,
    },
    Thaw {
        target: TargetId,
    },
    /// An agent says what its product does, and that is not what it said before.
    Pulse {
        target: TargetId,
        at: Timestamp,
    },
    Look,
}

/// The whole.
pub struct World {
    /// Now.
    pub now: Timestamp,
    /// The controller's machine.
    pub fleet: Fleet,
    /// Who is here, as the controller sees it.
    pub live: Live,
    pulses: Pulses,
    /// Everything that the controller has recorded.
    pub log: Vec<(Timestamp, Record)>,
    plans: BTreeMap<PlanId, Plan>,
    servers: BTreeMap<TargetId, Server>,
    /// What the servers of a domain share.
    shared: BTreeMap<DomainName, Shared>,
    /// The life of each server's journal, and how much of it is stored.
    indexes: BTreeMap<TargetId, (Epoch, u64)>,
    /// What servers have journaled while they were away.
    backlog: BTreeMap<TargetId, Vec<(Timestamp, Event)>>,
    /// Servers whose key was revoked or replaced: they have no session before they are enrolled anew.
    keyless: BTreeSet<TargetId>,
    /// Servers without power.
    off: BTreeSet<TargetId>,
    /// Servers whose disk has not taken yet what they have journaled last.
    stalled: BTreeSet<TargetId>,
    bundles: BTreeMap<BundleId, Vec<u8>>,
    queue: BinaryHeap<Reverse<When>>,
    happenings: BTreeMap<u64, Happening>,
    next: u64,
    /// The next look that the machine asked for.
    looks: Option<Timestamp>,
    timeouts: BTreeMap<TargetId, Timestamp>,
    /// Why each server whose time came was where it was.
    waited: BTreeMap<TargetId, String>,
    /// The server to which something has happened last.
    touched: Option<TargetId>,
    chance: Chance,
    ask: Ask,
    root: TrustRoot,
    signer: SigningKey,
    /// The rollout that is rehearsed.
    pub(crate) rehearsed: RolloutId,
    /// Tenants hold what a controller knows of them.
    as_known: bool,
    /// Why each target that could begin is held, where the fleet stands still: by cause.
    pub(crate) held: Vec<(TargetId, Cause, String)>,
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World")
            .field("now", &self.now)
            .field("servers", &self.servers.len())
            .finish_non_exhaustive()
    }
}

impl World {
    /// A fleet as it was last reported, with that plan applied to it.
    #[must_use]
    pub fn new(plan: &Plan, known: &Fleetwide, ask: Ask) -> Self {
        Self::beside(plan, &[], known, ask)
    }

    /// The same as its servers stand: some are away, some are frozen.
    pub(crate) fn standing(plan: &Plan, stands: &Stands, known: &Fleetwide, ask: Ask) -> Self {
        Self::made(plan, (&[], stands), known, ask)
    }

    /// The same with the servers of other plans, which may be applied beside it ([`Self::apply`]).
    #[must_use]
    pub fn beside(plan: &Plan, others: &[&Plan], known: &Fleetwide, ask: Ask) -> Self {
        Self::made(plan, (others, &Stands::default()), known, ask)
    }

    /// The same where a tenant holds what somebody reads of it ([`Self::reads_tenant`]), and nothing before that.
    #[must_use]
    pub fn with_tenants(plan: &Plan, others: &[&Plan], known: &Fleetwide, ask: Ask) -> Self {
        let stands = Stands {
            number: Some(ROLLOUT),
            ..Stands::default()
        };
        Self::made(plan, (others, &stands), known, ask)
    }

    fn made(
        plan: &Plan,
        (others, stands): (&[&Plan], &Stands),
        known: &Fleetwide,
        ask: Ask,
    ) -> Self {
        let signer = SigningKey::generate();
        let role = || RoleKeys {
            keys: vec![signer.public()],
            threshold: 1,
        };
        let nobody = || RoleKeys {
            keys: Vec::new(),
            threshold: 0,
        };
        let root = TrustRoot {
            format: 1,
            version: 1,
            kind: ControllerKind::Simulated,
            issued: ask.begin,
            expires: ask.begin.plus(Duration::from_secs(10 * 365 * 86_400)),
            roles: Role {
                root: role(),
                bundle: role(),
                approver: nobody(),
                publisher: nobody(),
            },
            authority: Vec::new(),
            override_operators: 1,
        };
        let mut world = Self {
            now: ask.begin,
            fleet: stands.seen.clone(),
            live: Live {
                began: ask.begin,
                ..Live::default()
            },
            pulses: Pulses::default(),
            log: Vec::new(),
            plans: BTreeMap::new(),
            servers: BTreeMap::new(),
            shared: BTreeMap::new(),
            indexes: BTreeMap::new(),
            backlog: BTreeMap::new(),
            keyless: BTreeSet::new(),
            off: BTreeSet::new(),
            stalled: BTreeSet::new(),
            bundles: BTreeMap::new(),
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            next: 0,
            looks: None,
            timeouts: BTreeMap::new(),
            waited: BTreeMap::new(),
            touched: None,
            chance: Chance::new(ask.seed),
            ask,
            root,
            signer,
            rehearsed: stands.number.unwrap_or(ROLLOUT),
            as_known: stands.number.is_some(),
            held: Vec::new(),
        };
        let beside = stands.others.iter().map(|other| &other.plan);
        let others = others.iter().copied().chain(beside);
        let others = others.flat_map(|other| &other.targets);
        for (target, part) in plan.targets.iter().chain(others) {
            let Some(known) = known.get(target) else {
                continue;
            };
            if world.servers.contains_key(target) {
                continue;
            }
            let facts = known.facts.as_ref().map(|(_, facts)| facts);
            let none = BTreeSet::new();
            let faults = world.ask.faults.get(target).unwrap_or(&none);
            let server = Server::new(target, part, facts, faults, world.ask.person);
            let enrolled = Record::AgentEnrolled {
                target: target.clone(),
                key: server.key.public(),
                epoch: Epoch(1),
                token: Digest::ZERO,
                by: "token".to_owned(),
                simulated: true,
            };
            world.record(enrolled);
            world.servers.insert(target.clone(), server);
            if let Some(facts) = facts {
                world.told(target, &Event::FactsReported(Box::new(facts.clone())));
            }
            // Whoever is said to be off does not come back while another takes its place.
            if plan.off.as_ref() != Some(target) && !stands.away.contains(target) {
                world.arrives(target);
            }
            if let Some(until) = stands
                .frozen
                .get(target)
                .filter(|until| world.now < **until)
            {
                world.freeze(target, Some(*until));
                let target = target.clone();
                world.at(*until, Happening::Thaw { target });
            }
        }
        if let Some(target) = plan.off.clone() {
            let by = BY.to_owned();
            world.record(Record::SaidOff { target, by });
        }
        for other in &stands.others {
            world.takes_up(other);
        }
        let Some(order) = &stands.stopped else {
            world.carry_out(world.rehearsed, plan);
            return world;
        };
        // What the freeze holds is told by the machine; the course is what follows once it is lifted.
        world.record(Record::FleetFrozen {
            why: order.why.clone(),
            by: order.by.clone(),
        });
        world.carry_out(world.rehearsed, plan);
        let view = world.fleet.view(world.rehearsed, &world.live, world.now);
        let rows = view.map(|view| view.targets).unwrap_or_default();
        let held = rows.into_iter().filter(|row| row.state == "held");
        world.held = held
            .filter_map(|row| Some((row.target, row.lifts?.cause, row.detail)))
            .collect();
        let by = order.by.clone();
        world.record(Record::FleetThawed { by });
        world.decide();
        world
    }

    /// Another rollout goes on from where it is; nothing is decided before all of them are.
    fn takes_up(&mut self, other: &Other) {
        self.applied(other.id, &other.plan, other.not_before);
        if other.paused {
            self.ordered(other.id, Order::Pause);
        }
        for target in &other.settled {
            let order = Order::Skip {
                target: target.clone(),
                reason: "it is done".to_owned(),
            };
            self.ordered(other.id, order);
        }
        for target in &other.failed {
            let generation = self.fleet.next_generation(target);
            self.record(Record::BundleIssued {
                rollout: other.id,
                target: target.clone(),
                generation,
                phase: Phase::Prepare,
                bundle: BundleId(Digest::ZERO),
                expires: self.now,
            });
            let ending = Ending::Failed("it has failed before".to_owned());
            let receipt = String::new();
            self.told(
                target,
                &Event::RunFinished {
                    generation,
                    ending,
                    receipt,
                },
            );
        }
    }

    fn ordered(&mut self, rollout: RolloutId, order: Order) {
        let by = "an operator".to_owned();
        self.record(Record::Ordered { rollout, order, by });
    }

    /// A plan as it would be made now: of what its servers, which are models, have told by now.
    #[must_use]
    pub fn planned(&self, plan: &Plan) -> Plan {
        let mut plan = self.modelled(plan);
        plan.facts = facts::digest(self.fleet.known(), plan.targets.keys().cloned());
        plan
    }

    /// Applies another plan ([`Self::planned`]) beside those that are carried out, where it may be: whatever it asks for is agreed to.
    ///
    /// # Errors
    /// With the reason, when it may not be.
    pub fn apply(&mut self, plan: &Plan) -> Result<RolloutId, Refusal> {
        let consent = agreed(plan, None);
        let moment = Moment {
            live: &self.live,
            has_session: &|target| self.live.connected.contains(target),
            roster: None,
            now: self.now,
        };
        let id = plan.id();
        self.fleet.may_apply((id, plan), &consent, moment)?;
        let rollout = self.fleet.next_rollout();
        for (rollout, order) in self.fleet.ends_elsewhere(plan, self.now) {
            let by = BY.to_owned();
            self.orders(rollout, order, by);
        }
        self.plans.insert(id, plan.clone());
        for record in consent.records(rollout, id, BY) {
            self.record(record);
        }
        self.decide();
        Ok(rollout)
    }

    fn carry_out(&mut self, rollout: RolloutId, plan: &Plan) {
        self.applied(rollout, plan, None);
        self.decide();
    }

    /// It is carried out, whatever stands against it: that is what a rehearsal is asked.
    fn applied(&mut self, rollout: RolloutId, plan: &Plan, not_before: Option<Timestamp>) {
        let plan = self.modelled(plan);
        // That a server is off was said before anybody came, and nobody has given a number.
        let consent = Consent {
            change: None,
            off: None,
            ..agreed(&plan, not_before)
        };
        let id = plan.id();
        self.plans.insert(id, plan);
        for record in consent.records(rollout, id, BY) {
            self.record(record);
        }
    }

    fn modelled(&self, plan: &Plan) -> Plan {
        let mut plan = plan.clone();
        // No tenant is modelled: it holds what a controller knows of it, and where there is none it is said to be in order.
        if !self.as_known {
            plan.tenants.clear();
        }
        // A model has the products of its server, and a Windows of its own: what the plan read of that is not asked of it.
        for part in plan.targets.values_mut() {
            part.essence = None;
        }
        plan
    }

    /// The plan that a record applies, as whoever folds the log needs it.
    #[must_use]
    pub fn plan_of(&self, record: &Record) -> Option<&Plan> {
        applied(&self.plans, record)
    }

    /// Everybody whom the plan names and who is enrolled.
    pub fn targets(&self) -> impl Iterator<Item = &TargetId> {
        self.servers.keys()
    }

    fn record(&mut self, record: Record) {
        self.fleet
            .apply(&record, applied(&self.plans, &record), self.now);
        self.log.push((self.now, record));
    }

    fn at(&mut self, when: Timestamp, happening: Happening) {
        self.next += 1;
        self.queue.push(Reverse(When(when, self.next)));
        self.happenings.insert(self.next, happening);
    }

    /// The next happening, with everything that follows from it; false when nothing more will happen by itself.
    pub fn step(&mut self) -> bool {
        let Some(Reverse(When(at, id))) = self.queue.pop() else {
            return false;
        };
        let Some(happening) = self.happenings.remove(&id) else {
            return true;
        };
        self.now = self.now.max(at);
        self.touched = None;
        self.happen(happening);
        self.decide();
        true
    }

    /// The server to which something has happened with the last step: no other one serves more or less since.
    #[must_use]
    pub const fn touched(&self) -> Option<&TargetId> {
        self.touched.as_ref()
    }

    /// When something happens next.
    #[must_use]
    pub fn next_at(&self) -> Option<Timestamp> {
        let Reverse(When(at, _)) = self.queue.peek()?;
        Some((*at).max(self.now))
    }

    /// Goes on up to a moment.
    pub fn run_until(&mut self, end: Timestamp, mut look: impl FnMut(&Self)) {
        while self.queue.peek().is_some_and(|next| next.0.0 <= end) {
            self.step();
            look(self);
        }
        self.now = self.now.max(end);
    }

    fn happen(&mut self, happening: Happening) {
        let now = self.now;
        let (target, wishes) = match happening {
            Happening::Look => return self.looks = None,
            Happening::Thaw { target } => return self.freeze(&target, None),
            Happening::Pulse { target, at } => {
                if self.pulses.is_due(&target, at) {
                    self.pulse(&target);
                    self.looks_around(&target);
                }
                return;
            }
            Happening::Ended {
                target,
                life,
                number,
                outcome,
            } => {
                let wishes = self.with(&target, life, |server| server.ended(number, outcome, now));
                (target, wishes)
            }
            Happening::Flushed {
                target,
                life,
                number,
                op,
            } => {
                let lives = self.servers.get(&target).map(|server| server.life);
                if lives != Some(life) {
                    return;
                }
                self.stalled.remove(&target);
                if self.live.connected.contains(&target) {
                    for (at, event) in self.backlog.remove(&target).unwrap_or_default() {
                        self.told_at(&target, &event, at);
                    }
                }
                let wishes = self.with(&target, life, |server| server.flushed(number, &op, now));
                (target, wishes)
            }
            Happening::Offer { target, envelope } => {
                if !self.live.connected.contains(&target) {
                    return;
                }
                let root = self.root.clone();
                let wishes =
                    self.at_server(&target, |server| server.offered(&envelope, &root, now));
                (target, wishes)
            }
            Happening::Permitted {
                target,
                life,
                generation,
                step,
                attempt,
                after,
            } => {
                if !self.live.connected.contains(&target) {
                    return;
                }
                let wishes = self.with(&target, life, |server| {
                    server.permitted(generation, step, attempt, after, now)
                });
                (target, wishes)
            }
            Happening::Looked {
                target,
                life,
                generation,
                step,
            } => {
                if !self.live.connected.contains(&target)
                    || self.fleet.must_stop(&target, now).is_some()
                {
                    // They say it to the controller, which says it on when the server is back, and not while nobody may go on.
                    let again = Happening::Looked {
                        target,
                        life,
                        generation,
                        step,
                    };
                    self.at(self.now.plus(Duration::from_secs(600)), again);
                    return;
                }
                let by = "a person".to_owned();
                self.record(Record::Attested {
                    target: target.clone(),
                    generation,
                    step,
                    by: by.clone(),
                });
                let word = ControlDown::Attested {
                    generation,
                    step,
                    by,
                };
                let wishes = self.with(&target, life, |server| server.hears(&word, now));
                (target, wishes)
            }
            Happening::Given {
                target,
                life,
                number,
                wanted,
            } => {
                // A sealed answer goes through the controller.
                if !self.live.connected.contains(&target) {
                    return;
                }
                let wishes = self.with(&target, life, |server| server.given(number, &wanted, now));
                (target, wishes)
            }
            Happening::Welcome { target } => {
                if !self.live.connected.contains(&target) {
                    return;
                }
                let newest = self.servers.get(&target).map(Server::generation);
                let words = self
                    .fleet
                    .words_of_welcome(&target, newest.unwrap_or_default());
                let wishes = self.at_server(&target, |server| server.welcomed(&words, now));
                (target, wishes)
            }
            Happening::Said { target, word } => {
                if !self.live.connected.contains(&target) {
                    return;
                }
                let wishes = self.at_server(&target, |server| server.hears(&word, now));
                (target, wishes)
            }
            Happening::Timeout { target } => {
                self.timeouts.remove(&target);
                if let Some(why) = self.fleet.why(&target, &self.live, now) {
                    self.waited.insert(target.clone(), why.answer);
                }
                let wishes = self.at_server(&target, |server| server.timed_out(now));
                (target, wishes)
            }
        };
        self.follow(&target, wishes);
    }

    fn with(
        &mut self,
        target: &TargetId,
        life: u32,
        act: impl FnOnce(&mut Server) -> Vec<Wish>,
    ) -> Vec<Wish> {
        let lives = self.servers.get(target).map(|server| server.life);
        if lives != Some(life) {
            return Vec::new();
        }
        self.at_server(target, act)
    }

    /// Has a server do something, on what the servers of its domain share.
    fn at_server(
        &mut self,
        target: &TargetId,
        act: impl FnOnce(&mut Server) -> Vec<Wish>,
    ) -> Vec<Wish> {
        // Who is at a wizard looks at its task before going on.
        let stop = self.fleet.must_stop(target, self.now).is_some();
        let Some(server) = self.servers.get_mut(target) else {
            return Vec::new();
        };
        server.twin.tell_person(stop);
        let home = target.home_domain();
        if let Some(shared) = home.as_ref().and_then(|home| self.shared.get(home)) {
            server.twin.set_shared(shared.clone());
        }
        let wishes = act(server);
        if let Some(home) = home
            && self.shared.get(&home) != Some(server.twin.shared())
        {
            self.shared.insert(home, server.twin.shared().clone());
        }
        wishes
    }

    fn follow(&mut self, target: &TargetId, wishes: Vec<Wish>) {
        self.touched = Some(target.clone());
        let life = self.servers.get(target).map_or(0, |server| server.life);
        let stalls = |wish: &Wish| matches!(wish, Wish::Stalled { .. });
        if wishes.iter().any(stalls) {
            self.stalled.insert(target.clone());
        }
        for wish in wishes {
            match wish {
                Wish::Stalled { number, op, time } => {
                    let flushed = Happening::Flushed {
                        target: target.clone(),
                        life,
                        number,
                        op,
                    };
                    self.at(self.now.plus(time), flushed);
                }
                Wish::Told(event) => {
                    self.looks_at(target, life, &event);
                    self.journaled(target, event);
                }
                Wish::Busy {
                    number,
                    outcome,
                    time,
                } => {
                    let time = self.chance.about(time);
                    let ended = Happening::Ended {
                        target: target.clone(),
                        life,
                        number,
                        outcome,
                    };
                    self.at(self.now.plus(time), ended);
                }
                Wish::Leave {
                    generation,
                    step,
                    attempt,
                    section,
                } => {
                    if self.live.connected.contains(target) {
                        self.fleet
                            .asks_permit(target, generation, step, attempt, section);
                    }
                }
                Wish::Secret { number, wanted } => {
                    if let Some(person) = self.ask.person {
                        let time = self.chance.about(person);
                        let given = Happening::Given {
                            target: target.clone(),
                            life,
                            number,
                            wanted,
                        };
                        self.at(self.now.plus(time), given);
                    }
                }
            }
        }
        self.may_differ(target);
        let due = self.servers.get(target).and_then(Server::timeout);
        if let Some(due) = due
            && self.timeouts.get(target).is_none_or(|known| due < *known)
        {
            self.timeouts.insert(target.clone(), due);
            let target = target.clone();
            self.at(due, Happening::Timeout { target });
        }
    }

    /// Some work ends by a person's word alone: they look, and say so.
    fn looks_at(&mut self, target: &TargetId, life: u32, event: &Event) {
        let Event::TaskOpened {
            generation,
            step,
            text,
        } = event
        else {
            return;
        };
        let Some(person) = self.ask.person.filter(|_| text.ends_by_word()) else {
            return;
        };
        let looked = Happening::Looked {
            target: target.clone(),
            life,
            generation: *generation,
            step: *step,
        };
        let time = self.chance.about(person);
        self.at(self.now.plus(time), looked);
    }

    /// A server has journaled something: the controller hears of it now, or when the server is back.
    fn journaled(&mut self, target: &TargetId, event: Event) {
        if self.live.connected.contains(target) && !self.stalled.contains(target) {
            self.told(target, &event);
        } else {
            let backlog = self.backlog.entry(target.clone()).or_default();
            backlog.push((self.now, event));
        }
    }

    fn told(&mut self, target: &TargetId, event: &Event) {
        self.told_at(target, event, self.now);
    }

    /// The same of what was journaled at that time.
    fn told_at(&mut self, target: &TargetId, event: &Event, at: Timestamp) {
        let (epoch, index) = self.indexes.entry(target.clone()).or_insert((Epoch(1), 0));
        *index += 1;
        let record = Record::TargetEvent {
            target: target.clone(),
            epoch: *epoch,
            index: EventIndex(*index),
            kind: event.kind(),
            at,
            body: String::from_utf8_lossy(&event.to_body()).into_owned(),
        };
        let run = self.fleet.open(target).map(|open| open.rollout);
        let runs = |fleet: &Fleet, run: RolloutId| {
            let rollout = fleet.rollouts().get(&run);
            rollout.is_some_and(|rollout| rollout.state == RolloutState::Running)
        };
        let ran = run.filter(|run| runs(&self.fleet, *run));
        self.record(record);
        if let Some(run) = ran {
            self.say(self.fleet.words_of_a_standstill(run));
        }
        self.live.heard(target, event);
        if ends_section(event) && self.live.connected.contains(target) {
            // Its agent says more once that is stored.
            let at = self.now.plus(2 * WAY);
            self.pulses.hurries(target, at);
            let target = target.clone();
            self.at(at, Happening::Pulse { target, at });
        }
    }

    fn serves(&self, target: &TargetId) -> bool {
        let server = self.servers.get(target);
        server.is_some_and(|server| server.serves() && !self.off.contains(target))
    }

    fn pulse(&mut self, target: &TargetId) {
        let serving = self.serves(target);
        self.pulses.said(&mut self.live, target, serving);
    }

    /// Something has happened on a server: where its product does something else than its agent said last, the next pulse says so.
    fn may_differ(&mut self, target: &TargetId) {
        if self.is_out(target) {
            self.pulses.is_taken_out(target);
        }
        let is = (self.serves(target), self.now);
        if let Some(at) = self.pulses.differs(&self.live, target, is) {
            let target = target.clone();
            self.at(at, Happening::Pulse { target, at });
        }
    }

    fn is_out(&self, target: &TargetId) -> bool {
        self.inside(target).is_some_and(|section| section.outage)
    }

    /// Has the machine decide until it wants nothing more.
    fn decide(&mut self) {
        loop {
            let decisions = self.fleet.decide(&self.live, self.now);
            let before = self.log.len();
            for decision in decisions {
                self.carries_out(decision);
            }
            if self.log.len() == before {
                break;
            }
        }
        if let Some(at) = self.fleet.poll_timeout(&self.live, self.now)
            && self.looks.is_none_or(|known| at < known)
        {
            self.looks = Some(at);
            self.at(at.plus(Duration::from_millis(1)), Happening::Look);
        }
    }

    fn carries_out(&mut self, decision: Decision) {
        let signed = self.signs(&decision);
        let bundle = signed.as_ref().map(|(manifest, envelope)| {
            let bundle = BundleId(Digest::of(envelope));
            (manifest, bundle)
        });
        for record in decision.records(bundle, self.now) {
            self.record(record);
        }
        let bundle = bundle.map(|(_, bundle)| bundle);
        if let (Some((manifest, envelope)), Some(bundle)) = (signed, bundle) {
            self.bundles.insert(bundle, envelope);
            self.offer(&manifest.target, bundle);
        }
        if let Decision::Permit {
            target,
            gate,
            after,
            ..
        } = decision
        {
            self.pulses.leave(&target, self.now);
            let life = self.servers.get(&target).map_or(0, |server| server.life);
            let permitted = Happening::Permitted {
                target,
                life,
                generation: gate.generation,
                step: gate.step,
                attempt: gate.attempt,
                after,
            };
            self.at(self.now.plus(WAY), permitted);
        }
    }

    /// The bundle of an offer, signed; `None` of what is no offer, and where there is nobody to whom it could go.
    fn signs(&self, decision: &Decision) -> Option<(Manifest, Vec<u8>)> {
        let Decision::Issue {
            rollout,
            target,
            phase,
            ..
        } = decision
        else {
            return None;
        };
        let key = self.servers.get(target)?.key.public().fingerprint();
        let manifest = self
            .fleet
            .manifest(*rollout, target, *phase, key, self.now)?;
        let envelope = sign(&manifest, &[&self.signer]).to_json();
        Some((manifest, envelope))
    }

    fn offer(&mut self, target: &TargetId, bundle: BundleId) {
        let Some(envelope) = self.bundles.get(&bundle).cloned() else {
            return;
        };
        let target = target.clone();
        self.at(self.now.plus(WAY), Happening::Offer { target, envelope });
    }

    /// A server's session begins: what it has journaled meanwhile comes first.
    pub fn arrives(&mut self, target: &TargetId) {
        self.comes(target);
        self.decide();
    }

    fn comes(&mut self, target: &TargetId) {
        if self.keyless.contains(target) || self.off.contains(target) {
            return;
        }
        let Some(newest) = self.servers.get(target).map(Server::generation) else {
            return;
        };
        if !self.stalled.contains(target) {
            for (at, event) in self.backlog.remove(target).unwrap_or_default() {
                self.told_at(target, &event, at);
            }
        }
        self.meets(target, newest);
        self.live.came(target.clone(), self.now);
        self.pulses.begins(target, self.now);
        self.pulse(target);
        match self.fleet.unaccepted(target, newest, &self.live, self.now) {
            Some(Unaccepted::Offer(bundle)) => self.offer(target, bundle),
            Some(Unaccepted::Withdraw(generation)) => {
                let target = target.clone();
                self.record(Record::Withdrawn { target, generation });
            }
            None => {}
        }
        let target = target.clone();
        self.at(self.now.plus(WAY), Happening::Welcome { target });
    }

    /// A server's session ends.
    pub fn leaves(&mut self, target: &TargetId) {
        if self.keyless.contains(target) || self.off.contains(target) {
            return;
        }
        self.live.left(target, self.now);
        self.fleet.forget_asked(target);
        if let Some(server) = self.servers.get_mut(target) {
            server.lost();
        }
        self.decide();
    }

    /// An agent is killed and comes back with its journal; its session ended with it.
    pub fn kill(&mut self, target: &TargetId) {
        if self.off.contains(target) {
            return;
        }
        self.leaves(target);
        if self.stalled.remove(target) {
            self.backlog.remove(target);
        }
        // Another process looks again.
        self.pulses.speaks_again(&self.live, target, self.now);
        let now = self.now;
        let wishes = self.at_server(target, |server| server.killed(now));
        self.follow(target, wishes);
    }

    /// The controller ends and comes back with nothing but its log: every session ended with it. Gives what it knew and
    /// what it knows, which must be the same.
    pub fn restart_controller(&mut self) -> (Fleet, Fleet) {
        let mut before = std::mem::take(&mut self.fleet);
        for (at, record) in &self.log {
            self.fleet.apply(record, applied(&self.plans, record), *at);
        }
        let after = self.fleet.clone();
        self.nobody_is_here();
        let targets: Vec<TargetId> = self.servers.keys().cloned().collect();
        for target in targets {
            // What was asked is of the moment: it is asked again.
            before.forget_asked(&target);
            self.arrives(&target);
        }
        (before, after)
    }

    /// Every session has ended with the controller, which reads again what is known of versions.
    fn nobody_is_here(&mut self) {
        self.live = Live {
            began: self.now,
            versions: self.live.versions.take(),
            ..Live::default()
        };
    }

    /// The same where the log is kept elsewhere and told `fleet`: those servers come back, all in one moment.
    pub fn restart_with<'a>(&mut self, fleet: Fleet, back: impl Iterator<Item = &'a TargetId>) {
        self.fleet = fleet;
        self.nobody_is_here();
        back.for_each(|target| self.comes(target));
        self.decide();
    }

    /// An operator orders something of the first rollout.
    ///
    /// # Errors
    /// With the reason, when it cannot be.
    pub fn order(&mut self, order: Order) -> Result<(), String> {
        self.order_of(ROLLOUT, order)
    }

    /// The same of any rollout.
    ///
    /// # Errors
    /// With the reason, when it cannot be.
    pub fn order_of(&mut self, rollout: RolloutId, order: Order) -> Result<(), String> {
        self.fleet
            .may_order(rollout, &order, &self.live, self.now)?;
        // Whoever was resolved is told to end, and comes to know it when it is back.
        self.orders(rollout, order, "an operator".to_owned());
        self.decide();
        Ok(())
    }

    /// An order that each open run of its rollout hears of.
    fn orders(&mut self, rollout: RolloutId, order: Order, by: String) {
        let words = self.fleet.words_of(rollout, &order, self.now);
        self.record(Record::Ordered { rollout, order, by });
        self.say(words);
    }

    /// Everything stands still, or goes on: each open run hears of it.
    fn stops(&mut self, order: Record) {
        self.record(order);
        let targets: Vec<TargetId> = self.servers.keys().cloned().collect();
        for target in targets {
            let words = self.fleet.standing(&target);
            self.say(words.into_iter().map(|word| (target.clone(), word)));
        }
        self.decide();
    }

    /// Words go out to whoever is here.
    fn say(&mut self, words: impl IntoIterator<Item = (TargetId, ControlDown)>) {
        for (target, word) in words {
            if self.live.connected.contains(&target) {
                self.at(self.now.plus(WAY), Happening::Said { target, word });
            }
        }
    }

    /// The whole fleet is made to stand still, or is let go on.
    ///
    /// # Errors
    /// With the reason, when it is so already.
    pub fn stands_still(&mut self, still: bool) -> Result<(), String> {
        let by = "an operator".to_owned();
        if still {
            self.fleet.may_freeze()?;
            let why = "something is wrong everywhere".to_owned();
            self.stops(Record::FleetFrozen { why, by });
        } else {
            self.fleet.may_thaw()?;
            self.stops(Record::FleetThawed { by });
        }
        Ok(())
    }

    /// A server's administrator freezes it, or thaws it: its agent tells, and refuses what is offered meanwhile.
    pub fn freeze(&mut self, target: &TargetId, until: Option<Timestamp>) {
        let Some(server) = self.servers.get_mut(target) else {
            return;
        };
        if self.off.contains(target) {
            return;
        }
        server.frozen = until;
        let event = until.map_or(Event::Thawed, |until| {
            Event::Frozen(Freeze {
                until,
                by: "its administrator".to_owned(),
                why: "it is needed tonight".to_owned(),
            })
        });
        self.journaled(target, event);
        self.decide();
    }

    /// An operator sets a rule aside on a server.
    ///
    /// # Errors
    /// With the reason, when that cannot be said.
    pub fn overrides(&mut self, rule: Rule, target: &TargetId) -> Result<(), String> {
        let (by, reason, change) = ("an operator", "it is urgent", "CHG1");
        let asking = Asking {
            rule,
            target,
            by,
            reason,
            change,
        };
        self.fleet.may_override(asking, self.now)?;
        self.record(Record::OverrideSaid {
            rule,
            target: target.clone(),
            by: by.to_owned(),
            asked: 1,
            change: change.to_owned(),
            reason: reason.to_owned(),
        });
        self.decide();
        Ok(())
    }

    /// What is wrong with a server is mended, or something else is wrong.
    pub fn set_faults(&mut self, target: &TargetId, faults: BTreeSet<Fault>) {
        let before = self.serves(target);
        if let Some(server) = self.servers.get_mut(target) {
            server.twin.set_faults(faults);
        }
        let serves = (before, self.serves(target));
        self.pulses.ends(target, serves, self.now);
        self.may_differ(target);
        self.looks_around(target);
    }

    /// Whoever is at a server restarts Windows, which waits for that no more.
    pub fn restarts_windows(&mut self, target: &TargetId) {
        if let Some(server) = self.servers.get_mut(target) {
            server.twin.restart();
        }
        self.may_differ(target);
    }

    /// A server's agent says no more what its product does, and its session stays: it is stuck.
    pub fn falls_silent(&mut self, target: &TargetId) {
        let (live, now) = (&mut self.live, self.now);
        self.pulses.falls_silent(live, target, now);
    }

    /// It does so again.
    pub fn speaks_again(&mut self, target: &TargetId) {
        if let Some(at) = self.pulses.speaks_again(&self.live, target, self.now) {
            let target = target.clone();
            self.at(at, Happening::Pulse { target, at });
        }
    }

    /// The product of a server logs an error just now.
    pub fn logs_error(&mut self, target: &TargetId) {
        if let Some(server) = self.servers.get_mut(target) {
            server.twin.log_error(self.now);
        }
    }

    /// A server's disk takes that long for what is journaled as its next section is entered: until then nothing is begun or told.
    pub fn stalls(&mut self, target: &TargetId, time: Duration) {
        if let Some(server) = self.servers.get_mut(target) {
            server.stalls = Some(time);
        }
    }

    /// Somebody sets the mode of a Connect server at its wizard, whatever anybody planned.
    pub fn sets_mode(&mut self, target: &TargetId, staging: bool) {
        if let Some(server) = self.servers.get_mut(target) {
            server.twin.set_mode(staging);
        }
        self.looks_around(target);
    }

    /// A server's agent looks at it outside of any run, and tells what has changed: what it does at each welcome, and at the
    /// pulse that shows something else than its last facts.
    fn looks_around(&mut self, target: &TargetId) {
        if self.pulses.is_silent(target) || self.off.contains(target) {
            return;
        }
        let now = self.now;
        let server = self.servers.get_mut(target);
        let facts = server.and_then(|server| server.look_around(now));
        if let Some(facts) = facts {
            self.journaled(target, Event::FactsReported(Box::new(facts)));
            self.decide();
        }
    }

    /// The service of a product ends on a server, and is started again by itself.
    pub fn restarts_service(&mut self, target: &TargetId, product: Product) {
        self.journaled(target, Event::ServiceRestarted { product });
        self.decide();
    }

    /// What a server waited for when its time ran out.
    #[must_use]
    pub fn waited(&self, target: &TargetId) -> Option<&str> {
        self.waited.get(target).map(String::as_str)
    }

    /// Servers that truly serve a domain just now.
    #[must_use]
    pub fn serving(&self, servers: &[TargetId]) -> usize {
        servers.iter().filter(|target| self.serves(target)).count()
    }

    /// Servers that serve a domain while `out` is out of service, as far as anybody could know as it got its leave: they truly serve, or
    /// their product has ended by itself so lately that their last pulse was fresh then. Whoever is out of service itself does not count.
    #[must_use]
    pub fn serving_beside(&self, out: &TargetId, servers: &[TargetId]) -> usize {
        let counts = |server: &&TargetId| {
            let lately = !self.is_out(server) && self.pulses.counted(server, out);
            self.serves(server) || lately
        };
        servers.iter().filter(counts).count()
    }

    /// What was changed on a server, in order.
    #[must_use]
    pub fn changes(&self, target: &TargetId) -> &[String] {
        self.servers
            .get(target)
            .map_or(&[], |server| server.twin.changes.as_slice())
    }

    /// The domains that the agent on a server has, whatever the controller knows of them.
    #[must_use]
    pub fn domains(&self, target: &TargetId) -> &[String] {
        self.servers
            .get(target)
            .map_or(&[], |server| server.twin.domains())
    }

    /// The section that a server is in, whatever the controller knows of it.
    #[must_use]
    pub fn inside(&self, target: &TargetId) -> Option<&protocol::event::Section> {
        self.servers.get(target)?.inside.as_ref()
    }

    /// Whether a server is its tenant's active Connect server, as it is; `None` without Connect.
    #[must_use]
    pub fn is_active(&self, target: &TargetId) -> Option<bool> {
        let twin = &self.servers.get(target)?.twin;
        let runs = !self.off.contains(target);
        twin.staging().map(|_| runs && twin.exports())
    }

    /// The same of the rollout that is rehearsed.
    pub(crate) fn is_rehearsed(&self) -> bool {
        let rollout = self.fleet.rollouts().get(&self.rehearsed);
        rollout.is_none_or(controller_core::fleet::Rollout::is_over)
    }

    /// Nothing is under way and nothing will be, without a person.
    #[must_use]
    pub fn is_over(&self) -> bool {
        let mut rollouts = self.fleet.rollouts().values();
        rollouts.all(controller_core::fleet::Rollout::is_over)
    }
}

/// What an operator says who agrees to all that a plan asks for.
fn agreed(plan: &Plan, not_before: Option<Timestamp>) -> Consent {
    Consent {
        change: plan.change_required.then(|| "CHG-1".to_owned()),
        irreversible: u32::try_from(plan.irreversible.len()).unwrap_or(u32::MAX),
        off: plan.off.clone(),
        not_before,
    }
}

/// The plan of a record that applies one.
fn applied<'a>(plans: &'a BTreeMap<PlanId, Plan>, record: &Record) -> Option<&'a Plan> {
    if let Record::Applied { plan, .. } = record {
        plans.get(plan)
    } else {
        None
    }
}
