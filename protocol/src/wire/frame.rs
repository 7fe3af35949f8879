//! Frames: a length of four bytes, little-endian, and a message. The length is checked before memory is taken.

use crate::limits;

/// Bytes before the message.
pub const HEADER_BYTES: usize = 4;

/// Says that a peer announced a frame over the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {0} bytes is over the limit of {limit}", limit = limits::MAX_FRAME_BYTES)]
pub struct FrameTooLong(pub u32);

/// Reads the header of a frame.
///
/// # Errors
/// When the length is over the limit.
pub fn length(header: [u8; HEADER_BYTES]) -> Result<usize, FrameTooLong> {
    let length = u32::from_le_bytes(header);
    match usize::try_from(length) {
        Ok(bytes) if bytes <= limits::MAX_FRAME_BYTES => Ok(bytes),
        Ok(_) | Err(_) => Err(FrameTooLong(length)),
    }
}

/// Puts the header before a message that the codec made.
///
/// # Panics
/// Never: the codec refuses messages over the frame limit, which fits in 32 bits.
#[must_use]
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("the codec bounds messages");
    let mut bytes = Vec::with_capacity(HEADER_BYTES + message.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(message);
    bytes
}
