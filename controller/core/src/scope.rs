//! Which part of a domain each of the two tools synchronizes, and whether an object could be in both (guard rail G7, PF67).
//!
//! A scope is a tree's nodes that are taken in or left out; what lies below goes with the nearest one that is named. Names compare
//! without regard to case, part by part: an organizational unit overlaps whatever lies below it. What narrows a scope further (rules,
//! attributes, groups) is not counted: it can only make two scopes look less disjoint than they are.

use std::collections::BTreeSet;
use std::time::Duration;

use protocol::settings::{ConnectSettings, Setting, SettingsPart};
use protocol::{DomainName, TargetId, Timestamp};

use crate::beyond::Beyond;
use crate::facts::Fleetwide;
use crate::tenant::{Observation, Part, Units, Wants, WantsConnect};

/// How old what was read may be: scopes are changed by hand, and seldom more than once a day.
pub const FRESH: Duration = Duration::from_secs(24 * 3600);

/// A distinguished name, from its root down, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dn(Vec<String>);

impl Dn {
    /// Reads a name as LDAP writes it (RFC 4514): parts from the leaf up, special signs escaped. `None` where it is none.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        for part in split(text, ',') {
            let mut pairs = Vec::new();
            // A part may have several pairs, in any order.
            for pair in split(&part, '+') {
                let (kind, value) = pair.split_once('=')?;
                let (kind, value) = (kind.trim().to_lowercase(), plain(value)?.to_lowercase());
                if kind.is_empty() || value.is_empty() {
                    return None;
                }
                pairs.push(format!("{kind}={value}"));
            }
            pairs.sort();
            parts.push(pairs.join("+"));
        }
        parts.reverse();
        Some(Self(parts))
    }

    /// The root of a domain.
    #[must_use]
    pub fn of(domain: &DomainName) -> Self {
        let labels = domain.as_str().split('.').rev();
        Self(labels.map(|label| format!("dc={label}")).collect())
    }

    /// Whether it lies in that domain itself: not in one below it, which is a tree of its own.
    #[must_use]
    pub fn is_in(&self, domain: &DomainName) -> bool {
        let root = Self::of(domain);
        let is_domain = |part: &&String| part.starts_with("dc=");
        self.0.iter().take_while(is_domain).eq(root.0.iter())
    }

    /// Whether it is that one, or lies below it.
    #[must_use]
    pub fn is_below(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl std::fmt::Display for Dn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<&str> = self.0.iter().rev().map(String::as_str).collect();
        f.write_str(&parts.join(","))
    }
}

/// Parts between signs that no backslash takes the meaning from.
fn split(text: &str, at: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for sign in text.chars() {
        if sign == at && !escaped {
            parts.push(String::new());
        } else if let Some(part) = parts.last_mut() {
            part.push(sign);
        }
        escaped = sign == '\\' && !escaped;
    }
    parts
}

/// A value without its escapes, by sign or by the two hexadecimal digits of a byte; `None` where one is cut off.
fn plain(value: &str) -> Option<String> {
    let value = value.trim_start();
    let kept = value.trim_end();
    // A space at the end that is escaped belongs to the value.
    let kept = if kept.ends_with('\\') && kept.len() < value.len() {
        &value[..=kept.len()]
    } else {
        kept
    };
    let mut bytes = Vec::new();
    let mut signs = kept.chars().peekable();
    let mut buffer = [0; 4];
    while let Some(sign) = signs.next() {
        if sign != '\\' {
            bytes.extend_from_slice(sign.encode_utf8(&mut buffer).as_bytes());
            continue;
        }
        let first = signs.next()?;
        let pair = first
            .to_digit(16)
            .zip(signs.peek().and_then(|sign| sign.to_digit(16)));
        if let Some((high, low)) = pair {
            signs.next();
            bytes.push(u8::try_from(high << 4 | low).ok()?);
        } else {
            bytes.extend_from_slice(first.encode_utf8(&mut buffer).as_bytes());
        }
    }
    String::from_utf8(bytes).ok()
}

/// What is taken in and what is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Taken in, with what lies below.
    pub included: BTreeSet<Dn>,
    /// Left out, with what lies below.
    pub excluded: BTreeSet<Dn>,
}

impl Scope {
    /// Whether an object at that place would be in it: the nearest name above that is listed decides. One that is listed as both is
    /// taken in, since that is the one that does harm.
    #[must_use]
    pub fn holds(&self, at: &Dn) -> bool {
        let above = (1..=at.0.len())
            .rev()
            .map(|parts| Dn(at.0[..parts].to_vec()));
        for name in above {
            if self.included.contains(&name) {
                return true;
            }
            if self.excluded.contains(&name) {
                return false;
            }
        }
        false
    }

    /// The highest place at which an object would be in both; `None` where there is none. Of an object in both, the nearest names
    /// that decide lie on its way up; at the lower of the two both scopes hold already. So no other places need be looked at.
    #[must_use]
    pub fn overlap<'a>(&'a self, other: &'a Self) -> Option<&'a Dn> {
        let both = |at: &&Dn| self.holds(at) && other.holds(at);
        let places = self.included.iter().chain(&other.included).filter(both);
        places.min_by_key(|at| (at.0.len(), *at))
    }
}

/// What the two tools' scopes are to each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// No object could be in both.
    Disjoint(String),
    /// Objects could be.
    Overlap(String),
    /// It was not read, or not lately.
    CannotTell(String),
}

/// What a Connect server told of one domain: units by the selection of its connectors. Names of settings are those that the agent
/// gives them (`connector NAME`, `partition NAME of CONNECTOR`, `container DN of PARTITION of CONNECTOR`).
///
/// # Errors
/// Why it cannot be told.
pub fn of_connect(settings: &ConnectSettings, domain: &DomainName) -> Result<Scope, String> {
    let part = SettingsPart::Connectors;
    if let Some(unread) = settings.unread.iter().find(|one| one.part == part) {
        return Err(format!("its connectors could not be read: {}", unread.why));
    }
    let own = || settings.settings.iter().filter(|one| one.part == part);
    // Connectors come first: where something else is carried, all of them are.
    if settings.beyond > 0 && own().count() == settings.settings.len() {
        return Err("it has more units than are carried".to_owned());
    }
    let named =
        |kind: &'static str| own().filter_map(move |one| Some((one.name.strip_prefix(kind)?, one)));
    let connectors: Vec<&str> = named("connector ").map(|(name, _)| name).collect();
    let is_ad = |connector: &str| {
        let mut types = named("connector ").filter(|(name, _)| *name == connector);
        types.any(|(_, one)| one.value.eq_ignore_ascii_case("AD"))
    };
    let of = |text: &str| {
        let ends = |one: &&&str| {
            text.strip_suffix(**one)
                .is_some_and(|rest| rest.ends_with(" of "))
        };
        connectors
            .iter()
            .filter(ends)
            .max_by_key(|one| one.len())
            .copied()
    };
    let mut partitions = Vec::new();
    for (name, one) in named("partition ") {
        if one.value == "selected" {
            let connector = of(name).ok_or("a partition of no connector that was named")?;
            let own = &name[..name.len() - connector.len() - " of ".len()];
            partitions.push((name, own, connector, false));
        }
    }
    let mut scope = Scope::default();
    for (name, Setting { value, .. }) in named("container ") {
        let ends = |(whole, ..): &&mut (&str, &str, &str, bool)| {
            name.strip_suffix(whole)
                .is_some_and(|rest| rest.ends_with(" of "))
        };
        let found = partitions
            .iter_mut()
            .filter(ends)
            .max_by_key(|(whole, ..)| whole.len());
        let (whole, _, _, has) =
            found.ok_or_else(|| format!("whose unit this is cannot be read: {name}"))?;
        *has = true;
        let text = &name[..name.len() - whole.len() - " of ".len()];
        let at = Dn::read(text).ok_or_else(|| format!("this is no name of a unit: {text}"))?;
        if !at.is_in(domain) {
            continue;
        }
        match value.as_str() {
            "included" => scope.included.insert(at),
            "excluded" => scope.excluded.insert(at),
            other => return Err(format!("{at} is neither included nor excluded: {other}")),
        };
    }
    // One that names no unit may be the whole domain: whose it is shows by its name alone.
    let is_other = |name: &str| {
        let domain_of_name = name
            .parse::<DomainName>()
            .ok()
            .filter(|_| name.contains('.'));
        let root = Dn::read(name).or_else(|| Some(Dn::of(&domain_of_name?)));
        root.is_some_and(|root| !root.is_in(domain))
    };
    for (_, name, connector, has) in partitions {
        if !has && is_ad(connector) && !is_other(name) {
            return Err(format!(
                "its partition {name} is selected and names no unit"
            ));
        }
    }
    Ok(scope)
}

/// What the tenant's configurations synchronize of one domain, and in words what that rests on. A domain without a configuration is
/// in nobody's scope yet.
///
/// # Errors
/// Why it cannot be told.
pub fn of_cloud_sync(seen: &Observation, domain: &DomainName) -> Result<(Scope, String), String> {
    let all = match &seen.configurations {
        Part::Seen(all) => all,
        Part::NotSeen(why) => return Err(format!("configurations were not seen: {why}")),
    };
    let mut scope = Scope::default();
    let mut words = Vec::new();
    for one in all {
        match &one.domain {
            Part::Seen(own) if own.eq_ignore_ascii_case(domain.as_str()) => {}
            Part::Seen(_) => continue,
            Part::NotSeen(why) => {
                return Err(format!(
                    "which domain configuration {} is of was not seen: {why}",
                    one.name
                ));
            }
        }
        match &one.units {
            Part::Seen(Units::Nothing) => {
                words.push(format!("configuration {} has no job", one.name))
            }
            Part::Seen(Units::Whole) => drop(scope.included.insert(Dn::of(domain))),
            Part::Seen(Units::Groups) => {
                return Err(format!(
                    "configuration {} is scoped by groups, whose members may lie in any unit",
                    one.name
                ));
            }
            Part::Seen(Units::Named(units)) => {
                for unit in units {
                    let at = Dn::read(unit).ok_or_else(|| {
                        format!(
                            "configuration {} names what is no name of a unit: {unit}",
                            one.name
                        )
                    })?;
                    scope.included.insert(at);
                }
            }
            Part::NotSeen(why) => {
                return Err(format!(
                    "the scope of configuration {} was not seen: {why}",
                    one.name
                ));
            }
        }
    }
    let names: Vec<String> = scope.included.iter().map(ToString::to_string).collect();
    if !names.is_empty() {
        words.push(format!("cloud sync takes {}", names.join("; ")));
    } else if words.is_empty() {
        words.push(format!(
            "no configuration is of {domain} yet, so that its scope is empty"
        ));
    }
    Ok((scope, words.join("; ")))
}

/// How long ago, as people say it.
#[must_use]
pub fn age(at: Timestamp, now: Timestamp) -> String {
    let minutes = now.since(at).as_secs() / 60;
    match minutes {
        0..120 => format!("{minutes} minutes ago"),
        120..2880 => format!("{} hours ago", minutes / 60),
        _ => format!("{} days ago", minutes / 1440),
    }
}

/// What is asked of a domain in both tools.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    /// The domain.
    pub domain: &'a DomainName,
    /// What the plan wants of the tenant.
    pub wants: &'a Wants,
    /// The Connect entry in whose forest it lies.
    pub entry: &'a WantsConnect,
    /// What the tenant showed.
    pub seen: Option<&'a Observation>,
}

impl Question<'_> {
    /// Whether an object of the domain could be in both scopes. `now` is absent where the age of what was read plays no part.
    #[must_use]
    pub fn answer(&self, beyond: &Beyond, known: &Fleetwide, now: Option<Timestamp>) -> Verdict {
        self.look(beyond, known, now)
            .unwrap_or_else(Verdict::CannotTell)
    }

    fn look(
        &self,
        beyond: &Beyond,
        known: &Fleetwide,
        now: Option<Timestamp>,
    ) -> Result<Verdict, String> {
        let name = &self.wants.name;
        let again = format!("entrain tenant read {name} lifts it");
        let old = |at: Timestamp| now.filter(|now| now.since(at) > FRESH);
        let seen = self
            .seen
            .ok_or_else(|| format!("not seen in tenant: nobody has read it; {again}"))?;
        if let Some(now) = old(seen.at) {
            return Err(format!(
                "tenant {name} was read {}, which is too long ago; {again}",
                age(seen.at, now)
            ));
        }
        let (cloud, words) =
            of_cloud_sync(seen, self.domain).map_err(|why| format!("{why}; {again}"))?;
        let words = format!("{words}, as read at {}", seen.at);
        if cloud.included.is_empty() {
            return Ok(Verdict::Disjoint(words));
        }
        let mine: Vec<&TargetId> = self.entry.servers.iter().chain(&self.entry.gone).collect();
        let strange = beyond.strange_connect(&seen.tenant, &self.entry.forests, &mine, known);
        if let Some((stranger, shown)) = strange.first() {
            return Err(format!(
                "what {stranger} synchronizes is not known: it is named by {shown}; enroll it and add it to `servers`, or to `gone`"
            ));
        }
        let mut told = 0;
        for server in &self.entry.servers {
            let Some(scope) = self.of_server(server, beyond, known, now)? else {
                continue;
            };
            told += 1;
            if let Some(at) = cloud.overlap(&scope) {
                return Ok(Verdict::Overlap(format!(
                    "an object below {at} would be in both: {words}, and {server} synchronizes it by Connect"
                )));
            }
        }
        Ok(Verdict::Disjoint(match told {
            0 => format!(
                "{words}, and no server of entry {} has Connect",
                self.entry.name
            ),
            _ => format!("{words}, and Connect takes none of it"),
        }))
    }

    /// What a server of the entry synchronizes; `None` where it has no Connect.
    fn of_server(
        &self,
        server: &TargetId,
        beyond: &Beyond,
        known: &Fleetwide,
        now: Option<Timestamp>,
    ) -> Result<Option<Scope>, String> {
        let facts = known.get(server).and_then(|known| known.facts.as_ref());
        let Some((_, facts)) = facts else {
            return Err(format!(
                "whether {server} has Connect is not known: it has never reported its facts; enrolling it lifts it"
            ));
        };
        if let Some(why) = facts.unread.first() {
            return Err(format!("what {server} has cannot be told: {why}"));
        }
        if facts.connect.is_none() {
            return Ok(None);
        }
        let again = "a verification reads it (entrain plan --verify, applied)";
        let Some(told) = beyond.settings.get(server) else {
            return Err(format!("{server} never told what it synchronizes; {again}"));
        };
        if let Some(now) = now.filter(|now| now.since(told.at) > FRESH) {
            return Err(format!(
                "what {server} synchronizes was read {}, which is too long ago; {again}",
                age(told.at, now)
            ));
        }
        let scope = of_connect(&told.settings, self.domain);
        scope
            .map(Some)
            .map_err(|why| format!("{server}: {why}; {again}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dn(text: &str) -> Dn {
        Dn::read(text).unwrap()
    }

    #[test]
    fn names_compare_part_by_part_and_without_regard_to_case() {
        let people = dn("OU=People,DC=corp,DC=contoso,DC=com");
        assert_eq!(people, dn("ou = people , dc=CORP,dc=contoso,DC=com"));
        assert!(dn("CN=a,OU=PEOPLE,DC=corp,DC=contoso,DC=com").is_below(&people));
        // The same letters at the end are no ancestor.
        assert!(!dn("OU=XPeople,DC=corp,DC=contoso,DC=com").is_below(&people));
        assert!(!people.is_below(&dn("OU=a,OU=People,DC=corp,DC=contoso,DC=com")));
        assert_eq!(dn(r"OU=a\,b,DC=x"), dn(r"OU=a\2Cb,DC=x"));
        assert_ne!(dn(r"OU=a\,b,DC=x"), dn("OU=a,OU=b,DC=x"));
        assert_eq!(dn(r"OU=\C3\84,DC=x"), dn("OU=ä,DC=x"));
        assert_ne!(dn(r"OU=a\ ,DC=x"), dn("OU=a ,DC=x"));
        assert_eq!(dn("CN=a+UID=1,DC=x"), dn("uid=1+cn=A,DC=x"));
        for none in ["", "people", "OU=,DC=x", "OU=a,,DC=x", r"OU=a\", "=a"] {
            assert_eq!(Dn::read(none), None, "{none}");
        }
    }

    #[test]
    fn a_child_domain_is_a_tree_of_its_own() {
        let corp: DomainName = "corp.contoso.com".parse().unwrap();
        let root: DomainName = "contoso.com".parse().unwrap();
        let people = dn("OU=People,DC=corp,DC=contoso,DC=com");
        assert!(people.is_in(&corp) && !people.is_in(&root));
        assert!(Dn::of(&corp).is_in(&corp) && !Dn::of(&root).is_in(&corp));
    }
}
