//! What a tenant shows of accounts: of the one that is to sign in, and of those of Connect servers (product facts 5, PF61, PF62,
//! PF68, PF69). Paths and names of fields are general knowledge of Graph ([K]); an answer of another shape is *not seen*.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::identity::server_of_user;
use super::{Part, all, text};

/// The template of the role Hybrid Identity Administrator (PF61, [K]).
pub const ADMINISTRATOR: &str = "8ac3fc64-6eca-42ea-9e69-59f4c7b60eb2";

/// The template of the role Global Administrator, which the product's pages take in its place ([K]).
pub const GLOBAL: &str = "62e90394-69f5-4237-9190-012177ffcfc6";

/// How an account holds a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// Not at all.
    Not,
    /// It, or a group of its, may activate it.
    Eligible,
    /// By a group.
    ByGroup,
    /// By itself.
    Direct,
}

impl Held {
    /// In words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Not => "does not hold it",
            Self::Eligible => "is eligible for it",
            Self::ByGroup => "holds it by a group",
            Self::Direct => "holds it",
        }
    }
}

/// The account that is to sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its user principal name.
    pub user: String,
    /// It is a guest.
    pub guest: bool,
    /// A directory synchronizes it.
    pub synchronized: bool,
    /// How it holds Hybrid Identity Administrator.
    pub role: Part<Held>,
    /// How it holds Global Administrator.
    #[serde(default = "super::not_asked")]
    pub global: Part<Held>,
    /// What demands more of it than a password, or refuses it: names of policies.
    pub demands: Part<BTreeSet<String>>,
    /// Policies that may do so: by a condition, a group, an application or a control that is not looked at here.
    pub may_demand: BTreeSet<String>,
}

/// Accounts of Connect servers without application-based authentication.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncAccounts {
    /// How many hold the role.
    pub members: usize,
    /// Their ids; none where it was read before they were kept.
    #[serde(default)]
    pub ids: BTreeSet<String>,
    /// Policies for all users and all applications that do not exclude them.
    pub caught: Part<BTreeSet<String>>,
    /// Those that may leave them out, by a group or by a condition that is not looked at here.
    pub may_catch: BTreeSet<String>,
}

/// Who holds the role of Connect servers' accounts and is no user or group, or may be none. Ids.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NoUsers {
    /// Those that were seen to be applications.
    pub applications: BTreeSet<String>,
    /// Those of whom it was not seen what they are.
    pub unknown: BTreeSet<String>,
}

/// An account of a Connect server: one for each server (product facts 2.9 [P]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectAccount {
    /// Its user principal name.
    pub user: String,
    /// Name of its server, where that shows: the product calls the account `Sync_SERVER_…` ([K]).
    pub server: Option<String>,
}

/// The account of an answer to `users/…` about one that holds the role of Connect servers' accounts.
///
/// # Errors
/// What it lacks.
pub fn connect_account(answer: &Value) -> Result<ConnectAccount, String> {
    let user = text(answer, "userPrincipalName")?;
    let server = server_of_user(&user).map(ToOwned::to_owned);
    Ok(ConnectAccount { user, server })
}

/// Name of the application of an answer to `servicePrincipals/…` about one that holds the role of Connect servers' accounts.
///
/// # Errors
/// What it lacks.
pub fn application(answer: &Value) -> Result<String, String> {
    text(answer, "displayName")
}

/// Id, name and nature of an answer to `users/…`.
///
/// # Errors
/// What it lacks.
pub fn user(answer: &Value) -> Result<(String, Account), String> {
    let account = Account {
        user: text(answer, "userPrincipalName")?,
        guest: text(answer, "userType")?.eq_ignore_ascii_case("guest"),
        // One that lives in the cloud alone says nothing here.
        synchronized: answer["onPremisesSyncEnabled"].as_bool().unwrap_or(false),
        role: Part::NotSeen(String::new()),
        global: Part::NotSeen(String::new()),
        demands: Part::NotSeen(String::new()),
        may_demand: BTreeSet::new(),
    };
    Ok((text(answer, "id")?, account))
}

/// The only role of an answer to `roleDefinitions`.
///
/// # Errors
/// When there is none, or another number.
pub fn role_id(answer: &Value) -> Result<String, String> {
    let mut found = all(answer, |one| text(one, "id"))?;
    match (found.pop(), found.pop()) {
        (Some(id), None) => Ok(id),
        (None, _) => Err("no role of that name".to_owned()),
        (Some(_), Some(_)) => Err("several roles of that name".to_owned()),
    }
}

/// Who holds a role in the whole tenant: principals of an answer to `roleAssignments` or `roleEligibilityScheduleInstances`.
///
/// # Errors
/// What it lacks.
pub fn members(answer: &Value) -> Result<BTreeSet<String>, String> {
    let rows = all(answer, |one| {
        // One that is limited to a part of the tenant is none here.
        let whole = one["directoryScopeId"]
            .as_str()
            .is_none_or(|scope| scope == "/");
        Ok(whole.then_some(text(one, "principalId")?))
    })?;
    Ok(rows.into_iter().flatten().collect())
}

/// Ids of an answer to `transitiveMemberOf`.
///
/// # Errors
/// What it lacks.
pub fn ids(answer: &Value) -> Result<BTreeSet<String>, String> {
    let ids = all(answer, |one| text(one, "id"))?;
    Ok(ids.into_iter().collect())
}

/// Whether an answer to `identitySecurityDefaultsEnforcementPolicy` says that they are on.
///
/// # Errors
/// What it lacks.
pub fn security_defaults(answer: &Value) -> Result<bool, String> {
    answer["isEnabled"]
        .as_bool()
        .ok_or_else(|| "no isEnabled".to_owned())
}

/// A Conditional Access policy, as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    name: String,
    included: People,
    excluded: People,
    /// It is for every application.
    everywhere: bool,
    /// It holds under conditions that are not looked at, or demands what is not known here.
    conditional: bool,
}

/// Controls that the service has built in: each demands something or refuses ([K]).
const BUILT_IN: [&str; 7] = [
    "approvedApplication",
    "block",
    "compliantApplication",
    "compliantDevice",
    "domainJoinedDevice",
    "mfa",
    "passwordChange",
];

/// Controls beside those, by their names among the grant controls ([K]).
const BESIDE: [&str; 3] = [
    "authenticationStrength",
    "customAuthenticationFactors",
    "termsOfUse",
];

/// How a policy names people. Guests are told apart by a part of its own, and no guest may sign in here (PF61).
const PEOPLE: [&str; 8] = [
    "excludeGroups",
    "excludeGuestsOrExternalUsers",
    "excludeRoles",
    "excludeUsers",
    "includeGroups",
    "includeGuestsOrExternalUsers",
    "includeRoles",
    "includeUsers",
];

/// What grant controls come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    /// They let everybody in.
    Nothing,
    /// They demand something, or refuse.
    Demands,
    /// They name what is not known here, and nothing else.
    Unknown,
}

impl Grant {
    fn read(grant: &Value) -> Self {
        let built_in = grant["builtInControls"].as_array();
        let known = |one: &Value| one.as_str().is_some_and(|one| BUILT_IN.contains(&one));
        let demands = built_in.is_some_and(|all| all.iter().any(known));
        if demands || BESIDE.iter().any(|name| is_given(&grant[*name])) {
            return Self::Demands;
        }
        let others = ["operator"].into_iter().chain(BESIDE);
        match grant.as_object() {
            Some(grant) if given_beside(grant, others).next().is_some() => Self::Unknown,
            Some(_) | None => Self::Nothing,
        }
    }
}

/// Something stands there.
fn is_given(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(all) => !all.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => true,
    }
}

/// What is given beside these names. The service's own remarks have a sign in their names that no condition has.
fn given_beside(
    all: &serde_json::Map<String, Value>,
    names: impl IntoIterator<Item = &'static str>,
) -> impl Iterator<Item = &String> {
    let names: BTreeSet<&str> = names.into_iter().collect();
    let other = move |name: &str| !names.contains(name) && !name.contains('@');
    let given = all
        .iter()
        .filter(move |(name, value)| other(name) && is_given(value));
    given.map(|(name, _)| name)
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct People {
    all: bool,
    users: BTreeSet<String>,
    groups: BTreeSet<String>,
    roles: BTreeSet<String>,
}

impl People {
    fn read(users: &Value, how: &str) -> Self {
        let list = |what: &str| -> BTreeSet<String> {
            let listed = users[format!("{how}{what}")].as_array();
            let texts = listed.into_iter().flatten().filter_map(Value::as_str);
            texts.map(ToOwned::to_owned).collect()
        };
        let users = list("Users");
        Self {
            all: users.contains("All"),
            users,
            groups: list("Groups"),
            roles: list("Roles"),
        }
    }

    /// Whether it names an account by itself, one of its groups, or a role that it has or may activate.
    fn names(&self, id: &str, groups: &BTreeSet<String>, roles: &[&str]) -> bool {
        let by_role = roles.iter().any(|role| self.roles.contains(*role));
        self.all || self.users.contains(id) || !self.groups.is_disjoint(groups) || by_role
    }
}

/// The policies of an answer to `conditionalAccess/policies` that are on and demand or refuse something, or may.
///
/// # Errors
/// What it lacks.
pub fn policies(answer: &Value) -> Result<Vec<Policy>, String> {
    let read = |one: &Value| {
        let (name, state) = (text(one, "displayName")?, text(one, "state")?);
        let conditions = one["conditions"].as_object();
        let part = |name: &str| conditions?.get(name)?.as_object();
        let (Some(conditions), Some(users), Some(applications)) =
            (conditions, part("users"), part("applications"))
        else {
            return Err("a policy without conditions".to_owned());
        };
        let grant = Grant::read(&one["grantControls"]);
        let included = one["conditions"]["applications"]["includeApplications"].as_array();
        let clients = one["conditions"]["clientAppTypes"].as_array();
        let clients = clients.is_some_and(|all| !all.is_empty() && !all.contains(&"all".into()));
        // What is not looked at may leave out whoever is asked about: places, devices, risks, flows, and what the service adds.
        let looked_at = ["users", "applications", "clientAppTypes"];
        let limited = given_beside(conditions, looked_at).next().is_some();
        let limited = limited || given_beside(users, PEOPLE).next().is_some();
        let some = given_beside(applications, ["includeApplications"]);
        let policy = Policy {
            name,
            included: People::read(&one["conditions"]["users"], "include"),
            excluded: People::read(&one["conditions"]["users"], "exclude"),
            everywhere: included.is_some_and(|all| all.contains(&"All".into())),
            conditional: clients || limited || some.count() > 0 || grant == Grant::Unknown,
        };
        Ok((state == "enabled" && grant != Grant::Nothing).then_some(policy))
    };
    Ok(all(answer, read)?.into_iter().flatten().collect())
}

impl Account {
    /// Holds the tenant's policies against it. Without its groups, what names groups may or may not name it.
    pub fn judge(
        &mut self,
        id: &str,
        groups: Option<&BTreeSet<String>>,
        role: &str,
        policies: &[Policy],
    ) {
        let nothing = BTreeSet::new();
        let own = groups.unwrap_or(&nothing);
        let holds = |role: &Part<Held>| role.seen().is_some_and(|held| *held != Held::Not);
        let mut roles = Vec::new();
        roles.extend(holds(&self.role).then_some(role));
        roles.extend(holds(&self.global).then_some(GLOBAL));
        let mut demands = BTreeSet::new();
        let active = |held: &Part<Held>| {
            let held = held.seen();
            held.is_some_and(|held| [Held::Direct, Held::ByGroup].contains(held))
        };
        let mut active_roles = Vec::new();
        active_roles.extend(active(&self.role).then_some(role));
        active_roles.extend(active(&self.global).then_some(GLOBAL));
        for policy in policies {
            let unsure = |people: &People| groups.is_none() && !people.groups.is_empty();
            if policy.excluded.names(id, own, &active_roles) {
                continue;
            }
            // A role that it may activate leaves it out once it has done so.
            let may_be_out = policy.excluded.names(id, own, &roles);
            let included = policy.included.names(id, own, &roles);
            if !included && !unsure(&policy.included) {
                continue;
            }
            let certain = included
                && policy.everywhere
                && !policy.conditional
                && !may_be_out
                && !unsure(&policy.excluded);
            let list = if certain {
                &mut demands
            } else {
                &mut self.may_demand
            };
            list.insert(policy.name.clone());
        }
        self.demands = Part::Seen(demands);
    }
}

impl SyncAccounts {
    /// Holds the tenant's policies against the accounts that hold that role. Those of them that are applications are caught by no policy for
    /// users.
    #[must_use]
    pub fn of(
        accounts: &BTreeSet<String>,
        no_users: &NoUsers,
        role: &str,
        policies: Part<Vec<Policy>>,
    ) -> Self {
        let mut may_catch = BTreeSet::new();
        let users: BTreeSet<&String> = accounts.difference(&no_users.applications).collect();
        let caught = match policies {
            _ if users.is_empty() => Part::Seen(BTreeSet::new()),
            Part::NotSeen(why) => Part::NotSeen(why),
            Part::Seen(policies) => {
                let mut caught = BTreeSet::new();
                let all = policies
                    .into_iter()
                    .filter(|one| one.included.all && one.everywhere);
                for policy in all {
                    let excluded = &policy.excluded;
                    let named = |id: &&&String| !excluded.users.contains(**id);
                    let left: Vec<&&String> = users.iter().filter(named).collect();
                    if left.is_empty() || excluded.roles.contains(role) {
                        continue;
                    }
                    let is_user = left.iter().any(|id| !no_users.unknown.contains(**id));
                    let list = if excluded.groups.is_empty() && !policy.conditional && is_user {
                        &mut caught
                    } else {
                        &mut may_catch
                    };
                    list.insert(policy.name);
                }
                Part::Seen(caught)
            }
        };
        Self {
            members: accounts.len(),
            ids: accounts.clone(),
            caught,
            may_catch,
        }
    }
}
