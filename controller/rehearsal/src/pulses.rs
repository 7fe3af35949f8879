//! What agents say of their product between events, as the controller hears it: each twenty seconds from the beginning of its session on.
//! Where nothing has changed since the last time no happening is made of it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use controller_core::fleet::{Live, Pulse};
use protocol::event::Event;
use protocol::{TargetId, Timestamp, limits};

/// How far one pulse is from the next.
const EVERY: Duration = Duration::from_secs(20);

/// The pulse of an agent that repeats it: never older than [`EVERY`], which is fresh at any moment.
const REPEATED: Timestamp = Timestamp::from_millis(i64::MAX);

/// Whose pulses come, and what they leave out.
#[derive(Debug, Default)]
pub(crate) struct Pulses {
    /// When the session of each began.
    begun: BTreeMap<TargetId, Timestamp>,
    /// Whose next one says something else than the last, and when it comes.
    due: BTreeMap<TargetId, Timestamp>,
    /// Whose agent looks at its product no more, while its session stays.
    silent: BTreeSet<TargetId>,
    /// Whose product has ended by itself, and when.
    ended: BTreeMap<TargetId, Timestamp>,
    /// When each got its last leave.
    left: BTreeMap<TargetId, Timestamp>,
}

impl Pulses {
    /// A session begins, and with it the first pulse.
    pub(crate) fn begins(&mut self, target: &TargetId, now: Timestamp) {
        self.begun.insert(target.clone(), now);
        self.due.remove(target);
    }

    /// A pulse is said, where its agent says any.
    pub(crate) fn said(&mut self, live: &mut Live, target: &TargetId, serving: bool) {
        self.due.remove(target);
        if live.connected.contains(target) && !self.silent.contains(target) {
            let at = REPEATED;
            live.pulses.insert(target.clone(), Pulse { serving, at });
        }
    }

    /// When the next pulse of a target says something else than was heard last, if none is awaited already.
    pub(crate) fn differs(
        &mut self,
        live: &Live,
        target: &TargetId,
        (serving, now): (bool, Timestamp),
    ) -> Option<Timestamp> {
        let heard = live.pulses.get(target).map(|pulse| pulse.serving);
        let says = live.connected.contains(target) && !self.silent.contains(target);
        if !says || heard == Some(serving) || self.due.contains_key(target) {
            return None;
        }
        let next = self.last(target, now).plus(EVERY);
        self.due.insert(target.clone(), next);
        Some(next)
    }

    /// The pulse of that moment is one that says something else: it was not said in between, and the session is the same.
    pub(crate) fn is_due(&self, target: &TargetId, at: Timestamp) -> bool {
        self.due.get(target) == Some(&at)
    }

    /// Its agent says something at once, and not when its turn comes.
    pub(crate) fn hurries(&mut self, target: &TargetId, at: Timestamp) {
        self.due.insert(target.clone(), at);
    }

    /// An agent looks at its product no more. What it said last is as old as it is then.
    pub(crate) fn falls_silent(&mut self, live: &mut Live, target: &TargetId, now: Timestamp) {
        if !self.silent.insert(target.clone()) {
            return;
        }
        self.due.remove(target);
        let last = self.last(target, now);
        if let Some(pulse) = live.pulses.get_mut(target) {
            pulse.at = last;
        }
    }

    /// It looks again: when its next pulse comes, where it was silent and is here.
    pub(crate) fn speaks_again(
        &mut self,
        live: &Live,
        target: &TargetId,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let here = live.connected.contains(target);
        if !self.silent.remove(target) || !here {
            return None;
        }
        let next = self.last(target, now).plus(EVERY);
        self.due.insert(target.clone(), next);
        Some(next)
    }

    /// Its agent looks at its product no more.
    pub(crate) fn is_silent(&self, target: &TargetId) -> bool {
        self.silent.contains(target)
    }

    /// The last moment at which a pulse of its session was due.
    fn last(&self, target: &TargetId, now: Timestamp) -> Timestamp {
        let begun = self.begun.get(target).copied().unwrap_or(now);
        let times = now.since(begun).as_secs() / EVERY.as_secs();
        begun.plus(EVERY * u32::try_from(times).unwrap_or(u32::MAX))
    }

    /// A product that served ends, or comes back, by nothing that anybody does there.
    pub(crate) fn ends(&mut self, target: &TargetId, serves: (bool, bool), now: Timestamp) {
        match serves {
            (true, false) => drop(self.ended.insert(target.clone(), now)),
            (_, true) => drop(self.ended.remove(target)),
            (false, false) => {}
        }
    }

    /// Its product is taken out of service by what is done there: from then on its end is that, whatever was before.
    pub(crate) fn is_taken_out(&mut self, target: &TargetId) {
        self.ended.remove(target);
    }

    /// A target gets leave.
    pub(crate) fn leave(&mut self, target: &TargetId, now: Timestamp) {
        self.left.insert(target.clone(), now);
    }

    /// Whether the product of a server served so lately that a pulse of it counted rightly when `out` got its leave: it ended by itself,
    /// and no pulse had to tell of that yet.
    pub(crate) fn counted(&self, server: &TargetId, out: &TargetId) -> bool {
        let leave = self.left.get(out);
        let oldest = leave.map(|leave| leave.minus(limits::FRESH_FACTS));
        let ended = self.ended.get(server);
        ended.is_some_and(|ended| oldest.is_some_and(|oldest| *ended >= oldest))
    }
}

/// It tells that it has left a section: what its product does since, its agent says once that is stored.
pub(crate) const fn ends_section(event: &Event) -> bool {
    matches!(event, Event::SectionLeft { .. })
}
