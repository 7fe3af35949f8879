//! What a preflight of Connect Sync may mend, and what its database holds: prerequisites with their old value kept and put back, and
//! the objects of all domains against LocalDB.

use agent_core::product;
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Event, Finding, Owner, Severity, Verdict};
use protocol::signed::Ending;
use protocol::step::{
    Cloud, DirectoryRights, Fix, Preflight, Product, ServedDomain, SignIn, Step, UndoFixes,
};
use protocol::{ConnectDatabase, DomainName};

use crate::common::{drive, target, tenant};

fn served(name: &str) -> ServedDomain {
    ServedDomain {
        name: name.parse::<DomainName>().expect("a domain"),
        preferred_dcs: Vec::new(),
        rights: DirectoryRights::Handover,
        permissions: Vec::new(),
    }
}

pub(crate) fn preflight(
    database: Option<ConnectDatabase>,
    domains: &[&str],
    may_fix: Vec<Fix>,
) -> Preflight {
    Preflight {
        target: target(),
        product: Product::Connect,
        present: false,
        cloud: Cloud::Commercial,
        tenant: tenant(),
        sign_in: SignIn::Wizard,
        domains: domains.iter().map(|name| served(name)).collect(),
        gmsa: None,
        own_rights: None,
        census: true,
        both_tools: Vec::new(),
        database,
        may_fix,
        will_fix: Vec::new(),
        options: protocol::ServiceOptions::default(),
        proxy_signs_in: false,
        restarts: false,
        hosts: None,
        overridden: None,
        chosen: Vec::new(),
        demands_tls: false,
        stays: false,
    }
}

fn server(faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed: Installed::Nothing,
        person: None,
        faults: faults.iter().copied().collect(),
    })
}

fn asked(preflight: Preflight, server: &mut Twin) -> (Ending, Vec<Finding>, String) {
    let (conclusion, journal, _) = drive(vec![Step::Preflight(preflight)], server, None);
    let mut findings = Vec::new();
    for event in journal {
        if let Event::Probed { findings: told, .. } = event {
            findings.extend(told);
        }
    }
    let summary = conclusion.steps[0].summary.clone();
    (conclusion.ending, findings, summary)
}

const HOME: &str = "corp.contoso.com";

/// Product facts 2.8: the values of .NET in both trees. Each is kept with what it was, and comes back.
#[test]
fn what_connect_needs_of_net_is_set_kept_and_put_back() {
    let faults = [Fault::TlsOff];
    let verdicts = |findings: &[Finding]| {
        let of = |id: &str| {
            let mut all = findings.iter().filter(|one| one.id == id);
            all.next_back().map(|one| one.verdict)
        };
        [of("PF17"), of("PF18")]
    };
    let mut untouched = server(&faults);
    let (_, findings, _) = asked(preflight(None, &[HOME], Vec::new()), &mut untouched);
    assert_eq!(verdicts(&findings), [Some(Verdict::Fail); 2]);
    assert!(untouched.changes.is_empty(), "{:?}", untouched.changes);
    // Who only asks hears whose work it will be.
    let mut asks = preflight(None, &[HOME], Vec::new());
    asks.will_fix = vec![Fix::Tls12];
    let (_, findings, _) = asked(asks, &mut untouched);
    let mut own = findings.iter().filter(|one| one.id == "PF18");
    assert!(own.any(|one| one.owner == Owner::Entrain && one.fix.contains("may_fix")));
    assert!(untouched.changes.is_empty(), "{:?}", untouched.changes);

    let fresh = server(&faults);
    let mut mended = fresh.clone();
    let fixes = || preflight(None, &[HOME], vec![Fix::Tls12]);
    let (conclusion, _, actions) = drive(vec![Step::Preflight(fixes())], &mut mended, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let summary = &conclusion.steps[0].summary;
    assert!(
        summary.contains("SchUseStrongCrypto of v4.0.30319 set to 1 (was 0)"),
        "{summary}"
    );
    // What SCHANNEL says is no prerequisite of Connect here, and is left.
    assert!(!summary.contains("of Client"), "{summary}");
    let (_, findings, summary) = asked(fixes(), &mut mended);
    assert_eq!(verdicts(&findings), [Some(Verdict::Pass); 2], "{summary}");
    assert!(!summary.contains("set to"), "{summary}");
    for cut in 0..actions {
        let mut one = fresh.clone();
        let (after, ..) = drive(vec![Step::Preflight(fixes())], &mut one, Some(cut));
        assert_eq!(after.ending, Ending::Completed, "cut at {cut}");
        let (_, findings, _) = asked(fixes(), &mut one);
        assert_eq!(
            verdicts(&findings),
            [Some(Verdict::Pass); 2],
            "cut at {cut}"
        );
    }
    let undo = Step::UndoFixes(UndoFixes {
        fixes: vec![Fix::Tls12],
        anyway: false,
    });
    let (conclusion, ..) = drive(vec![undo], &mut mended, None);
    assert_eq!(conclusion.ending, Ending::Completed);
    let (_, findings, _) = asked(preflight(None, &[HOME], Vec::new()), &mut mended);
    assert_eq!(verdicts(&findings), [Some(Verdict::Fail); 2], "as it was");
}

/// What a group policy sets is left for Connect as for the other product, and the policy is named.
#[test]
fn what_a_policy_sets_is_left() {
    let mut server = server(&[Fault::TlsOff, Fault::SetByPolicy]);
    let steps = preflight(None, &[HOME], vec![Fix::Tls12]);
    let (_, _, summary) = asked(steps, &mut server);
    assert!(
        summary.contains(
            "SchUseStrongCrypto of v4.0.30319 was left as it is: policy \"Servers: hardening\""
        ),
        "{summary}"
    );
    assert!(
        !server
            .changes
            .iter()
            .any(|change| change.contains(product::DOTNET_CRYPTO_KEY)),
        "{:?}",
        server.changes
    );
}

/// Product facts 2.7: about 100000 objects in one LocalDB, whichever domain they are of; a full SQL Server has no such limit.
#[test]
fn the_objects_of_all_domains_are_held_against_the_one_database() {
    let of = |database, domains: &[&str], faults: &[Fault]| {
        let (_, findings, _) = asked(
            preflight(database, domains, Vec::new()),
            &mut server(faults),
        );
        let all = findings.into_iter().filter(|one| one.id == "PF58");
        all.collect::<Vec<Finding>>()
    };
    let sql = || {
        Some(ConnectDatabase {
            server: "sql-01.corp.contoso.com".parse().expect("a server"),
            name: "ADSync".parse().expect("a name"),
            existing: false,
            installer: None,
        })
    };
    let two = [HOME, "emea.contoso.com"];
    let large = [Fault::DomainTooLarge];
    let seen = of(None, &two, &large);
    let last = seen.last().expect("of all domains");
    assert_eq!(
        last.what,
        "users, groups and contacts of all domains together"
    );
    assert_eq!(
        (last.verdict, last.severity),
        (Verdict::Fail, Severity::Warn)
    );
    for words in [
        "custom settings",
        "databases",
        "express settings always take LocalDB",
    ] {
        assert!(last.fix.contains(words), "{words}: {}", last.fix);
    }
    assert!(seen.iter().all(|one| one.severity == Severity::Warn));
    let seen = of(sql(), &two, &large);
    assert_eq!(seen.len(), 2, "of each domain alone");
    assert!(
        seen.iter().all(|one| one.verdict == Verdict::Pass),
        "{seen:#?}"
    );
    assert!(seen[0].wanted.contains("full SQL Server"), "{seen:#?}");
    assert!(
        of(None, &two, &[])
            .iter()
            .all(|one| one.verdict == Verdict::Pass)
    );
}

/// Product facts 2.8: what was counted of the domains asks more of the server's hardware. What is set meanwhile changes none of it.
#[test]
fn what_was_counted_stands_once_something_was_set() {
    let faults = [Fault::DomainTooLarge, Fault::TlsOff];
    let mut server = server(&faults);
    let steps = preflight(None, &[HOME], vec![Fix::Tls12]);
    let (ending, findings, summary) = asked(steps, &mut server);
    assert_eq!(ending, Ending::Completed);
    assert!(summary.contains("set to 1"), "{summary}");
    let told = |id: &str, what: &str| {
        let mut all = findings.iter().filter(|one| one.id == id);
        all.find(|one| one.what.contains(what))
            .map(|one| one.verdict)
    };
    assert_eq!(told("PF18", ""), Some(Verdict::Pass), "{findings:#?}");
    assert_eq!(told("PF58", ""), Some(Verdict::Fail), "{findings:#?}");
    assert_eq!(
        told("PF08", "objects that were counted"),
        Some(Verdict::Fail),
        "{findings:#?}"
    );
}
