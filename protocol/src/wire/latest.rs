//! The newest wire version: what the rest of the code speaks.

pub use crate::wire::v1::*;
