//! Guard rails G1 to G6, G9 and G10 at each action, as properties: whatever is written down, whatever servers reported when it was planned and
//! whatever they report since, in whatever order, no offer and no leave breaks one of them. What is right is told here by what was heard
//! alone, and not by the machine.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

mod since;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use controller_core::facts::{Fleetwide, Known};
use controller_core::finding::Severity;
use controller_core::fleet::{Decision, Fleet, Gate, Live, PERMIT_LIFE, Pulse};
use controller_core::plan::{
    Afterwards, Inputs, Plan, Purpose, TargetPlan, failover, plan, swing, switch, transition,
};
use controller_core::policy;
use controller_core::record::{Order, Record};
use controller_core::topology::{check, parse};
use proptest::collection::vec;
use proptest::prelude::*;
use protocol::event::{DiscoveredServer, Event, Failure, GmsaObject, Section};
use protocol::facts::{ConnectFacts, Facts, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::settings::{ConnectSettings, Setting, SettingsPart, UnreadPart};
use protocol::signed::Ending;
use protocol::step::{ConnectWork, Product, Step};
use protocol::{
    Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, TenantId, Timestamp,
    Version,
};

use crate::common;
use since::{Row, Since};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const OLD: Version = Version::new(2, 5, 79, 0);
const STEP: StepIndex = StepIndex(0);
const TENANTS: [&str; 3] = [
    "11111111-0000-0000-0000-000000000000",
    "22222222-0000-0000-0000-000000000000",
    // Described by no topology.
    "33333333-0000-0000-0000-000000000000",
];

fn tenant(number: u8) -> TenantId {
    TENANTS[usize::from(number) % 3].parse().unwrap()
}

/// What a Connect server reports: nothing of Connect, or whether it is the newest version, and its mode.
type Mode = Option<(bool, Option<bool>)>;

/// What a host of agents reports: no agent, or with which tenant it is registered.
type Registered = Option<Option<u8>>;

/// What agents serve.
const DOMAINS: [&str; 3] = ["d.test", "e.test", "g.test"];

/// Agents that serve the same.
#[derive(Debug, Clone)]
struct Group {
    hosts: Vec<Registered>,
    /// Which of the domains; the first where none is.
    serves: [bool; 3],
    /// They are another tenant's.
    other: bool,
}

impl Group {
    fn domains(&self) -> BTreeSet<&'static str> {
        let all = DOMAINS.into_iter().zip(self.serves);
        let served: BTreeSet<&str> = all
            .filter_map(|(domain, is)| is.then_some(domain))
            .collect();
        if served.is_empty() {
            BTreeSet::from([DOMAINS[0]])
        } else {
            served
        }
    }
}

/// How another Connect server is to become active.
#[derive(Debug, Clone, Copy)]
enum Change {
    Swap,
    Swing(Afterwards),
    /// In place of that one, which is said to be off.
    Failover(usize),
    /// None: the one before it moves the tenant to cloud sync.
    Move,
}

/// What is written down, and what servers report of it when it is planned.
#[derive(Debug, Clone)]
struct Written {
    servers: Vec<Mode>,
    groups: Vec<Group>,
    /// How many are to serve each domain, where that is written.
    least: [Option<u32>; 3],
    /// Which of the servers is to become active, beside what the topology asks for, and how.
    to: usize,
    change: Change,
    /// That is applied first.
    change_first: bool,
    /// Whether synchronization of the tenant was on when it was planned, where somebody had read that.
    on: Option<bool>,
    /// Whoever applied it accepted one act less than cannot be undone.
    short: bool,
}

/// A difference of rules that somebody approved: in which rollout, and what both servers told.
type Approval = (RolloutId, TargetId, Option<u8>, TargetId, Option<u8>);

fn server(number: usize) -> String {
    format!("c{number}.f.test")
}

fn host(number: usize) -> String {
    format!("a{number}.d.test")
}

fn connect_facts(mode: Mode) -> Facts {
    let connect = mode.map(|(newest, staging)| ConnectFacts {
        version: Some(if newest { common::CONNECT } else { OLD }),
        service: Some(ServiceState::Running),
        staging,
        cycle_enabled: Some(true),
        suspended: Some(false),
    });
    common::facts(None, connect)
}

fn agent_facts(registered: Registered) -> Facts {
    let agent = registered.map(|registered| ProvisioningAgentFacts {
        tenant: registered.map(tenant),
        ..common::old_agent()
    });
    common::facts(agent, None)
}

/// Settings by what a server's rules are; one that cannot tell says so.
fn settings(rules: Option<u8>) -> ConnectSettings {
    let Some(rules) = rules else {
        let unread = UnreadPart {
            part: SettingsPart::Rules,
            why: "the module names no ScopeFilter".to_owned(),
        };
        return ConnectSettings::of(Vec::new(), vec![unread]);
    };
    let setting = Setting {
        part: SettingsPart::Rules,
        name: "inbound rule \"Sales\"".to_owned(),
        value: format!("precedence {rules}"),
    };
    ConnectSettings::of(vec![setting], Vec::new())
}

fn guides(part: &TargetPlan, phase: usize, work: ConnectWork) -> bool {
    let steps = part.phases.get(phase).into_iter();
    steps
        .flat_map(|phase| &phase.steps)
        .any(|step| matches!(step, Step::GuideConnect(guide) if guide.work == work))
}

struct Sim {
    fleet: Fleet,
    live: Live,
    now: Timestamp,
    plans: BTreeMap<RolloutId, Plan>,
    told: u64,
    /// What each server told last.
    heard: BTreeMap<TargetId, Facts>,
    /// What each host of agents serves, and how many are to serve it where that is written.
    serves: BTreeMap<TargetId, BTreeSet<&'static str>>,
    least: BTreeMap<&'static str, u32>,
    /// Said to be off, and not heard of since.
    off: BTreeSet<TargetId>,
    /// A directory names a Connect server that nobody knows.
    stranger: bool,
    /// What each server's rules were when a rollout had them read.
    rules: BTreeMap<(RolloutId, TargetId), Option<u8>>,
    /// Differences that somebody approved, as they were then.
    approved: BTreeSet<Approval>,
    /// Phases that came to their end.
    done: BTreeSet<(RolloutId, TargetId, usize)>,
    /// Bundles that are open: of which phase.
    open: BTreeMap<TargetId, (RolloutId, usize)>,
    /// The leave that each of them got, and until when it may use it.
    leave: BTreeMap<TargetId, (Section, Timestamp)>,
    /// The newest number of each.
    numbers: BTreeMap<TargetId, Generation>,
    /// How often a server was let become active or move its tenant, and an agent's work go on.
    became: usize,
    went: usize,
    since: Since,
}

impl Sim {
    /// `None` where `check` refuses what is written, or nothing is to be done.
    fn new(written: &Written) -> Option<Self> {
        let mut text = String::new();
        for (name, id) in ["main", "other"].iter().zip(TENANTS) {
            writeln!(text, "[tenant.{name}]\nid = \"{id}\"").unwrap();
        }
        let servers: Vec<String> = (0..written.servers.len()).map(server).collect();
        if !servers.is_empty() {
            let settings = if servers.len() == 1 {
                "\"express\""
            } else {
                "{ sign_in = \"password-hash-sync\" }"
            };
            // The server before is taken off by a swing where the topology says that it goes.
            let goes = matches!(written.change, Change::Swing(Afterwards::Remove));
            let goes =
                usize::from(goes && servers.len() > 1 && !written.to.is_multiple_of(servers.len()));
            let (retired, stay) = servers.split_at(goes);
            writeln!(
                text,
                "[connect.c]\ntenant = \"main\"\nforests = [\"f.test\"]\nservers = {stay:?}\nretired = {retired:?}\nsettings = {settings}"
            )
            .unwrap();
        }
        let mut agents = Vec::new();
        let mut serves = BTreeMap::new();
        for (number, group) in written.groups.iter().enumerate() {
            let first = agents.len();
            let hosts: Vec<String> = (first..first + group.hosts.len()).map(host).collect();
            let tenant = if group.other { "other" } else { "main" };
            let domains = group.domains();
            let named: Vec<&str> = domains.iter().copied().collect();
            writeln!(
                text,
                "[agents.g{number}]\ntenant = \"{tenant}\"\nserves = {named:?}\nhosts = {hosts:?}"
            )
            .unwrap();
            for (name, registered) in hosts.iter().zip(&group.hosts) {
                agents.push((name.clone(), agent_facts(*registered)));
                serves.insert(name.parse().unwrap(), domains.clone());
            }
        }
        let mut least = BTreeMap::new();
        for (domain, minimum) in DOMAINS.into_iter().zip(written.least) {
            let served = serves.values().any(|domains| domains.contains(domain));
            if let (true, Some(minimum)) = (served, minimum) {
                writeln!(text, "[domain.{domain:?}]\nmin_serving = {minimum}").unwrap();
                least.insert(domain, minimum);
            }
        }
        let (topology, slips) = parse(&[common::document(text)]);
        assert!(slips.is_empty(), "{slips:?}");
        let findings = check(&topology, None);
        if findings.iter().any(|one| one.severity == Severity::Error) {
            return None;
        }
        let limits = "[limit]\nfailures = \"90\"\nin_flight = 90\ncanary = 0\n";
        let (policy, _) = policy::parse(&common::document(limits));
        let mut sim = Self {
            fleet: Fleet::new(),
            live: Live {
                began: NOW.minus(Duration::from_secs(86_400)),
                ..Live::default()
            },
            now: NOW,
            plans: BTreeMap::new(),
            told: 0,
            heard: BTreeMap::new(),
            serves,
            least,
            off: BTreeSet::new(),
            stranger: false,
            rules: BTreeMap::new(),
            approved: BTreeSet::new(),
            done: BTreeSet::new(),
            open: BTreeMap::new(),
            leave: BTreeMap::new(),
            numbers: BTreeMap::new(),
            became: 0,
            went: 0,
            since: Since::default(),
        };
        if let Some(on) = written.on {
            sim.reads(on);
        }
        let mut known = Fleetwide::new();
        let modes = servers.iter().zip(&written.servers);
        let modes = modes.map(|(name, mode)| (name, connect_facts(*mode)));
        let agents = agents.iter().map(|(name, facts)| (name, facts.clone()));
        for (name, facts) in modes.chain(agents) {
            let target: TargetId = name.parse().unwrap();
            let key = SigningKey::generate().public();
            let of = Known {
                facts: Some((NOW, facts.clone())),
                ..Known::of(key.fingerprint())
            };
            known.insert(target.clone(), of);
            sim.take(&common::enrolled(&target, key));
            sim.live.connected.insert(target.clone());
            sim.reports(&target, facts);
        }
        let artifacts = common::artifacts();
        let beyond = sim.fleet.beyond().clone();
        let inputs = Inputs {
            beyond: &beyond,
            ..Inputs::of(&topology, &policy, &known, &artifacts, Purpose::Install)
        };
        let mut plans = vec![plan(inputs)];
        if !servers.is_empty() {
            let named =
                |number: usize| -> TargetId { servers[number % servers.len()].parse().unwrap() };
            let to = named(written.to);
            plans.extend(match written.change {
                Change::Swap => switch(inputs, &to),
                Change::Swing(then) => swing(inputs, &to, then),
                Change::Failover(off) => failover(inputs, &to, &named(off)),
                Change::Move => transition(inputs, &named(written.to + servers.len() - 1)),
            });
        }
        if written.change_first {
            plans.reverse();
        }
        // One with an alarm is not applied.
        plans.retain(|plan| plan.alarms.is_empty() && !plan.targets.is_empty());
        for (plan, number) in plans.into_iter().zip(1..) {
            let id = RolloutId(number);
            assert!(sim.since.is_named(&plan), "G10: {:?}", plan.irreversible);
            sim.plans.insert(id, plan.clone());
            if let Some(off) = &plan.off {
                // Whoever is connected is not off.
                sim.live.left(off, NOW);
                sim.off.insert(off.clone());
                sim.take(&Record::SaidOff {
                    target: off.clone(),
                    by: "root".to_owned(),
                });
            }
            let mut applied = common::applied(id, &plan);
            if let Record::Applied { irreversible, .. } = &mut applied {
                *irreversible = irreversible.saturating_sub(u32::from(written.short));
                sim.since.accepted.insert(id, *irreversible);
            }
            sim.fleet.apply(&applied, Some(&plan), NOW);
        }
        (!sim.plans.is_empty()).then_some(sim)
    }

    fn take(&mut self, record: &Record) {
        self.fleet.apply(record, None, self.now);
    }

    fn tells(&mut self, target: &TargetId, event: &Event) {
        self.told += 1;
        let record = common::told(target, self.told, self.now, event);
        self.take(&record);
    }

    fn reports(&mut self, target: &TargetId, facts: Facts) {
        self.heard.insert(target.clone(), facts.clone());
        self.off.remove(target);
        self.tells(target, &Event::FactsReported(Box::new(facts)));
    }

    /// Somebody reads whether synchronization of the first tenant is on.
    fn reads(&mut self, on: bool) {
        self.since.on = Some(on);
        self.take(&since::reads(&tenant(0), on, self.now));
    }

    /// Another file of what is known of versions lies beside the controller's state.
    fn knows(&mut self, rows: &[Row]) {
        self.live.versions = Some(since::versions(rows));
        self.since.rows = rows.to_vec();
    }

    fn mode(&self, target: &TargetId) -> Mode {
        let connect = self.heard.get(target)?.connect.as_ref()?;
        Some((connect.version >= Some(common::CONNECT), connect.staging))
    }

    /// G1, G4, G6, G9 and G10 of a phase that would begin, or go on.
    fn is_lawful(
        &mut self,
        id: RolloutId,
        target: &TargetId,
        phase: usize,
    ) -> Result<(), TestCaseError> {
        let plan = self.plans[&id].clone();
        let part = &plan.targets[target];
        let work = &part.phases[phase];
        if work.is_read_only() {
            return Ok(());
        }
        self.one_active(target, part, phase)?;
        self.is_fit(id, &plan, target, phase)?;
        let has = |server: &TargetId| self.heard.get(server)?.connect.as_ref()?.version;
        self.since.is_lawful((id, &plan), (target, phase), has)?;
        if part.lane.starts_with("agents.") {
            let agent = self.heard[target].provisioning_agent.as_ref();
            let registered = agent.and_then(|agent| agent.tenant.as_ref());
            prop_assert!(
                registered.is_none_or(|registered| *registered == part.tenant),
                "G9: {target} is registered with {registered:?}"
            );
            self.went += 1;
        }
        Ok(())
    }

    fn one_active(
        &mut self,
        target: &TargetId,
        part: &TargetPlan,
        phase: usize,
    ) -> Result<(), TestCaseError> {
        if !part.claims_active(phase) {
            return Ok(());
        }
        prop_assert!(!self.stranger, "G1: {target} beside one that nobody knows");
        let all = self.plans.values().flat_map(|plan| &plan.targets);
        let others = all.filter(|(other, theirs)| {
            *other != target && theirs.tenant == part.tenant && theirs.lane.starts_with("connect.")
        });
        for (other, _) in others.filter(|(other, _)| !self.off.contains(*other)) {
            let staging = self.mode(other).is_none_or(|(_, mode)| mode == Some(true));
            prop_assert!(
                staging,
                "G1: {target} beside {other}: {:?}",
                self.mode(other)
            );
            let on_the_way = self
                .open
                .get(other)
                .is_some_and(|(id, phase)| self.plans[id].targets[other].claims_active(*phase));
            prop_assert!(!on_the_way, "G1: {target} and {other} at once");
        }
        self.became += 1;
        Ok(())
    }

    /// Of both halves of a swap: what is counted and read before, and what the server is by now.
    fn is_fit(
        &self,
        id: RolloutId,
        plan: &Plan,
        target: &TargetId,
        phase: usize,
    ) -> Result<(), TestCaseError> {
        let part = &plan.targets[target];
        let active = guides(part, phase, ConnectWork::SwitchToActive);
        if !active && !guides(part, phase, ConnectWork::SwitchToStaging) {
            return Ok(());
        }
        let mut parts = plan.targets.iter();
        let (to, _) = parts.find(|(_, part)| part.switches_to_active()).unwrap();
        prop_assert!(
            self.done.contains(&(id, to.clone(), 0)),
            "G4: {target} goes before {to} was verified and counted"
        );
        if active {
            // In place of a server that is gone another one becomes active as it is, which its plan has said.
            let newest = self.mode(target).is_some_and(|(newest, _)| newest);
            let said = |one: &String| one.contains("is wanted: it becomes active as it is");
            let emergency = plan.off.is_some() && plan.warnings.iter().any(said);
            prop_assert!(
                newest || emergency,
                "G4: {target} has not the wanted version"
            );
            let steps = &part.phases[phase].steps;
            let place = |is: fn(&Step) -> bool| steps.iter().position(is);
            let counted = place(|step| matches!(step, Step::ReviewConnectExports(_)));
            let switched = place(|step| matches!(step, Step::GuideConnect(_)));
            prop_assert!(
                counted.is_some() && counted < switched,
                "G4: nobody counts before {target} becomes active"
            );
        }
        let mut parts = plan.targets.iter();
        let Some((from, _)) = parts.find(|(_, part)| part.switches_to_staging()) else {
            return Ok(());
        };
        let read = |server: &TargetId| self.rules.get(&(id, server.clone())).copied();
        let (Some(own), Some(other)) = (read(to), read(from)) else {
            return Err(TestCaseError::fail(format!(
                "G4: {target} goes, and the settings were not read"
            )));
        };
        let same = own.is_some() && own == other;
        let approved = [(to, own, from, other), (from, other, to, own)]
            .into_iter()
            .any(|(first, one, second, two)| {
                let key = (id, first.clone(), one, second.clone(), two);
                self.approved.contains(&key)
            });
        prop_assert!(
            same || approved,
            "G4: {target} goes with settings {own:?} and {other:?}"
        );
        Ok(())
    }

    fn decide(&mut self) -> Result<(), TestCaseError> {
        for _ in 0..50 {
            let decisions = self.fleet.decide(&self.live, self.now);
            if decisions.is_empty() {
                return Ok(());
            }
            for decision in decisions {
                match decision {
                    Decision::Issue {
                        rollout,
                        target,
                        phase,
                        ..
                    } => {
                        self.is_lawful(rollout, &target, phase)?;
                        let open = self.open.insert(target.clone(), (rollout, phase));
                        prop_assert!(open.is_none(), "G5: two runs on {target}");
                        let generation = self.fleet.next_generation(&target);
                        let before = self.numbers.insert(target.clone(), generation);
                        prop_assert!(before < Some(generation), "G5: a number of {target} fell");
                        self.take(&Record::BundleIssued {
                            rollout,
                            phase: self.plans[&rollout].targets[&target].phases[phase].phase,
                            generation,
                            bundle: BundleId(Digest::ZERO),
                            expires: self.now.plus(Duration::from_secs(86_400)),
                            target,
                        });
                    }
                    Decision::Permit { target, gate, .. } => self.permit(target, gate)?,
                    Decision::Unknown { target, generation } => {
                        self.open.remove(&target);
                        self.take(&Record::WentUnknown { target, generation });
                    }
                    Decision::Away {
                        rollout,
                        target,
                        since,
                    } => self.take(&Record::Away {
                        rollout,
                        target,
                        since,
                    }),
                    Decision::PassedOver {
                        rollout,
                        target,
                        away,
                    } => self.take(&Record::PassedOver {
                        rollout,
                        target,
                        away,
                    }),
                    Decision::Degraded {
                        rollout,
                        target,
                        why,
                    } => self.take(&Record::Degraded {
                        rollout,
                        target,
                        why,
                    }),
                }
            }
        }
        Err(TestCaseError::fail("it does not come to rest"))
    }

    fn permit(&mut self, target: TargetId, gate: Gate) -> Result<(), TestCaseError> {
        let (id, phase) = self.open[&target];
        self.is_lawful(id, &target, phase)?;
        self.is_served_meanwhile(&target, &gate.section)?;
        let lapses = self.now.plus(PERMIT_LIFE);
        let given = (gate.section.clone(), lapses);
        self.leave.insert(target.clone(), given);
        self.take(&Record::PermitGiven {
            target,
            generation: gate.generation,
            step: gate.step,
            attempt: gate.attempt,
            section: gate.section,
            lapses,
            rests_on: Vec::new(),
        });
        Ok(())
    }

    /// G2 and G3 of leave, by what the others said within a minute and may be at.
    fn is_served_meanwhile(
        &self,
        target: &TargetId,
        section: &Section,
    ) -> Result<(), TestCaseError> {
        let now = self.now;
        let others = self.leave.iter().filter(|(other, _)| *other != target);
        let busy = others.filter(|(_, (_, lapses))| *lapses > now);
        let busy: Vec<(&TargetId, &Section)> =
            busy.map(|(other, (section, _))| (other, section)).collect();
        if let Some(object) = &section.gmsa {
            let same = busy
                .iter()
                .find(|(_, other)| other.gmsa.as_ref() == Some(object));
            prop_assert!(same.is_none(), "G3: {target} and {same:?} change one gMSA");
        }
        let Some(domains) = self.serves.get(target).filter(|_| section.outage) else {
            return Ok(());
        };
        let out = |host: &TargetId| {
            let mut busy = busy.iter();
            busy.any(|(other, section)| *other == host && section.outage)
        };
        let serves = |host: &&TargetId| {
            let pulse = self.live.pulses.get(*host);
            let seen = pulse.is_some_and(|pulse| {
                pulse.serving && now.since(pulse.at) <= Duration::from_secs(60)
            });
            *host != target && seen && !out(host)
        };
        for domain in domains {
            let hosts = self.serves.iter();
            let hosts = hosts.filter(|(_, domains)| domains.contains(domain));
            let all = u32::try_from(hosts.clone().count()).unwrap();
            let serving = hosts.map(|(host, _)| host).filter(serves).count();
            let minimum = self.least.get(domain).copied();
            let minimum = minimum.unwrap_or((all - 1).max(1));
            prop_assert!(
                serving >= minimum as usize,
                "G2: {serving} serve {domain} while {target} is out, {minimum} must"
            );
        }
        Ok(())
    }

    /// The run that is open comes to its end: its servers are then what it has made of them.
    fn completes(&mut self, target: &TargetId, rules: Option<u8>) {
        let Some((id, phase)) = self.open.remove(target) else {
            return;
        };
        self.leave.remove(target);
        let generation = self.fleet.open(target).unwrap().generation;
        let part = self.plans[&id].targets[target].clone();
        if part.phases[phase]
            .steps
            .contains(&Step::ReadConnectSettings)
        {
            self.rules.insert((id, target.clone()), rules);
            let read = Event::ConnectSettingsRead {
                generation,
                step: STEP,
                settings: Box::new(settings(rules)),
            };
            self.tells(target, &read);
        }
        let made = [
            (ConnectWork::SwitchToStaging, true),
            (ConnectWork::SwitchToActive, false),
            (ConnectWork::InstallActive, false),
            (ConnectWork::InstallStaging, true),
            (ConnectWork::UpgradeActive, false),
            (ConnectWork::UpgradeStaging, true),
        ];
        if let Some((_, staging)) = made.iter().find(|(work, _)| guides(&part, phase, *work)) {
            self.reports(target, connect_facts(Some((true, Some(*staging)))));
        }
        let steps = &part.phases[phase].steps;
        let removes = |step: &Step| matches!(step, Step::GuideConnectRemoval(_));
        if steps.iter().any(removes) {
            self.reports(target, connect_facts(None));
        }
        self.done.insert((id, target.clone(), phase));
        let ended = Event::RunFinished {
            generation,
            ending: Ending::Completed,
            receipt: String::new(),
        };
        self.tells(target, &ended);
    }

    fn fails(&mut self, target: &TargetId) {
        if self.open.remove(target).is_none() {
            return;
        }
        self.leave.remove(target);
        let generation = self.fleet.open(target).unwrap().generation;
        let failed = Event::StepFailed {
            generation,
            step: STEP,
            failure: Box::new(Failure::plain("x")),
        };
        self.tells(target, &failed);
        let ended = Event::RunFinished {
            generation,
            ending: Ending::Failed("x".to_owned()),
            receipt: String::new(),
        };
        self.tells(target, &ended);
    }

    fn order(&mut self, rollout: RolloutId, order: Order) {
        if self
            .fleet
            .may_order(rollout, &order, &self.live, self.now)
            .is_ok()
        {
            let by = "root".to_owned();
            self.take(&Record::Ordered { rollout, order, by });
        }
    }

    fn act(&mut self, happens: &Happens) {
        let targets: Vec<TargetId> = self.heard.keys().cloned().collect();
        let whom = |at: &u8| targets[usize::from(*at) % targets.len()].clone();
        match happens {
            Happens::Completes(at, rules) => {
                // Of those that are under way.
                let open: Vec<TargetId> = self.open.keys().cloned().collect();
                let here = open.iter().filter(|one| self.live.connected.contains(*one));
                let here: Vec<TargetId> = here.cloned().collect();
                if !here.is_empty() {
                    self.completes(&here[usize::from(*at) % here.len()], *rules);
                }
            }
            Happens::Fails(at) if self.live.connected.contains(&whom(at)) => self.fails(&whom(at)),
            Happens::Reports(at, mode, registered) if self.live.connected.contains(&whom(at)) => {
                let target = whom(at);
                let facts = if target.as_str().starts_with('c') {
                    connect_facts(*mode)
                } else {
                    agent_facts(*registered)
                };
                self.reports(&target, facts);
            }
            Happens::Fails(_) | Happens::Reports(..) => {}
            Happens::Asks(at, outage, changes) => {
                let target = whom(at);
                if let Some(open) = self.fleet.open(&target) {
                    let generation = open.generation;
                    let object = changes.map(|domain| GmsaObject {
                        domain: DOMAINS[usize::from(domain) % 3].parse().unwrap(),
                        name: None,
                    });
                    let section = Section {
                        outage: *outage,
                        gmsa: object,
                    };
                    self.fleet
                        .asks_permit(&target, generation, STEP, Attempt(1), section);
                }
            }
            Happens::Goes(at) => {
                let target = whom(at);
                if self.live.connected.contains(&target) {
                    self.live.left(&target, self.now);
                    self.fleet.forget_asked(&target);
                } else {
                    self.live.came(target, self.now);
                }
            }
            Happens::Named(stranger) => {
                let Some(by) = targets.iter().find(|one| one.as_str().starts_with('c')) else {
                    return;
                };
                let old = DiscoveredServer {
                    name: "OLD-99".to_owned(),
                    product: Product::Connect,
                    source: "a description".to_owned(),
                };
                self.stranger = *stranger;
                let told = Event::Discovered {
                    generation: Generation(99),
                    step: STEP,
                    domain: "f.test".parse().unwrap(),
                    servers: stranger.then_some(old).into_iter().collect(),
                    unread: Vec::new(),
                };
                self.tells(&by.clone(), &told);
            }
            Happens::Reads(on) => self.reads(*on),
            Happens::Knows(rows) => self.knows(rows),
            Happens::Approves => {
                for id in self.plans.keys().copied().collect::<Vec<_>>() {
                    for one in self.fleet.differences(id) {
                        // One that is off is not read.
                        let rules =
                            |of: &TargetId| self.rules.get(&(id, of.clone())).copied().flatten();
                        let key = (
                            id,
                            one.first.clone(),
                            rules(&one.first),
                            one.second.clone(),
                            rules(&one.second),
                        );
                        self.approved.insert(key);
                        let order = Order::AcceptDifference {
                            difference: one.digest,
                            reason: "it is meant".to_owned(),
                        };
                        self.order(id, order);
                    }
                }
            }
            Happens::Retries(at) => {
                for id in self.plans.keys().copied().collect::<Vec<_>>() {
                    let target = Some(whom(at));
                    self.order(id, Order::Retry { target });
                }
            }
            Happens::Passes(seconds, down) => {
                self.now = self.now.plus(Duration::from_secs(u64::from(*seconds)));
                for target in &self.live.connected {
                    let pulse = Pulse {
                        serving: *target != whom(down),
                        at: self.now,
                    };
                    self.live.pulses.insert(target.clone(), pulse);
                }
            }
        }
    }
}

/// Something that happens while rollouts run.
#[derive(Debug, Clone)]
enum Happens {
    /// One of those that are under way comes to its end; its rules are then these.
    Completes(u8, Option<u8>),
    /// A run fails.
    Fails(u8),
    /// A server has become something else, and tells it.
    Reports(u8, Mode, Registered),
    /// Somebody asks for leave: to go out of service, to change the gMSA of a domain.
    Asks(u8, bool, Option<u8>),
    /// Somebody leaves, or comes back.
    Goes(u8),
    /// A directory names a Connect server that nobody knows, or does so no more.
    Named(bool),
    /// Somebody reads whether synchronization of the tenant is on.
    Reads(bool),
    /// That is known of versions from now on.
    Knows(Vec<Row>),
    /// Somebody approves whatever differs.
    Approves,
    /// Somebody has it tried again.
    Retries(u8),
    /// So many seconds pass, and all who are here serve, but for one that does not, perhaps.
    Passes(u16, u8),
}

fn mode() -> impl Strategy<Value = Mode> {
    prop_oneof![
        1 => Just(None),
        6 => (prop_oneof![4 => Just(true), 1 => Just(false)], prop_oneof![
            4 => Just(Some(true)),
            2 => Just(Some(false)),
            1 => Just(None),
        ])
            .prop_map(Some),
    ]
}

fn registered() -> impl Strategy<Value = Registered> {
    prop_oneof![
        1 => Just(None),
        1 => Just(Some(None)),
        4 => Just(Some(Some(0))),
        2 => (1_u8..3).prop_map(|other| Some(Some(other))),
    ]
}

fn happens() -> impl Strategy<Value = Happens> {
    let rules = prop_oneof![
        6 => Just(Some(50)),
        2 => Just(Some(60)),
        1 => Just(None),
    ];
    prop_oneof![
        16 => (any::<u8>(), rules).prop_map(|(at, rules)| Happens::Completes(at, rules)),
        1 => any::<u8>().prop_map(Happens::Fails),
        4 => (any::<u8>(), mode(), registered())
            .prop_map(|(at, mode, registered)| Happens::Reports(at, mode, registered)),
        4 => (any::<u8>(), any::<bool>(), prop_oneof![Just(None), (0_u8..3).prop_map(Some)])
            .prop_map(|(at, outage, changes)| Happens::Asks(at, outage, changes)),
        1 => any::<u8>().prop_map(Happens::Goes),
        1 => any::<bool>().prop_map(Happens::Named),
        1 => any::<bool>().prop_map(Happens::Reads),
        2 => since::rows().prop_map(Happens::Knows),
        1 => Just(Happens::Approves),
        2 => any::<u8>().prop_map(Happens::Retries),
        3 => (prop_oneof![Just(20_u16), Just(1200)], any::<u8>())
            .prop_map(|(seconds, down)| Happens::Passes(seconds, down)),
    ]
}

fn group() -> impl Strategy<Value = Group> {
    let serves = prop_oneof![2 => Just([true, false, false]), 3 => any::<[bool; 3]>()];
    let other = prop_oneof![4 => Just(false), 1 => Just(true)];
    (vec(registered(), 1..4), serves, other).prop_map(|(hosts, serves, other)| Group {
        hosts,
        serves,
        other,
    })
}

fn written() -> impl Strategy<Value = Written> {
    // Mostly one active server and others that are staging, as a swap wants it; of an old version where it is a swing.
    let sound = (2_usize..4, any::<bool>(), any::<bool>()).prop_map(|(count, active, newest)| {
        let mode = |number| Some((if number == 0 { active } else { newest }, Some(number != 0)));
        (0..count).map(mode).collect::<Vec<Mode>>()
    });
    let servers = prop_oneof![4 => sound, 2 => vec(mode(), 0..4)];
    let to = prop_oneof![3 => Just(1_usize), 1 => 0_usize..3];
    let change = prop_oneof![
        3 => Just(Change::Swap),
        1 => Just(Change::Swing(Afterwards::Upgrade)),
        1 => Just(Change::Swing(Afterwards::Remove)),
        2 => prop_oneof![3 => Just(0_usize), 1 => 0_usize..3].prop_map(Change::Failover),
        1 => Just(Change::Move),
    ];
    let on = prop_oneof![3 => Just(None), 2 => Just(Some(true)), 1 => Just(Some(false))];
    let tenant = (on, prop::bool::weighted(0.15));
    let least = || prop_oneof![4 => Just(None), 1 => (0_u32..3).prop_map(Some)];
    let groups = vec(group(), 0..4);
    let least = [least(), least(), least()];
    (servers, groups, least, to, change, any::<bool>(), tenant).prop_map(
        |(servers, groups, least, to, change, change_first, (on, short))| Written {
            servers,
            groups,
            least,
            to,
            change,
            change_first,
            on,
            short,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(900))]

    #[test]
    fn no_offer_and_no_leave_breaks_g1_to_g6_g9_or_g10(
        written in written(),
        course in vec(happens(), 0..80),
    ) {
        let Some(mut sim) = Sim::new(&written) else {
            return Ok(());
        };
        sim.decide()?;
        for one in &course {
            sim.act(one);
            sim.decide()?;
        }
    }
}

/// They would hold of a machine that lets nothing go: what is lawful goes, and each of them holds it as soon as it is not.
#[test]
fn what_breaks_none_of_them_goes() {
    let written = Written {
        servers: vec![Some((true, Some(false))), Some((true, Some(true)))],
        groups: vec![Group {
            hosts: vec![Some(Some(0)), Some(Some(0)), Some(Some(0))],
            serves: [true, false, false],
            other: false,
        }],
        least: [None; 3],
        to: 1,
        change: Change::Swap,
        change_first: true,
        on: None,
        short: false,
    };
    let course = |before: &[Happens], rules: [u8; 2]| {
        let mut sim = Sim::new(&written).unwrap();
        sim.decide().unwrap();
        for one in before {
            sim.act(one);
            sim.decide().unwrap();
        }
        for _ in 0..6 {
            for (number, rules) in rules.iter().enumerate() {
                let target: TargetId = server(number).parse().unwrap();
                sim.completes(&target, Some(*rules));
                sim.decide().unwrap();
            }
        }
        (sim.became, sim.went)
    };
    let (became, went) = course(&[], [50, 50]);
    assert_eq!(became, 1, "the second one becomes active");
    assert!(went > 0, "agents are upgraded");
    assert_eq!(course(&[Happens::Named(true)], [50, 50]).0, 0, "G1");
    assert_eq!(course(&[], [50, 60]).0, 0, "G4");
    // So do a swing from an old version, with whatever becomes of the server before, and a failover.
    let old = Some((false, Some(false)));
    for (change, active) in [
        (Change::Swing(Afterwards::Upgrade), old),
        (Change::Swing(Afterwards::Remove), old),
        (Change::Failover(0), Some((true, Some(false)))),
    ] {
        let written = Written {
            servers: vec![active, Some((false, Some(true)))],
            change,
            ..written.clone()
        };
        let written = match change {
            Change::Failover(_) => Written {
                servers: vec![active, Some((true, Some(true)))],
                ..written
            },
            Change::Swap | Change::Swing(_) | Change::Move => written,
        };
        let mut sim = Sim::new(&written).unwrap();
        sim.decide().unwrap();
        for _ in 0..12 {
            for number in 0..2 {
                let target: TargetId = server(number).parse().unwrap();
                if sim.live.connected.contains(&target) {
                    sim.completes(&target, Some(50));
                }
                sim.decide().unwrap();
            }
            sim.act(&Happens::Approves);
            sim.decide().unwrap();
        }
        assert!(sim.became > 0, "{change:?}");
    }
    // Of three agents one gets leave: without it too few would serve, and it changes the gMSA.
    let mut sim = Sim::new(&written).unwrap();
    sim.decide().unwrap();
    for one in [
        Happens::Passes(1, 4),
        Happens::Asks(0, true, Some(0)),
        Happens::Asks(1, true, None),
        Happens::Asks(2, false, Some(0)),
    ] {
        sim.act(&one);
        sim.decide().unwrap();
    }
    assert_eq!(sim.leave.len(), 1, "G2 and G3: {:?}", sim.leave);
    let old = Happens::Reports(4, Some((false, Some(true))), None);
    assert_eq!(course(&[old], [50, 50]).0, 0, "G4");
}
