//! The modelled directory: what a domain controller answers about a domain, its forest, this server and a gMSA. Values
//! have the bytes that a real controller gives.

use std::collections::{BTreeMap, BTreeSet};

use agent_core::op::{
    Census, Counted, DirectoryAccount, DirectoryEntry, Found, FoundGroups, LargeGroups, Outcome,
    Scope, Search,
};
use agent_core::permissions::{self, On, Right};
use agent_core::product;
use agent_core::step::directory::{DESCRIPTOR, REFUSED};
use protocol::step::Permission;
use protocol::{TargetId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::faults::Fault;

/// The clock of every modelled controller and server.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// gMSAs that a domain's administrator has made.
const BEFOREHAND: [&str; 2] = ["svcEntraSync$", "provAgentgMSA$"];

/// How often a change of another server is not yet readable, where replication is slow.
const SLOW_LOOKS: u32 = 3;

/// What the servers of one domain share: which of them may retrieve the gMSA's password.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shared {
    /// Servers that the gMSA names, by name of the gMSA.
    pub readers: BTreeMap<String, BTreeSet<TargetId>>,
    /// Servers that one controller alone shows there, the one that was written to: the others do until it has replicated.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub only_at: BTreeMap<TargetId, String>,
}

impl Shared {
    /// A gMSA names a server from now on. Where replication is slow, the controller that was written to shows that alone at first.
    pub(crate) fn name(&mut self, gmsa: &str, server: &TargetId, at: Option<String>) {
        let readers = self.readers.entry(gmsa.to_owned()).or_default();
        if readers.insert(server.clone())
            && let Some(at) = at
        {
            self.only_at.insert(server.clone(), at);
        }
    }

    /// The security identifier of a gMSA, as text; none of one that is not there.
    pub(crate) fn identifier(&self, name: &str) -> Option<String> {
        let there = self.readers.contains_key(name) || BEFOREHAND.contains(&name);
        let (text, _) = agent_core::directory::sid(&sid(name)).filter(|_| there)?;
        Some(text)
    }
}

/// How a server sees its domain.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct View {
    /// What is shared.
    pub(crate) shared: Shared,
    /// How often the gMSA was looked at.
    looks: u32,
    /// How often a controller was asked for it, by controller.
    #[serde(default)]
    looks_at: BTreeMap<String, u32>,
}

/// The security identifier that the model gives a server.
#[must_use]
pub(crate) fn sid_of(target: &TargetId) -> Vec<u8> {
    sid(target.as_str())
}

fn sid(name: &str) -> Vec<u8> {
    let digest = protocol::Digest::of(name.as_bytes());
    let mut bytes = vec![1, 5, 0, 0, 0, 0, 0, 5];
    for part in [21u32, 1, 2, 3] {
        bytes.extend(part.to_le_bytes());
    }
    bytes.extend(&digest.as_bytes()[..4]);
    bytes
}

/// The domain's own identifier, or with a relative one behind it that of an account.
fn domain_sid(relative: &[u32]) -> Vec<u8> {
    let count = u8::try_from(4 + relative.len()).expect("a short identifier");
    let mut bytes = vec![1, count, 0, 0, 0, 0, 0, 5];
    for part in [21u32, 1, 2, 3].iter().chain(relative) {
        bytes.extend(part.to_le_bytes());
    }
    bytes
}

/// What a controller says of the domain's administrator who signed in: the account, then its groups.
fn token(faults: &BTreeSet<Fault>) -> Vec<Vec<u8>> {
    let group = if faults.contains(&Fault::CredentialOfNobody) {
        513
    } else {
        512
    };
    vec![domain_sid(&[500]), domain_sid(&[group])]
}

/// The account of the domain's administrator.
fn administrator(context: &str, faults: &BTreeSet<Fault>) -> DirectoryEntry {
    let soon = NOW.plus(std::time::Duration::from_secs(3 * 3600));
    let ends = if faults.contains(&Fault::CredentialEnds) {
        ticks(soon)
    } else {
        i64::MAX.to_string()
    };
    let mut entry = entry(
        &format!("CN=Administrator,CN=Users,{context}"),
        &[
            ("objectClass", &["user"]),
            ("sAMAccountName", &["Administrator"]),
            (
                "pwdLastSet",
                &[&ticks(NOW.minus(std::time::Duration::from_secs(86_400)))],
            ),
            ("accountExpires", &["0"]),
            ("msDS-UserPasswordExpiryTimeComputed", &[&ends]),
        ],
    );
    entry
        .values
        .insert("objectsid".to_owned(), vec![domain_sid(&[500])]);
    entry
}

/// A security descriptor that allows these to retrieve a password.
fn descriptor(readers: &[Vec<u8>]) -> Vec<u8> {
    let entry = |sid: &Vec<u8>| {
        let length = u16::try_from(8 + sid.len()).expect("a short entry");
        let mut entry = vec![0, 0];
        entry.extend(length.to_le_bytes());
        entry.extend(0x000f_01ffu32.to_le_bytes());
        entry.extend(sid);
        entry
    };
    list(&readers.iter().map(entry).collect::<Vec<_>>())
}

/// An entry that gives somebody a right on an object, or on what lies below it.
fn right(sid: &[u8], right: &Right) -> Vec<u8> {
    let (below, class) = match right.on {
        On::Domain => (false, None),
        On::Class(class) => (true, Some(class)),
        On::Below => (true, None),
    };
    let about = right.about.first();
    let guids = u32::from(about.is_some()) | u32::from(class.is_some()) << 1;
    let mut entry = vec![5, if below { 2 | 8 } else { 0 }];
    let length = 12 + 16 * guids.count_ones() as usize + sid.len();
    let length = u16::try_from(length).expect("a short entry");
    entry.extend(length.to_le_bytes());
    entry.extend(right.bit.to_le_bytes());
    entry.extend(guids.to_le_bytes());
    entry.extend(about.into_iter().flatten());
    entry.extend(class.iter().flatten());
    entry.extend(sid);
    entry
}

/// A security descriptor of these entries.
fn list(of: &[Vec<u8>]) -> Vec<u8> {
    let entries = of.concat();
    let size = u16::try_from(8 + entries.len()).expect("a short list");
    let count = u16::try_from(of.len()).expect("few entries");
    let mut bytes = vec![1, 0, 4, 0x80];
    bytes.extend([0; 12]);
    bytes.extend(20u32.to_le_bytes());
    bytes.extend([2, 0]);
    bytes.extend(size.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend([0, 0]);
    bytes.extend(entries);
    bytes
}

fn entry(name: &str, values: &[(&str, &[&str])]) -> DirectoryEntry {
    let bytes = |all: &[&str]| all.iter().map(|one| one.as_bytes().to_vec()).collect();
    let values = values.iter();
    DirectoryEntry {
        name: name.to_owned(),
        values: values
            .map(|(name, all)| (name.to_lowercase(), bytes(all)))
            .collect(),
    }
}

fn ticks(at: Timestamp) -> String {
    (at.as_millis() * 10_000 + 116_444_736_000_000_000).to_string()
}

/// The first label of the domain that a forest has beside its root, where it has one.
const CHILD: &str = "emea";

/// Whether a controller is of that domain.
pub(crate) fn is_of_child(server: &str) -> bool {
    let domain = server.split_once('.').map_or("", |(_, domain)| domain);
    domain.split('.').next() == Some(CHILD)
}

/// A group of servers.
const HOSTS_GROUP: &str = "Sync Hosts";

/// That group with a second server and a member of another domain, and `computer` made its member.
fn hosts_group(context: &str, computer: &mut DirectoryEntry) -> Vec<DirectoryEntry> {
    let place = format!("CN={HOSTS_GROUP},CN=Users,{context}");
    let member = |entry: &mut DirectoryEntry| {
        let values = vec![place.as_bytes().to_vec()];
        entry.values.insert("memberof".to_owned(), values);
    };
    member(computer);
    if let Some(groups) = computer.values.get_mut("tokengroups") {
        groups.push(sid(HOSTS_GROUP));
    }
    let mut group = entry(
        &place,
        &[
            ("objectClass", &["group"]),
            ("sAMAccountName", &[HOSTS_GROUP]),
        ],
    );
    let own = vec![sid(HOSTS_GROUP)];
    group.values.insert("objectsid".to_owned(), own);
    let mut second = entry(
        &format!("CN=sync-09,CN=Computers,{context}"),
        &[
            ("objectClass", &["computer"]),
            ("sAMAccountName", &["sync-09$"]),
        ],
    );
    let mut foreign = entry(
        &format!("CN=S-1-5-21-9-9-9-1104,CN=ForeignSecurityPrincipals,{context}"),
        &[("objectClass", &["foreignSecurityPrincipal"])],
    );
    member(&mut second);
    member(&mut foreign);
    vec![group, second, foreign]
}

/// One controller alone does not answer: the first that DNS names, or one that DNS does not name, as one that a topology prefers.
pub(crate) fn does_not_answer(server: &str, faults: &BTreeSet<Fault>) -> bool {
    faults.contains(&Fault::FirstControllerSilent) && server.starts_with("dc1.")
        || faults.contains(&Fault::PreferredControllerSilent) && !server.starts_with("dc")
}

/// Why no question is answered.
fn silent(server: &str, account: &DirectoryAccount, faults: &BTreeSet<Fault>) -> Option<String> {
    let child = faults.contains(&Fault::ChildBlocked) && is_of_child(server);
    if child || does_not_answer(server, faults) || faults.contains(&Fault::DirectoryBlocked) {
        return Some(format!("no answer from {server}:389 within 10 s"));
    }
    if matches!(account, DirectoryAccount::Given(_)) {
        if faults.contains(&Fault::LdapsBlocked) {
            return Some(format!("{server}: Connection refused (model)"));
        }
        if faults.contains(&Fault::CredentialExpired) {
            return Some(format!(
                "{server}: {REFUSED}: 80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data 532, v4f7c (model)"
            ));
        }
    }
    let unreadable = faults.contains(&Fault::DirectoryUnreadable);
    (unreadable && *account != DirectoryAccount::Nobody)
        .then(|| "the server's account could not sign in".to_owned())
}

/// Counts a domain of five hundred objects.
pub(crate) fn census(census: &Census, target: &TargetId, faults: &BTreeSet<Fault>) -> Outcome {
    if let Some(why) = silent(&census.server, &census.account, faults) {
        return Outcome::Failed(why);
    }
    let domain = target.home_domain().map(|domain| domain.to_string());
    let suffix = if faults.contains(&Fault::SuffixUnverifiable) {
        "corp.local".to_owned()
    } else {
        domain.unwrap_or_default().replace(".test", ".com")
    };
    let mut counted = Counted {
        objects: 500,
        users: 420,
        groups: 60,
        anchored: 480,
        suffixes: BTreeMap::from([(suffix, 420)]),
        beyond: 0,
        whole: true,
    };
    if faults.contains(&Fault::AnchorsMissing) {
        counted.anchored = 420;
    }
    if census.base.starts_with("OU=Site ") {
        (counted.objects, counted.users) = (10, 10);
    }
    if faults.contains(&Fault::ScopeTooLarge) && !census.base.starts_with("DC=") {
        counted.objects = 2_400;
    }
    if faults.contains(&Fault::DomainTooLarge) {
        (counted.objects, counted.whole) = (census.most, false);
        (counted.users, counted.groups) = (census.most - 60, 60);
        counted.anchored = census.most;
    }
    Outcome::Counted(Box::new(counted))
}

/// Looks at the sixty groups of such a domain.
pub(crate) fn large_groups(groups: &LargeGroups, faults: &BTreeSet<Fault>) -> Outcome {
    if let Some(why) = silent(&groups.server, &groups.account, faults) {
        return Outcome::Failed(why);
    }
    let mut found = FoundGroups {
        looked: 60,
        larger: Vec::new(),
        members: true,
        whole: true,
    };
    if faults.contains(&Fault::GroupTooLarge) {
        found
            .larger
            .push(format!("CN=All Staff,OU=People,{}", groups.base));
    }
    Outcome::LargeGroups(Box::new(found))
}

impl View {
    /// Answers a question, as a controller of the domain in `target`'s forest would.
    pub(crate) fn answer(
        &mut self,
        search: &Search,
        target: &TargetId,
        faults: &BTreeSet<Fault>,
    ) -> Outcome {
        if let Some(why) = silent(&search.server, &search.account, faults) {
            return Outcome::Failed(why);
        }
        let domain = search
            .server
            .split_once('.')
            .map_or("", |(_, domain)| domain);
        let context = format!("DC={}", domain.replace('.', ",DC="));
        if search.filter.contains("msDS-GroupManagedServiceAccount") {
            *self.looks_at.entry(search.server.clone()).or_default() += 1;
        }
        let all = if search.base.is_empty() {
            let mut root = root(&search.server, &context, faults);
            if matches!(search.account, DirectoryAccount::Given(_)) {
                let token = token(faults);
                root.values.insert("tokengroups".to_owned(), token);
            }
            vec![root]
        } else {
            self.objects(&context, &search.server, target, faults)
        };
        let below = format!(",{}", search.base.to_lowercase());
        let wanted = |entry: &DirectoryEntry| {
            let name = entry.name.to_lowercase();
            let here = name == search.base.to_lowercase();
            let inside = match search.scope {
                Scope::Base => here,
                Scope::Children => {
                    let parent = name.split_once(',').map_or("", |(_, parent)| parent);
                    parent == search.base.to_lowercase()
                }
                Scope::Subtree => here || name.ends_with(&below),
            };
            inside && matches(&search.filter, entry)
        };
        Outcome::Entries(Box::new(Found {
            entries: all.into_iter().filter(wanted).collect(),
            more: false,
            now: NOW,
        }))
    }

    fn objects(
        &mut self,
        context: &str,
        server: &str,
        target: &TargetId,
        faults: &BTreeSet<Fault>,
    ) -> Vec<DirectoryEntry> {
        let domain = server.split_once('.').map_or("", |(_, domain)| domain);
        let has = |fault| faults.contains(&fault);
        let choose = |fault, faulty: &'static str, sound: &'static str| {
            if has(fault) { faulty } else { sound }
        };
        let configuration = format!("CN=Configuration,{context}");
        let schema = match choose(Fault::OldSchema, "47", "88") {
            "88" => choose(Fault::SchemaBefore2016, "69", "88"),
            old => old,
        };
        let mut all = vec![self.domain_root(context, faults)];
        all.push(entry(
            &format!("CN=Schema,{configuration}"),
            &[("objectClass", &["dMD"]), ("objectVersion", &[schema])],
        ));
        if !has(Fault::NoKdsKey) {
            let hours = if has(Fault::KdsKeyYoung) { 2 } else { 100 };
            let start = NOW.minus(std::time::Duration::from_secs(hours * 3600));
            all.push(entry(
                &format!("CN=1,CN=Master Root Keys,CN=Group Key Distribution Service,CN=Services,{configuration}"),
                &[
                    ("objectClass", &["msKds-ProvRootKey"]),
                    ("msKds-UseStartTime", &[&ticks(start)]),
                ],
            ));
        }
        let bin = format!(
            "CN=Recycle Bin Feature,CN=Optional Features,CN=Directory Service,CN=Windows NT,CN=Services,{configuration}"
        );
        let enabled: &[&str] = if has(Fault::NoRecycleBin) {
            &[]
        } else {
            &["CN=Partitions"]
        };
        all.push(entry(
            &bin,
            &[
                ("objectClass", &["msDS-OptionalFeature"]),
                ("msDS-EnabledFeatureBL", enabled),
            ],
        ));
        let partitions = format!("CN=Partitions,{configuration}");
        let short = domain.split('.').next().unwrap_or_default().to_uppercase();
        let netbios = if has(Fault::DottedNetbios) {
            format!("{short}.1")
        } else {
            short
        };
        all.push(entry(
            &partitions,
            &[
                ("objectClass", &["crossRefContainer"]),
                ("uPNSuffixes", &["contoso.com", "corp.local"]),
            ],
        ));
        all.push(entry(
            &format!("CN={netbios},{partitions}"),
            &[
                ("objectClass", &["crossRef"]),
                ("nCName", &[context]),
                ("nETBIOSName", &[&netbios]),
                ("dnsRoot", &[domain]),
            ],
        ));
        // What is modelled of the other domain has no other one of its own.
        if (has(Fault::ChildNetbiosDotted) || has(Fault::ChildBlocked))
            && !domain.starts_with(CHILD)
        {
            let netbios = choose(Fault::ChildNetbiosDotted, "EMEA.1", "EMEA");
            all.push(entry(
                &format!("CN={netbios},{partitions}"),
                &[
                    ("objectClass", &["crossRef"]),
                    ("nCName", &[&format!("DC={CHILD},{context}")]),
                    ("nETBIOSName", &[netbios]),
                    ("dnsRoot", &[&format!("{CHILD}.{domain}")]),
                ],
            ));
        }
        let system = choose(
            Fault::OldControllers,
            "Windows Server 2008 R2 Standard",
            "Windows Server 2022 Standard",
        );
        all.push(entry(
            &format!("CN=DC1,OU=Domain Controllers,{context}"),
            &[
                ("objectClass", &["computer"]),
                ("userAccountControl", &["8192"]),
                ("dNSHostName", &[&format!("dc1.{domain}")]),
                ("operatingSystem", &[system]),
            ],
        ));
        let host = target.as_str().split('.').next().unwrap_or_default();
        let mut computer = entry(
            &format!("CN={host},CN=Computers,{context}"),
            &[
                ("objectClass", &["computer"]),
                ("sAMAccountName", &[&format!("{host}$")]),
                ("msDS-SupportedEncryptionTypes", &["28"]),
            ],
        );
        computer
            .values
            .insert("objectsid".to_owned(), vec![sid_of(target)]);
        computer
            .values
            .insert("tokengroups".to_owned(), vec![sid("Domain Computers")]);
        if has(Fault::ReadersByGroup) {
            all.extend(hosts_group(context, &mut computer));
        }
        computer.values.insert(
            "dnshostname".to_owned(),
            vec![target.as_str().as_bytes().to_vec()],
        );
        all.push(computer);
        all.push(administrator(context, faults));
        if has(Fault::StrangeConnect) {
            let description = "Account created by Microsoft Azure Active Directory Connect with installation identifier 1 running on computer OLD-SYNC-99 configured to synchronize to tenant contoso.onmicrosoft.com.";
            all.push(entry(
                &format!("CN=MSOL_1,CN=Users,{context}"),
                &[
                    ("objectClass", &["user"]),
                    ("sAMAccountName", &["MSOL_1"]),
                    ("description", &[description]),
                ],
            ));
        }
        if has(Fault::SeamlessSignOn) {
            let name = product::SINGLE_SIGN_ON_ACCOUNT;
            all.push(entry(
                &format!("CN={},CN=Computers,{context}", name.trim_end_matches('$')),
                &[("objectClass", &["computer"]), ("sAMAccountName", &[name])],
            ));
        }
        all.extend(self.accounts(context, server, target, faults));
        all
    }

    /// The domain itself, on which its administrator has given every gMSA its rights, unless that is what is wrong.
    fn domain_root(&self, context: &str, faults: &BTreeSet<Fault>) -> DirectoryEntry {
        let mut held = Vec::new();
        for name in self.service_accounts() {
            for set in permissions::each(&[Permission::All]) {
                let hashes = set == Permission::PasswordHashSync;
                if !hashes && faults.contains(&Fault::SetsMissing) {
                    continue;
                }
                let mut rights = permissions::rights(set);
                if hashes && faults.contains(&Fault::RightsMissing) {
                    rights = &rights[..1];
                }
                held.extend(rights.iter().map(|one| right(&sid(name), one)));
            }
        }
        let mut root = entry(context, &[("objectClass", &["domainDNS"])]);
        let name = DESCRIPTOR.to_lowercase();
        root.values.insert(name, vec![list(&held)]);
        root.values
            .insert("objectsid".to_owned(), vec![domain_sid(&[])]);
        root
    }

    /// The gMSAs that the product made, and those that were made beforehand.
    fn service_accounts(&self) -> BTreeSet<&str> {
        let made = self.shared.readers.keys().map(String::as_str);
        made.chain(BEFOREHAND).collect()
    }

    /// The gMSA objects: one that was made beforehand for this server, and those that the product made.
    fn accounts(
        &mut self,
        context: &str,
        server: &str,
        target: &TargetId,
        faults: &BTreeSet<Fault>,
    ) -> Vec<DirectoryEntry> {
        let has = |fault| faults.contains(&fault);
        self.looks += 1;
        let late = has(Fault::ReplicationSlow) && self.looks <= SLOW_LOOKS;
        let looks = self.looks_at.get(server).copied().unwrap_or_default();
        let has_replicated = looks > SLOW_LOOKS;
        let types = if has(Fault::GmsaRc4Only) { "4" } else { "24" };
        let gmsa = |name: &str, readers: Vec<Vec<u8>>| {
            let mut entry = entry(
                &format!(
                    "CN={},CN=Managed Service Accounts,{context}",
                    name.trim_end_matches('$')
                ),
                &[
                    ("objectClass", &["msDS-GroupManagedServiceAccount"]),
                    ("sAMAccountName", &[name]),
                    ("msDS-SupportedEncryptionTypes", &[types]),
                ],
            );
            entry.values.insert("objectsid".to_owned(), vec![sid(name)]);
            let groups = vec![sid("Domain Computers")];
            entry.values.insert("tokengroups".to_owned(), groups);
            entry.values.insert(
                "msds-groupmsamembership".to_owned(),
                vec![descriptor(&readers)],
            );
            entry
        };
        // The domain's administrator has named every server beforehand, unless that is what is wrong.
        let own = if has(Fault::GmsaWithoutServer) {
            Vec::new()
        } else {
            vec![match has(Fault::ReadersByGroup) {
                true => sid(HOSTS_GROUP),
                false => sid_of(target),
            }]
        };
        let mut all = Vec::new();
        for (name, readers) in &self.shared.readers {
            let elsewhere = |reader: &TargetId| {
                let only = self.shared.only_at.get(reader);
                only.is_some_and(|only| only != server) && !has_replicated
            };
            let others = readers
                .iter()
                .filter(|reader| !late && *reader != target && !elsewhere(reader));
            let mut seen: Vec<Vec<u8>> = others.map(sid_of).collect();
            seen.extend(own.clone());
            all.push(gmsa(name, seen));
        }
        // Whatever else is asked for was made beforehand, by the domain's administrator.
        for name in BEFOREHAND {
            if !self.shared.readers.contains_key(name) {
                all.push(gmsa(name, own.clone()));
            }
        }
        all
    }
}

fn root(server: &str, context: &str, faults: &BTreeSet<Fault>) -> DirectoryEntry {
    let has = |fault| faults.contains(&fault);
    let name = if has(Fault::DisjointName) {
        "dc1.elsewhere.test"
    } else {
        server
    };
    let level = if has(Fault::OldForest) { "0" } else { "7" };
    // One that DNS does not name is one that a topology prefers.
    let preferred = has(Fault::PreferredControllerReadOnly) && !server.starts_with("dc");
    let clock = if has(Fault::ClockWrong) || preferred {
        "20260921150500.0Z"
    } else {
        "20260921141320.0Z"
    };
    let capabilities: &[&str] = if has(Fault::ReadOnlyController) || preferred {
        &["1.2.840.113556.1.4.800", "1.2.840.113556.1.4.1920"]
    } else {
        &["1.2.840.113556.1.4.800"]
    };
    entry(
        "",
        &[
            ("dnsHostName", &[name]),
            ("defaultNamingContext", &[context]),
            (
                "configurationNamingContext",
                &[&format!("CN=Configuration,{context}")],
            ),
            (
                "schemaNamingContext",
                &[&format!("CN=Schema,CN=Configuration,{context}")],
            ),
            ("forestFunctionality", &[level]),
            ("domainFunctionality", &[level]),
            ("supportedCapabilities", capabilities),
            ("currentTime", &[clock]),
        ],
    )
}

/// The parts of a filter of several.
fn parts(mut all: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    while !all.is_empty() {
        let mut depth = 0_u32;
        let end = all.find(|sign: char| {
            depth = match sign {
                '(' => depth + 1,
                ')' => depth.saturating_sub(1),
                _ => depth,
            };
            depth == 0
        });
        let (part, rest) = all.split_at(end.map_or(all.len(), |end| end + 1));
        parts.push(part);
        all = rest;
    }
    parts
}

/// The filters that are asked: presence of a class, equality, a beginning, a set bit, all of several and one of several.
fn matches(filter: &str, entry: &DirectoryEntry) -> bool {
    let inner = filter
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(filter);
    if let Some(all) = inner.strip_prefix('&') {
        return parts(all).into_iter().all(|one| matches(one, entry));
    }
    if let Some(any) = inner.strip_prefix('|') {
        return parts(any).into_iter().any(|one| matches(one, entry));
    }
    let Some((attribute, wanted)) = inner.split_once('=') else {
        return false;
    };
    let attribute = attribute.split(':').next().unwrap_or_default();
    let values = entry.all(attribute);
    // A controller takes identifiers as text too.
    if attribute.eq_ignore_ascii_case("objectSid") {
        let sids = values
            .iter()
            .filter_map(|value| agent_core::directory::sid(value));
        return sids.into_iter().any(|(sid, _)| sid == wanted);
    }
    if let Some(start) = wanted.strip_suffix('*').filter(|start| !start.is_empty()) {
        let begins = |value: &Vec<u8>| {
            let own = value.get(..start.len());
            own.is_some_and(|own| own.eq_ignore_ascii_case(start.as_bytes()))
        };
        return values.iter().any(begins);
    }
    wanted == "*"
        || values
            .iter()
            .any(|value| value.eq_ignore_ascii_case(wanted.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_models_clocks_agree() {
        let text = agent_core::directory::generalized_time("20260921141320.0Z");
        assert_eq!(text, Some(NOW));
    }

    #[test]
    fn a_filter_of_several_wants_all_of_them() {
        let entry = entry("CN=a", &[("objectClass", &["computer"]), ("cn", &["A"])]);
        assert!(matches("(&(objectClass=computer)(cn=a))", &entry));
        assert!(!matches("(&(objectClass=computer)(cn=b))", &entry));
        assert!(matches("(objectClass=*)", &entry));
        let either = "(&(objectClass=computer)(|(cn=b*)(cn=A)))";
        assert!(matches(either, &entry));
        assert!(!matches(
            "(&(objectClass=computer)(|(cn=b*)(cn=c)))",
            &entry
        ));
    }
}
