//! What somebody set on a server by hand, and no topology names: it is taken along.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;
use std::time::Duration;

use agent_twin::Fault;
use controller_core::fleet::TargetState;
use protocol::{ServiceOptions, TargetId};
use rehearsal::{Ask, ROLLOUT, World};

use crate::common::{NOW, OLD, agent, facts, planned, target, topology};

const AGENTS: &str = "[agents.corp]\nserves = [\"corp.test\"]\nhosts = [\"s1.corp.test\"]\n[domain.\"corp.test\"]\nallow_outage = true\n";

fn server() -> TargetId {
    target("s1.corp.test")
}

/// The state of an upgrade of an agent, whose server reaches the cloud by no direct way, where its configuration file names that proxy.
fn upgraded(proxy: Option<&str>) -> TargetState {
    let options = ServiceOptions {
        proxy: proxy.map(|proxy| proxy.parse().unwrap()),
        ..ServiceOptions::default()
    };
    let (plan, known) = planned(&topology(AGENTS), "", |_| {
        let mut old = agent(OLD);
        old.options = Some(options.clone());
        facts(Some(old), None)
    });
    let ask = Ask {
        begin: NOW,
        person: Some(Duration::from_secs(600)),
        faults: BTreeMap::from([(server(), [Fault::CloudBlocked].into())]),
        seed: 1,
    };
    let mut world = World::new(&plan, &known, ask);
    world.run_until(world.now.plus(Duration::from_secs(7 * 86_400)), |_| {});
    world.fleet.rollouts()[&ROLLOUT].work[&server()]
        .state
        .clone()
}

/// The agent reaches the cloud through the proxy of its configuration file, and through nothing else: it is upgraded.
#[test]
fn an_agent_that_goes_through_a_proxy_of_its_own_is_upgraded_where_the_direct_way_is_closed() {
    let state = upgraded(Some("http://proxy.corp.test:8080"));
    assert!(matches!(state, TargetState::Done(_)), "{state:?}");
    // Without one it reaches nothing, and is left as it is.
    let TargetState::Failed { failure, .. } = upgraded(None) else {
        unreachable!("it reaches nothing")
    };
    let blocks = failure.findings.iter().any(|one| one.id == "PF26");
    assert!(blocks, "{failure:?}");
}
