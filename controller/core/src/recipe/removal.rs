//! A server that shall carry the provisioning agent no more: taken off, then looked at (product facts 1.12). The
//! directory's and the tenant's part is left to people, who are told.

use protocol::facts::Facts;
use protocol::signed::Phase;
use protocol::step::{RemoveProvisioningAgent, Step, VerifyProvisioningAgentRemoved};
use protocol::{DomainName, GmsaName, TargetId};

use crate::recipe::{Answer, PhaseWork, cloud_sync, unread};
use crate::topology::{AgentGroup, Tenant, Topology};

/// What is to be done on one retired server of a group.
#[must_use]
pub fn answer(
    topology: &Topology,
    group: &AgentGroup,
    tenant: &Tenant,
    host: &TargetId,
    facts: &Facts,
) -> Answer {
    if let Some(answer) = unread(facts) {
        return answer;
    }
    let verify = match verification(topology, group, host, facts) {
        Ok(steps) => PhaseWork {
            phase: Phase::Prove,
            steps,
            artifacts: Vec::new(),
        },
        Err(why) => return Answer::Nothing(why),
    };
    let Some(agent) = facts.provisioning_agent.as_ref() else {
        return Answer::Do {
            phases: vec![verify],
            why: vec!["it is retired, and no provisioning agent is there: verified".to_owned()],
            people: Vec::new(),
        };
    };
    // What nothing works of any more is asked once more whether something is listed: a removal may have been broken off.
    let gone = agent.is_removed();
    if let Some(other) = agent
        .tenant
        .as_ref()
        .filter(|other| **other != tenant.id && !gone)
    {
        return Answer::Nothing(format!(
            "refused: the agent on it is registered with another tenant, {other} (G9); it is retired in the topology of {}, which is not its own",
            tenant.id
        ));
    }
    let version = agent.version;
    let version = version.map_or_else(|| "of unknown version".to_owned(), |v| v.to_string());
    let remove = PhaseWork {
        phase: Phase::Remove,
        steps: vec![Step::RemoveProvisioningAgent(RemoveProvisioningAgent {
            tenant: tenant.id.clone(),
        })],
        artifacts: Vec::new(),
    };
    if gone {
        return Answer::Do {
            phases: vec![remove, verify],
            why: vec![
                "it is retired, and nothing of its provisioning agent works: what is still listed is taken off, and verified".to_owned(),
            ],
            people: Vec::new(),
        };
    }
    let mut people = vec![format!(
        "beforehand, whoever runs tenant {} makes sure that {host} serves nothing else (HR-driven or on-premises provisioning): Entrain sees no more of that than the ECMA Connector Host, which stops it (PF76)",
        tenant.id
    )];
    if let Some((account, home)) = account(topology, group, host, facts) {
        people.push(format!(
            "afterwards, the administrator of {home} takes {host} off those that may retrieve the password of {account}: entrain handover {home}"
        ));
    }
    if let Some((account, home)) = account(topology, group, host, facts) {
        people.push(format!(
            "afterwards, where no agent runs as {account} any more: the administrator of {home} takes away the account itself and the rights that it was given in each domain; the product leaves both"
        ));
    }
    if !group.may_fix.is_empty() {
        let words: Vec<&str> = group.may_fix.iter().map(|fix| fix.as_str()).collect();
        people.push(format!(
            "afterwards, where Entrain has set {} on {host}: entrain undo {host} puts back what it was",
            words.join(", ")
        ));
    }
    people.push(format!(
        "afterwards, where {host} itself goes: entrain agents revoke {host}"
    ));
    Answer::Do {
        phases: vec![remove, verify],
        why: vec![format!(
            "it is retired: the provisioning agent {version} is taken off, when those that stay serve its domains"
        )],
        people,
    }
}

/// What a verification of one retired server holds.
///
/// # Errors
/// A sentence that says why nothing can be asked.
pub fn verification(
    topology: &Topology,
    group: &AgentGroup,
    host: &TargetId,
    facts: &Facts,
) -> Result<Vec<Step>, String> {
    let home = cloud_sync::home_of(host, facts)?;
    let gmsa = account(topology, group, host, facts).map(|(name, _)| name);
    Ok(vec![Step::VerifyProvisioningAgentRemoved(
        VerifyProvisioningAgentRemoved {
            target: host.clone(),
            gmsa,
            home_domain: home,
        },
    )])
}

/// The gMSA that the agent runs as, as the server says, else as the topology has it; and its domain.
fn account(
    topology: &Topology,
    group: &AgentGroup,
    host: &TargetId,
    facts: &Facts,
) -> Option<(GmsaName, DomainName)> {
    let home = cloud_sync::home_of(host, facts).ok()?;
    let seen = facts.provisioning_agent.as_ref();
    let seen = seen.and_then(|agent| agent.account.as_deref());
    let seen = seen.and_then(GmsaName::of_account);
    let name = seen.or_else(|| cloud_sync::service_account(topology, group, &home))?;
    Some((name, home))
}
