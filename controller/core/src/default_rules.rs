//! Whether default rules of a Connect server were edited in place (CU04): no module tells that, but two servers of one version have
//! the same ones, so that each of a tenant's servers is held against the others. What every one of them has changed in the same way
//! does not show.

use std::collections::{BTreeMap, BTreeSet};

use protocol::event::{Finding, Verdict};
use protocol::probe::controller as catalogue;
use protocol::settings::{ConnectSettings, SettingsPart};
use protocol::step::Product;
use protocol::{TargetId, Version};

use crate::plan::Plan;
use crate::settings::{Settings, SettingsSeen};

/// How an agent begins to tell of a default rule, whose name is its direction, its own and its connector's.
const DEFAULT: &str = "default, ";

/// The setting by which it tells in which order they come, which is their precedence without its numbers: those are an
/// installation's own.
const ORDER: &str = "order of the default rules";

/// So many rules are named.
const NAMED: usize = 5;

/// The default rules that a server told.
struct Rules<'a> {
    /// What each says, by its name; of rules of one name all of them.
    each: BTreeMap<&'a str, BTreeSet<&'a str>>,
    order: Option<&'a str>,
}

impl<'a> Rules<'a> {
    /// # Errors
    /// Why they cannot be told.
    fn of(settings: &'a ConnectSettings) -> Result<Self, String> {
        let part = SettingsPart::Rules;
        if let Some(unread) = settings.unread.iter().find(|one| one.part == part) {
            return Err(format!("its rules could not be read: {}", unread.why));
        }
        // Settings come sorted by their parts, and are cut at the end.
        let last = settings.settings.last();
        if settings.beyond > 0 && last.is_none_or(|last| last.part <= part) {
            return Err("it has more rules than are carried".to_owned());
        }
        let (mut each, mut order) = (BTreeMap::<_, BTreeSet<_>>::new(), None);
        for one in settings.settings.iter().filter(|one| one.part == part) {
            if one.name == ORDER {
                order = Some(one.value.as_str());
            } else if one.value.starts_with(DEFAULT) {
                let same = each.entry(one.name.as_str()).or_default();
                same.insert(one.value.as_str());
            }
        }
        if each.is_empty() {
            return Err("it told no default rule".to_owned());
        }
        Ok(Self { each, order })
    }

    /// What differs between two servers, by the names of rules.
    fn differ(&self, (own, other): (&TargetId, &TargetId), theirs: &Self) -> Vec<String> {
        let names: BTreeSet<&str> = self
            .each
            .keys()
            .chain(theirs.each.keys())
            .copied()
            .collect();
        let mut differ: Vec<String> = names
            .into_iter()
            .filter_map(|name| match (self.each.get(name), theirs.each.get(name)) {
                (Some(one), Some(two)) if one == two => None,
                (Some(_), Some(_)) => Some(name.to_owned()),
                (Some(_), None) => Some(format!("{name} (on {own} alone)")),
                (None, _) => Some(format!("{name} (on {other} alone)")),
            })
            .collect();
        // Other rules are in another order by themselves.
        if differ.is_empty() && self.order != theirs.order {
            differ.push("their order of precedence".to_owned());
        }
        differ
    }
}

/// The other servers of the Connect entry that a plan has a server in.
#[must_use]
pub fn peers<'a>(plan: &'a Plan, server: &TargetId) -> BTreeSet<&'a TargetId> {
    let Some(part) = plan.targets.get(server) else {
        return BTreeSet::new();
    };
    let tenant = plan.tenants.get(&part.tenant);
    let entries = tenant.into_iter().flat_map(|tenant| &tenant.wants.connect);
    let own = entries.filter(|entry| entry.servers.contains(server));
    let of_entry = own.flat_map(|entry| &entry.servers);
    let is_beside = |(_, other): &(&TargetId, &crate::plan::TargetPlan)| {
        part.is_of(Product::Connect) && other.lane == part.lane
    };
    let of_lane = plan.targets.iter().filter(is_beside);
    let of_lane = of_lane.map(|(other, _)| other);
    let all = of_entry.chain(of_lane);
    all.filter(|other| *other != server).collect()
}

/// What is told of the default rules of a server that has that version, beside those others of its tenant. `None` where there are none
/// that it could be held against: then a person compares (CU01).
#[must_use]
pub fn finding<'a>(
    server: &TargetId,
    version: Version,
    others: impl IntoIterator<Item = &'a TargetId>,
    settings: &Settings,
) -> Option<Finding> {
    let others: Vec<&TargetId> = others.into_iter().collect();
    if others.is_empty() {
        return None;
    }
    let probe = &catalogue::CU04;
    Some(match held(server, version, &others, settings) {
        Ok((read, true)) => probe.finding(read, Verdict::Pass),
        Ok((read, false)) => probe.finding(read, Verdict::Fail),
        Err(why) => probe.finding(why, Verdict::CannotTell),
    })
}

/// What is read, and whether nothing differs.
fn held(
    server: &TargetId,
    version: Version,
    others: &[&TargetId],
    settings: &Settings,
) -> Result<(String, bool), String> {
    let own = settings
        .get(server)
        .ok_or_else(|| "it never told its settings".to_owned())?;
    if own.version != Some(version) {
        return Err(format!(
            "it told its settings at {}, and is {version} by now",
            own.at
        ));
    }
    let rules = Rules::of(&own.settings)?;
    let told = others.iter().copied();
    let told = told.filter_map(|other| Some((other, settings.get(other)?)));
    let same: Vec<(&TargetId, &SettingsSeen)> = told
        .filter(|(_, seen)| seen.version == Some(version))
        .collect();
    if same.is_empty() {
        return Err(format!(
            "no other Connect server of its tenant has told the settings of {version}"
        ));
    }
    let (mut equal, mut differs, mut untold) = (Vec::new(), Vec::new(), Vec::new());
    for (other, seen) in same {
        match Rules::of(&seen.settings) {
            Err(why) => untold.push(format!("{other}: {why}")),
            Ok(theirs) => {
                let differ = rules.differ((server, other), &theirs);
                if differ.is_empty() {
                    equal.push(format!("{other} (at {})", seen.at));
                    continue;
                }
                let more = match differ.len().saturating_sub(NAMED) {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                let named = differ.iter().take(NAMED).cloned().collect::<Vec<_>>();
                differs.push(format!(
                    "other than those of {other} (at {}): {}{more}",
                    seen.at,
                    named.join("; ")
                ));
            }
        }
    }
    if equal.is_empty() && differs.is_empty() {
        return Err(untold.join("; "));
    }
    let number = rules.each.values().map(BTreeSet::len).sum::<usize>();
    let mut read = format!("{number} default rules of {version}, as told at {}", own.at);
    if !equal.is_empty() {
        read.push_str(&format!("; the same as those of {}", equal.join(", ")));
    }
    for one in differs.iter().chain(&untold) {
        read.push_str(&format!("; {one}"));
    }
    Ok((read, differs.is_empty()))
}
