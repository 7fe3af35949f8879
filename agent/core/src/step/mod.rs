//! One procedure per kind of step. Each begins with the probe that tells *applied*, *not applied* or *cannot tell*; only
//! *not applied* lets it act, and after the act the probe is asked again.

pub mod connect;
pub mod connect_module;
pub mod connect_removal;
pub mod controllers;
mod credential;
pub mod directory;
pub mod discover;
mod engine;
mod exported;
pub mod exports;
pub mod facts;
pub mod full_sync;
mod installer;
pub mod module;
pub mod options;
mod place;
pub mod preflight;
pub mod provisioning_agent;
pub mod removal;
mod report;
mod restart;
mod rights;
mod settings;
mod soak;
mod support;
mod transition;
mod trouble;
mod upgrade;

use std::time::Duration;

use protocol::Overridden;
use protocol::event::{Completion, Failure, Finding, Verdict};
use protocol::step::Step;

use crate::catalogue;
use crate::known;
use crate::op::{Program, Service};
use crate::procedure::{Complete, Cx, Flow, Stop};
use crate::step::trouble::Trouble;

/// How often the end of a person's work at a wizard is looked for.
pub const WATCH: Duration = Duration::from_secs(30);

/// How often, and how far apart, it is looked whether a service that was told to stop has stopped.
const STOPS: (u32, Duration) = (24, Duration::from_secs(5));

/// Carries out one step.
///
/// # Errors
/// While it waits, and when it fails or cannot tell.
pub fn perform(step: &Step, cx: &mut Cx<'_>) -> Flow<Complete> {
    match step {
        Step::ReportFacts => {
            let facts = facts::probe(cx)?;
            cx.note_facts(&facts)?;
            Ok(Complete::new(
                Completion::AlreadySo,
                facts::describe(&facts),
            ))
        }
        Step::DiscoverServers(discover) => discover::discover(discover, cx),
        Step::CollectSupport(support) => support::collect(support, cx),
        Step::Preflight(preflight) => preflight::check(preflight, cx),
        Step::UndoFixes(undo) => preflight::undo(undo, cx),
        Step::RestartServer(step) => restart::restart(step, cx),
        Step::UpgradeAgent(step) => upgrade::upgrade(step, cx),
        Step::InstallProvisioningAgent(install) => provisioning_agent::install(install, cx),
        Step::SetProvisioningAgentOptions(set) => options::set(set, cx),
        Step::RegisterProvisioningAgent(register) => provisioning_agent::register(register, cx),
        Step::StartProvisioningAgent(start) => provisioning_agent::start(start, cx),
        Step::AddDomains(add) => provisioning_agent::add_domains(add, cx),
        Step::GuideProvisioningAgent(guide) => provisioning_agent::guide(guide, cx),
        Step::VerifyProvisioningAgent(verify) => provisioning_agent::verify(verify, cx),
        Step::StageConnect(stage) => connect::stage(stage, cx),
        Step::GuideConnect(guide) => connect::guide(guide, cx),
        Step::AwaitFullSync(step) => full_sync::wait(step, cx),
        Step::VerifyConnect(verify) => connect::verify(verify, cx),
        Step::FenceConnect => connect::fence(cx),
        Step::ReviewConnectExports(review) => exports::review(review, cx),
        Step::ReadConnectSettings => settings::read(cx),
        Step::GuideConnectRemoval(guide) => connect_removal::guide(guide, cx),
        Step::VerifyConnectRemoved => connect_removal::verify(cx),
        Step::CheckTransition => transition::check(cx),
        Step::GuideTransition(guide) => transition::guide(guide, cx),
        Step::RemoveProvisioningAgent(remove) => removal::remove(remove, cx),
        Step::VerifyProvisioningAgentRemoved(verify) => removal::verify(verify, cx),
    }
}

/// PV07: the process of a service is as old as the soak is long, where one is asked for.
fn stability(service: &str, soaked_seconds: Option<u32>, cx: &mut Cx<'_>) -> Flow<Option<Finding>> {
    let Some(seconds) = soaked_seconds else {
        return Ok(None);
    };
    let age = cx.service_age(service)?;
    let show = |age: &Option<Duration>| match age {
        Some(age) => format!("for {} s", age.as_secs()),
        None => "it does not run".to_owned(),
    };
    // What was rounded up is no second that it has to have run.
    let least = Duration::from_secs(u64::from(seconds.saturating_sub(1)));
    let mut finding = catalogue::PV07.judge(age, show, |age| age.is_some_and(|age| age >= least));
    finding.wanted = format!("for {seconds} s at least");
    Ok(Some(finding))
}

/// What a removal has left, in a sentence.
fn leftovers(findings: &[Finding]) -> String {
    let left: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.verdict == Verdict::Fail)
        .map(|finding| finding.id.as_str())
        .collect();
    match left.join(", ") {
        none if none.is_empty() => "gone; nothing is seen to be left on the server".to_owned(),
        ids => format!("gone; left to be cleared away: {ids}"),
    }
}

/// A service's state, as people are told of it.
fn of_service(service: &Option<Service>) -> String {
    match service {
        Some(service) => format!("{:?}", service.state),
        None => "absent".to_owned(),
    }
}

/// Names of programs, as people see them.
fn names(programs: &[Program]) -> String {
    let names: Vec<&str> = programs
        .iter()
        .map(|program| program.name.as_str())
        .collect();
    names.join(", ")
}

/// The same of what must not be listed.
fn names_or_none(programs: &[Program]) -> String {
    match names(programs) {
        none if none.is_empty() => "none".to_owned(),
        names => names,
    }
}

/// The loud beginning of a step's summary that went on although something blocks.
fn went_on(over: &Overridden, rule: &str, what: &str) -> String {
    format!(
        "{rule} OVERRIDDEN: it went on although {what} blocks, {}",
        over.sentence()
    )
}

/// Records what a verification's probes answered, and stops the step at the first that blocks.
fn settle(findings: Vec<Finding>, cx: &mut Cx<'_>) -> Flow<()> {
    settle_showing(findings, None, cx)
}

/// The same, with the known error that the logs show where a service does not run. A probe that fails for a known reason
/// says it.
fn settle_showing(
    mut findings: Vec<Finding>,
    trouble: Option<Trouble>,
    cx: &mut Cx<'_>,
) -> Flow<()> {
    for finding in &mut findings {
        if finding.verdict == Verdict::Fail
            && let Some(known) = known::of_probe(&finding.id)
        {
            finding.fix = known.sentence();
        }
    }
    cx.note(&findings)?;
    let blocking: Vec<Finding> = findings.into_iter().filter(Finding::blocks).collect();
    let Some(first) = blocking.first() else {
        return Ok(());
    };
    let what = format!(
        "{} {}: {} (wanted: {})",
        first.id, first.what, first.read, first.wanted
    );
    let mut failure = Failure::plain(what);
    failure.findings = blocking;
    if let Some(trouble) = trouble {
        failure = trouble.causes(failure);
    }
    Err(Stop::Failed(Box::new(failure)))
}
