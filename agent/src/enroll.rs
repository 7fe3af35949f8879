//! Becoming known to a controller, and renewing with a certificate that has expired. The join file's digest decides which
//! trust root is believed; the token is said only to a controller that this root vouches for.

use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use link::{
    Connection, Endpoint, FrameReceiver, FrameSender, LinkError, TlsError, Wire, enroll_tls,
    verify_controller,
};
use protocol::enroll::JoinFile;
use protocol::key::SigningKey;
use protocol::signed::{ControllerKind, Envelope, TrustRoot};
use protocol::wire::close::Close;
use protocol::wire::latest::{EnrollAnswer, EnrollAsk, EnrollGreeting, Issued};
use protocol::{Digest, Epoch, TargetId, Timestamp};

use crate::journal::{Journal, JournalError};
use crate::state::{CertificateFile, State, StateError, decode_all};

/// How often an operator's approval is asked for.
const APPROVAL_POLL: Duration = Duration::from_secs(3);

/// Says why enrollment ended without a certificate.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The address cannot be resolved.
    #[error("could not resolve the controller's address {0}")]
    Address(String, #[source] std::io::Error),
    /// No UDP socket.
    #[error("could not open a UDP socket")]
    Socket(#[source] std::io::Error),
    /// Not reached.
    #[error("could not reach the controller")]
    Connect(#[from] link::ConnectError),
    /// The conversation was cut.
    #[error("the controller broke off")]
    Link(#[from] LinkError),
    /// TLS cannot be set up, or the controller is not who the root vouches for.
    #[error("the controller could not be verified")]
    Tls(#[from] TlsError),
    /// Another root than the join file names.
    #[error(
        "the controller shows another trust root ({shown}) than the join file names ({wanted}); nothing was told to it"
    )]
    OtherRoot {
        /// Digest of what it shows.
        shown: Digest,
        /// Digest in the join file.
        wanted: Digest,
    },
    /// The root cannot be read.
    #[error("the controller's trust root cannot be read: {0}")]
    Root(String),
    /// This build and that controller do not meet.
    #[error("{0}")]
    OtherKind(&'static str),
    /// The controller said no.
    #[error("the controller refused: {0}")]
    Refused(String),
    /// The request could not be made.
    #[error("could not make the certificate request")]
    Request(#[from] rcgen::Error),
    /// The folder cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What the agent says of itself when it joins.
#[derive(Debug, Clone)]
pub struct Joining {
    /// Name of the server.
    pub target: TargetId,
    /// True for a model of a server, or an agent with test anchors.
    pub simulated: bool,
    /// For whoever approves.
    pub machine: String,
}

/// Resolves the controller's address.
///
/// # Errors
/// When it has none.
pub fn resolve(controller: &str) -> Result<SocketAddr, EnrollError> {
    let unresolved = |source| EnrollError::Address(controller.to_owned(), source);
    let mut addresses = controller.to_socket_addrs().map_err(unresolved)?;
    addresses
        .next()
        .ok_or_else(|| unresolved(std::io::ErrorKind::NotFound.into()))
}

/// The certificate request of a key: only its public key is taken from it.
///
/// # Errors
/// When rcgen refuses the key.
pub fn request(key: &SigningKey) -> Result<Vec<u8>, rcgen::Error> {
    let pair = rcgen::KeyPair::try_from(key.to_pkcs8())?;
    Ok(rcgen::CertificateParams::default()
        .serialize_request(&pair)?
        .der()
        .to_vec())
}

/// Enrolls `folder` with a join file. The key is kept before it is shown, so that the same call can be made again when
/// the answer was lost.
///
/// # Errors
/// When the controller cannot be reached, is not who the join file names, or refuses.
pub async fn enroll(
    folder: &Path,
    join: &JoinFile,
    joining: &Joining,
    endpoint: Option<&Endpoint>,
    mut pending: impl FnMut(&str),
) -> Result<(), EnrollError> {
    let key = State::prepare(folder, &joining.target, &join.controller)?;
    let epoch = Journal::open(&folder.join("journal"), Epoch::by_chance)?
        .head()
        .epoch;
    loop {
        let (connection, mut send, mut receive, root) = greet(&join.controller, endpoint).await?;
        let shown = Digest::of(&root);
        if shown != join.trust_root {
            connection.close(Close::Done, "");
            return Err(EnrollError::OtherRoot {
                shown,
                wanted: join.trust_root,
            });
        }
        let trusted = vouch(&connection, &root)?;
        refuse_other_kind(trusted.kind, joining.simulated)?;
        let token = serde_json::to_value(&join.token).expect("a token is a string");
        let ask = EnrollAsk::Join {
            token: token.as_str().unwrap_or_default().to_owned(),
            target: joining.target.clone(),
            request: request(&key)?,
            simulated: joining.simulated,
            epoch,
            machine: joining.machine.clone(),
        };
        send.send(&ask).await?;
        let answer = receive.expect().await?;
        connection.close(Close::Done, "");
        match answer {
            EnrollAnswer::Issued(issued) => {
                State::keep_enrollment(folder, &root, &certificate(&issued))?;
                return Ok(());
            }
            EnrollAnswer::Pending { fingerprint } => {
                pending(&fingerprint);
                tokio::time::sleep(APPROVAL_POLL).await;
            }
            EnrollAnswer::Refused(why) => return Err(EnrollError::Refused(why)),
        }
    }
}

/// Renews a certificate that has expired: the enrolled key may do that, and nothing else.
///
/// # Errors
/// As [`enroll`].
pub async fn renew_expired(state: &mut State, endpoint: &Endpoint) -> Result<(), EnrollError> {
    let (connection, mut send, mut receive, _) = greet(&state.controller, Some(endpoint)).await?;
    verify_controller(&connection.peer_chain(), &state.authority())?;
    send.send(&EnrollAsk::Renew {
        request: request(&state.key)?,
    })
    .await?;
    let answer = receive.expect().await?;
    connection.close(Close::Done, "");
    match answer {
        EnrollAnswer::Issued(issued) => Ok(state.renewed(certificate(&issued))?),
        EnrollAnswer::Pending { .. } => Err(EnrollError::Refused(
            "the key waits for approval".to_owned(),
        )),
        EnrollAnswer::Refused(why) => Err(EnrollError::Refused(why)),
    }
}

/// A certificate as it is kept.
#[must_use]
pub fn certificate(issued: &Issued) -> CertificateFile {
    CertificateFile {
        chain: issued
            .chain
            .iter()
            .map(|der| BASE64_STANDARD.encode(der))
            .collect(),
        renew_after: Timestamp::from_millis(issued.renew_after_millis),
        expires: Timestamp::from_millis(issued.expires_millis),
    }
}

async fn greet(
    controller: &str,
    endpoint: Option<&Endpoint>,
) -> Result<(Connection, FrameSender, FrameReceiver, Vec<u8>), EnrollError> {
    let address = resolve(controller)?;
    let endpoint = match endpoint {
        Some(endpoint) => endpoint.clone(),
        None => Endpoint::client(address, Wire::from_environment()).map_err(EnrollError::Socket)?,
    };
    let connection = endpoint.connect(address, &enroll_tls()?).await?;
    let (mut send, mut receive) = connection.open().await?;
    // A stream shows to the peer with its first bytes.
    send.send(&()).await?;
    let greeting: EnrollGreeting = receive.expect().await?;
    Ok((connection, send, receive, greeting.root))
}

fn vouch(connection: &Connection, root: &[u8]) -> Result<TrustRoot, EnrollError> {
    let unreadable = |error: &dyn std::fmt::Display| EnrollError::Root(error.to_string());
    let envelope = Envelope::from_json(root).map_err(|error| unreadable(&error))?;
    let payload = envelope
        .payload_bytes()
        .map_err(|error| unreadable(&error))?;
    let trusted: TrustRoot =
        serde_json::from_slice(&payload).map_err(|error| unreadable(&error))?;
    verify_controller(&connection.peer_chain(), &decode_all(&trusted.authority))?;
    Ok(trusted)
}

fn refuse_other_kind(kind: ControllerKind, simulated: bool) -> Result<(), EnrollError> {
    match (kind, simulated) {
        (ControllerKind::Real, true) => Err(EnrollError::OtherKind(
            "this agent is simulated and the controller is real: they do not meet",
        )),
        (ControllerKind::Simulated, false) => Err(EnrollError::OtherKind(
            "this server is real and the controller is simulated: they do not meet",
        )),
        (ControllerKind::Real, false) | (ControllerKind::Simulated, true) => Ok(()),
    }
}
