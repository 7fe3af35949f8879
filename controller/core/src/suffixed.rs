//! PF57 at the controller: the users that an agent counted by the suffix of their user principal name, held against the tenant's
//! verified domains as they were last read (product facts 1.7 [P]). An agent sees its directory alone.

use protocol::DomainName;
use protocol::event::{Finding, Verdict};
use protocol::suffixes::UserSuffixes;

use crate::tenant::{Kept, Part, Read, Seen, Suffix};

/// The probe.
const SUFFIXES: &str = "PF57";

/// An agent's answer to PF57 as it weighs by what is known of the tenant; every other answer stays as it is. Without a reading of the
/// tenant's domains it cannot be told, but where no registry gives out a suffix that was counted.
pub(crate) fn weighed(mut finding: Finding, seen: Option<&Seen>) -> Finding {
    if finding.id != SUFFIXES {
        return finding;
    }
    let Ok(counted) = finding.read.parse::<UserSuffixes>() else {
        return finding;
    };
    "suffixes that are verified domains of the tenant".clone_into(&mut finding.wanted);
    let read = seen.filter(|seen| seen.observation.domains.seen().is_some());
    let Some(read) = read else {
        let why = match seen.map(|seen| &seen.observation.domains) {
            Some(Part::NotSeen(why)) => format!("not seen in tenant: {why}"),
            Some(Part::Seen(_)) | None => {
                "not seen in tenant: nobody has read it (entrain tenant read)".to_owned()
            }
        };
        if finding.verdict == Verdict::Pass {
            finding.verdict = Verdict::CannotTell;
        }
        finding.read = format!("{counted}; which of them are verified is {why}");
        return finding;
    };
    let verified = |suffix: &str| {
        let domain = suffix.parse::<DomainName>().ok();
        domain.and_then(|domain| read.observation.suffix(&domain)) == Some(Suffix::Verified)
    };
    let all: u64 = counted.rows.iter().map(|(_, users)| users).sum();
    let under = counted.rows.iter().filter(|(suffix, _)| verified(suffix));
    let under: u64 = under.map(|(_, users)| users).sum();
    finding.verdict = match (under == all, counted.is_whole()) {
        (false, _) => Verdict::Fail,
        (true, true) => Verdict::Pass,
        // What was not counted may be otherwise.
        (true, false) => Verdict::CannotTell,
    };
    let Read { at, by } = read.read(Kept::Domains);
    finding.read = format!(
        "{under} of {all} users have a suffix that the tenant has verified, as {by} read it at {at}: {counted}"
    );
    finding
}

#[cfg(test)]
mod tests {
    use protocol::Timestamp;
    use protocol::event::{Owner, Severity};

    use super::*;
    use crate::tenant::{DomainSeen, Observation};

    fn counted(read: &str, verdict: Verdict) -> Finding {
        Finding {
            id: SUFFIXES.to_owned(),
            what: String::new(),
            read: read.to_owned(),
            wanted: String::new(),
            verdict,
            severity: Severity::Warn,
            fix: String::new(),
            owner: Owner::Directory,
        }
    }

    fn seen(domains: Part<Vec<DomainSeen>>) -> Seen {
        let tenant = "3f0c8a4e-0000-0000-0000-000000000000"
            .parse()
            .expect("a tenant");
        let at = Timestamp::from_millis(1_790_000_000_000);
        Seen {
            observation: Observation {
                domains,
                ..Observation::unseen_all(&tenant, at, "not asked")
            },
            by: "anna".to_owned(),
        }
    }

    /// A verified domain brings its subdomains along; whoever has no name, or one that can be none of a tenant, is under none.
    #[test]
    fn each_suffix_is_held_against_the_verified_domains() {
        let domains = vec![DomainSeen {
            name: "contoso.com".to_owned(),
            verified: true,
        }];
        let seen = seen(Part::Seen(domains));
        for (read, verdict) in [
            (
                "6 under contoso.com, 1 under emea.contoso.com",
                Verdict::Pass,
            ),
            ("6 under contoso.com, more suffixes", Verdict::CannotTell),
            (
                "of the first 9 objects: 6 under contoso.com",
                Verdict::CannotTell,
            ),
            ("of the first 9 objects: 6 under other.com", Verdict::Fail),
            ("6 under contoso.com, 1 under corp.local", Verdict::Fail),
            (
                "6 under contoso.com, 1 under no user principal name",
                Verdict::Fail,
            ),
        ] {
            let one = weighed(counted(read, Verdict::Pass), Some(&seen));
            assert_eq!(one.verdict, verdict, "{one:?}");
            assert!(one.read.ends_with(read), "{one:?}");
        }
    }

    /// What cannot be verified anywhere fails without a reading; the rest cannot be told.
    #[test]
    fn without_a_reading_it_cannot_be_told() {
        let unseen = seen(Part::NotSeen("it was not granted".to_owned()));
        for (seen, why) in [
            (None, "nobody has read it"),
            (Some(&unseen), "it was not granted"),
        ] {
            let one = weighed(counted("6 under contoso.com", Verdict::Pass), seen);
            assert_eq!(one.verdict, Verdict::CannotTell);
            assert!(one.read.contains(why), "{one:?}");
            let bad = weighed(counted("6 under corp.local", Verdict::Fail), seen);
            assert_eq!(bad.verdict, Verdict::Fail);
        }
        let other = counted("this account is shown no users", Verdict::CannotTell);
        assert_eq!(weighed(other.clone(), None), other);
    }
}
