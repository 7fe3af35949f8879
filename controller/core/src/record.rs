//! Records: what the controller's log holds. The state of the fleet is the fold of its records, so that a replay after a
//! restart is exact. Bodies are JSON.

use protocol::answers::DirectoryAnswers;
use protocol::event::Section;
use protocol::key::PublicKey;
use protocol::signed::{ArtifactRef, Phase, ReleaseFile};
use protocol::{
    Attempt, BundleId, Digest, Epoch, EventIndex, Fingerprint, Generation, PlanId, RolloutId,
    StepIndex, TargetId, Timestamp, Version,
};
use serde::{Deserialize, Serialize};

use crate::doubt::Doubt;
use crate::overrides::{Rule, Used};
use crate::tenant::Observation;

/// One entry of the controller's log, before it is numbered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", content = "is", rename_all = "kebab-case")]
pub enum Record {
    /// The log began.
    Begun {
        /// Its epoch.
        epoch: Epoch,
    },
    /// The controller was restored from a backup: a new life of the log. What came after the backup is unknown here
    /// until the agents have told it again.
    Restored {
        /// The new epoch.
        epoch: Epoch,
        /// The epoch that the backup was taken in.
        parent: Epoch,
        /// When the backup was made.
        made: Timestamp,
        /// Who restored it.
        by: String,
    },
    /// An agent is back for the first time since the restore, and all that it has journaled is here.
    Met {
        /// Which.
        target: TargetId,
        /// Newest generation that it has accepted.
        generation: Generation,
    },
    /// Everything stands still: nothing is issued, no leave is given, runs wait at their next gate.
    FleetFrozen {
        /// Why.
        why: String,
        /// Who ordered it.
        by: String,
    },
    /// The fleet goes on.
    FleetThawed {
        /// Who ordered it.
        by: String,
    },
    /// An operator sets a rule aside on one target. It is in force for an hour once as many different ones have said so
    /// within an hour as were asked for.
    OverrideSaid {
        /// Which rule.
        rule: Rule,
        /// On which target.
        target: TargetId,
        /// Who says so.
        by: String,
        /// How many different operators the trust root asks for.
        asked: u32,
        /// Change number.
        change: String,
        /// Why.
        reason: String,
    },
    /// An operator takes an override back.
    OverrideWithdrawn {
        /// Of which rule.
        rule: Rule,
        /// On which target.
        target: TargetId,
        /// Who.
        by: String,
    },
    /// Something went its way that the rule would have held, or a bundle was made that carries the override.
    OverrideUsed {
        /// Which rule.
        rule: Rule,
        /// On which target.
        target: TargetId,
        /// In which run.
        generation: Generation,
        /// What it let through.
        used: Used,
    },
    /// A join token was made. Only its digest is kept.
    TokenCreated {
        /// Digest of the token.
        token: Digest,
        /// The one name that it enrolls; any other waits for approval.
        target: Option<TargetId>,
        /// Last moment of its use.
        expires: Timestamp,
        /// How many may join with it.
        uses: u32,
        /// Who made it.
        by: String,
    },
    /// A server asked to join under a name that its token does not cover.
    JoinAsked {
        /// Name it claims.
        target: TargetId,
        /// Its key.
        key: PublicKey,
        /// What the machine says of itself.
        machine: String,
        /// Epoch of its journal.
        epoch: Epoch,
        /// Digest of the token it showed.
        token: Digest,
        /// True for a model of a server.
        simulated: bool,
    },
    /// An operator agreed to a server that waits.
    JoinApproved {
        /// Its name.
        target: TargetId,
        /// Its key, compared by the operator.
        key: Fingerprint,
        /// Who agreed.
        by: String,
    },
    /// A server became known.
    AgentEnrolled {
        /// Its name.
        target: TargetId,
        /// Its key.
        key: PublicKey,
        /// Epoch of its journal.
        epoch: Epoch,
        /// Digest of the token.
        token: Digest,
        /// Who approved, or the token itself.
        by: String,
        /// True for a model of a server.
        simulated: bool,
    },
    /// An agent that came is of another version than was known of it.
    AgentSeen {
        /// Its server.
        target: TargetId,
        /// What it says that it is.
        version: String,
    },
    /// The agent of a target is not the only one with its key, or not the one that it was. None with that key is welcome,
    /// nothing is offered to the target and it gets no leave, until an operator has freed its name.
    AgentDoubted {
        /// Its server.
        target: TargetId,
        /// The key that is doubted.
        key: Fingerprint,
        /// What was seen.
        doubt: Doubt,
        /// Addresses that it was seen at, the one that came last at the end.
        at: Vec<String>,
    },
    /// A certificate was issued.
    CertificateIssued {
        /// For whom.
        target: TargetId,
        /// For which key.
        key: Fingerprint,
        /// Serial number, hexadecimal.
        serial: String,
        /// When it ends.
        expires: Timestamp,
    },
    /// A key was revoked.
    AgentRevoked {
        /// Its server.
        target: TargetId,
        /// The key.
        key: Fingerprint,
        /// Who did it.
        by: String,
    },
    /// An operator says that a server is off for good: whatever Connect was on it exports no more.
    SaidOff {
        /// The server.
        target: TargetId,
        /// Who says so.
        by: String,
    },
    /// A name was freed for another key.
    AgentReplaced {
        /// The name.
        target: TargetId,
        /// Who did it.
        by: String,
    },
    /// A file was taken into the artifact store.
    ArtifactAdded {
        /// What it is.
        artifact: ArtifactRef,
        /// Who signed it, from its Authenticode signature; absent for a model.
        signer: Option<String>,
        /// Where it came from.
        source: String,
        /// Who accepted the vendor's terms.
        terms_accepted_by: String,
    },
    /// A release of the agent was taken into the artifact store, with its programs.
    ReleaseAdded {
        /// Its version.
        version: Version,
        /// Its envelope, as JSON text: signed by the publisher that the trust root names.
        release: String,
        /// Its programs, as it names them.
        files: Vec<ReleaseFile>,
        /// Who added it.
        by: String,
    },
    /// A release of the agent is planned and applied no more.
    ReleaseWithdrawn {
        /// Its version.
        version: Version,
        /// Why.
        reason: String,
        /// Who withdrew it.
        by: String,
    },
    /// A plan was stored.
    PlanStored {
        /// The plan.
        plan: PlanId,
        /// Who asked for it.
        by: String,
    },
    /// A plan is carried out.
    Applied {
        /// The rollout.
        rollout: RolloutId,
        /// The plan.
        plan: PlanId,
        /// Who ordered it.
        by: String,
        /// Change number.
        change: Option<String>,
        /// How many acts that cannot be undone were accepted with it (G10).
        #[serde(default)]
        irreversible: u32,
        /// When it begins; at once where it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_before: Option<Timestamp>,
    },
    /// An operator ordered something of a rollout.
    Ordered {
        /// The rollout.
        rollout: RolloutId,
        /// What.
        order: Order,
        /// Who.
        by: String,
    },
    /// A bundle was made; its bytes are stored beside this record.
    BundleIssued {
        /// The rollout.
        rollout: RolloutId,
        /// For whom.
        target: TargetId,
        /// Its generation.
        generation: Generation,
        /// Which phase.
        phase: Phase,
        /// Digest of its bytes.
        bundle: BundleId,
        /// When it ends.
        expires: Timestamp,
    },
    /// Leave was given.
    PermitGiven {
        /// To whom.
        target: TargetId,
        /// For which run.
        generation: Generation,
        /// For which step.
        step: StepIndex,
        /// For which try.
        attempt: Attempt,
        /// For what.
        section: Section,
        /// When it lapses if the section is not entered.
        lapses: Timestamp,
        /// On what it rested that enough others serve meanwhile (G2), a sentence for each domain.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        rests_on: Vec<String>,
    },
    /// A target was silent beyond the end of its bundle, or away when its rollout was aborted: before its end that bundle stays
    /// open, since it may be at work.
    WentUnknown {
        /// The target.
        target: TargetId,
        /// The bundle.
        generation: Generation,
    },
    /// A target was away in the middle of its work for long enough to tell, or is back: so a deadline of its rollout outlasts a
    /// restart of the controller.
    Away {
        /// The rollout.
        rollout: RolloutId,
        /// The target.
        target: TargetId,
        /// When its session ended; absent once it is back.
        since: Option<Timestamp>,
    },
    /// A target was away for as long as its rollout waits for anybody, or is back.
    PassedOver {
        /// The rollout.
        rollout: RolloutId,
        /// The target.
        target: TargetId,
        /// Since when it was away; absent once it is back.
        away: Option<Timestamp>,
    },
    /// The product of a target was seen to be worse while it was watched, and stayed so.
    Degraded {
        /// Its rollout.
        rollout: RolloutId,
        /// The target.
        target: TargetId,
        /// What is worse, in words.
        why: String,
    },
    /// A bundle of an aborted rollout that its agent never accepted is not offered again.
    Withdrawn {
        /// The target.
        target: TargetId,
        /// The bundle.
        generation: Generation,
    },
    /// Somebody says that a step is done.
    Attested {
        /// On which target.
        target: TargetId,
        /// In which run.
        generation: Generation,
        /// Which step.
        step: StepIndex,
        /// Who.
        by: String,
    },
    /// Somebody read what a tenant shows, with a token of theirs.
    TenantSeen {
        /// What was seen.
        observation: Box<Observation>,
        /// Who read it.
        by: String,
    },
    /// Somebody hands in what a person who signed in was answered of a domain.
    DirectoryAnswered {
        /// The answers.
        answers: Box<DirectoryAnswers>,
        /// Who hands them in.
        by: String,
    },
    /// An event of a target's journal.
    TargetEvent {
        /// Whose.
        target: TargetId,
        /// Life of the journal.
        epoch: Epoch,
        /// Its number there.
        index: EventIndex,
        /// Its kind.
        kind: u16,
        /// When the agent journaled it, by its own clock.
        at: Timestamp,
        /// The body as the agent chained it: a [`protocol::event::Event`], where this version understands it.
        body: String,
    },
}

/// What an operator orders of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "kebab-case")]
pub enum Order {
    /// Start nothing new.
    Pause,
    /// Go on.
    Resume {
        /// Whoever says so knows that what was ordered since a backup is forgotten, and has given it again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        after_restore: bool,
    },
    /// End it: nothing new, runs end at their next gate.
    Abort,
    /// Try a target again, or all that failed.
    Retry {
        /// Which; absent for all that failed.
        target: Option<TargetId>,
    },
    /// Leave a target out.
    Skip {
        /// Which.
        target: TargetId,
        /// Why.
        reason: String,
    },
    /// Other limits from now on.
    Limits {
        /// Targets under way at once; as before where it is absent.
        in_flight: Option<u32>,
        /// Failed, unknown and under way together never exceed this; as before where it is absent.
        failures: Option<u32>,
        /// Seconds for which anybody who is away is waited for, 0 for ever; as before where it is absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unreachable: Option<u32>,
    },
    /// Another number of servers under way at once at a site, from now on: of whatever rollout, as this one counts them.
    SiteLimit {
        /// Which site of the topology.
        site: String,
        /// How many.
        in_flight: u32,
    },
    /// Let a swap go on though the settings of two servers differ, as they do just now (guard rail G4).
    AcceptDifference {
        /// Which difference: of another one it says nothing.
        difference: Digest,
        /// Why.
        reason: String,
    },
    /// Say what became of a target that nobody can reach.
    Resolve {
        /// Which.
        target: TargetId,
        /// What became of it.
        reason: String,
        /// The server is off, or was looked at: nothing of the run goes on there, and what it claims is free.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        off: bool,
    },
}
