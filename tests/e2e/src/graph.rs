//! A stand-in for Microsoft Graph that keeps state: it answers what Entrain asks, page by page, to whoever shows the right
//! token, and refuses what it is told to refuse (product facts 1.8).

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

/// What the modelled tenant has.
#[derive(Debug, Clone, Default)]
pub struct Tenant {
    /// Its id.
    pub id: String,
    /// Machines of its agents, with their status.
    pub agents: Vec<(String, String)>,
    /// Its domains; true where they are verified.
    pub domains: Vec<(String, bool)>,
    /// Names of its configurations, with the time of the last success of their job and whether it is in quarantine.
    pub configurations: Vec<(String, Option<String>, bool)>,
    /// What its configurations say of themselves, by their names; one without an entry tells its name as its domain, the guard as it
    /// comes, and all of its domain as its scope.
    pub details: BTreeMap<String, Details>,
    /// Status of the jobs of a configuration, by its name; without an entry they are active.
    pub statuses: BTreeMap<String, String>,
    /// Accounts, by user principal name.
    pub accounts: Vec<Account>,
    /// Conditional Access policies, as the service words them.
    pub policies: Vec<Value>,
    /// Security defaults are on.
    pub security_defaults: bool,
    /// Ids of who holds the role Directory Synchronization Accounts.
    pub sync_accounts: Vec<String>,
    /// Applications of Connect servers.
    pub applications: Vec<Application>,
    /// It has the application through which Connect synchronizes.
    pub has_connect: bool,
    /// Directory synchronization is on.
    pub sync_enabled: bool,
    /// Last synchronization by Connect.
    pub last_sync: Option<String>,
    /// The token that is good.
    pub token: String,
    /// Parts of paths that are refused.
    pub forbidden: Vec<String>,
    /// Answers of "too many requests" before the next good one.
    pub busy: u32,
    /// Answers before the next good one, in their order: status, and what they say of when to ask again.
    pub refusals: VecDeque<(u16, String)>,
    /// Lists go on at another host.
    pub leads_away: bool,
    /// Paths that were asked for.
    pub asked: Vec<String>,
}

/// An application of a Connect server, and how it is let in.
#[derive(Debug, Clone, Default)]
pub struct Application {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// It holds the role Directory Synchronization Accounts.
    pub by_role: bool,
    /// It was given the app role by which Connect synchronizes.
    pub by_app_role: bool,
}

/// The application that the product manages for a server, let in by the app role.
#[must_use]
pub fn managed(server: &str) -> Application {
    Application {
        id: format!("sp-of-{server}").to_lowercase(),
        name: format!("ConnectSyncProvisioning_{server}_3ac06f5648e4"),
        by_role: false,
        by_app_role: true,
    }
}

/// What a configuration says of itself.
#[derive(Debug, Clone)]
pub struct Details {
    /// Secrets, as pairs of key and value.
    pub secrets: Vec<(String, String)>,
    /// Organizational units; none for all of its domain.
    pub units: Vec<String>,
}

/// An account.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Its user principal name.
    pub name: String,
    /// It is a guest.
    pub guest: bool,
    /// A directory synchronizes it.
    pub synchronized: bool,
    /// Groups that it is in.
    pub groups: Vec<String>,
    /// It holds Global Administrator.
    pub global: bool,
    /// Hybrid Identity Administrator: by whom it is held, and by whom it may be.
    pub role: (Vec<String>, Vec<String>),
}

impl Account {
    /// Its id.
    #[must_use]
    pub fn id(&self) -> String {
        self.name.replace(['@', '.'], "-")
    }
}

const ADMINISTRATOR: &str = "8ac3fc64-6eca-42ea-9e69-59f4c7b60eb2";
const GLOBAL: &str = "62e90394-69f5-4237-9190-012177ffcfc6";

const SYNCHRONIZATION: &str =
    "/v1.0/servicePrincipals(appId='6bf85cfa-ac8a-4be5-b5de-425a0d0dc016')";

/// Ids of two of its app roles: by one an application synchronizes, by the other it does something else.
const APP_ROLES: [&str; 2] = [
    "a1b2c3d4-0000-0000-0000-000000000001",
    "a1b2c3d4-0000-0000-0000-000000000002",
];

/// How many entries a page of a list has.
const PAGE: usize = 2;

impl Tenant {
    fn items(&self, path: &str) -> Option<Vec<Value>> {
        let list = if path.starts_with("/beta/onPremisesPublishingProfiles/provisioning/agents") {
            let agent = |(machine, status): &(String, String)| json!({ "id": machine, "machineName": machine, "status": status, "externalIp": "203.0.113.7", "agentGroups": [] });
            self.agents.iter().map(agent).collect()
        } else if path.starts_with("/v1.0/organization") {
            vec![
                json!({ "id": self.id, "onPremisesSyncEnabled": self.sync_enabled.then_some(true), "onPremisesLastSyncDateTime": self.last_sync }),
            ]
        } else if path.starts_with("/v1.0/domains") {
            let domain =
                |(name, verified): &(String, bool)| json!({ "id": name, "isVerified": verified });
            self.domains.iter().map(domain).collect()
        } else if path.starts_with("/v1.0/servicePrincipals?$filter=applicationTemplateId") {
            let of = self.configurations.iter().enumerate();
            of.map(|(at, (name, ..))| json!({ "id": format!("sp-{at}"), "displayName": name }))
                .collect()
        } else if let Some(rest) = path.strip_prefix(SYNCHRONIZATION) {
            if !self.has_connect || !rest.starts_with("/appRoleAssignedTo") {
                return None;
            }
            let row = |one: &Application| {
                // Whoever has none of it was given another app role.
                let role = APP_ROLES[usize::from(!one.by_app_role)];
                json!({ "id": format!("assigned-{}", one.id), "appRoleId": role, "principalId": one.id, "principalDisplayName": one.name, "principalType": "ServicePrincipal" })
            };
            self.applications.iter().map(row).collect()
        } else if path.starts_with("/v1.0/identity/conditionalAccess/policies") {
            self.policies.clone()
        } else if path
            .starts_with("/v1.0/roleManagement/directory/roleDefinitions?$filter=displayName")
        {
            vec![json!({ "id": "dsa", "displayName": "Directory Synchronization Accounts" })]
        } else if let Some(rest) = path.strip_prefix("/v1.0/roleManagement/directory/") {
            let (kind, role) = rest.split_once("?$filter=roleDefinitionId%20eq%20'")?;
            let role = role.split('\'').next()?;
            let eligible = kind == "roleEligibilityScheduleInstances";
            let holders: Vec<&String> = match role {
                ADMINISTRATOR => {
                    let of = |one: &'_ Account| {
                        if eligible {
                            one.role.1.clone()
                        } else {
                            one.role.0.clone()
                        }
                    };
                    return Some(principals(self.accounts.iter().flat_map(of)));
                }
                GLOBAL if !eligible => {
                    let held = self.accounts.iter().filter(|one| one.global);
                    return Some(principals(held.map(Account::id)));
                }
                "dsa" if !eligible => {
                    let by_role = self.applications.iter().filter(|one| one.by_role);
                    let all = self.sync_accounts.iter();
                    all.chain(by_role.map(|one| &one.id)).collect()
                }
                _ => Vec::new(),
            };
            principals(holders.into_iter().cloned())
        } else if let Some(rest) = path.strip_prefix("/v1.0/users/") {
            let (name, _) = rest.split_once("/transitiveMemberOf")?;
            let account = self.accounts.iter().find(|one| one.id() == name)?;
            account
                .groups
                .iter()
                .map(|id| json!({ "id": id }))
                .collect()
        } else {
            let rest = path.strip_prefix("/beta/servicePrincipals/sp-")?;
            let (at, rest) = rest.split_once("/synchronization/")?;
            // What stood before the token of a next page.
            let rest = rest.trim_end_matches('?');
            let (name, success, quarantined) =
                self.configurations.get(at.parse::<usize>().ok()?)?;
            if rest == "secrets" {
                let secrets = match self.details.get(name) {
                    Some(details) => details.secrets.clone(),
                    None => vec![
                        (
                            "AppKey".to_owned(),
                            r#"{"appKeyScenario":"AD2AADProvisioning"}"#.to_owned(),
                        ),
                        ("Domain".to_owned(), json!({ "domain": name }).to_string()),
                        guard(true),
                    ],
                };
                let pair = |(key, value): &(String, String)| json!({ "key": key, "value": value });
                return Some(secrets.iter().map(pair).collect());
            }
            if rest != "jobs/" {
                return None;
            }
            let quarantine =
                quarantined.then(|| json!({ "reason": "EncounteredQuarantineException" }));
            let last = success
                .as_ref()
                .map(|at| json!({ "timeEnded": at, "state": "Succeeded" }));
            let code = self.statuses.get(name).map_or("Active", String::as_str);
            vec![
                json!({ "id": "AD2AADProvisioning.1", "templateId": "AD2AADProvisioning", "status": { "code": code, "quarantine": quarantine, "lastSuccessfulExecution": last } }),
            ]
        };
        Some(list)
    }

    /// An answer that is no list.
    fn item(&self, path: &str) -> Option<Value> {
        if path == "/v1.0/policies/identitySecurityDefaultsEnforcementPolicy" {
            return Some(json!({ "isEnabled": self.security_defaults }));
        }
        if let Some(rest) = path.strip_prefix("/v1.0/users/") {
            let (name, _) = rest.split_once("?$select=id,userPrincipalName")?;
            // Who is of no server is an application, and no user.
            let server = name.strip_prefix("server-");
            if let Some(server) =
                server.filter(|_| self.sync_accounts.iter().any(|one| one == name))
            {
                let user = format!("Sync_{server}_0a1b2c@contoso.onmicrosoft.com");
                return Some(json!({ "id": name, "userPrincipalName": user }));
            }
            let account = self.accounts.iter().find(|one| one.name == name)?;
            let kind = if account.guest { "Guest" } else { "Member" };
            return Some(
                json!({ "id": account.id(), "userPrincipalName": account.name, "userType": kind, "onPremisesSyncEnabled": account.synchronized.then_some(true) }),
            );
        }
        if let Some(rest) = path.strip_prefix(SYNCHRONIZATION) {
            let asked = self.has_connect && rest == "?$select=id,appRoles";
            let role = |(id, value): (&&str, &str)| json!({ "id": id, "value": value });
            let values = ["ADSynchronization.ReadWrite.All", "Something.Read.All"];
            let roles: Vec<Value> = APP_ROLES.iter().zip(values).map(role).collect();
            return asked.then(|| json!({ "id": "sp-sync", "appRoles": roles }));
        }
        if let Some(rest) = path.strip_prefix("/v1.0/servicePrincipals/") {
            let (name, _) = rest.split_once("?$select=id,displayName")?;
            if let Some(one) = self.applications.iter().find(|one| one.id == name) {
                return Some(json!({ "id": one.id, "displayName": one.name }));
            }
            let number = name.strip_prefix("app-")?;
            let holds = self.sync_accounts.iter().any(|one| one == name);
            return holds
                .then(|| json!({ "id": name, "displayName": format!("Connect {number}") }));
        }
        let rest = path.strip_prefix("/beta/servicePrincipals/sp-")?;
        let (at, _) = rest.split_once("/synchronization/jobs/AD2AADProvisioning.1/schema")?;
        let (name, ..) = self.configurations.get(at.parse::<usize>().ok()?)?;
        let units = self.details.get(name).map(|details| details.units.clone());
        let filter = units
            .filter(|units| !units.is_empty())
            .map(|units| json!({ "includedContainers": units }));
        Some(
            json!({ "synchronizationRules": [{ "name": "USER_INBOUND_USER", "containerFilter": filter, "groupFilter": null }] }),
        )
    }

    /// Status, more headers, and body of the answer to one request. `base` is how links to this service begin.
    pub fn answer(&mut self, path: &str, token: Option<&str>, base: &str) -> (u16, String, Value) {
        let no = |status, message: &str| {
            let body = json!({ "error": { "code": "no", "message": message } });
            (status, String::new(), body)
        };
        self.asked.push(path.to_owned());
        if token != Some(&self.token) {
            return no(401, "Access token is empty or not good.");
        }
        if let Some((status, headers)) = self.refusals.pop_front() {
            let body = json!({ "error": { "code": "notJustNow" } });
            return (status, headers, body);
        }
        if self.busy > 0 {
            self.busy -= 1;
            let body = json!({ "error": { "code": "TooManyRequests" } });
            return (429, "Retry-After: 0\r\n".to_owned(), body);
        }
        if self
            .forbidden
            .iter()
            .any(|part| path.contains(part.as_str()))
        {
            return no(403, "Insufficient privileges to complete the operation.");
        }
        let (plain, skip) = match path.split_once("$skiptoken=") {
            Some((plain, skip)) => (plain, skip.parse().unwrap_or(0)),
            None => (path, 0),
        };
        if let Some(item) = self.item(plain) {
            return (200, String::new(), item);
        }
        let Some(items) = self.items(plain) else {
            return no(404, "Resource not found.");
        };
        let page: Vec<Value> = items.iter().skip(skip).take(PAGE).cloned().collect();
        let mut body = json!({ "value": page });
        if skip + PAGE < items.len() {
            let plain = plain.trim_end_matches('&');
            let glue = if plain.contains('?') { '&' } else { '?' };
            let base = if self.leads_away {
                "https://graph.example"
            } else {
                base
            };
            body["@odata.nextLink"] =
                json!(format!("{base}{plain}{glue}$skiptoken={}", skip + PAGE));
        }
        (200, String::new(), body)
    }
}

fn principals(holders: impl Iterator<Item = String>) -> Vec<Value> {
    holders
        .map(|id| json!({ "principalId": id, "directoryScopeId": "/" }))
        .collect()
}

/// The secret by which a configuration guards against accidental deletes.
#[must_use]
pub fn guard(enabled: bool) -> (String, String) {
    let value = json!({ "Enabled": enabled, "Recipients": "ops@contoso.com", "DeleteThresholdEnabled": enabled, "DeleteThresholdValue": 500 });
    ("SyncNotificationSettings".to_owned(), value.to_string())
}

/// The whole answer of a request's head, as bytes.
#[must_use]
pub fn respond(tenant: &Mutex<Tenant>, head: &str, base: &str) -> Vec<u8> {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let token = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        let bearer = value.trim().strip_prefix("Bearer ")?;
        name.eq_ignore_ascii_case("authorization").then_some(bearer)
    });
    let mut tenant = tenant.lock().expect("nobody panics with it");
    let (status, headers, body) = tenant.answer(path, token, base);
    let body = body.to_string();
    format!(
        "HTTP/1.1 {status} x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{headers}Connection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A stand-in on loopback, in the clear, until the process ends.
#[derive(Debug, Clone)]
pub struct StandIn {
    /// Its port.
    pub port: u16,
    /// The tenant that it shows.
    pub tenant: Arc<Mutex<Tenant>>,
}

impl StandIn {
    /// Starts one.
    ///
    /// # Panics
    /// When there is no port.
    #[must_use]
    pub fn start(tenant: Tenant) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let tenant = Arc::new(Mutex::new(tenant));
        let own = Arc::clone(&tenant);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut head = String::new();
                let mut reader = BufReader::new(&mut stream);
                while !head.ends_with("\r\n\r\n") {
                    if reader.read_line(&mut head).unwrap_or(0) == 0 {
                        break;
                    }
                }
                let base = format!("http://127.0.0.1:{port}");
                drop(stream.write_all(&respond(&own, &head, &base)));
            }
        });
        Self { port, tenant }
    }
}
