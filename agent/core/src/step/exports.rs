//! What a staging server of Connect Sync would export if it became active, held against limits (guard rail G4; product
//! facts 2.11: `csexport` and `CSExportAnalyzer`).

use std::time::Duration;

use protocol::event::{Completion, Finding, Grade, Verdict};
use protocol::step::ReviewConnectExports;
use serde_json::Value;

use crate::catalogue;
use crate::op::Script;
use crate::procedure::{Complete, Cx, Flow, Stop, fail};
use crate::step::connect_module::{self, Use};
use crate::step::{self, WATCH, connect, report};

/// `csexport` goes through a whole connector space.
const REVIEW_LIMIT: Duration = Duration::from_secs(30 * 60);

/// What the script counted, over all connectors, in objects.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counted {
    add: u64,
    update: u64,
    delete: u64,
    /// Objects with a change of another name: nobody said how many of those are allowed.
    other: u64,
    /// How many connectors there are.
    connectors: usize,
    /// Connectors that still need a full import or synchronization.
    full: Vec<String>,
    /// Whether the next cycle is a full one (`NextSyncCyclePolicyType`, 2.12 [P]); `None` where the scheduler does not tell.
    initial: Option<bool>,
    /// Minutes since the last cycle began, as far as the scheduler's times tell.
    age: Option<i64>,
    /// Whether the history holds a run; `None` where it could not be read ([K]: it takes a pass away, and gives none).
    ran: Option<bool>,
}

impl Counted {
    /// Reads the script's lines; `None` where a part is missing.
    fn read(lines: &[Value]) -> Option<Self> {
        let mut counted = Self::default();
        let (last, connectors) = lines.split_last()?;
        for line in connectors {
            counted.add += line["add"].as_u64()?;
            counted.update += line["update"].as_u64()?;
            counted.delete += line["delete"].as_u64()?;
            counted.other += line["other"].as_u64()?;
            counted.connectors += 1;
        }
        let full = last["full"].as_array()?.iter();
        counted.full = full
            .map(|name| name.as_str().unwrap_or_default().to_owned())
            .collect();
        counted.initial = last["initial"].as_bool();
        counted.ran = last["ran"].as_bool();
        let (next, every) = (
            last["nextInMinutes"].as_i64()?,
            last["everyMinutes"].as_i64()?,
        );
        counted.age = (every > 0).then_some(every - next);
        Some(counted)
    }
}

/// Counts, once no cycle runs, and holds what was counted against the limits.
///
/// # Errors
/// While outcomes are missing, when the mode is not told, and when what is counted is not within the limits or cannot
/// be told, unless operators have overridden that.
pub fn review(review: &ReviewConnectExports, cx: &mut Cx<'_>) -> Flow<Complete> {
    let scheduler = match connect::scheduler(cx)? {
        Ok(scheduler) => scheduler,
        Err(why) => {
            let failure = report::failure("the scheduler does not tell", &why);
            return Err(Stop::Failed(Box::new(failure)));
        }
    };
    match scheduler.staging {
        Some(true) => {}
        // Where it must still be staging, a verification before this has said so.
        Some(false) => {
            return Ok(Complete {
                grade: Some(Grade::Configured),
                ..Complete::new(
                    Completion::AlreadySo,
                    "the server is active already: nothing is pending that could be held back",
                )
            });
        }
        None => return fail("the scheduler does not tell whether the server is staging"),
    }
    let module = connect_module::probe(Use::Exports, cx)?;
    let seen = cx.until(WATCH, |cx| {
        let lines = cx.script(
            Script::ReviewConnectExports,
            serde_json::json!({}),
            Vec::new(),
            REVIEW_LIMIT,
        )?;
        let running = |lines: &Vec<Value>| lines.iter().any(|line| line["running"] == true);
        Ok(match lines {
            Ok(lines) if running(&lines) => None,
            other => Some(other),
        })
    })?;
    let lines = match seen {
        Ok(lines) => lines,
        Err(by) => Err(format!("a cycle ran until {by} ended the wait")),
    };
    let counted = lines.and_then(|lines| {
        Counted::read(&lines)
            .filter(|counted| counted.connectors > 0)
            .ok_or_else(|| "the counts are not complete".to_owned())
    });
    let counted = counted.map_err(|why| report::explained(&why));
    let going = scheduler.cycle_enabled == Some(true) && scheduler.suspended == Some(false);
    let mut findings = findings(review, counted.as_ref(), going);
    findings.push(module);
    let summary = match (&review.overridden, counted) {
        (Some(over), counted) if findings.iter().any(Finding::blocks) => {
            cx.note(&findings)?;
            let blocking = findings.iter().filter(|finding| finding.blocks());
            let told: Vec<String> = blocking
                .map(|finding| format!("{} ({})", finding.id, finding.read))
                .collect();
            let went_on = step::went_on(over, "G4", &told.join(", "));
            counted.map_or_else(
                |_| format!("{went_on}; nothing was counted"),
                |counted| format!("{went_on}; {}", said(&counted)),
            )
        }
        (Some(_) | None, counted) => {
            step::settle(findings, cx)?;
            match counted {
                Ok(counted) => said(&counted),
                Err(_) => return fail("the pending exports could not be counted"),
            }
        }
    };
    Ok(Complete {
        grade: Some(Grade::Configured),
        ..Complete::new(Completion::AlreadySo, summary)
    })
}

fn said(counted: &Counted) -> String {
    let other = match counted.other {
        0 => String::new(),
        other => format!(", {other} with another change"),
    };
    format!(
        "{} to add, {} to update, {} to delete{other}, over {} connectors",
        counted.add, counted.update, counted.delete, counted.connectors
    )
}

fn findings(
    review: &ReviewConnectExports,
    counted: Result<&Counted, &String>,
    going: bool,
) -> Vec<Finding> {
    let limits = review.limits;
    let wanted = format!(
        "at most {} to add, {} to update, {} to delete",
        limits.add, limits.update, limits.delete
    );
    let young = format!(
        "a cycle at most {} minutes ago, and the scheduler running",
        review.max_age_minutes
    );
    let (mut pending, full, mut age) = match counted {
        Err(why) => {
            let untold = |probe: &catalogue::Probe| probe.finding(why, Verdict::CannotTell);
            (
                untold(&catalogue::PV31),
                untold(&catalogue::PV30),
                untold(&catalogue::SW01),
            )
        }
        Ok(counted) => {
            let verdict = |pass: bool| if pass { Verdict::Pass } else { Verdict::Fail };
            let within = counted.add <= u64::from(limits.add)
                && counted.update <= u64::from(limits.update)
                && counted.delete <= u64::from(limits.delete)
                && counted.other == 0;
            let age = match counted.age {
                Some(_) if going && counted.ran == Some(false) => catalogue::SW01.finding(
                    "a cycle is due by the scheduler's times, and the history holds no run: whether one ever began cannot be told",
                    Verdict::CannotTell,
                ),
                Some(age) if going => catalogue::SW01.finding(
                    format!("the last cycle began {age} minutes ago"),
                    verdict(age <= i64::from(review.max_age_minutes)),
                ),
                Some(_) => catalogue::SW01.finding(
                    "the scheduler is disabled or suspended: nothing says when a cycle ran",
                    Verdict::Fail,
                ),
                None => {
                    catalogue::SW01.finding("the scheduler names no interval", Verdict::CannotTell)
                }
            };
            (
                catalogue::PV31.finding(said(counted), verdict(within)),
                due(counted),
                age,
            )
        }
    };
    pending.wanted = wanted;
    age.wanted = young;
    vec![full, pending, age]
}

/// PV30: what an override demands of one connector, and what the scheduler is about to do of all: before that, what is counted is not
/// what the server would export.
fn due(counted: &Counted) -> Finding {
    let mut due = Vec::new();
    if !counted.full.is_empty() {
        due.push(format!("due for {}", counted.full.join(", ")));
    }
    if counted.initial == Some(true) {
        due.push("the next cycle is a full one".to_owned());
    }
    match (due.as_slice(), counted.initial) {
        ([], Some(_)) => catalogue::PV30.finding("none", Verdict::Pass),
        ([], None) => catalogue::PV30.finding(
            "no connector has one; whether the next cycle is a full one the scheduler does not tell (NextSyncCyclePolicyType)",
            Verdict::CannotTell,
        ),
        (due, _) => catalogue::PV30.finding(due.join("; "), Verdict::Fail),
    }
}

#[cfg(test)]
mod tests {
    use protocol::step::ExportLimits;
    use serde_json::json;

    use super::*;

    #[test]
    fn counts_of_all_connectors_are_added_up_and_a_missing_part_is_none() {
        let line = |add: u64| json!({ "connector": "x", "add": add, "update": 2, "delete": 0, "other": 1 });
        let end = json!({ "full": ["corp.test"], "initial": false, "nextInMinutes": 12, "everyMinutes": 30 });
        let counted = Counted::read(&[line(1), line(4), end.clone()]).unwrap();
        assert_eq!((counted.add, counted.update, counted.other), (5, 4, 2));
        assert_eq!(counted.full, ["corp.test"]);
        assert_eq!((counted.connectors, counted.age), (2, Some(18)));
        assert_eq!(Counted::read(&[line(1)]), None);
        assert_eq!(Counted::read(&[]), None);
        let short = json!({ "connector": "x", "add": 1 });
        assert_eq!(Counted::read(&[short, end]), None);
    }

    fn found(end: &Value) -> Vec<(String, Verdict)> {
        let review = ReviewConnectExports {
            limits: ExportLimits {
                add: 0,
                update: 0,
                delete: 0,
            },
            max_age_minutes: 60,
            overridden: None,
        };
        let line = json!({ "connector": "x", "add": 0, "update": 0, "delete": 0, "other": 0 });
        let counted = Counted::read(&[line, end.clone()]).unwrap();
        let found = findings(&review, Ok(&counted), true).into_iter();
        found.map(|one| (one.id, one.verdict)).collect()
    }

    /// An override is of one connector; that the whole next cycle is a full one stands in the scheduler (2.12 [P]).
    #[test]
    fn what_is_counted_before_a_full_cycle_is_not_what_would_be_exported() {
        let full = |initial: Value, full: &[&str]| {
            let end = json!({ "full": full, "initial": initial, "nextInMinutes": 12, "everyMinutes": 30, "ran": true });
            found(&end).remove(0)
        };
        let of = |verdict| ("PV30".to_owned(), verdict);
        assert_eq!(full(json!(false), &[]), of(Verdict::Pass));
        assert_eq!(full(json!(true), &[]), of(Verdict::Fail));
        assert_eq!(full(json!(true), &["corp.test"]), of(Verdict::Fail));
        assert_eq!(full(json!(false), &["corp.test"]), of(Verdict::Fail));
        assert_eq!(full(json!(null), &["corp.test"]), of(Verdict::Fail));
        assert_eq!(full(json!(null), &[]), of(Verdict::CannotTell));
    }

    /// The age is reckoned from when the next cycle is due: on a server whose history is empty that is the age of none.
    #[test]
    fn a_cycle_that_never_ran_has_no_age() {
        let age = |ran: Value| {
            let end = json!({ "full": [], "initial": false, "nextInMinutes": 12, "everyMinutes": 30, "ran": ran });
            found(&end).remove(2)
        };
        let of = |verdict| ("SW01".to_owned(), verdict);
        assert_eq!(age(json!(true)), of(Verdict::Pass));
        assert_eq!(age(json!(false)), of(Verdict::CannotTell));
        // Which cmdlet tells the history is general knowledge: where it tells nothing, the scheduler's own times stand.
        assert_eq!(age(json!(null)), of(Verdict::Pass));
    }
}
