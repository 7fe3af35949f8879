//! What a verification asks behind a soak: what the product logged as errors meanwhile, and whether it went through a cycle. It is
//! the look that covers the whole of the watch: what came and went between two looks of the agent shows here.

use std::time::Duration;

use protocol::event::{Finding, Severity, Verdict};
use protocol::limits;
use serde_json::Value;

use crate::catalogue;
use crate::procedure::{Cx, Flow, Reading, Stop};
use crate::step::connect::{self, Scheduler};

/// An event of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Logged {
    /// Its number.
    pub(super) id: i64,
    /// Whole minutes since.
    pub(super) minutes: i64,
}

impl Logged {
    /// A row of a script that reads events.
    pub(super) fn read(row: &Value) -> Option<Self> {
        Some(Self {
            id: row["id"].as_i64()?,
            minutes: row["minutes"].as_i64()?,
        })
    }

    /// How long ago, as far as people care.
    pub(super) const fn hours(&self) -> i64 {
        self.minutes / 60
    }

    fn within(&self, soaked_seconds: u32) -> bool {
        // Whole minutes since: what may lie within counts.
        self.minutes * 60 < i64::from(soaked_seconds)
    }
}

/// How long a product has soaked by the look behind it, seconds: as long as was asked, or since it was proven, where that look came later
/// than it was due. Rounded up, so that nothing is left out that was logged meanwhile.
pub(super) fn lasted(asked: u32, cx: &Cx<'_>) -> u32 {
    let stood = cx.stood().unwrap_or_default().as_millis().div_ceil(1000);
    asked.max(u32::try_from(stood).unwrap_or(u32::MAX))
}

/// Days that a script is to look back for a soak that took so long.
pub(super) fn days(soaked_seconds: Option<u32>) -> u32 {
    soaked_seconds.unwrap_or_default().div_ceil(24 * 3600)
}

/// Has errors that the product logged while it soaked stop the target; those before warn.
pub(super) fn judge<'a>(
    finding: &mut Finding,
    errors: impl IntoIterator<Item = &'a Logged>,
    soaked_seconds: Option<u32>,
) {
    let Some(seconds) = soaked_seconds else {
        return;
    };
    let errors = errors.into_iter().filter(|one| one.within(seconds)).count();
    if errors > 0 {
        finding.severity = Severity::Block;
        finding
            .read
            .push_str(&format!("; {errors} while it soaked ({seconds} s)"));
    }
}

/// What counts as just now where nothing soaked: as long as a service's start is to stand (PV07).
const STABLE_SECONDS: u32 = 300;

/// PV07 of the provisioning agent: how old its process is, where it soaked, and whether Windows saw one of its services end
/// unexpectedly in the last day (events 7031 and 7034 [K]). Just now, or while it soaked, stops the target; what was before that
/// warns, since it may have been mended.
pub(super) fn ends(
    aged: Option<Finding>,
    ends: &Reading<Vec<Logged>>,
    soaked_seconds: Option<u32>,
) -> Finding {
    let within = soaked_seconds.unwrap_or_default().max(STABLE_SECONDS);
    let soaked = aged.is_some();
    let time = match days(soaked_seconds) {
        0 | 1 => "day".to_owned(),
        days => format!("{days} days"),
    };
    let show = |ends: &[Logged]| match ends.iter().min_by_key(|one| one.minutes) {
        None => format!("no unexpected end in the last {time}"),
        Some(newest) => format!(
            "{} unexpected ends in the last {time}, the newest (event {}) {} minutes ago",
            ends.len(),
            newest.id,
            newest.minutes
        ),
    };
    let mut finding = match (aged, ends) {
        (Some(finding), _) => finding,
        (None, ends) => {
            let show = |ends: &Vec<Logged>| show(ends);
            catalogue::PV07.judge_gently(ends.clone(), show, Vec::is_empty)
        }
    };
    if !soaked {
        "no unexpected end of its services in the last day".clone_into(&mut finding.wanted);
    }
    let Ok(ends) = ends else {
        return finding;
    };
    let recent = ends.iter().any(|one| one.within(within));
    if !ends.is_empty() && (recent || finding.verdict == Verdict::Pass || !soaked) {
        if soaked {
            finding.read = format!("{}; {}", finding.read, show(ends));
        }
        // What is wrong by its age stays as grave as it is.
        if recent {
            finding.severity = Severity::Block;
        } else if !soaked || finding.verdict == Verdict::Pass {
            finding.severity = Severity::Warn;
        }
        finding.verdict = Verdict::Fail;
        catalogue::PV07.fix.clone_into(&mut finding.fix);
    }
    finding
}

/// Has a finding stop the target behind a soak where it plainly fails: nothing that cannot be told does.
pub(super) fn insist(finding: &mut Finding, soaked_seconds: Option<u32>) {
    if soaked_seconds.is_some() && finding.verdict == Verdict::Fail {
        finding.severity = Severity::Block;
    }
}

/// SK01 of Connect: whether a cycle began while it soaked, as its scheduler tells (product facts 2.12 [P]: when the next one is
/// due, and how far apart they are). Only of the server that exports does one that is off stop anything, as with PV24: on a staging
/// server that is the tenant's setting.
pub(super) fn cycles(
    scheduler: &Reading<Scheduler>,
    soaked_seconds: u32,
    exports: bool,
) -> Finding {
    let soaked = i64::from(soaked_seconds / 60);
    let scheduler = match scheduler {
        Ok(scheduler) => scheduler,
        Err(why) => {
            let unread = Err::<i64, _>(why.clone());
            return catalogue::SK01.judge_gently(unread, i64::to_string, |_| false);
        }
    };
    let runs = scheduler.cycle_enabled != Some(false) && scheduler.suspended != Some(true);
    let last = scheduler.next_minutes.zip(scheduler.every_minutes);
    let last = last.map(|(next, every)| every - next);
    let reading = match last {
        Some(ago) if ago <= soaked => Ok(ago),
        Some(ago) if runs => Err(format!(
            "the last one was due to begin {ago} minutes ago, and it soaked for {soaked}: none was seen meanwhile"
        )),
        None if runs => Err("the scheduler does not tell when a cycle is due".to_owned()),
        Some(_) | None => {
            let read = format!("none in {soaked} minutes: the scheduler is off or suspended");
            let mut finding = catalogue::SK01.finding(read, Verdict::Fail);
            if !exports {
                finding.severity = Severity::Warn;
            }
            return finding;
        }
    };
    let show = |ago: &i64| format!("the last one was due to begin {ago} minutes ago");
    catalogue::SK01.judge_gently(reading, show, |_| true)
}

/// Minutes from one cycle of Connect to its next as a plan reckons a soak.
const CYCLE_MINUTES: i64 = 30;
const _: () = assert!(CYCLE_MINUTES as u64 * 60 == limits::CYCLE.as_secs());
/// The slowest scheduler whose cycles are waited for, minutes.
const SLOWEST_MINUTES: u64 = limits::SLOWEST_CYCLE.as_secs() / 60;
/// How often such a wait looks up.
const LOOK_SECONDS: u32 = 300;

/// Minutes that are still to pass until as many cycles were due as a soak is to take; `None` where there is nothing to wait for:
/// no cycle begins, when one does is not told, or it is farther off than anybody waits.
fn still_due(scheduler: &Scheduler, soaked_seconds: u32) -> Option<i64> {
    let soaked = i64::from(soaked_seconds / 60);
    let runs = scheduler.cycle_enabled != Some(false) && scheduler.suspended != Some(true);
    let every = scheduler.every_minutes.filter(|_| runs)?;
    let slow = every > CYCLE_MINUTES && every.unsigned_abs() <= SLOWEST_MINUTES;
    let more = soaked / CYCLE_MINUTES * every - soaked;
    (slow && more > 0).then_some(more)
}

/// A soak is so many cycles of the product. Where the scheduler of Connect is set slower than a plan reckons, waits until as many of
/// its own have been due. How long the product has soaked by then, seconds.
///
/// # Errors
/// While it waits, and while outcomes are missing.
pub(super) fn slow_cycles(soaked_seconds: u32, cx: &mut Cx<'_>) -> Flow<u32> {
    let scheduler = connect::scheduler(cx)?;
    let more = scheduler
        .ok()
        .and_then(|now| still_due(&now, soaked_seconds));
    let Some(more) = more.and_then(|minutes| u32::try_from(minutes).ok()) else {
        return Ok(soaked_seconds);
    };
    let rounds = (more * 60).div_ceil(LOOK_SECONDS);
    let over = |_: &mut Cx<'_>, over| Ok((over >= rounds).then_some(()));
    match cx.until_counting(Duration::from_secs(LOOK_SECONDS.into()), over)? {
        Ok(()) => Ok(soaked_seconds + more * 60),
        Err(_) => Ok(soaked_seconds),
    }
}

/// SK01 of the provisioning agent: no source on the server is documented that tells of its cycles. The controller asks what its tenant
/// showed.
pub(super) fn no_cycles() -> Finding {
    let read = "cycles were not seen on the server: none leaves a documented trace there";
    let mut finding = catalogue::SK01.finding(read, Verdict::CannotTell);
    finding.severity = Severity::Info;
    finding
}

/// What must be told behind a soak and cannot, as the question that a person answers.
pub(super) fn question(findings: &[Finding], soaked_seconds: Option<u32>) -> Option<String> {
    soaked_seconds?;
    let asked = [
        &catalogue::PV08,
        &catalogue::PV27,
        &catalogue::PV34,
        &catalogue::SK01,
    ];
    let unread = findings.iter().filter(|one| {
        one.verdict == Verdict::CannotTell
            && one.severity >= Severity::Warn
            && asked.iter().any(|probe| probe.id == one.id)
    });
    let unread: Vec<String> = unread
        .map(|one| format!("{} {}: {}", one.id, one.what, one.read))
        .collect();
    (!unread.is_empty()).then(|| {
        format!(
            "whether the product was well while it soaked cannot be told: {}",
            unread.join("; ")
        )
    })
}

/// Ends the step where such a question is open.
pub(super) fn told(question: Option<String>) -> Flow<()> {
    match question {
        Some(question) => Err(Stop::CannotTell(question)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_ended_just_now_is_not_well_whatever_it_is_at_this_moment() {
        let at = |minutes| Logged { id: 7031, minutes };
        let judged = |aged: Option<Verdict>, ends: Reading<Vec<Logged>>, soaked| {
            let aged = aged.map(|verdict| catalogue::PV07.finding("for 600 s".to_owned(), verdict));
            let finding = super::ends(aged, &ends, soaked);
            (finding.verdict, finding.severity)
        };
        let (fail, pass) = (Verdict::Fail, Verdict::Pass);
        for (aged, ends, soaked, wanted) in [
            (None, vec![], None, (pass, Severity::Block)),
            (None, vec![at(700), at(3)], None, (fail, Severity::Block)),
            (None, vec![at(5)], None, (fail, Severity::Warn)),
            (Some(pass), vec![], Some(600), (pass, Severity::Block)),
            (Some(pass), vec![at(9)], Some(600), (fail, Severity::Block)),
            (Some(pass), vec![at(11)], Some(600), (fail, Severity::Warn)),
            // A soak that is shorter than a start is to stand.
            (Some(pass), vec![at(4)], Some(60), (fail, Severity::Block)),
            (Some(fail), vec![at(11)], Some(600), (fail, Severity::Block)),
        ] {
            let seen = judged(aged, Ok(ends.clone()), soaked);
            assert_eq!(seen, wanted, "{aged:?} {ends:?} {soaked:?}");
        }
        let unread = || Err("access is denied".to_owned());
        assert_eq!(judged(None, unread(), None).0, Verdict::CannotTell);
        assert_eq!(judged(Some(pass), unread(), Some(600)).0, pass);
    }

    #[test]
    fn a_slow_scheduler_is_given_the_time_of_its_own_cycles() {
        let every = |minutes| Scheduler {
            cycle_enabled: Some(true),
            suspended: Some(false),
            next_minutes: Some(5),
            every_minutes: Some(minutes),
            ..Scheduler::default()
        };
        let two = 2 * 30 * 60;
        for (scheduler, soaked, more) in [
            (every(30), two, None),
            (every(10), two, None),
            (every(180), two, Some(2 * 180 - 60)),
            (every(45), two, Some(30)),
            (every(24 * 60), two, Some(2 * 24 * 60 - 60)),
            // Nobody waits for so long: SK01 asks a person.
            (every(24 * 60 + 1), two, None),
            // No whole cycle is asked for.
            (every(180), 29 * 60, None),
            (
                Scheduler {
                    suspended: Some(true),
                    ..every(180)
                },
                two,
                None,
            ),
            (
                Scheduler {
                    cycle_enabled: Some(false),
                    ..every(180)
                },
                two,
                None,
            ),
            (
                Scheduler {
                    every_minutes: None,
                    ..every(180)
                },
                two,
                None,
            ),
        ] {
            assert_eq!(
                still_due(&scheduler, soaked),
                more,
                "{scheduler:?} {soaked}"
            );
        }
    }

    #[test]
    fn an_event_that_may_lie_within_a_soak_counts() {
        let logged = |minutes| Logged { id: 1, minutes };
        // Five minutes and ten seconds ago are five whole minutes.
        assert!(logged(5).within(330));
        assert!(logged(0).within(30));
        assert!(!logged(6).within(330));
        assert!(!logged(5).within(300));
    }
}
