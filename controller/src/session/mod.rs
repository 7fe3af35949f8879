//! Sessions with agents: who may speak, and carrying frames between the streams and the driver.

mod enroll;
mod events;
mod handshakes;
mod heard;
mod registry;
mod serve;

pub use handshakes::Handshakes;
pub use heard::Heard;
pub use registry::{Handle, Registry};
pub use serve::{Gateway, listen};
