//! Who is connected. The only `DashMap`: it hands out clones, and no guard leaves this file.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use dashmap::DashMap;
use link::Connection;
use protocol::TargetId;
use protocol::wire::close::Close;
use protocol::wire::latest::ControlDown;
use tokio::sync::{mpsc, watch};

/// Words and offers that wait for one session.
pub(super) const OUTBOUND: usize = 32;

/// One session.
#[derive(Debug, Clone)]
pub struct Handle {
    /// Its number.
    pub number: u64,
    /// Its connection.
    pub connection: Connection,
    /// To its control stream.
    pub control: mpsc::Sender<ControlDown>,
    /// Bundles to be offered.
    pub offers: mpsc::Sender<Vec<u8>>,
    /// Where the session is that took its place.
    pub superseded: watch::Sender<Option<SocketAddr>>,
}

/// All sessions.
#[derive(Debug, Default)]
pub struct Registry {
    sessions: DashMap<TargetId, Handle>,
    next: AtomicU64,
}

impl Registry {
    /// A number for a new session.
    pub fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Takes a session up; an older one of the same target is told to end.
    pub fn insert(&self, target: &TargetId, handle: Handle) {
        let newer = handle.connection.remote();
        if let Some(older) = self.sessions.insert(target.clone(), handle) {
            older.superseded.send_replace(Some(newer));
        }
    }

    /// Forgets a session, unless a newer one has taken its place. Tells whether it was the current one.
    pub fn remove(&self, target: &TargetId, number: u64) -> bool {
        self.sessions
            .remove_if(target, |_, handle| handle.number == number)
            .is_some()
    }

    fn handle(&self, target: &TargetId) -> Option<Handle> {
        self.sessions.get(target).map(|entry| entry.value().clone())
    }

    /// Says a word to a target, if it is there. A session whose stream is stuck is closed: it asks again when it is back.
    pub fn say(&self, target: &TargetId, word: ControlDown) {
        if let Some(handle) = self.handle(target)
            && handle.control.try_send(word).is_err()
        {
            handle
                .connection
                .close(Close::Protocol, "the control stream is stuck");
        }
    }

    /// Offers a bundle to a target, if it is there; one that is not is offered it with its welcome.
    pub fn offer(&self, target: &TargetId, envelope: Vec<u8>) {
        if let Some(handle) = self.handle(target)
            && handle.offers.try_send(envelope).is_err()
        {
            handle.connection.close(Close::Protocol, "offers are stuck");
        }
    }

    /// Closes a target's session, with a reason and what more there is to say.
    pub fn close(&self, target: &TargetId, close: Close, said: &str) {
        if let Some(handle) = self.handle(target) {
            handle.connection.close(close, said);
        }
    }
}
