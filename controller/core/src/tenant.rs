//! What a tenant shows of itself, as somebody with a token of theirs read it from Microsoft Graph (product facts 1.8, 5, 6):
//! agents, configurations with their jobs, domains, the last synchronization. It is an observation with its time and its
//! reader, never the controller's own knowledge: what is not seen there is *not seen in tenant*. Some names of fields are
//! general knowledge and unverified (`[K]` in the sheet); an answer of another shape is *not seen*, with the reason.

pub mod access;
mod account;
mod cycles;
mod held;
mod identity;
mod kept;
mod left_over;
mod listed;
mod probes;

pub use account::{
    ADMINISTRATOR, Account, ConnectAccount, GLOBAL, Held, NoUsers, Policy, SyncAccounts,
    application, connect_account, ids, members, policies, role_id, security_defaults, user,
};
pub use cycles::Cycles;
pub use held::{Remark, beside, held};
pub use identity::{
    Application, Identity, Let, SYNCHRONIZATION, SYNCHRONIZES, app_role, assigned,
    server_of_application,
};
pub use kept::{Earlier, Kept, Read};
pub use left_over::left_over;
pub use probes::{Probed, Wants, WantsConnect, findings, sentence, stops};

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use protocol::event::Grade;
use protocol::{DomainName, TargetId, TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::beyond;

/// The application template of cloud sync's configurations (1.8 [P]).
pub const TEMPLATE: &str = "1a4721b3-e57f-4451-ae87-ef078703ec94";

/// The job that synchronizes users and groups (1.8 [P]).
const JOB: &str = "AD2AADProvisioning";

/// A cycle runs every two minutes (1.10 [P]); after so long without a success something is wrong (PV14).
const LATE: Duration = Duration::from_secs(15 * 60);

/// A cycle of Connect runs every half hour (2.12 [P]); after so long without one something is wrong (PV36).
const CONNECT_LATE: Duration = Duration::from_secs(35 * 60);

/// A part of what was asked: seen, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part<T> {
    /// What came.
    Seen(T),
    /// Why nothing came.
    NotSeen(String),
}

impl<T> Part<T> {
    /// What came.
    #[must_use]
    pub const fn seen(&self) -> Option<&T> {
        match self {
            Self::Seen(seen) => Some(seen),
            Self::NotSeen(_) => None,
        }
    }

    /// What could be read of an answer.
    pub fn read<E: ToString>(
        answer: Result<Value, E>,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Self {
        match answer {
            Ok(value) => read(&value).map_or_else(
                |why| Self::NotSeen(format!("the answer cannot be read: {why}")),
                Self::Seen,
            ),
            Err(why) => Self::NotSeen(why.to_string()),
        }
    }
}

/// A provisioning agent in the tenant's list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentSeen {
    /// Name of its machine, as the tenant has it.
    pub machine: String,
    /// Its status, as the tenant words it.
    pub status: String,
}

impl AgentSeen {
    /// The tenant calls it active.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status.eq_ignore_ascii_case("active")
    }

    /// Its machine is that server, by its name.
    #[must_use]
    pub fn is(&self, target: &TargetId) -> bool {
        beyond::is(&self.machine, target)
    }
}

/// A job of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its template.
    pub template: String,
    /// `status.code`.
    pub status: String,
    /// `status.quarantine` is there: most of its calls fail.
    pub quarantined: bool,
    /// End of the last run that succeeded.
    pub last_success: Option<Timestamp>,
}

/// How a job does. Its status goes before what it did before: one that was stopped may have succeeded a minute ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health<'a> {
    /// It has succeeded lately.
    Runs(Timestamp),
    /// Most of its calls fail.
    Quarantined,
    /// It is not at work: its status.
    Stopped(&'a str),
    /// It is at work, and has not succeeded lately.
    Late,
    /// Its status is none that is known here.
    Untold(&'a str),
}

impl Job {
    /// It is in quarantine, by its status or by what stands beside that.
    fn is_quarantined(&self) -> bool {
        self.quarantined || self.status.eq_ignore_ascii_case("quarantine")
    }

    /// Its status, where that is of a job that somebody stopped or nobody started.
    fn stopped(&self) -> Option<&str> {
        // "disabled" is what the vendor's pages call a configuration whose jobs were never started (3, the migration tool [P]).
        const STOPPED: [&str; 4] = ["paused", "notconfigured", "notrun", "disabled"];
        let status = self.status.to_lowercase();
        STOPPED
            .contains(&status.as_str())
            .then_some(self.status.as_str())
    }

    /// How it does at a time. `status.code` is documented ([P], 1.8), its values are general knowledge ([K]).
    fn health(&self, now: Timestamp) -> Health<'_> {
        let late = |at: &Timestamp| now.since(*at) > LATE;
        if self.is_quarantined() {
            Health::Quarantined
        } else if let Some(status) = self.stopped() {
            Health::Stopped(status)
        } else if !self.status.eq_ignore_ascii_case("active") {
            Health::Untold(&self.status)
        } else {
            let last = self.last_success.filter(|at| !late(at));
            last.map_or(Health::Late, Health::Runs)
        }
    }
}

impl Configuration {
    /// Whether it is of that domain: by its own word, else by its name, which the portal gives it after the domain.
    #[must_use]
    pub fn is_of(&self, domain: &DomainName) -> bool {
        let name = self.domain.seen().unwrap_or(&self.name);
        name.eq_ignore_ascii_case(domain.as_str())
    }

    /// Its jobs that are at work, as its tenant was read at that time, succeeding or not. What a job's status does not tell for sure is not
    /// counted.
    pub fn at_work(&self, read_at: Timestamp) -> impl Iterator<Item = &Job> {
        let jobs = self.jobs.seen().into_iter().flatten();
        // One that was stopped in quarantine calls nothing any more, whatever is left of that beside its status.
        jobs.filter(move |job| match job.health(read_at) {
            Health::Quarantined => job.stopped().is_none(),
            Health::Runs(_) | Health::Late => true,
            Health::Stopped(_) | Health::Untold(_) => false,
        })
    }
}

/// Which objects of its domain a configuration takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Units {
    /// None: it has no job that would.
    Nothing,
    /// All of them.
    Whole,
    /// Those of these organizational units, by their distinguished names.
    Named(BTreeSet<String>),
    /// Members of groups, wherever they lie.
    Groups,
}

impl Units {
    /// What two jobs take together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Groups, _) | (_, Self::Groups) => Self::Groups,
            (Self::Whole, _) | (_, Self::Whole) => Self::Whole,
            (Self::Nothing, one) | (one, Self::Nothing) => one,
            (Self::Named(mut all), Self::Named(more)) => {
                all.extend(more);
                Self::Named(all)
            }
        }
    }
}

/// The guard against accidental deletes of a configuration (secret `SyncNotificationSettings`, 1.8 [P]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// `Enabled` and `DeleteThresholdEnabled`.
    pub enabled: bool,
    /// `DeleteThresholdValue`.
    pub threshold: Option<u64>,
}

/// What a configuration's secrets tell. Nothing else of them is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secrets {
    /// Its domain (secret `Domain`).
    pub domain: Option<String>,
    /// Its guard; `None` where nothing is set.
    pub guard: Option<Guard>,
}

/// A configuration of cloud sync.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// Its name: the portal names it after the domain.
    pub name: String,
    /// Its jobs.
    pub jobs: Part<Vec<Job>>,
    /// The domain that it is of.
    #[serde(default = "not_asked")]
    pub domain: Part<String>,
    /// Its guard against accidental deletes; `None` where nothing is set.
    #[serde(default = "not_asked")]
    pub guard: Part<Option<Guard>>,
    /// What it takes of its domain.
    #[serde(default = "not_asked")]
    pub units: Part<Units>,
}

/// What stands in the log from before it was asked for.
fn not_asked<T>() -> Part<T> {
    Part::NotSeen("it was not asked for".to_owned())
}

/// What the tenant says of directory synchronization as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organization {
    /// `onPremisesSyncEnabled`; a tenant that never had it says nothing, which counts as off.
    pub sync_enabled: bool,
    /// `onPremisesLastSyncDateTime`.
    pub last_sync: Option<Timestamp>,
}

/// A domain of the tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainSeen {
    /// Its name, in lower case.
    pub name: String,
    /// It is verified.
    pub verified: bool,
}

/// What a tenant showed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// Which tenant.
    pub tenant: TenantId,
    /// When it was asked, by the clock of whoever asked.
    pub at: Timestamp,
    /// Its provisioning agents.
    pub agents: Part<Vec<AgentSeen>>,
    /// Its configurations of cloud sync.
    pub configurations: Part<Vec<Configuration>>,
    /// Its synchronization as a whole.
    pub organization: Part<Organization>,
    /// Its domains.
    pub domains: Part<Vec<DomainSeen>>,
    /// The account that is to sign in.
    #[serde(default = "not_asked")]
    pub operator: Part<Account>,
    /// Accounts of Connect servers.
    #[serde(default = "not_asked")]
    pub sync_accounts: Part<SyncAccounts>,
    /// Which of them are users, and the servers that they name.
    #[serde(default = "not_asked")]
    pub connect_accounts: Part<Vec<ConnectAccount>>,
    /// Which of them are applications, by their names.
    #[serde(default = "not_asked")]
    pub applications: Part<Vec<String>>,
    /// Applications that were given the app role by which Connect synchronizes, whether or not they hold that role.
    #[serde(default = "not_asked")]
    pub assigned: Part<Vec<Application>>,
    /// Which of these parts an earlier reading saw and this one did not. Whoever reads sends none: what is kept is decided where readings
    /// are taken up.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub earlier: Earlier,
}

/// An observation and who brought it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// What was seen.
    pub observation: Observation,
    /// Who read it.
    pub by: String,
}

/// Tenants as they were last read.
pub type Tenants = BTreeMap<TenantId, Seen>;

fn text(value: &Value, name: &str) -> Result<String, String> {
    let text = value[name].as_str();
    text.map(ToOwned::to_owned)
        .ok_or_else(|| format!("no {name}"))
}

fn time(value: &Value) -> Option<Timestamp> {
    let at: jiff::Timestamp = value.as_str()?.parse().ok()?;
    // Graph's way to say "never".
    let millis = at.as_millisecond();
    (millis > 0).then(|| Timestamp::from_millis(millis))
}

fn all<T>(value: &Value, read: impl Fn(&Value) -> Result<T, String>) -> Result<Vec<T>, String> {
    let items = value["value"].as_array().ok_or("no list")?;
    items.iter().map(read).collect()
}

/// The agents of an answer to `onPremisesPublishingProfiles/provisioning/agents`.
///
/// # Errors
/// What it lacks.
pub fn agents(answer: &Value) -> Result<Vec<AgentSeen>, String> {
    all(answer, |agent| {
        Ok(AgentSeen {
            machine: text(agent, "machineName")?,
            status: text(agent, "status")?,
        })
    })
}

/// Ids and names of the configurations of an answer to `servicePrincipals`.
///
/// # Errors
/// What it lacks.
pub fn principals(answer: &Value) -> Result<Vec<(String, String)>, String> {
    all(answer, |principal| {
        Ok((text(principal, "id")?, text(principal, "displayName")?))
    })
}

/// The jobs of an answer to `synchronization/jobs`.
///
/// # Errors
/// What it lacks.
pub fn jobs(answer: &Value) -> Result<Vec<Job>, String> {
    all(answer, |job| {
        let status = &job["status"];
        Ok(Job {
            template: text(job, "templateId")?,
            status: text(status, "code")?,
            quarantined: !status["quarantine"].is_null(),
            last_success: time(&status["lastSuccessfulExecution"]["timeEnded"]),
        })
    })
}

/// Ids of the jobs of an answer to `synchronization/jobs` that synchronize users and groups.
///
/// # Errors
/// What it lacks.
pub fn job_ids(answer: &Value) -> Result<Vec<String>, String> {
    let all = all(answer, |job| {
        Ok((text(job, "templateId")?, text(job, "id")?))
    })?;
    let own = all.into_iter().filter(|(template, _)| template == JOB);
    Ok(own.map(|(_, id)| id).collect())
}

/// What an answer to `synchronization/secrets` tells: pairs of `key` and `value`, values being JSON texts (1.8 [P]).
///
/// # Errors
/// What it lacks.
pub fn secrets(answer: &Value) -> Result<Secrets, String> {
    let pairs = all(answer, |pair| {
        Ok((text(pair, "key")?, pair["value"].clone()))
    })?;
    let read = |name: &str| -> Result<Option<Value>, String> {
        let Some((_, value)) = pairs.iter().find(|(key, _)| key == name) else {
            return Ok(None);
        };
        // The service may keep a value to itself.
        let value = value.as_str().filter(|text| !text.is_empty());
        let value = value.ok_or_else(|| format!("{name} is not shown"))?;
        let value = serde_json::from_str(value).map_err(|_| format!("{name} is no JSON"))?;
        Ok(Some(value))
    };
    let domain = match read("Domain")? {
        Some(value) => Some(text(&value, "domain")?.to_lowercase()),
        None => None,
    };
    let guard = read("SyncNotificationSettings")?.map(|value| Guard {
        enabled: value["Enabled"] == true && value["DeleteThresholdEnabled"] == true,
        threshold: value["DeleteThresholdValue"].as_u64(),
    });
    Ok(Secrets { domain, guard })
}

/// What an answer to a job's `schema` says of its scope: `containerFilter` and `groupFilter` of its rules ([K]; one that names
/// neither is not read as "everything").
///
/// # Errors
/// What it lacks.
pub fn units(schema: &Value) -> Result<Units, String> {
    let rules = schema["synchronizationRules"].as_array();
    let rules = rules.filter(|rules| !rules.is_empty());
    let mut named = BTreeSet::new();
    let (mut whole, mut groups) = (false, false);
    for rule in rules.ok_or("no synchronizationRules")? {
        let filter = |name: &str, list: &str| -> Result<Vec<String>, String> {
            match rule.get(name) {
                None => Err(format!("a rule has no {name}")),
                Some(Value::Null) => Ok(Vec::new()),
                Some(filter) => {
                    let listed = filter[list]
                        .as_array()
                        .ok_or_else(|| format!("no {list}"))?;
                    let text = |one: &Value| one.as_str().map(ToOwned::to_owned);
                    let texts: Option<Vec<String>> = listed.iter().map(text).collect();
                    texts.ok_or_else(|| format!("{list} in another form"))
                }
            }
        };
        let units = filter("containerFilter", "includedContainers")?;
        groups |= !filter("groupFilter", "includedGroups")?.is_empty();
        whole |= units.is_empty();
        named.extend(units);
    }
    Ok(if groups {
        Units::Groups
    } else if whole {
        Units::Whole
    } else {
        Units::Named(named)
    })
}

/// It is another tenant's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the token is of tenant {0}")]
pub struct Other(pub String);

/// Whether an answer to `organization` is of that tenant; one that does not say counts as that.
///
/// # Errors
/// When it names another.
pub fn whose(answer: &Value, tenant: &TenantId) -> Result<(), Other> {
    match answer["value"][0]["id"].as_str() {
        Some(id) if !id.eq_ignore_ascii_case(tenant.as_str()) => Err(Other(id.to_owned())),
        Some(_) | None => Ok(()),
    }
}

/// The organization of an answer to `organization`.
///
/// # Errors
/// When it is another tenant's, or what it lacks.
pub fn organization(answer: &Value, tenant: &TenantId) -> Result<Organization, String> {
    let found = all(answer, |one| {
        let organization = Organization {
            sync_enabled: one["onPremisesSyncEnabled"].as_bool().unwrap_or(false),
            last_sync: time(&one["onPremisesLastSyncDateTime"]),
        };
        Ok((text(one, "id")?, organization))
    })?;
    let mut found = found.into_iter();
    match found.next() {
        Some((id, organization)) if id.eq_ignore_ascii_case(tenant.as_str()) => Ok(organization),
        Some((id, _)) => Err(format!("it is of tenant {id}")),
        None => Err("no organization".to_owned()),
    }
}

/// The domains of an answer to `domains`.
///
/// # Errors
/// What it lacks.
pub fn domains(answer: &Value) -> Result<Vec<DomainSeen>, String> {
    all(answer, |domain| {
        Ok(DomainSeen {
            name: text(domain, "id")?.to_lowercase(),
            verified: domain["isVerified"].as_bool().ok_or("no isVerified")?,
        })
    })
}

/// How a domain stands in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suffix {
    /// Users may sign in with names of it.
    Verified,
    /// It was added and is not verified.
    NotVerified,
    /// It was never added.
    NotAdded,
}

impl Observation {
    /// Nothing was seen, for one reason.
    #[must_use]
    pub fn unseen_all(tenant: &TenantId, at: Timestamp, why: &str) -> Self {
        Self {
            tenant: tenant.clone(),
            at,
            agents: Part::NotSeen(why.to_owned()),
            configurations: Part::NotSeen(why.to_owned()),
            organization: Part::NotSeen(why.to_owned()),
            domains: Part::NotSeen(why.to_owned()),
            operator: Part::NotSeen(why.to_owned()),
            sync_accounts: Part::NotSeen(why.to_owned()),
            connect_accounts: Part::NotSeen(why.to_owned()),
            applications: Part::NotSeen(why.to_owned()),
            assigned: Part::NotSeen(why.to_owned()),
            earlier: Earlier::new(),
        }
    }

    /// How a domain stands in the tenant, by itself or by one above it: a verified domain brings its subdomains along.
    #[must_use]
    pub fn suffix(&self, domain: &DomainName) -> Option<Suffix> {
        let domains = self.domains.seen()?;
        let parsed = |seen: &DomainSeen| seen.name.parse::<DomainName>().ok();
        let above = |seen: &&DomainSeen| parsed(seen).is_some_and(|name| domain.is_within(&name));
        if domains.iter().any(|seen| seen.verified && above(&seen)) {
            return Some(Suffix::Verified);
        }
        let own = domains.iter().any(|seen| seen.name == domain.as_str());
        Some(if own {
            Suffix::NotVerified
        } else {
            Suffix::NotAdded
        })
    }

    /// When its synchronization as a whole was seen.
    #[must_use]
    pub fn organization_seen(&self) -> Timestamp {
        self.seen_at(Kept::Organization)
    }

    /// A synchronization at that time lies no further back than Connect's pace allows, by when the tenant's synchronization was seen.
    fn is_lately(&self, synchronized: Timestamp) -> bool {
        self.organization_seen().since(synchronized) <= CONNECT_LATE
    }

    /// A job of cloud sync has succeeded, or was not shown. Whether cloud sync moves the time of a tenant's last synchronization too is
    /// not documented.
    fn cloud_sync_may_have_run(&self) -> bool {
        let ran = |one: &Configuration| {
            let jobs = one.jobs.seen();
            jobs.is_none_or(|jobs| jobs.iter().any(|job| job.last_success.is_some()))
        };
        let configurations = self.configurations.seen();
        configurations.is_none_or(|all| all.iter().any(ran))
    }

    fn configuration(&self, domain: &DomainName) -> Option<&Configuration> {
        let configurations = self.configurations.seen()?;
        configurations.iter().find(|one| one.is_of(domain))
    }

    fn job(&self, domain: &DomainName) -> Option<&Job> {
        let jobs = self.configuration(domain)?.jobs.seen()?;
        jobs.iter().find(|job| job.template == JOB)
    }

    fn is_healthy(&self, domain: &DomainName) -> bool {
        self.job(domain).is_some_and(|job| self.runs(job))
    }

    fn runs(&self, job: &Job) -> bool {
        matches!(job.health(self.at), Health::Runs(_))
    }

    /// How many of the jobs that synchronize users and groups ran lately.
    #[must_use]
    pub fn jobs_in_words(&self) -> String {
        let at = self.at;
        let configurations = match &self.configurations {
            Part::Seen(configurations) => configurations,
            Part::NotSeen(why) => return format!("its jobs could not be read at {at}: {why}"),
        };
        let unread = configurations
            .iter()
            .filter(|one| one.jobs.seen().is_none())
            .count();
        let jobs = configurations.iter().filter_map(|one| one.jobs.seen());
        let jobs = jobs.flatten().filter(|job| job.template == JOB);
        let (all, run) = jobs.fold((0, 0), |(all, run), job| {
            (all + 1, run + usize::from(self.runs(job)))
        });
        let more = match unread {
            0 => String::new(),
            many => format!(", and {many} configurations did not tell theirs"),
        };
        format!("of its {all} jobs {run} have run lately, as read at {at}{more}")
    }

    /// The grade that the tenant shows for a server that serves these domains: *active*, and *syncing* where the job of each
    /// of them succeeded lately.
    #[must_use]
    pub fn grade(
        &self,
        target: &TargetId,
        all: &BTreeSet<&TargetId>,
        domains: Option<&BTreeSet<DomainName>>,
    ) -> Option<Grade> {
        self.agent(target, all).filter(|agent| agent.is_active())?;
        let syncing = domains.is_some_and(|domains| {
            !domains.is_empty() && domains.iter().all(|domain| self.is_healthy(domain))
        });
        Some(if syncing {
            Grade::Syncing
        } else {
            Grade::ActiveInTenant
        })
    }
}
