//! Probes of what a server is and what of the two products it has.

use protocol::facts::{ConnectFacts, Facts, HostFacts, Owed, ProvisioningAgentFacts, ServiceState};
use protocol::{DomainName, TenantId};

use crate::procedure::{Cx, Flow, Reading, Stop};
use crate::product;
use crate::step::{connect, options, place};

/// Probes everything in [`Facts`]. What cannot be read of the products is `None`, and named.
///
/// # Errors
/// While outcomes are missing, and when the server's own registry cannot be read.
pub fn probe(cx: &mut Cx<'_>) -> Flow<Facts> {
    let host = host(cx)?;
    let agent = provisioning_agent(cx)?;
    let (connect, console_open) = connect_and_console(cx)?;
    let unread = [agent.unread, connect.unread];
    Ok(Facts {
        simulated: cx.simulated(),
        agent_version: cx.agent_version().to_owned(),
        host,
        provisioning_agent: agent.found,
        connect: connect.found,
        unread: unread.into_iter().flatten().collect(),
        console_open,
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

/// What was found of a product, and the first thing of it that could not be read. Where something could not, there may be
/// more than was found: it counts as there, and a step that acts on it cannot tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen<T> {
    /// What is there; `None` when there is no trace of the product.
    pub found: Option<T>,
    /// What could not be read, and why.
    pub unread: Option<String>,
}

impl<T> Seen<T> {
    /// What is there, for whoever acts on it.
    ///
    /// # Errors
    /// As *cannot tell*, when something could not be read.
    pub fn told(self) -> Flow<Option<T>> {
        match self.unread {
            None => Ok(self.found),
            Some(why) => Err(Stop::CannotTell(why)),
        }
    }
}

/// Gathers readings of one product, and keeps the first that failed.
#[derive(Debug, Default)]
struct Unread(Option<String>);

impl Unread {
    fn take<T>(&mut self, what: &str, reading: Reading<Option<T>>) -> Option<T> {
        reading.unwrap_or_else(|why| {
            let first = format!("{what} could not be read: {why}");
            self.0.get_or_insert(first);
            None
        })
    }
}

/// What there is of the provisioning agent.
///
/// # Errors
/// While outcomes are missing.
pub fn provisioning_agent(cx: &mut Cx<'_>) -> Flow<Seen<ProvisioningAgentFacts>> {
    let mut unread = Unread::default();
    let folder = cx.text(product::AGENT_KEY, product::AGENT_FOLDER_VALUE)?;
    let folder = unread.take("the install folder of the provisioning agent", folder);
    let service = cx.service(product::AGENT_SERVICE)?;
    let service = unread.take("the service AADConnectProvisioningAgent", service);
    let executable = join(
        folder.as_deref().unwrap_or(product::AGENT_FOLDER),
        product::AGENT_EXECUTABLE,
    );
    let version = cx.file_version(&executable)?;
    let version = unread.take("the version of the provisioning agent", version);
    if folder.is_none() && service.is_none() && version.is_none() && unread.0.is_none() {
        return Ok(Seen {
            found: None,
            unread: None,
        });
    }
    let tenant = cx.text(product::AGENT_KEY, product::AGENT_TENANT)?;
    let tenant = unread.take("the tenant of the provisioning agent", tenant);
    let tenant = tenant.filter(|id| !id.trim().is_empty()).map(|id| {
        let parsed = id.parse::<TenantId>();
        parsed.map(Some).map_err(|why| format!("\"{id}\": {why}"))
    });
    let tenant = unread.take(
        "the tenant of the provisioning agent",
        tenant.unwrap_or(Ok(None)),
    );
    let noted = cx.number(product::OWED_KEY, product::OWED_REGISTRATION)?;
    let noted = unread.take("whether a registration was broken off", noted);
    let owes_registration = owed(noted);
    let options = options::read(cx)?;
    // Older agents have none, and what cannot be read of it is no word against it.
    let updater = cx.service(product::UPDATER_SERVICE)?.ok().flatten();
    let updater = updater.map(|updater| updater.state);
    let updater = updater.filter(|state| *state != ServiceState::Running);
    Ok(Seen {
        found: Some(ProvisioningAgentFacts {
            version,
            tenant,
            service: service.as_ref().map(|service| service.state),
            account: service.map(|service| service.account),
            options: options.ok(),
            updater,
            owes_registration,
        }),
        unread: unread.0,
    })
}

/// What the note of a registration by cmdlets says.
pub(super) fn owed(noted: Option<u32>) -> Option<Owed> {
    match noted {
        None | Some(0) => None,
        Some(product::OWED_FIRST) => Some(Owed::First),
        Some(_) => Some(Owed::Anew),
    }
}

/// What there is of Connect Sync. What its scheduler does not say is `None` in what was found and no failure: before the
/// wizard's end the module does not answer.
///
/// # Errors
/// While outcomes are missing.
pub fn connect_sync(cx: &mut Cx<'_>) -> Flow<Seen<ConnectFacts>> {
    Ok(connect_and_console(cx)?.0)
}

/// The same, and whether its console is open.
fn connect_and_console(cx: &mut Cx<'_>) -> Flow<(Seen<ConnectFacts>, bool)> {
    let mut unread = Unread::default();
    let service = cx.service(product::CONNECT_SERVICE)?;
    let service = unread.take("the service ADSync", service);
    let version = place::version(cx)?;
    let version = unread.take("the version of Connect Sync's engine", version);
    if service.is_none() && version.is_none() && unread.0.is_none() {
        let none = Seen {
            found: None,
            unread: None,
        };
        return Ok((none, false));
    }
    let (scheduler, console) = connect::scheduler_and_console(cx)?;
    let scheduler = scheduler.unwrap_or_default();
    let seen = Seen {
        found: Some(ConnectFacts {
            version,
            service: service.map(|service| service.state),
            staging: scheduler.staging,
            cycle_enabled: scheduler.cycle_enabled,
            suspended: scheduler.suspended,
        }),
        unread: unread.0,
    };
    Ok((seen, console.unwrap_or(false)))
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
                let half = if agent.owes_registration.is_some() {
                    ", registration broken off"
                } else {
                    ""
                };
                format!(
                    "provisioning agent {} ({tenant}{half})",
                    version(agent.version)
                )
            });
    let connect = facts
        .connect
        .as_ref()
        .map_or("no Connect".to_owned(), |connect| {
            let mode = match connect.staging {
                _ if connect.is_fenced() => "stopped and disabled",
                Some(true) => "staging",
                Some(false) => "active",
                None => "mode not readable",
            };
            format!("Connect {} ({mode})", version(connect.version))
        });
    let unread: String = facts.unread.iter().map(|why| format!("; {why}")).collect();
    format!(
        "{} build {}, {agent}, {connect}{unread}",
        facts.host.os, facts.host.build
    )
}
