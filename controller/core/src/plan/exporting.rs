//! Who of a tenant's Connect servers exports while a plan is carried out, who stands by, and in which stretch nobody does: what goes on
//! then and what waits (product facts 2.12, 2.13 [P]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use protocol::TargetId;
use protocol::step::{ConnectWork, Product, Step};
use serde::{Deserialize, Serialize};

use crate::plan::{Inputs, Kind, LanePlan, Plan, lane};
use crate::topology::ConnectEntry;

/// What the servers of a Connect entry were when the plan was made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exporting {
    /// Those that are active.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub active: Vec<TargetId>,
    /// Those in staging mode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub staging: Vec<TargetId>,
    /// Those that are stopped and disabled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fenced: Vec<TargetId>,
    /// Those of which it could not be told, or that have never reported.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untold: Vec<TargetId>,
    /// Those that were said to be off, and were not seen since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub off: Vec<TargetId>,
}

/// What the Connect entries among these lanes were, by lane.
pub(super) fn now(
    inputs: Inputs<'_>,
    lanes: &BTreeMap<String, LanePlan>,
) -> BTreeMap<String, Exporting> {
    let entries = inputs.topology.connect.iter();
    let named = entries.map(|(name, entry)| (lane::of_entry(name), entry));
    let own = named.filter(|(lane, _)| lanes.contains_key(lane));
    own.map(|(lane, entry)| (lane, of(inputs, entry))).collect()
}

fn of(inputs: Inputs<'_>, entry: &ConnectEntry) -> Exporting {
    let mut of = Exporting::default();
    for server in entry.members() {
        if inputs.beyond.said_off.contains(server) {
            of.off.push(server.clone());
            continue;
        }
        let facts = inputs
            .known
            .get(server)
            .and_then(|known| known.facts.as_ref());
        let Some((_, facts)) = facts else {
            if !entry.gone.contains(server) {
                of.untold.push(server.clone());
            }
            continue;
        };
        let Some(connect) = &facts.connect else {
            continue;
        };
        let place = match connect.staging {
            _ if connect.is_fenced() => &mut of.fenced,
            Some(false) => &mut of.active,
            Some(true) => &mut of.staging,
            None => &mut of.untold,
        };
        place.push(server.clone());
    }
    of
}

/// What a staging server, and nobody who is active, means.
const NOBODY: &str = "nobody exports: neither objects nor password hashes are synchronized, and nothing is written back";

/// What is said where some server could not be told.
const UNTOLD: &str = "nobody is known to export";

/// What an upgrade of the active server means.
const SUSPENDED: &str =
    "its scheduler is suspended: objects wait, password hashes go on being synchronized";

/// The section of a plan's report.
pub(super) fn write(plan: &Plan, out: &mut String) -> std::fmt::Result {
    let mut text = String::new();
    for lane in plan
        .lanes
        .keys()
        .filter(|lane| lane::is_of(lane, Product::Connect))
    {
        let own = |target: &TargetId| {
            let part = plan.targets.get(target);
            part.is_some_and(|part| part.lane == *lane && !part.is_read_only())
        };
        if !plan.targets.keys().any(own) {
            continue;
        }
        // A plan of an earlier release does not say it, and nothing is supposed.
        if let Some(now) = plan.exports.get(lane) {
            entry(plan, lane, now, &mut text)?;
        }
    }
    if !text.is_empty() {
        write!(out, "\nexporting meanwhile\n{text}")?;
    }
    Ok(())
}

fn entry(plan: &Plan, lane: &str, now: &Exporting, out: &mut String) -> std::fmt::Result {
    let off = plan.off.as_ref();
    let mut active: BTreeSet<&TargetId> =
        now.active.iter().filter(|one| Some(*one) != off).collect();
    let mut untold = now.untold.iter().filter(|one| Some(*one) != off);
    let sure = untold.next().is_none();
    let mut says = vec![if active.is_empty() && sure {
        "nobody exports".to_owned()
    } else if active.is_empty() {
        UNTOLD.to_owned()
    } else {
        format!("{} exports", names(active.iter().copied()))
    }];
    if let Some(off) = off {
        says.push(format!("{off} is off"));
    }
    for (servers, what) in [
        (&now.staging, "stands by in staging mode"),
        (&now.fenced, "is stopped and disabled"),
        (&now.untold, "cannot be told"),
        (&now.off, "was said to be off before"),
    ] {
        let named: Vec<&TargetId> = servers.iter().filter(|one| Some(*one) != off).collect();
        if !named.is_empty() {
            says.push(format!("{} {what}", names(named.into_iter())));
        }
    }
    writeln!(out, "  {lane}: now {}", says.join("; "))?;
    let mut before: Option<String> = None;
    for (target, place) in plan.in_order() {
        let part = plan.targets.get(target).filter(|part| part.lane == *lane);
        let Some(work) = part.and_then(|part| part.phases.get(place)) else {
            continue;
        };
        for step in &work.steps {
            let Some(line) = stretch(target, step, sure, &mut active) else {
                continue;
            };
            if before.as_ref() != Some(&line) {
                writeln!(out, "    {line}")?;
            }
            before = Some(line);
        }
    }
    if plan.kind == Kind::Undo {
        let others = who(&active, sure);
        writeln!(
            out,
            "    while what was set is put back, no mode is changed: {others}"
        )?;
    }
    Ok(())
}

fn names<'a>(all: impl Iterator<Item = &'a TargetId>) -> String {
    all.map(TargetId::as_str).collect::<Vec<_>>().join(", ")
}

/// Who goes on exporting.
fn who(active: &BTreeSet<&TargetId>, sure: bool) -> String {
    if active.is_empty() && sure {
        NOBODY.to_owned()
    } else if active.is_empty() {
        UNTOLD.to_owned()
    } else {
        format!("{} goes on exporting", names(active.iter().copied()))
    }
}

/// What a step means for who exports; `active` is who does before it, and after it who does then.
fn stretch<'a>(
    target: &'a TargetId,
    step: &Step,
    sure: bool,
    active: &mut BTreeSet<&'a TargetId>,
) -> Option<String> {
    if let Step::GuideConnect(guide) = step {
        return Some(match guide.work {
            ConnectWork::InstallActive => {
                active.insert(target);
                format!("until {target} is installed {NOBODY}; then it exports")
            }
            ConnectWork::InstallStaging => {
                format!(
                    "while {target} is installed, as staging: {}",
                    who(active, sure)
                )
            }
            ConnectWork::UpgradeStaging => {
                format!(
                    "while {target} is upgraded, as staging: {}",
                    who(active, sure)
                )
            }
            ConnectWork::UpgradeActive => {
                format!(
                    "while {target} is upgraded nobody exports, since {SUSPENDED}; then it exports again"
                )
            }
            ConnectWork::SwitchToStaging => {
                active.remove(target);
                if active.is_empty() {
                    format!(
                        "from when {target} is in staging mode until another server is active {NOBODY}"
                    )
                } else {
                    format!(
                        "from when {target} is in staging mode: {}",
                        who(active, sure)
                    )
                }
            }
            ConnectWork::SwitchToActive => {
                let first = active.is_empty();
                active.insert(target);
                if first {
                    format!("until {target} is active {NOBODY}; from then on it exports")
                } else {
                    format!("from when {target} is active: {}", who(active, sure))
                }
            }
        });
    }
    if matches!(step, Step::GuideConnectRemoval(_)) {
        active.remove(target);
        let who = who(active, sure);
        return Some(format!(
            "while Connect is taken off {target}, and from then on: {who}"
        ));
    }
    if matches!(step, Step::GuideTransition(_)) {
        active.remove(target);
        let rest = if active.is_empty() {
            "no Connect server exports: objects, password hashes and what is written back wait until cloud sync's jobs run, which a person starts and sees"
                .to_owned()
        } else {
            who(active, sure)
        };
        return Some(format!("from when {target} is in staging mode: {rest}"));
    }
    matches!(step, Step::FenceConnect).then(|| {
        format!(
            "when {target} is back, it is stopped and disabled before anything else: until then it exports beside the other, as soon as it runs"
        )
    })
}
