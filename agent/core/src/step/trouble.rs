//! Why something does not come about: where a service does not run, or a wizard has not come to its end, the logs are read and
//! known errors looked for in them (product facts 1.13, 2.15).

use std::time::Duration;

use protocol::Version;
use protocol::event::{Finding, KnownCause, Verdict};
use serde_json::Value;

use crate::catalogue;
use crate::known::{self, Source};
use crate::op::{Log, Script};
use crate::procedure::{Cx, Flow, Waited};
use crate::product;
use crate::step::WATCH;
use crate::step::report::Report;

/// How many rounds of watching a wizard may take before its trace is read: half an hour.
pub(super) const LONG: u32 = 60;

/// How often the trace of one wizard is read.
const READS: u32 = 3;

const ERRORS_LIMIT: Duration = Duration::from_secs(120);

/// A known error, with the line that shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) known: KnownCause,
    pub(super) line: String,
}

impl Trouble {
    fn find(source: Source, version: Option<Version>, lines: &[String]) -> Option<Self> {
        let (known, line) = known::recognize_of(source, version, lines)?;
        Some(Self { known, line })
    }

    /// Has a finding that does not pass say cause, fix and line.
    pub(super) fn explain(&self, finding: &mut Finding) {
        if finding.verdict == Verdict::Pass {
            return;
        }
        finding.read = format!("{}; {}", finding.read, start(&self.line));
        finding.fix = fix(&self.known);
    }
}

/// Cause and fix in a sentence.
pub(super) fn fix(known: &KnownCause) -> String {
    format!("{} ({}): {}", known.cause, known.id, known.fix)
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

/// In the newest trace of Connect's wizard.
pub(super) fn of_wizard(version: Option<Version>, cx: &mut Cx<'_>) -> Flow<Option<Trouble>> {
    let lines = cx.log(Log::ConnectTrace)?;
    Ok(Trouble::find(Source::Connect, version, &lines))
}

/// Why the engine does not run: what Windows recorded of it, then the wizard's trace.
pub(super) fn of_engine(version: Option<Version>, cx: &mut Cx<'_>) -> Flow<Option<Trouble>> {
    let logs = ["System", "Application"];
    let names = [product::CONNECT_SERVICE, product::CONNECT_PROGRAM];
    let events = events(&logs, &names, cx)?;
    if let Some(trouble) = Trouble::find(Source::Events, version, &events) {
        return Ok(Some(trouble));
    }
    of_wizard(version, cx)
}

/// Why the provisioning agent does not run: what Windows and itself recorded of it, then its trace.
pub(super) fn of_agent(cx: &mut Cx<'_>) -> Flow<Option<Trouble>> {
    let logs = ["System", "Application", product::AGENT_LOG];
    let names = [product::AGENT_SERVICE, product::AGENT_EXECUTABLE];
    let events = events(&logs, &names, cx)?;
    for source in [Source::Events, Source::Trace] {
        if let Some(trouble) = Trouble::find(source, None, &events) {
            return Ok(Some(trouble));
        }
    }
    of_trace(cx)
}

fn of_trace(cx: &mut Cx<'_>) -> Flow<Option<Trouble>> {
    let lines = cx.log(Log::ProvisioningAgentTrace)?;
    Ok(Trouble::find(Source::Trace, None, &lines))
}

/// Why nobody comes to the end of the agent's wizard: its sign-in page is blocked, or what its trace shows.
pub(super) fn of_registration(cx: &mut Cx<'_>) -> Flow<Option<Trouble>> {
    let blocked = cx.number(product::IE_ESC_KEY, "IsInstalled")?;
    if let Ok(Some(1)) = blocked
        && let Some(known) = known::of_probe(catalogue::PF33.id)
    {
        let line = "Internet Explorer enhanced security is on for administrators".to_owned();
        return Ok(Some(Trouble { known, line }));
    }
    of_trace(cx)
}

/// Lines of the errors that Windows recorded; none where they cannot be read.
fn events(logs: &[&str], names: &[&str], cx: &mut Cx<'_>) -> Flow<Vec<String>> {
    let input = serde_json::json!({ "logs": logs, "names": names });
    let report = Report::ask(Script::ReadErrors, input, ERRORS_LIMIT, cx)?;
    let line = |line: &Value| line.as_str().map(ToOwned::to_owned);
    Ok(report.rows("lines", line).unwrap_or_default())
}

/// Watches for the end of a person's work at a wizard. Where that is long in coming, `look` reads the logs, and what it
/// finds is noted once.
pub(super) fn watch<T>(
    cx: &mut Cx<'_>,
    mut look: impl FnMut(&mut Cx<'_>) -> Flow<Option<Trouble>>,
    mut seen: impl FnMut(&mut Cx<'_>) -> Flow<Option<T>>,
) -> Flow<Result<T, String>> {
    let mut told = None;
    for _ in 0..READS {
        match cx.until_within(WATCH, LONG, &mut seen)? {
            Waited::Seen(value) => return Ok(Ok(value)),
            Waited::Attested(by) => return Ok(Err(by)),
            Waited::InVain => {}
        }
        let trouble = look(cx)?;
        if trouble == told {
            continue;
        }
        if let Some(trouble) = &trouble {
            let mut finding = catalogue::WZ01.finding(start(&trouble.line), Verdict::Fail);
            finding.fix = fix(&trouble.known);
            cx.note(&[finding])?;
        }
        told = trouble;
    }
    cx.until(WATCH, seen)
}
