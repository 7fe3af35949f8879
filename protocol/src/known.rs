//! Known errors that no server shows: a reading of the tenant does, which the controller judges. Those that stand in logs are the
//! agent's own; both are rows of the product facts' tables (1.13, 2.15), and of one page.

use crate::event::KnownCause;

/// A known error that a reading of the tenant shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TenantError {
    /// Its id.
    pub id: &'static str,
    /// The probe that shows it.
    pub probe: &'static str,
    /// What is seen.
    pub what: &'static str,
    /// Why it happens.
    pub cause: &'static str,
    /// What to do about it.
    pub fix: &'static str,
}

/// 1.13 [P].
pub const KE13: TenantError = TenantError {
    id: "KE13",
    probe: "PV14",
    what: "the synchronization job is in quarantine",
    cause: "most calls of the synchronization job fail",
    fix: "look at the job's provisioning logs in the admin center, mend what they name, then clear the quarantine or restart the job there",
};

/// 1.13 [S]; no resolution is captured there.
pub const KE17: TenantError = TenantError {
    id: "KE17",
    probe: "PV11",
    what: "the tenant's list of agents lacks an agent whose service runs",
    cause: "as a rule a registration that failed; errors about performance counters in the agent's log do not matter",
    fix: "treat it as a failed registration until the tenant shows the agent (entrain tenant show)",
};

impl TenantError {
    /// Cause, id and fix in a sentence, as a finding says it.
    #[must_use]
    pub fn sentence(&self) -> String {
        KnownCause {
            id: self.id.to_owned(),
            cause: self.cause.to_owned(),
            fix: self.fix.to_owned(),
        }
        .sentence()
    }
}
