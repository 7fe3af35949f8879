//! An agent as its folder holds it: its journal is read, and the run that was under way is taken up.

use std::sync::Arc;

use agent_core::clock::Clock;
use agent_core::held::Held;
use agent_core::lives::Lives;
use agent_core::procedure::Host;
use agent_core::run::Run;
use agent_core::stood::Stood;
use protocol::event::Event;
use protocol::signed::{AgentRelease, Manifest, Verified, take_up};
use protocol::wire::latest::Hello;
use protocol::{Digest, Epoch, EventIndex, Generation};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::{Agent, AgentError, REPORTS, Speed, now};
use crate::beside::Beside;
use crate::exec::{Exec, Secrets};
use crate::journal::Journal;
use crate::session::Dial;
use crate::state::State;

impl Agent {
    /// Takes up what the folder holds: the journal, and the run that was under way.
    ///
    /// # Errors
    /// When a file cannot be read or was altered.
    pub fn open(state: State, exec: Exec, speed: Speed) -> Result<Self, AgentError> {
        let mut journal = Journal::open(&state.folder().join("journal"), Epoch::by_chance)?;
        let host = Host {
            simulated: state.simulated(),
            agent_version: exec.agent_version(),
            platform: AgentRelease::this_platform(),
            publisher: state.root.roles.publisher.clone(),
        };
        let history = journal.events()?;
        let mut newest = None;
        let mut open = None;
        let mut previous_receipt = Digest::ZERO;
        let mut begun = (now(), EventIndex(0));
        let mut last_facts = None;
        let mut frozen = None;
        let (mut stood, mut held) = (Stood::default(), Held::default());
        for (index, at, event) in &history {
            stood.hear(event, *at);
            held.hear(event);
            match event {
                Event::BundleAccepted {
                    bundle, generation, ..
                } => {
                    newest = Some((*generation, *bundle));
                    open = Some((*generation, *bundle));
                    begun = (*at, *index);
                }
                Event::RunFinished { receipt, .. } => {
                    open = None;
                    previous_receipt = Digest::of(receipt.as_bytes());
                }
                Event::FactsReported(facts) => last_facts = Some((**facts).clone()),
                Event::Frozen(freeze) => frozen = Some(freeze.clone()),
                Event::Thawed => frozen = None,
                Event::BundleRefused { .. }
                | Event::StepBegun { .. }
                | Event::SectionEntered { .. }
                | Event::SectionLeft { .. }
                | Event::SecretAsked { .. }
                | Event::SecretReceived { .. }
                | Event::TaskOpened { .. }
                | Event::Probed { .. }
                | Event::Discovered { .. }
                | Event::ForestRead { .. }
                | Event::ConnectSettingsRead { .. }
                | Event::ConnectExportRead { .. }
                | Event::CycleBeforeWizard { .. }
                | Event::StepCompleted { .. }
                | Event::StepFailed { .. }
                | Event::StepInconclusive { .. }
                | Event::ServiceRestarted { .. } => {}
            }
        }
        let mut run = None;
        if let Some((generation, bundle)) = open {
            let envelope = state.bundle(generation, &bundle.0)?;
            // It was verified when it was taken. A newer root may name other keys since: what goes on is what goes on in one life.
            let manifest: Verified<Manifest> =
                take_up(&envelope, &bundle.0).map_err(AgentError::Bundle)?;
            let of_run: Vec<Event> = history
                .into_iter()
                .map(|(_, _, event)| event)
                .filter(|event| event.generation() == Some(generation))
                .collect();
            tracing::info!(target_name = %state.target, %generation, events = of_run.len(), "a run goes on");
            // Whether its rollout still goes on is known with the next welcome, and what its administrator has set, at once.
            let open = Run::held(manifest, host.clone(), &of_run, now());
            let open = open.standing_since(stood.since());
            run = Some(open.behind_a_held_cycle(held.before_the_wizard()));
        }
        let held_by_rollout = run.is_some();
        let hello = Hello {
            target: state.target.clone(),
            agent_version: host.agent_version.clone(),
            simulated: host.simulated,
            head: journal.head(),
            generation: newest.map_or(Generation(0), |(generation, _)| generation),
            root_version: state.root.version,
        };
        let dial = Dial {
            identity: state.identity(),
            authority: state.authority(),
            controller: state.controller.clone(),
            hello,
        };
        let trial = exec.on_trial().then(|| journal.head().index);
        if trial.is_some() {
            tracing::warn!(target_name = %state.target, version = %host.agent_version, "this version is on trial");
        }
        Ok(Self {
            trial,
            restated: false,
            replaced: false,
            state,
            journal,
            host,
            exec: Arc::new(exec),
            speed,
            unreached: None,
            run,
            run_begun: begun,
            stood,
            held,
            newest,
            previous_receipt,
            last_facts,
            lives: Lives::default(),
            born: tokio::time::Instant::now(),
            clock: Clock::default(),
            frozen,
            held_by_rollout,
            told_waiting: false,
            secrets: Secrets::new(),
            session: None,
            sent: EventIndex(0),
            stored: EventIndex(0),
            dial: watch::channel(dial).0,
            link: watch::channel(None).0,
            reports: mpsc::channel(REPORTS),
            tasks: JoinSet::new(),
            asking: None,
            asks_leave: None,
            left_section: None,
            sections_left: 0,
            beside: Beside::default(),
            superseding: None,
        })
    }
}
