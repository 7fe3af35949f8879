//! Probes of the way to the cloud.

use std::time::Duration;

use protocol::event::{Finding, Severity, Verdict};
use protocol::step::{Preflight, Product};
use protocol::{DomainName, ProxyAddress, TargetId};
use serde_json::{Value, json};

use crate::catalogue::{self, Probe};
use crate::op::{self, Names, Op, Script};
use crate::procedure::{Cx, Flow, Reading};
use crate::product;
use crate::step::engine;
use crate::step::report::Report;

/// Hosts of the cloud that a preflight asks: all that its bundle tells, where it tells any, and else those that this program knows.
pub(super) struct Hosts<'a> {
    /// Those that must answer by TLS before anything else makes sense.
    pub(super) tls: Vec<&'a str>,
    /// Those at which an agent of the tenant registers.
    registration: Vec<String>,
    /// Those of certificate revocation lists and answers.
    revocation: Vec<&'a str>,
}

impl<'a> Hosts<'a> {
    pub(super) fn of(preflight: &'a Preflight) -> Self {
        let (cloud, tenant) = (preflight.cloud, &preflight.tenant);
        if let Some(told) = &preflight.hosts {
            let zones = told.registration.iter();
            let registration =
                zones.flat_map(|zone| product::registers_below(zone.as_str(), tenant));
            return Self {
                tls: told
                    .sign_in
                    .iter()
                    .chain(&told.product)
                    .map(DomainName::as_str)
                    .collect(),
                registration: registration.collect(),
                revocation: told.revocation.iter().map(DomainName::as_str).collect(),
            };
        }
        let sign_in = product::sign_in_hosts(cloud).iter();
        let own = product::product_hosts(preflight.product, cloud).iter();
        Self {
            tls: sign_in.chain(own).copied().collect(),
            registration: product::registration_hosts(cloud, tenant),
            revocation: product::revocation_hosts(cloud).to_vec(),
        }
    }
}

/// How the answer begins where a proxy lets nobody through who does not sign in to it.
pub const PROXY_SIGN_IN: &str = "the proxy demands a sign-in";

/// Whether a host spoke TLS 1.2 where it was asked directly.
enum Tls {
    Spoken,
    /// Why it did not.
    Refused(String),
    /// Nobody asked it, and why.
    Untold(String),
}

impl Tls {
    /// What the server's own reading says of a host.
    fn of(host: &str, leaves: &Reading<Vec<Value>>) -> Self {
        let leaves = match leaves {
            Ok(leaves) => leaves,
            Err(why) => return Self::Untold(why.clone()),
        };
        match leaves.iter().find(|one| one["host"] == host) {
            None => Self::Untold("the server's reading does not tell it".to_owned()),
            Some(leaf) => match leaf["why"].as_str() {
                Some(why) => Self::Refused(why.to_owned()),
                None => Self::Spoken,
            },
        }
    }
}

/// What a host showed behind a proxy: its certificates, its own first.
type Shown = Reading<op::Shown>;

/// How the product comes to the cloud.
struct Way {
    /// The proxy that it goes through: the one that it is told to use, and for Connect the system's, which machine.config has to name
    /// (PF31). The agent does not read the system's.
    through: Option<ProxyAddress>,
    /// It is told to: nothing goes by another way.
    told: bool,
    /// What is said where the direct way is closed and a proxy decides that is not asked.
    else_by: Option<String>,
}

impl Way {
    fn of(preflight: &Preflight, system: Option<&String>) -> Self {
        let told = preflight.options.proxy.clone();
        let by_system = match preflight.product {
            Product::Connect => system.and_then(|proxy| address(proxy)),
            Product::ProvisioningAgent => None,
        };
        Self {
            told: told.is_some(),
            through: told.or(by_system),
            else_by: system.map(|proxy| format!("the system's proxy is {}", shown_address(proxy))),
        }
    }

    /// PF27 and PF28: whether a connection comes about, by the way that the product takes.
    fn reach(&self, probe: &Probe, host: &str, port: u16, cx: &mut Cx<'_>) -> Flow<Finding> {
        let Some(proxy) = &self.through else {
            return reach(probe, host, port, cx);
        };
        Ok(match through(proxy, host, port, cx)? {
            Ok(()) => probe.finding(format!("{host}:{port}: open, by {proxy}"), Verdict::Pass),
            Err(why) => {
                let verdict = if why.starts_with(PROXY_SIGN_IN) {
                    Verdict::CannotTell
                } else {
                    Verdict::Fail
                };
                probe.finding(format!("{host}: by {proxy}: {why}"), verdict)
            }
        })
    }

    /// PF26. Through a proxy TLS is begun with the host as well; gives the certificates that are shown there.
    fn sign_in_host(
        &self,
        host: &str,
        tls: &Tls,
        cx: &mut Cx<'_>,
    ) -> Flow<(Finding, Option<Shown>)> {
        let probe = &catalogue::PF26;
        let gently = |read: String| {
            let mut finding = probe.finding(read, Verdict::CannotTell);
            finding.severity = Severity::Warn;
            finding
        };
        let mut direct = reach(probe, host, 443, cx)?;
        let mut open = direct.verdict == Verdict::Pass;
        match tls {
            Tls::Spoken => {}
            Tls::Refused(why) if open => {
                open = false;
                let read = format!("{host}:443: open, and no TLS 1.2: {why}");
                direct = probe.finding(read, Verdict::Fail);
            }
            Tls::Untold(why) if open => {
                let read = format!("{host}:443: open; whether it speaks TLS 1.2: {why}");
                direct = gently(read);
            }
            Tls::Refused(_) | Tls::Untold(_) => {}
        }
        let Some(proxy) = &self.through else {
            let finding = match &self.else_by {
                // The product's own proxy decides then, which nobody has named here.
                Some(proxy) if !open => gently(format!("{} (directly; {proxy})", direct.read)),
                Some(_) | None => direct,
            };
            return Ok((finding, None));
        };
        let chain = cx.look_through(proxy, host)?;
        // A proxy of the system may be passed by for some hosts: what was seen directly is what the product meets then.
        let passed_by = chain.is_err() && open && !self.told;
        let finding = match &chain {
            Ok(_) => {
                let also = if open { "directly and " } else { "" };
                let read = format!("{host}:443: open, {also}by {proxy}");
                probe.finding(read, Verdict::Pass)
            }
            Err(why) => {
                let read = format!("{host}: by {proxy}: {why} (directly: {})", direct.read);
                if why.starts_with(PROXY_SIGN_IN) || passed_by {
                    gently(read)
                } else {
                    probe.finding(read, Verdict::Fail)
                }
            }
        };
        Ok((finding, (!passed_by).then_some(chain)))
    }
}

/// A proxy's address as it may be shown: somebody may have written a user and a password into it.
fn shown_address(proxy: &str) -> String {
    if proxy.contains('@') {
        "a proxy with a user in its address".to_owned()
    } else {
        proxy.to_owned()
    }
}

/// A proxy as the system names it, which may do so without a scheme.
fn address(proxy: &str) -> Option<ProxyAddress> {
    let read = |text: &str| text.parse::<ProxyAddress>().ok();
    read(proxy).or_else(|| read(&format!("http://{proxy}")))
}

fn through(
    proxy: &ProxyAddress,
    host: &str,
    port: u16,
    cx: &mut Cx<'_>,
) -> Flow<Result<(), String>> {
    cx.perform(Op::ReachThrough {
        proxy: proxy.clone(),
        host: host.to_owned(),
        port,
    })
}

pub(super) fn check(
    preflight: &Preflight,
    report: &Report,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let proxy = report.part("proxy", |part| part.as_str().map(ToOwned::to_owned));
    let system = proxy.clone().ok().filter(|proxy| proxy != "none");
    let way = Way::of(preflight, system.as_ref());
    let leaves = report.part("tls", |part| part.as_array().cloned());
    let before = findings.len();
    let mut through = Vec::new();
    let hosts = Hosts::of(preflight);
    for host in hosts.tls.iter().copied() {
        let tls = Tls::of(host, &leaves);
        let (finding, chain) = way.sign_in_host(host, &tls, cx)?;
        findings.push(finding);
        through.extend(chain.map(|chain| (host, chain)));
    }
    if preflight.product == Product::ProvisioningAgent {
        for host in &hosts.registration {
            findings.push(way.reach(&catalogue::PF27, host, 443, cx)?);
        }
    }
    for host in hosts.revocation.iter().copied() {
        findings.push(way.reach(&catalogue::PF28, host, 80, cx)?);
    }
    let mut asked = findings.iter().skip(before);
    let asks = asked.any(|one| one.read.contains(PROXY_SIGN_IN));
    if let (Some(proxy), true) = (&way.through, asks) {
        findings.push(signs_in(preflight, proxy));
    }
    findings.push(inspected(shown(leaves, &hosts.tls, through, cx)?));
    let mut fits = false;
    if preflight.product == Product::Connect {
        let own = web(preflight, &hosts.tls, cx)?;
        let mut machine = own.iter().filter(|one| one.id == catalogue::PF31.id);
        fits = machine.any(|one| one.verdict == Verdict::Pass);
        findings.extend(own);
    }
    let planned = preflight.options.proxy.as_ref();
    // What is planned is what the system's is held against, whatever machine.config says.
    let same = |proxy: &String| match planned {
        Some(planned) => address(proxy).is_some_and(|proxy| *planned == proxy),
        None => fits,
    };
    let mut finding = catalogue::PF30.judge(
        proxy,
        |proxy| shown_address(proxy),
        |proxy| proxy == "none" || same(proxy),
    );
    if preflight.product == Product::Connect {
        let (wanted, fix) = match planned {
            Some(planned) => (
                format!("none, or {planned}, which is planned"),
                "set the system's proxy to what is planned, or plan the system's: the person at the wizard goes by the system's, the engine by machine.config (PF31)",
            ),
            None => (
                "none, or the one that machine.config names".to_owned(),
                "the engine goes by machine.config alone: see what PF31 says of it",
            ),
        };
        finding.wanted = wanted;
        if finding.verdict != Verdict::Pass {
            fix.clone_into(&mut finding.fix);
        }
    }
    findings.push(finding);
    Ok(())
}

/// PF30 of a proxy that wants to know who asks: this agent shows it no account, the product does (product facts 1.7, 2.8 [P]).
fn signs_in(preflight: &Preflight, proxy: &ProxyAddress) -> Finding {
    if preflight.proxy_signs_in {
        let read = format!("{proxy}: {PROXY_SIGN_IN}, as planned, which the engine's service does");
        return catalogue::PF30.finding(read, Verdict::Pass);
    }
    let read = format!("{proxy}: {PROXY_SIGN_IN}, which Entrain does not do");
    let mut finding = catalogue::PF30.finding(read, Verdict::Fail);
    "a proxy that lets the server through".clone_into(&mut finding.wanted);
    match preflight.product {
        Product::ProvisioningAgent => {
            "have the proxy let the server through to the cloud's hosts without a sign-in, or see that it takes the account of the agent's service, by which useDefaultCredentials signs in"
        }
        Product::Connect => {
            "have the proxy let the server through to the cloud's hosts without a sign-in, or give the engine a domain account as its service's, write useDefaultCredentials=\"true\" into machine.config, and proxy_sign_in = true into the topology, and plan again"
        }
    }
    .clone_into(&mut finding.fix);
    finding
}

/// Asks as the engine would: through the .NET Framework's own proxy, to the web service that the product's page names for
/// the commercial cloud (2.8 [P]).
fn web(preflight: &Preflight, hosts: &[&str], cx: &mut Cx<'_>) -> Flow<Vec<Finding>> {
    const WEB_SERVICE: &str = "adminwebservice.microsoftonline.com";
    let host = hosts.iter().copied().find(|host| *host == WEB_SERVICE);
    let report = engine::way(hosts.first().copied(), host, cx)?;
    let text = |part: &Value| part.as_str().map(ToOwned::to_owned);
    let own = report.part("machineProxy", text);
    let system = report.part("systemProxy", text);
    let bare = |proxy: &str| {
        let proxy = proxy.trim_start_matches("http://");
        proxy.trim_end_matches('/').to_lowercase()
    };
    let mut findings = match &preflight.options.proxy {
        Some(planned) => {
            let shows = report.part("machineCredentials", text);
            planned_proxy(preflight, planned, (own, shows), cx)?
        }
        None => {
            let both = own.and_then(|own| Ok((own, system?)));
            let show = |(own, system): &(String, String)| {
                let (own, system) = (shown_address(own), shown_address(system));
                format!("{own}; the system's is {system}")
            };
            let same = |(own, system): &(String, String)| bare(own) == bare(system);
            vec![catalogue::PF31.judge_gently(both, show, same)]
        }
    };
    if let Some(host) = host {
        let status = report.part("web", Value::as_u64);
        let show = |status: &u64| format!("{host} answered {status}");
        // This agent is not the account that signs in at the proxy.
        let status = status.and_then(|status| match status {
            407 if preflight.proxy_signs_in => Err(format!(
                "{PROXY_SIGN_IN}, as planned: asked as the server's own account it answers 407"
            )),
            status => Ok(status),
        });
        findings.push(catalogue::PF32.judge_gently(status, show, |status| *status == 200));
    }
    Ok(findings)
}

/// PF31 where the topology plans a proxy: machine.config names it, and where it demands a sign-in the engine's service may do that,
/// as a domain account (product facts 2.8 [P]). Which account an engine has is fixed at its first installation: it warns.
fn planned_proxy(
    preflight: &Preflight,
    planned: &ProxyAddress,
    (own, shows): (Reading<String>, Reading<String>),
    cx: &mut Cx<'_>,
) -> Flow<Vec<Finding>> {
    let probe = &catalogue::PF31;
    let is_planned = |own: &String| address(own).is_some_and(|own| own == *planned);
    let signs_in = preflight.proxy_signs_in;
    let mut finding = if signs_in {
        let both = own.and_then(|own| Ok((own, shows?)));
        let show = |(own, shows): &(String, String)| {
            format!("{}; useDefaultCredentials {shows}", shown_address(own))
        };
        probe.judge_gently(both, show, |(own, shows)| {
            is_planned(own) && shows.eq_ignore_ascii_case("true")
        })
    } else {
        probe.judge_gently(own, |own| shown_address(own), is_planned)
    };
    let credentials = if signs_in {
        "; useDefaultCredentials true"
    } else {
        ""
    };
    finding.wanted = format!("{planned}{credentials}, as planned");
    if finding.verdict != Verdict::Pass {
        finding.fix = format!(
            "write into {}, below <configuration>: <system.net><defaultProxy enabled=\"true\" useDefaultCredentials=\"true\"><proxy usesystemdefault=\"true\" proxyaddress=\"{planned}\" bypassonlocal=\"true\" /></defaultProxy></system.net>, and restart ADSync where it is there; or mend `proxy` in the topology, and plan again",
            product::MACHINE_CONFIG
        );
    }
    let mut findings = vec![finding];
    if signs_in
        && preflight.present
        && let Some(service) = cx.service(product::CONNECT_SERVICE)?.ok().flatten()
    {
        let account = service.account;
        let verdict = if is_of_a_domain(&account, &preflight.target) {
            Verdict::Pass
        } else {
            Verdict::Fail
        };
        let mut finding = probe.finding(format!("ADSync runs as {account}"), verdict);
        finding.severity = Severity::Warn;
        "a domain account, which signs in at the proxy".clone_into(&mut finding.wanted);
        if verdict == Verdict::Fail {
            "the account is chosen at the first installation and stays: a second server with a domain account and a swap, or a proxy that lets this one through".clone_into(&mut finding.fix);
        }
        findings.push(finding);
    }
    Ok(findings)
}

/// Whether a service's account is one of a domain: none of Windows' own, and none of this computer's.
fn is_of_a_domain(account: &str, target: &TargetId) -> bool {
    let lower = account.to_ascii_lowercase();
    let own = target.as_str().split('.').next().unwrap_or_default();
    match lower.split_once('\\') {
        Some((domain, _)) => !["nt service", "nt authority", ".", own].contains(&domain),
        None => lower.contains('@'),
    }
}

/// How long judging takes at most: Windows may fetch a root that it has not met.
const JUDGE: Duration = Duration::from_secs(60);

/// What hosts showed on the way that the product takes: through the proxy where it goes through one, as Windows judges what was shown there,
/// and directly else. A host of which neither way could be read is one that could not be looked at.
fn shown(
    direct: Reading<Vec<Value>>,
    hosts: &[&str],
    through: Vec<(&str, Shown)>,
    cx: &mut Cx<'_>,
) -> Flow<Reading<Vec<Value>>> {
    if through.is_empty() {
        return Ok(direct);
    }
    let mut leaves = Vec::new();
    let mut chains = Vec::new();
    for (host, chain) in &through {
        match chain {
            // Under a public root or not: it is not the host that is at the other end.
            Ok(op::Shown {
                names: Names::Others(names),
                ..
            }) => leaves.push(json!({ "host": host, "others": others(names), "public": false })),
            Ok(op::Shown {
                names: Names::Untold(why),
                ..
            }) => {
                let why = format!("for whom its certificate is cannot be told: {why}");
                leaves.push(json!({ "host": host, "why": why }));
            }
            Ok(op::Shown {
                names: Names::OfHost,
                certificates,
            }) => {
                let chain: Vec<String> = certificates.iter().map(|one| hex(one)).collect();
                chains.push(json!({ "host": host, "chain": chain }));
            }
            Err(why) => leaves.push(json!({ "host": host, "why": why })),
        }
    }
    // Hosts for which a proxy of the system is passed by.
    let is_through = |name: &str| through.iter().any(|(host, _)| *host == name);
    match direct {
        Ok(direct) => {
            let own = |one: &Value| one["host"].as_str().is_none_or(|host| !is_through(host));
            leaves.extend(direct.into_iter().filter(own));
        }
        Err(why) => {
            let rest = hosts.iter().filter(|host| !is_through(host));
            leaves.extend(rest.map(|host| json!({ "host": host, "why": why })));
        }
    }
    if chains.is_empty() {
        return Ok(Ok(leaves));
    }
    let report = Report::ask(Script::JudgeChains, json!({ "chains": &chains }), JUDGE, cx)?;
    let judged = report.part("tls", |part| part.as_array().cloned());
    let judged = judged.unwrap_or_else(|why| {
        // Whoever is inspected on the direct way is so all the same.
        let own = |one: &Value| json!({ "host": one["host"], "why": why });
        chains.iter().map(own).collect()
    });
    Ok(Ok(judged.into_iter().chain(leaves).collect()))
}

/// For whom a certificate is that is not the host's.
fn others(names: &[String]) -> String {
    /// A certificate may be for a hundred.
    const FEW: usize = 3;
    match names {
        [] => "no name".to_owned(),
        some if some.len() <= FEW => some.join(", "),
        some => format!("{}, and {} more", some[..FEW].join(", "), some.len() - FEW),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// PF29: one chain that ends at no public root is enough; one that could not be looked at, or of whose root it cannot be told whose it
/// is, leaves it open.
fn inspected(leaves: Reading<Vec<Value>>) -> Finding {
    let said = |one: &Value, what: &str| one[what].as_str().unwrap_or_default().to_owned();
    let show = |leaves: &Vec<Value>| {
        let leaf = |one: &Value| match one["why"].as_str() {
            Some(why) => format!("{}: {why}", said(one, "host")),
            None if one["others"].is_string() => format!(
                "{}: a certificate for {} is shown",
                said(one, "host"),
                said(one, "others")
            ),
            None if one["public"].is_null() => format!(
                "{} under {}, which the server trusts since somebody put it there, and which Windows may know as a public one, or has no list to know it by (or a policy keeps those from coming by themselves: DisableRootAutoUpdate): whether that one is public shows in certlm.msc, or to whoever put it there",
                said(one, "host"),
                said(one, "root")
            ),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_in_a_proxys_address_is_not_shown() {
        let shown = shown_address("http://user:word@proxy.contoso.com:8080");
        assert!(
            !shown.contains("word") && !shown.contains("user:"),
            "{shown}"
        );
        let plain = "http://proxy.contoso.com:8080";
        assert_eq!(shown_address(plain), plain);
    }
}
