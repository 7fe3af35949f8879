//! Whether the server's clock was set: it is looked at beside one that only goes on. A step's time limit must neither be over
//! nor begin anew because of it.

use std::time::Duration;

use protocol::Timestamp;

/// What differs by less between two looks is a time service at its work.
const SET: Duration = Duration::from_secs(60);

/// The server's clock, as it was when somebody last looked.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// Milliseconds by which it was ahead of the clock that only goes on.
    ahead: Option<i64>,
}

impl Clock {
    /// Takes the server's clock, and what the one that only goes on has counted. Gives the milliseconds by which the first was
    /// set since the last look, forwards or back, where that is more than a minute.
    pub fn look(&mut self, server: Timestamp, steady: Duration) -> Option<i64> {
        let steady = i64::try_from(steady.as_millis()).unwrap_or(i64::MAX);
        let ahead = server.as_millis().saturating_sub(steady);
        let before = self.ahead.replace(ahead)?;
        let set = ahead.saturating_sub(before);
        let longest = u64::try_from(SET.as_millis()).unwrap_or(u64::MAX);
        (set.unsigned_abs() > longest).then_some(set)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 3600 * 1000;

    fn looks(looks: &[(i64, u64)]) -> Vec<Option<i64>> {
        let mut clock = Clock::default();
        let look = |(server, steady): &(i64, u64)| {
            clock.look(
                Timestamp::from_millis(*server),
                Duration::from_millis(*steady),
            )
        };
        looks.iter().map(look).collect()
    }

    #[test]
    fn a_clock_that_goes_on_was_not_set_however_late_one_looks() {
        let goes = [(DAY, 0), (DAY + 20_000, 20_000), (9 * DAY, 8 * 86_400_000)];
        assert_eq!(looks(&goes), [None, None, None]);
    }

    #[test]
    fn a_clock_that_was_set_is_noticed_once_in_either_direction() {
        let set = [
            (DAY, 0),
            (4 * DAY + 1000, 1000),
            (4 * DAY + 2000, 2000),
            (DAY + 3000, 3000),
        ];
        assert_eq!(looks(&set), [None, Some(3 * DAY), None, Some(-3 * DAY)]);
    }

    #[test]
    fn a_time_service_that_corrects_is_none_of_it() {
        let corrected = [(DAY, 0), (DAY + 75_000, 20_000), (DAY + 35_000, 40_000)];
        assert_eq!(looks(&corrected), [None, None, None]);
    }
}
