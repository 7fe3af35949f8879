//! Registry options of provisioning agents that nobody wrote down: the vendor wants them equal on every agent, since any of them may be
//! the one that works (product facts 1.7, 1.10 [P]; PV17). What the topology owns is compared with the topology, and not here.

use std::collections::{BTreeMap, BTreeSet};

use protocol::{DomainName, ServiceOptions, TargetId};

/// An agent, as its server reported it.
#[derive(Debug, Clone, Copy)]
pub struct Agent<'a> {
    /// Its server.
    pub target: &'a TargetId,
    /// Domains that it serves.
    pub domains: &'a [DomainName],
    /// What is owned of its options.
    pub owned: &'a ServiceOptions,
    /// What they are.
    pub seen: &'a ServiceOptions,
}

/// A domain whose agents have different options.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unequal {
    /// Which.
    pub domain: DomainName,
    /// Servers by what their agents have, in words.
    pub has: BTreeMap<String, BTreeSet<TargetId>>,
}

impl Unequal {
    /// Those whose options are not what most have, each with its own; all of them where no options are most agents'.
    #[must_use]
    pub fn odd(&self) -> BTreeMap<&TargetId, &str> {
        let most = self.has.values().map(BTreeSet::len).max().unwrap_or(0);
        let alone = self.has.values().filter(|one| one.len() == most).count() == 1;
        let odd = self
            .has
            .iter()
            .filter(|(_, who)| !alone || who.len() < most);
        odd.flat_map(|(words, who)| who.iter().map(move |target| (target, words.as_str())))
            .collect()
    }

    /// Who has what, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let one = |(words, who): (&String, &BTreeSet<TargetId>)| {
            let who: Vec<&str> = who.iter().map(TargetId::as_str).collect();
            format!("{words} on {}", who.join(" and "))
        };
        let all: Vec<String> = self.has.iter().map(one).collect();
        format!(
            "registry options of the agents of {} differ: {}; the vendor wants them equal on every agent: write them as options of its groups, and a plan sets them",
            self.domain,
            all.join("; ")
        )
    }
}

/// Each domain whose agents differ in an option that none of them has from the topology.
#[must_use]
pub fn unequal<'a>(agents: impl IntoIterator<Item = Agent<'a>>) -> Vec<Unequal> {
    let mut by_domain: BTreeMap<&DomainName, Vec<Agent<'a>>> = BTreeMap::new();
    for agent in agents {
        for domain in agent.domains {
            by_domain.entry(domain).or_default().push(agent);
        }
    }
    let differ = |(domain, agents): (&DomainName, Vec<Agent<'a>>)| {
        let timeout = agents
            .iter()
            .all(|one| one.owned.ldap_timeout_millis.is_none());
        let chasing = agents.iter().all(|one| !one.owned.referral_chasing);
        let mut has: BTreeMap<String, BTreeSet<TargetId>> = BTreeMap::new();
        for agent in agents {
            let own = ServiceOptions {
                ldap_timeout_millis: agent.seen.ldap_timeout_millis.filter(|_| timeout),
                referral_chasing: agent.seen.referral_chasing && chasing,
                ..ServiceOptions::default()
            };
            let who = has.entry(own.to_string()).or_default();
            who.insert(agent.target.clone());
        }
        (has.len() > 1).then(|| Unequal {
            domain: domain.clone(),
            has,
        })
    };
    by_domain.into_iter().filter_map(differ).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: Option<u32>) -> ServiceOptions {
        ServiceOptions {
            ldap_timeout_millis: millis,
            ..ServiceOptions::default()
        }
    }

    /// Agents of one domain, each with what is owned and what was seen of its LDAP timeout.
    fn of(all: &[(Option<u32>, Option<u32>)]) -> Vec<Unequal> {
        let domains: [DomainName; 1] = ["a.test".parse().unwrap()];
        let rows: Vec<(TargetId, ServiceOptions, ServiceOptions)> = all
            .iter()
            .enumerate()
            .map(|(at, (owned, seen))| {
                let target = format!("s{at}.a.test").parse().unwrap();
                (target, millis(*owned), millis(*seen))
            })
            .collect();
        let agents = rows.iter().map(|(target, owned, seen)| Agent {
            target,
            domains: &domains,
            owned,
            seen,
        });
        unequal(agents)
    }

    #[test]
    fn agents_of_a_domain_that_nobody_wrote_options_for_are_held_against_each_other() {
        let one = Some(60_000);
        assert!(of(&[(None, one), (None, one)]).is_empty());
        // What the topology owns is its own matter.
        assert!(of(&[(one, one), (None, None)]).is_empty());
        let two = &of(&[(None, one), (None, None)])[0];
        assert_eq!(two.odd().len(), 2, "nobody knows which of two is right");
        let three = &of(&[(None, None), (None, one), (None, None)])[0];
        let odd: Vec<&str> = three.odd().into_keys().map(TargetId::as_str).collect();
        assert_eq!(odd, ["s1.a.test"]);
        let words = "LDAP timeout of 60000 ms on s1.a.test; none on s0.a.test and s2.a.test";
        assert!(three.sentence().contains(words), "{}", three.sentence());
    }
}
