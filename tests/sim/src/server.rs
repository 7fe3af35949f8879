//! A server of a simulation: the real agent with its journal on a model, over a simulated port. Its folder outlives it.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use agent::agent::{Agent, AgentError, Ended, Speed};
use agent::enroll::{Joining, enroll};
use agent::exec::Exec;
use agent::exec::twin::TwinExec;
use agent::freeze;
use agent::state::State;
use agent_twin::Profile;
use anyhow::Context as _;
use link::Endpoint;
use protocol::enroll::JoinFile;
use protocol::event::Freeze;
use protocol::{TargetId, Timestamp};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::check::{Watch, with};
use crate::network::Network;

/// Goes at which a server tries to join before a simulation is given up.
const JOINS: u32 = 20;

/// A server, whether its agent runs or not.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) target: TargetId,
    pub(crate) host: IpAddr,
    folder: PathBuf,
    profile: Profile,
    next_port: u16,
    life: Option<Life>,
}

#[derive(Debug)]
struct Life {
    port: SocketAddr,
    tasks: JoinSet<()>,
    /// Whoever holds this could stop the agent as a service is stopped; without it the agent ends.
    _stop: watch::Sender<bool>,
}

impl Server {
    pub(crate) fn new(profile: Profile, fleet: &Path, host: IpAddr) -> Self {
        Self {
            target: profile.target.clone(),
            host,
            folder: fleet.join(profile.target.as_str()),
            profile,
            next_port: 49_151,
            life: None,
        }
    }

    fn port(&mut self) -> SocketAddr {
        self.next_port += 1;
        SocketAddr::new(self.host, self.next_port)
    }

    /// Becomes known to the controller, over a line that may lose any part of it.
    pub(crate) async fn join(&mut self, join: JoinFile, network: &Network) -> anyhow::Result<()> {
        let joining = Joining {
            target: self.target.clone(),
            simulated: true,
            machine: "a model of a server".to_owned(),
        };
        let mut last = None;
        for _ in 0..JOINS {
            let port = self.port();
            let endpoint = Endpoint::client_at(network.bind(port))?;
            match enroll(&self.folder, &join, &joining, Some(&endpoint), |_| {}).await {
                Ok(()) => return Ok(()),
                Err(error) => last = Some(error),
            }
            network.unbind(port);
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
        Err(last.context("nothing was tried")?.into())
    }

    pub(crate) const fn runs(&self) -> bool {
        self.life.is_some()
    }

    /// Begins a life of its agent.
    pub(crate) fn begin(&mut self, network: &Network, watch: &Watch) -> anyhow::Result<()> {
        let state = State::open(&self.folder)?;
        let exec = Exec::Twin(Box::new(TwinExec::open(
            &self.folder,
            self.profile.clone(),
        )?));
        let agent = Agent::open(state, exec, Speed(1))?;
        let port = self.port();
        let endpoint = Endpoint::client_at(network.bind(port))?;
        let (stop, stopping) = watch::channel(false);
        let mut tasks = JoinSet::new();
        tasks.spawn(Watched {
            run: Box::pin(agent.run(endpoint, stopping)),
            target: self.target.clone(),
            watch: Arc::clone(watch),
        });
        self.life = Some(Life {
            port,
            tasks,
            _stop: stop,
        });
        Ok(())
    }

    /// Ends its agent as a power cut does: what it sends is lost first, for as long as its last turns take.
    pub(crate) async fn kill(
        &mut self,
        network: &Network,
        last: Duration,
        torn: usize,
    ) -> anyhow::Result<()> {
        let Some(mut life) = self.life.take() else {
            return Ok(());
        };
        network.silence(life.port);
        tokio::time::sleep(last).await;
        life.tasks.shutdown().await;
        network.unbind(life.port);
        // Tasks of tasks end in a turn of their own.
        tokio::time::sleep(Duration::from_millis(1)).await;
        if torn > 0 {
            self.tear(torn)?;
        }
        Ok(())
    }

    /// The disk has the beginning of a record that was being written.
    fn tear(&self, bytes: usize) -> anyhow::Result<()> {
        use std::io::Write as _;
        let mut journal = std::fs::OpenOptions::new()
            .append(true)
            .open(self.folder.join("journal"))?;
        let begun = [200_u32.to_le_bytes().as_slice(), &[7; 199]].concat();
        journal.write_all(&begun[..bytes.min(begun.len())])?;
        Ok(())
    }

    /// Its administrator freezes it until then, or thaws it, as `entrain-agent freeze` and `thaw` do; tells whether that changed anything.
    pub(crate) fn freeze(&self, until: Option<Timestamp>) -> anyhow::Result<bool> {
        let Some(until) = until else {
            return Ok(freeze::lift(&self.folder)?);
        };
        let freeze = Freeze {
            until,
            by: "its administrator".to_owned(),
            why: "it is needed tonight".to_owned(),
        };
        freeze::set(&self.folder, &freeze, ::controller::now())?;
        Ok(true)
    }

    /// What is wrong with the server is mended.
    pub(crate) fn mend(&self) -> anyhow::Result<()> {
        std::fs::write(self.folder.join("faults.json"), "[]")?;
        Ok(())
    }
}

type Running = Pin<Box<dyn Future<Output = Result<Ended, AgentError>> + Send>>;

/// An agent whose disk is looked at after each of its turns.
struct Watched {
    run: Running,
    target: TargetId,
    watch: Watch,
}

impl Future for Watched {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let turn = self.run.as_mut().poll(cx);
        with(&self.watch, |check| {
            check.look_at(&self.target);
            if let Poll::Ready(Err(error)) = &turn {
                let why = protocol::causes(error);
                check.breaks(format!("the agent of {} cannot go on: {why}", self.target));
            }
        });
        turn.map(drop)
    }
}
