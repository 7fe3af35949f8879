//! Since when a product stands as it was proven: where the look behind a soak begins to count. It is read out of the agent's own journal, by
//! the server's own clock, as the product's logs have it: whatever kept that look waiting, nothing that was logged meanwhile is left out.

use std::collections::BTreeMap;

use protocol::event::Event;
use protocol::facts::{Facts, ServiceState};
use protocol::signed::Phase;
use protocol::{RolloutId, Timestamp, Version};

/// Rollouts whose last run here is remembered; of a server that many read, the oldest are forgotten.
const REMEMBERED: usize = 16;

/// What a journal tells of it.
#[derive(Debug, Clone, Default)]
pub struct Stood {
    /// The run that is open: its rollout and phase, and since when the product had stood as it was when its bundle was accepted.
    open: Option<(RolloutId, Phase, Option<Timestamp>)>,
    /// When the last run of each rollout came to its end.
    ended: BTreeMap<RolloutId, Timestamp>,
    /// When something was changed here last, by a run or by a product that upgraded itself.
    changed: Option<Timestamp>,
    agent: Seen,
    connect: Seen,
}

/// A product as its facts have told it.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    version: Option<Version>,
    /// It has another version than before, and was not seen to run since.
    rose: bool,
}

impl Seen {
    /// True when it is seen to run in a newer version for the first time: it is another product from here on.
    fn is_another(&mut self, version: Option<Version>, service: Option<ServiceState>) -> bool {
        self.rose |= self
            .version
            .zip(version)
            .is_some_and(|(before, now)| now > before);
        self.version = version.or(self.version);
        let runs = service == Some(ServiceState::Running);
        let is_another = self.rose && runs;
        self.rose &= !is_another;
        is_another
    }
}

impl Stood {
    /// Takes up an entry of the journal, in order.
    pub fn hear(&mut self, event: &Event, at: Timestamp) {
        if let Event::BundleAccepted { rollout, phase, .. } = event {
            self.open = Some((*rollout, *phase, self.of(*rollout)));
        } else if let Event::RunFinished { .. } = event {
            let Some((rollout, phase, _)) = self.open.take() else {
                return;
            };
            match phase {
                Phase::Inspect | Phase::Prove | Phase::Soak => {}
                Phase::Prepare | Phase::Register | Phase::Remove => self.changed = Some(at),
            }
            self.ended.insert(rollout, at);
            while self.ended.len() > REMEMBERED {
                self.ended.pop_first();
            }
        } else if let Event::FactsReported(facts) = event {
            self.looked(facts, at);
        }
    }

    fn looked(&mut self, facts: &Facts, at: Timestamp) {
        let agent = facts.provisioning_agent.as_ref();
        let connect = facts.connect.as_ref();
        let agent = agent.is_some_and(|is| self.agent.is_another(is.version, is.service));
        let connect = connect.is_some_and(|is| self.connect.is_another(is.version, is.service));
        if agent || connect {
            self.changed = Some(at);
        }
    }

    fn of(&self, rollout: RolloutId) -> Option<Timestamp> {
        let ended = *self.ended.get(&rollout)?;
        Some(self.changed.map_or(ended, |changed| changed.max(ended)))
    }

    /// Since when the product had stood as it was, when the bundle of the open run was accepted: since the last run of the same rollout
    /// came to its end, or since something was changed here behind that. `None` where the journal tells of none.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.open?.2
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use protocol::event::Event;
    use protocol::facts::{ConnectFacts, HostFacts};
    use protocol::signed::Ending;
    use protocol::{BundleId, Digest, Generation};

    use super::*;

    const SOAKS: RolloutId = RolloutId(7);
    const OTHER: RolloutId = RolloutId(9);

    fn at(minute: u64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000).plus(Duration::from_secs(minute * 60))
    }

    fn accepted(rollout: RolloutId, phase: Phase) -> Event {
        Event::BundleAccepted {
            bundle: BundleId(Digest::ZERO),
            generation: Generation(1),
            rollout,
            phase,
            change: None,
        }
    }

    fn finished() -> Event {
        Event::RunFinished {
            generation: Generation(1),
            ending: Ending::Completed,
            receipt: String::new(),
        }
    }

    fn reported(version: Version, service: ServiceState) -> Event {
        Event::FactsReported(Box::new(Facts {
            simulated: true,
            agent_version: String::new(),
            host: HostFacts {
                os: String::new(),
                build: 20348,
                domain: None,
                domain_controller: false,
                reboot_pending: false,
            },
            provisioning_agent: None,
            connect: Some(ConnectFacts {
                version: Some(version),
                service: Some(service),
                staging: Some(true),
                cycle_enabled: None,
                suspended: None,
            }),
            unread: Vec::new(),
            console_open: false,
        }))
    }

    /// What a journal comes to that is read from its beginning, as after a restart, is what it was when it was written.
    fn since(journal: &[(Event, u64)]) -> Option<Timestamp> {
        let mut stood = Stood::default();
        for (event, minute) in journal {
            stood.hear(event, at(*minute));
        }
        stood.since()
    }

    #[test]
    fn a_soak_began_when_the_run_before_it_came_to_its_end() {
        let mut journal = vec![
            (accepted(SOAKS, Phase::Prepare), 1),
            (finished(), 10),
            (accepted(SOAKS, Phase::Prove), 11),
            (finished(), 15),
            (accepted(SOAKS, Phase::Soak), 90),
        ];
        assert_eq!(since(&journal), Some(at(15)));
        // The look itself goes on, and tells what it found: it began when it did.
        journal.push((
            reported(Version::new(2, 6, 92, 0), ServiceState::Running),
            91,
        ));
        journal.push((
            reported(Version::new(2, 6, 93, 0), ServiceState::Running),
            92,
        ));
        assert_eq!(since(&journal), Some(at(15)));
        journal.push((finished(), 93));
        assert_eq!(since(&journal), None, "no run is open");
        // Nothing is known of a run that this journal has not.
        assert_eq!(since(&[(accepted(SOAKS, Phase::Soak), 90)]), None);
    }

    #[test]
    fn what_only_looks_in_between_is_no_beginning_and_what_changes_is() {
        for (phase, begins) in [
            (Phase::Inspect, 15),
            (Phase::Prove, 15),
            (Phase::Prepare, 40),
            (Phase::Register, 40),
            (Phase::Remove, 40),
        ] {
            let journal = [
                (accepted(SOAKS, Phase::Prove), 11),
                (finished(), 15),
                (accepted(OTHER, phase), 30),
                (finished(), 40),
                (accepted(SOAKS, Phase::Soak), 90),
            ];
            assert_eq!(since(&journal), Some(at(begins)), "{phase:?}");
        }
    }

    #[test]
    fn a_product_that_upgraded_itself_is_another_one_from_when_it_is_seen_to_run() {
        let (old, new) = (Version::new(2, 6, 92, 0), Version::new(2, 6, 93, 0));
        let (runs, stands) = (ServiceState::Running, ServiceState::NotRunning);
        let journal = |told: &[(Version, ServiceState, u64)]| {
            let mut journal = vec![
                (reported(old, runs), 5),
                (accepted(SOAKS, Phase::Prove), 11),
                (finished(), 15),
            ];
            let told = told.iter();
            journal.extend(told.map(|(version, service, at)| (reported(*version, *service), *at)));
            journal.push((accepted(SOAKS, Phase::Soak), 90));
            since(&journal)
        };
        assert_eq!(journal(&[(old, stands, 20), (old, runs, 30)]), Some(at(15)));
        assert_eq!(journal(&[(new, runs, 20), (new, runs, 30)]), Some(at(20)));
        assert_eq!(journal(&[(new, stands, 20), (new, runs, 30)]), Some(at(30)));
        assert_eq!(journal(&[(new, stands, 20)]), Some(at(15)));
    }

    #[test]
    fn no_more_rollouts_are_remembered_than_a_server_needs() {
        let mut stood = Stood::default();
        for number in 1..=40 {
            stood.hear(&accepted(RolloutId(number), Phase::Prove), at(1));
            stood.hear(&finished(), at(u64::from(number)));
        }
        assert_eq!(stood.ended.len(), REMEMBERED);
        stood.hear(&accepted(RolloutId(40), Phase::Soak), at(100));
        assert_eq!(stood.since(), Some(at(40)));
    }
}
