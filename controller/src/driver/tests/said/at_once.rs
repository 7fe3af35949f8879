//! What sessions are told at once of what their agents tell themselves.

use super::*;

/// The abort went with the log, and its operator let the rollout go on. One of its agents tells that its run was aborted: whoever else is at
/// work in it hears that it stands still.
#[tokio::test]
async fn whoever_is_at_work_hears_that_its_rollout_is_held_again_since_a_restore() {
    let base = Base::new().await;
    let mut story = base.story().await;
    let [one, other] = ["s1.a.test", "t1.b.test"].map(name);
    for server in [&one, &other] {
        story.comes(server, facts(None));
    }
    let text = "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n[agents.b]\nserves = [\"b.test\"]\nhosts = [\"t1.b.test\"]\n";
    let plan = store(&mut story, &topology(text), |inputs| Ok(plan(inputs)));
    apply(&mut story, plan, None);
    story.goes_on();
    story.is_given_work(&other);
    let made = story.batch.now;
    story.take(Record::Restored {
        epoch: Epoch(1),
        parent: Epoch(1),
        made,
        by: "root".to_owned(),
    });
    let knowing = Order::Resume {
        after_restore: true,
    };
    let (core, batch) = (&mut story.core, &mut story.batch);
    core.order(batch, FIRST, knowing, "root").unwrap();
    batch.words.clear();

    let ended = Event::RunFinished {
        generation: story.generation(&one),
        ending: Ending::Aborted,
        receipt: String::new(),
    };
    story.journals(&one, ended);
    let rollout = &story.core.fleet.rollouts()[&FIRST];
    assert_eq!(rollout.state, controller_core::fleet::RolloutState::Paused);
    let held = (other, ControlDown::Pause { rollout: FIRST });
    assert_eq!(
        story.batch.words,
        [held],
        "the one that has ended is told nothing"
    );

    // What is told of a rollout that stood still before says nothing new.
    story.batch.words.clear();
    story.journals(&one, Event::Thawed);
    assert_eq!(story.batch.words, []);
}
