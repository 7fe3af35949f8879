//! As what Connect servers sign in to a tenant, and which of them that names (product facts 2.9, 2.10): a user with the role
//! *Directory Synchronization Accounts*, or an application. An application is found by either of two ways to be let in: by that role, and by
//! the app role of the application through which Connect synchronizes.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Observation, all, text};

/// The application through which Connect synchronizes, *Microsoft Entra AD Synchronization Service*, by the id that it has in every
/// cloud (product facts 2.10 [S]; the vendor's page on application identities has the same id).
pub const SYNCHRONIZATION: &str = "6bf85cfa-ac8a-4be5-b5de-425a0d0dc016";

/// The app role of it that an application of a Connect server is given (product facts 2.10 [P] for one that somebody brought; that the product
/// gives the one that it manages the same is inferred [I]). Its id is read from the tenant.
pub const SYNCHRONIZES: &str = "ADSynchronization.ReadWrite.All";

/// How the product begins the names of the applications that it manages: `ConnectSyncProvisioning_SERVER_NUMBER`. Seen in several
/// people's tenants ([S]); no page of the vendor's says so. One of another form names nobody.
const MANAGED: &str = "ConnectSyncProvisioning_";

/// How the product begins the names of the accounts that it makes: `Sync_SERVER_NUMBER@…` ([K]).
const ACCOUNT: &str = "Sync_";

/// An application that may synchronize a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    /// Id of its service principal.
    pub id: String,
    /// Its name, or its id where it has none.
    pub name: String,
}

/// How a Connect server is let in to a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Let {
    /// As a user with the role.
    Account,
    /// As an application with the role.
    ByRole,
    /// As an application with the app role alone.
    ByAppRole,
}

/// As what a Connect server signs in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity<'a> {
    /// How it is let in.
    pub by: Let,
    /// Name of the user or of the application.
    pub name: &'a str,
    /// The server that this names.
    pub server: Option<&'a str>,
}

impl Identity<'_> {
    /// What it is and its name.
    #[must_use]
    pub fn shown(&self) -> String {
        let kind = match self.by {
            Let::Account => "account",
            Let::ByRole | Let::ByAppRole => "application",
        };
        format!("{kind} {}", self.name)
    }

    /// What lets it in.
    #[must_use]
    pub const fn holds(&self) -> &'static str {
        match self.by {
            Let::Account | Let::ByRole => "holds the role of Connect servers",
            Let::ByAppRole => "may synchronize the tenant (ADSynchronization.ReadWrite.All)",
        }
    }
}

/// The server in `PREFIX_SERVER_NUMBER`, the number being hexadecimal; a server's name may hold underscores itself.
fn named<'a>(prefix: &str, name: &'a str) -> Option<&'a str> {
    let begins = name.get(..prefix.len())?;
    if !begins.eq_ignore_ascii_case(prefix) {
        return None;
    }
    let (server, number) = name.get(prefix.len()..)?.rsplit_once('_')?;
    let hexadecimal = !number.is_empty() && number.chars().all(|sign| sign.is_ascii_hexdigit());
    let is_name = |sign: char| sign.is_ascii_alphanumeric() || sign == '-' || sign == '_';
    let is_server = !server.is_empty() && server.chars().all(is_name);
    (hexadecimal && is_server).then_some(server)
}

/// The server that a user principal name has. A user of another form names nobody.
pub(super) fn server_of_user(user: &str) -> Option<&str> {
    let (name, _) = user.split_once('@')?;
    named(ACCOUNT, name)
}

/// The server that an application's name has. One that somebody brought may be called anything, and names nobody.
#[must_use]
pub fn server_of_application(name: &str) -> Option<&str> {
    named(MANAGED, name)
}

/// Id of the app role that lets an application synchronize, in an answer to `servicePrincipals(appId=…)?$select=id,appRoles`.
///
/// # Errors
/// What it lacks.
pub fn app_role(answer: &Value) -> Result<String, String> {
    let roles = answer["appRoles"].as_array().ok_or("no appRoles")?;
    let role = roles.iter().find(|role| role["value"] == SYNCHRONIZES);
    let role = role.ok_or_else(|| format!("no app role {SYNCHRONIZES}"))?;
    text(role, "id")
}

/// Who was given that app role, in an answer to `appRoleAssignedTo`: each once.
///
/// # Errors
/// What it lacks.
pub fn assigned(answer: &Value, role: &str) -> Result<Vec<Application>, String> {
    let rows = all(answer, |one| {
        let id = text(one, "principalId")?;
        let own = text(one, "appRoleId")?.eq_ignore_ascii_case(role);
        // One that has no name is there all the same.
        let name = one["principalDisplayName"].as_str().unwrap_or(&id);
        let name = name.to_owned();
        Ok(own.then_some((id, name)))
    })?;
    let each: BTreeMap<String, String> = rows.into_iter().flatten().collect();
    let application = |(id, name)| Application { id, name };
    Ok(each.into_iter().map(application).collect())
}

impl Observation {
    /// Whoever holds the role of Connect servers' accounts was seen to be an application, each of them: none is a user or a group.
    #[must_use]
    pub fn only_applications(&self) -> bool {
        let holders = self.sync_accounts.seen().map_or(0, |all| all.members);
        let users = self.connect_accounts.seen().map(Vec::len);
        let applications = self.applications.seen().map(Vec::len);
        holders > 0 && users == Some(0) && applications == Some(holders)
    }

    /// As what Connect servers sign in to the tenant, as far as that was seen: each user and each application once.
    pub fn identities(&self) -> impl Iterator<Item = Identity<'_>> {
        let accounts = self.connect_accounts.seen().into_iter().flatten();
        let accounts = accounts.map(|account| Identity {
            by: Let::Account,
            name: &account.user,
            server: account.server.as_deref(),
        });
        let by_role = self.applications.seen().into_iter().flatten();
        let by_role = by_role.map(|name| (Let::ByRole, name.as_str()));
        // Who holds the role too stands among those already.
        let holders = self.sync_accounts.seen().map(|all| &all.ids);
        let holders = holders.filter(|_| self.applications.seen().is_some());
        let assigned = self.assigned.seen().into_iter().flatten();
        let alone = assigned.filter(move |one| holders.is_none_or(|ids| !ids.contains(&one.id)));
        // A reading of the release before told names without ids: one of these names is the same application.
        let unidentified = holders.is_some_and(BTreeSet::is_empty);
        let names = self.applications.seen().into_iter().flatten();
        let names: BTreeSet<&str> = names.filter(|_| unidentified).map(String::as_str).collect();
        let alone = alone.filter(move |one| !names.contains(one.name.as_str()));
        let alone = alone.map(|one| (Let::ByAppRole, one.name.as_str()));
        let applications = by_role.chain(alone).map(|(by, name)| Identity {
            by,
            name,
            server: server_of_application(name),
        });
        accounts.chain(applications)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_sync_account_names_its_server_and_another_form_names_nobody() {
        for (user, server) in [
            (
                "Sync_FAB-SYNC-01_0a1b2c3d4e5f@fabrikam.onmicrosoft.com",
                Some("FAB-SYNC-01"),
            ),
            ("sync_OLD_99_00ff@fabrikam.onmicrosoft.com", Some("OLD_99")),
            ("Sync_FAB-SYNC-01@fabrikam.onmicrosoft.com", None),
            ("Sync_FAB-SYNC-01_xyz@fabrikam.onmicrosoft.com", None),
            ("Sync__00ff@fabrikam.onmicrosoft.com", None),
            ("Sync_A B_00ff@fabrikam.onmicrosoft.com", None),
            ("anna@fabrikam.com", None),
            ("Sync_FAB-SYNC-01_00ff", None),
        ] {
            assert_eq!(server_of_user(user), server, "{user}");
        }
    }

    #[test]
    fn an_application_that_the_product_manages_names_its_server_and_another_form_names_nobody() {
        for (name, server) in [
            (
                "ConnectSyncProvisioning_FAB-SYNC-01_3ac06f5648e4",
                Some("FAB-SYNC-01"),
            ),
            ("connectsyncprovisioning_OLD_99_00FF", Some("OLD_99")),
            ("ConnectSyncProvisioning_FAB-SYNC-01", None),
            ("ConnectSyncProvisioning_FAB-SYNC-01_hash", None),
            ("ConnectSyncProvisioning__00ff", None),
            ("ConnectSyncProvisioning_", None),
            ("Sync_FAB-SYNC-01_00ff", None),
            ("Entra Connect, our own", None),
            ("ConnectSyncProvisionin\u{e9}_A_00ff", None),
        ] {
            assert_eq!(server_of_application(name), server, "{name}");
        }
    }

    #[test]
    fn who_was_given_the_app_role_is_read_and_who_was_given_another_is_not() {
        let principal = json!({ "id": "r", "appRoles": [
            { "id": "other", "value": "Something.Read.All" },
            { "id": "aa11", "value": "ADSynchronization.ReadWrite.All" },
        ] });
        let role = app_role(&principal).unwrap();
        assert_eq!(role, "aa11");
        let row = |role: &str, id: &str, name: Value| json!({ "appRoleId": role, "principalId": id, "principalDisplayName": name });
        let answer = json!({ "value": [
            row("AA11", "p1", json!("ConnectSyncProvisioning_S1_00ff")),
            row("other", "p2", json!("another")),
            row("aa11", "p1", json!("ConnectSyncProvisioning_S1_00ff")),
            row("aa11", "p3", Value::Null),
        ] });
        let read = assigned(&answer, &role).unwrap();
        let read: Vec<(&str, &str)> = read
            .iter()
            .map(|one| (one.id.as_str(), one.name.as_str()))
            .collect();
        assert_eq!(
            read,
            [("p1", "ConnectSyncProvisioning_S1_00ff"), ("p3", "p3")]
        );
        // Of another shape nothing is taken for "nobody".
        assert!(app_role(&json!({ "id": "r", "appRoles": [] })).is_err());
        assert!(assigned(&json!({ "value": [{ "principalId": "p" }] }), &role).is_err());
        assert!(assigned(&json!({}), &role).is_err());
    }
}
