//! The plan in words.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use protocol::step::{Product, Step};
use protocol::{DomainName, TenantId};

use crate::plan::{Kind, Plan, TargetPlan};
use crate::recipe::{PhaseWork, download};

/// The plan as an operator reads it.
#[must_use]
pub fn render(plan: &Plan) -> String {
    let mut text = String::new();
    write(plan, &mut text).expect("writing to a String cannot fail");
    text
}

fn write(plan: &Plan, out: &mut String) -> std::fmt::Result {
    let what = match plan.kind {
        Kind::Install => "bring about what the topology says",
        Kind::Verify => "verify, change nothing",
        Kind::Preflight => "ask whether each server is ready, change nothing",
        Kind::Discover => "ask each domain's directory for servers, change nothing",
        Kind::Support => "collect logs for whoever supports the products, change nothing",
        Kind::Switch => "make another Connect server the active one",
        Kind::Swing => {
            "bring a staging Connect server to the wanted version, make it the active one, then see to the one before"
        }
        Kind::Agents => "upgrade Entrain's own agents; the products are not touched",
        Kind::Eligibility => {
            "ask whether active Connect servers may move to cloud sync, change nothing"
        }
        Kind::Transition => "move a tenant from Connect to cloud sync",
    };
    let with_work: usize = plan.waves.iter().map(Vec::len).sum();
    writeln!(out, "plan {}: {what}", plan.id().0.short())?;
    let tenants: BTreeSet<_> = plan.targets.values().map(|part| &part.tenant).collect();
    writeln!(
        out,
        "  {} targets, {with_work} with work, {} tenants, {} domains",
        plan.targets.len(),
        tenants.len(),
        plan.domains.len()
    )?;
    let steps = || {
        plan.targets
            .values()
            .flat_map(|part| &part.phases)
            .flat_map(|phase| &phase.steps)
    };
    let all = steps().count();
    let people = steps().filter(|step| step.needs_person()).count();
    writeln!(
        out,
        "  {all} steps: {} automatic, {people} with a person",
        all - people
    )?;
    let reads = plan.targets.values().all(TargetPlan::is_read_only);
    if plan.kind == Kind::Install && reads {
        writeln!(
            out,
            "  nothing is changed: no limit, canary or wave holds what only reads"
        )?;
    } else if plan.kind == Kind::Switch && plan.off.is_some() {
        writeln!(out, "  who is off is waited for by nobody")?;
    } else if plan.kind == Kind::Switch {
        writeln!(
            out,
            "  one after the other, as stands below; a failure of either holds the other"
        )?;
    } else if plan.kind == Kind::Swing {
        writeln!(
            out,
            "  one after the other, as stands below; a failure of either holds the other, and its retry goes on from there"
        )?;
    } else if matches!(plan.kind, Kind::Install | Kind::Agents) {
        let limits = &plan.limits;
        let (at_once, from) = if limits.failures < limits.in_flight {
            (limits.failures, "the failure limit")
        } else {
            (limits.in_flight, "in_flight")
        };
        writeln!(
            out,
            "  at most {at_once} at once (from {from}); nothing more starts at {} failures",
            limits.failures
        )?;
        let done = match plan.kind {
            Kind::Install => format!("; a target is done at grade \"{}\"", plan.need.as_str()),
            Kind::Agents
            | Kind::Verify
            | Kind::Preflight
            | Kind::Discover
            | Kind::Support
            | Kind::Switch
            | Kind::Swing
            | Kind::Eligibility
            | Kind::Transition => String::new(),
        };
        writeln!(
            out,
            "  {} first in each group, and on each build of Windows in it{done}",
            limits.canary
        )?;
    }
    for (name, rule) in &plan.sites {
        let mut says = Vec::new();
        if let Some(window) = &rule.window {
            says.push(format!("begins {window}, {}", rule.zone));
        }
        if !rule.freeze.is_empty() {
            let dates: Vec<String> = rule.freeze.iter().map(ToString::to_string).collect();
            says.push(format!("not on {}", dates.join(", ")));
        }
        if let Some(most) = rule.max_in_flight {
            says.push(format!("at most {most} at once"));
        }
        writeln!(out, "  site {name}: {}", says.join("; "))?;
    }
    if let Some(off) = &plan.off {
        writeln!(
            out,
            "  {off} is off: whoever knows that it is says so (entrain apply {} --off {off})",
            plan.id().0.short()
        )?;
    }
    for alarm in &plan.alarms {
        writeln!(out, "  ALARM {alarm}")?;
    }
    for warning in &plan.warnings {
        writeln!(out, "  WARNING {warning}")?;
    }
    if !plan.irreversible.is_empty() {
        writeln!(out, "\ncannot be undone (G10)")?;
        for act in &plan.irreversible {
            writeln!(out, "  {act}")?;
        }
    }
    lanes(plan, out)?;
    if plan.kind == Kind::Swing {
        order(plan, out)?;
    }
    for (number, wave) in plan.waves.iter().enumerate() {
        writeln!(out, "\nwave {}", number + 1)?;
        let mut before: Option<&TargetPlan> = None;
        for target in wave {
            let Some(part) = plan.targets.get(target) else {
                continue;
            };
            if let Some(before) = before.filter(|before| !alike(before, part)) {
                work(plan, before, out)?;
            }
            writeln!(out, "  {target}  ({})", part.lane)?;
            before = Some(part);
        }
        if let Some(last) = before {
            work(plan, last, out)?;
        }
    }
    let left_out: Vec<_> = plan
        .targets
        .iter()
        .filter(|(_, part)| part.left_out)
        .collect();
    if !left_out.is_empty() {
        writeln!(out, "\nnothing happens on")?;
        for (target, part) in left_out {
            writeln!(out, "  {target}: {}", part.why.join("; "))?;
        }
    }
    installers(plan, out)?;
    if !plan.domains.is_empty() && plan.kind == Kind::Install {
        writeln!(out, "\nserving meanwhile")?;
        for (domain, part) in &plan.domains {
            let leaving = match part.leaving.len() {
                0 => String::new(),
                many => format!(", {many} more until they go"),
            };
            writeln!(
                out,
                "  {domain}: at least {} of {} agents{leaving}",
                part.min_serving,
                part.servers.len()
            )?;
        }
    }
    let bring: BTreeSet<_> = plan
        .targets
        .values()
        .flat_map(|part| &part.people)
        .collect();
    if !bring.is_empty() {
        writeln!(out, "\npeople bring")?;
        for line in bring {
            writeln!(out, "  {line}")?;
        }
    }
    Ok(())
}

/// How a person brings an installer that is missing.
fn installers(plan: &Plan, out: &mut String) -> std::fmt::Result {
    for product in [Product::ProvisioningAgent, Product::Connect] {
        let missing = download::missing(product);
        let lacks = |part: &TargetPlan| part.why.iter().any(|why| why == missing);
        if !plan.targets.values().any(lacks) {
            continue;
        }
        let task = download::task(product);
        writeln!(out, "\n{}", task.title)?;
        for page in &task.pages {
            writeln!(out, "  [{}] {}", page.title, page.lines.join("; "))?;
        }
        writeln!(out, "  ends when: {}", task.seen_by)?;
    }
    Ok(())
}

/// What happens, and why, is said once for servers that follow each other and get the same.
fn alike(one: &TargetPlan, other: &TargetPlan) -> bool {
    let titles = |part: &TargetPlan| -> Vec<_> {
        let phases = part.phases.iter();
        phases
            .map(|work| {
                let steps = work.steps.iter();
                (work.phase, steps.map(Step::title).collect::<Vec<_>>())
            })
            .collect()
    };
    one.lane == other.lane && one.why == other.why && titles(one) == titles(other)
}

fn work(plan: &Plan, part: &TargetPlan, out: &mut String) -> std::fmt::Result {
    // Those of a swing go from one server to the other, and stand above in their order.
    let phases = part.phases.iter().filter(|_| plan.kind != Kind::Swing);
    for phase in phases {
        writeln!(out, "    {:<8} {}", phase.phase.as_str(), titles(phase))?;
    }
    for why in &part.why {
        writeln!(out, "    because  {why}")?;
    }
    Ok(())
}

fn titles(phase: &PhaseWork) -> String {
    let titles: Vec<&str> = phase.steps.iter().map(Step::title).collect();
    titles.join(", ")
}

/// Phase by phase as they follow each other over the servers, with who is needed.
fn order(plan: &Plan, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\nin this order")?;
    let names = plan.waves.iter().flatten().map(|name| name.as_str().len());
    let width = names.max().unwrap_or_default();
    for (number, (target, place)) in (1..).zip(plan.in_order()) {
        let part = plan.targets.get(target);
        let Some(phase) = part.and_then(|part| part.phases.get(place)) else {
            continue;
        };
        let person = phase.steps.iter().any(Step::needs_person);
        let person = if person { "  (a person)" } else { "" };
        writeln!(
            out,
            "  {number:>2}  {:<width$}  {:<8} {}{person}",
            target.as_str(),
            phase.phase.as_str(),
            titles(phase)
        )?;
    }
    Ok(())
}

/// Which tenants there are, and what their groups and Connect entries are for.
fn lanes(plan: &Plan, out: &mut String) -> std::fmt::Result {
    let tenants: BTreeSet<(&str, &TenantId, &str)> = plan
        .lanes
        .values()
        .map(|lane| (lane.tenant_name.as_str(), &lane.tenant, lane.cloud.as_str()))
        .collect();
    for (name, id, cloud) in tenants {
        writeln!(out, "\ntenant {name}  {id} ({cloud})")?;
        for said in plan.tenants.get(id).into_iter().flat_map(|part| &part.said) {
            writeln!(out, "  {said}")?;
        }
        for (lane, of) in plan.lanes.iter().filter(|(_, of)| of.tenant == *id) {
            let members: Vec<&TargetPlan> = plan
                .targets
                .values()
                .filter(|part| part.lane == *lane)
                .collect();
            let servers = match members.len() {
                1 => "1 server".to_owned(),
                many => format!("{many} servers"),
            };
            if lane.starts_with("connect.") {
                let forests: Vec<&str> = of.covers.iter().map(DomainName::as_str).collect();
                writeln!(out, "  {lane}: {servers} over {}", forests.join(", "))?;
            } else {
                writeln!(out, "  {lane}: {servers} for {}", kinship(&of.covers))?;
            }
        }
    }
    Ok(())
}

/// Domains by name; a child is shown as one of its parent, where that is served as well.
fn kinship(domains: &[DomainName]) -> String {
    let words = domains.iter().map(|domain| {
        let parents = domains
            .iter()
            .filter(|other| *other != domain && domain.is_within(other));
        let nearest = parents.max_by_key(|parent| parent.as_str().len());
        nearest.map_or_else(
            || domain.to_string(),
            |parent| format!("{domain} (a child of {parent})"),
        )
    });
    words.collect::<Vec<_>>().join(", ")
}
