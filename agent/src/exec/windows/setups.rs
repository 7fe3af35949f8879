//! Setups and removals: the bytes that are run are those whose digest or signature was just checked.

use std::fs;
use std::path::{Path, PathBuf};

use agent_core::op::{Log, Outcome, Program, ProgramKind};
use protocol::signed::{ArtifactKind, ArtifactRef};
use tokio::process::Command;
use tokio::time::Instant;
use windows_registry::LOCAL_MACHINE;

use crate::artifact;
use crate::exec::windows::registry::is_absent;
use crate::exec::windows::{WindowsExec, here};
use crate::exec::{installer, logs, patience, places};

/// Name of the setup's logs, without what comes behind it.
pub(super) const SETUP_LOG: &str = "provisioning-agent-setup";

/// Name of a removal's logs, without what comes behind it.
pub(super) const REMOVAL_LOG: &str = "provisioning-agent-removal";

/// Where Windows lists its programs: the 64-bit view and the 32-bit one (product facts 1.12 [K]).
const PROGRAMS: [&str; 2] = [
    r"SOFTWARE\Microsoft\Windows\CurrentVersion\Uninstall",
    r"SOFTWARE\WOW6432Node\Microsoft\Windows\CurrentVersion\Uninstall",
];

/// Folder in which Windows keeps the setups of bundles (product facts 1.1 [S]).
const PACKAGE_CACHE: &str = r"%ProgramData%\Package Cache";

/// Windows Installer.
const MSIEXEC: &str = r"%SystemRoot%\System32\msiexec.exe";

impl WindowsExec {
    fn begun_path(&self) -> PathBuf {
        self.folder.join("installer.json")
    }

    /// Runs the installer from the bytes whose digest is checked once more just before.
    pub(super) async fn install(
        &self,
        artifact: &ArtifactRef,
        arguments: &[String],
        log: Log,
    ) -> Outcome {
        let from = artifact::path(&self.folder, &artifact.sha256);
        if let Some(still_runs) = installer::still_runs(&self.begun_path()) {
            return still_runs;
        }
        let program = from.with_extension("exe");
        let Log::ProvisioningAgentSetup = log else {
            return Outcome::Failed("no setup writes that log".to_owned());
        };
        let log = self.logs().join(format!("{SETUP_LOG}.log"));
        // A setup that ends before it writes, or is not run at all, must not be judged by what another one wrote.
        let cleared =
            fs::create_dir_all(self.logs()).and_then(|()| logs::clear(&self.logs(), SETUP_LOG));
        if let Err(error) = cleared {
            return Outcome::Failed(format!("the log cannot be put in place: {error}"));
        }
        // The product's setup is an executable around its packages (product facts 1.1); its arguments are not those of a
        // bare package.
        if artifact.kind != ArtifactKind::Exe {
            return Outcome::Failed(
                "it is a Windows Installer package and no setup executable".to_owned(),
            );
        }
        if let Err(error) = fs::copy(&from, &program) {
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
    pub(super) async fn uninstall(&self, program: &Program, log: Log) -> Outcome {
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
    pub(super) async fn await_installer(&self) -> Outcome {
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
}

/// The programs of these names in both of Windows' lists.
pub(super) fn programs(names: &[String]) -> Result<Vec<Program>, String> {
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
        .map_err(|error| format!("was refused: {}", protocol::causes(&error)))?;
    if seen.product != protocol::step::Product::ProvisioningAgent || seen.kind != ArtifactKind::Exe
    {
        return Err(format!("is that of {}", seen.product.as_str()));
    }
    Ok(())
}

/// Tells whether a process runs this program or has this package open: Windows then lets nobody write to it.
fn is_held(path: &Path) -> bool {
    const SHARING_VIOLATION: i32 = 32;
    let opened = fs::OpenOptions::new().write(true).open(path);
    opened.is_err_and(|error| error.raw_os_error() == Some(SHARING_VIOLATION))
}
