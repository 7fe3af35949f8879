//! Whether a topology can be. Every finding has its place, its reason and its likely mend; a rule that a topology would
//! break is named.

use std::collections::{BTreeMap, BTreeSet};

use protocol::probe::controller as catalogue;
use protocol::step::{DirectoryRights, Product};
use protocol::{DomainName, ServiceOptions, TargetId, Timestamp, Version};

use crate::finding::{Finding, Place, Severity, nearest};
use crate::topology::model::{AgentGroup, ConnectEntry, ConnectSettings, Domain, Topology};
use crate::topology::settings::CustomSettings;
use crate::topology::{both, choices, database};
use crate::versions::Versions;

/// Newest accepted artifact of each product.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Available(pub BTreeMap<Product, Version>);

fn error(place: &Place, what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding {
        place: place.clone(),
        severity: Severity::Error,
        what: what.into(),
        fix: fix.into(),
    }
}

fn warning(place: &Place, what: impl Into<String>, fix: impl Into<String>) -> Finding {
    Finding {
        place: place.clone(),
        severity: Severity::Warning,
        what: what.into(),
        fix: fix.into(),
    }
}

/// Checks a parsed topology. `available` is what the artifact store holds; `None` when that is not known.
#[must_use]
pub fn check(topology: &Topology, available: Option<&Available>) -> Vec<Finding> {
    let mut findings = Vec::new();
    if topology.names_no_server() && !topology.gaps.text {
        findings.push(warning(
            &topology.place,
            "no server is named: a plan of this has nothing to do",
            "write hosts and what they serve into [agents.NAME], servers of Connect Sync into [connect.NAME]; `entrain schema` prints every table, deploy/examples has whole ones",
        ));
    }
    references(topology, &mut findings);
    hosts(topology, &mut findings);
    domains(topology, &mut findings);
    tunables(topology, &mut findings);
    connect(topology, &mut findings);
    database::check(topology, &mut findings);
    both::check(topology, &mut findings);
    if let Some(available) = available {
        artifacts(topology, available, &mut findings);
    }
    findings.sort();
    findings
}

fn references(topology: &Topology, findings: &mut Vec<Finding>) {
    let groups = topology
        .agents
        .values()
        .map(|group| (&group.tenant.value, group.site.as_ref(), &group.place));
    let entries = topology
        .connect
        .values()
        .map(|entry| (&entry.tenant.value, entry.site.as_ref(), &entry.place));
    let gaps = &topology.gaps;
    for (tenant, site, place) in groups.chain(entries) {
        if !tenant.is_empty()
            && !topology.tenants.contains_key(tenant)
            && !gaps.tenants.contains(tenant)
            && !gaps.text
        {
            let fix = unknown(tenant, topology.tenants.keys(), "tenant");
            findings.push(error(
                place,
                format!("the tenant \"{tenant}\" is not described"),
                fix,
            ));
        }
        if let Some(site) = site
            && !topology.sites.contains_key(&site.value)
            && !gaps.text
        {
            let fix = unknown(&site.value, topology.sites.keys(), "site");
            findings.push(error(
                place,
                format!("the site \"{}\" is not described", site.value),
                fix,
            ));
        }
    }
    let mut ids = BTreeMap::new();
    for (name, tenant) in &topology.tenants {
        if let Some(first) = ids.insert(&tenant.id, name) {
            let what = format!(
                "the tenants \"{first}\" and \"{name}\" have the same id {}",
                tenant.id
            );
            findings.push(error(&tenant.place, what, "describe a tenant once"));
        }
    }
}

fn unknown<'a>(word: &str, known: impl Iterator<Item = &'a String> + Clone, what: &str) -> String {
    match nearest(word, known.map(String::as_str)) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("add [{what}.{word}]"),
    }
}

fn hosts(topology: &Topology, findings: &mut Vec<Finding>) {
    let mut seen: BTreeMap<&TargetId, (&str, &str, &Place)> = BTreeMap::new();
    for (name, group) in &topology.agents {
        let tenant = group.tenant.value.as_str();
        for (host, place) in group.hosts.iter().chain(&group.retired) {
            let Some((first_tenant, first_group, first_place)) =
                seen.insert(host, (tenant, name, place))
            else {
                continue;
            };
            let is_known = !first_tenant.is_empty() && !tenant.is_empty();
            findings.push(if first_tenant != tenant && is_known {
                let what = format!(
                    "{host} is in tenant \"{first_tenant}\" ({first_place}) and in tenant \"{tenant}\": a host belongs to one tenant (G9)"
                );
                error(place, what, "take it out of one of the two")
            } else if first_group == name && group.hosts.iter().any(|(kept, _)| kept == host) && group.retired.iter().any(|(gone, _)| gone == host) {
                let what = format!("{host} is among the hosts and among the retired of the group \"{name}\"");
                error(place, what, "it stays or it goes: take it out of one of the two")
            } else if first_group == name {
                error(place, format!("{host} stands twice in the group \"{name}\""), "remove one of the two")
            } else {
                let what = format!("{host} is in the groups \"{first_group}\" ({first_place}) and \"{name}\"");
                error(place, what, "put it in one group that serves all its domains")
            });
        }
    }
    for (name, entry) in &topology.connect {
        let tenant = entry.tenant.value.as_str();
        let mut own: BTreeMap<&TargetId, &Place> = BTreeMap::new();
        for (server, place) in entry.servers.iter().chain(&entry.retired) {
            if own.insert(server, place).is_some() {
                findings.push(error(
                    place,
                    format!("{server} stands twice in \"{name}\""),
                    "remove one of the two",
                ));
                continue;
            }
            if topology
                .agents
                .values()
                .any(|group| group.retired.iter().any(|(gone, _)| gone == server))
            {
                let what = format!(
                    "{server} is retired as a host of agents and is a server of \"{name}\": Connect on it gets no work meanwhile"
                );
                findings.push(warning(
                    place,
                    what,
                    "take it out of `retired` once its agent is gone",
                ));
            }
            // A host of agents, also one that is retired, may be a Connect server of the same tenant as well.
            let before = seen.get(server).copied();
            seen.entry(server).or_insert((tenant, name, place));
            if let Some((other, _, first)) = before
                && first != place
                && other != tenant
                && !other.is_empty()
                && !tenant.is_empty()
            {
                let what = format!(
                    "{server} is in tenant \"{other}\" ({first}) and in tenant \"{tenant}\": a host belongs to one tenant (G9)"
                );
                findings.push(error(place, what, "take it out of one of the two"));
            }
        }
    }
}

fn domains(topology: &Topology, findings: &mut Vec<Finding>) {
    let served = topology.served();
    let known = topology.covered_domains();
    let homes = homes(topology);
    // A domain or a host that could not be read would be missed wrongly.
    let is_whole = !topology.gaps.text && !topology.gaps.lists;
    for (name, domain) in &topology.domains {
        let of_accounts = !known.contains(name) && homes.contains(name);
        if of_accounts {
            findings.extend(beside(name, domain));
        } else if is_whole && !known.contains(name) {
            let fix = match nearest(name.as_str(), known.iter().map(DomainName::as_str)) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "add it to `serves` of a group, or remove the table".to_owned(),
            };
            findings.push(error(
                &domain.place,
                format!("the domain {name} is served by no group"),
                fix,
            ));
        }
        for dc in &domain.preferred_dcs {
            if dc.home_domain().as_ref() != Some(name) {
                let what = format!("the preferred domain controller {dc} does not lie in {name}");
                findings.push(warning(&domain.place, what, "check the name"));
            }
        }
    }
    for (domain, service) in served.iter().filter(|_| is_whole) {
        if service.is_abandoned() && service.leaving.is_empty() {
            // It never had a server: whatever is wrong with its hosts is said of them.
            continue;
        }
        if service.is_abandoned() {
            findings.push(warning(
                &service.place,
                format!("every server of {domain} is retired: nothing synchronizes it any more, and what was synchronized stays in the tenant (G10)"),
                "disable its configuration in the tenant first; empty its scope only where what was synchronized is to go: users are soft-deleted then, groups are hard-deleted. `apply` asks for --irreversible",
            ));
            continue;
        }
        let servers = service.servers.len();
        let written = topology.domains.get(domain);
        let allowed = written.is_some_and(|domain| domain.allow_outage);
        let place = written.map_or(&service.place, |domain| &domain.place);
        match written.and_then(|domain| domain.min_serving) {
            Some(minimum) if minimum as usize > servers => findings.push(error(
                place,
                format!("min_serving = {minimum} of {domain} cannot be reached: {servers} hosts serve it (G2)"),
                format!("write min_serving = {} or add hosts", servers.saturating_sub(1).max(1)),
            )),
            Some(minimum) if minimum as usize == servers && !allowed => findings.push(warning(
                place,
                format!("min_serving = {minimum} of {domain} lets no agent ever go out of service: no upgrade can run (G2)"),
                "lower it by one, add a host, or write allow_outage = true",
            )),
            Some(_) => {}
            None if servers == 1 && !allowed => findings.push(warning(
                place,
                format!("{domain} is served by one host: its upgrade is an outage, which needs to be agreed to (G2)"),
                "add two hosts (three are recommended), or write allow_outage = true for the domain",
            )),
            None => {}
        }
    }
}

/// The own domains of hosts of agents, as their names tell them: their accounts live there, whatever they serve (product facts 1.6).
fn homes(topology: &Topology) -> BTreeSet<DomainName> {
    let hosts = topology.agents.values();
    let hosts = hosts.flat_map(|group| group.hosts.iter().chain(&group.retired));
    hosts.filter_map(|(host, _)| host.home_domain()).collect()
}

/// Of a domain that no agent serves, where accounts of agents live, the owner counts alone.
fn beside(name: &DomainName, domain: &Domain) -> Option<Finding> {
    let plain = domain.rights == DirectoryRights::Handover
        && domain.min_serving.is_none()
        && !domain.allow_outage
        && domain.preferred_dcs.is_empty()
        && domain.permissions.is_empty();
    (!plain).then(|| {
        warning(
            &domain.place,
            format!("{name} is served by no group, and is the own domain of a host: of what is written of it only `owner` counts, and its administrator makes the accounts of agents there (entrain handover {name})"),
            "leave `owner` alone, or add the domain to `serves` of a group",
        )
    })
}

/// Registry options are the same on every agent that serves a domain: any of them may be the one that works (product facts 1.7, 1.10
/// [P]). A proxy and the exception from a FIPS policy are each server's own.
fn tunables(topology: &Topology, findings: &mut Vec<Finding>) {
    let of = |group: &AgentGroup| ServiceOptions {
        proxy: None,
        fips_exempt: false,
        ..group.options.clone()
    };
    let stays = |(_, group): &(&String, &AgentGroup)| !group.hosts.is_empty();
    // Those before each that serve one of its domains: no two of all others are compared, there may be tens of thousands.
    let mut serving: BTreeMap<&DomainName, Vec<(&String, &AgentGroup)>> = BTreeMap::new();
    for (name, group) in topology.agents.iter().filter(stays) {
        let mut before: BTreeMap<&String, (&AgentGroup, &DomainName)> = BTreeMap::new();
        for (domain, _) in &group.serves {
            let others = serving.entry(domain).or_default();
            for (other_name, other) in others.iter().copied() {
                before.entry(other_name).or_insert((other, domain));
            }
            others.push((name, group));
        }
        for (other_name, (other, domain)) in before {
            let (own, others) = (of(group), of(other));
            let same = other_name == name || own == others;
            if same || group.tenant.value != other.tenant.value {
                continue;
            }
            let what = format!(
                "the groups \"{other_name}\" ({others}) and \"{name}\" ({own}) serve {domain} with other registry options: the vendor wants them the same on every agent, since any of them may be the one that works"
            );
            findings.push(error(
                &group.place,
                what,
                "write the same ldap_timeout and referral_chasing in `options` of both",
            ));
        }
    }
}

/// A proxy that demands a sign-in wants a domain account for the engine's service, and which account that is is fixed by the first
/// installation (product facts 2.8, 2.9 [P]). Of an entry whose settings are unwritten the preflight reads what is there.
fn proxy_account(name: &str, entry: &ConnectEntry) -> Option<Finding> {
    let proxy = entry.proxy.as_ref().filter(|proxy| proxy.signs_in)?;
    let own = match &entry.settings {
        ConnectSettings::Custom(settings) => settings.service_account.is_some(),
        ConnectSettings::Express => false,
        ConnectSettings::Unwritten => true,
    };
    (!own).then(|| {
        error(
            &proxy.place,
            format!(
                "the proxy of \"{name}\" demands a sign-in, which the service of the engine does: it needs a domain account, which is chosen at the first installation and stays, and none is written"
            ),
            "write settings = { service_account = \"CORP\\\\svcSync$\" }, a gMSA or another domain account, or a proxy that lets the servers through",
        )
    })
}

fn connect(topology: &Topology, findings: &mut Vec<Finding>) {
    let mut tenants: BTreeMap<&str, &str> = BTreeMap::new();
    for (name, entry) in &topology.connect {
        if !entry.tenant.value.is_empty()
            && let Some(first) = tenants.insert(&entry.tenant.value, name)
        {
            let what = format!(
                "the tenant \"{}\" has two Connect entries, \"{first}\" and \"{name}\": one installation serves a tenant, with one active server (G1)",
                entry.tenant.value
            );
            findings.push(error(
                &entry.place,
                what,
                "put all servers and forests in one entry",
            ));
        }
        findings.extend(proxy_account(name, entry));
        if entry.settings == ConnectSettings::Express {
            if entry.forests.len() > 1 {
                let what = format!(
                    "express settings serve one forest, and \"{name}\" has {}",
                    entry.forests.len()
                );
                findings.push(error(
                    &entry.place,
                    what,
                    "write settings = { … } for custom settings",
                ));
            }
            let tenant = topology.tenants.get(&entry.tenant.value);
            if !entry.servers.is_empty()
                && tenant.is_some_and(|tenant| tenant.about.azure_instance.is_some())
            {
                // A server that has it already keeps it: only a new installation is held.
                let what = format!(
                    "\"{name}\" has express settings, and in the cloud of its tenant the vendor goes on with custom settings where the wizard has to be told which cloud it is in: no server is installed with express settings there"
                );
                findings.push(warning(
                    &entry.place,
                    what,
                    "write settings = { … } for custom settings",
                ));
            }
            // One that goes may be the active one until it is gone.
            let members = entry.members().count();
            if members > 1 && !entry.servers.is_empty() {
                let what = format!(
                    "express settings make the server active, and \"{name}\" has {members} servers, those that go included: a second active one would break G1"
                );
                findings.push(error(
                    &entry.place,
                    what,
                    "write settings = { … }: custom settings know a staging mode",
                ));
            }
        }
        if let ConnectSettings::Custom(settings) = &entry.settings {
            custom(name, entry, settings, topology, findings);
        }
        if let Some((preferred, place)) = &entry.prefer_active
            && !entry.servers.iter().any(|(server, _)| server == preferred)
            && !topology.gaps.text
            && !topology.gaps.lists
        {
            let fix = match nearest(
                preferred.as_str(),
                entry.servers.iter().map(|(server, _)| server.as_str()),
            ) {
                Some(meant) => format!("did you mean \"{meant}\"?"),
                None => "name one of its servers".to_owned(),
            };
            findings.push(error(
                place,
                format!("prefer_active names {preferred}, which is none of the servers"),
                fix,
            ));
        }
    }
}

/// What custom settings may not say of this entry (product facts 2.5 to 2.7).
fn custom(
    name: &str,
    entry: &ConnectEntry,
    settings: &CustomSettings,
    topology: &Topology,
    findings: &mut Vec<Finding>,
) {
    let forests: Vec<&DomainName> = entry.forests.iter().map(|(forest, _)| forest).collect();
    let strange: BTreeSet<&DomainName> = settings
        .forests()
        .filter(|forest| !forests.contains(forest))
        .collect();
    for forest in strange {
        if topology.gaps.text || topology.gaps.lists {
            continue;
        }
        let known = forests.iter().map(|forest| forest.as_str());
        let fix = match nearest(forest.as_str(), known) {
            Some(meant) => format!("did you mean \"{meant}\"?"),
            None => format!("add it to `forests` of \"{name}\", or take it out"),
        };
        let what =
            format!("the settings of \"{name}\" name {forest}, which is none of its forests");
        findings.push(error(&entry.place, what, fix));
    }
    if !settings.pilot_groups.is_empty() {
        let what = format!(
            "\"{name}\" synchronizes the direct members of a group alone: the vendor means that for pilots"
        );
        findings.push(warning(
            &entry.place,
            what,
            "choose `units` instead once the pilot is over",
        ));
    }
    let on_sql = settings.database.is_some() || !settings.databases.is_empty();
    if on_sql && settings.service_account.is_none() {
        let what = format!(
            "\"{name}\" uses a SQL Server, and no account of the service is named; it cannot be changed later"
        );
        findings.push(warning(
            &entry.place,
            what,
            "name a group managed service account: service_account = \"CONTOSO\\\\svcADSync$\"",
        ));
    }
    choices::check(name, entry, settings, findings);
}

/// Refuses to bring a version onto servers that was taken back, or that the vendor has ended; says what else others say (G6).
#[must_use]
pub fn installable(
    topology: &Topology,
    available: &Available,
    versions: &Versions,
    now: Timestamp,
) -> Vec<Finding> {
    let agents = topology.agents.values().map(|group| &group.place);
    let entries = topology.connect.values().map(|entry| &entry.place);
    let places = [
        (Product::ProvisioningAgent, agents.min()),
        (Product::Connect, entries.min()),
    ];
    let mut findings = Vec::new();
    for (product, place) in places {
        let (Some(place), Some(newest)) = (place, available.0.get(&product)) else {
            continue;
        };
        let fix = "add an installer of a newer version, or correct versions.toml beside the controller's state and restart the controller";
        let what = |why| {
            format!(
                "the newest installer of the {} in the store: {why} (G6)",
                product.as_str()
            )
        };
        match versions.may_install(product, *newest, now) {
            Ok(None) => {}
            Ok(Some(why)) => findings.push(warning(place, what(why), fix)),
            Err(why) => findings.push(error(place, what(why), fix)),
        }
    }
    if let Some(newest) = available.0.get(&Product::ProvisioningAgent) {
        breaks(topology, *newest, versions, &mut findings);
    }
    findings
}

/// Refuses an agent that breaks what its domains use in its cloud (PF44).
fn breaks(topology: &Topology, newest: Version, versions: &Versions, findings: &mut Vec<Finding>) {
    let probe = &catalogue::PF44;
    for (name, group) in &topology.agents {
        let Some(tenant) = topology.tenants.get(&group.tenant.value) else {
            continue;
        };
        for (domain, place) in &group.serves {
            let written = topology
                .domains
                .get(domain)
                .map(|domain| &domain.permissions);
            let written = written.filter(|permissions| !permissions.is_empty());
            let what = |why: &str| format!("{} of agents \"{name}\" for {domain}: {why}", probe.id);
            let agent = (Product::ProvisioningAgent, newest);
            match versions.may_use(agent, tenant.cloud, written) {
                Ok(None) => {}
                Ok(Some(why)) => findings.push(warning(place, what(&why), probe.fix)),
                Err(why) => findings.push(error(place, what(&why), probe.fix)),
            }
        }
    }
}

fn artifacts(topology: &Topology, available: &Available, findings: &mut Vec<Finding>) {
    let places = [
        (
            Product::ProvisioningAgent,
            topology.wanted.provisioning_agent,
            topology.agents.values().next().map(|group| &group.place),
        ),
        (
            Product::Connect,
            topology.wanted.connect,
            topology.connect.values().next().map(|entry| &entry.place),
        ),
    ];
    for (product, wanted, place) in places {
        let Some(place) = place else { continue };
        let newest = available.0.get(&product);
        let fix = "add it: entrain artifact add FILE --accept-terms (entrain artifact how: where it comes from)";
        match (newest, wanted) {
            (None, _) => {
                let what = format!(
                    "no installer of the {} is in the artifact store",
                    product.as_str()
                );
                findings.push(error(place, what, fix));
            }
            (Some(newest), Some(wanted)) if *newest < wanted => {
                let what = format!(
                    "{} {wanted} is wanted, and the newest artifact is {newest}",
                    product.as_str()
                );
                findings.push(error(place, what, fix));
            }
            (Some(_), _) => {}
        }
    }
}
