//! The domains of an agent, as the product's module lists them behind a registration (PV10).

use protocol::event::Finding;
use protocol::id::TargetId;
use protocol::step::ServedDomain;

use super::verify::short;
use crate::catalogue;
use crate::procedure::Reading;
use crate::withhold;

/// What the module lists of domains.
struct List {
    /// As the module shows it, in small letters.
    text: String,
    /// The domain of each row, where every row names one as that; else which of the words are domains cannot be told.
    domains: Option<Vec<String>>,
    /// Names that stood in the list before they were added, as a forest's or a suffix may, and of which nothing said that they were
    /// there as domains.
    mentioned: Vec<String>,
}

impl List {
    fn read(lines: &[serde_json::Value]) -> Reading<Self> {
        let line = lines
            .iter()
            .find(|line| line["step"] == "Get-AADCloudSyncDomains");
        let text = line.and_then(|line| line["text"].as_str());
        let (line, text) = match (line, text) {
            (Some(line), Some(text)) if line["ok"] == true => (line, text.to_lowercase()),
            (Some(_), Some(why)) => {
                return Err(format!("the module could not list them: {}", short(why)));
            }
            (Some(_) | None, _) => return Err("the module did not list them".to_owned()),
        };
        let lower = |name: &serde_json::Value| Some(name.as_str()?.to_lowercase());
        let domains = line["names"].as_array();
        let domains = domains.and_then(|all| all.iter().map(lower).collect());
        let mentioned = lines.iter().filter(|line| {
            line["step"] == "Add-AADCloudSyncADDomain"
                && line["mentioned"] == true
                && line["there"] != true
        });
        Ok(Self {
            text,
            domains,
            mentioned: mentioned
                .filter_map(|line| lower(&line["domain"]))
                .collect(),
        })
    }

    /// Whether a domain is listed; `None` where its name stands there and stood there before.
    fn has(&self, name: &str) -> Option<bool> {
        if let Some(domains) = &self.domains {
            return Some(domains.iter().any(|one| one == name));
        }
        let stands = words(&self.text).contains(&name);
        let before = self.mentioned.iter().any(|one| one == name);
        (!(stands && before)).then_some(stands)
    }
}

/// PV10: what the module listed after the domains were added. Its output's form is unverified (1.4), so a name that does
/// not stand in it warns, and stops nothing. One that stood in it before it was added, and of which no row says that it is a
/// domain's, is no proof of anything: it may be the forest of another one.
pub(super) fn listed(domains: &[ServedDomain], lines: &[serde_json::Value]) -> Finding {
    let names = |of: Option<bool>, list: &List| -> Vec<&str> {
        let names = domains.iter().map(|domain| domain.name.as_str());
        names.filter(|name| list.has(name) == of).collect()
    };
    let lacks = |list: &List| {
        let words = words(&list.text);
        let missing = names(Some(false), list);
        let mut lacks = Vec::new();
        if !missing.is_empty() {
            lacks.push(format!("not listed: {}", missing.join(", ")));
        }
        for domain in domains {
            lacks.extend(controllers_lacking(domain, &words));
        }
        lacks
    };
    let refused = refused(lines);
    let list = List::read(lines).and_then(|list| {
        let untold = names(None, &list);
        if !untold.is_empty() && lacks(&list).is_empty() {
            let mut told = vec![format!(
                "in the list before it was added already, and whether as a domain of its own cannot be told: {}",
                untold.join(", ")
            )];
            told.extend(refused.iter().cloned());
            return Err(told.join("; "));
        }
        Ok(list)
    });
    let show = |list: &List| match lacks(list).as_slice() {
        [] => "every planned domain".to_owned(),
        lacks => [lacks, refused.as_slice()].concat().join("; "),
    };
    catalogue::PV10.judge(list, show, |list| lacks(list).is_empty())
}

/// What the module said where it refused a domain whose name stood in its list before.
pub(super) fn refused(lines: &[serde_json::Value]) -> Vec<String> {
    let refused = lines.iter().filter_map(|line| {
        let (domain, why) = (line["domain"].as_str()?, line["refused"].as_str()?);
        let why = short(&withhold::names(why));
        Some(format!("adding {domain} was refused: {why}"))
    });
    refused.collect()
}

/// The names that stand in what the module told, in their order.
pub(super) fn words(text: &str) -> Vec<&str> {
    let parts =
        text.split(|sign: char| !(sign.is_alphanumeric() || matches!(sign, '.' | '-' | '_')));
    parts.filter(|part| !part.is_empty()).collect()
}

/// Preferred controllers of a domain that the module does not list, or lists in another order.
fn controllers_lacking(domain: &ServedDomain, words: &[&str]) -> Option<String> {
    let place = |controller: &TargetId| words.iter().position(|word| *word == controller.as_str());
    let places: Vec<(&TargetId, Option<usize>)> = domain
        .preferred_dcs
        .iter()
        .map(|controller| (controller, place(controller)))
        .collect();
    let missing = places.iter().filter(|(_, place)| place.is_none());
    let missing: Vec<&str> = missing.map(|(one, _)| one.as_str()).collect();
    if !missing.is_empty() {
        return Some(format!(
            "the preferred controllers of {} are not listed: {}",
            domain.name,
            missing.join(", ")
        ));
    }
    let ascends = places.iter().map(|(_, place)| place).is_sorted();
    (!ascends).then(|| {
        format!(
            "the preferred controllers of {} are listed in another order",
            domain.name
        )
    })
}
