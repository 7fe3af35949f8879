//! The kinds of step in one table: what each is called in a manifest and by people, and how long it may take.

use std::time::Duration;

use super::{Preflight, Product, Step, VerifyConnect};
use crate::limits;

/// How long a step may wait that a person does, or that needs leave, which may have to wait for a site's window: as long as the bundle's
/// own end, in minutes.
const WAITS: u64 = 14 * 24 * 60;

/// Makes of each row `Variant: kind, title, minutes` the answers of [`Step`]. A title or a limit that depends on the step's arguments
/// names them: `as arguments =>`.
macro_rules! kinds {
    ($($variant:ident: $kind:literal, $(as $of:ident =>)? $title:expr, $(as $by:ident =>)? $minutes:expr;)+) => {
        impl Step {
            /// Every kind that this version knows, as the manifest spells it.
            pub const KINDS: [&'static str; [$($kind),+].len()] = [$($kind),+];

            /// The kind, as the manifest spells it.
            #[must_use]
            pub const fn kind(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $kind,)+
                }
            }

            /// What the step does, for people.
            #[must_use]
            pub const fn title(&self) -> &'static str {
                match self {
                    $(kinds!(@row $variant $($of)?) => $title,)+
                }
            }

            /// How long the step may take before it counts as failed. Steps that wait for a person have the bundle's own end.
            #[must_use]
            pub const fn time_limit(&self) -> Duration {
                let minutes = match self {
                    $(kinds!(@row $variant $($by)?) => $minutes,)+
                };
                Duration::from_secs(minutes * 60)
            }
        }
    };
    (@row $variant:ident) => { Step::$variant { .. } };
    (@row $variant:ident $arguments:ident) => { Step::$variant($arguments) };
}

kinds! {
    ReportFacts: "report-facts", "report facts", 5;
    Preflight: "preflight", "preflight", as preflight => preflight.minutes();
    InstallProvisioningAgent: "install-provisioning-agent", "install provisioning agent", 60;
    RegisterProvisioningAgent: "register-provisioning-agent", "register provisioning agent", WAITS;
    GuideProvisioningAgent: "guide-provisioning-agent", "wizard of the provisioning agent", WAITS;
    VerifyProvisioningAgent: "verify-provisioning-agent", "verify provisioning agent", 20;
    StageConnect: "stage-connect", "stage Connect installer", 60;
    GuideConnect: "guide-connect", as guide => if guide.work.switches() {
        "switch Connect's mode by wizard"
    } else {
        "install Connect by wizard"
    }, WAITS;
    VerifyConnect: "verify-connect", "verify Connect", as verify => verify.minutes();
    RemoveProvisioningAgent: "remove-provisioning-agent", "remove provisioning agent", 60;
    VerifyProvisioningAgentRemoved: "verify-provisioning-agent-removed", "verify that the provisioning agent is gone", 15;
    ReviewConnectExports: "review-connect-exports", "count Connect's pending exports", 60;
    FenceConnect: "fence-connect", "stop and disable Connect", 15;
    SetProvisioningAgentOptions: "set-provisioning-agent-options", "set the provisioning agent's options", 15;
    AddDomains: "add-domains", "add domains to the provisioning agent", WAITS;
    GuideConnectRemoval: "guide-connect-removal", "remove Connect by wizard", WAITS;
    VerifyConnectRemoved: "verify-connect-removed", "verify that Connect is gone", 15;
    DiscoverServers: "discover-servers", "ask the directory for servers", 15;
    CollectSupport: "collect-support", "collect the provisioning agent's logs", 60;
    RestartServer: "restart-server", "restart Windows where it waits for it", WAITS;
    UpgradeAgent: "upgrade-agent", "upgrade Entrain's agent", 60;
    ReadConnectSettings: "read-connect-settings", "read Connect's settings", 15;
    StartProvisioningAgent: "start-provisioning-agent", "start the provisioning agent", 15;
    CheckTransition: "check-transition", "ask whether Connect may move to cloud sync", 60;
    GuideTransition: "guide-transition", "move from Connect to cloud sync by wizard", WAITS;
    UndoFixes: "undo-fixes", "put back what was set as a prerequisite", 15;
    AwaitFullSync: "await-full-sync", "wait for Connect's full synchronization", WAITS;
}

impl Preflight {
    /// Three minutes are the most that a domain is counted for. Of a forest of Connect those are asked too that no bundle names.
    const fn minutes(&self) -> u64 {
        let counted = match self.product {
            Product::Connect => self.domains.len() + limits::MAX_FOREST_DOMAINS,
            Product::ProvisioningAgent if self.census => self.domains.len(),
            Product::ProvisioningAgent => 0,
        };
        15 + 3 * counted as u64
    }
}

impl VerifyConnect {
    /// Behind a soak it waits for the cycles of a scheduler that is slower than the half hour that a plan reckons with.
    const fn minutes(&self) -> u64 {
        match self.soaked_seconds {
            Some(soaked) => {
                15 + soaked as u64 / limits::CYCLE.as_secs() * limits::SLOWEST_CYCLE.as_secs() / 60
            }
            None => 15,
        }
    }
}
