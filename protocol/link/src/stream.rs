//! Framed streams. A frame is read by one owner from start to end; no read is dropped in the middle.

use protocol::wire::{codec, frame};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::LinkError;

/// Sends frames, and raw bytes where a frame announced them.
#[derive(Debug)]
pub struct FrameSender(quinn::SendStream);

/// Receives frames, and raw bytes where a frame announced them.
#[derive(Debug)]
pub struct FrameReceiver(quinn::RecvStream);

fn cut(error: impl std::error::Error + Send + Sync + 'static) -> LinkError {
    LinkError::Stream(Box::new(error))
}

impl FrameSender {
    pub(crate) const fn new(stream: quinn::SendStream) -> Self {
        Self(stream)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When it is over the frame limit or the stream is gone.
    pub async fn send<T: Serialize + Sync>(&mut self, message: &T) -> Result<(), LinkError> {
        let bytes = frame::frame(&codec::encode(message)?);
        self.send_raw(&bytes).await
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the stream is gone.
    pub async fn send_raw(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        self.0.write_all(bytes).await.map_err(cut)
    }

    /// Says that nothing more will come.
    pub fn finish(&mut self) {
        // It fails only when the stream was finished before, which is what is wanted.
        drop(self.0.finish());
    }

    /// Says that nothing more will come, and waits until the peer has it all.
    ///
    /// # Errors
    /// When the peer did not take it.
    pub async fn finish_and_wait(mut self) -> Result<(), LinkError> {
        self.finish();
        self.0.stopped().await.map(drop).map_err(cut)
    }

    /// Waits until the peer no longer reads this stream, or is gone.
    pub async fn abandoned(&mut self) {
        // Either way nobody listens any more.
        drop(self.0.stopped().await);
    }

    /// Puts this stream before others of the connection; the default is 0.
    pub fn set_priority(&self, priority: i32) {
        // It fails only when the stream is gone, which the next send tells.
        drop(self.0.set_priority(priority));
    }
}

impl FrameReceiver {
    pub(crate) const fn new(stream: quinn::RecvStream) -> Self {
        Self(stream)
    }

    /// Receives one message; `None` when the peer has finished. Not to be dropped half way: what was read of the message would be lost.
    ///
    /// # Errors
    /// When the stream is cut off, or holds what is no such message.
    pub async fn receive<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LinkError> {
        let mut header = [0; frame::HEADER_BYTES];
        match self.0.read_exact(&mut header).await {
            Ok(()) => {}
            Err(quinn::ReadExactError::FinishedEarly(0)) => return Ok(None),
            Err(error) => return Err(cut(error)),
        }
        let mut bytes = vec![0; frame::length(header)?];
        self.0.read_exact(&mut bytes).await.map_err(cut)?;
        Ok(Some(codec::decode(&bytes)?))
    }

    /// Receives exactly one message.
    ///
    /// # Errors
    /// As [`Self::receive`], and when the peer has finished.
    pub async fn expect<T: DeserializeOwned>(&mut self) -> Result<T, LinkError> {
        self.receive()
            .await?
            .ok_or_else(|| cut(std::io::Error::from(std::io::ErrorKind::UnexpectedEof)))
    }

    /// Fills `buffer` with raw bytes.
    ///
    /// # Errors
    /// When the stream is cut off before that.
    pub async fn receive_raw(&mut self, buffer: &mut [u8]) -> Result<(), LinkError> {
        self.0.read_exact(buffer).await.map_err(cut)
    }
}
