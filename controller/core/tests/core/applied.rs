//! When a plan is applied: what is refused, in which words, and what is recorded of one that is not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use controller_core::fleet::{Consent, Fleet, Live, Moment, Refusal};
use controller_core::plan::{Inputs, Kind, Plan, Purpose, plan};
use controller_core::policy::Policy;
use controller_core::record::Record;
use controller_core::roster::Roster;
use controller_core::topology::parse;
use controller_core::versions::Versions;
use protocol::event::Event;
use protocol::key::SigningKey;
use protocol::{Digest, PlanId, RolloutId, TargetId, Timestamp};

use crate::common::{self, NEXT_AGENT};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

/// One server, a plan for it, and what its operator says.
struct Desk {
    fleet: Fleet,
    live: Live,
    roster: Roster,
    /// The server has a session.
    here: bool,
    target: TargetId,
    plan: Plan,
    consent: Consent,
}

impl Desk {
    /// A plan that installs an agent, and that may be applied.
    fn new() -> Self {
        let (plan, target, key) = common::one_server(NOW);
        let mut desk = Self {
            fleet: Fleet::new(),
            live: Live::default(),
            roster: common::roster([&target], "0.1.0"),
            here: false,
            target,
            plan,
            consent: Consent::default(),
        };
        desk.take(&common::enrolled(&desk.target, key));
        desk.reports(20348);
        desk
    }

    /// The same with a plan that brings its agent to the newest release.
    fn of_agents() -> Self {
        let mut desk = Self::new();
        let text = "[tenant.main]\nid = \"3f0c8a4e-0000-0000-0000-000000000000\"\n[agents.a]\nserves = [\"a.test\"]\nhosts = [\"s1.a.test\"]\n";
        let (topology, _) = parse(&[common::document(text)]);
        let (policy, artifacts) = (Policy::default(), common::artifacts());
        let known = desk.fleet.known();
        desk.plan = plan(Inputs {
            roster: Some(&desk.roster),
            ..Inputs::of(&topology, &policy, known, &artifacts, Purpose::Agents)
        });
        assert_eq!(desk.plan.release(), Some(NEXT_AGENT));
        desk
    }

    fn take(&mut self, record: &Record) {
        self.fleet.apply(record, None, NOW);
    }

    /// The server tells what it is: a Windows of that build, without a product.
    fn reports(&mut self, build: u32) {
        let mut facts = common::facts(None, None);
        facts.host.build = build;
        let event = Event::FactsReported(Box::new(facts));
        self.take(&common::told(&self.target, 1, NOW, &event));
    }

    /// That plan is a rollout by now.
    fn is_under_way(&mut self, plan: &Plan) {
        let applied = common::applied(RolloutId(1), plan);
        self.fleet.apply(&applied, Some(plan), NOW);
    }

    fn asked(&self) -> Result<(), Refusal> {
        let moment = Moment {
            live: &self.live,
            has_session: &|target| self.here && *target == self.target,
            roster: Some(&self.roster),
            now: NOW,
        };
        let plan = (self.plan.id(), &self.plan);
        self.fleet.may_apply(plan, &self.consent, moment)
    }
}

/// What is refused after that was changed.
fn refused(mut desk: Desk, change: impl FnOnce(&mut Desk)) -> (Refusal, PlanId) {
    assert_eq!(desk.asked(), Ok(()));
    change(&mut desk);
    let refusal = desk.asked().expect_err("it is refused");
    (refusal, desk.plan.id())
}

/// One number for each kind, from 0: a kind that is new is asked for here.
const fn number(refusal: &Refusal) -> usize {
    match refusal {
        Refusal::NoSuchPlan => 0,
        Refusal::Alarms(_) => 1,
        Refusal::Nothing(_) => 2,
        Refusal::Release(_) => 3,
        Refusal::Versions(_) => 4,
        Refusal::Stranger(_) => 5,
        Refusal::NoChangeNumber => 6,
        Refusal::NothingIrreversible => 7,
        Refusal::Irreversible(_) => 8,
        Refusal::BeginsNever(_) => 9,
        Refusal::EmergencyWaits => 10,
        Refusal::AppliedBefore { .. } => 11,
        Refusal::AtWork { .. } => 12,
        Refusal::OffIsHere(_) => 13,
        Refusal::NotSaidOff(_) => 14,
        Refusal::NobodyIsOff => 15,
        Refusal::FactsChanged { .. } => 16,
    }
}

const KINDS: usize = 17;

/// Who stands at a plan, what becomes so, and the kind or the words of what is refused then.
type Row = (Desk, fn(&mut Desk), &'static str);

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "one row for each refusal, which is read against its words"
)]
fn each_refusal_has_its_reason_and_its_words() {
    let server = |desk: &Desk| Some(desk.target.clone());
    let rows: [Row; 20] = [
        (
            Desk::new(),
            |desk| desk.plan.alarms = vec!["one".to_owned(), "two".to_owned()],
            "one; two",
        ),
        (
            Desk::new(),
            |desk| desk.plan.waves.clear(),
            "there is nothing to apply: no server has work in plan PLAN; `entrain plan` says why of each",
        ),
        (
            Desk::new(),
            |desk| {
                desk.plan.waves.clear();
                desk.plan.kind = Kind::Verify;
            },
            "there is nothing to apply: no server has work in plan PLAN; `entrain plan` says why of each",
        ),
        (
            Desk::of_agents(),
            |desk| {
                let withdrawn = Record::ReleaseWithdrawn {
                    version: NEXT_AGENT,
                    reason: "it loses its connection".to_owned(),
                    by: "ann".to_owned(),
                };
                desk.roster.apply(&withdrawn, NOW);
            },
            "release 0.2.0.0 was withdrawn by ann at 2026-09-21T14:13:20.000Z: it loses its connection; add a newer one",
        ),
        (
            Desk::of_agents(),
            |desk| desk.roster = Roster::default(),
            "release 0.2.0.0 is not in the artifact store; `entrain release list` shows what is, and `entrain release add` brings one",
        ),
        (
            Desk::new(),
            |desk| {
                let text = "checked_on = \"2026-09-01\"\n[[release]]\nproduct = \"provisioning-agent\"\nversion = \"1.1.2505.0\"\nrecalled = \"it breaks\"\nsource = \"a page\"\ncertainty = \"vendor\"";
                let versions = Versions::parse(text).expect("it can be read");
                desk.live.versions = Some(Arc::new(versions));
            },
            "VERSIONS",
        ),
        (
            Desk::new(),
            |desk| desk.plan.change_required = true,
            "a tenant of this plan asks for a change number: give --change NUMBER",
        ),
        (
            Desk::new(),
            |desk| desk.consent.irreversible = 1,
            "everything in this plan can be undone: leave --irreversible out",
        ),
        (
            Desk::new(),
            |desk| desk.plan.irreversible = vec!["this".to_owned(), "that".to_owned()],
            "2 of its acts cannot be undone (G10): this; that; whoever wants them gives --irreversible 2",
        ),
        (
            Desk::new(),
            |desk| {
                desk.plan.irreversible = vec!["this".to_owned()];
                desk.consent.irreversible = 2;
            },
            "1 of its acts cannot be undone (G10): this; whoever wants them gives --irreversible 1",
        ),
        (
            Desk::new(),
            |desk| desk.consent.not_before = Some(NOW),
            "2026-09-21T14:13:20.000Z is in the past, or more than 30 days away: leave --at out, or name a moment within the next 30 days",
        ),
        (
            Desk::new(),
            |desk| {
                desk.consent.not_before = Some(NOW.plus(30 * DAY + Duration::from_millis(1)));
            },
            "2026-10-21T14:13:20.001Z is in the past, or more than 30 days away: leave --at out, or name a moment within the next 30 days",
        ),
        (
            Desk::new(),
            |desk| {
                desk.plan.off = Some(desk.target.clone());
                desk.consent.off = Some(desk.target.clone());
                desk.consent.not_before = Some(NOW.plus(DAY));
            },
            "an emergency waits for nothing: leave --at out",
        ),
        (
            Desk::new(),
            |desk| desk.is_under_way(&desk.plan.clone()),
            "that plan is r1 already, and r1 is not over on s1.a.test: entrain watch r1",
        ),
        (
            Desk::new(),
            |desk| {
                let mut other = desk.plan.clone();
                other.warnings.push("another one".to_owned());
                desk.is_under_way(&other);
            },
            "r1 is not over on s1.a.test, and two works on one server do not go together: wait for its end, skip or resolve s1.a.test there, or abort it",
        ),
        (
            Desk::new(),
            |desk| {
                desk.plan.off = Some(desk.target.clone());
                desk.consent.off = Some(desk.target.clone());
                desk.here = true;
            },
            "s1.a.test is connected just now, so it is not off; entrain swap puts it into staging mode first",
        ),
        (
            Desk::new(),
            |desk| desk.plan.off = Some(desk.target.clone()),
            "by this plan another server becomes active in place of s1.a.test; whoever knows that it is off gives --off s1.a.test",
        ),
        (
            Desk::new(),
            |desk| desk.consent.off = Some(desk.target.clone()),
            "this plan takes no server to be off: leave --off out",
        ),
        (
            Desk::new(),
            |desk| desk.reports(26100),
            "the facts of s1.a.test have changed since plan PLAN was made; plan again",
        ),
        (
            Desk::new(),
            // Its facts and its key are those that the plan read.
            |desk| desk.plan.facts = Digest::ZERO,
            "the domains that a server serves have changed since plan PLAN was made; plan again",
        ),
    ];
    let mut seen = BTreeSet::from([number(&Refusal::NoSuchPlan)]);
    for (desk, change, words) in rows {
        let (refusal, plan) = refused(desk, change);
        seen.insert(number(&refusal));
        if words == "VERSIONS" {
            let said = refusal.to_string();
            assert!(said.contains("it breaks"), "{said}");
            continue;
        }
        let words = words.replace("PLAN", &plan.0.short());
        assert_eq!(refusal.to_string(), words);
    }
    // A stranger needs a tenant with Connect.
    let stranger = Refusal::Stranger(String::new());
    seen.insert(number(&stranger));
    assert_eq!(seen, (0..KINDS).collect());
    assert_eq!(
        Refusal::NoSuchPlan.to_string(),
        "there is no such plan; `entrain plan` makes one"
    );
    // The server that is said to be off is another one.
    let mut desk = Desk::new();
    desk.plan.off = server(&desk);
    desk.consent.off = Some("s2.a.test".parse().expect("a name"));
    let target = desk.target.clone();
    assert_eq!(desk.asked(), Err(Refusal::NotSaidOff(target)));
}

#[test]
fn another_key_is_another_server() {
    let (refusal, _) = refused(Desk::new(), |desk| {
        let (target, by) = (desk.target.clone(), "root".to_owned());
        desk.take(&Record::AgentReplaced { target, by });
        let key = SigningKey::generate().public();
        desk.take(&common::enrolled(&desk.target, key));
        desk.reports(20348);
    });
    let Refusal::FactsChanged { changed, .. } = refusal else {
        panic!("{refusal:?}");
    };
    assert_eq!(changed, ["s1.a.test".parse().expect("a name")]);
}

/// What only reads goes beside whatever changes the same servers, and one that has nothing to look at is applied all the same but for
/// a verification.
#[test]
fn what_only_reads_is_refused_for_neither_other_work_nor_having_none() {
    let mut desk = Desk::new();
    let other = desk.plan.clone();
    desk.is_under_way(&other);
    desk.plan.kind = Kind::Preflight;
    assert_eq!(desk.asked(), Ok(()));
    desk.plan.waves.clear();
    assert_eq!(desk.asked(), Ok(()));
}

#[test]
fn where_nobody_withdraws_releases_none_is_asked_for() {
    let desk = Desk::of_agents();
    let nobody = |_: &TargetId| false;
    let moment = Moment {
        live: &desk.live,
        has_session: &nobody,
        roster: None,
        now: NOW,
    };
    let plan = (desk.plan.id(), &desk.plan);
    let asked = desk.fleet.may_apply(plan, &desk.consent, moment);
    assert_eq!(asked, Ok(()));
}

/// The latest moment is 30 days ahead, and the first is the next one.
#[test]
fn a_rollout_may_begin_within_thirty_days() {
    for ahead in [Duration::from_millis(1), 30 * DAY] {
        let mut desk = Desk::new();
        desk.consent.not_before = Some(NOW.plus(ahead));
        assert_eq!(desk.asked(), Ok(()), "{ahead:?}");
    }
}

#[test]
fn that_a_server_is_off_is_recorded_before_the_rollout_that_takes_its_place() {
    let target: TargetId = "s1.a.test".parse().expect("a name");
    let plan = PlanId(Digest::of(b"a plan"));
    let consent = Consent {
        change: Some("CHG-1".to_owned()),
        irreversible: 2,
        off: Some(target.clone()),
        not_before: Some(NOW),
    };
    let applied = Record::Applied {
        rollout: RolloutId(3),
        plan,
        by: "ann".to_owned(),
        change: Some("CHG-1".to_owned()),
        irreversible: 2,
        not_before: Some(NOW),
    };
    let by = "ann".to_owned();
    let off = Record::SaidOff { target, by };
    let records = consent.clone().records(RolloutId(3), plan, "ann");
    assert_eq!(records, [off, applied.clone()]);
    let nobody_off = Consent {
        off: None,
        ..consent
    };
    let records = nobody_off.records(RolloutId(3), plan, "ann");
    assert_eq!(records, [applied]);
}
