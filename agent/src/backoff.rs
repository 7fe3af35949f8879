//! How long an agent waits before it dials again: longer each time, and by chance, so that a fleet does not come back as one.

use std::time::Duration;

/// First and longest pause between two attempts to dial.
pub const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(30));

/// The least turn after a session that was closed, of which the pause is half at least: whoever closes it has no use for its agent just
/// now, and a controller that stops closes those of all agents at once.
const SENT_AWAY: Duration = Duration::from_secs(2);

/// Chance is drawn out of so many.
const DRAWS: u32 = 1024;

/// What an attempt to have a session came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Nobody answered, or nobody welcomed the agent.
    Failed,
    /// A session stood for so long. `closed`: a word of its ends has ended it, and not the link or a process that died. Whoever misses
    /// the peer's word finds the link dead.
    Stood {
        /// From the welcome to its end.
        time: Duration,
        /// Whether it was closed.
        closed: bool,
    },
}

/// The pauses of one agent.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    next: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: PAUSES.0 }
    }
}

impl Backoff {
    /// The pause after an attempt: between half and all of what its turn is, by `chance`. A session begins the row anew, unless
    /// the controller closed it soon: who cannot store what it is told sends away whoever tells it, over and over.
    pub fn after(&mut self, attempt: Attempt, chance: u64) -> Duration {
        if let Attempt::Stood { time, closed } = attempt {
            if !closed || time >= PAUSES.1 {
                self.next = PAUSES.0;
            }
            if closed {
                self.next = self.next.max(SENT_AWAY);
            }
        }
        let whole = self.next;
        self.next = (whole * 2).min(PAUSES.1);
        let drawn = u32::try_from(chance % u64::from(DRAWS)).unwrap_or(0);
        whole / 2 + whole * drawn / (2 * DRAWS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Agents of a large fleet.
    const AGENTS: u64 = 5000;

    /// Numbers as a seed has them (splitmix64).
    fn drawn(seed: u64) -> u64 {
        let mut drawn = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        drawn ^ (drawn >> 31)
    }

    fn stood(seconds: u64, closed: bool) -> Attempt {
        let time = Duration::from_secs(seconds);
        Attempt::Stood { time, closed }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_stay_between_half_and_all_of_their_turn() {
        for chance in [0, 1, 511, 1023, 1024, u64::MAX] {
            let mut backoff = Backoff::default();
            let mut whole = PAUSES.0;
            for _ in 0..12 {
                let pause = backoff.after(Attempt::Failed, chance);
                assert!(
                    pause >= whole / 2 && pause < whole,
                    "{pause:?} of {whole:?}"
                );
                whole = (whole * 2).min(PAUSES.1);
            }
            assert_eq!(whole, PAUSES.1);
        }
    }

    #[test]
    fn a_session_begins_the_row_anew_and_one_that_is_closed_soon_does_not() {
        let after = |attempt| {
            let mut backoff = Backoff::default();
            for _ in 0..20 {
                backoff.after(Attempt::Failed, 0);
            }
            backoff.after(attempt, 0)
        };
        assert_eq!(after(Attempt::Failed), PAUSES.1 / 2);
        assert_eq!(after(stood(0, false)), PAUSES.0 / 2);
        assert_eq!(after(stood(30, true)), SENT_AWAY / 2);
        assert_eq!(after(stood(29, true)), PAUSES.1 / 2);
    }

    /// Whoever is sent away again and again comes twice a minute in the end, and not four times a second.
    #[test]
    fn a_fleet_that_is_sent_away_by_each_welcome_comes_ever_less_often() {
        let mut backoff = Backoff::default();
        let mut time = Duration::ZERO;
        let mut attempts = 0;
        while time < Duration::from_secs(3600) {
            time += backoff.after(stood(0, true), drawn(attempts));
            attempts += 1;
        }
        assert!((120..=250).contains(&attempts), "{attempts} in an hour");
    }

    /// A controller that stops tells all of them at once.
    #[test]
    fn a_fleet_that_is_told_that_its_controller_stops_dials_over_a_second() {
        let mut tenths = [0_u64; 10];
        for agent in 0..AGENTS {
            let pause = Backoff::default().after(stood(3600, true), drawn(agent));
            let at = (pause - SENT_AWAY / 2).as_millis() / 100;
            tenths[usize::try_from(at).unwrap()] += 1;
        }
        let (least, most) = (tenths.iter().min().unwrap(), tenths.iter().max().unwrap());
        assert!(*least > AGENTS / 20 && *most < AGENTS / 5, "{tenths:?}");
    }

    /// Of a fleet whose sessions end at once, every tenth of an attempt's turn gets its share, and no agent tries more often
    /// than the row allows.
    #[test]
    fn a_fleet_that_loses_its_controller_at_once_does_not_come_back_as_one() {
        let mut moments: Vec<Vec<Duration>> = vec![Vec::new(); 7];
        for agent in 0..AGENTS {
            let mut backoff = Backoff::default();
            let mut time = Duration::ZERO;
            for (number, at) in moments.iter_mut().enumerate() {
                time += backoff.after(Attempt::Failed, drawn(agent * 64 + number as u64));
                at.push(time);
            }
        }
        for (number, moments) in moments.iter().enumerate() {
            // All turns before and this one: 250 ms, 500 ms, and so on.
            let whole = PAUSES.0 * ((1 << (number + 1)) - 1);
            let (from, span) = (whole / 2, whole / 2);
            let mut tenths = [0_u64; 10];
            for moment in moments {
                assert!((from..from + span).contains(moment), "{moment:?}");
                let at = (*moment - from).as_nanos() * 10 / span.as_nanos();
                tenths[usize::try_from(at).unwrap()] += 1;
            }
            // The sum of several draws is thicker in the middle: never more than three times its share.
            let most = tenths.iter().max().unwrap();
            assert!(*most < 3 * AGENTS / 10, "attempt {number}: {tenths:?}");
        }
    }
}
