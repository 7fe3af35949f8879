//! Seeds of the simulation over the real link, each in a process of its own: what a process has from the system (clock,
//! chance, the order of unordered maps) is then the seed's alone, and a seed that fails fails again: `SIM_FROM=SEED
//! LINK_SEEDS=1 tests/run sim`, or the program itself, with `SIM_TRACE=1` for what happened.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// Seeds that are told at once.
const AT_ONCE: usize = 2;

/// Each kind of order that is drawn.
const ORDERS: [&str; 16] = [
    "abort",
    "apply",
    "freeze of a server",
    "freeze of the fleet",
    "limits",
    "limits --site",
    "override G2",
    "override withdrawn",
    "pause",
    "resolve",
    "resolve --off",
    "resume",
    "retry",
    "skip",
    "thaw of a server",
    "thaw of the fleet",
];

fn sim(arguments: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_sim");
    Command::new(program).args(arguments).output().unwrap()
}

fn told(seed: u64) -> Result<Value, String> {
    let output = sim(&[&seed.to_string()]);
    if output.status.success() {
        Ok(serde_json::from_slice(&output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

fn number(name: &str, otherwise: u64) -> u64 {
    let written = std::env::var(name).ok();
    written.map_or(otherwise, |text| text.parse().expect("a number"))
}

#[test]
fn fleets_over_the_real_link_lose_nothing_and_come_to_their_end() {
    let (from, seeds) = (number("SIM_FROM", 1), number("LINK_SEEDS", 6));
    let next = AtomicU64::new(from);
    let (all, failed) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= from + seeds {
                        return;
                    }
                    match told(seed) {
                        Ok(told) => all.lock().unwrap().push(told),
                        Err(why) => failed.lock().unwrap().push(why),
                    }
                }
            });
        }
    });
    let (all, failed) = (all.into_inner().unwrap(), failed.into_inner().unwrap());
    let sum = |name: &str| {
        all.iter()
            .filter_map(|told| told[name].as_u64())
            .sum::<u64>()
    };
    let mut asked: BTreeMap<String, u64> = BTreeMap::new();
    for of_seed in all.iter().filter_map(|told| told["asked"].as_object()) {
        for (rule, times) in of_seed {
            *asked.entry(rule.clone()).or_default() += times.as_u64().unwrap_or(0);
        }
    }
    let mut orders: BTreeMap<String, u64> = BTreeMap::new();
    for of_seed in all.iter().filter_map(|told| told["orders"].as_object()) {
        for (kind, times) in of_seed {
            *orders.entry(kind.clone()).or_default() += times.as_u64().unwrap_or(0);
        }
    }
    let named = |all: &BTreeMap<String, u64>| {
        let named = all.iter().map(|(what, times)| format!("{what} {times}"));
        named.collect::<Vec<_>>().join(", ")
    };
    println!(
        "{seeds} seeds from {from} over the real link: {} simulated hours; {} datagrams delivered, {} lost, {} doubled, {} late, {} cut off; {} partitions, {} rebindings, {} agents and {} controllers killed; {} rollouts, {} orders taken ({}) and {} refused; {} looks at disks, {} records checked, {} comparisons of log and fleet; asked of the log, how often: {}; of the servers: G2 {}, G3 {}; {} of {} targets done; {} seeds found something",
        sum("seconds") / 3600,
        sum("delivered"),
        sum("lost"),
        sum("doubled"),
        sum("late"),
        sum("cut"),
        sum("partitions"),
        sum("rebindings"),
        sum("agents_killed"),
        sum("controllers_killed"),
        sum("rollouts"),
        orders.values().sum::<u64>(),
        named(&orders),
        sum("refused"),
        sum("looks"),
        sum("records"),
        sum("folds"),
        named(&asked),
        sum("outages"),
        sum("changes"),
        sum("done"),
        sum("targets"),
        failed.len(),
    );
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    // A rule that nobody asked for shows nothing.
    for rule in ["outages", "changes"] {
        assert!(seeds < 6 || sum(rule) > 0, "{rule} was never asked");
    }
    // No site is ever closed here, no server of Connect is made the active one, no tenant is read, no version is taken back, and nothing is
    // done that cannot be undone: the cores alone are asked about those. An order is rare: few seeds have none.
    let undrawn = [
        "G1",
        "G7",
        "G10",
        "G10 of a configuration",
        "G10 of a tenant's switch",
    ];
    let never = asked
        .iter()
        .find(|(rule, times)| **times == 0 && !undrawn.contains(&rule.as_str()));
    assert!(seeds < 24 || never.is_none(), "never asked: {never:?}");
    let never = ORDERS
        .iter()
        .find(|kind| orders.get(**kind).is_none_or(|times| *times == 0));
    assert!(seeds < 100 || never.is_none(), "never taken: {never:?}");
    // Whoever an order left out is planned anew: in the end nothing is wanted of anybody.
    assert_eq!(sum("done"), sum("targets"));
}

#[test]
fn a_seed_repeats_to_the_byte_and_another_one_does_not() {
    let course = |seed| told(seed).unwrap();
    let first = course(2);
    assert_eq!(first, course(2));
    assert_ne!(first["course"], course(3)["course"]);
}

#[test]
fn a_log_that_lost_or_doubled_an_acknowledged_event_is_noticed() {
    for (how, what) in [
        ("lose", "were stored are gone"),
        ("double", "is stored twice"),
    ] {
        // Where the last entry is no event when the controller ends, what followed the event is missed first.
        let mut named = 0;
        for seed in ["1", "2", "3", "4"] {
            let output = sim(&[seed, how]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            let gone = said.contains("were stored are gone");
            assert!(
                !output.status.success() && (gone || said.contains(what)),
                "{how}: {said}"
            );
            named += u32::from(said.contains(what));
        }
        assert!(
            named > 1,
            "{how}: {named} of four seeds tell it by its name"
        );
    }
}

/// A fleet comes back by few tries, and not as one, whether it was told that its controller goes or not. More of them than may shake
/// hands at once wait their turn at the door, and everybody is in. What pauses allow is what `agent/src/backoff.rs` gives.
#[test]
fn a_fleet_that_comes_back_at_once_is_let_in_by_turns_and_nobody_is_refused() {
    const AGENTS: u64 = 100;
    let output = sim(&["5", "flood", &AGENTS.to_string()]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{AGENTS} agents come back: {}", said.trim());
    let returns: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let mut full = false;
    for told in &returns {
        let number = |name: &str| told[name].as_u64().unwrap();
        let none = |name: &str| told[name].as_array().unwrap().is_empty();
        assert!(none("refused"), "{told}");
        assert!(none("too_soon"), "{told}");
        assert!(
            number("dialled_most") <= number("dialled_at_most"),
            "{told}"
        );
        // A line loses at most fifteen of a thousand: nearly all are told.
        assert!(number("told") > AGENTS / 2, "{told}");
        let most = number("handshakes_most");
        assert!(most <= number("places"), "{told}");
        full |= most == number("places");
        // Of a tenth of the pause, three times its share at most, as the pauses' own test has it.
        assert!(number("busiest") < 3 * AGENTS / 10, "{told}");
    }
    assert!(full, "the door was never full: {said}");
}
