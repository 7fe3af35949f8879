//! The modelled person: what is read of a task, and which wizard is brought to its end after a few rounds of watching.

use agent_core::product;
use protocol::step::{Product, RestartBy, Step};
use protocol::task::TaskText;
use protocol::{DomainName, TenantId};

use super::{Twin, scripts};
use crate::faults::Fault;

/// Rounds of watching after which the modelled person has completed a wizard.
const PERSON_ROUNDS: u32 = 3;

/// Rounds of those, the last ones, in which Connect's wizard has configured it and stands open on its last page.
const LAST_PAGE_ROUNDS: u32 = 2;

impl Twin {
    /// Has the modelled person go on at no wizard, or go on again.
    pub const fn tell_person(&mut self, stop: bool) {
        self.told_to_stop = stop;
    }

    /// A step begins: where it is a person's work, the modelled person reads what is to be done, and does it that way.
    /// Tells whether that changed the model.
    pub fn asked(&mut self, step: &Step) -> bool {
        let told = |twin: &Self| {
            let chosen = (
                twin.chosen.clone(),
                twin.forests.clone(),
                twin.to_add.clone(),
            );
            (
                twin.asked_staging,
                (
                    twin.asked_removal,
                    twin.asked_restart,
                    twin.asked_release,
                    twin.asked_transition,
                ),
                (twin.plain, twin.engine_left),
                (twin.ticks_staging, twin.leaves_off, twin.location.clone()),
                twin.planned_proxy.clone(),
                chosen,
            )
        };
        let before = told(self);
        // Whoever configured Connect here connected it to what was planned.
        if let Step::VerifyConnect(verify) = step {
            self.forests.clone_from(&verify.forests);
        }
        // What is planned for machine.config its owner has written, but for the faults.
        if let Step::Preflight(preflight) = step
            && preflight.product == Product::Connect
        {
            let planned = preflight.options.proxy.as_ref();
            self.planned_proxy = planned.map(ToString::to_string);
        }
        // Who is to move to cloud sync is a server that can, but for its faults.
        self.plain |= matches!(
            step,
            Step::CheckTransition | Step::GuideTransition(_) | Step::GuideConnectRemoval(_)
        );
        // A database that is to be taken over is that of an engine, but for its faults.
        self.engine_left |= matches!(
            step,
            Step::Preflight(one) if one.database.as_ref().is_some_and(|own| own.existing)
        );
        self.asked_staging = None;
        self.asked_release = matches!(step, Step::GuideConnect(guide) if guide.release.is_some());
        self.asked_transition = matches!(step, Step::GuideTransition(_));
        self.asked_removal = matches!(step, Step::GuideConnectRemoval(_));
        self.asked_restart =
            matches!(step, Step::RestartServer(restart) if restart.by != RestartBy::Agent);
        // A registration by cmdlets becomes the wizard's where a log would record the secret.
        let gmsa = if let Step::GuideProvisioningAgent(guide) = step {
            guide.gmsa.as_ref()
        } else if let Step::RegisterProvisioningAgent(register) = step {
            register.gmsa.as_ref()
        } else {
            None
        };
        if let Some(gmsa) = gmsa {
            self.choose_account(gmsa.as_str());
        }
        self.asked_domains = matches!(step, Step::GuideProvisioningAgent(_) | Step::AddDomains(_));
        let names =
            |all: &mut dyn Iterator<Item = &DomainName>| all.map(ToString::to_string).collect();
        if let Step::GuideProvisioningAgent(guide) = step {
            self.to_add = names(&mut guide.domains.iter());
        } else if let Step::RegisterProvisioningAgent(register) = step {
            self.to_add = names(&mut register.domains.iter().map(|one| &one.name));
        } else if let Step::AddDomains(add) = step {
            self.to_add = names(&mut add.domains.iter().map(|one| &one.name));
        }
        if let Step::GuideConnect(guide) = step {
            self.ticks_staging = guide.work.staging();
            self.leaves_off = clears_start(&guide.text);
            self.location = location(&guide.text);
            self.asked_staging = guide.work.switches().then(|| guide.work.staging());
        }
        before != told(self)
    }

    /// A person registers the agent at the wizard just now.
    pub fn register_by_hand(&mut self, tenant: &TenantId) {
        let chosen = self.chosen.clone();
        self.changes
            .push("wizard of the provisioning agent".to_owned());
        self.name_in(&chosen);
        self.register(tenant, &chosen);
        for domain in std::mem::take(&mut self.to_add) {
            if !self.forgotten.contains(&domain) && !self.domains.contains(&domain) {
                self.domains.push(domain);
            }
        }
    }

    /// A person adds at the wizard of an agent that is registered what they were asked to.
    pub fn add_domains_by_hand(&mut self) {
        let registered = self.read(product::AGENT_KEY, product::AGENT_TENANT);
        if registered.is_none() || !self.asked_domains {
            return;
        }
        for domain in std::mem::take(&mut self.to_add) {
            if !self.forgotten.contains(&domain) && !self.domains.contains(&domain) {
                self.changes
                    .push(format!("wizard of the provisioning agent: add {domain}"));
                self.domains.push(domain);
            }
        }
    }

    /// The person at the wizard forgets a domain.
    pub fn forget_domain(&mut self, domain: &DomainName) {
        self.forgotten.insert(domain.to_string());
    }

    /// Has the modelled person take that many rounds of watching for a wizard.
    pub fn take_rounds(&mut self, rounds: u32) {
        self.person_rounds = Some(rounds.max(1));
    }

    /// The modelled person, who completes whichever wizard waits after a few rounds of watching.
    pub(super) fn person(&mut self) {
        let Some(tenant) = self.profile.person.clone() else {
            return;
        };
        if self.told_to_stop {
            return;
        }
        // Whoever is at its last page closes it before anything else.
        if self.wizard_open > 0 {
            self.wizard_open -= 1;
            return;
        }
        let unregistered = self.services.contains_key(product::AGENT_SERVICE)
            && self.staging.is_none()
            && self
                .read(product::AGENT_KEY, product::AGENT_TENANT)
                .is_none();
        let there = self.files.get(&self.engine()).copied().flatten();
        let connect_waits = self
            .staged
            .is_some_and(|staged| there.is_none_or(|there| there < staged));
        let other_mode = self
            .asked_staging
            .filter(|to| self.staging.is_some_and(|now| now != *to));
        let removal = self.asked_removal && there.is_some();
        let release = self.asked_release && self.cycle_off && !connect_waits;
        let restart =
            self.asked_restart && product::REBOOT_KEYS.iter().any(|key| self.key_exists(key));
        let moves = self.asked_transition && self.staging == Some(false);
        if !unregistered
            && !connect_waits
            && other_mode.is_none()
            && !removal
            && !restart
            && !release
            && !moves
        {
            return;
        }
        if connect_waits
            && !unregistered
            && !removal
            && !restart
            && !moves
            && self.wizard_is_stopped()
        {
            return;
        }
        // The wizard's sign-in page does not come up.
        if unregistered
            && !restart
            && (self.has(Fault::IeEscOn) || self.registration_refused().is_some())
        {
            return;
        }
        let configures = other_mode.is_some() || connect_waits && !release;
        let rounds = self.person_rounds.unwrap_or(PERSON_ROUNDS);
        let open = if configures && !restart && !removal && !moves && !unregistered {
            LAST_PAGE_ROUNDS.min(rounds - 1)
        } else {
            0
        };
        self.waited += 1;
        if self.waited < rounds - open {
            return;
        }
        self.waited = 0;
        self.wizard_open = open;
        if restart {
            self.changes.push("restart Windows by hand".to_owned());
            self.restart();
        } else if removal {
            self.take_off_connect();
        } else if moves {
            self.move_to_cloud_sync(&tenant);
        } else if unregistered {
            self.register_by_hand(&tenant);
        } else if let Some(to) = other_mode {
            self.changes
                .push(format!("wizard of Connect: staging mode {to}"));
            self.staging = Some(to);
        } else if release {
            self.changes.push("release the cycle of Connect".to_owned());
            self.cycle_off = false;
        } else if let Some(version) = self.staged {
            self.changes.push("wizard of Connect".to_owned());
            // What somebody holds already stays held, by whoever sits at the wizard and afterwards.
            self.asked_release &= !self.cycle_off;
            self.cycle_off |= self.has(Fault::CycleHeld) || self.leaves_off;
            let follows = self.has(Fault::FullSyncFollows);
            self.full_looks = if follows { scripts::FULL_RUNS } else { 0 };
            let keeps =
                self.staging.unwrap_or(self.ticks_staging) && !self.has(Fault::UpgradeActivates);
            self.lay_down_connect(version, keeps);
        }
    }
}

/// The page's tick for a custom installation location, before the folder that it names.
const LOCATION: &str = "tick \"Specify a custom installation location\": ";

/// The folder that the page of required components names for the installation.
fn location(text: &TaskText) -> Option<String> {
    let mut lines = text.pages.iter().flat_map(|page| &page.lines);
    lines.find_map(|line| Some(line.strip_prefix(LOCATION)?.to_owned()))
}

/// How the page of an upgrade begins to say so.
const UPGRADE_CLEARS: &str = "clear \"Start the synchronization process\":";

/// The page says that the wizard is not to start the cycle at its end.
fn clears_start(text: &TaskText) -> bool {
    let lines = text.pages.iter().flat_map(|page| &page.lines);
    let mut starts = lines.filter(|line| line.contains("\"Start the synchronization process"));
    starts.any(|line| line.ends_with(": clear") || line.starts_with(UPGRADE_CLEARS))
}
