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

const LIMIT: Duration = Duration::from_secs(120);

/// How it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stands {
    /// Nothing is due, and nothing runs.
    Over,
    /// It goes on by itself, or begins with the next cycle.
    GoesOn(String),
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
            (false, false) if enabled && !suspended => Self::GoesOn(what),
            (false, false) => {
                let why = if enabled {
                    "the scheduler is suspended"
                } else {
                    "the cycle is off"
                };
                Self::Held(format!("{what}; {why}, so nothing does it"))
            }
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
        Stands::Over | Stands::GoesOn(_) | Stands::Held(_) => Verdict::Fail,
    };
    let (why, due) = match &begins {
        Stands::Over => {
            note("none is due, and none runs", Verdict::Pass, cx)?;
            return Ok(over(
                "no full import or synchronization is due, and none runs",
            ));
        }
        Stands::Held(why) | Stands::Untold(why) => (why.clone(), why.clone()),
        Stands::GoesOn(what) => {
            note(&format!("{what}: waited for"), Verdict::Fail, cx)?;
            let rounds = step.within_minutes / LOOK_MINUTES;
            let seen = cx.until_counting(LOOK, |cx, over| {
                if over >= rounds {
                    return Ok(Some(None));
                }
                Ok(match Stands::settled(cx)? {
                    Stands::GoesOn(_) => None,
                    ended @ (Stands::Over | Stands::Held(_) | Stands::Untold(_)) => {
                        Some(Some(ended))
                    }
                })
            })?;
            if let Ok(Some(Stands::Untold(_))) = &seen {
                told = Verdict::CannotTell;
            }
            match seen {
                Ok(Some(Stands::Held(why) | Stands::Untold(why))) => (why, what.clone()),
                Ok(Some(Stands::Over | Stands::GoesOn(_))) => return done(what, cx),
                Err(by) => return Ok(attested(by)),
                Ok(None) => {
                    let hours = step.within_minutes / 60;
                    let why = format!("{what}: not over after {hours} hours");
                    (why, what.clone())
                }
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
