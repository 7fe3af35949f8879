//! The only file that names bincode. Changing the codec is a change of this file and of the ALPN number.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::limits;

/// Says why bytes could not be decoded, or a message not encoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Not a message of that type.
    #[error("malformed message")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A message of that type, with something behind it.
    #[error("{0} bytes follow the message")]
    Trailing(usize),
    /// Longer than a frame may be.
    #[error("message of {0} bytes is over the frame limit")]
    TooLong(usize),
}

/// Encodes one message.
///
/// # Errors
/// When it is over the frame limit.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(message, bincode::config::standard())
        .map_err(|error| CodecError::Malformed(Box::new(error)))?;
    if bytes.len() > limits::MAX_FRAME_BYTES {
        return Err(CodecError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

/// Decodes one message and takes every byte.
///
/// # Errors
/// When the bytes are no such message, or are more than that.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let config = bincode::config::standard().with_limit::<{ limits::MAX_FRAME_BYTES }>();
    let (message, taken) = bincode::serde::decode_from_slice(bytes, config)
        .map_err(|error| CodecError::Malformed(Box::new(error)))?;
    if taken != bytes.len() {
        return Err(CodecError::Trailing(bytes.len() - taken));
    }
    Ok(message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_refused() {
        let mut bytes = encode(&(1_u32, "x")).unwrap();
        assert_eq!(
            decode::<(u32, String)>(&bytes).unwrap(),
            (1, "x".to_owned())
        );
        bytes.push(0);
        assert!(matches!(
            decode::<(u32, String)>(&bytes),
            Err(CodecError::Trailing(1))
        ));
    }

    #[test]
    fn a_length_that_cannot_be_is_refused_before_memory_is_taken() {
        // A claimed vector of 2^62 bytes.
        let bytes = [253, 0, 0, 0, 0, 0, 0, 0, 64];
        assert!(matches!(
            decode::<Vec<u8>>(&bytes),
            Err(CodecError::Malformed(_))
        ));
    }
}
