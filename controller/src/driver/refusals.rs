//! What was refused lately: kept in memory alone, and shown to operators.

use protocol::Timestamp;

use crate::driver::Core;

/// Somebody that was turned away, or a bundle that was refused. Not stored: whoever can reach the socket could fill the log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Refused {
    /// When, the last time.
    pub at: Timestamp,
    /// A target's name, or an address where no name is known.
    pub who: String,
    /// What was refused: `handshake`, `session`, `join`, `bundle` or `receipt`.
    pub what: String,
    /// The reason.
    pub why: String,
    /// How often.
    pub times: u32,
}

impl Refused {
    /// The refusal in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let times = if self.times > 1 {
            format!(", {} times", self.times)
        } else {
            String::new()
        };
        format!(
            "{} a {} of {} was refused{times}: {}",
            self.at, self.what, self.who, self.why
        )
    }
}

/// How many refusals are kept.
const REFUSALS: usize = 100;

impl Core {
    /// Notes that something was refused, for the operator.
    pub fn refused(&mut self, at: Timestamp, who: String, what: &str, why: String) {
        let same = |known: &Refused| known.who == who && known.what == what && known.why == why;
        // What happens again moves to the end, so that the list is in the order of time.
        let before = self.refusals.iter().position(same);
        let before = before.and_then(|at| self.refusals.remove(at));
        if self.refusals.len() == REFUSALS {
            self.refusals.pop_front();
        }
        self.refusals.push_back(Refused {
            at,
            who,
            what: what.to_owned(),
            why,
            times: before.map_or(0, |before| before.times).saturating_add(1),
        });
    }
}
