//! What controller and agents say to each other: ids, limits, steps, events, receipts, signed documents and wire
//! versions. This crate performs no IO, reads no clock and knows no runtime.
#![warn(missing_docs)]

pub mod answers;
pub mod causes;
pub mod chain;
pub mod chunk;
pub mod database;
pub mod digest;
pub mod enroll;
pub mod event;
pub mod exported;
pub mod facts;
pub mod id;
pub mod key;
pub mod known;
pub mod limits;
pub mod merkle;
pub mod options;
pub mod overridden;
pub mod probe;
pub mod probed_hosts;
pub mod refusal;
pub mod secret;
pub mod settings;
pub mod signed;
pub mod step;
pub mod suffixes;
pub mod task;
pub mod time;
pub mod version;
pub mod wire;

pub use causes::causes;
pub use database::{ConnectDatabase, DatabaseName, SqlServerName};
pub use digest::Digest;
pub use id::{
    Attempt, BundleId, DomainName, EnvironmentName, Epoch, EventIndex, Fingerprint, Generation,
    GmsaName, PlanId, RolloutId, StepIndex, TargetId, TenantId, chance,
};
pub use options::{ProxyAddress, ServiceOptions};
pub use overridden::Overridden;
pub use probed_hosts::ProbedHosts;
pub use time::Timestamp;
pub use version::Version;
