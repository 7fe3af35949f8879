//! A stand-in for Microsoft Graph that keeps state: it answers what Entrain asks, page by page, to whoever shows the right
//! token, and refuses what it is told to refuse (product facts 1.8).

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
    /// Lists go on at another host.
    pub leads_away: bool,
    /// Paths that were asked for.
    pub asked: Vec<String>,
}

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
        } else {
            let rest = path.strip_prefix("/beta/servicePrincipals/sp-")?;
            let (at, _) = rest.split_once("/synchronization/jobs/")?;
            let (_, success, quarantined) = self.configurations.get(at.parse::<usize>().ok()?)?;
            let quarantine =
                quarantined.then(|| json!({ "reason": "EncounteredQuarantineException" }));
            let last = success
                .as_ref()
                .map(|at| json!({ "timeEnded": at, "state": "Succeeded" }));
            vec![
                json!({ "id": "AD2AADProvisioning.1", "templateId": "AD2AADProvisioning", "status": { "code": "Active", "quarantine": quarantine, "lastSuccessfulExecution": last } }),
            ]
        };
        Some(list)
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
