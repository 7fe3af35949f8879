//! A link that misbehaves: a UDP relay on loopback between agents and their controller. It loses, doubles, reorders and, by its own
//! clock, delays datagrams by a seed, cuts the link, and gives every agent another address as a NAT does when it forgets.

use std::collections::{HashMap, HashSet};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a thread that hears nothing looks whether it is over, or whether what was delayed is due.
const LOOK: Duration = Duration::from_millis(20);

/// What a slow line holds back at most.
const QUEUE: Duration = Duration::from_millis(100);

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
    /// Come later, by a time that is drawn.
    pub delayed: u64,
    /// The longest such time.
    pub delay: Duration,
    /// Bytes that the line carries in a second, in each direction; 0 where nothing holds them up. What does not fit into a tenth of a
    /// second is lost, as at a router whose queue is full.
    pub bytes_per_second: u64,
}

impl Faults {
    /// A link that does nothing of that.
    pub const NONE: Self = Self {
        lost: 0,
        doubled: 0,
        late: 0,
        delayed: 0,
        delay: Duration::ZERO,
        bytes_per_second: 0,
    };
}

/// What is under way in one direction.
#[derive(Debug, Default)]
struct Line {
    /// Goes after the next one.
    late: Option<Vec<u8>>,
    /// Each goes when it is due.
    delayed: Vec<(Instant, Vec<u8>)>,
    /// When the line has carried all that it was given, where it is a slow one.
    free: Option<Instant>,
}

impl Line {
    /// Takes out what is due.
    fn due(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let all = std::mem::take(&mut self.delayed);
        let (due, rest) = all.into_iter().partition(|(at, _)| *at <= now);
        self.delayed = rest;
        let mut due: Vec<(Instant, Vec<u8>)> = due;
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().map(|(_, bytes)| bytes).collect()
    }
}

#[derive(Debug)]
struct Shared {
    faults: Mutex<Faults>,
    controller: SocketAddr,
    seed: AtomicU64,
    /// Of each direction: whether nothing gets through, and what did not.
    cut: [AtomicBool; 2],
    cut_off: [AtomicU64; 2],
    over: AtomicBool,
    /// What went wrong, for the report.
    injected: AtomicU64,
    /// Those of them that were delayed, and the milliseconds of all these delays.
    delayed: AtomicU64,
    delays: AtomicU64,
    /// Connections that agents have begun, by the id that each gave its own.
    dialled: Mutex<HashSet<Vec<u8>>>,
    /// Where each agent's datagrams leave, by the agent's own address.
    ways: Mutex<HashMap<SocketAddr, Arc<UdpSocket>>>,
}

/// A direction of the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From agents to the controller.
    Up,
    /// From the controller to agents.
    Down,
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
            faults: Mutex::new(faults),
            controller: SocketAddr::from((Ipv4Addr::LOCALHOST, controller)),
            seed: AtomicU64::new(seed),
            cut: [AtomicBool::new(false), AtomicBool::new(false)],
            cut_off: [AtomicU64::new(0), AtomicU64::new(0)],
            over: AtomicBool::new(false),
            injected: AtomicU64::new(0),
            delayed: AtomicU64::new(0),
            delays: AtomicU64::new(0),
            dialled: Mutex::default(),
            ways: Mutex::default(),
        });
        let relay = Self {
            port,
            shared: Arc::clone(&shared),
        };
        let front = Arc::new(front);
        std::thread::spawn(move || {
            shared.listen(Way::Up, &front, |from, bytes| {
                shared.dialled().extend(begins(bytes));
                drop(shared.way(from, &front).send(bytes));
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
        self.cut_one_way(Way::Up);
        self.cut_one_way(Way::Down);
    }

    /// The same in one direction alone.
    pub fn cut_one_way(&self, way: Way) {
        self.shared.cut[way as usize].store(true, Ordering::SeqCst);
    }

    /// Datagrams that a cut has held up so far, in that direction.
    #[must_use]
    pub fn cut_off(&self, way: Way) -> u64 {
        self.shared.cut_off[way as usize].load(Ordering::SeqCst)
    }

    /// Lets datagrams through again.
    pub fn mend(&self) {
        for cut in &self.shared.cut {
            cut.store(false, Ordering::SeqCst);
        }
    }

    /// Is such a link from now on.
    pub fn becomes(&self, faults: Faults) {
        let now = self.shared.faults.lock();
        *now.unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Forgets every way: from now on each agent is seen under another port.
    pub fn rebind(&self) {
        self.shared.ways().clear();
    }

    /// Connections that agents have begun so far.
    #[must_use]
    pub fn dialled(&self) -> usize {
        self.shared.dialled().len()
    }

    /// Datagrams that were delayed by the clock, and the sum of their delays.
    #[must_use]
    pub fn delayed(&self) -> (u64, Duration) {
        let sum = self.shared.delays.load(Ordering::SeqCst);
        let delayed = self.shared.delayed.load(Ordering::SeqCst);
        (delayed, Duration::from_millis(sum))
    }

    /// Datagrams that were lost, doubled, late or delayed.
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
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port")
}

/// The id that an agent gives a connection which it begins, in the first datagrams of it: QUIC's Initial packets (RFC 9000, 17.2.2).
fn begins(bytes: &[u8]) -> Option<Vec<u8>> {
    let (form, rest) = bytes.split_first()?;
    let length = usize::from(*rest.get(4)?);
    let own = rest.get(5 + length..)?;
    let (length, own) = own.split_first()?;
    let id = own.get(..usize::from(*length))?;
    (form & 0xf0 == 0xc0).then(|| id.to_vec())
}

impl Shared {
    fn dialled(&self) -> std::sync::MutexGuard<'_, HashSet<Vec<u8>>> {
        self.dialled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ways(&self) -> std::sync::MutexGuard<'_, HashMap<SocketAddr, Arc<UdpSocket>>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears datagrams until the relay is over, and sends on what is due, by whom it came from.
    fn listen(&self, way: Way, socket: &UdpSocket, send: impl Fn(SocketAddr, &[u8])) {
        let mut buffer = vec![0; DATAGRAM];
        let mut lines: HashMap<SocketAddr, Line> = HashMap::new();
        while !self.over.load(Ordering::SeqCst) {
            let now = Instant::now();
            for (from, line) in &mut lines {
                for bytes in line.due(now) {
                    // What was on its way when the link was cut is gone.
                    if !self.is_cut(way) {
                        send(*from, &bytes);
                    }
                }
            }
            let waiting = lines.values().flat_map(|line| &line.delayed);
            let next = waiting.map(|(at, _)| *at).min();
            let pause = next.map_or(LOOK, |at| at.saturating_duration_since(now).min(LOOK));
            socket
                .set_read_timeout(Some(pause.max(Duration::from_millis(1))))
                .expect("a socket has a time-out");
            // An error is a time-out, or says that nobody listens at the other end: that is the link's business.
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let line = lines.entry(from).or_default();
                if self.is_cut(way) {
                    self.cut_off[way as usize].fetch_add(1, Ordering::SeqCst);
                } else {
                    self.pass(&buffer[..length], line, |bytes| send(from, bytes));
                }
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
            shared.listen(Way::Down, &back, |_, bytes| {
                drop(front.send_to(bytes, agent));
            });
        });
        way
    }

    fn is_cut(&self, way: Way) -> bool {
        self.cut[way as usize].load(Ordering::SeqCst)
    }

    fn pass(&self, bytes: &[u8], line: &mut Line, send: impl Fn(&[u8])) {
        let drawn = self.draw() % 1000;
        let Faults {
            lost,
            doubled,
            late: held,
            delayed,
            delay,
            bytes_per_second,
        } = *self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let before = line.late.take();
        if drawn < lost {
            self.injected.fetch_add(1, Ordering::SeqCst);
        } else if drawn < lost + held && before.is_none() {
            self.injected.fetch_add(1, Ordering::SeqCst);
            line.late = Some(bytes.to_vec());
        } else if (lost + held..lost + held + delayed).contains(&drawn) {
            self.injected.fetch_add(1, Ordering::SeqCst);
            let longest = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX).max(1);
            let millis = 1 + self.draw() % longest;
            self.delayed.fetch_add(1, Ordering::SeqCst);
            self.delays.fetch_add(millis, Ordering::SeqCst);
            let due = Instant::now() + Duration::from_millis(millis);
            line.delayed.push((due, bytes.to_vec()));
        } else if let Some(micros) = (bytes.len() as u64 * 1_000_000).checked_div(bytes_per_second)
        {
            let now = Instant::now();
            let begins = line.free.map_or(now, |free| free.max(now));
            if begins > now + QUEUE {
                self.injected.fetch_add(1, Ordering::SeqCst);
            } else {
                let due = begins + Duration::from_micros(micros);
                line.free = Some(due);
                line.delayed.push((due, bytes.to_vec()));
            }
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
