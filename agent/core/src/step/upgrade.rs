//! The agent replaces itself: it fetches the program of its platform, has the launcher start it, and ends. Its next life is the
//! new version, which completes the step once the launcher keeps it, or the version before, which fails it with the reason.

use std::time::Duration;

use protocol::event::Completion;
use protocol::step::UpgradeAgent;

use crate::op::{Launcher, Op};
use crate::procedure::{Complete, Cx, Flow, fail};

/// How often the end of the trial is looked for. It ends with the first event that the controller has stored.
const LOOK: Duration = Duration::from_secs(5);

fn launcher(cx: &mut Cx<'_>) -> Flow<Launcher> {
    match cx.launcher()? {
        Ok(launcher) => Ok(launcher),
        Err(why) => fail(format!(
            "the agent cannot be upgraded by itself: {why}; replace its program by hand"
        )),
    }
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
    let before = launcher(cx)?;
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
        return kept(&before, how, cx);
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
    let after = launcher(cx)?;
    if after.running == step.version {
        return kept(&after, Completion::Applied, cx);
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

/// Waits until the launcher keeps the version that runs: until the step's time is over.
fn kept(launcher: &Launcher, how: Completion, cx: &mut Cx<'_>) -> Flow<Complete> {
    let running = launcher.running;
    let ended = cx.until(LOOK, |cx| {
        let now = self::launcher(cx)?;
        Ok((!now.on_trial).then_some(()))
    })?;
    if let Err(by) = ended {
        return fail(format!(
            "{by} says that the agent is upgraded; its launcher still has it on trial"
        ));
    }
    Ok(Complete::new(
        how,
        format!("the agent is {running}, and its launcher keeps it"),
    ))
}
