//! The controller's decisions: what the topology says and whether it can be, what is to be done about it, and who may do
//! what now. Everything here is a function of its arguments: no IO, no clock.
#![warn(missing_docs)]

pub mod active;
pub mod answered;
pub mod beyond;
pub mod calendar;
pub mod clouds;
pub mod default_rules;
pub mod doubt;
pub mod drift;
pub mod exported;
pub mod facts;
pub mod finding;
pub mod fleet;
pub mod forest;
pub mod handover;
pub mod links;
pub mod overrides;
pub mod plan;
pub mod policy;
pub mod rails;
pub mod readiness;
pub mod recipe;
pub mod record;
pub mod roster;
pub mod scheduler;
pub mod scope;
pub mod settings;
mod suffixed;
pub mod taken;
pub mod tenant;
pub mod topology;
pub mod trail;
pub mod tunables;
pub mod versions;
pub mod words;
