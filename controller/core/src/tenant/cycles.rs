//! Whether cloud sync went through a cycle while its agent soaked, as the tenant tells it: nothing on the server does that is
//! documented. A job names the end of its last run that succeeded alone (`lastSuccessfulExecution`, product facts 1.8 [P], its
//! `timeEnded` [K]), so at least one cycle can be shown and none can be counted. A job is its domain's: which of the domain's agents did
//! the work is not told, since one works at a time (1.10 [P], contradictory).

use std::collections::BTreeSet;

use protocol::known::KE13;
use protocol::{DomainName, Timestamp};

use super::{Configuration, Job, Observation, Part, Seen};

/// What a tenant tells of the cycles of a soak, in words that name the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cycles {
    /// Nobody has looked into it since the soak began, or its jobs were not shown to whoever did before.
    NotSeen(String),
    /// It was read since then, and that shows none: a person is asked.
    Untold(String),
    /// The job of each domain has succeeded since the soak began.
    Seen(String),
}

impl Cycles {
    /// What it says.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::NotSeen(words) | Self::Untold(words) | Self::Seen(words) => words,
        }
    }

    /// What the newest reading of a tenant tells of a soak that began at `from` and whose look came at `to`, by the clocks of the
    /// controller, of whoever read, and of the tenant.
    #[must_use]
    pub fn of(
        seen: Option<&Seen>,
        domains: &BTreeSet<DomainName>,
        (from, to): (Timestamp, Timestamp),
    ) -> Self {
        let Some(Seen { observation, by }) = seen else {
            return Self::NotSeen("not seen in tenant: nobody has read it".to_owned());
        };
        let at = observation.at;
        match &observation.configurations {
            Part::NotSeen(why) if at < from => Self::NotSeen(format!(
                "not seen in tenant: when {by} read it at {at}, its jobs were not shown: {why}"
            )),
            // Whoever looked once is not on call for each soak: that asks for nothing more than no access at all.
            Part::Seen(_) if at < from => Self::NotSeen(format!(
                "not seen in tenant since it began to soak at {from}: {by} read it at {at} last"
            )),
            Part::NotSeen(why) => Self::Untold(format!(
                "when {by} read the tenant at {at}, its jobs were not shown: {why}"
            )),
            Part::Seen(_) if domains.is_empty() => {
                Self::Untold("which domains its agent serves is not known".to_owned())
            }
            Part::Seen(_) => {
                let told = domains
                    .iter()
                    .map(|domain| succeeded(observation, domain, (from, to)));
                let told: Result<Vec<String>, String> = told.collect();
                match told {
                    Ok(all) => Self::Seen(format!(
                        "as {by} read it in the tenant at {at}: {}",
                        all.join(", ")
                    )),
                    Err(why) => Self::Untold(format!("as {by} read the tenant at {at}: {why}")),
                }
            }
        }
    }
}

/// When the job of a domain has succeeded last, where that is since a soak began; or what is so.
fn succeeded(
    seen: &Observation,
    domain: &DomainName,
    (from, to): (Timestamp, Timestamp),
) -> Result<String, String> {
    let configuration: &Configuration = seen
        .configuration(domain)
        .ok_or_else(|| format!("no configuration of {domain} is there"))?;
    if let Part::NotSeen(why) = &configuration.jobs {
        return Err(format!("the jobs of {domain} were not shown: {why}"));
    }
    let job: &Job = seen
        .job(domain)
        .ok_or_else(|| format!("{domain} has no job that synchronizes users and groups"))?;
    if job.is_quarantined() {
        return Err(format!(
            "the job of {domain} is in quarantine; {}",
            KE13.sentence()
        ));
    }
    match job.last_success {
        None => Err(format!("the job of {domain} has never succeeded")),
        Some(last) if last < from => Err(format!(
            "the job of {domain} succeeded at {last} last, before it began to soak at {from}"
        )),
        // Only the last one is told, so a later reading cannot show those before.
        Some(last) if last > to => Ok(format!(
            "the job of {domain} succeeded at {last}, after the look at its end"
        )),
        Some(last) => Ok(format!("the job of {domain} succeeded at {last}")),
    }
}
