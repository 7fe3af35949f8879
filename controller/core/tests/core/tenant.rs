//! What a tenant shows: read from answers, held against the fleet, and never taken for more than it is.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;
use std::time::Duration;

use controller_core::facts::{Fleetwide, Known};
use controller_core::fleet::Fleet;
use controller_core::record::Record;
use controller_core::tenant::{
    Account, AgentSeen, Configuration, DomainSeen, Held, Job, Kept, Observation, Organization,
    Part, Read, Suffix, SyncAccounts, agents, beside, domains, held, jobs, organization,
    principals,
};
use protocol::event::{Event, Finding, Grade, Severity, Verdict};
use protocol::facts::{ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::known::{KE13, KE17};
use protocol::probe::controller as catalogue;
use protocol::{Digest, DomainName, Fingerprint, TargetId, TenantId, Timestamp};
use serde_json::json;

use crate::common;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "3f0c8a4e-0000-0000-0000-000000000000";

fn id() -> TenantId {
    TENANT.parse().unwrap()
}

pub(crate) fn minutes_ago(minutes: u64) -> Option<Timestamp> {
    Some(NOW.minus(Duration::from_secs(minutes * 60)))
}

pub(crate) fn job(last_success: Option<Timestamp>, quarantined: bool) -> Job {
    Job {
        template: "AD2AADProvisioning".to_owned(),
        status: "Active".to_owned(),
        quarantined,
        last_success,
    }
}

/// Two active agents that serve a.test, whose job succeeded two minutes ago.
pub(crate) fn sound() -> Observation {
    let agent = |machine: &str| AgentSeen {
        machine: machine.to_owned(),
        status: "active".to_owned(),
    };
    Observation {
        tenant: id(),
        at: NOW,
        agents: Part::Seen(vec![agent("s1.a.test"), agent("S2")]),
        configurations: Part::Seen(vec![Configuration {
            name: "A.test".to_owned(),
            jobs: Part::Seen(vec![job(minutes_ago(2), false)]),
            ..configuration()
        }]),
        organization: Part::Seen(Organization {
            sync_enabled: true,
            last_sync: minutes_ago(10),
        }),
        domains: Part::Seen(vec![DomainSeen {
            name: "a.test".to_owned(),
            verified: true,
        }]),
        ..Observation::unseen_all(&id(), NOW, "it was not asked for")
    }
}

/// The same, of which every part was seen.
fn whole() -> Observation {
    Observation {
        operator: Part::Seen(Account {
            user: "anna@a.test".to_owned(),
            guest: false,
            synchronized: false,
            role: Part::Seen(Held::Direct),
            global: Part::Seen(Held::Not),
            demands: Part::Seen(BTreeSet::new()),
            may_demand: BTreeSet::new(),
        }),
        sync_accounts: Part::Seen(SyncAccounts {
            members: 0,
            ids: BTreeSet::new(),
            caught: Part::Seen(BTreeSet::new()),
            may_catch: BTreeSet::new(),
        }),
        connect_accounts: Part::Seen(Vec::new()),
        applications: Part::Seen(Vec::new()),
        assigned: Part::Seen(Vec::new()),
        ..sound()
    }
}

/// What is not asked of a configuration here.
fn configuration() -> Configuration {
    let value = json!({ "name": "a.test", "jobs": { "not-seen": "" } });
    serde_json::from_value(value).unwrap()
}

/// The configuration of a.test with these jobs.
pub(crate) fn with_jobs(jobs: Vec<Job>) -> Configuration {
    Configuration {
        jobs: Part::Seen(jobs),
        ..configuration()
    }
}

/// The same fleet, of which the last server has reported by the time at which the tenant was read that nothing of an agent runs there, and names the
/// tenant still.
pub(crate) fn without_an_agent(names: &[&str]) -> Fleetwide {
    let mut known = known(names);
    let leftover = ProvisioningAgentFacts {
        version: None,
        tenant: Some(id()),
        service: None,
        account: None,
        options: None,
        updater: None,
        owes_registration: None,
    };
    let last: TargetId = names.last().unwrap().parse().unwrap();
    known.get_mut(&last).unwrap().facts = Some((NOW, common::facts(Some(leftover), None)));
    known
}

pub(crate) fn known(names: &[&str]) -> Fleetwide {
    let entry = |name: &&str| {
        let agent = ProvisioningAgentFacts {
            version: Some(common::AGENT),
            tenant: Some(id()),
            service: Some(ServiceState::Running),
            account: Some("A\\provAgentgMSA$".to_owned()),
            options: None,
            updater: None,
            owes_registration: None,
        };
        let known = Known {
            facts: Some((NOW, common::facts(Some(agent), None))),
            domains: Some(BTreeSet::from(["a.test".parse().unwrap()])),
            ..Known::of(Fingerprint(Digest::of(name.as_bytes())))
        };
        (name.parse().unwrap(), known)
    };
    names.iter().map(entry).collect()
}

fn remarks(seen: &Observation, names: &[&str]) -> Vec<String> {
    let known = known(names);
    // What does not pass, and what cannot be told though its part was seen: a part that was not seen at all is a remark of its own.
    let shows = |one: &Finding| match one.verdict {
        Verdict::Pass => false,
        Verdict::Fail => true,
        Verdict::CannotTell => one.id == catalogue::PV13.id && seen.configurations.seen().is_some(),
    };
    let found = held(seen, &known, true, &BTreeSet::new())
        .into_iter()
        .filter(shows);
    let found = found.map(|one| format!("{} {}", one.id, one.read));
    let more = beside(seen, &known).into_iter();
    found
        .chain(more.map(|one| format!("{} {}", one.id, one.what)))
        .collect()
}

#[test]
fn where_all_is_well_nothing_stands_out() {
    assert_eq!(remarks(&sound(), &["s1.a.test", "s2.a.test"]), [""; 0]);
}

#[test]
fn each_thing_that_is_wrong_is_one_remark() {
    let both = ["s1.a.test", "s2.a.test"];
    let mut gone = sound();
    gone.agents = Part::Seen(vec![gone.agents.seen().unwrap()[0].clone()]);
    let said = remarks(&gone, &both);
    assert!(
        said[0].starts_with("PV11 s2.a.test: the tenant does not list"),
        "{said:?}"
    );
    assert!(said[1].starts_with("PV12 a.test: 1 active"), "{said:?}");
    let mut other = sound();
    other.configurations = Part::Seen(Vec::new());
    assert!(remarks(&other, &both)[0].starts_with("PV13 a.test: no configuration"));
    for (job, word) in [
        (job(minutes_ago(2), true), "quarantine"),
        (job(minutes_ago(16), false), "within 15 minutes"),
        (job(None, false), "within 15 minutes"),
    ] {
        let mut ill = sound();
        ill.configurations = Part::Seen(vec![Configuration {
            name: "a.test".to_owned(),
            jobs: Part::Seen(vec![job]),
            ..configuration()
        }]);
        let said = remarks(&ill, &both);
        assert!(
            said[0].starts_with("PV14") && said[0].contains(word),
            "{said:?}"
        );
        assert_eq!(said.len(), 1);
    }
    let mut late = sound();
    late.organization = Part::Seen(Organization {
        sync_enabled: true,
        last_sync: minutes_ago(36),
    });
    assert!(remarks(&late, &both)[0].starts_with("PV36"));
    let mut unseen = sound();
    unseen.agents = Part::NotSeen("403".to_owned());
    assert_eq!(
        remarks(&unseen, &both),
        ["TN02 not seen in the tenant: agents: 403"]
    );
    let said = remarks(&sound(), &["s1.a.test"]);
    assert!(
        said.iter().any(|one| one.starts_with("TN01 S2: active")),
        "{said:?}"
    );
}

#[test]
fn a_short_name_that_could_be_two_servers_is_nobodys() {
    let names: Vec<TargetId> = ["s2.a.test", "s2.b.test"]
        .map(|name| name.parse().unwrap())
        .into();
    let served = BTreeSet::from(["a.test".parse().unwrap()]);
    let grade = |all: &[&TargetId]| {
        let all = all.iter().copied().collect();
        sound().grade(&names[0], &all, Some(&served))
    };
    assert_eq!(grade(&[&names[0]]), Some(Grade::Syncing));
    assert_eq!(grade(&[&names[0], &names[1]]), None);
}

#[test]
fn a_grade_is_what_was_seen_and_no_more() {
    let target: TargetId = "s1.a.test".parse().unwrap();
    let all = BTreeSet::from([&target]);
    let domain = |name: &str| -> BTreeSet<DomainName> { BTreeSet::from([name.parse().unwrap()]) };
    let grade = |seen: &Observation, domains: Option<&BTreeSet<DomainName>>| {
        seen.grade(&target, &all, domains)
    };
    assert_eq!(
        grade(&sound(), Some(&domain("a.test"))),
        Some(Grade::Syncing)
    );
    // Which domains it serves is not known, or another one's job was not seen.
    assert_eq!(grade(&sound(), None), Some(Grade::ActiveInTenant));
    assert_eq!(
        grade(&sound(), Some(&domain("b.test"))),
        Some(Grade::ActiveInTenant)
    );
    let mut inactive = sound();
    inactive.agents = Part::Seen(vec![AgentSeen {
        machine: "s1.a.test".to_owned(),
        status: "inactive".to_owned(),
    }]);
    assert_eq!(grade(&inactive, Some(&domain("a.test"))), None);
}

#[test]
fn a_verified_domain_brings_those_below_it_along() {
    let suffix = |name: &str| sound().suffix(&name.parse().unwrap()).unwrap();
    assert_eq!(suffix("a.test"), Suffix::Verified);
    assert_eq!(suffix("emea.a.test"), Suffix::Verified);
    assert_eq!(suffix("b.test"), Suffix::NotAdded);
    assert_eq!(suffix("nota.test"), Suffix::NotAdded);
    let mut waits = sound();
    waits.domains = Part::Seen(vec![DomainSeen {
        name: "a.test".to_owned(),
        verified: false,
    }]);
    assert_eq!(
        waits.suffix(&"a.test".parse().unwrap()),
        Some(Suffix::NotVerified)
    );
    waits.domains = Part::NotSeen("403".to_owned());
    assert_eq!(waits.suffix(&"a.test".parse().unwrap()), None);
}

#[test]
fn answers_are_read_and_those_of_another_shape_say_what_they_lack() {
    let list = |one: serde_json::Value| json!({ "value": [one] });
    let agent = list(json!({ "machineName": "s1", "status": "active" }));
    assert_eq!(agents(&agent).unwrap()[0].machine, "s1");
    assert_eq!(
        agents(&list(json!({ "status": "active" }))).unwrap_err(),
        "no machineName"
    );
    assert_eq!(agents(&json!({})).unwrap_err(), "no list");
    let principal = list(json!({ "id": "1", "displayName": "a.test" }));
    assert_eq!(
        principals(&principal).unwrap(),
        [("1".to_owned(), "a.test".to_owned())]
    );
    let success = json!({ "timeEnded": "2026-09-21T13:24:00Z" });
    let ran = list(
        json!({ "templateId": "AD2AADProvisioning", "status": { "code": "Active", "quarantine": null, "lastSuccessfulExecution": success } }),
    );
    let ran = &jobs(&ran).unwrap()[0];
    assert!(!ran.quarantined && ran.last_success.is_some());
    let never = json!({ "timeEnded": "0001-01-01T00:00:00Z" });
    let never = list(
        json!({ "templateId": "x", "status": { "code": "NotRun", "lastSuccessfulExecution": never } }),
    );
    assert_eq!(jobs(&never).unwrap()[0].last_success, None);
    let of = |id: &str| {
        organization(
            &list(json!({ "id": id, "onPremisesSyncEnabled": null })),
            &self::id(),
        )
    };
    assert!(!of(TENANT).unwrap().sync_enabled);
    let other = "77aa0000-0000-0000-0000-000000000000";
    assert_eq!(of(other).unwrap_err(), format!("it is of tenant {other}"));
    assert!(domains(&list(json!({ "id": "A.test", "isVerified": true }))).unwrap()[0].verified);
    assert!(domains(&list(json!({ "id": "a.test" }))).is_err());
}

/// An agent that was registered anew leaves its old entry behind until it ages out.
#[test]
fn of_two_entries_of_one_machine_the_active_one_counts() {
    let target: TargetId = "s1.a.test".parse().unwrap();
    let all = BTreeSet::from([&target]);
    let entry = |status: &str| AgentSeen {
        machine: "s1.a.test".to_owned(),
        status: status.to_owned(),
    };
    for (agents, grade) in [
        (["inactive", "active"], Some(Grade::ActiveInTenant)),
        (["active", "inactive"], Some(Grade::ActiveInTenant)),
        (["active", "active"], None),
        (["inactive", "inactive"], None),
    ] {
        let mut seen = sound();
        seen.agents = Part::Seen(agents.map(entry).to_vec());
        assert_eq!(seen.grade(&target, &all, None), grade, "{agents:?}");
    }
}

/// A look that came later stands, and one that saw less does not erase what was seen of the tenant as a whole.
#[test]
fn a_narrower_look_erases_nothing_and_an_older_one_comes_too_late() {
    let mut fleet = Fleet::new();
    let mut reads = |observation: Observation, by: &str| {
        let record = Record::TenantSeen {
            observation: Box::new(observation),
            by: by.to_owned(),
        };
        fleet.apply(&record, None, NOW);
        fleet.beyond().tenants[&id()].clone()
    };
    let whole = whole();
    reads(whole.clone(), "anna");
    // Each part keeps its own time and reader, through as many readings as come.
    let read = |at, by: &str| Read {
        at,
        by: by.to_owned(),
    };
    let minutes = |count: u64| NOW.plus(Duration::from_secs(60 * count));
    let mut first = Observation::unseen_all(&id(), minutes(1), "403");
    first.domains = Part::Seen(Vec::new());
    reads(first, "bert");
    let blind = Observation::unseen_all(&id(), minutes(2), "403");
    let now = reads(blind, "cora");
    for part in [
        Kept::Organization,
        Kept::Operator,
        Kept::SyncAccounts,
        Kept::ConnectAccounts,
        Kept::Applications,
        Kept::Assigned,
    ] {
        assert_eq!(now.read(part), read(NOW, "anna"), "{part:?}");
    }
    assert_eq!(now.read(Kept::Domains), read(minutes(1), "bert"));
    assert_eq!(now.kept_in_words().count(), 7);
    let kept = Observation {
        at: minutes(2),
        agents: now.observation.agents.clone(),
        configurations: now.observation.configurations.clone(),
        domains: Part::Seen(Vec::new()),
        earlier: now.observation.earlier.clone(),
        ..whole.clone()
    };
    assert_eq!(now.observation, kept);
    // Whoever sees all of it again is the one who saw it.
    let mut again = whole.clone();
    again.at = minutes(3);
    // A reading says of itself alone what it saw: another one's time is not taken from it.
    again.earlier = now.observation.earlier.clone();
    let now = reads(again, "dora");
    assert!(now.observation.earlier.is_empty());
    assert_eq!(now.read(Kept::Assigned), read(minutes(3), "dora"));
    // What was written before anybody kept that is read as ever.
    let mut value = serde_json::to_value(&whole).unwrap();
    assert!(value.get("earlier").is_none(), "{value}");
    value["organization_at"] = json!(NOW);
    assert_eq!(serde_json::from_value::<Observation>(value).unwrap(), whole);
    let mut sees = |observation: Observation| reads(observation, "anna").observation;
    let mut narrow = sound();
    narrow.at = minutes(4);
    narrow.organization = Part::NotSeen("403".to_owned());
    narrow.domains = Part::NotSeen("403".to_owned());
    narrow.configurations = Part::NotSeen("403".to_owned());
    let now = sees(narrow.clone());
    assert_eq!(
        (now.at, now.organization, now.domains),
        (narrow.at, sound().organization, sound().domains)
    );
    assert!(
        now.configurations.seen().is_none(),
        "what changes by the hour is not kept"
    );
    let mut older = sound();
    older.agents = Part::Seen(Vec::new());
    assert_eq!(sees(older).at, narrow.at);
}

/// The answers to a probe in one word each.
fn verdicts(seen: &Observation, names: &[&str], id: &str) -> Vec<Verdict> {
    let found = held(seen, &known(names), true, &BTreeSet::new());
    let own = found.into_iter().filter(|one| one.id == id);
    own.map(|one| {
        let row = catalogue::ALL.iter().find(|row| row.id == id).unwrap();
        // What cannot be told stops nothing.
        let severity = match one.verdict {
            Verdict::CannotTell => row.severity.min(Severity::Warn),
            Verdict::Pass | Verdict::Fail => row.severity,
        };
        assert_eq!(
            (one.severity, one.owner, one.wanted.as_str()),
            (severity, row.owner, row.wanted)
        );
        assert_eq!(one.fix.is_empty(), one.verdict == Verdict::Pass);
        one.verdict
    })
    .collect()
}

/// Each probe that takes a tenant's reading and what servers report, where it passes, fails, and cannot be told.
#[test]
fn the_probes_that_hold_a_tenant_against_the_fleet_pass_fail_and_cannot_tell() {
    use Verdict::{CannotTell, Fail, Pass};
    let both = ["s1.a.test", "s2.a.test"];
    let changed = |change: &dyn Fn(&mut Observation)| {
        let mut seen = sound();
        change(&mut seen);
        seen
    };
    let first = |seen: &mut Observation, jobs: Part<Vec<Job>>| {
        seen.configurations = Part::Seen(vec![Configuration {
            name: "a.test".to_owned(),
            jobs,
            ..configuration()
        }]);
    };
    let gone = changed(&|seen| seen.agents = Part::Seen(seen.agents.seen().unwrap()[..1].to_vec()));
    let unseen = changed(&|seen| {
        seen.agents = Part::NotSeen("403".to_owned());
        seen.configurations = Part::NotSeen("403".to_owned());
        seen.organization = Part::NotSeen("403".to_owned());
    });
    for (id, passes) in [
        ("PV11", vec![Pass, Pass]),
        ("PV12", vec![Pass]),
        ("PV13", vec![Pass]),
        ("PV14", vec![Pass]),
        ("PV36", vec![Pass]),
    ] {
        let mut well = sound();
        // Whether cloud sync moves the time of the tenant's last synchronization is not known.
        if id == "PV36" {
            well.configurations = Part::Seen(Vec::new());
        }
        assert_eq!(verdicts(&well, &both, id), passes, "{id}");
        let untold = match id {
            "PV11" => vec![CannotTell, CannotTell],
            // Where no job was seen, none has a health.
            "PV14" => Vec::new(),
            _ => vec![CannotTell],
        };
        assert_eq!(verdicts(&unseen, &both, id), untold, "{id}");
    }
    assert_eq!(verdicts(&gone, &both, "PV11"), [Pass, Fail]);
    assert_eq!(verdicts(&gone, &both, "PV12"), [Fail]);
    for (jobs, there, health) in [
        (Part::Seen(Vec::new()), Fail, None),
        (Part::NotSeen("403".to_owned()), CannotTell, None),
        (
            Part::Seen(vec![job(minutes_ago(2), true)]),
            Pass,
            Some(Fail),
        ),
        (
            Part::Seen(vec![job(minutes_ago(16), false)]),
            Pass,
            Some(Fail),
        ),
        (
            Part::Seen(vec![job(minutes_ago(14), false)]),
            Pass,
            Some(Pass),
        ),
    ] {
        let seen = changed(&|seen| first(seen, jobs.clone()));
        assert_eq!(verdicts(&seen, &both, "PV13"), [there], "{jobs:?}");
        let health: Vec<Verdict> = health.into_iter().collect();
        assert_eq!(verdicts(&seen, &both, "PV14"), health, "{jobs:?}");
    }
    let late = changed(&|seen| {
        seen.organization = Part::Seen(Organization {
            sync_enabled: true,
            last_sync: minutes_ago(36),
        });
    });
    assert_eq!(verdicts(&late, &both, "PV36"), [Fail]);
    let never = changed(&|seen| {
        seen.organization = Part::Seen(Organization {
            sync_enabled: true,
            last_sync: None,
        });
    });
    assert_eq!(verdicts(&never, &both, "PV36"), [Fail]);
    let none = held(&late, &known(&both), false, &BTreeSet::new());
    assert!(
        none.iter().all(|one| one.id != "PV36"),
        "no server is active"
    );
}

/// A known error that a tenant's reading shows is told with its id, its cause and its fix: KE13 of a job in quarantine alone, KE17 of
/// an agent whose service runs and that the tenant does not list.
#[test]
fn what_a_tenant_shows_of_a_known_error_carries_it() {
    let both = ["s1.a.test", "s2.a.test"];
    let fixes = |seen: &Observation, known: &Fleetwide, id: &str| {
        let found = held(seen, known, false, &BTreeSet::new()).into_iter();
        let own = found.filter(|one| one.id == id && one.verdict != Verdict::Pass);
        own.map(|one| one.fix).collect::<Vec<_>>()
    };
    let with = |job: Job| {
        let mut seen = sound();
        seen.configurations = Part::Seen(vec![Configuration {
            jobs: Part::Seen(vec![job]),
            ..configuration()
        }]);
        seen
    };
    let well = known(&both);
    let quarantined = with(job(minutes_ago(2), true));
    assert_eq!(fixes(&quarantined, &well, "PV14"), [KE13.sentence()]);
    assert!(KE13.sentence().contains("most calls") && KE13.sentence().contains("(KE13)"));
    let late = with(job(minutes_ago(16), false));
    assert_eq!(fixes(&late, &well, "PV14"), [catalogue::PV14.fix]);

    let mut gone = sound();
    gone.agents = Part::Seen(gone.agents.seen().unwrap()[..1].to_vec());
    let told = fixes(&gone, &well, "PV11");
    assert_eq!(told.len(), 1);
    assert!(
        told[0].starts_with(&KE17.sentence()) && told[0].ends_with(catalogue::PV11.fix),
        "{told:?}"
    );
    // One that does not run, and one that the tenant lists and calls inactive, have another cause.
    let mut stopped = known(&both);
    for known in stopped.values_mut() {
        let (_, facts) = known.facts.as_mut().unwrap();
        facts.provisioning_agent.as_mut().unwrap().service = Some(ServiceState::NotRunning);
    }
    assert_eq!(fixes(&gone, &stopped, "PV11"), [catalogue::PV11.fix]);
    let mut idle = sound();
    if let Part::Seen(agents) = &mut idle.agents {
        agents[1].status = "inactive".to_owned();
    }
    assert_eq!(fixes(&idle, &well, "PV11"), [catalogue::PV11.fix]);
    let unread = Observation {
        agents: Part::NotSeen("403".to_owned()),
        ..sound()
    };
    assert_eq!(fixes(&unread, &well, "PV11"), [catalogue::PV11.fix; 2]);
}

/// RM08: an agent that was taken off is looked for in the tenant's list by a reading that is newer than the report of its end.
#[test]
fn an_agent_that_was_taken_off_is_told_until_the_tenant_lists_it_no_more() {
    use Verdict::{CannotTell, Fail, Pass};
    let both = ["s1.a.test", "s2.a.test"];
    let reported = |at: Timestamp, left: Option<ProvisioningAgentFacts>| {
        let mut known = known(&both);
        let entry = known.get_mut(&both[1].parse().unwrap()).unwrap();
        entry.facts = Some((at, common::facts(left, None)));
        known
    };
    let told = |seen: &Observation, known: &Fleetwide| {
        let found = held(seen, known, false, &BTreeSet::new());
        let own = |one: &&Finding| one.id == "RM08";
        found
            .iter()
            .filter(own)
            .map(|one| one.verdict)
            .collect::<Vec<_>>()
    };
    // What the cmdlets wrote names the tenant still.
    let leftover = || {
        Some(ProvisioningAgentFacts {
            version: None,
            tenant: Some(id()),
            service: None,
            account: None,
            options: None,
            updater: None,
            owes_registration: None,
        })
    };
    let mut gone = sound();
    gone.agents = Part::Seen(vec![gone.agents.seen().unwrap()[0].clone()]);
    let mut unseen = sound();
    unseen.agents = Part::NotSeen("403".to_owned());
    for (left, listed, not_listed, not_seen) in [
        (leftover(), vec![Fail], vec![Pass], vec![CannotTell]),
        // Whoever has no trace of one is told of where one of its name is listed.
        (None, vec![Fail], vec![], vec![]),
    ] {
        let known = reported(NOW, left.clone());
        assert_eq!(told(&sound(), &known), listed);
        assert_eq!(told(&gone, &known), not_listed);
        assert_eq!(told(&unseen, &known), not_seen);
        // It is no registered server of which the tenant must list an agent.
        let found = held(&gone, &known, false, &BTreeSet::new());
        assert!(
            found
                .iter()
                .all(|one| one.id != "PV11" || one.verdict == Pass)
        );
        let later = Timestamp::from_millis(NOW.as_millis() + 1);
        assert_eq!(told(&sound(), &reported(later, left)), [CannotTell]);
    }
    assert!(told(&sound(), &known(&both)).is_empty(), "both have theirs");
    let severities = held(&sound(), &reported(NOW, None), false, &BTreeSet::new());
    let severity = severities.iter().find(|one| one.id == "RM08").unwrap();
    assert_eq!(severity.severity, Severity::Info);
    assert!(
        severity
            .read
            .starts_with("s2.a.test: it has no agent, and the tenant lists one")
    );
}

/// Where no permission says that password hashes are wanted, that their job is not there is told; where one does, it fails.
#[test]
fn a_job_of_password_hashes_is_told_and_asked_for_where_it_is_wanted() {
    let found = |templates: &[&str], wanted: bool| {
        let jobs = templates.iter().map(|template| Job {
            template: (*template).to_owned(),
            ..job(minutes_ago(2), false)
        });
        let mut seen = sound();
        seen.configurations = Part::Seen(vec![Configuration {
            name: "a.test".to_owned(),
            jobs: Part::Seen(jobs.collect()),
            ..configuration()
        }]);
        let hashes: BTreeSet<_> = wanted
            .then(|| "a.test".parse().unwrap())
            .into_iter()
            .collect();
        let found = held(&seen, &known(&["s1.a.test"]), false, &hashes);
        let own = found.iter().find(|one| one.id == "PV13").unwrap();
        let health = found.iter().any(|one| one.id == "PV14");
        assert!(health, "the job that is there has its health");
        (own.verdict, own.read.clone())
    };
    let read = |templates: &[&str]| {
        let (verdict, read) = found(templates, false);
        assert_eq!(verdict, Verdict::Pass);
        read
    };
    let both = ["AD2AADProvisioning", "AD2AADPasswordHash"];
    assert_eq!(found(&both, true).0, Verdict::Pass);
    let (verdict, why) = found(&["AD2AADProvisioning"], true);
    assert!(
        verdict == Verdict::Fail && why.contains("password-hash-sync"),
        "{why}"
    );
    assert!(read(&["AD2AADProvisioning"]).contains("without AD2AADPasswordHash"));
    assert!(read(&["AD2AADProvisioning", "AD2AADPasswordHash"]).contains("and AD2AADPasswordHash"));
}

/// A young time of the tenant's last synchronization proves nothing of Connect where cloud sync may have moved it; an old one does.
#[test]
fn a_time_that_cloud_sync_may_have_moved_is_no_proof_of_connect() {
    use Verdict::{CannotTell, Fail, Pass};
    let told = |jobs: Part<Vec<Job>>, minutes: u64| {
        let mut seen = sound();
        seen.organization = Part::Seen(Organization {
            sync_enabled: true,
            last_sync: minutes_ago(minutes),
        });
        seen.configurations = Part::Seen(vec![Configuration {
            jobs,
            ..configuration()
        }]);
        let found = held(&seen, &known(&["s1.a.test"]), true, &BTreeSet::new());
        let own = found.into_iter().find(|one| one.id == "PV36").unwrap();
        assert_eq!(own.blocks(), own.verdict == Fail, "{own:?}");
        (own.verdict, own.read)
    };
    let never = || Part::Seen(vec![job(None, false)]);
    let days_ago = || Part::Seen(vec![job(minutes_ago(3 * 1440), false)]);
    for (jobs, young) in [
        (Part::Seen(Vec::new()), Pass),
        (never(), Pass),
        (Part::Seen(vec![job(minutes_ago(2), false)]), CannotTell),
        // It may have moved that time whatever became of its last run.
        (days_ago(), CannotTell),
        (Part::NotSeen("403".to_owned()), CannotTell),
    ] {
        let (verdict, read) = told(jobs.clone(), 35);
        assert_eq!(verdict, young, "{jobs:?}: {read}");
        assert!(young == Pass || read.contains("not documented"), "{read}");
        assert_eq!(told(jobs, 36).0, Fail);
    }
}

/// Whoever reads a tenant next and is not shown when it was synchronized makes no time older than it was seen to be.
#[test]
fn a_time_that_an_earlier_reading_saw_is_as_old_as_that_reading() {
    let mut fleet = Fleet::new();
    let mut first = sound();
    first.configurations = Part::Seen(Vec::new());
    let later = NOW.plus(Duration::from_secs(3 * 3600));
    let narrow = Observation {
        configurations: Part::Seen(Vec::new()),
        ..Observation::unseen_all(&id(), later, "403")
    };
    for observation in [first, narrow] {
        let record = Record::TenantSeen {
            observation: Box::new(observation),
            by: "anna".to_owned(),
        };
        fleet.apply(&record, None, NOW);
    }
    let seen = &fleet.beyond().tenants[&id()].observation;
    assert_eq!((seen.at, seen.organization_seen()), (later, NOW));
    let found = held(seen, &known(&["s1.a.test"]), true, &BTreeSet::new());
    let own = found.iter().find(|one| one.id == "PV36").unwrap();
    assert_eq!(own.verdict, Verdict::Pass, "{own:?}");
    assert!(
        own.read.contains(&format!("as it was seen at {NOW}")),
        "{own:?}"
    );
}

/// A job that was stopped may have succeeded a minute ago: its status goes first.
#[test]
fn a_job_that_is_not_at_work_is_not_healthy_however_lately_it_succeeded() {
    use Verdict::{CannotTell, Fail, Pass};
    let target: TargetId = "s1.a.test".parse().unwrap();
    let all = BTreeSet::from([&target]);
    let served = BTreeSet::from(["a.test".parse().unwrap()]);
    for (status, verdict, says) in [
        ("Active", Pass, "succeeded at"),
        ("active", Pass, "succeeded at"),
        ("Paused", Fail, "its status is Paused"),
        ("NotConfigured", Fail, "its status is NotConfigured"),
        ("NotRun", Fail, "its status is NotRun"),
        ("Disabled", Fail, "its status is Disabled"),
        ("Quarantine", Fail, "in quarantine"),
        (
            "SomethingNew",
            CannotTell,
            "SomethingNew, which is not known here",
        ),
    ] {
        let mut seen = sound();
        seen.configurations = Part::Seen(vec![Configuration {
            jobs: Part::Seen(vec![Job {
                status: status.to_owned(),
                ..job(minutes_ago(2), false)
            }]),
            ..configuration()
        }]);
        let found = held(&seen, &known(&["s1.a.test"]), false, &BTreeSet::new());
        let own = found.iter().find(|one| one.id == "PV14").unwrap();
        assert_eq!(own.verdict, verdict, "{status}: {own:?}");
        assert!(own.read.contains(says), "{status}: {own:?}");
        assert_eq!(
            own.fix == KE13.sentence(),
            status == "Quarantine",
            "{status}: {own:?}"
        );
        let grade = match verdict {
            Pass => Grade::Syncing,
            Fail | CannotTell => Grade::ActiveInTenant,
        };
        assert_eq!(
            seen.grade(&target, &all, Some(&served)),
            Some(grade),
            "{status}"
        );
        let run = u8::from(verdict == Pass);
        let said = seen.jobs_in_words();
        assert!(
            said.starts_with(&format!("of its 1 jobs {run} have run")),
            "{said}"
        );
    }
}

/// Which entry is a server's may not be clear: that is told, with each of them, and is not "none".
#[test]
fn an_entry_that_is_not_clear_is_named_and_fails_nothing() {
    use Verdict::{CannotTell, Fail, Pass};
    let entry = |machine: &str, status: &str| AgentSeen {
        machine: machine.to_owned(),
        status: status.to_owned(),
    };
    let told = |agents: Vec<AgentSeen>, names: &[&str], id: &str| {
        let mut seen = sound();
        seen.agents = Part::Seen(agents);
        let found = held(&seen, &known(names), false, &BTreeSet::new());
        let own = found.into_iter().filter(|one| one.id == id);
        own.map(|one| (one.verdict, one.read)).collect::<Vec<_>>()
    };
    let both = ["s1.a.test", "s2.a.test"];
    let twice = || {
        vec![
            entry("s1.a.test", "active"),
            entry("S2", "active"),
            entry("s2.a.test", "active"),
        ]
    };
    let found = told(twice(), &both, "PV11");
    assert_eq!(found[0].0, Pass);
    let (verdict, read) = &found[1];
    assert_eq!(*verdict, CannotTell, "{read}");
    for word in ["s2.a.test: ", "S2 (active)", "s2.a.test (active)"] {
        assert!(read.contains(word), "{word}: {read}");
    }
    // How many are active is not clear then either, unless enough are without it.
    assert_eq!(told(twice(), &both, "PV12")[0].0, CannotTell);
    let mut three = twice();
    three.push(entry("s3.a.test", "active"));
    let names = ["s1.a.test", "s2.a.test", "s3.a.test"];
    assert_eq!(told(three, &names, "PV12")[0].0, Pass);
    assert_eq!(
        told(twice()[1..].to_vec(), &["s2.a.test"], "PV12")[0].0,
        Fail
    );
    // A short name that could be two servers' is neither's, and both are named.
    let namesakes = ["s2.a.test", "s2.b.test"];
    for (verdict, read) in told(vec![entry("S2", "active")], &namesakes, "PV11") {
        assert_eq!(verdict, CannotTell, "{read}");
        for word in ["S2 (active)", "s2.a.test", "s2.b.test"] {
            assert!(read.contains(word), "{word}: {read}");
        }
    }
    // One that is not there fails.
    let found = told(vec![entry("s1.a.test", "active")], &both, "PV11");
    assert_eq!([found[0].0, found[1].0], [Pass, Fail], "{found:?}");
    let old = vec![
        entry("s1.a.test", "inactive"),
        entry("s1.a.test", "inactive"),
    ];
    assert_eq!(told(old, &["s1.a.test"], "PV11")[0].0, Fail);
}

/// RM08 where its entry is not clear: several of its own name are still there, one that could be another server's is not told.
#[test]
fn entries_of_a_server_that_has_no_agent_any_more_are_counted_and_none_is_taken_for_another_ones() {
    use Verdict::{CannotTell, Fail};
    let entry = |machine: &str| AgentSeen {
        machine: machine.to_owned(),
        status: "active".to_owned(),
    };
    let told = |agents: Vec<AgentSeen>, left: Option<ProvisioningAgentFacts>| {
        let mut known = known(&["s2.a.test", "s2.b.test"]);
        let gone = known.get_mut(&"s2.a.test".parse().unwrap()).unwrap();
        gone.facts = Some((NOW, common::facts(left, None)));
        let mut seen = sound();
        seen.agents = Part::Seen(agents);
        let found = held(&seen, &known, false, &BTreeSet::new());
        let own = found.into_iter().filter(|one| one.id == "RM08");
        own.map(|one| (one.verdict, one.read)).collect::<Vec<_>>()
    };
    let leftover = || {
        Some(ProvisioningAgentFacts {
            version: None,
            tenant: Some(id()),
            service: None,
            account: None,
            options: None,
            updater: None,
            owes_registration: None,
        })
    };
    let twice = || vec![entry("s2.a.test"), entry("s2.a.test")];
    for left in [None, leftover()] {
        let found = told(twice(), left);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].0 == Fail && found[0].1.contains("2 active"),
            "{found:?}"
        );
    }
    assert!(told(vec![entry("S2")], None).is_empty());
    assert!(told(vec![entry("S2"), entry("S2")], None).is_empty());
    let found = told(vec![entry("S2")], leftover());
    assert!(
        found.len() == 1 && found[0].0 == CannotTell && found[0].1.contains("s2.b.test"),
        "{found:?}"
    );
}

/// A server that says the same once more takes no answer away: a reading that is newer than its first word of it stands (RM08).
#[test]
fn facts_that_say_the_same_leave_what_the_tenant_showed_as_it_is() {
    let server: TargetId = "s2.a.test".parse().unwrap();
    let mut fleet = Fleet::new();
    fleet.apply(
        &common::enrolled(&server, SigningKey::generate().public()),
        None,
        NOW,
    );
    let mut count = 0;
    let mut says = |fleet: &mut Fleet, minute: u64, agent: bool, unread: bool| {
        count += 1;
        let at = NOW.plus(Duration::from_secs(60 * minute));
        let agent = agent.then(|| ProvisioningAgentFacts {
            version: Some(common::AGENT),
            tenant: Some(id()),
            service: Some(ServiceState::Running),
            account: Some("A\\provAgentgMSA$".to_owned()),
            options: None,
            updater: None,
            owes_registration: None,
        });
        let mut facts = common::facts(agent, None);
        if unread {
            facts.unread = vec!["Connect".to_owned()];
        }
        let event = Event::FactsReported(Box::new(facts));
        fleet.apply(&common::told(&server, count, at, &event), None, at);
    };
    let mut seen = sound();
    seen.at = NOW.plus(Duration::from_secs(60 * 5));
    let told = |fleet: &Fleet| {
        let found = held(&seen, fleet.known(), false, &BTreeSet::new());
        let own = found.into_iter().find(|one| one.id == "RM08");
        own.map(|one| one.verdict)
    };
    says(&mut fleet, 1, false, false);
    assert_eq!(told(&fleet), Some(Verdict::Fail));
    says(&mut fleet, 10, false, false);
    assert_eq!(told(&fleet), Some(Verdict::Fail), "it says the same");
    says(&mut fleet, 11, false, true);
    assert_eq!(told(&fleet), None, "nobody knows");
    says(&mut fleet, 12, false, false);
    assert_eq!(told(&fleet), Some(Verdict::Fail));
    // It had one again: what was seen before its end says nothing of the time after.
    says(&mut fleet, 13, true, false);
    says(&mut fleet, 14, false, false);
    assert_eq!(told(&fleet), Some(Verdict::CannotTell));
}
