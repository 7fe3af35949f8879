//! The network of a simulation: datagrams between hosts and one controller, in virtual time. Each host has a line of its own
//! with latency, jitter, a rate and a largest datagram, that loses, doubles and delays; it is cut in either direction, and
//! its address translation forgets. What befalls a datagram is drawn from the line's own chance. One task delivers.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use link::Port;
use protocol::digest::{Digest, Hasher};
use rehearsal::Chance;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Where the controller listens.
pub(crate) const CONTROLLER: SocketAddr =
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 7443);

/// What waits at the near end of a line longer than this is dropped there.
const BUFFERED: Duration = Duration::from_millis(250);

/// Datagrams that wait to be read at one port.
const UNREAD: usize = 4096;

/// A host's line to the controller.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line {
    pub(crate) latency: Duration,
    pub(crate) jitter: Duration,
    /// Of a thousand datagrams.
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) late: u64,
    /// Bytes a millisecond.
    pub(crate) rate: u64,
    /// The largest datagram that it carries.
    pub(crate) largest: usize,
}

impl Line {
    /// A line as chance has it: bad ones lose up to a fifth.
    pub(crate) fn draw(chance: &mut Chance, bad: bool) -> Self {
        let (lost, doubled, late) = if bad { (200, 80, 200) } else { (15, 10, 30) };
        Self {
            latency: Duration::from_millis(1 + chance.below(if bad { 400 } else { 90 })),
            jitter: Duration::from_millis(chance.below(if bad { 200 } else { 20 })),
            lost: chance.below(lost + 1),
            doubled: chance.below(doubled + 1),
            late: chance.below(late + 1),
            rate: 250 + chance.below(4000),
            largest: 1252 + usize::try_from(chance.below(249)).unwrap_or(0),
        }
    }
}

/// Which direction of a line is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    None,
    Up,
    Down,
    Both,
}

/// What happened to datagrams.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Traffic {
    pub(crate) delivered: u64,
    pub(crate) lost: u64,
    pub(crate) doubled: u64,
    pub(crate) late: u64,
    pub(crate) cut: u64,
    pub(crate) unknown: u64,
}

struct Way {
    chance: Chance,
    free: Instant,
}

struct Host {
    line: Line,
    cut: Cut,
    up: Way,
    down: Way,
    /// Address outside for each port inside, as its translation remembers.
    translation: BTreeMap<SocketAddr, SocketAddr>,
    outside: Ipv4Addr,
    next_port: u16,
}

struct Slot {
    life: u64,
    silent: bool,
    unread: VecDeque<(SocketAddr, Vec<u8>)>,
    reader: Option<Waker>,
}

struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

struct Inner {
    hosts: BTreeMap<IpAddr, Host>,
    /// Port inside for each address outside.
    inside: BTreeMap<SocketAddr, SocketAddr>,
    slots: BTreeMap<SocketAddr, Slot>,
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    under_way: BTreeMap<u64, Datagram>,
    next: u64,
    lives: u64,
    traffic: Traffic,
    begun: Instant,
    course: Hasher,
    /// When each connection was begun, by the host and the id that it gave it.
    dialled: BTreeMap<(IpAddr, Vec<u8>), Duration>,
    /// Which hosts lost something on the way to them, and when it was sent.
    missed: Vec<(IpAddr, Duration)>,
}

/// The whole network.
#[derive(Clone)]
pub(crate) struct Network {
    inner: Arc<Mutex<Inner>>,
    sooner: Arc<Notify>,
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Network")
    }
}

impl Network {
    pub(crate) fn new() -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                hosts: BTreeMap::new(),
                inside: BTreeMap::new(),
                slots: BTreeMap::new(),
                due: BinaryHeap::new(),
                under_way: BTreeMap::new(),
                next: 0,
                lives: 0,
                traffic: Traffic::default(),
                begun: Instant::now(),
                course: Hasher::new(),
                dialled: BTreeMap::new(),
                missed: Vec::new(),
            })),
            sooner: Arc::new(Notify::new()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a host and gives its address.
    pub(crate) fn host(&self, line: Line, seed: u64) -> IpAddr {
        let mut inner = self.lock();
        let number = u16::try_from(inner.hosts.len() + 1).expect("a fleet of some servers");
        let [high, low] = number.to_be_bytes();
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, high, low));
        let way = |direction| Way {
            chance: Chance::new(seed ^ direction),
            free: Instant::now(),
        };
        let host = Host {
            line,
            cut: Cut::None,
            up: way(0x5555),
            down: way(0xaaaa),
            translation: BTreeMap::new(),
            outside: Ipv4Addr::new(198, 18, high, low),
            next_port: 20_000,
        };
        inner.hosts.insert(address, host);
        address
    }

    /// A port at that address; whoever had it before hears and says nothing more.
    pub(crate) fn bind(&self, address: SocketAddr) -> Arc<dyn Port> {
        let mut inner = self.lock();
        inner.lives += 1;
        let life = inner.lives;
        let slot = Slot {
            life,
            silent: false,
            unread: VecDeque::new(),
            reader: None,
        };
        inner.slots.insert(address, slot);
        Arc::new(Plug {
            network: self.clone(),
            address,
            life,
        })
    }

    /// Lets nothing that is sent from a port go out any more: its host is dead to the world before its process is.
    pub(crate) fn silence(&self, address: SocketAddr) {
        if let Some(slot) = self.lock().slots.get_mut(&address) {
            slot.silent = true;
        }
    }

    /// Takes a port away.
    pub(crate) fn unbind(&self, address: SocketAddr) {
        self.lock().slots.remove(&address);
    }

    pub(crate) fn set_line(&self, host: IpAddr, line: Line) {
        if let Some(host) = self.lock().hosts.get_mut(&host) {
            host.line = line;
        }
    }

    pub(crate) fn set_cut(&self, host: IpAddr, cut: Cut) {
        if let Some(host) = self.lock().hosts.get_mut(&host) {
            host.cut = cut;
        }
    }

    /// The host's address translation forgets: from now on it is seen under other ports.
    pub(crate) fn rebind(&self, host: IpAddr) {
        let inner = &mut *self.lock();
        if let Some(host) = inner.hosts.get_mut(&host) {
            for outside in std::mem::take(&mut host.translation).into_values() {
                inner.inside.remove(&outside);
            }
        }
    }

    pub(crate) fn traffic(&self) -> Traffic {
        self.lock().traffic
    }

    /// The time since the network's beginning.
    pub(crate) fn now(&self) -> Duration {
        self.lock().begun.elapsed()
    }

    /// Connections that hosts have begun from that moment on: who, and when.
    pub(crate) fn dialled(&self, from: Duration) -> Vec<(IpAddr, Duration)> {
        let inner = self.lock();
        let all = inner.dialled.iter().filter(|(_, at)| **at >= from);
        all.map(|((host, _), at)| (*host, *at)).collect()
    }

    /// Hosts to which something was sent in that time that did not come.
    pub(crate) fn missed(&self, from: Duration, to: Duration) -> BTreeSet<IpAddr> {
        let inner = self.lock();
        let all = inner.missed.iter();
        let within = all.filter(|(_, at)| (from..to).contains(at));
        within.map(|(host, _)| *host).collect()
    }

    /// Adds something to the course that two runs of a seed must have in common.
    pub(crate) fn note(&self, what: &[u8]) {
        let inner = &mut *self.lock();
        let now = inner.begun.elapsed().as_nanos();
        inner.course.update(&now.to_le_bytes());
        inner.course.update(what);
    }

    /// The digest of the course.
    pub(crate) fn course(&self) -> Digest {
        std::mem::take(&mut self.lock().course).finish()
    }

    /// Delivers what is due, for ever.
    pub(crate) async fn deliver(self) {
        loop {
            let next = self.lock().due.peek().map(|next| next.0.0);
            match next {
                None => self.sooner.notified().await,
                Some(at) => tokio::select! {
                    biased;
                    () = self.sooner.notified() => continue,
                    () = tokio::time::sleep_until(at) => {}
                },
            }
            let wakers = self.lock().arrive(Instant::now());
            for waker in wakers {
                waker.wake();
            }
        }
    }
}

impl Inner {
    /// Lays what is due where it is read.
    fn arrive(&mut self, now: Instant) -> Vec<Waker> {
        let mut wakers = Vec::new();
        while self.due.peek().is_some_and(|next| next.0.0 <= now) {
            let Some(Reverse((_, number))) = self.due.pop() else {
                break;
            };
            let Some(Datagram { from, to, bytes }) = self.under_way.remove(&number) else {
                continue;
            };
            // The translation is asked when a datagram comes to it, and not when it was sent.
            let place = if to == CONTROLLER {
                Some(to)
            } else {
                self.inside.get(&to).copied()
            };
            let Some(slot) = place.and_then(|place| self.slots.get_mut(&place)) else {
                self.traffic.unknown += 1;
                continue;
            };
            if slot.unread.len() >= UNREAD {
                self.traffic.lost += 1;
                continue;
            }
            let at = now.duration_since(self.begun).as_nanos();
            self.course.update(&at.to_le_bytes());
            self.course.update(format!("{from} {to}").as_bytes());
            self.course.update(&bytes);
            self.traffic.delivered += 1;
            slot.unread.push_back((from, bytes));
            wakers.extend(slot.reader.take());
        }
        wakers
    }

    fn send(&mut self, address: SocketAddr, life: u64, to: SocketAddr, bytes: &[u8]) -> bool {
        let slot = self.slots.get(&address);
        if slot.is_none_or(|slot| slot.life != life || slot.silent) {
            return false;
        }
        let up = to == CONTROLLER;
        if up && let Some(id) = begins(bytes) {
            let at = self.begun.elapsed();
            self.dialled.entry((address.ip(), id)).or_insert(at);
        }
        let ip = if up {
            address.ip()
        } else {
            match self.inside.get(&to) {
                Some(inside) => inside.ip(),
                None => {
                    self.traffic.unknown += 1;
                    return false;
                }
            }
        };
        let Some(host) = self.hosts.get_mut(&ip) else {
            self.traffic.unknown += 1;
            return false;
        };
        let stopped = if up { Cut::Up } else { Cut::Down };
        if host.cut == Cut::Both || host.cut == stopped {
            self.traffic.cut += 1;
            return false;
        }
        let from = if up {
            let outside = *host.translation.entry(address).or_insert_with(|| {
                host.next_port += 1;
                SocketAddr::from((host.outside, host.next_port))
            });
            self.inside.insert(outside, address);
            outside
        } else {
            address
        };
        let line = host.line;
        let way = if up { &mut host.up } else { &mut host.down };
        let now = Instant::now();
        let begin = way.free.max(now);
        if bytes.len() > line.largest || begin.duration_since(now) > BUFFERED {
            self.traffic.lost += 1;
            self.missed(up, ip);
            return false;
        }
        let micros = (bytes.len() as u64).saturating_mul(1000) / line.rate.max(1);
        way.free = begin + Duration::from_micros(micros);
        let drawn = way.chance.below(1000);
        if drawn < line.lost {
            self.traffic.lost += 1;
            self.missed(up, ip);
            return false;
        }
        let copies = if drawn >= 1000 - line.doubled.min(1000) {
            self.traffic.doubled += 1;
            2
        } else {
            1
        };
        for _ in 0..copies {
            let mut time = line.latency + way.chance.between(Duration::ZERO, line.jitter);
            if way.chance.below(1000) < line.late {
                self.traffic.late += 1;
                time += way.chance.between(
                    Duration::from_millis(1),
                    line.latency * 4 + Duration::from_millis(20),
                );
            }
            let datagram = Datagram {
                from,
                to,
                bytes: bytes.to_vec(),
            };
            self.next += 1;
            self.under_way.insert(self.next, datagram);
            self.due.push(Reverse((way.free + time, self.next)));
        }
        true
    }
}

impl Inner {
    fn missed(&mut self, up: bool, host: IpAddr) {
        if !up {
            self.missed.push((host, self.begun.elapsed()));
        }
    }
}

/// The id that a host gives a connection which it begins, in the first datagrams of it: QUIC's Initial packets (RFC 9000, 17.2.2). A
/// Retry does not change it.
fn begins(bytes: &[u8]) -> Option<Vec<u8>> {
    let (form, rest) = bytes.split_first()?;
    let length = usize::from(*rest.get(4)?);
    let own = rest.get(5 + length..)?;
    let (length, own) = own.split_first()?;
    let id = own.get(..usize::from(*length))?;
    (form & 0xf0 == 0xc0).then(|| id.to_vec())
}

/// One port, in one life of its owner.
struct Plug {
    network: Network,
    address: SocketAddr,
    life: u64,
}

impl fmt::Debug for Plug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plug({}, {})", self.address, self.life)
    }
}

impl Port for Plug {
    fn send(&self, to: SocketAddr, datagram: &[u8]) {
        let sent = self
            .network
            .lock()
            .send(self.address, self.life, to, datagram);
        if sent {
            self.network.sooner.notify_one();
        }
    }

    fn poll_receive(&self, cx: &mut Context<'_>) -> Poll<(SocketAddr, Vec<u8>)> {
        let mut inner = self.network.lock();
        let Some(slot) = inner.slots.get_mut(&self.address) else {
            return Poll::Pending;
        };
        if slot.life != self.life {
            return Poll::Pending;
        }
        if let Some(datagram) = slot.unread.pop_front() {
            return Poll::Ready(datagram);
        }
        slot.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn address(&self) -> SocketAddr {
        self.address
    }
}
