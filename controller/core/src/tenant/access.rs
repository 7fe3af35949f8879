//! The permissions of Microsoft Graph that a reading of a tenant takes, and what rests on each: the one list from which a token is judged,
//! a refusal is explained and the page for people is written.
//!
//! Where the sheet names a permission (1.8), it says so here. Those of service principals and of policies are the least that the vendor's pages on
//! these requests name; the others, and those that would do as well, are general knowledge ([K]). A token is never refused for what it
//! does or does not name: the service decides.

use std::collections::BTreeSet;

/// A permission, and what rests on it.
#[derive(Debug, PartialEq, Eq)]
pub struct Need {
    /// Its name, the same for a person's token (`scp`) and for an application's own (`roles`).
    pub permission: &'static str,
    /// What is read with it.
    pub reads: &'static str,
    /// What is *not seen* without it: probes, guard rails and grades.
    pub rests: &'static str,
    /// Others that let the same be read ([K]).
    pub also: &'static [&'static str],
    /// It is taken where an account is named that is to sign in (`--operator`), and else not.
    pub operator: bool,
}

/// What a person may read of a directory, an application that acts as that person may ([K]).
const AS_PERSON: &str = "Directory.AccessAsUser.All";

/// The provisioning agents: of this list no permission to read alone is documented (product facts 1.8 [P], [S]).
pub const AGENTS: Need = Need {
    permission: "OnPremisesPublishingProfiles.ReadWrite.All",
    reads: "provisioning agents",
    rests: "PV11, PV12, RM08 and the grades *active in tenant* and *syncing*",
    also: &[],
    operator: false,
};

/// Service principals, and who was given their app roles.
pub const APPLICATIONS: Need = Need {
    permission: "Application.Read.All",
    reads: "configurations, and applications of Connect servers by both ways in which they are let in",
    rests: "PF65, PF66, PF67 (G7), PF69, PV13, PV14, PV15, PV36, PV39, the servers that applications name (G1) and the grade *syncing*",
    also: &[
        "Application.ReadWrite.All",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
        AS_PERSON,
    ],
    operator: false,
};

/// Jobs, secrets and schema of configurations.
pub const SYNCHRONIZATION: Need = Need {
    permission: "Synchronization.Read.All",
    reads: "jobs, secrets and schema of configurations",
    rests: "PF65, PF66, PF67 (G7), PV13, PV14, PV15, PV36 and the grade *syncing*",
    also: &["Synchronization.ReadWrite.All"],
    operator: false,
};

/// The organization.
pub const ORGANIZATION: Need = Need {
    permission: "Organization.Read.All",
    reads: "directory synchronization of the tenant, and when Connect ran last",
    rests: "PF64, PF66 and PV36",
    also: &[
        "Organization.ReadWrite.All",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
        AS_PERSON,
    ],
    operator: false,
};

/// The domains.
pub const DOMAINS: Need = Need {
    permission: "Domain.Read.All",
    reads: "domains, and whether they are verified",
    rests: "PF57 and what a plan of Connect says of suffixes",
    also: &[
        "Domain.ReadWrite.All",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
        AS_PERSON,
    ],
    operator: false,
};

/// Users.
pub const USERS: Need = Need {
    permission: "User.Read.All",
    reads: "names of the accounts of Connect servers; with --operator, the account that is to sign in",
    rests: "PF69, PV39 and the servers that accounts name (G1); with --operator PF61 and PF62",
    also: &[
        "User.ReadWrite.All",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
        AS_PERSON,
    ],
    operator: false,
};

/// Who holds a role of the directory.
pub const ROLES: Need = Need {
    permission: "RoleManagement.Read.Directory",
    reads: "who holds the role Directory Synchronization Accounts; with --operator, who holds the administrators' roles",
    rests: "PF68, PF69, PV39 and the servers that accounts name (G1); with --operator PF61",
    also: &[
        "RoleManagement.ReadWrite.Directory",
        "RoleManagement.Read.All",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
        AS_PERSON,
    ],
    operator: false,
};

/// Conditional Access and security defaults. The vendor's pages name no higher one that would do.
pub const POLICIES: Need = Need {
    permission: "Policy.Read.All",
    reads: "Conditional Access policies; with --operator, security defaults",
    rests: "PF69; with --operator PF62",
    also: &[],
    operator: false,
};

/// The groups of the account that is to sign in.
pub const GROUPS: Need = Need {
    permission: "GroupMember.Read.All",
    reads: "the groups of the account that is to sign in",
    rests: "PF61 and PF62 where a group decides",
    also: &[
        "GroupMember.ReadWrite.All",
        "Group.Read.All",
        "Group.ReadWrite.All",
        "Directory.Read.All",
        "Directory.ReadWrite.All",
        AS_PERSON,
    ],
    operator: true,
};

/// Who may activate a role.
pub const ELIGIBLE: Need = Need {
    permission: "RoleEligibilitySchedule.Read.Directory",
    reads: "who may activate the administrators' roles",
    rests: "PF61 of an account that holds neither role",
    also: &[
        "RoleEligibilitySchedule.ReadWrite.Directory",
        "RoleManagement.Read.All",
        "RoleManagement.ReadWrite.Directory",
    ],
    operator: true,
};

/// Every one, in the order of the page.
pub const ALL: [&Need; 10] = [
    &AGENTS,
    &APPLICATIONS,
    &SYNCHRONIZATION,
    &ORGANIZATION,
    &DOMAINS,
    &USERS,
    &ROLES,
    &POLICIES,
    &GROUPS,
    &ELIGIBLE,
];

/// What of the list permissions do not let be read. `operator` says whether an account is named that is to sign in.
pub fn lacks(granted: &[String], operator: bool) -> impl Iterator<Item = &'static Need> {
    let held = |permission: &str| {
        granted
            .iter()
            .any(|one| one.eq_ignore_ascii_case(permission))
    };
    let wanted = ALL
        .into_iter()
        .filter(move |need| operator || !need.operator);
    wanted.filter(move |need| !held(need.permission) && !need.also.iter().any(|one| held(one)))
}

/// Those of permissions that write, or lend all that a person may, and that no reading takes.
#[must_use]
pub fn beyond(granted: &[String]) -> BTreeSet<&str> {
    let writes =
        |one: &&str| one.contains("ReadWrite") || *one == AS_PERSON || one.contains(".Manage.");
    let listed = |one: &&str| ALL.iter().any(|need| need.permission == *one);
    let all = granted.iter().map(String::as_str);
    all.filter(writes).filter(|one| !listed(one)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(of: &[&str]) -> Vec<String> {
        of.iter().map(|one| (*one).to_owned()).collect()
    }

    fn missing(of: &[&str], operator: bool) -> Vec<&'static str> {
        let granted = names(of);
        let lacks = lacks(&granted, operator);
        lacks.map(|need| need.permission).collect()
    }

    #[test]
    fn each_permission_of_the_list_is_missed_alone_and_all_of_them_leave_nothing() {
        let all: Vec<&str> = ALL.iter().map(|need| need.permission).collect();
        assert_eq!(missing(&all, true), [""; 0]);
        for need in ALL {
            let others: Vec<&str> = all
                .iter()
                .copied()
                .filter(|one| *one != need.permission)
                .collect();
            assert_eq!(missing(&others, true), [need.permission]);
            let without = missing(&others, false);
            assert_eq!(without.is_empty(), need.operator, "{}", need.permission);
        }
        assert!(beyond(&names(&all)).is_empty());
    }

    #[test]
    fn a_token_that_acts_as_a_person_lacks_what_is_no_part_of_the_directory_and_may_write() {
        let lent = [
            "Directory.AccessAsUser.All",
            "Group.ReadWrite.All",
            "AuditLog.Read.All",
        ];
        assert_eq!(
            missing(&lent, true),
            [
                "OnPremisesPublishingProfiles.ReadWrite.All",
                "Synchronization.Read.All",
                "Policy.Read.All",
                "RoleEligibilitySchedule.Read.Directory",
            ]
        );
        assert_eq!(
            beyond(&names(&lent)),
            BTreeSet::from(["Directory.AccessAsUser.All", "Group.ReadWrite.All"])
        );
    }
}
