//! Whether a service still runs in the process in which it was seen before: one that was started anew in between may have
//! crashed, though it runs at each look.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::step::Product;

/// How long a service that is started over and over is told of no second time.
const AGAIN: Duration = Duration::from_secs(15 * 60);

/// By how much two looks may differ in what they say of one process.
const SLACK: Duration = Duration::from_secs(1);

/// When each product's process was seen last. Moments are those of a clock that only goes on: the server's own may be set.
#[derive(Debug, Clone, Default)]
pub struct Lives {
    seen: BTreeMap<Product, Duration>,
    told: BTreeMap<Product, Duration>,
}

impl Lives {
    /// Takes up how long the process of a product has run, at the moment `now`; true where it is younger than the last look at
    /// the one before, and that is to be told. One whose age is not told, or is none, is not judged.
    pub fn look(&mut self, product: Product, age: Option<Duration>, now: Duration) -> bool {
        let Some(age) = age.filter(|age| !age.is_zero()) else {
            return false;
        };
        let before = self.seen.insert(product, now);
        let anew = before.is_some_and(|before| age + SLACK < now.saturating_sub(before));
        let told = self.told.get(&product);
        if !anew || told.is_some_and(|told| now.saturating_sub(*told) < AGAIN) {
            return false;
        }
        self.told.insert(product, now);
        true
    }

    /// Forgets what was seen: whoever comes next is the first.
    pub fn forget(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_process_that_is_younger_than_the_last_look_is_another_one() {
        let mut lives = Lives::default();
        let mut look = |age: Option<u64>, now| {
            lives.look(Product::ProvisioningAgent, age.map(seconds), seconds(now))
        };
        assert!(!look(Some(5), 100), "the first is compared with nothing");
        assert!(!look(Some(25), 120));
        assert!(!look(None, 140), "that it does not run is told by facts");
        assert!(look(Some(3), 160));
        // What is started over and over is told once in a while.
        assert!(!look(Some(4), 180));
        assert!(!look(Some(4), 1_000));
        assert!(look(Some(4), 1_100));
    }

    #[test]
    fn a_clock_that_was_set_back_and_what_was_forgotten_are_no_restart() {
        let mut lives = Lives::default();
        assert!(!lives.look(Product::Connect, Some(seconds(500)), seconds(10)));
        // Its age is then the clock's word, and none at all.
        assert!(!lives.look(Product::Connect, Some(Duration::ZERO), seconds(30)));
        lives.forget();
        assert!(!lives.look(Product::Connect, Some(seconds(1)), seconds(50)));
        let other = lives.look(Product::ProvisioningAgent, Some(seconds(1)), seconds(70));
        assert!(!other, "each product has its own");
    }
}
