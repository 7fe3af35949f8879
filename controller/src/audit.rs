//! The audit file: the whole log with its blobs, the trust root and a signed checkpoint, one JSON object a line. It is
//! verified offline with nothing but the file itself and, where it is known from elsewhere, the trust root's digest.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use controller_core::record::Record;
use protocol::event::Event;
use protocol::key::PublicKey;
use protocol::signed::{
    Checkpoint, Envelope, Manifest, Receipt, RoleKeys, TrustRoot, Verified, verify,
};
use protocol::wire::latest::Head;
use protocol::{Digest, EventIndex, TargetId, chain};
use serde::{Deserialize, Serialize};

use crate::store::{self, Row};

/// One line of an audit file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "kebab-case")]
pub enum Line {
    /// The trust root.
    Root {
        /// Its envelope, base64.
        envelope: String,
    },
    /// An entry of the log.
    Entry(Row),
    /// Bytes that the entry before names by digest.
    Blob {
        /// Their digest.
        digest: Digest,
        /// The bytes, base64.
        bytes: String,
    },
    /// The signed head of the log; the last line.
    Checkpoint {
        /// Its envelope, base64.
        envelope: String,
    },
}

/// What an audit file proves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// Digest of the trust root in it: compare it with the one in a join file.
    pub trust_root: Digest,
    /// `real` or `simulated`.
    pub kind: String,
    /// Entries whose chain holds.
    pub entries: u64,
    /// Events of targets whose own chains hold.
    pub events: u64,
    /// Bundles whose signature and digest hold.
    pub bundles: u64,
    /// Receipts whose signature, bundle and chain hold.
    pub receipts: u64,
    /// Receipts whose signature and chain hold, of bundles that a former life of the log had issued: the controller was
    /// restored from a backup that is older.
    pub receipts_of_lost_bundles: u64,
    /// Receipts that do not hold, though the log's own chain does: an agent has sent what its key did not sign, or what is
    /// not so. They were shown as refused when they came.
    pub refused_receipts: Vec<Broken>,
    /// Rules that operators set aside: by whom, on which target, and why.
    #[serde(default)]
    pub overrides: Vec<String>,
    /// What was done under each change number, by what is signed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changes: BTreeMap<String, UnderChange>,
}

/// What names a change number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderChange {
    /// Bundles.
    pub bundles: usize,
    /// Receipts.
    pub receipts: usize,
}

/// Where an audit file does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[error("line {line}: {what}")]
pub struct Broken {
    /// Line of the file, from 1.
    pub line: usize,
    /// What does not hold.
    pub what: String,
}

#[derive(Default)]
struct State {
    line: usize,
    root: Option<(Digest, TrustRoot)>,
    index: u64,
    chain: Option<Digest>,
    awaited: Option<Digest>,
    keys: BTreeMap<TargetId, PublicKey>,
    heads: BTreeMap<TargetId, Head>,
    bundles: BTreeMap<Digest, TargetId>,
    checked: bool,
    proof: Option<Proof>,
    /// The log has an entry that says so: some bundles were issued by a former life of it.
    restored: bool,
}

/// Verifies an audit file and locates the first line that does not hold.
///
/// # Errors
/// With that line.
pub fn verify_file(text: &str) -> Result<Proof, Broken> {
    let mut state = State::default();
    let mut last = 0;
    for (number, line) in text.lines().enumerate() {
        last = number + 1;
        let at = |what: String| Broken {
            line: number + 1,
            what,
        };
        let line: Line = serde_json::from_str(line)
            .map_err(|error| at(format!("not a line of an audit file: {error}")))?;
        state.line = number + 1;
        state.take(line).map_err(at)?;
    }
    let at_end = |what: &str| Broken {
        line: last,
        what: what.to_owned(),
    };
    if !state.checked {
        return Err(at_end(
            "the file ends without its signed checkpoint: it was cut off",
        ));
    }
    state.proof.ok_or_else(|| at_end("the file is empty"))
}

fn decode(text: &str) -> Result<Vec<u8>, String> {
    BASE64_STANDARD
        .decode(text)
        .map_err(|_| "not base64".to_owned())
}

impl State {
    fn take(&mut self, line: Line) -> Result<(), String> {
        if self.checked {
            return Err("something follows the checkpoint".to_owned());
        }
        match line {
            Line::Root { envelope } => self.root(&decode(&envelope)?),
            Line::Entry(row) => self.entry(&row),
            Line::Blob { digest, bytes } => self.blob(digest, &decode(&bytes)?),
            Line::Checkpoint { envelope } => self.checkpoint(&decode(&envelope)?),
        }
    }

    fn root(&mut self, bytes: &[u8]) -> Result<(), String> {
        if self.root.is_some() {
            return Err("a second trust root".to_owned());
        }
        let envelope = Envelope::from_json(bytes).map_err(|error| error.to_string())?;
        let payload = envelope
            .payload_bytes()
            .map_err(|error| error.to_string())?;
        let claimed: TrustRoot =
            serde_json::from_slice(&payload).map_err(|error| error.to_string())?;
        // Self-consistent: whether it is the right root is told by comparing its digest.
        let root: Verified<TrustRoot> =
            verify(bytes, &claimed.roles.root).map_err(|error| error.to_string())?;
        let root = root.into_inner();
        let kind = root.kind.as_str().to_owned();
        self.root = Some((Digest::of(bytes), root));
        let trust_root = Digest::of(bytes);
        self.proof = Some(Proof {
            trust_root,
            kind,
            entries: 0,
            events: 0,
            bundles: 0,
            receipts: 0,
            receipts_of_lost_bundles: 0,
            refused_receipts: Vec::new(),
            overrides: Vec::new(),
            changes: BTreeMap::new(),
        });
        Ok(())
    }

    fn proof(&mut self) -> Result<&mut Proof, String> {
        self.proof
            .as_mut()
            .ok_or_else(|| "no trust root came before".to_owned())
    }

    fn entry(&mut self, row: &Row) -> Result<(), String> {
        if let Some(digest) = self.awaited {
            return Err(format!(
                "the bytes with digest {} are missing",
                digest.short()
            ));
        }
        let previous = self.chain.unwrap_or_else(store::genesis);
        if row.index != self.index + 1 {
            return Err(format!("entry {} follows entry {}", row.index, self.index));
        }
        if store::link(&previous, row.index, row.at, &row.body) != row.chain {
            return Err(format!(
                "entry {} does not fit the chain: it was altered",
                row.index
            ));
        }
        self.index = row.index;
        self.chain = Some(row.chain);
        self.proof()?.entries += 1;
        let record: Record = serde_json::from_str(&row.body)
            .map_err(|error| format!("entry {}: {error}", row.index))?;
        self.record(record)
    }

    fn record(&mut self, record: Record) -> Result<(), String> {
        match record {
            Record::AgentEnrolled {
                target, key, epoch, ..
            } => {
                let head = Head {
                    epoch,
                    index: EventIndex(0),
                    chain: chain::genesis(epoch),
                };
                self.heads.insert(target.clone(), head);
                self.keys.insert(target, key);
            }
            Record::PlanStored { plan, .. } => self.awaited = Some(plan.0),
            Record::BundleIssued { target, bundle, .. } => {
                self.bundles.insert(bundle.0, target);
                self.awaited = Some(bundle.0);
            }
            Record::TargetEvent {
                target,
                epoch,
                index,
                kind,
                at,
                body,
            } => {
                let head = self
                    .heads
                    .get_mut(&target)
                    .ok_or_else(|| format!("an event of {target}, which never enrolled"))?;
                if head.epoch != epoch || index != head.index.next() {
                    return Err(format!(
                        "event {index} of {target} does not follow event {}",
                        head.index
                    ));
                }
                let chain = chain::link(&head.chain, index, kind, at, body.as_bytes());
                let before = *head;
                *head = Head {
                    epoch,
                    index,
                    chain,
                };
                self.proof()?.events += 1;
                if let Some(Event::RunFinished { receipt, .. }) = Event::from_body(body.as_bytes())
                {
                    // One agent's word must not keep all others' from being verified.
                    if let Err(what) = self.receipt(&target, &receipt, before) {
                        let line = self.line;
                        self.proof()?.refused_receipts.push(Broken { line, what });
                    }
                }
            }
            Record::Restored { .. } => self.restored = true,
            Record::OverrideSaid {
                rule,
                target,
                by,
                asked,
                change,
                reason,
            } => {
                let entry = self.index;
                let said = format!(
                    "entry {entry}: {by}, of {asked} who must, set {rule} aside on {target} ({change}: {reason})"
                );
                self.proof()?.overrides.push(said);
            }
            Record::OverrideUsed {
                rule,
                target,
                generation,
                used,
            } => {
                let (entry, used) = (self.index, used.as_str());
                let said = format!(
                    "entry {entry}: under it {used} in run {generation} of {target} ({rule})"
                );
                self.proof()?.overrides.push(said);
            }
            Record::OverrideWithdrawn { rule, target, by } => {
                let entry = self.index;
                let said = format!("entry {entry}: {by} took it back for {rule} on {target}");
                self.proof()?.overrides.push(said);
            }
            Record::Begun { .. }
            | Record::Met { .. }
            | Record::FleetFrozen { .. }
            | Record::TenantSeen { .. }
            | Record::DirectoryAnswered { .. }
            | Record::FleetThawed { .. }
            | Record::TokenCreated { .. }
            | Record::JoinAsked { .. }
            | Record::JoinApproved { .. }
            | Record::CertificateIssued { .. }
            | Record::AgentRevoked { .. }
            | Record::SaidOff { .. }
            | Record::AgentReplaced { .. }
            | Record::ArtifactAdded { .. }
            | Record::ReleaseAdded { .. }
            | Record::ReleaseWithdrawn { .. }
            | Record::AgentSeen { .. }
            | Record::AgentDoubted { .. }
            | Record::Applied { .. }
            | Record::Ordered { .. }
            | Record::PermitGiven { .. }
            | Record::WentUnknown { .. }
            | Record::Away { .. }
            | Record::PassedOver { .. }
            | Record::Degraded { .. }
            | Record::Withdrawn { .. }
            | Record::Attested { .. } => {}
        }
        Ok(())
    }

    fn receipt(&mut self, target: &TargetId, envelope: &str, head: Head) -> Result<(), String> {
        let key = self
            .keys
            .get(target)
            .ok_or_else(|| format!("a receipt of {target}, which never enrolled"))?;
        let role = RoleKeys {
            keys: vec![*key],
            threshold: 1,
        };
        let receipt: Verified<Receipt> = verify(envelope.as_bytes(), &role)
            .map_err(|error| format!("the receipt of {target}: {error}"))?;
        let issued = self.bundles.get(&receipt.bundle.0);
        let lost = issued.is_none() && self.restored;
        if receipt.target != *target || (issued != Some(target) && !lost) {
            return Err(format!(
                "the receipt of {target} is for a bundle that was not issued to it"
            ));
        }
        if receipt.last_event != head.index || receipt.chain != head.chain {
            return Err(format!(
                "the receipt of {target} does not cover the events before it"
            ));
        }
        if let Some(change) = &receipt.change {
            let changes = &mut self.proof()?.changes;
            changes.entry(change.clone()).or_default().receipts += 1;
        }
        if lost {
            self.proof()?.receipts_of_lost_bundles += 1;
        } else {
            self.proof()?.receipts += 1;
        }
        Ok(())
    }

    fn blob(&mut self, digest: Digest, bytes: &[u8]) -> Result<(), String> {
        if self.awaited.take() != Some(digest) {
            return Err("bytes that no entry names".to_owned());
        }
        if Digest::of(bytes) != digest {
            return Err(format!(
                "the bytes do not have the digest {}: they were altered",
                digest.short()
            ));
        }
        if let Some(target) = self.bundles.get(&digest) {
            let (_, root) = self.root.as_ref().ok_or("no trust root came before")?;
            let manifest: Verified<Manifest> = verify(bytes, &root.roles.bundle)
                .map_err(|error| format!("the bundle for {target}: {error}"))?;
            if manifest.target != *target {
                return Err(format!("the bundle for {target} names {}", manifest.target));
            }
            let change = manifest.change.clone();
            let proof = self.proof()?;
            proof.bundles += 1;
            if let Some(change) = change {
                proof.changes.entry(change).or_default().bundles += 1;
            }
        }
        Ok(())
    }

    fn checkpoint(&mut self, bytes: &[u8]) -> Result<(), String> {
        if let Some(digest) = self.awaited {
            return Err(format!(
                "the bytes with digest {} are missing",
                digest.short()
            ));
        }
        let (_, root) = self.root.as_ref().ok_or("no trust root came before")?;
        let checkpoint: Verified<Checkpoint> = verify(bytes, &root.roles.bundle)
            .map_err(|error| format!("the checkpoint: {error}"))?;
        if checkpoint.index != self.index || Some(checkpoint.chain) != self.chain {
            return Err("the checkpoint does not cover the entries before it".to_owned());
        }
        self.checked = true;
        Ok(())
    }
}
