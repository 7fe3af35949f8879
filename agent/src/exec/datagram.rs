//! Ports that are served by datagrams: a question is sent that whoever serves the port answers, since an open port that is sent
//! anything else says nothing. Kerberos is not asked: a request for a ticket for nobody looks like an attack where the
//! directory is watched, and it goes by TCP as well.

use std::time::Duration;

use agent_core::op::Outcome;
use tokio::net::{UdpSocket, lookup_host};

/// How often a question is sent, since datagrams are lost, and how long each answer may take.
const ASKS: u32 = 3;
const ANSWER: Duration = Duration::from_secs(2);

/// Asks who the servers of the root are (RFC 1035): a server that does not know refuses, which is an answer.
const DNS: [u8; 17] = [
    0x45, 0x6e, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, // one question
    0, 0, 2, 0, 1, // the root, NS, IN
];

/// Asks the rootDSE for its clock, as nobody (RFC 4511; by UDP as MS-ADTS 3.1.1.3 has it [K]).
const LDAP: [u8; 52] = *b"\x30\x32\x02\x01\x01\x63\x2d\x04\x00\x0a\x01\x00\x0a\x01\x00\x02\x01\x00\x02\x01\x00\x01\x01\x00\x87\x0bobjectClass\x30\x0d\x04\x0bcurrentTime";

/// Tells whether the port answers.
pub(super) async fn reach(host: &str, port: u16) -> Outcome {
    match question(port) {
        Some(question) => ask(host, port, question).await,
        None => Outcome::Failed(format!("nothing is asked by UDP at port {port}")),
    }
}

const fn question(port: u16) -> Option<&'static [u8]> {
    match port {
        53 => Some(&DNS),
        389 => Some(&LDAP),
        _ => None,
    }
}

async fn ask(host: &str, port: u16, question: &[u8]) -> Outcome {
    match answered(host, port, question).await {
        Ok(true) => Outcome::Done,
        Ok(false) => {
            let waited = ANSWER.as_secs() * u64::from(ASKS);
            Outcome::Failed(format!("no answer by UDP within {waited} s"))
        }
        Err(error) => Outcome::Failed(error.to_string()),
    }
}

async fn answered(host: &str, port: u16, question: &[u8]) -> std::io::Result<bool> {
    let found = lookup_host((host, port)).await?.next();
    let to = found.ok_or_else(|| std::io::Error::other("the name has no address"))?;
    let own = if to.is_ipv6() { "[::]:0" } else { "0.0.0.0:0" };
    let socket = UdpSocket::bind(own).await?;
    // Only what comes from there is an answer.
    socket.connect(to).await?;
    let mut answer = [0; 512];
    for _ in 0..ASKS {
        socket.send(question).await?;
        // Windows reports an answer that is longer than this as an error, and it is one all the same.
        match tokio::time::timeout(ANSWER, socket.recv(&mut answer)).await {
            Ok(Ok(_)) => return Ok(true),
            Ok(Err(error)) if error.raw_os_error() == Some(LONGER) => return Ok(true),
            Ok(Err(error)) => return Err(error),
            Err(_) => {}
        }
    }
    Ok(false)
}

/// `WSAEMSGSIZE`.
const LONGER: i32 = 10040;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_questions_are_as_long_as_they_say() {
        for port in [53, 389] {
            assert!(question(port).is_some());
        }
        assert_eq!(usize::from(LDAP[1]), LDAP.len() - 2);
        assert_eq!(usize::from(LDAP[6]), LDAP.len() - 7);
        assert_eq!(question(88), None);
    }

    #[tokio::test]
    async fn whoever_answers_is_reached_and_whoever_does_not_is_told() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = server.local_addr().unwrap().port();
        let answers = async {
            let mut asked = [0; 512];
            // The first datagram is lost.
            server.recv_from(&mut asked).await.unwrap();
            let (length, from) = server.recv_from(&mut asked).await.unwrap();
            assert_eq!(&asked[..length], LDAP);
            server.send_to(b"answer", from).await.unwrap();
        };
        let (outcome, ()) = tokio::join!(ask("127.0.0.1", port, &LDAP), answers);
        assert_eq!(outcome, Outcome::Done);
        // Nobody is there any more: the system says so, or nobody does.
        drop(server);
        let outcome = ask("127.0.0.1", port, &DNS).await;
        assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    }
}
