//! A server becomes active with a version that the vendor speaks for, and with what its tenant showed: asked in the plan and at each
//! action (guard rails G4, G6 and G8). What was read of a tenant holds no emergency back but where two would be active.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use controller_core::drift::drift;
use controller_core::facts::Fleetwide;
use controller_core::finding::Severity;
use controller_core::fleet::{Cause, Fleet, Live};
use controller_core::plan::{
    Afterwards, Inputs, Plan, Purpose, failover, judge, plan, refuses, swing, switch, transition,
};
use controller_core::policy::Policy;
use controller_core::record::Record;
use controller_core::tenant::{Account, DomainSeen, Held, Observation, Organization, Part};
use controller_core::topology::{Available, installable, parse};
use controller_core::versions::Versions;
use proptest::prelude::*;
use protocol::event::{Event, Verdict};
use protocol::facts::{ConnectFacts, Facts, ServiceState};
use protocol::key::SigningKey;
use protocol::probe::controller as catalogue;
use protocol::settings::{ConnectSettings, Setting, SettingsPart};
use protocol::signed::Ending;
use protocol::step::{Product, Step};
use protocol::{BundleId, Digest, Generation, RolloutId, StepIndex, TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";
const ROLLOUT: RolloutId = RolloutId(1);
const SERVERS: [&str; 2] = ["c1.a.test", "c2.a.test"];
const OLD: Version = Version::new(2, 6, 84, 0);

/// What Connect on a server is: its version, and whether it is staging.
type Is = Option<(Version, Option<bool>)>;

fn target(name: &str) -> TargetId {
    name.parse().unwrap()
}

fn facts(is: Is) -> Facts {
    let connect = is.map(|(version, staging)| ConnectFacts {
        version: Some(version),
        service: Some(ServiceState::Running),
        staging,
        cycle_enabled: Some(true),
        suspended: Some(false),
    });
    common::facts(None, connect)
}

/// A document that says one thing of a version.
pub(crate) fn says(row: &str, certainty: &str) -> Arc<Versions> {
    let text = format!(
        "checked_on = \"2026-09-01\"\n{row}\nproduct = \"connect\"\nsource = \"a page\"\ncertainty = \"{certainty}\"\n"
    );
    Arc::new(Versions::parse(&text).unwrap())
}

pub(crate) fn recalled(version: Version) -> String {
    format!("[[release]]\nversion = \"{version}\"\nrecalled = \"it breaks\"")
}

/// What may be said of the newest version: why, what of it shows, and whether a server synchronizes with it all the same.
fn rows() -> [(String, &'static str, bool); 5] {
    let newest = common::CONNECT;
    let floor = "[[floor]]\nat_least = \"2.6.93.0\"\nfrom = \"2026-09-01\"\neffect = \"all stops\"";
    let below = "below 2.6.93.0: from 2026-09-01 all stops (a page)";
    [
        (recalled(newest), "recalled: it breaks (a page)", false),
        // What it is about, a floor need not say.
        (floor.to_owned(), below, false),
        (
            format!("{floor}\nabout = \"synchronization\""),
            below,
            false,
        ),
        (format!("{floor}\nabout = \"tasks\""), below, true),
        (
            format!("[[release]]\nversion = \"{newest}\"\nend_of_support = \"2026-09-01\""),
            "support ends on 2026-09-01 (a page)",
            true,
        ),
    ]
}

/// Two Connect servers of a tenant.
struct World {
    fleet: Fleet,
    live: Live,
    generation: Generation,
    plan: Option<Plan>,
    artifacts: controller_core::recipe::Artifacts,
}

#[derive(Debug, Clone, Copy)]
enum Ask {
    Swap,
    Swing,
    Failover,
    Transition,
}

impl World {
    fn of(first: Is, second: Is) -> Self {
        let mut world = Self {
            fleet: Fleet::new(),
            live: Live {
                connected: SERVERS.map(target).into(),
                began: NOW.minus(Duration::from_secs(3600)),
                ..Live::default()
            },
            generation: Generation(0),
            plan: None,
            artifacts: common::artifacts(),
        };
        for (name, is) in SERVERS.into_iter().zip([first, second]) {
            let key = SigningKey::generate().public();
            world.take(&common::enrolled(&target(name), key));
            world.reports(name, is);
        }
        world
    }

    /// The first is active and the second staging, with the newest version.
    fn new() -> Self {
        let is = |staging| Some((common::CONNECT, Some(staging)));
        Self::of(is(false), is(true))
    }

    fn take(&mut self, record: &Record) {
        self.fleet.apply(record, self.plan.as_ref(), NOW);
    }

    fn tells(&mut self, name: &str, event: &Event) {
        self.take(&common::told(&target(name), 1, NOW, event));
    }

    fn reports(&mut self, name: &str, is: Is) {
        self.tells(name, &Event::FactsReported(Box::new(facts(is))));
    }

    fn planned(&self, ask: Ask) -> Result<Plan, String> {
        let retired = match ask {
            Ask::Swing => "servers = [\"c2.a.test\"]\nretired = [\"c1.a.test\"]\n",
            Ask::Swap | Ask::Failover | Ask::Transition => {
                "servers = [\"c1.a.test\", \"c2.a.test\"]\n"
            }
        };
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"a.test\"]\n{retired}"
        );
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        let policy = Policy::default();
        let inputs = Inputs {
            beyond: self.fleet.beyond(),
            ..Inputs::of(
                &topology,
                &policy,
                self.fleet.known(),
                &self.artifacts,
                Purpose::Verify,
            )
        };
        let [first, second] = SERVERS.map(target);
        match ask {
            Ask::Swap => switch(inputs, &second),
            Ask::Swing => swing(inputs, &second, Afterwards::Remove),
            Ask::Failover => failover(inputs, &second, &first),
            Ask::Transition => transition(inputs, &first),
        }
    }

    fn judged(&self, ask: Ask, versions: &Versions) -> Result<Plan, String> {
        let mut plan = self.planned(ask)?;
        judge(&mut plan, self.fleet.known(), versions, NOW).map(|()| plan)
    }

    fn begins(&mut self, ask: Ask) {
        let plan = self.planned(ask).unwrap();
        self.plan = Some(plan.clone());
        if let Some(target) = plan.off.clone() {
            let by = "root".to_owned();
            self.take(&Record::SaidOff { target, by });
        }
        self.take(&common::applied(ROLLOUT, &plan));
    }

    /// The next phase of a server, from its beginning to its end.
    fn runs(&mut self, name: &str) {
        let target = target(name);
        let rollout = &self.fleet.rollouts()[&ROLLOUT];
        let work = &rollout.plan.targets[&target].phases[rollout.work[&target].phase];
        let (phase, reads) = (work.phase, work.steps.contains(&Step::ReadConnectSettings));
        self.generation = self.generation.next();
        let generation = self.generation;
        self.take(&Record::BundleIssued {
            rollout: ROLLOUT,
            phase,
            target,
            generation,
            bundle: BundleId(Digest::ZERO),
            expires: NOW.plus(Duration::from_secs(86_400)),
        });
        if reads {
            let setting = Setting {
                part: SettingsPart::PasswordSync,
                name: "connector a.test".to_owned(),
                value: "on".to_owned(),
            };
            let settings = ConnectSettings::of(vec![setting], Vec::new());
            self.tells(
                name,
                &Event::ConnectSettingsRead {
                    generation,
                    step: StepIndex(0),
                    settings: Box::new(settings),
                },
            );
        }
        self.tells(
            name,
            &Event::RunFinished {
                generation,
                ending: Ending::Completed,
                receipt: String::new(),
            },
        );
    }

    fn hold(&self, name: &str) -> Option<(Cause, String)> {
        let hold = self.fleet.hold(ROLLOUT, &target(name), &self.live, NOW);
        hold.map(|hold| (hold.cause, hold.why))
    }

    fn holds(&self, name: &str, cause: Cause, words: &str) {
        let (is, why) = self.hold(name).unwrap();
        assert!(is == cause && why.contains(words), "{is:?}: {why}");
    }

    /// Somebody reads the tenant: who is to sign in may, or is a guest, and it was synchronized so many minutes ago.
    fn reads(&mut self, guest: bool, minutes: u64) {
        let mut seen = Observation::unseen_all(&TENANT.parse().unwrap(), NOW, "403");
        seen.organization = Part::Seen(Organization {
            sync_enabled: true,
            last_sync: Some(NOW.minus(Duration::from_secs(minutes * 60))),
        });
        seen.configurations = Part::Seen(Vec::new());
        seen.operator = Part::Seen(Account {
            user: "anna@contoso.com".to_owned(),
            guest,
            synchronized: false,
            role: Part::Seen(Held::Direct),
            global: Part::Seen(Held::Not),
            demands: Part::Seen(BTreeSet::new()),
            may_demand: BTreeSet::new(),
        });
        self.take(&Record::TenantSeen {
            observation: Box::new(seen),
            by: "anna".to_owned(),
        });
    }
}

#[test]
fn a_version_that_the_vendor_speaks_against_is_not_made_active_by_any_plan() {
    for (row, words, goes_on) in rows() {
        for ask in [Ask::Swap, Ask::Failover, Ask::Transition] {
            let world = World::new();
            let (by_vendor, by_others) = (says(&row, "vendor"), says(&row, "secondary"));
            let urgent = !matches!(ask, Ask::Swap);
            match world.judged(ask, &by_vendor) {
                Err(why) => {
                    assert!(!(urgent && goes_on), "{ask:?}: {why}");
                    for words in [words, "(G4, G6)", "versions.toml"] {
                        assert!(why.contains(words), "{words}: {why}");
                    }
                }
                Ok(plan) => {
                    assert!(urgent && goes_on, "{ask:?} {row}");
                    assert!(plan.warnings.iter().any(|one| one.contains(words)));
                }
            }
            // Somebody else's word is said, and blocks nothing.
            let plan = world.judged(ask, &by_others).unwrap();
            assert!(
                plan.warnings.iter().any(|one| one.contains(words)),
                "{plan:?}"
            );
            let before = world.planned(ask).unwrap();
            assert!(!before.warnings.iter().any(|one| one.contains(words)));
            // It came after the plan.
            let late = refuses(&before, world.fleet.known(), &by_vendor, NOW);
            assert_eq!(late.is_some(), !(urgent && goes_on));
            assert_eq!(refuses(&before, world.fleet.known(), &by_others, NOW), None);
        }
    }
}

/// A newer installer in the store is no reason to leave a tenant without anybody who synchronizes; a floor or a recall is one.
#[test]
fn an_emergency_takes_the_version_that_is_there() {
    let is = |staging| Some((OLD, Some(staging)));
    let world = World::of(is(false), is(true));
    let none = says(&recalled(Version::new(2, 0, 0, 0)), "vendor");
    let why = world.judged(Ask::Swap, &none).unwrap_err();
    assert!(
        why.contains("it is upgraded before it becomes active (G4)"),
        "{why}"
    );
    let plan = world.judged(Ask::Failover, &none).unwrap();
    let words =
        "c2.a.test has Connect 2.6.84.0, and 2.6.92.0 is wanted: it becomes active as it is";
    assert!(
        plan.warnings.iter().any(|one| one.contains(words)),
        "{:?}",
        plan.warnings
    );
    // No step of it asks for the version that is not there.
    let steps = plan.targets[&target("c2.a.test")].phases.iter();
    let asked: Vec<Version> = steps
        .flat_map(|phase| &phase.steps)
        .filter_map(|step| {
            if let Step::VerifyConnect(verify) = step {
                Some(verify.at_least)
            } else if let Step::GuideConnect(guide) = step {
                Some(guide.at_least)
            } else {
                None
            }
        })
        .collect();
    assert!(
        !asked.is_empty() && asked.iter().all(|version| *version <= OLD),
        "{asked:?}"
    );
    let floor = "[[floor]]\nat_least = \"2.6.85.0\"\nfrom = \"2026-09-01\"\neffect = \"all stops\"";
    for row in [recalled(OLD), floor.to_owned()] {
        let why = world
            .judged(Ask::Failover, &says(&row, "vendor"))
            .unwrap_err();
        assert!(why.contains("(G4, G6)"), "{why}");
    }
}

/// A swing makes a server active with the version that it brings, and not with the one that is there.
#[test]
fn a_swing_is_judged_by_the_version_that_it_brings() {
    let old = |staging| Some((OLD, Some(staging)));
    let world = World::of(old(false), old(true));
    let of_old = world.judged(Ask::Swing, &says(&recalled(OLD), "vendor"));
    let plan = of_old.unwrap();
    let said = &plan.targets[&target("c1.a.test")].why;
    assert!(
        said.iter().any(|why| why.contains("PF43 blocks")),
        "{said:?}"
    );
    let why = world
        .judged(Ask::Swing, &says(&recalled(common::CONNECT), "vendor"))
        .unwrap_err();
    assert!(why.contains("2.6.92.0 recalled"), "{why}");
}

#[test]
fn what_is_there_is_said_of_each_server_and_stops_no_plan_that_mends_it() {
    let old = |staging| Some((OLD, Some(staging)));
    let world = World::of(old(false), old(true));
    let text = format!(
        "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"a.test\"]\nservers = {SERVERS:?}\n"
    );
    let (topology, _) = parse(&[common::document(text)]);
    let policy = Policy::default();
    for purpose in [Purpose::Install, Purpose::Verify, Purpose::Preflight] {
        for (certainty, word) in [("vendor", "PF43 blocks"), ("secondary", "PF43 warns")] {
            let inputs = Inputs::of(
                &topology,
                &policy,
                world.fleet.known(),
                &world.artifacts,
                purpose,
            );
            let mut plan = plan(inputs);
            let versions = says(&recalled(OLD), certainty);
            judge(&mut plan, world.fleet.known(), &versions, NOW).unwrap();
            for part in plan.targets.values() {
                let said = part.why.iter().filter(|why| why.starts_with(word));
                assert_eq!(said.count(), 1, "{purpose:?}: {:?}", part.why);
            }
        }
    }
}

#[test]
fn pf43_passes_blocks_and_warns_by_who_says_it() {
    let newest = common::CONNECT;
    let finding = |certainty: &str| says(&recalled(newest), certainty).finding(newest, NOW);
    let blocks = finding("vendor");
    assert!(blocks.blocks() && blocks.read.contains("recalled: it breaks"));
    let warns = finding("secondary");
    assert!(!warns.blocks() && warns.verdict == Verdict::Fail);
    let passes = says(&recalled(OLD), "vendor").finding(newest, NOW);
    assert_eq!(passes.verdict, Verdict::Pass);
    assert!(
        [blocks, warns, passes]
            .iter()
            .all(|one| one.id == catalogue::PF43.id)
    );
}

/// The findings of a server's newest run, as `preflight` and `why` show them.
#[test]
fn the_answers_of_a_preflight_and_of_a_verification_have_it_beside_them() {
    let mut world = World::new();
    world.begins(Ask::Swap);
    let why = |world: &World| {
        world
            .fleet
            .why(&target("c2.a.test"), &world.live, NOW)
            .unwrap()
    };
    world.live.versions = Some(says(&recalled(common::CONNECT), "vendor"));
    assert!(why(&world).findings.is_empty(), "nothing was probed there");
    world.generation = Generation(1);
    world.take(&Record::BundleIssued {
        rollout: ROLLOUT,
        phase: world.plan.as_ref().unwrap().targets[&target("c2.a.test")].phases[0].phase,
        target: target("c2.a.test"),
        generation: Generation(1),
        bundle: BundleId(Digest::ZERO),
        expires: NOW.plus(Duration::from_secs(86_400)),
    });
    let probed = Event::Probed {
        generation: Generation(1),
        step: StepIndex(0),
        findings: vec![catalogue::PF43.finding("from the agent", Verdict::Pass)],
    };
    world.tells("c2.a.test", &probed);
    let found = why(&world).findings;
    let last = found.last().unwrap();
    assert!(last.id == "PF43" && last.read.contains("recalled") && !last.blocks());
    world.live.versions = None;
    assert_eq!(why(&world).findings.len(), found.len() - 1);

    // What an agent read of the engine's identity weighs by the day and by who names it (PV26).
    let account = protocol::event::Finding {
        id: "PV26".to_owned(),
        severity: protocol::event::Severity::Warn,
        ..catalogue::PF43.finding("ServiceAccount", Verdict::Fail)
    };
    let probed = Event::Probed {
        generation: Generation(1),
        step: StepIndex(0),
        findings: vec![account],
    };
    world.tells("c2.a.test", &probed);
    for (certainty, blocks) in [("vendor", true), ("secondary", false)] {
        let row = format!(
            "[[identity]]\nfrom = \"2020-01-01\"\neffect = \"it stops\"\nsource = \"a page\"\ncertainty = \"{certainty}\"\n"
        );
        let text = format!("checked_on = \"2020-01-01\"\n{row}");
        world.live.versions = Some(Arc::new(Versions::parse(&text).unwrap()));
        let found = why(&world).findings;
        let told = found.iter().find(|one| one.id == "PV26").unwrap();
        assert_eq!(told.blocks(), blocks, "{told:?}");
        assert!(
            told.fix
                .ends_with("; since 2020-01-01 it stops (a page; checked on 2020-01-01)")
        );
    }
}

/// The users that an agent counted are held against the tenant's verified domains, which it does not see (PF57).
#[test]
fn the_suffixes_that_users_have_are_held_against_the_tenant() {
    let mut world = World::new();
    world.begins(Ask::Swap);
    world.generation = Generation(1);
    world.take(&Record::BundleIssued {
        rollout: ROLLOUT,
        phase: world.plan.as_ref().unwrap().targets[&target("c2.a.test")].phases[0].phase,
        target: target("c2.a.test"),
        generation: Generation(1),
        bundle: BundleId(Digest::ZERO),
        expires: NOW.plus(Duration::from_secs(86_400)),
    });
    let counted = protocol::event::Finding {
        id: "PF57".to_owned(),
        severity: protocol::event::Severity::Warn,
        ..catalogue::PF43.finding("600 under contoso.com, 10 under other.com", Verdict::Pass)
    };
    world.tells(
        "c2.a.test",
        &Event::Probed {
            generation: Generation(1),
            step: StepIndex(0),
            findings: vec![counted],
        },
    );
    let told = |world: &World| {
        let why = world.fleet.why(&target("c2.a.test"), &world.live, NOW);
        let mut found = why.unwrap().findings.into_iter();
        found.find(|one| one.id == "PF57").unwrap()
    };
    let unread = told(&world);
    assert_eq!(unread.verdict, Verdict::CannotTell, "{unread:?}");
    assert!(unread.read.contains("not seen in tenant"), "{unread:?}");
    let before = world.fleet.clone();
    for (other, verdict, words) in [
        (false, Verdict::Fail, "600 of 610 users"),
        (true, Verdict::Pass, "610 of 610 users"),
    ] {
        let domain = |name: &str, verified| DomainSeen {
            name: name.to_owned(),
            verified,
        };
        let domains = vec![domain("contoso.com", true), domain("other.com", other)];
        let tenant = TENANT.parse().unwrap();
        let observation = Observation {
            domains: Part::Seen(domains),
            ..Observation::unseen_all(&tenant, NOW, "not asked")
        };
        world.take(&Record::TenantSeen {
            observation: Box::new(observation),
            by: "anna".to_owned(),
        });
        let one = told(&world);
        assert_eq!(one.verdict, verdict, "{one:?}");
        assert!(one.read.starts_with(words) && !one.blocks(), "{one:?}");
        // Whoever reads it next and is not shown its domains has not seen them again.
        world.take(&Record::TenantSeen {
            observation: Box::new(Observation::unseen_all(
                &TENANT.parse().unwrap(),
                NOW.plus(Duration::from_secs(60)),
                "403",
            )),
            by: "bert".to_owned(),
        });
        assert_eq!(told(&world), one);
        assert!(
            one.read.contains(&format!(", as anna read it at {NOW}: ")),
            "{one:?}"
        );
        world.fleet = before.clone();
    }
}

#[test]
fn a_version_that_is_recalled_after_the_plan_holds_both_servers_of_a_swap() {
    let mut world = World::new();
    world.begins(Ask::Swap);
    world.runs("c1.a.test");
    world.runs("c2.a.test");
    assert_eq!(world.hold("c1.a.test"), None);
    for (row, words, _) in rows() {
        world.live.versions = Some(says(&row, "vendor"));
        world.holds("c1.a.test", Cause::VersionRefused, words);
        world.live.versions = Some(says(&row, "secondary"));
        assert_eq!(world.hold("c1.a.test"), None);
    }
    // A server whose version cannot be read is not known to be above the floor.
    let unread = Event::FactsReported(Box::new(Facts {
        connect: Some(ConnectFacts {
            version: None,
            ..facts(Some((OLD, Some(true)))).connect.unwrap()
        }),
        ..facts(None)
    }));
    world.tells("c2.a.test", &unread);
    world.holds("c1.a.test", Cause::VersionRefused, "cannot be read");
    world.reports("c2.a.test", Some((common::CONNECT, Some(true))));
    world.runs("c1.a.test");
    world.reports("c1.a.test", Some((common::CONNECT, Some(true))));
    world.runs("c2.a.test");
    assert_eq!(world.hold("c2.a.test"), None);
    world.live.versions = Some(says(&recalled(common::CONNECT), "vendor"));
    world.holds("c2.a.test", Cause::VersionRefused, "recalled: it breaks");
    // What is only looked at goes on.
    assert_eq!(world.hold("c1.a.test"), None);
}

#[test]
fn a_failover_and_a_move_are_held_by_a_recall_and_not_by_an_end_of_support_or_of_tasks() {
    for (ask, name) in [(Ask::Failover, "c2.a.test"), (Ask::Transition, "c1.a.test")] {
        let mut world = World::new();
        world.begins(ask);
        world.runs(name);
        for (row, words, goes_on) in rows() {
            world.live.versions = Some(says(&row, "vendor"));
            if goes_on {
                assert_eq!(world.hold(name), None, "{ask:?}");
            } else {
                world.holds(name, Cause::VersionRefused, words);
            }
        }
    }
}

#[test]
fn what_the_tenant_showed_counts_in_each_plan_that_changes_who_synchronizes_it() {
    for ask in [Ask::Swap, Ask::Swing, Ask::Transition, Ask::Failover] {
        let old = |staging| Some((OLD, Some(staging)));
        let unread = || match ask {
            Ask::Swing => World::of(old(false), old(true)),
            Ask::Swap | Ask::Failover | Ask::Transition => World::new(),
        };
        let mut world = unread();
        let said = |plan: &Plan| plan.tenants[&TENANT.parse().unwrap()].said.join("\n");
        assert!(said(&world.planned(ask).unwrap()).contains("not seen in tenant"));
        world.reads(true, 10);
        let plan = world.planned(ask).unwrap();
        assert!(said(&plan).contains("PF61 blocks"), "{}", said(&plan));
        let held = plan.targets.values().flat_map(|part| &part.why);
        let held = held.filter(|why| why.starts_with("held: PF61 of its tenant"));
        assert_eq!(held.count() > 0, !matches!(ask, Ask::Failover), "{ask:?}");
    }
}

#[test]
fn a_guest_holds_a_swap_and_a_move_at_the_action_and_no_emergency() {
    for (ask, name, holds) in [
        (Ask::Swap, "c1.a.test", true),
        (Ask::Transition, "c1.a.test", true),
        (Ask::Failover, "c2.a.test", false),
    ] {
        let mut world = World::new();
        world.begins(ask);
        world.runs("c2.a.test");
        if holds {
            world.runs("c1.a.test");
        }
        world.reads(false, 10);
        assert_eq!(world.hold(name), None, "{ask:?}");
        world.reads(true, 10);
        if holds {
            world.holds(name, Cause::TenantBlocks, "PF61");
        } else {
            assert_eq!(world.hold(name), None);
        }
    }
}

/// The tenant was synchronized until the rollout itself put the active server into staging mode: that is no sign of a stranger.
#[test]
fn that_nobody_is_active_in_the_middle_of_a_swap_does_not_hold_who_follows() {
    let mut world = World::new();
    world.begins(Ask::Swap);
    world.reads(false, 10);
    for name in ["c1.a.test", "c2.a.test", "c1.a.test"] {
        world.runs(name);
    }
    world.reports("c1.a.test", Some((common::CONNECT, Some(true))));
    world.runs("c2.a.test");
    assert_eq!(world.hold("c2.a.test"), None);
    // Two at once hold it all the same.
    for name in SERVERS {
        world.reports(name, Some((common::CONNECT, Some(false))));
    }
    let (cause, why) = world.hold("c2.a.test").unwrap();
    assert!(
        matches!(cause, Cause::TenantBlocks) && why.contains("active at once"),
        "{why}"
    );
}

/// Somebody else has put the active server into staging mode, and its tenant was synchronized lately: that is a sign of a stranger, and of
/// no work of the rollout's own.
#[test]
fn that_nobody_is_active_holds_who_follows_until_the_rollout_itself_has_made_it_so() {
    for made in [false, true] {
        let mut world = World::new();
        world.begins(Ask::Swap);
        world.reads(false, 10);
        world.runs("c1.a.test");
        world.runs("c2.a.test");
        if made {
            world.runs("c1.a.test");
        }
        world.reports("c1.a.test", Some((common::CONNECT, Some(true))));
        world.runs("c2.a.test");
        let rollout = &world.fleet.rollouts()[&ROLLOUT];
        let (part, work) = (
            &rollout.plan.targets[&target("c2.a.test")],
            &rollout.work[&target("c2.a.test")],
        );
        assert!(part.switches_to_active_in(work.phase), "its turn is next");
        let hold = world.hold("c2.a.test");
        let nobody = |(cause, why): &(Cause, String)| {
            *cause == Cause::TenantBlocks && why.contains("no server of entry")
        };
        assert_eq!(hold.as_ref().is_some_and(nobody), !made, "{hold:?}");
    }
}

/// When the one that was gone is back and active, its fence is what mends that: nothing holds it.
#[test]
fn the_fence_of_a_server_that_is_back_is_not_held_by_what_its_return_shows() {
    let mut world = World::new();
    world.begins(Ask::Failover);
    world.reads(true, 10);
    world.reports("c2.a.test", Some((common::CONNECT, Some(false))));
    assert_eq!(world.hold("c1.a.test"), None);
}

/// Password writeback in the US Government cloud (PF44): refused where it is written, said where that is not known.
#[test]
fn an_agent_that_breaks_what_its_domains_use_is_refused_at_check_and_held_at_the_action() {
    let topology = |cloud: &str, permissions: &str| {
        let text = format!(
            "[tenant.main]\nid = \"{TENANT}\"\ncloud = \"{cloud}\"\n[domain.\"a.test\"]\ndirectory = \"ask\"\n{permissions}[agents.a]\nserves = [\"a.test\"]\nhosts = [\"c1.a.test\"]\n"
        );
        let (topology, findings) = parse(&[common::document(text)]);
        assert!(findings.is_empty(), "{findings:?}");
        topology
    };
    let writeback = "permissions = [\"password-writeback\"]\n";
    let broken = Version::new(1, 1, 2102, 0);
    let versions = Arc::new(Versions::built_in());
    let found = |cloud: &str, permissions: &str, newest: Version| {
        let available = Available([(Product::ProvisioningAgent, newest)].into());
        let found = installable(&topology(cloud, permissions), &available, &versions, NOW);
        found
            .into_iter()
            .filter(|one| one.what.starts_with("PF44"))
            .collect::<Vec<_>>()
    };
    let gov = "us-government";
    let refused = found(gov, writeback, broken);
    assert_eq!(refused[0].severity, Severity::Error);
    assert!(
        refused[0]
            .what
            .contains("password writeback is broken in that cloud")
    );
    assert_eq!(found(gov, "", broken)[0].severity, Severity::Warning);
    for (cloud, permissions, newest) in [
        (gov, "permissions = [\"password-hash-sync\"]\n", broken),
        (gov, writeback, common::AGENT),
        ("commercial", writeback, broken),
    ] {
        assert!(
            found(cloud, permissions, newest).is_empty(),
            "{cloud} {permissions}"
        );
    }
    // The data may say so only after the plan was made.
    let mut world = World::of(None, None);
    let agent = world
        .artifacts
        .get_mut(&Product::ProvisioningAgent)
        .unwrap();
    agent.version = broken;
    let (topology, policy) = (topology(gov, writeback), Policy::default());
    let known = world.fleet.known();
    let plan = plan(Inputs::of(
        &topology,
        &policy,
        known,
        &world.artifacts,
        Purpose::Install,
    ));
    world.plan = Some(plan.clone());
    world.take(&common::applied(ROLLOUT, &plan));
    assert_eq!(world.hold("c1.a.test"), None);
    world.live.versions = Some(versions);
    world.holds(
        "c1.a.test",
        Cause::VersionRefused,
        "PF44 for a.test: 1.1.2102.0",
    );
}

/// Connect that is on a retired server again is drift, and what was never told of is none.
#[test]
fn connect_that_comes_back_on_a_retired_server_is_drift() {
    let mut world = World::of(Some((common::CONNECT, Some(false))), None);
    let text = format!(
        "[tenant.main]\nid = \"{TENANT}\"\n[connect.main]\nforests = [\"a.test\"]\nservers = [\"c1.a.test\"]\nretired = [\"c2.a.test\"]\n"
    );
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let policy = Policy::default();
    let known = world.fleet.known();
    let plan = plan(Inputs::of(
        &topology,
        &policy,
        known,
        &world.artifacts,
        Purpose::Install,
    ));
    world.plan = Some(plan.clone());
    world.take(&common::applied(ROLLOUT, &plan));
    world.runs("c2.a.test");
    let work = &world.fleet.rollouts()[&ROLLOUT].work[&target("c2.a.test")];
    assert_eq!(work.state.word(), "done");
    assert!(drift(&world.fleet).is_empty());
    for (mode, seen) in [
        (Some(true), "2.6.92.0, staging"),
        (Some(false), "2.6.92.0, active"),
        (None, "2.6.92.0, whether it is active cannot be told"),
    ] {
        world.reports("c2.a.test", Some((common::CONNECT, mode)));
        let rows = drift(&world.fleet);
        assert_eq!(rows.len(), 1, "{rows:?}");
        let row = &rows[0];
        assert_eq!((row.wanted.as_str(), row.seen.as_str()), ("gone", seen));
        assert!(row.planned && !row.accepted && row.product == Product::Connect);
        assert!(row.mend.contains("`retired`"), "{}", row.mend);
    }
    world.reports("c2.a.test", None);
    assert!(drift(&world.fleet).is_empty());
}

/// What opens a phase that changes something: a preflight, or the reading of what matters there.
fn opens(step: &Step) -> bool {
    match step {
        // A removal asks the little that it needs itself, and a fence asks nothing: an active server that comes back is worse.
        Step::Preflight(_)
        | Step::RemoveProvisioningAgent(_)
        | Step::GuideConnectRemoval(_)
        | Step::FenceConnect => true,
        // A change of the mode: what the server would export, which needs its engine, its scheduler and its newest cycle, or what
        // it was set to.
        Step::ReviewConnectExports(_) | Step::ReadConnectSettings => true,
        Step::ReportFacts
        | Step::DiscoverServers(_)
        | Step::CollectSupport(_)
        | Step::RestartServer(_)
        | Step::UpgradeAgent(_)
        | Step::CheckTransition
        | Step::UndoFixes(_)
        | Step::AwaitFullSync(_)
        | Step::InstallProvisioningAgent(_)
        | Step::SetProvisioningAgentOptions(_)
        | Step::StartProvisioningAgent(_)
        | Step::RegisterProvisioningAgent(_)
        | Step::AddDomains(_)
        | Step::GuideProvisioningAgent(_)
        | Step::VerifyProvisioningAgent(_)
        | Step::VerifyProvisioningAgentRemoved(_)
        | Step::StageConnect(_)
        | Step::GuideConnect(_)
        | Step::GuideTransition(_)
        | Step::VerifyConnect(_)
        | Step::VerifyConnectRemoved => false,
    }
}

fn all_open(plan: &Plan) -> Result<usize, TestCaseError> {
    let phases = plan.targets.values().flat_map(|part| &part.phases);
    let mut changing = 0;
    for phase in phases.filter(|phase| !phase.is_read_only()) {
        changing += 1;
        prop_assert!(opens(&phase.steps[0]), "{:?} of {:?}", phase, plan.kind);
        // What stands behind what opens it is the change itself, or reads too.
        let acts = phase.steps.iter().filter(|step| !step.is_read_only());
        prop_assert!(acts.count() <= 3, "{phase:?}");
    }
    Ok(changing)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the two servers are: a plan that changes who synchronizes the tenant opens each phase that changes something.
    #[test]
    fn each_phase_of_a_swap_swing_failover_or_move_is_opened_by_what_matters_there(
        newest in any::<[bool; 2]>(),
        staging in any::<[Option<Option<bool>>; 2]>(),
        guest in any::<Option<bool>>(),
    ) {
        let is = |number: usize| {
            let version = if newest[number] { common::CONNECT } else { OLD };
            staging[number].map(|staging| (version, staging))
        };
        let mut world = World::of(is(0), is(1));
        if let Some(guest) = guest {
            world.reads(guest, 10);
        }
        for ask in [Ask::Swap, Ask::Swing, Ask::Failover, Ask::Transition] {
            let Ok(plan) = world.planned(ask) else { continue };
            prop_assert!(all_open(&plan)? > 0, "{ask:?} changes nothing");
            prop_assert!(!plan.tenants.is_empty());
        }
    }
}

/// The rule above would hold where nothing could be planned.
#[test]
fn each_of_these_plans_is_made_of_some_servers() {
    let old = |staging| Some((OLD, Some(staging)));
    let mut made = BTreeMap::new();
    for (name, ask, world) in [
        ("swap", Ask::Swap, World::new()),
        ("swing", Ask::Swing, World::of(old(false), old(true))),
        ("failover", Ask::Failover, World::new()),
        ("move", Ask::Transition, World::new()),
    ] {
        let plan = world.planned(ask).unwrap();
        made.insert(name, all_open(&plan).unwrap());
    }
    let known: Fleetwide = World::new().fleet.known().clone();
    assert_eq!(known.len(), 2);
    assert_eq!(
        made,
        BTreeMap::from([("swap", 2), ("swing", 5), ("failover", 2), ("move", 1)])
    );
}
