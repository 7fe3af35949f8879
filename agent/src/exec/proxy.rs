//! The way through an HTTP proxy. It is asked as nobody: which account the product shows to a proxy is the product's to know.

use std::io::{Error, ErrorKind, Result};

use agent_core::op::Outcome;
use agent_core::step::preflight::PROXY_SIGN_IN;
use protocol::ProxyAddress;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::exec::{shown, timely};

/// Longest head of an answer that is read.
const HEAD: usize = 8 * 1024;

/// Tells whether a proxy reaches a host.
pub(super) async fn reach(proxy: &ProxyAddress, host: &str, port: u16) -> Outcome {
    match timely(status(proxy, host, port)).await {
        Ok(status) => judge(port, status).map_or_else(Outcome::Failed, |()| Outcome::Done),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// What an answer means. A tunnel is there or not; at port 80 any answer of the host will do, and these are the proxy's own.
fn judge(port: u16, status: u16) -> std::result::Result<(), String> {
    match (port, status) {
        (_, 407) => Err(format!("{PROXY_SIGN_IN}: it answers 407")),
        (80, 502..=504) => Err(format!("the proxy answers {status}")),
        (80, _) | (_, 200..=299) => Ok(()),
        (_, status) => Err(format!("the proxy answers {status}")),
    }
}

/// Begins TLS with a host behind a proxy, and gives the certificates that are shown there.
pub(super) async fn look(proxy: &ProxyAddress, host: &str) -> Outcome {
    const TLS: u16 = 443;
    let looked = async {
        let (status, stream) = asked(proxy, host, TLS).await?;
        judge(TLS, status).map_err(Error::other)?;
        shown::chain(host, stream).await
    };
    match timely(looked).await {
        Ok(chain) => Outcome::Chain(chain),
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// Tells whether whoever serves a port answers by HTTP, directly: any answer will do (PF28).
pub(super) async fn page(host: &str, port: u16) -> Outcome {
    let answered = async {
        let head = head(host)?;
        exchange(TcpStream::connect((host, port)).await?, &head, "the host").await
    };
    match timely(answered).await {
        Ok(_) => Outcome::Done,
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

/// The status by which a proxy answers.
async fn status(proxy: &ProxyAddress, host: &str, port: u16) -> Result<u16> {
    asked(proxy, host, port).await.map(|(status, _)| status)
}

/// The same, with the connection: behind a status that means a tunnel it leads to the host.
async fn asked(proxy: &ProxyAddress, host: &str, port: u16) -> Result<(u16, TcpStream)> {
    let head = head(host)?;
    let request = match port {
        80 => head,
        _ => format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"),
    };
    let address = proxy.as_str().trim_start_matches("http://");
    exchange(TcpStream::connect(address).await?, &request, "the proxy").await
}

/// A question about the first page of a host, as a proxy takes it; servers take it as well.
fn head(host: &str) -> Result<String> {
    // It becomes part of a request.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if host.is_empty() || !host.bytes().all(plain) {
        return Err(Error::other(format!("{host} cannot stand in a request")));
    }
    Ok(format!(
        "HEAD http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    ))
}

/// Sends a request; gives the status of the answer, and the connection behind its head.
async fn exchange(mut stream: TcpStream, request: &str, who: &str) -> Result<(u16, TcpStream)> {
    stream.write_all(request.as_bytes()).await?;
    // To the end of the head and no further: what comes behind it is the host's. Of what is none of HTTP the first line is enough.
    let mut head = Vec::new();
    while head.len() < HEAD {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(error),
        }
        let ends = head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n");
        if ends || head.ends_with(b"\n") && !head.starts_with(b"HTTP/") {
            break;
        }
    }
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = String::from_utf8_lossy(line);
    let mut words = text.split_ascii_whitespace();
    let version = words.next().unwrap_or_default();
    let status = words.next().and_then(|word| word.parse().ok());
    match status {
        Some(status) if version.starts_with("HTTP/1.") => Ok((status, stream)),
        Some(_) | None => Err(Error::other(format!("{who}'s answer is none of HTTP"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use agent_core::op::Names;
    use rustls::ServerConfig;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// Asks a proxy that gives this answer; gives the first line that it was asked by as well.
    async fn asked(port: u16, answer: &'static str) -> (Outcome, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            let text = String::from_utf8(request).unwrap();
            text.lines().next().unwrap().to_owned()
        };
        let proxy = format!("http://{at}").parse().unwrap();
        tokio::join!(reach(&proxy, "login.example.test", port), serve)
    }

    #[tokio::test]
    async fn a_proxy_reaches_a_host_by_a_tunnel_or_by_a_question() {
        let (outcome, line) = asked(443, "HTTP/1.1 200 Connection established\r\n\r\n").await;
        assert_eq!(outcome, Outcome::Done);
        assert_eq!(line, "CONNECT login.example.test:443 HTTP/1.1");
        let (outcome, line) = asked(80, "HTTP/1.0 404 Not Found\r\n\r\n").await;
        assert_eq!(outcome, Outcome::Done, "any answer of the host");
        assert_eq!(line, "HEAD http://login.example.test/ HTTP/1.1");
    }

    #[tokio::test]
    async fn what_a_proxy_refuses_is_told_and_a_sign_in_as_that() {
        for (port, answer, words) in [
            (
                443,
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                PROXY_SIGN_IN,
            ),
            (
                80,
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                PROXY_SIGN_IN,
            ),
            (
                443,
                "HTTP/1.1 403 Forbidden\r\n\r\n",
                "the proxy answers 403",
            ),
            (
                80,
                "HTTP/1.1 504 Gateway Time-out\r\n\r\n",
                "the proxy answers 504",
            ),
            (443, "SSH-2.0-x\r\n", "none of HTTP"),
            (443, "", "none of HTTP"),
        ] {
            let (outcome, _) = asked(port, answer).await;
            let Outcome::Failed(why) = &outcome else {
                unreachable!("{answer}: {outcome:?}")
            };
            assert!(why.contains(words), "{answer}: {why}");
        }
    }

    /// A certificate and its key, made by itself or by an authority; with the authority's own certificate behind it.
    fn certificate(name: &str) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let mut parameters = rcgen::CertificateParams::default();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let authority = rcgen::CertifiedIssuer::self_signed(parameters, key).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &authority).unwrap();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (vec![leaf.der().clone(), authority.der().clone()], key)
    }

    /// A server of TLS in those versions.
    fn acceptor(
        (chain, key): (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>),
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key);
        TlsAcceptor::from(Arc::new(config.unwrap()))
    }

    /// Looks through a proxy that ends TLS itself, as one that inspects does, or leads to a host of its own: both answer on one connection.
    async fn looked(answer: &'static str, tls: Option<TlsAcceptor>) -> Outcome {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let serve = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                request.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(answer.as_bytes()).await.unwrap();
            if let Some(tls) = tls
                && let Ok(mut stream) = tls.accept(stream).await
            {
                // Until whoever looks goes away.
                let mut rest = Vec::new();
                drop(stream.read_to_end(&mut rest).await);
                assert_eq!(rest, b"", "nothing is said to the host");
            }
        };
        let proxy = format!("http://{at}").parse().unwrap();
        tokio::join!(look(&proxy, "login.example.test"), serve).0
    }

    #[tokio::test]
    async fn the_certificates_behind_a_proxy_are_those_that_are_shown_there() {
        const TUNNEL: &str = "HTTP/1.1 200 Connection established\r\nVia: 1.1 gate\r\n\r\n";
        // What they lead to is judged elsewhere. Whether they are the host's own is judged here, by the rules of TLS: a name that
        // stands in them counts, and a star for one label of it.
        for (name, is_of_host) in [
            ("login.example.test", true),
            ("LOGIN.example.test", true),
            ("*.example.test", true),
            ("gate.example.test", false),
            ("example.test", false),
            ("*.test", false),
            ("*.login.example.test", false),
        ] {
            for versions in [&[&rustls::version::TLS12], &[&rustls::version::TLS13]] {
                let (chain, key) = certificate(name);
                let der: Vec<Vec<u8>> = chain.iter().map(|one| one.as_ref().to_vec()).collect();
                let outcome = looked(TUNNEL, Some(acceptor((chain, key), versions))).await;
                let Outcome::Chain(shown) = outcome else {
                    unreachable!("{name}: {outcome:?}")
                };
                assert_eq!(shown.certificates, der, "{name}");
                let names = if is_of_host {
                    Names::OfHost
                } else {
                    Names::Others(vec![name.to_owned()])
                };
                assert_eq!(shown.names, names, "{name}");
            }
        }
    }

    #[tokio::test]
    async fn where_no_tls_comes_about_behind_a_proxy_is_told() {
        for (answer, words) in [
            (
                "HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
                PROXY_SIGN_IN,
            ),
            ("HTTP/1.1 403 Forbidden\r\n\r\n", "the proxy answers 403"),
            ("HTTP/1.1 200 Connection established\r\n\r\n", "no TLS 1.2"),
            (
                "HTTP/1.1 200 Connection established\r\n\r\nSSH-2.0-x\r\n",
                "no TLS 1.2",
            ),
            ("", "none of HTTP"),
        ] {
            let outcome = looked(answer, None).await;
            let Outcome::Failed(why) = &outcome else {
                unreachable!("{answer}: {outcome:?}")
            };
            assert!(why.contains(words), "{answer}: {why}");
        }
    }

    #[tokio::test]
    async fn a_port_that_is_open_and_speaks_no_http_is_no_host_of_revocation() {
        for (answer, words) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n", None),
            ("HTTP/1.0 503 Service Unavailable\r\n\r\n", None),
            (
                "220 mail.example.test ESMTP\r\n",
                Some("the host's answer is none of HTTP"),
            ),
            ("", Some("the host's answer is none of HTTP")),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = listener.local_addr().unwrap().port();
            let serve = async {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") {
                    request.push(stream.read_u8().await.unwrap());
                }
                assert!(request.starts_with(b"HEAD http://127.0.0.1/ HTTP/1.1\r\n"));
                stream.write_all(answer.as_bytes()).await.unwrap();
            };
            let (outcome, ()) = tokio::join!(page("127.0.0.1", port), serve);
            match (outcome, words) {
                (Outcome::Done, None) => {}
                (Outcome::Failed(why), Some(words)) => assert!(why.contains(words), "{why}"),
                other => unreachable!("{answer}: {other:?}"),
            }
        }
    }

    #[tokio::test]
    async fn a_name_that_would_write_a_request_of_its_own_is_not_asked() {
        let proxy = "http://127.0.0.1:9".parse().unwrap();
        let outcome = reach(&proxy, "a\r\nX: y", 443).await;
        let Outcome::Failed(why) = &outcome else {
            unreachable!("{outcome:?}")
        };
        assert!(why.contains("cannot stand in a request"), "{why}");
    }
}
