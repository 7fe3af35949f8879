//! Which domains lie in which forest, as servers have read it. A root of another tree of a forest has a name of its own, which tells
//! nothing of that: a topology says it, or a reading does. Asked here alone, by plans, by what an action asks, and by what is handed over.

use std::collections::BTreeMap;

use protocol::DomainName;

use crate::beyond::SuffixesSeen;
use crate::topology::ConnectEntry;

/// Names of forests, as servers read them last, by the domain that was asked.
pub type Forests = BTreeMap<DomainName, SuffixesSeen>;

/// Nobody has read any.
pub const UNREAD: &Forests = &BTreeMap::new();

/// Whether a domain lies in a forest, by its name or as a server has read the names of either; `None` where nobody has. Names that somebody
/// added for users stand among those of the domains: one of them may be a domain elsewhere. So the name of the other in a reading is no
/// proof, and that it is not in a complete one is.
#[must_use]
pub fn is_of(read: &Forests, domain: &DomainName, forest: &DomainName) -> Option<bool> {
    if domain.is_within(forest) {
        return Some(true);
    }
    let names = |of: &DomainName, other: &DomainName| {
        let read = read.get(of)?;
        let there = read
            .names
            .iter()
            .any(|name| name.eq_ignore_ascii_case(other.as_str()));
        (there || read.more == 0).then_some(there)
    };
    let (one, other) = (names(forest, domain), names(domain, forest));
    match (one, other) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), _) | (_, Some(true)) => Some(true),
        (None, None) => None,
    }
}

impl ConnectEntry {
    /// The forest of the entry in which a domain lies: as it is written, else as a server has read it.
    #[must_use]
    pub fn takes<'a>(&'a self, read: &Forests, domain: &DomainName) -> Option<&'a DomainName> {
        let mut forests = self.forests.iter().map(|(forest, _)| forest);
        self.forest_of(domain)
            .or_else(|| forests.find(|forest| is_of(read, domain, forest) == Some(true)))
    }

    /// Forests of which it takes everything, where nobody has read whether a domain is another tree of one.
    #[must_use]
    pub fn may_take<'a>(&'a self, read: &Forests, domain: &DomainName) -> Vec<&'a DomainName> {
        if self.forest_of(domain).is_some() {
            return Vec::new();
        }
        let forests = self.taken_whole();
        let untold = forests.filter(|forest| is_of(read, domain, forest).is_none());
        untold.collect()
    }
}
