//! Rollout policy: how fast. A document of its own with its own digest.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use std::time::Duration;

use protocol::event::Grade;
use protocol::step::Product;
use protocol::{Digest, DomainName};
use serde::{Deserialize, Serialize};
use toml::de::DeTable;

use crate::calendar::{self, Clock, Freeze, SiteRule, Window};
use crate::finding::{Finding, Place, Severity, Source, nearest};
use crate::topology::reader::{At, Remarks, Table, Written};
use crate::topology::{Document, Topology};

/// Which targets a wave takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Selector {
    /// Those with all these labels.
    Labels(BTreeMap<String, String>),
    /// Those that serve, or synchronize, one of these domains.
    Domains(BTreeSet<DomainName>),
    /// All that no earlier wave took.
    Rest,
}

/// A bound on failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureLimit {
    /// This many targets.
    Count(u32),
    /// This share of all targets, rounded down, at least 1.
    Percent(u32),
}

impl FailureLimit {
    /// The limit for that many targets.
    #[must_use]
    pub fn of(self, targets: usize) -> u32 {
        let targets = u32::try_from(targets).unwrap_or(u32::MAX);
        match self {
            Self::Count(count) => count.max(1),
            Self::Percent(percent) => u32::try_from(u64::from(targets) * u64::from(percent) / 100)
                .unwrap_or(u32::MAX)
                .max(1),
        }
    }
}

/// How fast a rollout goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Digest of the document; zero for the defaults.
    pub digest: Digest,
    /// Waves in order; what none selects comes last.
    pub waves: Vec<Selector>,
    /// Where each of them is written.
    pub places: Vec<Place>,
    /// Failures at which nothing more is started.
    pub failures: FailureLimit,
    /// Targets that may be under way at once.
    pub in_flight: u32,
    /// Targets of each group that go first in a wave.
    pub canary: u32,
    /// Seconds for which anybody who is away in the middle of its work is waited for; for ever where it is absent.
    pub unreachable: Option<u32>,
    /// Grade that a target must reach.
    pub need: Grade,
    /// How long a product that was changed is watched before its target is done, in cycles of the product.
    pub soak: Soak,
    /// When, and how many at once, by site.
    pub sites: BTreeMap<String, SitePolicy>,
}

/// Cycles of each product (cloud sync: two minutes, product facts 1.10; Connect: half an hour, 2.12); none where 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Soak {
    /// Of cloud sync.
    pub cloud_sync: u32,
    /// Of Connect Sync.
    pub connect: u32,
}

impl Soak {
    /// Seconds for a product.
    #[must_use]
    pub const fn seconds(self, product: Product) -> u32 {
        let cycles = match product {
            Product::ProvisioningAgent => self.cloud_sync,
            Product::Connect => self.connect,
        };
        cycles * Self::cycle(product)
    }

    /// A watch of so many seconds in cycles of a product, and how they are counted: by time, and by nothing that was seen of them.
    #[must_use]
    pub fn in_words(product: Product, seconds: u32) -> String {
        let cycle = Self::cycle(product);
        let count = seconds / cycle;
        let cycles = if count == 1 { "cycle" } else { "cycles" };
        let asked = match product {
            Product::ProvisioningAgent => {
                "what a reading of the tenant shows of them is told at its end"
            }
            Product::Connect => "its scheduler is asked for them once, at its end",
        };
        format!(
            "{count} {cycles} of {} min, counted by time; {asked}",
            cycle / 60
        )
    }

    /// Seconds from one cycle of a product to its next.
    #[must_use]
    pub const fn cycle(product: Product) -> u32 {
        match product {
            Product::ProvisioningAgent => 120,
            Product::Connect => 1800,
        }
    }
}

/// When a site may be changed, and how many of its servers at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SitePolicy {
    /// Each week; absent where any time will do.
    pub window: Option<Window>,
    /// Dates on which nothing begins.
    pub freeze: Vec<Freeze>,
    /// Servers under way at once.
    pub max_in_flight: Option<u32>,
    /// Where it is written.
    pub place: Place,
}

impl Policy {
    /// What holds at each site that the policy names and the topology describes.
    #[must_use]
    pub fn site_rules(&self, topology: &Topology) -> BTreeMap<String, SiteRule> {
        let rule = |(name, policy): (&String, &SitePolicy)| {
            let zone = topology.sites.get(name)?.zone.clone();
            let rule = SiteRule {
                // Without a window or dates there is no time that a zone could change.
                zone: zone.unwrap_or_else(|| "UTC".to_owned()),
                window: policy.window.clone(),
                freeze: policy.freeze.clone(),
                max_in_flight: policy.max_in_flight,
            };
            Some((name.clone(), rule))
        };
        self.sites.iter().filter_map(rule).collect()
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            digest: Digest::ZERO,
            waves: vec![Selector::Rest],
            places: Vec::new(),
            failures: FailureLimit::Percent(5),
            in_flight: 25,
            canary: 1,
            unreachable: None,
            need: Grade::Registered,
            soak: Soak::default(),
            sites: BTreeMap::new(),
        }
    }
}

/// Parses a policy and gives all findings.
#[must_use]
pub fn parse(document: &Document) -> (Policy, Vec<Finding>) {
    let source = Source::new(&document.file, &document.text);
    let mut remarks = Remarks {
        source,
        findings: Vec::new(),
    };
    let mut policy = Policy {
        digest: Digest::of(document.text.as_bytes()),
        ..Policy::default()
    };
    let (table, errors) = DeTable::parse_recoverable(&document.text);
    remarks.syntax(errors);
    let syntax = remarks.findings.len();
    let table = Table::new("", table.get_ref(), 0..0);
    read(table, &mut policy, &mut remarks);
    remarks.settle(syntax);
    (policy, remarks.findings)
}

/// Finds waves that take nothing of a topology: a slip of the pen would silently put their servers last.
#[must_use]
pub fn check(policy: &Policy, topology: &Topology) -> Vec<Finding> {
    // What could not be read may be what a wave is for.
    if topology.gaps.text || topology.gaps.lists {
        return Vec::new();
    }
    let domains = topology.covered_domains();
    let groups = topology.agents.values().map(|group| &group.labels);
    let labels: Vec<&BTreeMap<String, String>> = groups
        .chain(topology.connect.values().map(|entry| &entry.labels))
        .collect();
    let mut findings = Vec::new();
    let mut add = |place: &Place, severity, what: String, fix: String| {
        findings.push(Finding {
            place: place.clone(),
            severity,
            what,
            fix,
        });
    };
    for (name, site) in &policy.sites {
        match topology.sites.get(name) {
            None => {
                let meant = nearest(name, topology.sites.keys().map(String::as_str));
                let fix = meant.map_or_else(
                    || format!("describe [site.{name}] in the topology, with its zone"),
                    |meant| format!("did you mean \"{meant}\"?"),
                );
                let what = format!("the site \"{name}\" is not described in the topology");
                add(&site.place, Severity::Error, what, fix);
            }
            Some(there)
                if there.zone.is_none() && (site.window.is_some() || !site.freeze.is_empty()) =>
            {
                let what = format!("the times of site \"{name}\" have no zone");
                let fix = format!(
                    "write zone = \"Europe/Amsterdam\" below [site.{name}] of the topology"
                );
                add(&site.place, Severity::Error, what, fix);
            }
            Some(_) => {}
        }
    }
    let mut waves = policy.waves.iter().zip(&policy.places);
    if waves.any(|(selector, _)| *selector == Selector::Rest)
        && let Some((_, place)) = waves.next()
    {
        let what =
            "a wave behind { rest = true } takes no server: that one has taken all that were left"
                .to_owned();
        add(
            place,
            Severity::Error,
            what,
            "write { rest = true } last".to_owned(),
        );
    }
    for (selector, place) in policy.waves.iter().zip(&policy.places) {
        match selector {
            Selector::Rest => {}
            Selector::Domains(named) => {
                for domain in named {
                    if domains.contains(domain) {
                        continue;
                    }
                    let meant = nearest(domain.as_str(), domains.iter().map(DomainName::as_str));
                    let fix = meant.map_or_else(
                        || "name a domain that the topology serves".to_owned(),
                        |meant| format!("did you mean \"{meant}\"?"),
                    );
                    let what =
                        format!("a wave is for {domain}, which nothing in the topology serves");
                    add(place, Severity::Error, what, fix);
                }
            }
            Selector::Labels(wanted) => {
                let takes = |labels: &&BTreeMap<String, String>| {
                    wanted
                        .iter()
                        .all(|(label, value)| labels.get(label) == Some(value))
                };
                if labels.iter().any(takes) {
                    continue;
                }
                let asked: Vec<String> = wanted
                    .iter()
                    .map(|(label, value)| format!("{label} = \"{value}\""))
                    .collect();
                let what = format!(
                    "nothing in the topology has the labels {}: the wave takes no server",
                    asked.join(", ")
                );
                let values = labels.iter().flat_map(|labels| labels.iter());
                let values = values.filter(|(label, _)| wanted.contains_key(*label));
                let there: BTreeSet<String> = values
                    .map(|(label, value)| format!("{label} = \"{value}\""))
                    .collect();
                let there: Vec<String> = there.into_iter().collect();
                let fix = if there.is_empty() {
                    "give a group these labels, or remove the wave".to_owned()
                } else {
                    format!("there is {}", there.join(", "))
                };
                add(place, Severity::Warning, what, fix);
            }
        }
    }
    findings
}

/// `"5 cycles"`, up to 1,000 of them.
fn cycles(table: &mut Table<'_, '_>, key: &'static str, remarks: &mut Remarks<'_>) -> u32 {
    let Some(text) = table.text(key, remarks) else {
        return 0;
    };
    let number = text
        .value
        .strip_suffix(" cycles")
        .or(text.value.strip_suffix(" cycle"));
    let number = number.and_then(|number| number.trim().parse::<u32>().ok());
    let number = number.filter(|number| *number <= 1000);
    if number.is_none() {
        remarks.error(
            &text.range,
            format!(
                "{key}: \"{}\" is no number of cycles up to 1000",
                text.value
            ),
            "write \"5 cycles\": one of cloud sync takes two minutes, one of Connect half an hour or as its scheduler is set",
        );
    }
    number.unwrap_or(0)
}

/// How long anybody who is away is waited for: `"3d"`, `"12h"` or `"90m"`, in seconds; 0 for `"never"`, which gives nobody up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits(pub u32);

impl Waits {
    const FIX: &'static str = "write \"3d\", \"12h\", \"90m\" or \"never\"";
    /// A restart of a server is over within it.
    const LEAST: u32 = 15 * 60;
    const MOST: u32 = 90 * 86_400;
}

impl FromStr for Waits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(0));
        }
        let units = [('d', 86_400), ('h', 3600), ('m', 60)];
        let mut read = units.into_iter().filter_map(|(unit, seconds)| {
            let number: u32 = text.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(seconds)
        });
        match read.next() {
            Some(seconds @ Self::LEAST..=Self::MOST) => Ok(Self(seconds)),
            Some(_) => Err(format!("\"{text}\" is not between 15m and 90d")),
            None => Err(format!("\"{text}\" is no number of days, hours or minutes")),
        }
    }
}

/// A time as it is written: in the greatest unit in which it is whole.
pub(crate) fn days(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [('d', 86_400), ('h', 3600)];
    let whole = |(_, unit): &(char, u64)| seconds >= *unit && seconds.is_multiple_of(*unit);
    let (unit, size) = units.into_iter().find(whole).unwrap_or(('m', 60));
    format!("{}{unit}", seconds / size)
}

fn read(mut document: Table<'_, '_>, policy: &mut Policy, remarks: &mut Remarks<'_>) {
    let waves = document.tables("waves", remarks);
    if !waves.is_empty() {
        policy.waves.clear();
    }
    for mut wave in waves {
        let rest = wave.flag("rest", remarks);
        let ring = wave.text("ring", remarks);
        let mut labels: BTreeMap<String, String> =
            wave.texts("labels", remarks).into_iter().collect();
        if let Some(ring) = ring {
            labels.insert("ring".to_owned(), ring.value);
        }
        let domains: BTreeSet<DomainName> = wave
            .list("domains", remarks)
            .into_iter()
            .map(|domain: At<DomainName>| domain.value)
            .collect();
        let range = wave.range().clone();
        wave.finish(remarks);
        let selector = match (rest, labels.is_empty(), domains.is_empty()) {
            (Some(true), true, true) => Selector::Rest,
            (None, false, true) => Selector::Labels(labels),
            (None, true, false) => Selector::Domains(domains),
            _ => {
                remarks.error(
                    &range,
                    "a wave has labels, or domains, or is { rest = true }",
                    "write { ring = \"1\" } or { domains = [\"corp.contoso.com\"] }",
                );
                continue;
            }
        };
        policy.waves.push(selector);
        policy.places.push(remarks.source.place(&range));
    }
    if let Some(mut limit) = document.table("limit", remarks) {
        if let Some(failures) = limit.text("failures", remarks) {
            let number = failures.value.strip_suffix('%').map_or_else(
                || failures.value.parse().map(FailureLimit::Count),
                |share| share.parse().map(FailureLimit::Percent),
            );
            match number {
                Ok(FailureLimit::Count(0) | FailureLimit::Percent(0)) => remarks.error(
                    &failures.range,
                    "failures = 0 would stop before anything has failed",
                    "write \"1\" or more: nothing more starts once that many have failed",
                ),
                Ok(FailureLimit::Percent(101..)) => remarks.error(
                    &failures.range,
                    "a share of failures is 100% at most",
                    "write \"5%\", or a count such as \"3\"",
                ),
                Ok(number) => policy.failures = number,
                Err(_) => remarks.error(
                    &failures.range,
                    "failures is a count or a share",
                    "write \"3\" or \"5%\"",
                ),
            }
        }
        if let Some(in_flight) = limit.number("in_flight", remarks) {
            if in_flight.value == 0 {
                remarks.error(
                    &in_flight.range,
                    "in_flight = 0 would never start anything",
                    "write 1 or more",
                );
            }
            policy.in_flight = in_flight.value.max(1);
        }
        if let Some(canary) = limit.number("canary", remarks) {
            policy.canary = canary.value;
        }
        if let Some(time) = limit.text("unreachable", remarks) {
            match time.value.parse::<Waits>() {
                Ok(Waits(seconds)) => {
                    policy.unreachable = Some(seconds).filter(|seconds| *seconds > 0);
                }
                Err(why) => remarks.error(&time.range, format!("unreachable: {why}"), Waits::FIX),
            }
        }
        limit.finish(remarks);
    }
    if let Some(need) = document.text("need", remarks) {
        match need.value.as_str() {
            "installed" => policy.need = Grade::Installed,
            "configured" => policy.need = Grade::Configured,
            "registered" => policy.need = Grade::Registered,
            "active-in-tenant" => policy.need = Grade::ActiveInTenant,
            "syncing" => policy.need = Grade::Syncing,
            other => {
                let what = format!("need: the grade \"{other}\" is not known");
                remarks.error(
                    &need.range,
                    what,
                    "write installed, configured, registered, active-in-tenant or syncing",
                );
            }
        }
    }
    if let Some(mut soak) = document.table("soak", remarks) {
        policy.soak = Soak {
            cloud_sync: cycles(&mut soak, "cloud-sync", remarks),
            connect: cycles(&mut soak, "connect", remarks),
        };
        soak.finish(remarks);
    }
    for (name, table) in document.named("site", remarks) {
        let site = site(table, remarks.source.place(&name.range), remarks);
        policy.sites.insert(name.value, site);
    }
    document.finish(remarks);
}

/// `[site.ams]`: `window = { days = ["Sat"], from = "22:00", to = "04:00" }`, `freeze = ["2026-12-15/2027-01-04"]`,
/// `max_in_flight = 4`.
fn site(mut table: Table<'_, '_>, place: Place, remarks: &mut Remarks<'_>) -> SitePolicy {
    let window = table.table("window", remarks).and_then(|mut window| {
        let range = window.range().clone();
        let on_no_day = window.is_empty_list("days");
        let days: Vec<At<DayName>> = window.list("days", remarks);
        let (from, to) = (window.parse("from", remarks), window.parse("to", remarks));
        window.finish(remarks);
        let (Some(from), Some(to)) = (from, to) else {
            remarks.error(
                &range,
                "a window has from and to",
                "write window = { days = [\"Sat\", \"Sun\"], from = \"22:00\", to = \"04:00\" }",
            );
            return None;
        };
        if on_no_day {
            remarks.error(
                &range,
                "the window is on no day",
                "name days, such as [\"Sat\", \"Sun\"], or leave `days` out: every day",
            );
        }
        let mut days: Vec<i8> = days.into_iter().map(|day| day.value.0).collect();
        if days.is_empty() {
            days = (1..=7).collect();
        }
        days.sort_unstable();
        days.dedup();
        Some(Window {
            days,
            from: from.value,
            to: to.value,
        })
    });
    let freeze = table.list("freeze", remarks).into_iter();
    let freeze = freeze.map(|at: At<Freeze>| at.value).collect();
    let max_in_flight = table.number("max_in_flight", remarks).map(|at| {
        if at.value == 0 {
            remarks.error(
                &at.range,
                "max_in_flight = 0 would never start anything at this site",
                "write 1 or more",
            );
        }
        at.value.max(1)
    });
    table.finish(remarks);
    SitePolicy {
        window,
        freeze,
        max_in_flight,
        place,
    }
}

/// A day of the week by its name.
struct DayName(i8);

impl FromStr for DayName {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        calendar::day(text)
            .map(Self)
            .ok_or_else(|| format!("\"{text}\" is none of {}", calendar::DAYS.join(", ")))
    }
}

impl Written for DayName {
    fn example(_: Option<&str>) -> String {
        "Sat".to_owned()
    }
}

impl Written for Clock {
    fn example(_: Option<&str>) -> String {
        "22:00".to_owned()
    }
}

impl Written for Freeze {
    fn example(_: Option<&str>) -> String {
        "2026-12-15/2027-01-04".to_owned()
    }
}
