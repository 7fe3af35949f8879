//! Sessions with the controller. One task of this module dials, says hello, waits for the welcome and then carries frames
//! both ways until the connection ends; then it dials again, with growing and jittered pauses. It owns the streams; what
//! the frames mean is the agent's.

use std::net::SocketAddr;
use std::time::Duration;

use link::{Connection, Ended, Endpoint, FrameReceiver, FrameSender, LinkError, client_tls};
use protocol::chance;
use protocol::wire::latest::{
    BundleAnswer, BundleOffer, ControlDown, ControlUp, EventsDown, EventsUp, Hello, Opening,
    Welcome,
};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

use crate::backoff::{Attempt, Backoff};
use crate::enroll;

/// Pause after an answer that says not to come back: an operator may still change their mind.
const REFUSED_PAUSE: Duration = Duration::from_secs(300);

/// Frames on their way to the controller.
const OUTBOUND: usize = 64;

/// What a session brings to the agent.
#[derive(Debug)]
pub enum Inbound {
    /// Connected means welcomed.
    Welcomed {
        /// The controller's word.
        welcome: Welcome,
        /// Where to send.
        session: Session,
    },
    /// A bundle is offered.
    Offer {
        /// Its envelope.
        envelope: Vec<u8>,
        /// Where the answer goes.
        answer: oneshot::Sender<BundleAnswer>,
    },
    /// A word on the control stream.
    Control {
        /// The word.
        word: ControlDown,
        /// When it came: whoever reads it may be at something else meanwhile.
        came: tokio::time::Instant,
    },
    /// Events are stored.
    Acknowledged(EventsDown),
    /// The session is over.
    Lost(Ended),
}

/// A session as the agent holds it.
#[derive(Debug, Clone)]
pub struct Session {
    /// For streams of their own.
    pub connection: Connection,
    /// To the control stream.
    pub control: mpsc::Sender<ControlUp>,
    /// To the events stream.
    pub events: mpsc::Sender<EventsUp>,
}

/// What is needed to dial: followed as the agent renews its certificate and its journal grows.
#[derive(Debug, Clone)]
pub struct Dial {
    /// Certificate chain and key.
    pub identity: link::Identity,
    /// Certificates of the authority.
    pub authority: Vec<Vec<u8>>,
    /// Where the controller listens.
    pub controller: String,
    /// What to say first.
    pub hello: Hello,
}

/// Dials and serves sessions until the agent is gone.
pub async fn keep(endpoint: Endpoint, dial: watch::Receiver<Dial>, inbound: mpsc::Sender<Inbound>) {
    let mut backoff = Backoff::default();
    loop {
        let now = dial.borrow().clone();
        let (ended, attempt) = match once(&endpoint, &now, &inbound).await {
            Ok((ended, Some(time))) => {
                let closed = ended.closed;
                (ended, Attempt::Stood { time, closed })
            }
            Ok((ended, None)) => (ended, Attempt::Failed),
            Err(text) => {
                let (close, closed) = (None, false);
                let ended = Ended {
                    close,
                    closed,
                    text,
                };
                (ended, Attempt::Failed)
            }
        };
        let refused = ended.close.is_some_and(|close| !close.may_retry());
        if refused {
            tracing::error!(target_name = %now.hello.target, why = %ended, "the controller refuses this agent");
        }
        if inbound.send(Inbound::Lost(ended)).await.is_err() {
            return;
        }
        let pause = backoff.after(attempt, chance());
        let wait = if refused { REFUSED_PAUSE } else { pause };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = inbound.closed() => return,
        }
    }
}

/// One attempt: how it ended, and for how long a session stood, if one did.
async fn once(
    endpoint: &Endpoint,
    dial: &Dial,
    inbound: &mpsc::Sender<Inbound>,
) -> Result<(Ended, Option<Duration>), String> {
    let address = enroll::resolve(&dial.controller);
    let address: SocketAddr = address.map_err(|error| protocol::causes(&error))?;
    let tls =
        client_tls(&dial.identity, &dial.authority).map_err(|error| protocol::causes(&error))?;
    let connection = endpoint.connect(address, &tls).await;
    let connection = connection.map_err(|error| protocol::causes(&error))?;
    let mut tasks = JoinSet::new();
    let welcomed = match begin(&connection, dial, inbound, &mut tasks).await {
        Ok(()) => Some(tokio::time::Instant::now()),
        // The connection's own end says more than the stream's. It has ended before the next one is dialed: two that answer at
        // once are two agents to the controller.
        Err(LinkError::Codec(error)) => {
            connection.close(protocol::wire::close::Close::Protocol, "");
            return Err(error.to_string());
        }
        Err(_) => None,
    };
    let ended = connection.closed().await;
    tasks.shutdown().await;
    Ok((ended, welcomed.map(|at| at.elapsed())))
}

async fn begin(
    connection: &Connection,
    dial: &Dial,
    inbound: &mpsc::Sender<Inbound>,
    tasks: &mut JoinSet<()>,
) -> Result<(), LinkError> {
    let (mut control_up, mut control_down) = connection.open().await?;
    control_up.set_priority(1);
    control_up
        .send(&Opening::Control(dial.hello.clone()))
        .await?;
    let ControlDown::Welcome(welcome) = control_down.expect().await? else {
        connection.close(protocol::wire::close::Close::Protocol, "no welcome");
        return Ok(());
    };
    let (mut events_up, events_down) = connection.open().await?;
    events_up.send(&Opening::Events).await?;
    let (control, controls) = mpsc::channel(OUTBOUND);
    let (events, batches) = mpsc::channel(OUTBOUND);
    tasks.spawn(write(control_up, controls));
    tasks.spawn(write(events_up, batches));
    let (here, to) = (connection.clone(), inbound.clone());
    let control_came = |word| Inbound::Control {
        word,
        came: tokio::time::Instant::now(),
    };
    tasks.spawn(read(here, control_down, to, control_came));
    let (here, to) = (connection.clone(), inbound.clone());
    tasks.spawn(read(here, events_down, to, Inbound::Acknowledged));
    tasks.spawn(take_bundles(connection.clone(), inbound.clone()));
    let session = Session {
        connection: connection.clone(),
        control,
        events,
    };
    // The agent is gone when nobody listens; the session then ends with it.
    drop(inbound.send(Inbound::Welcomed { welcome, session }).await);
    Ok(())
}

async fn write<T: serde::Serialize + Sync>(
    mut stream: FrameSender,
    mut messages: mpsc::Receiver<T>,
) {
    while let Some(message) = messages.recv().await {
        if let Err(error) = stream.send(&message).await {
            tracing::debug!(%error, "a stream to the controller ended");
            return;
        }
    }
}

async fn read<T: serde::de::DeserializeOwned>(
    connection: Connection,
    mut stream: FrameReceiver,
    inbound: mpsc::Sender<Inbound>,
    wrap: impl Fn(T) -> Inbound,
) {
    loop {
        match stream.receive().await {
            Ok(Some(message)) => {
                if inbound.send(wrap(message)).await.is_err() {
                    return;
                }
            }
            Ok(None) => return,
            // What cannot be read leaves a session that no longer hears: it begins anew.
            Err(error) => {
                tracing::debug!(%error, "a stream from the controller ended");
                connection.close(protocol::wire::close::Close::Protocol, "");
                return;
            }
        }
    }
}

async fn take_bundles(connection: Connection, inbound: mpsc::Sender<Inbound>) {
    while let Ok((mut send, mut receive)) = connection.accept().await {
        let Ok(BundleOffer { envelope }) = receive.expect().await else {
            continue;
        };
        let (answer, answered) = oneshot::channel();
        if inbound
            .send(Inbound::Offer { envelope, answer })
            .await
            .is_err()
        {
            return;
        }
        let Ok(answer) = answered.await else { continue };
        if send.send(&answer).await.is_ok() {
            send.finish();
        }
    }
}
