//! The cloud sync provisioning agent: install, register by cmdlets, register by a person at the wizard, verify
//! (product facts 1.1 to 1.9).

mod ended;
mod list;
mod verify;
mod wizard;

use std::time::Duration;

use protocol::event::{
    Completion, Failure, GmsaChange, GmsaObject, Grade, Section, Severity, Verdict,
};
use protocol::facts::{Owed, ProvisioningAgentFacts, ServiceState};
use protocol::id::{GmsaName, TargetId, TenantId};
use protocol::options::ProxyAddress;
use protocol::secret::SecretKind;
use protocol::step::{
    AddDomains, DirectoryRights, GuideProvisioningAgent, InstallProvisioningAgent, Permission,
    RegisterProvisioningAgent, ServedDomain, SignIn, StartProvisioningAgent,
};

use self::ended::{ended, nothing_left};
pub use self::verify::verify;
pub use self::wizard::guide;
use crate::catalogue;
use crate::known::{self, Source};
use crate::op::{Log, Op, RegistryValue, Script};
use crate::procedure::{Complete, Cx, Flow, Reading, Stop, fail};
use crate::product;
use crate::step::module::{Account, Call};
use crate::step::{
    WATCH, controllers, credential, facts, installer, module, options, preflight, trouble,
};
use crate::withhold;

/// How long the product's cmdlets may take altogether.
const CONFIGURE_LIMIT: Duration = Duration::from_secs(30 * 60);

/// Installs, or upgrades in place, by the setup's silent form.
///
/// # Errors
/// While outcomes are missing, and when it fails or cannot tell.
pub fn install(install: &InstallProvisioningAgent, cx: &mut Cx<'_>) -> Flow<Complete> {
    installer::await_earlier(cx)?;
    let before = installed(cx)?;
    if let Some(version) = before.as_ref().and_then(|agent| agent.version)
        && version >= install.at_least
    {
        // With the agent that began the setup its exit code is gone.
        let unheard = if cx.resumed() {
            "; where a setup of an earlier try has brought it, whether that asked for a restart of Windows is not known"
        } else {
            ""
        };
        let summary = format!(
            "version {version} is there, at least {} is wanted{unheard}",
            install.at_least
        );
        return Ok(Complete {
            grade: Some(Grade::Installed),
            ..Complete::new(Completion::AlreadySo, summary)
        });
    }
    // What somebody took off by hand owes nothing either.
    if before
        .as_ref()
        .is_none_or(ProvisioningAgentFacts::is_removed)
    {
        forget_owed(cx)?;
    }
    let artifact = cx.artifact(&install.artifact)?;
    let there = before.as_ref().and_then(|agent| agent.version);
    installer::never_older("the provisioning agent", there, &artifact)?;
    if let Err(why) = cx.perform(Op::Fetch {
        artifact: artifact.clone(),
    })? {
        return fail(format!("the setup could not be brought here: {why}"));
    }
    let serving = before.as_ref().is_some_and(ProvisioningAgentFacts::serves);
    if serving {
        cx.enter(Section {
            outage: true,
            gmsa: None,
        })?;
    }
    // What somebody set by hand in a form that no option has is held against what is there after the setup.
    let proxy = match there {
        Some(_) => options::other_proxy(cx)?,
        None => None,
    };
    let log = Log::ProvisioningAgentSetup;
    let ended = installer::patiently(cx, |cx| {
        let told = install.environment.as_ref();
        let arguments = product::setup_arguments(install.cloud, told);
        cx.install(&artifact, arguments, log)
    })?;
    let restart = match &ended {
        Err(why) => {
            let what = format!("the setup was not run to its end: {why}");
            return Err(installer::unfinished(what, log, cx)?);
        }
        Ok(0 | 1638) => false,
        Ok(3010 | 1641) => true,
        Ok(code) => {
            let failure = installer::failure("the setup", *code, log, cx)?;
            return Err(Stop::Failed(Box::new(failure)));
        }
    };
    // The setup's word is enough: Windows itself may show nothing of it (product facts 1.2: the orchestrator sees to the restart).
    let noted = if restart {
        cx.perform(Op::RequireRestart)?
    } else {
        Ok(())
    };
    let said = if ended == Ok(1638) {
        "the setup said that this version or a newer one is there (exit code 1638)"
    } else {
        "the setup said it succeeded"
    };
    match installed(cx)?.and_then(|agent| agent.version) {
        Some(version) if version >= install.at_least => {
            let mut summary = format!("version {version} installed");
            if let Some(before) = &proxy {
                if options::other_proxy(cx)?.as_ref() != Some(before) {
                    return fail(format!(
                        "version {version} is installed, and its configuration file lost {}: set it there again, restart the service and retry; or write a proxy as an option of its group and plan again",
                        before.shown
                    ));
                }
                summary.push_str(&format!(
                    "; its configuration file still names {}",
                    before.shown
                ));
            }
            if restart {
                summary.push_str(installer::RESTART);
            }
            summary.push_str(&installer::unnoted(noted));
            Ok(Complete {
                grade: Some(Grade::Installed),
                ..Complete::new(Completion::Applied, summary)
            })
        }
        Some(version) => {
            let what = format!("{said}, but version {version} is there");
            Err(installer::unfinished(what, log, cx)?)
        }
        None => {
            let what = format!("{said}, but the agent's executable is not there");
            Err(installer::unfinished(what, log, cx)?)
        }
    }
}

/// What there is of the agent; what cannot be read is never taken for absent.
fn installed(cx: &mut Cx<'_>) -> Flow<Option<ProvisioningAgentFacts>> {
    facts::provisioning_agent(cx)?.told()
}

/// How far a registration is.
pub(super) enum Registered {
    Yes(String),
    No,
    Elsewhere(TenantId),
}

fn registered(
    tenant: &TenantId,
    gmsa: Option<&GmsaName>,
    cx: &mut Cx<'_>,
) -> Flow<(Registered, Option<ProvisioningAgentFacts>)> {
    let agent = installed(cx)?;
    Ok((state_of(tenant, gmsa, agent.as_ref()), agent))
}

/// How far the registration is of what was found.
pub(super) fn state_of(
    tenant: &TenantId,
    gmsa: Option<&GmsaName>,
    agent: Option<&ProvisioningAgentFacts>,
) -> Registered {
    let Some(agent) = agent else {
        return Registered::No;
    };
    match &agent.tenant {
        Some(other) if other != tenant => Registered::Elsewhere(other.clone()),
        Some(_) if agent.service == Some(ServiceState::Running) && agent.runs_as(gmsa) => {
            let account = agent.account.clone().unwrap_or_default();
            Registered::Yes(format!(
                "registered with tenant {tenant}, service runs as {account}"
            ))
        }
        Some(_) | None => Registered::No,
    }
}

/// Whether cmdlets that register were begun on this server and have not ended well: what it shows of a registration may be half of
/// one then, since the account is set before the domains are added.
fn owes(cx: &mut Cx<'_>) -> Flow<Reading<bool>> {
    let noted = cx.number(product::OWED_KEY, product::OWED_REGISTRATION)?;
    Ok(noted.map(|noted| facts::owed(noted).is_some()))
}

/// The same for whoever acts on it: a note that cannot be read is a question.
fn broken_off(cx: &mut Cx<'_>) -> Flow<bool> {
    owes(cx)?.map_err(|why| {
        Stop::CannotTell(format!(
            "whether an earlier registration was broken off could not be read: {why}"
        ))
    })
}

/// What a registration that was broken off left out is there now: its note ends. Gives what is to be said where that could not be written.
fn made_good(cx: &mut Cx<'_>) -> Flow<String> {
    let noted = cx.perform(Op::SetRegistry {
        key: product::OWED_KEY.to_owned(),
        value: product::OWED_REGISTRATION.to_owned(),
        data: RegistryValue::Number(0),
    })?;
    Ok(noted.err().map_or_else(String::new, |why| {
        format!("; that the earlier try by cmdlets is made good could not be noted: {why}")
    }))
}

/// The same where one was broken off.
fn made_good_where_owed(cx: &mut Cx<'_>) -> Flow<String> {
    if broken_off(cx)? {
        made_good(cx)
    } else {
        Ok(String::new())
    }
}

/// An agent that was taken off owes nothing: the next one on this server is whole without what was broken off of this one. That the note
/// could not be read or ended is no failure of whoever takes it off or installs anew; whoever registers ends it.
pub(super) fn forget_owed(cx: &mut Cx<'_>) -> Flow<()> {
    if owes(cx)? == Ok(true) {
        made_good(cx)?;
    }
    Ok(())
}

/// A disabled service of the agent's own is set to start with Windows: the cmdlets and the wizard start it at their end, and would fail there,
/// behind all that people gave. Nothing is in service, so that no leave is asked for. It is the product's service and no prerequisite of the
/// server: as with one that is configured, the order to have the agent serve is what lets it be started. Gives why it could not be set, with
/// what came before of what people were asked for.
///
/// # Errors
/// While outcomes are missing.
pub(super) fn enabled(
    agent: &ProvisioningAgentFacts,
    given: &str,
    cx: &mut Cx<'_>,
) -> Flow<Option<String>> {
    if agent.service != Some(ServiceState::Disabled) {
        return Ok(None);
    }
    let name = product::AGENT_SERVICE.to_owned();
    // Told before it is done: whatever comes of the step, and in whichever life of the agent, it is known.
    let read = format!("{name} is disabled; Entrain sets it to start with Windows now");
    let mut finding = catalogue::PV04.finding(read, Verdict::Fail);
    finding.severity = Severity::Warn;
    "nothing by hand, unless a group policy disables it again: have that allow Automatic then"
        .clone_into(&mut finding.fix);
    cx.note(&[finding])?;
    let set = cx.perform(Op::AutomateService { name: name.clone() })?;
    Ok(set.err().map(|why| {
        format!(
            "{name} is disabled, so that no registration starts it, and could not be set to start with Windows: {why}; {given}: set its start type to Automatic on the server, or where a group policy sets it, and retry"
        )
    }))
}

/// Signs in, sets the gMSA, adds the domains and restarts the service, all in one PowerShell process. Where that was broken off before
/// its end it is done again: the cmdlets leave what is there.
///
/// # Errors
/// While outcomes are missing, and when it fails or cannot tell.
pub fn register(register: &RegisterProvisioningAgent, cx: &mut Cx<'_>) -> Flow<Complete> {
    let gmsa = register.gmsa.as_ref();
    let (state, agent) = registered(&register.tenant, gmsa, cx)?;
    match state {
        Registered::Yes(summary) if !broken_off(cx)? => {
            if cx.resumed() {
                // An earlier try may have ended within its section: what it did is told now.
                let change = change_of(register, creates_gmsa(register), cx)?;
                cx.leave(change)?;
            }
            return Ok(configured(Completion::AlreadySo, summary));
        }
        Registered::Elsewhere(other) => return elsewhere(&other),
        Registered::Yes(_) | Registered::No => {}
    }
    let Some(agent) = agent else {
        return fail("the provisioning agent is not installed");
    };
    if !preflight::recording(cx)?.is_empty() {
        return by_hand(register, cx);
    }
    if let Some(why) = enabled(&agent, "nobody was asked for anything", cx)? {
        return fail(why);
    }
    let calls = calls_of(register);
    module::require(&calls, cx)?;
    let secrets = secrets(&register.tenant, register.sign_in, &register.domains);
    ask(&secrets, &register.domains, cx)?;
    let object = GmsaObject {
        domain: register.home_domain.clone(),
        name: register.gmsa.clone(),
    };
    // A gMSA that was made beforehand already names this server: only the product's own is changed here (G3).
    let gmsa_object = creates_gmsa(register).then_some(object);
    let changes_gmsa = gmsa_object.is_some();
    let section = Section {
        outage: agent.serves(),
        gmsa: gmsa_object,
    };
    let mut after = cx.enter(section.clone())?;
    // Hours may have passed until the leave came: a token that has lapsed since is asked for anew, outside of the section.
    while !cx.secrets_fit(&secrets)? {
        // Nothing was done in it: what another server did to the object before still stands.
        cx.leave(after)?;
        ask(&secrets, &register.domains, cx)?;
        after = cx.enter(section.clone())?;
    }
    let preferred = home_controllers(register);
    if let Some(change) = &after {
        controllers::await_change(change, &register.home_domain, preferred, cx)?;
    }
    // Somebody may have finished the wizard meanwhile, or a policy may have come: what the person gave is not used then.
    let (state, agent) = registered(&register.tenant, gmsa, cx)?;
    match state {
        Registered::Yes(summary) if !broken_off(cx)? => {
            let change = change_of(register, changes_gmsa, cx)?;
            cx.leave(change)?;
            return Ok(configured(Completion::AlreadySo, summary));
        }
        Registered::Elsewhere(other) => {
            cx.leave(after)?;
            return elsewhere(&other);
        }
        Registered::Yes(_) | Registered::No => {}
    }
    let Some(agent) = agent else {
        cx.leave(after)?;
        return fail(
            "the provisioning agent is not installed any more; what was given was not used",
        );
    };
    if !preflight::recording(cx)?.is_empty() {
        cx.leave(after)?;
        return by_hand(register, cx);
    }
    if let Some(why) = enabled(&agent, "what was given was not used", cx)? {
        cx.leave(after)?;
        return fail(why);
    }
    let before = trouble::Before::now(cx)?;
    let lines = cx.script(
        Script::ConfigureProvisioningAgent,
        input(
            (&register.tenant, register.sign_in, &calls),
            register.proxy.as_ref(),
            &register.domains,
            (account(register), begun(&agent)),
        ),
        secrets,
        CONFIGURE_LIMIT,
    )?;
    let (_, left) = ended(&register.domains, lines, &before, cx)?;
    let change = change_of(register, changes_gmsa, cx)?;
    cx.leave(change)?;
    nothing_left(left)?;
    match registered(&register.tenant, gmsa, cx)?.0 {
        Registered::Yes(summary) => Ok(configured(Completion::Applied, summary)),
        Registered::Elsewhere(other) => elsewhere(&other),
        Registered::No => {
            const UNSEEN: &str =
                "the cmdlets ended well, but the server does not show the registration";
            let running = service_of(product::AGENT_SERVICE, cx)?
                .is_some_and(|service| service.state == ServiceState::Running);
            if !running {
                return Err(Stop::Failed(Box::new(trouble::not_started(
                    UNSEEN.to_owned(),
                    &before,
                    cx,
                )?)));
            }
            let trace = before.trace(cx)?;
            let mut failure = Failure::plain(UNSEEN);
            let recognized = known::recognize_last(Source::Trace, &trace);
            let last = trace.iter().rev().take(12);
            let last = last.map(|line| withhold::names(line));
            let shown = recognized.as_ref().map(|(_, line)| line.clone());
            failure.known = recognized.map(|(known, _)| known);
            Err(Stop::Failed(Box::new(
                failure.with_lines(shown.into_iter().chain(last)),
            )))
        }
    }
}

/// Adds domains to an agent that is registered already; its service account stays as it is. Which domains it has shows only
/// in a signed-in session (product facts 6, PV10), so the cmdlets look there before they add, and a person's work at the
/// wizard ends with that person's word alone.
///
/// # Errors
/// While outcomes are missing, and when it fails or cannot tell.
pub fn add_domains(add: &AddDomains, cx: &mut Cx<'_>) -> Flow<Complete> {
    let mut before = trouble::Before::now(cx)?;
    // An earlier try may have ended in the middle of the restart.
    let stopped = installed(cx)?.is_some_and(|agent| {
        agent.is_configured()
            && agent.tenant.as_ref() == Some(&add.tenant)
            && agent.service == Some(ServiceState::NotRunning)
    });
    if stopped
        && let Err(why) = cx.perform(Op::RestartService {
            name: product::AGENT_SERVICE.to_owned(),
        })?
    {
        let what = format!("the agent's service is stopped and does not start: {why}");
        return Err(Stop::Failed(Box::new(trouble::not_started(
            what, &before, cx,
        )?)));
    }
    let (state, agent) = registered(&add.tenant, None, cx)?;
    let serves = match (state, agent) {
        (Registered::Yes(_), Some(agent)) => agent.serves(),
        (Registered::Elsewhere(other), _) => return elsewhere(&other),
        (Registered::Yes(_) | Registered::No, _) => {
            return fail("the provisioning agent is not registered and running");
        }
    };
    let names: Vec<&str> = add
        .domains
        .iter()
        .map(|domain| domain.name.as_str())
        .collect();
    let names = names.join(", ");
    if add.sign_in == SignIn::Wizard || !preflight::recording(cx)?.is_empty() {
        // The wizard restarts the service as the cmdlets do.
        if serves {
            cx.enter(Section {
                outage: true,
                gmsa: None,
            })?;
        }
        cx.task(&add.wizard)?;
        let by = cx.until(WATCH, |_| Ok(None::<()>))?;
        let by = by.err().unwrap_or_default();
        if serves {
            cx.leave(None)?;
        }
        let not_given = not_given("its account", &add.domains).unwrap_or_default();
        let noted = made_good_where_owed(cx)?;
        let summary =
            format!("added by {by}, as they say: {names}; no probe sees it{not_given}{noted}");
        return Ok(Complete::new(Completion::Attested { by }, summary));
    }
    let calls = module::calls(add.sign_in, Account::Kept, &add.domains);
    module::require(&calls, cx)?;
    let secrets = secrets(&add.tenant, add.sign_in, &add.domains);
    ask(&secrets, &add.domains, cx)?;
    // The service is restarted at the end.
    let section = Section {
        outage: serves,
        gmsa: None,
    };
    if serves {
        cx.enter(section.clone())?;
    }
    while !cx.secrets_fit(&secrets)? {
        if serves {
            cx.leave(None)?;
        }
        ask(&secrets, &add.domains, cx)?;
        if serves {
            cx.enter(section.clone())?;
        }
    }
    // The agent may have been registered elsewhere, or a policy may have come, while leave was waited for.
    if let Registered::Elsewhere(other) = registered(&add.tenant, None, cx)?.0 {
        return elsewhere(&other);
    }
    if !preflight::recording(cx)?.is_empty() {
        return fail(
            "a policy that writes the parameters of cmdlets to a log has come since the secret was given: it was not used; a retry takes the wizard",
        );
    }
    before = trouble::Before::now(cx)?;
    let lines = cx.script(
        Script::ConfigureProvisioningAgent,
        input(
            (&add.tenant, add.sign_in, &calls),
            add.proxy.as_ref(),
            &add.domains,
            (serde_json::Value::Null, 0),
        ),
        secrets,
        CONFIGURE_LIMIT,
    )?;
    let there: Vec<(String, Option<bool>)> = lines
        .iter()
        .flatten()
        .filter(|line| line["step"] == "Add-AADCloudSyncADDomain")
        .filter_map(|line| Some((line["domain"].as_str()?.to_owned(), line["there"].as_bool())))
        .collect();
    let (listed, left) = ended(&add.domains, lines, &before, cx)?;
    let seen = listed.verdict;
    if serves {
        cx.leave(None)?;
    }
    nothing_left(left)?;
    match registered(&add.tenant, None, cx)?.0 {
        Registered::Yes(_) => {
            let how = match seen {
                Verdict::Pass => "the module lists them",
                Verdict::Fail => "the module does not show them",
                Verdict::CannotTell => "whether the module lists them cannot be told",
            };
            // What was there was given its rights, and nothing else: the product takes domain controllers when it adds a domain.
            let words = |what: &str, was: Option<bool>| {
                let names = there.iter().filter(|(_, one)| *one == was);
                let names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
                (!names.is_empty()).then(|| format!("{what}: {}", names.join(", ")))
            };
            let did = [
                words("added", Some(false)),
                words("there already, and given its written rights", Some(true)),
                words(
                    "refused, and given its written rights; whether it was there already cannot be told",
                    None,
                ),
            ];
            let did: Vec<String> = did.into_iter().flatten().collect();
            let noted = made_good_where_owed(cx)?;
            let summary = format!("{}; {how}{noted}", did.join("; "));
            Ok(configured(Completion::Applied, summary))
        }
        Registered::Elsewhere(other) => elsewhere(&other),
        Registered::No => {
            let what = "the domains were added, and the service did not come back".to_owned();
            Err(Stop::Failed(Box::new(trouble::not_started(
                what, &before, cx,
            )?)))
        }
    }
}

/// Starts the services of an agent that is registered already, and has Windows start them by itself. Nothing is in service that
/// could be taken out of it: one that runs is left running.
///
/// # Errors
/// While outcomes are missing, and when it fails or cannot tell.
pub fn start(start: &StartProvisioningAgent, cx: &mut Cx<'_>) -> Flow<Complete> {
    let Some(agent) = installed(cx)? else {
        return fail("the provisioning agent is not installed");
    };
    match &agent.tenant {
        Some(own) if *own == start.tenant => {}
        Some(other) => return elsewhere(other),
        None => return fail("the provisioning agent was never registered: it is not started"),
    }
    let before = trouble::Before::now(cx)?;
    let mut done = Vec::new();
    for name in [product::UPDATER_SERVICE, product::AGENT_SERVICE] {
        let Some(service) = service_of(name, cx)? else {
            // Older agents have no updater, and a removal may have left one of the two.
            if name == product::UPDATER_SERVICE {
                continue;
            }
            return fail(format!("there is no service {name}"));
        };
        let own = || name.to_owned();
        if !service.automatic {
            if let Err(why) = cx.perform(Op::AutomateService { name: own() })? {
                return fail(format!("{name} could not be set to start by itself: {why}"));
            }
            done.push(format!("{name} is started by Windows again"));
        }
        if service.state == ServiceState::Running {
            continue;
        }
        if let Err(why) = cx.perform(Op::RestartService { name: own() })? {
            let what = format!("{name} does not start: {why}");
            let failure = if name == product::UPDATER_SERVICE {
                trouble::updater_not_started(what, &before, cx)?
            } else {
                trouble::not_started(what, &before, cx)?
            };
            return Err(Stop::Failed(Box::new(failure)));
        }
        done.push(format!("{name} was started"));
    }
    if service_of(product::AGENT_SERVICE, cx)?.map(|service| service.state)
        != Some(ServiceState::Running)
    {
        let what = "the agent's service was started, and does not run".to_owned();
        return Err(Stop::Failed(Box::new(trouble::not_started(
            what, &before, cx,
        )?)));
    }
    if done.is_empty() {
        let summary = "its services run, and Windows starts them";
        return Ok(Complete::new(Completion::AlreadySo, summary));
    }
    Ok(Complete::new(Completion::Applied, done.join("; ")))
}

/// A service, or none of that name; what cannot be read is no answer.
fn service_of(name: &str, cx: &mut Cx<'_>) -> Flow<Option<crate::op::Service>> {
    cx.service(name)?
        .map_err(|why| Stop::CannotTell(format!("the service {name} could not be read: {why}")))
}

/// Asks for each secret in turn, and tries those of domains, so that no leave is asked for in vain.
fn ask(secrets: &[SecretKind], domains: &[ServedDomain], cx: &mut Cx<'_>) -> Flow<()> {
    for wanted in secrets {
        cx.secret(wanted.clone(), "to register the provisioning agent")?;
    }
    credential::check(domains, cx)
}

/// No secret is asked for where this server would write it to a log: a person does the same at the wizard.
fn wizard_instead(register: &RegisterProvisioningAgent) -> GuideProvisioningAgent {
    GuideProvisioningAgent {
        target: register.target.clone(),
        tenant: register.tenant.clone(),
        gmsa: service_account(register),
        home_domain: register.home_domain.clone(),
        preferred_dcs: home_controllers(register).to_vec(),
        domains: Vec::new(),
        text: register.wizard.clone(),
    }
}

/// The same work at the wizard, which gives no rights to an account that was made beforehand (1.11 [R]).
fn by_hand(register: &RegisterProvisioningAgent, cx: &mut Cx<'_>) -> Flow<Complete> {
    let mut complete = guide(&wizard_instead(register), cx)?;
    if let Some(account) = service_account(register)
        && let Some(not_given) = not_given(account.as_str(), &register.domains)
    {
        complete.summary.push_str(&not_given);
    }
    Ok(complete)
}

/// Which rights are written and were not given, since a person was at the wizard.
fn not_given(account: &str, domains: &[ServedDomain]) -> Option<String> {
    let written = domains.iter().filter(|one| !one.permissions.is_empty());
    let names: Vec<&str> = written.map(|one| one.name.as_str()).collect();
    (!names.is_empty()).then(|| {
        format!(
            "; the rights that are written for {account} in {} were not given: the wizard gives none, part 3 of entrain handover DOMAIN does",
            names.join(", ")
        )
    })
}

fn configured(completion: Completion, summary: String) -> Complete {
    Complete {
        grade: Some(Grade::Registered),
        ..Complete::new(completion, summary)
    }
}

fn elsewhere<T>(other: &TenantId) -> Flow<T> {
    fail(format!(
        "the agent on this server is registered with another tenant, {other}; it was left as it is"
    ))
}

fn home_rights(register: &RegisterProvisioningAgent) -> DirectoryRights {
    let home = register
        .domains
        .iter()
        .find(|domain| domain.name == register.home_domain);
    home.map_or(DirectoryRights::Handover, |domain| domain.rights)
}

fn home_controllers(register: &RegisterProvisioningAgent) -> &[TargetId] {
    let home = register
        .domains
        .iter()
        .find(|domain| domain.name == register.home_domain);
    home.map_or(&[], |domain| domain.preferred_dcs.as_slice())
}

/// What the section did to the gMSA object, for whoever changes it next (G3).
fn change_of(
    register: &RegisterProvisioningAgent,
    changed: bool,
    cx: &mut Cx<'_>,
) -> Flow<Option<GmsaChange>> {
    if !changed {
        return Ok(None);
    }
    let preferred = home_controllers(register);
    controllers::gmsa_change(&register.target, &register.home_domain, preferred, cx).map(Some)
}

fn creates_gmsa(register: &RegisterProvisioningAgent) -> bool {
    register.gmsa.is_none() && home_rights(register) == DirectoryRights::Ask
}

/// The gMSA that was made beforehand: the named one, or the product's default where its administrator makes it; none where
/// the product makes its own.
fn service_account(register: &RegisterProvisioningAgent) -> Option<GmsaName> {
    if creates_gmsa(register) {
        return None;
    }
    let named = register.gmsa.clone();
    named.or_else(|| product::DEFAULT_GMSA.parse().ok())
}

/// The secrets that the configuration needs, in the order in which they are asked for.
fn secrets(tenant: &TenantId, sign_in: SignIn, domains: &[ServedDomain]) -> Vec<SecretKind> {
    let tenant = tenant.clone();
    let mut secrets = vec![match sign_in {
        SignIn::Token => SecretKind::AccessToken { tenant },
        SignIn::Credential | SignIn::Wizard => SecretKind::TenantCredential { tenant },
    }];
    let asked = domains
        .iter()
        .filter(|domain| domain.rights == DirectoryRights::Ask);
    secrets.extend(asked.map(|domain| SecretKind::DomainCredential {
        domain: domain.name.clone(),
    }));
    secrets
}

/// What the note says from before the account is set.
fn begun(before: &ProvisioningAgentFacts) -> u32 {
    match before.owes_registration {
        Some(Owed::First) => product::OWED_FIRST,
        Some(Owed::Anew) => product::OWED_ANEW,
        None if before.is_configured() => product::OWED_ANEW,
        None => product::OWED_FIRST,
    }
}

/// What the script is told; without an account it adds domains alone.
fn input(
    (tenant, sign_in, calls): (&TenantId, SignIn, &[Call]),
    proxy: Option<&ProxyAddress>,
    domains: &[ServedDomain],
    (gmsa, begun): (serde_json::Value, u32),
) -> serde_json::Value {
    let domains: Vec<serde_json::Value> = domains
        .iter()
        .map(|domain| {
            let permissions = domain.permissions.iter().copied();
            let permissions: Vec<&str> = permissions.map(Permission::cmdlet_word).collect();
            serde_json::json!({
                "name": domain.name,
                "preferredDomainControllers": domain.preferred_dcs,
                "credential": domain.rights == DirectoryRights::Ask,
                "permissions": permissions,
            })
        })
        .collect();
    serde_json::json!({
        "calls": module::words(calls),
        "tenant": tenant,
        "signIn": sign_in,
        "proxy": proxy,
        "gmsa": gmsa,
        "note": {
            "key": format!(r"HKEY_LOCAL_MACHINE\{}", product::OWED_KEY),
            "value": product::OWED_REGISTRATION,
            "begun": begun,
        },
        "domains": domains,
    })
}

/// What a registration calls of the module.
fn calls_of(register: &RegisterProvisioningAgent) -> Vec<Call> {
    let account = match service_account(register) {
        Some(_) => Account::Named,
        None => Account::New,
    };
    module::calls(register.sign_in, account, &register.domains)
}

/// The account of a registration, for the script.
fn account(register: &RegisterProvisioningAgent) -> serde_json::Value {
    match service_account(register) {
        Some(name) => serde_json::json!({ "name": name }),
        None => serde_json::json!({ "createWithCredentialOf": register.home_domain }),
    }
}
