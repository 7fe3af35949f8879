//! Probes of the server itself: Windows, PowerShell and its policies, TLS.

use std::time::Duration;

use protocol::event::{Finding, Owner, Severity, Verdict};
use protocol::facts::ServiceState;
use protocol::step::{Preflight, Product, SignIn};
use protocol::{DomainName, GmsaName, Version};
use serde_json::Value;

use super::policies::Looked;
use super::{Recorder, fix, halves, or_absent, recording};
use crate::catalogue::{self, Probe};
use crate::op::{RegistryValue, Script};
use crate::procedure::{Cx, Flow, Reading};
use crate::product;
use crate::step::report::Report;
use crate::step::{self, facts};

/// How long the script that inspects the host may take; it opens connections too.
const INSPECT_LIMIT: Duration = Duration::from_secs(180);

/// The DNS name of the domain that the server belongs to; `None` where it belongs to none.
pub(super) fn domain(report: &Report) -> Reading<Option<DomainName>> {
    let told = report.part("domain", |part| {
        let name = part["name"].as_str()?.to_owned();
        Some((part["joined"].as_bool()?, name))
    });
    match told? {
        (false, _) => Ok(None),
        (true, name) => match name.to_lowercase().parse() {
            Ok(domain) => Ok(Some(domain)),
            Err(_) => Err(format!("the domain is named {name}")),
        },
    }
}

/// Runs the script that inspects the host.
pub(super) fn inspect(preflight: &Preflight, cx: &mut Cx<'_>) -> Flow<Report> {
    let hosts = super::network::Hosts::of(preflight).tls;
    look(preflight.product, preflight.gmsa.as_ref(), &hosts, cx)
}

/// The same for anybody.
pub(super) fn look(
    product: Product,
    gmsa: Option<&GmsaName>,
    hosts: &[&str],
    cx: &mut Cx<'_>,
) -> Flow<Report> {
    let input = serde_json::json!({
        "gmsa": gmsa,
        "product": product,
        "hosts": hosts,
    });
    Report::ask(Script::InspectHost, input, INSPECT_LIMIT, cx)
}

/// An administrator's rights, and no other installation under way.
pub(super) fn installers(report: &Report) -> Vec<Finding> {
    let elevated = report.part("elevated", Value::as_bool);
    let busy = report.part("installerBusy", Value::as_bool);
    vec![
        catalogue::PF06.judge(elevated, yes_no, |elevated| *elevated),
        catalogue::PF20.judge_gently(busy, yes_no, |busy| !busy),
    ]
}

fn yes_no(value: &bool) -> String {
    if *value { "yes" } else { "no" }.to_owned()
}

pub(super) fn windows(
    preflight: &Preflight,
    report: &Report,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let role = cx.text(product::PRODUCT_OPTIONS_KEY, "ProductType")?;
    findings.push(catalogue::PF01.judge(role.clone(), or_absent, |role| {
        matches!(role.as_deref(), Some("ServerNT" | CONTROLLER))
    }));
    let build = cx.number(product::WINDOWS_KEY, "CurrentBuildNumber")?;
    findings.push(catalogue::PF02.judge(build, or_absent, |build| {
        build.is_some_and(|build| build >= product::SERVER_2016)
    }));
    let edition = cx.text(product::WINDOWS_KEY, "InstallationType")?;
    findings.push(catalogue::PF03.judge(edition, or_absent, |edition| {
        edition.as_deref() == Some("Server")
    }));
    findings.push(catalogue::PF04.judge(domain(report), or_absent, Option::is_some));
    // A domain controller is no member that was joined: there the cmdlet errs ([K]), and whoever repaired the channel or joined it again
    // as PF05 advises would take it apart.
    if !matches!(&role, Ok(Some(role)) if role == CONTROLLER) {
        let channel = report.part("secureChannel", Value::as_bool);
        findings.push(catalogue::PF05.judge_gently(channel, yes_no, |fine| *fine));
    }
    let elevated = report.part("elevated", Value::as_bool);
    findings.push(catalogue::PF06.judge(elevated, yes_no, |elevated| *elevated));
    machine(preflight, cx, findings)?;
    let (minimum, rule) = match preflight.product {
        Product::ProvisioningAgent => (product::DOTNET_4_7_1, &catalogue::PF09),
        Product::Connect => (product::DOTNET_4_7_2, &catalogue::PF10),
    };
    let release = cx.number(product::DOTNET_KEY, "Release")?;
    findings.push(rule.judge(release, or_absent, |release| {
        release.is_some_and(|release| release >= minimum)
    }));
    let mut restart = restart(cx)?;
    if preflight.restarts {
        restart.severity = Severity::Warn;
        "a later step of this run sees to it".clone_into(&mut restart.fix);
    }
    findings.push(restart);
    let busy = report.part("installerBusy", Value::as_bool);
    findings.push(catalogue::PF20.judge_gently(busy, yes_no, |busy| !busy));
    let controller = |role: &Option<String>| {
        let controller = role.as_deref() == Some(CONTROLLER);
        if controller {
            "domain controller"
        } else {
            "member server"
        }
        .to_owned()
    };
    findings
        .push(catalogue::PF39.judge(role, controller, |role| role.as_deref() != Some(CONTROLLER)));
    Ok(())
}

/// What Windows names a domain controller ([K]).
const CONTROLLER: &str = "LanmanNT";

fn machine(preflight: &Preflight, cx: &mut Cx<'_>, findings: &mut Vec<Finding>) -> Flow<()> {
    let machine = cx.machine()?;
    let mib = |value: &u64| format!("{value} MiB");
    match preflight.product {
        Product::ProvisioningAgent => {
            let memory = machine.clone().map(|(memory, _)| memory);
            findings.push(catalogue::PF07.judge(memory, mib, |memory| *memory >= 3788));
        }
        Product::Connect => findings.push(catalogue::PF08.judge(
            machine.clone(),
            |(memory, disk)| format!("{memory} MiB of memory, {disk} MiB of free disk"),
            |(memory, disk)| *memory >= 5800 && *disk >= 70 * 1024,
        )),
    }
    let disk = machine.map(|(_, disk)| disk);
    findings.push(catalogue::PF75.judge(disk, mib, |disk| *disk >= 2048));
    Ok(())
}

/// The places that ask for a restart which Windows waits for (PF19).
pub(in crate::step) fn restart_pending(cx: &mut Cx<'_>) -> Flow<Reading<Vec<&'static str>>> {
    const RENAMES: &str = "PendingFileRenameOperations";
    let mut places = Ok(Vec::new());
    for key in product::REBOOT_KEYS {
        let exists = cx.key_exists(key)?;
        places = places.and_then(|mut places: Vec<&str>| {
            places.extend(exists?.then_some(key));
            Ok(places)
        });
    }
    let renames = cx.registry(product::SESSION_MANAGER_KEY, RENAMES)?;
    Ok(places.and_then(|mut places| {
        places.extend(renames?.map(|_| RENAMES));
        Ok(places)
    }))
}

pub(super) fn restart(cx: &mut Cx<'_>) -> Flow<Finding> {
    let pending = restart_pending(cx)?;
    let show = |places: &Vec<&str>| match places.as_slice() {
        [] => "none pending".to_owned(),
        some => format!("pending: {}", some.join(", ")),
    };
    Ok(catalogue::PF19.judge(pending, show, Vec::is_empty))
}

/// The policy that holds: the first scope that sets one. Where none does, servers have RemoteSigned.
fn effective(scopes: &[(String, String)]) -> &str {
    let order = ["MachinePolicy", "UserPolicy", "CurrentUser", "LocalMachine"];
    let set = |wanted: &&str| {
        let found = scopes.iter().find(|(scope, _)| scope == wanted);
        found.map(|(_, policy)| policy.as_str())
    };
    let mut policies = order.iter().filter_map(set);
    policies
        .find(|policy| *policy != "Undefined")
        .unwrap_or("RemoteSigned")
}

/// Whether a scope lets the agent's registration run (PF12).
fn registers_under(policy: &str) -> bool {
    matches!(policy, "Undefined" | "RemoteSigned")
}

/// Whether a scope lets signed scripts run, as Connect's are (PF13).
fn runs_under(policy: &str) -> bool {
    policy != "Restricted"
}

/// SEC2: which control a group policy sets that may be behind the mode ([K]). No script of ours runs in it, and so neither does the one
/// that asks for policies: what the registry holds of them is read, which is the same of a domain's policy and of the server's own.
fn constrained(finding: &mut Finding, cx: &mut Cx<'_>) -> Flow<()> {
    let scripts = format!(r"{}\Script", product::APPLOCKER_KEY);
    let locker = cx.number(&scripts, "EnforcementMode")?;
    let guard = cx.number(product::CODE_INTEGRITY_KEY, "DeployConfigCIPolicy")?;
    let kinds = [
        (
            locker,
            "has AppLocker enforce its rules for scripts",
            scripts.as_str(),
            "sets AppLocker's rules for scripts as enforced",
        ),
        (
            guard,
            "deploys WDAC",
            product::CODE_INTEGRITY_KEY,
            "deploys WDAC",
        ),
    ];
    let (mut read, mut none) = (Vec::new(), Vec::new());
    let mut sets = false;
    for (set, does, key, would) in kinds {
        match set {
            Ok(Some(1)) => {
                sets = true;
                read.push(format!("a group policy {does} (HKLM\\{key})"));
            }
            Ok(_) => none.push(would),
            Err(why) => {
                read.push(format!(
                    "whether a group policy {would} cannot be told: {why}"
                ));
            }
        }
    }
    if !none.is_empty() {
        read.push(format!("no group policy {}", none.join(", nor ")));
    }
    finding.read = format!("{}; {}", finding.read, read.join("; "));
    if sets {
        finding.owner = Owner::Directory;
        "have the group policy that sets it except this server: the product's module does not load in a constrained language mode, and neither does what would name the policy here; gpresult /h on the server names it, a domain's or the server's own"
            .clone_into(&mut finding.fix);
    }
    Ok(())
}

/// SEC3: what is enforced, by either kind of control.
fn application_control(report: &Report, looked: &mut Looked) -> Finding {
    let guard = report.part("codeIntegrity", Value::as_bool);
    looked.code_integrity = guard == Ok(true);
    let guard = guard.map(|enforced| {
        let user = enforced.then(|| "WDAC: user mode".to_owned());
        user.into_iter().collect()
    });
    let locker = report.rows("appLocker", |one| {
        Some(format!("AppLocker: {}", one.as_str()?))
    });
    looked.app_locker = locker.as_ref().is_ok_and(|locker| !locker.is_empty());
    halves(
        &catalogue::SEC3,
        "none enforced",
        [
            ("whether WDAC is enforced", guard),
            ("whether AppLocker is enforced", locker),
        ],
    )
}

/// Gives what was read of that which a policy may set in part.
pub(super) fn powershell(
    preflight: &Preflight,
    report: &Report,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<Looked> {
    let mut looked = Looked::default();
    let text = |part: &Value| part.as_str().map(ToOwned::to_owned);
    let version = report.part("powerShell", text);
    findings.push(catalogue::PF11.judge(version, Clone::clone, |version| {
        let mut parts = version
            .split('.')
            .map_while(|part| part.parse::<u32>().ok());
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= (5, 1)
    }));
    let policies = report.part("policies", |part| {
        let scopes = part.as_object()?;
        let policy = |(scope, policy): (&String, &Value)| {
            (scope.clone(), policy.as_str().unwrap_or("?").to_owned())
        };
        Some(scopes.iter().map(policy).collect::<Vec<_>>())
    });
    let show = |scopes: &Vec<(String, String)>| {
        let scopes: Vec<String> = scopes
            .iter()
            .map(|(scope, policy)| match scope.as_str() {
                // Whoever signs in at the server's wizard has one of their own (1.7 [P]: machine and user).
                "CurrentUser" => format!("{scope} {policy} (of the account that Entrain runs as)"),
                _ => format!("{scope} {policy}"),
            })
            .collect();
        scopes.join(", ")
    };
    let does: fn(&str) -> bool = match preflight.product {
        Product::ProvisioningAgent => registers_under,
        Product::Connect => runs_under,
    };
    let of_policy = |(scope, policy): &(String, String)| scope == "MachinePolicy" && !does(policy);
    looked.machine_policy = policies.as_ref().is_ok_and(|all| all.iter().any(of_policy));
    findings.push(match preflight.product {
        Product::ProvisioningAgent => catalogue::PF12.judge(policies, show, |scopes| {
            !scopes.is_empty() && scopes.iter().all(|(_, policy)| registers_under(policy))
        }),
        Product::Connect => catalogue::PF13.judge(policies, show, |scopes| {
            !scopes.is_empty() && runs_under(effective(scopes))
        }),
    });
    let mode = report.part("languageMode", text);
    let mut mode = catalogue::SEC2.judge(mode, Clone::clone, |mode| mode == "FullLanguage");
    if mode.verdict == Verdict::Fail {
        constrained(&mut mode, cx)?;
    }
    findings.push(mode);
    findings.push(application_control(report, &mut looked));
    if preflight.product == Product::Connect {
        let on = cx.number(product::TRANSCRIPTION_KEY, "EnableTranscripting")?;
        findings.push(catalogue::PF38.judge(on, or_absent, |on| !matches!(on, Some(1))));
    } else if preflight.sign_in == SignIn::Wizard {
        let on = cx.number(product::IE_ESC_KEY, "IsInstalled")?;
        findings.push(catalogue::PF33.judge(on, or_absent, |on| !matches!(on, Some(1))));
    } else {
        let recording = recording(cx)?;
        if !recording.is_empty() {
            // A person does it at the wizard then, whose sign-in page this would block.
            let on = cx.number(product::IE_ESC_KEY, "IsInstalled")?;
            findings.push(catalogue::PF33.judge(on, or_absent, |on| !matches!(on, Some(1))));
        }
        looked.recorders.clone_from(&recording);
        let show = |on: &Vec<Recorder>| match on.as_slice() {
            [] => "off".to_owned(),
            some => {
                let names: Vec<&str> = some.iter().map(|one| one.name()).collect();
                names.join(", ")
            }
        };
        findings.push(catalogue::SEC1.judge(Ok(recording), show, Vec::is_empty));
    }
    Ok(looked)
}

/// A number that somebody sets. What is there and is no number is not taken for nothing: what Windows makes of it is not known.
fn number(key: &str, value: &str, cx: &mut Cx<'_>) -> Flow<Reading<Option<u32>>> {
    let there = cx.registry(key, value)?;
    Ok(there.and_then(|there| match &there {
        None => Ok(None),
        Some(set) => match fix::number(set) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("{value} is {}", fix::shown(&there))),
        },
    }))
}

pub(super) fn cryptography(
    preflight: &Preflight,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let strong = number(product::DOTNET_CRYPTO_KEY, "SchUseStrongCrypto", cx)?;
    let mut finding = catalogue::PF17.judge(strong, or_absent, |strong| *strong == Some(1));
    match preflight.product {
        Product::ProvisioningAgent => {
            findings.push(finding);
            schannel(&catalogue::PF15, product::TLS12_CLIENT_KEY, cx, findings)?;
            schannel(&catalogue::PF16, product::TLS12_SERVER_KEY, cx, findings)?;
            let ntlm = number(product::NTLM_KEY, "RestrictSendingNTLMTraffic", cx)?;
            let broken = if preflight.present && ntlm == Ok(Some(2)) {
                breaks_without_ntlm(cx)?
            } else {
                None
            };
            let judged = || catalogue::PF35.judge(ntlm, or_absent, |ntlm| *ntlm == Some(2));
            findings.push(broken.unwrap_or_else(judged));
            credential_manager(cx, findings)?;
        }
        Product::Connect => {
            // What this value alone says warns (5); an installer that demands it demands those of PF18 as well.
            finding.severity = Severity::Warn;
            findings.push(finding);
            dotnet(preflight.demands_tls, cx, findings)?;
            dcom(cx, findings)?;
        }
    }
    let fips = number(product::FIPS_KEY, "Enabled", cx)?;
    let exempt = preflight.options.fips_exempt;
    findings
        .push(catalogue::PF36.judge(fips, or_absent, |fips| exempt || !matches!(fips, Some(1))));
    Ok(())
}

/// The first version that takes credentials where outgoing NTLM is denied (1.11 [R]).
const WITHOUT_NTLM: Version = Version::new(1, 1, 1365, 0);

/// PF35 of an agent that is there and needs what is denied.
fn breaks_without_ntlm(cx: &mut Cx<'_>) -> Flow<Option<Finding>> {
    let agent = facts::provisioning_agent(cx)?.found;
    let version = agent.and_then(|agent| agent.version);
    let old = version.filter(|version| *version < WITHOUT_NTLM);
    Ok(old.map(|version| {
        let read = format!("denied, and the agent is {version}: it fails with credentials then");
        let mut finding = catalogue::PF35.finding(read, Verdict::Fail);
        finding.severity = Severity::Warn;
        finding.wanted = format!("an agent of {WITHOUT_NTLM} or later, or not denied");
        "upgrade the agent before domains are added or its account is changed"
            .clone_into(&mut finding.fix);
        finding
    }))
}

fn credential_manager(cx: &mut Cx<'_>, findings: &mut Vec<Finding>) -> Flow<()> {
    let vault = cx.service(product::VAULT_SERVICE)?;
    findings.push(catalogue::PF14.judge(vault, step::of_service, |service| {
        let enabled = |service: &crate::op::Service| service.state != ServiceState::Disabled;
        service.as_ref().is_some_and(enabled)
    }));
    Ok(())
}

fn schannel(probe: &Probe, key: &str, cx: &mut Cx<'_>, findings: &mut Vec<Finding>) -> Flow<()> {
    let enabled = number(key, "Enabled", cx)?;
    let disabled = number(key, "DisabledByDefault", cx)?;
    let both = enabled.and_then(|enabled| disabled.map(|disabled| (enabled, disabled)));
    let show = |(enabled, disabled): &(Option<u32>, Option<u32>)| {
        format!(
            "Enabled {}, DisabledByDefault {}",
            or_absent(enabled),
            or_absent(disabled)
        )
    };
    let pass = |both: &(Option<u32>, Option<u32>)| matches!(both, (Some(_), Some(_))) && !off(both);
    // Where a value is absent the operating system's default holds, which has TLS 1.2 on since 2016 (PF15): of each by itself.
    let lenient = both.as_ref().is_ok_and(|both| !off(both));
    let mut finding = probe.judge(both, show, pass);
    if lenient {
        finding.severity = Severity::Warn;
    }
    findings.push(finding);
    Ok(())
}

/// Whether one of the two values turns it off. Windows writes all bits where some tools write 1.
fn off((enabled, disabled): &(Option<u32>, Option<u32>)) -> bool {
    *enabled == Some(0) || disabled.is_some_and(|disabled| disabled != 0)
}

/// PF18. `demands`: installers of 2.3.20.0 to 2.4.129.0 do not install without these; later ones do not ask (2.8 [R]).
fn dotnet(demands: bool, cx: &mut Cx<'_>, findings: &mut Vec<Finding>) -> Flow<()> {
    let mut read = Vec::new();
    let mut all = Ok(true);
    for (tree, key) in [
        ("64-bit", product::DOTNET_CRYPTO_KEY),
        ("32-bit", product::DOTNET_CRYPTO_KEY_X86),
    ] {
        for value in ["SchUseStrongCrypto", "SystemDefaultTlsVersions"] {
            let set = number(key, value, cx)?;
            read.push(match &set {
                Ok(set) => format!("{tree} {value} {}", or_absent(set)),
                Err(why) => format!("{tree}: {why}"),
            });
            all = all.and_then(|before| set.map(|set| before && set == Some(1)));
        }
    }
    let read = read.join(", ");
    let mut finding = catalogue::PF18.judge(all, |_| read, |all| *all);
    if demands {
        finding.severity = Severity::Block;
    }
    findings.push(finding);
    Ok(())
}

fn dcom(cx: &mut Cx<'_>, findings: &mut Vec<Finding>) -> Flow<()> {
    let mut missing = Ok(Vec::new());
    for value in product::DCOM_VALUES {
        let there = cx.registry(product::DCOM_KEY, value)?;
        missing = missing.and_then(|mut missing| {
            let there = there?;
            if !matches!(there, Some(RegistryValue::Other)) {
                missing.push(value.to_owned());
            }
            Ok(missing)
        });
    }
    let show = |missing: &Vec<String>| match missing.as_slice() {
        [] => "all three present".to_owned(),
        some => format!("missing, empty or not binary: {}", some.join(", ")),
    };
    findings.push(catalogue::PF37.judge(missing, show, Vec::is_empty));
    Ok(())
}
