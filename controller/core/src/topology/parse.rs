//! Text to model. Every finding of every document comes at once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::str::FromStr;

use protocol::step::{Cloud, DirectoryRights, Fix, SignIn};
use protocol::{Digest, DomainName, GmsaName, TargetId, TenantId};
use toml::de::DeTable;

use crate::finding::{Finding, Place, Severity, Source};
use crate::topology::model::{
    AgentGroup, Change, ConnectEntry, ConnectSettings, Domain, RebootRule, Site, Tenant, Topology,
    Wanted,
};
use crate::topology::reader::{At, Remarks, Table};

/// One file of a topology.
#[derive(Debug, Clone)]
pub struct Document {
    /// Name, as the operator gave it.
    pub file: String,
    /// Text.
    pub text: String,
}

macro_rules! word {
    ($name:ident, $wanted:literal, $($text:literal => $value:expr),+ $(,)?) => {
        struct $name;
        impl $name {
            const WANTED: &'static str = $wanted;
        }
        impl FromStr for Word<$name> {
            type Err = String;
            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $($text => Ok(Word($value)),)+
                    other => Err(format!("\"{other}\" is none of {}", $name::WANTED)),
                }
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
impl Kind for FixWord {
    type Value = Fix;
}

word!(CloudWord, "commercial, us-government, china",
    "commercial" => Cloud::Commercial, "us-government" => Cloud::UsGovernment, "china" => Cloud::China);
word!(SignInWord, "token, credential, wizard",
    "token" => SignIn::Token, "credential" => SignIn::Credential, "wizard" => SignIn::Wizard);
word!(ChangeWord, "optional, required", "optional" => Change::Optional, "required" => Change::Required);
word!(RebootWord, "never, ask, window",
    "never" => RebootRule::Never, "ask" => RebootRule::Ask, "window" => RebootRule::Window);
word!(RightsWord, "handover, ask", "handover" => DirectoryRights::Handover, "ask" => DirectoryRights::Ask);
word!(FixWord, "tls12, vaultsvc", "tls12" => Fix::Tls12, "vaultsvc" => Fix::Vaultsvc);

/// Parses the documents of one topology. Gives the model as far as it could be read, and all findings.
#[must_use]
pub fn parse(documents: &[Document]) -> (Topology, Vec<Finding>) {
    let mut hashed = protocol::digest::Hasher::new();
    let mut sorted: Vec<&Document> = documents.iter().collect();
    sorted.sort_by(|a, b| a.file.cmp(&b.file));
    for document in &sorted {
        hashed.update(Digest::of(document.text.as_bytes()).as_bytes());
    }
    let mut topology = Topology {
        digest: hashed.finish(),
        wanted: Wanted::default(),
        tenants: BTreeMap::new(),
        sites: BTreeMap::new(),
        domains: BTreeMap::new(),
        agents: BTreeMap::new(),
        connect: BTreeMap::new(),
    };
    let mut findings = Vec::new();
    for document in sorted {
        let source = Source {
            file: &document.file,
            text: &document.text,
        };
        let mut remarks = Remarks {
            source,
            findings: Vec::new(),
        };
        let (table, errors) = DeTable::parse_recoverable(&document.text);
        for error in errors {
            let range = error.span().unwrap_or(0..0);
            remarks.error(&range, error.message().trim().to_owned(), "");
        }
        if remarks.findings.is_empty() {
            read(
                Table::new("", table.get_ref(), 0..0),
                &mut topology,
                &mut remarks,
            );
        }
        findings.append(&mut remarks.findings);
    }
    default_tenants(&mut topology, &mut findings);
    (topology, findings)
}

fn read(mut document: Table<'_, '_>, topology: &mut Topology, remarks: &mut Remarks<'_>) {
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
    for (name, table) in document.named("tenant", remarks) {
        let place = remarks.source.place(&name.range);
        if let Some(tenant) = tenant(table, &place, remarks) {
            insert(&mut topology.tenants, name, tenant, "tenant", remarks);
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
        let group = group(table, place, remarks);
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
        let entry = connect(table, place, remarks);
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

fn tenant(mut table: Table<'_, '_>, place: &Place, remarks: &mut Remarks<'_>) -> Option<Tenant> {
    let id: Option<At<TenantId>> = table.parse("id", remarks);
    if id.is_none() {
        let range = table.range().clone();
        let missing = !remarks
            .findings
            .iter()
            .any(|finding| finding.what.starts_with("id:"));
        if missing {
            remarks.error(
                &range,
                "the tenant has no id",
                "write id = \"the tenant's GUID\"",
            );
        }
    }
    let cloud = table
        .parse::<Word<CloudWord>>("cloud", remarks)
        .map_or(Cloud::Commercial, |word| word.value.0);
    let sign_in = table.parse::<Word<SignInWord>>("sign_in", remarks);
    // Token sign-in is known to work in the commercial cloud alone; elsewhere the wizard is what the vendor documents.
    let default = if cloud == Cloud::Commercial {
        SignIn::Token
    } else {
        SignIn::Wizard
    };
    if let Some(word) = &sign_in
        && word.value.0 == SignIn::Token
        && cloud != Cloud::Commercial
    {
        let what = format!(
            "signing in by token is known to work in the commercial cloud alone, not in {}",
            cloud.as_str()
        );
        remarks.error(&word.range, what, "write sign_in = \"wizard\"");
    }
    let owner = table.text("owner", remarks).map(|at| at.value);
    let change = table
        .parse::<Word<ChangeWord>>("change", remarks)
        .map_or(Change::Optional, |word| word.value.0);
    table.finish(remarks);
    Some(Tenant {
        id: id?.value,
        cloud,
        sign_in: sign_in.map_or(default, |word| word.value.0),
        owner,
        change,
        place: place.clone(),
    })
}

fn site(mut table: Table<'_, '_>, remarks: &mut Remarks<'_>) -> Site {
    let zone = table.text("zone", remarks).map(|at| at.value);
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
    table.finish(remarks);
    let rights = rights.map_or(DirectoryRights::Handover, |word| word.value.0);
    Domain {
        owner,
        rights,
        min_serving,
        allow_outage,
        preferred_dcs,
        place,
    }
}

fn placed<T>(items: Vec<At<T>>, remarks: &Remarks<'_>) -> Vec<(T, Place)> {
    items
        .into_iter()
        .map(|at| (at.value, remarks.source.place(&at.range)))
        .collect()
}

fn required<T>(items: &[T], key: &str, table: &Table<'_, '_>, remarks: &mut Remarks<'_>) {
    if items.is_empty() {
        remarks.error(
            table.range(),
            format!("{key} is missing or empty"),
            format!("write {key} = [\"…\"]"),
        );
    }
}

fn group(mut table: Table<'_, '_>, place: Place, remarks: &mut Remarks<'_>) -> AgentGroup {
    let unnamed = At {
        value: String::new(),
        range: table.range().clone(),
    };
    let tenant = table.text("tenant", remarks).unwrap_or(unnamed);
    let site = table.text("site", remarks);
    let labels = table.texts("labels", remarks).into_iter().collect();
    let serves = table.list("serves", remarks);
    required(&serves, "serves", &table, remarks);
    let hosts = table.list("hosts", remarks);
    required(&hosts, "hosts", &table, remarks);
    let gmsa: Option<At<GmsaName>> = table.parse("gmsa", remarks);
    let may_fix = table
        .list::<Word<FixWord>>("may_fix", remarks)
        .into_iter()
        .map(|word| word.value.0)
        .collect();
    table.finish(remarks);
    AgentGroup {
        tenant,
        site,
        labels,
        serves: placed(serves, remarks),
        hosts: placed(hosts, remarks),
        gmsa: gmsa.map(|at| at.value),
        may_fix,
        place,
    }
}

fn connect(mut table: Table<'_, '_>, place: Place, remarks: &mut Remarks<'_>) -> ConnectEntry {
    let unnamed = At {
        value: String::new(),
        range: table.range().clone(),
    };
    let tenant = table.text("tenant", remarks).unwrap_or(unnamed);
    let site = table.text("site", remarks);
    let labels = table.texts("labels", remarks).into_iter().collect();
    let forests = table.list("forests", remarks);
    required(&forests, "forests", &table, remarks);
    let servers = table.list("servers", remarks);
    required(&servers, "servers", &table, remarks);
    let prefer_active: Option<At<TargetId>> = table.parse("prefer_active", remarks);
    let settings = settings(&mut table, remarks);
    if let Some(mut limits) = table.table("pending_exports", remarks) {
        for key in ["add", "update", "delete"] {
            limits.number(key, remarks);
        }
        limits.text("max_age", remarks);
        limits.finish(remarks);
    }
    table.finish(remarks);
    ConnectEntry {
        tenant,
        site,
        labels,
        forests: placed(forests, remarks),
        servers: placed(servers, remarks),
        prefer_active: prefer_active.map(|at| {
            let place = remarks.source.place(&at.range);
            (at.value, place)
        }),
        settings,
        place,
    }
}

/// `settings = "express"` or a table of custom settings.
fn settings(table: &mut Table<'_, '_>, remarks: &mut Remarks<'_>) -> ConnectSettings {
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
    ConnectSettings::Custom(table.texts("settings", remarks).into_iter().collect())
}

/// A group that names no tenant belongs to the only one there is.
fn default_tenants(topology: &mut Topology, findings: &mut Vec<Finding>) {
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
                fix: format!("write tenant = \"…\", one of: {}", names.join(", ")),
            }),
        }
    }
}
