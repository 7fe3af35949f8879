//! The registration by a person at the wizard, whose end is seen.

use protocol::event::{Completion, GmsaChange, GmsaObject, Section};
use protocol::step::GuideProvisioningAgent;
use protocol::task;

use super::{
    Registered, broken_off, configured, elsewhere, enabled, made_good, registered, state_of,
};
use crate::procedure::{Complete, Cx, Flow, fail};
use crate::step::{controllers, facts, trouble};

/// Opens the wizard's pages as work for a person and watches for its end.
///
/// # Errors
/// While outcomes are missing, and when it fails.
pub fn guide(guide: &GuideProvisioningAgent, cx: &mut Cx<'_>) -> Flow<Complete> {
    if !broken_off(cx)? {
        return at_wizard(guide, false, cx);
    }
    let mut guide = guide.clone();
    guide.text.seen_by =
        task::unseen("cmdlets that were broken off have left what it would look for");
    let mut complete = at_wizard(&guide, true, cx)?;
    complete.summary.push_str(&made_good(cx)?);
    Ok(complete)
}

/// The same; where cmdlets were broken off before, no probe tells what they did from what the person does, who says when it is done.
fn at_wizard(guide: &GuideProvisioningAgent, unfinished: bool, cx: &mut Cx<'_>) -> Flow<Complete> {
    let gmsa = guide.gmsa.as_ref();
    let (state, agent) = registered(&guide.tenant, gmsa, cx)?;
    let changes_gmsa = guide.gmsa.is_none();
    match state {
        Registered::Yes(summary) if !unfinished => {
            if cx.resumed() && changes_gmsa {
                // The person at the wizard may have ended while no agent ran: what that did is told now.
                let change = told(guide, cx)?;
                cx.leave(Some(change))?;
            }
            return Ok(configured(Completion::AlreadySo, summary));
        }
        Registered::Elsewhere(other) => return elsewhere(&other),
        Registered::Yes(_) | Registered::No => {}
    }
    let Some(agent) = agent else {
        return fail("the provisioning agent is not installed");
    };
    if let Some(why) = enabled(&agent, "nobody was asked for anything", cx)? {
        return fail(why);
    }
    let object = GmsaObject {
        domain: guide.home_domain.clone(),
        name: guide.gmsa.clone(),
    };
    let after = cx.enter(Section {
        outage: agent.serves(),
        gmsa: changes_gmsa.then_some(object),
    })?;
    if let Some(change) = after {
        let (domain, preferred) = (&guide.home_domain, &guide.preferred_dcs);
        controllers::await_change(&change, domain, preferred, cx)?;
    }
    cx.task(&guide.text)?;
    let before = trouble::Before::now(cx)?;
    let look = |cx: &mut Cx<'_>| trouble::registration(&before, cx);
    let seen = trouble::watch(cx, look, |cx| {
        // In the middle of a wizard's work something may not be readable for a moment: it is looked at again.
        let agent = facts::provisioning_agent(cx)?.found;
        Ok(match state_of(&guide.tenant, gmsa, agent.as_ref()) {
            Registered::Yes(summary) if !unfinished => Some(Ok(summary)),
            Registered::Elsewhere(other) => Some(Err(other)),
            Registered::Yes(_) | Registered::No => None,
        })
    })?;
    // Where no probe looks, a person's word is the end of the same work.
    if changes_gmsa && (matches!(seen, Ok(Ok(_))) || unfinished && seen.is_err()) {
        let change = told(guide, cx)?;
        cx.leave(Some(change))?;
    }
    match seen {
        Ok(Ok(summary)) => Ok(configured(Completion::SeenDone, summary)),
        Ok(Err(other)) => elsewhere(&other),
        Err(by) => {
            let summary = format!("attested by {by}; no probe saw the registration");
            Ok(Complete::new(Completion::Attested { by }, summary))
        }
    }
}

/// What the person's work did to the gMSA object.
pub(super) fn told(guide: &GuideProvisioningAgent, cx: &mut Cx<'_>) -> Flow<GmsaChange> {
    let (domain, preferred) = (&guide.home_domain, &guide.preferred_dcs);
    controllers::gmsa_change(&guide.target, domain, preferred, cx)
}
