//! Documents of an operator: checked, and made into plans.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{ConnectInfo, State};
use controller_core::clouds::Clouds;
use controller_core::finding::{Finding, Severity};
use controller_core::fleet::Refusal;
use controller_core::plan::{
    Inputs, Kind, Plan, Purpose, eligibility, failover, judge, plan as build, render_by, swing,
    switch, transition, undo,
};
use controller_core::policy::{self, Policy};
use controller_core::readiness;
use controller_core::record::Record;
use controller_core::topology::{self, Available, Document, Topology};
use controller_core::versions::Versions;
use protocol::TargetId;

use crate::http::acts::Caller;
use crate::http::types::{Checked, FindingText, PlanAsk, Planned, Wanted};
use crate::http::{Answer, Api, Operator, Problem};

fn show(findings: &[Finding]) -> Vec<FindingText> {
    let text = |finding: &Finding| FindingText {
        severity: match finding.severity {
            Severity::Error => "error".to_owned(),
            Severity::Warning => "warning".to_owned(),
        },
        place: finding.place.to_string(),
        what: finding.what.clone(),
        fix: finding.fix.clone(),
    };
    findings.iter().map(text).collect()
}

struct Read {
    topology: Topology,
    policy: Policy,
    findings: Vec<Finding>,
}

impl Read {
    fn new(ask: &PlanAsk, available: &Available, versions: &Versions, clouds: &Clouds) -> Self {
        let documents: Vec<Document> = ask.topology.iter().map(Document::from).collect();
        let (topology, mut findings) = topology::parse_by(&documents, clouds);
        let available = (ask.wanted.purpose() == Purpose::Install).then_some(available);
        findings.extend(topology::check(&topology, available));
        if let Some(available) = available {
            let now = crate::now();
            findings.extend(topology::installable(&topology, available, versions, now));
        }
        let mut policy = Policy::default();
        if let Some(text) = &ask.policy {
            let (parsed, remarks) = policy::parse(&Document::from(text));
            policy = parsed;
            findings.extend(remarks);
            findings.extend(policy::check(&policy, &topology));
        }
        findings.sort();
        findings.dedup();
        Self {
            topology,
            policy,
            findings,
        }
    }

    fn is_sound(&self) -> bool {
        self.findings
            .iter()
            .all(|finding| finding.severity == Severity::Warning)
    }
}

pub(super) async fn check(State(api): State<Api>, Json(ask): Json<PlanAsk>) -> Answer<Checked> {
    let available = api.hub.read(|core, _| core.roster.available()).await?;
    let read = Read::new(&ask, &available, &api.versions, &api.clouds);
    Ok(Json(Checked {
        findings: show(&read.findings),
    }))
}

pub(super) async fn plan(
    State(api): State<Api>,
    ConnectInfo(Operator(by)): Caller,
    Json(ask): Json<PlanAsk>,
) -> Answer<Planned> {
    let versions = Arc::clone(&api.versions);
    let clouds = Arc::clone(&api.clouds);
    let planned = api.hub.act(move |core, batch, answer| {
        let read = Read::new(&ask, &core.roster.available(), &versions, &clouds);
        let findings = show(&read.findings);
        if !read.is_sound() {
            let none = Planned {
                findings,
                plan: None,
                report: String::new(),
                alarms: Vec::new(),
                warnings: Vec::new(),
                network: Vec::new(),
                network_by_lane: BTreeMap::new(),
                readiness: BTreeMap::new(),
                nothing: false,
            };
            return drop(answer.send(Ok(none)));
        }
        let targets = read.topology.targets();
        if let Some(stranger) = ask.only.iter().find(|one| !targets.contains(*one)) {
            let why = format!("{stranger} is no server of this topology; name one that is");
            return drop(answer.send(Err(Problem::Refused(why))));
        }
        let release = ask.wanted.release();
        if let (Some(_), Err(why)) = (release, core.roster.release(release)) {
            return drop(answer.send(Err(Problem::Refused(why))));
        }
        let artifacts = core.roster.newest();
        let inputs = Inputs {
            topology: &read.topology,
            policy: &read.policy,
            known: core.fleet.known(),
            artifacts: &artifacts,
            roster: Some(&core.roster),
            release,
            beyond: core.fleet.beyond(),
            purpose: ask.wanted.purpose(),
            only: &ask.only,
        };
        let plan = made(&ask.wanted, inputs, |off| core.has_session(off));
        let mut plan = match plan {
            Ok(plan) => plan,
            Err(why) => return drop(answer.send(Err(Problem::Refused(why)))),
        };
        if let Err(why) = judge(&mut plan, core.fleet.known(), &versions, crate::now()) {
            return drop(answer.send(Err(Problem::Refused(why))));
        }
        readiness::tell(&mut plan, &core.fleet, inputs, crate::now());
        let id = plan.id();
        let preflight = plan.kind == Kind::Preflight;
        let planned = Planned {
            findings,
            plan: Some(id),
            report: render_by(&plan, core.fleet.taken()),
            alarms: plan.alarms.clone(),
            warnings: plan.warnings.clone(),
            network_by_lane: if preflight {
                clouds.network_by_lane(&plan)
            } else {
                BTreeMap::new()
            },
            network: match plan.kind {
                Kind::Preflight => clouds.network(&plan),
                Kind::Install
                | Kind::Undo
                | Kind::Verify
                | Kind::Discover
                | Kind::Support
                | Kind::Switch
                | Kind::Swing
                | Kind::Agents
                | Kind::Eligibility
                | Kind::Transition => Vec::new(),
            },
            readiness: plan.readiness.clone(),
            nothing: plan.is_empty(),
        };
        if let std::collections::btree_map::Entry::Vacant(free) = core.plans.entry(id) {
            batch.keep(plan.to_bytes());
            free.insert(plan);
            core.record(batch, Record::PlanStored { plan: id, by });
        }
        batch.then(move |stored| {
            let stored = stored.clone().map_err(Problem::Failed);
            drop(answer.send(stored.map(|()| planned)));
        });
    });
    planned.await?.map(Json)
}

/// The plan that is asked for.
fn made(
    wanted: &Wanted,
    inputs: Inputs<'_>,
    has_session: impl Fn(&TargetId) -> bool,
) -> Result<Plan, String> {
    match wanted {
        Wanted::Topology(_) | Wanted::Release(_) => Ok(build(inputs)),
        Wanted::Swap(server) => switch(inputs, server),
        Wanted::Failover { off, .. } if has_session(off) => {
            Err(Refusal::OffIsHere(off.clone()).to_string())
        }
        Wanted::Failover { server, off } => failover(inputs, server, off),
        Wanted::Swing { server, then } => swing(inputs, server, *then),
        Wanted::Eligible => Ok(eligibility(inputs)),
        Wanted::Move(server) => transition(inputs, server),
        Wanted::Undo(ask) => undo(inputs, &ask.server, &ask.fixes, ask.anyway),
    }
}
