//! Builds the plan of a change of the active Connect server.

use std::collections::BTreeMap;

use protocol::facts::ConnectFacts;
use protocol::signed::Phase;
use protocol::step::Product;
use protocol::{TargetId, Version};

use crate::active::Modes;
use crate::calendar::SiteRule;
use crate::facts;
use crate::plan::build::{
    Asked, FENCED, SAID_OFF, lanes, owners, part, strangers, switches_on, tenants,
};
use crate::plan::modes::{modes_of, the_one_active};
use crate::plan::{
    Compare, Inputs, Kind, LanePlan, Limits, Plan, TargetPlan, Wait, exporting, lane,
};
use crate::recipe::{Answer, switch};
use crate::topology::{Change, ConnectEntry, Tenant, Topology};

/// Builds the plan by which `to` becomes the active Connect server of its tenant.
///
/// # Errors
/// With the reason and what to do about it, where nothing may be planned: it is no staging server, or what the tenant's
/// servers are cannot be told (guard rails G1 and G4).
pub fn switch(inputs: Inputs<'_>, to: &TargetId) -> Result<Plan, String> {
    Ok(Swap::of(inputs, to, None)?.plan())
}

/// Builds the plan by which `to` becomes active in place of `off`, which is said to be off. When that one is back, it is
/// fenced before anything else.
///
/// # Errors
/// As [`switch`], and where `off` is no server of the same entry, or was staging when it last reported.
pub fn failover(inputs: Inputs<'_>, to: &TargetId, off: &TargetId) -> Result<Plan, String> {
    Ok(Swap::of(inputs, to, Some(off))?.plan())
}

/// A change of the active server against which nothing stands.
struct Swap<'a> {
    inputs: Inputs<'a>,
    lane: String,
    entry: &'a ConnectEntry,
    tenant: &'a Tenant,
    to: &'a TargetId,
    /// The active one, which goes to staging mode first.
    from: Option<TargetId>,
    /// The one that was active, and is said to be off.
    off: Option<&'a TargetId>,
    /// What all others of the entry are.
    modes: Modes,
    version: Version,
    /// The version that is verified before it becomes active.
    at_least: Version,
}

/// What refuses a change.
impl<'a> Swap<'a> {
    fn of(inputs: Inputs<'a>, to: &'a TargetId, off: Option<&'a TargetId>) -> Result<Self, String> {
        let (name, entry, tenant) = entry_of(inputs.topology, to)?;
        if let Some(off) = off {
            may_be_replaced(inputs, (name, entry), to, off)?;
        }
        if let Some(stranger) = strangers(inputs.beyond, entry, &tenant.id, inputs.known)
            .into_iter()
            .next()
        {
            return Err(stranger);
        }
        if inputs.beyond.said_off.contains(to) {
            return Err(format!(
                "{to} was said to be off and was not seen since: it cannot become active; its agent's next session lifts it"
            ));
        }
        let modes = modes_of(inputs, entry, off)?;
        match modes.get(to) {
            None => return Err(format!("no Connect is on {to}; entrain plan installs it")),
            Some(Some(false)) => {
                return Err(format!("{to} is active already: nothing is to be changed"));
            }
            Some(_) => {}
        }
        if is_fenced(inputs, to) {
            return Err(format!(
                "ADSync is stopped and disabled on {to}: it was fenced, and cannot become active"
            ));
        }
        let from = the_one_active(&modes)?.cloned();
        if let (Some(from), Some(_)) = (&from, off) {
            return Err(format!("{from} is active: entrain swap {to} is the way"));
        }
        let version = connect(inputs, to)
            .and_then(|connect| connect.version)
            .ok_or_else(|| format!("the version of Connect on {to} cannot be read (G4)"))?;
        let wanted = wanted(inputs);
        // Where nobody synchronizes, a newer version is brought afterwards; a floor or a recall holds it all the same (G6).
        if version < wanted && off.is_none() {
            return Err(format!(
                "{to} has Connect {version}, and {wanted} is wanted: it is upgraded before it becomes active (G4): entrain plan does it, or entrain swing {to} does both"
            ));
        }
        Ok(Self {
            inputs,
            lane: lane::of_entry(name),
            entry,
            tenant,
            to,
            from,
            off,
            modes,
            version,
            at_least: wanted.min(version),
        })
    }
}

/// Whether a server may be said to be off, so that another one becomes active in its place.
fn may_be_replaced(
    inputs: Inputs<'_>,
    (name, entry): (&str, &ConnectEntry),
    to: &TargetId,
    off: &TargetId,
) -> Result<(), String> {
    if !entry.members().any(|server| server == off) {
        return Err(format!("{off} is no server of [connect.{name}]"));
    }
    if connect(inputs, off).is_some_and(|connect| connect.mode() == Some(true)) {
        return Err(format!(
            "{off} was staging when it last reported: it is not the one that is replaced; entrain swap {to}"
        ));
    }
    Ok(())
}

/// The version that the topology wants, or else that of the newest installer.
fn wanted(inputs: Inputs<'_>) -> Version {
    let newest = inputs.artifacts.get(&Product::Connect);
    let wanted = inputs.topology.wanted.connect;
    wanted
        .or(newest.map(|newest| newest.version))
        .unwrap_or(Version::new(0, 0, 0, 0))
}

fn connect<'a>(inputs: Inputs<'a>, server: &TargetId) -> Option<&'a ConnectFacts> {
    inputs.reported(server)?.connect.as_ref()
}

fn is_fenced(inputs: Inputs<'_>, server: &TargetId) -> bool {
    connect(inputs, server).is_some_and(ConnectFacts::is_fenced)
}

/// What is said of a change.
impl Swap<'_> {
    fn warnings(&self) -> Vec<String> {
        let (to, version, wanted) = (self.to, self.version, wanted(self.inputs));
        let mut warnings = Vec::new();
        if version < wanted {
            warnings.push(format!(
                "{to} has Connect {version}, and {wanted} is wanted: it becomes active as it is, since nobody else is; entrain plan upgrades it afterwards (G4)"
            ));
        }
        if let Some(moved) = self.inputs.beyond.moved.get(&self.tenant.id) {
            warnings.push(format!(
                "rollout {} has moved the tenant to cloud sync: stop its jobs in the admin center before {to} is active, since an object must be in scope of one tool alone (G7)",
                moved.rollout
            ));
        }
        if let Some(off) = self.off.filter(|off| !self.inputs.known.contains_key(*off)) {
            warnings.push(format!(
                "{off} is not enrolled: nothing stops it when it is back, so take Connect off it first"
            ));
        }
        warnings
    }

    /// Why `to` becomes active, and what it waits for.
    fn why(&self, others: &[TargetId]) -> Vec<String> {
        let there = format!("Connect {} is there (staging)", self.version);
        let mut why = vec![counted(self.entry, &there)];
        if let (None, [_, ..]) = (&self.from, others) {
            why.push("its settings are compared with what others told last, and with nothing where they never did: then a person compares exported settings (G4)".to_owned());
        }
        why.push(match (&self.from, self.off) {
            (Some(from), _) => format!(
                "it waits until {from} is seen in staging mode (G1); should it then not be fit, `entrain swap {from}` makes that one active again"
            ),
            (None, Some(off)) => format!(
                "{off} was active and is said to be off: whoever applies this says so by name, and it is in the log"
            ),
            (None, None) => {
                "no server of the tenant is active: nothing is synchronized".to_owned()
            }
        });
        why
    }

    /// What the person at the wizard is told that was done before.
    fn before(&self, others: &[TargetId]) -> switch::Before {
        let to = self.to;
        let none = match (&self.from, self.off) {
            (Some(from), _) => format!("{from} was seen in staging mode before this was asked for"),
            (None, Some(off)) => {
                format!("make sure that {off} is off and stays off until this is done")
            }
            (None, None) => format!("no server of tenant {} is active", self.tenant.id),
        };
        let compared = match &self.from {
            Some(from) => format!(
                "what this server and {from} told of rules, filters and settings was equal, or somebody has approved the difference: entrain diff {from} {to}"
            ),
            None if others.is_empty() => {
                "no other server is there whose rules, filters and settings could be compared"
                    .to_owned()
            }
            None => {
                let names: Vec<&str> = others.iter().map(TargetId::as_str).collect();
                format!(
                    "rules, filters and settings were compared with what {} told last, as entrain diff shows it; where nothing was told they were not compared: compare the exported settings",
                    names.join(", ")
                )
            }
        };
        switch::Before {
            none,
            compared,
            after_another: self.from.is_some(),
        }
    }
}

/// What is done on whom, and in which order.
impl Swap<'_> {
    /// Those with whose settings are compared: who is read now, or else whoever told of itself before.
    fn others(&self) -> Vec<TargetId> {
        match (&self.from, self.off) {
            (Some(other), _) | (None, Some(other)) => vec![other.clone()],
            (None, None) => {
                let has_connect =
                    |server: &&TargetId| *server != self.to && self.modes.contains_key(*server);
                self.entry.members().filter(has_connect).cloned().collect()
            }
        }
    }

    fn compares(&self, others: &[TargetId]) -> Vec<Compare> {
        let compares = |target: &TargetId, other: &TargetId| Compare {
            target: target.clone(),
            phase: Phase::Register,
            place: None,
            other: other.clone(),
            last: self.from.is_none(),
        };
        let to = others.iter().map(|other| compares(self.to, other));
        let from = self.from.iter().map(|from| compares(from, self.to));
        to.chain(from).collect()
    }

    fn waits(&self) -> Vec<Wait> {
        let (Some(from), to) = (&self.from, self.to) else {
            return Vec::new();
        };
        let wait = |(target, phase): (&TargetId, Phase), (other, done), why: String| Wait {
            target: target.clone(),
            phase,
            place: None,
            other: TargetId::clone(other),
            done,
            until: None,
            why,
        };
        let counted = format!("what {to} would export is not counted yet (G4)");
        let mut waits = vec![wait((from, Phase::Register), (to, Phase::Prepare), counted)];
        for phase in [Phase::Inspect, Phase::Register] {
            let staging = format!("{from} is not seen in staging mode yet (G1)");
            waits.push(wait((to, phase), (from, Phase::Register), staging));
        }
        waits
    }

    fn answer(&self, phases: Vec<crate::recipe::PhaseWork>, why: Vec<String>) -> Answer {
        Answer::Do {
            phases,
            why,
            people: switch::bring(self.tenant),
        }
    }

    fn part(&self, server: &TargetId, answer: Answer) -> TargetPlan {
        let known = self.inputs.known.get(server);
        let (tenant, lane) = (self.tenant.id.clone(), self.lane.clone());
        part(tenant, known, lane, Vec::new(), answer)
    }

    /// A server that is to be off: whatever it is by then, it is stopped, and nobody brings anything for that.
    fn fence(&self, server: &TargetId, why: &str) -> TargetPlan {
        let answer = self.answer(vec![switch::is_fenced()], vec![why.to_owned()]);
        TargetPlan {
            essence: None,
            people: Vec::new(),
            ..self.part(server, answer)
        }
    }

    /// The server that goes: to staging mode, or behind a fence when it is back.
    fn of_the_one_before(&self) -> Option<(TargetId, TargetPlan)> {
        let to = self.to;
        if let Some(from) = &self.from {
            let staging = switch::becomes_staging(self.tenant, from, to);
            let because = format!(
                "it is the tenant's active server: a person puts it into staging mode, once what {to} would export is counted and within the limits, and the settings of both are equal or their difference is approved (G4)"
            );
            let answer = self.answer(staging, vec![because]);
            return Some((from.clone(), self.part(from, answer)));
        }
        let off = self.off?;
        let part = if self.inputs.known.contains_key(off) {
            self.fence(
                off,
                "when it is back, its service is stopped and disabled: until then it may export, and an abort of this rollout takes this away",
            )
        } else {
            self.part(off, Answer::Nothing("it is not enrolled".to_owned()))
        };
        Some((off.clone(), part))
    }

    /// Any other server of the entry.
    fn of_another(&self, server: &TargetId) -> TargetPlan {
        let is_off = self.inputs.beyond.said_off.contains(server);
        let has_connect = connect(self.inputs, server).is_some();
        match self.off {
            // The failover by which that one was fenced ends with this one, which ends whatever makes another server active.
            Some(_) if is_off && has_connect => self.fence(
                server,
                "it was said to be off before: when it is back, its service is stopped and disabled",
            ),
            _ if is_off => TargetPlan {
                essence: None,
                ..self.part(server, Answer::Nothing(SAID_OFF.to_owned()))
            },
            _ => {
                let fenced = is_fenced(self.inputs, server);
                self.part(server, stays(fenced, self.modes.contains_key(server)))
            }
        }
    }

    /// Who does what, and those with work in the order in which it is begun. Who is only looked at waits for no site.
    fn targets(&self, others: &[TargetId]) -> (BTreeMap<TargetId, TargetPlan>, Vec<TargetId>) {
        let (entry, tenant, to) = (self.entry, self.tenant, self.to);
        let before = self.before(others);
        let phases = switch::becomes_active(entry, tenant, to, &before, self.at_least);
        let part = self.part(to, self.answer(phases, self.why(others)));
        let mut own = vec![(to.clone(), part)];
        own.extend(self.of_the_one_before());
        for (_, part) in &mut own {
            part.site = entry.site.as_ref().map(|site| site.value.clone());
        }
        let (mut targets, mut order) = (BTreeMap::new(), Vec::new());
        let rest = entry
            .members()
            .filter(|one| *one != to && self.from.as_ref() != Some(*one) && self.off != Some(*one));
        let rest = rest.map(|server| (server.clone(), self.of_another(server)));
        for (server, part) in own.into_iter().chain(rest) {
            if !part.left_out {
                order.push(server.clone());
            }
            targets.insert(server, part);
        }
        (targets, order)
    }

    /// When each site may be changed: an emergency waits for no window, and the two are under way at once, each waits for the other's
    /// phases, and who is only looked at holds neither.
    fn sites(&self) -> BTreeMap<String, SiteRule> {
        let sites = match self.off {
            Some(_) => BTreeMap::new(),
            None => self.inputs.policy.site_rules(self.inputs.topology),
        };
        let together = |(site, rule)| {
            let rule = SiteRule {
                max_in_flight: None,
                ..rule
            };
            (site, rule)
        };
        sites.into_iter().map(together).collect()
    }

    fn plan(&self) -> Plan {
        let (inputs, entry, tenant) = (self.inputs, self.entry, self.tenant);
        let (topology, policy) = (inputs.topology, inputs.policy);
        let others = self.others();
        let (mut targets, order) = self.targets(&others);
        // Each fence is offered when its server comes, before or after any other.
        let changed = targets.values().filter(|part| !part.is_read_only());
        let all = u32::try_from(changed.count()).unwrap_or(u32::MAX);
        let asked = match self.off {
            Some(_) => Asked::Emergency(&tenant.id),
            None => Asked::One(&tenant.id),
        };
        let tenants = tenants(inputs, &mut targets, asked);
        let irreversible = switches_on(topology, inputs.beyond, entry, &targets);
        let lanes: BTreeMap<String, LanePlan> = lanes(topology)
            .into_iter()
            .filter(|(name, _)| *name == self.lane)
            .collect();
        let exports = exporting::now(inputs, &lanes);
        Plan {
            format: 1,
            kind: Kind::Switch,
            topology: topology.digest,
            policy: policy.digest,
            facts: facts::digest(inputs.known, entry.members().cloned()),
            lanes,
            waves: vec![order],
            domains: BTreeMap::new(),
            limits: Limits {
                in_flight: all,
                // Nothing of it starts more at once, and no failure of one holds back the fence of another.
                failures: all.saturating_mul(2).saturating_add(1),
                canary: all,
                unreachable: None,
            },
            need: policy.need,
            change_required: tenant.change == Change::Required,
            targets,
            alarms: Vec::new(),
            warnings: self.warnings(),
            irreversible: irreversible.into_iter().collect(),
            waits: self.waits(),
            compares: self.compares(&others),
            off: self.off.cloned(),
            sites: self.sites(),
            tenants,
            owners: owners(topology),
            readiness: BTreeMap::new(),
            exports,
        }
    }
}

/// What becomes of a server that is staging, as `there` says of it.
pub(super) fn counted(entry: &ConnectEntry, there: &str) -> String {
    let limits = entry.pending_exports.limits;
    format!(
        "{there}: a person takes it out of staging mode; pending exports are counted before, at most {} to add, {} to update and {} to delete (G4)",
        limits.add, limits.update, limits.delete
    )
}

/// The entry that has a server, with its name and its tenant.
///
/// # Errors
/// Where none has it, or its tenant is not described.
pub(super) fn entry_of<'a>(
    topology: &'a Topology,
    server: &TargetId,
) -> Result<(&'a String, &'a ConnectEntry, &'a Tenant), String> {
    let mut entries = topology.connect.iter();
    let entry = entries.find(|(_, entry)| serves(entry, server));
    let (name, entry) = entry.ok_or_else(|| {
        format!("{server} is no server of a [connect.…] entry of this topology; name one that is")
    })?;
    let tenant = topology
        .tenants
        .get(&entry.tenant.value)
        .ok_or_else(|| format!("tenant {} is not described", entry.tenant.value))?;
    Ok((name, entry, tenant))
}

/// What a server does whose entry changes its active one without it.
pub(super) fn stays(is_fenced: bool, has_connect: bool) -> Answer {
    if is_fenced {
        Answer::Nothing(FENCED.to_owned())
    } else if has_connect {
        Answer::Do {
            phases: vec![switch::stays_staging()],
            why: vec!["verified to be staging; nothing is changed".to_owned()],
            people: Vec::new(),
        }
    } else {
        Answer::Nothing("no Connect is on it".to_owned())
    }
}

fn serves(entry: &ConnectEntry, server: &TargetId) -> bool {
    entry.servers.iter().any(|(one, _)| one == server)
}
