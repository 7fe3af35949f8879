//! The full import and synchronization behind work at the wizard of Connect: it is waited for before anything is verified, counted or
//! asked of a person (product facts 2.12, 2.13 [P]).

use protocol::TargetId;
use protocol::step::{AwaitFullSync, Step};
use protocol::task::{Page, TaskText};

/// How long nobody is asked: what takes longer than a day the vendor would not have upgraded in place.
const WITHIN_MINUTES: u32 = 24 * 60;

/// Said of an upgrade.
pub(super) const UPGRADED: &str = "changed default rules ask for a full import and synchronization behind the upgrade: it is waited for before anything is verified or counted (WZ03), for a day at most; a person is asked where it takes longer, where the cycle is off or stays suspended, or where it cannot be told";

/// Said of an installation.
pub(super) const INSTALLED: &str = "its first import and synchronization is a full one: it is waited for before anything is verified or counted (WZ03), for a day at most; a person is asked where it takes longer, where the cycle is off or stays suspended, or where it cannot be told";

/// The step that waits for it on a server.
pub(super) fn wait(server: &TargetId) -> Step {
    let page = |title: &str, lines: &[&str]| Page {
        title: title.to_owned(),
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    };
    Step::AwaitFullSync(AwaitFullSync {
        within_minutes: WITHIN_MINUTES,
        text: TaskText {
            title: format!("see that the full synchronization of Connect Sync on {server} is over"),
            why: "what is verified or counted before it is not what comes of that work, and Entrain does not see its end by itself".to_owned(),
            bring: vec!["a local administrator of the server who is in ADSyncAdmins".to_owned()],
            pages: vec![
                page("Windows PowerShell, what is due and what runs", &[
                    "Import-Module ADSync",
                    "Get-ADSyncSchedulerConnectorOverride | Format-List: a full import or synchronization that is still required",
                    "Get-ADSyncConnectorRunStatus: nothing while no run is under way",
                ]),
                page("Synchronization Service Manager, Operations", &[
                    "the newest full import and full synchronization of each connector, and how they ended",
                    "where the scheduler is suspended: close the wizard that is open on this server",
                    "where the cycle is off: whoever held it releases it (Set-ADSyncScheduler -SyncCycleEnabled $true), or does the full steps by hand",
                ]),
                page("Afterwards", &[
                    "where it is over, or is not to be waited for: entrain tasks attest",
                ]),
            ],
            seen_by: "the scheduler, of which nothing is due, and the engine, in which nothing runs".to_owned(),
        },
    })
}
