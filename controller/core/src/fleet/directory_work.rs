//! Work for a directory's administrator: what a target was stopped by and nobody but they can mend. It is opened and ended by probes
//! alone, so it is computed and stored nowhere, and no word takes their place (product facts 1.6: no credential reaches Entrain).

use std::collections::BTreeMap;

use protocol::event::{Finding, Owner};
use protocol::{DomainName, RolloutId, TargetId};
use serde::{Deserialize, Serialize};

use crate::fleet::state::{Fleet, Rollout, TargetState, Work};

/// What a domain's administrator is asked to do for one target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryWork {
    /// In which domain.
    pub domain: DomainName,
    /// Who answers for it, as the topology said when the rollout was planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What is to be done, a sentence each: the probe, what it read, what passes, and the mend.
    pub does: Vec<String>,
    /// Which parts of `entrain handover` print that; empty where it is none of them.
    pub parts: Vec<u8>,
    /// The rollout only asked: nothing waits in it, and a plan would stop there.
    pub only_asked: bool,
}

impl DirectoryWork {
    /// Who does it.
    #[must_use]
    pub fn who(&self) -> String {
        let owner = self.owner.as_ref();
        let owner = owner.map_or_else(String::new, |owner| format!(" ({owner})"));
        format!("the administrator of {}{owner}", self.domain)
    }

    /// What prints what they run; absent where no part of the handover is about it.
    #[must_use]
    pub fn prints(&self) -> Option<String> {
        let parts: Vec<String> = self.parts.iter().map(ToString::to_string).collect();
        let word = match parts.as_slice() {
            [] => return None,
            [_] => "part",
            _ => "parts",
        };
        let domain = &self.domain;
        Some(format!(
            "entrain handover {domain} TOPOLOGY prints what they run on their own workstation ({word} {}); no credential reaches Entrain",
            parts.join(", ")
        ))
    }

    /// What ends it.
    #[must_use]
    pub fn ends(&self, rollout: RolloutId, target: &TargetId) -> String {
        let anew = if self.only_asked {
            format!("entrain preflight --server {target} TOPOLOGY")
        } else {
            format!(
                "entrain retry {rollout} {target}, or entrain preflight --server {target} TOPOLOGY"
            )
        };
        format!(
            "these probes pass when they are asked anew ({anew}); nobody's word does; where the topology was changed for it, entrain plan and apply ask what it says now"
        )
    }
}

/// The part of the handover that mends what a probe found.
fn part(id: &str) -> Option<u8> {
    match id {
        "PF49" => Some(1),
        "PF50" | "PF51" | "PF52" => Some(2),
        "PF54" | "PV18" => Some(3),
        _ => None,
    }
}

/// The question that a finding answers: a verification asks of the account's rights what a preflight asks.
fn question(finding: &Finding) -> (&str, &str) {
    let id = match finding.id.as_str() {
        "PV18" => "PF54",
        other => other,
    };
    (id, finding.what.as_str())
}

/// The domain that a finding is about: its name stands behind what was looked at, or it is the one in which the server's account lives.
fn domain_of(finding: &Finding, home: Option<&DomainName>) -> Option<DomainName> {
    let named = || {
        let inner = finding.what.strip_suffix(')')?;
        let (_, name) = inner.rsplit_once(" (")?;
        name.contains('.').then(|| name.parse().ok())?
    };
    named().or_else(|| home.cloned())
}

fn sentence(finding: &Finding) -> String {
    let Finding {
        id,
        what,
        read,
        wanted,
        fix,
        ..
    } = finding;
    format!("{id}, {what}: {read} (wanted: {wanted}): {fix}")
}

impl Fleet {
    /// What waits for the administrator of a domain on a target of a rollout, domain by domain: what it has failed by, as far as no later
    /// run on that server has asked the same and no order has ended it.
    pub(super) fn directory_work(
        &self,
        id: RolloutId,
        rollout: &Rollout,
        target: &TargetId,
        work: &Work,
    ) -> Vec<DirectoryWork> {
        let TargetState::Failed { failure, .. } = &work.state else {
            return Vec::new();
        };
        let theirs = |one: &&Finding| one.owner == Owner::Directory && one.blocks();
        let mut found = failure.findings.iter().filter(theirs).peekable();
        if found.peek().is_none() || self.is_past(id, rollout, target) {
            return Vec::new();
        }
        let home = target.home_domain();
        let mut all: BTreeMap<DomainName, DirectoryWork> = BTreeMap::new();
        for finding in found.filter(|one| !self.asked_since((id, work), target, one)) {
            let Some(domain) = domain_of(finding, home.as_ref()) else {
                continue;
            };
            let own = all.entry(domain.clone()).or_insert_with(|| DirectoryWork {
                owner: rollout.plan.owners.get(&domain).cloned(),
                domain,
                does: Vec::new(),
                parts: Vec::new(),
                only_asked: !rollout.plan.kind.changes(),
            });
            own.does.push(sentence(finding));
            if let Some(part) = part(&finding.id)
                && !own.parts.contains(&part)
            {
                own.parts.push(part);
                own.parts.sort_unstable();
            }
        }
        all.into_values().collect()
    }

    /// Another run on that server has answered the same question since: its answer counts, whatever it is.
    fn asked_since(
        &self,
        (id, work): (RolloutId, &Work),
        target: &TargetId,
        finding: &Finding,
    ) -> bool {
        self.rollouts.iter().any(|(other, rollout)| {
            let later = |one: &&Work| (one.found, *other) > (work.found, id);
            let own = rollout.work.get(target).filter(later);
            *other != id
                && own.is_some_and(|one| {
                    one.findings
                        .iter()
                        .any(|one| question(one) == question(finding))
                })
        })
    }
}
