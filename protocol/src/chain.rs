//! The hash chain over a journal: each event's link covers all before it.

use crate::digest::{Digest, Hasher};
use crate::id::{Epoch, EventIndex};

/// The chain head before the first event of an epoch.
#[must_use]
pub fn genesis(epoch: Epoch) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(b"entrain journal\0");
    hasher.update(&epoch.0.to_le_bytes());
    hasher.finish()
}

/// The chain head after the event (`index`, `kind`, `body`) is added to a chain with head `previous`.
#[must_use]
pub fn link(previous: &Digest, index: EventIndex, kind: u16, body: &[u8]) -> Digest {
    let mut hasher = Hasher::new();
    hasher.update(previous.as_bytes());
    hasher.update(&index.0.to_le_bytes());
    hasher.update(&kind.to_le_bytes());
    hasher.update(&(body.len() as u64).to_le_bytes());
    hasher.update(body);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_an_event_moves_the_head() {
        let start = genesis(Epoch(7));
        let head = link(&start, EventIndex(1), 2, b"body");
        assert_ne!(head, link(&start, EventIndex(2), 2, b"body"));
        assert_ne!(head, link(&start, EventIndex(1), 3, b"body"));
        assert_ne!(head, link(&start, EventIndex(1), 2, b"bodY"));
        assert_ne!(head, link(&genesis(Epoch(8)), EventIndex(1), 2, b"body"));
    }
}
