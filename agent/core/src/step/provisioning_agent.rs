//! The cloud sync provisioning agent: install, register by cmdlets, register by a person at the wizard, verify
//! (product facts 1.1 to 1.9).

use std::time::Duration;

use protocol::Version;
use protocol::event::{
    Completion, Failure, Finding, GmsaChange, GmsaObject, Grade, Section, Verdict,
};
use protocol::facts::{ProvisioningAgentFacts, ServiceState};
use protocol::id::{GmsaName, TargetId, TenantId};
use protocol::options::ProxyAddress;
use protocol::secret::SecretKind;
use protocol::step::{
    AddDomains, DirectoryRights, GuideProvisioningAgent, InstallProvisioningAgent, Permission,
    RegisterProvisioningAgent, ServedDomain, SignIn, StartProvisioningAgent,
    VerifyProvisioningAgent,
};

use crate::catalogue;
use crate::known::{self, Source};
use crate::op::{Log, Op, RegistryValue, Script};
use crate::procedure::{Complete, Cx, Flow, Reading, Stop, fail};
use crate::product;
use crate::step::module::{Account, Call};
use crate::step::report::Report;
use crate::step::soak::Logged;
use crate::step::{
    self, WATCH, controllers, credential, facts, installer, module, options, preflight, rights,
    soak, trouble,
};
use crate::withhold;

/// How long the event log may take.
const EVENTS_LIMIT: Duration = Duration::from_secs(120);

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
        let summary = format!(
            "version {version} is there, at least {} is wanted",
            install.at_least
        );
        return Ok(Complete {
            grade: Some(Grade::Installed),
            ..Complete::new(Completion::AlreadySo, summary)
        });
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
        Err(why) => return fail(format!("the setup could not be run: {why}")),
        Ok(0 | 1638) => false,
        Ok(3010 | 1641) => true,
        Ok(code) => {
            let failure = installer::failure("the setup", *code, log, cx)?;
            return Err(Stop::Failed(Box::new(failure)));
        }
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
                        "version {version} is installed, and its configuration file lost {}: set it there again and restart the service, or write a proxy as an option of its group; then retry",
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
            Ok(Complete {
                grade: Some(Grade::Installed),
                ..Complete::new(Completion::Applied, summary)
            })
        }
        Some(version) => fail(format!("{said}, but version {version} is there")),
        None => fail(format!("{said}, but the agent's executable is not there")),
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
fn broken_off(cx: &mut Cx<'_>) -> Flow<bool> {
    let noted = cx.number(product::OWED_KEY, product::OWED_REGISTRATION)?;
    let noted = noted.map(|noted| noted == Some(1));
    noted.map_err(|why| {
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
    match registered(&register.tenant, gmsa, cx)?.0 {
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
    if !preflight::recording(cx)?.is_empty() {
        cx.leave(after)?;
        return by_hand(register, cx);
    }
    let lines = cx.script(
        Script::ConfigureProvisioningAgent,
        input(
            (&register.tenant, register.sign_in, &calls),
            register.proxy.as_ref(),
            &register.domains,
            account(register),
        ),
        secrets,
        CONFIGURE_LIMIT,
    )?;
    let (_, left) = ended(&register.domains, lines, cx)?;
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
                    cx,
                )?)));
            }
            let trace = cx.log(Log::ProvisioningAgentTrace)?;
            let mut failure = Failure::plain(UNSEEN);
            let recognized = known::recognize(Source::Trace, &trace);
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
        return Err(Stop::Failed(Box::new(trouble::not_started(what, cx)?)));
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
    let lines = cx.script(
        Script::ConfigureProvisioningAgent,
        input(
            (&add.tenant, add.sign_in, &calls),
            add.proxy.as_ref(),
            &add.domains,
            serde_json::Value::Null,
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
    let (listed, left) = ended(&add.domains, lines, cx)?;
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
            Err(Stop::Failed(Box::new(trouble::not_started(what, cx)?)))
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
            return Err(Stop::Failed(Box::new(trouble::not_started(what, cx)?)));
        }
        done.push(format!("{name} was started"));
    }
    if service_of(product::AGENT_SERVICE, cx)?.map(|service| service.state)
        != Some(ServiceState::Running)
    {
        let what = "the agent's service was started, and does not run".to_owned();
        return Err(Stop::Failed(Box::new(trouble::not_started(what, cx)?)));
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

/// What the script is told; without an account it adds domains alone.
fn input(
    (tenant, sign_in, calls): (&TenantId, SignIn, &[Call]),
    proxy: Option<&ProxyAddress>,
    domains: &[ServedDomain],
    gmsa: serde_json::Value,
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

/// What the module lists of domains.
struct List {
    /// As the module shows it, in small letters.
    text: String,
    /// The domain of each row, where every row names one as that; else which of the words are domains cannot be told.
    domains: Option<Vec<String>>,
    /// Names that stood in the list before they were added, as a forest's or a suffix may, and of which nothing said that they were
    /// there as domains.
    mentioned: Vec<String>,
}

impl List {
    fn read(lines: &[serde_json::Value]) -> Reading<Self> {
        let line = lines
            .iter()
            .find(|line| line["step"] == "Get-AADCloudSyncDomains");
        let text = line.and_then(|line| line["text"].as_str());
        let (line, text) = match (line, text) {
            (Some(line), Some(text)) if line["ok"] == true => (line, text.to_lowercase()),
            (Some(_), Some(why)) => {
                return Err(format!("the module could not list them: {}", short(why)));
            }
            (Some(_) | None, _) => return Err("the module did not list them".to_owned()),
        };
        let lower = |name: &serde_json::Value| Some(name.as_str()?.to_lowercase());
        let domains = line["names"].as_array();
        let domains = domains.and_then(|all| all.iter().map(lower).collect());
        let mentioned = lines.iter().filter(|line| {
            line["step"] == "Add-AADCloudSyncADDomain"
                && line["mentioned"] == true
                && line["there"] != true
        });
        Ok(Self {
            text,
            domains,
            mentioned: mentioned
                .filter_map(|line| lower(&line["domain"]))
                .collect(),
        })
    }

    /// Whether a domain is listed; `None` where its name stands there and stood there before.
    fn has(&self, name: &str) -> Option<bool> {
        if let Some(domains) = &self.domains {
            return Some(domains.iter().any(|one| one == name));
        }
        let stands = words(&self.text).contains(&name);
        let before = self.mentioned.iter().any(|one| one == name);
        (!(stands && before)).then_some(stands)
    }
}

/// PV10: what the module listed after the domains were added. Its output's form is unverified (1.4), so a name that does
/// not stand in it warns, and stops nothing. One that stood in it before it was added, and of which no row says that it is a
/// domain's, is no proof of anything: it may be the forest of another one.
fn listed(domains: &[ServedDomain], lines: &[serde_json::Value]) -> Finding {
    let names = |of: Option<bool>, list: &List| -> Vec<&str> {
        let names = domains.iter().map(|domain| domain.name.as_str());
        names.filter(|name| list.has(name) == of).collect()
    };
    let lacks = |list: &List| {
        let words = words(&list.text);
        let missing = names(Some(false), list);
        let mut lacks = Vec::new();
        if !missing.is_empty() {
            lacks.push(format!("not listed: {}", missing.join(", ")));
        }
        for domain in domains {
            lacks.extend(controllers_lacking(domain, &words));
        }
        lacks
    };
    let refused = refused(lines);
    let list = List::read(lines).and_then(|list| {
        let untold = names(None, &list);
        if !untold.is_empty() && lacks(&list).is_empty() {
            let mut told = vec![format!(
                "in the list before it was added already, and whether as a domain of its own cannot be told: {}",
                untold.join(", ")
            )];
            told.extend(refused.iter().cloned());
            return Err(told.join("; "));
        }
        Ok(list)
    });
    let show = |list: &List| match lacks(list).as_slice() {
        [] => "every planned domain".to_owned(),
        lacks => [lacks, refused.as_slice()].concat().join("; "),
    };
    catalogue::PV10.judge(list, show, |list| lacks(list).is_empty())
}

/// What the module said where it refused a domain whose name stood in its list before.
fn refused(lines: &[serde_json::Value]) -> Vec<String> {
    let refused = lines.iter().filter_map(|line| {
        let (domain, why) = (line["domain"].as_str()?, line["refused"].as_str()?);
        let why = short(&withhold::names(why));
        Some(format!("adding {domain} was refused: {why}"))
    });
    refused.collect()
}

/// The names that stand in what the module told, in their order.
fn words(text: &str) -> Vec<&str> {
    let parts =
        text.split(|sign: char| !(sign.is_alphanumeric() || matches!(sign, '.' | '-' | '_')));
    parts.filter(|part| !part.is_empty()).collect()
}

/// Preferred controllers of a domain that the module does not list, or lists in another order.
fn controllers_lacking(domain: &ServedDomain, words: &[&str]) -> Option<String> {
    let place = |controller: &TargetId| words.iter().position(|word| *word == controller.as_str());
    let places: Vec<(&TargetId, Option<usize>)> = domain
        .preferred_dcs
        .iter()
        .map(|controller| (controller, place(controller)))
        .collect();
    let missing = places.iter().filter(|(_, place)| place.is_none());
    let missing: Vec<&str> = missing.map(|(one, _)| one.as_str()).collect();
    if !missing.is_empty() {
        return Some(format!(
            "the preferred controllers of {} are not listed: {}",
            domain.name,
            missing.join(", ")
        ));
    }
    let ascends = places.iter().map(|(_, place)| place).is_sorted();
    (!ascends).then(|| {
        format!(
            "the preferred controllers of {} are listed in another order",
            domain.name
        )
    })
}

/// How a service is started, in words.
const fn started(automatic: bool) -> &'static str {
    if automatic {
        "started by Windows"
    } else {
        "started by hand"
    }
}

/// What PV04 says of an updater that does not run, or that Windows does not start. That there is none of that name is PV20's
/// matter: the name is a secondary source's (1.3 [S]).
fn lame(updater: &Reading<Option<crate::op::Service>>) -> Option<String> {
    let updater = updater.as_ref().ok()?.as_ref()?;
    let well = updater.state == ServiceState::Running && updater.automatic;
    (!well).then(|| {
        format!(
            "; {} {:?}, {}",
            product::UPDATER_SERVICE,
            updater.state,
            started(updater.automatic)
        )
    })
}

/// PV20: the updater runs, and Windows lists the package, the agent and the updater, under their newer names or their older.
fn updated(updater: Reading<Option<crate::op::Service>>, cx: &mut Cx<'_>) -> Flow<Finding> {
    let programs = cx.programs(product::AGENT_PROGRAMS)?;
    let missing = programs.map(|programs| {
        let absent = |names: &&[&'static str; 2]| {
            let named = |name: &&str| {
                programs
                    .iter()
                    .any(|one| one.name.eq_ignore_ascii_case(name))
            };
            !names.iter().any(named)
        };
        let missing = product::AGENT_ENTRIES.iter().filter(absent);
        missing.map(|names| names[0]).collect::<Vec<&str>>()
    });
    let both = updater.and_then(|updater| Ok((updater, missing?)));
    let show = |(updater, missing): &(Option<crate::op::Service>, Vec<&str>)| {
        let updater = step::of_service(updater);
        match missing.as_slice() {
            [] => updater,
            some => format!("{updater}; not listed: {}", some.join(", ")),
        }
    };
    Ok(catalogue::PV20.judge(both, show, |(updater, missing)| {
        let runs = |service: &crate::op::Service| service.state == ServiceState::Running;
        updater.as_ref().is_some_and(runs) && missing.is_empty()
    }))
}

/// PV08: errors in the agent's event log. Beside it, how often Windows saw its services end, for PV07.
fn events(soaked_seconds: Option<u32>, cx: &mut Cx<'_>) -> Flow<(Finding, Reading<Vec<Logged>>)> {
    let services = [product::AGENT_SERVICE, product::UPDATER_SERVICE];
    let report = Report::ask(
        Script::ReadAgentEvents,
        serde_json::json!({ "services": services, "days": soak::days(soaked_seconds) }),
        EVENTS_LIMIT,
        cx,
    )?;
    let ends = report.rows("ends", Logged::read);
    let events = report.rows("events", Logged::read);
    let logged = events.clone().unwrap_or_default();
    let noise = report.part("noise", serde_json::Value::as_u64);
    let events = events.and_then(|events| Ok((events, noise?)));
    let show = |(events, noise): &(Vec<Logged>, u64)| {
        let seen = match events.first() {
            None => "none".to_owned(),
            Some(newest) => {
                let (id, hours) = (newest.id, newest.hours());
                format!("{}, the newest {id}, {hours} hours ago", events.len())
            }
        };
        match noise {
            0 => seen,
            noise => format!("{seen}; {noise} about performance counters"),
        }
    };
    let mut finding = catalogue::PV08.judge(events, show, |(events, _)| events.is_empty());
    soak::judge(&mut finding, &logged, soaked_seconds);
    Ok((finding, ends))
}

/// PV21: the script looked, before it ended, whether a secret that it was given lies anywhere.
fn wiped(lines: &[serde_json::Value]) -> Finding {
    let line = lines.iter().find(|line| line["step"] == "Find-Secret");
    let found = match line {
        Some(line) if line["ok"] == true => {
            let places = line["where"].as_array().map(|places| {
                let place = |place: &serde_json::Value| place.as_str().map(ToOwned::to_owned);
                places.iter().filter_map(place).collect::<Vec<String>>()
            });
            places
                .zip(line["unread"].as_u64())
                .ok_or_else(|| "the script did not say".to_owned())
        }
        Some(line) => Err(short(
            line["text"]
                .as_str()
                .unwrap_or("it could not be looked for"),
        )),
        None => Err("it was not looked for: the cmdlets ended before".to_owned()),
    };
    // A file that could not be opened is another process's own, which lies beyond what can be told.
    let show = |(places, unread): &(Vec<String>, u64)| {
        let seen = match places.as_slice() {
            [] => "none".to_owned(),
            some => some.join(", "),
        };
        match unread {
            0 => seen,
            unread => format!("{seen}; {unread} files or processes could not be looked at"),
        }
    };
    catalogue::PV21.judge_gently(found, show, |(places, _)| places.is_empty())
}

/// PV09: the last lines of the newest trace.
fn trace(cx: &mut Cx<'_>) -> Flow<Finding> {
    let reading = cx.read_log(Log::ProvisioningAgentTrace)?;
    let wrong = |lines: &Vec<String>| {
        let known = known::recognize(Source::Trace, lines).map(|(_, line)| line);
        known.or_else(|| {
            lines
                .iter()
                .rev()
                .find(|line| line.contains("Exception"))
                .map(|line| withhold::names(line))
        })
    };
    let fix = reading
        .as_ref()
        .ok()
        .and_then(|lines| known::recognize(Source::Trace, lines));
    let show = |lines: &Vec<String>| match wrong(lines) {
        Some(line) => trouble::start(&line),
        None => format!("none in {} lines", lines.len()),
    };
    let mut finding = catalogue::PV09.judge(reading, show, |lines| wrong(lines).is_none());
    if let Some((known, _)) = fix {
        finding.fix = known.sentence();
    }
    Ok(finding)
}

/// The start of a line, as much as fits a finding.
fn short(line: &str) -> String {
    line.trim().chars().take(200).collect()
}

/// Notes what the cmdlets left, and ends the step where they failed. Gives which domains the module lists, and whether a
/// secret lies anywhere.
fn ended(
    domains: &[ServedDomain],
    lines: Result<Vec<serde_json::Value>, String>,
    cx: &mut Cx<'_>,
) -> Flow<(Finding, Finding)> {
    let said = lines.as_deref().unwrap_or_default();
    let (listed, left) = (listed(domains, said), wiped(said));
    let done = said.last().is_some_and(|last| last["done"] == true);
    let noted = if done {
        vec![listed.clone(), left.clone()]
    } else {
        vec![left.clone()]
    };
    cx.note(&noted)?;
    let ran = lines.is_ok();
    match configured_by(lines) {
        // What a cmdlet says is often that something went wrong: what the agent itself wrote says why (1.13).
        Err(Stop::Failed(failure)) if ran && failure.known.is_none() && !left.blocks() => {
            Err(Stop::Failed(match trouble::of_agent(cx)? {
                Some(trouble) => Box::new(trouble.causes(*failure)),
                None => failure,
            }))
        }
        Ok(()) => Ok((listed, left)),
        // A secret that lies about is no question for a person, whatever else there is to ask.
        Err(Stop::Failed(failure)) if left.blocks() => {
            let known = failure.known.clone();
            let mut both = secret_left(&failure.what, left);
            both.known = known;
            Err(Stop::Failed(Box::new(both)))
        }
        Err(Stop::CannotTell(why)) if left.blocks() => {
            Err(Stop::Failed(Box::new(secret_left(&why, left))))
        }
        Err(other) => Err(other),
    }
}

fn secret_left(ended: &str, left: Finding) -> Failure {
    let mut failure = Failure::plain(format!("{ended}; and a secret was left in {}", left.read));
    failure.findings = vec![left];
    failure
}

/// A secret that lies about stops everything, also behind a registration that is well.
fn nothing_left(left: Finding) -> Flow<()> {
    if !left.blocks() {
        return Ok(());
    }
    let failure = secret_left("the cmdlets ended well", left);
    Err(Stop::Failed(Box::new(failure)))
}

/// Reads what the script said: a line for each cmdlet, and at last `done` or an error.
fn configured_by(lines: Result<Vec<serde_json::Value>, String>) -> Flow<()> {
    let lines = match lines {
        Ok(lines) => lines,
        Err(why) => return fail(format!("the cmdlets could not be run: {why}")),
    };
    let last = lines.last().cloned().unwrap_or_default();
    if last["done"] == true {
        return Ok(());
    }
    let error = &last["error"];
    let at = error["at"].as_str().unwrap_or("PowerShell");
    let message = error["message"]
        .as_str()
        .unwrap_or("it ended without a word")
        .to_owned();
    // A domain without a credential is unverified for the cmdlet: where the module demands one, a person decides.
    if at == "Add-AADCloudSyncADDomain" && error["kind"] == "parameter" {
        return Err(Stop::CannotTell(format!(
            "the module demands a credential to add the domain ({message}): use directory = \"ask\" for it, or the wizard"
        )));
    }
    if at == "Get-Command" {
        return module::gone(&message);
    }
    let lines: Vec<String> = message.lines().map(withhold::names).collect();
    let first = lines.first().cloned().unwrap_or_default();
    // The way by a token is in no documentation, and which parameters a version has shows when it is asked (1.4 [M]).
    let what = if at == "Connect-AADCloudSyncAzureAD" && error["kind"] == "parameter" {
        format!(
            "{at} of this version does not take this way of signing in ({first}): nobody is signed in and nothing was changed; write sign_in = \"wizard\" or another way that works for the tenant, plan again, and sign the account out where its secret shall not be used elsewhere"
        )
    } else {
        format!("{at} failed: {first}")
    };
    let mut failure = Failure::plain(what);
    failure.known = known::recognize(Source::Cmdlets, &lines).map(|(known, _)| known);
    Err(Stop::Failed(Box::new(failure.with_lines(lines))))
}

/// Opens the wizard's pages as work for a person and watches for its end.
///
/// # Errors
/// While outcomes are missing, and when it fails.
pub fn guide(guide: &GuideProvisioningAgent, cx: &mut Cx<'_>) -> Flow<Complete> {
    if !broken_off(cx)? {
        return at_wizard(guide, false, cx);
    }
    let mut guide = guide.clone();
    "no probe: cmdlets that were broken off have left what it would look for. Say that it is done by `entrain tasks attest`"
        .clone_into(&mut guide.text.seen_by);
    let mut complete = at_wizard(&guide, true, cx)?;
    complete.summary.push_str(&made_good(cx)?);
    Ok(complete)
}

/// The same; where cmdlets were broken off before, no probe tells what they did from what the person does, who says when it is done.
fn at_wizard(guide: &GuideProvisioningAgent, unfinished: bool, cx: &mut Cx<'_>) -> Flow<Complete> {
    let gmsa = guide.gmsa.as_ref();
    let (state, agent) = registered(&guide.tenant, gmsa, cx)?;
    let changes_gmsa = guide.gmsa.is_none();
    match state {
        Registered::Yes(summary) if !unfinished => {
            if cx.resumed() && changes_gmsa {
                // The person at the wizard may have ended while no agent ran: what that did is told now.
                let change = told(guide, cx)?;
                cx.leave(Some(change))?;
            }
            return Ok(configured(Completion::AlreadySo, summary));
        }
        Registered::Elsewhere(other) => return elsewhere(&other),
        Registered::Yes(_) | Registered::No => {}
    }
    let Some(agent) = agent else {
        return fail("the provisioning agent is not installed");
    };
    let object = GmsaObject {
        domain: guide.home_domain.clone(),
        name: guide.gmsa.clone(),
    };
    let after = cx.enter(Section {
        outage: agent.serves(),
        gmsa: changes_gmsa.then_some(object),
    })?;
    if let Some(change) = after {
        let (domain, preferred) = (&guide.home_domain, &guide.preferred_dcs);
        controllers::await_change(&change, domain, preferred, cx)?;
    }
    cx.task(&guide.text)?;
    let seen = trouble::watch(cx, trouble::registration, |cx| {
        // In the middle of a wizard's work something may not be readable for a moment: it is looked at again.
        let agent = facts::provisioning_agent(cx)?.found;
        Ok(match state_of(&guide.tenant, gmsa, agent.as_ref()) {
            Registered::Yes(summary) if !unfinished => Some(Ok(summary)),
            Registered::Elsewhere(other) => Some(Err(other)),
            Registered::Yes(_) | Registered::No => None,
        })
    })?;
    // Where no probe looks, a person's word is the end of the same work.
    if changes_gmsa && (matches!(seen, Ok(Ok(_))) || unfinished && seen.is_err()) {
        let change = told(guide, cx)?;
        cx.leave(Some(change))?;
    }
    match seen {
        Ok(Ok(summary)) => Ok(configured(Completion::SeenDone, summary)),
        Ok(Err(other)) => elsewhere(&other),
        Err(by) => {
            let summary = format!("attested by {by}; no probe saw the registration");
            Ok(Complete::new(Completion::Attested { by }, summary))
        }
    }
}

/// What the person's work did to the gMSA object.
fn told(guide: &GuideProvisioningAgent, cx: &mut Cx<'_>) -> Flow<GmsaChange> {
    let (domain, preferred) = (&guide.home_domain, &guide.preferred_dcs);
    controllers::gmsa_change(&guide.target, domain, preferred, cx)
}

/// Verifies and tells the grade that was seen. The tenant's own view is not asked here.
///
/// # Errors
/// While outcomes are missing, and when what is there is not what is wanted.
pub fn verify(verify: &VerifyProvisioningAgent, cx: &mut Cx<'_>) -> Flow<Complete> {
    let soaked = verify.soaked_seconds;
    let verify = &VerifyProvisioningAgent {
        soaked_seconds: soaked.map(|asked| soak::lasted(asked, cx)),
        ..verify.clone()
    };
    let agent = installed(cx)?;
    let updater = cx.service(product::UPDATER_SERVICE)?;
    let agent = agent.unwrap_or(ProvisioningAgentFacts {
        version: None,
        tenant: None,
        service: None,
        account: None,
        options: None,
        updater: None,
    });
    let version = match agent.version {
        Some(version) => version.to_string(),
        None => "absent".to_owned(),
    };
    let new_enough = agent
        .version
        .is_some_and(|version| version >= verify.at_least);
    let running = agent.service == Some(ServiceState::Running);
    let account = agent.account.clone().unwrap_or_else(|| "absent".to_owned());
    let tenant = agent
        .tenant
        .as_ref()
        .map_or("absent".to_owned(), ToString::to_string);
    let pass = |pass: bool| if pass { Verdict::Pass } else { Verdict::Fail };
    let mut of_version = catalogue::PV03.finding(version.clone(), pass(new_enough));
    of_version.wanted = format!("{} or later", verify.at_least);
    let mut of_account =
        catalogue::PV05.finding(account, pass(agent.runs_as(verify.gmsa.as_ref())));
    of_account.wanted = gmsa_text(verify.gmsa.as_ref());
    let mut of_tenant =
        catalogue::PV06.finding(tenant, pass(agent.tenant.as_ref() == Some(&verify.tenant)));
    of_tenant.wanted = verify.tenant.to_string();
    let state = agent
        .service
        .map_or("absent".to_owned(), |state| format!("{state:?}"));
    let folder = cx.text(product::AGENT_KEY, product::AGENT_FOLDER_VALUE)?;
    let module = folder.map(|folder| {
        let folder = folder.unwrap_or_else(|| product::AGENT_FOLDER.to_owned());
        facts::join(&folder, product::AGENT_MODULE)
    });
    let module = match module {
        Ok(path) => cx.file_version(&path)?,
        Err(why) => Err(why),
    };
    let show_version = |version: &Option<Version>| match version {
        Some(version) => version.to_string(),
        None => "absent".to_owned(),
    };
    let service = cx.service(product::AGENT_SERVICE)?;
    let automatic = matches!(service, Ok(Some(service)) if service.automatic);
    let lame = lame(&updater);
    let mut of_service = catalogue::PV04.finding(
        format!(
            "{state}, {}{}",
            started(automatic),
            lame.as_deref().unwrap_or_default()
        ),
        pass(running && automatic && lame.is_none()),
    );
    if running && automatic && lame.is_some() {
        of_service.fix = format!(
            "have Windows start {} by itself, and start it: the product updates itself by it",
            product::UPDATER_SERVICE
        );
    }
    let stopped = if running {
        None
    } else {
        trouble::of_agent(cx)?
    };
    if let Some(trouble) = &stopped {
        trouble.explain(&mut of_service);
    }
    let mut of_updater = updated(updater, cx)?;
    soak::insist(&mut of_updater, verify.soaked_seconds);
    let (of_events, ends) = events(verify.soaked_seconds, cx)?;
    let mut findings = vec![
        catalogue::PV02.judge_gently(module, show_version, Option::is_some),
        of_version,
        of_service,
        of_account,
        of_tenant,
        of_events,
        trace(cx)?,
        of_updater,
    ];
    findings.extend(module::probe(cx)?);
    findings.extend(options::verified(&verify.options, &agent));
    findings.extend(options::by_hand(&verify.options, cx)?);
    let aged = step::stability(product::AGENT_SERVICE, soaked, cx)?;
    findings.push(soak::ends(aged, &ends, verify.soaked_seconds));
    if let Some(rights) = &verify.own_rights {
        findings.extend(rights::verified(rights, agent.account.as_deref(), cx)?);
    }
    let cycles = match verify.soaked_seconds {
        Some(_) => {
            findings.push(soak::no_cycles());
            "; nothing here tells of its cycles"
        }
        None => "",
    };
    let question = soak::question(&findings, verify.soaked_seconds);
    step::settle_showing(findings, stopped, cx)?;
    soak::told(question)?;
    let summary =
        format!("version {version}, registered on this server; not seen in tenant{cycles}");
    Ok(configured(Completion::AlreadySo, summary))
}

fn gmsa_text(gmsa: Option<&GmsaName>) -> String {
    gmsa.map_or(
        "a group managed service account".to_owned(),
        ToString::to_string,
    )
}
