//! What an agent sends on its events stream: its journal, its pulses and its progress.

use link::{Connection, FrameReceiver, FrameSender, LinkError};
use protocol::TargetId;
use protocol::key::PublicKey;
use protocol::wire::close::Close;
use protocol::wire::latest::{EventsDown, EventsUp};

use crate::driver::Progress;
use crate::session::heard::Heard;
use crate::session::serve::{Gateway, offer_again};

/// Takes in what comes on the events stream of that connection, until it ends. What cannot be taken in ends that connection and no
/// other: a newer session of the same target may have been taken up meanwhile.
pub(super) async fn events(
    gateway: &Gateway,
    connection: &Connection,
    target: &TargetId,
    key: PublicKey,
    mut send: FrameSender,
    mut receive: FrameReceiver,
) -> Result<(), LinkError> {
    while let Some(up) = receive.receive().await? {
        let name = target.clone();
        match up {
            EventsUp::Entries {
                epoch,
                first,
                entries,
            } => {
                let Some(heard) = Heard::read(entries, target, key) else {
                    connection.close(Close::Protocol, "");
                    return Ok(());
                };
                let stored = gateway
                    .hub
                    .act(move |core, batch, answer| {
                        let last = core.entries(batch, &name, epoch, first, heard);
                        batch.then(move |stored| {
                            answer.send(last.filter(|_| stored.is_ok())).ok();
                        });
                    })
                    .await;
                match stored {
                    Ok(Some((index, resend))) => {
                        send.send(&EventsDown::Acknowledged { index }).await?;
                        if let Some(bundle) = resend {
                            offer_again(gateway, target, bundle).await;
                        }
                    }
                    // They do not follow, or could not be stored: the agent sends again after its next welcome.
                    Ok(None) => connection.close(Close::Stopping, ""),
                    Err(_) => return Ok(()),
                }
            }
            EventsUp::Pulse { serving } => {
                gateway
                    .hub
                    .tell(move |core, batch| core.pulse(&name, serving, batch))
                    .await;
            }
            EventsUp::Progress {
                generation,
                step,
                percent,
                text,
            } => {
                let progress = Progress {
                    step,
                    percent,
                    text,
                };
                gateway
                    .hub
                    .tell(move |core, _| core.progresses(name, generation, progress))
                    .await;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Arc;
    use std::time::Duration;

    use controller_core::record::Record;
    use controller_core::versions::Versions;
    use link::{Endpoint, Identity, Wire, client_tls, server_tls};
    use protocol::key::SigningKey;
    use protocol::signed::Phase;
    use protocol::wire::latest::{ControlDown, Entry, Opening};
    use protocol::{BundleId, Digest, Epoch, EventIndex, Generation, RolloutId, StepIndex};
    use tokio::sync::{mpsc, watch};

    use super::*;
    use crate::authority::{self, Authority};
    use crate::disk::Disk;
    use crate::driver;
    use crate::session::registry::{Handle, Registry};
    use crate::store::Store;

    /// Both ends of a connection between a controller and an agent.
    struct Pair {
        here: Connection,
        there: Connection,
    }

    /// An agent's certificate, and its key.
    fn agent(authority: &Authority, target: &TargetId) -> (Identity, PublicKey) {
        let key = SigningKey::generate();
        let pair = rcgen::KeyPair::try_from(key.to_pkcs8()).unwrap();
        let request = rcgen::CertificateParams::default();
        let request = request.serialize_request(&pair).unwrap().der().to_vec();
        let issued = authority.issue(target, &request, crate::now()).unwrap();
        let identity = Identity {
            chain: issued.issued.chain,
            key: key.to_pkcs8(),
        };
        (identity, key.public())
    }

    async fn connect(server: &Endpoint, client: &Endpoint, tls: &link::ClientTls) -> Pair {
        let address = server.local_address().unwrap();
        let dials = client.connect(address, tls);
        let hears = async { server.accept().await.unwrap().handshake().await };
        let (there, here) = tokio::join!(dials, hears);
        Pair {
            here: here.unwrap(),
            there: there.unwrap(),
        }
    }

    /// A controller with its log, and an agent that dials it.
    struct Setting {
        gateway: Gateway,
        target: TargetId,
        key: PublicKey,
        server: Endpoint,
        client: Endpoint,
        tls: link::ClientTls,
        driving: tokio::task::JoinHandle<()>,
        folder: tempfile::TempDir,
    }

    impl Setting {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let state = authority::initialized(folder.path());
            let now = crate::now();
            let log = state.join("log.sqlite");
            let (store, _) = Store::open(&log, Some(Epoch(1)), now, Disk::InPlace).unwrap();
            let authority = Arc::new(Authority::open(&state).unwrap());
            let sessions: Arc<Registry> = Arc::default();
            let (hub, driving) = driver::start(
                store.clone(),
                store.records().await.unwrap(),
                Arc::clone(&authority),
                Arc::clone(&sessions),
                Arc::new(Versions::built_in()),
            )
            .await
            .unwrap();
            let driving = tokio::spawn(driving);
            let target: TargetId = "s1.a.test".parse().unwrap();
            let (identity, key) = agent(&authority, &target);
            let roots = authority.authority();
            let controller = authority.controller_identity(now).unwrap();
            let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
            let tls = server_tls(&controller, &roots).unwrap();
            let reset = authority.reset_secret();
            let server = Endpoint::server(any, &tls, Wire::Native, &reset).unwrap();
            let client = Endpoint::client(any, Wire::Native).unwrap();
            let tls = client_tls(&identity, &roots).unwrap();
            let artifacts = state.join("artifacts");
            Self {
                gateway: Gateway::new(hub, store, authority, sessions, artifacts),
                target,
                key,
                server,
                client,
                tls,
                driving,
                folder,
            }
        }

        async fn connects(&self) -> Pair {
            connect(&self.server, &self.client, &self.tls).await
        }

        /// That connection is the target's session; what it is told comes out here.
        fn is_its_session(&self, connection: &Connection) -> mpsc::Receiver<ControlDown> {
            let (control, words) = mpsc::channel(8);
            let sessions = &self.gateway.sessions;
            let handle = Handle {
                number: sessions.number(),
                connection: connection.clone(),
                control,
                offers: mpsc::channel(1).0,
                superseded: watch::channel(None).0,
            };
            sessions.insert(&self.target, handle);
            words
        }
    }

    /// What came on the older connection is taken in, or not, when the newer one has its place already.
    #[tokio::test]
    async fn what_an_older_session_brings_ends_no_newer_one() {
        let setting = Setting::new().await;
        // No text at all, and events that follow on nothing that is stored here.
        for (body, close) in [
            (vec![0xff], Close::Protocol),
            (b"{}".to_vec(), Close::Stopping),
        ] {
            let older = setting.connects().await;
            let newer = setting.connects().await;
            let (mut up, _down) = older.there.open().await.unwrap();
            up.send(&Opening::Events).await.unwrap();
            let (send, mut receive) = older.here.accept().await.unwrap();
            receive.expect::<Opening>().await.unwrap();
            let _words = setting.is_its_session(&newer.here);
            let entry = Entry {
                kind: 1,
                at_millis: 0,
                body,
            };
            let entries = EventsUp::Entries {
                epoch: Epoch(7),
                first: EventIndex(1),
                entries: vec![entry],
            };
            up.send(&entries).await.unwrap();
            let (gateway, here) = (setting.gateway.clone(), older.here.clone());
            let (name, key) = (setting.target.clone(), setting.key);
            let taking =
                tokio::spawn(
                    async move { events(&gateway, &here, &name, key, send, receive).await },
                );
            let ended = tokio::select! {
                ended = older.there.closed() => ended,
                ended = newer.there.closed() => panic!("the newer session ended: {ended}"),
            };
            assert_eq!(ended.close, Some(close));
            assert!(newer.here.is_open(), "{close:?}");
            taking.abort();
        }
        setting.driving.abort();
    }

    /// The word that stands for its bundle is lost with the turn that could not be stored. Nothing else would say it to an agent that goes
    /// on: its session ends, so that it hears it with its next welcome.
    #[tokio::test]
    async fn whoever_accepted_its_bundle_in_a_turn_that_could_not_be_stored_hears_what_stands_anew()
    {
        let setting = Setting::new().await;
        let Pair { here, there } = setting.connects().await;
        let mut words = setting.is_its_session(&here);
        let hub = &setting.gateway.hub;
        let generation = Generation(1);
        let (target, key) = (setting.target.clone(), setting.key);
        let stands = hub.act(move |core, batch, answer| {
            let records = [
                Record::AgentEnrolled {
                    target: target.clone(),
                    key,
                    epoch: Epoch(1),
                    token: Digest::ZERO,
                    by: "token".to_owned(),
                    simulated: true,
                },
                Record::BundleIssued {
                    rollout: RolloutId(1),
                    target: target.clone(),
                    generation,
                    phase: Phase::Prepare,
                    bundle: BundleId(Digest::ZERO),
                    expires: batch.now.plus(Duration::from_secs(3600)),
                },
                Record::Attested {
                    target,
                    generation,
                    step: StepIndex(0),
                    by: "anna".to_owned(),
                },
            ];
            for record in records {
                core.record(batch, record);
            }
            batch.then(move |stored| {
                answer.send(stored.is_ok()).ok();
            });
        });
        assert_eq!(stands.await, Ok(true));
        let word = ControlDown::Attested {
            generation,
            step: StepIndex(0),
            by: "anna".to_owned(),
        };
        let log = setting.folder.path().join("controller/log.sqlite");
        let log = rusqlite::Connection::open(log).unwrap();
        let trigger =
            "CREATE TRIGGER full BEFORE INSERT ON log BEGIN SELECT RAISE(ABORT, 'full'); END";
        for is_stored in [true, false] {
            if !is_stored {
                log.execute(trigger, []).unwrap();
            }
            let target = setting.target.clone();
            let accepts = hub.tell(move |core, batch| core.accepted(batch, &target));
            let begins = hub.act(|core, batch, answer| {
                core.record(batch, Record::Begun { epoch: Epoch(1) });
                batch.then(move |stored| {
                    answer.send(stored.is_ok()).ok();
                });
            });
            // Both are in the queue before the driver turns to it.
            let ((), stored) = tokio::join!(accepts, begins);
            assert_eq!(stored, Ok(is_stored));
            assert_eq!(words.try_recv().ok(), is_stored.then(|| word.clone()));
            assert_eq!(here.is_open(), is_stored);
        }
        assert_eq!(there.closed().await.close, Some(Close::Stopping));
        setting.driving.abort();
    }
}
