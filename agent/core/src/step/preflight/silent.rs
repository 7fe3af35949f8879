//! What a domain is not asked whose controllers take a connection and answer nothing: each probe that they would have been asked cannot be
//! told. One that is left out would read as one that there is not.

use protocol::event::Finding;
use protocol::step::{BothTools, Preflight, Product, ServedDomain};

use super::counted::{anchored, group_of, supported};
use super::directory::schema_of;
use crate::catalogue::{self, Probe};
use crate::procedure::Reading;

/// Why a domain is not asked.
#[derive(Debug)]
pub(super) enum Silent {
    /// None of its controllers is reached, which was said and stops the server.
    Reached,
    /// Their ports are open, and none answers: why.
    Answers(String),
}

/// A probe that no controller was there to answer.
pub(super) fn untold(probe: &Probe, why: &str) -> Finding {
    let nothing: Reading<()> = Err(why.to_owned());
    probe.judge_gently(nothing, |()| String::new(), |()| false)
}

/// What a domain would have been asked whose controllers answer nothing, apart from its part in the gMSA: each cannot be told.
pub(super) fn unanswered(
    preflight: &Preflight,
    domain: &ServedDomain,
    why: &str,
    findings: &mut Vec<Finding>,
) {
    forest_unanswered(preflight.product, domain, why, findings);
    if preflight.census {
        let holds = (preflight.product, preflight.database.is_some());
        size_unanswered(holds, why, findings);
    }
    let own = |both: &&BothTools| both.domain == domain.name;
    for both in preflight.both_tools.iter().filter(own) {
        findings.push(anchored(both, Err(why.to_owned())));
    }
}

/// What `forest` asks.
pub(super) fn forest_unanswered(
    product: Product,
    domain: &ServedDomain,
    why: &str,
    findings: &mut Vec<Finding>,
) {
    findings.push(schema_of(product, domain, Err(why.to_owned())));
    let asked: &[&Probe] = match product {
        Product::ProvisioningAgent => &[&catalogue::PF59, &catalogue::PF48],
        Product::Connect => &[
            &catalogue::PF59,
            &catalogue::PF47,
            &catalogue::PF55,
            &catalogue::PF56,
        ],
    };
    findings.extend(asked.iter().map(|probe| untold(probe, why)));
}

/// What `size` asks.
pub(super) fn size_unanswered(
    (product, full): (Product, bool),
    why: &str,
    findings: &mut Vec<Finding>,
) {
    let mut objects = untold(&catalogue::PF58, why);
    supported((product, full), &mut objects);
    findings.push(objects);
    if product == Product::ProvisioningAgent {
        findings.push(group_of(Err(why.to_owned())));
    }
    findings.push(untold(&catalogue::PF57, why));
}
