//! Performs operations on a model of a server. The model outlives the agent as a server does: it lies in a file.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use agent_core::op::{Op, Outcome};
use agent_twin::{Fault, Profile, Twin};

use crate::exec::Secrets;
use crate::files;

/// The model of one server, on disk.
#[derive(Debug)]
pub struct TwinExec {
    model: PathBuf,
    faults: PathBuf,
    twin: Mutex<Twin>,
}

impl TwinExec {
    /// Opens the model in `folder`, or makes it from `profile`.
    ///
    /// # Errors
    /// When the file cannot be read or is no model.
    pub fn open(folder: &Path, profile: Profile) -> std::io::Result<Self> {
        let model = folder.join("twin.json");
        let twin = match std::fs::read(&model) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(std::io::Error::other)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Twin::new(profile),
            Err(error) => return Err(error),
        };
        Ok(Self {
            model,
            faults: folder.join("faults.json"),
            twin: Mutex::new(twin),
        })
    }

    /// Answers from the model, keeping what changed before it answers.
    pub fn perform(&self, op: &Op, secrets: &Secrets) -> (Outcome, Duration) {
        let mut twin = self
            .twin
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        self.mend(&mut twin);
        let before = match op {
            Op::Machine
            | Op::Registry { .. }
            | Op::RegistryKey { .. }
            | Op::Service { .. }
            | Op::FileVersion { .. } => None,
            Op::SetRegistry { .. }
            | Op::EnableService { .. }
            | Op::Fetch { .. }
            | Op::Stage { .. }
            | Op::AwaitInstaller
            | Op::Install { .. }
            | Op::ReadLog { .. }
            | Op::Script { .. }
            | Op::Reach { .. }
            | Op::FindDomainControllers { .. }
            | Op::Wait { .. } => Some(twin.clone()),
        };
        let (outcome, time) = twin.perform(op, secrets);
        if before.is_some_and(|before| before != *twin) {
            let bytes = serde_json::to_vec(&*twin).expect("a model serializes");
            if let Err(error) = files::write(&self.model, &bytes) {
                return (
                    Outcome::Failed(format!("the model could not be kept: {error}")),
                    time,
                );
            }
        }
        (outcome, time)
    }

    /// Takes up the faults that somebody laid beside the model: how a fault is mended while the agent runs.
    fn mend(&self, twin: &mut Twin) {
        if twin.is_sound() {
            return;
        }
        let Ok(bytes) = std::fs::read(&self.faults) else {
            return;
        };
        if let Ok(faults) = serde_json::from_slice::<std::collections::BTreeSet<Fault>>(&bytes) {
            twin.set_faults(faults);
        }
    }
}
