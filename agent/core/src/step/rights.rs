//! What an account that was made beforehand may do in the domains that its agents serve. The product does not give it its
//! rights since 1.1.2334.0 (facts 1.6, 1.11): without those of replication no password hash is synchronized, without those of writeback no
//! password is written back (PF54, PV18). They are looked for on the domain itself, where the product's cmdlets set them ([P] for
//! replication and Unexpire Password, [I] for the others): what was given on organizational units alone does not show there.

use protocol::event::{Finding, Severity, Verdict};
use protocol::step::{OwnRights, Permission, ServedDomain};
use protocol::{DomainName, GmsaName};

use crate::catalogue::{self, Probe};
use crate::permissions;
use crate::procedure::{Cx, Flow};
use crate::step::controllers;
use crate::step::directory::{Account, Directory};

/// Verifies the rights of the account under which the agent's service runs.
///
/// # Errors
/// While outcomes are missing.
pub(super) fn verified(
    rights: &OwnRights,
    account: Option<&str>,
    cx: &mut Cx<'_>,
) -> Flow<Vec<Finding>> {
    let probe = &catalogue::PV18;
    let untold =
        |why: String| probe.judge_gently(Err::<(), _>(why), |()| String::new(), |()| false);
    if rights.replicates.is_empty() {
        let account = account.unwrap_or("the service account");
        let read = format!("not read: what {account} may do in the served domains");
        return Ok(vec![untold(read)]);
    }
    let Some(name) = account.and_then(GmsaName::of_account) else {
        let read = "not read: the service runs as no group managed service account";
        return Ok(vec![untold(read.to_owned())]);
    };
    let home = &rights.home_domain;
    let served = rights.replicates.iter().find(|one| one.name == *home);
    let preferred = served.map_or(&[][..], |served| &served.preferred_dcs);
    let opened = controllers::open(home, preferred, cx)?;
    let account = match &opened {
        Ok(directory) => directory.service_account(&name, cx)?,
        Err(why) => Err(why.clone()),
    };
    let mut findings = Vec::new();
    for domain in &rights.replicates {
        let directory = if domain.name == *home {
            opened.clone()
        } else {
            controllers::open(&domain.name, &domain.preferred_dcs, cx)?
        };
        let account = (&name, home, account.as_ref());
        for mut finding in given(probe, account, domain, directory.as_ref(), cx)? {
            finding.what = format!("{} ({})", finding.what, domain.name);
            if let Ok(directory) = &directory {
                finding.read.push_str(&directory.root.instead());
            }
            findings.push(finding);
        }
    }
    Ok(findings)
}

/// Asks a domain which rights the account, which lives in its own domain, has there: a finding for each set that is written, and one
/// about replication where nothing is.
pub(super) fn given(
    probe: &Probe,
    (name, home, account): (&GmsaName, &DomainName, Result<&Account, &String>),
    domain: &ServedDomain,
    directory: Result<&Directory, &String>,
    cx: &mut Cx<'_>,
) -> Flow<Vec<Finding>> {
    let read = match (account, directory) {
        (Ok(account), Ok(directory)) => directory.access(cx)?.map(|entries| (account, entries)),
        (Err(why), _) | (_, Err(why)) => Err(why.clone()),
    };
    let is_own = domain.name == *home;
    let judge = |set: Permission| {
        let rights = permissions::rights(set);
        let lacking = read.as_ref().map_err(Clone::clone);
        let lacking = lacking.and_then(|(account, entries)| account.lacks(rights, entries, is_own));
        let show = |lacking: &Vec<&str>| {
            if lacking.is_empty() {
                format!("{name} has them")
            } else {
                format!("{name} lacks {}", lacking.join(", "))
            }
        };
        // Groups of another domain, in which the account may be, are seen by that domain's controllers alone.
        let lacking = lacking.and_then(|lacking| {
            if lacking.is_empty() || is_own {
                Ok(lacking)
            } else {
                let what = show(&lacking);
                Err(format!(
                    "{what} by itself and by its groups of {home}; groups of {} are not looked up",
                    domain.name
                ))
            }
        });
        let finding = probe.judge_gently(lacking, show, |lacking| lacking.is_empty());
        of_set(finding, set, &domain.permissions)
    };
    let mut sets = permissions::each(&domain.permissions);
    if sets.is_empty() {
        sets.push(Permission::PasswordHashSync);
    }
    // The one that the catalogue's row is about goes first.
    sets.sort_by_key(|set| *set != Permission::PasswordHashSync);
    Ok(sets.into_iter().map(judge).collect())
}

/// What a finding says of a set. The catalogue's row is about password hashes; what a domain uses blocks where the facts say so (PV18:
/// hashes and writeback), and of the other sets nobody says how grave their lack is.
fn of_set(mut finding: Finding, set: Permission, written: &[Permission]) -> Finding {
    let uses = written.contains(&set) || written.contains(&Permission::All);
    let blocks = matches!(
        set,
        Permission::PasswordHashSync | Permission::PasswordWriteback
    );
    if !uses || !blocks {
        finding.severity = finding.severity.min(Severity::Warn);
    }
    if set == Permission::PasswordHashSync {
        return finding;
    }
    let names = permissions::rights(set).iter().map(|right| right.name);
    finding.what = format!(
        "rights of an account that was made beforehand, for {}",
        set.as_str()
    );
    finding.wanted = format!(
        "on the domain, with all below: {}",
        names.collect::<Vec<_>>().join(", ")
    );
    if finding.verdict != Verdict::Pass {
        finding.fix = format!(
            "the domain's administrator runs part 3 of `entrain handover DOMAIN`, which gives {}; what was given on organizational units alone does not show on the domain: take {} out of its `permissions` then and plan again, since nobody can see there whether it is whole",
            set.cmdlet_word(),
            set.as_str()
        );
    }
    finding
}
