//! What goes on around whoever stands still, what does not, and the words for both.

use std::time::Duration;

use controller_core::doubt::Doubt;
use controller_core::fleet::{Lifter, Lifts, TargetState, UNREACHABLE_AFTER};
use controller_core::plan::Purpose;
use controller_core::record::{Order, Record};
use protocol::event::Event;
use protocol::secret::SecretKind;
use protocol::signed::Ending;
use protocol::step::{AddDomains, SignIn, Step};
use protocol::task::TaskText;
use protocol::{Attempt, Generation, StepIndex};

use crate::estate::{DAY, NOW, WIDE, World, id, name};

const S1: &str = "s1.a.test";
const S2: &str = "s2.a.test";
const T1: &str = "t1.b.test";

/// One domain after the other, each with a canary.
const IN_WAVES: &str = "waves = [{ domains = [\"a.test\"] }, { rest = true }]\n[limit]\nfailures = \"20\"\nin_flight = 20\ncanary = 1\n";

/// Whatever another rollout has open there.
#[test]
fn an_abort_ends_also_what_another_rollout_looks_at() {
    let mut world = World::upgrading(IN_WAVES);
    world.applies(2, Purpose::Verify, WIDE, &[S2, T1]);
    world.issues();
    assert_eq!(
        world.fleet.open(&name(S2)).map(|open| open.rollout),
        Some(id(2))
    );
    world.order(1, Order::Abort).expect("it may be aborted");
    assert_eq!(
        [S2, T1].map(|one| world.word(1, one)),
        ["aborted", "aborted"]
    );
    world.accepts(S1);
    world.finishes(S1, Ending::Aborted);
    assert!(world.fleet.rollouts()[&id(1)].is_over());
    // The other one goes on.
    world.is_done(2, S2);
}
