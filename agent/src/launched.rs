//! The launcher's files, as the agent that it has started sees them: which version runs, whether it is on trial, and how another
//! one is put in its place. The launcher itself reads and writes the same names (`launcher/supervise.rs`), and knows no more of
//! them than their first lines.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use agent_core::op::{GivenUp, Launcher, Op, Outcome};
use protocol::{Digest, Generation, Version};

use crate::{artifact, files};

/// Name of the agent's program in the folder of its version.
const PROGRAM: &str = if cfg!(windows) {
    "entrain-agent.exe"
} else {
    "entrain-agent"
};

/// An agent, and the folder of the launcher that may have started it.
#[derive(Debug, Clone)]
pub struct Launched {
    /// Version of this program.
    version: &'static str,
    /// The agent's state.
    state: PathBuf,
    /// The launcher's folder, above the state.
    root: PathBuf,
    /// Name of the version's folder that this program runs from, or why it does not.
    running: Result<String, String>,
}

fn name(path: Option<&Path>) -> Option<&str> {
    path?.file_name()?.to_str()
}

/// What stands in a file; nothing where there is no such file.
fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned()).filter(|text| !text.is_empty())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What the launcher must do for a version on trial, as the number that it writes down.
const CONTRACT: &str = "1";

impl Launched {
    /// The agent with that state folder, in the version that this program says it has.
    #[must_use]
    pub fn here(state: &Path, version: &'static str) -> Self {
        let root = state.parent().unwrap_or(state).to_owned();
        let running = running_from(&root);
        Self {
            version,
            state: state.to_owned(),
            root,
            running,
        }
    }

    /// The version that this program says it has.
    #[must_use]
    pub const fn version(&self) -> &'static str {
        self.version
    }

    fn trial(&self) -> io::Result<bool> {
        let Ok(running) = &self.running else {
            return Ok(false);
        };
        let current = read(&self.root.join("current"))?;
        let previous = read(&self.root.join("previous"))?;
        Ok(current.as_ref() == Some(running)
            && previous.is_some_and(|previous| previous != *running))
    }

    /// Whether the launcher goes back to the version before unless this one proves itself. Where that cannot be read it counts as
    /// so: a proof too many does no harm.
    #[must_use]
    pub fn on_trial(&self) -> bool {
        self.trial().unwrap_or(true)
    }

    /// Tells the launcher that this version works: it was welcomed, and an event of it was stored.
    ///
    /// # Errors
    /// When the disk refuses, or the program is another version than its release says.
    pub fn prove(&self) -> io::Result<()> {
        let Ok(running) = &self.running else {
            return Ok(());
        };
        let released = running.parse::<Version>();
        if released != self.version.parse() {
            return Err(io::Error::other(format!(
                "the program in versions/{running} says that it is {}",
                self.version
            )));
        }
        files::write(&self.root.join("good"), running.as_bytes())
    }

    fn stands(&self) -> Result<Launcher, String> {
        self.running.as_ref().map_err(String::clone)?;
        let unread = |what: &'static str| {
            move |error: io::Error| {
                format!("the launcher's file `{what}` could not be read: {error}")
            }
        };
        let contract = read(&self.root.join("contract")).map_err(unread("contract"))?;
        if contract.as_deref() != Some(CONTRACT) {
            return Err(
                "its launcher is of another release: replace entrain-launcher first".to_owned(),
            );
        }
        let running = self.version.parse::<Version>();
        Ok(Launcher {
            running: running.map_err(|error| error.to_string())?,
            on_trial: self.trial().map_err(unread("previous"))?,
            given_up: self.given_up()?,
        })
    }

    /// What the launcher wrote when it went back: the version, the mark of the trial, and why.
    fn given_up(&self) -> Result<Option<GivenUp>, String> {
        let text = read(&self.root.join("given-up"));
        let text =
            text.map_err(|error| format!("why a version was given up could not be read: {error}"))?;
        let Some(text) = text else {
            return Ok(None);
        };
        let mut lines = text.lines();
        let mut line = || lines.next().unwrap_or_default();
        let (version, mark, why) = (line().parse(), line().parse(), line().to_owned());
        match (version, mark) {
            (Ok(version), Ok(mark)) => Ok(Some(GivenUp {
                version,
                mark: Generation(mark),
                why,
            })),
            (Err(_), _) | (_, Err(_)) => Err(format!(
                "the launcher has given up a version and does not say which: {why}"
            )),
        }
    }

    /// Puts a fetched program into a folder of its own and has the launcher start it, once this agent ends.
    fn switch(&self, version: Version, sha256: &Digest, mark: Generation) -> Result<(), String> {
        let running = self.running.as_ref().map_err(String::clone)?;
        let versions = self.root.join("versions");
        let new = version.to_string();
        if new == *running {
            return Err(format!(
                "the program in versions/{new} says that it is {}",
                self.version
            ));
        }
        if self
            .trial()
            .map_err(|error| format!("whether a trial stands could not be read: {error}"))?
        {
            return Err("this version is on trial itself".to_owned());
        }
        let place = versions.join(&new);
        let no = |what: &str, error: io::Error| format!("could not {what}: {error}");
        fs::create_dir_all(&place).map_err(|error| no("make the version's folder", error))?;
        let beside = place.join("incoming");
        let fetched = artifact::path(&self.state, sha256);
        fs::copy(&fetched, &beside).map_err(|error| no("copy the program", error))?;
        // What is started is what was looked at, whatever happened to the file meanwhile.
        let copied = artifact::digest_file(&beside).map_err(|error| no("read the copy", error))?;
        if copied != *sha256 {
            drop(fs::remove_file(&beside));
            return Err("the program was altered after it was fetched".to_owned());
        }
        let settled = runnable(&beside)
            .and_then(|()| fs::File::options().write(true).open(&beside)?.sync_all())
            .and_then(|()| fs::rename(&beside, place.join(PROGRAM)))
            .and_then(|()| files::sync_folder(&place));
        settled.map_err(|error| no("put the program in place", error))?;
        for stale in ["given-up", "good"] {
            remove(&self.root.join(stale))
                .map_err(|error| no("clear away what an earlier trial left", error))?;
        }
        // It lies in its folder by now; where this is cut off it is fetched once more.
        remove(&fetched).map_err(|error| no("clear away what was fetched", error))?;
        // The one to go back to first: where this is cut off, the launcher finds a version before that is the current one, which
        // is no trial.
        let wrote = files::write(&self.root.join("mark"), mark.to_string().as_bytes())
            .and_then(|()| files::write(&self.root.join("previous"), running.as_bytes()))
            .and_then(|()| files::write(&self.root.join("current"), new.as_bytes()));
        wrote.map_err(|error| no("tell the launcher", error))?;
        forget_all_but(&versions, [running, &new]);
        Ok(())
    }

    /// Performs what concerns the launcher; `None` for everything else.
    #[must_use]
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other operation is somebody else's"
    )]
    pub fn perform(&self, op: &Op) -> Option<Outcome> {
        match op {
            Op::Launcher => Some(
                self.stands()
                    .map_or_else(Outcome::Failed, Outcome::Launcher),
            ),
            Op::SwitchAgent {
                version,
                sha256,
                mark,
            } => Some(match self.switch(*version, sha256, *mark) {
                Ok(()) => Outcome::Done,
                Err(why) => Outcome::Failed(why),
            }),
            _ => None,
        }
    }
}

/// Programs of other versions only take up space. One that cannot be deleted does no harm.
fn forget_all_but(versions: &Path, kept: [&String; 2]) {
    let entries = fs::read_dir(versions).into_iter().flatten().flatten();
    for entry in entries {
        let stays = entry
            .file_name()
            .to_str()
            .is_none_or(|name| kept.iter().any(|kept| **kept == name));
        if !stays && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::warn!(folder = %entry.path().display(), %error, "an old version could not be deleted");
        }
    }
}

/// The version's folder that this program runs from, where it is the one that the launcher of `root` has started.
fn running_from(root: &Path) -> Result<String, String> {
    let program = std::env::current_exe().and_then(fs::canonicalize);
    let program =
        program.map_err(|error| format!("where this program lies is not known: {error}"))?;
    let folder = program.parent();
    let versions = folder.and_then(Path::parent);
    let above = versions.and_then(Path::parent);
    let same = fs::canonicalize(root).ok();
    match name(folder) {
        Some(version) if name(versions) == Some("versions") && above == same.as_deref() => {
            let named = |file: &str| {
                let unread =
                    |error| format!("the launcher's file `{file}` could not be read: {error}");
                read(&root.join(file)).map_err(unread)
            };
            if [named("current")?, named("previous")?]
                .into_iter()
                .flatten()
                .any(|known| known == version)
            {
                return Ok(version.to_owned());
            }
            Err("the launcher's file `current` names another version".to_owned())
        }
        Some(_) | None => Err("it was not started by entrain-launcher".to_owned()),
    }
}

#[cfg(unix)]
fn runnable(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

/// On Windows the folder's access list says who may run it.
#[cfg(windows)]
#[expect(clippy::unnecessary_wraps, reason = "it can fail on Unix")]
const fn runnable(_path: &Path) -> io::Result<()> {
    Ok(())
}
