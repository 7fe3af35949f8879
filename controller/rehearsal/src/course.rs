//! What a rehearsal tells: how long it takes, which wave when, who serves meanwhile, what people do when, and what would
//! be left over.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::Duration;

use controller_core::facts::Fleetwide;
use controller_core::fleet::{Cause, TargetState};
use controller_core::plan::{DomainPlan, Plan};
use controller_core::readiness::Standing;
use controller_core::record::Record;
use controller_core::words::few;
use protocol::event::Event;
use protocol::step::Step;
use protocol::{DomainName, Generation, TargetId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::courses::{Merged, merge};
use crate::server::LINE;
use crate::stands::Stands;
use crate::waits::{Waited, Waits};
use crate::world::{Ask, World};

/// So many servers are named in a sentence.
const NAMED: usize = 12;

/// Beyond this a rehearsal is given up: every bundle has ended by then.
const END: Duration = Duration::from_secs(60 * 86_400);

/// One course of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Course {
    /// From the order to the last receipt, in seconds.
    pub seconds: u64,
    /// Of each wave: when its first target began and when its last one ended, in seconds from the order.
    pub waves: Vec<(u64, u64)>,
    /// Of each domain.
    pub serving: BTreeMap<DomainName, Serving>,
    /// What people do, in order.
    pub hands: Vec<Hand>,
    /// What anybody waited for on the way, the longest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waited: Vec<Waited>,
    /// What the freeze of the whole fleet that stands now holds, by cause: the course is what follows once that is lifted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<Held>,
    /// What is not done in the end, and why.
    pub left: Vec<Left>,
    /// By whom it came to a standstill before everybody was at an end, and why; absent where it came to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<String>,
}

/// Courses that came to a standstill by the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// How many.
    pub courses: u64,
    /// When: their last receipt, in seconds from the order, of the first and of the last of them.
    pub from: u64,
    /// The same of the last of them.
    pub to: u64,
    /// By whom, and why.
    pub why: String,
}

/// What holds servers where it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Why, in a word.
    pub cause: Cause,
    /// How many servers.
    pub servers: usize,
    /// Why, of the first of them, as an operator would be told.
    pub why: String,
    /// What lifts it.
    pub lifted_by: String,
}

/// How a domain is served while a plan is carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Serving {
    /// Servers in all.
    pub servers: usize,
    /// How many must keep serving.
    pub minimum: u32,
    /// How many serve, from which second on: one entry for each change.
    pub course: Vec<(u64, usize)>,
}

impl Serving {
    /// The fewest at any moment.
    #[must_use]
    pub fn lowest(&self) -> usize {
        let counts = self.course.iter().map(|(_, count)| *count);
        counts.min().unwrap_or(0)
    }
}

/// What a person does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hand {
    /// When it is asked for, in seconds from the order.
    pub at: u64,
    /// On which server.
    pub target: TargetId,
    /// What.
    pub what: String,
}

/// A target that is not done in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// In how many of the courses.
    pub courses: u64,
    /// Which.
    pub target: TargetId,
    /// Its state in one word.
    pub state: String,
    /// Why, and what lifts it.
    pub why: String,
}

/// A plan carried out several times, each time as chance has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rehearsal {
    /// Duration of each course that came to its end, in seconds, shortest first.
    pub seconds: Vec<u64>,
    /// Courses that came to a standstill instead, those of most courses first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<Stop>,
    /// The course in the middle of those that came to their end, or else of those that did not. What was waited for, what holds and what
    /// is left are those of all courses.
    pub course: Course,
    /// Of all courses, the fewest that served each domain at any moment.
    pub lowest: BTreeMap<DomainName, usize>,
    /// What was taken for granted, in a sentence.
    pub assumed: String,
    /// When it begins.
    pub begins: Timestamp,
    /// What is known to stand in the way and was not carried out on models, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<String>,
}

/// Carries a plan out `times` times, with seeds from `ask.seed` on.
#[must_use]
pub fn rehearse(plan: &Plan, known: &Fleetwide, ask: &Ask, times: u64) -> Rehearsal {
    rehearse_as(plan, known, &Stands::default(), ask, times)
}

/// The same as its servers stand.
#[must_use]
pub fn rehearse_as(
    plan: &Plan,
    known: &Fleetwide,
    stands: &Stands,
    ask: &Ask,
    times: u64,
) -> Rehearsal {
    let courses: Vec<Course> = (0..times.max(1))
        .map(|number| {
            let ask = Ask {
                seed: ask.seed.wrapping_add(number),
                ..ask.clone()
            };
            course(plan, (known, stands), ask)
        })
        .collect();
    let Merged {
        seconds,
        stopped,
        course,
        lowest,
    } = merge(courses);
    let person = match ask.person {
        Some(time) => format!("a person takes about {} each time", spell(time.as_secs())),
        None => "nobody comes".to_owned(),
    };
    let blocked = blocked(plan);
    let mended = match blocked.len() {
        0 => String::new(),
        _ => "what the newest preflights found to block is mended; ".to_owned(),
    };
    Rehearsal {
        seconds,
        stopped,
        course,
        lowest,
        assumed: format!(
            "{mended}{person}, installers come at {} MiB/s, and each step takes what its model takes{}; {}; {}",
            LINE >> 20,
            full_syncs(plan),
            stands.assumed(),
            stands.around(plan)
        ),
        begins: ask.begin,
        beside: stands.beside.iter().cloned().chain(blocked).collect(),
    }
}

/// By whom a course came to a standstill: the first that is at an end that it was not to have, else the first that waits.
fn stopped_by(world: &World, left: &[Left]) -> Option<String> {
    if world.is_rehearsed() {
        return None;
    }
    let rollout = world.fleet.rollouts().get(&world.rehearsed)?;
    let ended = |left: &&Left| {
        let work = rollout.work.get(&left.target);
        work.is_some_and(|work| work.state.is_terminal())
    };
    let waits = |left: &&Left| rollout.work.get(&left.target).is_some();
    let first = left.iter().find(ended).or_else(|| left.iter().find(waits));
    first.map(|left| format!("{} {}: {}", left.target, left.state, left.why))
}

/// What is said where a full synchronization of Connect is waited for, which is short on a model.
fn full_syncs(plan: &Plan) -> &'static str {
    let parts = plan.targets.values().filter(|part| !part.left_out);
    let mut steps = parts
        .flat_map(|part| &part.phases)
        .flat_map(|phase| &phase.steps);
    if steps.any(|step| matches!(step, Step::AwaitFullSync(_))) {
        ", a full synchronization of Connect some minutes: on a server it takes minutes or many hours, by how much there is"
    } else {
        ""
    }
}

/// What a plan's newest preflights found to block, which the models know nothing of: of whom the same is said, once.
fn blocked(plan: &Plan) -> Vec<String> {
    let mut found: BTreeMap<String, Vec<&TargetId>> = BTreeMap::new();
    for (target, standing) in &plan.readiness {
        if let Standing::Blocked { blocks, .. } = standing {
            found.entry(blocks.join("; ")).or_default().push(target);
        }
    }
    let sentence = |(blocks, targets): (String, Vec<&TargetId>)| {
        let (named, many) = (few(&targets, NAMED), targets.len());
        let whose = if many == 1 { "" } else { "s" };
        format!(
            "{many} server{whose} would be left before anything is touched while this is not mended, as the newest preflight found: {blocks}: {named}"
        )
    };
    found.into_iter().map(sentence).collect()
}

fn course(plan: &Plan, (known, stands): (&Fleetwide, &Stands), ask: Ask) -> Course {
    let begin = ask.begin;
    let since = |at: Timestamp| at.since(begin).as_secs();
    let mut world = World::standing(plan, stands, known, ask);
    let mut serving: BTreeMap<&DomainName, (Vec<TargetId>, Serving)> = BTreeMap::new();
    let mut served_by: BTreeMap<TargetId, Vec<&DomainName>> = BTreeMap::new();
    for (domain, part) in &plan.domains {
        let servers = all(part);
        for server in &servers {
            served_by.entry(server.clone()).or_default().push(domain);
        }
        let seen = Serving {
            servers: part.servers.len(),
            minimum: part.min_serving,
            course: vec![(0, world.serving(&servers))],
        };
        serving.insert(domain, (servers, seen));
    }
    let mut happened = Happened::default();
    happened.take_up(&mut world, begin);
    let mut waits = Waits::new(begin);
    while !world.is_rehearsed() && world.now.since(begin) < END {
        if let Some(next) = world.next_at() {
            waits.look(&world, next);
        }
        if !world.step() {
            break;
        }
        happened.take_up(&mut world, begin);
        let domains = world.touched().and_then(|target| served_by.get(target));
        for domain in domains.into_iter().flatten() {
            if let Some((servers, seen)) = serving.get_mut(domain) {
                let count = world.serving(servers);
                if seen.course.last().is_none_or(|(_, last)| *last != count) {
                    seen.course.push((since(world.now), count));
                }
            }
        }
    }
    let serving = serving.into_iter();
    let serving = serving.map(|(domain, (_, seen))| (domain.clone(), seen));
    let serving = serving.collect();
    let Happened {
        spans, hands, end, ..
    } = happened;
    let waves = plan
        .waves
        .iter()
        .map(|wave| {
            let of = || wave.iter().filter_map(|target| spans.get(target));
            let first = of().map(|span| span.0).min();
            let last = of().map(|span| span.1).max();
            (first.unwrap_or(0), last.unwrap_or(0))
        })
        .collect();
    let left = left(plan, &world);
    Course {
        stopped_by: stopped_by(&world, &left),
        seconds: end,
        waves,
        serving,
        hands,
        waited: waits.until(world.now),
        held: held(&world),
        left,
    }
}

/// What held servers where it began, by cause.
fn held(world: &World) -> Vec<Held> {
    let mut all: BTreeMap<Cause, Held> = BTreeMap::new();
    for (_, cause, why) in &world.held {
        let one = all.entry(*cause).or_insert_with(|| Held {
            cause: *cause,
            servers: 0,
            why: why.clone(),
            lifted_by: cause.lifted_by().to_owned(),
        });
        one.servers += 1;
    }
    all.into_values().collect()
}

/// What the log of a course said so far.
#[derive(Default)]
struct Happened {
    /// Of each target when its first bundle was accepted and its last run ended, in seconds from the order.
    spans: BTreeMap<TargetId, (u64, u64)>,
    hands: Vec<Hand>,
    end: u64,
    /// The runs of the rollout that is rehearsed.
    own: BTreeSet<(TargetId, Generation)>,
}

impl Happened {
    /// Takes up what is new, and keeps no more of it than it needs.
    fn take_up(&mut self, world: &mut World, begin: Timestamp) {
        let rehearsed = world.rehearsed;
        for (at, record) in world.log.drain(..) {
            if let Record::BundleIssued {
                rollout,
                target,
                generation,
                ..
            } = &record
                && *rollout == rehearsed
            {
                self.own.insert((target.clone(), *generation));
            }
            let Record::TargetEvent { target, body, .. } = record else {
                continue;
            };
            let at = at.since(begin).as_secs();
            let Some(event) = Event::from_body(body.as_bytes()) else {
                continue;
            };
            let run = event.generation();
            let own = run.is_some_and(|run| self.own.contains(&(target.clone(), run)));
            if !own {
                continue;
            }
            if let Event::BundleAccepted { .. } = event {
                self.spans.entry(target.clone()).or_insert((at, at));
            }
            if let Event::RunFinished { .. } = event {
                self.spans.entry(target.clone()).or_insert((at, at)).1 = at;
                self.end = self.end.max(at);
            }
            let what = if let Event::SecretAsked { wanted, .. } = event {
                format!("give {wanted}")
            } else if let Event::TaskOpened { text, .. } = event {
                text.title
            } else {
                continue;
            };
            self.hands.push(Hand { at, target, what });
        }
    }
}

/// Everybody who serves a domain, also who is about to go.
fn all(part: &DomainPlan) -> Vec<TargetId> {
    part.servers.iter().chain(&part.leaving).cloned().collect()
}

/// What is not done, with the reason that the operator would be given.
fn left(plan: &Plan, world: &World) -> Vec<Left> {
    let Some(rollout) = world.fleet.rollouts().get(&world.rehearsed) else {
        return Vec::new();
    };
    let mut left: Vec<Left> = plan
        .targets
        .iter()
        .filter(|(_, part)| part.left_out)
        .map(|(target, part)| Left {
            courses: 1,
            target: target.clone(),
            state: "left out".to_owned(),
            why: part.why.join("; "),
        })
        .collect();
    let view = world.fleet.view(world.rehearsed, &world.live, world.now);
    let rows = view.map(|view| view.targets).unwrap_or_default();
    for target in plan.waves.iter().flatten() {
        let Some(work) = rollout.work.get(target) else {
            continue;
        };
        let why = match &work.state {
            TargetState::Done(_) => continue,
            TargetState::Failed { failure, .. } => {
                let fix = failure.known.as_ref().map(|known| &known.fix);
                let fix = fix.or_else(|| failure.findings.first().map(|finding| &finding.fix));
                let fix = fix.map_or_else(String::new, |fix| format!("; fix: {fix}"));
                format!("{}{fix}", failure.what)
            }
            TargetState::Inconclusive(question) => question.clone(),
            TargetState::Refused(refusal) => refusal.to_string(),
            TargetState::AwaitingPerson { text, .. } => format!("nobody came: {}", text.title),
            TargetState::AwaitingSecret { wanted, .. } => format!("nobody gave {wanted}"),
            TargetState::Expired => world.waited(target).unwrap_or_default().to_owned(),
            TargetState::Pending
            | TargetState::Offered
            | TargetState::Running { .. }
            | TargetState::Skipped(_)
            | TargetState::Aborted
            | TargetState::Unknown
            | TargetState::Resolved(_) => {
                let row = rows.iter().find(|row| row.target == *target);
                row.map(|row| row.detail.clone()).unwrap_or_default()
            }
        };
        left.push(Left {
            courses: 1,
            target: target.clone(),
            state: work.state.word().to_owned(),
            why,
        });
    }
    left
}

/// Hours, minutes and seconds, as far as they say something.
fn spell(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest} s"),
        (0, minutes) if minutes < 10 => format!("{minutes} min {rest} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// At most this many changes of who serves a domain; the rest is counted.
const CHANGES: usize = 6;

/// At most this many lines of one kind; the rest is counted.
const LINES: usize = 20;

/// The rehearsal as an operator reads it.
#[must_use]
pub fn render(rehearsal: &Rehearsal, plan: &Plan) -> String {
    let mut text = String::new();
    write(rehearsal, plan, &mut text).expect("writing to a String cannot fail");
    text
}

fn write(rehearsal: &Rehearsal, plan: &Plan, out: &mut String) -> std::fmt::Result {
    let course = &rehearsal.course;
    let (first, last) = (rehearsal.seconds.first(), rehearsal.seconds.last());
    let ended = rehearsal.seconds.len();
    let halted: u64 = rehearsal.stopped.iter().map(|stop| stop.courses).sum();
    let times = ended + usize::try_from(halted).unwrap_or(usize::MAX);
    writeln!(
        out,
        "a rehearsal of plan {}: models of its servers, in virtual time; the decisions are those of a rollout",
        plan.id().0.short()
    )?;
    let of = if ended < times {
        format!("{ended} of {times} courses came to their end and")
    } else {
        format!("{times} courses")
    };
    if let (Some(first), Some(last)) = (first, last) {
        writeln!(
            out,
            "  {} from order to last receipt; {of} took {} to {}",
            spell(course.seconds),
            spell(*first),
            spell(*last)
        )?;
    } else {
        writeln!(out, "  none of {times} courses came to its end")?;
    }
    for stop in &rehearsal.stopped {
        let when = if stop.from == stop.to {
            spell(stop.from)
        } else {
            format!("{} to {}", spell(stop.from), spell(stop.to))
        };
        writeln!(
            out,
            "  STOPS in {} of {times}, after {when}: {}",
            stop.courses, stop.why
        )?;
    }
    writeln!(out, "  begins at {}", rehearsal.begins)?;
    writeln!(out, "  assumed: {}", rehearsal.assumed)?;
    for one in &rehearsal.beside {
        writeln!(out, "  STANDS NOW: {one}")?;
    }
    for held in &course.held {
        let many = if held.servers == 1 { "" } else { "s" };
        writeln!(
            out,
            "  HOLDS NOW {} server{many}: {}; what follows is its course once that is lifted, by: {}",
            held.servers, held.why, held.lifted_by
        )?;
    }
    for alarm in &plan.alarms {
        writeln!(out, "  ALARM {alarm}: `apply` refuses this plan")?;
    }
    let middle = match (ended, halted) {
        (0, _) => "a course that stopped",
        (_, 0) => "the middle course",
        _ => "the middle course of those that came to their end",
    };
    writeln!(out, "\nwaves, in {middle}")?;
    for ((from, to), (number, wave)) in course.waves.iter().zip(plan.waves.iter().enumerate()) {
        let many = if wave.len() == 1 { "" } else { "s" };
        let when = if *to == 0 {
            "does not begin".to_owned()
        } else {
            format!("from {} to {}", spell(*from), spell(*to))
        };
        writeln!(
            out,
            "  {:>2}  {:>3} target{many}  {when}",
            number + 1,
            wave.len()
        )?;
    }
    if !course.serving.is_empty() {
        writeln!(out, "\nserving meanwhile")?;
    }
    for (domain, serving) in &course.serving {
        let lowest = rehearsal.lowest.get(domain).copied().unwrap_or(0);
        let before = serving.course.first().map_or(0, |(_, count)| *count);
        let after = serving.course.last().map_or(0, |(_, count)| *count);
        let minimum = usize::try_from(serving.minimum).unwrap_or(usize::MAX);
        let below = if lowest < minimum && before >= minimum {
            "  BELOW its minimum"
        } else {
            ""
        };
        writeln!(
            out,
            "  {domain}: {before} before, {after} after, never fewer than {lowest}; {minimum} of {} that stay must{below}",
            serving.servers
        )?;
        let changes = serving.course.get(1..).unwrap_or_default();
        if !changes.is_empty() {
            let told = changes.iter().take(CHANGES);
            let told: Vec<String> = told
                .map(|(at, count)| format!("{count} after {}", spell(*at)))
                .collect();
            let more = changes.len().saturating_sub(CHANGES);
            let more = match more {
                0 => String::new(),
                more => format!("; and {more} changes more (--json)"),
            };
            writeln!(out, "    {}{more}", told.join(", "))?;
        }
    }
    if !course.waited.is_empty() {
        writeln!(out, "\nwaits on the way, the longest in any course")?;
    }
    for waited in course.waited.iter().take(LINES) {
        let many = if waited.servers == 1 { "" } else { "s" };
        writeln!(
            out,
            "  {:<12} {} server{many}, for: {}",
            spell(waited.seconds),
            waited.servers,
            waited.cause.lifted_by()
        )?;
    }
    if !course.hands.is_empty() {
        writeln!(out, "\npeople, when it is their turn")?;
    }
    for hand in course.hands.iter().take(LINES) {
        writeln!(
            out,
            "  after {:<12} {}: {}",
            spell(hand.at),
            hand.target,
            hand.what
        )?;
    }
    if course.hands.len() > LINES {
        writeln!(out, "  and {} more (--json)", course.hands.len() - LINES)?;
    }
    if course.left.is_empty() {
        let once = match blocked(plan).len() {
            0 => "",
            _ => ", once what the newest preflights found to block is mended",
        };
        writeln!(out, "\neverything would be done{once}")?;
    } else {
        writeln!(out, "\nwould be left")?;
    }
    let mut said: BTreeSet<(&str, &str)> = BTreeSet::new();
    for left in course.left.iter().take(LINES) {
        let why = if said.insert((&left.state, &left.why)) {
            left.why.as_str()
        } else {
            "the same"
        };
        let times = if left.courses == u64::try_from(times).unwrap_or(u64::MAX) {
            String::new()
        } else {
            format!(" (in {} of {times})", left.courses)
        };
        writeln!(out, "  {} {}{times}: {why}", left.target, left.state)?;
    }
    if course.left.len() > LINES {
        writeln!(out, "  and {} more (--json)", course.left.len() - LINES)?;
    }
    Ok(())
}
