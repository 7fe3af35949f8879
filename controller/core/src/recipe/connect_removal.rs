//! A server that shall carry Connect Sync no more: taken off by a person at its wizard, then looked at (product facts 2.16).

use protocol::TargetId;
use protocol::facts::Facts;
use protocol::signed::Phase;
use protocol::step::{GuideConnectRemoval, Step};
use protocol::task::{self, Page, TaskText};

use crate::recipe::{Answer, PhaseWork, unread};
use crate::topology::Tenant;

/// Who is to be active once a tenant's active server has gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Successor {
    /// Nobody: no server of its entry stays.
    Nobody,
    /// One that has Connect: a swap makes it active first.
    Swapped(TargetId),
    /// One that takes the database over, and can be installed only once this one has left it (product facts 2.7 [P]).
    TakesOver(TargetId),
    /// Nobody yet, for this reason.
    NotYet(String),
}

/// What is to be done on one retired server of an entry. The active one goes only where nothing is left to become active, or where the one
/// that is to be needs its database.
#[must_use]
pub fn answer(tenant: &Tenant, server: &TargetId, facts: &Facts, successor: &Successor) -> Answer {
    if let Some(answer) = unread(facts) {
        return answer;
    }
    let verify = PhaseWork {
        phase: Phase::Prove,
        steps: vec![Step::VerifyConnectRemoved],
        artifacts: Vec::new(),
    };
    let Some(connect) = facts.connect.as_ref() else {
        return Answer::Do {
            phases: vec![verify],
            why: vec!["it is retired, and no Connect is there: verified".to_owned()],
            people: Vec::new(),
        };
    };
    let is = format!(
        "held: it is retired and is the active server of tenant {}",
        tenant.id
    );
    let (mode, heir) = match (connect.is_fenced(), connect.mode()) {
        (true, _) => ("stopped and disabled", None),
        (false, Some(true)) => ("staging", None),
        (false, Some(false)) => match successor {
            Successor::Swapped(other) => {
                return Answer::Nothing(format!(
                    "{is}; another one becomes active first: entrain swap {other}"
                ));
            }
            Successor::NotYet(why) => return Answer::Nothing(format!("{is}; {why}")),
            Successor::TakesOver(heir) => ("active", Some(heir)),
            Successor::Nobody => ("active", None),
        },
        (false, None) => {
            return Answer::Nothing(
                "held: it is retired, and whether it is active cannot be told (G1); see there that ADSync runs and that Get-ADSyncScheduler answers"
                    .to_owned(),
            );
        }
    };
    let version = connect.version;
    let version = version.map_or_else(|| "of unknown version".to_owned(), |v| v.to_string());
    let text = pages(tenant, server, mode, heir);
    let mut people = text.bring.clone();
    let mut why = vec![format!(
        "it is retired: Connect {version} ({mode}) is taken off by a person, since the vendor documents no other way"
    )];
    if let Some(heir) = heir {
        why.push(format!(
            "{heir} takes its database over, which two engines never share, so it goes before another one is active: nothing is synchronized until {heir} is installed and made active (G10)"
        ));
        people.push(format!(
            "afterwards, without delay, since nothing is synchronized meanwhile: entrain plan installs {heir} onto the database that is left, as a staging server, and entrain swap {heir} makes it active"
        ));
    }
    people.push(format!(
        "afterwards, where {server} itself goes: entrain agents revoke {server}"
    ));
    Answer::Do {
        phases: vec![
            PhaseWork {
                phase: Phase::Remove,
                steps: vec![Step::GuideConnectRemoval(GuideConnectRemoval {
                    text,
                    pass_through: pass_through(tenant, server),
                })],
                artifacts: Vec::new(),
            },
            verify,
        ],
        why,
        people,
    }
}

fn page(title: &str, lines: &[&str]) -> Page {
    Page {
        title: title.to_owned(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    }
}

fn pages(tenant: &Tenant, server: &TargetId, mode: &str, heir: Option<&TargetId>) -> TaskText {
    let administrator = format!(
        "as secondary sources say, since 2.6.84.0 it asks for an administrator of tenant {}, to clean up the tenant's side, and skipped it cleans up this server alone; which role is in no source",
        tenant.id
    );
    let is = format!("this server is {mode}: where the wizard shows another mode, stop here");
    let used = match heir {
        None => "where password writeback, device writeback or single sign-on are used, see that the server that stays does them".to_owned(),
        Some(heir) => format!(
            "from here on nothing is synchronized and nothing is written back, until {heir} is installed onto this server's database and is active: see that it is ready (entrain preflight), and that whoever signs in at its wizard is there"
        ),
    };
    let kept = match heir {
        None => "copy the newest export of the settings off the server, and back up the database where it is on a SQL Server".to_owned(),
        Some(heir) => format!(
            "copy the newest export of the settings off the server, and back up the database: the removal leaves it on its SQL Server, and {heir} takes it over"
        ),
    };
    TaskText {
        title: format!("take Connect Sync off {server}"),
        why: "the vendor documents the removal through the wizard alone".to_owned(),
        bring: vec![
            format!("a Hybrid Identity Administrator of tenant {}", tenant.id),
            "a local administrator of the server who is in ADSyncAdmins".to_owned(),
        ],
        pages: vec![
            page(
                "Before",
                &[
                    &is,
                    &kept,
                    &used,
                    "Connect Health: its alerts for this server end with it",
                    "close the wizard and Synchronization Service Manager",
                ],
            ),
            page(
                "Installed apps",
                &[
                    "Settings, Installed apps, Microsoft Entra Connect (older: Azure AD Connect), Uninstall",
                ],
            ),
            page("Uninstall", &[&administrator, "Remove"]),
            page("Complete", &["Exit"]),
        ],
        seen_by: "the engine's file and its service, which must be gone".to_owned(),
    }
}

fn pass_through(tenant: &Tenant, server: &TargetId) -> TaskText {
    TaskText {
        title: format!("make sure that {server} is not the last agent of pass-through authentication"),
        why: "such an agent is on the server, and whether another one is active shows in the tenant alone".to_owned(),
        bring: vec![format!("somebody who sees the admin center of tenant {}", tenant.id)],
        pages: vec![page("Microsoft Entra admin center", &[
            "Entra Connect, Connect Sync, Pass-through authentication",
            "at least one agent on another server is active; otherwise install one first: without any, nobody signs in",
            "then say so: entrain tasks attest",
        ])],
        seen_by: task::said_or("the agent on this server is gone"),
    }
}
