//! What a person reads on the wizard's pages of names that a directory and a tenant have: UPN suffixes and NetBIOS names. It stands in
//! the plan as far as it was read by then, and on the page as it is read when the page is shown.

use std::collections::BTreeSet;

use protocol::task::TaskText;
use protocol::{DomainName, TenantId};

use crate::beyond::{Beyond, SuffixesSeen};
use crate::plan::build::forests::suffix;
use crate::recipe::connect;

/// What was read of some forests, each a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// How each UPN suffix stands in the tenant, and what of them was not read.
    pub(super) suffixes: Vec<String>,
    /// Those that somebody has to mend before the wizard.
    pub(super) mends: Vec<String>,
    /// The NetBIOS name of each forest's root domain.
    netbios: Vec<String>,
    /// How sentences of these begin, whatever was read.
    before: Vec<String>,
}

impl Told {
    pub(crate) fn of(beyond: &Beyond, forests: &[DomainName], tenant: &TenantId) -> Self {
        let seen = beyond.tenants.get(tenant);
        let mut told = Self {
            suffixes: Vec::new(),
            mends: Vec::new(),
            netbios: Vec::new(),
            before: Vec::new(),
        };
        for forest in forests {
            let read = beyond.suffixes.get(forest);
            let mut names: BTreeSet<&str> = BTreeSet::from([forest.as_str()]);
            names.extend(read.iter().flat_map(|read| &read.names).map(String::as_str));
            // What the forest is called goes first.
            let others = names.iter().filter(|name| **name != forest.as_str());
            for name in std::iter::once(&forest.as_str()).chain(others) {
                let (word, mends) = suffix(name, seen, "the wizard");
                if mends {
                    told.mends.push(word.clone());
                }
                told.before
                    .extend([format!("{name} "), format!("whether {name} is ")]);
                told.suffixes.push(word);
            }
            told.suffixes.push(match read {
                None => suffixes_unread(forest),
                Some(SuffixesSeen { more: 0, at, by, .. }) => {
                    format!("these are the UPN suffixes of {forest}, as {by} read them at {at}")
                }
                Some(SuffixesSeen { more, at, by, .. }) => format!(
                    "{more} more UPN suffixes of {forest} are not told, as {by} read them at {at}: look at them with Active Directory Domains and Trusts"
                ),
            });
            told.netbios.push(match beyond.netbios.get(forest) {
                None => netbios_unread(forest),
                Some(seen) => format!(
                    "the NetBIOS name of {forest} is {}, as {} read it at {}",
                    seen.name, seen.by, seen.at
                ),
            });
            told.before.extend([
                format!("these are the UPN suffixes of {forest}, "),
                format!("the other UPN suffixes of {forest} "),
                format!("the NetBIOS name of {forest} "),
            ]);
        }
        told
    }

    /// Puts it onto the pages that ask for it. What stood there as not read, or was read otherwise before, gives way.
    pub(crate) fn put_into(&self, text: &mut TaskText) {
        for page in &mut text.pages {
            let (words, first) = match page.title.as_str() {
                connect::SIGN_IN_CONFIGURATION => (&self.suffixes, true),
                connect::DIRECTORIES | connect::DIRECTORY => (&self.netbios, false),
                _ => continue,
            };
            let gives_way = |line: &String| {
                let begins = |words: &String| line.starts_with(words.as_str());
                self.before.iter().any(begins) && !words.contains(line)
            };
            page.lines.retain(|line| !gives_way(line));
            let new: Vec<String> = words
                .iter()
                .filter(|word| !page.lines.contains(word))
                .cloned()
                .collect();
            // Behind the line that says what the page is about, or before the one that leads on.
            let last = page.lines.len().saturating_sub(1);
            let behind = if first { page.lines.len().min(1) } else { last };
            page.lines.splice(behind..behind, new);
        }
    }
}

fn suffixes_unread(forest: &DomainName) -> String {
    format!(
        "the other UPN suffixes of {forest} are not seen: entrain preflight has its Connect servers read them"
    )
}

fn netbios_unread(forest: &DomainName) -> String {
    format!(
        "the NetBIOS name of {forest} is not read: take the name in full, or look at it with Active Directory Domains and Trusts"
    )
}
