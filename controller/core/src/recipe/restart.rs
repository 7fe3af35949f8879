//! A restart of Windows, where it waits for one: by the rule of the server's site, put into what a recipe answers.

use protocol::TargetId;
use protocol::facts::Facts;
use protocol::step::{RestartBy, RestartServer, Step};
use protocol::task::{Page, TaskText};

use crate::policy::Policy;
use crate::recipe::{Answer, PhaseWork};
use crate::topology::{At, RebootRule, Topology};

/// Who restarts a server, why so, and what the plan says of it; `None` where it is left to the server's owner.
pub(crate) struct Rule {
    by: RestartBy,
    why: Option<String>,
    people: Option<String>,
}

impl Rule {
    /// The rule for a server of that site. A domain controller is restarted by a person, and so is a server whose site has no
    /// window in the policy: nobody has said when.
    pub(crate) fn of(
        topology: &Topology,
        policy: &Policy,
        site: Option<&At<String>>,
        host: &TargetId,
        facts: &Facts,
    ) -> Option<Self> {
        let name = &site?.value;
        let has_window = policy
            .sites
            .get(name)
            .is_some_and(|site| site.window.is_some());
        let why_asked = match topology.sites.get(name)?.reboot {
            RebootRule::Never => return None,
            RebootRule::Ask => format!("the rule of site {name} is that somebody is asked"),
            RebootRule::Window if facts.host.domain_controller => {
                "it is a domain controller: somebody is asked".to_owned()
            }
            RebootRule::Window if !has_window => {
                format!("the policy gives site {name} no window: somebody is asked")
            }
            RebootRule::Window => {
                let why = format!(
                    "where Windows waits for a restart, it is restarted within the window of site {name}, once enough others serve (G2)"
                );
                return Some(Self {
                    by: RestartBy::Agent,
                    why: Some(why),
                    people: None,
                });
            }
        };
        Some(Self {
            people: Some(format!(
                "where Windows waits for a restart, somebody who restarts it: {why_asked}"
            )),
            by: RestartBy::Person(by_hand(host, why_asked)),
            why: None,
        })
    }

    /// Lets each phase that looks before it changes something restart Windows between the two, and after a setup; a removal, which looks
    /// by itself, before and after it: what it takes off may be there until Windows restarts (product facts 1.2: exit codes 3010
    /// and 1641). A person's appointment at the wizard of Connect is left as it is: its look stops where Windows waits, before
    /// anybody is asked.
    pub(crate) fn put_into(self, answer: &mut Answer) {
        let Answer::Do {
            phases,
            why,
            people,
        } = answer
        else {
            return;
        };
        let mut any = false;
        for phase in phases.iter_mut().filter(|phase| is_meant(phase)) {
            any = true;
            let restart = Step::RestartServer(RestartServer {
                by: self.by.clone(),
            });
            let steps = std::mem::take(&mut phase.steps);
            for mut step in steps {
                if matches!(step, Step::RemoveProvisioningAgent(_)) {
                    phase.steps.push(restart.clone());
                }
                if let Step::Preflight(preflight) = &mut step {
                    preflight.restarts = true;
                }
                let before = matches!(
                    step,
                    Step::Preflight(_)
                        | Step::InstallProvisioningAgent(_)
                        | Step::RemoveProvisioningAgent(_)
                );
                phase.steps.push(step);
                phase.steps.extend(before.then(|| restart.clone()));
            }
        }
        if any {
            why.extend(self.why);
            people.extend(self.people);
        }
    }
}

fn is_meant(phase: &PhaseWork) -> bool {
    let looks = |step: &Step| matches!(step, Step::Preflight(_) | Step::RemoveProvisioningAgent(_));
    let guides = |step: &Step| matches!(step, Step::GuideConnect(_));
    !phase.is_read_only() && phase.steps.iter().any(looks) && !phase.steps.iter().any(guides)
}

fn by_hand(host: &TargetId, why: String) -> TaskText {
    TaskText {
        title: format!("restart Windows on {host}"),
        why,
        bring: vec!["an administrator of the server".to_owned()],
        pages: vec![Page {
            title: "Restart".to_owned(),
            lines: vec![
                "leave for the outage was given: others serve meanwhile (G2), and wait for this one".to_owned(),
                "save what is open on it, and restart Windows".to_owned(),
                "the agent comes back with it and goes on by itself".to_owned(),
            ],
        }],
        seen_by: "Windows waits for no restart any more (PF19)".to_owned(),
    }
}
