//! What only looks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use agent_twin::Fault;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use controller_core::clouds::Clouds;
use controller_core::drift::{self, Drifted};
use controller_core::fleet::{AtWork, Rollout, RolloutView, TaskView, Why};
use controller_core::forest::Forests;
use controller_core::plan::Plan;
use controller_core::record::Record;
use controller_core::settings::{Difference, SettingsSeen};
use controller_core::tenant::{Seen, beside, held};
use protocol::event::Event;
use protocol::secret::SecretAsk;
use protocol::signed::{RoleKeys, Verified, verify};
use protocol::{Digest, RolloutId, TargetId, TenantId};
use serde::Deserialize;

use crate::driver::Core;
use crate::http::acts::find_plan;
use crate::http::types::{
    AgentRow, Agents, Artifacts, AskRow, Compared, Discovered, Frame, LogRow, RehearseAsk,
    Rehearsed, Status, TenantRow, VersionsSeen,
};
use crate::http::{Answer, Api, Problem};

/// How often a plan is rehearsed at most.
const MOST_COURSES: u64 = 100;

/// Shortest time between two frames of a watched rollout.
const FRAME_PAUSE: Duration = Duration::from_millis(100);

/// Longest time for which a watched rollout is not looked at anew.
const LOOK: Duration = Duration::from_secs(5);

pub(super) async fn status(State(api): State<Api>) -> Answer<Status> {
    let settings = api.authority.settings();
    let (kind, address) = (settings.kind.as_str().to_owned(), settings.address.clone());
    let trust_root = Digest::of(api.authority.root_envelope()).to_string();
    let buffers = (api.buffers.receive, api.buffers.send);
    let older = Arc::clone(&api.older);
    let status = api.hub.read(move |core, now| Status {
        kind,
        version: crate::VERSION.to_owned(),
        agents: core.roster.agents().len(),
        connected: core.live.connected.len(),
        frozen: core.fleet.stopped().cloned(),
        at_work: at_work(core, now),
        overrides: core.fleet.overrides(now),
        rollouts: core
            .fleet
            .rollouts()
            .keys()
            .filter_map(|id| core.fleet.view(*id, &core.live, now))
            .collect(),
        alarms: core.alarms(now),
        left_behind: core.fleet.left_behind(),
        moved: core.fleet.transitions(),
        tasks: core.fleet.tasks(now).len() + core.roster.all_joining().count(),
        joining: core
            .roster
            .all_joining()
            .map(|joining| joining.sentence())
            .collect(),
        buffers,
        trust_root,
        address,
        older: older.to_vec(),
    });
    Ok(Json(status.await?))
}

/// Carries a plan out on models, in virtual time; nothing of it is stored.
pub(super) async fn rehearse(
    State(api): State<Api>,
    Path(plan): Path<String>,
    Json(ask): Json<RehearseAsk>,
) -> Answer<Rehearsed> {
    let found = api.hub.read(move |core, now| {
        let id = find_plan(core, &plan)?;
        let plan = core.plans.get(&id).cloned();
        let plan = plan.ok_or_else(|| Problem::Missing(format!("there is no plan {id}")))?;
        let begin = ask.not_before.map_or(now, |at| at.max(now));
        let stands = rehearsal::Stands::of(&plan, &core.fleet, &core.live, begin);
        let known = core.fleet.known().clone();
        Ok::<_, Problem>((plan, known, stands, begin))
    });
    let (plan, known, stands, begin) = found.await??;
    let mut faults: BTreeMap<TargetId, BTreeSet<Fault>> = BTreeMap::new();
    for (target, fault) in ask.faults {
        if !plan.targets.contains_key(&target) {
            return Err(Problem::Missing(format!("{target} is not in the plan")));
        }
        faults.entry(target).or_default().insert(fault);
    }
    let courses = ask.courses.clamp(1, MOST_COURSES);
    let minutes = |minutes: u64| Duration::from_secs(minutes.min(14 * 24 * 60) * 60);
    let ask = rehearsal::Ask {
        begin,
        person: ask.person_minutes.map(minutes),
        faults,
        seed: ask.seed,
    };
    // It computes for a while: not where sessions are served.
    let rehearsed = tokio::task::spawn_blocking(move || {
        let rehearsal = rehearsal::rehearse_as(&plan, &known, &stands, &ask, courses);
        let report = rehearsal::render(&rehearsal, &plan);
        Rehearsed { rehearsal, report }
    });
    let failed = |_| Problem::Failed("the rehearsal broke off".to_owned());
    rehearsed.await.map(Json).map_err(failed)
}

pub(super) async fn versions(State(api): State<Api>) -> Answer<VersionsSeen> {
    let data = Arc::clone(&api.versions);
    let older = Arc::clone(&api.older);
    let seen = api.hub.read(move |core, now| VersionsSeen {
        checked_on: data.checked_on,
        rows: data.rows(core.fleet.known(), &core.fleet.beyond().applications, now),
        older: older.to_vec(),
    });
    Ok(Json(seen.await?))
}

pub(super) async fn drift(State(api): State<Api>) -> Answer<Drifted> {
    let seen = api.hub.read(|core, _| drift::drifted(&core.fleet));
    Ok(Json(seen.await?))
}

/// Every server that an enrollment, a directory or a tenant names.
pub(super) async fn discovered(State(api): State<Api>) -> Answer<Discovered> {
    let found = api.hub.read(|core, now| {
        let beyond = core.fleet.beyond();
        let enrolled: Vec<&TargetId> = core.fleet.known().keys().collect();
        let servers = beyond.named(&enrolled, |target| core.live.connected.contains(target));
        let directories = beyond.directories.iter();
        let mut unread = beyond.unread_directories(now);
        unread.extend(beyond.unseen_agents());
        unread.extend(beyond.unnamed_accounts());
        let tenants = beyond.tenants.iter();
        Discovered {
            servers,
            unread,
            tenants: tenants
                .map(|(tenant, seen)| (tenant.clone(), seen.whole()))
                .collect(),
            handed_in: beyond.handed_in.clone(),
            asked: directories
                .map(|(domain, seen)| (domain.clone(), seen.at, seen.by.clone()))
                .collect(),
        }
    });
    Ok(Json(found.await?))
}

/// Names of forests, as agents read them last.
pub(super) async fn forests(State(api): State<Api>) -> Answer<Forests> {
    let read = api.hub.read(|core, _| core.fleet.beyond().suffixes.clone());
    Ok(Json(read.await?))
}

/// What decides what two Connect servers synchronize, as each told it last.
pub(super) async fn settings(
    State(api): State<Api>,
    Path((one, other)): Path<(TargetId, TargetId)>,
) -> Answer<Compared> {
    let compared = api.hub.read(move |core, _| {
        let read = |target: &TargetId| {
            let seen = core.fleet.settings().get(target);
            seen.ok_or_else(|| {
                format!("the settings of {target} were never read here: a swap reads them")
            })
        };
        let (mine, theirs) = (read(&one)?, read(&other)?);
        let difference = Difference::of((&one, &mine.settings), (&other, &theirs.settings));
        let accepts = |(id, rollout): (&RolloutId, &Rollout)| {
            rollout.accepted.contains(&difference.digest).then_some(*id)
        };
        let row = |target: &TargetId, seen: &SettingsSeen| {
            let number = seen.settings.settings.len() + seen.settings.beyond as usize;
            (target.clone(), seen.at, number)
        };
        Ok(Compared {
            read: vec![row(&one, mine), row(&other, theirs)],
            accepted: core.fleet.rollouts().iter().filter_map(accepts).collect(),
            difference,
        })
    });
    compared.await?.map(Json).map_err(Problem::Missing)
}

/// What the controller knows of the clouds, corrected or as it came.
pub(super) async fn clouds(State(api): State<Api>) -> Answer<Clouds> {
    Ok(Json(Clouds::clone(&api.clouds)))
}

/// Every tenant that was read, with what stands out.
pub(super) async fn tenants(State(api): State<Api>) -> Answer<Vec<TenantRow>> {
    let rows = api.hub.read(|core, _| {
        let fleet = &core.fleet;
        let row = |(id, seen): (&TenantId, &Seen)| {
            let connect = fleet.has_active_connect(id);
            let held = held(
                &seen.observation,
                fleet.known(),
                connect,
                &fleet.hashes_wanted(id),
            );
            TenantRow {
                remarks: beside(&seen.observation, fleet.known()),
                findings: {
                    let own = fleet.tenant_findings(id).into_iter();
                    own.chain(held).chain(fleet.left_over(id)).collect()
                },
                seen: seen.clone(),
            }
        };
        fleet.beyond().tenants.iter().map(row).collect()
    });
    Ok(Json(rows.await?))
}

pub(super) async fn rollouts(State(api): State<Api>) -> Answer<Vec<RolloutView>> {
    let views = api.hub.read(|core, now| {
        core.fleet
            .rollouts()
            .keys()
            .filter_map(|id| core.fleet.view(*id, &core.live, now))
            .collect()
    });
    Ok(Json(views.await?))
}

/// Who is at work while everything is to stand still: whoever is away may not have heard of that.
fn at_work(core: &Core, now: protocol::Timestamp) -> Option<AtWork> {
    let frozen = core.fleet.stopped().is_some();
    frozen.then(|| core.fleet.at_work(None, &core.live, now))
}

fn rollout_id(text: &str) -> Result<RolloutId, Problem> {
    text.parse()
        .map_err(|error: protocol::id::BadId| Problem::Refused(error.to_string()))
}

fn frame(core: &Core, id: RolloutId, now: protocol::Timestamp) -> Option<Frame> {
    let view = core.fleet.view(id, &core.live, now)?;
    Some(Frame {
        view,
        progress: core.progress_in(id),
        alarms: core.alarms(now),
        frozen: core.fleet.stopped().cloned(),
        at_work: at_work(core, now),
    })
}

pub(super) async fn rollout(State(api): State<Api>, Path(rollout): Path<String>) -> Answer<Frame> {
    let id = rollout_id(&rollout)?;
    let found = api.hub.read(move |core, now| frame(core, id, now)).await?;
    found
        .map(Json)
        .ok_or_else(|| Problem::Missing(format!("there is no rollout {id}")))
}

/// A frame for each change, as one JSON object a line, until the rollout is over.
pub(super) async fn watch(
    State(api): State<Api>,
    Path(rollout): Path<String>,
) -> Result<Response, Problem> {
    let id = rollout_id(&rollout)?;
    if api
        .hub
        .read(move |core, _| !core.fleet.rollouts().contains_key(&id))
        .await?
    {
        return Err(Problem::Missing(format!("there is no rollout {id}")));
    }
    let changes = api.hub.changes();
    let stream = futures_util::stream::unfold(
        (api, changes, None::<Frame>),
        move |(api, mut changes, last)| async move {
            if last
                .as_ref()
                .is_some_and(|frame| frame.view.state == "over")
            {
                return None;
            }
            loop {
                changes.borrow_and_update();
                let frame = api
                    .hub
                    .read(move |core, now| frame(core, id, now))
                    .await
                    .ok()
                    .flatten()?;
                if last.as_ref() != Some(&frame) {
                    let mut line = serde_json::to_vec(&frame).ok()?;
                    line.push(b'\n');
                    tokio::time::sleep(FRAME_PAUSE).await;
                    return Some((
                        Ok::<_, std::convert::Infallible>(line),
                        (api, changes, Some(frame)),
                    ));
                }
                // Time alone changes a view as well: who left is away by now, a freeze is over.
                match tokio::time::timeout(LOOK, changes.changed()).await {
                    Ok(changed) => changed.ok()?,
                    Err(_) => continue,
                }
            }
        },
    );
    Ok(Response::new(Body::from_stream(stream)))
}

/// Of which rollout an answer is asked; of whichever says most where none is named.
#[derive(Debug, Deserialize)]
pub(super) struct Of {
    rollout: Option<String>,
}

pub(super) async fn why(
    State(api): State<Api>,
    Path(target): Path<TargetId>,
    Query(of): Query<Of>,
) -> Answer<Why> {
    let of = of.rollout.as_deref().map(rollout_id).transpose()?;
    let name = target;
    let why = api
        .hub
        .read(move |core, now| {
            if let Some(of) = of.filter(|of| !core.fleet.rollouts().contains_key(of)) {
                return Err(Problem::Missing(format!("there is no rollout {of}")));
            }
            let why = core.fleet.why_in(of, &name, &core.live, now);
            let asks = core.roster.pending().contains_key(&name);
            let joining = core.roster.joining(&name);
            let mut why = match why {
                Some(why) => why,
                None if joining.is_some() => Why::of(&name, String::new()),
                None if asks => Why::of(
                    &name,
                    "an operator has approved it, and it is enrolled when it asks again".to_owned(),
                ),
                None => {
                    return Err(Problem::Missing(format!(
                        "{name} is not known: neither enrolled nor in a rollout, and it does not wait for approval; a join file of `entrain token create` enrolls it"
                    )));
                }
            };
            if let Some(waits) = joining {
                let before = std::mem::take(&mut why.answer);
                let waits = waits.sentence();
                why.answer = [before, waits].join("; ").trim_start_matches("; ").to_owned();
                why.orders.push(format!("entrain agents approve {name} KEY"));
            }
            let of_it = core
                .refusals
                .iter()
                .filter(|refused| refused.who == name.as_str());
            why.refusals = of_it.map(crate::driver::Refused::sentence).collect();
            Ok(why)
        })
        .await?;
    why.map(Json)
}

pub(super) async fn tasks(State(api): State<Api>) -> Answer<Vec<TaskView>> {
    Ok(Json(api.hub.read(|core, now| core.fleet.tasks(now)).await?))
}

pub(super) async fn plan(State(api): State<Api>, Path(plan): Path<String>) -> Answer<Plan> {
    let found = api
        .hub
        .read(move |core, _| find_plan(core, &plan).map(|id| core.plans.get(&id).cloned()))
        .await?;
    found?
        .map(Json)
        .ok_or_else(|| Problem::Missing("the plan is gone".to_owned()))
}

pub(super) async fn agents(State(api): State<Api>) -> Answer<Agents> {
    let agents = api.hub.read(|core, _| {
        let row = |(target, agent): (&TargetId, &controller_core::roster::Agent)| AgentRow {
            target: target.clone(),
            key: agent.key.fingerprint().to_string(),
            enrolled: agent.enrolled,
            by: agent.by.clone(),
            connected: core.live.connected.contains(target),
            events: agent.head.index.0,
            version: agent.version.clone(),
            facts: describe(core, target),
            simulated: agent.simulated,
            frozen: core.fleet.frozen().get(target).cloned(),
            doubted: core.fleet.doubted().get(target).cloned(),
        };
        Agents {
            agents: core.roster.agents().iter().map(row).collect(),
            pending: core
                .roster
                .all_joining()
                .map(|joining| (joining.target.clone(), joining))
                .collect(),
            refusals: core.refusals.iter().cloned().collect(),
        }
    });
    Ok(Json(agents.await?))
}

fn describe(core: &Core, target: &TargetId) -> String {
    let known = core
        .fleet
        .known()
        .get(target)
        .and_then(|known| known.facts.as_ref());
    let Some((_, facts)) = known else {
        return "has not reported yet".to_owned();
    };
    let mut parts = vec![format!("build {}", facts.host.build)];
    if let Some(agent) = &facts.provisioning_agent {
        let version = agent
            .version
            .map_or("unknown".to_owned(), |version| version.to_string());
        parts.push(format!("provisioning agent {version}"));
        if agent.tenant.is_none() {
            parts.push("not registered".to_owned());
        }
    }
    if let Some(connect) = &facts.connect {
        let version = connect
            .version
            .map_or("unknown".to_owned(), |version| version.to_string());
        let mode = match connect.staging {
            _ if connect.is_fenced() => "stopped and disabled",
            Some(true) => "staging",
            Some(false) => "active",
            None => "mode not readable",
        };
        parts.push(format!("Connect {version} {mode}"));
    }
    parts.extend(facts.unread.iter().cloned());
    parts.join(", ")
}

pub(super) async fn artifacts(State(api): State<Api>) -> Answer<Artifacts> {
    let artifacts = api
        .hub
        .read(|core, _| core.roster.artifacts().values().cloned().collect());
    Ok(Json(Artifacts {
        artifacts: artifacts.await?,
    }))
}

pub(super) async fn secrets(State(api): State<Api>) -> Answer<Vec<AskRow>> {
    let asks = api.hub.read(|core, _| {
        let row = |(number, open): (&u64, &crate::driver::OpenAsk)| {
            let agent = core.roster.agents().get(&open.target)?;
            let role = RoleKeys {
                keys: vec![agent.key],
                threshold: 1,
            };
            let verified: Option<Verified<SecretAsk>> = verify(&open.envelope, &role).ok();
            let wanted = verified.map(|ask| ask.wanted.clone());
            let tenant = wanted
                .as_ref()
                .and_then(|wanted| core.fleet.tenant_of(&open.target, wanted));
            Some(AskRow {
                ask: *number,
                target: open.target.clone(),
                tenant: tenant.map(ToOwned::to_owned),
                wanted,
                envelope: String::from_utf8(open.envelope.clone()).ok()?,
                key: String::from(agent.key),
            })
        };
        core.asks.iter().filter_map(row).collect()
    });
    Ok(Json(asks.await?))
}

#[derive(Debug, Deserialize)]
pub(super) struct From {
    from: Option<u64>,
    limit: Option<u64>,
}

pub(super) async fn log(State(api): State<Api>, Query(query): Query<From>) -> Answer<Vec<LogRow>> {
    let limit = query.limit.unwrap_or(1000).min(10_000);
    let rows = api
        .store
        .read(query.from.unwrap_or(1), limit)
        .await
        .map_err(|error| Problem::Failed(error.to_string()))?;
    let row = |row: crate::store::Row| {
        let record: Record = serde_json::from_str(&row.body).ok()?;
        let mut event = None;
        if let Record::TargetEvent { body, .. } = &record {
            event = Event::from_body(body.as_bytes());
        }
        Some(LogRow {
            index: row.index,
            at: row.at,
            record,
            event,
        })
    };
    Ok(Json(rows.into_iter().filter_map(row).collect()))
}

/// The whole log with everything that is needed to verify it offline.
pub(super) async fn audit(State(api): State<Api>) -> Result<Response, Problem> {
    let failed = |error: crate::store::StoreError| Problem::Failed(error.to_string());
    let rows = api.store.read(1, u64::MAX >> 1).await.map_err(failed)?;
    let epoch = api.hub.read(|core, _| core.epoch).await?;
    let mut lines = vec![crate::audit::Line::Root {
        envelope: BASE64_STANDARD.encode(api.authority.root_envelope()),
    }];
    let last = rows.last().map(|row| (row.index, row.chain));
    for row in rows {
        let blob = match serde_json::from_str(&row.body) {
            Ok(Record::BundleIssued { bundle, .. }) => Some(bundle.0),
            Ok(Record::PlanStored { plan, .. }) => Some(plan.0),
            Ok(_) | Err(_) => None,
        };
        lines.push(crate::audit::Line::Entry(row));
        if let Some(digest) = blob
            && let Some(bytes) = api.store.blob(digest).await.map_err(failed)?
        {
            lines.push(crate::audit::Line::Blob {
                digest,
                bytes: BASE64_STANDARD.encode(bytes),
            });
        }
    }
    if let Some((index, chain)) = last {
        let checkpoint = protocol::signed::Checkpoint {
            format: 1,
            epoch,
            index,
            chain,
            at: crate::now(),
        };
        let envelope = BASE64_STANDARD.encode(api.authority.sign(&checkpoint));
        lines.push(crate::audit::Line::Checkpoint { envelope });
    }
    let mut body = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut body, &line)
            .map_err(|error| Problem::Failed(error.to_string()))?;
        body.push(b'\n');
    }
    Ok(Response::new(Body::from(body)))
}
