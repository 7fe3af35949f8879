//! A link that misbehaves: a UDP relay on loopback between agents and their controller. It loses, doubles, delays and
//! reorders datagrams by a seed, cuts the link, and gives every agent another address as a NAT does when it forgets.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How often a thread that hears nothing looks whether it is over.
const LOOK: Duration = Duration::from_millis(20);

/// Larger than any datagram that comes.
const DATAGRAM: usize = 65_536;

/// Of a thousand datagrams, in each direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults {
    /// Are lost.
    pub lost: u64,
    /// Come twice.
    pub doubled: u64,
    /// Come after the one that follows them.
    pub late: u64,
}

#[derive(Debug)]
struct Shared {
    faults: Faults,
    controller: SocketAddr,
    seed: AtomicU64,
    cut: AtomicBool,
    over: AtomicBool,
    /// What went wrong, for the report.
    injected: AtomicU64,
    /// Where each agent's datagrams leave, by the agent's own address.
    ways: Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>,
}

/// A relay that runs until it is dropped.
#[derive(Debug)]
pub struct Relay {
    port: u16,
    shared: Arc<Shared>,
}

impl Relay {
    /// A relay to a controller that listens, or will listen, on loopback.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn to(controller: u16, faults: Faults, seed: u64) -> Self {
        let front = bind();
        let port = front.local_addr().expect("a port").port();
        let shared = Arc::new(Shared {
            faults,
            controller: SocketAddr::from((Ipv4Addr::LOCALHOST, controller)),
            seed: AtomicU64::new(seed),
            cut: AtomicBool::new(false),
            over: AtomicBool::new(false),
            injected: AtomicU64::new(0),
            ways: Mutex::default(),
        });
        let relay = Self {
            port,
            shared: Arc::clone(&shared),
        };
        let front = Arc::new(front);
        std::thread::spawn(move || {
            let mut late = HashMap::new();
            shared.listen(&front, |from, bytes| {
                let way = shared.way(from, &front);
                let held = late.entry(from).or_default();
                shared.pass(bytes, held, |bytes| drop(way.send(bytes)));
            });
        });
        relay
    }

    /// Where agents dial.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Lets nothing through, in either direction, until it is mended.
    pub fn cut(&self) {
        self.shared.cut.store(true, Ordering::SeqCst);
    }

    /// Lets datagrams through again.
    pub fn mend(&self) {
        self.shared.cut.store(false, Ordering::SeqCst);
    }

    /// Forgets every way: from now on each agent is seen under another port.
    pub fn rebind(&self) {
        self.shared.ways().clear();
    }

    /// Datagrams that were lost, doubled or late.
    #[must_use]
    pub fn injected(&self) -> u64 {
        self.shared.injected.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::SeqCst);
    }
}

fn bind() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    socket
        .set_read_timeout(Some(LOOK))
        .expect("a socket has a time-out");
    socket
}

impl Shared {
    fn ways(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Arc<UdpSocket>>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears datagrams until the relay is over.
    fn listen(&self, socket: &UdpSocket, mut hear: impl FnMut(SocketAddr, &[u8])) {
        let mut buffer = vec![0; DATAGRAM];
        while !self.over.load(Ordering::SeqCst) {
            // An error is a time-out, or says that nobody listens at the other end: that is the link's business.
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                hear(from, &buffer[..length]);
            }
        }
    }

    /// The socket by which an agent's datagrams leave; what comes back goes to the agent.
    fn way(self: &Arc<Self>, agent: SocketAddr, front: &Arc<UdpSocket>) -> Arc<UdpSocket> {
        if let Some(way) = self.ways().get(&agent) {
            return Arc::clone(way);
        }
        let way = Arc::new(bind());
        way.connect(self.controller).expect("loopback is there");
        self.ways().insert(agent, Arc::clone(&way));
        let (shared, front, back) = (Arc::clone(self), Arc::clone(front), Arc::clone(&way));
        std::thread::spawn(move || {
            let mut late = None;
            shared.listen(&back, |_, bytes| {
                shared.pass(bytes, &mut late, |bytes| drop(front.send_to(bytes, agent)));
            });
        });
        way
    }

    fn pass(&self, bytes: &[u8], late: &mut Option<Vec<u8>>, send: impl Fn(&[u8])) {
        if self.cut.load(Ordering::SeqCst) {
            return;
        }
        let drawn = self.draw() % 1000;
        let Faults {
            lost,
            doubled,
            late: held,
        } = self.faults;
        let before = late.take();
        if drawn < lost {
            self.injected.fetch_add(1, Ordering::SeqCst);
        } else if drawn < lost + held && before.is_none() {
            self.injected.fetch_add(1, Ordering::SeqCst);
            *late = Some(bytes.to_vec());
        } else {
            send(bytes);
            if drawn >= 1000 - doubled {
                self.injected.fetch_add(1, Ordering::SeqCst);
                send(bytes);
            }
        }
        if let Some(before) = before {
            send(&before);
        }
    }

    /// The next number of the seed's row (splitmix64).
    fn draw(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut drawn = self
            .seed
            .fetch_add(STEP, Ordering::SeqCst)
            .wrapping_add(STEP);
        drawn = (drawn ^ (drawn >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        drawn = (drawn ^ (drawn >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        drawn ^ (drawn >> 31)
    }
}
