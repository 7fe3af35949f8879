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

fn read(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

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

    fn previous(&self) -> Option<String> {
        let running = self.running.as_ref().ok()?;
        read(&self.root.join("previous")).filter(|previous| previous != running)
    }

    /// Whether the launcher goes back to the version before unless this one proves itself.
    #[must_use]
    pub fn on_trial(&self) -> bool {
        let current = read(&self.root.join("current"));
        current.as_ref() == self.running.as_ref().ok() && self.previous().is_some()
    }

    /// Tells the launcher that this version works: it was welcomed, and an event of it was stored.
    ///
    /// # Errors
    /// When the disk refuses.
    pub fn prove(&self) -> io::Result<()> {
        match &self.running {
            Ok(running) => files::write(&self.root.join("good"), running.as_bytes()),
            Err(_) => Ok(()),
        }
    }

    fn stands(&self) -> Result<Launcher, String> {
        self.running.as_ref().map_err(String::clone)?;
        let running = self.version.parse::<Version>();
        Ok(Launcher {
            running: running.map_err(|error| error.to_string())?,
            on_trial: self.on_trial(),
            given_up: self.given_up(),
        })
    }

    /// What the launcher wrote when it went back: the version, the mark of the trial, and why.
    fn given_up(&self) -> Option<GivenUp> {
        let text = read(&self.root.join("given-up"))?;
        let mut lines = text.lines();
        Some(GivenUp {
            version: lines.next()?.parse().ok()?,
            mark: Generation(lines.next()?.parse().ok()?),
            why: lines.next().unwrap_or_default().to_owned(),
        })
    }

    /// Puts a fetched program into a folder of its own and has the launcher start it, once this agent ends.
    fn switch(&self, version: Version, sha256: &Digest, mark: Generation) -> Result<(), String> {
        let running = self.running.as_ref().map_err(String::clone)?;
        let versions = self.root.join("versions");
        let new = version.to_string();
        if new == *running {
            return Err(format!(
                "it would replace the program that runs in versions/{new}"
            ));
        }
        let place = versions.join(&new);
        let no = |what: &str, error: io::Error| format!("could not {what}: {error}");
        fs::create_dir_all(&place).map_err(|error| no("make the version's folder", error))?;
        let beside = place.join("incoming");
        fs::copy(artifact::path(&self.state, sha256), &beside)
            .map_err(|error| no("copy the program", error))?;
        // What is started is what was looked at, whatever happened to the file meanwhile.
        let copied = artifact::digest_file(&beside).map_err(|error| no("read the copy", error))?;
        if copied != *sha256 {
            return Err("the program was altered after it was fetched".to_owned());
        }
        let settled = runnable(&beside)
            .and_then(|()| fs::File::options().write(true).open(&beside)?.sync_all())
            .and_then(|()| fs::rename(&beside, place.join(PROGRAM)))
            .and_then(|()| files::sync_folder(&place));
        settled.map_err(|error| no("put the program in place", error))?;
        for stale in ["given-up", "good"] {
            match fs::remove_file(self.root.join(stale)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(no("clear away what an earlier trial left", error));
                }
                Ok(()) | Err(_) => {}
            }
        }
        self.forget_all_but(&versions, [running, &new]);
        // The one to go back to first: where this is cut off, the launcher finds a version before that is the current one, which
        // is no trial.
        let wrote = files::write(&self.root.join("mark"), mark.to_string().as_bytes())
            .and_then(|()| files::write(&self.root.join("previous"), running.as_bytes()))
            .and_then(|()| files::write(&self.root.join("current"), new.as_bytes()));
        wrote.map_err(|error| no("tell the launcher", error))
    }

    /// Programs of other versions only take up space. One that cannot be deleted does no harm.
    fn forget_all_but(&self, versions: &Path, kept: [&String; 2]) {
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
            let current = read(&root.join("current"));
            let previous = read(&root.join("previous"));
            if [current, previous]
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
