//! Text to model. Every finding of every document comes at once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::str::FromStr;

use protocol::step::{Cloud, DirectoryRights, ExportLimits, Fix, Permission, SignIn};
use protocol::{Digest, DomainName, GmsaName, ProxyAddress, ServiceOptions, TargetId, TenantId};
use toml::de::DeTable;

use crate::calendar;
use crate::clouds::{self, Clouds, Works};
use crate::finding::{Finding, Place, Severity, Source, nearest};
use crate::topology::model::{
    AgentGroup, Change, ConnectEntry, ConnectProxy, ConnectSettings, Domain, Gaps, Overlap,
    PendingExports, RebootRule, Site, Tenant, Topology, Wanted,
};
use crate::topology::reader::{At, Remarks, Table, Written};
use crate::topology::settings;

/// One file of a topology.
#[derive(Debug, Clone)]
pub struct Document {
    /// Name, as the operator gave it.
    pub file: String,
    /// Text.
    pub text: String,
}

macro_rules! word {
    ($name:ident, $($text:literal => $value:expr),+ $(,)?) => {
        struct $name;
        impl FromStr for Word<$name> {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Word($value)),)+
                    other => Err(format!("\"{other}\" is none of {}", [$($text),+].join(", "))),
                }
            }
        }
        impl Written for Word<$name> {
            fn example(text: Option<&str>) -> String {
                let meant = text.and_then(|text| nearest(text, [$($text),+]));
                meant.map_or_else(|| [$($text),+].join("\" or \""), str::to_owned)
            }
        }
    };
}

struct Word<K: Kind>(K::Value);
trait Kind {
    type Value;
}
impl Kind for CloudWord {
    type Value = Cloud;
}
impl Kind for SignInWord {
    type Value = SignIn;
}
impl Kind for ChangeWord {
    type Value = Change;
}
impl Kind for RebootWord {
    type Value = RebootRule;
}
impl Kind for RightsWord {
    type Value = DirectoryRights;
}
impl Kind for PermissionWord {
    type Value = Permission;
}
impl Kind for FixWord {
    type Value = Fix;
}
impl Kind for OverlapWord {
    type Value = Overlap;
}

word!(CloudWord,
    "commercial" => Cloud::Commercial, "us-government" => Cloud::UsGovernment, "china" => Cloud::China);
word!(SignInWord,
    "token" => SignIn::Token, "credential" => SignIn::Credential, "wizard" => SignIn::Wizard);
word!(ChangeWord, "optional" => Change::Optional, "required" => Change::Required);
word!(RebootWord,
    "never" => RebootRule::Never, "ask" => RebootRule::Ask, "window" => RebootRule::Window);
word!(RightsWord, "handover" => DirectoryRights::Handover, "ask" => DirectoryRights::Ask);
word!(PermissionWord,
    "basic-read" => Permission::BasicRead, "password-hash-sync" => Permission::PasswordHashSync,
    "password-writeback" => Permission::PasswordWriteback, "exchange-hybrid" => Permission::ExchangeHybrid,
    "exchange-public-folders" => Permission::ExchangePublicFolders,
    "user-group-create-delete" => Permission::UserGroupCreateDelete, "all" => Permission::All);
word!(OverlapWord, "pilot" => Overlap::Pilot, "moved" => Overlap::Moved);
word!(FixWord, "tls12" => Fix::Tls12, "vaultsvc" => Fix::Vaultsvc);

/// Parses the documents of one topology by what this program knows of the clouds. Gives the model as far as it could be read,
/// and all findings.
#[must_use]
pub fn parse(documents: &[Document]) -> (Topology, Vec<Finding>) {
    parse_by(documents, Clouds::built_in())
}

/// The same by what is known of the clouds elsewhere.
#[must_use]
pub fn parse_by(documents: &[Document], clouds: &Clouds) -> (Topology, Vec<Finding>) {
    let mut hashed = protocol::digest::Hasher::new();
    let mut sorted: Vec<&Document> = documents.iter().collect();
    sorted.sort_by(|a, b| a.file.cmp(&b.file));
    for document in &sorted {
        hashed.update(Digest::of(document.text.as_bytes()).as_bytes());
    }
    let first = sorted.first().map(|document| document.file.clone());
    let mut topology = Topology {
        digest: hashed.finish(),
        place: Place {
            file: first.unwrap_or_default(),
            line: 1,
            column: 1,
        },
        wanted: Wanted::default(),
        tenants: BTreeMap::new(),
        sites: BTreeMap::new(),
        domains: BTreeMap::new(),
        agents: BTreeMap::new(),
        connect: BTreeMap::new(),
        gaps: Gaps::default(),
    };
    let mut findings = Vec::new();
    for document in sorted {
        let source = Source::new(&document.file, &document.text);
        let mut remarks = Remarks {
            source,
            findings: Vec::new(),
        };
        let (table, errors) = DeTable::parse_recoverable(&document.text);
        topology.gaps.text |= remarks.syntax(errors);
        let syntax = remarks.findings.len();
        let document = Table::new("", table.get_ref(), 0..0);
        read(document, clouds, &mut topology, &mut remarks);
        remarks.settle(syntax);
        findings.append(&mut remarks.findings);
    }
    default_tenants(&mut topology, &mut findings);
    (topology, findings)
}

fn read(
    mut document: Table<'_, '_>,
    clouds: &Clouds,
    topology: &mut Topology,
    remarks: &mut Remarks<'_>,
) {
    if let Some(mut product) = document.table("product", remarks) {
        for (key, wanted) in [
            (
                "provisioning-agent",
                &mut topology.wanted.provisioning_agent,
            ),
            ("connect", &mut topology.wanted.connect),
        ] {
            if let Some(mut table) = product.table(key, remarks) {
                *wanted = table
                    .parse("at_least", remarks)
                    .map(|at| at.value)
                    .or(*wanted);
                table.finish(remarks);
            }
        }
        product.finish(remarks);
    }
    let before = remarks.findings.len();
    let tenants = document.named("tenant", remarks);
    topology.gaps.text |= remarks.findings.len() > before;
    for (name, table) in tenants {
        let place = remarks.source.place(&name.range);
        match tenant(table, clouds, &place, topology.gaps.text, remarks) {
            Some(tenant) => insert(&mut topology.tenants, name, tenant, "tenant", remarks),
            None => drop(topology.gaps.tenants.insert(name.value)),
        }
    }
    for (name, table) in document.named("site", remarks) {
        let site = site(table, remarks);
        insert(&mut topology.sites, name, site, "site", remarks);
    }
    for (name, table) in document.named("domain", remarks) {
        let place = remarks.source.place(&name.range);
        let parsed: Result<DomainName, _> = name.value.parse();
        let domain = domain(table, place, remarks);
        match parsed {
            Ok(parsed) if topology.domains.contains_key(&parsed) => {
                remarks.error(
                    &name.range,
                    format!("the domain {parsed} is written twice"),
                    "keep one of the two",
                );
            }
            Ok(parsed) => drop(topology.domains.insert(parsed, domain)),
            Err(error) => remarks.error(
                &name.range,
                error.to_string(),
                "write [domain.\"corp.contoso.com\"]",
            ),
        }
    }
    for (name, table) in document.named("agents", remarks) {
        let place = remarks.source.place(&name.range);
        let group = group(table, place, &mut topology.gaps, remarks);
        insert(
            &mut topology.agents,
            name,
            group,
            "group of agents",
            remarks,
        );
    }
    for (name, table) in document.named("connect", remarks) {
        let place = remarks.source.place(&name.range);
        let entry = connect(table, place, &mut topology.gaps, remarks);
        insert(&mut topology.connect, name, entry, "Connect entry", remarks);
    }
    document.finish(remarks);
}

fn insert<T>(
    map: &mut BTreeMap<String, T>,
    name: At<String>,
    value: T,
    what: &str,
    remarks: &mut Remarks<'_>,
) {
    match map.entry(name.value) {
        Entry::Occupied(taken) => {
            let text = format!("the {what} \"{}\" is written twice", taken.key());
            remarks.error(&name.range, text, "rename one of the two");
        }
        Entry::Vacant(free) => {
            free.insert(value);
        }
    }
}

fn tenant(
    mut table: Table<'_, '_>,
    clouds: &Clouds,
    place: &Place,
    gap: bool,
    remarks: &mut Remarks<'_>,
) -> Option<Tenant> {
    let before = remarks.findings.len();
    let id: Option<At<TenantId>> = table.parse("id", remarks);
    // What may be written on a line that could not be read is not missed.
    if id.is_none() && remarks.findings.len() == before && !gap {
        remarks.error(
            table.range(),
            "the tenant has no id",
            "write id = \"the tenant's GUID\"",
        );
    }
    let cloud = table
        .parse::<Word<CloudWord>>("cloud", remarks)
        .map_or(Cloud::Commercial, |word| word.value.0);
    let sign_in = table.parse::<Word<SignInWord>>("sign_in", remarks);
    let about = clouds.of(cloud).clone();
    if let Some(word) = &sign_in
        && about.sign_in.way(word.value.0).works == Works::No
    {
        let (asked, chosen) = (word.value.0, about.sign_in.chosen);
        let what = format!(
            "signing in by {} does not work in {}: {}",
            asked.as_str(),
            cloud.as_str(),
            about.sign_in.way(asked).source
        );
        let fix = format!(
            "write sign_in = \"{}\", or correct {} beside the controller's state and restart the controller",
            chosen.as_str(),
            clouds::FILE
        );
        remarks.error(&word.range, what, fix);
    }
    let graph = table.text("graph", remarks);
    let named = graph.as_ref().map(|at| at.value.as_str());
    let host = about.graph.host(named).map(|one| one.value.clone());
    if let Some(at) = graph.as_ref().filter(|_| host.is_none()) {
        remarks.error(
            &at.range,
            format!(
                "Microsoft Graph of {} has no host of the name {}",
                cloud.as_str(),
                at.value
            ),
            format!(
                "write one of {}, or leave it out for {}; {} beside the controller's state has them",
                about.graph.names(),
                about.graph.default,
                clouds::FILE
            ),
        );
    }
    let owner = table.text("owner", remarks).map(|at| at.value);
    let change = table
        .parse::<Word<ChangeWord>>("change", remarks)
        .map_or(Change::Optional, |word| word.value.0);
    table.finish(remarks);
    Some(Tenant {
        id: id?.value,
        cloud,
        graph: host.unwrap_or_default(),
        sign_in: sign_in.map_or(about.sign_in.chosen, |word| word.value.0),
        about,
        owner,
        change,
        place: place.clone(),
    })
}

fn site(mut table: Table<'_, '_>, remarks: &mut Remarks<'_>) -> Site {
    let zone = table.text("zone", remarks).map(|at| {
        if !calendar::is_zone(&at.value) {
            remarks.error(
                &at.range,
                format!("zone: \"{}\" is no time zone", at.value),
                "write the IANA name, such as \"Europe/Amsterdam\"",
            );
        }
        at.value
    });
    let reboot = table
        .parse::<Word<RebootWord>>("reboot", remarks)
        .map_or(RebootRule::Ask, |word| word.value.0);
    table.finish(remarks);
    Site { zone, reboot }
}

fn domain(mut table: Table<'_, '_>, place: Place, remarks: &mut Remarks<'_>) -> Domain {
    let owner = table.text("owner", remarks).map(|at| at.value);
    let rights = table.parse::<Word<RightsWord>>("directory", remarks);
    let min_serving = table.number("min_serving", remarks).map(|at| at.value);
    let allow_outage = table.flag("allow_outage", remarks).unwrap_or(false);
    let preferred_dcs = table
        .list("preferred_dcs", remarks)
        .into_iter()
        .map(|at| at.value)
        .collect();
    let permissions = table
        .list::<Word<PermissionWord>>("permissions", remarks)
        .into_iter()
        .map(|word| word.value.0)
        .collect();
    table.finish(remarks);
    let rights = rights.map_or(DirectoryRights::Handover, |word| word.value.0);
    Domain {
        owner,
        rights,
        min_serving,
        allow_outage,
        preferred_dcs,
        permissions,
        place,
    }
}

fn placed<T>(items: Vec<At<T>>, remarks: &Remarks<'_>) -> Vec<(T, Place)> {
    items
        .into_iter()
        .map(|at| (at.value, remarks.source.place(&at.range)))
        .collect()
}

/// A list that must not be empty. One that could not be read in full is a gap, and not missed.
fn required<T: Written>(
    key: &'static str,
    table: &mut Table<'_, '_>,
    gaps: &mut Gaps,
    remarks: &mut Remarks<'_>,
) -> Vec<(T, Place)> {
    let before = remarks.findings.len();
    let items: Vec<At<T>> = table.list(key, remarks);
    if remarks.findings.len() > before {
        gaps.lists = true;
    } else if items.is_empty() && !gaps.text {
        remarks.error(
            table.range(),
            format!("{key} is missing or empty"),
            format!("write {key} = [\"{}\"]", T::example(None)),
        );
    }
    placed(items, remarks)
}

type Servers = Vec<(TargetId, Place)>;

/// Servers that stay under their key, and `retired`. Where some go, none may stay.
fn staying_and_leaving(
    key: &'static str,
    table: &mut Table<'_, '_>,
    gaps: &mut Gaps,
    remarks: &mut Remarks<'_>,
) -> (Servers, Servers) {
    let before = remarks.findings.len();
    let retired = table.list("retired", remarks);
    gaps.lists |= remarks.findings.len() > before;
    let stay = if retired.is_empty() {
        required(key, table, gaps, remarks)
    } else {
        let before = remarks.findings.len();
        let stay = table.list(key, remarks);
        gaps.lists |= remarks.findings.len() > before;
        placed(stay, remarks)
    };
    (stay, placed(retired, remarks))
}

fn group(
    mut table: Table<'_, '_>,
    place: Place,
    gaps: &mut Gaps,
    remarks: &mut Remarks<'_>,
) -> AgentGroup {
    let unnamed = At {
        value: String::new(),
        range: table.range().clone(),
    };
    let tenant = table.text("tenant", remarks).unwrap_or(unnamed);
    let site = table.text("site", remarks);
    let labels = table.texts("labels", remarks).into_iter().collect();
    let serves = required("serves", &mut table, gaps, remarks);
    let (hosts, retired) = staying_and_leaving("hosts", &mut table, gaps, remarks);
    let gmsa: Option<At<GmsaName>> = table.parse("gmsa", remarks);
    let adopt = table.flag("adopt", remarks).unwrap_or(false);
    let may_fix = table
        .list::<Word<FixWord>>("may_fix", remarks)
        .into_iter()
        .map(|word| word.value.0)
        .collect();
    let options = service_options(&mut table, remarks);
    table.finish(remarks);
    AgentGroup {
        tenant,
        site,
        labels,
        serves,
        hosts,
        retired,
        gmsa: gmsa.map(|at| at.value),
        adopt,
        may_fix,
        options,
        place,
    }
}

/// `options = { proxy = "http://…", fips_exempt = true, ldap_timeout = "60s", referral_chasing = true }`; what is not
/// written is left as it is on the servers.
fn service_options(table: &mut Table<'_, '_>, remarks: &mut Remarks<'_>) -> ServiceOptions {
    let Some(mut table) = table.table("options", remarks) else {
        return ServiceOptions::default();
    };
    let proxy = table.parse("proxy", remarks).map(|at| at.value);
    let fips_exempt = table.flag("fips_exempt", remarks).unwrap_or(false);
    let timeout = table.text("ldap_timeout", remarks);
    let ldap_timeout_millis = timeout.and_then(|at| {
        let seconds = at.value.strip_suffix('s');
        let seconds = seconds.and_then(|number| number.parse::<u32>().ok());
        let seconds = seconds.filter(|seconds| (5..=600).contains(seconds));
        if seconds.is_none() {
            remarks.error(
                &at.range,
                format!("ldap_timeout: \"{}\" is no time from 5s to 600s", at.value),
                "write ldap_timeout = \"60s\"; the product's own is 30s",
            );
        }
        seconds.map(|seconds| seconds * 1000)
    });
    let referral_chasing = table.flag("referral_chasing", remarks).unwrap_or(false);
    table.finish(remarks);
    ServiceOptions {
        proxy,
        fips_exempt,
        ldap_timeout_millis,
        referral_chasing,
    }
}

fn connect(
    mut table: Table<'_, '_>,
    place: Place,
    gaps: &mut Gaps,
    remarks: &mut Remarks<'_>,
) -> ConnectEntry {
    let unnamed = At {
        value: String::new(),
        range: table.range().clone(),
    };
    let tenant = table.text("tenant", remarks).unwrap_or(unnamed);
    let site = table.text("site", remarks);
    let labels = table.texts("labels", remarks).into_iter().collect();
    let forests = required("forests", &mut table, gaps, remarks);
    let trees = table.lists("trees", remarks).into_iter().collect();
    let (servers, retired) = staying_and_leaving("servers", &mut table, gaps, remarks);
    let gone = table.list("gone", remarks);
    let gone = gone.into_iter().map(|at| at.value).collect();
    let prefer_active: Option<At<TargetId>> = table.parse("prefer_active", remarks);
    let may_fix = table.list::<Word<FixWord>>("may_fix", remarks);
    if let Some(vault) = may_fix.iter().find(|word| word.value.0 == Fix::Vaultsvc) {
        remarks.error(
            &vault.range,
            "may_fix: vaultsvc is a prerequisite of the provisioning agent alone",
            "write may_fix = [\"tls12\"], or leave it out",
        );
    }
    let proxy = connect_proxy(&mut table, remarks);
    let settings = connect_settings(&mut table, remarks);
    let pending_exports = pending_exports(&mut table, remarks);
    let overlap = table.words::<DomainName, Word<OverlapWord>>("overlap", remarks);
    let overlap = overlap.into_iter().map(|(domain, word)| {
        let place = remarks.source.place(&word.range);
        (domain, (word.value.0, place))
    });
    let overlap = overlap.collect();
    table.finish(remarks);
    ConnectEntry {
        tenant,
        site,
        labels,
        forests,
        trees,
        servers,
        retired,
        gone,
        prefer_active: prefer_active.map(|at| {
            let place = remarks.source.place(&at.range);
            (at.value, place)
        }),
        may_fix: may_fix.into_iter().map(|word| word.value.0).collect(),
        proxy,
        settings,
        pending_exports,
        overlap,
        place,
    }
}

/// `proxy = "http://proxy.contoso.com:8080"`, and `proxy_sign_in = true` where that proxy demands one.
fn connect_proxy(table: &mut Table<'_, '_>, remarks: &mut Remarks<'_>) -> Option<ConnectProxy> {
    let range = table.range().clone();
    let before = remarks.findings.len();
    let address: Option<At<ProxyAddress>> = table.parse("proxy", remarks);
    let unread = remarks.findings.len() > before;
    let signs_in = table.flag("proxy_sign_in", remarks).unwrap_or(false);
    let Some(address) = address else {
        if signs_in && !unread {
            remarks.error(
                &range,
                "proxy_sign_in: no proxy is written that could demand a sign-in",
                "write proxy = \"http://proxy.contoso.com:8080\" as well, or leave proxy_sign_in out",
            );
        }
        return None;
    };
    Some(ConnectProxy {
        place: remarks.source.place(&address.range),
        address: address.value,
        signs_in,
    })
}

/// `pending_exports = { add = 50, update = 500, delete = 0, max_age = "2h" }`; what is not written allows nothing.
fn pending_exports(table: &mut Table<'_, '_>, remarks: &mut Remarks<'_>) -> PendingExports {
    let mut most = PendingExports {
        limits: ExportLimits {
            add: 0,
            update: 0,
            delete: 0,
        },
        max_age_minutes: 120,
    };
    let Some(mut limits) = table.table("pending_exports", remarks) else {
        return most;
    };
    let mut number = |key| limits.number(key, remarks).map_or(0, |at| at.value);
    most.limits = ExportLimits {
        add: number("add"),
        update: number("update"),
        delete: number("delete"),
    };
    if let Some(age) = limits.text("max_age", remarks) {
        match minutes(&age.value) {
            Some(minutes) => most.max_age_minutes = minutes,
            None => remarks.error(
                &age.range,
                format!("max_age: \"{}\" is no time", age.value),
                "write max_age = \"2h\" or \"45m\", at least 30m: a cycle runs every half hour",
            ),
        }
    }
    limits.finish(remarks);
    most
}

/// A number of hours or minutes, such as `2h` or `45m`; no less than the product's own half hour between two cycles.
fn minutes(text: &str) -> Option<u32> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u32 = number.parse().ok()?;
    let minutes = match unit {
        "h" => number.checked_mul(60)?,
        "m" => number,
        _ => return None,
    };
    (30..=7 * 24 * 60).contains(&minutes).then_some(minutes)
}

/// `settings = "express"` or a table of custom settings.
fn connect_settings(table: &mut Table<'_, '_>, remarks: &mut Remarks<'_>) -> ConnectSettings {
    let before = remarks.findings.len();
    if let Some(word) = table.text("settings", remarks) {
        if word.value != "express" {
            remarks.error(
                &word.range,
                format!("settings: \"{}\" is not known", word.value),
                "write \"express\" or a table",
            );
        }
        return ConnectSettings::Express;
    }
    // It is no text: what that remarked does not count when it is a table.
    remarks.findings.truncate(before);
    match table.table("settings", remarks) {
        Some(table) => ConnectSettings::Custom(Box::new(settings::parse(table, remarks))),
        None => ConnectSettings::Unwritten,
    }
}

/// A group that names no tenant belongs to the only one there is.
fn default_tenants(topology: &mut Topology, findings: &mut Vec<Finding>) {
    if topology.gaps.text || !topology.gaps.tenants.is_empty() {
        return;
    }
    let only = match topology.tenants.len() {
        1 => topology.tenants.keys().next().cloned(),
        _ => None,
    };
    let names = topology.tenants.keys().cloned().collect::<Vec<_>>();
    let groups = topology
        .agents
        .values_mut()
        .map(|group| (&mut group.tenant, &group.place));
    let entries = topology
        .connect
        .values_mut()
        .map(|entry| (&mut entry.tenant, &entry.place));
    for (tenant, place) in groups.chain(entries) {
        if !tenant.value.is_empty() {
            continue;
        }
        match &only {
            Some(only) => tenant.value.clone_from(only),
            None => findings.push(Finding {
                place: place.clone(),
                severity: Severity::Error,
                what: "no tenant is named, and there is not exactly one".to_owned(),
                fix: if names.is_empty() {
                    "describe the tenant: [tenant.main] with id = \"…\", the tenant's GUID"
                        .to_owned()
                } else {
                    format!("write tenant = \"…\", one of: {}", names.join(", "))
                },
            }),
        }
    }
}
