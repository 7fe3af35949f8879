//! The model itself: registry, services, files, logs, and what the products' setup, cmdlets and wizard do to them.

mod logs;
mod module;
mod person;
mod products;
mod scripts;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent_core::op::{
    GivenUp, Launcher, Log, Names, Op, Outcome, Program, ProgramKind, RegistryValue, Service, Shown,
};
use agent_core::step::facts::join;
use agent_core::step::preflight::PROXY_SIGN_IN;
use agent_core::{configuration, product};
use protocol::facts::{Owed, ServiceState};
use protocol::secret::{Secret, SecretKind};
use protocol::{Digest, DomainName, Generation, ServiceOptions, Timestamp, Version};
use serde::{Deserialize, Serialize};

use crate::directory::{self, Shared, View};
use crate::faults::Fault;
use crate::profile::{Installed, Profile};

/// One modelled server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Twin {
    profile: Profile,
    registry: BTreeMap<String, RegistryValue>,
    services: BTreeMap<String, Service>,
    files: BTreeMap<String, Option<Version>>,
    logs: BTreeMap<Log, Vec<String>>,
    /// Text files, by their path in lower case.
    #[serde(default)]
    texts: BTreeMap<String, String>,
    /// Windows' list of programs, as far as it is modelled.
    programs: Vec<Program>,
    staged: Option<Version>,
    waited: u32,
    staging: Option<bool>,
    /// Rounds of watching after which the modelled person has completed a wizard.
    #[serde(default)]
    person_rounds: Option<u32>,
    /// Rounds of watching in which Connect's wizard is still open: that long the scheduler is suspended.
    #[serde(default)]
    wizard_open: u32,
    /// The modelled person ticks staging mode when Connect is installed.
    #[serde(default)]
    ticks_staging: bool,
    /// The modelled person was asked to set staging mode to that.
    #[serde(default)]
    asked_staging: Option<bool>,
    /// The cycle of Connect is off.
    #[serde(default)]
    cycle_off: bool,
    /// The pages of the wizard say that it is not to start the cycle.
    #[serde(default)]
    leaves_off: bool,
    /// The modelled person was asked to upgrade Connect and to release its cycle where it is held afterwards.
    #[serde(default)]
    asked_release: bool,
    /// The modelled person was asked to take Connect off.
    #[serde(default)]
    asked_removal: bool,
    /// Where the modelled person was asked to have Connect's engine installed; by default where nobody said.
    #[serde(default)]
    location: Option<String>,
    /// The modelled person was asked to restart Windows.
    #[serde(default)]
    asked_restart: bool,
    /// The modelled person was asked to move to cloud sync, and did not yet.
    #[serde(default)]
    asked_transition: bool,
    /// Whoever configured Connect wrote no rule of their own, and the engine shows all that a move to cloud sync asks.
    #[serde(default)]
    plain: bool,
    /// The SQL Server that is named has the database of an earlier engine.
    #[serde(default)]
    engine_left: bool,
    /// Version of Entrain's agent on it.
    #[serde(default)]
    agent: Option<Version>,
    /// The version that its launcher gave up.
    #[serde(default)]
    given_up: Option<GivenUp>,
    /// Rounds in which a cycle still runs when pending exports are counted.
    #[serde(default)]
    cycles: u32,
    /// The modelled person at a wizard was told not to go on.
    #[serde(default)]
    told_to_stop: bool,
    /// Looks in which a full synchronization behind the wizard's work is still due or runs.
    #[serde(default)]
    full_looks: u32,
    /// The proxy that a plan wants Connect's engine to go through.
    #[serde(default)]
    planned_proxy: Option<String>,
    /// The account that the modelled person chooses at the wizard.
    chosen: String,
    /// Domains that the person is to add at the wizard, and those that they forget.
    #[serde(default)]
    to_add: Vec<String>,
    /// The modelled person was asked to add them.
    #[serde(default)]
    asked_domains: bool,
    #[serde(default)]
    forgotten: BTreeSet<String>,
    /// Controllers that the module was given for a domain.
    #[serde(default)]
    preferred: BTreeMap<String, Vec<String>>,
    /// Domains that the module was given.
    domains: Vec<String>,
    /// Rights that the agent's account was given, as they stand among the changes.
    #[serde(default)]
    granted: BTreeSet<String>,
    /// Forests that Connect was connected to, beside the server's own domain.
    #[serde(default)]
    forests: Vec<DomainName>,
    /// How the server sees its domain.
    view: View,
    /// The server's clock, where whoever carries the model on tells it.
    #[serde(skip)]
    clock: Option<Timestamp>,
    /// When its product logged an error, by that clock.
    #[serde(skip)]
    errors: Vec<Timestamp>,
    /// What Windows has recorded of its provisioning agent, and when by that clock.
    #[serde(skip)]
    recorded: Vec<(Timestamp, String)>,
    /// Operations that changed the server, in order: a test asks it whether a step was carried out twice.
    pub changes: Vec<String>,
}

fn value_id(key: &str, value: &str) -> String {
    format!("{key}\\\\{value}").to_lowercase()
}

/// Product code of the modelled Connect.
const CONNECT_PROGRAM: &str = "{00000000-0000-0000-0000-00000000000c}";

/// Product code of the modelled LocalDB that an upgrade left.
const OLD_LOCAL_DB: &str = "{00000000-0000-0000-0000-00000000000d}";

/// What the agent says of a domain controller that is too slow (1.13 [P]).
const SLOW: &str = "The operation was aborted because the client side timeout limit was exceeded.";

/// What it says of registration scripts that are refused. The facts describe it and quote no words.
const SCRIPTS_REFUSED: &str =
    "registration: security error; the product's scripts were refused (model)";

const INSTANT: Duration = Duration::ZERO;

/// Windows lets nobody do that.
fn refused() -> (Outcome, Duration) {
    (Outcome::Failed("access is denied (5)".to_owned()), INSTANT)
}

impl Twin {
    /// A server as the profile says, in order where no fault says otherwise.
    #[must_use]
    pub fn new(profile: Profile) -> Self {
        let mut twin = Self {
            registry: BTreeMap::new(),
            services: BTreeMap::new(),
            files: BTreeMap::new(),
            logs: BTreeMap::new(),
            texts: BTreeMap::new(),
            programs: Vec::new(),
            staged: None,
            waited: 0,
            staging: None,
            person_rounds: None,
            wizard_open: 0,
            ticks_staging: false,
            asked_staging: None,
            cycle_off: false,
            leaves_off: false,
            asked_release: false,
            asked_removal: false,
            location: None,
            asked_restart: false,
            asked_transition: false,
            plain: false,
            engine_left: false,
            agent: None,
            given_up: None,
            forests: Vec::new(),
            cycles: 0,
            full_looks: 0,
            told_to_stop: false,
            planned_proxy: None,
            chosen: product::DEFAULT_GMSA.to_owned(),
            to_add: Vec::new(),
            asked_domains: false,
            forgotten: BTreeSet::new(),
            preferred: BTreeMap::new(),
            domains: Vec::new(),
            granted: BTreeSet::new(),
            view: View::default(),
            clock: None,
            errors: Vec::new(),
            recorded: Vec::new(),
            changes: Vec::new(),
            profile,
        };
        twin.windows();
        match twin.profile.installed.clone() {
            Installed::Nothing => {}
            Installed::ProvisioningAgent { version, tenant } => {
                twin.lay_down_agent(version);
                twin.register(&tenant, product::DEFAULT_GMSA);
            }
            Installed::Unregistered { version } => twin.lay_down_agent(version),
            Installed::Connect { version, staging } => twin.lay_down_connect(version, staging),
        }
        twin
    }

    /// The name of the server.
    #[must_use]
    pub const fn profile(&self) -> &Profile {
        &self.profile
    }

    /// Replaces what is wrong with the server.
    pub fn set_faults(&mut self, faults: BTreeSet<Fault>) {
        self.profile.faults = faults;
    }

    /// What the servers of its domain share.
    #[must_use]
    pub const fn shared(&self) -> &Shared {
        &self.view.shared
    }

    /// Takes what the servers of its domain share.
    pub fn set_shared(&mut self, shared: Shared) {
        self.view.shared = shared;
    }

    /// Whether its provisioning agent serves: registered, and its service runs.
    #[must_use]
    pub fn serves(&self) -> bool {
        let running = self.service(product::AGENT_SERVICE).is_some_and(|service| {
            service.state == ServiceState::Running && !service.account.starts_with("NT SERVICE")
        });
        running
            && self
                .read(product::AGENT_KEY, product::AGENT_TENANT)
                .is_some()
    }

    /// Cmdlets that register the agent for the first time were begun and have not come to their end: it counts as none that serves.
    #[must_use]
    pub fn is_half_registered(&self) -> bool {
        let noted = self.read(product::OWED_KEY, product::OWED_REGISTRATION);
        noted == Some(RegistryValue::Number(product::OWED_FIRST))
    }

    /// Leaves a registration by cmdlets broken off behind its account.
    pub fn break_registration_off(&mut self, owed: Owed) {
        let noted = RegistryValue::Number(match owed {
            Owed::First => product::OWED_FIRST,
            Owed::Anew => product::OWED_ANEW,
        });
        self.set(product::OWED_KEY, product::OWED_REGISTRATION, noted);
    }

    /// Domains that the module was given.
    #[must_use]
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// Whether its Connect Sync is staging; `None` where none is configured.
    #[must_use]
    pub const fn staging(&self) -> Option<bool> {
        self.staging
    }

    /// Whether its Connect Sync exports: configured, not staging, and not kept from running.
    #[must_use]
    pub fn exports(&self) -> bool {
        let engine = self.service(product::CONNECT_SERVICE);
        self.staging == Some(false)
            && engine.is_some_and(|engine| engine.state != ServiceState::Disabled)
    }

    /// Somebody switches the cycle of Connect off, for the whole tenant.
    pub const fn hold_cycle(&mut self) {
        self.cycle_off = true;
    }

    /// Whoever held it switches it on again.
    pub const fn release_cycle(&mut self) {
        self.cycle_off = false;
    }

    /// Has the agent's service run as that account.
    pub fn set_account(&mut self, account: &str) {
        if let Some(service) = self.services.get_mut(product::AGENT_SERVICE) {
            account.clone_into(&mut service.account);
        }
    }

    /// Leaves a service as somebody at the server would.
    pub fn set_service(&mut self, name: &str, state: ServiceState) {
        if let Some(service) = self.services.get_mut(name) {
            service.state = state;
            service.automatic &= state != ServiceState::Disabled;
        }
    }

    /// The server's clock: how long ago the product logged an error is told by it.
    pub const fn set_clock(&mut self, now: Timestamp) {
        self.clock = Some(now);
    }

    /// By that clock, or by the one of its directory.
    const fn now(&self) -> Timestamp {
        match self.clock {
            Some(now) => now,
            None => crate::directory::NOW,
        }
    }

    /// Windows records an error of the provisioning agent.
    pub fn record_error(&mut self, line: &str) {
        self.recorded.push((self.now(), line.to_owned()));
    }

    /// The product logs an error at that moment.
    pub fn log_error(&mut self, at: Timestamp) {
        self.errors.push(at);
    }

    /// How many whole minutes ago the product logged an error, for each of the last so many days.
    fn errors_within(&self, days: u64) -> Vec<u64> {
        let Some(now) = self.clock else {
            return Vec::new();
        };
        let ages = self.errors.iter().rev().map(|at| now.since(*at));
        let ages = ages.filter(|age| age.as_secs() <= days * 86_400);
        ages.map(|age| age.as_secs() / 60).collect()
    }

    /// The provisioning agent writes a line to its trace.
    pub fn write_trace(&mut self, line: &str) {
        let trace = self.logs.entry(Log::ProvisioningAgentTrace).or_default();
        trace.push(line.to_owned());
    }

    /// A file is gone, as when somebody deletes it or a scanner takes it away.
    pub fn lose_file(&mut self, path: &str) {
        self.files.remove(&path.to_lowercase());
    }

    /// Has the modelled person choose that gMSA at the wizard.
    pub fn choose_account(&mut self, gmsa: &str) {
        gmsa.clone_into(&mut self.chosen);
    }

    /// Has the modelled person tick staging mode when Connect is installed.
    pub const fn tick_staging(&mut self) {
        self.ticks_staging = true;
    }

    /// Somebody sets the mode of Connect at its wizard, whatever anybody planned.
    pub fn set_mode(&mut self, staging: bool) {
        let there = self.staging.is_some();
        self.staging = there.then_some(staging);
    }

    /// Has a cycle of Connect run for that many looks at the pending exports.
    pub const fn run_cycle(&mut self, looks: u32) {
        self.cycles = looks;
    }

    /// Somebody edits the configuration file of the agent's service by hand.
    pub fn edit_configuration(&mut self, text: &str) {
        let path = join(product::AGENT_FOLDER, product::AGENT_CONFIGURATION).to_lowercase();
        self.texts.insert(path, text.to_owned());
    }

    /// The options that the agent's service has, as somebody has set them.
    pub fn set_options(&mut self, options: &ServiceOptions) {
        let path = join(product::AGENT_FOLDER, product::AGENT_CONFIGURATION).to_lowercase();
        let text = self.texts.get(&path);
        if let Some(Ok(text)) = text.map(|text| configuration::edit(text, options)) {
            self.texts.insert(path, text);
        }
        if let Some(millis) = options.ldap_timeout_millis {
            let millis = RegistryValue::Text(millis.to_string());
            self.set(product::AGENT_KEY, product::AGENT_LDAP_TIMEOUT, millis);
        }
        if options.referral_chasing {
            let all = RegistryValue::Text(product::AGENT_REFERRALS_ALL.to_owned());
            self.set(product::AGENT_KEY, product::AGENT_REFERRALS, all);
        }
    }

    /// Nothing is wrong with the server.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.profile.faults.is_empty()
    }

    /// Windows restarts because the agent says so.
    fn restart_windows(&mut self) -> (Outcome, Duration) {
        if self.has(Fault::RestartRefused) {
            return refused();
        }
        self.changes.push("restart Windows".to_owned());
        let again = self.has(Fault::RestartPendingAgain);
        self.restart();
        if again {
            self.profile.faults.insert(Fault::RebootPending);
        }
        (Outcome::Done, Duration::from_secs(180))
    }

    /// Version of Entrain's agent on it, where it was ever told.
    #[must_use]
    pub const fn agent(&self) -> Option<Version> {
        self.agent
    }

    /// The agent that begins on it, where none was on it before.
    pub const fn begin_agent(&mut self, version: Version) {
        if self.agent.is_none() {
            self.agent = Some(version);
        }
    }

    fn launcher(&self) -> Outcome {
        if self.has(Fault::NoLauncher) {
            return Outcome::Failed("it was not started by entrain-launcher".to_owned());
        }
        Outcome::Launcher(Launcher {
            running: self.agent.unwrap_or(Version::new(0, 0, 0, 0)),
            on_trial: false,
            given_up: self.given_up.clone(),
        })
    }

    /// The launcher starts another version, and the trial takes its course.
    fn switch_agent(&mut self, version: Version, mark: Generation) -> (Outcome, Duration) {
        self.changes.push(format!("agent {version}"));
        if self.has(Fault::NewAgentCrashes) {
            let why = "it ended 3 times within 20 s of its start".to_owned();
            self.given_up = Some(GivenUp { version, mark, why });
        } else {
            self.agent = Some(version);
            self.given_up = None;
        }
        (Outcome::Done, Duration::from_secs(30))
    }

    /// Windows restarts: what was noted for it is gone, and so is a service that a removal left until then.
    pub fn restart(&mut self) {
        let asked = self.has(Fault::SetupWantsRestart) && self.has(Fault::AgentServiceStays);
        let listed = |program: &Program| product::AGENT_ENTRIES[1].contains(&program.name.as_str());
        if asked && !self.programs.iter().any(listed) {
            self.services.remove(product::AGENT_SERVICE);
        }
        let below = format!("{}\\", product::RESTART_KEY).to_lowercase();
        self.registry.retain(|id, _| !id.starts_with(&below));
        self.profile.faults.remove(&Fault::RebootPending);
    }

    fn has(&self, fault: Fault) -> bool {
        self.profile.faults.contains(&fault)
    }

    fn key_exists(&self, key: &str) -> bool {
        let pending = self.has(Fault::RebootPending)
            && key != product::RESTART_KEY
            && product::REBOOT_KEYS.contains(&key);
        let below = format!("{key}\\").to_lowercase();
        pending || self.registry.keys().any(|id| id.starts_with(&below))
    }

    fn set(&mut self, key: &str, value: &str, data: RegistryValue) {
        self.registry.insert(value_id(key, value), data);
    }

    fn windows(&mut self) {
        let domain = self
            .profile
            .target
            .home_domain()
            .map(|domain| domain.to_string())
            .unwrap_or_default();
        let text = |text: &str| RegistryValue::Text(text.to_owned());
        self.set(
            product::WINDOWS_KEY,
            "ProductName",
            text("Windows Server 2022 Standard (model)"),
        );
        self.set(product::WINDOWS_KEY, "CurrentBuildNumber", text("20348"));
        self.set(product::WINDOWS_KEY, "InstallationType", text("Server"));
        self.set(
            product::PRODUCT_OPTIONS_KEY,
            "ProductType",
            text("ServerNT"),
        );
        self.set(product::TCPIP_KEY, "Domain", text(&domain));
        self.set(
            product::DOTNET_KEY,
            "Release",
            RegistryValue::Number(528_449),
        );
        for key in [product::TLS12_CLIENT_KEY, product::TLS12_SERVER_KEY] {
            self.set(key, "Enabled", RegistryValue::Number(1));
            self.set(key, "DisabledByDefault", RegistryValue::Number(0));
        }
        self.set(
            product::DOTNET_CRYPTO_KEY,
            "SchUseStrongCrypto",
            RegistryValue::Number(1),
        );
        self.set(product::IE_ESC_KEY, "IsInstalled", RegistryValue::Number(0));
        self.set(
            product::NTLM_KEY,
            "RestrictSendingNTLMTraffic",
            RegistryValue::Number(2),
        );
        self.set(product::FIPS_KEY, "Enabled", RegistryValue::Number(0));
        for value in product::DCOM_VALUES {
            self.set(product::DCOM_KEY, value, RegistryValue::Other);
        }
        for key in [product::DOTNET_CRYPTO_KEY, product::DOTNET_CRYPTO_KEY_X86] {
            self.set(key, "SystemDefaultTlsVersions", RegistryValue::Number(1));
        }
        self.set(
            product::DOTNET_CRYPTO_KEY_X86,
            "SchUseStrongCrypto",
            RegistryValue::Number(1),
        );
        let vault = Service {
            state: ServiceState::NotRunning,
            account: "LocalSystem".to_owned(),
            automatic: false,
        };
        self.services
            .insert(product::VAULT_SERVICE.to_owned(), vault);
        if self.has(Fault::TlsOff) {
            self.set(
                product::TLS12_CLIENT_KEY,
                "Enabled",
                RegistryValue::Number(0),
            );
            self.set(
                product::DOTNET_CRYPTO_KEY,
                "SchUseStrongCrypto",
                RegistryValue::Number(0),
            );
        }
        if self.has(Fault::VaultDisabled)
            && let Some(vault) = self.services.get_mut(product::VAULT_SERVICE)
        {
            vault.state = ServiceState::Disabled;
        }
    }

    /// Answers an operation, with the time that it would take on a server. `secrets` holds the values that the executor
    /// would put on a script's stdin.
    pub fn perform(
        &mut self,
        op: &Op,
        secrets: &BTreeMap<SecretKind, Secret>,
    ) -> (Outcome, Duration) {
        let seconds = Duration::from_secs;
        match op {
            Op::Machine => {
                let memory_mib = if self.has(Fault::LittleMemory) {
                    2048
                } else {
                    16_384
                };
                let disk_free_mib = if self.has(Fault::LittleDisk) {
                    1024
                } else {
                    163_840
                };
                let machine = Outcome::Machine {
                    memory_mib,
                    disk_free_mib,
                };
                (machine, INSTANT)
            }
            Op::Registry { key, value } => (Outcome::Registry(self.read(key, value)), INSTANT),
            Op::RegistryKey { key } => (Outcome::Exists(self.key_exists(key)), INSTANT),
            Op::RestartServer => self.restart_windows(),
            Op::Launcher => (self.launcher(), INSTANT),
            Op::FetchRelease { .. } => (Outcome::Done, INSTANT),
            Op::SwitchAgent { version, mark, .. } => self.switch_agent(*version, *mark),
            Op::RequireRestart | Op::EnableService { .. } if self.has(Fault::SettingRefused) => {
                refused()
            }
            // The agent's own notes are no setting of Windows.
            Op::SetRegistry { key, .. }
                if self.has(Fault::SettingRefused)
                    && ![product::SET_KEY, product::OWED_KEY].contains(&key.as_str()) =>
            {
                refused()
            }
            Op::RequireRestart => {
                self.set(product::RESTART_KEY, "", RegistryValue::Number(1));
                (Outcome::Done, INSTANT)
            }
            Op::SetRegistry { key, value, data } => {
                self.set(key, value, data.clone());
                // A note of what was there before changes nothing of the server.
                if key == product::SET_KEY {
                    return (Outcome::Done, INSTANT);
                }
                self.changes.push(if key == product::OWED_KEY {
                    let owed = *data != RegistryValue::Number(0);
                    format!("{} {value}", if owed { "owes" } else { "owes no more" })
                } else {
                    format!("set {value}")
                });
                (Outcome::Done, INSTANT)
            }
            Op::ClearRegistry { key, value } => {
                let there = self.registry.remove(&value_id(key, value)).is_some();
                if there && key != product::SET_KEY {
                    self.changes.push(format!("clear {value}"));
                }
                (Outcome::Done, INSTANT)
            }
            Op::Service { name } => (Outcome::Service(self.service(name)), INSTANT),
            Op::ServiceAge { name } => {
                let runs = self
                    .service(name)
                    .is_some_and(|service| service.state == ServiceState::Running);
                let restarted = self.has(Fault::ServiceRestarts);
                let age = seconds(if restarted { 40 } else { 90 * 86_400 });
                (Outcome::Age(runs.then_some(age)), INSTANT)
            }
            Op::EnableService { name } => {
                if let Some(service) = self.services.get_mut(name) {
                    service.state = ServiceState::NotRunning;
                }
                self.changes.push(format!("enable {name}"));
                (Outcome::Done, INSTANT)
            }
            Op::AutomateService { name } => {
                if let Some(service) = self.services.get_mut(name) {
                    service.automatic = true;
                    if service.state == ServiceState::Disabled {
                        service.state = ServiceState::NotRunning;
                    }
                }
                self.changes.push(format!("automate {name}"));
                (Outcome::Done, INSTANT)
            }
            Op::DisableService { name } => {
                if let Some(service) = self.services.get_mut(name) {
                    service.state = ServiceState::Disabled;
                    service.automatic = false;
                }
                self.changes.push(format!("disable {name}"));
                (Outcome::Done, seconds(20))
            }
            Op::RestartService { name } => self.restart_service(name),
            Op::FileText { path } => {
                let text = self.texts.get(&path.to_lowercase()).cloned();
                (Outcome::Text(text), INSTANT)
            }
            Op::ConnectExport => (self.connect_export(), INSTANT),
            Op::ReplaceText { path, before, text } => {
                (self.replace_text(path, before, text), INSTANT)
            }
            Op::FileVersion { path } => (
                Outcome::FileVersion(self.files.get(&path.to_lowercase()).copied().flatten()),
                INSTANT,
            ),
            Op::Fetch { .. } => (Outcome::Done, INSTANT),
            Op::Stage { artifact, name } => {
                self.staged = Some(artifact.version);
                (
                    Outcome::Staged {
                        path: format!("C:\\ProgramData\\Entrain\\staged\\{name}"),
                    },
                    seconds(2),
                )
            }
            Op::AwaitInstaller => (Outcome::Done, INSTANT),
            Op::Install { artifact, .. } => self.install(artifact),
            Op::Programs { names } => {
                let named = |program: &&Program| {
                    let mut names = names.iter();
                    names.any(|name| name.eq_ignore_ascii_case(&program.name))
                };
                let mut programs: Vec<Program> =
                    self.programs.iter().filter(named).cloned().collect();
                let old = Program {
                    id: OLD_LOCAL_DB.to_owned(),
                    name: product::OLD_LOCAL_DB[0].to_owned(),
                    kind: ProgramKind::Package,
                };
                if self.has(Fault::UpdaterNotListed) {
                    programs.retain(|program| !product::is_updater(&program.name));
                }
                if self.has(Fault::OldLocalDb) && named(&&old) {
                    programs.push(old);
                }
                (Outcome::Programs(programs), INSTANT)
            }
            Op::Uninstall { program, .. } => self.uninstall(program),
            Op::PathExists { path } => (Outcome::Exists(self.path_exists(path)), INSTANT),
            Op::MeasureLog { log } => (Outcome::LogEnds(self.log_ends(*log)), INSTANT),
            Op::ReadLog { log, after } => (self.log(*log, after.as_ref()), INSTANT),
            Op::Script { script, input, .. } => self.script(*script, input, secrets),
            Op::SecretsFit { secrets: wanted } => {
                let all = wanted.iter().all(|kind| secrets.contains_key(kind));
                (Outcome::Exists(all), INSTANT)
            }
            Op::Reach { host, port } => (self.reach(host, *port), INSTANT),
            Op::LookThrough { host, .. } => {
                let outcome = if self.has(Fault::ProxyDemandsSignIn) {
                    Outcome::Failed(format!("{PROXY_SIGN_IN}: 407 (model)"))
                } else if self.has(Fault::ProxyRefuses) {
                    Outcome::Failed(format!("the proxy answers 403 about {host} (model)"))
                } else {
                    // What it is under is judged by a script, which is modelled as well.
                    let names = if self.has(Fault::ProxyShowsOther) {
                        Names::Others(vec!["filter.example.net".to_owned()])
                    } else {
                        Names::OfHost
                    };
                    Outcome::Chain(Shown {
                        certificates: vec![host.as_bytes().to_vec()],
                        names,
                    })
                };
                (outcome, INSTANT)
            }
            Op::ReachThrough { host, port, .. } => {
                let registration = host.contains(".registration.") || host.contains(".bootstrap.");
                let silent = match port {
                    80 => self.has(Fault::RevocationBlocked),
                    _ => registration && self.has(Fault::RegistrationBlocked),
                };
                let outcome = if self.has(Fault::ProxyDemandsSignIn) {
                    Outcome::Failed(format!("{PROXY_SIGN_IN}: 407 (model)"))
                } else if self.has(Fault::ProxyRefuses) {
                    Outcome::Failed(format!("the proxy answers 403 about {host} (model)"))
                } else if silent {
                    Outcome::Failed(format!("the proxy answers 504 about {host} (model)"))
                } else {
                    Outcome::Done
                };
                (outcome, INSTANT)
            }
            Op::ReachByDatagram { host, port } => {
                let blocked = self.has(Fault::DirectoryBlocked)
                    || self.has(Fault::DatagramsBlocked)
                    || self.does_not_answer(host);
                let outcome = if blocked {
                    Outcome::Failed(format!("no answer from {host}:{port} by UDP within 6 s"))
                } else {
                    Outcome::Done
                };
                (outcome, INSTANT)
            }
            Op::ReachByRpc { host } => {
                let blocked = self.has(Fault::DirectoryBlocked)
                    || self.has(Fault::DynamicRpcBlocked)
                    || self.does_not_answer(host);
                let outcome = if blocked {
                    let why = "no answer within 10 s";
                    Outcome::Failed(format!(
                        "port 49667 of {host}, which the endpoint mapper names: {why}"
                    ))
                } else {
                    Outcome::Done
                };
                (outcome, INSTANT)
            }
            Op::Census(census) => {
                let faults = &self.profile.faults;
                let time = Duration::from_secs(20);
                (
                    directory::census(census, &self.profile.target, faults),
                    time,
                )
            }
            Op::LargeGroups(groups) => {
                let time = Duration::from_secs(2);
                let faults = &self.profile.faults;
                (directory::large_groups(groups, faults), time)
            }
            Op::Search(search) => {
                let (target, faults) = (&self.profile.target, &self.profile.faults);
                (self.view.answer(search, target, faults), INSTANT)
            }
            Op::FindDomainControllers { domain } => (self.domain_controllers(domain), INSTANT),
            Op::Wait { time } => {
                self.person();
                (Outcome::Done, *time)
            }
        }
    }

    fn restart_service(&mut self, name: &str) -> (Outcome, Duration) {
        self.changes.push(format!("restart {name}"));
        let faulty = self.has(Fault::ServiceStopped) || self.has(Fault::LogonAsServiceRefused);
        let outcome = match self.services.get_mut(name) {
            None => Outcome::Failed(format!("there is no service {name}")),
            Some(service) if service.state == ServiceState::Disabled => {
                Outcome::Failed(format!("{name} is disabled (1058)"))
            }
            Some(_) if faulty && name == product::AGENT_SERVICE => {
                let why = format!("{name} did not start within 180 s");
                Outcome::Failed(why)
            }
            Some(service) => {
                service.state = ServiceState::Running;
                Outcome::Done
            }
        };
        (outcome, Duration::from_secs(25))
    }

    fn replace_text(&mut self, path: &str, before: &Digest, text: &str) -> Outcome {
        if self.has(Fault::ConfigurationReadOnly) {
            return Outcome::Failed("access is denied (model)".to_owned());
        }
        let Some(there) = self.texts.get_mut(&path.to_lowercase()) else {
            return Outcome::Failed("it is not there any more".to_owned());
        };
        if Digest::of(there.as_bytes()) != *before {
            return Outcome::Failed("it has changed since it was read".to_owned());
        }
        text.clone_into(there);
        let name = path.rsplit('\\').next().unwrap_or_default();
        self.changes.push(format!("edit {name}"));
        Outcome::Done
    }

    fn read(&self, key: &str, value: &str) -> Option<RegistryValue> {
        let number = RegistryValue::Number;
        let text = |text: &str| RegistryValue::Text(text.to_owned());
        let spoiled = [
            (Fault::ServerCore, "InstallationType", text("Server Core")),
            (Fault::ModuleLogging, "EnableModuleLogging", number(1)),
            (Fault::TranscriptionOn, "EnableTranscripting", number(1)),
            (Fault::ClientWindows, "ProductType", text("WinNT")),
            (Fault::DomainController, "ProductType", text("LanmanNT")),
            (Fault::OldWindows, "CurrentBuildNumber", text("9600")),
            (Fault::OldDotNet, "Release", number(394_802)),
            (Fault::IeEscOn, "IsInstalled", number(1)),
            (Fault::NtlmAllowed, "RestrictSendingNTLMTraffic", number(0)),
            (Fault::HrInbound, product::AGENT_HR_VALUE, number(256)),
            (
                Fault::DcomEmpty,
                "DefaultLaunchPermission",
                RegistryValue::Empty,
            ),
            (
                Fault::KerberosAesAlone,
                product::KERBEROS_TYPES,
                number(0x7fff_fff8),
            ),
            (
                Fault::KerberosWithoutAes,
                product::KERBEROS_TYPES,
                number(0x4),
            ),
        ];
        for (fault, name, instead) in spoiled {
            if self.has(fault) && value == name {
                return Some(instead);
            }
        }
        let absent = (self.has(Fault::NotJoined) && value == "Domain")
            || (self.has(Fault::DcomBroken) && value == "MachineLaunchRestriction");
        if absent {
            return None;
        }
        let keyed = [
            (Fault::TlsServerOff, product::TLS12_SERVER_KEY, "Enabled", 0),
            (
                Fault::CryptoX86Off,
                product::DOTNET_CRYPTO_KEY_X86,
                "SchUseStrongCrypto",
                0,
            ),
            (Fault::FipsOn, product::FIPS_KEY, "Enabled", 1),
        ];
        for (fault, at, name, instead) in keyed {
            if self.has(fault) && key == at && value == name {
                return Some(number(instead));
            }
        }
        self.registry.get(&value_id(key, value)).cloned()
    }

    fn service(&self, name: &str) -> Option<Service> {
        let connect = matches!(self.profile.installed, Installed::Connect { .. });
        let other = match name {
            product::AGENT_SERVICE => connect,
            product::CONNECT_SERVICE => !connect,
            _ => false,
        };
        if self.has(Fault::OtherTool) && other && !self.services.contains_key(name) {
            return Some(Service {
                state: ServiceState::Running,
                account: "NT SERVICE\\other".to_owned(),
                automatic: true,
            });
        }
        if name == product::ECMA_SERVICE && self.has(Fault::EcmaHost) {
            return Some(Service {
                state: ServiceState::Running,
                account: "LocalSystem".to_owned(),
                automatic: true,
            });
        }
        if product::HEALTH_SERVICES.contains(&name) && self.has(Fault::HealthAgent) {
            return Some(Service {
                state: ServiceState::Running,
                account: "LocalSystem".to_owned(),
                automatic: true,
            });
        }
        let mut service = self.services.get(name).cloned()?;
        let stopped = match name {
            product::AGENT_SERVICE => {
                self.has(Fault::ServiceStopped) || self.has(Fault::LogonAsServiceRefused)
            }
            product::CONNECT_SERVICE => self.has(Fault::EngineEnds),
            _ => false,
        };
        if stopped && service.state == ServiceState::Running {
            service.state = ServiceState::NotRunning;
        }
        Some(service)
    }

    fn path_exists(&self, path: &str) -> bool {
        if path.eq_ignore_ascii_case(product::AGENT_TRACES) {
            return self.logs.contains_key(&Log::ProvisioningAgentTrace);
        }
        let stays =
            self.has(Fault::FolderStays) && path.eq_ignore_ascii_case(product::AGENT_FOLDER);
        let below = format!("{path}\\").to_lowercase();
        let itself = self.files.contains_key(&path.to_lowercase());
        stays || itself || self.files.keys().any(|file| file.starts_with(&below))
    }

    /// As the registry has it and as it was at the last start of Windows.
    fn tls_is_off(&self) -> bool {
        self.read(product::TLS12_CLIENT_KEY, "Enabled") == Some(RegistryValue::Number(0))
    }

    fn reach(&self, host: &str, port: u16) -> Outcome {
        let child = self.has(Fault::ChildBlocked) && crate::directory::is_of_child(host);
        let blocked = match port {
            _ if child => true,
            443 if host.contains(".registration.") || host.contains(".bootstrap.") => {
                self.has(Fault::RegistrationBlocked)
            }
            443 => self.has(Fault::CloudBlocked),
            80 => self.has(Fault::RevocationBlocked),
            53 | 88 | 135 | 389 | 445 | 3268 if self.does_not_answer(host) => true,
            445 | 3268 if self.has(Fault::DirectoryPortsBlocked) => true,
            _ => self.has(Fault::DirectoryBlocked),
        };
        if blocked {
            Outcome::Failed(format!("no answer from {host}:{port} within 10 s"))
        } else {
            Outcome::Done
        }
    }

    fn does_not_answer(&self, host: &str) -> bool {
        crate::directory::does_not_answer(host, &self.profile.faults)
    }

    /// A gMSA names this server from now on, at the controller that the product takes.
    fn name_in(&mut self, gmsa: &str) {
        let home = self.profile.target.home_domain();
        let at = home.map(|home| {
            let first = format!("dc1.{home}");
            let second = format!("dc2.{home}");
            if self.does_not_answer(&first) {
                second
            } else {
                first
            }
        });
        let at = at.filter(|_| self.has(Fault::ReplicationSlow));
        self.view.shared.name(gmsa, &self.profile.target, at);
    }

    fn domain_controllers(&self, domain: &str) -> Outcome {
        if self.has(Fault::DnsSilent) {
            return Outcome::Failed(format!("_ldap._tcp.dc._msdcs.{domain}.: request timed out"));
        }
        if self.has(Fault::DnsBlocked) {
            return Outcome::Hosts(Vec::new());
        }
        Outcome::Hosts(vec![format!("dc1.{domain}"), format!("dc2.{domain}")])
    }
}
