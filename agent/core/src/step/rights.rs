//! What an account that was made beforehand may do in the domains that its agents serve. The product does not give it its
//! rights since 1.1.2334.0 (facts 1.6, 1.11), and without those of replication no password hash is synchronized (PF54, PV18).

use protocol::event::{Finding, Severity};
use protocol::step::{OwnRights, Permission, ServedDomain};
use protocol::{DomainName, GmsaName};

use crate::catalogue::{self, Probe};
use crate::procedure::{Cx, Flow, Reading};
use crate::step::directory::{self, Account, Directory};

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
    let opened = directory::open(home, preferred, cx)?;
    let account = match &opened {
        Ok(directory) => directory.service_account(&name, cx)?,
        Err(why) => Err(why.clone()),
    };
    let mut findings = Vec::new();
    for domain in &rights.replicates {
        let directory = if domain.name == *home {
            opened.clone()
        } else {
            directory::open(&domain.name, &domain.preferred_dcs, cx)?
        };
        let account = (&name, home, account.as_ref());
        let mut finding = replication(probe, account, domain, directory.as_ref(), cx)?;
        finding.what = format!("{} ({})", finding.what, domain.name);
        findings.push(finding);
    }
    Ok(findings)
}

/// Asks a domain whether the account, which lives in its own domain, has the rights of replication there.
pub(super) fn replication(
    probe: &Probe,
    (name, home, account): (&GmsaName, &DomainName, Result<&Account, &String>),
    domain: &ServedDomain,
    directory: Result<&Directory, &String>,
    cx: &mut Cx<'_>,
) -> Flow<Finding> {
    let lacking: Reading<Vec<&str>> = match (account, directory) {
        (Ok(account), Ok(directory)) => directory.lacks(account, domain.name == *home, cx)?,
        (Err(why), _) | (_, Err(why)) => Err(why.clone()),
    };
    let show = |lacking: &Vec<&str>| {
        if lacking.is_empty() {
            format!("{name} has them")
        } else {
            format!("{name} lacks {}", lacking.join(", "))
        }
    };
    // Groups of another domain, in which the account may be, are seen by that domain's controllers alone.
    let lacking = lacking.and_then(|lacking| {
        if lacking.is_empty() || domain.name == *home {
            Ok(lacking)
        } else {
            let what = show(&lacking);
            Err(format!(
                "{what} by itself and by its groups of {home}; groups of {} are not looked up",
                domain.name
            ))
        }
    });
    let mut finding = probe.judge_gently(lacking, show, |lacking| lacking.is_empty());
    if !hashes(domain) {
        finding.severity = finding.severity.min(Severity::Warn);
    }
    Ok(finding)
}

/// Whether it is written that password hashes of a domain are synchronized, which without these rights are not.
fn hashes(domain: &ServedDomain) -> bool {
    let own = [Permission::PasswordHashSync, Permission::All];
    own.iter().any(|one| domain.permissions.contains(one))
}
