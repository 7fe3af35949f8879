//! Whose turn it is within a rollout: waves and canaries, and what the limits still allow. Made once for a decision over all
//! targets, so that it costs as much as there are targets, and not more.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use protocol::{TargetId, Timestamp};

use crate::fleet::decide::{Hold, Live, in_turn, stands};
use crate::fleet::state::{Rollout, TargetState, Work};
use crate::plan::Plan;

/// The order of a rollout at one moment.
pub(crate) struct Turn<'a> {
    rollout: &'a Rollout,
    live: &'a Live,
    now: Timestamp,
    /// Made when somebody asks: what only reads has no turn to wait for.
    waves: OnceCell<Vec<WaveTurn<'a>>>,
    /// Why nothing begins at each site that is closed.
    closed: OnceCell<BTreeMap<&'a str, String>>,
}

struct WaveTurn<'a> {
    /// The first whose end the next wave waits for.
    waiting: Option<&'a TargetId>,
    lanes: BTreeMap<&'a str, LaneTurn<'a>>,
}

#[derive(Default)]
struct LaneTurn<'a> {
    canaries: Vec<&'a TargetId>,
    /// The first canary whose end the others of the lane wait for.
    waiting: Option<&'a TargetId>,
}

impl<'a> Turn<'a> {
    /// A wave waits for those before it, and within it each lane for its canary. Nobody waits for a target that was offered
    /// nothing yet and cannot be reached: it has its turn when it comes.
    pub(crate) const fn of(rollout: &'a Rollout, live: &'a Live, now: Timestamp) -> Self {
        Self {
            rollout,
            live,
            now,
            waves: OnceCell::new(),
            closed: OnceCell::new(),
        }
    }

    /// Why nothing begins at a site just now: its window is not open, or its dates are frozen. It passes by itself.
    pub(crate) fn closed(&self, site: Option<&str>) -> Option<Hold> {
        let site = site?;
        let closed = self.closed.get_or_init(|| {
            let rules = self.rollout.plan.sites.iter();
            let closed = rules.filter_map(|(name, rule)| {
                let closed = rule.closed(self.now)?;
                Some((name.as_str(), closed.why))
            });
            closed.collect()
        });
        let why = closed.get(site)?;
        in_turn(format!("site {site}: {why}"))
    }

    fn waves(&self) -> &[WaveTurn<'a>] {
        self.waves.get_or_init(|| self.look())
    }

    fn look(&self) -> Vec<WaveTurn<'a>> {
        let (rollout, live, now) = (self.rollout, self.live, self.now);
        let canaries = usize::try_from(rollout.plan.limits.canary).unwrap_or(usize::MAX);
        let wave = |wave: &'a Vec<TargetId>| {
            let mut turn = WaveTurn {
                waiting: None,
                lanes: BTreeMap::new(),
            };
            for target in wave {
                let work = rollout.work.get(target);
                let passed_over = work.is_some_and(Work::is_untouched)
                    && live
                        .unreachable_from(target)
                        .is_some_and(|from| now >= from);
                if passed_over {
                    continue;
                }
                let settled = work.is_some_and(|work| work.state.is_settled());
                if !settled {
                    turn.waiting.get_or_insert(target);
                }
                let lane = rollout.plan.targets.get(target);
                let lane = lane.map_or("", |part| part.lane.as_str());
                let lane: &mut LaneTurn<'_> = turn.lanes.entry(lane).or_default();
                if lane.canaries.len() < canaries {
                    lane.canaries.push(target);
                    if !settled {
                        lane.waiting.get_or_insert(target);
                    }
                }
            }
            turn
        };
        rollout.plan.waves.iter().map(wave).collect()
    }

    /// Number of a target's wave, from 0.
    pub(crate) fn wave_of(&self, target: &TargetId) -> Option<usize> {
        let mut waves = self.rollout.plan.waves.iter();
        waves.position(|wave| wave.contains(target))
    }

    /// Why a target of that wave and lane waits for others.
    pub(crate) fn hold(&self, target: &TargetId, wave: usize, lane: &str) -> Option<Hold> {
        let state = |target: &TargetId| self.rollout.work.get(target).map(|work| &work.state);
        let behind = |other: &TargetId, why: String| {
            let goes_on = state(other).is_some_and(|state| !state.is_terminal());
            if goes_on { in_turn(why) } else { stands(why) }
        };
        let word = |other: &TargetId| state(other).map_or("gone", TargetState::word);
        let before = self.waves().iter().take(wave).zip(1..);
        for (turn, number) in before {
            if let Some(other) = turn.waiting {
                let what = word(other);
                return behind(
                    other,
                    format!(
                        "wave {number} is not done: {other} is {what}; its end, a retry or a skip lifts it"
                    ),
                );
            }
        }
        let lane_turn = self.waves().get(wave)?.lanes.get(lane)?;
        if lane_turn.canaries.contains(&target) {
            return None;
        }
        let other = lane_turn.waiting?;
        let what = word(other);
        behind(
            other,
            format!("the canary {other} of {lane} is {what}; its end, a retry or a skip lifts it"),
        )
    }
}

/// What the limits still allow.
pub(crate) struct Budget<'a> {
    plan: &'a Plan,
    /// Under way at each site that has a limit of its own.
    at_site: BTreeMap<&'a str, u32>,
    in_flight: u32,
    most: u32,
    bad: u32,
    limit: u32,
}

impl<'a> Budget<'a> {
    pub(crate) fn of(rollout: &'a Rollout) -> Self {
        let count = |test: fn(&TargetState) -> bool| {
            u32::try_from(
                rollout
                    .work
                    .values()
                    .filter(|work| test(&work.state))
                    .count(),
            )
            .unwrap_or(u32::MAX)
        };
        let begun = rollout
            .work
            .iter()
            .filter(|(_, work)| !work.state.is_terminal() && !work.is_untouched());
        let mut at_site: BTreeMap<&str, u32> = BTreeMap::new();
        let sites = begun
            .clone()
            .filter_map(|(target, _)| rollout.plan.site_of(target));
        for (site, _) in sites {
            *at_site.entry(site).or_default() += 1;
        }
        Self {
            plan: &rollout.plan,
            at_site,
            in_flight: u32::try_from(begun.count()).unwrap_or(u32::MAX),
            most: rollout.plan.limits.in_flight,
            bad: count(TargetState::is_bad),
            limit: rollout.plan.limits.failures,
        }
    }

    pub(crate) fn take(&mut self, entering: bool, site: Option<&'a str>) {
        if entering {
            self.in_flight += 1;
            if let Some(site) = site {
                *self.at_site.entry(site).or_default() += 1;
            }
        }
    }

    /// Why nobody else enters at a site.
    pub(crate) fn at(&self, site: Option<&str>) -> Option<Hold> {
        let site = site?;
        let most = self.plan.sites.get(site)?.max_in_flight?;
        let now = self.at_site.get(site).copied().unwrap_or_default();
        if now < most {
            return None;
        }
        in_turn(format!(
            "{now} of at most {most} are under way at site {site}; an end of one lifts it"
        ))
    }

    /// Nobody else may enter: which of the limits says so is told by [`Self::hold`].
    pub(crate) const fn is_full(&self) -> bool {
        self.bad >= self.limit
            || self.bad + self.in_flight >= self.limit
            || self.in_flight >= self.most
    }

    /// A target that has begun holds its place already.
    pub(crate) fn hold(&self, entering: bool) -> Option<Hold> {
        let more = u32::from(entering);
        if self.bad >= self.limit {
            return stands(format!(
                "{} of at most {} failures have happened; a retry that succeeds, or a skip, lifts it",
                self.bad, self.limit
            ));
        }
        if entering && self.bad + self.in_flight + more > self.limit {
            return in_turn(format!(
                "{} failed and {} under way reach the failure limit of {}; an end of one lifts it",
                self.bad, self.in_flight, self.limit
            ));
        }
        if entering && self.in_flight + more > self.most {
            return in_turn(format!(
                "{} of at most {} are under way; an end of one lifts it",
                self.in_flight, self.most
            ));
        }
        None
    }
}
