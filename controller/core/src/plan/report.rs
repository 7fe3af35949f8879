//! The plan in words.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::plan::{Kind, Plan, TargetPlan};

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
    } else if plan.kind == Kind::Install {
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
        writeln!(
            out,
            "  {} first in each group; a target is done at grade \"{}\"",
            limits.canary,
            plan.need.as_str()
        )?;
    }
    for alarm in &plan.alarms {
        writeln!(out, "  ALARM {alarm}")?;
    }
    for warning in &plan.warnings {
        writeln!(out, "  WARNING {warning}")?;
    }
    for (number, wave) in plan.waves.iter().enumerate() {
        writeln!(out, "\nwave {}", number + 1)?;
        for target in wave {
            let Some(part) = plan.targets.get(target) else {
                continue;
            };
            writeln!(out, "  {target}  ({})", part.lane)?;
            for phase in &part.phases {
                let titles: Vec<&str> = phase
                    .steps
                    .iter()
                    .map(protocol::step::Step::title)
                    .collect();
                writeln!(out, "    {:<8} {}", phase.phase.as_str(), titles.join(", "))?;
            }
            for why in &part.why {
                writeln!(out, "    because  {why}")?;
            }
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
    if !plan.domains.is_empty() && plan.kind == Kind::Install {
        writeln!(out, "\nserving meanwhile")?;
        for (domain, part) in &plan.domains {
            writeln!(
                out,
                "  {domain}: at least {} of {} agents",
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
