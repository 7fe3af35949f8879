//! One seed's story: an estate joins, its plan is applied, chance disturbs it for a while, then all is mended and must come to
//! its end. Every rule is held against what is so after each event (see `check`).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{bail, ensure};
use controller_core::fleet::{Fleet, RolloutState, TargetState};
use controller_core::overrides::Rule;
use controller_core::record::Order;
use protocol::signed::ArtifactKind;
use protocol::step::Product;
use protocol::{Digest, RolloutId, TargetId, Timestamp};
use rehearsal::Chance;
use tokio::time::Instant;

use crate::check::{Check, Tamper, Watch, tamper, with};
use crate::controller::{self, Controller};
use crate::estate::{CONNECT, Estate, NEWEST};
use crate::network::{Cut, Line, Network, Traffic};
use crate::server::Server;
use crate::system;

/// The wall clock when a simulation begins.
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// Disturbances of one story: so many at most, and so many when all is done before.
const DISTURBANCES: u32 = 48;
const LEAST: u32 = 12;

/// What one story came to.
#[derive(Debug, Clone, Default, serde::Serialize, serde::Deserialize)]
pub(crate) struct Told {
    pub(crate) seconds: u64,
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) late: u64,
    pub(crate) cut: u64,
    pub(crate) partitions: u64,
    pub(crate) rebindings: u64,
    pub(crate) agents_killed: u64,
    pub(crate) controllers_killed: u64,
    /// How often each kind of order was taken.
    pub(crate) orders: BTreeMap<String, u64>,
    pub(crate) refused: u64,
    pub(crate) rollouts: u64,
    pub(crate) looks: u64,
    pub(crate) records: u64,
    pub(crate) folds: u64,
    /// How often each rule and limit was asked of the log.
    pub(crate) asked: BTreeMap<String, u64>,
    /// How often G2 and G3 were asked of the servers themselves.
    pub(crate) outages: u64,
    pub(crate) changes: u64,
    pub(crate) done: u64,
    pub(crate) targets: u64,
    pub(crate) course: String,
}

/// Tells the story of a seed, in a folder of its own.
pub(crate) fn tell(seed: u64, folder: &Path, broken: Option<Tamper>) -> anyhow::Result<Told> {
    system::note_panics();
    system::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(async {
        system::begin_at(NOW);
        let mut chance = Chance::new(seed);
        let mut story = Story::begin(&mut chance, seed, folder, broken).await?;
        let told = story.tell(&mut chance).await;
        // What was broken says more than what came of it.
        story.holds()?;
        told
    })
}

struct Story {
    state: std::path::PathBuf,
    network: Network,
    watch: Watch,
    controller: Option<Controller>,
    servers: BTreeMap<TargetId, Server>,
    topology: String,
    policy: String,
    rollouts: Vec<RolloutId>,
    /// Servers that are left for a second rollout, beside the first.
    later: BTreeSet<TargetId>,
    begun: Instant,
    /// When what is away comes back, and which lines are mended.
    back: BTreeMap<TargetId, Instant>,
    mended: BTreeMap<TargetId, Instant>,
    controller_back: Option<Instant>,
    /// Servers on which something was tried again: a change may come twice there.
    again: BTreeSet<TargetId>,
    broken: Option<Tamper>,
    told: Told,
    _delivering: tokio::task::JoinSet<()>,
}

impl Story {
    async fn begin(
        chance: &mut Chance,
        seed: u64,
        folder: &Path,
        broken: Option<Tamper>,
    ) -> anyhow::Result<Self> {
        let estate = Estate::draw(chance, seed)?;
        let (state, fleet) = (folder.join("controller"), folder.join("fleet"));
        std::fs::create_dir_all(&fleet)?;
        std::fs::create_dir_all(&state)?;
        let network = Network::new();
        let mut delivering = tokio::task::JoinSet::new();
        delivering.spawn(network.clone().deliver());
        let mut servers = BTreeMap::new();
        for profile in &estate.servers {
            let host = network.host(Line::draw(chance, false), chance.number());
            let server = Server::new(profile.clone(), &fleet, host);
            servers.insert(profile.target.clone(), server);
        }
        let watch = Arc::new(Mutex::new(Check::new(&estate.servers, &fleet)));
        // Some agents' certificates end while they are away for an hour or two.
        let life = chance.once_in(2).then_some(3 * 3600);
        controller::init(&state, ::controller::now(), life)?;
        let controller = Controller::begin(&state, &network, &watch).await?;
        for (product, kind, version) in [
            (Product::ProvisioningAgent, ArtifactKind::Exe, NEWEST),
            (Product::Connect, ArtifactKind::Msi, CONNECT),
        ] {
            let size = usize::try_from(200_000 + chance.below(2_500_000))?;
            let mut content = Chance::new(chance.number());
            let bytes: Vec<u8> = (0..size)
                .map(|_| content.number().to_le_bytes()[0])
                .collect();
            controller
                .artifact(&state, product, kind, version, &bytes)
                .await?;
        }
        for server in servers.values_mut() {
            let join = controller.token(server.target.clone()).await?;
            server.join(join, &network).await?;
            server.begin(&network, &watch)?;
        }
        let targets: BTreeSet<TargetId> = servers.keys().cloned().collect();
        let patience = Instant::now() + 10 * MINUTE;
        while controller.silent(&targets).await? > 0 {
            ensure!(Instant::now() < patience, "not everybody came to report");
            tokio::time::sleep(SECOND).await;
        }
        let Estate {
            topology, policy, ..
        } = estate;
        let (_, plan) = controller
            .plan(&topology, &policy, &BTreeSet::new())
            .await?;
        with(&watch, |check| check.begins(&plan));
        let agents = targets.iter().filter(|target| is_agent(target));
        let mut later: BTreeSet<TargetId> = agents.filter(|_| chance.once_in(3)).cloned().collect();
        let mut first: BTreeSet<TargetId> = targets.difference(&later).cloned().collect();
        if first.is_empty() {
            first = std::mem::take(&mut later);
        }
        let mut story = Self {
            state,
            network,
            watch,
            controller: Some(controller),
            servers,
            topology,
            policy,
            rollouts: Vec::new(),
            later,
            begun: Instant::now(),
            back: BTreeMap::new(),
            mended: BTreeMap::new(),
            controller_back: None,
            again: BTreeSet::new(),
            broken,
            told: Told::default(),
            _delivering: delivering,
        };
        let applied = story.apply(&first).await?;
        ensure!(applied || !story.later.is_empty(), "nothing is to be done");
        Ok(story)
    }

    /// Plans those servers as they are by now, or all where none is named, and applies that; tells whether it could be.
    async fn apply(&mut self, only: &BTreeSet<TargetId>) -> anyhow::Result<bool> {
        let Some(controller) = &self.controller else {
            return Ok(false);
        };
        let (id, plan) = controller.plan(&self.topology, &self.policy, only).await?;
        if plan.waves.is_empty() {
            return Ok(false);
        }
        with(&self.watch, |check| check.knows(id, &plan));
        let applied = controller.apply(id, &plan).await;
        self.ordered("apply", applied.is_ok());
        if let Ok(rollout) = &applied {
            self.told.rollouts += 1;
            self.rollouts.push(*rollout);
        }
        Ok(applied.is_ok())
    }

    /// Whether anything is left to be changed, planned as all is by now.
    async fn is_wanted(&self) -> anyhow::Result<BTreeSet<TargetId>> {
        let Some(controller) = &self.controller else {
            bail!("there is no controller");
        };
        let all = BTreeSet::new();
        let (_, plan) = controller.plan(&self.topology, &self.policy, &all).await?;
        let parts = plan.targets.iter();
        let wanted = parts.filter(|(_, part)| !part.is_read_only());
        Ok(wanted.map(|(target, _)| target.clone()).collect())
    }

    /// What was broken so far is told.
    fn holds(&self) -> anyhow::Result<()> {
        ensure!(!system::has_panicked(), "something panicked");
        match with(&self.watch, |check| check.broken().map(str::to_owned)) {
            Some(what) => bail!(
                "{} s after the order: {what}",
                self.begun.elapsed().as_secs()
            ),
            None => Ok(()),
        }
    }

    async fn tell(&mut self, chance: &mut Chance) -> anyhow::Result<Told> {
        // Some are disturbed in each of their steps, others have time to get over it.
        let longest = match chance.below(3) {
            0 => 8 * SECOND,
            1 => 30 * SECOND,
            _ => 90 * SECOND,
        };
        for number in 0..DISTURBANCES {
            if number >= LEAST && self.is_done() {
                break;
            }
            let pause = match chance.below(20) {
                0 => chance.between(HOUR, 3 * HOUR),
                _ => chance.between(Duration::from_millis(100), longest),
            };
            let next = Instant::now() + pause;
            while Instant::now() < next {
                let soon = self.back.values().chain(self.mended.values());
                let soon = soon.chain(&self.controller_back).min().copied();
                tokio::time::sleep_until(soon.map_or(next, |soon| soon.min(next))).await;
                self.come_back().await?;
            }
            self.disturb(chance).await?;
            self.holds()?;
        }
        self.mend(chance).await?;
        self.come_to_an_end().await?;
        let Traffic {
            delivered,
            lost,
            doubled,
            late,
            cut,
            unknown,
        } = self.network.traffic();
        let (asked, paced, outages, changes) = with(&self.watch, |check| check.asked());
        let (looks, records, folds) = with(&self.watch, |check| {
            (check.looks, check.records, check.folds)
        });
        let course: Digest = self.network.course();
        Ok(Told {
            seconds: self.begun.elapsed().as_secs(),
            delivered,
            lost: lost + unknown,
            doubled,
            late,
            cut,
            looks,
            records,
            folds,
            asked: asked
                .named()
                .into_iter()
                .chain(paced.named())
                .map(|(rule, times)| (rule.to_owned(), times))
                .collect(),
            outages,
            changes,
            course: course.to_string(),
            ..self.told.clone()
        })
    }

    /// Whoever's time has come is back.
    async fn come_back(&mut self) -> anyhow::Result<()> {
        let now = Instant::now();
        if self.controller_back.is_some_and(|at| at <= now) {
            self.controller_back = None;
            let controller = Controller::begin(&self.state, &self.network, &self.watch).await?;
            self.controller = Some(controller);
        }
        for target in due(&mut self.back, now) {
            if let Some(server) = self.servers.get_mut(&target) {
                server.begin(&self.network, &self.watch)?;
            }
        }
        for target in due(&mut self.mended, now) {
            if let Some(server) = self.servers.get(&target) {
                self.network.set_cut(server.host, Cut::None);
            }
        }
        Ok(())
    }

    async fn disturb(&mut self, chance: &mut Chance) -> anyhow::Result<()> {
        let at = usize::try_from(chance.below(self.servers.len() as u64))?;
        let target = self.servers.keys().nth(at).cloned();
        let Some(target) = target else {
            return Ok(());
        };
        let drawn = usize::try_from(chance.below(self.rollouts.len().max(1) as u64))?;
        let Some(rollout) = self.rollouts.get(drawn).copied() else {
            self.apply(&BTreeSet::new()).await?;
            return Ok(());
        };
        // Whoever is left out before it serves may hold all others of its domain for good, and rightly so (G2).
        let spared = !is_agent(&target) || with(&self.watch, |check| check.serves(&target));
        match chance.below(26) {
            0..=2 => self.kill_agent(&target, chance).await?,
            3..=4 => self.cut(&[target], chance),
            // The controller's own site is cut off.
            5 => {
                let all: Vec<TargetId> = self.servers.keys().cloned().collect();
                self.cut(&all, chance);
            }
            6..=7 => self.kill_controller(chance).await?,
            8 => {
                self.told.rebindings += 1;
                let all = chance.once_in(3);
                for server in self.servers.values() {
                    if all || server.target == target {
                        self.network.rebind(server.host);
                    }
                }
            }
            9 => {
                let bad = chance.once_in(2);
                if let Some(server) = self.servers.get(&target) {
                    self.network.set_line(server.host, Line::draw(chance, bad));
                }
            }
            10 => drop(self.order(rollout, Order::Pause).await),
            11 => drop(
                self.order(
                    rollout,
                    Order::Resume {
                        after_restore: false,
                    },
                )
                .await,
            ),
            12 => {
                let limits = Order::Limits {
                    in_flight: u32::try_from(1 + chance.below(6)).ok(),
                    failures: u32::try_from(3 + chance.below(6)).ok(),
                    unreachable: chance.once_in(2).then_some(1800),
                };
                self.order(rollout, limits).await;
            }
            13 => self.stand_still(chance.once_in(2)).await,
            14 => self.stand_still(false).await,
            15 => {
                if let Some(server) = self.servers.get(&target) {
                    server.mend()?;
                }
                self.again.insert(target.clone());
                let retry = Order::Retry {
                    target: Some(target),
                };
                self.order(rollout, retry).await;
            }
            16 if chance.once_in(4) => {
                if self.order(rollout, Order::Abort).await {
                    // What was in the middle is taken up by another plan.
                    let left = self.fleet(|fleet| {
                        let work = fleet.rollouts().get(&rollout).map(|one| one.work.iter());
                        let left = work
                            .into_iter()
                            .flatten()
                            .filter(|(_, work)| !matches!(work.state, TargetState::Done(_)));
                        left.map(|(target, _)| target.clone()).collect::<Vec<_>>()
                    });
                    self.again.extend(left);
                }
            }
            16 | 17 if spared => {
                let skip = Order::Skip {
                    target: target.clone(),
                    reason: "it is left out".to_owned(),
                };
                if self.order(rollout, skip).await {
                    self.again.insert(target);
                }
            }
            18 if spared => {
                let resolve = Order::Resolve {
                    target: target.clone(),
                    reason: "it was rebuilt".to_owned(),
                    off: false,
                };
                if self.order(rollout, resolve).await {
                    self.again.insert(target);
                }
            }
            19 => {
                if let Some(controller) = &self.controller {
                    let said = controller.overrides(Rule::G2, target.clone()).await;
                    if said {
                        with(&self.watch, |check| check.sets_aside(&target));
                    }
                    self.ordered("override G2", said);
                }
            }
            21 => {
                if let Some(controller) = &self.controller {
                    let said = controller.withdraws().await;
                    self.ordered("override withdrawn", said);
                }
            }
            22 => {
                let limit = Order::SiteLimit {
                    site: "s".to_owned(),
                    in_flight: u32::try_from(1 + chance.below(4))?,
                };
                self.order(rollout, limit).await;
            }
            23 => {
                let hours = u32::try_from(1 + chance.below(3))?;
                let until = ::controller::now().plus(HOUR * hours);
                self.freeze(&target, Some(until).filter(|_| chance.once_in(2)))?;
            }
            // Of one whose power is gone, and that was in no section, somebody says that it is off, which it stays.
            24 => {
                let off = self.back.keys().find(|target| {
                    let inside = with(&self.watch, |check| check.is_inside(target));
                    !inside && with(&self.watch, |check| check.serves(target))
                });
                if let Some(target) = off.cloned() {
                    let resolve = Order::Resolve {
                        target: target.clone(),
                        reason: "its power is gone".to_owned(),
                        off: true,
                    };
                    if self.order(rollout, resolve).await {
                        self.back.insert(target.clone(), Instant::now() + 24 * HOUR);
                        self.again.insert(target);
                    }
                }
            }
            // Another plan beside those: of the servers that were left for it, or of all, which is refused while any is at work.
            20 if !self.later.is_empty() => {
                let later = self.later.clone();
                if self.apply(&later).await? {
                    self.later.clear();
                }
            }
            _ => drop(self.apply(&BTreeSet::new()).await?),
        }
        Ok(())
    }

    /// An operator orders something, if there is a controller to order it of; tells whether it could be.
    async fn order(&mut self, rollout: RolloutId, order: Order) -> bool {
        let Some(controller) = &self.controller else {
            return false;
        };
        let kind = match &order {
            Order::Pause => "pause",
            Order::Resume { .. } => "resume",
            Order::Abort => "abort",
            Order::Retry { .. } => "retry",
            Order::Skip { .. } => "skip",
            Order::Limits { .. } => "limits",
            Order::SiteLimit { .. } => "limits --site",
            Order::AcceptDifference { .. } => "accept",
            Order::Resolve { off: true, .. } => "resolve --off",
            Order::Resolve { off: false, .. } => "resolve",
        };
        let ordered = controller.order(rollout, order).await;
        self.ordered(kind, ordered);
        ordered
    }

    /// An order was given, and was taken or refused.
    fn ordered(&mut self, kind: &str, taken: bool) {
        *self.told.orders.entry(kind.to_owned()).or_default() += u64::from(taken);
        self.told.refused += u64::from(!taken);
    }

    /// A server's administrator freezes it, or thaws it.
    fn freeze(&mut self, target: &TargetId, until: Option<Timestamp>) -> anyhow::Result<()> {
        let kind = if until.is_some() {
            "freeze of a server"
        } else {
            "thaw of a server"
        };
        if let Some(server) = self.servers.get(target) {
            let taken = server.freeze(until)?;
            self.ordered(kind, taken);
        }
        Ok(())
    }

    /// The whole fleet is made to stand still, or is let go on.
    async fn stand_still(&mut self, still: bool) {
        if let Some(controller) = &self.controller {
            let ordered = controller.stand_still(still).await;
            let kind = if still {
                "freeze of the fleet"
            } else {
                "thaw of the fleet"
            };
            self.ordered(kind, ordered);
        }
    }

    /// Somebody is away for seconds or minutes as a rule, and for hours now and then.
    fn away(chance: &mut Chance) -> Duration {
        match chance.below(8) {
            0 => chance.between(HOUR, 4 * HOUR),
            1..=3 => chance.between(MINUTE, 20 * MINUTE),
            _ => chance.between(SECOND, MINUTE),
        }
    }

    async fn kill_agent(&mut self, target: &TargetId, chance: &mut Chance) -> anyhow::Result<()> {
        let last = Duration::from_millis(chance.below(400));
        let torn = if chance.once_in(3) {
            usize::try_from(1 + chance.below(200))?
        } else {
            0
        };
        let away = Self::away(chance);
        if let Some(server) = self.servers.get_mut(target)
            && server.runs()
        {
            self.told.agents_killed += 1;
            server.kill(&self.network, last, torn).await?;
            self.back.insert(target.clone(), Instant::now() + away);
        }
        Ok(())
    }

    async fn kill_controller(&mut self, chance: &mut Chance) -> anyhow::Result<()> {
        let last = Duration::from_millis(chance.below(400));
        let away = Self::away(chance) / 4;
        if let Some(controller) = self.controller.take() {
            self.told.controllers_killed += 1;
            if chance.once_in(4) {
                controller.stop().await;
            } else {
                controller.kill(&self.network, last).await;
            }
            self.controller_back = Some(Instant::now() + away);
            if let Some(how) = self.broken.take() {
                tamper(&controller::log(&self.state), how)?;
            }
        }
        Ok(())
    }

    fn cut(&mut self, targets: &[TargetId], chance: &mut Chance) {
        self.told.partitions += 1;
        let cut = match chance.below(4) {
            0 => Cut::Up,
            1 => Cut::Down,
            _ => Cut::Both,
        };
        let until = Instant::now() + Self::away(chance);
        for target in targets {
            if let Some(server) = self.servers.get(target) {
                self.network.set_cut(server.host, cut);
                self.mended.insert(target.clone(), until);
            }
        }
    }

    /// All is mended, everybody is back, and lines are as lines are.
    async fn mend(&mut self, chance: &mut Chance) -> anyhow::Result<()> {
        if let Some(at) = &mut self.controller_back {
            *at = Instant::now();
        }
        for at in self.back.values_mut().chain(self.mended.values_mut()) {
            *at = Instant::now();
        }
        self.come_back().await?;
        if self.broken.is_some() {
            // Whatever this seed did, the log is broken once.
            self.kill_controller(chance).await?;
            self.controller_back = Some(Instant::now());
            self.come_back().await?;
        }
        let all: Vec<TargetId> = self.servers.keys().cloned().collect();
        for target in &all {
            self.freeze(target, None)?;
        }
        for server in self.servers.values() {
            server.mend()?;
            self.network
                .set_line(server.host, Line::draw(chance, false));
        }
        Ok(())
    }

    /// An operator takes care: what is under way must come to its end, and whatever was left out or aborted is planned anew until
    /// nothing is wanted any more.
    async fn come_to_an_end(&mut self) -> anyhow::Result<()> {
        for _ in 0..30 {
            let bad = self.fleet(|fleet| {
                let rollouts = fleet.rollouts().iter();
                let work =
                    rollouts.flat_map(|(id, one)| one.work.iter().map(move |work| (id, work)));
                let bad = work.filter(|(_, (_, work))| work.state.is_bad());
                bad.map(|(id, (target, _))| (*id, target.clone()))
                    .collect::<Vec<_>>()
            });
            self.again
                .extend(bad.iter().map(|(_, target)| target.clone()));
            let wanted = self.is_wanted().await?;
            for (rollout, target) in bad {
                // Another rollout has done it meanwhile: a try on the older plan's facts finds another server.
                if !wanted.contains(&target) {
                    let reason = "planned anew, nothing is wanted of it".to_owned();
                    self.order(rollout, Order::Skip { target, reason }).await;
                }
            }
            self.stand_still(false).await;
            for rollout in self.rollouts.clone() {
                self.order(
                    rollout,
                    Order::Resume {
                        after_restore: false,
                    },
                )
                .await;
                self.order(rollout, Order::Retry { target: None }).await;
            }
            let until = Instant::now() + HOUR;
            while Instant::now() < until {
                tokio::time::sleep(30 * SECOND).await;
                self.holds()?;
                if !self.is_over() {
                    continue;
                }
                if self.is_wanted().await?.is_empty() {
                    return self.end().await;
                }
                self.apply(&BTreeSet::new()).await?;
            }
        }
        bail!(
            "mended, and yet not done; still wanted: {:?}\n{}",
            self.is_wanted().await?,
            self.left()
        )
    }

    async fn end(&mut self) -> anyhow::Result<()> {
        // The last acknowledgments are under way.
        tokio::time::sleep(2 * MINUTE).await;
        with(&self.watch, |check| check.end(&self.again));
        self.holds()?;
        // The next life reads the same.
        if let Some(controller) = self.controller.take() {
            controller.stop().await;
        }
        self.controller_back = Some(Instant::now());
        self.come_back().await?;
        tokio::time::sleep(2 * MINUTE).await;
        with(&self.watch, |check| check.end(&self.again));
        let wanted = self.is_wanted().await?.len() as u64;
        self.told.targets = self.servers.len() as u64;
        self.told.done = self.told.targets - wanted;
        self.holds()
    }

    fn fleet<T>(&self, look: impl FnOnce(&Fleet) -> T) -> T {
        with(&self.watch, |check| look(check.fleet()))
    }

    /// Everything that was applied has come to its end, and nothing of it failed but what was aborted.
    fn is_over(&self) -> bool {
        self.fleet(|fleet| {
            fleet.rollouts().values().all(|rollout| {
                let aborted = rollout.state == RolloutState::Aborted;
                let bad = rollout.work.values().any(|work| work.state.is_bad());
                rollout.is_over() && (aborted || !bad)
            })
        })
    }

    fn is_done(&self) -> bool {
        self.later.is_empty() && self.is_over()
    }

    fn left(&self) -> String {
        self.fleet(|fleet| {
            let mut said = String::new();
            for (id, rollout) in fleet.rollouts() {
                for (target, work) in &rollout.work {
                    if !matches!(work.state, TargetState::Done(_)) {
                        writeln!(said, "{id} {target}: {:?}", work.state).ok();
                    }
                }
            }
            said
        })
    }
}

/// It is a server of provisioning agents, by its name.
fn is_agent(target: &TargetId) -> bool {
    target.as_str().starts_with('h')
}

/// Takes out whose moment has come.
fn due(moments: &mut BTreeMap<TargetId, Instant>, now: Instant) -> Vec<TargetId> {
    let come: Vec<TargetId> = moments
        .iter()
        .filter(|(_, at)| **at <= now)
        .map(|(target, _)| target.clone())
        .collect();
    moments.retain(|_, at| *at > now);
    come
}
