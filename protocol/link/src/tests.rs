//! The link over real sockets on loopback.

use protocol::key::SigningKey;
use protocol::wire::close::Close;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
};

use super::*;

struct Authority {
    certificate: Vec<u8>,
    issuer: rcgen::Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let certificate = params.self_signed(&key).unwrap().der().to_vec();
    Authority {
        certificate,
        issuer: rcgen::Issuer::new(params, key),
    }
}

impl Authority {
    fn issue(&self, name: &str, usage: ExtendedKeyUsagePurpose) -> (Identity, SigningKey) {
        let key = SigningKey::generate();
        let pair = KeyPair::try_from(key.to_pkcs8()).unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&pair, &self.issuer).unwrap();
        (
            Identity {
                chain: vec![certificate.der().to_vec()],
                key: key.to_pkcs8(),
            },
            key,
        )
    }
}

async fn greet(wire: Wire) {
    let authority = authority();
    let roots = vec![authority.certificate.clone()];
    let (controller, _) = authority.issue(CONTROLLER_NAME, ExtendedKeyUsagePurpose::ServerAuth);
    let (agent, agent_key) = authority.issue("a.example", ExtendedKeyUsagePurpose::ClientAuth);
    let server = Endpoint::server(
        "127.0.0.1:0".parse().unwrap(),
        &server_tls(&controller, &roots).unwrap(),
        wire,
        &[7; 32],
    )
    .unwrap();
    let address = server.local_address().unwrap();
    let serving = tokio::spawn(async move {
        let connection = server.accept().await.unwrap().handshake().await.unwrap();
        let key = connection.peer_key();
        let (mut send, mut receive) = connection.accept().await.unwrap();
        let text: String = receive.expect().await.unwrap();
        send.send(&format!("{text}, too")).await.unwrap();
        send.finish_and_wait().await.unwrap();
        connection.close(Close::Revoked, "for the test");
        server.close(Close::Done).await;
        key
    });
    let client = Endpoint::client(address, wire).unwrap();
    let connection = client
        .connect(address, &client_tls(&agent, &roots).unwrap())
        .await
        .unwrap();
    let (mut send, mut receive) = connection.open().await.unwrap();
    send.send(&"hello".to_owned()).await.unwrap();
    assert_eq!(receive.expect::<String>().await.unwrap(), "hello, too");
    assert_eq!(receive.receive::<String>().await.unwrap(), None);
    let ended = connection.closed().await;
    assert_eq!(ended.close, Some(Close::Revoked));
    assert_eq!(ended.text, "this agent was revoked: for the test");
    assert_eq!(serving.await.unwrap(), Some(agent_key.public()));
}

#[tokio::test]
async fn both_sides_know_each_other_over_the_native_socket() {
    greet(Wire::Native).await;
}

#[tokio::test]
async fn both_sides_know_each_other_over_the_plain_socket() {
    greet(Wire::Plain).await;
}

#[tokio::test]
async fn a_certificate_of_another_authority_is_refused() {
    let (ours, theirs) = (authority(), authority());
    let (controller, _) = ours.issue(CONTROLLER_NAME, ExtendedKeyUsagePurpose::ServerAuth);
    let (stranger, _) = theirs.issue("a.example", ExtendedKeyUsagePurpose::ClientAuth);
    let roots = vec![ours.certificate.clone()];
    let tls = server_tls(&controller, &roots).unwrap();
    let server =
        Endpoint::server("127.0.0.1:0".parse().unwrap(), &tls, Wire::Native, &[7; 32]).unwrap();
    let address = server.local_address().unwrap();
    let serving =
        tokio::spawn(async move { server.accept().await.unwrap().handshake().await.map(drop) });
    let client = Endpoint::client(address, Wire::Native).unwrap();
    let connection = client
        .connect(address, &client_tls(&stranger, &roots).unwrap())
        .await
        .unwrap();
    let ended = connection.closed().await;
    assert!(ended.text.contains("refused the certificate"), "{ended:?}");
    assert!(serving.await.unwrap().is_err());
}

/// Both ends of a connection, and the endpoints that they live by.
async fn connected() -> (Connection, Connection, [Endpoint; 2]) {
    let authority = authority();
    let roots = vec![authority.certificate.clone()];
    let (controller, _) = authority.issue(CONTROLLER_NAME, ExtendedKeyUsagePurpose::ServerAuth);
    let (agent, _) = authority.issue("a.example", ExtendedKeyUsagePurpose::ClientAuth);
    let tls = server_tls(&controller, &roots).unwrap();
    let server =
        Endpoint::server("127.0.0.1:0".parse().unwrap(), &tls, Wire::Native, &[7; 32]).unwrap();
    let address = server.local_address().unwrap();
    let client = Endpoint::client(address, Wire::Native).unwrap();
    let tls = client_tls(&agent, &roots).unwrap();
    let (dialed, taken) = tokio::join!(client.connect(address, &tls), async {
        server.accept().await.unwrap().handshake().await.unwrap()
    });
    (dialed.unwrap(), taken, [client, server])
}

/// Whoever holds the connection answers, whatever its program reads; whoever has ended it does not, and neither does a socket
/// that is no more.
#[tokio::test]
async fn a_peer_answers_while_it_holds_the_connection() {
    let (dialed, taken, _endpoints) = connected().await;
    assert!(taken.answers().await, "it reads no stream at all");
    assert!(taken.answers().await);
    dialed.close(Close::Done, "");
    assert!(!taken.answers().await);
}

/// Whose stream is cut off with its connection closes it, since it hears nothing more: the peer's reason outlasts that.
#[tokio::test]
async fn the_first_word_that_ends_a_connection_stays_its_end() {
    let (dialed, taken, _endpoints) = connected().await;
    let (_send, mut receive) = dialed.open().await.unwrap();
    taken.close(Close::Stopping, "");
    assert!(receive.receive::<String>().await.is_err());
    dialed.close(Close::Protocol, "");
    let ended = dialed.closed().await;
    assert_eq!((ended.close, ended.closed), (Some(Close::Stopping), true));
    // Whoever closed it first knows that it did.
    taken.close(Close::Revoked, "");
    let ended = taken.closed().await;
    assert_eq!((ended.close, ended.closed), (None, true));
}

#[test]
fn the_controller_is_verified_under_the_shown_root_alone() {
    let (ours, theirs) = (authority(), authority());
    let (controller, _) = ours.issue(CONTROLLER_NAME, ExtendedKeyUsagePurpose::ServerAuth);
    let (agent, _) = ours.issue("a.example", ExtendedKeyUsagePurpose::ClientAuth);
    assert!(verify_controller(&controller.chain, std::slice::from_ref(&ours.certificate)).is_ok());
    assert!(verify_controller(&controller.chain, &[theirs.certificate]).is_err());
    assert!(verify_controller(&agent.chain, &[ours.certificate]).is_err());
    assert!(verify_controller(&[], &[]).is_err());
}
