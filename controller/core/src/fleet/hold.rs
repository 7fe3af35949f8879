//! What holds a target, what lifts that, and who can. Each cause answers all of it by a match, so that none is added without.

use protocol::TargetId;
use serde::{Deserialize, Serialize};

use crate::rails::Rail;

/// Who can lift a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lifter {
    /// Nobody has to do anything, and nobody could: the time comes.
    Time,
    /// Nobody has to do anything: what it waits for goes on by itself.
    Work,
    /// Its agent, by coming back.
    Agent,
    /// Whoever runs Entrain.
    Operator,
    /// As many operators as the trust root asks approvers for, by an override.
    Approvers,
    /// The administrator of that server.
    ServerAdministrator,
    /// The administrator of its directory.
    DirectoryAdministrator,
    /// The administrator of its tenant.
    TenantAdministrator,
    /// Nobody: what it belongs to has ended.
    Nobody,
}

impl Lifter {
    /// In words, as an answer to "who can lift it?".
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Time => "nobody but time",
            Self::Work => "nobody has to: it comes by itself",
            Self::Agent => "its agent, when it is back",
            Self::Operator => "an operator",
            Self::Approvers => "as many operators as must approve, by an override",
            Self::ServerAdministrator => "that server's administrator",
            Self::DirectoryAdministrator => "the directory's administrator",
            Self::TenantAdministrator => "the tenant's administrator",
            Self::Nobody => "nobody",
        }
    }
}

/// Why a target waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// Everything stands still.
    FleetFrozen,
    /// Its rollout is paused.
    Paused,
    /// Its rollout was aborted.
    Aborted,
    /// Its rollout begins later.
    NotBegun,
    /// A bundle is open on it (G5).
    BundleOpen,
    /// What asks for leave is no bundle that is open.
    NoBundle,
    /// It is none of the fleet.
    NotEnrolled,
    /// Its agent is not the only one with its key, or not the one that it was.
    Doubted,
    /// Its administrator has frozen it.
    ServerFrozen,
    /// It was not heard of since the controller was restored.
    Unmet,
    /// Another one was not heard of since the controller was restored, and may be in a section.
    OtherUnmet,
    /// It is away since just now.
    LeftJustNow,
    /// It is away.
    Away,
    /// It is away in the middle of its work.
    AwayAtWork,
    /// A person has to do something at its server.
    AwaitsPerson,
    /// A person has to give a secret.
    AwaitsSecret,
    /// Its server is not what the plan took it to be.
    PlannedOtherwise,
    /// Its agent is at a run that nobody here waits for any more.
    AtAnotherRun,
    /// What it has journaled while it was away is on its way.
    JournalComes,
    /// What would be brought, or would become active, was taken back by its vendor (G6), or is below a floor (G4).
    VersionRefused,
    /// Its plan has more that cannot be undone than was accepted (G10).
    Unaccepted,
    /// Its tenant shows by now what cannot be undone and does not stand in its plan (G10).
    Unforeseen,
    /// It is the last agent of a domain for which its tenant has a configuration at work (G10).
    StillConfigured,
    /// Its provisioning agent is registered with another tenant by now (G9).
    OtherTenant,
    /// Its product is watched.
    Watched,
    /// Its tenant shows what blocks it (G8).
    TenantBlocks,
    /// A domain is in both tools, and objects may be as well (G7).
    InBoth,
    /// Another server is active, or may be (G1).
    ActiveClaim,
    /// A Connect server that nobody knows here was found in its directory or its tenant (G1).
    Stranger,
    /// Its tenant is being moved to cloud sync.
    TenantMoves,
    /// Another server's phase goes first, and goes on.
    OtherGoesOn,
    /// Another server's phase goes first, and that one is away.
    OtherAway,
    /// Another server's phase goes first, and has stopped.
    OtherStopped,
    /// Settings of two servers differ, or were not read (G4).
    SettingsDiffer,
    /// Its Connect is not of the version that was to be verified (G4).
    OtherVersion,
    /// Its site's window is closed, or its dates are frozen.
    SiteClosed,
    /// An earlier wave goes on.
    WaveGoesOn,
    /// Somebody of an earlier wave is held.
    WaveHeld,
    /// An earlier wave has stopped.
    WaveStopped,
    /// Its canary goes on.
    CanaryGoesOn,
    /// Its canary is held.
    CanaryHeld,
    /// Its canary has stopped.
    CanaryStopped,
    /// So many have failed that nothing more begins.
    FailureLimit,
    /// So many may yet fail that nothing more begins.
    MayYetFail,
    /// So many are under way.
    InFlight,
    /// So many are under way at its site.
    SiteFull,
    /// Others are to serve its domain first (G2).
    OthersServeFirst,
    /// Too few would serve a domain, and more do when they are back (G2).
    ServiceComesBack,
    /// Too few would serve a domain (G2).
    TooFewServe,
    /// Another one changes the same gMSA (G3).
    GmsaBusy,
    /// Its run was given up in a section, which it may still be in.
    GivenUp,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 51] = [
        Self::FleetFrozen,
        Self::Paused,
        Self::Aborted,
        Self::NotBegun,
        Self::BundleOpen,
        Self::NoBundle,
        Self::NotEnrolled,
        Self::Doubted,
        Self::ServerFrozen,
        Self::Unmet,
        Self::OtherUnmet,
        Self::LeftJustNow,
        Self::Away,
        Self::AwayAtWork,
        Self::AwaitsPerson,
        Self::AwaitsSecret,
        Self::PlannedOtherwise,
        Self::AtAnotherRun,
        Self::JournalComes,
        Self::VersionRefused,
        Self::Unaccepted,
        Self::Unforeseen,
        Self::StillConfigured,
        Self::OtherTenant,
        Self::Watched,
        Self::TenantBlocks,
        Self::InBoth,
        Self::ActiveClaim,
        Self::Stranger,
        Self::TenantMoves,
        Self::OtherGoesOn,
        Self::OtherAway,
        Self::OtherStopped,
        Self::SettingsDiffer,
        Self::OtherVersion,
        Self::SiteClosed,
        Self::WaveGoesOn,
        Self::WaveHeld,
        Self::WaveStopped,
        Self::CanaryGoesOn,
        Self::CanaryHeld,
        Self::CanaryStopped,
        Self::FailureLimit,
        Self::MayYetFail,
        Self::InFlight,
        Self::SiteFull,
        Self::OthersServeFirst,
        Self::ServiceComesBack,
        Self::TooFewServe,
        Self::GmsaBusy,
        Self::GivenUp,
    ];

    /// Its turn comes by itself as work or time goes on: nobody has to do anything.
    #[must_use]
    pub const fn is_in_turn(self) -> bool {
        match self {
            Self::NotBegun
            | Self::LeftJustNow
            | Self::AtAnotherRun
            | Self::JournalComes
            | Self::Watched
            | Self::OtherGoesOn
            | Self::SiteClosed
            | Self::WaveGoesOn
            | Self::CanaryGoesOn
            | Self::MayYetFail
            | Self::InFlight
            | Self::SiteFull
            | Self::OthersServeFirst
            | Self::ServiceComesBack
            | Self::GmsaBusy => true,
            Self::FleetFrozen
            | Self::Paused
            | Self::Aborted
            | Self::BundleOpen
            | Self::NoBundle
            | Self::NotEnrolled
            | Self::Doubted
            | Self::ServerFrozen
            | Self::Unmet
            | Self::OtherUnmet
            | Self::Away
            | Self::AwayAtWork
            | Self::AwaitsPerson
            | Self::AwaitsSecret
            | Self::PlannedOtherwise
            | Self::VersionRefused
            | Self::Unaccepted
            | Self::Unforeseen
            | Self::StillConfigured
            | Self::OtherTenant
            | Self::TenantBlocks
            | Self::InBoth
            | Self::ActiveClaim
            | Self::Stranger
            | Self::TenantMoves
            | Self::OtherAway
            | Self::OtherStopped
            | Self::SettingsDiffer
            | Self::OtherVersion
            | Self::WaveHeld
            | Self::WaveStopped
            | Self::CanaryHeld
            | Self::CanaryStopped
            | Self::FailureLimit
            | Self::TooFewServe
            | Self::GivenUp => false,
        }
    }

    /// What lifts it.
    #[must_use]
    pub const fn lifted_by(self) -> &'static str {
        match self {
            Self::FleetFrozen => "entrain thaw --all",
            Self::Paused => "entrain resume",
            Self::Aborted => "nothing; a new plan and its apply take the work up again",
            Self::NotBegun => "the hour for which it was ordered",
            Self::BundleOpen => {
                "the end of that bundle: by itself, by an abort of its rollout, or by a resolve of a server that is away"
            }
            Self::NoBundle => "the end of that run, which comes at its next gate",
            Self::NotEnrolled => "its enrollment, with a join file of entrain token",
            Self::Doubted => {
                "the copies are taken off and the one that stays enrolls with a new key, once entrain agents replace has freed the name"
            }
            Self::ServerFrozen => "entrain-agent thaw on that server, or the end of the freeze",
            Self::Unmet => "the return of its agent",
            Self::OtherUnmet => "the return of that other agent, or its revocation",
            Self::LeftJustNow => "its return; after five minutes nobody waits for it",
            Self::Away => "its return: the server runs, and its agent reaches the controller",
            Self::AwayAtWork => {
                "the return of its agent; or entrain resolve, by whoever knows what became of it"
            }
            Self::AwaitsPerson => {
                "what is to be done at that server, by a person: entrain tasks tells it"
            }
            Self::AwaitsSecret => "the secret that it asks for, given by entrain secret give",
            Self::PlannedOtherwise => {
                "a new plan: entrain skip of it here, then entrain plan and apply, which read what it is now"
            }
            Self::AtAnotherRun => "the end of that run, which comes at its next gate",
            Self::JournalComes => "the end of what its agent is telling",
            Self::VersionRefused => {
                "a newer version by a new plan, or versions.toml that says no more against this one"
            }
            Self::Unaccepted => {
                "an abort, and entrain apply of its plan with all that cannot be undone accepted"
            }
            Self::Unforeseen => {
                "an abort and a new plan, whose apply accepts that act; or entrain tenant read, once the tenant shows it no more"
            }
            Self::StillConfigured => {
                "whoever runs the tenant disables the configuration of that domain, and entrain tenant read reads that"
            }
            Self::OtherTenant => {
                "its agent is taken off where it is registered; or an abort and a corrected topology"
            }
            Self::Watched => "the end of its watch, and a look that finds all well",
            Self::TenantBlocks => {
                "what the probe names is put right in the tenant, and entrain tenant read reads it again; or override G8"
            }
            Self::InBoth => {
                "the units of both tools are made disjoint, and read again; or override G7"
            }
            Self::ActiveClaim => {
                "the other server is seen in staging mode, or is said to be off for good; or override G1"
            }
            Self::Stranger => {
                "that server is enrolled, or gone from what entrain discover finds; or override G1"
            }
            Self::TenantMoves => "the end of that move, or a resolve; or override G1",
            Self::OtherGoesOn => "the end of that other phase",
            Self::OtherAway => {
                "the return of that other server's agent; a resolve, where what it was to do first is its change of mode; or an abort and a new plan"
            }
            Self::OtherStopped => "a retry of that other server, or an abort and a new plan",
            Self::SettingsDiffer => {
                "the settings are made equal and read anew by a retry, or entrain accept approves this difference"
            }
            Self::OtherVersion => {
                "its agent tells that version again; or an abort and a plan that upgrades it first"
            }
            Self::SiteClosed => "the next opening of its site; or override window",
            Self::WaveGoesOn => "the end of the wave before",
            Self::WaveHeld => "what holds the one that it waits for: entrain why tells it",
            Self::WaveStopped => "a retry of whoever stopped the wave before, or a skip",
            Self::CanaryGoesOn => "the end of its canary",
            Self::CanaryHeld => "what holds its canary: entrain why tells it",
            Self::CanaryStopped => "a retry of its canary, or a skip",
            Self::FailureLimit => {
                "a retry that succeeds, a skip, or entrain limits --failures with more"
            }
            Self::MayYetFail => {
                "the end of one that is under way, or entrain limits --failures with more"
            }
            Self::InFlight => {
                "the end of one that is under way, or entrain limits --in-flight with more"
            }
            Self::SiteFull => {
                "the end of one that is under way at its site, or entrain limits --site with more"
            }
            Self::OthersServeFirst => "the others serve; or override G2",
            Self::ServiceComesBack => "those that are out serve again; or override G2",
            Self::TooFewServe => "more agents are seen to serve that domain; or override G2",
            Self::GmsaBusy => "the end of that other section; or override G3",
            Self::GivenUp => {
                "its agent's word that it has left that section, the end of its bundle and of the time of its step, or entrain resolve --off, by whoever knows that the server is off"
            }
        }
    }

    /// The guard rails that hold by it. Of two servers that change places each waits for what the rails ask of the other one.
    #[must_use]
    pub const fn rails(self) -> &'static [Rail] {
        match self {
            Self::ActiveClaim | Self::Stranger => &[Rail::G1],
            Self::TenantMoves => &[Rail::G1, Rail::G7],
            Self::OtherGoesOn | Self::OtherAway | Self::OtherStopped => &[Rail::G1, Rail::G4],
            Self::OthersServeFirst | Self::ServiceComesBack | Self::TooFewServe => &[Rail::G2],
            Self::GmsaBusy => &[Rail::G3],
            Self::SettingsDiffer | Self::OtherVersion => &[Rail::G4],
            Self::BundleOpen => &[Rail::G5],
            Self::VersionRefused => &[Rail::G4, Rail::G6],
            Self::InBoth => &[Rail::G7],
            Self::TenantBlocks => &[Rail::G8],
            Self::OtherTenant => &[Rail::G9],
            Self::Unaccepted | Self::Unforeseen | Self::StillConfigured => &[Rail::G10],
            Self::FleetFrozen
            | Self::Paused
            | Self::Aborted
            | Self::NotBegun
            | Self::NoBundle
            | Self::NotEnrolled
            | Self::Doubted
            | Self::ServerFrozen
            | Self::Unmet
            | Self::OtherUnmet
            | Self::LeftJustNow
            | Self::Away
            | Self::AwayAtWork
            | Self::AwaitsPerson
            | Self::AwaitsSecret
            | Self::PlannedOtherwise
            | Self::AtAnotherRun
            | Self::JournalComes
            | Self::Watched
            | Self::SiteClosed
            | Self::WaveGoesOn
            | Self::WaveHeld
            | Self::WaveStopped
            | Self::CanaryGoesOn
            | Self::CanaryHeld
            | Self::CanaryStopped
            | Self::FailureLimit
            | Self::MayYetFail
            | Self::InFlight
            | Self::SiteFull
            | Self::GivenUp => &[],
        }
    }

    /// The word that is shown of a target that is held by it in the middle of its work, or before that.
    pub(crate) const fn word(self) -> &'static str {
        if matches!(self, Self::AwaitsPerson) {
            "awaiting person"
        } else if matches!(self, Self::AwaitsSecret) {
            "awaiting secret"
        } else if matches!(self, Self::AwayAtWork) {
            "unreachable"
        } else {
            "held"
        }
    }

    /// What lifts it beside the end of those that it waits for, where none of these goes on by itself.
    fn beside(self) -> Option<&'static str> {
        let (_, beside) = self
            .lifted_by()
            .split_once(" or ")
            .filter(|_| self.is_in_turn())?;
        Some(beside)
    }

    /// Who can lift it, or have it lifted sooner.
    #[must_use]
    pub const fn lifters(self) -> &'static [Lifter] {
        match self {
            Self::FleetFrozen
            | Self::Paused
            | Self::VersionRefused
            | Self::Unaccepted
            | Self::Unforeseen
            | Self::OtherStopped
            | Self::WaveHeld
            | Self::WaveStopped
            | Self::CanaryHeld
            | Self::CanaryStopped
            | Self::FailureLimit
            | Self::PlannedOtherwise
            | Self::AwaitsSecret => &[Lifter::Operator],
            Self::Aborted => &[Lifter::Nobody],
            Self::NotBegun | Self::Watched => &[Lifter::Time],
            Self::NoBundle
            | Self::AtAnotherRun
            | Self::JournalComes
            | Self::OtherGoesOn
            | Self::WaveGoesOn
            | Self::CanaryGoesOn => &[Lifter::Work],
            Self::MayYetFail | Self::InFlight | Self::SiteFull => &[Lifter::Work, Lifter::Operator],
            Self::BundleOpen => &[Lifter::Work, Lifter::Operator],
            Self::TenantMoves => &[Lifter::Work, Lifter::Operator, Lifter::Approvers],
            Self::NotEnrolled | Self::Doubted => &[Lifter::Operator, Lifter::ServerAdministrator],
            Self::ServerFrozen => &[Lifter::ServerAdministrator, Lifter::Time],
            Self::Unmet | Self::LeftJustNow | Self::Away => {
                &[Lifter::Agent, Lifter::ServerAdministrator]
            }
            Self::AwayAtWork => &[Lifter::Agent, Lifter::ServerAdministrator, Lifter::Operator],
            Self::AwaitsPerson => &[Lifter::ServerAdministrator, Lifter::Operator],
            Self::OtherUnmet | Self::OtherAway | Self::GivenUp => {
                &[Lifter::Agent, Lifter::Operator]
            }
            Self::TenantBlocks => &[Lifter::TenantAdministrator, Lifter::Approvers],
            Self::StillConfigured => &[Lifter::TenantAdministrator],
            Self::InBoth => &[
                Lifter::TenantAdministrator,
                Lifter::DirectoryAdministrator,
                Lifter::Approvers,
            ],
            Self::ActiveClaim | Self::Stranger => &[Lifter::Operator, Lifter::Approvers],
            Self::SettingsDiffer => &[Lifter::Operator, Lifter::ServerAdministrator],
            Self::OtherTenant | Self::OtherVersion => {
                &[Lifter::ServerAdministrator, Lifter::Operator]
            }
            Self::SiteClosed => &[Lifter::Time, Lifter::Approvers],
            Self::OthersServeFirst | Self::ServiceComesBack | Self::GmsaBusy => {
                &[Lifter::Work, Lifter::Approvers]
            }
            Self::TooFewServe => &[Lifter::ServerAdministrator, Lifter::Approvers],
        }
    }
}

/// A reason to wait, with what lifts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Of which kind.
    pub cause: Cause,
    /// Reason and what lifts it.
    pub why: String,
    /// Its turn comes by itself as the work goes on: nobody has to do anything.
    pub in_turn: bool,
    /// The first of those that it waits behind, and what holds that one: to lift this is to lift that.
    pub behind: Option<(TargetId, Cause)>,
}

impl Hold {
    pub(crate) fn of(cause: Cause, why: impl Into<String>) -> Self {
        Self {
            cause,
            why: why.into(),
            in_turn: cause.is_in_turn(),
            behind: None,
        }
    }
}

/// It holds.
pub(crate) fn because(cause: Cause, why: impl Into<String>) -> Option<Hold> {
    Some(Hold::of(cause, why))
}

/// No, to whoever asks whether something may go on.
pub(crate) fn held<T>(cause: Cause, why: impl Into<String>) -> Result<T, Hold> {
    Err(Hold::of(cause, why))
}

/// What lifts a hold and who can, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lifts {
    /// Why it waits, in a word.
    pub cause: Cause,
    /// Why the first of those waits that it waits for, where that one is held itself; else as `cause`.
    pub root: Cause,
    /// What lifts it.
    pub what: String,
    /// Who can.
    pub who: Vec<Lifter>,
}

impl Lifts {
    /// Who can, in words.
    #[must_use]
    pub fn by_whom(&self) -> String {
        let who: Vec<&str> = self.who.iter().map(|one| one.as_str()).collect();
        who.join("; ")
    }
}

impl From<Cause> for Lifts {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            root: cause,
            what: cause.lifted_by().to_owned(),
            who: cause.lifters().to_vec(),
        }
    }
}

impl From<&Hold> for Lifts {
    fn from(hold: &Hold) -> Self {
        match &hold.behind {
            None => hold.cause.into(),
            Some((target, its)) => {
                let mut what = format!("{target} ({}) first: {}", its.word(), its.lifted_by());
                let mut who = its.lifters().to_vec();
                // What it waits for comes by itself no more; who could lift it sooner still can.
                if let Some(beside) = hold.cause.beside() {
                    what.push_str(&format!("; or {beside}"));
                    let others = hold.cause.lifters().iter();
                    let others = others.filter(|one| !matches!(one, Lifter::Work | Lifter::Time));
                    for one in others {
                        if !who.contains(one) {
                            who.push(*one);
                        }
                    }
                }
                Self {
                    cause: hold.cause,
                    root: *its,
                    what,
                    who,
                }
            }
        }
    }
}
