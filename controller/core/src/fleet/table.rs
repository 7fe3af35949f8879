//! The work of a rollout's targets, with what stands where kept at hand: it is counted when a target moves, so that a
//! decision costs what may happen just now, and not as much as there are targets.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, btree_map};
use std::ops::{Bound, Deref};
use std::time::Duration;

use protocol::signed::Phase;
use protocol::{TargetId, Timestamp};

use crate::fleet::state::{TargetState, Work};
use crate::fleet::watch;
use crate::plan::{Plan, TargetPlan};

/// A target's place in a rollout. Places have the order in which turns come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Its wave, from 0.
    pub(crate) wave: usize,
    /// Where in the wave.
    pub(crate) at: usize,
}

/// Targets that share a canary: of one lane, which has one cloud and one product, and on one build of Windows.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Peers {
    pub(crate) lane: String,
    pub(crate) build: Option<u32>,
}

impl Peers {
    /// Whose canary a target waits for.
    pub(crate) fn of(part: &TargetPlan) -> Self {
        Self {
            lane: part.lane.clone(),
            build: part.build,
        }
    }
}

/// Targets that begin under the same conditions: those of one wave that share a canary, at one place of work.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Group {
    pub(crate) wave: usize,
    pub(crate) peers: Peers,
    pub(crate) yard: Yard,
    /// Where they are, with rules or without.
    pub(crate) site: Option<String>,
}

/// Where work begins: at a site with rules, whose doors must be open for it or need not be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Yard {
    pub(crate) site: Option<String>,
    pub(crate) needs_open: bool,
}

/// What of a target does not change while a rollout goes on.
#[derive(Debug, Clone)]
struct Spot {
    place: Place,
    group: usize,
    /// Those that share its canary, see [`Order::peers`].
    kin: usize,
    reads_only: bool,
    /// The phase before which its product is watched, and for how long.
    soak: Option<(usize, Duration)>,
    /// How long what is seen to be worse then is given to pass.
    grace: Duration,
}

/// The order of a rollout, as its plan has it.
#[derive(Debug, Clone)]
struct Order {
    spots: BTreeMap<TargetId, Spot>,
    groups: Vec<Group>,
    /// Of each wave, who shares a canary, in order, and the number of them.
    peers: BTreeMap<(usize, Peers), (usize, Vec<TargetId>)>,
    waves: Vec<Vec<TargetId>>,
}

impl Order {
    fn of(plan: &Plan) -> Self {
        let mut groups: BTreeMap<Group, usize> = BTreeMap::new();
        let mut order = Self {
            spots: BTreeMap::new(),
            groups: Vec::new(),
            peers: BTreeMap::new(),
            waves: plan.waves.clone(),
        };
        for (wave, targets) in plan.waves.iter().enumerate() {
            for (at, target) in targets.iter().enumerate() {
                let part = plan.targets.get(target);
                let nobody = Peers {
                    lane: String::new(),
                    build: None,
                };
                let peers = part.map_or(nobody, Peers::of);
                let number = order.peers.len();
                let all = order.peers.entry((wave, peers.clone()));
                let (kin, all) = all.or_insert_with(|| (number, Vec::new()));
                let kin = *kin;
                all.push(target.clone());
                let yard = Yard {
                    site: plan.site_of(target).map(|(site, _)| site.to_owned()),
                    needs_open: plan.needs_open_site(target, 0),
                };
                let site = part.and_then(|part| part.site.clone());
                let group = Group {
                    wave,
                    peers,
                    yard,
                    site,
                };
                let next = groups.len();
                let group = *groups.entry(group).or_insert(next);
                let spot = Spot {
                    place: Place { wave, at },
                    group,
                    kin,
                    reads_only: part.is_some_and(TargetPlan::is_read_only),
                    soak: part.and_then(|part| {
                        let mut phases = part.phases.iter();
                        let phase = phases.position(|work| work.phase == Phase::Soak)?;
                        Some((phase, Duration::from_secs(u64::from(part.soak_seconds))))
                    }),
                    grace: part.map_or(Duration::ZERO, watch::grace),
                };
                order.spots.insert(target.clone(), spot);
            }
        }
        let mut named: Vec<(Group, usize)> = groups.into_iter().collect();
        named.sort_by_key(|(_, number)| *number);
        order.groups = named.into_iter().map(|(group, _)| group).collect();
        order
    }
}

/// What of a target's work is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    pending: bool,
    begun: bool,
    terminal: bool,
    bad: bool,
    settled: bool,
    /// As [`Work::is_passed_over`].
    passed: bool,
    in_flight: bool,
    /// As [`Work::is_unheard`].
    unheard: bool,
    /// The log tells that it is away.
    away: bool,
    soaks: Option<Timestamp>,
    /// When its product has failed while it is watched, if nothing more is told.
    fails: Option<Timestamp>,
}

impl Standing {
    fn of(work: &Work, spot: &Spot) -> Self {
        let pending = work.state == TargetState::Pending;
        let soak = spot
            .soak
            .filter(|(phase, _)| pending && *phase == work.phase);
        let passed = work.is_passed_over();
        Self {
            pending,
            begun: work.has_begun(),
            terminal: work.state.is_terminal(),
            // What becomes of it nobody knows: it counts as what may have failed.
            bad: work.state.is_bad() || passed,
            settled: work.state.is_settled(),
            passed,
            in_flight: work.is_in_flight(),
            unheard: work.is_unheard(),
            away: work.away.is_some(),
            soaks: soak.map(|(_, time)| work.since.plus(time)),
            fails: soak.and_then(|_| work.watched.fails(spot.grace)),
        }
    }

    /// As [`Work::is_untouched`].
    const fn is_untouched(&self) -> bool {
        self.pending && !self.begun
    }
}

/// What stands where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Tally {
    /// Not at their end.
    unfinished: u32,
    pending: u32,
    /// Not done, skipped or resolved, and waited for.
    unsettled: BTreeSet<Place>,
    /// Nobody waits for them any more.
    passed: BTreeSet<Place>,
    /// Away, as the log tells.
    away: BTreeSet<Place>,
    bad: u32,
    /// Tried again, while a run of theirs may yet speak.
    unheard: BTreeSet<Place>,
    in_flight: u32,
    /// In flight at each site.
    at_site: BTreeMap<String, u32>,
    /// Of those that something was offered to and that are waited for, who is not done, skipped or resolved.
    open: BTreeSet<Place>,
    /// Of those that share a canary, to whom something was offered, and who is waited for.
    begun: BTreeMap<usize, BTreeSet<Place>>,
    waiting: Waiting,
    /// When each product that is watched has been watched for long enough.
    soaking: BTreeSet<(Timestamp, Place)>,
    /// Of those that are seen to be worse meanwhile, when each has failed.
    failing: BTreeSet<(Timestamp, Place)>,
}

/// Who is pending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Waiting {
    /// They have begun, or only read: no wave and no canary is in their way. Or they hold what a limit would keep from others.
    free: BTreeSet<Place>,
    /// Not begun: by group.
    entering: BTreeMap<usize, BTreeSet<Place>>,
    /// Of each yard its groups that have somebody entering, by the place of the first.
    fronts: BTreeMap<Yard, BTreeSet<(Place, usize)>>,
}

impl Waiting {
    fn count(&mut self, group: &Group, spot: &Spot, free: bool, comes: bool) {
        if free || spot.reads_only {
            keep(&mut self.free, spot.place, comes);
            return;
        }
        let members = self.entering.entry(spot.group).or_default();
        let before = members.first().copied();
        keep(members, spot.place, comes);
        let after = members.first().copied();
        if after.is_none() {
            self.entering.remove(&spot.group);
        }
        if before != after {
            let fronts = self.fronts.entry(group.yard.clone()).or_default();
            before.map(|place| fronts.remove(&(place, spot.group)));
            after.map(|place| fronts.insert((place, spot.group)));
            if fronts.is_empty() {
                self.fronts.remove(&group.yard);
            }
        }
    }
}

impl Tally {
    fn of(order: &Order, rows: &BTreeMap<TargetId, Work>) -> Self {
        let mut tally = Self::default();
        for (target, work) in rows {
            if let Some(spot) = order.spots.get(target) {
                tally.count(order, spot, Standing::of(work, spot), true);
            }
        }
        tally
    }

    fn count(&mut self, order: &Order, spot: &Spot, standing: Standing, comes: bool) {
        let step = |count: &mut u32| *count = if comes { *count + 1 } else { *count - 1 };
        let Some(group) = order.groups.get(spot.group) else {
            return;
        };
        if !standing.terminal {
            step(&mut self.unfinished);
        }
        if !standing.settled && !standing.passed {
            keep(&mut self.unsettled, spot.place, comes);
        }
        if standing.passed {
            keep(&mut self.passed, spot.place, comes);
        }
        if standing.away {
            keep(&mut self.away, spot.place, comes);
        }
        if standing.bad {
            step(&mut self.bad);
        }
        if standing.unheard {
            keep(&mut self.unheard, spot.place, comes);
        }
        if standing.in_flight {
            step(&mut self.in_flight);
            if let Some(site) = &group.site {
                let count = self.at_site.entry(site.clone()).or_default();
                step(count);
                if *count == 0 {
                    self.at_site.remove(site);
                }
            }
        }
        if let Some(at) = standing.soaks {
            keep(&mut self.soaking, (at, spot.place), comes);
        }
        if let Some(at) = standing.fails {
            keep(&mut self.failing, (at, spot.place), comes);
        }
        if !standing.is_untouched() && !standing.passed {
            if !standing.settled {
                keep(&mut self.open, spot.place, comes);
            }
            let begun = self.begun.entry(spot.kin).or_default();
            keep(begun, spot.place, comes);
            if begun.is_empty() {
                self.begun.remove(&spot.kin);
            }
        }
        if standing.pending {
            step(&mut self.pending);
            let free = standing.begun || standing.unheard;
            self.waiting.count(group, spot, free, comes);
        }
    }
}

fn keep<T: Ord>(set: &mut BTreeSet<T>, one: T, comes: bool) {
    if comes {
        set.insert(one);
    } else {
        set.remove(&one);
    }
}

/// The work of a rollout's targets. It is read as the map that it is; whoever changes a target's work goes through
/// [`Self::change`], which keeps the counts.
#[derive(Debug, Clone)]
pub struct WorkTable {
    rows: BTreeMap<TargetId, Work>,
    order: Order,
    tally: Tally,
}

impl Deref for WorkTable {
    type Target = BTreeMap<TargetId, Work>;

    fn deref(&self) -> &Self::Target {
        &self.rows
    }
}

impl<'a> IntoIterator for &'a WorkTable {
    type Item = (&'a TargetId, &'a Work);
    type IntoIter = btree_map::Iter<'a, TargetId, Work>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter()
    }
}

impl WorkTable {
    /// Nothing of the plan was begun yet.
    pub(crate) fn of(plan: &Plan, now: Timestamp) -> Self {
        let order = Order::of(plan);
        let fresh = |target: &TargetId| (target.clone(), Work::fresh(now));
        let rows = plan.waves.iter().flatten().map(fresh).collect();
        Self {
            tally: Tally::of(&order, &rows),
            order,
            rows,
        }
    }

    /// Changes a target's work, and counts it where it is afterwards.
    pub(crate) fn change<R>(
        &mut self,
        target: &TargetId,
        act: impl FnOnce(&mut Work) -> R,
    ) -> Option<R> {
        let work = self.rows.get_mut(target)?;
        let spot = self.order.spots.get(target)?;
        let before = Standing::of(work, spot);
        let result = act(work);
        let after = Standing::of(work, spot);
        if before != after {
            self.tally.count(&self.order, spot, before, false);
            self.tally.count(&self.order, spot, after, true);
        }
        Some(result)
    }

    /// The same for every target.
    pub(crate) fn change_all(&mut self, mut act: impl FnMut(&TargetId, &mut Work)) {
        let targets: Vec<TargetId> = self.rows.keys().cloned().collect();
        for target in targets {
            self.change(&target, |work| act(&target, work));
        }
    }

    /// The counts are what counting anew gives. For tests.
    #[must_use]
    pub fn is_counted_right(&self) -> bool {
        self.tally == Tally::of(&self.order, &self.rows)
    }

    /// Somebody is not at their end.
    pub(crate) const fn is_unfinished(&self) -> bool {
        self.tally.unfinished > 0
    }

    /// Somebody may be offered something, now or later.
    pub(crate) const fn has_pending(&self) -> bool {
        self.tally.pending > 0
    }

    /// How many count against the failure limit.
    pub(crate) const fn bad(&self) -> u32 {
        self.tally.bad
    }

    /// How many are tried again while a run of theirs may yet speak.
    pub(crate) fn unheard(&self) -> u32 {
        u32::try_from(self.tally.unheard.len()).unwrap_or(u32::MAX)
    }

    /// Who these are.
    pub(crate) fn unheard_ones(&self) -> impl Iterator<Item = &TargetId> {
        let unheard = self.tally.unheard.iter();
        unheard.filter_map(|place| self.target(*place))
    }

    /// How many are under way.
    pub(crate) const fn in_flight(&self) -> u32 {
        self.tally.in_flight
    }

    /// How many are under way at each site.
    pub(crate) const fn at_site(&self) -> &BTreeMap<String, u32> {
        &self.tally.at_site
    }

    /// The next moment at which a product has been watched for long enough.
    pub(crate) fn soaks_until(&self, now: Timestamp) -> Option<Timestamp> {
        let first = Place { wave: 0, at: 0 };
        let later = self.tally.soaking.range((now, first)..);
        later.map(|(at, _)| *at).find(|at| *at > now)
    }

    /// Those whose product is seen to be worse while it is watched, by the moment at which that counts, with the time that
    /// it is given to pass.
    pub(crate) fn failing(&self) -> impl Iterator<Item = (Timestamp, &TargetId, Duration)> {
        let failing = self.tally.failing.iter();
        failing.filter_map(|(at, place)| {
            let target = self.target(*place)?;
            Some((*at, target, self.order.spots.get(target)?.grace))
        })
    }

    /// Those that something was offered to, that are not done, skipped or resolved, and that are waited for.
    pub(crate) fn begun(&self) -> impl Iterator<Item = &TargetId> {
        self.tally
            .open
            .iter()
            .filter_map(|place| self.target(*place))
    }

    /// Those that nobody waits for any more.
    pub(crate) fn passed_over(&self) -> impl Iterator<Item = &TargetId> {
        self.tally
            .passed
            .iter()
            .filter_map(|place| self.target(*place))
    }

    /// Those of whom the log tells that they are away.
    pub(crate) fn away(&self) -> impl Iterator<Item = (&TargetId, Timestamp)> {
        let away = self.tally.away.iter();
        away.filter_map(|place| {
            let target = self.target(*place)?;
            Some((target, self.rows.get(target)?.away?))
        })
    }

    /// How many of [`Self::begun`] there are.
    pub(crate) fn begun_count(&self) -> usize {
        self.tally.open.len()
    }

    /// A target's wave, from 0.
    pub(crate) fn wave_of(&self, target: &TargetId) -> Option<usize> {
        Some(self.order.spots.get(target)?.place.wave)
    }

    fn target(&self, place: Place) -> Option<&TargetId> {
        self.order.waves.get(place.wave)?.get(place.at)
    }

    /// Those of a wave that are not done, skipped or resolved, and are waited for, in order.
    pub(crate) fn unsettled(&self, wave: usize) -> impl Iterator<Item = &TargetId> {
        let (from, to) = (
            Place { wave, at: 0 },
            Place {
                wave: wave + 1,
                at: 0,
            },
        );
        let places = self.tally.unsettled.range(from..to);
        places.filter_map(|place| self.target(*place))
    }

    /// The targets of a wave that share a canary, in order.
    pub(crate) fn peers(&self, wave: usize, peers: &Peers) -> &[TargetId] {
        let all = self.order.peers.get(&(wave, peers.clone()));
        all.map_or(&[], |(_, all)| all.as_slice())
    }

    /// How many are pending.
    pub(crate) const fn pending(&self) -> u32 {
        self.tally.pending
    }

    /// Of these targets those that nothing was offered to.
    pub(crate) fn untouched<'t>(&self, of: impl Iterator<Item = &'t TargetId>) -> Near {
        let mut near = Near::default();
        for target in of {
            let work = self.rows.get(target);
            if work.is_some_and(Work::is_untouched)
                && let Some(spot) = self.order.spots.get(target)
            {
                near.places.insert(spot.place);
                near.of_kin.entry(spot.kin).or_default().insert(spot.place);
            }
        }
        near
    }

    /// Those of a wave that were offered something and are not done, skipped or resolved, in order.
    pub(crate) fn offered_in(&self, wave: usize) -> impl Iterator<Item = &TargetId> {
        let wave = Place { wave, at: 0 }..Place {
            wave: wave + 1,
            at: 0,
        };
        let open = self.tally.open.range(wave);
        open.filter_map(|place| self.target(*place))
    }

    /// The first of a wave, among whoever was offered something and does not stand `still`, and these, that is not done, skipped or
    /// resolved.
    pub(crate) fn first_unsettled(
        &self,
        wave: usize,
        near: &Near,
        still: impl Fn(&TargetId) -> bool,
    ) -> Option<&TargetId> {
        let wave = Place { wave, at: 0 }..Place {
            wave: wave + 1,
            at: 0,
        };
        let mut open = self.tally.open.range(wave.clone());
        let open = open.find(|place| !self.target(**place).is_some_and(&still));
        let near = near.places.range(wave).next();
        self.target(*open.into_iter().chain(near).min()?)
    }

    /// The first of those of a wave that share a canary, among whoever was offered something and does not stand `still`, and these.
    pub(crate) fn first_peers(
        &self,
        (wave, peers): (usize, &Peers),
        near: &Near,
        most: usize,
        still: impl Fn(&TargetId) -> bool,
    ) -> Vec<&TargetId> {
        let Some((kin, _)) = self.order.peers.get(&(wave, peers.clone())) else {
            return Vec::new();
        };
        let first = |of: &BTreeMap<usize, BTreeSet<Place>>| -> Vec<Place> {
            let all = of.get(kin).into_iter().flatten();
            let all = all.filter(|place| !self.target(**place).is_some_and(&still));
            all.take(most).copied().collect()
        };
        let mut places = first(&self.tally.begun);
        places.extend(first(&near.of_kin));
        places.sort();
        let places = places.into_iter().take(most);
        places.filter_map(|place| self.target(place)).collect()
    }

    /// Who is pending.
    pub(crate) const fn waiting(&self) -> &Waiting {
        &self.tally.waiting
    }

    /// Who of these is pending.
    pub(crate) fn waiting_among<'t>(&self, of: impl Iterator<Item = &'t TargetId>) -> Waiting {
        let mut waiting = Waiting::default();
        for target in of {
            let row = self.rows.get(target).zip(self.order.spots.get(target));
            let Some((work, spot)) = row.filter(|(work, _)| work.state == TargetState::Pending)
            else {
                continue;
            };
            if let Some(group) = self.order.groups.get(spot.group) {
                let free = work.has_begun() || work.is_unheard();
                waiting.count(group, spot, free, true);
            }
        }
        waiting
    }

    /// Whose turn may have come, in the order of turns: everybody who is bound by no limit, and those who are to begin.
    pub(crate) fn queue<'a>(&'a self, waiting: &'a Waiting) -> Queue<'a> {
        let fronts = waiting.fronts.iter();
        Queue {
            table: self,
            waiting,
            free: waiting.free.iter().copied().peekable(),
            fronts: fronts
                .map(|(yard, groups)| (yard, groups.iter().copied().peekable()))
                .collect(),
            heads: BinaryHeap::new(),
        }
    }
}

/// Targets that nothing was offered to and that somebody waits for.
#[derive(Debug, Default)]
pub(crate) struct Near {
    places: BTreeSet<Place>,
    /// The same by whom they share a canary with.
    of_kin: BTreeMap<usize, BTreeSet<Place>>,
}

/// Who of a group may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry<'a> {
    /// Nobody, and nobody of its wave: an earlier one is not done.
    NoWave,
    /// These alone: the others wait for them.
    These(Vec<&'a TargetId>),
    /// All of it.
    All,
}

/// The next member of a group that was let in, whole or for this one alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Head {
    place: Place,
    group: usize,
    whole: bool,
}

type Fronts<'a> =
    std::iter::Peekable<std::iter::Copied<std::collections::btree_set::Iter<'a, (Place, usize)>>>;

/// The turns of one moment, see [`WorkTable::queue`].
pub(crate) struct Queue<'a> {
    table: &'a WorkTable,
    waiting: &'a Waiting,
    free: std::iter::Peekable<std::iter::Copied<std::collections::btree_set::Iter<'a, Place>>>,
    fronts: Vec<(&'a Yard, Fronts<'a>)>,
    heads: BinaryHeap<Reverse<Head>>,
}

impl<'a> Queue<'a> {
    /// The next one. With `full` nobody begins. `yard` tells whether anybody begins there, and `who`, who of a
    /// group.
    pub(crate) fn next(
        &mut self,
        full: bool,
        yard: impl Fn(&Yard) -> bool,
        who: impl Fn(&Group) -> Entry<'a>,
    ) -> Option<(Place, &'a TargetId)> {
        if full {
            let place = self.free.next()?;
            return self.named(place);
        }
        self.fronts.retain(|(place, _)| yard(place));
        let groups = &self.table.order.groups;
        let still = |head: &Head| groups.get(head.group).is_some_and(|of| yard(&of.yard));
        // A yard may have filled up since its groups were let in.
        while self.heads.peek().is_some_and(|head| !still(&head.0)) {
            self.heads.pop();
        }
        self.let_in(who);
        let free = self.free.peek().copied();
        let head = self.heads.peek().map(|head| head.0.place);
        let enters = head.is_some_and(|head| free.is_none_or(|free| head < free));
        let place = if enters {
            self.enters()
        } else {
            self.free.next()
        };
        self.named(place?)
    }

    fn named(&self, place: Place) -> Option<(Place, &'a TargetId)> {
        Some((place, self.table.target(place)?))
    }

    fn enters(&mut self) -> Option<Place> {
        let Reverse(head) = self.heads.pop()?;
        if head.whole {
            let members = self.waiting.entering.get(&head.group);
            let behind = (Bound::Excluded(head.place), Bound::Unbounded);
            if let Some(next) = members.and_then(|members| members.range(behind).next()) {
                let place = *next;
                self.heads.push(Reverse(Head { place, ..head }));
            }
        }
        Some(head.place)
    }

    /// Looks at every group of which a member may come before all that is at hand.
    fn let_in(&mut self, who: impl Fn(&Group) -> Entry<'a>) {
        loop {
            let free = self.free.peek().copied();
            let head = self.heads.peek().map(|head| head.0.place);
            let at_hand = free.into_iter().chain(head).min();
            let fronts = self.fronts.iter_mut();
            let first = fronts.filter_map(|(_, fronts)| Some((*fronts.peek()?, fronts)));
            let Some(((place, group), fronts)) = first.min_by_key(|(front, _)| *front) else {
                return;
            };
            if at_hand.is_some_and(|at_hand| at_hand < place) {
                return;
            }
            fronts.next();
            let Some(of) = self.table.order.groups.get(group) else {
                continue;
            };
            let mut let_in = |place, whole| {
                self.heads.push(Reverse(Head {
                    place,
                    group,
                    whole,
                }));
            };
            match who(of) {
                Entry::All => let_in(place, true),
                Entry::These(targets) => {
                    let members = self.waiting.entering.get(&group);
                    let spots = targets
                        .iter()
                        .filter_map(|target| self.table.order.spots.get(*target));
                    spots
                        .map(|spot| spot.place)
                        .filter(|place| members.is_some_and(|all| all.contains(place)))
                        .for_each(|place| let_in(place, false));
                }
                // All that come behind are of this wave or of a later one.
                Entry::NoWave => return self.fronts.clear(),
            }
        }
    }
}
