//! Who performs an operation: the real server, or a model of one. Nothing above this module knows which.

mod child;
mod datagram;
pub mod directory;
#[cfg_attr(
    not(any(windows, test)),
    expect(dead_code, reason = "Windows alone has Connect")
)]
mod export;
#[cfg_attr(
    not(any(windows, test)),
    expect(dead_code, reason = "Windows alone has installers")
)]
mod installer;
mod kin;
pub mod logs;
#[cfg_attr(
    not(any(windows, test)),
    expect(dead_code, reason = "Windows alone has installers")
)]
mod patience;
pub mod places;
pub mod powershell;
mod proxy;
mod rpc;
mod shown;
#[cfg(feature = "twin")]
pub mod twin;
#[cfg(windows)]
pub mod windows;

use std::collections::BTreeMap;
use std::path::Path;

use agent_core::op::{Op, Outcome};
use protocol::secret::{Secret, SecretKind};
use protocol::signed::ArtifactRef;
use protocol::step::Step;

use crate::launched::Launched;

/// Secrets that have come, by kind. In memory only.
pub type Secrets = BTreeMap<SecretKind, Secret>;

/// The executor of one agent.
#[derive(Debug)]
pub enum Exec {
    /// A model.
    #[cfg(feature = "twin")]
    Twin(Box<twin::TwinExec>),
    /// This Windows server.
    #[cfg(windows)]
    Windows(windows::WindowsExec),
    /// Neither: this operating system has no such products. What is asked of the network is answered; every other
    /// operation fails with that reason.
    #[cfg(not(windows))]
    Nothing(Launched),
}

impl Exec {
    /// The server that this program runs on, for the agent with that state folder and version.
    #[must_use]
    pub fn this_server(folder: &Path, version: &'static str) -> Self {
        let launched = Launched::here(folder, version);
        #[cfg(windows)]
        return Self::Windows(windows::WindowsExec::new(folder, launched));
        #[cfg(not(windows))]
        Self::Nothing(launched)
    }

    /// The launcher's side of a real agent; a model has none.
    const fn launched(&self) -> Option<&Launched> {
        match self {
            #[cfg(feature = "twin")]
            Self::Twin(_) => None,
            #[cfg(windows)]
            Self::Windows(windows) => Some(windows.launched()),
            #[cfg(not(windows))]
            Self::Nothing(launched) => Some(launched),
        }
    }

    /// Version of the agent on it.
    #[must_use]
    pub fn agent_version(&self) -> String {
        match self {
            #[cfg(feature = "twin")]
            Self::Twin(twin) => twin.agent_version(),
            #[cfg(windows)]
            Self::Windows(windows) => windows.launched().version().to_owned(),
            #[cfg(not(windows))]
            Self::Nothing(launched) => launched.version().to_owned(),
        }
    }

    /// Whether the agent must prove itself, or else the version before comes back.
    #[must_use]
    pub fn on_trial(&self) -> bool {
        self.launched().is_some_and(Launched::on_trial)
    }

    /// The agent has proved itself.
    ///
    /// # Errors
    /// When its launcher cannot be told.
    pub fn prove(&self) -> std::io::Result<()> {
        self.launched().map_or(Ok(()), Launched::prove)
    }

    /// A step begins. On a real server a person reads its task; the modelled person has only this.
    pub fn begun(&self, step: &Step) {
        #[cfg(feature = "twin")]
        if let Self::Twin(twin) = self {
            twin.begun(step);
        }
        #[cfg(not(feature = "twin"))]
        let _ = step;
    }

    /// A step has ended well, of which nothing is kept yet: a model of a server may lose its power here.
    pub fn ended(&self, step: &Step) {
        #[cfg(feature = "twin")]
        if let Self::Twin(twin) = self {
            twin.ended(step);
        }
        #[cfg(not(feature = "twin"))]
        let _ = step;
    }

    /// Performs one operation. Artifacts were fetched before.
    pub async fn perform(&self, op: &Op, secrets: &Secrets) -> (Outcome, std::time::Duration) {
        if let Some(outcome) = self.launched().and_then(|launched| launched.perform(op)) {
            return (outcome, std::time::Duration::ZERO);
        }
        match self {
            #[cfg(feature = "twin")]
            Self::Twin(twin) => twin.perform(op, secrets),
            #[cfg(windows)]
            Self::Windows(windows) => (
                windows.perform(op, secrets).await,
                std::time::Duration::ZERO,
            ),
            #[cfg(not(windows))]
            Self::Nothing(_) => {
                let outcome = network(op, secrets).await.unwrap_or_else(|| {
                    Outcome::Failed(format!("{} has none of the products", std::env::consts::OS))
                });
                (outcome, std::time::Duration::ZERO)
            }
        }
    }

    /// Looks at a fetched artifact before it may be used: on a real server its Authenticode chain and product identity.
    ///
    /// # Errors
    /// When it is not what the vendor signs.
    pub fn accept_artifact(&self, path: &Path, artifact: &ArtifactRef) -> Result<(), String> {
        match self {
            // A model installs nothing: there is no vendor's file, and every screen says so.
            #[cfg(feature = "twin")]
            Self::Twin(_) => Ok(()),
            #[cfg(windows)]
            Self::Windows(_) => windows::accept_artifact(path, artifact),
            #[cfg(not(windows))]
            Self::Nothing(_) => {
                let _ = (path, artifact);
                Ok(())
            }
        }
    }
}

/// How long a TCP connection may take.
const REACH: std::time::Duration = std::time::Duration::from_secs(10);

/// What comes within that time, or that nothing came.
async fn timely<T>(of: impl Future<Output = std::io::Result<T>>) -> std::io::Result<T> {
    let late = |_| std::io::Error::other(format!("no answer within {} s", REACH.as_secs()));
    tokio::time::timeout(REACH, of).await.map_err(late)?
}

/// Performs what is asked of the network alone; `None` for everything else.
async fn network(op: &Op, secrets: &Secrets) -> Option<Outcome> {
    Some(match op {
        Op::Reach { host, port: 80 } => proxy::page(host, 80).await,
        Op::Reach { host, port } => {
            let connecting = tokio::net::TcpStream::connect((host.as_str(), *port));
            match timely(connecting).await {
                Ok(_) => Outcome::Done,
                Err(error) => Outcome::Failed(error.to_string()),
            }
        }
        Op::ReachThrough { proxy, host, port } => proxy::reach(proxy, host, *port).await,
        Op::LookThrough { proxy, host } => proxy::look(proxy, host).await,
        Op::ReachByDatagram { host, port } => datagram::reach(host, *port).await,
        Op::ReachByRpc { host } => rpc::reach(host).await,
        Op::Search(search) => {
            let pages = directory::Pages::default();
            directory::search(search, pages, secrets).await
        }
        Op::Census(census) => directory::census(census, secrets).await,
        Op::LargeGroups(groups) => directory::large_groups(groups, secrets).await,
        Op::FindDomainControllers { domain } => directory::domain_controllers(domain).await,
        Op::Wait { time } => {
            tokio::time::sleep(patience::between(*time)).await;
            Outcome::Done
        }
        Op::Machine
        | Op::Registry { .. }
        | Op::RegistryKey { .. }
        | Op::SetRegistry { .. }
        | Op::ClearRegistry { .. }
        | Op::RequireRestart
        | Op::RestartServer
        | Op::Service { .. }
        | Op::ServiceAge { .. }
        | Op::EnableService { .. }
        | Op::AutomateService { .. }
        | Op::DisableService { .. }
        | Op::RestartService { .. }
        | Op::FileText { .. }
        | Op::ConnectExport
        | Op::ReplaceText { .. }
        | Op::FileVersion { .. }
        | Op::SecretsFit { .. }
        | Op::Fetch { .. }
        | Op::FetchRelease { .. }
        | Op::Launcher
        | Op::SwitchAgent { .. }
        | Op::Stage { .. }
        | Op::AwaitInstaller
        | Op::Install { .. }
        | Op::Programs { .. }
        | Op::Uninstall { .. }
        | Op::PathExists { .. }
        | Op::MeasureLog { .. }
        | Op::ReadLog { .. }
        | Op::Script { .. } => return None,
    })
}
