//! The agent's decisions: may this bundle run here, what is next, how to go on after a cut. Step procedures emit
//! operations as data ([`op::Op`]) and take their outcomes; who performs an operation, a Windows server or a model of
//! one, is not known here. No IO, no clock, no runtime.
#![warn(missing_docs)]

pub mod catalogue;
pub mod clock;
pub mod configuration;
pub mod directory;
pub mod guard;
pub mod held;
pub mod known;
pub mod lives;
pub mod op;
pub mod permissions;
pub mod procedure;
pub mod product;
pub mod run;
pub mod step;
pub mod stood;
pub mod withhold;
