//! Accounts and applications: of whoever is to sign in, and of Connect servers, which are let in by a role of the directory or by an app
//! role (product facts 2.9, 2.10, 5).

use std::collections::BTreeSet;

use controller_core::tenant::access::{APPLICATIONS, ELIGIBLE, GROUPS, POLICIES, ROLES, USERS};
use controller_core::tenant::{
    ADMINISTRATOR, Account, Application, ConnectAccount, GLOBAL, Held, NoUsers, Observation, Part,
    Policy, SYNCHRONIZATION, SyncAccounts, app_role, application, assigned, connect_account, ids,
    members, policies, role_id, security_defaults, user,
};
use protocol::{TenantId, Timestamp};

use super::{Graph, escaped, is_plain};

/// Who holds the role of Connect servers' accounts.
struct Holders {
    /// The users among them.
    servers: Part<Vec<ConnectAccount>>,
    /// Names of the applications among them.
    applications: Part<Vec<String>>,
    /// Those of them that are applications, or may be.
    no_users: NoUsers,
}

impl Graph {
    /// Whoever is to sign in, and the accounts of Connect servers, with what policies demand of them. Everything else is not seen.
    pub(super) async fn accounts(
        &self,
        tenant: &TenantId,
        operator: Option<&str>,
        at: Timestamp,
    ) -> Observation {
        let path = "/v1.0/identity/conditionalAccess/policies";
        let answer = self.all(path, &POLICIES).await;
        let known = Part::read(answer, policies);
        let operator = match operator {
            None => {
                Part::NotSeen("nobody was named: entrain tenant read --operator NAME".to_owned())
            }
            Some(name) => self.operator(name, &known).await,
        };
        let (sync_accounts, connect_accounts, applications) = match self.sync_accounts().await {
            Ok((role, accounts)) => {
                let held = self.connect_accounts(&accounts).await;
                let all = SyncAccounts::of(&accounts, &held.no_users, &role, known);
                (Part::Seen(all), held.servers, held.applications)
            }
            Err(why) => {
                let unseen = || why.clone();
                (
                    Part::NotSeen(unseen()),
                    Part::NotSeen(unseen()),
                    Part::NotSeen(why),
                )
            }
        };
        Observation {
            operator,
            sync_accounts,
            connect_accounts,
            applications,
            assigned: self.assigned().await,
            ..Observation::unseen_all(tenant, at, "it was not asked for")
        }
    }

    async fn operator(&self, name: &str, known: &Part<Vec<Policy>>) -> Part<Account> {
        let path = format!(
            "/v1.0/users/{}?$select=id,userPrincipalName,userType,onPremisesSyncEnabled",
            escaped(name)
        );
        let read = Part::read(self.one(&path, &USERS).await, user);
        let (id, mut account) = match read {
            Part::Seen(read) => read,
            Part::NotSeen(why) => return Part::NotSeen(why),
        };
        if !is_plain(&id) {
            return Part::NotSeen("its id is none".to_owned());
        }
        // A role may be held by a group, and a policy may name one.
        let path = format!("/v1.0/users/{id}/transitiveMemberOf?$select=id");
        let answer = self.all(&path, &GROUPS).await;
        let groups = answer.and_then(|answer| ids(&answer));
        for (part, role) in [
            (&mut account.role, ADMINISTRATOR),
            (&mut account.global, GLOBAL),
        ] {
            *part = match self.held(&id, role, groups.as_ref()).await {
                Ok(held) => Part::Seen(held),
                Err(why) => Part::NotSeen(why),
            };
        }
        match known {
            Part::Seen(known) => account.judge(&id, groups.as_ref().ok(), ADMINISTRATOR, known),
            Part::NotSeen(why) => account.demands = Part::NotSeen(why.clone()),
        }
        let path = "/v1.0/policies/identitySecurityDefaultsEnforcementPolicy";
        let defaults = self.one(path, &POLICIES).await;
        if let Part::Seen(demands) = &mut account.demands {
            match Part::read(defaults, security_defaults) {
                Part::Seen(true) => drop(demands.insert("security defaults".to_owned())),
                Part::Seen(false) => {}
                // What is there demands it already, whatever else does.
                Part::NotSeen(_) if !demands.is_empty() => {}
                Part::NotSeen(why) => account.demands = Part::NotSeen(why),
            }
        }
        Part::Seen(account)
    }

    /// How an account holds a role, by the role's template.
    async fn held(
        &self,
        id: &str,
        role: &str,
        groups: Result<&BTreeSet<String>, &String>,
    ) -> Result<Held, String> {
        let of = |kind: &str| {
            format!(
                "/v1.0/roleManagement/directory/{kind}?$filter=roleDefinitionId%20eq%20'{role}'&$select=principalId,directoryScopeId"
            )
        };
        let assigned = of("roleAssignments");
        let answer = self.all(&assigned, &ROLES);
        let holders = members(&answer.await?)?;
        if holders.contains(id) {
            return Ok(Held::Direct);
        }
        let own = groups.map_err(Clone::clone)?;
        if !holders.is_disjoint(own) {
            return Ok(Held::ByGroup);
        }
        let path = of("roleEligibilityScheduleInstances");
        let answer = self.all(&path, &ELIGIBLE);
        let eligible = members(&answer.await?)?;
        Ok(match eligible.contains(id) || !eligible.is_disjoint(own) {
            true => Held::Eligible,
            false => Held::Not,
        })
    }

    /// The id of the role of Connect servers' accounts, which the sheet names and gives no id of, and who holds it.
    async fn sync_accounts(&self) -> Result<(String, BTreeSet<String>), String> {
        let path = "/v1.0/roleManagement/directory/roleDefinitions?$filter=displayName%20eq%20'Directory%20Synchronization%20Accounts'&$select=id,displayName";
        let role = role_id(&self.all(path, &ROLES).await?)?;
        if !is_plain(&role) {
            return Err("its id is none".to_owned());
        }
        let path = format!(
            "/v1.0/roleManagement/directory/roleAssignments?$filter=roleDefinitionId%20eq%20'{role}'&$select=principalId,directoryScopeId"
        );
        let accounts = members(&self.all(&path, &ROLES).await?)?;
        Ok((role, accounts))
    }

    /// The users among the holders of that role: each is of one Connect server. Who is no user is an application, whose name is asked,
    /// or a group.
    async fn connect_accounts(&self, holders: &BTreeSet<String>) -> Holders {
        // Twenty are the most that a tenant has (product facts 2.9 [P]).
        const MOST: usize = 100;
        let neither = |why: String| Holders {
            servers: Part::NotSeen(why.clone()),
            applications: Part::NotSeen(why),
            no_users: NoUsers {
                applications: BTreeSet::new(),
                unknown: holders.clone(),
            },
        };
        if holders.len() > MOST {
            let many = holders.len();
            return neither(format!(
                "{many} hold that role; at most {MOST} are looked at"
            ));
        }
        let mut accounts = Vec::new();
        let mut applications = Part::Seen(Vec::new());
        let mut no_users = NoUsers::default();
        for id in holders {
            // It becomes part of a path.
            if !is_plain(id) {
                return neither("the id of one is none".to_owned());
            }
            let path = format!("/v1.0/users/{id}?$select=id,userPrincipalName");
            let Some(answer) = self.perhaps(&path, &USERS).await else {
                let path = format!("/v1.0/servicePrincipals/{id}?$select=id,displayName");
                let Some(answer) = self.perhaps(&path, &APPLICATIONS).await else {
                    continue;
                };
                match Part::read(answer, application) {
                    Part::Seen(name) => {
                        no_users.applications.insert(id.clone());
                        if let Part::Seen(all) = &mut applications {
                            all.push(name);
                        }
                    }
                    Part::NotSeen(why) => {
                        no_users.unknown.insert(id.clone());
                        applications = Part::NotSeen(why);
                    }
                }
                continue;
            };
            match Part::read(answer, connect_account) {
                Part::Seen(account) => accounts.push(account),
                Part::NotSeen(why) => return neither(why),
            }
        }
        Holders {
            servers: Part::Seen(accounts),
            applications,
            no_users,
        }
    }

    /// The applications that were given the app role by which Connect synchronizes. A tenant without the application that has it never
    /// had Connect, and no application of a server.
    async fn assigned(&self) -> Part<Vec<Application>> {
        let resource = format!("/v1.0/servicePrincipals(appId='{SYNCHRONIZATION}')");
        let path = format!("{resource}?$select=id,appRoles");
        let Some(answer) = self.perhaps(&path, &APPLICATIONS).await else {
            return Part::Seen(Vec::new());
        };
        let role = match Part::read(answer, app_role) {
            Part::Seen(role) => role,
            Part::NotSeen(why) => return Part::NotSeen(why),
        };
        let path = format!("{resource}/appRoleAssignedTo");
        let answer = self.all(&path, &APPLICATIONS).await;
        Part::read(answer, |answer| assigned(answer, &role))
    }
}
