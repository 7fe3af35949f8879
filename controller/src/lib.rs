//! The controller's shell: store, authority, sessions, HTTP API and command line. What to do is decided in
//! `controller-core`.

pub mod app;
pub mod audit;
pub mod authority;
pub mod backup;
pub mod cli;
pub mod demo;
pub mod disk;
pub mod driver;
pub mod files;
pub mod graph;
pub mod http;
pub mod keys;
pub mod session;
pub mod store;

/// Version of this controller.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The system's clock, read where an input comes in.
#[must_use]
pub fn now() -> protocol::Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    protocol::Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
