//! Looks at the products beside whatever a run does: that they serve, that their services were started anew, and what the server is.

use std::sync::Arc;
use std::time::Duration;

use agent_core::procedure::{Complete, Cx, Flow, Next, Procedure, Want};
use agent_core::product;
use agent_core::step::facts;
use protocol::event::{Completion, Event};
use protocol::facts::{Facts, ProvisioningAgentFacts, ServiceState};
use protocol::step::Product;
use protocol::wire::latest::EventsUp;

use super::{Agent, Report};
use crate::exec::Secrets;

/// What a short look at the products shows.
#[derive(Debug)]
pub(super) struct Pulse {
    /// The provisioning agent serves.
    serving: bool,
    /// State of Connect's service; `None` where it could not be read.
    connect: Option<Option<ServiceState>>,
    /// How long the process of each product has run, where that could be read.
    ages: Vec<(Product, Option<Duration>)>,
    /// When that was, counted from the agent's beginning.
    at: Duration,
    /// How many sections were left when the look was begun.
    sections_left: u64,
}

impl Pulse {
    /// What the server told last of itself is no more so, as far as that could be read.
    fn differs(&self, last: &Facts) -> bool {
        let agent = last.provisioning_agent.as_ref();
        let serves = agent.is_some_and(ProvisioningAgentFacts::serves);
        let connect = last.connect.as_ref().and_then(|connect| connect.service);
        serves != self.serving || self.connect.is_some_and(|state| state != connect)
    }

    /// Nothing has left a section since it was begun: what was seen within one is of before its end, and another look is told for that.
    const fn is_of_now(&self, sections_left: u64) -> bool {
        self.sections_left == sections_left
    }
}

impl Agent {
    /// Looks at the products shortly, beside whatever a run does: nothing that takes time is asked.
    pub(super) fn pulse(&mut self) {
        if self.session.is_some() {
            self.prove(self.stored);
            self.renew_in_time();
            let (born, sections_left) = (self.born, self.sections_left);
            self.probe(move |cx| {
                let agent = facts::provisioning_agent(cx)?.found;
                let connect = cx.service(product::CONNECT_SERVICE)?.ok();
                let mut ages = Vec::new();
                for (product, service) in [
                    (Product::ProvisioningAgent, product::AGENT_SERVICE),
                    (Product::Connect, product::CONNECT_SERVICE),
                ] {
                    ages.extend(cx.service_age(service)?.ok().map(|age| (product, age)));
                }
                Ok(Report::Pulse(Pulse {
                    serving: agent.is_some_and(|agent| agent.serves()),
                    connect: connect.map(|service| service.map(|service| service.state)),
                    ages,
                    at: born.elapsed(),
                    sections_left,
                }))
            });
        }
    }

    /// Tells that the product serves. What the last facts say and is no more so is probed anew; that a service runs in another
    /// process is told, where no run has done that.
    pub(super) fn felt(&mut self, pulse: &Pulse) {
        let last = self.last_facts.as_ref();
        let differs = last.is_some_and(|last| pulse.differs(last));
        let mut anew = Vec::new();
        for (product, age) in &pulse.ages {
            // What a run restarts is told by its steps.
            if self.changes_nothing() && self.lives.look(*product, *age, pulse.at) {
                anew.push(*product);
            }
        }
        if differs || !anew.is_empty() {
            self.look_around();
        }
        for product in anew {
            tracing::warn!(target_name = %self.state.target, product = product.as_str(), "its service was started anew");
            self.journal(&Event::ServiceRestarted { product });
        }
        let tells = pulse.is_of_now(self.sections_left);
        if let Some(session) = self.session.as_ref().filter(|_| tells) {
            let serving = pulse.serving;
            drop(session.events.try_send(EventsUp::Pulse { serving }));
        }
    }

    /// Probes what the server is; it is reported where it is not what was reported last.
    pub(super) fn look_around(&mut self) {
        if self.changes_nothing() {
            self.probe(|cx| Ok(Report::Facts(Box::new(facts::probe(cx)?))));
        }
    }

    /// Drives a probe outside of any run and reports what it found.
    fn probe(&mut self, look: impl Fn(&mut Cx<'_>) -> Flow<Report> + Send + 'static) {
        let exec = Arc::clone(&self.exec);
        let host = self.host.clone();
        let reports = self.reports.0.clone();
        self.tasks.spawn(async move {
            let mut found = None;
            let mut procedure = Procedure::new(false);
            loop {
                let next = procedure.drive(&[], &host, |cx| {
                    found = Some(look(cx)?);
                    Ok(Complete::new(Completion::AlreadySo, ""))
                });
                let Next::Want(Want::Op(op)) = next else {
                    break;
                };
                procedure.add(exec.perform(&op, &Secrets::new()).await.0);
            }
            if let Some(report) = found {
                drop(reports.send(report).await);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use protocol::facts::{ConnectFacts, HostFacts};

    use super::*;

    fn pulse(serving: bool, connect: Option<Option<ServiceState>>) -> Pulse {
        Pulse {
            serving,
            connect,
            ages: Vec::new(),
            at: Duration::ZERO,
            sections_left: 2,
        }
    }

    /// A server whose agent is configured and does so, and where Connect's service does so.
    fn facts(agent: Option<ServiceState>, connect: Option<ServiceState>) -> Facts {
        Facts {
            simulated: true,
            agent_version: "0".to_owned(),
            host: HostFacts {
                os: "Windows".to_owned(),
                build: 20348,
                domain: None,
                domain_controller: false,
                reboot_pending: false,
            },
            provisioning_agent: Some(ProvisioningAgentFacts {
                version: Some("1.1.2505.0".parse().unwrap()),
                tenant: "3f0c8a4e-0000-0000-0000-000000000000".parse().ok(),
                service: agent,
                account: Some("A\\provAgentgMSA$".to_owned()),
                options: None,
                updater: None,
                owes_registration: None,
            }),
            connect: connect.map(|service| ConnectFacts {
                version: Some("2.6.92.0".parse().unwrap()),
                service: Some(service),
                staging: Some(true),
                cycle_enabled: Some(true),
                suspended: Some(false),
            }),
            unread: Vec::new(),
            console_open: false,
        }
    }

    #[test]
    fn a_short_look_differs_by_whether_the_agent_serves_and_by_the_state_of_connect() {
        const RUNS: Option<ServiceState> = Some(ServiceState::Running);
        const OFF: Option<ServiceState> = Some(ServiceState::Disabled);
        for (agent, connect, serving, read, differs) in [
            (RUNS, RUNS, true, Some(RUNS), false),
            (RUNS, RUNS, false, Some(RUNS), true),
            (OFF, RUNS, false, Some(RUNS), false),
            (OFF, RUNS, true, Some(RUNS), true),
            (RUNS, RUNS, true, Some(OFF), true),
            // It is there no more, or came.
            (RUNS, RUNS, true, Some(None), true),
            (RUNS, None, true, Some(RUNS), true),
            (RUNS, None, true, Some(None), false),
            // What could not be read is not otherwise.
            (RUNS, RUNS, true, None, false),
            (RUNS, RUNS, false, None, true),
        ] {
            let told = pulse(serving, read).differs(&facts(agent, connect));
            assert_eq!(told, differs, "{agent:?} {connect:?} {serving} {read:?}");
        }
    }

    #[test]
    fn what_was_seen_before_a_section_was_left_is_not_told_behind_it() {
        let look = pulse(true, None);
        assert!(look.is_of_now(2));
        assert!(!look.is_of_now(3));
    }
}
