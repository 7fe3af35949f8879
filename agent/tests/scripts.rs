//! Every embedded PowerShell script is parsed by a grammar of the language, and each cmdlet and parameter that it calls
//! stands in a table with its source.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test stops where something is not as it must be"
)]

use std::path::Path;

use tree_sitter::{Node, Parser};

/// A cmdlet, the parameters that may be given to it, and where both are documented.
const CMDLETS: &[(&str, &[&str], &str)] = &[
    (
        "Connect-AADCloudSyncAzureAD",
        &[
            "-AccessToken",
            "-TenantId",
            "-UserPrincipalName",
            "-Credential",
        ],
        "product facts 1.4: 3a [P], 3b [M]",
    ),
    (
        "Add-AADCloudSyncGMSA",
        &["-CustomGMSAName", "-Credential"],
        "product facts 1.4: 4a, 4b [P]",
    ),
    (
        "Add-AADCloudSyncADDomain",
        &["@arguments"],
        "product facts 1.4: 5a, 5b [P]",
    ),
    (
        "Set-AADCloudSyncPermissions",
        &[
            "-PermissionType",
            "-TargetDomain",
            "-TargetDomainCredential",
        ],
        "product facts 1.6 [P][R]",
    ),
    (
        "Get-AADCloudSyncDomains",
        &[],
        "product facts 1.4 [R]; output unverified",
    ),
    ("Out-String", &["-Width"], "Windows"),
    ("Get-ADSyncScheduler", &[], "product facts 2.12 [P]"),
    ("Get-ADSyncConnector", &[], "product facts 2.12 [P]"),
    (
        "Get-ADSyncSchedulerConnectorOverride",
        &[],
        "product facts 2.12 [P]; names of its output unverified",
    ),
    (
        "Get-ADSyncConnectorRunStatus",
        &[],
        "product facts 2.12 [P]",
    ),
    (
        "Get-ADSyncRule",
        &[],
        "general knowledge [K]: product facts 2.13 name custom rules and no cmdlet; cmdlet and output unverified",
    ),
    (
        "Get-ADSyncGlobalSettingsParameter",
        &[],
        "product facts 2.12 [S]; names of its output unverified",
    ),
    (
        "Get-ADSyncAADCompanyFeature",
        &[],
        "general knowledge [K]: product facts 2.12 name its Set- alone [S]; cmdlet and output unverified",
    ),
    (
        "Get-ADSyncAADPasswordSyncConfiguration",
        &["-SourceConnector"],
        "general knowledge [K]: product facts PV35 name no cmdlet; cmdlet, parameter and output unverified",
    ),
    (
        "Test-ADServiceAccount",
        &["-Identity"],
        "product facts 1.6 [S]; ActiveDirectory module",
    ),
    (
        "Test-ComputerSecureChannel",
        &[],
        "product facts PF05; Windows",
    ),
    ("Get-Tpm", &[], "product facts PF70; Windows"),
    ("Get-AppLockerPolicy", &["-Effective"], "Windows"),
    ("Get-CimInstance", &["-Namespace", "-ClassName"], "Windows"),
    (
        "Get-ExecutionPolicy",
        &["-List"],
        "product facts PF12; Windows",
    ),
    ("Import-Module", &["-Name"], "Windows"),
    ("Restart-Service", &["-Name"], "product facts 1.4: 8 [P]"),
    ("Get-Service", &["-Name", "-ErrorAction"], "Windows"),
    ("Get-Process", &["-Name", "-ErrorAction"], "Windows"),
    (
        "Get-ADSyncEntraConnectorCredential",
        &[],
        "product facts 2.10, 2.12 [P]",
    ),
    (
        "Get-ADSyncAutoUpgrade",
        &["-Detail"],
        "product facts 2.12 [P]; form of its output unverified",
    ),
    (
        "Get-ADSyncConnectorStatistics",
        &["-ConnectorName"],
        "general knowledge [K]: in no product fact; its output unverified",
    ),
    (
        "Get-ADSyncRunProfileResult",
        &["-NumberRequested"],
        "product facts PV29 [K]; its parameter and output unverified",
    ),
    (
        "Get-WinEvent",
        &[
            "-FilterHashtable",
            "-MaxEvents",
            "-ErrorAction",
            "-ErrorVariable",
        ],
        "product facts PV08; Windows",
    ),
    (
        "Export-AADCloudSyncToolsLogs",
        &["-SkipVerboseTrace", "-OutputPath"],
        "product facts 1.9 [P]; name and form of what it makes unverified",
    ),
    ("Get-FileHash", &["-Path", "-Algorithm"], "Windows"),
    ("Get-Item", &["-Path"], "Windows"),
    (
        "Get-ChildItem",
        &[
            "-Path",
            "-Recurse",
            "-File",
            "-Force",
            "-ErrorAction",
            "-ErrorVariable",
        ],
        "Windows",
    ),
    ("Get-Content", &["-Path", "-Tail"], "Windows"),
    ("Remove-Item", &["-Path", "-Recurse", "-Force"], "Windows"),
    ("New-Item", &["-ItemType", "-Path"], "Windows"),
    ("ConvertFrom-Csv", &[], "Windows"),
    ("Join-Path", &[], "Windows"),
    ("Test-Path", &[], "Windows"),
    ("ConvertFrom-Json", &[], "Windows"),
    ("ConvertTo-Json", &["-Compress", "-Depth"], "Windows"),
    ("Where-Object", &[], "Windows"),
    ("ForEach-Object", &[], "Windows"),
    ("Select-Object", &["-First", "-Last", "-Unique"], "Windows"),
    ("Sort-Object", &["-Property"], "Windows"),
    ("New-Object", &[], "Windows"),
];

/// A program that is called by its full path, and where it is documented. `$bin` is the product's own folder.
const PROGRAMS: &[(&str, &str)] = &[
    ("\"$env:SystemRoot\\System32\\secedit.exe\"", "Windows"),
    ("\"$bin\\csexport.exe\"", "product facts 2.11 [P]"),
    ("\"$bin\\CSExportAnalyzer.exe\"", "product facts 2.11 [P]"),
];

fn scripts() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts");
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(path).unwrap())
        })
        .collect();
    all.sort();
    all
}

fn walk<'a>(node: Node<'a>, visit: &mut impl FnMut(Node<'a>)) {
    visit(node);
    let mut cursor = node.walk();
    for child in node.children(&mut cursor) {
        walk(child, visit);
    }
}

fn parse(text: &str) -> tree_sitter::Tree {
    let mut parser = Parser::new();
    let language = tree_sitter_powershell::LANGUAGE.into();
    parser.set_language(&language).unwrap();
    parser.parse(text, None).unwrap()
}

#[test]
fn every_script_is_powershell() {
    for (name, text) in scripts() {
        let tree = parse(&text);
        let mut wrong = Vec::new();
        walk(tree.root_node(), &mut |node| {
            if node.is_error() || node.is_missing() {
                wrong.push(node.start_position().row + 1);
            }
        });
        assert!(wrong.is_empty(), "{name}: lines {wrong:?}");
    }
    let broken = parse("if ($a { Get-Item }");
    assert!(
        broken.root_node().has_error(),
        "the grammar tells what is wrong"
    );
}

#[test]
fn each_cmdlet_and_parameter_stands_in_the_table_with_its_source() {
    let mut used = std::collections::BTreeSet::new();
    // What comes before every script has functions for all of them.
    let mut functions = Vec::new();
    for (_, text) in scripts() {
        walk(parse(&text).root_node(), &mut |node| {
            if node.kind() == "function_name" {
                functions.push(text[node.byte_range()].to_owned());
            }
        });
    }
    for (name, text) in scripts() {
        let tree = parse(&text);
        walk(tree.root_node(), &mut |node| {
            if node.kind() != "command" {
                return;
            }
            let Some(command) = node.child_by_field_name("command_name") else {
                return;
            };
            let command = &text[command.byte_range()];
            if functions.iter().any(|own| own == command) || command.starts_with('$') {
                return;
            }
            if PROGRAMS.iter().any(|(program, _)| command == *program) {
                return;
            }
            let line = node.start_position().row + 1;
            let Some((cmdlet, parameters, _)) =
                CMDLETS.iter().find(|(known, ..)| *known == command)
            else {
                panic!("{name}:{line}: {command} is not in the table");
            };
            used.insert(*cmdlet);
            let mut cursor = node.walk();
            let elements: Vec<Node<'_>> = node.children(&mut cursor).collect();
            for element in elements {
                walk(element, &mut |part| {
                    let is_own = {
                        let mut above = part.parent();
                        loop {
                            match above {
                                Some(parent) if parent.kind() == "command" => {
                                    break parent.id() == node.id();
                                }
                                Some(parent) => above = parent.parent(),
                                None => break false,
                            }
                        }
                    };
                    if part.kind() == "command_parameter" && is_own {
                        let given = &text[part.byte_range()];
                        assert!(
                            parameters.contains(&given),
                            "{name}:{line}: {command} {given} is not in the table"
                        );
                    }
                });
            }
        });
    }
    let listed: std::collections::BTreeSet<_> = CMDLETS.iter().map(|(name, ..)| *name).collect();
    assert_eq!(
        listed, used,
        "the table lists what is called and nothing else"
    );
}

#[test]
fn no_script_prints_a_secret_or_calls_what_it_was_told() {
    for (name, text) in scripts() {
        let lower = text.to_lowercase();
        for word in [
            "invoke-expression",
            "iex ",
            "start-transcript",
            "write-host",
            "out-file",
            "set-content",
        ] {
            assert!(!lower.contains(word), "{name} has {word}");
        }
    }
}
