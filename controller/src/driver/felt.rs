//! How old pulses and leave are by the clock that nobody sets. A wall clock that is set back would keep the last word of an agent that has
//! fallen silent fresh for as long as it was set back (G2); one that is set ahead would take leave for lapsed that an agent still makes use
//! of (G2, G3).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::TargetId;
use tokio::time::Instant;

/// When each target's pulse came, or its leave was given, by name and by time: whose time is over is found without a look at all others.
#[derive(Debug, Default)]
pub(super) struct Felt {
    at: BTreeMap<TargetId, Instant>,
    by_time: BTreeSet<(Instant, TargetId)>,
}

impl Felt {
    /// A pulse came, or leave was given.
    pub(super) fn came(&mut self, target: &TargetId, at: Instant) {
        if let Some(before) = self.at.insert(target.clone(), at) {
            self.by_time.remove(&(before, target.clone()));
        }
        self.by_time.insert((at, target.clone()));
    }

    /// When the oldest came.
    pub(super) fn first(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes out whose last pulse is older than that.
    pub(super) fn older_than(&mut self, age: Duration, now: Instant) -> Vec<TargetId> {
        let mut old = Vec::new();
        while let Some((at, _)) = self.by_time.first()
            && now.saturating_duration_since(*at) > age
            && let Some((_, target)) = self.by_time.pop_first()
        {
            self.at.remove(&target);
            old.push(target);
        }
        old
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use controller_core::record::Record;
    use protocol::event::Event;
    use protocol::key::SigningKey;
    use protocol::wire::latest::{Head, Hello};
    use protocol::{Digest, Epoch, EventIndex, Generation, Timestamp, limits};

    use super::*;
    use crate::authority::{self, Authority};
    use crate::disk::Disk;
    use crate::driver::state::rebuild;
    use crate::driver::{Batch, Core};
    use crate::session::Heard;
    use crate::store::Store;

    const EPOCH: Epoch = Epoch(1);

    /// A driver's state with one agent enrolled that is not here.
    async fn core() -> (Core, Batch, TargetId) {
        let folder = tempfile::tempdir().unwrap();
        let state = authority::initialized(folder.path());
        let (now, log) = (crate::now(), state.join("log.sqlite"));
        let (store, _) = Store::open(&log, Some(EPOCH), now, Disk::InPlace).unwrap();
        let records = store.records().await.unwrap();
        let authority = Arc::new(Authority::open(&state).unwrap());
        let core = rebuild(&store, records, authority, Arc::default(), None);
        let (mut core, mut batch) = (core.await.unwrap(), Batch::new(now));
        let target: TargetId = "s1.a.test".parse().unwrap();
        let enrolled = Record::AgentEnrolled {
            target: target.clone(),
            key: SigningKey::generate().public(),
            epoch: EPOCH,
            token: Digest::ZERO,
            by: "token".to_owned(),
            simulated: true,
        };
        core.record(&mut batch, enrolled);
        (core, batch, target)
    }

    /// Its session begins; so many events lie in its journal.
    fn hello(target: &TargetId, events: u64) -> Hello {
        Hello {
            target: target.clone(),
            agent_version: "1.0.0".to_owned(),
            simulated: true,
            head: Head {
                epoch: EPOCH,
                index: EventIndex(events),
                chain: Digest::ZERO,
            },
            generation: Generation(0),
            root_version: 1,
        }
    }

    fn tells(core: &mut Core, batch: &mut Batch, target: &TargetId, first: u64, count: usize) {
        let heard = |_| Heard {
            kind: Event::Thawed.kind(),
            at: batch.now,
            body: String::from_utf8(Event::Thawed.to_body()).unwrap(),
            event: Some(Event::Thawed),
            refused: None,
        };
        let entries: Vec<Heard> = (0..count).map(heard).collect();
        let first = EventIndex(first);
        let reached = core.entries(batch, target, EPOCH, first, entries);
        assert!(reached.is_some());
    }

    /// Until what it has journaled while it was away is stored, nobody rests on what it says it does: it may be in a section by then.
    #[tokio::test]
    async fn a_pulse_counts_once_the_journal_of_whoever_is_back_is_here() {
        let (mut core, mut batch, target) = core().await;
        core.pulse(&target, true, &batch);
        assert!(core.live.pulses.is_empty(), "it has no session");
        assert!(!core.has_session(&target));
        assert_eq!(core.arrived(&mut batch, &hello(&target, 3)), None);
        core.pulse(&target, true, &batch);
        tells(&mut core, &mut batch, &target, 1, 2);
        assert!(core.live.pulses.is_empty(), "one event is missing");
        // Nobody says of it that it is off.
        assert!(core.has_session(&target) && !core.live.connected.contains(&target));
        let came = batch.now;
        batch.now = came.plus(Duration::from_secs(5));
        tells(&mut core, &mut batch, &target, 3, 1);
        assert!(core.live.connected.contains(&target));
        assert_eq!(core.live.pulses[&target].at, came, "when it was said");
        core.left(&target, batch.now);
        assert!(core.live.pulses.is_empty());
        // What was said in the session before is not of the next one.
        core.arrived(&mut batch, &hello(&target, 4));
        core.pulse(&target, true, &batch);
        core.left(&target, batch.now);
        core.arrived(&mut batch, &hello(&target, 4));
        tells(&mut core, &mut batch, &target, 4, 1);
        assert!(core.live.connected.contains(&target));
        assert!(core.live.pulses.is_empty());
    }

    /// Whoever sets the wall clock back makes no pulse younger.
    #[tokio::test]
    async fn a_pulse_ages_whatever_is_done_to_the_clock() {
        let (mut core, mut batch, target) = core().await;
        assert_eq!(core.arrived(&mut batch, &hello(&target, 0)), None);
        core.pulse(&target, true, &batch);
        let begun = batch.begun;
        batch.now = Timestamp::from_millis(0);
        core.fade(begun + limits::FRESH_FACTS);
        assert_eq!(core.live.pulses.len(), 1);
        // The next one counts from when it came, and the one before takes nothing from it.
        batch.begun = begun + Duration::from_secs(20);
        core.pulse(&target, true, &batch);
        core.fade(batch.begun + limits::FRESH_FACTS);
        assert_eq!(core.live.pulses.len(), 1);
        let late = Duration::from_millis(1);
        core.fade(batch.begun + limits::FRESH_FACTS + late);
        assert!(core.live.pulses.is_empty());
        core.pulse(&target, true, &batch);
        assert_eq!(core.live.pulses.len(), 1, "it speaks again");

        // One that is kept while a journal comes ages as well.
        core.left(&target, batch.now);
        core.arrived(&mut batch, &hello(&target, 1));
        core.pulse(&target, true, &batch);
        core.fade(batch.begun + limits::FRESH_FACTS + late);
        tells(&mut core, &mut batch, &target, 1, 1);
        assert!(core.live.connected.contains(&target));
        assert!(core.live.pulses.is_empty());
    }

    /// What was said before a section was over is of before: what came of the work is not known by it.
    #[tokio::test]
    async fn a_pulse_from_before_the_end_of_a_section_counts_no_more() {
        let (mut core, mut batch, target) = core().await;
        core.arrived(&mut batch, &hello(&target, 0));
        core.pulse(&target, true, &batch);
        tells(&mut core, &mut batch, &target, 1, 1);
        assert_eq!(core.live.pulses.len(), 1, "any other event leaves it");
        let left = Event::SectionLeft {
            generation: Generation(1),
            step: protocol::StepIndex(0),
            gmsa: None,
        };
        let heard = Heard {
            kind: left.kind(),
            at: batch.now,
            body: String::from_utf8(left.to_body()).unwrap(),
            event: Some(left),
            refused: None,
        };
        core.entries(&mut batch, &target, EPOCH, EventIndex(2), vec![heard]);
        assert!(core.live.pulses.is_empty());
        core.pulse(&target, true, &batch);
        assert_eq!(core.live.pulses.len(), 1);
    }

    /// An agent tells its facts where they have changed: that a server is back which was said to be off shows by its session alone.
    #[tokio::test]
    async fn a_server_that_was_said_to_be_off_is_seen_by_its_next_session() {
        let (mut core, mut batch, target) = core().await;
        core.arrived(&mut batch, &hello(&target, 0));
        core.left(&target, batch.now);
        let off = Record::SaidOff {
            target: target.clone(),
            by: "root".to_owned(),
        };
        core.record(&mut batch, off);
        assert!(core.fleet.beyond().said_off.contains(&target));
        core.arrived(&mut batch, &hello(&target, 0));
        assert!(core.fleet.beyond().said_off.is_empty());
    }
}
