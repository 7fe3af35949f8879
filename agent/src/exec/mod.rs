//! Who performs an operation: the real server, or a model of one. Nothing above this module knows which.

pub mod powershell;
#[cfg(feature = "twin")]
pub mod twin;
#[cfg(windows)]
pub mod windows;

use std::collections::BTreeMap;
use std::path::Path;

use agent_core::op::{Op, Outcome};
use protocol::secret::{Secret, SecretKind};
use protocol::signed::ArtifactRef;

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
    /// Neither: this operating system has no such products, so every operation fails with that reason.
    #[cfg(not(windows))]
    Nothing,
}

impl Exec {
    /// The server that this program runs on.
    #[must_use]
    pub fn this_server(folder: &Path) -> Self {
        #[cfg(windows)]
        return Self::Windows(windows::WindowsExec::new(folder));
        #[cfg(not(windows))]
        {
            let _ = folder;
            Self::Nothing
        }
    }

    /// Performs one operation. Artifacts were fetched before.
    #[cfg_attr(
        not(windows),
        expect(
            clippy::unused_async,
            reason = "models answer at once; Windows does not"
        )
    )]
    pub async fn perform(&self, op: &Op, secrets: &Secrets) -> (Outcome, std::time::Duration) {
        match self {
            #[cfg(feature = "twin")]
            Self::Twin(twin) => twin.perform(op, secrets),
            #[cfg(windows)]
            Self::Windows(windows) => (
                windows.perform(op, secrets).await,
                std::time::Duration::ZERO,
            ),
            #[cfg(not(windows))]
            Self::Nothing => {
                let _ = (op, secrets);
                let why = format!("{} has none of the products", std::env::consts::OS);
                (Outcome::Failed(why), std::time::Duration::ZERO)
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
            Self::Nothing => {
                let _ = (path, artifact);
                Ok(())
            }
        }
    }
}
