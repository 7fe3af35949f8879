//! A Connect server that a directory or the tenant names and that nobody here knows makes G1 inconclusive: in the plan, when it is applied,
//! at the offer and at leave.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::fleet::{Consent, Decision, Fleet, Gate, Live, Moment, Refusal};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::record::Record;
use controller_core::tenant::{Application, ConnectAccount, Observation, Part, SyncAccounts};
use controller_core::topology::parse;
use protocol::event::{DiscoveredServer, Event, Finding, Owner, Section, Severity, Verdict};
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::Phase;
use protocol::step::Product;
use protocol::{
    Attempt, BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, Version,
};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

struct World {
    fleet: Fleet,
    live: Live,
    server: TargetId,
    events: u64,
}

impl World {
    /// A server on which a person installs the tenant's active Connect.
    fn new() -> Self {
        let server: TargetId = "s1.a.test".parse().unwrap();
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                connected: [server.clone()].into(),
                began: NOW.minus(Duration::from_secs(86_400)),
                ..Live::default()
            },
            server,
            events: 0,
        };
        let key = SigningKey::generate().public();
        world.take(&common::enrolled(&world.server, key), None);
        world.tell(&Event::FactsReported(Box::new(common::facts(None, None))));
        world
    }

    fn take(&mut self, record: &Record, plan: Option<&Plan>) {
        self.fleet.apply(record, plan, NOW);
    }

    fn tell(&mut self, event: &Event) {
        self.events += 1;
        self.take(&common::told(&self.server, self.events, NOW, event), None);
    }

    fn plan(&self, more: &str) -> Plan {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"s1.a.test\"]\nsettings = \"express\"\n{more}"
        );
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        plan(Inputs {
            beyond: self.fleet.beyond(),
            ..Inputs::of(
                &topology,
                &Policy::default(),
                self.fleet.known(),
                &common::artifacts(),
                Purpose::Install,
            )
        })
    }

    fn apply(&mut self, number: u32, plan: &Plan) {
        self.take(&common::applied(RolloutId(number), plan), Some(plan));
    }

    /// What is said where somebody applies that plan, and accepts what cannot be undone.
    fn applies(&self, plan: &Plan) -> Result<(), Refusal> {
        let consent = Consent {
            irreversible: u32::try_from(plan.irreversible.len()).unwrap(),
            ..Consent::default()
        };
        let moment = Moment {
            live: &self.live,
            has_session: &|target| self.live.connected.contains(target),
            roster: None,
            now: NOW,
        };
        let plan = (plan.id(), plan);
        self.fleet.may_apply(plan, &consent, moment)
    }

    /// Its first phase was offered.
    fn issue(&mut self) {
        let issued = Record::BundleIssued {
            rollout: RolloutId(1),
            target: self.server.clone(),
            generation: Generation(1),
            phase: Phase::Prepare,
            bundle: BundleId(Digest::ZERO),
            expires: NOW.plus(Duration::from_secs(3600)),
        };
        self.take(&issued, None);
    }

    fn offers(&self) -> usize {
        let decisions = self.fleet.decide(&self.live, NOW);
        let offer = |one: &&Decision| matches!(one, Decision::Issue { .. });
        decisions.iter().filter(offer).count()
    }

    fn hold(&self, number: u32) -> String {
        let id = RolloutId(number);
        let hold = self.fleet.hold(id, &self.server, &self.live, NOW);
        hold.map(|hold| hold.why).unwrap_or_default()
    }

    /// The directory names a server as one of Connect.
    fn directory_names(&mut self, name: &str) {
        self.directory_shows(&[name], &[]);
    }

    /// The directory names these, and so much of it could not be read.
    fn directory_shows(&mut self, names: &[&str], unread: &[&str]) {
        let server = |name: &&str| DiscoveredServer {
            name: (*name).to_owned(),
            product: Product::Connect,
            source: "a description".to_owned(),
        };
        self.tell(&Event::Discovered {
            generation: Generation(7),
            step: StepIndex(0),
            domain: "a.test".parse().unwrap(),
            servers: names.iter().map(server).collect(),
            unread: unread.iter().map(|why| (*why).to_owned()).collect(),
        });
    }

    /// Whether it gets leave for a section that it asks for.
    fn leave_hold(&self) -> Option<String> {
        let asked = Gate {
            generation: Generation(1),
            step: StepIndex(0),
            attempt: Attempt(1),
            section: Section {
                outage: false,
                gmsa: None,
            },
            lapses: None,
            earlier: None,
        };
        let gates = BTreeMap::new();
        let hold = self
            .fleet
            .permit_hold(&self.server, &asked, &gates, &self.live, NOW);
        hold.map(|hold| hold.why)
    }

    /// The tenant shows these applications, and so many holders of the role, none of them a user.
    fn tenant_has_applications(&mut self, applications: Part<Vec<String>>, members: usize) {
        let seen = Record::TenantSeen {
            observation: Box::new(Observation {
                connect_accounts: Part::Seen(Vec::new()),
                applications,
                sync_accounts: Part::Seen(SyncAccounts {
                    members,
                    ids: BTreeSet::new(),
                    caught: Part::Seen(BTreeSet::new()),
                    may_catch: BTreeSet::new(),
                }),
                ..Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "not asked")
            }),
            by: "anna".to_owned(),
        };
        self.take(&seen, None);
    }

    /// The tenant gave these applications the app role, and these ids hold the directory role.
    fn tenant_lets_in(&mut self, assigned: Part<Vec<Application>>, holders: &[&str]) {
        let ids: BTreeSet<String> = holders.iter().map(|id| (*id).to_owned()).collect();
        let by_role = assigned.seen().into_iter().flatten();
        let by_role = by_role.filter(|one| ids.contains(&one.id));
        let by_role = by_role.map(|one| one.name.clone()).collect();
        let seen = Record::TenantSeen {
            observation: Box::new(Observation {
                connect_accounts: Part::Seen(Vec::new()),
                applications: Part::Seen(by_role),
                assigned,
                sync_accounts: Part::Seen(SyncAccounts {
                    members: ids.len(),
                    ids,
                    caught: Part::Seen(BTreeSet::new()),
                    may_catch: BTreeSet::new(),
                }),
                ..Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "not asked")
            }),
            by: "anna".to_owned(),
        };
        self.take(&seen, None);
    }

    /// A server answers as what its engine signs in (PV26).
    fn signs_in(&mut self, verdict: Verdict) {
        let finding = Finding {
            id: "PV26".to_owned(),
            severity: Severity::Warn,
            what: "identity".to_owned(),
            read: "as it is".to_owned(),
            wanted: "Application".to_owned(),
            fix: "none".to_owned(),
            owner: Owner::Server,
            verdict,
        };
        self.tell(&Event::Probed {
            generation: Generation(7),
            step: StepIndex(0),
            findings: vec![finding],
        });
    }

    /// The tenant has the account of a server.
    fn tenant_names(&mut self, server: Option<&str>) {
        let account = ConnectAccount {
            user: format!("Sync_{}_00ff@a.onmicrosoft.com", server.unwrap_or("?")),
            server: server.map(ToOwned::to_owned),
        };
        let seen = Record::TenantSeen {
            observation: Box::new(Observation {
                connect_accounts: Part::Seen(vec![account]),
                ..Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "not asked")
            }),
            by: "anna".to_owned(),
        };
        self.take(&seen, None);
    }
}

/// The application that the product manages for a server.
fn managed(server: &str) -> Application {
    Application {
        id: format!("id-{server}"),
        name: format!("ConnectSyncProvisioning_{server}_00ff"),
    }
}

#[test]
fn one_that_shows_after_the_plan_stops_apply_and_offer_until_a_plan_knows_it() {
    type Shows = fn(&mut World);
    let cases: [(Shows, &str); 4] = [
        (
            |world| world.directory_names("OLD-99"),
            "a description in a.test",
        ),
        (
            |world| world.tenant_names(Some("OLD-99")),
            "the account Sync_OLD-99_00ff@a.onmicrosoft.com of its tenant, as anna read it",
        ),
        // An application, by the app role alone and by both ways.
        (
            |world| world.tenant_lets_in(Part::Seen(vec![managed("OLD-99")]), &[]),
            "the application ConnectSyncProvisioning_OLD-99_00ff of its tenant, as anna read it",
        ),
        (
            |world| world.tenant_lets_in(Part::Seen(vec![managed("OLD-99")]), &["id-OLD-99"]),
            "the application ConnectSyncProvisioning_OLD-99_00ff of its tenant, as anna read it",
        ),
    ];
    for (shows, by) in cases {
        let mut world = World::new();
        let plan = world.plan("");
        assert!(world.fleet.strangers(&plan).is_empty());
        world.apply(1, &plan);
        assert_eq!((world.offers(), world.hold(1).as_str()), (1, ""));
        shows(&mut world);
        let refused = world.fleet.strangers(&plan).join("\n");
        let hold = world.hold(1);
        for why in [&refused, &hold] {
            assert!(
                why.contains("whether OLD-99 is an active Connect server cannot be told (G1)")
                    && why.contains(by),
                "{why}"
            );
        }
        // Nor is it applied once more.
        let first = world.fleet.strangers(&plan).remove(0);
        assert_eq!(world.applies(&plan), Err(Refusal::Stranger(first)));
        assert_eq!(world.offers(), 0);
        // Said to be gone, it is none; and what makes nobody active is not asked.
        let plan = world.plan("gone = [\"old-99.a.test\"]\n");
        assert!(world.fleet.strangers(&plan).is_empty());
        let mut world = World::new();
        shows(&mut world);
        let mut looks = world.plan("");
        for part in looks.targets.values_mut() {
            part.phases.clear();
        }
        assert!(world.fleet.strangers(&looks).is_empty());
    }
}

/// One that names a server here accounts for itself alone; one that somebody brought may be of anybody, by whichever way it is let in, and
/// counts once.
#[test]
fn an_application_that_names_a_server_here_is_its_own_and_one_that_names_none_may_be_a_strangers() {
    let brought = || Application {
        id: "id-b".to_owned(),
        name: "our own application".to_owned(),
    };
    let mut world = World::new();
    let plan = world.plan("");
    let connect = ConnectFacts {
        version: Some(Version::new(2, 6, 92, 0)),
        service: Some(ServiceState::Running),
        staging: Some(false),
        cycle_enabled: Some(true),
        suspended: Some(false),
    };
    world.tell(&Event::FactsReported(Box::new(common::facts(
        None,
        Some(connect),
    ))));
    world.signs_in(Verdict::Pass);
    for holders in [&[][..], &["id-S1"], &["id-b"]] {
        world.tenant_lets_in(Part::Seen(vec![managed("S1")]), &[]);
        assert_eq!(world.fleet.strangers(&plan), [""; 0], "{holders:?}");
        world.tenant_lets_in(Part::Seen(vec![brought()]), holders);
        assert_eq!(world.fleet.strangers(&plan), [""; 0], "it may be its own");
        world.tenant_lets_in(Part::Seen(vec![managed("S1"), brought()]), holders);
        let said = world.fleet.strangers(&plan).join("\n");
        for word in [
            "one of 1 applications that name none (our own application)",
            "(G1)",
            "entrain tenant read",
        ] {
            assert!(said.contains(word), "{holders:?}: {said}");
        }
        // Whoever looks less closely next time lifts nothing, and counts nothing twice.
        let seen = Record::TenantSeen {
            observation: Box::new(Observation {
                assigned: Part::Seen(vec![managed("S1"), brought()]),
                ..Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "not asked")
            }),
            by: "anna".to_owned(),
        };
        world.take(&seen, None);
        assert_eq!(world.fleet.strangers(&plan).join("\n"), said);
    }
    let named = world.fleet.beyond().named(&[&world.server], |_| true);
    let by = "Connect Sync: application ConnectSyncProvisioning_S1_00ff in tenant";
    assert!(
        named[0].named_by.iter().any(|how| how.starts_with(by)),
        "{named:?}"
    );
    let said = world.fleet.beyond().unnamed_accounts();
    let all = said.join("\n");
    assert_eq!(said.len(), 1, "{all}");
    assert!(
        all.contains(
            "the application our own application holds the role of Connect servers and names none"
        ),
        "{all}"
    );
    world.tenant_lets_in(Part::NotSeen("403".to_owned()), &[]);
    let mut blind = World::new();
    blind.tenant_lets_in(Part::NotSeen("403".to_owned()), &[]);
    let said = blind.fleet.beyond().unnamed_accounts().join("\n");
    assert!(
        said.contains("applications that may synchronize it: 403"),
        "{said}"
    );
}

/// What is told of the identity of a server that is gone for good, once it was deleted or while it is there.
pub(crate) fn left_by_a_server_that_is_gone(deleted: bool) -> Vec<Verdict> {
    let mut world = World::new();
    let plan = world.plan("gone = [\"old-99.a.test\"]\n");
    world.apply(1, &plan);
    let left = if deleted {
        Vec::new()
    } else {
        vec![managed("OLD-99")]
    };
    world.tenant_lets_in(Part::Seen(left), &[]);
    let found = world.fleet.left_over(&TENANT.parse().unwrap());
    assert!(found.iter().all(|one| one.id == "PV39"), "{found:?}");
    found.into_iter().map(|one| one.verdict).collect()
}

/// PV39: what a server that Connect is off for good leaves in the tenant is named, by whichever way it was let in.
#[test]
fn an_identity_of_a_server_that_is_gone_is_left_over_until_it_is_deleted() {
    use Verdict::{CannotTell, Fail, Pass};
    let mut world = World::new();
    let plan = world.plan("gone = [\"old-99.a.test\"]\n");
    world.apply(1, &plan);
    let tenant = TENANT.parse().unwrap();
    let told = |world: &World| -> Vec<(Verdict, String)> {
        let found = world.fleet.left_over(&tenant);
        assert!(found.iter().all(|one| one.id == "PV39"), "{found:?}");
        let told = found.into_iter().map(|one| (one.verdict, one.read));
        told.collect()
    };
    assert!(told(&world).is_empty(), "nobody has read it");
    let verdicts = |world: &World| -> Vec<Verdict> {
        told(world)
            .into_iter()
            .map(|(verdict, _)| verdict)
            .collect()
    };
    world.tenant_lets_in(Part::Seen(vec![managed("OLD-99")]), &[]);
    let found = told(&world);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0],
        (
            Fail,
            "old-99.a.test: left in the tenant: application ConnectSyncProvisioning_OLD-99_00ff"
                .to_owned()
        )
    );
    world.tenant_names(Some("OLD-99"));
    assert!(
        told(&world)[0].1.contains("account Sync_OLD-99_00ff@"),
        "{:?}",
        told(&world)
    );
    // An account was deleted, and what may synchronize by an app role was not seen.
    let mut blind = World::new();
    blind.apply(1, &plan);
    blind.tenant_lets_in(Part::NotSeen("403".to_owned()), &[]);
    assert_eq!(
        told(&blind),
        [(CannotTell, "old-99.a.test: 403".to_owned())]
    );
    // One that names nobody may be of it, as long as no server here accounts for it.
    let brought = Application {
        id: "id-b".to_owned(),
        name: "our own application".to_owned(),
    };
    blind.tenant_lets_in(Part::Seen(vec![brought.clone()]), &[]);
    assert_eq!(verdicts(&blind), [CannotTell]);
    let connect = || ConnectFacts {
        version: Some(Version::new(2, 6, 92, 0)),
        service: Some(ServiceState::Running),
        staging: Some(false),
        cycle_enabled: Some(true),
        suspended: Some(false),
    };
    blind.tell(&Event::FactsReported(Box::new(common::facts(
        None,
        Some(connect()),
    ))));
    assert_eq!(verdicts(&blind), [Pass]);
    blind.tenant_lets_in(Part::Seen(vec![managed("S1")]), &[]);
    assert_eq!(verdicts(&blind), [Pass], "S1 has its own");
    // Connect is taken off S1: what it leaves is told by a reading that is newer than its report.
    blind.signs_in(Verdict::Pass);
    blind.events += 1;
    let later = NOW.plus(Duration::from_secs(60));
    let off = Event::FactsReported(Box::new(common::facts(None, None)));
    let record = common::told(&blind.server, blind.events, later, &off);
    blind.fleet.apply(&record, None, later);
    assert_eq!(verdicts(&blind), [Pass, CannotTell], "{:?}", told(&blind));
    let seen = |assigned: Vec<Application>| Record::TenantSeen {
        observation: Box::new(Observation {
            connect_accounts: Part::Seen(Vec::new()),
            applications: Part::Seen(Vec::new()),
            assigned: Part::Seen(assigned),
            ..Observation::unseen_all(&TENANT.parse().unwrap(), later, "not asked")
        }),
        by: "anna".to_owned(),
    };
    blind.take(&seen(vec![managed("S1")]), None);
    assert_eq!(verdicts(&blind), [Pass, Fail], "{:?}", told(&blind));
    // It says the same once more, and later: what the tenant showed since its first word of it stands.
    let says = |blind: &mut World, seconds: u64, connect: Option<ConnectFacts>| {
        blind.events += 1;
        let at = NOW.plus(Duration::from_secs(seconds));
        let facts = Event::FactsReported(Box::new(common::facts(None, connect)));
        let record = common::told(&blind.server, blind.events, at, &facts);
        blind.fleet.apply(&record, None, at);
    };
    says(&mut blind, 3600, None);
    assert_eq!(verdicts(&blind), [Pass, Fail], "{:?}", told(&blind));
    // It had Connect again, and has none: the reading is from before that.
    says(&mut blind, 7200, Some(connect()));
    assert_eq!(verdicts(&blind), [Pass], "{:?}", told(&blind));
    says(&mut blind, 7260, None);
    assert_eq!(verdicts(&blind), [Pass, CannotTell], "{:?}", told(&blind));
    blind.take(&seen(Vec::new()), None);
    assert_eq!(verdicts(&blind), [Pass, Pass], "{:?}", told(&blind));
    // A short name may be that of another server, which has Connect.
    let plan = world.plan("gone = [\"s1.b.test\"]\n");
    world.apply(2, &plan);
    world.tell(&Event::FactsReported(Box::new(common::facts(
        None,
        Some(connect()),
    ))));
    world.tenant_names(Some("S1"));
    let found = told(&world);
    assert!(
        found
            .iter()
            .any(|(verdict, read)| *verdict == CannotTell && read.contains("may be of s1.a.test")),
        "{found:?}"
    );
}

/// An application that somebody brought names no server: more of them than servers here that sign in so are of a server that nobody knows.
#[test]
fn an_application_too_many_may_be_of_an_active_server_until_it_is_accounted_for() {
    let mut world = World::new();
    // Connect is on none of its servers yet.
    let plan = world.plan("");
    world.tenant_has_applications(Part::Seen(Vec::new()), 0);
    assert_eq!(world.fleet.strangers(&plan), [""; 0]);
    world.tenant_has_applications(Part::Seen(vec!["app 1".to_owned()]), 1);
    let said = world.fleet.strangers(&plan).join("\n");
    for word in ["(G1)", "(app 1)", "entrain tenant read", "`gone`"] {
        assert!(said.contains(word), "{said}");
    }
    world.apply(1, &plan);
    assert_eq!(world.offers(), 0);
    assert!(world.hold(1).contains("(app 1)"), "{}", world.hold(1));
    // Their names were not seen: who is no user counts all the same.
    let mut blind = World::new();
    blind.tenant_has_applications(Part::NotSeen("403".to_owned()), 1);
    let said = blind.fleet.strangers(&plan).join("\n");
    assert!(said.contains("that are no users"), "{said}");
    // Deleted in the tenant and read again, it lifts.
    world.tenant_has_applications(Part::Seen(Vec::new()), 0);
    assert_eq!(world.fleet.strangers(&plan), [""; 0]);
    assert_eq!(world.offers(), 1);
}

#[test]
fn a_server_that_was_seen_to_sign_in_as_an_account_accounts_for_no_application() {
    let mut world = World::new();
    let plan = world.plan("");
    let connect = ConnectFacts {
        version: Some(Version::new(2, 6, 92, 0)),
        service: Some(ServiceState::Running),
        staging: Some(false),
        cycle_enabled: Some(true),
        suspended: Some(false),
    };
    let facts = common::facts(None, Some(connect));
    world.tell(&Event::FactsReported(Box::new(facts)));
    world.tenant_has_applications(Part::Seen(vec!["app 1".to_owned()]), 1);
    assert_eq!(world.fleet.strangers(&plan), [""; 0], "it may be its own");
    world.signs_in(Verdict::Fail);
    assert!(!world.fleet.strangers(&plan).is_empty());
    world.signs_in(Verdict::CannotTell);
    assert!(
        !world.fleet.strangers(&plan).is_empty(),
        "nothing else was told"
    );
    world.signs_in(Verdict::Pass);
    assert_eq!(world.fleet.strangers(&plan), [""; 0]);
    // What it told once accounts for nothing when Connect is off it.
    let facts = common::facts(None, None);
    world.tell(&Event::FactsReported(Box::new(facts)));
    assert!(!world.fleet.strangers(&plan).is_empty());
}

#[test]
fn an_account_that_names_one_of_the_own_servers_or_nobody_is_no_stranger() {
    let mut world = World::new();
    let plan = world.plan("");
    world.apply(1, &plan);
    for server in [Some("S1"), None] {
        world.tenant_names(server);
        assert_eq!(world.offers(), 1, "{server:?}");
    }
    let said = world.fleet.beyond().unnamed_accounts();
    assert!(
        said[0].contains("holds the role of Connect servers and names none"),
        "{said:?}"
    );
    world.tenant_names(Some("OLD-99"));
    let named = world.fleet.beyond().named(&[&world.server], |_| true);
    assert_eq!(named[0].name, "old-99");
    assert!(
        named[0].named_by[0].contains("Connect Sync: account Sync_OLD-99"),
        "{named:?}"
    );
    // Whoever looks less closely next time lifts nothing.
    let seen = Record::TenantSeen {
        observation: Box::new(Observation::unseen_all(
            &TENANT.parse().unwrap(),
            NOW,
            "not asked",
        )),
        by: "anna".to_owned(),
    };
    world.take(&seen, None);
    assert_eq!(world.offers(), 0);
}

/// A domain that is asked again and cannot be read shows nothing new: who was named stays named, until a reading that saw everything
/// names them no more.
#[test]
fn one_that_was_named_counts_until_a_whole_reading_names_it_no_more() {
    let plain = World::new().plan("");
    let unread = ["a.test could not be asked: no domain controller answers"];
    let mut world = World::new();
    world.directory_names("OLD-99");
    // Another one was named meanwhile, and that reading was no whole one either.
    world.directory_shows(&["OLD-98"], &["accounts of Connect: timeout"]);
    world.directory_shows(&[], &unread);
    let holds = |world: &World| {
        let plan = world.plan("");
        let of_plan: Vec<String> = plan
            .targets
            .values()
            .flat_map(|part| part.why.clone())
            .collect();
        let all = [of_plan, plan.warnings.clone()].concat();
        (all.join("\n"), world.fleet.strangers(&plain).join("\n"))
    };
    let (planned, applied) = holds(&world);
    for server in ["OLD-99", "OLD-98"] {
        let words = format!(
            "whether {server} is an active Connect server cannot be told (G1): it is named by a description in a.test, as s1.a.test read it at {NOW}"
        );
        assert!(planned.contains(&words), "{planned}");
        assert!(applied.contains(&words), "{applied}");
    }
    assert!(
        applied.contains("not everything could be read since"),
        "{applied}"
    );
    world.apply(1, &plain);
    assert_eq!(world.offers(), 0);
    assert!(world.hold(1).contains("(G1)"), "{}", world.hold(1));
    let names: Vec<String> = world
        .fleet
        .beyond()
        .named(&[&world.server], |_| true)
        .into_iter()
        .map(|row| row.name)
        .collect();
    assert_eq!(names, ["old-98", "old-99", "s1.a.test"]);
    // It was offered before, and asks for leave now.
    let mut late = World::new();
    late.apply(1, &plain);
    late.issue();
    late.directory_names("OLD-99");
    late.directory_shows(&[], &unread);
    let why = late.leave_hold().unwrap_or_default();
    assert!(why.contains("OLD-99") && why.contains("(G1)"), "{why}");
    for world in [&mut world, &mut late] {
        world.directory_shows(&[], &[]);
        let (planned, applied) = holds(world);
        assert!(!planned.contains("(G1)"), "{planned}");
        assert_eq!(applied, "");
    }
    assert_eq!(world.offers(), 1);
    assert_eq!(late.leave_hold(), None);
}

/// What was kept of an earlier reading is told with its time and its reader, and an identity that was seen before a server reported that it has no
/// Connect says nothing of the time after, however young the reading is that keeps it.
#[test]
fn what_a_later_reading_did_not_see_is_as_old_as_the_one_that_did() {
    let later = NOW.plus(Duration::from_secs(600));
    let blind = Record::TenantSeen {
        observation: Box::new(Observation::unseen_all(
            &TENANT.parse().unwrap(),
            later,
            "403",
        )),
        by: "bert".to_owned(),
    };
    let brought = Application {
        id: "id-b".to_owned(),
        name: "our own application".to_owned(),
    };
    let plan = World::new().plan("");
    for assigned in [managed("OLD-99"), brought] {
        let mut world = World::new();
        world.tenant_lets_in(Part::Seen(vec![assigned]), &[]);
        world.take(&blind, None);
        let said = world.fleet.strangers(&plan).join("\n");
        assert!(
            said.contains(&format!("as anna read it at {NOW}")),
            "{said}"
        );
        assert!(!said.contains("bert"), "{said}");
    }
    // PV39: Connect was taken off between the two readings.
    let mut world = World::new();
    world.apply(1, &plan);
    world.tenant_lets_in(Part::Seen(vec![managed("S1")]), &[]);
    let connect = ConnectFacts {
        version: Some(Version::new(2, 6, 92, 0)),
        service: Some(ServiceState::Running),
        staging: Some(false),
        cycle_enabled: Some(true),
        suspended: Some(false),
    };
    world.tell(&Event::FactsReported(Box::new(common::facts(
        None,
        Some(connect),
    ))));
    world.signs_in(Verdict::Pass);
    world.events += 1;
    let between = NOW.plus(Duration::from_secs(60));
    let off = Event::FactsReported(Box::new(common::facts(None, None)));
    let record = common::told(&world.server, world.events, between, &off);
    world.fleet.apply(&record, None, between);
    world.take(&blind, None);
    let told = |world: &World| {
        let found = world.fleet.left_over(&TENANT.parse().unwrap());
        let told = found.into_iter().map(|one| (one.verdict, one.read));
        told.collect::<Vec<_>>()
    };
    let found = told(&world);
    assert!(
        found.len() == 1
            && found[0].0 == Verdict::CannotTell
            && found[0].1.contains("which was before the server reported"),
        "{found:?}"
    );
    // An account of it was seen since: that is left there, and it alone is said.
    let account = ConnectAccount {
        user: "Sync_S1_00ff@a.onmicrosoft.com".to_owned(),
        server: Some("S1".to_owned()),
    };
    let sees = Record::TenantSeen {
        observation: Box::new(Observation {
            connect_accounts: Part::Seen(vec![account]),
            ..Observation::unseen_all(&TENANT.parse().unwrap(), later, "403")
        }),
        by: "bert".to_owned(),
    };
    world.take(&sees, None);
    let words = "s1.a.test: left in the tenant: account Sync_S1_00ff@a.onmicrosoft.com";
    assert_eq!(told(&world), [(Verdict::Fail, words.to_owned())]);
}

#[test]
fn one_that_shows_after_the_offer_gets_no_leave() {
    let mut world = World::new();
    let plan = world.plan("");
    world.apply(1, &plan);
    world.issue();
    assert_eq!(world.leave_hold(), None);
    world.directory_names("old-99.a.test");
    let why = world.leave_hold().unwrap_or_default();
    assert!(
        why.contains("old-99.a.test") && why.contains("(G1)"),
        "{why}"
    );
}
