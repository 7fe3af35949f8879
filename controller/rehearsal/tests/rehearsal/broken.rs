//! A log that is broken as no controller may break it: each rule is found at that entry, whatever excuse an older entry gives.

use std::collections::BTreeMap;
use std::time::Duration;

use controller_core::fleet::{Fleet, PERMIT_LIFE};
use controller_core::overrides::Rule;
use controller_core::record::{Order, Record};
use protocol::event::{Event, GmsaObject, Section};
use protocol::key::SigningKey;
use protocol::{Epoch, TargetId, Timestamp, limits};
use rehearsal::{Ask, Asked, ROLLOUT, Rails, World};

use crate::common::{NOW, OLD, agent, facts, planned, target, topology};

const ONE: &str = "s1.corp.test";
const TWO: &str = "s2.corp.test";

type Log = Vec<(Timestamp, Record)>;

/// A domain of two, of which one must serve: both are upgraded, one after the other.
struct Broken {
    world: World,
    log: Log,
    /// Where the first of them got leave, and where it entered its section.
    leave: usize,
    entered: usize,
    /// Who was first, and who was second.
    first: TargetId,
    second: TargetId,
}

impl Broken {
    fn new() -> Self {
        let text = "[agents.corp]\nserves = [\"corp.test\"]\nhosts = [\"s1.corp.test\", \"s2.corp.test\"]\n[domain.\"corp.test\"]\nmin_serving = 1\n";
        let policy = "[limit]\nfailures = \"5\"\nin_flight = 2\ncanary = 0\n";
        let old = |_: &TargetId| facts(Some(agent(OLD)), None);
        let (plan, known) = planned(&topology(text), policy, old);
        let ask = Ask {
            begin: NOW,
            person: Some(Duration::from_secs(600)),
            faults: BTreeMap::new(),
            seed: 1,
        };
        let mut world = World::new(&plan, &known, ask);
        while world.step() && !world.is_over() {}
        let log = world.log.clone();
        let gives = |record: &Record| matches!(record, Record::PermitGiven { section, .. } if section.outage);
        let leave = position(&log, gives);
        let Record::PermitGiven { target: first, .. } = log[leave].1.clone() else {
            panic!("{:?}", log[leave].1);
        };
        let entered = position(&log, |record| enters(record, &first));
        let second = target(if first.as_str() == ONE { TWO } else { ONE });
        Self {
            world,
            log,
            leave,
            entered,
            first,
            second,
        }
    }

    /// What the rails say of the log with that change.
    fn with(&self, change: impl FnOnce(&mut Log)) -> Result<Asked, String> {
        let mut log = self.log.clone();
        change(&mut log);
        let (mut fleet, mut rails) = (Fleet::new(), Rails::default());
        for (at, record) in &log {
            rails.stored(&fleet, record, *at)?;
            fleet.apply(record, self.world.plan_of(record), *at);
        }
        Ok(rails.asked)
    }

    fn breaks(&self, says: &str, change: impl FnOnce(&mut Log)) {
        let held = self.with(change);
        let found = held.as_ref().is_err_and(|why| why.contains(says));
        assert!(found, "{says}: {held:?}");
    }

    /// Leave of the second one, given in the same breath as that of the first one.
    fn gives_both_leave(&self, log: &mut Log) {
        let gives = |record: &Record| matches!(record, Record::PermitGiven { target, section, .. } if section.outage && *target == self.second);
        let leave = log[position(log, gives)].1.clone();
        let at = log[self.leave].0;
        log.insert(self.leave + 1, (at, leave));
    }

    /// An operator's word on G2 of the second one, so long before the first one gets leave.
    fn said(&self, before: Duration, (by, asked): (&str, u32)) -> (Timestamp, Record) {
        let record = Record::OverrideSaid {
            rule: Rule::G2,
            target: self.second.clone(),
            by: by.to_owned(),
            asked,
            change: "CHG1".to_owned(),
            reason: "it is urgent".to_owned(),
        };
        (self.log[self.leave].0.minus(before), record)
    }

    fn restored(&self) -> Record {
        Record::Restored {
            epoch: Epoch(2),
            parent: Epoch(1),
            made: NOW,
            by: "an operator".to_owned(),
        }
    }
}

fn position(log: &Log, is: impl Fn(&Record) -> bool) -> usize {
    let found = log.iter().position(|(_, record)| is(record));
    found.expect("it is there")
}

fn enters(record: &Record, who: &TargetId) -> bool {
    let Record::TargetEvent { target, body, .. } = record else {
        return false;
    };
    let event = Event::from_body(body.as_bytes());
    target == who && matches!(event, Some(Event::SectionEntered { section, .. }) if section.outage)
}

#[test]
fn a_section_is_entered_by_its_servers_own_time_before_its_leave_lapses() {
    let broken = Broken::new();
    let asked = broken.with(|_| ()).expect("it holds");
    assert_eq!(asked.g2, 4, "at each leave and at each entry");
    let told_at = |log: &mut Log, after: Duration| {
        let given = log[broken.leave].0;
        if let Record::TargetEvent { at, .. } = &mut log[broken.entered].1 {
            *at = given.plus(after);
        }
    };
    broken
        .with(|log| told_at(log, PERMIT_LIFE))
        .expect("the last moment is good");
    broken.breaks("its leave lapsed at", |log| {
        told_at(log, PERMIT_LIFE + Duration::from_millis(1));
    });
}

/// Leave that had lapsed held nobody up any more; then it is made use of after all, as if it had been in time.
#[test]
fn a_section_is_not_entered_beside_whoever_has_got_leave_since() {
    let broken = Broken::new();
    broken.breaks("G2: ", |log| {
        let entry = position(log, |record| enters(record, &broken.second));
        let entry = log[entry].1.clone();
        let gives = |record: &Record| matches!(record, Record::PermitGiven { target, section, .. } if section.outage && *target == broken.second);
        let mut leave = log[position(log, gives)].1.clone();
        let at = log[broken.leave].0;
        let given = at.minus(PERMIT_LIFE);
        if let Record::PermitGiven { lapses, .. } = &mut leave {
            *lapses = at;
        }
        let in_time = |record: &mut Record| {
            if let Record::TargetEvent { at, .. } = record {
                *at = given;
            }
        };
        let mut entry = entry;
        in_time(&mut entry);
        log.insert(broken.leave + 1, (at, entry));
        log.insert(broken.leave, (given, leave));
    });
}

/// A section is brought to its end behind that of its bundle, whoever waits for it still: resolved at the last moment, or unknown since.
#[test]
fn whoever_went_unknown_or_was_resolved_in_its_section_is_in_it_until_the_time_of_its_step_is_over()
{
    let broken = Broken::new();
    let generation = |record: &Record| {
        let Record::BundleIssued {
            target,
            generation,
            expires,
            ..
        } = record
        else {
            return None;
        };
        (*target == broken.first).then_some((*generation, *expires))
    };
    let mut issued = broken.log[..broken.leave].iter().rev();
    let issued = issued.find_map(|(_, record)| generation(record));
    let (generation, expires) = issued.expect("it was issued");
    let gives = |record: &Record| matches!(record, Record::PermitGiven { target, section, .. } if section.outage && *target == broken.second);
    let leave = broken.log[position(&broken.log, gives)].1.clone();
    let target = broken.first.clone();
    let unknown = Record::WentUnknown {
        target: target.clone(),
        generation,
    };
    let resolved = Record::Ordered {
        rollout: ROLLOUT,
        order: Order::Resolve {
            target,
            reason: "somebody looked".to_owned(),
            off: false,
        },
        by: "an operator".to_owned(),
    };
    let (minute, hour) = (Duration::from_secs(60), Duration::from_secs(3600));
    let end = expires.plus(limits::CLOCK_TOLERANCE);
    for (at, ended) in [(end, unknown), (expires.minus(minute), resolved)] {
        let over = at.plus(hour);
        let and_then = |log: &mut Log, given: Timestamp| {
            log.truncate(broken.entered + 1);
            log.extend([(at, ended.clone()), (given, leave.clone())]);
        };
        broken.breaks("G2: ", |log| and_then(log, over.minus(minute)));
        broken
            .with(|log| and_then(log, over))
            .expect("an hour is the most that it takes");
    }
}

/// Nobody waits for the run of the first one any more: what it entered it may be in until its bundle has ended, unless somebody says that the
/// server is off.
#[test]
fn a_run_that_was_given_up_counts_as_inside_until_its_end_or_until_the_server_is_said_to_be_off() {
    let broken = Broken::new();
    let first = || broken.first.clone();
    let resolved = |off: bool| Record::Ordered {
        rollout: ROLLOUT,
        order: Order::Resolve {
            target: first(),
            reason: "somebody looked".to_owned(),
            off,
        },
        by: "an operator".to_owned(),
    };
    let by = || "an operator".to_owned();
    let revoked = || Record::AgentRevoked {
        target: first(),
        key: SigningKey::generate().public().fingerprint(),
        by: by(),
    };
    let replaced = || Record::AgentReplaced {
        target: first(),
        by: by(),
    };
    let is_off = || Record::SaidOff {
        target: first(),
        by: by(),
    };
    let object = GmsaObject {
        domain: "corp.test".parse().expect("a domain"),
        name: None,
    };
    let of = |outage: bool| Section {
        outage,
        gmsa: Some(object.clone()),
    };
    // The first one is in its section, and changes its gMSA there; then so much is said, and the second one gets leave for the same so
    // long after.
    let told = |said: Vec<Record>, after: Duration| {
        broken.with(|log| {
            let gives = |record: &Record| matches!(record, Record::PermitGiven { target, section, .. } if section.outage && *target == broken.second);
            let mut leave = log[position(log, gives)].1.clone();
            for (record, outage) in [(&mut leave, false), (&mut log[broken.leave].1, true)] {
                if let Record::PermitGiven { section, .. } = record {
                    *section = of(outage);
                }
            }
            if let Record::TargetEvent { body, .. } = &mut log[broken.entered].1
                && let Some(Event::SectionEntered { generation, step, .. }) = Event::from_body(body.as_bytes())
            {
                let section = of(true);
                let entered = Event::SectionEntered { generation, step, section };
                *body = String::from_utf8_lossy(&entered.to_body()).into_owned();
            }
            let at = log[broken.entered].0;
            log.truncate(broken.entered + 1);
            log.extend(said.into_iter().map(|record| (at, record)));
            log.push((at.plus(after), leave));
        })
    };
    let soon = Duration::from_secs(1);
    let breaks = |what: &str, said: Vec<Record>, after: Duration| {
        let held = told(said, after);
        let found = held.as_ref().is_err_and(|why| why.contains("G3: "));
        assert!(found, "{what}: {held:?}");
    };
    breaks("it is in it", Vec::new(), soon);
    breaks("resolved", vec![resolved(false)], soon);
    breaks("revoked", vec![revoked()], soon);
    breaks("replaced", vec![replaced()], soon);
    breaks(
        "revoked behind a resolve",
        vec![resolved(false), revoked()],
        soon,
    );
    for (what, said) in [
        ("resolved as off", vec![resolved(true)]),
        (
            "resolved, and off since",
            vec![resolved(false), resolved(true)],
        ),
        ("revoked, and off since", vec![revoked(), is_off()]),
        (
            "revoked, and resolved as off since",
            vec![revoked(), resolved(true)],
        ),
    ] {
        told(said, soon).unwrap_or_else(|why| panic!("{what}: {why}"));
    }
    // Its bundle has ended, and the second one's leave is asked of that alone.
    let ends = broken.log.iter().find_map(|(_, record)| {
        let Record::BundleIssued {
            target, expires, ..
        } = record
        else {
            return None;
        };
        (*target == broken.first).then_some(*expires)
    });
    let left = ends
        .expect("it was issued")
        .since(broken.log[broken.entered].0);
    breaks(
        "its bundle has not ended",
        vec![resolved(false)],
        left.saturating_sub(soon),
    );
    told(vec![resolved(false)], left).expect("its bundle has ended");
}

#[test]
fn a_rule_that_was_set_aside_holds_again_after_its_hour_or_when_it_is_taken_back() {
    let broken = Broken::new();
    broken.breaks("G2: ", |log| broken.gives_both_leave(log));
    let minute = Duration::from_secs(60);
    let both = |said: Vec<(Timestamp, Record)>| {
        broken.with(|log| {
            broken.gives_both_leave(log);
            // The first one enters beside the second one, by leave that was given to it alone: that is asked of another log.
            log.truncate(broken.leave + 2);
            log.splice(broken.leave..broken.leave, said);
        })
    };
    let one = ("an operator", 1);
    both(vec![broken.said(minute, one)]).expect("it is set aside");
    both(vec![broken.said(limits::OVERRIDE_LIFE - minute, one)]).expect("its hour lasts");
    let (first, second) = (("an operator", 2), ("another one", 2));
    let last = broken.said(minute, second);
    both(vec![broken.said(minute * 2, first), last.clone()]).expect("both have said so");
    let withdrawn = Record::OverrideWithdrawn {
        rule: Rule::G2,
        target: broken.second.clone(),
        by: "an operator".to_owned(),
    };
    let at = broken.log[broken.leave].0;
    for (what, said) in [
        (
            "its hour is over",
            vec![broken.said(limits::OVERRIDE_LIFE, one)],
        ),
        (
            "it is taken back",
            vec![broken.said(minute, one), (at, withdrawn)],
        ),
        ("one of two has said so", vec![last.clone()]),
        (
            "the first word of two is too old",
            vec![broken.said(limits::OVERRIDE_LIFE + minute, first), last],
        ),
        (
            "it was said before a restore",
            vec![broken.said(minute, one), (at, broken.restored())],
        ),
    ] {
        let held = both(said);
        let found = held.as_ref().is_err_and(|why| why.contains("G2: "));
        assert!(found, "{what}: {held:?}");
    }
}

#[test]
fn a_restored_log_excuses_the_runs_of_its_former_life_and_no_others() {
    let broken = Broken::new();
    // What the first one had got leave for went with the log.
    let restored = (broken.log[broken.leave].0, broken.restored());
    broken
        .with(|log| log[broken.leave] = restored.clone())
        .expect("its leave was given by a former life");
    broken.breaks("without leave", |log| {
        log[broken.leave] = (NOW, broken.restored());
        let adopted = log.remove(broken.leave);
        let issued = |record: &Record| matches!(record, Record::BundleIssued { target, .. } if *target == broken.first);
        let issued = position(log, issued);
        log.insert(issued, adopted);
    });
}
