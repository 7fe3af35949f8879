//! What the API takes and gives, as JSON.

use std::collections::{BTreeMap, BTreeSet};

use agent_twin::Fault;
use controller_core::beyond::{DirectoryHandedIn, Named};
use controller_core::doubt::Doubted;
use controller_core::exported::ExportDifference;
use controller_core::fleet::{AtWork, RolloutView, Stopped};
use controller_core::overrides::OverrideView;
use controller_core::plan::{Afterwards, Purpose};
use controller_core::readiness::Standing;
use controller_core::record::Order;
use controller_core::roster::{Artifact, Joining, Withdrawn};
use controller_core::settings::Difference;
use controller_core::tenant::{Read, Remark, Seen};
use controller_core::topology::Document;
use controller_core::versions::{Day, VersionRow};
use protocol::enroll::JoinFile;
use protocol::event::{Event, Finding, Freeze};
use protocol::exported::ExportedSettings;
use protocol::secret::{Sealed, SecretKind};
use protocol::step::Fix;
use protocol::{DomainName, PlanId, RolloutId, TargetId, TenantId, Timestamp, Version};
use rehearsal::Rehearsal;
use serde::{Deserialize, Serialize};

use crate::driver::{Progress, Refused};

/// One document that an operator wrote.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Text {
    /// Its name.
    pub file: String,
    /// Its text.
    pub text: String,
}

impl From<Text> for Document {
    fn from(Text { file, text }: Text) -> Self {
        Self { file, text }
    }
}

impl From<&Text> for Document {
    fn from(text: &Text) -> Self {
        text.clone().into()
    }
}

/// The emergency stop of a fleet.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FreezeAsk {
    /// Why.
    pub why: String,
}

/// A rule that is to be set aside on one target.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OverrideAsk {
    /// Which rule, as operators write it.
    pub rule: String,
    /// On which target.
    pub target: TargetId,
    /// Why.
    pub reason: String,
    /// Change number.
    pub change: String,
}

/// An override that is to be taken back.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WithdrawAsk {
    /// Of which rule, as operators write it.
    pub rule: String,
    /// On which target.
    pub target: TargetId,
}

/// Everything that is named anywhere.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Discovered {
    /// Servers, those that nobody knows here first.
    pub servers: Vec<Named>,
    /// What could not be read, by domain and tenant.
    pub unread: Vec<String>,
    /// When each domain's directory was asked last, and by which server.
    pub asked: Vec<(DomainName, Timestamp, TargetId)>,
    /// When each tenant was read last, and by whom.
    pub tenants: BTreeMap<TenantId, Read>,
    /// What people were shown of directories and somebody has handed in, by domain.
    #[serde(default)]
    pub handed_in: BTreeMap<DomainName, DirectoryHandedIn>,
}

/// Two Connect servers held against each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Compared {
    /// Of each: its name, when its settings were read last, and how many there are.
    pub read: Vec<(TargetId, Timestamp, usize)>,
    /// What differs.
    pub difference: Difference,
    /// Rollouts for which somebody has approved that difference.
    pub accepted: Vec<RolloutId>,
}

/// Settings that wizards have exported, held against each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ComparedExports {
    /// Of each: what it goes by, and the document without its rows.
    pub read: Vec<(String, ExportedSettings)>,
    /// What differs.
    pub difference: ExportDifference,
}

/// A tenant as it was last read.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TenantRow {
    /// What was seen, when, and by whom.
    pub seen: Seen,
    /// What stands out in it, held against the fleet.
    pub remarks: Vec<Remark>,
    /// What it answers to the probes of the catalogue.
    #[serde(default)]
    pub findings: Vec<Finding>,
}

/// Where a backup goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BackupAsk {
    /// A new folder, by its full path on the controller's machine.
    pub folder: String,
}

/// What a simulated controller is to offer a target.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct OfferAsk {
    /// An envelope as it is; without one, the first bundle that the target was ever issued.
    pub envelope: Option<String>,
}

/// What `check` and `plan` send.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PlanAsk {
    /// The topology's documents.
    pub topology: Vec<Text>,
    /// The policy, where there is one.
    pub policy: Option<Text>,
    /// What the plan is for.
    pub wanted: Wanted,
    /// Servers that it is about; empty for all.
    #[serde(default)]
    pub only: BTreeSet<TargetId>,
}

/// What a plan is for. What cannot be said here is no plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// What the whole topology says, for that purpose.
    Topology(Purpose),
    /// Entrain's own agents are brought to that release; to the newest one by their purpose.
    Release(Version),
    /// That staging Connect server becomes the active one.
    Swap(TargetId),
    /// One becomes the active one in place of one that is off.
    Failover {
        /// Which.
        server: TargetId,
        /// Which was active, and is off.
        off: TargetId,
    },
    /// One is upgraded or installed, and becomes the active one.
    Swing {
        /// Which.
        server: TargetId,
        /// What becomes of the server that was active.
        then: Afterwards,
    },
    /// Active Connect servers are asked whether their tenants may move to cloud sync; nothing is changed.
    Eligible,
    /// The tenant of that active Connect server moves to cloud sync.
    Move(TargetId),
    /// What was set of prerequisites on a server is put back.
    Undo(UndoAsk),
}

impl Wanted {
    /// What a plan of it reads and asks of a topology. Installers are needed where Entrain installs alone.
    #[must_use]
    pub const fn purpose(&self) -> Purpose {
        match self {
            Self::Topology(purpose) => *purpose,
            Self::Release(_) => Purpose::Agents,
            Self::Swing { .. } => Purpose::Install,
            Self::Swap(_)
            | Self::Failover { .. }
            | Self::Eligible
            | Self::Move(_)
            | Self::Undo(_) => Purpose::Verify,
        }
    }

    /// The release that it names.
    #[must_use]
    pub const fn release(&self) -> Option<Version> {
        match self {
            Self::Release(version) => Some(*version),
            Self::Topology(_)
            | Self::Swap(_)
            | Self::Failover { .. }
            | Self::Swing { .. }
            | Self::Eligible
            | Self::Move(_)
            | Self::Undo(_) => None,
        }
    }
}

/// Where what is put back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UndoAsk {
    /// On which server.
    pub server: TargetId,
    /// Which prerequisites.
    pub fixes: BTreeSet<Fix>,
    /// Also while a product that needs them is there.
    pub anyway: bool,
}

/// A finding, ready to be shown.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct FindingText {
    /// `error` or `warning`.
    pub severity: String,
    /// `file:line:column`.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// The likely mend.
    pub fix: String,
}

/// What `check` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checked {
    /// All findings.
    pub findings: Vec<FindingText>,
}

/// What `plan` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Planned {
    /// All findings; with an error among them there is no plan.
    pub findings: Vec<FindingText>,
    /// The stored plan.
    pub plan: Option<PlanId>,
    /// Its report.
    pub report: String,
    /// What stands against applying it.
    pub alarms: Vec<String>,
    /// What should be known before it is applied.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// What the network must let through for the servers of a preflight, a line each.
    #[serde(default)]
    pub network: Vec<String>,
    /// The same for the servers of one group or Connect entry, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub network_by_lane: BTreeMap<String, Vec<String>>,
    /// How each server that is changed stood to its newest preflight.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub readiness: BTreeMap<TargetId, Standing>,
    /// No server has work: there is nothing to apply.
    #[serde(default)]
    pub nothing: bool,
}

/// What `apply` sends.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ApplyAsk {
    /// Change number.
    pub change: Option<String>,
    /// How many acts that cannot be undone are accepted.
    #[serde(default)]
    pub irreversible: Option<u32>,
    /// The active Connect server of which the operator says that it is off.
    #[serde(default)]
    pub off: Option<TargetId>,
    /// When it begins; at once where it is absent.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
}

/// What `rehearse` sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RehearseAsk {
    /// How often it is carried out.
    pub courses: u64,
    /// How long a person takes to answer an ask for a secret, in minutes; absent when nobody comes.
    pub person_minutes: Option<u64>,
    /// What is wrong with which server.
    pub faults: Vec<(TargetId, Fault)>,
    /// The seed of chance.
    pub seed: u64,
    /// When it begins; at once where it is absent.
    #[serde(default)]
    pub not_before: Option<Timestamp>,
}

/// What `rehearse` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rehearsed {
    /// What it told.
    pub rehearsal: Rehearsal,
    /// The same as an operator reads it.
    pub report: String,
}

/// What `apply` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Applied {
    /// The rollout.
    pub rollout: RolloutId,
}

/// What an order sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OrderAsk {
    /// The order.
    pub order: Order,
}

/// What `token create` sends.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct TokenAsk {
    /// The one name that it enrolls; without it an operator approves each server.
    pub target: Option<TargetId>,
    /// Minutes until it ends.
    pub minutes: u64,
    /// How many may join with it; more than one only for models.
    pub uses: u32,
}

/// What `token create` gives.
#[derive(Debug, Serialize, Deserialize)]
pub struct TokenMade {
    /// The join file. The token in it is shown this once.
    pub join: JoinFile,
    /// Last moment of its use.
    pub expires: Timestamp,
}

/// An agent in a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AgentRow {
    /// Its name.
    pub target: TargetId,
    /// Fingerprint of its key.
    pub key: String,
    /// Since when.
    pub enrolled: Timestamp,
    /// Who approved.
    pub by: String,
    /// It has a session.
    pub connected: bool,
    /// Events of it that are stored.
    pub events: u64,
    /// Version of the agent, as it says itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Its facts in a sentence.
    pub facts: String,
    /// A model of a server.
    pub simulated: bool,
    /// What its administrator has set against every rollout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Freeze>,
    /// It is not the only agent with its key, or not the one that it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doubted: Option<Doubted>,
}

/// What `agents list` gives.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Agents {
    /// Enrolled.
    pub agents: Vec<AgentRow>,
    /// Waiting for approval, by name.
    pub pending: BTreeMap<TargetId, Joining>,
    /// What was refused lately, oldest first, since the controller's start.
    pub refusals: Vec<Refused>,
}

/// What the state of the controller is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    /// `real` or `simulated`.
    pub kind: String,
    /// Version of the controller.
    pub version: String,
    /// Enrolled agents.
    pub agents: usize,
    /// Agents with a session.
    pub connected: usize,
    /// The order by which everything stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Stopped>,
    /// Who is at work meanwhile, while it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_work: Option<AtWork>,
    /// Overrides that are in force or half said.
    #[serde(default)]
    pub overrides: Vec<OverrideView>,
    /// All rollouts, newest last.
    pub rollouts: Vec<RolloutView>,
    /// What somebody must look at now: tenants in which not exactly one Connect server is active, or that cannot be told (G1),
    /// agents that were copied or put back, schedulers of Connect that stand for too long.
    #[serde(default)]
    pub alarms: Vec<String>,
    /// Connect servers that were active before a swing, and that are not seen to be upgraded or taken off since.
    #[serde(default)]
    pub left_behind: Vec<String>,
    /// Tenants that were moved from Connect to cloud sync, in sentences.
    #[serde(default)]
    pub moved: Vec<String>,
    /// Work for people: the tasks of rollouts, and the servers that wait for approval.
    pub tasks: usize,
    /// Servers that wait for approval, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joining: Vec<String>,
    /// UDP receive and send buffer, bytes.
    pub buffers: (usize, usize),
    /// Digest of the trust root.
    pub trust_root: String,
    /// Where agents dial.
    pub address: String,
    /// Files of the operator's that stand in place of newer data of this release, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<String>,
}

/// What is known of the versions on all servers, worst first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct VersionsSeen {
    /// Day on which the data were last compared with their sources.
    pub checked_on: Day,
    /// A row for each product on each server.
    pub rows: Vec<VersionRow>,
    /// Files of the operator's that stand in place of newer data of this release, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub older: Vec<String>,
}

/// One line of a watched rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The rollout.
    pub view: RolloutView,
    /// Progress by target.
    pub progress: BTreeMap<TargetId, Progress>,
    /// Alarms of the fleet, whatever they are about.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alarms: Vec<String>,
    /// The order by which everything stands still.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Stopped>,
    /// Who is at work meanwhile, while it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_work: Option<AtWork>,
}

/// An open question for a secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskRow {
    /// Its number.
    pub ask: u64,
    /// Who asks.
    pub target: TargetId,
    /// What is wanted.
    pub wanted: Option<SecretKind>,
    /// What the tenant that it is for is called in the plan, where it is for one. The agent signs its id alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The signed ask, as its JSON text.
    pub envelope: String,
    /// The asking agent's enrolled certificate key, base64, for comparing.
    pub key: String,
}

/// What `secret give` sends.
#[derive(Debug, Serialize, Deserialize)]
pub struct SecretGiven {
    /// Sealed for the ask's key.
    pub sealed: Sealed,
}

/// The accepted files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Artifacts {
    /// All, oldest first.
    pub artifacts: Vec<Artifact>,
}

/// A release of the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseRow {
    /// Its version.
    pub version: Version,
    /// Platforms that it has programs for.
    pub platforms: Vec<String>,
    /// Who added it.
    pub by: String,
    /// When.
    pub added: Timestamp,
    /// Who withdrew it, when and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawn: Option<Withdrawn>,
}

/// Why a release is planned no more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReleaseWithdrawAsk {
    /// Why.
    pub reason: String,
}

/// Releases of the agent.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Releases {
    /// All, by version.
    pub releases: Vec<ReleaseRow>,
}

/// An answer that says only that it is done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Done {
    /// What was done, in a sentence.
    pub done: String,
}

/// One entry of the log, for `logs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogRow {
    /// Its number.
    pub index: u64,
    /// When.
    pub at: Timestamp,
    /// The record.
    pub record: controller_core::record::Record,
    /// The event in it, where there is one.
    pub event: Option<Event>,
}
