//! Performs operations on this Windows server: registry, services, files, installers, PowerShell, ports.
#![expect(
    unsafe_code,
    reason = "the few Windows calls that no safe library offers, each with its reason"
)]

pub(super) mod locator;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_core::op::{Log, Op, Outcome, Program, ProgramKind, RegistryValue, Service};
use agent_core::product;
use protocol::Digest;
use protocol::facts::ServiceState;
use protocol::signed::{ArtifactKind, ArtifactRef};
use tokio::process::Command;
use tokio::time::Instant;
use windows_registry::{LOCAL_MACHINE, Type};
use windows_service::service::{
    Service as WindowsService, ServiceAccess, ServiceStartType, ServiceState as WindowsState,
};
use windows_service::service_manager::{ServiceManager, ServiceManagerAccess};
use windows_sys::Win32::Foundation::{CloseHandle, FILETIME, HANDLE, WAIT_TIMEOUT};
use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION, JobObjectBasicProcessIdList,
    JobObjectExtendedLimitInformation, QueryInformationJobObject, SetInformationJobObject,
    TerminateJobObject,
};
use windows_sys::Win32::System::SystemInformation::{
    ComputerNameDnsFullyQualified, GetComputerNameExW, GlobalMemoryStatusEx, MEMORYSTATUSEX,
};
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_SYNCHRONIZE,
    WaitForSingleObject,
};

use crate::exec::child::{self, Patience, Said, Silence};
use crate::exec::kin::Unwatched;
use crate::exec::powershell::Folders;
use crate::exec::{Secrets, export, installer, logs, patience, places, powershell};
use crate::launched::Launched;
use crate::{artifact, files};

/// How often a service that is to stop or to start is looked at.
const SERVICE_LOOK: Duration = Duration::from_secs(1);

/// How many times.
const SERVICE_LOOKS: u32 = 180;

/// How long a tool of Windows may take that does nothing but ask another service. Its own service manager gives up after 30 s ([K]).
const TOOL: Patience = Patience {
    begins: Duration::from_secs(120),
    ends: Duration::from_secs(120),
};

/// The largest text file that is read whole, in bytes.
const MAX_TEXT: u64 = 1 << 20;

/// Folder in which people find installers: below the agent's own, which is guarded, and as the pages name it.
const STAGED: &str = r"C:\ProgramData\Entrain\staged";

/// ERROR_SERVICE_DOES_NOT_EXIST.
const NO_SUCH_SERVICE: i32 = 1060;

/// Name of the setup's logs, without what comes behind it.
const SETUP_LOG: &str = "provisioning-agent-setup";

/// Name of a removal's logs, without what comes behind it.
const REMOVAL_LOG: &str = "provisioning-agent-removal";

/// Where Windows lists its programs: the 64-bit view and the 32-bit one (product facts 1.12 [K]).
const PROGRAMS: [&str; 2] = [
    r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall",
    r"SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall",
];

/// Folder in which Windows keeps the setups of bundles (product facts 1.1 [S]).
const PACKAGE_CACHE: &str = r"%ProgramData%\Package Cache";

/// Windows Installer.
const MSIEXEC: &str = r"%SystemRoot%\System32\msiexec.exe";

/// Program that restarts Windows ([K]).
const SHUTDOWN: &str = r"%SystemRoot%\System32\shutdown.exe";

/// What it is told: a planned restart for an installation of software, after a minute in which whoever is signed in reads why.
const RESTART: [&str; 7] = [
    "/r",
    "/t",
    "60",
    "/d",
    "p:4:2",
    "/c",
    "Entrain restarts this server: a product that is installed by it, or Windows itself, waits for a restart",
];

/// Its exit codes where Windows goes down already (ERROR_SHUTDOWN_IS_SCHEDULED, ERROR_SHUTDOWN_IN_PROGRESS; [K]).
const UNDER_WAY: [i32; 2] = [1190, 1115];

/// How long Windows may take to go down: updates that are finished then may take an hour, with this agent still running ([K]).
const GOES_DOWN: Duration = Duration::from_secs(2 * 3600);

/// Restarts Windows. Whoever is answered has not been restarted so far; the answer says whether the order was taken back.
async fn restart_windows() -> Outcome {
    let told = match shutdown(&RESTART).await {
        Ok(output) => output,
        Err(why) => return Outcome::Failed(why),
    };
    let under_way = |code: i32| UNDER_WAY.contains(&code);
    if !told.status.success() && !told.status.code().is_some_and(under_way) {
        let said = [told.printed, told.errors].concat();
        let said = String::from_utf8_lossy(&said);
        let code = told.status.code().unwrap_or(-1);
        return Outcome::Failed(format!("shutdown.exe ended with {code}: {}", said.trim()));
    }
    tokio::time::sleep(GOES_DOWN).await;
    let hours = GOES_DOWN.as_secs() / 3600;
    let taken_back = shutdown(&["/a"])
        .await
        .is_ok_and(|said| said.status.success());
    let taken_back = if taken_back {
        "the order was taken back"
    } else {
        "the order could not be taken back: it may restart yet"
    };
    Outcome::Failed(format!(
        "it was told to, and did not within {hours} hours; {taken_back}"
    ))
}

async fn shutdown(arguments: &[&str]) -> Result<Said, String> {
    tool(SHUTDOWN, arguments).await
}

/// Runs a tool of Windows to its end.
async fn tool(program: &str, arguments: &[&str]) -> Result<Said, String> {
    let program = &places::expand(program);
    let mut command = Command::new(program);
    command.args(arguments);
    let said = child::talk(command, Vec::new(), TOOL).await;
    said.map_err(|silence| match silence {
        Silence::NeverBegan | Silence::TookTooLong => format!(
            "{program} did not end within {} s and was ended",
            TOOL.ends.as_secs()
        ),
        Silence::SaidTooMuch => format!("{program} printed without end"),
        Silence::Failed(why) => format!("{program} could not be run: {why}"),
    })
}

/// This server.
#[derive(Debug)]
pub struct WindowsExec {
    folder: PathBuf,
    launched: Launched,
}

impl WindowsExec {
    /// This server, for the agent with that state folder.
    #[must_use]
    pub fn new(folder: &Path, launched: Launched) -> Self {
        Self {
            folder: folder.to_owned(),
            launched,
        }
    }

    /// The launcher's side.
    pub(super) const fn launched(&self) -> &Launched {
        &self.launched
    }

    /// Performs one operation.
    pub async fn perform(&self, op: &Op, secrets: &Secrets) -> Outcome {
        match op {
            Op::Machine => machine(),
            Op::Registry { key, value } => registry(key, value),
            Op::RegistryKey { key } => match LOCAL_MACHINE.open(key) {
                Ok(_) => Outcome::Exists(true),
                Err(error) if is_absent(error.code().0) => Outcome::Exists(false),
                Err(error) => Outcome::Failed(error.to_string()),
            },
            Op::RestartServer => restart_windows().await,
            Op::RequireRestart => {
                // A volatile key: Windows forgets it when it restarts.
                let mut options = LOCAL_MACHINE.options();
                let made = options
                    .create()
                    .write()
                    .volatile()
                    .open(product::RESTART_KEY);
                done(made.map(drop).map_err(|error| error.to_string()))
            }
            Op::SetRegistry { key, value, data } => done(set_registry(key, value, data)),
            Op::ClearRegistry { key, value } => done(clear_registry(key, value)),
            Op::Service { name } => service(name).map_or_else(Outcome::Failed, Outcome::Service),
            Op::ServiceAge { name } => service_age(name).map_or_else(Outcome::Failed, Outcome::Age),
            Op::EnableService { name } => done(configure(name, "demand").await),
            Op::AutomateService { name } => done(configure(name, "auto").await),
            Op::DisableService { name } => done(match configure(name, "disabled").await {
                Ok(()) => stop(name).await,
                failed => failed,
            }),
            Op::RestartService { name } => done(restart(name).await),
            Op::FileText { path } => text(&here(path)).map_or_else(Outcome::Failed, Outcome::Text),
            Op::ConnectExport => {
                let newest = export::newest(&here(product::CONNECT_DATA));
                let newest = newest.map(|newest| newest.map(Box::new));
                newest.map_or_else(Outcome::Failed, Outcome::Export)
            }
            Op::ReplaceText { path, before, text } => {
                done(self.replace_text(&here(path), before, text))
            }
            Op::FileVersion { path } => file_version(&here(path)),
            // The agent itself answers, which has them.
            Op::SecretsFit { .. } => Outcome::Exists(false),
            // The launcher's side answers.
            Op::Launcher | Op::SwitchAgent { .. } => {
                Outcome::Failed("it was not started by entrain-launcher".to_owned())
            }
            Op::Fetch { .. } | Op::FetchRelease { .. } => {
                Outcome::Failed("artifacts are fetched before they come here".to_owned())
            }
            Op::Stage { artifact, name } => self.stage(artifact, name),
            Op::AwaitInstaller => self.await_installer().await,
            Op::Install {
                artifact,
                arguments,
                log,
            } => self.install(artifact, arguments, *log).await,
            Op::Programs { names } => {
                programs(names).map_or_else(Outcome::Failed, Outcome::Programs)
            }
            Op::Uninstall { program, log } => self.uninstall(program, *log).await,
            Op::PathExists { path } => match here(path).try_exists() {
                Ok(exists) => Outcome::Exists(exists),
                Err(error) => Outcome::Failed(format!("{path}: {error}")),
            },
            Op::ReadLog { log } => self.read_log(*log),
            Op::Script {
                script,
                input,
                limit,
                ..
            } => {
                let folders = Folders {
                    agent: agent_folder(),
                    engine: engine_folder(),
                };
                let input = powershell::input(*script, input, &folders, secrets);
                let ran = powershell::run(powershell::text(*script), &input, *limit).await;
                ran.map_or_else(Outcome::Failed, |lines| Outcome::Script { lines })
            }
            Op::Reach { .. }
            | Op::ReachThrough { .. }
            | Op::LookThrough { .. }
            | Op::ReachByDatagram { .. }
            | Op::ReachByRpc { .. }
            | Op::Search(_)
            | Op::Census(_)
            | Op::LargeGroups(_)
            | Op::FindDomainControllers { .. }
            | Op::Wait { .. } => super::network(op, secrets)
                .await
                .unwrap_or_else(|| Outcome::Failed("no question to the network".to_owned())),
        }
    }

    fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    fn stage(&self, artifact: &ArtifactRef, name: &str) -> Outcome {
        let from = artifact::path(&self.folder, &artifact.sha256);
        let to = Path::new(STAGED).join(name);
        let copied = fs::create_dir_all(STAGED).and_then(|()| {
            let part = to.with_extension("part");
            fs::copy(&from, &part)?;
            fs::rename(&part, &to)
        });
        match copied {
            Ok(()) => Outcome::Staged {
                path: to.display().to_string(),
            },
            Err(error) => Outcome::Failed(error.to_string()),
        }
    }

    /// What stood in the file is kept under its digest: an administrator finds it there.
    fn replace_text(&self, path: &Path, before: &Digest, new: &str) -> Result<(), String> {
        let old = text(path)?.ok_or("it is not there any more")?;
        if Digest::of(old.as_bytes()) != *before {
            return Err("it has changed since it was read".to_owned());
        }
        let kept = self.folder.join("kept");
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let kept_as = kept.join(format!("{name}.{}", before.short()));
        let write = fs::create_dir_all(&kept)
            .and_then(|()| files::write(&kept_as, old.as_bytes()))
            .and_then(|()| files::write(path, new.as_bytes()));
        write.map_err(|error| error.to_string())
    }

    fn begun_path(&self) -> PathBuf {
        self.folder.join("installer.json")
    }

    /// Runs the installer from the bytes whose digest is checked once more just before.
    async fn install(&self, artifact: &ArtifactRef, arguments: &[String], log: Log) -> Outcome {
        let from = artifact::path(&self.folder, &artifact.sha256);
        // The product's setup is an executable around its packages (product facts 1.1); its arguments are not those of a
        // bare package.
        if artifact.kind != ArtifactKind::Exe {
            return Outcome::Failed(
                "it is a Windows Installer package and no setup executable".to_owned(),
            );
        }
        if let Some(still_runs) = installer::still_runs(&self.begun_path()) {
            return still_runs;
        }
        let program = from.with_extension("exe");
        let Log::ProvisioningAgentSetup = log else {
            return Outcome::Failed("no setup writes that log".to_owned());
        };
        let log = self.logs().join(format!("{SETUP_LOG}.log"));
        // A setup that ends before it writes must not be judged by what another one wrote.
        let prepared = fs::create_dir_all(self.logs())
            .and_then(|()| logs::clear(&self.logs(), SETUP_LOG))
            .and_then(|()| fs::copy(&from, &program));
        if let Err(error) = prepared {
            return Outcome::Failed(format!("the installer cannot be put in place: {error}"));
        }
        // The very file that is run.
        match artifact::digest_file(&program) {
            Ok(digest) if digest == artifact.sha256 => {}
            Ok(_) => {
                return Outcome::Failed(
                    "the installer was altered after it was verified".to_owned(),
                );
            }
            Err(error) => return Outcome::Failed(format!("the installer cannot be read: {error}")),
        }
        let mut command = Command::new(&program);
        command.args(arguments).arg("/log").arg(&log);
        let outcome = installer::run(command, &self.begun_path(), patience::installer()).await;
        drop(fs::remove_file(&program));
        outcome
    }

    /// Takes a program off: a bundle by the setup that Windows kept for it, whose signature is checked before; a package by
    /// Windows Installer, under its product code.
    async fn uninstall(&self, program: &Program, log: Log) -> Outcome {
        let Log::ProvisioningAgentRemoval = log else {
            return Outcome::Failed("no removal writes that log".to_owned());
        };
        if let Some(still_runs) = installer::still_runs(&self.begun_path()) {
            return still_runs;
        }
        let log = self.logs().join(format!("{REMOVAL_LOG}.log"));
        let prepared =
            fs::create_dir_all(self.logs()).and_then(|()| logs::clear(&self.logs(), REMOVAL_LOG));
        if let Err(error) = prepared {
            return Outcome::Failed(format!("the log cannot be put in place: {error}"));
        }
        let command = match program.kind {
            ProgramKind::Bundle => match self.kept_setup(&program.id) {
                Ok(setup) => {
                    let mut command = Command::new(setup);
                    command
                        .args(["/uninstall", "/quiet", "/norestart", "/log"])
                        .arg(&log);
                    command
                }
                Err(why) => return Outcome::Failed(why),
            },
            ProgramKind::Package if is_product_code(&program.id) => {
                let mut command = Command::new(places::expand(MSIEXEC));
                command
                    .args(["/x", &program.id, "/qn", "/norestart", "/l*v"])
                    .arg(&log);
                command
            }
            ProgramKind::Package | ProgramKind::Other => {
                return Outcome::Failed(format!("{} is no product code", program.id));
            }
        };
        let outcome = installer::run(command, &self.begun_path(), patience::installer()).await;
        // There is one where a bundle was run.
        drop(fs::remove_file(self.own_setup()));
        outcome
    }

    fn own_setup(&self) -> PathBuf {
        self.folder.join("artifacts").join("removal.exe")
    }

    /// The setup that Windows kept of a bundle, as a copy of the agent's own: the very bytes whose signature is checked are
    /// those that are run. It lies with the artifacts, so that a later life of the agent sees that it is still held.
    fn kept_setup(&self, id: &str) -> Result<PathBuf, String> {
        let kept = cached_setup(id)?;
        let own = self.own_setup();
        let copied =
            fs::create_dir_all(self.folder.join("artifacts")).and_then(|()| fs::copy(&kept, &own));
        copied.map_err(|error| format!("its setup cannot be put in place: {error}"))?;
        let checked = is_the_products(&own);
        if checked.is_err() {
            drop(fs::remove_file(&own));
        }
        checked
            .map(|()| own)
            .map_err(|why| format!("its setup {} {why}", kept.display()))
    }

    /// Waits for an installer of an earlier life that still runs, and whatever it has begun; or, where that life ended before it
    /// could write them down, for whoever holds the file that was run.
    async fn await_installer(&self) -> Outcome {
        let patience = patience::installer();
        let deadline = Instant::now() + patience.ends;
        if let Err(why) = installer::await_earlier(&self.begun_path(), patience).await {
            return Outcome::Failed(why);
        }
        let holding = self.folder.join("artifacts");
        for entry in fs::read_dir(holding).into_iter().flatten().flatten() {
            let path = entry.path();
            let run = path
                .extension()
                .is_some_and(|extension| extension == "exe" || extension == "msi");
            while run && is_held(&path) {
                if Instant::now() >= deadline {
                    return Outcome::Failed(format!("somebody still holds {}", path.display()));
                }
                tokio::time::sleep(patience.look).await;
            }
        }
        Outcome::Done
    }

    fn read_log(&self, log: Log) -> Outcome {
        let lines = match log {
            Log::ProvisioningAgentSetup => logs::of_setup(&self.logs(), SETUP_LOG),
            Log::ProvisioningAgentRemoval => logs::of_setup(&self.logs(), REMOVAL_LOG),
            Log::ProvisioningAgentTrace => logs::newest(&here(product::AGENT_TRACES)),
            Log::ConnectTrace => logs::newest_of(&here(product::CONNECT_DATA), "trace-", DAY),
        };
        lines.map_or_else(|error| Outcome::Failed(error.to_string()), Outcome::Lines)
    }
}

/// A trace that nobody has written to for as long is of other work.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The programs of these names in both of Windows' lists.
fn programs(names: &[String]) -> Result<Vec<Program>, String> {
    let mut found: Vec<Program> = Vec::new();
    for list in PROGRAMS {
        let list = match LOCAL_MACHINE.open(list) {
            Ok(list) => list,
            Err(error) if is_absent(error.code().0) => continue,
            Err(error) => return Err(error.to_string()),
        };
        for id in list.keys().map_err(|error| error.to_string())? {
            let entry = match list.open(&id) {
                Ok(entry) => entry,
                // Gone since it was listed.
                Err(error) if is_absent(error.code().0) => continue,
                Err(error) => return Err(format!("{id}: {error}")),
            };
            let name = match entry.get_string("DisplayName") {
                Ok(name) => name,
                // Updates and parts have no name.
                Err(error) if is_absent(error.code().0) => continue,
                Err(error) => return Err(format!("the name of {id}: {error}")),
            };
            if !names
                .iter()
                .any(|wanted| wanted.eq_ignore_ascii_case(&name))
            {
                continue;
            }
            let kind = if entry.get_string("BundleCachePath").is_ok() {
                ProgramKind::Bundle
            } else if entry.get_u32("WindowsInstaller") == Ok(1) && is_product_code(&id) {
                ProgramKind::Package
            } else {
                ProgramKind::Other
            };
            let program = Program { id, name, kind };
            if !found.contains(&program) {
                found.push(program);
            }
        }
    }
    Ok(found)
}

/// A GUID in braces.
fn is_product_code(id: &str) -> bool {
    let inner = id.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
    inner.is_some_and(|inner| {
        let lengths: Vec<usize> = inner.split('-').map(str::len).collect();
        let hex = |letter: char| letter.is_ascii_hexdigit() || letter == '-';
        lengths == [8, 4, 4, 4, 12] && inner.chars().all(hex)
    })
}

/// Where Windows has kept the setup of a bundle; one that lies outside of its cache is not looked at.
fn cached_setup(id: &str) -> Result<PathBuf, String> {
    let path = PROGRAMS.iter().find_map(|list| {
        let entry = LOCAL_MACHINE.open(format!("{list}\\{id}")).ok()?;
        entry.get_string("BundleCachePath").ok()
    });
    let path = PathBuf::from(path.ok_or("Windows does not say where its setup lies")?);
    let cache = &here(PACKAGE_CACHE);
    let real = |path: &Path| {
        fs::canonicalize(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    if !real(&path)?.starts_with(real(cache)?) {
        return Err(format!(
            "its setup {} lies outside of {}, and is not run",
            path.display(),
            cache.display()
        ));
    }
    Ok(path)
}

/// Whether a file is a setup of the product, signed as the vendor signs it.
fn is_the_products(path: &Path) -> Result<(), String> {
    let seen = provenance::inspect(path)
        .map_err(|error| format!("was refused: {}", crate::agent::chain(&error)))?;
    if seen.product != protocol::step::Product::ProvisioningAgent || seen.kind != ArtifactKind::Exe
    {
        return Err(format!("is that of {}", seen.product.as_str()));
    }
    Ok(())
}

/// Looks at a fetched artifact: its Authenticode chain, product and version must be what the manifest says.
///
/// # Errors
/// When it is not what the vendor signs.
pub fn accept_artifact(path: &Path, artifact: &ArtifactRef) -> Result<(), String> {
    let seen = provenance::inspect(path)
        .map_err(|error| format!("the installer was refused: {}", crate::agent::chain(&error)))?;
    let same = seen.version == artifact.version
        && seen.kind == artifact.kind
        && seen.product == artifact.product;
    if !same {
        return Err(format!(
            "the installer was refused: it is the {} {}, the bundle says {} {}",
            seen.product.as_str(),
            seen.version,
            artifact.product.as_str(),
            artifact.version
        ));
    }
    Ok(())
}

/// Tells whether a process runs this program or has this package open: Windows then lets nobody write to it.
fn is_held(path: &Path) -> bool {
    const SHARING_VIOLATION: i32 = 32;
    let opened = fs::OpenOptions::new().write(true).open(path);
    opened.is_err_and(|error| error.raw_os_error() == Some(SHARING_VIOLATION))
}

fn done(result: Result<(), String>) -> Outcome {
    result.map_or_else(Outcome::Failed, |()| Outcome::Done)
}

/// A path of the core, on this server.
fn here(path: &str) -> PathBuf {
    PathBuf::from(places::expand(path))
}

fn agent_folder() -> String {
    let key = LOCAL_MACHINE.open(product::AGENT_KEY);
    let folder = key.and_then(|key| key.get_string(product::AGENT_FOLDER_VALUE));
    places::expand(folder.as_deref().unwrap_or(product::AGENT_FOLDER))
}

/// The folder of the engine's programs, as its service tells it; the one by default where there is none, or none that can be read: the
/// script then says what it did not find.
fn engine_folder() -> String {
    let image = registry(product::CONNECT_SERVICE_KEY, product::IMAGE_PATH);
    let told = match image {
        Outcome::Registry(Some(image)) => product::folder_of_image(&image).ok(),
        _ => None,
    };
    places::expand(told.as_deref().unwrap_or(product::CONNECT_BIN))
}

fn is_absent(code: i32) -> bool {
    const NOT_FOUND: [u32; 2] = [0x8007_0002, 0x8007_0003];
    NOT_FOUND.contains(&code.cast_unsigned())
}

/// What cannot be read is not what is absent.
fn absent_or_failed(code: i32, text: String) -> Outcome {
    if is_absent(code) {
        Outcome::Registry(None)
    } else {
        Outcome::Failed(text)
    }
}

/// A file that is there and does not tell its version is not one that is absent.
fn file_version(path: &Path) -> Outcome {
    match path.try_exists() {
        Ok(false) => Outcome::FileVersion(None),
        Ok(true) => match provenance::file_version(path) {
            Some(version) => Outcome::FileVersion(Some(version)),
            None => Outcome::Failed(format!("{} does not tell its version", path.display())),
        },
        Err(error) => Outcome::Failed(format!("{}: {error}", path.display())),
    }
}

fn registry(key: &str, value: &str) -> Outcome {
    let key = match LOCAL_MACHINE.open(key) {
        Ok(key) => key,
        Err(error) => return absent_or_failed(error.code().0, error.to_string()),
    };
    let kind = match key.get_type(value) {
        Ok(kind) => kind,
        Err(error) => return absent_or_failed(error.code().0, error.to_string()),
    };
    let read = match kind {
        Type::U32 => key.get_u32(value).map(RegistryValue::Number),
        Type::String => key.get_string(value).map(RegistryValue::Text),
        Type::ExpandString => key.get_string(value).map(RegistryValue::Expandable),
        Type::Bytes => key.get_value(value).map(|bytes| {
            if bytes.is_empty() {
                RegistryValue::Empty
            } else {
                RegistryValue::Other
            }
        }),
        _ => Ok(RegistryValue::Other),
    };
    read.map_or_else(
        |error| Outcome::Failed(error.to_string()),
        |value| Outcome::Registry(Some(value)),
    )
}

fn set_registry(key: &str, value: &str, data: &RegistryValue) -> Result<(), String> {
    let key = LOCAL_MACHINE
        .create(key)
        .map_err(|error| error.to_string())?;
    match data {
        RegistryValue::Number(number) => key.set_u32(value, *number),
        RegistryValue::Text(text) => key.set_string(value, text),
        RegistryValue::Expandable(text) => key.set_expand_string(value, text),
        RegistryValue::Other | RegistryValue::Empty => {
            return Err("only numbers and texts are set".to_owned());
        }
    }
    .map_err(|error| error.to_string())
}

/// Takes a value away; one that is not there is away.
fn clear_registry(key: &str, value: &str) -> Result<(), String> {
    let mut options = LOCAL_MACHINE.options();
    let cleared = options.write().open(key);
    match cleared.and_then(|key| key.remove_value(value)) {
        Ok(()) => Ok(()),
        Err(error) if is_absent(error.code().0) => Ok(()),
        Err(error) => Err(error.to_string()),
    }
}

/// Looks at a service; `None` where there is none of that name.
///
/// One look at a time: Wine takes a thread's handle away from it while another of the same process closes its own, and no
/// look lasts long enough to be missed.
fn look<T>(
    name: &str,
    access: ServiceAccess,
    at: impl FnOnce(&WindowsService) -> windows_service::Result<T>,
) -> Result<Option<T>, String> {
    static ONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one = ONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let manager = ServiceManager::local_computer(None::<&str>, ServiceManagerAccess::CONNECT);
    let opened = manager.and_then(|manager| manager.open_service(name, access));
    match opened.and_then(|service| at(&service)) {
        Ok(seen) => Ok(Some(seen)),
        Err(windows_service::Error::Winapi(error)) => match error.raw_os_error() {
            Some(NO_SUCH_SERVICE) => Ok(None),
            _ => Err(error.to_string()),
        },
        Err(error) => Err(error.to_string()),
    }
}

fn service(name: &str) -> Result<Option<Service>, String> {
    let access = ServiceAccess::QUERY_STATUS | ServiceAccess::QUERY_CONFIG;
    let seen = look(name, access, |service| {
        Ok((service.query_status()?, service.query_config()?))
    })?;
    let Some((status, config)) = seen else {
        return Ok(None);
    };
    let state = match (status.current_state, config.start_type) {
        (WindowsState::Running, _) => ServiceState::Running,
        // One that is still stopping does its work to the end.
        (WindowsState::Stopped, ServiceStartType::Disabled) => ServiceState::Disabled,
        _ => ServiceState::NotRunning,
    };
    let account = config
        .account_name
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    Ok(Some(Service {
        state,
        account,
        automatic: config.start_type == ServiceStartType::AutoStart,
    }))
}

/// Sets how Windows starts a service. `sc config` is what the documentation of Windows gives for it.
async fn configure(name: &str, start: &str) -> Result<(), String> {
    let said = sc(&["config", name, "start=", start]).await?;
    if said.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&said.printed).trim().to_owned())
    }
}

/// The text of a small file; none where there is no such file.
fn text(path: &Path) -> Result<Option<String>, String> {
    let size = match fs::metadata(path) {
        Ok(file) => file.len(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    if size > MAX_TEXT {
        return Err(format!(
            "it has {size} bytes, which is no configuration file"
        ));
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    Ok(Some(text))
}

/// Stops a service and starts it again. It must run at the end; a stop may take its time (1.11: clean shutdown).
async fn restart(name: &str) -> Result<(), String> {
    stop(name).await?;
    let stopped = await_state(name, |state| state == WindowsState::Stopped, "stop").await;
    // Also one that takes too long to stop is started: it must not stay down.
    let said = sc(&["start", name]).await?;
    stopped?;
    if !said.status.success() {
        return Err(String::from_utf8_lossy(&said.printed).trim().to_owned());
    }
    await_state(name, |state| state == WindowsState::Running, "start").await
}

fn current(name: &str) -> Result<WindowsState, String> {
    let status = look(name, ServiceAccess::QUERY_STATUS, |service| {
        service.query_status()
    })?;
    let status = status.ok_or_else(|| format!("there is no service {name}"))?;
    Ok(status.current_state)
}

async fn await_state(
    name: &str,
    is: impl Fn(WindowsState) -> bool,
    what: &str,
) -> Result<(), String> {
    for _ in 0..SERVICE_LOOKS {
        if is(current(name)?) {
            return Ok(());
        }
        tokio::time::sleep(SERVICE_LOOK).await;
    }
    Err(format!("{name} did not {what} within {SERVICE_LOOKS} s"))
}

/// How long the process of a service has run, by the clock of this server; none where it does not.
fn service_age(name: &str) -> Result<Option<Duration>, String> {
    /// From the beginning of Windows' times to that of Unix, in seconds.
    const BETWEEN: u64 = 11_644_473_600;
    let Some(status) = look(name, ServiceAccess::QUERY_STATUS, |service| {
        service.query_status()
    })?
    else {
        return Ok(None);
    };
    let Some(pid) = status.process_id.filter(|pid| *pid != 0) else {
        return Ok(None);
    };
    let began = created(pid).ok_or_else(|| format!("when process {pid} began is not told"))?;
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_err(|error| error.to_string())?;
    let now = now + Duration::from_secs(BETWEEN);
    Ok(Some(
        now.saturating_sub(Duration::from_millis(began / 10_000)),
    ))
}

/// Asks a service to stop; one that does not run is stopped.
async fn stop(name: &str) -> Result<(), String> {
    /// ERROR_SERVICE_NOT_ACTIVE.
    const NOT_ACTIVE: i32 = 1062;
    /// ERROR_SERVICE_CANNOT_ACCEPT_CTRL: it is stopping already.
    const STOPPING: i32 = 1061;
    let said = sc(&["stop", name]).await?;
    let code = said.status.code();
    if said.status.success() || code == Some(NOT_ACTIVE) || code == Some(STOPPING) {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&said.printed).trim().to_owned())
    }
}

async fn sc(arguments: &[&str]) -> Result<Said, String> {
    tool(r"%SystemRoot%\System32\sc.exe", arguments).await
}

fn machine() -> Outcome {
    let mut memory = MEMORYSTATUSEX {
        dwLength: u32::try_from(size_of::<MEMORYSTATUSEX>()).unwrap_or(0),
        ..MEMORYSTATUSEX::default()
    };
    // SAFETY: the structure is alive, writable and says its own length, as the call asks for.
    let told = unsafe { GlobalMemoryStatusEx(&raw mut memory) };
    let drive = places::expand("%SystemDrive%\\\0");
    let drive: Vec<u16> = drive.encode_utf16().collect();
    let mut free = 0_u64;
    // SAFETY: the path ends with a zero; the one result pointer is alive and writable, and the others may be null.
    let asked = unsafe {
        GetDiskFreeSpaceExW(
            drive.as_ptr(),
            &raw mut free,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    };
    if told == 0 || asked == 0 {
        return Outcome::Failed(std::io::Error::last_os_error().to_string());
    }
    Outcome::Machine {
        memory_mib: memory.ullTotalPhys >> 20,
        disk_free_mib: free >> 20,
    }
}

/// The full DNS name of this server.
#[must_use]
pub fn dns_name() -> Option<String> {
    let mut buffer = [0_u16; 512];
    let mut length = u32::try_from(buffer.len()).ok()?;
    // SAFETY: the buffer is alive and as long as told; the call writes the used length back.
    let told = unsafe {
        GetComputerNameExW(
            ComputerNameDnsFullyQualified,
            buffer.as_mut_ptr(),
            &raw mut length,
        )
    };
    let name = buffer.get(..usize::try_from(length).ok()?)?;
    (told != 0).then(|| String::from_utf16_lossy(name))
}

/// A job: a child and whatever it begins, for Windows puts these into it too.
#[derive(Debug)]
pub(super) struct Job(HANDLE);

// SAFETY: the handle is a number that any thread may use; it is closed once, by the owner.
unsafe impl Send for Job {}
// SAFETY: what is asked of the job through a shared reference, Windows does one at a time.
unsafe impl Sync for Job {}

impl Drop for Job {
    fn drop(&mut self) {
        // SAFETY: the handle was opened by this type and is closed once.
        unsafe { CloseHandle(self.0) };
    }
}

impl Job {
    /// That of a child. Where it is to end unwatched, everybody in it ends when the job is dropped, or with this process, also
    /// one that is killed.
    pub(super) fn of(child: &tokio::process::Child, unwatched: Unwatched) -> std::io::Result<Self> {
        let failed = std::io::Error::last_os_error;
        // SAFETY: both pointers may be null: no attributes, no name.
        let handle = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
        if handle.is_null() {
            return Err(failed());
        }
        let job = Self(handle);
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        if unwatched == Unwatched::Ends {
            limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
        }
        let length = u32::try_from(size_of_val(&limits)).unwrap_or(0);
        let pointer = (&raw const limits).cast();
        // SAFETY: the structure is alive, of the class that is named, and as long as told.
        let set = unsafe {
            SetInformationJobObject(job.0, JobObjectExtendedLimitInformation, pointer, length)
        };
        let process = child.raw_handle().unwrap_or(std::ptr::null_mut());
        // SAFETY: both handles are open; the child's is its own until it is dropped.
        if set == 0 || unsafe { AssignProcessToJobObject(job.0, process) } == 0 {
            return Err(failed());
        }
        Ok(job)
    }

    /// The ids of all who are in it; what of them is beyond the first hundred is seen once those have ended.
    pub(super) fn members(&self) -> Vec<u32> {
        const MOST: usize = 100;
        /// JOBOBJECT_BASIC_PROCESS_ID_LIST, with room.
        #[repr(C)]
        struct List {
            assigned: u32,
            listed: u32,
            ids: [usize; MOST],
        }
        let mut list = List {
            assigned: 0,
            listed: 0,
            ids: [0; MOST],
        };
        let length = u32::try_from(size_of_val(&list)).unwrap_or(0);
        // SAFETY: the structure is alive, writable, of the class that is named, and as long as told; none need be told the length.
        unsafe {
            QueryInformationJobObject(
                self.0,
                JobObjectBasicProcessIdList,
                (&raw mut list).cast(),
                length,
                std::ptr::null_mut(),
            )
        };
        // A list that is too long is filled as far as it goes.
        let listed = usize::try_from(list.listed).unwrap_or(0).min(MOST);
        let ids = list.ids[..listed].iter();
        ids.filter_map(|id| u32::try_from(*id).ok()).collect()
    }

    /// Ends all who are in it.
    pub(super) fn end(&self) {
        // SAFETY: the handle is open; that it fails shows in who still runs.
        unsafe { TerminateJobObject(self.0, 1) };
    }
}

/// Processes by their numbers.
pub(super) mod processes {
    use windows_sys::Win32::Foundation::INVALID_HANDLE_VALUE;
    use windows_sys::Win32::System::Diagnostics::ToolHelp::{
        CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW,
        TH32CS_SNAPPROCESS,
    };

    use windows_sys::Win32::System::Threading::{
        OpenProcess, PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_TERMINATE, TerminateProcess,
    };

    use super::Process;
    pub(in crate::exec) use super::{created, is_running as runs};
    use crate::exec::kin::{self, Listed};

    /// Ends one process, unless another one has come to its number.
    pub(in crate::exec) fn end(one: &kin::Process) {
        let access = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_TERMINATE;
        // SAFETY: the call takes plain values and gives a handle, or null when there is no such process.
        let handle = unsafe { OpenProcess(access, 0, one.pid) };
        if handle.is_null() {
            return;
        }
        // While it is held its number is nobody else's.
        let process = Process(handle);
        if created(one.pid) == Some(one.created) {
            // SAFETY: the handle is open; that it fails shows in who still runs.
            unsafe { TerminateProcess(process.0, 1) };
        }
    }

    /// All processes; none where Windows does not list them.
    pub(in crate::exec) fn all() -> Vec<Listed> {
        // SAFETY: the call takes plain values and gives a handle, or the invalid one.
        let handle = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
        if handle == INVALID_HANDLE_VALUE {
            return Vec::new();
        }
        // It closes like one.
        let snapshot = Process(handle);
        let mut entry = PROCESSENTRY32W {
            dwSize: u32::try_from(size_of::<PROCESSENTRY32W>()).unwrap_or(0),
            ..PROCESSENTRY32W::default()
        };
        let mut all = Vec::new();
        // SAFETY: the handle is open, the entry is alive, writable and says its own length; the same below.
        let mut more = unsafe { Process32FirstW(snapshot.0, &raw mut entry) };
        while more != 0 {
            let name = entry.szExeFile.split(|unit| *unit == 0).next();
            all.push(Listed {
                pid: entry.th32ProcessID,
                of: entry.th32ParentProcessID,
                name: String::from_utf16_lossy(name.unwrap_or_default()),
            });
            // SAFETY: as above.
            more = unsafe { Process32NextW(snapshot.0, &raw mut entry) };
        }
        all
    }

    /// The name of a process; empty where it has ended.
    pub(in crate::exec) fn name(pid: u32) -> String {
        let listed = all().into_iter().find(|listed| listed.pid == pid);
        listed.map(|listed| listed.name).unwrap_or_default()
    }
}

struct Process(HANDLE);

impl Process {
    fn open(pid: u32) -> Option<Self> {
        let access = PROCESS_QUERY_LIMITED_INFORMATION | PROCESS_SYNCHRONIZE;
        // SAFETY: the call takes plain values and gives a handle, or null when there is no such process.
        let handle = unsafe { OpenProcess(access, 0, pid) };
        (!handle.is_null()).then_some(Self(handle))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SAFETY: the handle was opened by this type and is closed once.
        unsafe { CloseHandle(self.0) };
    }
}

/// When a process began, in units of 100 ns since Windows' own beginning; also of one that has ended, while somebody holds it.
pub(super) fn created(pid: u32) -> Option<u64> {
    let process = Process::open(pid)?;
    let zero = || FILETIME {
        dwLowDateTime: 0,
        dwHighDateTime: 0,
    };
    let (mut created, mut exited, mut kernel, mut user) = (zero(), zero(), zero(), zero());
    // SAFETY: the handle is open and the four structures are alive and writable.
    let told = unsafe {
        GetProcessTimes(
            process.0,
            &raw mut created,
            &raw mut exited,
            &raw mut kernel,
            &raw mut user,
        )
    };
    (told != 0).then(|| u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime))
}

pub(super) fn is_running(pid: u32) -> bool {
    // SAFETY: the handle is open while it is waited for, without time.
    Process::open(pid)
        .is_some_and(|process| unsafe { WaitForSingleObject(process.0, 0) } == WAIT_TIMEOUT)
}
