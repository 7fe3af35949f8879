//! The whole TLS configuration: explicit provider, TLS 1.3 alone, client certificates, no early data and no session
//! tickets, since a resumed session is not checked for revocation and an offer is not replay-safe.

use std::fmt;
use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};

use protocol::wire::latest::{ALPN, ENROLL_ALPN};

/// The name in the controller's certificate. Agents know controllers by the authority, not by a DNS name that moves.
pub const CONTROLLER_NAME: &str = "controller.entrain";

/// Says why a TLS configuration could not be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A certificate of the authority cannot be used.
    #[error("could not use the authority's certificates")]
    Authority(#[source] rustls::Error),
    /// The own certificate or key cannot be used.
    #[error("could not use the own certificate and key")]
    Identity(#[source] rustls::Error),
    /// The verifier could not be built.
    #[error("could not build the certificate verifier")]
    Verifier(#[from] rustls::client::VerifierBuilderError),
    /// The configuration lacks what QUIC needs.
    #[error("the configuration has no cipher suite that QUIC needs")]
    Suite(#[from] quinn::crypto::rustls::NoInitialCipherSuite),
    /// The peer's certificate was not accepted.
    #[error("the controller's certificate was not accepted")]
    Peer(#[source] rustls::Error),
}

/// A certificate chain and its key. The key does not print.
#[derive(Clone)]
pub struct Identity {
    /// End entity first, DER.
    pub chain: Vec<Vec<u8>>,
    /// PKCS#8 DER.
    pub key: Vec<u8>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({} certificates)", self.chain.len())
    }
}

impl Identity {
    fn certificates(&self) -> Vec<CertificateDer<'static>> {
        self.chain
            .iter()
            .cloned()
            .map(CertificateDer::from)
            .collect()
    }

    fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()))
    }
}

/// The one TLS provider: X25519MLKEM768 first.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// How a controller answers.
#[derive(Clone)]
pub struct ServerTls(pub(crate) Arc<QuicServerConfig>);

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServerTls")
    }
}

/// How an agent dials.
#[derive(Clone)]
pub struct ClientTls(pub(crate) Arc<QuicClientConfig>);

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientTls")
    }
}

fn roots(authority: &[Vec<u8>]) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in authority {
        roots
            .add(CertificateDer::from(certificate.clone()))
            .map_err(TlsError::Authority)?;
    }
    Ok(Arc::new(roots))
}

/// The controller's side. A client certificate is verified where one is shown; an enrolling agent has none yet, so it is
/// the session that refuses a peer without one on the session protocol.
///
/// # Errors
/// When certificates or key cannot be used.
pub fn server_tls(identity: &Identity, authority: &[Vec<u8>]) -> Result<ServerTls, TlsError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots(authority)?, provider())
        .allow_unauthenticated()
        .build()?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Identity)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.certificates(), identity.key())
        .map_err(TlsError::Identity)?;
    config.alpn_protocols = vec![ALPN.to_vec(), ENROLL_ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    Ok(ServerTls(Arc::new(QuicServerConfig::try_from(config)?)))
}

/// An enrolled agent's side.
///
/// # Errors
/// When certificates or key cannot be used.
pub fn client_tls(identity: &Identity, authority: &[Vec<u8>]) -> Result<ClientTls, TlsError> {
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Identity)?
        .with_root_certificates(roots(authority)?)
        .with_client_auth_cert(identity.certificates(), identity.key())
        .map_err(TlsError::Identity)?;
    config.alpn_protocols = vec![ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(ClientTls(Arc::new(QuicClientConfig::try_from(config)?)))
}

/// An enrolling agent's side: any certificate is taken for the handshake, and nothing secret is said until the trust root
/// that the controller shows has the digest from the join file and [`verify_controller`] holds under it.
///
/// # Errors
/// When the configuration cannot be built.
pub fn enroll_tls() -> Result<ClientTls, TlsError> {
    let mut config = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(TlsError::Identity)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(VerifiedLater(provider())))
        .with_no_client_auth();
    config.alpn_protocols = vec![ENROLL_ALPN.to_vec()];
    config.resumption = rustls::client::Resumption::disabled();
    Ok(ClientTls(Arc::new(QuicClientConfig::try_from(config)?)))
}

/// Verifies the chain that a controller showed during enrollment under the authority of a trust root.
///
/// # Errors
/// When the chain does not lead to the authority, has another name or is out of date.
pub fn verify_controller(chain: &[Vec<u8>], authority: &[Vec<u8>]) -> Result<(), TlsError> {
    let verifier =
        WebPkiServerVerifier::builder_with_provider(roots(authority)?, provider()).build()?;
    let missing = || TlsError::Peer(rustls::Error::NoCertificatesPresented);
    let (end_entity, intermediates) = chain.split_first().ok_or_else(missing)?;
    let intermediates: Vec<CertificateDer<'_>> = intermediates
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    let name = ServerName::try_from(CONTROLLER_NAME).expect("the constant is a DNS name");
    verifier
        .verify_server_cert(
            &CertificateDer::from(end_entity.as_slice()),
            &intermediates,
            &name,
            &[],
            UnixTime::now(),
        )
        .map(drop)
        .map_err(TlsError::Peer)
}

/// Checks the handshake's signature and leaves the chain to [`verify_controller`].
#[derive(Debug)]
struct VerifiedLater(Arc<CryptoProvider>);

impl ServerCertVerifier for VerifiedLater {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        None
    }
}
