//! Probes of what a server is and what of the two products it has.

use protocol::facts::{ConnectFacts, Facts, HostFacts, ProvisioningAgentFacts};
use protocol::{DomainName, TenantId};

use crate::procedure::{Cx, Flow, Stop};
use crate::product;
use crate::step::connect;

/// Probes everything in [`Facts`]. What cannot be read is `None`.
///
/// # Errors
/// While outcomes are missing, and when the server's own registry cannot be read.
pub fn probe(cx: &mut Cx<'_>) -> Flow<Facts> {
    let host = host(cx)?;
    let provisioning_agent = provisioning_agent(cx)?;
    let connect = connect_sync(cx)?;
    Ok(Facts {
        simulated: cx.simulated(),
        agent_version: cx.agent_version().to_owned(),
        host,
        provisioning_agent,
        connect,
    })
}

fn host(cx: &mut Cx<'_>) -> Flow<HostFacts> {
    let unreadable = |why: String| Stop::CannotTell(format!("what Windows this is: {why}"));
    let os = cx
        .text(product::WINDOWS_KEY, "ProductName")?
        .map_err(unreadable)?
        .unwrap_or_default();
    let build = cx
        .number(product::WINDOWS_KEY, "CurrentBuildNumber")?
        .map_err(unreadable)?
        .unwrap_or(0);
    let role = cx
        .text(product::PRODUCT_OPTIONS_KEY, "ProductType")?
        .map_err(unreadable)?;
    let domain: Option<DomainName> = joined_domain(cx)?;
    let mut reboot_pending = false;
    for key in product::REBOOT_KEYS {
        reboot_pending |= cx.key_exists(key)?.unwrap_or(false);
    }
    let renames = cx.registry(product::SESSION_MANAGER_KEY, "PendingFileRenameOperations")?;
    reboot_pending |= matches!(renames, Ok(Some(_)));
    Ok(HostFacts {
        os,
        build,
        domain,
        domain_controller: role.as_deref() == Some("LanmanNT"),
        reboot_pending,
    })
}

/// The DNS suffix of the server, where it has one: as a rule its domain's name. The preflight asks Windows itself.
///
/// # Errors
/// While the outcome is missing.
pub fn joined_domain(cx: &mut Cx<'_>) -> Flow<Option<DomainName>> {
    let domain = cx.text(product::TCPIP_KEY, "Domain")?.ok().flatten();
    Ok(domain.and_then(|domain| domain.parse().ok()))
}

/// What there is of the provisioning agent; `None` when there is no trace of it.
///
/// # Errors
/// While outcomes are missing.
pub fn provisioning_agent(cx: &mut Cx<'_>) -> Flow<Option<ProvisioningAgentFacts>> {
    let folder = cx
        .text(product::AGENT_KEY, product::AGENT_FOLDER_VALUE)?
        .ok()
        .flatten();
    let service = cx.service(product::AGENT_SERVICE)?.ok().flatten();
    let executable = join(
        folder.as_deref().unwrap_or(product::AGENT_FOLDER),
        product::AGENT_EXECUTABLE,
    );
    let version = cx.file_version(&executable)?.ok().flatten();
    if folder.is_none() && service.is_none() && version.is_none() {
        return Ok(None);
    }
    let tenant: Option<TenantId> = cx
        .text(product::AGENT_KEY, product::AGENT_TENANT)?
        .ok()
        .flatten()
        .and_then(|id| id.parse().ok());
    Ok(Some(ProvisioningAgentFacts {
        version,
        tenant,
        service: service.as_ref().map(|service| service.state),
        account: service.map(|service| service.account),
    }))
}

/// What there is of Connect Sync; `None` when there is no trace of it.
///
/// # Errors
/// While outcomes are missing.
pub fn connect_sync(cx: &mut Cx<'_>) -> Flow<Option<ConnectFacts>> {
    let service = cx.service(product::CONNECT_SERVICE)?.ok().flatten();
    let version = cx.file_version(product::CONNECT_ENGINE)?.ok().flatten();
    if service.is_none() && version.is_none() {
        return Ok(None);
    }
    let scheduler = connect::scheduler(cx)?.unwrap_or_default();
    Ok(Some(ConnectFacts {
        version,
        service: service.map(|service| service.state),
        staging: scheduler.staging,
        cycle_enabled: scheduler.cycle_enabled,
    }))
}

/// Joins a Windows folder and a file name.
#[must_use]
pub fn join(folder: &str, name: &str) -> String {
    format!("{}\\{name}", folder.trim_end_matches('\\'))
}

/// The facts in a sentence.
#[must_use]
pub fn describe(facts: &Facts) -> String {
    let version = |version: Option<protocol::Version>| {
        version.map_or("unknown version".to_owned(), |v| v.to_string())
    };
    let agent =
        facts
            .provisioning_agent
            .as_ref()
            .map_or("no provisioning agent".to_owned(), |agent| {
                let tenant = agent
                    .tenant
                    .as_ref()
                    .map_or("not registered".to_owned(), |tenant| {
                        format!("tenant {tenant}")
                    });
                format!("provisioning agent {} ({tenant})", version(agent.version))
            });
    let connect = facts
        .connect
        .as_ref()
        .map_or("no Connect".to_owned(), |connect| {
            let mode = match connect.staging {
                Some(true) => "staging",
                Some(false) => "active",
                None => "mode not readable",
            };
            format!("Connect {} ({mode})", version(connect.version))
        });
    format!(
        "{} build {}, {agent}, {connect}",
        facts.host.os, facts.host.build
    )
}
