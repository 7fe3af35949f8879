//! What a domain's administrator is handed: PowerShell that a grammar reads, for the right servers and nobody else's.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where something is not as it must be"
)]

use controller_core::beyond::SuffixesSeen;
use controller_core::forest::{Forests, UNREAD};
use controller_core::handover::{Members, handover};
use controller_core::topology::{Document, Topology, parse};
use protocol::{DomainName, Timestamp};

const TEXT: &str = r#"
[tenant.contoso]
id = "3f0c8a4e-0000-0000-0000-000000000000"
[domain."corp.contoso.com"]
owner = "ad-corp@contoso.com"
[agents.corp]
serves = ["corp.contoso.com", "emea.corp.contoso.com"]
hosts = ["sync-01.corp.contoso.com", "sync-02.corp.contoso.com"]
gmsa = "svcEntraSync$"
retired = ["sync-00.corp.contoso.com"]
[agents.fra]
serves = ["emea.corp.contoso.com"]
hosts = ["fra-sync-01.emea.corp.contoso.com"]
"#;

fn topology() -> Topology {
    let document = Document {
        file: "topology.toml".to_owned(),
        text: TEXT.to_owned(),
    };
    parse(&[document]).0
}

fn has_error(text: &str) -> bool {
    let mut parser = tree_sitter::Parser::new();
    let language = tree_sitter_powershell::LANGUAGE.into();
    parser.set_language(&language).unwrap();
    parser.parse(text, None).unwrap().root_node().has_error()
}

#[test]
fn each_domain_gets_its_own_part_as_powershell() {
    let topology = topology();
    let home = handover(
        &topology,
        UNREAD,
        &"corp.contoso.com".parse().unwrap(),
        &Members::new(),
    )
    .unwrap()
    .script;
    assert!(!has_error(&home), "{home}");
    assert!(has_error("if ($a {"), "the grammar tells what is wrong");
    for words in [
        "# For: ad-corp@contoso.com",
        "New-ADServiceAccount -Server 'corp.contoso.com' -Name 'svcEntraSync'",
        "DNSHostName -eq 'sync-01.corp.contoso.com'",
        "$servers.Count -ne 2",
        "Set-AADCloudSyncPermissions -PermissionType 'BasicRead' -TargetDomain 'corp.contoso.com'",
        "entrain-agent directory corp.contoso.com --gmsa 'svcEntraSync$' --server sync-02.corp.contoso.com",
    ] {
        assert!(home.contains(words), "{words} is missing:\n{home}");
    }
    assert!(
        !home.contains("fra-sync-01"),
        "another domain's servers are not its matter"
    );
    // Part 3 asks whether it is where its cmdlets are: on the workstation it goes on.
    let (_, grants) = home.split_once("# 3. Rights").unwrap();
    let asks = grants
        .find("if (Test-Path -LiteralPath $module) {")
        .unwrap();
    let acts = grants.find("Import-Module -Name $module").unwrap();
    let done = grants
        .find("Write-Warning 'Part 3 granted nothing")
        .unwrap();
    assert!(asks < acts && acts < grants.find("Set-AADCloudSync").unwrap());
    assert!(grants.rfind("Set-AADCloudSync").unwrap() < done);
    for words in [
        "(Read-Host 'Type GRANT to give the two rights of replication from here') -eq 'GRANT'",
        "(Get-ADServiceAccount -Server 'corp.contoso.com' -Identity 'svcEntraSync').SamAccountName",
        "& dsacls.exe \"\\\\corp.contoso.com\\$top\" /G \"${trustee}:CA;$right\"",
        "entrain-agent directory corp.contoso.com --user NAME --answers corp.contoso.com.json",
        "entrain attest --directory corp.contoso.com.json",
    ] {
        assert!(home.contains(words), "{words} is missing:\n{home}");
    }
    assert_eq!(
        home.replace("Get-Credential", "")
            .replace("RestrictedPermissions -Credential $administrator", "")
            .matches("-Credential")
            .count(),
        0,
        "no credential is handed to anybody"
    );

    // Who goes is in the last part alone, and keeps nothing.
    let (stay, go) = home.split_once("# 5. svcEntraSync$").unwrap();
    // It is at the end of a script that is run before: it asks once more.
    let asks = go.find("Read-Host").unwrap();
    assert!(asks < go.find("Set-ADServiceAccount").unwrap());
    assert!(!stay.contains("sync-00"), "{stay}");
    assert!(
        go.contains("DNSHostName -eq 'sync-00.corp.contoso.com'") && !go.contains("sync-01"),
        "{go}"
    );

    let child = handover(
        &topology,
        UNREAD,
        &"emea.corp.contoso.com".parse().unwrap(),
        &Members::new(),
    )
    .unwrap()
    .script;
    assert!(!has_error(&child), "{child}");
    assert!(child.contains("-Name 'provAgentgMSA'") && child.contains("fra-sync-01"));
    assert!(!child.contains("sync-02"), "{child}");
    // Both accounts serve it, each from its own home.
    assert_eq!(child.matches("& dsacls.exe").count(), 2, "{child}");
    for home in [
        "'corp.contoso.com' -Identity 'svcEntraSync'",
        "'emea.corp.contoso.com' -Identity 'provAgentgMSA'",
    ] {
        assert!(
            child.contains(&format!("(Get-ADServiceAccount -Server {home})")),
            "{child}"
        );
    }

    // Where no hashes are synchronized, nothing is granted from afar.
    let text = TEXT.replace(
        "owner = \"ad-corp@contoso.com\"",
        "permissions = [\"basic-read\"]",
    );
    let document = Document {
        file: "topology.toml".to_owned(),
        text,
    };
    let (reads, findings) = parse(&[document]);
    assert!(findings.is_empty(), "{findings:?}");
    let reads = handover(
        &reads,
        UNREAD,
        &"corp.contoso.com".parse().unwrap(),
        &Members::new(),
    )
    .unwrap();
    assert!(!reads.script.contains("dsacls") && !has_error(&reads.script));

    let nobody = handover(
        &topology,
        UNREAD,
        &"other.test".parse().unwrap(),
        &Members::new(),
    );
    assert!(nobody.unwrap_err().contains("other.test"));
}

fn printed(domain: &str, members: &[(&str, &str)]) -> Result<String, String> {
    let member = |(server, home): &(&str, &str)| (server.parse().unwrap(), home.parse().unwrap());
    let members: Members = members.iter().map(member).collect();
    let handed = handover(&topology(), UNREAD, &domain.parse().unwrap(), &members)?;
    assert!(!has_error(&handed.script), "{}", handed.script);
    Ok(handed.script)
}

/// Where the name of a server does not tell its domain, somebody who knows says it: its account and its gMSA live there.
#[test]
fn a_server_is_a_member_of_the_domain_that_is_said() {
    let moved = [("sync-02.corp.contoso.com", "ad.contoso.net")];
    assert!(
        printed("ad.contoso.net", &[])
            .unwrap_err()
            .contains("--member")
    );
    let own = printed("ad.contoso.net", &moved).unwrap();
    assert!(own.contains("New-ADServiceAccount -Server 'ad.contoso.net' -Name 'svcEntraSync'"));
    assert!(own.contains("DNSHostName -eq 'sync-02.corp.contoso.com'") && !own.contains("sync-01"));
    let by_name = printed("corp.contoso.com", &moved).unwrap();
    assert!(!by_name.contains("DNSHostName -eq 'sync-02"), "{by_name}");
    // Rights in a domain are those of the account at its home.
    let trustee = "(Get-ADServiceAccount -Server 'ad.contoso.net' -Identity 'svcEntraSync')";
    assert!(by_name.contains(trustee), "{by_name}");
    let stranger = [("sync-09.corp.contoso.com", "ad.contoso.net")];
    assert!(
        printed("ad.contoso.net", &stranger)
            .unwrap_err()
            .contains("sync-09")
    );
}

/// A key is made in the forest of the domain alone, whichever machine the administrator sits at.
#[test]
fn no_key_is_made_in_the_forest_of_another_workstation() {
    let script = printed("corp.contoso.com", &[]).unwrap();
    let asks = script.find("if ($here -ne $forest)").unwrap();
    let makes = script
        .find("Add-KdsRootKey -EffectiveImmediately }")
        .unwrap();
    assert!(asks < makes && script.contains("(Get-ADDomain -Server 'corp.contoso.com').Forest"));
}

/// Every set of rights that the product has stands there (1.6): what few use is not given by running the text as it is.
#[test]
fn every_set_of_rights_is_named_and_seldom_ones_are_not_given_unasked() {
    let script = printed("corp.contoso.com", &[]).unwrap();
    for (word, given) in [
        ("BasicRead", true),
        ("PasswordHashSync", true),
        ("PasswordWriteBack", true),
        ("UserGroupCreateDelete", true),
        ("HybridExchangePermissions", false),
        ("ExchangeMailPublicFolderPermissions", false),
    ] {
        let set = format!("Set-AADCloudSyncPermissions -PermissionType '{word}'");
        let mut lines = script.lines().filter(|line| line.contains(&set));
        let line = lines.next().unwrap_or_else(|| panic!("{word}: {script}"));
        assert_eq!(line.trim().starts_with("Set-"), given, "{line}");
        assert!(lines.next().is_none());
    }
    let (_, hardens) = script.split_once("-eq 'HARDEN') {").unwrap();
    assert!(
        hardens
            .trim()
            .starts_with("Set-AADCloudSyncRestrictedPermissions -Credential $administrator")
    );
    assert!(!script.contains("not documented right by right"));
}

/// The rights of password writeback switch nothing on, and who does is said beside them and nowhere else.
#[test]
fn who_switches_the_writeback_of_passwords_on_is_said_beside_its_rights() {
    const SWITCH: &str = "    # Set-AADCloudSyncPasswordWritebackConfiguration -Enable $true";
    let script = printed("corp.contoso.com", &[]).unwrap();
    let (_, after) = script.split_once("'PasswordWriteBack'").unwrap();
    assert!(after.lines().any(|line| line == SWITCH), "{script}");
    assert!(after.contains("Global Administrator"), "{script}");
    for (permissions, said) in [
        ("basic-read", false),
        ("password-writeback", true),
        ("all", true),
    ] {
        let text = format!(
            "{TEXT}[domain.\"emea.corp.contoso.com\"]\npermissions = [\"{permissions}\"]\n"
        );
        let file = "topology.toml".to_owned();
        let topology = parse(&[Document { file, text }]).0;
        let of = "emea.corp.contoso.com".parse().unwrap();
        let script = handover(&topology, UNREAD, &of, &Members::new())
            .unwrap()
            .script;
        assert_eq!(script.contains(SWITCH), said, "{permissions}: {script}");
        assert!(!has_error(&script), "{script}");
    }
}

/// A forest of Connect has servers to be named too, whoever serves it beside; nothing is made there for agents that are none.
#[test]
fn which_servers_carry_a_product_is_asked_by_whoever_may_read_it() {
    let text = format!(
        "{TEXT}[connect.main]\nforests = [\"fabrikam.com\"]\nservers = [\"c1.fabrikam.com\"]\n"
    );
    let document = Document {
        file: "topology.toml".to_owned(),
        text,
    };
    let topology = parse(&[document]).0;
    for (domain, account) in [
        ("corp.contoso.com", " --account 'svcEntraSync$'"),
        ("emea.corp.contoso.com", ""),
        ("fabrikam.com", ""),
    ] {
        let of = domain.parse().unwrap();
        let script = handover(&topology, UNREAD, &of, &Members::new())
            .unwrap()
            .script;
        let line = format!(
            "#    entrain-agent directory {domain} --user NAME --servers --answers {domain}-servers.json{account}"
        );
        assert!(script.lines().any(|one| one == line), "{script}");
        assert!(script.contains(&format!("entrain attest --directory {domain}-servers.json")));
        assert!(!has_error(&script), "{script}");
        let makes = script.contains("New-ADServiceAccount") || script.contains("Add-KdsRootKey");
        assert_eq!(makes, domain != "fabrikam.com", "{script}");
    }
}

/// A domain that Connect has too is asked for anchors (PF60) by whoever signs in; one that agents serve alone is not.
#[test]
fn a_domain_of_both_tools_is_asked_for_anchors() {
    let text = format!(
        "{TEXT}[connect.main]\nforests = [\"emea.corp.contoso.com\"]\nservers = [\"c1.emea.corp.contoso.com\"]\n"
    );
    let document = Document {
        file: "topology.toml".to_owned(),
        text,
    };
    let topology = parse(&[document]).0;
    for (domain, asked) in [("emea.corp.contoso.com", true), ("corp.contoso.com", false)] {
        let of = domain.parse().unwrap();
        let script = handover(&topology, UNREAD, &of, &Members::new())
            .unwrap()
            .script;
        let line = format!("--user NAME --answers {domain}.json");
        let lines = script.lines().filter(|one| one.contains(&line));
        let ends: Vec<bool> = lines.map(|one| one.ends_with(" --anchors")).collect();
        assert_eq!(ends, [asked], "{domain}: {script}");
        assert!(!has_error(&script));
    }
}

/// Another tree of Connect's forest shows by what was read. Where nobody has read it, whoever runs the script is told what to add.
#[test]
fn a_domain_of_a_tree_that_was_read_is_asked_for_anchors_too() {
    let topology = |settings: &str| {
        let text = format!(
            "{TEXT}[connect.main]\nforests = [\"fabrikam.com\"]\nservers = [\"c1.fabrikam.com\"]\n{settings}"
        );
        let file = "topology.toml".to_owned();
        parse(&[Document { file, text }]).0
    };
    let whole = topology("settings = \"express\"\n");
    let part =
        topology("settings = { units = { \"fabrikam.com\" = [\"OU=x,DC=fabrikam,DC=com\"] } }\n");
    let domain: DomainName = "corp.contoso.com".parse().unwrap();
    let lists = |names: &[&str]| {
        let seen = SuffixesSeen {
            at: Timestamp::from_millis(0),
            by: "c1.fabrikam.com".parse().unwrap(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            more: 0,
        };
        Forests::from([("fabrikam.com".parse().unwrap(), seen)])
    };
    let tree = lists(&["fabrikam.com", "corp.contoso.com"]);
    let apart = lists(&["fabrikam.com"]);
    for (topology, read, asked, told) in [
        (&whole, UNREAD, false, true),
        (&whole, &tree, true, false),
        (&whole, &apart, false, false),
        (&part, UNREAD, false, false),
        (&part, &tree, true, false),
    ] {
        let script = handover(topology, read, &domain, &Members::new()).unwrap();
        let script = script.script;
        let line = format!("--user NAME --answers {domain}.json");
        let lines = script.lines().filter(|one| one.contains(&line));
        let ends: Vec<bool> = lines.map(|one| one.ends_with(" --anchors")).collect();
        assert_eq!(ends, [asked], "{script}");
        let words = "Whether corp.contoso.com is another tree of the forest fabrikam.com, which Connect takes whole, is not known here";
        assert_eq!(script.contains(words), told, "{script}");
        assert!(!has_error(&script), "{script}");
    }
}

/// What Connect leaves in the directory is asked for where it goes from a server of the domain, and nowhere else (UN03).
#[test]
fn a_domain_of_a_server_that_connect_goes_from_is_asked_for_what_stays() {
    let text = format!(
        "{TEXT}[connect.main]\nforests = [\"fabrikam.com\"]\nservers = [\"c1.corp.contoso.com\"]\nretired = [\"c0.fabrikam.com\", \"c2.sync.fabrikam.net\"]\n"
    );
    let document = Document {
        file: "topology.toml".to_owned(),
        text,
    };
    let topology = parse(&[document]).0;
    for (domain, asked) in [
        ("fabrikam.com", true),
        // No domain of its forests, and the server's own all the same.
        ("sync.fabrikam.net", true),
        ("corp.contoso.com", false),
        ("emea.corp.contoso.com", false),
    ] {
        let of = domain.parse().unwrap();
        let script = handover(&topology, UNREAD, &of, &Members::new())
            .unwrap()
            .script;
        let line = format!("--user NAME --answers {domain}.json");
        let lines = script.lines().filter(|one| one.contains(&line));
        let ends: Vec<bool> = lines.map(|one| one.ends_with(" --connect-goes")).collect();
        assert_eq!(ends, [asked], "{domain}: {script}");
        assert!(!has_error(&script));
    }
}
