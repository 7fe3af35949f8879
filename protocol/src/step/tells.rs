//! What a step tells of itself: whose it is, what it touches, who takes part, and what of it stands under an override.

use super::{
    Preflight, Product, RestartBy, RestartServer, ReviewConnectExports, Served, ServedDomain, Step,
};
use crate::digest::Digest;
use crate::id::TenantId;
use crate::overridden::Overridden;
use crate::task::TaskText;
use crate::time::Timestamp;

impl Step {
    /// The tenant that it configures or looks for, where it names one.
    #[must_use]
    pub const fn tenant(&self) -> Option<&TenantId> {
        match self {
            Self::Preflight(preflight) => Some(&preflight.tenant),
            Self::RegisterProvisioningAgent(register) => Some(&register.tenant),
            Self::AddDomains(add) => Some(&add.tenant),
            Self::GuideProvisioningAgent(guide) => Some(&guide.tenant),
            Self::VerifyProvisioningAgent(verify) => Some(&verify.tenant),
            Self::CollectSupport(support) => Some(&support.tenant),
            Self::StartProvisioningAgent(start) => Some(&start.tenant),
            Self::RemoveProvisioningAgent(remove) => Some(&remove.tenant),
            Self::GuideTransition(guide) => Some(&guide.tenant),
            Self::ReportFacts
            | Self::DiscoverServers(_)
            | Self::InstallProvisioningAgent(_)
            | Self::SetProvisioningAgentOptions(_)
            | Self::StageConnect(_)
            | Self::GuideConnect(_)
            | Self::VerifyConnect(_)
            | Self::ReviewConnectExports(_)
            | Self::ReadConnectSettings
            | Self::FenceConnect
            | Self::GuideConnectRemoval(_)
            | Self::VerifyConnectRemoved
            | Self::RestartServer(_)
            | Self::UpgradeAgent(_)
            | Self::CheckTransition
            | Self::UndoFixes(_)
            | Self::AwaitFullSync(_)
            | Self::VerifyProvisioningAgentRemoved(_) => None,
        }
    }

    /// The work of its own that it may show to a person: what is done to the product by hand. Other work that a step shows is to look at
    /// something before that, or behind it.
    #[must_use]
    pub const fn guided_work(&self) -> Option<&TaskText> {
        match self {
            Self::GuideProvisioningAgent(guide) => Some(&guide.text),
            Self::AddDomains(add) => Some(&add.wizard),
            Self::RegisterProvisioningAgent(register) => Some(&register.wizard),
            Self::GuideConnect(guide) => Some(&guide.text),
            Self::GuideConnectRemoval(guide) => Some(&guide.text),
            Self::GuideTransition(guide) => Some(&guide.text),
            Self::RestartServer(restart) => match &restart.by {
                RestartBy::Person(text) => Some(text),
                RestartBy::Agent => None,
            },
            Self::ReportFacts
            | Self::DiscoverServers(_)
            | Self::Preflight(_)
            | Self::InstallProvisioningAgent(_)
            | Self::SetProvisioningAgentOptions(_)
            | Self::VerifyProvisioningAgent(_)
            | Self::StageConnect(_)
            | Self::VerifyConnect(_)
            | Self::ReviewConnectExports(_)
            | Self::ReadConnectSettings
            | Self::FenceConnect
            | Self::VerifyConnectRemoved
            | Self::RemoveProvisioningAgent(_)
            | Self::CollectSupport(_)
            | Self::UpgradeAgent(_)
            | Self::StartProvisioningAgent(_)
            | Self::CheckTransition
            | Self::UndoFixes(_)
            | Self::AwaitFullSync(_)
            | Self::VerifyProvisioningAgentRemoved(_) => None,
        }
    }

    /// The domains that the step gives an agent to serve, beside whatever it has.
    #[must_use]
    pub fn serves(&self) -> Option<Served> {
        let names = |domains: &[ServedDomain]| domains.iter().map(|one| one.name.clone()).collect();
        match self {
            Self::RegisterProvisioningAgent(register) => {
                Some(Served::Registers(names(&register.domains)))
            }
            Self::GuideProvisioningAgent(guide) => Some(Served::Registers(guide.domains.clone())),
            Self::AddDomains(add) => Some(Served::Adds(names(&add.domains))),
            Self::ReportFacts
            | Self::DiscoverServers(_)
            | Self::Preflight(_)
            | Self::InstallProvisioningAgent(_)
            | Self::SetProvisioningAgentOptions(_)
            | Self::VerifyProvisioningAgent(_)
            | Self::StageConnect(_)
            | Self::GuideConnect(_)
            | Self::VerifyConnect(_)
            | Self::ReviewConnectExports(_)
            | Self::ReadConnectSettings
            | Self::FenceConnect
            | Self::GuideConnectRemoval(_)
            | Self::VerifyConnectRemoved
            | Self::RemoveProvisioningAgent(_)
            | Self::CollectSupport(_)
            | Self::RestartServer(_)
            | Self::UpgradeAgent(_)
            | Self::StartProvisioningAgent(_)
            | Self::CheckTransition
            | Self::GuideTransition(_)
            | Self::UndoFixes(_)
            | Self::AwaitFullSync(_)
            | Self::VerifyProvisioningAgentRemoved(_) => None,
        }
    }

    /// How many domains its longest list of them has, where it has one: units of a domain count like domains, and so do accounts that a
    /// directory is asked for.
    #[must_use]
    pub fn widest(&self) -> usize {
        match self {
            Self::Preflight(preflight) => {
                let both = preflight.both_tools.iter();
                let units = both.map(|both| both.units.len().max(1));
                preflight.domains.len().max(units.sum())
            }
            Self::RegisterProvisioningAgent(register) => register.domains.len(),
            Self::AddDomains(add) => add.domains.len(),
            Self::DiscoverServers(discover) => discover.domains.len().max(discover.accounts.len()),
            Self::ReportFacts
            | Self::InstallProvisioningAgent(_)
            | Self::GuideProvisioningAgent(_)
            | Self::VerifyProvisioningAgent(_)
            | Self::StageConnect(_)
            | Self::GuideConnect(_)
            | Self::VerifyConnect(_)
            | Self::ReviewConnectExports(_)
            | Self::ReadConnectSettings
            | Self::FenceConnect
            | Self::SetProvisioningAgentOptions(_)
            | Self::StartProvisioningAgent(_)
            | Self::GuideConnectRemoval(_)
            | Self::VerifyConnectRemoved
            | Self::RemoveProvisioningAgent(_)
            | Self::CollectSupport(_)
            | Self::RestartServer(_)
            | Self::UpgradeAgent(_)
            | Self::CheckTransition
            | Self::GuideTransition(_)
            | Self::UndoFixes(_)
            | Self::AwaitFullSync(_)
            | Self::VerifyProvisioningAgentRemoved(_) => 0,
        }
    }

    /// The installer that it runs or puts in place, by its SHA-256, and of which product that is.
    #[must_use]
    pub const fn installs(&self) -> Option<(&Digest, Product)> {
        match self {
            Self::InstallProvisioningAgent(install) => {
                Some((&install.artifact, Product::ProvisioningAgent))
            }
            Self::StageConnect(stage) => Some((&stage.artifact, Product::Connect)),
            Self::ReportFacts
            | Self::DiscoverServers(_)
            | Self::Preflight(_)
            | Self::RegisterProvisioningAgent(_)
            | Self::AddDomains(_)
            | Self::GuideProvisioningAgent(_)
            | Self::VerifyProvisioningAgent(_)
            | Self::GuideConnect(_)
            | Self::VerifyConnect(_)
            | Self::ReviewConnectExports(_)
            | Self::ReadConnectSettings
            | Self::FenceConnect
            | Self::SetProvisioningAgentOptions(_)
            | Self::StartProvisioningAgent(_)
            | Self::GuideConnectRemoval(_)
            | Self::VerifyConnectRemoved
            | Self::RemoveProvisioningAgent(_)
            | Self::CollectSupport(_)
            | Self::RestartServer(_)
            | Self::UpgradeAgent(_)
            | Self::CheckTransition
            | Self::GuideTransition(_)
            | Self::UndoFixes(_)
            | Self::AwaitFullSync(_)
            | Self::VerifyProvisioningAgentRemoved(_) => None,
        }
    }

    /// What of it operators have set aside.
    #[must_use]
    pub const fn overridden(&self) -> Option<&Overridden> {
        let (Self::Preflight(Preflight { overridden, .. })
        | Self::ReviewConnectExports(ReviewConnectExports { overridden, .. })) = self
        else {
            return None;
        };
        overridden.as_ref()
    }

    /// Where that stands, in a step that judges something which operators may set aside.
    #[must_use]
    pub const fn overridden_mut(&mut self) -> Option<&mut Option<Overridden>> {
        let (Self::Preflight(Preflight { overridden, .. })
        | Self::ReviewConnectExports(ReviewConnectExports { overridden, .. })) = self
        else {
            return None;
        };
        Some(overridden)
    }

    /// The same step as it is once its override is over; `None` where it has none, or one that still holds.
    #[must_use]
    pub fn without_lapsed_override(&self, now: Timestamp) -> Option<Self> {
        self.overridden().filter(|over| now >= over.until)?;
        let mut step = self.clone();
        *step.overridden_mut()? = None;
        Some(step)
    }

    /// Tells whether the step only reads.
    #[must_use]
    pub const fn is_read_only(&self) -> bool {
        match self {
            Self::ReportFacts
            | Self::DiscoverServers(_)
            | Self::VerifyProvisioningAgent(_)
            | Self::VerifyConnect(_)
            | Self::ReviewConnectExports(_)
            | Self::ReadConnectSettings
            | Self::VerifyConnectRemoved
            | Self::CollectSupport(_)
            | Self::CheckTransition
            | Self::AwaitFullSync(_)
            | Self::VerifyProvisioningAgentRemoved(_) => true,
            Self::Preflight(preflight) => preflight.may_fix.is_empty(),
            Self::InstallProvisioningAgent(_)
            | Self::SetProvisioningAgentOptions(_)
            | Self::RegisterProvisioningAgent(_)
            | Self::AddDomains(_)
            | Self::GuideProvisioningAgent(_)
            | Self::StageConnect(_)
            | Self::GuideConnect(_)
            | Self::FenceConnect
            | Self::GuideConnectRemoval(_)
            | Self::RestartServer(_)
            | Self::UpgradeAgent(_)
            | Self::StartProvisioningAgent(_)
            | Self::GuideTransition(_)
            | Self::UndoFixes(_)
            | Self::RemoveProvisioningAgent(_) => false,
        }
    }

    /// Tells whether a person takes part: at the server, or by giving a secret.
    #[must_use]
    pub const fn needs_person(&self) -> bool {
        matches!(
            self,
            Self::RegisterProvisioningAgent(_)
                | Self::AddDomains(_)
                | Self::GuideProvisioningAgent(_)
                | Self::GuideConnect(_)
                | Self::GuideConnectRemoval(_)
                | Self::GuideTransition(_)
                | Self::AwaitFullSync(_)
                | Self::RestartServer(RestartServer {
                    by: RestartBy::Person(_)
                })
        )
    }
}
