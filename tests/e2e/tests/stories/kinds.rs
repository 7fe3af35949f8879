//! Real servers and models of servers do not meet: whichever side is of the other kind, and whoever of the two looks first.

use std::path::Path;

use agent::enroll::{self, EnrollError, Joining};
use agent::state::State;
use e2e::{World, server};
use link::{Endpoint, Wire, client_tls, enroll_tls};
use protocol::enroll::JoinFile;
use protocol::key::SigningKey;
use protocol::wire::close::Close;
use protocol::wire::latest::{EnrollAnswer, EnrollAsk, EnrollGreeting, Head, Hello, Opening};
use protocol::{Digest, Epoch, EventIndex, Generation};

const A: &str = "sync-01.corp.contoso.com";
const B: &str = "sync-02.corp.contoso.com";

fn joining(simulated: bool) -> Joining {
    Joining {
        target: A.parse().expect("a name"),
        simulated,
        machine: "a server".to_owned(),
    }
}

fn join_file(world: &World) -> JoinFile {
    let bytes = std::fs::read(world.join_file_of(A)).expect("the join file");
    serde_json::from_slice(&bytes).expect("a join file")
}

/// Joins as the agent does that looks first.
async fn join(folder: &Path, file: &JoinFile, simulated: bool) -> Result<(), EnrollError> {
    enroll::enroll(folder, file, &joining(simulated), None, |_| {}).await
}

/// Asks to join without having looked at what kind the controller is.
async fn asks_blindly(file: &JoinFile, simulated: bool) -> EnrollAnswer {
    let address = enroll::resolve(&file.controller).expect("an address");
    let endpoint = Endpoint::client(address, Wire::from_environment()).expect("a socket");
    let tls = enroll_tls().expect("a configuration");
    let connection = endpoint.connect(address, &tls).await.expect("a connection");
    let (mut send, mut receive) = connection.open().await.expect("a stream");
    send.send(&()).await.expect("it is sent");
    let _greeting: EnrollGreeting = receive.expect().await.expect("a greeting");
    let token = serde_json::to_value(&file.token).expect("a string");
    let ask = EnrollAsk::Join {
        token: token.as_str().unwrap_or_default().to_owned(),
        target: A.parse().expect("a name"),
        request: enroll::request(&SigningKey::generate()).expect("a request"),
        simulated,
        epoch: Epoch(1),
        machine: "a server".to_owned(),
    };
    send.send(&ask).await.expect("it is sent");
    receive.expect().await.expect("an answer")
}

/// Opens a session with what `folder` was enrolled with, and says of itself what is not so. Gives how the controller ends it.
async fn says_to_be(folder: &Path, simulated: bool) -> Option<Close> {
    let state = State::open(folder).expect("an enrolled state");
    let address = enroll::resolve(&state.controller).expect("an address");
    let endpoint = Endpoint::client(address, Wire::from_environment()).expect("a socket");
    let tls = client_tls(&state.identity(), &state.authority()).expect("a configuration");
    let connection = endpoint.connect(address, &tls).await.expect("a connection");
    let (mut send, _receive) = connection.open().await.expect("a stream");
    let hello = Hello {
        target: state.target.clone(),
        agent_version: agent::VERSION.to_owned(),
        simulated,
        head: Head {
            epoch: Epoch(1),
            index: EventIndex(0),
            chain: Digest::of(b""),
        },
        generation: Generation(0),
        root_version: state.root.version,
    };
    let opening = Opening::Control(hello);
    send.send(&opening).await.expect("it is sent");
    connection.closed().await.close
}

async fn do_not_meet(world: &World, simulated: bool, kind: &str) {
    let (file, other) = (join_file(world), !simulated);
    let folder = tempfile::tempdir().expect("a folder");
    // The agent looks first, and shows its token to nobody.
    let refused = join(folder.path(), &file, other).await;
    assert!(
        matches!(refused, Err(EnrollError::OtherKind(_))),
        "{refused:?}"
    );
    // One that does not look is refused by the controller, where its operator sees it.
    let answer = asks_blindly(&file, other).await;
    let why = format!("this controller is {kind}, and the server is not");
    assert_eq!(answer, EnrollAnswer::Refused(why.clone()));
    world.refused(A, "join", &why);
    let agents = world.json(&["agents", "list", "--json"]);
    assert_eq!(agents["agents"].as_array().map(Vec::len), Some(0));
    // The same token is good for a server of the right kind, which has to stay of that kind.
    let folder = tempfile::tempdir().expect("a folder");
    join(folder.path(), &file, simulated)
        .await
        .expect("it is enrolled");
    let ended = says_to_be(folder.path(), other).await;
    assert_eq!(ended, Some(Close::OtherKind));
    world.refused(A, "session", Close::OtherKind.meaning());
}

#[tokio::test]
async fn a_real_controller_and_a_model_of_a_server_do_not_meet() {
    let mut world = World::for_real_servers();
    do_not_meet(&world, false, "real").await;
    // As whoever starts a fleet of models sees it.
    let file = world.join_file_of(B);
    world.start_agents(&[server(B, &[])], Some(&file));
    let said = world.agents_give_up();
    assert!(
        said.contains("this agent is simulated and the controller is real"),
        "{said}"
    );
}

#[tokio::test]
async fn a_simulated_controller_and_a_real_server_do_not_meet() {
    do_not_meet(&World::new(), true, "simulated").await;
}
