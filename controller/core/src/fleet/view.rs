//! What an operator sees: computed from the same state that decisions are made from.

use std::collections::BTreeMap;
use std::ops::Bound;

use protocol::event::{Failure, Finding, Grade, Severity, Verdict};
use protocol::secret::SecretKind;
use protocol::step::Step;
use protocol::task::TaskText;
use protocol::{
    DomainName, Generation, PlanId, RolloutId, StepIndex, TargetId, TenantId, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::answered::Attested;
use crate::default_rules;
use crate::fleet::decide::{ended, soaks_until};
use crate::fleet::directory_work::DirectoryWork;
use crate::fleet::hold::{Cause, Lifter, Lifts};
use crate::fleet::live::Live;
use crate::fleet::state::{Fleet, Rollout, RolloutState, TargetState, Work};
use crate::fleet::turn::{Budget, Turn};
use crate::overrides::OverrideView;
use crate::plan::told::Told;
use crate::plan::{Plan, TargetPlan};
use crate::policy;
use crate::readiness::Named;
use crate::suffixed;

/// What is asked of default rules on one server alone: what is told of them beside others stands behind it.
const RULES: &str = "CU01";

/// One target of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetView {
    /// Its name.
    pub target: TargetId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its group or Connect entry.
    pub lane: String,
    /// Its wave, from 1.
    pub wave: usize,
    /// One word.
    pub state: String,
    /// More about it, in a sentence; empty when the word says all.
    pub detail: String,
    /// On what it rests that it is done: its grade, where the tenant did not show it, and the cycles of its soak; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rests_on: String,
    /// Since when.
    pub since: Timestamp,
    /// Phases done.
    pub phase: usize,
    /// Phases in all.
    pub phases: usize,
    /// Highest grade that was seen.
    pub grade: Option<Grade>,
    /// True while it has a session.
    pub connected: bool,
    /// Nothing more happens without an operator.
    pub terminal: bool,
    /// It failed, refused, expired, is unknown or cannot tell.
    pub bad: bool,
    /// The failure, where there is one.
    pub failure: Option<Failure>,
    /// What lifts what holds it, and who can; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifts: Option<Lifts>,
    /// Its run asks for leave, and its turn comes by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub waits_for_leave: bool,
}

/// The word for whoever something holds, whatever it is at.
const HELD: &str = "held";

impl TargetView {
    /// Its work has come to its end, and nothing of it failed.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == TargetState::DONE
    }

    /// Something holds it.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.state == HELD
    }
}

/// On what a grade rests that only the server's own probes have shown.
const OWN_PROBES: &str = "by its own probes; not seen in tenant";

/// How a domain is served just now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainView {
    /// Which.
    pub domain: DomainName,
    /// Agents that are seen to serve it.
    pub serving: usize,
    /// Agents in all.
    pub servers: usize,
    /// How many must keep serving.
    pub min_serving: u32,
}

/// One rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutView {
    /// Its number.
    pub rollout: RolloutId,
    /// Its plan.
    pub plan: PlanId,
    /// Who ordered it.
    pub by: String,
    /// Change number.
    pub change: Option<String>,
    /// When.
    pub applied: Timestamp,
    /// `scheduled`, `running`, `paused`, `aborted`, `held` or `over`.
    pub state: String,
    /// An operator has ended it.
    #[serde(default)]
    pub aborted: bool,
    /// What it is for, in a word: `install`, `verify`, `preflight`, `discover`, `support`, `swap`, `swing`, `agents`, `eligibility`,
    /// `transition` or `undo`.
    #[serde(default)]
    pub kind: String,
    /// It only reads.
    pub read_only: bool,
    /// How many targets are in which state.
    pub counts: BTreeMap<String, usize>,
    /// Its targets, wave by wave.
    pub targets: Vec<TargetView>,
    /// Its domains.
    pub domains: Vec<DomainView>,
    /// How many of its targets went their way under an override.
    #[serde(default)]
    pub overridden: usize,
    /// Overrides on its targets that are in force or half said, in sentences.
    #[serde(default)]
    pub overrides: Vec<String>,
}

impl RolloutView {
    /// For what how many of its targets wait, and who can lift it: of several who can, the first. Most first.
    #[must_use]
    pub fn waits_for(&self) -> Vec<String> {
        let mut counts: BTreeMap<(&str, Lifter), usize> = BTreeMap::new();
        for lifts in self.targets.iter().filter_map(|row| row.lifts.as_ref()) {
            if let Some(who) = lifts.who.first() {
                *counts.entry((lifts.what.as_str(), *who)).or_default() += 1;
            }
        }
        let mut said: Vec<_> = counts.into_iter().collect();
        said.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        let words = said.into_iter();
        words
            .map(|((what, who), count)| format!("{count} for {what} ({})", who.as_str()))
            .collect()
    }

    /// How it stands, in words: what was aborted ends as that, with how many of whom nobody knows what has become of them.
    #[must_use]
    pub fn standing(&self) -> String {
        let unknown = self.counts.get(TargetState::Unknown.word());
        match unknown {
            _ if !self.aborted || self.state != "over" => self.state.clone(),
            None => "aborted".to_owned(),
            Some(unknown) => format!("aborted, {unknown} unknown"),
        }
    }
}

/// What a person is to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskWork {
    /// At the server, page by page.
    AtServer(Box<TaskText>),
    /// Give a secret: `entrain secret give`.
    GiveSecret(SecretKind),
    /// Answer a question, then retry, skip or resolve.
    Answer(String),
    /// Of a domain's administrator, who sits elsewhere.
    InDirectory(Box<DirectoryWork>),
}

/// Work for a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskView {
    /// In which rollout.
    pub rollout: RolloutId,
    /// On which target.
    pub target: TargetId,
    /// In which run.
    pub generation: Generation,
    /// Which step.
    pub step: StepIndex,
    /// Since when.
    pub since: Timestamp,
    /// What.
    pub work: TaskWork,
    /// Why nobody may go on with it just now (G1); absent where they may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<String>,
}

/// One answer to "why does nothing happen on this target?".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Why {
    /// The target.
    pub target: TargetId,
    /// The answer.
    pub answer: String,
    /// What its probes answered, newest run.
    pub findings: Vec<Finding>,
    /// What its steps said, newest phase.
    pub said: Vec<String>,
    /// The failure, where there is one.
    pub failure: Option<Failure>,
    /// What lifts what holds it, and who can; absent where nothing does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifts: Option<Lifts>,
    /// What of it was refused lately; whoever serves this answer knows.
    pub refusals: Vec<String>,
    /// Rules that operators have set aside on it, in sentences.
    #[serde(default)]
    pub overrides: Vec<String>,
    /// How it stands in other rollouts that it is not at its end in, or that are newer, in sentences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// What people attest of findings that could not be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attested: Vec<Attested>,
    /// What an operator may order of it, as it is typed: of the target where it has failed, else of those that it waits for and that have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<String>,
    /// The receipt that closes the findings, where they are those of a preflight that came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Named>,
    /// What was to be asked with those findings and was not, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unasked: Vec<String>,
    /// Its work in the rollout that the answer is from has come to its end, and nothing of it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
}

impl Why {
    /// An answer that is no rollout's.
    #[must_use]
    pub fn of(target: &TargetId, answer: String) -> Self {
        Self {
            target: target.clone(),
            answer,
            attested: Vec::new(),
            findings: Vec::new(),
            said: Vec::new(),
            failure: None,
            lifts: None,
            refusals: Vec::new(),
            overrides: Vec::new(),
            others: Vec::new(),
            orders: Vec::new(),
            receipt: None,
            unasked: Vec::new(),
            done: false,
        }
    }

    /// Whether a server that was asked is ready by what it answered: it came to the end, it was asked all that was to be asked, and nothing
    /// blocks it. What could not be told stands beside that.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.done && self.unasked.is_empty() && !self.findings.iter().any(Finding::blocks)
    }

    /// What people attest of a finding that could not be told.
    #[must_use]
    pub fn attests(&self, finding: &Finding) -> Option<&Attested> {
        let own = |one: &&Attested| one.id == finding.id && one.what == finding.what;
        let untold = finding.verdict == Verdict::CannotTell;
        self.attested.iter().find(own).filter(|_| untold)
    }
}

fn work_for_person(state: &TargetState) -> Option<(StepIndex, TaskWork)> {
    match state {
        TargetState::AwaitingPerson { step, text } => {
            Some((*step, TaskWork::AtServer(text.clone())))
        }
        TargetState::AwaitingSecret { step, wanted } => {
            Some((*step, TaskWork::GiveSecret(wanted.clone())))
        }
        TargetState::Inconclusive(question) => {
            Some((StepIndex(0), TaskWork::Answer(question.clone())))
        }
        TargetState::Pending
        | TargetState::Offered
        | TargetState::Running { .. }
        | TargetState::Done(_)
        | TargetState::Failed { .. }
        | TargetState::Refused(_)
        | TargetState::Skipped(_)
        | TargetState::Aborted
        | TargetState::Expired
        | TargetState::Unknown
        | TargetState::Resolved(_) => None,
    }
}

fn detail(state: &TargetState) -> String {
    match state {
        TargetState::Pending
        | TargetState::Offered
        | TargetState::Aborted
        | TargetState::Expired => String::new(),
        TargetState::Running { kind, .. } => kind.replace('-', " "),
        TargetState::AwaitingPerson { text, .. } => text.title.clone(),
        TargetState::AwaitingSecret { wanted, .. } => wanted.to_string(),
        TargetState::Done(grade) => grade.map_or(String::new(), |grade| grade.as_str().to_owned()),
        TargetState::Failed { failure, .. } => match &failure.known {
            Some(known) => format!("{} [{}: {}]", failure.what, known.id, known.cause),
            None => failure.what.clone(),
        },
        TargetState::Inconclusive(question) => question.clone(),
        TargetState::Refused(refusal) => refusal.to_string(),
        TargetState::Skipped(reason) | TargetState::Resolved(reason) => reason.clone(),
        TargetState::Unknown => "silent beyond the end of its bundle".to_owned(),
    }
}

impl Fleet {
    /// One rollout as an operator sees it.
    #[must_use]
    pub fn view(&self, id: RolloutId, live: &Live, now: Timestamp) -> Option<RolloutView> {
        let rollout = self.rollouts.get(&id)?;
        let mut targets = Vec::new();
        let turn = Turn::of(self, rollout, (live, now));
        let budget = Budget::of(rollout, self.elsewhere(id));
        for (number, wave) in rollout.plan.waves.iter().enumerate() {
            for target in wave {
                if let Some(work) = rollout.work.get(target) {
                    targets.push(self.target_view(
                        id,
                        rollout,
                        target,
                        work,
                        (&turn, number, &budget),
                        (live, now),
                    ));
                }
            }
        }
        let mut counts = BTreeMap::new();
        for target in &targets {
            *counts.entry(target.state.clone()).or_insert(0) += 1;
        }
        // Whoever is away or frozen in the middle of its work goes on by nothing of its own; a person's work is awaited, and what is
        // stopped by an order goes on until it is seen to stand.
        let stands = |target: &TargetView| {
            let cause = target.lifts.as_ref().map(|lifts| lifts.cause);
            cause.is_some_and(|cause| {
                let person = matches!(cause, Cause::AwaitsPerson | Cause::AwaitsSecret);
                let order = matches!(cause, Cause::FleetFrozen | Cause::Paused);
                !cause.is_in_turn() && !person && !order
            })
        };
        let under_way = targets.iter().any(|target| {
            let waits = target.is_held() || target.state == "pending";
            !target.terminal && !waits && !stands(target)
        });
        let waiting = targets
            .iter()
            .any(|target| target.state == "pending" && !target.terminal);
        let state = match rollout.state {
            _ if rollout.is_over() => "over",
            RolloutState::Paused => "paused",
            RolloutState::Aborted => "aborted",
            RolloutState::Running if rollout.not_before.is_some_and(|begins| now < begins) => {
                "scheduled"
            }
            RolloutState::Running if under_way || waiting => "running",
            RolloutState::Running => HELD,
        };
        Some(RolloutView {
            rollout: id,
            plan: rollout.plan_id,
            by: rollout.by.clone(),
            change: rollout.change.clone(),
            applied: rollout.applied,
            state: state.to_owned(),
            aborted: rollout.state == RolloutState::Aborted,
            kind: rollout.plan.kind.word().to_owned(),
            read_only: !rollout.plan.kind.changes(),
            counts,
            targets,
            domains: self.domains(rollout, live, now),
            overridden: rollout
                .work
                .values()
                .filter(|work| !work.overridden.is_empty())
                .count(),
            overrides: self
                .overrides(now)
                .iter()
                .filter(|view| rollout.work.contains_key(&view.target))
                .map(OverrideView::sentence)
                .collect(),
        })
    }

    fn target_view(
        &self,
        id: RolloutId,
        rollout: &Rollout,
        target: &TargetId,
        work: &Work,
        order: (&Turn<'_>, usize, &Budget),
        (live, now): (&Live, Timestamp),
    ) -> TargetView {
        let part = rollout.plan.targets.get(target);
        let connected = live.connected.contains(target);
        let mut word = work.state.word().to_owned();
        let mut text = detail(&work.state);
        if let (TargetState::Done(_), Some((at, by))) = (&work.state, &work.seen) {
            text.push_str(&format!(", as {by} read it in the tenant at {at}"));
        }
        let (mut lifts, mut waits_for_leave) = (None, false);
        let own = self.open_in(id, target);
        if work.state == TargetState::Pending {
            if let Some(hold) = self.hold_in(id, rollout, target, (live, now), order) {
                let soaks = part.and_then(|part| soaks_until(part, work));
                if !hold.in_turn {
                    HELD.clone_into(&mut word);
                } else if soaks.is_some_and(|ends| now < ends) {
                    "soaking".clone_into(&mut word);
                }
                lifts = Some(Lifts::from(&hold));
                text = hold.why;
            }
        } else if let Some(doubted) = self.doubted.get(target)
            && !work.state.is_terminal()
        {
            lifts = Some(Lifts::from(Cause::Doubted));
            text = format!("{word}: {}", doubted.sentence(target));
            HELD.clone_into(&mut word);
        } else if own && let Some(stop) = self.must_stop(target, now) {
            lifts = Some(Lifts::from(&stop));
            text = format!("{}; {text}", stop.why);
            HELD.clone_into(&mut word);
        } else if let Some(gate) = self.asked.get(target)
            && !work.state.is_terminal()
        {
            let hold = self.permit_hold(target, gate, &self.gates, live, now);
            lifts = hold.as_ref().map(Lifts::from);
            match hold {
                Some(hold) if hold.in_turn => {
                    waits_for_leave = true;
                    text = format!("waits for leave: {}", hold.why);
                }
                Some(hold) => {
                    HELD.clone_into(&mut word);
                    text = hold.why;
                }
                None => "leave is on its way".clone_into(&mut text),
            }
        } else if let Some(away) = work
            .away_in_words(target, live)
            .filter(|_| !work.state.is_terminal())
        {
            text = format!("{word}, {text}").trim_end_matches(", ").to_owned();
            text = format!("{text}; {away}");
            "unreachable".clone_into(&mut word);
        } else if let (TargetState::Unknown, Some(open)) = (&work.state, self.open.get(target))
            && open.rollout == id
        {
            text = if connected {
                "it is back, and has not said yet what became of it".to_owned()
            } else {
                format!(
                    "it was away when the rollout was aborted, and may be at work until {}: its return says what became of it, or `entrain resolve {id} {target} --reason WHY`",
                    ended(open)
                )
            };
        }
        // What it asks for was answered above.
        if work.state.is_under_way() && lifts.is_none() && !self.asked.contains_key(target) {
            let hold = self.stands(target, work, (live, now));
            lifts = hold.as_ref().map(Lifts::from);
        }
        if work.state == TargetState::Unknown && work.agent_gone {
            "its agent was revoked or replaced in the middle of its work: what became of that nobody told; look at the server, then retry, skip or resolve it"
                .clone_into(&mut text);
        }
        if let Some(claims) = self.abandoned_sentence_of(id, target, now) {
            text = format!("{text}; {claims}");
        }
        if let Some(since) = work.passed_over.filter(|_| work.is_passed_over()) {
            let deadline = rollout.plan.limits.deadline();
            let deadline = deadline.map_or_else(String::new, |time| {
                format!(
                    ", longer than the {} that this rollout waits",
                    policy::days(time)
                )
            });
            if work.state == TargetState::Pending {
                "unreachable".clone_into(&mut word);
                "between two phases".clone_into(&mut text);
            }
            text = format!(
                "{text}; away since {since}{deadline}: the others go on around it, and it counts as failed; its return lifts it"
            );
        }
        // A run that is under way goes on to its next gate, and there it waits; one that asks for leave was answered above.
        let waits = work.state != TargetState::Pending && !work.state.is_terminal();
        if let Some(stop) = self.stands_still(target, (live, now))
            && waits
            && !self.asked.contains_key(target)
        {
            if work.is_between_steps() && connected && !self.may_be_in_a_section(target, now) {
                HELD.clone_into(&mut word);
                text = stop.why;
            } else {
                text = format!("{text}; goes on to its next gate: {}", stop.why)
                    .trim_start_matches("; ")
                    .to_owned();
            }
        }
        if self.again_at_its_end(id, target) {
            text = format!("{text}; it is tried again once its run has ended");
        }
        if !work.overridden.is_empty() {
            let said = work.overridden.join("; ");
            text = format!("{text}; OVERRIDDEN: {said}")
                .trim_start_matches("; ")
                .to_owned();
        }
        let mut failure = None;
        if let TargetState::Failed { failure: why, .. } = &work.state {
            failure = Some((**why).clone());
        }
        TargetView {
            target: target.clone(),
            tenant: tenant_of(&rollout.plan, target),
            lane: part.map(|part| part.lane.clone()).unwrap_or_default(),
            wave: order.1 + 1,
            state: word,
            detail: text,
            rests_on: rests_on(work),
            since: work.since,
            phase: work.phase,
            phases: part.map_or(0, |part| part.phases.len()),
            grade: work.grade,
            connected,
            terminal: work.state.is_terminal(),
            bad: work.state.is_bad() || work.is_passed_over(),
            failure,
            lifts,
            waits_for_leave,
        }
    }

    fn domains(&self, rollout: &Rollout, live: &Live, now: Timestamp) -> Vec<DomainView> {
        let serves = |server: &&TargetId| live.serves(server, now) == Some(true);
        let view = |(domain, part): (&DomainName, &crate::plan::DomainPlan)| DomainView {
            domain: domain.clone(),
            serving: part.servers.iter().filter(serves).count(),
            servers: part.servers.len(),
            min_serving: part.min_serving,
        };
        rollout.plan.domains.iter().map(view).collect()
    }

    /// How many agents serve each domain of a rollout just now.
    #[must_use]
    pub fn serving(&self, id: RolloutId, live: &Live, now: Timestamp) -> Vec<DomainView> {
        let rollout = self.rollouts.get(&id);
        rollout.map_or_else(Vec::new, |rollout| self.domains(rollout, live, now))
    }

    /// What the tenant that a secret is for is called in the plan of whoever asks for it; `None` of a domain's.
    #[must_use]
    pub fn tenant_of(&self, target: &TargetId, wanted: &SecretKind) -> Option<&str> {
        let (SecretKind::AccessToken { tenant } | SecretKind::TenantCredential { tenant }) = wanted
        else {
            return None;
        };
        self.active().find_map(|(_, rollout)| {
            let part = rollout.plan.targets.get(target)?;
            let lane = rollout.plan.lanes.get(&part.lane)?;
            (lane.tenant == *tenant).then_some(lane.tenant_name.as_str())
        })
    }

    /// All work for people, oldest first.
    #[must_use]
    pub fn tasks(&self, now: Timestamp) -> Vec<TaskView> {
        let mut tasks = Vec::new();
        for (id, rollout) in &self.rollouts {
            for (target, work) in &rollout.work {
                for theirs in self.directory_work(*id, rollout, target, work) {
                    tasks.push(self.task(
                        (*id, target),
                        work,
                        TaskWork::InDirectory(Box::new(theirs)),
                    ));
                }
                let Some((step, mut task)) = work_for_person(&work.state) else {
                    continue;
                };
                if matches!(task, TaskWork::Answer(_)) && self.is_past(*id, rollout, target) {
                    continue;
                }
                if let TaskWork::AtServer(text) = &mut task {
                    self.complete(rollout.plan.targets.get(target), text);
                }
                tasks.push(TaskView {
                    step,
                    stop: self
                        .must_stop(target, now)
                        .filter(|_| self.open_in(*id, target))
                        .map(|stop| stop.why),
                    ..self.task((*id, target), work, task)
                });
            }
        }
        tasks.sort_by_key(|task| task.since);
        tasks
    }

    fn task(
        &self,
        (rollout, target): (RolloutId, &TargetId),
        work: &Work,
        task: TaskWork,
    ) -> TaskView {
        let step = if let TargetState::Failed { step, .. } = &work.state {
            *step
        } else {
            StepIndex(0)
        };
        TaskView {
            rollout,
            target: target.clone(),
            generation: self.generations.get(target).copied().unwrap_or_default(),
            step,
            since: work.since,
            work: task,
            stop: None,
        }
    }

    /// Nobody waits for an answer about that work any more: its rollout was aborted, or a later one has the server since. One that
    /// only reads takes no question over from one that changes something, and one that was left out before it began none at all.
    pub(super) fn is_past(&self, id: RolloutId, rollout: &Rollout, target: &TargetId) -> bool {
        let reads = |rollout: &Rollout| {
            let part = rollout.plan.targets.get(target);
            part.is_none_or(TargetPlan::is_read_only)
        };
        let takes_over = |(_, later): (&RolloutId, &Rollout)| {
            let work = later.work.get(target);
            work.is_some_and(|work| {
                let out = matches!(work.state, TargetState::Aborted | TargetState::Skipped(_));
                (!out || work.has_begun() || work.tried) && (reads(rollout) || !reads(later))
            })
        };
        let mut later = self.rollouts.range((Bound::Excluded(id), Bound::Unbounded));
        rollout.state == RolloutState::Aborted || later.any(takes_over)
    }

    /// Completes the pages of an installation of Connect by what was read of its forests since it was planned: its own preflight reads them
    /// minutes before the wizard.
    fn complete(&self, part: Option<&TargetPlan>, text: &mut TaskText) {
        let Some(part) = part.filter(|part| part.installs_connect()) else {
            return;
        };
        let mut steps = part.phases.iter().flat_map(|phase| &phase.steps);
        let forests = steps.find_map(|step| {
            if let Step::VerifyConnect(verify) = step {
                Some(&verify.forests)
            } else {
                None
            }
        });
        if let Some(forests) = forests {
            Told::of(&self.beyond, forests, &part.tenant).put_into(text);
        }
    }

    /// What a target's probes said, weighed by what is known by now (PV26) and was read in its tenant (PF57), and what is known of the
    /// version of Connect that it has (PF43). That warns here: an upgrade mends it, and whoever would become active with it is held by it.
    /// Where default rules were asked about, they are held against those of the others (CU04).
    pub(super) fn found(
        &self,
        (plan, target, part): (&Plan, &TargetId, &TargetPlan),
        work: &Work,
        live: &Live,
        now: Timestamp,
    ) -> Vec<Finding> {
        let seen = self.beyond.tenants.get(&part.tenant);
        let said = work.findings.iter().cloned();
        let mut found: Vec<Finding> = said.map(|one| suffixed::weighed(one, seen)).collect();
        if let Some(versions) = &live.versions {
            let weighed = found.into_iter().map(|one| versions.weighed(one, now));
            found = weighed.collect();
        }
        let facts = self
            .known
            .get(target)
            .and_then(|known| known.facts.as_ref());
        let connect = facts.and_then(|(_, facts)| facts.connect.as_ref());
        let version = connect.and_then(|connect| connect.version);
        if let (Some(at), Some(version)) = (found.iter().position(|one| one.id == RULES), version) {
            let peers = default_rules::peers(plan, target);
            let compared = default_rules::finding(target, version, peers, &self.beyond.settings);
            found.splice(at + 1..at + 1, compared);
        }
        if let (false, Some(versions), Some(version)) = (found.is_empty(), &live.versions, version)
        {
            let finding = versions.finding(version, now);
            found.push(Finding {
                severity: finding.severity.min(Severity::Warn),
                ..finding
            });
        }
        found
    }

    /// A bundle of that rollout is open on a target.
    pub(super) fn open_in(&self, id: RolloutId, target: &TargetId) -> bool {
        self.open.get(target).is_some_and(|open| open.rollout == id)
    }

    pub(super) fn row_of(
        &self,
        id: RolloutId,
        rollout: &Rollout,
        target: &TargetId,
        work: &Work,
        (live, now): (&Live, Timestamp),
    ) -> TargetView {
        let turn = Turn::of(self, rollout, (live, now));
        let wave = rollout.work.wave_of(target).unwrap_or(0);
        let budget = Budget::of(rollout, self.elsewhere(id));
        self.target_view(
            id,
            rollout,
            target,
            work,
            (&turn, wave, &budget),
            (live, now),
        )
    }
}

/// How a target stands in a rollout.
pub(super) fn sentence(id: RolloutId, rollout: &Rollout, row: &TargetView) -> String {
    let mut detail = if row.detail.is_empty() {
        String::new()
    } else {
        format!(": {}", row.detail)
    };
    if !row.rests_on.is_empty() {
        detail.push_str(&format!(" ({})", row.rests_on));
    }
    let change = rollout.change.as_ref();
    let change = change.map_or_else(String::new, |change| format!(" ({change})"));
    format!(
        "{id}{change}, wave {}, phase {} of {}: {}{detail}",
        row.wave, row.phase, row.phases, row.state
    )
}

/// On what rests that something is done: its grade, where no tenant showed it, and that it went through its cycles while it soaked.
fn rests_on(work: &Work) -> String {
    let TargetState::Done(grade) = &work.state else {
        return String::new();
    };
    let own = (grade.is_some() && work.seen.is_none()).then(|| OWN_PROBES.to_owned());
    let cycles = work.cycles.as_ref();
    let cycles = cycles.map(|cycles| format!("cycles while it soaked: {}", cycles.words()));
    let both: Vec<String> = own.into_iter().chain(cycles).collect();
    both.join("; ")
}

/// The tenant of a target's work. A plan has a part for whoever has work; of one that ever lacks it the first tenant is shown, so that the
/// rest of the view is.
fn tenant_of(plan: &Plan, target: &TargetId) -> TenantId {
    let part = plan.targets.get(target);
    let part = part.or_else(|| plan.targets.values().next());
    part.map_or_else(
        || {
            "00000000-0000-0000-0000-000000000000"
                .parse()
                .expect("a constant GUID")
        },
        |part| part.tenant.clone(),
    )
}
