//! Runs an embedded script in one Windows PowerShell 5.1 process. The script's text is a constant of this program and
//! travels as an encoded command, to which no execution policy applies; parameters and secrets go in on standard input;
//! JSON lines come out.

use std::process::Stdio;
use std::time::Duration;

use agent_core::op::Script;
use agent_core::product;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use protocol::secret::SecretKind;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

use crate::exec::Secrets;

/// The 64-bit Windows PowerShell; the product's module is made for it (product facts 1.4).
const POWERSHELL: &str = r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe";

/// How long a PowerShell may take until it runs the script's first line. Beyond that a policy or an antivirus holds it.
const UNTIL_STARTED: Duration = Duration::from_secs(120);

/// The text of a script.
#[must_use]
pub const fn text(script: Script) -> &'static str {
    match script {
        Script::InspectHost => include_str!("../../scripts/inspect-host.ps1"),
        Script::ConfigureProvisioningAgent => {
            include_str!("../../scripts/configure-provisioning-agent.ps1")
        }
        Script::ReadConnectScheduler => include_str!("../../scripts/read-connect-scheduler.ps1"),
    }
}

/// A script as PowerShell takes it: UTF-16LE, base64.
#[must_use]
pub fn encode(script: &str) -> String {
    let units: Vec<u8> = script.encode_utf16().flat_map(u16::to_le_bytes).collect();
    BASE64_STANDARD.encode(units)
}

/// A script's whole input: its parameters, constants of this program, and the secrets that go along.
#[must_use]
pub fn input(script: Script, parameters: &Value, folder: &str, secrets: &Secrets) -> Value {
    let mut input = parameters.clone();
    if script == Script::ConfigureProvisioningAgent {
        input["module"] = json!(agent_core::step::facts::join(folder, product::AGENT_MODULE));
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

/// Runs a script and gives the JSON values that it printed, without the one that says that it has started.
///
/// # Errors
/// When PowerShell cannot be run, never runs the script, takes too long, or prints nothing that can be read.
pub async fn run(script: &str, input: &Value, limit: Duration) -> Result<Vec<Value>, String> {
    let mut command = Command::new(POWERSHELL);
    command
        .args([
            "-NoLogo",
            "-NoProfile",
            "-NonInteractive",
            "-EncodedCommand",
        ])
        .arg(encode(script))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|error| format!("PowerShell cannot be started: {error}"))?;
    let (Some(mut stdin), Some(stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err("PowerShell has no pipes".to_owned());
    };
    let bytes = serde_json::to_vec(input).map_err(|error| error.to_string())?;
    // Read beside standard output: a child that fills one of the two pipes would wait for ever.
    let told = tokio::spawn(async move {
        let mut said = String::new();
        drop(stderr.read_to_string(&mut said).await);
        said
    });
    let conversation = async move {
        // A child that ended already says why by its exit code and its words.
        drop(stdin.write_all(&bytes).await);
        drop(stdin);
        let mut lines = BufReader::new(stdout).lines();
        let mut values = Vec::new();
        let started = tokio::time::timeout(UNTIL_STARTED, lines.next_line()).await;
        let Ok(first) = started else {
            return Err("PowerShell was started and never ran the script: a policy or an antivirus holds it".to_owned());
        };
        let mut next = first.map_err(|error| error.to_string())?;
        let mut has_started = false;
        while let Some(line) = next {
            if let Ok(value) = serde_json::from_str::<Value>(line.trim()) {
                if value["started"] == true {
                    has_started = true;
                } else {
                    values.push(value);
                }
            }
            next = lines.next_line().await.map_err(|error| error.to_string())?;
        }
        let said = told.await.unwrap_or_default();
        Ok((has_started, values, said))
    };
    let (has_started, values, said) = tokio::time::timeout(limit, conversation)
        .await
        .map_err(|_| format!("PowerShell took longer than {} s", limit.as_secs()))??;
    let status = child.wait().await.map_err(|error| error.to_string())?;
    if !has_started {
        let said: String = said.chars().take(400).collect();
        return Err(format!(
            "PowerShell ended ({status}) and never ran the script: {said}"
        ));
    }
    match values.last() {
        None => Err(format!("the script said nothing ({status})")),
        Some(last)
            if values.len() == 1
                && last["error"].is_object()
                && matches!(
                    last["error"]["at"].as_str(),
                    Some("Resolve-DnsName" | "Get-ADSyncScheduler")
                ) =>
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

    const ALL: [&str; 3] = [
        text(Script::InspectHost),
        text(Script::ConfigureProvisioningAgent),
        text(Script::ReadConnectScheduler),
    ];

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
            "C:\\x\\",
            &secrets,
        );
        assert_eq!(input["secrets"][0]["value"], "hunter2");
        assert_eq!(input["module"], "C:\\x\\Microsoft.CloudSync.PowerShell.dll");
        assert!(!encode(text(Script::ConfigureProvisioningAgent)).contains("hunter2"));
    }
}
