//! The journal, on its way to the disk and from there to the controller: what is sent lies on the disk.

use protocol::event::Event;
use protocol::wire::latest::EventsUp;
use protocol::{EventIndex, Generation, limits};

use super::{Agent, AgentError, now};

impl Agent {
    pub(super) fn journal(&mut self, event: &Event) -> EventIndex {
        if let Event::FactsReported(facts) = event {
            self.last_facts = Some((**facts).clone());
        }
        let at = now();
        self.stood.hear(event, at);
        self.held.hear(event);
        self.journal.append(event, at)
    }

    /// Makes what was journaled lasting, then shows it to the session and to the next hello.
    pub(super) fn publish(&mut self) -> Result<(), AgentError> {
        self.journal.sync()?;
        let head = self.journal.head();
        let generation = self
            .newest
            .map_or(Generation(0), |(generation, _)| generation);
        self.dial.send_if_modified(|dial| {
            let moved = dial.hello.head != head || dial.hello.generation != generation;
            dial.hello.head = head;
            dial.hello.generation = generation;
            moved
        });
        self.send_events()
    }

    /// Sends what the controller lacks, as far as the session takes it. While a frame is on its way, what would not fill
    /// another waits for its answer: the controller stores and answers each, and a fleet tells all of its news at once.
    /// Only what is on disk and in the next hello may be sent, so this is for [`Self::publish`] alone.
    fn send_events(&mut self) -> Result<(), AgentError> {
        let Some(session) = &self.session else {
            return Ok(());
        };
        while self.sent < self.journal.head().index {
            let news = self.journal.head().index.0 - self.sent.0;
            if self.sent > self.stored && news < limits::MAX_EVENTS_PER_FRAME as u64 {
                return Ok(());
            }
            let Ok(slot) = session.events.try_reserve() else {
                return Ok(());
            };
            let (first, mut entries) = self.journal.after(self.sent)?;
            let mut bytes = 0;
            let fit = entries
                .iter()
                .take(limits::MAX_EVENTS_PER_FRAME)
                .take_while(|entry| {
                    bytes += entry.body.len() + 32;
                    bytes <= limits::MAX_FRAME_BYTES / 2
                });
            let count = fit.count().max(1);
            entries.truncate(count);
            self.sent = EventIndex(self.sent.0 + count as u64);
            slot.send(EventsUp::Entries {
                epoch: self.journal.head().epoch,
                first,
                entries,
            });
        }
        Ok(())
    }
}
