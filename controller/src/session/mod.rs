//! Sessions with agents: who may speak, and carrying frames between the streams and the driver.

mod enroll;
mod registry;
mod serve;

pub use registry::{Handle, Registry};
pub use serve::{Gateway, listen};
