//! The hash chain over a journal: each event's link covers all before it.

use crate::digest::{Digest, Hasher};
use crate::id::{Epoch, EventIndex};
use crate::time::Timestamp;

/// The chain head before the first event of an epoch.
#[must_use]
pub fn genesis(epoch: Epoch) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"entrain journal\0");
    hasher.update(&epoch.0.to_le_bytes());
    hasher.finish()
}

/// The chain head after the event (`index`, `kind`, `body`), journaled at `at`, is added to a chain with head `previous`.
#[must_use]
pub fn link(previous: &Digest, index: EventIndex, kind: u16, at: Timestamp, body: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(previous.as_bytes());
    hasher.update(&index.0.to_le_bytes());
    hasher.update(&kind.to_le_bytes());
    hasher.update(&at.as_millis().to_le_bytes());
    hasher.update(&(body.len() as u64).to_le_bytes());
    hasher.update(body);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_event_moves_the_head() {
        let (start, at) = (genesis(Epoch(7)), Timestamp::from_millis(1));
        let head = link(&start, EventIndex(1), 2, at, b"body");
        let later = Timestamp::from_millis(2);
        assert_ne!(head, link(&start, EventIndex(2), 2, at, b"body"));
        assert_ne!(head, link(&start, EventIndex(1), 3, at, b"body"));
        assert_ne!(head, link(&start, EventIndex(1), 2, later, b"body"));
        assert_ne!(head, link(&start, EventIndex(1), 2, at, b"bodY"));
        let other = genesis(Epoch(8));
        assert_ne!(head, link(&other, EventIndex(1), 2, at, b"body"));
    }
}
