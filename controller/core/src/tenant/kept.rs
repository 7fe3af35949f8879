//! What stays of an earlier reading of a tenant where a newer one did not see it: each part keeps when it was seen and by whom, so that
//! nobody takes it for as young as the reading that carries it along.

use std::collections::{BTreeMap, BTreeSet};

use protocol::Timestamp;
use protocol::probe::tenant as catalogue;
use serde::{Deserialize, Serialize};

use super::{Configuration, Let, Observation, Part, Seen};

/// A part of a reading that does not change by the hour. In the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kept {
    /// Its synchronization as a whole.
    Organization,
    /// Its domains.
    Domains,
    /// The account that is to sign in.
    Operator,
    /// Accounts of Connect servers.
    SyncAccounts,
    /// Which of them are users.
    ConnectAccounts,
    /// Which of them are applications.
    Applications,
    /// Applications with the app role.
    Assigned,
}

impl Kept {
    /// As it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Organization => "organization",
            Self::Domains => "domains",
            Self::Operator => "account that is to sign in",
            Self::SyncAccounts => "holders of the role of Connect servers",
            Self::ConnectAccounts => "accounts of Connect servers",
            Self::Applications => "applications with that role",
            Self::Assigned => "applications that may synchronize it",
        }
    }

    /// The part by which a probe of the tenant is answered; none where that is never taken from an earlier reading.
    #[must_use]
    pub fn of_probe(id: &str) -> Option<Self> {
        let own = |probe: &protocol::probe::Probe| probe.id == id;
        if own(&catalogue::PF61) || own(&catalogue::PF62) {
            Some(Self::Operator)
        } else if own(&catalogue::PF64) || own(&catalogue::PF66) {
            Some(Self::Organization)
        } else if own(&catalogue::PF68) || own(&catalogue::PF69) {
            Some(Self::SyncAccounts)
        } else {
            None
        }
    }
}

impl Let {
    /// The part in which whoever is let in that way was seen.
    #[must_use]
    pub const fn part(self) -> Kept {
        match self {
            Self::Account => Kept::ConnectAccounts,
            Self::ByRole => Kept::Applications,
            Self::ByAppRole => Kept::Assigned,
        }
    }
}

/// When something was read of a tenant, and by whom.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Read {
    /// When, by the clock of whoever read.
    pub at: Timestamp,
    /// Who.
    pub by: String,
}

/// Parts that an earlier reading saw.
pub type Earlier = BTreeMap<Kept, Read>;

impl Observation {
    /// When a part of it was seen.
    #[must_use]
    pub fn seen_at(&self, part: Kept) -> Timestamp {
        self.earlier.get(&part).map_or(self.at, |read| read.at)
    }
}

impl Seen {
    /// When it was read as a whole, and by whom.
    #[must_use]
    pub fn whole(&self) -> Read {
        Read {
            at: self.observation.at,
            by: self.by.clone(),
        }
    }

    /// When a part of it was seen, and by whom.
    #[must_use]
    pub fn read(&self, part: Kept) -> Read {
        let earlier = self.observation.earlier.get(&part);
        earlier.cloned().unwrap_or_else(|| self.whole())
    }

    /// Which of what it shows was seen before it, in a sentence each.
    pub fn kept_in_words(&self) -> impl Iterator<Item = String> {
        let earlier = self.observation.earlier.iter();
        earlier.map(|(part, Read { at, by })| {
            format!(
                "{}: not seen then, and told as {by} read it at {at}",
                part.as_str()
            )
        })
    }

    /// Takes up what a reading before it saw and it did not see itself, as far as that does not change by the hour.
    pub(crate) fn keep(&mut self, before: &Self) {
        fn part<T: Clone>(now: &mut Part<T>, before: &Part<T>) -> bool {
            let keeps = now.seen().is_none() && before.seen().is_some();
            if keeps {
                *now = before.clone();
            }
            keeps
        }
        let (now, old) = (&mut self.observation, &before.observation);
        let keeps = [
            // When the tenant was synchronized last is as old as whoever saw it.
            (
                Kept::Organization,
                part(&mut now.organization, &old.organization),
            ),
            (Kept::Domains, part(&mut now.domains, &old.domains)),
            // Whoever names nobody lifts nothing of what was seen of the account that is to sign in.
            (Kept::Operator, part(&mut now.operator, &old.operator)),
            (
                Kept::SyncAccounts,
                part(&mut now.sync_accounts, &old.sync_accounts),
            ),
            // A server that was named stays named until somebody looks again.
            (
                Kept::ConnectAccounts,
                part(&mut now.connect_accounts, &old.connect_accounts),
            ),
            (
                Kept::Applications,
                part(&mut now.applications, &old.applications),
            ),
            (Kept::Assigned, part(&mut now.assigned, &old.assigned)),
        ];
        for (part, _) in keeps.iter().filter(|(_, keeps)| *keeps) {
            now.earlier.insert(*part, before.read(*part));
        }
    }

    /// Takes up the configurations of which it was shown the jobs, beside those that an earlier reading saw. Two may have one name: where
    /// the jobs of one of them were not seen, all of that name stand as they were.
    pub(crate) fn keep_configured(&self, kept: &mut Vec<(Read, Configuration)>) {
        let Some(all) = self.observation.configurations.seen() else {
            return;
        };
        let name = |one: &Configuration| one.name.to_lowercase();
        let unseen = all.iter().filter(|one| one.jobs.seen().is_none());
        let unseen: BTreeSet<String> = unseen.map(name).collect();
        kept.retain(|(_, before)| unseen.contains(&name(before)));
        let stands: BTreeSet<String> = kept.iter().map(|(_, one)| name(one)).collect();
        let newest = all.iter().filter(|one| !stands.contains(&name(one)));
        kept.extend(newest.map(|one| (self.whole(), one.clone())));
    }
}
