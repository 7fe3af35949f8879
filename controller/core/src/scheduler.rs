//! Since when schedulers of Connect Sync stand, as servers told it, and when that becomes an alarm. A wizard that was left
//! open suspends the scheduler; one that is off was held by somebody, or never started; a console that was left open keeps the product
//! from its upgrade. Nothing else says so.

use std::collections::BTreeMap;
use std::time::Duration;

use protocol::facts::ConnectFacts;
use protocol::{TargetId, Timestamp};

/// How long a scheduler may be suspended before it is an alarm: four cycles of the default length (product facts 2.12 [P]).
/// Whoever works at a wizard, or at the console, is done by then.
pub const SUSPENDED_FOR: Duration = Duration::from_secs(2 * 3600);

/// How long the cycle may be off before it is an alarm: whoever holds it over a change has that day.
pub const OFF_FOR: Duration = Duration::from_secs(24 * 3600);

/// A synchronization must run at least this often, on a staging server as well (product facts 2.12 [P]).
pub const AT_LEAST_EVERY: Duration = Duration::from_secs(7 * 24 * 3600);

/// Since when one server's scheduler stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Standing {
    /// Since when it is told as suspended.
    suspended: Option<Timestamp>,
    /// Since when its cycle is told as off.
    off: Option<Timestamp>,
    /// Since when its console is told as open.
    console: Option<Timestamp>,
}

/// All servers whose scheduler stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Schedulers(BTreeMap<TargetId, Standing>);

/// Since when something is so, now that it was told once more. What is not told is as it was.
const fn since(before: Option<Timestamp>, told: Option<bool>, now: Timestamp) -> Option<Timestamp> {
    match (before, told) {
        (_, Some(false)) => None,
        (None, Some(true)) => Some(now),
        (before, Some(true) | None) => before,
    }
}

/// What guided work at a server's wizard has to do with its scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guided {
    /// There was none.
    Never,
    /// It ended then: from that moment on it is counted.
    Ended(Timestamp),
    /// It came to no good end, as told here: whatever stands since is not waited for.
    BrokenOff(String),
}

impl Schedulers {
    /// Takes up what a server told of Connect, and of its console. One that is fenced runs no cycle, and is not meant to.
    pub fn told(
        &mut self,
        target: &TargetId,
        (connect, console_open): (Option<&ConnectFacts>, bool),
        now: Timestamp,
    ) {
        let Some(connect) = connect.filter(|connect| !connect.is_fenced()) else {
            return self.forget(target);
        };
        let before = self.0.get(target);
        let standing = Standing {
            suspended: since(
                before.and_then(|before| before.suspended),
                connect.suspended,
                now,
            ),
            off: since(
                before.and_then(|before| before.off),
                connect.cycle_enabled.map(|enabled| !enabled),
                now,
            ),
            console: since(
                before.and_then(|before| before.console),
                // The same script looks for both, and an open console is told also where the module says nothing. That it is not open is
                // known where the scheduler was read.
                connect
                    .suspended
                    .map(|_| console_open)
                    .or(console_open.then_some(true)),
                now,
            ),
        };
        let all = [standing.suspended, standing.off, standing.console];
        if all.iter().all(Option::is_none) {
            self.forget(target);
        } else {
            self.0.insert(target.clone(), standing);
        }
    }

    /// Forgets a server.
    pub fn forget(&mut self, target: &TargetId) {
        self.0.remove(target);
    }

    /// Servers whose scheduler stands.
    pub fn targets(&self) -> impl Iterator<Item = &TargetId> {
        self.0.keys()
    }

    /// What is an alarm of a server, after the last guided work there.
    #[must_use]
    pub fn alarms(&self, target: &TargetId, guided: &Guided, now: Timestamp) -> Vec<String> {
        let Some(standing) = self.0.get(target) else {
            return Vec::new();
        };
        let late = |since: Option<Timestamp>, limit: Duration| {
            let since = since?;
            let due = match guided {
                Guided::Never => since.plus(limit),
                Guided::Ended(at) => since.max(*at).plus(limit),
                Guided::BrokenOff(_) => since,
            };
            (now >= due).then_some(since)
        };
        let of = match guided {
            Guided::BrokenOff(told) => format!("{target}, {told}"),
            Guided::Never | Guided::Ended(_) => target.to_string(),
        };
        let ends = |since: Timestamp| {
            let ends = since.plus(AT_LEAST_EVERY);
            if now < ends {
                format!(
                    "a synchronization must run every 7 days, also on a staging server: by {ends}"
                )
            } else {
                format!(
                    "a synchronization had to run by {ends}, also on a staging server: see that the next one is complete"
                )
            }
        };
        let suspended = late(standing.suspended, SUSPENDED_FOR).map(|since| {
            format!(
                "{of}: the scheduler of Connect is suspended since {since}: a wizard was left open there; close it, and the scheduler goes on. {}",
                ends(since)
            )
        });
        let off = late(standing.off, OFF_FOR).map(|since| {
            format!(
                "{of}: the cycle of Connect is off since {since}: Set-ADSyncScheduler -SyncCycleEnabled $true by whoever held it, or the wizard once more where it was never started. {}",
                ends(since)
            )
        });
        let console = late(standing.console, SUSPENDED_FOR).map(|since| {
            format!(
                "{of}: Synchronization Service Manager (miisclient.exe) is open since {since}: while it is, an automatic upgrade of Connect is aborted (UpgradeAbortedSyncExeInUse) and an upgrade in place does not begin (PF73); whoever left it open there closes it"
            )
        });
        suspended.into_iter().chain(off).chain(console).collect()
    }
}
