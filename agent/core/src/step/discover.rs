//! Which servers carry one of the products, as a directory shows it: Connect by the description of the account that it makes
//! (`MSOL_…`; its wording is general knowledge, [K]), provisioning agents by who may retrieve the password of their gMSA
//! (product facts 1.6, 2.9). A server that left may still stand there, and one that was given another account does not.

use protocol::GmsaName;
use protocol::event::{Completion, DiscoveredServer};
use protocol::step::{DiscoverServers, Product, ServedDomain};

use crate::directory as agent_directory;
use crate::op::{DirectoryAccount, DirectoryEntry, Found, Scope};
use crate::procedure::{Complete, Cx, Flow, Reading, fail};
use crate::step::controllers;
use crate::step::directory::{self, Directory};

/// Names of the gMSAs that the product makes (1.6 [P][S]).
const OWN_ACCOUNTS: [&str; 2] = ["provAgentgMSA", "pGMSA_"];

/// How many accounts of a kind are looked at, and how many servers and remarks are told, for one domain: they go into one event.
const MOST: usize = 500;

/// Of how many domains it is told that another controller answered than the first one.
const TOLD: usize = 3;

/// Asks each domain, and records what it shows.
///
/// # Errors
/// While outcomes are missing.
pub fn discover(discover: &DiscoverServers, cx: &mut Cx<'_>) -> Flow<Complete> {
    let (mut found, mut silent) = (0, 0);
    let mut instead = Vec::new();
    for domain in &discover.domains {
        let preferred = discover.preferred_dcs.get(domain);
        let preferred = preferred.map_or(&[][..], Vec::as_slice);
        let (servers, unread) = match controllers::open(domain, preferred, cx)? {
            Ok(directory) => {
                instead.push(directory.root.instead());
                ask(&directory, &discover.accounts, cx)?
            }
            Err(why) => (
                Vec::new(),
                vec![format!("{domain} could not be asked: {why}")],
            ),
        };
        found += servers.len();
        silent += usize::from(!unread.is_empty());
        cx.note_servers(domain, (&servers, &unread))?;
    }
    let mut summary = format!(
        "{found} servers named in {} domains",
        discover.domains.len()
    );
    if silent > 0 {
        summary.push_str(&format!("; not everything could be read in {silent}"));
    }
    instead.retain(|one| !one.is_empty());
    summary.extend(instead.iter().take(TOLD).map(String::as_str));
    if instead.len() > TOLD {
        let more = instead.len() - TOLD;
        summary.push_str(&format!("; so it was in {more} more domains"));
    }
    Ok(Complete::new(Completion::AlreadySo, summary))
}

/// The same of one domain, as one account sees it: for whoever asks by hand. `accounts` are gMSAs beside those of the product's own names.
///
/// # Errors
/// While outcomes are missing.
pub fn survey(
    domain: &ServedDomain,
    account: &DirectoryAccount,
    accounts: &[GmsaName],
    cx: &mut Cx<'_>,
) -> Flow<Complete> {
    let root = match controllers::answering(&domain.name, &domain.preferred_dcs, cx)? {
        Ok(root) => root,
        Err(why) => return fail(why),
    };
    let directory = Directory {
        root,
        account: account.clone(),
    };
    let (servers, unread) = ask(&directory, accounts, cx)?;
    cx.note_servers(&domain.name, (&servers, &unread))?;
    Ok(Complete::new(Completion::AlreadySo, ""))
}

type Told = (Vec<DiscoveredServer>, Vec<String>);

fn ask(directory: &Directory, accounts: &[GmsaName], cx: &mut Cx<'_>) -> Flow<Told> {
    let (mut servers, mut unread) = (Vec::new(), Vec::new());
    match directory.connect_accounts(cx)? {
        Ok(found) => {
            if found.more || found.entries.len() > MOST {
                unread.push(format!(
                    "more than {MOST} accounts of Connect: the others are not looked at"
                ));
            }
            for entry in found.entries.iter().take(MOST) {
                let account = entry.text("sAMAccountName").unwrap_or_default();
                let described = entry.text("description").and_then(computer);
                match described {
                    Some(name) => servers.push(DiscoveredServer {
                        name,
                        product: Product::Connect,
                        source: format!("the description of {account}"),
                    }),
                    None => unread.push(format!(
                        "{account} is an account of Connect, and its description names no server"
                    )),
                }
            }
        }
        Err(why) => unread.push(format!("accounts of Connect: {why}")),
    }
    match directory.agent_accounts(&OWN_ACCOUNTS, accounts, cx)? {
        Ok((gmsas, more)) => {
            if more || gmsas.len() > MOST {
                unread.push(format!(
                    "more than {MOST} accounts of provisioning agents: the others are not looked at"
                ));
            }
            for (name, readers) in gmsas.into_iter().take(MOST) {
                let readers = match readers {
                    Ok(readers) => readers,
                    Err(why) => {
                        unread.push(format!("{name}: {why}"));
                        continue;
                    }
                };
                for sid in readers.iter().take(MOST) {
                    let source = || format!("may retrieve the password of {name}");
                    match directory.named(sid, cx)? {
                        Ok(Named::Computer(name)) => servers.push(DiscoveredServer {
                            name,
                            product: Product::ProvisioningAgent,
                            source: source(),
                        }),
                        Ok(Named::Group(group)) => {
                            let source = format!("{}, by {}", source(), group.name);
                            match directory.members(&group, cx)? {
                                Ok(Members {
                                    computers,
                                    foreign,
                                    more,
                                }) => {
                                    if more {
                                        unread.push(format!(
                                            "{} {source}: it has more members than one question gives, and the others are not looked at",
                                            group.name
                                        ));
                                    }
                                    if computers.is_empty() && foreign == 0 {
                                        unread.push(format!(
                                            "{} {source}: this account sees no computer among its members",
                                            group.name
                                        ));
                                    }
                                    servers.extend(computers.into_iter().map(|name| {
                                        DiscoveredServer {
                                            name,
                                            product: Product::ProvisioningAgent,
                                            source: source.clone(),
                                        }
                                    }));
                                    if foreign > 0 {
                                        unread.push(format!(
                                            "{foreign} members of {} are of another domain, and are not resolved from here: ask that domain ({source})",
                                            group.name
                                        ));
                                    }
                                }
                                Err(why) => unread
                                    .push(format!("the members of {} {source}: {why}", group.name)),
                            }
                        }
                        Ok(Named::Other(other)) => unread.push(format!(
                            "{other}, which is neither a computer nor a group, {}",
                            source()
                        )),
                        Err(why) => unread.push(format!("{sid} {}: {why}", source())),
                    }
                }
            }
        }
        Err(why) => unread.push(format!("accounts of provisioning agents: {why}")),
    }
    servers.sort();
    servers.dedup();
    if servers.len() > MOST {
        unread.push(format!("{} more servers are named", servers.len() - MOST));
        servers.truncate(MOST);
    }
    // The last remark says that there is more.
    unread.reverse();
    unread.truncate(MOST);
    let short = |why: &String| why.chars().take(200).collect();
    Ok((servers, unread.iter().map(short).collect()))
}

/// The computer that a description of Connect's account names: "… running on computer NAME configured to …".
fn computer(description: &str) -> Option<String> {
    const BEFORE: &str = "running on computer ";
    let lower = description.to_lowercase();
    let at = lower.find(BEFORE)? + BEFORE.len();
    let name = lower.get(at..)?.split_whitespace().next()?;
    let name = name.trim_matches(['\'', '"', '.', ',', ';']);
    let allowed = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '.' | '_');
    (!name.is_empty() && name.chars().all(allowed)).then(|| name.to_owned())
}

/// Who a security identifier is.
pub(super) enum Named {
    /// A computer, by its DNS name or else its short one.
    Computer(String),
    /// A group.
    Group(Group),
    /// Something else.
    Other(String),
}

/// A group of computers.
pub(super) struct Group {
    /// Its account.
    name: String,
    /// Its distinguished name.
    place: String,
    /// The last part of its identifier, by which an account names its primary group.
    relative: String,
}

/// Members of a group.
struct Members {
    /// Its computers.
    computers: Vec<String>,
    /// How many are of another domain.
    foreign: usize,
    /// There are more of either.
    more: bool,
}

/// A filter for gMSAs whose names begin so, or are these.
fn accounts(begin: &[&str], named: &[GmsaName]) -> String {
    let escaped = agent_directory::escaped;
    let begin = begin
        .iter()
        .map(|name| format!("(sAMAccountName={}*)", escaped(name)));
    let named = named
        .iter()
        .map(|name| format!("(sAMAccountName={})", escaped(name.as_str())));
    let names: String = begin.chain(named).collect();
    format!("(&(objectClass=msDS-GroupManagedServiceAccount)(|{names}))")
}

/// The name of a computer's account: its DNS name, else its short one.
fn name_of(entry: &DirectoryEntry) -> String {
    let account = entry.text("sAMAccountName").unwrap_or("?");
    let name = entry.text("dNSHostName").map(str::to_lowercase);
    name.unwrap_or_else(|| account.trim_end_matches('$').to_lowercase())
}

fn is_of(entry: &DirectoryEntry, class: &str) -> bool {
    let mut classes = entry.all("objectClass").iter();
    classes.any(|own| own.eq_ignore_ascii_case(class.as_bytes()))
}

impl Directory {
    fn connect_accounts(&self, cx: &mut Cx<'_>) -> Flow<Reading<Found>> {
        let filter = "(&(objectClass=user)(sAMAccountName=MSOL_*))";
        let attributes = ["sAMAccountName", "description"];
        let base = self.root.domain.clone();
        self.first(base, Scope::Subtree, filter, &attributes, cx)
    }

    /// gMSAs of provisioning agents, with who may retrieve their passwords, and whether there are more. The controller looks for the names,
    /// so that those of other services do not stand in the way.
    #[expect(
        clippy::type_complexity,
        reason = "names with readings, read in one place"
    )]
    fn agent_accounts(
        &self,
        own: &[&str],
        named: &[GmsaName],
        cx: &mut Cx<'_>,
    ) -> Flow<Reading<(Vec<(String, Reading<Vec<String>>)>, bool)>> {
        let filter = accounts(own, named);
        let attributes = ["sAMAccountName", "msDS-GroupMSAMembership"];
        let base = self.root.domain.clone();
        let found = self.first(base, Scope::Subtree, &filter, &attributes, cx)?;
        Ok(found.map(|found| {
            let of = |entry: &DirectoryEntry| {
                let name = entry.text("sAMAccountName")?.to_owned();
                Some((name, directory::readers(entry)))
            };
            (found.entries.iter().filter_map(of).collect(), found.more)
        }))
    }

    fn named(&self, sid: &str, cx: &mut Cx<'_>) -> Flow<Reading<Named>> {
        let filter = format!("(objectSid={sid})");
        let attributes = ["objectClass", "dNSHostName", "sAMAccountName"];
        let entry = self.one(self.root.domain.clone(), &filter, &attributes, cx)?;
        Ok(entry.and_then(|entry| {
            let entry = entry.ok_or("this account sees nobody of that identifier in the domain")?;
            let account = entry.text("sAMAccountName").unwrap_or("?").to_owned();
            Ok(if is_of(&entry, "computer") {
                Named::Computer(name_of(&entry))
            } else if is_of(&entry, "group") {
                Named::Group(Group {
                    name: account,
                    place: entry.name.clone(),
                    relative: sid.rsplit('-').next().unwrap_or_default().to_owned(),
                })
            } else {
                Named::Other(account)
            })
        }))
    }

    /// The computers of a group, by its groups too. The controller walks the chain
    /// of groups itself, rings included (matching rule 1.2.840.113556.1.4.1941 [K]); whose primary group it is stands in no list of
    /// members.
    fn members(&self, group: &Group, cx: &mut Cx<'_>) -> Flow<Reading<Members>> {
        let within = format!(
            "(memberOf:1.2.840.113556.1.4.1941:={})",
            agent_directory::escaped(&group.place)
        );
        let attributes = ["objectClass", "dNSHostName", "sAMAccountName"];
        let mut computers = Vec::new();
        let mut more = false;
        let ask = |filter: String, cx: &mut Cx<'_>| {
            let base = self.root.domain.clone();
            self.first(base, Scope::Subtree, &filter, &attributes, cx)
        };
        for which in [
            within.clone(),
            format!("(primaryGroupID={})", group.relative),
        ] {
            match ask(format!("(&(objectClass=computer){which})"), cx)? {
                Ok(found) => {
                    more |= found.more;
                    let entries = found.entries.iter();
                    // A gMSA is a kind of computer to the directory.
                    let own = entries.filter(|one| !is_of(one, "msDS-GroupManagedServiceAccount"));
                    computers.extend(own.map(name_of));
                }
                Err(why) => return Ok(Err(why)),
            }
        }
        let foreign = ask(
            format!("(&(objectClass=foreignSecurityPrincipal){within})"),
            cx,
        )?;
        computers.sort();
        computers.dedup();
        Ok(foreign.map(|foreign| Members {
            computers,
            foreign: foreign.entries.len(),
            more: more || foreign.more,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_computer_is_read_out_of_the_description() {
        let text = "Account created by Microsoft Azure Active Directory Connect with installation identifier 1a2b running on computer FAB-SYNC-01 configured to synchronize to tenant fabrikam.onmicrosoft.com. This account must have directory replication permissions.";
        assert_eq!(computer(text).as_deref(), Some("fab-sync-01"));
        let quoted = "… running on computer 'FAB-SYNC-01' configured to synchronize …";
        assert_eq!(computer(quoted).as_deref(), Some("fab-sync-01"));
        for none in [
            "",
            "running on computer",
            "running on computer $(x) now",
            "Kontoerstellung",
        ] {
            assert_eq!(computer(none), None, "{none}");
        }
    }
}
