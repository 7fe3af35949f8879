//! Who of a tenant's Connect servers exports while a plan is carried out, who stands by, and in which stretch nobody does: what goes on
//! then and what waits (product facts 2.12, 2.13 [P]). One that is active and whose cycle is off or suspended exports no objects.

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
    /// Of those that are active or in staging mode, those whose cycle is off: its setting lies in the tenant, for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<TargetId>,
    /// Of those that are active, those whose scheduler is suspended while their cycle is on, as by an open wizard.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suspended: Vec<TargetId>,
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
        if connect.is_fenced() || connect.staging.is_none() {
            continue;
        }
        if connect.cycle_enabled == Some(false) {
            of.held.push(server.clone());
        } else if connect.suspended == Some(true) && connect.staging == Some(false) {
            of.suspended.push(server.clone());
        }
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

fn entry<'a>(plan: &'a Plan, lane: &str, now: &'a Exporting, out: &mut String) -> std::fmt::Result {
    let off = plan.off.as_ref();
    let there = |servers: &'a [TargetId]| -> BTreeSet<&'a TargetId> {
        servers.iter().filter(|one| Some(*one) != off).collect()
    };
    let mut stand = Stand {
        active: there(&now.active),
        held: there(&now.held),
        suspended: there(&now.suspended),
        sure: there(&now.untold).is_empty(),
    };
    let mut says = Vec::new();
    let exports = stand.exporting();
    if !exports.is_empty() {
        says.push(format!("{} exports", names(exports.into_iter())));
    } else if stand.active.is_empty() && stand.sure {
        says.push("nobody exports".to_owned());
    } else if stand.active.is_empty() {
        says.push(UNTOLD.to_owned());
    }
    for (servers, what) in [
        (&stand.held, "is active, and its cycle is off: objects wait"),
        (
            &stand.suspended,
            "is active, and its scheduler is suspended: objects wait",
        ),
    ] {
        let named: Vec<&TargetId> = servers.intersection(&stand.active).copied().collect();
        if !named.is_empty() {
            says.push(format!("{} {what}", names(named.into_iter())));
        }
    }
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
            let Some(line) = stretch(target, step, &mut stand) else {
                continue;
            };
            if before.as_ref() != Some(&line) {
                writeln!(out, "    {line}")?;
            }
            before = Some(line);
        }
    }
    if plan.kind == Kind::Undo {
        let others = stand.who();
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

/// How the servers of an entry stand at some moment of a plan.
struct Stand<'a> {
    active: BTreeSet<&'a TargetId>,
    /// Those whose cycle is off.
    held: BTreeSet<&'a TargetId>,
    suspended: BTreeSet<&'a TargetId>,
    /// Of every server it could be told what it is.
    sure: bool,
}

impl<'a> Stand<'a> {
    fn exporting(&self) -> Vec<&'a TargetId> {
        let active = self.active.iter().copied();
        let waits = |one: &&TargetId| self.held.contains(*one) || self.suspended.contains(*one);
        active.filter(|one| !waits(one)).collect()
    }

    /// Who goes on exporting.
    fn who(&self) -> String {
        let exporting = self.exporting();
        if !exporting.is_empty() {
            return format!("{} goes on exporting", names(exporting.into_iter()));
        }
        let what = if self.active.is_empty() {
            return if self.sure { NOBODY } else { UNTOLD }.to_owned();
        } else if self.held.is_disjoint(&self.active) {
            ("scheduler", "suspended")
        } else {
            ("cycle", "off")
        };
        let (part, is) = what;
        let names = names(self.active.iter().copied());
        format!("objects wait, since the {part} of {names} is {is}")
    }
}

/// What a step means for who exports; `stand` is how it is before it, and after it how it is then.
fn stretch<'a>(target: &'a TargetId, step: &Step, stand: &mut Stand<'a>) -> Option<String> {
    if let Step::GuideConnect(guide) = step {
        return Some(match guide.work {
            ConnectWork::InstallActive => {
                stand.active.insert(target);
                let then = match guide.release {
                    Some(_) => "then, once its cycle is released, it exports",
                    None => "then it exports",
                };
                format!("until {target} is installed {NOBODY}; {then}")
            }
            ConnectWork::InstallStaging => {
                format!("while {target} is installed, as staging: {}", stand.who())
            }
            ConnectWork::UpgradeStaging => {
                format!("while {target} is upgraded, as staging: {}", stand.who())
            }
            ConnectWork::UpgradeActive if stand.held.contains(target) => {
                format!(
                    "while {target} is upgraded objects wait as before, until whoever holds its cycle releases it"
                )
            }
            // The step ends behind the wizard, and then nothing suspends it any more.
            ConnectWork::UpgradeActive if stand.suspended.remove(target) => {
                format!(
                    "while {target} is upgraded nobody exports, since {SUSPENDED}; then it exports"
                )
            }
            ConnectWork::UpgradeActive => {
                format!(
                    "while {target} is upgraded nobody exports, since {SUSPENDED}; then it exports again"
                )
            }
            ConnectWork::SwitchToStaging => {
                stand.active.remove(target);
                if stand.active.is_empty() {
                    format!(
                        "from when {target} is in staging mode until another server is active {NOBODY}"
                    )
                } else {
                    format!("from when {target} is in staging mode: {}", stand.who())
                }
            }
            ConnectWork::SwitchToActive => {
                let first = stand.active.is_empty();
                stand.active.insert(target);
                if first && stand.held.contains(target) {
                    format!(
                        "until {target} is active {NOBODY}; from then on it is the active server, and exports once its cycle is on"
                    )
                } else if first {
                    format!("until {target} is active {NOBODY}; from then on it exports")
                } else {
                    format!("from when {target} is active: {}", stand.who())
                }
            }
        });
    }
    if matches!(step, Step::GuideConnectRemoval(_)) {
        stand.active.remove(target);
        let who = stand.who();
        return Some(format!(
            "while Connect is taken off {target}, and from then on: {who}"
        ));
    }
    if matches!(step, Step::GuideTransition(_)) {
        stand.active.remove(target);
        let rest = if stand.active.is_empty() {
            "no Connect server exports: objects, password hashes and what is written back wait until cloud sync's jobs run, which a person starts and sees"
                .to_owned()
        } else {
            stand.who()
        };
        return Some(format!("from when {target} is in staging mode: {rest}"));
    }
    matches!(step, Step::FenceConnect).then(|| {
        format!(
            "when {target} is back, it is stopped and disabled before anything else: until then it exports beside the other, as soon as it runs"
        )
    })
}
