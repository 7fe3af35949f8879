//! When a site may be changed: windows and freeze dates, in the site's own time zone. The zones' rules are compiled in, so
//! that the same moment gives the same answer on every machine.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use jiff::civil::{Date, Time, Weekday};
use jiff::tz::TimeZone;
use protocol::Timestamp;
use serde::{Deserialize, Serialize};

/// How far ahead the next opening is looked for: a freeze of a year and a window of a day fit in.
const HORIZON_DAYS: usize = 400;

/// When a site may be changed, and how many of its servers at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRule {
    /// The zone of all times, IANA name.
    pub zone: String,
    /// Each week; absent where any time will do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Window>,
    /// Dates on which nothing begins, both ends included.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub freeze: Vec<Freeze>,
    /// Servers under way at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<u32>,
}

impl SiteRule {
    /// A site of which nothing is ruled: any time will do, and any number at once.
    #[must_use]
    pub fn none() -> Self {
        Self {
            // Without a window or dates there is no time that a zone could change.
            zone: "UTC".to_owned(),
            window: None,
            freeze: Vec::new(),
            max_in_flight: None,
        }
    }
}

/// A window of each week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Days on which it opens, from Monday as 1.
    pub days: Vec<i8>,
    /// When it opens.
    pub from: Clock,
    /// When it closes; on the next day where it is not after `from`.
    pub to: Clock,
}

/// A time of day, in minutes since midnight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Clock(i16);

impl Clock {
    fn time(self) -> Time {
        let (hour, minute) = (self.0 / 60, self.0 % 60);
        let part = |value: i16| i8::try_from(value).unwrap_or(0);
        Time::constant(part(hour), part(minute), 0, 0)
    }
}

impl FromStr for Clock {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || format!("\"{text}\" is no time of day");
        let (hour, minute) = text.split_once(':').ok_or_else(bad)?;
        let part = |text: &str, below: i16| {
            let number: i16 = text.parse().ok()?;
            (text.len() == 2 && (0..below).contains(&number)).then_some(number)
        };
        let hour = part(hour, 24).ok_or_else(bad)?;
        Ok(Self(hour * 60 + part(minute, 60).ok_or_else(bad)?))
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// Dates on which nothing begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Freeze {
    first: Date,
    last: Date,
}

impl FromStr for Freeze {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let date = |text: &str| {
            text.parse::<Date>()
                .map_err(|_| format!("\"{text}\" is no date"))
        };
        let (first, last) = text.split_once('/').unwrap_or((text, text));
        let (first, last) = (date(first)?, date(last)?);
        if last < first {
            return Err(format!("{last} is before {first}"));
        }
        Ok(Self { first, last })
    }
}

impl TryFrom<String> for Freeze {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Freeze> for String {
    fn from(freeze: Freeze) -> Self {
        freeze.to_string()
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.last)
    }
}

/// The days by the names that a policy uses.
pub const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The number of a day by its name, from Monday as 1.
#[must_use]
pub fn day(name: &str) -> Option<i8> {
    (1..)
        .zip(DAYS)
        .find(|(_, day)| *day == name)
        .map(|(number, _)| number)
}

/// A moment, as people write it: with an offset (`2026-11-28T22:00+01:00`) or a zone (`2026-11-28T22:00[Europe/Amsterdam]`).
///
/// # Errors
/// Why it is none.
pub fn written(text: &str) -> Result<Timestamp, String> {
    let bad = || {
        format!(
            "\"{text}\" is no moment: write 2026-11-28T22:00+01:00 or 2026-11-28T22:00[Europe/Amsterdam]"
        )
    };
    let zoned = text.parse::<jiff::Zoned>().map(|at| at.timestamp());
    let at = zoned.or_else(|_| text.parse::<jiff::Timestamp>());
    let at = at.map_err(|_| bad())?;
    Ok(Timestamp::from_millis(at.as_millisecond()))
}

/// Whether a zone is known by that name.
#[must_use]
pub fn is_zone(name: &str) -> bool {
    TimeZone::get(name).is_ok()
}

/// Why nothing begins at a site, and when that passes by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Why, in a sentence.
    pub why: String,
    /// When it opens; absent where that is more than a year away.
    pub opens: Option<Timestamp>,
}

impl SiteRule {
    /// Why nothing may begin at that moment; `None` where something may.
    #[must_use]
    pub fn closed(&self, now: Timestamp) -> Option<Closed> {
        if self.window.is_none() && self.freeze.is_empty() {
            return None;
        }
        // A zone that this version does not know opens nothing: `check` has told so.
        let Ok(zone) = TimeZone::get(&self.zone) else {
            return Some(Closed {
                why: format!("the time zone {} is not known", self.zone),
                opens: None,
            });
        };
        let what = self.closed_at(now, &zone)?;
        let opens = self.opens(now, &zone);
        let when = opens.map_or_else(
            || "it opens at no time within a year".to_owned(),
            |at| format!("it opens at {}", local(at, &zone)),
        );
        Some(Closed {
            why: format!("{what}; {when}"),
            opens,
        })
    }

    fn closed_at(&self, now: Timestamp, zone: &TimeZone) -> Option<String> {
        let here = moment(now)?.to_zoned(zone.clone());
        if let Some(freeze) = self.frozen(here.date()) {
            return Some(format!("its dates {freeze} are frozen"));
        }
        let window = self.window.as_ref()?;
        // A window that began yesterday may still be open, also where yesterday was frozen.
        let dates = [Some(here.date()), here.date().yesterday().ok()];
        let open = dates.into_iter().flatten().any(|date| {
            window
                .on(date, zone)
                .is_some_and(|(from, to)| from <= now && now < to)
        });
        (!open).then(|| format!("its window is {window}, {}", self.zone))
    }

    fn frozen(&self, date: Date) -> Option<&Freeze> {
        self.freeze
            .iter()
            .find(|freeze| (freeze.first..=freeze.last).contains(&date))
    }

    /// The end of the window that opens for that many times from now on, at dates that are not frozen; `None` where there is
    /// no window, or that is more than a year away.
    #[must_use]
    pub fn end_of_opening(&self, now: Timestamp, times: usize) -> Option<Timestamp> {
        let window = self.window.as_ref()?;
        let zone = TimeZone::get(&self.zone).ok()?;
        let today = moment(now)?.to_zoned(zone.clone()).date();
        let days = std::iter::successors(Some(today), |date| date.tomorrow().ok());
        let mut openings = days.take(HORIZON_DAYS).filter_map(|date| {
            let (from, to) = window.on(date, &zone)?;
            (from > now && self.closed_at(from, &zone).is_none()).then_some(to)
        });
        openings.nth(times.checked_sub(1)?)
    }

    /// The next moment at which something may begin.
    fn opens(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut date = moment(now)?
            .to_zoned(zone.clone())
            .date()
            .yesterday()
            .ok()?;
        for _ in 0..HORIZON_DAYS {
            // It may open with the window, or at midnight, when a freeze ends within one.
            let midnight = start(date, Time::midnight(), zone);
            let window = self
                .window
                .as_ref()
                .and_then(|window| window.on(date, zone));
            let moments = [midnight, window.map(|(from, _)| from)];
            let open = |at: &Timestamp| *at > now && self.closed_at(*at, zone).is_none();
            let first = moments.into_iter().flatten().filter(open).min();
            if first.is_some() {
                return first;
            }
            date = date.tomorrow().ok()?;
        }
        None
    }
}

impl Window {
    /// From when to when it is open, where it opens on that date.
    fn on(&self, date: Date, zone: &TimeZone) -> Option<(Timestamp, Timestamp)> {
        let weekday = date.weekday().to_monday_one_offset();
        if !self.days.contains(&weekday) {
            return None;
        }
        let ends = if self.to > self.from {
            date
        } else {
            date.tomorrow().ok()?
        };
        let from = start(date, self.from.time(), zone)?;
        let to = start(ends, self.to.time(), zone)?;
        // Where the clock skips its beginning and not its end, it is as long as it is written.
        let to = if to > from {
            to
        } else {
            from.plus(self.length())
        };
        Some((from, to))
    }

    /// How long it is open, where no clock is changed in it.
    #[must_use]
    pub fn length(&self) -> Duration {
        let minutes = i64::from(self.to.0) - i64::from(self.from.0);
        let minutes = if minutes > 0 {
            minutes
        } else {
            minutes + 24 * 60
        };
        Duration::from_secs(u64::try_from(minutes * 60).unwrap_or(0))
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self
            .days
            .iter()
            .filter_map(|day| Weekday::from_monday_one_offset(*day).ok());
        let names: Vec<&str> = names
            .filter_map(|day| {
                DAYS.get(usize::try_from(day.to_monday_zero_offset()).ok()?)
                    .copied()
            })
            .collect();
        write!(f, "{} {} to {}", names.join(" "), self.from, self.to)
    }
}

fn moment(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(at.as_millis()).ok()
}

/// A time of day on a date; where the clock skips it, later by what it skips, and where it shows it twice, the first.
fn start(date: Date, time: Time, zone: &TimeZone) -> Option<Timestamp> {
    let zoned = date.to_datetime(time).to_zoned(zone.clone()).ok()?;
    Some(Timestamp::from_millis(zoned.timestamp().as_millisecond()))
}

/// A moment as the people of a site read it.
fn local(at: Timestamp, zone: &TimeZone) -> String {
    moment(at).map_or_else(
        || at.to_string(),
        |at| {
            at.to_zoned(zone.clone())
                .strftime("%a %Y-%m-%d %H:%M")
                .to_string()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let zoned: jiff::Zoned = text.parse().expect("a moment with its zone");
        Timestamp::from_millis(zoned.timestamp().as_millisecond())
    }

    fn rule(days: &[i8], from: &str, to: &str, freeze: &[&str]) -> SiteRule {
        SiteRule {
            zone: "Europe/Amsterdam".to_owned(),
            window: Some(Window {
                days: days.to_vec(),
                from: from.parse().expect("a time"),
                to: to.parse().expect("a time"),
            }),
            freeze: freeze
                .iter()
                .map(|one| one.parse().expect("dates"))
                .collect(),
            max_in_flight: None,
        }
    }

    fn opens(rule: &SiteRule, now: &str) -> Option<Timestamp> {
        rule.closed(at(now)).expect("it is closed").opens
    }

    #[test]
    fn a_window_over_midnight_belongs_to_the_day_on_which_it_opens() {
        let weekend = rule(&[6, 7], "22:00", "04:00", &[]);
        for (now, open) in [
            ("2026-11-28T21:59[Europe/Amsterdam]", false),
            ("2026-11-28T22:00[Europe/Amsterdam]", true),
            ("2026-11-29T03:59[Europe/Amsterdam]", true),
            ("2026-11-29T04:00[Europe/Amsterdam]", false),
            ("2026-11-29T22:30[Europe/Amsterdam]", true),
            // Monday early belongs to Sunday's; Saturday early to none.
            ("2026-11-30T03:00[Europe/Amsterdam]", true),
            ("2026-11-28T03:00[Europe/Amsterdam]", false),
        ] {
            assert_eq!(weekend.closed(at(now)).is_none(), open, "{now}");
        }
        let closed = weekend
            .closed(at("2026-11-25T10:00[Europe/Amsterdam]"))
            .expect("closed");
        assert_eq!(closed.opens, Some(at("2026-11-28T22:00[Europe/Amsterdam]")));
        assert_eq!(
            closed.why,
            "its window is Sat Sun 22:00 to 04:00, Europe/Amsterdam; it opens at Sat 2026-11-28 22:00"
        );
    }

    #[test]
    fn the_zone_counts_and_not_the_offset_of_today() {
        let nights = rule(&[1, 2, 3, 4, 5, 6, 7], "22:00", "23:00", &[]);
        // 21:30 UTC is 22:30 in winter and 23:30 in summer.
        assert!(nights.closed(at("2026-01-15T21:30[UTC]")).is_none());
        assert!(nights.closed(at("2026-07-15T21:30[UTC]")).is_some());
        // The hour that the clock skips: the window opens after the gap, and is not lost.
        let gap = rule(&[7], "02:15", "04:00", &[]);
        assert_eq!(
            opens(&gap, "2026-03-28T12:00[Europe/Amsterdam]"),
            Some(at("2026-03-29T03:15[Europe/Amsterdam]"))
        );
    }

    #[test]
    fn a_window_whose_beginning_the_clock_skips_is_not_lost() {
        let short = rule(&[7], "02:30", "03:15", &[]);
        let opens = opens(&short, "2026-03-28T12:00[Europe/Amsterdam]").expect("it opens");
        assert_eq!(opens, at("2026-03-29T03:30[Europe/Amsterdam]"));
        assert!(
            short
                .closed(opens.plus(Duration::from_secs(44 * 60)))
                .is_none()
        );
        assert!(
            short
                .closed(opens.plus(Duration::from_secs(45 * 60)))
                .is_some()
        );
    }

    /// The hour that the clock shows twice, of 25 October: a time in it is the first of the two, so a window is open at no time of day
    /// that it does not name, and each opens, for as long as is written.
    #[test]
    fn of_a_time_that_the_clock_shows_twice_the_first_counts() {
        let sunday = |text: &str| at(&format!("2026-10-25T{text}[Europe/Amsterdam]"));
        for (from, to, opens_at, minutes) in [
            // Within the hour.
            ("02:15", "02:45", "02:15+02:00", 30),
            // It begins in it: the second showing of the hour lies within.
            ("02:30", "04:00", "02:30+02:00", 150),
            // It ends in it.
            ("01:00", "02:30", "01:00+02:00", 90),
            // Around it: an hour more than is written.
            ("01:00", "04:00", "01:00+02:00", 240),
        ] {
            let window = rule(&[7], from, to, &[]);
            let opens = opens(&window, "2026-10-24T12:00[Europe/Amsterdam]").expect("it opens");
            assert_eq!(opens, sunday(opens_at), "{from} to {to}");
            for minute in 0..minutes {
                let now = opens.plus(Duration::from_secs(minute * 60));
                assert!(
                    window.closed(now).is_none(),
                    "{from} to {to}, minute {minute}"
                );
            }
            let end = opens.plus(Duration::from_secs(minutes * 60));
            let closed = window.closed(end).expect("it is closed");
            // It does not open once more that day.
            let next = closed.opens.expect("it opens again");
            assert!(
                next > opens.plus(Duration::from_secs(6 * 24 * 3600)),
                "{next}"
            );
            assert_eq!(
                window.end_of_opening(opens.minus(Duration::from_secs(1)), 1),
                Some(end)
            );
        }
    }

    #[test]
    fn frozen_dates_win_over_a_window_and_end_at_midnight_of_the_site() {
        let frozen = rule(
            &[5, 6],
            "20:00",
            "06:00",
            &["2026-12-15/2027-01-08", "2027-01-16"],
        );
        let closed = frozen
            .closed(at("2026-12-18T21:00[Europe/Amsterdam]"))
            .expect("frozen");
        assert!(
            closed.why.contains("2026-12-15/2027-01-08 are frozen"),
            "{}",
            closed.why
        );
        // The window of Friday the 8th is open still when the freeze ends at midnight.
        assert_eq!(closed.opens, Some(at("2027-01-09T00:00[Europe/Amsterdam]")));
        assert!(
            frozen
                .closed(at("2027-01-16T00:30[Europe/Amsterdam]"))
                .is_some()
        );
        let only = SiteRule {
            window: None,
            ..frozen
        };
        assert!(
            only.closed(at("2026-12-14T23:59[Europe/Amsterdam]"))
                .is_none()
        );
        assert_eq!(
            opens(&only, "2026-12-15T00:00[Europe/Amsterdam]"),
            Some(at("2027-01-09T00:00[Europe/Amsterdam]"))
        );
    }

    #[test]
    fn what_opens_is_open_then_and_closed_until_then() {
        let rules = [
            rule(&[6, 7], "22:00", "04:00", &["2026-12-15/2027-01-04"]),
            rule(&[1], "00:00", "00:00", &[]),
            rule(&[3], "02:30", "02:45", &["2026-03-25"]),
        ];
        for rule in rules {
            let mut now = at("2026-03-20T00:00[UTC]");
            for _ in 0..3000 {
                if let Some(opens) = rule.closed(now).and_then(|closed| closed.opens) {
                    assert!(opens > now);
                    assert!(rule.closed(opens).is_none(), "{opens}");
                    let before = Timestamp::from_millis(opens.as_millis() - 1);
                    assert!(rule.closed(before).is_some(), "{before}");
                }
                now = now.plus(Duration::from_secs(3 * 3600));
            }
        }
    }

    #[test]
    fn the_nth_opening_is_counted_over_frozen_dates() {
        let night = rule(&[6], "22:00", "04:00", &["2026-10-01/2026-10-09"]);
        let here = |text: &str| at(&format!("{text}[Europe/Amsterdam]"));
        let end = |now: &str, times| night.end_of_opening(here(now), times);
        let monday = "2026-09-21T12:00";
        assert_eq!(end(monday, 1), Some(here("2026-09-27T04:00")));
        // What has begun at that moment counts no more.
        let begins = "2026-09-26T22:00";
        assert_eq!(end(begins, 1), Some(here("2026-10-11T04:00")));
        assert_eq!(end(monday, 3), Some(here("2026-10-18T04:00")));
        assert_eq!(end(monday, 0), None);
        assert_eq!(end(monday, 60), None, "more than a year away");
        let any_time = SiteRule {
            window: None,
            ..night.clone()
        };
        assert_eq!(any_time.end_of_opening(here(monday), 1), None);
    }

    #[test]
    fn slips_are_refused() {
        for text in ["24:00", "7:00", "12:60", "noon", "12"] {
            assert!(text.parse::<Clock>().is_err(), "{text}");
        }
        for text in ["2026-02-30", "2027-01-04/2026-12-15", "soon"] {
            assert!(text.parse::<Freeze>().is_err(), "{text}");
        }
        assert!(is_zone("Europe/Amsterdam") && !is_zone("Europe/Amsterdan"));
        assert_eq!(
            (day("Mon"), day("Sun"), day("Sonntag")),
            (Some(1), Some(7), None)
        );
    }
}
