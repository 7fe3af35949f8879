//! QUIC endpoints. Each transport setting has its reason beside it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use protocol::wire::close::Close;
use quinn::{
    AckFrequencyConfig, EndpointConfig, IdleTimeout, TokioRuntime, TransportConfig, VarInt,
};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::connection::{Connection, LinkError};
use crate::socket::{PlainSocket, Port, SimulatedSocket};
use crate::tls::{CONTROLLER_NAME, ClientTls, ServerTls};

/// Socket buffers that are asked for: a burst of offers to a few thousand agents overruns the systems' defaults.
pub const WANTED_SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// Datagrams that may come before one must be acknowledged at once: well below the first congestion window of 12, so that
/// no sender waits for a timer.
const ACKNOWLEDGE_AFTER: u32 = 5;

/// Which socket stands below QUIC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// quinn's own, with ECN and segmentation offload.
    Native,
    /// One plain datagram a call.
    Plain,
}

impl Wire {
    /// The usual one; the plain one where `ENTRAIN_PLAIN_SOCKET` is set.
    #[must_use]
    pub fn from_environment() -> Self {
        if std::env::var_os("ENTRAIN_PLAIN_SOCKET").is_some() {
            Self::Plain
        } else {
            Self::Native
        }
    }
}

/// What the system gave of the buffers that were asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BufferReport {
    /// Bytes of the receive buffer.
    pub receive: usize,
    /// Bytes of the send buffer.
    pub send: usize,
}

impl BufferReport {
    /// Tells whether the system caps the buffers below what was asked for.
    #[must_use]
    pub const fn is_capped(&self) -> bool {
        self.receive < WANTED_SOCKET_BUFFER || self.send < WANTED_SOCKET_BUFFER
    }
}

/// Says why a peer could not be reached.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The endpoint cannot dial that.
    #[error("could not dial {0}")]
    Dial(SocketAddr, #[source] quinn::ConnectError),
    /// No answer, or a refusal.
    #[error("no connection to {0}")]
    Handshake(SocketAddr, #[source] LinkError),
}

/// One UDP socket that speaks QUIC.
#[derive(Debug, Clone)]
pub struct Endpoint {
    inner: quinn::Endpoint,
    buffers: BufferReport,
}

impl Endpoint {
    /// Listens at `address` for agents. `reset` is a secret that outlives the process: with it a restarted controller can
    /// tell the sessions of its former life that they are gone, in place of letting them time out.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn server(
        address: SocketAddr,
        tls: &ServerTls,
        wire: Wire,
        reset: &[u8; 32],
    ) -> io::Result<Self> {
        Self::bind(address, Some(server_config(tls)), wire, outliving(reset))
    }

    /// Listens at a port of a simulated network.
    ///
    /// # Errors
    /// When there is no runtime.
    pub fn server_at(port: Arc<dyn Port>, tls: &ServerTls, reset: &[u8; 32]) -> io::Result<Self> {
        Self::on(port, Some(server_config(tls)), outliving(reset))
    }

    /// Makes an endpoint that only dials, from a port of a simulated network.
    ///
    /// # Errors
    /// When there is no runtime.
    pub fn client_at(port: Arc<dyn Port>) -> io::Result<Self> {
        Self::on(port, None, EndpointConfig::default())
    }

    /// Makes an endpoint that only dials.
    ///
    /// # Errors
    /// When the socket cannot be had.
    pub fn client(peer: SocketAddr, wire: Wire) -> io::Result<Self> {
        let any: SocketAddr = if peer.is_ipv6() {
            "[::]:0"
        } else {
            "0.0.0.0:0"
        }
        .parse()
        .expect("a constant address");
        Self::bind(any, None, wire, EndpointConfig::default())
    }

    fn on(
        port: Arc<dyn Port>,
        server: Option<quinn::ServerConfig>,
        config: EndpointConfig,
    ) -> io::Result<Self> {
        let socket = Arc::new(SimulatedSocket(port));
        let runtime = Arc::new(TokioRuntime);
        Ok(Self {
            inner: quinn::Endpoint::new_with_abstract_socket(config, server, socket, runtime)?,
            buffers: BufferReport {
                receive: WANTED_SOCKET_BUFFER,
                send: WANTED_SOCKET_BUFFER,
            },
        })
    }

    fn bind(
        address: SocketAddr,
        server: Option<quinn::ServerConfig>,
        wire: Wire,
        config: EndpointConfig,
    ) -> io::Result<Self> {
        let socket = Socket::new(
            Domain::for_address(address),
            Type::DGRAM,
            Some(Protocol::UDP),
        )?;
        // A smaller buffer than asked for still works; `doctor` tells.
        drop(socket.set_recv_buffer_size(WANTED_SOCKET_BUFFER));
        drop(socket.set_send_buffer_size(WANTED_SOCKET_BUFFER));
        let buffers = BufferReport {
            receive: socket.recv_buffer_size()?,
            send: socket.send_buffer_size()?,
        };
        socket.bind(&SockAddr::from(address))?;
        let runtime = Arc::new(TokioRuntime);
        let native = |socket: Socket| {
            quinn::Endpoint::new(
                config.clone(),
                server.clone(),
                socket.into(),
                Arc::clone(&runtime) as _,
            )
        };
        let plain = |socket: Socket| {
            let socket = Arc::new(PlainSocket::new(socket.into())?);
            quinn::Endpoint::new_with_abstract_socket(
                config.clone(),
                server.clone(),
                socket,
                Arc::clone(&runtime) as _,
            )
        };
        let inner = match wire {
            Wire::Plain => plain(socket)?,
            // Some socket stacks refuse the options that quinn's own socket insists on; the plain one needs none.
            Wire::Native => match native(socket.try_clone()?) {
                Ok(endpoint) => endpoint,
                Err(error) => {
                    tracing::warn!(%error, "the native socket is refused; going on with a plain one");
                    plain(socket)?
                }
            },
        };
        Ok(Self { inner, buffers })
    }

    /// Dials a controller.
    ///
    /// # Errors
    /// When it does not answer or refuses. A refused client certificate shows only afterwards: connected means welcomed.
    pub async fn connect(
        &self,
        peer: SocketAddr,
        tls: &ClientTls,
    ) -> Result<Connection, ConnectError> {
        let mut config = quinn::ClientConfig::new(Arc::clone(&tls.0) as _);
        config.transport_config(Arc::new(dialing()));
        let connecting = self
            .inner
            .connect_with(config, peer, CONTROLLER_NAME)
            .map_err(|error| ConnectError::Dial(peer, error))?;
        let connection = connecting
            .await
            .map_err(|error| ConnectError::Handshake(peer, error.into()))?;
        Ok(Connection(connection))
    }

    /// Waits for a peer that dials; `None` when the endpoint is closed. Whoever is not taken up waits in a queue.
    pub async fn accept(&self) -> Option<Caller> {
        Some(Caller(self.inner.accept().await?))
    }

    /// Answers new peers with other certificates; sessions that stand keep theirs.
    pub fn set_server_tls(&self, tls: &ServerTls) {
        self.inner.set_server_config(Some(server_config(tls)));
    }

    /// Where this endpoint is.
    ///
    /// # Errors
    /// When the socket does not tell.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    /// What the system gave of the buffers that were asked for.
    #[must_use]
    pub const fn buffers(&self) -> BufferReport {
        self.buffers
    }

    /// Closes every connection and waits until the peers were told.
    pub async fn close(&self, close: Close) {
        self.inner.close(close.code().into(), b"");
        self.inner.wait_idle().await;
    }
}

/// A peer that dials and was not answered yet.
#[derive(Debug)]
pub struct Caller(quinn::Incoming);

impl Caller {
    /// The address from which it says that it dials.
    #[must_use]
    pub fn peer(&self) -> SocketAddr {
        self.0.remote_address()
    }

    /// Has it show that it is reached at its address, where it has not shown that yet: nothing of it is kept meanwhile, and it
    /// dials again with the proof. Gives back one that need not.
    #[must_use]
    pub fn unless_unproved(self) -> Option<Self> {
        if self.0.remote_address_validated() || !self.0.may_retry() {
            return Some(self);
        }
        self.0
            .retry()
            .err()
            .map(|error| Self(error.into_incoming()))
    }

    /// Shakes hands with it.
    ///
    /// # Errors
    /// When it does not answer, or one side refuses the other.
    pub async fn handshake(self) -> Result<Connection, LinkError> {
        Ok(Connection(self.0.await?))
    }
}

/// Connection ids and reset tokens that follow from a secret, so that the next life of a controller knows them.
fn outliving(reset: &[u8; 32]) -> EndpointConfig {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, reset);
    let tag = aws_lc_rs::hmac::sign(&key, b"connection ids");
    let ids = u64::from_le_bytes(*tag.as_ref().first_chunk().expect("a tag has 32 bytes"));
    let mut config = EndpointConfig::new(Arc::new(key));
    config.cid_generator(move || Box::new(quinn_proto::HashedConnectionIdGenerator::from_key(ids)));
    config
}

fn server_config(tls: &ServerTls) -> quinn::ServerConfig {
    let mut config = quinn::ServerConfig::with_crypto(Arc::clone(&tls.0) as _);
    config.transport_config(Arc::new(answering()));
    // Servers do not roam: a peer address that stays is worth more in the audit log.
    config.migration(false);
    config
}

fn common() -> TransportConfig {
    let mut transport = TransportConfig::default();
    // Never endless: a peer that is gone must show.
    transport.max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(30_000))));
    // One less surface, and nothing may be lost silently.
    transport.datagram_receive_buffer_size(None);
    transport.max_concurrent_uni_streams(VarInt::from_u32(0));
    // A bundle or a run's news are a handful of datagrams, and their answer acknowledges them: a datagram for every second
    // one would be a third of a whole fleet's traffic. Both ends must know the extension; where one does not, all is as usual.
    let mut acknowledge = AckFrequencyConfig::default();
    acknowledge.ack_eliciting_threshold(VarInt::from_u32(ACKNOWLEDGE_AFTER));
    transport.ack_frequency_config(Some(acknowledge));
    transport
}

/// The agent's side: keeps the connection alive, and takes artifacts at the pace of a distant site.
fn dialing() -> TransportConfig {
    let mut transport = common();
    // Only where we dial, well under the idle time-out: it keeps the NAT's entry as well.
    transport.keep_alive_interval(Some(Duration::from_secs(10)));
    // 100 Mbit/s at 300 ms; an artifact stream is the only large one.
    transport.stream_receive_window(VarInt::from_u32(4 * 1024 * 1024));
    transport.receive_window(VarInt::from_u32(8 * 1024 * 1024));
    // The controller opens one stream for each bundle, and one bundle is open at a time.
    transport.max_concurrent_bidi_streams(VarInt::from_u32(8));
    transport
}

/// The controller's side: bounds what one agent may make it hold.
fn answering() -> TransportConfig {
    let mut transport = common();
    transport.stream_receive_window(VarInt::from_u32(512 * 1024));
    transport.receive_window(VarInt::from_u32(1024 * 1024));
    transport.send_window(4 * 1024 * 1024);
    // Control, events, a secret and a few artifact streams.
    transport.max_concurrent_bidi_streams(VarInt::from_u32(16));
    transport
}
