//! MO02: whether the module of Connect's engine takes the calls that a script of ours is about to make of it. Which cmdlets and parameters a
//! version has is told by it alone (product facts 2.12); what it lacks a script says where it comes to it, and here it is said before.

use std::time::Duration;

use protocol::event::Finding;
use serde_json::json;

use crate::catalogue;
use crate::op::Script;
use crate::procedure::{Cx, Flow};
use crate::step::module::{Call, Module};
use crate::step::{place, report};

/// How long the module may take to load and to tell.
const LIMIT: Duration = Duration::from_secs(120);

const COMPANY_FEATURE: Call = ("Get-ADSyncAADCompanyFeature", &[]);
const PASSWORD_SYNC: Call = (
    "Get-ADSyncAADPasswordSyncConfiguration",
    &["SourceConnector"],
);
const AUTO_UPGRADE: Call = ("Get-ADSyncAutoUpgrade", &[]);
const AUTO_UPGRADE_DETAIL: Call = ("Get-ADSyncAutoUpgrade", &["Detail"]);
const CONNECTOR: Call = ("Get-ADSyncConnector", &[]);
const RUN_STATUS: Call = ("Get-ADSyncConnectorRunStatus", &[]);
const STATISTICS: Call = ("Get-ADSyncConnectorStatistics", &["ConnectorName"]);
const CREDENTIAL: Call = ("Get-ADSyncEntraConnectorCredential", &[]);
const GLOBAL_SETTINGS: Call = ("Get-ADSyncGlobalSettingsParameter", &[]);
const RULE: Call = ("Get-ADSyncRule", &[]);
const RUN_RESULT: Call = ("Get-ADSyncRunProfileResult", &["NumberRequested"]);
const SCHEDULER: Call = ("Get-ADSyncScheduler", &[]);
const OVERRIDE: Call = ("Get-ADSyncSchedulerConnectorOverride", &[]);

/// What the module is about to be asked for. A version lacks what came later: only that counts which is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// By a preflight, of an engine that is to be upgraded in place.
    BeforeUpgrade,
    /// By the verification of one that is configured.
    Verify {
        /// Password hashes are to be synchronized.
        passwords: bool,
    },
    /// For the count of what it would export.
    Exports,
    /// For what decides what it synchronizes.
    Settings,
}

impl Use {
    /// The calls that this makes, each with what is given at once: product facts 2.10 to 2.12 [P], but for rules, statistics, histories,
    /// features of the tenant and password hashes, which are general knowledge.
    #[must_use]
    pub const fn calls(self) -> &'static [Call] {
        match self {
            Self::BeforeUpgrade => &[
                CONNECTOR, RUN_STATUS, STATISTICS, RULE, RUN_RESULT, SCHEDULER, OVERRIDE,
            ],
            Self::Verify { passwords: false } => &[
                AUTO_UPGRADE,
                AUTO_UPGRADE_DETAIL,
                CONNECTOR,
                CREDENTIAL,
                RUN_RESULT,
                SCHEDULER,
            ],
            Self::Verify { passwords: true } => &[
                PASSWORD_SYNC,
                AUTO_UPGRADE,
                AUTO_UPGRADE_DETAIL,
                CONNECTOR,
                CREDENTIAL,
                RUN_RESULT,
                SCHEDULER,
            ],
            Self::Exports => &[CONNECTOR, RUN_STATUS, RUN_RESULT, SCHEDULER, OVERRIDE],
            Self::Settings => &[
                COMPANY_FEATURE,
                PASSWORD_SYNC,
                CONNECTOR,
                GLOBAL_SETTINGS,
                RULE,
            ],
        }
    }

    /// The scripts that make them.
    #[must_use]
    pub const fn scripts(self) -> &'static [Script] {
        match self {
            Self::BeforeUpgrade => &[
                Script::InspectHost,
                Script::ReadConnectScheduler,
                Script::InspectConnect,
            ],
            Self::Verify { .. } => &[Script::ReadConnectScheduler, Script::InspectConnect],
            Self::Exports => &[Script::ReadConnectScheduler, Script::ReviewConnectExports],
            Self::Settings => &[Script::ReadConnectSettings],
        }
    }
}

/// MO02: what the module lacks of the calls of this use. What cannot be told stops nothing: a script asks for each again.
///
/// # Errors
/// While outcomes are missing.
pub(super) fn probe(wanted: Use, cx: &mut Cx<'_>) -> Flow<Finding> {
    let calls = wanted.calls();
    let mut of: Vec<&str> = calls.iter().map(|(cmdlet, _)| *cmdlet).collect();
    of.dedup();
    let lines = cx.script(Script::ReadModule, json!({ "of": of }), Vec::new(), LIMIT)?;
    let module = lines.and_then(|lines| Module::read(&lines));
    let module = module.map_err(|why| report::explained(&why));
    let version = match place::version(cx)? {
        Ok(Some(version)) => format!("version {version}"),
        Ok(None) | Err(_) => "of which version cannot be told".to_owned(),
    };
    let lacking = |module: &Module| {
        let lacks = module.lacking(calls);
        lacks.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let show = |module: &Module| match lacking(module).as_slice() {
        [] => format!("{version}: takes all {} calls", calls.len()),
        lacks => format!("{version}: {}", lacks.join("; ")),
    };
    let fine = |module: &Module| lacking(module).is_empty();
    Ok(catalogue::MO02.judge(module, show, fine))
}

#[cfg(test)]
mod tests {
    use super::*;

    const USES: [Use; 5] = [
        Use::BeforeUpgrade,
        Use::Verify { passwords: false },
        Use::Verify { passwords: true },
        Use::Exports,
        Use::Settings,
    ];

    /// The script is asked for each cmdlet once: its calls stand beside each other.
    #[test]
    fn calls_of_one_cmdlet_stand_together() {
        for one in USES {
            assert!(one.calls().is_sorted(), "{one:?}");
        }
    }
}
