//! Listens for agents and serves each session. A session's tasks end with it; none is detached.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use controller_core::doubt::Doubt;
use controller_core::record::Record;
use link::{Connection, Endpoint, FrameReceiver, FrameSender, LinkError};
use protocol::chunk::ChunkList;
use protocol::key::PublicKey;
use protocol::limits;
use protocol::signed::ControllerKind;
use protocol::wire::close::Close;
use protocol::wire::latest::{
    ALPN, ArtifactAnswer, ArtifactAsk, ArtifactPart, BundleAnswer, BundleOffer, ControlDown,
    ControlUp, ENROLL_ALPN, Hello, Opening, SecretAnswer, Welcome,
};
use protocol::{BundleId, TargetId};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::authority::Authority;
use crate::driver::{Hub, OpenAsk};
use crate::session::events::events;
use crate::session::handshakes::{Handshakes, PATIENCE};
use crate::session::registry::{Handle, OUTBOUND, Registry};
use crate::store::Store;

/// Offers on their way at once over all sessions: a burst to the whole fleet must not overrun socket buffers.
const DISPATCH_WINDOW: usize = 256;

/// How long an offer that is not answered keeps its place in the window: the agents behind it wait that long at most.
const SLOT_PATIENCE: Duration = Duration::from_secs(2);

/// What every session needs.
#[derive(Debug, Clone)]
pub struct Gateway {
    /// The driver.
    pub hub: Hub,
    /// The store, for bundles that are offered again.
    pub store: Store,
    /// Certificates and root.
    pub authority: Arc<Authority>,
    /// Who is connected.
    pub sessions: Arc<Registry>,
    /// Folder of the artifact store.
    pub artifacts: PathBuf,
    /// The dispatch window.
    pub window: Arc<Semaphore>,
    /// Handshakes under way.
    pub handshakes: Arc<Handshakes>,
}

impl Gateway {
    /// A gateway with an empty window.
    #[must_use]
    pub fn new(
        hub: Hub,
        store: Store,
        authority: Arc<Authority>,
        sessions: Arc<Registry>,
        artifacts: PathBuf,
    ) -> Self {
        Self {
            hub,
            store,
            authority,
            sessions,
            artifacts,
            window: Arc::new(Semaphore::new(DISPATCH_WINDOW)),
            handshakes: Arc::default(),
        }
    }
}

/// Accepts peers until `stop`, then tells all of them.
pub async fn listen(gateway: Gateway, endpoint: Endpoint, mut stop: watch::Receiver<bool>) {
    let mut peers = JoinSet::new();
    loop {
        // Whoever dials while no place is free waits in the endpoint's queue.
        let next = async {
            let place = gateway.handshakes.place().await;
            Some((place, endpoint.accept().await?))
        };
        tokio::select! {
            next = next => {
                let Some((place, caller)) = next else { break };
                let caller = if gateway.handshakes.must_show(caller.peer()) {
                    caller.unless_unproved()
                } else {
                    Some(caller)
                };
                let Some(caller) = caller else { continue };
                gateway.handshakes.begun();
                let gateway = gateway.clone();
                peers.spawn(async move {
                    let peer = caller.peer();
                    let done = tokio::time::timeout(PATIENCE, caller.handshake()).await;
                    drop(place);
                    let why = match done {
                        Ok(Ok(connection)) => return greet(gateway, connection).await,
                        Ok(Err(error)) => std::error::Error::source(&error)
                            .map_or_else(|| error.to_string(), ToString::to_string),
                        Err(_) => format!("it was not over within {} s", PATIENCE.as_secs()),
                    };
                    tracing::debug!(%peer, %why, "a handshake failed");
                    gateway
                        .hub
                        .tell(move |core, batch| {
                            core.refused(batch.now, peer.ip().to_string(), "handshake", why);
                        })
                        .await;
                });
            }
            Some(ended) = peers.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a session panicked; the others go on");
                }
            }
            stopping = stop.wait_for(|stop| *stop) => {
                drop(stopping);
                break;
            }
        }
    }
    endpoint.close(Close::Stopping).await;
    peers.shutdown().await;
}

async fn greet(gateway: Gateway, connection: Connection) {
    let remote = connection.remote();
    match connection.alpn().as_deref() {
        Some(protocol) if protocol == ENROLL_ALPN => {
            if let Err(error) = super::enroll::serve(&gateway, &connection).await {
                tracing::debug!(%remote, %error, "an enrollment was broken off");
            }
        }
        Some(protocol) if protocol == ALPN => {
            let Some(key) = connection.peer_key() else {
                connection.close(Close::NoCertificate, "");
                return;
            };
            if let Err(error) = session(&gateway, &connection, key).await {
                tracing::debug!(%remote, %error, "a session ended");
            }
        }
        Some(_) | None => connection.close(Close::Protocol, "no protocol was agreed on"),
    }
}

struct Welcomed {
    resend: Option<BundleId>,
}

/// Why a session is not welcome.
#[derive(Debug, Clone, Copy)]
enum Unwelcome {
    /// As the agent is told.
    Close(Close),
    /// Its key is held.
    Doubted(Doubt),
    /// What its hello says contradicts what is stored. Whether that is so now, or was when it was sent, shows whether it answers.
    Contradicts(Doubt),
    /// What was decided about it could not be stored, so that it counts for nothing: it comes again.
    NotStored,
}

async fn session(
    gateway: &Gateway,
    connection: &Connection,
    key: PublicKey,
) -> Result<(), LinkError> {
    let (control_down, mut control_up) = connection.accept().await?;
    let Opening::Control(hello) = control_up.expect().await? else {
        connection.close(Close::Protocol, "the first stream is the control stream");
        return Ok(());
    };
    let target = hello.target.clone();
    let (control, words) = mpsc::channel(OUTBOUND);
    let (offers, bundles) = mpsc::channel(OUTBOUND);
    let number = gateway.sessions.number();
    let (superseded, newer) = watch::channel(None);
    let handle = Handle {
        number,
        connection: connection.clone(),
        control: control.clone(),
        offers,
        superseded,
    };
    let kind = gateway.authority.settings().kind;
    let decided = gateway
        .hub
        .act(move |core, batch, answer| admit(core, batch, &hello, key, kind, handle, answer))
        .await;
    let welcomed = match decided {
        Ok(Ok(welcomed)) => welcomed,
        Ok(Err(unwelcome)) => {
            let (close, said) = match unwelcome {
                Unwelcome::NotStored => (Close::Stopping, "what came of it could not be stored"),
                Unwelcome::Close(close) => (close, ""),
                Unwelcome::Doubted(doubt) => (Close::RolledBack, doubt.what()),
                Unwelcome::Contradicts(doubt) => {
                    // A hello may come late, when its agent is no more: then nobody answers.
                    if connection.answers().await {
                        let at = vec![connection.remote().ip().to_string()];
                        doubt_agent(gateway, &target, key, doubt, at).await;
                    }
                    (Close::RolledBack, doubt.what())
                }
            };
            tracing::warn!(%target, why = close.meaning(), "a session was refused");
            connection.close(close, said);
            if matches!(unwelcome, Unwelcome::NotStored) {
                forget(gateway, target, number).await;
                return Ok(());
            }
            let why = [close.meaning(), said].join(": ");
            let why = why.trim_end_matches(": ").to_owned();
            gateway
                .hub
                .tell(move |core, batch| {
                    core.refused(batch.now, target.to_string(), "session", why);
                })
                .await;
            return Ok(());
        }
        Err(_) => return Ok(()),
    };
    let mut tasks = JoinSet::new();
    control_down.set_priority(1);
    tasks.spawn(say(control_down, words));
    let (here, name) = (connection.clone(), target.clone());
    tasks.spawn(hear(gateway.clone(), here, name, control_up, control));
    tasks.spawn(offer(
        gateway.clone(),
        connection.clone(),
        target.clone(),
        bundles,
    ));
    tasks.spawn(streams(
        gateway.clone(),
        connection.clone(),
        target.clone(),
        key,
    ));
    if let Some(bundle) = welcomed.resend {
        offer_again(gateway, &target, bundle).await;
    }
    let newer = tokio::select! {
        ended = connection.closed() => {
            tracing::info!(%target, why = %ended, "a session ended");
            // It has another journal than the one that is stored, as it says itself.
            if ended.close == Some(Close::RolledBack) {
                let at = vec![connection.remote().ip().to_string()];
                doubt_agent(gateway, &target, key, Doubt::Forked, at).await;
            }
            None
        }
        newer = taken_over(newer) => Some(newer),
    };
    tasks.shutdown().await;
    if let Some(newer) = newer {
        // An agent dials when its last connection has ended on its side. Whoever answers here now, after the newer one's hello,
        // did not send that.
        let (close, said) = if connection.answers().await {
            let at = vec![connection.remote().ip().to_string(), newer.ip().to_string()];
            doubt_agent(gateway, &target, key, Doubt::Twice, at).await;
            (Close::RolledBack, Doubt::Twice.what())
        } else {
            (Close::Superseded, "")
        };
        connection.close(close, said);
        tracing::info!(%target, why = close.meaning(), "a session ended");
    }
    forget(gateway, target, number).await;
    Ok(())
}

/// A session is over. In the driver's own order: a newer session of the same target may have been taken up before.
async fn forget(gateway: &Gateway, target: TargetId, number: u64) {
    gateway
        .hub
        .tell(move |core, batch| {
            if core.sessions().remove(&target, number) {
                core.left(&target, batch.now);
            }
        })
        .await;
}

/// Where the session is that took this one's place.
async fn taken_over(mut newer: watch::Receiver<Option<SocketAddr>>) -> SocketAddr {
    loop {
        if let Some(newer) = *newer.borrow_and_update() {
            return newer;
        }
        // The handle is gone, and nobody takes its place any more: the session ends with its connection.
        if newer.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// Has it recorded that an agent is doubted, and waits until that is stored.
async fn doubt_agent(
    gateway: &Gateway,
    target: &TargetId,
    key: PublicKey,
    doubt: Doubt,
    at: Vec<String>,
) {
    let target = target.clone();
    let noted = gateway.hub.act(move |core, batch, answer| {
        core.doubted(batch, (&target, key), doubt, at);
        batch.then(move |_| {
            answer.send(()).ok();
        });
    });
    // A controller that is stopping sees it again when both come back.
    noted.await.ok();
}

fn admit(
    core: &mut crate::driver::Core,
    batch: &mut crate::driver::Batch,
    hello: &Hello,
    key: PublicKey,
    kind: ControllerKind,
    handle: Handle,
    answer: oneshot::Sender<Result<Welcomed, Unwelcome>>,
) {
    // The welcome, and the refusal too, rest on what comes with them in this turn: they are said once that is stored.
    let considered = consider(core, batch, hello, key, kind, handle);
    batch.then(move |stored| {
        let answered = match stored {
            Ok(()) => considered,
            Err(_) => Err(Unwelcome::NotStored),
        };
        drop(answer.send(answered));
    });
}

fn consider(
    core: &mut crate::driver::Core,
    batch: &mut crate::driver::Batch,
    hello: &Hello,
    key: PublicKey,
    kind: ControllerKind,
    handle: Handle,
) -> Result<Welcomed, Unwelcome> {
    if core.roster.is_revoked(&key.fingerprint()) {
        return Err(Unwelcome::Close(Close::Revoked));
    }
    let Some(agent) = core
        .roster
        .agents()
        .get(&hello.target)
        .filter(|agent| agent.key == key)
    else {
        return Err(Unwelcome::Close(Close::Unknown));
    };
    if hello.simulated != (kind == ControllerKind::Simulated) || agent.simulated != hello.simulated
    {
        return Err(Unwelcome::Close(Close::OtherKind));
    }
    if let Some(doubted) = core.fleet.doubted().get(&hello.target) {
        return Err(Unwelcome::Doubted(doubted.doubt));
    }
    let (stored, epoch) = (agent.head, core.epoch);
    if hello.head.epoch != stored.epoch || hello.head.index < stored.index {
        return Err(Unwelcome::Contradicts(Doubt::WentBack));
    }
    if hello.head.index == stored.index && hello.head.chain != stored.chain {
        return Err(Unwelcome::Contradicts(Doubt::Forked));
    }
    // Nothing may be issued under a number that this agent has seen on another bundle.
    let unmet = core.fleet.unmet().contains(&hello.target);
    if !unmet && hello.generation >= core.fleet.next_generation(&hello.target) {
        return Err(Unwelcome::Close(Close::Behind));
    }
    let words = core.fleet.words_of_welcome(&hello.target, hello.generation);
    let welcome = Welcome {
        controller_epoch: epoch,
        stored,
        now_millis: batch.now.as_millis(),
    };
    // The welcome goes before whatever anybody has to say to this session. The channel is fresh and holds these few words; it
    // is read once the session is admitted.
    for word in std::iter::once(ControlDown::Welcome(welcome)).chain(words) {
        drop(handle.control.try_send(word));
    }
    core.sessions().insert(&hello.target, handle);
    let resend = core.arrived(batch, hello);
    Ok(Welcomed { resend })
}

/// Offers a stored bundle once more: the same bytes.
pub(super) async fn offer_again(gateway: &Gateway, target: &TargetId, bundle: BundleId) {
    match gateway.store.blob_of("bundle", bundle.0).await {
        Ok(bytes) => gateway.sessions.offer(target, bytes),
        Err(error) => {
            tracing::error!(%target, %error, "a bundle cannot be offered again: it is withdrawn, and issued anew where its rollout goes on");
            let (target, why) = (target.clone(), error.to_string());
            let noted = gateway.hub.act(move |core, batch, answer| {
                core.cannot_be_offered(batch, &target, bundle, why);
                answer.send(()).ok();
            });
            noted.await.ok();
        }
    }
}

async fn say(mut stream: FrameSender, mut words: mpsc::Receiver<ControlDown>) {
    while let Some(word) = words.recv().await {
        if stream.send(&word).await.is_err() {
            return;
        }
    }
}

async fn hear(
    gateway: Gateway,
    connection: Connection,
    target: TargetId,
    mut stream: FrameReceiver,
    control: mpsc::Sender<ControlDown>,
) {
    loop {
        let word = match stream.receive::<ControlUp>().await {
            Ok(Some(word)) => word,
            Ok(None) => return,
            // What cannot be read leaves a session that no longer hears: it begins anew.
            Err(error) => {
                tracing::debug!(%target, %error, "the control stream ended");
                connection.close(Close::Protocol, "");
                return;
            }
        };
        match word {
            ControlUp::PermitAsked {
                generation,
                step,
                attempt,
                section,
            } => {
                let target = target.clone();
                gateway
                    .hub
                    .tell(move |core, _| {
                        core.permit_asked(&target, generation, step, attempt, section)
                    })
                    .await;
            }
            ControlUp::RenewalAsked { request } => {
                renew(&gateway, &target, request, control.clone()).await
            }
        }
    }
}

async fn renew(
    gateway: &Gateway,
    target: &TargetId,
    request: Vec<u8>,
    control: mpsc::Sender<ControlDown>,
) {
    let target = target.clone();
    gateway
        .hub
        .tell(move |core, batch| {
            let key = Authority::requested_key(&request).ok();
            let enrolled = core.roster.agents().get(&target).map(|agent| agent.key);
            // The session's own key, and no other.
            if key.is_none() || key != enrolled {
                tracing::warn!(%target, "a renewal for another key was refused");
                return;
            }
            match core.authority().issue(&target, &request, batch.now) {
                Ok(certificate) => {
                    let key = key.map(|key| key.fingerprint());
                    let Some(key) = key else { return };
                    let record = Record::CertificateIssued {
                        target,
                        key,
                        serial: certificate.serial,
                        expires: certificate.expires,
                    };
                    core.record(batch, record);
                    batch.then(move |stored| {
                        if stored.is_ok() {
                            drop(control.try_send(ControlDown::Certificate(certificate.issued)));
                        }
                    });
                }
                Err(error) => {
                    tracing::error!(%target, %error, "a certificate could not be renewed")
                }
            }
        })
        .await;
}

async fn offer(
    gateway: Gateway,
    connection: Connection,
    target: TargetId,
    mut bundles: mpsc::Receiver<Vec<u8>>,
) {
    while let Some(envelope) = bundles.recv().await {
        let Ok(place) = gateway.window.acquire().await else {
            return;
        };
        let mut offered = std::pin::pin!(async {
            let (mut send, mut receive) = connection.open().await?;
            send.send(&BundleOffer { envelope }).await?;
            send.finish();
            receive.expect::<BundleAnswer>().await
        });
        // An agent that does not answer keeps its stream, and its place in the window only for a moment.
        let answered = match tokio::time::timeout(SLOT_PATIENCE, &mut offered).await {
            Ok(answered) => answered,
            Err(_) => {
                drop(place);
                offered.await
            }
        };
        match answered {
            Ok(BundleAnswer::Accepted) => {
                tracing::debug!(%target, "a bundle was accepted");
                let target = target.clone();
                gateway
                    .hub
                    .tell(move |core, batch| core.accepted(batch, &target))
                    .await;
            }
            Ok(BundleAnswer::Refused(why)) => tracing::warn!(%target, %why, "a bundle was refused"),
            Err(error) => {
                tracing::debug!(%target, %error, "an offer was cut off; it is made again after the next welcome");
                return;
            }
        }
    }
}

async fn streams(gateway: Gateway, connection: Connection, target: TargetId, key: PublicKey) {
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            accepted = connection.accept() => {
                let Ok((send, receive)) = accepted else { break };
                let (gateway, connection, target) = (gateway.clone(), connection.clone(), target.clone());
                tasks.spawn(async move {
                    if let Err(error) = stream(&gateway, &connection, &target, key, send, receive).await {
                        match error {
                            // What breaks the protocol does not get another try on this connection.
                            LinkError::Frame(_) | LinkError::Codec(_) => {
                                tracing::warn!(%target, %error, "the protocol was broken");
                                connection.close(Close::Protocol, "");
                            }
                            LinkError::Ended(_) | LinkError::Stream(_) => {
                                tracing::debug!(%target, %error, "a stream ended");
                            }
                        }
                    }
                });
            }
            Some(ended) = tasks.join_next() => drop(ended),
        }
    }
}

async fn stream(
    gateway: &Gateway,
    connection: &Connection,
    target: &TargetId,
    key: PublicKey,
    send: FrameSender,
    mut receive: FrameReceiver,
) -> Result<(), LinkError> {
    match receive.expect().await? {
        Opening::Events => events(gateway, connection, target, key, send, receive).await,
        Opening::Artifact(ask) => artifact(gateway, ask, send).await,
        Opening::Secret { ask } => secret(gateway, target, ask, send).await,
        Opening::Control(_) => Ok(()),
    }
}

async fn artifact(
    gateway: &Gateway,
    ask: ArtifactAsk,
    mut send: FrameSender,
) -> Result<(), LinkError> {
    let known = gateway
        .hub
        .read(move |core, _| core.stored_size(&ask.sha256))
        .await
        .ok()
        .flatten();
    let Some(size) = known else {
        return send
            .send(&ArtifactAnswer::Refused(
                "there is no such artifact".to_owned(),
            ))
            .await;
    };
    let path = gateway.artifacts.join(ask.sha256.to_string());
    let (path, from) = match ask.part {
        ArtifactPart::Chunks => (path.with_extension("chunks"), 0),
        ArtifactPart::From(chunk) => (path, u64::from(chunk) * limits::CHUNK_BYTES as u64),
    };
    let disk = gateway.store.disk();
    let opened = disk.run(move || {
        let mut file = File::open(&path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from))?;
        Ok((file, length))
    });
    let whole = match ask.part {
        ArtifactPart::Chunks => ChunkList::count_for(size) * 32,
        ArtifactPart::From(_) => size,
    };
    let (mut file, length) = match opened.await.flatten() {
        Ok((_, length)) if length != whole => {
            tracing::error!(artifact = %ask.sha256.short(), bytes = length, wanted = whole, "an artifact in the store is damaged; add it again");
            return send
                .send(&ArtifactAnswer::Refused(format!(
                    "its copy in the artifact store is damaged: {length} of {whole} bytes; add it again"
                )))
                .await;
        }
        Ok((file, length)) => (file, length.saturating_sub(from)),
        Err(error) => {
            tracing::error!(artifact = %ask.sha256.short(), %error, "an artifact in the store cannot be read; add it again");
            let why = if error.kind() == io::ErrorKind::NotFound {
                "is gone"
            } else {
                "cannot be read"
            };
            return send
                .send(&ArtifactAnswer::Refused(format!(
                    "its copy in the artifact store {why}; add it again"
                )))
                .await;
        }
    };
    send.send(&ArtifactAnswer::Follows(length)).await?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let read = disk.run(move || {
            let count = file.read(&mut buffer)?;
            Ok((file, buffer, count))
        });
        let count;
        (file, buffer, count) = read
            .await
            .flatten()
            .map_err(|error: io::Error| LinkError::Stream(Box::new(error)))?;
        if count == 0 {
            send.finish();
            return Ok(());
        }
        send.send_raw(&buffer[..count]).await?;
    }
}

async fn secret(
    gateway: &Gateway,
    target: &TargetId,
    ask: Vec<u8>,
    mut send: FrameSender,
) -> Result<(), LinkError> {
    let (answer, answered) = oneshot::channel();
    let open = OpenAsk {
        target: target.clone(),
        envelope: ask,
        answer,
    };
    let Ok(number) = gateway
        .hub
        .act(move |core, _, told| {
            // The asking stream waits for this and for nothing else.
            told.send(core.ask_opened(open)).ok();
        })
        .await
    else {
        return Ok(());
    };
    let sealed = tokio::select! {
        sealed = answered => sealed,
        () = send.abandoned() => {
            gateway.hub.tell(move |core, _| drop(core.asks.remove(&number))).await;
            return Ok(());
        }
    };
    let Ok(sealed) = sealed else {
        return send
            .send(&SecretAnswer::Refused(
                "the question was withdrawn".to_owned(),
            ))
            .await;
    };
    send.send(&sealed).await?;
    send.finish_and_wait().await
}
