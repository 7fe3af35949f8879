//! Which domain controller is asked: the first that answers, preferred ones before those that are found; and the one that the next
//! server's product uses, for another server's change of a gMSA that one controller shows before the others do (G3).
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::wildcard_enum_match_arm,
    reason = "a test stops where something is not as it must be"
)]

use std::cell::RefCell;
use std::collections::BTreeMap;

use agent_core::op::{DirectoryEntry, Op, Outcome, Scope, Script};
use agent_core::procedure::{Complete, Next};
use agent_core::run::{Action, Run};
use agent_core::step::controllers;
use agent_twin::{Fault, Installed, Profile, Twin};
use protocol::TargetId;
use protocol::event::{Completion, Event, Finding, GmsaChange, Verdict};
use protocol::secret::Secret;
use protocol::signed::{Ending, Manifest, Verified, verify};
use protocol::step::{
    DiscoverServers, GuideProvisioningAgent, Product, RegisterProvisioningAgent, SignIn, Step,
};

use crate::common::{NOW, drive, host, leave, manifest, target, tenant, text};
use crate::preflight::{self, domain};
use crate::{run, transition};

const FIRST: &str = "dc1.corp.contoso.com";
const SECOND: &str = "dc2.corp.contoso.com";

fn preferred(names: &[&str]) -> Vec<TargetId> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// What the first controller that answers is, and what was tried before it, of a server with these faults.
fn answering(
    names: &[&str],
    faults: &[Fault],
    instead: impl FnMut(&Op, Outcome) -> Outcome,
) -> Result<(String, String), String> {
    let mut server = preflight::twin("sync-01", Installed::Nothing, faults);
    let mut told = None;
    let (end, ..) = preflight::drive_with(
        &mut server,
        |cx| {
            let root = controllers::answering(&domain().name, &preferred(names), cx)?;
            told = Some(root.map(|root| (root.server.clone(), root.instead())));
            Ok(Complete::new(Completion::AlreadySo, ""))
        },
        instead,
    );
    assert!(matches!(end, Next::Complete(_)), "{end:?}");
    told.unwrap()
}

fn as_it_is(_: &Op, outcome: Outcome) -> Outcome {
    outcome
}

#[test]
fn the_first_controller_that_answers_is_asked_and_it_is_told_why_others_were_not() {
    let plain = |names: &[&str], faults: &[Fault]| answering(names, faults, as_it_is);
    assert_eq!(plain(&[], &[]), Ok((FIRST.to_owned(), String::new())));
    assert_eq!(
        plain(&[SECOND, FIRST], &[]),
        Ok((SECOND.to_owned(), String::new()))
    );
    let silent = [Fault::FirstControllerSilent];
    let instead = format!("; {SECOND} was asked, since no answer from {FIRST}:389 within 10 s");
    for names in [&[][..], &[FIRST, SECOND], &[FIRST]] {
        assert_eq!(
            plain(names, &silent),
            Ok((SECOND.to_owned(), instead.clone())),
            "{names:?}"
        );
    }
    let why = plain(&[FIRST, SECOND], &[Fault::DirectoryBlocked]).unwrap_err();
    for server in [FIRST, SECOND] {
        assert_eq!(why.matches(server).count(), 1, "{why}");
    }
    // Those that are preferred are asked where DNS names none.
    let (server, _) = plain(&[FIRST], &[Fault::DnsBlocked]).unwrap();
    assert_eq!(server, FIRST);
    assert!(plain(&[], &[Fault::DnsBlocked]).is_err());
    // That it names none is said beside whoever was silent.
    let both = [Fault::FirstControllerSilent, Fault::DnsBlocked];
    let why = plain(&[FIRST], &both).unwrap_err();
    assert!(
        why.contains(FIRST) && why.contains("no domain controller of"),
        "{why}"
    );
}

/// A domain may have hundreds of controllers, and a firewall may stand before all of them.
#[test]
fn no_more_than_eight_controllers_are_tried() {
    let asked = RefCell::new(Vec::new());
    let many = |op: &Op, outcome: Outcome| match op {
        Op::FindDomainControllers { .. } => Outcome::Hosts(
            (1..=20)
                .map(|at| format!("old{at}.corp.contoso.com"))
                .collect(),
        ),
        Op::Search(search) => {
            asked.borrow_mut().push(search.server.clone());
            outcome
        }
        _ => outcome,
    };
    let why = answering(&[], &[Fault::PreferredControllerSilent], many).unwrap_err();
    assert_eq!(asked.borrow().len(), 8, "{why}");
    assert!(why.contains("old8.") && !why.contains("old9."), "{why}");
}

/// The product writes: a controller to which nobody can write is not the one that it uses.
#[test]
fn a_controller_that_may_be_written_to_goes_before_a_read_only_one() {
    let read_only = |which: &'static [&'static str]| {
        move |op: &Op, mut outcome: Outcome| {
            if let (Op::Search(search), Outcome::Entries(found)) = (op, &mut outcome)
                && search.base.is_empty()
                && which.contains(&search.server.as_str())
            {
                let root: &mut DirectoryEntry = &mut found.entries[0];
                let own = root.values.get_mut("supportedcapabilities").unwrap();
                own.push(b"1.2.840.113556.1.4.1920".to_vec());
            }
            outcome
        }
    };
    let told = |which| answering(&[], &[], read_only(which)).unwrap().1;
    assert_eq!(
        told(&[FIRST]),
        format!("; {SECOND} was asked, since {FIRST} is read-only")
    );
    assert_eq!(told(&[FIRST, SECOND]), "");
    let asked = |names: &[&str], which| answering(names, &[], read_only(which)).unwrap().0;
    assert_eq!(asked(&[], &[FIRST]), SECOND);
    assert_eq!(
        asked(&[], &[FIRST, SECOND]),
        FIRST,
        "a reading is better than none"
    );
    assert_eq!(
        asked(&[FIRST], &[FIRST]),
        FIRST,
        "who prefers it is told so elsewhere"
    );
}

#[test]
fn a_server_whose_first_controller_is_silent_is_as_ready_as_any() {
    for product in [Product::ProvisioningAgent, Product::Connect] {
        let seen = |faults: &[Fault]| {
            let step = preflight::preflight(product, SignIn::Token, false);
            let mut server = preflight::twin("sync-01", Installed::Nothing, faults);
            preflight::findings(&step, &mut server)
        };
        let verdicts = |all: &[Finding]| -> Vec<(String, Verdict)> {
            all.iter()
                .map(|one| (one.id.clone(), one.verdict))
                .collect()
        };
        let silent = seen(&[Fault::FirstControllerSilent]);
        assert_eq!(verdicts(&silent), verdicts(&seen(&[])));
        let found = silent.iter().find(|one| one.id == "PF22").unwrap();
        let port = if product == Product::Connect { 88 } else { 389 };
        let why = format!(
            "2 found; {SECOND} was asked, since {FIRST}: no answer from {FIRST}:{port} within 10 s"
        );
        assert_eq!(found.read, why);
    }
}

/// One whose ports are open may be hung all the same.
#[test]
fn a_preflight_passes_over_a_controller_whose_ports_alone_answer() {
    let step = preflight::preflight(Product::ProvisioningAgent, SignIn::Token, false);
    let mut server = preflight::twin("sync-01", Installed::Nothing, &[]);
    let hung = |op: &Op, outcome: Outcome| match op {
        Op::Search(search) if search.server == FIRST => {
            Outcome::Failed(format!("{FIRST}: no answer within 60 s"))
        }
        _ => outcome,
    };
    let perform = |cx: &mut agent_core::procedure::Cx<'_>| agent_core::step::perform(&step, cx);
    let (_, seen, _) = preflight::drive_with(&mut server, perform, hung);
    let untold = seen.iter().find(|one| one.verdict == Verdict::CannotTell);
    assert_eq!(untold, None);
    let found = seen.iter().find(|one| one.id == "PF22").unwrap();
    let why = format!("{SECOND} was asked, since {FIRST}: no answer within 60 s");
    assert!(found.read.contains(&why), "{}", found.read);
}

/// Where none of them answers that is told of everything that they would have been asked: a probe that is left out reads as one that there
/// is not.
#[test]
fn what_hung_controllers_were_not_asked_cannot_be_told() {
    for product in [Product::ProvisioningAgent, Product::Connect] {
        for present in [false, true] {
            let step = preflight::preflight(product, SignIn::Token, present);
            let asked = |instead: &dyn Fn(&Op, Outcome) -> Outcome| {
                let mut server = preflight::twin("sync-01", Installed::Nothing, &[]);
                let perform =
                    |cx: &mut agent_core::procedure::Cx<'_>| agent_core::step::perform(&step, cx);
                let instead = |op: &Op, outcome: Outcome| instead(op, outcome);
                preflight::drive_with(&mut server, perform, instead).1
            };
            let names = |all: &[Finding]| {
                let names = all.iter().map(|one| (one.id.clone(), one.what.clone()));
                let mut names: Vec<(String, String)> = names.collect();
                names.sort();
                names
            };
            let sound = asked(&|_, outcome| outcome);
            let hung = asked(&|op, outcome| match op {
                Op::Search(search) => {
                    Outcome::Failed(format!("{}: no answer within 60 s", search.server))
                }
                _ => outcome,
            });
            // Which domains a forest has besides shows at a controller alone.
            let home = |all: &[Finding]| -> Vec<Finding> {
                let other = |one: &&Finding| {
                    !one.what.contains('(') || one.what.contains(&domain().name.to_string())
                };
                all.iter().filter(other).cloned().collect()
            };
            let (sound, mut hung) = (home(&sound), home(&hung));
            // Of a directory that was counted and is small no row of the hardware is told beside the smallest; of this one that may be.
            let counted = |one: &Finding| one.id == "PF08" && one.what.contains("were counted");
            let beside = hung.iter().filter(|one| counted(one));
            let beside: Vec<Verdict> = beside.map(|one| one.verdict).collect();
            let counts = product == Product::Connect;
            let told = if counts {
                &[Verdict::CannotTell][..]
            } else {
                &[]
            };
            assert_eq!(beside, told, "{product:?} {present}");
            hung.retain(|one| !counted(one));
            assert_eq!(names(&hung), names(&sound), "{product:?} {present}");
            let behind = [
                "PF21", "PF25", "PF46", "PF47", "PF48", "PF49", "PF50", "PF52", "PF54", "PF55",
                "PF56", "PF57", "PF58", "PF59", "PF60",
            ];
            for one in &hung {
                if behind.contains(&one.id.as_str()) {
                    assert_eq!(one.verdict, Verdict::CannotTell, "{one:?}");
                    assert!(!one.blocks(), "{one:?}");
                    assert!(one.read.contains("no answer within 60 s"), "{one:?}");
                }
            }
            for one in &sound {
                let own = hung
                    .iter()
                    .find(|two| (&two.id, &two.what) == (&one.id, &one.what));
                assert_eq!(own.map(|own| &own.wanted), Some(&one.wanted), "{one:?}");
            }
        }
    }
}

#[test]
fn a_discovery_reads_what_another_controller_shows() {
    let discovered = |names: &[&str], faults: &[Fault]| {
        let name = domain().name;
        let mut preferred_dcs = BTreeMap::new();
        if !names.is_empty() {
            preferred_dcs.insert(name.clone(), preferred(names));
        }
        let step = Step::DiscoverServers(DiscoverServers {
            domains: vec![name],
            preferred_dcs,
            accounts: vec!["svcEntraSync$".parse().unwrap()],
        });
        let mut server = preflight::twin("sync-01", Installed::Nothing, faults);
        let (conclusion, journal, _) = drive(vec![step], &mut server, None);
        let told = journal.into_iter().find_map(|event| match event {
            Event::Discovered {
                servers, unread, ..
            } => Some((servers, unread)),
            _ => None,
        });
        (told.unwrap(), conclusion.steps[0].summary.clone())
    };
    let strange = Fault::StrangeConnect;
    let (sound, summary) = discovered(&[], &[strange]);
    assert!(!sound.0.is_empty() && sound.1.is_empty(), "{sound:?}");
    assert!(!summary.contains("was asked"), "{summary}");
    for names in [&[][..], &[FIRST, SECOND]] {
        let (told, summary) = discovered(names, &[strange, Fault::FirstControllerSilent]);
        assert_eq!(told, sound);
        assert!(
            summary.contains(&format!("{SECOND} was asked, since")),
            "{summary}"
        );
    }
    let (_, summary) = discovered(&[SECOND], &[strange, Fault::FirstControllerSilent]);
    assert!(!summary.contains("was asked"), "{summary}");
}

#[test]
fn a_change_is_waited_for_where_the_first_controller_is_silent_and_nobody_is_asked() {
    let mut first = preflight::registered("sync-01");
    let change = preflight::change(&mut first);
    let mut second = preflight::twin(
        "sync-02",
        Installed::Nothing,
        &[Fault::FirstControllerSilent],
    );
    second.set_shared(first.shared().clone());
    let (how, tasks) = preflight::waits(&mut second, &change);
    assert!(
        how.contains(&format!(
            "is readable at {SECOND}; this server could not read it elsewhere: no answer from {FIRST}"
        )),
        "{how}"
    );
    assert!(tasks.is_empty(), "nobody is asked: {tasks:?}");
    // Where DNS names none, that is said beside the preferred one.
    let mut second = preflight::twin("sync-02", Installed::Nothing, &[Fault::DnsBlocked]);
    second.set_shared(first.shared().clone());
    let names = preferred(&[FIRST]);
    let (end, ..) = preflight::drive(&mut second, |cx| {
        let how = controllers::await_change(&change, &domain().name, &names, cx)?;
        Ok(Complete::new(Completion::AlreadySo, how))
    });
    let Next::Complete(complete) = end else {
        panic!("{end:?}")
    };
    assert!(
        complete
            .summary
            .contains("this server could not read it elsewhere: no domain controller of"),
        "{complete:?}"
    );
    // What it did itself it reads there too.
    let mut second = preflight::registered("sync-02");
    second.set_faults([Fault::FirstControllerSilent].into());
    assert!(preflight::change(&mut second).readers.is_some());
}

/// How a server comes to be registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Token,
    Credential,
    Wizard,
    /// Its logs would record a secret: the wizard in place of the cmdlets.
    InsteadOfCmdlets,
    Transition,
}

const WAYS: [Way; 5] = [
    Way::Token,
    Way::Credential,
    Way::Wizard,
    Way::InsteadOfCmdlets,
    Way::Transition,
];

/// The step by which the product's account is made or changed, where these controllers are preferred.
fn step(way: Way, names: &[&str]) -> Step {
    let mut served = domain();
    served.preferred_dcs = preferred(names);
    let home_domain = domain().name;
    match way {
        Way::Token | Way::Credential | Way::InsteadOfCmdlets => {
            let sign_in = if way == Way::Credential {
                SignIn::Credential
            } else {
                SignIn::Token
            };
            Step::RegisterProvisioningAgent(RegisterProvisioningAgent {
                target: target(),
                tenant: tenant(),
                cloud: protocol::step::Cloud::Commercial,
                sign_in,
                gmsa: None,
                home_domain,
                domains: vec![served],
                proxy: None,
                wizard: text(),
            })
        }
        Way::Wizard => Step::GuideProvisioningAgent(GuideProvisioningAgent {
            target: target(),
            tenant: tenant(),
            gmsa: None,
            home_domain,
            preferred_dcs: served.preferred_dcs,
            domains: Vec::new(),
            text: text(),
        }),
        Way::Transition => {
            let Step::GuideTransition(mut guide) = transition::guide() else {
                panic!("it is another step");
            };
            guide.preferred_dcs = served.preferred_dcs;
            Step::GuideTransition(guide)
        }
    }
}

/// What a run saw of another server's change.
#[derive(Debug, Default)]
struct Seen {
    /// Controllers in the order in which they were asked for the account, and whether each showed the change.
    looks: Vec<(String, bool)>,
    /// How many looks there were when the product was let at the account: by cmdlets, or by a person.
    acted: Option<usize>,
    /// What people were asked to look at.
    tasks: Vec<String>,
}

impl Seen {
    /// The last look at a controller before anything was done.
    fn last_at(&self, server: &str) -> Option<bool> {
        let before = &self.looks[..self.acted.expect("it acts")];
        let mut looks = before.iter().rev();
        looks
            .find(|(one, _)| one == server)
            .map(|(_, shown)| *shown)
    }

    /// How often a controller did not show it.
    fn waited_for(&self, server: &str) -> usize {
        let looks = self.looks.iter();
        looks.filter(|(one, shown)| one == server && !shown).count()
    }
}

/// Whether an answer's accounts name somebody among those who may retrieve a password.
fn names_it(outcome: &Outcome, sid: &str) -> bool {
    let Outcome::Entries(found) = outcome else {
        return false;
    };
    found.entries.iter().any(|entry| {
        let descriptor = entry.all("msDS-GroupMSAMembership").first();
        let listed = descriptor.and_then(|one| agent_core::directory::access(one));
        listed.is_some_and(|listed| listed.iter().any(|one| one.who == sid))
    })
}

/// Another server has changed the account at one controller, which alone shows it at first; then this one comes that way.
fn after_a_change(way: Way, names: &[&str], shown_at: Option<&str>) -> Seen {
    let other: TargetId = "sync-00.corp.contoso.com".parse().unwrap();
    let mut first = preflight::registered("sync-00");
    let GmsaChange { name, readers, .. } = preflight::change(&mut first);
    let change = GmsaChange {
        by: other.clone(),
        name,
        readers,
    };
    let sid = change.readers.as_ref().unwrap()[0].clone();

    let mut server = match way {
        Way::Transition => {
            let mut server = transition::server(&[]);
            // Whoever moves has no rule of their own.
            server.asked(&Step::CheckTransition);
            server
        }
        _ => Twin::new(Profile {
            target: target(),
            installed: Installed::Unregistered {
                version: crate::common::NEWEST,
            },
            person: Some(tenant()),
            faults: match way {
                Way::InsteadOfCmdlets => [Fault::ModuleLogging].into(),
                _ => Default::default(),
            },
        }),
    };
    // The person comes when the work is open, and not while the agent waits for the change.
    server.take_rounds(10_000);
    let mut shared = first.shared().clone();
    if let Some(at) = shown_at {
        shared.only_at.insert(other, at.to_owned());
    }
    server.set_shared(shared);

    let (bytes, role) = manifest(vec![step(way, names)]);
    let verified: Verified<Manifest> = verify(&bytes, &role).unwrap();
    let mut run = Run::new(verified, host(), &[], NOW);
    let mut secrets = BTreeMap::new();
    let mut seen = Seen::default();
    for _ in 0..3000 {
        match run.poll_action().unwrap() {
            Action::Journal(event) => match &event {
                Event::TaskOpened { text, step, .. } => {
                    seen.tasks.push(text.title.clone());
                    if text.title.contains("has reached") || text.title == "doubts" {
                        run.handle_attested(*step, "anna".to_owned());
                    } else {
                        seen.acted.get_or_insert(seen.looks.len());
                        return seen;
                    }
                }
                Event::StepFailed { failure, .. } => panic!("{failure:?}"),
                _ => {}
            },
            Action::Perform { number, op } => {
                if let Op::Script { script, .. } = &op
                    && *script == Script::ConfigureProvisioningAgent
                {
                    seen.acted.get_or_insert(seen.looks.len());
                    return seen;
                }
                let (outcome, _) = server.perform(&op, &secrets);
                if let Op::Search(search) = &op
                    && search.scope == Scope::Subtree
                    && search.filter.contains("provAgentgMSA$")
                {
                    let shown = names_it(&outcome, &sid);
                    seen.looks.push((search.server.clone(), shown));
                }
                run.handle_outcome(number, outcome, NOW);
            }
            Action::AskPermit { step, attempt, .. } => {
                run.handle_permit(step, attempt, leave(Some(change.clone())), NOW);
            }
            Action::AskSecret { number, wanted, .. } => {
                let secret = Secret {
                    user: "admin".to_owned(),
                    value: "value".to_owned(),
                };
                secrets.insert(wanted.clone(), secret);
                run.handle_secret(number, &wanted, Ok(()), NOW);
            }
            Action::Finish(conclusion) => {
                panic!(
                    "{way:?} ends before it acts: {:?}",
                    conclusion.ending == Ending::Completed
                )
            }
        }
    }
    panic!("{way:?} does not end");
}

/// The product is told to take the second controller, which does not show yet what the first one was told.
#[test]
fn what_one_controller_alone_shows_is_waited_for_at_the_preferred_one() {
    for way in WAYS {
        let seen = after_a_change(way, &[SECOND], Some(FIRST));
        assert_eq!(seen.waited_for(SECOND), 3, "{way:?}: {seen:?}");
        assert_eq!(seen.last_at(SECOND), Some(true), "{way:?}: {seen:?}");
        assert!(
            !seen.tasks.iter().any(|one| one.contains("has reached")),
            "{seen:?}"
        );
        // Where nobody prefers it, it is not the one that is used.
        let seen = after_a_change(way, &[], Some(FIRST));
        assert_eq!(seen.waited_for(FIRST), 0, "{way:?}: {seen:?}");
        assert_eq!(seen.last_at(FIRST), Some(true), "{way:?}: {seen:?}");
        assert_eq!(seen.last_at(SECOND), None, "{way:?}: {seen:?}");
    }
}

/// Controllers are given to the product with a domain; its account may be made at the one that Windows takes.
#[test]
fn what_the_preferred_controller_alone_shows_is_waited_for_at_the_one_that_windows_takes() {
    for way in WAYS {
        let seen = after_a_change(way, &[SECOND], Some(SECOND));
        assert_eq!(seen.waited_for(FIRST), 3, "{way:?}: {seen:?}");
        for server in [FIRST, SECOND] {
            assert_eq!(seen.last_at(server), Some(true), "{way:?}: {seen:?}");
        }
        // The one that Windows takes is looked at also where it is a preferred one behind the one that answers.
        let seen = after_a_change(way, &[SECOND, FIRST], Some(SECOND));
        assert_eq!(seen.waited_for(FIRST), 3, "{way:?}: {seen:?}");
        // Nothing is waited for where every controller shows it.
        let seen = after_a_change(way, &[SECOND], None);
        let waited = seen.waited_for(FIRST) + seen.waited_for(SECOND);
        assert_eq!(waited, 0, "{way:?}: {seen:?}");
    }
}

/// What the product does where none of those that it was given answers, nobody knows.
#[test]
fn where_no_preferred_controller_answers_a_person_looks() {
    let mut first = preflight::registered("sync-01");
    let change = preflight::change(&mut first);
    let mut second = preflight::twin(
        "sync-02",
        Installed::Nothing,
        &[Fault::FirstControllerSilent],
    );
    second.set_shared(first.shared().clone());
    let mut told = String::new();
    let (end, _, tasks) = preflight::drive(&mut second, |cx| {
        let only = preferred(&[FIRST]);
        told = controllers::await_change(&change, &domain().name, &only, cx)?;
        Ok(Complete::new(Completion::AlreadySo, ""))
    });
    assert!(matches!(end, Next::Complete(_)), "{end:?}");
    assert_eq!(
        tasks,
        [format!(
            "see that the change of provAgentgMSA$ has reached {FIRST}"
        )]
    );
    assert!(told.starts_with("anna attests that"), "{told}");
}

/// What a server changes where replication is slow, one controller alone shows at first.
#[test]
fn a_change_stands_at_the_controller_to_which_it_was_written() {
    for sign_in in [SignIn::Token, SignIn::Wizard] {
        let mut server = run::twin(&[Fault::ReplicationSlow]);
        let (conclusion, ..) = drive(run::agent_steps(sign_in, Vec::new()), &mut server, None);
        assert_eq!(conclusion.ending, Ending::Completed, "{conclusion:?}");
        assert_eq!(
            server.shared().only_at.get(&target()).map(String::as_str),
            Some(FIRST)
        );
    }
}
