//! A product that is watched: what it logged since its watch began counts, however late the look behind it comes.

use std::time::Duration;

use controller_core::record::Order;
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::step::Product;
use protocol::{TargetId, Timestamp, Version};
use rehearsal::{ROLLOUT, World};

use crate::common::{OLD, agent, facts, planned, target, topology};
use crate::course::{ask, until_watched};

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);
const BOTH: [Product; 2] = [Product::ProvisioningAgent, Product::Connect];

/// Two servers whose agents are upgraded, one behind the other, and watched for ten minutes each; or one whose Connect is, for half an hour.
fn estate(product: Product) -> World {
    let text = match product {
        Product::ProvisioningAgent => {
            "[agents.corp]\nserves = [\"corp.test\"]\nhosts = [\"s1.corp.test\", \"s2.corp.test\"]\n"
        }
        Product::Connect => {
            "[connect.main]\nforests = [\"corp.test\"]\nservers = [\"s1.corp.test\"]\n[connect.main.settings]\n"
        }
    };
    let policy = "soak = { cloud-sync = \"5 cycles\", connect = \"1 cycle\" }\nwaves = [{ rest = true }]\n[limit]\nfailures = \"5\"\nin_flight = 4\ncanary = 1\n";
    let (plan, known) = planned(&topology(text), policy, |_| match product {
        Product::ProvisioningAgent => facts(Some(agent(OLD)), None),
        Product::Connect => {
            let old = ConnectFacts {
                version: Some(Version::new(2, 5, 79, 0)),
                service: Some(ServiceState::Running),
                staging: Some(false),
                cycle_enabled: Some(true),
                suspended: Some(false),
            };
            facts(None, Some(old))
        }
    });
    World::new(&plan, &known, ask())
}

fn server() -> TargetId {
    target("s1.corp.test")
}

fn state(world: &World) -> (&'static str, String) {
    let work = &world.fleet.rollouts()[&ROLLOUT].work[&server()];
    (work.state.word(), format!("{:?}", work.state))
}

/// Why a look may come late, and when it is over.
#[derive(Debug, Clone, Copy)]
enum Late {
    /// It does not.
    Never,
    /// The server's administrator has frozen it.
    Frozen,
    /// The agent has no session.
    Away,
    /// The agent has none, is ended, and begins anew.
    Killed,
    /// An operator has paused the rollout.
    Paused,
    /// The whole fleet stands still.
    Still,
    /// The bundle of the look is offered and does not come through: its agent leaves in that moment.
    Unoffered,
}

impl Late {
    const ALL: [Self; 7] = [
        Self::Never,
        Self::Frozen,
        Self::Away,
        Self::Killed,
        Self::Paused,
        Self::Still,
        Self::Unoffered,
    ];

    fn begins(self, world: &mut World, over: Timestamp) {
        match self {
            Self::Never => {}
            Self::Frozen => world.freeze(&server(), Some(over)),
            Self::Away => world.leaves(&server()),
            Self::Killed => world.kill(&server()),
            Self::Paused => world.order(Order::Pause).expect("it runs"),
            Self::Still => world.stands_still(true).expect("it goes on"),
            Self::Unoffered => {
                while world.fleet.open(&server()).is_none() {
                    assert!(world.step(), "it is never offered");
                }
                world.leaves(&server());
            }
        }
    }

    fn ends(self, world: &mut World) {
        match self {
            Self::Never => {}
            Self::Frozen => world.freeze(&server(), None),
            Self::Away | Self::Killed | Self::Unoffered => world.arrives(&server()),
            Self::Paused => world
                .order(Order::Resume {
                    after_restore: false,
                })
                .expect("it is paused"),
            Self::Still => world.stands_still(false).expect("it stands still"),
        }
    }

    /// From the second minute of the watch on the look is kept waiting until `over`; then there is time for all that is left.
    fn keeps_waiting(self, world: &mut World, over: Duration) {
        let begun = world.now;
        world.run_until(begun.plus(MINUTE), |_| {});
        self.begins(world, begun.plus(over));
        world.run_until(begun.plus(over), |_| {});
        self.ends(world);
        world.run_until(begun.plus(over + DAY), |_| {});
    }
}

#[test]
fn an_error_of_the_first_minute_fails_the_target_however_late_the_look_comes() {
    for (product, late) in BOTH
        .into_iter()
        .flat_map(|one| Late::ALL.map(|late| (one, late)))
    {
        for over in [40 * MINUTE, 2 * DAY] {
            // What was offered and never came through ends after a day.
            if matches!(late, Late::Unoffered) && over > DAY {
                continue;
            }
            for (errs, wanted) in [(true, "failed"), (false, "done")] {
                let mut world = until_watched(estate(product), &server());
                world.run_until(world.now.plus(MINUTE), |_| {});
                if errs {
                    world.logs_error(&server());
                }
                late.keeps_waiting(&mut world, over);
                let (state, whole) = state(&world);
                assert_eq!(state, wanted, "{product:?} {late:?} {over:?}: {whole}");
            }
        }
    }
}

/// What its own installation logged, and what was before, warns.
#[test]
fn an_error_from_before_the_watch_fails_nothing_however_late_the_look_comes() {
    for (product, late) in BOTH
        .into_iter()
        .flat_map(|one| Late::ALL.map(|late| (one, late)))
    {
        let mut world = estate(product);
        world.logs_error(&server());
        let mut world = until_watched(world, &server());
        late.keeps_waiting(&mut world, 40 * MINUTE);
        let (state, whole) = state(&world);
        assert_eq!(state, "done", "{product:?} {late:?}: {whole}");
    }
}
