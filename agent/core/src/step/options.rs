//! Options of the provisioning agent's service: set, and told (product facts 1.7, 1.11).

use protocol::event::{Completion, Finding, Section, Severity, Verdict};
use protocol::facts::{ProvisioningAgentFacts, ServiceState};
use protocol::options::ServiceOptions;
use protocol::step::SetProvisioningAgentOptions;

use crate::op::{Op, RegistryValue};
use crate::procedure::{Complete, Cx, Flow, Reading, Stop, fail};
use crate::step::{facts, trouble};
use crate::{catalogue, configuration, product};

/// Where the configuration file lies, once the setup has laid it down.
fn file(cx: &mut Cx<'_>) -> Flow<Reading<String>> {
    let folder = cx.text(product::AGENT_KEY, product::AGENT_FOLDER_VALUE)?;
    Ok(folder.map(|folder| {
        let folder = folder.unwrap_or_else(|| product::AGENT_FOLDER.to_owned());
        facts::join(&folder, product::AGENT_CONFIGURATION)
    }))
}

/// What the registry says; the configuration file is another matter.
fn registry(cx: &mut Cx<'_>) -> Flow<Reading<ServiceOptions>> {
    let timeout = cx.number(product::AGENT_KEY, product::AGENT_LDAP_TIMEOUT)?;
    let chasing = cx.text(product::AGENT_KEY, product::AGENT_REFERRALS)?;
    Ok(timeout.and_then(|timeout| {
        Ok(ServiceOptions {
            ldap_timeout_millis: timeout,
            referral_chasing: chasing?.as_deref().map(str::trim)
                == Some(product::AGENT_REFERRALS_ALL),
            ..ServiceOptions::default()
        })
    }))
}

/// Whether something was set that the service may not know yet: it is noted before anything is set, and until it was
/// restarted. So neither a cut nor a failure in between is forgotten by a later try.
fn owed(cx: &mut Cx<'_>) -> Flow<Reading<bool>> {
    let owed = cx.number(product::OWED_KEY, product::OWED_RESTART)?;
    Ok(owed.map(|owed| owed == Some(1)))
}

fn owe(restart: bool, cx: &mut Cx<'_>) -> Flow<()> {
    let noted = cx.perform(Op::SetRegistry {
        key: product::OWED_KEY.to_owned(),
        value: product::OWED_RESTART.to_owned(),
        data: RegistryValue::Number(u32::from(restart)),
    })?;
    noted.or_else(|why| fail(format!("that a restart is owed could not be noted: {why}")))
}

/// The file's path and text, and what both places say.
struct There {
    path: String,
    text: String,
    options: ServiceOptions,
}

fn look(cx: &mut Cx<'_>) -> Flow<Reading<There>> {
    let path = match file(cx)? {
        Ok(path) => path,
        Err(why) => return Ok(Err(why)),
    };
    let text = cx.file_text(&path)?;
    let registry = registry(cx)?;
    Ok(text.and_then(|text| {
        let text = text.ok_or_else(|| format!("{path} is not there"))?;
        let file = configuration::read(&text).map_err(|why| format!("{path} is no XML: {why}"))?;
        let registry = registry?;
        Ok(There {
            path,
            text,
            options: ServiceOptions {
                proxy: file.proxy,
                fips_exempt: file.fips_exempt,
                ..registry
            },
        })
    }))
}

/// A proxy that the configuration file names in a form that is not read: somebody set it by hand (1.7 [P] shows `http://host:port`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OtherProxy {
    /// As it stands there; it may hold a user's name, and is compared alone.
    address: String,
    /// In a few words.
    pub(super) shown: String,
}

impl OtherProxy {
    /// The one of a configuration file.
    fn of(text: &str) -> Option<Self> {
        let said = configuration::said(text).ok()?;
        let shown = said.other_proxy_shown()?;
        let address = said.other_proxy?;
        Some(Self { address, shown })
    }
}

/// Such a proxy, where the file can be read and names one.
///
/// # Errors
/// While outcomes are missing.
pub(super) fn other_proxy(cx: &mut Cx<'_>) -> Flow<Option<OtherProxy>> {
    let Ok(path) = file(cx)? else {
        return Ok(None);
    };
    let text = cx.file_text(&path)?.ok().flatten();
    Ok(text.and_then(|text| OtherProxy::of(&text)))
}

/// Such a proxy beside what is owned, which says nothing of proxies: neither there nor not there can be told of what the service uses.
pub(super) fn by_hand(wanted: &ServiceOptions, cx: &mut Cx<'_>) -> Flow<Option<Finding>> {
    if wanted.proxy.is_some() {
        return Ok(None);
    }
    let other = other_proxy(cx)?;
    Ok(other.map(|other| {
        let mut finding = catalogue::PV16.finding(other.shown, Verdict::CannotTell);
        finding.severity = Severity::Warn;
        finding.wanted = "a proxy that the options of its group name".to_owned();
        finding.fix = "see that the service reaches the cloud through it, or write the proxy as an option of the group and plan again: an upgrade is held against what stands there, and nothing else is".to_owned();
        finding
    }))
}

/// The options that the service has; why, where that cannot be told: also where it may not know them yet.
///
/// # Errors
/// While outcomes are missing.
pub fn read(cx: &mut Cx<'_>) -> Flow<Reading<ServiceOptions>> {
    let owed = owed(cx)?;
    let there = look(cx)?.map(|there| there.options);
    Ok(match owed {
        Ok(false) => there,
        Ok(true) => Err("the service was not restarted since they were set".to_owned()),
        Err(why) => Err(why),
    })
}

/// Sets what is otherwise, and restarts the service where it runs.
///
/// # Errors
/// While outcomes are missing, and when it fails or cannot tell.
pub fn set(set: &SetProvisioningAgentOptions, cx: &mut Cx<'_>) -> Flow<Complete> {
    let Some(agent) = facts::provisioning_agent(cx)?.told()? else {
        return fail("the provisioning agent is not installed");
    };
    let wanted = &set.options;
    let owed = owed(cx)?.map_err(Stop::CannotTell)?;
    if wanted.lacking(&found(cx)?.options).is_empty() && !owed {
        let summary = format!("as wanted: {wanted}");
        return Ok(Complete::new(Completion::AlreadySo, summary));
    }
    if agent.serves() {
        cx.enter(Section {
            outage: true,
            gmsa: None,
        })?;
    }
    // Hours may have passed until leave came.
    let there = found(cx)?;
    let lacking = wanted.lacking(&there.options);
    let edited = match configuration::edit(&there.text, wanted) {
        Ok(edited) => edited,
        Err(why) => return fail(format!("{} cannot be edited: {why}", there.path)),
    };
    let replaces = wanted
        .proxy
        .as_ref()
        .and_then(|_| OtherProxy::of(&there.text));
    // A service that somebody else has stopped is left so; one that we have stopped is started again.
    let restarts = owed || agent.service == Some(ServiceState::Running);
    if restarts {
        owe(true, cx)?;
    }
    if edited != there.text {
        let replaced = cx.perform(Op::ReplaceText {
            path: there.path.clone(),
            before: protocol::Digest::of(there.text.as_bytes()),
            text: edited,
        })?;
        if let Err(why) = replaced {
            return fail(format!("{} could not be written: {why}", there.path));
        }
    }
    values(wanted, &there.options, cx)?;
    if restarts {
        let before = trouble::Before::now(cx)?;
        let restarted = cx.perform(Op::RestartService {
            name: product::AGENT_SERVICE.to_owned(),
        })?;
        if let Err(why) = restarted {
            let what = format!(
                "the options are set, and the service did not come back: {why}; a retry restarts it once more"
            );
            return Err(Stop::Failed(Box::new(trouble::not_started(
                what, &before, cx,
            )?)));
        }
        owe(false, cx)?;
    }
    if agent.serves() {
        cx.leave(None)?;
    }
    let now = found(cx)?;
    let left = wanted.lacking(&now.options);
    if !left.is_empty() {
        return fail(format!(
            "still otherwise after it was set: {}",
            left.join(", ")
        ));
    }
    cx.note(&findings(wanted, &Ok(there.options), &Ok(now.options)))?;
    if lacking.is_empty() {
        let summary = format!("as wanted: {wanted}");
        return Ok(Complete::new(Completion::AlreadySo, summary));
    }
    let mut summary = format!("set: {}", lacking.join(", "));
    if let Some(other) = replaces {
        summary.push_str(&format!("; in place of {}", other.shown));
    }
    Ok(Complete::new(Completion::Applied, summary))
}

fn found(cx: &mut Cx<'_>) -> Flow<There> {
    look(cx)?.map_err(|why| {
        Stop::CannotTell(format!(
            "the options of the agent's service could not be read: {why}"
        ))
    })
}

/// The registry's half: each value that is otherwise.
fn values(wanted: &ServiceOptions, seen: &ServiceOptions, cx: &mut Cx<'_>) -> Flow<()> {
    let timeout = wanted.ldap_timeout_millis;
    let timeout = timeout.filter(|millis| seen.ldap_timeout_millis != Some(*millis));
    let chasing = wanted.referral_chasing && !seen.referral_chasing;
    let chasing = chasing.then(|| product::AGENT_REFERRALS_ALL.to_owned());
    for (value, data) in [
        (
            product::AGENT_LDAP_TIMEOUT,
            timeout.map(|millis| millis.to_string()),
        ),
        (product::AGENT_REFERRALS, chasing),
    ] {
        let Some(data) = data else { continue };
        // The product's page has them as texts, the number too (1.7 [P]).
        let set = cx.perform(Op::SetRegistry {
            key: product::AGENT_KEY.to_owned(),
            value: value.to_owned(),
            data: RegistryValue::Text(data),
        })?;
        if let Err(why) = set {
            return fail(format!("{value} could not be set: {why}"));
        }
    }
    Ok(())
}

/// PV16 and PV17, where something of theirs is owned. What was before is told beside it.
pub fn findings(
    wanted: &ServiceOptions,
    before: &Reading<ServiceOptions>,
    now: &Reading<ServiceOptions>,
) -> Vec<Finding> {
    let half = |options: &ServiceOptions, file: bool| {
        if file {
            ServiceOptions {
                proxy: options.proxy.clone(),
                fips_exempt: options.fips_exempt,
                ..ServiceOptions::default()
            }
        } else {
            ServiceOptions {
                ldap_timeout_millis: options.ldap_timeout_millis,
                referral_chasing: options.referral_chasing,
                ..ServiceOptions::default()
            }
        }
    };
    let mut findings = Vec::new();
    for (probe, file) in [(&catalogue::PV16, true), (&catalogue::PV17, false)] {
        let wanted = half(wanted, file);
        if wanted.is_empty() {
            continue;
        }
        let show = |now: &ServiceOptions| match before {
            Ok(before) if half(before, file) != half(now, file) => {
                format!("{} (before: {})", half(now, file), half(before, file))
            }
            Ok(_) | Err(_) => half(now, file).to_string(),
        };
        let mut finding = probe.judge(now.clone(), show, |now| {
            wanted.lacking(&half(now, file)).is_empty()
        });
        finding.wanted = wanted.to_string();
        findings.push(finding);
    }
    findings
}

/// The same of an agent that is verified.
pub(super) fn verified(wanted: &ServiceOptions, agent: &ProvisioningAgentFacts) -> Vec<Finding> {
    let now = agent
        .options
        .clone()
        .ok_or_else(|| "the options of its service could not be read".to_owned());
    findings(wanted, &now, &now)
}
