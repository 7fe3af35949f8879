//! Work for a domain's administrator: opened by the probes that stopped a server, told with who does it and what prints it, and ended by
//! probes alone.

use std::rc::Rc;
use std::time::Duration;

use controller_core::fleet::{DirectoryWork, TaskWork};
use controller_core::plan::Purpose;
use controller_core::record::{Order, Record};
use protocol::RolloutId;
use protocol::event::{Finding, Owner, Severity, Verdict};
use protocol::signed::Ending;

use crate::readiness::{World, bundle, finding, passes};

fn of(id: &str, what: &str, verdict: Verdict) -> Finding {
    Finding {
        what: what.to_owned(),
        owner: Owner::Directory,
        ..finding(id, verdict, Severity::Block)
    }
}

/// One run of an installation, later than all before, which ends by what blocks it.
fn installs(world: &mut World, number: u32, findings: Vec<Finding>) {
    world.now = world.now.plus(Duration::from_secs(60));
    let ending = if findings.iter().any(Finding::blocks) {
        Ending::Failed("a finding blocks".to_owned())
    } else {
        Ending::Completed
    };
    let key = Rc::clone(&world.key);
    let of = (Purpose::Install, number);
    world.runs(of, (findings, ending), (&key, bundle(number)));
}

fn asks(world: &mut World, number: u32, findings: Vec<Finding>) {
    world.now = world.now.plus(Duration::from_secs(60));
    world.preflight(number, findings);
}

fn orders(world: &mut World, rollout: u32, order: Order) {
    let record = Record::Ordered {
        rollout: RolloutId(rollout),
        order,
        by: "anna".to_owned(),
    };
    world.take(&record, None);
}

fn open(world: &World) -> Vec<(RolloutId, DirectoryWork)> {
    let tasks = world.fleet.tasks(world.now).into_iter();
    let theirs = tasks.filter_map(|task| match task.work {
        TaskWork::InDirectory(theirs) => Some((task.rollout, *theirs)),
        TaskWork::AtServer(_) | TaskWork::GiveSecret(_) | TaskWork::Answer(_) => None,
    });
    theirs.collect()
}

const READER: &str = "the gMSA names this server";

#[test]
fn what_stops_a_server_and_its_directory_must_mend_is_work_for_its_administrator() {
    let mut world = World::new();
    let key = of("PF49", "KDS root key (b.test)", Verdict::Fail);
    let reader = of("PF50", READER, Verdict::Fail);
    let rights = of("PF54", "rights of replication (a.test)", Verdict::Fail);
    // What passes, what only warns and what is another's to mend is none.
    let warns = Finding {
        severity: Severity::Warn,
        ..of("PF59", "recycle bin (a.test)", Verdict::Fail)
    };
    let own = finding("PF07", Verdict::Fail, Severity::Block);
    let all = vec![passes(), key, reader, rights, warns, own];
    installs(&mut world, 1, all);
    let tasks = open(&world);
    assert_eq!(tasks.len(), 2, "one of each domain: {tasks:?}");
    let (rollout, own) = &tasks[0];
    assert_eq!((*rollout, own.domain.as_str()), (RolloutId(1), "a.test"));
    assert_eq!(own.who(), "the administrator of a.test (ad@a.test)");
    assert_eq!(own.parts, [2, 3]);
    let prints = own.prints().unwrap();
    assert!(
        prints.starts_with("entrain handover a.test TOPOLOGY prints")
            && prints.contains("parts 2, 3"),
        "{prints}"
    );
    assert_eq!(own.does.len(), 2, "{own:?}");
    assert_eq!(
        own.does[0],
        format!("PF50, {READER}: 2 GB (wanted: 4 GB): give it more")
    );
    let ends = own.ends(*rollout, &world.server);
    assert!(ends.contains("entrain retry r1 s1.a.test"), "{ends}");
    let other = &tasks[1].1;
    assert_eq!(other.who(), "the administrator of b.test");
    assert_eq!(other.parts, [1]);
    let prints = other.prints().unwrap();
    assert!(prints.contains("(part 1)"), "{prints}");
    // What no part of the handover mends is told all the same.
    let mut world = World::new();
    installs(
        &mut world,
        1,
        vec![of("PF46", "schema of the forest (a.test)", Verdict::Fail)],
    );
    let tasks = open(&world);
    assert_eq!((tasks[0].1.prints(), tasks[0].1.does.len()), (None, 1));
}

#[test]
fn probes_end_it_whoever_asks_them() {
    let reader = |verdict| of("PF50", READER, verdict);
    let mut world = World::new();
    installs(&mut world, 1, vec![passes(), reader(Verdict::Fail)]);
    assert_eq!(open(&world).len(), 1);
    // Another question says nothing of it.
    asks(
        &mut world,
        2,
        vec![passes(), of("PF50", "another", Verdict::Pass)],
    );
    assert_eq!(open(&world).len(), 1);
    // A preflight that is still stopped is where it stands by then, and is told once.
    asks(&mut world, 3, vec![reader(Verdict::Fail)]);
    let tasks = open(&world);
    assert_eq!(tasks.len(), 1, "{tasks:?}");
    assert_eq!((tasks[0].0, tasks[0].1.only_asked), (RolloutId(3), true));
    let ends = tasks[0].1.ends(tasks[0].0, &world.server);
    assert!(
        ends.contains("entrain preflight --server s1.a.test") && !ends.contains("retry"),
        "{ends}"
    );
    asks(&mut world, 4, vec![passes(), reader(Verdict::Pass)]);
    assert_eq!(open(&world), []);
    // It may be lost again.
    asks(&mut world, 5, vec![reader(Verdict::Fail)]);
    assert_eq!(open(&world).len(), 1);
    installs(&mut world, 6, vec![passes(), reader(Verdict::Pass)]);
    assert_eq!(open(&world), []);
}

#[test]
fn a_preflight_ends_what_a_verification_was_stopped_by() {
    let rights = "rights of replication (a.test)";
    let mut world = World::new();
    installs(&mut world, 1, vec![of("PV18", rights, Verdict::Fail)]);
    assert_eq!(open(&world)[0].1.parts, [3]);
    asks(&mut world, 2, vec![of("PF54", rights, Verdict::Pass)]);
    assert_eq!(open(&world), []);
}

#[test]
fn nobody_waits_for_it_any_more_where_the_work_was_given_up() {
    let reader = || vec![of("PF50", READER, Verdict::Fail)];
    let server = World::new().server;
    let skip = Order::Skip {
        target: server.clone(),
        reason: "another month".to_owned(),
    };
    for order in [Order::Abort, skip] {
        let mut world = World::new();
        installs(&mut world, 1, reader());
        assert_eq!(open(&world).len(), 1);
        orders(&mut world, 1, order.clone());
        assert_eq!(open(&world), [], "{order:?}");
    }
    // A retry has it asked anew.
    let mut world = World::new();
    installs(&mut world, 1, reader());
    orders(
        &mut world,
        1,
        Order::Retry {
            target: Some(server),
        },
    );
    assert_eq!(open(&world), []);
}
