//! Operations on a server, as data, and what came of them. Paths and names in them are constants of [`crate::product`],
//! never arguments of a step.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::event::GmsaChange;
use protocol::facts::ServiceState;
use protocol::secret::SecretKind;
use protocol::signed::{ArtifactRef, ReleaseFile};
use protocol::{Digest, Generation, ProxyAddress, Timestamp, Version};
use serde::{Deserialize, Serialize};

/// A value in the Windows registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegistryValue {
    /// REG_DWORD.
    Number(u32),
    /// REG_SZ.
    Text(String),
    /// REG_EXPAND_SZ, as it is written: names of variables are not replaced by their values.
    Expandable(String),
    /// REG_MULTI_SZ, REG_BINARY and others: only that something is there is told.
    Other,
    /// The same of a REG_BINARY without a byte.
    Empty,
}

/// What the service manager says of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// State.
    pub state: ServiceState,
    /// Account that it runs as.
    pub account: String,
    /// True when Windows starts it by itself.
    pub automatic: bool,
}

/// Which of the embedded PowerShell scripts. Each is one file in `agent/scripts`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Script {
    /// Reads execution policies and, where one is named, whether a gMSA is usable.
    InspectHost,
    /// Reads which group policies set what a preflight reads.
    InspectPolicies,
    /// Reads which cmdlets and parameters the provisioning agent's module has, or those that are named of the module of Connect's engine.
    ReadModule,
    /// Configures the provisioning agent in one process: module, sign-in, gMSA, domains, restart.
    ConfigureProvisioningAgent,
    /// Reads the scheduler of Connect Sync.
    ReadConnectScheduler,
    /// Counts what a staging server of Connect Sync would export.
    ReviewConnectExports,
    /// Reads what decides what Connect Sync synchronizes.
    ReadConnectSettings,
    /// Reads how Connect Sync signs in, runs and upgrades itself, and its way to the cloud.
    InspectConnect,
    /// Asks a SQL Server about itself and one database.
    InspectDatabase,
    /// Counts the errors in the event log of the provisioning agent.
    ReadAgentEvents,
    /// Judges chains of certificates as Windows does: at which root each ends, and whether that is one of the public program.
    JudgeChains,
    /// Reads the errors of a product's service in Windows' event logs, for known ones to be found in them.
    ReadErrors,
    /// Has the provisioning agent's own tools collect its logs.
    CollectSupport,
}

impl Script {
    /// Whether it does something to the server.
    #[must_use]
    pub const fn changes(self) -> bool {
        match self {
            Self::ConfigureProvisioningAgent | Self::CollectSupport => true,
            Self::InspectHost
            | Self::InspectPolicies
            | Self::ReadModule
            | Self::ReadConnectScheduler
            | Self::ReviewConnectExports
            | Self::ReadConnectSettings
            | Self::InspectConnect
            | Self::InspectDatabase
            | Self::ReadAgentEvents
            | Self::JudgeChains
            | Self::ReadErrors => false,
        }
    }
}

/// A log that an installer writes; the executor knows where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Log {
    /// The log of the provisioning agent's setup.
    ProvisioningAgentSetup,
    /// Newest trace of the provisioning agent.
    ProvisioningAgentTrace,
    /// The log of the removal of the provisioning agent.
    ProvisioningAgentRemoval,
    /// Newest trace of Connect's wizard, where it was written to within the last day: an older one is of other work.
    ConnectTrace,
}

/// How far a log goes at some moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEnds {
    /// The length of each of its files, in bytes, by its name.
    pub files: BTreeMap<String, u64>,
    /// The moment, by the server's clock: what Windows records has no length.
    pub at: Timestamp,
}

/// How Windows takes a program off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgramKind {
    /// By a setup that Windows keeps in its package cache.
    Bundle,
    /// By Windows Installer, under its product code.
    Package,
    /// By something else, which no agent runs.
    Other,
}

/// An entry of Windows' list of programs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Program {
    /// Name of its registry key: as a rule a GUID in braces.
    pub id: String,
    /// Name that people see.
    pub name: String,
    /// How it is taken off.
    pub kind: ProgramKind,
}

/// As whom a directory is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DirectoryAccount {
    /// Nobody: what a domain controller tells everyone.
    Nobody,
    /// The server's own account, by integrated sign-in.
    Server,
    /// A credential that a person gave: by a simple bind, over TLS alone.
    Given(SecretKind),
}

/// How far below its base a search looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// The object itself.
    Base,
    /// What lies directly below it.
    Children,
    /// Everything below it.
    Subtree,
}

/// A question to a domain controller.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// Domain controller.
    pub server: String,
    /// As whom.
    pub account: DirectoryAccount,
    /// Distinguished name to look at; empty for the rootDSE.
    pub base: String,
    /// How far.
    pub scope: Scope,
    /// LDAP filter.
    pub filter: String,
    /// Attributes that are wanted.
    pub attributes: Vec<String>,
}

/// What a controller shows of what it is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The objects.
    pub entries: Vec<DirectoryEntry>,
    /// There are more than one question gives, which were not read.
    pub more: bool,
    /// This server's clock when they came.
    pub now: Timestamp,
}

/// The attribute by which both tools know an object again (product facts 3 [P], PF60).
pub const ANCHOR: &str = "mS-DS-ConsistencyGuid";

/// A count of users, groups and contacts below an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Census {
    /// Domain controller.
    pub server: String,
    /// As whom.
    pub account: DirectoryAccount,
    /// Distinguished name below which is counted.
    pub base: String,
    /// Where the count ends, in objects.
    pub most: u64,
}

/// What was counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Users, groups and contacts.
    pub objects: u64,
    /// Users among them.
    pub users: u64,
    /// Groups among them.
    pub groups: u64,
    /// Users and groups that have an [`ANCHOR`].
    pub anchored: u64,
    /// Users by the suffix of their user principal name, in lower case; under the empty one those that have none.
    pub suffixes: BTreeMap<String, u64>,
    /// Users whose suffix is not told apart any more.
    pub beyond: u64,
    /// False where the count ended before the domain did.
    pub whole: bool,
}

impl Counted {
    /// How many suffixes are told apart.
    const MOST_SUFFIXES: usize = 200;

    /// Counts one more object, of which class, user principal name and [`ANCHOR`] were asked.
    pub fn add(&mut self, entry: &DirectoryEntry) {
        let is = |class: &[u8]| entry.all("objectClass").iter().any(|one| one == class);
        let (is_user, is_group) = (is(b"user"), is(b"group"));
        self.objects += 1;
        if (is_user || is_group) && !entry.all(ANCHOR).is_empty() {
            self.anchored += 1;
        }
        if is_group {
            self.groups += 1;
        }
        if !is_user {
            return;
        }
        self.users += 1;
        let principal = entry.text("userPrincipalName");
        let suffix = principal.and_then(|name| name.rsplit_once('@'));
        let suffix = suffix.map_or(String::new(), |(_, suffix)| suffix.to_lowercase());
        let full = self.suffixes.len() >= Self::MOST_SUFFIXES;
        if full && !self.suffixes.contains_key(&suffix) {
            self.beyond += 1;
            return;
        }
        *self.suffixes.entry(suffix).or_default() += 1;
    }
}

/// A look for groups of many members below an object. Their members are not read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LargeGroups {
    /// Domain controller.
    pub server: String,
    /// As whom.
    pub account: DirectoryAccount,
    /// Distinguished name below which is looked.
    pub base: String,
    /// Members that a group may have without being told.
    pub most: u32,
}

/// What groups were found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundGroups {
    /// Groups that were looked at.
    pub looked: u64,
    /// Distinguished names of the first that have more members.
    pub larger: Vec<String>,
    /// A member of some group was shown: to whom none is shown, none of these groups would have any.
    pub members: bool,
    /// False where the look ended before the groups did.
    pub whole: bool,
}

impl FoundGroups {
    /// How many groups are looked at, at most.
    pub const MOST: u64 = 200_000;

    /// How many of the large ones are told.
    pub const TOLD: usize = 5;
}

/// An object of a directory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryEntry {
    /// Distinguished name.
    pub name: String,
    /// Values by attribute, whose name is in lower case.
    pub values: BTreeMap<String, Vec<Vec<u8>>>,
}

impl DirectoryEntry {
    /// The values of an attribute.
    #[must_use]
    pub fn all(&self, attribute: &str) -> &[Vec<u8>] {
        let values = self.values.get(&attribute.to_lowercase());
        values.map_or(&[], Vec::as_slice)
    }

    /// The first value of an attribute, as text.
    #[must_use]
    pub fn text(&self, attribute: &str) -> Option<&str> {
        let value = self.all(attribute).first()?;
        std::str::from_utf8(value).ok()
    }

    /// The first value of an attribute, as a number.
    #[must_use]
    pub fn number(&self, attribute: &str) -> Option<i64> {
        self.text(attribute)?.parse().ok()
    }
}

/// A version of the agent that its launcher gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// Which version.
    pub version: Version,
    /// The bundle that had put it in place.
    pub mark: Generation,
    /// Why, for people.
    pub why: String,
}

/// How the launcher of the agent stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Launcher {
    /// The version of the agent that runs.
    pub running: Version,
    /// The launcher goes back to the version before, unless this one proves itself.
    pub on_trial: bool,
    /// The version that it gave up last.
    pub given_up: Option<GivenUp>,
}

/// A file of settings that Connect's wizard has exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// Its name, without the folder.
    pub file: String,
    /// When it was written.
    pub written: Timestamp,
    /// Its size.
    pub bytes: u64,
    /// Digest of its bytes.
    pub sha256: Digest,
    /// Its text, or why that was not read.
    pub text: Result<String, String>,
}

/// One operation on a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Op {
    /// Reads memory and free disk space.
    Machine,
    /// Reads a registry value below HKEY_LOCAL_MACHINE.
    Registry {
        /// Key.
        key: String,
        /// Value name.
        value: String,
    },
    /// Tells whether a registry key exists below HKEY_LOCAL_MACHINE.
    RegistryKey {
        /// Key.
        key: String,
    },
    /// Sets a registry value below HKEY_LOCAL_MACHINE.
    SetRegistry {
        /// Key; made where it is missing.
        key: String,
        /// Value name.
        value: String,
        /// New value.
        data: RegistryValue,
    },
    /// Takes a registry value away below HKEY_LOCAL_MACHINE, where it is there.
    ClearRegistry {
        /// Key.
        key: String,
        /// Value name.
        value: String,
    },
    /// Notes that Windows must be restarted before what was set holds. The note is gone with the restart.
    RequireRestart,
    /// Restarts Windows. The agent ends with it; where it is answered, Windows has come back (a model), or did not restart.
    RestartServer,
    /// Asks the service manager for a service.
    Service {
        /// Service name, never its display name.
        name: String,
    },
    /// Asks how long the process of a service has run.
    ServiceAge {
        /// Service name.
        name: String,
    },
    /// Lets a disabled service be started on demand.
    EnableService {
        /// Service name.
        name: String,
    },
    /// Has Windows start a service by itself, whatever kept it from that.
    AutomateService {
        /// Service name.
        name: String,
    },
    /// Keeps a service from ever being started, and asks it to stop; whether it has stopped is looked at afterwards.
    DisableService {
        /// Service name.
        name: String,
    },
    /// Stops a service that runs, starts it again, and waits until it runs.
    RestartService {
        /// Service name.
        name: String,
    },
    /// Reads a small text file.
    FileText {
        /// Full path.
        path: String,
    },
    /// Puts another text in the place of a file's, which is kept beside the agent's state. A file that reads otherwise by now
    /// is left as it is.
    ReplaceText {
        /// Full path.
        path: String,
        /// Digest of what stands in it.
        before: Digest,
        /// What is to stand in it.
        text: String,
    },
    /// Reads the newest settings that Connect's wizard has exported; the executor knows where they lie.
    ConnectExport,
    /// Reads the ProductVersion of an executable.
    FileVersion {
        /// Full path.
        path: String,
    },
    /// Brings an artifact onto the server and verifies it: digests, Authenticode chain, product identity.
    Fetch {
        /// Which.
        artifact: ArtifactRef,
    },
    /// Brings a program of a release of the agent onto the server and compares its digests.
    FetchRelease {
        /// Which.
        file: ReleaseFile,
    },
    /// Asks how the launcher of the agent stands.
    Launcher,
    /// Has the launcher start a fetched program in place of the agent, on trial. The agent ends with it; where it is answered,
    /// the trial is over (a model), or nothing was done.
    SwitchAgent {
        /// Its version.
        version: Version,
        /// Which program.
        sha256: Digest,
        /// The bundle that orders it, to be told with the end of the trial.
        mark: Generation,
    },
    /// Puts a fetched artifact where a person finds it.
    Stage {
        /// Which.
        artifact: ArtifactRef,
        /// File name for people.
        name: String,
    },
    /// Waits for an installer that an earlier life of the agent began and that may still be running.
    AwaitInstaller,
    /// Runs a fetched setup executable.
    Install {
        /// Which.
        artifact: ArtifactRef,
        /// Arguments; the executor adds the log's path behind `/log`.
        arguments: Vec<String>,
        /// Log that the installer is told to write.
        log: Log,
    },
    /// Lists the programs of these names, of both registry views.
    Programs {
        /// Names that people see; upper and lower case are the same.
        names: Vec<String>,
    },
    /// Takes a program off, silently and without a restart.
    Uninstall {
        /// Which, as it was listed.
        program: Program,
        /// Log that is written.
        log: Log,
    },
    /// Tells whether a file or folder is there.
    PathExists {
        /// Full path.
        path: String,
    },
    /// Tells how far a log goes by now.
    MeasureLog {
        /// Which.
        log: Log,
    },
    /// Reads the last lines of a log.
    ReadLog {
        /// Which.
        log: Log,
        /// Nothing that was written before: how far it went by then. Absent where all of it counts.
        after: Option<LogEnds>,
    },
    /// Runs an embedded script in one Windows PowerShell 5.1 process: input and secrets on stdin, JSON lines out.
    Script {
        /// Which.
        script: Script,
        /// Parameters.
        input: serde_json::Value,
        /// Secrets that go along on stdin; their values are known to the executor alone.
        secrets: Vec<SecretKind>,
        /// How long it may take.
        limit: Duration,
    },
    /// Looks whether secrets that came are still good, as far as they tell it themselves: a token may have lapsed.
    SecretsFit {
        /// Which.
        secrets: Vec<SecretKind>,
    },
    /// Opens a TCP connection and closes it; at port 80 it asks by HTTP, which whoever is there answers.
    Reach {
        /// Host.
        host: String,
        /// Port.
        port: u16,
    },
    /// Has a proxy reach a host: by CONNECT, or at port 80 by a question about its first page, which whoever is there answers.
    ReachThrough {
        /// The proxy.
        proxy: ProxyAddress,
        /// Host.
        host: String,
        /// Port.
        port: u16,
    },
    /// Has a proxy reach a host at port 443, begins TLS with it, and gives the certificates that it shows.
    LookThrough {
        /// The proxy.
        proxy: ProxyAddress,
        /// Host.
        host: String,
    },
    /// Sends a datagram that is answered by whoever serves that port, and waits for an answer.
    ReachByDatagram {
        /// Host.
        host: String,
        /// Port, which says what is asked: 53 by DNS, 389 by LDAP.
        port: u16,
    },
    /// Asks the endpoint mapper of a domain controller for the port of the directory's replication, opens that, and closes it.
    ReachByRpc {
        /// Host.
        host: String,
    },
    /// Asks a domain controller.
    Search(Box<Search>),
    /// Counts what a domain holds, page by page.
    Census(Box<Census>),
    /// Looks for groups of many members.
    LargeGroups(Box<LargeGroups>),
    /// Finds the domain controllers of a domain by DNS SRV records, in the order in which they are to be asked: first the one that the
    /// system's own locator gives, where it has one.
    FindDomainControllers {
        /// DNS name of the domain.
        domain: String,
    },
    /// Lets time pass.
    Wait {
        /// How long.
        time: Duration,
    },
}

impl Op {
    /// The secrets that whoever performs it needs: no other secret goes along.
    #[must_use]
    pub fn secrets(&self) -> &[SecretKind] {
        let account = if let Self::Script { secrets, .. } = self {
            return secrets;
        } else if let Self::Search(search) = self {
            &search.account
        } else if let Self::Census(census) = self {
            &census.account
        } else if let Self::LargeGroups(groups) = self {
            &groups.account
        } else {
            return &[];
        };
        match account {
            DirectoryAccount::Given(kind) => std::slice::from_ref(kind),
            DirectoryAccount::Nobody | DirectoryAccount::Server => &[],
        }
    }

    /// Whether it does something to the server, beyond what the agent keeps for itself: looking, asking, waiting and fetching do not.
    #[must_use]
    pub const fn changes(&self) -> bool {
        matches!(self.class(), Class::Change)
    }

    /// Whether it only looks at this server, and is answered at once. Whoever loses what led to a glance has lost nothing:
    /// it is looked at again.
    #[must_use]
    pub const fn is_glance(&self) -> bool {
        matches!(self.class(), Class::Glance)
    }

    const fn class(&self) -> Class {
        match self {
            Self::Machine
            | Self::Registry { .. }
            | Self::RegistryKey { .. }
            | Self::Service { .. }
            | Self::ServiceAge { .. }
            | Self::FileVersion { .. }
            | Self::FileText { .. }
            | Self::PathExists { .. }
            | Self::Launcher
            | Self::SecretsFit { .. } => Class::Glance,
            Self::SetRegistry { .. }
            | Self::ClearRegistry { .. }
            | Self::RequireRestart
            | Self::RestartServer
            | Self::EnableService { .. }
            | Self::AutomateService { .. }
            | Self::DisableService { .. }
            | Self::RestartService { .. }
            | Self::ReplaceText { .. }
            | Self::SwitchAgent { .. }
            | Self::Stage { .. }
            | Self::Install { .. }
            | Self::Uninstall { .. } => Class::Change,
            Self::Script { script, .. } if script.changes() => Class::Change,
            Self::Script { .. }
            | Self::Fetch { .. }
            | Self::FetchRelease { .. }
            | Self::AwaitInstaller
            | Self::Programs { .. }
            | Self::ConnectExport
            | Self::MeasureLog { .. }
            | Self::ReadLog { .. }
            | Self::Reach { .. }
            | Self::ReachThrough { .. }
            | Self::LookThrough { .. }
            | Self::ReachByDatagram { .. }
            | Self::ReachByRpc { .. }
            | Self::Search(_)
            | Self::Census(_)
            | Self::LargeGroups(_)
            | Self::FindDomainControllers { .. }
            | Self::Wait { .. } => Class::Question,
        }
    }
}

/// What an operation is for the server on which it runs.
enum Class {
    /// A look at this server that is answered at once.
    Glance,
    /// A look or a question that takes its time, a wait, or something that the agent keeps for itself.
    Question,
    /// Something is done to the server.
    Change,
}

/// What a host showed when TLS was begun with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its certificates, its own first, each as its DER bytes.
    pub certificates: Vec<Vec<u8>>,
    /// For whom the first one is.
    pub names: Names,
}

/// For whom a certificate is, held against the host that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Names {
    /// For that host.
    OfHost,
    /// For these names, and not for that host.
    Others(Vec<String>),
    /// It cannot be told, and why.
    Untold(String),
}

/// What came of an operation, or of something else that a procedure waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Memory and disk, in MiB.
    Machine {
        /// Physical memory.
        memory_mib: u64,
        /// Free on the system drive.
        disk_free_mib: u64,
    },
    /// A registry value, where there is one.
    Registry(Option<RegistryValue>),
    /// Whether something exists.
    Exists(bool),
    /// A service, where there is one.
    Service(Option<Service>),
    /// How long something has run, where it runs.
    Age(Option<Duration>),
    /// The text of a file, where there is such a file.
    Text(Option<String>),
    /// Exported settings, where there are any.
    Export(Option<Box<Export>>),
    /// A version, where there is such a file with a version.
    FileVersion(Option<Version>),
    /// Where a staged file lies.
    Staged {
        /// Full path.
        path: String,
    },
    /// A process ended by itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// Lines of a log.
    Lines(Vec<String>),
    /// How far a log goes.
    LogEnds(LogEnds),
    /// What a script printed, one JSON value a line.
    Script {
        /// The values.
        lines: Vec<serde_json::Value>,
    },
    /// Programs that are there.
    Programs(Vec<Program>),
    /// How the launcher stands.
    Launcher(Launcher),
    /// Certificates that a host showed.
    Chain(Shown),
    /// Names of hosts.
    Hosts(Vec<String>),
    /// Objects of a directory.
    Entries(Box<Found>),
    /// What a domain holds.
    Counted(Box<Counted>),
    /// Groups that were looked for.
    LargeGroups(Box<FoundGroups>),
    /// Leave was given.
    Permit {
        /// What changed the same gMSA object before, where something did.
        after: Option<GmsaChange>,
    },
    /// A named person said that what was polled for is so: it takes the place of the last round.
    Attested {
        /// Who says so.
        by: String,
    },
    /// So many rounds of polling are over: it takes their place.
    Rounds(u32),
    /// It is done.
    Done,
    /// It could not be done, or not be found out; for people.
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_takes_the_one_secret_along_that_it_is_asked_with() {
        let kind = SecretKind::DomainCredential {
            domain: "corp.test".parse().unwrap(),
        };
        let asked_as = |account: DirectoryAccount| {
            Op::Search(Box::new(Search {
                server: "dc1.corp.test".to_owned(),
                account,
                base: String::new(),
                scope: Scope::Base,
                filter: "(objectClass=*)".to_owned(),
                attributes: Vec::new(),
            }))
        };
        let given = asked_as(DirectoryAccount::Given(kind.clone()));
        assert_eq!(given.secrets(), std::slice::from_ref(&kind));
        assert!(!given.is_glance(), "a glance has no secrets");
        for account in [DirectoryAccount::Nobody, DirectoryAccount::Server] {
            assert!(asked_as(account).secrets().is_empty());
        }
        let script = Op::Script {
            script: Script::InspectHost,
            input: serde_json::Value::Null,
            secrets: vec![kind.clone()],
            limit: Duration::ZERO,
        };
        assert_eq!(script.secrets(), [kind]);
        assert!(Op::Machine.secrets().is_empty());
    }

    #[test]
    fn suffixes_are_told_apart_up_to_a_limit_and_none_is_lost() {
        let mut counted = Counted::default();
        let mut add = |class: &str, principal: Option<&str>| {
            let text = |value: &str| vec![value.as_bytes().to_vec()];
            let mut entry = DirectoryEntry::default();
            entry.values.insert("objectclass".to_owned(), text(class));
            if let Some(principal) = principal {
                let name = "userprincipalname".to_owned();
                entry.values.insert(name, text(principal));
            }
            counted.add(&entry);
        };
        add("group", Some("group@corp.test"));
        add("user", None);
        add("user", Some("odd"));
        add("user", Some("a@b@Corp.Test"));
        for number in 0..2 * Counted::MOST_SUFFIXES {
            add("user", Some(&format!("u@{number}.test")));
        }
        add("user", Some("c@corp.test"));
        assert_eq!(counted.suffixes[""], 2);
        assert_eq!(counted.suffixes["corp.test"], 2);
        assert_eq!(counted.suffixes.len(), Counted::MOST_SUFFIXES);
        let told = counted.suffixes.values().sum::<u64>();
        assert_eq!(told + counted.beyond, counted.users);
        assert_eq!(counted.objects, counted.users + 1);
    }
}
