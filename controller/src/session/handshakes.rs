//! Handshakes under way: so many at once, whoever comes. A fleet that comes back at once waits its turn at the door, and whoever
//! dials under addresses that are not their own fills no place for long.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Handshakes under way at once. Each keeps some tens of kilobytes and about a millisecond of a processor.
const AT_ONCE: usize = 256;

/// Once one place of so many is taken, an address must first show that it is reached there, which costs it one more way and back, and
/// nothing here.
const UNPROVED: usize = 4;

/// How long one may take: as long as a link may be silent.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// The places.
#[derive(Debug)]
pub struct Handshakes {
    places: Arc<Semaphore>,
    at_once: usize,
    most: AtomicUsize,
}

/// A place that is taken until it is dropped.
#[derive(Debug)]
pub(super) struct Place(
    #[expect(dead_code, reason = "it is given back when it is dropped")] OwnedSemaphorePermit,
);

impl Default for Handshakes {
    fn default() -> Self {
        Self::of(AT_ONCE)
    }
}

impl Handshakes {
    /// So many places.
    #[must_use]
    pub fn of(at_once: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(at_once)),
            at_once,
            most: AtomicUsize::new(0),
        }
    }

    /// Waits for a place. Those who dial meanwhile wait in the endpoint's own queue.
    pub(super) async fn place(&self) -> Place {
        let places = Arc::clone(&self.places);
        let place = places.acquire_owned().await;
        Place(place.expect("nobody closes the places"))
    }

    /// One more is under way, with a place that was waited for.
    pub(super) fn begun(&self) {
        self.most.fetch_max(self.under_way(), Ordering::Relaxed);
    }

    /// Those under way, with the place that is held for whoever comes next.
    fn under_way(&self) -> usize {
        self.at_once - self.places.available_permits()
    }

    /// Whether there are so many that an address must show itself first.
    pub(super) fn are_many(&self) -> bool {
        self.under_way() > self.at_once / UNPROVED
    }

    /// The most that were under way at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}
