//! Which certificates a host shows when TLS is begun with it, and whether the first is for that host. Nothing is said to it afterwards,
//! and no certificate is trusted: what they lead to is judged elsewhere, by Windows. That whoever shows them holds the key of the first is
//! verified, as TLS has it.

use std::io::{Error, Result};
use std::sync::Arc;

use agent_core::op::{Names, Shown};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Begins TLS 1.2 or later with a host over a connection that leads to it; gives the certificates that it shows, and for whom the first
/// one is.
///
/// # Errors
/// When TLS does not come about, or nothing is shown.
pub(super) async fn chain(host: &str, stream: TcpStream) -> Result<Shown> {
    let name = ServerName::try_from(host.to_owned()).map_err(Error::other)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TakesAll(provider)))
        .with_no_client_auth();
    let connecting = TlsConnector::from(Arc::new(config)).connect(name.clone(), stream);
    let stream = connecting
        .await
        .map_err(|error| Error::other(format!("no TLS 1.2: {error}")))?;
    let (_, connection) = stream.get_ref();
    let shown = connection.peer_certificates().unwrap_or_default();
    let own = shown
        .first()
        .ok_or_else(|| Error::other("no certificate was shown"))?;
    Ok(Shown {
        names: names(own, &name),
        certificates: shown.iter().map(|one| one.as_ref().to_vec()).collect(),
    })
}

/// For whom a certificate is, by the names that stand in it as such; a common name counts for nobody.
fn names(own: &CertificateDer<'_>, host: &ServerName<'_>) -> Names {
    let fits = ParsedCertificate::try_from(own).and_then(|own| verify_server_name(&own, host));
    match fits {
        Ok(()) => Names::OfHost,
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented,
            ..
        })) => Names::Others(presented.iter().map(|name| plain(name)).collect()),
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidForName)) => {
            Names::Others(Vec::new())
        }
        Err(why) => Names::Untold(why.to_string()),
    }
}

/// A name as it stands in a certificate: the library tells its kind around it.
fn plain(name: &str) -> String {
    let inner = name.strip_prefix("DnsName(\"");
    let inner = inner.and_then(|name| name.strip_suffix("\")"));
    inner.unwrap_or(name).to_owned()
}

/// Takes every certificate, to see which it is.
#[derive(Debug)]
struct TakesAll(Arc<CryptoProvider>);

impl ServerCertVerifier for TakesAll {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
