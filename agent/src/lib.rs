//! The agent's shell: session, journal, artifacts, and who performs operations. What to do is decided in `agent-core`.

pub mod agent;
pub mod artifact;
pub mod cli;
pub mod enroll;
pub mod exec;
pub mod files;
pub mod freeze;
pub mod journal;
pub mod session;
pub mod state;
pub mod survey;
#[cfg(feature = "twin")]
pub mod swarm;

/// Version of this agent.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
