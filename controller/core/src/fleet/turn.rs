//! Whose turn it is within a rollout: waves and canaries, and what the limits still allow. Made once for a decision; what
//! nobody asks about is not looked at.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use protocol::{RolloutId, TargetId, Timestamp};

use crate::fleet::hold::{Cause, Hold, because};
use crate::fleet::live::{Live, UNREACHABLE_AFTER};
use crate::fleet::site::{self, Elsewhere};
use crate::fleet::state::{Fleet, Rollout, TargetState, Work};
use crate::fleet::table::{Entry, Near, Peers, Waiting};
use crate::plan::{Plan, TargetPlan};

/// Of each site, and of the rollout as a whole, the first of those that hold its places and what holds it, where none goes on by itself.
type Blocked = BTreeMap<Option<String>, Option<(TargetId, Hold)>>;

/// The order of a rollout at one moment.
pub(crate) struct Turn<'a> {
    rollout: &'a Rollout,
    /// Who is frozen, and who is in a section.
    fleet: &'a Fleet,
    live: &'a Live,
    now: Timestamp,
    /// Of each wave the first whose end the next one waits for: made when somebody asks.
    waits: RefCell<BTreeMap<usize, Option<&'a TargetId>>>,
    /// Of each wave, and of those in it that share a canary, the canaries: made when somebody asks.
    peers: RefCell<BTreeMap<(usize, Peers), Rc<PeersTurn<'a>>>>,
    /// How those are found whose turn may have come.
    walk: Walk,
    /// Of those that nothing was offered to, whoever is waited for, where they are few: made when somebody asks.
    near: OnceCell<Option<Near>>,
    /// What holds those that others wait for: made when somebody asks.
    stuck: RefCell<BTreeMap<&'a TargetId, Option<Hold>>>,
    /// Where none of those that hold places goes on by itself, the first of them and what holds it; by site, and over all: made when
    /// somebody asks.
    blocked: RefCell<Blocked>,
    /// Why nothing begins at each site that is closed.
    closed: OnceCell<BTreeMap<&'a str, String>>,
}

/// Two ways to the same: which is the shorter depends on who is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Walk {
    /// Among those who are here, where they are fewer than those who wait.
    Shorter,
    /// Among all who wait.
    All,
}

struct PeersTurn<'a> {
    canaries: Vec<&'a TargetId>,
    /// The first canary whose end the others wait for.
    waiting: Option<&'a TargetId>,
}

impl<'a> Turn<'a> {
    /// A wave waits for those before it, and within it each lane for its canary, one for each build of Windows. Nobody waits for a target that was offered
    /// nothing yet and cannot be reached, nor for one that is away for longer than the rollout waits, nor for one that its
    /// administrator has frozen, unless it is in a section: it has its turn, or goes on, when it comes.
    pub(crate) const fn of(
        fleet: &'a Fleet,
        rollout: &'a Rollout,
        at: (&'a Live, Timestamp),
    ) -> Self {
        Self::by(Walk::Shorter, fleet, rollout, at)
    }

    /// The same, found in that way.
    pub(crate) const fn by(
        walk: Walk,
        fleet: &'a Fleet,
        rollout: &'a Rollout,
        (live, now): (&'a Live, Timestamp),
    ) -> Self {
        Self {
            walk,
            near: OnceCell::new(),
            rollout,
            fleet,
            live,
            now,
            waits: RefCell::new(BTreeMap::new()),
            peers: RefCell::new(BTreeMap::new()),
            stuck: RefCell::new(BTreeMap::new()),
            blocked: RefCell::new(BTreeMap::new()),
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
        because(Cause::SiteClosed, format!("site {site}: {why}"))
    }

    /// Its administrator has frozen it: its next phase is not offered, and what is under way on it begins no further step. A
    /// section that it is in it brings to its end first. Or its server is not what the plan took it to be.
    fn stands_still(&self, target: &TargetId) -> bool {
        let work = self.rollout.work.get(target);
        let part = self.rollout.plan.targets.get(target);
        let phase = part.zip(work);
        let phase = phase.and_then(|(part, work)| part.phases.get(work.phase));
        let changes = phase.is_some_and(|phase| !phase.is_read_only());
        if changes && work.is_some_and(Work::wants_a_new_plan) {
            return true;
        }
        let (live, now) = (self.live, self.now);
        let frozen = self.fleet.freeze_in_force(target, live, now).is_some();
        frozen && {
            work.is_some_and(|work| !work.state.is_terminal())
                && !self.fleet.may_be_in_a_section(target, now)
        }
    }

    /// Of those that hold places at a site, or at all, the first, where none goes on by itself; `look` finds that.
    pub(crate) fn blocked(
        &self,
        site: Option<&str>,
        look: impl FnOnce() -> Option<(TargetId, Hold)>,
    ) -> Option<(TargetId, Hold)> {
        let site = site.map(str::to_owned);
        if let Some(known) = self.blocked.borrow().get(&site) {
            return known.clone();
        }
        let found = look();
        self.blocked.borrow_mut().insert(site, found.clone());
        found
    }

    /// Nothing was offered to it and it cannot be reached, or it is away for longer than the rollout waits, or it stands still: nobody
    /// waits for it.
    fn is_passed_over(&self, target: &TargetId) -> bool {
        let work = self.rollout.work.get(target);
        let from = || self.live.unreachable_from(target);
        self.stands_still(target)
            || work.is_some_and(Work::is_passed_over)
            || work.is_some_and(Work::is_untouched) && from().is_some_and(|from| self.now >= from)
    }

    /// Who of those that are here is pending, where they are fewer than all who are: nobody else can be offered anything.
    pub(crate) fn waiting_here(&self) -> Option<Waiting> {
        let (work, here) = (&self.rollout.work, &self.live.connected);
        let few = here.len() < work.pending() as usize && self.walk == Walk::Shorter;
        few.then(|| work.waiting_among(here.iter()))
    }

    /// Of those that nothing was offered to, whoever is not passed over: all who are here, or were until just now. `None` where
    /// they are no fewer than all who wait, or may be any.
    fn near(&self) -> Option<&Near> {
        let near = self.near.get_or_init(|| {
            let (work, live) = (&self.rollout.work, self.live);
            // Those that were never here count as here for a while.
            if self.walk == Walk::All || self.now < live.began.plus(UNREACHABLE_AFTER) {
                return None;
            }
            let left = live.away.within(UNREACHABLE_AFTER, self.now);
            let left: Vec<&TargetId> = left.collect();
            let few = live.connected.len() + left.len() < work.pending() as usize;
            let near = live.connected.iter().chain(left);
            few.then(|| work.untouched(near.filter(|target| !self.stands_still(target))))
        });
        near.as_ref()
    }

    /// The first of the waves before that one whose end it waits for, with its wave.
    fn first_before(&self, wave: usize) -> Option<(usize, &'a TargetId)> {
        (0..wave).find_map(|before| {
            let mut waits = self.waits.borrow_mut();
            let waiting = *waits.entry(before).or_insert_with(|| match self.near() {
                Some(near) => {
                    let still = |target: &TargetId| self.stands_still(target);
                    self.rollout.work.first_unsettled(before, near, still)
                }
                None => {
                    let mut left = self.rollout.work.unsettled(before);
                    left.find(|target| !self.is_passed_over(target))
                }
            });
            Some((before, waiting?))
        })
    }

    fn peers(&self, wave: usize, peers: &Peers) -> Rc<PeersTurn<'a>> {
        let mut turns = self.peers.borrow_mut();
        let turn = turns.entry((wave, peers.clone())).or_insert_with(|| {
            let rollout = self.rollout;
            let canaries = usize::try_from(rollout.plan.limits.canary).unwrap_or(usize::MAX);
            let canaries: Vec<&TargetId> = match self.near() {
                Some(near) => {
                    let still = |target: &TargetId| self.stands_still(target);
                    let among = (wave, peers);
                    rollout.work.first_peers(among, near, canaries, still)
                }
                None => {
                    let members = rollout.work.peers(wave, peers).iter();
                    let members = members.filter(|target| !self.is_passed_over(target));
                    members.take(canaries).collect()
                }
            };
            let settled = |target: &TargetId| {
                let work = rollout.work.get(target);
                work.is_some_and(|work| work.state.is_settled())
            };
            let waiting = canaries.iter().copied().find(|target| !settled(target));
            Rc::new(PeersTurn { canaries, waiting })
        });
        Rc::clone(turn)
    }

    /// Who of a wave, of those that share a canary, may begin.
    pub(crate) fn entry(&self, wave: usize, peers: &Peers) -> Entry<'a> {
        if self.first_before(wave).is_some() {
            return Entry::NoWave;
        }
        let turn = self.peers(wave, peers);
        match turn.waiting {
            Some(_) => Entry::These(turn.canaries.clone()),
            None => Entry::All,
        }
    }

    /// The first that a target of that wave waits for.
    pub(crate) fn waits(
        &self,
        target: &TargetId,
        wave: usize,
        part: &TargetPlan,
    ) -> Option<&'a TargetId> {
        if let Some((_, other)) = self.first_before(wave) {
            return Some(other);
        }
        let turn = self.peers(wave, &Peers::of(part));
        turn.waiting.filter(|_| !turn.canaries.contains(&target))
    }

    /// All that a target of that wave and those kin waits for, of whoever was offered something: the first of the waves before that is
    /// not over, or else its canaries.
    pub(crate) fn waited_for(&self, wave: usize, peers: &Peers) -> Vec<&'a TargetId> {
        let waited_for = |target: &&TargetId| !self.is_passed_over(target);
        if let Some((before, _)) = self.first_before(wave) {
            let open = self.rollout.work.offered_in(before);
            return open.filter(waited_for).collect();
        }
        let settled = |target: &TargetId| {
            let work = self.rollout.work.get(target);
            work.is_none_or(|work| work.state.is_settled())
        };
        let turn = self.peers(wave, peers);
        let canaries = turn.canaries.iter().copied();
        canaries.filter(|target| !settled(target)).collect()
    }

    /// Why a target of that wave waits for others; `stuck` tells what holds one of these.
    pub(crate) fn hold(
        &self,
        target: &TargetId,
        wave: usize,
        part: &TargetPlan,
        stuck: impl Fn(&'a TargetId) -> Option<Hold>,
    ) -> Option<Hold> {
        let stuck = |other: &'a TargetId| {
            if let Some(known) = self.stuck.borrow().get(other) {
                return known.clone();
            }
            let hold = stuck(other);
            self.stuck.borrow_mut().insert(other, hold.clone());
            hold
        };
        let state = |target: &TargetId| self.rollout.work.get(target).map(|work| &work.state);
        let goes_on = |other: &TargetId| state(other).is_some_and(|state| !state.is_terminal());
        let word = |other: &TargetId| state(other).map_or("gone", TargetState::word);
        if let Some((before, other)) = self.first_before(wave) {
            let (number, what) = (before + 1, word(other));
            if let Some(its) = stuck(other) {
                let what = format!("wave {number} is not done: {other}");
                return Some(Hold::behind(Cause::WaveHeld, other, its, &what));
            }
            let cause = if goes_on(other) {
                Cause::WaveGoesOn
            } else {
                Cause::WaveStopped
            };
            return because(
                cause,
                format!(
                    "wave {number} is not done: {other} is {what}; its end, a retry or a skip lifts it"
                ),
            );
        }
        let peers = Peers::of(part);
        let turn = self.peers(wave, &peers);
        if turn.canaries.contains(&target) {
            return None;
        }
        let other = turn.waiting?;
        let what = word(other);
        let windows = peers
            .build
            .map_or_else(String::new, |build| format!(" on Windows build {build}"));
        if let Some(its) = stuck(other) {
            let what = format!("the canary {other} of {}{windows}", part.lane);
            return Some(Hold::behind(Cause::CanaryHeld, other, its, &what));
        }
        let cause = if goes_on(other) {
            Cause::CanaryGoesOn
        } else {
            Cause::CanaryStopped
        };
        because(
            cause,
            format!(
                "the canary {other} of {}{windows} is {what}; its end, a retry or a skip lifts it",
                part.lane
            ),
        )
    }
}

/// What the limits still allow.
pub(crate) struct Budget<'a> {
    plan: &'a Plan,
    /// Under way at each site that has a limit of its own, in whatever rollout.
    at_site: BTreeMap<&'a str, u32>,
    /// How many of these are other rollouts'.
    elsewhere: Elsewhere,
    /// Who has got a place at each of these sites since.
    began: BTreeMap<&'a str, u32>,
    in_flight: u32,
    most: u32,
    bad: u32,
    /// Tried again, while a run of theirs may yet speak.
    unheard: u32,
    limit: u32,
}

impl<'a> Budget<'a> {
    pub(crate) fn of(rollout: &'a Rollout, elsewhere: Elsewhere) -> Self {
        let own = rollout.work.at_site();
        let limited = rollout.plan.sites.iter();
        let limited = limited.filter(|(_, rule)| rule.max_in_flight.is_some());
        let at_site = limited.map(|(site, _)| {
            let others = elsewhere.get(site).map_or(0, |others| others.count);
            (
                site.as_str(),
                own.get(site).copied().unwrap_or_default() + others,
            )
        });
        Self {
            plan: &rollout.plan,
            at_site: at_site.collect(),
            elsewhere,
            began: BTreeMap::new(),
            in_flight: rollout.work.in_flight(),
            most: rollout.plan.limits.in_flight,
            bad: rollout.work.bad(),
            unheard: rollout.work.unheard(),
            limit: rollout.plan.limits.failures,
        }
    }

    pub(crate) fn take(&mut self, work: &Work, site: Option<&'a str>) {
        if !work.holds_a_place() {
            self.unheard -= u32::from(work.is_unheard()).min(self.unheard);
            self.in_flight += 1;
            if let Some(site) = site {
                *self.at_site.entry(site).or_default() += 1;
                *self.began.entry(site).or_default() += 1;
            }
        }
    }

    /// Whoever has got a place at a site here is elsewhere for the rollouts behind.
    pub(crate) fn leave_to(self, id: RolloutId, others: &mut Elsewhere) {
        for (site, count) in self.began {
            site::add(others, site, count, id);
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
        let others = self.elsewhere.get(site);
        let others = others.map_or_else(String::new, |others| format!(" ({others})"));
        because(
            Cause::SiteFull,
            format!(
                "{now} of at most {most} are under way at site {site}{others}; an end of one lifts it"
            ),
        )
    }

    /// Nobody else may enter: which of the limits says so is told by [`Self::hold`].
    pub(crate) const fn is_full(&self) -> bool {
        self.bad >= self.limit
            || self.bad + self.in_flight + self.unheard >= self.limit
            || self.in_flight >= self.most
    }

    /// A target that has begun holds its place already, and one whose run before may yet speak, that among the failures that may be.
    pub(crate) fn hold(&self, work: &Work, entering: bool) -> Option<Hold> {
        let more = u32::from(entering);
        let unheard = self.unheard - u32::from(work.is_unheard()).min(self.unheard);
        if self.bad >= self.limit {
            return because(
                Cause::FailureLimit,
                format!(
                    "{} of at most {} failures have happened; a retry that succeeds, or a skip, lifts it",
                    self.bad, self.limit
                ),
            );
        }
        if entering && self.bad + self.in_flight + unheard + more > self.limit {
            let yet = match unheard {
                0 => String::new(),
                unheard => {
                    format!(" and {unheard} whose run before the retry may yet speak")
                }
            };
            return because(
                Cause::MayYetFail,
                format!(
                    "{} failed and {} under way{yet} reach the failure limit of {}; an end of one lifts it",
                    self.bad, self.in_flight, self.limit
                ),
            );
        }
        if entering && self.in_flight + more > self.most {
            return because(
                Cause::InFlight,
                format!(
                    "{} of at most {} are under way; an end of one lifts it",
                    self.in_flight, self.most
                ),
            );
        }
        None
    }
}
