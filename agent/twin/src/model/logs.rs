//! What the logs of the modelled products show of what is wrong.

use agent_core::op::{Log, LogEnds, Outcome};

use super::{SCRIPTS_REFUSED, SLOW, Twin};
use crate::faults::Fault;

/// The file of a log.
const FILE: &str = "log";

impl Twin {
    /// How far a log goes: a log is one file here, and its length the number of its lines. What a fault has the products write comes with what is
    /// done, and is never there before.
    pub(super) fn log_ends(&self, log: Log) -> LogEnds {
        let lines = self.logs.get(&log);
        let length = |lines: &Vec<String>| u64::try_from(lines.len()).unwrap_or(u64::MAX);
        let file = lines.map(|lines| (FILE.to_owned(), length(lines)));
        LogEnds {
            files: file.into_iter().collect(),
            at: self.now(),
        }
    }

    pub(super) fn log(&self, log: Log, after: Option<&LogEnds>) -> Outcome {
        if log == Log::ConnectTrace {
            let mut lines = self.wizard_trace();
            if lines.is_empty() {
                return Outcome::Failed("no trace-*.log is there".to_owned());
            }
            lines.insert(0, "[INFO] sign-in page (model)".to_owned());
            return Outcome::Lines(lines);
        }
        let mut lines = self.logs.get(&log).cloned();
        let written = lines.is_some();
        if let (Some(lines), Some(after)) = (&mut lines, after) {
            let length = after.files.get(FILE).copied().unwrap_or_default();
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            lines.drain(..length.min(lines.len()));
        }
        if log == Log::ProvisioningAgentTrace {
            let line = self.agents_trace(written).map(ToOwned::to_owned);
            lines = lines.or(line.is_some().then(Vec::new));
            lines
                .iter_mut()
                .for_each(|lines| lines.extend(line.clone()));
        }
        match lines {
            Some(lines) => Outcome::Lines(lines),
            None => Outcome::Failed("there is no such file".to_owned()),
        }
    }

    /// What the agent's trace shows of what is wrong: while it runs, and before, of a registration at the wizard.
    pub(super) fn agents_trace(&self, runs: bool) -> Option<&'static str> {
        let lines = [
            (
                Fault::TraceShowsException,
                true,
                "System.DirectoryServices.Protocols.LdapException: The LDAP server is unavailable.",
            ),
            (Fault::DirectorySlow, true, SLOW),
            (Fault::RegistrationScriptsRefused, false, SCRIPTS_REFUSED),
        ];
        let own = |(fault, while_it_runs, _): &&(Fault, bool, &str)| {
            self.has(*fault) && *while_it_runs == runs
        };
        Some(lines.iter().find(own)?.2)
    }

    /// What stops the wizard of Connect, as its trace shows it. The facts quote these words, but for the script error's.
    pub(super) fn wizard_trace(&self) -> Vec<String> {
        let lines = [
            (
                Fault::WizardIdentityRefused,
                "Microsoft Entra Connect could not configure application-based authentication for this server. Setup cannot continue.",
            ),
            (
                Fault::WizardScriptError,
                "script error while admin@contoso.com answers the second factor",
            ),
            (
                Fault::WizardDatabaseLeft,
                "The ADSync database already contains data and cannot be overwritten",
            ),
            (
                Fault::PassThroughNotEnabled,
                "pass-through authentication: enablement failed",
            ),
            (
                Fault::WizardDatabaseInGroup,
                "Error 25009. The database could not be configured (model)",
            ),
            (
                Fault::WizardTraceErrors,
                "admin@contoso.com: Unable to validate credentials",
            ),
            (
                Fault::ConnectorOutdated,
                "Assembly version in AAD Connector configuration (1.0.343.0) is earlier than the actual version (1.1.1610.0)",
            ),
        ];
        let own = lines.iter().filter(|(fault, _)| self.has(*fault));
        own.map(|(_, line)| format!("[ERROR] {line}")).collect()
    }

    /// Whether somebody at Connect's wizard cannot come to its end.
    pub(super) fn wizard_is_stopped(&self) -> bool {
        let goes_on = self.has(Fault::WizardTraceErrors) || self.has(Fault::ConnectorOutdated);
        !self.wizard_trace().is_empty() && !goes_on
    }
}
