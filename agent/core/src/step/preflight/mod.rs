//! Preflight: what must hold before anything is touched. The probes are those of the [catalogue](crate::catalogue). Every
//! answer is recorded; one that blocks ends the run.

mod counted;
mod database;
mod directory;
mod fix;
mod forest;
mod host;
mod network;
mod policies;
mod product_state;
mod silent;
mod undo;

pub(super) use host::restart_pending;
pub use network::PROXY_SIGN_IN;
pub(in crate::step) use undo::undo;

use protocol::event::{Completion, Failure, Finding, Severity, Verdict};
use protocol::step::{Preflight, Product, ServedDomain};
use protocol::{GmsaName, TargetId};

use self::policies::Policies;
use crate::catalogue;
use crate::op::DirectoryAccount;
use crate::procedure::{Complete, Cx, Flow, Reading, Stop};
use crate::product;
use crate::step;

/// What blocks also where operators have overridden G8, since it is not that rule's: whose the server is (PF40, G9), who is at
/// the other end when somebody signs in (PF29), and that the server is the one that the plan was made for (PF41), by which
/// the plan holds G1.
const NEVER_OVERRIDDEN: [&catalogue::Probe; 3] =
    [&catalogue::PF29, &catalogue::PF40, &catalogue::PF41];

/// Tells whether a finding stops the server under the arguments of this step.
fn stops(preflight: &Preflight, finding: &Finding) -> bool {
    let kept = || NEVER_OVERRIDDEN.iter().any(|probe| probe.id == finding.id);
    finding.blocks() && (preflight.overridden.is_none() || kept())
}

/// The failure of a preflight whose findings stop the server, where some do.
#[must_use]
pub fn blocks(preflight: &Preflight, findings: &[Finding]) -> Option<Failure> {
    let stop = findings.iter().filter(|finding| stops(preflight, finding));
    let blocking: Vec<Finding> = stop.cloned().collect();
    let what = match blocking.as_slice() {
        [] => return None,
        [one] => format!(
            "{}: {} (read: {}; wanted: {})",
            one.id, one.what, one.read, one.wanted
        ),
        many => {
            let ids: Vec<&str> = many.iter().map(|finding| finding.id.as_str()).collect();
            format!("{} findings block: {}", many.len(), ids.join(", "))
        }
    };
    let mut failure = Failure::plain(what);
    failure.findings = blocking;
    Some(failure)
}

/// Checks everything and fails when a finding blocks that no override lets pass.
///
/// # Errors
/// While outcomes are missing, and when a finding blocks.
pub fn check(preflight: &Preflight, cx: &mut Cx<'_>) -> Flow<Complete> {
    let (mut findings, policies) = probe(preflight, cx)?;
    let mut fixed = Vec::new();
    if !preflight.may_fix.is_empty() {
        let mut fixes = fix::Fixes::before(cx)?;
        let before = fixes.told.len();
        // Whoever was cut off in the middle of mending finds the restart that it has called for.
        let resumed = cx.resumed();
        let left = |finding: &&Finding| {
            let own =
                fix::mends(preflight, &policies, &finding.id) || resumed && finding.id == "PF19";
            stops(preflight, finding) && !own
        };
        // Nothing is touched on a server that something else stops.
        if findings.iter().filter(left).count() == 0 {
            fix::fix(preflight, &policies, cx, &mut fixes)?;
        }
        if fixes.told.len() > before {
            // What a domain holds is no different now.
            let counted = |finding: &Finding| {
                ["PF57", "PF58", "PF60"].contains(&finding.id.as_str())
                    || finding.what == counted::COUNTED_HARDWARE
            };
            let counts = findings.into_iter().filter(counted);
            let counts: Vec<Finding> = counts.collect();
            let again = Preflight {
                census: false,
                both_tools: Vec::new(),
                ..preflight.clone()
            };
            findings = probe(&again, cx)?.0;
            findings.extend(counts);
        }
        fixed = fixes.tell(cx)?;
    }
    cx.note(&findings)?;
    if let Some(mut failure) = blocks(preflight, &findings) {
        // What was set stays set: it is told with its old value, whatever comes of the rest.
        for change in fixed {
            failure.what.push_str(&format!("; {change}"));
        }
        return Err(Stop::Failed(Box::new(failure)));
    }
    let failed = findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Pass)
        .count();
    let passed: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.blocks())
        .map(|finding| finding.id.as_str())
        .collect();
    let mut summary = format!("{} probes, none blocks", findings.len());
    if let Some(over) = preflight.overridden.as_ref().filter(|_| !passed.is_empty()) {
        summary = step::went_on(over, "G8", &passed.join(", "));
        summary.push_str(&format!("; {} probes", findings.len()));
    }
    if failed > 0 {
        summary.push_str(&format!(", {failed} to look at"));
    }
    for change in fixed {
        summary.push_str(&format!("; {change}"));
    }
    Ok(Complete::new(Completion::AlreadySo, summary))
}

/// Asks every probe of the product once; also what group policies set of what may be mended.
fn probe(preflight: &Preflight, cx: &mut Cx<'_>) -> Flow<(Vec<Finding>, Policies)> {
    let mut findings = Vec::new();
    let report = host::inspect(preflight, cx)?;
    let policies = Policies::ask(preflight.gmsa.as_ref(), cx)?;
    host::windows(preflight, &report, cx, &mut findings)?;
    let looked = host::powershell(preflight, &report, cx, &mut findings)?;
    host::cryptography(preflight, cx, &mut findings)?;
    product_state::check(preflight, (&report, &policies), cx, &mut findings)?;
    directory::check(preflight, &report, cx, &mut findings)?;
    network::check(preflight, &report, cx, &mut findings)?;
    if let Some(database) = &preflight.database {
        database::check(&preflight.target, database, cx, &mut findings)?;
    }
    fix::tell(preflight, (&policies, &looked), &mut findings);
    Ok((findings, policies))
}

/// Asks what must hold before Windows takes the provisioning agent off: an administrator's rights, no restart that is waited for,
/// no other installation, and no other purpose of the agent.
///
/// # Errors
/// While outcomes are missing.
pub fn installers(cx: &mut Cx<'_>) -> Flow<Vec<Finding>> {
    let report = host::look(Product::ProvisioningAgent, None, &[], cx)?;
    let mut findings = host::installers(&report);
    findings.push(host::restart(cx)?);
    // A removal would end it: it stops here until somebody has moved it, and taken its host off.
    let mut other = product_state::other_purpose(cx)?;
    if matches!(cx.service(product::ECMA_SERVICE)?, Ok(Some(_))) {
        other.severity = Severity::Block;
    }
    findings.push(other);
    Ok(findings)
}

/// What a domain is asked beside what every preflight asks of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Beside<'a> {
    /// Whether that server may use that gMSA.
    pub gmsa: Option<(&'a GmsaName, &'a TargetId)>,
    /// Whether the credential would do for an installation (PF53).
    pub credential: bool,
    /// Whether every user and group has its anchor, as a change of tools needs it (PF60).
    pub anchors: bool,
    /// What stays in the domain where Connect goes from a server of it (UN03).
    pub connect_goes: bool,
}

/// Asks a domain everything that an agent can ask of it without a bundle, as that account, and notes the answers.
///
/// # Errors
/// While outcomes are missing.
pub fn survey(
    domain: &ServedDomain,
    account: &DirectoryAccount,
    beside: Beside<'_>,
    cx: &mut Cx<'_>,
) -> Flow<Complete> {
    let mut findings = Vec::new();
    if beside.credential {
        // First of all, so that a refused one is tried no second time.
        let told = step::credential::of(domain, cx)?;
        let refused = told.blocks();
        findings.push(told);
        if refused {
            cx.note(&findings)?;
            let summary = format!("1 probe of {}", domain.name);
            return Ok(Complete::new(Completion::AlreadySo, summary));
        }
    }
    for product in [Product::ProvisioningAgent, Product::Connect] {
        directory::survey(product, domain, account, beside, cx, &mut findings)?;
    }
    // Both products ask some things; two things of one probe may read alike.
    let mut told = std::collections::BTreeSet::new();
    findings.retain(|one| told.insert((one.id.clone(), one.what.clone(), one.read.clone())));
    let count = findings.len();
    cx.note(&findings)?;
    Ok(Complete::new(
        Completion::AlreadySo,
        format!("{count} probes of {}", domain.name),
    ))
}

/// A probe whose answer is read in two halves, each by itself: what either shows fails it, and what is untold of the other is said. Where
/// nothing shows and one is untold it cannot be told, which stops nobody. Each half comes with what it would tell.
fn halves(
    probe: &catalogue::Probe,
    nothing: &str,
    halves: [(&str, Reading<Vec<String>>); 2],
) -> Finding {
    let (mut shown, mut untold) = (Vec::new(), Vec::new());
    for (what, half) in halves {
        match half {
            Ok(some) => shown.extend(some),
            Err(why) => untold.push(format!("{what} cannot be told: {why}")),
        }
    }
    if shown.is_empty() && !untold.is_empty() {
        let why: Reading<()> = Err(untold.join("; "));
        return probe.judge_gently(why, |()| String::new(), |()| false);
    }
    if shown.is_empty() {
        return probe.finding(nothing, Verdict::Pass);
    }
    let all = std::iter::once(shown.join(", ")).chain(untold);
    probe.finding(all.collect::<Vec<_>>().join("; "), Verdict::Fail)
}

fn or_absent<T: ToString>(value: &Option<T>) -> String {
    value
        .as_ref()
        .map_or_else(|| "absent".to_owned(), ToString::to_string)
}

/// What of PowerShell writes a cmdlet's parameters to a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorder {
    /// Its logging of modules.
    ModuleLogging,
    /// Its transcripts.
    Transcription,
}

impl Recorder {
    /// As people are told of it.
    const fn name(self) -> &'static str {
        match self {
            Self::ModuleLogging => "module logging",
            Self::Transcription => "transcription",
        }
    }

    /// Key and value that switch it on.
    const fn set_by(self) -> (&'static str, &'static str) {
        match self {
            Self::ModuleLogging => (product::MODULE_LOGGING_KEY, "EnableModuleLogging"),
            Self::Transcription => (product::TRANSCRIPTION_KEY, "EnableTranscripting"),
        }
    }
}

/// Which PowerShell logging is on that would write a cmdlet's parameters, and so a secret, to a log.
///
/// # Errors
/// While outcomes are missing.
pub fn recording(cx: &mut Cx<'_>) -> Flow<Vec<Recorder>> {
    let mut on = Vec::new();
    for recorder in [Recorder::ModuleLogging, Recorder::Transcription] {
        let (key, value) = recorder.set_by();
        // What cannot be read counts as on: a secret is at stake.
        if cx
            .number(key, value)?
            .map_or(true, |value| value.is_some_and(|value| value != 0))
        {
            on.push(recorder);
        }
    }
    Ok(on)
}
