//! One target's way through a rollout: what it is at, what was seen of it, and whether anybody waits for it.

use protocol::event::{Failure, Finding, Grade};
use protocol::facts::Facts;
use protocol::refusal::Refusal;
use protocol::secret::SecretKind;
use protocol::step::Product;
use protocol::task::TaskText;
use protocol::{StepIndex, TargetId, Timestamp, Version};

use crate::fleet::live::Live;
use crate::fleet::otherwise::Otherwise;
use crate::fleet::watch::Watched;
use crate::tenant::Cycles;

/// What a target is at within a rollout.
#[derive(Debug, Clone, PartialEq)]
pub enum TargetState {
    /// Nothing was offered yet, or the next phase is due.
    Pending,
    /// A bundle was issued; no answer yet.
    Offered,
    /// A step runs.
    Running {
        /// Which.
        step: StepIndex,
        /// Its kind.
        kind: String,
    },
    /// A person must do something at the server.
    AwaitingPerson {
        /// Which step.
        step: StepIndex,
        /// What.
        text: Box<TaskText>,
    },
    /// A person must give a secret.
    AwaitingSecret {
        /// Which step.
        step: StepIndex,
        /// Which secret.
        wanted: SecretKind,
    },
    /// Every phase is done.
    Done(Option<Grade>),
    /// A step failed.
    Failed {
        /// Which.
        step: StepIndex,
        /// Why.
        failure: Box<Failure>,
    },
    /// A probe could not tell.
    Inconclusive(String),
    /// The agent refused the bundle.
    Refused(Refusal),
    /// An operator left it out.
    Skipped(String),
    /// Ended by abort.
    Aborted,
    /// Its time ran out before its last step.
    Expired,
    /// Silent beyond the end of its bundle, or away when its rollout was aborted.
    Unknown,
    /// Unknown, and an operator said what became of it.
    Resolved(String),
}

impl TargetState {
    /// Nothing more happens without an operator.
    #[must_use]
    pub const fn is_terminal(&self) -> bool {
        match self {
            Self::Pending
            | Self::Offered
            | Self::Running { .. }
            | Self::AwaitingPerson { .. }
            | Self::AwaitingSecret { .. } => false,
            Self::Done(_)
            | Self::Failed { .. }
            | Self::Inconclusive(_)
            | Self::Refused(_)
            | Self::Skipped(_)
            | Self::Aborted
            | Self::Expired
            | Self::Unknown
            | Self::Resolved(_) => true,
        }
    }

    /// The step that its run is at, also where that waits for somebody; `None` where no step was begun, or the run has ended.
    #[must_use]
    pub const fn step(&self) -> Option<StepIndex> {
        match self {
            Self::Running { step, .. }
            | Self::AwaitingPerson { step, .. }
            | Self::AwaitingSecret { step, .. } => Some(*step),
            Self::Pending
            | Self::Offered
            | Self::Done(_)
            | Self::Failed { .. }
            | Self::Inconclusive(_)
            | Self::Refused(_)
            | Self::Skipped(_)
            | Self::Aborted
            | Self::Expired
            | Self::Unknown
            | Self::Resolved(_) => None,
        }
    }

    /// A run may be doing its work: it was offered, and did not come to its end.
    #[must_use]
    pub const fn is_under_way(&self) -> bool {
        !self.is_terminal() && !matches!(self, Self::Pending)
    }

    /// Counts against the failure limit.
    #[must_use]
    pub const fn is_bad(&self) -> bool {
        matches!(
            self,
            Self::Failed { .. }
                | Self::Inconclusive(_)
                | Self::Refused(_)
                | Self::Expired
                | Self::Unknown
        )
    }

    /// Counts as good enough for what comes behind it.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        matches!(self, Self::Done(_) | Self::Skipped(_) | Self::Resolved(_))
    }

    /// The word for what is done.
    pub(crate) const DONE: &'static str = "done";

    /// One word.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Offered => "offered",
            Self::Running { .. } => "running",
            Self::AwaitingPerson { .. } => "awaiting person",
            Self::AwaitingSecret { .. } => "awaiting secret",
            Self::Done(_) => Self::DONE,
            Self::Failed { .. } => "failed",
            Self::Inconclusive(_) => "inconclusive",
            Self::Refused(_) => "refused",
            Self::Skipped(_) => "skipped",
            Self::Aborted => "aborted",
            Self::Expired => "expired",
            Self::Unknown => "unknown",
            Self::Resolved(_) => "resolved",
        }
    }
}

/// One target's way through a rollout.
#[derive(Debug, Clone)]
pub struct Work {
    /// What it is at.
    pub state: TargetState,
    /// Since when.
    pub since: Timestamp,
    /// Which phase is next or under way.
    pub phase: usize,
    /// Highest grade that was seen.
    pub grade: Option<Grade>,
    /// Findings of its probes, newest run.
    pub findings: Vec<Finding>,
    /// At which step of its bundle each of them was told, in their order.
    pub found_at: Vec<StepIndex>,
    /// When the newest of them was told.
    pub found: Timestamp,
    /// What its steps said, newest phase.
    pub said: Vec<String>,
    /// Receipts: digests of their envelopes.
    pub receipts: u32,
    /// An earlier try of this rollout may have changed the server, since a step that changes something was begun, or nobody has told:
    /// what it finds is what it has made.
    pub tried: bool,
    /// It is tried again, and that is not offered yet: it has lost its place, and waits for another one like whoever begins.
    pub anew: bool,
    /// It is tried again, and a run before that may yet speak, and take its place again: until then it counts as one that may fail.
    pub unheard: bool,
    /// It was given the work that takes a staging Connect server out of staging mode, and that work did not come to its end:
    /// a person may still be at its wizard.
    pub switching: bool,
    /// Its agent was revoked or replaced in the middle of its work.
    pub agent_gone: bool,
    /// Everything was done, and the grade that is needed was not seen.
    pub short: bool,
    /// Since when its product was watched, where its last work ends a watch.
    pub soaked_from: Option<Timestamp>,
    /// What the tenant tells of the cycles of that watch; absent where none has ended, and for Connect, whose scheduler tells it.
    pub cycles: Option<Cycles>,
    /// When and by whom the tenant was read that showed the grade; absent where the server's own probes did.
    pub seen: Option<(Timestamp, String)>,
    /// What went its way by an override, and who answers for it: it stays with the work, whatever becomes of that.
    pub overridden: Vec<String>,
    /// What has become of its product while that is watched.
    pub watched: Watched,
    /// Its agent has refused its bundle, or ended it before its first step, and it waits to be offered it anew: for a run that was
    /// let go, or for a new plan.
    pub let_go: bool,
    /// What the server reported of its products when everything was done.
    pub left: VersionsLeft,
    /// Since when it is away, where its rollout waits for nobody for ever and the log tells so.
    pub away: Option<Timestamp>,
    /// How its server differs from what its plan read, before anything of it has begun there.
    pub(crate) otherwise: Option<Otherwise>,
    /// Since when it is away, where that is longer than its rollout waits for anybody: the others go on around it.
    pub passed_over: Option<Timestamp>,
}

/// The versions that a rollout has left on a server: absent where a product is not there, or does not tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct VersionsLeft {
    /// Of the provisioning agent.
    pub provisioning_agent: Option<Version>,
    /// Of Connect.
    pub connect: Option<Version>,
}

impl VersionsLeft {
    /// As a server's facts have it.
    pub(crate) fn of(facts: &Facts) -> Self {
        let agent = facts.provisioning_agent.as_ref();
        let connect = facts.connect.as_ref();
        Self {
            provisioning_agent: agent.and_then(|agent| agent.version),
            connect: connect.and_then(|connect| connect.version),
        }
    }

    /// That product's.
    #[must_use]
    pub const fn of_product(&self, product: Product) -> Option<Version> {
        match product {
            Product::ProvisioningAgent => self.provisioning_agent,
            Product::Connect => self.connect,
        }
    }
}

impl Work {
    /// Nothing was done yet.
    pub(crate) fn fresh(now: Timestamp) -> Self {
        Self {
            state: TargetState::Pending,
            since: now,
            phase: 0,
            grade: None,
            findings: Vec::new(),
            found_at: Vec::new(),
            found: now,
            said: Vec::new(),
            receipts: 0,
            tried: false,
            anew: false,
            unheard: false,
            switching: false,
            agent_gone: false,
            short: false,
            soaked_from: None,
            cycles: None,
            seen: None,
            overridden: Vec::new(),
            watched: Watched::default(),
            let_go: false,
            left: VersionsLeft::default(),
            away: None,
            otherwise: None,
            passed_over: None,
        }
    }

    /// A step of its run has ended, and the next one has not begun as far as is told.
    #[must_use]
    pub fn is_between_steps(&self) -> bool {
        matches!(&self.state, TargetState::Running { kind, .. } if kind.is_empty())
    }

    /// Nothing of it was offered yet.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.state == TargetState::Pending && !self.has_begun()
    }

    /// What is kept of its watch when it comes to `state`: what was proven, as long as the look behind the watch is under way.
    pub(crate) fn watched_on(&self, state: &TargetState) -> Watched {
        if *state == TargetState::Pending || state.is_terminal() {
            Watched::default()
        } else {
            self.watched.clone()
        }
    }

    /// What becomes of it is its agent's to say, and something of it was offered: whoever was offered nothing holds up nobody.
    #[must_use]
    pub fn waits_for_its_agent(&self) -> bool {
        let waits = !self.state.is_terminal() || self.state == TargetState::Unknown;
        waits && !self.is_untouched()
    }

    /// Nobody waits for it any more.
    #[must_use]
    pub const fn is_passed_over(&self) -> bool {
        self.passed_over.is_some() && !self.state.is_settled()
    }

    /// A run of it has ended: it goes on from there, and what it finds is what it has made.
    #[must_use]
    pub const fn has_begun(&self) -> bool {
        self.phase > 0 || self.receipts > 0
    }

    /// It counts as under way.
    #[must_use]
    pub fn is_in_flight(&self) -> bool {
        let begun = self.holds_a_place() || self.state != TargetState::Pending;
        begun && !self.state.is_terminal() && !self.is_passed_over()
    }

    /// It was offered nothing since it is tried again, and a run before that may yet speak.
    #[must_use]
    pub fn is_unheard(&self) -> bool {
        self.unheard
            && self.state == TargetState::Pending
            && !self.is_in_flight()
            && !self.is_passed_over()
    }

    /// Since when its target is away, in words: as a session of this controller's life ended, or as the log tells, or else only that it
    /// did not come since the controller started, which is no word of the agent's. `None` while it is here.
    pub(crate) fn away_in_words(&self, target: &TargetId, live: &Live) -> Option<String> {
        let began = live.away_since(target)?;
        let known = live.away.get(target).copied().or(self.away);
        Some(known.map_or_else(
            || format!("away since the controller started at {began}, or longer"),
            |since| format!("away since {since}"),
        ))
    }

    /// It has begun, and counts as under way until it is at its end.
    #[must_use]
    pub const fn holds_a_place(&self) -> bool {
        self.has_begun() && !self.anew
    }
}
