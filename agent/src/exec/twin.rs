//! Performs operations on a model of a server. The model outlives the agent as a server does: it lies in a file.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use agent_core::op::{Op, Outcome};
use agent_twin::{Fault, Moment, PowerCut, Profile, Shared, Twin};
use protocol::step::Step;

use crate::exec::Secrets;
use crate::files;

/// The model of one server, on disk.
#[derive(Debug)]
pub struct TwinExec {
    model: PathBuf,
    faults: PathBuf,
    /// When its server loses its power.
    power: PathBuf,
    /// What the servers of the same domain share.
    domain: PathBuf,
    /// Kind of the step that is under way.
    step: Mutex<Option<&'static str>>,
    twin: Mutex<Twin>,
}

impl TwinExec {
    /// Opens the model in `folder`, or makes it from `profile`.
    ///
    /// # Errors
    /// When the file cannot be read or is no model.
    pub fn open(folder: &Path, profile: Profile) -> std::io::Result<Self> {
        let model = folder.join("twin.json");
        let mut twin = match std::fs::read(&model) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(std::io::Error::other)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Twin::new(profile),
            Err(error) => return Err(error),
        };
        if let Ok(version) = crate::VERSION.parse() {
            twin.begin_agent(version);
        }
        let domain = twin.profile().target.home_domain();
        let domain = domain.map_or("none".to_owned(), |domain| domain.to_string());
        let beside = folder.parent().unwrap_or(folder);
        Ok(Self {
            domain: beside.join(format!("domain-{domain}.json")),
            model,
            faults: folder.join("faults.json"),
            power: folder.join("power.json"),
            step: Mutex::new(None),
            twin: Mutex::new(twin),
        })
    }

    /// Version of the agent on the model.
    #[must_use]
    pub fn agent_version(&self) -> String {
        let twin = self.twin.lock().unwrap_or_else(PoisonError::into_inner);
        let own = crate::VERSION.parse().ok();
        match twin.agent() {
            Some(version) if Some(version) != own => version.to_string(),
            Some(_) | None => crate::VERSION.to_owned(),
        }
    }

    /// Answers from the model, keeping what changed before it answers.
    pub fn perform(&self, op: &Op, secrets: &Secrets) -> (Outcome, Duration) {
        self.may_lose_power(Moment::Asks, &[]);
        let mut twin = self.twin.lock().unwrap_or_else(PoisonError::into_inner);
        self.mend(&mut twin);
        let asks_domain = matches!(op, Op::Search(_) | Op::Script { .. } | Op::Wait { .. });
        let shared = match asks_domain.then(|| self.shared()).transpose() {
            Ok(shared) => shared,
            Err(error) => {
                let why = format!("the model of the domain could not be read: {error}");
                return (Outcome::Failed(why), Duration::ZERO);
            }
        };
        if let Some((_, shared)) = &shared {
            twin.set_shared(shared.clone());
        }
        // What others of the domain have changed is no change of this one.
        let whole = (!op.is_glance()).then(|| twin.clone());
        let (outcome, time) = twin.perform(op, secrets);
        if let Some((_lock, before)) = &shared
            && before != twin.shared()
        {
            let bytes = serde_json::to_vec(twin.shared()).expect("a model serializes");
            if let Err(error) = files::write(&self.domain, &bytes) {
                let why = format!("the model of the domain could not be kept: {error}");
                return (Outcome::Failed(why), time);
            }
        }
        if let Some(before) = whole
            && before != *twin
        {
            let bytes = serde_json::to_vec(&*twin).expect("a model serializes");
            if let Err(error) = files::write(&self.model, &bytes) {
                return (
                    Outcome::Failed(format!("the model could not be kept: {error}")),
                    time,
                );
            }
            let changes = twin.changes.get(before.changes.len()..).unwrap_or_default();
            if !changes.is_empty() {
                self.may_lose_power(Moment::Changed, changes);
            }
        }
        (outcome, time)
    }

    /// A step begins: the modelled person reads what it asks, and still knows it when the agent has come back.
    pub fn begun(&self, step: &Step) {
        self.is_at(Some(step));
        self.may_lose_power(Moment::Begins, &[]);
        let mut twin = self.twin.lock().unwrap_or_else(PoisonError::into_inner);
        if twin.asked(step) {
            let bytes = serde_json::to_vec(&*twin).expect("a model serializes");
            if let Err(error) = files::write(&self.model, &bytes) {
                tracing::error!(%error, "the model could not be kept");
            }
        }
    }

    /// A step has ended well.
    pub fn ended(&self, step: &Step) {
        self.is_at(Some(step));
        self.may_lose_power(Moment::Ended, &[]);
        self.is_at(None);
    }

    fn is_at(&self, step: Option<&Step>) {
        *self.step.lock().unwrap_or_else(PoisonError::into_inner) = step.map(Step::kind);
    }

    /// Ends this process without a word where a story has said so, once for each moment and for each change.
    fn may_lose_power(&self, moment: Moment, changes: &[String]) {
        // Two operations may be under way: one alone reads and writes the list.
        let at = self.step.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(step), Ok(bytes)) = (*at, std::fs::read(&self.power)) else {
            return;
        };
        let mut cuts: Vec<PowerCut> = match serde_json::from_slice(&bytes) {
            Ok(cuts) => cuts,
            Err(error) => {
                tracing::error!(%error, "{} is no list of power cuts", self.power.display());
                return;
            }
        };
        let Some(due) = cuts
            .iter()
            .position(|cut| cut.is_due(step, moment, changes))
        else {
            return;
        };
        if moment == Moment::Changed {
            cuts[due].came.push(changes.to_vec());
        } else {
            cuts.remove(due);
        }
        let left = serde_json::to_vec(&cuts).expect("power cuts serialize");
        match files::write(&self.power, &left) {
            Ok(()) => std::process::abort(),
            Err(error) => tracing::error!(%error, "the power cuts could not be kept"),
        }
    }

    /// What the servers of the domain share: in a file beside their folders, under a lock while it is changed.
    fn shared(&self) -> std::io::Result<(std::fs::File, Shared)> {
        let lock = std::fs::File::create(self.domain.with_extension("lock"))?;
        lock.lock()?;
        let shared = match std::fs::read(&self.domain) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(std::io::Error::other)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Shared::default(),
            Err(error) => return Err(error),
        };
        Ok((lock, shared))
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
