//! What every installer has in common, whichever way it goes: it may outlive the agent that began it, another one may be
//! under way, and what went wrong stands in its log.

use std::time::Duration;

use protocol::Version;
use protocol::event::Failure;
use protocol::signed::ArtifactRef;

use crate::known::{self, Source};
use crate::op::{Log, Op};
use crate::procedure::{Cx, Flow, Reading, Stop, fail};
use crate::withhold;

/// How often and how long another installation is waited for (exit code 1618).
const BUSY: (u32, Duration) = (20, Duration::from_secs(30));

/// Said where Windows asks for a restart. Whether one follows is another step's matter, where the plan has it.
pub(super) const RESTART: &str = "; Windows asks for a restart";

/// What is said where that could not be noted.
pub(super) fn unnoted(noted: Reading<()>) -> String {
    noted.map_or_else(
        |why| format!("; that it asks could not be noted: {why}"),
        |()| String::new(),
    )
}

/// Waits for an installer that an earlier life of the agent began.
pub(super) fn await_earlier(cx: &mut Cx<'_>) -> Flow<()> {
    if cx.resumed()
        && let Err(why) = cx.perform(Op::AwaitInstaller)?
    {
        return Err(Stop::CannotTell(format!(
            "whether an installer of an earlier try still runs: {why}"
        )));
    }
    Ok(())
}

/// Nothing is downgraded, whatever a bundle says (guard rail G6): what was read before it was made may be otherwise now.
pub(super) fn never_older(
    product: &str,
    there: Option<Version>,
    artifact: &ArtifactRef,
) -> Flow<()> {
    match there.filter(|there| *there > artifact.version) {
        None => Ok(()),
        Some(there) => fail(format!(
            "version {there} of {product} is there, and the installer is of {}: nothing is downgraded (G6)",
            artifact.version
        )),
    }
}

/// Runs one, again and again while another one is under way; gives its exit code.
pub(super) fn patiently(
    cx: &mut Cx<'_>,
    mut run: impl FnMut(&mut Cx<'_>) -> Flow<Reading<i32>>,
) -> Flow<Reading<i32>> {
    let (times, pause) = BUSY;
    let ended = cx.retry(times, pause, |cx| {
        Ok(match run(cx)? {
            Ok(1618) => None,
            other => Some(other),
        })
    })?;
    match ended {
        Some(ended) => Ok(ended),
        None => fail("another installation kept running (exit code 1618)"),
    }
}

/// The failure that an exit code means, with what its log shows.
pub(super) fn failure(what: &str, code: i32, log: Log, cx: &mut Cx<'_>) -> Flow<Failure> {
    let meaning = match code {
        1602 => " (cancelled)",
        1603 => " (fatal error of the inner package)",
        _ => "",
    };
    shown(
        format!("{what} ended with exit code {code}{meaning}"),
        log,
        cx,
    )
}

/// The end of a step whose installer did not come to its own, or left something else than it said, with what its log shows: each run clears that before
/// it begins.
pub(super) fn unfinished(what: String, log: Log, cx: &mut Cx<'_>) -> Flow<Stop> {
    Ok(Stop::Failed(Box::new(shown(what, log, cx)?)))
}

/// A failure with what an installer's log shows of a known error, or else its last lines.
pub(super) fn shown(what: String, log: Log, cx: &mut Cx<'_>) -> Flow<Failure> {
    let lines = cx.log(log)?;
    let mut failure = Failure::plain(what);
    let (known, shown) = match known::recognize(Source::Setup, &lines) {
        Some((known, line)) => (Some(known), vec![line]),
        None => {
            let last = lines.iter().rev().take(12).rev();
            (None, last.map(|line| withhold::names(line)).collect())
        }
    };
    failure.known = known;
    Ok(failure.with_lines(shown))
}
