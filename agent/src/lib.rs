//! The agent's shell: session, journal, artifacts, and who performs operations. What to do is decided in `agent-core`.

pub mod agent;
pub mod artifact;
pub mod backoff;
pub mod beside;
pub mod cli;
pub mod enroll;
pub mod exec;
pub mod files;
pub mod freeze;
pub mod journal;
pub mod launched;
pub mod session;
pub mod state;
pub mod survey;
#[cfg(feature = "twin")]
pub mod swarm;

/// Version of this library, which the program of the same release has too.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
