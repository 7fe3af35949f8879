//! The way through an HTTP proxy. It is asked as nobody: which account the product shows to a proxy is the product's to know.

use std::io::{Error, Result};

use agent_core::op::Outcome;
use agent_core::step::preflight::PROXY_SIGN_IN;
use protocol::ProxyAddress;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest first line of an answer that is read.
const LINE: usize = 512;

/// Tells whether a proxy reaches a host.
pub(super) async fn reach(proxy: &ProxyAddress, host: &str, port: u16) -> Outcome {
    match tokio::time::timeout(super::REACH, status(proxy, host, port)).await {
        Ok(Ok(status)) => judge(port, status),
        Ok(Err(error)) => Outcome::Failed(error.to_string()),
        Err(_) => Outcome::Failed(format!("no answer within {} s", super::REACH.as_secs())),
    }
}

/// What an answer means. A tunnel is there or not; at port 80 any answer of the host will do, and these are the proxy's own.
fn judge(port: u16, status: u16) -> Outcome {
    match (port, status) {
        (_, 407) => Outcome::Failed(format!("{PROXY_SIGN_IN}: it answers 407")),
        (80, 502..=504) => Outcome::Failed(format!("the proxy answers {status}")),
        (80, _) | (_, 200..=299) => Outcome::Done,
        (_, status) => Outcome::Failed(format!("the proxy answers {status}")),
    }
}

/// The status by which a proxy answers.
async fn status(proxy: &ProxyAddress, host: &str, port: u16) -> Result<u16> {
    // It becomes part of a request.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    if host.is_empty() || !host.bytes().all(plain) {
        return Err(Error::other(format!("{host} cannot stand in a request")));
    }
    let address = proxy.as_str().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await?;
    let request = match port {
        80 => format!("HEAD http://{host}/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"),
        _ => format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n"),
    };
    stream.write_all(request.as_bytes()).await?;
    let mut line = Vec::new();
    while !line.contains(&b'\n') && line.len() < LINE {
        let mut part = [0; 128];
        let read = stream.read(&mut part).await?;
        if read == 0 {
            break;
        }
        line.extend_from_slice(&part[..read]);
    }
    let text = String::from_utf8_lossy(&line);
    let mut words = text.split_ascii_whitespace();
    let version = words.next().unwrap_or_default();
    let status = words.next().and_then(|word| word.parse().ok());
    match status {
        Some(status) if version.starts_with("HTTP/1.") => Ok(status),
        Some(_) | None => Err(Error::other("the proxy's answer is none of HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

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
