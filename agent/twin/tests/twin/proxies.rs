//! The proxy that a topology plans for Connect's engine is held against machine.config, which alone the engine reads (PF30 to PF32).
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use agent_core::op::{Op, Outcome, Service};
use agent_core::procedure::{Host, Next, Procedure, Want};
use agent_core::product;
use agent_core::step;
use agent_twin::{Fault, Twin};
use protocol::ServiceOptions;
use protocol::event::{Finding, Severity, Verdict};
use protocol::facts::ServiceState;
use protocol::step::{Cloud, Preflight, Product, SignIn, Step};

use crate::common::{target, tenant};
use crate::switch::server;

const PLANNED: &str = "http://proxy.corp.contoso.com:3128";

fn preflight(planned: Option<&str>, signs_in: bool) -> Step {
    Step::Preflight(Preflight {
        target: target(),
        product: Product::Connect,
        present: true,
        cloud: Cloud::Commercial,
        tenant: tenant(),
        sign_in: SignIn::Wizard,
        domains: Vec::new(),
        chosen: Vec::new(),
        demands_tls: false,
        stays: false,
        gmsa: None,
        own_rights: None,
        census: false,
        both_tools: Vec::new(),
        database: None,
        may_fix: Vec::new(),
        will_fix: Vec::new(),
        options: ServiceOptions {
            proxy: planned.map(|planned| planned.parse().unwrap()),
            ..ServiceOptions::default()
        },
        proxy_signs_in: signs_in,
        restarts: false,
        hosts: None,
        overridden: None,
    })
}

/// What is told of the proxy, of a server whose owner has written what is planned but for its faults.
fn told(step: &Step, twin: &mut Twin, instead: impl Fn(&Op, Outcome) -> Outcome) -> Vec<Finding> {
    twin.asked(step);
    let (host, mut run, mut seen) = (Host::model("0"), Procedure::new(false), Vec::new());
    for _ in 0..2_000 {
        match run.drive(&[], &host, |cx| step::perform(step, cx)) {
            Next::Want(Want::Op(op)) => {
                let (outcome, _) = twin.perform(&op, &BTreeMap::new());
                run.add(instead(&op, outcome));
            }
            Next::Want(want) => {
                if let Want::Findings(findings) = want {
                    seen.extend(findings);
                }
                run.add(Outcome::Done);
            }
            Next::Complete(_) | Next::Failed(_) | Next::CannotTell(_) => return seen,
        }
    }
    seen
}

fn plain(_: &Op, outcome: Outcome) -> Outcome {
    outcome
}

fn of<'a>(seen: &'a [Finding], id: &'a str) -> Vec<&'a Finding> {
    seen.iter().filter(|one| one.id == id).collect()
}

#[test]
fn machine_config_must_name_the_planned_proxy_whatever_the_system_has() {
    for (faults, blocks, warns) in [
        (&[][..], false, false),
        (&[Fault::MachineProxyDiffers], true, false),
        // The system has another one: the engine does not go by it, and the person at the wizard does.
        (&[Fault::ProxySet], false, true),
        (&[Fault::ProxySet, Fault::MachineProxyDiffers], true, true),
        // Without a sign-in nobody asks whether the engine would do one.
        (&[Fault::MachineProxyAnonymous], false, false),
    ] {
        let step = preflight(Some(PLANNED), false);
        let seen = told(&step, &mut server(true, faults), plain);
        let machine = of(&seen, "PF31");
        assert_eq!(machine.len(), 1, "{faults:?}: {machine:?}");
        assert_eq!(machine[0].blocks(), blocks, "{faults:?}: {machine:?}");
        assert!(machine[0].wanted.contains(PLANNED), "{machine:?}");
        assert!(
            !blocks
                || machine[0].fix.contains("machine.config") && machine[0].fix.contains(PLANNED),
            "{machine:?}"
        );
        let system = of(&seen, "PF30");
        let failed = system.iter().any(|one| one.verdict == Verdict::Fail);
        assert_eq!(failed, warns, "{faults:?}: {system:?}");
        assert!(system.iter().all(|one| !one.blocks()));
    }
    // One that is written without a scheme, or with a last slash, is the same one.
    let spelled = |op: &Op, outcome: Outcome| match (op, outcome) {
        (Op::Script { .. }, Outcome::Script { mut lines }) => {
            for line in &mut lines {
                if line["machineProxy"].is_string() {
                    line["machineProxy"] = "Proxy.corp.contoso.com:3128".into();
                }
            }
            Outcome::Script { lines }
        }
        (_, outcome) => outcome,
    };
    let seen = told(
        &preflight(Some(PLANNED), false),
        &mut server(true, &[]),
        spelled,
    );
    assert_eq!(of(&seen, "PF31")[0].verdict, Verdict::Pass);
    // What cannot be read is no word against it.
    let unread = |op: &Op, outcome: Outcome| match (op, outcome) {
        (Op::Script { .. }, Outcome::Script { mut lines }) => {
            for line in &mut lines {
                if line["machineProxy"].is_string() {
                    line["machineProxy"] = serde_json::json!({ "why": "access is denied" });
                }
            }
            Outcome::Script { lines }
        }
        (_, outcome) => outcome,
    };
    let seen = told(
        &preflight(Some(PLANNED), false),
        &mut server(true, &[]),
        unread,
    );
    let machine = of(&seen, "PF31")[0];
    assert!(
        machine.verdict == Verdict::CannotTell && !machine.blocks(),
        "{machine:?}"
    );
}

#[test]
fn a_proxy_that_demands_a_sign_in_wants_the_engine_to_do_it_as_a_domain_account() {
    let signs_in = preflight(Some(PLANNED), true);
    let account = |account: &'static str| {
        move |op: &Op, outcome: Outcome| match op {
            Op::Service { name } if name == product::CONNECT_SERVICE => {
                Outcome::Service(Some(Service {
                    state: ServiceState::Running,
                    account: account.to_owned(),
                    automatic: true,
                }))
            }
            _ => outcome,
        }
    };
    let seen = told(&signs_in, &mut server(true, &[]), account("CORP\\svcSync$"));
    let machine = of(&seen, "PF31");
    assert_eq!(machine.len(), 2, "{machine:?}");
    assert!(
        machine.iter().all(|one| one.verdict == Verdict::Pass),
        "{machine:?}"
    );
    // That it asks Entrain for a sign-in too is as planned.
    let asks = &[Fault::ProxyDemandsSignIn][..];
    let seen = told(
        &signs_in,
        &mut server(true, asks),
        account("svcSync@corp.contoso.com"),
    );
    let system = of(&seen, "PF30");
    assert!(
        system.iter().any(|one| one.read.contains("as planned"))
            && system.iter().all(|one| one.verdict == Verdict::Pass),
        "{system:?}"
    );
    let seen = told(
        &preflight(Some(PLANNED), false),
        &mut server(true, asks),
        plain,
    );
    let system = of(&seen, "PF30");
    assert!(
        system
            .iter()
            .any(|one| one.verdict == Verdict::Fail && one.fix.contains("proxy_sign_in")),
        "{system:?}"
    );
    // 407 to this agent says nothing of the engine, which shows another account; 403 says that the proxy lets nobody through.
    let web = |signs_in| {
        let step = preflight(Some(PLANNED), signs_in);
        let seen = told(&step, &mut server(true, &[Fault::WebServiceRefused]), plain);
        (of(&seen, "PF32")[0].verdict, of(&seen, "PF32")[0].blocks())
    };
    assert_eq!(web(true), (Verdict::CannotTell, false));
    assert_eq!(web(false), (Verdict::Fail, true));
    // machine.config does not let it sign in.
    let anonymous = &[Fault::MachineProxyAnonymous][..];
    let seen = told(
        &signs_in,
        &mut server(true, anonymous),
        account("CORP\\svcSync$"),
    );
    let machine = of(&seen, "PF31");
    assert!(
        machine[0].blocks() && machine[0].fix.contains("useDefaultCredentials"),
        "{machine:?}"
    );
    // An account of Windows' own, or of this computer alone, is none of the domain: that warns, since it stays as it is.
    for own in [
        "NT SERVICE\\ADSync",
        "NT AUTHORITY\\SYSTEM",
        ".\\sync",
        "SYNC-01\\sync",
        "LocalSystem",
    ] {
        let seen = told(&signs_in, &mut server(true, &[]), account(own));
        let machine = of(&seen, "PF31");
        assert_eq!(
            (machine[1].verdict, machine[1].severity),
            (Verdict::Fail, Severity::Warn),
            "{own}: {machine:?}"
        );
        assert!(
            !machine[1].blocks() && machine[1].read.contains(own),
            "{machine:?}"
        );
    }
}

/// Where none is planned the two that are there are held against each other, as before.
#[test]
fn where_no_proxy_is_planned_machine_config_is_held_against_the_systems() {
    for (faults, blocks) in [
        (&[][..], false),
        (&[Fault::ProxySet], false),
        (&[Fault::MachineProxyDiffers], true),
    ] {
        let seen = told(&preflight(None, false), &mut server(true, faults), plain);
        assert_eq!(of(&seen, "PF31")[0].blocks(), blocks, "{faults:?}");
    }
}

/// Whatever names it: somebody may have written a user and a password into a proxy's address.
#[test]
fn a_user_in_a_proxys_address_is_told_nowhere() {
    for faults in [&[][..], &[Fault::CloudBlocked]] {
        let named = |_: &Op, outcome: Outcome| match outcome {
            Outcome::Script { mut lines } => {
                for line in &mut lines {
                    for key in ["proxy", "machineProxy", "systemProxy"] {
                        if line[key].is_string() {
                            line[key] = "http://user:hidden-word@proxy.contoso.com:8080".into();
                        }
                    }
                }
                Outcome::Script { lines }
            }
            outcome => outcome,
        };
        for planned in [None, Some(PLANNED)] {
            let seen = told(&preflight(planned, false), &mut server(true, faults), named);
            assert!(!of(&seen, "PF26").is_empty() && !of(&seen, "PF31").is_empty());
            for one in &seen {
                assert!(!format!("{one:?}").contains("hidden-word"), "{one:?}");
            }
        }
    }
}
