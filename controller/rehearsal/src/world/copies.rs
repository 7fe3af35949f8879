//! A controller that is put back to an earlier copy of its log: what came since is lost, and agents tell theirs anew.

use std::collections::BTreeMap;

use controller_core::record::Record;
use protocol::event::Event;
use protocol::{Epoch, Generation, TargetId, Timestamp};

use crate::world::{Happening, World, applied};

impl World {
    /// The controller is restored from a copy of its log that has so many entries. Whoever was enrolled or lost its key since is none of
    /// this: the copy is younger than that.
    pub fn restore(&mut self, entries: usize) {
        let lost = self.log.split_off(entries.min(self.log.len()));
        let mut untold: BTreeMap<TargetId, Vec<(Timestamp, Event)>> = BTreeMap::new();
        for (_, record) in lost {
            let Record::TargetEvent {
                target, at, body, ..
            } = record
            else {
                continue;
            };
            if let Some((_, index)) = self.indexes.get_mut(&target) {
                *index -= 1;
            }
            let event = Event::from_body(body.as_bytes());
            let told = untold.entry(target).or_default();
            told.extend(event.map(|event| (at, event)));
        }
        // An agent has its journal still: what is not stored here it tells once more, before what it has journaled since.
        for (target, mut events) in untold {
            let since = self.backlog.remove(&target).unwrap_or_default();
            events.extend(since);
            self.backlog.insert(target, events);
        }
        // What was on its way belonged to sessions that have ended.
        self.happenings.retain(|_, happening| {
            !matches!(
                happening,
                Happening::Offer { .. }
                    | Happening::Permitted { .. }
                    | Happening::Welcome { .. }
                    | Happening::Said { .. }
            )
        });
        self.fleet = controller_core::fleet::Fleet::new();
        for (at, record) in &self.log {
            self.fleet.apply(record, applied(&self.plans, record), *at);
        }
        let mut before = self.log.iter().filter_map(|(_, record)| {
            if let Record::Restored { epoch, .. } = record {
                Some(*epoch)
            } else {
                None
            }
        });
        let parent = before.next_back().unwrap_or(Epoch(1));
        let made = self.log.last().map_or(self.now, |(at, _)| *at);
        self.record(Record::Restored {
            epoch: Epoch(parent.0 + 1),
            parent,
            made,
            by: "an operator".to_owned(),
        });
        self.nobody_is_here();
        let targets: Vec<TargetId> = self.servers.keys().cloned().collect();
        for target in targets {
            self.arrives(&target);
        }
    }

    /// An agent is back for the first time since a restore, and all that it has journaled is here.
    pub(super) fn meets(&mut self, target: &TargetId, generation: Generation) {
        if self.fleet.unmet().contains(target) {
            let word = self.fleet.word_once_met(target, generation);
            let target = target.clone();
            self.record(Record::Met {
                target: target.clone(),
                generation,
            });
            self.say(word.map(|word| (target, word)));
        }
    }
}
