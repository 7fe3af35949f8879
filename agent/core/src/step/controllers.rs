//! Which domain controller answers: those that a topology prefers first, in their order, then those that the server finds, the
//! one that Windows itself would take before all others. One that is stale or behind a firewall is passed over, and that is said.
//!
//! And guard rail G3, which rests on it: another server's change of a gMSA object must be readable where this server's product
//! looks. In which controller its cmdlet or its wizard makes or reads the account is in no source: controllers are given to it
//! with a domain alone (product facts 1.4 [P]), so that the account may be asked of the one that Windows takes. Hence both are
//! asked where controllers are preferred: the first of those that answers, and the first that is found.

use std::time::Duration;

use protocol::event::GmsaChange;
use protocol::task::{self, Page, TaskText};
use protocol::{DomainName, GmsaName, TargetId};

use crate::op::DirectoryAccount;
use crate::procedure::{Cx, Flow, Reading};
use crate::step::directory::{Directory, Root, root};
use crate::step::facts;

/// How many domain controllers are tried at most: each that does not answer takes as long as a connection may.
pub(super) const CONTROLLERS: usize = 8;

/// How many of those that Windows has before the preferred one are asked about a change of a gMSA: the one that it takes, and the next. A
/// site whose firewall lets the preferred ones through alone waits for no more of them at each look.
const NEAREST: usize = 2;

/// How often another server's change is looked for before a person is asked.
const REPLICATION: (u32, Duration) = (20, Duration::from_secs(30));

/// How often it is looked for while a person looks as well.
const WATCH: Duration = Duration::from_secs(60);

/// The controllers of a domain in the order in which they are asked, none twice: the preferred ones, then those that are found.
///
/// # Errors
/// While the outcome is missing.
pub(super) fn candidates(
    domain: &DomainName,
    preferred: &[TargetId],
    cx: &mut Cx<'_>,
) -> Flow<Reading<Vec<String>>> {
    let mut all: Vec<String> = preferred.iter().map(ToString::to_string).collect();
    match cx.domain_controllers(domain.as_str())? {
        Ok(found) => {
            for one in found {
                if !all.contains(&one) {
                    all.push(one);
                }
            }
        }
        Err(why) if all.is_empty() => return Ok(Err(why)),
        Err(_) => {}
    }
    if all.is_empty() {
        return Ok(Err(none(domain)));
    }
    Ok(Ok(all))
}

fn none(domain: &DomainName) -> String {
    format!("no domain controller of {domain} is found")
}

/// What was tried until one answered.
#[derive(Default)]
struct Tried {
    /// How many were asked.
    asked: usize,
    /// Each that was passed over, with why.
    passed_over: Vec<String>,
    /// Read-only ones, for when no other answers.
    read_only: Vec<Root>,
}

impl Tried {
    fn preferred(&mut self, servers: &[TargetId], cx: &mut Cx<'_>) -> Flow<Option<Root>> {
        for server in servers {
            // Who is preferred is taken as it is: that it is read-only, a preflight says (PF25).
            if let Some(root) = self.ask(server.as_str(), cx)? {
                return Ok(Some(root));
            }
        }
        Ok(None)
    }

    /// One that may be written to goes before one that may not, to which the product cannot write either.
    fn found(
        &mut self,
        servers: &[String],
        preferred: &[TargetId],
        cx: &mut Cx<'_>,
    ) -> Flow<Option<Root>> {
        for server in servers {
            if preferred.iter().any(|one| one.as_str() == server) {
                continue;
            }
            let Some(root) = self.ask(server, cx)? else {
                continue;
            };
            if !root.read_only {
                let others = self.read_only.drain(..);
                let others = others.map(|other| format!("{} is read-only", other.server));
                self.passed_over.extend(others);
                return Ok(Some(root));
            }
            self.read_only.push(root);
        }
        Ok(std::mem::take(&mut self.read_only).into_iter().next())
    }

    fn ask(&mut self, server: &str, cx: &mut Cx<'_>) -> Flow<Option<Root>> {
        if self.asked >= CONTROLLERS {
            return Ok(None);
        }
        self.asked += 1;
        Ok(match root(server, cx)? {
            Ok(root) => Some(root),
            Err(why) => {
                self.passed_over.push(named(server, &why));
                None
            }
        })
    }
}

/// Why a controller was passed over, with its name once.
pub(super) fn named(server: &str, why: &str) -> String {
    if why.contains(server) {
        why.to_owned()
    } else {
        format!("{server}: {why}")
    }
}

/// The first controller that answers everyone. Preferred ones first, in their order; where none of them answers, those that are found, of
/// which one that may be written to goes first.
///
/// # Errors
/// While outcomes are missing.
pub fn answering(
    domain: &DomainName,
    preferred: &[TargetId],
    cx: &mut Cx<'_>,
) -> Flow<Reading<Root>> {
    let mut tried = Tried::default();
    let mut answers = tried.preferred(preferred, cx)?;
    if answers.is_none() {
        match cx.domain_controllers(domain.as_str())? {
            Ok(found) if found.is_empty() => tried.passed_over.push(none(domain)),
            Ok(found) => answers = tried.found(&found, preferred, cx)?,
            Err(why) => tried.passed_over.push(why),
        }
    }
    Ok(match answers {
        Some(mut root) => {
            root.passed_over = tried.passed_over;
            Ok(root)
        }
        None if tried.passed_over.is_empty() => Err(none(domain)),
        None => Err(tried.passed_over.join("; ")),
    })
}

/// Opens a domain controller of a domain as the server's own account sees it.
///
/// # Errors
/// While outcomes are missing.
pub fn open(
    domain: &DomainName,
    preferred: &[TargetId],
    cx: &mut Cx<'_>,
) -> Flow<Reading<Directory>> {
    Ok(answering(domain, preferred, cx)?.map(as_server))
}

const fn as_server(root: Root) -> Directory {
    Directory {
        root,
        account: DirectoryAccount::Server,
    }
}

/// The controllers where this server's product may look, and why others were passed over. None where controllers are preferred and none of
/// them answers: what the product does then nobody knows.
fn products(
    domain: &DomainName,
    preferred: &[TargetId],
    cx: &mut Cx<'_>,
) -> Flow<(Vec<Root>, Vec<String>)> {
    let mut tried = Tried::default();
    let first = tried.preferred(preferred, cx)?;
    if first.is_none() && !preferred.is_empty() {
        return Ok((Vec::new(), tried.passed_over));
    }
    let mut asked: Vec<Root> = first.into_iter().collect();
    match cx.domain_controllers(domain.as_str())? {
        Ok(found) if found.is_empty() => tried.passed_over.push(none(domain)),
        Ok(found) => {
            // Behind the preferred one that answers nobody is taken any more.
            let own = asked.first().map(|root| root.server.as_str());
            let own = found.iter().position(|one| Some(one.as_str()) == own);
            let before = &found[..own.unwrap_or(found.len()).min(NEAREST)];
            // A preferred one that was not asked yet is one like any other here.
            let known = &preferred[..tried.asked.min(preferred.len())];
            let first = tried.found(before, known, cx)?;
            asked.extend(first.filter(|first| own.is_none() || !first.read_only));
        }
        Err(why) => tried.passed_over.push(why),
    }
    Ok((asked, tried.passed_over))
}

/// What this server did to a gMSA object, as its domain controller shows it: who may retrieve the password since, this
/// server among them. What cannot be read is told as that.
///
/// # Errors
/// While outcomes are missing.
pub fn gmsa_change(
    by: &TargetId,
    domain: &DomainName,
    preferred: &[TargetId],
    cx: &mut Cx<'_>,
) -> Flow<GmsaChange> {
    let account = facts::provisioning_agent(cx)?
        .found
        .and_then(|agent| agent.account);
    let name = account.as_deref().and_then(GmsaName::of_account);
    let mut change = GmsaChange {
        by: by.clone(),
        name: name.clone(),
        readers: None,
    };
    let Some(name) = name else {
        return Ok(change);
    };
    let (times, pause) = REPLICATION;
    change.readers = cx
        .retry(times, pause, |cx| {
            let mut untold = true;
            for root in products(domain, preferred, cx)?.0 {
                match own_readers(as_server(root), by, &name, cx)? {
                    Ok(Some(readers)) => return Ok(Some(Some(readers))),
                    Ok(None) => untold = false,
                    // Asking again does not help whoever may not read.
                    Err(_) => {}
                }
            }
            Ok(untold.then_some(None))
        })?
        .flatten();
    Ok(change)
}

/// Who may retrieve the password as one controller shows it, once this server is among them.
fn own_readers(
    directory: Directory,
    by: &TargetId,
    name: &GmsaName,
    cx: &mut Cx<'_>,
) -> Flow<Reading<Option<Vec<String>>>> {
    let own = match directory.computer(by.as_str(), cx)? {
        Ok(own) => own,
        Err(why) => return Ok(Err(why)),
    };
    let gmsa = directory.gmsa(name, cx)?;
    Ok(gmsa.and_then(|gmsa| {
        let readers = gmsa.map_or(Ok(Vec::new()), |gmsa| gmsa.readers)?;
        Ok(own.is_among(&readers)?.then_some(readers))
    }))
}

/// Waits until the change that another server made is readable on the domain controllers that this one's product uses (G3). Where
/// that cannot be seen, a person looks. It comes before anything is done in the section.
///
/// # Errors
/// While outcomes are missing.
pub fn await_change(
    change: &GmsaChange,
    domain: &DomainName,
    preferred: &[TargetId],
    cx: &mut Cx<'_>,
) -> Flow<String> {
    cx.untouched(|cx| readable(change, domain, preferred, cx))
}

/// What a look at the controllers gave.
#[derive(Default)]
struct Looked {
    /// Whether all of them show the change; `None` where that cannot be told.
    all: Option<bool>,
    servers: Vec<String>,
    passed_over: Vec<String>,
}

fn look(
    change: &GmsaChange,
    domain: &DomainName,
    preferred: &[TargetId],
    cx: &mut Cx<'_>,
) -> Flow<Looked> {
    let (asked, passed_over) = products(domain, preferred, cx)?;
    let servers = asked.iter().map(|root| root.server.clone()).collect();
    let mut looked = Looked {
        all: None,
        servers,
        passed_over,
    };
    let (Some(name), Some(wanted)) = (&change.name, &change.readers) else {
        return Ok(looked);
    };
    let mut all = (!asked.is_empty()).then_some(true);
    for root in asked {
        let gmsa = as_server(root).gmsa(name, cx)?;
        let readers = gmsa.and_then(|gmsa| gmsa.map_or(Ok(Vec::new()), |gmsa| gmsa.readers));
        all = match (all, readers) {
            (None, _) | (_, Err(_)) => None,
            (Some(so_far), Ok(readers)) => {
                Some(so_far && wanted.iter().all(|one| readers.contains(one)))
            }
        };
    }
    looked.all = all;
    Ok(looked)
}

fn readable(
    change: &GmsaChange,
    domain: &DomainName,
    preferred: &[TargetId],
    cx: &mut Cx<'_>,
) -> Flow<String> {
    let mut last = Looked::default();
    let (times, pause) = REPLICATION;
    cx.retry(times, pause, |cx| {
        last = look(change, domain, preferred, cx)?;
        // Where nothing can be told, asking again does not help.
        Ok((last.all != Some(false)).then_some(()))
    })?;
    let readable = |looked: &Looked| {
        let mut told = format!(
            "the change by {} is readable at {}",
            change.by,
            looked.servers.join(" and at ")
        );
        if !looked.passed_over.is_empty() {
            let elsewhere = looked.passed_over.join("; ");
            told.push_str(&format!(
                "; this server could not read it elsewhere: {elsewhere}"
            ));
        }
        told
    };
    if last.all == Some(true) {
        return Ok(readable(&last));
    }
    if last.servers.is_empty() {
        let first = preferred.first().map(ToString::to_string);
        last.servers
            .push(first.unwrap_or_else(|| domain.to_string()));
    }
    cx.task(&person_looks(change, domain, &last))?;
    let looked = cx.until(WATCH, |cx| {
        let looked = look(change, domain, preferred, cx)?;
        Ok((looked.all == Some(true)).then_some(looked))
    })?;
    Ok(match looked {
        Ok(looked) => readable(&looked),
        Err(by) => format!("{by} attests that {}", readable(&last)),
    })
}

fn person_looks(change: &GmsaChange, domain: &DomainName, last: &Looked) -> TaskText {
    let name = change.name.as_ref().map_or("the gMSA", GmsaName::as_str);
    let mut lines: Vec<String> = last
        .servers
        .iter()
        .map(|server| {
            format!(
                "Get-ADServiceAccount {name} -Server {server} -Properties PrincipalsAllowedToRetrieveManagedPassword"
            )
        })
        .collect();
    lines.push(format!(
        "{} (or a group of it) must be listed; then attest it",
        change.by
    ));
    let passed_over = last.passed_over.iter();
    lines.extend(passed_over.map(|why| format!("not asked by this server: {why}")));
    TaskText {
        title: format!(
            "see that the change of {name} has reached {}",
            last.servers.join(" and ")
        ),
        why: format!(
            "{} changed {name} before; two servers that change it on different data would undo each other",
            change.by
        ),
        bring: vec![format!("an account that may read {name} in {domain}")],
        pages: vec![Page {
            title: "On any workstation with the Active Directory module".to_owned(),
            lines,
        }],
        seen_by: task::SHOWN_BY_DIRECTORY.to_owned(),
    }
}
