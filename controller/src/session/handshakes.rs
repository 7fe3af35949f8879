//! Handshakes under way: so many at once, whoever comes. A fleet that comes back at once waits its turn at the door, and whoever
//! dials under addresses that are not their own fills no place for long.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Handshakes under way at once. Each keeps some tens of kilobytes and about a millisecond of a processor.
const AT_ONCE: usize = 256;

/// Once one place of so many is taken, an address must first show that it is reached there, which costs it one more way and back, and
/// nothing here.
const UNPROVED: usize = 4;

/// How long one may take: as long as a link may be silent.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// Addresses that are remembered as asked, twice at most: forged ones take no more room than that.
const REMEMBERED: usize = 4096;

/// Who was asked to show that it is reached. A hello is two datagrams. Where the first was answered by a Retry, the second would begin a
/// handshake of its own, of half a hello, which nobody goes on with: it would take a place for half a minute, and be told as a refusal.
#[derive(Debug)]
struct Asked {
    since: Instant,
    now: BTreeSet<SocketAddr>,
    before: BTreeSet<SocketAddr>,
}

impl Asked {
    fn contains(&mut self, peer: SocketAddr) -> bool {
        if self.since.elapsed() >= PATIENCE {
            self.turn();
        }
        self.now.contains(&peer) || self.before.contains(&peer)
    }

    fn add(&mut self, peer: SocketAddr) {
        if self.now.len() >= REMEMBERED && !self.now.contains(&peer) {
            self.turn();
        }
        self.now.insert(peer);
    }

    fn turn(&mut self) {
        self.before = std::mem::take(&mut self.now);
        self.since = Instant::now();
    }
}

/// The places.
#[derive(Debug)]
pub struct Handshakes {
    places: Arc<Semaphore>,
    at_once: usize,
    most: AtomicUsize,
    asked: Mutex<Asked>,
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
            asked: Mutex::new(Asked {
                since: Instant::now(),
                now: BTreeSet::new(),
                before: BTreeSet::new(),
            }),
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

    /// Whether that address must show itself first: there are so many, or it was asked a while ago and this may be the rest of what it
    /// said then.
    pub(super) fn must_show(&self, peer: SocketAddr) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let was_asked = asked.contains(peer);
        let many = self.under_way() > self.at_once / UNPROVED;
        if many {
            asked.add(peer);
        }
        many || was_asked
    }

    /// The most that were under way at once.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most.load(Ordering::Relaxed)
    }
}
