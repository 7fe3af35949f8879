//! The limit of a site of a rollout that runs: more or fewer than its policy said, and where that said nothing.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::fleet::{Cause, Fleet};
use controller_core::record::{Order, Record};
use protocol::TargetId;

use crate::turns::{ID, World};

fn limit(site: &str, in_flight: u32) -> Order {
    let site = site.to_owned();
    Order::SiteLimit { site, in_flight }
}

impl World {
    fn may_limit(&self, site: &str, in_flight: u32) -> Result<(), String> {
        let order = limit(site, in_flight);
        self.fleet.may_order(ID, &order, &self.live, self.now)
    }

    fn limits_site(&mut self, in_flight: u32) {
        assert_eq!(self.may_limit("ams", in_flight), Ok(()));
        let record = Record::Ordered {
            rollout: ID,
            order: limit("ams", in_flight),
            by: "root".to_owned(),
        };
        // As the log has it.
        let written = serde_json::to_vec(&record).unwrap();
        let record: Record = serde_json::from_slice(&written).unwrap();
        self.fleet.apply(&record, None, self.now);
    }
}

fn at_site(all: &[TargetId]) -> Vec<TargetId> {
    let at = |target: &&TargetId| target.as_str().ends_with("a.test");
    all.iter().filter(at).cloned().collect()
}

#[test]
fn a_site_takes_as_many_as_its_limit_says_since_it_was_changed() {
    let mut world = World::new("[site.ams]\nmax_in_flight = 1\n");
    let first = at_site(&world.issues());
    assert_eq!(first.len(), 1);
    world.limits_site(3);
    let more = world.issues();
    assert_eq!((more.len(), at_site(&more).len()), (2, 2));
    // Fewer than are under way: nobody is ended, and nobody begins until there is room.
    world.limits_site(2);
    let last = ["s1", "s2", "s3", "s4"].map(|host| format!("{host}.a.test"));
    let last = last.iter().find(|name| {
        let begun = first.iter().chain(&more);
        !begun.into_iter().any(|target| target.as_str() == *name)
    });
    let last = last.expect("one has not begun");
    assert_eq!(world.holds(last), Some(Cause::SiteFull));
    world.is_done(&first[0]);
    assert_eq!(
        world.holds(last),
        Some(Cause::SiteFull),
        "two are under way"
    );
    assert!(world.issues().is_empty());
    world.limits_site(3);
    assert_eq!(world.issues().len(), 1);
}

/// A policy that says nothing of a site gives it no times either.
#[test]
fn a_site_without_a_limit_gets_one_and_stays_open_at_any_time() {
    let mut world = World::new("");
    world.limits_site(2);
    let first = world.issues();
    assert_eq!((first.len(), at_site(&first).len()), (4, 2));
    world.is_done(&at_site(&first)[0]);
    let begun = |fleet: &Fleet| {
        fleet.rollouts()[&ID]
            .work
            .values()
            .filter(|work| work.state.word() != "pending")
            .count()
    };
    assert_eq!(begun(&world.fleet), 5);
}

#[test]
fn the_limit_of_a_site_at_which_it_has_no_work_and_one_of_nothing_are_no_order() {
    let world = World::new("[site.ams]\nmax_in_flight = 1\n");
    let unknown = world.may_limit("amsterdam", 2).unwrap_err();
    assert!(unknown.contains("its servers are at ams"), "{unknown}");
    let zero = world.may_limit("ams", 0).unwrap_err();
    assert!(zero.starts_with("a limit of 0"), "{zero}");
}
