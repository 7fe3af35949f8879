//! How long steps have taken on this fleet, by the agents' own clocks: a fold over their events. Where none of a kind has ended yet
//! there is an estimate, and it is told as that.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use protocol::event::{Completion, Event};
use protocol::step::Step;
use protocol::{Generation, StepIndex, TargetId, Timestamp};

/// Runs of a kind that are kept: an installer's next version may take another time.
const LAST: usize = 25;

/// How long steps of each kind have taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taken {
    /// What is under way, and since when.
    begun: BTreeMap<TargetId, (Generation, StepIndex, Timestamp)>,
    /// The last runs, by the step's title: it tells what one kind does differently.
    runs: BTreeMap<&'static str, VecDeque<Duration>>,
    /// The same of waits for a full synchronization, by the server: it takes minutes in one forest and a day in another.
    full_syncs: BTreeMap<TargetId, VecDeque<Duration>>,
}

/// How long a step usually takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usual {
    /// So long; absent where nothing tells it, and a guess would be as good as none.
    pub takes: Option<Duration>,
    /// The median of so many runs; 0 where it is an estimate, or not known.
    pub runs: usize,
}

impl Taken {
    /// Nothing has run yet: everything is an estimate.
    pub const NOTHING: &'static Self = &Self {
        begun: BTreeMap::new(),
        runs: BTreeMap::new(),
        full_syncs: BTreeMap::new(),
    };

    /// Takes up an event that an agent journaled at `at` by its own clock. `step` is the one that the event is about, where its
    /// bundle is known.
    pub(crate) fn heard(
        &mut self,
        target: &TargetId,
        event: &Event,
        step: Option<&Step>,
        at: Timestamp,
    ) {
        match event {
            // A step that is begun again, and one that has waited for a person's secret, is counted from then on.
            Event::StepBegun {
                generation, step, ..
            }
            | Event::SecretReceived {
                generation, step, ..
            } => {
                self.begun.insert(target.clone(), (*generation, *step, at));
            }
            Event::StepCompleted {
                generation,
                step: index,
                completion,
                ..
            } => {
                let begun = self.begun.remove(target);
                let begun = begun.filter(|(of, at, _)| of == generation && at == index);
                let (Some((.., begun)), Some(step)) = (begun, step) else {
                    return;
                };
                // What was so already took no work, and what somebody attests was not seen to end. What only looks is always
                // "so already".
                let looks = step.is_read_only() || matches!(step, Step::Preflight(_));
                let worked = match completion {
                    Completion::Applied | Completion::SeenDone => true,
                    Completion::AlreadySo => looks,
                    Completion::Attested { .. } => false,
                };
                // A clock that was set back tells nothing.
                if worked && at >= begun {
                    let runs = if depends_on_the_server(step) {
                        self.full_syncs.entry(target.clone()).or_default()
                    } else {
                        self.runs.entry(step.title()).or_default()
                    };
                    runs.push_back(at.since(begun));
                    if runs.len() > LAST {
                        runs.pop_front();
                    }
                }
            }
            Event::StepFailed { .. }
            | Event::StepInconclusive { .. }
            | Event::RunFinished { .. } => drop(self.begun.remove(target)),
            Event::FactsReported(_)
            | Event::BundleAccepted { .. }
            | Event::BundleRefused { .. }
            | Event::SectionEntered { .. }
            | Event::SectionLeft { .. }
            | Event::SecretAsked { .. }
            | Event::TaskOpened { .. }
            | Event::Probed { .. }
            | Event::Discovered { .. }
            | Event::ForestRead { .. }
            | Event::ConnectSettingsRead { .. }
            | Event::ConnectExportRead { .. }
            | Event::CycleBeforeWizard { .. }
            | Event::Frozen(_)
            | Event::Thawed
            | Event::ServiceRestarted { .. } => {}
        }
    }

    /// Its agent is none of the fleet any more: what it had begun ends nowhere, and a server of that name may be another one.
    pub(crate) fn forget(&mut self, target: &TargetId) {
        self.begun.remove(target);
        self.full_syncs.remove(target);
    }

    /// How long a step usually takes on a server: the median of its last runs on this fleet, or the estimate. A full synchronization is
    /// known by what it took on that server alone.
    #[must_use]
    pub fn usual(&self, target: &TargetId, step: &Step) -> Usual {
        let runs = if depends_on_the_server(step) {
            self.full_syncs.get(target)
        } else {
            self.runs.get(step.title())
        };
        let mut sorted: Vec<Duration> = runs.into_iter().flatten().copied().collect();
        sorted.sort();
        // Of an even number the longer one: nobody is called too early.
        Usual {
            takes: sorted
                .get(sorted.len() / 2)
                .copied()
                .or_else(|| estimate(step)),
            runs: sorted.len(),
        }
    }
}

/// Whether what a step takes on one server says nothing of another one.
pub(crate) const fn depends_on_the_server(step: &Step) -> bool {
    matches!(step, Step::AwaitFullSync(_))
}

/// A guess of this program's: no source tells how long the products' setups and wizards take. None for what takes minutes on one server
/// and a day on another.
const fn estimate(step: &Step) -> Option<Duration> {
    let minutes = match step {
        Step::ReportFacts
        | Step::StartProvisioningAgent(_)
        | Step::UndoFixes(_)
        | Step::FenceConnect
        | Step::VerifyConnectRemoved
        | Step::VerifyProvisioningAgentRemoved(_) => 1,
        Step::DiscoverServers(_)
        | Step::Preflight(_)
        | Step::SetProvisioningAgentOptions(_)
        | Step::VerifyProvisioningAgent(_)
        | Step::VerifyConnect(_)
        | Step::UpgradeAgent(_) => 2,
        Step::InstallProvisioningAgent(_)
        | Step::RegisterProvisioningAgent(_)
        | Step::AddDomains(_)
        | Step::StageConnect(_)
        | Step::ReadConnectSettings
        | Step::RemoveProvisioningAgent(_)
        | Step::CollectSupport(_)
        | Step::CheckTransition => 5,
        Step::ReviewConnectExports(_) | Step::RestartServer(_) => 10,
        Step::GuideProvisioningAgent(_) | Step::GuideConnectRemoval(_) => 20,
        Step::GuideConnect(guide) => {
            if guide.work.switches() {
                15
            } else {
                60
            }
        }
        Step::GuideTransition(_) => 60,
        Step::AwaitFullSync(_) => return None,
    };
    Some(Duration::from_secs(minutes * 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::Attempt;
    use protocol::event::Grade;

    const VERIFY: Step = Step::VerifyConnectRemoved;
    const FENCE: Step = Step::FenceConnect;

    fn server() -> TargetId {
        "s1.a.test".parse().unwrap()
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(0).plus(Duration::from_secs(seconds))
    }

    /// A step that begins and ends at these seconds.
    fn run(taken: &mut Taken, step: &Step, completion: Completion, from: u64, to: u64) {
        let target = "s1.a.test".parse().unwrap();
        let (generation, index) = (Generation(1), StepIndex(0));
        let begun = Event::StepBegun {
            generation,
            step: index,
            attempt: Attempt(1),
            kind: step.kind().to_owned(),
        };
        let ended = Event::StepCompleted {
            generation,
            step: index,
            completion,
            summary: String::new(),
            grade: None::<Grade>,
        };
        taken.heard(&target, &begun, Some(step), at(from));
        taken.heard(&target, &ended, Some(step), at(to));
    }

    #[test]
    fn the_median_of_the_last_runs_takes_the_place_of_the_estimate() {
        let mut taken = Taken::default();
        assert_eq!(
            taken.usual(&server(), &FENCE),
            Usual {
                takes: estimate(&FENCE),
                runs: 0
            }
        );
        for (from, to) in [(0, 10), (20, 320), (400, 420)] {
            run(&mut taken, &FENCE, Completion::Applied, from, to);
        }
        let usual = Usual {
            takes: Some(Duration::from_secs(20)),
            runs: 3,
        };
        assert_eq!(taken.usual(&server(), &FENCE), usual);
        assert_eq!(
            taken.usual(&server(), &VERIFY).runs,
            0,
            "another kind is another time"
        );
        // Old runs go: the newest tell how it is now.
        for n in 0..LAST as u64 {
            run(
                &mut taken,
                &FENCE,
                Completion::Applied,
                1000 * n,
                1000 * n + 7,
            );
        }
        let usual = Usual {
            takes: Some(Duration::from_secs(7)),
            runs: LAST,
        };
        assert_eq!(taken.usual(&server(), &FENCE), usual);
    }

    #[test]
    fn what_was_so_already_what_is_attested_and_a_clock_that_was_set_back_tell_nothing() {
        let mut taken = Taken::default();
        let by = "somebody".to_owned();
        run(&mut taken, &FENCE, Completion::AlreadySo, 0, 1);
        run(&mut taken, &FENCE, Completion::Attested { by }, 0, 90_000);
        run(&mut taken, &FENCE, Completion::Applied, 100, 40);
        assert_eq!(taken, Taken::default());
        // What only looks never does more.
        run(&mut taken, &VERIFY, Completion::AlreadySo, 0, 9);
        assert_eq!(taken.usual(&server(), &VERIFY).runs, 1);
    }

    /// What another server took says nothing, and a guess would be as good as none.
    #[test]
    fn a_full_synchronization_is_known_by_its_own_server_alone() {
        let page = || protocol::task::TaskText {
            title: String::new(),
            why: String::new(),
            bring: Vec::new(),
            pages: Vec::new(),
            seen_by: String::new(),
        };
        let step = Step::AwaitFullSync(protocol::step::AwaitFullSync {
            within_minutes: 60,
            text: page(),
        });
        let mut taken = Taken::default();
        let other = "s2.a.test".parse().unwrap();
        let unknown = Usual {
            takes: None,
            runs: 0,
        };
        assert_eq!(taken.usual(&server(), &step), unknown);
        run(&mut taken, &step, Completion::AlreadySo, 0, 40_000);
        let usual = Usual {
            takes: Some(Duration::from_secs(40_000)),
            runs: 1,
        };
        assert_eq!(taken.usual(&server(), &step), usual);
        assert_eq!(taken.usual(&other, &step), unknown);
        // Another server may come to have that name.
        taken.forget(&server());
        assert_eq!(taken.usual(&server(), &step), unknown);
    }

    #[test]
    fn a_step_that_waited_for_a_secret_is_counted_from_its_coming() {
        let mut taken = Taken::default();
        let target: TargetId = "s1.a.test".parse().unwrap();
        let (generation, step) = (Generation(1), StepIndex(0));
        let wanted = protocol::secret::SecretKind::AccessToken {
            tenant: "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap(),
        };
        let begun = Event::StepBegun {
            generation,
            step,
            attempt: Attempt(1),
            kind: FENCE.kind().to_owned(),
        };
        taken.heard(&target, &begun, Some(&FENCE), at(0));
        let came = Event::SecretReceived {
            generation,
            step,
            wanted,
        };
        taken.heard(&target, &came, Some(&FENCE), at(5000));
        let ended = Event::StepCompleted {
            generation,
            step,
            completion: Completion::Applied,
            summary: String::new(),
            grade: None,
        };
        taken.heard(&target, &ended, Some(&FENCE), at(5100));
        assert_eq!(
            taken.usual(&server(), &FENCE).takes,
            Some(Duration::from_secs(100))
        );
    }
}
