//! A connection: who the peer is, streams, and why it ended.

use std::net::SocketAddr;

use protocol::key::PublicKey;
use protocol::wire::close::Close;
use protocol::wire::codec::CodecError;
use protocol::wire::frame::FrameTooLong;

use crate::stream::{FrameReceiver, FrameSender};

/// One connection to a peer whose certificate, if it showed one, was verified.
#[derive(Debug, Clone)]
pub struct Connection(pub(crate) quinn::Connection);

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Ended {
    /// The peer's reason, where it gave one.
    pub close: Option<Close>,
    /// A word of either side ended it, and not the link or a process that died.
    pub closed: bool,
    /// For people.
    pub text: String,
}

/// What can go wrong on a connection.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The connection is gone.
    #[error("the connection ended")]
    Ended(#[source] Ended),
    /// The stream was ended or reset by the peer.
    #[error("the stream was cut off")]
    Stream(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The peer announced a frame over the limit.
    #[error("the peer broke the protocol")]
    Frame(#[from] FrameTooLong),
    /// The frame holds no message of the expected kind.
    #[error("the peer sent what cannot be read")]
    Codec(#[from] CodecError),
}

impl From<quinn::ConnectionError> for LinkError {
    fn from(error: quinn::ConnectionError) -> Self {
        Self::Ended(ended(&error))
    }
}

/// What TLS says when a client certificate was refused: alert 0x100 and the alert's number, here any of the alerts for a
/// certificate or its signature (42 to 49, 51) and "certificate required" (116).
fn refused_certificate(code: u64) -> bool {
    matches!(code.checked_sub(0x100), Some(42..=49 | 51 | 116))
}

#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "quinn's enum, not ours: every other way to end reads the same"
)]
fn ended(error: &quinn::ConnectionError) -> Ended {
    match error {
        quinn::ConnectionError::ApplicationClosed(closed) => {
            let close = Close::from_code(closed.error_code.into_inner());
            let said = String::from_utf8_lossy(&closed.reason);
            let meaning = close.map_or("the peer closed the connection", Close::meaning);
            let text = if said.is_empty() {
                meaning.to_owned()
            } else {
                format!("{meaning}: {said}")
            };
            Ended {
                close,
                closed: true,
                text,
            }
        }
        quinn::ConnectionError::ConnectionClosed(closed)
            if refused_certificate(closed.error_code.into()) =>
        {
            Ended {
                close: None,
                closed: false,
                text: format!("the peer refused the certificate ({closed})"),
            }
        }
        _ => Ended {
            close: None,
            closed: *error == quinn::ConnectionError::LocallyClosed,
            text: error.to_string(),
        },
    }
}

impl Connection {
    /// Opens a stream in both directions.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn open(&self) -> Result<(FrameSender, FrameReceiver), LinkError> {
        let (send, receive) = self.0.open_bi().await?;
        Ok((FrameSender::new(send), FrameReceiver::new(receive)))
    }

    /// Waits for a stream that the peer opens.
    ///
    /// # Errors
    /// When the connection is gone.
    pub async fn accept(&self) -> Result<(FrameSender, FrameReceiver), LinkError> {
        let (send, receive) = self.0.accept_bi().await?;
        Ok((FrameSender::new(send), FrameReceiver::new(receive)))
    }

    /// Closes the connection with a reason; what is in flight is discarded. One that has ended keeps its end: whoever reads a stream
    /// finds that it is cut off, and closes, before others have asked why, and quinn would put "closed here" in the peer's word's place.
    pub fn close(&self, close: Close, said: &str) {
        if self.is_open() {
            self.0.close(close.code().into(), said.as_bytes());
        }
    }

    /// The connection stands, as far as this side knows.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.close_reason().is_none()
    }

    /// Asks the peer's transport for a sign of life, and waits until it gives one or the connection is gone. True says that the
    /// peer held this connection open after the question was sent: a process that has ended it, or has ended itself,
    /// acknowledges nothing more.
    pub async fn answers(&self) -> bool {
        let Ok((send, _receive)) = self.open().await else {
            return false;
        };
        // A stream on which nothing comes: who reads it finds its end, and who does not acknowledges it all the same.
        send.finish_and_wait().await.is_ok()
    }

    /// Waits until the connection is gone, and tells why.
    pub async fn closed(&self) -> Ended {
        ended(&self.0.closed().await)
    }

    /// The protocol that was agreed on.
    #[must_use]
    pub fn alpn(&self) -> Option<Vec<u8>> {
        let data = self
            .0
            .handshake_data()?
            .downcast::<quinn::crypto::rustls::HandshakeData>()
            .ok()?;
        data.protocol
    }

    /// The chain that the peer showed, end entity first, DER.
    #[must_use]
    pub fn peer_chain(&self) -> Vec<Vec<u8>> {
        let identity = self.0.peer_identity();
        let chain = identity.and_then(|any| {
            any.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>()
                .ok()
        });
        chain
            .map(|chain| chain.iter().map(|der| der.as_ref().to_vec()).collect())
            .unwrap_or_default()
    }

    /// The key in the certificate that the peer showed and possesses.
    #[must_use]
    pub fn peer_key(&self) -> Option<PublicKey> {
        let chain = self.peer_chain();
        let der = rustls::pki_types::CertificateDer::from(chain.into_iter().next()?);
        let parsed = rustls::server::ParsedCertificate::try_from(&der).ok()?;
        PublicKey::from_spki(&parsed.subject_public_key_info()).ok()
    }

    /// Where the peer is.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.0.remote_address()
    }
}
