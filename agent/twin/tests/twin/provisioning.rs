//! What the provisioning agent's steps ask and tell beside their main road: a server whose own domain its agent does not serve, a
//! cmdlet whose reason stands in the agent's own log, rights that a wizard does not give, and services that only seem to be well.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use agent_core::op::{Log, Op, Outcome, Script};
use agent_core::product;
use agent_twin::{Fault, Installed, Twin};
use protocol::event::{Event, Failure, Finding, Severity, Verdict};
use protocol::facts::ServiceState;
use protocol::signed::{Ending, StepEnding};
use protocol::step::{
    AddDomains, Cloud, DirectoryRights, GuideProvisioningAgent, OwnRights, Permission, Preflight,
    Product, RegisterProvisioningAgent, ServedDomain, SignIn, Step, VerifyProvisioningAgent,
};
use protocol::{DomainName, ServiceOptions};
use serde_json::json;

use crate::common::{NEWEST, drive, drive_with, server, serving, target, tenant, text};

/// What this server's agent serves, and what is not its own domain.
const OTHER: &str = "emea.corp.contoso.com";

fn unregistered(faults: &[Fault]) -> Twin {
    server(Installed::Unregistered { version: NEWEST }, faults)
}

fn home() -> DomainName {
    target().home_domain().unwrap()
}

fn served(name: &str, rights: DirectoryRights, permissions: &[Permission]) -> ServedDomain {
    ServedDomain {
        name: name.parse().unwrap(),
        preferred_dcs: Vec::new(),
        rights,
        permissions: permissions.to_vec(),
    }
}

fn findings(journal: &[Event]) -> Vec<Finding> {
    let probed = journal.iter().filter_map(|event| match event {
        Event::Probed { findings, .. } => Some(findings.clone()),
        _ => None,
    });
    probed.flatten().collect()
}

fn of<'a>(all: &'a [Finding], id: &str) -> Vec<&'a Finding> {
    all.iter().filter(|one| one.id == id).collect()
}

fn failure(journal: &[Event]) -> Failure {
    let failed = journal.iter().find_map(|event| match event {
        Event::StepFailed { failure, .. } => Some((**failure).clone()),
        _ => None,
    });
    failed.unwrap_or_else(|| panic!("nothing failed: {journal:?}"))
}

/// A preflight of a server whose agent serves another domain than its own, with an account that was made beforehand.
fn preflight(present: bool) -> Step {
    let other = || {
        served(
            OTHER,
            DirectoryRights::Handover,
            &[Permission::PasswordHashSync],
        )
    };
    Step::Preflight(Preflight {
        target: target(),
        product: Product::ProvisioningAgent,
        present,
        cloud: Cloud::Commercial,
        tenant: tenant(),
        sign_in: SignIn::Token,
        domains: vec![other()],
        gmsa: Some("svcEntraSync$".parse().unwrap()),
        own_rights: present.then(|| OwnRights {
            home_domain: home(),
            replicates: vec![other()],
        }),
        census: true,
        both_tools: Vec::new(),
        database: None,
        may_fix: Vec::new(),
        will_fix: Vec::new(),
        options: ServiceOptions::default(),
        proxy_signs_in: false,
        restarts: false,
        hosts: None,
        overridden: None,
        chosen: Vec::new(),
        demands_tls: false,
        stays: false,
    })
}

/// The gMSA lives in the server's own domain, whatever its agent serves (product facts 1.6): it is asked there.
#[test]
fn the_account_is_asked_in_the_servers_own_domain_whatever_its_agent_serves() {
    let (conclusion, journal, _) = drive(
        vec![preflight(false)],
        &mut server(Installed::Nothing, &[]),
        None,
    );
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    let seen = findings(&journal);
    for id in ["PF50", "PF52"] {
        let all = of(&seen, id);
        let [one] = all.as_slice() else {
            panic!("{id}: {seen:?}")
        };
        assert_eq!(one.verdict, Verdict::Pass, "{one:?}");
        assert!(one.what.ends_with(&format!("({})", home())), "{one:?}");
    }
    // Both domains must know gMSAs, and of the one that is not synchronized neither objects nor members of groups are counted.
    for (id, domains) in [("PF22", 2), ("PF46", 2), ("PF48", 2), ("PF58", 2)] {
        assert_eq!(of(&seen, id).len(), domains, "{id}: {seen:?}");
    }
    let elsewhere =
        |one: &&Finding| one.id == "PF58" && one.what.ends_with(&format!("({})", home()));
    assert_eq!(seen.iter().find(elsewhere), None);
    // From when on its key may be used is told under that domain's name: a plan has its earliest start from there.
    let keys = journal.iter().filter_map(|event| match event {
        Event::ForestRead {
            domain,
            kds_usable_from,
            ..
        } => kds_usable_from.map(|_| domain.clone()),
        _ => None,
    });
    assert_eq!(keys.collect::<Vec<_>>(), [home()]);

    // An account that does not name this server stops it there, as it does where the domain is served.
    let faults = [Fault::GmsaWithoutServer];
    let (conclusion, journal, _) = drive(
        vec![preflight(false)],
        &mut server(Installed::Nothing, &faults),
        None,
    );
    assert!(matches!(&conclusion.ending, Ending::Failed(_)));
    assert!(of(&findings(&journal), "PF50")[0].blocks());
}

/// What its account may do in a domain is read, once the account itself was found at home (PF54).
#[test]
fn rights_are_read_of_an_account_whose_home_is_not_served() {
    for (faults, read) in [
        (&[][..], "has them"),
        (&[Fault::RightsMissing], "are not looked up"),
    ] {
        let (_, journal, _) = drive(vec![preflight(true)], &mut serving(faults), None);
        let seen = findings(&journal);
        let all = of(&seen, "PF54");
        let [rights] = all.as_slice() else {
            panic!("{seen:?}")
        };
        assert!(rights.read.contains(read), "{}", rights.read);
    }
}

fn register(permissions: &[Permission]) -> Step {
    Step::RegisterProvisioningAgent(RegisterProvisioningAgent {
        target: target(),
        tenant: tenant(),
        cloud: Cloud::Commercial,
        sign_in: SignIn::Token,
        gmsa: Some("svcEntraSync$".parse().unwrap()),
        home_domain: home(),
        domains: vec![served(home().as_str(), DirectoryRights::Ask, permissions)],
        proxy: None,
        wizard: text(),
    })
}

/// A cmdlet often says that something went wrong, and the agent's own log says what (1.13): the log is read as well.
#[test]
fn a_cmdlet_that_fails_without_a_reason_is_explained_by_the_agents_own_log() {
    let shown = "[ERROR] Unable to install service account pGMSA_1a2b$ after 6 retries";
    let run = |said: &'static str, trace: &'static str| {
        let (conclusion, journal, _) = drive_with(
            vec![register(&[])],
            &mut unregistered(&[]),
            None,
            "value",
            |op, outcome| match op {
                Op::Script {
                    script: Script::ConfigureProvisioningAgent,
                    ..
                } => Outcome::Script {
                    lines: vec![json!({
                        "error": { "at": "Add-AADCloudSyncGMSA", "kind": "other", "message": said }
                    })],
                },
                Op::ReadLog {
                    log: Log::ProvisioningAgentTrace,
                    ..
                } => Outcome::Lines(vec!["[INFO] begins".to_owned(), trace.to_owned()]),
                _ => outcome,
            },
        );
        assert!(
            matches!(conclusion.ending, Ending::Failed(_)),
            "{conclusion:?}"
        );
        failure(&journal)
    };
    let plain = "One or more errors occurred.";
    let explained = run(plain, shown);
    assert_eq!(explained.known.unwrap().id, "KE03");
    let lines = &explained.lines;
    assert!(lines.iter().any(|line| line == plain), "{lines:?}");
    assert!(lines.iter().any(|line| line == shown), "{lines:?}");
    // What the cmdlet says itself comes first, and a log that says nothing explains nothing.
    let own = run("Failed changing Windows service credentials to gMSA", shown);
    assert_eq!(own.known.unwrap().id, "KE02");
    assert_eq!(run(plain, "[INFO] ends").known, None);
}

/// The wizard gives an account that was made beforehand no rights: whoever wrote some is told that they are not there (1.11).
#[test]
fn rights_that_are_written_are_not_taken_for_given_where_a_person_was_at_the_wizard() {
    let written = &[Permission::BasicRead][..];
    for (permissions, told) in [(written, true), (&[], false)] {
        let mut one = unregistered(&[Fault::ModuleLogging]);
        one.choose_account("svcEntraSync$");
        let (conclusion, ..) = drive(vec![register(permissions)], &mut one, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
        let summary = &conclusion.steps[0].summary;
        let says = summary.contains("for svcEntraSync$ in corp.contoso.com were not given");
        assert_eq!(says, told, "{summary}");
    }
}

fn verify(soaked_seconds: Option<u32>) -> Step {
    Step::VerifyProvisioningAgent(VerifyProvisioningAgent {
        tenant: tenant(),
        at_least: NEWEST,
        gmsa: None,
        own_rights: None,
        options: ServiceOptions::default(),
        soaked_seconds,
    })
}

/// PV04 is about both services (6): the updater keeps the agent within its support.
#[test]
fn an_updater_that_does_not_run_or_is_not_started_by_windows_fails_the_verification() {
    let run = |change: fn(&mut agent_core::op::Service)| {
        let (conclusion, journal, _) = drive_with(
            vec![verify(None)],
            &mut serving(&[]),
            None,
            "value",
            |op, outcome| match (op, outcome) {
                (Op::Service { name }, Outcome::Service(Some(mut service)))
                    if name == product::UPDATER_SERVICE =>
                {
                    change(&mut service);
                    Outcome::Service(Some(service))
                }
                (_, outcome) => outcome,
            },
        );
        let finding = of(&findings(&journal), "PV04")[0].clone();
        (conclusion.ending, finding)
    };
    let (ending, finding) = run(|_| {});
    assert_eq!(
        (ending, finding.verdict),
        (Ending::Completed, Verdict::Pass)
    );
    type Change = fn(&mut agent_core::op::Service);
    let changes: [(Change, &str); 2] = [
        (
            |service| service.state = ServiceState::NotRunning,
            "AzureADConnectAgentUpdater NotRunning, started by Windows",
        ),
        (
            |service| service.automatic = false,
            "AzureADConnectAgentUpdater Running, started by hand",
        ),
    ];
    for (change, read) in changes {
        let (ending, finding) = run(change);
        assert!(matches!(&ending, Ending::Failed(why) if why.contains("PV04")));
        assert!(
            finding.blocks() && finding.read.contains(read),
            "{finding:?}"
        );
        assert!(finding.fix.contains("updates itself"), "{}", finding.fix);
    }
}

/// A service that ends again and again may run at the very moment at which it is looked at (PV07): Windows has seen it.
#[test]
fn a_service_that_ends_again_and_again_is_not_verified_without_a_soak_either() {
    let (conclusion, journal, _) = drive(vec![verify(None)], &mut serving(&[]), None);
    assert_eq!(conclusion.ending, Ending::Completed);
    assert_eq!(of(&findings(&journal), "PV07")[0].verdict, Verdict::Pass);

    let mut loops = serving(&[Fault::ServiceRestarts]);
    let (conclusion, journal, _) = drive(vec![verify(None)], &mut loops, None);
    assert!(matches!(&conclusion.ending, Ending::Failed(why) if why.contains("PV07")));
    let seen = findings(&journal);
    let read = &of(&seen, "PV07")[0].read;
    assert!(
        read.contains("2 unexpected ends") && read.contains("event 7031"),
        "{read}"
    );

    // What ended once, hours ago, may have been mended; what cannot be read is not taken for well, and stops nothing.
    for (ends, verdict) in [
        (json!([{ "id": 7034, "minutes": 400 }]), Verdict::Fail),
        (json!({ "why": "access is denied" }), Verdict::CannotTell),
    ] {
        let (conclusion, journal, _) = drive_with(
            vec![verify(None)],
            &mut serving(&[]),
            None,
            "value",
            |op, outcome| match op {
                Op::Script {
                    script: Script::ReadAgentEvents,
                    input,
                    ..
                } => {
                    assert_eq!(input["services"][1], product::UPDATER_SERVICE);
                    Outcome::Script {
                        lines: vec![json!({ "events": [], "noise": 0, "ends": ends })],
                    }
                }
                _ => outcome,
            },
        );
        assert_eq!(conclusion.ending, Ending::Completed);
        let seen = findings(&journal);
        let finding = of(&seen, "PV07")[0];
        assert_eq!(
            (finding.verdict, finding.severity),
            (verdict, Severity::Warn)
        );
    }
}

/// Domains that a person added at the wizard: their rights are not given either.
#[test]
fn domains_that_a_person_added_have_no_rights_that_were_written() {
    let add = |permissions: &[Permission]| {
        Step::AddDomains(AddDomains {
            tenant: tenant(),
            sign_in: SignIn::Wizard,
            proxy: None,
            domains: vec![served(OTHER, DirectoryRights::Ask, permissions)],
            wizard: text(),
        })
    };
    for (permissions, told) in [(&[Permission::All][..], true), (&[], false)] {
        let (conclusion, ..) = drive_with(
            vec![add(permissions)],
            &mut serving(&[]),
            None,
            "value",
            |op, outcome| match op {
                Op::Wait { .. } => Outcome::Attested {
                    by: "anna".to_owned(),
                },
                _ => outcome,
            },
        );
        assert_eq!(conclusion.ending, Ending::Completed);
        let summary = &conclusion.steps[0].summary;
        assert_eq!(
            summary.contains("in emea.corp.contoso.com were not given"),
            told,
            "{summary}"
        );
    }
}

/// The person at the wizard forgets a domain: the agent is registered all the same, and no probe sees what it serves. A step that adds
/// both looks in a signed-in session, and adds the one that is not there.
#[test]
fn a_domain_that_a_person_forgot_at_the_wizard_is_found_by_the_step_that_adds_it() {
    let guide = Step::GuideProvisioningAgent(GuideProvisioningAgent {
        target: target(),
        tenant: tenant(),
        gmsa: None,
        preferred_dcs: Vec::new(),
        home_domain: home(),
        domains: vec![home(), OTHER.parse().unwrap()],
        text: text(),
    });
    let mut server = unregistered(&[]);
    server.forget_domain(&OTHER.parse().unwrap());
    server.asked(&guide);
    let (conclusion, ..) = drive(vec![guide], &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    assert_eq!(conclusion.steps[0].ending, StepEnding::SeenDone);
    assert_eq!(server.domains(), [home().to_string()]);
    let names = [home().to_string(), OTHER.to_owned()];
    let add = Step::AddDomains(AddDomains {
        tenant: tenant(),
        sign_in: SignIn::Token,
        proxy: None,
        domains: names
            .iter()
            .map(|name| served(name, DirectoryRights::Handover, &[]))
            .collect(),
        wizard: text(),
    });
    let (conclusion, ..) = drive(vec![add], &mut server, None);
    assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
    let added: Vec<&String> = server
        .changes
        .iter()
        .filter(|one| one.starts_with("add domain"))
        .collect();
    assert_eq!(added, [&format!("add domain {OTHER}")]);
    assert_eq!(server.domains(), names);
}

/// PV10: controllers that are written for a domain stand in what the module lists, in their order; its form is in no source, so that
/// what does not stand there warns.
#[test]
fn preferred_controllers_that_the_module_does_not_list_are_told() {
    let add = Step::AddDomains(AddDomains {
        tenant: tenant(),
        sign_in: SignIn::Token,
        proxy: None,
        domains: vec![protocol::step::ServedDomain {
            preferred_dcs: ["dc2", "dc1"]
                .map(|dc| format!("{dc}.{OTHER}").parse().unwrap())
                .to_vec(),
            ..served(OTHER, DirectoryRights::Handover, &[])
        }],
        wizard: text(),
    });
    let listed = |both: &str| format!("DomainName : {OTHER}\r\nPreferred : {both}");
    let (one, two) = (format!("dc1.{OTHER}"), format!("dc2.{OTHER}"));
    let all = "every planned domain".to_owned();
    let of_domain = format!("the preferred controllers of {OTHER} are");
    for (text, said) in [
        (None, all.clone()),
        (Some(listed(&format!("{two}, {one}"))), all.clone()),
        (Some(listed(&two)), format!("{of_domain} not listed: {one}")),
        (
            Some(listed(&format!("{one}, {two}"))),
            format!("{of_domain} listed in another order"),
        ),
    ] {
        let (conclusion, journal, _) = drive_with(
            vec![add.clone()],
            &mut serving(&[]),
            None,
            "value",
            |_, outcome| match (outcome, &text) {
                (Outcome::Script { mut lines }, Some(text)) => {
                    for line in &mut lines {
                        if line["step"] == "Get-AADCloudSyncDomains" {
                            line["text"] = json!(text);
                        }
                    }
                    Outcome::Script { lines }
                }
                (outcome, _) => outcome,
            },
        );
        assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
        let seen = findings(&journal);
        let finding = of(&seen, "PV10")[0];
        assert!(finding.read.contains(&said), "{text:?}: {finding:?}");
        let passes = said == all;
        assert_eq!(finding.verdict == Verdict::Pass, passes, "{finding:?}");
        assert_eq!(finding.severity, Severity::Warn);
    }
}

/// PV10: a name may stand in the list as the forest of another domain. Where each row has its domain by itself, that one counts and nothing
/// beside it; else what stood there before it was added proves nothing.
#[test]
fn a_mention_of_a_domain_is_no_proof_that_it_is_listed() {
    let add = Step::AddDomains(AddDomains {
        tenant: tenant(),
        sign_in: SignIn::Token,
        proxy: None,
        domains: vec![served(OTHER, DirectoryRights::Handover, &[])],
        wizard: text(),
    });
    let child = format!("child.{OTHER}");
    let row = format!("DomainName : {child}\r\nForestName : {OTHER}");
    let (added, was, untold) = (json!(false), json!(true), json!(null));
    let refusal = "the words of nobody's list";
    for (names, mentioned, there, verdict, read) in [
        (
            json!([OTHER, child]),
            true,
            &added,
            Verdict::Pass,
            "every planned domain",
        ),
        (json!([child]), true, &added, Verdict::Fail, "not listed"),
        (json!([child]), false, &added, Verdict::Fail, "not listed"),
        (
            json!(null),
            true,
            &added,
            Verdict::CannotTell,
            "cannot be told",
        ),
        // A module that shows its rows otherwise is taken by its words, as far as they say something new.
        (
            json!(null),
            false,
            &added,
            Verdict::Pass,
            "every planned domain",
        ),
        // The cmdlet itself said that it is there.
        (
            json!(null),
            true,
            &was,
            Verdict::Pass,
            "every planned domain",
        ),
        // It refused in words that are not known.
        (json!(null), true, &untold, Verdict::CannotTell, refusal),
        (json!([child]), true, &untold, Verdict::Fail, refusal),
    ] {
        let instead = |_: &Op, outcome| {
            let Outcome::Script { mut lines } = outcome else {
                return outcome;
            };
            for line in &mut lines {
                if line["step"] == "Get-AADCloudSyncDomains" {
                    line["text"] = json!(row);
                    line["names"] = names.clone();
                }
                if line["step"] == "Add-AADCloudSyncADDomain" {
                    line["mentioned"] = json!(mentioned);
                    line["there"] = there.clone();
                    if there.is_null() {
                        line["refused"] = json!(refusal);
                    }
                }
            }
            Outcome::Script { lines }
        };
        let (conclusion, journal, _) =
            drive_with(vec![add.clone()], &mut serving(&[]), None, "value", instead);
        assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
        let seen = findings(&journal);
        let finding = of(&seen, "PV10")[0];
        assert_eq!(finding.verdict, verdict, "{names} {mentioned}: {finding:?}");
        assert!(finding.read.contains(read), "{names}: {finding:?}");
        let told = match verdict {
            Verdict::Pass => "the module lists them",
            Verdict::Fail => "the module does not show them",
            Verdict::CannotTell => "whether the module lists them cannot be told",
        };
        let summary = &conclusion.steps[0].summary;
        assert!(summary.contains(told), "{summary}");
        let did = match there.as_bool() {
            Some(false) => "added: ",
            Some(true) => "there already, and given its written rights: ",
            None => "whether it was there already cannot be told: ",
        };
        assert!(summary.contains(did), "{summary}");
    }
}

/// The sign-in by a token is in no documentation: a version of the module that does not know the parameter is told as that.
#[test]
fn a_module_that_does_not_know_the_way_to_sign_in_says_which_other_way_there_is() {
    let mut server = serving(&[]);
    let add = Step::AddDomains(AddDomains {
        tenant: tenant(),
        sign_in: SignIn::Token,
        proxy: None,
        domains: vec![served(OTHER, DirectoryRights::Handover, &[])],
        wizard: text(),
    });
    let (conclusion, journal, _) = drive_with(
        vec![add],
        &mut server,
        None,
        "value",
        |op, outcome| match op {
            Op::Script { script, .. } if *script == Script::ConfigureProvisioningAgent => {
                Outcome::Script {
                    lines: vec![json!({ "error": {
                        "at": "Connect-AADCloudSyncAzureAD", "kind": "parameter",
                        "message": "A parameter cannot be found that matches parameter name 'AccessToken'.",
                    } })],
                }
            }
            _ => outcome,
        },
    );
    assert!(matches!(conclusion.ending, Ending::Failed(_)));
    let failure = failure(&journal);
    assert!(
        failure
            .what
            .contains("does not take this way of signing in")
            && failure.what.contains("sign_in = \"wizard\""),
        "{failure:?}"
    );
}
