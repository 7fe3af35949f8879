//! The verification of an agent: what is there, whose it is, and what its logs and its updater say.

use std::time::Duration;

use protocol::Version;
use protocol::event::{Completion, Finding, Verdict};
use protocol::facts::{ProvisioningAgentFacts, ServiceState};
use protocol::id::GmsaName;
use protocol::step::VerifyProvisioningAgent;

use super::{configured, installed};
use crate::catalogue;
use crate::known::{self, Source};
use crate::op::{Log, Script};
use crate::procedure::{Complete, Cx, Flow, Reading};
use crate::product;
use crate::step::report::Report;
use crate::step::soak::Logged;
use crate::step::{self, facts, module, options, rights, soak, trouble};
use crate::withhold;

/// How long the event log may take.
const EVENTS_LIMIT: Duration = Duration::from_secs(120);

/// Verifies and tells the grade that was seen. The tenant's own view is not asked here.
///
/// # Errors
/// While outcomes are missing, and when what is there is not what is wanted.
pub fn verify(verify: &VerifyProvisioningAgent, cx: &mut Cx<'_>) -> Flow<Complete> {
    let soaked = verify.soaked_seconds;
    let verify = &VerifyProvisioningAgent {
        soaked_seconds: soaked.map(|asked| soak::lasted(asked, cx)),
        ..verify.clone()
    };
    let agent = installed(cx)?;
    let updater = cx.service(product::UPDATER_SERVICE)?;
    let agent = agent.unwrap_or(ProvisioningAgentFacts {
        version: None,
        tenant: None,
        service: None,
        account: None,
        options: None,
        updater: None,
        owes_registration: None,
    });
    let version = match agent.version {
        Some(version) => version.to_string(),
        None => "absent".to_owned(),
    };
    let new_enough = agent
        .version
        .is_some_and(|version| version >= verify.at_least);
    let running = agent.service == Some(ServiceState::Running);
    let account = agent.account.clone().unwrap_or_else(|| "absent".to_owned());
    let tenant = agent
        .tenant
        .as_ref()
        .map_or("absent".to_owned(), ToString::to_string);
    let pass = |pass: bool| if pass { Verdict::Pass } else { Verdict::Fail };
    let mut of_version = catalogue::PV03.finding(version.clone(), pass(new_enough));
    of_version.wanted = format!("{} or later", verify.at_least);
    let mut of_account =
        catalogue::PV05.finding(account, pass(agent.runs_as(verify.gmsa.as_ref())));
    of_account.wanted = gmsa_text(verify.gmsa.as_ref());
    let its_tenant = agent.tenant.as_ref() == Some(&verify.tenant);
    let owes = agent.owes_registration.is_some();
    let mut of_tenant = if owes {
        let read = format!(
            "{tenant}; a registration by cmdlets was begun here and has not come to its end: domains may be missing"
        );
        catalogue::PV06.finding(read, Verdict::Fail)
    } else {
        catalogue::PV06.finding(tenant, pass(its_tenant))
    };
    of_tenant.wanted = verify.tenant.to_string();
    if owes && its_tenant {
        "plan again: the registration is gone on with, by the cmdlets or at the wizard"
            .clone_into(&mut of_tenant.fix);
    }
    let state = agent
        .service
        .map_or("absent".to_owned(), |state| format!("{state:?}"));
    let folder = cx.text(product::AGENT_KEY, product::AGENT_FOLDER_VALUE)?;
    let module = folder.map(|folder| {
        let folder = folder.unwrap_or_else(|| product::AGENT_FOLDER.to_owned());
        facts::join(&folder, product::AGENT_MODULE)
    });
    let module = match module {
        Ok(path) => cx.file_version(&path)?,
        Err(why) => Err(why),
    };
    let show_version = |version: &Option<Version>| match version {
        Some(version) => version.to_string(),
        None => "absent".to_owned(),
    };
    let service = cx.service(product::AGENT_SERVICE)?;
    let automatic = matches!(service, Ok(Some(service)) if service.automatic);
    let lame = lame(&updater);
    let mut of_service = catalogue::PV04.finding(
        format!(
            "{state}, {}{}",
            started(automatic),
            lame.as_deref().unwrap_or_default()
        ),
        pass(running && automatic && lame.is_none()),
    );
    if running && automatic && lame.is_some() {
        of_service.fix = format!(
            "have Windows start {} by itself, and start it: the product updates itself by it",
            product::UPDATER_SERVICE
        );
    }
    let stopped = if running {
        None
    } else {
        trouble::of_agent(&trouble::Before::NOTHING, cx)?
    };
    if let Some(trouble) = &stopped {
        trouble.explain(&mut of_service);
    }
    let mut of_updater = updated(updater, cx)?;
    soak::insist(&mut of_updater, verify.soaked_seconds);
    let (of_events, ends) = events(verify.soaked_seconds, cx)?;
    let mut findings = vec![
        catalogue::PV02.judge_gently(module, show_version, Option::is_some),
        of_version,
        of_service,
        of_account,
        of_tenant,
        of_events,
        trace(cx)?,
        of_updater,
    ];
    findings.extend(module::probe(cx)?);
    findings.extend(options::verified(&verify.options, &agent));
    findings.extend(options::by_hand(&verify.options, cx)?);
    let aged = step::stability(product::AGENT_SERVICE, soaked, cx)?;
    findings.push(soak::ends(aged, &ends, verify.soaked_seconds));
    if let Some(rights) = &verify.own_rights {
        findings.extend(rights::verified(rights, agent.account.as_deref(), cx)?);
    }
    let cycles = match verify.soaked_seconds {
        Some(_) => {
            findings.push(soak::no_cycles());
            "; nothing here tells of its cycles"
        }
        None => "",
    };
    let question = soak::question(&findings, verify.soaked_seconds);
    step::settle_showing(findings, stopped, cx)?;
    soak::told(question)?;
    let summary =
        format!("version {version}, registered on this server; not seen in tenant{cycles}");
    Ok(configured(Completion::AlreadySo, summary))
}

/// How a service is started, in words.
pub(super) const fn started(automatic: bool) -> &'static str {
    if automatic {
        "started by Windows"
    } else {
        "started by hand"
    }
}

/// What PV04 says of an updater that does not run, or that Windows does not start. That there is none of that name is PV20's
/// matter: the name is a secondary source's (1.3 [S]).
fn lame(updater: &Reading<Option<crate::op::Service>>) -> Option<String> {
    let updater = updater.as_ref().ok()?.as_ref()?;
    let well = updater.state == ServiceState::Running && updater.automatic;
    (!well).then(|| {
        format!(
            "; {} {:?}, {}",
            product::UPDATER_SERVICE,
            updater.state,
            started(updater.automatic)
        )
    })
}

/// PV20: the updater runs, and Windows lists the package, the agent and the updater, under their newer names or their older.
fn updated(updater: Reading<Option<crate::op::Service>>, cx: &mut Cx<'_>) -> Flow<Finding> {
    let programs = cx.programs(product::AGENT_PROGRAMS)?;
    let missing = programs.map(|programs| {
        let absent = |names: &&[&'static str; 2]| {
            let named = |name: &&str| {
                programs
                    .iter()
                    .any(|one| one.name.eq_ignore_ascii_case(name))
            };
            !names.iter().any(named)
        };
        let missing = product::AGENT_ENTRIES.iter().filter(absent);
        missing.map(|names| names[0]).collect::<Vec<&str>>()
    });
    let both = updater.and_then(|updater| Ok((updater, missing?)));
    let show = |(updater, missing): &(Option<crate::op::Service>, Vec<&str>)| {
        let updater = step::of_service(updater);
        match missing.as_slice() {
            [] => updater,
            some => format!("{updater}; not listed: {}", some.join(", ")),
        }
    };
    Ok(catalogue::PV20.judge(both, show, |(updater, missing)| {
        let runs = |service: &crate::op::Service| service.state == ServiceState::Running;
        updater.as_ref().is_some_and(runs) && missing.is_empty()
    }))
}

/// PV08: errors in the agent's event log. Beside it, how often Windows saw its services end, for PV07.
fn events(soaked_seconds: Option<u32>, cx: &mut Cx<'_>) -> Flow<(Finding, Reading<Vec<Logged>>)> {
    let services = [product::AGENT_SERVICE, product::UPDATER_SERVICE];
    let report = Report::ask(
        Script::ReadAgentEvents,
        serde_json::json!({ "services": services, "days": soak::days(soaked_seconds) }),
        EVENTS_LIMIT,
        cx,
    )?;
    let ends = report.rows("ends", Logged::read);
    let events = report.rows("events", Logged::read);
    let logged = events.clone().unwrap_or_default();
    let noise = report.part("noise", serde_json::Value::as_u64);
    let events = events.and_then(|events| Ok((events, noise?)));
    let show = |(events, noise): &(Vec<Logged>, u64)| {
        let seen = match events.first() {
            None => "none".to_owned(),
            Some(newest) => {
                let (id, hours) = (newest.id, newest.hours());
                format!("{}, the newest {id}, {hours} hours ago", events.len())
            }
        };
        match noise {
            0 => seen,
            noise => format!("{seen}; {noise} about performance counters"),
        }
    };
    let mut finding = catalogue::PV08.judge(events, show, |(events, _)| events.is_empty());
    soak::judge(&mut finding, &logged, soaked_seconds);
    Ok((finding, ends))
}

/// PV09: the last lines of the newest trace.
pub(super) fn trace(cx: &mut Cx<'_>) -> Flow<Finding> {
    let reading = cx.read_log(Log::ProvisioningAgentTrace)?;
    let wrong = |lines: &Vec<String>| {
        let known = known::recognize_last(Source::Trace, lines).map(|(_, line)| line);
        known.or_else(|| {
            lines
                .iter()
                .rev()
                .find(|line| line.contains("Exception"))
                .map(|line| withhold::names(line))
        })
    };
    let fix = reading
        .as_ref()
        .ok()
        .and_then(|lines| known::recognize_last(Source::Trace, lines));
    let show = |lines: &Vec<String>| match wrong(lines) {
        Some(line) => trouble::start(&line),
        None => format!("none in {} lines", lines.len()),
    };
    let mut finding = catalogue::PV09.judge(reading, show, |lines| wrong(lines).is_none());
    if let Some((known, _)) = fix {
        finding.fix = known.sentence();
    }
    Ok(finding)
}

/// The start of a line, as much as fits a finding.
pub(super) fn short(line: &str) -> String {
    line.trim().chars().take(200).collect()
}

fn gmsa_text(gmsa: Option<&GmsaName>) -> String {
    gmsa.map_or(
        "a group managed service account".to_owned(),
        ToString::to_string,
    )
}
