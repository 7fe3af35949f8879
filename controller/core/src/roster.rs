//! Who may speak and what there is: agents, join tokens, certificates, artifacts, heads of journals. The fold of the same
//! records as the fleet's.

use std::collections::{BTreeMap, BTreeSet};

use protocol::key::PublicKey;
use protocol::signed::{ArtifactRef, ReleaseFile};
use protocol::wire::latest::Head;
use protocol::{Digest, Epoch, EventIndex, Fingerprint, TargetId, Timestamp, Version, chain};
use serde::{Deserialize, Serialize};

use crate::recipe::Artifacts;
use crate::record::Record;
use crate::topology::Available;

/// An enrolled agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its key.
    pub key: PublicKey,
    /// Head of its journal as it is stored.
    pub head: Head,
    /// Since when.
    pub enrolled: Timestamp,
    /// True for a model of a server.
    pub simulated: bool,
    /// Who approved.
    pub by: String,
    /// Version of the agent, as it said when it last came with another one.
    #[serde(default)]
    pub version: Option<String>,
}

/// A server that asked to join and waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its key.
    pub key: PublicKey,
    /// What the machine says of itself.
    pub machine: String,
    /// Epoch of its journal.
    pub epoch: Epoch,
    /// Token it showed.
    pub token: Digest,
    /// Since when.
    pub since: Timestamp,
    /// True for a model of a server.
    pub simulated: bool,
    /// An operator agreed; the next ask is answered with a certificate.
    pub approved_by: Option<String>,
}

/// A server that waits for an operator's approval, as an operator compares it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Joining {
    /// The name that it asks for.
    pub target: TargetId,
    /// Fingerprint of its key, which is compared with what the server itself shows.
    pub key: Fingerprint,
    /// What the machine says of itself.
    pub machine: String,
    /// Since when.
    pub since: Timestamp,
    /// The one name that its join file was made for; absent for one that enrolls any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_for: Option<TargetId>,
    /// True for a model of a server.
    pub simulated: bool,
}

impl Joining {
    /// That it waits, with what is to be compared and what to do.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self {
            target,
            key,
            machine,
            since,
            ..
        } = self;
        let made_for = self.made_for.as_ref();
        let made_for = made_for.filter(|one| *one != target);
        let made_for = made_for.map_or_else(String::new, |one| {
            format!(
                "; its join file was made for {one}, so make sure that it lies on the right server"
            )
        });
        format!(
            "{target} waits for approval since {since}, key {key} ({machine}){made_for}: compare the key at the server, then entrain agents approve {target} KEY"
        )
    }
}

/// A join token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// The one name that it enrolls.
    pub target: Option<TargetId>,
    /// Last moment of its use.
    pub expires: Timestamp,
    /// How many may join with it.
    pub uses: u32,
    /// Keys that joined with it.
    pub used_by: BTreeSet<Fingerprint>,
}

/// An accepted file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// What it is.
    pub artifact: ArtifactRef,
    /// Who signed it.
    pub signer: Option<String>,
    /// Where it came from.
    pub source: String,
    /// Who accepted the vendor's terms.
    pub terms_accepted_by: String,
    /// When.
    pub added: Timestamp,
}

/// A release of the agent, with its programs in the artifact store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its envelope, as JSON text.
    pub envelope: String,
    /// Its programs.
    pub files: Vec<ReleaseFile>,
    /// Who added it.
    pub by: String,
    /// When.
    pub added: Timestamp,
    /// It is planned no more: who said so, and why.
    #[serde(default)]
    pub withdrawn: Option<Withdrawn>,
}

/// Who took a release back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Withdrawn {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// What becomes of an ask to join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// Enroll it.
    Enroll {
        /// Who approved, or the token itself.
        by: String,
    },
    /// It is enrolled already with this key: the same answer again.
    Again,
    /// It waits for an operator; record the ask if it is new.
    Wait {
        /// It is new.
        new: bool,
    },
    /// No, with the reason.
    Refuse(String),
}

/// The whole.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    agents: BTreeMap<TargetId, Agent>,
    pending: BTreeMap<TargetId, Pending>,
    tokens: BTreeMap<Digest, Token>,
    revoked: BTreeSet<Fingerprint>,
    replaceable: BTreeSet<TargetId>,
    artifacts: BTreeMap<Digest, Artifact>,
    releases: BTreeMap<Version, Release>,
}

impl Roster {
    /// Enrolled agents.
    #[must_use]
    pub const fn agents(&self) -> &BTreeMap<TargetId, Agent> {
        &self.agents
    }

    /// Servers that wait.
    #[must_use]
    pub const fn pending(&self) -> &BTreeMap<TargetId, Pending> {
        &self.pending
    }

    /// Servers that wait for an operator's approval.
    pub fn all_joining(&self) -> impl Iterator<Item = Joining> {
        self.pending
            .keys()
            .filter_map(|target| self.joining(target))
    }

    /// The server of that name, where it waits for an operator's approval.
    #[must_use]
    pub fn joining(&self, target: &TargetId) -> Option<Joining> {
        let (target, waiting) = self.pending.get_key_value(target)?;
        let token = self.tokens.get(&waiting.token);
        waiting.approved_by.is_none().then(|| Joining {
            target: target.clone(),
            key: waiting.key.fingerprint(),
            machine: waiting.machine.clone(),
            since: waiting.since,
            made_for: token.and_then(|token| token.target.clone()),
            simulated: waiting.simulated,
        })
    }

    /// Accepted files.
    #[must_use]
    pub const fn artifacts(&self) -> &BTreeMap<Digest, Artifact> {
        &self.artifacts
    }

    /// Releases of the agent, oldest first.
    #[must_use]
    pub const fn releases(&self) -> &BTreeMap<Version, Release> {
        &self.releases
    }

    /// The release that agents are brought to: that one, or else the newest that was not withdrawn, where there is one.
    ///
    /// # Errors
    /// With the reason, where the one that is named is not there or was withdrawn.
    pub fn release(&self, wanted: Option<Version>) -> Result<Option<(Version, &Release)>, String> {
        let Some(wanted) = wanted else {
            let mut stand = self
                .releases
                .iter()
                .filter(|(_, one)| one.withdrawn.is_none());
            return Ok(stand.next_back().map(|(version, one)| (*version, one)));
        };
        let release = self.releases.get(&wanted).ok_or_else(|| {
            format!(
                "release {wanted} is not in the artifact store; `entrain release list` shows what is, and `entrain release add` brings one"
            )
        })?;
        match &release.withdrawn {
            None => Ok(Some((wanted, release))),
            Some(withdrawn) => Err(format!(
                "release {wanted} was withdrawn by {} at {}: {}; add a newer one",
                withdrawn.by, withdrawn.at, withdrawn.reason
            )),
        }
    }

    /// Tells whether a release may be taken back.
    ///
    /// # Errors
    /// With the reason: there is no such release, it was withdrawn before, or no reason is given.
    pub fn may_withdraw(&self, version: Version, reason: &str) -> Result<(), String> {
        self.release(Some(version))?;
        if reason.trim().is_empty() {
            return Err("why it is withdrawn is not said: --reason".to_owned());
        }
        Ok(())
    }

    /// The program of a release with that digest.
    #[must_use]
    pub fn program(&self, sha256: &Digest) -> Option<&ReleaseFile> {
        let mut files = self.releases.values().flat_map(|release| &release.files);
        files.find(|file| file.sha256 == *sha256)
    }

    /// Tells whether a key was revoked.
    #[must_use]
    pub fn is_revoked(&self, key: &Fingerprint) -> bool {
        self.revoked.contains(key)
    }

    /// The agent with that key.
    #[must_use]
    pub fn by_key(&self, key: &PublicKey) -> Option<(&TargetId, &Agent)> {
        self.agents.iter().find(|(_, agent)| agent.key == *key)
    }

    /// The newest artifact of each product.
    #[must_use]
    pub fn newest(&self) -> Artifacts {
        let mut newest = Artifacts::new();
        for artifact in self.artifacts.values() {
            let slot = newest
                .entry(artifact.artifact.product)
                .or_insert_with(|| artifact.artifact.clone());
            if artifact.artifact.version > slot.version {
                *slot = artifact.artifact.clone();
            }
        }
        newest
    }

    /// The same as versions, for `check`.
    #[must_use]
    pub fn available(&self) -> Available {
        Available(
            self.newest()
                .into_iter()
                .map(|(product, artifact)| (product, artifact.version))
                .collect(),
        )
    }

    /// Decides about an ask to join.
    #[must_use]
    pub fn admit(
        &self,
        target: &TargetId,
        key: &PublicKey,
        token: &Digest,
        now: Timestamp,
    ) -> Admission {
        let fingerprint = key.fingerprint();
        if self.revoked.contains(&fingerprint) {
            return Admission::Refuse(
                "this key was revoked; on the server, enroll with --new-key".to_owned(),
            );
        }
        let Some(entry) = self.tokens.get(token) else {
            return Admission::Refuse("the join token is not known".to_owned());
        };
        if now > entry.expires {
            return Admission::Refuse(format!("the join token expired at {}", entry.expires));
        }
        if let Some(agent) = self.agents.get(target) {
            if agent.key == *key {
                return Admission::Again;
            }
            if !self.replaceable.contains(target) {
                let why = format!(
                    "{target} is enrolled with another key; an operator must free the name: entrain agents replace {target}"
                );
                return Admission::Refuse(why);
            }
        }
        if !entry.used_by.contains(&fingerprint) && entry.used_by.len() >= entry.uses as usize {
            return Admission::Refuse("the join token was used".to_owned());
        }
        if let Some(waiting) = self.pending.get(target)
            && waiting.key == *key
            && waiting.token == *token
        {
            return match &waiting.approved_by {
                Some(by) => Admission::Enroll { by: by.clone() },
                None => Admission::Wait { new: false },
            };
        }
        if entry.target.as_ref() == Some(target) {
            return Admission::Enroll {
                by: "token".to_owned(),
            };
        }
        if entry.target.is_none() && entry.uses > 1 {
            // A token for many names is made for models alone; the shell refuses it for real servers.
            return Admission::Enroll {
                by: "token".to_owned(),
            };
        }
        Admission::Wait { new: true }
    }

    /// Takes up one record.
    pub fn apply(&mut self, record: &Record, now: Timestamp) {
        match record {
            Record::TokenCreated {
                token,
                target,
                expires,
                uses,
                ..
            } => {
                let entry = Token {
                    target: target.clone(),
                    expires: *expires,
                    uses: *uses,
                    used_by: BTreeSet::new(),
                };
                self.tokens.insert(*token, entry);
            }
            Record::JoinAsked {
                target,
                key,
                machine,
                epoch,
                token,
                simulated,
            } => {
                let waiting = Pending {
                    key: *key,
                    machine: machine.clone(),
                    epoch: *epoch,
                    token: *token,
                    since: now,
                    simulated: *simulated,
                    approved_by: None,
                };
                self.pending.insert(target.clone(), waiting);
            }
            Record::JoinApproved { target, key, by } => {
                if let Some(waiting) = self
                    .pending
                    .get_mut(target)
                    .filter(|waiting| waiting.key.fingerprint() == *key)
                {
                    waiting.approved_by = Some(by.clone());
                }
            }
            Record::AgentEnrolled {
                target,
                key,
                epoch,
                token,
                by,
                simulated,
            } => {
                self.pending.remove(target);
                self.replaceable.remove(target);
                if let Some(entry) = self.tokens.get_mut(token) {
                    entry.used_by.insert(key.fingerprint());
                }
                let head = Head {
                    epoch: *epoch,
                    index: EventIndex(0),
                    chain: chain::genesis(*epoch),
                };
                let agent = Agent {
                    key: *key,
                    head,
                    enrolled: now,
                    simulated: *simulated,
                    by: by.clone(),
                    version: None,
                };
                self.agents.insert(target.clone(), agent);
            }
            Record::AgentSeen { target, version } => {
                if let Some(agent) = self.agents.get_mut(target) {
                    agent.version = Some(version.clone());
                }
            }
            Record::AgentRevoked { target, key, .. } => {
                self.revoked.insert(*key);
                if self
                    .agents
                    .get(target)
                    .is_some_and(|agent| agent.key.fingerprint() == *key)
                {
                    self.agents.remove(target);
                }
                self.pending.remove(target);
            }
            Record::AgentReplaced { target, .. } => {
                if let Some(agent) = self.agents.get(target) {
                    self.revoked.insert(agent.key.fingerprint());
                    self.replaceable.insert(target.clone());
                }
                self.agents.remove(target);
            }
            Record::ArtifactAdded {
                artifact,
                signer,
                source,
                terms_accepted_by,
            } => {
                let entry = Artifact {
                    artifact: artifact.clone(),
                    signer: signer.clone(),
                    source: source.clone(),
                    terms_accepted_by: terms_accepted_by.clone(),
                    added: now,
                };
                self.artifacts.insert(artifact.sha256, entry);
            }
            Record::ReleaseAdded {
                version,
                release,
                files,
                by,
            } => {
                let entry = Release {
                    envelope: release.clone(),
                    files: files.clone(),
                    by: by.clone(),
                    added: now,
                    withdrawn: None,
                };
                self.releases.insert(*version, entry);
            }
            Record::ReleaseWithdrawn {
                version,
                reason,
                by,
            } => {
                if let Some(release) = self.releases.get_mut(version) {
                    release.withdrawn = Some(Withdrawn {
                        by: by.clone(),
                        reason: reason.clone(),
                        at: now,
                    });
                }
            }
            Record::TargetEvent {
                target,
                epoch,
                index,
                kind,
                at,
                body,
            } => {
                if let Some(agent) = self.agents.get_mut(target)
                    && agent.head.epoch == *epoch
                {
                    let chain = chain::link(&agent.head.chain, *index, *kind, *at, body.as_bytes());
                    agent.head = Head {
                        epoch: *epoch,
                        index: *index,
                        chain,
                    };
                }
            }
            Record::Restored { .. } => {
                // A token that was used since would be good once more, and who asked since asks again.
                self.tokens.clear();
                self.pending.clear();
            }
            Record::Begun { .. }
            | Record::Met { .. }
            | Record::AgentDoubted { .. }
            | Record::FleetFrozen { .. }
            | Record::OverrideSaid { .. }
            | Record::OverrideWithdrawn { .. }
            | Record::OverrideUsed { .. }
            | Record::TenantSeen { .. }
            | Record::DirectoryAnswered { .. }
            | Record::FleetThawed { .. }
            | Record::SaidOff { .. }
            | Record::CertificateIssued { .. }
            | Record::PlanStored { .. }
            | Record::Applied { .. }
            | Record::Ordered { .. }
            | Record::BundleIssued { .. }
            | Record::PermitGiven { .. }
            | Record::WentUnknown { .. }
            | Record::Away { .. }
            | Record::PassedOver { .. }
            | Record::Degraded { .. }
            | Record::Withdrawn { .. }
            | Record::Attested { .. } => {}
        }
    }
}
