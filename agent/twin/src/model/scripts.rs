//! What the agent's PowerShell would say on the modeled server: each script of the agent, and what the product's module does
//! when it is called.

use std::collections::BTreeMap;
use std::time::Duration;

use agent_core::op::{Export, Outcome, RegistryValue, Script};
use agent_core::product;
use protocol::Timestamp;
use protocol::facts::ServiceState;
use protocol::secret::{AccessToken, Secret, SecretKind};
use serde_json::{Value, json};

use super::{SCRIPTS_REFUSED, SLOW, Twin};
use crate::faults::Fault;

/// Minutes from one cycle of Connect to the next.
const CYCLE: i64 = 30;

/// When the wizard of a model exported its settings.
const EXPORTED: i64 = 1_790_000_000_000;

/// What PowerShell says of a module that a policy refuses.
const REFUSED: &str = "File C:\\model\\ADSync.psm1 cannot be loaded. The file C:\\model\\ADSync.psm1 is not digitally signed. You cannot run this script on the current system.";

/// What it says of a cmdlet that it does not know.
const NOT_FOUND: &str = "The term 'Get-ADSyncRule' is not recognized as the name of a cmdlet, function, script file, or operable program.";

/// Tells how runs have ended ([K]: in no product fact).
const HISTORY: &str = "Get-ADSyncRunProfileResult";

/// What the module of Connect's engine has of what the agent calls, and what each takes (product facts 2.10, 2.12; most of it is general
/// knowledge).
const ENGINES_MODULE: &[(&str, &[&str])] = &[
    ("Get-ADSyncAADCompanyFeature", &[]),
    (
        "Get-ADSyncAADPasswordSyncConfiguration",
        &["SourceConnector"],
    ),
    ("Get-ADSyncAutoUpgrade", &["Detail"]),
    ("Get-ADSyncConnector", &["Identifier", "Name"]),
    ("Get-ADSyncConnectorRunStatus", &["ConnectorName"]),
    ("Get-ADSyncConnectorStatistics", &["ConnectorName"]),
    ("Get-ADSyncEntraConnectorCredential", &[]),
    ("Get-ADSyncGlobalSettingsParameter", &[]),
    ("Get-ADSyncRule", &["Identifier"]),
    (HISTORY, &["NumberRequested"]),
    ("Get-ADSyncScheduler", &[]),
    (
        "Get-ADSyncSchedulerConnectorOverride",
        &["ConnectorIdentifier", "ConnectorName"],
    ),
];

/// Looks in which a full synchronization behind the wizard's work is due or runs.
pub(super) const FULL_RUNS: u32 = 12;

/// The proxy of a server that has one.
const PROXY: &str = "http://proxy.contoso.com:8080";

impl Twin {
    pub(super) fn script(
        &mut self,
        script: Script,
        input: &Value,
        secrets: &BTreeMap<SecretKind, Secret>,
    ) -> (Outcome, Duration) {
        let loads = [Script::ReviewConnectExports, Script::ReadConnectSettings];
        let loads =
            loads.contains(&script) || script == Script::ReadModule && input["of"].is_array();
        if let Some(why) = self.module_refused().filter(|_| loads) {
            return (Outcome::Failed(why.to_owned()), Duration::from_secs(3));
        }
        if self.has(Fault::ModuleRefused) && script == Script::CollectSupport {
            return (Outcome::Failed(REFUSED.to_owned()), Duration::from_secs(3));
        }
        match script {
            Script::InspectHost => (self.inspect(input), Duration::from_secs(2)),
            Script::InspectPolicies => (self.policies(input), Duration::from_secs(2)),
            Script::ReadModule if input["of"].is_array() => {
                (self.engines_module(input), Duration::from_secs(4))
            }
            Script::ReadModule => (self.module(), Duration::from_secs(4)),
            Script::ConfigureProvisioningAgent => {
                let mut lines = self.configure(input, secrets);
                // Whether a secret was left is looked at before the last word, whatever that is.
                lines.insert(lines.len().saturating_sub(1), self.left());
                (Outcome::Script { lines }, Duration::from_secs(45))
            }
            Script::ReadConnectScheduler => {
                let engine = self.service(product::CONNECT_SERVICE);
                let answers = engine.is_some_and(|engine| engine.state == ServiceState::Running);
                // What the module does not tell, it says why; the console is looked for without it.
                let wrong = |why: &str| {
                    let console = json!({ "consoleOpen": self.has(Fault::ConsoleOpen) });
                    let error = json!({ "error": { "at": "Get-ADSyncScheduler", "message": why } });
                    Outcome::Script {
                        lines: vec![console, error],
                    }
                };
                let staging = self.staging.filter(|_| answers);
                let outcome = match (self.module_refused(), staging) {
                    (Some(why), _) => wrong(why),
                    (None, Some(_)) if input["due"] == true && self.has(Fault::DueUnreadable) => {
                        wrong(
                            "the overrides do not tell whether a full import or synchronization is required",
                        )
                    }
                    (None, Some(staging)) => {
                        let mut line = json!({
                            "stagingModeEnabled": staging, "syncCycleEnabled": !self.cycle_off,
                            "schedulerSuspended": self.wizard_open > 0 || self.has(Fault::SchedulerSuspended),
                            "nextInMinutes": self.next_cycle(), "everyMinutes": CYCLE,
                            "consoleOpen": self.has(Fault::ConsoleOpen),
                        });
                        if input["due"] == true {
                            self.due(&mut line);
                        }
                        Outcome::Script { lines: vec![line] }
                    }
                    (None, None) => wrong("Get-ADSyncScheduler is not recognized"),
                };
                (outcome, Duration::from_secs(3))
            }
            Script::ReviewConnectExports => (self.pending_exports(), Duration::from_secs(90)),
            Script::ReadConnectSettings => {
                let asked = input["groupFilter"] == true;
                (self.connect_settings(asked), Duration::from_secs(30))
            }
            Script::InspectConnect => (self.inspect_connect(input), Duration::from_secs(8)),
            Script::CollectSupport => (self.support(), Duration::from_secs(40)),
            Script::InspectDatabase => (self.inspect_database(), Duration::from_secs(2)),
            Script::JudgeChains => (self.judge_chains(input), Duration::from_secs(2)),
            Script::ReadErrors => (self.recorded_errors(input), Duration::from_secs(3)),
            Script::ReadAgentEvents => (self.agent_events(input), Duration::from_secs(2)),
        }
    }

    /// What the module of Connect's engine tells of the cmdlets that it is asked for: which of them it has does not hang on whether the
    /// engine runs.
    fn engines_module(&self, input: &Value) -> Outcome {
        let asked = |name: &str| {
            let of = input["of"].as_array();
            of.is_some_and(|of| of.iter().any(|one| one == name))
        };
        let gone = self.has(Fault::HistoryGone);
        let has = |(name, _): &&(&str, &[&str])| asked(name) && !(gone && *name == HISTORY);
        let parameter = |name: &&str| json!({ "name": name, "aliases": [], "mandatory": false });
        let set = |(name, takes): &(&str, &[&str])| {
            let parameters: Vec<Value> = takes.iter().map(parameter).collect();
            json!({ "cmdlet": name, "parameters": parameters })
        };
        let mut lines: Vec<Value> = ENGINES_MODULE.iter().filter(has).map(set).collect();
        lines.push(json!({ "cmdlets": lines.len() }));
        Outcome::Script { lines }
    }

    /// What PowerShell says of Connect's module, where it does not answer.
    fn module_refused(&self) -> Option<&'static str> {
        let of = [
            (Fault::ModuleRefused, REFUSED),
            (Fault::CmdletsNotFound, NOT_FOUND),
        ];
        Some(of.into_iter().find(|(fault, _)| self.has(*fault))?.1)
    }

    /// What full import or synchronization is due, and whether a run is under way: one that follows the wizard's work is due, then
    /// runs, then is over.
    fn due(&mut self, line: &mut Value) {
        let runs = self.full_looks;
        self.full_looks = runs.saturating_sub(1);
        let due = self.has(Fault::FullSyncDue) || runs > FULL_RUNS / 2;
        let full: &[&str] = if due {
            &["full synchronization of corp"]
        } else {
            &[]
        };
        line["full"] = json!(full);
        line["initial"] = json!(self.has(Fault::NextCycleFull));
        line["running"] = json!(runs > 0 && !due);
    }

    /// Minutes until the next cycle of Connect is due.
    fn next_cycle(&self) -> i64 {
        if self.has(Fault::CycleOverdue) {
            -600
        } else {
            25
        }
    }

    fn support(&self) -> Outcome {
        if self.has(Fault::ToolsMissing) {
            return Outcome::Failed(
                "Import-Module: the specified module AADCloudSyncTools was not loaded".to_owned(),
            );
        }
        let path = r"C:\ProgramData\Entrain\support\AADCloudSyncTools-logs.zip";
        let digest = protocol::Digest::of(self.profile.target.as_str().as_bytes());
        Outcome::Script {
            lines: vec![json!({ "path": path, "bytes": 3_400_000, "sha256": digest.to_string() })],
        }
    }

    /// What a SQL Server says: version 2022, and no database yet, or that of the earlier engine where it is taken over.
    fn inspect_database(&self) -> Outcome {
        let has = |fault| self.has(fault);
        let choose = |fault, faulty: &'static str, sound: &'static str| {
            if has(fault) { faulty } else { sound }
        };
        let not_reached = |number: i64, text: &str| json!({ "reached": { "ok": false, "number": number, "text": text } });
        let line = if has(Fault::SqlUnreachable) {
            not_reached(
                10_061,
                "A network-related error occurred: the target machine actively refused it. (model)",
            )
        } else if has(Fault::SqlLoginRefused) {
            not_reached(18_456, "Login failed for user 'CORP\\SYNC-01$'. (model)")
        } else {
            let collation = choose(
                Fault::SqlCollation,
                "Latin1_General_CS_AS",
                "Latin1_General_CI_AS",
            );
            let database = if has(Fault::SqlForeign) {
                json!({
                    "exists": true, "collation": collation, "state": "ONLINE",
                    "tables": 12, "whole": true, "engine": false,
                })
            } else if self.engine_left {
                json!({
                    "exists": true, "collation": collation, "state": "ONLINE",
                    "tables": 61, "whole": true, "engine": true,
                })
            } else {
                json!({ "exists": false })
            };
            json!({
                "reached": { "ok": true, "number": 0, "text": "" },
                "server": {
                    "collation": collation,
                    "version": choose(Fault::SqlOld, "11.0.7001.0", "16.0.4135.4"),
                    "edition": 3,
                },
                "database": database,
            })
        };
        Outcome::Script { lines: vec![line] }
    }

    /// What Windows recorded of a service that does not run.
    fn recorded_errors(&self, input: &Value) -> Outcome {
        let asked = |service: &str| {
            let names = input["names"].as_array();
            names.is_some_and(|names| names.iter().any(|name| name == service))
        };
        let lines: &[&str] = if asked(product::CONNECT_SERVICE) && self.has(Fault::EngineEnds) {
            &[
                "Application: miiserver.exe",
                "Exception Info: System.IO.FileLoadException: Could not load file or assembly 'System.Diagnostics.DiagnosticSource, Version=6.0.0.1'",
            ]
        } else if asked(product::CONNECT_UPGRADE_SOURCE) && self.has(Fault::UpgradeBrokeOff) {
            &["Upgrade ended with the status PreUpgradeFailure. (model)"]
        } else if asked(product::AGENT_SERVICE) && self.has(Fault::LogonAsServiceRefused) {
            &[
                r"The service was unable to log on as CORP\operator due to the following error: the user has not been granted the requested logon type at this computer.",
            ]
        } else {
            &[]
        };
        let since = input["since"].as_i64().unwrap_or_default();
        let of_agent = self
            .recorded
            .iter()
            .filter(|(at, _)| asked(product::AGENT_SERVICE) && at.as_millis() >= since);
        let recorded = of_agent.map(|(_, line)| line.as_str());
        let lines: Vec<&str> = lines.iter().copied().chain(recorded).collect();
        Outcome::Script {
            lines: vec![json!({ "lines": lines })],
        }
    }

    fn agent_events(&self, input: &Value) -> Outcome {
        if !self.services.contains_key(product::AGENT_SERVICE) || self.has(Fault::LogsUnreadable) {
            return Outcome::Failed("Get-WinEvent: there is no such log".to_owned());
        }
        let ends: &[Value] = if self.has(Fault::ServiceRestarts) {
            &[
                json!({ "id": 7031, "minutes": 1 }),
                json!({ "id": 7031, "minutes": 3 }),
            ]
        } else {
            &[]
        };
        let logged = self.errors_within(input["days"].as_u64().unwrap_or(1).max(1));
        let logged = logged.into_iter();
        let mut events: Vec<Value> = logged
            .map(|minutes| json!({ "id": 12_016, "minutes": minutes }))
            .collect();
        if self.has(Fault::AgentLogsErrors) {
            events.push(json!({ "id": 12_016, "minutes": 200 }));
        } else if self.has(Fault::ErrorsWhileWatched) {
            events.push(json!({ "id": 12_016, "minutes": 3 }));
        }
        Outcome::Script {
            lines: vec![json!({ "events": events, "noise": 2, "ends": ends })],
        }
    }

    /// What the module of Connect and Windows' logs tell, and its way to the cloud.
    fn inspect_connect(&self, input: &Value) -> Outcome {
        let has = |fault| self.has(fault);
        let mut line = json!({});
        if input["through"].is_string() {
            let system = has(Fault::ProxySet);
            line["systemProxy"] = if system { json!(PROXY) } else { json!("none") };
            // The server's owner has written what is planned, or else the system's.
            let planned = self.planned_proxy.as_deref();
            let meant = planned.or(system.then_some(PROXY));
            let written = match meant {
                Some(_) if has(Fault::MachineProxyDiffers) => None,
                None if has(Fault::MachineProxyDiffers) => Some(PROXY),
                meant => meant,
            };
            line["machineProxy"] = json!(written.unwrap_or("none"));
            let shows = !has(Fault::MachineProxyAnonymous);
            line["machineCredentials"] = json!(shows.to_string());
        }
        if input["webHost"].is_string() {
            line["web"] = if has(Fault::WebServiceRefused) {
                json!(407)
            } else if has(Fault::CloudBlocked) {
                json!({ "why": "the remote name could not be resolved" })
            } else {
                json!(200)
            };
        }
        let engine = self.service(product::CONNECT_SERVICE);
        let answers = engine.is_some_and(|engine| engine.state == ServiceState::Running);
        let refused = self.module_refused();
        let asked = self.staging.is_some() && answers && refused.is_none();
        if input["upgrade"] == true && asked {
            self.before_upgrade(&mut line);
        } else if input["upgrade"] == true {
            let why = json!({ "why": refused.unwrap_or(NOT_FOUND) });
            for part in ["defaultRules", "overrides", "objects", "fullRuns"] {
                line[part] = why.clone();
            }
        }
        if input["installed"] != true || !asked {
            return Outcome::Script { lines: vec![line] };
        }
        let identity = if has(Fault::LegacyIdentity) {
            "ServiceAccount"
        } else {
            "Application"
        };
        line["identity"] = json!(identity);
        let own = self.profile.target.home_domain();
        let forests = own.iter().chain(&self.forests);
        let connector = |forest| json!({ "name": forest, "identifier": "6a1f" });
        let mut connectors: Vec<Value> = forests.map(connector).collect();
        if !has(Fault::TenantConnectorMissing) {
            let identifier = "b891884f-051e-4a83-95af-2544101c9083";
            connectors.push(json!({ "name": "tenant - AAD", "identifier": identifier }));
        }
        line["connectors"] = json!(connectors);
        if input["passwords"] == true {
            let on = !has(Fault::PasswordSyncOff);
            let forests = own.iter().chain(&self.forests);
            let row = |forest| json!({ "connector": forest, "on": on });
            line["passwords"] = json!(forests.map(row).collect::<Vec<_>>());
        }
        let result = if has(Fault::RunFailed) {
            "completed-export-errors"
        } else {
            "success"
        };
        let ended =
            |run: &str, result: &str| json!({ "run": run, "result": result, "ended": true });
        let mut runs = vec![
            ended("tenant - AAD, Export", result),
            ended("corp, Delta Import", "success"),
        ];
        if has(Fault::RunUnderWay) {
            let (run, result) = ("tenant - AAD, Export", "in-progress");
            runs.insert(0, json!({ "run": run, "result": result, "ended": false }));
        }
        line["runs"] = self.history(json!(runs));
        line["autoUpgrade"] = if has(Fault::AutoUpgradeSuspended) {
            json!({ "state": "Suspended", "detail": "UpgradeNotSupportedLocalDbSizeExceeded" })
        } else {
            json!({ "state": "Enabled", "detail": "" })
        };
        let event = |fault: [Fault; 2], (due, wrong): (u32, u32), source: &str| {
            if self.has(Fault::LogsUnreadable) {
                json!({ "why": "Get-WinEvent: access is denied" })
            } else if self.has(Fault::ErrorsWhileWatched) {
                json!([{ "id": wrong, "source": source, "minutes": 3 }])
            } else if fault.into_iter().any(|fault| self.has(fault)) {
                json!([{ "id": due, "source": source, "minutes": 320 }])
            } else {
                json!([])
            }
        };
        line["certificates"] = event([Fault::CertificateDue; 2], (1011, 1012), "ADSync");
        let logged = self.errors_within(input["days"].as_u64().unwrap_or(7).max(7));
        if let Some(rows) = line["certificates"].as_array_mut() {
            let logged = logged.into_iter();
            rows.extend(
                logged.map(|minutes| json!({ "id": 1012, "source": "ADSync", "minutes": minutes })),
            );
        }
        let source = "Microsoft Entra Connect Upgrade";
        let broken = [Fault::AutoUpgradeFailed, Fault::UpgradeBrokeOff];
        line["upgrades"] = event(broken, (302, 302), source);
        let wrong = has(Fault::WizardTraceErrors) || has(Fault::ConnectorOutdated);
        let errors = if wrong { 4 } else { 0 };
        line["trace"] = json!({ "file": "trace-20261120-101500.log", "errors": errors });
        Outcome::Script { lines: vec![line] }
    }

    /// What an upgrade in place would find.
    fn before_upgrade(&self, line: &mut Value) {
        let disabled: &[&str] = if self.has(Fault::DefaultRulesDisabled) {
            &["In from AD - User Join", "Out to AAD - User Join"]
        } else {
            &[]
        };
        line["defaultRules"] = json!({ "number": 118, "disabled": disabled });
        let due: &[&str] = if self.has(Fault::OverridesSet) {
            &["full synchronization of corp"]
        } else {
            &[]
        };
        line["overrides"] = json!(due);
        line["objects"] = json!(41_000);
        let minutes = if self.has(Fault::FullRunLong) {
            2_000
        } else {
            95
        };
        line["fullRuns"] = self.history(json!([
            { "run": "corp, Full Import", "minutes": 25 },
            { "run": "corp, Full Synchronization", "minutes": minutes },
        ]));
    }

    /// What a script says that asks for the history of runs, where that would tell this.
    fn history(&self, tells: Value) -> Value {
        if self.has(Fault::HistoryGone) {
            let why = format!("the module of this version has no cmdlet {HISTORY}");
            return json!({ "why": why });
        }
        tells
    }

    /// What the wizard exported last: it lies there once Connect is set up, also while the engine stands. Its form is made up.
    pub(super) fn connect_export(&self) -> Outcome {
        if self.staging.is_none() {
            return Outcome::Export(None);
        }
        let own = protocol::Digest::of(self.profile.target.as_str().as_bytes()).to_string();
        let id = format!("{}-0000-0000-0000-000000000000", &own[..8]);
        let mut units = vec!["OU=People,DC=corp,DC=contoso,DC=com"];
        if self.has(Fault::SettingsDiffer) {
            units.push("OU=Trainees,DC=corp,DC=contoso,DC=com");
        }
        let text = if self.has(Fault::SettingsUnreadable) {
            "this is no document".to_owned()
        } else {
            json!({
                "connectors": [{ "name": "corp", "identifier": id, "units": units, "password": "model" }],
                "source anchor": "mS-DS-ConsistencyGuid",
            })
            .to_string()
        };
        Outcome::Export(Some(Box::new(Export {
            file: "Applied-SynchronizationPolicy-1.JSON".to_owned(),
            written: Timestamp::from_millis(EXPORTED),
            bytes: text.len() as u64,
            sha256: protocol::Digest::of(text.as_bytes()),
            text: Ok(text),
        })))
    }

    /// What decides what the engine synchronizes. The ids of its connectors are this server's own.
    fn connect_settings(&self, group_filter: bool) -> Outcome {
        let engine = self.service(product::CONNECT_SERVICE);
        let answers = engine.is_some_and(|engine| engine.state == ServiceState::Running);
        if self.staging.is_none() || !answers {
            return Outcome::Failed("Get-ADSyncConnector is not recognized".to_owned());
        }
        let differs = self.has(Fault::SettingsDiffer);
        let own = protocol::Digest::of(self.profile.target.as_str().as_bytes()).to_string();
        let tenant = "b891884f-051e-4a83-95af-2544101c9083";
        let rule = |name: &str,
                    of: &str,
                    direction: &str,
                    default: bool,
                    precedence: u32,
                    value: &str| {
            json!({
                "rule": name, "of": of, "direction": direction, "precedence": precedence, "default": default, "disabled": false,
                "tag": "", "source": "user", "target": "person", "link": "Join", "passwords": "True",
                "scope": [{ "all": [{ "attribute": "department", "operator": "EQUAL", "value": value }] }],
                "join": [{ "all": [{ "source": "objectSID", "target": "objectSID", "exact": false }] }],
                "flows": [{ "to": "mail", "from": ["mail"], "kind": "Direct", "once": false, "expression": "", "merge": "Update" }],
            })
        };
        let mut included = vec!["OU=People,DC=corp,DC=contoso,DC=com".to_owned()];
        if differs {
            included.push("OU=Trainees,DC=corp,DC=contoso,DC=com".to_owned());
        }
        if self.has(Fault::ManyUnits) {
            let more = (1..=30).map(|number| format!("OU=Site {number},DC=corp,DC=contoso,DC=com"));
            included.extend(more);
        }
        let mut lines = vec![
            json!({ "connector": "corp", "id": &own[..32], "type": "AD", "objects": ["group", "user"], "attributes": ["mail"] }),
            json!({ "connector": "tenant - AAD", "id": tenant, "type": "Extensible2", "objects": ["user"], "attributes": ["mail"] }),
            json!({ "partition": "corp", "of": "corp", "selected": true, "classes": ["user"], "included": included, "excluded": [] }),
        ];
        let mut unread = json!({});
        if self.has(Fault::SettingsUnreadable) {
            unread["rules"] = json!("the module names no ScopeFilter");
        } else {
            let department = if differs {
                "Sales and Service"
            } else {
                "Sales"
            };
            lines.extend([
                rule(
                    "In from AD - User Join",
                    &own[..32],
                    "Inbound",
                    true,
                    100,
                    "",
                ),
                rule(
                    "Out to AAD - User Join",
                    tenant,
                    "Outbound",
                    true,
                    101,
                    if self.has(Fault::DefaultRuleEdited) {
                        "Sales"
                    } else {
                        ""
                    },
                ),
            ]);
            if !self.plain || self.has(Fault::CustomRules) {
                let name = "In from AD - Sales";
                lines.push(rule(name, &own[..32], "Inbound", false, 50, department));
            }
        }
        if self.has(Fault::SecondForest) {
            lines.push(json!({ "connector": "fabrikam", "id": &own[32..], "type": "AD", "objects": ["user"], "attributes": ["mail"] }));
        }
        let passwords = !self.has(Fault::PasswordSyncOff);
        let anchor = "Microsoft.SynchronizationOption.AnchorAttribute";
        lines.extend([
            json!({ "setting": anchor, "value": "mS-DS-ConsistencyGuid" }),
            json!({ "feature": "PasswordHashSync", "on": true }),
            json!({ "passwords": "corp", "on": passwords }),
        ]);
        if self.plain {
            let principal = if self.has(Fault::CustomPrincipalName) {
                "mail"
            } else {
                "userPrincipalName"
            };
            let name = "Microsoft.SynchronizationOption.UPNAttribute";
            lines.push(json!({ "setting": name, "value": principal }));
            let features = [
                ("DirectoryExtension", self.has(Fault::DirectoryExtensions)),
                ("DeviceWriteUp", self.has(Fault::DeviceSync)),
                ("DeviceWriteBack", self.has(Fault::DeviceWriteback)),
                ("GroupWriteBack", false),
                ("UserWriteBack", false),
            ];
            lines.extend(features.map(|(name, on)| {
                let value = if on { "True" } else { "False" };
                json!({ "setting": format!("Microsoft.OptionalFeature.{name}"), "value": value })
            }));
        }
        if group_filter {
            let on = self.plain.then(|| self.has(Fault::GroupFilter));
            lines.push(json!({ "filter": "corp", "on": on }));
        }
        lines.push(json!({ "unread": unread }));
        Outcome::Script { lines }
    }

    fn pending_exports(&mut self) -> Outcome {
        if self.staging.is_none() || self.has(Fault::ExportsUnreadable) {
            return Outcome::Failed("Get-ADSyncConnector: csexport ended with 1".to_owned());
        }
        if self.cycles > 0 {
            self.cycles -= 1;
            return Outcome::Script {
                lines: vec![json!({ "running": true })],
            };
        }
        let delete = if self.has(Fault::DeletionsPending) {
            7
        } else {
            0
        };
        let full: &[&str] = if self.has(Fault::FullSyncDue) {
            &["corp"]
        } else {
            &[]
        };
        let next = self.next_cycle();
        Outcome::Script {
            lines: vec![
                json!({ "connector": "tenant - AAD", "add": 1, "update": 3, "delete": delete, "other": 0 }),
                json!({ "connector": "corp", "add": 0, "update": 2, "delete": 0, "other": 0 }),
                json!({
                    "full": full, "initial": self.has(Fault::NextCycleFull),
                    "nextInMinutes": next, "everyMinutes": CYCLE, "ran": (!self.has(Fault::HistoryGone)).then_some(true),
                }),
            ],
        }
    }

    /// What the script that inspects a host says.
    fn inspect(&self, input: &Value) -> Outcome {
        let has = |fault| self.has(fault);
        let machine = if has(Fault::PolicyUnrestricted) {
            "Unrestricted"
        } else if has(Fault::PolicyRestricted) {
            "Restricted"
        } else if has(Fault::PolicyAllSigned) {
            "AllSigned"
        } else {
            "RemoteSigned"
        };
        let by_policy = has(Fault::SetByPolicy) && machine != "RemoteSigned";
        let (by_policy, machine) = if by_policy {
            (machine, "RemoteSigned")
        } else {
            ("Undefined", machine)
        };
        let policies = json!({
            "MachinePolicy": by_policy, "UserPolicy": "Undefined", "CurrentUser": "Undefined", "LocalMachine": machine,
        });
        let usable = !has(Fault::GmsaNotAllowed) && !has(Fault::NoKdsKey);
        let gmsa = input["gmsa"]
            .as_str()
            .map(|name| json!({ "name": name, "usable": usable }));
        let root = if has(Fault::TlsInspected) {
            "CN=Contoso Inspection CA"
        } else {
            "CN=DigiCert Global Root G2"
        };
        let public = self.public(has(Fault::TlsInspected));
        let leaf = |host: &Value| json!({ "host": host, "root": root, "public": public });
        let hosts = input["hosts"].as_array().into_iter().flatten();
        let tls: Vec<Value> = hosts.map(leaf).collect();
        let control: &[&str] = if has(Fault::ApplicationControl) {
            &["Exe, Script"]
        } else {
            &[]
        };
        // An edited file was written to days after it was laid down; a copy was laid down days after its program.
        let days = |fault| if has(fault) { 4 * 24 * 60 } else { 0 };
        let configurations = json!([
            {
                "name": "miiserver.exe.config",
                "written": if has(Fault::EditedConfiguration) { 4 * 24 * 60 } else { -90 * 24 * 60 },
                "laid": days(Fault::CopiedConfiguration),
            },
            { "name": "miisclient.exe.config", "written": -90 * 24 * 60, "laid": 0 },
        ]);
        let runs: &[&str] = if has(Fault::EngineBusy) {
            &["run profile Delta Synchronization"]
        } else {
            &[]
        };
        let open: &[&str] = if has(Fault::EngineBusy) {
            &["AzureADConnect.exe is open"]
        } else if has(Fault::ConsoleOpen) {
            &["miisclient.exe is open"]
        } else {
            &[]
        };
        let choose = |fault, faulty: &'static str, sound: &'static str| {
            if self.has(fault) { faulty } else { sound }
        };
        let domain = self.profile.target.home_domain();
        let domain = domain.map(|domain| domain.to_string()).unwrap_or_default();
        let line = json!({
            "domain": { "joined": !has(Fault::NotJoined), "name": domain },
            "policies": policies,
            "gmsa": gmsa,
            "powerShell": choose(Fault::OldPowerShell, "4.0", "5.1.20348.1"),
            "languageMode": choose(Fault::ConstrainedLanguage, "ConstrainedLanguage", "FullLanguage"),
            "codeIntegrity": false,
            "appLocker": control,
            "elevated": !has(Fault::NotElevated),
            // The cmdlet errs on a domain controller.
            "secureChannel": if has(Fault::DomainController) {
                json!({ "why": "Cannot find the computer account for the local computer from the domain controller. (model)" })
            } else {
                json!(!has(Fault::SecureChannelBroken))
            },
            "installerBusy": has(Fault::InstallerRunning),
            "tls": tls,
            "proxy": choose(Fault::ProxySet, PROXY, "none"),
            "tpm": !has(Fault::NoTpm),
            "configurations": configurations,
            "open": open,
            "runs": match self.module_refused() { Some(why) => json!({ "why": why }), None => json!(runs) },
            "settingsExportHours": if has(Fault::ExportOld) { 168 } else { 2 },
        });
        Outcome::Script { lines: vec![line] }
    }

    /// What the script says that asks for policies. A hive may stand before a key, and the two classes of values are told apart.
    fn policies(&self, input: &Value) -> Outcome {
        let (policy, holders): (&str, &[&str]) = if self.has(Fault::LogonRightByPolicy) {
            ("Servers: user rights", &["CONTOSO\\backup"])
        } else {
            ("", &["S-1-5-80-0"])
        };
        let set = |at: &str, value: &str| json!({ "at": at, "value": value, "policy": "Servers: hardening", "local": false });
        let (values, options) = if self.has(Fault::SetByPolicy) {
            let values = vec![
                set(&format!(r"HKLM\{}", product::TLS12_CLIENT_KEY), "Enabled"),
                set(product::TLS12_SERVER_KEY, "enabled"),
                set(product::DOTNET_CRYPTO_KEY, "SchUseStrongCrypto"),
                set(product::VAULT_SERVICE, ""),
                set(product::POWERSHELL_POLICY_KEY, "ExecutionPolicy"),
                set(product::TRANSCRIPTION_KEY, "EnableTranscripting"),
                set(product::MODULE_LOGGING_KEY, "EnableModuleLogging"),
                set(product::APPLOCKER_KEY, ""),
            ];
            let options = [
                (product::NTLM_KEY, "RestrictSendingNTLMTraffic"),
                (product::FIPS_KEY, "Enabled"),
                (product::KERBEROS_KEY, product::KERBEROS_TYPES),
            ];
            let options = options.map(|(key, value)| set(&format!(r"MACHINE\{key}"), value));
            (values, options.to_vec())
        } else {
            (Vec::new(), Vec::new())
        };
        // The account is asked for where a policy sets the right; one that is not made yet has no identifier.
        let gmsa = input["gmsa"].as_str().filter(|_| !policy.is_empty());
        let gmsa = gmsa.and_then(|name| self.view.shared.identifier(name));
        let right = json!({
            "policy": policy, "holders": holders, "gmsa": gmsa.unwrap_or_default(), "local": false,
        });
        let item = |at: &str, value: &str| json!({ "at": at, "value": value, "policy": "Servers: legacy", "local": false });
        let preferences = if self.has(Fault::SetByPreference) {
            vec![
                item(product::TLS12_CLIENT_KEY, "Enabled"),
                item(product::DOTNET_CRYPTO_KEY, "SchUseStrongCrypto"),
                item(product::VAULT_SERVICE, ""),
                item(product::IE_ESC_KEY, "IsInstalled"),
            ]
        } else {
            Vec::new()
        };
        let line = json!({
            "values": values, "options": options, "preferences": preferences, "logonRight": right,
        });
        Outcome::Script { lines: vec![line] }
    }

    /// Whether the root of what is shown is a public one, as far as the server tells.
    fn public(&self, inspected: bool) -> Option<bool> {
        (!self.has(Fault::RootsByPolicy)).then_some(!inspected)
    }

    /// What the script that judges chains says of those that were shown behind a proxy.
    fn judge_chains(&self, input: &Value) -> Outcome {
        let inspected = self.has(Fault::ProxyInspects) || self.has(Fault::TlsInspected);
        let root = if inspected {
            "CN=Contoso Inspection CA"
        } else {
            "CN=DigiCert Global Root G2"
        };
        let public = self.public(inspected);
        let judged = |one: &Value| json!({ "host": one["host"], "root": root, "public": public });
        let chains = input["chains"].as_array().into_iter().flatten();
        let line = json!({ "tls": chains.map(judged).collect::<Vec<_>>() });
        Outcome::Script { lines: vec![line] }
    }

    fn left(&self) -> Value {
        let left: &[&str] = if self.has(Fault::SecretLeft) {
            &[r"C:\Windows\Temp\module-1.log"]
        } else {
            &[]
        };
        json!({ "step": "Find-Secret", "ok": true, "where": left, "unread": 1 })
    }

    /// What the module's cmdlets do, one after the other.
    fn configure(&mut self, input: &Value, secrets: &BTreeMap<SecretKind, Secret>) -> Vec<Value> {
        let error = |at: &str, kind: &str, message: &str| json!({ "error": { "at": at, "kind": kind, "message": message } });
        let sign_in = "Connect-AADCloudSyncAzureAD";
        let mut lines = vec![json!({ "step": "Import-Module", "ok": true })];
        if let Some(lack) = self.lacks(&input["calls"]) {
            lines.push(error("Get-Command", "other", &lack));
            return lines;
        }
        let signed_in = secrets.iter().any(|(kind, secret)| match kind {
            SecretKind::AccessToken { tenant } | SecretKind::TenantCredential { tenant } => {
                input["tenant"] == tenant.as_str() && !secret.value.is_empty()
            }
            SecretKind::DomainCredential { .. } => false,
        });
        if !signed_in {
            lines.push(error(
                sign_in,
                "authentication",
                "no token or credential for this tenant was given",
            ));
            return lines;
        }
        let foreign = secrets.iter().find_map(|(kind, secret)| match kind {
            SecretKind::AccessToken { .. } => AccessToken::read(&secret.value)
                .and_then(|token| token.tenant)
                .filter(|tenant| input["tenant"] != tenant.as_str()),
            SecretKind::TenantCredential { .. } | SecretKind::DomainCredential { .. } => None,
        });
        if let Some(tenant) = foreign {
            let message = format!("the token was issued by tenant {tenant}");
            lines.push(error(sign_in, "authentication", &message));
            return lines;
        }
        let by_password = secrets
            .keys()
            .any(|kind| matches!(kind, SecretKind::TenantCredential { .. }));
        if by_password && self.has(Fault::MfaDemanded) {
            lines.push(error(
                sign_in,
                "authentication",
                "AADSTS50076: you must use multi-factor authentication",
            ));
            return lines;
        }
        if let Some(message) = self.registration_refused() {
            lines.push(error(sign_in, "registration", message));
            return lines;
        }
        lines.push(json!({ "step": sign_in, "ok": true }));
        let given = |domain: &Value| {
            let of = |kind: &SecretKind| matches!(kind, SecretKind::DomainCredential { domain: of } if domain == of.as_str());
            secrets.keys().any(of)
        };
        let at = "Add-AADCloudSyncGMSA";
        let creates = &input["gmsa"]["createWithCredentialOf"];
        if creates.is_string() && !given(creates) {
            let message = "Cannot bind argument to parameter 'Credential' because it is null";
            lines.push(error(at, "parameter", message));
            return lines;
        }
        let sets = input["gmsa"].is_object();
        if sets && self.has(Fault::GmsaNotAllowed) {
            let message = "this server may not retrieve the password of the account (model)";
            lines.push(error(at, "directory", message));
            return lines;
        }
        if sets && self.has(Fault::NoKdsKey) {
            lines.push(error(at, "directory", "Key does not exist"));
            return lines;
        }
        if sets && self.has(Fault::GmsaEncryption) {
            lines.push(error(
                at,
                "directory",
                "Unable to install service account pGMSA_1a2b$ after 6 retries",
            ));
            return lines;
        }
        if sets && self.has(Fault::LogonGivenByHand) {
            let message = "Failed changing Windows service credentials to gMSA";
            lines.push(error(at, "other", message));
            return lines;
        }
        let own = |note: u32| RegistryValue::Number(note);
        let begun = input["note"]["begun"].as_u64();
        let begun = begun.and_then(|begun| u32::try_from(begun).ok());
        if sets {
            self.set(
                product::OWED_KEY,
                product::OWED_REGISTRATION,
                own(begun.unwrap_or(0)),
            );
            self.changes.push("add gMSA".to_owned());
            lines.push(json!({ "step": at, "ok": true }));
            // When the tenant is written is in no fact: here as early as it may be, so that whatever fails behind it leaves a server
            // that shows a tenant and an account.
            let gmsa = input["gmsa"]["name"]
                .as_str()
                .unwrap_or(product::DEFAULT_GMSA)
                .to_owned();
            if let Some(Ok(tenant)) = input["tenant"].as_str().map(str::parse) {
                self.name_in(&gmsa);
                self.register(&tenant, &gmsa);
            }
        }
        let at = "Add-AADCloudSyncADDomain";
        for domain in input["domains"].as_array().into_iter().flatten() {
            let name = domain["name"].as_str().unwrap_or_default().to_owned();
            let there = self.domains.contains(&name);
            if there {
                lines.push(json!({ "step": at, "ok": true, "domain": name, "there": true, "mentioned": true }));
            }
            let unreachable = [Fault::DirectoryBlocked, Fault::DnsBlocked, Fault::DnsSilent];
            if !there && unreachable.into_iter().any(|fault| self.has(fault)) {
                lines.push(error(at, "directory", "The LDAP server is unavailable."));
                return lines;
            }
            let unknown = [
                (
                    Fault::OtherJsonAssembly,
                    "Could not load file or assembly 'Newtonsoft.Json, Version=13.0.0.0, Culture=neutral' or one of its dependencies.",
                ),
                (Fault::DirectorySlow, SLOW),
            ];
            if let Some((_, why)) = unknown.into_iter().find(|(fault, _)| self.has(*fault))
                && !there
            {
                lines.push(error(at, "other", why));
                return lines;
            }
            let lacks = domain["credential"] == true && !given(&domain["name"]);
            let demands = domain["credential"] != true && self.has(Fault::DomainCredentialDemanded);
            if !there && (lacks || demands) {
                lines.push(error(
                    at,
                    "parameter",
                    "Cannot bind argument to parameter 'Credential' because it is null",
                ));
                return lines;
            }
            if !there {
                self.changes.push(format!("add domain {name}"));
                lines.push(json!({ "step": at, "ok": true, "domain": name, "there": false, "mentioned": false }));
                self.domains.push(name.clone());
                let preferred = domain["preferredDomainControllers"].as_array();
                let preferred = preferred.into_iter().flatten();
                let preferred = preferred.filter_map(|one| Some(one.as_str()?.to_owned()));
                self.preferred.insert(name.clone(), preferred.collect());
            }
            for kind in domain["permissions"].as_array().into_iter().flatten() {
                let at = "Set-AADCloudSyncPermissions";
                if self.has(Fault::PermissionsRefused) {
                    let message = "Access is denied. (model)";
                    lines.push(error(at, "directory", message));
                    return lines;
                }
                let kind = kind.as_str().unwrap_or_default();
                // What an account has, it is given again without a change.
                let grant = format!("grant {kind} in {name}");
                if self.granted.insert(grant.clone()) {
                    self.changes.push(grant);
                }
                lines.push(json!({ "step": at, "ok": true, "domain": name, "type": kind }));
            }
        }
        if self.has(Fault::DomainNotKept) {
            self.domains.pop();
        }
        let listed: Vec<String> = self
            .domains
            .iter()
            .map(|name| {
                let preferred = self.preferred.get(name).map(|all| all.join(", "));
                let preferred = preferred.unwrap_or_default();
                // What stands beside it is no domain that was added by that.
                let forest = name.split_once('.').map_or(name.as_str(), |(_, rest)| rest);
                format!(
                    "DomainName : {name}\r\nForestName : {forest}\r\nPreferredDomainControllers : {{{preferred}}}"
                )
            })
            .collect();
        lines.push(
            json!({ "step": "Get-AADCloudSyncDomains", "ok": true, "names": &self.domains, "text": listed.join("\r\n") }),
        );
        let service = self.service(product::AGENT_SERVICE);
        if service.is_some_and(|service| service.state == ServiceState::Disabled) {
            let message = "Service 'Microsoft Azure AD Connect Provisioning Agent (AADConnectProvisioningAgent)' cannot be started due to the following error: Cannot start service AADConnectProvisioningAgent on computer '.'. (model)";
            lines.push(error("Restart-Service", "other", message));
            return lines;
        }
        lines.push(json!({ "step": "Restart-Service", "ok": true }));
        if sets {
            self.set(product::OWED_KEY, product::OWED_REGISTRATION, own(0));
        }
        lines.push(json!({ "done": true }));
        lines
    }

    /// Why the cloud does not take the registration. The words are the model's: the facts describe these and quote none.
    pub(super) fn registration_refused(&self) -> Option<&'static str> {
        let has = |fault| self.has(fault);
        let policies = [
            Fault::PolicyUnrestricted,
            Fault::PolicyRestricted,
            Fault::PolicyAllSigned,
        ];
        if has(Fault::RegistrationScriptsRefused) {
            Some(SCRIPTS_REFUSED)
        } else if policies.into_iter().any(has) {
            Some("registration: security error; the execution policy stands against it (model)")
        } else if has(Fault::TlsInspected) {
            Some("registration: the certificate is invalid (model)")
        } else if has(Fault::CloudBlocked) || has(Fault::RegistrationBlocked) || self.tls_is_off() {
            Some("registration: the request timed out (model)")
        } else {
            None
        }
    }
}
