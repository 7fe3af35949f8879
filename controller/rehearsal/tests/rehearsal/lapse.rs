//! A server whose disk stalls with leave in its hand: the leave lapses, another server gets the place, and nothing is done by what has
//! lapsed.

use std::collections::BTreeMap;
use std::time::Duration;

use controller_core::fleet::{Fleet, PERMIT_LIFE};
use controller_core::record::Record;
use protocol::event::Event;
use protocol::{TargetId, Timestamp};
use rehearsal::{Ask, ROLLOUT, Rails, World};

use crate::common::{NOW, OLD, agent, facts, planned, target, topology};

const HOSTS: [&str; 2] = ["s1.corp.test", "s2.corp.test"];

/// What became of an upgrade of two servers, of which one must serve, where the first to get leave stalls for that long.
struct Story {
    world: World,
    first: TargetId,
    /// Who got leave, and when, in order.
    leaves: Vec<(Timestamp, TargetId)>,
    /// Who told that it entered, and left.
    entered: Vec<TargetId>,
    left: Vec<TargetId>,
    /// What the other one waited for when that leave had lapsed.
    waited: String,
}

fn stalls(time: Duration, seed: u64) -> Story {
    let text = "[agents.corp]\nserves = [\"corp.test\"]\nhosts = [\"s1.corp.test\", \"s2.corp.test\"]\n[domain.\"corp.test\"]\nmin_serving = 1\n";
    let policy = "[limit]\nfailures = \"5\"\nin_flight = 2\ncanary = 0\n";
    let old = |_: &TargetId| facts(Some(agent(OLD)), None);
    let (plan, known) = planned(&topology(text), policy, old);
    let ask = Ask {
        begin: NOW,
        person: Some(Duration::from_secs(600)),
        faults: BTreeMap::new(),
        seed,
    };
    let mut world = World::new(&plan, &known, ask);
    let both = HOSTS.map(target);
    let mut story = (
        None::<TargetId>,
        Vec::<(Timestamp, TargetId)>::new(),
        Vec::new(),
        Vec::new(),
    );
    let (mut fleet, mut rails, mut read) = (Fleet::new(), Rails::default(), 0);
    let mut waited = String::new();
    while world.step() && !world.is_over() {
        if let (Some((given, _)), Some(first)) = (story.1.first(), &story.0)
            && waited.is_empty()
            && world.now > given.plus(PERMIT_LIFE)
        {
            let other = both.iter().find(|one| *one != first).expect("two");
            let why = world.fleet.why(other, &world.live, world.now);
            waited = why.map_or_else(|| "nothing".to_owned(), |why| why.answer);
        }
        assert!(
            world.serving(&both) >= 1,
            "seed {seed}: both are out of service"
        );
        while let Some((at, record)) = world.log.get(read).cloned() {
            read += 1;
            rails.stored(&fleet, &record, at).expect("the rails hold");
            fleet.apply(&record, world.plan_of(&record), at);
            if let Record::PermitGiven {
                target, section, ..
            } = &record
                && section.outage
            {
                story.1.push((at, target.clone()));
                if story.0.is_none() {
                    story.0 = Some(target.clone());
                    world.stalls(target, time);
                }
            }
            let Record::TargetEvent { target, body, .. } = &record else {
                continue;
            };
            let event = Event::from_body(body.as_bytes());
            if let Some(Event::SectionEntered { section, .. }) = &event
                && section.outage
            {
                story.2.push(target.clone());
            } else if let Some(Event::SectionLeft { .. }) = event {
                story.3.push(target.clone());
            }
        }
    }
    let rollout = world.fleet.rollouts().get(&ROLLOUT).expect("it is there");
    for one in &both {
        let state = rollout.work.get(one).map(|work| work.state.word());
        assert_eq!(state, Some("done"), "seed {seed}: {one}");
        assert_eq!(world.changes(one).len(), 1, "{:?}", world.changes(one));
    }
    let (first, leaves, entered, left) = story;
    Story {
        world,
        first: first.expect("somebody gets leave"),
        leaves,
        entered,
        left,
        waited,
    }
}

#[test]
fn nobody_acts_on_leave_that_has_lapsed_while_its_disk_stalled() {
    for seed in 1..=20 {
        let story = stalls(PERMIT_LIFE + Duration::from_secs(5), seed);
        let (first, leaves) = (&story.first, &story.leaves);
        let second = &leaves[1].1;
        assert_ne!(
            second, first,
            "the place was given to the other one: {}",
            story.waited
        );
        assert!(leaves[1].0 >= leaves[0].0.plus(PERMIT_LIFE));
        assert_eq!(leaves[2].1, *first, "it asks again, and gets its leave");
        assert_eq!(leaves.len(), 3);
        let times = |of: &[TargetId]| of.iter().filter(|one| *one == first).count();
        assert_eq!((times(&story.entered), times(&story.left)), (2, 2));
        assert!(story.world.is_over());
    }
}

/// Where what was told of its entry could come too late it is not made use of either, though nobody had the place meanwhile.
#[test]
fn leave_is_good_for_half_of_the_time_that_its_place_is_kept() {
    for (time, leaves) in [(59, 2), (61, 3)] {
        let story = stalls(Duration::from_secs(time), 1);
        let own = story.leaves.iter().filter(|(_, of)| *of == story.first);
        assert_eq!((story.leaves.len(), own.count()), (leaves, leaves - 1));
    }
}
