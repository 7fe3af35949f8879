//! Where in a recipe a step stands, as the rows of faults ask for it.

use protocol::facts::{Facts, ProvisioningAgentFacts, ServiceState};
use protocol::step::{
    ConnectWork, DirectoryRights, OwnRights, Permission, Preflight, Product, RestartBy,
    ServedDomain, SetProvisioningAgentOptions, SignIn, Step,
};
use protocol::{TargetId, Version};

/// A step in its place.
pub(super) struct Place<'a> {
    pub(super) step: &'a Step,
    /// What was before it on this server.
    pub(super) before: &'a [&'a Step],
    pub(super) target: &'a TargetId,
    /// What the server reported before all of it.
    pub(super) facts: &'a Facts,
}

impl Place<'_> {
    /// The engine answers, as far as was reported.
    pub(super) fn answers(&self) -> bool {
        let state = self.facts.connect.as_ref().and_then(|one| one.service);
        state.is_none_or(|state| state == ServiceState::Running)
    }

    pub(super) fn follows(&self, step: fn(&Step) -> bool) -> bool {
        self.before.iter().any(|one| step(one))
    }
}

pub(super) type At = fn(&Place<'_>) -> bool;

pub(super) fn preflight<'a>(place: &Place<'a>) -> Option<&'a Preflight> {
    match place.step {
        Step::Preflight(preflight) => Some(preflight),
        _ => None,
    }
}

pub(super) fn any(place: &Place<'_>) -> bool {
    preflight(place).is_some()
}

pub(super) fn agent(place: &Place<'_>) -> bool {
    preflight(place).is_some_and(|one| one.product == Product::ProvisioningAgent)
}

pub(super) fn connect(place: &Place<'_>) -> bool {
    preflight(place).is_some_and(|one| one.product == Product::Connect)
}

/// Connect in a cloud for which no source names its web service.
pub(super) fn connect_elsewhere(place: &Place<'_>) -> bool {
    let elsewhere = |one: &Preflight| one.cloud != protocol::step::Cloud::Commercial;
    connect(place) && preflight(place).is_some_and(elsewhere)
}

/// Controllers of a domain are preferred.
pub(super) fn prefers(place: &Place<'_>) -> bool {
    let named = |one: &Preflight| one.domains.iter().any(|one| !one.preferred_dcs.is_empty());
    preflight(place).is_some_and(named)
}

/// The engine is there and is to be upgraded.
pub(super) fn engine(place: &Place<'_>) -> bool {
    connect(place) && preflight(place).is_some_and(|one| one.present)
}

/// The engine is there and stays as it is: it is as new as what would be installed.
pub(super) fn stays(place: &Place<'_>) -> bool {
    engine(place) && preflight(place).is_some_and(|one| one.stays)
}

/// The agent is there.
pub(super) fn there(place: &Place<'_>) -> bool {
    agent(place) && preflight(place).is_some_and(|one| one.present)
}

/// The agent is there, with rights of its own.
pub(super) fn with_rights(place: &Place<'_>) -> bool {
    there(place) && preflight(place).is_some_and(|one| one.own_rights.is_some())
}

/// The agent that is there is of before the first version that does without outgoing NTLM (1.11 [R]).
pub(super) fn needs_ntlm(place: &Place<'_>) -> bool {
    there(place) && reported_version(place).is_some_and(|version| version < REBUILT)
}

/// From this version on the agent does without outgoing NTLM, and its setup keeps edits of its configuration file (1.11 [R]).
const REBUILT: Version = Version::new(1, 1, 1365, 0);

fn reported_version(place: &Place<'_>) -> Option<Version> {
    let agent = place.facts.provisioning_agent.as_ref();
    agent.and_then(|agent| agent.version)
}

/// Users or groups are to be made in a domain's directory.
pub(super) fn creates(place: &Place<'_>) -> bool {
    let sets = [Permission::UserGroupCreateDelete, Permission::All];
    let writes = |domain: &ServedDomain| sets.iter().any(|one| domain.permissions.contains(one));
    preflight(place).is_some_and(|one| one.domains.iter().any(writes))
}

/// Connect synchronizes chosen organizational units.
pub(super) fn chosen(place: &Place<'_>) -> bool {
    preflight(place).is_some_and(|one| !one.chosen.is_empty())
}

/// What another run may set on a server for an agent is asked alone.
pub(super) fn agent_another_fixes(place: &Place<'_>) -> bool {
    agent(place) && preflight(place).is_some_and(|one| !one.will_fix.is_empty())
}

/// The server's own domain, where the account lives, is among those that are served. It is asked in any case.
pub(super) fn home(place: &Place<'_>) -> bool {
    let own = place.target.home_domain();
    let served = |one: &Preflight| {
        one.domains
            .iter()
            .any(|domain| Some(&domain.name) == own.as_ref())
    };
    agent(place) && preflight(place).is_some_and(served)
}

pub(super) fn several(place: &Place<'_>) -> bool {
    preflight(place).is_some_and(|one| one.domains.len() > 1)
}

/// The other product was not there when the plan was made.
pub(super) fn alone(place: &Place<'_>) -> bool {
    agent(place) && place.facts.connect.is_none()
        || connect(place) && place.facts.provisioning_agent.is_none()
}

/// The agent stands beside Connect, which is what is changed.
pub(super) fn beside_agent(place: &Place<'_>) -> bool {
    connect(place) && place.facts.provisioning_agent.is_some()
}

pub(super) fn beside_engine(place: &Place<'_>) -> bool {
    agent(place) && place.facts.connect.is_some()
}

pub(super) fn report(place: &Place<'_>) -> bool {
    matches!(place.step, Step::ReportFacts)
}

/// The rules of the server's site have a restart of Windows behind it.
pub(super) fn restarts(place: &Place<'_>) -> bool {
    preflight(place).is_some_and(|one| one.restarts)
}

pub(super) fn counts(place: &Place<'_>) -> bool {
    preflight(place).is_some_and(|one| one.census)
}

/// A full SQL Server holds more than LocalDB.
pub(super) fn counts_full_sql(place: &Place<'_>) -> bool {
    counts(place) && preflight(place).is_some_and(|one| one.database.is_some())
}

pub(super) fn counts_agent(place: &Place<'_>) -> bool {
    agent(place) && counts(place)
}

pub(super) fn anchors(place: &Place<'_>) -> bool {
    agent(place) && preflight(place).is_some_and(|one| !one.both_tools.is_empty())
}

/// The same of an agent that is there, for which nothing is counted any more.
pub(super) fn anchors_uncounted(place: &Place<'_>) -> bool {
    anchors(place) && !counts(place)
}

/// The account is named: one that the domain's administrator made beforehand, or the agent's own.
pub(super) fn named(place: &Place<'_>) -> bool {
    agent(place) && preflight(place).is_some_and(|one| one.gmsa.is_some())
}

/// The product makes the account, or the domain's administrator gives a credential for it.
pub(super) fn makes(place: &Place<'_>) -> bool {
    let asks = |one: &Preflight| {
        let mut domains = one.domains.iter();
        domains.any(|domain| domain.rights == DirectoryRights::Ask)
    };
    agent(place) && preflight(place).is_some_and(|one| one.gmsa.is_none() || asks(one))
}

pub(super) fn proxied(place: &Place<'_>) -> bool {
    agent(place) && preflight(place).is_some_and(|one| one.options.proxy.is_some())
}

/// The proxy of Connect's engine is planned, and demands a sign-in.
pub(super) fn engine_proxied(place: &Place<'_>) -> bool {
    connect(place) && preflight(place).is_some_and(|one| one.proxy_signs_in)
}

/// Behind the work at Connect's wizard.
pub(super) fn awaits(place: &Place<'_>) -> bool {
    matches!(place.step, Step::AwaitFullSync(_))
}

/// The same on a server that had no engine before.
pub(super) fn awaits_first(place: &Place<'_>) -> bool {
    awaits(place) && place.facts.connect.is_none()
}

pub(super) fn exempt(place: &Place<'_>) -> bool {
    preflight(place).is_some_and(|one| one.options.fips_exempt)
}

/// Somebody gives a token or a credential, and cmdlets take it.
pub(super) fn cmdlets(place: &Place<'_>) -> bool {
    agent(place) && preflight(place).is_some_and(|one| one.sign_in != SignIn::Wizard)
}

pub(super) fn wizard(place: &Place<'_>) -> bool {
    agent(place) && preflight(place).is_some_and(|one| one.sign_in == SignIn::Wizard)
}

pub(super) fn beyond_commercial(place: &Place<'_>) -> bool {
    preflight(place).is_some_and(|one| one.cloud == protocol::step::Cloud::China)
}

pub(super) fn is_setup(step: &Step) -> bool {
    matches!(step, Step::InstallProvisioningAgent(_))
}

/// A setup ran on this server before.
pub(super) fn after_setup(place: &Place<'_>) -> bool {
    any(place) && place.follows(is_setup)
}

pub(super) fn restart_after_setup(place: &Place<'_>) -> bool {
    restart(place) && place.follows(is_setup)
}

pub(super) fn restart_after_removal(place: &Place<'_>) -> bool {
    restart(place) && place.follows(|step| matches!(step, Step::RemoveProvisioningAgent(_)))
}

/// Without a restart that would come before it.
pub(super) fn remove_at_once(place: &Place<'_>) -> bool {
    remove(place) && !place.follows(|step| matches!(step, Step::RestartServer(_)))
}

/// The rule of the server's site has the agent restart Windows.
pub(super) fn by_agent(place: &Place<'_>) -> bool {
    matches!(place.step, Step::RestartServer(restart) if restart.by == RestartBy::Agent)
}

/// Prerequisites may be set.
pub(super) fn fixes(place: &Place<'_>) -> bool {
    preflight(place).is_some_and(|one| !one.may_fix.is_empty())
}

pub(super) fn fixes_first(place: &Place<'_>) -> bool {
    fixes(place) && !place.follows(|step| matches!(step, Step::Preflight(_)))
}

pub(super) fn first_restart(place: &Place<'_>) -> bool {
    restart(place) && !place.follows(|step| matches!(step, Step::RestartServer(_)))
}

/// A setup or a change of options at an agent that serves: it asks for leave.
pub(super) fn outage(place: &Place<'_>) -> bool {
    let changes = install(place) || options(place) && !kept(place);
    changes && place.facts.provisioning_agent.is_some()
}

pub(super) fn install(place: &Place<'_>) -> bool {
    matches!(place.step, Step::InstallProvisioningAgent(_))
}

pub(super) fn register(place: &Place<'_>) -> bool {
    matches!(place.step, Step::RegisterProvisioningAgent(_))
}

pub(super) fn register_by_credential(place: &Place<'_>) -> bool {
    matches!(place.step, Step::RegisterProvisioningAgent(register) if register.sign_in == SignIn::Credential)
}

/// The domains that cmdlets configure.
fn configured<'a>(place: &Place<'a>) -> &'a [ServedDomain] {
    match place.step {
        Step::RegisterProvisioningAgent(register) => &register.domains,
        Step::AddDomains(add) if add.sign_in != SignIn::Wizard => &add.domains,
        _ => &[],
    }
}

/// A domain's administrator gives a credential at the registration or for a domain, however the tenant is signed in to.
pub(super) fn register_with_domain(place: &Place<'_>) -> bool {
    let mut domains = configured(place).iter();
    domains.any(|domain| domain.rights == DirectoryRights::Ask)
}

/// With that credential the cmdlets give rights.
pub(super) fn gives_rights(place: &Place<'_>) -> bool {
    let mut domains = configured(place).iter();
    domains.any(|domain| !domain.permissions.is_empty())
}

/// The product makes its account with that credential, since none is named.
pub(super) fn makes_account(place: &Place<'_>) -> bool {
    let unnamed =
        matches!(place.step, Step::RegisterProvisioningAgent(register) if register.gmsa.is_none());
    unnamed && register_with_domain(place)
}

/// Whoever signs in by a token, at a registration or for a new domain.
pub(super) fn register_by_token(place: &Place<'_>) -> bool {
    match place.step {
        Step::RegisterProvisioningAgent(register) => register.sign_in == SignIn::Token,
        Step::AddDomains(add) => add.sign_in == SignIn::Token,
        _ => false,
    }
}

/// A domain's administrator gives no credential: another has granted its rights.
pub(super) fn handed_over(place: &Place<'_>) -> bool {
    let mut domains = configured(place).iter();
    domains.any(|domain| domain.rights == DirectoryRights::Handover)
}

/// The registration of an agent that is registered, with another account.
pub(super) fn register_anew(place: &Place<'_>) -> bool {
    register(place) && was_configured(place)
}

fn was_configured(place: &Place<'_>) -> bool {
    let agent = place.facts.provisioning_agent.as_ref();
    agent.is_some_and(ProvisioningAgentFacts::is_configured)
}

pub(super) fn verify_anew(place: &Place<'_>) -> bool {
    let registered = |step: &Step| matches!(step, Step::RegisterProvisioningAgent(_));
    verify_agent(place) && was_configured(place) && place.follows(registered)
}

/// Behind a registration that was broken off before all of it, whose account was set.
pub(super) fn verify_gone_on_with(place: &Place<'_>) -> bool {
    let agent = place.facts.provisioning_agent.as_ref();
    verify_anew(place) && agent.is_some_and(|agent| agent.owes_registration.is_some())
}

pub(super) fn add(place: &Place<'_>) -> bool {
    matches!(place.step, Step::AddDomains(_))
}

pub(super) fn add_by_cmdlets(place: &Place<'_>) -> bool {
    matches!(place.step, Step::AddDomains(add) if add.sign_in != SignIn::Wizard)
}

/// Whoever runs the product's cmdlets.
pub(super) fn configure(place: &Place<'_>) -> bool {
    register(place) || add_by_cmdlets(place)
}

pub(super) fn guide(place: &Place<'_>) -> bool {
    matches!(place.step, Step::GuideProvisioningAgent(_))
}

/// The account is made at the wizard.
pub(super) fn guide_makes(place: &Place<'_>) -> bool {
    matches!(place.step, Step::GuideProvisioningAgent(guide) if guide.gmsa.is_none())
}

pub(super) fn options(place: &Place<'_>) -> bool {
    matches!(place.step, Step::SetProvisioningAgentOptions(_))
}

/// An option that stands in the registry.
pub(super) fn registers(place: &Place<'_>) -> bool {
    matches!(place.step, Step::SetProvisioningAgentOptions(set) if set.options.ldap_timeout_millis.is_some() || set.options.referral_chasing)
}

/// An option that stands in the service's configuration file.
pub(super) fn edits(place: &Place<'_>) -> bool {
    matches!(place.step, Step::SetProvisioningAgentOptions(set) if set.options.proxy.is_some() || set.options.fips_exempt)
}

/// What is to stand in the configuration file stood there before the setup, which keeps it.
pub(super) fn kept(place: &Place<'_>) -> bool {
    let agent = place.facts.provisioning_agent.as_ref();
    let seen = agent.and_then(|agent| agent.options.as_ref());
    let is_there = |set: &SetProvisioningAgentOptions| {
        seen.is_some_and(|seen| set.options.lacking(seen).is_empty())
    };
    let keeps = reported_version(place).is_some_and(|version| version >= REBUILT);
    keeps && matches!(place.step, Step::SetProvisioningAgentOptions(set) if is_there(set))
}

pub(super) fn start(place: &Place<'_>) -> bool {
    matches!(place.step, Step::StartProvisioningAgent(_))
}

pub(super) fn verify_agent(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyProvisioningAgent(_))
}

/// Behind a person's word at the agent's wizard.
pub(super) fn verify_attested(place: &Place<'_>) -> bool {
    verify_agent(place) && place.follows(|step| matches!(step, Step::GuideProvisioningAgent(_)))
}

/// The same where the account was to be made there.
pub(super) fn verify_attested_made(place: &Place<'_>) -> bool {
    verify_attested(place) && !verify_rights(place)
}

/// Behind a watch.
pub(super) fn watched_agent(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyProvisioningAgent(verify) if verify.soaked_seconds.is_some())
}

/// An option that stands in the configuration file is read back.
pub(super) fn verify_edits(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyProvisioningAgent(verify) if verify.options.proxy.is_some() || verify.options.fips_exempt)
}

/// The account lives in a domain in which it replicates.
pub(super) fn verify_home(place: &Place<'_>) -> bool {
    let at_home = |rights: &OwnRights| {
        let mut domains = rights.replicates.iter();
        domains.any(|domain| domain.name == rights.home_domain)
    };
    matches!(place.step, Step::VerifyProvisioningAgent(verify) if verify.own_rights.as_ref().is_some_and(at_home))
}

/// It is written that password hashes are synchronized in the account's own domain.
pub(super) fn verify_hashes(place: &Place<'_>) -> bool {
    let hashes = |rights: &OwnRights| {
        let mut domains = rights.replicates.iter();
        let written = [Permission::PasswordHashSync, Permission::All];
        domains.any(|domain| {
            let is_written = |one| domain.permissions.contains(one);
            domain.name == rights.home_domain && written.iter().any(is_written)
        })
    };
    matches!(place.step, Step::VerifyProvisioningAgent(verify) if verify.own_rights.as_ref().is_some_and(hashes))
}

/// It is written that more is done in the account's own domain than that password hashes are synchronized.
pub(super) fn verify_sets(place: &Place<'_>) -> bool {
    let more = |rights: &OwnRights| {
        let mut domains = rights.replicates.iter();
        domains.any(|domain| {
            let mut all = domain.permissions.iter();
            domain.name == rights.home_domain && all.any(|one| *one != Permission::PasswordHashSync)
        })
    };
    matches!(place.step, Step::VerifyProvisioningAgent(verify) if verify.own_rights.as_ref().is_some_and(more))
}

/// It is written that passwords are written back, in its own domain and in another.
pub(super) fn verify_writeback(place: &Place<'_>) -> bool {
    let writes =
        |domain: &ServedDomain| domain.permissions.contains(&Permission::PasswordWriteback);
    let written = |rights: &OwnRights| rights.replicates.iter().any(writes);
    verify_several(place)
        && matches!(place.step, Step::VerifyProvisioningAgent(verify) if verify.own_rights.as_ref().is_some_and(written))
}

pub(super) fn verify_several(place: &Place<'_>) -> bool {
    let several = |rights: &OwnRights| rights.replicates.len() > 1;
    matches!(place.step, Step::VerifyProvisioningAgent(verify) if verify.own_rights.as_ref().is_some_and(several))
}

pub(super) fn verify_rights(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyProvisioningAgent(verify) if verify.own_rights.is_some())
}

pub(super) fn remove(place: &Place<'_>) -> bool {
    matches!(place.step, Step::RemoveProvisioningAgent(_))
}

pub(super) fn verify_removed(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyProvisioningAgentRemoved(_))
}

/// The account of one that is gone is known, and looked for in the directory.
pub(super) fn removed(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyProvisioningAgentRemoved(verify) if verify.gmsa.is_some())
}

pub(super) fn restart(place: &Place<'_>) -> bool {
    matches!(place.step, Step::RestartServer(_))
}

pub(super) fn own_agent(place: &Place<'_>) -> bool {
    matches!(place.step, Step::UpgradeAgent(_))
}

pub(super) fn discover(place: &Place<'_>) -> bool {
    matches!(place.step, Step::DiscoverServers(_))
}

pub(super) fn support(place: &Place<'_>) -> bool {
    matches!(place.step, Step::CollectSupport(_))
}

/// The wizard of Connect that installs or upgrades.
pub(super) fn guide_connect(place: &Place<'_>) -> bool {
    matches!(place.step, Step::GuideConnect(guide) if !guide.work.switches())
}

pub(super) fn switches(place: &Place<'_>) -> bool {
    matches!(place.step, Step::GuideConnect(guide) if guide.work.switches())
}

/// The wizard of Connect on a server that must come out staging.
pub(super) fn guide_staging(place: &Place<'_>) -> bool {
    guide_connect(place) && matches!(place.step, Step::GuideConnect(guide) if guide.work.staging())
}

/// An upgrade of an engine whose cycle was on: it is released before the step ends.
pub(super) fn guide_releasing(place: &Place<'_>) -> bool {
    matches!(place.step, Step::GuideConnect(guide) if guide.release.is_some())
}

/// Work at the wizard of Connect that configures it: an open wizard is not its end.
pub(super) const fn configuring(place: &Place<'_>) -> bool {
    matches!(place.step, Step::GuideConnect(_))
}

/// The cycle was on before, and the wizard may leave it off: that of an installation that is to leave it off is off anyway.
pub(super) fn guide_restoring(place: &Place<'_>) -> bool {
    guide_releasing(place)
        && matches!(
            place.step,
            Step::GuideConnect(guide)
                if matches!(guide.work, ConnectWork::UpgradeActive | ConnectWork::UpgradeStaging)
        )
}

/// The engine answers: of one that is stopped nothing else is told.
pub(super) fn verify_connect(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyConnect(_)) && place.answers()
}

pub(super) fn verify_halted(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyConnect(_)) && !place.answers()
}

/// Behind a wizard whose end does not wait for the cycle, which was on before.
pub(super) fn verify_unreleased(place: &Place<'_>) -> bool {
    verify_connect(place) && place.follows(installs) && !was_held(place)
}

/// The cycle was off before.
pub(super) fn verify_held(place: &Place<'_>) -> bool {
    verify_connect(place) && was_held(place)
}

fn was_held(place: &Place<'_>) -> bool {
    let connect = place.facts.connect.as_ref();
    connect.is_some_and(|connect| connect.cycle_enabled == Some(false))
}

/// Behind a watch.
pub(super) fn watched_engine(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyConnect(verify) if verify.soaked_seconds.is_some())
}

pub(super) fn installs(step: &Step) -> bool {
    matches!(step, Step::GuideConnect(guide) if !guide.work.switches() && guide.release.is_none())
}

/// Facts of an engine that ran, and that nobody has fenced since.
pub(super) fn reports_engine(place: &Place<'_>) -> bool {
    let fenced = place.follows(|step| matches!(step, Step::FenceConnect));
    report(place) && place.facts.connect.is_some() && place.answers() && !fenced
}

/// A server that must stay staging: an open wizard may be taking it out of that mode (G1).
pub(super) fn verify_staging(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyConnect(verify) if verify.staging == Some(true))
}

pub(super) fn verify_passwords(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyConnect(verify) if verify.password_sync)
}

/// Behind the wizard that installs Connect on a server without it, or upgrades it.
pub(super) fn verify_installed(place: &Place<'_>) -> bool {
    let work = |step: &Step| matches!(step, Step::GuideConnect(guide) if matches!(guide.work, ConnectWork::InstallActive | ConnectWork::InstallStaging));
    verify_connect(place) && place.follows(work)
}

pub(super) fn verify_upgraded(place: &Place<'_>) -> bool {
    let work = |step: &Step| matches!(step, Step::GuideConnect(guide) if matches!(guide.work, ConnectWork::UpgradeActive | ConnectWork::UpgradeStaging));
    verify_connect(place) && place.follows(work)
}

pub(super) fn exports(place: &Place<'_>) -> bool {
    matches!(place.step, Step::ReviewConnectExports(_))
}

pub(super) fn settings(place: &Place<'_>) -> bool {
    matches!(place.step, Step::ReadConnectSettings)
}

pub(super) fn take_off(place: &Place<'_>) -> bool {
    matches!(place.step, Step::GuideConnectRemoval(_))
}

pub(super) fn taken_off(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyConnectRemoved) && place.facts.connect.is_some()
}

/// Connect was off it before: nothing that comes with Connect is there to be found, but Connect itself may be.
pub(super) fn verified_without(place: &Place<'_>) -> bool {
    matches!(place.step, Step::VerifyConnectRemoved) && place.facts.connect.is_none()
}

pub(super) fn take_off_running(place: &Place<'_>) -> bool {
    take_off(place) && place.answers()
}

/// Whether the tenant may move: the first question, and the one before the wizard.
pub(super) fn may_move(place: &Place<'_>) -> bool {
    matches!(place.step, Step::CheckTransition)
}

pub(super) fn moves(place: &Place<'_>) -> bool {
    matches!(place.step, Step::GuideTransition(_))
}

pub(super) fn database(place: &Place<'_>) -> bool {
    preflight(place).is_some_and(|one| one.database.is_some())
}

/// The database is that of an earlier server.
pub(super) fn taken_over(place: &Place<'_>) -> bool {
    let own = preflight(place).and_then(|one| one.database.as_ref());
    own.is_some_and(|own| own.existing)
}
