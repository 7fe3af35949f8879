//! What an agent sends of its journal, read and checked where it arrives: the one task that owns the fleet is not kept
//! from its decisions by signatures and JSON.

use protocol::event::Event;
use protocol::key::PublicKey;
use protocol::signed::{Receipt, RoleKeys, Verified, verify};
use protocol::wire::latest::Entry;
use protocol::{TargetId, Timestamp, limits};

/// One entry of a journal.
#[derive(Debug)]
pub struct Heard {
    /// Its kind.
    pub kind: u16,
    /// When the agent journaled it, by its own clock.
    pub at: Timestamp,
    /// The body as the agent chained it.
    pub body: String,
    /// What it says, where this version understands it.
    pub event: Option<Event>,
    /// What was refused, and why: a bundle by the agent, or a receipt here. A receipt that its own agent did not sign is
    /// kept in the log like every event, and shown as refused.
    pub refused: Option<(&'static str, String)>,
}

impl Heard {
    /// Reads what came in one frame from the target whose key that is; `None` where it is too much, or no text.
    #[must_use]
    pub fn read(entries: Vec<Entry>, target: &TargetId, key: PublicKey) -> Option<Vec<Self>> {
        if entries.len() > limits::MAX_EVENTS_PER_FRAME {
            return None;
        }
        let heard = entries.into_iter();
        heard.map(|entry| Self::one(entry, target, key)).collect()
    }

    fn one(entry: Entry, target: &TargetId, key: PublicKey) -> Option<Self> {
        let body = String::from_utf8(entry.body).ok()?;
        let event = Event::from_body(body.as_bytes());
        let refused = event.as_ref().and_then(|event| refusal(event, target, key));
        Some(Self {
            kind: entry.kind,
            at: Timestamp::from_millis(entry.at_millis),
            body,
            event,
            refused,
        })
    }
}

fn refusal(event: &Event, target: &TargetId, key: PublicKey) -> Option<(&'static str, String)> {
    if let Event::BundleRefused { refusal, .. } = event {
        return Some(("bundle", refusal.to_string()));
    }
    let Event::RunFinished { receipt, .. } = event else {
        return None;
    };
    let why = check_receipt(target, receipt, key).err()?;
    tracing::error!(%target, %why, "a receipt is not what it says");
    Some(("receipt", why))
}

fn check_receipt(target: &TargetId, receipt: &str, key: PublicKey) -> Result<(), String> {
    let role = RoleKeys {
        keys: vec![key],
        threshold: 1,
    };
    let verified: Verified<Receipt> =
        verify(receipt.as_bytes(), &role).map_err(|error| error.to_string())?;
    if verified.target == *target {
        Ok(())
    } else {
        Err(format!("it names another target, {}", verified.target))
    }
}
