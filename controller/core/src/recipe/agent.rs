//! An upgrade of Entrain's own agent: to the release that is asked for, or the newest of its publisher that the artifact store
//! has and nobody has withdrawn.

use protocol::signed::Phase;
use protocol::step::{Step, UpgradeAgent};
use protocol::{TargetId, Version};

use crate::recipe::{Answer, PhaseWork};
use crate::roster::Roster;

/// Brings the agent of one server to a release. It takes no product out of service, so it asks for no leave.
pub(crate) fn answer(
    roster: Option<&Roster>,
    wanted: Option<Version>,
    target: &TargetId,
) -> Answer {
    let found = roster.map_or(Ok(None), |roster| roster.release(wanted));
    let (version, release) = match found {
        Ok(Some(found)) => found,
        Ok(None) => {
            return Answer::Nothing(
                "held: no release of the agent that stands is in the artifact store; entrain release add brings one"
                    .to_owned(),
            );
        }
        Err(why) => return Answer::Nothing(format!("held: {why}")),
    };
    let agent = roster.and_then(|roster| roster.agents().get(target));
    let Some(runs) = agent.and_then(|agent| agent.version.as_deref()) else {
        return Answer::Nothing("held: its agent has not come yet".to_owned());
    };
    let Ok(now) = runs.parse::<Version>() else {
        return Answer::Nothing(format!(
            "held: the agent on it says that it is \"{runs}\", which is no version; replace its program by hand"
        ));
    };
    if now >= version {
        return Answer::Nothing(format!("its agent is {now} already"));
    }
    Answer::Do {
        phases: vec![PhaseWork {
            phase: Phase::Prepare,
            steps: vec![Step::UpgradeAgent(UpgradeAgent {
                version,
                release: release.envelope.clone(),
            })],
            artifacts: Vec::new(),
        }],
        why: vec![format!(
            "Entrain's agent goes from {now} to {version}; its launcher goes back by itself unless the new one is welcomed here and has an event stored"
        )],
        people: Vec::new(),
    }
}
