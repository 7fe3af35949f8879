//! What a row of the catalogue of probes is, and the rows of what is asked of a tenant and of what the controller answers. What an
//! agent asks of its server and its directory stands beside the agent's steps; all make up one page, and an answer has one form.

use crate::event::{Finding, Owner, Severity, Verdict};
use crate::step::Product;

/// One probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Probe {
    /// Its id.
    pub id: &'static str,
    /// The product that it is about; absent for both.
    pub product: Option<Product>,
    /// What is looked at.
    pub what: &'static str,
    /// What passes.
    pub wanted: &'static str,
    /// How grave a failure is.
    pub severity: Severity,
    /// Who can mend it.
    pub owner: Owner,
    /// What to do about it.
    pub fix: &'static str,
}

impl Probe {
    /// An answer to this probe.
    #[must_use]
    pub fn finding(&self, read: impl Into<String>, verdict: Verdict) -> Finding {
        let fix = if verdict == Verdict::Pass {
            ""
        } else {
            self.fix
        };
        Finding {
            id: self.id.to_owned(),
            what: self.what.to_owned(),
            read: read.into(),
            wanted: self.wanted.to_owned(),
            verdict,
            severity: self.severity,
            fix: fix.to_owned(),
            owner: self.owner,
        }
    }

    /// The answer that a reading gives; what could not be read is *cannot tell*.
    #[must_use]
    pub fn judge<T>(
        &self,
        reading: Result<T, String>,
        show: impl FnOnce(&T) -> String,
        pass: impl FnOnce(&T) -> bool,
    ) -> Finding {
        match reading {
            Ok(value) => {
                let verdict = if pass(&value) {
                    Verdict::Pass
                } else {
                    Verdict::Fail
                };
                self.finding(show(&value), verdict)
            }
            Err(why) => self.finding(why, Verdict::CannotTell),
        }
    }

    /// As [`Self::judge`], where a probe that cannot tell must not stop the target: what would tell is said.
    #[must_use]
    pub fn judge_gently<T>(
        &self,
        reading: Result<T, String>,
        show: impl FnOnce(&T) -> String,
        pass: impl FnOnce(&T) -> bool,
    ) -> Finding {
        let mut finding = self.judge(reading, show, pass);
        if finding.verdict == Verdict::CannotTell {
            finding.severity = finding.severity.min(Severity::Warn);
        }
        finding
    }
}

/// Rows of the catalogue, each a constant of its own, and all of them in order.
#[macro_export]
macro_rules! probes {
    ($($id:ident $product:expr, $severity:ident, $owner:ident: $what:literal, wants $wanted:literal, else $fix:literal;)*) => {
        $(
            #[doc = $what]
            pub const $id: $crate::probe::Probe = $crate::probe::Probe {
                id: stringify!($id),
                product: $product,
                what: $what,
                wanted: $wanted,
                severity: $crate::event::Severity::$severity,
                owner: $crate::event::Owner::$owner,
                fix: $fix,
            };
        )*
        /// Every probe, in the order of the catalogue.
        pub const ALL: &[$crate::probe::Probe] = &[$($id),*];
    };
}

/// What is asked of a tenant, by whoever reads it (sections 5 and 6 of the product facts). What was not read is *cannot tell* and
/// stops nothing: to let Entrain look into a tenant is its administrator's choice.
pub mod tenant {
    use crate::step::Product;

    const BOTH: Option<Product> = None;
    const AGENT: Option<Product> = Some(Product::ProvisioningAgent);
    const CONNECT: Option<Product> = Some(Product::Connect);

    probes! {
        PF61 BOTH, Block, Tenant: "role of the account that is to sign in (entrain tenant read --operator)", wants "a member of the tenant, kept in the cloud, who holds Hybrid Identity Administrator; for cloud sync it may be eligible for it, for Connect it is held by the account itself", else "assign the role in the admin center (Roles and administrators), or name another account in the next reading (--operator): no guest, and none that the directory synchronizes";
        PF62 AGENT, Block, Tenant: "what the tenant's policies demand of that account when it signs in", wants "no policy that demands more than a password, where sign_in is credential", else "write sign_in = \"token\" or \"wizard\" in the topology and plan again, behind an abort of what was planned with the other way: a password alone does not sign that account in";
        PF63 AGENT, Block, Tenant: "what an access token says of itself, where it is given", wants "this tenant, the application that registers agents, and an end beyond the appointment", else "get a new token for this tenant and for the registration application, or give fewer servers one appointment";
        PF64 BOTH, Warn, Tenant: "directory synchronization of the tenant", wants "on", else "it will be switched on, which cannot be taken back like a setting: by Connect's wizard, where the plan that makes a server active names it and wants it accepted (G10); for cloud sync alone with the tenant's first configuration, which people make there and no plan of Entrain's does";
        PF65 AGENT, Block, Tenant: "configurations of cloud sync for a domain", wants "one at most for each domain, and none for a domain of a Connect entry's forest that no agents are to serve", else "disable what is not meant in the admin center (Cloud sync): neither that nor a deletion removes what it synchronized. Empty its scope only where those objects are to go: users who leave a scope are soft-deleted in the tenant, groups are hard-deleted";
        PF66 CONNECT, Block, Tenant: "active Connect servers of the tenant, as the servers say and as the tenant was last synchronized", wants "exactly one, or none where none is installed yet and the tenant was never synchronized", else "set all but one to staging mode; where nobody here is active and the tenant is synchronized, find the server that does it (entrain discover) and bring it in";
        PF67 AGENT, Block, Tenant: "organizational units of cloud sync and of Connect in one domain (G7)", wants "disjoint", else "take the units out of one of the two: the scope of the configuration in the admin center, or Connect's wizard (Customize synchronization options, Domain and OU filtering); users who leave a scope are soft-deleted in the tenant, groups are hard-deleted; then read both anew";
        PF68 CONNECT, Warn, Tenant: "members of the role Directory Synchronization Accounts", wants "fewer than 20", else "take off accounts of servers that are gone (PV39 names them): each server without application-based authentication has one, and a tenant has 20 at most";
        PF69 CONNECT, Warn, Tenant: "Conditional Access policies for all users and all applications, and accounts of that role", wants "each policy excludes them; an application is caught by no policy for users", else "exclude the role Directory Synchronization Accounts from the policy, or set up application-based authentication";
        PV15 AGENT, Warn, Tenant: "guard against accidental deletes of each configuration", wants "enabled, with a threshold", else "switch it on in the configuration's properties (Prevent accidental deletion), with a threshold";
    }
}

/// Probes of sections 5 and 6 of the product facts that are no row of a table here, and what answers them.
pub const ELSEWHERE: &[(&str, &str)] = &[
    (
        "PF45",
        "the provenance of an installer (chain of the vendor's signature, product's name, SHA-256): the controller judges it when it is added (`entrain artifact add`), the agent before it starts it; neither starts another",
    ),
    (
        "PV01",
        "the step that installs or upgrades the agent: an exit code that means no success ends it as failed, with the known error and the lines of the log that show it",
    ),
    (
        "PV19",
        "nobody here: provisioning on demand writes to the tenant, and Entrain only reads there. A person does it in the admin center; the wizard of the move to cloud sync asks for it, and its task says so",
    ),
    (
        "PV38",
        "UN01 before Connect is taken off a server, and CR05 after it; before other changes no step takes an agent of pass-through authentication off",
    ),
    (
        "PV40",
        "RM01 to RM08 after the removal of a provisioning agent, CR01 to CR07 after that of Connect",
    ),
];

/// What no agent and no tenant answers alone: the controller does, by what is known of versions, and by a tenant's reading held
/// against what servers report (sections 5 and 6 of the product facts).
pub mod controller {
    use crate::step::Product;

    const AGENT: Option<Product> = Some(Product::ProvisioningAgent);
    const CONNECT: Option<Product> = Some(Product::Connect);

    probes! {
        PF43 CONNECT, Block, Server: "version of Connect that is there, by what is known of versions (versions.toml)", wants "not recalled, supported, and below no floor that has come; what secondary sources say warns (G6)", else "bring a newer version onto it before it is made active: entrain plan, or entrain swing where another server is active; or correct versions.toml beside the controller's state and restart the controller";
        CU04 CONNECT, Warn, Server: "default rules, held one by one against those of the tenant's other Connect servers of the same version, as each told its settings last", wants "the same rules, each with the same content, in the same order", else "entrain plan --verify or entrain preflight reads what was not told; where rules differ, look at them in the Synchronization Rules Editor of both servers, see which was edited in place, put the change into a rule of its own, or plan the time: an upgrade that finds default rules changed does a full import and synchronization";
        PF44 AGENT, Block, Server: "version of the provisioning agent that is to be brought, by its cloud and by what its domains use (versions.toml)", wants "one that breaks none of it: not 1.1.2102.0 in the US Government cloud with password writeback", else "add an installer of a newer version (entrain artifact add FILE --accept-terms), or take what breaks out of the domain's `permissions` where it is not used";
        PV11 AGENT, Block, Server: "agent of each registered server, in the tenant's list", wants "active, within 15 minutes of its registration", else "see on the server that its service runs and reaches the cloud (entrain plan --verify); an agent shows within 15 minutes: later, treat it as a registration that failed";
        PV12 AGENT, Warn, Server: "agents of each served domain that are active in the tenant", wants "two at the least; the vendor recommends three", else "two are the least, three what the vendor recommends: add a host to its group";
        PV13 AGENT, Block, Tenant: "configuration and job of each served domain in the tenant", wants "a configuration of its name with the job AD2AADProvisioning; whether it has AD2AADPasswordHash too is told", else "make a configuration in the admin center (Cloud sync, New configuration), or see the one that is there: until then nothing is synchronized; what was not seen is read with an account that may";
        PV14 AGENT, Block, Tenant: "job of each served domain", wants "at work (Active), not in quarantine, and a success within 15 minutes", else "see its provisioning logs in the admin center; where it is paused or was never started, start it there; in quarantine mend the cause, then clear the quarantine or restart the job there";
        RM08 AGENT, Info, Tenant: "agent of a server that has none any more, in the tenant's list", wants "gone, by a reading that is newer than the first report without it", else "look in the admin center: the entry goes inactive and ages out; no way to take it off is documented";
        PV39 CONNECT, Block, Tenant: "identity of a server that Connect is off for good, in the tenant: an account or an application that names it. That its engine is gone, CR01 to CR03 and CR07 tell on the server, and `entrain status` until they were seen", wants "none, by a reading that is newer than the server's first report without Connect", else "delete it: whoever has what it signs in by may write to the tenant. An account goes with Remove-ADSyncAADServiceAccount on a Connect server that stays, or in the admin center (Users); an application in the admin center (App registrations). Then entrain tenant read";
        PV36 CONNECT, Block, Server: "last synchronization of the tenant by Connect, where a server of it is active", wants "within 35 minutes; where a job of cloud sync has run, a time that is young proves nothing of Connect", else "see the scheduler of the active server: entrain plan --verify";
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_told_of_a_tenant_stops_nothing() {
        let finding = tenant::PF61.judge_gently(Err("403".to_owned()), String::clone, |_| true);
        assert_eq!(finding.verdict, Verdict::CannotTell);
        assert!(!finding.blocks() && !finding.fix.is_empty());
        let fails = tenant::PF61.judge_gently(Ok(()), |()| String::new(), |()| false);
        assert!(fails.blocks());
    }

    #[test]
    fn every_row_says_what_to_do_and_is_the_tenants() {
        for row in tenant::ALL {
            assert!(!row.what.is_empty() && !row.wanted.is_empty() && !row.fix.is_empty());
            assert_eq!(row.owner, Owner::Tenant, "{}", row.id);
        }
    }
}
