//! Estates of any size, and their rollout in virtual time: the planner, the fleet machine and the agents' cores, without
//! network, store or clock.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use controller_core::facts::{Fleetwide, Known};
use controller_core::finding::Severity;
use controller_core::fleet::{Decision, Live};
use controller_core::plan::{Inputs, Plan, Purpose, plan};
use controller_core::policy::{self, Policy};
use controller_core::recipe::Artifacts;
use controller_core::record::{Order, Record};
use controller_core::topology::{Document, Topology, check, parse};
use protocol::facts::{Facts, HostFacts, ProvisioningAgentFacts, ServiceState};
use protocol::key::SigningKey;
use protocol::signed::{ArtifactKind, ArtifactRef};
use protocol::step::Product;
use protocol::{Digest, TargetId, Timestamp, Version};
use rehearsal::{Ask, ROLLOUT, World};
use serde_json::{Value, json};

const BEGIN: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const TENANT: &str = "11111111-1111-1111-1111-111111111111";
const OLD: Version = Version::new(1, 1, 1373, 0);
const NEWEST: Version = Version::new(1, 1, 2505, 0);

/// Servers of each domain.
const SERVERS: usize = 3;

/// A fleet of that many targets, three to a domain and every domain with a canary of its own: all are upgraded in place.
struct Estate {
    /// How long it took to read and check the topology, in seconds.
    read: f64,
    topology: Topology,
    policy: Policy,
    known: Fleetwide,
    artifacts: Artifacts,
}

impl Estate {
    fn of(targets: usize) -> anyhow::Result<Self> {
        let mut text = format!("[tenant.main]\nid = \"{TENANT}\"\n");
        for domain in 0..targets.div_ceil(SERVERS) {
            let hosts = (domain * SERVERS..targets.min((domain + 1) * SERVERS))
                .map(|host| format!("h{host}.d{domain}.test"))
                .collect::<Vec<_>>();
            writeln!(
                text,
                "[agents.d{domain}]\nserves = [\"d{domain}.test\"]\nhosts = {hosts:?}\n[domain.\"d{domain}.test\"]\nmin_serving = 1\nallow_outage = true"
            )?;
        }
        let written = document("topology.toml", text);
        let begun = Instant::now();
        let (topology, mut findings) = parse(&[written]);
        findings.extend(check(&topology, None));
        let read = seconds(begun);
        let (policy, said) = policy::parse(&document("policy.toml", limits(100, "")));
        findings.extend(said);
        findings.retain(|finding| finding.severity == Severity::Error);
        ensure!(findings.is_empty(), "{:?}", findings.first());
        let known = |target: TargetId| {
            let known = Known {
                facts: Some((BEGIN, facts())),
                ..Known::of(SigningKey::generate().public().fingerprint())
            };
            (target, known)
        };
        let product = Product::ProvisioningAgent;
        let setup = ArtifactRef {
            sha256: Digest::of(b"setup"),
            chunks: Digest::ZERO,
            size: 40 << 20,
            kind: ArtifactKind::Exe,
            product,
            version: NEWEST,
        };
        Ok(Self {
            read,
            known: topology.targets().into_iter().map(known).collect(),
            topology,
            policy,
            artifacts: Artifacts::from([(product, setup)]),
        })
    }

    fn plan(&self) -> Plan {
        self.plan_under(&self.policy)
    }

    fn plan_under(&self, policy: &Policy) -> Plan {
        plan(Inputs::of(
            &self.topology,
            policy,
            &self.known,
            &self.artifacts,
            Purpose::Install,
        ))
    }
}

fn document(file: &str, text: String) -> Document {
    Document {
        file: file.to_owned(),
        text,
    }
}

fn limits(in_flight: u32, more: &str) -> String {
    format!("[limit]\nin_flight = {in_flight}\nfailures = \"1000\"\ncanary = 1\n{more}\n")
}

fn facts() -> Facts {
    Facts {
        simulated: true,
        agent_version: "0".to_owned(),
        host: HostFacts {
            os: "Windows".to_owned(),
            build: 20348,
            domain: None,
            domain_controller: false,
            reboot_pending: false,
        },
        provisioning_agent: Some(ProvisioningAgentFacts {
            version: Some(OLD),
            tenant: TENANT.parse().ok(),
            service: Some(ServiceState::Running),
            account: Some("CORP\\provAgentgMSA$".to_owned()),
            options: Some(protocol::ServiceOptions::default()),
            updater: None,
            owes_registration: None,
        }),
        connect: None,
        unread: Vec::new(),
        console_open: false,
    }
}

fn seconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64()
}

/// What a target of a larger estate may cost at most beside one of 1,000, in one run on one machine: twice as much is no noise any
/// more.
const MOST_GROWTH: f64 = 2.0;

/// Figures of estates, and what of them grows beyond [`MOST_GROWTH`], a sentence each.
pub(crate) struct Growth {
    pub(crate) figures: Value,
    pub(crate) beyond: Vec<String>,
}

/// Reads, plans and carries out estates of these sizes, smallest first. The growth is what a target costs beside what it costs in the
/// smallest: 1 where the whole is linear. What grows beyond [`MOST_GROWTH`] is beside one of 1,000.
pub(crate) fn growth(sizes: &[usize]) -> anyhow::Result<Growth> {
    let (mut rows, mut beyond) = (Vec::new(), Vec::new());
    let mut least: Option<[f64; 3]> = None;
    let mut thousand: Option<[f64; 3]> = None;
    let mut least_deciding: Option<[f64; 2]> = None;
    for &targets in sizes {
        crate::say(&format!("plan and simulated rollout of {targets} targets"));
        let estate = Estate::of(targets)?;
        let begun = Instant::now();
        let plan = estate.plan();
        let planned = seconds(begun);
        let begun = Instant::now();
        let (happenings, hours) = carry_out(&plan, &estate.known)?;
        let carried = seconds(begun);
        let deciding = decision(&plan, &estate.known);
        let first_deciding = *least_deciding.get_or_insert(deciding);
        #[expect(clippy::cast_precision_loss, reason = "a count of targets")]
        let count = targets as f64;
        let each = [estate.read, planned, carried].map(|seconds| seconds * 1e6 / count);
        let first = *least.get_or_insert(each);
        crate::say(&format!(
            "read in {:.2} s, planned in {planned:.2} s, carried out in {carried:.1} s",
            estate.read
        ));
        if targets == 1_000 {
            thousand = Some(each);
        } else if let Some(thousand) = thousand {
            beyond.extend(grows_much(&thousand, targets, &each));
        }
        rows.push(json!({
            "targets": targets,
            "happenings": happenings,
            "simulated_hours": hours,
            "read": figure(estate.read, each[0], first[0]),
            "plan": figure(planned, each[1], first[1]),
            "rollout": figure(carried, each[2], first[2]),
            "decision_while_most_are_away": {
                "microseconds": deciding[0],
                "growth": deciding[0] / first_deciding[0],
                "among_all_microseconds": deciding[1],
                "among_all_growth": deciding[1] / first_deciding[1],
            },
            "rollout_while_most_are_away": most_are_away(&estate)?,
        }));
    }
    Ok(Growth {
        figures: Value::from(rows),
        beyond,
    })
}

/// Where one of so many targets costs much more than one of 1,000, to read, to plan and to carry out.
fn grows_much(smaller: &[f64; 3], targets: usize, larger: &[f64; 3]) -> Vec<String> {
    let stages = ["read", "plan", "rollout"].iter();
    let growths = stages.zip(
        smaller
            .iter()
            .zip(larger)
            .map(|(before, after)| after / before),
    );
    let much = growths.filter(|(_, growth)| *growth >= MOST_GROWTH);
    much.map(|(what, growth)| {
        format!(
            "{what}: one of {targets} targets costs {growth:.2} times what one of 1,000 does, which is to be below {MOST_GROWTH}"
        )
    })
    .collect()
}

fn figure(seconds: f64, each: f64, first: f64) -> Value {
    json!({ "seconds": seconds, "microseconds_each": each, "growth": each / first })
}

/// What a decision costs, in microseconds, while those are here who are under way, and all others could begin and are away: as it is
/// made, and by looking at all who wait.
fn decision(plan: &Plan, known: &Fleetwide) -> [f64; 2] {
    const TIMES: u32 = 20;
    let ask = Ask {
        begin: BEGIN,
        person: None,
        faults: BTreeMap::new(),
        seed: 1,
    };
    let mut fleet = World::new(plan, known, ask).fleet;
    let more = Record::Ordered {
        rollout: ROLLOUT,
        order: Order::Limits {
            in_flight: Some(1_000_000),
            failures: Some(2_000_000),
            unreachable: None,
        },
        by: "the benchmark".to_owned(),
    };
    fleet.apply(&more, None, BEGIN);
    let under_way = |target: &&TargetId| fleet.open(target).is_some();
    let live = Live {
        connected: known.keys().filter(under_way).cloned().collect(),
        began: BEGIN.minus(Duration::from_secs(3600)),
        ..Live::default()
    };
    let time = |decide: &dyn Fn() -> Vec<Decision>| {
        let begun = Instant::now();
        let decisions: usize = (0..TIMES)
            .map(|_| std::hint::black_box(decide()).len())
            .sum();
        assert_eq!(decisions, 0, "nobody who is here is pending");
        seconds(begun) * 1e6 / f64::from(TIMES)
    };
    [
        time(&|| fleet.decide(&live, BEGIN)),
        time(&|| fleet.decide_among_all(&live, BEGIN)),
    ]
}

/// Where those are who are not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Others {
    /// Here as well.
    Here,
    /// Not met since the controller began, a day ago.
    NeverCame,
    /// They left a day ago.
    Left,
}

/// Of how many happenings it is told what each has cost: as many of each estate, since one may cost more the more servers there are.
const HAPPENINGS: u32 = 1_000;

/// What a happening costs in a rollout of which one domain in ten has its servers here, beside the same rollout with all of them
/// here: in microseconds, and as a share of the latter. Each rollout goes on for [`HAPPENINGS`], or until those servers are done.
fn most_are_away(estate: &Estate) -> anyhow::Result<Value> {
    // Few enough under way that all of them are among those here.
    let (policy, _) = policy::parse(&document("policy.toml", limits(10, "unreachable = \"3d\"")));
    let plan = estate.plan_under(&policy);
    let cost = |others| part(&plan, &estate.known, others);
    let all = cost(Others::Here)?;
    let (never, left) = (cost(Others::NeverCame)?, cost(Others::Left)?);
    Ok(json!({
        "all_here_microseconds": all,
        "nine_in_ten_never_came_microseconds": never,
        "nine_in_ten_left_microseconds": left,
        "never_came_beside_all_here": never / all,
        "left_beside_all_here": left / all,
    }))
}

/// Carries a plan out for [`HAPPENINGS`], or until a tenth of it is done, and gives what each happening cost, in microseconds.
fn part(plan: &Plan, known: &Fleetwide, others: Others) -> anyhow::Result<f64> {
    let ask = Ask {
        begin: BEGIN,
        person: Some(Duration::from_secs(60)),
        faults: BTreeMap::new(),
        seed: 1,
    };
    let mut world = World::new(plan, known, ask);
    let domain = |target: &TargetId| {
        let domain = target.as_str().split_once('.');
        domain.map_or("", |(_, domain)| domain).to_owned()
    };
    // Whoever is under way is here, and with it those of its domain.
    let wanted = known.len().div_ceil(10);
    let under_way = known
        .keys()
        .filter(|target| world.fleet.open(target).is_some());
    let mut domains = BTreeSet::new();
    for target in under_way.chain(plan.waves.iter().flatten()) {
        if domains.len() * SERVERS < wanted {
            domains.insert(domain(target));
        }
    }
    let before = BEGIN.minus(Duration::from_secs(86_400));
    world.live.began = before;
    for target in known
        .keys()
        .filter(|target| !domains.contains(&domain(target)))
    {
        match others {
            Others::Here => {}
            Others::NeverCame => {
                world.live.left(target, before);
                world.live.away.remove(target);
            }
            Others::Left => world.live.left(target, before),
        }
    }
    let done = |world: &World| {
        let done = |target: &TargetId| {
            let rollout = world.fleet.rollouts().values().next();
            let work = rollout.and_then(|rollout| rollout.work.get(target));
            work.is_some_and(|work| work.state.word() == "done")
        };
        let touched = world.touched();
        touched.filter(|target| done(target)).cloned()
    };
    let mut ended = BTreeSet::new();
    let (begun, mut happenings) = (Instant::now(), 0_u32);
    let all = wanted.min(domains.len() * SERVERS);
    while happenings < HAPPENINGS && ended.len() < all {
        ensure!(world.step(), "{} of {all} are done", ended.len());
        world.log.clear();
        ended.extend(done(&world));
        happenings += 1;
    }
    Ok(seconds(begun) * 1e6 / f64::from(happenings))
}

/// Carries a plan out to its end, at which every target must be done. Gives the happenings and the virtual hours.
fn carry_out(plan: &Plan, known: &Fleetwide) -> anyhow::Result<(u64, f64)> {
    let ask = Ask {
        begin: BEGIN,
        person: Some(Duration::from_secs(60)),
        faults: BTreeMap::<TargetId, BTreeSet<_>>::new(),
        seed: 1,
    };
    let mut world = World::new(plan, known, ask);
    let mut happenings = 0;
    while !world.is_over() && world.step() {
        // What was recorded is of no more use: the world would keep all of it.
        world.log.clear();
        happenings += 1;
    }
    let rollout = world.fleet.rollouts().values().next();
    let rollout = rollout.context("nothing was applied")?;
    for (target, work) in &rollout.work {
        ensure!(
            work.state.word() == "done",
            "{target} ended as {:?}",
            work.state
        );
    }
    Ok((happenings, world.now.since(BEGIN).as_secs_f64() / 3600.0))
}
