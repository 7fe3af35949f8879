//! Custom settings of Connect Sync: what the topology may say, which server becomes active, and that every choice comes out
//! as a line of the wizard's page.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::facts::{Fleetwide, Known};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::topology::{Document, Feature, Topology, UserSignIn, check, parse};
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::step::{ConnectWork, Step};
use protocol::task::TaskText;
use protocol::{TargetId, Timestamp, Version};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const NEWEST: Version = Version::new(2, 6, 92, 0);

/// Two forests and three servers; the second one is preferred.
fn document(settings: &str) -> Document {
    // Each server has a database of its own: one SQL Server is written for one server.
    let servers = if settings.contains("sql_server") {
        "\"c2.a.test\""
    } else {
        "\"c1.a.test\", \"c2.a.test\", \"c3.a.test\""
    };
    common::document(format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\", \"b.test\"]\nservers = [{servers}]\nprefer_active = \"c2.a.test\"\n{settings}\n"
    ))
}

fn told(settings: &str) -> Vec<String> {
    let (topology, mut findings) = parse(&[document(settings)]);
    findings.extend(check(&topology, None));
    findings.iter().map(ToString::to_string).collect()
}

fn planned(settings: &str, modes: [Option<Option<bool>>; 3]) -> Plan {
    let (topology, findings) = parse(&[document(settings)]);
    assert!(findings.is_empty(), "{findings:?}");
    let mut known = Fleetwide::new();
    for (server, mode) in topology.targets().into_iter().zip(modes) {
        let connect = mode.map(|staging| ConnectFacts {
            version: Some(NEWEST),
            service: Some(ServiceState::Running),
            staging,
            cycle_enabled: Some(true),
            suspended: Some(false),
        });
        let entry = Known {
            facts: Some((NOW, common::facts(None, connect))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        known.insert(server, entry);
    }
    plan_over(&topology, &known)
}

fn plan_over(topology: &Topology, known: &Fleetwide) -> Plan {
    plan(Inputs::of(
        topology,
        &Policy::default(),
        known,
        &common::artifacts(),
        Purpose::Install,
    ))
}

fn guided(plan: &Plan, server: &str) -> Option<(ConnectWork, TaskText)> {
    let part = &plan.targets[&server.parse::<TargetId>().unwrap()];
    let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
    steps.find_map(|step| match step {
        Step::GuideConnect(guide) => Some((guide.work, guide.text.clone())),
        _ => None,
    })
}

fn works(settings: &str, modes: [Option<Option<bool>>; 3]) -> [Option<ConnectWork>; 3] {
    let plan = planned(settings, modes);
    ["c1.a.test", "c2.a.test", "c3.a.test"].map(|server| {
        let there = plan.targets.contains_key(&server.parse().unwrap());
        there
            .then(|| guided(&plan, server))
            .flatten()
            .map(|(work, _)| work)
    })
}

/// The task as a person reads it.
fn text(task: &TaskText) -> String {
    let mut lines = vec![task.title.clone()];
    lines.extend(task.bring.iter().map(|line| format!("bring {line}")));
    for page in &task.pages {
        lines.push(format!("[{}]", page.title));
        lines.extend(page.lines.clone());
    }
    lines.join("\n") + "\n"
}

#[test]
fn one_server_becomes_active_and_every_other_staging() {
    let settings = "settings = {}";
    let (active, staging) = (
        Some(ConnectWork::InstallActive),
        Some(ConnectWork::InstallStaging),
    );
    assert_eq!(works(settings, [None; 3]), [staging, active, staging]);
    // Whoever is active stays it, also where another one is preferred: only a person swaps them.
    let modes = [Some(Some(false)), None, None];
    assert_eq!(works(settings, modes), [None, staging, staging]);
    // Where it cannot be told, nobody is installed.
    let modes = [Some(None), None, None];
    assert_eq!(works(settings, modes), [None; 3]);
    // A taken over database starts in staging mode, on the preferred server too.
    let existing = "settings = { sql_server = \"sql.a.test\", service_account = \"A\\\\svc$\", existing_database = true }";
    assert_eq!(works(existing, [None; 3]), [None, staging, None]);
    // Nothing that is written asks for nothing.
    let plan = planned("", [None; 3]);
    let part = &plan.targets[&"c2.a.test".parse::<TargetId>().unwrap()];
    assert!(
        part.left_out && part.why[0].contains("settings"),
        "{part:?}"
    );
    let plan = planned(settings, [None; 3]);
    let becoming = plan.targets.values().filter(|part| part.makes_active());
    assert_eq!(becoming.count(), 1, "G1");
}

#[test]
fn a_server_that_never_reported_may_be_the_active_one() {
    let (topology, _) = parse(&[document("settings = {}")]);
    let entry = |target: &str| {
        let known = Known {
            facts: Some((NOW, common::facts(None, None))),
            ..Known::of(SigningKey::generate().public().fingerprint())
        };
        (target.parse().unwrap(), known)
    };
    let known = Fleetwide::from([entry("c1.a.test"), entry("c2.a.test")]);
    let plan = plan_over(&topology, &known);
    let chosen = &plan.targets[&"c2.a.test".parse::<TargetId>().unwrap()];
    let why = &chosen.why[0];
    assert!(
        chosen.left_out && why.contains("c3.a.test") && why.contains("(G1)"),
        "{why}"
    );
    assert_eq!(
        guided(&plan, "c1.a.test").unwrap().0,
        ConnectWork::InstallStaging
    );
}

/// Staging servers came first, and the preferred one has its turn now: that none is active is what this plan mends.
#[test]
fn that_none_is_active_does_not_stand_against_the_plan_that_makes_one_active() {
    let modes = [Some(Some(true)), None, Some(Some(true))];
    let plan = planned("settings = {}", modes);
    assert_eq!(
        guided(&plan, "c2.a.test").unwrap().0,
        ConnectWork::InstallActive
    );
    assert_eq!(plan.alarms, [""; 0]);
    for words in ["no Connect server", "was ever synchronized is not known"] {
        assert!(
            plan.warnings.iter().any(|one| one.contains(words)),
            "{words}: {:?}",
            plan.warnings
        );
    }
    // Where it makes none active, it stands.
    let plan = planned("settings = {}", [Some(Some(true)); 3]);
    assert_eq!(plan.alarms.len(), 1);
}

/// The setting of the cycle is the tenant's (product facts 2.12 [P]): cleared on a staging server it stops the one that is to be active.
#[test]
fn a_cycle_that_a_person_starts_is_left_off_by_the_one_that_becomes_active_alone() {
    let settings = "settings = { start = false }";
    let told = |plan: &Plan, server: &str| {
        let part = &plan.targets[&server.parse::<TargetId>().unwrap()];
        let steps: Vec<&Step> = part.phases.iter().flat_map(|phase| &phase.steps).collect();
        let guide = steps.iter().find_map(|step| match step {
            Step::GuideConnect(guide) => Some(guide),
            _ => None,
        });
        let guide = guide.unwrap();
        let waits = steps
            .iter()
            .any(|step| matches!(step, Step::AwaitFullSync(_)));
        let ready = guide.text.pages.iter();
        let ready = ready.filter(|page| page.title == "Ready to configure");
        let tick = ready.map(|page| page.lines[0].clone()).collect::<String>();
        (tick, guide.release.is_some(), waits, part.why.join("\n"))
    };
    let plan = planned(settings, [None; 3]);
    for server in ["c1.a.test", "c3.a.test"] {
        let (tick, release, waits, why) = told(&plan, server);
        assert!(tick.contains("completes\": tick, "), "{server}: {tick}");
        assert!(!release && waits, "{server}: {release} {waits}");
        assert!(why.contains("is active or is to be"), "{server}: {why}");
    }
    let (tick, release, waits, _) = told(&plan, "c2.a.test");
    assert!(
        tick.ends_with("completes\": clear") && release && !waits,
        "{tick}"
    );
    // One that takes a database over alone has nobody beside it.
    let existing = "settings = { sql_server = \"sql.a.test\", service_account = \"A\\\\svc$\", existing_database = true, start = false }";
    let (tick, release, waits, _) = told(&planned(existing, [None; 3]), "c2.a.test");
    assert!(
        tick.ends_with("completes\": clear") && release && !waits,
        "{tick}"
    );
}

#[test]
fn without_a_word_every_page_says_what_the_wizard_proposes() {
    let plan = planned("settings = {}", [None; 3]);
    let (_, task) = guided(&plan, "c1.a.test").unwrap();
    let expected = r#"install Connect Sync with custom settings on c1.a.test, staging
bring a Hybrid Identity Administrator of tenant 3f0c8a4e-0000-0000-0000-000000000000
bring a local administrator of the server
bring an Enterprise Administrator of a.test
bring an Enterprise Administrator of b.test
[Sign in]
sign in to the server as local administrator
[Installer]
start AzureADConnect.msi from C:\ProgramData\Entrain\staged
[Welcome]
agree to the license terms; Continue
[Express settings]
Customize
[Install required components]
leave "Specify a custom installation location" clear
leave "Use an existing SQL Server" clear
leave "Use an existing service account" clear
leave "Specify custom sync groups" clear
leave "Import synchronization settings" clear
Install
[User sign-in]
choose "Password Hash Synchronization"
"Enable single sign-on": leave clear
Next
[Connect to Microsoft Entra ID]
sign in as a Hybrid Identity Administrator of tenant 3f0c8a4e-0000-0000-0000-000000000000; the role must be assigned directly, not by a group
it may ask for a second factor; where the role is one of PIM, it is activated before
Next
[Connect your directories]
a.test: Add Directory, "Create new AD account", as a.test\administrator or in the NetBIOS form
b.test: Add Directory, "Create new AD account", as b.test\administrator or in the NetBIOS form
then these 2 stand under the configured directories, and no other
the NetBIOS name of a.test is not read: take the name in full, or look at it with Active Directory Domains and Trusts
the NetBIOS name of b.test is not read: take the name in full, or look at it with Active Directory Domains and Trusts
Next
[Microsoft Entra sign-in configuration]
user principal name: userPrincipalName
whether a.test is a verified domain of the tenant is not known (entrain tenant read): where it is not, its users would sign in with onmicrosoft.com names
the other UPN suffixes of a.test are not seen: entrain preflight has its Connect servers read them
whether b.test is a verified domain of the tenant is not known (entrain tenant read): where it is not, its users would sign in with onmicrosoft.com names
the other UPN suffixes of b.test are not seen: entrain preflight has its Connect servers read them
each UPN suffix in use should stand there as verified
stop here and verify the domain first where one is not, unless its users shall sign in with onmicrosoft.com names
user sign-in options: https://learn.microsoft.com/entra/identity/hybrid/connect/plan-connect-user-signin#azure-ad-sign-in-configuration
adding and verifying a custom domain: https://learn.microsoft.com/entra/fundamentals/add-custom-domain
prerequisites: https://learn.microsoft.com/entra/identity/hybrid/connect/how-to-connect-install-prerequisites
[Domain and OU filtering]
a.test: "Sync all domains and OUs"
b.test: "Sync all domains and OUs"
Next
[Uniquely identifying your users]
"Users are represented only once across all directories"
source anchor: "Let Azure manage the source anchor"
neither can be changed later: stop here where the topology may be wrong
Next
[Filter users and devices]
"Synchronize all users and devices"
Next
[Optional features]
"Password hash synchronization" is ticked by the choice of the sign-in
leave everything else as it is
Next
[Ready to configure]
"Start the synchronization process when configuration completes": tick
where somebody holds the tenant's cycle just now (Get-ADSyncScheduler on another server: SyncCycleEnabled False), clear it all the same: the setting is shared, and a tick may release it there
"Enable staging mode": tick. Another server of the tenant is active, or is to be: two would break G1
Install
[Configuration complete]
Exit
[Afterwards]
sign out and in again before using Synchronization Service Manager or the rule editor
the applied settings lie in C:\ProgramData\AADConnect\Applied-SynchronizationPolicy-*.JSON: keep a copy off the server
installing with custom settings: https://learn.microsoft.com/entra/identity/hybrid/connect/how-to-connect-install-custom
"#;
    assert_eq!(text(&task), expected);
    let (_, task) = guided(&plan, "c2.a.test").unwrap();
    assert!(text(&task).contains("\"Enable staging mode\": clear"));
}

/// The database is asked about before an installation, under the name that the wizard gets, and of a server that has its own no
/// more.
#[test]
fn the_database_on_a_sql_server_is_asked_about_before_an_installation() {
    let asked = |settings: &str, modes: [Option<Option<bool>>; 3]| -> Vec<_> {
        let plan = planned(settings, modes);
        let part = &plan.targets[&"c2.a.test".parse::<TargetId>().unwrap()];
        let steps = part.phases.iter().flat_map(|phase| &phase.steps);
        let asked = steps.filter_map(|step| match step {
            Step::Preflight(preflight) => Some(preflight.database.clone()),
            _ => None,
        });
        asked.collect()
    };
    let sql = "settings = { sql_server = \"sql.a.test\\\\SYNC\", service_account = \"A\\\\svc$\", existing_database = true }";
    let seen = asked(sql, [None; 3]);
    assert_eq!(
        seen.len(),
        2,
        "before the bytes come, and before the person begins"
    );
    for database in seen {
        let database = database.unwrap();
        assert_eq!(database.server.as_str(), "sql.a.test\\SYNC");
        assert_eq!(database.name.as_str(), "ADSync");
        assert!(database.existing);
        assert_eq!(database.installer, Some(NEWEST));
    }
    assert!(
        asked("settings = {}", [None; 3])
            .iter()
            .all(Option::is_none)
    );
    let there = [Some(Some(true)), None, None];
    assert!(asked(sql, there).iter().all(Option::is_none));
}

const FULL: &str = r#"[connect.main.settings]
location = "D:\\Connect"
sql_server = "sql.a.test\\SYNC"
sql_database = "Sync"
service_account = "A\\svcSync"
groups = ["admins", "operators", "browse", "reset"]
import = "MigratedPolicy.json"
sign_in = "ad-fs"
single_sign_on = true
accounts = { "b.test" = "B\\reader" }
user_name = "mail"
units = { "a.test" = ["OU=Staff,DC=a,DC=test"], "b.test" = [] }
new_units = false
identity = "employeeID"
source_anchor = "extensionAttribute1"
pilot_groups = { "b.test" = "CN=Pilot,DC=b,DC=test" }
features = ["exchange-hybrid", "device-writeback"]
start = false
"#;

#[test]
fn every_choice_comes_out_on_its_page() {
    let plan = planned(FULL, [None; 3]);
    let (_, task) = guided(&plan, "c2.a.test").unwrap();
    let said = text(&task);
    for words in [
        r#"installation location": D:\Connect"#,
        r#"existing SQL Server": sql.a.test\SYNC, database Sync"#,
        r#"existing service account": A\svcSync"#,
        "Administrators = admins, Operators = operators, Browse = browse, Password Reset = reset",
        r#"Import synchronization settings": MigratedPolicy.json"#,
        r#"choose "Federation with AD FS""#,
        r#""Enable single sign-on": tick"#,
        r#"b.test: it comes with the import, and nothing is added; where its account is asked for, "Use existing AD account", B\reader"#,
        r#"a.test: it comes with the import, and nothing is added; where its account is asked for, "Create new AD account""#,
        "where one of them is missing, or another one stands there, stop here: an import neither adds nor takes away directories",
        "user principal name: mail",
        "  OU=Staff,DC=a,DC=test",
        r#"b.test: "Sync all domains and OUs""#,
        "under a chosen one: not synchronized",
        "a specific attribute, employeeID",
        r#""Choose a specific attribute", extensionAttribute1"#,
        "b.test: CN=Pilot,DC=b,DC=test; its direct members alone",
        r#"tick "Exchange hybrid deployment""#,
        r#"tick "Device writeback""#,
        r#"configuration completes": clear"#,
        "[AD FS farm]",
        "a.test: sign in as a Domain Administrator of it",
        r"bring the password of B\reader",
        r"bring the password of A\svcSync",
        "bring an Enterprise Administrator of a.test",
        "bring a Domain Administrator of b.test",
        "bring the exported settings MigratedPolicy.json",
    ] {
        assert!(said.contains(words), "{words} is missing:\n{said}");
    }
    assert!(
        !said.contains("Enterprise Administrator of b.test"),
        "{said}"
    );
    // Each word of a list comes out as the wizard shows it, and no two alike.
    let mut shown: Vec<String> = Vec::new();
    for word in UserSignIn::WORDS {
        let plan = planned(&format!("settings = {{ sign_in = \"{word}\" }}"), [None; 3]);
        let (_, task) = guided(&plan, "c2.a.test").unwrap();
        let page = task.pages.iter().find(|page| page.title == "User sign-in");
        shown.push(page.unwrap().lines[0].clone());
    }
    for word in Feature::WORDS {
        let plan = planned(
            &format!("settings = {{ features = [\"{word}\"] }}"),
            [None; 3],
        );
        let (_, task) = guided(&plan, "c2.a.test").unwrap();
        let page = task
            .pages
            .iter()
            .find(|page| page.title == "Optional features");
        shown.push(page.unwrap().lines[0].clone());
    }
    let count = shown.len();
    shown.sort();
    shown.dedup();
    assert_eq!(shown.len(), count, "{shown:?}");
    for (identity, words) in [
        ("once", "only once"),
        ("mail", "Mail attribute"),
        ("object-sid", "ObjectSID"),
        ("account-name", "MailNickName"),
    ] {
        let plan = planned(
            &format!("settings = {{ identity = \"{identity}\" }}"),
            [None; 3],
        );
        assert!(text(&guided(&plan, "c2.a.test").unwrap().1).contains(words));
    }
    let existing = "settings = { sql_server = \"s\", existing_database = true }";
    let task = guided(&planned(existing, [None; 3]), "c2.a.test")
        .unwrap()
        .1;
    assert!(text(&task).contains("/useexistingdatabase"));
}

/// Product facts 2.6: what is imported fills the pages, and a default of ours would undo it.
#[test]
fn what_is_not_written_beside_an_import_stays_as_it_was_imported() {
    let task = |settings: &str| {
        let plan = planned(settings, [None; 3]);
        guided(&plan, "c2.a.test").unwrap().1
    };
    let bare = task("settings = { import = \"MigratedPolicy.json\" }");
    let page = |task: &TaskText, title: &str| {
        let page = task.pages.iter().find(|page| page.title == title);
        page.unwrap().lines.join("\n")
    };
    let as_imported = "as imported, change nothing";
    for (title, words) in [
        (
            "Domain and OU filtering",
            vec![
                "a.test: as imported",
                "b.test: as imported",
                "made later under a chosen one: as imported",
            ],
        ),
        (
            "Uniquely identifying your users",
            vec![
                "how users are told apart: as imported",
                "source anchor: as imported",
            ],
        ),
        ("Filter users and devices", vec![as_imported]),
        ("Optional features", vec!["everything else: as imported"]),
        (
            "Microsoft Entra sign-in configuration",
            vec!["user principal name: as imported"],
        ),
        (
            "User sign-in",
            vec![
                "choose what the server has that the settings come from",
                "\"Enable single sign-on\": as imported",
            ],
        ),
    ] {
        for words in words {
            assert!(
                page(&bare, title).contains(words),
                "{title}: {}",
                page(&bare, title)
            );
        }
    }
    let said = text(&bare);
    for never in [
        "Sync all domains",
        "Synchronize all users",
        "Let Azure manage",
        "represented only once",
        "userPrincipalName",
        "choose \"Password Hash",
        "is ticked by the choice",
        "leave clear",
        "Add Directory",
    ] {
        assert!(!said.contains(never), "{never}: {said}");
    }
    // Whether hashes are synchronized is nobody's plan then, and no proof asks for it.
    let steps = |settings: &str| {
        let plan = planned(settings, [None; 3]);
        let part = plan.targets[&"c2.a.test".parse::<TargetId>().unwrap()].clone();
        let steps = part.phases.into_iter().flat_map(|phase| phase.steps);
        steps
            .filter_map(|step| match step {
                Step::VerifyConnect(verify) => Some(verify.password_sync),
                _ => None,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(
        steps("settings = { import = \"MigratedPolicy.json\" }"),
        [false]
    );
    assert_eq!(steps("settings = {}"), [true]);
    // What is written counts beside an import as well, also that all of a forest is meant.
    let written = task(
        "settings = { import = \"MigratedPolicy.json\", sign_in = \"password-hash-sync\", units = { \"a.test\" = [] }, identity = \"once\", source_anchor = \"managed\", user_name = \"userPrincipalName\", new_units = true }",
    );
    let said = text(&written);
    for words in [
        "a.test: \"Sync all domains and OUs\"",
        "b.test: as imported",
        "represented only once",
        "Let Azure manage",
        "user principal name: userPrincipalName",
        "choose \"Password Hash Synchronization\"",
        "under a chosen one: synchronized",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

/// Product facts 2.5: servers, certificate, service account, domain; what is not written, its administrator brings.
#[test]
fn a_federation_comes_out_page_by_page() {
    let written = r#"settings = { sign_in = "ad-fs", unverified_suffixes = true, federation = { servers = ["fs1.a.test", "fs2.a.test"], proxies = ["wap1.a.test"], certificate = "CN=fs.a.test", service_account = "A\\svcAdfs", domain = "a.test" } }"#;
    let task = guided(&planned(written, [None; 3]), "c2.a.test").unwrap().1;
    let said = text(&task);
    for words in [
        "[AD FS certificate]\ncertificate: CN=fs.a.test\n",
        "[AD FS servers]\nservers: fs1.a.test, fs2.a.test\n",
        "[Web application proxy servers]\nproxies: wap1.a.test\n",
        "[AD FS service account]\nservice account: A\\svcAdfs\n",
        "[Microsoft Entra domain]\ndomain to federate: a.test\n",
        "\ntick that the wizard goes on without every suffix verified",
        r"bring the password of A\svcAdfs, which AD FS runs as",
        "who is Domain Name Administrator too",
    ] {
        assert!(said.contains(words), "{words} is missing:\n{said}");
    }
    assert!(!said.contains("does not stand in the topology"), "{said}");
    let ping = r#"settings = { sign_in = "ping-federate", federation = { domain = "a.test" } }"#;
    let said = text(&guided(&planned(ping, [None; 3]), "c2.a.test").unwrap().1);
    assert!(
        said.contains("domain to federate: a.test\n") && said.contains("[PingFederate settings]"),
        "{said}"
    );
    // The pages come behind the features and before the last one.
    let at = |title: &str| said.find(title).unwrap();
    assert!(at("[Optional features]") < at("[PingFederate domain]"));
    assert!(at("[PingFederate settings]") < at("[Ready to configure]"));
    for sign_in in ["ad-fs", "ping-federate"] {
        let bare = format!("settings = {{ sign_in = \"{sign_in}\" }}");
        let said = text(&guided(&planned(&bare, [None; 3]), "c2.a.test").unwrap().1);
        let words = "domain to federate: it does not stand in the topology, whoever runs the federation brings it";
        assert!(said.contains(words), "{said}");
    }
    let none = text(
        &guided(&planned("settings = {}", [None; 3]), "c2.a.test")
            .unwrap()
            .1,
    );
    assert!(!none.contains("federat"), "{none}");
}

#[test]
fn what_cannot_be_is_found_with_its_place_and_its_mend() {
    assert!(
        told(FULL).iter().all(|said| said.contains("pilots")),
        "{:?}",
        told(FULL)
    );
    for (settings, what, fix) in [
        (
            "settings = { sign_in = \"password-hash\" }",
            "none of password-hash-sync",
            "password-hash-sync",
        ),
        (
            "settings = { features = [\"exchange\"] }",
            "none of exchange-hybrid",
            "exchange-hybrid",
        ),
        (
            "settings = { sql_database = \"x\" }",
            "without sql_server",
            "sql_server =",
        ),
        (
            "settings = { existing_database = true }",
            "only a database on a SQL Server",
            "sql_server =",
        ),
        (
            "settings = { groups = [\"one\"] }",
            "asks for 4 local groups",
            "Administrators",
        ),
        (
            "settings = { source_anchor = \"a@b\" }",
            "is no attribute",
            "managed",
        ),
        (
            "settings = { sql_server = \"s\", service_account = \"svc$\", existing_database = true, import = \"x\" }",
            "onto an existing database",
            "leave one",
        ),
        (
            "settings = { accounts = { \"c.test\" = \"x\" } }",
            "c.test, which is none of its forests",
            "did you mean",
        ),
        (
            "settings = { accounts = { \"not a name\" = \"x\" } }",
            "not a name",
            "corp.contoso.com",
        ),
        (
            "settings = { units = { \"a.test\" = \"OU=x\" } }",
            "must be a list",
            "[\"…\"]",
        ),
        (
            "settings = { sql_server = \"sql.a.test;Password=x\" }",
            "is no SQL Server",
            "sql-01.corp.contoso.com",
        ),
        (
            "settings = { sql_server = \"s\", sql_database = \"a'b\" }",
            "is no name of a database",
            "ADSync",
        ),
        (
            "settings = { federation = { domain = \"a.test\" } }",
            "without a sign-in that is federated",
            "ping-federate",
        ),
        (
            "settings = { sign_in = \"ping-federate\", federation = { servers = [\"fs1.a.test\"] } }",
            "the domain alone",
            "domain =",
        ),
        (
            "settings = { sign_in = \"ad-fs\", federation = { server = \"fs1.a.test\" } }",
            "unknown key \"server\"",
            "servers",
        ),
        ("settings = { unit = {} }", "unknown key \"unit\"", "units"),
        (
            "settings = { sql_server = \"s\" }",
            "no account of the service",
            "svcADSync$",
        ),
        ("settings = \"expres\"", "is not known", "express"),
        ("settings = 7", "must be a table", "settings"),
    ] {
        let said = told(settings);
        assert!(
            said.iter().any(|said| said.contains(what)
                && said.contains(fix)
                && said.starts_with("t.toml:")),
            "{settings}: {said:#?}"
        );
    }
}
