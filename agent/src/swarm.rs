//! Many models of servers in one process, each with its own key, journal and connection: the fleet of the demo and of
//! load tests.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use link::{Endpoint, Wire};
use protocol::enroll::JoinFile;
use protocol::wire::close::Close;
use protocol::{DomainName, TargetId, TenantId, Version};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;

use agent_twin::{Installed, Profile};

use crate::agent::{Agent, Ended, Speed};
use crate::enroll::{self, Joining};
use crate::exec::Exec;
use crate::exec::twin::TwinExec;
use crate::state::State;

/// Agents that share one UDP socket. A socket's buffer is the limit: a burst to more would overrun it.
const AGENTS_PER_SOCKET: usize = 250;

/// Enrollments that run at once.
const ENROLLING: usize = 16;

/// What a swarm is made of.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fleet {
    /// Its servers.
    pub twins: Vec<Profile>,
}

/// Servers with a registered agent, named `twin-0001.DOMAIN`.
///
/// # Errors
/// When `domain` gives no names.
pub fn uniform(
    count: usize,
    domain: &DomainName,
    tenant: &TenantId,
    version: Version,
) -> anyhow::Result<Fleet> {
    let twin = |number: usize| -> anyhow::Result<Profile> {
        Ok(Profile {
            target: format!("twin-{number:04}.{domain}").parse()?,
            installed: Installed::ProvisioningAgent {
                version,
                tenant: tenant.clone(),
            },
            person: None,
            faults: std::collections::BTreeSet::new(),
        })
    };
    Ok(Fleet {
        twins: (1..=count).map(twin).collect::<anyhow::Result<_>>()?,
    })
}

/// Enrolls what is not enrolled yet, then runs every agent until `stop`. One that cannot go on says why and ends alone: it
/// stands for a server of its own, and the others know nothing of it.
///
/// # Errors
/// When a server cannot be enrolled, or, once all have ended, when some could not go on.
pub async fn run(
    folder: &Path,
    fleet: Fleet,
    join: Option<JoinFile>,
    speed: Speed,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    enroll_all(folder, &fleet, join).await?;
    let count = fleet.twins.len();
    let mut agents = JoinSet::new();
    let mut endpoint: Option<Endpoint> = None;
    let mut sockets = Vec::new();
    let mut gone = 0_usize;
    for (number, profile) in fleet.twins.into_iter().enumerate() {
        if number % AGENTS_PER_SOCKET == 0 {
            sockets.extend(endpoint.take());
        }
        let target = profile.target.clone();
        match open(folder, profile.clone(), speed, &mut endpoint) {
            Ok((agent, endpoint)) => {
                let (folder, stop) = (folder.to_owned(), stop.clone());
                agents.spawn(async move {
                    let run = keep(&folder, profile, speed, agent, endpoint, stop).await;
                    run.map_err(|error| (target, error))
                });
            }
            Err(error) => {
                gone += 1;
                cannot_go_on(&target, &error);
            }
        }
    }
    tracing::info!(agents = agents.len(), "the swarm runs");
    while let Some(ended) = agents.join_next().await {
        if let Err((target, error)) = ended.context("an agent of the swarm panicked")? {
            gone += 1;
            cannot_go_on(&target, &error);
        }
    }
    // Else the controller would take them for connected until their silence tells.
    for socket in sockets.into_iter().chain(endpoint) {
        socket.close(Close::Done).await;
    }
    if gone > 0 {
        bail!("{gone} of {count} agents could not go on; the log says why")
    }
    Ok(())
}

/// Runs one agent; where a new version takes its place, that one goes on, as a launcher has it.
async fn keep(
    folder: &Path,
    profile: Profile,
    speed: Speed,
    mut agent: Agent,
    endpoint: Endpoint,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    while let Ended::Replaced = agent.run(endpoint.clone(), stop.clone()).await? {
        (agent, _) = open(folder, profile.clone(), speed, &mut Some(endpoint.clone()))?;
    }
    Ok(())
}

fn cannot_go_on(target: &TargetId, error: &anyhow::Error) {
    tracing::error!(%target, "this agent cannot go on: {error:#}");
}

/// Opens an agent's state and gives it a socket, a new one where there is none yet.
fn open(
    folder: &Path,
    profile: Profile,
    speed: Speed,
    endpoint: &mut Option<Endpoint>,
) -> anyhow::Result<(Agent, Endpoint)> {
    let state = State::open(&place(folder, &profile))?;
    let socket = match endpoint {
        Some(socket) => socket.clone(),
        None => {
            let address = enroll::resolve(&state.controller)?;
            let socket = Endpoint::client(address, Wire::from_environment())
                .context("could not open a UDP socket")?;
            endpoint.insert(socket).clone()
        }
    };
    let exec = Exec::Twin(Box::new(TwinExec::open(state.folder(), profile)?));
    Ok((Agent::open(state, exec, speed)?, socket))
}

fn place(folder: &Path, profile: &Profile) -> PathBuf {
    folder.join(profile.target.as_str())
}

async fn enroll_all(folder: &Path, fleet: &Fleet, join: Option<JoinFile>) -> anyhow::Result<()> {
    let missing: Vec<Profile> = fleet
        .twins
        .iter()
        .filter(|twin| !place(folder, twin).join("certificate.json").exists())
        .cloned()
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let Some(join) = join else {
        bail!(
            "{} servers of the swarm are not enrolled, and no join file was given",
            missing.len()
        )
    };
    let endpoint = Endpoint::client(enroll::resolve(&join.controller)?, Wire::from_environment())?;
    let mut enrolling: JoinSet<anyhow::Result<()>> = JoinSet::new();
    for profile in missing {
        if enrolling.len() >= ENROLLING
            && let Some(ended) = enrolling.join_next().await
        {
            ended??;
        }
        let (join, endpoint, folder) = (join.clone(), endpoint.clone(), place(folder, &profile));
        enrolling.spawn(async move {
            let joining = Joining {
                target: profile.target.clone(),
                simulated: true,
                machine: "a model of a server".to_owned(),
            };
            enroll::enroll(&folder, &join, &joining, Some(&endpoint), |_| {})
                .await
                .with_context(|| format!("could not enroll {}", profile.target))
        });
    }
    while let Some(ended) = enrolling.join_next().await {
        ended??;
    }
    Ok(())
}

/// Reads a fleet's file.
///
/// # Errors
/// When it cannot be read or is no fleet.
pub fn read(path: &Path) -> anyhow::Result<Fleet> {
    let bytes =
        std::fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    serde_json::from_slice(&bytes)
        .with_context(|| format!("{} is no fleet of twins", path.display()))
}
