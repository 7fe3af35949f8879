//! What a plan says of a server's newest preflight: by whose receipt, for how long, and of what it says nothing.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::rc::Rc;
use std::time::Duration;

use controller_core::answered::{Answered, Answers, accept, attested};
use controller_core::fleet::{Fleet, Live};
use controller_core::plan::{Inputs, Plan, Purpose, plan, render};
use controller_core::policy::Policy;
use controller_core::readiness::{COUNTS, Standing, tell};
use controller_core::record::Record;
use controller_core::topology::parse;
use protocol::answers::DirectoryAnswers;
use protocol::event::{Event, Failure, Finding, Owner, Severity, Verdict};
use protocol::facts::{ConnectFacts, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::{Ending, Phase, Receipt, StepEnding, StepRecord, sign};
use protocol::step::{Product, Step};
use protocol::{
    Attempt, BundleId, Digest, Epoch, EventIndex, Generation, PlanId, RolloutId, ServiceOptions,
    StepIndex, TargetId, Timestamp, Version,
};

use crate::common;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

pub(crate) struct World {
    pub(crate) fleet: Fleet,
    pub(crate) key: Rc<SigningKey>,
    pub(crate) server: TargetId,
    pub(crate) now: Timestamp,
    /// What is written of the tenant and of the group, and the domains that it serves.
    written: (&'static str, &'static str, &'static str),
    /// How the steps of the next run end; none are told where that is not looked at.
    steps: Vec<StepRecord>,
    /// What the next run finds of Connect, behind what it finds of the agent.
    of_connect: Vec<Finding>,
    events: u64,
}

impl World {
    pub(crate) fn new() -> Self {
        let mut world = Self {
            fleet: Fleet::new(),
            key: Rc::new(SigningKey::generate()),
            server: "s1.a.test".parse().unwrap(),
            now: NOW,
            written: ("", "", "\"a.test\""),
            steps: Vec::new(),
            of_connect: Vec::new(),
            events: 0,
        };
        world.take(&common::enrolled(&world.server, world.key.public()), None);
        world.tell(&Event::FactsReported(Box::new(common::facts(None, None))));
        world
    }

    pub(crate) fn take(&mut self, record: &Record, plan: Option<&Plan>) {
        self.fleet.apply(record, plan, self.now);
    }

    fn tell(&mut self, event: &Event) {
        self.events += 1;
        let told = common::told(&self.server, self.events, self.now, event);
        self.take(&told, None);
    }

    fn plan(&self, purpose: Purpose) -> Plan {
        let (tenant, group, serves) = self.written;
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n{tenant}[domain.\"a.test\"]\nowner = \"ad@a.test\"\n[domain.\"b.test\"]\n[agents.a]\nserves = [{serves}]\nhosts = [\"s1.a.test\"]\n{group}"
        );
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        let (policy, artifacts) = (Policy::default(), common::artifacts());
        let known = self.fleet.known();
        let inputs = Inputs::of(&topology, &policy, known, &artifacts, purpose);
        let mut plan = plan(inputs);
        tell(&mut plan, &self.fleet, inputs, self.now);
        plan
    }

    fn standing(&self) -> Standing {
        self.plan(Purpose::Install)
            .readiness
            .remove(&self.server)
            .unwrap()
    }

    /// One run of a plan of that purpose, whose receipt is signed by `key` and names `of` as its bundle.
    pub(crate) fn runs(
        &mut self,
        (purpose, number): (Purpose, u32),
        (findings, ending): (Vec<Finding>, Ending),
        (key, of): (&SigningKey, BundleId),
    ) {
        let plan = self.plan(purpose);
        let (rollout, generation) = (RolloutId(number), Generation(u64::from(number)));
        let bundle = bundle(number);
        let phase = if purpose == Purpose::Preflight {
            Phase::Inspect
        } else {
            Phase::Prepare
        };
        self.take(&common::applied(rollout, &plan), Some(&plan));
        let issued = Record::BundleIssued {
            rollout,
            target: self.server.clone(),
            generation,
            phase,
            bundle,
            expires: self.now.plus(Duration::from_secs(3600)),
        };
        self.take(&issued, None);
        self.tell(&Event::BundleAccepted {
            generation,
            bundle,
            rollout,
            phase,
            change: None,
        });
        self.tell(&Event::Probed {
            generation,
            step: StepIndex(0),
            findings: findings.clone(),
        });
        if !self.of_connect.is_empty() {
            let of_connect = |step: &Step| matches!(step, Step::Preflight(asked) if asked.product == Product::Connect);
            let mut steps = plan.targets[&self.server].phases[0].steps.iter();
            let at = steps.position(of_connect).unwrap();
            self.tell(&Event::Probed {
                generation,
                step: StepIndex(u16::try_from(at).unwrap()),
                findings: self.of_connect.clone(),
            });
        }
        let blocking: Vec<Finding> = findings.into_iter().filter(Finding::blocks).collect();
        if let (Ending::Failed(what), false) = (&ending, blocking.is_empty()) {
            let mut failure = Failure::plain(what.clone());
            failure.findings = blocking;
            self.tell(&Event::StepFailed {
                generation,
                step: StepIndex(0),
                failure: Box::new(failure),
            });
        }
        let receipt = Receipt {
            format: 1,
            simulated: true,
            target: self.server.clone(),
            tenant: TENANT.parse().unwrap(),
            bundle: of,
            generation,
            rollout,
            plan: PlanId(plan.id().0),
            phase,
            change: None,
            begun: self.now,
            ended: self.now,
            ending: ending.clone(),
            grade: None,
            steps: self.steps.clone(),
            epoch: Epoch(1),
            first_event: EventIndex(1),
            last_event: EventIndex(self.events),
            chain: Digest::ZERO,
            previous: Digest::ZERO,
            agent_version: "0".to_owned(),
        };
        let envelope = sign(&receipt, &[key]).to_json();
        self.tell(&Event::RunFinished {
            generation,
            ending,
            receipt: String::from_utf8(envelope).unwrap(),
        });
    }

    pub(crate) fn preflight(&mut self, number: u32, findings: Vec<Finding>) {
        let ending = if findings.iter().chain(&self.of_connect).any(Finding::blocks) {
            Ending::Failed("a finding blocks".to_owned())
        } else {
            Ending::Completed
        };
        let key = Rc::clone(&self.key);
        let how = (Purpose::Preflight, number);
        self.runs(how, (findings, ending), (&key, bundle(number)));
    }
}

pub(crate) fn bundle(number: u32) -> BundleId {
    BundleId(Digest::of(&number.to_be_bytes()))
}

pub(crate) fn finding(id: &str, verdict: Verdict, severity: Severity) -> Finding {
    Finding {
        id: id.to_owned(),
        what: "memory".to_owned(),
        read: "2 GB".to_owned(),
        wanted: "4 GB".to_owned(),
        verdict,
        severity,
        fix: "give it more".to_owned(),
        owner: Owner::Server,
    }
}

pub(crate) fn passes() -> Finding {
    finding("PF01", Verdict::Pass, Severity::Block)
}

fn not_read(standing: &Standing) -> &str {
    match standing {
        Standing::NotRead { why } => why,
        Standing::Ready { .. } | Standing::Blocked { .. } => panic!("{standing:?}"),
    }
}

#[test]
fn a_plan_names_the_newest_preflight_of_each_server_and_what_could_not_be_told() {
    let mut world = World::new();
    assert_eq!(not_read(&world.standing()), "no preflight has asked it");
    let untold = finding("PF54", Verdict::CannotTell, Severity::Warn);
    world.preflight(1, vec![passes(), untold]);
    let Standing::Ready { by, untold, .. } = world.standing() else {
        panic!("{:?}", world.standing());
    };
    assert_eq!((by.at, by.rollout), (NOW, RolloutId(1)));
    assert!(
        untold.len() == 1 && untold[0].contains("PF54"),
        "{untold:?}"
    );
    let plan = world.plan(Purpose::Install);
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    let said = render(&plan);
    let named = format!(
        "s1.a.test: ready (at {NOW}, rollout r1, receipt {}); 1 cannot be told: PF54",
        by.receipt.short()
    );
    assert!(said.contains(&named), "{named}: {said}");
    // What only reads needs no readiness.
    assert!(world.plan(Purpose::Preflight).readiness.is_empty());
    assert!(world.plan(Purpose::Verify).readiness.is_empty());
}

#[test]
fn a_blocking_finding_warns_with_who_mends_it_until_a_newer_preflight_passes() {
    let mut world = World::new();
    let blocks = finding("PF05", Verdict::Fail, Severity::Block);
    world.preflight(1, vec![passes(), blocks]);
    let plan = world.plan(Purpose::Install);
    for words in [
        "s1.a.test was not ready",
        "rollout r1",
        "PF05 (memory: 2 GB; the server's owner: give it more)",
        "before anything is touched",
    ] {
        assert!(plan.warnings[0].contains(words), "{words}: {plan:?}");
    }
    assert!(render(&plan).contains("s1.a.test: BLOCKED (at"));
    // Its work stays in the plan: the step that asks again decides.
    assert!(!plan.targets[&world.server].left_out && plan.alarms.is_empty());
    world.preflight(2, vec![passes()]);
    let plan = world.plan(Purpose::Install);
    assert!(plan.warnings.is_empty(), "{:?}", plan.warnings);
    assert!(matches!(world.standing(), Standing::Ready { by, .. } if by.rollout == RolloutId(2)));
    // What went on under an override of G8 is not called ready by that.
    let blocks = finding("PF05", Verdict::Fail, Severity::Block);
    let key = Rc::clone(&world.key);
    let said = (vec![passes(), blocks], Ending::Completed);
    world.runs((Purpose::Preflight, 3), said, (&key, bundle(3)));
    assert!(matches!(world.standing(), Standing::Blocked { by, .. } if by.rollout == RolloutId(3)));
}

#[test]
fn what_is_older_than_a_day_or_of_another_state_of_the_server_counts_as_not_read() {
    let mut world = World::new();
    world.preflight(1, vec![passes()]);
    world.now = NOW.plus(COUNTS);
    assert!(matches!(world.standing(), Standing::Ready { .. }));
    world.now = world.now.plus(Duration::from_millis(1));
    let standing = world.standing();
    assert!(not_read(&standing).contains("older than a day"));
    assert!(render(&world.plan(Purpose::Install)).contains("not read: s1.a.test: its newest"));
    world.preflight(2, vec![passes()]);
    let connect = ConnectFacts {
        version: Some(common::CONNECT),
        service: None,
        staging: None,
        cycle_enabled: None,
        suspended: None,
    };
    let other = common::facts(None, Some(connect));
    world.tell(&Event::FactsReported(Box::new(other)));
    assert!(not_read(&world.standing()).contains("has changed since"));
}

/// An answer counts for its own question: where the topology asks something else by now, nobody has answered that.
#[test]
fn an_answer_to_another_topology_counts_as_not_read_and_says_what_was_not_asked() {
    let both = "\"a.test\", \"b.test\"";
    let one = "\"a.test\"";
    for (then, now, said) in [
        (("", "", one), ("", "", both), "(b.test was not asked)"),
        (("", "", both), ("", "", one), "(b.test was asked too)"),
        (
            ("", "", one),
            ("sign_in = \"wizard\"\n", "", one),
            "sign_in was another one",
        ),
        (
            ("", "", one),
            ("", "gmsa = \"other$\"\n", one),
            "gmsa was another one",
        ),
        (
            ("", "", one),
            (
                "",
                "options = { proxy = \"http://proxy.a.test:8080\" }\n",
                one,
            ),
            "the proxy was another one",
        ),
        (
            ("", "", one),
            ("", "may_fix = [\"tls12\"]\n", one),
            "may_fix was another one",
        ),
    ] {
        let mut world = World::new();
        world.written = then;
        world.preflight(1, vec![passes()]);
        assert!(matches!(world.standing(), Standing::Ready { .. }), "{said}");
        world.written = now;
        let standing = world.standing();
        let why = not_read(&standing);
        let start = format!(
            "its newest preflight, at {NOW}, asked something else than would be asked now ("
        );
        assert!(why.starts_with(&start) && why.contains(said), "{why}");
        assert!(render(&world.plan(Purpose::Install)).contains(said));
        // Asked anew, it counts.
        world.preflight(2, vec![passes()]);
        assert!(matches!(world.standing(), Standing::Ready { .. }), "{said}");
    }
}

/// On a server with both products a plan changes one, and its own preflight asks about that one: what was found of the other one stops
/// nothing of it.
#[test]
fn what_was_found_of_the_other_product_is_not_told_against_a_plan() {
    let agent = |version| ProvisioningAgentFacts {
        version: Some(version),
        tenant: TENANT.parse().ok(),
        service: Some(ServiceState::Running),
        account: Some("CONTOSO\\provAgentgMSA$".to_owned()),
        options: Some(ServiceOptions::default()),
        updater: None,
        owes_registration: None,
    };
    let connect = |version| ConnectFacts {
        version: Some(version),
        service: Some(ServiceState::Running),
        staging: Some(false),
        cycle_enabled: Some(true),
        suspended: Some(false),
    };
    let both = "[connect.c]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\noverlap = { \"a.test\" = \"pilot\" }\n";
    for (facts, lane) in [
        (
            common::facts(
                Some(agent(Version::new(1, 1, 2300, 0))),
                Some(connect(common::CONNECT)),
            ),
            "agents.a",
        ),
        (
            common::facts(
                Some(agent(common::AGENT)),
                Some(connect(Version::new(2, 5, 190, 0))),
            ),
            "connect.c",
        ),
    ] {
        let mut world = World::new();
        world.written = ("", both, "\"a.test\"");
        world.tell(&Event::FactsReported(Box::new(facts)));
        let told = |id, verdict| {
            let severity = if verdict == Verdict::Fail {
                Severity::Block
            } else {
                Severity::Warn
            };
            finding(id, verdict, severity)
        };
        let agents = lane == "agents.a";
        for (number, (of_agent, of_connect, blocks)) in (1..).zip([
            (Verdict::Pass, Verdict::Pass, false),
            (Verdict::Fail, Verdict::Pass, agents),
            (Verdict::Pass, Verdict::Fail, !agents),
            (Verdict::Fail, Verdict::Fail, true),
            (Verdict::CannotTell, Verdict::CannotTell, false),
        ]) {
            world.of_connect = vec![told("PF74", of_connect)];
            world.preflight(number, vec![told("PF12", of_agent)]);
            let plan = world.plan(Purpose::Install);
            assert_eq!(plan.targets[&world.server].lane, lane);
            let case = format!("{lane}, {of_agent:?}, {of_connect:?}: {:?}", plan.readiness);
            let (own, other) = if agents {
                ("PF12", "PF74")
            } else {
                ("PF74", "PF12")
            };
            let warned = plan
                .warnings
                .iter()
                .find(|one| one.contains("was not ready"));
            assert_eq!(warned.is_some(), blocks, "{case}");
            assert!(!render(&plan).contains(other), "{case}");
            match world.standing() {
                Standing::Blocked { blocks, .. } => {
                    assert!(blocks.len() == 1 && blocks[0].contains(own), "{case}");
                }
                Standing::Ready { untold, .. } => {
                    let one = usize::from(of_agent == Verdict::CannotTell);
                    assert_eq!(untold.len(), one, "{case}");
                }
                Standing::NotRead { why } => panic!("{why}: {case}"),
            }
        }
    }
}

/// An agent of an earlier release ends at the first preflight that blocks: what stands behind it is said to be unasked.
#[test]
fn what_an_earlier_agent_did_not_come_to_is_no_answer() {
    let mut world = World::new();
    let record = |ending| StepRecord {
        step: StepIndex(0),
        kind: "preflight".to_owned(),
        ending,
        attempts: Attempt(u16::from(ending != StepEnding::NotBegun)),
        summary: String::new(),
    };
    world.steps = vec![record(StepEnding::AlreadySo)];
    world.preflight(1, vec![passes()]);
    assert!(matches!(world.standing(), Standing::Ready { .. }));
    world.steps = vec![record(StepEnding::NotBegun)];
    world.preflight(2, vec![passes()]);
    let standing = world.standing();
    assert!(
        not_read(&standing).contains("what the provisioning agent needs was not asked"),
        "{standing:?}"
    );
    let why = world.fleet.why(&world.server, &Live::default(), world.now);
    let why = why.unwrap();
    assert_eq!(why.unasked.len(), 1, "{why:?}");
}

#[test]
fn what_no_preflight_has_answered_or_its_agent_has_not_signed_is_no_readiness() {
    let stranger = SigningKey::generate();
    let fails = || Ending::Failed("facts differ".to_owned());
    let own = World::new().key;
    let cases = [
        // Another key, another bundle, another purpose, no answer.
        (Purpose::Preflight, Ending::Completed, Some(&stranger), 1),
        (Purpose::Preflight, Ending::Completed, None, 9),
        (Purpose::Install, Ending::Completed, None, 1),
        (Purpose::Preflight, fails(), None, 1),
        (Purpose::Preflight, Ending::Aborted, None, 1),
        (Purpose::Preflight, Ending::Expired, None, 1),
    ];
    for (purpose, ending, key, of) in cases {
        let mut world = World::new();
        world.key = Rc::clone(&own);
        world.take(&common::enrolled(&world.server, own.public()), None);
        world.tell(&Event::FactsReported(Box::new(common::facts(None, None))));
        let said = (vec![passes()], ending.clone());
        world.runs((purpose, 1), said, (key.unwrap_or(&own), bundle(of)));
        let receipts = world.fleet.receipts();
        assert!(receipts.is_empty(), "{purpose:?} {ending:?} {receipts:?}");
    }
}

#[test]
fn a_server_that_is_replaced_is_asked_anew() {
    let mut world = World::new();
    world.preflight(1, vec![passes()]);
    let replaced = Record::AgentReplaced {
        target: world.server.clone(),
        by: "anna".to_owned(),
    };
    world.take(&replaced, None);
    assert!(world.fleet.receipts().is_empty());
}

/// What a person was answered of a domain, about the gMSA of a server where one is named.
fn answers(of: &str, gmsa: Option<(&str, &str)>, told: Vec<Finding>) -> DirectoryAnswers {
    DirectoryAnswers {
        format: 1,
        domain: of.parse().unwrap(),
        at: NOW,
        asked_as: "A\\dominic".to_owned(),
        gmsa: gmsa.map(|(name, host)| (name.parse().unwrap(), host.parse().unwrap())),
        agent_version: "0".to_owned(),
        answers: told,
        servers: None,
    }
}

fn of(id: &str, what: &str, verdict: Verdict) -> Finding {
    Finding {
        what: what.to_owned(),
        ..finding(id, verdict, Severity::Warn)
    }
}

impl World {
    fn hands_in(&mut self, answers: DirectoryAnswers) {
        let record = Record::DirectoryAnswered {
            answers: Box::new(answers),
            by: "anna".to_owned(),
        };
        self.take(&record, None);
    }

    /// What is untold and what is attested of the newest preflight.
    fn told(&self) -> (usize, Vec<String>) {
        let standing = self.standing();
        let Standing::Ready {
            untold, attested, ..
        } = standing
        else {
            panic!("{standing:?}")
        };
        (untold.len(), attested)
    }
}

#[test]
fn what_the_account_was_not_told_is_attested_by_whoever_signed_in_and_never_probed() {
    let mut world = World::new();
    let untold = of("PF49", "KDS root key (a.test)", Verdict::CannotTell);
    world.preflight(1, vec![passes(), untold.clone()]);
    assert_eq!(world.told(), (1, vec![]));
    let told = of("PF49", "KDS root key", Verdict::Pass);
    world.hands_in(answers("a.test", None, vec![told]));
    let (left, said) = world.told();
    assert_eq!((left, said.len()), (0, 1));
    for words in [
        "PF49 (KDS root key (a.test)): attested by anna, read as A\\dominic at 2026-09-21T",
        "probed by no agent: as it should be: 2 GB",
    ] {
        assert!(said[0].contains(words), "{words}: {said:?}");
    }
    assert!(render(&world.plan(Purpose::Install)).contains("attested by anna"));
    let live = Live::default();
    let why = world.fleet.why(&world.server, &live, world.now).unwrap();
    assert!(why.attests(&untold).unwrap().passes);
    // It is of that one thing, as that one probe looks at it.
    for other in [
        of("PF49", "KDS root key (b.test)", Verdict::CannotTell),
        of("PF48", "KDS root key (a.test)", Verdict::CannotTell),
        of("PF49", "KDS root key (a.test)", Verdict::Fail),
    ] {
        assert_eq!(why.attests(&other), None);
    }
    assert_eq!(
        why.findings[1].verdict,
        Verdict::CannotTell,
        "it stays untold"
    );
    // It is over after a day, by the time at which it was read.
    world.now = NOW.plus(COUNTS).plus(Duration::from_millis(1));
    world.preflight(2, vec![passes(), untold]);
    assert_eq!(world.told(), (1, vec![]));
}

#[test]
fn an_answer_stands_for_the_same_question_on_the_same_domain_alone() {
    let other = of("PF49", "KDS root key", Verdict::Pass);
    let cases = [
        // Of another domain, another probe, another question, nothing that was told.
        ("b.test", other.clone()),
        ("a.test", of("PF52", "KDS root key", Verdict::Pass)),
        ("a.test", of("PF49", "another key", Verdict::Pass)),
        ("a.test", of("PF49", "KDS root key", Verdict::CannotTell)),
        (
            "a.test",
            Finding {
                wanted: "less".to_owned(),
                ..other.clone()
            },
        ),
    ];
    for (domain, told) in cases {
        let mut world = World::new();
        let untold = of("PF49", "KDS root key (a.test)", Verdict::CannotTell);
        world.preflight(1, vec![passes(), untold]);
        world.hands_in(answers(domain, None, vec![told.clone()]));
        assert_eq!(world.told(), (1, vec![]), "{domain} {told:?}");
    }
    // What an agent was told itself, and what blocks, is nobody's word.
    let mut world = World::new();
    let fails = of("PF49", "KDS root key (a.test)", Verdict::Fail);
    let blocks = finding("PF49", Verdict::CannotTell, Severity::Block);
    world.preflight(1, vec![passes(), fails]);
    world.hands_in(answers("a.test", None, vec![other]));
    assert_eq!(world.told(), (0, vec![]));
    let word = of("PF49", "memory", Verdict::Pass);
    world.hands_in(answers("a.test", None, vec![word]));
    world.preflight(2, vec![passes(), blocks]);
    let Standing::Blocked { attested, .. } = world.standing() else {
        panic!("{:?}", world.standing())
    };
    assert!(attested.is_empty());
}

#[test]
fn what_is_about_a_server_and_its_account_is_answered_for_that_server_and_account() {
    for (gmsa, lifts) in [
        (Some(("provAgentgMSA$", "s1.a.test")), true),
        (Some(("provAgentgMSA$", "s2.a.test")), false),
        (Some(("other$", "s1.a.test")), false),
        (None, false),
    ] {
        let mut world = World::new();
        let what = "rights of replication (a.test)";
        world.preflight(1, vec![passes(), of("PF54", what, Verdict::CannotTell)]);
        let told = of("PF54", "rights of replication", Verdict::Fail);
        world.hands_in(answers("a.test", gmsa, vec![told]));
        let (left, said) = world.told();
        assert_eq!(left == 0, lifts, "{gmsa:?}");
        assert_eq!(
            said.iter().any(|one| one.contains("not as it should be")),
            lifts
        );
    }
}

#[test]
fn what_is_old_of_a_time_to_come_or_answers_nothing_is_not_taken() {
    let told = || vec![of("PF49", "KDS root key", Verdict::Pass)];
    let at = |seconds| {
        answers("a.test", None, told())
            .at
            .plus(Duration::from_secs(seconds))
    };
    let given = answers("a.test", None, told());
    assert_eq!(accept(&given, at(0)), Ok(()));
    assert_eq!(accept(&given, at(86_400)), Ok(()));
    assert!(
        accept(&given, at(86_401))
            .unwrap_err()
            .contains("ask again")
    );
    let early = NOW.minus(Duration::from_secs(61));
    assert!(
        accept(&given, early)
            .unwrap_err()
            .contains("mend the clock")
    );
    // What is shown on one line is one.
    let mut forged = answers("a.test", None, told());
    forged.asked_as = "A\\d\nready".to_owned();
    assert!(accept(&forged, NOW).unwrap_err().contains("one line"));
    let mut forged = answers("a.test", None, told());
    forged.answers[0].read = "88\nready".to_owned();
    assert!(accept(&forged, NOW).unwrap_err().contains("one line"));
    for nothing in [
        Vec::new(),
        vec![of("PF49", "KDS root key", Verdict::CannotTell)],
        // The way from one server is nobody else's to tell.
        vec![of("PF23", "port 389", Verdict::Pass)],
    ] {
        let given = answers("a.test", None, nothing);
        assert!(accept(&given, NOW).unwrap_err().contains("answers nothing"));
    }
}

/// A verification asks of the account's rights what a preflight asks, and a change of tools asks for anchors: both may be beyond what the
/// server's own account is shown, and are answered by the same signed-in run.
#[test]
fn rights_that_a_verification_asks_for_and_anchors_are_answered_too() {
    let all = "users and groups with an anchor";
    let rights = "rights of replication";
    let server = ("provAgentgMSA$", "s1.a.test");
    let cases = [
        (
            "PF60",
            format!("{all} (a.test)"),
            ("PF60", all, Verdict::Pass),
            true,
        ),
        (
            "PF60",
            format!("{all}, in OU=X,DC=a,DC=test (a.test)"),
            ("PF60", all, Verdict::Pass),
            true,
        ),
        // What some of them lack may be outside of those units.
        (
            "PF60",
            format!("{all}, in OU=X,DC=a,DC=test (a.test)"),
            ("PF60", all, Verdict::Fail),
            false,
        ),
        (
            "PF60",
            format!("{all}, in OU=X,DC=b,DC=test (b.test)"),
            ("PF60", all, Verdict::Pass),
            false,
        ),
        (
            "PF60",
            format!("{all} (a.test)"),
            ("PF59", all, Verdict::Pass),
            false,
        ),
        (
            "PV18",
            format!("{rights} (a.test)"),
            ("PF54", rights, Verdict::Pass),
            true,
        ),
        (
            "PV18",
            format!("{rights} (a.test)"),
            ("PF50", rights, Verdict::Pass),
            false,
        ),
        (
            "PV18",
            format!("{rights} (b.test)"),
            ("PF54", rights, Verdict::Pass),
            false,
        ),
    ];
    for (id, what, (told, of_what, verdict), answered) in cases {
        let mut all = Answers::new();
        let finding = of(id, &what, Verdict::CannotTell);
        let gmsa: protocol::GmsaName = server.0.parse().unwrap();
        let target: TargetId = server.1.parse().unwrap();
        let handed = answers("a.test", Some(server), vec![of(told, of_what, verdict)]);
        let place = (handed.domain.clone(), handed.gmsa.clone());
        let by = "anna".to_owned();
        all.insert(
            place,
            Answered {
                answers: handed,
                by,
            },
        );
        let said = attested(&all, (&target, Some(&gmsa)), &finding, NOW);
        assert_eq!(said.is_some(), answered, "{id} {what} {told}");
        let other: TargetId = "s2.a.test".parse().unwrap();
        let of_another = attested(&all, (&other, Some(&gmsa)), &finding, NOW);
        assert_eq!(
            of_another.is_some(),
            answered && id != "PV18",
            "{id} {what}"
        );
    }
}

/// What stays in the domain where Connect goes from a server of it is told to whoever may look there (UN03).
#[test]
fn what_connect_leaves_in_a_directory_is_answered_for_a_server_of_that_domain() {
    let what = "computer account of seamless single sign-on, in the domain of a server from which Connect goes";
    let untold = of("UN03", what, Verdict::CannotTell);
    let said = |domain: &str, told: Finding| {
        let given = answers(domain, None, vec![told]);
        assert_eq!(accept(&given, NOW), Ok(()));
        let place = (given.domain.clone(), None);
        let by = "anna".to_owned();
        let all = Answers::from([(place, Answered { answers: given, by })]);
        let target: TargetId = "c1.a.test".parse().unwrap();
        attested(&all, (&target, None), &untold, NOW)
    };
    for (verdict, passes) in [(Verdict::Pass, true), (Verdict::Fail, false)] {
        let one = said("a.test", of("UN03", what, verdict)).unwrap();
        assert_eq!((one.id.as_str(), one.passes), ("UN03", passes), "{one:?}");
    }
    // Another domain says nothing of it.
    assert_eq!(said("b.test", of("UN03", what, Verdict::Pass)), None);
    assert_eq!(said("a.test", of("PF59", what, Verdict::Pass)), None);
}

/// Behind a removal the same question is asked the other way round: who may still retrieve the password is not as it should be.
#[test]
fn whether_a_server_is_off_the_list_of_readers_is_answered_too() {
    let server = ("provAgentgMSA$", "s1.a.test");
    let gmsa: protocol::GmsaName = server.0.parse().unwrap();
    let target: TargetId = server.1.parse().unwrap();
    let what = "the server may still retrieve the password of the agent's account";
    let untold = of("RM07", what, Verdict::CannotTell);
    let said = |domain: &str, host: Option<(&str, &str)>, id: &str, verdict| {
        let mut all = Answers::new();
        let told = of(id, "the gMSA names this server", verdict);
        let answered = Answered {
            answers: answers(domain, host, vec![told]),
            by: "anna".to_owned(),
        };
        let place = (domain.parse().unwrap(), answered.answers.gmsa.clone());
        all.insert(place, answered);
        attested(&all, (&target, Some(&gmsa)), &untold, NOW)
    };
    for (verdict, passes) in [(Verdict::Fail, true), (Verdict::Pass, false)] {
        let one = said("a.test", Some(server), "PF50", verdict).unwrap();
        assert_eq!((one.id.as_str(), one.passes), ("RM07", passes));
        let word = if passes { "as it" } else { "not as it" };
        assert!(
            one.sentence
                .contains(&format!("probed by no agent: {word} should be")),
            "{one:?}"
        );
    }
    let other = Some(("provAgentgMSA$", "s2.a.test"));
    assert_eq!(said("a.test", other, "PF50", Verdict::Fail), None);
    assert_eq!(said("a.test", None, "PF50", Verdict::Fail), None);
    assert_eq!(said("b.test", Some(server), "PF50", Verdict::Fail), None);
    assert_eq!(said("a.test", Some(server), "PF52", Verdict::Fail), None);
    assert_eq!(
        said("a.test", Some(server), "PF50", Verdict::CannotTell),
        None
    );
}

/// Beside what goes on by a later rollout the receipt of an earlier one would be taken for its end.
#[test]
fn why_shows_a_receipt_with_the_rollout_that_it_is_of_alone() {
    let mut world = World::new();
    world.preflight(1, vec![passes()]);
    let asked = |world: &World| {
        let why = world.fleet.why(&world.server, &Live::default(), world.now);
        why.unwrap()
    };
    let receipt = asked(&world).receipt;
    assert_eq!(receipt.map(|named| named.rollout), Some(RolloutId(1)));
    let plan = world.plan(Purpose::Install);
    world.take(&common::applied(RolloutId(2), &plan), Some(&plan));
    let why = asked(&world);
    assert!(why.answer.starts_with("r2, "), "{}", why.answer);
    assert_eq!(why.receipt, None);
}
