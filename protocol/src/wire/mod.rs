//! Frames and messages. A wire version is a frozen module and an ALPN name; the rest of the code imports [`latest`].

pub mod close;
pub mod codec;
pub mod frame;
pub mod latest;
pub mod v1;
