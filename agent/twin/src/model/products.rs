//! What the products' setups and wizards lay down on the modelled server, and what a removal takes.

use std::time::Duration;

use agent_core::op::{Log, Outcome, Program, ProgramKind, RegistryValue, Service};
use agent_core::product;
use agent_core::step::facts::join;
use protocol::facts::ServiceState;
use protocol::signed::ArtifactRef;
use protocol::{TenantId, Version};

use super::{CONNECT_PROGRAM, INSTANT, Twin, value_id};
use crate::faults::Fault;

/// The first version that keeps edits of its configuration file (1.11 [R]).
const KEEPS_EDITS: Version = Version::new(1, 1, 1365, 0);

/// The version of the agent that the wizard of Connect brings (model).
const WIZARDS_AGENT: Version = Version::new(1, 1, 2505, 0);

impl Twin {
    /// A provisioning agent that is registered stands beside whatever is there.
    pub fn bring_agent(&mut self, version: Version, tenant: &TenantId) {
        self.lay_down_agent_beside(version);
        self.register(tenant, product::DEFAULT_GMSA);
    }

    pub(super) fn lay_down_agent_beside(&mut self, version: Version) {
        let connect: Vec<Program> = self
            .programs
            .iter()
            .filter(|program| program.id == CONNECT_PROGRAM)
            .cloned()
            .collect();
        self.lay_down_agent(version);
        self.programs.extend(connect);
    }

    /// The wizard's task that moves a tenant from Connect to cloud sync (product facts 3).
    pub(super) fn move_to_cloud_sync(&mut self, tenant: &TenantId) {
        self.asked_transition = false;
        self.changes
            .push("wizard of Connect: transition to cloud sync".to_owned());
        self.lay_down_agent_beside(WIZARDS_AGENT);
        if !self.has(Fault::TransitionLeavesNoAgent) {
            let gmsa = product::DEFAULT_GMSA.to_owned();
            self.name_in(&gmsa);
            self.register(tenant, &gmsa);
        }
        if !self.has(Fault::TransitionStopsHalfWay) {
            self.staging = Some(true);
        }
    }

    pub(super) fn lay_down_agent(&mut self, version: Version) {
        self.set(
            product::AGENT_KEY,
            product::AGENT_FOLDER_VALUE,
            RegistryValue::Text(format!("{}\\", product::AGENT_FOLDER)),
        );
        let executable = join(product::AGENT_FOLDER, product::AGENT_EXECUTABLE);
        let before = self.files.get(&executable.to_lowercase()).copied();
        let before = before.flatten().unwrap_or(version);
        for name in [product::AGENT_EXECUTABLE, product::AGENT_MODULE] {
            self.files.insert(
                join(product::AGENT_FOLDER, name).to_lowercase(),
                Some(version),
            );
        }
        let configuration =
            join(product::AGENT_FOLDER, product::AGENT_CONFIGURATION).to_lowercase();
        // Before 1.1.1365.0 an update puts its own file in the place of an edited one (1.11 [R]): whether the older or the newer of
        // the two does is not said, and either may.
        if before.min(version) < KEEPS_EDITS || !self.texts.contains_key(&configuration) {
            let text = if self.has(Fault::ConfigurationBroken) {
                "<configuration>\r\n  <runtime>\r\n"
            } else {
                "<?xml version=\"1.0\" encoding=\"utf-8\"?>\r\n<configuration>\r\n  <runtime>\r\n  </runtime>\r\n</configuration>\r\n"
            };
            self.texts.insert(configuration, text.to_owned());
        }
        let [[package, _], [agent, _], [updater, _]] = product::AGENT_ENTRIES;
        let program = |number: u8, name: &str, kind| Program {
            id: format!("{{00000000-0000-0000-0000-00000000000{number}}}"),
            name: name.to_owned(),
            kind,
        };
        self.programs = vec![
            program(1, package, ProgramKind::Bundle),
            program(2, agent, ProgramKind::Package),
            program(3, updater, ProgramKind::Package),
        ];
        let account = self
            .services
            .get(product::AGENT_SERVICE)
            .map(|service| service.account.clone());
        let agent = Service {
            state: ServiceState::Running,
            account: account
                .unwrap_or_else(|| "NT SERVICE\\AADConnectProvisioningAgent".to_owned()),
            automatic: true,
        };
        self.services
            .insert(product::AGENT_SERVICE.to_owned(), agent);
        let updater = Service {
            state: ServiceState::Running,
            account: "LocalSystem".to_owned(),
            automatic: true,
        };
        self.services
            .insert(product::UPDATER_SERVICE.to_owned(), updater);
    }

    pub(super) fn register(&mut self, tenant: &TenantId, gmsa: &str) {
        self.set(
            product::AGENT_KEY,
            product::AGENT_TENANT,
            RegistryValue::Text(tenant.to_string()),
        );
        let domain = self
            .profile
            .target
            .home_domain()
            .map(|domain| domain.to_string())
            .unwrap_or_default();
        let written = format!("bootstrap of the agent for tenant {tenant} succeeded (model)");
        self.write_trace(&written);
        let netbios = domain.split('.').next().unwrap_or_default().to_uppercase();
        if let Some(service) = self.services.get_mut(product::AGENT_SERVICE) {
            service.account = format!("{netbios}\\{gmsa}");
            // One that is disabled does not start.
            if service.state != ServiceState::Disabled {
                service.state = ServiceState::Running;
            }
        }
    }

    /// The engine's program, where its service says that it lies, as the model knows files.
    pub(super) fn engine(&self) -> String {
        let image = self.read(product::CONNECT_SERVICE_KEY, product::IMAGE_PATH);
        let folder = image.and_then(|image| product::folder_of_image(&image).ok());
        let folder = folder.unwrap_or_else(|| product::CONNECT_BIN.to_owned());
        join(&folder, product::CONNECT_PROGRAM).to_lowercase()
    }

    pub(super) fn lay_down_connect(&mut self, version: Version, staging: bool) {
        // An upgrade puts the new one in the old one's place. What the product makes below a folder that was chosen is in no source
        // (model).
        let image = (product::CONNECT_SERVICE_KEY, product::IMAGE_PATH);
        if self.read(image.0, image.1).is_none() {
            let elsewhere = self.has(Fault::EngineElsewhere).then_some(r"D:\Connect");
            let chosen = self.location.as_deref().or(elsewhere);
            // Windows writes no variable where the package's folder has none.
            let usual = r"C:\Program Files\Microsoft Azure AD Sync";
            let folder = join(chosen.unwrap_or(usual), "Bin");
            let program = join(&folder, product::CONNECT_PROGRAM);
            let command_line = RegistryValue::Text(format!("\"{program}\""));
            self.set(image.0, image.1, command_line);
        }
        self.files.insert(self.engine(), Some(version));
        let wizard = product::CONNECT_WIZARDS[0].to_lowercase();
        if !(self.has(Fault::WizardLeftOld) && self.files.contains_key(&wizard)) {
            self.files.insert(wizard, Some(version));
        }
        // The trace of its wizard, which stays behind a removal (model).
        let trace = join(product::CONNECT_DATA, "trace-model.log").to_lowercase();
        self.files.insert(trace, None);
        let engine = Service {
            state: ServiceState::Running,
            account: "NT SERVICE\\ADSync".to_owned(),
            automatic: true,
        };
        self.services
            .insert(product::CONNECT_SERVICE.to_owned(), engine);
        self.staging = Some(staging);
        if self
            .programs
            .iter()
            .all(|program| program.id != CONNECT_PROGRAM)
        {
            self.programs.push(Program {
                id: CONNECT_PROGRAM.to_owned(),
                name: "Microsoft Entra Connect Sync".to_owned(),
                kind: ProgramKind::Package,
            });
        }
        if self.has(Fault::PassThroughAgent) {
            let agent = Service {
                state: ServiceState::Running,
                account: "NT SERVICE\\AzureADConnectAuthenticationAgent".to_owned(),
                automatic: true,
            };
            self.services
                .insert(product::PASS_THROUGH_SERVICE.to_owned(), agent);
        }
    }

    /// The wizard's removal: all components go (2.16).
    pub(super) fn take_off_connect(&mut self) {
        self.changes.push("wizard of Connect: remove".to_owned());
        if !self.has(Fault::EngineElsewhere) {
            self.files.remove(&self.engine());
        }
        self.registry
            .remove(&value_id(product::CONNECT_SERVICE_KEY, product::IMAGE_PATH));
        self.files
            .remove(&product::CONNECT_WIZARDS[0].to_lowercase());
        if !self.has(Fault::ConnectListed) {
            self.programs
                .retain(|program| program.id != CONNECT_PROGRAM);
        }
        self.services.remove(product::CONNECT_SERVICE);
        self.staging = None;
        self.staged = None;
    }

    pub(super) fn install(&mut self, artifact: &ArtifactRef) -> (Outcome, Duration) {
        let log = Log::ProvisioningAgentSetup;
        if self.has(Fault::InstallerBusy) {
            return (Outcome::Exited { code: 1618 }, Duration::from_secs(5));
        }
        self.changes.push(format!("install {}", artifact.version));
        let vault = self.services.get(product::VAULT_SERVICE);
        let unsupported = [Fault::ServerCore, Fault::ClientWindows, Fault::OldWindows];
        let unsupported = unsupported.into_iter().any(|fault| self.has(fault));
        let refused = if unsupported || self.has(Fault::SetupRefusesSystem) {
            Some(
                "MSI (s) (A0:1C) [13:32:36:114]: Product: Microsoft Entra Provisioning Agent -- Installation requires Windows Server 2016 or higher",
            )
        } else if self.has(Fault::OldDotNet) {
            Some(
                "MSI (s) (A0:1C) [13:32:36:114]: Product: Microsoft Entra Provisioning Agent -- This application requires .NET Framework 4.7.1 or later",
            )
        } else if vault.is_some_and(|vault| vault.state == ServiceState::Disabled) {
            Some("Error: the Credential Manager service (VaultSvc) is disabled")
        } else if self.has(Fault::LogonRightMissing) {
            Some(
                "Error 1920. Service 'Microsoft Entra Provisioning Agent' failed to start. Verify that you have sufficient privileges to start the system services.",
            )
        } else {
            None
        };
        if let Some(line) = refused {
            // The package's log, then Burn's, as the agent reads them.
            let condition = line.contains("requires");
            let ended = "Action ended 13:32:36: LaunchConditions. Return value 3.";
            let lines = [
                Some(line),
                condition.then_some(ended),
                Some("Burn v3.14.0.1316, Windows v10.0 (model)"),
                Some("e000: Error 0x80070643: Failed to install MSI package."),
                Some("Exit code: 0x80070643"),
            ];
            let lines = lines.into_iter().flatten().map(ToOwned::to_owned);
            self.logs.insert(log, lines.collect());
            return (Outcome::Exited { code: 1603 }, Duration::from_secs(95));
        }
        self.lay_down_agent(artifact.version);
        if self.has(Fault::SetupWantsRestart) {
            self.profile.faults.insert(Fault::RebootPending);
            let line = "Exit code: 0xbc2, restarting: No".to_owned();
            self.logs.insert(log, vec![line]);
            return (Outcome::Exited { code: 3010 }, Duration::from_secs(140));
        }
        self.logs
            .insert(log, vec!["Exit code: 0x0, restarting: No".to_owned()]);
        (Outcome::Exited { code: 0 }, Duration::from_secs(140))
    }

    /// Takes a program off; a bundle takes along what it brought (facts 1.12).
    pub(super) fn uninstall(&mut self, program: &Program) -> (Outcome, Duration) {
        if self.has(Fault::InstallerBusy) {
            return (Outcome::Exited { code: 1618 }, Duration::from_secs(5));
        }
        if program.kind == ProgramKind::Bundle && self.has(Fault::BundleCacheMissing) {
            let why = "its setup is not in Windows' package cache any more (model)";
            return (Outcome::Failed(why.to_owned()), INSTANT);
        }
        self.changes.push(format!("uninstall {}", program.name));
        if self.has(Fault::RemovalFails) {
            let lines = [
                "Error 1921: the service could not be stopped (model)",
                "Exit code: 0x643",
            ];
            self.logs.insert(
                Log::ProvisioningAgentRemoval,
                lines.map(ToOwned::to_owned).to_vec(),
            );
            return (Outcome::Exited { code: 1603 }, Duration::from_secs(60));
        }
        let whole = program.kind == ProgramKind::Bundle && !self.has(Fault::BundleLeavesPackages);
        let going: Vec<Program> = self
            .programs
            .iter()
            .filter(|one| whole || one.id == program.id)
            .cloned()
            .collect();
        self.programs.retain(|one| !going.contains(one));
        for program in going.iter().filter(|one| one.kind == ProgramKind::Package) {
            if product::is_updater(&program.name) {
                self.services.remove(product::UPDATER_SERVICE);
                continue;
            }
            if !self.has(Fault::AgentServiceStays) {
                self.services.remove(product::AGENT_SERVICE);
            }
            let below = format!("{}\\", product::AGENT_FOLDER).to_lowercase();
            self.files.retain(|file, _| !file.starts_with(&below));
            self.texts.retain(|file, _| !file.starts_with(&below));
            // The tenant was not written by the setup, and stays.
            self.registry
                .remove(&value_id(product::AGENT_KEY, product::AGENT_FOLDER_VALUE));
        }
        let code = if self.has(Fault::SetupWantsRestart) {
            self.profile.faults.insert(Fault::RebootPending);
            3010
        } else {
            0
        };
        (Outcome::Exited { code }, Duration::from_secs(45))
    }
}
