//! Reads a tenant through Microsoft Graph (product facts 1.8), for whoever has a token: the command line asks, with a token
//! from standard input that goes nowhere else. Nothing is ever written to a tenant.
//!
//! It speaks HTTP/1.1 over TLS 1.3 or 1.2 to one host. An answer that sends on to another host is not followed.

mod accounts;
mod busy;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use busy::{Clock, PATIENCE, Pause, Real};
use bytes::Bytes;
use controller_core::tenant::access::{
    AGENTS, APPLICATIONS, DOMAINS, Need, ORGANIZATION, SYNCHRONIZATION,
};
use controller_core::tenant::{
    Configuration, Observation, Other, Part, TEMPLATE, Units, agents, domains, job_ids, jobs,
    organization, principals, secrets, units, whose,
};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::header::{AUTHORIZATION, HOST, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use protocol::{ProxyAddress, TenantId, Timestamp};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use busy::Next;

/// How long one answer may take.
const ANSWER: Duration = Duration::from_secs(60);

/// The largest answer, in bytes.
const MAX_ANSWER: usize = 8 << 20;

/// Pages of one list that are followed at most.
const MAX_PAGES: usize = 200;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum GraphError {
    /// There is no way to the host.
    #[error("no way to {host}")]
    Unreachable {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The proxy does not let it through.
    #[error("the proxy does not connect to {host}: {said}")]
    Proxy {
        /// The host.
        host: String,
        /// Its first line.
        said: String,
    },
    /// The trusted roots of this machine cannot be read.
    #[error("this machine has no trusted root certificates that could be read")]
    NoRoots,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// Nothing came in time.
    #[error("no answer within {} s", ANSWER.as_secs())]
    Late,
    /// The service said no.
    #[error("{status}: {said}")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its own words.
        said: String,
    },
    /// The service asks to wait longer than is waited.
    #[error(
        "{status}: {said}; the service asks to wait {} s more, and of the {} s that one reading waits in all {} s are left: read the tenant again later",
        pause.as_secs(), PATIENCE.as_secs(), left.as_secs()
    )]
    Busy {
        /// Its status.
        status: StatusCode,
        /// Its own words.
        said: String,
        /// How long it asks for.
        pause: Duration,
        /// How much patience is left.
        left: Duration,
    },
    /// What came is no JSON, or too long.
    #[error("the answer cannot be read: {0}")]
    Unreadable(String),
    /// The list goes on at another place.
    #[error("the list goes on at another host or without end; it was not followed")]
    Elsewhere,
}

/// Where the service is.
#[derive(Clone)]
enum Way {
    /// TLS to this host, through that proxy where there is one.
    Tls {
        connector: TlsConnector,
        name: ServerName<'static>,
        proxy: Option<ProxyAddress>,
    },
    /// A stand-in on this machine, for models.
    Loopback,
}

/// A client with one token.
pub struct Graph {
    /// `host:port`.
    authority: String,
    /// As it stands in links.
    base: String,
    way: Way,
    token: String,
    clock: Arc<dyn Clock>,
    /// How long may still be waited for a busy service.
    patience: Mutex<Duration>,
}

impl std::fmt::Debug for Graph {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Graph")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

/// The roots that this machine trusts.
///
/// # Errors
/// When there are none.
pub fn roots() -> Result<RootCertStore, GraphError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(GraphError::NoRoots);
    }
    Ok(roots)
}

impl Graph {
    /// The service at that host, by TLS under these roots.
    ///
    /// # Errors
    /// When the host is no name, or TLS cannot be set up.
    pub fn new(
        (host, port): (&str, u16),
        roots: RootCertStore,
        proxy: Option<ProxyAddress>,
        token: String,
    ) -> Result<Self, GraphError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let broken = |error: &dyn std::fmt::Display| GraphError::Broken(error.to_string());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| broken(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from(host.to_owned()).map_err(|error| broken(&error))?;
        let base = match port {
            443 => format!("https://{host}"),
            port => format!("https://{host}:{port}"),
        };
        Ok(Self {
            authority: format!("{host}:{port}"),
            base,
            way: Way::Tls {
                connector: TlsConnector::from(Arc::new(config)),
                name,
                proxy,
            },
            token,
            clock: Arc::new(Real),
            patience: Mutex::new(PATIENCE),
        })
    }

    /// The same with another clock to wait by.
    #[must_use]
    pub fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    /// A stand-in on this machine, in the clear; for models alone.
    #[must_use]
    pub fn loopback(port: u16, token: String) -> Self {
        Self {
            authority: format!("127.0.0.1:{port}"),
            base: format!("http://127.0.0.1:{port}"),
            way: Way::Loopback,
            token,
            clock: Arc::new(Real),
            patience: Mutex::new(PATIENCE),
        }
    }

    /// Everything of a tenant that this token may read; what it may not is told with the reason, and with the permission that it
    /// takes. `operator` is the account that is to sign in, where somebody named it.
    pub async fn observe(
        &self,
        tenant: &TenantId,
        operator: Option<&str>,
        at: Timestamp,
    ) -> Observation {
        *self.patience() = PATIENCE;
        let agents_path =
            "/beta/onPremisesPublishingProfiles/provisioning/agents?$expand=agentGroups";
        let path = "/v1.0/organization?$select=id,onPremisesSyncEnabled,onPremisesLastSyncDateTime";
        let answer = self.all(path, &ORGANIZATION).await;
        // A token of another tenant shows that tenant: nothing of it is taken for this one.
        if let Ok(Err(why @ Other(_))) = answer.as_ref().map(|answer| whose(answer, tenant)) {
            return Observation::unseen_all(tenant, at, &why.to_string());
        }
        Observation {
            tenant: tenant.clone(),
            at,
            organization: Part::read(answer, |answer| organization(answer, tenant)),
            agents: {
                let answer = self.all(agents_path, &AGENTS);
                Part::read(answer.await, agents)
            },
            configurations: self.configurations().await,
            domains: {
                let path = "/v1.0/domains?$select=id,isVerified";
                Part::read(self.all(path, &DOMAINS).await, domains)
            },
            ..self.accounts(tenant, operator, at).await
        }
    }

    /// The same of one answer about what may not be there: `None` where it is not.
    async fn perhaps(&self, path: &str, need: &Need) -> Option<Result<Value, String>> {
        match self.get(path).await {
            Err(GraphError::Refused {
                status: StatusCode::NOT_FOUND,
                ..
            }) => None,
            answer => Some(answer.map_err(|error| takes(error, need))),
        }
    }

    /// A whole list, or why it does not come and the permission that it takes.
    async fn all(&self, path: &str, need: &Need) -> Result<Value, String> {
        self.list(path).await.map_err(|error| takes(error, need))
    }

    /// The same of one answer.
    async fn one(&self, path: &str, need: &Need) -> Result<Value, String> {
        self.get(path).await.map_err(|error| takes(error, need))
    }

    async fn configurations(&self) -> Part<Vec<Configuration>> {
        let path = format!(
            "/v1.0/servicePrincipals?$filter=applicationTemplateId%20eq%20'{TEMPLATE}'&$select=id,displayName"
        );
        let found = Part::read(self.all(&path, &APPLICATIONS).await, principals);
        let found = match found {
            Part::Seen(found) => found,
            Part::NotSeen(why) => return Part::NotSeen(why),
        };
        let mut configurations = Vec::new();
        for (id, name) in found {
            // It becomes part of a path.
            configurations.push(if is_plain(&id) {
                self.configuration(&id, name).await
            } else {
                let none = || "its id is none".to_owned();
                Configuration {
                    name,
                    jobs: Part::NotSeen(none()),
                    domain: Part::NotSeen(none()),
                    guard: Part::NotSeen(none()),
                    units: Part::NotSeen(none()),
                }
            });
        }
        Part::Seen(configurations)
    }

    async fn configuration(&self, id: &str, name: String) -> Configuration {
        let need = &SYNCHRONIZATION;
        let base = format!("/beta/servicePrincipals/{id}/synchronization");
        let answer = self.all(&format!("{base}/jobs/"), need).await;
        let of_jobs = answer.as_ref().map_err(Clone::clone).and_then(job_ids);
        // Of what the secrets hold, its domain and its guard are read; nothing else leaves this function.
        let told = self.all(&format!("{base}/secrets"), need).await;
        let told = Part::read(told, secrets);
        let (domain, guard) = match told {
            Part::Seen(told) => {
                let domain = told.domain.map_or_else(
                    || Part::NotSeen("it has no secret Domain".to_owned()),
                    Part::Seen,
                );
                (domain, Part::Seen(told.guard))
            }
            Part::NotSeen(why) => (Part::NotSeen(why.clone()), Part::NotSeen(why)),
        };
        Configuration {
            name,
            jobs: Part::read(answer, jobs),
            domain,
            guard,
            units: match self.units(&base, of_jobs).await {
                Ok(units) => Part::Seen(units),
                Err(why) => Part::NotSeen(why),
            },
        }
    }

    /// What the jobs of a configuration that synchronize users take together.
    async fn units(&self, base: &str, jobs: Result<Vec<String>, String>) -> Result<Units, String> {
        let mut all = Units::Nothing;
        for job in jobs? {
            let plain = |sign: char| sign.is_ascii_alphanumeric() || "-._".contains(sign);
            if job.is_empty() || !job.chars().all(plain) {
                return Err("the id of its job is none".to_owned());
            }
            let path = format!("{base}/jobs/{job}/schema");
            let schema = self.one(&path, &SYNCHRONIZATION).await?;
            all = all.and(units(&schema)?);
        }
        Ok(all)
    }

    /// A whole list, over all its pages, as one answer.
    ///
    /// # Errors
    /// When a page does not come.
    pub async fn list(&self, path: &str) -> Result<Value, GraphError> {
        let mut items = Vec::new();
        let mut next = path.to_owned();
        for _ in 0..MAX_PAGES {
            let mut page = self.get(&next).await?;
            match page["value"].take() {
                Value::Array(more) => items.extend(more),
                Value::Null
                | Value::Bool(_)
                | Value::Number(_)
                | Value::String(_)
                | Value::Object(_) => return Err(GraphError::Unreadable("no list".to_owned())),
            }
            let Some(link) = page["@odata.nextLink"].as_str() else {
                return Ok(serde_json::json!({ "value": items }));
            };
            // The token goes to no other host.
            let rest = link.strip_prefix(&self.base);
            let rest = rest.filter(|rest| rest.starts_with('/'));
            next = rest.ok_or(GraphError::Elsewhere)?.to_owned();
        }
        Err(GraphError::Elsewhere)
    }

    /// One answer. A service that is busy is waited for as long as it says, within what is left of the patience.
    ///
    /// # Errors
    /// When it does not come.
    pub async fn get(&self, path: &str) -> Result<Value, GraphError> {
        let mut tried = 0;
        loop {
            tried += 1;
            let asked = tokio::time::timeout(ANSWER, self.ask(path)).await;
            let (status, headers, body) = asked.map_err(|_| GraphError::Late)??;
            let left = *self.patience();
            match busy::next(status, &headers, self.clock.now(), tried, left) {
                Next::Take => {}
                Next::Wait(pause) => {
                    *self.patience() = left.saturating_sub(pause);
                    if !pause.is_zero() {
                        let seconds = pause.as_secs();
                        tracing::warn!(%status, seconds, "Microsoft Graph asks to wait");
                    }
                    self.clock.sleep(pause).await;
                    continue;
                }
                Next::GiveUp(pause) => {
                    let said = words(&body);
                    return Err(GraphError::Busy {
                        status,
                        said,
                        pause,
                        left,
                    });
                }
            }
            if !status.is_success() {
                return Err(GraphError::Refused {
                    status,
                    said: words(&body),
                });
            }
            let read = serde_json::from_slice(&body);
            return read.map_err(|error| GraphError::Unreadable(error.to_string()));
        }
    }

    fn patience(&self) -> std::sync::MutexGuard<'_, Duration> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self, path: &str) -> Result<(StatusCode, HeaderMap, Bytes), GraphError> {
        let broken = |error: hyper::Error| GraphError::Broken(error.to_string());
        let stream = self.connect().await?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(broken)?;
        let request = Request::get(path)
            // The port of the scheme is left out: links in answers are made from this.
            .header(
                HOST,
                self.authority
                    .strip_suffix(":443")
                    .unwrap_or(&self.authority),
            )
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header("accept", "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|error| GraphError::Broken(error.to_string()))?;
        let answer = async {
            let response = sender.send_request(request).await.map_err(broken)?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| GraphError::Unreadable(error.to_string()))?;
            Ok((head.status, head.headers, body.to_bytes()))
        };
        // The connection moves as long as the answer is waited for, and ends with it.
        tokio::pin!(connection);
        tokio::pin!(answer);
        let ended = tokio::select! {
            biased;
            answer = &mut answer => return answer,
            ended = &mut connection => ended,
        };
        // What came in full counts, however the connection ended.
        match (answer.await, ended) {
            (Ok(answer), _) => Ok(answer),
            (Err(_), Err(error)) => Err(broken(error)),
            (Err(error), Ok(())) => Err(error),
        }
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, GraphError> {
        let unreachable = |host: &str| {
            let host = host.to_owned();
            move |source| GraphError::Unreachable { host, source }
        };
        let (connector, name, proxy) = match &self.way {
            Way::Loopback => {
                let stream = TcpStream::connect(&self.authority).await;
                let stream = stream.map_err(unreachable(&self.authority))?;
                return Ok(Box::new(stream));
            }
            Way::Tls {
                connector,
                name,
                proxy,
            } => (connector, name, proxy),
        };
        let first = match proxy {
            Some(proxy) => proxy.as_str().trim_start_matches("http://"),
            None => &self.authority,
        };
        let mut stream = TcpStream::connect(first)
            .await
            .map_err(unreachable(first))?;
        if proxy.is_some() {
            tunnel(&mut stream, &self.authority).await?;
        }
        let connected = connector.connect(name.clone(), stream).await;
        Ok(Box::new(connected.map_err(unreachable(&self.authority))?))
    }
}

/// A stream of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Has a proxy connect to the host.
async fn tunnel(stream: &mut TcpStream, authority: &str) -> Result<(), GraphError> {
    const MAX_HEAD: usize = 16 << 10;
    let broken = |error: std::io::Error| GraphError::Broken(error.to_string());
    let ask = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.map_err(broken)?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.map_err(broken)?;
        head.push(byte);
        if head.len() > MAX_HEAD {
            return Err(GraphError::Broken(
                "the proxy's answer does not end".to_owned(),
            ));
        }
    }
    let head = String::from_utf8_lossy(&head);
    let first = head.lines().next().unwrap_or_default();
    if first.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(GraphError::Proxy {
        host: authority.to_owned(),
        said: first.chars().take(120).collect(),
    })
}

/// Why an answer does not come; where it is refused, with the permission that it takes.
fn takes(error: GraphError, need: &Need) -> String {
    let refused = matches!(
        error,
        GraphError::Refused {
            status: StatusCode::FORBIDDEN,
            ..
        }
    );
    let why = protocol::causes(&error);
    if refused {
        return format!("{why} (it takes {})", need.permission);
    }
    why
}

/// Whether an id may become part of a path.
fn is_plain(id: &str) -> bool {
    let plain = |sign: char| sign.is_ascii_alphanumeric() || sign == '-';
    !id.is_empty() && id.chars().all(plain)
}

/// A name as it may stand in a path.
fn escaped(name: &str) -> String {
    let sign = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'@' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    };
    name.bytes().map(sign).collect()
}

/// What the service says of its refusal, short.
fn words(body: &[u8]) -> String {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = value["error"]["message"]
        .as_str()
        .or(value["error"]["code"].as_str());
    let said = said.unwrap_or("without a word");
    said.chars()
        .filter(|sign| !sign.is_control())
        .take(200)
        .collect()
}
