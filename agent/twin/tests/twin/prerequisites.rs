//! Prerequisites that are judged value by value, what a change of theirs waits for, and an account that is asked for before it is made.
#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;

use agent_core::op::{Op, Outcome, RegistryValue, Script};
use agent_core::procedure::{Host, Next, Procedure, Want};
use agent_core::{product, step};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Event, Finding, Severity, Verdict};
use protocol::signed::Ending;
use protocol::step::{Fix, Preflight, Product, Step};

use crate::common::{drive, drive_with, target};
use crate::mended;

const ENABLED: (&str, &str) = (product::TLS12_CLIENT_KEY, "Enabled");
const DISABLED: (&str, &str) = (product::TLS12_CLIENT_KEY, "DisabledByDefault");
const STRONG: (&str, &str) = (product::DOTNET_CRYPTO_KEY, "SchUseStrongCrypto");

fn server(faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(),
        installed: Installed::Nothing,
        person: None,
        faults: faults.iter().copied().collect(),
    })
}

fn agent(may_fix: Vec<Fix>) -> Preflight {
    Preflight {
        product: Product::ProvisioningAgent,
        ..mended::preflight(None, &["corp.contoso.com"], may_fix)
    }
}

/// Sets a value, or takes it away.
fn put(server: &mut Twin, (key, value): (&str, &str), data: Option<u32>) {
    let (key, value) = (key.to_owned(), value.to_owned());
    let op = match data {
        Some(data) => Op::SetRegistry {
            key,
            value,
            data: RegistryValue::Number(data),
        },
        None => Op::ClearRegistry { key, value },
    };
    assert_eq!(server.perform(&op, &BTreeMap::new()).0, Outcome::Done);
}

fn asked(preflight: Preflight, server: &mut Twin) -> (Ending, Vec<Finding>) {
    let (conclusion, journal, _) = drive(vec![Step::Preflight(preflight)], server, None);
    let mut findings = Vec::new();
    for event in journal {
        if let Event::Probed { findings: told, .. } = event {
            findings.extend(told);
        }
    }
    (conclusion.ending, findings)
}

fn one(findings: &[Finding], id: &str) -> Finding {
    let mut all = findings.iter().filter(|one| one.id == id);
    all.next_back().cloned().expect("it is asked")
}

/// PF15: a value that is absent leaves what the system does, which warns; one that turns it off blocks, whatever the other says.
#[test]
fn each_value_of_tls_is_judged_by_itself() {
    for (enabled, disabled, verdict, severity) in [
        (Some(1), Some(0), Verdict::Pass, Severity::Block),
        (Some(u32::MAX), Some(0), Verdict::Pass, Severity::Block),
        (Some(1), None, Verdict::Fail, Severity::Warn),
        (None, Some(0), Verdict::Fail, Severity::Warn),
        (None, None, Verdict::Fail, Severity::Warn),
        (Some(0), None, Verdict::Fail, Severity::Block),
        (None, Some(1), Verdict::Fail, Severity::Block),
        (Some(1), Some(1), Verdict::Fail, Severity::Block),
    ] {
        let mut server = server(&[]);
        put(&mut server, ENABLED, enabled);
        put(&mut server, DISABLED, disabled);
        let (_, findings) = asked(agent(Vec::new()), &mut server);
        let finding = one(&findings, "PF15");
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        if verdict != Verdict::Pass {
            assert_eq!(finding.severity, severity, "{finding:?}");
        }
    }
}

/// Product facts 1.7: the values are set before the agent is installed, and then comes a restart; also where one of them was absent,
/// and where it is .NET's.
#[test]
fn whatever_is_set_for_the_agent_waits_for_a_restart() {
    for (at, data) in [
        (ENABLED, None),
        (DISABLED, None),
        (ENABLED, Some(0)),
        (STRONG, None),
        (STRONG, Some(0)),
    ] {
        let mut server = server(&[]);
        put(&mut server, at, data);
        server.changes.clear();
        let (ending, _) = asked(agent(vec![Fix::Tls12]), &mut server);
        let Ending::Failed(why) = ending else {
            panic!("{at:?} {data:?}: {ending:?}")
        };
        assert!(why.contains("PF19") && why.contains(at.1), "{why}");
        assert_eq!(server.changes, [format!("set {}", at.1)]);
        server.restart();
        let (ending, _) = asked(agent(vec![Fix::Tls12]), &mut server);
        assert_eq!(ending, Ending::Completed, "{at:?} {data:?}");
    }
    // Nothing that was set waits for nothing.
    let (ending, _) = asked(agent(vec![Fix::Tls12]), &mut server(&[]));
    assert_eq!(ending, Ending::Completed);
}

type Is = fn(&Op) -> bool;

/// A run that was cut off while it mended and was not taken up again has told nobody what it set: the next one does, once.
#[test]
fn what_an_earlier_run_has_set_and_not_told_the_next_one_tells() {
    let step = Step::Preflight(agent(vec![Fix::Tls12, Fix::Vaultsvc]));
    let faults = [Fault::TlsOff, Fault::VaultDisabled];
    let was = "Enabled of Client set to 1 (was 0)";
    let earlier = format!("{was} by an earlier run, which had not told it");
    let vault = "VaultSvc set from Disabled to Manual by an earlier run, which had not told it";
    let sets = |op: &Op| matches!(op, Op::SetRegistry { key, .. } if key == ENABLED.0);
    let enables = |op: &Op| matches!(op, Op::EnableService { .. });
    let stops: [(&str, Is); 2] = [("a value", sets), ("the service", enables)];
    let cut_off_behind = |last: Is| {
        let mut server = server(&faults);
        let host = Host::model("0");
        let mut run = Procedure::new(false);
        loop {
            match run.drive(&[], &host, |cx| step::perform(&step, cx)) {
                Next::Want(Want::Op(op)) => {
                    run.add(server.perform(&op, &BTreeMap::new()).0);
                    if last(&op) {
                        return server;
                    }
                }
                Next::Want(_) => run.add(Outcome::Done),
                end => panic!("{end:?}"),
            }
        }
    };
    for (at, last) in stops {
        let mut server = cut_off_behind(last);
        let again = || agent(vec![Fix::Tls12, Fix::Vaultsvc]);
        let (Ending::Failed(why), _) = asked(again(), &mut server) else {
            panic!("a restart is waited for")
        };
        assert_eq!(why.matches(&earlier).count(), 1, "{at}: {why}");
        assert_eq!(why.contains(vault), at == "the service", "{at}: {why}");
        let (Ending::Failed(why), _) = asked(again(), &mut server) else {
            panic!("a restart is waited for")
        };
        assert!(!why.contains(" set "), "{at}: it was told: {why}");
        server.restart();
        let (ending, _) = asked(again(), &mut server);
        assert!(!format!("{ending:?}").contains(was), "{at}: {ending:?}");
    }
    // What somebody has changed since is theirs, and whoever comes to tell it leaves nothing to the next.
    let mut changed = cut_off_behind(stops[0].1);
    put(&mut changed, ENABLED, None);
    let mut whole = server(&faults);
    for (server, told) in [(&mut changed, false), (&mut whole, true)] {
        let (ending, _) = asked(agent(vec![Fix::Tls12, Fix::Vaultsvc]), server);
        let said = format!("{ending:?}");
        assert!(
            said.contains(was) == told && !said.contains("earlier run"),
            "{said}"
        );
    }
}

/// PF34 by who is left: nobody of the domain is in a service's own group, and whoever else is named may have the account among its members.
#[test]
fn who_holds_the_right_to_log_on_decides_what_a_policy_leaves_of_it() {
    const SERVICES: &str = "S-1-5-80-0";
    const GMSA: &str = "S-1-5-21-1-2-3-1105";
    for (holders, gmsa, verdict, severity) in [
        (&[SERVICES][..], GMSA, Verdict::Fail, Severity::Block),
        (&[SERVICES], "", Verdict::Fail, Severity::Block),
        (
            &[SERVICES, "S-1-5-80-123-4-5-6-7", "S-1-5-19", "S-1-5-20"],
            GMSA,
            Verdict::Fail,
            Severity::Block,
        ),
        (
            &[r"NT SERVICE\ALL SERVICES", "S-1-5-20"],
            GMSA,
            Verdict::Fail,
            Severity::Block,
        ),
        (&[SERVICES, GMSA], GMSA, Verdict::Pass, Severity::Block),
        (
            &[SERVICES, "S-1-5-21-1-2-3-2200"],
            GMSA,
            Verdict::CannotTell,
            Severity::Warn,
        ),
        (
            &[SERVICES, r"CONTOSO\Servers"],
            GMSA,
            Verdict::CannotTell,
            Severity::Warn,
        ),
        (&[GMSA], GMSA, Verdict::Fail, Severity::Block),
        (&[], GMSA, Verdict::Fail, Severity::Block),
    ] {
        let mut server = server(&[]);
        let named = |op: &Op, mut outcome: Outcome| {
            if let (
                Op::Script {
                    script: Script::InspectPolicies,
                    ..
                },
                Outcome::Script { lines },
            ) = (op, &mut outcome)
            {
                lines[0]["logonRight"] = serde_json::json!({
                    "policy": "Servers: user rights", "holders": holders, "gmsa": gmsa, "local": false,
                });
            }
            outcome
        };
        let steps = vec![Step::Preflight(agent(Vec::new()))];
        let (_, journal, _) = drive_with(steps, &mut server, None, "value", named);
        let right = journal.iter().find_map(|event| match event {
            Event::Probed { findings, .. } => Some(one(findings, "PF34")),
            _ => None,
        });
        let right = right.expect("it is asked");
        assert_eq!(
            (right.verdict, right.severity),
            (verdict, severity),
            "{holders:?}: {right:?}"
        );
    }
}

/// PF34: where the account is not made yet, a policy that leaves out the services' own group still blocks.
#[test]
fn a_policy_that_takes_the_right_to_log_on_blocks_before_the_account_is_there() {
    for gmsa in ["svcEntraSync$", "notYet$"] {
        let mut step = agent(Vec::new());
        step.gmsa = gmsa.parse().ok();
        let (_, findings) = asked(step, &mut server(&[Fault::LogonRightByPolicy]));
        let right = one(&findings, "PF34");
        assert!(
            right.blocks() && right.verdict == Verdict::Fail,
            "{right:?}"
        );
    }
}

/// A value of another type, or one that could not be read, could not be put back: it is left, and what it does is not known.
#[test]
fn a_value_that_could_not_be_put_back_is_left_and_blocks() {
    let cases = [
        (
            Outcome::Registry(Some(RegistryValue::Other)),
            "of another type",
        ),
        (
            Outcome::Registry(Some(RegistryValue::Empty)),
            "of another type",
        ),
        (Outcome::Failed("access denied".to_owned()), "access denied"),
    ];
    for (there, said) in cases {
        let mut server = server(&[]);
        let steps = vec![Step::Preflight(agent(vec![Fix::Tls12]))];
        let instead = |op: &Op, outcome: Outcome| match op {
            Op::Registry { key, value } if (key.as_str(), value.as_str()) == ENABLED => {
                there.clone()
            }
            _ => outcome,
        };
        let (conclusion, journal, _) = drive_with(steps, &mut server, None, "value", instead);
        assert!(server.changes.is_empty(), "{said}: {:?}", server.changes);
        let Ending::Failed(why) = &conclusion.ending else {
            panic!("{said}: {:?}", conclusion.ending)
        };
        assert!(why.contains("PF15") && why.contains(said), "{why}");
        assert!(why.contains("Enabled of Client was left as it is"), "{why}");
        let failed = journal.iter().find_map(|event| match event {
            Event::StepFailed { failure, .. } => Some(failure.findings.clone()),
            _ => None,
        });
        let [finding] = failed.unwrap().try_into().unwrap();
        assert_eq!(finding.verdict, Verdict::CannotTell, "{finding:?}");
    }
}
