//! What was seen beyond the servers' own facts: in tenants, by whoever read them; in directories, by agents that asked; of what Connect
//! servers synchronize, by themselves; which tenants rollouts have moved from Connect to cloud sync, and what steps gave agents of
//! their domains.

mod unlooked;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::event::DiscoveredServer;
use protocol::facts::ProvisioningAgentFacts;
use protocol::step::{Permission, Product};
use protocol::{DomainName, RolloutId, TargetId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::answered::Answered;
use crate::exported::Exports;
use crate::facts::Fleetwide;
use crate::forest::Forests;
use crate::readiness::COUNTS;
use crate::settings::Settings;
use crate::tenant::access::AGENTS;
use crate::tenant::{
    AgentSeen, Configuration, Identity, Kept, Let, Observation, Part, Read, Seen, Tenants,
};

pub use unlooked::unlooked;

/// What a domain's directory showed when it was last asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectorySeen {
    /// When it was told.
    pub at: Timestamp,
    /// Which server asked.
    pub by: TargetId,
    /// Servers that it names.
    pub servers: Vec<DiscoveredServer>,
    /// What could not be read, each a sentence.
    pub unread: Vec<String>,
    /// Servers that earlier readings named and this one did not, while not everything could be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<NamedEarlier>,
}

/// A server that a directory named, and that no reading since was able to deny.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedEarlier {
    /// The server.
    pub server: DiscoveredServer,
    /// When it was named last.
    pub at: Timestamp,
    /// Which server asked.
    pub by: TargetId,
}

/// What a person who signed in was shown of a domain's servers, and somebody has handed in: no agent has probed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryHandedIn {
    /// When it was read.
    pub at: Timestamp,
    /// As whom.
    pub asked_as: String,
    /// Who handed it in.
    pub by: String,
    /// Servers that the directory names.
    pub servers: Vec<DiscoveredServer>,
    /// What could not be read, each a sentence.
    pub unread: Vec<String>,
}

impl DirectorySeen {
    /// Takes up another reading of the same domain. Where it could not see everything, who was named before stays named: nobody
    /// has seen that he is named no more.
    pub(crate) fn then(&self, mut now: Self) -> Self {
        if !now.unread.is_empty() {
            let before = self.servers.iter().map(|server| NamedEarlier {
                server: server.clone(),
                at: self.at,
                by: self.by.clone(),
            });
            let before = before.chain(self.earlier.iter().cloned());
            now.earlier = before
                .filter(|one| !now.servers.contains(&one.server))
                .collect();
        }
        now
    }

    /// Every server that it names, and each that is named still but for those that somebody was shown (`read`) and attests: with where that
    /// stands in `domain`, and who read it when.
    fn all<'a>(
        &'a self,
        domain: &'a DomainName,
        read: Option<&'a DirectoryHandedIn>,
    ) -> impl Iterator<Item = (&'a DiscoveredServer, String)> {
        let words = move |source: &str, by: &TargetId, at: Timestamp| {
            format!("{source} in {domain}, as {by} read it at {at}")
        };
        let now = self.servers.iter();
        let now = now.map(move |server| (server, words(&server.source, &self.by, self.at)));
        let earlier = self.earlier.iter();
        let alone =
            move |one: &&NamedEarlier| read.is_none_or(|read| !read.servers.contains(&one.server));
        let earlier = earlier.filter(alone).map(move |one| {
            let read = words(&one.server.source, &one.by, one.at);
            let shown = format!("{read}; not everything could be read since");
            (&one.server, shown)
        });
        now.chain(earlier)
    }
}

impl DirectoryHandedIn {
    /// Who says so, as whom it was read and when.
    #[must_use]
    pub fn attests(&self) -> String {
        let Self {
            by, asked_as, at, ..
        } = self;
        format!("attested by {by}, read as {asked_as} at {at}, probed by no agent")
    }
}

/// UPN suffixes of a forest, as a server read them last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuffixesSeen {
    /// When it was told.
    pub at: Timestamp,
    /// Which server asked.
    pub by: TargetId,
    /// The suffixes, the forest's domains among them.
    pub names: Vec<String>,
    /// How many more there are.
    pub more: u32,
}

/// NetBIOS name of a domain, as a server read it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetbiosSeen {
    /// When it was told.
    pub at: Timestamp,
    /// Which server asked.
    pub by: TargetId,
    /// The name.
    pub name: String,
}

/// A KDS root key of a domain's forest, as a server read it last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySeen {
    /// When it was told.
    pub at: Timestamp,
    /// Which server asked.
    pub by: TargetId,
    /// From when on it may be used: ten hours after its start (product facts 1.6 [S]).
    pub usable_from: Timestamp,
}

/// What a provisioning agent was given for a domain by the cmdlets of a step that came to its end. Nothing reads it back: what an
/// administrator changed since does not show.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// Domain controllers to prefer. They are told when a domain is added: `None` where it may have been on the agent before, so that nobody
    /// knows with which it was.
    pub preferred_dcs: Option<Vec<TargetId>>,
    /// Sets of rights.
    pub permissions: BTreeSet<Permission>,
    /// The account that was given them, without its domain, as its service shows it; `None` before the server has told that of one that the
    /// topology does not name.
    #[serde(default)]
    pub account: Option<String>,
}

impl Given {
    /// Whether the rights are another account's than that one, as far as both are known.
    #[must_use]
    pub fn is_of_another(&self, account: Option<&str>) -> bool {
        let own = self.account.as_deref().zip(account);
        own.is_some_and(|(own, account)| !own.eq_ignore_ascii_case(account))
    }

    /// Whether the rights are that account's: both are known, and they are the same.
    #[must_use]
    pub fn is_surely_of(&self, account: Option<&str>) -> bool {
        self.account.is_some() && account.is_some() && !self.is_of_another(account)
    }
}

/// The account of an agent's service without its domain; `None` where it is not told.
#[must_use]
pub(crate) fn account_of(agent: &ProvisioningAgentFacts) -> Option<&str> {
    agent.account.as_deref()?.rsplit('\\').next()
}

/// Of one server, by domain.
pub type GivenOf = BTreeMap<DomainName, Given>;

/// Directories as they were last asked, by domain.
pub type Directories = BTreeMap<DomainName, DirectorySeen>;

/// Everything of that kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Beyond {
    /// Tenants.
    pub tenants: Tenants,
    /// Configurations of each tenant, as the newest reading that was shown their jobs saw each: whose account may read less switches none off.
    pub configured: BTreeMap<TenantId, Vec<(Read, Configuration)>>,
    /// Agents of each tenant, as the newest reading that was shown their list saw them. Discovery alone goes by it: whoever was named stays named
    /// until somebody looks again, while nobody is held or let go by a list that may be old.
    pub agents: BTreeMap<TenantId, (Read, Vec<AgentSeen>)>,
    /// Directories.
    pub directories: Directories,
    /// What people who signed in were shown of the same, by domain.
    pub handed_in: BTreeMap<DomainName, DirectoryHandedIn>,
    /// UPN suffixes of forests, by the domain that was asked.
    pub suffixes: Forests,
    /// NetBIOS names of domains.
    pub netbios: BTreeMap<DomainName, NetbiosSeen>,
    /// KDS root keys, by the domain that was asked.
    pub keys: BTreeMap<DomainName, KeySeen>,
    /// What Connect servers told of what they synchronize.
    pub settings: Settings,
    /// What they told of what their wizards have exported.
    pub exports: Exports,
    /// Tenants that were moved from Connect to cloud sync.
    pub moved: BTreeMap<TenantId, Moved>,
    /// What provisioning agents were given for the domains that they serve.
    pub given: BTreeMap<TargetId, GivenOf>,
    /// Connect servers that told as what they sign in to their tenant (PV26): true for an application of their own.
    pub applications: BTreeMap<TargetId, bool>,
    /// Servers that somebody has said to be off, and that were not seen since: what they told last is no more so.
    pub said_off: BTreeSet<TargetId>,
}

/// How long Connect is kept after a move to cloud sync (product facts 3, the migration tool [P]).
pub const KEPT: Duration = Duration::from_secs(14 * 24 * 3600);

/// A tenant was moved from Connect to cloud sync: that none of its Connect servers is active is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// By which rollout.
    pub rollout: RolloutId,
    /// The server that was the active one.
    pub target: TargetId,
    /// When its part of that was told to be done.
    pub at: Timestamp,
}

impl Moved {
    /// What became of Connect, until when, and what then takes it off; the tenant is named as its reader knows it.
    #[must_use]
    pub fn sentence(&self, tenant: &str) -> String {
        let Self {
            rollout,
            target,
            at,
        } = self;
        format!(
            "tenant {tenant} was moved from Connect to cloud sync by rollout {rollout} at {at}: Connect is kept in staging mode on {target} for two weeks, until {}, should the tenant have to go back; then leave `servers` empty and write its servers under `retired`, and entrain plan takes Connect off them",
            at.plus(KEPT)
        )
    }
}

/// How a server that something names stands here. In the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Standing {
    /// Nobody here knows it.
    #[serde(rename = "unknown")]
    Unknown,
    /// The topology names it, and it was never enrolled.
    #[serde(rename = "not enrolled")]
    NotEnrolled,
    /// It is enrolled and has no session.
    #[serde(rename = "silent")]
    Silent,
    /// It is enrolled and has a session.
    #[serde(rename = "known")]
    Known,
}

impl Standing {
    /// As it is shown.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotEnrolled => "not enrolled",
            Self::Silent => "silent",
            Self::Known => "known",
        }
    }
}

/// A server that something names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// Its name, as whoever names it has it.
    pub name: String,
    /// How it stands here.
    pub state: Standing,
    /// What names it, a sentence each.
    pub named_by: Vec<String>,
}

/// Adds the servers that a topology names, each with its group or entry. What is written and was never enrolled is known by
/// name alone.
pub fn add_written<'a>(
    servers: &mut Vec<Named>,
    written: impl IntoIterator<Item = (&'a TargetId, &'a str)>,
) {
    for (target, lane) in written {
        let own = servers.iter_mut().find(|row| row.name == target.as_str());
        match own {
            Some(row) if row.state == Standing::Unknown => row.state = Standing::NotEnrolled,
            Some(_) => {}
            None => servers.push(Named {
                name: target.to_string(),
                state: Standing::NotEnrolled,
                named_by: vec![format!("the topology: {lane}")],
            }),
        }
    }
    servers.sort_by_key(|row| row.state);
}

/// Whether a name of a directory or a tenant is that server: the whole name, or its first label where there is no more. A
/// NetBIOS name has the first 15 signs of it ([K]).
#[must_use]
pub fn is(name: &str, target: &TargetId) -> bool {
    let whole = target.as_str();
    if name.contains('.') {
        return whole.eq_ignore_ascii_case(name);
    }
    let first = whole.split('.').next().unwrap_or_default();
    let netbios = first.get(..15).unwrap_or(first);
    [first, netbios]
        .iter()
        .any(|own| own.eq_ignore_ascii_case(name))
}

impl Beyond {
    /// Nobody has looked.
    pub const NOTHING: &'static Self = &Self {
        tenants: BTreeMap::new(),
        configured: BTreeMap::new(),
        agents: BTreeMap::new(),
        directories: BTreeMap::new(),
        handed_in: BTreeMap::new(),
        suffixes: BTreeMap::new(),
        netbios: BTreeMap::new(),
        keys: BTreeMap::new(),
        settings: BTreeMap::new(),
        exports: BTreeMap::new(),
        moved: BTreeMap::new(),
        given: BTreeMap::new(),
        applications: BTreeMap::new(),
        said_off: BTreeSet::new(),
    };

    /// Takes up what was seen in a tenant. What was seen later stands; and what a narrower look did not see, and does not change
    /// by the hour, stays as it was seen before.
    pub(crate) fn saw(&mut self, mut seen: Seen) {
        seen.observation.earlier.clear();
        if let Some(before) = self.tenants.get(&seen.observation.tenant) {
            if before.observation.at > seen.observation.at {
                return;
            }
            seen.keep(before);
        }
        let configured = self.configured.entry(seen.observation.tenant.clone());
        seen.keep_configured(configured.or_default());
        if let Some(agents) = seen.observation.agents.seen() {
            let read = (seen.whole(), agents.clone());
            self.agents.insert(seen.observation.tenant.clone(), read);
        }
        self.tenants.insert(seen.observation.tenant.clone(), seen);
    }

    /// Takes up which servers somebody was shown. What was read later stands, however old it is: a server that was named stays named until somebody
    /// looks again, and whose account may read less takes none away.
    pub(crate) fn handed_in(&mut self, answered: &Answered) {
        let Answered { answers, by } = answered;
        let Some(shown) = &answers.servers else {
            return;
        };
        let before = self.handed_in.get(&answers.domain);
        if before.is_some_and(|before| before.at > answers.at) {
            return;
        }
        let mut servers = shown.named.clone();
        if !shown.unread.is_empty() {
            let before = before.into_iter().flat_map(|before| &before.servers);
            let kept: Vec<_> = before
                .filter(|one| !servers.contains(one))
                .cloned()
                .collect();
            servers.extend(kept);
        }
        let read = DirectoryHandedIn {
            at: answers.at,
            asked_as: answers.asked_as.clone(),
            by: by.clone(),
            servers,
            unread: shown.unread.clone(),
        };
        self.handed_in.insert(answers.domain.clone(), read);
    }

    /// Servers that people were shown and no agent: each with its domain, and what shows it to whom.
    fn only_handed_in(&self) -> impl Iterator<Item = (&DomainName, &DiscoveredServer, String)> {
        self.handed_in.iter().flat_map(|(domain, read)| {
            let probed = self.directories.get(domain);
            let new = move |server: &&DiscoveredServer| {
                probed.is_none_or(|seen| !seen.servers.contains(server))
            };
            let shown = move |server: &DiscoveredServer| {
                format!("{} in {domain}, {}", server.source, read.attests())
            };
            let all = read.servers.iter().filter(new);
            all.map(move |server| (domain, server, shown(server)))
        })
    }

    /// What of directories could not be read, a sentence each. Where somebody who signed in was shown it within a day, that stands beside it.
    #[must_use]
    pub fn unread_directories(&self, now: Timestamp) -> Vec<String> {
        let mut words = Vec::new();
        for (domain, seen) in &self.directories {
            let read = self.handed_in.get(domain);
            let read = read.filter(|read| now.since(read.at) <= COUNTS);
            for why in &seen.unread {
                let answered = read.filter(|read| !read.unread.contains(why));
                let beside = answered.map_or_else(String::new, |read| {
                    format!("; answered beside it: {}", read.attests())
                });
                words.push(format!("{domain}: {why}{beside}"));
            }
        }
        for (domain, read) in &self.handed_in {
            let own = |why| format!("{domain}, as {} was shown it: {why}", read.asked_as);
            words.extend(read.unread.iter().map(own));
        }
        words
    }

    /// Every server that an enrollment, a directory or a tenant names: those that nobody knows here first, then by name.
    #[must_use]
    pub fn named(
        &self,
        enrolled: &[&TargetId],
        connected: impl Fn(&TargetId) -> bool,
    ) -> Vec<Named> {
        let mut named: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for target in enrolled {
            named.entry(target.to_string()).or_default();
        }
        // One server may be named in full here and shortly there.
        let mut name = |name: &str, how: String| {
            let own = enrolled.iter().find(|target| is(name, target));
            let name = own.map_or_else(|| name.to_lowercase(), ToString::to_string);
            named.entry(name).or_default().push(how);
        };
        for (domain, seen) in &self.directories {
            for (server, shown) in seen.all(domain, self.handed_in.get(domain)) {
                name(
                    &server.name,
                    format!("{}: {shown}", server.product.as_str()),
                );
            }
        }
        for (_, server, shown) in self.only_handed_in() {
            let product = server.product.as_str();
            name(&server.name, format!("{product}: {shown}"));
        }
        for (tenant, (Read { at, by }, agents)) in &self.agents {
            let now = self.tenants.get(tenant);
            let now = now.and_then(|seen| seen.observation.agents.seen());
            let since = if now.is_some() {
                String::new()
            } else {
                format!(", as {by} read it at {at}; their list was not seen since")
            };
            for agent in agents {
                let status = &agent.status;
                let how = format!("provisioning agent: {status} in tenant {tenant}{since}");
                name(&agent.machine, how);
            }
        }
        for (tenant, seen) in &self.tenants {
            for (server, identity) in naming(seen) {
                let shown = identity.shown();
                name(server, format!("Connect Sync: {shown} in tenant {tenant}"));
            }
        }
        let row = |(name, named_by): (String, Vec<String>)| {
            let target = enrolled.iter().find(|target| target.as_str() == name);
            let state = match target {
                None => Standing::Unknown,
                Some(target) if connected(target) => Standing::Known,
                Some(_) => Standing::Silent,
            };
            Named {
                name,
                state,
                named_by,
            }
        };
        let mut servers: Vec<Named> = named.into_iter().map(row).collect();
        servers.sort_by_key(|row| row.state);
        servers
    }

    /// Servers that the directories of these forests, or accounts and applications of that tenant, name as Connect servers and that are
    /// none of those, and what applications that name none show beside them: each with what shows it and when. Whether one of them is active cannot be told
    /// (guard rail G1).
    #[must_use]
    pub fn strange_connect(
        &self,
        tenant: &TenantId,
        forests: &[DomainName],
        servers: &[&TargetId],
        reported: &Fleetwide,
    ) -> Vec<(String, String)> {
        let known = |name: &str| servers.iter().any(|server| is(name, server));
        let within = |domain: &DomainName| forests.iter().any(|forest| domain.is_within(forest));
        let seen = self.directories.iter().filter(|(domain, _)| within(domain));
        let named = seen.flat_map(|(domain, seen)| {
            let all = seen.all(domain, self.handed_in.get(domain));
            let connect = all.filter(|(server, _)| server.product == Product::Connect);
            connect.map(|(server, shown)| (server.name.as_str(), shown))
        });
        let attested = self
            .only_handed_in()
            .filter(|(domain, server, _)| within(domain) && server.product == Product::Connect);
        let attested = attested.map(|(_, server, shown)| (server.name.as_str(), shown));
        let read = self.tenants.get(tenant);
        let accounts = read.into_iter().flat_map(|seen| {
            naming(seen).map(|(server, identity)| {
                let Read { at, by } = seen.read(identity.by.part());
                let shown = format!(
                    "the {} of its tenant, as {by} read it at {at}",
                    identity.shown()
                );
                (server, shown)
            })
        });
        let all = named
            .chain(attested)
            .chain(accounts)
            .filter(|(name, _)| !known(name));
        let all = all.map(|(name, shown)| (name.to_owned(), shown));
        let one = read.and_then(|seen| self.strange_application(seen, servers, reported));
        all.chain(one).collect()
    }

    /// A server signs in to its tenant as a user or an application that has its name, or as an application that somebody brought and that
    /// names nobody (product facts 2.9 [P], 2.10 [P]): where there are more of those than servers here that sign in so, one of them may be
    /// of a server that nobody knows.
    fn strange_application(
        &self,
        seen: &Seen,
        servers: &[&TargetId],
        reported: &Fleetwide,
    ) -> Option<(String, String)> {
        const SHOWN: usize = 5;
        let observation = &seen.observation;
        let nameless = observation.identities();
        let nameless = nameless.filter(|one| one.by != Let::Account && one.server.is_none());
        let nameless: Vec<Identity<'_>> = nameless.collect();
        let names: Vec<&str> = nameless.iter().map(|one| one.name).collect();
        // Who holds the role and is no user may be a group; without their names that is not told.
        let unread = match observation.applications.seen() {
            Some(_) => 0,
            None => unread_holders(observation),
        };
        let count = names.len() + unread;
        // What it told once says nothing any more where it reports no Connect. One that an application names has that one.
        let by_application = |server: &&&TargetId| {
            let known = reported.get(**server);
            let facts = known.and_then(|known| known.facts.as_ref());
            let has_connect = facts.is_none_or(|(_, facts)| facts.connect.is_some());
            let mut own = naming(seen).filter(|(name, _)| is(name, server));
            let told = self.applications.get(**server).copied();
            has_connect
                && match told {
                    Some(application) => application && own.all(|(_, one)| one.by == Let::Account),
                    None => own.next().is_none(),
                }
        };
        let own = servers.iter().filter(by_application).count();
        (count > own).then(|| {
            // Where readings of several people show it together, it is as old as the oldest of them.
            let holders = (unread > 0).then_some(Kept::SyncAccounts);
            let parts = nameless.iter().map(|one| one.by.part()).chain(holders);
            let oldest = parts.map(|part| seen.read(part)).min();
            let Read { at, by } = oldest.unwrap_or_else(|| seen.read(Kept::Applications));
            let more = if names.len() > SHOWN { ", and more" } else { "" };
            let shown = names[..names.len().min(SHOWN)].join(", ");
            let name = match (names.len(), unread) {
                (some, 0) => format!(
                    "a server that signs in as one of {some} applications that name none ({shown}{more})"
                ),
                (0, some) => format!(
                    "a server that signs in as one of {some} holders of the role of Connect servers that are no users"
                ),
                (some, more_of) => format!(
                    "a server that signs in as one of {some} applications that name none ({shown}{more}), or of {more_of} holders of the role of Connect servers that are no users"
                ),
            };
            let shown = format!(
                "what may synchronize its tenant, as {by} read it at {at}, while {own} of the servers here sign in so (entrain plan --verify has them tell it, PV26); where it was left by a server that is gone, have it deleted in the tenant, then entrain tenant read"
            );
            (name, shown)
        })
    }

    /// Tenants that did not show their provisioning agents when they were read last; a sentence each.
    #[must_use]
    pub fn unseen_agents(&self) -> Vec<String> {
        let unseen = |(tenant, seen): (&TenantId, &Seen)| {
            let Part::NotSeen(why) = &seen.observation.agents else {
                return None;
            };
            let need = AGENTS.permission;
            let kept = self.agents.get(tenant);
            let kept = kept.map_or_else(String::new, |(Read { at, by }, _)| {
                format!("; whom {by} was shown at {at} stays named")
            });
            Some(format!(
                "tenant {tenant}: provisioning agents: {why} ({need} shows them){kept}"
            ))
        };
        self.tenants.iter().filter_map(unseen).collect()
    }

    /// What of the accounts and applications of Connect servers names no server, or was not seen, by tenant; a sentence each.
    #[must_use]
    pub fn unnamed_accounts(&self) -> Vec<String> {
        let mut words = Vec::new();
        for (tenant, Seen { observation, .. }) in &self.tenants {
            if let Part::NotSeen(why) = &observation.connect_accounts {
                words.push(format!(
                    "tenant {tenant}: accounts of Connect servers: {why}"
                ));
            }
            let nobody = observation.identities().filter(|one| one.server.is_none());
            words.extend(nobody.map(|one| {
                let (shown, holds) = (one.shown(), one.holds());
                format!("tenant {tenant}: the {shown} {holds} and names none")
            }));
            let others = unread_holders(observation);
            if others > 0 {
                words.push(format!(
                    "tenant {tenant}: {others} holders of the role of Connect servers are neither users nor applications whose names were read"
                ));
            }
            if let Part::NotSeen(why) = &observation.assigned {
                words.push(format!(
                    "tenant {tenant}: applications that may synchronize it: {why}"
                ));
            }
        }
        words
    }
}

/// How many hold the role of Connect servers and are neither users nor applications whose names were read.
fn unread_holders(observation: &Observation) -> usize {
    // Which of them are users nobody was told.
    let (Some(all), Some(users)) = (
        observation.sync_accounts.seen(),
        observation.connect_accounts.seen(),
    ) else {
        return 0;
    };
    let named = match observation.applications.seen() {
        Some(names) => names.len(),
        // By the other way in some have been read all the same.
        None => {
            let assigned = observation.assigned.seen().into_iter().flatten();
            assigned.filter(|one| all.ids.contains(&one.id)).count()
        }
    };
    all.members.saturating_sub(users.len() + named)
}

/// Servers that accounts and applications of a tenant name, each with what names it.
fn naming(seen: &Seen) -> impl Iterator<Item = (&str, Identity<'_>)> {
    let all = seen.observation.identities();
    all.filter_map(|identity| Some((identity.server?, identity)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_a_servers_first_label_and_a_long_one_its_whole() {
        let target: TargetId = "s1.a.test".parse().unwrap();
        assert!(is("S1", &target) && is("s1.A.test", &target));
        assert!(!is("s1.b.test", &target) && !is("s2", &target));
        let long: TargetId = "amsterdam-sync-01.a.test".parse().unwrap();
        assert!(is("AMSTERDAM-SYNC-", &long) && is("amsterdam-sync-01", &long));
        assert!(!is("amsterdam-sync", &long));
    }

    /// As it is with directories: a reading that may not see the list has not seen that anybody is gone.
    #[test]
    fn agents_of_a_tenant_stay_named_until_somebody_sees_their_list_again() {
        let tenant: TenantId = "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap();
        let mut beyond = Beyond::default();
        let read = |beyond: &mut Beyond, minute: i64, by: &str, agents| {
            let at = Timestamp::from_millis(minute * 60_000);
            let observation = Observation {
                agents,
                ..Observation::unseen_all(&tenant, at, "403")
            };
            let by = by.to_owned();
            beyond.saw(Seen { observation, by });
        };
        let list = |machines: &[&str]| {
            let agent = |machine: &&str| AgentSeen {
                machine: (*machine).to_owned(),
                status: "active".to_owned(),
            };
            Part::Seen(machines.iter().map(agent).collect())
        };
        let names = |beyond: &Beyond| -> Vec<String> {
            let rows = beyond.named(&[], |_| false).into_iter();
            rows.map(|row| row.name).collect()
        };
        read(&mut beyond, 1, "anna", Part::NotSeen("403".to_owned()));
        assert_eq!(names(&beyond), [""; 0]);
        let [unseen] = &beyond.unseen_agents()[..] else {
            unreachable!("{:?}", beyond.unseen_agents())
        };
        assert!(unseen.contains(AGENTS.permission) && !unseen.contains("stays named"));
        read(&mut beyond, 2, "bert", list(&["one", "two"]));
        assert_eq!(names(&beyond), ["one", "two"]);
        assert_eq!(beyond.unseen_agents(), [""; 0]);
        read(&mut beyond, 3, "anna", Part::NotSeen("403".to_owned()));
        assert_eq!(names(&beyond), ["one", "two"]);
        let by = &beyond.named(&[], |_| false)[0].named_by[0];
        assert!(
            by.contains(", as bert read it at 1970-01-01T00:02:00"),
            "{by}"
        );
        let unseen = beyond.unseen_agents().concat();
        assert!(
            unseen.contains("; whom bert was shown at 1970-01-01T00:02:00"),
            "{unseen}"
        );
        // Nothing else goes by what was seen before.
        let seen = &beyond.tenants[&tenant].observation;
        assert_eq!(seen.agents.seen(), None);
        read(&mut beyond, 4, "bert", list(&["two"]));
        assert_eq!(names(&beyond), ["two"]);
        assert!(!beyond.named(&[], |_| false)[0].named_by[0].contains("read it at"));
    }

    #[test]
    fn one_server_is_one_row_however_it_is_named_and_those_that_nobody_knows_come_first() {
        let [s1, s2, s3]: [TargetId; 3] =
            ["s1.a.test", "s2.a.test", "s3.a.test"].map(|name| name.parse().unwrap());
        let server = |name: &str, product| DiscoveredServer {
            name: name.to_owned(),
            product,
            source: "a description".to_owned(),
        };
        let seen = DirectorySeen {
            at: Timestamp::from_millis(0),
            by: s1.clone(),
            servers: vec![
                server("S1", Product::ProvisioningAgent),
                server("s1.a.test", Product::Connect),
                server("OLD-99", Product::Connect),
                server("s3.a.test", Product::Connect),
            ],
            unread: Vec::new(),
            earlier: Vec::new(),
        };
        let beyond = Beyond {
            tenants: Tenants::new(),
            directories: [("a.test".parse().unwrap(), seen)].into(),
            ..Beyond::default()
        };
        let mut rows = beyond.named(&[&s1, &s2], |target| *target == s1);
        let names = |rows: &[Named]| -> Vec<(String, Standing)> {
            rows.iter()
                .map(|row| (row.name.clone(), row.state))
                .collect()
        };
        let row = |name: &str, state| (name.to_owned(), state);
        assert_eq!(
            names(&rows),
            [
                row("old-99", Standing::Unknown),
                row("s3.a.test", Standing::Unknown),
                row("s2.a.test", Standing::Silent),
                row("s1.a.test", Standing::Known),
            ]
        );
        assert_eq!(rows[3].named_by.len(), 2, "{:?}", rows[3]);
        // What is written is not unknown; what is enrolled stays as it is.
        let s4: TargetId = "s4.a.test".parse().unwrap();
        add_written(
            &mut rows,
            [(&s1, "agents a"), (&s3, "connect a"), (&s4, "agents a")],
        );
        assert_eq!(
            names(&rows),
            [
                row("old-99", Standing::Unknown),
                row("s3.a.test", Standing::NotEnrolled),
                row("s4.a.test", Standing::NotEnrolled),
                row("s2.a.test", Standing::Silent),
                row("s1.a.test", Standing::Known),
            ]
        );
    }
}
