//! Each probe of the preflight on models of servers: where it passes, where it fails, where it cannot tell, and what two
//! servers of one domain see of each other's changes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent_core::catalogue;
use agent_core::op::{DirectoryAccount, Op, Outcome, Script};
use agent_core::procedure::{Complete, Cx, Flow, Host, Next, Procedure, Want};
use agent_core::product;
use agent_core::step::preflight::{self, Beside};
use agent_core::step::{self, controllers};
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::event::{Event, Finding, GmsaChange, Owner, Severity, Verdict};
use protocol::secret::SecretKind;
use protocol::step::{
    BothTools, Cloud, DirectoryRights, Fix, OwnRights, Permission, Preflight, Product,
    ServedDomain, SignIn, Step,
};
use protocol::{ConnectDatabase, TargetId, TenantId, Version};

fn tenant() -> TenantId {
    "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap()
}

pub(crate) fn target(name: &str) -> TargetId {
    format!("{name}.corp.contoso.com").parse().unwrap()
}

pub(crate) fn domain() -> ServedDomain {
    ServedDomain {
        name: "corp.contoso.com".parse().unwrap(),
        preferred_dcs: Vec::new(),
        rights: DirectoryRights::Ask,
        permissions: Vec::new(),
    }
}

pub(crate) fn twin(name: &str, installed: Installed, faults: &[Fault]) -> Twin {
    Twin::new(Profile {
        target: target(name),
        installed,
        person: None,
        faults: faults.iter().copied().collect(),
    })
}

/// Drives a procedure on a model; gives its end, what it noted, and the titles of work for people.
pub(crate) fn drive(
    twin: &mut Twin,
    procedure: impl FnMut(&mut Cx<'_>) -> Flow<Complete>,
) -> (Next, Vec<Finding>, Vec<String>) {
    drive_with(twin, procedure, |_, outcome| outcome)
}

/// The same, with other outcomes than the model's where they are given.
pub(crate) fn drive_with(
    twin: &mut Twin,
    procedure: impl FnMut(&mut Cx<'_>) -> Flow<Complete>,
    instead: impl FnMut(&Op, Outcome) -> Outcome,
) -> (Next, Vec<Finding>, Vec<String>) {
    drive_behind(None, twin, procedure, instead)
}

/// The same of a product that has stood for so long as it was proven.
pub(crate) fn drive_behind(
    stood: Option<Duration>,
    twin: &mut Twin,
    mut procedure: impl FnMut(&mut Cx<'_>) -> Flow<Complete>,
    mut instead: impl FnMut(&Op, Outcome) -> Outcome,
) -> (Next, Vec<Finding>, Vec<String>) {
    let host = Host::model("0");
    let (mut noted, mut tasks) = (Vec::new(), Vec::new());
    let mut run = Procedure::new(false).behind(stood);
    for _ in 0..2000 {
        match run.drive(&[], &host, &mut procedure) {
            Next::Want(Want::Op(op)) => {
                let outcome = twin.perform(&op, &BTreeMap::new()).0;
                run.add(instead(&op, outcome));
            }
            Next::Want(Want::Findings(findings)) => {
                noted.extend(findings);
                run.add(Outcome::Done);
            }
            Next::Want(Want::Forest { .. }) => run.add(Outcome::Done),
            Next::Want(Want::Task(text)) => {
                tasks.push(text.title.clone());
                run.add(Outcome::Done);
                // Nobody looks: the probe alone may end it, or else a person's word.
                run.attest("anna".to_owned());
            }
            end => return (end, noted, tasks),
        }
    }
    panic!("it does not end");
}

fn database(existing: bool) -> ConnectDatabase {
    ConnectDatabase {
        server: "sql-01.corp.contoso.com\\SYNC".parse().unwrap(),
        name: "ADSync".parse().unwrap(),
        existing,
        installer: Some(Version::new(2, 6, 92, 0)),
    }
}

fn both(connect_goes: bool) -> Vec<BothTools> {
    vec![BothTools {
        domain: domain().name,
        units: Vec::new(),
        connect_goes,
    }]
}

pub(crate) fn preflight(product: Product, sign_in: SignIn, present: bool) -> Step {
    Step::Preflight(Preflight {
        target: target("sync-01"),
        product,
        present,
        cloud: Cloud::Commercial,
        tenant: tenant(),
        sign_in,
        domains: vec![domain()],
        gmsa: Some("svcEntraSync$".parse().unwrap()),
        own_rights: present.then(|| OwnRights {
            home_domain: domain().name,
            replicates: vec![domain()],
        }),
        census: true,
        both_tools: both(false),
        database: (product == Product::Connect).then(|| database(false)),
        chosen: Vec::new(),
        demands_tls: false,
        stays: false,
        may_fix: Vec::new(),
        will_fix: Vec::new(),
        options: protocol::ServiceOptions::default(),
        proxy_signs_in: false,
        restarts: false,
        hosts: None,
        overridden: None,
    })
}

pub(crate) fn findings(step: &Step, twin: &mut Twin) -> Vec<Finding> {
    drive(twin, |cx| step::perform(step, cx)).1
}

const CONNECT: Installed = Installed::Connect {
    version: Version::new(2, 6, 92, 0),
    staging: false,
};

/// For each fault the probe that must fail, and on which kind of server.
const TABLE: &[(Fault, &str, Product)] = &[
    (Fault::ClientWindows, "PF01", Product::ProvisioningAgent),
    (Fault::OldWindows, "PF02", Product::ProvisioningAgent),
    (Fault::ServerCore, "PF03", Product::Connect),
    (Fault::NotJoined, "PF04", Product::ProvisioningAgent),
    (
        Fault::SecureChannelBroken,
        "PF05",
        Product::ProvisioningAgent,
    ),
    (Fault::NotElevated, "PF06", Product::ProvisioningAgent),
    (Fault::LittleMemory, "PF07", Product::ProvisioningAgent),
    (Fault::LittleMemory, "PF08", Product::Connect),
    (Fault::OldDotNet, "PF09", Product::ProvisioningAgent),
    (Fault::OldDotNet, "PF10", Product::Connect),
    (Fault::OldPowerShell, "PF11", Product::ProvisioningAgent),
    (
        Fault::PolicyUnrestricted,
        "PF12",
        Product::ProvisioningAgent,
    ),
    (Fault::PolicyRestricted, "PF13", Product::Connect),
    (Fault::PolicyAllSigned, "PF12", Product::ProvisioningAgent),
    (Fault::VaultDisabled, "PF14", Product::ProvisioningAgent),
    (Fault::TlsOff, "PF15", Product::ProvisioningAgent),
    (Fault::TlsServerOff, "PF16", Product::ProvisioningAgent),
    (Fault::TlsOff, "PF17", Product::ProvisioningAgent),
    (Fault::CryptoX86Off, "PF18", Product::Connect),
    (Fault::RebootPending, "PF19", Product::ProvisioningAgent),
    (Fault::InstallerRunning, "PF20", Product::ProvisioningAgent),
    (Fault::ClockWrong, "PF21", Product::ProvisioningAgent),
    (Fault::DirectoryBlocked, "PF23", Product::ProvisioningAgent),
    (Fault::DirectoryBlocked, "PF24", Product::Connect),
    (
        Fault::DirectoryPortsBlocked,
        "PF23",
        Product::ProvisioningAgent,
    ),
    (Fault::DirectoryPortsBlocked, "PF24", Product::Connect),
    (Fault::DatagramsBlocked, "PF24", Product::Connect),
    (Fault::DynamicRpcBlocked, "PF24", Product::Connect),
    (Fault::ReadOnlyController, "PF25", Product::Connect),
    (Fault::CloudBlocked, "PF26", Product::ProvisioningAgent),
    (
        Fault::RegistrationBlocked,
        "PF27",
        Product::ProvisioningAgent,
    ),
    (Fault::RevocationBlocked, "PF28", Product::ProvisioningAgent),
    (Fault::TlsInspected, "PF29", Product::ProvisioningAgent),
    (Fault::ProxySet, "PF30", Product::ProvisioningAgent),
    (Fault::IeEscOn, "PF33", Product::ProvisioningAgent),
    (
        Fault::LogonRightByPolicy,
        "PF34",
        Product::ProvisioningAgent,
    ),
    (Fault::NtlmAllowed, "PF35", Product::ProvisioningAgent),
    (Fault::FipsOn, "PF36", Product::ProvisioningAgent),
    (Fault::DcomBroken, "PF37", Product::Connect),
    (Fault::DcomEmpty, "PF37", Product::Connect),
    (Fault::TranscriptionOn, "PF38", Product::Connect),
    (Fault::DomainController, "PF39", Product::ProvisioningAgent),
    (Fault::OtherTool, "PF42", Product::ProvisioningAgent),
    (Fault::EcmaHost, "PF76", Product::ProvisioningAgent),
    (Fault::HrInbound, "PF76", Product::ProvisioningAgent),
    (Fault::OldSchema, "PF46", Product::ProvisioningAgent),
    (Fault::OldForest, "PF47", Product::Connect),
    (Fault::OldControllers, "PF48", Product::ProvisioningAgent),
    (Fault::KdsKeyYoung, "PF49", Product::ProvisioningAgent),
    (Fault::GmsaWithoutServer, "PF50", Product::ProvisioningAgent),
    (Fault::GmsaNotAllowed, "PF51", Product::ProvisioningAgent),
    (Fault::MachineProxyDiffers, "PF31", Product::Connect),
    (Fault::WebServiceRefused, "PF32", Product::Connect),
    (
        Fault::SuffixUnverifiable,
        "PF57",
        Product::ProvisioningAgent,
    ),
    (Fault::DomainTooLarge, "PF58", Product::ProvisioningAgent),
    (Fault::DomainTooLarge, "PF58", Product::Connect),
    (Fault::GroupTooLarge, "PF58", Product::ProvisioningAgent),
    (Fault::AnchorsMissing, "PF60", Product::ProvisioningAgent),
    (Fault::GmsaRc4Only, "PF52", Product::ProvisioningAgent),
    (
        Fault::KerberosWithoutAes,
        "PF52",
        Product::ProvisioningAgent,
    ),
    (Fault::DomainTooLarge, "PF08", Product::Connect),
    (Fault::DottedNetbios, "PF55", Product::Connect),
    (Fault::ChildNetbiosDotted, "PF55", Product::Connect),
    (Fault::ChildBlocked, "PF24", Product::Connect),
    (Fault::DisjointName, "PF56", Product::Connect),
    (Fault::NoRecycleBin, "PF59", Product::ProvisioningAgent),
    (Fault::NoTpm, "PF70", Product::Connect),
    (Fault::SqlUnreachable, "PF71", Product::Connect),
    (Fault::SqlCollation, "PF71", Product::Connect),
    (Fault::SqlOld, "PF71", Product::Connect),
    (Fault::SqlForeign, "PF71", Product::Connect),
    (Fault::EditedConfiguration, "PF72", Product::Connect),
    (Fault::EngineBusy, "PF73", Product::Connect),
    (Fault::ConsoleOpen, "PF73", Product::Connect),
    (Fault::ExportOld, "PF74", Product::Connect),
    (Fault::DefaultRulesDisabled, "CU01", Product::Connect),
    (Fault::OverridesSet, "CU02", Product::Connect),
    (Fault::FullRunLong, "CU03", Product::Connect),
    (Fault::LittleDisk, "PF75", Product::ProvisioningAgent),
    (Fault::ModuleLogging, "SEC1", Product::ProvisioningAgent),
    (
        Fault::ConstrainedLanguage,
        "SEC2",
        Product::ProvisioningAgent,
    ),
    (
        Fault::ApplicationControl,
        "SEC3",
        Product::ProvisioningAgent,
    ),
];

fn server(product: Product, faults: &[Fault]) -> (Step, Twin) {
    match product {
        Product::Connect => (
            preflight(product, SignIn::Wizard, true),
            twin("sync-01", CONNECT, faults),
        ),
        Product::ProvisioningAgent => {
            let wizard = faults.contains(&Fault::IeEscOn);
            let sign_in = if wizard {
                SignIn::Wizard
            } else {
                SignIn::Token
            };
            (
                preflight(product, sign_in, false),
                twin("sync-01", Installed::Nothing, faults),
            )
        }
    }
}

#[test]
fn each_probe_fails_where_its_fault_is_and_passes_elsewhere() {
    for (fault, id, product) in TABLE {
        let (mut step, mut faulty) = server(*product, &[*fault]);
        // What LocalDB holds is asked where no full SQL Server is planned.
        if let (Fault::DomainTooLarge, Step::Preflight(preflight)) = (*fault, &mut step) {
            preflight.database = None;
        }
        let seen = findings(&step, &mut faulty);
        let failed = seen
            .iter()
            .find(|finding| finding.id == *id && finding.verdict == Verdict::Fail);
        let failed = failed.unwrap_or_else(|| panic!("{fault:?} does not fail {id}: {seen:#?}"));
        assert!(!failed.read.is_empty() && !failed.fix.is_empty(), "{id}");
        assert!(
            faulty.changes.is_empty(),
            "{fault:?}: a preflight changes nothing"
        );

        let (mut step, mut sound) = server(*product, &[]);
        // Asked where somebody signs in at the wizard.
        if let (Fault::IeEscOn, Step::Preflight(preflight)) = (*fault, &mut step) {
            preflight.sign_in = SignIn::Wizard;
        }
        let passes = findings(&step, &mut sound)
            .iter()
            .any(|finding| finding.id == *id && finding.verdict == Verdict::Pass);
        assert!(passes, "{id} does not pass on a sound server");
    }
}

/// Connect reads a forest whole: each of its domains is asked, unless units are chosen, whose domains the bundle names.
#[test]
fn a_forests_other_domains_are_asked_where_no_units_are_chosen() {
    let told = |fault: Fault, chosen: bool, product: Product| {
        let (mut step, mut server) = server(product, &[fault]);
        if let (Step::Preflight(preflight), true) = (&mut step, chosen) {
            preflight.chosen = vec![domain().name];
        }
        let all = findings(&step, &mut server).into_iter();
        let of_child = all.filter(|one| one.what.ends_with("(emea.corp.contoso.com)"));
        of_child.collect::<Vec<_>>()
    };
    let dotted = told(Fault::ChildNetbiosDotted, false, Product::Connect);
    let failed: Vec<&str> = dotted
        .iter()
        .filter(|one| one.verdict != Verdict::Pass)
        .map(|one| one.id.as_str())
        .collect();
    assert_eq!(failed, ["PF55"], "{dotted:#?}");
    let ids: BTreeSet<&str> = dotted.iter().map(|one| one.id.as_str()).collect();
    let wanted = [
        "PF21", "PF22", "PF24", "PF25", "PF55", "PF56", "PF57", "PF58",
    ];
    assert_eq!(ids, BTreeSet::from(wanted));
    let blocked = told(Fault::ChildBlocked, false, Product::Connect);
    let blocks = |id: &str| {
        let mut own = blocked.iter().filter(|one| one.id == id);
        own.any(Finding::blocks)
    };
    assert!(blocks("PF24") && !blocks("PF22"), "{blocked:#?}");
    for fault in [Fault::ChildNetbiosDotted, Fault::ChildBlocked] {
        assert_eq!(told(fault, true, Product::Connect), []);
        // An agent serves the domains that it was given, and no others.
        assert_eq!(told(fault, false, Product::ProvisioningAgent), []);
    }
    // A forest is what its own cross references name: one of a shorter name, of which units are chosen, is another one.
    let (mut step, mut server) = server(Product::Connect, &[Fault::ChildBlocked]);
    if let Step::Preflight(preflight) = &mut step {
        preflight.chosen = vec!["contoso.com".parse().unwrap()];
    }
    let mut all = findings(&step, &mut server).into_iter();
    assert!(all.any(|one| one.what.ends_with("(emea.corp.contoso.com)")));
}

/// The settings of TLS 1.2 block where the installer does not install without them.
#[test]
fn pf18_blocks_where_the_installer_demands_it() {
    for demands in [false, true] {
        let (mut step, mut server) = server(Product::Connect, &[Fault::CryptoX86Off]);
        if let Step::Preflight(preflight) = &mut step {
            preflight.demands_tls = demands;
        }
        let all = findings(&step, &mut server);
        let own = all.iter().find(|one| one.id == "PF18").unwrap();
        assert_eq!((own.verdict, own.blocks()), (Verdict::Fail, demands));
    }
}

#[test]
fn a_sound_server_passes_every_probe() {
    for product in [Product::ProvisioningAgent, Product::Connect] {
        let (step, mut sound) = server(product, &[]);
        for finding in findings(&step, &mut sound) {
            assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
        }
    }
}

/// Whoever only asks hears what the rollout itself would mend, as its work and not as what stops the server.
#[test]
fn what_the_rollout_would_mend_is_told_as_its_work_and_stops_nothing() {
    let asks = |faults: &[Fault]| {
        let (mut step, mut server) = server(Product::ProvisioningAgent, faults);
        let Step::Preflight(preflight) = &mut step else {
            panic!("a preflight")
        };
        preflight.will_fix = vec![Fix::Tls12, Fix::Vaultsvc];
        let seen = findings(&step, &mut server);
        assert!(server.changes.is_empty(), "{:?}", server.changes);
        seen
    };
    let own = asks(&[Fault::VaultDisabled, Fault::TlsOff]);
    assert!(!own.iter().any(Finding::blocks), "{own:#?}");
    let mended: Vec<&Finding> = own
        .iter()
        .filter(|one| one.owner == Owner::Entrain)
        .collect();
    let ids: Vec<&str> = mended.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, ["PF17", "PF15", "PF14"]);
    for finding in mended {
        assert_eq!(finding.verdict, Verdict::Fail);
        assert!(finding.fix.contains("when the plan is applied"));
    }
    // What a policy sets, and what is not listed, is somebody else's.
    let others = asks(&[Fault::VaultDisabled, Fault::SetByPolicy, Fault::ServerCore]);
    let blocking = others.iter().filter(|one| one.blocks());
    let ids: Vec<(&str, Owner)> = blocking.map(|one| (one.id.as_str(), one.owner)).collect();
    assert_eq!(ids, [("PF03", Owner::Server), ("PF14", Owner::Directory)]);
}

/// What a policy sets is named for each probe that fails by it, whether or not Entrain may set it: whoever makes the policy mends it.
/// Where no policy sets the same, the advice is the probe's own.
#[test]
fn the_policy_that_sets_what_fails_is_named_without_may_fix() {
    use Product::{Connect, ProvisioningAgent as Agent};
    let strong = "SchUseStrongCrypto";
    for (product, fault, id, sets) in [
        (Agent, Fault::VaultDisabled, "PF14", "it"),
        (Agent, Fault::TlsOff, "PF15", "Enabled"),
        (Agent, Fault::TlsServerOff, "PF16", "enabled"),
        (Agent, Fault::TlsOff, "PF17", strong),
        (Connect, Fault::TlsOff, "PF18", strong),
        (Agent, Fault::PolicyUnrestricted, "PF12", "ExecutionPolicy"),
        (Connect, Fault::PolicyRestricted, "PF13", "ExecutionPolicy"),
        (
            Agent,
            Fault::NtlmAllowed,
            "PF35",
            "RestrictSendingNTLMTraffic",
        ),
        (Agent, Fault::FipsOn, "PF36", "Enabled"),
        (Connect, Fault::FipsOn, "PF36", "Enabled"),
        (
            Connect,
            Fault::TranscriptionOn,
            "PF38",
            "EnableTranscripting",
        ),
        (Agent, Fault::TranscriptionOn, "SEC1", "EnableTranscripting"),
        (Agent, Fault::ModuleLogging, "SEC1", "EnableModuleLogging"),
        (Agent, Fault::ApplicationControl, "SEC3", "it"),
        (
            Agent,
            Fault::KerberosWithoutAes,
            "PF52",
            "SupportedEncryptionTypes",
        ),
    ] {
        let asked = |faults: &[Fault]| {
            let (step, mut server) = server(product, faults);
            let seen = findings(&step, &mut server).into_iter();
            let own: Vec<Finding> = seen.filter(|one| one.id == id).collect();
            let [finding] = own.try_into().unwrap();
            assert_eq!(finding.verdict, Verdict::Fail, "{fault:?}: {finding:?}");
            finding
        };
        let by_policy = asked(&[fault, Fault::SetByPolicy]);
        let named = format!("policy \"Servers: hardening\" sets {sets}");
        assert!(by_policy.read.ends_with(&named), "{fault:?}: {by_policy:?}");
        let advice = "have policy \"Servers: hardening\" changed where it is made";
        assert!(by_policy.fix.starts_with(advice), "{by_policy:?}");
        assert!(!by_policy.fix.contains("may_fix"), "{by_policy:?}");
        assert_eq!(by_policy.owner, Owner::Directory, "{by_policy:?}");
        let alone = asked(&[fault]);
        assert!(!alone.read.contains("policy \""), "{alone:?}");
        assert!(!alone.fix.contains("policy \""), "{alone:?}");
        let row = catalogue::ALL.iter().find(|row| row.id == id).unwrap();
        assert_eq!(alone.owner, row.owner, "{alone:?}");
        assert_eq!(alone.severity, by_policy.severity, "{alone:?}");
    }
    // A policy for Kerberos is not named for the account's own types, nor for what passes.
    let (step, mut server) = server(Agent, &[Fault::GmsaRc4Only, Fault::SetByPolicy]);
    for finding in findings(&step, &mut server) {
        assert!(!finding.read.contains("policy \""), "{finding:?}");
    }
}

/// PF08 by what was counted: for a full SQL Server it is counted to the largest row of the product's table, and a count that was not
/// brought to its end passes no row but the last.
#[test]
fn hardware_is_judged_by_no_more_than_was_counted() {
    let counted = |objects: u64| {
        move |op: &Op, outcome: Outcome| match op {
            // The forest's other domain is a small one.
            Op::Census(census) if census.base.to_lowercase().starts_with("dc=corp,") => {
                Outcome::Counted(Box::new(agent_core::op::Counted {
                    objects: objects.min(census.most),
                    users: objects.min(census.most),
                    whole: objects <= census.most,
                    ..agent_core::op::Counted::default()
                }))
            }
            Op::Machine => Outcome::Machine {
                memory_mib: 32 * 1024,
                disk_free_mib: 310 * 1024,
            },
            _ => outcome,
        }
    };
    // One that was not counted to its end may have more than the smallest row is for.
    let breaks_off = |op: &Op, outcome: Outcome| match op {
        Op::Census(_) => Outcome::Failed("the line is cut (model)".to_owned()),
        _ => outcome,
    };
    let (step, mut cut) = server(Product::Connect, &[]);
    let perform = |cx: &mut Cx<'_>| step::perform(&step, cx);
    let (_, seen, _) = drive_with(&mut cut, perform, breaks_off);
    let own = seen.iter().filter(|one| one.id == "PF08");
    let own: Vec<_> = own
        .filter(|one| one.what.contains("that were counted"))
        .collect();
    assert!(
        matches!(own.as_slice(), [one] if one.verdict == Verdict::CannotTell && !one.blocks()),
        "{own:?}"
    );
    // Nor does one that was broken off pass a limit.
    let in_part = |op: &Op, outcome: Outcome| match op {
        Op::Census(_) => Outcome::Counted(Box::new(agent_core::op::Counted {
            objects: 10,
            users: 10,
            ..agent_core::op::Counted::default()
        })),
        _ => outcome,
    };
    for product in [Product::ProvisioningAgent, Product::Connect] {
        let (step, mut cut) = server(product, &[]);
        let Step::Preflight(mut asked) = step else {
            panic!("{step:?}")
        };
        asked.database = None;
        let step = Step::Preflight(asked);
        let perform = |cx: &mut Cx<'_>| step::perform(&step, cx);
        let (_, seen, _) = drive_with(&mut cut, perform, in_part);
        let own = seen
            .iter()
            .find(|one| one.id == "PF58" && !one.what.contains("largest group"));
        let own = own.unwrap();
        assert_eq!(own.verdict, Verdict::CannotTell, "{product:?}: {own:?}");
        assert!(
            own.read
                .contains("10 objects were counted, and not to their end"),
            "{own:?}"
        );
    }
    for (full, objects, verdict, wanted) in [
        (true, 700_000, Verdict::Fail, Some("500 GB")),
        (true, 400_000, Verdict::Fail, Some("450 GB")),
        (true, 200_000, Verdict::Pass, Some("300 GB")),
        (true, 40_000, Verdict::Pass, None),
        (false, 700_000, Verdict::CannotTell, Some("300 GB")),
        (false, 60_000, Verdict::Pass, Some("100 GB")),
    ] {
        let (step, mut server) = server(Product::Connect, &[]);
        let Step::Preflight(mut asked) = step else {
            panic!("{step:?}")
        };
        if !full {
            asked.database = None;
        }
        let step = Step::Preflight(asked);
        let perform = |cx: &mut Cx<'_>| step::perform(&step, cx);
        let (_, seen, _) = drive_with(&mut server, perform, counted(objects));
        let own = seen
            .iter()
            .find(|one| one.id == "PF08" && one.what.contains("that were counted"));
        let own = own.filter(|_| wanted.is_some());
        assert_eq!(own.is_some(), wanted.is_some(), "{objects}");
        if let (Some(own), Some(wanted)) = (own, wanted) {
            assert_eq!(own.verdict, verdict, "{full} {objects}: {own:?}");
            assert!(own.wanted.contains(wanted), "{full} {objects}: {own:?}");
            assert!(!own.blocks(), "{own:?}");
        }
    }
}

/// The right to log on as a service: the policy is named in the advice, and whoever makes it mends it.
#[test]
fn the_policy_that_takes_the_right_to_log_on_is_named() {
    let (step, mut server) = server(Product::ProvisioningAgent, &[Fault::LogonRightByPolicy]);
    let seen = findings(&step, &mut server);
    let right = seen.iter().find(|one| one.id == "PF34").unwrap();
    for text in [&right.read, &right.fix] {
        assert!(
            text.contains("policy \"Servers: user rights\""),
            "{right:?}"
        );
    }
    assert_eq!(right.owner, Owner::Directory);
}

/// Where the resultant set of policy is not told, nobody is told that no policy sets what fails.
#[test]
fn what_is_not_told_of_policies_is_said_of_what_fails_alone() {
    let why = "no resultant set of policy is recorded";
    let untold = |fault: Fault, part: &str| {
        let (step, mut server) = server(Product::ProvisioningAgent, &[fault]);
        let mut noted = Vec::new();
        let host = agent_core::procedure::Host::model("0");
        let mut run = Procedure::new(false);
        loop {
            match run.drive(&[], &host, |cx| step::perform(&step, cx)) {
                Next::Want(Want::Op(op)) => {
                    let (mut outcome, _) = server.perform(&op, &BTreeMap::new());
                    if let (
                        Op::Script {
                            script: agent_core::op::Script::InspectPolicies,
                            ..
                        },
                        agent_core::op::Outcome::Script { lines },
                    ) = (&op, &mut outcome)
                    {
                        lines[0][part] = serde_json::json!({ "why": why });
                    }
                    run.add(outcome);
                }
                Next::Want(Want::Findings(findings)) => {
                    noted.extend(findings);
                    run.add(agent_core::op::Outcome::Done);
                }
                Next::Want(_) => run.add(agent_core::op::Outcome::Done),
                _ => return noted,
            }
        }
    };
    for (fault, part, id, said) in [
        (Fault::VaultDisabled, "values", "PF14", true),
        (Fault::VaultDisabled, "options", "PF14", false),
        (Fault::FipsOn, "options", "PF36", true),
        (Fault::LittleDisk, "values", "PF75", false),
    ] {
        let noted = untold(fault, part);
        for finding in &noted {
            let own = said && finding.id == id;
            let told = finding.read.contains(why);
            assert_eq!(told, own, "{fault:?}, {part}: {finding:?}");
        }
        assert!(noted.iter().any(|one| one.id == id && !one.read.is_empty()));
    }
}

/// Probes that fail in a test of their own: the file beside this one, the test in it, and what of the file names the probe.
const ELSEWHERE: [(&str, &str, &str); 7] = [
    ("PF22", "preflight.rs", STORIES),
    ("PF40", "preflight.rs", STORIES),
    ("PF41", "preflight.rs", STORIES),
    ("PF53", "preflight.rs", STORIES),
    ("PF54", "preflight.rs", STORIES),
    // An installed agent alone is asked: its table is that of what stands behind the work.
    (
        "MO01",
        "probed.rs",
        "every_probe_behind_the_work_passes_on_one_model_and_fails_on_another",
    ),
    (
        "MO02",
        "probed.rs",
        "every_probe_behind_the_work_passes_on_one_model_and_fails_on_another",
    ),
];

const STORIES: &str = "the_probes_with_stories_of_their_own_pass_and_fail_too";

/// Whether a probe has such a story: the test is there, and what stands in it names the probe.
fn elsewhere(id: &str) -> bool {
    let Some((_, file, name)) = ELSEWHERE.iter().find(|(one, ..)| *one == id) else {
        return false;
    };
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/twin")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let at = text.find(&format!("fn {name}("));
    let (before, from) = text.split_at(at.unwrap_or_else(|| panic!("no test {name} in {file}")));
    assert!(
        before.trim_end().ends_with("#[test]"),
        "{name} in {file} is no test"
    );
    // In this file it is the test's own lines that name it, since the table above does so anyhow.
    let own = match file {
        &"preflight.rs" => from.split("\n}\n").next().unwrap_or_default(),
        _ => text.as_str(),
    };
    assert!(
        own.contains(&format!("\"{id}\"")),
        "{name} in {file} does not name {id}"
    );
    true
}

#[test]
fn every_probe_of_the_catalogue_that_a_preflight_asks_has_a_fault() {
    let mut asked = BTreeSet::new();
    for product in [Product::ProvisioningAgent, Product::Connect] {
        let (step, mut sound) = server(product, &[]);
        asked.extend(findings(&step, &mut sound).into_iter().map(|one| one.id));
    }
    // A credential is tried when it was given (`options.rs`), and a module is asked where it is (`module.rs`).
    asked.extend(["PF33", "PF53", "PF54", "MO01", "MO02"].map(ToOwned::to_owned));
    let faulted: BTreeSet<String> = TABLE.iter().map(|(_, id, _)| (*id).to_owned()).collect();
    let missing: Vec<_> = asked
        .difference(&faulted)
        .filter(|id| !elsewhere(id))
        .collect();
    assert!(missing.is_empty(), "{missing:?} fail nowhere");
    let known: BTreeSet<String> = catalogue::ALL.iter().map(|one| one.id.to_owned()).collect();
    assert!(asked.is_subset(&known), "{asked:?}");
    let never: Vec<&String> = known
        .iter()
        .filter(|id| {
            !["PV", "RM", "CR", "SW", "WZ", "TR", "UN", "SK"].contains(&&id[..2])
                && !asked.contains(*id)
        })
        .collect();
    assert!(
        never.is_empty(),
        "{never:?} stand in the catalogue and are asked nowhere"
    );
}

/// The list of faults is what every test goes by: one that is not in it would be run nowhere.
#[test]
fn the_list_of_faults_has_each_of_them_once() {
    let unknown = serde_json::from_str::<Fault>("\"none\"").unwrap_err();
    // The first one named is what was read.
    let all = unknown.to_string().matches('`').count() / 2 - 1;
    let listed: BTreeSet<Fault> = Fault::ALL.into_iter().collect();
    assert_eq!((Fault::ALL.len(), listed.len()), (all, all));
}

#[test]
fn no_fault_is_without_a_test() {
    // These are met by a whole run (`run.rs`), by a removal (`removal.rs`), by a restart (`restart.rs`), by a switch (`switch.rs`) or by options and domains (`options.rs`), or have a story below.
    let elsewhere = [
        // A module that a policy refuses has a story below, and each recipe meets it (`rehearsal/tests/recipes`).
        Fault::ModuleRefused,
        // Verifications meet these (`probed.rs`, and the recipes); what a policy leaves, an old schema and a copied file have stories below.
        Fault::UpdaterNotListed,
        Fault::WizardLeftOld,
        Fault::KerberosAesAlone,
        Fault::SchemaBefore2016,
        Fault::CopiedConfiguration,
        Fault::LogonRightMissing,
        Fault::GmsaEncryption,
        Fault::InstallerBusy,
        Fault::SetupWantsRestart,
        Fault::TraceShowsException,
        Fault::DomainNotKept,
        Fault::MfaDemanded,
        Fault::DomainCredentialDemanded,
        // An installed agent is asked for its cmdlets (`module.rs`, and the recipes).
        Fault::TokenNotTaken,
        // So is Connect's engine (`probed.rs`, and the recipes).
        Fault::HistoryGone,
        Fault::ServiceStopped,
        Fault::SchedulerSuspended,
        Fault::DeletionsPending,
        Fault::ExportsUnreadable,
        Fault::SettingsDiffer,
        Fault::DefaultRuleEdited,
        Fault::SettingsUnreadable,
        Fault::PasswordSyncOff,
        Fault::FullSyncDue,
        Fault::NextCycleFull,
        Fault::CycleOverdue,
        Fault::NoKdsKey,
        Fault::DnsBlocked,
        Fault::DnsSilent,
        Fault::DirectoryUnreadable,
        Fault::SqlLoginRefused,
        Fault::ReplicationSlow,
        Fault::UpgradeActivates,
        Fault::CycleHeld,
        Fault::RestartRefused,
        // Upgrades of the agent meet these (`upgrade.rs`).
        Fault::NewAgentCrashes,
        Fault::NoLauncher,
        Fault::RestartPendingAgain,
        Fault::BundleCacheMissing,
        Fault::BundleLeavesPackages,
        Fault::RemovalFails,
        Fault::AgentServiceStays,
        Fault::FolderStays,
        Fault::ConfigurationBroken,
        Fault::ConfigurationReadOnly,
        Fault::CredentialExpired,
        Fault::CredentialEnds,
        Fault::CredentialOfNobody,
        Fault::LdapsBlocked,
        Fault::PermissionsRefused,
        Fault::PassThroughAgent,
        Fault::ConnectListed,
        Fault::EngineElsewhere,
        Fault::StrangeConnect,
        Fault::ServiceRestarts,
        Fault::RightsMissing,
        // A verification meets these (`verified.rs`).
        Fault::AgentLogsErrors,
        Fault::ErrorsWhileWatched,
        Fault::LogsUnreadable,
        Fault::SecretLeft,
        Fault::LegacyIdentity,
        Fault::CertificateDue,
        Fault::TenantConnectorMissing,
        Fault::RunFailed,
        Fault::RunUnderWay,
        Fault::AutoUpgradeSuspended,
        Fault::AutoUpgradeFailed,
        Fault::WizardTraceErrors,
        Fault::ToolsMissing,
        Fault::OldLocalDb,
        Fault::SetByPolicy,
        // What a preference sets is left as well (`half_told.rs`).
        Fault::SetByPreference,
        // What is set, and put back, meets this one (`undo.rs`).
        Fault::SettingRefused,
        // Each recipe meets these (`rehearsal/tests/recipes`): a setup, cmdlets, a wizard or an upgrade ends with a known error.
        Fault::SetupRefusesSystem,
        Fault::LogonGivenByHand,
        Fault::DirectorySlow,
        Fault::RegistrationScriptsRefused,
        Fault::OtherJsonAssembly,
        Fault::ConnectorOutdated,
        Fault::WizardDatabaseInGroup,
        Fault::UpgradeBrokeOff,
        Fault::CmdletsNotFound,
        // So do wizards and services that do not come about (`trouble.rs`).
        Fault::EngineEnds,
        Fault::LogonAsServiceRefused,
        Fault::WizardIdentityRefused,
        Fault::WizardScriptError,
        Fault::WizardDatabaseLeft,
        Fault::PassThroughNotEnabled,
        // A move to cloud sync meets these (`transition.rs`).
        Fault::SecondForest,
        Fault::ScopeTooLarge,
        Fault::ManyUnits,
        Fault::CustomRules,
        Fault::GroupFilter,
        Fault::CustomPrincipalName,
        Fault::DirectoryExtensions,
        Fault::DeviceSync,
        Fault::DeviceWriteback,
        Fault::TransitionStopsHalfWay,
        Fault::TransitionLeavesNoAgent,
        // So does a removal of Connect (`probed.rs`).
        Fault::HealthAgent,
        Fault::SeamlessSignOn,
        // A topology that prefers domain controllers meets these (below).
        Fault::PreferredControllerSilent,
        Fault::PreferredControllerReadOnly,
        // The next one answers (`controllers.rs`, and the recipes).
        Fault::FirstControllerSilent,
        // Who asks for servers meets this one (`discover.rs`).
        Fault::ReadersByGroup,
        // What is waited for behind a wizard meets these (`full_sync.rs`, and the recipes).
        Fault::FullSyncFollows,
        Fault::DueUnreadable,
        // So does one that names a proxy these (`proxies.rs`).
        Fault::MachineProxyAnonymous,
        Fault::ProxyDemandsSignIn,
        Fault::ProxyRefuses,
        Fault::ProxyInspects,
        Fault::ProxyShowsOther,
        // A root of which nobody but its owner knows whose it is has a test of its own (below).
        Fault::RootsByPolicy,
        // So does an account whose domain has permissions written down.
        Fault::SetsMissing,
    ];
    for fault in Fault::ALL {
        let here = TABLE.iter().any(|(one, ..)| *one == fault);
        assert_ne!(here, elsewhere.contains(&fault), "{fault:?}");
    }
}

/// An engine that is stopped tells nothing of what an upgrade would find: each answer says so, warns and stops nothing.
#[test]
fn what_an_engine_does_not_tell_before_an_upgrade_stops_nothing() {
    let (step, mut server) = server(Product::Connect, &[]);
    let stop = Op::DisableService {
        name: product::CONNECT_SERVICE.to_owned(),
    };
    server.perform(&stop, &BTreeMap::new());
    let seen = findings(&step, &mut server);
    for id in ["CU01", "CU02", "CU03"] {
        let finding = seen.iter().find(|one| one.id == id).unwrap();
        assert_eq!(finding.verdict, Verdict::CannotTell, "{finding:?}");
        assert!(
            !finding.blocks() && finding.read.contains("not recognized"),
            "{finding:?}"
        );
    }
    // Where nothing is installed nothing is upgraded, and nothing is asked.
    let step = preflight(Product::Connect, SignIn::Wizard, false);
    let seen = findings(&step, &mut twin("sync-01", Installed::Nothing, &[]));
    assert!(!seen.iter().any(|one| one.id.starts_with("CU")));
}

/// What passes says all the same what it rests on.
#[test]
fn what_is_told_before_an_upgrade_says_what_it_rests_on() {
    for (faults, id, read) in [
        (
            &[][..],
            "CU01",
            "118 default rules, none disabled; whether one was edited in place cannot be told",
        ),
        (
            &[Fault::DefaultRulesDisabled],
            "CU01",
            "2 disabled: In from AD - User Join, Out to AAD - User Join",
        ),
        (&[], "CU02", "none"),
        (
            &[Fault::OverridesSet],
            "CU02",
            "full synchronization of corp",
        ),
        (&[], "CU03", "about 2 h 00 min, 41000 objects"),
        (&[Fault::FullRunLong], "CU03", "about 33 h 45 min"),
    ] {
        let (step, mut server) = server(Product::Connect, faults);
        let seen = findings(&step, &mut server);
        let finding = seen.iter().find(|one| one.id == id).unwrap();
        assert!(finding.read.contains(read), "{finding:?}");
    }
}

/// Signed scripts run under AllSigned, which is all that Connect asks; the provisioning agent's registration does not.
#[test]
fn all_signed_stops_the_agent_and_not_connect() {
    for (product, id, verdict) in [
        (Product::ProvisioningAgent, "PF12", Verdict::Fail),
        (Product::Connect, "PF13", Verdict::Pass),
    ] {
        let (step, mut server) = server(product, &[Fault::PolicyAllSigned]);
        let seen = findings(&step, &mut server);
        let policy = seen.iter().find(|one| one.id == id).unwrap();
        assert_eq!(policy.verdict, verdict, "{policy:?}");
        assert_eq!(policy.blocks(), verdict == Verdict::Fail, "{policy:?}");
        assert!(policy.read.contains("LocalMachine AllSigned"), "{policy:?}");
        // Every other probe is answered as without it: the agent's own scripts ran.
        for other in seen.iter().filter(|one| one.id != id) {
            assert_eq!(other.verdict, Verdict::Pass, "{other:?}");
        }
    }
}

/// Where that policy refuses a file of the product's module, the scripts of ours that load it say so with cause and fix, and
/// everything else is answered.
#[test]
fn a_module_that_a_policy_refuses_is_told_with_its_known_error() {
    let (step, mut server) = server(Product::Connect, &[Fault::ModuleRefused]);
    let seen = findings(&step, &mut server);
    let of_module = ["PF73", "MO02", "CU01", "CU02", "CU03"];
    for id in of_module {
        let told = seen.iter().find(|one| one.id == id).unwrap();
        assert_eq!(told.verdict, Verdict::CannotTell, "{told:?}");
        assert!(!told.blocks(), "{told:?}");
        for part in ["is not digitally signed", "KE19", "RemoteSigned"] {
            assert!(told.read.contains(part), "{part}: {told:?}");
        }
    }
    let others = seen
        .iter()
        .filter(|one| !of_module.contains(&one.id.as_str()));
    for other in others {
        assert_eq!(other.verdict, Verdict::Pass, "{other:?}");
    }
}

fn told(seen: &[Finding], id: &str) -> Finding {
    let found = seen.iter().find(|one| one.id == id);
    found.unwrap_or_else(|| panic!("{id}: {seen:#?}")).clone()
}

/// A file that was edited elsewhere and copied in has the time of its edit before that of its being there, like one that nobody
/// touched: it is never told as that.
#[test]
fn a_configuration_that_was_copied_in_is_not_told_as_unedited() {
    for (faults, verdict, read) in [
        (&[][..], Verdict::Pass, "none edited"),
        (
            &[Fault::EditedConfiguration],
            Verdict::Fail,
            "miiserver.exe.config",
        ),
        (
            &[Fault::CopiedConfiguration],
            Verdict::CannotTell,
            "miiserver.exe.config: laid down at another time than the program beside it, by an upgrade or as a copy",
        ),
        (
            &[Fault::CopiedConfiguration, Fault::EditedConfiguration],
            Verdict::Fail,
            "miiserver.exe.config",
        ),
    ] {
        let (step, mut server) = server(Product::Connect, faults);
        let seen = told(&findings(&step, &mut server), "PF72");
        assert_eq!((seen.verdict, seen.read.as_str()), (verdict, read));
        assert!(!seen.blocks());
    }
}

/// On a hardened server the policy decides with the two accounts, and is named wherever it says something.
#[test]
fn what_a_policy_leaves_of_encryption_types_is_read_and_named() {
    let asked = |named: bool, faults: &[Fault]| {
        let (mut step, mut server) = server(Product::ProvisioningAgent, faults);
        if let (Step::Preflight(preflight), false) = (&mut step, named) {
            preflight.gmsa = None;
        }
        let seen = findings(&step, &mut server);
        seen.into_iter().find(|one| one.id == "PF52")
    };
    let hardened = asked(true, &[Fault::KerberosAesAlone]).unwrap();
    assert_eq!(hardened.verdict, Verdict::Pass);
    assert!(
        hardened
            .read
            .contains("the server's policy leaves 0x7ffffff8"),
        "{hardened:?}"
    );
    let both = [Fault::KerberosAesAlone, Fault::GmsaRc4Only];
    let refused = asked(true, &both).unwrap();
    assert!(
        refused.blocks() && refused.read.contains("0x7ffffff8"),
        "{refused:?}"
    );
    assert!(refused.fix.contains("Set-ADServiceAccount"), "{refused:?}");
    // Both accounts have AES, and the policy leaves none of it: it is what must be changed.
    let without = asked(true, &[Fault::KerberosWithoutAes]).unwrap();
    assert!(without.blocks(), "{without:?}");
    assert!(
        without.fix.starts_with("have the policy that sets"),
        "{without:?}"
    );
    // An account that the product makes is not there yet.
    assert_eq!(asked(false, &[]), None);
    let made = asked(false, &[Fault::KerberosAesAlone]).unwrap();
    assert_eq!(made.verdict, Verdict::CannotTell);
    assert!(!made.blocks() && made.read.contains("no RC4"), "{made:?}");
    assert!(asked(false, &[Fault::KerberosWithoutAes]).unwrap().blocks());
}

/// Whoever is to make users and groups in the directory needs the schema of 2016; nobody else does.
#[test]
fn the_schema_of_2016_is_asked_for_where_groups_come_from_entra() {
    for (permissions, verdict) in [
        (vec![Permission::BasicRead], Verdict::Pass),
        (vec![Permission::UserGroupCreateDelete], Verdict::Fail),
        (vec![Permission::All], Verdict::Fail),
    ] {
        let (mut step, mut server) = server(Product::ProvisioningAgent, &[Fault::SchemaBefore2016]);
        if let Step::Preflight(preflight) = &mut step {
            preflight.domains[0].permissions = permissions;
        }
        let seen = told(&findings(&step, &mut server), "PF46");
        assert_eq!((seen.verdict, seen.read.as_str()), (verdict, "69"));
        assert_eq!(
            seen.wanted.starts_with("version 87"),
            verdict == Verdict::Fail
        );
    }
}

/// An agent below 1.1.1365.0 takes no credentials where outgoing NTLM is denied, which is what newer ones want.
#[test]
fn an_old_agent_under_denied_ntlm_is_told() {
    let asked = |version, faults: &[Fault]| {
        let agent = Installed::ProvisioningAgent {
            version,
            tenant: tenant(),
        };
        let step = preflight(Product::ProvisioningAgent, SignIn::Token, true);
        let seen = findings(&step, &mut twin("sync-01", agent, faults));
        let ntlm = seen.into_iter().filter(|one| one.id == "PF35");
        ntlm.map(|one| (one.verdict, one.severity))
            .collect::<Vec<_>>()
    };
    let (old, fixed) = (Version::new(1, 1, 977, 0), Version::new(1, 1, 1365, 0));
    let pass = (Verdict::Pass, Severity::Info);
    // That it is denied is no second answer beside what that breaks.
    assert_eq!(asked(old, &[]), [(Verdict::Fail, Severity::Warn)]);
    assert_eq!(asked(fixed, &[]), [pass]);
    let allowed = (Verdict::Fail, Severity::Info);
    assert_eq!(asked(old, &[Fault::NtlmAllowed]), [allowed]);
}

/// The five of a preflight that have no line in the table pass and fail here; so every id that one asks does both somewhere.
#[test]
fn the_probes_with_stories_of_their_own_pass_and_fail_too() {
    let agent = |tenant: &str| Installed::ProvisioningAgent {
        version: Version::new(1, 1, 2505, 0),
        tenant: tenant.parse().unwrap(),
    };
    let (own, other) = (tenant().to_string(), "77aa0000-0000-0000-0000-000000000000");
    let there = preflight(Product::ProvisioningAgent, SignIn::Token, true);
    let asked = |step: &Step, installed, faults: &[Fault]| {
        findings(step, &mut twin("sync-01", installed, faults))
    };
    let credential = |faults: &[Fault]| {
        let domain_credential = SecretKind::DomainCredential {
            domain: domain().name,
        };
        let account = DirectoryAccount::Given(domain_credential);
        let beside = Beside {
            credential: true,
            ..Beside::default()
        };
        let mut server = twin("sync-01", Installed::Nothing, faults);
        drive(&mut server, |cx| {
            preflight::survey(&domain(), &account, beside, cx)
        })
        .1
    };
    let connect = preflight(Product::Connect, SignIn::Wizard, true);
    for (id, well, wrong) in [
        (
            "PF22",
            asked(&there, agent(&own), &[]),
            asked(&there, agent(&own), &[Fault::DnsBlocked]),
        ),
        (
            "PF40",
            asked(&there, agent(&own), &[]),
            asked(&there, agent(other), &[]),
        ),
        (
            "PF41",
            asked(&connect, CONNECT, &[]),
            asked(&connect, Installed::Nothing, &[]),
        ),
        (
            "PF53",
            credential(&[]),
            credential(&[Fault::CredentialExpired]),
        ),
        (
            "PF54",
            asked(&there, agent(&own), &[]),
            asked(&there, agent(&own), &[Fault::RightsMissing]),
        ),
    ] {
        assert_eq!(told(&well, id).verdict, Verdict::Pass, "{id}");
        assert_eq!(told(&wrong, id).verdict, Verdict::Fail, "{id}");
    }
}

/// That there is no record is an answer; that nobody answers is none, and stops a server all the same.
#[test]
fn a_domain_that_is_not_found_blocks() {
    for (fault, verdict, read) in [
        (Fault::DnsBlocked, Verdict::Fail, "0 found"),
        (Fault::DnsSilent, Verdict::CannotTell, "timed out"),
    ] {
        let (step, mut server) = server(Product::ProvisioningAgent, &[fault]);
        let seen = findings(&step, &mut server);
        let dns = seen.iter().find(|finding| finding.id == "PF22").unwrap();
        assert_eq!(dns.verdict, verdict, "{dns:?}");
        assert!(dns.blocks() && dns.read.contains(read), "{dns:?}");
    }
}

/// The ports without which nothing goes stop a server; the others warn, each product's own, and name those that are closed.
#[test]
fn ports_that_may_be_closed_warn_and_are_named() {
    for (product, fault, open, closed) in [
        (
            Product::ProvisioningAgent,
            Fault::DirectoryPortsBlocked,
            "TCP 53, TCP 88, TCP 445, TCP 3268 open",
            &["TCP 445: ", "TCP 3268: "][..],
        ),
        (
            Product::Connect,
            Fault::DatagramsBlocked,
            "TCP 53, TCP 445, TCP 3268, UDP 53, UDP 389, dynamic RPC open",
            &["UDP 53: ", "UDP 389: "],
        ),
        (
            Product::Connect,
            Fault::DynamicRpcBlocked,
            "TCP 53, TCP 445, TCP 3268, UDP 53, UDP 389, dynamic RPC open",
            &["dynamic RPC: port 49667 of "],
        ),
    ] {
        let others = |faults: &[Fault]| {
            let (step, mut server) = server(product, faults);
            let seen = findings(&step, &mut server);
            let mut all = seen
                .into_iter()
                .filter(|one| one.what.starts_with("other ports"));
            let found = all.next();
            assert_eq!(all.next(), None);
            found
        };
        let sound = others(&[]).unwrap();
        assert!(sound.read.ends_with(open), "{}", sound.read);
        let faulty = others(&[fault]).unwrap();
        assert_eq!((faulty.verdict, faulty.blocks()), (Verdict::Fail, false));
        for port in closed {
            assert!(faulty.read.contains(port), "{port}: {}", faulty.read);
        }
        assert_eq!(faulty.read.matches("no answer").count(), closed.len());
        // Where nothing comes through, that is said, and the others are not waited for.
        assert_eq!(others(&[Fault::DirectoryBlocked]), None);
    }
}

/// Controllers that the topology prefers are asked, and all of them: one that does not answer stops the server, whoever else
/// DNS names. Without such, one of those that DNS names is enough.
#[test]
fn the_domain_controllers_that_are_preferred_are_the_ones_that_must_answer() {
    let asked = |preferred: &[&str], faults: &[Fault]| {
        let mut step = preflight(Product::ProvisioningAgent, SignIn::Token, false);
        if let Step::Preflight(preflight) = &mut step {
            let names = preferred.iter().map(|name| name.parse().unwrap());
            preflight.domains[0].preferred_dcs = names.collect();
        }
        let seen = findings(&step, &mut twin("sync-01", Installed::Nothing, faults));
        let ports = seen.into_iter().filter(|one| one.id == "PF23");
        let ports = ports.filter(|one| !one.what.starts_with("other ports"));
        ports
            .map(|one| (one.read.clone(), one.blocks()))
            .collect::<Vec<_>>()
    };
    let (first, second) = ("near.corp.contoso.com", "dc2.corp.contoso.com");
    let silent = [Fault::PreferredControllerSilent];
    let open = |name: &str| (format!("{name}:389: open"), false);
    assert_eq!(asked(&[first, second], &[]), [open(first), open(second)]);
    let [refused, other] = asked(&[first, second], &silent).try_into().unwrap();
    assert!(refused.1 && refused.0.starts_with(first), "{refused:?}");
    assert_eq!(other, open(second));
    assert_eq!(asked(&[], &silent), [open("dc1.corp.contoso.com")]);
}

/// The product may take any of those that are preferred: what each of them is, is asked, whoever stands first.
#[test]
fn each_domain_controller_that_is_preferred_is_asked_what_it_is() {
    let (near, second) = ("near.corp.contoso.com", "dc2.corp.contoso.com");
    let mut step = preflight(Product::Connect, SignIn::Wizard, false);
    if let Step::Preflight(preflight) = &mut step {
        preflight.domains[0].preferred_dcs = vec![second.parse().unwrap(), near.parse().unwrap()];
    }
    let asked = |faults: &[Fault]| {
        let seen = findings(&step, &mut twin("sync-01", Installed::Nothing, faults));
        ["PF21", "PF25"].map(|id| {
            // Of the forest's other domain another controller is asked.
            let own = seen.iter().filter(|one| {
                one.id == id && (one.read.contains(near) || one.read.contains(second))
            });
            own.map(|one| (one.verdict, one.blocks(), one.read.contains(near)))
                .collect::<Vec<_>>()
        })
    };
    let passes = |is_near| (Verdict::Pass, false, is_near);
    let well = vec![passes(false), passes(true)];
    assert_eq!(asked(&[]), [well.clone(), well]);
    let wrong = vec![passes(false), (Verdict::Fail, true, true)];
    assert_eq!(
        asked(&[Fault::PreferredControllerReadOnly]),
        [wrong.clone(), wrong]
    );
}

/// An open port is no TLS: where the server's own reading of that is missing, it cannot be told.
#[test]
fn an_open_port_alone_does_not_tell_that_a_host_speaks_tls() {
    let (host, why) = ("login.windows.net", "SslStream: access is denied (model)");
    for (tls, verdict, read) in [
        (
            serde_json::json!({ "why": why }),
            Verdict::CannotTell,
            "whether it speaks TLS 1.2: SslStream",
        ),
        (
            serde_json::json!([]),
            Verdict::CannotTell,
            "whether it speaks TLS 1.2",
        ),
        (
            serde_json::json!([{ "host": host, "why": "closed" }]),
            Verdict::Fail,
            "no TLS 1.2: closed",
        ),
        (
            serde_json::json!([{ "host": host, "root": "CN=A", "public": true }]),
            Verdict::Pass,
            "open",
        ),
    ] {
        let (step, mut server) = server(Product::ProvisioningAgent, &[]);
        let unread = |op: &Op, outcome| match (op, outcome) {
            (Op::Script { script, .. }, Outcome::Script { mut lines })
                if *script == Script::InspectHost =>
            {
                lines.last_mut().unwrap()["tls"] = tls.clone();
                Outcome::Script { lines }
            }
            (_, outcome) => outcome,
        };
        let seen = drive_with(&mut server, |cx| step::perform(&step, cx), unread).1;
        let own = seen
            .iter()
            .find(|one| one.id == "PF26" && one.read.contains(host))
            .unwrap();
        assert_eq!(own.verdict, verdict, "{own:?}");
        assert!(own.read.contains(read), "{own:?}");
        assert_eq!(own.blocks(), verdict == Verdict::Fail, "{own:?}");
    }
}

/// There the cmdlet errs, and whoever repaired what it is about would take a domain controller apart.
#[test]
fn a_domain_controller_is_not_asked_for_a_channel_to_its_domain() {
    for product in [Product::ProvisioningAgent, Product::Connect] {
        let asked = |faults: &[Fault]| {
            let (step, mut server) = server(product, faults);
            let seen = findings(&step, &mut server);
            let read = seen.into_iter().find(|one| one.id == "PF05");
            read.map(|one| (one.verdict, one.read))
        };
        let member = asked(&[]).unwrap();
        assert_eq!(member, (Verdict::Pass, "yes".to_owned()));
        assert_eq!(asked(&[Fault::DomainController]), None);
    }
}

#[test]
fn a_product_that_the_plan_did_not_see_blocks() {
    let step = preflight(Product::Connect, SignIn::Wizard, false);
    let seen = findings(&step, &mut twin("sync-01", CONNECT, &[]));
    assert!(seen.iter().any(|one| one.id == "PF41" && one.blocks()));
    let other = Installed::ProvisioningAgent {
        version: Version::new(1, 1, 2505, 0),
        tenant: "77aa0000-0000-0000-0000-000000000000".parse().unwrap(),
    };
    let step = preflight(Product::ProvisioningAgent, SignIn::Token, true);
    let seen = findings(&step, &mut twin("sync-01", other, &[]));
    assert!(seen.iter().any(|one| one.id == "PF40" && one.blocks()));
}

#[test]
fn what_the_servers_account_may_not_read_cannot_be_told_and_stops_nothing() {
    let (step, mut server) = server(Product::ProvisioningAgent, &[Fault::DirectoryUnreadable]);
    let seen = findings(&step, &mut server);
    for id in ["PF46", "PF48", "PF49", "PF50", "PF52", "PF59"] {
        let finding = seen.iter().find(|finding| finding.id == id).unwrap();
        assert_eq!(finding.verdict, Verdict::CannotTell, "{id}");
        assert!(finding.severity < Severity::Block, "{id}");
        assert!(
            finding.read.contains("could not sign in"),
            "{id}: {}",
            finding.read
        );
    }
}

/// In a pilot it warns; where Connect goes, every object changes tools, and one without an anchor stops it.
#[test]
fn missing_anchors_stop_a_server_only_where_connect_goes() {
    for (connect_goes, faults, verdict, blocks) in [
        (false, &[Fault::AnchorsMissing][..], Verdict::Fail, false),
        (true, &[Fault::AnchorsMissing], Verdict::Fail, true),
        (true, &[], Verdict::Pass, false),
        (true, &[Fault::DomainTooLarge], Verdict::CannotTell, false),
        (
            true,
            &[Fault::DirectoryUnreadable],
            Verdict::CannotTell,
            false,
        ),
    ] {
        let mut step = preflight(Product::ProvisioningAgent, SignIn::Token, false);
        let Step::Preflight(preflight) = &mut step else {
            panic!("a preflight")
        };
        preflight.both_tools = both(connect_goes);
        let seen = findings(&step, &mut twin("sync-01", Installed::Nothing, faults));
        let anchors = seen.iter().find(|one| one.id == "PF60").unwrap();
        assert_eq!(anchors.verdict, verdict, "{faults:?}: {anchors:?}");
        assert_eq!(anchors.blocks(), blocks, "{faults:?}: {anchors:?}");
        if faults == [Fault::AnchorsMissing] {
            assert_eq!(anchors.read, "420 of 480 users and groups");
        }
        if faults == [Fault::DomainTooLarge] {
            assert!(anchors.read.contains("more than 100000"), "{anchors:?}");
        }
    }
}

/// Whether the server's account may log in is the database owner's choice, and the installation does not need it: it stops
/// nothing, and says who asks instead, and what.
#[test]
fn a_sql_server_that_refuses_the_servers_account_stops_nothing_and_says_who_asks() {
    let (step, mut server) = server(Product::Connect, &[Fault::SqlLoginRefused]);
    let seen = findings(&step, &mut server);
    let told: Vec<&Finding> = seen.iter().filter(|one| one.id == "PF71").collect();
    let [told] = told.as_slice() else {
        panic!("nothing is told of what was not asked: {told:?}")
    };
    assert_eq!(told.verdict, Verdict::CannotTell);
    assert!(!told.blocks());
    for part in [
        "the person at the wizard, or the database's owner",
        "SERVERPROPERTY('Collation')",
        "ADSync is empty, or not there yet",
        "lets the account sync-01$ log in",
    ] {
        assert!(told.fix.contains(part), "{part}: {}", told.fix);
    }
}

/// A database that is taken over must be there; what one of the engine's holds is not read.
#[test]
fn a_database_that_is_taken_over_must_be_one_of_the_engines() {
    for (faults, expected) in [
        (&[][..], "is not there"),
        (&[Fault::SqlForeign], "none of the engine's"),
    ] {
        let mut step = preflight(Product::Connect, SignIn::Wizard, true);
        let Step::Preflight(preflight) = &mut step else {
            panic!("a preflight")
        };
        preflight.database = Some(database(true));
        let seen = findings(&step, &mut twin("sync-01", CONNECT, faults));
        let content = seen.iter().find(|one| one.what.ends_with("what is in it"));
        let content = content.unwrap();
        assert!(content.blocks(), "{content:?}");
        assert!(content.read.contains(expected), "{content:?}");
    }
}

/// Rights of replication are given once an agent serves the domain: before, nobody is told that they are missing.
#[test]
fn an_agent_that_is_there_is_told_which_rights_its_account_lacks() {
    for (present, faults, expected) in [
        (false, &[Fault::RightsMissing][..], None),
        (true, &[Fault::RightsMissing], Some(Verdict::Fail)),
        (true, &[], Some(Verdict::Pass)),
    ] {
        let step = preflight(Product::ProvisioningAgent, SignIn::Token, present);
        let seen = findings(
            &step,
            &mut twin(
                "sync-01",
                Installed::ProvisioningAgent {
                    tenant: tenant(),
                    version: Version::new(1, 1, 2334, 0),
                },
                faults,
            ),
        );
        let finding = seen.iter().find(|one| one.id == "PF54");
        assert_eq!(finding.map(|one| one.verdict), expected, "{finding:?}");
        assert!(finding.is_none_or(|one| !one.blocks()));
    }
}

/// Where it is written that password hashes of a domain are synchronized, an account without the rights blocks, unless the work that
/// follows gives them with the domain's credential (PF54).
#[test]
fn rights_that_password_hashes_need_block_where_they_are_written() {
    use protocol::step::{DirectoryRights, Permission};
    let installed = Installed::ProvisioningAgent {
        tenant: tenant(),
        version: Version::new(1, 1, 2334, 0),
    };
    for (written, rights, blocks) in [
        (
            vec![Permission::PasswordHashSync],
            DirectoryRights::Handover,
            true,
        ),
        (vec![Permission::All], DirectoryRights::Handover, true),
        (
            vec![Permission::PasswordHashSync],
            DirectoryRights::Ask,
            false,
        ),
        (Vec::new(), DirectoryRights::Handover, false),
    ] {
        for (faults, fails) in [(&[Fault::RightsMissing][..], true), (&[], false)] {
            let mut step = preflight(Product::ProvisioningAgent, SignIn::Token, true);
            let Step::Preflight(preflight) = &mut step else {
                unreachable!()
            };
            let own = preflight.own_rights.as_mut().unwrap();
            for domain in &mut own.replicates {
                domain.permissions.clone_from(&written);
                domain.rights = rights;
            }
            let seen = findings(&step, &mut twin("sync-01", installed.clone(), faults));
            let finding = seen.iter().find(|one| one.id == "PF54").unwrap();
            assert!(finding.what.starts_with("rights of replication"));
            assert_eq!(finding.verdict == Verdict::Fail, fails, "{finding:?}");
            assert_eq!(
                finding.blocks(),
                fails && blocks,
                "{written:?} {rights:?}: {finding:?}"
            );
        }
    }
}

/// What else is written of a domain is read back as well, a finding for each set: passwords that are to be written back block, the other
/// sets warn, and what is not written is not asked (PF54).
#[test]
fn each_set_that_is_written_is_read_back_by_itself() {
    use protocol::step::{DirectoryRights, Permission};
    let installed = Installed::ProvisioningAgent {
        tenant: tenant(),
        version: Version::new(1, 1, 2334, 0),
    };
    let asked = |written: &[Permission], rights: DirectoryRights, faults: &[Fault]| {
        let mut step = preflight(Product::ProvisioningAgent, SignIn::Token, true);
        let Step::Preflight(preflight) = &mut step else {
            unreachable!()
        };
        for domain in &mut preflight.own_rights.as_mut().unwrap().replicates {
            domain.permissions = written.to_vec();
            domain.rights = rights;
        }
        let seen = findings(&step, &mut twin("sync-01", installed.clone(), faults));
        let own = seen.into_iter().filter(|one| one.id == "PF54");
        own.collect::<Vec<Finding>>()
    };
    let (handover, ask) = (DirectoryRights::Handover, DirectoryRights::Ask);
    for set in Permission::ALL {
        let sets = if set == Permission::All { 6 } else { 1 };
        let sound = asked(&[set], handover, &[]);
        assert_eq!(sound.len(), sets, "{set:?}: {sound:?}");
        assert!(sound.iter().all(|one| one.verdict == Verdict::Pass));
        let lacking = asked(&[set], handover, &[Fault::SetsMissing]);
        assert_eq!(lacking.len(), sets, "{set:?}: {lacking:?}");
        for finding in &lacking {
            let hashes = finding.what.starts_with("rights of replication");
            let writeback = finding.what.contains("for password-writeback");
            let fails = finding.verdict == Verdict::Fail;
            assert_eq!(fails, !hashes, "{finding:?}");
            assert_eq!(finding.blocks(), writeback, "{finding:?}");
            if fails {
                assert!(finding.read.contains(" lacks "), "{finding:?}");
                assert!(finding.fix.contains("handover"), "{finding:?}");
            }
        }
        // Where the work itself gives them with the domain's credential, nothing stops it.
        let given = asked(&[set], ask, &[Fault::SetsMissing]);
        assert!(given.iter().all(|one| !one.blocks()), "{given:?}");
    }
    // Nobody wants hashes of it: their rights are not asked.
    let own = asked(&[Permission::BasicRead], handover, &[Fault::RightsMissing]);
    let [one] = own.as_slice() else {
        panic!("{own:?}")
    };
    assert!(one.what.contains("for basic-read"), "{one:?}");
    assert_eq!(one.verdict, Verdict::Pass);
}

/// What cannot be read of the two proxies is no word against either; a difference between them blocks (PF31).
#[test]
fn a_proxy_that_the_engine_would_not_take_blocks() {
    for (faults, blocks) in [
        (&[Fault::MachineProxyDiffers][..], true),
        (&[Fault::ProxySet, Fault::MachineProxyDiffers], true),
        (&[Fault::ProxySet], false),
        (&[], false),
    ] {
        let (step, mut server) = server(Product::Connect, faults);
        let seen = findings(&step, &mut server);
        let finding = seen.iter().find(|one| one.id == "PF31").unwrap();
        assert_eq!(finding.blocks(), blocks, "{faults:?}: {finding:?}");
    }
}

/// The product's web service answers 200, or somebody else answers in its place (PF32); what nobody answered is not known.
#[test]
fn whoever_answers_in_the_place_of_the_web_service_blocks() {
    for (answer, verdict) in [
        (serde_json::json!(200), Verdict::Pass),
        (serde_json::json!(403), Verdict::Fail),
        (serde_json::json!(302), Verdict::Fail),
        (serde_json::json!(503), Verdict::Fail),
        (serde_json::json!({ "why": "no name" }), Verdict::CannotTell),
    ] {
        let (step, mut server) = server(Product::Connect, &[]);
        let instead = |_: &Op, mut outcome: Outcome| {
            if let Outcome::Script { lines } = &mut outcome {
                let mut web = lines.iter_mut().filter_map(|line| line.get_mut("web"));
                if let Some(web) = web.next() {
                    *web = answer.clone();
                }
            }
            outcome
        };
        let (_, seen, _) = drive_with(&mut server, |cx| step::perform(&step, cx), instead);
        let finding = seen.iter().find(|one| one.id == "PF32").unwrap();
        assert_eq!(finding.verdict, verdict, "{answer}: {finding:?}");
        assert_eq!(finding.blocks(), verdict == Verdict::Fail, "{finding:?}");
    }
}

/// What groups a directory shows decides what is told of their members: a large one, none that is larger, or nothing (PF58).
#[test]
fn what_is_not_shown_of_groups_cannot_be_told() {
    use agent_core::op::FoundGroups;
    let found = |larger: &[&str], members: bool, whole: bool| FoundGroups {
        looked: 70,
        larger: larger.iter().map(|name| (*name).to_owned()).collect(),
        members,
        whole,
    };
    for (groups, verdict, words) in [
        (
            found(&[], true, true),
            Verdict::Pass,
            "none of 70 groups has more than 50000",
        ),
        (
            found(&[], false, true),
            Verdict::CannotTell,
            "shown no member of a group",
        ),
        (
            found(&[], true, false),
            Verdict::CannotTell,
            "the first 70 groups",
        ),
        (
            found(&["CN=a"], true, false),
            Verdict::Fail,
            "more than 50000 in CN=a",
        ),
        (
            found(&["CN=a", "CN=b", "CN=c", "CN=d", "CN=e"], true, true),
            Verdict::Fail,
            "CN=d and CN=e, and there may be more such groups",
        ),
    ] {
        let (step, mut server) = server(Product::ProvisioningAgent, &[]);
        let instead = |_: &Op, outcome: Outcome| match outcome {
            Outcome::LargeGroups(_) => Outcome::LargeGroups(Box::new(groups.clone())),
            other => other,
        };
        let (_, seen, _) = drive_with(&mut server, |cx| step::perform(&step, cx), instead);
        let mut own = seen.iter().filter(|one| one.id == "PF58");
        let finding = own.find(|one| one.what.starts_with("members")).unwrap();
        assert_eq!(finding.verdict, verdict, "{finding:?}");
        assert!(finding.read.contains(words), "{finding:?}");
        assert_eq!(finding.blocks(), verdict == Verdict::Fail, "{finding:?}");
    }
}

/// The engine goes by machine.config: a proxy of the system that stands there too is as it should be (PF30).
#[test]
fn a_proxy_of_the_system_is_a_finding_where_machine_config_has_another() {
    for (faults, fails) in [
        (&[Fault::ProxySet][..], false),
        (&[Fault::ProxySet, Fault::MachineProxyDiffers], true),
        (&[], false),
    ] {
        let (step, mut server) = server(Product::Connect, faults);
        let seen = findings(&step, &mut server);
        let finding = seen.iter().find(|one| one.id == "PF30").unwrap();
        assert_eq!(
            finding.verdict == Verdict::Fail,
            fails,
            "{faults:?}: {finding:?}"
        );
        assert!(!fails || finding.fix.contains("PF31"), "{finding:?}");
    }
}

/// What the product reaches through its proxy is asked through it.
#[test]
fn the_cloud_is_asked_through_the_proxy_that_the_product_goes_through() {
    let told = |product: Product, faults: &[Fault]| {
        let (mut step, mut server) = server(product, faults);
        if let (Step::Preflight(preflight), Product::ProvisioningAgent) = (&mut step, product) {
            preflight.options.proxy = Some("http://proxy.contoso.com:8080".parse().unwrap());
        }
        findings(&step, &mut server)
    };
    let verdicts = |all: &[Finding], id: &str| -> BTreeSet<String> {
        let own = all.iter().filter(|one| one.id == id);
        own.map(|one| format!("{:?} {}", one.verdict, one.blocks()))
            .collect()
    };
    let only = |word: &str| BTreeSet::from([word.to_owned()]);
    let agent = Product::ProvisioningAgent;
    let open = told(agent, &[]);
    assert_eq!(verdicts(&open, "PF26"), only("Pass false"));
    let by_proxy = open
        .iter()
        .filter(|one| one.read.contains("by http://proxy.contoso.com:8080"));
    assert!(by_proxy.count() > 4, "{open:#?}");
    assert_eq!(verdicts(&open, "PF29"), only("Pass false"));
    // Where the direct way is closed, TLS is begun by the proxy, and what is shown there is judged.
    let closed = told(agent, &[Fault::CloudBlocked]);
    assert_eq!(verdicts(&closed, "PF26"), only("Pass false"));
    assert_eq!(verdicts(&closed, "PF29"), only("Pass false"));
    for product in [agent, Product::Connect] {
        let inspected = told(product, &[Fault::ProxySet, Fault::ProxyInspects]);
        assert_eq!(verdicts(&inspected, "PF26"), only("Pass false"));
        assert_eq!(verdicts(&inspected, "PF29"), only("Fail true"));
        let mut own = inspected.iter().filter(|one| one.id == "PF29");
        assert!(
            own.any(|one| one.read.contains("CN=Contoso Inspection CA")),
            "{inspected:#?}"
        );
        // A certificate under a public root is not the host's where it is for somebody else.
        let other = told(product, &[Fault::ProxySet, Fault::ProxyShowsOther]);
        assert_eq!(verdicts(&other, "PF26"), only("Pass false"));
        assert_eq!(verdicts(&other, "PF29"), only("Fail true"));
        let mut own = other.iter().filter(|one| one.id == "PF29");
        assert!(
            own.any(|one| one
                .read
                .contains("a certificate for filter.example.net is shown")),
            "{other:#?}"
        );
    }
    // The product goes by no proxy: what one shows is not met.
    for fault in [Fault::ProxyInspects, Fault::ProxyShowsOther] {
        let (step, mut server) = server(Product::Connect, &[fault]);
        assert_eq!(
            verdicts(&findings(&step, &mut server), "PF29"),
            only("Pass false")
        );
    }
    assert_eq!(verdicts(&closed, "PF27"), only("Pass false"));
    // Hosts that answer nobody answer no proxy.
    let silent = told(agent, &[Fault::RegistrationBlocked]);
    assert_eq!(verdicts(&silent, "PF27"), only("Fail false"));
    let refused = told(agent, &[Fault::ProxyRefuses]);
    assert_eq!(verdicts(&refused, "PF26"), only("Fail true"));
    assert_eq!(verdicts(&refused, "PF27"), only("Fail false"));
    assert_eq!(verdicts(&refused, "PF29"), only("CannotTell false"));
    let asks = told(agent, &[Fault::ProxyDemandsSignIn]);
    assert_eq!(verdicts(&asks, "PF26"), only("CannotTell false"));
    let mut own = asks.iter().filter(|one| one.id == "PF30");
    assert!(
        own.any(|one| one.verdict == Verdict::Fail && one.read.contains("sign-in")),
        "{asks:#?}"
    );
    // A proxy of the system may let some hosts pass it by: the direct way is open.
    let engine = told(Product::Connect, &[Fault::ProxySet, Fault::ProxyRefuses]);
    assert_eq!(verdicts(&engine, "PF26"), only("CannotTell false"));
    assert_eq!(verdicts(&engine, "PF29"), only("Pass false"));
    let shut = told(
        Product::Connect,
        &[Fault::ProxySet, Fault::ProxyRefuses, Fault::CloudBlocked],
    );
    assert_eq!(verdicts(&shut, "PF26"), only("Fail true"));
}

/// Where public roots come by a policy they lie with the company's own: whose one is that the server trusts cannot be told, and that
/// stops nothing, behind a proxy as without one.
#[test]
fn where_roots_come_by_policy_nobody_is_said_to_inspect_tls() {
    for (product, proxied) in [
        (Product::ProvisioningAgent, false),
        (Product::Connect, false),
        (Product::Connect, true),
    ] {
        let mut faults = vec![Fault::RootsByPolicy];
        faults.extend(proxied.then_some(Fault::ProxySet));
        let (step, mut server) = server(product, &faults);
        let seen = findings(&step, &mut server);
        let finding = seen.iter().find(|one| one.id == "PF29").unwrap();
        assert_eq!(finding.verdict, Verdict::CannotTell, "{finding:?}");
        assert!(!finding.blocks(), "{finding:?}");
        for part in ["DisableRootAutoUpdate", "DigiCert", "certlm.msc"] {
            assert!(finding.read.contains(part), "{part}: {finding:?}");
        }
    }
}

/// The row of the user is that of the agent's account, and whoever signs in at the wizard has another one.
#[test]
fn whose_execution_policy_was_read_is_said() {
    for (product, id) in [
        (Product::ProvisioningAgent, "PF12"),
        (Product::Connect, "PF13"),
    ] {
        let (step, mut server) = server(product, &[]);
        let seen = findings(&step, &mut server);
        let finding = seen.iter().find(|one| one.id == id).unwrap();
        assert_eq!(finding.verdict, Verdict::Pass, "{finding:?}");
        let whose = "CurrentUser Undefined (of the account that Entrain runs as)";
        assert!(finding.read.contains(whose), "{finding:?}");
    }
}

/// A proxy of the system is passed by for one host, and what that one showed directly could not be read: nobody says of it that it is not
/// inspected because the others are not.
#[test]
fn a_host_that_neither_way_shows_leaves_it_open_whether_tls_is_inspected() {
    let asked =
        |unread: bool| {
            let (step, mut server) = server(Product::Connect, &[Fault::ProxySet]);
            let (_, journal, _) =
                crate::common::drive_with(vec![step], &mut server, None, "value", |op, outcome| {
                    match (op, outcome) {
                        (Op::LookThrough { host, .. }, _) if host == "login.windows.net" => {
                            Outcome::Failed("the proxy answers 502".to_owned())
                        }
                        (Op::Script { script, .. }, Outcome::Script { mut lines })
                            if unread && *script == Script::InspectHost =>
                        {
                            for line in &mut lines {
                                line["tls"] =
                                    serde_json::json!({ "why": "SslStream is not to be had" });
                            }
                            Outcome::Script { lines }
                        }
                        (_, outcome) => outcome,
                    }
                });
            let probed = journal.into_iter().filter_map(|event| match event {
                Event::Probed { findings, .. } => Some(findings),
                _ => None,
            });
            let mut all = probed.flatten();
            all.find(|one| one.id == "PF29").unwrap()
        };
    let read = asked(false);
    assert_eq!(read.verdict, Verdict::Pass, "{read:?}");
    let unread = asked(true);
    assert_eq!(unread.verdict, Verdict::CannotTell, "{unread:?}");
    assert!(
        unread
            .read
            .contains("login.windows.net: SslStream is not to be had"),
        "{unread:?}"
    );
}

/// Which sets a domain uses, whoever asks by hand does not know: each is told, and none blocks.
#[test]
fn a_survey_tells_every_set_of_an_account() {
    let name = "svcEntraSync$".parse().unwrap();
    let host = "sync-01.corp.contoso.com".parse().unwrap();
    for (faults, passes) in [(&[][..], 6), (&[Fault::SetsMissing], 1)] {
        let mut server = twin("sync-01", Installed::Nothing, faults);
        let beside = Beside {
            gmsa: Some((&name, &host)),
            ..Beside::default()
        };
        let (end, seen, _) = drive(&mut server, |cx| {
            preflight::survey(&domain(), &DirectoryAccount::Server, beside, cx)
        });
        assert!(matches!(end, Next::Complete(_)), "{end:?}");
        let own: Vec<&Finding> = seen.iter().filter(|one| one.id == "PF54").collect();
        assert_eq!(own.len(), 6, "{own:#?}");
        let passed = own.iter().filter(|one| one.verdict == Verdict::Pass);
        assert_eq!(passed.count(), passes, "{own:#?}");
        assert!(own.iter().all(|one| !one.blocks()), "{own:#?}");
    }
}

/// What stays where Connect goes is asked for where it goes alone: an ordinary survey says nothing of single sign-on, which stays as it is.
#[test]
fn a_survey_asks_for_what_connect_leaves_behind_where_it_goes_alone() {
    let asked = |connect_goes: bool, faults: &[Fault]| {
        let mut server = twin("sync-01", Installed::Nothing, faults);
        let beside = Beside {
            connect_goes,
            ..Beside::default()
        };
        let (end, seen, _) = drive(&mut server, |cx| {
            preflight::survey(&domain(), &DirectoryAccount::Server, beside, cx)
        });
        assert!(matches!(end, Next::Complete(_)), "{end:?}");
        let own = seen.into_iter().filter(|one| one.id == "UN03");
        own.map(|one| (one.verdict, one.blocks()))
            .collect::<Vec<_>>()
    };
    let there = [Fault::SeamlessSignOn];
    assert_eq!(asked(true, &there), [(Verdict::Fail, false)]);
    assert_eq!(asked(true, &[]), [(Verdict::Pass, false)]);
    let unread = [Fault::DirectoryUnreadable];
    assert_eq!(asked(true, &unread), [(Verdict::CannotTell, false)]);
    for faults in [&there[..], &unread, &[]] {
        assert_eq!(asked(false, faults), []);
    }
}

#[test]
fn a_survey_without_an_account_tells_what_everyone_is_told() {
    let mut server = twin("sync-01", Installed::Nothing, &[Fault::DirectoryUnreadable]);
    let account = DirectoryAccount::Server;
    let (end, seen, _) = drive(&mut server, |cx| {
        preflight::survey(&domain(), &account, Beside::default(), cx)
    });
    assert!(matches!(end, Next::Complete(_)), "{end:?}");
    let verdict = |id: &str| seen.iter().find(|one| one.id == id).map(|one| one.verdict);
    assert_eq!(verdict("PF25"), Some(Verdict::Pass));
    assert_eq!(verdict("PF49"), Some(Verdict::CannotTell));
}

pub(crate) fn change(first: &mut Twin) -> GmsaChange {
    let mut told = None;
    let (by, domain) = (first.profile().target.clone(), domain().name);
    let (end, ..) = drive(first, |cx| {
        let change = controllers::gmsa_change(&by, &domain, &[], cx)?;
        told = Some(change);
        Ok(Complete::new(protocol::event::Completion::AlreadySo, ""))
    });
    assert!(matches!(end, Next::Complete(_)), "{end:?}");
    told.unwrap()
}

pub(crate) fn waits(second: &mut Twin, change: &GmsaChange) -> (String, Vec<String>) {
    let domain = domain().name;
    let (end, _, tasks) = drive(second, |cx| {
        let how = controllers::await_change(change, &domain, &[], cx)?;
        Ok(Complete::new(protocol::event::Completion::AlreadySo, how))
    });
    let Next::Complete(complete) = end else {
        panic!("{end:?}")
    };
    (complete.summary, tasks)
}

/// A server whose agent the product has registered, and that the gMSA therefore names.
pub(crate) fn registered(name: &str) -> Twin {
    let mut server = twin(
        name,
        Installed::ProvisioningAgent {
            version: Version::new(1, 1, 2505, 0),
            tenant: tenant(),
        },
        &[],
    );
    let mut shared = server.shared().clone();
    let readers = shared
        .readers
        .entry("provAgentgMSA$".to_owned())
        .or_default();
    readers.insert(target(name));
    server.set_shared(shared);
    server
}

#[test]
fn the_next_server_acts_when_its_own_controller_shows_the_change() {
    let mut first = registered("sync-01");
    let change = change(&mut first);
    assert_eq!(change.readers.as_ref().map(Vec::len), Some(1), "{change:?}");
    for faults in [&[][..], &[Fault::ReplicationSlow]] {
        let mut second = twin("sync-02", Installed::Nothing, faults);
        second.set_shared(first.shared().clone());
        let (how, tasks) = waits(&mut second, &change);
        assert!(how.contains("is readable at dc1.corp.contoso.com"), "{how}");
        assert!(tasks.is_empty(), "nobody is asked: {tasks:?}");
    }
}

#[test]
fn where_the_change_cannot_be_seen_a_person_looks_and_says_so() {
    let mut first = registered("sync-01");
    let seen = change(&mut first);
    let unread = GmsaChange {
        readers: None,
        ..seen.clone()
    };
    let mut second = twin("sync-02", Installed::Nothing, &[]);
    second.set_shared(first.shared().clone());
    let (how, tasks) = waits(&mut second, &unread);
    assert_eq!(tasks.len(), 1);
    assert!(how.starts_with("anna attests"), "{how}");
    // A change that never arrives is a person's to judge as well.
    let mut second = twin("sync-02", Installed::Nothing, &[]);
    let (how, tasks) = waits(&mut second, &seen);
    assert_eq!(tasks.len(), 1);
    assert!(how.starts_with("anna attests"), "{how}");
    first.set_faults([Fault::DirectoryUnreadable].into());
    assert_eq!(
        change(&mut first).readers,
        None,
        "what cannot be read is not made up"
    );
}
