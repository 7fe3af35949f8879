//! How long a plan usually takes, and when which person is needed: the plan laid out by what its steps usually take. Windows of
//! sites, people's own pace and what fails come on top, so it is an orientation and nothing rests on it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use protocol::signed::Phase;
use protocol::step::{DirectoryRights, RestartBy, SignIn, Step};
use protocol::{DomainName, TargetId, TenantId};

use crate::plan::{Plan, TargetPlan};
use crate::recipe::PhaseWork;
use crate::taken::{Taken, depends_on_the_server};

/// How long an access token is good for: that of Microsoft Entra in general, 60 to 90 minutes, of which the shorter is planned
/// with (product facts 1.4 [K]: not the vendor's word on this token).
pub const TOKEN_LIFE: Duration = Duration::from_secs(60 * 60);

/// What a person must bring.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Brings {
    /// An access token, which serves every server that comes to its sign-in in its life.
    Token,
    /// User name and password, which lapse with nothing.
    Credential,
    /// User name and password of an administrator of that domain, where its topology says that Entrain asks for them.
    Domain(DomainName),
    /// Themselves, at the server, for that step.
    Person(&'static str),
}

/// One sign-in, or one visit of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appointment {
    /// Whose sign-in.
    pub tenant: TenantId,
    /// What is brought.
    pub brings: Brings,
    /// When it is due, from the beginning on.
    pub due: Duration,
    /// When the last server is through with it.
    pub until: Duration,
    /// Which servers it covers, in their order.
    pub covers: Vec<TargetId>,
    /// How many questions it answers: each step of each server asks anew, and what a step was given is dropped with its run.
    pub asks: usize,
}

/// A plan in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timetable {
    /// How long all of it takes, without what is not known.
    pub all: Duration,
    /// Servers on which something is waited for that may take hours, and that nobody has measured there.
    pub untold: BTreeSet<TargetId>,
    /// When people are needed, in this order.
    pub appointments: Vec<Appointment>,
}

/// A step for which somebody is needed.
struct Need {
    tenant: TenantId,
    brings: Brings,
    from: Duration,
    to: Duration,
    target: TargetId,
}

/// Lays a plan out.
#[must_use]
pub fn timetable(plan: &Plan, taken: &Taken) -> Timetable {
    let domains = plan.domains.values();
    let serve = domains.flat_map(|domain| domain.serving.iter().chain(&domain.running));
    let mut laid = Laid {
        plan,
        taken,
        serve: serve.collect(),
        needs: Vec::new(),
        free: BTreeMap::new(),
        all: Duration::ZERO,
        untold: BTreeSet::new(),
    };
    if plan.waits.is_empty() {
        laid.waves();
    } else {
        laid.in_order();
    }
    let all = laid.all;
    Timetable {
        all,
        untold: laid.untold,
        appointments: appointments(laid.needs),
    }
}

struct Laid<'a> {
    plan: &'a Plan,
    taken: &'a Taken,
    /// Servers whose product is taken out of service when they are changed.
    serve: BTreeSet<&'a TargetId>,
    needs: Vec<Need>,
    /// From when on a domain's servers may be changed again: those that share one take turns.
    free: BTreeMap<&'a DomainName, Duration>,
    all: Duration,
    untold: BTreeSet<TargetId>,
}

impl<'a> Laid<'a> {
    /// Phases that wait for those of other servers, one after the other.
    fn in_order(&mut self) {
        let plan = self.plan;
        let mut at = Duration::ZERO;
        for (target, place) in plan.in_order() {
            let Some(part) = plan.targets.get(target) else {
                continue;
            };
            if let Some(phase) = part.phases.get(place) {
                at = self.phase(target, part, phase, at);
            }
        }
        self.all = at;
    }

    /// Wave after wave; in each the canaries of a lane before its others, and as many at once as the limits let.
    fn waves(&mut self) {
        let plan = self.plan;
        let mut floor = Duration::ZERO;
        for wave in &plan.waves {
            let parts: Vec<(&TargetId, &TargetPlan)> = wave
                .iter()
                .filter_map(|target| plan.targets.get_key_value(target))
                .collect();
            let reads = parts.iter().all(|(_, part)| part.is_read_only());
            // What only reads has no limit and no canary.
            let at_once = if reads {
                parts.len()
            } else {
                plan.limits.in_flight.min(plan.limits.failures) as usize
            };
            let mut counted: BTreeMap<(&str, Option<u32>), u32> = BTreeMap::new();
            let (canaries, others): (Vec<_>, Vec<_>) = parts.into_iter().partition(|(_, part)| {
                let seen = counted.entry((&part.lane, part.build)).or_default();
                *seen += 1;
                *seen <= plan.limits.canary
            });
            let mut slots: BinaryHeap<Reverse<Duration>> =
                std::iter::repeat_n(Reverse(floor), at_once.max(1)).collect();
            let mut lanes: BTreeMap<&str, Duration> = BTreeMap::new();
            for (target, part) in canaries {
                let end = self.target(target, part, floor, &mut slots);
                let lane = lanes.entry(&part.lane).or_default();
                *lane = end.max(*lane);
            }
            for (target, part) in others {
                let after = match lanes.get(part.lane.as_str()) {
                    Some(after) if !reads => *after,
                    Some(_) | None => floor,
                };
                self.target(target, part, after, &mut slots);
            }
            floor = self.all;
        }
    }

    /// One target, in the first place that is free.
    fn target(
        &mut self,
        target: &TargetId,
        part: &'a TargetPlan,
        after: Duration,
        slots: &mut BinaryHeap<Reverse<Duration>>,
    ) -> Duration {
        let Reverse(slot) = slots.pop().unwrap_or_default();
        let mut at = slot.max(after);
        let mut busy = None;
        for phase in &part.phases {
            // While its product is watched it takes no place of those that are under way.
            if phase.phase == Phase::Soak {
                busy = busy.or(Some(at));
            }
            // Who takes a domain's agent out of service, or changes its gMSA, does so alone (G2, G3).
            let turns = phase.phase == Phase::Register || self.serve.contains(target);
            let alone = turns && !phase.is_read_only();
            if alone {
                let free = part
                    .domains
                    .iter()
                    .filter_map(|domain| self.free.get(domain));
                at = free.copied().max().map_or(at, |free| at.max(free));
            }
            at = self.phase(target, part, phase, at);
            if alone {
                for domain in &part.domains {
                    self.free.insert(domain, at);
                }
            }
        }
        self.all = self.all.max(at);
        slots.push(Reverse(busy.unwrap_or(at)));
        at
    }

    /// Lays out a phase from `at` on, and gives its end.
    fn phase(
        &mut self,
        target: &TargetId,
        part: &TargetPlan,
        phase: &PhaseWork,
        mut at: Duration,
    ) -> Duration {
        if phase.phase == Phase::Soak {
            at += Duration::from_secs(part.soak_seconds.into());
        }
        // Whether Windows waits for a restart is known when the server is asked: most do not, so none is laid out.
        let steps = phase.steps.iter();
        let steps = steps.filter(|step| !matches!(step, Step::RestartServer(_)));
        for step in steps {
            let takes = self.taken.usual(target, step).takes;
            if takes.is_none() {
                self.untold.insert(target.clone());
            }
            let to = at + takes.unwrap_or_default();
            for (brings, _) in left_to_people(step) {
                self.needs.push(Need {
                    tenant: part.tenant.clone(),
                    brings,
                    from: at,
                    to,
                    target: target.clone(),
                });
            }
            at = to;
        }
        at
    }
}

/// What people must bring to a step, one for each question that it asks, and why the product leaves it to people (product facts 1.4, 1.5).
pub(super) fn left_to_people(step: &Step) -> Vec<(Brings, &str)> {
    let visit = |text| vec![(Brings::Person(step.title()), text)];
    let (sign_in, domains) = match step {
        Step::RegisterProvisioningAgent(register) => (register.sign_in, &register.domains),
        Step::AddDomains(add) => (add.sign_in, &add.domains),
        Step::GuideProvisioningAgent(guide) => return visit(guide.text.why.as_str()),
        Step::GuideConnect(guide) => return visit(&guide.text.why),
        Step::GuideConnectRemoval(guide) => return visit(&guide.text.why),
        Step::GuideTransition(guide) => return visit(&guide.text.why),
        Step::RestartServer(restart) => {
            return match &restart.by {
                RestartBy::Person(text) => visit(&text.why),
                RestartBy::Agent => Vec::new(),
            };
        }
        Step::ReportFacts
        | Step::DiscoverServers(_)
        | Step::Preflight(_)
        | Step::InstallProvisioningAgent(_)
        | Step::SetProvisioningAgentOptions(_)
        | Step::VerifyProvisioningAgent(_)
        | Step::StageConnect(_)
        | Step::VerifyConnect(_)
        | Step::ReviewConnectExports(_)
        | Step::ReadConnectSettings
        | Step::FenceConnect
        | Step::VerifyConnectRemoved
        | Step::RemoveProvisioningAgent(_)
        | Step::VerifyProvisioningAgentRemoved(_)
        | Step::CollectSupport(_)
        | Step::UpgradeAgent(_)
        | Step::StartProvisioningAgent(_)
        | Step::CheckTransition
        | Step::UndoFixes(_)
        | Step::AwaitFullSync(_) => return Vec::new(),
    };
    let tenant = match sign_in {
        SignIn::Token => (
            Brings::Token,
            "a sign-in of a person stands behind each: no way by certificate or application is documented, and none without one where multi-factor authentication is asked for",
        ),
        SignIn::Credential => (
            Brings::Credential,
            "the product takes user name and password of an account; no way by certificate or application is documented",
        ),
        SignIn::Wizard => (
            Brings::Person(step.title()),
            "the vendor documents no other way for this cloud or account",
        ),
    };
    // At the wizard a person types it, and nothing asks for it.
    let asked = domains
        .iter()
        .filter(|domain| sign_in != SignIn::Wizard && domain.rights == DirectoryRights::Ask);
    let asked = asked.map(|domain| {
        (
            Brings::Domain(domain.name.clone()),
            "directory = \"ask\": the cmdlets take a domain administrator's user name and password",
        )
    });
    std::iter::once(tenant).chain(asked).collect()
}

/// Puts together what one sign-in covers: a token every server that is through within its life.
fn appointments(mut needs: Vec<Need>) -> Vec<Appointment> {
    needs.sort_by(|a, b| (a.from, &a.target).cmp(&(b.from, &b.target)));
    let mut all: Vec<Appointment> = Vec::new();
    let mut open: BTreeMap<(TenantId, Brings), usize> = BTreeMap::new();
    let mut covered: BTreeSet<(usize, TargetId)> = BTreeSet::new();
    for need in needs {
        let key = (need.tenant, need.brings.clone());
        let place = open.get(&key).copied();
        let last = place.and_then(|place| all.get_mut(place));
        let fits = |last: &Appointment| match need.brings {
            Brings::Token => need.to <= last.due + TOKEN_LIFE,
            Brings::Credential | Brings::Domain(_) => true,
            Brings::Person(_) => false,
        };
        if let Some(last) = last.filter(|last| fits(last)) {
            last.until = last.until.max(need.to);
            last.asks += 1;
            if place.is_some_and(|place| covered.insert((place, need.target.clone()))) {
                last.covers.push(need.target);
            }
            continue;
        }
        covered.insert((all.len(), need.target.clone()));
        open.insert(key.clone(), all.len());
        let (tenant, brings) = key;
        all.push(Appointment {
            tenant,
            brings,
            due: need.from,
            until: need.to,
            covers: vec![need.target],
            asks: 1,
        });
    }
    all
}

/// Each kind of step in a plan, in the order of their first appearance, with the first server that has it; what takes another time on
/// each server stands there for each of them.
#[must_use]
pub(super) fn steps(plan: &Plan) -> Vec<(&TargetId, &Step)> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::new();
    for target in plan.waves.iter().flatten() {
        let phases = plan.targets.get(target).map(|part| &part.phases);
        for step in phases.into_iter().flatten().flat_map(|phase| &phase.steps) {
            let whose = depends_on_the_server(step).then_some(target);
            if seen.insert((step.title(), whose)) {
                all.push((target, step));
            }
        }
    }
    all
}

/// A time in words: minutes, rounded up, hours with them, days with hours.
#[must_use]
pub(super) fn about(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60).max(1);
    let (hours, rest) = (minutes / 60, minutes % 60);
    match (hours, rest) {
        (0, minutes) => format!("{minutes} min"),
        (hours, 0) if hours < 48 => format!("{hours} h"),
        (hours, rest) if hours < 48 => format!("{hours} h {rest} min"),
        (hours, _) => format!("{} days {} h", hours / 24, hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    fn need(brings: Brings, number: u32, from: u64, to: u64) -> Need {
        Need {
            tenant: "3f0c8a4e-0000-0000-0000-000000000000".parse().unwrap(),
            brings,
            from: minutes(from),
            to: minutes(to),
            target: format!("s{number}.a.test").parse().unwrap(),
        }
    }

    #[test]
    fn a_token_covers_whoever_is_through_within_its_life_and_a_visit_covers_one() {
        let needs = (0..8).map(|n| {
            need(
                Brings::Token,
                n,
                10 + 20 * u64::from(n),
                15 + 20 * u64::from(n),
            )
        });
        let batches = appointments(needs.collect());
        let covered: Vec<(u64, usize)> = batches
            .iter()
            .map(|one| (one.due.as_secs() / 60, one.covers.len()))
            .collect();
        assert_eq!(covered, [(10, 3), (70, 3), (130, 2)]);
        assert!(batches.iter().all(|one| one.until <= one.due + TOKEN_LIFE));
        let credential = (0..8).map(|n| need(Brings::Credential, n, 90 * u64::from(n), 90));
        assert_eq!(appointments(credential.collect()).len(), 1);
        let visits = (0..3).map(|n| need(Brings::Person("a wizard"), n, 1, 9));
        assert_eq!(appointments(visits.collect()).len(), 3);
    }

    #[test]
    fn times_are_told_as_people_say_them() {
        let told = [0, 59, 61, 3600, 3660, 90_000, 190_000]
            .map(|seconds| about(Duration::from_secs(seconds)));
        assert_eq!(
            told,
            [
                "1 min",
                "1 min",
                "2 min",
                "1 h",
                "1 h 1 min",
                "25 h",
                "2 days 4 h"
            ]
        );
    }
}
