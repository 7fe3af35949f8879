//! Preflight: what must hold before anything is touched. Ids are those of section 5 of the product facts. Every answer is
//! recorded; one that blocks ends the run.

use protocol::event::{Completion, Failure, Finding, Owner, Severity, Verdict};
use protocol::facts::ServiceState;
use protocol::step::{Fix, Preflight, Product, ServedDomain, SignIn};
use std::time::Duration;

use crate::op::{Op, RegistryValue, Script};
use crate::procedure::{Complete, Cx, Flow, Reading, Stop};
use crate::product;
use crate::step::facts;

/// How long the script that inspects the host may take.
const INSPECT_LIMIT: Duration = Duration::from_secs(120);

/// Checks everything and fails when a finding blocks.
///
/// # Errors
/// While outcomes are missing, and when a finding blocks.
pub fn check(preflight: &Preflight, cx: &mut Cx<'_>) -> Flow<Complete> {
    let mut fixed = Vec::new();
    if preflight.product == Product::ProvisioningAgent {
        fix(preflight, cx, &mut fixed)?;
    }
    let mut findings = Vec::new();
    windows(preflight, cx, &mut findings)?;
    machine(preflight, cx, &mut findings)?;
    match preflight.product {
        Product::ProvisioningAgent => provisioning_agent(preflight, cx, &mut findings)?,
        Product::Connect => connect(cx, &mut findings)?,
    }
    directory(&preflight.domains, cx, &mut findings)?;
    cloud(preflight, cx, &mut findings)?;
    cx.note(findings.clone())?;
    let blocking: Vec<Finding> = findings
        .iter()
        .filter(|finding| finding.blocks())
        .cloned()
        .collect();
    if !blocking.is_empty() {
        let what = match blocking.as_slice() {
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
        return Err(Stop::Failed(Box::new(failure)));
    }
    let failed = findings
        .iter()
        .filter(|finding| finding.verdict != Verdict::Pass)
        .count();
    let mut summary = format!("{} probes, none blocks", findings.len());
    if failed > 0 {
        summary.push_str(&format!(", {failed} to look at"));
    }
    for change in fixed {
        summary.push_str(&format!("; {change}"));
    }
    Ok(Complete::new(Completion::AlreadySo, summary))
}

/// What passes, what to do otherwise, and who does it.
struct Rule {
    id: &'static str,
    what: &'static str,
    wanted: &'static str,
    severity: Severity,
    fix: &'static str,
    owner: Owner,
}

impl Rule {
    fn finding(&self, read: impl Into<String>, verdict: Verdict) -> Finding {
        Finding {
            id: self.id.to_owned(),
            what: self.what.to_owned(),
            read: read.into(),
            wanted: self.wanted.to_owned(),
            verdict,
            severity: self.severity,
            fix: if verdict == Verdict::Pass {
                String::new()
            } else {
                self.fix.to_owned()
            },
            owner: self.owner,
        }
    }

    fn judge<T>(
        &self,
        reading: Reading<T>,
        show: impl FnOnce(&T) -> String,
        pass: impl FnOnce(&T) -> bool,
    ) -> Finding {
        match reading {
            Ok(value) => {
                let verdict = if pass(&value) {
                    Verdict::Pass
                } else {
                    Verdict::Fail
                };
                self.finding(show(&value), verdict)
            }
            Err(why) => self.finding(why, Verdict::CannotTell),
        }
    }
}

fn or_absent<T: ToString>(value: &Option<T>) -> String {
    value
        .as_ref()
        .map_or_else(|| "absent".to_owned(), ToString::to_string)
}

const SERVER: Rule = Rule {
    id: "PF01",
    what: "Windows is a server",
    wanted: "ServerNT or LanmanNT",
    severity: Severity::Block,
    fix: "use a server operating system",
    owner: Owner::Server,
};
const LEVEL: Rule = Rule {
    id: "PF02",
    what: "Windows Server 2016 or later",
    wanted: "build 14393 or later",
    severity: Severity::Block,
    fix: "use Windows Server 2016 or later",
    owner: Owner::Server,
};
const DESKTOP: Rule = Rule {
    id: "PF03",
    what: "installation with desktop",
    wanted: "Server",
    severity: Severity::Block,
    fix: "Server Core is not supported by the product: use an installation with desktop experience",
    owner: Owner::Server,
};
const JOINED: Rule = Rule {
    id: "PF04",
    what: "joined to a domain",
    wanted: "a domain",
    severity: Severity::Block,
    fix: "join the server to its domain",
    owner: Owner::Server,
};
const REBOOT: Rule = Rule {
    id: "PF19",
    what: "no restart is pending",
    wanted: "none pending",
    severity: Severity::Block,
    fix: "restart the server, then retry",
    owner: Owner::Server,
};

fn windows(preflight: &Preflight, cx: &mut Cx<'_>, findings: &mut Vec<Finding>) -> Flow<()> {
    let role = cx.text(product::PRODUCT_OPTIONS_KEY, "ProductType")?;
    findings.push(SERVER.judge(role, or_absent, |role| {
        matches!(role.as_deref(), Some("ServerNT" | "LanmanNT"))
    }));
    let build = cx.number(product::WINDOWS_KEY, "CurrentBuildNumber")?;
    findings.push(LEVEL.judge(build, or_absent, |build| {
        build.is_some_and(|build| build >= product::SERVER_2016)
    }));
    let edition = cx.text(product::WINDOWS_KEY, "InstallationType")?;
    findings.push(DESKTOP.judge(edition, or_absent, |edition| {
        edition.as_deref() == Some("Server")
    }));
    let domain = facts::joined_domain(cx)?;
    findings.push(JOINED.judge(Ok(domain), or_absent, Option::is_some));
    let mut pending = Ok(false);
    for key in product::REBOOT_KEYS {
        let exists = cx.key_exists(key)?;
        pending = pending.and_then(|before| exists.map(|now| before || now));
    }
    let show = |pending: &bool| {
        if *pending {
            "pending".to_owned()
        } else {
            "none pending".to_owned()
        }
    };
    findings.push(REBOOT.judge(pending, show, |pending| !pending));
    let (minimum, rule) = match preflight.product {
        Product::ProvisioningAgent => (product::DOTNET_4_7_1, &DOTNET_AGENT),
        Product::Connect => (product::DOTNET_4_7_2, &DOTNET_CONNECT),
    };
    let release = cx.number(product::DOTNET_KEY, "Release")?;
    findings.push(rule.judge(release, or_absent, |release| {
        release.is_some_and(|release| release >= minimum)
    }));
    Ok(())
}

const DOTNET_AGENT: Rule = Rule {
    id: "PF09",
    what: ".NET Framework 4.7.1 or later",
    wanted: "Release 461308 or later",
    severity: Severity::Block,
    fix: "install .NET Framework 4.8",
    owner: Owner::Server,
};
const DOTNET_CONNECT: Rule = Rule {
    id: "PF10",
    what: ".NET Framework 4.7.2 or later",
    wanted: "Release 461808 or later",
    severity: Severity::Block,
    fix: "install .NET Framework 4.8",
    owner: Owner::Server,
};
const MEMORY: Rule = Rule {
    id: "PF07",
    what: "4 GB of memory",
    wanted: "3788 MiB or more",
    severity: Severity::Block,
    fix: "give the server 4 GB of memory",
    owner: Owner::Server,
};
const DISK: Rule = Rule {
    id: "PF75",
    what: "free disk space on the system drive",
    wanted: "2048 MiB or more",
    severity: Severity::Warn,
    fix: "free disk space",
    owner: Owner::Server,
};

fn machine(preflight: &Preflight, cx: &mut Cx<'_>, findings: &mut Vec<Finding>) -> Flow<()> {
    let machine = cx.machine()?;
    let mib = |value: &u64| format!("{value} MiB");
    if preflight.product == Product::ProvisioningAgent {
        let memory = machine.clone().map(|(memory, _)| memory);
        findings.push(MEMORY.judge(memory, mib, |memory| *memory >= 3788));
    }
    findings.push(DISK.judge(machine.map(|(_, disk)| disk), mib, |disk| *disk >= 2048));
    Ok(())
}

const POLICY: Rule = Rule {
    id: "PF12",
    what: "PowerShell execution policies",
    wanted: "each Undefined or RemoteSigned",
    severity: Severity::Block,
    fix: "set each scope to RemoteSigned or Undefined; a group policy must be changed where it is made",
    owner: Owner::Server,
};
const VAULT: Rule = Rule {
    id: "PF14",
    what: "Credential Manager (VaultSvc)",
    wanted: "not disabled",
    severity: Severity::Block,
    fix: "set the service VaultSvc to Manual, or list \"vaultsvc\" in may_fix",
    owner: Owner::Server,
};
const TLS_CLIENT: Rule = Rule {
    id: "PF15",
    what: "TLS 1.2 for clients (SCHANNEL)",
    wanted: "Enabled 1, DisabledByDefault 0",
    severity: Severity::Block,
    fix: "set both values and restart, or list \"tls12\" in may_fix",
    owner: Owner::Server,
};
const TLS_SERVER: Rule = Rule {
    id: "PF16",
    what: "TLS 1.2 for servers (SCHANNEL)",
    wanted: "Enabled 1, DisabledByDefault 0",
    severity: Severity::Warn,
    fix: "set both values and restart, or list \"tls12\" in may_fix",
    owner: Owner::Server,
};
const DOTNET_CRYPTO: Rule = Rule {
    id: "PF17",
    what: "strong cryptography for .NET",
    wanted: "SchUseStrongCrypto 1",
    severity: Severity::Block,
    fix: "set SchUseStrongCrypto to 1 and restart, or list \"tls12\" in may_fix",
    owner: Owner::Server,
};
const IE_ESC: Rule = Rule {
    id: "PF33",
    what: "Internet Explorer enhanced security for administrators",
    wanted: "off while the wizard runs",
    severity: Severity::Warn,
    fix: "turn it off before the appointment: it blocks the wizard's sign-in page",
    owner: Owner::Server,
};
const OTHER_TENANT: Rule = Rule {
    id: "PF40",
    what: "tenant that a provisioning agent on this server is registered with",
    wanted: "none, or this tenant",
    severity: Severity::Block,
    fix: "a server belongs to one tenant: correct the topology, or uninstall the agent that is there",
    owner: Owner::Tenant,
};
const GMSA: Rule = Rule {
    id: "PF51",
    what: "the gMSA is usable on this server",
    wanted: "Test-ADServiceAccount answers True",
    severity: Severity::Block,
    fix: "allow this server to retrieve the gMSA's password; after a change of group membership restart the server",
    owner: Owner::Directory,
};
const LOGGING: Rule = Rule {
    id: "SEC1",
    what: "PowerShell logging that would record a cmdlet's parameters",
    wanted: "off, where token or credential are used",
    severity: Severity::Warn,
    fix: "no secret is asked for on this server: the wizard is offered in its place",
    owner: Owner::Server,
};

fn provisioning_agent(
    preflight: &Preflight,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let gmsa = preflight.gmsa.as_ref().map(ToString::to_string);
    let input = serde_json::json!({ "gmsa": gmsa });
    let inspected = cx.script(Script::InspectHost, input, Vec::new(), INSPECT_LIMIT)?;
    let report = inspected.and_then(|lines| {
        lines
            .into_iter()
            .next_back()
            .ok_or("the script said nothing".to_owned())
    });
    let policies = report.clone().map(|report| {
        let scopes = report["policies"].as_object().cloned().unwrap_or_default();
        scopes
            .iter()
            .map(|(scope, policy)| (scope.clone(), policy.as_str().unwrap_or("?").to_owned()))
            .collect()
    });
    let show = |scopes: &Vec<(String, String)>| {
        let scopes: Vec<String> = scopes
            .iter()
            .map(|(scope, policy)| format!("{scope} {policy}"))
            .collect();
        scopes.join(", ")
    };
    let fine = |scopes: &Vec<(String, String)>| {
        !scopes.is_empty()
            && scopes
                .iter()
                .all(|(_, policy)| matches!(policy.as_str(), "Undefined" | "RemoteSigned"))
    };
    findings.push(POLICY.judge(policies, show, fine));
    if let Some(name) = gmsa {
        let usable = report.and_then(|report| match report["gmsa"]["usable"].as_bool() {
            Some(usable) => Ok(usable),
            None => {
                let why = report["gmsa"]["why"].as_str();
                Err(why.unwrap_or("the script did not say").to_owned())
            }
        });
        let mut finding = GMSA.judge(
            usable,
            |usable| format!("{name}: {usable}"),
            |usable| *usable,
        );
        if finding.verdict == Verdict::CannotTell {
            // Without the ActiveDirectory module nobody can ask here; the product's own cmdlet will tell.
            finding.severity = Severity::Warn;
        }
        findings.push(finding);
    }
    let vault = cx.service(product::VAULT_SERVICE)?;
    let state = |service: &Option<crate::op::Service>| {
        service
            .as_ref()
            .map_or("no such service".to_owned(), |service| {
                format!("{:?}", service.state)
            })
    };
    let enabled = |service: &Option<crate::op::Service>| {
        service
            .as_ref()
            .is_some_and(|service| service.state != ServiceState::Disabled)
    };
    findings.push(VAULT.judge(vault, state, enabled));
    schannel(&TLS_CLIENT, product::TLS12_CLIENT_KEY, cx, findings)?;
    schannel(&TLS_SERVER, product::TLS12_SERVER_KEY, cx, findings)?;
    let strong = cx.number(product::DOTNET_CRYPTO_KEY, "SchUseStrongCrypto")?;
    findings.push(DOTNET_CRYPTO.judge(strong, or_absent, |strong| *strong == Some(1)));
    let tenant = cx.text(product::AGENT_KEY, product::AGENT_TENANT)?;
    let same = |tenant: &Option<String>| {
        tenant
            .as_ref()
            .is_none_or(|tenant| tenant.eq_ignore_ascii_case(preflight.tenant.as_str()))
    };
    findings.push(OTHER_TENANT.judge(tenant, or_absent, same));
    if preflight.sign_in == SignIn::Wizard {
        let on = cx.number(product::IE_ESC_KEY, "IsInstalled")?;
        findings.push(IE_ESC.judge(on, or_absent, |on| !matches!(on, Some(1))));
    } else {
        let recording = recording(cx)?;
        findings.push(LOGGING.judge(Ok(recording), |on| on.join(", "), Vec::is_empty));
    }
    Ok(())
}

fn schannel(rule: &Rule, key: &str, cx: &mut Cx<'_>, findings: &mut Vec<Finding>) -> Flow<()> {
    let enabled = cx.number(key, "Enabled")?;
    let disabled = cx.number(key, "DisabledByDefault")?;
    let both = enabled.and_then(|enabled| disabled.map(|disabled| (enabled, disabled)));
    let absent = matches!(both, Ok((None, None)));
    let show = |(enabled, disabled): &(Option<u32>, Option<u32>)| {
        format!(
            "Enabled {}, DisabledByDefault {}",
            or_absent(enabled),
            or_absent(disabled)
        )
    };
    // Windows writes all bits where some tools write 1.
    let pass = |(enabled, disabled): &(Option<u32>, Option<u32>)| {
        enabled.is_some_and(|enabled| enabled != 0) && *disabled == Some(0)
    };
    let mut finding = rule.judge(both, show, pass);
    if absent {
        // Without the values the operating system's default holds, which has TLS 1.2 on since 2016 (PF15).
        finding.severity = Severity::Warn;
    }
    findings.push(finding);
    Ok(())
}

/// Which PowerShell logging is on that would write a cmdlet's parameters, and so a secret, to a log.
///
/// # Errors
/// While outcomes are missing.
pub fn recording(cx: &mut Cx<'_>) -> Flow<Vec<String>> {
    let mut on = Vec::new();
    for (key, value, name) in [
        ("ModuleLogging", "EnableModuleLogging", "module logging"),
        ("Transcription", "EnableTranscripting", "transcription"),
    ] {
        let key = format!("{}\\{key}", product::POWERSHELL_POLICY_KEY);
        // What cannot be read counts as on: a secret is at stake.
        if cx
            .number(&key, value)?
            .map_or(true, |value| value.is_some_and(|value| value != 0))
        {
            on.push(name.to_owned());
        }
    }
    Ok(on)
}

const CONNECT_SURPRISE: Rule = Rule {
    id: "PF41",
    what: "Connect Sync on this server",
    wanted: "none before its installation",
    severity: Severity::Warn,
    fix: "it is left as it is; the next step tells whether its version will do",
    owner: Owner::Server,
};

fn connect(cx: &mut Cx<'_>, findings: &mut Vec<Finding>) -> Flow<()> {
    let service = cx.service(product::CONNECT_SERVICE)?;
    let show = |service: &Option<crate::op::Service>| match service {
        Some(service) => format!("service ADSync, {:?}", service.state),
        None => "absent".to_owned(),
    };
    findings.push(CONNECT_SURPRISE.judge(service, show, Option::is_none));
    Ok(())
}

const DNS: Rule = Rule {
    id: "PF22",
    what: "domain controllers are found by DNS",
    wanted: "at least one SRV record",
    severity: Severity::Block,
    fix: "let this server resolve _ldap._tcp.dc._msdcs of the domain",
    owner: Owner::Network,
};
const LDAP: Rule = Rule {
    id: "PF23",
    what: "a domain controller answers on TCP 389",
    wanted: "open",
    severity: Severity::Block,
    fix: "open TCP 389 from this server to the domain's controllers",
    owner: Owner::Network,
};

fn directory(domains: &[ServedDomain], cx: &mut Cx<'_>, findings: &mut Vec<Finding>) -> Flow<()> {
    for domain in domains {
        let found = cx.domain_controllers(domain.name.as_str())?;
        let about = |mut finding: Finding| {
            finding.what = format!("{} ({})", finding.what, domain.name);
            finding
        };
        let hosts = found.clone().unwrap_or_default();
        findings.push(about(DNS.judge(
            found,
            |hosts| format!("{} found", hosts.len()),
            |hosts| !hosts.is_empty(),
        )));
        let preferred: Vec<String> = domain
            .preferred_dcs
            .iter()
            .map(ToString::to_string)
            .collect();
        let candidates = if preferred.is_empty() {
            hosts
        } else {
            preferred
        };
        let Some(first) = candidates.first() else {
            continue;
        };
        let reached = cx.perform(Op::Reach {
            host: first.clone(),
            port: 389,
        })?;
        let verdict = if reached.is_ok() {
            Verdict::Pass
        } else {
            Verdict::Fail
        };
        let read = reached.map_or_else(
            |why| format!("{first}: {why}"),
            |()| format!("{first}: open"),
        );
        findings.push(about(LDAP.finding(read, verdict)));
    }
    Ok(())
}

const SIGN_IN_HOST: Rule = Rule {
    id: "PF26",
    what: "the sign-in hosts of the cloud answer on TCP 443",
    wanted: "open",
    severity: Severity::Block,
    fix: "open TCP 443 to the cloud's hosts, or set the product's proxy",
    owner: Owner::Network,
};

fn cloud(preflight: &Preflight, cx: &mut Cx<'_>, findings: &mut Vec<Finding>) -> Flow<()> {
    for host in product::sign_in_hosts(preflight.cloud) {
        let reached = cx.perform(Op::Reach {
            host: (*host).to_owned(),
            port: 443,
        })?;
        let verdict = if reached.is_ok() {
            Verdict::Pass
        } else {
            Verdict::Fail
        };
        let read =
            reached.map_or_else(|why| format!("{host}: {why}"), |()| format!("{host}: open"));
        findings.push(SIGN_IN_HOST.finding(read, verdict));
    }
    Ok(())
}

/// Sets the prerequisites that the topology allows, where they are not as they must be; gives what was changed, with the
/// old value.
fn fix(preflight: &Preflight, cx: &mut Cx<'_>, changed: &mut Vec<String>) -> Flow<()> {
    if preflight.may_fix.contains(&Fix::Tls12) {
        for key in [product::TLS12_CLIENT_KEY, product::TLS12_SERVER_KEY] {
            set(cx, key, "Enabled", 1, changed)?;
            set(cx, key, "DisabledByDefault", 0, changed)?;
        }
        set(
            cx,
            product::DOTNET_CRYPTO_KEY,
            "SchUseStrongCrypto",
            1,
            changed,
        )?;
    }
    if preflight.may_fix.contains(&Fix::Vaultsvc) {
        let disabled = matches!(cx.service(product::VAULT_SERVICE)?, Ok(Some(service)) if service.state == ServiceState::Disabled);
        if disabled {
            let enabled = cx.perform(Op::EnableService {
                name: product::VAULT_SERVICE.to_owned(),
            })?;
            changed.push(match enabled {
                Ok(()) => "VaultSvc set from Disabled to Manual".to_owned(),
                Err(why) => format!("VaultSvc could not be enabled: {why}"),
            });
        }
    }
    Ok(())
}

fn set(
    cx: &mut Cx<'_>,
    key: &str,
    value: &str,
    wanted: u32,
    changed: &mut Vec<String>,
) -> Flow<()> {
    let before = cx.number(key, value)?;
    let right = |now: u32| if wanted == 0 { now == 0 } else { now != 0 };
    if matches!(before, Ok(Some(now)) if right(now)) {
        return Ok(());
    }
    let op = Op::SetRegistry {
        key: key.to_owned(),
        value: value.to_owned(),
        data: RegistryValue::Number(wanted),
    };
    let old = before.map_or_else(|why| why, |before| or_absent(&before));
    changed.push(match cx.perform(op)? {
        Ok(()) => format!(
            "{value} of {} set to {wanted} (was {old})",
            key.rsplit('\\').next().unwrap_or(key)
        ),
        Err(why) => format!("{value} could not be set: {why}"),
    });
    Ok(())
}
