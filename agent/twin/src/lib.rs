//! A model of a Windows server with its domain and tenant. It answers an operation with an outcome and the time that it
//! would take. It is no mock that says yes: a server that lacks what a product needs fails as the product would.

mod directory;
mod faults;
mod model;
mod power;
mod profile;

pub use directory::Shared;
pub use faults::Fault;
pub use model::Twin;
pub use power::{Moment, PowerCut};
pub use profile::{Installed, Profile};
