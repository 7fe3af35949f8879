//! A product that is watched after it was changed: what its server tells meanwhile is held against what was proven. Nothing
//! is asked and nothing periodic is stored: an agent tells what has changed, and that alone is read here.

use std::time::Duration;

use protocol::facts::{Facts, ServiceState};
use protocol::step::{Product, Step, VerifyConnect, VerifyProvisioningAgent};
use protocol::{Timestamp, Version};

use crate::fleet::live::UNREACHABLE_AFTER;
use crate::plan::TargetPlan;
use crate::policy::Soak;

/// What has become of a product since its watch began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Watched {
    /// What is worse, and since when.
    worse: Option<(Timestamp, String)>,
    /// Nothing that passes by itself explains it.
    at_once: bool,
    /// When its service was started anew.
    restarted: Option<Timestamp>,
    /// It has another version than before, and was not seen to run since.
    upgraded: bool,
    /// When it was seen to run in another version than before, where that began the watch anew.
    anew: Option<Timestamp>,
    /// What it is held against, kept over what could not be read in between.
    proven: Proven,
}

/// What was read last of each version, and first of all else, since the watch began.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Proven {
    agent: Option<Version>,
    account: Option<String>,
    connect: Option<Version>,
    staging: Option<bool>,
}

impl Proven {
    fn learn(&mut self, facts: &Facts) {
        if let Some(agent) = &facts.provisioning_agent {
            self.agent = agent.version.or(self.agent);
            self.account = self.account.take().or_else(|| agent.account.clone());
        }
        if let Some(connect) = &facts.connect {
            self.connect = connect.version.or(self.connect);
            self.staging = self.staging.or(connect.staging);
        }
    }
}

/// What facts show of a product that is watched.
#[derive(Debug, Default)]
struct Look {
    /// A restart or an upgrade by itself looks like this for a while.
    passes: Option<String>,
    /// Neither does this.
    stays: Option<String>,
    /// Its version has risen.
    newer: bool,
}

impl Watched {
    /// Takes up what its server tells. True when it has upgraded itself and runs: its watch begins anew.
    pub(crate) fn told(
        &mut self,
        steps: &[Step],
        before: Option<&Facts>,
        is: &Facts,
        now: Timestamp,
    ) -> bool {
        if let Some(before) = before {
            self.proven.learn(before);
        }
        let look = look(steps, &self.proven, is);
        self.proven.learn(is);
        self.upgraded |= look.newer;
        let at_once = look.stays.is_some();
        let Some(why) = look.stays.or(look.passes) else {
            (self.worse, self.at_once) = (None, false);
            return self.upgraded;
        };
        // One reason may follow another: it is worse since the first of them.
        let since = self.worse.as_ref().filter(|_| self.at_once == at_once);
        let since = since.map_or(now, |(since, _)| *since);
        (self.worse, self.at_once) = (Some((since, why)), at_once);
        false
    }

    /// Another version is another product, which is watched from here on: as the same account, and in the same mode.
    pub(crate) fn anew(&mut self, now: Timestamp) {
        *self = Self {
            anew: Some(now),
            proven: std::mem::take(&mut self.proven),
            ..Self::default()
        };
    }

    /// Its service was started anew. The start that brought another version may be seen by a pulse behind the facts that tell of that
    /// version: it explains that one as well.
    pub(crate) fn restarted(&mut self, now: Timestamp) {
        let upgraded = self.anew.is_some_and(|at| now < at.plus(UNREACHABLE_AFTER));
        if !upgraded {
            self.restarted.get_or_insert(now);
        }
    }

    /// What is worse, since when, and whether that is looked at for a while before it counts.
    fn first(&self) -> Option<(Timestamp, &str, bool)> {
        let restarted = "its service was started anew, and its version is what it was";
        let worse = self.worse.as_ref();
        let worse = worse.map(|(since, why)| (*since, why.as_str(), !self.at_once));
        let restarted = self.restarted.map(|since| (since, restarted, true));
        match (worse, restarted) {
            (Some(worse), Some(restarted)) if worse.2 && restarted.0 < worse.0 => Some(restarted),
            (Some(worse), _) => Some(worse),
            (None, restarted) => restarted,
        }
    }

    /// What is worse, in words; `None` while nothing is known to be.
    pub(crate) fn why(&self) -> Option<&str> {
        self.first().map(|(_, why, _)| why)
    }

    /// When it has failed, if nothing more is told.
    pub(crate) fn fails(&self, grace: Duration) -> Option<Timestamp> {
        self.fails_behind(grace, None)
    }

    /// The same where its server came back at `back`: whoever was away had no time to tell.
    pub(crate) fn fails_behind(
        &self,
        grace: Duration,
        back: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let (since, _, passes) = self.first()?;
        let since = back.filter(|_| passes).map_or(since, |at| since.max(at));
        Some(if passes { since.plus(grace) } else { since })
    }

    /// It fails whoever is here: no later word could mend it.
    pub(crate) fn is_plain(&self) -> bool {
        self.first().is_some_and(|(_, _, passes)| !passes)
    }
}

/// Which product the last phase of a target verifies.
pub(crate) fn product(steps: &[Step]) -> Option<Product> {
    steps.iter().find_map(|step| {
        if let Step::VerifyProvisioningAgent(_) = step {
            Some(Product::ProvisioningAgent)
        } else if let Step::VerifyConnect(_) = step {
            Some(Product::Connect)
        } else {
            None
        }
    })
}

/// How long what may pass by itself is given to do so: a whole cycle of the product, since one that it missed is one for which
/// it was not there; and never less than an agent may be away unnoticed.
pub(crate) fn grace(part: &TargetPlan) -> Duration {
    let last = part.phases.last().map_or(&[][..], |last| &last.steps);
    let cycle = product(last).map_or(0, Soak::cycle);
    Duration::from_secs(u64::from(cycle)).max(UNREACHABLE_AFTER)
}

fn look(steps: &[Step], proven: &Proven, is: &Facts) -> Look {
    let mut all = Look::default();
    for step in steps {
        let one = if let Step::VerifyProvisioningAgent(verify) = step {
            agent(verify, proven, is)
        } else if let Step::VerifyConnect(verify) = step {
            connect(verify, proven, is)
        } else {
            continue;
        };
        all.passes = all.passes.or(one.passes);
        all.stays = all.stays.or(one.stays);
        all.newer |= one.newer;
    }
    all
}

/// What could not be read is no failure: where anything could not, what is missing may be there.
fn gone(is: &Facts, what: &str) -> Option<String> {
    let whole = is.unread.is_empty();
    whole.then(|| format!("{what} is gone"))
}

fn service(state: Option<ServiceState>, look: &mut Look, is: &Facts) {
    match state {
        Some(ServiceState::Running) => {}
        Some(ServiceState::NotRunning) => {
            look.passes
                .get_or_insert_with(|| "its service does not run".to_owned());
        }
        Some(ServiceState::Disabled) => {
            look.stays
                .get_or_insert_with(|| "its service is stopped and disabled".to_owned());
        }
        None => look.passes = look.passes.take().or_else(|| gone(is, "its service")),
    }
}

fn version(
    (was, now): (Option<Version>, Option<Version>),
    at_least: Version,
    look: &mut Look,
    is: &Facts,
) {
    let Some(now) = now else {
        look.passes = look.passes.take().or_else(|| gone(is, "its program"));
        return;
    };
    if let Some(was) = was.filter(|was| now < *was) {
        look.stays = Some(format!("its version is {now} and was {was}"));
    } else if now < at_least {
        look.stays = Some(format!("its version is {now}, wanted was {at_least}"));
    }
    look.newer = was.is_some_and(|was| now > was);
}

fn agent(verify: &VerifyProvisioningAgent, proven: &Proven, is: &Facts) -> Look {
    let mut look = Look::default();
    let Some(agent) = &is.provisioning_agent else {
        look.passes = gone(is, "the provisioning agent");
        return look;
    };
    service(agent.service, &mut look, is);
    let versions = (proven.agent, agent.version);
    version(versions, verify.at_least, &mut look, is);
    // An upgrade by itself may give the service its first account for a while.
    if let Some((was, now)) = proven
        .account
        .as_ref()
        .zip(agent.account.as_ref())
        .filter(|(was, now)| !was.eq_ignore_ascii_case(now))
    {
        let why = format!("its service runs as {now} and ran as {was}");
        look.passes.get_or_insert(why);
    }
    match &agent.tenant {
        Some(tenant) if *tenant != verify.tenant => {
            let why = format!("it is registered with tenant {tenant}");
            look.stays.get_or_insert(why);
        }
        Some(_) => {}
        None => {
            look.passes = look
                .passes
                .take()
                .or_else(|| gone(is, "its registration with the tenant"));
        }
    }
    look
}

fn connect(verify: &VerifyConnect, proven: &Proven, is: &Facts) -> Look {
    let mut look = Look::default();
    let Some(connect) = &is.connect else {
        look.passes = gone(is, "Connect Sync");
        return look;
    };
    service(connect.service, &mut look, is);
    let versions = (proven.connect, connect.version);
    version(versions, verify.at_least, &mut look, is);
    let mode = |staging| if staging { "staging" } else { "active" };
    let meant = verify.staging.or(proven.staging);
    // A scheduler that does not answer is no mode: whether it is worse cannot be told.
    if let Some((meant, now)) = meant
        .zip(connect.staging)
        .filter(|(meant, now)| meant != now)
    {
        let why = format!("it is {} and was {}", mode(now), mode(meant));
        look.stays.get_or_insert(why);
    }
    look
}

#[cfg(test)]
mod tests {
    use protocol::facts;
    use protocol::facts::{ConnectFacts, HostFacts};

    use super::*;

    const WANTED: Version = Version::new(2, 6, 92, 0);

    fn server(staging: Option<bool>, service: ServiceState) -> Facts {
        facts::Facts {
            simulated: true,
            agent_version: String::new(),
            host: HostFacts {
                os: String::new(),
                build: 20348,
                domain: None,
                domain_controller: false,
                reboot_pending: false,
            },
            provisioning_agent: None,
            connect: Some(ConnectFacts {
                version: Some(WANTED),
                service: Some(service),
                staging,
                cycle_enabled: staging,
                suspended: None,
            }),
            unread: Vec::new(),
            console_open: false,
        }
    }

    fn proven(facts: &Facts) -> Proven {
        let mut proven = Proven::default();
        proven.learn(facts);
        proven
    }

    fn steps(staging: Option<bool>) -> Vec<Step> {
        vec![Step::VerifyConnect(VerifyConnect {
            at_least: WANTED,
            staging,
            forests: Vec::new(),
            password_sync: false,
            soaked_seconds: None,
        })]
    }

    #[test]
    fn a_mode_that_is_not_the_one_that_was_proven_is_no_restart() {
        let was = server(Some(true), ServiceState::Running);
        for meant in [None, Some(true)] {
            let is = server(Some(false), ServiceState::Running);
            let look = look(&steps(meant), &proven(&was), &is);
            assert_eq!(look.stays.as_deref(), Some("it is active and was staging"));
        }
        // A scheduler that does not answer says nothing of the mode.
        let is = server(None, ServiceState::Running);
        let look = look(&steps(Some(true)), &proven(&was), &is);
        assert_eq!((look.stays, look.passes), (None, None));
    }

    #[test]
    fn what_could_not_be_read_in_between_hides_no_change_of_mode() {
        let (was, unread, active) = (
            server(Some(true), ServiceState::Running),
            server(None, ServiceState::Running),
            server(Some(false), ServiceState::Running),
        );
        let now = Timestamp::from_millis(0);
        // Also over an upgrade by itself, whose end begins the watch anew.
        for upgraded in [false, true] {
            let mut watched = Watched::default();
            assert!(!watched.told(&steps(None), Some(&was), &unread, now));
            assert_eq!(watched.why(), None);
            if upgraded {
                watched.anew(now);
            }
            watched.told(&steps(None), Some(&unread), &active, now);
            assert_eq!(watched.why(), Some("it is active and was staging"));
            assert!(watched.is_plain());
            // It does not get better by being told twice.
            watched.told(&steps(None), Some(&active), &active, now);
            assert!(watched.is_plain());
        }
    }

    #[test]
    fn an_engine_that_is_gone_may_be_in_the_middle_of_an_upgrade_and_a_fence_is_not() {
        let was = server(Some(true), ServiceState::Running);
        let mut gone = was.clone();
        gone.connect = None;
        let seen = look(&steps(None), &proven(&was), &gone);
        assert_eq!(seen.passes.as_deref(), Some("Connect Sync is gone"));
        gone.unread = vec!["the service could not be read".to_owned()];
        let seen = look(&steps(None), &proven(&was), &gone);
        assert_eq!((seen.passes, seen.stays), (None, None));
        let fenced = server(Some(true), ServiceState::Disabled);
        assert!(look(&steps(None), &proven(&was), &fenced).stays.is_some());
    }

    #[test]
    fn what_counts_at_once_is_not_hidden_by_what_may_pass() {
        let was = server(Some(true), ServiceState::Running);
        let (now, grace) = (Timestamp::from_millis(0), Duration::from_secs(300));
        let mut watched = Watched::default();
        let stopped = server(Some(true), ServiceState::NotRunning);
        assert!(!watched.told(&steps(None), Some(&was), &stopped, now));
        assert_eq!(watched.fails(grace), Some(now.plus(grace)));
        let later = now.plus(Duration::from_secs(60));
        let active = server(Some(false), ServiceState::NotRunning);
        watched.told(&steps(None), Some(&stopped), &active, later);
        assert_eq!(watched.fails(grace), Some(later));
        assert!(watched.is_plain());
    }

    /// Facts and pulses are read beside each other: of an upgrade by itself either may come first.
    #[test]
    fn the_start_of_a_new_version_is_no_restart_whether_it_is_told_before_or_behind_that_version() {
        let at = |seconds: u64| Timestamp::from_millis(0).plus(Duration::from_secs(seconds));
        let was = server(Some(true), ServiceState::Running);
        let mut newer = was.clone();
        let version = Some(Version::new(2, 6, 93, 0));
        newer.connect.as_mut().expect("it is there").version = version;
        for before in [true, false] {
            let mut watched = Watched::default();
            if before {
                watched.restarted(at(80));
            }
            assert!(watched.told(&steps(None), Some(&was), &newer, at(100)));
            watched.anew(at(100));
            if !before {
                watched.restarted(at(120));
            }
            assert_eq!(watched.why(), None);
            // What comes later is a start of the version that it has.
            let late = at(100).plus(UNREACHABLE_AFTER);
            watched.restarted(late);
            assert!(
                watched
                    .why()
                    .is_some_and(|why| why.contains("started anew"))
            );
            assert_eq!(
                watched.fails(UNREACHABLE_AFTER),
                Some(late.plus(UNREACHABLE_AFTER))
            );
        }
    }

    /// It is worse since the first of them, and what nothing explains counts before what may pass.
    #[test]
    fn of_a_restart_and_what_is_worse_the_first_counts_unless_one_is_no_restart() {
        let was = server(Some(true), ServiceState::Running);
        let at = |seconds: u64| Timestamp::from_millis(0).plus(Duration::from_secs(seconds));
        let grace = Duration::from_secs(300);
        let stopped = server(Some(true), ServiceState::NotRunning);
        let active = server(Some(false), ServiceState::Running);
        let (anew, stands) = ("its service was started anew", "its service does not run");
        let cases = [
            (&stopped, 100, 60, anew, at(360), false),
            (&stopped, 60, 100, stands, at(360), false),
            (&stopped, 60, 60, stands, at(360), false),
            (
                &active,
                100,
                60,
                "it is active and was staging",
                at(100),
                true,
            ),
        ];
        for (is, worse, restarted, why, fails, plain) in cases {
            let mut watched = Watched::default();
            watched.restarted(at(restarted));
            watched.restarted(at(restarted + 900));
            assert!(!watched.told(&steps(None), Some(&was), is, at(worse)));
            assert!(watched.why().is_some_and(|said| said.starts_with(why)));
            assert_eq!(
                (watched.fails(grace), watched.is_plain()),
                (Some(fails), plain)
            );
            // Whoever was away until then had no time to tell what passes.
            let back = watched.fails_behind(grace, Some(at(200)));
            let later = if plain { fails } else { at(500) };
            assert_eq!(back, Some(later), "{why}");
        }
    }
}
