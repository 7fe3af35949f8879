//! What a controller knows just now of the servers that a plan is about: who is away, who is frozen, what stands in the way.

use std::collections::{BTreeMap, BTreeSet};

use controller_core::fleet::{Fleet, Live, Rollout};
use controller_core::plan::Plan;
use protocol::{TargetId, Timestamp};

/// How many are named; the others are counted.
const NAMED: usize = 5;

/// How the servers of a plan stand when it is rehearsed. Nothing of it is the default: everybody is here, nobody is frozen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stands {
    /// Who is away: it stays away.
    pub away: BTreeSet<TargetId>,
    /// Until when their administrators want nothing done to servers.
    pub frozen: BTreeMap<TargetId, Timestamp>,
    /// What is known besides and not carried out on models, a sentence each.
    pub beside: Vec<String>,
}

impl Stands {
    /// What is known at the moment `now`.
    #[must_use]
    pub fn of(plan: &Plan, fleet: &Fleet, live: &Live, now: Timestamp) -> Self {
        let worked_on = |target: &&TargetId| {
            let part = plan.targets.get(*target);
            part.is_some_and(|part| !part.phases.is_empty())
        };
        let named = || plan.waves.iter().flatten().filter(worked_on);
        let away = named().filter(|target| !live.connected.contains(*target));
        let frozen = named().filter_map(|target| {
            let until = fleet.freeze_of(target)?.until;
            (now < until).then(|| (target.clone(), until))
        });
        let mut beside = Vec::new();
        if let Some(order) = fleet.stopped() {
            beside.push(format!(
                "{} has frozen the whole fleet ({}): nothing begins before `entrain thaw --all`",
                order.by, order.why
            ));
        }
        if let Some((rollout, target)) = fleet.works_on(plan) {
            beside.push(format!(
                "{rollout} changes {target} and is not over there: `apply` refuses this plan until then"
            ));
        }
        let others = fleet.rollouts().iter().filter(|(_, one)| !one.is_over());
        beside.extend(others.map(|(id, one)| running(&id.to_string(), one)));
        for tenant in plan.tenants.keys() {
            let blocking = fleet.tenant_findings(tenant);
            let blocking = blocking.iter().filter(|finding| finding.blocks());
            beside.extend(blocking.map(|finding| {
                format!(
                    "tenant {tenant}, as it was last read: {} {}: {}",
                    finding.id, finding.what, finding.read
                )
            }));
        }
        Self {
            away: away.cloned().collect(),
            frozen: frozen.collect(),
            beside,
        }
    }

    /// The sentence that says what was taken for granted of it.
    pub(crate) fn assumed(&self) -> String {
        let names = |all: &mut dyn Iterator<Item = String>| {
            let all: Vec<String> = all.collect();
            let more = all.len().saturating_sub(NAMED);
            let named = all.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
            match more {
                0 => named,
                more => format!("{named} and {more} more"),
            }
        };
        let away = match self.away.len() {
            0 => "everybody is here".to_owned(),
            _ => format!(
                "everybody is here but those who are away now, and stay away: {}",
                names(&mut self.away.iter().map(ToString::to_string))
            ),
        };
        let frozen = match self.frozen.len() {
            0 => "nobody is frozen".to_owned(),
            _ => {
                let mut until = self.frozen.iter();
                let mut until = until
                    .by_ref()
                    .map(|(one, until)| format!("{one} until {until}"));
                format!("frozen: {}", names(&mut until))
            }
        };
        format!("{away}; {frozen}")
    }
}

fn running(id: &str, rollout: &Rollout) -> String {
    let under_way = rollout.work.values();
    let under_way = under_way.filter(|work| !work.state.is_terminal() && !work.is_untouched());
    format!(
        "{id} runs beside it ({} servers under way) and is not rehearsed: what it has out or changes holds others meanwhile (G2, G3)",
        under_way.count()
    )
}
