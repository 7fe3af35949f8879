//! Which servers a person who signed in was shown, and somebody handed in: told as that, beside what agents read, and asked by G1.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::time::Duration;

use controller_core::answered::accept;
use controller_core::beyond::{Beyond, DirectorySeen, Named, Standing};
use controller_core::facts::Fleetwide;
use controller_core::fleet::Fleet;
use controller_core::readiness::COUNTS;
use controller_core::record::Record;
use protocol::answers::{DirectoryAnswers, ServersShown};
use protocol::event::{DiscoveredServer, Event, Finding, Owner, Severity, Verdict};
use protocol::step::Product;
use protocol::{DomainName, Generation, StepIndex, TargetId, TenantId, Timestamp};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const UNREAD: &str = "accounts of Connect: 0 of them are shown";

fn domain() -> DomainName {
    "a.test".parse().unwrap()
}

fn connect(name: &str) -> DiscoveredServer {
    DiscoveredServer {
        name: name.to_owned(),
        product: Product::Connect,
        source: "the description of MSOL_1".to_owned(),
    }
}

fn shown(at: Timestamp, named: &[&str], unread: &[&str]) -> DirectoryAnswers {
    DirectoryAnswers {
        format: 1,
        domain: domain(),
        at,
        asked_as: "A\\dominic".to_owned(),
        gmsa: None,
        agent_version: "0".to_owned(),
        answers: Vec::new(),
        servers: Some(ServersShown {
            named: named.iter().map(|name| connect(name)).collect(),
            unread: unread.iter().map(|why| (*why).to_owned()).collect(),
        }),
    }
}

fn hands_in(fleet: &mut Fleet, answers: DirectoryAnswers) {
    let record = Record::DirectoryAnswered {
        answers: Box::new(answers),
        by: "anna".to_owned(),
    };
    fleet.apply(&record, None, NOW);
}

/// What an agent read of the same domain.
fn reads(fleet: &mut Fleet, named: &[&str]) {
    let event = Event::Discovered {
        generation: Generation(1),
        step: StepIndex(0),
        domain: domain(),
        servers: named.iter().map(|name| connect(name)).collect(),
        unread: vec![UNREAD.to_owned(), "domain b: no answer".to_owned()],
    };
    let server: TargetId = "s1.a.test".parse().unwrap();
    let told = common::told(&server, 1, NOW, &event);
    fleet.apply(&told, None, NOW);
}

/// Connect servers that stand against another one, where `known` is the tenant's own.
fn strange(beyond: &Beyond, known: &str) -> Vec<(String, String)> {
    let tenant: TenantId = "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap();
    let known: TargetId = known.parse().unwrap();
    beyond.strange_connect(&tenant, &[domain()], &[&known], &Fleetwide::default())
}

fn rows(beyond: &Beyond) -> Vec<Named> {
    beyond.named(&[], |_| false)
}

#[test]
fn a_server_that_a_person_was_shown_is_named_as_that_and_asked_by_g1() {
    let mut fleet = Fleet::new();
    assert!(strange(fleet.beyond(), "c1.a.test").is_empty());
    hands_in(&mut fleet, shown(NOW, &["OLD-99", "C1"], &[]));
    let found = strange(fleet.beyond(), "c1.a.test");
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "OLD-99");
    assert_eq!(
        found[0].1,
        format!(
            "the description of MSOL_1 in a.test, attested by anna, read as A\\dominic at {NOW}, probed by no agent"
        )
    );
    let rows = rows(fleet.beyond());
    let row = rows.iter().find(|row| row.name == "old-99").unwrap();
    assert_eq!(row.state, Standing::Unknown);
    assert!(
        row.named_by[0]
            .starts_with("Connect Sync: the description of MSOL_1 in a.test, attested by anna")
    );
    // Another forest's servers are not its matter.
    let tenant: TenantId = "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap();
    let other: DomainName = "b.test".parse().unwrap();
    let of_other = fleet
        .beyond()
        .strange_connect(&tenant, &[other], &[], &Fleetwide::default());
    assert!(of_other.is_empty(), "{of_other:?}");
}

#[test]
fn what_an_agent_read_is_said_once_and_by_its_probe() {
    let mut fleet = Fleet::new();
    hands_in(&mut fleet, shown(NOW, &["OLD-99"], &[]));
    reads(&mut fleet, &["OLD-99"]);
    let found = strange(fleet.beyond(), "c1.a.test");
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(!found[0].1.contains("attested"), "{found:?}");
    assert_eq!(rows(fleet.beyond())[0].named_by.len(), 1);
    // An agent whose account is shown less takes nothing away.
    reads(&mut fleet, &[]);
    assert!(
        strange(fleet.beyond(), "c1.a.test")[0]
            .1
            .contains("attested")
    );
}

#[test]
fn a_later_file_of_an_account_that_reads_less_takes_no_server_away() {
    let mut fleet = Fleet::new();
    hands_in(&mut fleet, shown(NOW, &["OLD-99"], &[]));
    let later = NOW.plus(Duration::from_secs(60));
    hands_in(&mut fleet, shown(later, &["OTHER-1"], &[UNREAD]));
    let found = strange(fleet.beyond(), "c1.a.test");
    let mut names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["OLD-99", "OTHER-1"]);
    // One that was shown all of it does.
    let last = later.plus(Duration::from_secs(60));
    hands_in(&mut fleet, shown(last, &["OTHER-1"], &[]));
    let found = strange(fleet.beyond(), "c1.a.test");
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_server_stays_named_until_somebody_looks_again() {
    let mut fleet = Fleet::new();
    hands_in(&mut fleet, shown(NOW, &["OLD-99"], &[]));
    let earlier = NOW.minus(Duration::from_secs(60));
    hands_in(&mut fleet, shown(earlier, &[], &[]));
    assert_eq!(strange(fleet.beyond(), "c1.a.test").len(), 1);
    hands_in(
        &mut fleet,
        shown(NOW.plus(Duration::from_secs(1)), &[], &[]),
    );
    assert!(strange(fleet.beyond(), "c1.a.test").is_empty());
}

#[test]
fn what_agents_could_not_read_is_answered_beside_it_for_a_day_and_no_probe() {
    let mut fleet = Fleet::new();
    reads(&mut fleet, &[]);
    hands_in(&mut fleet, shown(NOW, &[], &["domain b: no answer"]));
    let words = |at| fleet.beyond().unread_directories(at);
    let said = words(NOW);
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(
        said[0],
        format!(
            "a.test: {UNREAD}; answered beside it: attested by anna, read as A\\dominic at {NOW}, probed by no agent"
        )
    );
    // Who signed in could not read that one either.
    assert_eq!(said[1], "a.test: domain b: no answer");
    assert_eq!(
        said[2],
        "a.test, as A\\dominic was shown it: domain b: no answer"
    );
    let later = words(NOW.plus(COUNTS).plus(Duration::from_millis(1)));
    assert_eq!(later[0], format!("a.test: {UNREAD}"));
}

#[test]
fn a_file_of_servers_alone_is_taken_and_takes_no_answer_away() {
    assert_eq!(accept(&shown(NOW, &["OLD-99"], &["more"]), NOW), Ok(()));
    assert_eq!(accept(&shown(NOW, &[], &[]), NOW), Ok(()));
    let nothing = accept(&shown(NOW, &[], &["all of it"]), NOW);
    assert!(nothing.unwrap_err().contains("answers nothing"));
    let mut forged = shown(NOW, &["OLD-99"], &[]);
    forged.servers.as_mut().unwrap().named[0].source = "a\nknown".to_owned();
    assert!(accept(&forged, NOW).unwrap_err().contains("one line"));
    let long = "x".repeat(300);
    let long = accept(&shown(NOW, &[&long], &[]), NOW);
    assert!(long.unwrap_err().contains("more than 256 characters"));

    let mut fleet = Fleet::new();
    let told = Finding {
        id: "PF49".to_owned(),
        what: "KDS root key".to_owned(),
        read: "one".to_owned(),
        wanted: "one".to_owned(),
        verdict: Verdict::Pass,
        severity: Severity::Warn,
        fix: String::new(),
        owner: Owner::Directory,
    };
    let answered = DirectoryAnswers {
        answers: vec![told],
        servers: None,
        ..shown(NOW, &[], &[])
    };
    hands_in(&mut fleet, answered);
    hands_in(
        &mut fleet,
        shown(NOW.plus(Duration::from_secs(1)), &["OLD-99"], &[]),
    );
    assert_eq!(fleet.answers().len(), 1, "{:?}", fleet.answers());
    let seen: &DirectorySeen = &DirectorySeen {
        at: NOW,
        by: "s1.a.test".parse().unwrap(),
        servers: Vec::new(),
        unread: Vec::new(),
        earlier: Vec::new(),
    };
    assert!(fleet.beyond().directories.values().all(|own| own == seen));
}
