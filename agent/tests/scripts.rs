//! Every embedded PowerShell script is parsed by a grammar of the language, and each cmdlet and parameter that it calls
//! stands in a table with its source.
#![expect(
    clippy::unwrap_used,
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
        &["-DomainName", "-Credential", "-PreferredDomainControllers"],
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

/// The name of a variable that is splatted, such as `@arguments`.
fn splatted<'t>(node: Node<'_>, text: &'t str) -> Option<&'t str> {
    if node.kind() != "variable" {
        return None;
    }
    text[node.byte_range()].strip_prefix('@')
}

/// What a hash table holds that a script splats: each key that it is given, in a literal or one by one, as the parameter that it
/// becomes. Any other way to fill it is refused, since its keys could not be read here.
fn keys(root: Node<'_>, text: &str, variable: &str) -> Result<Vec<String>, String> {
    let mut keys = Vec::new();
    let mut wrong = Vec::new();
    let whole = format!("${variable}");
    let is = |one: &str, other: &str| one.eq_ignore_ascii_case(other);
    walk(root, &mut |node| {
        let said = |node: Node<'_>| text[node.byte_range()].trim().to_owned();
        let at = |what: &str| format!("line {}: {what}", node.start_position().row + 1);
        match node.kind() {
            "assignment_expression" => {
                let left = node.named_child(0).map(said).unwrap_or_default();
                let Some(rest) = left.get(..whole.len()).filter(|start| is(start, &whole)) else {
                    return;
                };
                let rest = &left[rest.len()..];
                if let Some(key) = rest.strip_prefix('.') {
                    keys.push(format!("-{key}"));
                } else if rest.is_empty() {
                    let right = said(node)
                        .split_once('=')
                        .map(|(_, right)| right.trim().to_owned());
                    let literal =
                        right.is_some_and(|right| right.starts_with("@{") && right.ends_with('}'));
                    if !literal {
                        wrong.push(at("it is given no literal"));
                        return;
                    }
                    walk(node, &mut |entry| {
                        if entry.kind() == "hash_entry" {
                            keys.extend(entry.named_child(0).map(|key| format!("-{}", said(key))));
                        }
                    });
                } else if rest.starts_with('[') {
                    wrong.push(at("a key is given by its number or text"));
                }
            }
            "invokation_expression" => {
                let start = format!("{whole}.");
                let said = said(node);
                if said.get(..start.len()).is_some_and(|said| is(said, &start)) {
                    wrong.push(at("a method of it is called"));
                }
            }
            _ => {}
        }
    });
    match wrong.into_iter().next() {
        Some(wrong) => Err(wrong),
        None if keys.is_empty() => Err("nothing fills it".to_owned()),
        None => Ok(keys),
    }
}

/// Functions of our own: what comes before every script has them for all.
fn functions() -> Vec<String> {
    let mut functions = Vec::new();
    for (_, text) in scripts() {
        walk(parse(&text).root_node(), &mut |node| {
            if node.kind() == "function_name" {
                functions.push(text[node.byte_range()].to_owned());
            }
        });
    }
    functions
}

/// Each cmdlet that a script calls, with each parameter that it is given, and what of it stands in no table.
fn called(text: &str, functions: &[String]) -> (Vec<(String, String)>, Vec<String>) {
    let tree = parse(text);
    let (mut used, mut wrong) = (Vec::new(), Vec::new());
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
        let Some((cmdlet, parameters, _)) = CMDLETS.iter().find(|(known, ..)| *known == command)
        else {
            wrong.push(format!("{line}: {command} is not in the table"));
            return;
        };
        used.push(((*cmdlet).to_owned(), String::new()));
        let mut given = Vec::new();
        walk(node, &mut |part| {
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
            if !is_own {
                return;
            }
            if part.kind() == "command_parameter" {
                given.push(text[part.byte_range()].to_owned());
            } else if let Some(variable) = splatted(part, text) {
                match keys(tree.root_node(), text, variable) {
                    Ok(keys) => given.extend(keys),
                    Err(why) => wrong.push(format!("{line}: {command} @{variable}: {why}")),
                }
            }
        });
        for one in given {
            if !parameters.contains(&one.as_str()) {
                wrong.push(format!("{line}: {command} {one} is not in the table"));
            }
            used.push(((*cmdlet).to_owned(), one));
        }
    });
    (used, wrong)
}

#[test]
fn each_cmdlet_and_parameter_stands_in_the_table_with_its_source() {
    let functions = functions();
    let mut used = std::collections::BTreeSet::new();
    for (name, text) in scripts() {
        let (called, wrong) = called(&text, &functions);
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        used.extend(called);
    }
    let listed = CMDLETS.iter().flat_map(|(name, parameters, _)| {
        let parameters = parameters.iter().copied();
        let rows = std::iter::once("").chain(parameters);
        rows.map(|one| ((*name).to_owned(), one.to_owned()))
    });
    let listed: std::collections::BTreeSet<_> = listed.collect();
    assert_eq!(
        listed, used,
        "the table lists what is called and nothing else"
    );
}

/// A splat gives what its hash table holds: each key is held against the table like a parameter, and a table whose keys cannot be
/// read here is refused.
#[test]
fn what_is_splatted_is_held_against_the_table() {
    let functions = functions();
    let name = "configure-provisioning-agent.ps1";
    let (_, text) = scripts().into_iter().find(|(one, _)| one == name).unwrap();
    let (used, wrong) = called(&text, &functions);
    assert!(wrong.is_empty(), "{wrong:?}");
    for parameter in ["-DomainName", "-Credential", "-PreferredDomainControllers"] {
        let one = ("Add-AADCloudSyncADDomain".to_owned(), parameter.to_owned());
        assert!(used.contains(&one), "{one:?}");
    }
    for (right, instead, says) in [
        ("@{ DomainName =", "@{ DomainNam =", "-DomainNam is not"),
        (
            "@{ DomainName =",
            "@{ 'DomainName' =",
            "'DomainName' is not",
        ),
        (
            "$arguments.Credential",
            "$arguments.Credental",
            "-Credental is not",
        ),
        (
            "$arguments.Preferred",
            "$Arguments.Prefered",
            "-PreferedDomainControllers is not",
        ),
        (
            "$arguments.Credential =",
            "$arguments['Credential'] =",
            "by its number or text",
        ),
        (
            "$arguments.Credential = $credential",
            "$arguments.Add('Credential', $credential)",
            "a method",
        ),
        (
            "$arguments = @{ DomainName = $domain.name }",
            "$arguments = $domain",
            "no literal",
        ),
        ("@arguments", "@others", "nothing fills it"),
    ] {
        assert!(text.contains(right), "{right}");
        let (_, wrong) = called(&text.replacen(right, instead, 1), &functions);
        assert!(
            wrong.iter().any(|one| one.contains(says)),
            "{instead}: {wrong:?}"
        );
    }
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
