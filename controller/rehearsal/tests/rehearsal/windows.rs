//! Sites have windows, frozen dates and limits of their own: whole courses in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::calendar::SiteRule;
use controller_core::facts::Fleetwide;
use controller_core::fleet::{Cause, Unaccepted, Work};
use controller_core::plan::Plan;
use protocol::{Generation, TargetId, Timestamp};
use rehearsal::{Ask, ROLLOUT, World, rehearse, render};

use crate::common::{NOW, OLD, agent, facts, planned, target, topology};

const TOPOLOGY: &str = r#"
[site.ams]
zone = "Europe/Amsterdam"
[site.lon]
[agents.ams]
site = "ams"
serves = ["ams.test"]
hosts = ["s1.ams.test", "s2.ams.test", "s3.ams.test"]
[agents.lon]
site = "lon"
serves = ["lon.test"]
hosts = ["s1.lon.test", "s2.lon.test", "s3.lon.test"]
"#;

const LIMIT: &str = "[limit]\nfailures = \"6\"\nin_flight = 6\ncanary = 0\n";

fn ask() -> Ask {
    Ask {
        begin: NOW,
        person: Some(Duration::from_secs(600)),
        faults: BTreeMap::new(),
        seed: 1,
    }
}

/// The servers of one site are upgraded, those of the other are new.
fn estate(sites: &str) -> (Plan, Fleetwide) {
    planned(
        &topology(TOPOLOGY),
        &format!("{LIMIT}{sites}"),
        |server: &TargetId| {
            let old = server.as_str().ends_with("ams.test");
            facts(old.then(|| agent(OLD)), None)
        },
    )
}

fn is_open(rule: &SiteRule, world: &World) -> bool {
    rule.closed(world.now).is_none()
}

/// All of it, night by night: nobody has to do anything, a bundle outlives as many openings as it needs.
fn nights_of(mut world: World, rule: &SiteRule, of_ams: &[TargetId]) {
    let (mut inside, mut nights) = (BTreeSet::new(), BTreeSet::new());
    let mut offered = BTreeSet::new();
    world.run_until(NOW.plus(Duration::from_secs(50 * 86_400)), |world| {
        let work = &world.fleet.rollouts()[&ROLLOUT].work;
        for server in of_ams {
            if !work[server].is_untouched() && offered.insert(server.clone()) {
                assert!(
                    is_open(rule, world),
                    "{server} was offered its work at {}",
                    world.now
                );
            }
            let is_inside = world.inside(server).is_some();
            if is_inside && inside.insert(server.clone()) {
                assert!(
                    is_open(rule, world),
                    "{server} began its outage at {}",
                    world.now
                );
                nights.insert(world.now.as_millis() / 86_400_000);
            }
        }
    });
    for (target, work) in &world.fleet.rollouts()[&ROLLOUT].work {
        assert_eq!(work.state.word(), "done", "{target}: {:?}", work.state);
    }
    assert_eq!(inside.len(), 3);
    assert!(nights.len() > 1, "one night was not enough: {nights:?}");
}

/// Monday afternoon. The window is shorter than the upgrades of a site, which follow each other (G2): what does not fit
/// into one night waits for the next, and nothing is offered and no outage begins outside of it.
#[test]
fn nothing_begins_at_a_site_outside_of_its_window() {
    let sites = "[site.ams]\nwindow = { days = [\"Sat\"], from = \"22:00\", to = \"22:02\" }\nfreeze = [\"2026-10-01/2026-10-09\"]\n";
    let (plan, known) = estate(sites);
    let rule = plan.sites["ams"].clone();
    let of_ams: Vec<TargetId> = plan
        .targets
        .keys()
        .filter(|one| one.as_str().ends_with("ams.test"))
        .cloned()
        .collect();
    let world = World::new(&plan, &known, ask());
    let held = world
        .fleet
        .hold(ROLLOUT, &of_ams[0], &world.live, world.now);
    let held = held.expect("it is held");
    assert!(held.in_turn);
    assert_eq!(
        held.why,
        "site ams: its window is Sat 22:00 to 22:02, Europe/Amsterdam; it opens at Sat 2026-09-26 22:00"
    );
    for seed in 1..=20 {
        let ask = Ask { seed, ..ask() };
        nights_of(World::new(&plan, &known, ask), &rule, &of_ams);
    }
    // The other site has no window, and waited for nobody.
    let course = rehearse(&plan, &known, &ask(), 1).course;
    assert_eq!(course.left, []);
    assert!(course.seconds > 5 * 86_400);
    // And says for what it took days: for the window, and for how many servers.
    let longest = &course.waited[0];
    assert_eq!(
        (longest.cause, longest.servers),
        (Cause::SiteClosed, of_ams.len())
    );
    assert!(longest.seconds > 4 * 86_400 && longest.seconds <= course.seconds);
    let rehearsal = rehearse(&plan, &known, &ask(), 1);
    let said = render(&rehearsal, &plan);
    let line = format!(
        "{} servers, for: {}",
        of_ams.len(),
        Cause::SiteClosed.lifted_by()
    );
    assert!(said.contains(&line), "{said}");
}

#[test]
fn a_site_has_no_more_under_way_than_it_may() {
    let (plan, known) = estate("[site.lon]\nmax_in_flight = 1\n[site.ams]\nmax_in_flight = 2\n");
    let mut world = World::new(&plan, &known, ask());
    let mut most: BTreeMap<&str, usize> = BTreeMap::new();
    let under_way = |work: &Work| !work.state.is_terminal() && !work.is_untouched();
    world.run_until(NOW.plus(Duration::from_secs(20 * 86_400)), |world| {
        for site in ["ams", "lon"] {
            let of = |one: &TargetId| plan.targets[one].site.as_deref() == Some(site);
            let work = world.fleet.rollouts()[&ROLLOUT].work.iter();
            let now = work
                .filter(|(one, work)| of(one) && under_way(work))
                .count();
            let most = most.entry(site).or_default();
            *most = now.max(*most);
        }
    });
    assert!(world.is_over());
    assert_eq!(most, BTreeMap::from([("ams", 2), ("lon", 1)]));
}

#[test]
fn the_plan_and_the_rehearsal_say_what_holds_at_a_site() {
    let sites = "[site.ams]\nwindow = { days = [\"Sat\", \"Sun\"], from = \"22:00\", to = \"04:00\" }\nfreeze = [\"2026-12-15/2027-01-04\"]\nmax_in_flight = 2\n";
    let (plan, known) = estate(sites);
    let said = controller_core::plan::render(&plan);
    let line = "site ams: begins Sat Sun 22:00 to 04:00, Europe/Amsterdam; not on 2026-12-15/2027-01-04; at most 2 at once";
    assert!(said.contains(line), "{said}");
    let rehearsal = rehearse(&plan, &known, &ask(), 1);
    assert!(render(&rehearsal, &plan).contains("everything would be done"));
    assert_eq!(
        plan.targets[&target("s1.lon.test")].site.as_deref(),
        Some("lon")
    );
}

/// The line is cut before an offer is accepted, and the window is over when the server is back.
#[test]
fn what_was_not_accepted_when_a_site_closed_is_withdrawn() {
    let sites = "[site.ams]\nwindow = { days = [\"Sat\"], from = \"22:00\", to = \"22:02\" }\n";
    let (plan, known) = estate(sites);
    let mut world = World::new(&plan, &known, ask());
    let server = target("s1.ams.test");
    let opens = plan.sites["ams"]
        .closed(NOW)
        .expect("it is closed")
        .opens
        .expect("it opens");
    world.run_until(Timestamp::from_millis(opens.as_millis() - 1), |_| {});
    let opened = opens.plus(Duration::from_secs(1));
    let fleet = |world: &World, now| {
        world
            .fleet
            .unaccepted(&server, Generation(0), &world.live, now)
    };
    let mut offered = None;
    world.run_until(opened, |world| {
        if offered.is_none() {
            let late = opened.plus(Duration::from_secs(3600));
            offered = fleet(world, world.now).map(|now| (now, fleet(world, late)));
        }
    });
    let (now, late) = offered.expect("it was offered, and not accepted yet");
    assert!(matches!(now, Unaccepted::Offer(_)), "{now:?}");
    assert!(matches!(late, Some(Unaccepted::Withdraw(_))), "{late:?}");
}
