//! PF53: the credential that a domain's administrator gave, tried before the product's cmdlet is given it: one simple bind over
//! TLS to a controller of that domain, who it is there, and how long it lasts. Where no TLS is to be had nothing is sent, and
//! nothing is told.

use std::time::Duration;

use protocol::Timestamp;
use protocol::event::{Failure, Finding, Severity, Verdict};
use protocol::secret::SecretKind;
use protocol::step::{DirectoryRights, ServedDomain};

use crate::catalogue;
use crate::directory::{file_time, sid};
use crate::op::{DirectoryAccount, DirectoryEntry, Scope};
use crate::procedure::{Cx, Flow, Reading, Stop};
use crate::step::controllers::{candidates, named};
use crate::step::directory::{Directory, REFUSED, root};

/// For how long a credential must last: between the moment at which it is given and the cmdlet's own use lies the wait for
/// leave, for which a site's window may be a night away.
const APPOINTMENT: Duration = Duration::from_secs(24 * 3600);

/// How many controllers are tried at most. A credential that one has refused is shown to no other: each try counts towards a
/// lockout.
const CONTROLLERS: usize = 3;

/// Relative identifiers of Domain Admins, in each domain its own, and of Enterprise Admins, of which a forest has one ([K]).
const DOMAIN_ADMINS: u32 = 512;
const ENTERPRISE_ADMINS: &str = "-519";

/// How identifiers of a domain's own accounts begin ([K]).
const OF_A_DOMAIN: &str = "S-1-5-21-";

/// When something never ends, as a directory writes it ([K]).
const NEVER: [i64; 2] = [0, i64::MAX];

/// Tries the credential of each domain that gives one, notes the answers, and ends the step where one blocks.
///
/// # Errors
/// While outcomes are missing, and when a credential will not do.
pub(super) fn check(domains: &[ServedDomain], cx: &mut Cx<'_>) -> Flow<()> {
    let mut findings = Vec::new();
    for domain in domains {
        if domain.rights == DirectoryRights::Ask {
            findings.push(of(domain, cx)?);
        }
    }
    if findings.is_empty() {
        return Ok(());
    }
    cx.note(&findings)?;
    findings.retain(Finding::blocks);
    let Some(first) = findings.first() else {
        return Ok(());
    };
    let mut failure = Failure::plain(format!(
        "{}: {} (read: {}): it was not used",
        first.id, first.what, first.read
    ));
    failure.findings = findings;
    Err(Stop::Failed(Box::new(failure)))
}

/// Tries the credential that was given for a domain.
///
/// # Errors
/// While outcomes are missing.
pub(super) fn of(domain: &ServedDomain, cx: &mut Cx<'_>) -> Flow<Finding> {
    let seen = look(domain, cx)?;
    let mut finding = match seen {
        Ok(Seen::Refused(why)) => catalogue::PF53.finding(why, Verdict::Fail),
        Ok(Seen::Known(known)) => known.judge(domain),
        Err(why) => catalogue::PF53.finding(why, Verdict::CannotTell),
    };
    if finding.verdict == Verdict::CannotTell {
        finding.severity = finding.severity.min(Severity::Warn);
    }
    finding.what = format!("{} ({})", finding.what, domain.name);
    Ok(finding)
}

enum Seen {
    /// The controller does not take it, for this reason.
    Refused(String),
    /// It does.
    Known(Known),
}

/// Who signed in.
struct Known {
    /// The controller that took it.
    server: String,
    /// Why it was not another one.
    instead: String,
    /// One of the two groups that may do it, where it is in one.
    group: Option<&'static str>,
    /// When password or account end, whatever comes first; `None` for never.
    ends: Reading<Option<(Timestamp, &'static str)>>,
    /// This server's clock.
    now: Timestamp,
}

impl Known {
    fn judge(self, domain: &ServedDomain) -> Finding {
        let at = format!("signs in at {}", self.server);
        let (read, verdict) = match (self.group, self.ends) {
            (None, _) => (
                format!(
                    "{at}, and is neither in Domain Admins of {} nor in Enterprise Admins",
                    domain.name
                ),
                Verdict::Fail,
            ),
            (Some(_), Ok(Some((ends, what)))) if ends < self.now.plus(APPOINTMENT) => {
                (format!("{at}; {what} ends {ends}"), Verdict::Fail)
            }
            (Some(group), Ok(Some((ends, what)))) => (
                format!("{at}, in {group}; {what} ends {ends}"),
                Verdict::Pass,
            ),
            (Some(group), Ok(None)) => (
                format!("{at}, in {group}; nothing of it ends"),
                Verdict::Pass,
            ),
            (Some(group), Err(why)) => (format!("{at}, in {group}; {why}"), Verdict::CannotTell),
        };
        catalogue::PF53.finding(format!("{read}{}", self.instead), verdict)
    }
}

fn look(domain: &ServedDomain, cx: &mut Cx<'_>) -> Flow<Reading<Seen>> {
    let candidates = match candidates(&domain.name, &domain.preferred_dcs, cx)? {
        Ok(candidates) => candidates,
        Err(why) => return Ok(Err(why)),
    };
    let mut silent = Vec::new();
    for server in candidates.into_iter().take(CONTROLLERS) {
        let mut root = match root(&server, cx)? {
            Ok(root) => root,
            Err(why) => {
                silent.push(named(&server, &why));
                continue;
            }
        };
        root.passed_over.clone_from(&silent);
        let account = DirectoryAccount::Given(SecretKind::DomainCredential {
            domain: domain.name.clone(),
        });
        let directory = Directory { root, account };
        // What a controller says of whoever asks: the account itself first, then its groups ([K]).
        let attributes = ["tokenGroups"];
        let scope = Scope::Base;
        let token = directory.search(String::new(), scope, "(objectClass=*)", &attributes, cx)?;
        match token {
            Ok((entries, now)) => {
                let token = entries.first().cloned().unwrap_or_default();
                return Ok(known(&directory, &token, now, cx)?.map(Seen::Known));
            }
            Err(why) if why.contains(REFUSED) => {
                let why = refusal(&why)
                    .map_or(why.clone(), |meant| format!("{server} refuses it: {meant}"));
                return Ok(Ok(Seen::Refused(why)));
            }
            Err(why) => silent.push(format!("not tried, without TLS nothing is sent: {why}")),
        }
    }
    Ok(Err(silent.join("; ")))
}

fn known(
    directory: &Directory,
    token: &DirectoryEntry,
    now: Timestamp,
    cx: &mut Cx<'_>,
) -> Flow<Reading<Known>> {
    let token: Vec<String> = token
        .all("tokenGroups")
        .iter()
        .filter_map(|one| Some(sid(one)?.0))
        .collect();
    let Some(own) = token.first().filter(|own| own.starts_with(OF_A_DOMAIN)) else {
        return Ok(Err("the controller does not tell who signed in".to_owned()));
    };
    let context = directory.root.domain.clone();
    let scope = Scope::Base;
    let found = directory.search(
        context.clone(),
        scope,
        "(objectClass=*)",
        &["objectSid"],
        cx,
    )?;
    let domain = found.and_then(|(entries, _)| {
        let own = entries
            .first()
            .and_then(|root| root.all("objectSid").first());
        let own = own.and_then(|own| sid(own));
        own.map(|(own, _)| own)
            .ok_or_else(|| "the domain's own identifier is not shown".to_owned())
    });
    let domain = match domain {
        Ok(domain) => domain,
        Err(why) => return Ok(Err(why)),
    };
    let admins = format!("{domain}-{DOMAIN_ADMINS}");
    let enterprise =
        |one: &&String| one.starts_with(OF_A_DOMAIN) && one.ends_with(ENTERPRISE_ADMINS);
    let group = if token.contains(&admins) {
        Some("Domain Admins")
    } else {
        let enterprise = token.iter().skip(1).find(enterprise);
        enterprise.map(|_| "Enterprise Admins")
    };
    let filter = format!("(objectSid={own})");
    let attributes = [
        "accountExpires",
        "pwdLastSet",
        "msDS-UserPasswordExpiryTimeComputed",
    ];
    let ends = directory.one(context, &filter, &attributes, cx)?;
    let ends = ends.and_then(|account| {
        let account =
            account.ok_or("its account lies in another domain, where its end is not looked up")?;
        ends_of(&account)
    });
    Ok(Ok(Known {
        server: directory.root.server.clone(),
        instead: directory.root.instead(),
        group,
        ends,
        now,
    }))
}

/// When an account's password, or the account itself, ends.
fn ends_of(account: &DirectoryEntry) -> Reading<Option<(Timestamp, &'static str)>> {
    let mut ends: Vec<(Timestamp, &'static str)> = Vec::new();
    if account.number("pwdLastSet") == Some(0) {
        // It must be changed first: it ended before it was ever used.
        ends.push((Timestamp::from_millis(0), "its password"));
    }
    for (attribute, what) in [
        ("msDS-UserPasswordExpiryTimeComputed", "its password"),
        ("accountExpires", "its account"),
    ] {
        let ticks = account.number(attribute);
        let ticks = ticks.ok_or_else(|| format!("{attribute} is not shown"))?;
        if NEVER.contains(&ticks) {
            continue;
        }
        let end = file_time(ticks).ok_or_else(|| format!("{attribute} is {ticks}"))?;
        ends.push((end, what));
    }
    ends.sort();
    Ok(ends.into_iter().next())
}

/// Why Active Directory refused, by the number that it puts into its answer ([K]).
fn refusal(why: &str) -> Option<&'static str> {
    let number = why.split("data ").nth(1)?;
    let end = number.find(|sign: char| !sign.is_ascii_hexdigit());
    Some(match number.get(..end.unwrap_or(number.len()))? {
        "525" => "there is no such account",
        "52e" => "user name or password is wrong",
        "530" => "the account may not sign in at this hour",
        "531" => "the account may not sign in from this server",
        "532" => "the password has expired",
        "533" => "the account is disabled",
        "701" => "the account has expired",
        "773" => "the password must be changed first",
        "775" => "the account is locked out",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_by_what_it_means() {
        let said = |data: &str| {
            format!(
                "dc1: {REFUSED}: 80090308: LdapErr: DSID-0C09044E, comment: AcceptSecurityContext error, data {data}, v3839"
            )
        };
        assert_eq!(refusal(&said("532")), Some("the password has expired"));
        assert_eq!(refusal(&said("775")), Some("the account is locked out"));
        assert_eq!(refusal(&said("1")), None);
        assert_eq!(refusal("dc1: invalid credentials"), None);
    }

    #[test]
    fn the_first_end_counts_and_never_is_no_end() {
        let account = |password: i64, account: i64| {
            let mut entry = DirectoryEntry::default();
            for (name, ticks) in [
                ("pwdlastset", 1),
                ("msds-userpasswordexpirytimecomputed", password),
                ("accountexpires", account),
            ] {
                let value = ticks.to_string().into_bytes();
                entry.values.insert(name.to_owned(), vec![value]);
            }
            entry
        };
        const NOW: i64 = 134_000_000_000_000_000;
        assert_eq!(ends_of(&account(i64::MAX, 0)), Ok(None));
        let first = ends_of(&account(NOW + 1, NOW)).unwrap().unwrap();
        assert_eq!(first, (file_time(NOW).unwrap(), "its account"));
        let unread = DirectoryEntry::default();
        assert!(ends_of(&unread).is_err(), "what is not shown is no never");
    }
}
