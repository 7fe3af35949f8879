//! Several courses of one plan as one account: how long those take that come to their end, what stops the others, and what was waited
//! for or is left in any of them.

use std::collections::BTreeMap;

use controller_core::fleet::Cause;
use protocol::DomainName;

use crate::course::{Course, Held, Left, Stop};
use crate::waits::Waited;

/// What all courses came to.
pub(crate) struct Merged {
    /// Duration of each that came to its end, in seconds, shortest first.
    pub(crate) seconds: Vec<u64>,
    pub(crate) stopped: Vec<Stop>,
    /// The one in the middle, with what all waited for and left.
    pub(crate) course: Course,
    pub(crate) lowest: BTreeMap<DomainName, usize>,
}

/// Merges one course or more.
pub(crate) fn merge(mut courses: Vec<Course>) -> Merged {
    // What stopped early is no short course.
    courses.sort_by_key(|course| (course.stopped_by.is_some(), course.seconds));
    let mut lowest: BTreeMap<DomainName, usize> = BTreeMap::new();
    for (domain, serving) in courses.iter().flat_map(|course| &course.serving) {
        let least = lowest.entry(domain.clone()).or_insert(usize::MAX);
        *least = (*least).min(serving.lowest());
    }
    let ended = courses.iter();
    let ended = ended.filter(|course| course.stopped_by.is_none());
    let seconds: Vec<u64> = ended.map(|course| course.seconds).collect();
    let stopped = stopped(&courses);
    let all = (left(&courses), waited(&courses), held(&courses));
    let of = if seconds.is_empty() {
        courses.len()
    } else {
        seconds.len()
    };
    let mut course = courses.swap_remove(of / 2);
    (course.left, course.waited, course.held) = all;
    Merged {
        seconds,
        stopped,
        course,
        lowest,
    }
}

/// What is left over in any course, with how often.
fn left(courses: &[Course]) -> Vec<Left> {
    let mut left: Vec<Left> = Vec::new();
    for one in courses.iter().flat_map(|course| &course.left) {
        match left.iter_mut().find(|known| known.target == one.target) {
            Some(known) => known.courses += 1,
            None => left.push(one.clone()),
        }
    }
    left
}

/// Courses that came to a standstill, by what they did.
fn stopped(courses: &[Course]) -> Vec<Stop> {
    let mut stops: Vec<Stop> = Vec::new();
    for course in courses {
        let Some(why) = &course.stopped_by else {
            continue;
        };
        if let Some(known) = stops.iter_mut().find(|known| known.why == *why) {
            known.courses += 1;
            known.from = known.from.min(course.seconds);
            known.to = known.to.max(course.seconds);
        } else {
            stops.push(Stop {
                courses: 1,
                from: course.seconds,
                to: course.seconds,
                why: why.clone(),
            });
        }
    }
    stops.sort_by_key(|stop| std::cmp::Reverse(stop.courses));
    stops
}

/// What anybody waited for in any course: each cause as long, and by as many, as in the course in which it was the most.
fn waited(courses: &[Course]) -> Vec<Waited> {
    let mut all: BTreeMap<Cause, Waited> = BTreeMap::new();
    for one in courses.iter().flat_map(|course| &course.waited) {
        let known = all.entry(one.cause).or_insert_with(|| one.clone());
        known.seconds = known.seconds.max(one.seconds);
        known.servers = known.servers.max(one.servers);
    }
    let mut waited: Vec<Waited> = all.into_values().collect();
    waited.sort_by_key(|one| std::cmp::Reverse(one.seconds));
    waited
}

/// What holds servers where any course begins, of as many as in the course in which these were the most.
fn held(courses: &[Course]) -> Vec<Held> {
    let mut all: BTreeMap<Cause, Held> = BTreeMap::new();
    for one in courses.iter().flat_map(|course| &course.held) {
        let known = all.entry(one.cause).or_insert_with(|| one.clone());
        if one.servers > known.servers {
            known.clone_from(one);
        }
    }
    all.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waited(cause: Cause, seconds: u64, servers: usize) -> Waited {
        Waited {
            cause,
            seconds,
            servers,
        }
    }

    fn course(seconds: u64, stopped_by: Option<&str>) -> Course {
        Course {
            seconds,
            waves: Vec::new(),
            serving: BTreeMap::new(),
            hands: Vec::new(),
            waited: Vec::new(),
            held: Vec::new(),
            left: Vec::new(),
            stopped_by: stopped_by.map(str::to_owned),
        }
    }

    /// A course that stops at its canary after two minutes takes no two minutes: it is not done.
    #[test]
    fn what_stops_is_no_short_course_and_is_told_with_when_and_why() {
        let canary = Some("s1 failed: 1603");
        let merged = merge(vec![
            course(120, canary),
            course(4000, None),
            course(90, Some("s2 held")),
            course(3000, None),
            course(60, canary),
            course(5000, None),
            course(100, canary),
        ]);
        assert_eq!(merged.seconds, [3000, 4000, 5000]);
        assert_eq!(
            (merged.course.seconds, merged.course.stopped_by),
            (4000, None)
        );
        let stop = |courses, from, to, why: &str| Stop {
            courses,
            from,
            to,
            why: why.to_owned(),
        };
        let stops = [
            stop(3, 60, 120, "s1 failed: 1603"),
            stop(1, 90, 90, "s2 held"),
        ];
        assert_eq!(merged.stopped, stops);
        // None comes to its end: the middle is one of those that stop, and nothing is said of a duration.
        let merged = merge(vec![
            course(60, canary),
            course(90, canary),
            course(120, canary),
        ]);
        assert_eq!(merged.seconds, [0; 0]);
        assert_eq!(merged.course.seconds, 90);
    }

    #[test]
    fn what_any_course_waited_for_or_is_held_by_is_told() {
        let held = |cause, servers| Held {
            cause,
            servers,
            why: format!("{servers} of them"),
            lifted_by: String::new(),
        };
        let mut courses = vec![course(10, None), course(20, None), course(30, Some("x"))];
        courses[0].waited = vec![waited(Cause::InFlight, 300, 2)];
        courses[2].waited = vec![
            waited(Cause::SiteClosed, 900, 1),
            waited(Cause::InFlight, 200, 5),
        ];
        courses[0].held = vec![held(Cause::ServerFrozen, 1)];
        courses[1].held = vec![held(Cause::ServerFrozen, 3)];
        let course = merge(courses).course;
        assert_eq!(course.seconds, 20);
        let all = [
            waited(Cause::SiteClosed, 900, 1),
            waited(Cause::InFlight, 300, 5),
        ];
        assert_eq!(course.waited, all);
        assert_eq!(course.held, [held(Cause::ServerFrozen, 3)]);
    }
}
