//! Why something does not come about: where a service does not run, or a wizard has not come to its end, the logs are read and
//! known errors looked for in them (product facts 1.13, 2.15).

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::event::{Failure, Finding, KnownCause, Verdict};
use protocol::{Timestamp, Version};
use serde_json::Value;

use crate::catalogue;
use crate::known::{self, Source};
use crate::op::{Log, LogEnds, Script};
use crate::procedure::{Cx, Flow};
use crate::product;
use crate::step::report::Report;
use crate::step::{self, WATCH};

/// After how many rounds of watching a wizard its trace is read, and after how many more again: half an hour. Somebody may come to it
/// the next morning, so it is read for as long as the work is open.
const LONG: u32 = 60;

const ERRORS_LIMIT: Duration = Duration::from_secs(120);

/// A known error, with the line that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) known: KnownCause,
    pub(super) line: String,
}

impl Trouble {
    fn all(source: Source, version: Option<Version>, lines: &[String]) -> Vec<Self> {
        let all = known::recognize_all(source, version, lines).into_iter();
        all.map(|(known, line)| Self { known, line }).collect()
    }

    fn find(source: Source, version: Option<Version>, lines: &[String]) -> Option<Self> {
        Self::all(source, version, lines).into_iter().next()
    }

    /// Has a finding that does not pass say cause, fix and line.
    pub(super) fn explain(&self, finding: &mut Finding) {
        if finding.verdict == Verdict::Pass {
            return;
        }
        finding.read = format!("{}; {}", finding.read, start(&self.line));
        finding.fix = self.known.sentence();
    }

    /// The failure that it causes, with its line first.
    pub(super) fn causes(self, mut failure: Failure) -> Failure {
        failure.known = Some(self.known);
        let said = std::mem::take(&mut failure.lines);
        failure.with_lines(std::iter::once(self.line).chain(said))
    }
}

/// The start of a line, as much as fits a finding.
pub(super) fn start(line: &str) -> String {
    line.trim().chars().take(200).collect()
}

/// In what a script of ours said when it could not load a product's module.
pub(super) fn of_script(why: &str) -> Option<Trouble> {
    let lines: Vec<String> = why.lines().map(ToOwned::to_owned).collect();
    Trouble::find(Source::Scripts, None, &lines)
}

/// How far the provisioning agent's trace went before something was done, and when that was. What stood in it by then is of other work,
/// however well it is known, and so is what Windows recorded before.
pub(super) struct Before {
    ends: Option<LogEnds>,
    /// An earlier life of the agent began the work: what Windows has recorded may be of that.
    resumed: bool,
}

impl Before {
    /// Nothing was done here: all of it counts, what was written last before the rest.
    pub(super) const NOTHING: Self = Self {
        ends: None,
        resumed: false,
    };

    /// As it is now. Where that cannot be told, all of it counts.
    pub(super) fn now(cx: &mut Cx<'_>) -> Flow<Self> {
        Ok(Self {
            ends: cx.measure_log(Log::ProvisioningAgentTrace)?.ok(),
            resumed: cx.resumed(),
        })
    }

    /// From when on what Windows records counts; `None` for all of the last day.
    fn since(&self) -> Option<Timestamp> {
        let ends = self.ends.as_ref().filter(|_| !self.resumed);
        ends.map(|ends| ends.at)
    }

    /// What the agent has written since, oldest first; nothing where it cannot be read.
    pub(super) fn trace(&self, cx: &mut Cx<'_>) -> Flow<Vec<String>> {
        let lines = cx.read_log_after(Log::ProvisioningAgentTrace, self.ends.as_ref())?;
        Ok(lines.unwrap_or_default())
    }
}

/// In the newest trace of Connect's wizard: what it wrote last.
pub(super) fn of_wizard(version: Option<Version>, cx: &mut Cx<'_>) -> Flow<Option<Trouble>> {
    let mut lines = cx.log(Log::ConnectTrace)?;
    lines.reverse();
    Ok(Trouble::find(Source::Connect, version, &lines))
}

/// All that the newest trace of Connect's wizard shows.
pub(super) fn wizard(version: Option<Version>, cx: &mut Cx<'_>) -> Flow<Vec<Trouble>> {
    let lines = cx.log(Log::ConnectTrace)?;
    Ok(Trouble::all(Source::Connect, version, &lines))
}

/// Why the engine does not run: what Windows recorded of it, then the wizard's trace.
pub(super) fn of_engine(version: Option<Version>, cx: &mut Cx<'_>) -> Flow<Option<Trouble>> {
    let logs = ["System", "Application"];
    let names = [product::CONNECT_SERVICE, product::CONNECT_PROGRAM];
    let events = events(&logs, &names, None, cx)?;
    if let Some(trouble) = Trouble::find(Source::Events, version, &events) {
        return Ok(Some(trouble));
    }
    of_wizard(version, cx)
}

/// Why an upgrade that Connect began by itself failed: what Windows recorded of it.
pub(super) fn of_upgrade(cx: &mut Cx<'_>) -> Flow<Option<Trouble>> {
    let names = [product::CONNECT_UPGRADE_SOURCE];
    let events = events(&["Application"], &names, None, cx)?;
    Ok(Trouble::find(Source::Events, None, &events))
}

/// Why the provisioning agent does not run: what Windows and itself recorded of it, then its trace.
pub(super) fn of_agent(before: &Before, cx: &mut Cx<'_>) -> Flow<Option<Trouble>> {
    let recorded = recorded_of_agent(before, cx)?.into_iter().next();
    match recorded {
        Some(trouble) => Ok(Some(trouble)),
        None => Ok(trace(before, cx)?.into_iter().next()),
    }
}

/// What Windows and the provisioning agent itself recorded of it.
fn recorded_of_agent(before: &Before, cx: &mut Cx<'_>) -> Flow<Vec<Trouble>> {
    let logs = ["System", "Application", product::AGENT_LOG];
    let names = [product::AGENT_SERVICE, product::AGENT_EXECUTABLE];
    let events = events(&logs, &names, before.since(), cx)?;
    let both = [Source::Events, Source::Trace];
    let found = both.map(|source| Trouble::all(source, None, &events));
    Ok(found.into_iter().flatten().collect())
}

/// Why the wizard's task that moves to cloud sync does not come to its end: the wizard's trace, then what the agent that it
/// brought recorded, where there is one.
pub(super) fn transition(
    version: Option<Version>,
    before: &Before,
    cx: &mut Cx<'_>,
) -> Flow<Vec<Trouble>> {
    let mut all = wizard(version, cx)?;
    if let Ok(Some(_)) = cx.service(product::AGENT_SERVICE)? {
        all.extend(recorded_of_agent(before, cx)?);
        all.extend(trace(before, cx)?);
    }
    Ok(all)
}

/// What the agent's trace shows, newest first.
fn trace(before: &Before, cx: &mut Cx<'_>) -> Flow<Vec<Trouble>> {
    let mut lines = before.trace(cx)?;
    lines.reverse();
    Ok(Trouble::all(Source::Trace, None, &lines))
}

/// Why nobody comes to the end of the agent's wizard: its sign-in page is blocked, and what its trace shows.
pub(super) fn registration(before: &Before, cx: &mut Cx<'_>) -> Flow<Vec<Trouble>> {
    let mut all = Vec::new();
    let blocked = cx.number(product::IE_ESC_KEY, "IsInstalled")?;
    if let Ok(Some(1)) = blocked
        && let Some(known) = known::of_probe(catalogue::PF33.id)
    {
        let line = "Internet Explorer enhanced security is on for administrators".to_owned();
        all.push(Trouble { known, line });
    }
    all.extend(trace(before, cx)?);
    Ok(all)
}

/// Lines of the errors that Windows recorded within the last day, and since then; none where they cannot be read.
fn events(
    logs: &[&str],
    names: &[&str],
    since: Option<Timestamp>,
    cx: &mut Cx<'_>,
) -> Flow<Vec<String>> {
    let since = since.map(Timestamp::as_millis);
    let input = serde_json::json!({ "logs": logs, "names": names, "since": since });
    let report = Report::ask(Script::ReadErrors, input, ERRORS_LIMIT, cx)?;
    let line = |line: &Value| line.as_str().map(ToOwned::to_owned);
    Ok(report.rows("lines", line).unwrap_or_default())
}

/// Why the updater does not start (PV20), as a failure with what Windows and itself recorded of it. It is a service of its own: what is wrong
/// with the agent's says nothing of it.
pub(super) fn updater_not_started(what: String, before: &Before, cx: &mut Cx<'_>) -> Flow<Failure> {
    let mut failure = Failure::plain(what);
    let read = cx.service(product::UPDATER_SERVICE)?;
    let read = read.map_or_else(|why| why, |service| step::of_service(&service));
    failure.findings = vec![catalogue::PV20.finding(read, Verdict::Fail)];
    let logs = ["System", "Application", product::UPDATER_LOG];
    let names = [product::UPDATER_SERVICE, product::UPDATER_EXECUTABLE];
    let events = events(&logs, &names, before.since(), cx)?;
    Ok(match Trouble::find(Source::Events, None, &events) {
        Some(trouble) => trouble.causes(failure),
        None => failure,
    })
}

/// Why the agent's service does not start (PV04), as a failure with what the logs show of it.
pub(super) fn not_started(what: String, before: &Before, cx: &mut Cx<'_>) -> Flow<Failure> {
    let mut failure = Failure::plain(what);
    // What cannot be read takes nothing from the failure that is told.
    let read = cx.service(product::AGENT_SERVICE)?;
    let read = read.map_or_else(|why| why, |service| step::of_service(&service));
    failure.findings = vec![catalogue::PV04.finding(read, Verdict::Fail)];
    Ok(match of_agent(before, cx)? {
        Some(trouble) => trouble.causes(failure),
        None => failure,
    })
}

/// What a look at a wizard saw.
enum Sight<T> {
    End(T),
    Trouble(Vec<Trouble>),
}

/// Watches for the end of a person's work at a wizard. Where that is long in coming, `look` reads the logs now and again, and each
/// known error that it finds is noted once, whatever else stands in the logs before it. A look that finds nothing new is forgotten, like every round of watching: a task
/// that is open for days costs no more than one of an hour.
pub(super) fn watch<T>(
    cx: &mut Cx<'_>,
    mut look: impl FnMut(&mut Cx<'_>) -> Flow<Vec<Trouble>>,
    mut seen: impl FnMut(&mut Cx<'_>) -> Flow<Option<T>>,
) -> Flow<Result<T, String>> {
    let mut told = BTreeSet::new();
    loop {
        let sight = cx.until_counting(WATCH, |cx, over| {
            if let Some(end) = seen(cx)? {
                return Ok(Some(Sight::End(end)));
            }
            if over == 0 || !over.is_multiple_of(LONG) {
                return Ok(None);
            }
            let mut news = look(cx)?;
            news.retain(|trouble| !told.contains(&trouble.known.id));
            Ok((!news.is_empty()).then_some(Sight::Trouble(news)))
        })?;
        match sight {
            Ok(Sight::End(end)) => return Ok(Ok(end)),
            Err(by) => return Ok(Err(by)),
            Ok(Sight::Trouble(news)) => {
                let mut findings = Vec::new();
                // Two places may show the same one.
                for trouble in news {
                    if told.insert(trouble.known.id.clone()) {
                        let read = start(&trouble.line);
                        let mut finding = catalogue::WZ01.finding(read, Verdict::Fail);
                        finding.fix = trouble.known.sentence();
                        findings.push(finding);
                    }
                }
                cx.note(&findings)?;
            }
        }
    }
}
