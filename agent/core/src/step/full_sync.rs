//! The full import and synchronization of Connect Sync that comes behind a person's work at its wizard (product facts 2.12, 2.13 [P]):
//! it is waited for, so that nothing is verified or counted before it. What cannot be told of it is a question for a person.

use std::time::Duration;

use protocol::event::{Completion, Verdict};
use protocol::facts::ServiceState;
use protocol::step::AwaitFullSync;
use protocol::task::Page;
use serde_json::{Value, json};

use crate::catalogue;
use crate::op::{Op, Script};
use crate::procedure::{Complete, Cx, Flow};
use crate::product;
use crate::step::WATCH;
use crate::step::report::Report;

/// How often it is looked whether it is over: a full synchronization takes hours, and each look starts PowerShell.
const LOOK_MINUTES: u32 = 5;
const LOOK: Duration = Duration::from_secs(LOOK_MINUTES as u64 * 60);

/// Looks in which a suspended scheduler is nobody's to mend: an open wizard suspends it (product facts 2.12 [P]), and whoever works
/// there closes it. One cycle of the default length is lost by that at most.
const CLOSES_SOON: u32 = 30 / LOOK_MINUTES;

const LIMIT: Duration = Duration::from_secs(120);

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stands {
    /// Nothing is due, and nothing runs.
    Over,
    /// It goes on by itself, or begins with the next cycle.
    GoesOn(String),
    /// It is due, and the scheduler is suspended: it goes on when somebody closes the wizard that is open.
    Suspended(String),
    /// It is due, and no cycle does it.
    Held(String),
    /// It cannot be told.
    Untold(String),
}

impl Stands {
    /// Asks the scheduler what is due and the engine what runs.
    fn now(cx: &mut Cx<'_>) -> Flow<Self> {
        let input = json!({ "due": true });
        let report = Report::ask(Script::ReadConnectScheduler, input, LIMIT, cx)?;
        let full = report.rows("full", |one| Some(one.as_str()?.to_owned()));
        let read = full.and_then(|full| {
            let initial = report.part("initial", Value::as_bool)?;
            let running = report.part("running", Value::as_bool)?;
            let enabled = report.part("syncCycleEnabled", Value::as_bool)?;
            let suspended = report.part("schedulerSuspended", Value::as_bool)?;
            Ok((full, initial, running, (enabled, suspended)))
        });
        let (mut due, initial, running, (enabled, suspended)) = match read {
            Ok(read) => read,
            Err(why) => return Ok(Self::Untold(why)),
        };
        if initial {
            due.push("the next cycle is a full one".to_owned());
        }
        let what = due.join(", ");
        Ok(match (running, due.is_empty()) {
            (true, true) => Self::GoesOn("a run is under way".to_owned()),
            (true, false) => Self::GoesOn(format!("{what}; a run is under way")),
            (false, true) => Self::Over,
            (false, false) if !enabled => {
                Self::Held(format!("{what}; the cycle is off, so nothing does it"))
            }
            (false, false) if suspended => Self::Suspended(what),
            (false, false) => Self::GoesOn(what),
        })
    }

    /// The same, where *over* is what two looks have seen: between two runs of a cycle there is a moment without any.
    fn settled(cx: &mut Cx<'_>) -> Flow<Self> {
        let first = Self::now(cx)?;
        if first != Self::Over {
            return Ok(first);
        }
        // Whether that time went by is the executor's to know.
        drop(cx.perform(Op::Wait { time: WATCH })?);
        Self::now(cx)
    }
}

/// How a wait without a question ended.
enum Waited {
    Over,
    Held(String),
    Untold(String),
}

/// Waits while it goes on, and while a wizard is open that somebody is about to close, for as long as the step says in all; or who
/// said that it is over.
fn patiently(step: &AwaitFullSync, what: &str, cx: &mut Cx<'_>) -> Flow<Result<Waited, String>> {
    enum Seen {
        Ended(Waited),
        /// A wizard was opened, or closed.
        Turned(u32),
    }
    let rounds = step.within_minutes / LOOK_MINUTES;
    let (mut spent, mut suspended) = (0, false);
    loop {
        let seen = cx.until_counting(LOOK, |cx, over| {
            let spent = over.saturating_add(spent);
            if spent >= rounds {
                let hours = step.within_minutes / 60;
                let why = format!("{what}: not over after {hours} hours");
                return Ok(Some(Seen::Ended(Waited::Held(why))));
            }
            let seen = match Stands::settled(cx)? {
                Stands::GoesOn(_) if !suspended => return Ok(None),
                Stands::Suspended(_) if suspended && over < CLOSES_SOON => return Ok(None),
                Stands::GoesOn(_) => Seen::Turned(spent),
                Stands::Suspended(_) if !suspended => Seen::Turned(spent),
                Stands::Suspended(what) => Seen::Ended(Waited::Held(format!(
                    "{what}; the scheduler is suspended, so nothing does it"
                ))),
                Stands::Held(why) => Seen::Ended(Waited::Held(why)),
                Stands::Untold(why) => Seen::Ended(Waited::Untold(why)),
                Stands::Over => Seen::Ended(Waited::Over),
            };
            Ok(Some(seen))
        })?;
        match seen {
            Ok(Seen::Ended(ended)) => return Ok(Ok(ended)),
            Err(by) => return Ok(Err(by)),
            Ok(Seen::Turned(over)) => {
                // What was seen is a look as well: however often it turns, the wait has an end.
                spent = over.saturating_add(1);
                suspended = !suspended;
                drop(cx.perform(Op::Wait { time: WATCH })?);
            }
        }
    }
}

/// Waits until nothing is due and nothing runs. Whoever looks at the plan's rollout sees what is waited for (WZ03); where it takes
/// longer than it may, where no cycle does it, or where it cannot be told, a person is asked, and it goes on by itself all the same.
///
/// # Errors
/// While outcomes are missing.
pub fn wait(step: &AwaitFullSync, cx: &mut Cx<'_>) -> Flow<Complete> {
    // Whoever said of the wizard that it is done was wrong, or the engine does not run: the verification says so.
    let engine = cx.service(product::CONNECT_SERVICE)?;
    if engine.is_ok_and(|engine| engine.is_none_or(|engine| engine.state != ServiceState::Running))
    {
        return Ok(over("no engine runs on this server: nothing to wait for"));
    }
    let begins = Stands::settled(cx)?;
    let mut told = match begins {
        Stands::Untold(_) => Verdict::CannotTell,
        Stands::Over | Stands::GoesOn(_) | Stands::Suspended(_) | Stands::Held(_) => Verdict::Fail,
    };
    let (why, due) = match begins {
        Stands::Over => {
            note("none is due, and none runs", Verdict::Pass, cx)?;
            return Ok(over(
                "no full import or synchronization is due, and none runs",
            ));
        }
        Stands::Held(why) | Stands::Untold(why) => (why.clone(), why),
        Stands::GoesOn(what) | Stands::Suspended(what) => {
            note(&format!("{what}: waited for"), Verdict::Fail, cx)?;
            match patiently(step, &what, cx)? {
                Ok(Waited::Over) => return done(&what, cx),
                Ok(Waited::Held(why)) => (why, what),
                Ok(Waited::Untold(why)) => {
                    told = Verdict::CannotTell;
                    (why, what)
                }
                Err(by) => return Ok(attested(by)),
            }
        }
    };
    note(&why, told, cx)?;
    let mut text = step.text.clone();
    let seen = Page {
        title: "What is seen".to_owned(),
        lines: vec![why.clone()],
    };
    text.pages.insert(0, seen);
    cx.task(&text)?;
    let ended = cx.until(LOOK, |cx| {
        let is_over = Stands::settled(cx)? == Stands::Over;
        Ok(is_over.then_some(()))
    })?;
    match ended {
        Ok(()) => done(&due, cx),
        Err(by) => Ok(attested(by)),
    }
}

fn note(read: &str, verdict: Verdict, cx: &mut Cx<'_>) -> Flow<()> {
    cx.note(&[catalogue::WZ03.finding(read, verdict)])
}

fn over(summary: impl Into<String>) -> Complete {
    Complete::new(Completion::AlreadySo, summary)
}

fn done(what: &str, cx: &mut Cx<'_>) -> Flow<Complete> {
    note("none is due any more, and none runs", Verdict::Pass, cx)?;
    Ok(over(format!("waited for, and over: {what}")))
}

fn attested(by: String) -> Complete {
    let summary = format!("attested by {by}; no probe saw that nothing is due any more");
    Complete::new(Completion::Attested { by }, summary)
}
