//! Probes of the way to the cloud.

use protocol::event::{Finding, Verdict};
use protocol::step::{Preflight, Product};
use serde_json::Value;

use super::host::Report;
use crate::catalogue::{self, Probe};
use crate::op::Op;
use crate::procedure::{Cx, Flow};
use crate::product;

pub(super) fn check(
    preflight: &Preflight,
    report: &Report,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    for host in product::sign_in_hosts(preflight.cloud) {
        findings.push(reach(&catalogue::PF26, host, 443, cx)?);
    }
    if preflight.product == Product::ProvisioningAgent {
        for host in product::registration_hosts(preflight.cloud, &preflight.tenant) {
            findings.push(reach(&catalogue::PF27, &host, 443, cx)?);
        }
    }
    for host in product::revocation_hosts(preflight.cloud) {
        findings.push(reach(&catalogue::PF28, host, 80, cx)?);
    }
    let leaves = report.part("tls", |part| part.as_array().cloned());
    let said = |one: &Value, what: &str| one[what].as_str().unwrap_or_default().to_owned();
    let show = |leaves: &Vec<Value>| {
        let leaf = |one: &Value| format!("{} under {}", said(one, "host"), said(one, "root"));
        leaves.iter().map(leaf).collect::<Vec<_>>().join(", ")
    };
    let public = |leaves: &Vec<Value>| leaves.iter().all(|one| one["public"] == true);
    findings.push(catalogue::PF29.judge_gently(leaves, show, public));
    let proxy = report.part("proxy", |part| part.as_str().map(ToOwned::to_owned));
    findings.push(catalogue::PF30.judge(proxy, Clone::clone, |proxy| proxy == "none"));
    Ok(())
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
