//! Questions to a domain controller, and what is read out of the answers. What the asking account may not read is an error
//! that says so, never an absence.

use std::time::Duration;

use protocol::{GmsaName, Timestamp};

use crate::directory::{self, AccessEntry};
use crate::op::{
    Census, Counted, DirectoryAccount, DirectoryEntry, Found, FoundGroups, LargeGroups, Scope,
    Search,
};
use crate::permissions::Right;
use crate::procedure::{Cx, Flow, Reading};

/// Capability that a read-only domain controller names in its rootDSE ([K]).
const READ_ONLY: &str = "1.2.840.113556.1.4.1920";

/// Attribute of an object that says who may do what with it.
pub const DESCRIPTOR: &str = "nTSecurityDescriptor";

/// How the answer begins, behind the controller's name, where a controller does not take a credential that was given.
pub const REFUSED: &str = "the credential was refused";

/// What a domain controller tells everyone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The controller that was asked.
    pub server: String,
    /// Its own name.
    pub dns_name: String,
    /// Naming context of the domain.
    pub domain: String,
    /// Naming context of the configuration.
    pub configuration: String,
    /// Naming context of the schema.
    pub schema: String,
    /// Functional level of the forest; 2 is Windows Server 2003.
    pub forest_level: Option<i64>,
    /// Functional level of the domain.
    pub domain_level: Option<i64>,
    /// True for a read-only controller.
    pub read_only: bool,
    /// The controller's clock.
    pub clock: Option<Timestamp>,
    /// This server's clock when the answer came.
    pub here: Timestamp,
    /// Controllers that were tried before it, each with why it was passed over.
    pub passed_over: Vec<String>,
}

impl Root {
    /// That another controller was to be asked first, and why it was not: what is said behind a reading. Nothing where it was the first.
    #[must_use]
    pub fn instead(&self) -> String {
        if self.passed_over.is_empty() {
            return String::new();
        }
        format!(
            "; {} was asked, since {}",
            self.server,
            self.passed_over.join("; ")
        )
    }
}

/// Asks the rootDSE, as nobody.
///
/// # Errors
/// While the outcome is missing.
pub fn root(server: &str, cx: &mut Cx<'_>) -> Flow<Reading<Root>> {
    let found = cx.search(Search {
        server: server.to_owned(),
        account: DirectoryAccount::Nobody,
        base: String::new(),
        scope: Scope::Base,
        filter: "(objectClass=*)".to_owned(),
        attributes: [
            "dnsHostName",
            "defaultNamingContext",
            "configurationNamingContext",
            "schemaNamingContext",
            "forestFunctionality",
            "domainFunctionality",
            "supportedCapabilities",
            "currentTime",
        ]
        .map(ToOwned::to_owned)
        .to_vec(),
    })?;
    Ok(found.and_then(|found| {
        let here = found.now;
        let entry = found.entries.first().ok_or("no rootDSE was shown")?;
        let text = |attribute: &str| entry.text(attribute).map(ToOwned::to_owned);
        let context = |attribute: &str| {
            text(attribute).ok_or_else(|| format!("the rootDSE has no {attribute}"))
        };
        Ok(Root {
            server: server.to_owned(),
            dns_name: text("dnsHostName").unwrap_or_default().to_lowercase(),
            domain: context("defaultNamingContext")?,
            configuration: context("configurationNamingContext")?,
            schema: context("schemaNamingContext")?,
            forest_level: entry.number("forestFunctionality"),
            domain_level: entry.number("domainFunctionality"),
            read_only: entry
                .all("supportedCapabilities")
                .iter()
                .any(|one| one == READ_ONLY.as_bytes()),
            clock: text("currentTime").and_then(|time| directory::generalized_time(&time)),
            here,
            passed_over: Vec::new(),
        })
    }))
}

/// A domain controller as one account sees it.
#[derive(Debug, Clone)]
pub struct Directory {
    /// What it tells everyone.
    pub root: Root,
    /// As whom the rest is asked.
    pub account: DirectoryAccount,
}

impl Directory {
    pub(super) fn search(
        &self,
        base: String,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
        cx: &mut Cx<'_>,
    ) -> Flow<Reading<(Vec<DirectoryEntry>, Timestamp)>> {
        let found = self.first(base, scope, filter, attributes, cx)?;
        Ok(found.and_then(|found| {
            // Whoever asks for all must not take some for them.
            if found.more {
                let read = found.entries.len();
                return Err(format!("more than {read} objects answer {filter}"));
            }
            Ok((found.entries, found.now))
        }))
    }

    /// The same where the first ones will do: as many as one question gives, and whether there are more.
    pub(super) fn first(
        &self,
        base: String,
        scope: Scope,
        filter: &str,
        attributes: &[&str],
        cx: &mut Cx<'_>,
    ) -> Flow<Reading<Found>> {
        cx.search(Search {
            server: self.root.server.clone(),
            account: self.account.clone(),
            base,
            scope,
            filter: filter.to_owned(),
            attributes: attributes.iter().map(|name| (*name).to_owned()).collect(),
        })
    }

    pub(super) fn one(
        &self,
        base: String,
        filter: &str,
        attributes: &[&str],
        cx: &mut Cx<'_>,
    ) -> Flow<Reading<Option<DirectoryEntry>>> {
        let scope = if base == self.root.domain {
            Scope::Subtree
        } else {
            Scope::Base
        };
        let found = self.search(base, scope, filter, attributes, cx)?;
        Ok(found.map(|(entries, _)| entries.into_iter().next()))
    }

    /// Version of the schema: 56 is Windows Server 2012, 87 is 2016 (PF46 [K]).
    ///
    /// # Errors
    /// While the outcome is missing.
    pub fn schema_version(&self, cx: &mut Cx<'_>) -> Flow<Reading<i64>> {
        let base = self.root.schema.clone();
        let entry = self.one(base, "(objectClass=*)", &["objectVersion"], cx)?;
        Ok(entry.and_then(|entry| {
            let version = entry.and_then(|entry| entry.number("objectVersion"));
            version.ok_or_else(|| unreadable("objectVersion of the schema"))
        }))
    }

    /// The earliest time from which a KDS root key is usable on every domain controller: ten hours after its start
    /// (1.6 [S]); and this server's clock.
    ///
    /// The start counts, and not when the key was made: one that was dated back ten hours serves at once (1.6 [M]), and one that
    /// starts now does not (1.6 [S]). So a start that lay in the future when the key was made has its ten hours behind it as well.
    /// For that there are two words: developers of another directory saw Windows take only keys whose start lies ten hours back ([S]),
    /// and the row of PF49 asks for a start in the past alone ([K]). The longer wait fails nothing.
    ///
    /// # Errors
    /// While the outcome is missing.
    pub fn kds_usable_from(&self, cx: &mut Cx<'_>) -> Flow<Reading<(Timestamp, Timestamp)>> {
        const TEN_HOURS: Duration = Duration::from_secs(10 * 3600);
        let base = format!(
            "CN=Master Root Keys,CN=Group Key Distribution Service,CN=Services,{}",
            self.root.configuration
        );
        let filter = "(objectClass=msKds-ProvRootKey)";
        let found = self.search(base, Scope::Children, filter, &["msKds-UseStartTime"], cx)?;
        Ok(found.and_then(|(entries, now)| {
            let start = |entry: &DirectoryEntry| {
                let ticks = entry.number("msKds-UseStartTime")?;
                directory::file_time(ticks)
            };
            let earliest = entries.iter().filter_map(start).min();
            // The keys are hidden from most accounts: none shown is not none there.
            let start = earliest.ok_or_else(|| unreadable("a KDS root key, or there is none"))?;
            Ok((start.plus(TEN_HOURS), now))
        }))
    }

    /// A gMSA object: its encryption types and who may retrieve its password. `Ok(None)` when this account sees no such
    /// object.
    ///
    /// # Errors
    /// While the outcome is missing.
    pub fn gmsa(&self, name: &GmsaName, cx: &mut Cx<'_>) -> Flow<Reading<Option<Gmsa>>> {
        let name = name.as_str();
        if !directory::is_plain(name) {
            return Ok(Err(format!("{name} cannot stand in a search")));
        }
        let filter =
            format!("(&(objectClass=msDS-GroupManagedServiceAccount)(sAMAccountName={name}))");
        let attributes = ["msDS-SupportedEncryptionTypes", "msDS-GroupMSAMembership"];
        let entry = self.one(self.root.domain.clone(), &filter, &attributes, cx)?;
        Ok(entry.map(|entry| {
            entry.map(|entry| Gmsa {
                encryption: entry.number("msDS-SupportedEncryptionTypes"),
                readers: readers(&entry),
            })
        }))
    }

    /// A computer account: who it is, with the groups that it belongs to, and its encryption types.
    ///
    /// # Errors
    /// While outcomes are missing.
    pub fn computer(&self, host: &str, cx: &mut Cx<'_>) -> Flow<Reading<Account>> {
        // The account's name is the NetBIOS name, which has 15 signs at most ([K]).
        let short: String = host
            .split('.')
            .next()
            .unwrap_or(host)
            .chars()
            .take(15)
            .collect();
        let short = short.as_str();
        if !directory::is_plain(short) {
            return Ok(Err(format!("{short} cannot stand in a search")));
        }
        self.account_of("computer", &format!("{short}$"), cx)
    }

    /// An account by its name: who it is, with the groups that it belongs to, and its encryption types.
    fn account_of(&self, class: &str, name: &str, cx: &mut Cx<'_>) -> Flow<Reading<Account>> {
        let filter = format!("(&(objectClass={class})(sAMAccountName={name}))");
        let attributes = ["objectSid", "msDS-SupportedEncryptionTypes"];
        let entry = match self.one(self.root.domain.clone(), &filter, &attributes, cx)? {
            Ok(Some(entry)) => entry,
            Ok(None) => return Ok(Err(unreadable(&format!("the account {name}")))),
            Err(why) => return Ok(Err(why)),
        };
        let Some((sid, _)) = entry
            .all("objectSid")
            .first()
            .and_then(|sid| directory::sid(sid))
        else {
            return Ok(Err(unreadable(&format!("objectSid of {name}"))));
        };
        let groups = self.one(entry.name.clone(), "(objectClass=*)", &["tokenGroups"], cx)?;
        Ok(groups.map(|groups| {
            let groups = groups.unwrap_or_default();
            let all = groups.all("tokenGroups").iter();
            let groups: Vec<String> = all
                .filter_map(|group| Some(directory::sid(group)?.0))
                .collect();
            // Every account has a primary group: none shown is not none.
            let groups = if groups.is_empty() {
                Err(unreadable(&format!("the groups of {name}")))
            } else {
                Ok(groups)
            };
            Account {
                sid,
                groups,
                encryption: entry.number("msDS-SupportedEncryptionTypes"),
            }
        }))
    }

    /// A gMSA as somebody who is given rights: its identifier and groups.
    ///
    /// # Errors
    /// While outcomes are missing.
    pub fn service_account(&self, name: &GmsaName, cx: &mut Cx<'_>) -> Flow<Reading<Account>> {
        if !directory::is_plain(name.as_str()) {
            return Ok(Err(format!("{name} cannot stand in a search")));
        }
        self.account_of("msDS-GroupManagedServiceAccount", name.as_str(), cx)
    }

    /// Who may do what with the domain, and what everything below inherits from there (PF54, PV18 [K]).
    ///
    /// # Errors
    /// While the outcome is missing.
    pub fn access(&self, cx: &mut Cx<'_>) -> Flow<Reading<Vec<AccessEntry>>> {
        let base = self.root.domain.clone();
        let attributes = [DESCRIPTOR];
        let found = self.search(base, Scope::Base, "(objectClass=*)", &attributes, cx)?;
        Ok(found.and_then(|(entries, _)| {
            let descriptor = entries
                .first()
                .and_then(|root| root.all(DESCRIPTOR).first());
            let descriptor = descriptor.ok_or_else(|| unreadable("who has which rights"))?;
            let entries = directory::access(descriptor);
            entries.ok_or_else(|| "the list of rights cannot be read".to_owned())
        }))
    }

    /// Counts users, groups and contacts below an object, the domain's or an organizational unit's, up to one more than `most`
    /// (PF57, PF58, PF60).
    ///
    /// # Errors
    /// While the outcome is missing.
    pub fn census(&self, base: &str, most: u64, cx: &mut Cx<'_>) -> Flow<Reading<Counted>> {
        cx.census(Census {
            server: self.root.server.clone(),
            account: self.account.clone(),
            base: base.to_owned(),
            most: most + 1,
        })
    }

    /// Looks for groups of the domain that have more members than that (PF58).
    ///
    /// # Errors
    /// While the outcome is missing.
    pub fn large_groups(&self, most: u32, cx: &mut Cx<'_>) -> Flow<Reading<FoundGroups>> {
        cx.large_groups(LargeGroups {
            server: self.root.server.clone(),
            account: self.account.clone(),
            base: self.root.domain.clone(),
            most,
        })
    }

    /// Whether the recycle bin is on (PF59 [K]).
    ///
    /// # Errors
    /// While the outcome is missing.
    pub fn recycle_bin(&self, cx: &mut Cx<'_>) -> Flow<Reading<bool>> {
        let base = format!(
            "CN=Recycle Bin Feature,CN=Optional Features,CN=Directory Service,CN=Windows NT,CN=Services,{}",
            self.root.configuration
        );
        let attributes = ["msDS-EnabledFeatureBL", "cn"];
        let entry = self.one(base, "(objectClass=*)", &attributes, cx)?;
        Ok(entry.and_then(|entry| {
            let entry = entry.ok_or_else(|| unreadable("the recycle bin's object"))?;
            Ok(!entry.all("msDS-EnabledFeatureBL").is_empty())
        }))
    }

    /// NetBIOS name of the domain, and the UPN suffixes of the forest with the domains' own names.
    ///
    /// # Errors
    /// While outcomes are missing.
    pub fn names(&self, cx: &mut Cx<'_>) -> Flow<Reading<Names>> {
        let base = format!("CN=Partitions,{}", self.root.configuration);
        let suffixes = self.one(base.clone(), "(objectClass=*)", &["uPNSuffixes", "cn"], cx)?;
        let attributes = ["nCName", "nETBIOSName", "dnsRoot"];
        let found = self.search(
            base,
            Scope::Children,
            "(objectClass=crossRef)",
            &attributes,
            cx,
        )?;
        Ok(suffixes.and_then(|suffixes| {
            let domains: Vec<DirectoryEntry> = found?
                .0
                .into_iter()
                .filter(|entry| entry.text("nETBIOSName").is_some())
                .collect();
            let own = domains.iter().find(|entry| {
                let context = entry.text("nCName").unwrap_or_default();
                context.eq_ignore_ascii_case(&self.root.domain)
            });
            let netbios = own.and_then(|own| own.text("nETBIOSName"));
            let netbios = netbios.ok_or_else(|| unreadable("the domain's cross reference"))?;
            let roots = domains.iter().filter_map(|entry| entry.text("dnsRoot"));
            let named = domains.iter().filter_map(|entry| {
                let name = entry.text("dnsRoot")?.to_lowercase();
                Some((name, entry.text("nETBIOSName")?.to_owned()))
            });
            let mut named: Vec<(String, String)> = named.collect();
            named.sort();
            let suffixes = suffixes.unwrap_or_default();
            let added = suffixes.all("uPNSuffixes").iter();
            let added = added.filter_map(|value| std::str::from_utf8(value).ok());
            Ok(Names {
                netbios: netbios.to_owned(),
                suffixes: roots.chain(added).map(str::to_lowercase).collect(),
                domains: named,
            })
        }))
    }

    /// Whether a gMSA lists a server, or a group of it, among those that may retrieve its password.
    ///
    /// # Errors
    /// While outcomes are missing.
    pub fn lists(&self, name: &GmsaName, host: &str, cx: &mut Cx<'_>) -> Flow<Reading<bool>> {
        let gmsa = self.gmsa(name, cx)?;
        let own = self.computer(host, cx)?;
        Ok(gmsa.and_then(|gmsa| {
            let gmsa = gmsa.ok_or_else(|| format!("no {name} is seen"))?;
            let (readers, own) = (gmsa.readers?, own?);
            own.is_among(&readers)
        }))
    }

    /// Operating systems of the domain's controllers (PF48).
    ///
    /// # Errors
    /// While the outcome is missing.
    pub fn controllers(&self, cx: &mut Cx<'_>) -> Flow<Reading<Vec<(String, String)>>> {
        // 8192 is SERVER_TRUST_ACCOUNT, read-only controllers apart.
        let filter = "(&(objectClass=computer)(userAccountControl:1.2.840.113556.1.4.803:=8192))";
        let base = self.root.domain.clone();
        let attributes = ["dNSHostName", "operatingSystem"];
        let found = self.search(base, Scope::Subtree, filter, &attributes, cx)?;
        Ok(found.and_then(|(entries, _)| {
            if entries.is_empty() {
                return Err(unreadable("the accounts of the domain controllers"));
            }
            let of = |entry: &DirectoryEntry, name: &str| {
                entry.text(name).unwrap_or_default().to_owned()
            };
            let row =
                |entry: &DirectoryEntry| (of(entry, "dNSHostName"), of(entry, "operatingSystem"));
            Ok(entries.iter().map(row).collect())
        }))
    }
}

fn unreadable(what: &str) -> String {
    format!("this account does not see {what}")
}

pub(super) fn readers(entry: &DirectoryEntry) -> Reading<Vec<String>> {
    let descriptor = entry.all("msDS-GroupMSAMembership").first();
    let descriptor = descriptor.ok_or_else(|| unreadable("who may retrieve the password"))?;
    let entries = directory::access(descriptor);
    let entries = entries.ok_or("the list of who may retrieve the password cannot be read")?;
    let allowed = entries.into_iter().filter(|entry| entry.allows);
    let mut who: Vec<String> = allowed.map(|entry| entry.who).collect();
    who.sort();
    who.dedup();
    Ok(who)
}

/// A gMSA object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gmsa {
    /// `msDS-SupportedEncryptionTypes`.
    pub encryption: Option<i64>,
    /// Who may retrieve its password, as security identifiers.
    pub readers: Reading<Vec<String>>,
}

/// An account of a server or a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its security identifier.
    pub sid: String,
    /// Groups that it belongs to, through others too.
    pub groups: Reading<Vec<String>>,
    /// `msDS-SupportedEncryptionTypes`.
    pub encryption: Option<i64>,
}

impl Account {
    /// Whether it, or a group of it, is among these.
    ///
    /// # Errors
    /// Where it is not itself, and its groups are not seen.
    pub fn is_among(&self, readers: &[String]) -> Reading<bool> {
        if readers.contains(&self.sid) {
            return Ok(true);
        }
        let groups = self.groups.as_ref().map_err(Clone::clone)?;
        Ok(groups.iter().any(|group| readers.contains(group)))
    }

    /// Which of these rights it lacks by what a domain's entries give it and its groups. Of an account of another domain the groups
    /// that every domain has under the same identifier do not count.
    ///
    /// # Errors
    /// Where it lacks some by itself, and its groups are not seen.
    pub fn lacks(
        &self,
        rights: &[Right],
        entries: &[AccessEntry],
        is_own: bool,
    ) -> Reading<Vec<&'static str>> {
        let lacking = |identifiers: &[String]| -> Vec<&'static str> {
            let lacking = rights.iter();
            let lacking = lacking.filter(|right| !right.is_given(entries, identifiers));
            lacking.map(|right| right.name).collect()
        };
        let by_itself = lacking(std::slice::from_ref(&self.sid));
        let groups = match &self.groups {
            // What they allow is not needed; that one of them is denied something is the rarer case, and is not seen.
            Err(_) if by_itself.is_empty() => return Ok(by_itself),
            groups => groups.as_ref().map_err(Clone::clone)?,
        };
        // These identifiers are the same in every domain, and other groups in each.
        let counts = |group: &&String| is_own || !group.starts_with("S-1-5-32-");
        let mut identifiers: Vec<String> = groups.iter().filter(counts).cloned().collect();
        identifiers.push(self.sid.clone());
        Ok(lacking(&identifiers))
    }
}

/// Names of a domain and its forest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// NetBIOS name of the domain.
    pub netbios: String,
    /// UPN suffixes: those that were added, and the domains' names.
    pub suffixes: Vec<String>,
    /// Every domain of the forest, by DNS name, with its NetBIOS name.
    pub domains: Vec<(String, String)>,
}
