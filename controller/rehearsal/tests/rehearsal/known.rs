//! What a server's own facts say is wrong with it is so on its model.

use std::collections::BTreeMap;
use std::time::Duration;

use controller_core::plan::Plan;
use protocol::TargetId;
use protocol::facts::Facts;
use rehearsal::{Ask, rehearse};

use crate::common::{NOW, OLD, agent, facts, planned, target, topology};

const POLICY: &str = "[limit]\nfailures = \"5\"\nin_flight = 4\ncanary = 0\n";

/// What is left of each server, in words; nothing where everything is done.
fn left(plan: &Plan, known: &controller_core::facts::Fleetwide) -> BTreeMap<TargetId, String> {
    let ask = Ask {
        begin: NOW,
        person: Some(Duration::from_secs(600)),
        faults: BTreeMap::new(),
        seed: 1,
    };
    let course = rehearse(plan, known, &ask, 1).course;
    let left = course.left.into_iter();
    left.map(|left| (left.target, format!("{}: {}", left.state, left.why)))
        .collect()
}

#[test]
fn a_server_that_waits_for_a_restart_is_held_in_a_rehearsal_as_it_would_be() {
    const TOPOLOGY: &str = "[agents.corp]\nserves = [\"corp.test\"]\nhosts = [\"s1.corp.test\", \"s2.corp.test\", \"s3.corp.test\"]\n";
    let waiting = target("s2.corp.test");
    let host = |restart: bool| {
        let waiting = waiting.clone();
        move |server: &TargetId| {
            let mut facts: Facts = facts(Some(agent(OLD)), None);
            facts.host.reboot_pending = restart && *server == waiting;
            facts
        }
    };
    let (plan, known) = planned(&topology(TOPOLOGY), POLICY, host(false));
    assert_eq!(left(&plan, &known), BTreeMap::new());
    let (plan, known) = planned(&topology(TOPOLOGY), POLICY, host(true));
    let left = left(&plan, &known);
    assert_eq!(left.keys().collect::<Vec<_>>(), [&waiting], "{left:?}");
    assert!(left[&waiting].contains("PF19"), "{left:?}");
}
