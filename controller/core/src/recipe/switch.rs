//! The change of the active Connect server: what the staging server would export is counted, and the settings of both are read;
//! then the active one goes to staging mode, then the other becomes active. A person does both at the wizard: the mode cannot be set in any other
//! supported way (product facts 2.11).

use protocol::signed::Phase;
use protocol::step::{ConnectWork, GuideConnect, ReviewConnectExports, Step, VerifyConnect};
use protocol::task::{Page, TaskText};
use protocol::{DomainName, TargetId, Version};

use crate::recipe::PhaseWork;
use crate::topology::{ConnectEntry, Tenant};

/// What is so before a server becomes active, in a sentence each.
#[derive(Debug)]
pub(crate) struct Before {
    /// Why none other is active by then.
    pub(crate) none: String,
    /// What its settings were compared with.
    pub(crate) compared: String,
    /// Another one goes to staging mode first: it is read once more behind that.
    pub(crate) after_another: bool,
}

/// What the server that becomes active does.
#[must_use]
pub(crate) fn becomes_active(
    entry: &ConnectEntry,
    tenant: &Tenant,
    to: &TargetId,
    before: &Before,
    at_least: Version,
) -> Vec<PhaseWork> {
    let review = Step::ReviewConnectExports(ReviewConnectExports {
        limits: entry.pending_exports.limits,
        max_age_minutes: entry.pending_exports.max_age_minutes,
        overridden: None,
    });
    let text = pages(
        tenant,
        to,
        ConnectWork::SwitchToActive,
        vec![&before.none, &before.compared],
    );
    let verified = |staging| {
        let passwords = entry.plans_password_sync();
        verify(at_least, staging, entry.forest_names(), passwords)
    };
    let mut phases = vec![phase(
        Phase::Prepare,
        vec![verified(true), review.clone(), Step::ReadConnectSettings],
    )];
    if before.after_another {
        phases.push(phase(Phase::Inspect, vec![Step::ReadConnectSettings]));
    }
    phases.extend([
        phase(
            Phase::Register,
            vec![
                // It may have been long ago, and a cycle of the other server may have changed what is pending.
                review,
                guide(ConnectWork::SwitchToActive, text),
                Step::ReportFacts,
            ],
        ),
        phase(Phase::Prove, vec![verified(false)]),
    ]);
    phases
}

/// What the server that is active before does.
#[must_use]
pub(crate) fn becomes_staging(tenant: &Tenant, from: &TargetId, to: &TargetId) -> Vec<PhaseWork> {
    let after = format!(
        "{to} is made active only when this server is seen in staging mode; until then nothing is exported to the tenant"
    );
    let text = pages(tenant, from, ConnectWork::SwitchToStaging, vec![&after]);
    vec![
        phase(Phase::Prepare, vec![Step::ReadConnectSettings]),
        phase(
            Phase::Register,
            vec![
                // A window may have been waited for since, and the other one is compared with this before it becomes active.
                Step::ReadConnectSettings,
                guide(ConnectWork::SwitchToStaging, text),
                Step::ReportFacts,
            ],
        ),
        // Whatever its version: it may be the one that is to be upgraded next.
        phase(
            Phase::Prove,
            vec![verify(Version::new(0, 0, 0, 0), true, Vec::new(), false)],
        ),
    ]
}

/// What the server that was active and is off gets first when it is back.
#[must_use]
pub(crate) fn is_fenced() -> PhaseWork {
    phase(Phase::Prepare, vec![Step::FenceConnect, Step::ReportFacts])
}

/// What every other server of the tenant is held to be meanwhile.
#[must_use]
pub(crate) fn stays_staging() -> PhaseWork {
    phase(
        Phase::Inspect,
        vec![
            verify(Version::new(0, 0, 0, 0), true, Vec::new(), false),
            Step::ReportFacts,
        ],
    )
}

/// What a person brings to either wizard.
#[must_use]
pub(crate) fn bring(tenant: &Tenant) -> Vec<String> {
    vec![
        format!("a Hybrid Identity Administrator of tenant {}", tenant.id),
        "a local administrator of both servers who is in ADSyncAdmins".to_owned(),
    ]
}

fn phase(phase: Phase, steps: Vec<Step>) -> PhaseWork {
    PhaseWork {
        phase,
        steps,
        artifacts: Vec::new(),
    }
}

const fn verify(
    at_least: Version,
    staging: bool,
    forests: Vec<DomainName>,
    password_sync: bool,
) -> Step {
    Step::VerifyConnect(VerifyConnect {
        at_least,
        staging: Some(staging),
        forests,
        password_sync,
        soaked_seconds: None,
    })
}

const fn guide(work: ConnectWork, text: TaskText) -> Step {
    Step::GuideConnect(GuideConnect {
        work,
        at_least: Version::new(0, 0, 0, 0),
        text,
        release: None,
    })
}

/// The wizard's task, page by page (product facts 2.11 [P]).
fn pages(tenant: &Tenant, server: &TargetId, work: ConnectWork, mut before: Vec<&str>) -> TaskText {
    let page = |title: &str, lines: &[&str]| Page {
        title: title.to_owned(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    let (title, tick, mode) = if work.staging() {
        (
            format!("put the active Connect server {server} into staging mode"),
            "tick \"Enable staging mode\"; Next",
            "staging",
        )
    } else {
        (
            format!("take the Connect server {server} out of staging mode: it becomes active"),
            "clear \"Enable staging mode\"; Next",
            "active",
        )
    };
    let sign_in = format!(
        "sign in as a Hybrid Identity Administrator of tenant {}; Next",
        tenant.id
    );
    before.push("close Synchronization Service Manager");
    TaskText {
        title,
        why: "the vendor supports a change of the mode through its wizard alone".to_owned(),
        bring: bring(tenant),
        pages: vec![
            page("Before", &before),
            page("Welcome", &["start Microsoft Entra Connect; Configure"]),
            page("Additional tasks", &["Configure staging mode; Next"]),
            page("Connect to Microsoft Entra ID", &[&sign_in]),
            page("Configure staging mode", &[tick]),
            page("Ready to configure", &["Configure"]),
            page(
                "Configuration complete",
                &["Exit: an open wizard keeps the scheduler suspended"],
            ),
        ],
        seen_by: format!(
            "the scheduler, which must say {mode}, and be suspended no more: the wizard is closed"
        ),
    }
}
