//! What holds a target, what lifts that, and who can. Each cause answers all of it by one row of a match, so that none is added without.

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

/// What is said of a cause.
struct Row {
    in_turn: bool,
    lifted_by: &'static str,
    beside: Option<&'static str>,
    rails: &'static [Rail],
    lifters: &'static [Lifter],
}

/// A row: what lifts the cause, the guard rails that hold by it, and who can lift it. Of one whose turn comes by itself, what else lifts it
/// stands apart behind `or`.
macro_rules! row {
    (held: $what:literal; $rails:expr; $who:expr) => {
        Row {
            in_turn: false,
            lifted_by: $what,
            beside: None,
            rails: &$rails,
            lifters: &$who,
        }
    };
    (in turn: $what:literal; $rails:expr; $who:expr) => {
        Row {
            in_turn: true,
            lifted_by: $what,
            beside: None,
            rails: &$rails,
            lifters: &$who,
        }
    };
    (in turn: $what:literal, or $beside:literal; $rails:expr; $who:expr) => {
        Row {
            in_turn: true,
            lifted_by: concat!($what, " or ", $beside),
            beside: Some($beside),
            rails: &$rails,
            lifters: &$who,
        }
    };
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

    /// All that is said of it, in one place.
    const fn row(self) -> Row {
        match self {
            Self::FleetFrozen => row!(held: "entrain thaw --all"; []; [Lifter::Operator]),
            Self::Paused => row!(held: "entrain resume"; []; [Lifter::Operator]),
            Self::Aborted => {
                row!(held: "nothing; a new plan and its apply take the work up again"; []; [Lifter::Nobody])
            }
            Self::NotBegun => {
                row!(in turn: "the hour for which it was ordered"; []; [Lifter::Time])
            }
            Self::BundleOpen => {
                row!(held: "the end of that bundle: by itself, by an abort of its rollout, or by a resolve of a server that is away"; [Rail::G5]; [Lifter::Work, Lifter::Operator])
            }
            Self::NoBundle => {
                row!(held: "the end of that run, which comes at its next gate"; []; [Lifter::Work])
            }
            Self::NotEnrolled => {
                row!(held: "its enrollment, with a join file of entrain token create"; []; [Lifter::Operator, Lifter::ServerAdministrator])
            }
            Self::Doubted => {
                row!(held: "the copies are taken off and the one that stays enrolls with a new key, once entrain agents replace has freed the name"; []; [Lifter::Operator, Lifter::ServerAdministrator])
            }
            Self::ServerFrozen => {
                row!(held: "entrain-agent thaw on that server, or the end of the freeze"; []; [Lifter::ServerAdministrator, Lifter::Time])
            }
            Self::Unmet => {
                row!(held: "the return of its agent"; []; [Lifter::Agent, Lifter::ServerAdministrator])
            }
            Self::OtherUnmet => {
                row!(held: "the return of that other agent, or its revocation"; []; [Lifter::Agent, Lifter::Operator])
            }
            Self::LeftJustNow => {
                row!(in turn: "its return; after five minutes nobody waits for it"; []; [Lifter::Agent, Lifter::ServerAdministrator])
            }
            Self::Away => {
                row!(held: "its return: the server runs, and its agent reaches the controller"; []; [Lifter::Agent, Lifter::ServerAdministrator])
            }
            Self::AwayAtWork => {
                row!(held: "the return of its agent; or entrain resolve, by whoever knows what became of it"; []; [Lifter::Agent, Lifter::ServerAdministrator, Lifter::Operator])
            }
            Self::AwaitsPerson => {
                row!(held: "what is to be done at that server, by a person: entrain tasks tells it"; []; [Lifter::ServerAdministrator, Lifter::Operator])
            }
            Self::AwaitsSecret => {
                row!(held: "the secret that it asks for, given by entrain secret give"; []; [Lifter::Operator])
            }
            Self::PlannedOtherwise => {
                row!(held: "a new plan, which reads what it is now: behind an entrain skip of it here, or an abort where others of its rollout wait for it; the same verb and apply"; []; [Lifter::Operator])
            }
            Self::AtAnotherRun => {
                row!(in turn: "the end of that run, which comes at its next gate"; []; [Lifter::Work])
            }
            Self::JournalComes => {
                row!(in turn: "the end of what its agent is telling"; []; [Lifter::Work])
            }
            Self::VersionRefused => {
                row!(held: "an abort or a skip, and a new plan with a newer version; or a versions.toml that says no more against this one, and the controller's restart"; [Rail::G4, Rail::G6]; [Lifter::Operator])
            }
            Self::Unaccepted => {
                row!(held: "an abort, and entrain apply of its plan with all that cannot be undone accepted"; [Rail::G10]; [Lifter::Operator])
            }
            Self::Unforeseen => {
                row!(held: "an abort and a new plan, whose apply accepts that act; or entrain tenant read, once the tenant shows it no more"; [Rail::G10]; [Lifter::Operator])
            }
            Self::StillConfigured => {
                row!(held: "whoever runs the tenant disables the configuration of that domain, and entrain tenant read sees that, by an account that is shown its jobs"; [Rail::G10]; [Lifter::TenantAdministrator])
            }
            Self::OtherTenant => {
                row!(held: "its agent is taken off where it is registered; or an abort and a corrected topology"; [Rail::G9]; [Lifter::ServerAdministrator, Lifter::Operator])
            }
            Self::Watched => {
                row!(in turn: "the end of its watch, and a look that finds all well"; []; [Lifter::Time])
            }
            Self::TenantBlocks => {
                row!(held: "what the probe names is put right in the tenant, and entrain tenant read reads it again; or an abort and a new plan, where the topology is what is wrong; or override G8"; [Rail::G8]; [Lifter::TenantAdministrator, Lifter::Approvers])
            }
            Self::InBoth => {
                row!(held: "the units of both tools are made disjoint, and read again; or override G7"; [Rail::G7]; [Lifter::TenantAdministrator, Lifter::DirectoryAdministrator, Lifter::Approvers])
            }
            Self::ActiveClaim => {
                row!(held: "the other server is seen in staging mode, or is said to be off for good; or override G1"; [Rail::G1]; [Lifter::Operator, Lifter::Approvers])
            }
            Self::Stranger => {
                row!(held: "that server is gone from what entrain discover and tenant read find; or it is enrolled and written into servers, or into gone where Connect is off it for good, behind an abort and a new plan; or override G1"; [Rail::G1]; [Lifter::Operator, Lifter::Approvers])
            }
            Self::TenantMoves => {
                row!(held: "the end of that move, or a resolve; or override G1"; [Rail::G1, Rail::G7]; [Lifter::Work, Lifter::Operator, Lifter::Approvers])
            }
            Self::OtherGoesOn => {
                row!(in turn: "the end of that other phase"; [Rail::G1, Rail::G4]; [Lifter::Work])
            }
            Self::OtherAway => {
                row!(held: "the return of that other server's agent; a resolve, where what it was to do first is its change of mode; or an abort and a new plan"; [Rail::G1, Rail::G4]; [Lifter::Agent, Lifter::Operator])
            }
            Self::OtherStopped => {
                row!(held: "a retry of that other server where it has failed; an abort and a new plan, also where it was skipped or resolved"; [Rail::G1, Rail::G4]; [Lifter::Operator])
            }
            Self::SettingsDiffer => {
                row!(held: "the settings are made equal and read anew by a retry, or entrain accept approves this difference"; [Rail::G4]; [Lifter::Operator, Lifter::ServerAdministrator])
            }
            Self::OtherVersion => {
                row!(held: "its agent tells that version again; or an abort and a plan that upgrades it first"; [Rail::G4]; [Lifter::ServerAdministrator, Lifter::Operator])
            }
            Self::SiteClosed => {
                row!(in turn: "the next opening of its site;", or "override window"; []; [Lifter::Time, Lifter::Approvers])
            }
            Self::WaveGoesOn => row!(in turn: "the end of the wave before"; []; [Lifter::Work]),
            Self::WaveHeld => {
                row!(held: "what holds the one that it waits for: entrain why tells it"; []; [Lifter::Operator])
            }
            Self::WaveStopped => {
                row!(held: "a retry of whoever stopped the wave before, or a skip"; []; [Lifter::Operator])
            }
            Self::CanaryGoesOn => row!(in turn: "the end of its canary"; []; [Lifter::Work]),
            Self::CanaryHeld => {
                row!(held: "what holds its canary: entrain why tells it"; []; [Lifter::Operator])
            }
            Self::CanaryStopped => {
                row!(held: "a retry of its canary, or a skip"; []; [Lifter::Operator])
            }
            Self::FailureLimit => {
                row!(held: "a retry that succeeds, a skip, or entrain limits --failures with more"; []; [Lifter::Operator])
            }
            Self::MayYetFail => {
                row!(in turn: "the end of one that is under way,", or "entrain limits --failures with more"; []; [Lifter::Work, Lifter::Operator])
            }
            Self::InFlight => {
                row!(in turn: "the end of one that is under way,", or "entrain limits --in-flight with more"; []; [Lifter::Work, Lifter::Operator])
            }
            Self::SiteFull => {
                row!(in turn: "the end of one that is under way at its site,", or "entrain limits --site SITE --in-flight with more"; []; [Lifter::Work, Lifter::Operator])
            }
            Self::OthersServeFirst => {
                row!(in turn: "the others serve;", or "override G2"; [Rail::G2]; [Lifter::Work, Lifter::Approvers])
            }
            Self::ServiceComesBack => {
                row!(in turn: "those that are out serve again;", or "override G2"; [Rail::G2]; [Lifter::Work, Lifter::Approvers])
            }
            Self::TooFewServe => {
                row!(held: "more agents are seen to serve that domain; or override G2"; [Rail::G2]; [Lifter::ServerAdministrator, Lifter::Approvers])
            }
            Self::GmsaBusy => {
                row!(in turn: "the end of that other section;", or "override G3"; [Rail::G3]; [Lifter::Work, Lifter::Approvers])
            }
            Self::GivenUp => {
                row!(held: "its agent's word that it has left that section, the end of its bundle and of the time of its step, or entrain resolve --off, by whoever knows that the server is off"; []; [Lifter::Agent, Lifter::Operator])
            }
        }
    }

    /// Its turn comes by itself as work or time goes on: nobody has to do anything.
    #[must_use]
    pub const fn is_in_turn(self) -> bool {
        self.row().in_turn
    }

    /// What lifts it.
    #[must_use]
    pub const fn lifted_by(self) -> &'static str {
        self.row().lifted_by
    }

    /// The guard rails that hold by it. Of two servers that change places each waits for what the rails ask of the other one.
    #[must_use]
    pub const fn rails(self) -> &'static [Rail] {
        self.row().rails
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
    const fn beside(self) -> Option<&'static str> {
        self.row().beside
    }

    /// Who can lift it, or have it lifted sooner.
    #[must_use]
    pub const fn lifters(self) -> &'static [Lifter] {
        self.row().lifters
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
