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
    ("Import-Module", &["-Name", "-PassThru"], "Windows"),
    (
        "Get-Command",
        &["-Module", "-Name", "-ErrorAction"],
        "product facts 1.4; Windows",
    ),
    ("Restart-Service", &["-Name"], "product facts 1.4: 8 [P]"),
    ("Get-Service", &["-Name", "-ErrorAction"], "Windows"),
    ("Get-Process", &[], "Windows"),
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

/// Functions that a script may call: its own, and those of what comes before every script. It travels alone: another one's are not there.
fn functions(text: &str) -> Vec<String> {
    let of_all = |(name, text): (String, String)| (name == "prelude.ps1").then_some(text);
    let prelude = scripts().into_iter().find_map(of_all).unwrap();
    let mut functions = Vec::new();
    for text in [&prelude, text] {
        walk(parse(text).root_node(), &mut |node| {
            if node.kind() == "function_name" {
                functions.push(text[node.byte_range()].to_owned());
            }
        });
    }
    functions
}

/// A function of another script is none here, whoever else has it.
#[test]
fn a_function_of_another_script_is_a_call_of_something_unknown() {
    let name = "read-errors.ps1";
    let (_, other) = scripts().into_iter().find(|(one, _)| one == name).unwrap();
    let borrowed = "Read-Errors";
    assert!(functions(&other).iter().any(|own| own == borrowed));
    for (text, wrong) in [
        (
            "Read-Part 'a' { 1 }\nRead-Errors 'System'",
            &["2: Read-Errors is not in the table"][..],
        ),
        (
            "function Read-Errors($log) { $log }\nRead-Errors 'System'",
            &[],
        ),
    ] {
        assert_eq!(called(text, &functions(text)).1, wrong, "{text}");
    }
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

/// What a script asks of an account that may not be made yet is caught where it stands: the rest of its part is told all the same.
#[test]
fn an_account_that_does_not_resolve_takes_nothing_else_along() {
    let mut asked = 0;
    for (name, text) in scripts() {
        walk(parse(&text).root_node(), &mut |node| {
            let said = &text[node.byte_range()];
            if node.kind() != "invokation_expression" || !said.contains(".Translate(") {
                return;
            }
            asked += 1;
            let above = std::iter::successors(node.parent(), |node| node.parent());
            let caught = above.take_while(|node| node.kind() != "script_block_expression");
            let caught = caught.filter(|node| node.kind() == "try_statement");
            assert_eq!(caught.count(), 1, "{name}: {said}");
        });
    }
    assert!(asked > 0, "no script asks for an account any more");
}

#[test]
fn each_cmdlet_and_parameter_stands_in_the_table_with_its_source() {
    let mut used = std::collections::BTreeSet::new();
    for (name, text) in scripts() {
        let (called, wrong) = called(&text, &functions(&text));
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

/// Whether a run is under way is asked in one form everywhere: where none is, the module may answer by a null, which a list has room for.
#[test]
fn a_run_that_is_none_is_counted_nowhere() {
    const ASKS: &str = "Get-ADSyncConnectorRunStatus";
    const COUNTED: &str = "@(Get-ADSyncConnectorRunStatus | Where-Object { $_ })";
    let mut counted = 0;
    for (name, text) in scripts() {
        let named = text.matches(&format!("'{ASKS}'")).count();
        let own = text.matches(COUNTED).count();
        assert_eq!(text.matches(ASKS).count(), named + own, "{name}");
        counted += own;
    }
    assert_eq!(counted, 3);
}

/// Windows PowerShell 5.1 begins a request with what the process has by default, which on older servers is no TLS that is taken.
#[test]
fn a_request_is_made_by_a_tls_that_is_taken() {
    let mut made = 0;
    for (name, text) in scripts() {
        let mut before = text.as_str();
        while let Some((up_to, _)) = before.rsplit_once("[Net.WebRequest]::Create(") {
            let set =
                "[Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12\n";
            assert!(up_to.contains(set), "{name}");
            made += 1;
            before = up_to;
        }
    }
    assert_eq!(made, 1);
}

/// What an error is, its words say in the language of the server alone, and its id in every one; that a root is public is judged in
/// one place.
#[test]
fn errors_are_told_with_their_ids_and_roots_are_judged_in_one_place() {
    let all = scripts();
    let text = |of: &str| &all.iter().find(|(name, _)| name == of).unwrap().1;
    let prelude = text("prelude.ps1");
    assert!(prelude.contains("$wrong.FullyQualifiedErrorId"));
    assert!(text("read-errors.ps1").contains("\"$($one.ProviderName) $($one.Id): "));
    for (name, text) in &all {
        // An exception alone has lost its id.
        assert!(!text.contains("Reason $_.Exception"), "{name}");
        let judges = text.contains("AuthRoot");
        assert_eq!(judges, name == "prelude.ps1", "{name}");
    }
    for judged in ["inspect-host.ps1", "judge-chains.ps1"] {
        assert!(text(judged).contains("Test-Public "), "{judged}");
    }
    assert!(prelude.contains("'DisableRootAutoUpdate') -eq 1) { return $null }"));
    // One that somebody put into Root is a private one only where Windows' own list is there and does not have it.
    let (before, judged) = prelude.split_once("GetValue('EncodedCtl')").unwrap();
    assert!(before.contains("{ return $true }"));
    let unknown = "if (-not $list -or [BitConverter]::ToString($list).Replace('-', '').Contains($root.Thumbprint)) { return $null }\n    $false\n}";
    assert!(judged.contains(unknown), "{judged}");
}

/// A splat gives what its hash table holds: each key is held against the table like a parameter, and a table whose keys cannot be
/// read here is refused.
#[test]
fn what_is_splatted_is_held_against_the_table() {
    let name = "configure-provisioning-agent.ps1";
    let (_, text) = scripts().into_iter().find(|(one, _)| one == name).unwrap();
    let functions = functions(&text);
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

/// What the module lists is taken apart where it comes whole, and a column that is not named for a domain proves none. Of what it refuses,
/// nothing but a parameter or a name that was not in the list ends the script.
#[test]
fn a_domain_is_read_from_a_column_that_is_named_for_it() {
    let name = "configure-provisioning-agent.ps1";
    let (_, text) = scripts().into_iter().find(|(one, _)| one == name).unwrap();
    for stands in [
        "@(Get-AADCloudSyncDomains | ForEach-Object { $_ } | Where-Object { $_ })",
        "@($row.DomainName, $row.DomainFqdn | Where-Object {",
        "if (-not $mentioned -or $_.Exception -is [System.Management.Automation.ParameterBindingException]) { throw }",
    ] {
        assert!(text.contains(stands), "{stands}");
    }
    for guess in ["$row.Name", "$row.Domain,", "'Fqdn'", "'DnsName'"] {
        assert!(!text.contains(guess), "{guess}");
    }
}

/// Cmdlets of the products' own modules: which of them a version has is told by it alone.
fn of_a_product(cmdlet: &str) -> bool {
    cmdlet.contains("ADSync") || cmdlet.contains("AADCloudSync")
}

/// The calls of a product's module that a script makes without having asked for them first: where it runs, in its own block or in one
/// around it, stands a question that names the cmdlet with each of its parameters.
fn unasked(text: &str, functions: &[String]) -> Vec<String> {
    let tree = parse(text);
    let around = |node: Node<'_>| {
        let mut blocks = Vec::new();
        let mut above = node.parent();
        while let Some(parent) = above {
            if parent.kind() == "script_block_expression" {
                blocks.push(parent.id());
            }
            above = parent.parent();
        }
        blocks
    };
    let (mut asked, mut unasked) = (Vec::new(), Vec::new());
    walk(tree.root_node(), &mut |node| {
        let name = node.child_by_field_name("command_name");
        let Some(name) = name.filter(|_| node.kind() == "command") else {
            return;
        };
        let name = &text[name.byte_range()];
        if ["Assert-Calls", "Import-ConnectModule"].contains(&name) {
            let block = around(node).first().copied();
            walk(node, &mut |part| {
                if part.kind() == "string_literal" {
                    let call = text[part.byte_range()].trim_matches('\'').to_owned();
                    asked.push((block, call));
                }
            });
        } else if of_a_product(name) && !functions.iter().any(|own| own == name) {
            let (used, _) = called(&text[node.byte_range()], functions);
            let blocks = around(node);
            for (cmdlet, parameter) in used.iter().filter(|(one, _)| of_a_product(one)) {
                let names = |(block, call): &(Option<usize>, String)| {
                    let mut words = call.split(' ');
                    block.is_none_or(|block| blocks.contains(&block))
                        && words.next() == Some(cmdlet)
                        && (parameter.is_empty() || words.any(|one| one == parameter))
                };
                if !asked.iter().any(names) {
                    let line = node.start_position().row + 1;
                    unasked.push(format!("{line}: {cmdlet} {parameter}"));
                }
            }
        }
    });
    unasked
}

#[test]
fn a_cmdlet_of_a_product_is_asked_for_before_it_is_called() {
    let mut asking = 0;
    for (name, text) in scripts() {
        // What this one calls depends on what it is told, and so does what it asks for (below).
        if name == "configure-provisioning-agent.ps1" {
            continue;
        }
        let wrong = unasked(&text, &functions(&text));
        assert!(wrong.is_empty(), "{name}: {wrong:?}");
        let asks = text.contains("Assert-Calls '") || text.contains("Import-ConnectModule '");
        asking += usize::from(asks);
    }
    assert_eq!(asking, 6, "scripts that call a product's module");
    for (text, says) in [
        ("Get-ADSyncRule", "1: Get-ADSyncRule "),
        (
            "Read-Part 'a' { Assert-Calls 'Get-ADSyncRule' }\nGet-ADSyncRule",
            "2: Get-ADSyncRule ",
        ),
        (
            "Get-ADSyncRule\nAssert-Calls 'Get-ADSyncRule'",
            "1: Get-ADSyncRule ",
        ),
        (
            "Assert-Calls 'Get-ADSyncAutoUpgrade'\n$a = Get-ADSyncAutoUpgrade -Detail",
            "2: Get-ADSyncAutoUpgrade -Detail",
        ),
    ] {
        let wrong = unasked(text, &functions(text));
        assert_eq!(wrong, [says], "{text}");
    }
}

/// The configuration asks for the calls that it is told to make: those that the core knows are those that the script can make.
#[test]
fn what_the_core_has_asked_for_is_what_the_configuration_calls() {
    let name = "configure-provisioning-agent.ps1";
    let (_, text) = scripts().into_iter().find(|(one, _)| one == name).unwrap();
    let asks = text.find("Assert-Calls $in.calls").unwrap();
    let signs_in = text.find("Connect-AADCloudSyncAzureAD -").unwrap();
    assert!(asks < signs_in, "it asks before it signs in");
    let (used, _) = called(&text, &functions(&text));
    let used: std::collections::BTreeSet<_> = used
        .into_iter()
        .filter(|(cmdlet, _)| of_a_product(cmdlet))
        .collect();
    let known = agent_core::step::module::CALLS
        .iter()
        .flat_map(|(cmdlet, parameters)| {
            let parameters = parameters.iter().map(|one| format!("-{one}"));
            let rows = std::iter::once(String::new()).chain(parameters);
            rows.map(|one| ((*cmdlet).to_owned(), one))
        });
    let known: std::collections::BTreeSet<_> = known.collect();
    assert_eq!(known, used);
}

/// What the module of Connect's engine is asked for beforehand (MO02) is what the scripts call that come behind.
#[test]
fn what_the_engines_module_is_asked_for_is_what_the_scripts_call() {
    use std::collections::BTreeSet;

    use agent_core::op::Script;
    use agent_core::step::connect_module::Use;

    type Rows = BTreeSet<(String, String)>;
    let scripts = scripts();
    let calls = |name: &str| -> Rows {
        let (_, text) = scripts.iter().find(|(one, _)| one == name).unwrap();
        let (used, _) = called(text, &functions(text));
        let of_connect = |(cmdlet, _): &(String, String)| cmdlet.contains("-ADSync");
        used.into_iter().filter(of_connect).collect()
    };
    let file = |script: &Script| {
        let name = serde_json::to_value(script).unwrap();
        format!("{}.ps1", name.as_str().unwrap())
    };
    let mut asked = Rows::new();
    for one in [
        Use::BeforeUpgrade,
        Use::Verify { passwords: false },
        Use::Verify { passwords: true },
        Use::Exports,
        Use::Settings,
    ] {
        let rows = one.calls().iter().flat_map(|(cmdlet, parameters)| {
            let parameters = parameters.iter().map(|one| format!("-{one}"));
            let rows = std::iter::once(String::new()).chain(parameters);
            rows.map(|row| ((*cmdlet).to_owned(), row))
        });
        let rows: Rows = rows.collect();
        let made: Rows = one
            .scripts()
            .iter()
            .flat_map(|one| calls(&file(one)))
            .collect();
        assert!(
            rows.is_subset(&made),
            "{one:?}: {:?}",
            rows.difference(&made)
        );
        asked.extend(rows);
    }
    let made: Rows = scripts.iter().flat_map(|(name, _)| calls(name)).collect();
    assert_eq!(asked, made);
}

/// Lines that begin with this sign do not travel (`exec/powershell.rs`): in every script they are comments and nothing else.
#[test]
fn a_line_that_begins_as_a_comment_is_one() {
    for (name, text) in scripts() {
        let tree = parse(&text);
        let mut comments = std::collections::BTreeSet::new();
        walk(tree.root_node(), &mut |node| {
            if node.kind() == "comment" && !text[node.byte_range()].starts_with("<#") {
                comments.insert(node.start_position().row);
            }
        });
        for (row, line) in text.lines().enumerate() {
            let begins = line.trim_start().starts_with('#');
            assert!(!begins || comments.contains(&row), "{name}: {}", row + 1);
        }
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
