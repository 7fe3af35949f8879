//! What the product's own module and Windows' logs tell about a configured Connect Sync: how it signs in, what it is connected
//! to, how its runs ended, how it upgrades itself, and what an upgrade in place would find (product facts 2.10, 2.12, 2.13; PV26 to
//! PV37, CU01 to CU03).

use std::time::Duration;

use protocol::event::{Finding, Severity, Verdict};
use protocol::step::VerifyConnect;
use protocol::{DomainName, Version};
use serde_json::{Value, json};

use crate::catalogue;
use crate::op::{Program, Script};
use crate::procedure::{Cx, Flow};
use crate::product;
use crate::step::connect_module::{self, Use};
use crate::step::report::Report;
use crate::step::soak::Logged;
use crate::step::{self, soak, trouble};

const LIMIT: Duration = Duration::from_secs(5 * 60);

/// Names of rules that are told; the others are counted.
const NAMED: usize = 5;

/// Minutes of a day: what takes longer does not fit into the day of an upgrade.
const A_DAY: u64 = 24 * 60;

/// Objects from which on an upgrade in place is not the vendor's way (2.13 [P]: fewer than about that).
const IN_PLACE: u64 = 100_000;

/// The tenant's own connector (2.12 [P]).
const TENANT_CONNECTOR: &str = "b891884f-051e-4a83-95af-2544101c9083";

/// Asks about the way to the cloud, before anything is installed: how a request to `through` would go, and what the web
/// service at `web_host` answers.
pub(super) fn way(through: Option<&str>, web_host: Option<&str>, cx: &mut Cx<'_>) -> Flow<Report> {
    let input = json!({ "installed": false, "through": through, "webHost": web_host });
    Report::ask(Script::InspectConnect, input, LIMIT, cx)
}

/// What an engine that is configured tells before it is upgraded in place (product facts 2.12, 2.13): each answer warns, and
/// what cannot be read is said.
///
/// # Errors
/// While the outcome is missing.
pub(super) fn before_upgrade(cx: &mut Cx<'_>) -> Flow<Vec<Finding>> {
    let input = json!({ "installed": false, "through": null, "webHost": null, "upgrade": true });
    let report = Report::ask(Script::InspectConnect, input, LIMIT, cx)?;
    let text = |one: &Value| Some(one.as_str()?.to_owned());
    let due = report.rows("overrides", text);
    let show_due = |due: &Vec<String>| match due.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    let module = connect_module::probe(Use::BeforeUpgrade, cx)?;
    Ok(vec![
        module,
        default_rules(&report),
        catalogue::CU02.judge(due, show_due, Vec::is_empty),
        full_run(&report),
    ])
}

/// CU01: a default rule that is disabled was changed. One that was edited in place looks like any other: what the rules of a
/// version are is in no source.
fn default_rules(report: &Report) -> Finding {
    let rules = report.part("defaultRules", |part| {
        let disabled = part["disabled"].as_array()?.iter();
        let disabled = disabled.map(|name| Some(name.as_str()?.to_owned()));
        let disabled: Vec<String> = disabled.collect::<Option<_>>()?;
        Some((part["number"].as_u64()?, disabled))
    });
    let show = |(number, disabled): &(u64, Vec<String>)| {
        let off = match disabled.as_slice() {
            [] => "none disabled".to_owned(),
            some => {
                let first: Vec<&str> = some.iter().take(NAMED).map(String::as_str).collect();
                let more = some.len() - first.len();
                let more = (more > 0).then(|| format!(" and {more} more"));
                format!(
                    "{} disabled: {}{}",
                    some.len(),
                    first.join(", "),
                    more.unwrap_or_default()
                )
            }
        };
        format!("{number} default rules, {off}; whether one was edited in place cannot be told")
    };
    catalogue::CU01.judge(rules, show, |(_, disabled)| disabled.is_empty())
}

/// CU03: full runs of the connectors follow each other, so their times add up.
fn full_run(report: &Report) -> Finding {
    let row = |row: &Value| row["minutes"].as_u64();
    let minutes = report.rows("fullRuns", row).and_then(|rows| {
        if rows.is_empty() {
            return Err("the history holds no full run that ended well".to_owned());
        }
        Ok(rows.iter().sum::<u64>())
    });
    let objects = report.part("objects", Value::as_u64);
    let both = match (minutes, objects) {
        (Ok(minutes), Ok(objects)) => Ok((minutes, objects)),
        (Err(why), Ok(objects)) => Err(format!("{objects} objects; how long it takes: {why}")),
        (Ok(minutes), Err(why)) => Err(format!("{}; how many objects: {why}", about(minutes))),
        (Err(why), Err(other)) => Err(format!("{why}; {other}")),
    };
    let show = |(minutes, objects): &(u64, u64)| format!("{}, {objects} objects", about(*minutes));
    let fits = |(minutes, objects): &(u64, u64)| *minutes < A_DAY && *objects < IN_PLACE;
    catalogue::CU03.judge(both, show, fits)
}

fn about(minutes: u64) -> String {
    format!("about {} h {:02} min", minutes / 60, minutes % 60)
}

/// The probes of an engine that is configured. None of them stops a verification for what it could not read.
///
/// # Errors
/// While the outcome is missing.
pub(super) fn verified(
    verify: &VerifyConnect,
    (version, exports): (Option<Version>, bool),
    cx: &mut Cx<'_>,
) -> Flow<Vec<Finding>> {
    let input = json!({
        "installed": true, "through": null, "webHost": null, "passwords": verify.password_sync,
        "days": soak::days(verify.soaked_seconds),
    });
    let report = Report::ask(Script::InspectConnect, input, LIMIT, cx)?;
    let text = |part: &Value| Some(part.as_str()?.to_owned());
    let identity = report.part("identity", text);
    let of = Use::Verify {
        passwords: verify.password_sync,
    };
    let mut findings = vec![
        connect_module::probe(of, cx)?,
        catalogue::PV26.judge(identity, Clone::clone, |kind| kind == "Application"),
        certificates(&report, verify.soaked_seconds),
        connectors(&report, &verify.forests),
        runs(&report, exports),
        upgrades_itself(&report),
        failed_upgrades(&report, verify.soaked_seconds, cx)?,
        trace(&report, version, cx)?,
        databases(cx)?,
    ];
    if verify.password_sync {
        findings.push(passwords(&report, &verify.forests));
    }
    Ok(findings)
}

/// PV35: whether the connector of each planned forest synchronizes password hashes. One that somebody renamed cannot be told.
fn passwords(report: &Report, forests: &[DomainName]) -> Finding {
    let row = |row: &Value| {
        let name = row["connector"].as_str()?.to_lowercase();
        Some((name, row["on"].as_bool()?))
    };
    let rows = report.rows("passwords", row).and_then(|rows| {
        let of = |forest: &DomainName| {
            let own = rows.iter().find(|(name, _)| name == forest.as_str());
            own.cloned()
                .ok_or_else(|| format!("no connector is named {forest}"))
        };
        forests.iter().map(of).collect::<Result<Vec<_>, _>>()
    });
    let show = |rows: &Vec<(String, bool)>| {
        let off = rows.iter().filter(|(_, on)| !on);
        let off: Vec<&str> = off.map(|(name, _)| name.as_str()).collect();
        match off.as_slice() {
            [] => format!("on for {} connectors", rows.len()),
            off => format!("off for {}", off.join(", ")),
        }
    };
    let all = |rows: &Vec<(String, bool)>| rows.iter().all(|(_, on)| *on);
    catalogue::PV35.judge_gently(rows, show, all)
}

/// Whether that is the id of the tenant's own connector.
pub(super) fn is_tenant_connector(id: &str) -> bool {
    id.trim_matches(['{', '}'])
        .eq_ignore_ascii_case(TENANT_CONNECTOR)
}

/// Number of the event that says that the certificate has lapsed; 1011 says that it is to be rotated, which 150 days before is
/// no error (2.10 [P]).
const LAPSED: i64 = 1012;

/// An event, and its source.
type Event = (Logged, String);

fn event(row: &Value) -> Option<Event> {
    let source = row["source"].as_str()?.to_owned();
    Some((Logged::read(row)?, source))
}

fn show_events(events: &[Event]) -> String {
    match events.first() {
        None => "none".to_owned(),
        Some((newest, source)) => {
            let (all, id, hours) = (events.len(), newest.id, newest.hours());
            format!("{all}, the newest {id} of {source}, {hours} hours ago")
        }
    }
}

fn certificates(report: &Report, soaked_seconds: Option<u32>) -> Finding {
    let events = report.rows("certificates", event);
    let logged = events.clone().unwrap_or_default();
    let mut finding = catalogue::PV27.judge(events, |events| show_events(events), Vec::is_empty);
    let lapsed = logged.iter().map(|(event, _)| event);
    let lapsed = lapsed.filter(|event| event.id == LAPSED);
    soak::judge(&mut finding, lapsed, soaked_seconds);
    finding
}

/// PV34: upgrades that the product began by itself and that failed, and why where Windows recorded a known error of it.
fn failed_upgrades(report: &Report, soaked_seconds: Option<u32>, cx: &mut Cx<'_>) -> Flow<Finding> {
    let events = report.rows("upgrades", event);
    let logged = events.clone().unwrap_or_default();
    let mut finding = catalogue::PV34.judge(events, |events| show_events(events), Vec::is_empty);
    if finding.verdict == Verdict::Fail
        && let Some(trouble) = trouble::of_upgrade(cx)?
    {
        trouble.explain(&mut finding);
    }
    let failed = logged.iter().map(|(event, _)| event);
    soak::judge(&mut finding, failed, soaked_seconds);
    Ok(finding)
}

/// That a forest's connector has the forest's name is how the product names it unless somebody renamed it: a name that is
/// missing warns. Without the tenant's connector nothing goes out at all.
fn connectors(report: &Report, forests: &[DomainName]) -> Finding {
    let row = |row: &Value| {
        let text = |name: &str| Some(row[name].as_str()?.to_lowercase());
        Some((text("name")?, text("identifier")?))
    };
    let rows = report.rows("connectors", row);
    let tenant = |(_, identifier): &(String, String)| is_tenant_connector(identifier);
    let missing = |rows: &Vec<(String, String)>| -> Vec<String> {
        let mut missing = Vec::new();
        if !rows.iter().any(tenant) {
            missing.push("the tenant's".to_owned());
        }
        let lacks = |forest: &&DomainName| !rows.iter().any(|(name, _)| name == forest.as_str());
        missing.extend(forests.iter().filter(lacks).map(ToString::to_string));
        missing
    };
    let without_tenant = rows.as_ref().is_ok_and(|rows| !rows.iter().any(tenant));
    let show = |rows: &Vec<(String, String)>| {
        let names: Vec<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(", ");
        match missing(rows).as_slice() {
            [] => names,
            some => format!("{names}; none for {}", some.join(", ")),
        }
    };
    let mut finding = catalogue::PV28.judge_gently(rows, show, |rows| missing(rows).is_empty());
    if !without_tenant {
        finding.severity = finding.severity.min(Severity::Warn);
    }
    finding
}

/// A run as the history tells it.
struct Run {
    /// Of which connector and profile.
    what: String,
    result: String,
    ended: bool,
}

/// What a run that is under way is called in the history ([K]: by that it is left out, and nothing else).
const UNDER_WAY: &str = "in-progress";

impl Run {
    fn read(row: &Value) -> Option<Self> {
        let text = |name: &str| Some(row[name].as_str()?.to_owned());
        let result = text("result")?;
        Some(Self {
            what: text("run")?,
            ended: row["ended"].as_bool()? && !result.is_empty() && !result.starts_with(UNDER_WAY),
            result,
        })
    }
}

/// PV29: how the newest run of each connector and profile ended that has ended. One that ended otherwise than complete, on a server
/// that exports, leaves the tenant behind the directory; errors of single objects are everyday and are told. What words there are
/// beside `success` is in no source: one that does not begin with `completed` ([K]) counts as broken off.
fn runs(report: &Report, exports: bool) -> Finding {
    let mut under_way = 0;
    let rows = report.rows("runs", Run::read).and_then(|all| {
        // The newest come first.
        let mut newest: Vec<Run> = Vec::new();
        for run in all {
            if !run.ended {
                under_way += 1;
            } else if newest.iter().all(|other| other.what != run.what) {
                newest.push(run);
            }
        }
        match (newest.as_slice(), under_way) {
            ([], 0) => Err("no run is recorded yet".to_owned()),
            ([], _) => Err("no run has ended yet".to_owned()),
            _ => Ok(newest),
        }
    });
    let show = |rows: &Vec<Run>| {
        let bad = rows.iter().filter(|run| run.result != "success");
        let bad: Vec<String> = bad
            .map(|run| format!("{}: {}", run.what, run.result))
            .collect();
        let mut read = match bad.as_slice() {
            [] => format!("all {} ended with success", rows.len()),
            some => some.join("; "),
        };
        if under_way > 0 {
            read.push_str(&format!("; {under_way} under way, which is not judged"));
        }
        read
    };
    let broken = |run: &Run| run.result != "success" && !run.result.starts_with("completed");
    let broke_off = rows.as_ref().is_ok_and(|rows| rows.iter().any(broken));
    let mut finding = catalogue::PV29.judge_gently(rows, show, |rows| {
        rows.iter().all(|run| run.result == "success")
    });
    if !(exports && broke_off) {
        finding.severity = finding.severity.min(Severity::Warn);
    }
    finding
}

fn upgrades_itself(report: &Report) -> Finding {
    let state = report.part("autoUpgrade", |part| {
        let detail: String = part["detail"].as_str()?.chars().take(200).collect();
        Some((part["state"].as_str()?.to_owned(), detail))
    });
    let show = |(state, detail): &(String, String)| match detail.as_str() {
        "" => state.clone(),
        detail => format!("{state} ({detail})"),
    };
    let chosen = |(state, _): &(String, String)| ["Enabled", "Disabled"].contains(&state.as_str());
    catalogue::PV33.judge(state, show, chosen)
}

/// PV37: errors at the end of the wizard's newest trace, and what they mean where that is known.
fn trace(report: &Report, version: Option<Version>, cx: &mut Cx<'_>) -> Flow<Finding> {
    let read = report.part("trace", |part| {
        Some((part["file"].as_str()?.to_owned(), part["errors"].as_u64()?))
    });
    let show = |(file, errors): &(String, u64)| format!("{errors} in {file}");
    let mut finding = catalogue::PV37.judge(read, show, |(_, errors)| *errors == 0);
    if finding.verdict == Verdict::Fail
        && let Some(trouble) = trouble::of_wizard(version, cx)?
    {
        trouble.explain(&mut finding);
    }
    Ok(finding)
}

/// WZ02: a database engine that an upgrade from an earlier version left.
fn databases(cx: &mut Cx<'_>) -> Flow<Finding> {
    let left = cx.programs(&product::OLD_LOCAL_DB)?;
    let show = |programs: &Vec<Program>| step::names_or_none(programs);
    Ok(catalogue::WZ02.judge(left, show, Vec::is_empty))
}
