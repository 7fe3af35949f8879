//! The link between controller and agents: a QUIC endpoint, TLS 1.3 with client certificates, framed streams. Written
//! once for both sides; what the frames say belongs to `protocol`, and what to do about it to the shells.
//!
//! The shells see connections and framed streams only, so that another transport can stand in.

mod connection;
mod endpoint;
pub mod seal;
mod socket;
mod stream;
mod tls;

pub use connection::{Connection, Ended, LinkError};
pub use endpoint::{BufferReport, Caller, ConnectError, Endpoint, WANTED_SOCKET_BUFFER, Wire};
pub use socket::Port;
pub use stream::{FrameReceiver, FrameSender};
pub use tls::{
    CONTROLLER_NAME, ClientTls, Identity, ServerTls, TlsError, client_tls, enroll_tls, provider,
    server_tls, verify_controller,
};

#[cfg(test)]
mod tests;
