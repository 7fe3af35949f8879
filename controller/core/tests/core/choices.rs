//! Every choice of the product's custom installation (product facts 2.5), as data: the page that asks it, how the topology writes it,
//! and what the person at the wizard reads there. Held against the model, its schema, and the table of the documentation.
#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeSet;

use controller_core::beyond::Beyond;
use controller_core::exported::ExportSeen;
use controller_core::facts::{Fleetwide, Known};
use controller_core::finding::Severity;
use controller_core::plan::{Inputs, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::topology::{Feature, Identity, UserSignIn, check, json_schema, parse};
use protocol::exported::{ExportedRow, ExportedSettings};
use protocol::facts::{ConnectFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::step::Step;
use protocol::task::TaskText;
use protocol::{Digest, Timestamp};

use crate::common;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// One choice: the row of the facts, the page, how it is written, and what that page says.
struct Choice {
    row: &'static str,
    page: &'static str,
    written: &'static str,
    says: &'static [&'static str],
}

const fn choice(
    row: &'static str,
    page: &'static str,
    written: &'static str,
    says: &'static [&'static str],
) -> Choice {
    Choice {
        row,
        page,
        written,
        says,
    }
}

const COMPONENTS: &str = "Install required components";
const FILTERING: &str = "Domain and OU filtering";
const IDENTITY: &str = "Uniquely identifying your users";
const FEATURES: &str = "Optional features";
const READY: &str = "Ready to configure";

/// The rows of the table of product facts 2.5, in its order.
const ROWS: [&str; 13] = [
    "Required components",
    "User sign-in",
    "Connect to Entra",
    "Connect directories",
    "Sign-in configuration",
    "Domain/OU filtering",
    "Identifying users",
    "Source anchor",
    "Group filtering",
    "Optional features",
    "SSO",
    "AD FS / WAP / Ping",
    "Ready",
];

#[rustfmt::skip]
const CHOICES: &[Choice] = &[
    choice(ROWS[0], COMPONENTS, r#"location = "D:\\Connect""#, &[r#"tick "Specify a custom installation location": D:\Connect"#]),
    choice(ROWS[0], COMPONENTS, "sql_server = \"sql.a.test\\\\SYNC,1433\"\nsql_database = \"Sync\"", &[r#"tick "Use an existing SQL Server": sql.a.test\SYNC,1433, database Sync"#]),
    choice(ROWS[0], COMPONENTS, "databases = { \"c2.a.test\" = { sql_server = \"sql.a.test\" } }", &[r#"tick "Use an existing SQL Server": sql.a.test, database ADSync"#]),
    choice(ROWS[0], "Installer", "sql_server = \"sql.a.test\"\nexisting_database = true", &["AzureADConnect.exe /useexistingdatabase"]),
    choice(ROWS[0], COMPONENTS, r#"service_account = "A\\gmsaSync$""#, &[r#"tick "Use an existing service account": A\gmsaSync$"#, "cannot be changed later"]),
    choice(ROWS[0], COMPONENTS, r#"groups = ["admins", "operators", "browse", "reset"]"#, &["Administrators = admins, Operators = operators, Browse = browse, Password Reset = reset"]),
    choice(ROWS[0], COMPONENTS, r#"import = "MigratedPolicy.json""#, &[r#"tick "Import synchronization settings": MigratedPolicy.json"#, "are not imported", "leaves out device writeback"]),
    choice(ROWS[1], "User sign-in", r#"sign_in = "password-hash-sync""#, &[r#"choose "Password Hash Synchronization""#]),
    choice(ROWS[1], "User sign-in", r#"sign_in = "pass-through""#, &[r#"choose "Pass-through authentication""#]),
    choice(ROWS[1], "User sign-in", r#"sign_in = "ad-fs""#, &[r#"choose "Federation with AD FS""#]),
    choice(ROWS[1], "User sign-in", r#"sign_in = "ping-federate""#, &[r#"choose "Federation with PingFederate""#]),
    choice(ROWS[1], "User sign-in", r#"sign_in = "none""#, &[r#"choose "Do not configure""#]),
    choice(ROWS[1], "User sign-in", "single_sign_on = true", &[r#""Enable single sign-on": tick"#]),
    choice(ROWS[2], "Connect to Microsoft Entra ID", "", &["Hybrid Identity Administrator", "second factor", "PIM"]),
    choice(ROWS[2], "Installer", "interactive_sign_in = true", &["AzureADConnect.exe /InteractiveAuth", "smart cards"]),
    choice(ROWS[3], "Connect your directories", "", &[r#"a.test: Add Directory, "Create new AD account""#]),
    choice(ROWS[3], "Connect your directories", r#"accounts = { "a.test" = "A\\reader" }"#, &[r#"a.test: Add Directory, "Use existing AD account", A\reader"#]),
    choice(ROWS[4], "Microsoft Entra sign-in configuration", r#"user_name = "mail""#, &["user principal name: mail; some workloads"]),
    choice(ROWS[4], "Microsoft Entra sign-in configuration", "unverified_suffixes = true", &["tick that the wizard goes on without every suffix verified"]),
    choice(ROWS[5], FILTERING, r#"units = { "a.test" = ["OU=Staff,DC=a,DC=test", "DC=emea,DC=a,DC=test"] }"#, &["  OU=Staff,DC=a,DC=test", "  DC=emea,DC=a,DC=test", "under a chosen one: synchronized"]),
    choice(ROWS[5], FILTERING, "units = { \"a.test\" = [\"OU=Staff,DC=a,DC=test\"] }\nnew_units = false", &["under a chosen one: not synchronized"]),
    choice(ROWS[6], IDENTITY, r#"identity = "once""#, &["represented only once"]),
    choice(ROWS[6], IDENTITY, r#"identity = "mail""#, &["matched by: Mail attribute"]),
    choice(ROWS[6], IDENTITY, r#"identity = "object-sid""#, &["ObjectSID and msExchMasterAccountSID / msRTCSIP-OriginatorSID"]),
    choice(ROWS[6], IDENTITY, r#"identity = "account-name""#, &["SAMAccountName and MailNickName"]),
    choice(ROWS[6], IDENTITY, r#"identity = "employeeID""#, &["a specific attribute, employeeID", "neither can be changed later"]),
    choice(ROWS[7], IDENTITY, r#"source_anchor = "managed""#, &["Let Azure manage the source anchor"]),
    choice(ROWS[7], IDENTITY, r#"source_anchor = "objectGUID""#, &[r#""Choose a specific attribute", objectGUID"#, "upper and lower case"]),
    choice(ROWS[8], "Filter users and devices", r#"pilot_groups = { "a.test" = "CN=Pilot,DC=a,DC=test" }"#, &["CN=Pilot,DC=a,DC=test; its direct members alone"]),
    choice(ROWS[9], FEATURES, r#"features = ["exchange-hybrid"]"#, &[r#"tick "Exchange hybrid deployment""#]),
    choice(ROWS[9], FEATURES, r#"features = ["exchange-public-folders"]"#, &[r#"tick "Exchange Mail Public Folders""#]),
    choice(ROWS[9], FEATURES, "features = [\"attribute-filtering\"]\nattribute_filtering = { apps = [\"Exchange Online\"] }", &[r#"tick "Microsoft Entra app and attribute filtering""#]),
    choice(ROWS[9], "Microsoft Entra apps", "features = [\"attribute-filtering\"]\nattribute_filtering = { apps = [\"Exchange Online\", \"SharePoint Online\"] }", &["these services, and these alone:", "  Exchange Online", "  SharePoint Online"]),
    choice(ROWS[9], "Microsoft Entra attributes", "features = [\"attribute-filtering\"]\nattribute_filtering = { without = [\"extensionAttribute7\"] }", &["clear these attributes, and no other:", "  extensionAttribute7"]),
    choice(ROWS[9], FEATURES, "sign_in = \"pass-through\"\nfeatures = [\"password-hash-sync\"]", &[r#"tick "Password hash synchronization""#]),
    choice(ROWS[9], FEATURES, r#"features = ["password-writeback"]"#, &[r#"tick "Password writeback""#]),
    choice(ROWS[9], FEATURES, r#"features = ["group-writeback"]"#, &[r#"tick "Group writeback""#]),
    choice(ROWS[9], FEATURES, r#"features = ["device-writeback"]"#, &[r#"tick "Device writeback""#]),
    choice(ROWS[9], FEATURES, "features = [\"directory-extensions\"]\ndirectory_extensions = [\"costCenter\"]", &[r#"tick "Directory extension attribute sync""#]),
    choice(ROWS[9], "Directory extensions", "features = [\"directory-extensions\"]\ndirectory_extensions = [\"costCenter\", \"employeeType\"]", &["case sensitive", "  costCenter", "  employeeType"]),
    choice(ROWS[10], "Enable single sign-on", "single_sign_on = true", &["a.test: sign in as a Domain Administrator of it", "b.test: sign in as a Domain Administrator of it"]),
    choice(ROWS[10], "Enable single sign-on", "single_sign_on = true\nsingle_sign_on_forests = [\"b.test\"]", &["a.test: skip it", "b.test: sign in as a Domain Administrator of it"]),
    choice(ROWS[11], "AD FS farm", "sign_in = \"ad-fs\"\nfederation = { farm = \"new\" }", &["choose a new AD FS farm"]),
    choice(ROWS[11], "AD FS farm", "sign_in = \"ad-fs\"\nfederation = { farm = \"existing\" }", &["choose the AD FS farm that exists", "made anew from scratch"]),
    choice(ROWS[11], "AD FS servers", "sign_in = \"ad-fs\"\nfederation = { servers = [\"fs1.a.test\"] }", &["servers: fs1.a.test"]),
    choice(ROWS[11], "Web application proxy servers", "sign_in = \"ad-fs\"\nfederation = { proxies = [\"wap1.a.test\"] }", &["proxies: wap1.a.test"]),
    choice(ROWS[11], "AD FS certificate", "sign_in = \"ad-fs\"\nfederation = { certificate = \"CN=fs.a.test\" }", &["certificate: CN=fs.a.test"]),
    choice(ROWS[11], "AD FS service account", "sign_in = \"ad-fs\"\nfederation = { service_account = \"A\\\\fs$\" }", &["service account: A\\fs$"]),
    choice(ROWS[11], "Microsoft Entra domain", "sign_in = \"ad-fs\"\nfederation = { domain = \"a.test\" }", &["domain to federate: a.test"]),
    choice(ROWS[11], "PingFederate domain", "sign_in = \"ping-federate\"\nfederation = { domain = \"a.test\" }", &["domain to federate: a.test"]),
    choice(ROWS[12], READY, "start = false", &[r#"configuration completes": clear"#]),
    choice(ROWS[12], READY, "", &[r#""Enable staging mode": clear"#]),
];

/// Keys of a federation and of a row of databases, which stand in tables of their own.
const NESTED: [(&str, &[&str]); 3] = [
    (
        "federation",
        &[
            "farm",
            "servers",
            "proxies",
            "certificate",
            "service_account",
            "domain",
        ],
    ),
    (
        "databases",
        &["sql_server", "sql_database", "existing_database"],
    ),
    ("attribute_filtering", &["apps", "without"]),
];

fn document(written: &str, servers: &str) -> String {
    format!(
        "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[connect.main]\nforests = [\"a.test\", \"b.test\"]\n{servers}\n[connect.main.settings]\n{written}\n"
    )
}

/// The pages that the one server of an entry gets.
fn pages(written: &str) -> TaskText {
    let text = document(written, "servers = [\"c2.a.test\"]");
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{written}: {findings:?}");
    let found = check(&topology, None);
    let errors: Vec<String> = found
        .iter()
        .filter(|one| one.severity == Severity::Error)
        .map(ToString::to_string)
        .collect();
    assert!(errors.is_empty(), "{written}: {errors:?}");
    let known = Fleetwide::from([("c2.a.test".parse().unwrap(), reported(None))]);
    let plan = plan(Inputs::of(
        &topology,
        &Policy::default(),
        &known,
        &common::artifacts(),
        Purpose::Install,
    ));
    let part = &plan.targets[&"c2.a.test".parse().unwrap()];
    let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
    let text = steps.find_map(|step| match step {
        Step::GuideConnect(guide) => Some(guide.text.clone()),
        _ => None,
    });
    text.unwrap_or_else(|| panic!("{written}: {:?}", part.why))
}

fn reported(connect: Option<ConnectFacts>) -> Known {
    Known {
        facts: Some((NOW, common::facts(None, connect))),
        ..Known::of(SigningKey::generate().public().fingerprint())
    }
}

#[test]
fn every_choice_of_the_wizard_can_be_written_and_stands_on_its_page() {
    for choice in CHOICES {
        let task = pages(choice.written);
        let page = task.pages.iter().find(|page| page.title == choice.page);
        let page = page.unwrap_or_else(|| panic!("{}: no page {}", choice.written, choice.page));
        let said = page.lines.join("\n");
        for words in choice.says {
            assert!(said.contains(words), "{}: {words}\n{said}", choice.written);
        }
    }
}

#[test]
fn no_row_no_key_and_no_word_is_forgotten() {
    let rows: BTreeSet<&str> = CHOICES.iter().map(|choice| choice.row).collect();
    assert_eq!(rows, ROWS.into_iter().collect(), "rows of the facts");
    let all: Vec<&str> = CHOICES.iter().map(|choice| choice.written).collect();
    let all = all.join("\n");
    let schema = json_schema();
    let settings = &schema["properties"]["connect"]["additionalProperties"]["properties"]["settings"]
        ["oneOf"][1]["properties"];
    let documented = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../deploy/docs/custom-settings.md"
    ))
    .unwrap();
    let keys = settings.as_object().unwrap();
    for key in keys.keys() {
        let written = |line: &str| line.trim_start().starts_with(&format!("{key} = "));
        assert!(all.lines().any(written), "no choice writes {key}");
        assert!(
            documented.contains(&format!("`{key}`")),
            "{key} is not in the table"
        );
    }
    for (table, own) in NESTED {
        let below = &settings[table];
        let below = below
            .get("additionalProperties")
            .filter(|one| one.is_object())
            .unwrap_or(below);
        let schema: BTreeSet<&str> = below["properties"]
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        assert_eq!(schema, own.iter().copied().collect(), "{table}");
        for key in own {
            assert!(
                all.contains(&format!("{key} = ")),
                "no choice writes {table}.{key}"
            );
            assert!(
                documented.contains(&format!("`{key}`")),
                "{table}.{key} is not in the table"
            );
        }
    }
    for word in UserSignIn::WORDS.iter().chain(Feature::WORDS) {
        assert!(
            all.contains(&format!("\"{word}\"")),
            "no choice writes {word}"
        );
        assert!(
            documented.contains(&format!("`{word}`")),
            "{word} is not in the table"
        );
    }
    // A further way to tell users apart stops this from building.
    let identity = |identity: Identity| match identity {
        Identity::Once => "\"once\"",
        Identity::Mail => "\"mail\"",
        Identity::ObjectSid => "\"object-sid\"",
        Identity::AccountName => "\"account-name\"",
        Identity::Attribute(_) => "\"employeeID\"",
    };
    let ways = [
        Identity::Once,
        Identity::Mail,
        Identity::ObjectSid,
        Identity::AccountName,
        Identity::Attribute(String::new()),
    ];
    for way in ways.map(identity) {
        assert!(all.contains(&format!("identity = {way}")), "{way}");
    }
}

fn told(written: &str, servers: &str) -> Vec<String> {
    let (topology, mut findings) = parse(&[common::document(document(written, servers))]);
    findings.extend(check(&topology, None));
    findings.iter().map(ToString::to_string).collect()
}

#[test]
fn what_the_wizard_would_refuse_is_refused_before() {
    let one = "servers = [\"c2.a.test\"]";
    for (written, what, fix) in [
        (
            "location = \"Connect\"",
            "no folder of a local drive",
            "D:\\\\Connect",
        ),
        (
            "groups = [\"A\\\\admins\", \"o\", \"b\", \"r\"]",
            "A\\admins names a domain",
            "without a domain",
        ),
        (
            "import = \"rules.xml\"",
            "no file of exported settings",
            "MigratedPolicy.json",
        ),
        (
            "accounts = { \"a.test\" = \"A\\\\gmsa$\" }",
            "a managed or a computer account",
            "normal user|made beforehand",
        ),
        (
            "accounts = { \"a.test\" = \"administrator@a.test\" }",
            "is an administrator",
            "made beforehand",
        ),
        (
            "source_anchor = \"userprincipalname\"",
            "hold an @",
            "managed",
        ),
        (
            "units = { \"a.test\" = [\"Staff\"] }",
            "no distinguished name",
            "OU=Staff",
        ),
        (
            "units = { \"a.test\" = [\"OU=Staff\"] }",
            "ends in its domain",
            "OU=Staff,DC=corp",
        ),
        (
            "pilot_groups = { \"a.test\" = \"Pilot\" }",
            "no distinguished name",
            "CN=Pilot",
        ),
        (
            "pilot_groups = { \"a.test\" = \"CN=Pilot,OU=G,DC=a,DC=test\" }\nunits = { \"a.test\" = [\"OU=Staff,DC=a,DC=test\"] }",
            "in none of the units",
            "add the unit",
        ),
        (
            "features = [\"attribute-filtering\"]",
            "which services or attributes",
            "attribute_filtering =",
        ),
        (
            "features = [\"directory-extensions\"]",
            "which attributes",
            "directory_extensions =",
        ),
        (
            "attribute_filtering = { apps = [\"Exchange Online\"] }",
            "without that feature",
            "attribute-filtering",
        ),
        (
            "directory_extensions = [\"costCenter\"]",
            "without that feature",
            "directory-extensions",
        ),
        (
            "features = [\"directory-extensions\"]\ndirectory_extensions = [\"cost center\"]",
            "no name of an attribute",
            "LDAP display name",
        ),
        (
            "features = [\"directory-extensions\"]\ndirectory_extensions = [\"costCenter\", \"CostCenter\"]",
            "stands there twice",
            "remove one",
        ),
        ("new_units = false", "says nothing", "units"),
        (
            "single_sign_on_forests = [\"a.test\"]",
            "without single_sign_on",
            "single_sign_on = true",
        ),
        (
            "single_sign_on = true\nsingle_sign_on_forests = [\"c.test\"]",
            "c.test, which is none of its forests",
            "did you mean",
        ),
        (
            "sign_in = \"ad-fs\"\nfederation = { farm = \"old\" }",
            "none of new, existing",
            "existing",
        ),
        (
            "databases = { \"c9.a.test\" = { sql_server = \"s\" } }",
            "c9.a.test, which is none of its servers",
            "did you mean",
        ),
        (
            "databases = { \"c2.a.test\" = { sql_database = \"x\" } }",
            "without sql_server",
            "sql_server =",
        ),
        (
            "databases = { \"c2.a.test\" = {} }",
            "has no sql_server",
            "sql_server =",
        ),
        (
            "databases = { \"not a name\" = { sql_server = \"s\" } }",
            "databases: ",
            "as it stands in `servers`",
        ),
        (
            "sql_server = \"s\"\ndatabases = { \"c2.a.test\" = { sql_server = \"t\" } }",
            "databases beside it",
            "nowhere else",
        ),
    ] {
        let said = told(written, one);
        let fits = |said: &&String| {
            said.contains(what)
                && fix.split('|').any(|fix| said.contains(fix))
                && said.starts_with("t.toml:")
        };
        assert!(said.iter().any(|said| fits(&said)), "{written}: {said:#?}");
    }
}

const TWO: &str = "servers = [\"c1.a.test\", \"c2.a.test\"]";
const NEW_AND_OLD: &str = "servers = [\"c2.a.test\"]\nretired = [\"c1.a.test\"]";

/// `databases` of two servers, each on a SQL Server, with what else stands in the second row.
fn both(first: &str, second: &str, more: &str) -> String {
    format!(
        "service_account = \"A\\\\gmsa$\"\ndatabases = {{ \"c1.a.test\" = {{ sql_server = \"{first}\" }}, \"c2.a.test\" = {{ sql_server = \"{second}\"{more} }} }}"
    )
}

/// Product facts 2.7: one engine uses an instance, and a database is not shared.
#[test]
fn two_servers_never_share_a_database_or_an_instance() {
    assert_eq!(told(&both("s1\\\\SYNC", "s2\\\\SYNC", ""), TWO), [""; 0]);
    assert_eq!(told(&both("s1\\\\A", "s1\\\\B", ""), TWO), [""; 0]);
    for (more, servers, what, fix) in [
        (
            "",
            TWO,
            "name the same database ADSync on S1",
            "another instance",
        ),
        (
            ", sql_database = \"Other\"",
            TWO,
            "name the same instance S1",
            "another instance",
        ),
        (
            ", existing_database = true",
            TWO,
            "name the same database",
            "into `retired`",
        ),
        // Of one that goes the database may be taken over, and nothing else of it.
        (
            "",
            NEW_AND_OLD,
            "would find data in it and stop",
            "existing_database = true for c2.a.test",
        ),
        (
            ", sql_database = \"Other\"",
            NEW_AND_OLD,
            "name the same instance",
            "another instance",
        ),
    ] {
        let said = told(&both("s1", "S1", more), servers);
        let fits = |said: &String| said.contains(what) && said.contains(fix);
        assert!(said.iter().any(fits), "{more} {servers}: {said:#?}");
    }
    assert_eq!(
        told(&both("s1", "S1", ", existing_database = true"), NEW_AND_OLD),
        [""; 0]
    );
    // Two tenants do not share an instance either.
    let other = "[tenant.other]\nid = \"3f0c8a4e-0000-0000-0000-000000000001\"\n[connect.other]\ntenant = \"other\"\nforests = [\"d.test\"]\nservers = [\"c4.d.test\"]\nsettings = { sql_server = \"s1\", service_account = \"D\\\\gmsa$\" }\n";
    let text = document(&both("s1", "s2", ""), &format!("tenant = \"main\"\n{TWO}")) + other;
    let (topology, _) = parse(&[common::document(text)]);
    let said: Vec<String> = check(&topology, None)
        .iter()
        .map(ToString::to_string)
        .collect();
    let fits = |said: &String| said.contains("c1.a.test and c4.d.test name the same database");
    assert!(said.iter().any(fits), "{said:#?}");
    // One server without a row has what comes along.
    let said = told(
        "service_account = \"A\\\\gmsa$\"\ndatabases = { \"c1.a.test\" = { sql_server = \"s1\" } }",
        TWO,
    );
    assert!(
        said[0].contains("c2.a.test of \"main\" gets the LocalDB"),
        "{said:#?}"
    );
}

/// The check lets it pass; the plan waits until the one before has left its database.
#[test]
fn a_database_is_taken_over_only_when_nobody_has_it_any_more() {
    let text = document(&both("s1", "s1", ", existing_database = true"), NEW_AND_OLD);
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let there = |staging| ConnectFacts {
        version: Some(common::artifacts()[&protocol::step::Product::Connect].version),
        service: Some(ServiceState::Running),
        staging: Some(staging),
        cycle_enabled: Some(true),
        suspended: Some(false),
    };
    let planned = |old: Option<Known>| {
        let mut known = Fleetwide::from([("c2.a.test".parse().unwrap(), reported(None))]);
        known.extend(old.map(|old| ("c1.a.test".parse().unwrap(), old)));
        let plan = plan(Inputs::of(
            &topology,
            &Policy::default(),
            &known,
            &common::artifacts(),
            Purpose::Install,
        ));
        let part = &plan.targets[&"c2.a.test".parse().unwrap()];
        let guided = part.phases.iter().flat_map(|phase| &phase.steps);
        let guided = guided
            .filter(|step| matches!(step, Step::GuideConnect(_)))
            .count();
        (guided, part.why.join("\n"))
    };
    for (old, words) in [
        (
            Some(reported(Some(there(true)))),
            "is that of c1.a.test, as far as the topology says, and Connect is still there",
        ),
        (
            Some(reported(Some(there(false)))),
            "two engines never share one",
        ),
        (None, "it has never reported"),
    ] {
        let (guided, why) = planned(old);
        assert!(guided == 0 && why.contains(words), "{guided} {why}");
    }
    let (guided, why) = planned(Some(reported(None)));
    assert_eq!(guided, 1, "{why}");
}

/// Product facts 2.6: the file is a copy of what the active server exported, and what came over shows by another export.
#[test]
fn an_import_names_the_export_that_it_must_be_and_is_compared_afterwards() {
    let text = document(
        "import = \"Exported.json\"",
        "servers = [\"c1.a.test\", \"c2.a.test\"]",
    );
    let (topology, _) = parse(&[common::document(text)]);
    let there = ConnectFacts {
        version: Some(common::artifacts()[&protocol::step::Product::Connect].version),
        service: Some(ServiceState::Running),
        staging: Some(false),
        cycle_enabled: Some(true),
        suspended: Some(false),
    };
    let known = Fleetwide::from([
        ("c1.a.test".parse().unwrap(), reported(Some(there))),
        ("c2.a.test".parse().unwrap(), reported(None)),
    ]);
    let export = ExportedSettings::of(
        ("Applied-SynchronizationPolicy-7.JSON".to_owned(), NOW),
        (12_345, Digest::of(b"it")),
        Ok(vec![ExportedRow {
            path: "a".to_owned(),
            value: "1".to_owned(),
        }]),
    );
    let seen = ExportSeen {
        at: NOW,
        export,
        before: None,
    };
    let told = Beyond {
        exports: [("c1.a.test".parse().unwrap(), seen)].into(),
        ..Beyond::default()
    };
    let policy = Policy::default();
    let artifacts = common::artifacts();
    let planned = |beyond: &Beyond, purpose| {
        plan(Inputs {
            beyond,
            ..Inputs::of(&topology, &policy, &known, &artifacts, purpose)
        })
    };
    let page = |beyond: &Beyond| {
        let plan = planned(beyond, Purpose::Install);
        let part = &plan.targets[&"c2.a.test".parse().unwrap()];
        let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
        assert_eq!(
            part.phases.last().unwrap().steps.last(),
            Some(&Step::ReadConnectSettings),
            "what came over is read"
        );
        let text = steps.find_map(|step| match step {
            Step::GuideConnect(guide) => Some(guide.text.clone()),
            _ => None,
        });
        let pages = text.unwrap().pages;
        let page = pages.iter().find(|page| page.title == COMPONENTS).unwrap();
        assert_eq!(page.lines.last().map(String::as_str), Some("Install"));
        page.lines.join("\n")
    };
    let said = page(&told);
    for words in [
        "the newest export of c1.a.test",
        "Applied-SynchronizationPolicy-7.JSON",
        "12345 bytes",
        &Digest::of(b"it").to_string(),
        "administrators alone",
        "delete it there and on the way",
        "entrain diff c1.a.test c2.a.test --exported",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = page(Beyond::NOTHING);
    assert!(
        said.contains("was never told here") && said.contains("plan --verify"),
        "{said}"
    );
    let plan = planned(Beyond::NOTHING, Purpose::Verify);
    let part = &plan.targets[&"c1.a.test".parse().unwrap()];
    let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
    assert!(steps.any(|step| *step == Step::ReadConnectSettings));
}

/// What the topology lists is set on the way, and told by a preflight alone.
#[test]
fn what_may_be_mended_on_a_connect_server_stands_in_its_looks() {
    use protocol::step::Fix;

    let text = document("", "servers = [\"c2.a.test\"]\nmay_fix = [\"tls12\"]");
    let (topology, findings) = parse(&[common::document(text)]);
    assert!(findings.is_empty(), "{findings:?}");
    let known = Fleetwide::from([("c2.a.test".parse().unwrap(), reported(None))]);
    let looks = |purpose| {
        let (policy, artifacts) = (Policy::default(), common::artifacts());
        let plan = plan(Inputs::of(&topology, &policy, &known, &artifacts, purpose));
        let part = &plan.targets[&"c2.a.test".parse().unwrap()];
        let steps = part.phases.iter().flat_map(|phase| &phase.steps);
        let looks = steps.filter_map(|step| match step {
            Step::Preflight(one) => Some((one.may_fix.clone(), one.will_fix.clone())),
            _ => None,
        });
        looks.collect::<Vec<_>>()
    };
    let (fixes, none) = (vec![Fix::Tls12], Vec::new());
    assert_eq!(
        looks(Purpose::Install),
        [(fixes.clone(), none.clone()), (fixes.clone(), none.clone())]
    );
    assert_eq!(looks(Purpose::Preflight), [(none, fixes)]);
    let said = told("", "servers = [\"c2.a.test\"]\nmay_fix = [\"vaultsvc\"]");
    assert!(
        said.iter()
            .any(|said| said.contains("of the provisioning agent alone") && said.contains("tls12")),
        "{said:#?}"
    );
}
