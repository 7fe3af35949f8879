//! What is shown of what a target is at: of the bundle that is open, and of the step that this is at.

use super::*;

fn progress(step: StepIndex) -> Progress {
    Progress {
        step,
        percent: Some(40),
        text: "fetching the artifact".to_owned(),
    }
}

fn begun(generation: Generation, step: StepIndex) -> Event {
    Event::StepBegun {
        generation,
        step,
        attempt: Attempt(1),
        kind: "a step".to_owned(),
    }
}

#[tokio::test]
async fn progress_is_shown_while_its_own_step_is_under_way() {
    const NEXT: StepIndex = StepIndex(1);
    let base = Base::new().await;
    let (mut story, target) = at(&base, "running", "running", true).await;
    let generation = story.generation(&target);
    let shown = |story: &Story, of: RolloutId| story.core.progress_in(of).remove(&target);
    story
        .core
        .progresses(target.clone(), generation, progress(STEP));
    assert_eq!(shown(&story, FIRST), Some(progress(STEP)));
    assert_eq!(shown(&story, RolloutId(2)), None, "it is of another one");

    // The next step begins, and what was said of the one before is over; what came ahead of its beginning stays.
    story.journals(&target, begun(generation, NEXT));
    assert_eq!(shown(&story, FIRST), None);
    story
        .core
        .progresses(target.clone(), generation, progress(NEXT));
    story.journals(&target, begun(generation, NEXT));
    assert_eq!(shown(&story, FIRST), Some(progress(NEXT)));

    // What came late, of a bundle before, is of no open one.
    let earlier = Generation(0);
    story
        .core
        .progresses(target.clone(), earlier, progress(NEXT));
    assert_eq!(shown(&story, FIRST), None);

    // Its run ends, and the next one finds nothing of it.
    story
        .core
        .progresses(target.clone(), generation, progress(STEP));
    let ended = Event::RunFinished {
        generation,
        ending: Ending::Completed,
        receipt: String::new(),
    };
    story.journals(&target, ended);
    assert_eq!(shown(&story, FIRST), None);
    story.goes_on();
    let generation = story.generation(&target);
    story.tells(&target, &begun(generation, STEP));
    assert_eq!(shown(&story, FIRST), None);
}
