//! What a tenant that was read answers to the probes of the catalogue: each where it passes, where it fails and where it cannot be
//! told, and whom it stops.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use controller_core::beyond::Beyond;
use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::{Cause, Decision, Fleet, Live, Unaccepted};
use controller_core::plan::{Inputs, Plan, Purpose, plan, render};
use controller_core::policy;
use controller_core::record::Record;
use controller_core::tenant::{
    ADMINISTRATOR, Account, Configuration, Guard, Held, Job, NoUsers, Observation, Organization,
    Part, SyncAccounts, Units, Wants, WantsConnect, findings, members, policies, secrets, units,
    user,
};
use controller_core::topology::parse;
use proptest::prelude::*;
use protocol::event::{Event, Finding, Section, Severity, Verdict};
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::Phase;
use protocol::step::SignIn;
use protocol::{
    Attempt, BundleId, Digest, Fingerprint, Generation, RolloutId, StepIndex, TargetId, Timestamp,
    Version,
};
use serde_json::{Value, json};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

fn target(name: &str) -> TargetId {
    name.parse().unwrap()
}

/// All is well: an administrator of the tenant's own, one configuration with its guard, one active Connect server.
fn sound() -> Observation {
    let mut seen = Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "403");
    seen.organization = Part::Seen(Organization {
        sync_enabled: true,
        last_sync: Some(NOW.minus(Duration::from_secs(600))),
    });
    seen.configurations = Part::Seen(vec![configuration("a.test")]);
    seen.operator = Part::Seen(Account {
        user: "anna@contoso.com".to_owned(),
        guest: false,
        synchronized: false,
        role: Part::Seen(Held::Direct),
        global: Part::Seen(Held::Not),
        demands: Part::Seen(BTreeSet::new()),
        may_demand: BTreeSet::new(),
    });
    seen.sync_accounts = Part::Seen(SyncAccounts {
        members: 2,
        ids: BTreeSet::new(),
        caught: Part::Seen(BTreeSet::new()),
        may_catch: BTreeSet::new(),
    });
    seen
}

fn configuration(domain: &str) -> Configuration {
    Configuration {
        name: domain.to_owned(),
        jobs: Part::Seen(Vec::new()),
        domain: Part::Seen(domain.to_owned()),
        guard: Part::Seen(Some(Guard {
            enabled: true,
            threshold: Some(500),
        })),
        units: Part::Seen(Units::Whole),
    }
}

fn wants() -> Wants {
    Wants {
        name: "main".to_owned(),
        sign_in: Some(SignIn::Credential),
        agent: Some(Version::new(1, 1, 2505, 0)),
        serves: ["a.test".parse().unwrap()].into(),
        hashes: BTreeSet::new(),
        connect: vec![WantsConnect {
            trees: Vec::new(),
            read: BTreeSet::new(),
            name: "main".to_owned(),
            forests: vec!["b.test".parse().unwrap()],
            servers: vec![target("c1.b.test"), target("c2.b.test")],
            gone: Vec::new(),
        }],
    }
}

/// Two Connect servers: staging, active, without Connect, or never heard of.
fn servers(modes: [Option<Option<bool>>; 2]) -> Fleetwide {
    let entry = |(server, mode): (&str, Option<Option<bool>>)| {
        let connect = mode.map(|staging| ConnectFacts {
            version: Some(common::CONNECT),
            service: Some(ServiceState::Running),
            staging,
            cycle_enabled: Some(true),
            suspended: None,
        });
        let known = Known {
            facts: Some((NOW, common::facts(None, connect))),
            ..Known::of(Fingerprint(Digest::of(server.as_bytes())))
        };
        (target(server), known)
    };
    ["c1.b.test", "c2.b.test"]
        .into_iter()
        .zip(modes)
        .map(entry)
        .collect()
}

const ACTIVE: Option<Option<bool>> = Some(Some(false));
const STAGING: Option<Option<bool>> = Some(Some(true));

fn all(seen: &Observation, wants: &Wants, known: &Fleetwide) -> Vec<Finding> {
    let found = findings(seen, wants, known, Beyond::NOTHING);
    found.into_iter().map(|one| one.finding).collect()
}

/// The answers to one probe, when the observation is changed so.
fn probe(id: &str, change: impl FnOnce(&mut Observation)) -> Vec<Finding> {
    let mut seen = sound();
    change(&mut seen);
    let found = all(&seen, &wants(), &servers([ACTIVE, STAGING]));
    found.into_iter().filter(|one| one.id == id).collect()
}

fn one(id: &str, change: impl FnOnce(&mut Observation)) -> Finding {
    let mut found = probe(id, change);
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn account(seen: &mut Observation) -> &mut Account {
    let Part::Seen(account) = &mut seen.operator else {
        unreachable!()
    };
    account
}

fn first(seen: &mut Observation) -> &mut Configuration {
    let Part::Seen(all) = &mut seen.configurations else {
        unreachable!()
    };
    &mut all[0]
}

fn unseen<T>() -> Part<T> {
    Part::NotSeen("403 (it takes Something.Read.All)".to_owned())
}

/// It cannot be told, says by which permission it could, and stops nothing.
fn cannot_tell(finding: &Finding) {
    assert_eq!(finding.verdict, Verdict::CannotTell, "{finding:?}");
    assert!(
        !finding.blocks() && finding.read.contains("Something.Read.All"),
        "{finding:?}"
    );
}

#[test]
fn where_all_is_well_each_probe_passes_and_where_nothing_was_seen_none_does_and_none_blocks() {
    let found = all(&sound(), &wants(), &servers([ACTIVE, STAGING]));
    for finding in &found {
        assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
    }
    let ids: BTreeSet<&str> = found.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(
        ids,
        BTreeSet::from([
            "PF61", "PF62", "PF64", "PF65", "PF66", "PF68", "PF69", "PV15"
        ])
    );
    let blind = Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "403");
    for finding in all(&blind, &wants(), &servers([None, None])) {
        assert_eq!(finding.verdict, Verdict::CannotTell, "{finding:?}");
        assert!(!finding.blocks());
    }
}

#[test]
fn pf61_wants_a_member_of_the_tenant_who_holds_the_role() {
    let verdicts = |change: fn(&mut Account)| {
        let found = probe("PF61", |seen| change(account(seen)));
        let of = |product: &str| {
            let mut own = found.iter().filter(|one| one.what.contains(product));
            own.next().map(|one| one.verdict).unwrap()
        };
        (of("for provisioning agent"), of("for Connect Sync"))
    };
    let (pass, fail) = (Verdict::Pass, Verdict::Fail);
    assert_eq!(verdicts(|_| ()), (pass, pass));
    assert_eq!(
        verdicts(|one| one.role = Part::Seen(Held::ByGroup)),
        (pass, fail)
    );
    assert_eq!(
        verdicts(|one| one.role = Part::Seen(Held::Eligible)),
        (pass, fail)
    );
    assert_eq!(
        verdicts(|one| one.role = Part::Seen(Held::Not)),
        (fail, fail)
    );
    assert_eq!(verdicts(|one| one.guest = true), (fail, fail));
    assert_eq!(verdicts(|one| one.synchronized = true), (fail, fail));
    for finding in probe("PF61", |seen| account(seen).role = unseen()) {
        cannot_tell(&finding);
    }
}

#[test]
fn pf61_takes_a_global_administrator_in_place_of_the_role() {
    let of = |global: Part<Held>| {
        let found = probe("PF61", |seen| {
            account(seen).role = Part::Seen(Held::Not);
            account(seen).global = global.clone();
        });
        found
            .into_iter()
            .find(|one| one.what.contains("for Connect Sync"))
    };
    let direct = of(Part::Seen(Held::Direct)).unwrap();
    assert_eq!(direct.verdict, Verdict::Pass, "{direct:?}");
    assert!(
        direct.read.contains("of Global Administrator: holds it"),
        "{direct:?}"
    );
    let by_group = of(Part::Seen(Held::ByGroup)).unwrap();
    assert_eq!(by_group.verdict, Verdict::Fail, "{by_group:?}");
    // Whoever does not hold the one may hold the other, which was not looked at.
    cannot_tell(&of(unseen()).unwrap());
}

#[test]
fn pf61_takes_whoever_is_eligible_from_the_agent_on_that_activates_the_role() {
    let mut seen = sound();
    account(&mut seen).role = Part::Seen(Held::Eligible);
    let of = |agent: Option<Version>| {
        let wants = Wants { agent, ..wants() };
        let found = all(&seen, &wants, &servers([ACTIVE, STAGING]));
        let mut found = found.into_iter();
        let own = |one: &Finding| one.id == "PF61" && one.what.contains("provisioning agent");
        found.find(own).unwrap()
    };
    assert_eq!(of(Some(Version::new(1, 1, 2102, 0))).verdict, Verdict::Pass);
    let old = of(Some(Version::new(1, 1, 1586, 0)));
    assert!(
        old.blocks() && old.read.contains("agent 1.1.1586.0 activates no role"),
        "{old:?}"
    );
    let unknown = of(None);
    assert_eq!(unknown.verdict, Verdict::CannotTell, "{unknown:?}");
    assert!(unknown.read.contains("from 1.1.2102.0 on"), "{unknown:?}");
}

#[test]
fn pf62_wants_no_more_than_a_password_where_that_is_all_that_is_given() {
    let demand =
        |seen: &mut Observation| account(seen).demands = Part::Seen(["MFA".to_owned()].into());
    let fails = one("PF62", demand);
    assert!(
        fails.blocks() && fails.read.contains("of anna@contoso.com: MFA"),
        "{fails:?}"
    );
    assert!(fails.fix.contains("\"token\" or \"wizard\""));
    let may = one("PF62", |seen| {
        account(seen).may_demand = ["By place".to_owned()].into()
    });
    assert!(may.verdict == Verdict::CannotTell && may.read.contains("By place"));
    cannot_tell(&one("PF62", |seen| account(seen).demands = unseen()));
    // Where a person signs in, what is demanded is met.
    for sign_in in [SignIn::Token, SignIn::Wizard] {
        let mut seen = sound();
        demand(&mut seen);
        let wants = Wants {
            sign_in: Some(sign_in),
            ..wants()
        };
        let found = all(&seen, &wants, &servers([ACTIVE, STAGING]));
        let finding = found.iter().find(|one| one.id == "PF62").unwrap();
        assert_eq!(finding.verdict, Verdict::Pass);
    }
}

#[test]
fn pf64_warns_where_synchronization_will_be_switched_on() {
    let off = one("PF64", |seen| {
        seen.organization = Part::Seen(Organization {
            sync_enabled: false,
            last_sync: None,
        });
    });
    assert!(off.verdict == Verdict::Fail && off.severity == Severity::Warn);
    assert!(off.fix.contains("G10"));
    cannot_tell(&one("PF64", |seen| seen.organization = unseen()));
}

#[test]
fn pf65_wants_one_configuration_for_a_domain() {
    let more = |one: Configuration| {
        move |seen: &mut Observation| {
            let Part::Seen(all) = &mut seen.configurations else {
                unreachable!()
            };
            all.push(one);
        }
    };
    let second = Configuration {
        name: "old".to_owned(),
        ..configuration("A.test")
    };
    let two = one("PF65", more(second));
    assert!(
        two.blocks() && two.read.contains("2 of a.test: a.test, old"),
        "{two:?}"
    );
    let none = one("PF65", |seen| seen.configurations = Part::Seen(Vec::new()));
    assert_eq!(none.verdict, Verdict::Pass);
    // One whose domain was not seen may be the second.
    cannot_tell(&one(
        "PF65",
        more(Configuration {
            domain: unseen(),
            ..configuration("x")
        }),
    ));
    // One of a domain that Connect alone is to synchronize may be meant.
    let strange = probe("PF65", more(configuration("b.test")));
    assert_eq!(strange.len(), 2);
    assert!(
        strange[1].verdict == Verdict::Fail && !strange[1].blocks(),
        "{strange:?}"
    );
}

#[test]
fn pf66_wants_exactly_one_active_server() {
    let never = Some(Organization {
        sync_enabled: false,
        last_sync: None,
    });
    let lately = sound().organization.seen().cloned();
    let long_ago = Some(Organization {
        sync_enabled: true,
        last_sync: Some(NOW.minus(Duration::from_secs(86_400))),
    });
    let (pass, fail, unsure) = (Verdict::Pass, Verdict::Fail, Verdict::CannotTell);
    for (modes, organization, jobs, verdict, says) in [
        (
            [ACTIVE, STAGING],
            &lately,
            false,
            pass,
            "c1.b.test is active",
        ),
        (
            [ACTIVE, ACTIVE],
            &lately,
            false,
            fail,
            "active at once: c1.b.test, c2.b.test",
        ),
        (
            [ACTIVE, Some(None)],
            &lately,
            false,
            unsure,
            "whether c2.b.test is active",
        ),
        ([None, None], &never, false, pass, "never synchronized"),
        (
            [None, None],
            &lately,
            false,
            fail,
            "the tenant was synchronized at",
        ),
        // By cloud sync, perhaps.
        (
            [None, None],
            &lately,
            true,
            unsure,
            "the tenant was synchronized at",
        ),
        (
            [None, None],
            &long_ago,
            false,
            unsure,
            "the tenant was synchronized at",
        ),
        (
            [STAGING, STAGING],
            &long_ago,
            false,
            fail,
            "no server of entry main is active",
        ),
        (
            [STAGING, STAGING],
            &None,
            false,
            unsure,
            "was not seen: 403",
        ),
    ] {
        let mut seen = sound();
        seen.organization = match organization {
            Some(one) => Part::Seen(one.clone()),
            None => Part::NotSeen("403".to_owned()),
        };
        if jobs {
            first(&mut seen).jobs = Part::Seen(vec![Job {
                template: "AD2AADProvisioning".to_owned(),
                status: "Active".to_owned(),
                quarantined: false,
                last_success: Some(NOW),
            }]);
        }
        let found = all(&seen, &wants(), &servers(modes));
        let finding = found.iter().find(|one| one.id == "PF66").unwrap();
        assert_eq!(finding.verdict, verdict, "{says}: {finding:?}");
        assert!(finding.read.contains(says), "{says}: {finding:?}");
    }
}

#[test]
fn pf68_and_pf69_count_the_accounts_of_connect_servers_and_who_catches_them() {
    let accounts = |members, caught: Part<BTreeSet<String>>, may: &[&str]| SyncAccounts {
        members,
        ids: BTreeSet::new(),
        caught,
        may_catch: may.iter().map(|one| (*one).to_owned()).collect(),
    };
    let nobody = || Part::Seen(BTreeSet::new());
    let with = |id: &str, accounts: SyncAccounts| {
        one(id, |seen| seen.sync_accounts = Part::Seen(accounts))
    };
    assert_eq!(
        with("PF68", accounts(19, nobody(), &[])).verdict,
        Verdict::Pass
    );
    let many = with("PF68", accounts(20, nobody(), &[]));
    assert!(many.verdict == Verdict::Fail && !many.blocks());
    cannot_tell(&one("PF68", |seen| seen.sync_accounts = unseen()));
    let all_users = || Part::Seen(["MFA for all".to_owned()].into());
    let caught = with("PF69", accounts(2, all_users(), &[]));
    assert!(caught.verdict == Verdict::Fail && caught.read.contains("MFA for all"));
    assert_eq!(
        with("PF69", accounts(0, all_users(), &[])).verdict,
        Verdict::Pass
    );
    let may = with("PF69", accounts(2, nobody(), &["But a group"]));
    assert!(may.verdict == Verdict::CannotTell && may.read.contains("But a group"));
    cannot_tell(&with("PF69", accounts(2, unseen(), &[])));
}

#[test]
fn pv15_wants_a_guard_with_a_threshold() {
    let with = |guard: Part<Option<Guard>>| one("PV15", |seen| first(seen).guard = guard);
    let guard = |enabled, threshold| Part::Seen(Some(Guard { enabled, threshold }));
    assert_eq!(with(guard(true, Some(500))).verdict, Verdict::Pass);
    for fails in [
        guard(false, Some(500)),
        guard(true, None),
        guard(true, Some(0)),
    ] {
        let finding = with(fails);
        assert!(
            finding.verdict == Verdict::Fail && finding.read.starts_with("a.test: "),
            "{finding:?}"
        );
    }
    assert_eq!(with(Part::Seen(None)).verdict, Verdict::CannotTell);
    cannot_tell(&with(unseen()));
    cannot_tell(&one("PV15", |seen| seen.configurations = unseen()));
}

// --- answers of the service ---

fn list(items: &[Value]) -> Value {
    json!({ "value": items })
}

fn policy(name: &str, state: &str, users: Value, more: Value) -> Value {
    let mut conditions = json!({ "users": users, "applications": { "includeApplications": ["All"] }, "clientAppTypes": ["all"] });
    for (key, value) in more.as_object().into_iter().flatten() {
        conditions[key] = value.clone();
    }
    json!({ "displayName": name, "state": state, "conditions": conditions, "grantControls": { "builtInControls": ["mfa"] } })
}

#[test]
fn policies_are_read_by_whom_they_take_in_and_leave_out() {
    let everybody = || json!({ "includeUsers": ["All"] });
    let answer = list(&[
        policy("all", "enabled", everybody(), json!({})),
        policy("off", "disabled", everybody(), json!({})),
        policy(
            "reported",
            "enabledForReportingButNotEnforced",
            everybody(),
            json!({}),
        ),
        policy(
            "not me",
            "enabled",
            json!({ "includeUsers": ["All"], "excludeUsers": ["me"] }),
            json!({}),
        ),
        policy(
            "my group",
            "enabled",
            json!({ "includeGroups": ["g1"] }),
            json!({}),
        ),
        policy(
            "my role",
            "enabled",
            json!({ "includeRoles": [ADMINISTRATOR] }),
            json!({}),
        ),
        policy(
            "another",
            "enabled",
            json!({ "includeUsers": ["you"] }),
            json!({}),
        ),
        policy(
            "abroad",
            "enabled",
            everybody(),
            json!({ "locations": { "includeLocations": ["x"] } }),
        ),
        policy(
            "one application",
            "enabled",
            everybody(),
            json!({ "applications": { "includeApplications": ["y"] } }),
        ),
    ]);
    let read = policies(&answer).unwrap();
    let judged = |groups: Option<&BTreeSet<String>>| {
        let me = json!({ "id": "me", "userPrincipalName": "anna@contoso.com", "userType": "Member", "onPremisesSyncEnabled": null });
        let (id, mut account) = user(&me).unwrap();
        account.role = Part::Seen(Held::Direct);
        account.judge(&id, groups, ADMINISTRATOR, &read);
        account
    };
    let set = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|one| (*one).to_owned()).collect()
    };
    let groups = set(&["g1"]);
    let account = judged(Some(&groups));
    assert_eq!(
        account.demands,
        Part::Seen(set(&["all", "my group", "my role"]))
    );
    assert_eq!(account.may_demand, set(&["abroad", "one application"]));
    // Whose group it is was not seen.
    let account = judged(None);
    assert_eq!(account.demands, Part::Seen(set(&["all", "my role"])));
    assert!(account.may_demand.contains("my group"));
    let role = "d1";
    let accounts = set(&["s1", "s2"]);
    let answer = list(&[
        policy("all", "enabled", everybody(), json!({})),
        policy(
            "by role",
            "enabled",
            json!({ "includeUsers": ["All"], "excludeRoles": [role] }),
            json!({}),
        ),
        policy(
            "by name",
            "enabled",
            json!({ "includeUsers": ["All"], "excludeUsers": ["s1", "s2", "s3"] }),
            json!({}),
        ),
        policy(
            "one of two",
            "enabled",
            json!({ "includeUsers": ["All"], "excludeUsers": ["s1"] }),
            json!({}),
        ),
        policy(
            "by group",
            "enabled",
            json!({ "includeUsers": ["All"], "excludeGroups": ["g"] }),
            json!({}),
        ),
    ]);
    let read = Part::Seen(policies(&answer).unwrap());
    let caught = SyncAccounts::of(&accounts, &NoUsers::default(), role, read);
    assert_eq!(caught.members, 2);
    assert_eq!(caught.caught, Part::Seen(set(&["all", "one of two"])));
    assert_eq!(caught.may_catch, set(&["by group"]));
    assert!(policies(&list(&[json!({ "displayName": "x", "state": "enabled" })])).is_err());
}

#[test]
fn answers_that_say_less_are_not_read_as_nothing() {
    let pair = |key: &str, value: &str| json!({ "key": key, "value": value });
    let guard = r#"{"Enabled":true,"Recipients":"x@y.z","DeleteThresholdEnabled":true,"DeleteThresholdValue":500}"#;
    let told = secrets(&list(&[
        pair("AppKey", "{}"),
        pair("Domain", r#"{"domain":"A.test"}"#),
        pair("SyncNotificationSettings", guard),
    ]))
    .unwrap();
    assert_eq!(told.domain.as_deref(), Some("a.test"));
    assert_eq!(
        told.guard,
        Some(Guard {
            enabled: true,
            threshold: Some(500)
        })
    );
    assert_eq!(secrets(&list(&[])).unwrap().domain, None);
    assert!(
        secrets(&list(&[pair("Domain", "")]))
            .unwrap_err()
            .contains("not shown")
    );
    assert!(
        secrets(&list(&[pair("Domain", "a.test")]))
            .unwrap_err()
            .contains("no JSON")
    );
    let rule = |containers: Value, groups: Value| json!({ "synchronizationRules": [{ "containerFilter": containers, "groupFilter": groups }] });
    let one = json!({ "includedContainers": ["OU=a,DC=x"] });
    let none = json!({ "includedGroups": [] });
    assert_eq!(
        units(&rule(one.clone(), none)),
        Ok(Units::Named(["OU=a,DC=x".to_owned()].into()))
    );
    assert_eq!(units(&rule(Value::Null, Value::Null)), Ok(Units::Whole));
    assert_eq!(
        units(&rule(one, json!({ "includedGroups": ["g"] }))),
        Ok(Units::Groups)
    );
    for less in [
        json!({}),
        json!({ "synchronizationRules": [] }),
        json!({ "synchronizationRules": [{ "groupFilter": null }] }),
        rule(json!({}), Value::Null),
        rule(json!({ "includedContainers": [7] }), Value::Null),
    ] {
        assert!(units(&less).is_err(), "{less}");
    }
    // A role that is held in a part of the tenant is not held.
    let holds = |scope: &str| list(&[json!({ "principalId": "p", "directoryScopeId": scope })]);
    assert_eq!(members(&holds("/")).unwrap().len(), 1);
    assert_eq!(members(&holds("/administrativeUnits/1")).unwrap().len(), 0);
    // What stands in the log from before it was asked for is not seen.
    let old = json!({ "tenant": TENANT, "at": "2026-09-21T13:24:00Z", "agents": { "not-seen": "" }, "configurations": { "seen": [{ "name": "a", "jobs": { "seen": [] } }] }, "organization": { "not-seen": "" }, "domains": { "not-seen": "" } });
    let old: Observation = serde_json::from_value(old).unwrap();
    assert!(old.operator.seen().is_none() && old.sync_accounts.seen().is_none());
    assert!(old.configurations.seen().unwrap()[0].units.seen().is_none());
}

// --- whom it stops ---

/// One agent that is to be registered, one Connect server that is to be installed.
const TOPOLOGY: &str = r#"
[tenant.main]
id = "3f0c8a4e-0000-0000-0000-000000000000"
[agents.a]
serves = ["a.test"]
hosts = ["s1.a.test"]
[connect.main]
forests = ["b.test"]
servers = ["c1.b.test"]
settings = "express"
"#;

struct World {
    fleet: Fleet,
    live: Live,
    now: Timestamp,
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                began: NOW.minus(Duration::from_secs(86_400)),
                ..Live::default()
            },
            now: NOW,
        };
        for name in ["s1.a.test", "c1.b.test"] {
            let server = target(name);
            let key = SigningKey::generate().public();
            world.take(&common::enrolled(&server, key), None);
            let facts = Event::FactsReported(Box::new(common::facts(None, None)));
            world.take(&common::told(&server, 1, NOW, &facts), None);
            world.live.connected.insert(server);
        }
        world
    }

    fn take(&mut self, record: &Record, plan: Option<&Plan>) {
        self.fleet.apply(record, plan, self.now);
    }

    fn reads(&mut self, observation: Observation) {
        let seen = Record::TenantSeen {
            observation: Box::new(observation),
            by: "anna".to_owned(),
        };
        self.take(&seen, None);
    }

    fn plan(&self, purpose: Purpose) -> Plan {
        let (topology, findings) = parse(&[common::document(TOPOLOGY)]);
        assert!(findings.is_empty(), "{findings:?}");
        let text = "[limit]\nfailures = \"9\"\ncanary = 0\n";
        let (policy, findings) = policy::parse(&common::document(text));
        assert!(findings.is_empty(), "{findings:?}");
        plan(Inputs {
            beyond: self.fleet.beyond(),
            ..Inputs::of(
                &topology,
                &policy,
                self.fleet.known(),
                &common::artifacts(),
                purpose,
            )
        })
    }

    fn apply(&mut self) {
        let plan = self.plan(Purpose::Install);
        self.take(&common::applied(RolloutId(1), &plan), Some(&plan));
    }

    fn issued(&self) -> Vec<String> {
        let decisions = self.fleet.decide(&self.live, self.now);
        let target = |one: &Decision| match one {
            Decision::Issue { target, .. } => Some(target.to_string()),
            Decision::Permit { .. }
            | Decision::Degraded { .. }
            | Decision::Unknown { .. }
            | Decision::Away { .. }
            | Decision::PassedOver { .. } => None,
        };
        let mut targets: Vec<String> = decisions.iter().filter_map(target).collect();
        targets.sort();
        targets
    }

    fn hold(&self, name: &str) -> String {
        let hold = self
            .fleet
            .hold(RolloutId(1), &target(name), &self.live, self.now);
        hold.map(|hold| hold.why).unwrap_or_default()
    }
}

#[test]
fn a_tenant_that_nobody_read_stops_nothing_and_is_never_called_verified() {
    let mut world = World::new();
    let said = render(&world.plan(Purpose::Install));
    assert!(
        said.contains("not seen in tenant: nobody has read it (entrain tenant read main)"),
        "{said}"
    );
    assert!(!said.contains("verified domain of the tenant, as"));
    world.apply();
    assert_eq!(world.issued(), ["c1.b.test", "s1.a.test"]);
}

#[test]
fn what_blocks_stops_those_whom_it_is_about_until_the_tenant_is_read_again() {
    let mut world = World::new();
    let mut seen = sound();
    seen.organization = Part::Seen(Organization {
        sync_enabled: true,
        last_sync: None,
    });
    account(&mut seen).role = Part::Seen(Held::Eligible);
    world.apply();
    world.reads(seen.clone());
    // Who is eligible may register an agent, and may not install Connect.
    assert_eq!(world.issued(), ["s1.a.test"]);
    world.now = NOW.plus(Duration::from_secs(600));
    let why = world.hold("c1.b.test");
    for words in [
        "PF61 of tenant main, as anna read it 10 minutes ago: anna@contoso.com is eligible for it",
        "(G8)",
        "`entrain tenant read main --operator anna@contoso.com` again, which lifts it",
    ] {
        assert!(why.contains(words), "{words}: {why}");
    }
    let said = render(&world.plan(Purpose::Install));
    assert!(
        said.contains("held: PF61 of its tenant") && said.contains("PF61 blocks"),
        "{said}"
    );
    let said = render(&world.plan(Purpose::Preflight));
    assert!(
        said.contains("as anna read it at") && said.contains("PF61 blocks"),
        "{said}"
    );
    seen.at = world.now;
    // A look that names no account lifts nothing of what was seen of it, and is not the one that saw it.
    let mut nobody = seen.clone();
    nobody.operator = Part::NotSeen("nobody was named".to_owned());
    let record = Record::TenantSeen {
        observation: Box::new(nobody),
        by: "bert".to_owned(),
    };
    world.take(&record, None);
    let why = world.hold("c1.b.test");
    assert!(
        why.contains("PF61 of tenant main, as anna read it 10 minutes ago"),
        "{why}"
    );
    let said = render(&world.plan(Purpose::Install));
    for words in [
        format!("as bert read it at {}", world.now),
        format!("account that is to sign in: not seen then, and told as anna read it at {NOW}"),
    ] {
        assert!(said.contains(&words), "{words}: {said}");
    }
    account(&mut seen).role = Part::Seen(Held::Direct);
    world.reads(seen.clone());
    assert_eq!(world.issued(), ["c1.b.test", "s1.a.test"]);
    // Two configurations of its domain stop the agent alone.
    seen.configurations = Part::Seen(vec![configuration("a.test"), configuration("a.test")]);
    world.reads(seen);
    assert_eq!(world.issued(), ["c1.b.test"]);
    assert!(world.hold("s1.a.test").contains("PF65"));
}

/// What was read since the offer holds it as well: it is taken back while nobody has accepted it, and gets no leave where somebody has.
#[test]
fn what_blocks_by_now_holds_what_was_offered_and_lets_it_go_on_once_it_is_put_right() {
    let mut world = World::new();
    world.apply();
    let server = target("s1.a.test");
    let issued = Record::BundleIssued {
        rollout: RolloutId(1),
        target: server.clone(),
        generation: Generation(1),
        phase: Phase::Prepare,
        bundle: BundleId(Digest::ZERO),
        expires: NOW.plus(Duration::from_secs(3600)),
    };
    world.take(&issued, None);
    let back = |world: &World| {
        let back = world
            .fleet
            .unaccepted(&server, Generation(0), &world.live, world.now);
        back.unwrap()
    };
    let gets_leave = |world: &mut World| {
        let section = Section {
            outage: false,
            gmsa: None,
        };
        let (generation, step) = (Generation(1), StepIndex(1));
        world
            .fleet
            .asks_permit(&server, generation, step, Attempt(1), section);
        let decisions = world.fleet.decide(&world.live, world.now);
        decisions
            .iter()
            .any(|one| matches!(one, Decision::Permit { .. }))
    };
    let read = |held| {
        let mut seen = sound();
        account(&mut seen).role = Part::Seen(held);
        seen
    };
    assert!(matches!(back(&world), Unaccepted::Offer(_)));
    assert!(gets_leave(&mut world));
    world.reads(read(Held::Not));
    assert_eq!(back(&world), Unaccepted::Withdraw(Generation(1)));
    assert!(!gets_leave(&mut world));
    let why = world.fleet.why(&server, &world.live, world.now).unwrap();
    assert_eq!(
        why.lifts.map(|lifts| lifts.cause),
        Some(Cause::TenantBlocks)
    );
    assert!(why.answer.contains("(G8)"), "{}", why.answer);
    world.reads(read(Held::Direct));
    assert!(matches!(back(&world), Unaccepted::Offer(_)));
    assert!(gets_leave(&mut world));
}

/// What spoils what a probe looks at; none for a probe that has its stories elsewhere.
fn spoil(id: &str) -> Option<fn(&mut Observation)> {
    Some(match id {
        "PF61" => |seen| account(seen).role = Part::Seen(Held::Not),
        "PF62" => |seen| account(seen).demands = Part::Seen(["MFA".to_owned()].into()),
        "PF64" => |seen| {
            seen.organization = Part::Seen(Organization {
                sync_enabled: false,
                last_sync: None,
            });
        },
        "PF65" => |seen| {
            let both = vec![configuration("a.test"), configuration("a.test")];
            seen.configurations = Part::Seen(both);
        },
        "PF68" => |seen| {
            seen.sync_accounts = Part::Seen(SyncAccounts {
                members: 20,
                ids: BTreeSet::new(),
                caught: Part::Seen(BTreeSet::new()),
                may_catch: BTreeSet::new(),
            });
        },
        "PF69" => |seen| {
            seen.sync_accounts = Part::Seen(SyncAccounts {
                members: 2,
                ids: BTreeSet::new(),
                caught: Part::Seen(["MFA for all".to_owned()].into()),
                may_catch: BTreeSet::new(),
            });
        },
        "PV15" => |seen| {
            first(seen).guard = Part::Seen(Some(Guard {
                enabled: false,
                threshold: None,
            }))
        },
        _ => return None,
    })
}

/// Probes that fail in tests of their own: by the servers' modes, of a token where it is given, and by scopes. Below the workspace's folder: the file, and
/// the test in it, which names the probe.
const ELSEWHERE: [(&str, &str, &str); 3] = [
    (
        "PF66",
        "controller/core/tests/core/probes.rs",
        "pf66_wants_exactly_one_active_server",
    ),
    (
        "PF63",
        "protocol/src/secret.rs",
        "a_token_must_outlive_the_appointment",
    ),
    (
        "PF67",
        "controller/core/tests/core/scopes.rs",
        "the_plan_says_what_holds_and_a_verification_reads_what_connect_takes",
    ),
];

/// Whether a probe has such a test: it is there, and its own lines name the probe.
fn told_elsewhere(id: &str) -> bool {
    let Some((_, file, name)) = ELSEWHERE.iter().find(|(one, ..)| *one == id) else {
        return false;
    };
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join(file)).unwrap();
    let at = text.find(&format!("fn {name}("));
    let (before, from) = text.split_at(at.unwrap_or_else(|| panic!("no test {name} in {file}")));
    assert!(
        before.trim_end().ends_with("#[test]"),
        "{name} in {file} is no test"
    );
    let own = from.split("\n}\n").next().unwrap_or_default();
    let own = own.split("\n    }\n\n").next().unwrap_or_default();
    assert!(own.contains(id), "{name} in {file} does not name {id}");
    true
}

/// Each probe of the tenant's catalogue passes and fails somewhere; one that nobody added a failing case for fails here.
#[test]
fn every_probe_of_the_tenant_passes_where_all_is_well_and_fails_where_it_is_not() {
    for row in protocol::probe::tenant::ALL {
        let Some(change) = spoil(row.id) else {
            assert!(told_elsewhere(row.id), "{} fails nowhere", row.id);
            continue;
        };
        let well = probe(row.id, |_| ());
        assert!(
            !well.is_empty() && well.iter().all(|one| one.verdict == Verdict::Pass),
            "{well:?}"
        );
        let spoiled = probe(row.id, change);
        let fails = spoiled.iter().find(|one| one.verdict == Verdict::Fail);
        let fails = fails.unwrap_or_else(|| panic!("{} does not fail: {spoiled:?}", row.id));
        assert!(!fails.read.is_empty() && !fails.fix.is_empty(), "{fails:?}");
        assert_eq!(fails.severity, row.severity, "{fails:?}");
    }
}

/// What somebody sees of an account, and how many configurations of the agents' domain.
#[derive(Debug, Clone)]
struct Reading {
    /// Role and guest; none where no account was named.
    operator: Option<(Held, bool)>,
    configurations: usize,
    /// The tenant does not show its configurations.
    blind: bool,
}

fn reading() -> impl Strategy<Value = Reading> {
    let held = prop_oneof![
        Just(Held::Direct),
        Just(Held::ByGroup),
        Just(Held::Eligible),
        Just(Held::Not)
    ];
    let operator = proptest::option::of((held, any::<bool>()));
    (operator, 0_usize..3, any::<bool>()).prop_map(|(operator, configurations, blind)| Reading {
        operator,
        configurations,
        blind,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// G8 at each offer: whatever is read of a tenant, and in whatever order, nobody begins while what was seen last blocks; what
    /// was not seen stops nobody, and lifts nothing of what was.
    #[test]
    fn nobody_begins_while_what_was_seen_of_the_tenant_blocks(
        readings in proptest::collection::vec(reading(), 0..8),
    ) {
        let mut world = World::new();
        world.apply();
        let mut account_seen: Option<(Held, bool)> = None;
        prop_assert_eq!(world.issued(), ["c1.b.test", "s1.a.test"]);
        for one in readings {
            world.now = world.now.plus(Duration::from_secs(60));
            let mut seen = sound();
            seen.at = world.now;
            seen.organization = Part::Seen(Organization { sync_enabled: true, last_sync: None });
            match one.operator {
                Some((held, guest)) => {
                    let operator = account(&mut seen);
                    (operator.role, operator.guest) = (Part::Seen(held), guest);
                }
                None => seen.operator = unseen(),
            }
            let all = (0..one.configurations).map(|_| configuration("a.test")).collect();
            seen.configurations = if one.blind { unseen() } else { Part::Seen(all) };
            world.reads(seen);
            account_seen = one.operator.or(account_seen);
            let several = !one.blind && one.configurations > 1;
            let of_agent = |(held, guest): &(Held, bool)| *guest || *held == Held::Not;
            let of_connect = |(held, guest): &(Held, bool)| *guest || *held != Held::Direct;
            let mut lawful = Vec::new();
            if !account_seen.as_ref().is_some_and(of_connect) {
                lawful.push("c1.b.test");
            }
            if !account_seen.as_ref().is_some_and(of_agent) && !several {
                lawful.push("s1.a.test");
            }
            prop_assert_eq!(world.issued(), lawful, "G8: {:?}", account_seen);
        }
    }
}

/// What its newest plan wants of a tenant is what it is held against, and where none is, what its agents are.
#[test]
fn the_findings_of_a_tenant_are_those_of_what_is_wanted_of_it() {
    let id = TENANT.parse().unwrap();
    let mut world = World::new();
    assert!(
        world.fleet.tenant_findings(&id).is_empty(),
        "nobody read it"
    );
    let mut seen = sound();
    account(&mut seen).role = Part::Seen(Held::Eligible);
    world.reads(seen);
    let before = world.fleet.tenant_findings(&id);
    assert!(!before.is_empty());
    world.apply();
    assert_ne!(
        before,
        world.fleet.tenant_findings(&id),
        "a plan wants more"
    );
    assert!(
        world
            .fleet
            .tenant_findings(&"77aa0000-0000-0000-0000-000000000000".parse().unwrap())
            .is_empty()
    );
}
