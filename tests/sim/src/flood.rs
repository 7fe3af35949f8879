//! A fleet that comes back at once: its controller is killed and begins again, then it is stopped in order and begins again. What each
//! agent tried is counted where its datagrams leave it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent::backoff::{Attempt, Backoff};
use agent_twin::{Installed, Profile};
use anyhow::{bail, ensure};
use controller::driver;
use controller::session::Handshakes;
use protocol::{TargetId, TenantId, Timestamp};
use rehearsal::Chance;
use tokio::time::Instant;

use crate::check::{Check, Watch, with};
use crate::controller::{self as life, Controller};
use crate::estate::{NEWEST, TENANT};
use crate::network::{Line, Network};
use crate::server::Server;
use crate::system;

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// How long the controller is away.
const AWAY: Duration = Duration::from_secs(20);

/// Handshakes that this controller has under way at once: a small door for a small fleet.
const DOOR: usize = 8;

/// How long everybody may take to be back.
const PATIENCE: Duration = Duration::from_secs(600);

/// What one return of a whole fleet came to.
#[derive(Debug, serde::Serialize)]
pub(crate) struct Return {
    /// How it was told that its controller goes.
    how: &'static str,
    /// Milliseconds after the controller began until everybody was here.
    millis: u128,
    /// Connections that agents began, of all and of whoever began most of those that were told.
    dialled: usize,
    dialled_most: usize,
    /// Handshakes under way at once, at most.
    handshakes_most: usize,
    /// Places for them.
    places: usize,
    /// What the controller refused, and why.
    refused: Vec<String>,
    /// How many agents dialled first in the busiest tenth of the time over which the first pause is drawn.
    busiest: usize,
    /// Dials that came sooner than the row of pauses allows, after the end of a session or after the dial before.
    too_soon: Vec<String>,
    /// The most that the least pauses leave time for, from the end of the sessions until everybody was here.
    dialled_at_most: usize,
    /// Agents that were told: whoever missed the word finds out by itself.
    told: usize,
}

/// The least pauses after a session that ended in that way, one for each dial that a fleet may have begun in `time`.
fn least_pauses(closed: bool, time: Duration) -> Vec<Duration> {
    let mut backoff = Backoff::default();
    let mut attempt = Attempt::Stood {
        time: PATIENCE,
        closed,
    };
    let (mut pauses, mut begun) = (Vec::new(), Duration::ZERO);
    loop {
        let pause = backoff.after(attempt, 0);
        begun += pause;
        if begun > time {
            return pauses;
        }
        pauses.push(pause);
        attempt = Attempt::Failed;
    }
}

/// Tells how a fleet of that size came back, twice.
pub(crate) fn tell(seed: u64, agents: usize, folder: &Path) -> anyhow::Result<Vec<Return>> {
    system::note_panics();
    system::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()?;
    runtime.block_on(async {
        system::begin_at(NOW);
        let mut chance = Chance::new(seed);
        let mut flood = Flood::begin(&mut chance, agents, folder).await?;
        let told = vec![
            flood.comes_back(false).await?,
            flood.comes_back(true).await?,
        ];
        ensure!(!system::has_panicked(), "something panicked");
        if let Some(what) = with(&flood.watch, |check| check.broken().map(str::to_owned)) {
            bail!("{what}");
        }
        Ok(told)
    })
}

struct Flood {
    state: std::path::PathBuf,
    network: Network,
    watch: Watch,
    controller: Option<Controller>,
    servers: BTreeMap<TargetId, Server>,
    _delivering: tokio::task::JoinSet<()>,
}

impl Flood {
    async fn begin(chance: &mut Chance, agents: usize, folder: &Path) -> anyhow::Result<Self> {
        let (state, fleet) = (folder.join("controller"), folder.join("fleet"));
        std::fs::create_dir_all(&fleet)?;
        std::fs::create_dir_all(&state)?;
        let tenant: TenantId = TENANT.parse()?;
        let profile = |number: usize| -> anyhow::Result<Profile> {
            Ok(Profile {
                target: format!("h{number:04}.d0.test").parse()?,
                installed: Installed::ProvisioningAgent {
                    version: NEWEST,
                    tenant: tenant.clone(),
                },
                person: None,
                faults: std::collections::BTreeSet::new(),
            })
        };
        let profiles: Vec<Profile> = (0..agents).map(profile).collect::<anyhow::Result<_>>()?;
        let network = Network::new();
        let mut delivering = tokio::task::JoinSet::new();
        delivering.spawn(network.clone().deliver());
        let watch = Arc::new(Mutex::new(Check::new(&profiles, &fleet)));
        life::init(&state, controller::now(), None)?;
        let controller = Controller::begin(&state, &network, &watch).await?;
        let mut servers = BTreeMap::new();
        for profile in profiles {
            let host = network.host(Line::draw(chance, false), chance.number());
            let target = profile.target.clone();
            let mut server = Server::new(profile, &fleet, host);
            let join = controller.token(target.clone()).await?;
            server.join(join, &network).await?;
            server.begin(&network, &watch)?;
            servers.insert(target, server);
        }
        let flood = Self {
            state,
            network,
            watch,
            controller: Some(controller),
            servers,
            _delivering: delivering,
        };
        flood.all_are_here().await?;
        Ok(flood)
    }

    /// Waits until everybody has a session and has told all that it has.
    async fn all_are_here(&self) -> anyhow::Result<()> {
        let Some(controller) = &self.controller else {
            bail!("there is no controller");
        };
        let until = Instant::now() + PATIENCE;
        loop {
            let here = controller.hub.read(|core, _| core.live.connected.len());
            let here = here.await?;
            if here == self.servers.len() {
                return Ok(());
            }
            ensure!(
                Instant::now() < until,
                "{here} of {} came",
                self.servers.len()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn comes_back(&mut self, in_order: bool) -> anyhow::Result<Return> {
        let Some(controller) = self.controller.take() else {
            bail!("there is no controller");
        };
        let from = self.network.now();
        if in_order {
            controller.stop().await;
        } else {
            controller.kill(&self.network, Duration::ZERO).await;
        }
        tokio::time::sleep(AWAY).await;
        let door = Handshakes::of(DOOR);
        let controller =
            Controller::begin_with(&self.state, &self.network, &self.watch, door).await?;
        let handshakes = Arc::clone(&controller.handshakes);
        self.controller = Some(controller);
        let begun = Instant::now();
        self.all_are_here().await?;
        let millis = begun.elapsed().as_millis();
        let here = self.network.now();
        // Whoever is here stays here.
        tokio::time::sleep(3 * AWAY).await;
        self.all_are_here().await?;
        let mut refused = Vec::new();
        if let Some(controller) = &self.controller {
            let told = |core: &driver::Core, _| {
                let all = core.refusals.iter();
                all.map(|refused| format!("{}: {}", refused.who, refused.why))
                    .collect()
            };
            refused = controller.hub.read(told).await?;
        }
        let dialled = self.network.dialled(from);
        let mut by_host: BTreeMap<IpAddr, Vec<Duration>> = BTreeMap::new();
        for (host, at) in &dialled {
            by_host.entry(*host).or_default().push(*at);
        }
        ensure!(by_host.len() == self.servers.len(), "somebody did not dial");
        // Told is whoever had all that was sent in the least pause after the end: a word that came is not said again.
        let least = least_pauses(in_order, here - from);
        let Some(first) = least.first().copied() else {
            bail!("everybody was here before anybody may have dialled");
        };
        let missed = self.network.missed(from, from + first);
        let mut too_soon = Vec::new();
        for (host, moments) in &mut by_host {
            moments.sort_unstable();
            let mut before = from;
            for (number, (at, least)) in moments.iter().zip(&least).enumerate() {
                // Whoever missed the word has its own row, and its own beginning.
                if !missed.contains(host) && *at < before + *least {
                    too_soon.push(format!("{host}: dial {number} at {:?}", *at - from));
                }
                before = *at;
            }
        }
        let firsts: Vec<Duration> = by_host
            .values()
            .filter_map(|at| at.first().copied())
            .collect();
        let told = by_host.iter().filter(|(host, _)| !missed.contains(*host));
        Ok(Return {
            how: if in_order { "stopped" } else { "killed" },
            millis,
            dialled: dialled.len(),
            dialled_most: told.map(|(_, at)| at.len()).max().unwrap_or_default(),
            handshakes_most: handshakes.most(),
            places: DOOR,
            refused,
            // A pause is drawn between half and all of its turn.
            busiest: busiest(&firsts, first / 10),
            too_soon,
            dialled_at_most: least.len(),
            told: by_host.len() - missed.len(),
        })
    }
}

/// The most moments that lie in so much time.
fn busiest(moments: &[Duration], time: Duration) -> usize {
    let within = |from: &Duration| {
        let end = *from + time;
        let within = moments.iter().filter(|at| (*from..end).contains(*at));
        within.count()
    };
    moments.iter().map(within).max().unwrap_or_default()
}
