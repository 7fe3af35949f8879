//! One procedure per kind of step. Each begins with the probe that tells *applied*, *not applied* or *cannot tell*; only
//! *not applied* lets it act, and after the act the probe is asked again.

pub mod connect;
pub mod facts;
pub mod preflight;
pub mod provisioning_agent;

use protocol::event::Completion;
use protocol::step::Step;

use crate::procedure::{Complete, Cx, Flow};

/// Carries out one step.
///
/// # Errors
/// While it waits, and when it fails or cannot tell.
pub fn perform(step: &Step, cx: &mut Cx<'_>) -> Flow<Complete> {
    match step {
        Step::ReportFacts => {
            let facts = facts::probe(cx)?;
            cx.note_facts(&facts)?;
            Ok(Complete::new(
                Completion::AlreadySo,
                facts::describe(&facts),
            ))
        }
        Step::Preflight(preflight) => preflight::check(preflight, cx),
        Step::InstallProvisioningAgent(install) => provisioning_agent::install(install, cx),
        Step::RegisterProvisioningAgent(register) => provisioning_agent::register(register, cx),
        Step::GuideProvisioningAgent(guide) => provisioning_agent::guide(guide, cx),
        Step::VerifyProvisioningAgent(verify) => provisioning_agent::verify(verify, cx),
        Step::StageConnect(stage) => connect::stage(stage, cx),
        Step::GuideConnect(guide) => connect::guide(guide, cx),
        Step::VerifyConnect(verify) => connect::verify(verify, cx),
    }
}
