//! Leave that was given keeps others out for as long as its agent may make use of it, whatever is done to the wall clock.

use controller_core::fleet::PERMIT_LIFE;
use protocol::event::{GmsaObject, Section};

use super::*;

const ONE: &str = "s1.a.test";
const OTHER: &str = "t1.b.test";

/// Two servers whose bundles are open, and that change one gMSA.
async fn two(base: &Base) -> Story {
    let mut story = base.story().await;
    for server in [ONE, OTHER] {
        story.comes(&name(server), facts(None));
    }
    let text = "[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n[agents.b]\nserves = [\"b.test\"]\nhosts = [\"t1.b.test\"]\n";
    let plan = store(&mut story, &topology(text), |inputs| Ok(plan(inputs)));
    apply(&mut story, plan, None);
    story.goes_on();
    story.is_given_work(&name(OTHER));
    story.batch.words.clear();
    story
}

/// Who gets leave now.
fn gets(story: &mut Story) -> Vec<TargetId> {
    story.core.decide(&mut story.batch);
    let said = std::mem::take(&mut story.batch.words).into_iter();
    let leave = said.filter(|(_, word)| matches!(word, ControlDown::PermitGiven { .. }));
    leave.map(|(target, _)| target).collect()
}

fn asks(story: &mut Story, server: &str) {
    let generation = story.generation(&name(server));
    let section = Section {
        outage: false,
        gmsa: Some(GmsaObject {
            domain: "a.test".parse().unwrap(),
            name: None,
        }),
    };
    let (core, attempt) = (&mut story.core, Attempt(1));
    core.permit_asked(&name(server), generation, STEP, attempt, section);
}

#[tokio::test]
async fn leave_lapses_once_both_clocks_say_so() {
    const MINUTE: Duration = Duration::from_secs(60);
    const LATE: Duration = Duration::from_millis(1);
    let base = Base::new().await;

    // Set ahead, or gone on while this process stood.
    let mut story = two(&base).await;
    asks(&mut story, ONE);
    assert_eq!(gets(&mut story), [name(ONE)]);
    let (given, begun) = (story.batch.now, story.batch.begun);
    story.batch.now = given.plus(MINUTE * 3);
    asks(&mut story, OTHER);
    story.core.fade(begun);
    assert_eq!(
        gets(&mut story),
        [],
        "the first one may make use of its own"
    );
    assert_eq!(story.core.leave_lapses(), Some(begun + PERMIT_LIFE + LATE));
    story.core.fade(begun + PERMIT_LIFE);
    assert_eq!(gets(&mut story), []);
    story.core.fade(begun + PERMIT_LIFE + LATE);
    assert_eq!(gets(&mut story), [name(OTHER)]);

    // Set back.
    let mut story = two(&base).await;
    asks(&mut story, ONE);
    assert_eq!(gets(&mut story), [name(ONE)]);
    let (given, begun) = (story.batch.now, story.batch.begun);
    story.core.fade(begun + PERMIT_LIFE + LATE);
    asks(&mut story, OTHER);
    assert_eq!(gets(&mut story), []);
    story.batch.now = given.plus(PERMIT_LIFE);
    assert_eq!(gets(&mut story), [name(OTHER)]);
}

/// What the clock of the process before had counted is gone with it.
#[tokio::test]
async fn after_a_start_leave_is_counted_anew() {
    let base = Base::new().await;
    let mut story = two(&base).await;
    asks(&mut story, ONE);
    assert_eq!(gets(&mut story), [name(ONE)]);
    let log = std::mem::take(&mut story.batch.entries).into_iter();
    let given = log.filter(|entry| matches!(entry.record, Record::PermitGiven { .. }));
    let given = given.map(|entry| (entry.at, entry.record)).collect();
    let authority = Arc::clone(&base.authority);
    let mut core = rebuild(&base.store, given, authority, Arc::default(), None)
        .await
        .unwrap();
    assert!(core.live.under_leave.contains(&name(ONE)));
    core.fade(Instant::now() + PERMIT_LIFE * 2);
    assert!(core.live.under_leave.is_empty());
}
