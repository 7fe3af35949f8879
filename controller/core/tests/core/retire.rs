//! Servers that shall carry the provisioning agent no more: what the topology may say, what the plan says, when they may
//! go, and what is seen afterwards.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::drift::drift;
use controller_core::facts::{Fleetwide, Known};
use controller_core::finding::Severity;
use controller_core::fleet::{Fleet, Gate, Live, Pulse};
use controller_core::plan::{Inputs, Plan, Purpose, plan, render};
use controller_core::policy::Policy;
use controller_core::record::Record;
use controller_core::topology::{Topology, check, json_schema, parse};
use protocol::event::{Event, Section};
use protocol::facts::{ProvisioningAgentFacts, ServiceState};
use protocol::key::{PublicKey, SigningKey};
use protocol::signed::{Ending, Phase};
use protocol::{
    Attempt, BundleId, Digest, DomainName, Epoch, Generation, RolloutId, StepIndex, TargetId,
    Timestamp, Version,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const VERSION: Version = Version::new(1, 1, 2505, 0);

fn read(group: &str) -> (Topology, Vec<String>) {
    let document = common::document(format!(
        "[tenant.main]\nid = \"{TENANT}\"\n[agents.a]\nserves = [\"a.test\"]\n{group}"
    ));
    let (topology, mut findings) = parse(&[document]);
    findings.extend(check(&topology, None));
    let severity = |severity| match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let told = findings
        .iter()
        .map(|finding| format!("{}: {}", severity(finding.severity), finding.what));
    let told = told.collect();
    (topology, told)
}

fn target(name: &str) -> TargetId {
    format!("{name}.a.test").parse().unwrap()
}

fn serving(tenant: &str) -> ProvisioningAgentFacts {
    ProvisioningAgentFacts {
        version: Some(VERSION),
        tenant: tenant.parse().ok(),
        service: Some(ServiceState::Running),
        account: Some("A\\provAgentgMSA$".to_owned()),
        options: Some(protocol::ServiceOptions::default()),
        updater: None,
        owes_registration: None,
    }
}

/// Every server of the topology as it reports: with an agent that serves, unless `without` names it.
fn fleetwide(topology: &Topology, without: &[&str]) -> (Fleetwide, Vec<(TargetId, PublicKey)>) {
    let mut keys = Vec::new();
    let mut known = Fleetwide::new();
    for server in topology.targets() {
        let key = SigningKey::generate().public();
        let bare = without.iter().any(|name| target(name) == server);
        let agent = (!bare).then(|| serving(TENANT));
        let entry = Known {
            facts: Some((NOW, common::facts(agent, None))),
            ..Known::of(key.fingerprint())
        };
        known.insert(server.clone(), entry);
        keys.push((server, key));
    }
    (known, keys)
}

fn planned(topology: &Topology, known: &Fleetwide, purpose: Purpose) -> Plan {
    plan(Inputs::of(
        topology,
        &Policy::default(),
        known,
        &common::artifacts(),
        purpose,
    ))
}

#[test]
fn a_topology_may_retire_a_server_and_not_keep_it() {
    let (topology, told) =
        read("hosts = [\"s1.a.test\", \"s2.a.test\"]\nretired = [\"s0.a.test\"]\n");
    assert!(told.is_empty(), "{told:?}");
    assert!(topology.targets().contains(&target("s0")));
    assert_eq!(
        topology.served()[&"a.test".parse().unwrap()].servers.len(),
        2
    );

    let (_, told) = read("hosts = [\"s1.a.test\", \"s2.a.test\"]\nretired = [\"s1.a.test\"]\n");
    let both = "error: s1.a.test is among the hosts and among the retired of the group \"a\"";
    assert_eq!(told, [both]);
    let (_, told) = read("hosts = [\"s1.a.test\"]\nretired = [\"s0.a.test\", \"s0.a.test\"]\n");
    assert!(
        told.iter().any(|what| what.contains("stands twice")),
        "{told:?}"
    );
    // Without hosts a group says that it ends; without either it says nothing.
    let (_, told) = read("hosts = []\nretired = [\"s0.a.test\"]\n");
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("warning: every server of a.test is retired"));
    let (_, told) = read("hosts = []\n");
    assert!(told[0].contains("hosts is missing or empty"), "{told:?}");
    assert!(
        json_schema()["properties"]["agents"]
            .to_string()
            .contains("retired")
    );
}

#[test]
fn the_plan_says_what_goes_when_and_what_people_do() {
    let (topology, _) =
        read("hosts = [\"s1.a.test\", \"s2.a.test\"]\nretired = [\"s0.a.test\", \"s9.a.test\"]\n");
    let (known, _) = fleetwide(&topology, &["s1", "s9"]);
    let plan = planned(&topology, &known, Purpose::Install);
    let report = render(&plan);
    let (_, report) = report.split_once('\n').unwrap();
    let expected = format!(
        "  4 targets, 4 with work, 1 tenants, 1 domains
  9 steps: 8 automatic, 1 with a person
  at most 1 at once (from the failure limit); nothing more starts at 1 failures
  1 first in each group, and on each build of Windows in it; a target is done at grade \"registered\"
  who is away in the middle of its work is waited for until its bundle ends, which is days: no policy says less (limit.unreachable)
  WARNING s0.a.test: registered by somebody else, so what is served there is not known; it may be HR or on-premises applications too. Before the upgrade or removal look in the portal: Cloud sync, Agents, and the enterprise applications that provision through an agent. What is served there stands still meanwhile

tenant main  {TENANT} (commercial)
  not seen in tenant: nobody has read it (entrain tenant read main); what is asked of it is not answered, and stops nothing
  agents.a: 4 servers for a.test

wave 1
  s1.a.test  (agents.a)
    prepare  preflight, install provisioning agent
    register preflight, register provisioning agent
    prove    verify provisioning agent
    because  no provisioning agent is there: install 1.1.2505.0
    because  not registered with tenant {TENANT}: by the cmdlets, with an access token that a person gives once; token is the way that clouds.toml chooses for the cloud commercial
  s2.a.test  (agents.a)
    prove    verify provisioning agent
    because  which domains it serves is not known, since Entrain did not register it: the wizard's page \"Connect Active Directory\" lists them; adopt = true of its group has those of `serves` added that are not there
    because  version 1.1.2505.0 is there and registered: verified but for its domains, nothing is changed

wave 2
  s0.a.test  (agents.a)
    remove   remove provisioning agent
    prove    verify that the provisioning agent is gone
    because  it is retired: the provisioning agent 1.1.2505.0 is taken off, when those that stay serve its domains
  s9.a.test  (agents.a)
    prove    verify that the provisioning agent is gone
    because  it is retired, and no provisioning agent is there: verified

serving meanwhile
  a.test: at least 1 of 2 agents, 2 more until they go
    run now, registered by somebody else, so whether they serve it is not known: s0.a.test, s2.a.test

how long it takes
  preflight                                   2 min       an estimate: none has run on this fleet yet
  install provisioning agent                  5 min       an estimate: none has run on this fleet yet
  register provisioning agent                 5 min       an estimate: none has run on this fleet yet
  verify provisioning agent                   2 min       an estimate: none has run on this fleet yet
  remove provisioning agent                   5 min       an estimate: none has run on this fleet yet
  verify that the provisioning agent is gone  1 min       an estimate: none has run on this fleet yet
  all of it: about 25 min, where nobody is waited for and no site's window

when people are needed, counted from apply
  after 9 min: one access token of tenant main for 1 server, over 5 min: s1.a.test (entrain secret give --tenant main --count 1 --for 5)
  a token is planned with for 60 min; such tokens are good for 60 to 90 as a rule, which is not the vendor's word on this one: entrain secret give refuses one that lapses before its appointment is over
  register provisioning agent is left to people: a sign-in of a person stands behind each: no way by certificate or application is documented, and none without one where multi-factor authentication is asked for

people bring
  a KDS root key of a.test's forest whose ten hours are over: when it was made is not seen (entrain preflight asks); a new one (Add-KdsRootKey -EffectiveImmediately) is usable ten hours after it was made, and no gMSA is made before
  afterwards, the administrator of a.test takes s0.a.test off those that may retrieve the password of provAgentgMSA$: entrain handover a.test
  afterwards, the administrator of each served domain (a.test) gives provAgentgMSA$ its rights there: part 3 of entrain handover DOMAIN; the product does not since 1.1.2334.0, and without them nothing synchronizes
  afterwards, where no agent runs as provAgentgMSA$ any more: the administrator of a.test takes away the account itself and the rights that it was given in each domain; the product leaves both
  afterwards, where s0.a.test itself goes: entrain agents revoke s0.a.test
  an access token of a Hybrid Identity Administrator of tenant {TENANT} (good for 60-90 minutes)
  beforehand, whoever runs tenant {TENANT} makes sure that s0.a.test serves nothing else (HR-driven or on-premises provisioning): Entrain sees no more of that than the ECMA Connector Host, which stops it (PF76)
  the administrator of a.test does the directory's part beforehand: entrain handover a.test
"
    );
    assert_eq!(report, expected);
    assert!(plan.irreversible.is_empty());
    for purpose in [Purpose::Verify, Purpose::Preflight] {
        let plan = planned(&topology, &known, purpose);
        let part = &plan.targets[&target("s0")];
        assert!(part.is_read_only(), "{part:?}");
        assert_eq!(part.left_out, purpose == Purpose::Preflight);
    }
}

/// What Entrain registered it knows the domains of; of another's it warns before the setup takes it out of service.
#[test]
fn an_agent_that_somebody_else_registered_warns_before_its_upgrade_or_removal() {
    let (topology, _) = read("hosts = [\"s1.a.test\", \"s2.a.test\"]\n");
    let (mut known, _) = fleetwide(&topology, &[]);
    let plan = |known: &Fleetwide, purpose| planned(&topology, known, purpose).warnings;
    assert!(
        plan(&known, Purpose::Install).is_empty(),
        "nothing is done to them"
    );
    for server in ["s1", "s2"] {
        let (_, facts) = known
            .get_mut(&target(server))
            .unwrap()
            .facts
            .as_mut()
            .unwrap();
        facts.provisioning_agent.as_mut().unwrap().version = Some(Version::new(1, 1, 1586, 0));
    }
    known.get_mut(&target("s2")).unwrap().domains = Some(["a.test".parse().unwrap()].into());
    let warnings = plan(&known, Purpose::Install);
    assert_eq!(warnings.len(), 1);
    assert!(
        warnings[0].starts_with("s1.a.test: registered by somebody else"),
        "{warnings:?}"
    );
    assert!(plan(&known, Purpose::Verify).is_empty());
    // So does one of which only some are known, since Entrain has registered it anew.
    known.get_mut(&target("s2")).unwrap().untold = true;
    let warnings = plan(&known, Purpose::Install).join("; ");
    assert!(
        warnings.contains("s2.a.test: registered by somebody else, so what else is served"),
        "{warnings}"
    );
    known.get_mut(&target("s2")).unwrap().untold = false;
    // One that was never configured serves nobody.
    let (_, facts) = known
        .get_mut(&target("s1"))
        .unwrap()
        .facts
        .as_mut()
        .unwrap();
    facts.provisioning_agent.as_mut().unwrap().tenant = None;
    assert!(plan(&known, Purpose::Install).is_empty());
}

#[test]
fn the_last_agent_of_a_domain_is_beyond_undoing_and_another_tenants_is_left_alone() {
    let (topology, _) = read("hosts = []\nretired = [\"s0.a.test\"]\n");
    let (known, _) = fleetwide(&topology, &[]);
    let plan = planned(&topology, &known, Purpose::Install);
    assert_eq!(plan.irreversible.len(), 1);
    assert!(plan.irreversible[0].starts_with("a.test: its last provisioning agent"));
    // Its order: the configuration is disabled before (product facts 1.12).
    let before = "before that, whoever runs the tenant disables the configuration of a.test";
    assert!(
        plan.irreversible[0].contains(before),
        "{:?}",
        plan.irreversible
    );
    assert!(render(&plan).contains("cannot be undone (G10)"));
    assert!(
        planned(&topology, &known, Purpose::Verify)
            .irreversible
            .is_empty()
    );
    // What is gone already is taken off by nobody.
    let (known, _) = fleetwide(&topology, &["s0"]);
    assert!(
        planned(&topology, &known, Purpose::Install)
            .irreversible
            .is_empty()
    );

    let (mut known, _) = fleetwide(&topology, &[]);
    let other = serving("3f0c8a4e-0000-0000-0000-00000000000f");
    let facts = common::facts(Some(other), None);
    known.get_mut(&target("s0")).unwrap().facts = Some((NOW, facts));
    let plan = planned(&topology, &known, Purpose::Install);
    let part = &plan.targets[&target("s0")];
    assert!(part.left_out && part.why[0].contains("(G9)"), "{part:?}");
    assert!(plan.irreversible.is_empty());
}

/// What was taken off leaves its tenant in the registry; whoever is put back is registered anew, before and after its setup.
/// Whoever leaves a scope is deleted in the tenant (product facts 3), so a configuration is disabled (1.12), and its scope emptied only
/// where that is meant (1.10).
#[test]
fn nobody_is_told_to_empty_a_scope_without_what_that_deletes() {
    use protocol::probe::tenant as catalogue;
    let document = common::document(format!(
        "[tenant.main]\nid = \"{TENANT}\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = []\nretired = [\"s0.a.test\"]\n"
    ));
    let (topology, mut findings) = parse(&[document]);
    findings.extend(check(&topology, None));
    let last = findings
        .iter()
        .find(|one| one.what.contains("every server of a.test is retired"))
        .unwrap();
    let article = include_str!("../../../../deploy/docs/article.md");
    let row = article
        .lines()
        .find(|line| line.starts_with("| R2:"))
        .unwrap();
    for text in [catalogue::PF65.fix, last.fix.as_str(), row] {
        let disable = text.find("disable").unwrap_or_else(|| panic!("{text}"));
        let empty = text.to_lowercase().find("scope").unwrap();
        assert!(disable < empty && text.contains("only where"), "{text}");
    }
    for text in [
        catalogue::PF65.fix,
        catalogue::PF67.fix,
        last.fix.as_str(),
        row,
    ] {
        assert!(
            text.contains("users") && text.contains("soft-deleted"),
            "{text}"
        );
        assert!(
            text.contains("groups") && text.contains("hard-deleted"),
            "{text}"
        );
    }
}

#[test]
fn a_server_that_is_put_back_is_registered_and_a_broken_off_removal_is_finished() {
    let left = ProvisioningAgentFacts {
        version: None,
        service: None,
        account: None,
        options: Some(protocol::ServiceOptions::default()),
        ..serving(TENANT)
    };
    let installed = ProvisioningAgentFacts {
        account: Some("NT SERVICE\\AADConnectProvisioningAgent".to_owned()),
        options: Some(protocol::ServiceOptions::default()),
        ..serving(TENANT)
    };
    assert!(serving(TENANT).serves() && !installed.serves() && !left.serves());
    let phases = |group: &str, agent: &ProvisioningAgentFacts| {
        let (topology, _) = read(group);
        let (mut known, _) = fleetwide(&topology, &[]);
        let facts = common::facts(Some(agent.clone()), None);
        known.get_mut(&target("s0")).unwrap().facts = Some((NOW, facts));
        let plan = planned(&topology, &known, Purpose::Install);
        assert!(plan.irreversible.is_empty(), "{:?}", plan.irreversible);
        let part = &plan.targets[&target("s0")];
        let phases = part.phases.iter().map(|work| work.phase);
        phases.collect::<Vec<_>>()
    };
    let back = "hosts = [\"s0.a.test\", \"s1.a.test\"]\n";
    let (prepare, register, prove) = (Phase::Prepare, Phase::Register, Phase::Prove);
    assert_eq!(phases(back, &left), [prepare, register, prove]);
    assert_eq!(phases(back, &installed), [register, prove]);
    assert_eq!(phases(back, &serving(TENANT)), [prove]);
    let retired = "hosts = []\nretired = [\"s0.a.test\"]\n";
    assert_eq!(phases(retired, &left), [Phase::Remove, prove]);
}

/// A fleet with that plan applied, and everybody here who is named.
fn fleet(topology: &Topology, here: &[&str]) -> (Fleet, Live) {
    let (known, keys) = fleetwide(topology, &[]);
    let plan = planned(topology, &known, Purpose::Install);
    let mut fleet = Fleet::new();
    for (target, key) in keys {
        let enrolled = Record::AgentEnrolled {
            target,
            key,
            epoch: Epoch(1),
            token: Digest::ZERO,
            by: "token".to_owned(),
            simulated: true,
        };
        fleet.apply(&enrolled, None, NOW);
    }
    let applied = common::applied(RolloutId(1), &plan);
    fleet.apply(&applied, Some(&plan), NOW);
    let pulse = Pulse {
        serving: true,
        at: NOW,
    };
    let live = Live {
        connected: topology.targets(),
        pulses: here.iter().map(|name| (target(name), pulse)).collect(),
        began: Timestamp::from_millis(0),
        ..Live::default()
    };
    (fleet, live)
}

/// Has the retired server's bundle issued, and asks whether it gets leave for its outage.
fn leave(fleet: &mut Fleet, live: &Live) -> Option<String> {
    let issued = Record::BundleIssued {
        rollout: RolloutId(1),
        target: target("s0"),
        phase: Phase::Remove,
        generation: Generation(1),
        bundle: BundleId(Digest::ZERO),
        expires: NOW.plus(std::time::Duration::from_secs(86_400)),
    };
    fleet.apply(&issued, None, NOW);
    let gate = Gate {
        generation: Generation(1),
        step: StepIndex(0),
        attempt: Attempt(1),
        section: Section {
            outage: true,
            gmsa: None,
        },
        lapses: None,
        earlier: None,
    };
    let hold = fleet.permit_hold(&target("s0"), &gate, &Default::default(), live, NOW);
    hold.map(|hold| hold.why)
}

#[test]
fn a_server_goes_only_while_one_that_stays_serves() {
    let group = "hosts = [\"s1.a.test\", \"s2.a.test\"]\nretired = [\"s0.a.test\"]\n";
    let (topology, _) = read(group);
    let (mut fleet_, live) = fleet(&topology, &["s0", "s1"]);
    assert_eq!(leave(&mut fleet_, &live), None);
    // Its own service and that of others who go do not count.
    let (mut fleet_, live) = fleet(&topology, &["s0"]);
    let why = leave(&mut fleet_, &live).unwrap();
    assert!(why.contains("(G2)") && why.starts_with("0 other"), "{why}");
    // An agreed outage lets the service rest for a while, and leaves somebody to take it up again.
    let (topology, _) = read(&format!(
        "{group}[domain.\"a.test\"]\nallow_outage = true\n"
    ));
    let (mut fleet_, live) = fleet(&topology, &["s0"]);
    assert!(leave(&mut fleet_, &live).is_some());
    // Where nobody is to stay, nobody is waited for.
    let (topology, _) = read("hosts = []\nretired = [\"s0.a.test\"]\n");
    let (mut fleet_, live) = fleet(&topology, &["s0"]);
    assert_eq!(leave(&mut fleet_, &live), None);
}

#[test]
fn an_agent_that_is_there_again_is_drift_and_a_key_that_was_left_is_none() {
    let (topology, _) = read("hosts = [\"s1.a.test\"]\nretired = [\"s0.a.test\"]\n");
    let (mut fleet, live) = fleet(&topology, &["s0", "s1"]);
    assert_eq!(leave(&mut fleet, &live), None);
    let mut index = 0;
    let mut say = |fleet: &mut Fleet, event: &Event| {
        index += 1;
        let record = common::told(&target("s0"), index, NOW, event);
        fleet.apply(&record, None, NOW);
    };
    let finished = |generation| Event::RunFinished {
        generation: Generation(generation),
        ending: Ending::Completed,
        receipt: String::new(),
    };
    say(&mut fleet, &finished(1));
    let issued = Record::BundleIssued {
        rollout: RolloutId(1),
        target: target("s0"),
        phase: Phase::Prove,
        generation: Generation(2),
        bundle: BundleId(Digest::ZERO),
        expires: NOW.plus(std::time::Duration::from_secs(86_400)),
    };
    fleet.apply(&issued, None, NOW);
    say(&mut fleet, &finished(2));
    let work = &fleet.rollouts()[&RolloutId(1)].work[&target("s0")];
    assert_eq!(work.state.word(), "done", "no grade is asked for: {work:?}");
    let left = ProvisioningAgentFacts {
        version: None,
        service: None,
        account: None,
        options: Some(protocol::ServiceOptions::default()),
        ..serving(TENANT)
    };
    say(
        &mut fleet,
        &Event::FactsReported(Box::new(common::facts(Some(left), None))),
    );
    assert!(drift(&fleet).is_empty());
    let back = common::facts(Some(serving(TENANT)), None);
    say(&mut fleet, &Event::FactsReported(Box::new(back)));
    let rows = drift(&fleet);
    assert_eq!(rows.len(), 1);
    assert_eq!((rows[0].wanted.as_str(), rows[0].accepted), ("gone", false));
}

/// An older plan may have asked for more; what its successor says of the domain counts alone.
#[test]
fn of_two_plans_the_newer_says_how_many_must_serve_while_a_server_goes() {
    let group = "hosts = [\"s1.a.test\", \"s2.a.test\"]\nretired = [\"s0.a.test\"]\n";
    let asks = |min_serving: u32| {
        let text = format!("{group}[domain.\"a.test\"]\nmin_serving = {min_serving}\n");
        read(&text).0
    };
    for (older, newer, goes) in [(2, 1, true), (1, 2, false)] {
        let (topology, then) = (asks(older), asks(newer));
        let (mut fleet, live) = fleet(&topology, &["s0", "s1"]);
        let next = planned(&then, fleet.known(), Purpose::Install);
        let applied = common::applied(RolloutId(2), &next);
        fleet.apply(&applied, Some(&next), NOW);
        assert_eq!(leave(&mut fleet, &live).is_none(), goes, "{older}, {newer}");
    }
}

/// A domain that was taken out of `serves` is served by the agents that were given it until they go: no cmdlet takes it from them.
#[test]
fn the_last_agent_of_a_domain_that_no_serves_names_any_more_is_beyond_undoing_too() {
    let written = |serves: &str, hosts: &str, retired: &str| {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[agents.a]\nserves = [{serves}]\nhosts = [{hosts}]\nretired = [{retired}]\n"
        );
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        topology
    };
    let both = "\"s0.a.test\", \"s9.a.test\"";
    let older = written("\"a.test\", \"b.test\"", both, "");
    let newer = written("\"a.test\"", "\"s1.a.test\", \"s2.a.test\"", both);
    let b: DomainName = "b.test".parse().unwrap();
    let given = |known: &mut Fleetwide, name: &str, domains: &[&str]| {
        let domains = domains.iter().map(|one| one.parse().unwrap()).collect();
        known.get_mut(&target(name)).unwrap().domains = Some(domains);
    };
    let (mut known, keys) = fleetwide(&newer, &[]);
    for (name, domains) in [
        ("s0", &["a.test", "b.test"][..]),
        ("s9", &["a.test", "b.test"]),
        ("s1", &["a.test"]),
        ("s2", &["a.test"]),
    ] {
        given(&mut known, name, domains);
    }
    let (before, after) = (
        planned(&older, &known, Purpose::Install),
        planned(&newer, &known, Purpose::Install),
    );
    assert_eq!(after.irreversible.len(), 1, "{:?}", after.irreversible);
    let act = &after.irreversible[0];
    let words = "b.test: its last provisioning agent is taken off (s0.a.test, s9.a.test)";
    assert!(act.starts_with(words), "{act}");
    assert!(
        act.contains("disables the configuration of b.test"),
        "{act}"
    );
    assert_eq!(after.domains[&b].min_serving, 0);

    // Whoever wants it is held by nothing of an earlier plan, under which both were to keep serving it.
    let fleet = |plans: [&Plan; 2]| {
        let mut fleet = Fleet::new();
        for (target, key) in &keys {
            fleet.apply(&common::enrolled(target, *key), None, NOW);
        }
        for (number, plan) in (1..).zip(plans) {
            let applied = common::applied(RolloutId(number), plan);
            fleet.apply(&applied, Some(plan), NOW);
        }
        fleet
    };
    let live = |serving: &[&str]| {
        let pulse = Pulse {
            serving: true,
            at: NOW,
        };
        Live {
            connected: newer.targets(),
            pulses: serving.iter().map(|name| (target(name), pulse)).collect(),
            began: Timestamp::from_millis(0),
            ..Live::default()
        }
    };
    let mut accepted = fleet([&before, &after]);
    assert_eq!(leave(&mut accepted, &live(&["s0", "s1"])), None);

    // What a person gave one that stays nobody knows: it may be the one that goes on.
    let unknown = |name: &str| {
        let mut known = known.clone();
        known.get_mut(&target(name)).unwrap().domains = None;
        planned(&newer, &known, Purpose::Install).irreversible
    };
    let [act] = &unknown("s1")[..] else {
        panic!("one domain ends");
    };
    let words = "b.test: its last provisioning agent that is known to serve it is taken off (s0.a.test, s9.a.test); whether s1.a.test serves it too is not known: where it does not, what was synchronized stays in the tenant, and nothing follows the directory any more";
    assert!(act.starts_with(words), "{act}");
    assert!(
        act.contains("disables the configuration of b.test"),
        "{act}"
    );
    // Where that one is installed alone, it serves nobody.
    let mut bare = known.clone();
    let one = bare.get_mut(&target("s1")).unwrap();
    one.domains = None;
    let (_, facts) = one.facts.as_mut().unwrap();
    facts.provisioning_agent.as_mut().unwrap().tenant = None;
    let bare = planned(&newer, &bare, Purpose::Install);
    assert_eq!(bare.irreversible, after.irreversible);

    // Where one that stays was given it as well, nothing ends, and that one must serve meanwhile.
    given(&mut known, "s1", &["a.test", "b.test"]);
    let stays = planned(&newer, &known, Purpose::Install);
    assert_eq!(stays.domains[&b].min_serving, 0, "nobody holds s1 for it");
    assert!(stays.irreversible.is_empty(), "{:?}", stays.irreversible);
    let mut held = fleet([&before, &stays]);
    let why = leave(&mut held, &live(&["s0", "s2"])).unwrap();
    assert!(why.contains("b.test") && why.contains("(G2)"), "{why}");
    let mut goes = fleet([&before, &stays]);
    assert_eq!(leave(&mut goes, &live(&["s0", "s1", "s2"])), None);
}
