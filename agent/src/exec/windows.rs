//! Performs operations on this Windows server: registry, services, files, installers, PowerShell, ports.
#![expect(
    unsafe_code,
    reason = "the few Windows calls that no safe library offers, each with its reason"
)]

pub(super) mod locator;
pub(super) mod processes;
mod registry;
mod services;
mod setups;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_core::op::{Log, LogEnds, Op, Outcome};
use agent_core::product;
use protocol::Digest;
use protocol::signed::ArtifactRef;
use tokio::process::Command;
use windows_registry::LOCAL_MACHINE;
use windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW;
use windows_sys::Win32::System::SystemInformation::{
    ComputerNameDnsFullyQualified, GetComputerNameExW, GlobalMemoryStatusEx, MEMORYSTATUSEX,
};

use crate::exec::child::{self, Patience, Said, Silence};
use crate::exec::powershell::Folders;
use crate::exec::{Secrets, export, logs, places, powershell};
use crate::launched::Launched;
use crate::{artifact, files};

/// How long a tool of Windows may take that does nothing but ask another service. Its own service manager gives up after 30 s ([K]).
const TOOL: Patience = Patience {
    begins: Duration::from_secs(120),
    ends: Duration::from_secs(120),
};

/// The largest text file that is read whole, in bytes.
const MAX_TEXT: u64 = 1 << 20;

/// Folder in which people find installers: below the agent's own, which is guarded, and as the pages name it.
const STAGED: &str = r"C:\ProgramData\Entrain\staged";

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
            Op::Registry { key, value } => registry::read(key, value),
            Op::RegistryKey { key } => registry::is_there(key),
            Op::RestartServer => restart_windows().await,
            Op::RequireRestart => done(registry::until_restart(product::RESTART_KEY)),
            Op::SetRegistry { key, value, data } => done(registry::set(key, value, data)),
            Op::ClearRegistry { key, value } => done(registry::clear(key, value)),
            Op::Service { name } => {
                services::service(name).map_or_else(Outcome::Failed, Outcome::Service)
            }
            Op::ServiceAge { name } => {
                services::service_age(name).map_or_else(Outcome::Failed, Outcome::Age)
            }
            Op::EnableService { name } => done(services::configure(name, "demand").await),
            Op::AutomateService { name } => done(services::configure(name, "auto").await),
            Op::DisableService { name } => {
                done(match services::configure(name, "disabled").await {
                    Ok(()) => services::stop(name).await,
                    failed => failed,
                })
            }
            Op::RestartService { name } => done(services::restart(name).await),
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
                setups::programs(names).map_or_else(Outcome::Failed, Outcome::Programs)
            }
            Op::Uninstall { program, log } => self.uninstall(program, *log).await,
            Op::PathExists { path } => match here(path).try_exists() {
                Ok(exists) => Outcome::Exists(exists),
                Err(error) => Outcome::Failed(format!("{path}: {error}")),
            },
            Op::MeasureLog { log } => self.measure_log(*log),
            Op::ReadLog { log, after } => self.read_log(*log, after.as_ref()),
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

    /// The folder of a log, and how the names of its files begin.
    fn place_of(&self, log: Log) -> (PathBuf, &'static str) {
        match log {
            Log::ProvisioningAgentSetup => (self.logs(), setups::SETUP_LOG),
            Log::ProvisioningAgentRemoval => (self.logs(), setups::REMOVAL_LOG),
            Log::ProvisioningAgentTrace => (here(product::AGENT_TRACES), ""),
            Log::ConnectTrace => (here(product::CONNECT_DATA), "trace-"),
        }
    }

    fn measure_log(&self, log: Log) -> Outcome {
        let (folder, stem) = self.place_of(log);
        let ends = logs::ends(&folder, stem);
        ends.map_or_else(|error| Outcome::Failed(error.to_string()), Outcome::LogEnds)
    }

    fn read_log(&self, log: Log, after: Option<&LogEnds>) -> Outcome {
        let (folder, stem) = self.place_of(log);
        if let Some(after) = after {
            let lines = logs::after(&folder, stem, after);
            return lines.map_or_else(|error| Outcome::Failed(error.to_string()), Outcome::Lines);
        }
        let lines = match log {
            Log::ProvisioningAgentSetup | Log::ProvisioningAgentRemoval => {
                logs::of_setup(&folder, stem)
            }
            Log::ProvisioningAgentTrace => logs::newest(&folder),
            Log::ConnectTrace => logs::newest_of(&folder, stem, DAY),
        };
        lines.map_or_else(|error| Outcome::Failed(error.to_string()), Outcome::Lines)
    }
}

/// A trace that nobody has written to for as long is of other work.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Looks at a fetched artifact: its Authenticode chain, product and version must be what the manifest says.
///
/// # Errors
/// When it is not what the vendor signs.
pub fn accept_artifact(path: &Path, artifact: &ArtifactRef) -> Result<(), String> {
    let seen = provenance::inspect(path)
        .map_err(|error| format!("the installer was refused: {}", protocol::causes(&error)))?;
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
    let image = registry::read(product::CONNECT_SERVICE_KEY, product::IMAGE_PATH);
    let told = match image {
        Outcome::Registry(Some(image)) => product::folder_of_image(&image).ok(),
        _ => None,
    };
    places::expand(told.as_deref().unwrap_or(product::CONNECT_BIN))
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
