//! The plan in words.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use protocol::signed::Phase;
use protocol::step::{Product, RestartBy, Step};
use protocol::{DomainName, TargetId, TenantId};

use crate::plan::timetable::{TOKEN_LIFE, about};
use crate::plan::{Brings, DomainPlan, Kind, Plan, TargetPlan, exporting, lane, timetable};
use crate::policy;
use crate::readiness::{Named, Standing};
use crate::recipe::{PhaseWork, download};
use crate::taken::{Taken, depends_on_the_server};
use crate::words::few;

/// The plan as an operator reads it, where nothing has run yet.
#[must_use]
pub fn render(plan: &Plan) -> String {
    render_by(plan, Taken::NOTHING)
}

/// The plan as an operator reads it, with what its steps have taken before. That is no part of the plan: its bytes are the same
/// after the next run.
#[must_use]
pub fn render_by(plan: &Plan, taken: &Taken) -> String {
    let mut text = String::new();
    write(plan, taken, &mut text).expect("writing to a String cannot fail");
    text
}

fn write(plan: &Plan, taken: &Taken, out: &mut String) -> std::fmt::Result {
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
        Kind::Undo => {
            "put back what Entrain has set of prerequisites; the products are not touched"
        }
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
    if plan.is_empty() {
        writeln!(
            out,
            "  there is nothing to apply: no server has work, and why stands below"
        )?;
    } else if plan.kind == Kind::Install && reads {
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
            | Kind::Undo
            | Kind::Transition => String::new(),
        };
        writeln!(
            out,
            "  {} first in each group, and on each build of Windows in it{done}",
            limits.canary
        )?;
        if let Some(deadline) = limits.deadline() {
            writeln!(
                out,
                "  who is away in the middle of its work is waited for for {}, and counts as failed then",
                policy::days(deadline)
            )?;
        } else {
            writeln!(
                out,
                "  who is away in the middle of its work is waited for until its bundle ends, which is days: no policy says less (limit.unreachable)"
            )?;
        }
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
    readiness(plan, out)?;
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
    left_out(plan, out)?;
    installers(plan, out)?;
    if !plan.domains.is_empty() && matches!(plan.kind, Kind::Install | Kind::Undo) {
        writeln!(out, "\nserving meanwhile")?;
        let turns: BTreeMap<&TargetId, usize> = plan.waves.iter().flatten().zip(0..).collect();
        for (domain, part) in &plan.domains {
            serving(plan, &turns, domain, part, out)?;
        }
    }
    if !matches!(plan.kind, Kind::Agents) {
        exporting::write(plan, out)?;
    }
    let changes = plan.targets.values().any(|part| !part.is_read_only());
    if changes {
        times(plan, taken, out)?;
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

/// On whom nothing happens, and why. What is the same of many is said once.
fn left_out(plan: &Plan, out: &mut String) -> std::fmt::Result {
    let mut reasons: Vec<(String, Vec<&TargetId>)> = Vec::new();
    for (target, part) in plan.targets.iter().filter(|(_, part)| part.left_out) {
        let why = part.why.join("; ");
        match reasons.iter_mut().find(|(said, _)| *said == why) {
            Some((_, targets)) => targets.push(target),
            None => reasons.push((why, vec![target])),
        }
    }
    if !reasons.is_empty() {
        writeln!(out, "\nnothing happens on")?;
    }
    for (why, targets) in reasons {
        match targets.as_slice() {
            [target] => writeln!(out, "  {target}: {why}")?,
            many => writeln!(out, "  {} servers: {why}\n    {}", many.len(), names(many))?,
        }
    }
    Ok(())
}

/// Names, of many the first.
fn names(all: &[&TargetId]) -> String {
    const SHOWN: usize = 12;
    few(all, SHOWN)
}

/// Who serves a domain while its servers are changed, by name. `turns` is the place of each server with work in the plan's order.
fn serving(
    plan: &Plan,
    turns: &BTreeMap<&TargetId, usize>,
    domain: &DomainName,
    part: &DomainPlan,
    out: &mut String,
) -> std::fmt::Result {
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
    let all = |list: &[TargetId]| names(&list.iter().collect::<Vec<_>>());
    if part.serving.is_empty() && part.running.is_empty() {
        writeln!(out, "    nobody is known to serve it now")?;
    }
    if !part.serving.is_empty() {
        writeln!(out, "    serve it now: {}", all(&part.serving))?;
    }
    if !part.running.is_empty() {
        writeln!(
            out,
            "    run now, registered by somebody else, so whether they serve it is not known: {}",
            all(&part.running)
        )?;
    }
    // In the plan's order: who was set up before serves by then.
    let mut serve: BTreeSet<&TargetId> = part.serving.iter().collect();
    let all = part.servers.iter().chain(&part.leaving);
    let own: BTreeSet<(usize, &TargetId)> = all
        .filter_map(|target| Some((*turns.get(target)?, target)))
        .collect();
    for (_, target) in own {
        let Some(work) = plan.targets.get(target).filter(|work| !work.is_read_only()) else {
            continue;
        };
        if serve.contains(target) {
            let others: Vec<&TargetId> = serve
                .iter()
                .filter(|one| **one != target)
                .copied()
                .collect();
            let who = if others.is_empty() {
                "nobody who is known to".to_owned()
            } else if others.len() > part.min_serving as usize {
                format!("at least {} of {}", part.min_serving, names(&others))
            } else {
                names(&others)
            };
            writeln!(out, "    while {target} is changed: {who}")?;
        }
        if work.retires() {
            serve.remove(target);
        } else if part.servers.contains(target) {
            serve.insert(target);
        }
    }
    Ok(())
}

/// How long each kind of step usually takes, how long all of it, and who is needed when.
fn times(plan: &Plan, taken: &Taken, out: &mut String) -> std::fmt::Result {
    writeln!(out, "\nhow long it takes")?;
    let title = |target: &TargetId, step: &Step| {
        let title = step.title();
        if depends_on_the_server(step) {
            format!("{title} on {target}")
        } else {
            title.to_owned()
        }
    };
    let steps = timetable::steps(plan);
    let width = steps
        .iter()
        .map(|(target, step)| title(target, step).len())
        .max();
    let width = width.unwrap_or_default();
    for (target, step) in steps {
        let usual = taken.usual(target, step);
        let own = depends_on_the_server(step);
        let from = match (usual.runs, own) {
            (0, false) => "an estimate: none has run on this fleet yet".to_owned(),
            (1, false) => "as its one run on this fleet".to_owned(),
            (many, false) => format!("the median of its last {many} runs on this fleet"),
            (0, true) => {
                "it has not run there yet: minutes or many hours, by how much there is".to_owned()
            }
            (1, true) => "as its one run there".to_owned(),
            (many, true) => format!("the median of its last {many} runs there"),
        };
        let takes = usual.takes.map_or_else(|| "not known".to_owned(), about);
        writeln!(
            out,
            "  {:<width$}  {takes:<10}  {from}",
            title(target, step)
        )?;
    }
    let table = timetable(plan, taken);
    let untold: Vec<&TargetId> = table.untold.iter().collect();
    let without = if untold.is_empty() {
        String::new()
    } else {
        format!(
            ", and without the full synchronization of {}, whose time is not known",
            names(&untold)
        )
    };
    writeln!(
        out,
        "  all of it: about {}, where nobody is waited for and no site's window{without}",
        about(table.all)
    )?;
    restarts(plan, out)?;
    if table.appointments.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nwhen people are needed, counted from apply")?;
    let lanes = plan.lanes.values();
    let lanes = lanes.map(|lane| (&lane.tenant, lane.tenant_name.as_str()));
    let names_of: BTreeMap<&TenantId, &str> = lanes.collect();
    let name = |tenant: &TenantId| match names_of.get(tenant) {
        Some(name) => (*name).to_owned(),
        None => tenant.to_string(),
    };
    let mut tokens = false;
    for one in &table.appointments {
        let covers: Vec<&TargetId> = one.covers.iter().collect();
        let (due, tenant) = (about(one.due), name(&one.tenant));
        let minutes = one
            .until
            .saturating_sub(one.due)
            .as_secs()
            .div_ceil(60)
            .max(1);
        let servers = match covers.len() {
            1 => "1 server".to_owned(),
            many => format!("{many} servers"),
        };
        let each = if covers.len() > 1 { "each of " } else { "" };
        // A name that a shell would read as something else is said by the id.
        let plain = |sign: char| sign.is_ascii_alphanumeric() || "-_.".contains(sign);
        let named = if tenant.chars().all(plain) {
            tenant.clone()
        } else {
            one.tenant.to_string()
        };
        match &one.brings {
            Brings::Token => {
                tokens = true;
                writeln!(
                    out,
                    "  after {due}: one access token of tenant {tenant} for {servers}, over {minutes} min: {} (entrain secret give --tenant {named} --count {} --for {minutes})",
                    names(&covers),
                    one.asks
                )?;
            }
            Brings::Credential => writeln!(
                out,
                "  after {due}: the credential of tenant {tenant} for {each}{servers}: {} (entrain secret give --tenant {named} --count {})",
                names(&covers),
                one.asks
            )?,
            Brings::Domain(domain) => writeln!(
                out,
                "  after {due}: the credential of a domain administrator of {domain} for {each}{servers}: {} (entrain secret give --domain {domain} --count {})",
                names(&covers),
                one.asks
            )?,
            Brings::Person(what) => writeln!(
                out,
                "  after {due}: a person at {} for about {minutes} min: {what}",
                names(&covers)
            )?,
        }
    }
    if tokens {
        writeln!(
            out,
            "  a token is planned with for {} min; such tokens are good for 60 to 90 as a rule, which is not the vendor's word on this one: entrain secret give refuses one that lapses before its appointment is over",
            TOKEN_LIFE.as_secs() / 60
        )?;
    }
    left(plan, out)
}

/// Whom somebody restarts where Windows waits for it: that is no appointment, since most do not wait for one.
fn restarts(plan: &Plan, out: &mut String) -> std::fmt::Result {
    let by_person = |part: &TargetPlan| {
        let mut steps = part.phases.iter().flat_map(|work| &work.steps);
        steps.any(|step| {
            matches!(step, Step::RestartServer(restart) if matches!(restart.by, RestartBy::Person(_)))
        })
    };
    let parts = plan.targets.iter();
    let parts = parts.filter(|(_, part)| !part.left_out && by_person(part));
    let targets: Vec<&TargetId> = parts.map(|(target, _)| target).collect();
    match targets.as_slice() {
        [] => Ok(()),
        some => writeln!(
            out,
            "  where Windows waits for a restart, which is in none of these times: a person restarts it, of {}: {}",
            match some.len() {
                1 => "1 server".to_owned(),
                many => format!("{many} servers"),
            },
            names(some)
        ),
    }
}

/// What is left to people, and why the product leaves it so.
fn left(plan: &Plan, out: &mut String) -> std::fmt::Result {
    let parts = plan.targets.values().filter(|part| !part.left_out);
    let steps = parts
        .flat_map(|part| &part.phases)
        .flat_map(|work| &work.steps);
    let left: BTreeSet<(&str, &str)> = steps
        .flat_map(|step| {
            let left = timetable::left_to_people(step).into_iter();
            left.map(|(_, why)| (step.title(), why))
        })
        .collect();
    for (what, why) in left {
        writeln!(out, "  {what} is left to people: {why}")?;
    }
    Ok(())
}

/// How each server that is changed stood to its newest preflight. Those of which the same is said stand together.
fn readiness(plan: &Plan, out: &mut String) -> std::fmt::Result {
    if plan.readiness.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "\nready, as the newest preflight of each server told within a day; each is asked again before it is touched"
    )?;
    let more = |untold: &[String], attested: &[String]| {
        let mut words = String::new();
        if !untold.is_empty() {
            let (many, untold) = (untold.len(), untold.join("; "));
            words.push_str(&format!("; {many} cannot be told: {untold}"));
        }
        for one in attested {
            words.push_str(&format!("; {one}"));
        }
        words
    };
    // What somebody has to mend comes first.
    let (mut blocked, mut ready) = (String::new(), String::new());
    let mut not_read: BTreeMap<&str, Vec<&TargetId>> = BTreeMap::new();
    let mut counts = (0, 0, 0);
    for (target, standing) in &plan.readiness {
        let by = |by: &Named| {
            format!(
                "at {}, rollout {}, receipt {}",
                by.at,
                by.rollout,
                by.receipt.short()
            )
        };
        match standing {
            Standing::Ready {
                by: named,
                untold,
                attested,
            } => {
                counts.0 += 1;
                writeln!(
                    ready,
                    "  {target}: ready ({}){}",
                    by(named),
                    more(untold, attested)
                )?;
            }
            Standing::Blocked {
                by: named,
                blocks,
                untold,
                attested,
            } => {
                counts.1 += 1;
                let blocks = blocks.join("; ");
                writeln!(
                    blocked,
                    "  {target}: BLOCKED ({}): {blocks}{}",
                    by(named),
                    more(untold, attested)
                )?;
            }
            Standing::NotRead { why } => {
                counts.2 += 1;
                not_read.entry(why).or_default().push(target);
            }
        }
    }
    let (are, not, unread) = counts;
    writeln!(out, "  {are} ready, {not} BLOCKED, {unread} not read")?;
    out.push_str(&blocked);
    for (why, targets) in not_read {
        let names = names(&targets);
        writeln!(out, "  not read: {names}: {why} (entrain preflight)")?;
    }
    out.push_str(&ready);
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
        if phase.phase == Phase::Soak {
            writeln!(out, "             behind {}", soaks(part))?;
        }
    }
    for why in &part.why {
        writeln!(out, "    because  {why}")?;
    }
    Ok(())
}

/// How long the product is watched, and how that is counted.
fn soaks(part: &TargetPlan) -> String {
    let product = if part.is_of(Product::Connect) {
        Product::Connect
    } else {
        Product::ProvisioningAgent
    };
    policy::Soak::in_words(product, part.soak_seconds)
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
            if lane::is_of(lane, Product::Connect) {
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
