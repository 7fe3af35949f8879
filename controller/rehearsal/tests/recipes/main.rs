//! Every recipe of the page, planned by the one core and carried out by the other on models of its servers: to its end, and with
//! the agent killed between any two things that it does. The list of recipes is the planner's own, so that a new one is
//! killed here as well, and every kind of step stands in some.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

#[path = "../../../core/tests/core/common.rs"]
#[expect(
    dead_code,
    reason = "the planner's own tests share more than is asked here"
)]
mod common;
mod faults;
mod given;
#[path = "../../../core/tests/core/recipes.rs"]
mod recipes;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use agent_core::op::{Op, Outcome};
use agent_core::procedure::Host;
use agent_core::product;
use agent_core::run::{Action, Conclusion, Leave, Run};
use agent_twin::{Fault, Installed, Profile, Twin};
use controller_core::fleet::PERMIT_LIFE;
use controller_core::plan::TargetPlan;
use controller_core::recipe::PhaseWork;
use protocol::event::Event;
use protocol::facts::{Facts, ProvisioningAgentFacts};
use protocol::key::SigningKey;
use protocol::secret::{Secret, SecretKind};
use protocol::signed::{
    AgentRelease, Ending, Manifest, ReleaseFile, RoleKeys, Verified, sign, verify,
};
use protocol::step::Step;
use protocol::{
    Digest, Generation, PlanId, RolloutId, ServiceOptions, StepIndex, TargetId, Timestamp, Version,
};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// Looks at a wizard after which a person says that it is done, where nobody saw it: more than the modelled person takes.
const PATIENCE: u32 = 8;

/// The server as it reported itself, with a person who comes to its wizards, and with what is wrong with it.
fn server(target: &TargetId, facts: &Facts, part: &TargetPlan, faults: &BTreeSet<Fault>) -> Twin {
    let agent = facts.provisioning_agent.as_ref();
    let connect = facts.connect.as_ref();
    let registered =
        |agent: &ProvisioningAgentFacts| (agent.version.unwrap(), agent.tenant.clone());
    let installed = match (agent.map(registered), connect) {
        (_, Some(connect)) => Installed::Connect {
            version: connect.version.unwrap(),
            staging: connect.staging.unwrap_or(false),
        },
        (Some((version, Some(tenant))), None) => Installed::ProvisioningAgent { version, tenant },
        (Some((version, None)), None) => Installed::Unregistered { version },
        (None, None) => Installed::Nothing,
    };
    let mut twin = Twin::new(Profile {
        target: target.clone(),
        installed,
        person: Some(part.tenant.clone()),
        faults: faults.clone(),
    });
    if let (Some(agent), Some(_)) = (agent, connect) {
        let (version, tenant) = registered(agent);
        twin.bring_agent(version, &tenant.unwrap());
    }
    if let Some(agent) = agent {
        twin.set_account(agent.account.as_deref().unwrap());
        twin.set_service(product::AGENT_SERVICE, agent.service.unwrap());
        if let Some(state) = agent.updater {
            twin.set_service(product::UPDATER_SERVICE, state);
        }
        if let Some(owed) = agent.owes_registration {
            twin.break_registration_off(owed);
        }
        // A file that cannot be read says nothing of what somebody has edited.
        let broken = faults.contains(&Fault::ConfigurationBroken);
        let options = agent.options.as_ref().filter(|seen| !seen.is_empty());
        if let Some(options) = options.filter(|_| !broken) {
            twin.edit_configuration(&edited(options));
        }
    }
    if let Some(connect) = connect {
        if connect.cycle_enabled == Some(false) {
            twin.hold_cycle();
        }
        twin.set_service(product::CONNECT_SERVICE, connect.service.unwrap());
    }
    twin
}

/// The configuration file of an agent's service with those options that stand there.
fn edited(options: &ServiceOptions) -> String {
    let proxy = options.proxy.as_ref().map(|proxy| {
        format!(
            "<system.net><defaultProxy enabled=\"true\"><proxy proxyaddress=\"{proxy}\"/></defaultProxy></system.net>"
        )
    });
    let exempt = options
        .fips_exempt
        .then_some("<runtime><enforceFIPSPolicy enabled=\"false\"/></runtime>");
    format!(
        "<configuration>{}{}</configuration>",
        proxy.unwrap_or_default(),
        exempt.unwrap_or_default()
    )
}

/// The keys of this world: who signs bundles, and who signs the agent's releases.
struct Keys {
    bundles: SigningKey,
    publisher: SigningKey,
}

impl Keys {
    fn new() -> Self {
        Self {
            bundles: SigningKey::generate(),
            publisher: SigningKey::generate(),
        }
    }

    fn role(key: &SigningKey) -> RoleKeys {
        RoleKeys {
            keys: vec![key.public()],
            threshold: 1,
        }
    }

    fn host(&self) -> Host {
        Host {
            publisher: Self::role(&self.publisher),
            ..Host::model("0")
        }
    }

    /// A bundle of these steps. The planner's cases know a release by its version alone: here it is one of the publisher's.
    fn bundle(&self, target: &TargetId, part: &TargetPlan, phase: &PhaseWork) -> Bundle {
        let mut steps = phase.steps.clone();
        for step in &mut steps {
            if let Step::UpgradeAgent(upgrade) = step {
                let release = AgentRelease {
                    format: 1,
                    version: upgrade.version,
                    issued: NOW,
                    files: vec![ReleaseFile {
                        platform: AgentRelease::this_platform(),
                        sha256: Digest::of(b"agent"),
                        chunks: Digest::ZERO,
                        size: 5,
                    }],
                };
                let signed = sign(&release, &[&self.publisher]).to_json();
                upgrade.release = String::from_utf8(signed).unwrap();
            }
        }
        let manifest = Manifest {
            format: 1,
            tenant: part.tenant.clone(),
            target: target.clone(),
            target_key: self.bundles.public().fingerprint(),
            generation: Generation(1),
            rollout: RolloutId(1),
            plan: PlanId(Digest::ZERO),
            change: None,
            phase: phase.phase,
            issued: NOW,
            not_before: NOW,
            expires: NOW.plus(std::time::Duration::from_secs(86_400)),
            assumed: None,
            steps: steps.clone(),
            artifacts: phase.artifacts.clone(),
            approval: None,
        };
        let bytes = sign(&manifest, &[&self.bundles]).to_json();
        let verified = verify(&bytes, &Self::role(&self.bundles)).unwrap();
        Bundle { verified, steps }
    }
}

struct Bundle {
    verified: Verified<Manifest>,
    steps: Vec<Step>,
}

/// What a person gives, whatever is asked for.
fn secret() -> Secret {
    Secret {
        user: "admin".to_owned(),
        value: "value".to_owned(),
    }
}

/// How a run ended, what it journaled, before which of its actions a kill tells anything, and what it did to its server.
struct Ran {
    conclusion: Conclusion,
    journal: Vec<Event>,
    cuts: Vec<usize>,
    deeds: Vec<Deed>,
}

/// What a server sees of a run.
enum Deed {
    Begun(StepIndex),
    Given(SecretKind),
    Performed(Op, Outcome),
}

/// Drives a bundle on a model. Before the action with number `cut` the agent is killed and comes back with nothing but its
/// journal.
fn drive(bundle: &Bundle, keys: &Keys, twin: &mut Twin, cut: Option<usize>, patience: u32) -> Ran {
    let begin = |journal: &[Event]| {
        let manifest = Verified::clone(&bundle.verified);
        Run::new(manifest, keys.host(), journal, NOW)
    };
    let mut journal: Vec<Event> = Vec::new();
    let mut secrets: BTreeMap<SecretKind, Secret> = BTreeMap::new();
    let mut run = begin(&journal);
    let (mut cuts, mut deeds, mut actions) = (Vec::new(), Vec::new(), 0);
    let mut at = StepIndex(0);
    let mut waited: Option<u32> = None;
    let mut looked = false;
    loop {
        let action = run.poll_action().unwrap();
        if Some(actions) == cut {
            secrets.clear();
            run = begin(&journal);
            actions += 1;
            continue;
        }
        // Between two looks at the server a kill tells nothing that it does not tell before them.
        let reads = bundle.steps[usize::from(at.0)].is_read_only();
        let looks = matches!(&action, Action::Perform { op, .. } if op.is_glance() || reads);
        if !looks || !looked {
            cuts.push(actions);
        }
        looked = looks;
        actions += 1;
        assert!(actions < 5000, "the run does not end: {:?}", journal.last());
        match action {
            Action::Journal(event) => {
                if let Event::StepBegun { step, .. } = &event {
                    at = *step;
                    waited = None;
                    deeds.push(Deed::Begun(*step));
                    twin.asked(&bundle.steps[usize::from(step.0)]);
                }
                if let Event::TaskOpened { .. } = &event {
                    waited = Some(0);
                }
                journal.push(event);
            }
            Action::Perform { number, op } => {
                let (outcome, _) = twin.perform(&op, &secrets);
                deeds.push(Deed::Performed(op.clone(), outcome.clone()));
                run.handle_outcome(number, outcome, NOW);
                if let (Some(looks), Op::Wait { .. }) = (&mut waited, &op) {
                    *looks += 1;
                    if *looks >= patience {
                        run.handle_attested(at, "anna".to_owned());
                    }
                }
            }
            Action::AskPermit { step, attempt, .. } => {
                let leave = Leave {
                    after: None,
                    lasts: PERMIT_LIFE,
                    came: Duration::ZERO,
                };
                run.handle_permit(step, attempt, leave, NOW);
            }
            Action::AskSecret { number, wanted, .. } => {
                deeds.push(Deed::Given(wanted.clone()));
                secrets.insert(wanted.clone(), secret());
                run.handle_secret(number, &wanted, Ok(()), NOW);
            }
            Action::Finish(conclusion) => {
                return Ran {
                    conclusion,
                    journal,
                    cuts,
                    deeds,
                };
            }
        }
    }
}

/// What a server is: does its agent serve, and what; does its Connect export; which version of Entrain's agent is on it.
fn is(server: &Twin) -> (bool, &[String], Option<bool>, bool, Option<Version>) {
    let connect = (server.staging(), server.exports());
    (
        server.serves(),
        server.domains(),
        connect.0,
        connect.1,
        server.agent(),
    )
}

/// What a recipe tells, where all that it can do is to tell what is wrong.
fn failing(title: &str) -> Option<&'static str> {
    match title {
        "Connect: an engine that somebody stopped is left to a person" => Some("PV22"),
        // On the active server: whoever held the cycle releases it.
        "Connect: upgrade in place while the tenant's cycle is off" => Some("PV24"),
        _ => None,
    }
}

/// What is the same when it is done twice: a note, a value, a file, the state of a service.
fn may_repeat(change: &str) -> bool {
    let same = ["owes ", "set ", "edit ", "automate ", "disable ", "enable "];
    same.iter().any(|what| change.starts_with(what))
        || change.starts_with("restart ") && change != "restart Windows"
}

/// Carries out every recipe of that kind, and kills the agent wherever it tells anything.
fn killed(of: &str) {
    let keys = Keys::new();
    let mut killed = BTreeSet::new();
    for case in recipes::CASES.iter().filter(|case| kind(case.title) == of) {
        let plan = case.plan();
        let reported = case.reported();
        for (target, part) in &plan.targets {
            let mut twin = server(target, &reported[target], part, &BTreeSet::new());
            for phase in &part.phases {
                let fresh = twin.clone();
                let bundle = keys.bundle(target, part, phase);
                let name = format!("{}: {target}, {:?}", case.title, phase.phase);
                let whole = drive(&bundle, &keys, &mut twin, None, PATIENCE);
                let ending = whole.conclusion.ending.clone();
                match (&ending, failing(case.title)) {
                    (Ending::Failed(why), Some(words)) => {
                        assert!(why.contains(words), "{name}: {why}");
                    }
                    (ending, _) => assert_eq!(*ending, Ending::Completed, "{name}"),
                }
                // The same work on the same server was killed in an earlier recipe.
                if !killed.insert(format!("{:?}{fresh:?}", bundle.steps)) {
                    continue;
                }
                for cut in whole.cuts {
                    let mut server = fresh.clone();
                    let after = drive(&bundle, &keys, &mut server, Some(cut), PATIENCE);
                    let after = after.conclusion;
                    assert_eq!(after.ending, ending, "{name}, killed at {cut}");
                    let grades = (after.grade, whole.conclusion.grade);
                    assert_eq!(grades.0, grades.1, "{name}, killed at {cut}");
                    let changed = |server: &Twin| -> Vec<String> {
                        let changes = server.changes.iter().filter(|change| !may_repeat(change));
                        changes.cloned().collect()
                    };
                    assert_eq!(changed(&server), changed(&twin), "{name}, killed at {cut}");
                    assert_eq!(is(&server), is(&twin), "{name}, killed at {cut}");
                }
            }
        }
    }
}

/// What a recipe is about, as its title begins.
fn kind(title: &str) -> &str {
    let word = title.split_once(':').map_or(title, |(word, _)| word);
    match word {
        "Both on one server" => "Both",
        word => word,
    }
}

#[test]
fn every_recipe_of_cloud_sync_ends_as_well_where_the_agent_is_killed() {
    killed("Cloud sync");
}

#[test]
fn every_recipe_of_connect_ends_as_well_where_the_agent_is_killed() {
    killed("Connect");
}

#[test]
fn every_recipe_of_both_ends_as_well_where_the_agent_is_killed() {
    killed("Both");
    let kinds = ["Cloud sync", "Connect", "Both"];
    for case in recipes::CASES {
        assert!(
            kinds.contains(&kind(case.title)),
            "{} is killed nowhere",
            case.title
        );
    }
}
