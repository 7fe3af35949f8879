//! Probes of what the two products are on this server already, and of what they will need there.

use protocol::event::{Finding, Owner, Severity, Verdict};
use protocol::step::{Preflight, Product};
use serde_json::Value;

use super::policies::Policies;
use super::{halves, or_absent};
use crate::catalogue;
use crate::op::Service;
use crate::procedure::{Cx, Flow};
use crate::product;
use crate::step::engine;
use crate::step::module;
use crate::step::report::Report;

pub(super) fn check(
    preflight: &Preflight,
    (report, policies): (&Report, &Policies),
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let agent = cx.service(product::AGENT_SERVICE)?;
    let engine = cx.service(product::CONNECT_SERVICE)?;
    let show = |service: &Option<Service>| match service {
        Some(service) => format!("service {:?}", service.state),
        None => "absent".to_owned(),
    };
    match preflight.product {
        Product::ProvisioningAgent => {
            let tenant = cx.text(product::AGENT_KEY, product::AGENT_TENANT)?;
            let same = |tenant: &Option<String>| {
                let is = |tenant: &String| tenant.eq_ignore_ascii_case(preflight.tenant.as_str());
                tenant.as_ref().is_none_or(is)
            };
            findings.push(catalogue::PF40.judge(tenant, or_absent, same));
            findings.push(catalogue::PF42.judge(engine, show, Option::is_none));
            findings.push(other_purpose(cx)?);
            findings.extend(module::probe(cx)?);
            logon_right(policies.report(), findings);
        }
        Product::Connect => {
            let present = engine.as_ref().is_ok_and(Option::is_some);
            let mut finding =
                catalogue::PF41.judge(engine, show, |engine| engine.is_some() == preflight.present);
            if finding.verdict == Verdict::Pass && present {
                finding.wanted = "Connect, as the plan read it".to_owned();
            }
            findings.push(finding);
            findings.push(catalogue::PF42.judge(agent, show, Option::is_none));
            let ready = report.part("tpm", Value::as_bool);
            let show = |ready: &bool| if *ready { "ready" } else { "not ready" }.to_owned();
            findings.push(catalogue::PF70.judge(ready, show, |ready| *ready));
            if present {
                engine_state(preflight.stays, report, findings);
                findings.extend(engine::before_upgrade(cx)?);
            }
        }
    }
    Ok(())
}

/// PF76: what shows that the agent serves something else than this plan knows of. The same agent may provision on-premises
/// applications, for which the ECMA Connector Host stands beside it, or HR's people; what it serves otherwise shows in the tenant
/// alone, so that nothing here says that it serves nothing else.
pub(super) fn other_purpose(cx: &mut Cx<'_>) -> Flow<Finding> {
    let host = cx.service(product::ECMA_SERVICE)?;
    let value = cx.registry(product::AGENT_KEY, product::AGENT_HR_VALUE)?;
    let seen = host.and_then(|host| {
        let host = host.map(|_| "the service of the ECMA Connector Host: on-premises applications");
        let value = value?.map(|_| "UserPasswordLength is set: HR inbound");
        Ok(host.into_iter().chain(value).collect::<Vec<&str>>())
    });
    let show = |seen: &Vec<&str>| {
        match seen.as_slice() {
        [] => "no sign of it on this server; HR provisioning leaves none as a rule, and shows in the tenant alone".to_owned(),
        some => some.join("; "),
    }
    };
    Ok(catalogue::PF76.judge(seen, show, Vec::is_empty))
}

/// As an export by name shows it, and by its identifier.
const ALL_SERVICES: [&str; 2] = [r"NT SERVICE\ALL SERVICES", "S-1-5-80-0"];

/// Whether a holder of a right is well known and has no account of a domain in it: services' own accounts and their group (S-1-5-80),
/// Local Service and Network Service. As [K] the same holds of Local System, application pools (82) and virtual machines (83).
fn none_of_a_domain(holder: &str) -> bool {
    let whole = ["S-1-5-18", "S-1-5-19", "S-1-5-20"];
    let below = ["S-1-5-80-", "S-1-5-82-", "S-1-5-83-", r"NT SERVICE\"];
    whole.contains(&holder) || below.iter().any(|start| holder.starts_with(start))
}

/// PF34: who holds the right, and whether a policy of the domain sets it. Where one does, the services' own group and the gMSA must be
/// among them; the gMSA may be so by a group that is named, which is not looked up here.
fn logon_right(report: &Report, findings: &mut Vec<Finding>) {
    let right = report.part("logonRight", |part| {
        let name = |one: &Value| one.as_str().map(ToOwned::to_owned);
        let holders: Vec<String> = part["holders"]
            .as_array()?
            .iter()
            .filter_map(name)
            .collect();
        let policy = part["policy"].as_str()?.to_owned();
        let gmsa = part["gmsa"].as_str().unwrap_or_default().to_owned();
        Some((policy, holders, gmsa))
    });
    let local = report.part("logonRight", |part| part["local"].as_bool());
    let policy = right.as_ref().map_or("", |(policy, ..)| policy).to_owned();
    let right = right.and_then(|(policy, holders, gmsa)| {
        let services = holders
            .iter()
            .any(|who| ALL_SERVICES.contains(&who.as_str()));
        let named = !gmsa.is_empty() && holders.contains(&gmsa);
        let fine = policy.is_empty() || services && named;
        // Whoever else is named may have it among its members.
        let others = holders.iter().filter(|who| !none_of_a_domain(who));
        let others: Vec<&str> = others.map(String::as_str).collect();
        if !fine && services && !others.is_empty() {
            return Err(format!(
                "policy \"{policy}\" sets it for {}: whether the gMSA is in {} cannot be told here",
                holders.join(", "),
                others.join(" or ")
            ));
        }
        Ok((policy, holders, fine))
    });
    let show = |(policy, holders, _): &(String, Vec<String>, bool)| {
        let by = match policy.as_str() {
            "" => "no policy sets it".to_owned(),
            name => format!("policy \"{name}\" sets it"),
        };
        match holders.as_slice() {
            [] => format!("{by}; held by nobody"),
            some => format!("{by}; held by {}", some.join(", ")),
        }
    };
    let mut finding = catalogue::PF34.judge_gently(right, show, |(_, _, fine)| *fine);
    if finding.verdict != Verdict::Pass && !policy.is_empty() {
        finding.fix = format!(
            "have policy \"{policy}\" allow NT SERVICE\\ALL SERVICES and the gMSA: what a policy sets is left as it is. An account that the product would make can stand in no policy before: allow a group that it is put into, or have it made beforehand (entrain handover, gmsa = \"NAME$\")"
        );
        if local != Ok(true) {
            finding.owner = Owner::Directory;
        }
    }
    findings.push(finding);
}

/// How many minutes after it was laid down a file counts as edited, and how far apart from its program it may be laid down.
const EDITED: i64 = 5;
const TOGETHER: i64 = 30;

/// PF72: a configuration file that was written to after it was laid down was edited. What the product's own holds is in no
/// source; so one that came at another time than its program may be a copy that was edited elsewhere, and cannot be told.
fn edited(report: &Report) -> Finding {
    let file = |file: &Value| {
        let name = file["name"].as_str()?.to_owned();
        Some((name, file["written"].as_i64()?, file["laid"].as_i64()?))
    };
    let names = |files: &[(String, i64, i64)], which: fn(&(String, i64, i64)) -> bool| {
        let names = files.iter().filter(|file| which(file));
        let names: Vec<&str> = names.map(|(name, ..)| name.as_str()).collect();
        names.join(", ")
    };
    let files = report.rows("configurations", file).and_then(|files| {
        let edited = names(&files, |(_, written, _)| *written > EDITED);
        let apart = names(&files, |(_, _, laid)| laid.abs() > TOGETHER);
        if edited.is_empty() && !apart.is_empty() {
            return Err(format!(
                "{apart}: laid down at another time than the program beside it, by an upgrade or as a copy"
            ));
        }
        Ok(edited)
    });
    let show = |edited: &String| match edited.as_str() {
        "" => "none edited".to_owned(),
        some => some.to_owned(),
    };
    catalogue::PF72.judge(files, show, String::is_empty)
}

/// What an upgrade needs of an engine that is there; of one that stays as it is, it warns.
fn engine_state(stays: bool, report: &Report, findings: &mut Vec<Finding>) {
    findings.push(edited(report));
    let text = |one: &Value| one.as_str().map(ToOwned::to_owned);
    let mut idle = halves(
        &catalogue::PF73,
        "idle",
        [
            (
                "whether the wizard or Synchronization Service Manager is open",
                report.rows("open", text),
            ),
            ("whether a run is under way", report.rows("runs", text)),
        ],
    );
    let hours = report.part("settingsExportHours", Value::as_u64);
    let show = |hours: &u64| format!("the newest is {hours} hours old");
    let mut export = catalogue::PF74.judge(hours, show, |hours| *hours < 24);
    if stays {
        for finding in [&mut idle, &mut export] {
            finding.severity = finding.severity.min(Severity::Warn);
        }
    }
    findings.extend([idle, export]);
}
