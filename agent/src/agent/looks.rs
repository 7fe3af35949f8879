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
        let serves = |facts: &Facts| {
            let agent = facts.provisioning_agent.as_ref();
            agent.is_some_and(ProvisioningAgentFacts::serves)
        };
        let connect = |facts: &Facts| facts.connect.as_ref().and_then(|connect| connect.service);
        let differs = last.is_some_and(|facts| {
            let read = pulse.connect;
            serves(facts) != pulse.serving || read.is_some_and(|state| state != connect(facts))
        });
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
        // What was seen within a section is of before its end, and another look is told for that.
        let within = pulse.sections_left != self.sections_left;
        if let Some(session) = self.session.as_ref().filter(|_| !within) {
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
