//! Events: the facts of a target's journal, numbered and chained. Their bodies are JSON, so that an audit can read them
//! without this program. Progress is not an event: it is unnumbered, and the latest wins.

use serde::{Deserialize, Serialize};

use crate::exported::ExportedSettings;
use crate::facts::Facts;
use crate::id::{
    Attempt, BundleId, DomainName, Generation, GmsaName, RolloutId, StepIndex, TargetId,
};
use crate::limits;
use crate::refusal::Refusal;
use crate::secret::SecretKind;
use crate::settings::ConnectSettings;
use crate::signed::{Ending, Phase};
use crate::step::Product;
use crate::task::TaskText;
use crate::time::Timestamp;

/// How much was seen to be done; each grade includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grade {
    /// Files and services are in place.
    Installed,
    /// The service runs as the intended account.
    Configured,
    /// The server names the right tenant and its service runs.
    Registered,
    /// The tenant itself shows the agent as active.
    ActiveInTenant,
    /// A synchronization cycle was seen to succeed.
    Syncing,
}

impl Grade {
    /// The grade as people read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Installed => "installed",
            Self::Configured => "configured",
            Self::Registered => "registered",
            Self::ActiveInTenant => "active in tenant",
            Self::Syncing => "syncing",
        }
    }
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// For information.
    Info,
    /// Worth mending; does not stop the work.
    Warn,
    /// Stops the target before anything is touched.
    Block,
}

/// Who can mend a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// Whoever runs the server.
    Server,
    /// Whoever administers the domain.
    Directory,
    /// Whoever runs the network.
    Network,
    /// Whoever administers the tenant.
    Tenant,
    /// Entrain, since the topology allows it.
    Entrain,
}

/// What a probe answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// As it should be.
    Pass,
    /// Not as it should be.
    Fail,
    /// The probe could not find out.
    CannotTell,
}

/// One probe's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// Id of the probe in the catalogue, such as `PF14`.
    pub id: String,
    /// What was looked at.
    pub what: String,
    /// What was read.
    pub read: String,
    /// What passes.
    pub wanted: String,
    /// The answer.
    pub verdict: Verdict,
    /// How grave a failure is.
    pub severity: Severity,
    /// What to do about it; empty when it passes.
    pub fix: String,
    /// Who can do it.
    pub owner: Owner,
}

impl Finding {
    /// Tells whether this finding stops the target.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.severity == Severity::Block && self.verdict != Verdict::Pass
    }
}

/// A known error, recognized in a log or an exit code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownCause {
    /// Id in the catalogue of known errors.
    pub id: String,
    /// Why it happens.
    pub cause: String,
    /// What to do about it.
    pub fix: String,
}

impl KnownCause {
    /// Cause, id and fix in a sentence, as a finding says it.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{} ({}): {}", self.cause, self.id, self.fix)
    }
}

/// Why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// What went wrong, in a sentence fragment.
    pub what: String,
    /// The known cause, where one was recognized.
    pub known: Option<KnownCause>,
    /// Log lines that show it.
    pub lines: Vec<String>,
    /// Findings that block, where a preflight failed.
    pub findings: Vec<Finding>,
}

impl Failure {
    /// A failure with nothing more to show.
    #[must_use]
    pub fn plain(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            known: None,
            lines: Vec::new(),
            findings: Vec::new(),
        }
    }

    /// Adds log lines, cut to the protocol's limits.
    #[must_use]
    pub fn with_lines(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        let cut = |line: String| {
            if line.chars().count() <= limits::MAX_LINE_CHARS {
                return line;
            }
            let mut short: String = line.chars().take(limits::MAX_LINE_CHARS).collect();
            short.push('…');
            short
        };
        self.lines.extend(lines.into_iter().map(cut));
        self.lines.truncate(limits::MAX_FAILURE_LINES);
        self
    }
}

/// How a step came to be complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Completion {
    /// Carried out, and a probe saw it.
    Applied,
    /// A probe saw that it was so already: nothing was done.
    AlreadySo,
    /// A person did it, and a probe saw it.
    SeenDone,
    /// A named person says that it is done; no probe saw it.
    Attested {
        /// Who says so.
        by: String,
    },
}

/// Leave that an agent asks for before a critical section.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// True when the product is taken out of service meanwhile.
    pub outage: bool,
    /// The gMSA object that is changed, where one is: such sections are serial.
    pub gmsa: Option<GmsaObject>,
}

/// A gMSA object in the directory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GmsaObject {
    /// Its domain.
    pub domain: DomainName,
    /// Its name; absent for the one that the product makes itself.
    pub name: Option<GmsaName>,
}

/// What a target did to a gMSA object: the next one acts when its own domain controller shows it (guard rail G3).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GmsaChange {
    /// Who changed it.
    pub by: TargetId,
    /// Name of the object, where it was seen.
    pub name: Option<GmsaName>,
    /// Security identifiers of the accounts that may retrieve its password since, as the target's domain controller
    /// showed them; absent when they could not be read.
    pub readers: Option<Vec<String>>,
}

/// A freeze that a server's administrator set there: no bundle is taken and no step begun while it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freeze {
    /// Its end.
    pub until: Timestamp,
    /// Who set it.
    pub by: String,
    /// Why.
    pub why: String,
}

/// A server that a directory names as one that carries a product.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiscoveredServer {
    /// Its name there: a DNS name, or the short name alone.
    pub name: String,
    /// Which product.
    pub product: Product,
    /// What shows it, in a few words.
    pub source: String,
}

/// One entry of a target's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", content = "is", rename_all = "kebab-case")]
pub enum Event {
    /// The target probed itself.
    FactsReported(Box<Facts>),
    /// A bundle was verified, stored and accepted.
    BundleAccepted {
        /// The bundle.
        bundle: BundleId,
        /// Its generation.
        generation: Generation,
        /// Its rollout.
        rollout: RolloutId,
        /// Its phase.
        phase: Phase,
        /// The change number that it is done under, as the bundle has it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        change: Option<String>,
    },
    /// A bundle was refused; nothing was begun.
    BundleRefused {
        /// The digest of what was offered.
        bundle: BundleId,
        /// Why.
        refusal: Refusal,
    },
    /// A step was begun.
    StepBegun {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// Which try.
        attempt: Attempt,
        /// The kind of step, by name.
        kind: String,
    },
    /// The section of a step was entered, by a permit.
    SectionEntered {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// What it covers.
        section: Section,
    },
    /// The section was left.
    SectionLeft {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// What it did to a gMSA object, where it changed one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        gmsa: Option<GmsaChange>,
    },
    /// A step needs a secret from a person.
    SecretAsked {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// Which try.
        attempt: Attempt,
        /// What is asked for.
        wanted: SecretKind,
        /// What it is for, in a sentence.
        why: String,
    },
    /// The secret came; its value is nowhere recorded.
    SecretReceived {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// What came.
        wanted: SecretKind,
    },
    /// Work for a person began.
    TaskOpened {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// What is to be done.
        text: Box<TaskText>,
    },
    /// Probes of a step were answered.
    Probed {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// The answers.
        findings: Vec<Finding>,
    },
    /// What a directory shows of servers that carry one of the products.
    Discovered {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// The domain that was asked.
        domain: DomainName,
        /// Servers, as the directory names them.
        servers: Vec<DiscoveredServer>,
        /// What could not be read, each a sentence.
        unread: Vec<String>,
    },
    /// What decides what a Connect server synchronizes.
    ConnectSettingsRead {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// What was read, and what could not be.
        settings: Box<ConnectSettings>,
    },
    /// A step completed.
    StepCompleted {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// How.
        completion: Completion,
        /// What was seen, in a sentence.
        summary: String,
        /// The grade that was seen, where the step verifies.
        grade: Option<Grade>,
    },
    /// A step failed.
    StepFailed {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// Why.
        failure: Box<Failure>,
    },
    /// A probe could not tell; a person must say.
    StepInconclusive {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// The question.
        question: String,
    },
    /// The run ended; the receipt follows in full.
    RunFinished {
        /// The run.
        generation: Generation,
        /// How it ended.
        ending: Ending,
        /// The receipt's envelope, as its JSON text.
        receipt: String,
    },
    /// The server's administrator has frozen it.
    Frozen(Freeze),
    /// The freeze is over, or was lifted.
    Thawed,
    /// The service of a product runs in another process than before, and this agent has not done that.
    ServiceRestarted {
        /// Which product.
        product: Product,
    },
    /// What a forest's directory shows that the next plan tells people of.
    ForestRead {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// The domain that was asked.
        domain: DomainName,
        /// UPN suffixes of the forest, its domains' own names among them; absent where they were not read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suffixes: Option<Vec<String>>,
        /// How many more suffixes there are than are told.
        #[serde(default, skip_serializing_if = "is_none_more")]
        more: u32,
        /// From when on a KDS root key may be used; absent where none was shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kds_usable_from: Option<Timestamp>,
        /// NetBIOS name of the domain that was asked; absent where it was not read, and of an agent that does not tell it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        netbios: Option<String>,
    },
    /// The newest settings that Connect's wizard has exported on this server.
    ConnectExportRead {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// What it is, without its text.
        export: Box<ExportedSettings>,
    },
    /// Whether Connect's cycle was held before the wizard of an upgrade was begun, where that is other than was told of it in this rollout.
    /// Behind the wizard nothing on the server tells who has switched it off.
    CycleBeforeWizard {
        /// The run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// It was off.
        held: bool,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
const fn is_none_more(more: &u32) -> bool {
    *more == 0
}

impl Event {
    /// The kind of [`Self::RunFinished`]: what carries a receipt is told by it without reading every body.
    pub const RUN_FINISHED: u16 = 14;

    /// The kind of [`Self::BundleRefused`].
    pub const BUNDLE_REFUSED: u16 = 3;

    /// The number of this kind on the wire. Numbers are never used again.
    #[must_use]
    pub const fn kind(&self) -> u16 {
        match self {
            Self::FactsReported(_) => 1,
            Self::BundleAccepted { .. } => 2,
            Self::BundleRefused { .. } => Self::BUNDLE_REFUSED,
            Self::StepBegun { .. } => 4,
            Self::SectionEntered { .. } => 5,
            Self::SectionLeft { .. } => 6,
            Self::SecretAsked { .. } => 7,
            Self::SecretReceived { .. } => 8,
            Self::TaskOpened { .. } => 9,
            Self::Probed { .. } => 10,
            Self::StepCompleted { .. } => 11,
            Self::StepFailed { .. } => 12,
            Self::StepInconclusive { .. } => 13,
            Self::RunFinished { .. } => Self::RUN_FINISHED,
            Self::Frozen(_) => 15,
            Self::Thawed => 16,
            Self::Discovered { .. } => 17,
            Self::ConnectSettingsRead { .. } => 18,
            Self::ServiceRestarted { .. } => 19,
            Self::ForestRead { .. } => 20,
            Self::ConnectExportRead { .. } => 21,
            Self::CycleBeforeWizard { .. } => 22,
        }
    }

    /// The bundle's generation that it is about; `None` where it is about no bundle that was accepted.
    #[must_use]
    pub const fn generation(&self) -> Option<Generation> {
        match self {
            Self::FactsReported(_)
            | Self::BundleRefused { .. }
            | Self::Frozen(_)
            | Self::Thawed
            | Self::ServiceRestarted { .. } => None,
            Self::BundleAccepted { generation, .. }
            | Self::StepBegun { generation, .. }
            | Self::SectionEntered { generation, .. }
            | Self::SectionLeft { generation, .. }
            | Self::SecretAsked { generation, .. }
            | Self::SecretReceived { generation, .. }
            | Self::TaskOpened { generation, .. }
            | Self::Probed { generation, .. }
            | Self::Discovered { generation, .. }
            | Self::ConnectSettingsRead { generation, .. }
            | Self::ForestRead { generation, .. }
            | Self::ConnectExportRead { generation, .. }
            | Self::CycleBeforeWizard { generation, .. }
            | Self::StepCompleted { generation, .. }
            | Self::StepFailed { generation, .. }
            | Self::StepInconclusive { generation, .. }
            | Self::RunFinished { generation, .. } => Some(*generation),
        }
    }

    /// The body as it is journaled, chained and sent.
    ///
    /// # Panics
    /// Never: events have only string keys.
    #[must_use]
    pub fn to_body(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an event with string keys serializes")
    }

    /// Reads a body; `None` for one that this version does not know. Such an event is still counted and kept.
    #[must_use]
    pub fn from_body(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}
