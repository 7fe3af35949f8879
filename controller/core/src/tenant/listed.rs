//! Which entry of a tenant's list of agents is a server's: one that several servers or several entries could be meant by is told as that,
//! and never as "none".

use std::collections::BTreeSet;

use protocol::TargetId;

use super::{AgentSeen, Observation};

/// How a tenant lists the agent of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Listed<'a> {
    /// By no entry.
    Absent,
    /// By this one.
    Once(&'a AgentSeen),
    /// By several that are active.
    Several(Vec<&'a AgentSeen>),
    /// By one whose name could be each of these servers'.
    Shared(&'a AgentSeen, Vec<&'a TargetId>),
}

impl<'a> Listed<'a> {
    /// The entry, where that is clear.
    pub(crate) fn once(&self) -> Option<&'a AgentSeen> {
        match self {
            Self::Once(agent) => Some(agent),
            Self::Absent | Self::Several(_) | Self::Shared(..) => None,
        }
    }

    /// Why it is not clear which entry is the server's; none where it is.
    pub(crate) fn unclear(&self) -> Option<String> {
        match self {
            Self::Absent | Self::Once(_) => None,
            Self::Several(agents) => {
                let entries: Vec<String> = agents.iter().map(|agent| shown(agent)).collect();
                Some(format!(
                    "the tenant lists {} entries of its name, and which is its agent's does not show: {}",
                    agents.len(),
                    entries.join(", ")
                ))
            }
            Self::Shared(agent, servers) => {
                let servers: Vec<&str> = servers.iter().map(|one| one.as_str()).collect();
                Some(format!(
                    "the tenant lists {}, which could be each of {}",
                    shown(agent),
                    servers.join(", ")
                ))
            }
        }
    }
}

fn shown(agent: &AgentSeen) -> String {
    format!("{} ({})", agent.machine, agent.status)
}

impl Observation {
    /// How the tenant lists the agent of a server, among all that are known; nothing where its list was not seen.
    pub(crate) fn listed<'a>(
        &'a self,
        target: &TargetId,
        all: &BTreeSet<&'a TargetId>,
    ) -> Listed<'a> {
        let agents = self.agents.seen().into_iter().flatten();
        let own: Vec<&AgentSeen> = agents.filter(|agent| agent.is(target)).collect();
        // An agent that was registered anew leaves its old entry behind, inactive, until it ages out (1.12).
        let active: Vec<&AgentSeen> = own
            .iter()
            .copied()
            .filter(|agent| agent.is_active())
            .collect();
        let agent = match (active.as_slice(), own.first()) {
            ([], None) => return Listed::Absent,
            ([], Some(first)) => *first,
            ([one], _) => *one,
            (_, _) => return Listed::Several(active),
        };
        let namesakes = all.iter().copied().filter(|other| agent.is(other));
        let namesakes: Vec<&TargetId> = namesakes.collect();
        match namesakes.len() {
            0 | 1 => Listed::Once(agent),
            _ => Listed::Shared(agent, namesakes),
        }
    }

    /// Agents that the tenant calls active and that are of none of these servers.
    pub(crate) fn unknown_agents<'a>(
        &'a self,
        servers: impl Iterator<Item = &'a TargetId> + Clone,
    ) -> impl Iterator<Item = &'a AgentSeen> {
        let active = self.agents.seen().into_iter().flatten();
        let active = active.filter(|agent| agent.is_active());
        active.filter(move |agent| !servers.clone().any(|server| agent.is(server)))
    }

    /// The agent of a server; `None` where the tenant lists none, or where it is not clear which is its.
    pub(crate) fn agent<'a>(
        &'a self,
        target: &TargetId,
        all: &BTreeSet<&'a TargetId>,
    ) -> Option<&'a AgentSeen> {
        self.listed(target, all).once()
    }
}
