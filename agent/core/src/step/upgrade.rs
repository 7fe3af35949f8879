//! The agent replaces itself: it fetches the program of its platform, has the launcher start it, and ends. Its next life is the
//! new version, which completes the step once the launcher keeps it, or the version before, which fails it with the reason.

use std::time::Duration;

use protocol::event::{Completion, Section};
use protocol::step::UpgradeAgent;

use crate::op::{Launcher, Op};
use crate::procedure::{Complete, Cx, Flow, fail};

/// How often the end of the trial is looked for. It ends with the first event that the controller has stored.
const LOOK: Duration = Duration::from_secs(5);

/// How often it is asked how the launcher stands, where it cannot be told just now.
const ASKS: u32 = 3;

fn launcher(cx: &mut Cx<'_>) -> Flow<Launcher> {
    let mut last = String::new();
    let told = cx.retry(ASKS, LOOK, |cx| {
        Ok(match cx.launcher()? {
            Ok(launcher) => Some(launcher),
            Err(why) => {
                last = why;
                None
            }
        })
    })?;
    match told {
        Some(launcher) => Ok(launcher),
        None => fail(format!(
            "the agent cannot be upgraded by itself: {last}; replace its program by hand"
        )),
    }
}

/// Waits until no version is on trial any more, this one or an earlier one. A person's word ends no trial.
fn settled(cx: &mut Cx<'_>) -> Flow<Launcher> {
    let ended = cx.until(LOOK, |cx| {
        let now = cx.launcher()?;
        Ok(now.is_ok_and(|now| !now.on_trial).then_some(()))
    })?;
    if let Err(by) = ended {
        return fail(format!(
            "{by} says that the agent is upgraded; its launcher still has it on trial"
        ));
    }
    launcher(cx)
}

/// Replaces the agent, unless it is that new already.
///
/// # Errors
/// While outcomes are missing, and when it fails: the version before runs on then.
pub(super) fn upgrade(step: &UpgradeAgent, cx: &mut Cx<'_>) -> Flow<Complete> {
    let release = match cx.release(&step.release) {
        Ok(release) => release,
        Err(why) => return fail(format!("the release is not its publisher's: {why}")),
    };
    if release.version != step.version {
        return fail(format!(
            "the release is of version {}, and the step of {}",
            release.version, step.version
        ));
    }
    // Whoever cannot tell says so; then an earlier trial comes to its end.
    launcher(cx)?;
    let before = settled(cx)?;
    if before.running > step.version {
        let what = format!(
            "the agent is {}, newer than {}",
            before.running, step.version
        );
        return Ok(Complete::new(Completion::AlreadySo, what));
    }
    if before.running == step.version {
        let how = if cx.resumed() {
            Completion::Applied
        } else {
            Completion::AlreadySo
        };
        return Ok(kept(&before, how));
    }
    given_up(step, &before, cx)?;
    let Some(file) = release.file(cx.platform()) else {
        return fail(format!(
            "release {} has no program for {}",
            release.version,
            cx.platform()
        ));
    };
    if let Err(why) = cx.perform(Op::FetchRelease { file: file.clone() })? {
        return fail(format!("the program could not be fetched: {why}"));
    }
    // The bytes may have taken days to come: whether it may still go on is asked once more.
    cx.enter(Section {
        outage: false,
        gmsa: None,
    })?;
    let mark = cx.generation();
    let switched = cx.perform(Op::SwitchAgent {
        version: step.version,
        sha256: file.sha256,
        mark,
    })?;
    if let Err(why) = switched {
        return fail(format!("the launcher was not given the new version: {why}"));
    }
    // The agent has ended by here, unless it is a model.
    cx.leave(None)?;
    let after = settled(cx)?;
    if after.running == step.version {
        return Ok(kept(&after, Completion::Applied));
    }
    given_up(step, &after, cx)?;
    fail(format!(
        "the new version was put in place, and {} runs all the same",
        after.running
    ))
}

/// Fails where the launcher has given up this very attempt.
fn given_up(step: &UpgradeAgent, launcher: &Launcher, cx: &Cx<'_>) -> Flow<()> {
    let gone = launcher.given_up.as_ref();
    match gone.filter(|gone| gone.version == step.version && gone.mark == cx.generation()) {
        Some(gone) => fail(format!(
            "version {} was given up, and {} runs again: {}",
            gone.version, launcher.running, gone.why
        )),
        None => Ok(()),
    }
}

fn kept(launcher: &Launcher, how: Completion) -> Complete {
    let what = format!(
        "the agent is {}, and its launcher keeps it",
        launcher.running
    );
    Complete::new(how, what)
}
