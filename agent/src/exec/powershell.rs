//! Runs an embedded script in one Windows PowerShell 5.1 process. The script's text is a constant of this program and
//! travels as an encoded command, to which no execution policy applies; parameters and secrets go in on standard input;
//! JSON lines come out.

use std::time::Duration;

use agent_core::op::Script;
use agent_core::product;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use protocol::secret::SecretKind;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::exec::child::{self, Silence};
use crate::exec::{Secrets, patience, places};

/// The 64-bit Windows PowerShell; the product's module is made for it (product facts 1.4).
const POWERSHELL: &str = r"%SystemRoot%\System32\WindowsPowerShell\v1.0\powershell.exe";

macro_rules! with_prelude {
    ($name:literal) => {
        concat!(
            include_str!("../../scripts/prelude.ps1"),
            include_str!(concat!("../../scripts/", $name, ".ps1"))
        )
    };
}

/// The text of a script, with what comes before every script.
#[must_use]
pub const fn text(script: Script) -> &'static str {
    match script {
        Script::InspectHost => with_prelude!("inspect-host"),
        Script::InspectPolicies => with_prelude!("inspect-policies"),
        Script::ReadModule => with_prelude!("read-module"),
        Script::ConfigureProvisioningAgent => with_prelude!("configure-provisioning-agent"),
        Script::ReadConnectScheduler => with_prelude!("read-connect-scheduler"),
        Script::ReviewConnectExports => with_prelude!("review-connect-exports"),
        Script::ReadConnectSettings => with_prelude!("read-connect-settings"),
        Script::InspectConnect => with_prelude!("inspect-connect"),
        Script::InspectDatabase => with_prelude!("inspect-database"),
        Script::ReadAgentEvents => with_prelude!("read-agent-events"),
        Script::CollectSupport => with_prelude!("collect-support"),
        Script::JudgeChains => with_prelude!("judge-chains"),
        Script::ReadErrors => with_prelude!("read-errors"),
    }
}

/// A script as PowerShell takes it: UTF-16LE, base64. Lines that are a comment alone stay here: a command line has no room for them.
#[must_use]
pub fn encode(script: &str) -> String {
    let lines = script
        .split_inclusive('\n')
        .filter(|line| !line.trim_start().starts_with('#'));
    let units: Vec<u8> = lines
        .flat_map(str::encode_utf16)
        .flat_map(u16::to_le_bytes)
        .collect();
    BASE64_STANDARD.encode(units)
}

/// Whether a script calls the module or the programs of Connect's engine.
const fn of_engine(script: Script) -> bool {
    match script {
        Script::InspectHost
        | Script::ReadModule
        | Script::ReadConnectScheduler
        | Script::ReviewConnectExports
        | Script::ReadConnectSettings
        | Script::InspectConnect => true,
        Script::InspectPolicies
        | Script::ConfigureProvisioningAgent
        | Script::InspectDatabase
        | Script::ReadAgentEvents
        | Script::CollectSupport
        | Script::JudgeChains
        | Script::ReadErrors => false,
    }
}

/// Where the two products lie on this server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folders {
    /// Install folder of the provisioning agent.
    pub agent: String,
    /// Folder of the programs of Connect's engine.
    pub engine: String,
}

/// A script's whole input: its parameters, constants of this program, where the products lie, and the secrets that go along.
#[must_use]
pub fn input(script: Script, parameters: &Value, folders: &Folders, secrets: &Secrets) -> Value {
    let mut input = parameters.clone();
    let folder = &folders.agent;
    if of_engine(script) {
        input["engine"] = json!(folders.engine);
    }
    if matches!(
        script,
        Script::ReadModule | Script::ConfigureProvisioningAgent
    ) {
        input["module"] = json!(agent_core::step::facts::join(folder, product::AGENT_MODULE));
    }
    if script == Script::CollectSupport {
        input["tools"] = json!(agent_core::step::facts::join(folder, product::AGENT_TOOLS));
    }
    if !secrets.is_empty() {
        let secret = |(kind, secret): (&SecretKind, &protocol::secret::Secret)| {
            let (kind, of) = match kind {
                SecretKind::AccessToken { tenant } => ("access-token", tenant.to_string()),
                SecretKind::TenantCredential { tenant } => {
                    ("tenant-credential", tenant.to_string())
                }
                SecretKind::DomainCredential { domain } => {
                    ("domain-credential", domain.to_string())
                }
            };
            json!({ "kind": kind, "of": of, "user": secret.user, "value": secret.value })
        };
        input["secrets"] = secrets.iter().map(secret).collect();
    }
    input
}

/// What PowerShell is started with. No execution policy is asked for a command, so none is named here: what the server has stays as it
/// is, and holds for whatever file of a product's module the script loads.
fn arguments(script: &str) -> [String; 5] {
    let command = encode(script);
    let fixed = [
        "-NoLogo",
        "-NoProfile",
        "-NonInteractive",
        "-EncodedCommand",
    ];
    let [logo, profile, interactive, encoded] = fixed.map(ToOwned::to_owned);
    [logo, profile, interactive, encoded, command]
}

/// JSON in ASCII alone: PowerShell reads a pipe in the console's code page.
fn ascii(value: &Value) -> Vec<u8> {
    let text = value.to_string();
    let mut bytes = Vec::with_capacity(text.len());
    let mut units = [0; 2];
    for sign in text.chars() {
        if sign.is_ascii() {
            bytes.push(u8::try_from(sign).unwrap_or(b'?'));
        } else {
            for unit in sign.encode_utf16(&mut units) {
                bytes.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
            }
        }
    }
    bytes
}

/// The values among the lines that were printed, and whether the script has said that it has started. What else a cmdlet
/// prints by itself, in the console's code page, is passed over.
fn values(printed: &[u8]) -> (bool, Vec<Value>) {
    let mut has_started = false;
    let mut values = Vec::new();
    for line in printed.split(|byte| *byte == b'\n') {
        let line = String::from_utf8_lossy(line);
        if let Ok(value) = serde_json::from_str::<Value>(line.trim()) {
            if value["started"] == true {
                has_started = true;
            } else {
                values.push(value);
            }
        }
    }
    (has_started, values)
}

/// What PowerShell says on standard error. With an encoded command it writes XML (CLIXML) there; its error texts are
/// what people can read.
fn plain(said: &str) -> String {
    let mut texts = String::new();
    let mut rest = said;
    while let Some((_, after)) = rest.split_once("<S S=\"Error\">") {
        let (text, behind) = after.split_once("</S>").unwrap_or((after, ""));
        texts.push_str(text);
        rest = behind;
    }
    if texts.is_empty() {
        return said.to_owned();
    }
    for (from, to) in [
        ("_x000D_", ""),
        ("_x000A_", " "),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&apos;", "'"),
        ("&amp;", "&"),
    ] {
        texts = texts.replace(from, to);
    }
    texts
}

/// Takes the secrets of an input out of a text, which then may be told.
fn scrub(text: &str, input: &Value) -> String {
    let secrets = input["secrets"].as_array().into_iter().flatten();
    let values = secrets.filter_map(|secret| secret["value"].as_str());
    values
        .filter(|value| !value.is_empty())
        .fold(text.to_owned(), |text, value| text.replace(value, "***"))
}

/// Runs a script and gives the JSON values that it printed, without the one that says that it has started.
///
/// # Errors
/// When PowerShell cannot be run, never runs the script, takes too long, or prints nothing that can be read.
pub async fn run(script: &str, input: &Value, limit: Duration) -> Result<Vec<Value>, String> {
    let mut command = Command::new(places::expand(POWERSHELL));
    command.args(arguments(script));
    let patience = patience::script(limit);
    let said = child::talk(command, ascii(input), patience).await;
    let said = said.map_err(|silence| match silence {
        Silence::NeverBegan => {
            "PowerShell was started and never ran the script: a policy or an antivirus holds it"
                .to_owned()
        }
        Silence::TookTooLong => format!(
            "PowerShell took longer than {} s and was ended",
            patience.ends.as_secs()
        ),
        Silence::SaidTooMuch => "PowerShell printed more than any script of ours does".to_owned(),
        Silence::Failed(why) => format!("PowerShell: {why}"),
    })?;
    let (has_started, values) = values(&said.printed);
    let status = said.status;
    if !has_started {
        let errors = String::from_utf8_lossy(&said.errors);
        let said: String = scrub(&plain(&errors), input).chars().take(400).collect();
        return Err(format!(
            "PowerShell ended ({status}) and never ran the script: {said}"
        ));
    }
    match values.last() {
        None => Err(format!("the script said nothing ({status})")),
        // An error with a kind is its procedure's to judge.
        Some(last)
            if values.len() == 1
                && last["error"].is_object()
                && last["error"]["kind"].is_null() =>
        {
            let error = &last["error"];
            Err(format!(
                "{}: {}",
                error["at"].as_str().unwrap_or("?"),
                error["message"].as_str().unwrap_or("?")
            ))
        }
        Some(_) => Ok(values),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [&str; 13] = [
        text(Script::InspectHost),
        text(Script::InspectPolicies),
        text(Script::ReadModule),
        text(Script::ConfigureProvisioningAgent),
        text(Script::ReadConnectScheduler),
        text(Script::ReviewConnectExports),
        text(Script::ReadConnectSettings),
        text(Script::InspectConnect),
        text(Script::InspectDatabase),
        text(Script::ReadAgentEvents),
        text(Script::CollectSupport),
        text(Script::ReadErrors),
        text(Script::JudgeChains),
    ];

    fn folders() -> Folders {
        Folders {
            agent: "C:\\x\\".to_owned(),
            engine: r"D:\Connect\Bin".to_owned(),
        }
    }

    /// Whoever chose another location has the module and the tools there, and no script knows a place of its own.
    #[test]
    fn whatever_calls_the_engine_is_told_where_it_lies() {
        let prelude = include_str!("../../scripts/prelude.ps1");
        assert!(prelude.contains(r"Join-Path $in.engine 'ADSync\ADSync.psd1'"));
        let scripts = [
            Script::InspectHost,
            Script::InspectPolicies,
            Script::ReadModule,
            Script::ConfigureProvisioningAgent,
            Script::ReadConnectScheduler,
            Script::ReviewConnectExports,
            Script::ReadConnectSettings,
            Script::InspectConnect,
            Script::InspectDatabase,
            Script::ReadAgentEvents,
            Script::CollectSupport,
            Script::ReadErrors,
            Script::JudgeChains,
        ];
        let mut told = 0;
        for script in scripts {
            let own = text(script).strip_prefix(prelude).unwrap();
            let calls = own.contains("Import-ConnectModule") || own.contains("$in.engine");
            let input = input(script, &json!({}), &folders(), &Secrets::new());
            let engine = calls.then_some(r"D:\Connect\Bin");
            assert_eq!(input["engine"].as_str(), engine, "{script:?}");
            told += usize::from(calls);
            assert!(!text(script).contains("Azure AD Sync"), "{script:?}");
        }
        assert_eq!(told, 6);
    }

    #[test]
    fn every_script_fits_a_command_line_and_says_that_it_has_started() {
        for script in ALL {
            // Windows takes 32,767 characters; the rest of the command line is short.
            assert!(encode(script).len() < 30_000);
            assert!(script.contains(r#"[Console]::Out.WriteLine('{"started":true}')"#));
            assert!(script.contains("[Console]::In.ReadToEnd()"));
        }
    }

    #[test]
    fn what_is_a_comment_alone_does_not_travel() {
        let said = "# what for\nSay 1 # how\n  # why\n\n'#'\n";
        assert_eq!(encode(said), encode("Say 1 # how\n\n'#'\n"));
        let units = "Say 1".encode_utf16().flat_map(u16::to_le_bytes);
        let plain = BASE64_STANDARD.encode(units.collect::<Vec<u8>>());
        assert_eq!(encode("# what for\nSay 1"), plain);
    }

    /// A file would be asked for its signature under AllSigned, and another policy for the process would be one that the server's
    /// administrator did not set. No script of ours sets one either, for itself or for the server, nor runs another file.
    #[test]
    fn scripts_run_under_all_signed_and_leave_the_policy_as_it_is() {
        for script in ALL {
            let arguments = arguments(script);
            let (names, command) = arguments.split_at(4);
            assert_eq!(
                names,
                [
                    "-NoLogo",
                    "-NoProfile",
                    "-NonInteractive",
                    "-EncodedCommand"
                ]
            );
            assert_eq!(command, [encode(script)]);
            assert!(
                command[0]
                    .bytes()
                    .all(|sign| sign.is_ascii_alphanumeric() || b"+/=".contains(&sign))
            );
            let text = script.to_lowercase();
            for word in [
                "set-executionpolicy",
                " -executionpolicy",
                "invoke-expression",
                "unblock-file",
            ] {
                assert!(!text.contains(word), "{word}");
            }
            // Nothing of ours lies in a file that PowerShell would load: modules are the products' and Windows' own.
            assert!(
                !text.contains(".ps1'") && !text.contains(".ps1\""),
                "a script file is run"
            );
        }
    }

    #[test]
    fn what_goes_in_is_ascii_and_means_the_same() {
        let value = json!({ "value": "Gr\u{fc}n\u{20ac}1 \u{1f511}" });
        let bytes = ascii(&value);
        assert!(bytes.is_ascii());
        assert_eq!(serde_json::from_slice::<Value>(&bytes).unwrap(), value);
    }

    #[test]
    fn errors_are_read_out_of_the_xml_around_them() {
        let said = "#< CLIXML\r\n<Objs><Obj S=\"progress\"/><S S=\"Error\">Cannot find &lt;x&gt;._x000D__x000A_</S><S S=\"Error\">At line 1</S></Objs>";
        assert_eq!(plain(said), "Cannot find <x>. At line 1");
        assert_eq!(plain("as it is"), "as it is");
    }

    #[test]
    fn a_line_that_is_no_text_is_no_end() {
        let printed = b"{\"started\":true}\r\n\xfc\n{\"a\":1}\nwords\n{\"a\":2}";
        let (has_started, values) = values(printed);
        assert!(has_started);
        assert_eq!(values, [json!({ "a": 1 }), json!({ "a": 2 })]);
        assert_eq!(super::values(b""), (false, Vec::new()));
    }

    #[test]
    fn what_powershell_says_is_cleared_of_secrets() {
        let input = json!({ "secrets": [{ "value": "hunter2" }, { "value": "" }] });
        let said = "ConvertFrom-Json : Invalid object: hunter2";
        assert_eq!(
            scrub(said, &input),
            "ConvertFrom-Json : Invalid object: ***"
        );
        assert_eq!(scrub(said, &json!({})), said);
    }

    #[test]
    fn secrets_are_in_the_input_and_nowhere_in_the_command() {
        let tenant = "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap();
        let secret = protocol::secret::Secret {
            user: "u".to_owned(),
            value: "hunter2".to_owned(),
        };
        let secrets = Secrets::from([(SecretKind::AccessToken { tenant }, secret)]);
        let input = input(
            Script::ConfigureProvisioningAgent,
            &json!({}),
            &folders(),
            &secrets,
        );
        assert_eq!(input["secrets"][0]["value"], "hunter2");
        assert_eq!(input["module"], "C:\\x\\Microsoft.CloudSync.PowerShell.dll");
        assert!(!encode(text(Script::ConfigureProvisioningAgent)).contains("hunter2"));
    }
}
