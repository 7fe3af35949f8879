//! Probes of the domains: found, reached, and what their controllers say. Questions that need an account are asked as the
//! server's own; what it may not read is *cannot tell* and warns, since a domain's administrator can answer it.

use std::collections::BTreeSet;

use protocol::event::{Finding, Severity, Verdict};
use protocol::step::{
    BothTools, DirectoryRights, OwnRights, Permission, Preflight, Product, ServedDomain,
};
use protocol::{DomainName, GmsaName, TargetId, Timestamp};

use super::counted::{anchored, anchors, size, sized};
use super::forest::{Others, together};
use super::silent::{Silent, forest_unanswered, size_unanswered, unanswered, untold};
use super::{Beside, network, or_absent};
use crate::catalogue::{self, Probe};
use crate::op::{DirectoryAccount, Op};
use crate::procedure::{Cx, Flow, Reading};
use crate::product;
use crate::step::connect_removal;
use crate::step::controllers::{CONTROLLERS, named};
use crate::step::directory::{Directory, Names, Root, root};
use crate::step::report::Report;
use crate::step::rights::given;

/// AES128 and AES256 in `msDS-SupportedEncryptionTypes` (PF52).
const AES: i64 = 0x18;

/// RC4 in the same.
const RC4: i64 = 0x4;

pub(super) fn check(
    preflight: &Preflight,
    report: &Report,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let home = super::host::domain(report);
    let own = beside(preflight, &home);
    let mut reached = Vec::new();
    let mut others = Others::default();
    let mut counted = Vec::new();
    for domain in &preflight.domains {
        let mut about = Vec::new();
        let at_home = home
            .as_ref()
            .is_ok_and(|home| home.as_ref() == Some(&domain.name));
        let directory = controller(preflight.product, domain, cx, &mut about)?;
        if let Err(Silent::Answers(why)) = &directory {
            unanswered(preflight, domain, why, &mut about);
            if at_home {
                service_account(preflight, domain, Err(why), cx, &mut about)?;
            }
            if preflight.census {
                counted.push(None);
            }
        }
        if let Ok(directory) = &directory {
            // Who signs in by cloud sync does so by a suffix as well: it is told once, before the agent is there.
            let tell = preflight.census;
            let names = forest(preflight.product, tell, domain, directory, cx, &mut about)?;
            let suffixes = names.as_ref().map(suffixes_of);
            if preflight.product == Product::Connect {
                others.add(preflight, domain, names.as_ref());
            }
            let mut key = None;
            if preflight.census {
                let holds = (preflight.product, preflight.database.is_some());
                counted.push(size(holds, directory, cx, &mut about)?);
            }
            for both in preflight
                .both_tools
                .iter()
                .filter(|both| both.domain == domain.name)
            {
                anchors(both, directory, cx, &mut about)?;
            }
            if at_home {
                key = service_account(preflight, domain, Ok(directory), cx, &mut about)?;
            }
            if suffixes.is_some() || key.is_some() {
                // Connect's wizard takes it.
                let netbios = names.as_ref().map(|names| names.netbios.as_str());
                let netbios = netbios.filter(|_| preflight.product == Product::Connect);
                cx.note_forest(&domain.name, suffixes.as_ref(), key, netbios)?;
            }
        }
        reached.push((domain, directory));
        for finding in about {
            findings.push(of_domain(finding, domain));
        }
    }
    if preflight.product == Product::Connect {
        others.ask(preflight, &mut counted, cx, findings)?;
        findings.extend(together(preflight.database.is_some(), &counted));
        findings.extend(sized(&counted, cx)?);
    }
    if let Some(own) = &own {
        reached.push((own, own_domain(preflight, own, cx, findings)?));
    }
    if let (Some(name), Some(rights)) = (&preflight.gmsa, &preflight.own_rights) {
        rights_of(name, rights, &reached, cx, findings)?;
    }
    let unknown = match home {
        Ok(Some(_)) => None,
        Ok(None) => Some("the server belongs to no domain".to_owned()),
        Err(why) => Some(why),
    };
    if preflight.product == Product::ProvisioningAgent
        && let Some(why) = unknown
    {
        for probe in [&catalogue::PF49, &catalogue::PF50, &catalogue::PF52] {
            let unknown: Result<bool, String> = Err(why.clone());
            findings.push(probe.judge_gently(unknown, |_| String::new(), |known| *known));
        }
    }
    if let Some(name) = &preflight.gmsa {
        let usable = report.part("gmsa", |part| part["usable"].as_bool());
        let show = |usable: &bool| format!("{name}: {usable}");
        // Without the ActiveDirectory module nobody can ask here; the product's own cmdlet will tell.
        findings.push(catalogue::PF51.judge_gently(usable, show, |usable| *usable));
    }
    Ok(())
}

/// The server's own domain, where its agent serves others alone: the gMSA lives there all the same (product facts 1.6 [P]).
fn beside(preflight: &Preflight, home: &Reading<Option<DomainName>>) -> Option<ServedDomain> {
    let home = home.as_ref().ok()?.as_ref()?;
    let served = preflight.domains.iter().any(|one| one.name == *home);
    let agent = preflight.product == Product::ProvisioningAgent;
    (agent && !served).then(|| unnamed(home.clone()))
}

/// A domain that no bundle names.
pub(super) const fn unnamed(name: DomainName) -> ServedDomain {
    ServedDomain {
        name,
        preferred_dcs: Vec::new(),
        rights: DirectoryRights::Handover,
        permissions: Vec::new(),
    }
}

/// What such a domain is asked: whether its forest and its controllers know a gMSA, and the account itself. What is synchronized of a
/// domain is not asked, since nothing of it is.
fn own_domain(
    preflight: &Preflight,
    domain: &ServedDomain,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<Result<Directory, Silent>> {
    let mut about = Vec::new();
    let directory = controller(preflight.product, domain, cx, &mut about)?;
    if let Err(Silent::Answers(why)) = &directory {
        about.push(schema_of(preflight.product, domain, Err(why.clone())));
        about.push(untold(&catalogue::PF48, why));
        service_account(preflight, domain, Err(why), cx, &mut about)?;
    }
    if let Ok(directory) = &directory {
        schema(preflight.product, domain, directory, cx, &mut about)?;
        systems(directory, cx, &mut about)?;
        let key = service_account(preflight, domain, Ok(directory), cx, &mut about)?;
        if key.is_some() {
            cx.note_forest(&domain.name, None, key, None)?;
        }
    }
    findings.extend(about.into_iter().map(|finding| of_domain(finding, domain)));
    Ok(directory)
}

pub(super) fn of_domain(mut finding: Finding, domain: &ServedDomain) -> Finding {
    finding.what = format!("{} ({})", finding.what, domain.name);
    finding
}

/// What the account of an agent that is there may do in the domains whose controllers answer.
fn rights_of(
    name: &GmsaName,
    rights: &OwnRights,
    reached: &[(&ServedDomain, Result<Directory, Silent>)],
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let home = &rights.home_domain;
    let own = reached.iter().find(|(domain, _)| domain.name == *home);
    let account = match own {
        Some((_, Ok(directory))) => directory.service_account(name, cx)?,
        Some((_, Err(Silent::Answers(why)))) => Err(why.clone()),
        _ => Err(format!(
            "no controller of {home}, where {name} lives, was asked"
        )),
    };
    let wanted = |domain: &ServedDomain| {
        let mut all = rights.replicates.iter();
        all.find(|one| one.name == domain.name)
    };
    // That one is not reached was said, and stops the server.
    let wanted = reached.iter().filter_map(|(domain, directory)| {
        let directory = match directory {
            Ok(directory) => Ok(directory),
            Err(Silent::Answers(why)) => Err(why),
            Err(Silent::Reached) => return None,
        };
        Some((*domain, wanted(domain)?, directory))
    });
    for (domain, written, directory) in wanted {
        let account = (name, home, account.as_ref());
        for mut finding in given(&catalogue::PF54, account, written, directory, cx)? {
            // With the domain's credential the work that follows gives them.
            if written.rights == DirectoryRights::Ask {
                finding.severity = finding.severity.min(Severity::Warn);
            }
            findings.push(of_domain(finding, domain));
        }
    }
    Ok(())
}

/// Everything that can be asked of a domain apart from a server's own part in it.
pub(super) fn survey(
    product: Product,
    domain: &ServedDomain,
    account: &DirectoryAccount,
    beside: Beside<'_>,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let whole = BothTools {
        domain: domain.name.clone(),
        units: Vec::new(),
        connect_goes: true,
    };
    let directory = controller(product, domain, cx, findings)?;
    if let Err(Silent::Answers(why)) = &directory {
        forest_unanswered(product, domain, why, findings);
        if product == Product::Connect && beside.connect_goes {
            findings.push(connect_removal::sign_on_account(Err(why), cx)?);
        }
        if product == Product::ProvisioningAgent {
            size_unanswered((product, false), why, findings);
            findings.push(untold(&catalogue::PF49, why));
            if beside.anchors {
                findings.push(anchored(&whole, Err(why.clone())));
            }
            if beside.gmsa.is_some() {
                let account = [&catalogue::PF50, &catalogue::PF52, &catalogue::PF54];
                findings.extend(account.map(|probe| untold(probe, why)));
            }
        }
    }
    if let Ok(mut directory) = directory {
        directory.account = account.clone();
        forest(product, false, domain, &directory, cx, findings)?;
        if product == Product::Connect && beside.connect_goes {
            findings.push(connect_removal::sign_on_account(Ok(&directory), cx)?);
        }
        if product == Product::ProvisioningAgent {
            size((product, false), &directory, cx, findings)?;
            root_key(&directory, cx, findings)?;
            if beside.anchors {
                anchors(&whole, &directory, cx, findings)?;
            }
            if let Some((name, host)) = beside.gmsa {
                // Whoever asks from another machine sees no policy of the server's.
                membership(name, host, &Ok(None), &directory, cx, findings)?;
                let account = directory.service_account(name, cx)?;
                let account = (name, &domain.name, account.as_ref());
                // Which of them are used, whoever asks here does not know: each is told, and none blocks.
                let all = ServedDomain {
                    permissions: Permission::ALL.to_vec(),
                    ..domain.clone()
                };
                for mut finding in given(&catalogue::PF54, account, &all, Ok(&directory), cx)? {
                    finding.severity = finding.severity.min(Severity::Warn);
                    findings.push(finding);
                }
            }
        }
    }
    Ok(())
}

/// The ports that a product needs of a domain controller: those without which nothing goes, each by itself, and where it answers
/// there the others, which warn.
fn ports(product: Product, server: &str, cx: &mut Cx<'_>) -> Flow<Vec<Finding>> {
    let (probe, needed): (&Probe, &[u16]) = match product {
        Product::ProvisioningAgent => (&catalogue::PF23, &[389]),
        Product::Connect => (&catalogue::PF24, &[88, 135, 389]),
    };
    let mut findings = Vec::new();
    for port in needed {
        findings.push(network::reach(probe, server, *port, cx)?);
    }
    if !findings.iter().any(Finding::blocks) {
        findings.push(others(product, probe, server, cx)?);
    }
    Ok(findings)
}

/// The other ports, in one answer. By datagrams, and at a dynamic port of RPC, Connect alone is said to ask (2.8 [P]).
fn others(product: Product, probe: &Probe, server: &str, cx: &mut Cx<'_>) -> Flow<Finding> {
    let (streams, datagrams): (&[u16], &[u16]) = match product {
        Product::ProvisioningAgent => (&[53, 88, 445, 3268], &[]),
        Product::Connect => (&[53, 445, 3268], &[53, 389]),
    };
    let host = || server.to_owned();
    let mut ways = Vec::new();
    for port in streams.iter().copied() {
        let op = Op::Reach { host: host(), port };
        ways.push((format!("TCP {port}"), op));
    }
    for port in datagrams.iter().copied() {
        let op = Op::ReachByDatagram { host: host(), port };
        ways.push((format!("UDP {port}"), op));
    }
    if product == Product::Connect {
        let op = Op::ReachByRpc { host: host() };
        ways.push(("dynamic RPC".to_owned(), op));
    }
    let (mut open, mut closed) = (Vec::new(), Vec::new());
    for (name, op) in ways {
        match cx.perform(op)? {
            Ok(()) => open.push(name),
            Err(why) => closed.push(format!("{name}: {why}")),
        }
    }
    let mut finding = if closed.is_empty() {
        let read = format!("{server}: {} open", open.join(", "));
        probe.finding(read, Verdict::Pass)
    } else {
        let read = format!("{server}: {}", closed.join(", "));
        probe.finding(read, Verdict::Fail)
    };
    "other ports of a domain controller".clone_into(&mut finding.what);
    "open".clone_into(&mut finding.wanted);
    finding.severity = Severity::Warn;
    Ok(finding)
}

/// Finds and reaches a controller of the domain; gives it where it answers.
pub(super) fn controller(
    product: Product,
    domain: &ServedDomain,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<Result<Directory, Silent>> {
    let found = cx.domain_controllers(domain.name.as_str())?;
    let hosts = found.clone().unwrap_or_default();
    let count = |hosts: &Vec<String>| format!("{} found", hosts.len());
    findings.push(catalogue::PF22.judge(found, count, |hosts| !hosts.is_empty()));
    let asked = reach(product, domain, hosts, cx, findings)?;
    if asked.iter().all(|(_, root)| root.is_err()) && findings.iter().any(Finding::blocks) {
        return Ok(Err(Silent::Reached));
    }
    let mut why = Vec::new();
    for (server, root) in &asked {
        findings.extend(of_controller(product, server, root));
        why.extend(root.as_ref().err().map(|why| named(server, why)));
    }
    let mut roots = asked.into_iter().filter_map(|(_, root)| root.ok());
    let directory = roots.next().map(|root| Directory {
        root,
        account: DirectoryAccount::Server,
    });
    Ok(directory.ok_or_else(|| Silent::Answers(why.join("; "))))
}

/// PF21 and PF25 of one controller.
fn of_controller(product: Product, server: &str, root: &Reading<Root>) -> [Finding; 2] {
    let root = root.as_ref().map_err(|why| named(server, why));
    let skew = root.clone().and_then(|root| {
        let untold = || format!("{server} does not tell its time");
        let clock = root.clock.ok_or_else(untold)?;
        Ok(clock.since(root.here).max(root.here.since(clock)).as_secs())
    });
    let seconds = |skew: &u64| format!("{skew} s apart from {server}");
    let clock = catalogue::PF21.judge_gently(skew, seconds, |skew| *skew < 300);
    let show = |read_only: &bool| {
        let is = if *read_only {
            "is read-only"
        } else {
            "is writable"
        };
        format!("{server} {is}")
    };
    let read_only = root.map(|root| root.read_only);
    let mut kind = catalogue::PF25.judge_gently(read_only, show, |read_only| !read_only);
    if product == Product::ProvisioningAgent {
        kind.severity = kind.severity.min(Severity::Warn);
    }
    [clock, kind]
}

/// Reaches the first controller whose ports are open and that tells what it is; gives the first whose ports are open where none does, and
/// nothing where there is none to ask. Those that are preferred are all asked, and given in their order where their ports are open. Behind
/// how many were found, in the last finding, it says which of them did not answer before that one.
fn reach(
    product: Product,
    domain: &ServedDomain,
    hosts: Vec<String>,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<Vec<Asked>> {
    let by_name = findings.len().checked_sub(1);
    // The product asks those that are preferred, and without such any that DNS knows: then one that answers is enough.
    if !domain.preferred_dcs.is_empty() {
        return reach_all(product, &domain.preferred_dcs, cx, findings);
    }
    // An open port alone tells little: whoever is behind it may be hung.
    let mut reached: Option<Asked> = None;
    let mut refused = Vec::new();
    let mut passed_over = Vec::new();
    for server in hosts.into_iter().take(CONTROLLERS) {
        let asked = ports(product, &server, cx)?;
        if let Some(closed) = asked.iter().find(|finding| finding.blocks()) {
            passed_over.push(closed.read.clone());
            refused.push((server, asked));
            continue;
        }
        match root(&server, cx)? {
            Ok(root) => {
                findings.extend(asked);
                if let Some(finding) = by_name.and_then(|at| findings.get_mut(at)) {
                    told_of(finding, &server, &passed_over);
                }
                return Ok(vec![(server, Ok(root))]);
            }
            Err(why) => {
                passed_over.push(named(&server, &why));
                reached = reached.or(Some((server.clone(), Err(why))));
                refused.push((server, asked));
            }
        }
    }
    // None answers: the ports of one are told, of the one whose ports are open before others.
    let own = reached.as_ref().map(|(server, _)| server);
    let is_told = |(server, _): &(String, _)| own.is_none_or(|own| own == server);
    let told = refused.iter().position(is_told);
    let Some((server, asked)) = told.map(|at| refused.swap_remove(at)) else {
        return Ok(Vec::new());
    };
    findings.extend(asked);
    if reached.is_none() {
        let root = root(&server, cx)?;
        reached = Some((server, root));
    }
    Ok(reached.into_iter().collect())
}

/// A controller that was asked what it is, and what it said.
type Asked = (String, Reading<Root>);

/// Each controller that is preferred: the product may take any of them, so that the ports of all are told and all are asked what they are.
fn reach_all(
    product: Product,
    preferred: &[TargetId],
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<Vec<Asked>> {
    let mut reached = Vec::new();
    for server in preferred.iter().take(CONTROLLERS) {
        let server = server.to_string();
        let asked = ports(product, &server, cx)?;
        let open = !asked.iter().any(Finding::blocks);
        findings.extend(asked);
        if open {
            let root = root(&server, cx)?;
            reached.push((server, root));
        }
    }
    if let (true, Some(first)) = (reached.is_empty(), preferred.first()) {
        let server = first.to_string();
        let root = root(&server, cx)?;
        reached.push((server, root));
    }
    Ok(reached)
}

/// Says behind how many were found which of them did not answer before the one that did.
fn told_of(finding: &mut Finding, server: &str, passed_over: &[String]) {
    if !passed_over.is_empty() {
        let why = passed_over.join("; ");
        finding
            .read
            .push_str(&format!("; {server} was asked, since {why}"));
    }
}

/// What PF46 wants where groups are provisioned from Entra to AD.
const FROM_ENTRA: &str = "version 87 (Windows Server 2016) or later, for the permission user-group-create-delete: provisioning from Entra to AD needs msDS-ExternalDirectoryObjectId";

/// UPN suffixes that are told of one forest, since each is a line on the page of a wizard; how many more there are is told with them.
const SUFFIXES: usize = 100;

/// The suffixes that are told, and how many more there are.
fn suffixes_of(names: &Names) -> (Vec<String>, u32) {
    let all: BTreeSet<String> = names.suffixes.iter().cloned().collect();
    let more = u32::try_from(all.len().saturating_sub(SUFFIXES)).unwrap_or(u32::MAX);
    (all.into_iter().take(SUFFIXES).collect(), more)
}

/// What its forest must be. Gives the names of the forest's domains and its UPN suffixes, where they are asked: always for Connect, whose
/// wizard asks what becomes of them, else where they are to be told.
fn forest(
    product: Product,
    tell: bool,
    domain: &ServedDomain,
    directory: &Directory,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<Option<Names>> {
    schema(product, domain, directory, cx, findings)?;
    let bin = directory.recycle_bin(cx)?;
    let on = |on: &bool| if *on { "enabled" } else { "not enabled" }.to_owned();
    findings.push(catalogue::PF59.judge(bin, on, |on| *on));
    let mut names = Err("nobody asks".to_owned());
    if tell || product == Product::Connect {
        names = directory.names(cx)?;
    }
    match product {
        Product::ProvisioningAgent => systems(directory, cx, findings)?,
        Product::Connect => {
            let level = directory.root.forest_level;
            findings.push(catalogue::PF47.judge_gently(Ok(level), or_absent, |level| {
                level.is_some_and(|level| level >= 2)
            }));
            let netbios = names.as_ref().map(|names| names.netbios.clone());
            let netbios = netbios.map_err(Clone::clone);
            findings.push(
                catalogue::PF55.judge_gently(netbios, Clone::clone, |name| !name.contains('.')),
            );
            findings.push(disjoint(&directory.root, &domain.name));
        }
    }
    Ok(names.ok())
}

/// PF46: the version of the schema.
fn schema(
    product: Product,
    domain: &ServedDomain,
    directory: &Directory,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let version = directory.schema_version(cx)?;
    findings.push(schema_of(product, domain, version));
    Ok(())
}

/// The same of what was read.
pub(super) fn schema_of(product: Product, domain: &ServedDomain, version: Reading<i64>) -> Finding {
    // The agent's gMSA asks for Windows Server 2012; Connect for a forest of 2003 (facts 2.8, 30 is its schema [K]).
    let (least, wanted) = match product {
        Product::ProvisioningAgent => (56, catalogue::PF46.wanted),
        Product::Connect => (30, "version 30 (Windows Server 2003) or later"),
    };
    // Whoever makes users and groups there provisions from Entra to AD, which needs an attribute of 2016 (1.7 [P]).
    let makes =
        |kind: &Permission| matches!(kind, Permission::UserGroupCreateDelete | Permission::All);
    let (least, wanted) =
        if product == Product::ProvisioningAgent && domain.permissions.iter().any(makes) {
            (87, FROM_ENTRA)
        } else {
            (least, wanted)
        };
    let mut finding =
        catalogue::PF46.judge_gently(version, i64::to_string, |version| *version >= least);
    wanted.clone_into(&mut finding.wanted);
    finding
}

/// PF48: a controller that knows gMSAs.
fn systems(directory: &Directory, cx: &mut Cx<'_>, findings: &mut Vec<Finding>) -> Flow<()> {
    let systems = directory.controllers(cx)?;
    let show = |all: &Vec<(String, String)>| {
        let row = |(name, system): &(String, String)| format!("{name} {system}");
        all.iter().map(row).collect::<Vec<_>>().join(", ")
    };
    findings.push(catalogue::PF48.judge_gently(systems, show, |all| {
        all.iter().any(|(_, system)| knows_gmsa(system))
    }));
    Ok(())
}

/// Windows Server 2012 and later; a controller that is not Windows names itself otherwise and is taken at its schema.
fn knows_gmsa(system: &str) -> bool {
    let old = ["2000", "2003", "2008"];
    !system.is_empty() && !old.iter().any(|year| system.contains(year))
}

pub(super) fn disjoint(root: &Root, domain: &DomainName) -> Finding {
    let name = match root.dns_name.trim_end_matches('.') {
        "" => Err(format!("{} does not tell its dnsHostName", root.server)),
        name => Ok(name.to_owned()),
    };
    // What follows its first label is its own suffix, which below the domain is another one than the domain as well.
    let same = |name: &String| {
        let suffix = name.split_once('.').map(|(_, suffix)| suffix);
        suffix == Some(domain.as_str())
    };
    catalogue::PF56.judge_gently(name, Clone::clone, same)
}

/// The gMSA of the home domain: the key that its password comes from, who may retrieve it, encryption types. Gives from when on
/// the key may be used, where that shows: no account is made before, by whomever. Without a controller that answers it says why.
fn service_account(
    preflight: &Preflight,
    domain: &ServedDomain,
    directory: Result<&Directory, &String>,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<Option<Timestamp>> {
    if preflight.product == Product::Connect {
        return Ok(None);
    }
    let asks = preflight.gmsa.is_none() || domain.rights == DirectoryRights::Ask;
    let key = match directory {
        Ok(directory) if asks => root_key(directory, cx, findings)?,
        // Whoever makes the account needs it; that it is judged is their part.
        Ok(directory) if preflight.census => {
            directory.kds_usable_from(cx)?.ok().map(|(from, _)| from)
        }
        Ok(_) => None,
        Err(why) => {
            findings.extend(asks.then(|| untold(&catalogue::PF49, why)));
            None
        }
    };
    let policy = cx.number(product::KERBEROS_KEY, product::KERBEROS_TYPES)?;
    let policy = policy.map(|types| types.map(i64::from));
    match (&preflight.gmsa, directory) {
        (Some(name), Ok(directory)) => {
            membership(name, &preflight.target, &policy, directory, cx, findings)?;
        }
        (Some(_), Err(why)) => {
            findings.extend([&catalogue::PF50, &catalogue::PF52].map(|probe| untold(probe, why)));
        }
        (None, _) => findings.extend(made_under(&policy)),
    }
    Ok(key)
}

fn root_key(
    directory: &Directory,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<Option<Timestamp>> {
    let usable = directory.kds_usable_from(cx)?;
    let key = usable.as_ref().ok().map(|(from, _)| *from);
    let show = |(from, _): &(_, _)| format!("usable from {from}");
    findings.push(catalogue::PF49.judge_gently(usable, show, |(from, now)| from <= now));
    Ok(key)
}

/// Whether a server may retrieve the password of a gMSA, and whether both speak a common encryption.
fn membership(
    name: &GmsaName,
    host: &TargetId,
    policy: &Policy,
    directory: &Directory,
    cx: &mut Cx<'_>,
    findings: &mut Vec<Finding>,
) -> Flow<()> {
    let gmsa = directory.gmsa(name, cx)?;
    let computer = directory.computer(host.as_str(), cx)?;
    if matches!(gmsa, Ok(None)) && directory.account == DirectoryAccount::Server {
        // Whoever is of the domain may see its service accounts, unless somebody has hidden them.
        findings.push(catalogue::PF50.finding(format!("there is no {name}"), Verdict::Fail));
        return Ok(());
    }
    let seen = gmsa.and_then(|gmsa| gmsa.ok_or_else(|| format!("no {name} is seen")));
    let listed = seen.clone().and_then(|gmsa| {
        let (readers, own) = (gmsa.readers?, computer.clone()?);
        own.is_among(&readers)
    });
    let show = |listed: &bool| {
        let word = if *listed { "lists" } else { "does not list" };
        format!("{name} {word} {host}")
    };
    findings.push(catalogue::PF50.judge_gently(listed, show, |listed| *listed));
    let types = seen.and_then(|gmsa| Ok((gmsa.encryption, computer?.encryption)));
    let hex =
        |types: &Option<i64>| types.map_or("absent".to_owned(), |types| format!("{types:#x}"));
    let show = |(gmsa, own): &Types| format!("{name} {}, {host} {}", hex(gmsa), hex(own));
    findings.push(encryption(&catalogue::PF52, types, policy, show));
    Ok(())
}

type Types = (Option<i64>, Option<i64>);

/// The encryption types that a policy leaves to Kerberos on the server, where one says so.
type Policy = Reading<Option<i64>>;

fn policy_words(types: i64) -> String {
    format!(
        "the server's policy leaves {types:#x} ({}, {})",
        product::KERBEROS_KEY,
        product::KERBEROS_TYPES
    )
}

/// PF52 where the product makes the account itself: with which types it makes it is in no source, and where RC4 is off its
/// failure does not say why (1.6, KE03).
fn made_under(policy: &Policy) -> Option<Finding> {
    let types = (*policy.as_ref().ok()?)?;
    if types & AES == 0 {
        let mut finding = catalogue::PF52.finding(policy_words(types), Verdict::Fail);
        finding.fix = POLICY_FIX.to_owned();
        return Some(finding);
    }
    (types & RC4 == 0).then(|| {
        let why = format!(
            "{}, and no RC4: with which types the product makes its account is in no source",
            policy_words(types)
        );
        catalogue::PF52.judge_gently(Err::<i64, _>(why), i64::to_string, |_| true)
    })
}

/// What to do where that policy is what fails PF52.
pub(super) const POLICY_FIX: &str = "have the policy that sets the server's encryption types for Kerberos leave AES types that the gMSA has; it is changed where it is made";

/// Types that nobody wrote down are decided by the domain controllers: that cannot be told here. An account that has 0 is one of which
/// nobody did: a controller takes that like an attribute that is absent ([K]).
fn encryption(
    probe: &Probe,
    types: Result<Types, String>,
    policy: &Policy,
    show: impl Fn(&Types) -> String,
) -> Finding {
    // What a policy leaves that cannot be read is nothing that could be judged by.
    let left = policy.as_ref().ok().copied().flatten();
    let show = |types: &Types| match left {
        Some(left) => format!("{}; {}", show(types), policy_words(left)),
        None => show(types),
    };
    let written = |types: Option<i64>| types.is_some_and(|types| types != 0);
    let types = types.and_then(|types| match policy {
        Err(why) => Err(format!("{}; the server's policy: {why}", show(&types))),
        Ok(_) if written(types.0) && written(types.1) => Ok(types),
        Ok(_) => Err(format!("{}: the domain's default decides", show(&types))),
    });
    let both = |(gmsa, own): &Types| gmsa.unwrap_or(0) & own.unwrap_or(0) & AES;
    let shared = types.as_ref().is_ok_and(|types| both(types) != 0);
    let fine = |types: &Types| both(types) & left.unwrap_or(AES) != 0;
    let mut finding = probe.judge_gently(types, show, fine);
    if finding.verdict == Verdict::Fail && shared {
        POLICY_FIX.clone_into(&mut finding.fix);
    }
    finding
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root_named(dns_name: &str) -> Root {
        let text = |text: &str| text.to_owned();
        Root {
            server: text("dc1.corp.test"),
            dns_name: text(dns_name),
            domain: text("DC=corp,DC=test"),
            configuration: text("CN=Configuration,DC=corp,DC=test"),
            schema: text("CN=Schema,CN=Configuration,DC=corp,DC=test"),
            forest_level: Some(7),
            domain_level: Some(7),
            read_only: false,
            clock: None,
            here: Timestamp::from_millis(0),
            passed_over: Vec::new(),
        }
    }

    /// PF56 compares the domain with the controller's own suffix, which is what follows its first label.
    #[test]
    fn a_suffix_below_the_domain_is_disjoint_as_well() {
        let corp: DomainName = "corp.test".parse().unwrap();
        for (name, verdict, blocks) in [
            ("dc1.corp.test", Verdict::Pass, false),
            ("dc1.corp.test.", Verdict::Pass, false),
            ("dc1.site.corp.test", Verdict::Fail, true),
            ("dc1.notcorp.test", Verdict::Fail, true),
            ("dc1.elsewhere.test", Verdict::Fail, true),
            ("dc1", Verdict::Fail, true),
            ("", Verdict::CannotTell, false),
        ] {
            let told = disjoint(&root_named(name), &corp);
            assert_eq!((told.verdict, told.blocks()), (verdict, blocks), "{name}");
        }
        assert!(
            disjoint(&root_named(""), &corp)
                .read
                .contains("dc1.corp.test")
        );
    }

    /// 0 is no set of types that leaves none: nobody wrote one.
    #[test]
    fn encryption_types_of_0_are_as_absent_ones() {
        for (gmsa, own, verdict, blocks) in [
            (Some(0x18), Some(0x18), Verdict::Pass, false),
            (Some(0x4), Some(0x1c), Verdict::Fail, true),
            (None, Some(0x1c), Verdict::CannotTell, false),
            (Some(0), Some(0x1c), Verdict::CannotTell, false),
            (Some(0x18), Some(0), Verdict::CannotTell, false),
            (Some(0), Some(0), Verdict::CannotTell, false),
        ] {
            let show = |(gmsa, own): &Types| format!("{gmsa:?} {own:?}");
            let told = encryption(&catalogue::PF52, Ok((gmsa, own)), &Ok(None), show);
            assert_eq!(
                (told.verdict, told.blocks()),
                (verdict, blocks),
                "{gmsa:?} {own:?}"
            );
        }
    }
}
