//! Logs for whoever supports the product.

use protocol::facts::Facts;
use protocol::signed::Phase;
use protocol::step::{CollectSupport, Step};

use crate::recipe::{Answer, PhaseWork};
use crate::topology::Tenant;

/// Has the provisioning agent's own tools collect their logs on one host.
pub(crate) fn answer(tenant: &Tenant, facts: &Facts) -> Answer {
    let agent = facts.provisioning_agent.as_ref();
    match agent.and_then(|agent| agent.tenant.as_ref()) {
        None => Answer::Nothing("no registered provisioning agent is on it".to_owned()),
        Some(other) if *other != tenant.id => Answer::Nothing(format!(
            "refused: the agent on it is registered with another tenant, {other} (G9)"
        )),
        Some(_) => Answer::Do {
            phases: vec![PhaseWork {
                phase: Phase::Inspect,
                steps: vec![Step::CollectSupport(CollectSupport {
                    tenant: tenant.id.clone(),
                })],
                artifacts: Vec::new(),
            }],
            why: vec![
                "the product's own tools collect its logs of the last day into a file on the server; nothing of the product is changed"
                    .to_owned(),
            ],
            people: vec![
                "afterwards, an administrator of the server fetches the file: people's data are in it, so that it stays there".to_owned(),
            ],
        },
    }
}
