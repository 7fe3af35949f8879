//! Probes of the way to the cloud.

use protocol::event::{Finding, Severity, Verdict};
use protocol::step::{Preflight, Product};
use serde_json::Value;

use crate::catalogue::{self, Probe};
use crate::op::Op;
use crate::procedure::{Cx, Flow, Reading};
use crate::product;
use crate::step::engine;
use crate::step::report::Report;

/// Hosts that must answer by TLS before anything else makes sense.
pub(super) fn hosts(preflight: &Preflight) -> Vec<&'static str> {
    let sign_in = product::sign_in_hosts(preflight.cloud).iter();
    let own = product::product_hosts(preflight.product, preflight.cloud).iter();
    sign_in.chain(own).copied().collect()
}

pub(super) fn check(
    preflight: &Preflight,
    report: &Report,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let proxy = report.part("proxy", |part| part.as_str().map(ToOwned::to_owned));
    let planned = preflight.options.proxy.as_ref();
    let planned = planned.map(|proxy| format!("the product's proxy is {proxy}"));
    let proxied = proxy.clone().ok().filter(|proxy| proxy != "none");
    let proxied = proxied.map(|proxy| format!("the system's proxy is {proxy}"));
    let proxied = planned.or(proxied);
    let leaves = report.part("tls", |part| part.as_array().cloned());
    for host in hosts(preflight) {
        let mut finding = reach(&catalogue::PF26, host, 443, cx)?;
        let of_host = leaves.iter().flatten().find(|one| one["host"] == host);
        let why = of_host.and_then(|one| one["why"].as_str());
        if let (Verdict::Pass, Some(why)) = (finding.verdict, why) {
            finding = catalogue::PF26.finding(
                format!("{host}:443: open, and no TLS 1.2: {why}"),
                Verdict::Fail,
            );
        }
        if let (Verdict::Fail, Some(proxy)) = (finding.verdict, &proxied) {
            // The product's own proxy decides then, which is not looked through from here.
            finding = catalogue::PF26.finding(
                format!("{} (directly; {proxy})", finding.read),
                Verdict::CannotTell,
            );
            finding.severity = Severity::Warn;
        }
        findings.push(finding);
    }
    if preflight.product == Product::ProvisioningAgent {
        for host in product::registration_hosts(preflight.cloud, &preflight.tenant) {
            findings.push(reach(&catalogue::PF27, &host, 443, cx)?);
        }
    }
    for host in product::revocation_hosts(preflight.cloud) {
        findings.push(reach(&catalogue::PF28, host, 80, cx)?);
    }
    findings.push(inspected(leaves));
    if preflight.product == Product::Connect {
        findings.extend(web(preflight, cx)?);
    }
    let same = |proxy: &String| {
        let planned = preflight.options.proxy.as_ref();
        planned.is_some_and(|planned| proxy.parse().is_ok_and(|proxy| *planned == proxy))
    };
    findings
        .push(catalogue::PF30.judge(proxy, Clone::clone, |proxy| proxy == "none" || same(proxy)));
    Ok(())
}

/// Asks as the engine would: through the .NET Framework's own proxy, to the web service that the product's page names for
/// the commercial cloud (2.8 [P]).
fn web(preflight: &Preflight, cx: &mut Cx<'_>) -> Flow<Vec<Finding>> {
    const WEB_SERVICE: &str = "adminwebservice.microsoftonline.com";
    let all = hosts(preflight);
    let host = all.iter().copied().find(|host| *host == WEB_SERVICE);
    let report = engine::way(all.first().copied(), host, cx)?;
    let text = |part: &Value| part.as_str().map(ToOwned::to_owned);
    let own = report.part("machineProxy", text);
    let system = report.part("systemProxy", text);
    let bare = |proxy: &str| {
        let proxy = proxy.trim_start_matches("http://");
        proxy.trim_end_matches('/').to_lowercase()
    };
    let both = own.and_then(|own| Ok((own, system?)));
    let show = |(own, system): &(String, String)| format!("{own}; the system's is {system}");
    let mut findings =
        vec![catalogue::PF31.judge_gently(both, show, |(own, system)| bare(own) == bare(system))];
    if let Some(host) = host {
        let status = report
            .part("web", Value::as_u64)
            .and_then(|status| match status {
                200 | 403 | 407 => Ok(status),
                other => Err(format!("{host} answered {other}")),
            });
        let show = |status: &u64| format!("{host} answered {status}");
        findings.push(catalogue::PF32.judge_gently(status, show, |status| *status == 200));
    }
    Ok(findings)
}

/// PF29: one chain that ends at no public root is enough; one that could not be looked at leaves it open.
fn inspected(leaves: Reading<Vec<Value>>) -> Finding {
    let said = |one: &Value, what: &str| one[what].as_str().unwrap_or_default().to_owned();
    let show = |leaves: &Vec<Value>| {
        let leaf = |one: &Value| match one["why"].as_str() {
            Some(why) => format!("{}: {why}", said(one, "host")),
            None => format!("{} under {}", said(one, "host"), said(one, "root")),
        };
        leaves.iter().map(leaf).collect::<Vec<_>>().join(", ")
    };
    let leaves = leaves.and_then(|leaves| {
        let inspected = leaves.iter().any(|one| one["public"] == false);
        let unknown = leaves.is_empty() || leaves.iter().any(|one| one["public"].is_null());
        if unknown && !inspected {
            return Err(show(&leaves));
        }
        Ok(leaves)
    });
    let public = |leaves: &Vec<Value>| leaves.iter().all(|one| one["public"] == true);
    catalogue::PF29.judge_gently(leaves, show, public)
}

/// Opens a connection and tells whether it came about.
///
/// # Errors
/// While the outcome is missing.
pub(super) fn reach(probe: &Probe, host: &str, port: u16, cx: &mut Cx<'_>) -> Flow<Finding> {
    let reached = cx.perform(Op::Reach {
        host: host.to_owned(),
        port,
    })?;
    Ok(match reached {
        Ok(()) => probe.finding(format!("{host}:{port}: open"), Verdict::Pass),
        Err(why) => probe.finding(format!("{host}: {why}"), Verdict::Fail),
    })
}
